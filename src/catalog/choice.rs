//! Which bundle and which locale a notification is decided and filled with.

use std::sync::Arc;

use super::{Bundle, Catalog};
use crate::domain::notification::Notification;

/// The bundle that a notification is decided and filled with: the one it was first claimed with, else the pinned one, else the
/// live one, and the one that accepted it when that no longer takes its variables.
pub fn bundle_for(catalog: &Catalog, notification: &Notification) -> Option<Arc<Bundle>> {
    let intent = &notification.intent;
    let settled = [
        notification.bundle.as_str(),
        intent.template_version.as_str(),
    ]
    .into_iter()
    .find(|id| !id.is_empty());
    if let Some(id) = settled {
        return catalog.bundle(id);
    }
    let live = catalog.live();
    let accepted_by_live = live.id() == notification.accepted_bundle;
    if accepted_by_live
        || (live.manifest(&intent.template).is_some()
            && live
                .violations(&intent.template, &intent.variables)
                .is_empty())
    {
        return Some(live);
    }
    catalog.bundle(&notification.accepted_bundle)
}

/// The locale that a notification is written in, before the template's own fallbacks.
pub fn locale_for<'a>(
    intent_locale: &'a str,
    customer_locale: &'a str,
    shop_locale: &'a str,
) -> &'a str {
    [intent_locale, customer_locale]
        .into_iter()
        .find(|locale| !locale.is_empty())
        .unwrap_or(shop_locale)
}

//! L3: checking what a caller sent. A [`Draft`] goes in, a checked [`Intent`] or every broken rule comes out. Does not look
//! into the store: whether the customer exists is asked by the intake.
//!
//! Limits are those of the API's documentation; each is named here and reached by a test.

use jiff::{SignedDuration, Timestamp};

use crate::catalog::Bundle;
use crate::domain::address::Address;
use crate::domain::channel::Category;
use crate::domain::draft::{Draft, Recipient};
use crate::domain::intent::{ContactSnapshot, Intent, Routing};
use crate::domain::locale::{LOCALE_RULE, is_locale};
use crate::domain::policy::{Manifest, Policy};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::{CustomerId, GUEST_PREFIX};

mod contact;
mod fields;
mod payload;
mod times;

pub use fields::is_time_zone;
use fields::{Violations, text};
pub use payload::{
    ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, VARIABLES_BYTES_MAX, VARIABLES_DEPTH_MAX, check_size,
};

/// Longest request id, customer id and key, characters.
pub const KEY_MAX: usize = 128;
/// Longest template key, characters.
pub const TEMPLATE_MAX: usize = 100;
/// Longest reference, characters.
pub const REFERENCE_MAX: usize = 256;
/// Most labels.
pub const LABELS_MAX: usize = 16;
/// Longest label key and value, characters.
pub const LABEL_MAX: (usize, usize) = (64, 256);

/// A checked intent with what its template says about it.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Every limit holds for it.
    pub intent: Intent,
    /// Of the template.
    pub category: Category,
    /// Of the template.
    pub topic: String,
    /// The bundle whose schema its variables fit.
    pub bundle: String,
}

/// What checking depends on.
pub struct Door<'a> {
    /// The bundle that the draft asks for, or the live one.
    pub bundle: &'a Bundle,
    /// The rules of the shop.
    pub policy: &'a Policy,
    /// The pseudonym of a guest with this address.
    pub guest: &'a (dyn Fn(&Address) -> CustomerId + Send + Sync),
    /// Now.
    pub now: Timestamp,
}

/// Checks the id of a request.
///
/// # Errors
/// FIELD_INVALID on `request_id`.
pub fn request_id(id: &str) -> Result<(), Rejection> {
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    violations.add("request_id", text(id, 1, KEY_MAX));
    violations.into_result()
}

/// Checks a draft.
///
/// # Errors
/// The first kind of fault, with every field of that kind.
pub fn admit(draft: Draft, door: &Door<'_>) -> Result<Admitted, Rejection> {
    request_id(&draft.request_id)?;
    words(&draft)?;
    let manifest = template(&draft, door)?;
    let (customer, guest, contact) = recipient(&draft, door)?;
    if !draft.locale.is_empty() && !is_locale(&draft.locale) {
        return Err(Rejection::field(
            RejectionReason::LocaleInvalid,
            "intent.locale",
            LOCALE_RULE,
        ));
    }
    let lifetime = manifest
        .ttl
        .unwrap_or_else(|| door.policy.expiry(manifest.category));
    let times = times::check(&draft, lifetime, door.now)?;
    let routing = routing(&draft)?;
    payload::variables(&draft.variables, manifest, door.bundle)?;
    let attachments = payload::attachments(draft.attachments)?;
    Ok(Admitted {
        category: manifest.category,
        topic: manifest.topic.clone(),
        bundle: door.bundle.id().to_owned(),
        intent: Intent {
            customer,
            guest,
            template: draft.template,
            template_version: draft.template_version,
            variables: draft.variables,
            locale: draft.locale,
            routing,
            send_time: times.send,
            expire_time: times.expire,
            event_time: times.event,
            collapse_key: draft.collapse_key,
            cancellation_key: draft.cancellation_key,
            reference: draft.reference,
            labels: draft.labels,
            attachments,
            once_key: draft.once_key,
            contact,
        },
    })
}

/// The plain words of a draft: their lengths and characters.
fn words(draft: &Draft) -> Result<(), Rejection> {
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    violations.add("intent.template", template_key(&draft.template));
    violations.add(
        "intent.template_version",
        text(&draft.template_version, 0, KEY_MAX),
    );
    violations.add("intent.collapse_key", text(&draft.collapse_key, 0, KEY_MAX));
    violations.add(
        "intent.cancellation_key",
        text(&draft.cancellation_key, 0, KEY_MAX),
    );
    violations.add("intent.once_key", text(&draft.once_key, 0, KEY_MAX));
    violations.add("intent.reference", text(&draft.reference, 0, REFERENCE_MAX));
    if draft.labels.len() > LABELS_MAX {
        violations.add(
            "intent.labels",
            Err(format!(
                "there are {} labels, at most {LABELS_MAX} are allowed",
                draft.labels.len()
            )),
        );
    }
    for (key, value) in &draft.labels {
        violations.add(
            "intent.labels",
            text(key, 1, LABEL_MAX.0).map_err(|rule| format!("a key {rule}")),
        );
        violations.add(
            "intent.labels",
            text(value, 0, LABEL_MAX.1).map_err(|rule| format!("a value {rule}")),
        );
    }
    violations.into_result()
}

/// `^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$`
fn template_key(key: &str) -> Result<(), String> {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if key.len() <= TEMPLATE_MAX && key.split('.').all(part) {
        return Ok(());
    }
    Err(format!(
        "must be a template key such as order.confirmation: words of a-z, 0-9 and _, joined by dots, at most {TEMPLATE_MAX} characters"
    ))
}

fn template<'a>(draft: &Draft, door: &Door<'a>) -> Result<&'a Manifest, Rejection> {
    door.bundle.manifest(&draft.template).ok_or_else(|| {
        Rejection::new(
            RejectionReason::TemplateNotFound,
            format!("there is no template {}", draft.template),
        )
        .with("template", &draft.template)
        .with("bundle", door.bundle.id())
    })
}

type Whom = (CustomerId, bool, Option<ContactSnapshot>);

fn recipient(draft: &Draft, door: &Door<'_>) -> Result<Whom, Rejection> {
    match &draft.recipient {
        Recipient::Missing => {
            let rule = "name a customer_id or give an inline_recipient";
            Err(Rejection::field(
                RejectionReason::FieldInvalid,
                "intent.recipient",
                rule,
            ))
        }
        Recipient::Customer(id) => {
            customer_id("intent.customer_id", id)?;
            let contact = draft
                .contact
                .as_ref()
                .map(|contact| contact::snapshot(contact, "intent.contact"))
                .transpose()?;
            Ok((CustomerId::new(id), false, contact))
        }
        Recipient::Inline(inline) => {
            let contact = contact::snapshot(inline, "intent.inline_recipient")?;
            let Some(first) = contact.addresses.first() else {
                let rule = "an inline recipient has at least one of email_address, phone_number, discord_user_id";
                return Err(Rejection::field(
                    RejectionReason::FieldInvalid,
                    "intent.inline_recipient",
                    rule,
                ));
            };
            Ok(((door.guest)(first), true, Some(contact)))
        }
    }
}

/// Checks a customer id that a caller gave.
///
/// # Errors
/// FIELD_INVALID on `field`.
pub fn customer_id(field: &str, id: &str) -> Result<(), Rejection> {
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    violations.add(field, text(id, 1, KEY_MAX));
    if id.starts_with(GUEST_PREFIX) {
        violations.add(
            field,
            Err(format!(
                "ids that begin with {GUEST_PREFIX} belong to the gateway"
            )),
        );
    }
    violations.into_result()
}

/// The longest wait for a receipt.
const FALLBACK_DELAY_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

fn routing(draft: &Draft) -> Result<Option<Routing>, Rejection> {
    let Some(routing) = &draft.routing else {
        return Ok(None);
    };
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    let twice = routing.channels.iter().enumerate().any(|(at, channel)| {
        routing
            .channels
            .iter()
            .skip(at + 1)
            .any(|other| other == channel)
    });
    if twice {
        violations.add(
            "intent.routing.channels",
            Err("names a channel twice; name each once".into()),
        );
    }
    if routing
        .fallback_delay
        .is_some_and(|delay| !delay.is_positive() || delay > FALLBACK_DELAY_MAX)
    {
        violations.add(
            "intent.routing.fallback_delay",
            Err("must be more than zero and at most 7 days".into()),
        );
    }
    violations.into_result()?;
    Ok(Some(Routing {
        method: routing.method,
        channels: routing.channels.clone(),
        fallback_delay: routing.fallback_delay,
    }))
}

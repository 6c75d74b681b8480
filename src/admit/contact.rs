//! Contact data of an inline recipient or a contact snapshot.

use super::fields::{Violations, is_time_zone, text};
use crate::domain::address::{Address, Personal};
use crate::domain::channel::Channel;
use crate::domain::draft::ContactDraft;
use crate::domain::intent::ContactSnapshot;
use crate::domain::locale::{LOCALE_RULE, is_locale};
use crate::domain::rejection::{Rejection, RejectionReason};

/// Longest name, characters.
const NAME_MAX: usize = 256;

pub(super) fn snapshot(draft: &ContactDraft, path: &str) -> Result<ContactSnapshot, Rejection> {
    if !draft.locale.is_empty() && !is_locale(&draft.locale) {
        return Err(Rejection::field(
            RejectionReason::LocaleInvalid,
            format!("{path}.locale"),
            LOCALE_RULE,
        ));
    }
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    violations.add(
        format!("{path}.given_name"),
        text(&draft.given_name, 0, NAME_MAX),
    );
    if !draft.time_zone.is_empty() && !is_time_zone(&draft.time_zone) {
        violations.add(
            format!("{path}.time_zone"),
            Err("must be an IANA name such as Europe/Berlin, or empty for the shop's".into()),
        );
    }
    if draft.source_version < 0 {
        violations.add(
            format!("{path}.source_version"),
            Err("must not be negative".into()),
        );
    }
    let mut addresses = Vec::new();
    for (field, channel, given) in [
        ("email_address", Channel::Email, &draft.email_address),
        ("phone_number", Channel::Sms, &draft.phone_number),
        ("discord_user_id", Channel::Chat, &draft.discord_user_id),
    ] {
        if given.is_empty() {
            continue;
        }
        match Address::try_new(channel, given) {
            Ok(address) => addresses.push(address),
            Err(error) => violations.add(format!("{path}.{field}"), Err(error.to_string())),
        }
    }
    violations.into_result()?;
    Ok(ContactSnapshot {
        given_name: Personal::new(&draft.given_name),
        locale: draft.locale.clone(),
        time_zone: draft.time_zone.clone(),
        addresses,
        source_version: draft.source_version,
    })
}

//! Between the wire and the domain. Reads what the wire can say and the domain cannot (unknown enums, times that are none,
//! numbers that are no JSON); the limits of an intent are checked by `admit`, which sees all doors.

use std::collections::BTreeMap;

use crate::domain::channel::{Category, Channel};
use crate::domain::rejection::{FieldViolation, Rejection, RejectionReason};
use crate::proto;

pub mod customer;
pub mod intent;
pub mod notification;
pub mod preferences;

/// Collects what is wrong with a message, so that a caller learns of all of it at once.
#[derive(Debug, Default)]
pub struct Findings {
    violations: Vec<(RejectionReason, FieldViolation)>,
}

impl Findings {
    /// Notes a field that breaks its rule.
    pub fn add(
        &mut self,
        reason: RejectionReason,
        field: impl Into<String>,
        description: impl Into<String>,
    ) {
        let violation = FieldViolation {
            field: field.into(),
            description: description.into(),
        };
        self.violations.push((reason, violation));
    }

    /// Notes a field that breaks its rule, with the general reason.
    pub fn field(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.add(RejectionReason::FieldInvalid, field, description);
    }

    /// The value, or a rejection with the first finding's reason and every field.
    ///
    /// # Errors
    /// When anything was noted.
    pub fn finish<T>(self, value: T) -> Result<T, Rejection> {
        match self.violations.first().map(|(reason, _)| *reason) {
            None => Ok(value),
            Some(reason) => Err(Rejection::fields(
                reason,
                self.violations
                    .into_iter()
                    .map(|(_, violation)| violation)
                    .collect(),
            )),
        }
    }
}

const CHANNELS: &str = "CHANNEL_EMAIL, CHANNEL_SMS or CHANNEL_CHAT";

/// A channel from the wire.
///
/// # Errors
/// A sentence, when it is not set or not known.
pub fn channel(wire: i32) -> Result<Channel, String> {
    match proto::Channel::try_from(wire) {
        Ok(proto::Channel::Email) => Ok(Channel::Email),
        Ok(proto::Channel::Sms) => Ok(Channel::Sms),
        Ok(proto::Channel::Chat) => Ok(Channel::Chat),
        Ok(proto::Channel::Unspecified) => Err(format!("is not set; name {CHANNELS}")),
        Err(_) => Err(format!(
            "{wire} is not a channel that this server knows; name {CHANNELS}"
        )),
    }
}

/// A channel for the wire.
pub const fn wire_channel(channel: Channel) -> proto::Channel {
    match channel {
        Channel::Email => proto::Channel::Email,
        Channel::Sms => proto::Channel::Sms,
        Channel::Chat => proto::Channel::Chat,
    }
}

const CATEGORIES: &str =
    "CATEGORY_CRITICAL, CATEGORY_TRANSACTIONAL, CATEGORY_RELATIONSHIP or CATEGORY_MARKETING";

/// A category from the wire.
///
/// # Errors
/// A sentence, when it is not set or not known.
pub fn category(wire: i32) -> Result<Category, String> {
    match proto::Category::try_from(wire) {
        Ok(proto::Category::Critical) => Ok(Category::Critical),
        Ok(proto::Category::Transactional) => Ok(Category::Transactional),
        Ok(proto::Category::Relationship) => Ok(Category::Relationship),
        Ok(proto::Category::Marketing) => Ok(Category::Marketing),
        Ok(proto::Category::Unspecified) => Err(format!("is not set; name {CATEGORIES}")),
        Err(_) => Err(format!(
            "{wire} is not a category that this server knows; name {CATEGORIES}"
        )),
    }
}

/// A category for the wire.
pub const fn wire_category(category: Category) -> proto::Category {
    match category {
        Category::Critical => proto::Category::Critical,
        Category::Transactional => proto::Category::Transactional,
        Category::Relationship => proto::Category::Relationship,
        Category::Marketing => proto::Category::Marketing,
    }
}

/// Channels from the wire, each at most once; what is wrong with one is noted under `field[index]`.
pub fn channels(wire: &[i32], field: &str, findings: &mut Findings) -> Vec<Channel> {
    let mut channels = Vec::new();
    for (index, wire) in wire.iter().enumerate() {
        match channel(*wire) {
            Ok(channel) if channels.contains(&channel) => {
                findings.field(
                    format!("{field}[{index}]"),
                    format!("{channel} is listed twice; name each channel once"),
                );
            }
            Ok(channel) => channels.push(channel),
            Err(why) => findings.field(format!("{field}[{index}]"), why),
        }
        // There are three channels: more than a few findings help nobody.
        if index > 8 {
            break;
        }
    }
    channels
}

/// A time from the wire; what is wrong with it is noted under `field` with `reason`.
pub fn time(
    wire: Option<&prost_types::Timestamp>,
    reason: RejectionReason,
    field: &str,
    findings: &mut Findings,
) -> Option<jiff::Timestamp> {
    match proto::time(wire?) {
        Ok(time) => Some(time),
        Err(why) => {
            findings.add(reason, field, why);
            None
        }
    }
}

/// The id in a resource name such as `customers/c-42`.
pub fn id_in<'a>(name: &'a str, collection: &str) -> Option<&'a str> {
    name.strip_prefix(collection)?
        .strip_prefix('/')
        .filter(|id| !id.is_empty())
}

/// The one rejection of a field.
pub fn bad_field(field: &str, description: impl Into<String>) -> Rejection {
    Rejection::field(RejectionReason::FieldInvalid, field, description)
}

/// The paths of a field mask, checked against `known`; `None` for an empty one, `*` for all.
///
/// # Errors
/// `FIELD_INVALID` on `update_mask` for a path that is not known.
pub fn mask(
    wire: Option<&proto::FieldMask>,
    known: &'static [&'static str],
) -> Result<Option<Vec<&'static str>>, Rejection> {
    let Some(wire) = wire.filter(|mask| !mask.paths.is_empty()) else {
        return Ok(None);
    };
    let mut paths = BTreeMap::new();
    for path in &wire.paths {
        if path == "*" {
            return Ok(Some(known.to_vec()));
        }
        let Some(known_path) = known.iter().find(|known| *known == path) else {
            return Err(bad_field(
                "update_mask",
                format!("{path:?} is not one of {}", known.join(", ")),
            ));
        };
        paths.insert(*known_path, ());
    }
    Ok(Some(paths.into_keys().collect()))
}

/// Whether a text has control characters, which no field of the API may hold.
pub fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_go_over_the_wire_and_back_and_unknown_ones_are_refused() {
        for value in Channel::ALL {
            assert_eq!(channel(wire_channel(*value) as i32), Ok(*value));
        }
        for value in Category::ALL {
            assert_eq!(category(wire_category(*value) as i32), Ok(*value));
        }
        for unknown in [0, 9999, -1, i32::MIN] {
            assert!(channel(unknown).is_err(), "{unknown}");
            assert!(category(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_channel_is_listed_once() {
        let mut findings = Findings::default();
        channels(&[1, 2, 1, 9999], "routing.channels", &mut findings);
        let rejection = findings.finish(()).unwrap_err();
        let fields: Vec<_> = rejection
            .violations
            .iter()
            .map(|v| v.field.as_str())
            .collect();
        assert_eq!(fields, ["routing.channels[2]", "routing.channels[3]"]);
    }

    #[test]
    fn a_mask_names_known_fields() {
        let mask_of = |paths: &[&str]| proto::FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        };
        let known = &["locale", "time_zone"];
        assert_eq!(mask(None, known), Ok(None));
        assert_eq!(mask(Some(&mask_of(&[])), known), Ok(None));
        assert_eq!(
            mask(Some(&mask_of(&["*"])), known),
            Ok(Some(known.to_vec()))
        );
        assert_eq!(
            mask(Some(&mask_of(&["locale", "locale"])), known),
            Ok(Some(vec!["locale"]))
        );
        assert!(mask(Some(&mask_of(&["etag"])), known).is_err());
    }
}

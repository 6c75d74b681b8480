//! Rules for single fields.

use crate::domain::rejection::{FieldViolation, Rejection, RejectionReason};

/// The broken rules of one kind, gathered so that a caller sees all of them at once.
pub(super) struct Violations {
    reason: RejectionReason,
    found: Vec<FieldViolation>,
}

impl Violations {
    pub(super) fn new(reason: RejectionReason) -> Self {
        Self {
            reason,
            found: Vec::new(),
        }
    }

    /// Notes what is wrong with a field, if anything is.
    pub(super) fn add(&mut self, field: impl Into<String>, checked: Result<(), String>) {
        if let Err(description) = checked {
            self.found.push(FieldViolation {
                field: field.into(),
                description,
            });
        }
    }

    pub(super) fn into_result(self) -> Result<(), Rejection> {
        if self.found.is_empty() {
            Ok(())
        } else {
            Err(Rejection::fields(self.reason, self.found))
        }
    }
}

/// A text of `min` to `max` characters without control characters.
pub(super) fn text(text: &str, min: usize, max: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length < min && length == 0 {
        return Err(format!("is required: give {min} to {max} characters"));
    }
    if length > max {
        return Err(format!(
            "has {length} characters, at most {max} are allowed"
        ));
    }
    if let Some((at, control)) = text.chars().enumerate().find(|(_, c)| c.is_control()) {
        return Err(format!(
            "has a control character (U+{:04X}, character {}); take it out",
            u32::from(control),
            at + 1
        ));
    }
    Ok(())
}

/// Whether a text names a zone of the IANA database.
pub fn is_time_zone(text: &str) -> bool {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'/'));
    plain && text.len() <= 64 && !text.starts_with('/') && jiff::tz::TimeZone::get(text).is_ok()
}

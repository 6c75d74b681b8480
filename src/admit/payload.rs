//! Variables and attachments.

use serde_json::Value;

use super::fields::Violations;
use crate::catalog::Bundle;
use crate::domain::draft::AttachmentDraft;
use crate::domain::intent::{Attachment, Variables};
use crate::domain::policy::Manifest;
use crate::domain::rejection::{FieldViolation, Rejection, RejectionReason};

/// Largest variables, bytes of JSON.
pub const VARIABLES_BYTES_MAX: usize = 128 * 1024;
/// Deepest nesting of variables.
pub const VARIABLES_DEPTH_MAX: usize = 24;
/// Most attachments.
pub const ATTACHMENTS_MAX: usize = 10;
/// Largest attachments together, bytes.
pub const ATTACHMENT_BYTES_MAX: usize = 3 * 1024 * 1024;

const FILENAME_MAX: usize = 200;

pub(super) fn variables(
    variables: &Variables,
    manifest: &Manifest,
    bundle: &Bundle,
) -> Result<(), Rejection> {
    let refuse = |rule: String| {
        Err(Rejection::field(
            RejectionReason::VariablesInvalid,
            "intent.variables",
            rule,
        ))
    };
    // Depth first: serialising walks the value.
    if variables
        .0
        .values()
        .any(|value| !shallower_than(value, VARIABLES_DEPTH_MAX))
    {
        return refuse(format!("at most {VARIABLES_DEPTH_MAX} levels deep"));
    }
    let size = serde_json::to_vec(variables).map_or(usize::MAX, |json| json.len());
    if size > VARIABLES_BYTES_MAX {
        return refuse(format!("at most {VARIABLES_BYTES_MAX} bytes as JSON"));
    }
    let violations = bundle.violations(&manifest.key, variables);
    if violations.is_empty() {
        return Ok(());
    }
    let at = |violation: FieldViolation| FieldViolation {
        field: format!("intent.variables{}", violation.field),
        ..violation
    };
    Err(Rejection::fields(
        RejectionReason::VariablesInvalid,
        violations.into_iter().map(at).collect(),
    )
    .with("template", &manifest.key))
}

fn shallower_than(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(items) => items.iter().all(|item| shallower_than(item, below)),
        Value::Object(fields) => fields.values().all(|field| shallower_than(field, below)),
        _ => true,
    }
}

pub(super) fn attachments(drafts: Vec<AttachmentDraft>) -> Result<Vec<Attachment>, Rejection> {
    let size: usize = drafts
        .iter()
        .filter_map(|draft| draft.content.as_ref())
        .map(Vec::len)
        .sum();
    if size > ATTACHMENT_BYTES_MAX || drafts.len() > ATTACHMENTS_MAX {
        let rule = format!(
            "at most {ATTACHMENTS_MAX} attachments of {ATTACHMENT_BYTES_MAX} bytes together; link to larger ones"
        );
        return Err(Rejection::field(
            RejectionReason::AttachmentTooLarge,
            "intent.attachments",
            rule,
        ));
    }
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    let mut checked = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.into_iter().enumerate() {
        let path = format!("intent.attachments[{at}]");
        let filename = bare_name(&draft.filename);
        if filename.is_empty() || filename.chars().count() > FILENAME_MAX {
            violations.add(
                format!("{path}.filename"),
                Err(format!("a file name of 1 to {FILENAME_MAX} characters")),
            );
        }
        violations.add(format!("{path}.media_type"), media_type(&draft.media_type));
        if !draft.uri.is_empty() {
            violations.add(
                format!("{path}.uri"),
                Err(
                    "attachments by address are not served by this release; send the content"
                        .into(),
                ),
            );
        }
        let content = draft.content.unwrap_or_default();
        if content.is_empty() && draft.uri.is_empty() {
            violations.add(format!("{path}.content"), Err("is empty".into()));
        }
        checked.push(Attachment {
            filename,
            media_type: draft.media_type,
            content,
        });
    }
    violations.into_result()?;
    Ok(checked)
}

/// The last part of a path, without characters that could mislead a reader or a mail program.
fn bare_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let misleading = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let clean: String = last.chars().filter(|c| !misleading(*c)).collect();
    clean.trim_matches(['.', ' ']).to_owned()
}

fn media_type(text: &str) -> Result<(), String> {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if text.len() <= 127 && token(kind) && token(subtype) => Ok(()),
        _ => Err("a media type such as application/pdf".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bare() {
        assert_eq!(bare_name("../../etc/passwd"), "passwd");
        assert_eq!(bare_name("C:\\x\\invoice.pdf"), "invoice.pdf");
        assert_eq!(bare_name("invoice\u{202e}fdp.exe\r\n"), "invoicefdp.exe");
        assert_eq!(bare_name(".."), "");
    }

    #[test]
    fn levels_are_counted() {
        let mut value = Value::Null;
        for _ in 0..23 {
            value = Value::Array(vec![value]);
        }
        assert!(shallower_than(&value, 24));
        assert!(!shallower_than(&Value::Array(vec![value]), 24));
    }

    #[test]
    fn a_media_type_has_two_tokens() {
        assert!(media_type("application/pdf").is_ok());
        assert!(media_type("application/pdf\r\nX: y").is_err());
        assert!(media_type("pdf").is_err());
    }
}

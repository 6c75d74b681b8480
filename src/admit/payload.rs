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
/// Deepest nesting of variables: levels of objects and lists, the outermost included.
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
    check_size(variables).map_err(|rule| {
        Rejection::field(RejectionReason::VariablesInvalid, "intent.variables", rule)
    })?;
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

/// Checks how deep and how large variables are, whatever their template.
///
/// # Errors
/// A sentence with the limit.
pub fn check_size(variables: &Variables) -> Result<(), String> {
    // Depth first: serialising walks the value.
    let fits = |value| fits_in(value, VARIABLES_DEPTH_MAX - 1);
    if !variables.0.values().all(fits) {
        return Err(format!(
            "are nested too deep; at most {VARIABLES_DEPTH_MAX} levels of objects and lists are allowed"
        ));
    }
    let size = serde_json::to_vec(variables).map_or(usize::MAX, |json| json.len());
    if size > VARIABLES_BYTES_MAX {
        return Err(format!(
            "have {size} bytes as JSON, at most {VARIABLES_BYTES_MAX} are allowed"
        ));
    }
    Ok(())
}

/// Whether a value has at most so many levels of objects and lists.
fn fits_in(value: &Value, levels: usize) -> bool {
    let below = levels.checked_sub(1);
    let fits = |inner| below.is_some_and(|below| fits_in(inner, below));
    match value {
        Value::Array(items) => below.is_some() && items.iter().all(fits),
        Value::Object(fields) => below.is_some() && fields.values().all(fits),
        _ => true,
    }
}

pub(super) fn attachments(drafts: Vec<AttachmentDraft>) -> Result<Vec<Attachment>, Rejection> {
    let size: usize = drafts
        .iter()
        .filter_map(|draft| draft.content.as_ref())
        .map(Vec::len)
        .sum();
    let refuse = |reason, rule: String| Err(Rejection::field(reason, "intent.attachments", rule));
    if drafts.len() > ATTACHMENTS_MAX {
        let rule = format!(
            "there are {} attachments, at most {ATTACHMENTS_MAX} are allowed",
            drafts.len()
        );
        return refuse(RejectionReason::FieldInvalid, rule);
    }
    if size > ATTACHMENT_BYTES_MAX {
        let rule = format!(
            "have {size} bytes together, at most {ATTACHMENT_BYTES_MAX} are allowed; link to larger ones"
        );
        return refuse(RejectionReason::AttachmentTooLarge, rule);
    }
    let mut violations = Violations::new(RejectionReason::FieldInvalid);
    let mut checked = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.into_iter().enumerate() {
        let path = format!("intent.attachments[{at}]");
        let filename = bare_name(&draft.filename);
        if filename.is_empty() || filename.chars().count() > FILENAME_MAX {
            violations.add(
                format!("{path}.filename"),
                Err(format!(
                    "must be a file name of 1 to {FILENAME_MAX} characters"
                )),
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
            violations.add(
                format!("{path}.content"),
                Err("is empty; send the bytes of the document".into()),
            );
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
        _ => Err("must be a media type such as application/pdf".into()),
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
        for innermost in [Value::Null, Value::Array(Vec::new())] {
            let own = usize::from(innermost.is_array());
            let value = (own..23).fold(innermost, |value, _| Value::Array(vec![value]));
            assert!(fits_in(&value, 23));
            assert!(!fits_in(&Value::Array(vec![value]), 23));
        }
    }

    #[test]
    fn a_media_type_has_two_tokens() {
        assert!(media_type("application/pdf").is_ok());
        assert!(media_type("application/pdf\r\nX: y").is_err());
        assert!(media_type("pdf").is_err());
    }
}

//! Refusals and faults as gRPC statuses: the one table of codes.
//!
//! Every status made here has exactly one `ErrorInfo` with the domain `tidings`. Details are cut so that a status fits into
//! the 8 KiB of headers that the strictest clients take. What a fault was caused by goes to the log, never to the caller.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::domain::rejection::{Rejection, RejectionReason};
use crate::proto::RpcStatus;
use crate::store::StoreError;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "tidings";

/// How long a caller is asked to wait when the gateway is busy or its store is away.
const RETRY_BUSY: Duration = Duration::from_secs(1);
/// How long a caller is asked to wait when the store is full.
const RETRY_FULL: Duration = Duration::from_secs(30);

const MAX_VIOLATIONS: usize = 20;
const MAX_VIOLATIONS_BYTES: usize = 3000;
const MAX_FIELD_CHARS: usize = 160;
const MAX_DESCRIPTION_CHARS: usize = 300;
const MAX_MESSAGE_CHARS: usize = 400;
const MAX_METADATA_CHARS: usize = 160;

/// The gRPC code of a reason, as `API.md` has it.
pub const fn code(reason: RejectionReason) -> Code {
    use RejectionReason as R;
    match reason {
        R::FieldInvalid
        | R::VariablesInvalid
        | R::SendTimeInvalid
        | R::LocaleInvalid
        | R::BatchSizeInvalid
        | R::AttachmentTooLarge => Code::InvalidArgument,
        R::TemplateNotFound
        | R::TemplateVersionNotFound
        | R::CustomerNotFound
        | R::NotificationNotFound => Code::NotFound,
        R::RequestIdReused => Code::AlreadyExists,
        R::Unauthenticated => Code::Unauthenticated,
        R::PermissionDenied => Code::PermissionDenied,
        R::AlreadyFinal | R::NotUnknown | R::NotPaused => Code::FailedPrecondition,
        R::EtagMismatch => Code::Aborted,
        R::StoreFull => Code::ResourceExhausted,
        R::Overloaded | R::StoreUnavailable => Code::Unavailable,
        R::Internal => Code::Internal,
    }
}

const fn retry_after(reason: RejectionReason) -> Option<Duration> {
    match reason {
        RejectionReason::Overloaded | RejectionReason::StoreUnavailable => Some(RETRY_BUSY),
        RejectionReason::StoreFull => Some(RETRY_FULL),
        _ => None,
    }
}

/// A refusal as the status of a call.
pub fn status(rejection: &Rejection) -> Status {
    let code = code(rejection.reason);
    let metadata: HashMap<String, String> = rejection
        .metadata
        .iter()
        .map(|(key, value)| (key.clone(), cut(value, MAX_METADATA_CHARS)))
        .collect();
    let mut details = ErrorDetails::with_error_info(rejection.reason.as_str(), DOMAIN, metadata);
    if code == Code::InvalidArgument {
        details.set_bad_request(violations(rejection));
    }
    if let Some(delay) = retry_after(rejection.reason) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code, cut(&rejection.message, MAX_MESSAGE_CHARS), details)
}

fn violations(rejection: &Rejection) -> Vec<FieldViolation> {
    let mut room = MAX_VIOLATIONS_BYTES;
    rejection
        .violations
        .iter()
        .take(MAX_VIOLATIONS)
        .map(|violation| {
            FieldViolation::new(
                cut(&violation.field, MAX_FIELD_CHARS),
                cut(&violation.description, MAX_DESCRIPTION_CHARS),
            )
        })
        .take_while(|violation| {
            let size = violation.field.len() + violation.description.len();
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .collect()
}

/// A refusal as a message inside an answer, for items of a batch or stream.
pub fn rpc_status(rejection: &Rejection) -> RpcStatus {
    let status = status(rejection);
    // The details were encoded a moment ago; should they not be readable, code and message still are.
    RpcStatus::decode(status.details()).unwrap_or_else(|_| RpcStatus {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// What a caller is told when the store did not do it. Logs the fault with its causes.
pub fn store_fault(error: &StoreError) -> Rejection {
    match error {
        StoreError::Full => {
            tracing::error!(error = %chain(error), "the store is full");
            Rejection::new(
                RejectionReason::StoreFull,
                "the gateway has no room to store anything; try again later",
            )
        }
        StoreError::Unavailable(_) => {
            tracing::error!(error = %chain(error), "the store is not available");
            Rejection::new(
                RejectionReason::StoreUnavailable,
                "the gateway's store does not answer; nothing was stored, try again",
            )
        }
        StoreError::Corrupt(_) => {
            tracing::error!(error = %chain(error), "the store holds something unreadable");
            Rejection::new(
                RejectionReason::Internal,
                "the gateway failed; its log tells why",
            )
        }
    }
}

/// [`store_fault`] as the status of a call.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub fn store_status(error: StoreError) -> Status {
    status(&store_fault(&error))
}

/// [`status`] by value.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub fn refuse(rejection: Rejection) -> Status {
    status(&rejection)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_error_info_and_what_its_code_asks_for() {
        for reason in RejectionReason::ALL {
            let rejection =
                Rejection::field(*reason, "intent.template", "is not a key").with("name", "n");
            let status = status(&rejection);
            assert_eq!(status.code(), code(*reason), "{reason}");
            assert_ne!(status.code(), Code::Ok);

            let wire = rpc_status(&rejection);
            assert_eq!(wire.code, status.code() as i32);
            let infos: Vec<_> = wire
                .details
                .iter()
                .filter(|any| any.type_url.ends_with("google.rpc.ErrorInfo"))
                .collect();
            assert_eq!(infos.len(), 1, "{reason}");

            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                (reason.as_str(), DOMAIN)
            );
            assert_eq!(info.metadata["name"], "n");
            assert_eq!(
                details.bad_request().is_some(),
                status.code() == Code::InvalidArgument,
                "{reason}"
            );
            let waits = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
            assert_eq!(details.retry_info().is_some(), waits, "{reason}");
        }
    }

    #[test]
    fn the_table_is_that_of_the_documentation() {
        for (reason, expected) in [
            (RejectionReason::FieldInvalid, Code::InvalidArgument),
            (RejectionReason::VariablesInvalid, Code::InvalidArgument),
            (RejectionReason::SendTimeInvalid, Code::InvalidArgument),
            (RejectionReason::LocaleInvalid, Code::InvalidArgument),
            (RejectionReason::BatchSizeInvalid, Code::InvalidArgument),
            (RejectionReason::AttachmentTooLarge, Code::InvalidArgument),
            (RejectionReason::TemplateNotFound, Code::NotFound),
            (RejectionReason::TemplateVersionNotFound, Code::NotFound),
            (RejectionReason::CustomerNotFound, Code::NotFound),
            (RejectionReason::NotificationNotFound, Code::NotFound),
            (RejectionReason::RequestIdReused, Code::AlreadyExists),
            (RejectionReason::Unauthenticated, Code::Unauthenticated),
            (RejectionReason::PermissionDenied, Code::PermissionDenied),
            (RejectionReason::AlreadyFinal, Code::FailedPrecondition),
            (RejectionReason::NotUnknown, Code::FailedPrecondition),
            (RejectionReason::NotPaused, Code::FailedPrecondition),
            (RejectionReason::EtagMismatch, Code::Aborted),
            (RejectionReason::StoreFull, Code::ResourceExhausted),
            (RejectionReason::Overloaded, Code::Unavailable),
            (RejectionReason::StoreUnavailable, Code::Unavailable),
            (RejectionReason::Internal, Code::Internal),
        ] {
            assert_eq!(code(reason), expected, "{reason}");
        }
    }

    #[test]
    fn a_huge_refusal_still_fits_into_headers() {
        let violation = crate::domain::rejection::FieldViolation {
            field: "ü".repeat(100_000),
            description: "é".repeat(100_000),
        };
        let rejection = Rejection::fields(RejectionReason::VariablesInvalid, vec![violation; 5000]);
        let status = status(&rejection);
        let on_the_wire = status.details().len() * 4 / 3 + status.message().len() * 3;
        assert!(on_the_wire < 8 * 1024, "{on_the_wire}");
        let details = status.get_error_details();
        assert!(!details.bad_request().unwrap().field_violations.is_empty());
    }

    #[test]
    fn the_cause_of_a_fault_is_not_told() {
        let error = StoreError::Unavailable("disk /dev/sda1 is on fire".into());
        let rejection = store_fault(&error);
        assert_eq!(rejection.reason, RejectionReason::StoreUnavailable);
        assert!(!format!("{rejection:?}").contains("sda1"));
        assert_eq!(
            chain(&error),
            "the store is not available: disk /dev/sda1 is on fire"
        );
    }
}

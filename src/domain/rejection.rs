//! What a caller is told when a request cannot be taken: a closed reason and, for bad fields, each field with its rule.

use std::collections::BTreeMap;

use super::channel::words;

words! {
    /// The reasons of errors, stable; the API maps each to one gRPC code.
    RejectionReason {
        /// A field breaks its rule.
        FieldInvalid = "FIELD_INVALID",
        /// The variables do not fit the template's schema.
        VariablesInvalid = "VARIABLES_INVALID",
        /// The send time is out of range.
        SendTimeInvalid = "SEND_TIME_INVALID",
        /// The locale is not well-formed.
        LocaleInvalid = "LOCALE_INVALID",
        /// A batch of none or too many.
        BatchSizeInvalid = "BATCH_SIZE_INVALID",
        /// The attachments are too large.
        AttachmentTooLarge = "ATTACHMENT_TOO_LARGE",
        /// No such template.
        TemplateNotFound = "TEMPLATE_NOT_FOUND",
        /// No such published version.
        TemplateVersionNotFound = "TEMPLATE_VERSION_NOT_FOUND",
        /// No such customer, and no contact snapshot.
        CustomerNotFound = "CUSTOMER_NOT_FOUND",
        /// No such notification of this caller.
        NotificationNotFound = "NOTIFICATION_NOT_FOUND",
        /// The request id was used for something else.
        RequestIdReused = "REQUEST_ID_REUSED",
        /// It has ended.
        AlreadyFinal = "ALREADY_FINAL",
        /// Nobody asks any more what became of it.
        NotUnknown = "NOT_UNKNOWN",
        /// The gateway does not wait for an operator.
        NotPaused = "NOT_PAUSED",
        /// No credential, or none that is known.
        Unauthenticated = "UNAUTHENTICATED",
        /// A known caller without the scope that the call needs.
        PermissionDenied = "PERMISSION_DENIED",
        /// The etag is not the current one.
        EtagMismatch = "ETAG_MISMATCH",
        /// The store is full.
        StoreFull = "STORE_FULL",
        /// Too much at once.
        Overloaded = "OVERLOADED",
        /// The store does not answer.
        StoreUnavailable = "STORE_UNAVAILABLE",
        /// The gateway failed.
        Internal = "INTERNAL",
    }
}

/// One field that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path, `intent.variables/order/total`: a JSON pointer inside `variables`.
    pub field: String,
    /// The rule and what to change.
    pub description: String,
}

/// A request that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Rejection {
    /// Which of the closed list.
    pub reason: RejectionReason,
    /// A sentence for the caller's log.
    pub message: String,
    /// The fields, where it is about fields.
    pub violations: Vec<FieldViolation>,
    /// Further facts, such as the first name under a reused request id.
    pub metadata: BTreeMap<String, String>,
}

impl Rejection {
    /// A rejection with a sentence.
    pub fn new(reason: RejectionReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            violations: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// A rejection of one field.
    pub fn field(
        reason: RejectionReason,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self::fields(
            reason,
            vec![FieldViolation {
                field: field.into(),
                description: description.into(),
            }],
        )
    }

    /// A rejection of several fields; the message tells the first.
    pub fn fields(reason: RejectionReason, violations: Vec<FieldViolation>) -> Self {
        let message = violations.first().map_or_else(
            || "a field is invalid".to_owned(),
            |first| format!("{}: {}", first.field, first.description),
        );
        Self {
            reason,
            message,
            violations,
            metadata: BTreeMap::new(),
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }
}

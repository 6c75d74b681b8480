//! Errors as they leave the door: a status and `{"reason", "message"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::rejection::{Rejection, RejectionReason};
use crate::store::StoreError;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        let reason = RejectionReason::FieldInvalid.as_str();
        Self::new(StatusCode::BAD_REQUEST, reason, message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({"reason": self.reason, "message": self.message});
        (self.status, Json(body)).into_response()
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection.reason {
            RejectionReason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, rejection.reason.as_str(), rejection.message)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, source, "the console could not read the store");
        match error {
            StoreError::Unavailable(_) | StoreError::Full => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                RejectionReason::StoreUnavailable.as_str(),
                "The store does not answer. Try again in a moment; if it stays so, look at the gateway's log.",
            ),
            StoreError::Corrupt(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                RejectionReason::Internal.as_str(),
                "The store holds something this version cannot read. The gateway's log says what.",
            ),
        }
    }
}

//! L4: where an intent enters. Checks it, stores it durably with its request id, and answers. Does not decide and does not send.

use jiff::Timestamp;

use crate::domain::decision::Decision;
use crate::domain::draft::Draft;
use crate::domain::notification::Notification;
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::Identity;

/// An intent that was taken.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// As it is now.
    pub notification: Notification,
    /// The request was seen before; this is what became of it.
    pub replayed: bool,
}

/// The way in.
pub struct Intake {}

impl Intake {
    /// Takes drafts, each for itself or, `atomic`, all or none. The answers are in the order of `drafts`. With `atomic` and
    /// one bad draft, the good ones are answered with the bad one's rejection.
    pub async fn accept(&self, _identity: &Identity, drafts: Vec<Draft>, _atomic: bool) -> Vec<Result<Acceptance, Rejection>> {
        drafts.iter().map(|_| Err(Rejection::new(RejectionReason::Internal, "not wired"))).collect()
    }

    /// All checks, nothing stored.
    pub async fn validate(&self, _identity: &Identity, _draft: Draft) -> Result<Notification, Rejection> {
        Err(Rejection::new(RejectionReason::Internal, "not wired"))
    }

    /// What would be decided about the draft at `at`, or now; nothing stored.
    pub async fn explain(&self, _identity: &Identity, _draft: Draft, _at: Option<Timestamp>) -> Result<Decision, Rejection> {
        Err(Rejection::new(RejectionReason::Internal, "not wired"))
    }
}

//! How long what has ended is kept, and how far the dropping of the rest has come.

use jiff::SignedDuration;

use crate::domain::id::NotificationId;

/// Request ids are remembered for so long after their acceptance and after the end of what they stand for, whichever is later.
pub const REQUESTS_KEPT: SignedDuration = SignedDuration::from_hours(72);

/// How long what has ended is kept, from its end on. What budgets count is kept for [`USAGE_HORIZON`](super::USAGE_HORIZON), once keys,
/// consents and suppressions for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Variables and attachments.
    pub content: SignedDuration,
    /// Notifications with messages, attempts and traces, and the newest of each collapse key.
    pub history: SignedDuration,
    /// What watches tell.
    pub events: SignedDuration,
}

/// Where a sweep goes on; the default is its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep(pub(super) Place);

impl Default for Sweep {
    fn default() -> Self {
        Self(Place::Requests(Vec::new()))
    }
}

/// In the order of a sweep: nothing is dropped before what refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind this key.
    Requests(Vec<String>),
    /// Behind this key, the notification its last part.
    Usage(Option<(Vec<String>, NotificationId)>),
    /// Behind this key.
    Marks(Vec<String>),
    /// Behind this one.
    Content(Option<NotificationId>),
    /// Behind this one.
    History(Option<NotificationId>),
    /// Behind this one.
    Events(Option<i64>),
    /// What the engine keeps history in.
    Room,
}

/// What one step of a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Of what.
    pub table: &'static str,
    /// How many rows; of a notification that of history alone is counted.
    pub dropped: usize,
    /// How to go on; `None`: it is done, or another process is about it.
    pub next: Option<Sweep>,
}

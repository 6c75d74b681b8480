//! L2, the store seam: the truth about everything. Implementations: [`sqlite`], [`postgres`]; one conformance suite runs against each.
//!
//! Promises that hold for every method:
//! - A write has happened when it returns `Ok`, durably; it has not happened when it returns `Err`. Concurrent writes
//!   share a commit. When the caller of a write goes away before the commit, the write is dropped.
//! - Faults of the moment (a locked file, a serialization failure) are retried inside; what comes out as
//!   [`StoreError::Unavailable`] may be tried again later by the caller.
//! - Every change of a notification's status writes an event row in the same transaction.
//! - Rows of one shop are never seen through another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::domain::budget::Usage;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::customer::Customer;
use crate::domain::decision::Decision;
use crate::domain::filter::Filter;
use crate::domain::id::{AttemptId, MessageId, NotificationId};
use crate::domain::notification::{AttemptResult, Event, Message, Notification, Record};
use crate::domain::policy::{Pause, UnknownRule};
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::{CallerId, Identity, ShopId};

pub mod bell;
mod customers;
pub mod floor;
mod ledger;
mod operations;
pub mod postgres;
mod processes;
pub mod sqlite;
mod sweep;
mod witness;

pub use customers::{Change, Customers, Suppression};
pub use operations::{Operations, Recovered, Resolved, Said, Unknown, UnknownPlace};
pub use processes::{Lease, LeaseRequest, Processes};
pub use sweep::{REQUESTS_KEPT, Retention, Sweep, Swept};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or could not write; nothing has happened.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no room; nothing has happened.
    #[error("the store is full")]
    Full,
    /// The store holds what it should not: a bug, or another version's data.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// The result of a store call.
pub type StoreResult<T> = Result<T, StoreError>;

/// A notification to be stored, with the request it came by.
#[derive(Clone, Debug)]
pub struct NewNotification {
    /// With status ACCEPTED, and `due_at` set to now (or to its send time).
    pub notification: Notification,
    /// Unique within (shop, caller).
    pub request_id: String,
    /// Of the request as it came.
    pub payload_hash: [u8; 32],
}

/// What became of one [`NewNotification`].
#[derive(Clone, Debug, PartialEq)]
pub enum AcceptOutcome {
    /// Stored; as it is after planning.
    Accepted(Box<Notification>),
    /// The same request came before: what has become of it.
    Replayed(Box<Notification>),
    /// The request id came before with another payload, for this notification.
    Reused(NotificationId),
    /// Not stored, because another of an atomic batch was [`AcceptOutcome::Reused`].
    NotStored,
}

/// All that deciding about one notification needs to know, read in the transaction that writes the verdict.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is to be decided, with its variables.
    pub notification: Notification,
    /// The customer, with the intent's contact snapshot laid over where that is newer.
    pub customer: Customer,
    /// Channels whose address of this customer is on the suppression list, with the list's reason.
    pub suppressed: Vec<(Channel, String)>,
    /// What the customer has had, or has reserved, in the last 400 days, without this notification.
    pub usage: Vec<Usage>,
    /// Names of the outcomes recorded for the customer.
    pub outcomes: Vec<String>,
    /// The shop's first notification with the same once key and whose it is, when it is another one.
    pub once: Option<(CallerId, NotificationId)>,
    /// A newer notification with the same collapse key, and whether it has been handed over.
    pub newer: Option<(NotificationId, bool)>,
    /// Channels on which this notification has failed for good.
    pub failed: Vec<Channel>,
    /// Operator pauses in force.
    pub pauses: Vec<Pause>,
    /// The time to decide at.
    pub now: Timestamp,
}

/// What the planner made of a [`Case`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// The verdict with its trace.
    pub decision: Decision,
    /// What becomes of the notification: from the verdict's reason.
    pub status: Status,
    /// When to look at it again; `None` when it ended or its messages are ready.
    pub due_at: Option<Timestamp>,
    /// The messages to create, in state `queued`.
    pub messages: Vec<Message>,
    /// What the customer's budgets are charged with.
    pub usage: Option<Usage>,
}

/// Decides about a case; pure, and called inside the store's transaction, so it must be quick.
pub trait Plans: Send + Sync {
    /// The plan for one case.
    fn plan(&self, case: &Case) -> Plan;
}

/// What a worker needs to fill and address one message.
#[derive(Clone, Debug)]
pub struct Work {
    /// The message.
    pub message: Message,
    /// Its notification with variables and attachments.
    pub notification: Notification,
    /// The customer, with the contact snapshot laid over.
    pub customer: Customer,
}

/// A message that may be queued now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub message: MessageId,
    /// Its fence now.
    pub fence: i64,
    /// Its channel.
    pub channel: Channel,
    /// Its lane.
    pub lane: Lane,
    /// When it came due.
    pub due_at: Timestamp,
}

/// What the queue was given of a channel and lane and still has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// How many messages, counted up to 10,001.
    pub count: u64,
    /// When the first of them was given out, by the store's clock.
    pub oldest: Option<Timestamp>,
}

/// The request to begin handing over a message.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which message.
    pub message: MessageId,
    /// The fence it was queued with.
    pub fence: i64,
    /// The id of the attempt row to write.
    pub attempt: AttemptId,
    /// To whom it is handed.
    pub provider: String,
    /// The bundle it was rendered with.
    pub bundle: String,
    /// SHA-256 of what will be sent, hexadecimal.
    pub content_hash: String,
    /// SMS segments, 0 elsewhere.
    pub sms_segments: u32,
    /// Now.
    pub now: Timestamp,
}

/// What a claim came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The attempt row is durable; go.
    Claimed {
        /// The fence to settle with.
        fence: i64,
        /// How often a byte will have gone to a provider, this time included.
        tries: u32,
    },
    /// It is not to be sent: the fence has moved, it was cancelled or superseded, it expired, the address was
    /// suppressed. Whatever state follows from that has been written.
    Refused,
}

/// How a hand-over ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The provider has taken it.
    Sent {
        /// What the provider calls it.
        provider_message_id: String,
    },
    /// Try again.
    Retry {
        /// When.
        due_at: Timestamp,
        /// `Transient` or `Throttled`.
        result: AttemptResult,
        /// RETRY, PROVIDER_THROTTLED, PROVIDER_CIRCUIT_OPEN.
        reason: Reason,
    },
    /// Never.
    Failed {
        /// PROVIDER_REJECTED, RETRIES_EXHAUSTED, RENDER_FAILED, INTERNAL.
        reason: Reason,
        /// Put the address on the suppression list for this reason (`hard_bounce`).
        suppress: Option<String>,
    },
    /// Nobody knows; `resend` queues it again at `due_at`, else it is held until its expiry.
    Unknown {
        /// Send again with the same id at this time.
        resend_at: Option<Timestamp>,
    },
}

/// The outcome of a claimed message.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which.
    pub message: MessageId,
    /// The attempt; `None` when no claim was made (it could not be rendered).
    pub attempt: Option<AttemptId>,
    /// The fence of the claim (of the job, when no claim was made).
    pub fence: i64,
    /// How it ended.
    pub ending: Ending,
    /// The provider's words, cleaned and cut.
    pub reply: String,
    /// Now.
    pub now: Timestamp,
}

/// Which notifications to call off.
#[derive(Clone, Debug)]
pub enum CancelTarget {
    /// One.
    Notification(NotificationId),
    /// All with this key.
    Key(String),
}

/// What calling off came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// How many were called off.
    pub cancelled: u32,
    /// How many were already with a provider or had ended.
    pub missed: u32,
}

/// A page of notifications to find.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose.
    pub identity: Identity,
    /// Which.
    pub filter: Filter,
    /// Newest first, or oldest first.
    pub descending: bool,
    /// Only those behind this one, in the order of the page.
    pub after: Option<NotificationId>,
    /// At most.
    pub limit: u32,
}

/// The ledger: notifications on their way.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Stores new notifications with their request ids, and plans what is due now in the same transaction. `atomic`: all or none.
    /// Outcomes are in the order of `batch`; two equal requests in one batch are folded.
    async fn accept(
        &self,
        batch: Vec<NewNotification>,
        atomic: bool,
        now: Timestamp,
        plans: Arc<dyn Plans>,
    ) -> StoreResult<Vec<AcceptOutcome>>;

    /// Decides at most `limit` notifications that are due, upper lanes first, and with each all others of its customer that
    /// wait for budget, ranked by category, then expiry, then age. Returns how many were decided.
    async fn plan_due(
        &self,
        now: Timestamp,
        limit: u32,
        plans: Arc<dyn Plans>,
    ) -> StoreResult<usize>;

    /// Messages that may be queued now, oldest due first, at most `limit` of this channel and lane; with `since` only those that
    /// came due then or later. A store that several processes share gives each out once, whatever `since` says, until it has changed
    /// or is given back by [`Ledger::not_published`] or [`Ledger::publish_again`].
    async fn ready(
        &self,
        channel: Channel,
        lane: Lane,
        since: Option<Timestamp>,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Ready>>;

    /// What a shared store has given out and is still queued. An embedded one does not count: its queue lives in the same process.
    async fn published(&self, _channel: Channel, _lane: Lane) -> StoreResult<Published> {
        Ok(Published::default())
    }

    /// Gives out again what was given out longer than `older_than` ago, by the store's clock, and is still queued; a bounded number
    /// at a time. Returns how many.
    async fn publish_again(
        &self,
        _channel: Channel,
        _lane: Lane,
        _older_than: Duration,
    ) -> StoreResult<usize> {
        Ok(0)
    }

    /// Takes back what was given out and the queue did not take.
    async fn not_published(&self, _messages: &[MessageId]) -> StoreResult<()> {
        Ok(())
    }

    /// What is needed to fill these messages; those that are gone are left out.
    async fn work(&self, messages: &[MessageId]) -> StoreResult<Vec<Work>>;

    /// Begins a hand-over: one conditional statement each, the attempt row in the same commit. A claim whose answer was not heard may
    /// be repeated with the same attempt id, and has the same answer.
    async fn claim(&self, claim: Claim) -> StoreResult<ClaimOutcome>;

    /// Records an outcome. One with an old fence changes nothing and returns `false`.
    async fn settle(&self, settlement: Settlement) -> StoreResult<bool>;

    /// Takes over what other, dead processes were handing over: each becomes unknown, and is queued again or held by the
    /// rule of its category. Returns how many. In a store that is shared, dead is who has not called [`Processes::beat`] for
    /// `dead_after`; in an embedded one everybody but the caller.
    async fn take_over(
        &self,
        now: Timestamp,
        dead_after: Duration,
        rule: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<usize>;

    /// Calls off what has not been handed over. `None` when a named one does not exist for this caller.
    async fn cancel(
        &self,
        identity: &Identity,
        target: CancelTarget,
        now: Timestamp,
    ) -> StoreResult<Option<Cancelled>>;

    /// The earliest time at which something waits to be done (a plan, a message, the end of an unknown).
    async fn next_due(&self) -> StoreResult<Option<Timestamp>>;

    /// Ends what has expired and that nobody else would end: what was held as unknown, and what is ready while no worker takes it.
    /// A bounded number at a time; returns how many, 0 when nothing is left.
    async fn end_expired(&self, now: Timestamp) -> StoreResult<usize>;
}

/// Looking things up.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// One notification of this caller with messages, attempts, variables and attachments.
    async fn find(&self, identity: &Identity, id: NotificationId) -> StoreResult<Option<Record>>;

    /// A page of notifications of this caller, with messages and attempts, without attachments.
    async fn list(&self, query: Query) -> StoreResult<Vec<Record>>;

    /// What became of requests of this caller that were taken before, each under its request id with the hash of its payload; `None`
    /// for one that was not, or with another payload. In the order of `requests`.
    async fn replays(
        &self,
        identity: &Identity,
        requests: Vec<(String, [u8; 32])>,
    ) -> StoreResult<Vec<Option<Notification>>>;

    /// What a case would be for a notification that is not stored: a dry run.
    async fn case(&self, notification: Notification, now: Timestamp) -> StoreResult<Case>;

    /// How many notifications are in each status, those included that have been dropped since they ended.
    async fn counts(&self, identity: &Identity) -> StoreResult<Vec<(Status, u64)>>;

    /// Events of this caller behind `sequence`, oldest first, never skipping one that commits later.
    async fn events(
        &self,
        identity: &Identity,
        sequence: i64,
        limit: u32,
    ) -> StoreResult<Vec<Event>>;

    /// The newest event's sequence, 0 for none, and news of every later one.
    fn sequence(&self) -> tokio::sync::watch::Receiver<i64>;
}

/// Published template bundles, as archives.
#[async_trait]
pub trait Bundles: Send + Sync {
    /// Keeps a bundle; keeping one that is there changes nothing.
    async fn keep_bundle(
        &self,
        shop: &ShopId,
        id: &str,
        archive: Vec<u8>,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// The bundles that open notifications refer to.
    async fn bundles_in_use(&self, shop: &ShopId) -> StoreResult<Vec<String>>;

    /// The archive of a bundle.
    async fn bundle(&self, shop: &ShopId, id: &str) -> StoreResult<Option<Vec<u8>>>;
}

/// A whole store.
pub trait Store: Ledger + Lookup + Customers + Bundles + Processes + Operations {}

impl<T: Ledger + Lookup + Customers + Bundles + Processes + Operations> Store for T {}

/// How far back usage is read for deciding.
pub const USAGE_HORIZON: SignedDuration = SignedDuration::from_hours(24 * 400);

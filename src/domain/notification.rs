//! An accepted intent and what became of it: notification, message, attempt.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::channel::{Category, Channel, Lane, words};
use super::decision::Decision;
use super::id::{AttemptId, MessageId, NotificationId};
use super::intent::Intent;
use super::reason::Status;
use super::shop::Identity;

/// An accepted intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// Whose it is.
    pub identity: Identity,
    /// What was asked. Attachments and variables are empty when it was read without its content.
    pub intent: Intent,
    /// Of its template when it was accepted.
    pub category: Category,
    /// Of its template when it was accepted.
    pub topic: String,
    /// The bundle that validated it.
    pub accepted_bundle: String,
    /// The bundle it is rendered with, from its first claim on; empty: not yet.
    pub bundle: String,
    /// Where it is.
    pub status: Status,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When its status last changed.
    pub update_time: Timestamp,
    /// When something is to be done about it next.
    pub due_at: Option<Timestamp>,
    /// The last decision; `None` before the first.
    pub decision: Option<Decision>,
}

words! {
    /// The state of a message.
    MessageState {
        /// Waits for its time or for a worker.
        Queued = "queued",
        /// A worker is handing it over.
        Sending = "sending",
        /// A provider has taken it.
        Sent = "sent",
        /// A receipt says that it arrived.
        Delivered = "delivered",
        /// A provider refused it for good.
        Bounced = "bounced",
        /// It could not be sent.
        Undeliverable = "undeliverable",
        /// Called off.
        Cancelled = "cancelled",
        /// It may have been sent.
        Unknown = "unknown",
    }
}

/// One rendering on one channel to one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id; the Message-ID and nonce derive from it.
    pub id: MessageId,
    /// The notification it belongs to.
    pub notification: NotificationId,
    /// How.
    pub channel: Channel,
    /// Where to.
    pub address: Address,
    /// Its queue.
    pub lane: Lane,
    /// Where it is.
    pub state: MessageState,
    /// Grows with every claim.
    pub fence: i64,
    /// How often a byte went to a provider.
    pub tries: u32,
    /// When it may be claimed.
    pub due_at: Timestamp,
    /// The provider that had it last; empty: none yet.
    pub provider: String,
    /// What the provider calls it; empty: not known.
    pub provider_message_id: String,
    /// The chosen variant; empty: none.
    pub variant: String,
    /// SMS only.
    pub sms_segments: u32,
    /// Channels to fall back to, in order.
    pub fallback: Vec<Channel>,
}

words! {
    /// How one try ended.
    AttemptResult {
        /// The row is written, the answer is not.
        Sending = "sending",
        /// The provider has taken the message.
        Ok = "ok",
        /// It failed for a passing reason.
        Transient = "transient",
        /// The provider refused for good.
        Permanent = "permanent",
        /// The provider asked to slow down.
        Throttled = "throttled",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

/// One try to hand a message to one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The message.
    pub message: MessageId,
    /// The provider's configured name.
    pub provider: String,
    /// Before the first byte.
    pub start_time: Timestamp,
    /// When the answer was recorded.
    pub end_time: Option<Timestamp>,
    /// 1 for the first.
    pub number: u32,
    /// How it ended.
    pub result: AttemptResult,
    /// The provider's own words, cleaned and cut.
    pub reply: String,
    /// SHA-256 of what decides the bytes that were sent, hexadecimal.
    pub content_hash: String,
}

/// A notification with all that hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The notification.
    pub notification: Notification,
    /// Its messages, oldest first.
    pub messages: Vec<Message>,
    /// Their attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// A change of state, as watchers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Grows by commit; the resume token.
    pub sequence: i64,
    /// Which notification.
    pub notification: NotificationId,
    /// What it became.
    pub status: Status,
    /// When.
    pub time: Timestamp,
}

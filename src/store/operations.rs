//! What those who run the gateway ask of the store. Everything here is about a shop, whoever of its callers sent it.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{Retention, StoreResult, Sweep, Swept};
use crate::domain::channel::{Category, Lane};
use crate::domain::hold::HoldReason;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::Message;
use crate::domain::policy::{Resolution, UnknownRule};
use crate::domain::reason::Status;
use crate::domain::shop::{CallerId, ShopId};

/// A notification of which nobody knows whether it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// Which.
    pub notification: NotificationId,
    /// Who sent it.
    pub caller: CallerId,
    /// Its template's key.
    pub template: String,
    /// Its class.
    pub category: Category,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub expire_time: Timestamp,
    /// Its messages that may have been sent; none: it had none yet when the store was restored.
    pub messages: Vec<Message>,
}

impl Unknown {
    /// Where it stands in the list.
    pub fn place(&self) -> UnknownPlace {
        UnknownPlace {
            lane: self.category.lane(),
            expire_time: self.expire_time,
            notification: self.notification,
        }
    }
}

/// A place in the list of what is unknown: upper lanes first, then what ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPlace {
    /// Its lane.
    pub lane: Lane,
    /// When it ends by itself.
    pub expire_time: Timestamp,
    /// Which.
    pub notification: NotificationId,
}

/// What an operator says about one that is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which notification.
    pub notification: NotificationId,
    /// One message of it; `None`: all of it.
    pub message: Option<MessageId>,
    /// What became of it, or is to become of it.
    pub resolution: Resolution,
    /// Who says so.
    pub by: CallerId,
    /// Why; may be empty.
    pub reason: String,
    /// When.
    pub now: Timestamp,
}

/// What came of what an operator said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It is so now.
    Done(Status),
    /// There is no such notification in the shop, or no such message of it.
    NotFound,
    /// It is not unknown, or not any more: an answer, its expiry or another operator was quicker. Nothing has changed.
    NotUnknown(Status),
    /// Its customer was erased: nobody is left to send it to. Nothing has changed.
    Erased,
}

/// What became of what was open in a store that was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Unknown and held: operators, or its expiry, end it.
    pub held: u64,
    /// Sent, or sent again, with the Message-ID or nonce that the copy knows.
    pub resent: u64,
    /// As it was: it cannot have been sent meanwhile.
    pub untouched: u64,
}

impl std::ops::Add for Recovered {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            resent: self.resent + other.resent,
            untouched: self.untouched + other.untouched,
        }
    }
}

/// What operators ask.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Notifications of the shop of which nobody knows whether they were sent, in the order of [`UnknownPlace`], at most `limit`
    /// behind `after`.
    async fn unknown(
        &self,
        shop: &ShopId,
        after: Option<UnknownPlace>,
        limit: u32,
    ) -> StoreResult<Vec<Unknown>>;

    /// Ends what is unknown as an operator says, and leaves a line in the trace. Of several who end the same at the same moment one
    /// does; the others are told.
    async fn resolve(&self, shop: &ShopId, said: Said) -> StoreResult<Resolved>;

    /// Why the store is held, if it is: it was restored from a backup, or may have been. A held store lets nothing be claimed; those who
    /// take, decide and hand over look here and rest.
    fn hold(&self) -> watch::Receiver<Option<HoldReason>> {
        watch::channel(None).1
    }

    /// One step of dropping what has ended longer ago than it is kept; to be called until it says that it is done. Nothing open is dropped,
    /// nor anything that belongs to it.
    async fn sweep(
        &self,
        _at: Sweep,
        _retention: Retention,
        _now: Timestamp,
    ) -> StoreResult<Swept> {
        Ok(Swept::default())
    }

    /// Lets a held store go on. What is open and may have been handed over since `from`, the moment that the copy shows, becomes unknown
    /// and is sent again or held by the rule of its category; without `from` nothing was handed over that the store does not know. `None`:
    /// it is not held, and nothing has changed.
    async fn recover(
        &self,
        from: Option<Timestamp>,
        now: Timestamp,
        rule: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<Option<Recovered>>;
}

//! What those who run the gateway ask of the store. Everything here is about a shop, whoever of its callers sent it.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;
use crate::domain::channel::Category;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::Message;
use crate::domain::policy::Resolution;
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

/// What operators ask.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Notifications of the shop of which nobody knows whether they were sent, by their ids, at most `limit` behind `after`.
    async fn unknown(
        &self,
        shop: &ShopId,
        after: Option<NotificationId>,
        limit: u32,
    ) -> StoreResult<Vec<Unknown>>;

    /// Ends what is unknown as an operator says, and leaves a line in the trace. Of several who end the same at the same moment one
    /// does; the others are told.
    async fn resolve(&self, shop: &ShopId, said: Said) -> StoreResult<Resolved>;
}

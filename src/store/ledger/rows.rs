//! How values lie in rows: times as microseconds, ids as bytes, words as words.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::session::{Found, Row, blob, corrupt, row};
use crate::domain::channel::{Category, Channel};
use crate::domain::id::{AttemptId, MessageId, NotificationId};
use crate::domain::notification::{Attempt, Message};
use crate::domain::reason::Status;
use crate::domain::shop::{CallerId, CustomerId, Identity, ShopId};
use crate::store::StoreResult;

/// The columns of a notification's row, in the order that [`Head::read`] expects; `n` is the table's alias.
macro_rules! head_columns {
    () => {
        "n.id, n.shop, n.caller, n.customer, n.category, n.topic, n.template, n.accepted_bundle, n.bundle, n.state, \
         n.reason, n.task, n.due_at, n.expire_time, n.event_time, n.create_time, n.update_time, n.collapse_key, \
         n.cancellation_key, n.reference"
    };
}
pub(super) use head_columns;

/// The columns of a message, in the order that [`Letter::read`] expects; `m` is the table's alias.
macro_rules! message_columns {
    () => {
        "m.id, m.notification, m.channel, m.address, m.digest, m.lane, m.state, m.fence, m.tries, m.maybe_sent, m.due_at, \
         m.provider, m.provider_message_id, m.variant, m.sms_segments, m.fallback"
    };
}
pub(super) use message_columns;

/// An instant as the store keeps it: whole microseconds, so that what is answered is what is read again.
pub(super) fn cut(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant)
}

pub(super) fn time(micros: i64) -> StoreResult<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(corrupt)
}

pub(super) fn word<T>(text: &str) -> StoreResult<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(corrupt)
}

pub(super) fn to_json(value: &impl Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(corrupt)
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> StoreResult<T> {
    serde_json::from_str(text).map_err(corrupt)
}

pub(super) fn notification_id(bytes: &[u8]) -> StoreResult<NotificationId> {
    NotificationId::from_slice(bytes).ok_or_else(|| corrupt("an id that is not 16 bytes long"))
}

pub(super) fn message_id(bytes: &[u8]) -> StoreResult<MessageId> {
    MessageId::from_slice(bytes).ok_or_else(|| corrupt("an id that is not 16 bytes long"))
}

pub(super) fn count(number: i64) -> StoreResult<u32> {
    u32::try_from(number).map_err(corrupt)
}

/// What is to be done about a notification at its `due_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Decide.
    Plan,
    /// End what is held as unknown.
    Unknown,
}

impl Task {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Unknown => "unknown",
        }
    }

    fn read(word: &str) -> StoreResult<Self> {
        match word {
            "plan" => Ok(Self::Plan),
            "unknown" => Ok(Self::Unknown),
            _ => Err(corrupt(format!("{word:?} is not a task"))),
        }
    }
}

/// The row of a notification: all that routing, ranking and ending it needs.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: NotificationId,
    pub(super) identity: Identity,
    pub(super) customer: CustomerId,
    pub(super) category: Category,
    pub(super) topic: String,
    pub(super) template: String,
    pub(super) accepted_bundle: String,
    pub(super) bundle: String,
    pub(super) status: Status,
    pub(super) task: Option<Task>,
    pub(super) due_at: Option<Timestamp>,
    pub(super) expire_time: Timestamp,
    pub(super) event_time: Timestamp,
    pub(super) create_time: Timestamp,
    pub(super) update_time: Timestamp,
    pub(super) collapse_key: String,
    pub(super) cancellation_key: String,
    pub(super) reference: String,
}

impl Head {
    pub(super) fn read(row: &Found<'_>) -> StoreResult<Self> {
        let text = |index: usize| row.get::<String>(index);
        let instant = |index: usize| -> StoreResult<Timestamp> { time(row.get(index)?) };
        Ok(Self {
            id: notification_id(blob(row, 0)?)?,
            identity: Identity {
                shop: ShopId::new(text(1)?),
                caller: CallerId::new(text(2)?),
            },
            customer: CustomerId::new(text(3)?),
            category: word(&text(4)?)?,
            topic: text(5)?,
            template: text(6)?,
            accepted_bundle: text(7)?,
            bundle: text(8)?,
            status: Status {
                state: word(&text(9)?)?,
                reason: word(&text(10)?)?,
            },
            task: row
                .get::<Option<String>>(11)?
                .map(|task| Task::read(&task))
                .transpose()?,
            due_at: row.get::<Option<i64>>(12)?.map(time).transpose()?,
            expire_time: instant(13)?,
            event_time: instant(14)?,
            create_time: instant(15)?,
            update_time: instant(16)?,
            collapse_key: text(17)?,
            cancellation_key: text(18)?,
            reference: text(19)?,
        })
    }

    /// The row: the columns of [`head_columns`], then the lane.
    pub(super) fn row(&self) -> Row {
        row![
            self.id.as_bytes(),
            &self.identity.shop,
            &self.identity.caller,
            &self.customer,
            self.category.as_str(),
            &self.topic,
            &self.template,
            &self.accepted_bundle,
            &self.bundle,
            self.status.state.as_str(),
            self.status.reason.as_str(),
            self.task.map(Task::as_str),
            self.due_at,
            self.expire_time,
            self.event_time,
            self.create_time,
            self.update_time,
            &self.collapse_key,
            &self.cancellation_key,
            &self.reference,
            self.category.lane().as_str(),
        ]
    }

    /// What changes while it is open: bundle, state, reason, task, due time, update time; then the id.
    pub(super) fn change(&self) -> Row {
        row![
            &self.bundle,
            self.status.state.as_str(),
            self.status.reason.as_str(),
            self.task.map(Task::as_str),
            self.due_at,
            self.update_time,
            self.id.as_bytes(),
        ]
    }
}

/// A message with what only the store knows of it.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) message: Message,
    /// Keyed hash of the address.
    pub(super) digest: String,
    /// A try ended without an answer.
    pub(super) maybe_sent: bool,
}

impl Letter {
    pub(super) fn read(row: &Found<'_>) -> StoreResult<Self> {
        let text = |index: usize| row.get::<String>(index);
        let channel: Channel = word(&text(2)?)?;
        // Checked when it was made; an erased one is empty and would not pass again.
        let address = serde_json::from_value(json!({"channel": channel, "text": text(3)?}))
            .map_err(corrupt)?;
        Ok(Self {
            message: Message {
                id: message_id(blob(row, 0)?)?,
                notification: notification_id(blob(row, 1)?)?,
                channel,
                address,
                lane: word(&text(5)?)?,
                state: word(&text(6)?)?,
                fence: row.get(7)?,
                tries: count(row.get(8)?)?,
                due_at: time(row.get(10)?)?,
                provider: text(11)?,
                provider_message_id: text(12)?,
                variant: text(13)?,
                sms_segments: count(row.get(14)?)?,
                fallback: from_json(&text(15)?)?,
            },
            digest: text(4)?,
            maybe_sent: row.get(9)?,
        })
    }

    /// What it would be called on the suppression list.
    pub(super) fn address_key(&self, shop: &ShopId) -> (ShopId, Channel, String) {
        (shop.clone(), self.message.channel, self.digest.clone())
    }

    /// The row: the columns of [`message_columns`], then the shop.
    pub(super) fn row(&self, shop: &ShopId) -> StoreResult<Row> {
        let message = &self.message;
        Ok(row![
            message.id.as_bytes(),
            message.notification.as_bytes(),
            message.channel.as_str(),
            message.address.reveal(),
            &self.digest,
            message.lane.as_str(),
            message.state.as_str(),
            message.fence,
            message.tries,
            self.maybe_sent,
            message.due_at,
            &message.provider,
            &message.provider_message_id,
            &message.variant,
            message.sms_segments,
            to_json(&message.fallback)?,
            shop,
        ])
    }

    /// What changes: state, fence, tries, doubt, due time, provider and its id, segments; then the id.
    pub(super) fn change(&self) -> Row {
        let message = &self.message;
        row![
            message.state.as_str(),
            message.fence,
            message.tries,
            self.maybe_sent,
            message.due_at,
            &message.provider,
            &message.provider_message_id,
            message.sms_segments,
            message.id.as_bytes(),
        ]
    }
}

/// Reads `message, id, provider, start_time, end_time, number, result, reply, content_hash`.
pub(super) fn attempt(row: &Found<'_>) -> StoreResult<Attempt> {
    Ok(Attempt {
        message: message_id(blob(row, 0)?)?,
        id: AttemptId::from_slice(blob(row, 1)?)
            .ok_or_else(|| corrupt("an id that is not 16 bytes long"))?,
        provider: row.get(2)?,
        start_time: time(row.get(3)?)?,
        end_time: row.get::<Option<i64>>(4)?.map(time).transpose()?,
        number: count(row.get(5)?)?,
        result: word(&row.get::<String>(6)?)?,
        reply: row.get(7)?,
        content_hash: row.get(8)?,
    })
}

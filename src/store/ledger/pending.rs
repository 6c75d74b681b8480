//! What is to be done: ready messages, what a worker needs of them, and when something is due next.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::facts::{customer_key, load_customers, with_contact};
use super::lookup;
use super::rows::{Letter, message_columns, time};
use super::session::{Dialect, Session, Statement, bind, blob, corrupt, message_list, row, select};
use super::statement::by_ids;
use crate::domain::channel::{Channel, Lane};
use crate::domain::customer::Customer;
use crate::domain::id::MessageId;
use crate::store::{Published, Ready, StoreResult, Work};

pub(super) const READY: Statement<'_> = Statement {
    sqlite: "SELECT m.id, m.fence, m.due_at FROM message m WHERE m.state = 'queued' AND m.channel = ?1 \
        AND m.lane = ?2 AND m.due_at BETWEEN ?3 AND ?4 ORDER BY m.due_at LIMIT ?5",
    postgres: "WITH picked AS (SELECT m.id FROM message m WHERE m.state = 'queued' AND m.published_at IS NULL \
        AND m.channel = ?1 AND m.lane = ?2 AND ?3::bigint IS NOT NULL AND m.due_at <= ?4 ORDER BY m.due_at LIMIT ?5 \
        FOR UPDATE SKIP LOCKED), marked AS (UPDATE message m SET published_at = (extract(epoch from clock_timestamp()) * 1000000)::bigint \
        FROM picked WHERE m.id = picked.id RETURNING m.id, m.fence, m.due_at) SELECT id, fence, due_at FROM marked ORDER BY due_at",
};
/// What the queue was given and still has, counted no further than a window goes.
pub(super) const PUBLISHED: Statement<'_> = Statement {
    sqlite: "SELECT 0, NULL",
    postgres: "SELECT count(*), min(p.published_at) FROM (SELECT m.published_at FROM message m WHERE m.state = 'queued' \
        AND m.published_at IS NOT NULL AND m.channel = ?1 AND m.lane = ?2 ORDER BY m.published_at LIMIT 10001) p",
};
pub(super) const PUBLISH_AGAIN: Statement<'_> = Statement {
    sqlite: "",
    postgres: "WITH late AS (SELECT m.id FROM message m WHERE m.state = 'queued' AND m.published_at IS NOT NULL AND m.channel = ?1 \
        AND m.lane = ?2 AND m.published_at < (extract(epoch from clock_timestamp()) * 1000000)::bigint - ?3 \
        ORDER BY m.published_at LIMIT 10001 FOR UPDATE SKIP LOCKED) \
        UPDATE message m SET published_at = NULL FROM late WHERE m.id = late.id",
};
pub(super) const NOT_PUBLISHED: Statement<'_> = Statement {
    sqlite: "",
    postgres: "UPDATE message m SET published_at = NULL WHERE m.published_at IS NOT NULL \
        AND m.id = ANY (ARRAY(SELECT jsonb_array_elements_text(?1::text::jsonb)::uuid))",
};
pub(super) const OPEN_MESSAGES: Statement<'_> = by_ids!(
    message_columns!(),
    "message" "m",
    "m.id",
    "",
    " AND m.state IN ('queued', 'sending')",
    ""
);
pub(super) const NEXT_TASK: Statement<'_> = Statement {
    sqlite: "SELECT min((SELECT n.due_at FROM notification n WHERE n.task = t.value AND n.lane = l.value \
        AND n.task IS NOT NULL ORDER BY n.due_at LIMIT 1)) FROM json_each(?1) l, json_each('[\"plan\",\"unknown\"]') t",
    postgres: "SELECT min((SELECT n.due_at FROM notification n WHERE n.task = t.value AND n.lane = l.value AND n.task IS NOT NULL \
        ORDER BY n.due_at LIMIT 1)) FROM jsonb_array_elements_text(?1::text::jsonb) l (value), unnest(ARRAY['plan', 'unknown']) t (value)",
};
pub(super) const NEXT_MESSAGE: Statement<'_> = Statement {
    sqlite: "SELECT min((SELECT m.due_at FROM message m WHERE m.state = 'queued' AND m.channel = c.value \
        AND m.lane = l.value ORDER BY m.due_at LIMIT 1)) FROM json_each(?1) l, json_each(?2) c",
    postgres: "SELECT min((SELECT m.due_at FROM message m WHERE m.state = 'queued' AND m.published_at IS NULL \
        AND m.channel = c.value AND m.lane = l.value ORDER BY m.due_at LIMIT 1)) \
        FROM jsonb_array_elements_text(?1::text::jsonb) l (value), jsonb_array_elements_text(?2::text::jsonb) c (value)",
};

pub(super) fn ready(
    session: &mut dyn Session,
    channel: Channel,
    lane: Lane,
    since: Option<Timestamp>,
    now: Timestamp,
    limit: u32,
) -> StoreResult<Vec<Ready>> {
    let since = since.map_or(i64::MIN, Timestamp::as_microsecond);
    let parameters = row![channel.as_str(), lane.as_str(), since, now, limit];
    select(session, READY, &parameters, |row| {
        Ok(Ready {
            message: MessageId::from_slice(blob(row, 0)?)
                .ok_or_else(|| corrupt("an id that is not 16 bytes long"))?,
            fence: row.get(1)?,
            channel,
            lane,
            due_at: time(row.get(2)?)?,
        })
    })
}

pub(super) fn work(session: &mut dyn Session, messages: &[MessageId]) -> StoreResult<Vec<Work>> {
    let letters = select(
        session,
        OPEN_MESSAGES,
        &bind![message_list(messages)],
        Letter::read,
    )?;
    let ids: BTreeSet<_> = letters
        .iter()
        .map(|letter| letter.message.notification)
        .collect();
    let notifications: HashMap<_, _> = lookup::notifications(session, &ids, true)?
        .into_iter()
        .map(|notification| (notification.id, notification))
        .collect();
    let keys: BTreeSet<_> = notifications.values().map(customer_key).collect();
    let keys = Value::from_iter(keys.into_iter().map(|(shop, id)| json!([shop, id])));
    let customers: HashMap<_, _> = load_customers(session, keys.to_string())?
        .into_iter()
        .collect();
    Ok(letters
        .into_iter()
        .filter_map(|letter| {
            let notification = notifications.get(&letter.message.notification)?.clone();
            let customer = customers
                .get(&customer_key(&notification))
                .cloned()
                .unwrap_or_else(|| {
                    let id = notification.intent.customer.clone();
                    Customer::unknown(id, notification.create_time)
                });
            Some(Work {
                message: letter.message,
                customer: with_contact(customer, &notification),
                notification,
            })
        })
        .collect())
}

pub(super) fn next_due(session: &mut dyn Session) -> StoreResult<Option<Timestamp>> {
    let lanes = json!(Lane::ALL).to_string();
    let channels = json!(Channel::ALL).to_string();
    let least = |found: Vec<Option<i64>>| found.into_iter().flatten().min();
    let task = select(session, NEXT_TASK, &bind![&lanes], |row| row.get(0))?;
    let message = select(session, NEXT_MESSAGE, &bind![lanes, channels], |row| {
        row.get(0)
    })?;
    least(task.into_iter().chain(message).collect())
        .map(time)
        .transpose()
}

pub(super) fn published(
    session: &mut dyn Session,
    channel: Channel,
    lane: Lane,
) -> StoreResult<Published> {
    let which = match session.dialect() {
        Dialect::Sqlite => Vec::new(),
        Dialect::Postgres => row![channel.as_str(), lane.as_str()],
    };
    let found = select(session, PUBLISHED, &which, |row| {
        Ok(Published {
            count: row.get(0)?,
            oldest: row.get::<Option<i64>>(1)?.map(time).transpose()?,
        })
    })?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// An in-process queue knows itself what it holds, so only a shared store has marks to take back.
pub(super) fn publish_again(
    session: &mut dyn Session,
    channel: Channel,
    lane: Lane,
    older_than: Duration,
) -> StoreResult<usize> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let micros = i64::try_from(older_than.as_micros()).map_err(corrupt)?;
    session.execute(
        &PUBLISH_AGAIN,
        &bind![channel.as_str(), lane.as_str(), micros],
    )
}

pub(super) fn not_published(session: &mut dyn Session, messages: &[MessageId]) -> StoreResult<()> {
    if session.dialect() == Dialect::Postgres && !messages.is_empty() {
        session.execute(&NOT_PUBLISHED, &bind![message_list(messages)])?;
    }
    Ok(())
}

//! What is to be done: ready messages, what a worker needs of them, and when something is due next.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::error::corrupt;
use super::facts::{customer_key, load_customers, with_contact};
use super::lookup;
use super::rows::{Letter, message_columns, message_list, time};
use crate::domain::channel::{Channel, Lane};
use crate::domain::customer::Customer;
use crate::domain::id::MessageId;
use crate::store::{Ready, StoreResult, Work};

pub(super) const READY: &str = "SELECT m.id, m.fence FROM message m WHERE m.state = 'queued' AND m.channel = ?1 AND m.lane = ?2 \
    AND m.due_at <= ?3 ORDER BY m.due_at LIMIT ?4";
pub(super) const OPEN_MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM json_each(?1) j CROSS JOIN message m ON m.id = unhex(j.value) \
     WHERE m.state IN ('queued', 'sending')"
);
pub(super) const NEXT_TASK: &str = "SELECT min((SELECT n.due_at FROM notification n WHERE n.task = t.value AND n.lane = l.value \
    AND n.task IS NOT NULL ORDER BY n.due_at LIMIT 1)) FROM json_each(?1) l, json_each('[\"plan\",\"unknown\"]') t";
pub(super) const NEXT_MESSAGE: &str = "SELECT min((SELECT m.due_at FROM message m WHERE m.state = 'queued' \
    AND m.channel = c.value AND m.lane = l.value ORDER BY m.due_at LIMIT 1)) FROM json_each(?1) l, json_each(?2) c";

pub(super) async fn ready(
    conn: &mut SqliteConnection,
    channel: Channel,
    lane: Lane,
    now: Timestamp,
    limit: u32,
) -> StoreResult<Vec<Ready>> {
    sqlx::query(READY)
        .bind(channel.as_str())
        .bind(lane.as_str())
        .bind(now.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            Ok(Ready {
                message: MessageId::from_slice(&row.try_get::<Vec<u8>, _>(0)?)
                    .ok_or_else(|| corrupt("an id that is not 16 bytes long"))?,
                fence: row.try_get(1)?,
                channel,
                lane,
            })
        })
        .collect()
}

pub(super) async fn work(
    conn: &mut SqliteConnection,
    messages: &[MessageId],
) -> StoreResult<Vec<Work>> {
    let letters = sqlx::query(OPEN_MESSAGES)
        .bind(message_list(messages))
        .fetch_all(&mut *conn)
        .await?
        .iter()
        .map(Letter::read)
        .collect::<StoreResult<Vec<_>>>()?;
    let ids: BTreeSet<_> = letters
        .iter()
        .map(|letter| letter.message.notification)
        .collect();
    let notifications: HashMap<_, _> = lookup::notifications(conn, &ids, true)
        .await?
        .into_iter()
        .map(|notification| (notification.id, notification))
        .collect();
    let keys: BTreeSet<_> = notifications.values().map(customer_key).collect();
    let keys = Value::from_iter(keys.into_iter().map(|(shop, id)| json!([shop, id])));
    let customers: HashMap<_, _> = load_customers(conn, keys.to_string())
        .await?
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

pub(super) async fn next_due(conn: &mut SqliteConnection) -> StoreResult<Option<Timestamp>> {
    let lanes = json!(Lane::ALL).to_string();
    let channels = json!(Channel::ALL).to_string();
    let task: Option<i64> = sqlx::query(NEXT_TASK)
        .bind(lanes.as_str())
        .fetch_one(&mut *conn)
        .await?
        .try_get(0)?;
    let message: Option<i64> = sqlx::query(NEXT_MESSAGE)
        .bind(lanes)
        .bind(channels)
        .fetch_one(conn)
        .await?
        .try_get(0)?;
    task.into_iter().chain(message).min().map(time).transpose()
}

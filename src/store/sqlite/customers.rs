//! Customers, suppressions, outcomes: each change sends back to the planner what was decided on what was known before.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::error::corrupt;
use super::facts::{AddressKey, load_customers};
use super::rows::{Many, Row, cut, find_ids, row, time, to_json, word};
use super::unit::Unit;
use super::writer::Tx;
use crate::domain::customer::{Customer, CustomerId};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::ShopId;
use crate::store::{Change, StoreResult, Suppression};

const SET_CUSTOMER: Many = Many::new(
    "INSERT INTO customer (shop, id, profile, preferences, revision, update_time) VALUES ",
    " ON CONFLICT (shop, id) DO UPDATE SET profile = excluded.profile, preferences = excluded.preferences, \
     revision = excluded.revision, update_time = excluded.update_time",
);
const INSERT_CONSENT: Many = Many::new(
    "INSERT INTO consent (shop, customer, entry, record_time) VALUES ",
    "",
);
pub(super) const OPEN_BY_CUSTOMER: &str = "SELECT n.id FROM json_each(?1) j CROSS JOIN notification n \
    ON n.shop = j.value->>0 AND n.customer = j.value->>1";
pub(super) const OPEN_BY_DIGEST: &str = "SELECT DISTINCT m.notification FROM json_each(?1) j CROSS JOIN message m \
    ON m.shop = j.value->>0 AND m.channel = j.value->>1 AND m.digest = j.value->>2 WHERE m.state = 'queued'";
const INSERT_SUPPRESSION: &str = "INSERT INTO suppression (shop, channel, digest, reason, create_time) \
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (shop, channel, digest) DO NOTHING";
const INSERT_OUTCOME: &str = "INSERT INTO outcome (shop, customer, name, time) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (shop, customer, name) DO NOTHING";

pub(super) async fn change(
    tx: &mut Tx,
    shop: &ShopId,
    changes: &[(CustomerId, Change)],
    now: Timestamp,
) -> StoreResult<Vec<Result<Customer, Rejection>>> {
    let ids = changes.iter().map(|(id, _)| id);
    let stored = load_customers(&mut tx.conn, customer_list(shop, ids)).await?;
    let mut customers: BTreeMap<_, _> = stored
        .into_iter()
        .map(|((_, id), customer)| (id, customer))
        .collect();
    let mut changed = BTreeSet::new();
    let mut consents = Vec::new();
    let mut answers = Vec::with_capacity(changes.len());
    for (id, change) in changes {
        let before = customers.get(id);
        let answer = compute(id, before, change, now);
        if let Ok(after) = &answer
            && before != Some(after)
        {
            consents.extend(new_consents(shop, before, after, now)?);
            changed.insert(id.clone());
            customers.insert(id.clone(), after.clone());
        }
        answers.push(answer);
    }
    let rows = changed
        .iter()
        .filter_map(|id| customers.get(id))
        .map(|customer| customer_row(shop, customer))
        .collect::<StoreResult<Vec<_>>>()?;
    SET_CUSTOMER.write(&mut tx.conn, rows).await?;
    INSERT_CONSENT.write(&mut tx.conn, consents).await?;
    decide_again(tx, shop, &changed, now).await?;
    Ok(answers)
}

/// The customer after the change, with the store's own fields; equal to `before` when nothing has changed.
fn compute(
    id: &CustomerId,
    before: Option<&Customer>,
    change: &Change,
    now: Timestamp,
) -> Result<Customer, Rejection> {
    let mut after =
        std::panic::catch_unwind(AssertUnwindSafe(|| change(before))).unwrap_or_else(|_| {
            Err(Rejection::new(
                RejectionReason::Internal,
                "the change could not be computed",
            ))
        })?;
    after.id = id.clone();
    after.revision = before.map_or(1, |before| before.revision);
    after.update_time = before.map_or(cut(now), |before| before.update_time);
    if before.is_some_and(|before| *before != after) {
        after.revision += 1;
        after.update_time = cut(now);
    }
    Ok(after)
}

fn new_consents(
    shop: &ShopId,
    before: Option<&Customer>,
    after: &Customer,
    now: Timestamp,
) -> StoreResult<Vec<Row>> {
    let known = before.map_or(&[][..], |before| &before.preferences.consents);
    after
        .preferences
        .consents
        .iter()
        .filter(|consent| !known.contains(consent))
        .map(|consent| {
            let entry = to_json(consent)?;
            Ok(row![shop, &after.id, entry, now])
        })
        .collect()
}

fn customer_row(shop: &ShopId, customer: &Customer) -> StoreResult<Row> {
    Ok(row![
        shop,
        &customer.id,
        to_json(&customer.profile)?,
        to_json(&customer.preferences)?,
        customer.revision,
        customer.update_time,
    ])
}

/// Customers of a shop as one parameter.
pub(super) fn customer_list<'a>(
    shop: &ShopId,
    ids: impl IntoIterator<Item = &'a CustomerId>,
) -> String {
    Value::from_iter(ids.into_iter().map(|id| json!([shop, id]))).to_string()
}

/// Sends back to the planner what is open of these customers and has not been handed over.
async fn decide_again(
    tx: &mut Tx,
    shop: &ShopId,
    ids: &BTreeSet<CustomerId>,
    now: Timestamp,
) -> StoreResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let list = customer_list(shop, ids);
    let open = find_ids(&mut tx.conn, OPEN_BY_CUSTOMER, list).await?;
    let mut unit = Unit::default();
    unit.load(tx, &open).await?;
    for open in unit.iter_mut() {
        open.decide_again(now);
    }
    unit.flush(tx).await
}

/// Puts an address on the suppression list; the first reason stays. What waits for it is decided again: the messages to it,
/// and what has no message yet of the customer whose address it is known to be.
pub(super) async fn suppress(
    tx: &mut Tx,
    key: &AddressKey,
    owner: Option<&CustomerId>,
    reason: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let (shop, channel, digest) = key;
    sqlx::query(INSERT_SUPPRESSION)
        .bind(shop.as_str())
        .bind(channel.as_str())
        .bind(digest)
        .bind(reason)
        .bind(now.as_microsecond())
        .execute(&mut tx.conn)
        .await?;
    let list = serde_json::to_string(&[key]).map_err(corrupt)?;
    let waiting = find_ids(&mut tx.conn, OPEN_BY_DIGEST, list).await?;
    let held = find_ids(&mut tx.conn, OPEN_BY_CUSTOMER, customer_list(shop, owner)).await?;
    let mut unit = Unit::default();
    unit.load(tx, &waiting).await?;
    unit.load(tx, &held).await?;
    for open in unit.iter_mut() {
        if open.held.is_empty() || waiting.contains(&open.head.id) {
            open.decide_again(now);
        }
    }
    unit.flush(tx).await
}

pub(super) async fn record_outcome(
    tx: &mut Tx,
    shop: &ShopId,
    id: &CustomerId,
    outcome: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let done = sqlx::query(INSERT_OUTCOME)
        .bind(shop.as_str())
        .bind(id.as_str())
        .bind(outcome)
        .bind(now.as_microsecond())
        .execute(&mut tx.conn)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    decide_again(tx, shop, &BTreeSet::from([id.clone()]), now).await
}

pub(super) const SUPPRESSIONS: &str = "SELECT channel, digest, reason, create_time FROM suppression WHERE shop = ?1 \
    ORDER BY create_time DESC LIMIT ?2";

/// The suppression list, newest first.
pub(super) async fn suppressions(
    conn: &mut SqliteConnection,
    shop: &ShopId,
    limit: u32,
) -> StoreResult<Vec<Suppression>> {
    sqlx::query(SUPPRESSIONS)
        .bind(shop.as_str())
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            Ok(Suppression {
                channel: word(&row.try_get::<String, _>(0)?)?,
                digest: row.try_get(1)?,
                reason: row.try_get(2)?,
                create_time: time(row.try_get(3)?)?,
            })
        })
        .collect()
}

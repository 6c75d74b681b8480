//! Customers, suppressions, outcomes: each change sends back to the planner what was decided on what was known before.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::batch::Tx;
use super::facts::{AddressKey, load_customers};
use super::locks::{hold, hold_owners};
use super::rows::{cut, time, to_json, word};
use super::session::{Row, Session, Statement, bind, corrupt, find_ids, row, select, write};
use super::statement::{by_keys, insert};
use super::unit::Unit;
use crate::domain::customer::{Customer, CustomerId};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::ShopId;
use crate::store::{Change, StoreResult, Suppression};

const SET_CUSTOMER: Statement<'_> = insert!(
    "customer",
    ["shop" text, "id" text, "profile" text, "preferences" text, "revision" bigint, "update_time" bigint],
    " ON CONFLICT (shop, id) DO UPDATE SET profile = excluded.profile, preferences = excluded.preferences, \
     revision = excluded.revision, update_time = excluded.update_time"
);
const INSERT_CONSENT: Statement<'_> = insert!(
    "consent",
    ["shop" text, "customer" text, "entry" text, "record_time" bigint]
);
pub(super) const OPEN_BY_CUSTOMER: Statement<'_> =
    by_keys!("n.id", "notification" "n", ["n.shop", "n.customer"]);
pub(super) const OPEN_BY_DIGEST: Statement<'_> = by_keys!(
    "DISTINCT m.notification",
    "message" "m",
    ["m.shop", "m.channel", "m.digest"],
    " AND m.state = 'queued'",
    ""
);
const INSERT_SUPPRESSION: Statement<'_> = insert!(
    "suppression",
    ["shop" text, "channel" text, "digest" text, "reason" text, "create_time" bigint],
    " ON CONFLICT (shop, channel, digest) DO NOTHING"
);
const INSERT_OUTCOME: Statement<'_> = insert!(
    "outcome",
    ["shop" text, "customer" text, "name" text, "time" bigint],
    " ON CONFLICT (shop, customer, name) DO NOTHING"
);

pub(super) fn change(
    tx: &mut Tx<'_>,
    shop: &ShopId,
    changes: &[(CustomerId, Change)],
    now: Timestamp,
) -> StoreResult<Vec<Result<Customer, Rejection>>> {
    let ids = changes.iter().map(|(id, _)| id);
    let held = ids.clone().map(|id| (shop.clone(), id.clone())).collect();
    hold(tx, &held)?;
    let stored = load_customers(tx.session, customer_list(shop, ids))?;
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
    write(tx.session, SET_CUSTOMER, rows)?;
    write(tx.session, INSERT_CONSENT, consents)?;
    decide_again(tx, shop, &changed, now)?;
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
fn decide_again(
    tx: &mut Tx<'_>,
    shop: &ShopId,
    ids: &BTreeSet<CustomerId>,
    now: Timestamp,
) -> StoreResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let list = customer_list(shop, ids);
    let open = find_ids(tx.session, OPEN_BY_CUSTOMER, &bind![list])?;
    let mut unit = Unit::default();
    unit.load(tx, &open)?;
    for open in unit.iter_mut() {
        open.decide_again(now);
    }
    unit.flush(tx)
}

/// An address that nothing is sent to any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Dead {
    pub(super) address: AddressKey,
    /// The customer whose address it is known to be.
    pub(super) owner: Option<CustomerId>,
    pub(super) reason: String,
    pub(super) since: Timestamp,
}

/// Puts addresses on the suppression list; the first reason stays.
pub(super) fn list(tx: &mut Tx<'_>, dead: &[Dead]) -> StoreResult<()> {
    let mut rows: Vec<_> = dead.iter().collect();
    rows.sort_unstable();
    let rows = rows
        .into_iter()
        .map(|dead| {
            let (shop, channel, digest) = &dead.address;
            row![shop, channel.as_str(), digest, &dead.reason, dead.since]
        })
        .collect();
    write(tx.session, INSERT_SUPPRESSION, rows).map(drop)
}

/// Puts an address on the list and decides again what waits for it.
pub(super) fn suppress(tx: &mut Tx<'_>, dead: &Dead) -> StoreResult<()> {
    list(tx, std::slice::from_ref(dead))?;
    reconsider(tx, dead)
}

/// Decides again what waits for a dead address: the messages to it, and what has no message yet of the customer whose it is.
pub(super) fn reconsider(tx: &mut Tx<'_>, dead: &Dead) -> StoreResult<()> {
    let (shop, ..) = &dead.address;
    let address = serde_json::to_string(&[&dead.address]).map_err(corrupt)?;
    let waiting = find_ids(tx.session, OPEN_BY_DIGEST, &bind![address])?;
    let owner = customer_list(shop, &dead.owner);
    let mut all = find_ids(tx.session, OPEN_BY_CUSTOMER, &bind![owner])?;
    all.extend(&waiting);
    hold_owners(tx, &all)?;
    let mut unit = Unit::default();
    unit.load(tx, &all)?;
    for open in unit.iter_mut() {
        if open.held.is_empty() || waiting.contains(&open.head.id) {
            open.decide_again(dead.since);
        }
    }
    unit.flush(tx)
}

pub(super) fn record_outcome(
    tx: &mut Tx<'_>,
    shop: &ShopId,
    id: &CustomerId,
    outcome: &str,
    now: Timestamp,
) -> StoreResult<()> {
    hold(tx, &BTreeSet::from([(shop.clone(), id.clone())]))?;
    let entry = row![shop, id, outcome, now];
    if write(tx.session, INSERT_OUTCOME, vec![entry])? == 0 {
        return Ok(());
    }
    decide_again(tx, shop, &BTreeSet::from([id.clone()]), now)
}

pub(super) const SUPPRESSIONS: Statement<'_> = Statement::same(
    "SELECT channel, digest, reason, create_time FROM suppression WHERE shop = ?1 ORDER BY create_time DESC LIMIT ?2",
);

/// The suppression list, newest first.
pub(super) fn suppressions(
    session: &mut dyn Session,
    shop: &ShopId,
    limit: u32,
) -> StoreResult<Vec<Suppression>> {
    select(session, SUPPRESSIONS, &bind![shop, limit], |row| {
        Ok(Suppression {
            channel: word(&row.get::<String>(0)?)?,
            digest: row.get(1)?,
            reason: row.get(2)?,
            create_time: time(row.get(3)?)?,
        })
    })
}

//! Erasing a customer: what was known of the person goes, what happened stays under a pseudonym that leads nowhere.
//!
//! A message that is just being handed over ends as it will; it is neither tried again nor sent elsewhere. What is freed in
//! the file is overwritten (`secure_delete`), and the log is folded in and cut after the commit.

use jiff::Timestamp;
use sqlx::Row as _;

use super::customers::{OPEN_BY_CUSTOMER, customer_list};
use super::facts::digest;
use super::open::{Change, Charge, ERASED_PREFIX, Open};
use super::rows::{Many, Row, find_ids, from_json, id_list, row, to_json};
use super::unit::Unit;
use super::writer::Tx;
use crate::domain::customer::CustomerId;
use crate::domain::decision::Decision;
use crate::domain::id::NotificationId;
use crate::domain::intent::Intent;
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::ShopId;
use crate::store::StoreResult;

/// How many notifications are made anonymous in one go.
const AT_ONCE: usize = 500;

pub(super) const ENDED_BY_CUSTOMER: &str = "SELECT h.id FROM json_each(?1) j CROSS JOIN history h \
    ON h.shop = j.value->>0 AND h.customer = j.value->>1";
pub(super) const DETAILS: &str = "SELECT d.notification, d.intent, d.decision FROM json_each(?1) j \
    CROSS JOIN detail d ON d.notification = unhex(j.value)";
pub(super) const SET_DETAIL: Many = Many::new(
    "UPDATE detail AS d SET intent = j.column2, decision = j.column3 FROM (VALUES ",
    ") AS j WHERE d.notification = j.column1",
);
pub(super) const SET_OPEN: Many = Many::new(
    "UPDATE notification AS n SET customer = j.column2, collapse_key = '', cancellation_key = '', reference = '' FROM (VALUES ",
    ") AS j WHERE n.id = j.column1",
);
pub(super) const SET_ENDED: Many = Many::new(
    "UPDATE history AS h SET customer = j.column2, collapse_key = '', cancellation_key = '', reference = '' FROM (VALUES ",
    ") AS j WHERE h.id = j.column1",
);
pub(super) const DROP_CONTENT: &str =
    "DELETE FROM content WHERE notification IN (SELECT unhex(value) FROM json_each(?1))";
pub(super) const CLEAR_MESSAGES: &str = "UPDATE message SET address = '', digest = '' \
    WHERE notification IN (SELECT unhex(value) FROM json_each(?1))";
pub(super) const CLEAR_ATTEMPTS: &str = "UPDATE attempt SET reply = '' WHERE message IN \
    (SELECT m.id FROM json_each(?1) j CROSS JOIN message m ON m.notification = unhex(j.value))";
/// What is about the customer and not about a notification.
pub(super) const DROPS: [&str; 5] = [
    "DELETE FROM consent WHERE shop = ?1 AND customer = ?2",
    "DELETE FROM outcome WHERE shop = ?1 AND customer = ?2",
    "DELETE FROM collapse WHERE shop = ?1 AND customer = ?2",
    "DELETE FROM usage WHERE shop = ?1 AND customer = ?2",
    "DELETE FROM customer WHERE shop = ?1 AND id = ?2",
];

pub(super) async fn run(
    tx: &mut Tx,
    shop: &ShopId,
    id: &CustomerId,
    now: Timestamp,
) -> StoreResult<Option<u32>> {
    call_off_open(tx, shop, id, now).await?;
    let list = customer_list(shop, [id]);
    let open = find_ids(&mut tx.conn, OPEN_BY_CUSTOMER, list.clone()).await?;
    let ended = find_ids(&mut tx.conn, ENDED_BY_CUSTOMER, list).await?;
    let all: Vec<_> = open.iter().chain(&ended).copied().collect();
    let who = digest(&tx.secret, "customer", &format!("{shop}:{id}"));
    let pseudonym = CustomerId::new(format!(
        "{ERASED_PREFIX}{}",
        who.chars().take(32).collect::<String>()
    ));
    for some in all.chunks(AT_ONCE) {
        anonymise(tx, some, &pseudonym).await?;
    }
    let mut known = 0;
    for statement in DROPS {
        let done = sqlx::query(statement)
            .bind(shop.as_str())
            .bind(id.as_str())
            .execute(&mut tx.conn)
            .await?;
        known += done.rows_affected();
    }
    tx.scrub = true;
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    Ok((known > 0 || count > 0).then_some(count))
}

async fn call_off_open(
    tx: &mut Tx,
    shop: &ShopId,
    id: &CustomerId,
    now: Timestamp,
) -> StoreResult<()> {
    let list = customer_list(shop, [id]);
    let open = find_ids(&mut tx.conn, OPEN_BY_CUSTOMER, list).await?;
    let mut unit = Unit::default();
    unit.load(tx, &open).await?;
    for open in unit.iter_mut() {
        open.call_off(Status::from(Reason::Cancelled), now);
        forget_charge(open);
    }
    unit.flush(tx).await
}

/// All usage of the customer is dropped by one statement later.
fn forget_charge(open: &mut Open) {
    if open.change != Change::New {
        open.charge = Charge::Keep;
    }
}

async fn anonymise(tx: &mut Tx, ids: &[NotificationId], pseudonym: &CustomerId) -> StoreResult<()> {
    let list = id_list(ids);
    let rows = sqlx::query(DETAILS)
        .bind(list.as_str())
        .fetch_all(&mut tx.conn)
        .await?;
    let mut details = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = row.try_get::<Vec<u8>, _>(0)?;
        let intent: Intent = from_json(&row.try_get::<String, _>(1)?)?;
        let decision: Option<Decision> = row
            .try_get::<Option<String>, _>(2)?
            .map(|decision| from_json(&decision))
            .transpose()?;
        let decision = decision
            .map(|decision| to_json(&without_facts(decision)))
            .transpose()?;
        let intent = to_json(&without_person(intent, pseudonym))?;
        details.push(row![id.as_slice(), intent, decision]);
    }
    let names: Vec<Row> = ids
        .iter()
        .map(|id| row![id.as_bytes(), pseudonym])
        .collect();
    SET_DETAIL.write(&mut tx.conn, details).await?;
    SET_OPEN.write(&mut tx.conn, names.clone()).await?;
    SET_ENDED.write(&mut tx.conn, names).await?;
    for statement in [DROP_CONTENT, CLEAR_ATTEMPTS, CLEAR_MESSAGES] {
        sqlx::query(statement)
            .bind(list.as_str())
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(())
}

fn without_person(intent: Intent, pseudonym: &CustomerId) -> Intent {
    Intent {
        customer: pseudonym.clone(),
        contact: None,
        labels: std::collections::BTreeMap::new(),
        reference: String::new(),
        collapse_key: String::new(),
        cancellation_key: String::new(),
        once_key: String::new(),
        ..intent
    }
}

fn without_facts(mut decision: Decision) -> Decision {
    for step in &mut decision.steps {
        step.evidence.clear();
        step.summary.clear();
    }
    decision
}

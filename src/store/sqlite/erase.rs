//! Erasing a customer: what was known of the person goes, what happened stays under a pseudonym that leads nowhere.
//!
//! A message that is just being handed over ends as it will; it is neither tried again nor sent elsewhere. What is freed in
//! the file is overwritten (`secure_delete`), and the log is folded in and cut after the commit.

use jiff::Timestamp;

use super::customers::{OPEN_BY_CUSTOMER, customer_list};
use super::facts::digest;
use super::open::{Change, Charge, ERASED_PREFIX, Open};
use super::rows::{from_json, to_json};
use super::sql::{Row, execute, find_ids, id_list, row, select, write};
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
pub(super) const SET_DETAIL: &str =
    "UPDATE detail SET intent = ?2, decision = ?3 WHERE notification = ?1";
pub(super) const SET_OPEN: &str = "UPDATE notification SET customer = ?2, collapse_key = '', cancellation_key = '', \
    reference = '' WHERE id = ?1";
pub(super) const SET_ENDED: &str = "UPDATE history SET customer = ?2, collapse_key = '', cancellation_key = '', \
    reference = '' WHERE id = ?1";
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

pub(super) fn run(
    tx: &mut Tx,
    shop: &ShopId,
    id: &CustomerId,
    now: Timestamp,
) -> StoreResult<Option<u32>> {
    call_off_open(tx, shop, id, now)?;
    let list = customer_list(shop, [id]);
    let open = find_ids(&tx.conn, OPEN_BY_CUSTOMER, [list.clone()])?;
    let ended = find_ids(&tx.conn, ENDED_BY_CUSTOMER, [list])?;
    let all: Vec<_> = open.iter().chain(&ended).copied().collect();
    let who = digest(&tx.secret, "customer", &format!("{shop}:{id}"));
    let pseudonym = CustomerId::new(format!(
        "{ERASED_PREFIX}{}",
        who.chars().take(32).collect::<String>()
    ));
    for some in all.chunks(AT_ONCE) {
        anonymise(tx, some, &pseudonym)?;
    }
    let mut known = 0;
    for statement in DROPS {
        let done = execute(&tx.conn, statement, (shop.as_str(), id.as_str()))?;
        known += done;
    }
    tx.scrub = true;
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    Ok((known > 0 || count > 0).then_some(count))
}

fn call_off_open(tx: &mut Tx, shop: &ShopId, id: &CustomerId, now: Timestamp) -> StoreResult<()> {
    let list = customer_list(shop, [id]);
    let open = find_ids(&tx.conn, OPEN_BY_CUSTOMER, [list])?;
    let mut unit = Unit::default();
    unit.load(tx, &open)?;
    for open in unit.iter_mut() {
        open.call_off(Status::from(Reason::Cancelled), now);
        forget_charge(open);
    }
    unit.flush(tx)
}

/// All usage of the customer is dropped by one statement later.
fn forget_charge(open: &mut Open) {
    if open.change != Change::New {
        open.charge = Charge::Keep;
    }
}

fn anonymise(tx: &mut Tx, ids: &[NotificationId], pseudonym: &CustomerId) -> StoreResult<()> {
    let list = id_list(ids);
    let details = select(&tx.conn, DETAILS, [list.as_str()], |row| {
        let id = row.get::<_, Vec<u8>>(0)?;
        let intent: Intent = from_json(&row.get::<_, String>(1)?)?;
        let decision: Option<Decision> = row
            .get::<_, Option<String>>(2)?
            .map(|decision| from_json(&decision))
            .transpose()?;
        let decision = decision
            .map(|decision| to_json(&without_facts(decision)))
            .transpose()?;
        let intent = to_json(&without_person(intent, pseudonym))?;
        Ok(row![id.as_slice(), intent, decision])
    })?;
    let names: Vec<Row> = ids
        .iter()
        .map(|id| row![id.as_bytes(), pseudonym])
        .collect();
    write(&tx.conn, SET_DETAIL, &details)?;
    write(&tx.conn, SET_OPEN, &names)?;
    write(&tx.conn, SET_ENDED, &names)?;
    for statement in [DROP_CONTENT, CLEAR_ATTEMPTS, CLEAR_MESSAGES] {
        execute(&tx.conn, statement, [list.as_str()])?;
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

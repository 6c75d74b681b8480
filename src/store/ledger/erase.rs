//! Erasing a customer: what was known of the person goes, what happened stays under a pseudonym that leads nowhere.
//!
//! A message that is just being handed over ends as it will; it is neither tried again nor sent elsewhere. What is freed in
//! the file is overwritten (`secure_delete`), and the log is folded in and cut after the commit.

use jiff::Timestamp;

use super::batch::Tx;
use super::customers::{OPEN_BY_CUSTOMER, customer_list};
use super::facts::digest;
use super::locks::hold;
use super::open::{Change, Charge, ERASED_PREFIX, Open};
use super::rows::{from_json, to_json};
use super::session::{Row, Statement, bind, find_ids, id_list, row, select};
use super::statement::{by_ids, by_keys, delete, update};
use super::unit::Unit;
use crate::domain::customer::CustomerId;
use crate::domain::decision::Decision;
use crate::domain::id::NotificationId;
use crate::domain::intent::Intent;
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::ShopId;
use crate::store::StoreResult;

/// How many notifications are made anonymous in one go.
const AT_ONCE: usize = 500;

pub(super) const ENDED_BY_CUSTOMER: Statement<'_> =
    by_keys!("h.id", "history" "h", ["h.shop", "h.customer"]);
pub(super) const DETAILS: Statement<'_> = by_ids!(
    "d.notification, d.intent, d.decision",
    "detail" "d",
    "d.notification"
);
pub(super) const MESSAGES: Statement<'_> = by_ids!("m.id", "message" "m", "m.notification");
pub(super) const SET_DETAIL: Statement<'_> =
    update!("detail", ["intent" text, "decision" text], ["notification" uuid]);
pub(super) const SET_OPEN: Statement<'_> = update!(
    "notification",
    ["customer" text, "collapse_key" text, "cancellation_key" text, "reference" text],
    ["id" uuid]
);
pub(super) const SET_ENDED: Statement<'_> = update!(
    "history",
    ["customer" text, "collapse_key" text, "cancellation_key" text, "reference" text],
    ["id" uuid]
);
pub(super) const DROP_CONTENT: Statement<'_> = delete!("content", ["notification" uuid]);
pub(super) const CLEAR_MESSAGES: Statement<'_> =
    update!("message", ["address" text, "digest" text], ["id" uuid]);
pub(super) const CLEAR_ATTEMPTS: Statement<'_> =
    update!("attempt", ["reply" text], ["message" uuid]);
/// What is about the customer and not about a notification.
pub(super) const DROPS: [Statement<'_>; 5] = [
    Statement::same("DELETE FROM consent WHERE shop = ?1 AND customer = ?2"),
    Statement::same("DELETE FROM outcome WHERE shop = ?1 AND customer = ?2"),
    Statement::same("DELETE FROM collapse WHERE shop = ?1 AND customer = ?2"),
    Statement::same("DELETE FROM usage WHERE shop = ?1 AND customer = ?2"),
    Statement::same("DELETE FROM customer WHERE shop = ?1 AND id = ?2"),
];

pub(super) fn run(
    tx: &mut Tx<'_>,
    shop: &ShopId,
    id: &CustomerId,
    now: Timestamp,
) -> StoreResult<Option<u32>> {
    let who = digest(&tx.secret, "customer", &format!("{shop}:{id}"));
    let pseudonym = CustomerId::new(format!(
        "{ERASED_PREFIX}{}",
        who.chars().take(32).collect::<String>()
    ));
    let both = [id, &pseudonym].map(|one| (shop.clone(), one.clone()));
    hold(tx, &both.into())?;
    call_off_open(tx, shop, id, now)?;
    let list = customer_list(shop, [id]);
    let open = find_ids(tx.session, OPEN_BY_CUSTOMER, &bind![&list])?;
    let ended = find_ids(tx.session, ENDED_BY_CUSTOMER, &bind![list])?;
    let all: Vec<_> = open.iter().chain(&ended).copied().collect();
    for some in all.chunks(AT_ONCE) {
        anonymise(tx, some, &pseudonym)?;
    }
    let mut known = 0;
    for statement in DROPS {
        known += tx.session.execute(&statement, &bind![shop, id])?;
    }
    tx.scrub = true;
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    Ok((known > 0 || count > 0).then_some(count))
}

fn call_off_open(
    tx: &mut Tx<'_>,
    shop: &ShopId,
    id: &CustomerId,
    now: Timestamp,
) -> StoreResult<()> {
    let list = customer_list(shop, [id]);
    let open = find_ids(tx.session, OPEN_BY_CUSTOMER, &bind![list])?;
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

fn anonymise(tx: &mut Tx<'_>, ids: &[NotificationId], pseudonym: &CustomerId) -> StoreResult<()> {
    let list = id_list(ids);
    let details = select(tx.session, DETAILS, &bind![&list], |row| {
        let id = row.get::<Vec<u8>>(0)?;
        let intent: Intent = from_json(&row.get::<String>(1)?)?;
        let decision: Option<Decision> = row
            .get::<Option<String>>(2)?
            .map(|decision| from_json(&decision))
            .transpose()?;
        let decision = decision
            .map(|decision| to_json(&without_facts(decision)))
            .transpose()?;
        let intent = to_json(&without_person(intent, pseudonym))?;
        Ok(row![intent, decision, id.as_slice()])
    })?;
    let names: Vec<Row> = ids
        .iter()
        .map(|id| row![pseudonym, "", "", "", id.as_bytes()])
        .collect();
    let contents = ids.iter().map(|id| row![id.as_bytes()]).collect();
    let messages = select(tx.session, MESSAGES, &bind![list], |row| {
        row.get::<Vec<u8>>(0)
    })?;
    let messages: Vec<_> = messages.iter().map(Vec::as_slice).collect();
    let replies = messages.iter().map(|id| row!["", *id]).collect();
    let addresses = messages.iter().map(|id| row!["", "", *id]).collect();
    tx.session.write(&[
        (SET_DETAIL, details),
        (SET_OPEN, names.clone()),
        (SET_ENDED, names),
        (DROP_CONTENT, contents),
        (CLEAR_ATTEMPTS, replies),
        (CLEAR_MESSAGES, addresses),
    ])?;
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

//! Taking in: request ids, once keys, collapse keys, then planning, all in one transaction for all calls that share it.
//!
//! A new notification leaves one event, of the status that planning gave it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::batch::{Tx, raced};
use super::facts::{CollapseKey, Facts, Mark, collapse_key, customer_key, once_key};
use super::locks::hold;
use super::lookup;
use super::open::{Open, is_newer};
use super::plan::decide;
use super::rows::{cut, notification_id};
use super::session::{Row, Session, Statement, bind, blob, corrupt, find_ids, row, select, write};
use super::statement::{by_keys, insert};
use super::unit::Unit;
use crate::domain::id::NotificationId;
use crate::domain::notification::Notification;
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::{CallerId, Identity, ShopId};
use crate::store::{AcceptOutcome, NewNotification, Plans, StoreResult};

pub(super) const REQUESTS: Statement<'_> = by_keys!(
    "r.shop, r.caller, r.request_id, r.payload_hash, r.notification",
    "request" "r",
    ["r.shop", "r.caller", "r.request_id"]
);
const INSERT_REQUEST: Statement<'_> = insert!(
    "request",
    ["shop" text, "caller" text, "request_id" text, "payload_hash" bytea, "notification" uuid, "create_time" bigint],
    " ON CONFLICT (shop, caller, request_id) DO NOTHING"
);
const INSERT_ONCE: Statement<'_> = insert!(
    "once_key",
    ["shop" text, "digest" text, "caller" text, "notification" uuid],
    " ON CONFLICT (shop, digest) DO NOTHING"
);
const SET_MARK: Statement<'_> = insert!(
    "collapse",
    ["shop" text, "customer" text, "caller" text, "collapse_key" text, "event_time" bigint, "notification" uuid],
    " ON CONFLICT (shop, customer, caller, collapse_key) \
     DO UPDATE SET event_time = excluded.event_time, notification = excluded.notification"
);
pub(super) const OPEN_BY_COLLAPSE: Statement<'_> = by_keys!(
    "n.id",
    "notification" "n",
    ["n.shop", "n.customer", "n.caller", "n.collapse_key"],
    " AND n.collapse_key <> ''",
    ""
);

/// One call of accept.
pub(in crate::store) struct Intake {
    pub(super) batch: Vec<NewNotification>,
    pub(super) atomic: bool,
    pub(super) now: Timestamp,
    pub(super) plans: Arc<dyn Plans>,
}

/// What a request id stands for.
#[derive(Clone, Copy)]
struct Known {
    hash: [u8; 32],
    notification: NotificationId,
}

/// A request id with its caller.
type RequestKey = (Identity, String);

/// What becomes of one of a batch.
#[derive(Clone, Copy)]
enum Slot {
    Fresh(NotificationId),
    Replay(NotificationId),
    Reused(NotificationId),
    NotStored,
}

pub(super) fn run(tx: &mut Tx<'_>, intakes: &[&Intake]) -> StoreResult<Vec<Vec<AcceptOutcome>>> {
    let requests = intakes
        .iter()
        .flat_map(|intake| &intake.batch)
        .map(|new| (&new.notification.identity, new.request_id.as_str()));
    let mut known = known_requests(tx.session, requests)?;
    let slots: Vec<_> = intakes
        .iter()
        .map(|intake| sort(intake, &mut known))
        .collect();
    let fresh: Vec<_> = intakes
        .iter()
        .zip(&slots)
        .flat_map(|(intake, slots)| {
            intake
                .batch
                .iter()
                .zip(slots)
                .map(move |pair| (*intake, pair))
        })
        .filter(|(_, (_, slot))| matches!(slot, Slot::Fresh(_)))
        .map(|(intake, (new, _))| (intake, new))
        .collect();
    let stored = store(tx, &fresh)?;
    let replayed: BTreeSet<_> = slots
        .iter()
        .flatten()
        .filter_map(|slot| match slot {
            Slot::Replay(id) if !stored.contains_key(id) => Some(*id),
            _ => None,
        })
        .collect();
    let mut seen = stored;
    for notification in lookup::notifications(tx.session, &replayed, true)? {
        seen.insert(notification.id, notification);
    }
    // Those that several slots stand for; the others are handed on without a copy.
    let shared: HashSet<_> = slots
        .iter()
        .flatten()
        .filter_map(|slot| match slot {
            Slot::Replay(id) => Some(*id),
            _ => None,
        })
        .collect();
    slots
        .into_iter()
        .map(|slots| {
            let outcomes = slots
                .into_iter()
                .map(|slot| outcome(slot, &mut seen, &shared));
            outcomes.collect()
        })
        .collect()
}

fn outcome(
    slot: Slot,
    seen: &mut HashMap<NotificationId, Notification>,
    shared: &HashSet<NotificationId>,
) -> StoreResult<AcceptOutcome> {
    let mut find = |id: NotificationId| {
        let found = if shared.contains(&id) {
            seen.get(&id).cloned()
        } else {
            seen.remove(&id)
        };
        found
            .map(Box::new)
            .ok_or_else(|| corrupt(format!("a request id stands for {id}, which is not there")))
    };
    Ok(match slot {
        Slot::Fresh(id) => AcceptOutcome::Accepted(find(id)?),
        Slot::Replay(id) => AcceptOutcome::Replayed(find(id)?),
        Slot::Reused(id) => AcceptOutcome::Reused(id),
        Slot::NotStored => AcceptOutcome::NotStored,
    })
}

/// What became of requests that were taken before with the same payload, in their order.
pub(super) fn replays(
    session: &mut dyn Session,
    identity: &Identity,
    requests: &[(String, [u8; 32])],
) -> StoreResult<Vec<Option<Notification>>> {
    let ids = requests.iter().map(|(id, _)| (identity, id.as_str()));
    let known = known_requests(session, ids)?;
    let first = |(id, hash): &(String, [u8; 32])| {
        let known = known.get(&(identity.clone(), id.clone()))?;
        (known.hash == *hash).then_some(known.notification)
    };
    let firsts: Vec<_> = requests.iter().map(first).collect();
    let wanted: BTreeSet<_> = firsts.iter().flatten().copied().collect();
    let found: HashMap<_, _> = lookup::notifications(session, &wanted, true)?
        .into_iter()
        .map(|notification| (notification.id, notification))
        .collect();
    Ok(firsts
        .into_iter()
        .map(|first| found.get(&first?).cloned())
        .collect())
}

fn known_requests<'a>(
    session: &mut dyn Session,
    requests: impl Iterator<Item = (&'a Identity, &'a str)>,
) -> StoreResult<HashMap<RequestKey, Known>> {
    let keys: Vec<_> = requests
        .map(|(identity, request_id)| json!([identity.shop, identity.caller, request_id]))
        .collect();
    select(
        session,
        REQUESTS,
        &bind![Value::from(keys).to_string()],
        |row| {
            let identity = Identity {
                shop: ShopId::new(row.get::<String>(0)?),
                caller: CallerId::new(row.get::<String>(1)?),
            };
            let hash = row.get::<Vec<u8>>(3)?;
            let known = Known {
                hash: hash
                    .try_into()
                    .map_err(|_| corrupt("a payload hash that is not 32 bytes long"))?,
                notification: notification_id(blob(row, 4)?)?,
            };
            Ok(((identity, row.get::<String>(2)?), known))
        },
    )
    .map(|found| found.into_iter().collect())
}

/// Sorts one call's batch into new ones, replays and reuses. Ids of a batch that is not stored stay unknown.
fn sort(intake: &Intake, known: &mut HashMap<RequestKey, Known>) -> Vec<Slot> {
    let mut own: HashMap<RequestKey, Known> = HashMap::new();
    let mut slots: Vec<_> = intake
        .batch
        .iter()
        .map(|new| {
            let key = (new.notification.identity.clone(), new.request_id.clone());
            match known.get(&key).or(own.get(&key)) {
                Some(first) if first.hash == new.payload_hash => Slot::Replay(first.notification),
                Some(first) => Slot::Reused(first.notification),
                None => {
                    let id = new.notification.id;
                    own.insert(
                        key,
                        Known {
                            hash: new.payload_hash,
                            notification: id,
                        },
                    );
                    Slot::Fresh(id)
                }
            }
        })
        .collect();
    let spoilt = slots.iter().any(|slot| matches!(slot, Slot::Reused(_)));
    if intake.atomic && spoilt {
        for slot in &mut slots {
            if !matches!(slot, Slot::Reused(_)) {
                *slot = Slot::NotStored;
            }
        }
    } else {
        known.extend(own);
    }
    slots
}

/// Stores and plans what is new, in order; returns each as it is afterwards.
fn store(
    tx: &mut Tx<'_>,
    fresh: &[(&Intake, &NewNotification)],
) -> StoreResult<HashMap<NotificationId, Notification>> {
    let Some((first, _)) = fresh.first() else {
        return Ok(HashMap::new());
    };
    let notifications: Vec<_> = fresh.iter().map(|(_, new)| &new.notification).collect();
    let secret = tx.secret;
    take_requests(tx, fresh)?;
    let once = once_rows(&notifications, &secret);
    write(tx.session, INSERT_ONCE, once)?;
    let customers: BTreeSet<_> = notifications.iter().map(|one| customer_key(one)).collect();
    hold(tx, &customers)?;
    let mut facts = Facts::load(tx.session, &secret, &notifications, first.now)?;
    let mut unit = Unit::default();
    load_rivals(tx, &mut unit, &notifications)?;
    let mut marks = HashMap::new();
    for (intake, new) in fresh {
        let notification = &new.notification;
        unit.add(Open::new(notification));
        if let Some(key) = collapse_key(notification) {
            collapse(
                &mut unit,
                &mut facts,
                &mut marks,
                key,
                notification,
                intake.now,
            );
        }
        let mut considered = notification.clone();
        considered.intent.attachments.clear();
        considered.create_time = cut(considered.create_time);
        considered.update_time = cut(considered.update_time);
        decide(
            &mut unit,
            &mut facts,
            considered,
            intake.plans.as_ref(),
            &secret,
            intake.now,
        );
    }
    write(tx.session, SET_MARK, marks.into_values().collect())?;
    let stored = unit
        .iter()
        .filter_map(|open| Some((open.head.id, open.notification()?)))
        .collect();
    unit.flush(tx)?;
    Ok(stored)
}

/// Loads the open notifications that share a collapse key with a new one.
fn load_rivals(
    tx: &mut Tx<'_>,
    unit: &mut Unit,
    notifications: &[&Notification],
) -> StoreResult<()> {
    let keys: BTreeSet<_> = notifications
        .iter()
        .filter_map(|one| collapse_key(one))
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_value(keys).map_err(corrupt)?.to_string();
    let rivals = find_ids(tx.session, OPEN_BY_COLLAPSE, &bind![list])?;
    unit.load(tx, &rivals)
}

/// When `new` is the newest with its key, sets the mark and calls off the older ones.
fn collapse(
    unit: &mut Unit,
    facts: &mut Facts,
    marks: &mut HashMap<CollapseKey, Row>,
    key: CollapseKey,
    new: &Notification,
    now: Timestamp,
) {
    let own = (new.intent.event_time, new.id);
    let newest = facts
        .marks
        .get(&key)
        .is_none_or(|mark| is_newer(own, (mark.event_time, mark.notification)));
    if !newest {
        return;
    }
    for open in unit.iter_mut() {
        let head = &open.head;
        let rival = head.id != new.id
            && head.identity.shop == key.0
            && head.customer == key.1
            && head.identity.caller == key.2
            && head.collapse_key == key.3
            && !head.status.is_settled();
        if rival && open.call_off(Status::from(Reason::Superseded), now) {
            facts.release(&customer_key(new), open.head.id);
        }
    }
    let row = row![
        &key.0,
        &key.1,
        &key.2,
        &key.3,
        new.intent.event_time,
        new.id.as_bytes()
    ];
    marks.insert(key.clone(), row);
    facts.marks.insert(
        key,
        Mark {
            event_time: new.intent.event_time,
            notification: new.id,
            handed_over: false,
        },
    );
}

/// Takes the request ids. Another process may have taken one since they were looked up: then it has told what became of it, and
/// looking again finds that.
fn take_requests(tx: &mut Tx<'_>, fresh: &[(&Intake, &NewNotification)]) -> StoreResult<()> {
    let mut sorted: Vec<_> = fresh.to_vec();
    sorted.sort_by_key(|(_, new)| {
        let identity = &new.notification.identity;
        (&identity.shop, &identity.caller, &new.request_id)
    });
    let rows: Vec<Row> = sorted
        .iter()
        .map(|(intake, new)| {
            row![
                &new.notification.identity.shop,
                &new.notification.identity.caller,
                &new.request_id,
                &new.payload_hash,
                new.notification.id.as_bytes(),
                intake.now,
            ]
        })
        .collect();
    let taken = write(tx.session, INSERT_REQUEST, rows)?;
    if taken < fresh.len() {
        return Err(raced());
    }
    Ok(())
}

/// Each once key with the first that has it; a key that is there keeps whom it has.
fn once_rows(notifications: &[&Notification], secret: &[u8; 32]) -> Vec<Row> {
    let mut firsts = BTreeMap::new();
    for one in notifications {
        if let Some(key) = once_key(one, secret) {
            firsts.entry(key).or_insert(one);
        }
    }
    firsts
        .into_iter()
        .map(|((shop, digest), one)| row![&shop, digest, &one.identity.caller, one.id.as_bytes()])
        .collect()
}

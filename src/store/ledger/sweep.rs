//! Dropping what has ended long ago: request ids, usage, marks of collapse keys, content, history with all that hangs on it, events.
//!
//! Promise: nothing open is dropped, nor anything that belongs to it; every step is one short transaction; what is dropped together is
//! gone together, so that nobody finds half of it. Freed pages are used again.
//! Tables without an index by time are walked by their keys: an index would cost every accept, a walk costs a look a row once a pass.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::batch::Tx;
use super::erase::{DROP_CONTENT, MESSAGES};
use super::rows::{notification_id, time};
use super::session::{Found, Row, Statement, bind, blob, find_ids, id_list, row, select, write};
use super::statement::{by_ids, delete};
use super::writes::RELEASE;
use crate::domain::id::NotificationId;
use crate::store::sweep::Place;
use crate::store::{REQUESTS_KEPT, Retention, StoreResult, Sweep, Swept, USAGE_HORIZON};

/// How many rows are walked over in one step.
const WALK: u32 = 1000;
/// How many notifications are dropped in one step, with all that hangs on them.
const DROP: u32 = 250;

/// One process sweeps at a time.
const TURN: Statement<'_> = Statement {
    sqlite: "SELECT 1",
    postgres: "SELECT pg_try_advisory_xact_lock(8388090264763327234)::int",
};
pub(super) const WALK_REQUESTS: Statement<'_> = Statement::same(
    "SELECT r.notification, r.create_time, r.shop, r.caller, r.request_id FROM request r \
     WHERE (r.shop, r.caller, r.request_id) > (?1, ?2, ?3) ORDER BY r.shop, r.caller, r.request_id LIMIT ?4",
);
pub(super) const WALK_USAGE: Statement<'_> = Statement::same(
    "SELECT u.notification, u.at, u.shop, u.customer FROM usage u \
     WHERE (u.shop, u.customer, u.notification) > (?1, ?2, ?3) ORDER BY u.shop, u.customer, u.notification LIMIT ?4",
);
pub(super) const WALK_MARKS: Statement<'_> = Statement::same(
    "SELECT c.notification, c.event_time, c.shop, c.customer, c.caller, c.collapse_key FROM collapse c \
     WHERE (c.shop, c.customer, c.caller, c.collapse_key) > (?1, ?2, ?3, ?4) \
     ORDER BY c.shop, c.customer, c.caller, c.collapse_key LIMIT ?5",
);
pub(super) const WALK_CONTENT: Statement<'_> = Statement::same(
    "SELECT c.notification FROM content c WHERE c.notification > ?1 AND c.notification < ?2 ORDER BY c.notification LIMIT ?3",
);
pub(super) const WALK_HISTORY: Statement<'_> = Statement::same(
    "SELECT h.id FROM history h WHERE h.id > ?1 AND h.id < ?2 AND h.final_time < ?3 ORDER BY h.id LIMIT ?4",
);
pub(super) const WALK_EVENTS: Statement<'_> = Statement::same(
    "SELECT e.sequence, e.time FROM event e WHERE e.sequence > ?1 ORDER BY e.sequence LIMIT ?2",
);
pub(super) const OPEN: Statement<'_> = by_ids!("n.id", "notification" "n", "n.id");
pub(super) const ENDED_SINCE: Statement<'_> =
    by_ids!("h.id", "history" "h", "h.id", "", " AND h.final_time >= ?2", "");
pub(super) const ENDED_BEFORE: Statement<'_> =
    by_ids!("h.id", "history" "h", "h.id", "", " AND h.final_time < ?2", "");
pub(super) const DROP_REQUESTS: Statement<'_> =
    delete!("request", ["shop" text, "caller" text, "request_id" text]);
/// A key that a newer one has taken meanwhile stays.
pub(super) const DROP_MARKS: Statement<'_> = delete!(
    "collapse",
    ["shop" text, "customer" text, "caller" text, "collapse_key" text, "notification" uuid]
);
pub(super) const DROP_ATTEMPTS: Statement<'_> = delete!("attempt", ["message" uuid]);
pub(super) const DROP_MEMBERS: Statement<'_> = delete!("member", ["message" uuid]);
pub(super) const DROP_MESSAGES: Statement<'_> = delete!("message", ["id" uuid]);
pub(super) const DROP_DETAIL: Statement<'_> = delete!("detail", ["notification" uuid]);
pub(super) const DROP_HISTORY: Statement<'_> = delete!("history", ["id" uuid]);
/// The newest stays: it says where the next one stands.
pub(super) const DROP_EVENTS: Statement<'_> = Statement::same(
    "DELETE FROM event WHERE sequence > ?1 AND sequence <= ?2 \
     AND EXISTS (SELECT 1 FROM event x WHERE x.sequence > event.sequence)",
);

pub(super) fn step(
    tx: &mut Tx<'_>,
    sweep: &Sweep,
    retention: Retention,
    now: Timestamp,
) -> StoreResult<Swept> {
    let turn = select(tx.session, TURN, &[], |row| row.get::<bool>(0))?;
    if !turn.contains(&true) {
        return Ok(Swept::default());
    }
    let before = |kept: SignedDuration| now.checked_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH);
    match &sweep.0 {
        Place::Requests(at) => requests(tx, at, before(REQUESTS_KEPT)),
        Place::Usage(at) => usage(tx, at, before(USAGE_HORIZON)),
        Place::Marks(at) => marks(tx, at, before(retention.history)),
        Place::Content(at) => content(tx, *at, before(retention.content)),
        Place::History(at) => history(tx, *at, before(retention.history)),
        Place::Events(at) => events(tx, *at, before(retention.events)),
        // Partitions are the engine's.
        Place::Room => Ok(Swept::default()),
    }
}

fn swept(table: &'static str, dropped: usize, next: Place) -> Swept {
    Swept {
        table,
        dropped,
        next: Some(Sweep(next)),
    }
}

/// A row of a walk: whose it is, when it was, its key.
struct Walked {
    notification: NotificationId,
    at: Timestamp,
    key: Vec<String>,
}

impl Walked {
    fn read(found: &Found<'_>, keys: usize) -> StoreResult<Self> {
        Ok(Self {
            notification: notification_id(blob(found, 0)?)?,
            at: time(found.get(1)?)?,
            key: (2..2 + keys)
                .map(|column| found.get(column))
                .collect::<StoreResult<_>>()?,
        })
    }

    fn row(&self) -> Row {
        self.key.iter().map(|part| part.as_str().into()).collect()
    }
}

/// What is older than `cutoff` of what was walked over, and whose notification is not open and had not ended since.
fn stale<'a>(
    tx: &mut Tx<'_>,
    walked: &'a [Walked],
    cutoff: Timestamp,
) -> StoreResult<Vec<&'a Walked>> {
    let old: Vec<_> = walked.iter().filter(|one| one.at < cutoff).collect();
    if old.is_empty() {
        return Ok(old);
    }
    let list = id_list(old.iter().map(|one| &one.notification));
    let mut kept: HashSet<_> = find_ids(tx.session, OPEN, &bind![&list])?
        .into_iter()
        .collect();
    kept.extend(find_ids(tx.session, ENDED_SINCE, &bind![list, cutoff])?);
    let stale = old.into_iter();
    Ok(stale
        .filter(|one| !kept.contains(&one.notification))
        .collect())
}

/// Where the walk goes on, or what comes after it.
fn next<'a>(walked: &'a [Walked], on: impl FnOnce(&'a Walked) -> Place, then: Place) -> Place {
    match walked.last() {
        Some(last) if walked.len() >= WALK as usize => on(last),
        _ => then,
    }
}

fn keys(at: &[String], count: usize) -> Row {
    let part = |index| at.get(index).map_or("", String::as_str);
    (0..count).map(|index| part(index).into()).collect()
}

fn requests(tx: &mut Tx<'_>, at: &[String], cutoff: Timestamp) -> StoreResult<Swept> {
    let mut parameters = keys(at, 3);
    parameters.extend(row![WALK]);
    let walked = select(tx.session, WALK_REQUESTS, &parameters, |row| {
        Walked::read(row, 3)
    })?;
    let rows = stale(tx, &walked, cutoff)?.into_iter().map(Walked::row);
    let dropped = write(tx.session, DROP_REQUESTS, rows.collect())?;
    let usage = Place::Usage(None);
    let on = |last: &Walked| Place::Requests(last.key.clone());
    Ok(swept("request", dropped, next(&walked, on, usage)))
}

fn usage(
    tx: &mut Tx<'_>,
    at: &Option<(Vec<String>, NotificationId)>,
    cutoff: Timestamp,
) -> StoreResult<Swept> {
    let (key, id) = at.as_ref().map_or((&[][..], [0; 16]), |(key, id)| {
        (key.as_slice(), *id.as_bytes())
    });
    let mut parameters = keys(key, 2);
    parameters.extend(row![&id, WALK]);
    let walked = select(tx.session, WALK_USAGE, &parameters, |row| {
        Walked::read(row, 2)
    })?;
    let rows = stale(tx, &walked, cutoff)?.into_iter().map(|one| {
        let mut row = one.row();
        row.extend(row![one.notification.as_bytes()]);
        row
    });
    let dropped = write(tx.session, RELEASE, rows.collect())?;
    let on = |last: &Walked| Place::Usage(Some((last.key.clone(), last.notification)));
    let marks = Place::Marks(Vec::new());
    Ok(swept("usage", dropped, next(&walked, on, marks)))
}

fn marks(tx: &mut Tx<'_>, at: &[String], cutoff: Timestamp) -> StoreResult<Swept> {
    let mut parameters = keys(at, 4);
    parameters.extend(row![WALK]);
    let walked = select(tx.session, WALK_MARKS, &parameters, |row| {
        Walked::read(row, 4)
    })?;
    let rows = stale(tx, &walked, cutoff)?.into_iter().map(|one| {
        let mut row = one.row();
        row.extend(row![one.notification.as_bytes()]);
        row
    });
    let dropped = write(tx.session, DROP_MARKS, rows.collect())?;
    let on = |last: &Walked| Place::Marks(last.key.clone());
    let content = Place::Content(None);
    Ok(swept("collapse", dropped, next(&walked, on, content)))
}

/// The first id that could have been made then: ids grow with time, and nothing ends before it is made.
fn first_id(at: Timestamp) -> [u8; 16] {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    let mut id = [0; 16];
    let time = millis.to_be_bytes().into_iter().skip(2);
    id.iter_mut().zip(time).for_each(|(byte, of)| *byte = of);
    id
}

fn behind(at: Option<NotificationId>) -> [u8; 16] {
    at.map_or([0; 16], |at| *at.as_bytes())
}

fn content(tx: &mut Tx<'_>, at: Option<NotificationId>, cutoff: Timestamp) -> StoreResult<Swept> {
    let range = bind![&behind(at), &first_id(cutoff), WALK];
    let walked = find_ids(tx.session, WALK_CONTENT, &range)?;
    let over = find_ids(tx.session, ENDED_BEFORE, &bind![id_list(&walked), cutoff])?;
    let rows = over.iter().map(|id| row![id.as_bytes()]).collect();
    let dropped = write(tx.session, DROP_CONTENT, rows)?;
    let more = walked.len() >= WALK as usize;
    let last = walked.last().copied().filter(|_| more);
    let next = last.map_or(Place::History(None), |last| Place::Content(Some(last)));
    Ok(swept("content", dropped, next))
}

fn history(tx: &mut Tx<'_>, at: Option<NotificationId>, cutoff: Timestamp) -> StoreResult<Swept> {
    let range = bind![&behind(at), &first_id(cutoff), cutoff, DROP];
    let ids = find_ids(tx.session, WALK_HISTORY, &range)?;
    let messages = select(tx.session, MESSAGES, &bind![id_list(&ids)], |row| {
        row.get::<Vec<u8>>(0)
    })?;
    let of_messages: Vec<Row> = messages.iter().map(|id| row![id.as_slice()]).collect();
    let of_them: Vec<Row> = ids.iter().map(|id| row![id.as_bytes()]).collect();
    tx.session.write(&[
        (DROP_ATTEMPTS, of_messages.clone()),
        (DROP_MEMBERS, of_messages.clone()),
        (DROP_MESSAGES, of_messages),
        (DROP_CONTENT, of_them.clone()),
        (DROP_DETAIL, of_them.clone()),
        (DROP_HISTORY, of_them),
    ])?;
    let more = ids.len() >= DROP as usize;
    let last = ids.last().copied().filter(|_| more);
    let next = last.map_or(Place::Events(None), |last| Place::History(Some(last)));
    Ok(swept("history", ids.len(), next))
}

fn events(tx: &mut Tx<'_>, at: Option<i64>, cutoff: Timestamp) -> StoreResult<Swept> {
    let behind = at.unwrap_or(i64::MIN);
    let walked = select(tx.session, WALK_EVENTS, &bind![behind, WALK], |row| {
        Ok((row.get::<i64>(0)?, time(row.get(1)?)?))
    })?;
    let old = walked.iter().take_while(|(_, at)| *at < cutoff);
    let old: Vec<_> = old.map(|(sequence, _)| *sequence).collect();
    let Some(last) = old.last().copied() else {
        return Ok(swept("event", 0, Place::Room));
    };
    let dropped = tx.session.execute(&DROP_EVENTS, &bind![behind, last])?;
    let more = old.len() >= WALK as usize;
    let next = if more {
        Place::Events(Some(last))
    } else {
        Place::Room
    };
    Ok(swept("event", dropped, next))
}

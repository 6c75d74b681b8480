//! After a restore: what may have been handed over since the moment that the copy shows becomes unknown, and its category decides, as
//! for every other hand-over whose end nobody saw. Then the store goes on.
//!
//! It works through what is open in small transactions, and may be begun again when it was cut off: until the last of them the store
//! is held. It knows nothing of what the copy does not hold.

use jiff::Timestamp;

use super::batch::Tx;
use super::meta;
use super::open::Open;
use super::rows::Task;
use super::session::{Statement, bind, find_ids, select};
use super::settle::end;
use super::unit::Unit;
use crate::domain::channel::Category;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::{AttemptResult, MessageState};
use crate::domain::policy::UnknownRule;
use crate::domain::reason::{Reason, Status};
use crate::store::{Ending, Recovered, StoreResult};

/// How many notifications are gone through in a transaction.
const AT_ONCE: u32 = 250;
/// What an attempt says that the copy shows under way.
const RESTORED: &str = "the store was restored from a backup before the answer was recorded";

/// What is open and had not expired.
pub(super) const OPEN: Statement<'_> = Statement::same(
    "SELECT n.id FROM notification n WHERE n.id > ?1 AND n.expire_time > ?2 ORDER BY n.id LIMIT ?3",
);
/// Whoever lets the store go on waits until this transaction has ended, and none begins after that.
pub(super) const HELD: Statement<'_> = Statement {
    sqlite: "SELECT 1 FROM meta WHERE name = 'hold'",
    postgres: "SELECT 1 FROM meta WHERE name = 'hold' FOR SHARE",
};

/// What is to be recovered.
#[derive(Clone)]
pub(super) struct Recovery {
    /// From when on something may have been handed over that the copy does not know of; `None`: nothing was.
    pub(super) from: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// What follows an unknown outcome.
    pub(super) rules: Vec<(Category, UnknownRule)>,
}

/// What one transaction did.
pub(super) struct Step {
    pub(super) done: Recovered,
    /// The last that was looked at; `None`: there are no more.
    pub(super) last: Option<NotificationId>,
}

/// Goes through the next ones behind `after`. `None`: the store is not held.
pub(super) fn step(
    tx: &mut Tx<'_>,
    recovery: &Recovery,
    after: Option<NotificationId>,
) -> StoreResult<Option<Step>> {
    let held = select(tx.session, HELD, &[], |_| Ok(()))?;
    if held.is_empty() {
        return Ok(None);
    }
    let mut done = Recovered::default();
    let window = recovery.from.filter(|from| *from < recovery.now);
    let Some(from) = window else {
        return Ok(Some(Step { done, last: None }));
    };
    let after = after.map_or([0; 16], |after| *after.as_bytes());
    let ids = find_ids(tx.session, OPEN, &bind![&after, from, AT_ONCE])?;
    let mut unit = Unit::default();
    unit.load(tx, &ids)?;
    let mut under_way = Vec::new();
    for open in unit.iter_mut() {
        let sending = open.held.iter();
        let sending = sending.filter(|held| held.state() == MessageState::Sending);
        under_way.extend(sending.map(|held| held.letter.message.id));
        done = done + doubt(open, recovery);
    }
    for id in under_way {
        unit.end_attempt(id, AttemptResult::Unknown, RESTORED, recovery.now);
    }
    unit.flush(tx)?;
    Ok(Some(Step {
        done,
        last: ids.last().copied(),
    }))
}

/// One that may have been handed over becomes unknown.
fn doubt(open: &mut Open, recovery: &Recovery) -> Recovered {
    let now = recovery.now;
    let resend = recovery
        .rules
        .iter()
        .any(|(category, rule)| *category == open.head.category && *rule == UnknownRule::Resend);
    let waiting: Vec<MessageId> = open
        .held
        .iter()
        .filter(|held| matches!(held.state(), MessageState::Queued | MessageState::Sending))
        .map(|held| held.letter.message.id)
        .collect();
    let resend_at = resend.then_some(now);
    for id in &waiting {
        end(open, *id, &Ending::Unknown { resend_at }, now);
    }
    // Nobody but its caller sets a send time, so what waits for one that is still ahead has not been sent.
    let is_ahead = open.head.status == Status::from(Reason::SendTime)
        && open.head.due_at.is_some_and(|at| at > now);
    let unplanned = waiting.is_empty() && open.head.task == Some(Task::Plan) && !is_ahead;
    if unplanned && !resend {
        let end = open.head.expire_time;
        let unknown = Status::from(Reason::ProviderUnknown);
        open.wait(unknown, Some(Task::Unknown), Some(end), now);
    }
    let held = open.head.task == Some(Task::Unknown);
    let resent = !held && (!waiting.is_empty() || unplanned);
    Recovered {
        held: u64::from(held),
        resent: u64::from(resent),
        untouched: u64::from(!held && !resent),
    }
}

/// Lets the store go on. `None`: it was not held.
pub(super) fn finish(tx: &mut Tx<'_>, home: Option<&str>) -> StoreResult<Option<i64>> {
    if meta::hold(tx.session)?.is_none() {
        return Ok(None);
    }
    meta::release(tx.session, home).map(Some)
}

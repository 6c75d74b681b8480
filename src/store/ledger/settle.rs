//! Recording how a hand-over ended, and what follows for the notification. Also what follows when nobody lived to record it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::batch::Tx;
use super::customers::{self, Dead};
use super::open::Open;
use super::rows::{Task, cut, message_id, notification_id};
use super::session::{Dialect, Statement, bind, blob, find_ids, row, select};
use super::unit::Unit;
use crate::domain::channel::Category;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::{AttemptResult, MessageState};
use crate::domain::policy::UnknownRule;
use crate::domain::reason::{Reason, Status};
use crate::store::{Ending, Settlement, StoreResult};

pub(super) const SENDING: Statement<'_> = Statement {
    sqlite: "SELECT m.notification, m.id FROM message m WHERE m.state = 'sending'",
    // The database's clock says who is dead; whoever has no row has never lived or was cleared away.
    postgres: "SELECT m.notification, m.id FROM message m WHERE m.state = 'sending' AND NOT EXISTS (SELECT 1 FROM process p \
        WHERE p.id = m.process AND p.heartbeat_time >= (extract(epoch from clock_timestamp()) * 1000000)::bigint - ?1)",
};
pub(super) const HELD: Statement<'_> = Statement {
    sqlite: "SELECT n.id FROM json_each('[\"critical\",\"transactional\",\"bulk\"]') j \
        CROSS JOIN notification n ON n.task = 'unknown' AND n.lane = j.value AND n.due_at <= ?1 LIMIT 1000",
    postgres: "SELECT n.id FROM notification n WHERE n.task = 'unknown' AND n.lane IN ('critical', 'transactional', 'bulk') \
        AND n.due_at <= ?1 LIMIT 1000 FOR UPDATE SKIP LOCKED",
};
/// Not what is only being handed over: that has its answer soon.
pub(super) const EXPIRED: Statement<'_> = Statement {
    sqlite: "SELECT n.id FROM notification n WHERE n.task IS NULL AND n.expire_time <= ?1 AND EXISTS (SELECT 1 FROM message m \
        WHERE m.notification = n.id AND m.state = 'queued') ORDER BY n.expire_time LIMIT 1000",
    // The state is asked for in a way that no index on it fits: the way goes by the notification.
    postgres: "SELECT n.id FROM notification n WHERE n.task IS NULL AND n.expire_time <= ?1 AND EXISTS (SELECT 1 FROM message m \
        WHERE m.notification = n.id AND m.state || '' = 'queued') ORDER BY n.expire_time LIMIT 1000 FOR UPDATE OF n SKIP LOCKED",
};
/// Nobody asks for the heartbeat of one that holds nothing.
const CLEAR_DEAD: Statement<'_> = Statement {
    sqlite: "",
    postgres: "DELETE FROM process p WHERE p.heartbeat_time < (extract(epoch from clock_timestamp()) * 1000000)::bigint - ?1 \
        AND NOT EXISTS (SELECT 1 FROM message m WHERE m.state = 'sending' AND m.process = p.id)",
};
/// What an attempt says whose process did not live to see its end.
const ABANDONED: &str = "the process that was handing it over ended before the answer was recorded";

pub(super) fn run(tx: &mut Tx<'_>, settlements: &[&Settlement]) -> StoreResult<Vec<bool>> {
    let mut unit = Unit::default();
    unit.load_by_messages(tx, settlements.iter().map(|one| &one.message))?;
    let mut dead = Vec::new();
    let settled = settlements
        .iter()
        .map(|settlement| settle(&mut unit, settlement, &mut dead))
        .collect();
    unit.flush(tx)?;
    customers::list(tx, &dead)?;
    match tx.session.dialect() {
        Dialect::Sqlite => dead
            .iter()
            .try_for_each(|one| customers::reconsider(tx, one))?,
        Dialect::Postgres => tx.dead.extend(dead),
    }
    Ok(settled)
}

fn settle(unit: &mut Unit, settlement: &Settlement, dead: &mut Vec<Dead>) -> bool {
    let now = settlement.now;
    let Some(open) = unit.by_message(settlement.message) else {
        return false;
    };
    let shop = open.head.identity.shop.clone();
    let owner = open.head.customer.clone();
    let Some(held) = open.message_mut(settlement.message) else {
        return false;
    };
    let expected = match settlement.attempt {
        Some(_) => MessageState::Sending,
        None => MessageState::Queued,
    };
    if held.state() != expected || held.letter.message.fence != settlement.fence {
        return false;
    }
    if let Ending::Failed {
        suppress: Some(reason),
        ..
    } = &settlement.ending
        && !held.letter.digest.is_empty()
    {
        dead.push(Dead {
            address: held.letter.address_key(&shop),
            owner: Some(owner),
            reason: reason.clone(),
            since: now,
        });
    }
    end(open, settlement.message, &settlement.ending, now);
    if settlement.attempt.is_some() {
        let result = result(&settlement.ending);
        unit.end_attempt(settlement.message, result, &settlement.reply, now);
    }
    true
}

fn result(ending: &Ending) -> AttemptResult {
    match ending {
        Ending::Sent { .. } => AttemptResult::Ok,
        Ending::Retry { result, .. } => *result,
        Ending::Failed {
            reason: Reason::RetriesExhausted,
            ..
        } => AttemptResult::Transient,
        Ending::Failed { .. } => AttemptResult::Permanent,
        Ending::Unknown { .. } => AttemptResult::Unknown,
    }
}

pub(super) fn end(open: &mut Open, id: MessageId, ending: &Ending, now: Timestamp) {
    let erased = open.is_erased();
    let expire_time = open.head.expire_time;
    let Some(held) = open.message_mut(id) else {
        return;
    };
    held.change.mark();
    let maybe_sent = &mut held.letter.maybe_sent;
    let message = &mut held.letter.message;
    match ending {
        Ending::Sent {
            provider_message_id,
        } => {
            message.state = MessageState::Sent;
            message.provider_message_id.clone_from(provider_message_id);
            open.follow(Reason::HandedOver, now);
        }
        // Nobody is left to send it to.
        Ending::Retry { .. } if erased => {
            message.state = MessageState::Cancelled;
            open.follow(Reason::Cancelled, now);
        }
        Ending::Retry { due_at, reason, .. } => {
            message.state = MessageState::Queued;
            message.due_at = cut((*due_at).min(expire_time));
            open.follow(*reason, now);
        }
        Ending::Failed { reason, .. } => {
            message.state = if *reason == Reason::ProviderRejected {
                MessageState::Bounced
            } else {
                MessageState::Undeliverable
            };
            let fallback = !message.fallback.is_empty();
            if !(fallback && open.decide_again(now)) {
                open.follow(*reason, now);
            }
        }
        Ending::Unknown { resend_at } => {
            *maybe_sent = true;
            message.fence += 1;
            match resend_at {
                Some(at) if !erased => {
                    message.state = MessageState::Queued;
                    message.due_at = cut((*at).min(expire_time));
                }
                _ => message.state = MessageState::Unknown,
            }
            open.follow(Reason::Retry, now);
        }
    }
}

/// Takes over what processes were handing over that have not been heard of for `dead_after`.
pub(super) fn take_over(
    tx: &mut Tx<'_>,
    now: Timestamp,
    dead_after: Duration,
    rules: &[(Category, UnknownRule)],
) -> StoreResult<usize> {
    let found: Vec<_> = orphans(tx, dead_after)?
        .into_iter()
        .map(|(of, _)| of)
        .collect();
    let mut unit = Unit::default();
    unit.load(tx, &found)?;
    // Looked at again under the lock: one may have been settled, and even be with somebody else by now.
    let orphans: BTreeSet<_> = orphans(tx, dead_after)?
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    let mut taken = Vec::new();
    for open in unit.iter_mut() {
        let resend = rules.iter().any(|(category, rule)| {
            *category == open.head.category && *rule == UnknownRule::Resend
        });
        let resend_at = resend.then_some(now);
        let sending: Vec<_> = open
            .held
            .iter()
            .filter(|held| held.state() == MessageState::Sending)
            .map(|held| held.letter.message.id)
            .filter(|id| orphans.contains(id))
            .collect();
        for id in sending {
            end(open, id, &Ending::Unknown { resend_at }, now);
            taken.push(id);
        }
    }
    for id in &taken {
        unit.end_attempt(*id, AttemptResult::Unknown, ABANDONED, now);
    }
    unit.flush(tx)?;
    if tx.session.dialect() == Dialect::Postgres {
        let limit = i64::try_from(dead_after.as_micros()).unwrap_or(i64::MAX);
        tx.session.execute(&CLEAR_DEAD, &bind![limit])?;
    }
    Ok(taken.len())
}

fn orphans(tx: &mut Tx<'_>, dead_after: Duration) -> StoreResult<Vec<(NotificationId, MessageId)>> {
    let parameters = match tx.session.dialect() {
        Dialect::Sqlite => Vec::new(),
        Dialect::Postgres => row![i64::try_from(dead_after.as_micros()).unwrap_or(i64::MAX)],
    };
    select(tx.session, SENDING, &parameters, |row| {
        Ok((notification_id(blob(row, 0)?)?, message_id(blob(row, 1)?)?))
    })
}

/// Ends what has expired: what was held as unknown, and what waits for a worker.
pub(super) fn end_expired(tx: &mut Tx<'_>, now: Timestamp) -> StoreResult<usize> {
    let mut ids = Vec::new();
    for statement in [HELD, EXPIRED] {
        ids.extend(find_ids(tx.session, statement, &bind![now])?);
    }
    let mut unit = Unit::default();
    unit.load(tx, &ids)?;
    // Another process may have moved one between our finding and our locking it.
    unit.keep(|open| match open.head.task {
        Some(Task::Unknown) => open.head.due_at.is_some_and(|at| at <= now),
        Some(Task::Plan) => false,
        None => open.head.expire_time <= now,
    });
    let ended = unit.iter().count();
    for open in unit.iter_mut() {
        if open.head.task == Some(Task::Unknown) {
            open.end_unknown(now);
        } else {
            open.call_off(Status::from(Reason::Expired), now);
        }
    }
    unit.flush(tx)?;
    Ok(ended)
}

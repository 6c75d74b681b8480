//! Deciding inside the transaction: one notification after the other, so that each sees what the ones before it used up.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use jiff::Timestamp;

use super::batch::Tx;
use super::facts::{Facts, customer_key};
use super::locks::owners;
use super::lookup;
use super::rows::Task;
use super::session::{Statement, bind, corrupt, find_ids};
use super::statement::by_keys;
use super::unit::Unit;
use crate::domain::channel::Lane;
use crate::domain::decision::{Decision, Rule, Step, Verdict};
use crate::domain::id::NotificationId;
use crate::domain::notification::Notification;
use crate::domain::reason::{Reason, State, Status};
use crate::event;
use crate::store::{Case, Plan, Plans, StoreResult};

pub(super) const DUE: Statement<'_> = Statement {
    sqlite: "SELECT n.id FROM notification n WHERE n.task = 'plan' AND n.lane = ?1 AND n.due_at <= ?2 \
        ORDER BY n.due_at LIMIT ?3",
    // Whom another scheduler is deciding about is left to it.
    postgres: "SELECT n.id FROM notification n JOIN customer_lock c ON c.shop = n.shop AND c.customer = n.customer \
        WHERE n.task = 'plan' AND n.lane = ?1 AND n.due_at <= ?2 ORDER BY n.due_at LIMIT ?3 FOR UPDATE OF c SKIP LOCKED",
};
/// At most 4096 that wait are ranked with what has come due; the rest keeps its own due time.
pub(super) const WAITERS: Statement<'_> = by_keys!(
    "n.id",
    "notification" "n",
    ["n.shop", "n.customer"],
    " AND n.state = 'SCHEDULED' AND n.reason = 'BUDGET_EXCEEDED'",
    " ORDER BY CASE n.category WHEN 'critical' THEN 0 \
     WHEN 'transactional' THEN 1 WHEN 'relationship' THEN 2 ELSE 3 END, n.expire_time, n.create_time LIMIT 4096"
);

/// Decides what is due, upper lanes first, and with it what waits for the same customers' budgets.
pub(super) fn run(
    tx: &mut Tx<'_>,
    now: Timestamp,
    limit: u32,
    plans: &dyn Plans,
) -> StoreResult<usize> {
    let due = due(tx, now, limit)?;
    if due.is_empty() {
        return Ok(0);
    }
    let customers = owners(tx.session, &due)?;
    let list = serde_json::to_value(customers)
        .map_err(corrupt)?
        .to_string();
    let mut all = find_ids(tx.session, WAITERS, &bind![list])?;
    all.extend(&due);
    let mut unit = Unit::default();
    unit.load(tx, &all)?;
    // Another scheduler may have decided some between our finding and our locking them.
    let due: BTreeSet<_> = due.into_iter().collect();
    unit.keep(|open| {
        let head = &open.head;
        let is_due = head.task == Some(Task::Plan) && head.due_at.is_some_and(|at| at <= now);
        is_due || (head.status == Status::from(Reason::BudgetExceeded) && !due.contains(&head.id))
    });

    let ids: BTreeSet<_> = unit.iter().map(|open| open.head.id).collect();
    let mut notifications = lookup::notifications(tx.session, &ids, false)?;
    notifications.sort_by_key(rank);
    let secret = tx.secret;
    let cases: Vec<_> = notifications.iter().collect();
    let mut facts = Facts::load(tx.session, &secret, &cases, now)?;
    let decided = notifications.len();
    for notification in notifications {
        decide(&mut unit, &mut facts, notification, plans, &secret, now);
    }
    unit.flush(tx)?;
    Ok(decided)
}

fn rank(notification: &Notification) -> impl Ord + use<> {
    (
        notification.category,
        notification.intent.expire_time,
        notification.create_time,
        notification.id,
    )
}

fn due(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> StoreResult<Vec<NotificationId>> {
    let mut due = Vec::new();
    for lane in Lane::ALL {
        let room = i64::from(limit) - i64::try_from(due.len()).unwrap_or(i64::MAX);
        if room <= 0 {
            break;
        }
        due.extend(find_ids(tx.session, DUE, &bind![lane.as_str(), now, room])?);
    }
    Ok(due)
}

/// Decides about one notification of the unit and writes the plan into it. One that has ended meanwhile is left alone.
pub(super) fn decide(
    unit: &mut Unit,
    facts: &mut Facts,
    notification: Notification,
    plans: &dyn Plans,
    secret: &[u8; 32],
    now: Timestamp,
) {
    let id = notification.id;
    let key = customer_key(&notification);
    let Some(open) = unit.get_mut(id) else { return };
    if open.head.status.is_settled() {
        return;
    }
    let said = said(&notification);
    let case = facts.case(notification, open.failed_channels(), now);
    let mut plan = plan_or_fail(plans, &case);
    plan.decision.steps.splice(0..0, said);
    let usage = plan.usage.clone();
    open.apply(plan, secret, now);
    match usage {
        Some(usage) if open.head.status.state == State::Processing => {
            facts.reserve(key, id, usage);
        }
        _ if !open.may_have_sent() => facts.release(&key, id),
        _ => {}
    }
}

/// What operators have said about it: a new decision does not undo that.
fn said(notification: &Notification) -> Vec<Step> {
    let steps = notification
        .decision
        .iter()
        .flat_map(|before| &before.steps);
    steps
        .filter(|step| step.rule == Rule::Operator)
        .cloned()
        .collect()
}

/// A planner that panics costs the notification it panicked on, not the writer and not the others of the batch.
fn plan_or_fail(plans: &dyn Plans, case: &Case) -> Plan {
    std::panic::catch_unwind(AssertUnwindSafe(|| plans.plan(case))).unwrap_or_else(|_| {
        event::task_panicked("planner");
        Plan {
            decision: Decision {
                verdict: Verdict::End {
                    reason: Reason::Internal,
                },
                steps: Vec::new(),
                policy_version: String::new(),
                time: case.now,
            },
            status: Status::from(Reason::Internal),
            due_at: None,
            messages: Vec::new(),
            usage: None,
        }
    })
}

//! Accepting and deciding.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidings::domain::channel::{Category, Channel};
use tidings::domain::notification::MessageState;
use tidings::domain::reason::{Reason, State};
use tidings::store::{
    AcceptOutcome, CancelTarget, Case, NewNotification, Plan, Plans, Query, StoreError,
};

use crate::support::*;

pub(crate) async fn a_hundred_concurrent_accepts_of_one_request_make_one_notification(f: Fixture) {
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let f = Arc::clone(&f);
            tokio::spawn(async move {
                f.accept_all(vec![f.intent("ada").request("r-1")], false)
                    .await
                    .remove(0)
            })
        })
        .collect();
    let (mut accepted, mut ids) = (0, HashSet::new());
    for task in tasks {
        match task.await.unwrap() {
            AcceptOutcome::Accepted(one) => {
                accepted += 1;
                ids.insert(one.id);
            }
            AcceptOutcome::Replayed(one) => {
                assert_eq!(one.intent.variables.0.len(), 1);
                ids.insert(one.id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((accepted, ids.len()), (1, 1));
    let ready = f
        .ready(Channel::Email, Category::Transactional, start())
        .await;
    assert_eq!(ready.len(), 1);
}

pub(crate) async fn a_request_id_with_another_payload_is_reused_and_ids_are_the_callers_own(
    f: Fixture,
) {
    let first = f.accept(f.intent("ada").request("r-1")).await;
    let mut other = f.intent("ada").request("r-1");
    other.payload_hash = [8; 32];
    let again = f.intent("ada").request("r-1");
    let outcomes = f.accept_all(vec![other, again], false).await;
    assert_eq!(outcomes[0], AcceptOutcome::Reused(first.id));
    assert!(matches!(&outcomes[1], AcceptOutcome::Replayed(one) if one.id == first.id));
    for identity in [other_caller(), other_shop()] {
        let own = f.accept(f.intent("ada").request("r-1").by(identity)).await;
        assert_ne!(own.id, first.id);
    }
}

pub(crate) async fn an_atomic_batch_is_all_or_none(f: Fixture) {
    let first = f.accept(f.intent("ada").request("r-1")).await;
    let mut spoilt = f.intent("ada").request("r-1");
    spoilt.payload_hash = [8; 32];
    let good = f.intent("ada").request("r-2");
    let outcomes = f.accept_all(vec![good.clone(), spoilt.clone()], true).await;
    assert_eq!(
        outcomes,
        [AcceptOutcome::NotStored, AcceptOutcome::Reused(first.id)]
    );
    assert!(f.store.find(&shop(), good.id()).await.unwrap().is_none());

    // Its request id is not burnt, and two of the same in one batch are one.
    let twin = f.intent("ada").request("r-2");
    let outcomes = f.accept_all(vec![good.clone(), twin], true).await;
    assert!(matches!(&outcomes[0], AcceptOutcome::Accepted(one) if one.id == good.id()));
    assert!(matches!(&outcomes[1], AcceptOutcome::Replayed(one) if one.id == good.id()));

    let apart = f
        .accept_all(vec![f.intent("ada").request("r-3"), spoilt], false)
        .await;
    assert!(matches!(apart[0], AcceptOutcome::Accepted(_)));
}

pub(crate) async fn a_restart_keeps_everything(f: Fixture) {
    let attachment = tidings::domain::intent::Attachment {
        filename: "invoice.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        content: vec![0, 1, 2, 255],
    };
    let sent = f.accept(f.intent("ada").request("r-1")).await;
    f.send(sent.id, start()).await;
    let waiting = f
        .accept(
            f.intent("ada")
                .with(|intent| intent.attachments = vec![attachment]),
        )
        .await;
    f.change("ada", profile("ada@example.org", "Ada"), start())
        .await;
    let before = [f.record(sent.id).await, f.record(waiting.id).await];
    let sequence = f.newest().await;
    let secret_guest = f.store.guest(&shop().shop, &email("a@example.com"));

    let f = f.restart().await;
    assert_eq!(
        [f.record(sent.id).await, f.record(waiting.id).await],
        before
    );
    assert_eq!(
        before[1].notification.intent.attachments[0].content,
        [0, 1, 2, 255]
    );
    assert_eq!(*f.store.sequence().borrow(), sequence);
    assert_eq!(
        f.store.guest(&shop().shop, &email("a@example.com")),
        secret_guest
    );
    let again = f
        .accept_all(vec![f.intent("ada").request("r-1")], false)
        .await;
    assert!(matches!(&again[0], AcceptOutcome::Replayed(one) if one.id == sent.id));
}

pub(crate) async fn a_newer_one_supersedes_the_older_and_an_older_one_is_told(f: Fixture) {
    let at = |seconds: i64| {
        f.intent("ada").with(|intent| {
            intent.collapse_key = "eta:1".to_owned();
            intent.event_time = start() + SECOND * i32::try_from(seconds).unwrap();
        })
    };
    let first = f.accept(at(10)).await;
    let second = f.accept(at(20)).await;
    assert_eq!(f.status(first.id).await, status(Reason::Superseded));
    assert_eq!(
        f.record(first.id).await.messages[0].state,
        MessageState::Cancelled
    );
    assert_eq!(second.status, status(Reason::Ready));
    // Older by event time, though it comes later.
    let late = f.accept(at(15)).await;
    assert_eq!(late.status, status(Reason::Superseded));
    f.send(second.id, start()).await;
    let later = f.accept(at(16)).await;
    assert_eq!(later.status, status(Reason::Collapsed));
    // The same time: the one accepted later is the newer one; in one batch too.
    let third = f.accept(at(20)).await;
    assert_eq!(third.status, status(Reason::Ready));
    let outcomes = f.accept_all(vec![at(30), at(29), at(31)], false).await;
    let reasons: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            AcceptOutcome::Accepted(one) => one.status.reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [Reason::Superseded, Reason::Superseded, Reason::Ready]
    );
    assert_eq!(f.status(third.id).await, status(Reason::Superseded));
    // Another customer, another key: not touched.
    let other = f
        .accept(
            f.intent("bob")
                .with(|intent| intent.collapse_key = "eta:1".to_owned()),
        )
        .await;
    assert_eq!(other.status, status(Reason::Ready));
}

pub(crate) async fn superseding_gives_back_usage_and_spares_what_is_handed_over(f: Fixture) {
    let f = f.capped(1);
    let keyed = |f: &Fixture| {
        f.intent("ada")
            .category(Category::Marketing)
            .with(|intent| intent.collapse_key = "k".to_owned())
    };
    let first = f.accept(keyed(&f)).await;
    let second = f.accept(keyed(&f)).await;
    assert_eq!(
        second.status,
        status(Reason::Ready),
        "the first one's slot is free again"
    );
    let claimed = f.claim(second.id, start()).await;
    let third = f.accept(keyed(&f)).await;
    assert_eq!(third.status, status(Reason::BudgetExceeded));
    assert_eq!(
        f.status(second.id).await,
        status(Reason::Ready),
        "it is being handed over"
    );
    assert!(f.settle(&claimed, sent(), start()).await);
    assert_eq!(f.status(second.id).await, status(Reason::HandedOver));
    assert_eq!(f.status(first.id).await, status(Reason::Superseded));
}

pub(crate) async fn a_once_key_is_remembered(f: Fixture) {
    let once = |f: &Fixture| {
        f.intent("ada")
            .with(|intent| intent.once_key = "order:1".to_owned())
    };
    let outcomes = f.accept_all(vec![once(&f), once(&f)], false).await;
    let reasons: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            AcceptOutcome::Accepted(one) => one.status.reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, [Reason::Ready, Reason::DuplicateOnceKey]);
    let f = f.restart().await;
    assert_eq!(
        f.accept(once(&f)).await.status,
        status(Reason::DuplicateOnceKey)
    );
    let others = f.accept(once(&f).by(other_caller())).await;
    assert_eq!(
        others.status,
        status(Reason::DuplicateOnceKey),
        "one key for the whole shop"
    );
    let elsewhere = f.accept(once(&f).by(other_shop())).await;
    assert_eq!(elsewhere.status, status(Reason::Ready));
}

pub(crate) async fn a_bad_row_fails_alone(f: Fixture) {
    let taken = f.accept(f.intent("ada")).await.id;
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..40)
        .map(|index| {
            let f = Arc::clone(&f);
            tokio::spawn(async move {
                let mut new = f.intent("ada").request(&format!("r-{index}"));
                if index == 20 {
                    new.notification.id = taken;
                }
                let batch = vec![NewNotification::from(new)];
                f.store.accept(batch, false, start(), f.plans.clone()).await
            })
        })
        .collect();
    for (index, task) in tasks.into_iter().enumerate() {
        let outcome = task.await.unwrap();
        if index == 20 {
            assert!(
                matches!(outcome, Err(StoreError::Corrupt(_))),
                "{outcome:?}"
            );
        } else {
            assert!(matches!(outcome.unwrap()[0], AcceptOutcome::Accepted(_)));
        }
    }
    let again = f
        .accept_all(vec![f.intent("ada").request("r-20")], false)
        .await;
    assert!(
        matches!(again[0], AcceptOutcome::Accepted(_)),
        "the id is not burnt"
    );
}

pub(crate) async fn a_planner_that_panics_costs_one_notification(f: Fixture) {
    let bad = f
        .intent("ada")
        .with(|intent| intent.template = "panic".to_owned());
    let outcomes = f.accept_all(vec![bad, f.intent("ada")], false).await;
    let reasons: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            AcceptOutcome::Accepted(one) => one.status.reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, [Reason::Internal, Reason::Ready]);
}

/// Keeps the writer busy until it is told to go on.
struct Slow(
    std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
    Arc<TestPlans>,
);

impl Plans for Slow {
    fn plan(&self, case: &Case) -> Plan {
        let _ = self.0.lock().unwrap().recv_timeout(Duration::from_secs(10));
        self.1.plan(case)
    }
}

pub(crate) async fn what_a_gone_caller_asked_is_dropped(f: Fixture) {
    let f = Arc::new(f);
    let (go, wait) = std::sync::mpsc::channel();
    let slow = Arc::new(Slow(std::sync::Mutex::new(wait), f.plans.clone()));
    let busy = {
        let f = Arc::clone(&f);
        let batch = vec![f.intent("ada").into()];
        tokio::spawn(async move { f.store.accept(batch, false, start(), slow).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let gone = f.intent("ada").request("gone");
    let id = gone.id();
    let call = f
        .store
        .accept(vec![gone.into()], false, start(), f.plans.clone());
    assert!(
        tokio::time::timeout(Duration::from_millis(50), call)
            .await
            .is_err()
    );
    go.send(()).unwrap();
    busy.await.unwrap().unwrap();
    f.accept(f.intent("bob")).await;
    assert!(f.store.find(&shop(), id).await.unwrap().is_none());
}

pub(crate) async fn budgets_are_exact_under_concurrency(f: Fixture) {
    let f = Arc::new(f.capped(3));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let f = Arc::clone(&f);
            tokio::spawn(async move {
                f.accept(f.intent("ada").category(Category::Marketing))
                    .await
                    .status
                    .reason
            })
        })
        .collect();
    let mut reasons = Vec::new();
    for task in tasks {
        reasons.push(task.await.unwrap());
    }
    let of = |reason| reasons.iter().filter(|one| **one == reason).count();
    assert_eq!((of(Reason::Ready), of(Reason::BudgetExceeded)), (3, 47));
    assert_eq!(
        f.ready(Channel::Email, Category::Marketing, start())
            .await
            .len(),
        3
    );
    // Another customer has a budget of their own.
    let other = f
        .accept(f.intent("bob").category(Category::Marketing))
        .await;
    assert_eq!(other.status, status(Reason::Ready));
}

pub(crate) async fn waiters_are_ranked_and_planned_together(f: Fixture) {
    let f = f.capped(1);
    let expiring = |days: i32| {
        f.intent("ada")
            .category(Category::Marketing)
            .with(|intent| intent.expire_time = start() + DAY * days)
    };
    let first = f.accept(expiring(9)).await;
    let claimed = f.claim(first.id, start()).await;
    f.settle(&claimed, sent(), start()).await;
    let late = f.accept(expiring(30)).await;
    let soon = f.accept(expiring(10)).await;
    assert_eq!(late.status, status(Reason::BudgetExceeded));
    assert_eq!(f.plan(start() + DAY).await, 0, "the slot is not free yet");
    let free = start() + DAY * 7 + SECOND;
    assert_eq!(f.plan(free).await, 2);
    assert_eq!(
        f.status(soon.id).await,
        status(Reason::Ready),
        "it expires first"
    );
    let late = f.record(late.id).await.notification;
    assert_eq!(late.status, status(Reason::BudgetExceeded));
    assert!(
        late.due_at.unwrap() >= free + DAY * 6,
        "the next slot: {:?}",
        late.due_at
    );
    // Calling off gives the slot back; who waits for it is decided when it is due.
    let target = CancelTarget::Notification(soon.id);
    f.store.cancel(&shop(), target, free).await.unwrap();
    assert_eq!(f.plan(late.due_at.unwrap()).await, 1);
    assert_eq!(f.status(late.id).await, status(Reason::Ready));
}

pub(crate) async fn a_later_send_time_is_held_and_planned_when_due(f: Fixture) {
    let at = start() + SECOND * 3600;
    let held = f
        .accept(f.intent("ada").with(|intent| intent.send_time = Some(at)))
        .await;
    assert_eq!(held.status, status(Reason::SendTime));
    assert_eq!(f.plan(at - SECOND).await, 0);
    assert_eq!(f.plan(at).await, 1);
    assert_eq!(f.plan(at).await, 0);
    let record = f.record(held.id).await;
    assert_eq!(record.notification.status.state, State::Processing);
    assert_eq!(record.notification.due_at, None);
    assert_eq!(record.notification.decision.unwrap().time, at);
    let found = f
        .store
        .list(Query {
            identity: shop(),
            filter: tidings::domain::filter::Filter::Everything,
            descending: false,
            after: None,
            limit: 10,
        })
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

//! What only the shared store promises: several processes on one database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidings::domain::channel::{Category, Channel};
use tidings::domain::clock::Stopwatch;
use tidings::domain::customer::CustomerId;
use tidings::domain::policy::UnknownRule;
use tidings::domain::reason::Reason;
use tidings::store::{AcceptOutcome, StoreError};

use crate::server::Server;
use crate::support::*;

/// Two processes on one database.
async fn two() -> Option<(Arc<Fixture>, Arc<Fixture>)> {
    let server = Arc::new(Server::start()?);
    let first = Fixture::on(server.clone()).await;
    let second = Fixture::on(server).await;
    Some((Arc::new(first), Arc::new(second)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_over_two_processes_is_one_notification() {
    let Some((a, b)) = two().await else { return };
    for round in 0..5 {
        let tasks = (0..100).map(|index| {
            let f = if index % 2 == 0 { a.clone() } else { b.clone() };
            tokio::spawn(async move {
                let new = f.intent("ada").request(&format!("r-{round}"));
                f.accept_all(vec![new], false).await.remove(0)
            })
        });
        let outcomes = settled(tasks.collect()).await;
        let mut ids = BTreeSet::new();
        let mut accepted = 0;
        for outcome in outcomes {
            match outcome {
                AcceptOutcome::Accepted(one) => {
                    accepted += 1;
                    ids.insert(one.id);
                }
                AcceptOutcome::Replayed(one) => {
                    ids.insert(one.id);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((accepted, ids.len()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_once_key_over_two_processes_is_used_once() {
    let Some((a, b)) = two().await else { return };
    for round in 0..20 {
        let tasks = [a.clone(), b.clone()].map(|f| {
            tokio::spawn(async move {
                let key = format!("order.confirmation:{round}");
                let new = f
                    .intent(&format!("{round}"))
                    .with(|intent| intent.once_key = key);
                f.accept(new).await.status.reason
            })
        });
        let mut reasons = settled(tasks.into()).await;
        reasons.sort_by_key(|reason| *reason != Reason::Ready);
        assert_eq!(reasons, [Reason::Ready, Reason::DuplicateOnceKey]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_are_exact_over_two_processes() {
    let server = Server::start().map(Arc::new);
    let Some(server) = server else { return };
    let a = Arc::new(Fixture::on(server.clone()).await.capped(3));
    let b = Arc::new(Fixture::on(server).await.capped(3));
    let tasks = (0..120).map(|index| {
        let f = if index % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move {
            let customer = format!("c{}", index % 4);
            let one = f
                .accept(f.intent(&customer).category(Category::Marketing))
                .await;
            (customer, one.status.reason)
        })
    });
    let mut ready: BTreeMap<_, usize> = BTreeMap::new();
    for (customer, reason) in settled(tasks.collect()).await {
        *ready.entry(customer).or_default() += usize::from(reason == Reason::Ready);
    }
    assert_eq!(ready.into_values().collect::<Vec<_>>(), [3, 3, 3, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_decide_each_once() {
    let Some((a, b)) = two().await else { return };
    let due = start() + SECOND;
    let mut ids = Vec::new();
    for index in 0..200 {
        let new = a.intent(&format!("c{index}"));
        ids.push(
            a.accept(new.with(|intent| intent.send_time = Some(due)))
                .await
                .id,
        );
    }
    let tasks = [a.clone(), b.clone(), a.clone(), b.clone()].map(|f| {
        tokio::spawn(async move {
            let mut decided = 0;
            loop {
                match f.store.plan_due(due, 20, f.plans.clone()).await.unwrap() {
                    0 => return decided,
                    some => decided += some,
                }
            }
        })
    });
    let mut decided: usize = settled(tasks.into()).await.into_iter().sum();
    // What the others held while they ended is left for one more look.
    decided += a.plan(due).await;
    assert_eq!(decided, 200, "each is decided by one");
    for id in ids {
        let record = a.record(id).await;
        assert_eq!(record.messages.len(), 1);
        assert_eq!(record.notification.status, status(Reason::Ready));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ready_is_given_out_once() {
    let Some((a, b)) = two().await else { return };
    let new: Vec<_> = (0..100)
        .map(|index| a.intent(&format!("c{index}")))
        .collect();
    a.accept_all(new, false).await;
    let lane = Category::Transactional.lane();
    let tasks = (0..8).map(|index| {
        let f = if index % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let ready = f
                    .store
                    .ready(Channel::Email, lane, None, start(), 7)
                    .await
                    .unwrap();
                if ready.is_empty() {
                    return taken;
                }
                taken.extend(ready.into_iter().map(|one| one.message));
            }
        })
    });
    let taken: Vec<_> = settled(tasks.collect())
        .await
        .into_iter()
        .flatten()
        .collect();
    let different: BTreeSet<_> = taken.iter().copied().collect();
    assert_eq!((taken.len(), different.len()), (100, 100));

    let published = b.store.published(Channel::Email, lane).await.unwrap();
    assert_eq!(published.count, 100);
    assert!(published.oldest.is_some());
    assert_eq!(
        a.store.published(Channel::Sms, lane).await.unwrap().count,
        0
    );
    let early = a
        .store
        .publish_again(Channel::Email, lane, Duration::from_secs(60));
    assert_eq!(early.await.unwrap(), 0, "none has been out for so long");
    a.store.not_published(&taken[..10]).await.unwrap();
    assert_eq!(
        b.store.published(Channel::Email, lane).await.unwrap().count,
        90
    );
    assert_eq!(
        a.ready(Channel::Email, Category::Transactional, start())
            .await
            .len(),
        10
    );
    let late = a.store.publish_again(Channel::Email, lane, Duration::ZERO);
    assert_eq!(late.await.unwrap(), 90);
    assert_eq!(
        a.store.published(Channel::Email, lane).await.unwrap().count,
        0
    );
    assert_eq!(
        a.ready(Channel::Email, Category::Transactional, start())
            .await
            .len(),
        100
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_given_out_again() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Fixture::on(server).await;
    let lane = Category::Transactional.lane();
    let one = f.accept(f.intent("ada")).await;
    let take = async || {
        f.store
            .ready(Channel::Email, lane, None, start() + SECOND, 9)
            .await
            .unwrap()
            .len()
    };
    assert_eq!((take().await, take().await), (1, 0));
    let claimed = f.claim(one.id, start()).await;
    let retry = tidings::store::Ending::Retry {
        due_at: start() + SECOND,
        result: tidings::domain::notification::AttemptResult::Transient,
        reason: Reason::Retry,
    };
    assert!(f.settle(&claimed, retry, start()).await);
    assert_eq!(
        (take().await, take().await),
        (1, 0),
        "its mark went with the change"
    );
}

/// Several write while one reads on: what it saw is never followed by something that belongs before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_writers_skips_and_repeats_nothing() {
    let Some((a, b)) = two().await else { return };
    let reader = {
        let f = b.clone();
        tokio::spawn(async move {
            let (mut seen, mut at) = (Vec::new(), 0);
            let began = Stopwatch::start();
            while seen.len() < 800 {
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "only {} came",
                    seen.len()
                );
                let page = f.store.events(&shop(), at, 50).await.unwrap();
                at = page.last().map_or(at, |last| last.sequence);
                seen.extend(page.into_iter().map(|event| event.notification));
            }
            seen
        })
    };
    let writers = (0..8).map(|writer| {
        let f = if writer % 2 == 0 {
            a.clone()
        } else {
            b.clone()
        };
        tokio::spawn(async move {
            for index in 0..100 {
                f.accept(f.intent(&format!("c{writer}-{}", index % 7)))
                    .await;
            }
        })
    });
    settled(writers.collect()).await;
    let seen = tokio::time::timeout(Duration::from_secs(60), reader)
        .await
        .unwrap()
        .unwrap();
    let different: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), different.len()), (800, 800));
    // The watch of the process that wrote less hears of the other's too.
    assert_eq!(b.newest().await, a.newest().await);
}

/// A transaction that is still open holds back the events behind it, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_transaction_holds_back_what_comes_behind_it() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Fixture::on(server.clone()).await;
    let mut older = server.talk();
    older.say("BEGIN");
    older.say("SELECT pg_current_xact_id()");
    let one = f.accept(f.intent("ada")).await;
    assert_eq!(
        f.status(one.id).await,
        status(Reason::Ready),
        "it is stored"
    );
    assert!(
        f.store.events(&shop(), 0, 9).await.unwrap().is_empty(),
        "the older might still tell"
    );
    older.say("COMMIT");
    assert_eq!(f.store.events(&shop(), 0, 9).await.unwrap().len(), 1);
    assert!(f.newest().await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_was_silent_for_long_is_taken_over() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let a = Fixture::on(server.clone()).await;
    let b = Fixture::on(server.clone()).await;
    let one = a.accept(a.intent("ada")).await;
    let claimed = a.claim(one.id, start()).await;
    let rule = |_| UnknownRule::Resend;
    let limit = Duration::from_secs(60);
    let now = start() + SECOND;
    let take_over = async || b.store.take_over(now, limit, &rule).await.unwrap();
    let silence = || {
        let longer = "UPDATE process SET heartbeat_time = heartbeat_time - 61000000";
        server.sql("postgres", longer);
    };
    assert_eq!(take_over().await, 0, "it lives");
    silence();
    a.store.beat().await.unwrap();
    assert_eq!(take_over().await, 0, "it was heard of");
    silence();
    b.store.beat().await.unwrap();
    assert_eq!(take_over().await, 1);
    assert_eq!(take_over().await, 0);
    assert_eq!(b.status(one.id).await, status(Reason::Retry));
    assert!(
        !a.settle(&claimed, sent(), now).await,
        "its answer comes too late"
    );
    let left = server.sql("postgres", "SELECT count(*) FROM process");
    assert_eq!(left, "1", "whoever is dead and holds nothing is forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_takes_itself_off_when_it_holds_nothing() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Fixture::on(server.clone()).await;
    let count = || server.sql("postgres", "SELECT count(*) FROM process");
    assert_eq!(count(), "1");
    f.close().await;
    assert_eq!(count(), "0");
    let f = Fixture::on(server.clone()).await;
    let one = f.accept(f.intent("ada")).await;
    f.claim(one.id, start()).await;
    f.close().await;
    assert_eq!(count(), "1", "what it was handing over is still its own");
    let later = f.store.find(&shop(), one.id).await;
    assert!(
        matches!(later, Err(StoreError::Unavailable(_))),
        "it is closed"
    );
    assert_eq!(
        server.sql(
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidings'"
        ),
        "0"
    );
}

/// Enough that taking hold of them takes a while.
const CROWD: u32 = 300;

/// Many customers in opposite orders, from both processes: locks are taken in one order, so nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_end_without_an_error() {
    let Some(server) = Server::start_with(&["fsync=off", "deadlock_timeout=200ms"]).map(Arc::new)
    else {
        return;
    };
    let a = Arc::new(Fixture::on(server.clone()).await);
    let b = Arc::new(Fixture::on(server.clone()).await);
    for f in [&a, &b] {
        let new = (0..CROWD).map(|customer| f.intent(&format!("c{customer}")));
        f.accept_all(new.collect(), false).await;
    }
    let tasks = (0..16).map(|task: i32| {
        let f = if task % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move {
            for round in 0..4 {
                let mut customers: Vec<_> = (0..CROWD).collect();
                if task % 4 < 2 {
                    customers.reverse();
                }
                if task % 5 == 0 {
                    let new = customers.iter().step_by(10).map(|customer| {
                        f.intent(&format!("c{customer}"))
                            .with(|intent| intent.collapse_key = "k".to_owned())
                    });
                    f.accept_all(new.collect(), false).await;
                } else if task % 5 == 1 {
                    let plans = f.plans.clone();
                    let planned = f.store.plan_due(start() + SECOND, 100, plans).await;
                    planned.unwrap();
                } else {
                    let changes = customers.iter().map(|customer| {
                        let name = format!("n{round}-{task}");
                        let id = CustomerId::new(format!("c{customer}"));
                        (id, profile("a@example.com", &name))
                    });
                    let changed = f
                        .store
                        .change(&shop().shop, changes.collect(), start())
                        .await;
                    assert!(changed.unwrap().iter().all(Result::is_ok));
                }
            }
        })
    });
    settled(tasks.collect()).await;
    assert!(
        !server.log().contains("deadlock detected"),
        "the order of locks was broken"
    );
}

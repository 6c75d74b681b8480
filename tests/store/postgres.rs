//! What only the shared store promises: several processes on one database, and what they do while it is away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidings::domain::channel::{Category, Channel};
use tidings::domain::customer::CustomerId;
use tidings::domain::policy::UnknownRule;
use tidings::domain::reason::Reason;
use tidings::store::postgres::{OpenError, PostgresStore, Settings, Tls};
use tidings::store::{AcceptOutcome, Customers as _, StoreError};

use crate::server::Server;
use crate::support::*;

/// Two processes on one database.
async fn two() -> Option<(Arc<Fixture>, Arc<Fixture>)> {
    let server = Arc::new(Server::start()?);
    let first = Fixture::on(server.clone()).await;
    let second = Fixture::on(server).await;
    Some((Arc::new(first), Arc::new(second)))
}

async fn settled<T: Send + 'static>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
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
            let began = Instant::now();
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
    let Some((a, b)) = two().await else { return };
    let one = a.accept(a.intent("ada")).await;
    let claimed = a.claim(one.id, start()).await;
    let rule = |_| UnknownRule::Resend;
    let limit = Duration::from_secs(2);
    let now = start() + SECOND;
    assert_eq!(
        b.store.take_over(now, limit, &rule).await.unwrap(),
        0,
        "it lives"
    );
    tokio::time::sleep(limit + Duration::from_millis(200)).await;
    b.store.beat().await.unwrap();
    a.store.beat().await.unwrap();
    assert_eq!(
        b.store.take_over(now, limit, &rule).await.unwrap(),
        0,
        "it was heard of"
    );
    tokio::time::sleep(limit + Duration::from_millis(200)).await;
    b.store.beat().await.unwrap();
    assert_eq!(b.store.take_over(now, limit, &rule).await.unwrap(), 1);
    assert_eq!(b.store.take_over(now, limit, &rule).await.unwrap(), 0);
    assert_eq!(b.status(one.id).await, status(Reason::Retry));
    assert!(
        !a.settle(&claimed, sent(), now).await,
        "its answer comes too late"
    );
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

/// Many customers in opposite orders, from both processes: locks are taken in one order, so nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_end_without_an_error() {
    let Some(server) = Server::start_with(&["fsync=off", "deadlock_timeout=200ms"]).map(Arc::new)
    else {
        return;
    };
    let a = Arc::new(Fixture::on(server.clone()).await);
    let b = Arc::new(Fixture::on(server.clone()).await);
    let tasks = (0..16).map(|task: usize| {
        let f = if task % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move {
            for round in 0..6 {
                let mut customers: Vec<_> = (0..30).collect();
                if task % 4 < 2 {
                    customers.reverse();
                }
                match task % 3 {
                    0 => {
                        let new = customers.iter().map(|customer| {
                            let collapse = |intent: &mut tidings::domain::intent::Intent| {
                                intent.collapse_key = "k".to_owned();
                            };
                            f.intent(&format!("c{customer}")).with(collapse)
                        });
                        f.accept_all(new.collect(), false).await;
                    }
                    1 => {
                        let changes = customers.iter().map(|customer| {
                            let name = format!("n{round}-{task}");
                            (
                                CustomerId::new(format!("c{customer}")),
                                profile("a@example.com", &name),
                            )
                        });
                        let changed = f
                            .store
                            .change(&shop().shop, changes.collect(), start())
                            .await;
                        assert!(changed.unwrap().iter().all(Result::is_ok));
                    }
                    _ => {
                        f.store
                            .plan_due(start() + SECOND, 100, f.plans.clone())
                            .await
                            .unwrap();
                        f.store
                            .suppress(&shop().shop, &email("a@example.com"), "manual", start())
                            .await
                            .unwrap();
                    }
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

/// Answers and the ids they came for, of callers that go on until they are told to stop.
async fn keep_accepting(
    f: &Arc<Fixture>,
    stop: &Arc<std::sync::atomic::AtomicBool>,
) -> Vec<(u128, bool)> {
    use std::sync::atomic::Ordering;
    let tasks = (0..8).map(|caller| {
        let (f, stop) = (f.clone(), stop.clone());
        tokio::spawn(async move {
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let new = f.intent(&format!("c-{caller}"));
                let id = new.id();
                let answer = f
                    .store
                    .accept(vec![new.into()], true, start(), f.plans.clone())
                    .await;
                let fine = answer.is_ok();
                assert!(
                    fine || matches!(answer, Err(StoreError::Unavailable(_))),
                    "{answer:?}"
                );
                answers.push((u128::from_be_bytes(*id.as_bytes()), fine));
                if !fine {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            answers
        })
    });
    settled(tasks.collect())
        .await
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_loses_nothing_and_is_used_again_when_it_is_back() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let Some(mut server) = Server::start_with(&["fsync=on"]) else {
        return;
    };
    let store = PostgresStore::open(&settings(&server), start())
        .await
        .unwrap();
    let f = Arc::new(Fixture::borrowed(Arc::new(store)));
    let stop = Arc::new(AtomicBool::new(false));
    let callers = {
        let (f, stop) = (f.clone(), stop.clone());
        tokio::spawn(async move { keep_accepting(&f, &stop).await })
    };
    let counted = async || {
        f.store
            .counts(&shop())
            .await
            .map(|counts| counts.iter().map(|(_, n)| n).sum::<u64>())
    };
    for _ in 0..3 {
        let before = counted().await.unwrap();
        while counted().await.unwrap() < before + 100 {}
        server.kill();
        let began = Instant::now();
        while counted().await.is_ok() {}
        assert!(began.elapsed() < Duration::from_secs(6), "it was told late");
        server.run();
        let back = Instant::now();
        loop {
            let new = f.intent("back");
            if f.store
                .accept(vec![new.into()], true, start(), f.plans.clone())
                .await
                .is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("answers again after {:?}", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(10));
    }
    stop.store(true, Ordering::Relaxed);
    let answers = callers.await.unwrap();
    let (fine, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, fine)| *fine);
    println!("{} answered, {} refused", fine.len(), refused.len());
    assert!(fine.len() >= 300 && !refused.is_empty());
    let there: BTreeSet<_> = server
        .sql("postgres", "SELECT id FROM notification")
        .lines()
        .map(|id| u128::from_str_radix(&id.replace('-', ""), 16).unwrap())
        .collect();
    assert!(
        fine.iter().all(|(id, _)| there.contains(id)),
        "one that was answered is lost"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_keeps_silent_is_not_waited_for() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Arc::new(Fixture::on(server.clone()).await);
    f.accept(f.intent("ada")).await;
    server.freeze();
    let began = Instant::now();
    let tasks = (0..40).map(|index| {
        let f = f.clone();
        tokio::spawn(async move {
            if index % 2 == 0 {
                let new = f.intent("ada").into();
                f.store
                    .accept(vec![new], true, start(), f.plans.clone())
                    .await
                    .map(drop)
            } else {
                f.store.counts(&shop()).await.map(drop)
            }
        })
    });
    for answer in settled(tasks.collect()).await {
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }
    println!("all were told after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(13));
    server.go_on();
    let back = Instant::now();
    while f.store.counts(&shop()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(back.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_says_what_stands_in_the_way() {
    let Some(server) = Server::start() else {
        return;
    };
    let own = settings(&server);
    assert_eq!(PostgresStore::migrate(&own, start()).await.unwrap(), 1);
    assert_eq!(PostgresStore::migrate(&own, start()).await.unwrap(), 0);
    let first = PostgresStore::open(&own, start()).await.unwrap();
    let (secret, generation) = (*first.secret(), first.generation().to_owned());
    first.close().await;
    let again = PostgresStore::open(&own, start()).await.unwrap();
    assert_eq!(
        (*again.secret(), again.generation()),
        (secret, generation.as_str())
    );
    let late = again.suppressions(&shop().shop, 1).await;
    assert!(late.unwrap().is_empty());
    again.close().await;

    server.sql("postgres", "INSERT INTO schema_step (step) VALUES (99)");
    let error = PostgresStore::open(&own, start()).await.err().unwrap();
    assert!(matches!(error, OpenError::Newer(99)));
    assert!(error.to_string().contains("newer version"), "{error}");

    let nowhere = Settings {
        host: "127.0.0.1".to_owned(),
        port: 1,
        password: Some("not-to-be-seen".to_owned()),
        tls: Tls::Disable,
        ..own
    };
    let error = PostgresStore::open(&nowhere, start()).await.err().unwrap();
    assert!(matches!(error, OpenError::Database(_)), "{error}");
    assert!(!format!("{error} {error:?} {nowhere:?}").contains("not-to-be-seen"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_an_empty_database_at_once() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let tasks = (0..4).map(|_| {
        let own = settings(&server);
        tokio::spawn(async move {
            let store = PostgresStore::open(&own, start()).await.unwrap();
            let found = (*store.secret(), store.generation().to_owned());
            store.close().await;
            found
        })
    });
    let found: BTreeSet<_> = settled(tasks.collect()).await.into_iter().collect();
    assert_eq!(found.len(), 1, "they share one key");
    let months = server.sql(
        "postgres",
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'history'::regclass",
    );
    assert_eq!(months, "5", "four months and the rest");
}

/// A copy in a cluster that has counted fewer transactions: what is told there comes behind what was told before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequences_grow_on_after_a_restore() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Fixture::on(server.clone()).await;
    f.accept(f.intent("ada")).await;
    f.close().await;
    server.sql(
        "postgres",
        "UPDATE event SET sequence = sequence + (1000000::bigint << 20)",
    );
    let f = Fixture::on(server.clone()).await;
    let before = f.newest().await;
    assert!(before > 1_000_000 << 20);
    let one = f.accept(f.intent("ada")).await;
    let began = Instant::now();
    let events = loop {
        let events = f.store.events(&shop(), before, 9).await.unwrap();
        if !events.is_empty() {
            break events;
        }
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the new one is not seen"
        );
    };
    assert_eq!(events[0].notification, one.id);
    assert!(f.newest().await > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_is_encrypted_and_the_server_proves_its_name() {
    let certificates = tempfile::tempdir().unwrap();
    let Some(server) = Server::start_with_tls(certificates.path()) else {
        return;
    };
    let good = Settings {
        host: "localhost".to_owned(),
        port: server.port.unwrap(),
        tls: Tls::Require,
        ca: Some(certificates.path().join("ca.pem")),
        ..settings(&server)
    };
    let store = PostgresStore::open(&good, start()).await.unwrap();
    store.close().await;
    let refused = async |what: &str, settings: Settings| {
        let error = PostgresStore::open(&settings, start()).await.err();
        println!("{what}: {}", error.expect(what));
    };
    let other_name = Settings {
        host: "127.0.0.1".to_owned(),
        ..good.clone()
    };
    refused("another name than its certificate's", other_name).await;
    let unknown = Settings {
        ca: None,
        ..good.clone()
    };
    refused("a certificate that nobody we trust has signed", unknown).await;
    let nothing = certificates.path().join("names");
    let empty = Settings {
        ca: Some(nothing),
        ..good.clone()
    };
    refused("a file without certificates", empty).await;
    drop(server);

    let Some(mut plain) = Server::start() else {
        return;
    };
    plain.listen();
    let wanted = Settings {
        port: plain.port.unwrap(),
        ..good
    };
    refused("a server without TLS", wanted.clone()).await;
    let allowed = Settings {
        tls: Tls::Disable,
        ..wanted
    };
    PostgresStore::open(&allowed, start())
        .await
        .unwrap()
        .close()
        .await;
}

#[test]
fn an_address_says_where_and_never_less_than_encrypted_by_itself() {
    let read = |url: &str| Settings::from_url(url).unwrap();
    let full = read("postgresql://shop:s3cret@db.example:6432/orders?sslmode=verify-full");
    assert_eq!((full.host.as_str(), full.port), ("db.example", 6432));
    assert_eq!(
        (full.user.as_str(), full.database.as_str()),
        ("shop", "orders")
    );
    assert_eq!(
        (full.password.as_deref(), full.tls),
        (Some("s3cret"), Tls::Require)
    );
    assert_eq!(read("postgresql://db.example/orders").tls, Tls::Require);
    assert_eq!(
        read("postgresql://db.example/orders?sslmode=prefer").tls,
        Tls::Require
    );
    assert_eq!(
        read("postgresql://db.example/orders?sslmode=disable").tls,
        Tls::Disable
    );
    assert!(!format!("{full:?}").contains("s3cret"));
    let error = Settings::from_url("postgresql://shop:s3cret@[broken").unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}

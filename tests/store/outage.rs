//! What the shared store does while its database is away, silent, somebody else's or another version's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidings::domain::clock::Stopwatch;
use tidings::store::postgres::{OpenError, PostgresStore, Settings, Tls};
use tidings::store::{Customers as _, StoreError};

use crate::server::Server;
use crate::support::*;

/// Answers and the ids they came for, of callers that go on until they are told to stop.
async fn keep_accepting(f: &Arc<Fixture>, stop: &Arc<AtomicBool>) -> Vec<(u128, bool)> {
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
        let began = Stopwatch::start();
        while counted().await.is_ok() {}
        assert!(began.elapsed() < Duration::from_secs(6), "it was told late");
        server.run();
        let back = Stopwatch::start();
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
    let began = Stopwatch::start();
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
    let back = Stopwatch::start();
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
    for _ in 0..3 {
        server.sql("postgres", "DROP SCHEMA public CASCADE");
        server.sql("postgres", "CREATE SCHEMA public");
        let tasks = (0..8).map(|_| {
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
    let began = Stopwatch::start();
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

//! Several processes over one PostgreSQL and one RabbitMQ: roles apart, replicas that are killed, a broker and a database that are killed
//! and wiped under load. The judge is the one of `tests/faults`: what callers were told is held against what receivers wrote down.
//!
//! Needs the feature `failpoints`.

#[path = "faults/gateway.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod gateway;
#[path = "support/http_fake.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod http_fake;
#[path = "faults/judge.rs"]
mod judge;
#[path = "faults/ledger.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod ledger;
#[path = "faults/load.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod load;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod postgres;
#[path = "support/rabbitmq.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod rabbitmq;
#[path = "faults/receivers.rs"]
mod receivers;
#[path = "faults/shop.rs"]
mod shop;
#[path = "cluster/site.rs"]
mod site;
#[path = "support/skip.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod skip;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;

use std::time::Duration;

use site::{Site, ready};

/// How long a process may take to end when it is asked to.
const END: Duration = Duration::from_secs(20);

/// One process for each role, as in a cluster: what goes in at one of them comes out at another.
#[tokio::test(flavor = "multi_thread")]
async fn roles_in_processes_of_their_own_do_the_work_of_one() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    for options in [
        &["--role", "ingest"][..],
        &["--role", "worker", "--channel", "email"],
        &["--role", "worker", "--channel", "sms,chat"],
        &["--role", "scheduler"],
        &["--role", "console"],
    ] {
        site.start(options).await;
    }
    for replica in site.replicas() {
        assert_eq!(ready(&replica.console).await, (200, "ready\n".to_owned()));
    }
    let ingest = site.grpc(0);
    site.load.open(&ingest).await;
    site.taken(400).await;
    let verdict = site.judged(&ingest).await;
    assert_eq!(verdict.faults, [""; 0]);
    assert_eq!((verdict.lost, verdict.unexplained), (0, 0));
    // What serves no callers says how it is, and nothing else.
    let (status, _) = site::get(&site.console(1), "/").await;
    assert_eq!(status, 404, "a worker shows no pages");
    let (status, _) = site::get(&site.console(4), "/").await;
    assert_eq!(status, 200);
    // Workers need the broker; intake does not.
    site.broker.kill();
    let (code, why) = site::until(&site.console(1), 503).await;
    assert_eq!(
        (code, why.as_str()),
        (503, "not ready: the queue cannot be reached\n")
    );
    assert_eq!(site::serving(&site.grpc(1)).await, Some(false));
    assert_eq!(ready(&site.console(0)).await.0, 200);
    assert_eq!(site::serving(&ingest).await, Some(true));
    for status in site.stop(END).await {
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

/// F1 over three replicas.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_killed_lose_nothing() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    for _ in 0..3 {
        site.start(&[]).await;
    }
    site.open_doors().await;
    for killed in [0, 1, 2, 0] {
        site.live(1.0, 2.0).await;
        site.kill(killed).await;
        site.start_in(killed, &[]).await;
        site.open_doors().await;
    }
    site.taken(300).await;
    assert!(site.in_flight() > 0, "nothing was under way at any kill");
    let door = site.grpc(0);
    let verdict = site.judged(&door).await;
    println!("{verdict:?}");
    assert_eq!(verdict.faults, [""; 0]);
    assert_eq!((verdict.lost, verdict.unexplained), (0, 0));
}

/// F20: whoever was paused for so long that others took over goes on and sends nothing of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_sends_nothing_that_was_taken_over() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    for _ in 0..2 {
        site.start(&[]).await;
    }
    site.open_doors().await;
    site.taken(200).await;
    site.pause(0, Duration::from_secs(60)).await;
    assert!(site.in_flight() > 0, "nothing was under way");
    site.open_doors().await;
    let before = site.load.count();
    site.taken(before + 200).await;
    let door = site.grpc(0);
    let verdict = site.judged(&door).await;
    println!("{verdict:?}");
    assert_eq!(verdict.faults, [""; 0]);
    assert_eq!((verdict.lost, verdict.unexplained), (0, 0));
}

/// F3 and F4: the broker is killed, and then loses everything that it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_or_is_wiped_loses_nothing() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    for _ in 0..2 {
        site.start(&[]).await;
    }
    site.open_doors().await;
    site.taken(100).await;
    site.broker.kill();
    // Intake goes on without it.
    let before = site.load.count();
    site.taken(before + 100).await;
    assert_eq!(ready(&site.console(0)).await.0, 200);
    site.broker.start_again();
    site.taken(before + 200).await;
    site.broker.wipe();
    let before = site.load.count();
    site.taken(before + 100).await;
    site.broker.start_again();
    site.taken(before + 200).await;
    let door = site.grpc(0);
    let verdict = site.judged(&door).await;
    println!("{verdict:?}");
    assert_eq!(verdict.faults, [""; 0]);
    assert_eq!((verdict.lost, verdict.unexplained), (0, 0));
}

/// F5: the database is killed. Nothing is answered OK meanwhile, and nobody needs to be started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_loses_nothing() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    for _ in 0..2 {
        site.start(&[]).await;
    }
    site.open_doors().await;
    site.taken(150).await;
    for away in [1, 9] {
        site.database.kill();
        // Answers that were on their way.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = site.load.count();
        tokio::time::sleep(Duration::from_secs(away)).await;
        assert_eq!(site.load.count(), before, "answered OK without a database");
        site.database.run();
        let back = tidings::domain::clock::Stopwatch::start();
        site.taken(before + 50).await;
        println!("answers again {:?} after the database", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(20));
    }
    let told: Vec<_> = site.load.passing().into_iter().collect();
    assert!(
        told.iter()
            .any(|(code, _)| *code == tonic::Code::Unavailable),
        "{told:?}"
    );
    let door = site.grpc(0);
    let verdict = site.judged(&door).await;
    println!("{verdict:?}");
    assert_eq!(verdict.faults, [""; 0]);
    assert_eq!((verdict.lost, verdict.unexplained), (0, 0));
}

//! How long a delivery notice takes while the bulk lane is full, beside how long it takes when nothing else is to do.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::proto::SendNotificationRequest;

use crate::bulk::{self, NOTICES};
use crate::report::Run;
use crate::rows::Found;
use crate::site::Site;
use crate::wishes::Wishes;

/// What a mail server takes to store a mail.
const STORING: Duration = Duration::from_millis(100);
/// Between two notices.
const BETWEEN: Duration = Duration::from_millis(50);
/// What a busy machine may take for a notice at any time.
const BUSY: Duration = Duration::from_secs(3);
/// The longest that a notice may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The middle and the 99th of a hundred, from the call to the receiver's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// So many letters wait in the bulk lane while so many notices are sent. A notice may take twice what it takes else, or `spare`.
pub(crate) async fn notices_beside(letters: u64, notices: u64, spare: Duration) -> Found {
    let mut site = Site::open_with(Wishes::quiet(STORING)).await?;
    bulk::write_template(&site);
    site.start(&["--role", "ingest,scheduler"]).await;
    site.start(&["--role", "worker", "--channel", "email"])
        .await;
    let client = Client::connect(&site.grpc(0)).await.unwrap();
    // The first ones make connections and prepare statements.
    let measured = async |first, count| {
        measure(&site, &client, first..first + count, bulk::notice, STORING).await
    };
    measured(NOTICES, 20).await;
    let idle = measured(NOTICES + 100_000, notices).await;
    bulk::accept_letters(&client, letters).await;
    let beside = measured(NOTICES + 200_000, notices).await;
    let waiting =
        site.count("SELECT count(*) FROM message WHERE lane = 'bulk' AND state = 'queued'");
    println!("idle {idle:?}, beside {letters} letters {beside:?}, {waiting} still waited");
    let mut faults = Vec::new();
    if waiting < letters / 4 {
        faults.push(format!("only {waiting} letters waited to the end"));
    }
    if beside.p50 > spare.max(idle.p50 * 2) || beside.p99 > spare.max(idle.p99 * 2) {
        faults.push(format!("{beside:?} beside letters, {idle:?} without"));
    }
    site.kill_all().await;
    Some(Run {
        deaths: 1,
        intents: letters + 2 * notices,
        faults,
        ..Run::default()
    })
}

/// Sends what `make` makes of these orders, one after the other; a receiver answers `storing` after it took one.
pub(crate) async fn measure(
    site: &Site,
    client: &Client,
    orders: Range<u64>,
    make: fn(u64) -> SendNotificationRequest,
    storing: Duration,
) -> Latency {
    let mut sent = HashMap::new();
    let mut calls = tokio::task::JoinSet::new();
    let mut ticks = tokio::time::interval(BETWEEN);
    for order in orders {
        ticks.tick().await;
        sent.insert(order, site.now());
        let client = client.clone();
        calls.spawn(async move { bulk::send(&client, make(order)).await });
    }
    calls.join_all().await;
    let waited = Stopwatch::start();
    loop {
        let mut took: Vec<Duration> = site
            .entries()
            .iter()
            .filter_map(|entry| Some(entry.at + storing - *sent.get(&entry.order)?))
            .collect();
        if took.len() == sent.len() {
            took.sort_unstable();
            return Latency {
                p50: took[took.len() / 2],
                p99: took[(took.len() * 99 / 100).min(took.len() - 1)],
            };
        }
        assert!(
            waited.elapsed() < PATIENCE,
            "{} of {}",
            took.len(),
            sent.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A short trial, on a machine that may be busy with other things.
pub(crate) async fn short() -> Found {
    notices_beside(2_000, 100, BUSY).await
}

/// So many trials with fifty thousand letters.
pub(crate) async fn trials(count: u64) -> Found {
    let mut run = Run::default();
    for _ in 0..count {
        let one = notices_beside(50_000, 1_000, Duration::ZERO).await?;
        run.deaths += one.deaths;
        run.intents += one.intents;
        run.faults.extend(one.faults);
    }
    Some(run)
}

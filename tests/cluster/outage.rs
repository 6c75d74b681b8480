//! Long outages under load: a broker that is away for ten minutes; a mail server that refuses everybody, seen by three processes.

use std::time::Duration;

use tidings::domain::clock::Stopwatch;

use crate::rows::{BETWEEN, Found, judged, run, site_with};
use crate::site::{Site, ready};
use crate::wishes::Wishes;

/// How long the broker is away.
const AWAY: Duration = Duration::from_secs(600);
/// Until every process has had its failures and what was in flight is back.
const OPENED: Duration = Duration::from_secs(20);
/// A breaker's pause at least.
const PAUSE: Duration = Duration::from_secs(30);
/// How many pauses are watched.
const PAUSES: u32 = 2;
const REPLICAS: usize = 3;

/// The broker is killed, and comes back after ten minutes. What is measured is the time from its return until something is received.
pub(crate) async fn broker_away(count: u64) -> Found {
    let mut site = site_with(2, Wishes::default()).await?;
    let mut restarts = Vec::new();
    for _ in 0..count {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        site.broker_mut().kill();
        let (before, level) = (site.load.count(), site.resident());
        tokio::time::sleep(AWAY).await;
        let taken = site.load.count() - before;
        println!(
            "{taken} intents taken meanwhile; {level:?} KiB at first, then {:?}",
            site.resident()
        );
        let expected = usize::try_from(AWAY.as_secs()).unwrap() * 60;
        assert!(taken > expected, "{taken}");
        assert_eq!(ready(&site.console(0)).await.0, 200);
        tokio::task::block_in_place(|| site.broker_mut().start_again());
        let back = Stopwatch::start();
        site.arrives(&["email"]).await;
        restarts.push(u64::try_from(back.elapsed().as_millis()).unwrap());
    }
    Some(run(count, Vec::new(), restarts, judged(site).await))
}

/// The mail server refuses everybody; each of three processes leaves it alone and asks once in a pause. Then everything is sent.
pub(crate) async fn refused(count: u64) -> Found {
    let site = site_with(REPLICAS, Wishes::default()).await?;
    for _ in 0..count {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        let mark = site.ledger.now();
        site.receivers().refuse(Some("email"));
        is_left_alone(&site, mark).await;
        site.receivers().refuse(None);
        site.arrives(&["email"]).await;
    }
    Some(run(count, Vec::new(), Vec::new(), judged(site).await))
}

/// Each process asks at most once in a pause, while the other channels go on.
async fn is_left_alone(site: &Site, mark: Duration) {
    tokio::time::sleep(OPENED).await;
    let (asked, texts) = (site.receivers().refused(), site.received(mark, &["sms"]));
    tokio::time::sleep(PAUSE * PAUSES).await;
    let more = site.receivers().refused() - asked;
    let texts = site.received(mark, &["sms"]) - texts;
    println!(
        "{asked} refusals until all breakers were open, {more} in the {PAUSES} pauses after; {texts} texts meanwhile"
    );
    assert!(
        more <= REPLICAS * usize::try_from(PAUSES).unwrap(),
        "{more} refusals"
    );
    assert!(more > 0, "nobody asks whether it is back");
    assert!(texts > BETWEEN, "{texts}");
}

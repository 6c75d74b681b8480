//! F8: the broker is short of memory, or of disk, and takes nothing in.

use std::time::Duration;

use tidings::domain::clock::Stopwatch;

use crate::rows::{BETWEEN, Found, judged, run, site_with};
use crate::site::ready;
use crate::wishes::Wishes;

/// How long it is short of it in a long trial.
pub(crate) const LONG: Duration = Duration::from_secs(180);
/// Until the memory of a process has found its level: what is in flight when the alarm comes, and caches.
const SETTLED: Duration = Duration::from_secs(6);
/// In percent; what a process may have more, or less, while the backlog grows.
const LEVEL: u64 = 10;

/// So many alarms, for want of memory and of disk in turn. What is measured is the time until the broker is used again.
pub(crate) async fn raised(count: u64, lasting: Duration) -> Found {
    let site = site_with(2, Wishes::default()).await?;
    let mut restarts = Vec::new();
    for number in 0..count {
        let before = site.load.count();
        site.taken(before + 3 * BETWEEN).await;
        let alarm = |on| match number % 2 {
            0 => site.broker().memory_alarm(on),
            _ => site.broker().disk_alarm(on),
        };
        let short = Stopwatch::start();
        alarm(true);
        let told = site.shows("tidings_broker_blocked", 2.0).await;
        tokio::time::sleep(SETTLED).await;
        let (before, level) = (site.load.count(), site.resident());
        let mut most = level.clone();
        while short.elapsed() < lasting {
            tokio::time::sleep(Duration::from_millis(200)).await;
            for (most, now) in most.iter_mut().zip(site.resident()) {
                *most = now.max(*most);
            }
        }
        site.taken(before + BETWEEN).await;
        let taken = site.load.count() - before;
        println!(
            "blocked after {told:?}; {taken} intents taken meanwhile, {level:?} KiB at first, {:?} at the end, {most:?} at most",
            site.resident()
        );
        for (level, most) in level.iter().zip(&most) {
            assert!(
                most * 100 < level * (100 + LEVEL),
                "{level} KiB, {most} at most"
            );
        }
        assert_eq!(ready(&site.console(0)).await.0, 200);
        // It is full, and not away.
        site.shows("tidings_broker_connected", 4.0).await;
        alarm(false);
        let again = Stopwatch::start();
        site.shows("tidings_broker_blocked", 0.0).await;
        site.arrives(&["email"]).await;
        restarts.push(u64::try_from(again.elapsed().as_millis()).unwrap());
    }
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    Some(run(count, Vec::new(), restarts, judged(site).await))
}

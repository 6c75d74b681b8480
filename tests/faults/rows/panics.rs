//! F17: hand-overs panic, before their first byte and after their outcome is stored; the process goes on.

use std::time::Duration;

use tidings::domain::clock::Stopwatch;
use tidings::failpoint::Point;

use super::Done;
use crate::trial::{Pace, Trial};

/// So few that no message meets three in a row, which would hold it until its expiry.
const EVERY: [u64; 2] = [97, 101];
/// What each leaves in the log.
const WORDS: &str = "a hand-over panicked";
/// At least one comes in this time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn in_handovers(count: u64, pace: Pace) -> Done {
    let mut trial = Trial::begin(pace).await;
    let points = [Point::AfterAttempt, Point::AfterOutcome]
        .iter()
        .zip(EVERY)
        .map(|(point, every)| format!("{}=panic%{every}", point.as_str()))
        .collect::<Vec<_>>()
        .join(";");
    let mut gateway = trial.start(&points).await.expect("nothing kills it");
    let log = trial.config.with_extension("log");
    let panics = || {
        let log = std::fs::read_to_string(&log).unwrap();
        u64::try_from(log.matches(WORDS).count()).unwrap()
    };
    let (mut seen, mut waiting) = (0, Stopwatch::start());
    while seen < count {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = panics();
        if now > seen {
            (seen, waiting) = (now, Stopwatch::start());
        }
        if let Some(status) = gateway.end(Duration::ZERO).await {
            trial
                .run
                .faults
                .push(format!("{seen} panics ended it: {status}"));
            break;
        }
        if waiting.elapsed() > PATIENCE {
            trial.run.faults.push(format!("only {seen} panics came"));
            break;
        }
    }
    gateway.kill().await;
    trial.died().await;
    let mut run = trial.finish().await;
    run.deaths = seen;
    run.in_flight.clear();
    run.restart_ms.clear();
    Done::Run(run)
}

//! F21: the system's clock is set forward and back by an hour and by a day while messages are on their way. Only the gateway sees the
//! steps; callers and receivers tell whether something came twice, came too early or stood still.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidings::domain::clock::{Clock as _, SystemClock};

use super::Done;
use crate::fake_time;
use crate::gateway::Gateway;
use crate::trial::{Pace, Trial};

/// In turn, seconds from the true time; the last one of a round is the farthest, so that all comes due there.
const STEPS: &[i64] = &[3_600, 0, -3_600, 0, 86_400, 0, -86_400, 86_400];
/// Sent earlier than this is too early.
const EARLY: SignedDuration = SignedDuration::from_secs(1);
/// What arrives now may have been handed over under a clock that was set meanwhile.
const UNDER_WAY: Duration = Duration::from_secs(5);
/// All goes on this soon after a step.
const GOES_ON: Duration = Duration::from_secs(20);
/// The first of the orders with a send time, out of the way of the others.
const FIRST: u64 = 10_000_000;

pub(crate) async fn steps(count: u64, pace: Pace) -> Done {
    let Some(library) = fake_time::library() else {
        return Done::Skipped("libfaketime is not there".into());
    };
    let mut trial = Trial::begin(pace).await;
    let mut clock = SetClock::begin(&mut trial, &library);
    let mut gateway = trial.start("").await.expect("nothing is armed");
    let mut planned = Vec::new();
    for (number, step) in (0..count).zip(STEPS.iter().cycle()) {
        trial.live(0.3, 0.8).await;
        plan(&mut trial, &gateway, &clock, number, &mut planned).await;
        clock.set(*step, trial.ledger.now());
        let (mark, taken) = (trial.ledger.now(), trial.load.count());
        let goes_on = async {
            trial.ledger.first_after(mark).await;
            while trial.load.count() == taken {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(GOES_ON, goes_on).await.is_err() {
            let fault = format!("all stands still since the clock was set to {step} s");
            trial.run.faults.push(fault);
        }
    }
    trial.live(0.3, 0.8).await;
    // What was begun while the clock was ahead comes due when it is there again.
    clock.set(86_400, trial.ledger.now());
    gateway.signal("-TERM").await;
    if gateway
        .end(GOES_ON)
        .await
        .is_none_or(|status| !status.success())
    {
        trial.run.faults.push("it did not end in order".into());
    }
    trial.died().await;
    trial.end().await;
    let mut run = std::mem::take(&mut trial.run);
    for entry in trial.ledger.read() {
        let sent = planned.iter().find(|(order, _)| *order == entry.order);
        if let Some((order, send_time)) = sent
            && clock.latest(entry.at) < *send_time - EARLY
        {
            let fault = format!("order {order} came before {send_time}");
            run.faults.push(fault);
        }
    }
    run.deaths = count;
    run.in_flight.clear();
    run.restart_ms.clear();
    Done::Run(run)
}

/// Two orders for later: one for soon, one for after the next step, or for long after.
async fn plan(
    trial: &mut Trial,
    gateway: &Gateway,
    clock: &SetClock,
    number: u64,
    planned: &mut Vec<(u64, Timestamp)>,
) {
    let far = if clock.offset() < 86_400 { 1_800 } else { 4 };
    for (place, seconds) in [(0, 2), (1, far)] {
        // All of them mails.
        let order = FIRST + (number * 2 + place) * 20;
        let send_time = clock.now(trial.ledger.now()) + SignedDuration::from_secs(seconds);
        let door = &gateway.grpc;
        trial.load.ask_for_later(door, order, send_time).await;
        planned.push((order, send_time));
    }
}

/// The clock that the gateway sees.
struct SetClock {
    file: PathBuf,
    /// The true time when the ledger was begun.
    base: Timestamp,
    /// How far off it was from when on, by the ledger's watch.
    history: Vec<(Duration, i64)>,
}

impl SetClock {
    fn begin(trial: &mut Trial, library: &Path) -> Self {
        let file = trial.folder().join("clock");
        let since = SignedDuration::try_from(trial.ledger.now()).unwrap();
        let how = vec![
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap().to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ];
        let variables = fake_time::environment(library, how);
        trial.environment.extend(variables);
        let mut clock = Self {
            file,
            base: SystemClock.now() - since,
            history: Vec::new(),
        };
        clock.set(0, Duration::ZERO);
        clock
    }

    fn set(&mut self, offset: i64, now: Duration) {
        // In one go: the gateway reads it all the time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset:+}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
        self.history.push((now, offset));
    }

    fn offset(&self) -> i64 {
        self.history.last().unwrap().1
    }

    fn now(&self, at: Duration) -> Timestamp {
        self.with(at, self.offset())
    }

    fn with(&self, at: Duration, offset: i64) -> Timestamp {
        self.base + SignedDuration::try_from(at).unwrap() + SignedDuration::from_secs(offset)
    }

    /// The latest that it can have been when what came at `at` was handed over.
    fn latest(&self, at: Duration) -> Timestamp {
        let ends = self.history.iter().skip(1).map(|(since, _)| *since);
        let ends = ends.chain([Duration::MAX]);
        let in_force =
            self.history.iter().zip(ends).filter(|((since, _), until)| {
                *since <= at && at.saturating_sub(UNDER_WAY) <= *until
            });
        let most = in_force.map(|((_, offset), _)| *offset).max().unwrap();
        self.with(at, most)
    }
}

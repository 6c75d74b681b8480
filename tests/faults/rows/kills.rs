//! F1 and F2: `kill -9`, from outside at any moment, and by the process itself at each named point.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tidings::failpoint::{Mutant, Point};

use super::Done;
use crate::gateway::{Gateway, Start};
use crate::trial::{Pace, Trial, one_to};

/// A point under load is met within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many points a migration of an empty folder passes at least.
const MIGRATION_POINTS: u32 = 100;
const SIGKILL: i32 = 9;

/// F1.
pub(crate) async fn at_random(count: u64, pace: Pace) -> Done {
    Done::Run(killed(count, pace, "").await)
}

/// The same while callers are told OK too early: this must be found out.
pub(crate) async fn with_mutant(count: u64, pace: Pace) -> crate::report::Run {
    let mutant = format!("{}=on", Mutant::AnswerBeforeCommit.as_str());
    killed(count, pace, &mutant).await
}

async fn killed(count: u64, pace: Pace, points: &str) -> crate::report::Run {
    let mut trial = Trial::begin(pace).await;
    for _ in 0..count {
        let gateway = trial.start(points).await.expect("it dies later");
        trial.live(0.2, 3.0).await;
        assert!(gateway.kill().await, "it died by itself");
        trial.died().await;
    }
    trial.finish().await
}

/// F2, in turn.
pub(crate) async fn at_points(count: u64, pace: Pace) -> Done {
    let mut trial = Trial::begin(pace).await;
    let mut left = count;
    migrate(&mut trial).await;
    left -= 1;
    let points = Point::ALL
        .iter()
        .filter(|point| **point != Point::InMigration);
    for point in points.cycle() {
        if left == 0 {
            break;
        }
        die_at(&mut trial, *point).await;
        left -= 1;
    }
    Done::Run(trial.finish().await)
}

/// Dies in the migration of the folder that the trial goes on with.
async fn migrate(trial: &mut Trial) {
    let point = Point::InMigration;
    let at = one_to(MIGRATION_POINTS);
    match Gateway::start(&trial.config, &armed(point, at)).await {
        Start::Died(status) if status.signal() == Some(SIGKILL) => {
            *trial.run.points.entry(point.as_str().into()).or_default() += 1;
        }
        Start::Died(status) => trial.run.faults.push(format!("it ended by {status}")),
        Start::Up(gateway) => {
            let fault = format!("a migration has fewer than {at} steps");
            trial.run.faults.push(fault);
            gateway.kill().await;
        }
    }
    trial.run.deaths += 1;
}

async fn die_at(trial: &mut Trial, point: Point) {
    let status = match trial.start(&armed(point, one_to(40))).await {
        Some(mut gateway) => match gateway.end(PATIENCE).await {
            Some(status) => status.signal(),
            None => {
                gateway.kill().await;
                None
            }
        },
        // Its backlog led it there before its doors were open.
        None => Some(SIGKILL),
    };
    if status == Some(SIGKILL) {
        *trial.run.points.entry(point.as_str().into()).or_default() += 1;
    } else {
        let fault = format!("{} was not met: {status:?}", point.as_str());
        trial.run.faults.push(fault);
    }
    trial.died().await;
}

fn armed(point: Point, at: u32) -> String {
    format!("{}=kill@{at}", point.as_str())
}

//! The rows of the fault matrix that need several processes, each as a trial with as many faults as are asked for.

use std::time::Duration;

use tidings::domain::clock::Stopwatch;

use crate::judge::Verdict;
use crate::report::{self, Run};
use crate::site::{Site, ready};
use crate::wishes::Wishes;
use crate::{
    alarm, flips, half_open, lanes, matrix, outage, partition, power, rates, rolls, skew, slow,
};

/// How long what a process was handing over may wait for another one, in a site whose providers answer within 5 s.
const TAKEN_OVER: Duration = Duration::from_secs(60);
/// Intents between two faults.
pub(crate) const BETWEEN: usize = 100;
/// Faults that a trial has at most: each has servers of its own and is judged by itself.
const AT_ONCE: u64 = 10;
/// Of faults that come many in a second.
const MANY_AT_ONCE: u64 = 200;

/// What a trial found; `None` where a server is not installed.
pub(crate) type Found = Option<Run>;

pub(crate) fn run(faults: u64, in_flight: Vec<u64>, restarts: Vec<u64>, verdict: Verdict) -> Run {
    Run {
        deaths: faults,
        intents: verdict.intents,
        lost: verdict.lost,
        duplicates: verdict.duplicates,
        unexplained: verdict.unexplained,
        ambiguous: verdict.ambiguous,
        expired: verdict.expired,
        in_flight,
        restart_ms: restarts,
        faults: verdict.faults,
        ..Run::default()
    }
}

async fn site(replicas: usize) -> Option<Site> {
    site_with(replicas, Wishes::default()).await
}

/// So many processes that do everything, called in turn.
pub(crate) async fn site_with(replicas: usize, wishes: Wishes) -> Option<Site> {
    let mut site = Site::open_with(wishes).await?;
    for _ in 0..replicas {
        site.start(&[]).await;
    }
    site.open_doors().await;
    Some(site)
}

pub(crate) async fn judged(mut site: Site) -> Verdict {
    let door = site.grpc(0);
    site.judged(&door).await
}

/// F1 over three replicas.
pub(crate) async fn replicas_killed(count: u64) -> Found {
    let mut site = site(3).await?;
    let mut in_flight = Vec::new();
    for number in 0..count {
        site.live(1.0, 2.0).await;
        let killed = usize::try_from(number % 3).unwrap();
        in_flight.push(site.kill(killed).await);
        site.start_in(killed, &[]).await;
        site.open_doors().await;
    }
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    Some(run(count, in_flight, Vec::new(), judged(site).await))
}

/// F20.
pub(crate) async fn processes_paused(count: u64) -> Found {
    let mut site = site(2).await?;
    let mut in_flight = Vec::new();
    for number in 0..count {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        let paused = usize::try_from(number % 2).unwrap();
        in_flight.push(site.pause(paused, TAKEN_OVER).await);
        site.open_doors().await;
    }
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    Some(run(count, in_flight, Vec::new(), judged(site).await))
}

/// F3, or with `wiped` F4. Intake goes on meanwhile.
pub(crate) async fn broker_killed(count: u64, wiped: bool) -> Found {
    let mut site = site(2).await?;
    for _ in 0..count {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        if wiped {
            site.broker_mut().wipe();
        } else {
            site.broker_mut().kill();
        }
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        assert_eq!(ready(&site.console(0)).await.0, 200);
        site.broker_mut().start_again();
    }
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    Some(run(count, Vec::new(), Vec::new(), judged(site).await))
}

/// F5. Nothing is answered OK meanwhile; what is measured is the time from the database's return to fifty answers.
pub(crate) async fn database_killed(count: u64) -> Found {
    let mut site = site(2).await?;
    let mut restarts = Vec::new();
    for number in 0..count {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        site.database.kill();
        // Answers that were on their way.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = site.load.count();
        let away = if number % 2 == 0 { 1 } else { 9 };
        tokio::time::sleep(Duration::from_secs(away)).await;
        assert_eq!(site.load.count(), before, "answered OK without a database");
        site.database.run();
        let back = Stopwatch::start();
        site.taken(before + BETWEEN / 2).await;
        restarts.push(u64::try_from(back.elapsed().as_millis()).unwrap());
    }
    let told = site.load.passing();
    assert!(
        told.iter()
            .any(|(code, _)| *code == tonic::Code::Unavailable),
        "{told:?}"
    );
    Some(run(count, Vec::new(), restarts, judged(site).await))
}

fn at_once(row: &str) -> u64 {
    match row {
        "F21x2" | "F27" => MANY_AT_ONCE,
        _ => AT_ONCE,
    }
}

/// `make faults ROWS=F3 COUNT=20`; what it asks for that is not here, other tests run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; make faults runs it"]
async fn the_rows_asked_for() {
    let asked = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let count: u64 = asked("TIDINGS_TEST_COUNT").parse().unwrap();
    let mut faults = 0;
    for name in asked("TIDINGS_TEST_ROWS").split(',') {
        let mut left = count;
        while left > 0 {
            let some = left.min(at_once(name));
            left -= some;
            let found = match name {
                "F1x3" => replicas_killed(some).await,
                "F3" => broker_killed(some, false).await,
                "F4" => broker_killed(some, true).await,
                "F5" => database_killed(some).await,
                "F6pg" => power::cuts(some).await,
                "F8" => alarm::raised(some, alarm::LONG).await,
                "F9" => half_open::stand_still(some, half_open::LONG).await,
                "F18x3" => rolls::stopped_with_hung_clients(some).await,
                "F19" => rolls::restarted_in_turn(some, 200).await,
                "F12x3" => slow::trials(some).await,
                "F25" => rates::backlogs(some).await,
                "RATE" => rates::minutes(some).await,
                "LANES" => lanes::trials(some).await,
                "F10" => partition::parted(some, partition::LONG).await,
                "F13x3" => outage::refused(some).await,
                "F20" => processes_paused(some).await,
                "F21x2" => skew::skewed(some).await,
                "F27" => flips::flipped(some).await,
                "AWAY" => outage::broker_away(some).await,
                _ => break,
            };
            let Some(run) = found else { break };
            println!("{name}: {}", run.line());
            run.faults.iter().for_each(|fault| println!("  {fault}"));
            faults += run.faults.len();
            report::record(matrix::named(name), run);
        }
    }
    assert_eq!(faults, 0, "the runs above found faults");
}

//! Sudden death: the program is killed, cut off and stopped under load, and a judge looks at what callers were told and what receivers
//! wrote down. Here a short set of each row; `make faults` runs the rows at length against the release build.
//!
//! Needs the feature `failpoints`.

#[path = "support/fake_time.rs"]
mod fake_time;
#[path = "faults/gateway.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod gateway;
#[path = "faults/hang.rs"]
mod hang;
#[path = "support/http_fake.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod http_fake;
#[path = "faults/judge.rs"]
mod judge;
#[path = "faults/ledger.rs"]
mod ledger;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "faults/mount.rs"]
mod mount;
#[path = "faults/receivers.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod receivers;
#[path = "faults/report.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod report;
#[path = "faults/rows.rs"]
mod rows;
#[path = "faults/shop.rs"]
mod shop;
#[path = "support/skip.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod skip;
#[path = "faults/store_file.rs"]
mod store_file;
#[path = "faults/trial.rs"]
mod trial;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;

use report::Run;
use rows::{Done, kills};
use tidings::failpoint::Point;
use trial::Pace;

/// Attempts that must be under way at the median kill, or killing shows little.
const IN_FLIGHT: u64 = 20;

/// A short round of a row, which must find nothing. `None`: this machine cannot.
async fn short(name: &str, count: u64) -> Option<Run> {
    match (rows::named(name).unwrap().run)(count, Pace::SHORT).await {
        Done::Run(run) => {
            println!("{name}: {}", run.line());
            assert_eq!(run.faults, [""; 0]);
            assert_eq!((run.lost, run.unexplained), (0, 0));
            assert!(run.intents > 50, "only {} intents", run.intents);
            Some(run)
        }
        // Not a server that could be installed: loop devices and memory limits are the machine's to give.
        Done::Skipped(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_nothing() {
    let run = short("F1", 5).await.unwrap();
    assert!(run.median_in_flight() >= IN_FLIGHT, "{:?}", run.in_flight);
    assert!(run.ambiguous > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_every_named_point_lose_nothing() {
    let points = Point::ALL.iter().map(|point| point.as_str());
    let count = u64::try_from(points.len()).unwrap();
    let run = short("F2", count).await.unwrap();
    for point in points {
        assert_eq!(run.points.get(point), Some(&1), "{point}");
    }
}

/// What the harness is for: a gateway that answers OK before the commit must be found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_answers_too_early_is_found_out() {
    for _ in 0..4 {
        let run = kills::with_mutant(2, Pace::SHORT).await;
        println!("mutant: {}", run.line());
        if run.lost > 0 {
            return;
        }
    }
    panic!("eight kills, and nothing was missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_under_load_lose_nothing_and_leave_nothing_open() {
    short("F18", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_lose_nothing() {
    short("F6", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shortages_cost_callers_a_sentence_and_nothing_else() {
    // One of each.
    short("F7", 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_cost_a_try_and_nothing_else() {
    short("F17", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_doubles_nothing_and_sends_nothing_early() {
    short("F21", 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_end_as_another_library_says() {
    short("F22", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_for_want_of_memory_lose_nothing() {
    short("F23", 1).await;
}

#[test]
fn the_page_is_made_from_the_record() {
    report::page_is_made_from_the_record();
}

/// `make faults ROWS=F1,F2 COUNT=100`: rounds until so many deaths are done, each added to the record when it is judged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; make faults runs it"]
async fn the_rows_asked_for() {
    let asked = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let count: u64 = asked("TIDINGS_TEST_COUNT").parse().unwrap();
    let mut faults = 0;
    report::make_page();
    for name in asked("TIDINGS_TEST_ROWS").split(',') {
        let row = matrix::named(name);
        let Some(runner) = rows::named(name) else {
            continue;
        };
        let mut left = count;
        while left > 0 {
            let round = left.min(runner.round);
            left -= round;
            match (runner.run)(round, Pace::FULL).await {
                Done::Run(run) => {
                    println!("{name}: {}", run.line());
                    run.faults.iter().for_each(|fault| println!("  {fault}"));
                    faults += run.faults.len();
                    // A machine that is too busy to have much in flight shows nothing, unless it shows a fault.
                    if name == "F1" && run.faults.is_empty() && run.median_in_flight() < IN_FLIGHT {
                        println!("  not counted: too little was in flight");
                        faults += 1;
                        continue;
                    }
                    report::record(row, run);
                }
                Done::Skipped(why) => {
                    println!("{name}: SKIPPED, {why}");
                    break;
                }
            }
        }
    }
    assert_eq!(faults, 0, "the runs above found faults");
}

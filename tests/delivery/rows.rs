//! Rows of the fault matrix that need no process of their own: the trials of these tests, as often as is asked for.

use crate::report::{self, Run};
use crate::{cut, failing, matrix, poison, slow};

/// Intents that nobody can fill in one gateway: of more, a debug build needs longer than the others may wait.
const POISON_AT_ONCE: usize = 100;

/// `make faults ROWS=F13 COUNT=100`; what it asks for that is not here, `tests/faults.rs` runs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; make faults runs it"]
async fn the_rows_asked_for() {
    let asked = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let count: u64 = asked("TIDINGS_TEST_COUNT").parse().unwrap();
    for name in asked("TIDINGS_TEST_ROWS").split(',') {
        let mut intents = 0;
        match name {
            "F11" => {
                cuts(count).await;
                continue;
            }
            "F12" => {
                for number in 0..count {
                    intents += slow::trial(number).await;
                }
            }
            "F13" => {
                for number in 0..count {
                    intents += failing::trial(number).await;
                }
            }
            "F16" => {
                let mut left = usize::try_from(count).unwrap();
                while left > 0 {
                    let poisoned = left.min(POISON_AT_ONCE);
                    left -= poisoned;
                    let whole = poison::cost_the_others_nothing(poisoned).await;
                    intents += u64::try_from(whole).unwrap();
                }
            }
            _ => continue,
        }
        // A trial that finds something has ended all this with its own words.
        let run = Run {
            deaths: count,
            intents,
            ..Run::default()
        };
        println!("{name}: {}", run.line());
        report::record(matrix::named(name), run);
    }
}

/// F11, so many places of the dialogue from where the record ends; all of them, and it begins anew.
async fn cuts(count: u64) {
    let row = matrix::named("F11");
    let mut way = cut::Way::open().await;
    let every = way.every();
    let begin = report::done(row) % every.len();
    let places = every.iter().cycle().skip(begin);
    for place in places.take(usize::try_from(count).unwrap()) {
        way.cut(*place).await;
    }
    println!("{}: {}", row.name, way.run.line());
    way.run
        .faults
        .iter()
        .for_each(|fault| println!("  {fault}"));
    let faults = way.run.faults.len();
    report::record(row, way.run);
    assert_eq!(faults, 0, "the cuts above found faults");
}

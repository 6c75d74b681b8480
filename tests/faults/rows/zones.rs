//! F22: the end of quiet hours in every time zone on the days around every change of its clock, held against Python's zoneinfo
//! (`zones.py`), which shares nothing with the released code but the zones' data.

use std::path::PathBuf;
use std::process::Command;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidings::domain::quiet_hours::DailyWindow;

use super::Done;
use crate::report::Run;
use crate::skip::root;
use crate::trial::Pace;

/// Clocks that change at midnight, by half an hour, by two, for Ramadan, backwards in summer, or not at all.
const SAMPLE: &[&str] = &[
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/New_York",
    "America/Santiago",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
];
/// Minutes between two looks in the sample.
const SAMPLE_STEP: &str = "15";

/// All zones by the minute, or at the short pace a sample.
pub(crate) async fn compare(pace: Pace) -> Done {
    let done = tokio::task::spawn_blocking(move || compared(pace.patient));
    done.await.unwrap()
}

fn script() -> PathBuf {
    root().join("tests/faults/rows/zones.py")
}

fn compared(sample: bool) -> Done {
    let mut command = Command::new("python3");
    command.arg(script());
    let step = if sample { SAMPLE_STEP } else { "1" };
    command.arg(step);
    if sample {
        command.args(SAMPLE);
    }
    let said = match command.output() {
        Ok(said) if said.status.success() => String::from_utf8(said.stdout).unwrap(),
        Ok(said) => {
            let why = String::from_utf8_lossy(&said.stderr).into_owned();
            return Done::Skipped(format!("Python has no zones: {why}"));
        }
        Err(why) => return Done::Skipped(format!("python3: {why}")),
    };
    let step = step.parse::<i64>().unwrap() * 60;
    let mut run = Run::default();
    let mut last = "";
    for line in said.lines() {
        let zone = line.split(' ').next().unwrap();
        if zone != last {
            run.deaths += 1;
            last = zone;
        }
        day(line, step, &mut run);
    }
    Done::Run(run)
}

/// One line of the script: a day in a zone with a window.
fn day(line: &str, step: i64, run: &mut Run) {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap();
    let (name, from, until) = (word(), word(), word());
    let mut second: i64 = word().parse().unwrap();
    let zone = TimeZone::get(name).unwrap();
    let window = DailyWindow::try_new(from, until).unwrap();
    for reference in words {
        let (count, expected) = reference.split_once(':').unwrap();
        for _ in 0..count.parse::<u64>().unwrap() {
            let now = Timestamp::from_second(second).unwrap();
            let end = window.quiet_until(now, &zone);
            let told = end.map_or_else(|| "-".to_owned(), |end| end.as_second().to_string());
            if told != expected {
                let fault = format!("{name}, {from} to {until} at {now}: {told}, not {expected}");
                run.faults.push(fault);
            }
            run.intents += 1;
            second += step;
        }
    }
}

//! What was run and what came of it: added to docs/fault-matrix.json by `make faults`, and made into docs/fault-matrix.md.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};
use tidings::domain::clock::{Clock as _, SystemClock};

use crate::matrix::{self, Row};
use crate::skip::root;

/// Sentences kept of a run that found faults.
const FAULTS_KEPT: usize = 10;

/// What one run of a row gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    pub(crate) date: String,
    pub(crate) commit: String,
    /// Kills, cuts or stops.
    pub(crate) deaths: u64,
    /// Answered OK.
    pub(crate) intents: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// Duplicates that no death and no withheld answer explains.
    pub(crate) unexplained: u64,
    pub(crate) ambiguous: u64,
    pub(crate) expired: u64,
    /// Attempts being handed over at each death.
    pub(crate) in_flight: Vec<u64>,
    /// From each start after a death to the first message received.
    pub(crate) restart_ms: Vec<u64>,
    /// Deaths at named points.
    pub(crate) points: BTreeMap<String, u64>,
    pub(crate) faults: Vec<String>,
}

impl Run {
    pub(crate) fn median_in_flight(&self) -> u64 {
        middle(&self.in_flight).unwrap_or_default()
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} deaths, {} intents, {} lost, {} duplicates ({} unexplained), {} ambiguous, {} expired, \
             {} in flight, restart {:?}/{:?} ms, {} faults",
            self.deaths,
            self.intents,
            self.lost,
            self.duplicates,
            self.unexplained,
            self.ambiguous,
            self.expired,
            self.median_in_flight(),
            middle(&self.restart_ms),
            self.restart_ms.iter().max(),
            self.faults.len()
        )
    }
}

fn middle(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

type Matrix = BTreeMap<String, Vec<Run>>;

fn json() -> PathBuf {
    root().join("docs/fault-matrix.json")
}

fn page() -> PathBuf {
    root().join("docs/fault-matrix.md")
}

fn read() -> Matrix {
    let text = std::fs::read_to_string(json()).unwrap_or_else(|_| "{}".to_owned());
    serde_json::from_str(&text).unwrap()
}

/// Adds a run to the record, and makes the page anew.
pub(crate) fn record(row: &Row, mut run: Run) {
    run.date = SystemClock.now().strftime("%F").to_string();
    run.commit = commit();
    run.faults.truncate(FAULTS_KEPT);
    let mut matrix = read();
    matrix.entry(row.name.to_owned()).or_default().push(run);
    // A run a line: readable, and a difference shows what was added.
    let rows_text: Vec<String> = matrix
        .iter()
        .map(|(name, runs)| {
            let runs: Vec<String> = runs
                .iter()
                .map(|run| format!("    {}", serde_json::to_string(run).unwrap()))
                .collect();
            format!("  \"{name}\": [\n{}\n  ]", runs.join(",\n"))
        })
        .collect();
    std::fs::write(json(), format!("{{\n{}\n}}\n", rows_text.join(",\n"))).unwrap();
    make_page();
}

/// How many faults of a row are on the record.
pub(crate) fn done(row: &Row) -> usize {
    let matrix = read();
    let runs = matrix.get(row.name).into_iter().flatten();
    usize::try_from(runs.map(|run| run.deaths).sum::<u64>()).unwrap()
}

/// Makes the page from the record.
pub(crate) fn make_page() {
    std::fs::write(page(), write(&read())).unwrap();
}

/// What was built: the commit, and whether something was changed beside this record.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let said = Command::new("git")
            .args(arguments)
            .current_dir(root())
            .output();
        said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let Ok(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--", ":!docs/fault-matrix.*"]);
    if changed.is_ok_and(|changed| changed.is_empty()) {
        commit
    } else {
        commit + "-dirty"
    }
}

const HEAD: &str = "# Faults: what was promised, what was tried, what came of it

Made by `make faults` from [fault-matrix.json](fault-matrix.json), which holds every run; do not edit. `make test` runs a short set of the
same rows. Each run starts the release build with failpoints, lets callers ask for about 200 intents a second over mail, SMS and chat, and ends
the process in the way that the row says. Receivers sync every message to a ledger before they answer, refuse some, answer some slowly, and close
the connection on some; afterwards a judge holds callers, ledger and store against each other.

- **lost**: answered OK and then not there, not ended, or said to be sent and never received.
- **duplicates**: messages received more than once. **unexplained**: those that are more than the attempts being handed over at a death, and the
  answers that a receiver withheld, or that came under another Message-ID or nonce.
- **ambiguous**: tries whose outcome nobody knows. **in flight**: attempts being handed over at the median death.
- **restart**: from the start of the process to the first message received, in milliseconds; of F7 from the end of the shortage until new calls
  are answered and messages received.
- F11, F12, F13 and F16 are trials of `tests/delivery` on a clock of their own; the intents of F22 are minutes that were compared, those
  of MIME mails. F1x3, F3, F4, F5, F6pg, F8, F9, F10, F13x3, F18x3, F20, F21x2, F27 and AWAY have several processes over a private PostgreSQL
  and RabbitMQ, at 80 intents a second, F19 at 200. The restart of F5 and F9 is the time from the database's return to fifty answers, of F8 from the
  end of the alarm to a mail received, of F10 from the cut, or where no two nodes were left together from its end, to a message received that was
  asked for after it; of AWAY from the broker's return to a mail received. F19 starts the same program again, as there is no release before it yet.
  F12x3, F25, RATE and LANES measure at the receiver; their intents are messages.

";

fn write(record: &Matrix) -> String {
    let mut text = HEAD.to_owned();
    text += "| row | promise | done of wanted | intents | lost | duplicates | unexplained | ambiguous | in flight | restart p50 / max | last run |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|---|\n";
    let none = Vec::new();
    for row in matrix::ALL {
        let runs = record.get(row.name).unwrap_or(&none);
        text += &line(row, runs);
    }
    let mut points: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in record.values().flatten().flat_map(|run| &run.points) {
        *points.entry(name).or_default() += count;
    }
    if !points.is_empty() {
        text += "\nDeaths at named points (`src/failpoint.rs`):\n\n| point | deaths |\n|---|---|\n";
        for (name, count) in points {
            text += &format!("| {name} | {count} |\n");
        }
    }
    text
}

fn line(row: &Row, runs: &[Run]) -> String {
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    let all = |of: fn(&Run) -> &Vec<u64>| runs.iter().flat_map(of).copied().collect::<Vec<_>>();
    let word = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
    let restarts = all(|run| &run.restart_ms);
    let last = runs
        .last()
        .map_or_else(String::new, |run| format!("{}, {}", run.date, run.commit));
    format!(
        "| {} | {} | {} of {} {} | {} | {} | {} | {} | {} | {} | {} / {} | {last} |\n",
        row.name,
        row.promise,
        sum(|run| run.deaths),
        row.wanted,
        row.unit,
        sum(|run| run.intents),
        sum(|run| run.lost),
        sum(|run| run.duplicates),
        sum(|run| run.unexplained),
        sum(|run| run.ambiguous),
        word(middle(&all(|run| &run.in_flight))),
        word(middle(&restarts)),
        word(restarts.iter().max().copied()),
    )
}

/// The page is what the record makes.
pub(crate) fn page_is_made_from_the_record() {
    let said = std::fs::read_to_string(page()).unwrap();
    assert_eq!(said, write(&read()), "make it anew with make faults");
}

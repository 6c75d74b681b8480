//! `tidings bench`: its counts are those of the gateway that it measured, it says where its figures come from, and it leaves nothing
//! behind. How fast anything is, is no business of a test.

mod support {
    pub(crate) mod program;
    #[expect(dead_code, reason = "shared with tests that use more of it")]
    pub(crate) mod skip;
}

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::program::{field, program, run};
use support::skip::skip;
use tempfile::TempDir;
use tidings::domain::clock::Stopwatch;

fn figures(report: &Value, part: &str) -> Vec<Value> {
    let figures = report["figures"].as_array().unwrap();
    figures
        .iter()
        .filter(|figure| figure["part"] == part)
        .cloned()
        .collect()
}

fn named<'a>(figures: &'a [Value], name: &str) -> &'a Value {
    figures
        .iter()
        .find(|figure| figure["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {figures:#?}"))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn accepts_add_up_with_what_the_gateway_holds() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let arguments = [
        "bench",
        "accept",
        "--seconds",
        "1",
        "--quick",
        "--json",
        "--data",
        data,
    ];
    let (code, out, err) = run(program().args(arguments));
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let figures = figures(&report, "accept");
    let disk = named(&figures, "disk.rows")["value"].as_f64().unwrap();
    assert!(disk > 0.0);
    let mut all_counted = 0;
    for shape in ["unary", "batch", "stream"] {
        for when in ["sending", "later"] {
            let figure = named(&figures, &format!("accept.{shape}.{when}"));
            let (accepted, counted) = (
                figure["accepted"].as_u64().unwrap(),
                figure["counted"].as_u64().unwrap(),
            );
            assert!(accepted > 0 && accepted >= counted, "{figure}");
            assert_eq!(figure["errors"], 0, "{figure}");
            // What was acknowledged is what the store holds: no more and no less.
            assert_eq!(figure["stored"], accepted, "{figure}");
            let sent = figure["sent_meanwhile"].as_u64().unwrap();
            assert!(
                sent <= accepted && (when == "sending" || sent == 0),
                "{figure}"
            );
            // A slow machine may answer the first of many on the way when the second is over.
            all_counted += counted;
            if counted > 0 {
                let latency = |name: &str| figure[name].as_f64().unwrap();
                assert!(latency("p50_ms") > 0.0, "{figure}");
                assert!(latency("p50_ms") <= latency("p99_ms"), "{figure}");
            }
            // A second was measured, so the rate is the count.
            assert_eq!(figure["value"], counted as f64, "{figure}");
            let ratio = figure["ratio"].as_f64().unwrap();
            assert!((ratio - counted as f64 / disk).abs() < 0.001, "{figure}");
        }
    }
    assert!(all_counted > 0);
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
    assert_eq!(report["machine"]["profile"], "debug");
    assert_eq!(report["settings"]["callers"], 64);
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("DEBUG BUILD") && notes.contains("--quick"),
        "{notes}"
    );
    assert!(is_empty(folder.path()), "the data was left behind");
}

/// Each part of a run over servers of its own is there with its cost, and nothing of them is left.
#[test]
fn a_run_over_servers_tells_what_a_message_costs_each_of_them() {
    let folder = TempDir::new().unwrap();
    let servers = ["--store", "postgres", "--queue", "rabbitmq"];
    let (code, out, err) = run(program()
        .args(["bench", "delivery", "--seconds", "1", "--quick", "--json"])
        .args(servers)
        .arg("--data")
        .arg(folder.path()));
    if err.contains("not installed") {
        return skip(&err);
    }
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let figures = figures(&report, "delivery");
    let figure = named(&figures, "delivery");
    for part in ["gateway", "postgres", "rabbitmq", "sink"] {
        let cost = figure["cpu_ms_a_message"][part].as_f64();
        assert!(cost.is_some_and(|cost| cost > 0.0), "{part}: {figure}");
    }
    // A message is at least a notification, a message, an attempt and their ends.
    for (fact, least) in [("rows_a_message", 5.0), ("log_bytes_a_message", 500.0)] {
        let cost = figure[fact].as_f64();
        assert!(cost.is_some_and(|cost| cost > least), "{fact}: {figure}");
    }
    for name in ["delivery", "smtp-source", "broker.floor"] {
        let value = named(&figures, name)["value"].as_f64();
        assert!(value.is_some_and(|value| value > 0.0), "{name}");
    }
    assert!(is_empty(folder.path()), "the data was left behind");
}

#[test]
fn one_core_is_measured_and_drawn() {
    let folder = TempDir::new().unwrap();
    let chart = folder.path().join("chart.svg");
    let (code, out, err) = run(program()
        .args(["bench", "decide", "render", "--seconds", "1"])
        .arg("--chart")
        .arg(&chart));
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("DEBUG BUILD"), "{err}");
    for words in [
        "decisions on one core",
        "mails on one core",
        "of handlebars",
        "debug build",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let reference = field(
        &out,
        "reference: handlebars alone on the same HTML template",
    );
    assert!(reference.contains("/s"), "{reference}");
    let svg = std::fs::read_to_string(chart).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    assert_eq!(svg.matches("class=\"bar\"").count(), 2, "{svg}");
    assert_eq!(svg.matches("class=\"other\"").count(), 1, "{svg}");
}

#[test]
fn what_cannot_be_measured_is_told_before_anything_starts() {
    for (arguments, code, words) in [
        (&["bench", "speed"][..], 2, "invalid value 'speed'"),
        (&["bench", "--seconds", "0"], 2, "0 is not in 1..="),
        (&["bench", "--callers", "0"], 2, "0 is not in 1..="),
        (
            &["bench", "decide", "--data", "/no/such/folder"],
            1,
            "/no/such/folder cannot be used",
        ),
        (
            &["bench", "decide", "--chart", "/no/such/folder/c.svg"],
            1,
            "c.svg cannot be written",
        ),
    ] {
        let (ended, out, err) = run(program().args(arguments));
        assert_eq!(ended, code, "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
    }
}

/// A run that a failed test must not leave behind.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The processes whose command line names `folder`.
fn processes(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let names = |id: &u32| {
        std::fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(folder))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(names)
        .collect()
}

/// Whether a gateway in `folder` has stored more than its own tables.
fn has_written(folder: &Path) -> bool {
    let found = std::fs::read_dir(folder).unwrap();
    found
        .map(|entry| entry.unwrap().path().join("data/tidings.db-wal"))
        .any(|log| std::fs::metadata(log).is_ok_and(|log| log.len() > 512 * 1024))
}

#[test]
fn a_run_that_is_stopped_tells_what_it_has_and_ends_its_gateway() {
    let folder = TempDir::new().unwrap();
    let child = program()
        .args([
            "bench",
            "accept",
            "--seconds",
            "600",
            "--quick",
            "--json",
            "--data",
        ])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut bench = Run(child);
    let own = bench.0.id();
    // The disk is measured first; then a gateway comes, and with the load its log of writes grows.
    let started = Stopwatch::start();
    while !has_written(folder.path()) {
        assert!(
            started.elapsed() < Duration::from_secs(90),
            "no gateway wrote anything"
        );
        assert!(bench.0.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let running = processes(folder.path());
    assert!(running.iter().any(|id| *id != own), "{running:?}");
    let asked = Command::new("kill")
        .args(["-TERM", &own.to_string()])
        .status();
    assert!(asked.unwrap().success());
    let mut out = String::new();
    std::io::Read::read_to_string(&mut bench.0.stdout.take().unwrap(), &mut out).unwrap();
    assert_eq!(bench.0.wait().unwrap().code(), Some(1));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(
        named(&figures(&report, "accept"), "disk.rows")["value"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert_eq!(processes(folder.path()), Vec::<u32>::new());
    assert!(is_empty(folder.path()), "the data was left behind");
}

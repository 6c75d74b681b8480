//! What a stretch of work cost, by part: processor time of each process with its children, and on PostgreSQL rows and log.

use serde_json::{Map, Value, json};

use super::gateway::Gateway;
use super::servers::Servers;
use super::sink::Sink;

/// Of the system's clock that proc(5) counts in: 100 a second on every Linux since 2.6.
const TICKS_A_SECOND: f64 = 100.0;

/// Counters at a moment; only differences mean something.
pub(super) struct Cost {
    parts: Vec<(&'static str, f64)>,
    written: Option<Written>,
}

/// What a database has written so far.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// Inserted, changed or removed.
    pub(super) rows: u64,
    /// Of the write-ahead log.
    pub(super) log_bytes: u64,
}

impl Cost {
    /// The counters now.
    ///
    /// # Errors
    /// A sentence when the database does not tell.
    pub(super) async fn now(
        gateway: &Gateway,
        servers: &Servers,
        sink: &Sink,
    ) -> Result<Self, String> {
        let mut parts = vec![
            ("gateway", seconds(gateway.pid())),
            ("sink", sink.pid().map_or(0.0, seconds)),
            (
                "load",
                Process::read(std::process::id()).map_or(0.0, Process::seconds),
            ),
        ];
        for (name, pid) in servers.pids() {
            parts.push((name, seconds(pid)));
        }
        let written = servers.written().await?;
        Ok(Self { parts, written })
    }

    /// What was spent since `before`, for each of `messages`: milliseconds of processor time by part, rows, bytes of log.
    pub(super) fn since(&self, before: &Self, messages: u64) -> Map<String, Value> {
        let each = |total: f64| total / messages.max(1) as f64;
        let milliseconds: Map<String, Value> = self
            .parts
            .iter()
            .zip(&before.parts)
            .map(|((name, now), (_, then))| {
                let spent = each((now - then) * 1000.0);
                ((*name).to_owned(), json!((spent * 1000.0).round() / 1000.0))
            })
            .collect();
        let mut facts = Map::new();
        facts.insert("cpu_ms_a_message".into(), Value::Object(milliseconds));
        if let (Some(now), Some(then)) = (self.written, before.written) {
            let rows = each((now.rows - then.rows) as f64);
            let bytes = each((now.log_bytes - then.log_bytes) as f64);
            facts.insert("rows_a_message".into(), json!((rows * 10.0).round() / 10.0));
            facts.insert("log_bytes_a_message".into(), json!(bytes.round()));
        }
        facts
    }
}

/// Processor time of a process and of all its children that run, in seconds.
fn seconds(pid: u32) -> f64 {
    let all: Vec<Process> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut tree = vec![pid];
    let mut ticks = 0;
    while let Some(pid) = tree.pop() {
        ticks += all
            .iter()
            .find(|process| process.pid == pid)
            .map_or(0, |process| process.ticks);
        let children = all.iter().filter(|process| process.parent == pid);
        tree.extend(children.map(|process| process.pid));
    }
    f64::from(ticks) / TICKS_A_SECOND
}

struct Process {
    pid: u32,
    parent: u32,
    ticks: u32,
}

impl Process {
    /// It alone.
    fn read(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Its name, in brackets, may hold anything; state, parent and then the rest follow.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some(Self {
            pid,
            parent: number(1)?,
            // utime and stime.
            ticks: number(11)? + number(12)?,
        })
    }

    fn seconds(self) -> f64 {
        f64::from(self.ticks) / TICKS_A_SECOND
    }
}

//! `tidings bench`: how fast this gateway is on this machine, and how much memory it takes. The gateway that is measured is a
//! process of its own; this one makes the load, on the same cores. It tells figures and the ratio to a reference of the same run;
//! it fails nothing, and it never touches a gateway that somebody uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::hosts::Ended;
use crate::cli::{self, BenchOptions, BenchPart};
use crate::lifecycle::asked_to_stop;

mod accept;
mod broker;
mod chart;
mod cost;
mod database;
mod delivery;
mod fill;
mod gateway;
mod load;
mod machine;
mod memory;
mod pure;
mod report;
mod servers;
mod sink;
mod stored;

use gateway::{Folder, Gateway};
use machine::Machine;
use report::Report;
use servers::Servers;

/// What all parts need to know.
struct Plan {
    /// How long a rate is measured.
    span: Duration,
    callers: usize,
    data: Option<PathBuf>,
    /// Smaller numbers, to try it out.
    quick: bool,
    /// How many the large store holds.
    stored: Option<u64>,
    servers: Servers,
    /// SMTP connections.
    connections: u16,
    /// Further settings of the gateway, a line each.
    set: String,
}

impl Plan {
    /// A tenth of a number with `--quick`.
    fn scaled(&self, number: u64) -> u64 {
        if self.quick { number / 10 } else { number }
    }

    /// A gateway over a store of its own that is new, in this folder or on the servers, with further settings.
    async fn gateway(&self, folder: &Folder, settings: &str) -> Result<Gateway, String> {
        let servers = self.servers.settings().await?;
        Gateway::start(folder.path(), &format!("{servers}{}{settings}", self.set)).await
    }
}

/// Measures what was asked for and tells it. What was measured before it was asked to stop, or before it failed, is told, too.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn run(options: BenchOptions) -> Result<(), Ended> {
    let asked = asked_to_stop().map_err(|error| format!("no signal can be waited for: {error}"))?;
    let plan = Plan {
        span: Duration::from_secs(options.seconds),
        callers: usize::from(options.callers),
        data: options.data.clone(),
        quick: options.quick,
        stored: options.stored,
        servers: Servers::start(&options, options.data.as_deref()).await?,
        connections: options.connections,
        set: options.set.iter().map(|line| format!("{line}\n")).collect(),
    };
    // What cannot be written is found before minutes are spent.
    if let Some(file) = &options.chart {
        let opened = std::fs::File::options()
            .create(true)
            .append(true)
            .open(file);
        opened.map_err(|why| unwritable(file, &why))?;
    }
    let disk = Folder::new(plan.data.as_deref())?;
    let machine = Machine::look(disk.path());
    drop(disk);
    let mut report = Report::new(machine.clone(), settings(&options));
    if cfg!(debug_assertions) {
        report.note("THIS IS A DEBUG BUILD: its figures mean nothing. Build with --release.");
    }
    if machine.in_memory() {
        report.note(
            "The data lies in memory, where nothing is durable: name a folder on a disk by --data.",
        );
    }
    if plan.quick {
        report.note("This was --quick: fewer customers, and smaller numbers in memory and stored.");
    }
    let measured = tokio::select! {
        measured = measure(&plan, &options, &mut report) => measured,
        () = asked => Err("stopped before everything was measured".to_owned()),
    };
    if options.json {
        cli::document(&report.json());
    } else {
        report.tell();
    }
    if let Some(file) = &options.chart {
        std::fs::write(file, chart::draw(&report)).map_err(|why| unwritable(file, &why))?;
    }
    Ok(measured?)
}

async fn measure(plan: &Plan, options: &BenchOptions, report: &mut Report) -> Result<(), String> {
    for part in options.chosen() {
        match part {
            BenchPart::Accept => accept::run(plan, report).await?,
            BenchPart::Delivery => delivery::run(plan, report).await?,
            BenchPart::Decide => pure::decide(plan, report).await?,
            BenchPart::Render => pure::fill(plan, report).await?,
            BenchPart::Templates => pure::load(plan, report).await?,
            BenchPart::Memory => memory::run(plan, report).await?,
            BenchPart::Stored => stored::run(plan, report).await?,
            // It stands for the others.
            BenchPart::All => {}
        }
    }
    Ok(())
}

fn unwritable(file: &Path, why: &std::io::Error) -> String {
    format!("{} cannot be written: {why}", file.display())
}

fn settings(options: &BenchOptions) -> serde_json::Map<String, serde_json::Value> {
    let settings = json!({
        "seconds": options.seconds, "callers": options.callers, "quick": options.quick,
        "store": options.store.as_str(), "queue": options.queue.as_str(),
        "connections": options.connections, "set": options.set,
    });
    settings.as_object().cloned().unwrap_or_default()
}

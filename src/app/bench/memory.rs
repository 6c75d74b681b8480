//! Memory: at rest, with many notifications waiting, and with many due while their provider is dead; how intake answers then; and
//! what it answers past the store's limit. The peak of what the process held in RAM counts, looked at again and again.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::Plan;
use super::accept::tallied;
use super::fill::fill;
use super::gateway::Folder;
use super::load::{self, Shape, Tally, Traffic, Until};
use super::report::{Figure, Report};
use super::sink;
use crate::cli::{Bar, BenchPart};
use crate::domain::clock::{Clock as _, SystemClock};

const MEBIBYTE: f64 = 1024.0 * 1024.0;
const CUSTOMERS: u64 = 50_000;
const WAITING: u64 = 200_000;
const MANY: u64 = 1_000_000;
/// Customers of a store that is to be full soon.
const FEW: u64 = 10;
/// Of the store, for what comes past it.
const LIMIT: &str = "64MiB";
/// So many fit into no store of that size.
const PAST_LIMIT: u64 = 200_000;
/// After a start or a load, until memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);
const LATER: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Callers that ask while the provider is dead.
const CALLERS: usize = 8;

const AIM_REST: f64 = 60.0;
const AIM_DEAD: f64 = 256.0;

/// Measures.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn run(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let (waiting, many) = (plan.scaled(WAITING), plan.scaled(MANY));
    let bar = Bar::new("memory", many * 2);
    sleeping(plan, report, &bar, (waiting, many)).await?;
    dead(plan, report, &bar, many).await?;
    // The file's limit; a server's disk is not ours to fill.
    if plan.servers.is_embedded() {
        full(plan, report, &bar).await?;
    }
    Ok(())
}

/// At rest, then with some and with many waiting for a later day.
async fn sleeping(
    plan: &Plan,
    report: &mut Report,
    bar: &Bar,
    (waiting, many): (u64, u64),
) -> Result<(), String> {
    let folder = Folder::new(plan.data.as_deref())?;
    let gateway = plan.gateway(&folder, "").await?;
    tokio::time::sleep(SETTLE).await;
    let mut rest = memory("memory.rest", "memory at rest", gateway.resident_bytes()?);
    rest.aim = Some(AIM_REST);
    report.add(rest);

    let customers = plan.scaled(CUSTOMERS);
    load::introduce(&gateway, customers).await?;
    let mut stored = 0;
    for count in [waiting, many] {
        bar.say("waiting for a later day");
        let later = Some(SystemClock.now() + LATER);
        let traffic = Traffic::new(&format!("later-{count}"), customers, later);
        let mut peak = 0;
        fill(&gateway, traffic.limited(count - stored), bar, |gateway| {
            peak = peak.max(gateway.resident_bytes()?);
            Ok(())
        })
        .await?;
        stored = gateway.stored().await?;
        tokio::time::sleep(SETTLE).await;
        let (name, what) = (
            format!("memory.waiting.{count}"),
            format!("memory with {count} waiting"),
        );
        let mut figure = memory(name, what, gateway.resident_bytes()?);
        figure.fact("stored", stored);
        figure.fact("peak_mib", (peak as f64 / MEBIBYTE).round());
        figure.fact(
            "store_mib",
            (gateway.store_bytes() as f64 / MEBIBYTE).round(),
        );
        figure.remark = format!("peak while accepting {:.0} MiB", peak as f64 / MEBIBYTE);
        report.add(figure);
    }
    gateway.stop().await;
    Ok(())
}

/// Many due, and nobody listens where they should go; then how intake answers.
async fn dead(plan: &Plan, report: &mut Report, bar: &Bar, many: u64) -> Result<(), String> {
    let nobody = sink::free().await?;
    let settings = format!(
        "[providers.smtp.dead]\nhost = \"{}\"\nport = {}\ntls = \"none\"",
        nobody.ip(),
        nobody.port()
    );
    let folder = Folder::new(plan.data.as_deref())?;
    let gateway = plan.gateway(&folder, &settings).await?;
    let customers = plan.scaled(CUSTOMERS);
    load::introduce(&gateway, customers).await?;
    bar.say("due, the provider dead");
    let mut peak = 0;
    let traffic = Traffic::new("dead", customers, None).limited(many);
    fill(&gateway, traffic, bar, |gateway| {
        peak = peak.max(gateway.resident_bytes()?);
        Ok(())
    })
    .await?;
    let traffic = Arc::new(Traffic::new("dead-intake", customers, None));
    let until = Until::Time {
        warm: Duration::from_secs(1),
        span: plan.span,
    };
    let shape = Shape::Unary { callers: CALLERS };
    let tally = load::run(&gateway, &traffic, shape, until).await?;
    let now = gateway.resident_bytes()?;
    peak = peak.max(now);
    let stored = gateway.stored().await?;
    gateway.stop().await;

    let what = format!("memory at its peak, {many} due and the provider dead");
    let mut figure = memory("memory.dead", what, peak);
    figure.aim = Some(AIM_DEAD);
    figure.fact("stored", stored);
    figure.fact("after_mib", (now as f64 / MEBIBYTE).round());
    report.add(figure);
    let what = format!("accepts then, unary from {CALLERS} callers");
    let mut figure = Figure::new(BenchPart::Memory, "accept.dead", what, tally.rate(), "/s");
    tallied(&mut figure, &tally);
    report.add(figure);
    Ok(())
}

/// What intake answers past the store's limit.
async fn full(plan: &Plan, report: &mut Report, bar: &Bar) -> Result<(), String> {
    bar.say("past the store's limit");
    let folder = Folder::new(plan.data.as_deref())?;
    let gateway = plan
        .gateway(&folder, &format!("store.max_size = \"{LIMIT}\""))
        .await?;
    load::introduce(&gateway, FEW).await?;
    let later = Some(SystemClock.now() + LATER);
    let traffic = Arc::new(Traffic::new("full", FEW, later).limited(PAST_LIMIT));
    let shape = Shape::Batch {
        callers: 1,
        size: 100,
    };
    let tally: Tally = load::run(&gateway, &traffic, shape, Until::Empty).await?;
    let bytes = gateway.store_bytes();
    gateway.stop().await;
    let what = format!("accepts until a store of {LIMIT} was full");
    let mut figure = Figure::new(
        BenchPart::Memory,
        "store.full",
        what,
        tally.accepted as f64,
        "",
    );
    tallied(&mut figure, &tally);
    figure.p50 = None;
    figure.p99 = None;
    figure.fact("store_mib", (bytes as f64 / MEBIBYTE).round());
    figure.remark = format!(
        "then: {}",
        tally.first_error.as_deref().unwrap_or("nothing refused")
    );
    report.add(figure);
    Ok(())
}

fn memory(name: impl Into<String>, what: impl Into<String>, bytes: u64) -> Figure {
    Figure::new(
        BenchPart::Memory,
        name,
        what,
        bytes as f64 / MEBIBYTE,
        "MiB",
    )
}

//! Delivery with a small and with a large store. The large one is filled through the gateway's own door at full rate: half of it
//! ended when it was accepted (customers without an address), half waits for a later day, so that both the history and what is
//! due have their full size.

use jiff::SignedDuration;

use super::Plan;
use super::delivery::{self, Rounds};
use super::fill::fill;
use super::gateway::{Folder, Gateway};
use super::load::{self, Traffic};
use super::report::Report;
use super::sink::{self, Sink};
use crate::cli::{Bar, BenchPart};
use crate::domain::clock::{Clock as _, SystemClock};

const SMALL: u64 = 10_000;
const LARGE: u64 = 2_000_000;
/// About what a customer of a shop gets in a year.
const NOTIFICATIONS_A_CUSTOMER: u64 = 20;
const LATER: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How much slower it may be on the large store.
const AIM: f64 = 0.9;

/// Measures.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn run(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let Some(sink) = Sink::start().await? else {
        report.note(sink::ADVICE);
        return Ok(());
    };
    let large = plan.stored.unwrap_or(LARGE);
    let bar = Bar::new("stored", SMALL + large);
    let customers = large / NOTIFICATIONS_A_CUSTOMER;
    let (small_rounds, _) = with(plan, &sink, SMALL, customers, &bar).await?;
    let (large_rounds, bytes) = with(plan, &sink, large, customers, &bar).await?;
    let title = |count: u64| format!("intent to SMTP 250, {count} stored");
    let small =
        small_rounds.figure(BenchPart::Stored, &format!("stored.{SMALL}"), &title(SMALL))?;
    let mut figure =
        large_rounds.figure(BenchPart::Stored, &format!("stored.{large}"), &title(large))?;
    figure.aim = Some(AIM * small.value);
    figure.beside(&small.name, figure.value / small.value.max(f64::EPSILON));
    figure.fact("store_mib", bytes / 1024 / 1024);
    report.add(small);
    report.add(figure);
    Ok(())
}

/// A gateway with so many stored; the delivery figure, and the bytes of its store.
async fn with(
    plan: &Plan,
    sink: &Sink,
    count: u64,
    customers: u64,
    bar: &Bar,
) -> Result<(Rounds, u64), String> {
    let folder = Folder::new(plan.data.as_deref())?;
    let gateway = Gateway::start(folder.path(), &delivery::settings(sink)).await?;
    load::introduce(&gateway, customers).await?;
    load::introduce_unreachable(&gateway, customers).await?;
    bar.say("filling the store");
    let ended = Traffic::new("ended", customers, None).unreachable();
    let later = Some(SystemClock.now() + LATER);
    let waiting = Traffic::new("waiting", customers, later);
    for traffic in [ended, waiting] {
        fill(&gateway, traffic.limited(count / 2), bar, |_| Ok(())).await?;
    }
    let stored = gateway.stored().await?;
    if stored != count {
        return Err(format!("the store was to hold {count} and holds {stored}"));
    }
    let quiet = Bar::new("stored", 3);
    let rounds = delivery::rounds(plan, &gateway, sink, customers, &quiet).await?;
    let bytes = gateway.store_bytes();
    gateway.stop().await;
    Ok((rounds, bytes))
}

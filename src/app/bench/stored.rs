//! Delivery with a small and with a large store. The large one is filled through the gateway's own door at full rate: half of it
//! ended when it was accepted (customers without an address), half waits for a later day, so that both the history and what is
//! due have their full size.

use jiff::SignedDuration;

use super::Plan;
use super::delivery;
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
    let large = plan.stored.unwrap_or(plan.scaled(LARGE));
    let bar = Bar::new("stored", SMALL + large);
    let customers = large / NOTIFICATIONS_A_CUSTOMER;
    let small = Stock::new(plan, &sink, SMALL, customers, &bar).await?;
    let big = Stock::new(plan, &sink, large, customers, &bar).await?;
    drop(bar);
    // In turns, so that whatever else the machine does hits both.
    let bar = Bar::new("stored", 3);
    let gateways = [&small.gateway, &big.gateway];
    let rounds = delivery::rounds(plan, &gateways, &sink, customers, &bar).await?;
    let bytes = big.gateway.store_bytes();
    small.gateway.stop().await;
    big.gateway.stop().await;
    let [of_small, of_big] = rounds.as_slice() else {
        return Err("no round was measured".into());
    };
    let title = |count: u64| format!("intent to SMTP 250, {count} stored");
    let name = |count: u64| format!("stored.{count}");
    let first = of_small.figure(BenchPart::Stored, &name(SMALL), &title(SMALL))?;
    let mut second = of_big.figure(BenchPart::Stored, &name(large), &title(large))?;
    second.aim = Some(AIM * first.value);
    second.beside(&first.name, of_big.ratio_to(of_small));
    second.fact("store_mib", bytes / 1024 / 1024);
    report.add(first);
    report.add(second);
    Ok(())
}

/// A gateway with so many stored, and its folder.
struct Stock {
    gateway: Gateway,
    /// Goes away after its gateway.
    _folder: Folder,
}

impl Stock {
    /// Starts a gateway and fills its store.
    async fn new(
        plan: &Plan,
        sink: &Sink,
        count: u64,
        customers: u64,
        bar: &Bar,
    ) -> Result<Self, String> {
        let folder = Folder::new(plan.data.as_deref())?;
        let gateway = plan
            .gateway(&folder, &delivery::settings(plan, sink))
            .await?;
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
        if stored != count / 2 * 2 {
            return Err(format!("the store was to hold {count} and holds {stored}"));
        }
        Ok(Self {
            gateway,
            _folder: folder,
        })
    }
}

//! F21 over two replicas whose clocks are a minute and a half ahead and behind: what is meant for later comes no earlier than it should,
//! nothing comes twice, and what one of them was handing over when it died is taken over by the other.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidings::domain::clock::{Clock as _, SystemClock};

use crate::fake_time;
use crate::rows::{BETWEEN, Found, run};
use crate::site::Site;
use crate::wishes::Variable;

/// In seconds from the true time.
const SKEW: [i64; 2] = [90, -90];
/// Sent earlier than this is too early.
const EARLY: SignedDuration = SignedDuration::from_secs(1);
/// Sent later than this is too late. What a relay had taken for the broker when it died is found again after a minute, and may then have tries.
const LATE: SignedDuration = SignedDuration::from_secs(120);
/// What is asked for lies so far ahead.
const AHEAD: SignedDuration = SignedDuration::from_secs(8);
/// The first of the orders with a send time, out of the way of the others.
const FIRST: u64 = 10_000_000;

/// So many orders for later, asked for at each replica in turn; one of them is killed in the middle.
pub(crate) async fn skewed(count: u64) -> Found {
    let library = fake_time::library()?;
    let mut site = Site::open().await?;
    for skew in SKEW {
        site.start_with(&[], &clock(&library, skew)).await;
    }
    site.open_doors().await;
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    let base = SystemClock.now() - SignedDuration::try_from(site.ledger.now()).unwrap();
    let mut planned = Vec::new();
    for number in 0..count {
        let door = site.grpc(usize::try_from(number % 2).unwrap());
        planned.push(plan(&site, &door, number).await);
        site.live(0.05, 0.15).await;
    }
    let killed = usize::from(count.is_multiple_of(2));
    let in_flight = site.kill(killed).await;
    site.start_in_with(killed, &[], &clock(&library, SKEW[killed]))
        .await;
    site.open_doors().await;
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    tokio::time::sleep(Duration::from_secs(AHEAD.as_secs().unsigned_abs())).await;
    let door = site.grpc(0);
    let mut verdict = site.judged(&door).await;
    for entry in site.ledger.read() {
        let meant = planned.iter().find(|(order, _)| *order == entry.order);
        let came = base + SignedDuration::try_from(entry.at).unwrap();
        if let Some((order, send_time)) = meant
            && (came < *send_time - EARLY || came > *send_time + LATE)
        {
            let fault = format!("order {order} was meant for {send_time} and came at {came}");
            verdict.faults.push(fault);
        }
    }
    Some(run(count, vec![in_flight], Vec::new(), verdict))
}

/// A mail for soon.
async fn plan(site: &Site, door: &str, number: u64) -> (u64, Timestamp) {
    let order = FIRST + number * 20;
    let send_time = SystemClock.now() + AHEAD;
    site.load.ask_for_later(door, order, send_time).await;
    (order, send_time)
}

fn clock(library: &Path, skew: i64) -> Vec<Variable> {
    fake_time::environment(library, vec![("FAKETIME", format!("{skew:+}s"))])
}

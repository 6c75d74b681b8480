//! End to end: from the first Send to the last SMTP 250, at `smtp-sink`; beside it `smtp-source` into the same sink. The two take
//! turns, so that whatever else the machine does hits both, and the figure is the median of the rounds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Plan;
use super::accept::tallied;
use super::cost::Cost;
use super::gateway::{Folder, Gateway};
use super::load::{self, Shape, Traffic, Until};
use super::pure;
use super::report::{Figure, Report};
use super::sink::{self, Sink};
use crate::cli::{Bar, BenchPart};
use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::{Clock as _, Stopwatch, SystemClock};
use crate::domain::id::Ids;
use crate::queue::{Job, rabbitmq};

const ROUNDS: usize = 3;
/// Of a mail of smtp-source.
const SOURCE_BYTES: u32 = 6000;
/// Notices of a round for each second that a rate is measured.
const NOTICES_A_SECOND: u64 = 1000;
const CUSTOMERS: u64 = 10_000;
/// How long a round may take for each second that a rate is measured, before it counts as stuck.
const PATIENCE: u32 = 120;
const LOOK: Duration = Duration::from_millis(20);
/// The share of what smtp-source reaches that is aimed at.
const AIM: f64 = 0.5;

/// Measures with an empty store.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn run(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let Some(sink) = Sink::start().await? else {
        report.note(sink::ADVICE);
        return Ok(());
    };
    let bar = Bar::new("delivery", ROUNDS as u64);
    let folder = Folder::new(plan.data.as_deref())?;
    let gateway = plan.gateway(&folder, &settings(plan, &sink)).await?;
    load::introduce(&gateway, CUSTOMERS).await?;
    let rounds = rounds(plan, &[&gateway], &sink, CUSTOMERS, &bar).await?;
    gateway.stop().await;
    let Some(rounds) = rounds.first() else {
        return Err("no round was measured".into());
    };
    report.add(rounds.figure(
        BenchPart::Delivery,
        "delivery",
        "intent to SMTP 250, an empty store",
    )?);
    let what = format!(
        "reference: smtp-source, {} connections kept, {SOURCE_BYTES} bytes a mail",
        plan.connections
    );
    let mut source = Figure::new(
        BenchPart::Delivery,
        "smtp-source",
        what,
        median(&rounds.source),
        "/s",
    );
    source.fact("rounds", rounds.source.clone());
    report.add(source);
    broker_floor(plan, report).await
}

/// What the broker does alone with as many bodies, where there is one.
async fn broker_floor(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let Some(settings) = plan.servers.broker() else {
        return Ok(());
    };
    let (ids, now) = (Ids::new(), SystemClock.now());
    let jobs: Vec<Job> = (0..NOTICES_A_SECOND * plan.span.as_secs().max(1) * 3)
        .map(|_| Job {
            message: ids.message(now),
            fence: 1,
            channel: Channel::Email,
            lane: Lane::Transactional,
        })
        .collect();
    let rate = rabbitmq::floor(&settings, &jobs).await;
    report.add(Figure::new(
        BenchPart::Delivery,
        "broker.floor",
        "reference: the broker alone, published with confirms, consumed, acknowledged one by one",
        rate.map_err(|error| error.to_string())?,
        "/s",
    ));
    Ok(())
}

/// The settings of a gateway that sends to the sink, over as many connections as smtp-source has.
pub(super) fn settings(plan: &Plan, sink: &Sink) -> String {
    let (address, connections) = (sink.address(), plan.connections);
    format!(
        "workers.email.concurrency_transactional = {connections}\n[providers.smtp.sink]\nhost = \"{}\"\nport = {}\ntls = \"none\"\n\
         max_connections = {connections}",
        address.ip(),
        address.port()
    )
}

/// What the rounds came to, each in mails a second.
#[derive(Default)]
pub(super) struct Rounds {
    gateway: Vec<f64>,
    source: Vec<f64>,
    /// Of the last round.
    cost: Map<String, Value>,
}

/// Lets smtp-source and each of the gateways take turns; what each gateway came to.
///
/// # Errors
/// A sentence when mails are refused, or stop going out.
pub(super) async fn rounds(
    plan: &Plan,
    gateways: &[&Gateway],
    sink: &Sink,
    customers: u64,
    bar: &Bar,
) -> Result<Vec<Rounds>, String> {
    let notices = NOTICES_A_SECOND * plan.span.as_secs().max(1);
    let mut all: Vec<Rounds> = gateways.iter().map(|_| Rounds::default()).collect();
    for round in 0..ROUNDS {
        bar.at(round as u64);
        bar.say("smtp-source");
        let source = sink
            .fill(plan.connections.into(), SOURCE_BYTES, notices * 3)
            .await?;
        bar.say("the gateway");
        for (gateway, rounds) in gateways.iter().zip(&mut all) {
            let traffic = Traffic::new(&format!("delivery-{round}"), customers, None);
            let before = Cost::now(gateway, &plan.servers, sink).await?;
            let own = deliver(gateway, traffic.limited(notices), plan.span * PATIENCE).await?;
            let after = Cost::now(gateway, &plan.servers, sink).await?;
            rounds.cost = after.since(&before, notices);
            rounds.source.push(source);
            rounds.gateway.push(own);
        }
    }
    Ok(all)
}

/// Mails a second from the first Send until all have been taken.
async fn deliver(gateway: &Gateway, traffic: Traffic, patience: Duration) -> Result<f64, String> {
    let before = gateway.sent().await?;
    let clock = Stopwatch::start();
    let shape = Shape::Stream {
        streams: 1,
        window: 1024,
    };
    let tally = load::run(gateway, &Arc::new(traffic), shape, Until::Empty).await?;
    if tally.errors > 0 {
        let mut figure = Figure::new(BenchPart::Delivery, "", "", 0.0, "");
        tallied(&mut figure, &tally);
        return Err(format!("not every notice was accepted: {:?}", figure.facts));
    }
    loop {
        let sent = gateway.sent().await? - before;
        if sent >= tally.accepted {
            return Ok(sent as f64 / clock.elapsed().as_secs_f64());
        }
        if clock.elapsed() > patience {
            return Err(format!(
                "only {sent} of {} mails went out in {patience:?}",
                tally.accepted
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Rounds {
    /// The median of what each round's pair gives, this gateway's to another's.
    pub(super) fn ratio_to(&self, other: &Self) -> f64 {
        let pairs = self.gateway.iter().zip(&other.gateway);
        median(&pairs.map(|(own, other)| own / other).collect::<Vec<_>>())
    }

    /// The median of the gateway, beside the median of what each round's pair gives.
    ///
    /// # Errors
    /// A sentence when the mail cannot be filled.
    pub(super) fn figure(&self, part: BenchPart, name: &str, what: &str) -> Result<Figure, String> {
        let ratios = self
            .gateway
            .iter()
            .zip(&self.source)
            .map(|(own, source)| own / source);
        let mut figure = Figure::new(part, name, what, median(&self.gateway), "/s");
        figure.beside("smtp-source", median(&ratios.collect::<Vec<_>>()));
        figure.aim = Some(AIM * median(&self.source));
        figure.fact("rounds", self.gateway.clone());
        figure.facts.extend(self.cost.clone());
        figure.fact("notice_bytes", pure::notice_bytes()? as u64);
        Ok(figure)
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}

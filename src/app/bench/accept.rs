//! Durable accepts a second: unary, batch and stream, each on a new store; once while what was accepted is being sent into the
//! outbox, which is the figure that counts, and once with everything due later. Beside them what this disk gives at best.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::Plan;
use super::gateway::Folder;
use super::load::{self, Shape, Tally, Traffic, Until};
use super::report::{Figure, Report};
use crate::cli::{Bar, BenchPart};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::store::floor::{self, Insert};

/// Customers that the notices go to; a tenth with `--quick`.
const CUSTOMERS: u64 = 10_000;
/// How far ahead what is not to be sent is due.
const LATER: SignedDuration = SignedDuration::from_hours(24 * 30);
const WARM_MAX: Duration = Duration::from_secs(2);

/// What the stream and the unary figures aim at.
const AIM_STREAM: f64 = 20_000.0;
const AIM_UNARY: f64 = 8_000.0;

/// Measures.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn run(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let unary = Shape::Unary {
        callers: plan.callers,
    };
    let batch = Shape::Batch {
        callers: 4,
        size: 100,
    };
    let stream = Shape::Stream {
        streams: 4,
        window: 512,
    };
    let shapes = [("unary", unary), ("batch", batch), ("stream", stream)];
    let runs = shapes.len() as u64 * 2 + 2;
    let bar = Bar::new("accept", runs);
    for (at, insert) in [Insert::Single, Insert::Grouped].into_iter().enumerate() {
        bar.at(at as u64);
        bar.say("what this disk gives");
        let figure = disk(plan, insert).await?;
        report.add(figure);
    }
    let mut done = 2;
    for sending in [true, false] {
        for (name, shape) in shapes {
            bar.at(done);
            bar.say(name);
            let figure = accepts(plan, name, shape, sending).await?;
            report.add(figure);
            done += 1;
        }
    }
    report.compare("accept.", "disk.rows");
    Ok(())
}

async fn disk(plan: &Plan, insert: Insert) -> Result<Figure, String> {
    let folder = Folder::new(plan.data.as_deref())?;
    let span = plan.span.min(Duration::from_secs(5));
    let rate = floor::rows_per_second(folder.path(), insert, span)
        .await
        .map_err(|error| format!("the disk could not be measured: {error}"))?;
    let (name, what) = match insert {
        Insert::Single => (
            "disk.rows",
            "reference: rows of 700 bytes, 256 a commit, a statement each",
        ),
        Insert::Grouped => (
            "disk.groups",
            "reference: the same, one statement for the 256",
        ),
    };
    Ok(Figure::new(BenchPart::Accept, name, what, rate, "/s"))
}

async fn accepts(plan: &Plan, name: &str, shape: Shape, sending: bool) -> Result<Figure, String> {
    let folder = Folder::new(plan.data.as_deref())?;
    let gateway = plan.gateway(&folder, "").await?;
    let customers = plan.scaled(CUSTOMERS);
    load::introduce(&gateway, customers).await?;
    let send_time = (!sending).then(|| SystemClock.now() + LATER);
    let traffic = Arc::new(Traffic::new(name, customers, send_time));
    let until = Until::Time {
        warm: (plan.span / 5).min(WARM_MAX),
        span: plan.span,
    };
    let tally = load::run(&gateway, &traffic, shape, until).await?;
    let sent = gateway.sent().await?;
    let stored = gateway.stored().await?;
    gateway.stop().await;
    let when = if sending {
        "while sending"
    } else {
        "due later"
    };
    let (name, what) = (
        format!(
            "accept.{name}.{}",
            if sending { "sending" } else { "later" }
        ),
        format!("accepts, {}, {when}", in_words(shape)),
    );
    let aim = match shape {
        _ if !sending => None,
        Shape::Unary { .. } => Some(AIM_UNARY),
        Shape::Stream { .. } => Some(AIM_STREAM),
        Shape::Batch { .. } => None,
    };
    let mut figure = Figure::new(BenchPart::Accept, name, what, tally.rate(), "/s");
    figure.aim = aim;
    tallied(&mut figure, &tally);
    figure.fact("stored", stored);
    figure.fact("sent_meanwhile", sent);
    if sending {
        figure.remark.push_str(&format!(", {sent} sent meanwhile"));
    }
    Ok(figure)
}

/// What a load came to, as facts of its figure.
pub(super) fn tallied(figure: &mut Figure, tally: &Tally) {
    figure.p50 = tally.quantile(0.5);
    figure.p99 = tally.quantile(0.99);
    figure.fact("accepted", tally.accepted);
    figure.fact("counted", tally.counted);
    figure.fact("errors", tally.errors);
    figure.remark = format!("{} errors", tally.errors);
    if let Some(error) = &tally.first_error {
        figure.fact("first_error", error.as_str());
    }
}

fn in_words(shape: Shape) -> String {
    match shape {
        Shape::Unary { callers } => format!("unary from {callers} callers"),
        Shape::Batch { callers, size } => format!("batches of {size} from {callers} callers"),
        Shape::Stream { streams, window } => {
            format!("{streams} streams with {window} on the way each")
        }
    }
}

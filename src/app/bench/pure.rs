//! What one core does without a store: decisions, and mails filled. Beside the mails, handlebars alone on the same HTML template.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Plan;
use super::gateway::Folder;
use super::report::{Figure, Report};
use crate::catalog::{Bare, Bundle, Catalog, Source, write_copies};
use crate::cli::{Bar, BenchPart};
use crate::domain::address::Address;
use crate::domain::budget::Usage;
use crate::domain::channel::{Category, Channel};
use crate::domain::clock::Stopwatch;
use crate::domain::content::Content;
use crate::domain::customer::{ContactPoint, Customer};
use crate::domain::decision::Verdict;
use crate::domain::id::Ids;
use crate::domain::intent::{Intent, Variables};
use crate::domain::notification::Notification;
use crate::domain::reason::Reason;
use crate::domain::shop::{CustomerId, Identity};
use crate::planner::Planner;
use crate::render::{Filling, Links, render};
use crate::store::{Case, Plans as _};

/// Noon in Berlin, a Monday: nothing is held back.
const NOON: &str = "2026-11-23T11:00:00Z";
/// What the customer of the decision has had in the year before.
const HISTORY: i64 = 20;
/// Lines of the order whose confirmation is filled.
const LINES: usize = 10;
/// Messages of the folder that is loaded, and how often it is.
const MESSAGES: usize = 200;
const LOADS: usize = 3;
/// What rendering aims at, mails a second.
const RENDER_AIM: f64 = 20_000.0;
/// Turns between two looks at the clock.
const TURNS: u32 = 32;

/// Decisions a second: an invitation to write a review, for a customer with two addresses and a year's history, that is sent.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn decide(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let _bar = Bar::new("decide", 1);
    let catalog = Arc::new(catalog()?);
    let case = case(catalog.live().id())?;
    let planner = Planner::new(catalog, Arc::new(Ids::new()));
    let verdict = planner.plan(&case).decision.verdict;
    if !matches!(verdict, Verdict::Send { .. }) {
        return Err(format!(
            "the case that is decided is not one that is sent: {verdict:?}"
        ));
    }
    let rate = rate(plan.span, move || {
        black_box(planner.plan(black_box(&case)));
    })
    .await?;
    let what = format!("decisions on one core, a customer with {HISTORY} earlier messages");
    report.add(Figure::new(BenchPart::Decide, "decide", what, rate, "/s"));
    Ok(())
}

/// Mails a second: an order confirmation, its subject, HTML and text.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn fill(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let bar = Bar::new("render", 2);
    let bundle = catalog()?.live();
    let variables = confirmation(&bundle)?;
    let content = filled(&bundle, &variables)?;
    let Content::Email { html, text, .. } = &content else {
        return Err("the order confirmation is no mail".into());
    };
    let bytes = (html.len() + text.len()) as u64;

    let bare = Bare::of(&bundle, "order.confirmation", &variables)
        .filter(|bare| bare.fill().is_some())
        .ok_or("handlebars alone does not fill the order confirmation")?;
    let reference = rate(plan.span, move || {
        black_box(bare.fill());
    })
    .await?;
    bar.at(1);
    let rate = rate(plan.span, move || {
        drop(black_box(filled(&bundle, black_box(&variables))));
    })
    .await?;
    let what = format!("mails on one core, an order of {LINES} lines: subject, HTML and text");
    let mut figure = Figure::new(BenchPart::Render, "render", what, rate, "/s");
    figure.fact("bytes", bytes);
    figure.aim = Some(RENDER_AIM);
    report.add(figure);
    let what = "reference: handlebars alone on the same HTML template";
    report.add(Figure::new(
        BenchPart::Render,
        "handlebars",
        what,
        reference,
        "/s",
    ));
    report.compare("render", "handlebars");
    Ok(())
}

/// Milliseconds to load and check a folder of many messages: the shipped ones, over and over.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn load(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let _bar = Bar::new("templates", 1);
    let folder = Folder::new(plan.data.as_deref())?;
    let path = folder.path().join("templates");
    let loading = tokio::task::spawn_blocking(move || {
        write_copies(&path, MESSAGES).map_err(|why| format!("{}: {why}", path.display()))?;
        // The first reading fills the disk's cache.
        let mut spans = Vec::new();
        for _ in 0..LOADS {
            let clock = Stopwatch::start();
            let catalog = Catalog::open(Source::Folder(path.clone()));
            spans.push(clock.elapsed());
            catalog.map_err(|error| error.to_string())?;
        }
        spans.sort();
        Ok::<_, String>(spans)
    });
    let spans = loading
        .await
        .map_err(|error| format!("a measure broke off: {error}"))??;
    let median = spans.get(LOADS / 2).copied().unwrap_or_default();
    let what = format!(
        "loading and checking a folder of {MESSAGES} messages, each sample filled in each language"
    );
    let mut figure = Figure::new(
        BenchPart::Templates,
        "templates",
        what,
        median.as_secs_f64() * 1000.0,
        "ms",
    );
    figure.aim = Some(2_000.0);
    report.add(figure);
    Ok(())
}

/// Bytes of the shipping notice that the loads send, HTML and text.
///
/// # Errors
/// A sentence when it cannot be filled.
pub(super) fn notice_bytes() -> Result<usize, String> {
    let bundle = catalog()?.live();
    let variables = bundle
        .sample("order.shipped", "typical")
        .ok_or("the shipping notice has no sample")?;
    match content(&bundle, "order.shipped", variables)? {
        Content::Email { html, text, .. } => Ok(html.len() + text.len()),
        Content::Sms { .. } | Content::Chat { .. } => Err("the shipping notice is no mail".into()),
    }
}

fn catalog() -> Result<Catalog, String> {
    Catalog::open(Source::Embedded).map_err(|error| error.to_string())
}

/// How often a second `turn` runs, on a thread of its own.
async fn rate(span: Duration, mut turn: impl FnMut() + Send + 'static) -> Result<f64, String> {
    let counting = tokio::task::spawn_blocking(move || {
        // The first turns fill caches and count for nothing.
        (0..TURNS).for_each(|_| turn());
        let clock = Stopwatch::start();
        let mut turns = 0_u64;
        while clock.elapsed() < span {
            (0..TURNS).for_each(|_| turn());
            turns += u64::from(TURNS);
        }
        turns as f64 / clock.elapsed().as_secs_f64()
    });
    counting
        .await
        .map_err(|error| format!("a measure broke off: {error}"))
}

fn confirmation(bundle: &Bundle) -> Result<Variables, String> {
    let mut variables = bundle
        .sample("order.confirmation", "long")
        .cloned()
        .ok_or("the order confirmation has no long sample")?;
    let lines = variables
        .0
        .get_mut("order")
        .and_then(|order| order.get_mut("lines"))
        .and_then(serde_json::Value::as_array_mut)
        .ok_or("the order confirmation has no lines")?;
    lines.truncate(LINES);
    Ok(variables)
}

fn filled(bundle: &Bundle, variables: &Variables) -> Result<Content, String> {
    content(bundle, "order.confirmation", variables)
}

fn content(bundle: &Bundle, template: &str, variables: &Variables) -> Result<Content, String> {
    let filling = Filling {
        bundle,
        template,
        channel: Channel::Email,
        locale: "en",
        variables,
        given_name: "Ada",
        time_zone: "Europe/Berlin",
        message_id: "0192f600-0000-7000-8000-000000000000",
        links: Links::default(),
        variant: "",
    };
    render(&filling).map_err(|error| error.to_string())
}

fn case(bundle: &str) -> Result<Case, String> {
    let now: Timestamp = NOON.parse().map_err(|error| format!("{NOON}: {error}"))?;
    let mut customer = Customer::unknown(CustomerId::new("c-1"), now);
    customer.profile.time_zone = "Europe/Berlin".into();
    for (channel, text) in [
        (Channel::Email, "ada@shop-customers.example.com"),
        (Channel::Sms, "+4915730012345"),
    ] {
        let address = Address::try_new(channel, text).map_err(|error| error.to_string())?;
        customer.profile.contact_points.push(ContactPoint {
            address,
            verify_time: None,
        });
    }
    let usage = (1..=HISTORY).map(|number| Usage {
        at: now - SignedDuration::from_hours(24 * 18 * number),
        category: Category::Relationship,
        topic: "review_request".into(),
        template: "review.request".into(),
        subject: format!("product-{number}"),
    });
    Ok(Case {
        notification: notification(now, bundle),
        customer,
        suppressed: Vec::new(),
        usage: usage.collect(),
        outcomes: Vec::new(),
        once: None,
        newer: None,
        failed: Vec::new(),
        pauses: Vec::new(),
        now,
    })
}

fn notification(now: Timestamp, bundle: &str) -> Notification {
    let variables = json!({
        "product": {"id": "tent-1", "name": "Two-person tent"},
        "review_url": "https://shop.example/review/tent-1"
    });
    Notification {
        id: Ids::new().notification(now),
        identity: Identity::local(),
        intent: Intent {
            customer: CustomerId::new("c-1"),
            guest: false,
            template: "review.request".into(),
            template_version: String::new(),
            variables: Variables(variables.as_object().cloned().unwrap_or_default()),
            locale: String::new(),
            routing: None,
            send_time: None,
            expire_time: now + SignedDuration::from_hours(120),
            event_time: now,
            collapse_key: String::new(),
            cancellation_key: String::new(),
            reference: String::new(),
            labels: std::collections::BTreeMap::new(),
            attachments: Vec::new(),
            once_key: String::new(),
            contact: None,
        },
        category: Category::Relationship,
        topic: "review_request".into(),
        accepted_bundle: bundle.to_owned(),
        bundle: String::new(),
        status: Reason::Accepted.into(),
        create_time: now,
        update_time: now,
        due_at: Some(now),
        decision: None,
    }
}

//! `policy.toml` into the domain's [`Policy`]: topics, budgets, quiet hours, expiry, retries.
//!
//! It does not decide anything, and it is no part of a bundle: the current policy always applies.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

use super::finding::{Findings, Spot};
use super::shop::Shop;
use super::source::Files;
use super::toml_text::{self, duration};
use crate::domain::budget::Budget;
use crate::domain::channel::{Category, Channel};
use crate::domain::policy::{Backoff, Policy, Topic, UnknownRule};
use crate::domain::quiet_hours::DailyWindow;

pub(crate) const PATH: &str = "policy.toml";
/// What quiet hours held back goes out over this many minutes after they end.
const SPREAD_MINUTES: i64 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    quiet_hours: QuietFile,
    #[serde(default)]
    topics: Vec<TopicFile>,
    #[serde(default)]
    budgets: Vec<BudgetFile>,
    #[serde(default)]
    expiry: BTreeMap<Category, String>,
    retries: RetryFile,
    #[serde(default)]
    unknown: BTreeMap<Category, UnknownRule>,
    default_channels: OrderFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuietFile {
    from: String,
    until: String,
    categories: Vec<Category>,
    spread: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicFile {
    key: String,
    category: Category,
    name: String,
    channels: Vec<Channel>,
    // Consent follows from the category; the key is read so that a file may say it, and checked against that.
    #[serde(default)]
    opt_in: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetFile {
    name: String,
    #[serde(default)]
    categories: Vec<Category>,
    #[serde(default)]
    templates: Vec<String>,
    window: String,
    max: u32,
    #[serde(default)]
    per_subject: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryFile {
    delays: Vec<String>,
    jitter_percent: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderFile {
    order: Vec<Channel>,
}

struct Teller<'a> {
    text: &'a str,
    findings: &'a mut Findings,
}

impl Teller<'_> {
    /// Tells what is wrong at the first line that holds `near`.
    fn tell(&mut self, near: &str, message: impl Into<String>) {
        let spot = self
            .text
            .find(near)
            .map_or(Spot::WHOLE, |offset| Spot::of(self.text, offset));
        self.findings.add("policy/value", PATH, spot, message);
    }

    fn duration(&mut self, text: &str) -> SignedDuration {
        duration(text).unwrap_or_else(|why| {
            self.tell(&format!("{text:?}"), format!("{why}."));
            SignedDuration::from_hours(1)
        })
    }
}

/// Reads and checks it; what is wrong is added to the findings.
pub(crate) fn read(files: &Files, shop: &Shop, findings: &mut Findings) -> Option<Policy> {
    let Some(text) = files.get(PATH) else {
        findings.add(
            "file/missing",
            PATH,
            Spot::WHOLE,
            "is missing; it says how often, when and how long customers are written to.",
        );
        return None;
    };
    let file: File = toml_text::read(PATH, text, findings)?;
    let mut teller = Teller { text, findings };
    let quiet_hours = DailyWindow::try_new(&file.quiet_hours.from, &file.quiet_hours.until)
        .map_err(|why| teller.tell("[quiet_hours]", format!("{why}.")))
        .ok();
    let backoff = backoff(&file.retries, &mut teller);
    if file.default_channels.order.is_empty() {
        teller.tell(
            "[default_channels]",
            "order is empty; name at least one channel.",
        );
    }
    Some(Policy {
        version: file.version,
        topics: topics(file.topics, &mut teller),
        budgets: budgets(file.budgets, &mut teller),
        quiet_hours: quiet_hours?,
        quiet_categories: file.quiet_hours.categories,
        expiry: file
            .expiry
            .iter()
            .map(|(category, text)| (*category, teller.duration(text)))
            .collect(),
        backoff,
        unknown: file.unknown,
        channel_order: file.default_channels.order,
        time_zone: shop.time_zone.clone(),
        locale: shop.default_locale.clone(),
        spread: file
            .quiet_hours
            .spread
            .map_or(SignedDuration::from_mins(SPREAD_MINUTES), |text| {
                teller.duration(&text)
            }),
    })
}

fn topics(files: Vec<TopicFile>, teller: &mut Teller<'_>) -> BTreeMap<String, Topic> {
    let mut topics = BTreeMap::new();
    for file in files {
        let near = format!("{:?}", file.key);
        if file.opt_in == Some(false) && file.category == Category::Marketing {
            teller.tell(
                &near,
                format!(
                    "topic {:?} is marketing, which always needs consent; set opt_in = true.",
                    file.key
                ),
            );
        }
        let topic = Topic {
            key: file.key.clone(),
            category: file.category,
            name: file.name,
            channels: file.channels,
        };
        if topics.insert(file.key.clone(), topic).is_some() {
            teller.tell(
                &near,
                format!("topic {:?} stands twice; remove one.", file.key),
            );
        }
    }
    topics
}

fn budgets(files: Vec<BudgetFile>, teller: &mut Teller<'_>) -> Vec<Budget> {
    files
        .into_iter()
        .map(|file| {
            let near = format!("{:?}", file.name);
            if file.categories.is_empty() && file.templates.is_empty() {
                teller.tell(
                    &near,
                    format!(
                        "budget {:?} limits nothing; give it categories or templates.",
                        file.name
                    ),
                );
            }
            Budget {
                window: teller.duration(&file.window),
                name: file.name,
                categories: file.categories,
                templates: file.templates,
                max: file.max,
                per_subject: file.per_subject,
            }
        })
        .collect()
}

fn backoff(file: &RetryFile, teller: &mut Teller<'_>) -> Backoff {
    if file.delays.is_empty() {
        teller.tell("[retries]", "delays is empty; name at least one wait.");
    }
    if file.jitter_percent > 100 {
        teller.tell("jitter_percent", "jitter_percent is at most 100.");
    }
    Backoff {
        delays: file
            .delays
            .iter()
            .map(|text| {
                Duration::try_from(teller.duration(text)).unwrap_or(Duration::from_secs(60))
            })
            .collect(),
        jitter: f64::from(file.jitter_percent.min(100)) / 100.0,
    }
}

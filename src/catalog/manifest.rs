//! `message.toml`: what a message is, when it is sent, and the short texts that have no file of their own.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::finding::{Findings, Spot, nearest};
use super::shop::Shop;
use super::toml_text::{self, duration};
use crate::domain::channel::{Category, Channel};
use crate::domain::policy::{Manifest, OnBudget, Policy, Variant};
use crate::domain::quiet_hours::{DailyWindow, Day, SendWindow};

/// Unless the manifest says otherwise.
const SEGMENTS_DEFAULT: u32 = 3;
const SEGMENTS_MAX: u32 = 10;
/// The variant that gets nothing.
const HOLDOUT: &str = "holdout";
const WEIGHT_MAX: u32 = 1_000_000;

/// A short template with where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) spot: Spot,
}

/// What a manifest says beyond what deciding needs.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) manifest: Manifest,
    pub(crate) subject: Option<Line>,
    pub(crate) preheader: Option<Line>,
    pub(crate) sender: String,
    pub(crate) max_segments: u32,
    pub(crate) allow_unescaped: Vec<String>,
    /// By path, where the locale has none of its own.
    pub(crate) fallbacks: BTreeMap<String, String>,
    /// By locale, then path.
    pub(crate) locale_fallbacks: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    owner: String,
    category: Category,
    topic: Spanned<String>,
    channels: Spanned<Vec<Channel>>,
    #[serde(default)]
    timing: TimingFile,
    #[serde(default)]
    email: EmailFile,
    #[serde(default)]
    sms: SmsFile,
    #[serde(default, rename = "chat")]
    _chat: ChatFile,
    #[serde(default)]
    fallbacks: BTreeMap<String, FallbackFile>,
    #[serde(default)]
    variants: Vec<VariantFile>,
    #[serde(default)]
    experiment: ExperimentFile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TimingFile {
    ttl: Option<Spanned<String>>,
    send_window: Option<Spanned<WindowFile>>,
    #[serde(default)]
    quiet_hours: bool,
    on_budget: Option<OnBudget>,
    requires_outcome: Option<String>,
    subject: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowFile {
    #[serde(default)]
    days: Vec<Day>,
    from: String,
    until: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EmailFile {
    subject: Option<Spanned<String>>,
    preheader: Option<Spanned<String>>,
    sender: Option<Spanned<String>>,
    #[serde(default)]
    allow_unescaped: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct SmsFile {
    max_segments: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ChatFile {
    /// Read for the pack's sake; a chat message is plain markdown today.
    #[serde(rename = "color")]
    _color: Option<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FallbackFile {
    Text(String),
    Locale(BTreeMap<String, String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ExperimentFile {
    #[serde(default)]
    salt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantFile {
    name: String,
    weight: u32,
}

/// Reads the manifest of the template `key`; what is wrong is added to the findings.
pub(crate) fn read(
    key: &str,
    path: &str,
    text: &str,
    shop: &Shop,
    policy: Option<&Policy>,
    findings: &mut Findings,
) -> Option<Details> {
    let file: File = toml_text::read(path, text, findings)?;
    let mut tell = |rule, offset: usize, message: String| {
        findings.add(rule, path, Spot::of(text, offset), message);
    };
    if let Some(policy) = policy {
        check_topic(&file, policy, &mut tell);
    }
    if file.channels.as_ref().is_empty() {
        tell(
            "channel/none",
            file.channels.span().start,
            "channels is empty; name at least one.".to_owned(),
        );
    }
    let ttl = file.timing.ttl.as_ref().and_then(|ttl| {
        duration(ttl.as_ref())
            .map_err(|why| tell("manifest/value", ttl.span().start, format!("{why}.")))
            .ok()
    });
    let send_window = file.timing.send_window.as_ref().and_then(|window| {
        let hours = DailyWindow::try_new(&window.as_ref().from, &window.as_ref().until)
            .map_err(|why| tell("manifest/value", window.span().start, format!("{why}.")))
            .ok()?;
        Some(SendWindow {
            days: window.as_ref().days.clone(),
            hours,
        })
    });
    let sender = file.email.sender.as_ref().map_or_else(
        || {
            shop.default_senders
                .get(&file.category)
                .cloned()
                .unwrap_or_default()
        },
        |sender| {
            if !shop.senders.contains_key(sender.as_ref()) {
                let hint = nearest(sender.as_ref(), shop.senders.keys().map(String::as_str));
                tell(
                    "email/sender",
                    sender.span().start,
                    format!("shop.toml has no [senders.{}].{hint}", sender.as_ref()),
                );
            }
            sender.as_ref().clone()
        },
    );
    let max_segments = file
        .sms
        .max_segments
        .as_ref()
        .map_or(SEGMENTS_DEFAULT, |max| {
            if !(1..=SEGMENTS_MAX).contains(max.as_ref()) {
                tell(
                    "manifest/value",
                    max.span().start,
                    format!("max_segments is 1 to {SEGMENTS_MAX}."),
                );
            }
            *max.as_ref()
        });
    let subject_pointer = file.timing.subject.as_ref().map(|subject| {
        if !subject.as_ref().starts_with('/') {
            tell(
                "manifest/value",
                subject.span().start,
                "subject is a JSON pointer into the variables, such as \"/product/id\".".to_owned(),
            );
        }
        subject.as_ref().clone()
    });
    let line = |spanned: &Spanned<String>| Line {
        text: spanned.as_ref().clone(),
        spot: Spot::of(text, spanned.span().start),
    };
    let subject = file.email.subject.as_ref().map(line);
    if file.channels.as_ref().contains(&Channel::Email) {
        match &subject {
            None => tell(
                "email/subject-length",
                0,
                "a mail needs a subject; add [email] subject = \"…\".".to_owned(),
            ),
            Some(subject) if subject.text.trim().is_empty() || subject.text.contains('\n') => {
                findings.add(
                    "email/subject-length",
                    path,
                    subject.spot,
                    "the subject is one line that is not empty.",
                );
            }
            Some(_) => {}
        }
    }
    check_variants(&file, path, text, findings);
    let (fallbacks, locale_fallbacks) = fallbacks(file.fallbacks, path, text, shop, findings);
    Some(Details {
        preheader: file.email.preheader.as_ref().map(line),
        subject,
        sender,
        max_segments,
        allow_unescaped: file.email.allow_unescaped,
        fallbacks,
        locale_fallbacks,
        manifest: Manifest {
            key: key.to_owned(),
            display_name: file.name,
            owner: file.owner,
            category: file.category,
            topic: file.topic.into_inner(),
            channels: file.channels.into_inner(),
            ttl,
            send_window,
            quiet_hours: file.timing.quiet_hours,
            on_budget: file.timing.on_budget.unwrap_or(OnBudget::Delay),
            requires_outcome: file.timing.requires_outcome,
            subject: subject_pointer,
            variants: file
                .variants
                .into_iter()
                .map(|variant| Variant {
                    name: variant.name,
                    weight: variant.weight,
                })
                .collect(),
            salt: file.experiment.salt,
        },
    })
}

fn check_topic(file: &File, policy: &Policy, tell: &mut dyn FnMut(&'static str, usize, String)) {
    let key = file.topic.as_ref();
    let start = file.topic.span().start;
    match policy.topics.get(key) {
        None => {
            let hint = nearest(key, policy.topics.keys().map(String::as_str));
            tell(
                "policy/topic-mismatch",
                start,
                format!("policy.toml has no topic {key:?}; add it there.{hint}"),
            );
        }
        Some(topic) if topic.category != file.category => tell(
            "policy/topic-mismatch",
            start,
            format!(
                "topic {key:?} is {} in policy.toml but this message is {}; make them the same.",
                topic.category, file.category
            ),
        ),
        Some(_) => {}
    }
}

fn check_variants(file: &File, path: &str, text: &str, findings: &mut Findings) {
    let variants = &file.variants;
    let spot = text
        .find("[[variants]]")
        .map_or(Spot::WHOLE, |offset| Spot::of(text, offset));
    let mut tell = |message: &str| findings.add("ab/weights", path, spot, message);
    if variants.is_empty() {
        if !file.experiment.salt.is_empty() {
            tell("[experiment] has a salt but there are no [[variants]]; add them, or remove it.");
        }
        return;
    }
    let weight_of = |wanted: &dyn Fn(&VariantFile) -> bool| {
        let weights = variants.iter().filter(|variant| wanted(variant));
        weights
            .map(|variant| u64::from(variant.weight))
            .sum::<u64>()
    };
    let is_holdout = |variant: &VariantFile| variant.name == HOLDOUT;
    if weight_of(&|_| true) == 0 {
        tell("the weights of the variants add up to nothing; give one of them a weight.");
    } else if weight_of(&|variant| !is_holdout(variant)) == 0 {
        tell("everybody is in the group that gets nothing; give another variant a weight.");
    }
    if variants.iter().any(|variant| variant.weight > WEIGHT_MAX) {
        tell("a weight is at most 1,000,000; use shares such as 45, 45 and 10.");
    }
    let elective = matches!(file.category, Category::Relationship | Category::Marketing);
    if variants.iter().any(is_holdout) && !elective {
        tell(
            "customers need every critical and transactional message; a holdout belongs to relationship and marketing.",
        );
    }
    let mut names: Vec<_> = variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let tame = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if names.len() != variants.len() || !names.iter().all(|name| tame(name)) {
        tell("variants have different names of letters, digits, '-' and '_'.");
    }
}

type Fallbacks = (
    BTreeMap<String, String>,
    BTreeMap<String, BTreeMap<String, String>>,
);

fn fallbacks(
    files: BTreeMap<String, FallbackFile>,
    path: &str,
    text: &str,
    shop: &Shop,
    findings: &mut Findings,
) -> Fallbacks {
    let (mut common, mut by_locale) = Fallbacks::default();
    for (key, file) in files {
        match file {
            FallbackFile::Text(value) => {
                common.insert(key, value);
            }
            FallbackFile::Locale(values) => {
                if !shop.locales.contains(&key) {
                    let spot = text
                        .find(&format!("{key:?}"))
                        .map_or(Spot::WHOLE, |offset| Spot::of(text, offset));
                    let hint = nearest(&key, shop.locales.iter().map(String::as_str));
                    findings.add(
                        "manifest/value",
                        path,
                        spot,
                        format!("[fallbacks.{key:?}] is not one of the shop's locales.{hint}"),
                    );
                }
                by_locale.insert(key, values);
            }
        }
    }
    (common, by_locale)
}

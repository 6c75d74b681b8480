//! The checks of whole messages: variables, words and channels by reading, then every sample by filling it in.

use std::collections::BTreeSet;

use super::bundle::{Bundle, Message, body};
use super::compose::{Order, compose};
use super::finding::{Findings, Spot, nearest};
use super::helpers::Markup;
use super::scope::Scope;
use super::walk::{Use, Walk};
use crate::domain::channel::{Category, Channel};
use crate::domain::content::Content;
use crate::domain::policy::Policy;

/// Stands in the persona's links and nowhere else.
const UNSUBSCRIBE: &str = "https://unsubscribe.example/persona";

/// Everything that can be told without filling a template.
pub(crate) fn messages(bundle: &Bundle, policy: &Policy, findings: &mut Findings) {
    for (key, message) in &bundle.messages {
        check_channels(bundle, key, message, findings);
        check_samples(message, findings);
        let uses = walk(bundle, message, findings);
        check_words(bundle, message, &uses, findings);
        check_subject(message, findings);
        check_fallbacks(message, findings);
        check_variants(bundle, message, findings);
    }
    for budget in &policy.budgets {
        for template in budget
            .templates
            .iter()
            .filter(|template| !bundle.messages.contains_key(*template))
        {
            let hint = nearest(template, bundle.messages.keys().map(String::as_str));
            findings.add(
                "policy/value",
                super::rules::PATH,
                Spot::WHOLE,
                format!(
                    "budget {:?} names the template {template:?}, which does not exist.{hint}",
                    budget.name
                ),
            );
        }
    }
}

fn check_channels(bundle: &Bundle, key: &str, message: &Message, findings: &mut Findings) {
    for channel in &message.details.manifest.channels {
        let (markup, stem) = body(*channel);
        let missing: Vec<_> = bundle
            .shop
            .locales
            .iter()
            .filter(|locale| {
                message
                    .file(&bundle.engine, markup, stem, locale, "")
                    .is_none()
            })
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            let file = match channel {
                Channel::Email => "email.mjml or email.html.hbs",
                Channel::Sms => "sms.txt.hbs",
                Channel::Chat => "chat.md.hbs",
            };
            findings.add(
                "channel/no-content",
                format!("{}/message.toml", message.folder),
                Spot::WHOLE,
                format!("{key} names the channel {channel} but has no {file} for {}; add it, or take the channel out.", missing.join(", ")),
            );
        }
    }
}

fn check_samples(message: &Message, findings: &mut Findings) {
    if !message.samples.contains_key("minimal") {
        let path = format!("{}/samples/minimal.json", message.folder);
        findings.add("vars/no-minimal-sample", path, Spot::WHOLE, "is missing; a sample with only the required variables shows what happens without the others.");
    }
    for (name, variables) in &message.samples {
        for violation in message.schema.violations(variables) {
            let path = format!("{}/samples/{name}.json", message.folder);
            findings.add(
                "vars/sample-invalid",
                path,
                Spot::WHOLE,
                format!("{}: {}.", violation.field, violation.description),
            );
        }
    }
}

/// What a fallback stands in for has to exist.
fn check_fallbacks(message: &Message, findings: &mut Findings) {
    let details = &message.details;
    let scope = Scope::new(&message.schema);
    let own = details.locale_fallbacks.values().flat_map(|own| own.keys());
    for path in details.fallbacks.keys().chain(own) {
        let known = handlebars::Path::parse(path).is_ok_and(|path| scope.resolve(&path).is_ok());
        if !known {
            let names = scope.known_names();
            let hint = nearest(path, names.iter().map(String::as_str));
            findings.add(
                "vars/undeclared",
                format!("{}/message.toml", message.folder),
                Spot::WHOLE,
                format!("[fallbacks] names {path:?}, which schema.json does not declare.{hint}"),
            );
        }
    }
}

/// A folder of a variant that the manifest does not have would never be read.
fn check_variants(bundle: &Bundle, message: &Message, findings: &mut Findings) {
    let prefix = format!("{}/variants/", message.folder);
    let known: Vec<_> = message
        .details
        .manifest
        .variants
        .iter()
        .map(|v| v.name.as_str())
        .collect();
    for (_, registry) in bundle.engine.registries() {
        for path in registry.get_templates().keys() {
            let Some((variant, _)) = path
                .strip_prefix(&prefix)
                .and_then(|rest| rest.split_once('/'))
            else {
                continue;
            };
            if !known.contains(&variant) {
                let hint = nearest(variant, known.iter().copied());
                findings.add(
                    "file/unknown",
                    path,
                    Spot::WHOLE,
                    format!("message.toml has no variant {variant:?}; add it there.{hint}"),
                );
            }
        }
    }
}

/// The pointer that budgets count by has to be declared.
fn check_subject(message: &Message, findings: &mut Findings) {
    let Some(pointer) = &message.details.manifest.subject else {
        return;
    };
    let mut node = &message.schema.value;
    for part in pointer.split('/').skip(1) {
        match message.schema.property(node, part) {
            super::schema::Declared::As(next) => node = next,
            super::schema::Declared::Open => return,
            super::schema::Declared::No => {
                let path = format!("{}/message.toml", message.folder);
                findings.add(
                    "vars/undeclared",
                    path,
                    Spot::WHOLE,
                    format!(
                        "[timing] subject points to {pointer}, which schema.json does not declare."
                    ),
                );
                return;
            }
        }
    }
}

fn walk(bundle: &Bundle, message: &Message, findings: &mut Findings) -> BTreeSet<Use> {
    let mut uses = BTreeSet::new();
    let prefix = format!("{}/", message.folder);
    for (markup, registry) in bundle.engine.registries() {
        let place = |name: &str| bundle.engine.place(markup, name);
        let none = Vec::new();
        let allowed = if matches!(markup, Markup::Html | Markup::Mjml) {
            &message.details.allow_unescaped
        } else {
            &none
        };
        let mut walk = Walk::new(
            registry,
            &place,
            &message.schema,
            allowed,
            &bundle.assets,
            findings,
        );
        let mut names: Vec<_> = registry
            .get_templates()
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .collect();
        names.sort();
        for name in names {
            walk.read(name);
        }
        uses.append(&mut walk.uses);
    }
    uses
}

fn check_words(bundle: &Bundle, message: &Message, uses: &BTreeSet<Use>, findings: &mut Findings) {
    let default = message.words.get(&bundle.shop.default_locale);
    for usage in uses {
        let at = format!("{}:{}", usage.path, usage.line);
        let key = &usage.key;
        let wanted = default.and_then(|words| words.placeholders(key));
        for (locale, words) in &message.words {
            let path = format!("{}/i18n/{locale}.ftl", message.folder);
            let Some(placeholders) = words.placeholders(key) else {
                findings.add("i18n/missing-key", path, Spot::WHOLE, format!("the text {key:?} used at {at} is missing; add it here or in i18n/{locale}.ftl."));
                continue;
            };
            let spot = Spot {
                line: usage.line,
                column: usage.column,
            };
            for name in placeholders.difference(&usage.args) {
                findings.add("i18n/placeholder-mismatch", &usage.path, spot, format!("the text {key:?} needs ${name} in {locale}; write {{{{t '{key}' {name}=…}}}}."));
            }
            if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != placeholders) {
                let differing: Vec<_> = wanted
                    .symmetric_difference(&placeholders)
                    .map(|name| format!("${name}"))
                    .collect();
                findings.add("i18n/placeholder-mismatch", path, Spot::WHOLE, format!("the text {key:?} differs from {} in {}; use the same placeholders in every language.", bundle.shop.default_locale, differing.join(", ")));
            }
        }
    }
}

/// Fills every sample in every locale, channel and variant.
pub(crate) fn samples(bundle: &Bundle, findings: &mut Findings) {
    for (key, message) in &bundle.messages {
        let manifest = &message.details.manifest;
        let variants = std::iter::once("").chain(
            manifest
                .variants
                .iter()
                .map(|variant| variant.name.as_str()),
        );
        for variant in variants.filter(|variant| *variant != "holdout") {
            for (name, variables) in &message.samples {
                for locale in &bundle.shop.locales {
                    for channel in &manifest.channels {
                        let order = Order {
                            template: key,
                            channel: *channel,
                            locale,
                            variables,
                            given_name: if name == "minimal" { "" } else { "Maria" },
                            time_zone: "",
                            message_id: "00000000-0000-7000-8000-000000000000",
                            preferences: "https://preferences.example/persona",
                            unsubscribe: UNSUBSCRIBE,
                            variant,
                        };
                        check_sample(bundle, message, name, &order, findings);
                    }
                }
            }
        }
    }
}

fn check_sample(
    bundle: &Bundle,
    message: &Message,
    name: &str,
    order: &Order<'_>,
    findings: &mut Findings,
) {
    let elective = matches!(
        message.details.manifest.category,
        Category::Relationship | Category::Marketing
    );
    match compose(bundle, order) {
        Err(error) => {
            let rule = if error.sentence.contains("max_segments") {
                "sms/segments"
            } else {
                "render/sample"
            };
            let spot = Spot {
                line: error.line,
                column: error.column,
            };
            findings.add(
                rule,
                error.file,
                spot,
                format!(
                    "{} (with samples/{name}.json of {} in {}).",
                    error.sentence, order.template, order.locale
                ),
            );
        }
        Ok(Content::Email { html, text, .. })
            if elective && !(html.contains(UNSUBSCRIBE) && text.contains(UNSUBSCRIBE)) =>
        {
            let own = message.file(
                &bundle.engine,
                Markup::Html,
                "email",
                order.locale,
                order.variant,
            );
            let path = own.unwrap_or_else(|| format!("{}/email.html.hbs", message.folder));
            findings.add("email/missing-unsubscribe", path, Spot::WHOLE, "a mail of this category holds {{url links.unsubscribe}} in HTML and text; the layouts do it where message.unsubscribe is set.");
        }
        Ok(_) => {}
    }
}

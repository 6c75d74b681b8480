//! From files to a bundle, in stages: each begins only when the one before found nothing, because a later stage would
//! run into what an earlier one refuses (handlebars aborts the process on what `markup` and `shape` look for).
//!
//! It runs on its own thread with a large stack, and a panic there is a finding.

use std::collections::BTreeMap;

use super::assemble;
use super::bundle::{Bundle, Message};
use super::check;
use super::engine::{Engine, name_of};
use super::finding::{CatalogError, Findings, Spot};
use super::helpers::Markup;
use super::manifest::{self, Details};
use super::place::{self, Folders};
use super::rules;
use super::schema::Schema;
use super::shop::{self, Shop};
use super::source::{self, Files};
use super::strings::Dictionary;
use super::{markup, shape};
use crate::domain::intent::Variables;
use crate::domain::policy::Policy;

const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Compiles what an author wants to use, with every check.
pub(crate) fn published(files: Files) -> Result<(Bundle, Policy), CatalogError> {
    apart(move || {
        let mut findings = Findings::default();
        let shop = shop::read(&files, &mut findings);
        let policy = shop
            .as_ref()
            .and_then(|shop| rules::read(&files, shop, &mut findings));
        if let Some(shop) = &shop {
            place::check(&files, shop, &mut findings);
        }
        let (Some(shop), Some(policy)) = (shop, policy) else {
            return Err(failed(&mut findings));
        };
        let bundle = build(&files, shop, Some(&policy), &mut findings)?;
        check::messages(&bundle, &policy, &mut findings);
        findings.check()?;
        check::samples(&bundle, &mut findings);
        findings.check()?;
        Ok((bundle, policy))
    })
}

/// Compiles what was published before: only what could harm the process is checked, since rules may have become
/// stricter in the meantime and its messages still have to go out.
pub(crate) fn adopted(files: Files) -> Result<Bundle, CatalogError> {
    apart(move || {
        let mut findings = Findings::default();
        let Some(shop) = shop::read(&files, &mut findings) else {
            return Err(failed(&mut findings));
        };
        build(&files, shop, None, &mut findings)
    })
}

fn failed(findings: &mut Findings) -> CatalogError {
    findings
        .check()
        .err()
        .unwrap_or_else(|| CatalogError::whole("internal", "templates", "cannot be read."))
}

fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, CatalogError> {
    let fault = |message: &str| CatalogError::whole("internal", "templates", message);
    let handle = std::thread::Builder::new()
        .name("templates".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|error| {
            fault(&format!(
                "no thread could be started to read them: {error}."
            ))
        })?;
    handle.join().unwrap_or_else(|_| {
        Err(fault(
            "reading them failed in an unforeseen way; undo the last change.",
        ))
    })
}

fn build(
    files: &Files,
    shop: Shop,
    policy: Option<&Policy>,
    findings: &mut Findings,
) -> Result<Bundle, CatalogError> {
    for (path, text) in &files.texts {
        let Some((kind, _)) = name_of(path) else {
            continue;
        };
        markup::check_depth(path, text, findings);
        if policy.is_some() && matches!(kind, Markup::Html | Markup::Mjml) {
            markup::check_html(path, text, findings);
        }
    }
    let dictionary = Dictionary::read(files, findings);
    let folders = Folders::of(files);
    let mut parts = BTreeMap::new();
    for (key, folder) in &folders.0 {
        let part = read_message(files, key, folder, &shop, policy, findings);
        parts.extend(part.map(|part| (key.clone(), part)));
    }
    if folders.0.is_empty() {
        findings.add(
            "file/missing",
            "messages",
            Spot::WHOLE,
            "there are no messages; add a folder with a message.toml.",
        );
    }
    findings.check()?;

    let mut engine = Engine::compile(files, findings);
    for (details, _, folder) in parts.values() {
        let path = format!("{folder}/message.toml");
        for (part, line) in [
            ("subject", &details.subject),
            ("preheader", &details.preheader),
        ] {
            if let Some(line) = line {
                markup::check_depth(&path, &line.text, findings);
                findings.check()?;
                engine.add(
                    Markup::Text,
                    &format!("{path}#{part}"),
                    &line.text,
                    &path,
                    line.spot,
                    findings,
                );
            }
        }
    }
    findings.check()?;
    for (markup, registry) in engine.registries() {
        shape::check(registry, &|name| engine.place(markup, name).0, findings);
    }
    findings.check()?;
    assemble::assemble(&mut engine, files, policy.is_some(), findings);
    findings.check()?;

    let mut messages = BTreeMap::new();
    for (key, (details, schema, folder)) in parts {
        let samples = read_samples(files, &folder, findings);
        let words = shop
            .locales
            .iter()
            .map(|locale| (locale.clone(), dictionary.words(&folder, locale)))
            .collect();
        messages.insert(
            key,
            Message {
                folder,
                details,
                schema,
                samples,
                words,
            },
        );
    }
    findings.check()?;
    let archive = files.archive();
    Ok(Bundle {
        id: source::bundle_id(&archive),
        archive,
        shop,
        assets: files.assets.clone(),
        messages,
        engine,
    })
}

type Part = (Details, Schema, String);

fn read_message(
    files: &Files,
    key: &str,
    folder: &str,
    shop: &Shop,
    policy: Option<&Policy>,
    findings: &mut Findings,
) -> Option<Part> {
    let path = format!("{folder}/message.toml");
    let details = manifest::read(key, &path, files.get(&path)?, shop, policy, findings);
    let path = format!("{folder}/schema.json");
    let schema = match files.get(&path) {
        Some(text) => Schema::read(&path, text, findings),
        None => {
            findings.add(
                "file/missing",
                path,
                Spot::WHOLE,
                "is missing; it declares the variables as a JSON Schema 2020-12.",
            );
            None
        }
    };
    Some((details?, schema?, folder.to_owned()))
}

fn read_samples(
    files: &Files,
    folder: &str,
    findings: &mut Findings,
) -> BTreeMap<String, Variables> {
    let prefix = format!("{folder}/samples/");
    let mut samples = BTreeMap::new();
    for (path, text) in &files.texts {
        let Some(name) = path
            .strip_prefix(&prefix)
            .and_then(|name| name.strip_suffix(".json"))
        else {
            continue;
        };
        match serde_json::from_str(text) {
            Ok(variables) => {
                samples.insert(name.to_owned(), Variables(variables));
            }
            Err(error) => {
                let spot = Spot {
                    line: error.line(),
                    column: error.column(),
                };
                findings.add(
                    "syntax/json",
                    path,
                    spot,
                    format!("is not a JSON object: {error}."),
                );
            }
        }
    }
    samples
}

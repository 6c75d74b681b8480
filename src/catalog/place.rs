//! Which file belongs where. A file that nobody would read is a typing error, and is told as one.

use std::collections::BTreeMap;

use super::finding::{Findings, Spot, nearest};
use super::shop::Shop;
use super::source::Files;

const BODIES: [&str; 5] = [
    "email.mjml",
    "email.html.hbs",
    "email.txt.hbs",
    "sms.txt.hbs",
    "chat.md.hbs",
];
const LAYOUTS: [&str; 4] = [
    "layouts/email.mjml",
    "layouts/email.html.hbs",
    "layouts/email.txt.hbs",
    "layouts/chat.md.hbs",
];

/// The folders that hold a message, by template key.
#[derive(Debug)]
pub(crate) struct Folders(pub(crate) BTreeMap<String, String>);

impl Folders {
    pub(crate) fn of(files: &Files) -> Self {
        let folders = files.texts.keys().filter_map(|path| {
            let folder = path.strip_suffix("/message.toml")?;
            let key = folder.strip_prefix("messages/")?.replace('/', ".");
            Some((key, folder.to_owned()))
        });
        Self(folders.collect())
    }

    fn around<'p>(&self, path: &'p str) -> Option<&'p str> {
        let folder = self
            .0
            .values()
            .find(|folder| path.starts_with(&format!("{folder}/")))?;
        path.get(folder.len() + 1..)
    }
}

/// Checks the name and the place of every file.
pub(crate) fn check(files: &Files, shop: &Shop, findings: &mut Findings) {
    let folders = Folders::of(files);
    for (key, folder) in &folders.0 {
        if !is_key(key) {
            findings.add("file/name", format!("{folder}/message.toml"), Spot::WHOLE, "folders of messages have lower-case letters, digits and '_' and begin with a letter; rename them.");
        }
    }
    for path in files.texts.keys() {
        if let Err(message) = check_path(path, &folders, shop) {
            findings.add("file/unknown", path, Spot::WHOLE, message);
        }
    }
    for (layout, end) in [
        ("layouts/email.mjml", ".mjml"),
        ("layouts/email.html.hbs", ".html.hbs"),
        ("layouts/email.txt.hbs", ".txt.hbs"),
    ] {
        let is_used =
            |(path, text): (&String, &String)| path.ends_with(end) && text.contains("> layout");
        if files.get(layout).is_none() && files.texts.iter().any(is_used) {
            findings.add(
                "file/missing",
                layout,
                Spot::WHOLE,
                "is missing; it is the frame of every mail and holds {{> @partial-block}}.",
            );
        }
    }
    for path in files.texts.keys() {
        let Some(stem) = path.strip_suffix(".mjml") else {
            continue;
        };
        let other = format!("{stem}.html.hbs");
        if path.starts_with("messages/") && files.get(&other).is_some() {
            findings.add(
                "file/double",
                &other,
                Spot::WHOLE,
                format!("stands beside {path}, which is taken; remove one of them."),
            );
        }
    }
}

fn is_key(key: &str) -> bool {
    key.len() <= 100
        && key.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_lowercase())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
}

fn check_path(path: &str, folders: &Folders, shop: &Shop) -> Result<(), String> {
    if matches!(path, super::shop::PATH | super::rules::PATH) || LAYOUTS.contains(&path) {
        return Ok(());
    }
    match path.split_once('/') {
        Some(("partials", name)) => {
            let known = [".mjml.hbs", ".html.hbs", ".txt.hbs", ".md.hbs"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            known
                .filter(|name| !name.contains(['/', '.']) && *name != "layout")
                .map(|_| ())
                .ok_or_else(|| {
                    "a partial is named NAME.mjml.hbs, NAME.html.hbs, NAME.txt.hbs or NAME.md.hbs."
                        .to_owned()
                })
        }
        Some(("i18n", name)) => check_words(name, shop),
        Some(("messages", _)) => match folders.around(path) {
            Some(name) => check_message_file(name, shop),
            None => Err(
                "no message.toml stands beside it or above it; add one, or move the file."
                    .to_owned(),
            ),
        },
        Some(("layouts", _)) => Err(format!(
            "layouts are {}.{}",
            LAYOUTS.join(", "),
            nearest(path, LAYOUTS)
        )),
        _ => {
            let known = [
                "shop.toml",
                "policy.toml",
                "layouts",
                "partials",
                "i18n",
                "assets",
                "messages",
            ];
            let first = path.split('/').next().unwrap_or(path);
            Err(format!(
                "nothing reads it; the folder has {}.{}",
                known.join(", "),
                nearest(first, known)
            ))
        }
    }
}

fn check_words(name: &str, shop: &Shop) -> Result<(), String> {
    let locale = name
        .strip_suffix(".ftl")
        .ok_or("words stand in LOCALE.ftl.")?;
    check_locale(locale, shop)
}

/// A locale of the shop, or the language of some: `pt` speaks for `pt-BR` where that has no file of its own.
fn check_locale(locale: &str, shop: &Shop) -> Result<(), String> {
    let is_known = |known: &String| {
        known == locale
            || known
                .split_once('-')
                .is_some_and(|(language, _)| language == locale)
    };
    if shop.locales.iter().any(is_known) {
        return Ok(());
    }
    let hint = nearest(locale, shop.locales.iter().map(String::as_str));
    Err(format!(
        "{locale:?} is not one of the locales in shop.toml; add it there or rename the file.{hint}"
    ))
}

fn check_message_file(name: &str, shop: &Shop) -> Result<(), String> {
    match name.split_once('/') {
        None if matches!(name, "message.toml" | "schema.json") => Ok(()),
        None => check_body(name, shop),
        Some(("i18n", words)) => check_words(words, shop),
        Some(("samples", sample)) if sample.ends_with(".json") && !sample.contains('/') => Ok(()),
        Some(("samples", _)) => Err("a sample is named NAME.json.".to_owned()),
        Some(("variants", rest)) => match rest.split_once('/') {
            Some((_, body)) => check_body(body, shop),
            None => Err("a variant has its own folder: variants/NAME/email.html.hbs.".to_owned()),
        },
        Some((folder, _)) => Err(format!(
            "nothing reads the folder {folder:?} of a message; there are i18n, samples and variants.{}",
            nearest(folder, ["i18n", "samples", "variants"])
        )),
    }
}

fn check_body(name: &str, shop: &Shop) -> Result<(), String> {
    if BODIES.contains(&name) {
        return Ok(());
    }
    for body in BODIES {
        let (stem, end) = body.split_once('.').unwrap_or_default();
        let locale = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('.'));
        if let Some(locale) = locale
            .and_then(|rest| rest.strip_suffix(end))
            .and_then(|rest| rest.strip_suffix('.'))
        {
            return check_locale(locale, shop);
        }
    }
    let known = BODIES.into_iter().chain(["message.toml", "schema.json"]);
    Err(format!(
        "nothing reads it; a message has message.toml, schema.json and {}.{}",
        BODIES.join(", "),
        nearest(name, known)
    ))
}

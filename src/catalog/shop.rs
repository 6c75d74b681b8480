//! `shop.toml`: who is speaking. Names, languages, senders and links that all messages share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Findings, Spot, nearest};
use super::source::Files;
use super::toml_text;
use crate::domain::address::Address;
use crate::domain::channel::{Category, Channel};
use crate::domain::content::Sender;

pub(crate) const PATH: &str = "shop.toml";

/// The shop as its templates know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shop {
    /// For salutations and senders.
    pub name: String,
    /// The front door.
    pub url: String,
    /// Where customers write to.
    pub support_email: String,
    /// Where customers find help.
    pub support_url: String,
    /// Required by law in commercial mail.
    pub postal_address: String,
    /// What a customer whose language is missing gets.
    pub default_locale: String,
    /// Every language the templates are written in.
    pub locales: Vec<String>,
    /// IANA zone where the customer's is unknown.
    pub time_zone: String,
    /// The senders by name.
    #[serde(skip)]
    pub senders: BTreeMap<String, Sender>,
    /// The sender's name for each category.
    #[serde(skip)]
    pub default_senders: BTreeMap<Category, String>,
    /// The shop's own preference page; the gateway's signed links take its place.
    pub preferences_url: String,
    /// The shop's own unsubscribe page; the gateway's signed links take its place.
    pub unsubscribe_url: String,
    /// Where the pictures of mails stand, without a slash at its end; empty: there are none.
    pub assets_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    name: String,
    url: String,
    support_email: String,
    support_url: String,
    postal_address: String,
    default_locale: String,
    locales: Vec<String>,
    time_zone: String,
    links: LinkFile,
    senders: BTreeMap<String, SenderFile>,
    default_senders: BTreeMap<Category, String>,
    assets: Option<AssetFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetFile {
    base_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkFile {
    preferences: String,
    unsubscribe: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SenderFile {
    name: String,
    address: String,
}

/// Reads and checks it; what is wrong is added to the findings.
pub(crate) fn read(files: &Files, findings: &mut Findings) -> Option<Shop> {
    let Some(text) = files.get(PATH) else {
        findings.add(
            "file/missing",
            PATH,
            Spot::WHOLE,
            "is missing; it names the shop, its languages and its senders.",
        );
        return None;
    };
    let file: File = toml_text::read(PATH, text, findings)?;
    check(&file, text, findings);
    check_assets(&file, files, text, findings);
    Some(Shop {
        name: file.name,
        url: file.url,
        support_email: file.support_email,
        support_url: file.support_url,
        postal_address: file.postal_address,
        default_locale: file.default_locale,
        locales: file.locales,
        time_zone: file.time_zone,
        senders: file
            .senders
            .into_iter()
            .map(|(key, sender)| {
                (
                    key,
                    Sender {
                        name: sender.name,
                        address: sender.address,
                    },
                )
            })
            .collect(),
        default_senders: file.default_senders,
        preferences_url: file.links.preferences,
        unsubscribe_url: file.links.unsubscribe,
        assets_url: file
            .assets
            .map(|assets| assets.base_url.trim_end_matches('/').to_owned())
            .unwrap_or_default(),
    })
}

/// Where `key =` stands, for a message that the reader cannot place itself.
fn spot(text: &str, key: &str) -> Spot {
    text.lines()
        .position(|line| line.trim_start().starts_with(key))
        .map_or(Spot::WHOLE, |index| Spot {
            line: index + 1,
            column: 1,
        })
}

/// Pictures need an address that every mail program can reach.
fn check_assets(file: &File, files: &Files, text: &str, findings: &mut Findings) {
    match &file.assets {
        None if !files.assets.is_empty() => findings.add(
            "shop/value",
            PATH,
            Spot::WHOLE,
            "there are pictures in assets/ but no address for them; add [assets] base_url = \"https://…\".",
        ),
        Some(assets) if !assets.base_url.starts_with("https://") || super::links::checked(&assets.base_url).is_err() => findings.add(
            "shop/value",
            PATH,
            spot(text, "base_url"),
            "base_url is not an address that starts with https://.",
        ),
        _ => {}
    }
}

fn check(file: &File, text: &str, findings: &mut Findings) {
    let mut tell =
        |key: &str, message: String| findings.add("shop/value", PATH, spot(text, key), message);
    if file.format != 1 {
        tell(
            "format",
            format!(
                "format {} is not known here; this gateway reads format 1.",
                file.format
            ),
        );
    }
    for (key, value) in [
        ("name", &file.name),
        ("postal_address", &file.postal_address),
    ] {
        if value.trim().is_empty() || value.chars().any(char::is_control) {
            tell(
                key,
                format!("{key} is empty or has control characters; write it on one line."),
            );
        }
    }
    for (key, value) in [
        ("url", &file.url),
        ("support_url", &file.support_url),
        ("preferences", &file.links.preferences),
        ("unsubscribe", &file.links.unsubscribe),
    ] {
        if super::links::checked(value).is_err() {
            tell(
                key,
                format!("{key} is not a link that starts with https:// or http://."),
            );
        }
    }
    for locale in &file.locales {
        if locale.parse::<unic_langid::LanguageIdentifier>().is_err()
            || icu::locale::Locale::try_from_str(locale).is_err()
        {
            tell(
                "locales",
                format!("{locale:?} is not a language tag such as \"en\" or \"pt-BR\"."),
            );
        }
    }
    if !file.locales.contains(&file.default_locale) {
        tell(
            "default_locale",
            "default_locale is not among locales; add it there.".to_owned(),
        );
    }
    if jiff::tz::TimeZone::get(&file.time_zone).is_err() {
        tell(
            "time_zone",
            "time_zone is not an IANA name such as \"Europe/Berlin\".".to_owned(),
        );
    }
    for (name, sender) in &file.senders {
        let clean = !sender.name.trim().is_empty() && !sender.name.chars().any(char::is_control);
        if !clean || Address::try_new(Channel::Email, &sender.address).is_err() {
            tell(
                &format!("[senders.{name}]"),
                format!(
                    "sender {name:?} needs a name on one line and a mail address with a public domain."
                ),
            );
        }
    }
    for category in Category::ALL {
        match file.default_senders.get(category) {
            None => tell(
                "[default_senders]",
                format!("no sender is given for {category}; add `{category} = \"…\"`."),
            ),
            Some(sender) if !file.senders.contains_key(sender) => tell(
                category.as_str(),
                format!(
                    "there is no sender {sender:?}; add [senders.{sender}].{}",
                    nearest(sender, file.senders.keys().map(String::as_str))
                ),
            ),
            Some(_) => {}
        }
    }
}

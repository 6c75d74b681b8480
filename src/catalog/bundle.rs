//! One immutable version of the template repository, checked and compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use unic_langid::LanguageIdentifier;

use super::assets::Assets;
use super::engine::Engine;
use super::finding::nearest;
use super::helpers::Markup;
use super::manifest::Details;
use super::schema::Schema;
use super::shop::Shop;
use super::strings::Words;
use crate::domain::channel::Channel;
use crate::domain::content::Sender;
use crate::domain::intent::Variables;
use crate::domain::locale::language;
use crate::domain::policy::Manifest;
use crate::domain::rejection::FieldViolation;

/// Templates with their schemas, words and samples, named by their content.
#[derive(Debug)]
pub struct Bundle {
    pub(crate) id: String,
    pub(crate) archive: Vec<u8>,
    pub(crate) shop: Shop,
    pub(crate) assets: Assets,
    pub(crate) messages: BTreeMap<String, Message>,
    pub(crate) engine: Engine,
}

/// One template.
#[derive(Debug)]
pub(crate) struct Message {
    /// `messages/order/confirmation`.
    pub(crate) folder: String,
    pub(crate) details: Details,
    pub(crate) schema: Schema,
    pub(crate) samples: BTreeMap<String, Variables>,
    /// By locale.
    pub(crate) words: BTreeMap<String, Words>,
}

impl Message {
    /// The file that speaks in this locale and variant: the variant's before the common one, the locale's before the
    /// general one.
    pub(crate) fn file(
        &self,
        engine: &Engine,
        markup: Markup,
        stem: &str,
        locale: &str,
        variant: &str,
    ) -> Option<String> {
        let ends: &[&str] = match markup {
            Markup::Html | Markup::Mjml => &["mjml", "html.hbs"],
            Markup::Text => &["txt.hbs"],
            Markup::Markdown => &["md.hbs"],
        };
        let language = locale.split('-').next().unwrap_or(locale);
        let mut folders = vec![self.folder.clone()];
        if !variant.is_empty() {
            folders.insert(0, format!("{}/variants/{variant}", self.folder));
        }
        folders
            .iter()
            .flat_map(|folder| {
                [
                    format!("{folder}/{stem}.{locale}"),
                    format!("{folder}/{stem}.{language}"),
                    format!("{folder}/{stem}"),
                ]
            })
            .flat_map(|stem| ends.iter().map(move |end| format!("{stem}.{end}")))
            .find(|name| engine.has(markup, name))
    }
}

impl Bundle {
    /// Its name: the start of the SHA-256 of its archive, 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All of it as bytes to store: a JSON object from path to text, the same for the same content.
    /// [`super::Catalog::adopt`] reads it.
    pub fn archive(&self) -> Vec<u8> {
        self.archive.clone()
    }

    /// The manifests in order of their keys.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.messages
            .values()
            .map(|message| &message.details.manifest)
    }

    /// The manifest of a template.
    pub fn manifest(&self, key: &str) -> Option<&Manifest> {
        self.message(key).map(|message| &message.details.manifest)
    }

    /// The manifest of a template that has to exist.
    ///
    /// # Errors
    /// A sentence for the caller, with the nearest key that exists.
    pub fn require(&self, key: &str) -> Result<&Manifest, String> {
        self.manifest(key).ok_or_else(|| {
            let shown: String = key.chars().filter(|c| !c.is_control()).take(100).collect();
            let hint = nearest(key, self.messages.keys().map(String::as_str));
            format!(
                "there is no template {shown:?} in bundle {}.{hint}",
                self.id
            )
        })
    }

    pub(crate) fn message(&self, key: &str) -> Option<&Message> {
        self.messages.get(key)
    }

    /// The JSON Schema of a template's variables.
    pub fn schema(&self, key: &str) -> Option<&Value> {
        self.message(key).map(|message| &message.schema.value)
    }

    /// What of the variables breaks the template's schema; `field` is a JSON pointer into them. Empty also for a
    /// template that the bundle does not have.
    pub fn violations(&self, key: &str, variables: &Variables) -> Vec<FieldViolation> {
        self.message(key)
            .map(|message| message.schema.violations(variables))
            .unwrap_or_default()
    }

    /// Whether the template says something on this channel in this locale (after falling back).
    pub fn has_content(&self, key: &str, channel: Channel, locale: &str) -> bool {
        let locale = self.resolve_locale(locale);
        let (markup, stem) = body(channel);
        self.message(key).is_some_and(|message| {
            message.details.manifest.channels.contains(&channel)
                && message
                    .file(&self.engine, markup, stem, &locale, "")
                    .is_some()
        })
    }

    /// The shop's locale that comes nearest: the same, its language, its language in another region, the default.
    pub fn resolve_locale(&self, requested: &str) -> String {
        if self.shop.locales.iter().any(|known| known == requested) {
            return requested.to_owned();
        }
        let default = || self.shop.default_locale.clone();
        let Some(wanted) = language(&requested.replace('_', "-")) else {
            return default();
        };
        let parsed: Vec<(LanguageIdentifier, &String)> = self
            .shop
            .locales
            .iter()
            .filter_map(|locale| Some((locale.parse().ok()?, locale)))
            .collect();
        let exact = |known: &LanguageIdentifier| *known == wanted;
        let same_language = |known: &LanguageIdentifier| {
            known.language == wanted.language && known.region.is_none()
        };
        let script = |known: &LanguageIdentifier| {
            wanted.script.is_none() || known.script.is_none() || known.script == wanted.script
        };
        let kin = |known: &LanguageIdentifier| known.language == wanted.language;
        let find = |fits: &dyn Fn(&LanguageIdentifier) -> bool| {
            parsed
                .iter()
                .find(|(known, _)| fits(known))
                .map(|(_, name)| (*name).clone())
        };
        if wanted.language.is_empty() {
            return default();
        }
        find(&exact)
            .or_else(|| find(&|known| same_language(known) && script(known)))
            .or_else(|| find(&|known| kin(known) && script(known)))
            .or_else(|| find(&kin))
            .unwrap_or_else(default)
    }

    /// The locales a template speaks.
    pub fn locales(&self, key: &str) -> Vec<String> {
        self.message(key)
            .map(|message| message.words.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The example variables of that name.
    pub fn sample(&self, key: &str, name: &str) -> Option<&Variables> {
        self.message(key)?.samples.get(name)
    }

    /// The names of the examples; `minimal` is always among them.
    pub fn sample_names(&self, key: &str) -> Vec<&str> {
        self.message(key)
            .map(|message| message.samples.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// The pictures of mails, under the names that mails call them by below the shop's address for them. Empty for a
    /// bundle that came from an archive: its pictures were put there when it was new.
    pub fn assets(&self) -> impl Iterator<Item = (String, Arc<[u8]>)> {
        self.assets.public()
    }

    /// Who is speaking.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// The most segments an SMS of this template may take.
    pub fn max_sms_segments(&self, key: &str) -> Option<u32> {
        self.message(key)
            .map(|message| message.details.max_segments)
    }

    /// Who a mail of this template comes from.
    pub fn sender(&self, key: &str) -> Option<&Sender> {
        self.shop.senders.get(&self.message(key)?.details.sender)
    }
}

/// The kind and the stem of a channel's file.
pub(crate) fn body(channel: Channel) -> (Markup, &'static str) {
    match channel {
        Channel::Email => (Markup::Html, "email"),
        Channel::Sms => (Markup::Text, "sms"),
        Channel::Chat => (Markup::Markdown, "chat"),
    }
}

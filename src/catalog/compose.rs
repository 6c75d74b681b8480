//! From variables to the content of one message: context, fallbacks, the right file, and each channel's limits.
//!
//! It lies below `render` because a bundle is only accepted when its samples can be composed.

use handlebars::Context;
use serde_json::{Map, Value, json};

use super::budget::Budget;
use super::bundle::{Bundle, Message};
pub use super::engine::RenderError;
use super::escape;
use super::format::Formats;
use super::helpers::{Markup, Scene};
use super::plain;
use crate::domain::channel::{Category, Channel};
use crate::domain::content::Content;
use crate::domain::intent::Variables;
use crate::domain::sms;

/// A header line that every mail program shows whole.
const SUBJECT_MAX_CHARS: usize = 255;
/// Discord's limit.
const CHAT_MAX_CHARS: usize = 2_000;

/// What is to be filled, for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) template: &'a str,
    pub(crate) channel: Channel,
    pub(crate) locale: &'a str,
    pub(crate) variables: &'a Variables,
    pub(crate) given_name: &'a str,
    pub(crate) time_zone: &'a str,
    pub(crate) message_id: &'a str,
    pub(crate) preferences: &'a str,
    pub(crate) unsubscribe: &'a str,
    pub(crate) variant: &'a str,
}

/// Fills the template for one channel.
pub(crate) fn compose(bundle: &Bundle, order: &Order<'_>) -> Result<Content, RenderError> {
    let Some(message) = bundle.message(order.template) else {
        return Err(RenderError::whole(
            order.template,
            "the bundle has no such template",
        ));
    };
    let locale = bundle.resolve_locale(order.locale);
    let Some(words) = message.words.get(&locale) else {
        return Err(RenderError::whole(
            &message.folder,
            "the bundle has no words in this language",
        ));
    };
    let zone = if order.time_zone.is_empty() {
        &bundle.shop().time_zone
    } else {
        order.time_zone
    };
    let composer = Composer {
        bundle,
        message,
        order,
        formats: Formats::new(&locale, zone),
        budget: Budget::start(),
        words,
        locale,
    };
    match order.channel {
        Channel::Email => composer.email(),
        Channel::Sms => composer.sms(),
        Channel::Chat => composer.chat(),
    }
}

struct Composer<'a> {
    bundle: &'a Bundle,
    message: &'a Message,
    order: &'a Order<'a>,
    locale: String,
    formats: Formats,
    budget: Budget,
    words: &'a super::strings::Words,
}

impl Composer<'_> {
    fn email(&self) -> Result<Content, RenderError> {
        let mut context = Context::from(Value::Object(self.root()));
        let subject = self.subject(&context)?;
        let preheader = self.line("preheader", &context)?.unwrap_or_default();
        set(&mut context, "subject", &subject);
        set(&mut context, "preheader", &preheader);
        let Some(html) = self.body(Markup::Html, "email", &context)? else {
            return Err(self.nothing());
        };
        let text = match self.body(Markup::Text, "email", &context)? {
            Some(text) => text,
            None => plain::of_html(&html).ok_or_else(|| {
                RenderError::whole(
                    &self.message.folder,
                    "no text part can be made from the HTML; add email.txt.hbs",
                )
            })?,
        };
        let Some(sender) = self.bundle.sender(self.order.template) else {
            return Err(RenderError::whole(
                self.manifest_path(),
                "the sender is not in shop.toml",
            ));
        };
        Ok(Content::Email {
            subject,
            preheader,
            html,
            text: escape::tidy(&text),
            sender: sender.clone(),
            unsubscribe_url: if self.is_elective() {
                self.order.unsubscribe.to_owned()
            } else {
                String::new()
            },
        })
    }

    fn sms(&self) -> Result<Content, RenderError> {
        let context = Context::from(Value::Object(self.root()));
        let Some(text) = self.body(Markup::Text, "sms", &context)? else {
            return Err(self.nothing());
        };
        // Unbreakable spaces, as in amounts, would turn the whole text to UCS-2.
        let text = escape::tidy(&text.replace(['\u{a0}', '\u{202f}', '\u{2007}', '\u{2009}'], " "));
        let segments = sms::segments(&text);
        let max = self.message.details.max_segments;
        if segments.count > max {
            return Err(RenderError::whole(
                format!("{}/sms.txt.hbs", self.message.folder),
                format!(
                    "the text takes {} segments ({}) and max_segments is {max}; shorten it",
                    segments.count, segments.encoding
                ),
            ));
        }
        if segments.count == 0 {
            return Err(RenderError::whole(
                format!("{}/sms.txt.hbs", self.message.folder),
                "the text is empty",
            ));
        }
        Ok(Content::Sms { text })
    }

    fn chat(&self) -> Result<Content, RenderError> {
        let context = Context::from(Value::Object(self.root()));
        let Some(text) = self.body(Markup::Markdown, "chat", &context)? else {
            return Err(self.nothing());
        };
        let text = escape::cut(&escape::tidy(&text), CHAT_MAX_CHARS);
        if text.is_empty() {
            return Err(RenderError::whole(
                format!("{}/chat.md.hbs", self.message.folder),
                "the text is empty",
            ));
        }
        Ok(Content::Chat { text })
    }

    fn body(
        &self,
        markup: Markup,
        stem: &str,
        context: &Context,
    ) -> Result<Option<String>, RenderError> {
        let name = self.message.file(
            &self.bundle.engine,
            markup,
            stem,
            &self.locale,
            self.order.variant,
        );
        name.map(|name| self.fill(markup, &name, context))
            .transpose()
    }

    fn fill(&self, markup: Markup, name: &str, context: &Context) -> Result<String, RenderError> {
        let scene = Scene {
            words: self.words,
            formats: &self.formats,
            budget: &self.budget,
            markup,
            assets_url: &self.bundle.shop.assets_url,
            assets: &self.bundle.assets,
        };
        self.bundle.engine.fill(name, context, &scene)
    }

    fn line(&self, part: &str, context: &Context) -> Result<Option<String>, RenderError> {
        let name = format!("{}#{part}", self.manifest_path());
        if !self.bundle.engine.has(Markup::Text, &name) {
            return Ok(None);
        }
        self.fill(Markup::Text, &name, context)
            .map(|text| Some(escape::one_line(&text)))
    }

    fn subject(&self, context: &Context) -> Result<String, RenderError> {
        let subject = self.line("subject", context)?.unwrap_or_default();
        let length = subject.chars().count();
        let fail = |sentence: String| {
            let place = self
                .bundle
                .engine
                .place(Markup::Text, &format!("{}#subject", self.manifest_path()));
            RenderError {
                file: place.0,
                line: place.1.line,
                column: place.1.column,
                sentence,
            }
        };
        if length == 0 {
            return Err(fail("the subject is empty".to_owned()));
        }
        if length > SUBJECT_MAX_CHARS {
            return Err(fail(format!(
                "the subject has {length} characters and may have {SUBJECT_MAX_CHARS}; shorten it"
            )));
        }
        Ok(subject)
    }

    fn manifest_path(&self) -> String {
        format!("{}/message.toml", self.message.folder)
    }

    fn nothing(&self) -> RenderError {
        RenderError::whole(
            &self.message.folder,
            format!("there is no content for {}", self.order.channel),
        )
    }

    /// Whether the customer may choose not to get such messages.
    fn is_elective(&self) -> bool {
        matches!(
            self.message.details.manifest.category,
            Category::Relationship | Category::Marketing
        )
    }

    fn root(&self) -> Map<String, Value> {
        let (order, shop) = (self.order, self.bundle.shop());
        let mut root = order.variables.0.clone();
        let given_name = escape::one_line(order.given_name);
        root.insert(
            "customer".into(),
            json!({"given_name": given_name, "locale": self.locale, "time_zone": order.time_zone}),
        );
        root.insert(
            "shop".into(),
            json!({"name": shop.name, "url": shop.url, "support_email": shop.support_email,
                "support_url": shop.support_url, "postal_address": shop.postal_address}),
        );
        root.insert(
            "links".into(),
            json!({"preferences": order.preferences, "unsubscribe": order.unsubscribe}),
        );
        root.insert(
            "message".into(),
            json!({"id": order.message_id, "locale": self.locale, "category": self.message.details.manifest.category,
                "channel": order.channel, "unsubscribe": self.is_elective()}),
        );
        self.fall_back(&mut root);
        root
    }

    /// Puts fallbacks where a value is missing or empty; the locale's own first.
    fn fall_back(&self, root: &mut Map<String, Value>) {
        let details = &self.message.details;
        let language = self.locale.split('-').next().unwrap_or_default();
        let own = details
            .locale_fallbacks
            .get(&self.locale)
            .or_else(|| details.locale_fallbacks.get(language));
        let chosen = own.into_iter().flatten().chain(&details.fallbacks);
        for (path, value) in chosen {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            let mut at = Some(&mut *root);
            for part in parent.split('.').filter(|part| !part.is_empty()) {
                at = at
                    .and_then(|fields| fields.get_mut(part))
                    .and_then(Value::as_object_mut);
            }
            if let Some(fields) = at {
                let empty = fields
                    .get(name)
                    .is_none_or(|value| value.is_null() || value.as_str() == Some(""));
                if empty {
                    fields.insert(name.to_owned(), Value::String(value.clone()));
                }
            }
        }
    }
}

fn set(context: &mut Context, name: &str, text: &str) {
    let message = context.data_mut().get_mut("message");
    if let Some(message) = message.and_then(Value::as_object_mut) {
        message.insert(name.to_owned(), Value::String(text.to_owned()));
    }
}

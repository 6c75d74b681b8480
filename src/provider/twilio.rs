//! Text messages by Twilio's REST API, and by those that speak it.
//!
//! Promise: one POST a try. Accepted means 201 with the message's sid; what may have arrived without an answer is
//! [`Handover::Unknown`], as Twilio has no key that would fold a second try. It does not read receipts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::http::{self, Answer, Outcome};
use super::secret::Secret;
use super::{About, Handover, Provider, reply_for};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::domain::content::{Content, Outgoing};

/// Codes that say that this number will never take a message: not valid, not a mobile, STOP was said.
/// <https://www.twilio.com/docs/api/errors>
const DEAD_NUMBER_CODES: [i64; 3] = [21211, 21614, 21610];
/// Codes that say that the sender that we configured is wrong, whoever the message is for.
const WRONG_SENDER_CODES: [i64; 6] = [21212, 21603, 21606, 21659, 21660, 21703];

/// Where and how text messages are handed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TwilioSettings {
    /// Without the path.
    pub base_url: String,
    /// `AC…`.
    pub account_sid: String,
    /// Its password.
    pub auth_token: Secret,
    /// The sending number or name; may be empty with a messaging service.
    pub from: String,
    /// `MG…`; empty: none.
    pub messaging_service_sid: String,
    /// Where receipts go; empty: none.
    pub status_callback: String,
    /// For a whole call, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for TwilioSettings {
    fn default() -> Self {
        Self {
            base_url: "https://api.twilio.com".to_owned(),
            account_sid: String::new(),
            auth_token: Secret::default(),
            from: String::new(),
            messaging_service_sid: String::new(),
            status_callback: String::new(),
            timeout_ms: 30_000,
        }
    }
}

/// Text messages by a Twilio-shaped API.
pub struct Twilio {
    settings: TwilioSettings,
    account_url: String,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl Twilio {
    /// Checks the settings; connects to nothing yet.
    ///
    /// # Errors
    /// A sentence about the setting to change.
    pub fn new(settings: TwilioSettings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let sid = &settings.account_sid;
        if sid.is_empty() || !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err("account_sid is the account's AC… identifier".to_owned());
        }
        if settings.auth_token.is_empty() {
            return Err("auth_token is missing".to_owned());
        }
        if settings.from.is_empty() && settings.messaging_service_sid.is_empty() {
            return Err("one of from and messaging_service_sid is needed".to_owned());
        }
        let base = http::base_url(&settings.base_url)?;
        let deadline = Duration::from_millis(settings.timeout_ms);
        let agent = concat!("tidings/", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            account_url: format!("{base}/2010-04-01/Accounts/{sid}"),
            client: http::client(deadline, agent)?,
            settings,
            clock,
        })
    }

    fn form<'a>(&'a self, outgoing: &'a Outgoing, text: &'a str) -> Vec<(&'static str, &'a str)> {
        let mut form = vec![("To", outgoing.address.reveal()), ("Body", text)];
        for (name, value) in [
            ("From", &self.settings.from),
            ("MessagingServiceSid", &self.settings.messaging_service_sid),
            ("StatusCallback", &self.settings.status_callback),
        ] {
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        form
    }

    fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        self.client.request(method, url).basic_auth(
            &self.settings.account_sid,
            Some(self.settings.auth_token.reveal()),
        )
    }

    fn judge(&self, outgoing: &Outgoing, answer: &Answer) -> Handover {
        let json = answer.json();
        let field = |name: &str| json.as_ref().and_then(|json| json.get(name));
        let code = field("code").and_then(serde_json::Value::as_i64);
        let message = field("message").and_then(serde_json::Value::as_str);
        let words = match (code, message) {
            (Some(code), Some(message)) => format!("{} {code}: {message}", answer.status),
            _ => answer.words(),
        };
        let reply = reply_for(outgoing, &words);
        let passing = |throttled| Handover::Retry {
            after: answer.retry_after(self.clock.now()),
            throttled,
            about: About::Provider,
            reply: reply.clone(),
        };
        match answer.status {
            200..=299 => match field("sid").and_then(serde_json::Value::as_str) {
                Some(sid) if !sid.is_empty() => Handover::Accepted {
                    provider_message_id: super::clean_reply(sid),
                    reply: answer.status.to_string(),
                },
                _ => Handover::Unknown { reply },
            },
            429 => passing(true),
            // The credential, the address of the service, a redirect: ours to repair, and nobody's message is lost meanwhile.
            300..=399 | 401 | 403 | 404 | 405 | 407 | 408 => passing(false),
            400..=499 => Handover::Rejected {
                about: match code {
                    Some(code) if WRONG_SENDER_CODES.contains(&code) => About::Provider,
                    _ => About::Message,
                },
                address_dead: code.is_some_and(|code| DEAD_NUMBER_CODES.contains(&code)),
                reply,
            },
            _ => passing(false),
        }
    }
}

#[async_trait]
impl Provider for Twilio {
    fn name(&self) -> &str {
        "twilio"
    }

    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn reports_delivery(&self) -> bool {
        !self.settings.status_callback.is_empty()
    }

    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8> {
        match &outgoing.content {
            Content::Sms { text } => self
                .form(outgoing, text)
                .iter()
                .flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"])
                .flatten()
                .copied()
                .collect(),
            Content::Email { .. } | Content::Chat { .. } => Vec::new(),
        }
    }

    async fn send(&self, outgoing: &Outgoing) -> Handover {
        let Content::Sms { text } = &outgoing.content else {
            return Handover::Rejected {
                about: About::Message,
                address_dead: false,
                reply: "only text messages can be sent here".to_owned(),
            };
        };
        let url = format!("{}/Messages.json", self.account_url);
        let request = self
            .request(reqwest::Method::POST, &url)
            .form(&self.form(outgoing, text));
        match http::call(request).await {
            Outcome::Answer(answer) => self.judge(outgoing, &answer),
            Outcome::NotSent(why) => Handover::Retry {
                after: None,
                throttled: false,
                about: About::Provider,
                reply: reply_for(outgoing, &why),
            },
            Outcome::Lost(why) => Handover::Unknown {
                reply: reply_for(outgoing, &why),
            },
        }
    }

    async fn check(&self) -> Result<String, String> {
        let url = format!("{}.json", self.account_url);
        match http::call(self.request(reqwest::Method::GET, &url)).await {
            Outcome::Answer(answer) if answer.status == 200 => {
                Ok(format!("{} answers", self.settings.base_url))
            }
            Outcome::Answer(answer) if matches!(answer.status, 401 | 403) => {
                Err("account_sid and auth_token are not accepted".to_owned())
            }
            Outcome::Answer(answer) => Err(super::clean_reply(&answer.words())),
            Outcome::NotSent(why) | Outcome::Lost(why) => Err(super::clean_reply(&why)),
        }
    }
}

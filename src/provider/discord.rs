//! Chat messages on Discord: direct messages by a bot, or posts by a channel's webhook.
//!
//! Promise: one POST of the message a try, with a nonce that Discord folds repeats by (direct messages), mentioning nobody.
//! Limits are kept here and answered with [`Handover::Retry`], never waited for; after a 401 nothing is sent for a minute.
//! It reads no replies and knows no servers' rooms.
//!
//! twilight-http builds and checks the requests; they are carried by the HTTP client that all providers here share, because
//! twilight 0.18 repeats a 429 inside the call without an end, does not show its Retry-After, and reads answers of any size.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use twilight_http::request::{Method, Request, TryIntoRequest};
use twilight_model::channel::message::AllowedMentions;
use twilight_model::id::Id;
use twilight_model::id::marker::{UserMarker, WebhookMarker};

use super::http::{self, Answer, Outcome};
use super::secret::Secret;
use super::{About, Handover, Provider};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::domain::content::{Content, Outgoing};

mod answers;
mod limiter;

use answers::{Problem, as_message, broken, code, rejected, retry, snowflake, unknown};
use limiter::{Limiter, Scope};

const MAX_CONTENT_CHARS: usize = 2_000;
/// How many users' direct message channels are remembered.
const MAX_OPEN_CHANNELS: usize = 10_000;

/// How messages reach people.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum DiscordMode {
    /// As a direct message to the customer's user.
    Dm {
        /// The bot's token.
        token: Secret,
    },
    /// As a post in the channel of one webhook, whoever the customer is.
    Webhook {
        /// Its id.
        id: u64,
        /// Its token.
        token: Secret,
    },
}

impl Default for DiscordMode {
    fn default() -> Self {
        Self::Dm {
            token: Secret::default(),
        }
    }
}

/// Where and how chat messages are handed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscordSettings {
    /// Direct messages or a webhook.
    pub mode: DiscordMode,
    /// With the version.
    pub base_url: String,
    /// For a whole call, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for DiscordSettings {
    fn default() -> Self {
        Self {
            mode: DiscordMode::default(),
            base_url: "https://discord.com/api/v10".to_owned(),
            timeout_ms: 30_000,
        }
    }
}

/// Chat by Discord.
pub struct Discord {
    mode: DiscordMode,
    base_url: String,
    /// Builds requests; never sends one.
    builder: twilight_http::Client,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    limiter: Limiter,
    open: Mutex<OpenChannels>,
}

/// Direct message channels by user; the oldest are forgotten first.
#[derive(Default)]
struct OpenChannels {
    by_user: HashMap<u64, u64>,
    order: VecDeque<u64>,
}

impl Discord {
    /// Checks the settings; connects to nothing yet.
    ///
    /// # Errors
    /// A sentence about the setting to change.
    pub fn new(settings: DiscordSettings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let token = match &settings.mode {
            DiscordMode::Dm { token } => token,
            DiscordMode::Webhook { id, token } => {
                if *id == 0 {
                    return Err("mode.webhook.id is the webhook's id, a number".to_owned());
                }
                token
            }
        };
        if token.is_empty() {
            return Err("the token of the bot or webhook is missing".to_owned());
        }
        if !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token has only plain ASCII characters".to_owned());
        }
        let deadline = Duration::from_millis(settings.timeout_ms);
        // Discord asks for this form.
        let agent = concat!(
            "DiscordBot (https://github.com/twilight-rs/twilight, ",
            env!("CARGO_PKG_VERSION"),
            ") tidings"
        );
        Ok(Self {
            base_url: http::base_url(&settings.base_url)?,
            builder: twilight_http::Client::builder().ratelimiter(None).build(),
            client: http::client(deadline, agent)?,
            mode: settings.mode,
            clock,
            limiter: Limiter::default(),
            open: Mutex::default(),
        })
    }

    async fn send_direct(&self, token: &Secret, outgoing: &Outgoing, text: &str) -> Handover {
        let Some(user) = outgoing
            .address
            .reveal()
            .parse()
            .ok()
            .and_then(Id::<UserMarker>::new_checked)
        else {
            return rejected(outgoing, true, "not a Discord user id");
        };
        let (channel, remembered) = match self.channel_of(user) {
            Some(channel) => (channel, true),
            None => match self.open_channel(token, user, outgoing).await {
                Ok(channel) => (channel, false),
                Err(handover) => return handover,
            },
        };
        let body = message_body(outgoing, text);
        let request = self
            .builder
            .create_message(Id::new(channel))
            .payload_json(&body)
            .try_into_request();
        let handover = self
            .exchange(request, Some(token), Some(channel), outgoing, as_message)
            .await;
        match handover {
            Ok(handover) => handover,
            Err(Problem { code, handover }) => {
                if remembered && code == Some(code::UNKNOWN_CHANNEL) {
                    self.forget(user);
                    let why = "the channel is gone; it is opened anew";
                    return retry(outgoing, About::Message, None, false, why);
                }
                handover
            }
        }
    }

    async fn send_to_webhook(
        &self,
        id: u64,
        token: &Secret,
        outgoing: &Outgoing,
        text: &str,
    ) -> Handover {
        let nobody = AllowedMentions::default();
        let webhook = Id::<WebhookMarker>::new(id);
        let request = self
            .builder
            .execute_webhook(webhook, token.reveal())
            .content(text)
            .allowed_mentions(Some(&nobody))
            .wait()
            .try_into_request();
        self.exchange(request, None, Some(id), outgoing, as_message)
            .await
            .unwrap_or_else(|problem| problem.handover)
    }

    /// Opens a direct message channel. Nothing of the message is sent by that, so nothing here ends unknown.
    async fn open_channel(
        &self,
        token: &Secret,
        user: Id<UserMarker>,
        outgoing: &Outgoing,
    ) -> Result<u64, Handover> {
        let request = self.builder.create_private_channel(user).try_into_request();
        let opened = self
            .exchange(request, Some(token), None, outgoing, |_, answer| {
                snowflake(answer).ok_or_else(|| answer.words())
            })
            .await;
        match opened {
            Ok(channel) => {
                self.remember(user, channel);
                Ok(channel)
            }
            Err(Problem {
                handover: Handover::Unknown { reply },
                ..
            }) => Err(broken(outgoing, &reply)),
            Err(Problem { handover, .. }) => Err(handover),
        }
    }

    /// One request, within the limits.
    async fn exchange<T>(
        &self,
        request: Result<Request, twilight_http::Error>,
        token: Option<&Secret>,
        channel: Option<u64>,
        outgoing: &Outgoing,
        read: impl Fn(&Outgoing, &Answer) -> Result<T, String>,
    ) -> Result<T, Problem> {
        let request = request.map_err(|error| {
            Problem::of(rejected(
                outgoing,
                false,
                &format!("Discord would refuse it: {error}"),
            ))
        })?;
        self.limiter
            .take(self.clock.now(), channel)
            .map_err(|not_now| {
                let about = match not_now.scope {
                    Scope::Channel(_) => self.of_a_channel(),
                    Scope::Everything => About::Provider,
                };
                let why = "not sent yet, to keep within Discord's limits";
                let (wait, throttled) = (Some(not_now.wait), not_now.throttled);
                Problem::of(retry(outgoing, about, wait, throttled, why))
            })?;
        match http::call(self.carried(&request, token)).await {
            Outcome::Answer(answer) if (200..=299).contains(&answer.status) => {
                read(outgoing, &answer).map_err(|why| Problem::of(unknown(outgoing, &why)))
            }
            Outcome::Answer(answer) => Err(self.refusal(&answer, channel, outgoing)),
            Outcome::NotSent(why) => Err(Problem::of(broken(outgoing, &why))),
            Outcome::Lost(why) => Err(Problem::of(unknown(outgoing, &why))),
        }
    }

    fn carried(&self, request: &Request, token: Option<&Secret>) -> reqwest::RequestBuilder {
        // None of our requests uses another method.
        let method = match request.method() {
            Method::Post => reqwest::Method::POST,
            _ => reqwest::Method::GET,
        };
        let url = format!("{}/{}", self.base_url, request.path());
        let mut carried = self.client.request(method, url);
        if let Some(body) = request.body() {
            carried = carried
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_vec());
        }
        match token.filter(|_| request.use_authorization_token()) {
            Some(token) => carried.header(
                reqwest::header::AUTHORIZATION,
                format!("Bot {}", token.reveal()),
            ),
            None => carried,
        }
    }

    /// What a status other than 2xx means; keeps the pause that it asks for.
    fn refusal(&self, answer: &Answer, channel: Option<u64>, outgoing: &Outgoing) -> Problem {
        let now = self.clock.now();
        let refusal = answers::refusal(answer, now, channel, self.of_a_channel(), outgoing);
        if let Some(pause) = refusal.pause {
            self.limiter
                .pause(now, pause.scope, pause.wait, pause.throttled);
        }
        refusal.problem
    }

    /// Whom it concerns that a channel takes no more: its one customer, or all of a webhook's.
    fn of_a_channel(&self) -> About {
        match self.mode {
            DiscordMode::Dm { .. } => About::Message,
            DiscordMode::Webhook { .. } => About::Provider,
        }
    }

    fn channel_of(&self, user: Id<UserMarker>) -> Option<u64> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_user.get(&user.get()).copied()
    }

    fn remember(&self, user: Id<UserMarker>, channel: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.by_user.insert(user.get(), channel).is_none() {
            open.order.push_back(user.get());
        }
        while open.order.len() > MAX_OPEN_CHANNELS {
            if let Some(oldest) = open.order.pop_front() {
                open.by_user.remove(&oldest);
            }
        }
    }

    fn forget(&self, user: Id<UserMarker>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_user.remove(&user.get());
        open.order.retain(|known| *known != user.get());
    }
}

#[async_trait]
impl Provider for Discord {
    fn name(&self) -> &str {
        "discord"
    }

    fn channel(&self) -> Channel {
        Channel::Chat
    }

    fn reports_delivery(&self) -> bool {
        false
    }

    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8> {
        match &outgoing.content {
            Content::Chat { text } => message_body(outgoing, &cut(text)),
            Content::Email { .. } | Content::Sms { .. } => Vec::new(),
        }
    }

    async fn send(&self, outgoing: &Outgoing) -> Handover {
        let Content::Chat { text } = &outgoing.content else {
            return rejected(outgoing, false, "only chat messages can be sent here");
        };
        let text = cut(text);
        match &self.mode {
            DiscordMode::Dm { token } => self.send_direct(token, outgoing, &text).await,
            DiscordMode::Webhook { id, token } => {
                self.send_to_webhook(*id, token, outgoing, &text).await
            }
        }
    }

    async fn check(&self) -> Result<String, String> {
        let request = match &self.mode {
            DiscordMode::Dm { token } => {
                let request = self.builder.current_user().try_into_request();
                request.map(|request| self.carried(&request, Some(token)))
            }
            DiscordMode::Webhook { id, token } => {
                let request = self
                    .builder
                    .webhook(Id::new(*id))
                    .token(token.reveal())
                    .try_into_request();
                request.map(|request| self.carried(&request, None))
            }
        }
        .map_err(|error| error.to_string())?;
        match http::call(request).await {
            Outcome::Answer(answer) if answer.status == 200 => Ok("Discord knows us".to_owned()),
            Outcome::Answer(answer) if answer.status == 401 => {
                Err("Discord does not accept the token".to_owned())
            }
            Outcome::Answer(answer) => Err(super::clean_reply(&answer.words())),
            Outcome::NotSent(why) | Outcome::Lost(why) => Err(super::clean_reply(&why)),
        }
    }
}

/// The nonce is text: Discord reads numbers as signed.
fn message_body(outgoing: &Outgoing, text: &str) -> Vec<u8> {
    serde_json::json!({
        "content": text,
        "nonce": outgoing.message.nonce().to_string(),
        "enforce_nonce": true,
        "allowed_mentions": { "parse": [] },
    })
    .to_string()
    .into_bytes()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CONTENT_CHARS {
        return text.to_owned();
    }
    text.chars()
        .take(MAX_CONTENT_CHARS - 1)
        .chain(std::iter::once('…'))
        .collect()
}

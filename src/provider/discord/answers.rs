//! What Discord's answers mean for the message, for its channel and for everything else. Pure: pauses are asked for, not kept.

use std::time::Duration;

use jiff::Timestamp;

use super::super::http::{self, Answer};
use super::super::{About, Handover, reply_for};
use super::limiter::Scope;
use crate::domain::content::Outgoing;

/// After a sign that the credential is refused or we are banned.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// After a 429 that does not say how long.
const PAUSE_AFTER_LIMIT: Duration = Duration::from_secs(5);

/// Discord's JSON error codes that matter here.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>
pub(super) mod code {
    pub(in super::super) const UNKNOWN_CHANNEL: i64 = 10003;
    pub(super) const UNKNOWN_USER: i64 = 10013;
    pub(super) const UNKNOWN_WEBHOOK: i64 = 10015;
    pub(super) const OPENING_CHANNELS_TOO_FAST: i64 = 40003;
    pub(super) const CANNOT_MESSAGE_USER: i64 = 50007;
}

/// A request that did not do what it was for.
pub(super) struct Problem {
    pub(super) code: Option<i64>,
    pub(super) handover: Handover,
}

impl Problem {
    pub(super) fn of(handover: Handover) -> Self {
        Self {
            code: None,
            handover,
        }
    }
}

/// A time in which nothing of a scope is to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    pub(super) scope: Scope,
    pub(super) wait: Duration,
    pub(super) throttled: bool,
}

/// What a status other than 2xx means.
pub(super) struct Refusal {
    pub(super) problem: Problem,
    pub(super) pause: Option<Pause>,
}

/// Reads a status other than 2xx. `of_a_channel`: whom it concerns when only this channel takes no more.
pub(super) fn refusal(
    answer: &Answer,
    now: Timestamp,
    channel: Option<u64>,
    of_a_channel: About,
    outgoing: &Outgoing,
) -> Refusal {
    let json = answer.json();
    let field = |name: &str| json.as_ref().and_then(|json| json.get(name));
    let code = field("code").and_then(serde_json::Value::as_i64);
    let words = match field("message").and_then(serde_json::Value::as_str) {
        Some(message) => format!("{} {}: {message}", answer.status, code.unwrap_or_default()),
        None => answer.words(),
    };
    let (handover, pause) = match (answer.status, code) {
        (429, _) | (_, Some(code::OPENING_CHANNELS_TOO_FAST)) => {
            let in_body = field("retry_after").and_then(serde_json::Value::as_f64);
            let wait = answer
                .retry_after(now)
                .max(in_body.and_then(http::clamp_seconds))
                .unwrap_or(PAUSE_AFTER_LIMIT);
            let global = field("global").and_then(serde_json::Value::as_bool) == Some(true)
                || answer.headers.contains_key("x-ratelimit-global");
            let (scope, about) = match channel.filter(|_| !global) {
                Some(channel) => (Some(Scope::Channel(channel)), of_a_channel),
                // A limit on opening channels leaves those that are open alone.
                None => (global.then_some(Scope::Everything), About::Provider),
            };
            let pause = scope.map(|scope| Pause {
                scope,
                wait,
                throttled: true,
            });
            (retry(outgoing, about, Some(wait), true, &words), pause)
        }
        // A refused credential, a deleted webhook, a ban (403 without Discord's JSON): every further request makes it worse.
        (401, _) | (403, None) | (_, Some(code::UNKNOWN_WEBHOOK)) => {
            let wait = PAUSE_AFTER_REFUSAL;
            let pause = Pause {
                scope: Scope::Everything,
                wait,
                throttled: false,
            };
            let handover = retry(outgoing, About::Provider, Some(wait), false, &words);
            (handover, Some(pause))
        }
        (_, Some(code::CANNOT_MESSAGE_USER | code::UNKNOWN_USER)) => {
            (rejected(outgoing, true, &words), None)
        }
        (400..=499, Some(_)) | (400, None) => (rejected(outgoing, false, &words), None),
        _ => {
            let wait = answer.retry_after(now);
            let handover = retry(outgoing, About::Provider, wait, false, &words);
            (handover, None)
        }
    };
    Refusal {
        problem: Problem { code, handover },
        pause,
    }
}

pub(super) fn snowflake(answer: &Answer) -> Option<u64> {
    let id: u64 = answer.json()?.get("id")?.as_str()?.parse().ok()?;
    (id != 0).then_some(id)
}

pub(super) fn as_message(_: &Outgoing, answer: &Answer) -> Result<Handover, String> {
    snowflake(answer)
        .map(|id| Handover::Accepted {
            provider_message_id: id.to_string(),
            reply: answer.status.to_string(),
        })
        .ok_or_else(|| format!("no message in the answer: {}", answer.words()))
}

/// Discord, or we ourselves, refuse this message or its user.
pub(super) fn rejected(outgoing: &Outgoing, address_dead: bool, words: &str) -> Handover {
    Handover::Rejected {
        about: About::Message,
        address_dead,
        reply: reply_for(outgoing, words),
    }
}

pub(super) fn retry(
    outgoing: &Outgoing,
    about: About,
    after: Option<Duration>,
    throttled: bool,
    words: &str,
) -> Handover {
    Handover::Retry {
        after,
        throttled,
        about,
        reply: reply_for(outgoing, words),
    }
}

/// Nothing of the message was sent, because Discord could not be reached or did not do what comes before.
pub(super) fn broken(outgoing: &Outgoing, words: &str) -> Handover {
    retry(outgoing, About::Provider, None, false, words)
}

pub(super) fn unknown(outgoing: &Outgoing, words: &str) -> Handover {
    Handover::Unknown {
        reply: reply_for(outgoing, words),
    }
}

//! `[providers.discord.NAME]`: chat by Discord, as a bot or through a webhook.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::reader::Reader;
use crate::config::secret::Secret;

/// How Discord is used.
#[derive(Clone, Debug)]
pub enum DiscordMode {
    /// A bot writes to the customer.
    DirectMessage {
        /// The bot's token.
        bot_token: Secret,
    },
    /// Everything goes to the channel behind a webhook.
    Webhook {
        /// Its id.
        id: u64,
        /// Its token.
        token: Secret,
    },
}

/// `[providers.discord.NAME]`
#[derive(Clone, Debug)]
pub struct DiscordSettings {
    /// How it is used.
    pub mode: DiscordMode,
    /// For the whole call.
    pub timeout: Duration,
    /// For tests: what stands in for Discord on this machine, by http.
    pub proxy: Option<SocketAddr>,
}

/// Reads the section at `path`.
pub(super) fn read(reader: &mut Reader, path: &str) -> DiscordSettings {
    let at = |key: &str| format!("{path}.{key}");
    let webhook = reader
        .word(&at("mode"), &[("dm", false), ("webhook", true)])
        .unwrap_or(false);
    let token = super::required_secret(reader, &at("token_file"));
    let id_origin = reader.origin(&at("webhook_id"));
    let id = reader.optional_text(&at("webhook_id"));
    let mode = match (webhook, id) {
        (false, None) => DiscordMode::DirectMessage { bot_token: token },
        (false, Some(_)) => {
            reader.fault(
                &id_origin,
                &at("webhook_id"),
                "is only for mode = \"webhook\"; set that or take it out",
            );
            DiscordMode::DirectMessage { bot_token: token }
        }
        (true, id) => {
            let number = id
                .and_then(|id| id.parse::<u64>().ok())
                .filter(|id| *id != 0);
            if number.is_none() {
                reader.fault(
                    &id_origin,
                    &at("webhook_id"),
                    "is needed with mode = \"webhook\"; give the webhook's id, digits in quotes",
                );
            }
            DiscordMode::Webhook {
                id: number.unwrap_or(1),
                token,
            }
        }
    };
    let proxy = if reader.take_empty(&at("proxy")) {
        None
    } else {
        reader.loopback(&at("proxy"))
    };
    DiscordSettings {
        mode,
        timeout: super::timeout(reader, path),
        proxy,
    }
}

//! `[providers.discord.NAME]`: chat by Discord, as a bot or through a webhook.

use crate::config::reader::Reader;
use crate::provider::discord::{DiscordMode, DiscordSettings};

/// Reads the section at `path`.
pub(super) fn read(reader: &mut Reader, path: &str) -> DiscordSettings {
    let usual = DiscordSettings::default();
    DiscordSettings {
        mode: mode(reader, path),
        base_url: reader
            .base_url(&format!("{path}.base_url"))
            .unwrap_or(usual.base_url),
        timeout_ms: super::timeout(reader, path, usual.timeout_ms),
    }
}

fn mode(reader: &mut Reader, path: &str) -> DiscordMode {
    let at = |key: &str| format!("{path}.{key}");
    let words = [("dm", false), ("webhook", true)];
    let webhook = reader.word(&at("mode"), &words).unwrap_or(false);
    let token = super::required_secret(reader, &at("token_file"));
    let origin = reader.origin(&at("webhook_id"));
    let id = reader.optional_text(&at("webhook_id"));
    if !webhook {
        if id.is_some() {
            let what = "is only for mode = \"webhook\"; set that or take it out";
            reader.fault(&origin, &at("webhook_id"), what);
        }
        return DiscordMode::Dm { token };
    }
    let number = id
        .and_then(|id| id.parse::<u64>().ok())
        .filter(|id| *id != 0);
    if number.is_none() {
        let what = "is needed with mode = \"webhook\"; give the webhook's id, digits in quotes";
        reader.fault(&origin, &at("webhook_id"), what);
    }
    DiscordMode::Webhook {
        id: number.unwrap_or_default(),
        token,
    }
}

//! Providers as the configuration names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::{Providers, StartError};
use crate::cli::Chaos;
use crate::config::{self, Config, DiscordMode, ProviderKind, SmtpTls, TwilioSender};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::provider::discord::{self, Discord};
use crate::provider::outbox::{Outbox, OutboxOptions, Source};
use crate::provider::secret::Secret;
use crate::provider::smtp::{self, Smtp, TlsMode};
use crate::provider::twilio::{self, Twilio};
use crate::provider::Provider;

/// The domain of Message-IDs where none is configured.
const MESSAGE_ID_DOMAIN: &str = "tidings.invalid";

/// One provider for each channel.
pub(super) fn all(config: &Config, clock: Arc<dyn Clock>, chaos: &[Chaos]) -> Result<Providers, StartError> {
    let one = |settings: &config::Provider| {
        let provider = provider(settings, &config.store.path, clock.clone(), chaos);
        provider.map(|provider| (settings.channel, provider)).map_err(|why| StartError::Provider { name: settings.name.clone(), why })
    };
    config.providers.iter().map(one).collect()
}

/// Where the outbox of a data folder keeps what it captured.
pub(super) fn outbox_folder(data: &Path) -> PathBuf {
    data.join("outbox")
}

fn provider(settings: &config::Provider, data: &Path, clock: Arc<dyn Clock>, chaos: &[Chaos]) -> Result<Arc<dyn Provider>, String> {
    Ok(match &settings.kind {
        ProviderKind::Outbox(outbox) => Arc::new(self::outbox(settings, outbox.keep, data, clock, chaos)?),
        ProviderKind::Smtp(smtp) => Arc::new(Smtp::new(smtp_settings(smtp), clock)?),
        ProviderKind::Twilio(twilio) => Arc::new(Twilio::new(twilio_settings(twilio), clock)?),
        ProviderKind::Discord(discord) => Arc::new(Discord::new(discord_settings(discord), clock)?),
    })
}

fn outbox(
    settings: &config::Provider,
    keep: usize,
    data: &Path,
    clock: Arc<dyn Clock>,
    chaos: &[Chaos],
) -> Result<Outbox, String> {
    let fail_percent = chaos.iter().find(|chaos| chaos.channel == settings.channel).map_or(0, |chaos| chaos.percent);
    let now = clock.clone();
    let options = OutboxOptions {
        keep,
        fail_percent,
        // A captured mail shows the source that a mail server would get.
        source: (settings.channel == Channel::Email)
            .then(|| Arc::new(move |outgoing: &_| smtp::source(outgoing, MESSAGE_ID_DOMAIN, now.now())) as Source),
    };
    let folder = outbox_folder(data);
    Outbox::open(folder.clone(), settings.channel, options, clock).map_err(|error| format!("{} cannot be used: {error}", folder.display()))
}

fn smtp_settings(settings: &config::SmtpSettings) -> smtp::SmtpSettings {
    let (username, password) = settings.credentials.clone().unwrap_or_else(|| (String::new(), config::Secret::new("")));
    smtp::SmtpSettings {
        host: settings.host.clone(),
        port: settings.port,
        tls: match settings.tls {
            SmtpTls::StartTls => TlsMode::Starttls,
            SmtpTls::Tls => TlsMode::Tls,
            SmtpTls::None => TlsMode::None,
        },
        username,
        password: Secret::new(password.reveal()),
        extra_ca: settings.ca_file.clone(),
        helo_name: settings.helo.clone().unwrap_or_else(|| "localhost".into()),
        message_id_domain: settings.message_id_domain.clone().unwrap_or_else(|| MESSAGE_ID_DOMAIN.into()),
        max_connections: settings.max_connections,
        connect_ms: millis(settings.connect_timeout),
        command_ms: millis(settings.command_timeout),
        final_dot_ms: millis(settings.data_timeout),
    }
}

fn twilio_settings(settings: &config::TwilioSettings) -> twilio::TwilioSettings {
    let (from, messaging_service_sid) = match &settings.sender {
        TwilioSender::From(from) => (from.clone(), String::new()),
        TwilioSender::MessagingService(sid) => (String::new(), sid.clone()),
    };
    twilio::TwilioSettings {
        base_url: settings.base_url.clone(),
        account_sid: settings.account_sid.clone(),
        auth_token: Secret::new(settings.auth_token.reveal()),
        from,
        messaging_service_sid,
        status_callback: String::new(),
        timeout_ms: millis(settings.timeout),
    }
}

fn discord_settings(settings: &config::DiscordSettings) -> discord::DiscordSettings {
    let mode = match &settings.mode {
        DiscordMode::DirectMessage { bot_token } => discord::DiscordMode::Dm { token: Secret::new(bot_token.reveal()) },
        DiscordMode::Webhook { id, token } => discord::DiscordMode::Webhook { id: *id, token: Secret::new(token.reveal()) },
    };
    let mut discord = discord::DiscordSettings { mode, timeout_ms: millis(settings.timeout), ..Default::default() };
    if let Some(address) = settings.proxy {
        discord.base_url = format!("http://{address}/api/v10");
    }
    discord
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

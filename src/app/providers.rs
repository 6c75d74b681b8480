//! Providers as the configuration names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::{Providers, StartError};
use crate::cli::Chaos;
use crate::config::{self, Config, ProviderKind};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::provider::discord::Discord;
use crate::provider::outbox::{Outbox, OutboxOptions, Source};
use crate::provider::smtp::{self, Smtp};
use crate::provider::twilio::Twilio;

/// The domain of Message-IDs that an outbox writes.
const MESSAGE_ID_DOMAIN: &str = "tidings.invalid";

/// One provider for each channel.
pub(super) fn all(
    config: &Config,
    clock: &Arc<dyn Clock>,
    chaos: &[Chaos],
) -> Result<Providers, StartError> {
    let one = |settings: &config::Provider| {
        let provider = provider(settings, &config.store.path, clock.clone(), chaos);
        provider
            .map(|provider| (settings.channel, provider))
            .map_err(|why| StartError::Provider {
                name: settings.name.clone(),
                why,
            })
    };
    config.providers.iter().map(one).collect()
}

/// Where the outbox of a data folder keeps what it captured.
pub(super) fn outbox_folder(data: &Path) -> PathBuf {
    data.join("outbox")
}

fn provider(
    settings: &config::Provider,
    data: &Path,
    clock: Arc<dyn Clock>,
    chaos: &[Chaos],
) -> Result<Arc<dyn Provider>, String> {
    Ok(match &settings.kind {
        ProviderKind::Outbox(outbox) => {
            Arc::new(self::outbox(settings, outbox.keep, data, clock, chaos)?)
        }
        ProviderKind::Smtp(smtp) => Arc::new(Smtp::new(smtp.clone(), clock)?),
        ProviderKind::Twilio(twilio) => Arc::new(Twilio::new(twilio.clone(), clock)?),
        ProviderKind::Discord(discord) => Arc::new(Discord::new(discord.clone(), clock)?),
    })
}

fn outbox(
    settings: &config::Provider,
    keep: usize,
    data: &Path,
    clock: Arc<dyn Clock>,
    chaos: &[Chaos],
) -> Result<Outbox, String> {
    let fail_percent = chaos
        .iter()
        .find(|chaos| chaos.channel == settings.channel)
        .map_or(0, |chaos| chaos.percent);
    let now = clock.clone();
    let options = OutboxOptions {
        keep,
        fail_percent,
        // A captured mail shows the source that a mail server would get.
        source: (settings.channel == Channel::Email).then(|| {
            Arc::new(move |outgoing: &_| smtp::source(outgoing, MESSAGE_ID_DOMAIN, now.now()))
                as Source
        }),
    };
    let folder = outbox_folder(data);
    Outbox::open(folder.clone(), settings.channel, options, clock)
        .map_err(|error| format!("{} cannot be used: {error}", folder.display()))
}

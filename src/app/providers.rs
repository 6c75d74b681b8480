//! Providers as the configuration names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::build::Providers;
use super::start_error::StartError;
use crate::cli::Chaos;
use crate::config::{self, Config, ProviderKind};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::domain::content::Outgoing;
use crate::domain::pulse::Pulse;
use crate::provider::discord::Discord;
use crate::provider::outbox::{Outbox, OutboxOptions, Source};
use crate::provider::smtp::{self, Smtp};
use crate::provider::twilio::Twilio;
use crate::provider::{Handover, Provider};
use crate::store::sqlite::OpenError;

/// The domain of Message-IDs that an outbox writes.
const MESSAGE_ID_DOMAIN: &str = "tidings.invalid";

/// The providers that send. Nothing is opened: what is wrong with their settings is wrong before the gateway touches anything.
pub(super) fn senders(
    config: &Config,
    clock: &Arc<dyn Clock>,
    pulse: &Arc<Pulse>,
) -> Result<Providers, StartError> {
    let mut senders = Providers::new();
    for settings in &config.providers {
        let sender = sender(&settings.kind, clock, pulse).map_err(|why| StartError::Provider {
            name: settings.path(),
            why,
        })?;
        if let Some(sender) = sender {
            senders.insert(settings.channel, named(settings, sender));
        }
    }
    Ok(senders)
}

/// The outboxes, for the channels that nothing leaves by. They write below the data folder, so its lock is held before.
pub(super) fn outboxes(
    config: &Config,
    clock: &Arc<dyn Clock>,
    chaos: &[Chaos],
) -> Result<Providers, StartError> {
    let mut outboxes = Providers::new();
    for settings in &config.providers {
        if let ProviderKind::Outbox(kept) = &settings.kind {
            let outbox = outbox(
                settings,
                kept.keep,
                &config.store.path,
                clock.clone(),
                chaos,
            )?;
            outboxes.insert(settings.channel, named(settings, Arc::new(outbox)));
        }
    }
    Ok(outboxes)
}

fn named(settings: &config::Provider, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
    let name = settings.name.clone();
    Arc::new(Named { name, inner })
}

/// A provider under the name that the operator gave it, as attempts, logs and metrics show it.
struct Named {
    name: String,
    inner: Arc<dyn Provider>,
}

#[async_trait]
impl Provider for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn channel(&self) -> Channel {
        self.inner.channel()
    }

    fn reports_delivery(&self) -> bool {
        self.inner.reports_delivery()
    }

    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8> {
        self.inner.fingerprint(outgoing)
    }

    async fn send(&self, outgoing: &Outgoing) -> Handover {
        self.inner.send(outgoing).await
    }

    async fn check(&self) -> Result<String, String> {
        self.inner.check().await
    }
}

/// How long a hand-over may last, from the last look at the pulse to the outcome: the longest of all providers.
pub(super) fn longest_handover(config: &Config) -> Duration {
    let millis = config
        .providers
        .iter()
        .map(|provider| match &provider.kind {
            ProviderKind::Outbox(_) => 0,
            ProviderKind::Smtp(smtp) => smtp.final_dot_ms,
            ProviderKind::Twilio(twilio) => twilio.timeout_ms,
            ProviderKind::Discord(discord) => discord.timeout_ms,
        });
    Duration::from_millis(millis.max().unwrap_or(0))
}

/// Where the outbox of a data folder keeps what it captured.
pub(super) fn outbox_folder(data: &Path) -> PathBuf {
    data.join("outbox")
}

fn sender(
    kind: &ProviderKind,
    clock: &Arc<dyn Clock>,
    pulse: &Arc<Pulse>,
) -> Result<Option<Arc<dyn Provider>>, String> {
    let clock = clock.clone();
    Ok(match kind {
        ProviderKind::Outbox(_) => None,
        ProviderKind::Smtp(smtp) => {
            let smtp = Smtp::new(smtp.clone(), clock)?;
            Some(Arc::new(smtp.with_pulse(pulse.clone())))
        }
        ProviderKind::Twilio(twilio) => Some(Arc::new(Twilio::new(twilio.clone(), clock)?)),
        ProviderKind::Discord(discord) => Some(Arc::new(Discord::new(discord.clone(), clock)?)),
    })
}

fn outbox(
    settings: &config::Provider,
    keep: usize,
    data: &Path,
    clock: Arc<dyn Clock>,
    chaos: &[Chaos],
) -> Result<Outbox, StartError> {
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
        .map_err(|source| OpenError::Folder { folder, source }.into())
}

//! The `[providers.KIND.NAME]` sections: who delivers on each channel.
//!
//! At most one provider serves a channel; a channel without one gets an outbox. Whether a provider can be reached is
//! `doctor`'s question.

use std::time::Duration;

use super::layers::Origin;
use super::nearest::nearest;
use super::reader::Reader;
use crate::domain::channel::Channel;
use crate::domain::rate::Rate;
use crate::provider::discord::DiscordSettings;
use crate::provider::secret::Secret;
use crate::provider::smtp::SmtpSettings;
use crate::provider::twilio::TwilioSettings;

mod discord;
mod smtp;
mod twilio;

/// One provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The section's last part, for telling settings apart; logs and attempts name the kind.
    pub name: String,
    /// The channel it serves.
    pub channel: Channel,
    /// The most that all processes together hand over to it; `None`: no limit.
    pub rate: Option<Rate>,
    /// What it is.
    pub kind: ProviderKind,
}

impl Provider {
    /// Its section: `providers.smtp.main`.
    pub fn path(&self) -> String {
        let kind = match self.kind {
            ProviderKind::Outbox(_) => "outbox",
            ProviderKind::Smtp(_) => "smtp",
            ProviderKind::Twilio(_) => "twilio",
            ProviderKind::Discord(_) => "discord",
        };
        format!("providers.{kind}.{}", self.name)
    }
}

/// The kinds of providers.
#[derive(Clone, Debug)]
pub enum ProviderKind {
    /// Captures instead of sending.
    Outbox(OutboxSettings),
    /// Mail by SMTP.
    Smtp(SmtpSettings),
    /// Text messages by a Twilio-shaped REST interface.
    Twilio(TwilioSettings),
    /// Chat by Discord.
    Discord(DiscordSettings),
}

/// `[providers.outbox.NAME]`
#[derive(Clone, Debug)]
pub struct OutboxSettings {
    /// Messages kept, newest first.
    pub keep: usize,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self { keep: 1000 }
    }
}

const KINDS: [&str; 4] = ["outbox", "smtp", "twilio", "discord"];
const NO_SECRET: &str = "is missing; name the file that holds the secret";

/// Reads all providers: exactly one for each channel, in the order of [`Channel::ALL`].
pub(super) fn read(reader: &mut Reader) -> Vec<Provider> {
    let mut given: Vec<(Provider, String)> = Vec::new();
    reader.allow_empty("providers");
    refuse_unknown_kinds(reader);
    for kind in KINDS {
        let section = format!("providers.{kind}");
        reader.allow_empty(&section);
        for (name, origin) in reader.names_under(&section) {
            let path = format!("{section}.{name}");
            // An instance without a key is given too; what it lacks is told by its required settings.
            reader.allow_empty(&path);
            if !is_name(&name) {
                reader.fault(&origin, &path, "a provider's name has 1 to 32 characters: a to z, 0 to 9, - and _, a letter first");
            }
            if let Some(provider) = read_one(reader, kind, &path, name) {
                refuse_second(reader, &given, &provider, &path, &origin);
                given.push((provider, path));
            }
        }
    }
    Channel::ALL
        .iter()
        .map(|channel| {
            given
                .iter()
                .find(|(provider, _)| provider.channel == *channel)
                .map_or_else(|| outbox(*channel), |(provider, _)| provider.clone())
        })
        .collect()
}

fn refuse_unknown_kinds(reader: &mut Reader) {
    for (kind, origin) in reader.names_under("providers") {
        if !KINDS.contains(&kind.as_str()) {
            let path = format!("providers.{kind}");
            let close = nearest(&kind, KINDS.into_iter())
                .map_or_else(String::new, |close| format!("did you mean {close}? "));
            reader.fault(
                &origin,
                &path,
                &format!(
                    "no such kind of provider; {close}There are {}",
                    KINDS.join(", ")
                ),
            );
            reader.forget(&path);
        }
    }
}

fn outbox(channel: Channel) -> Provider {
    Provider {
        name: "outbox".to_owned(),
        channel,
        rate: None,
        kind: ProviderKind::Outbox(OutboxSettings::default()),
    }
}

/// Whether a section may be called so.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn refuse_second(
    reader: &mut Reader,
    given: &[(Provider, String)],
    provider: &Provider,
    path: &str,
    origin: &Origin,
) {
    let channel = provider.channel;
    if let Some((_, first)) = given.iter().find(|(other, _)| other.channel == channel) {
        reader.fault(
            origin,
            path,
            &format!("is a second provider for {channel} beside {first}; this release uses one a channel, so take one of them out"),
        );
    }
}

fn read_one(reader: &mut Reader, kind: &str, path: &str, name: String) -> Option<Provider> {
    let at = |key: &str| format!("{path}.{key}");
    let rate = reader.rate(&at("rate"));
    let (channel, kind) = match kind {
        "outbox" => {
            let words: Vec<_> = Channel::ALL.iter().map(|c| (c.as_str(), *c)).collect();
            if !reader.is_given(&at("channel")) {
                reader.fault(
                    &Origin::Default,
                    &at("channel"),
                    "is missing; give \"email\" or \"sms\" or \"chat\"",
                );
            }
            let channel = reader.word(&at("channel"), &words);
            let keep = reader.count(&at("keep"), &(1..=100_000)).unwrap_or(1000);
            (
                channel?,
                ProviderKind::Outbox(OutboxSettings {
                    keep: keep as usize,
                }),
            )
        }
        "smtp" => (Channel::Email, ProviderKind::Smtp(smtp::read(reader, path))),
        "twilio" => (
            Channel::Sms,
            ProviderKind::Twilio(twilio::read(reader, path)),
        ),
        _ => (
            Channel::Chat,
            ProviderKind::Discord(discord::read(reader, path)),
        ),
    };
    Some(Provider {
        name,
        channel,
        rate,
        kind,
    })
}

/// The secret behind a setting that has to be there.
fn required_secret(reader: &mut Reader, path: &str) -> Secret {
    let origin = reader.origin(path);
    reader.secret(path).unwrap_or_else(|| {
        reader.fault(&origin, path, NO_SECRET);
        Secret::default()
    })
}

/// The limit of a provider's whole call, in milliseconds.
fn timeout(reader: &mut Reader, path: &str, usual_ms: u64) -> u64 {
    let range = Duration::from_secs(1)..=Duration::from_secs(300);
    reader.milliseconds(&format!("{path}.timeout"), &range, usual_ms)
}

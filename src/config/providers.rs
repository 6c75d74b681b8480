//! The `[providers.KIND.NAME]` sections: who delivers on each channel.
//!
//! At most one provider serves a channel; a channel without one gets an outbox. Whether a provider can be reached is `doctor`'s question.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::layers::Origin;
use super::nearest::nearest;
use super::reader::Reader;
use super::secret::Secret;
use crate::domain::channel::Channel;

/// One provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in logs, metrics and attempts: the section's last part.
    pub name: String,
    /// The channel it serves.
    pub channel: Channel,
    /// What it is.
    pub kind: ProviderKind,
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

/// How a mail connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Plain at first, TLS before anything else or not at all.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In the clear.
    None,
}

/// `[providers.smtp.NAME]`
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Name or IP address of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// User and password, both or neither.
    pub credentials: Option<(String, Secret)>,
    /// The name given in EHLO; `None`: this machine's.
    pub helo: Option<String>,
    /// The part of Message-ID after the @; `None`: the sender's domain.
    pub message_id_domain: Option<String>,
    /// Connections at once.
    pub max_connections: usize,
    /// For the connection.
    pub connect_timeout: Duration,
    /// For the answer to each command before the message.
    pub command_timeout: Duration,
    /// For the answer to the message's end.
    pub data_timeout: Duration,
    /// A PEM file of authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// Who a text message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwilioSender {
    /// A number in E.164 form or an approved name.
    From(String),
    /// A messaging service that picks the number.
    MessagingService(String),
}

/// `[providers.twilio.NAME]`
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    /// Without a slash at its end.
    pub base_url: String,
    /// The account.
    pub account_sid: String,
    /// Its token.
    pub auth_token: Secret,
    /// Who the message comes from.
    pub sender: TwilioSender,
    /// For the whole call.
    pub timeout: Duration,
}

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
        kind: ProviderKind::Outbox(OutboxSettings::default()),
    }
}

fn is_name(name: &str) -> bool {
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
        "smtp" => (Channel::Email, ProviderKind::Smtp(smtp(reader, path))),
        "twilio" => (Channel::Sms, ProviderKind::Twilio(twilio(reader, path))),
        _ => (Channel::Chat, ProviderKind::Discord(discord(reader, path))),
    };
    Some(Provider {
        name,
        channel,
        kind,
    })
}

fn smtp(reader: &mut Reader, path: &str) -> SmtpSettings {
    let at = |key: &str| format!("{path}.{key}");
    let host = reader.required_text(&at("host"), "the name or IP address of the mail server");
    let modes = [
        ("starttls", SmtpTls::StartTls),
        ("tls", SmtpTls::Tls),
        ("none", SmtpTls::None),
    ];
    let tls = reader.word(&at("tls"), &modes).unwrap_or(SmtpTls::StartTls);
    let usual = match tls {
        SmtpTls::StartTls => 587,
        SmtpTls::Tls => 465,
        SmtpTls::None => 25,
    };
    let port = reader
        .count(&at("port"), &(1..=65535))
        .and_then(|port| u16::try_from(port).ok());
    let short = Duration::from_millis(100)..=Duration::from_secs(300);
    SmtpSettings {
        credentials: credentials(reader, path, tls, &host),
        host,
        port: port.unwrap_or(usual),
        tls,
        helo: reader.optional_text(&at("helo")),
        message_id_domain: reader.optional_text(&at("message_id_domain")),
        max_connections: reader.count(&at("max_connections"), &(1..=64)).unwrap_or(4) as usize,
        connect_timeout: reader
            .duration(&at("connect_timeout"), &short)
            .unwrap_or(Duration::from_secs(10)),
        command_timeout: reader
            .duration(&at("command_timeout"), &short)
            .unwrap_or(Duration::from_secs(30)),
        data_timeout: reader
            .duration(
                &at("data_timeout"),
                &(Duration::from_secs(1)..=Duration::from_secs(600)),
            )
            .unwrap_or(Duration::from_secs(120)),
        ca_file: reader.readable_file(&at("ca_file")),
    }
}

fn credentials(
    reader: &mut Reader,
    path: &str,
    tls: SmtpTls,
    host: &str,
) -> Option<(String, Secret)> {
    let (user_path, file_path) = (format!("{path}.username"), format!("{path}.password_file"));
    let (user_origin, file_origin) = (reader.origin(&user_path), reader.origin(&file_path));
    match (reader.optional_text(&user_path), reader.secret(&file_path)) {
        (Some(user), Some(secret)) => {
            let local = host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback());
            if tls == SmtpTls::None && !local {
                reader.fault(
                    &user_origin,
                    &user_path,
                    "would send its password in the clear; set tls to \"starttls\" or \"tls\"",
                );
            }
            Some((user, secret))
        }
        (Some(_), None) => {
            reader.fault(&file_origin, &file_path, NO_SECRET);
            None
        }
        (None, Some(_)) => {
            reader.fault(
                &user_origin,
                &user_path,
                "is missing; give the user that the password belongs to",
            );
            None
        }
        (None, None) => None,
    }
}

fn required_secret(reader: &mut Reader, path: &str) -> Secret {
    let origin = reader.origin(path);
    reader.secret(path).unwrap_or_else(|| {
        reader.fault(&origin, path, NO_SECRET);
        Secret::new("")
    })
}

fn timeout(reader: &mut Reader, path: &str) -> Duration {
    let range = Duration::from_secs(1)..=Duration::from_secs(300);
    reader
        .duration(&format!("{path}.timeout"), &range)
        .unwrap_or(Duration::from_secs(30))
}

fn twilio(reader: &mut Reader, path: &str) -> TwilioSettings {
    let at = |key: &str| format!("{path}.{key}");
    let url_origin = reader.origin(&at("base_url"));
    let base_url = reader
        .optional_text(&at("base_url"))
        .unwrap_or_else(|| "https://api.twilio.com".to_owned());
    if !is_safe_url(&base_url) {
        reader.fault(&url_origin, &at("base_url"), "is not usable; give a URL that starts with https://, or with http:// and an address of this machine");
    }
    let account_sid = reader.required_text(
        &at("account_sid"),
        "the account's SID, from the provider's console",
    );
    let auth_token = required_secret(reader, &at("auth_token_file"));
    let from_origin = reader.origin(&at("from"));
    let sender = match (
        reader.optional_text(&at("from")),
        reader.optional_text(&at("messaging_service_sid")),
    ) {
        (Some(from), None) => TwilioSender::From(from),
        (None, Some(service)) => TwilioSender::MessagingService(service),
        (given, _) => {
            let what = if given.is_some() {
                "stands beside messaging_service_sid; give one of the two"
            } else {
                "is missing; give a sender number such as \"+15005550006\", or messaging_service_sid"
            };
            reader.fault(&from_origin, &at("from"), what);
            TwilioSender::From(String::new())
        }
    };
    TwilioSettings {
        base_url: base_url.trim_end_matches('/').to_owned(),
        account_sid,
        auth_token,
        sender,
        timeout: timeout(reader, path),
    }
}

/// https anywhere; http only to this machine. No user, no query: a token in a URL would be logged.
fn is_safe_url(url: &str) -> bool {
    let (rest, secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return false,
    };
    if rest.contains(['@', '?', '#']) || rest.contains(char::is_whitespace) {
        return false;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    let ip = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    !host.is_empty() && (secure || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()))
}

fn discord(reader: &mut Reader, path: &str) -> DiscordSettings {
    let at = |key: &str| format!("{path}.{key}");
    let webhook = reader
        .word(&at("mode"), &[("dm", false), ("webhook", true)])
        .unwrap_or(false);
    let token = required_secret(reader, &at("token_file"));
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
        timeout: timeout(reader, path),
        proxy,
    }
}

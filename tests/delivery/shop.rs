//! A shop with real doors to its customers: what it configures, what it asks for, and how its tests wait.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json as value;
use tidings::catalog::Source;
use tidings::client::Client;
use tidings::config::{Config, Provider, ProviderKind};
use tidings::domain::channel::Channel;
use tidings::domain::clock::Stopwatch;
use tidings::proto::{
    self, ContactPoint, Customer, GetNotificationRequest, InlineRecipient, Notification,
    NotificationIntent, SendNotificationRequest, UpsertCustomerRequest, notification,
    notification_intent,
};
use tidings::provider::discord::{DiscordMode, DiscordSettings};
use tidings::provider::secret::Secret;
use tidings::provider::smtp::{SmtpSettings, TlsMode};
use tidings::provider::twilio::TwilioSettings;

use crate::gateway::{Embedded, folder};
use crate::http_fake::{Reaction, Seen, json};
use crate::vendor_fakes::{discord_refuses, twilio_refuses};

/// A Monday noon in Berlin.
pub(crate) const NOON: &str = "2026-11-23T11:00:00Z";
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// The longest that something may take to happen, real time.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn post(port: u16) -> Provider {
    let settings = SmtpSettings {
        host: "127.0.0.1".into(),
        port,
        tls: TlsMode::None,
        message_id_domain: "shop.example".into(),
        ..SmtpSettings::default()
    };
    provider("post", Channel::Email, ProviderKind::Smtp(settings))
}

pub(crate) fn texts(url: &str) -> Provider {
    let settings = TwilioSettings {
        base_url: url.into(),
        account_sid: ACCOUNT.into(),
        auth_token: Secret::new("token"),
        from: "+4930123456".into(),
        ..TwilioSettings::default()
    };
    provider("texts", Channel::Sms, ProviderKind::Twilio(settings))
}

pub(crate) fn chats(url: &str) -> Provider {
    let settings = DiscordSettings {
        mode: DiscordMode::Dm {
            token: Secret::new("bot.token"),
        },
        base_url: format!("{url}/api/v10"),
        ..DiscordSettings::default()
    };
    provider("chats", Channel::Chat, ProviderKind::Discord(settings))
}

fn provider(name: &str, channel: Channel, kind: ProviderKind) -> Provider {
    Provider {
        name: name.into(),
        channel,
        rate: None,
        kind,
    }
}

/// Answers as Twilio does.
pub(crate) fn twilio(seen: &Seen) -> Reaction {
    match twilio_refuses(seen) {
        Some(status) => json(status, &value!({"code": 1, "message": "broken contract"})),
        None => json(201, &value!({"sid": "SM1", "status": "queued"})),
    }
}

/// Answers as Discord does.
pub(crate) fn discord(seen: &Seen) -> Reaction {
    match discord_refuses(seen) {
        Some(status) => json(
            status,
            &value!({"code": 50035, "message": "Invalid Form Body"}),
        ),
        None if seen.path.ends_with("/users/@me/channels") => {
            json(200, &value!({"id": "912345678901234567", "type": 1}))
        }
        None => json(200, &value!({"id": "333333333333333333"})),
    }
}

/// A gateway in this process, at noon, with these providers and outboxes for the other channels.
pub(crate) async fn open(providers: Vec<Provider>) -> Embedded {
    open_at(at(NOON), folder(), providers).await
}

pub(crate) async fn open_at(
    now: Timestamp,
    folder: tempfile::TempDir,
    providers: Vec<Provider>,
) -> Embedded {
    let mut config = Config::embedded(folder.path());
    place(&mut config, providers);
    Embedded::start_with(folder, config, Source::Embedded, now).await
}

/// Puts providers in the places of their channels.
pub(crate) fn place(config: &mut Config, providers: Vec<Provider>) {
    for provider in providers {
        let mut places = config.providers.iter_mut();
        let place = places.find(|place| place.channel == provider.channel);
        *place.unwrap() = provider;
    }
}

/// A file for `tidings serve --config`, with mail to this port and everything in `folder`.
pub(crate) fn file(folder: &Path, mail_port: u16, more: &str) -> PathBuf {
    let path = folder.join("tidings.toml");
    let data = folder.join("data");
    let text = format!(
        "[server]\ngrpc_address = \"127.0.0.1:0\"\nconsole_address = \"127.0.0.1:0\"\n\
         drain = \"4s\"\n[store]\npath = {data:?}\n\
         [providers.smtp.post]\nhost = \"127.0.0.1\"\nport = {mail_port}\ntls = \"none\"\n\
         message_id_domain = \"shop.example\"\n{more}"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A guest who can be reached by mail.
pub(crate) fn guest(email: &str) -> InlineRecipient {
    InlineRecipient {
        email_address: email.into(),
        ..InlineRecipient::default()
    }
}

pub(crate) fn intent(
    template: &str,
    recipient: notification_intent::Recipient,
    variables: &serde_json::Value,
) -> NotificationIntent {
    NotificationIntent {
        recipient: Some(recipient),
        template: template.into(),
        variables: Some(proto::structure(variables.as_object().unwrap())),
        ..NotificationIntent::default()
    }
}

pub(crate) fn shipped(order: &str, recipient: InlineRecipient) -> NotificationIntent {
    let recipient = notification_intent::Recipient::InlineRecipient(recipient);
    intent(
        "order.shipped",
        recipient,
        &value!({"order": {"number": order}}),
    )
}

pub(crate) fn to_customer(id: &str) -> notification_intent::Recipient {
    notification_intent::Recipient::CustomerId(id.into())
}

/// A review request, which is of the category relationship.
pub(crate) fn review(customer: &str) -> NotificationIntent {
    intent(
        "review.request",
        to_customer(customer),
        &value!({"product": {"id": "p-1", "name": "a cup"}, "review_url": "https://shop.example/r/1"}),
    )
}

pub(crate) async fn customer(client: &Client, id: &str, email: &str) {
    let point = ContactPoint {
        channel: proto::Channel::Email.into(),
        address: email.into(),
        ..ContactPoint::default()
    };
    let customer = Customer {
        name: format!("customers/{id}"),
        given_name: "Ada".into(),
        time_zone: "Europe/Berlin".into(),
        contact_points: vec![point],
        source_version: 1,
        ..Customer::default()
    };
    upsert(client, customer).await;
}

pub(crate) async fn upsert(client: &Client, customer: Customer) {
    let request = UpsertCustomerRequest {
        customer: Some(customer),
        update_mask: None,
    };
    client.customers().upsert_customer(request).await.unwrap();
}

pub(crate) async fn try_send(
    client: &Client,
    id: &str,
    intent: NotificationIntent,
) -> Result<Notification, tonic::Status> {
    let request = SendNotificationRequest {
        intent: Some(intent),
        request_id: id.into(),
        validate_only: false,
    };
    let answer = client.notifications().send_notification(request).await?;
    Ok(answer.into_inner().notification.unwrap())
}

/// Sends, and answers with the name.
pub(crate) async fn send(client: &Client, id: &str, intent: NotificationIntent) -> String {
    try_send(client, id, intent).await.unwrap().name
}

pub(crate) async fn get(client: &Client, name: &str) -> Notification {
    let request = GetNotificationRequest { name: name.into() };
    let answer = client.notifications().get_notification(request).await;
    answer.unwrap().into_inner().notification.unwrap()
}

/// State and reason.
pub(crate) fn status(notification: &Notification) -> (notification::State, &str) {
    (notification.state(), &notification.state_reason)
}

/// Waits for a state and reason, real time.
pub(crate) async fn reach(
    client: &Client,
    name: &str,
    expected: (notification::State, &str),
) -> Notification {
    let begun = Stopwatch::start();
    loop {
        let found = get(client, name).await;
        if status(&found) == expected {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not {expected:?}: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until something holds, real time.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Stopwatch::start();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// When it is looked at next, in seconds from `now`.
pub(crate) fn next_in(notification: &Notification, now: Timestamp) -> f64 {
    let next = proto::time(notification.next_attempt_time.as_ref().unwrap()).unwrap();
    next.duration_since(now).as_secs_f64()
}

pub(crate) fn after(now: Timestamp, millis: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_millis(millis))
        .unwrap()
}

/// The results and numbers of all tries of all messages.
pub(crate) fn tries(notification: &Notification) -> Vec<(i32, String)> {
    let attempts = notification
        .messages
        .iter()
        .flat_map(|message| &message.attempts);
    attempts
        .map(|attempt| {
            let result = attempt.status.as_ref().map(|status| status.message.clone());
            (attempt.attempt_number, result.unwrap_or_default())
        })
        .collect()
}

/// The Message-ID that a mail of this notification's message has.
pub(crate) fn message_id(notification: &Notification, message: usize) -> String {
    let name = &notification.messages.get(message).unwrap().name;
    format!("<{}@shop.example>", name.rsplit('/').next().unwrap())
}

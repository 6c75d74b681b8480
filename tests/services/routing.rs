//! Whom an intent reaches and by what: the caller's routing, guests, and contact data that comes with the intent.

use std::collections::BTreeSet;

use tidings::proto::routing_override::Method;
use tidings::proto::{
    Channel, ContactSnapshot, Customer, InlineRecipient, Notification, NotificationIntent,
    RoutingOverride, notification::State,
};

use crate::support::calls::{customer, get, inline, review, send, shipped};
use crate::support::gateway::Embedded;
use crate::{ada, at_noon, upsert};

fn to_customer(order: &str) -> NotificationIntent {
    NotificationIntent {
        recipient: customer("c-1"),
        ..shipped(order)
    }
}

fn routed(method: Method, channels: &[Channel]) -> NotificationIntent {
    let routing = RoutingOverride {
        method: method.into(),
        channels: channels.iter().map(|channel| i32::from(*channel)).collect(),
        fallback_delay: None,
    };
    NotificationIntent {
        routing: Some(routing),
        ..to_customer("4711")
    }
}

/// Sends and waits; answers with how it ended.
async fn ended(gateway: &Embedded, id: &str, intent: NotificationIntent) -> Notification {
    let name = send(&gateway.client, id, intent).await.name;
    gateway.settle().await;
    get(&gateway.client, &name).await
}

fn channels(notification: &Notification) -> Vec<Channel> {
    notification
        .messages
        .iter()
        .map(tidings::proto::Message::channel)
        .collect()
}

/// The addresses that were written to, in the order of the notifications.
async fn addresses(gateway: &Embedded) -> Vec<String> {
    let records = gateway.all().await;
    let messages = records.iter().flat_map(|record| &record.messages);
    messages
        .map(|message| message.address.reveal().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_uses_every_channel_that_is_listed_and_reachable() {
    use Channel::{Chat, Email, Sms};
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    let sent = ended(&gateway, "listed", routed(Method::All, &[Sms, Email, Chat])).await;
    assert_eq!(
        channels(&sent).iter().copied().collect::<BTreeSet<_>>(),
        [Email, Sms].into(),
        "there is no chat address"
    );
    assert_eq!(
        (sent.state(), sent.messages.len()),
        (State::Sent, 2),
        "each once"
    );
    assert!(
        sent.messages
            .iter()
            .all(|message| message.attempts.len() == 1)
    );
    let sent = ended(&gateway, "unlisted", routed(Method::All, &[])).await;
    assert_eq!(sent.messages.len(), 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_routing_reorders_and_cuts_and_never_adds() {
    use Channel::{Chat, Email, Sms};
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    assert_eq!(
        channels(&ended(&gateway, "none", to_customer("1")).await),
        [Email]
    );
    assert_eq!(
        channels(&ended(&gateway, "order", routed(Method::First, &[Sms, Email])).await),
        [Sms]
    );
    assert_eq!(
        channels(&ended(&gateway, "next", routed(Method::Unspecified, &[Chat, Sms])).await),
        [Sms]
    );
    let nowhere = ended(&gateway, "cut", routed(Method::First, &[Chat])).await;
    assert_eq!(
        (nowhere.state(), nowhere.messages.len()),
        (State::Suppressed, 0),
        "{nowhere:?}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_hears_of_the_order_and_of_nothing_else() {
    let gateway = at_noon().await;
    let guest = |intent: NotificationIntent, recipient| NotificationIntent {
        recipient: inline(recipient),
        ..intent
    };
    let by_phone = InlineRecipient {
        phone_number: "+4915112345678".into(),
        ..Default::default()
    };
    let sent = ended(&gateway, "phone", guest(shipped("1"), by_phone)).await;
    assert_eq!(
        (sent.state(), channels(&sent)),
        (State::Sent, vec![Channel::Sms])
    );
    let by_mail = InlineRecipient {
        email_address: "Ada@Example.com".into(),
        ..Default::default()
    };
    assert_eq!(
        ended(&gateway, "mail", guest(shipped("1"), by_mail.clone()))
            .await
            .state(),
        State::Sent
    );
    let asked = ended(&gateway, "review", guest(review(""), by_mail)).await;
    assert_eq!(
        (asked.state(), asked.state_reason.as_str()),
        (State::Suppressed, "CONSENT_MISSING")
    );
    assert_eq!(
        addresses(&gateway).await,
        ["+4915112345678", "Ada@example.com"]
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_snapshot_counts_when_it_is_newer_or_nothing_is_known() {
    let gateway = at_noon().await;
    let with = |mail: &str, source_version| NotificationIntent {
        contact: Some(ContactSnapshot {
            email_address: mail.into(),
            source_version,
            ..Default::default()
        }),
        ..to_customer("4711")
    };
    ended(&gateway, "unknown", with("unknown@example.com", 0)).await;
    let stored = Customer {
        source_version: 5,
        ..ada()
    };
    let stored = upsert(&gateway, stored, &[]).await;
    ended(&gateway, "older", with("older@example.com", 4)).await;
    ended(&gateway, "same", with("same@example.com", 5)).await;
    ended(&gateway, "newer", with("newer@example.com", 6)).await;
    ended(&gateway, "without", to_customer("4711")).await;
    let written = [
        "unknown@example.com",
        "ada@example.com",
        "ada@example.com",
        "newer@example.com",
        "ada@example.com",
    ];
    assert_eq!(
        addresses(&gateway).await,
        written,
        "a snapshot is for its own intent"
    );

    // Whoever has taken all addresses back is not written to at one from before.
    let gone = Customer {
        source_version: 7,
        contact_points: vec![],
        ..stored
    };
    let gone = Customer {
        etag: String::new(),
        ..gone
    };
    upsert(&gateway, gone, &["contact_points", "source_version"]).await;
    let late = ended(&gateway, "late", with("older@example.com", 6)).await;
    assert_eq!(late.state_reason, "NO_CONTACT_POINT");
    gateway.stop().await;
}

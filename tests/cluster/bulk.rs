//! Two kinds of mail for the tests of rates and lanes: letters of the bulk lane, which may wait for days, and delivery notices.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;
use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::proto::{
    self, BatchSendNotificationsRequest, BatchUpsertCustomersRequest, InlineRecipient,
    NotificationIntent, SendNotificationRequest, UpsertCustomerRequest, notification_intent,
};
use tonic::{Code, Status};

use crate::shop;
use crate::site::Site;

/// Orders from here on are of notices, those below of letters.
pub(crate) const NOTICES: u64 = 10_000_000;
/// Few enough at once for a machine that is busy.
const BATCH: u64 = 200;
/// How long a busy machine may answer UNAVAILABLE.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the letter's template, out of one whose messages end soon. To be called before a process starts.
pub(crate) fn write_template(site: &Site) {
    let messages = site.folder().join("templates/messages/satisfaction");
    shop::copy(&messages.join("check"), &messages.join("letter"));
    let manifest = messages.join("letter/message.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("ttl = \"15s\""));
    std::fs::write(&manifest, text.replace("ttl = \"15s\"", "ttl = \"5d\"")).unwrap();
}

/// A letter to a customer who is known.
pub(crate) fn letter(order: u64) -> SendNotificationRequest {
    let variables = json!({
        "order": {"number": order.to_string()},
        "happy_url": "https://shop.example/y",
        "unhappy_url": "https://shop.example/n",
    });
    let recipient = notification_intent::Recipient::CustomerId(format!("c{order}"));
    request(order, "satisfaction.letter", recipient, &variables)
}

/// A delivery notice for a guest.
pub(crate) fn notice(order: u64) -> SendNotificationRequest {
    let guest = InlineRecipient {
        email_address: shop::mail_of(order),
        ..InlineRecipient::default()
    };
    let recipient = notification_intent::Recipient::InlineRecipient(guest);
    let variables = json!({"order": {"number": order.to_string()}});
    request(order, "order.shipped", recipient, &variables)
}

/// The same as a text.
pub(crate) fn text(order: u64) -> SendNotificationRequest {
    let guest = InlineRecipient {
        phone_number: format!("+49151{order:08}"),
        ..InlineRecipient::default()
    };
    let recipient = notification_intent::Recipient::InlineRecipient(guest);
    let variables = json!({"order": {"number": order.to_string()}});
    request(order, "order.shipped", recipient, &variables)
}

pub(crate) fn request(
    order: u64,
    template: &str,
    recipient: notification_intent::Recipient,
    variables: &serde_json::Value,
) -> SendNotificationRequest {
    let intent = NotificationIntent {
        recipient: Some(recipient),
        template: template.into(),
        variables: Some(proto::structure(variables.as_object().unwrap())),
        reference: shop::reference(order),
        ..NotificationIntent::default()
    };
    SendNotificationRequest {
        intent: Some(intent),
        request_id: format!("r-{order}"),
        validate_only: false,
    }
}

/// Makes the customers of these orders known.
pub(crate) async fn know(client: &Client, orders: RangeInclusive<u64>) {
    let known = orders.map(|order| UpsertCustomerRequest {
        customer: Some(shop::known(order)),
        update_mask: None,
    });
    let known = BatchUpsertCustomersRequest {
        requests: known.collect(),
    };
    answered(|| {
        let (mut service, known) = (client.customers(), known.clone());
        async move { service.batch_upsert_customers(known).await.map(drop) }
    })
    .await;
}

/// Calls until it is answered otherwise than by UNAVAILABLE, which must be OK.
async fn answered<A: Future<Output = Result<(), Status>>>(call: impl Fn() -> A) {
    let waited = Stopwatch::start();
    loop {
        match call().await {
            Err(status) if status.code() == Code::Unavailable && waited.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer.unwrap(),
        }
    }
}

/// Accepts letters for the orders 1 to `count`.
pub(crate) async fn accept_letters(client: &Client, count: u64) {
    let mut from = 1;
    while from <= count {
        let orders = from..=count.min(from + BATCH - 1);
        from += BATCH;
        know(client, orders.clone()).await;
        let batch = BatchSendNotificationsRequest {
            requests: orders.map(letter).collect(),
            return_partial_success: false,
        };
        answered(|| {
            let (mut service, batch) = (client.notifications(), batch.clone());
            async move { service.batch_send_notifications(batch).await.map(drop) }
        })
        .await;
    }
}

pub(crate) async fn send(client: &Client, request: SendNotificationRequest) {
    answered(|| {
        let (mut service, request) = (client.notifications(), request.clone());
        async move { service.send_notification(request).await.map(drop) }
    })
    .await;
}

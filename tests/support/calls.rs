//! What a caller sends, and what a refusal carries.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidings::client::Client;
use tidings::proto::{
    self, InlineRecipient, Notification, NotificationIntent, SendNotificationRequest,
    SendNotificationResponse, WireMessage as _, notification_intent,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Noon in Berlin, a Monday.
pub(crate) const NOON: &str = "2026-11-23T11:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn wire(text: &str) -> Option<proto::WireTime> {
    Some(proto::wire_time(at(text)))
}

/// A JSON object as variables.
pub(crate) fn variables(value: &Value) -> Option<proto::Struct> {
    value.as_object().map(proto::structure)
}

pub(crate) fn customer(id: &str) -> Option<notification_intent::Recipient> {
    Some(notification_intent::Recipient::CustomerId(id.to_owned()))
}

pub(crate) fn inline(recipient: InlineRecipient) -> Option<notification_intent::Recipient> {
    Some(notification_intent::Recipient::InlineRecipient(recipient))
}

pub(crate) fn ada() -> InlineRecipient {
    InlineRecipient {
        email_address: "ada@example.com".into(),
        ..InlineRecipient::default()
    }
}

/// A guest hears that their order has shipped.
pub(crate) fn shipped(order: &str) -> NotificationIntent {
    NotificationIntent {
        recipient: inline(ada()),
        template: "order.shipped".into(),
        variables: variables(&json!({"order": {"number": order}})),
        ..NotificationIntent::default()
    }
}

/// A customer is asked for a review, which no night and no tired customer hears.
pub(crate) fn review(customer_id: &str) -> NotificationIntent {
    NotificationIntent {
        recipient: customer(customer_id),
        template: "review.request".into(),
        variables: variables(&json!({
            "product": {"id": "tent-1", "name": "Tent"},
            "review_url": "https://shop.example/r/1",
        })),
        ..NotificationIntent::default()
    }
}

pub(crate) fn request(id: &str, intent: NotificationIntent) -> SendNotificationRequest {
    SendNotificationRequest {
        intent: Some(intent),
        request_id: id.to_owned(),
        validate_only: false,
    }
}

pub(crate) async fn try_send(
    client: &Client,
    id: &str,
    intent: NotificationIntent,
) -> Result<SendNotificationResponse, Status> {
    let mut service = client.notifications();
    let answer = service.send_notification(request(id, intent)).await?;
    Ok(answer.into_inner())
}

pub(crate) async fn send(client: &Client, id: &str, intent: NotificationIntent) -> Notification {
    let answer = try_send(client, id, intent).await.unwrap();
    assert!(!answer.replayed, "{id} was used before");
    answer.notification.unwrap()
}

pub(crate) async fn get(client: &Client, name: &str) -> Notification {
    let request = proto::GetNotificationRequest { name: name.into() };
    let answer = client.notifications().get_notification(request).await;
    answer.unwrap().into_inner().notification.unwrap()
}

/// What a refusal carries, once it has the shape that every refusal has.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: String,
    /// The paths of the fields.
    pub(crate) fields: Vec<String>,
    /// The message and every field's rule.
    pub(crate) words: String,
    pub(crate) details: ErrorDetails,
}

impl Refusal {
    /// Reads it: one `ErrorInfo` of our domain, a `BadRequest` exactly where an argument is invalid, a sentence.
    pub(crate) fn of(status: &Status) -> Self {
        let wire = proto::RpcStatus::decode(status.details()).unwrap();
        let infos = wire
            .details
            .iter()
            .filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo"));
        assert_eq!(infos.count(), 1, "{status:?}");
        assert_eq!(
            (wire.code, wire.message.as_str()),
            (status.code() as i32, status.message())
        );
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.domain, "tidings");
        assert!(status.message().contains(' '), "no sentence: {status:?}");
        let violations = details
            .bad_request()
            .map(|bad| bad.field_violations.clone());
        assert_eq!(
            violations.is_some(),
            status.code() == Code::InvalidArgument,
            "{status:?}"
        );
        let violations = violations.unwrap_or_default();
        let rules = violations
            .iter()
            .map(|violation| violation.description.clone());
        let words: Vec<String> = std::iter::once(status.message().to_owned())
            .chain(rules)
            .collect();
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            fields: violations
                .into_iter()
                .map(|violation| violation.field)
                .collect(),
            words: words.join("\n"),
            details,
        }
    }

    /// The refusal of an item inside an answer.
    pub(crate) fn of_item(item: &proto::RpcStatus) -> Self {
        let code = Code::from_i32(item.code);
        Self::of(&Status::with_details(
            code,
            item.message.clone(),
            item.encode_to_vec().into(),
        ))
    }

    pub(crate) fn fact(&self, name: &str) -> &str {
        let info = self.details.error_info().unwrap();
        info.metadata.get(name).map_or("", String::as_str)
    }
}

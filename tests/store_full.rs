//! A store at its limit: intake says so in a way that a caller can act on, what is stored can be read, nothing is lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidings::app::{Gateway, Setup};
use tidings::catalog::Source;
use tidings::client::{Client, Refusal};
use tidings::config::Config;
use tidings::domain::clock::{Clock as _, SystemClock};
use tidings::proto::{
    self, ExplainNotificationRequest, GetNotificationRequest, InlineRecipient,
    ListNotificationsRequest, NotificationIntent, SendNotificationRequest,
    explain_notification_request, notification, notification_intent,
};

const MEBIBYTE: u64 = 1024 * 1024;

async fn start(folder: &Path, max_size: Option<u64>) -> (Gateway, Client) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::embedded(folder);
    config.server.grpc_address.set_port(0);
    config.server.console_address.set_port(0);
    // Workers that wait for room must not keep the test waiting.
    config.server.drain = Duration::from_secs(1);
    config.store.max_size = max_size;
    let setup = Setup {
        source: Source::Embedded,
        clock: Arc::new(SystemClock),
        clock_note: String::new(),
        chaos: Vec::new(),
    };
    let gateway = Gateway::start(config, setup).await.unwrap();
    let client = Client::connect(&gateway.grpc_address().to_string())
        .await
        .unwrap();
    (gateway, client)
}

/// About 100 KiB in the store each.
fn request(number: usize) -> SendNotificationRequest {
    let recipient = InlineRecipient {
        email_address: "ada@example.com".into(),
        ..InlineRecipient::default()
    };
    let attachment = proto::Attachment {
        filename: "invoice.pdf".into(),
        media_type: "application/pdf".into(),
        source: Some(proto::attachment::Source::Content(vec![b'x'; 100 * 1024])),
    };
    SendNotificationRequest {
        intent: Some(NotificationIntent {
            recipient: Some(notification_intent::Recipient::InlineRecipient(recipient)),
            template: "order.shipped".into(),
            variables: Some(proto::structure(
                json!({"order": {"number": number.to_string()}})
                    .as_object()
                    .unwrap(),
            )),
            attachments: vec![attachment],
            // Nothing is sent while the store fills, so that the order of events is always the same.
            send_time: Some(proto::wire_time(
                SystemClock.now() + Duration::from_secs(3600),
            )),
            ..NotificationIntent::default()
        }),
        request_id: format!("r-{number}"),
        validate_only: false,
    }
}

async fn send(client: &Client, number: usize) -> Result<String, tonic::Status> {
    let answer = client
        .notifications()
        .send_notification(request(number))
        .await?;
    Ok(answer.into_inner().notification.unwrap().name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_with_a_reason_and_can_still_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, client) = start(folder.path(), Some(4 * MEBIBYTE)).await;
    let mut accepted = Vec::new();
    let refused = loop {
        match send(&client, accepted.len()).await {
            Ok(name) => accepted.push(name),
            Err(status) => break status,
        }
        assert!(accepted.len() < 100, "10 MiB are in a store of 4 MiB");
    };
    assert!(accepted.len() > 3, "only {} went in", accepted.len());
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    let refusal = Refusal::of(&refused);
    assert_eq!(refusal.reason, "STORE_FULL");
    assert!(
        refusal.retry_after.is_some_and(|after| !after.is_zero()),
        "{refusal:?}"
    );

    // Reading and asking go on, and a replay of what is there is answered, not refused.
    for name in &accepted {
        let request = GetNotificationRequest { name: name.clone() };
        let found = client.notifications().get_notification(request).await;
        let found = found.unwrap().into_inner().notification.unwrap();
        assert_eq!(found.state(), notification::State::Scheduled);
    }
    let listed = client
        .notifications()
        .list_notifications(ListNotificationsRequest::default())
        .await;
    assert_eq!(
        listed.unwrap().into_inner().notifications.len(),
        accepted.len()
    );
    let explained = client
        .notifications()
        .explain_notification(ExplainNotificationRequest {
            subject: Some(explain_notification_request::Subject::Name(
                accepted[0].clone(),
            )),
            evaluate_time: None,
        })
        .await;
    assert!(!explained.unwrap().into_inner().steps.is_empty());
    gateway.stop().await;

    // With more room everything that was acknowledged is there, once, and the refused one goes in.
    let (gateway, client) = start(folder.path(), Some(64 * MEBIBYTE)).await;
    let listed = client
        .notifications()
        .list_notifications(ListNotificationsRequest::default())
        .await;
    assert_eq!(
        listed.unwrap().into_inner().notifications.len(),
        accepted.len()
    );
    let name = send(&client, accepted.len()).await.unwrap();
    assert!(!accepted.contains(&name));
    assert!(gateway.stop().await);
}

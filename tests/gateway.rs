//! The main job through the gRPC door of the whole gateway.

mod support {
    #[expect(dead_code, reason = "each test file uses its part of it")]
    pub(crate) mod binary;
    #[expect(dead_code, reason = "each test file uses its part of it")]
    pub(crate) mod gateway;
}

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use support::binary::Binary;
use support::gateway::{Embedded, folder};
use tidings::client::Client;
use tidings::proto::{
    self, BatchSendNotificationsRequest, CancelNotificationRequest, Channel, Customer,
    ExplainNotificationRequest, GetNotificationRequest, InlineRecipient, ListNotificationsRequest,
    Notification, NotificationIntent, SendNotificationRequest, UpsertCustomerRequest,
    WatchNotificationsRequest, cancel_notification_request, explain_notification_request,
    notification, notification_intent,
};

const NOON: &str = "2026-11-23T11:00:00Z";

fn shipped(order: &str) -> NotificationIntent {
    let recipient = InlineRecipient {
        email_address: "ada@example.com".into(),
        ..InlineRecipient::default()
    };
    NotificationIntent {
        recipient: Some(notification_intent::Recipient::InlineRecipient(recipient)),
        template: "order.shipped".into(),
        variables: Some(proto::structure(
            json!({"order": {"number": order}}).as_object().unwrap(),
        )),
        reference: format!("orders/{order}"),
        ..NotificationIntent::default()
    }
}

fn request(id: &str, intent: NotificationIntent) -> SendNotificationRequest {
    SendNotificationRequest {
        intent: Some(intent),
        request_id: id.into(),
        validate_only: false,
    }
}

async fn send(client: &Client, id: &str, intent: NotificationIntent) -> (Notification, bool) {
    let answer = client
        .notifications()
        .send_notification(request(id, intent))
        .await
        .unwrap()
        .into_inner();
    (answer.notification.unwrap(), answer.replayed)
}

async fn get(client: &Client, name: &str) -> Notification {
    let request = GetNotificationRequest { name: name.into() };
    client
        .notifications()
        .get_notification(request)
        .await
        .unwrap()
        .into_inner()
        .notification
        .unwrap()
}

async fn reach(client: &Client, name: &str, state: notification::State) -> Notification {
    for _ in 0..500 {
        let found = get(client, name).await;
        if found.state() == state {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "{name} did not become {state:?}: {:?}",
        get(client, name).await
    );
}

async fn at_noon() -> Embedded {
    Embedded::start_at(NOON.parse().unwrap(), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_becomes_a_message() {
    let gateway = at_noon().await;
    let (accepted, replayed) = send(&gateway.client, "r-1", shipped("4711")).await;
    assert!(!replayed);
    gateway.settle().await;
    let sent = get(&gateway.client, &accepted.name).await;
    assert_eq!(
        (sent.state(), sent.state_reason.as_str()),
        (notification::State::Sent, "HANDED_OVER")
    );
    let [message] = sent.messages.as_slice() else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (message.channel(), message.attempts.len()),
        (Channel::Email, 1)
    );
    assert!(!sent.template_revision.is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_means_one_notification() {
    let gateway = at_noon().await;
    let (first, _) = send(&gateway.client, "r-1", shipped("4711")).await;
    let (again, replayed) = send(&gateway.client, "r-1", shipped("4711")).await;
    assert!(replayed);
    assert_eq!(again.name, first.name);

    let refused = gateway
        .client
        .notifications()
        .send_notification(request("r-1", shipped("4712")))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::AlreadyExists);

    // A hundred at once are one.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = gateway.client.clone();
        calls.spawn(async move { send(&client, "r-2", shipped("4713")).await });
    }
    let answers = calls.join_all().await;
    let names: BTreeSet<_> = answers
        .iter()
        .map(|(notification, _)| notification.name.clone())
        .collect();
    assert_eq!(names.len(), 1);
    assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
    gateway.stop().await;
}

/// A caller who heard nothing asks again, however late: the answer is the first one, though nobody else could send this now.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_known_again_when_its_times_have_passed() {
    let gateway = at_noon().await;
    let at = |text: &str| Some(proto::wire_time(text.parse().unwrap()));
    let mut expiring = shipped("4711");
    expiring.expire_time = at("2026-11-23T12:00:00Z");
    let mut planned = shipped("4712");
    planned.send_time = at("2026-11-23T11:30:00Z");
    let (first, _) = send(&gateway.client, "r-1", expiring.clone()).await;
    let (second, _) = send(&gateway.client, "r-2", planned.clone()).await;
    gateway
        .run_until("2026-11-23T13:00:00Z".parse().unwrap())
        .await;

    let (again, replayed) = send(&gateway.client, "r-1", expiring.clone()).await;
    assert!(replayed);
    assert_eq!(again.name, first.name);
    assert_eq!(again.state(), notification::State::Sent);
    // All or none, and both are there.
    let batch = BatchSendNotificationsRequest {
        requests: vec![
            request("r-2", planned.clone()),
            request("r-3", shipped("4713")),
            request("r-1", expiring.clone()),
        ],
        return_partial_success: false,
    };
    let answer = gateway
        .client
        .notifications()
        .batch_send_notifications(batch)
        .await
        .unwrap()
        .into_inner();
    let told = |at: i32| {
        let one = &answer.accepted[&at];
        (one.notification.clone().unwrap().name, one.replayed)
    };
    assert_eq!(told(0), (second.name, true));
    assert!(!told(1).1);
    assert_eq!(told(2), (first.name, true));

    // Who has not asked before, or asks for something else, is told what is wrong.
    expiring.reference = "orders/4714".into();
    for (id, intent) in [("r-4", planned), ("r-1", expiring)] {
        let refused = gateway
            .client
            .notifications()
            .send_notification(request(id, intent))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_all_or_none_unless_asked_otherwise() {
    let gateway = at_noon().await;
    let mut bad = shipped("2");
    bad.template = "no.such".into();
    let mut batch = BatchSendNotificationsRequest {
        requests: vec![request("b-1", shipped("1")), request("b-2", bad)],
        return_partial_success: false,
    };
    let refused = gateway
        .client
        .notifications()
        .batch_send_notifications(batch.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    assert!(gateway.all().await.is_empty());

    batch.return_partial_success = true;
    let answer = gateway
        .client
        .notifications()
        .batch_send_notifications(batch)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.accepted.keys().collect::<Vec<_>>(), [&0]);
    assert_eq!(answer.failed_requests.keys().collect::<Vec<_>>(), [&1]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_can_be_called_off_and_what_is_sent_cannot() {
    let gateway = at_noon().await;
    let mut later = shipped("4711");
    later.send_time = Some(proto::wire_time("2026-11-24T11:00:00Z".parse().unwrap()));
    later.cancellation_key = "orders/4711".into();
    let (waiting, _) = send(&gateway.client, "later", later).await;
    assert_eq!(
        (waiting.state(), waiting.state_reason.as_str()),
        (notification::State::Scheduled, "SEND_TIME")
    );

    let cancel = |target| CancelNotificationRequest {
        target: Some(target),
    };
    let key = cancel_notification_request::Target::CancellationKey("orders/4711".into());
    let answer = gateway
        .client
        .notifications()
        .cancel_notification(cancel(key))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.cancelled_count, answer.missed_count), (1, 0));
    assert_eq!(
        get(&gateway.client, &waiting.name).await.state(),
        notification::State::Cancelled
    );

    let (sent, _) = send(&gateway.client, "now", shipped("4712")).await;
    gateway.settle().await;
    let name = cancel_notification_request::Target::Name(sent.name);
    let refused = gateway
        .client
        .notifications()
        .cancel_notification(cancel(name))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    gateway
        .run_until("2026-11-25T11:00:00Z".parse().unwrap())
        .await;
    assert_eq!(
        get(&gateway.client, &waiting.name).await.state(),
        notification::State::Cancelled
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_time_is_kept_and_the_choices_of_that_time_count() {
    let gateway = at_noon().await;
    let mut later = shipped("4711");
    later.send_time = Some(proto::wire_time("2026-11-24T11:00:00Z".parse().unwrap()));
    let (waiting, _) = send(&gateway.client, "later", later).await;
    gateway
        .run_until("2026-11-24T10:59:59Z".parse().unwrap())
        .await;
    assert_eq!(
        get(&gateway.client, &waiting.name).await.state(),
        notification::State::Scheduled
    );
    gateway
        .run_until("2026-11-24T11:00:01Z".parse().unwrap())
        .await;
    assert_eq!(
        get(&gateway.client, &waiting.name).await.state(),
        notification::State::Sent
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_estimate_never_follows_a_newer_one() {
    let gateway = at_noon().await;
    let estimate = |event_time: &str| {
        let mut intent = shipped("4711");
        intent.collapse_key = "delivery:4711".into();
        intent.event_time = Some(proto::wire_time(event_time.parse().unwrap()));
        intent
    };
    let (newer, _) = send(&gateway.client, "newer", estimate("2026-11-23T10:30:00Z")).await;
    gateway.settle().await;
    let (older, _) = send(&gateway.client, "older", estimate("2026-11-23T10:00:00Z")).await;
    gateway.settle().await;
    assert_eq!(
        get(&gateway.client, &newer.name).await.state(),
        notification::State::Sent
    );
    assert_eq!(
        get(&gateway.client, &older.name).await.state_reason,
        "COLLAPSED"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_and_stores_nothing() {
    let gateway = at_noon().await;
    let subject = Some(explain_notification_request::Subject::Intent(shipped(
        "4711",
    )));
    let request = ExplainNotificationRequest {
        subject,
        evaluate_time: None,
    };
    let answer = gateway
        .client
        .notifications()
        .explain_notification(request)
        .await
        .unwrap()
        .into_inner();
    let rules: Vec<&str> = answer.steps.iter().map(|step| step.rule.as_str()).collect();
    assert!(
        rules.contains(&"schema") && rules.contains(&"choice") && rules.contains(&"budget"),
        "{rules:?}"
    );
    assert!(!answer.verdict.is_empty());
    assert!(gateway.all().await.is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_customer_needs_a_contact_snapshot() {
    let gateway = at_noon().await;
    let mut intent = shipped("4711");
    intent.recipient = Some(notification_intent::Recipient::CustomerId("c-1".into()));
    let refused = gateway
        .client
        .notifications()
        .send_notification(request("r-1", intent.clone()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);

    let customer = Customer {
        name: "customers/c-1".into(),
        source_version: 1,
        ..Customer::default()
    };
    let upsert = UpsertCustomerRequest {
        customer: Some(customer),
        update_mask: None,
    };
    gateway
        .client
        .customers()
        .upsert_customer(upsert)
        .await
        .unwrap();
    let (accepted, _) = send(&gateway.client, "r-1", intent).await;
    assert_eq!(accepted.state_reason, "NO_CONTACT_POINT");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_filters_find_what_is_asked_for() {
    let gateway = at_noon().await;
    for order in 0..7 {
        send(
            &gateway.client,
            &format!("r-{order}"),
            shipped(&order.to_string()),
        )
        .await;
    }
    let mut seen = Vec::new();
    let mut list = ListNotificationsRequest {
        page_size: 3,
        filter: "template = order.shipped AND channel = email".into(),
        ..Default::default()
    };
    loop {
        let page = gateway
            .client
            .notifications()
            .list_notifications(list.clone())
            .await
            .unwrap()
            .into_inner();
        seen.extend(
            page.notifications
                .into_iter()
                .map(|found| found.intent.unwrap().reference),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        list.page_token = page.next_page_token;
    }
    let expected: Vec<_> = (0..7)
        .rev()
        .map(|order| format!("orders/{order}"))
        .collect();
    assert_eq!(seen, expected);
    list.filter = "reference = \"orders/3\"".into();
    let forged = gateway
        .client
        .notifications()
        .list_notifications(list.clone())
        .await
        .unwrap_err();
    assert_eq!(
        forged.code(),
        tonic::Code::InvalidArgument,
        "a token is bound to its filter"
    );
    list.page_token.clear();
    let found = gateway
        .client
        .notifications()
        .list_notifications(list)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.notifications.len(), 1);
    gateway.stop().await;
}

/// Accepts until the binary is killed; every OK must be found in the binary that is started on the same folder.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_over_a_kill() {
    let folder = folder();
    let binary = Binary::dev(folder.path());
    let client = Client::connect(&binary.grpc).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let client = client.clone();
        calls.spawn(async move {
            let mut accepted = Vec::new();
            for order in 0.. {
                let id = format!("{caller}-{order}");
                let Ok(answer) = client
                    .notifications()
                    .send_notification(request(&id, shipped(&id)))
                    .await
                else {
                    break;
                };
                accepted.push((id, answer.into_inner().notification.unwrap().name));
            }
            accepted
        });
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    binary.kill();
    let accepted: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
    assert!(
        accepted.len() > 20,
        "only {} were accepted before the kill",
        accepted.len()
    );

    let binary = Binary::dev(folder.path());
    let client = Client::connect(&binary.grpc).await.unwrap();
    for (id, name) in &accepted {
        reach(&client, name, notification::State::Sent).await;
        let (again, replayed) = send(&client, id, shipped(id)).await;
        assert!(replayed, "{id} was forgotten");
        assert_eq!(again.name, *name);
    }
    assert_eq!(binary.terminate(), Some(0));
}

/// Watches over a kill, with the token of the last event that was seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_after_a_kill() {
    let folder = folder();
    let binary = Binary::dev(folder.path());
    let client = Client::connect(&binary.grpc).await.unwrap();
    let mut watch = client
        .notifications()
        .watch_notifications(WatchNotificationsRequest::default())
        .await
        .unwrap()
        .into_inner();
    send(&client, "before", shipped("1")).await;
    let first = loop {
        let message = watch.message().await.unwrap().unwrap();
        if message.event.is_some() {
            break message;
        }
    };
    let mut ids = vec![first.event.unwrap().id];
    let token = first.resume_token;
    for order in 2..20 {
        send(&client, &format!("r-{order}"), shipped(&order.to_string())).await;
    }
    binary.kill();

    let binary = Binary::dev(folder.path());
    let client = Client::connect(&binary.grpc).await.unwrap();
    let resume = WatchNotificationsRequest {
        resume_token: token,
        ..Default::default()
    };
    let mut watch = client
        .notifications()
        .watch_notifications(resume)
        .await
        .unwrap()
        .into_inner();
    send(&client, "after", shipped("after")).await;
    let mut sent = BTreeSet::new();
    while sent.len() < 20 {
        let message = tokio::time::timeout(Duration::from_secs(20), watch.message())
            .await
            .expect("an event is missing")
            .unwrap()
            .unwrap();
        // A message without an event only brings a token.
        let Some(event) = message.event else { continue };
        let notification = event.notification.unwrap();
        if notification.state() == notification::State::Sent {
            assert!(sent.insert(notification.name), "told twice");
        }
        ids.push(event.id);
    }
    let once: BTreeSet<_> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "an event came twice");
    assert_eq!(binary.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_cannot_share_a_data_folder() {
    let folder = folder();
    let binary = Binary::dev(folder.path());
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args([
            "dev",
            "--headless",
            "--port",
            "0",
            "--ui-port",
            "0",
            "--data",
            folder.path().to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("another"),
        "{}",
        String::from_utf8_lossy(&second.stderr)
    );
    assert_eq!(binary.terminate(), Some(0));
}

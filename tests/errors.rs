//! The error table of the gRPC door: each reason that can be reached, with its code and what it carries.

#[path = "errors/asking.rs"]
mod asking;
#[path = "support/calls.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod calls;
#[path = "support/gateway.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod gateway;

use std::time::Duration;

use crate::calls::{NOON, Refusal, at, customer, get, request, send, shipped, try_send, wire};
use crate::gateway::Embedded;
use tidings::proto::{
    BatchSendNotificationsRequest, CancelNotificationRequest, Customer, ExplainNotificationRequest,
    GetCustomerRequest, NotificationIntent, Preferences, UpdatePreferencesRequest,
    UpsertCustomerRequest, WatchNotificationsRequest, cancel_notification_request::Target,
    explain_notification_request::Subject, notification::State,
};
use tonic::{Code, Status};

async fn at_noon() -> Embedded {
    Embedded::start_at(at(NOON), None).await
}

fn cancel(target: Target) -> CancelNotificationRequest {
    CancelNotificationRequest {
        target: Some(target),
    }
}

/// Asserts code and reason; answers with the rest.
#[track_caller]
fn refused(status: &Status, code: Code, reason: &str) -> Refusal {
    let refusal = Refusal::of(status);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (code, reason),
        "{}",
        refusal.words
    );
    refusal
}

/// An invalid argument that names this field.
#[track_caller]
fn invalid(status: &Status, field: &str) -> Refusal {
    let refusal = refused(status, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(refusal.fields, [field], "{}", refusal.words);
    refusal
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_cannot_be_taken_says_why() {
    let gateway = at_noon().await;
    let with = |change: fn(&mut NotificationIntent)| {
        let mut intent = shipped("4711");
        change(&mut intent);
        intent
    };
    let rows: [(NotificationIntent, Code, &str, &str); 7] = [
        (
            with(|i| i.template = "no.such".into()),
            Code::NotFound,
            "TEMPLATE_NOT_FOUND",
            "",
        ),
        (
            with(|i| i.template_version = "0123".into()),
            Code::NotFound,
            "TEMPLATE_VERSION_NOT_FOUND",
            "",
        ),
        (
            with(|i| i.recipient = customer("nobody")),
            Code::NotFound,
            "CUSTOMER_NOT_FOUND",
            "",
        ),
        (
            with(|i| i.locale = "de_AT".into()),
            Code::InvalidArgument,
            "LOCALE_INVALID",
            "intent.locale",
        ),
        (
            with(|i| i.variables = None),
            Code::InvalidArgument,
            "VARIABLES_INVALID",
            "intent.variables/order",
        ),
        (
            with(|i| i.send_time = wire("2029-01-01T00:00:00Z")),
            Code::InvalidArgument,
            "SEND_TIME_INVALID",
            "intent.send_time",
        ),
        (
            with(|i| i.recipient = None),
            Code::InvalidArgument,
            "FIELD_INVALID",
            "intent.recipient",
        ),
    ];
    for (intent, code, reason, field) in rows {
        let status = try_send(&gateway.client, "r", intent.clone())
            .await
            .unwrap_err();
        let alone = refused(&status, code, reason);
        assert_eq!(alone.fields.first().map_or("", String::as_str), field);
        assert!(
            alone.details.retry_info().is_none(),
            "to come again does not help"
        );

        // A dry run and a batch say the same, the batch with the place.
        let subject = Some(Subject::Intent(intent.clone()));
        let dry = ExplainNotificationRequest {
            subject,
            evaluate_time: None,
        };
        let dry = gateway
            .client
            .notifications()
            .explain_notification(dry)
            .await
            .unwrap_err();
        assert_eq!(dry.message(), status.message());
        let requests = vec![request("good", shipped("1")), request("r", intent)];
        let mut batch = BatchSendNotificationsRequest {
            requests,
            return_partial_success: false,
        };
        let whole = gateway
            .client
            .notifications()
            .batch_send_notifications(batch.clone())
            .await
            .unwrap_err();
        let whole = refused(&whole, code, reason);
        assert_eq!(whole.fact("index"), "1");
        assert!(whole.words.starts_with("requests[1]: "), "{}", whole.words);
        assert!(
            whole
                .fields
                .iter()
                .all(|path| path.starts_with("requests[1].intent.")),
            "{:?}",
            whole.fields
        );
        batch.return_partial_success = true;
        batch.requests[0].validate_only = true;
        let part = gateway
            .client
            .notifications()
            .batch_send_notifications(batch)
            .await
            .unwrap()
            .into_inner();
        let item = Refusal::of_item(&part.failed_requests[&1]);
        assert_eq!(
            (item.code, item.reason, item.fields),
            (code, reason.to_owned(), alone.fields)
        );
    }
    assert!(gateway.all().await.is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_of_the_variables_are_told_with_their_pointers() {
    let gateway = at_noon().await;
    let mut intent = shipped("4711");
    intent.variables = crate::calls::variables(&serde_json::json!({
        "order": {"number": "", "nubmer": "1"}, "shipment": {"parcels": 0},
    }));
    let status = try_send(&gateway.client, "r", intent).await.unwrap_err();
    let mut refusal = refused(&status, Code::InvalidArgument, "VARIABLES_INVALID");
    refusal.fields.sort();
    let paths = ["order/nubmer", "order/number", "shipment/parcels"];
    assert_eq!(
        refusal.fields,
        paths.map(|path| format!("intent.variables/{path}"))
    );
    assert!(
        refusal.words.contains("Did you mean \"number\"?"),
        "a hint for the misspelt one: {}",
        refusal.words
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_replayed_or_its_first_notification_named() {
    let gateway = at_noon().await;
    let first = send(&gateway.client, "r", shipped("1")).await;
    gateway.settle().await;
    let again = try_send(&gateway.client, "r", shipped("1")).await.unwrap();
    let found = again.notification.unwrap();
    assert!(again.replayed);
    assert_eq!(
        (found.name.as_str(), found.state()),
        (first.name.as_str(), State::Sent),
        "as it is now"
    );

    let status = try_send(&gateway.client, "r", shipped("2"))
        .await
        .unwrap_err();
    let reused = refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(reused.fact("first"), first.name);

    let requests = vec![request("new", shipped("3")), request("r", shipped("2"))];
    let batch = BatchSendNotificationsRequest {
        requests,
        return_partial_success: false,
    };
    let status = gateway
        .client
        .notifications()
        .batch_send_notifications(batch)
        .await
        .unwrap_err();
    assert_eq!(
        refused(&status, Code::AlreadyExists, "REQUEST_ID_REUSED").fact("first"),
        first.name
    );
    assert_eq!(
        gateway.all().await.len(),
        1,
        "neither the other payload nor its batch is stored"
    );
    assert!(
        !try_send(&gateway.client, "new", shipped("3"))
            .await
            .unwrap()
            .replayed,
        "its id is not burnt"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_called_off() {
    let gateway = at_noon().await;
    let sent = send(&gateway.client, "r", shipped("1")).await;
    gateway.settle().await;
    let status = gateway
        .client
        .notifications()
        .cancel_notification(cancel(Target::Name(sent.name.clone())))
        .await
        .unwrap_err();
    let refusal = refused(&status, Code::FailedPrecondition, "ALREADY_FINAL");
    assert_eq!(
        (refusal.fact("state"), refusal.fact("state_reason")),
        ("SENT", "HANDED_OVER")
    );
    assert_eq!(get(&gateway.client, &sent.name).await.state(), State::Sent);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_changes_nothing() {
    let gateway = at_noon().await;
    let mut customers = gateway.client.customers();
    let upsert = |given_name: &str, etag: &str| UpsertCustomerRequest {
        customer: Some(Customer {
            name: "customers/c-1".into(),
            given_name: given_name.into(),
            etag: etag.into(),
            ..Default::default()
        }),
        update_mask: None,
    };
    let etag = |answer: tidings::proto::UpsertCustomerResponse| answer.customer.unwrap().etag;
    let first = etag(
        customers
            .upsert_customer(upsert("Ada", ""))
            .await
            .unwrap()
            .into_inner(),
    );
    let second = etag(
        customers
            .upsert_customer(upsert("Bea", &first))
            .await
            .unwrap()
            .into_inner(),
    );
    assert_ne!(first, second);
    let status = customers
        .upsert_customer(upsert("Cleo", &first))
        .await
        .unwrap_err();
    refused(&status, Code::Aborted, "ETAG_MISMATCH");
    let preferences = Preferences {
        customer_id: "c-1".into(),
        pause_all: true,
        etag: first,
        ..Default::default()
    };
    let stale = UpdatePreferencesRequest {
        preferences: Some(preferences),
        update_mask: None,
    };
    refused(
        &customers.update_preferences(stale).await.unwrap_err(),
        Code::Aborted,
        "ETAG_MISMATCH",
    );
    let stored = customers
        .get_customer(GetCustomerRequest {
            name: "customers/c-1".into(),
        })
        .await
        .unwrap();
    let stored = stored.into_inner().customer.unwrap();
    assert_eq!((stored.given_name.as_str(), stored.etag), ("Bea", second));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_told_to_come_again_when_the_gateway_leaves() {
    let gateway = at_noon().await;
    let mut service = gateway.client.notifications();
    let mut watch = service
        .watch_notifications(WatchNotificationsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(
        watch.message().await.unwrap().unwrap().event.is_none(),
        "where it stands"
    );
    let leaving = tokio::spawn(gateway.stop());
    let refusal = refused(
        &watch.message().await.unwrap_err(),
        Code::Unavailable,
        "OVERLOADED",
    );
    let delay = refusal.details.retry_info().unwrap().retry_delay.unwrap();
    assert!(delay > Duration::ZERO);
    drop((watch, service));
    leaving.await.unwrap();
}

/// Another process holds the database for longer than the store waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_said_so_and_nothing_is_half_done() {
    let gateway = at_noon().await;
    let file = std::fs::read_dir(gateway.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = file
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "db"))
        .unwrap();
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let status = try_send(&gateway.client, "r", shipped("1"))
        .await
        .unwrap_err();
    let refusal = refused(&status, Code::Unavailable, "STORE_UNAVAILABLE");
    assert!(refusal.details.retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    other.close().unwrap();
    assert!(gateway.all().await.is_empty());
    let kept = try_send(&gateway.client, "r", shipped("1")).await.unwrap();
    assert!(!kept.replayed, "the id is not burnt");
    gateway.stop().await;
}

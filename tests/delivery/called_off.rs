//! What is called off is not sent: by a caller, by a customer's choice, by an address that died meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings::client::Client;
use tidings::proto::{
    CancelNotificationRequest, Preferences, TopicPreference, UpdatePreferencesRequest,
    cancel_notification_request, notification,
};

use crate::gateway::folder;
use crate::mail_server::MailServer;
use crate::post_office::PostOffice;
use crate::shop::{
    at, customer, get, guest, intent, message_id, open, open_at, post, review, send, shipped,
    status, to_customer,
};

const COUNT: u64 = 200;
/// Ten in the evening in Berlin.
const EVENING: &str = "2026-11-23T21:00:00Z";

async fn cancel(client: &Client, key: &str) -> (i32, i32) {
    let target = cancel_notification_request::Target::CancellationKey(key.into());
    let request = CancelNotificationRequest {
        target: Some(target),
    };
    let answer = client.notifications().cancel_notification(request).await;
    let answer = answer.unwrap().into_inner();
    (answer.cancelled_count, answer.missed_count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_between_sending_and_calling_off_has_one_winner() {
    let server = PostOffice::start(Duration::from_millis(5), false).await;
    let gateway = open(vec![post(server.port)]).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..COUNT {
        let client = gateway.client.clone();
        calls.spawn(async move {
            let key = format!("orders/{number}");
            let mut order = shipped(&key, guest("ada@example.com"));
            order.cancellation_key.clone_from(&key);
            let name = send(&client, &key, order).await;
            // Spread over the whole way of a message, from accepted to handed over.
            tokio::time::sleep(Duration::from_millis(number * 5)).await;
            (name, cancel(&client, &key).await)
        });
    }
    let answers = calls.join_all().await;
    gateway.settle().await;
    let mut mails: BTreeMap<String, usize> = BTreeMap::new();
    for id in server.message_ids() {
        *mails.entry(id).or_default() += 1;
    }
    let mut cancelled = 0;
    for (name, counts) in &answers {
        let ended = get(&gateway.client, name).await;
        let arrived = mails
            .get(&message_id(&ended, 0))
            .copied()
            .unwrap_or_default();
        match *counts {
            (1, 0) => {
                cancelled += 1;
                assert_eq!(
                    status(&ended),
                    (notification::State::Cancelled, "CANCELLED")
                );
                assert_eq!(arrived, 0, "called off and sent: {ended:?}");
            }
            (0, 1) => {
                assert_eq!(status(&ended), (notification::State::Sent, "HANDED_OVER"));
                assert_eq!(arrived, 1, "{ended:?}");
            }
            other => panic!("{other:?}: {ended:?}"),
        }
    }
    println!("{cancelled} of {COUNT} were called off in time");
    assert!((1..COUNT).contains(&cancelled), "no race: {cancelled}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_opts_out_ends_what_waits_at_once() {
    let server = PostOffice::start(Duration::ZERO, false).await;
    let gateway = open_at(at(EVENING), folder(), vec![post(server.port)]).await;
    let client = &gateway.client;
    for id in ["ada", "bob"] {
        customer(client, id, &format!("{id}@example.com")).await;
    }
    let ada = send(client, "r-1", review("ada")).await;
    let bob = send(client, "r-2", review("bob")).await;
    gateway.settle().await;
    for name in [&ada, &bob] {
        let held = get(client, name).await;
        assert_eq!(held.state(), notification::State::Scheduled, "{held:?}");
    }
    let no_reviews = TopicPreference {
        topic: "review_request".into(),
        opted_out: true,
        ..TopicPreference::default()
    };
    let request = UpdatePreferencesRequest {
        preferences: Some(Preferences {
            customer_id: "ada".into(),
            topics: vec![no_reviews],
            ..Preferences::default()
        }),
        update_mask: None,
    };
    client
        .customers()
        .update_preferences(request)
        .await
        .unwrap();
    // The clock stands still.
    gateway.settle().await;
    assert_eq!(
        status(&get(client, &ada).await),
        (notification::State::Suppressed, "TOPIC_OPTED_OUT")
    );
    gateway.run_until(at("2026-11-24T18:00:00Z")).await;
    assert_eq!(
        status(&get(client, &bob).await),
        (notification::State::Sent, "HANDED_OVER")
    );
    assert_eq!(
        status(&get(client, &ada).await),
        (notification::State::Suppressed, "TOPIC_OPTED_OUT")
    );
    assert_eq!(server.mails().len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_dies_ends_what_waits_for_it() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open_at(at(EVENING), folder(), vec![post(server.port)]).await;
    let client = &gateway.client;
    customer(client, "ada", "reject+ada@example.com").await;
    let held = send(client, "r-1", review("ada")).await;
    gateway.settle().await;
    assert_eq!(
        get(client, &held).await.state(),
        notification::State::Scheduled
    );
    let order = intent(
        "order.shipped",
        to_customer("ada"),
        &serde_json::json!({"order": {"number": "1"}}),
    );
    let refused = send(client, "r-2", order).await;
    gateway.settle().await;
    assert_eq!(
        status(&get(client, &refused).await),
        (notification::State::Failed, "PROVIDER_REJECTED")
    );
    assert_eq!(
        status(&get(client, &held).await),
        (notification::State::Suppressed, "ADDRESS_SUPPRESSED")
    );
    gateway.stop().await;
}

//! The two streams: items in with acknowledgements, and changes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream;
use tidings::proto::stream_notifications_response::Result as Outcome;
use tidings::proto::{
    NotificationEvent, NotificationIntent, StreamNotificationsRequest, WatchNotificationsRequest,
    WatchNotificationsResponse, notification::State,
};
use tonic::Streaming;

use crate::at_noon;
use crate::support::calls::{Refusal, request, send, shipped};
use crate::support::gateway::Embedded;

const BAD: i64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn every_item_of_a_stream_is_answered_once_and_a_bad_one_ends_nothing() {
    let gateway = at_noon().await;
    let items = (0..1000_i64).map(|sequence| {
        let mut intent = shipped(&sequence.to_string());
        if sequence == BAD {
            intent.template = "no.such".into();
        }
        StreamNotificationsRequest {
            sequence,
            request: Some(request(&sequence.to_string(), intent)),
        }
    });
    let items: Vec<_> = items.collect();
    let mut names = BTreeSet::new();
    for replayed in [false, true] {
        let mut service = gateway.client.notifications();
        let mut answers = service
            .stream_notifications(stream::iter(items.clone()))
            .await
            .unwrap()
            .into_inner();
        let mut seen = BTreeMap::new();
        while let Some(answer) = answers.message().await.unwrap() {
            assert!(
                seen.insert(answer.sequence, answer.result.unwrap())
                    .is_none(),
                "answered twice"
            );
        }
        assert_eq!(
            seen.keys().copied().collect::<Vec<_>>(),
            (0..1000).collect::<Vec<_>>()
        );
        for (sequence, result) in seen {
            match result {
                Outcome::Accepted(answer) => {
                    assert_eq!(answer.replayed, replayed, "{sequence}");
                    names.insert(answer.notification.unwrap().name);
                }
                Outcome::Error(status) => {
                    assert_eq!(
                        (sequence, Refusal::of_item(&status).reason.as_str()),
                        (BAD, "TEMPLATE_NOT_FOUND")
                    );
                }
            }
        }
    }
    assert_eq!((names.len(), gateway.all().await.len()), (999, 999));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_survives_items_that_say_nothing() {
    let gateway = at_noon().await;
    let good = request("r", shipped("1"));
    let items = [(7, None), (7, Some(good))]
        .map(|(sequence, request)| StreamNotificationsRequest { sequence, request });
    let mut service = gateway.client.notifications();
    let mut answers = service
        .stream_notifications(stream::iter(items))
        .await
        .unwrap()
        .into_inner();
    let mut accepted = 0;
    let mut refused = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answer.sequence, 7, "echoed, not interpreted");
        match answer.result.unwrap() {
            Outcome::Accepted(_) => accepted += 1,
            Outcome::Error(status) => {
                assert_eq!(Refusal::of_item(&status).fields, ["intent"]);
                refused += 1;
            }
        }
    }
    assert_eq!((accepted, refused), (1, 1));
    gateway.stop().await;
}

async fn watch(
    gateway: &Embedded,
    filter: &str,
    resume_token: &str,
) -> Streaming<WatchNotificationsResponse> {
    let request = WatchNotificationsRequest {
        filter: filter.into(),
        resume_token: resume_token.into(),
    };
    gateway
        .client
        .notifications()
        .watch_notifications(request)
        .await
        .unwrap()
        .into_inner()
}

/// The next event, past messages that only bring a token.
async fn next(watch: &mut Streaming<WatchNotificationsResponse>) -> (NotificationEvent, String) {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), watch.message()).await;
        let message = message.expect("no event came").unwrap().unwrap();
        if let Some(event) = message.event {
            return (event, message.resume_token);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_what_its_filter_asks_for_and_nothing_else() {
    let gateway = at_noon().await;
    let filter = "state = SENT AND reference = \"orders/2\"";
    let mut watching = watch(&gateway, filter, "").await;
    assert!(
        watching.message().await.unwrap().unwrap().event.is_none(),
        "it has begun"
    );
    let order = |number: &str| NotificationIntent {
        reference: format!("orders/{number}"),
        ..shipped(number)
    };
    for (id, number) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "2")] {
        send(&gateway.client, id, order(number)).await;
        gateway.settle().await;
    }
    let mut told = BTreeSet::new();
    let mut token = String::new();
    for _ in 0..2 {
        let (event, resume) = next(&mut watching).await;
        let notification = event.notification.unwrap();
        assert_eq!(
            (notification.state(), event.r#type.as_str()),
            (State::Sent, "notification.sent")
        );
        assert_eq!(notification.intent.unwrap().reference, "orders/2");
        if told.insert(notification.name) && token.is_empty() {
            token = resume;
        }
    }
    assert_eq!(
        told.len(),
        2,
        "each once: the others in between were passed over"
    );

    // Goes on after the first of the two.
    let mut again = watch(&gateway, filter, &token).await;
    let (event, _) = next(&mut again).await;
    assert!(told.contains(&event.notification.unwrap().name));
    let last = send(&gateway.client, "e", order("2")).await;
    let (event, _) = next(&mut again).await;
    assert_eq!(
        event.notification.unwrap().name,
        last.name,
        "the second was not told twice"
    );
    drop((watching, again));
    gateway.stop().await;
}

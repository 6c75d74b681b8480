//! A provider with a limit: it is never handed more, upper lanes go first, and what waits for its turn is in nobody's hands.

use std::time::Duration;

use tidings::config::Provider;
use tidings::domain::clock::Stopwatch;
use tidings::proto::CancelNotificationRequest;
use tidings::proto::cancel_notification_request::Target;
use tidings::proto::notification::State;

use crate::post_office::PostOffice;
use crate::shop::*;

async fn limited(rate: &str) -> (PostOffice, crate::gateway::Embedded) {
    let office = PostOffice::start(Duration::ZERO, false).await;
    let provider = Provider {
        rate: Some(rate.parse().unwrap()),
        ..post(office.port)
    };
    let gateway = open(vec![provider]).await;
    (office, gateway)
}

/// 20 a second: four in a slice of 200 ms.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_and_upper_lanes_go_first() {
    const LETTERS: usize = 60;
    let (office, gateway) = limited("20/s").await;
    let client = &gateway.client;
    for number in 0..LETTERS {
        customer(
            client,
            &format!("c{number}"),
            &format!("c{number}@example.com"),
        )
        .await;
    }
    let begun = Stopwatch::start();
    for number in 0..LETTERS {
        send(client, &format!("l{number}"), review(&format!("c{number}"))).await;
    }
    let before = office.mails().len();
    let notice = send(client, "n", shipped("1", guest("ada@example.com"))).await;
    reach(client, &notice, (State::Sent, "HANDED_OVER")).await;
    until("all have gone", || office.mails().len() == LETTERS + 1).await;
    let took = begun.elapsed().as_secs_f64();
    let least = (LETTERS + 1 - 4 - 1) as f64 / 20.0;
    assert!(took >= least, "{took} s for what needs {least}");
    let place = office
        .mails()
        .iter()
        .position(|mail| mail.contains("ada@example.com"));
    let letters_between = place.unwrap() - before;
    assert!(
        letters_between <= LETTERS / 3,
        "{letters_between} letters went before a notice"
    );
    gateway.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_turn_is_in_nobodys_hands() {
    let (office, gateway) = limited("1/h").await;
    let client = &gateway.client;
    let first = send(client, "1", shipped("1", guest("ada@example.com"))).await;
    reach(client, &first, (State::Sent, "HANDED_OVER")).await;
    let second = send(client, "2", shipped("2", guest("bob@example.com"))).await;
    // Long enough for a worker to take it, which waits for a turn then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = reach(client, &second, (State::Processing, "READY")).await;
    assert_eq!(tries(&waiting), []);
    let cancel = CancelNotificationRequest {
        target: Some(Target::Name(second.clone())),
    };
    let mut service = client.notifications();
    service.cancel_notification(cancel).await.unwrap();
    let cancelled = get(client, &second).await;
    assert_eq!(cancelled.state(), State::Cancelled);
    assert_eq!(tries(&cancelled), []);
    assert_eq!(office.mails().len(), 1);
}

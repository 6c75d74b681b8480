//! What follows from a "not now" and from a "never".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json as value;
use tidings::domain::shop::Identity;
use tidings::proto::{self, message, notification};

use crate::http_fake::{HttpFake, Reaction};
use crate::mail_server::MailServer;
use crate::shop::{
    NOON, after, at, get, guest, next_in, open, post, send, shipped, status, texts, tries, twilio,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_refusal_is_tried_again_after_the_first_wait_and_not_before() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    let name = send(
        &gateway.client,
        "r-1",
        shipped("1", guest("flaky@shop.example.com")),
    )
    .await;
    gateway.settle().await;
    let waiting = get(&gateway.client, &name).await;
    assert_eq!(
        status(&waiting),
        (notification::State::Scheduled, "RETRY"),
        "{waiting:?}"
    );
    assert_eq!(tries(&waiting), [(1, "transient".to_owned())]);
    assert!(
        waiting.messages[0].attempts[0]
            .provider_reply
            .starts_with("450 "),
        "{waiting:?}"
    );
    // Five seconds, a fifth more or less.
    let wait = next_in(&waiting, at(NOON));
    assert!((4.0..=6.0).contains(&wait), "{wait}");

    gateway.run_until(after(at(NOON), 3_990)).await;
    assert_eq!(tries(&get(&gateway.client, &name).await).len(), 1);
    assert!(server.kept().is_empty());
    gateway.run_until(after(at(NOON), 6_010)).await;
    let sent = get(&gateway.client, &name).await;
    assert_eq!(status(&sent), (notification::State::Sent, "HANDED_OVER"));
    assert_eq!(
        tries(&sent),
        [(1, "transient".to_owned()), (2, "ok".to_owned())]
    );
    assert_eq!(server.kept().len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_fails_once_and_is_not_written_to_again() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    let dead = || guest("reject+dead@shop.example.com");
    let first = send(&gateway.client, "r-1", shipped("1", dead())).await;
    gateway.settle().await;
    let failed = get(&gateway.client, &first).await;
    assert_eq!(
        status(&failed),
        (notification::State::Failed, "PROVIDER_REJECTED")
    );
    assert_eq!(tries(&failed), [(1, "permanent".to_owned())]);
    assert_eq!(
        failed.messages[0].attempts[0].provider_reply,
        "550 5.1.1 no such user"
    );
    assert!(failed.next_attempt_time.is_none());
    let list = gateway
        .store()
        .suppressions(&Identity::local().shop, 10)
        .await;
    let list = list.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].reason, "hard_bounce");

    let second = send(&gateway.client, "r-2", shipped("2", dead())).await;
    gateway.settle().await;
    let refused = get(&gateway.client, &second).await;
    assert_eq!(
        status(&refused),
        (notification::State::Suppressed, "ADDRESS_SUPPRESSED")
    );
    assert!(refused.messages.is_empty(), "{refused:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_falls_back_to_the_next_channel_once() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let sms = HttpFake::start(twilio).await;
    let gateway = open(vec![post(server.port), texts(&sms.url)]).await;
    let mut recipient = guest("reject+dead@shop.example.com");
    recipient.phone_number = "+4915112345678".into();
    let name = send(&gateway.client, "r-1", shipped("1", recipient)).await;
    gateway.run_until(at("2026-11-26T11:00:00Z")).await;
    let sent = get(&gateway.client, &name).await;
    assert_eq!(status(&sent), (notification::State::Sent, "HANDED_OVER"));
    let told: Vec<_> = sent
        .messages
        .iter()
        .map(|message| (message.channel(), message.state(), message.attempts.len()))
        .collect();
    let expected = [
        (proto::Channel::Email, message::State::Undeliverable, 1),
        (proto::Channel::Sms, message::State::Sent, 1),
    ];
    assert_eq!(told, expected);
    assert_eq!(sms.seen().len(), 1);
    assert_eq!(gateway.all().await.len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_for_time_gets_it() {
    let busy = Arc::new(AtomicBool::new(true));
    let first = busy.clone();
    let sms = HttpFake::start(move |seen| {
        if first.swap(false, Ordering::SeqCst) {
            let headers = vec![("retry-after", "120".to_owned())];
            Reaction::Answer(
                429,
                headers,
                value!({"code": 20429, "message": "slow down"})
                    .to_string()
                    .into_bytes(),
            )
        } else {
            twilio(seen)
        }
    })
    .await;
    let gateway = open(vec![texts(&sms.url)]).await;
    let mut recipient = guest("");
    recipient.phone_number = "+4915112345678".into();
    let name = send(&gateway.client, "r-1", shipped("1", recipient)).await;
    gateway.settle().await;
    let waiting = get(&gateway.client, &name).await;
    assert_eq!(
        status(&waiting),
        (notification::State::Scheduled, "PROVIDER_THROTTLED")
    );
    assert_eq!(tries(&waiting), [(1, "throttled".to_owned())]);
    assert!((next_in(&waiting, at(NOON)) - 120.0).abs() < 0.001);
    gateway.run_until(after(at(NOON), 119_990)).await;
    assert_eq!(sms.seen().len(), 1);
    gateway.run_until(after(at(NOON), 120_010)).await;
    assert_eq!(sms.seen().len(), 2);
    let sent = get(&gateway.client, &name).await;
    assert_eq!(status(&sent), (notification::State::Sent, "HANDED_OVER"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_end_at_the_expiry() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    let mut intent = shipped("1", guest("tempfail@shop.example.com"));
    intent.expire_time = Some(proto::wire_time(after(at(NOON), 60_000)));
    let name = send(&gateway.client, "r-1", intent).await;
    gateway.run_until(after(at(NOON), 24 * 3_600_000)).await;
    let failed = get(&gateway.client, &name).await;
    assert_eq!(
        status(&failed),
        (notification::State::Failed, "RETRIES_EXHAUSTED")
    );
    // At once, after 5 s, after 30 s more; two minutes more would be too late.
    let expected = [1, 2, 3].map(|number| (number, "transient".to_owned()));
    assert_eq!(tries(&failed), expected);
    assert!(failed.next_attempt_time.is_none());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_while_it_waits_is_not_sent_late() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    let mut intent = shipped("1", guest("flaky@shop.example.com"));
    intent.expire_time = Some(proto::wire_time(after(at(NOON), 20_000)));
    let name = send(&gateway.client, "r-1", intent).await;
    gateway.settle().await;
    assert_eq!(
        status(&get(&gateway.client, &name).await),
        (notification::State::Scheduled, "RETRY")
    );
    // As if the process had slept through the time of the retry.
    gateway.clock.advance_to(after(at(NOON), 20_001));
    gateway.settle().await;
    let expired = get(&gateway.client, &name).await;
    assert_eq!(status(&expired), (notification::State::Expired, "EXPIRED"));
    assert_eq!(tries(&expired).len(), 1);
    assert!(server.kept().is_empty());
    gateway.stop().await;
}

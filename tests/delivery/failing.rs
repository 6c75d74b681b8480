//! A provider that fails everybody is left alone, is asked by one message at a time whether it is back, and then gets everything,
//! once. Over real sockets, on a clock that the tests move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json as value;
use tidings::client::Client;
use tidings::config::Provider;
use tidings::domain::clock::Stopwatch;
use tidings::domain::reason::{Reason, Status};
use tidings::proto::{self, InlineRecipient, notification};

use crate::gateway::Embedded;
use crate::http_fake::{HttpFake, Reaction, Seen, json};
use crate::post_office::{Fault, PostOffice};
use crate::shop::{
    NOON, after, at, chats, discord, get, guest, open, post, reach, send, shipped, status, texts,
    twilio, until,
};

const SENT: (notification::State, &str) = (notification::State::Sent, "HANDED_OVER");
/// How many are meant for the provider: more than it takes to open the breaker.
const COUNT: usize = 60;
/// The breaker opens after so many.
const MOST_FAILURES: usize = 20;
/// A pause lasts from 30 to 36 seconds.
const PAUSE_MILLIS: i64 = 30_000;
const LONGEST_PAUSE_MILLIS: i64 = 36_000;

/// A provider that fails, from outside.
struct Failing {
    provider: Provider,
    recipient: fn(usize) -> InlineRecipient,
    /// How often it failed somebody.
    failures: Arc<dyn Fn() -> usize + Send + Sync>,
    /// What it has taken, by message.
    taken: Arc<dyn Fn() -> BTreeMap<String, usize> + Send + Sync>,
    recover: Arc<dyn Fn() + Send + Sync>,
}

fn count(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

async fn failing_post(fault: Fault) -> Failing {
    let office = Arc::new(PostOffice::failing(fault).await);
    let [failed, taken, recovering] = [0; 3].map(|_| office.clone());
    Failing {
        provider: post(office.port),
        recipient: |_| guest("ada@example.com"),
        failures: Arc::new(move || failed.failed()),
        taken: Arc::new(move || count(taken.message_ids())),
        recover: Arc::new(move || recovering.recover()),
    }
}

async fn failing_http(
    failure: Reaction,
    good: fn(&Seen) -> Reaction,
    provider: fn(&str) -> Provider,
    recipient: fn(usize) -> InlineRecipient,
    what: fn(&Seen) -> Option<String>,
) -> Failing {
    let bad = Arc::new(AtomicBool::new(true));
    let failures = Arc::new(AtomicUsize::new(0));
    let (is_bad, counted) = (bad.clone(), failures.clone());
    let good_from = Arc::new(AtomicUsize::new(usize::MAX));
    let fake = Arc::new(
        HttpFake::start(move |seen| {
            if is_bad.load(Ordering::SeqCst) {
                counted.fetch_add(1, Ordering::SeqCst);
                return failure.clone();
            }
            good(seen)
        })
        .await,
    );
    let url = fake.url.clone();
    let (taken, recovering, from) = (fake.clone(), fake, good_from.clone());
    Failing {
        provider: provider(&url),
        recipient,
        failures: Arc::new(move || failures.load(Ordering::SeqCst)),
        taken: Arc::new(move || {
            let seen = taken.seen();
            let good = seen.into_iter().skip(from.load(Ordering::SeqCst));
            count(good.filter_map(|one| what(&one)))
        }),
        recover: Arc::new(move || {
            good_from.store(recovering.seen().len(), Ordering::SeqCst);
            bad.store(false, Ordering::SeqCst);
        }),
    }
}

fn phone(number: usize) -> InlineRecipient {
    InlineRecipient {
        phone_number: format!("+4915112{:06}", 345_000 + number),
        ..InlineRecipient::default()
    }
}

async fn failing_texts(failure: Reaction) -> Failing {
    // Each text holds the number of its order.
    let what = |seen: &Seen| Some(String::from_utf8_lossy(&seen.body).into_owned());
    failing_http(failure, twilio, texts, phone, what).await
}

async fn failing_chats(failure: Reaction) -> Failing {
    let recipient = |number: usize| InlineRecipient {
        discord_user_id: (123_456_789_012_345_000 + number).to_string(),
        ..InlineRecipient::default()
    };
    // Each user has a channel of their own, with limits of its own.
    let good = |seen: &Seen| match seen.json()["recipient_id"].as_str() {
        Some(user) => json(200, &value!({"id": user, "type": 1})),
        None => discord(seen),
    };
    let what = |seen: &Seen| seen.json()["nonce"].as_str().map(str::to_owned);
    failing_http(failure, good, chats, recipient, what).await
}

/// Sends through a channel that works: when that has arrived, what was due elsewhere has had its chance too.
async fn others_go_on(client: &Client, failing: &Failing, number: usize) {
    let by_mail = (failing.recipient)(0).email_address.is_empty();
    let recipient = if by_mail {
        guest("bob@example.com")
    } else {
        phone(999)
    };
    for part in 0..3 {
        let id = format!("other-{number}-{part}");
        let name = send(client, &id, shipped(&id, recipient.clone())).await;
        reach(client, &name, SENT).await;
    }
}

async fn fill(client: &Client, failing: &Failing, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..count {
        let intent = shipped(&format!("NL-{number:04}"), (failing.recipient)(number));
        names.push(send(client, &format!("r-{number}"), intent).await);
    }
    names
}

/// Waits until so many notifications are in each status, real time.
async fn reach_counts(gateway: &Embedded, expected: &[(Reason, usize)]) {
    let begun = Stopwatch::start();
    loop {
        let all = gateway.all().await;
        let counted = |reason: &Reason| {
            let status = Status::from(*reason);
            let found = all.iter().map(|one| one.notification.status);
            found.filter(|one| *one == status).count()
        };
        let told: Vec<_> = expected
            .iter()
            .map(|(reason, _)| (*reason, counted(reason)))
            .collect();
        if told == expected {
            return;
        }
        assert!(begun.elapsed().as_secs() < 20, "{told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Moves the clock on, in steps, until all is sent.
async fn drain(gateway: &Embedded, names: &[String]) {
    for name in names {
        let mut patience = 20_000;
        while status(&get(&gateway.client, name).await) != SENT {
            gateway
                .clock
                .advance_to(after(gateway.clock.now_at(), 5_000));
            tokio::time::sleep(Duration::from_millis(2)).await;
            patience -= 1;
            assert!(patience > 0, "{:?}", get(&gateway.client, name).await);
        }
    }
}

/// The whole life of a breaker.
async fn is_left_alone_and_then_gets_everything_once(failing: Failing) {
    let gateway = open(vec![failing.provider.clone()]).await;
    let client = &gateway.client;
    let names = fill(client, &failing, COUNT).await;
    let failures = || (failing.failures)();
    until("the failures that open it", || failures() == MOST_FAILURES).await;
    others_go_on(client, &failing, 0).await;
    assert_eq!(failures(), MOST_FAILURES);
    // The one that opened it says so; the others had failed before, or were never tried.
    reach_counts(
        &gateway,
        &[
            (Reason::ProviderCircuitOpen, 1),
            (Reason::Retry, MOST_FAILURES - 1),
            (Reason::Ready, COUNT - MOST_FAILURES),
        ],
    )
    .await;

    let mut opened = at(NOON);
    for probes in 1..=3 {
        gateway.clock.advance_to(after(opened, PAUSE_MILLIS - 10));
        others_go_on(client, &failing, probes * 2).await;
        assert_eq!(failures(), MOST_FAILURES + probes - 1, "too early");
        gateway
            .clock
            .advance_to(after(opened, LONGEST_PAUSE_MILLIS + 10));
        opened = gateway.clock.now_at();
        until("the probe", || failures() == MOST_FAILURES + probes).await;
        others_go_on(client, &failing, probes * 2 + 1).await;
        assert_eq!(failures(), MOST_FAILURES + probes, "one probe a pause");
    }

    (failing.recover)();
    drain(&gateway, &names).await;
    let taken = (failing.taken)();
    assert_eq!(taken.len(), COUNT);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    assert_eq!(failures(), MOST_FAILURES + 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_does_not_greet() {
    let failing = failing_post(Fault::Greeting("421 4.3.2 not now")).await;
    is_left_alone_and_then_gets_everything_once(failing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_defers_every_recipient() {
    let failing = failing_post(Fault::Recipient("451 4.3.0 try again later")).await;
    is_left_alone_and_then_gets_everything_once(failing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_cannot_keep_a_mail() {
    let failing = failing_post(Fault::Dot("452 4.3.1 insufficient system storage")).await;
    is_left_alone_and_then_gets_everything_once(failing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_hangs_up() {
    is_left_alone_and_then_gets_everything_once(failing_post(Fault::HangUp).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_service_that_answers_503() {
    let failing = failing_texts(json(503, &value!({}))).await;
    is_left_alone_and_then_gets_everything_once(failing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_service_that_refuses_our_credential() {
    let refusal = json(401, &value!({"code": 20003, "message": "Authenticate"}));
    is_left_alone_and_then_gets_everything_once(failing_texts(refusal).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_service_that_answers_502() {
    let html = Reaction::Answer(502, vec![], b"<html>bad gateway</html>".to_vec());
    is_left_alone_and_then_gets_everything_once(failing_chats(html).await).await;
}

/// A trial of the row F13, each number another one in turn; how many were meant for the provider.
pub(crate) async fn trial(number: u64) -> u64 {
    let failing = match number % 9 {
        0 => failing_post(Fault::Greeting("421 4.3.2 not now")).await,
        1 => failing_texts(json(503, &value!({}))).await,
        2 => failing_post(Fault::Recipient("451 4.3.0 try again later")).await,
        3 => failing_chats(json(502, &value!({}))).await,
        4 => failing_post(Fault::HangUp).await,
        asked => {
            let (asked, seconds) = [
                ("3600", 3_600),
                ("-1", 1),
                ("abc", 5),
                ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
            ][usize::try_from(asked - 5).unwrap()];
            waits_as_a_whole(failing_texts(too_many(asked)).await, seconds).await;
            return 10;
        }
    };
    is_left_alone_and_then_gets_everything_once(failing).await;
    u64::try_from(COUNT).unwrap()
}

fn too_many(retry_after: &'static str) -> Reaction {
    let body = value!({"code": 20429, "message": "slow down"}).to_string();
    let headers = vec![("retry-after", retry_after.to_owned())];
    Reaction::Answer(429, headers, body.into_bytes())
}

/// All that is meant for the provider waits as it asks, not only the message that it told.
async fn waits_as_a_whole(failing: Failing, seconds: i64) {
    let gateway = open(vec![failing.provider.clone()]).await;
    let client = &gateway.client;
    let names = fill(client, &failing, 10).await;
    let failures = || (failing.failures)();
    until("the first answer", || failures() == 1).await;
    others_go_on(client, &failing, 0).await;
    assert_eq!(failures(), 1);
    gateway
        .clock
        .advance_to(after(at(NOON), seconds * 1_000 - 10));
    others_go_on(client, &failing, 1).await;
    assert_eq!(failures(), 1, "too early");
    gateway
        .clock
        .advance_to(after(at(NOON), seconds * 1_000 + 10));
    until("the second", || failures() == 2).await;
    others_go_on(client, &failing, 2).await;
    assert_eq!(failures(), 2, "one at a time");
    (failing.recover)();
    drain(&gateway, &names).await;
    let taken = (failing.taken)();
    assert_eq!(taken.len(), 10);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_service_may_ask_for_an_hour_at_most() {
    for asked in ["3600", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        waits_as_a_whole(failing_texts(too_many(asked)).await, 3_600).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_service_that_asks_for_nonsense_gets_a_little_time() {
    waits_as_a_whole(failing_texts(too_many("-1")).await, 1).await;
    waits_as_a_whole(failing_texts(too_many("abc")).await, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_service_may_ask_everybody_to_wait() {
    let body = value!({"message": "slow down", "retry_after": 65.0, "global": true});
    waits_as_a_whole(failing_chats(json(429, &body)).await, 65).await;
}

/// A second each time, without an end: that is no provider to lean on.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_without_an_end_opens_the_breaker() {
    let failing = failing_texts(too_many("-1")).await;
    let gateway = open(vec![failing.provider.clone()]).await;
    fill(&gateway.client, &failing, 30).await;
    let failures = || (failing.failures)();
    for second in 0..=5 {
        gateway.clock.advance_to(after(at(NOON), second * 1_001));
        let expected = usize::try_from(second).unwrap() + 1;
        until("one a second", || failures() == expected).await;
        others_go_on(&gateway.client, &failing, expected).await;
        assert_eq!(failures(), expected);
    }
    let opened = gateway.clock.now_at();
    gateway.clock.advance_to(after(opened, PAUSE_MILLIS - 10));
    others_go_on(&gateway.client, &failing, 0).await;
    assert_eq!(failures(), 6);
    gateway
        .clock
        .advance_to(after(opened, LONGEST_PAUSE_MILLIS + 10));
    until("the probe", || failures() == 7).await;
    gateway.stop().await;
}

/// What is about one address stops nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_dead_addresses_open_nothing() {
    let failing = failing_texts(json(
        400,
        &value!({"code": 21211, "message": "invalid number"}),
    ))
    .await;
    let gateway = open(vec![failing.provider.clone()]).await;
    let client = &gateway.client;
    let mut names = Vec::new();
    for number in 0..100 {
        let id = format!("d-{number}");
        names.push(send(client, &id, shipped(&id, phone(number))).await);
    }
    for name in &names {
        let failed = (notification::State::Failed, "PROVIDER_REJECTED");
        reach(client, name, failed).await;
    }
    (failing.recover)();
    let good = send(client, "good", shipped("good", phone(500))).await;
    reach(client, &good, SENT).await;
    gateway.stop().await;
}

/// Nothing is silent: what never got through the gate ends when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_an_open_breaker_expires_on_time() {
    let failing = failing_post(Fault::HangUp).await;
    let gateway = open(vec![failing.provider.clone()]).await;
    let client = &gateway.client;
    let mut names = Vec::new();
    for number in 0..COUNT {
        let mut intent = shipped(&number.to_string(), (failing.recipient)(number));
        intent.expire_time = Some(proto::wire_time(after(at(NOON), 20_000)));
        names.push(send(client, &format!("r-{number}"), intent).await);
    }
    until("the failures that open it", || {
        (failing.failures)() == MOST_FAILURES
    })
    .await;
    gateway.clock.advance_to(after(at(NOON), 20_001));
    for name in &names {
        reach(client, name, (notification::State::Expired, "EXPIRED")).await;
    }
    assert_eq!((failing.failures)(), MOST_FAILURES);
    gateway.stop().await;
}

/// An open breaker keeps no process from ending.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_ends_at_once_while_it_waits_for_a_provider() {
    let failing = failing_texts(json(503, &value!({}))).await;
    let gateway = open(vec![failing.provider.clone()]).await;
    fill(&gateway.client, &failing, COUNT).await;
    until("the failures that open it", || {
        (failing.failures)() == MOST_FAILURES
    })
    .await;
    let begun = Stopwatch::start();
    gateway.stop().await;
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

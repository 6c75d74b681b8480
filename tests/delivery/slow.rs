//! A provider that takes for ever costs its own messages their deadlines, and nobody else anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tidings::config::{Provider, ProviderKind};
use tidings::domain::clock::Stopwatch;
use tidings::proto::{InlineRecipient, notification};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::gateway::Embedded;
use crate::http_fake::HttpFake;
use crate::post_office::{Fault, PostOffice};
use crate::shop::{
    chats, get, guest, open, post, reach, send, shipped, texts, tries, twilio, until,
};

const SENT: (notification::State, &str) = (notification::State::Sent, "HANDED_OVER");
/// Of every step of a hand-over, in these tests.
const DEADLINE: Duration = Duration::from_millis(1_500);
const TEXTS: usize = 100;
/// That hang meanwhile, or wait behind those.
const MAILS: usize = 200;
/// To a mail server at once, by default.
const CONNECTIONS: usize = 8;

fn phone() -> InlineRecipient {
    InlineRecipient {
        phone_number: "+4915112345678".into(),
        ..InlineRecipient::default()
    }
}

/// The same provider with short deadlines.
fn impatient(mut provider: Provider) -> Provider {
    let millis = u64::try_from(DEADLINE.as_millis()).unwrap();
    match &mut provider.kind {
        ProviderKind::Smtp(smtp) => {
            (smtp.connect_ms, smtp.command_ms, smtp.final_dot_ms) = (millis, millis, millis);
        }
        ProviderKind::Twilio(twilio) => twilio.timeout_ms = millis,
        ProviderKind::Discord(discord) => discord.timeout_ms = millis,
        ProviderKind::Outbox(_) => {}
    }
    provider
}

/// From the call to the provider's yes, for each of many texts; the median and the 99th percentile.
async fn texts_take(gateway: &Embedded, round: &str) -> (Duration, Duration) {
    let mut took = Vec::new();
    for number in 0..TEXTS {
        let id = format!("{round}-{number}");
        let begun = Stopwatch::start();
        let name = send(&gateway.client, &id, shipped(&id, phone())).await;
        while get(&gateway.client, &name).await.state() != notification::State::Sent {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(begun.elapsed());
    }
    took.sort();
    (took[TEXTS / 2], took[TEXTS * 99 / 100])
}

/// A trial of the row F12, each number another one in turn; how many intents there were.
pub(crate) async fn trial(number: u64) -> u64 {
    match number % 4 {
        0 => mail_hangs_and_texts_go_on().await,
        1 => mail_drips().await,
        2 => texts_drip().await,
        _ => chats_drip().await,
    }
    if number.is_multiple_of(4) {
        u64::try_from(2 * TEXTS + MAILS + 1).unwrap()
    } else {
        2
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_hangs_slows_no_text() {
    mail_hangs_and_texts_go_on().await;
}

async fn mail_hangs_and_texts_go_on() {
    let server = PostOffice::start(Duration::ZERO, false).await;
    let sms = HttpFake::start(twilio).await;
    let gateway = open(vec![post(server.port), texts(&sms.url)]).await;
    let first = send(
        &gateway.client,
        "first",
        shipped("first", guest("ada@example.com")),
    )
    .await;
    reach(&gateway.client, &first, SENT).await;
    let idle = texts_take(&gateway, "idle").await;
    // From now on every mail hangs at its final dot.
    server.fail(Fault::Hang);
    for number in 0..MAILS {
        let id = format!("mail-{number}");
        send(&gateway.client, &id, shipped(&id, guest("ada@example.com"))).await;
    }
    until("as many that hang as may", || {
        server.failed() == CONNECTIONS
    })
    .await;
    let beside = texts_take(&gateway, "beside").await;
    assert_eq!(sms.seen().len(), 2 * TEXTS);
    // The mails still hang: all these texts went past them.
    assert_eq!(server.mails().len(), 1);
    assert_eq!(server.failed(), CONNECTIONS);
    println!("median and p99 of a text: {idle:?} idle, {beside:?} beside a mail server that hangs");
    // A small factor; of the median, as others use the machine too.
    assert!(
        beside.0 < idle.0 * 3 + Duration::from_millis(100),
        "{idle:?}, {beside:?}"
    );
}

/// What a dripping server has seen.
#[derive(Default)]
struct Dripped {
    callers: AtomicUsize,
    /// Said to the first of them before it hung up: one a second, so they tell the time, however busy the machine is.
    bytes: AtomicUsize,
    hung_up: AtomicBool,
}

/// Says its line a byte a second, to everybody; one of HTTP listens first.
async fn dripping(line: &'static [u8]) -> (u16, Arc<Dripped>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dripped = Arc::new(Dripped::default());
    let shared = dripped.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let first = shared.callers.fetch_add(1, Ordering::SeqCst) == 0;
            let shared = shared.clone();
            tokio::spawn(async move {
                if line.starts_with(b"HTTP") {
                    let _ = socket.read(&mut [0; 4_096]).await;
                }
                for byte in line {
                    if socket.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    if first {
                        shared.bytes.fetch_add(1, Ordering::SeqCst);
                    }
                    let mut more = [0; 64];
                    let hung_up =
                        async { while socket.read(&mut more).await.is_ok_and(|n| n > 0) {} };
                    let second = Duration::from_secs(1);
                    if tokio::time::timeout(second, hung_up).await.is_ok() {
                        break;
                    }
                }
                if first {
                    shared.hung_up.store(true, Ordering::SeqCst);
                }
            });
        }
    });
    (port, dripped)
}

async fn is_given_up_in_time(
    (provider, dripped): (Provider, Arc<Dripped>),
    recipient: InlineRecipient,
    result: &str,
) {
    let gateway = open(vec![impatient(provider)]).await;
    let intent = |number: &str| shipped(number, recipient.clone());
    let name = send(&gateway.client, "r-1", intent("1")).await;
    let given_up = loop {
        match tries(&get(&gateway.client, &name).await).first() {
            Some((1, told)) if !told.is_empty() => break told.clone(),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(given_up, result);
    let hung_up = || dripped.hung_up.load(Ordering::SeqCst);
    until("the end of the call", hung_up).await;
    let seconds = dripped.bytes.load(Ordering::SeqCst);
    // A deadline of one and a half, and no more than one beyond it.
    assert!((2..=3).contains(&seconds), "{seconds}");
    // The worker is free for the next.
    send(&gateway.client, "r-2", intent("2")).await;
    until("the next", || dripped.callers.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_drips_is_given_up_in_time() {
    mail_drips().await;
}

async fn mail_drips() {
    let (port, dripped) =
        dripping(b"220 a mail server that has all the time of the world\r\n").await;
    is_given_up_in_time((post(port), dripped), guest("ada@example.com"), "transient").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_service_that_drips_is_given_up_in_time() {
    texts_drip().await;
}

async fn texts_drip() {
    let (port, dripped) = dripping(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}").await;
    let provider = texts(&format!("http://127.0.0.1:{port}"));
    // The request went out whole, so nobody knows.
    is_given_up_in_time((provider, dripped), phone(), "unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_service_that_drips_is_given_up_in_time() {
    chats_drip().await;
}

async fn chats_drip() {
    let (port, dripped) = dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let provider = chats(&format!("http://127.0.0.1:{port}"));
    let recipient = InlineRecipient {
        discord_user_id: "123456789012345678".into(),
        ..InlineRecipient::default()
    };
    // Only the channel was to be opened.
    is_given_up_in_time((provider, dripped), recipient, "transient").await;
}

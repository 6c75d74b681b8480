//! A provider that takes for ever costs its own messages their deadlines, and nobody else anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
/// What a worker may take beyond its deadline.
const GRACE: Duration = Duration::from_secs(1);
const TEXTS: usize = 100;
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

/// From the call to the provider's yes, for each of many texts; the 99th percentile.
async fn p99_of_texts(gateway: &Embedded, round: &str) -> Duration {
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
    took[TEXTS * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_hangs_slows_no_text() {
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
    let idle = p99_of_texts(&gateway, "idle").await;
    // From now on every mail hangs at its final dot.
    server.fail(Fault::Hang);
    for number in 0..200 {
        let id = format!("mail-{number}");
        send(&gateway.client, &id, shipped(&id, guest("ada@example.com"))).await;
    }
    until("as many that hang as may", || {
        server.failed() == CONNECTIONS
    })
    .await;
    let beside = p99_of_texts(&gateway, "beside").await;
    assert_eq!(sms.seen().len(), 2 * TEXTS);
    // The mails still hang: all these texts went past them.
    assert_eq!(server.mails().len(), 1);
    assert_eq!(server.failed(), CONNECTIONS);
    println!("p99 of a text: {idle:?} idle, {beside:?} beside a mail server that hangs");
    // A small factor, on a machine that others use too.
    assert!(
        beside < idle * 3 + Duration::from_millis(200),
        "{idle:?}, {beside:?}"
    );
}

/// Says its line a byte a second, to everybody; one of HTTP listens first.
async fn dripping(line: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let callers = Arc::new(AtomicUsize::new(0));
    let counted = callers.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                if line.starts_with(b"HTTP") {
                    let _ = socket.read(&mut [0; 4_096]).await;
                }
                for byte in line {
                    if socket.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
    });
    (port, callers)
}

async fn is_given_up_in_time(
    (provider, callers): (Provider, Arc<AtomicUsize>),
    recipient: InlineRecipient,
    result: &str,
) {
    let gateway = open(vec![impatient(provider)]).await;
    let begun = Stopwatch::start();
    let intent = |number: &str| shipped(number, recipient.clone());
    let name = send(&gateway.client, "r-1", intent("1")).await;
    let given_up = loop {
        match tries(&get(&gateway.client, &name).await).first() {
            Some((1, told)) if !told.is_empty() => break told.clone(),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let took = begun.elapsed();
    assert_eq!(given_up, result);
    assert!(took >= DEADLINE, "{took:?}: not by its deadline");
    assert!(took <= DEADLINE + GRACE, "{took:?}");
    // The worker is free for the next.
    send(&gateway.client, "r-2", intent("2")).await;
    until("the next", || callers.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_drips_is_given_up_in_time() {
    let (port, callers) =
        dripping(b"220 a mail server that has all the time of the world\r\n").await;
    is_given_up_in_time((post(port), callers), guest("ada@example.com"), "transient").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_service_that_drips_is_given_up_in_time() {
    let (port, callers) = dripping(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}").await;
    let provider = texts(&format!("http://127.0.0.1:{port}"));
    // The request went out whole, so nobody knows.
    is_given_up_in_time((provider, callers), phone(), "unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_service_that_drips_is_given_up_in_time() {
    let (port, callers) = dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let provider = chats(&format!("http://127.0.0.1:{port}"));
    let recipient = InlineRecipient {
        discord_user_id: "123456789012345678".into(),
        ..InlineRecipient::default()
    };
    // Only the channel was to be opened.
    is_given_up_in_time((provider, callers), recipient, "transient").await;
}

//! The outbox and its reader, on real files.

use std::sync::Arc;

use tidings::domain::channel::Channel;
use tidings::domain::clock::{Clock, ManualClock, SystemClock};
use tidings::domain::content::Content;
use tidings::domain::id::Ids;
use tidings::provider::Provider as _;
use tidings::provider::outbox::{Captures, Outbox, OutboxOptions};
use tidings::provider::smtp::source;

use crate::outgoing::{mail_of_bytes, sms, word};

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap()))
}

#[tokio::test]
async fn a_captured_mail_is_read_back_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let options = OutboxOptions {
        source: Some(Arc::new(|outgoing| {
            source(
                outgoing,
                "shop.example",
                "2026-11-22T12:00:00Z".parse().unwrap(),
            )
        })),
        ..OutboxOptions::default()
    };
    let outbox = Outbox::open(folder.path().into(), Channel::Email, options, clock()).unwrap();
    assert!(outbox.check().await.is_ok());
    let outgoing = mail_of_bytes("ada@customer.example", 10);
    assert_eq!(word(&outbox.send(&outgoing).await), "accepted");
    assert_eq!(word(&outbox.send(&outgoing).await), "accepted");
    let captures = Captures::new(folder.path().into());
    let list = captures.list(None, 10).await;
    assert_eq!(list.len(), 1, "the same message replaces its capture");
    assert_eq!(list[0].title, "Your order 4711 is on its way");
    assert_eq!(list[0].attachments, 1);
    assert_eq!(list[0].notification, outgoing.notification);
    assert!(captures.list(Some(Channel::Sms), 10).await.is_empty());
    let capture = captures.get(outgoing.message).await.unwrap();
    assert_eq!(capture.content, outgoing.content);
    assert_eq!(capture.address, "ada@customer.example");
    assert_eq!(capture.attachments[0].attachment, outgoing.attachments[0]);
    assert_eq!(capture.attachments[0].size_bytes, 10);
    assert!(capture.source.contains("Subject: Your order 4711"));
    let mut other = outgoing.clone();
    assert_eq!(outbox.fingerprint(&outgoing), outbox.fingerprint(&other));
    other.attachments.clear();
    assert_ne!(outbox.fingerprint(&outgoing), outbox.fingerprint(&other));
}

#[tokio::test]
async fn only_the_newest_are_kept_over_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |keep| OutboxOptions {
        keep,
        ..OutboxOptions::default()
    };
    let ids = Ids::new();
    let outbox = Outbox::open(folder.path().into(), Channel::Sms, keep(5), clock()).unwrap();
    let mut sent = Vec::new();
    for number in 0..12 {
        let mut outgoing = sms();
        outgoing.message = ids.message(SystemClock.now());
        outgoing.content = Content::Sms {
            text: format!("number {number}"),
        };
        assert_eq!(word(&outbox.send(&outgoing).await), "accepted");
        sent.push(outgoing.message);
    }
    std::fs::write(folder.path().join("sms/notes.json"), "not ours").unwrap();
    let captures = Captures::new(folder.path().into());
    let titles: Vec<String> = captures
        .list(None, 3)
        .await
        .into_iter()
        .map(|summary| summary.title)
        .collect();
    assert_eq!(titles, ["number 11", "number 10", "number 9"]);
    assert_eq!(captures.list(None, 100).await.len(), 5);
    assert!(captures.get(sent[0]).await.is_none());
    drop(outbox);
    Outbox::open(folder.path().into(), Channel::Sms, keep(2), clock()).unwrap();
    assert_eq!(captures.list(None, 100).await.len(), 2);
    assert!(folder.path().join("sms/notes.json").exists());
}

#[tokio::test]
async fn chosen_failures_hit_first_tries_of_a_share_and_then_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = OutboxOptions {
        fail_percent: 20,
        ..OutboxOptions::default()
    };
    let outbox = Outbox::open(folder.path().into(), Channel::Sms, options, clock()).unwrap();
    let mut failed = 0;
    for _ in 0..500 {
        let outgoing = sms();
        let mut tries = 1;
        while word(&outbox.send(&outgoing).await) == "retry" {
            tries += 1;
        }
        assert!(tries <= 3);
        failed += usize::from(tries > 1);
    }
    assert!((50..150).contains(&failed), "{failed} of 500");
}

/// The console asks for the list at every change: what has been read stays read, what has changed does not.
#[tokio::test]
async fn a_list_reads_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let options = OutboxOptions::default();
    let outbox = Outbox::open(folder.path().into(), Channel::Email, options, clock()).unwrap();
    let (mut first, second) = (
        mail_of_bytes("ada@customer.example", 10),
        mail_of_bytes("ben@customer.example", 10),
    );
    outbox.send(&first).await;
    outbox.send(&second).await;
    let captures = Captures::new(folder.path().into());
    let before = captures.list(None, 10).await;
    assert_eq!(before.len(), 2);

    // Of the same length and time, so that only somebody who reads it would find it spoilt.
    let path = folder.path().join(format!("email/{}.json", second.message));
    let metadata = std::fs::metadata(&path).unwrap();
    std::fs::write(&path, "x".repeat(usize::try_from(metadata.len()).unwrap())).unwrap();
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(metadata.modified().unwrap()).unwrap();
    assert_eq!(captures.list(None, 10).await, before);
    assert_eq!(
        Captures::new(folder.path().into())
            .list(None, 10)
            .await
            .len(),
        1
    );

    first.template = "order.shipped".to_owned();
    outbox.send(&first).await;
    let after = captures.list(None, 10).await;
    let again = after.iter().find(|it| it.message == first.message).unwrap();
    assert_eq!(again.template, "order.shipped");

    std::fs::remove_file(&path).unwrap();
    assert_eq!(captures.list(None, 10).await.len(), 1);
}

//! What replicas have in common: a customer's budget, the broker's window, the templates; and what each was told to do.

use std::time::Duration;

use serde_json::json;
use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::proto::{InlineRecipient, notification_intent};
use tokio::task::JoinSet;

use crate::bulk;
use crate::shop;
use crate::site::{self, Site};
use crate::wishes::Wishes;

/// The longest that everything may take to come about.
const PATIENCE: Duration = Duration::from_secs(120);
const OPEN: &str = "SELECT count(*) FROM message WHERE state IN ('queued', 'sending')";

async fn still() -> Option<Site> {
    Site::open_with(Wishes::quiet(Duration::ZERO)).await
}

async fn received(site: &Site, count: usize) {
    let waited = Stopwatch::start();
    while site.entries().len() < count {
        assert!(
            waited.elapsed() < PATIENCE,
            "{} of {count} were received",
            site.entries().len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_exact_over_three_replicas() {
    const CAP: u64 = 7;
    let Some(mut site) = still().await else {
        return;
    };
    bulk::write_template(&site);
    let policy = site.folder().join("templates/policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let capped = text
        .replace(
            "window = \"1d\"\nmax = 1",
            &format!("window = \"1d\"\nmax = {CAP}"),
        )
        .replace("window = \"7d\"\nmax = 3", "window = \"7d\"\nmax = 90");
    assert_ne!(capped, text);
    std::fs::write(&policy, capped).unwrap();
    let mut clients = Vec::new();
    for place in 0..3 {
        site.start(&[]).await;
        clients.push(Client::connect(&site.grpc(place)).await.unwrap());
    }
    bulk::know(&clients[0], 1..=1).await;
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let client = clients[number % 3].clone();
        let mut letter = bulk::letter(1);
        letter.request_id = format!("letter-{number}");
        calls.spawn(async move { bulk::send(&client, letter).await });
    }
    calls.join_all().await;
    received(&site, usize::try_from(CAP).unwrap()).await;
    site.until_count(OPEN, 0).await;
    let waiting = "SELECT count(*) FROM notification WHERE state = 'SCHEDULED' AND reason = 'BUDGET_EXCEEDED'";
    assert_eq!(site.count(waiting), 100 - CAP);
    assert_eq!(site.entries().len() as u64, CAP);
}

/// Whatever was queued and is not on the broker any more is found after a minute; what a broker lost altogether need not wait for that.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_wiped_broker_had_is_published_again_at_once() {
    const NOTICES: u64 = 50;
    let Some(mut site) = still().await else {
        return;
    };
    site.start(&["--role", "ingest,scheduler"]).await;
    let client = Client::connect(&site.grpc(0)).await.unwrap();
    for order in 1..=NOTICES {
        bulk::send(&client, bulk::notice(order)).await;
    }
    let published = "SELECT count(*) FROM message WHERE published_at IS NOT NULL";
    site.until_count(published, NOTICES).await;
    site.broker_mut().wipe();
    site.broker_mut().start_again();
    site.start(&["--role", "worker"]).await;
    received(&site, usize::try_from(NOTICES).unwrap()).await;
    let (_, metrics) = site::get(&site.console(0), "/metrics").await;
    assert!(metrics.contains("tidings_broker_reconnects_total"));
    let late = metrics
        .lines()
        .find(|line| line.starts_with("tidings_published_again_total"));
    assert_eq!(late, None, "it was found only after a minute");
}

/// The queues of the broker that somebody takes from.
fn consumed(site: &Site) -> Vec<String> {
    let listed = site.broker().control(&[
        "-q",
        "list_queues",
        "--no-table-headers",
        "name",
        "consumers",
    ]);
    let mut consumed: Vec<String> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(_, consumers)| *consumers != "0")
        .map(|(name, _)| name.to_owned())
        .collect();
    consumed.sort();
    consumed
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_say_what_a_process_does_and_bundles_come_from_the_store() {
    let Some(mut site) = still().await else {
        return;
    };
    // Those who take intents have a template more than those who fill.
    let (base, more) = (
        site.folder().join("templates"),
        site.folder().join("templates-more"),
    );
    shop::copy(&base, &more);
    let orders = more.join("messages/order");
    shop::copy(&orders.join("shipped"), &orders.join("returned"));
    site.set("CATALOG__TEMPLATES", more.to_str().unwrap());
    site.start(&["--role", "ingest"]).await;
    site.start(&["--role", "scheduler"]).await;
    site.set("CATALOG__TEMPLATES", base.to_str().unwrap());
    site.start(&[
        "--role",
        "worker",
        "--channel",
        "email,sms",
        "--lane",
        "transactional",
    ])
    .await;
    let waited = Stopwatch::start();
    loop {
        let found = consumed(&site);
        if found == ["tidings.email.transactional", "tidings.sms.transactional"] {
            break;
        }
        assert!(found.len() < 2 && waited.elapsed() < PATIENCE, "{found:?}");
    }
    // Only who takes intents answers callers, and none of them has pages.
    assert!(Client::connect(&site.grpc(0)).await.is_ok());
    for place in 0..3 {
        let (status, _) = site::get(&site.console(place), "/").await;
        assert_eq!(status, 404);
    }
    let client = Client::connect(&site.grpc(0)).await.unwrap();
    let guest = InlineRecipient {
        email_address: "o1@example.com".into(),
        ..InlineRecipient::default()
    };
    let recipient = notification_intent::Recipient::InlineRecipient(guest);
    let variables = json!({"order": {"number": "1"}});
    let returned = bulk::request(1, "order.returned", recipient, &variables);
    bulk::send(&client, returned).await;
    received(&site, 1).await;
    site.until_count(OPEN, 0).await;
}

//! A bug costs the message that meets it, and nothing else: the real store, queue and flows around a provider with bugs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use tidings::catalog::{Catalog, Source};
use tidings::domain::caller::Caller;
use tidings::domain::channel::Channel;
use tidings::domain::clock::{Clock, ManualClock};
use tidings::domain::content::Outgoing;
use tidings::domain::draft::{ContactDraft, Draft, Recipient};
use tidings::domain::id::{Ids, MessageId, NotificationId};
use tidings::domain::intent::Variables;
use tidings::domain::notification::{AttemptResult, Record};
use tidings::domain::pulse::Pulse;
use tidings::domain::reason::{Reason, State, Status};
use tidings::domain::shop::Identity;
use tidings::gate::Gates;
use tidings::intake::Intake;
use tidings::planner::Planner;
use tidings::provider::{Handover, Provider};
use tidings::queue::Queue as _;
use tidings::queue::memory::MemoryQueue;
use tidings::relay::Relay;
use tidings::store::sqlite::SqliteStore;
use tidings::store::{Ledger as _, Lookup as _, Plans, Store};
use tidings::worker::{MOST_TRIES_WITH_PANIC, Worker, pools};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::shop::NOON;

/// Panics for mails to `bug…@`, so many times in all.
#[derive(Default)]
struct Buggy {
    in_send: AtomicUsize,
    in_fingerprint: AtomicUsize,
    sent: Mutex<Vec<MessageId>>,
}

impl Buggy {
    fn trip(left: &AtomicUsize, outgoing: &Outgoing) {
        if outgoing.address.reveal().starts_with("bug") {
            let spend = |left: usize| left.checked_sub(1);
            let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
            assert!(spent.is_err(), "a bug");
        }
    }
}

#[async_trait]
impl Provider for Buggy {
    fn name(&self) -> &str {
        "buggy"
    }

    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn reports_delivery(&self) -> bool {
        false
    }

    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8> {
        Self::trip(&self.in_fingerprint, outgoing);
        Vec::new()
    }

    async fn send(&self, outgoing: &Outgoing) -> Handover {
        Self::trip(&self.in_send, outgoing);
        self.sent.lock().unwrap().push(outgoing.message);
        Handover::Accepted {
            provider_message_id: String::new(),
            reply: "250 kept".into(),
        }
    }

    async fn check(&self) -> Result<String, String> {
        Ok(String::new())
    }
}

/// One worker for all mail of a lane: what it does after a panic is seen.
struct Shop {
    intake: Intake,
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    provider: Arc<Buggy>,
    queue: Arc<MemoryQueue>,
    gates: Arc<Gates>,
    workers: JoinSet<()>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open(provider: Buggy) -> Self {
        Self::open_with(provider, Pulse::alone()).await
    }

    async fn open_with(provider: Buggy, pulse: Pulse) -> Self {
        let folder = crate::gateway::folder();
        let clock = Arc::new(ManualClock::new(NOON.parse().unwrap()));
        let store = SqliteStore::open(folder.path(), clock.now()).await.unwrap();
        let store = Arc::new(store);
        let shared: Arc<dyn Store> = store.clone();
        let time: Arc<dyn Clock> = clock.clone();
        let catalog = Arc::new(Catalog::open(Source::Embedded).unwrap());
        let ids = Arc::new(Ids::new());
        let plans: Arc<dyn Plans> = Arc::new(Planner::new(catalog.clone(), ids.clone()));
        let queue = Arc::new(MemoryQueue::new(1_000));
        let gates = Arc::new(Gates::new([(Channel::Email, "buggy")], &time));
        let provider = Arc::new(provider);
        let serving: Arc<dyn Provider> = provider.clone();
        let worker = Arc::new(Worker {
            store: shared.clone(),
            catalog: catalog.clone(),
            providers: BTreeMap::from([(Channel::Email, serving)]),
            gates: gates.clone(),
            clock: time.clone(),
            ids: ids.clone(),
            pulse: Arc::new(pulse),
        });
        let stop = CancellationToken::new();
        let relay = Relay::new(
            shared.clone(),
            queue.clone(),
            gates.clone(),
            time.clone(),
            1_000,
        );
        tokio::spawn(relay.run(stop.clone()));
        Self {
            intake: Intake::new(shared, catalog, plans, time, ids),
            workers: pools(&worker, queue.as_ref(), &|_, _| 1).await,
            store,
            clock,
            provider,
            queue,
            gates,
            stop,
            _folder: folder,
        }
    }

    async fn send(&self, email: &str) -> NotificationId {
        let order = serde_json::json!({"order": {"number": "4711"}});
        let contact = ContactDraft {
            email_address: email.into(),
            ..ContactDraft::default()
        };
        let draft = Draft {
            request_id: email.into(),
            recipient: Recipient::Inline(contact),
            template: "order.shipped".into(),
            template_version: String::new(),
            variables: Variables(order.as_object().unwrap().clone()),
            locale: String::new(),
            routing: None,
            send_time: None,
            expire_time: None,
            event_time: None,
            collapse_key: String::new(),
            cancellation_key: String::new(),
            reference: String::new(),
            labels: BTreeMap::new(),
            attachments: Vec::new(),
            once_key: String::new(),
            contact: None,
            payload_hash: [0; 32],
        };
        let mut answers = self
            .intake
            .accept(&Caller::local(), vec![draft], false)
            .await;
        answers.pop().unwrap().unwrap().notification.id
    }

    /// Waits for a status after so many tries.
    async fn reach(&self, id: NotificationId, expected: Status, tries: usize) -> Record {
        for _ in 0..1_000 {
            let found = self.store.find(&Identity::local(), id).await;
            let found = found.unwrap().unwrap();
            if found.notification.status == expected && found.attempts.len() == tries {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} did not become {expected:?} after {tries} tries");
    }

    fn times_sent(&self, record: &Record) -> usize {
        let ours = record.messages.first().unwrap().id;
        let sent = self.provider.sent.lock().unwrap();
        sent.iter().filter(|one| **one == ours).count()
    }

    async fn close(mut self) {
        self.stop.cancel();
        self.queue.close();
        self.gates.close();
        while let Some(ended) = self.workers.join_next().await {
            ended.expect("a worker was lost to a panic");
        }
        self.store.close().await;
    }
}

fn results(record: &Record) -> Vec<AttemptResult> {
    record.attempts.iter().map(|one| one.result).collect()
}

fn sent() -> Status {
    Status::from(Reason::HandedOver)
}

/// On one thread, so that its own counters see all of it.
#[tokio::test]
async fn a_provider_that_panics_costs_one_attempt() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let shop = Shop::open(Buggy {
        in_send: 1.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let others = [
        shop.send("ada@example.com").await,
        shop.send("bob@example.com").await,
    ];
    for other in others {
        let record = shop.reach(other, sent(), 1).await;
        assert_eq!(results(&record), [AttemptResult::Ok]);
    }
    // It may have been sent: a transactional one is tried again, under the same id.
    let waiting = shop.reach(bug, Status::from(Reason::Retry), 1).await;
    assert_eq!(results(&waiting), [AttemptResult::Unknown]);
    shop.clock.advance_to(waiting.notification.due_at.unwrap());
    let record = shop.reach(bug, sent(), 2).await;
    assert_eq!(
        results(&record),
        [AttemptResult::Unknown, AttemptResult::Ok]
    );
    assert_eq!(shop.times_sent(&record), 1);
    let told = metrics.render();
    assert!(
        told.contains("\ntidings_task_panics_total{task=\"worker\"} 1\n"),
        "{told}"
    );
    let breaker = "tidings_circuit_breaker_state{channel=\"email\",provider=\"buggy\",state=";
    for (state, value) in [
        ("closed", 1),
        ("half_open", 0),
        ("throttled", 0),
        ("open", 0),
    ] {
        let line = format!("{breaker}\"{state}\"}} {value}\n");
        assert!(told.contains(&line), "{line}\n{told}");
    }
    shop.close().await;
}

/// It may have been sent each time, so it is not failed: nothing else may be started for it.
#[tokio::test]
async fn a_message_that_always_panics_is_held_after_three_tries() {
    let shop = Shop::open(Buggy {
        in_send: usize::MAX.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let last = usize::try_from(MOST_TRIES_WITH_PANIC).unwrap();
    for tries in 1..last {
        let waiting = shop.reach(bug, Status::from(Reason::Retry), tries).await;
        shop.clock.advance_to(waiting.notification.due_at.unwrap());
    }
    let held = shop
        .reach(bug, Status::from(Reason::ProviderUnknown), last)
        .await;
    assert_eq!(results(&held), vec![AttemptResult::Unknown; last]);
    let expiry = held.notification.intent.expire_time;
    assert_eq!(held.notification.due_at, Some(expiry));
    assert_eq!(shop.store.end_expired(expiry).await.unwrap(), 1);
    let ended = shop.reach(bug, Status::UNKNOWN_ENDED, last).await;
    assert_eq!(ended.notification.status.state, State::Failed);
    shop.close().await;
}

#[tokio::test]
async fn filling_that_panics_ends_its_message_and_no_worker() {
    let shop = Shop::open(Buggy {
        in_fingerprint: 1.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let other = shop.send("ada@example.com").await;
    let failed = shop.reach(bug, Status::from(Reason::Internal), 0).await;
    assert_eq!(failed.notification.status.state, State::Failed);
    shop.reach(other, sent(), 1).await;
    assert_eq!(shop.provider.sent.lock().unwrap().len(), 1);
    shop.close().await;
}

/// Panics say nothing about the provider: however many, its gate lets the others through.
#[tokio::test]
async fn three_hundred_panics_cost_their_messages_and_nothing_else() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let shop = Shop::open(Buggy {
        in_send: usize::MAX.into(),
        ..Buggy::default()
    })
    .await;
    let mut good = Vec::new();
    for number in 0..300 {
        shop.send(&format!("bug{number}@example.com")).await;
        if number % 10 == 0 {
            good.push(shop.send(&format!("ada{number}@example.com")).await);
        }
    }
    for id in &good {
        let record = shop.reach(*id, sent(), 1).await;
        assert_eq!(shop.times_sent(&record), 1);
    }
    assert_eq!(shop.provider.sent.lock().unwrap().len(), good.len());
    let panics = "\ntidings_task_panics_total{task=\"worker\"} 300\n";
    for _ in 0..1_000 {
        if metrics.render().contains(panics) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(metrics.render().contains(panics), "{}", metrics.render());
    shop.close().await;
}

/// Another process may have taken over what this one has claimed: it sends nothing.
#[tokio::test]
async fn a_process_that_is_not_heard_of_hands_nothing_over() {
    let unheard = Pulse::watched(Duration::ZERO);
    let shop = Shop::open_with(Buggy::default(), unheard).await;
    let id = shop.send("ada@example.com").await;
    let record = shop.reach(id, Status::from(Reason::Retry), 1).await;
    assert_eq!(results(&record), [AttemptResult::Transient]);
    assert_eq!(shop.times_sent(&record), 0);
    shop.close().await;
}

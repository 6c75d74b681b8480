//! A bug costs the message that meets it, and nothing else: the real store, queue and flows around a provider with a bug.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::catalog::Source;
use crate::domain::clock::ManualClock;
use crate::domain::draft::{ContactDraft, Draft, Recipient};
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::intent::Variables;
use crate::domain::notification::Record;
use crate::domain::reason::{State, Status};
use crate::domain::shop::Identity;
use crate::intake::Intake;
use crate::planner::Planner;
use crate::queue::memory::MemoryQueue;
use crate::relay::Relay;
use crate::store::sqlite::SqliteStore;
use crate::store::{Lookup as _, Plans};

const NOON: &str = "2026-11-23T11:00:00Z";
/// The next try after a panic lies within its time.
const LATER: &str = "2026-11-23T11:00:07Z";

/// Panics where it is told to, for mails to `bug@`.
#[derive(Default)]
struct Buggy {
    in_send: AtomicBool,
    in_fingerprint: AtomicBool,
    /// Names asked for until one panics; 0: never.
    in_name: AtomicUsize,
    sent: Mutex<Vec<MessageId>>,
}

impl Buggy {
    fn trip(switch: &AtomicBool, outgoing: &Outgoing) {
        let meant = outgoing.address.reveal().starts_with("bug@");
        assert!(!(meant && switch.swap(false, Ordering::SeqCst)), "a bug");
    }
}

#[async_trait]
impl Provider for Buggy {
    fn name(&self) -> &str {
        let left = self.in_name.load(Ordering::SeqCst);
        self.in_name.store(left.saturating_sub(1), Ordering::SeqCst);
        assert!(left != 1, "a bug");
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

/// One worker for all mail: what it does after a panic is seen.
struct Shop {
    intake: Intake,
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    provider: Arc<Buggy>,
    queue: Arc<MemoryQueue>,
    workers: JoinSet<()>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open(provider: Buggy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOON.parse().unwrap()));
        let store = SqliteStore::open(folder.path(), clock.now()).await.unwrap();
        let store = Arc::new(store);
        let shared: Arc<dyn Store> = store.clone();
        let catalog = Arc::new(Catalog::open(Source::Embedded).unwrap());
        let ids = Arc::new(Ids::new());
        let plans: Arc<dyn Plans> = Arc::new(Planner::new(catalog.clone(), ids.clone()));
        let queue = Arc::new(MemoryQueue::new(100));
        let provider = Arc::new(provider);
        let serving: Arc<dyn Provider> = provider.clone();
        let worker = Arc::new(Worker {
            store: shared.clone(),
            catalog: catalog.clone(),
            providers: BTreeMap::from([(Channel::Email, serving)]),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let stop = CancellationToken::new();
        let relay = Relay::new(shared.clone(), queue.clone(), clock.clone(), 100);
        tokio::spawn(relay.run(stop.clone()));
        Self {
            intake: Intake::new(shared, catalog, plans, clock.clone(), ids),
            workers: pools(&worker, queue.as_ref(), &|_, _| 1).await,
            store,
            clock,
            provider,
            queue,
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
            .accept(&Identity::local(), vec![draft], false)
            .await;
        answers.pop().unwrap().unwrap().notification.id
    }

    /// Waits for a status.
    async fn reach(&self, id: NotificationId, expected: Status) -> Record {
        for _ in 0..1_000 {
            let found = self.store.find(&Identity::local(), id).await;
            let found = found.unwrap().unwrap();
            if found.notification.status == expected {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} did not become {expected:?}");
    }

    async fn close(mut self) {
        self.stop.cancel();
        self.queue.close();
        while let Some(ended) = self.workers.join_next().await {
            ended.expect("a worker was lost to a panic");
        }
        self.store.close().await;
    }
}

fn results(record: &Record) -> Vec<AttemptResult> {
    record.attempts.iter().map(|one| one.result).collect()
}

/// On one thread, so that its own counters see all of it.
#[tokio::test]
async fn a_provider_that_panics_costs_one_attempt() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let shop = Shop::open(Buggy {
        in_send: true.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let others = [
        shop.send("ada@example.com").await,
        shop.send("bob@example.com").await,
    ];
    let sent = Status::from(Reason::HandedOver);
    for other in others {
        let record = shop.reach(other, sent).await;
        assert_eq!(results(&record), [AttemptResult::Ok]);
    }
    // It may have been sent: a transactional one is tried again, under the same id.
    let waiting = shop.reach(bug, Status::from(Reason::Retry)).await;
    assert_eq!(results(&waiting), [AttemptResult::Unknown]);
    shop.clock.advance_to(LATER.parse::<Timestamp>().unwrap());
    let record = shop.reach(bug, sent).await;
    assert_eq!(
        results(&record),
        [AttemptResult::Unknown, AttemptResult::Ok]
    );
    let ours = record.messages.first().unwrap().id;
    let times = |id| {
        let sent = shop.provider.sent.lock().unwrap();
        sent.iter().filter(|one| **one == id).count()
    };
    assert_eq!(times(ours), 1);
    let told = metrics.render();
    assert!(
        told.contains("\ntidings_task_panics_total{task=\"worker\"} 1\n"),
        "{told}"
    );
    shop.close().await;
}

#[tokio::test]
async fn filling_that_panics_ends_its_message_and_no_worker() {
    let shop = Shop::open(Buggy {
        in_fingerprint: true.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let other = shop.send("ada@example.com").await;
    let failed = shop.reach(bug, Status::from(Reason::Internal)).await;
    assert_eq!(failed.notification.status.state, State::Failed);
    assert!(failed.attempts.is_empty(), "no byte went out");
    shop.reach(other, Status::from(Reason::HandedOver)).await;
    assert_eq!(shop.provider.sent.lock().unwrap().len(), 1);
    shop.close().await;
}

/// The provider's name is asked for twice: before the claim and behind the hand-over.
#[tokio::test]
async fn a_panic_before_the_claim_ends_its_message() {
    let shop = Shop::open(Buggy {
        in_name: 1.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let failed = shop.reach(bug, Status::from(Reason::Internal)).await;
    assert!(failed.attempts.is_empty(), "no byte went out");
    let other = shop.send("ada@example.com").await;
    shop.reach(other, Status::from(Reason::HandedOver)).await;
    shop.close().await;
}

#[tokio::test]
async fn a_panic_behind_the_hand_over_leaves_its_outcome_unknown() {
    let shop = Shop::open(Buggy {
        in_name: 2.into(),
        ..Buggy::default()
    })
    .await;
    let bug = shop.send("bug@example.com").await;
    let waiting = shop.reach(bug, Status::from(Reason::Retry)).await;
    assert_eq!(results(&waiting), [AttemptResult::Unknown]);
    assert_eq!(shop.provider.sent.lock().unwrap().len(), 1);
    shop.clock.advance_to(LATER.parse::<Timestamp>().unwrap());
    let record = shop.reach(bug, Status::from(Reason::HandedOver)).await;
    assert_eq!(
        results(&record),
        [AttemptResult::Unknown, AttemptResult::Ok]
    );
    shop.close().await;
}

//! What the flows make of a queue: the relay brings back what a broker lost, a worker keeps nothing that it may not do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings::catalog::{Catalog, Source};
use tidings::domain::breaker::{MOST_FAILURES, Sign};
use tidings::domain::channel::{Channel, Lane};
use tidings::domain::clock::{Clock, SystemClock};
use tidings::domain::pulse::Pulse;
use tidings::gate::Gates;
use tidings::queue::memory::MemoryQueue;
use tidings::queue::rabbitmq::{RabbitQueue, Settings};
use tidings::queue::{Connection, Consumer, Delivery, Depth, Job, NotQueued, Queue};
use tidings::relay::Relay;
use tidings::worker::{Worker, pools};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::promises::eventually;
use crate::rabbitmq::Node;
use crate::store::Fixture;

/// The relay looks at everything twice a second; after this time it has looked at everything some times.
const SOME_LOOKS: Duration = Duration::from_secs(2);

fn gates() -> Arc<Gates> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(Gates::new([(Channel::Email, "post")], &clock))
}

pub(crate) async fn the_relay_brings_back_what_was_lost(node: &mut Node) {
    const MESSAGES: usize = 30;
    let fixture = Fixture::sqlite().await;
    let intents = (0..MESSAGES).map(|number| fixture.intent(&format!("c-{number}")));
    fixture.accept_all(intents.collect(), false).await;
    let queue = Arc::new(RabbitQueue::open(Settings {
        process: "relay".into(),
        ..node.settings()
    }));
    // All of it was accepted while the broker is away.
    node.kill();
    let relay = Relay::new(
        fixture.store.clone(),
        queue.clone(),
        gates(),
        Arc::new(SystemClock),
        1000,
    );
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay.run(stop.clone()));
    let ready = async || {
        let depth = queue.depth(Channel::Email, Lane::Transactional).await;
        depth.map(|depth| depth.ready)
    };
    assert_eq!(ready().await, None);
    node.start_again();
    let filled = async || ready().await == Some(MESSAGES);
    eventually("the relay fills the broker", filled).await;
    tokio::time::sleep(SOME_LOOKS).await;
    assert_eq!(ready().await, Some(MESSAGES), "nothing is queued twice");
    node.wipe();
    node.start_again();
    eventually("the relay fills the broker again", filled).await;
    stop.cancel();
    relaying.await.unwrap();
    fixture.close().await;
}

#[tokio::test]
async fn no_more_is_queued_than_a_limit_lets_out_in_a_minute() {
    let fixture = Fixture::sqlite().await;
    let intents = (0..200).map(|number| fixture.intent(&format!("c-{number}")));
    fixture.accept_all(intents.collect(), false).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gates = Gates::new([(Channel::Email, "post")], &clock);
    let queue = Arc::new(MemoryQueue::new(1_000));
    let relay = Relay::new(
        fixture.store.clone(),
        queue.clone(),
        Arc::new(gates.limited(Channel::Email, "2/s".parse().ok())),
        clock,
        1_000,
    );
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay.run(stop.clone()));
    let queued = || queue.outstanding(Channel::Email, Lane::Transactional);
    eventually("the relay fills the queue", async || queued() > 0).await;
    tokio::time::sleep(SOME_LOOKS).await;
    assert_eq!(queued(), 120);
    stop.cancel();
    relaying.await.unwrap();
    fixture.close().await;
}

/// A queue whose consumers have nothing and tell when they are sent to rest.
struct Resting {
    inner: MemoryQueue,
    rests: mpsc::UnboundedSender<()>,
}

struct RestingConsumer {
    inner: Box<dyn Consumer>,
    rests: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl Consumer for RestingConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        self.inner.next().await
    }

    fn rest(&mut self) {
        self.rests.send(()).unwrap();
    }
}

#[async_trait]
impl Queue for Resting {
    async fn publish(&self, jobs: &[Job]) -> Vec<Result<(), NotQueued>> {
        self.inner.publish(jobs).await
    }

    async fn subscribe(&self, channel: Channel, lane: Lane) -> Box<dyn Consumer> {
        Box::new(RestingConsumer {
            inner: self.inner.subscribe(channel, lane).await,
            rests: self.rests.clone(),
        })
    }

    fn outstanding(&self, channel: Channel, lane: Lane) -> usize {
        self.inner.outstanding(channel, lane)
    }

    async fn depth(&self, channel: Channel, lane: Lane) -> Option<Depth> {
        self.inner.depth(channel, lane).await
    }

    fn wiped(&self) -> watch::Receiver<u64> {
        self.inner.wiped()
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.inner.connection()
    }

    fn close(&self) {
        self.inner.close();
    }

    async fn ended(&self) {
        self.inner.ended().await;
    }
}

#[tokio::test]
async fn a_worker_behind_a_shut_gate_keeps_no_job() {
    let fixture = Fixture::sqlite().await;
    let gates = gates();
    let worker = Arc::new(Worker {
        store: fixture.store.clone(),
        catalog: Arc::new(Catalog::open(Source::Embedded).unwrap()),
        providers: BTreeMap::new(),
        gates: gates.clone(),
        clock: Arc::new(SystemClock),
        ids: fixture.ids.clone(),
        pulse: Arc::new(Pulse::alone()),
    });
    let gate = gates.of(Channel::Email).unwrap();
    for _ in 0..MOST_FAILURES {
        gate.enter().await.unwrap().tell(Sign::Failed);
    }
    assert!(gate.is_shut());
    let (rests, mut rested) = mpsc::unbounded_channel();
    let queue = Resting {
        inner: MemoryQueue::new(10),
        rests,
    };
    let mut tasks = pools(&worker, &queue, &|channel, lane| {
        usize::from(channel == Channel::Email && lane == Lane::Bulk)
    })
    .await;
    let rested = tokio::time::timeout(Duration::from_secs(20), rested.recv()).await;
    assert_eq!(rested.expect("it keeps what came"), Some(()));
    queue.close();
    gates.close();
    while tasks.join_next().await.is_some() {}
    fixture.close().await;
}

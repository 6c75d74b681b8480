//! The queue of many machines: RabbitMQ, one quorum queue for each channel and lane.
//!
//! Promise: a job counts as queued only once the broker has confirmed that it is in its queue; every queued job comes to a
//! consumer at least once as long as the broker keeps its disk, and [`Queue::wiped`] tells when it has not; first in, first out
//! within a (channel, lane) but for what was given back; publishers and consumers outlive every loss of the broker. Nothing
//! here waits longer than its deadline, and what is in flight is bounded.
//! It does not send a job once only: what was in flight when a connection broke may come twice, and the fence decides.
//!
//! Two connections, because a broker that is short of memory or disk stops reading from those that publish: over one that
//! only consumes, the acknowledgements that make room still arrive.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connection, Consumer, Depth, Job, NotQueued, Queue};
use crate::domain::channel::{Channel, Lane};
use crate::event::BrokerLink;

mod connect;
mod consumer;
mod floor;
mod line;
mod lines;
mod link;
mod publish;
mod reach;
mod settings;
mod topology;

pub use connect::CannotConnect;
pub use floor::{NoFloor, floor};
pub use settings::{Settings, Tls};

use consumer::Tap;
use lines::Lines;
use link::{Link, Supervisor};
use publish::Publisher;
use reach::Reach;

/// The queues of one process on a broker.
pub struct RabbitQueue {
    settings: Arc<Settings>,
    lines: Arc<Lines>,
    publisher: Publisher,
    consuming: Link,
    reach: Arc<Reach>,
    wiped: watch::Receiver<u64>,
    /// Consumers end.
    closed: CancellationToken,
    /// Connections end.
    over: CancellationToken,
    consumers: TaskTracker,
    links: TaskTracker,
}

impl RabbitQueue {
    /// Begins to connect, and goes on until it is closed; the broker need not be there. Must be called within a runtime.
    pub fn open(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let lines = Arc::new(Lines::new(settings.window.saturating_mul(2)));
        let (reach, over) = (Arc::new(Reach::new()), CancellationToken::new());
        let (links, (times, wiped)) = (TaskTracker::new(), watch::channel(0));
        let start = |link| {
            let supervisor = Supervisor {
                link,
                settings: Arc::clone(&settings),
                lines: Arc::clone(&lines),
                reach: Arc::clone(&reach),
                over: over.clone(),
                wiped: times.clone(),
            };
            let (link, task) = supervisor.start();
            links.spawn(task);
            link
        };
        let publisher = Publisher::new(start(BrokerLink::Publishing), Arc::clone(&lines));
        let consuming = start(BrokerLink::Consuming);
        Self {
            settings,
            lines,
            publisher,
            consuming,
            reach,
            wiped,
            closed: CancellationToken::new(),
            over,
            consumers: TaskTracker::new(),
            links,
        }
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn publish(&self, jobs: &[Job]) -> Vec<Result<(), NotQueued>> {
        if self.closed.is_cancelled() {
            return vec![Err(NotQueued); jobs.len()];
        }
        self.publisher.publish(jobs).await
    }

    async fn subscribe(&self, channel: Channel, lane: Lane) -> Box<dyn Consumer> {
        let tap = Tap {
            channel,
            lane,
            prefetch: self.settings.prefetch,
            link: self.consuming.clone(),
            lines: Arc::clone(&self.lines),
            closed: self.closed.clone(),
            tasks: self.consumers.clone(),
        };
        Box::new(tap.start())
    }

    fn outstanding(&self, channel: Channel, lane: Lane) -> usize {
        self.lines.of(channel, lane).outstanding()
    }

    async fn depth(&self, channel: Channel, lane: Lane) -> Option<Depth> {
        let depth = self.publisher.depth(channel, lane).await?;
        Some(Depth {
            held: depth.consumers * usize::from(self.settings.prefetch),
            ..depth
        })
    }

    fn wiped(&self) -> watch::Receiver<u64> {
        self.wiped.clone()
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.reach.state()
    }

    fn close(&self) {
        self.closed.cancel();
    }

    async fn ended(&self) {
        self.consumers.close();
        self.consumers.wait().await;
        self.over.cancel();
        self.links.close();
        self.links.wait().await;
    }
}

impl Drop for RabbitQueue {
    fn drop(&mut self) {
        self.closed.cancel();
        self.over.cancel();
    }
}

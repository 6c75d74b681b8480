//! L2, the queue seam: a bounded window of ready work on its way to workers. It is never the truth: whatever a queue
//! loses is found again in the store.

use async_trait::async_trait;

use crate::domain::channel::{Channel, Lane};
use crate::domain::id::MessageId;

pub mod memory;

/// Work for one worker: ids only, never an address or content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which message.
    pub message: MessageId,
    /// Its fence when it was queued.
    pub fence: i64,
    /// Its channel.
    pub channel: Channel,
    /// Its lane.
    pub lane: Lane,
}

/// A job that was not queued; it is still in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue has no room")]
pub struct NotQueued;

/// A job in a worker's hands; dropping it without [`Delivery::ack`] gives it back.
pub struct Delivery {
    job: Job,
    on_ack: Option<Box<dyn FnOnce() + Send>>,
}

impl Delivery {
    /// A delivery that calls `on_ack` when it is acknowledged.
    pub fn new(job: Job, on_ack: Box<dyn FnOnce() + Send>) -> Self {
        Self {
            job,
            on_ack: Some(on_ack),
        }
    }

    /// The work.
    pub fn job(&self) -> Job {
        self.job
    }

    /// The outcome is committed; the queue may forget the job.
    pub fn ack(mut self) {
        if let Some(on_ack) = self.on_ack.take() {
            on_ack();
        }
    }
}

/// A worker's end of a queue.
#[async_trait]
pub trait Consumer: Send {
    /// The next job; `None` when the queue has closed.
    async fn next(&mut self) -> Option<Delivery>;
}

/// Queues by channel and lane.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Queues jobs; each answer is for the job at its place. A job that is queued already is not queued twice.
    async fn publish(&self, jobs: &[Job]) -> Vec<Result<(), NotQueued>>;

    /// A consumer of one queue; several share its jobs.
    async fn subscribe(&self, channel: Channel, lane: Lane) -> Box<dyn Consumer>;

    /// How many jobs are queued and not acknowledged.
    fn outstanding(&self, channel: Channel, lane: Lane) -> usize;

    /// Ends all consumers once they have what they hold.
    fn close(&self);
}

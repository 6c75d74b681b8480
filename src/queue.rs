//! L2, the queue seam: a bounded window of ready work on its way to workers. It is never the truth: whatever a queue
//! loses is found again in the store.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::Stopwatch;
use crate::domain::id::MessageId;

pub mod memory;
pub mod rabbitmq;
pub mod wire;

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
#[error("the queue did not take the job")]
pub struct NotQueued;

/// How one queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Jobs that wait for a consumer; those in hands are not among them.
    pub ready: usize,
    /// Consumers that take jobs now, in all processes.
    pub consumers: usize,
    /// How many jobs these consumers may have in hands at most.
    pub held: usize,
}

/// Whether a queue can be reached.
#[derive(Clone, Copy, Debug)]
pub enum Connection {
    /// It takes and gives jobs.
    Up,
    /// It does not, for as long as the watch says; it is tried again without end.
    Away(Stopwatch),
}

impl Connection {
    /// Whether jobs come and go.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

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
    /// The next job, however long a broker is away; `None` when the queue has closed.
    async fn next(&mut self) -> Option<Delivery>;

    /// Takes nothing more until [`Consumer::next`] is called, and gives back what came for it early, so that another may
    /// have it. A delivery that was handed out is not touched.
    fn rest(&mut self);
}

/// Queues by channel and lane.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Queues jobs; each answer is for the job at its place, and `Ok` means that the queue has it. A job that is known here
    /// to be queued already is not queued twice.
    async fn publish(&self, jobs: &[Job]) -> Vec<Result<(), NotQueued>>;

    /// A consumer of one queue; several share its jobs.
    async fn subscribe(&self, channel: Channel, lane: Lane) -> Box<dyn Consumer>;

    /// How many jobs are queued and not acknowledged, as far as this process knows without asking.
    fn outstanding(&self, channel: Channel, lane: Lane) -> usize;

    /// How a queue stands, at most half a second ago; `None` when nobody can say.
    async fn depth(&self, channel: Channel, lane: Lane) -> Option<Depth>;

    /// Counts how often the queues were found empty of what they had taken: all that is ready must be published again.
    fn wiped(&self) -> watch::Receiver<u64>;

    /// Whether the queue can be reached, and since when not.
    fn connection(&self) -> watch::Receiver<Connection>;

    /// Ends all consumers; what is in hands may still be acknowledged.
    fn close(&self);

    /// After [`Queue::close`]: waits until every delivery was answered and every answer is on its way.
    async fn ended(&self);
}

//! The queue of a single process.
//!
//! Promise: first in, first out within a (channel, lane); a message is in it at most once, whether it waits or is in a
//! worker's hands; a dropped delivery goes back to the front; no more than `capacity` jobs are held in each queue, so memory
//! is bounded; a consumer never sleeps while a job waits.
//! It does not persist anything: after a restart the relay fills it again from the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::{Connection, Consumer, Delivery, Depth, Job, NotQueued, Queue};
use crate::domain::channel::{Channel, Lane};
use crate::domain::id::MessageId;

/// All queues of one process.
#[derive(Clone)]
pub struct MemoryQueue {
    capacity: usize,
    queues: Arc<HashMap<(Channel, Lane), Arc<One>>>,
    /// Neither ever changes: memory is neither away nor wiped while the process lives.
    wiped: Arc<watch::Sender<u64>>,
    connection: Arc<watch::Sender<Connection>>,
}

/// The queue of one (channel, lane).
struct One {
    channel: Channel,
    lane: Lane,
    state: Mutex<State>,
    /// One permit for each job that becomes ready; a permit of a consumer that goes away passes to the next.
    ready: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<MessageId>,
    /// Everything outstanding, waiting or in hands, with its newest fence.
    fences: HashMap<MessageId, i64>,
    consumers: usize,
    closed: bool,
}

impl MemoryQueue {
    /// Empty queues that hold at most `capacity_per_queue` jobs each, at least one.
    pub fn new(capacity_per_queue: usize) -> Self {
        let queues = Channel::ALL
            .iter()
            .flat_map(|channel| Lane::ALL.iter().map(move |lane| (*channel, *lane)))
            .map(|(channel, lane)| ((channel, lane), Arc::new(One::new(channel, lane))))
            .collect();
        Self {
            capacity: capacity_per_queue.max(1),
            queues: Arc::new(queues),
            wiped: Arc::new(watch::Sender::new(0)),
            connection: Arc::new(watch::Sender::new(Connection::Up)),
        }
    }

    fn one(&self, channel: Channel, lane: Lane) -> Option<&Arc<One>> {
        self.queues.get(&(channel, lane))
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, jobs: &[Job]) -> Vec<Result<(), NotQueued>> {
        jobs.iter()
            .map(|job| match self.one(job.channel, job.lane) {
                Some(one) => one.push(*job, self.capacity),
                None => Err(NotQueued),
            })
            .collect()
    }

    async fn subscribe(&self, channel: Channel, lane: Lane) -> Box<dyn Consumer> {
        let one = self.one(channel, lane).map(Arc::clone);
        if let Some(one) = &one {
            one.lock().consumers += 1;
        }
        Box::new(MemoryConsumer { one })
    }

    fn outstanding(&self, channel: Channel, lane: Lane) -> usize {
        self.one(channel, lane)
            .map_or(0, |one| one.lock().fences.len())
    }

    async fn depth(&self, channel: Channel, lane: Lane) -> Option<Depth> {
        let state = self.one(channel, lane)?.lock();
        let ready = state.waiting.len();
        Some(Depth {
            ready,
            consumers: state.consumers,
            held: state.fences.len().saturating_sub(ready),
        })
    }

    fn wiped(&self) -> watch::Receiver<u64> {
        self.wiped.subscribe()
    }

    fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.subscribe()
    }

    fn close(&self) {
        for one in self.queues.values() {
            one.lock().closed = true;
            one.ready.notify_waiters();
        }
    }

    /// Answers are given at once.
    async fn ended(&self) {}
}

impl One {
    fn new(channel: Channel, lane: Lane) -> Self {
        Self {
            channel,
            lane,
            state: Mutex::default(),
            ready: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job, capacity: usize) -> Result<(), NotQueued> {
        let mut state = self.lock();
        if state.closed {
            return Err(NotQueued);
        }
        if let Some(fence) = state.fences.get_mut(&job.message) {
            // A message that was taken over while its old job is still here travels on with the newer fence.
            *fence = job.fence.max(*fence);
            return Ok(());
        }
        if state.fences.len() >= capacity {
            return Err(NotQueued);
        }
        state.fences.insert(job.message, job.fence);
        state.waiting.push_back(job.message);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    fn pop(&self) -> Popped {
        let mut state = self.lock();
        if state.closed {
            return Popped::Closed;
        }
        while let Some(message) = state.waiting.pop_front() {
            if let Some(fence) = state.fences.get(&message) {
                return Popped::Job(Job {
                    message,
                    fence: *fence,
                    channel: self.channel,
                    lane: self.lane,
                });
            }
        }
        Popped::Empty
    }

    /// Forgets the job, unless the message was published again with a newer fence while it was in hands.
    fn ack(&self, job: Job) {
        let mut state = self.lock();
        if state
            .fences
            .get(&job.message)
            .is_some_and(|newest| *newest > job.fence)
        {
            state.waiting.push_back(job.message);
            drop(state);
            self.ready.notify_one();
        } else {
            state.fences.remove(&job.message);
        }
    }

    fn give_back(&self, job: Job) {
        self.lock().waiting.push_front(job.message);
        self.ready.notify_one();
    }
}

enum Popped {
    Job(Job),
    Empty,
    Closed,
}

/// A job in hands: gives itself back unless it was acknowledged.
struct Held {
    one: Arc<One>,
    job: Job,
    acknowledged: bool,
}

impl Held {
    fn ack(mut self) {
        self.acknowledged = true;
        self.one.ack(self.job);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.acknowledged {
            self.one.give_back(self.job);
        }
    }
}

struct MemoryConsumer {
    one: Option<Arc<One>>,
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        if let Some(one) = &self.one {
            one.lock().consumers -= 1;
        }
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let one = self.one.as_ref()?;
        loop {
            let mut ready = std::pin::pin!(one.ready.notified());
            // Interest is registered before looking, so a job that comes between the two is not missed.
            ready.as_mut().enable();
            match one.pop() {
                Popped::Job(job) => {
                    let held = Held {
                        one: Arc::clone(one),
                        job,
                        acknowledged: false,
                    };
                    return Some(Delivery::new(job, Box::new(move || held.ack())));
                }
                Popped::Closed => return None,
                Popped::Empty => ready.await,
            }
        }
    }

    /// Nothing comes early here.
    fn rest(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::domain::id::Ids;

    fn jobs(count: usize) -> Vec<Job> {
        let ids = Ids::new();
        (0..count)
            .map(|_| Job {
                message: ids.message(jiff::Timestamp::UNIX_EPOCH),
                fence: 1,
                channel: Channel::Email,
                lane: Lane::Bulk,
            })
            .collect()
    }

    async fn nothing_comes(consumer: &mut dyn Consumer) -> bool {
        tokio::time::timeout(Duration::from_millis(20), consumer.next())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn jobs_come_in_order_and_only_to_their_queue() {
        let queue = MemoryQueue::new(10);
        let jobs = jobs(3);
        assert!(queue.publish(&jobs).await.iter().all(Result::is_ok));
        let mut other = queue.subscribe(Channel::Email, Lane::Critical).await;
        assert!(nothing_comes(other.as_mut()).await);
        let mut consumer = queue.subscribe(Channel::Email, Lane::Bulk).await;
        for job in &jobs {
            let delivery = consumer.next().await.unwrap();
            assert_eq!(delivery.job(), *job);
            delivery.ack();
        }
        assert_eq!(queue.outstanding(Channel::Email, Lane::Bulk), 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_what_is_new_and_folds_what_it_has() {
        let queue = MemoryQueue::new(2);
        let jobs = jobs(3);
        assert_eq!(queue.publish(&jobs).await, [Ok(()), Ok(()), Err(NotQueued)]);
        assert_eq!(queue.publish(&jobs[..2]).await, [Ok(()), Ok(())]);
        assert_eq!(queue.outstanding(Channel::Email, Lane::Bulk), 2);
        let mut consumer = queue.subscribe(Channel::Email, Lane::Bulk).await;
        let held = consumer.next().await.unwrap();
        // In hands it still counts, and is still folded.
        assert_eq!(queue.publish(&jobs).await, [Ok(()), Ok(()), Err(NotQueued)]);
        held.ack();
        assert_eq!(queue.publish(&jobs[2..]).await, [Ok(())]);
    }

    #[tokio::test]
    async fn a_dropped_delivery_comes_again_first() {
        let queue = MemoryQueue::new(10);
        let jobs = jobs(2);
        queue.publish(&jobs).await;
        let mut consumer = queue.subscribe(Channel::Email, Lane::Bulk).await;
        drop(consumer.next().await.unwrap());
        let again = consumer.next().await.unwrap();
        assert_eq!(again.job(), jobs[0]);
        again.ack();
        consumer.next().await.unwrap().ack();
        assert!(nothing_comes(consumer.as_mut()).await);
    }

    #[tokio::test]
    async fn a_panicking_worker_gives_its_job_back() {
        let queue = MemoryQueue::new(10);
        queue.publish(&jobs(1)).await;
        let mut consumer = queue.subscribe(Channel::Email, Lane::Bulk).await;
        let delivery = consumer.next().await.unwrap();
        let worker = tokio::spawn(async move {
            let _held = delivery;
            panic!("a bug of the worker");
        });
        assert!(worker.await.is_err());
        consumer.next().await.unwrap().ack();
    }

    #[tokio::test]
    async fn a_newer_fence_is_not_lost_while_the_old_job_is_in_hands() {
        let queue = MemoryQueue::new(10);
        let old = jobs(1)[0];
        queue.publish(&[old]).await;
        let mut consumer = queue.subscribe(Channel::Email, Lane::Bulk).await;
        let held = consumer.next().await.unwrap();
        queue.publish(&[Job { fence: 2, ..old }]).await;
        held.ack();
        let next = consumer.next().await.unwrap();
        assert_eq!(next.job().fence, 2);
        next.ack();
        assert_eq!(queue.outstanding(Channel::Email, Lane::Bulk), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_consumers_share_all_jobs_and_miss_no_wake_up() {
        let queue = MemoryQueue::new(100_000);
        let mut tasks = Vec::new();
        for worker in 0..8 {
            let mut consumer = queue.subscribe(Channel::Email, Lane::Bulk).await;
            tasks.push(tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut dropped = false;
                while let Some(delivery) = consumer.next().await {
                    // Every worker drops one delivery, which must then reach somebody.
                    if !dropped && worker % 2 == 0 {
                        dropped = true;
                        continue;
                    }
                    seen.push(delivery.job().message);
                    delivery.ack();
                }
                seen
            }));
        }
        let jobs = jobs(10_000);
        // In many small batches, so that consumers fall asleep in between.
        for batch in jobs.chunks(7) {
            assert!(queue.publish(batch).await.iter().all(Result::is_ok));
            tokio::task::yield_now().await;
        }
        let drained = async {
            while queue.outstanding(Channel::Email, Lane::Bulk) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), drained)
            .await
            .expect("a consumer slept while a job waited");
        queue.close();
        let mut seen = Vec::new();
        for task in tasks {
            seen.extend(task.await.unwrap());
        }
        assert_eq!(seen.len(), jobs.len());
        let distinct: HashSet<_> = seen.into_iter().collect();
        assert_eq!(distinct.len(), jobs.len());
    }

    #[tokio::test]
    async fn closing_ends_consumers_that_wait_and_those_that_come_later() {
        let queue = MemoryQueue::new(10);
        let mut consumer = queue.subscribe(Channel::Sms, Lane::Critical).await;
        let waiting = tokio::spawn(async move { consumer.next().await.is_none() });
        tokio::time::sleep(Duration::from_millis(10)).await;
        queue.close();
        assert!(waiting.await.unwrap());
        let mut late = queue.subscribe(Channel::Sms, Lane::Critical).await;
        assert!(late.next().await.is_none());
        assert_eq!(queue.publish(&jobs(1)).await, [Err(NotQueued)]);
    }
}

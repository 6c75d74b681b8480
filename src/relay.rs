//! L4: from the store to the queue. Keeps a bounded window of ready messages queued for each channel and lane, and no more than a
//! minute's worth of what a provider's limit allows; the rest waits in the store, and all that is new while the gate of its provider
//! is shut. Publishing twice is harmless: the fence lets only one claim through.
//!
//! A store that several processes share gives each message out once and remembers that it did. What a broker has lost since is
//! given out again: all of it when the broker was wiped, else what is older than a while when more is out than the broker and
//! those who take from it can hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::{Clock, Stopwatch};
use crate::event;
use crate::failpoint::{self, Point};
use crate::gate::Gates;
use crate::queue::{Depth, Job, Queue};
use crate::store::bell::Bell;
use crate::store::{Store, StoreResult};

/// Changes that come within this time are fed together.
const GATHER: Duration = Duration::from_millis(2);
/// How often a whole window is read. In between only what is new is, because the rest is queued already.
const WHOLE: Duration = Duration::from_millis(500);
/// Commits may come in another order than the times in them; by this much what is new may be older than what was read.
const DISORDER: Duration = Duration::from_millis(20);

/// What is taken at a time from a store that gives each message out once.
const PORTION: u32 = 1_000;

/// How often it is looked for what a shared queue has lost.
const LOOK: Duration = Duration::from_secs(5);
/// What was given out so long ago, and is neither in the queue nor in a worker's hands, is lost. Longer than any worker holds a job.
const LOST: Duration = Duration::from_secs(60);

/// How far a (channel, lane) has been read.
#[derive(Clone, Copy)]
struct Read {
    /// When from the beginning.
    whole: Timestamp,
    /// When the newest came due.
    newest: Timestamp,
}

impl Read {
    /// What came due since then is new; `None`: it is time to read from the beginning.
    fn since(self, now: Timestamp) -> Option<Timestamp> {
        let age = Duration::try_from(now.duration_since(self.whole)).ok()?;
        if age >= WHOLE {
            return None;
        }
        self.newest.checked_sub(DISORDER).ok()
    }
}

/// Feeds the queues.
#[derive(Clone)]
pub struct Relay {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    gates: Arc<Gates>,
    clock: Arc<dyn Clock>,
    /// Which lanes it feeds, upper ones first.
    lanes: &'static [Lane],
    /// Most jobs outstanding for a (channel, lane).
    window: u32,
    /// How many it takes at a time from a store that gives each out once; else a window is read whole.
    portion: u32,
    read: HashMap<(Channel, Lane), Read>,
    looked: HashMap<(Channel, Lane), Stopwatch>,
}

impl Relay {
    /// A relay that keeps at most `window` jobs of a (channel, lane) outstanding.
    pub fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        gates: Arc<Gates>,
        clock: Arc<dyn Clock>,
        window: u32,
    ) -> Self {
        Self {
            store,
            queue,
            gates,
            clock,
            lanes: Lane::ALL,
            window,
            portion: u32::MAX,
            read: HashMap::new(),
            looked: HashMap::new(),
        }
    }

    /// The same for some lanes of a store that several processes share: a lane that is full takes long to be published, and must not
    /// hold up the others.
    #[must_use]
    pub fn for_lanes(mut self, lanes: &'static [Lane]) -> Self {
        self.lanes = lanes;
        self.portion = PORTION;
        self
    }

    /// Feeds until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut bell = Bell::new(self.store.clone(), self.clock.clone(), GATHER);
        let mut wiped = self.queue.wiped();
        loop {
            // A queue that lost what it had is filled from the beginning.
            if wiped.has_changed().unwrap_or(false) {
                wiped.mark_unchanged();
                self.read.clear();
                if let Err(error) = self.publish_all_again().await {
                    event::store_failed("relay", &error);
                }
            }
            match self.feed().await {
                Ok(true) if !stop.is_cancelled() => continue,
                Ok(_) => {}
                Err(error) => event::store_failed("relay", &error),
            }
            if !bell.wait(&stop).await {
                return;
            }
        }
    }

    /// Whether there is more that could be fed now.
    async fn feed(&mut self) -> StoreResult<bool> {
        if self.store.hold().borrow().is_some() {
            return Ok(false);
        }
        let mut more = false;
        for lane in self.lanes {
            for channel in Channel::ALL {
                more |= self.feed_one(*channel, *lane).await?;
            }
        }
        Ok(more)
    }

    async fn publish_all_again(&self) -> StoreResult<()> {
        for lane in self.lanes {
            for channel in Channel::ALL {
                let all = || self.store.publish_again(*channel, *lane, Duration::ZERO);
                while all().await? > 0 {}
            }
        }
        Ok(())
    }

    /// Gives out again what was given out and is nowhere any more.
    async fn find_lost(&mut self, channel: Channel, lane: Lane, depth: Depth) -> StoreResult<()> {
        let place = (channel, lane);
        if self
            .looked
            .get(&place)
            .is_some_and(|looked| looked.elapsed() < LOOK)
        {
            return Ok(());
        }
        self.looked.insert(place, Stopwatch::start());
        let published = self.store.published(channel, lane).await?;
        // Nothing waits, and still something is out: not one of the few in hands can be so old.
        let accounted = (depth.ready + depth.held) as u64;
        if published.count > accounted || (published.count > 0 && depth.ready == 0) {
            let found = self.store.publish_again(channel, lane, LOST).await?;
            if found > 0 {
                event::published_again(channel, lane, found);
            }
        }
        Ok(())
    }

    async fn feed_one(&mut self, channel: Channel, lane: Lane) -> StoreResult<bool> {
        // Asking freshens what the queue knows; while nobody can say, nothing can be queued either.
        let Some(depth) = self.queue.depth(channel, lane).await else {
            return Ok(false);
        };
        self.find_lost(channel, lane, depth).await?;
        let outstanding = self.queue.outstanding(channel, lane);
        event::outstanding(&format!("{channel}.{lane}"), outstanding);
        // Filling up only when half is gone keeps the reading of rows that are queued already rare, and what nobody may take need not be
        // read again whenever something else changes.
        let window = self.gates.window(channel, self.window);
        if outstanding > window as usize / 2 || self.gates.is_shut(channel) {
            return Ok(false);
        }
        let now = self.clock.now();
        let read = self.read.get(&(channel, lane)).copied();
        let since = read
            .filter(|_| outstanding > 0)
            .and_then(|read| read.since(now));
        let limit = window.min(self.portion);
        let ready = self.store.ready(channel, lane, since, now, limit).await?;
        let last = ready.last().map(|last| last.due_at);
        let read = match (read, since) {
            (Some(read), Some(_)) => Read {
                newest: last.unwrap_or(read.newest),
                ..read
            },
            _ => Read {
                whole: now,
                newest: last.unwrap_or(now),
            },
        };
        self.read.insert((channel, lane), read);
        let jobs: Vec<Job> = ready
            .iter()
            .map(|r| Job {
                message: r.message,
                fence: r.fence,
                channel: r.channel,
                lane: r.lane,
            })
            .collect();
        if !jobs.is_empty() {
            failpoint::hit(Point::AfterOk);
            let answers = self.queue.publish(&jobs).await;
            // What was not taken is still in the store and comes with the next window.
            let refused: Vec<_> = jobs
                .iter()
                .zip(answers)
                .filter(|(_, answer)| answer.is_err())
                .map(|(job, _)| job.message)
                .collect();
            if !refused.is_empty() {
                self.store.not_published(&refused).await?;
                return Ok(false);
            }
        }
        Ok(limit < window && jobs.len() == limit as usize)
    }
}

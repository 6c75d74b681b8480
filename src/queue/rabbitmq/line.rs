//! What this process knows of one queue on the broker: what it has queued itself, what is in its own hands, and what the
//! broker said last.
//!
//! Promise: a job that is known to be queued is not queued twice, and one that may be lost is not held back for ever. A queue
//! gives its oldest first, so of the jobs that were queued here only the newest `ready` can still wait in it; the others are in
//! a worker's hands for a while, or gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::clock::Stopwatch;
use crate::domain::id::MessageId;
use crate::queue::{Depth, Job};

/// A job that does not wait any more is in hands for no longer than this.
const IN_HANDS: Duration = Duration::from_secs(60);
/// After this time a job is queued again even if it may still wait: what waits may be another process's.
const AT_THE_LATEST: Duration = Duration::from_secs(600);
/// How old an answer of the broker may be.
const FRESH: Duration = Duration::from_millis(500);

/// One (channel, lane).
pub(super) struct Line {
    most_remembered: usize,
    unconfirmed: Arc<AtomicUsize>,
    in_hands: Arc<AtomicUsize>,
    /// Times below are since this was started.
    started: Stopwatch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queued: HashMap<MessageId, Queued>,
    /// How many were queued so far.
    count: u64,
    known: Depth,
    asked: Option<Duration>,
    /// Queued since the broker was asked.
    since: usize,
}

/// A job that the broker has confirmed.
struct Queued {
    fence: i64,
    /// How many had been queued by then.
    place: u64,
    at: Duration,
}

impl Line {
    pub(super) fn new(most_remembered: usize) -> Self {
        Self {
            most_remembered: most_remembered.max(1),
            unconfirmed: Arc::default(),
            in_hands: Arc::default(),
            started: Stopwatch::start(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job need not be queued, because it is.
    pub(super) fn has(&self, job: &Job) -> bool {
        self.has_at(job, self.started.elapsed())
    }

    fn has_at(&self, job: &Job, now: Duration) -> bool {
        let state = self.lock();
        state
            .queued
            .get(&job.message)
            .is_some_and(|queued| queued.fence >= job.fence && !state.may_be_lost(queued, now))
    }

    /// The broker has confirmed the job.
    pub(super) fn confirmed(&self, job: &Job) {
        let mut state = self.lock();
        state.count += 1;
        state.since += 1;
        let queued = Queued {
            fence: job.fence,
            place: state.count,
            at: self.started.elapsed(),
        };
        state.queued.insert(job.message, queued);
        if state.queued.len() > self.most_remembered {
            let newest = state.known.ready.max(self.most_remembered / 2) as u64;
            let from = state.count.saturating_sub(newest);
            state.queued.retain(|_, queued| queued.place > from);
        }
    }

    /// A worker of this process has done the job.
    pub(super) fn done(&self, job: &Job) {
        let mut state = self.lock();
        let same = |queued: &Queued| queued.fence <= job.fence;
        if state.queued.get(&job.message).is_some_and(same) {
            state.queued.remove(&job.message);
        }
    }

    /// Nothing that was queued is there any more.
    pub(super) fn wiped(&self) {
        let mut state = self.lock();
        state.queued.clear();
        state.known.ready = 0;
        state.asked = None;
        state.since = 0;
    }

    /// What the broker says.
    pub(super) fn told(&self, depth: Depth) {
        let mut state = self.lock();
        state.known = depth;
        state.asked = Some(self.started.elapsed());
        state.since = 0;
    }

    /// What the broker said last, if that is not long ago.
    pub(super) fn fresh(&self) -> Option<Depth> {
        let state = self.lock();
        let fresh = state
            .asked
            .is_some_and(|asked| self.started.elapsed().saturating_sub(asked) < FRESH);
        fresh.then_some(state.known)
    }

    /// What the broker said last.
    pub(super) fn last(&self) -> Option<Depth> {
        let state = self.lock();
        state.asked.map(|_| state.known)
    }

    /// What waits as far as is known, what is on its way, what is in hands here.
    pub(super) fn outstanding(&self) -> usize {
        let state = self.lock();
        state.known.ready
            + state.since
            + self.unconfirmed.load(Ordering::Relaxed)
            + self.in_hands.load(Ordering::Relaxed)
    }

    /// A job is on its way until this is dropped.
    pub(super) fn on_its_way(&self) -> Counted {
        Counted::one(&self.unconfirmed)
    }

    /// A job is in hands until this is dropped.
    pub(super) fn in_hands(&self) -> Counted {
        Counted::one(&self.in_hands)
    }
}

impl State {
    fn may_be_lost(&self, queued: &Queued, now: Duration) -> bool {
        let age = now.saturating_sub(queued.at);
        let behind = self.count.saturating_sub(queued.place);
        let waits = behind < (self.known.ready + self.since) as u64;
        age >= AT_THE_LATEST || (age >= IN_HANDS && !waits)
    }
}

/// One more for as long as it lives.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::{Channel, Lane};
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

    #[test]
    fn what_is_queued_is_known_until_it_is_done_or_a_newer_fence_comes() {
        let line = Line::new(10);
        let job = jobs(1)[0];
        assert!(!line.has(&job));
        line.confirmed(&job);
        assert!(line.has(&job));
        let newer = Job { fence: 2, ..job };
        assert!(!line.has(&newer));
        line.confirmed(&newer);
        // The older one is acknowledged while the newer waits.
        line.done(&job);
        assert!(line.has(&newer));
        line.done(&newer);
        assert!(!line.has(&newer));
    }

    #[test]
    fn what_may_be_lost_is_queued_again() {
        let line = Line::new(10);
        let jobs = jobs(3);
        jobs.iter().for_each(|job| line.confirmed(job));
        let known = |age: Duration| -> Vec<bool> {
            let now = line.started.elapsed() + age;
            jobs.iter().map(|job| line.has_at(job, now)).collect()
        };
        let ready = |ready| {
            line.told(Depth {
                ready,
                consumers: 0,
                ..Depth::default()
            });
        };
        ready(3);
        assert_eq!(known(IN_HANDS), [true, true, true]);
        // The newest still waits, the others may be in somebody's hands for a while.
        ready(1);
        assert_eq!(known(IN_HANDS / 2), [true, true, true]);
        assert_eq!(known(IN_HANDS), [false, false, true]);
        assert_eq!(known(AT_THE_LATEST), [false, false, false]);
        ready(0);
        assert_eq!(known(IN_HANDS), [false, false, false]);
    }

    #[test]
    fn a_wiped_broker_has_nothing() {
        let line = Line::new(10);
        let job = jobs(1)[0];
        line.confirmed(&job);
        line.told(Depth {
            ready: 1,
            consumers: 1,
            ..Depth::default()
        });
        line.wiped();
        assert!(!line.has(&job));
        assert_eq!(line.outstanding(), 0);
        assert_eq!(line.fresh(), None);
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_newest() {
        let line = Line::new(10);
        let jobs = jobs(1000);
        for job in &jobs {
            line.confirmed(job);
            assert!(line.lock().queued.len() <= 10);
        }
        assert!(jobs[995..].iter().all(|job| line.has(job)));
    }

    #[test]
    fn all_that_is_under_way_is_outstanding() {
        let line = Line::new(10);
        line.told(Depth {
            ready: 5,
            consumers: 0,
            ..Depth::default()
        });
        line.confirmed(&jobs(1)[0]);
        let (way, hands) = (line.on_its_way(), line.in_hands());
        assert_eq!(line.outstanding(), 8);
        drop((way, hands));
        assert_eq!(line.outstanding(), 6);
    }
}

//! Turns at a provider that has a limit: leave that was leased from the store, handed to those who wait, upper lanes first.
//!
//! Promise: a turn is taken at its time or up to a slice later, once; one that was not used goes to the next who waits. It asks for as
//! many turns as are waited for, or were used of late, and for none while nobody waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::Notify;

use crate::domain::channel::Lane;
use crate::domain::clock::Stopwatch;
use crate::domain::rate::Rate;

/// More turns than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The uppermost lane that waits for one.
    pub lane: Lane,
    /// How many.
    pub permits: u32,
}

/// The turns of this process at one provider.
pub struct Turns {
    rate: Rate,
    /// Times are since it was started.
    watch: Stopwatch,
    line: Mutex<Line>,
    /// Somebody who waits may have a turn now.
    changed: Notify,
    /// There may be fewer turns than are waited for.
    wanted: Notify,
}

/// The rules, in numbers; every time is an argument.
struct Line {
    interval: Duration,
    slice_time: Duration,
    slice: u32,
    /// When each turn begins, in order.
    turns: VecDeque<Duration>,
    /// When turns were taken, for as long as a slice.
    taken: VecDeque<Duration>,
    /// How many wait, by lane.
    waiting: [u32; Lane::ALL.len()],
}

/// What there is for somebody who waits.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// A turn that begins then.
    Taken(Duration),
    /// Nothing before this time.
    At(Duration),
    /// Nothing until something changes.
    Later,
}

impl Line {
    fn new(rate: Rate) -> Self {
        Self {
            interval: rate.interval(),
            slice_time: rate.slice_time(),
            slice: rate.slice(),
            turns: VecDeque::new(),
            taken: VecDeque::new(),
            waiting: [0; Lane::ALL.len()],
        }
    }

    fn is_good(&self, turn: Duration, now: Duration) -> bool {
        now.saturating_sub(turn) <= self.slice_time
    }

    fn forget(&mut self, now: Duration) {
        while self.turns.front().is_some_and(|t| !self.is_good(*t, now)) {
            self.turns.pop_front();
        }
        while self.taken.front().is_some_and(|t| !self.is_good(*t, now)) {
            self.taken.pop_front();
        }
    }

    fn take(&mut self, lane: Lane, now: Duration) -> Next {
        self.forget(now);
        let upper: u32 = self.waiting.iter().take(lane as usize).sum();
        match self.turns.front() {
            Some(turn) if *turn > now => Next::At(*turn),
            Some(turn) if upper == 0 => {
                let turn = *turn;
                self.turns.pop_front();
                self.taken.push_back(now);
                Next::Taken(turn)
            }
            _ => Next::Later,
        }
    }

    fn add(&mut self, turn: Duration) {
        let place = self.turns.partition_point(|other| *other <= turn);
        self.turns.insert(place, turn);
    }

    fn wait(&mut self, lane: Lane, more: bool) {
        if let Some(waiting) = self.waiting.get_mut(lane as usize) {
            *waiting = if more {
                waiting.saturating_add(1)
            } else {
                waiting.saturating_sub(1)
            };
        }
    }

    /// Those who wait and for whom there is no turn, in the order in which they would get one.
    fn missing(&mut self, now: Duration) -> Option<Wish> {
        self.forget(now);
        let mut there = u32::try_from(self.turns.len()).unwrap_or(u32::MAX);
        let mut wish: Option<Wish> = None;
        for (lane, waiting) in Lane::ALL.iter().zip(self.waiting) {
            let without = waiting.saturating_sub(there);
            there = there.saturating_sub(waiting);
            match &mut wish {
                Some(wish) => wish.permits += without,
                None if without > 0 => {
                    wish = Some(Wish {
                        lane: *lane,
                        permits: without,
                    });
                }
                None => {}
            }
        }
        // Whoever was quick of late will be again, and need not ask for each single one.
        let used = u32::try_from(self.taken.len()).unwrap_or(u32::MAX);
        wish.map(|wish| Wish {
            permits: wish.permits.max(used).min(self.slice),
            ..wish
        })
    }

    fn give(&mut self, now: Duration, first: SignedDuration, permits: u32) {
        let early = first.unsigned_abs();
        let mut turn = if first.is_negative() {
            now.saturating_sub(early)
        } else {
            now + early
        };
        for _ in 0..permits {
            self.add(turn);
            turn += self.interval;
        }
    }
}

impl Turns {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            watch: Stopwatch::start(),
            line: Mutex::new(Line::new(rate)),
            changed: Notify::new(),
            wanted: Notify::new(),
        }
    }

    /// The limit.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn, however long that takes.
    pub(super) async fn wait(&self, lane: Lane) -> Turn<'_> {
        let _waiting = Waiting::begin(self, lane);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Interest is registered before looking, so a change that comes between the two is not missed.
            changed.as_mut().enable();
            let now = self.watch.elapsed();
            let next = self.lock().take(lane, now);
            // What was there may have gone stale.
            self.wanted.notify_one();
            let soon = async {
                match next {
                    Next::At(turn) => tokio::time::sleep(turn.saturating_sub(now)).await,
                    Next::Taken(_) | Next::Later => std::future::pending().await,
                }
            };
            if let Next::Taken(begins) = next {
                return Turn {
                    turns: Some(self),
                    begins,
                };
            }
            tokio::select! {
                () = changed => {}
                () = soon => {}
            }
        }
    }

    /// Waits until there are fewer turns than are waited for; `above` a lane that was told to wait, only what is above it counts.
    pub async fn wish(&self, above: Option<Lane>) -> Wish {
        loop {
            let missing = self.lock().missing(self.watch.elapsed());
            match missing {
                Some(wish) if above.is_none_or(|lane| wish.lane < lane) => return wish,
                _ => self.wanted.notified().await,
            }
        }
    }

    /// Leave for so many has been leased, from `first` on, seen from now.
    pub fn give(&self, first: SignedDuration, permits: u32) {
        let now = self.watch.elapsed();
        self.lock().give(now, first, permits);
        self.changed.notify_waiters();
    }
}

/// One who waits, for as long as it lives.
struct Waiting<'a> {
    turns: &'a Turns,
    lane: Lane,
}

impl<'a> Waiting<'a> {
    fn begin(turns: &'a Turns, lane: Lane) -> Self {
        turns.lock().wait(lane, true);
        Self { turns, lane }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.lock().wait(self.lane, false);
        // A lower lane may have waited for this one.
        self.turns.changed.notify_waiters();
    }
}

/// A turn to hand over one message. One that is dropped before it was used goes to the next.
pub struct Turn<'a> {
    /// `None`: it was used, or there is no limit.
    turns: Option<&'a Turns>,
    begins: Duration,
}

impl Turn<'_> {
    /// The turn of whoever needs none.
    pub(super) fn free() -> Self {
        Self {
            turns: None,
            begins: Duration::ZERO,
        }
    }

    /// Whether it may still be used.
    pub fn is_good(&self) -> bool {
        self.turns.is_none_or(|turns| {
            let now = turns.watch.elapsed();
            turns.lock().is_good(self.begins, now)
        })
    }

    /// The hand-over begins.
    pub fn used(mut self) {
        self.turns = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.lock().add(self.begins);
            turns.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// 50 a second: a turn every 20 ms, ten in a slice of 200 ms.
    fn line(waiting: [u32; 3]) -> Line {
        Line {
            waiting,
            ..Line::new("50/s".parse().unwrap())
        }
    }

    fn wish(lane: Lane, permits: u32) -> Option<Wish> {
        Some(Wish { lane, permits })
    }

    #[test]
    fn turns_are_taken_at_their_time_and_upper_lanes_come_first() {
        let mut line = line([0, 1, 2]);
        line.give(ms(1_000), SignedDuration::from_millis(-10), 2);
        assert_eq!(line.take(Lane::Bulk, ms(1_000)), Next::Later);
        assert_eq!(
            line.take(Lane::Transactional, ms(1_000)),
            Next::Taken(ms(990))
        );
        line.wait(Lane::Transactional, false);
        assert_eq!(line.take(Lane::Bulk, ms(1_000)), Next::At(ms(1_010)));
        assert_eq!(line.take(Lane::Bulk, ms(1_010)), Next::Taken(ms(1_010)));
        assert_eq!(line.take(Lane::Bulk, ms(1_010)), Next::Later);
    }

    #[test]
    fn a_turn_is_good_for_a_slice() {
        let mut line = line([0, 0, 1]);
        line.give(ms(1_000), SignedDuration::ZERO, 2);
        assert_eq!(line.take(Lane::Bulk, ms(1_210)), Next::Taken(ms(1_020)));
        line.give(ms(2_000), SignedDuration::ZERO, 1);
        assert_eq!(line.take(Lane::Bulk, ms(2_201)), Next::Later);
    }

    #[test]
    fn as_many_are_wished_for_as_wait_or_were_used() {
        let now = ms(1_000);
        assert_eq!(line([0, 0, 0]).missing(now), None);
        assert_eq!(line([1, 0, 4]).missing(now), wish(Lane::Critical, 5));
        assert_eq!(line([0, 0, 99]).missing(now), wish(Lane::Bulk, 10));
        // Those that are there go to the upper ones.
        let mut some = line([1, 1, 4]);
        some.give(now, SignedDuration::ZERO, 3);
        assert_eq!(some.missing(now), wish(Lane::Bulk, 3));
        some.give(now, SignedDuration::ZERO, 3);
        assert_eq!(some.missing(now), None);
        let mut quick = line([0, 1, 0]);
        quick.give(now, SignedDuration::from_millis(-100), 6);
        while matches!(quick.take(Lane::Transactional, now), Next::Taken(_)) {}
        assert_eq!(quick.missing(now), wish(Lane::Transactional, 6));
        assert_eq!(quick.missing(now + ms(201)), wish(Lane::Transactional, 1));
    }

    #[tokio::test]
    async fn what_is_not_used_goes_to_the_next() {
        let turns = Turns::new("1/h".parse().unwrap());
        turns.give(SignedDuration::ZERO, 1);
        let first = turns.wait(Lane::Bulk).await;
        let mut second = std::pin::pin!(turns.wait(Lane::Transactional));
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        let second = second.await;
        assert!(second.is_good());
        second.used();
        let mut third = std::pin::pin!(turns.wait(Lane::Critical));
        assert!(futures::poll!(third.as_mut()).is_pending());
        assert_eq!(turns.wish(None).await.lane, Lane::Critical);
    }

    #[tokio::test]
    async fn one_that_gives_up_waiting_lets_lower_lanes_on() {
        let turns = Turns::new("1/h".parse().unwrap());
        let mut bulk = std::pin::pin!(turns.wait(Lane::Bulk));
        {
            let mut upper = std::pin::pin!(turns.wait(Lane::Critical));
            assert!(futures::poll!(upper.as_mut()).is_pending());
            assert!(futures::poll!(bulk.as_mut()).is_pending());
            turns.give(SignedDuration::ZERO, 1);
            assert!(futures::poll!(bulk.as_mut()).is_pending());
        }
        bulk.await.used();
        let mut wish = std::pin::pin!(turns.wish(Some(Lane::Bulk)));
        let _waiting = Waiting::begin(&turns, Lane::Bulk);
        assert!(futures::poll!(wish.as_mut()).is_pending());
        let _above = Waiting::begin(&turns, Lane::Transactional);
        turns.wanted.notify_one();
        assert_eq!(wish.await.lane, Lane::Transactional);
    }
}

//! Discord's limits, kept before it has to remind us: five messages in five seconds a channel, fifty requests a second in
//! all, and whatever pause it asked for. Requests it has to refuse count towards a ban (10,000 in ten minutes).
//!
//! It never waits: it says how long the caller should.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

const PER_CHANNEL: (usize, Duration) = (5, Duration::from_secs(5));
const GLOBAL: (usize, Duration) = (50, Duration::from_secs(1));
/// When more channels than this are remembered, those that are idle are forgotten.
const MAX_CHANNELS: usize = 10_000;

/// Which limit a pause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One channel.
    Channel(u64),
    /// All of it.
    Everything,
}

/// Why a request must not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotNow {
    /// How long to wait.
    pub(super) wait: Duration,
    /// The limits are used up, or Discord asked for it; else the credential is in doubt.
    pub(super) throttled: bool,
    /// What must not be asked.
    pub(super) scope: Scope,
}

#[derive(Debug, Default)]
pub(super) struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: VecDeque<Timestamp>,
    channels: HashMap<u64, Window>,
    closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    until: Timestamp,
    throttled: bool,
}

#[derive(Debug, Default)]
struct Window {
    sent: VecDeque<Timestamp>,
    closed_until: Option<Timestamp>,
}

impl Limiter {
    /// Takes a place for a message to `channel`, or for another request.
    pub(super) fn take(&self, now: Timestamp, channel: Option<u64>) -> Result<(), NotNow> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(closed) = state.closed {
            if closed.until > now {
                return Err(not_now(
                    now,
                    closed.until,
                    closed.throttled,
                    Scope::Everything,
                ));
            }
            state.closed = None;
        }
        free_at(&mut state.all, now, GLOBAL)
            .map_err(|at| not_now(now, at, true, Scope::Everything))?;
        if let Some(channel) = channel {
            let full = |at| not_now(now, at, true, Scope::Channel(channel));
            state.forget_idle(now);
            let window = state.channels.entry(channel).or_default();
            if let Some(until) = window.closed_until.filter(|until| *until > now) {
                return Err(full(until));
            }
            window.closed_until = None;
            free_at(&mut window.sent, now, PER_CHANNEL).map_err(full)?;
            window.sent.push_back(now);
        }
        state.all.push_back(now);
        Ok(())
    }

    /// Nothing in `scope` for `wait`.
    pub(super) fn pause(&self, now: Timestamp, scope: Scope, wait: Duration, throttled: bool) {
        let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match scope {
            Scope::Everything => state.closed = Some(Closed { until, throttled }),
            Scope::Channel(channel) => {
                state.channels.entry(channel).or_default().closed_until = Some(until);
            }
        }
    }
}

impl State {
    fn forget_idle(&mut self, now: Timestamp) {
        if self.channels.len() < MAX_CHANNELS {
            return;
        }
        self.channels.retain(|_, window| {
            window.closed_until.is_some_and(|until| until > now)
                || free_at(&mut window.sent, now, (1, PER_CHANNEL.1)).is_err()
        });
        if self.channels.len() >= MAX_CHANNELS {
            // Fifty a second for five seconds cannot fill it; only pauses can. Discord will say it again.
            self.channels.clear();
        }
    }
}

fn not_now(now: Timestamp, at: Timestamp, throttled: bool, scope: Scope) -> NotNow {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    NotNow {
        wait: wait.max(Duration::from_secs(1)),
        throttled,
        scope,
    }
}

/// Forgets what has left the window. The error is when the next place is free.
fn free_at(
    sent: &mut VecDeque<Timestamp>,
    now: Timestamp,
    (places, window): (usize, Duration),
) -> Result<(), Timestamp> {
    let leaves = |at: Timestamp| at.checked_add(window).unwrap_or(Timestamp::MAX);
    while sent.front().is_some_and(|at| leaves(*at) <= now) {
        sent.pop_front();
    }
    match sent.front() {
        Some(first) if sent.len() >= places => Err(leaves(*first)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    fn wait(limiter: &Limiter, millis: i64, channel: u64) -> Option<u64> {
        limiter
            .take(at(millis), Some(channel))
            .err()
            .map(|no| no.wait.as_secs())
    }

    #[test]
    fn a_channel_takes_five_in_any_five_seconds() {
        let limiter = Limiter::default();
        for n in 0..5 {
            assert_eq!(wait(&limiter, n * 100, 1), None);
        }
        assert_eq!(wait(&limiter, 500, 1), Some(4));
        assert_eq!(wait(&limiter, 500, 2), None);
        assert_eq!(wait(&limiter, 5_000, 1), None);
        assert_eq!(wait(&limiter, 5_050, 1), Some(1));
        assert_eq!(wait(&limiter, 5_100, 1), None);
    }

    #[test]
    fn all_channels_together_take_fifty_a_second() {
        let limiter = Limiter::default();
        let taken = (0..200).filter(|n| wait(&limiter, 0, *n).is_none()).count();
        assert_eq!(taken, 50);
        assert_eq!(wait(&limiter, 1_000, 7), None);
    }

    #[test]
    fn a_pause_is_kept_and_ends() {
        let limiter = Limiter::default();
        limiter.pause(at(0), Scope::Channel(1), Duration::from_secs(30), true);
        assert_eq!(wait(&limiter, 1_000, 1), Some(29));
        assert_eq!(wait(&limiter, 1_000, 2), None);
        limiter.pause(at(0), Scope::Everything, Duration::from_secs(60), false);
        let no = limiter.take(at(1_000), None).unwrap_err();
        assert!(!no.throttled);
        assert_eq!(no.scope, Scope::Everything);
        assert_eq!(wait(&limiter, 60_000, 1), None);
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::default();
        for channel in 0..50_000_u64 {
            let millis = i64::try_from(channel).unwrap() * 25;
            assert_eq!(wait(&limiter, millis, channel), None);
        }
        let state = limiter.state.lock().unwrap();
        assert!(state.channels.len() <= MAX_CHANNELS);
        assert!(state.all.len() <= 50);
    }
}

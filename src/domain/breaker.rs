//! When to leave a provider alone. A state machine that is asked before each hand-over and told after it; time and chance are
//! arguments.
//!
//! Promise: after [`MOST_FAILURES`] failures without a success between them, or [`LEAST_FAILURES`] over [`PATIENCE`], nothing
//! begins for [`PAUSE`] and up to a fifth more; then one hand-over at a time goes until one succeeds, and each that fails begins
//! the pause anew. What a provider asks for when it is throttled counts for all that is meant for it. A new breaker, too, lets one
//! at a time go until the first success. It does not know what counts as a failure: whoever made the try says so by a [`Sign`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::channel::words;

/// So many failures in a row open it.
pub const MOST_FAILURES: u32 = 20;
/// So few open it when nothing but failures has come for [`PATIENCE`].
pub const LEAST_FAILURES: u32 = 5;
/// How long nothing but failures may come.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long an open one stays so, at least.
pub const PAUSE: Duration = Duration::from_secs(30);
/// By how much of itself chance lengthens the pause, at most.
const JITTER: f64 = 0.2;
/// How long a provider gets that asks to slow down and does not say how long.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// What it may ask for, whatever it says.
const SLOW_DOWN_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// What a hand-over said about the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It took a message.
    Taken,
    /// It failed in a way that any other message would have met.
    Failed,
    /// It asked to slow down, for so long where it said.
    Throttled(Option<Duration>),
    /// Nothing: it was about one message or one address, or nothing was tried.
    Silent,
}

words! {
    /// What a breaker lets through.
    BreakerState {
        /// Everything.
        Closed = "closed",
        /// One at a time.
        HalfOpen = "half_open",
        /// Nothing, because the provider asked to slow down.
        Throttled = "throttled",
        /// Nothing, because the provider is failing.
        Open = "open",
    }
}

/// The answer to whoever wants to begin.
#[derive(Debug)]
pub enum Answer {
    /// Begin; tell what came of it.
    Go(Pass),
    /// Not before the one that is under way has ended.
    Busy,
    /// Not before this time.
    Shut(Timestamp),
}

/// A leave to begin one hand-over.
#[derive(Debug)]
pub struct Pass {
    period: u64,
}

/// The state of one provider, as seen by what came of its hand-overs.
#[derive(Debug, Default)]
pub struct Breaker {
    stage: Stage,
    /// Since the last success.
    failures: u32,
    first_failure: Option<Timestamp>,
    /// It has opened, and no success has come since.
    failing: bool,
    /// Grows whenever it shuts: what began before says nothing about the time after.
    period: u64,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Closed,
    OneByOne {
        busy: bool,
    },
    Shut {
        since: Timestamp,
        until: Timestamp,
        failing: bool,
    },
}

impl Default for Stage {
    fn default() -> Self {
        Self::OneByOne { busy: false }
    }
}

impl Breaker {
    /// Whether a hand-over may begin.
    pub fn ask(&mut self, now: Timestamp) -> Answer {
        if let Some(until) = self.shut_until(now) {
            return Answer::Shut(until);
        }
        match self.stage {
            Stage::Closed => {}
            Stage::OneByOne { busy: true } => return Answer::Busy,
            Stage::OneByOne { busy: false } | Stage::Shut { .. } => {
                self.stage = Stage::OneByOne { busy: true };
            }
        }
        Answer::Go(Pass {
            period: self.period,
        })
    }

    /// What came of a hand-over; `chance` is in `0.0..1.0`.
    #[expect(clippy::needless_pass_by_value, reason = "a pass is used once")]
    pub fn tell(&mut self, pass: Pass, sign: Sign, now: Timestamp, chance: f64) {
        let current = pass.period == self.period;
        self.give_back(&pass);
        match sign {
            Sign::Taken if current => {
                self.stage = Stage::Closed;
                (self.failures, self.first_failure, self.failing) = (0, None, false);
            }
            Sign::Failed if current => {
                self.count(now);
                if self.failing {
                    self.shut(now, pause(chance), true);
                }
            }
            Sign::Throttled(wait) => {
                let (least, most) = SLOW_DOWN_BOUNDS;
                let wait = wait.unwrap_or(SLOW_DOWN).clamp(least, most);
                if current {
                    self.count(now);
                }
                if self.failing {
                    self.shut(now, wait.max(pause(chance)), true);
                } else {
                    self.shut(now, wait, false);
                }
            }
            Sign::Taken | Sign::Failed | Sign::Silent => {}
        }
    }

    /// Frees the place of a hand-over that says nothing.
    pub fn give_back(&mut self, pass: &Pass) {
        if pass.period == self.period
            && let Stage::OneByOne { busy } = &mut self.stage
        {
            *busy = false;
        }
    }

    /// Until when nothing may begin; `None`: something may.
    pub fn shut_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.stage {
            // A clock that was set back ends the wait: nobody knows any more how long it is.
            Stage::Shut { since, until, .. } if (since..until).contains(&now) => Some(until),
            _ => None,
        }
    }

    /// Whether a free one would be let through now.
    pub fn is_free(&self, now: Timestamp) -> bool {
        self.shut_until(now).is_none() && !matches!(self.stage, Stage::OneByOne { busy: true })
    }

    /// Whether it has opened and no success has come since.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// What it lets through now.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.stage {
            Stage::Closed => BreakerState::Closed,
            Stage::Shut { failing, .. } if self.shut_until(now).is_some() => {
                if failing {
                    BreakerState::Open
                } else {
                    BreakerState::Throttled
                }
            }
            Stage::OneByOne { .. } | Stage::Shut { .. } => BreakerState::HalfOpen,
        }
    }

    fn count(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let first = *self.first_failure.get_or_insert(now);
        let lasting = now.duration_since(first) >= PATIENCE;
        self.failing |=
            self.failures >= MOST_FAILURES || (self.failures >= LEAST_FAILURES && lasting);
    }

    /// Shuts it, or makes the wait longer.
    fn shut(&mut self, now: Timestamp, wait: Duration, failing: bool) {
        let asked = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let until = self.shut_until(now).map_or(asked, |until| until.max(asked));
        self.stage = Stage::Shut {
            since: now,
            until,
            failing,
        };
        self.period += 1;
    }
}

fn pause(chance: f64) -> Duration {
    PAUSE.mul_f64(1.0 + JITTER * chance)
}

#[cfg(test)]
mod tests;

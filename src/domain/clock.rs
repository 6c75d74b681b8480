//! Time, and the only home of `now()`.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// What time it is. Everything below the flows takes the time as an argument.
pub trait Clock: Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// How long to sleep in real time until this clock shows `instant`; zero when it has passed.
    fn until(&self, instant: Timestamp) -> Duration;
}

fn distance(now: Timestamp, instant: Timestamp) -> Duration {
    Duration::try_from(instant.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// The system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the home of now()")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn until(&self, instant: Timestamp) -> Duration {
        distance(self.now(), instant)
    }
}

/// How long something takes, by the clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the home of now()")]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that starts at a fixed instant and runs faster than the world, for demonstrations.
#[derive(Debug)]
pub struct FastClock {
    start: Timestamp,
    origin: Instant,
    speed: f64,
}

impl FastClock {
    /// Starts at `start` now, running `speed` times as fast as real time; a speed below 1 counts as 1.
    #[expect(clippy::disallowed_methods, reason = "the home of now()")]
    pub fn new(start: Timestamp, speed: f64) -> Self {
        Self {
            start,
            origin: Instant::now(),
            speed: speed.max(1.0),
        }
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.origin.elapsed().mul_f64(self.speed);
        self.start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    fn until(&self, instant: Timestamp) -> Duration {
        distance(self.now(), instant).div_f64(self.speed)
    }
}

/// A clock that stands still until it is moved, for tests and for running history in virtual time.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
}

impl ManualClock {
    /// Stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: Mutex::new(now),
        }
    }

    /// Moves to `instant`; it does not move back.
    pub fn advance_to(&self, instant: Timestamp) {
        let mut now = self
            .now
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = (*now).max(instant);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self
            .now
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Looks again soon: nobody knows when the clock will be moved.
    fn until(&self, instant: Timestamp) -> Duration {
        if instant <= self.now() {
            Duration::ZERO
        } else {
            Duration::from_millis(2)
        }
    }
}

//! Time, and the only home of `now()`.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
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

/// An answer that took longer says too little about the time.
const PRECISE: Duration = Duration::from_secs(1);

/// A clock that several machines share, as far as it was last asked: from then on by the clock that never jumps. Nobody else's clock is
/// asked while this one is right, so machines whose own clocks differ do not differ by it.
#[derive(Debug)]
pub struct SharedClock {
    /// Shown until the shared one was asked.
    own: Arc<dyn Clock>,
    asked: Mutex<Option<(Timestamp, Stopwatch)>>,
}

impl SharedClock {
    /// Shows `own` until it is put right.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        Self {
            own,
            asked: Mutex::default(),
        }
    }

    /// The shared clock showed `shared` some time since it was asked.
    pub fn put_right(&self, shared: Timestamp, since_asked: Stopwatch) {
        let took = since_asked.elapsed();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if took > PRECISE && asked.is_some() {
            return;
        }
        *asked = shared
            .checked_add(took / 2)
            .ok()
            .map(|now| (now, Stopwatch::start()));
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Some((then, since)) => then.checked_add(since.elapsed()).unwrap_or(Timestamp::MAX),
            None => self.own.now(),
        }
    }

    fn until(&self, instant: Timestamp) -> Duration {
        distance(self.now(), instant)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_clock_goes_by_what_it_was_told_and_not_by_our_own() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let own = Arc::new(ManualClock::new(at("2026-11-23T11:00:00Z")));
        let clock = SharedClock::new(own.clone());
        assert_eq!(clock.now(), own.now(), "nobody has said otherwise yet");
        let right = at("2026-11-23T10:58:30Z");
        clock.put_right(right, Stopwatch::start());
        own.advance_to(at("2026-11-24T11:00:00Z"));
        let ahead = clock.now().duration_since(right);
        assert!(!ahead.is_negative() && ahead.as_secs() < 60, "{ahead}");
        assert!(clock.until(at("2026-11-23T11:58:30Z")) > Duration::from_secs(3_500));
        // An answer that was long under way is not believed.
        let late = Stopwatch {
            started: Stopwatch::start().started - 2 * PRECISE,
        };
        clock.put_right(at("2027-01-01T00:00:00Z"), late);
        assert!(clock.now() < at("2026-11-23T11:58:30Z"));
    }
}

//! How many messages a provider takes in a time, as an operator writes it, and the slices in which processes are given leave.
//!
//! Promise: in any time T all processes together are given leave for no more than the rate times T, one slice and one message more.
//! It gives no leave itself: the store keeps up to when leave was given, the gate hands it to workers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::channel::Lane;

/// How long a slice is: what is leased at once, and how late leave may be used.
pub const SLICE: Duration = Duration::from_millis(200);
/// The most that a limit may allow in a second; beyond it none is needed.
pub const MOST_A_SECOND: u32 = 10_000;
/// The units of time that a limit may be written with.
const UNITS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3_600)];

/// A limit: so many messages in such a time, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    messages: u32,
    unit: &'static str,
    seconds: u64,
}

/// What a limit looks like, said to whoever wrote another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "messages in a time, such as \"50/s\", \"600/min\" or \"1000/h\", at most 10000 a second, or \"\" for no limit"
)]
pub struct NotARate;

impl Rate {
    /// From one message to the next, in whole microseconds, never shorter than it should be.
    pub fn interval(self) -> Duration {
        let micros = self.seconds.saturating_mul(1_000_000);
        Duration::from_micros(micros.div_ceil(u64::from(self.messages)))
    }

    /// How many messages a time has room for; at least one.
    pub fn within(self, time: Duration) -> u32 {
        let many = time.as_micros() / self.interval().as_micros().max(1);
        u32::try_from(many).unwrap_or(u32::MAX).max(1)
    }

    /// How long a slice lasts: [`SLICE`], or one message's time where that is longer.
    pub fn slice_time(self) -> Duration {
        SLICE.max(self.interval())
    }

    /// The most that is leased at once.
    pub fn slice(self) -> u32 {
        self.within(self.slice_time())
    }

    /// How far ahead of the present leave may be given already when a lane asks for more. The less a lane waits for others the farther:
    /// where upper lanes take all there is, nothing is left near enough for bulk.
    pub fn ahead(self, lane: Lane) -> Duration {
        let slice = self.slice_time();
        match lane {
            Lane::Critical => slice * 4,
            Lane::Transactional => slice * 2,
            Lane::Bulk => slice,
        }
    }

    /// Farther ahead than anybody is ever given leave: a clock was set back.
    pub fn beyond(self) -> Duration {
        self.ahead(Lane::Critical) + self.slice_time() * 2
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (number, word) = text.split_once('/').ok_or(NotARate)?;
        let (unit, seconds) = UNITS
            .into_iter()
            .find(|(unit, _)| *unit == word)
            .ok_or(NotARate)?;
        let messages: u32 = number.parse().map_err(|_| NotARate)?;
        let most = u64::from(MOST_A_SECOND) * seconds;
        if messages == 0 || u64::from(messages) > most || number.starts_with('+') {
            return Err(NotARate);
        }
        Ok(Self {
            messages,
            unit,
            seconds,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.messages, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_and_written() {
        for text in ["1/h", "50/s", "600/min", "10000/s", "36000000/h"] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
        }
        for text in [
            "",
            "50",
            "0/s",
            "-1/s",
            "+5/s",
            "1.5/s",
            "50/d",
            "10001/s",
            "50 / s",
            "/s",
            "99999999999/h",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(NotARate), "{text}");
        }
    }

    #[test]
    fn slices_are_small_and_never_empty() {
        let of = |text: &str| text.parse::<Rate>().unwrap();
        let fast = of("50/s");
        assert_eq!(fast.interval(), Duration::from_millis(20));
        assert_eq!((fast.slice(), fast.slice_time()), (10, SLICE));
        assert_eq!(fast.within(Duration::from_secs(60)), 3_000);
        let slow = of("2/min");
        assert_eq!(
            (slow.slice(), slow.slice_time()),
            (1, Duration::from_secs(30))
        );
        assert_eq!(of("3/s").interval(), Duration::from_micros(333_334));
        let lanes = Lane::ALL.iter().map(|lane| fast.ahead(*lane));
        assert!(lanes.is_sorted_by(|upper, lower| upper > lower));
    }
}

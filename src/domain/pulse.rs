//! Whether this process may hand over. Others take over the work of a process whose heartbeat they have not seen for a while;
//! one that was paused, or cut off from the store, must notice that by itself, by a clock that went on meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Stopwatch;

/// The age of this process's last heartbeat, shared by the flow that beats and those who hand over.
#[derive(Debug)]
pub struct Pulse {
    watch: Stopwatch,
    /// `None`: nobody takes over from this process while it lives.
    limit: Option<Duration>,
    /// When the newest heartbeat that was written had been begun, in milliseconds by the watch.
    newest: AtomicU64,
}

impl Pulse {
    /// Of a process that shares its store with nobody: it may always.
    pub fn alone() -> Self {
        Self {
            watch: Stopwatch::start(),
            limit: None,
            newest: AtomicU64::new(0),
        }
    }

    /// Of a process whose work others may take over once its heartbeat is older than `limit`. It counts as beating from now on.
    pub fn watched(limit: Duration) -> Self {
        Self {
            limit: Some(limit),
            ..Self::alone()
        }
    }

    /// When a heartbeat is begun: what [`Pulse::beat`] takes once it is written.
    pub fn begin(&self) -> Duration {
        self.watch.elapsed()
    }

    /// A heartbeat that was begun then has been written.
    pub fn beat(&self, begun: Duration) {
        let millis = u64::try_from(begun.as_millis()).unwrap_or(u64::MAX);
        self.newest.fetch_max(millis, Ordering::SeqCst);
    }

    /// Whether a hand-over may go on: the last heartbeat is younger than half the limit. The other half is for those who take over.
    pub fn may_send(&self) -> bool {
        let newest = Duration::from_millis(self.newest.load(Ordering::SeqCst));
        let age = self.watch.elapsed().saturating_sub(newest);
        self.limit.is_none_or(|limit| age < limit / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_half_way_to_the_limit_and_goes_on_with_the_next_beat() {
        let pulse = Pulse::watched(Duration::from_millis(200));
        assert!(pulse.may_send());
        std::thread::sleep(Duration::from_millis(110));
        assert!(!pulse.may_send());
        pulse.beat(pulse.begin());
        assert!(pulse.may_send());
        // One that was begun long before says little about now.
        let late = Pulse::watched(Duration::from_millis(200));
        let begun = late.begin();
        std::thread::sleep(Duration::from_millis(110));
        late.beat(begun);
        assert!(!late.may_send());
        assert!(Pulse::alone().may_send());
    }
}

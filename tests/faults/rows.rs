//! How the rows of the fault matrix are run that need the program as a process.

use std::pin::Pin;

use crate::report::Run;
use crate::trial::Pace;

#[path = "rows/clock.rs"]
pub(crate) mod clock;
#[path = "rows/kills.rs"]
pub(crate) mod kills;
#[path = "rows/memory.rs"]
pub(crate) mod memory;
#[path = "rows/panics.rs"]
pub(crate) mod panics;
#[path = "rows/power.rs"]
pub(crate) mod power;
#[path = "rows/shortage.rs"]
pub(crate) mod shortage;
#[path = "rows/stops.rs"]
pub(crate) mod stops;
#[path = "rows/zones.rs"]
pub(crate) mod zones;

/// What came of a round.
pub(crate) enum Done {
    Run(Run),
    /// This machine cannot; the reason.
    Skipped(String),
}

type Round = Pin<Box<dyn Future<Output = Done> + Send>>;

/// How a row is run.
pub(crate) struct Runner {
    pub(crate) name: &'static str,
    /// How many a round has at most: each round has a store of its own and is judged by itself.
    pub(crate) round: u64,
    /// One round of so many.
    pub(crate) run: fn(u64, Pace) -> Round,
}

const ALL: &[Runner] = &[
    Runner {
        name: "F1",
        round: 25,
        run: |count, pace| Box::pin(kills::at_random(count, pace)),
    },
    Runner {
        name: "F2",
        round: 45,
        run: |count, pace| Box::pin(kills::at_points(count, pace)),
    },
    Runner {
        name: "F6",
        round: 25,
        run: |count, pace| Box::pin(power::cuts(count, pace)),
    },
    Runner {
        name: "F7",
        round: 16,
        run: |count, pace| Box::pin(shortage::rounds(count, pace)),
    },
    Runner {
        name: "F17",
        round: 250,
        run: |count, pace| Box::pin(panics::in_handovers(count, pace)),
    },
    Runner {
        name: "F18",
        round: 10,
        run: |count, pace| Box::pin(stops::under_load(count, pace)),
    },
    Runner {
        name: "F21",
        round: 16,
        run: |count, pace| Box::pin(clock::steps(count, pace)),
    },
    // All zones, whatever the count.
    Runner {
        name: "F22",
        round: u64::MAX,
        run: |_, pace| Box::pin(zones::compare(pace)),
    },
    Runner {
        name: "F23",
        round: 5,
        run: |count, pace| Box::pin(memory::kills(count, pace)),
    },
];

/// `None` for a row that `tests/delivery` runs.
pub(crate) fn named(name: &str) -> Option<&'static Runner> {
    ALL.iter().find(|row| row.name == name)
}

//! The rows of the fault matrix that are run here.

use std::pin::Pin;

use crate::report::Run;
use crate::trial::Pace;

#[path = "rows/kills.rs"]
pub(crate) mod kills;
#[path = "rows/memory.rs"]
pub(crate) mod memory;
#[path = "rows/power.rs"]
pub(crate) mod power;
#[path = "rows/stops.rs"]
pub(crate) mod stops;

/// What came of a round.
pub(crate) enum Done {
    Run(Run),
    /// This machine cannot; the reason.
    Skipped(String),
}

type Round = Pin<Box<dyn Future<Output = Done> + Send>>;

/// A fault and what must hold under it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// A sentence.
    pub(crate) promise: &'static str,
    /// How many deaths make it believable, and what they are called.
    pub(crate) wanted: u64,
    pub(crate) unit: &'static str,
    /// How many deaths a round has at most: each round has a store of its own and is judged by itself.
    pub(crate) round: u64,
    /// One round of this many deaths.
    pub(crate) run: fn(u64, Pace) -> Round,
}

pub(crate) const ALL: &[Row] = &[
    Row {
        name: "F1",
        promise: "kill -9 at any moment: nothing acknowledged is lost, nothing is doubled but what was being handed over",
        wanted: 1_000,
        unit: "kills",
        round: 25,
        run: |count, pace| Box::pin(kills::at_random(count, pace)),
    },
    Row {
        name: "F2",
        promise: "kill -9 at each named point: the same",
        wanted: 450,
        unit: "kills",
        round: 45,
        run: |count, pace| Box::pin(kills::at_points(count, pace)),
    },
    Row {
        name: "F6",
        promise: "power cut: whatever was acknowledged is on the disk, and the store is whole",
        wanted: 500,
        unit: "cuts",
        round: 25,
        run: |count, pace| Box::pin(power::cuts(count, pace)),
    },
    Row {
        name: "F18",
        promise: "SIGTERM under load with clients that hang: exit 0 within the deadline, nothing lost, nothing left open",
        wanted: 200,
        unit: "stops",
        round: 10,
        run: |count, pace| Box::pin(stops::under_load(count, pace)),
    },
    Row {
        name: "F23",
        promise: "killed for want of memory: nothing acknowledged is lost",
        wanted: 20,
        unit: "kills",
        round: 5,
        run: |count, pace| Box::pin(memory::kills(count, pace)),
    },
];

pub(crate) fn named(name: &str) -> &'static Row {
    let found = ALL.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("there is no row {name}"))
}

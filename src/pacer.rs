//! L4: leases leave from the store for the providers that have a limit, as much as this process's workers wait for.
//!
//! While the store does not answer nothing is leased, and what waits goes on waiting.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::domain::channel::Lane;
use crate::event;
use crate::gate::{Gate, Gates, Turns};
use crate::store::{Lease, LeaseRequest, Store};

/// How long to wait before asking a store again that did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Keeps the gates in turns.
#[derive(Clone)]
pub struct Pacer {
    store: Arc<dyn Store>,
    gates: Arc<Gates>,
}

impl Pacer {
    /// A pacer for these gates.
    pub fn new(store: Arc<dyn Store>, gates: Arc<Gates>) -> Self {
        Self { store, gates }
    }

    /// Leases until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let limited = self
            .gates
            .all()
            .filter_map(|gate| Some(self.pace(gate, gate.turns()?)));
        tokio::select! {
            () = stop.cancelled() => {}
            _ = join_all(limited) => stop.cancelled().await,
        }
    }

    async fn pace(&self, gate: &Gate, turns: &Turns) {
        // The lane that was told to wait, and how long.
        let mut told: Option<(Lane, Duration)> = None;
        loop {
            let wish = match told.take() {
                None => turns.wish(None).await,
                Some((lane, pause)) => tokio::select! {
                    () = tokio::time::sleep(pause) => turns.wish(None).await,
                    wish = turns.wish(Some(lane)) => wish,
                },
            };
            let request = LeaseRequest {
                provider: gate.name(),
                rate: turns.rate(),
                lane: wish.lane,
                permits: wish.permits,
            };
            match self.store.lease(request).await {
                Ok(Lease::Given { permits, first }) => turns.give(first, permits),
                Ok(Lease::NotBefore(pause)) => told = Some((wish.lane, pause)),
                Err(error) => {
                    event::store_failed("pacer", &error);
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }
}

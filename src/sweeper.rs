//! L4: drops what has ended long ago, in small steps with rests between them, so that nobody waits for it. Several may run; the store
//! lets one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;
use crate::event;
use crate::store::{Retention, Store, StoreResult, Sweep};

/// Between two sweeps.
const PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// Between two steps of one.
const REST: Duration = Duration::from_millis(20);

/// Drops what is old.
#[derive(Clone)]
pub struct Sweeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention: Retention,
}

impl Sweeper {
    /// A sweeper that keeps what has ended for so long.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, retention: Retention) -> Self {
        Self {
            store,
            clock,
            retention,
        }
    }

    /// Sweeps now and then, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.sweep(&stop).await {
                event::store_failed("sweeper", &error);
            }
            if rested(PAUSE, &stop).await.is_none() {
                return;
            }
        }
    }

    async fn sweep(&self, stop: &CancellationToken) -> StoreResult<()> {
        let mut at = Some(Sweep::default());
        while let Some(place) = at {
            // What an operator has yet to judge stays as the copy shows it.
            if self.store.hold().borrow().is_some() {
                return Ok(());
            }
            let swept = self
                .store
                .sweep(place, self.retention, self.clock.now())
                .await?;
            if swept.dropped > 0 {
                event::dropped(swept.table, swept.dropped);
            }
            at = swept.next;
            if rested(REST, stop).await.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// `None` when `stop` came first.
async fn rested(rest: Duration, stop: &CancellationToken) -> Option<()> {
    tokio::select! {
        () = stop.cancelled() => None,
        () = tokio::time::sleep(rest) => Some(()),
    }
}

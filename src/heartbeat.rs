//! L4: says to the store, again and again, that this process lives, as long as it may be handing something over. A store that several
//! machines share tells its time in return.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::clock::{SharedClock, Stopwatch};
use crate::domain::pulse::Pulse;
use crate::event;
use crate::store::{Store, StoreResult};

/// How often it is said.
const BEAT: Duration = Duration::from_secs(2);

/// The heartbeat of this process.
#[derive(Clone)]
pub struct Heartbeat {
    store: Arc<dyn Store>,
    pulse: Arc<Pulse>,
    clock: Option<Arc<SharedClock>>,
}

impl Heartbeat {
    /// A heart that has not beaten yet; with a clock that goes by the store's, if there is one.
    pub fn new(store: Arc<dyn Store>, pulse: Arc<Pulse>, clock: Option<Arc<SharedClock>>) -> Self {
        Self {
            store,
            pulse,
            clock,
        }
    }

    /// Beats once.
    ///
    /// # Errors
    /// The store did not write it down.
    pub async fn beat(&self) -> StoreResult<()> {
        let (begun, asked) = (self.pulse.begin(), Stopwatch::start());
        let told = self.store.beat().await?;
        self.pulse.beat(begun);
        if let (Some(clock), Some(time)) = (&self.clock, told) {
            clock.put_right(time, asked);
        }
        Ok(())
    }

    /// Beats until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.beat().await {
                event::store_failed("heartbeat", &error);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }
}

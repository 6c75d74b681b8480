//! L4: says to the store, again and again, that this process lives, as long as it may be handing something over.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

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
}

impl Heartbeat {
    /// A heart that has not beaten yet.
    pub fn new(store: Arc<dyn Store>, pulse: Arc<Pulse>) -> Self {
        Self { store, pulse }
    }

    /// Beats once.
    ///
    /// # Errors
    /// The store did not write it down.
    pub async fn beat(&self) -> StoreResult<()> {
        let begun = self.pulse.begin();
        self.store.beat().await?;
        self.pulse.beat(begun);
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

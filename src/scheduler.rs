//! L4: what has come due goes back to the planner: send times, quiet hours, budgets, pauses. What has expired is
//! ended, whoever it waits for. Any number may run; the store decides each row once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;
use crate::event;
use crate::store::bell::Bell;
use crate::store::{Plans, Store, StoreResult};

/// Changes that come within this time are looked at together. What is due when it is accepted is decided there and then, so this is
/// only for what a change brings back.
const GATHER: Duration = Duration::from_millis(10);
/// How many notifications are decided in one transaction.
const BATCH: u32 = 256;

/// Brings back what is due.
#[derive(Clone)]
pub struct Scheduler {
    store: Arc<dyn Store>,
    plans: Arc<dyn Plans>,
    clock: Arc<dyn Clock>,
}

impl Scheduler {
    /// A scheduler over these parts.
    pub fn new(store: Arc<dyn Store>, plans: Arc<dyn Plans>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            plans,
            clock,
        }
    }

    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut bell = Bell::new(self.store.clone(), self.clock.clone(), GATHER);
        loop {
            if let Err(error) = self.pass(&stop).await {
                event::store_failed("scheduler", &error);
            }
            if !bell.wait(&stop).await {
                return;
            }
        }
    }

    async fn pass(&self, stop: &CancellationToken) -> StoreResult<()> {
        while !stop.is_cancelled() {
            let planned = self
                .store
                .plan_due(self.clock.now(), BATCH, self.plans.clone())
                .await?;
            if planned == 0 {
                break;
            }
        }
        while !stop.is_cancelled() && self.store.end_expired(self.clock.now()).await? > 0 {}
        Ok(())
    }
}

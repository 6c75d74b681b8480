//! A bell that rings when the store has changed or something in it has come due: what relay and scheduler sleep on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Store;
use crate::domain::clock::Clock;

/// The longest sleep: a change that rings no bell (another process's) is seen after it.
const PATIENCE: Duration = Duration::from_millis(500);
/// After a change others follow closely; taking them together saves work.
const GATHER: Duration = Duration::from_millis(2);
/// Rings when the store has changed or something has come due.
pub struct Bell {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    changes: watch::Receiver<i64>,
}

impl Bell {
    /// A bell on this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let changes = store.sequence();
        Self {
            store,
            clock,
            changes,
        }
    }

    /// Waits for a change, the next due time or the end of patience; `false` when `stop` came first.
    pub async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let now = self.clock.now();
        let ahead = |due: Timestamp| {
            if due > now {
                self.clock.until(due)
            } else {
                PATIENCE
            }
        };
        let sleep = match self.store.next_due().await {
            Ok(due) => due.map_or(PATIENCE, ahead).min(PATIENCE),
            Err(_) => PATIENCE,
        };
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(sleep) => {}
            changed = self.changes.changed() => {
                if changed.is_err() {
                    return false;
                }
                tokio::time::sleep(GATHER).await;
            }
        }
        !stop.is_cancelled()
    }
}

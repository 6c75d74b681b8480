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

/// Rings when the store has changed or something has come due.
pub struct Bell {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    changes: watch::Receiver<i64>,
    /// What was due at this time has been looked at since.
    looked: Timestamp,
    /// After a change others follow closely; taking them together saves work.
    gather: Duration,
}

impl Bell {
    /// A bell on this store that rings once for all changes within `gather`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, gather: Duration) -> Self {
        let (changes, looked) = (store.sequence(), clock.now());
        Self {
            store,
            clock,
            changes,
            looked,
            gather,
        }
    }

    /// Waits for a change, the next due time or the end of patience; `false` when `stop` came first.
    pub async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let sleep = match self.store.next_due().await {
            Ok(due) => due.map_or(PATIENCE, |due| self.ahead(due)).min(PATIENCE),
            Err(_) => PATIENCE,
        };
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(sleep) => {}
            changed = self.changes.changed() => {
                if changed.is_err() {
                    return false;
                }
                tokio::time::sleep(self.gather).await;
            }
        }
        self.looked = self.clock.now();
        !stop.is_cancelled()
    }

    /// How long to sleep for what is due at `due`: not at all when it came due after the last look. What was due before and still
    /// is waits for a worker, not for us.
    fn ahead(&self, due: Timestamp) -> Duration {
        if due > self.looked {
            self.clock.until(due)
        } else {
            PATIENCE
        }
    }
}

//! Connections that only read. Each is lent to one blocking task at a time; the writer never waits for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::folder::connect_reader;
use super::session::SqliteSession;
use crate::store::StoreResult;
use crate::store::ledger::batch::closed;
use crate::store::ledger::session::{Session, corrupt};

/// How many reads run at once.
const READERS: u32 = 4;

pub(super) struct Readers {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

struct Shared {
    file: PathBuf,
    idle: Mutex<Vec<SqliteSession>>,
}

impl Shared {
    fn lend(&self) -> StoreResult<SqliteSession> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(session) => Ok(session),
            None => Ok(SqliteSession {
                conn: connect_reader(&self.file)?,
            }),
        }
    }

    fn take_back(&self, session: SqliteSession) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(session);
    }
}

impl Readers {
    pub(super) fn new(file: PathBuf) -> Self {
        Self {
            shared: Arc::new(Shared {
                file,
                idle: Mutex::default(),
            }),
            permits: Arc::new(Semaphore::new(READERS as usize)),
        }
    }

    /// Runs a read of one statement.
    pub(super) async fn read<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Session) -> StoreResult<T> + Send + 'static,
    {
        self.lend(move |session| read(session)).await
    }

    async fn lend<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteSession) -> StoreResult<T> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| closed())?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let mut session = shared.lend()?;
            // A connection that was lent to code that panicked is not taken back.
            let found = read(&mut session);
            shared.take_back(session);
            drop(permit);
            found
        });
        task.await
            .unwrap_or_else(|_| Err(corrupt("a read of the store panicked")))
    }

    /// Runs a read of several statements, which all see the same state.
    pub(super) async fn snapshot<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Session) -> StoreResult<T> + Send + 'static,
    {
        self.lend(move |session| {
            session.command("BEGIN")?;
            let found = read(session);
            // Nothing was written: ending it can change nothing.
            let _ = session.command("ROLLBACK");
            found
        })
        .await
    }

    /// Waits for the reads that run; later ones are refused.
    pub(super) async fn close(&self) {
        let _all = self.permits.acquire_many(READERS).await;
        self.permits.close();
        let mut idle = self
            .shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.clear();
    }
}

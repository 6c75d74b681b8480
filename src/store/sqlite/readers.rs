//! Connections that only read. Each is lent to one blocking task at a time; the writer never waits for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::corrupt;
use super::folder::connect_reader;
use super::writer::closed;
use crate::store::StoreResult;

/// How many reads run at once.
const READERS: u32 = 4;

pub(super) struct Readers {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

struct Shared {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Shared {
    fn lend(&self) -> StoreResult<Connection> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(conn) => Ok(conn),
            None => Ok(connect_reader(&self.file)?),
        }
    }

    fn take_back(&self, conn: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(conn);
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
        F: FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| closed())?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let conn = shared.lend()?;
            // A connection that was lent to code that panicked is not taken back.
            let found = read(&conn);
            shared.take_back(conn);
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
        F: FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    {
        self.read(move |conn| {
            let transaction = conn.unchecked_transaction()?;
            read(&transaction)
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

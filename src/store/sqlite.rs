//! L2, the embedded store: one SQLite file in a folder that belongs to one process.
//!
//! Promise: what returns `Ok` has been synced to disk (`synchronous=FULL`). Writes go through one task that folds all that
//! arrive together into one commit (`writer`); reads have their own connections and never wait for it. The folder is locked:
//! whoever opened it knows that every other process that used it is dead.
//!
//! It knows no rule: what is written and read is the ledger's.

use std::path::Path;

use jiff::Timestamp;
use tokio::sync::watch;

pub use self::folder::OpenError;
use self::folder::{connect_writer, identify, lock, migrate, newest_event};
use self::readers::Readers;
use self::session::SqliteSession;
use self::writer::Pen;
use super::StoreResult;
use super::ledger::Engine;
use super::ledger::batch::Writer;
use super::ledger::fetching::Fetching;
use super::ledger::session::Session;

mod error;
mod folder;
mod readers;
mod session;
mod writer;

#[cfg(test)]
mod tests;

/// The embedded store.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    fetching: Fetching,
    sequence: watch::Receiver<i64>,
    secret: [u8; 32],
    generation: String,
}

impl SqliteStore {
    /// Opens the store in `folder`, making it when it is not there, and locks it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(folder: &Path, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_limited(folder, now, None).await
    }

    /// Like [`SqliteStore::open`], with a limit on the file: beyond `max_bytes` writes are refused as
    /// [`StoreError::Full`](super::StoreError::Full).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_limited(
        folder: &Path,
        now: Timestamp,
        max_bytes: Option<u64>,
    ) -> Result<Self, OpenError> {
        let folder = folder.to_owned();
        let opening = tokio::task::spawn_blocking(move || open(&folder, now, max_bytes));
        opening
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// The key of all hashes that stand for people in this store.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Names this store: a copy that was restored from a backup has the same, a new one another.
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// Ends the store: what was asked before is written, what is asked later is refused, and the folder is free when this
    /// returns. Dropping the store does the same without waiting.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Opens the store on a thread that may wait for the disk.
fn open(folder: &Path, now: Timestamp, max_bytes: Option<u64>) -> Result<SqliteStore, OpenError> {
    let lock = lock(folder)?;
    let file = folder.join("tidings.db");
    let mut conn = connect_writer(&file, max_bytes)?;
    migrate(&mut conn)?;
    let (secret, generation) = identify(&conn, now)?;
    let (announce, sequence) = watch::channel(newest_event(&conn)?);
    let (writer, waiting) = Writer::new();
    let pen = Pen {
        session: SqliteSession { conn },
        secret,
        sequence: announce,
        scrub: false,
    };
    pen.start(waiting, lock)
        .map_err(|source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
    Ok(SqliteStore {
        writer,
        readers: Readers::new(file),
        fetching: Fetching::default(),
        sequence,
        secret,
        generation,
    })
}

impl Engine for SqliteStore {
    fn writer(&self) -> &Writer {
        &self.writer
    }

    fn fetching(&self) -> &Fetching {
        &self.fetching
    }

    async fn read<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Session) -> StoreResult<T> + Send + 'static,
    {
        self.readers.read(read).await
    }

    async fn snapshot<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Session) -> StoreResult<T> + Send + 'static,
    {
        self.readers.snapshot(read).await
    }

    fn key(&self) -> &[u8; 32] {
        &self.secret
    }

    fn news(&self) -> watch::Receiver<i64> {
        self.sequence.clone()
    }
}

//! L2, the embedded store: one SQLite file in a folder that belongs to one process.
//!
//! Promise: what returns `Ok` has been synced to disk (`synchronous=FULL`). Writes go through one task that folds all that
//! arrive together into one commit (`writer`); reads have their own connections and never wait for it. The folder is locked:
//! whoever opened it knows that every other process that used it is dead.
//! A file that is not the one that was used last, or that lacks what was seen in it, is held until an operator has spoken (`witness`).
//!
//! It knows no rule: what is written and read is the ledger's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

pub use self::folder::OpenError;
use self::folder::{connect_writer, home, identify, lock, migrate, newest_event};
use self::readers::Readers;
use self::session::SqliteSession;
use self::writer::Pen;
use super::StoreResult;
use super::ledger::Engine;
use super::ledger::batch::Writer;
use super::ledger::fetching::Fetching;
use super::ledger::meta::{Standing, examine};
use super::ledger::session::Session;
use super::witness::Witness;
use crate::domain::hold::HoldReason;
use crate::event;

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
    file: PathBuf,
    holding: watch::Sender<Option<HoldReason>>,
    witness: Arc<Witness>,
}

impl SqliteStore {
    /// Opens the store in `folder`, making it when it is not there, and locks it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(folder: &Path, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_as(folder, now, Opening::default()).await
    }

    /// Like [`SqliteStore::open`], with a limit on the file, or held.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_as(
        folder: &Path,
        now: Timestamp,
        opening: Opening,
    ) -> Result<Self, OpenError> {
        let folder = folder.to_owned();
        let opening = tokio::task::spawn_blocking(move || open(&folder, now, opening));
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

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    /// Beyond this many bytes writes are refused as [`StoreError::Full`](super::StoreError::Full); `None`: no limit.
    pub max_bytes: Option<u64>,
    /// It is to be held until an operator lets it go on.
    pub paused: bool,
}

/// Opens the store on a thread that may wait for the disk.
fn open(folder: &Path, now: Timestamp, opening: Opening) -> Result<SqliteStore, OpenError> {
    let lock = lock(folder)?;
    let file = folder.join("tidings.db");
    let mut conn = connect_writer(&file, opening.max_bytes)?;
    migrate(&mut conn)?;
    let (secret, generation) = identify(&conn, now)?;
    let witness = Arc::new(Witness::open(Some(folder)));
    let standing = Standing {
        generation: generation.clone(),
        seen: witness.seen(),
        newest: newest_event(&conn)?,
        home: home(&file),
        asked: opening.paused,
    };
    let mut session = SqliteSession { conn };
    let held = examine(&mut session, &witness, standing, |before, here| {
        before == here
    })
    .map_err(OpenError::Standing)?;
    let (announce, sequence) = watch::channel(newest_event(&session.conn)?);
    let (writer, waiting) = Writer::new();
    let pen = Pen {
        session,
        secret,
        sequence: announce,
        witness: Arc::clone(&witness),
        scrub: false,
    };
    pen.start(waiting, lock)
        .map_err(|source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
    event::store_held(held);
    Ok(SqliteStore {
        writer,
        readers: Readers::new(file.clone()),
        fetching: Fetching::default(),
        sequence,
        secret,
        generation,
        file,
        holding: watch::channel(held).0,
        witness,
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

    fn name(&self) -> &str {
        &self.generation
    }

    async fn home(&self) -> StoreResult<Option<String>> {
        let file = self.file.clone();
        let home = tokio::task::spawn_blocking(move || home(&file));
        Ok(home.await.unwrap_or_default())
    }

    fn holding(&self) -> &watch::Sender<Option<HoldReason>> {
        &self.holding
    }

    fn witness(&self) -> &Witness {
        &self.witness
    }
}

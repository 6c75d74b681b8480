//! L2, the store of several processes: PostgreSQL 15 or newer. It runs the same ledger as the embedded store, with many writers.
//!
//! Promise: what returns `Ok` is committed, as durably as the server's `synchronous_commit` says. Read committed; whatever decides about
//! a customer holds the customer's row first, in one order (`ledger::locks`), so that two processes never give out the same room twice.
//! While the database is away everything fails within the deadline, and works again by itself when it is back.
//!
//! It needs a session of its own: a pooler in between must keep a connection to one client (session pooling), because prepared
//! statements, settings and advisory locks live in the connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use self::connection::Connector;
pub use self::connection::{Settings, Tls};
use self::guard::Guard;
use self::readers::Readers;
use self::session::PgSession;
use self::writer::Desk;
use super::ledger::batch::Writer;
use super::ledger::fetching::Fetching;
use super::ledger::session::Session;
use super::ledger::{Engine, lease};
use super::witness::Witness;
use super::{Lease, LeaseRequest, StoreError, StoreResult};
use crate::domain::hold::HoldReason;
use crate::domain::id::{Ids, ProcessId};

mod connection;
mod error;
mod guard;
mod readers;
mod schema;
mod session;
mod tls;
mod writer;

#[cfg(test)]
mod tests;

/// How soon another process's event is seen at the latest, and one of our own that waits for an older transaction at first.
const LOOK_LAST: Duration = Duration::from_millis(200);
const LOOK_FIRST: Duration = Duration::from_millis(4);
/// After how many looks that found news the planner is told what the tables look like: a new database fills faster than the server's
/// own rounds come by.
const TELL_AT: [u32; 4] = [20, 200, 2_000, 20_000];
const TELL: &str = "ANALYZE request, notification, history, detail, content, message, attempt, usage, collapse, customer, event";

/// Why a store could not be opened; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The certificates cannot be used.
    #[error("the certificates for the database cannot be used: {0}")]
    Certificates(String),
    /// It does not let us in, or is not there.
    #[error("the database cannot be used: {}", chain(.0))]
    Database(#[source] StoreError),
    /// The data was written by a newer version.
    #[error(
        "the database was written by a newer version (its schema has step {0}, which this version does not know): \
         run that version, or choose another database"
    )]
    Newer(i64),
    /// The schema is older than this version needs, and was not to be changed.
    #[error("the store's schema could not be brought up to date: {}", chain(.0))]
    Migrate(#[source] StoreError),
    /// The system has no randomness for the store's key.
    #[error("the system gave no randomness for the store's key: {0}")]
    Secret(String),
    /// The system gave no thread.
    #[error("the system gave no thread for the store: {0}")]
    Thread(#[from] std::io::Error),
}

/// An error with what caused it, in one line.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The store of several processes.
pub struct PostgresStore {
    writer: Writer,
    readers: Readers,
    fetching: Fetching,
    sequence: watch::Receiver<i64>,
    process: ProcessId,
    secret: [u8; 32],
    guard: Guard,
    /// Closes when every thread has ended.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
    /// Dropped to end the watching of events.
    _watching: tokio_util::sync::DropGuard,
}

/// What opening finds and makes, on a thread that may wait.
struct Opened {
    store: PostgresStore,
    watch: Watch,
}

impl PostgresStore {
    /// Opens the store, bringing its schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_as(settings, now, Opening::default()).await
    }

    /// The same with a folder of this process, or held.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_as(
        settings: &Settings,
        now: Timestamp,
        opening: Opening,
    ) -> Result<Self, OpenError> {
        let settings = settings.clone();
        let opening = tokio::task::spawn_blocking(move || open(&settings, now, &opening));
        let Opened { store, watch } = opening
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        tokio::spawn(watch.run());
        Ok(store)
    }

    /// Brings the schema up to date and does nothing else; returns how many steps that took.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn migrate(settings: &Settings, now: Timestamp) -> Result<usize, OpenError> {
        let settings = settings.clone();
        let migrating = tokio::task::spawn_blocking(move || {
            let process = Ids::new().process(now);
            let connector =
                Connector::try_new(&settings, process).map_err(OpenError::Certificates)?;
            let mut session = PgSession::new(Arc::new(connector))?;
            session.connect().map_err(OpenError::Database)?;
            let taken = schema::migrate(&mut session, now);
            session.close();
            taken
        });
        migrating
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// The key of all hashes that stand for people in this store.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Names this store: a copy that was restored from a backup has the same, a new one another.
    pub fn generation(&self) -> &str {
        &self.guard.generation
    }

    /// This process, as the others see it.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Ends the store: what was asked before is written, what is asked later is refused. A process that hands nothing over any more
    /// takes itself off the list; one that still does is found dead by the others in time.
    pub async fn close(&self) {
        self.writer.close().await;
        let process = self.process;
        let leaving = self.readers.run(false, move |session| {
            session.execute(&schema::LEAVE, &schema::process(&process))
        });
        // Without the database nobody can be told; the others will see.
        let _ = leaving.await;
        self.readers.close().await;
        let _ = self.ended.lock().await.recv().await;
    }
}

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Where this process remembers how far the store had come; `None`: it does not.
    pub folder: Option<PathBuf>,
    /// It is to be held until an operator lets it go on.
    pub paused: bool,
}

fn open(settings: &Settings, now: Timestamp, opening: &Opening) -> Result<Opened, OpenError> {
    let process = Ids::new().process(now);
    let connector = Connector::try_new(settings, process).map_err(OpenError::Certificates)?;
    let connector = Arc::new(connector);
    let mut first = PgSession::new(Arc::clone(&connector))?;
    first.connect().map_err(OpenError::Database)?;
    schema::migrate(&mut first, now)?;
    let (secret, generation) = schema::identify(&mut first, now)?;
    schema::beat(&mut first, &process).map_err(OpenError::Database)?;
    let guard = Guard {
        generation,
        witness: Arc::new(Witness::open(opening.folder.as_deref())),
        holding: watch::channel(None).0,
    };
    let standing = guard.open(&mut first, opening.paused);
    let newest = standing.and_then(|()| guard.watch(&mut first));
    let newest = newest.map_err(OpenError::Database)?;
    first.close();
    connector.watch_by(guard.clone());

    let news = Arc::new(Notify::new());
    let (announce, sequence) = watch::channel(newest);
    let (alive, ended) = mpsc::channel(1);
    let (writer, waiting) = Writer::new();
    let desk = Desk::new(waiting, secret, Arc::clone(&news));
    for _ in 0..settings.writers.max(1) {
        desk.start(PgSession::new(Arc::clone(&connector))?, alive.clone())?;
    }
    let sessions = (0..settings.readers.max(1))
        .map(|_| PgSession::new(Arc::clone(&connector)))
        .collect::<Result<Vec<_>, _>>()?;
    let readers = Readers::start(sessions, &alive)?;
    let stop = tokio_util::sync::CancellationToken::new();
    let watch = Watch {
        readers: readers.clone(),
        news,
        announce,
        guard: guard.clone(),
        stop: stop.clone(),
    };
    let store = PostgresStore {
        writer,
        readers,
        fetching: Fetching::default(),
        sequence,
        process,
        secret,
        guard,
        ended: tokio::sync::Mutex::new(ended),
        _watching: stop.drop_guard(),
    };
    Ok(Opened { store, watch })
}

/// Looks for events: at once when this process has written some, and every so often for those of others.
struct Watch {
    readers: Readers,
    news: Arc<Notify>,
    announce: watch::Sender<i64>,
    guard: Guard,
    stop: tokio_util::sync::CancellationToken,
}

impl Watch {
    async fn run(self) {
        let mut pause = LOOK_LAST;
        let mut finds = 0_u32;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.news.notified() => pause = LOOK_FIRST,
                // Ours may wait for an older transaction that still runs: we look sooner at first.
                () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(LOOK_LAST),
            }
            let guard = self.guard.clone();
            let looking = self.readers.run(false, move |session| guard.watch(session));
            if let Ok(newest) = looking.await {
                let found = self.announce.send_if_modified(|known| {
                    let newer = newest > *known;
                    *known = newest.max(*known);
                    newer
                });
                finds = finds.saturating_add(found.into());
                if found && TELL_AT.contains(&finds) {
                    let readers = self.readers.clone();
                    tokio::spawn(async move {
                        // If this fails the server tells it by itself, only later.
                        let _ = readers.run(false, |session| session.command(TELL)).await;
                    });
                }
            } else if self.readers.is_closed() {
                return;
            }
        }
    }
}

impl Engine for PostgresStore {
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
        self.readers.run(false, move |session| read(session)).await
    }

    async fn snapshot<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Session) -> StoreResult<T> + Send + 'static,
    {
        self.readers.run(true, move |session| read(session)).await
    }

    fn key(&self) -> &[u8; 32] {
        &self.secret
    }

    fn news(&self) -> watch::Receiver<i64> {
        self.sequence.clone()
    }

    fn name(&self) -> &str {
        &self.guard.generation
    }

    async fn home(&self) -> StoreResult<Option<String>> {
        self.readers.run(false, guard::home).await
    }

    fn holding(&self) -> &watch::Sender<Option<HoldReason>> {
        &self.guard.holding
    }

    fn witness(&self) -> &Witness {
        &self.guard.witness
    }

    async fn pulse(&self) -> StoreResult<Option<Timestamp>> {
        let process = self.process;
        self.readers
            .run(false, move |session| schema::beat(session, &process))
            .await
    }

    async fn leave(&self, request: LeaseRequest) -> StoreResult<Lease> {
        self.readers
            .run(false, move |session| lease(session, &request))
            .await
    }

    async fn room(&self, now: Timestamp) -> StoreResult<()> {
        self.readers
            .run(false, move |session| schema::make_room(session, now))
            .await
    }

    async fn drop_room(&self, cutoff: Timestamp) -> StoreResult<usize> {
        self.readers
            .run(false, move |session| schema::drop_room(session, cutoff))
            .await
    }
}

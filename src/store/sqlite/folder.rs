//! The data folder: its lock, its file, its schema, its key. Knows nothing of what the tables mean.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use crate::domain::hex::hex;
use crate::domain::id::secret_bytes;
use crate::failpoint::{self, Point};
use crate::store::StoreError;

/// How long a statement waits for a lock; only a checkpoint or a backup tool ever holds one.
const BUSY: Duration = Duration::from_secs(4);
/// How many operations of SQLite's machine lie between two points at which a test may end a migration.
const OPERATIONS: i32 = 20;
const PAGE_BYTES: i64 = 8192;
/// Page caches, in KiB. A reader's is emptied by every commit of the writer, so it need not be large.
const WRITER_CACHE_KIB: i64 = 32_000;
const READER_CACHE_KIB: i64 = 4_000;
/// How many prepared statements a connection keeps: all of them.
const STATEMENTS: usize = 128;
/// What brought the schema to where it is, in order. What has been released is never changed.
const STEPS: [&str; 3] = [
    include_str!("../../../migrations/sqlite/0001_first.sql"),
    include_str!("../../../migrations/sqlite/0002_expiry.sql"),
    include_str!("../../../migrations/sqlite/0003_collapse_caller.sql"),
];

/// Why a store could not be opened; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error(
        "the data folder {folder:?} cannot be used: {source}; choose one that this user can write"
    )]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the data folder {0:?} is in use by another process: a folder belongs to one process, stop that one or choose another"
    )]
    Locked(PathBuf),
    /// The data was written by a newer version.
    #[error(
        "the data folder was written by a newer version (its schema has step {0}, which this version does not know): \
         run that version, or choose another folder"
    )]
    Newer(i64),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be brought up to date: {0}")]
    Migrate(#[source] rusqlite::Error),
    /// SQLite could not open the file.
    #[error("the store could not be opened: {0}")]
    Database(#[from] rusqlite::Error),
    /// Whether it is what it was could not be found out.
    #[error("the store could not be looked at: {0}")]
    Standing(#[source] StoreError),
    /// The system has no randomness for the store's key.
    #[error("the system gave no randomness for the store's key: {0}")]
    Secret(String),
}

pub(super) fn lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    make_folder(folder).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked(folder.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        // It holds addresses: nobody else's business on a shared machine.
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// A connection that only reads.
pub(super) fn connect_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    prepare(&conn, READER_CACHE_KIB)?;
    Ok(conn)
}

/// The connection that writes; the file is made when it is not there.
pub(super) fn connect_writer(file: &Path, max_bytes: Option<u64>) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    // Takes effect when the file is made; what is kept of a notification then lies in one page.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    prepare(&conn, WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    if let Some(max_bytes) = max_bytes {
        let size: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (max_bytes / size.unsigned_abs().max(1)).max(1);
        let pages = i64::try_from(pages).unwrap_or(i64::MAX);
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(conn)
}

fn prepare(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Rows are only ever removed by this module, in the right order.
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    conn.pragma_update(None, "temp_store", "memory")
}

/// Brings the schema up to date: each step that the file has not seen, in a transaction of its own, in order. `user_version` counts
/// them.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let seen = seen_steps(conn).map_err(OpenError::Migrate)?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if seen > known {
        return Err(OpenError::Newer(seen));
    }
    for (number, step) in (1..).zip(STEPS).filter(|(number, _)| *number > seen) {
        apply(conn, number, step).map_err(OpenError::Migrate)?;
    }
    Ok(())
}

fn seen_steps(conn: &Connection) -> rusqlite::Result<i64> {
    let seen: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Before the first release steps were counted by rows.
    if seen == 0 && conn.table_exists(None, "_sqlx_migrations")? {
        return conn.query_row("SELECT count(*) FROM _sqlx_migrations", [], |row| {
            row.get(0)
        });
    }
    Ok(seen)
}

fn apply(conn: &mut Connection, number: i64, step: &str) -> rusqlite::Result<()> {
    if failpoint::ENABLED {
        let hit = || {
            failpoint::hit(Point::InMigration);
            false
        };
        conn.progress_handler(OPERATIONS, Some(hit))?;
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "user_version", number)?;
    transaction.commit()?;
    if failpoint::ENABLED {
        conn.progress_handler(0, None::<fn() -> bool>)?;
    }
    Ok(())
}

/// The store's key and name, made when the store is.
pub(super) fn identify(conn: &Connection, now: Timestamp) -> Result<([u8; 32], String), OpenError> {
    let random = || secret_bytes().map_err(|error| OpenError::Secret(error.to_string()));
    let (secret, generation) = (random()?, random()?);
    for (name, value) in [
        ("secret", secret.to_vec()),
        ("generation", generation.iter().take(16).copied().collect()),
        ("create_time", now.to_string().into_bytes()),
    ] {
        conn.execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
            (name, value),
        )?;
    }
    let secret = meta(conn, "secret")?;
    let generation = hex(&meta(conn, "generation")?);
    let secret = secret
        .try_into()
        .map_err(|_| OpenError::Secret("the stored key is not 32 bytes long".to_owned()))?;
    Ok((secret, generation))
}

fn meta(conn: &Connection, name: &str) -> rusqlite::Result<Vec<u8>> {
    conn.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
        row.get(0)
    })
}

/// What tells the file from a copy of it: when it was made, or where that is not known its number in the file system.
pub(super) fn home(file: &Path) -> Option<String> {
    let known = std::fs::metadata(file).ok()?;
    let made = known.created().ok();
    let age = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
    #[cfg(unix)]
    let number = {
        use std::os::unix::fs::MetadataExt as _;
        Some(format!("number {}", known.ino()))
    };
    #[cfg(not(unix))]
    let number = None;
    age.map(|age| format!("made {}", age.as_nanos())).or(number)
}

pub(super) fn newest_event(conn: &Connection) -> rusqlite::Result<i64> {
    // Not the newest row: that may have been dropped by then.
    let newest = "SELECT seq FROM sqlite_sequence WHERE name = 'event'";
    let newest = conn.query_row(newest, [], |row| row.get(0)).optional()?;
    Ok(newest.unwrap_or_default())
}

//! The data folder: its lock, its file, its schema, its key. Knows nothing of what the tables mean.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _};

use super::rows::hex;
use crate::domain::id::secret_bytes;
use crate::failpoint::{self, Point};

/// How long a statement waits for a lock; only a checkpoint or a backup tool ever holds one.
const BUSY: Duration = Duration::from_secs(4);
/// How many steps of SQLite's machine lie between two points at which a test may end a migration.
const STEPS: i32 = 20;

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
    Migrate(#[source] MigrateError),
    /// SQLite could not open the file.
    #[error("the store could not be opened: {0}")]
    Database(#[from] sqlx::Error),
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

pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY)
        // Rows are only ever removed by this module, in the right order.
        .foreign_keys(false)
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

pub(super) async fn connect_writer(
    file: &Path,
    max_bytes: Option<u64>,
) -> Result<SqliteConnection, sqlx::Error> {
    let mut conn = options(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON")
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .connect()
        .await?;
    if let Some(max_bytes) = max_bytes {
        let size: i64 = sqlx::query("PRAGMA page_size")
            .fetch_one(&mut conn)
            .await?
            .try_get(0)?;
        let pages = (max_bytes / size.unsigned_abs().max(1)).max(1);
        let statement = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .fetch_all(&mut conn)
            .await?;
    }
    Ok(conn)
}

/// Brings the schema up to date.
pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<(), OpenError> {
    if failpoint::ENABLED {
        let hit = || {
            failpoint::hit(Point::InMigration);
            true
        };
        conn.lock_handle().await?.set_progress_handler(STEPS, hit);
    }
    let migrated = sqlx::migrate!("migrations/sqlite").run(&mut *conn).await;
    if failpoint::ENABLED {
        conn.lock_handle().await?.remove_progress_handler();
    }
    migrated.map_err(|error| match error {
        MigrateError::VersionMissing(step) => OpenError::Newer(step),
        other => OpenError::Migrate(other),
    })
}

/// The store's key and name, made when the store is.
pub(super) async fn identify(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<([u8; 32], String), OpenError> {
    let random = || secret_bytes().map_err(|error| OpenError::Secret(error.to_string()));
    let (secret, generation) = (random()?, random()?);
    for (name, value) in [
        ("secret", secret.to_vec()),
        ("generation", generation.iter().take(16).copied().collect()),
        ("create_time", now.to_string().into_bytes()),
    ] {
        sqlx::query("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&mut *conn)
            .await?;
    }
    let secret = meta(conn, "secret").await?;
    let generation = hex(&meta(conn, "generation").await?);
    let secret = secret
        .try_into()
        .map_err(|_| OpenError::Secret("the stored key is not 32 bytes long".to_owned()))?;
    Ok((secret, generation))
}

async fn meta(conn: &mut SqliteConnection, name: &str) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query("SELECT value FROM meta WHERE name = ?1")
        .bind(name)
        .fetch_one(conn)
        .await?
        .try_get(0)
}

pub(super) async fn newest_event(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    // Not the newest row: that may have been dropped by then.
    let row = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| row.try_get(0))
}

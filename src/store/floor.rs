//! What this disk gives at best by the library that the store uses: rows of a notification's size under a unique key, synced to
//! disk in groups. A measure to compare the store with, in a file of its own; it knows nothing of notifications.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::domain::clock::Stopwatch;
use crate::store::{StoreError, StoreResult};

/// Rows that share a commit.
const GROUP: usize = 256;
/// Bytes of a row beside its key.
const BODY_BYTES: usize = 700;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// A statement for each row.
    Single,
    /// One statement for the whole group.
    Grouped,
}

/// Rows a second, written for `span` into a new file in `folder`.
///
/// # Errors
/// What SQLite says.
pub async fn rows_per_second(folder: &Path, insert: Insert, span: Duration) -> StoreResult<f64> {
    let name = match insert {
        Insert::Single => "floor-single.db",
        Insert::Grouped => "floor-grouped.db",
    };
    let file = folder.join(name);
    let measured = tokio::task::spawn_blocking(move || measure(file, insert, span));
    Ok(measured
        .await
        .map_err(|error| StoreError::Corrupt(error.to_string()))??)
}

fn measure(file: PathBuf, insert: Insert, span: Duration) -> rusqlite::Result<f64> {
    let mut conn = Connection::open(file)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    conn.execute_batch("CREATE TABLE row (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID")?;
    let body = vec![b'x'; BODY_BYTES];
    let clock = Stopwatch::start();
    let mut written = 0;
    while clock.elapsed() < span {
        group(&mut conn, insert, written, &body)?;
        written += GROUP;
    }
    Ok(written as f64 / clock.elapsed().as_secs_f64())
}

fn group(conn: &mut Connection, insert: Insert, first: usize, body: &[u8]) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    let ids = (first..first + GROUP).map(|id| format!("order-{id}"));
    match insert {
        Insert::Single => {
            let mut statement = tx.prepare_cached("INSERT INTO row (id, body) VALUES (?1, ?2)")?;
            for id in ids {
                statement.execute((id, body))?;
            }
        }
        Insert::Grouped => {
            let rows = vec!["(?, ?)"; GROUP].join(", ");
            let mut statement =
                tx.prepare_cached(&format!("INSERT INTO row (id, body) VALUES {rows}"))?;
            for (place, id) in ids.enumerate() {
                statement.raw_bind_parameter(2 * place + 1, id)?;
                statement.raw_bind_parameter(2 * place + 2, body)?;
            }
            statement.raw_execute()?;
        }
    }
    tx.commit()
}

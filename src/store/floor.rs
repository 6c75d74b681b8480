//! What this disk gives at best by the library that the store uses: rows of a notification's size under a unique key, synced to
//! disk in groups. A measure to compare the store with, in a file of its own; it knows nothing of notifications.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder};

use crate::domain::clock::Stopwatch;

/// Rows that share a commit.
const GROUP: i64 = 256;
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
pub async fn rows_per_second(
    folder: &Path,
    insert: Insert,
    span: Duration,
) -> Result<f64, sqlx::Error> {
    let name = match insert {
        Insert::Single => "floor-single.db",
        Insert::Grouped => "floor-grouped.db",
    };
    let mut conn = SqliteConnectOptions::new()
        .filename(folder.join(name))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .connect()
        .await?;
    sqlx::query("CREATE TABLE row (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID")
        .execute(&mut conn)
        .await?;
    let body = vec![b'x'; BODY_BYTES];
    let clock = Stopwatch::start();
    let mut written = 0;
    while clock.elapsed() < span {
        group(&mut conn, insert, written, &body).await?;
        written += GROUP;
    }
    let took = clock.elapsed();
    conn.close().await?;
    Ok(written as f64 / took.as_secs_f64())
}

async fn group(
    conn: &mut SqliteConnection,
    insert: Insert,
    first: i64,
    body: &[u8],
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    match insert {
        Insert::Single => {
            for id in first..first + GROUP {
                sqlx::query("INSERT INTO row (id, body) VALUES (?1, ?2)")
                    .bind(format!("order-{id}"))
                    .bind(body)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        Insert::Grouped => {
            let mut query = QueryBuilder::new("INSERT INTO row (id, body) ");
            query.push_values(first..first + GROUP, |mut row, id| {
                row.push_bind(format!("order-{id}")).push_bind(body);
            });
            query.build().execute(&mut *tx).await?;
        }
    }
    tx.commit().await
}

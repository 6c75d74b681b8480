//! The store's file as a dead process left it, or as a living one has it: read without changing it.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::shop;

async fn open(data: &Path) -> SqliteConnection {
    let file = data.join("tidings.db");
    // Read-only, or closing it would fold the log into the file, which is the next start's to do.
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    options.connect().await.unwrap()
}

/// The orders with an attempt that was being handed over.
pub(crate) async fn handing_over(data: &Path) -> Vec<u64> {
    let mut conn = open(data).await;
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT n.reference FROM attempt a JOIN message m ON m.id = a.message \
         JOIN notification n ON n.id = m.notification WHERE a.result = 'sending'",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    conn.close().await.unwrap();
    found
        .iter()
        .map(|reference| shop::order_of_reference(reference))
        .collect()
}

/// How many notifications have not come to their end.
pub(crate) async fn open_count(data: &Path) -> i64 {
    let mut conn = open(data).await;
    let count = sqlx::query_scalar("SELECT count(*) FROM notification");
    let count = count.fetch_one(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    count
}

/// How many notifications the store says there are, by state.
pub(crate) async fn tally(data: &Path) -> BTreeMap<String, i64> {
    let mut conn = open(data).await;
    let counts: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, sum(count) FROM tally GROUP BY state HAVING sum(count) <> 0")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    conn.close().await.unwrap();
    counts.into_iter().collect()
}

/// What SQLite says of the whole file: "ok".
pub(crate) async fn integrity(data: &Path) -> String {
    let mut conn = open(data).await;
    let said = sqlx::query_scalar("PRAGMA integrity_check");
    let said = said.fetch_one(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    said
}

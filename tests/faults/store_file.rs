//! The store's file as a dead process left it, or as a living one has it: read without changing it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::shop;

fn open(data: &Path) -> Connection {
    // Read-only, or closing it would fold the log into the file, which is the next start's to do.
    Connection::open_with_flags(data.join("tidings.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// The orders with an attempt that was being handed over.
pub(crate) fn handing_over(data: &Path) -> Vec<u64> {
    let conn = open(data);
    let mut statement = conn
        .prepare(
            "SELECT n.reference FROM attempt a JOIN message m ON m.id = a.message \
             JOIN notification n ON n.id = m.notification WHERE a.result = 'sending'",
        )
        .unwrap();
    let found = statement.query_map([], |row| row.get::<_, String>(0));
    found
        .unwrap()
        .map(|reference| shop::order_of_reference(&reference.unwrap()))
        .collect()
}

/// How many notifications have not come to their end.
pub(crate) fn open_count(data: &Path) -> i64 {
    let count = "SELECT count(*) FROM notification";
    open(data).query_row(count, [], |row| row.get(0)).unwrap()
}

/// How many notifications the store says there are, by state.
pub(crate) fn tally(data: &Path) -> BTreeMap<String, i64> {
    let conn = open(data);
    let mut statement = conn
        .prepare("SELECT state, sum(count) FROM tally GROUP BY state HAVING sum(count) <> 0")
        .unwrap();
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    counts.unwrap().map(Result::unwrap).collect()
}

/// What SQLite says of the whole file: "ok".
pub(crate) fn integrity(data: &Path) -> String {
    let check = "PRAGMA integrity_check";
    open(data).query_row(check, [], |row| row.get(0)).unwrap()
}

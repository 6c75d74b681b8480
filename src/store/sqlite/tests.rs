//! Tests of what only this implementation promises: no hot statement reads a whole table.

use rusqlite::Connection;

use super::folder::{connect_writer, migrate};
use crate::store::ledger::session::Dialect;
use crate::store::ledger::tests::{LARGE, SENDING, pages, statements};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn schema() -> Outcome<(tempfile::TempDir, Connection)> {
    let folder = tempfile::tempdir()?;
    let mut conn = connect_writer(&folder.path().join("plan.db"), None)?;
    migrate(&mut conn)?;
    Ok((folder, conn))
}

/// The lines of the query plan that read a large table from end to end.
fn scans(conn: &Connection, statement: &str) -> Outcome<Vec<String>> {
    let aliases =
        |name: &str| -> Vec<String> { vec![name.to_owned(), name.chars().take(1).collect()] };
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
    // What is bound does not matter to the plan.
    let lines = explain
        .raw_query()
        .mapped(|row| row.get::<_, String>(3))
        .collect::<Result<Vec<_>, _>>()?;
    let of_a_large_table = |line: &String| {
        let of_a_list = line.contains("VIRTUAL TABLE");
        let named = LARGE
            .iter()
            .flat_map(|name| aliases(name))
            .any(|name| line.split_whitespace().nth(1) == Some(name.as_str()));
        line.starts_with("SCAN") && named && !of_a_list
    };
    Ok(lines.into_iter().filter(of_a_large_table).collect())
}

#[test]
fn every_statement_is_served_by_an_index() -> Outcome<()> {
    let (_folder, conn) = schema()?;
    // What is only asked of engines with many writers has no text here.
    for statement in statements().iter().filter(|one| !one.sqlite.is_empty()) {
        let found = scans(&conn, statement.sqlite)?;
        assert!(found.is_empty(), "{}\n{found:?}", statement.sqlite);
    }
    // The one index that holds nothing but what is being handed over is read whole.
    let found = scans(&conn, SENDING.sqlite)?;
    assert!(
        found
            .iter()
            .all(|line| line.contains("INDEX message_sending")),
        "{found:?}"
    );
    // The test can fail.
    let found = scans(&conn, "SELECT * FROM history n WHERE n.template = 'x'")?;
    assert_eq!(found.len(), 1, "{found:?}");
    Ok(())
}

#[test]
fn every_page_is_served_by_an_index() -> Outcome<()> {
    let (_folder, conn) = schema()?;
    for (filter, page) in pages(Dialect::Sqlite) {
        let found = scans(&conn, &page)?;
        assert!(found.is_empty(), "{filter}\n{found:?}");
    }
    Ok(())
}

//! Tests of what only this implementation promises: no hot statement reads a whole table.

use rusqlite::Connection;

use super::folder::{connect_writer, migrate};
use super::{accept, cancel, customers, erase, facts, lookup, pending, plan, settle, unit};
use crate::domain::filter::{Field, Filter};
use crate::domain::id::{Ids, NotificationId};
use crate::domain::shop::Identity;
use crate::store::Query;

const LARGE: [&str; 14] = [
    "notification",
    "message",
    "history",
    "detail",
    "content",
    "attempt",
    "usage",
    "collapse",
    "once_key",
    "request",
    "customer",
    "suppression",
    "event",
    "outcome",
];

const STATEMENTS: [&str; 43] = [
    accept::REQUESTS,
    accept::OPEN_BY_COLLAPSE,
    cancel::ENDED,
    cancel::OPEN_BY_KEY,
    cancel::ENDED_BY_KEY,
    customers::OPEN_BY_CUSTOMER,
    customers::OPEN_BY_DIGEST,
    customers::SUPPRESSIONS,
    erase::ENDED_BY_CUSTOMER,
    erase::DETAILS,
    erase::DROP_CONTENT,
    erase::CLEAR_MESSAGES,
    erase::CLEAR_ATTEMPTS,
    erase::DROPS[0],
    erase::DROPS[1],
    erase::DROPS[2],
    erase::DROPS[3],
    erase::DROPS[4],
    facts::CUSTOMERS,
    facts::USAGE,
    facts::OUTCOMES,
    facts::PAUSES,
    facts::SUPPRESSED,
    facts::MARKS,
    facts::ONCE,
    lookup::WHOLE,
    lookup::WITHOUT_ATTACHMENTS,
    lookup::MESSAGES,
    lookup::ATTEMPTS,
    lookup::COUNTS,
    lookup::EVENTS,
    pending::READY,
    pending::OPEN_MESSAGES,
    pending::NEXT_TASK,
    pending::NEXT_MESSAGE,
    plan::DUE,
    plan::WAITERS,
    settle::EXPIRED,
    settle::HELD,
    unit::LOAD_HEADS,
    unit::LOAD_MESSAGES,
    unit::BY_MESSAGE,
    unit::DELETE_OPEN,
];

const CHANGES: [&str; 9] = [
    erase::SET_DETAIL,
    erase::SET_OPEN,
    erase::SET_ENDED,
    unit::UPDATE_OPEN,
    unit::UPDATE_DETAIL,
    unit::UPDATE_MESSAGE,
    unit::END_ATTEMPT,
    unit::MOVE_USAGE,
    unit::RELEASE,
];

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
    for statement in STATEMENTS.iter().chain(&CHANGES) {
        let found = scans(&conn, statement)?;
        assert!(found.is_empty(), "{statement}\n{found:?}");
    }
    // The one index that holds nothing but what is being handed over is read whole.
    let found = scans(&conn, settle::SENDING)?;
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
    let text = |field| Filter::Text {
        field,
        equal: true,
        value: "x".to_owned(),
    };
    let instant = jiff::Timestamp::UNIX_EPOCH;
    let after: Option<NotificationId> = Some(Ids::new().notification(instant));
    for filter in [
        Filter::Everything,
        text(Field::CustomerId),
        text(Field::Channel),
        text(Field::Label("k".to_owned())),
        text(Field::State),
    ] {
        for (descending, after) in [(true, None), (false, after)] {
            let query = Query {
                identity: Identity::local(),
                filter: filter.clone(),
                descending,
                after,
                limit: 50,
            };
            let page = lookup::page(&query);
            let found = scans(&conn, &page.sql)?;
            assert!(found.is_empty(), "{filter:?}\n{found:?}");
        }
    }
    Ok(())
}

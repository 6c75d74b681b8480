//! Tests of what only this implementation promises: no hot statement reads a whole table.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::folder::options;
use super::rows::Many;
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

const STATEMENTS: [&str; 44] = [
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
    unit::RELEASE,
];

/// With the width of their rows.
const CHANGES: [(Many, usize); 8] = [
    (erase::SET_DETAIL, 3),
    (erase::SET_OPEN, 2),
    (erase::SET_ENDED, 2),
    (unit::UPDATE_OPEN, 7),
    (unit::UPDATE_DETAIL, 2),
    (unit::UPDATE_MESSAGE, 9),
    (unit::END_ATTEMPT, 4),
    (unit::MOVE_USAGE, 4),
];

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

async fn schema() -> Outcome<(tempfile::TempDir, SqliteConnection)> {
    let folder = tempfile::tempdir()?;
    let file = options(&folder.path().join("plan.db")).create_if_missing(true);
    let mut conn = SqliteConnection::connect_with(&file).await?;
    sqlx::migrate!("migrations/sqlite").run(&mut conn).await?;
    Ok((folder, conn))
}

/// The lines of the query plan that read a large table from end to end.
async fn scans(conn: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let aliases =
        |name: &str| -> Vec<String> { vec![name.to_owned(), name.chars().take(1).collect()] };
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(conn)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
        .iter()
        .map(|row| row.get::<String, _>(3))
        .filter(|line| {
            let of_a_list = line.contains("VIRTUAL TABLE");
            let named = LARGE
                .iter()
                .flat_map(|name| aliases(name))
                .any(|name| line.split_whitespace().nth(1) == Some(name.as_str()));
            line.starts_with("SCAN") && named && !of_a_list
        })
        .collect()
}

#[tokio::test]
async fn every_statement_is_served_by_an_index() -> Outcome<()> {
    let (_folder, mut conn) = schema().await?;
    let changes = CHANGES
        .into_iter()
        .flat_map(|(many, width)| [1, 128].map(|rows| many.text(rows, width)));
    for statement in STATEMENTS.map(str::to_owned).into_iter().chain(changes) {
        let found = scans(&mut conn, &statement).await;
        assert!(found.is_empty(), "{statement}\n{found:?}");
    }
    // The one index that holds nothing but what is being handed over is read whole.
    let found = scans(&mut conn, settle::SENDING).await;
    assert!(
        found
            .iter()
            .all(|line| line.contains("INDEX message_sending")),
        "{found:?}"
    );
    // The test can fail.
    let found = scans(&mut conn, "SELECT * FROM history n WHERE n.template = 'x'").await;
    assert_eq!(found.len(), 1, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn every_page_is_served_by_an_index() -> Outcome<()> {
    let (_folder, mut conn) = schema().await?;
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
            let found = scans(&mut conn, page.sql().as_str()).await;
            assert!(found.is_empty(), "{filter:?}\n{found:?}");
        }
    }
    Ok(())
}

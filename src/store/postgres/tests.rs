//! Tests of what only this implementation promises: no statement reads a large table from end to end, whatever the planner knows.

use super::connection::LIMITS;
use super::session::numbered;
use super::{PostgresStore, Settings, guard, schema};
use crate::store::ledger::session::Dialect;
use crate::store::ledger::tests::{LARGE, SENDING, pages, statements};

#[path = "../../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "the server is only asked here")]
mod server;
#[path = "../../../tests/support/skip.rs"]
#[expect(dead_code, reason = "no tool is looked for here")]
mod skip;

/// Rows of each table in every run, and in `make explain`.
const SOME: u32 = 20_000;
const MANY: u32 = 1_000_000;

/// Many rows of everything that grows, open and ended mixed.
fn fill(server: &server::Server, rows_each: u32) {
    let id = |table: &str| format!("md5('{table}' || i)::uuid");
    let head = "'s', 'c', 'u' || i % 5000, 'marketing', 't', 't', 'b', '', ";
    let tail = "i, i, i, i, CASE WHEN i % 9 = 0 THEN 'k' || i ELSE '' END, CASE WHEN i % 9 = 0 THEN 'k' || i ELSE '' END, '', 'bulk'";
    for rows in [
        format!(
            "notification SELECT {}, {head} 'SCHEDULED', 'BUDGET_EXCEEDED', \
             CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 'unknown' ELSE 'plan' END, i, {tail}",
            id("n")
        ),
        format!(
            "history SELECT {}, {head} 'SUCCEEDED', 'HANDED_OVER', NULL, NULL, {tail}, i",
            id("h")
        ),
        format!("detail SELECT {}, '{{}}', NULL", id("n")),
        format!("content SELECT {}, '{{}}', NULL", id("n")),
        format!(
            "message SELECT {}, {}, 's', 'email', 'a', 'd' || i, 'bulk', CASE WHEN i % 2 = 0 THEN 'queued' ELSE 'sent' END, \
             0, 0, 0, i, '', '', '', 0, '[]', NULL, CASE WHEN i % 3 = 0 THEN i END",
            id("m"),
            id("n")
        ),
        format!(
            "attempt SELECT {}, {}, 'p', i, NULL, 1, 'ok', '', ''",
            id("m"),
            id("a")
        ),
        format!(
            "usage SELECT 's', 'u' || i % 5000, {}, i, 'marketing', 't', 't', ''",
            id("n")
        ),
        format!("collapse SELECT 's', 'u' || i, 'c', 'k', i, {}", id("n")),
        format!("once_key SELECT 's', 'd' || i, 'c', {}", id("n")),
        format!("request SELECT 's', 'c', 'r' || i, 'x', {}, i", id("n")),
        "customer SELECT 's', 'u' || i, '{}', '{}', 1, i".to_owned(),
        "customer_lock SELECT 's', 'u' || i".to_owned(),
        "suppression SELECT 's', 'email', 'd' || i, 'manual', i".to_owned(),
        "outcome SELECT 's', 'u' || i, 'paid', i".to_owned(),
        "pause SELECT 's', 'k', 'v' || i, '', i".to_owned(),
        "tally SELECT 's', 'c' || i, 'x', 'y', 0, 1".to_owned(),
        format!("member SELECT {}, {}", id("m"), id("n")),
        format!("event SELECT i, 's', 'c', {}, 'x', 'y', i", id("n")),
    ] {
        server.sql(
            "postgres",
            &format!("INSERT INTO {rows} FROM generate_series(1, {rows_each}) i"),
        );
    }
    server.sql("postgres", "INSERT INTO consent (shop, customer, entry, record_time) SELECT 's', 'u' || i, '', i FROM generate_series(1, 20000) i");
}

/// The lines of a plan that read a large table, or an index of one, from end to end.
fn scans(server: &server::Server, statement: &str) -> Vec<String> {
    let text = numbered(statement);
    let count = (1..20)
        .take_while(|number| text.contains(&format!("${number}")))
        .count();
    let nulls = vec!["NULL"; count].join(", ");
    let arguments = if count == 0 {
        String::new()
    } else {
        format!("({nulls})")
    };
    let plan = server.sql(
        "postgres",
        &format!("{LIMITS}; PREPARE one AS {text}; EXPLAIN EXECUTE one{arguments}"),
    );
    let lines: Vec<_> = plan.lines().collect();
    let is_node = |line: &str| line.trim_start().starts_with("->");
    let large = |line: &str| {
        let table = line
            .split(" on ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        table.is_some_and(|table| LARGE.contains(&table) || table.starts_with("history_"))
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| large(line)) {
        let own = lines.iter().skip(at + 1).take_while(|next| !is_node(next));
        let is_sought = own
            .clone()
            .any(|next| next.contains("Index Cond") || next.contains("Recheck Cond"));
        let is_read = line.contains("Scan");
        if is_read && (line.contains("Seq Scan") || !is_sought) {
            found.push((*line).to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_is_served_by_an_index() {
    look(SOME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; make explain runs it"]
async fn every_statement_is_served_by_an_index_among_millions() {
    look(MANY).await;
}

async fn look(rows: u32) {
    let Some(server) = server::Server::start() else {
        return;
    };
    let settings = Settings {
        host: server.host(),
        user: "postgres".to_owned(),
        database: "postgres".to_owned(),
        ..Settings::default()
    };
    let now = jiff::Timestamp::UNIX_EPOCH;
    PostgresStore::migrate(&settings, now).await.unwrap();
    let all: Vec<_> = statements()
        .iter()
        .map(|statement| statement.postgres.to_owned())
        .chain(pages(Dialect::Postgres).into_iter().map(|(_, page)| page))
        .chain([guard::NEWEST, schema::LEAVE].map(|one| one.postgres.to_owned()))
        .collect();
    // Plans must not go wrong where the planner knows nothing yet, nor where it knows that a table is large.
    let mut faults = Vec::new();
    for filled in [false, true] {
        if filled {
            fill(&server, rows);
            server.sql("postgres", "ANALYZE");
        }
        for statement in &all {
            let found = scans(&server, statement);
            if !found.is_empty() {
                faults.push(format!("filled: {filled}\n{statement}\n{found:#?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The one index that holds nothing but what is being handed over is read whole.
    let found = scans(&server, SENDING.postgres);
    assert!(
        found.iter().all(|line| line.contains("message_sending")),
        "{found:?}"
    );
    // The test can fail.
    let found = scans(&server, "SELECT * FROM history n WHERE n.template = 'x'");
    assert!(!found.is_empty());
}

//! The statements of the ledger that every engine must serve by an index, for the engines' own tests.

use super::lookup::page;
use super::session::{Dialect, Statement};
use super::{
    self as ledger, accept, cancel, claim, customers, erase, facts, locks, lookup, pending, plan,
    recover, settle, sweep, unit, unknown, writes,
};
use crate::domain::filter::{Field, Filter};
use crate::domain::id::{Ids, NotificationId};
use crate::domain::shop::Identity;
use crate::store::Query;

/// Tables that grow.
pub(in crate::store) const LARGE: [&str; 17] = [
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
    "member",
    "consent",
    "customer_lock",
];

/// Statements by the names that they have in the source.
macro_rules! named {
    ($($module:ident::$name:ident),+ $(,)?) => {
        vec![$((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),+]
    };
}

/// Every statement that reads or changes a large table, by its name; a test finds one that is missing here.
pub(in crate::store) fn named() -> Vec<(&'static str, Statement<'static>)> {
    let mut all = named![
        accept::OPEN_BY_COLLAPSE,
        accept::REQUESTS,
        cancel::ENDED,
        cancel::ENDED_BY_KEY,
        cancel::OPEN_BY_KEY,
        claim::CLAIMABLE,
        claim::UNDER_WAY,
        customers::OPEN_BY_CUSTOMER,
        customers::OPEN_BY_DIGEST,
        customers::SUPPRESSIONS,
        erase::CLEAR_ATTEMPTS,
        erase::CLEAR_MESSAGES,
        erase::DETAILS,
        erase::DROP_CONTENT,
        erase::ENDED_BY_CUSTOMER,
        erase::MESSAGES,
        erase::SET_DETAIL,
        erase::SET_ENDED,
        erase::SET_OPEN,
        facts::CUSTOMERS,
        facts::MARKS,
        facts::ONCE,
        facts::OUTCOMES,
        facts::PAUSES,
        facts::SUPPRESSED,
        facts::USAGE,
        ledger::BUNDLE,
        ledger::BUNDLES_IN_USE,
        locks::HOLD,
        locks::MAKE,
        locks::OWNERS,
        lookup::ATTEMPTS,
        lookup::COUNTS,
        lookup::ENDED,
        lookup::ENDED_WITHOUT_ATTACHMENTS,
        lookup::EVENTS,
        lookup::MESSAGES,
        lookup::OPEN,
        lookup::OPEN_WITHOUT_ATTACHMENTS,
        pending::NEXT_MESSAGE,
        pending::NEXT_TASK,
        pending::NOT_PUBLISHED,
        pending::OPEN_MESSAGES,
        pending::PUBLISHED,
        pending::PUBLISH_AGAIN,
        pending::READY,
        plan::DUE,
        plan::WAITERS,
        recover::OPEN,
        settle::EXPIRED,
        settle::HELD,
        sweep::DROP_ATTEMPTS,
        sweep::DROP_DETAIL,
        sweep::DROP_EVENTS,
        sweep::DROP_HISTORY,
        sweep::DROP_MARKS,
        sweep::DROP_MEMBERS,
        sweep::DROP_MESSAGES,
        sweep::DROP_REQUESTS,
        sweep::ENDED_BEFORE,
        sweep::ENDED_SINCE,
        sweep::OPEN,
        sweep::WALK_CONTENT,
        sweep::WALK_EVENTS,
        sweep::WALK_HISTORY,
        sweep::WALK_MARKS,
        sweep::WALK_REQUESTS,
        sweep::WALK_USAGE,
        unit::BY_MESSAGE,
        unit::LOAD_HEADS,
        unit::LOAD_MESSAGES,
        unknown::HEADS,
        unknown::PAGE,
        writes::COUNT,
        writes::DELETE_OPEN,
        writes::END_ATTEMPT,
        writes::INSERT_EVENT,
        writes::MOVE_USAGE,
        writes::RELEASE,
        writes::UPDATE_DETAIL,
        writes::UPDATE_MESSAGE,
        writes::UPDATE_OPEN,
    ];
    all.extend(erase::DROPS.map(|drop| ("erase::DROPS", drop)));
    all
}

/// Their texts.
pub(in crate::store) fn statements() -> Vec<Statement<'static>> {
    named()
        .into_iter()
        .map(|(_, statement)| statement)
        .collect()
}

/// What need not be served by an index, with the reason.
const EXEMPT: [(&str, &str); 12] = [
    (
        "settle::CLEAR_DEAD",
        "it reads what is being handed over, as SENDING does",
    ),
    ("settle::SENDING", "it is looked at by itself"),
    ("rates::AHEAD", "a row for each provider"),
    ("rates::GIVE", "a row for each provider"),
    ("recover::HELD", "a table of a few rows"),
    ("meta::GET", "a table of a few rows"),
    ("meta::DROP", "a table of a few rows"),
    ("meta::RAISE", "a table of one row"),
    ("sweep::TURN", "no table at all"),
    ("guard::HOME", "the server's own"),
    ("guard::NEWEST", "the engine's own test looks at it"),
    ("schema::BEAT", "a row for each process"),
];

/// The statements that stand in a source file, as `module::NAME`; adding rows is no reading and has no plan to go wrong.
fn written(module: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for item in text
        .split("\nconst ")
        .skip(1)
        .chain(text.split(") const ").skip(1))
    {
        let Some((head, body)) = item.split_once('=') else {
            continue;
        };
        let Some((name, kind)) = head.split_once(':') else {
            continue;
        };
        let is_one = kind.trim() == "Statement<'_>" || kind.trim().starts_with("[Statement<'_>;");
        if is_one && !body.trim_start().starts_with("insert!") {
            found.push(format!("{module}::{name}"));
        }
    }
    found
}

/// A new statement cannot be forgotten.
#[test]
fn every_statement_in_the_source_is_looked_at() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut found = Vec::new();
    for folder in ["ledger", "postgres"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            if module != "tests" {
                found.extend(written(module, &text));
            }
        }
    }
    let text = std::fs::read_to_string(root.join("ledger.rs")).unwrap();
    found.extend(written("ledger", &text));
    let listed: Vec<_> = named().into_iter().map(|(name, _)| name).collect();
    let engines = ["schema::LEAVE"];
    let known = |name: &String| {
        listed.contains(&name.as_str())
            || engines.contains(&name.as_str())
            || EXEMPT.iter().any(|(exempt, _)| exempt == name)
    };
    let missing: Vec<_> = found.iter().filter(|name| !known(name)).collect();
    assert!(
        missing.is_empty(),
        "nobody looks at the plans of {missing:?}"
    );
    let gone: Vec<_> = listed
        .iter()
        .filter(|name| !found.iter().any(|one| one == *name))
        .collect();
    assert!(gone.is_empty(), "the test does not see {gone:?} any more");
}

/// The one statement that may read an index from end to end: it holds nothing but what is being handed over.
pub(in crate::store) const SENDING: Statement<'_> = settle::SENDING;

/// Pages of every kind, each with the statement that finds it.
pub(in crate::store) fn pages(dialect: Dialect) -> Vec<(String, String)> {
    let text = |field| Filter::Text {
        field,
        equal: true,
        value: "x".to_owned(),
    };
    let instant = jiff::Timestamp::UNIX_EPOCH;
    let after: Option<NotificationId> = Some(Ids::new().notification(instant));
    let mut pages = Vec::new();
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
            pages.push((format!("{filter:?}"), page(&query, dialect).sql));
        }
    }
    pages
}

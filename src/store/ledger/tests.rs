//! The statements of the ledger that every engine must serve by an index, for the engines' own tests.

use super::lookup::page;
use super::session::{Dialect, Statement};
use super::{
    accept, cancel, claim, customers, erase, facts, locks, lookup, pending, plan, recover, settle,
    sweep, unit, unknown, writes,
};
use crate::domain::filter::{Field, Filter};
use crate::domain::id::{Ids, NotificationId};
use crate::domain::shop::Identity;
use crate::store::Query;

/// Tables that grow.
pub(in crate::store) const LARGE: [&str; 14] = [
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

/// Every statement that reads or changes a large table.
pub(in crate::store) fn statements() -> Vec<Statement<'static>> {
    let mut all = vec![
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
        locks::HOLD,
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
        pending::OPEN_MESSAGES,
        pending::PUBLISHED,
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
        unknown::HEADS,
        unknown::PAGE,
        writes::COUNT,
        writes::DELETE_OPEN,
        writes::INSERT_EVENT,
        writes::END_ATTEMPT,
        unit::LOAD_HEADS,
        unit::LOAD_MESSAGES,
        writes::MOVE_USAGE,
        writes::RELEASE,
        writes::UPDATE_DETAIL,
        writes::UPDATE_MESSAGE,
        writes::UPDATE_OPEN,
        super::BUNDLE,
        super::BUNDLES_IN_USE,
    ];
    all.extend(erase::DROPS);
    all
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

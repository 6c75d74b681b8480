//! Reading: one notification, pages of them, their events. Open and ended ones are one ledger to the reader.

use std::collections::{BTreeSet, HashMap};

use super::open::assemble;
use super::rows::{
    self, Head, Letter, from_json, head_columns, message_columns, notification_id, time, word,
};
use super::session::{
    Cell, Dialect, Found, Session, Statement, bind, blob, find_ids, id_list, row, select,
};
use super::statement::by_ids;
use crate::domain::filter::{Field, Filter, Operator};
use crate::domain::id::NotificationId;
use crate::domain::intent::{Attachment, Intent};
use crate::domain::notification::{Attempt, Event, Message, Notification, Record};
use crate::domain::reason::Status;
use crate::domain::shop::Identity;
use crate::store::{Query, StoreResult};

/// Open and ended ones with what hangs on them.
macro_rules! notifications {
    ($table:literal, $attachments:literal) => {
        by_ids!(
            concat!(head_columns!(), ", d.intent, d.decision, c.variables, ", $attachments),
            $table "n",
            "n.id",
            " LEFT JOIN detail d ON d.notification = n.id LEFT JOIN content c ON c.notification = n.id",
            "",
            ""
        )
    };
}

pub(super) const OPEN: Statement<'_> = notifications!("notification", "c.attachments");
pub(super) const ENDED: Statement<'_> = notifications!("history", "c.attachments");
pub(super) const OPEN_WITHOUT_ATTACHMENTS: Statement<'_> = notifications!("notification", "NULL");
pub(super) const ENDED_WITHOUT_ATTACHMENTS: Statement<'_> = notifications!("history", "NULL");
pub(super) const MESSAGES: Statement<'_> = by_ids!(
    message_columns!(),
    "message" "m",
    "m.notification",
    "",
    " ORDER BY m.id",
    ""
);
pub(super) const ATTEMPTS: Statement<'_> = by_ids!(
    "a.message, a.id, a.provider, a.start_time, a.end_time, a.number, a.result, a.reply, a.content_hash, m.notification",
    "message" "m",
    "m.notification",
    " JOIN attempt a ON a.message = m.id",
    " ORDER BY a.id",
    ""
);
pub(super) const COUNTS: Statement<'_> = Statement {
    sqlite: "SELECT state, reason, count FROM tally WHERE shop = ?1 AND caller = ?2 AND count > 0",
    postgres: "SELECT state, reason, sum(count)::bigint FROM tally WHERE shop = ?1 AND caller = ?2 GROUP BY state, reason \
        HAVING sum(count) > 0",
};
/// Where several write, only what lies below the oldest transaction that still runs: a later one never commits below it.
pub(super) const EVENTS: Statement<'_> = Statement {
    sqlite: "SELECT sequence, notification, state, reason, time FROM event \
        WHERE shop = ?1 AND caller = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4",
    postgres: "SELECT sequence, notification, state, reason, time FROM event \
        WHERE shop = ?1 AND caller = ?2 AND sequence > ?3 AND sequence < ((pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
        - (SELECT base FROM event_base WHERE one)) << 20) ORDER BY sequence LIMIT ?4",
};

/// The notifications with these ids, in no order; without attachments unless they are asked for.
pub(super) fn notifications(
    session: &mut dyn Session,
    ids: &BTreeSet<NotificationId>,
    attachments: bool,
) -> StoreResult<Vec<Notification>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (open, ended) = if attachments {
        (OPEN, ENDED)
    } else {
        (OPEN_WITHOUT_ATTACHMENTS, ENDED_WITHOUT_ATTACHMENTS)
    };
    let mut found = select(session, open, &bind![id_list(ids)], notification)?;
    if found.len() < ids.len() {
        let missing: BTreeSet<_> = found.iter().map(|one| one.id).collect();
        let missing = id_list(ids.difference(&missing));
        found.extend(select(session, ended, &bind![missing], notification)?);
    }
    Ok(found)
}

fn notification(row: &Found<'_>) -> StoreResult<Notification> {
    let head = Head::read(row)?;
    let mut intent: Intent = from_json(&row.get::<String>(20)?)?;
    let decision = row
        .get::<Option<String>>(21)?
        .map(|decision| from_json(&decision))
        .transpose()?;
    if let Some(variables) = row.get::<Option<String>>(22)? {
        intent.variables = from_json(&variables)?;
    }
    if let Some(attachments) = row.get::<Option<String>>(23)? {
        intent.attachments = from_json::<Vec<Attachment>>(&attachments)?;
    }
    Ok(assemble(head, intent, decision))
}

/// One notification with all that hangs on it.
pub(super) fn find(
    session: &mut dyn Session,
    identity: &Identity,
    id: NotificationId,
) -> StoreResult<Option<Record>> {
    let found = notifications(session, &BTreeSet::from([id]), true)?;
    let own: Vec<_> = found
        .into_iter()
        .filter(|notification| notification.identity == *identity)
        .collect();
    Ok(records(session, own)?.pop())
}

/// A page: first the ids in order, from both tables, then what hangs on them.
pub(super) fn list(session: &mut dyn Session, query: &Query) -> StoreResult<Vec<Record>> {
    let page = page(query, session.dialect());
    let ids = find_ids(session, Statement::same(&page.sql), &page.values)?;
    let ids = ids.into_iter().collect();
    let mut found = notifications(session, &ids, false)?;
    found.sort_by_key(|notification| notification.id);
    if query.descending {
        found.reverse();
    }
    records(session, found)
}

fn records(
    session: &mut dyn Session,
    notifications: Vec<Notification>,
) -> StoreResult<Vec<Record>> {
    if notifications.is_empty() {
        return Ok(Vec::new());
    }
    let list = id_list(notifications.iter().map(|notification| &notification.id));
    let mut messages: HashMap<NotificationId, Vec<Message>> = HashMap::new();
    let mut attempts: HashMap<NotificationId, Vec<Attempt>> = HashMap::new();
    select(session, MESSAGES, &bind![&list], |row| {
        let message = Letter::read(row)?.message;
        messages
            .entry(message.notification)
            .or_default()
            .push(message);
        Ok(())
    })?;
    select(session, ATTEMPTS, &bind![list], |row| {
        let of = notification_id(blob(row, 9)?)?;
        attempts.entry(of).or_default().push(rows::attempt(row)?);
        Ok(())
    })?;
    Ok(notifications
        .into_iter()
        .map(|notification| Record {
            messages: messages.remove(&notification.id).unwrap_or_default(),
            attempts: attempts.remove(&notification.id).unwrap_or_default(),
            notification,
        })
        .collect())
}

/// A statement that is put together, with its values.
pub(super) struct Page {
    pub(super) sql: String,
    values: Vec<Cell>,
    dialect: Dialect,
}

impl Page {
    fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    fn bind(&mut self, value: impl Into<Cell>) -> &mut Self {
        self.values.push(value.into());
        self.push("?")
    }
}

/// The ids of a page, from both tables by their index, each at most a page long.
pub(super) fn page(query: &Query, dialect: Dialect) -> Page {
    let order = if query.descending { "DESC" } else { "ASC" };
    let mut sql = Page {
        sql: String::new(),
        values: Vec::new(),
        dialect,
    };
    sql.push("SELECT id FROM (");
    for (index, table) in ["notification", "history"].into_iter().enumerate() {
        if index > 0 {
            sql.push(" UNION ALL ");
        }
        sql.push("SELECT id FROM (SELECT n.id FROM ")
            .push(table)
            .push(" n WHERE n.shop = ")
            .bind(&query.identity.shop)
            .push(" AND n.caller = ")
            .bind(&query.identity.caller);
        if let Some(after) = &query.after {
            sql.push(if query.descending {
                " AND n.id < "
            } else {
                " AND n.id > "
            });
            sql.bind(after.as_bytes());
        }
        sql.push(" AND ");
        filter(&mut sql, &query.filter);
        sql.push(" ORDER BY n.id ")
            .push(order)
            .push(" LIMIT ")
            .bind(query.limit)
            .push(") part");
    }
    sql.push(") page ORDER BY id ").push(order).push(" LIMIT ");
    sql.bind(query.limit);
    sql
}

fn filter(sql: &mut Page, tree: &Filter) {
    match tree {
        Filter::Everything => {
            sql.push("true");
        }
        Filter::And(left, right) | Filter::Or(left, right) => {
            sql.push("(");
            filter(sql, left);
            sql.push(if matches!(tree, Filter::And(..)) {
                " AND "
            } else {
                " OR "
            });
            filter(sql, right);
            sql.push(")");
        }
        Filter::Text {
            field,
            equal,
            value,
        } => text(sql, field, *equal, value),
        Filter::CreateTime(operator, instant) => {
            sql.push("n.create_time ")
                .push(match operator {
                    Operator::Equal => "= ",
                    Operator::NotEqual => "<> ",
                    Operator::Less => "< ",
                    Operator::LessOrEqual => "<= ",
                    Operator::Greater => "> ",
                    Operator::GreaterOrEqual => ">= ",
                })
                .bind(*instant);
        }
    }
}

fn text(sql: &mut Page, field: &Field, equal: bool, value: &str) {
    sql.push(if equal { "(" } else { "NOT (" });
    let column = match field {
        Field::CustomerId => "n.customer = ",
        Field::Template => "n.template = ",
        Field::State => "n.state = ",
        Field::StateReason => "n.reason = ",
        Field::Category => "n.category = ",
        Field::Reference => "n.reference = ",
        Field::Channel => {
            "EXISTS (SELECT 1 FROM message m WHERE m.notification = n.id AND m.channel = "
        }
        Field::Label(key) => {
            sql.push(match sql.dialect {
                Dialect::Sqlite => {
                    "EXISTS (SELECT 1 FROM detail d, json_each(d.intent, '$.labels') l \
                     WHERE d.notification = n.id AND l.key = "
                }
                Dialect::Postgres => {
                    "EXISTS (SELECT 1 FROM detail d, json_each_text(d.intent::json->'labels') l (key, value) \
                     WHERE d.notification = n.id AND l.key = "
                }
            })
            .bind(key);
            " AND l.value = "
        }
    };
    sql.push(column).bind(value);
    if matches!(field, Field::Channel | Field::Label(_)) {
        sql.push(")");
    }
    sql.push(")");
}

pub(super) fn counts(
    session: &mut dyn Session,
    identity: &Identity,
) -> StoreResult<Vec<(Status, u64)>> {
    let whose = row![&identity.shop, &identity.caller];
    select(session, COUNTS, &whose, |row| {
        let status = Status {
            state: word(&row.get::<String>(0)?)?,
            reason: word(&row.get::<String>(1)?)?,
        };
        Ok((status, row.get(2)?))
    })
}

pub(super) fn events(
    session: &mut dyn Session,
    identity: &Identity,
    sequence: i64,
    limit: u32,
) -> StoreResult<Vec<Event>> {
    let parameters = row![&identity.shop, &identity.caller, sequence, limit];
    select(session, EVENTS, &parameters, |row| {
        Ok(Event {
            sequence: row.get(0)?,
            notification: notification_id(blob(row, 1)?)?,
            status: Status {
                state: word(&row.get::<String>(2)?)?,
                reason: word(&row.get::<String>(3)?)?,
            },
            time: time(row.get(4)?)?,
        })
    })
}

//! Reading: one notification, pages of them, their events. Open and ended ones are one ledger to the reader.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::open::assemble;
use super::rows::{
    self, Head, Letter, from_json, head_columns, id_list, message_columns, notification_id,
    read_ids, time, word,
};
use crate::domain::filter::{Field, Filter, Operator};
use crate::domain::id::NotificationId;
use crate::domain::intent::{Attachment, Intent};
use crate::domain::notification::{Attempt, Event, Message, Notification, Record};
use crate::domain::reason::Status;
use crate::domain::shop::Identity;
use crate::store::{Query, StoreResult};

macro_rules! notifications_sql {
    ($attachments:literal) => {
        concat!(
            "SELECT ",
            head_columns!(),
            ", d.intent, d.decision, c.variables, ",
            $attachments,
            " FROM json_each(?1) j CROSS JOIN notification n ON n.id = unhex(j.value) \
             LEFT JOIN detail d ON d.notification = n.id LEFT JOIN content c ON c.notification = n.id \
             UNION ALL SELECT ",
            head_columns!(),
            ", d.intent, d.decision, c.variables, ",
            $attachments,
            " FROM json_each(?1) j CROSS JOIN history n ON n.id = unhex(j.value) \
             LEFT JOIN detail d ON d.notification = n.id LEFT JOIN content c ON c.notification = n.id"
        )
    };
}

pub(super) const WHOLE: &str = notifications_sql!("c.attachments");
pub(super) const WITHOUT_ATTACHMENTS: &str = notifications_sql!("NULL");
pub(super) const MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM json_each(?1) j CROSS JOIN message m ON m.notification = unhex(j.value) ORDER BY m.id"
);
pub(super) const ATTEMPTS: &str = "SELECT a.message, a.id, a.provider, a.start_time, a.end_time, a.number, a.result, a.reply, \
    a.content_hash, m.notification FROM json_each(?1) j CROSS JOIN message m ON m.notification = unhex(j.value) \
    CROSS JOIN attempt a ON a.message = m.id ORDER BY a.id";
pub(super) const COUNTS: &str =
    "SELECT state, reason, count FROM tally WHERE shop = ?1 AND caller = ?2 AND count > 0";
pub(super) const EVENTS: &str = "SELECT sequence, notification, state, reason, time FROM event \
    WHERE shop = ?1 AND caller = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4";

/// The notifications with these ids, in no order; without attachments unless they are asked for.
pub(super) async fn notifications(
    conn: &mut SqliteConnection,
    ids: &BTreeSet<NotificationId>,
    attachments: bool,
) -> StoreResult<Vec<Notification>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = if attachments {
        WHOLE
    } else {
        WITHOUT_ATTACHMENTS
    };
    sqlx::query(statement)
        .bind(id_list(ids))
        .fetch_all(conn)
        .await?
        .iter()
        .map(notification)
        .collect()
}

fn notification(row: &SqliteRow) -> StoreResult<Notification> {
    let head = Head::read(row)?;
    let mut intent: Intent = from_json(&row.try_get::<String, _>(20)?)?;
    let decision = row
        .try_get::<Option<String>, _>(21)?
        .map(|decision| from_json(&decision))
        .transpose()?;
    if let Some(variables) = row.try_get::<Option<String>, _>(22)? {
        intent.variables = from_json(&variables)?;
    }
    if let Some(attachments) = row.try_get::<Option<String>, _>(23)? {
        intent.attachments = from_json::<Vec<Attachment>>(&attachments)?;
    }
    Ok(assemble(head, intent, decision))
}

/// One notification with all that hangs on it.
pub(super) async fn find(
    conn: &mut SqliteConnection,
    identity: &Identity,
    id: NotificationId,
) -> StoreResult<Option<Record>> {
    let found = notifications(conn, &BTreeSet::from([id]), true).await?;
    let own: Vec<_> = found
        .into_iter()
        .filter(|notification| notification.identity == *identity)
        .collect();
    Ok(records(conn, own).await?.pop())
}

/// A page: first the ids in order, from both tables, then what hangs on them.
pub(super) async fn list(conn: &mut SqliteConnection, query: &Query) -> StoreResult<Vec<Record>> {
    let rows = page(query).build().fetch_all(&mut *conn).await?;
    let ids: BTreeSet<_> = read_ids(&rows)?.into_iter().collect();
    let mut found = notifications(conn, &ids, false).await?;
    found.sort_by_key(|notification| notification.id);
    if query.descending {
        found.reverse();
    }
    records(conn, found).await
}

async fn records(
    conn: &mut SqliteConnection,
    notifications: Vec<Notification>,
) -> StoreResult<Vec<Record>> {
    if notifications.is_empty() {
        return Ok(Vec::new());
    }
    let list = id_list(notifications.iter().map(|notification| &notification.id));
    let mut messages: HashMap<NotificationId, Vec<Message>> = HashMap::new();
    let mut attempts: HashMap<NotificationId, Vec<Attempt>> = HashMap::new();
    let rows = sqlx::query(MESSAGES)
        .bind(list.as_str())
        .fetch_all(&mut *conn)
        .await?;
    for row in &rows {
        let message = Letter::read(row)?.message;
        messages
            .entry(message.notification)
            .or_default()
            .push(message);
    }
    let rows = sqlx::query(ATTEMPTS).bind(list).fetch_all(conn).await?;
    for row in &rows {
        let of = notification_id(&row.try_get::<Vec<u8>, _>(9)?)?;
        attempts.entry(of).or_default().push(rows::attempt(row)?);
    }
    Ok(notifications
        .into_iter()
        .map(|notification| Record {
            messages: messages.remove(&notification.id).unwrap_or_default(),
            attempts: attempts.remove(&notification.id).unwrap_or_default(),
            notification,
        })
        .collect())
}

/// The ids of a page, from both tables by their index, each at most a page long.
pub(super) fn page(query: &Query) -> QueryBuilder<Sqlite> {
    let order = if query.descending { "DESC" } else { "ASC" };
    let mut sql = QueryBuilder::new("SELECT id FROM (");
    for (index, table) in ["notification", "history"].into_iter().enumerate() {
        if index > 0 {
            sql.push(" UNION ALL ");
        }
        sql.push("SELECT id FROM (SELECT n.id FROM ")
            .push(table)
            .push(" n WHERE n.shop = ")
            .push_bind(query.identity.shop.as_str().to_owned())
            .push(" AND n.caller = ")
            .push_bind(query.identity.caller.as_str().to_owned());
        if let Some(after) = &query.after {
            sql.push(if query.descending {
                " AND n.id < "
            } else {
                " AND n.id > "
            });
            sql.push_bind(after.as_bytes().to_vec());
        }
        sql.push(" AND ");
        filter(&mut sql, &query.filter);
        sql.push(" ORDER BY n.id ")
            .push(order)
            .push(" LIMIT ")
            .push_bind(i64::from(query.limit))
            .push(")");
    }
    sql.push(") ORDER BY id ").push(order).push(" LIMIT ");
    sql.push_bind(i64::from(query.limit));
    sql
}

fn filter(sql: &mut QueryBuilder<Sqlite>, tree: &Filter) {
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
                .push_bind(instant.as_microsecond());
        }
    }
}

fn text(sql: &mut QueryBuilder<Sqlite>, field: &Field, equal: bool, value: &str) {
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
            sql.push(
                "EXISTS (SELECT 1 FROM detail d, json_each(d.intent, '$.labels') l \
                 WHERE d.notification = n.id AND l.key = ",
            )
            .push_bind(key.clone());
            " AND l.value = "
        }
    };
    sql.push(column).push_bind(value.to_owned());
    if matches!(field, Field::Channel | Field::Label(_)) {
        sql.push(")");
    }
    sql.push(")");
}

pub(super) async fn counts(
    conn: &mut SqliteConnection,
    identity: &Identity,
) -> StoreResult<Vec<(Status, u64)>> {
    sqlx::query(COUNTS)
        .bind(identity.shop.as_str())
        .bind(identity.caller.as_str())
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            let status = Status {
                state: word(&row.try_get::<String, _>(0)?)?,
                reason: word(&row.try_get::<String, _>(1)?)?,
            };
            Ok((status, row.try_get::<i64, _>(2)?.unsigned_abs()))
        })
        .collect()
}

pub(super) async fn events(
    conn: &mut SqliteConnection,
    identity: &Identity,
    sequence: i64,
    limit: u32,
) -> StoreResult<Vec<Event>> {
    sqlx::query(EVENTS)
        .bind(identity.shop.as_str())
        .bind(identity.caller.as_str())
        .bind(sequence)
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            Ok(Event {
                sequence: row.try_get(0)?,
                notification: notification_id(&row.try_get::<Vec<u8>, _>(1)?)?,
                status: Status {
                    state: word(&row.try_get::<String, _>(2)?)?,
                    reason: word(&row.try_get::<String, _>(3)?)?,
                },
                time: time(row.try_get(4)?)?,
            })
        })
        .collect()
}

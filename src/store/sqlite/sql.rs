//! Asking and telling SQLite: prepared statements, values that are bound, rows that are read one by one.
//!
//! What is looked up for many at once comes as one JSON array and `json_each`, with ids as hexadecimal; what is written is
//! bound value by value, a prepared statement run for each row.

use jiff::Timestamp;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row as Found, params_from_iter};
use serde_json::Value;

use super::error::corrupt;
use super::rows::notification_id;
use crate::domain::hex::hex;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::shop::{CallerId, CustomerId, ShopId};
use crate::store::StoreResult;

/// Ids as one parameter.
pub(super) fn id_list<'a>(ids: impl IntoIterator<Item = &'a NotificationId>) -> String {
    Value::from_iter(ids.into_iter().map(|id| hex(id.as_bytes()))).to_string()
}

/// Message ids as one parameter.
pub(super) fn message_list<'a>(ids: impl IntoIterator<Item = &'a MessageId>) -> String {
    Value::from_iter(ids.into_iter().map(|id| hex(id.as_bytes()))).to_string()
}

/// A value of a row that is written.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

macro_rules! cells {
    ($($from:ty: |$value:ident| $cell:expr;)+) => {
        $(impl From<$from> for Cell {
            fn from($value: $from) -> Self {
                $cell
            }
        })+
    };
}

cells! {
    i64: |value| Self::Int(value);
    u32: |value| Self::Int(i64::from(value));
    bool: |value| Self::Int(i64::from(value));
    &str: |value| Self::Text(value.to_owned());
    &String: |value| Self::Text(value.clone());
    String: |value| Self::Text(value);
    &[u8]: |value| Self::Bytes(value.to_vec());
    &[u8; 16]: |value| Self::Bytes(value.to_vec());
    &[u8; 32]: |value| Self::Bytes(value.to_vec());
    Timestamp: |value| Self::Int(value.as_microsecond());
    &ShopId: |value| Self::Text(value.as_str().to_owned());
    &CallerId: |value| Self::Text(value.as_str().to_owned());
    &CustomerId: |value| Self::Text(value.as_str().to_owned());
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row to be written, its values in the order of the statement's parameters.
macro_rules! row {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::sqlite::sql::Cell::from($value)),*]
    };
}
pub(super) use row;

/// A row to be written.
pub(super) type Row = Vec<Cell>;

/// Runs a statement once for each row.
pub(super) fn write(conn: &Connection, statement: &str, rows: &[Row]) -> StoreResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut prepared = conn.prepare_cached(statement)?;
    for row in rows {
        prepared.execute(params_from_iter(row))?;
    }
    Ok(())
}

/// What a statement finds, read row by row.
pub(super) fn select<T>(
    conn: &Connection,
    statement: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Found<'_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let mut prepared = conn.prepare_cached(statement)?;
    let mut rows = prepared.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Runs a statement; returns how many rows it changed.
pub(super) fn execute(
    conn: &Connection,
    statement: &str,
    parameters: impl Params,
) -> StoreResult<usize> {
    Ok(conn.prepare_cached(statement)?.execute(parameters)?)
}

/// The notification ids in the first column of what a statement finds.
pub(super) fn find_ids(
    conn: &Connection,
    statement: &str,
    parameters: impl Params,
) -> StoreResult<Vec<NotificationId>> {
    select(conn, statement, parameters, |row| {
        notification_id(blob(row, 0)?)
    })
}

/// The bytes in a column.
pub(super) fn blob<'a>(row: &'a Found<'_>, column: usize) -> StoreResult<&'a [u8]> {
    row.get_ref(column)?.as_blob().map_err(corrupt)
}

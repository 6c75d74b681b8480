//! What the ledger asks of an engine: a session in which statements run one after the other, values that are bound, rows that are
//! read one by one.
//!
//! What is looked up for many at once comes as one JSON array, with ids as hexadecimal; what is written comes as rows, and the engine
//! writes them one by one or all at once. It knows no engine: a statement has its text for each.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::Value;

use super::rows::notification_id;
pub(in crate::store) use super::statement::{Dialect, Statement};
use crate::domain::hex::hex;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::shop::{CallerId, CustomerId, ShopId};
use crate::store::{StoreError, StoreResult};

/// A connection to an engine, inside a transaction or not. Calls return when they are done.
pub(in crate::store) trait Session {
    /// Which text of a statement it runs.
    fn dialect(&self) -> Dialect;

    /// Hands each row that a statement finds to `read`, in order.
    fn select(
        &mut self,
        statement: &Statement<'_>,
        parameters: &[Cell],
        read: &mut dyn FnMut(&Found<'_>) -> StoreResult<()>,
    ) -> StoreResult<()>;

    /// Runs a statement; returns how many rows it changed.
    fn execute(&mut self, statement: &Statement<'_>, parameters: &[Cell]) -> StoreResult<usize>;

    /// Runs each statement for each of its rows, as if in this order; returns how many rows changed.
    fn write(&mut self, writes: &[(Statement<'static>, Vec<Row>)]) -> StoreResult<usize>;
}

/// A value in a row that cannot be read.
pub(in crate::store) fn corrupt(error: impl Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// The columns of a row that was found; `None` is NULL.
pub(in crate::store) trait Columns {
    /// A number, or whether something is so.
    fn int(&self, column: usize) -> StoreResult<Option<i64>>;
    fn text(&self, column: usize) -> StoreResult<Option<&str>>;
    fn bytes(&self, column: usize) -> StoreResult<Option<&[u8]>>;
}

/// A row that was found.
pub(in crate::store) struct Found<'a>(pub(in crate::store) &'a dyn Columns);

impl Found<'_> {
    /// The value in a column.
    pub(super) fn get<T: FromColumn>(&self, column: usize) -> StoreResult<T> {
        T::from_column(self.0, column)
    }
}

/// A value that a column can hold.
pub(super) trait FromColumn: Sized {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self>;
}

fn missing<T>(value: Option<T>) -> StoreResult<T> {
    value.ok_or_else(|| corrupt("a column that is empty and must not be"))
}

impl FromColumn for Option<i64> {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        columns.int(column)
    }
}

impl FromColumn for i64 {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        missing(columns.int(column)?)
    }
}

impl FromColumn for u64 {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        Self::try_from(missing(columns.int(column)?)?).map_err(corrupt)
    }
}

impl FromColumn for u32 {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        Self::try_from(missing(columns.int(column)?)?).map_err(corrupt)
    }
}

impl FromColumn for bool {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        Ok(missing(columns.int(column)?)? != 0)
    }
}

impl FromColumn for Option<String> {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        Ok(columns.text(column)?.map(str::to_owned))
    }
}

impl FromColumn for String {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        Ok(missing(columns.text(column)?)?.to_owned())
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(columns: &dyn Columns, column: usize) -> StoreResult<Self> {
        Ok(missing(columns.bytes(column)?)?.to_vec())
    }
}

/// Ids as one parameter.
pub(super) fn id_list<'a>(ids: impl IntoIterator<Item = &'a NotificationId>) -> String {
    Value::from_iter(ids.into_iter().map(|id| hex(id.as_bytes()))).to_string()
}

/// Message ids as one parameter.
pub(super) fn message_list<'a>(ids: impl IntoIterator<Item = &'a MessageId>) -> String {
    Value::from_iter(ids.into_iter().map(|id| hex(id.as_bytes()))).to_string()
}

/// A value that is bound.
#[derive(Clone, Debug)]
pub(in crate::store) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
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
        vec![$($crate::store::ledger::session::Cell::from($value)),*]
    };
}
pub(in crate::store) use row;

/// The parameters of one statement, in their order.
macro_rules! bind {
    ($($value:expr),* $(,)?) => {
        [$($crate::store::ledger::session::Cell::from($value)),*]
    };
}
pub(in crate::store) use bind;

/// A row to be written.
pub(in crate::store) type Row = Vec<Cell>;

/// Runs a statement for each row; returns how many rows changed.
pub(super) fn write(
    session: &mut dyn Session,
    statement: Statement<'static>,
    rows: Vec<Row>,
) -> StoreResult<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    session.write(&[(statement, rows)])
}

/// What a statement finds, read row by row.
pub(super) fn select<T>(
    session: &mut dyn Session,
    statement: Statement<'_>,
    parameters: &[Cell],
    mut read: impl FnMut(&Found<'_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let mut found = Vec::new();
    session.select(&statement, parameters, &mut |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// The notification ids in the first column of what a statement finds.
pub(super) fn find_ids(
    session: &mut dyn Session,
    statement: Statement<'_>,
    parameters: &[Cell],
) -> StoreResult<Vec<NotificationId>> {
    select(session, statement, parameters, |row| {
        notification_id(blob(row, 0)?)
    })
}

/// The bytes in a column.
pub(super) fn blob<'a>(row: &Found<'a>, column: usize) -> StoreResult<&'a [u8]> {
    missing(row.0.bytes(column)?)
}

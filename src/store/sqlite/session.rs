//! A session of SQLite: prepared statements that are kept, values that are bound one by one, a prepared statement run for each row
//! that is written.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use crate::store::StoreResult;
use crate::store::ledger::session::{
    Cell, Columns, Dialect, Found, Row, Session, Statement, corrupt,
};

/// A connection to the file.
pub(super) struct SqliteSession {
    pub(super) conn: Connection,
}

impl SqliteSession {
    /// Runs a statement that begins or ends something.
    pub(super) fn command(&mut self, statement: &str) -> StoreResult<()> {
        self.conn.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}

impl Session for SqliteSession {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn select(
        &mut self,
        statement: &Statement<'_>,
        parameters: &[Cell],
        read: &mut dyn FnMut(&Found<'_>) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let mut prepared = self.conn.prepare_cached(statement.sqlite)?;
        let mut rows = prepared.query(params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            read(&Found(&Line(row)))?;
        }
        Ok(())
    }

    fn execute(&mut self, statement: &Statement<'_>, parameters: &[Cell]) -> StoreResult<usize> {
        let mut prepared = self.conn.prepare_cached(statement.sqlite)?;
        Ok(prepared.execute(params_from_iter(parameters))?)
    }

    fn write(&mut self, writes: &[(Statement<'static>, Vec<Row>)]) -> StoreResult<usize> {
        let mut changed = 0;
        for (statement, rows) in writes.iter().filter(|(_, rows)| !rows.is_empty()) {
            let mut prepared = self.conn.prepare_cached(statement.sqlite)?;
            for row in rows {
                changed += prepared.execute(params_from_iter(row))?;
            }
        }
        Ok(changed)
    }
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

/// A row of SQLite.
struct Line<'a>(&'a rusqlite::Row<'a>);

impl Columns for Line<'_> {
    fn int(&self, column: usize) -> StoreResult<Option<i64>> {
        self.0.get_ref(column)?.as_i64_or_null().map_err(corrupt)
    }

    fn text(&self, column: usize) -> StoreResult<Option<&str>> {
        self.0.get_ref(column)?.as_str_or_null().map_err(corrupt)
    }

    fn bytes(&self, column: usize) -> StoreResult<Option<&[u8]>> {
        self.0.get_ref(column)?.as_blob_or_null().map_err(corrupt)
    }
}

//! A session of PostgreSQL: one connection, driven by its own thread, with the statements it has prepared. Rows that are written go
//! as arrays, one statement for all of them, and statements that are asked for together are sent together.
//!
//! Promise: no wait for the database is longer than its deadline; a connection that was cut or kept silent is dropped and made
//! anew at the next use.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures::future::{join, try_join_all};
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row as Line, Statement as Prepared};

use super::connection::Connector;
use super::error::{TooLong, is_cut};
use crate::store::ledger::session::{
    Cell, Columns, Dialect, Found, Row, Session, Statement, corrupt,
};
use crate::store::{StoreError, StoreResult};

/// How long a statement may take; the server ends it then too.
pub(super) const STATEMENT: Duration = Duration::from_secs(5);
/// How many statements a connection keeps prepared: all but pages of many kinds.
const STATEMENTS: usize = 200;

/// A connection that is made when it is needed.
pub(super) struct PgSession {
    runtime: Runtime,
    connector: Arc<Connector>,
    link: Option<Link>,
    /// What begins the transaction, sent with its first statement.
    begin: Option<&'static str>,
    /// The connection was there before this transaction.
    reused: bool,
    /// The end of the transaction was asked for: whether it was committed is not known until the answer comes.
    committing: bool,
    deadline: Duration,
}

struct Link {
    client: Client,
    prepared: HashMap<String, Prepared>,
}

impl PgSession {
    /// A session without a connection yet.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(super) fn new(connector: Arc<Connector>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            connector,
            link: None,
            begin: None,
            reused: false,
            committing: false,
            deadline: STATEMENT,
        })
    }

    /// Begins a transaction: says `begin` with its first statement.
    pub(super) fn begin(&mut self, begin: &'static str) {
        self.begin = Some(begin);
    }

    /// Waits longer than usual from now on.
    pub(super) fn be_patient(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Makes the connection when there is none; returns whether it is new.
    pub(super) fn connect(&mut self) -> StoreResult<bool> {
        self.reused = self.link.is_some();
        self.committing = false;
        self.begin = None;
        if self.link.is_none() {
            let client = self.connector.connect(&self.runtime)?;
            self.link = Some(Link {
                client,
                prepared: HashMap::new(),
            });
            let connector = Arc::clone(&self.connector);
            if let Some(guard) = connector.guard() {
                guard.again(self).inspect_err(|_| self.link = None)?;
            }
        }
        Ok(!self.reused)
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Ends the transaction; one in which nothing was asked never began.
    pub(super) fn commit(&mut self) -> StoreResult<()> {
        if self.begin.take().is_some() {
            return Ok(());
        }
        self.committing = true;
        self.command("COMMIT")
    }

    /// Undoes the transaction, if the connection is still there.
    pub(super) fn roll_back(&mut self) {
        if self.begin.take().is_none() && self.link.is_some() && self.command("ROLLBACK").is_err() {
            self.link = None;
        }
    }

    /// Whether `error` came of a connection that had gone away before it was used: then nothing has happened, and a new one may do.
    pub(super) fn was_stale(&self, error: &StoreError) -> bool {
        self.reused && !self.committing && self.link.is_none() && is_cut(error)
    }

    /// Runs statements without parameters.
    pub(super) fn command(&mut self, text: &str) -> StoreResult<()> {
        self.wait(async |link| link.client.batch_execute(text).await)
    }

    /// Gives up the connection, in peace.
    pub(super) fn close(&mut self) {
        self.link = None;
        self.runtime.block_on(tokio::task::yield_now());
    }

    /// Waits for the database, no longer than the deadline. A connection that is cut or silent is dropped.
    fn wait<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut Link) -> Result<T, tokio_postgres::Error>,
    ) -> StoreResult<T> {
        let link = self
            .link
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable(Box::new(super::error::Away)))?;
        let deadline = self.deadline;
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(deadline, ask(link)).await });
        let answer = match answer {
            Ok(answer) => answer.map_err(StoreError::from),
            Err(_) => {
                self.link = None;
                self.connector.fell_silent();
                Err(StoreError::Unavailable(Box::new(TooLong(deadline))))
            }
        };
        if answer.as_ref().is_err_and(is_cut) {
            self.link = None;
        }
        answer
    }

    /// Asks in the transaction: says what begins it first, if that was not said yet.
    fn ask<T>(
        &mut self,
        texts: &[&str],
        ask: impl AsyncFnOnce(&Client, &[Prepared]) -> Result<T, tokio_postgres::Error>,
    ) -> StoreResult<T> {
        let begin = self.begin;
        let answer = self.wait(async |link| {
            let mut prepared = Vec::with_capacity(texts.len());
            for text in texts {
                prepared.push(link.prepare(text).await?);
            }
            let Some(begin) = begin else {
                return ask(&link.client, &prepared).await;
            };
            let (begun, answer) = join(
                link.client.batch_execute(begin),
                ask(&link.client, &prepared),
            )
            .await;
            begun?;
            answer
        });
        self.begin = None;
        answer
    }
}

impl Link {
    async fn prepare(&mut self, text: &str) -> Result<Prepared, tokio_postgres::Error> {
        if let Some(prepared) = self.prepared.get(text) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(&numbered(text)).await?;
        if self.prepared.len() < STATEMENTS {
            self.prepared.insert(text.to_owned(), prepared.clone());
        }
        Ok(prepared)
    }
}

/// The text with parameters as PostgreSQL counts them: `?` takes the next number, `?3` that one.
pub(super) fn numbered(text: &str) -> String {
    let mut numbered = String::with_capacity(text.len() + 16);
    let mut next = 1;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '?' {
            numbered.push(letter);
            continue;
        }
        numbered.push('$');
        if !letters.peek().is_some_and(char::is_ascii_digit) {
            numbered.push_str(&next.to_string());
            next += 1;
        }
    }
    numbered
}

fn bound(cells: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as _).collect()
}

/// Rows as columns.
fn columns(rows: &[Row]) -> Vec<Vec<&Cell>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).collect())
        .collect()
}

impl Session for PgSession {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn select(
        &mut self,
        statement: &Statement<'_>,
        parameters: &[Cell],
        read: &mut dyn FnMut(&Found<'_>) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let parameters = bound(parameters);
        let rows = self.ask(&[statement.postgres], async |client, prepared| {
            let [prepared] = prepared else {
                return Ok(Vec::new());
            };
            client.query(prepared, &parameters).await
        })?;
        rows.iter().try_for_each(|row| read(&Found(&Fields(row))))
    }

    fn execute(&mut self, statement: &Statement<'_>, parameters: &[Cell]) -> StoreResult<usize> {
        let parameters = bound(parameters);
        let changed = self.ask(&[statement.postgres], async |client, prepared| {
            let [prepared] = prepared else { return Ok(0) };
            client.execute(prepared, &parameters).await
        })?;
        usize::try_from(changed).map_err(corrupt)
    }

    fn write(&mut self, writes: &[(Statement<'static>, Vec<Row>)]) -> StoreResult<usize> {
        let writes: Vec<_> = writes.iter().filter(|(_, rows)| !rows.is_empty()).collect();
        if writes.is_empty() {
            return Ok(0);
        }
        let texts: Vec<_> = writes
            .iter()
            .map(|(statement, _)| statement.postgres)
            .collect();
        let columns: Vec<_> = writes.iter().map(|(_, rows)| columns(rows)).collect();
        let bound: Vec<Vec<&(dyn ToSql + Sync)>> = columns
            .iter()
            .map(|columns| columns.iter().map(|column| column as _).collect())
            .collect();
        let changed = self.ask(&texts, async |client, prepared| {
            // Sent one behind the other without waiting in between.
            let all = prepared
                .iter()
                .zip(&bound)
                .map(|(prepared, bound)| client.execute(prepared, bound));
            try_join_all(all).await
        })?;
        usize::try_from(changed.iter().sum::<u64>()).map_err(corrupt)
    }
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => out.put_i32(i32::try_from(*number)?),
            Self::Int(number) if *ty == Type::INT2 => out.put_i16(i16::try_from(*number)?),
            Self::Int(number) => out.put_i64(*number),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value as it came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row of PostgreSQL.
struct Fields<'a>(&'a Line);

impl Fields<'_> {
    fn raw(&self, column: usize) -> StoreResult<Option<&[u8]>> {
        let raw: Option<Raw<'_>> = self.0.try_get(column).map_err(corrupt)?;
        Ok(raw.map(|raw| raw.0))
    }
}

impl Columns for Fields<'_> {
    fn int(&self, column: usize) -> StoreResult<Option<i64>> {
        let Some(raw) = self.raw(column)? else {
            return Ok(None);
        };
        let bad = || corrupt("a number of an unknown size");
        Ok(Some(match raw.len() {
            8 => i64::from_be_bytes(raw.try_into().map_err(corrupt)?),
            4 => i64::from(i32::from_be_bytes(raw.try_into().map_err(corrupt)?)),
            2 => i64::from(i16::from_be_bytes(raw.try_into().map_err(corrupt)?)),
            1 => i64::from(*raw.first().ok_or_else(bad)?),
            _ => return Err(bad()),
        }))
    }

    fn text(&self, column: usize) -> StoreResult<Option<&str>> {
        self.raw(column)?
            .map(|raw| std::str::from_utf8(raw).map_err(corrupt))
            .transpose()
    }

    fn bytes(&self, column: usize) -> StoreResult<Option<&[u8]>> {
        self.raw(column)
    }
}

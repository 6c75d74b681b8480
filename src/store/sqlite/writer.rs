//! The one writer: a thread that owns the one connection that writes. What arrives while a commit is under way shares the
//! next one. A batch that fails is rolled back and each of its operations runs alone, so that a bad one fails alone.
//!
//! It does not know what the operations do.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::accept::{self, Intake};
use super::error::corrupt;
use super::sql::execute;
use super::{claim, settle};
use crate::domain::clock::Stopwatch;
use crate::event;
use crate::failpoint::{self, Mutant, Point};
use crate::store::{AcceptOutcome, Claim, ClaimOutcome, Settlement, StoreError, StoreResult};

/// How many operations wait for the writer before callers wait too.
pub(super) const WAITING_MAX: usize = 4096;
/// How many operations share a commit at most; an accept weighs as much as it has intents.
const COMMIT_MAX: usize = 256;
/// How long a commit waits for more of them at most; it waits only while more keep coming.
const GATHER: Duration = Duration::from_millis(2);

/// The connection that writes, with what the running transaction has to tell after its commit.
pub(super) struct Tx {
    pub(super) conn: Connection,
    /// Keys every hash that the store keeps.
    pub(super) secret: [u8; 32],
    /// The newest event written; 0: none.
    pub(super) sequence: i64,
    /// Something was erased: the log must not keep it.
    pub(super) scrub: bool,
}

/// An operation with the place for its answer.
pub(super) struct Ticket<I, O> {
    input: I,
    outcome: Option<O>,
    reply: oneshot::Sender<StoreResult<O>>,
}

impl<I, O> Ticket<I, O> {
    fn answer(self) {
        let outcome = self
            .outcome
            .ok_or_else(|| corrupt("an operation ended without an outcome"));
        // A caller that has gone meanwhile does not need the answer.
        let _ = self.reply.send(outcome);
    }
}

type Run<O> = Box<dyn Fn(&mut Tx) -> StoreResult<O> + Send>;

/// An operation that is not worth merging with its like. It may run more than once, each time from the start.
trait Call: Send {
    fn gone(&self) -> bool;
    fn run(&mut self, tx: &mut Tx) -> StoreResult<()>;
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, error: StoreError);
}

impl<O: Send> Call for Ticket<Run<O>, O> {
    fn gone(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, tx: &mut Tx) -> StoreResult<()> {
        self.outcome = Some((self.input)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        Ticket::answer(*self);
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

enum Op {
    Accept(Ticket<Intake, Vec<AcceptOutcome>>),
    Claim(Ticket<Claim, ClaimOutcome>),
    Settle(Ticket<Settlement, bool>),
    Call(Box<dyn Call>),
    Close(oneshot::Sender<()>),
}

/// The callers' end.
#[derive(Clone)]
pub(super) struct Writer {
    ops: mpsc::Sender<Op>,
}

#[derive(Debug, thiserror::Error)]
#[error("the store has been closed")]
struct Closed;

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable(Box::new(Closed))
}

impl Writer {
    /// Starts the thread. It holds `lock` until its connection is closed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(tx: Tx, lock: File, sequence: watch::Sender<i64>) -> std::io::Result<Self> {
        let (ops, waiting) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write(tx, waiting, lock, &sequence))?;
        Ok(Self { ops })
    }

    pub(super) async fn accept(&self, intake: Intake) -> StoreResult<Vec<AcceptOutcome>> {
        self.submit(intake, Op::Accept).await
    }

    pub(super) async fn claim(&self, claim: Claim) -> StoreResult<ClaimOutcome> {
        self.submit(claim, Op::Claim).await
    }

    pub(super) async fn settle(&self, settlement: Settlement) -> StoreResult<bool> {
        self.submit(settlement, Op::Settle).await
    }

    /// Runs `run` in a transaction; it may run more than once, each time from the start.
    pub(super) async fn call<O, F>(&self, run: F) -> StoreResult<O>
    where
        O: Send + 'static,
        F: Fn(&mut Tx) -> StoreResult<O> + Send + 'static,
    {
        let run: Run<O> = Box::new(run);
        self.submit(run, |ticket| Op::Call(Box::new(ticket))).await
    }

    /// Ends the task after what waits for it.
    pub(super) async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.ops.send(Op::Close(done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    async fn submit<I, O>(
        &self,
        input: I,
        wrap: impl FnOnce(Ticket<I, O>) -> Op,
    ) -> StoreResult<O> {
        let (reply, answer) = oneshot::channel();
        let op = wrap(Ticket {
            input,
            outcome: None,
            reply,
        });
        self.ops.send(op).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

fn write(mut tx: Tx, mut waiting: mpsc::Receiver<Op>, lock: File, sequence: &watch::Sender<i64>) {
    let mut closing = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = Batch::default();
        batch.add(first, &mut closing);
        gather(&mut batch, &mut waiting, &mut closing);
        if !closing.is_empty() {
            waiting.close();
        }
        commit(&mut tx, batch, sequence);
    }
    // Closing folds the log into the file; what it says can change nothing any more.
    let _ = tx.conn.close();
    drop(lock);
    for done in closing {
        let _ = done.send(());
    }
}

/// Takes what is there, and goes on as long as others who were just answered come back with more.
fn gather(
    batch: &mut Batch,
    waiting: &mut mpsc::Receiver<Op>,
    closing: &mut Vec<oneshot::Sender<()>>,
) {
    let began = Stopwatch::start();
    loop {
        let before = batch.len();
        while batch.weight() < COMMIT_MAX {
            let Ok(op) = waiting.try_recv() else { break };
            batch.add(op, closing);
        }
        let more = batch.len() > before && batch.weight() < COMMIT_MAX;
        if !more || began.elapsed() > GATHER {
            return;
        }
        std::thread::yield_now();
    }
}

fn commit(tx: &mut Tx, mut batch: Batch, sequence: &watch::Sender<i64>) {
    batch.drop_gone();
    if batch.len() == 0 {
        return;
    }
    match transact(tx, &mut batch) {
        Ok(()) => announce(tx, batch, sequence),
        Err(error) if batch.len() == 1 => batch.fail(error),
        Err(_) => {
            for mut single in batch.split() {
                match transact(tx, &mut single) {
                    Ok(()) => announce(tx, single, sequence),
                    Err(error) => single.fail(error),
                }
            }
        }
    }
}

fn announce(tx: &mut Tx, batch: Batch, sequence: &watch::Sender<i64>) {
    if !batch.accepts.is_empty() {
        failpoint::hit(Point::AfterCommit);
    }
    if tx.scrub {
        tx.scrub = !cut_log(&tx.conn);
    }
    let newest = std::mem::take(&mut tx.sequence);
    if newest > 0 {
        sequence.send_replace(newest);
    }
    batch.answer();
}

/// Folds the log into the file and cuts it. A reader may hinder this; then the next commit tries again.
fn cut_log(conn: &Connection) -> bool {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    })
    .is_ok_and(|busy| busy == 0)
}

fn transact(tx: &mut Tx, batch: &mut Batch) -> StoreResult<()> {
    tx.sequence = 0;
    let done = try_transact(tx, batch);
    if done.is_err() {
        tx.sequence = 0;
        // SQLite may have rolled back already, and says so with an error.
        let _ = tx.conn.execute_batch("ROLLBACK");
    }
    done
}

fn try_transact(tx: &mut Tx, batch: &mut Batch) -> StoreResult<()> {
    execute(&tx.conn, "BEGIN IMMEDIATE", [])?;
    // A bug in one operation costs that operation, not the writer.
    catch_unwind(AssertUnwindSafe(|| batch.run(tx))).map_err(|_| {
        event::task_panicked("store");
        corrupt("an operation of the store panicked")
    })??;
    if failpoint::is_on(Mutant::AnswerBeforeCommit) {
        std::mem::take(&mut batch.accepts)
            .into_iter()
            .for_each(Ticket::answer);
        std::thread::sleep(GATHER * 50);
    }
    if !batch.accepts.is_empty() {
        failpoint::hit(Point::BeforeCommit);
    }
    execute(&tx.conn, "COMMIT", [])?;
    Ok(())
}

/// Operations that share a commit, the hot ones grouped by kind, because a group is done in a constant number of statements.
/// They come from callers that run side by side, so no order among them is promised.
#[derive(Default)]
struct Batch {
    settles: Vec<Ticket<Settlement, bool>>,
    claims: Vec<Ticket<Claim, ClaimOutcome>>,
    accepts: Vec<Ticket<Intake, Vec<AcceptOutcome>>>,
    calls: Vec<Box<dyn Call>>,
}

impl Batch {
    fn add(&mut self, op: Op, closing: &mut Vec<oneshot::Sender<()>>) {
        match op {
            Op::Accept(ticket) => self.accepts.push(ticket),
            Op::Claim(ticket) => self.claims.push(ticket),
            Op::Settle(ticket) => self.settles.push(ticket),
            Op::Call(call) => self.calls.push(call),
            Op::Close(done) => closing.push(done),
        }
    }

    fn len(&self) -> usize {
        self.settles.len() + self.claims.len() + self.accepts.len() + self.calls.len()
    }

    /// What it costs, in intents.
    fn weight(&self) -> usize {
        let intents: usize = self
            .accepts
            .iter()
            .map(|ticket| ticket.input.batch.len())
            .sum();
        self.settles.len() + self.claims.len() + self.calls.len() + intents
    }

    fn drop_gone(&mut self) {
        self.settles.retain(|ticket| !ticket.reply.is_closed());
        self.claims.retain(|ticket| !ticket.reply.is_closed());
        self.accepts.retain(|ticket| !ticket.reply.is_closed());
        self.calls.retain(|call| !call.gone());
    }

    fn run(&mut self, tx: &mut Tx) -> StoreResult<()> {
        if !self.settles.is_empty() {
            let inputs: Vec<_> = self.settles.iter().map(|ticket| &ticket.input).collect();
            let outcomes = settle::run(tx, &inputs)?;
            place(&mut self.settles, outcomes);
        }
        if !self.claims.is_empty() {
            let inputs: Vec<_> = self.claims.iter().map(|ticket| &ticket.input).collect();
            let outcomes = claim::run(tx, &inputs)?;
            place(&mut self.claims, outcomes);
        }
        for call in &mut self.calls {
            call.run(tx)?;
        }
        if !self.accepts.is_empty() {
            let inputs: Vec<_> = self.accepts.iter().map(|ticket| &ticket.input).collect();
            let outcomes = accept::run(tx, &inputs)?;
            place(&mut self.accepts, outcomes);
        }
        Ok(())
    }

    fn answer(self) {
        self.settles.into_iter().for_each(Ticket::answer);
        self.claims.into_iter().for_each(Ticket::answer);
        self.accepts.into_iter().for_each(Ticket::answer);
        self.calls.into_iter().for_each(Call::answer);
    }

    /// Answers the one operation that is left with its error.
    fn fail(self, error: StoreError) {
        if let Some(ticket) = self.settles.into_iter().next() {
            let _ = ticket.reply.send(Err(error));
        } else if let Some(ticket) = self.claims.into_iter().next() {
            let _ = ticket.reply.send(Err(error));
        } else if let Some(ticket) = self.accepts.into_iter().next() {
            let _ = ticket.reply.send(Err(error));
        } else if let Some(call) = self.calls.into_iter().next() {
            call.fail(error);
        }
    }

    fn split(self) -> impl Iterator<Item = Self> {
        let settles = self.settles.into_iter().map(|ticket| Self {
            settles: vec![ticket],
            ..Self::default()
        });
        let claims = self.claims.into_iter().map(|ticket| Self {
            claims: vec![ticket],
            ..Self::default()
        });
        let calls = self.calls.into_iter().map(|call| Self {
            calls: vec![call],
            ..Self::default()
        });
        let accepts = self.accepts.into_iter().map(|ticket| Self {
            accepts: vec![ticket],
            ..Self::default()
        });
        settles.chain(claims).chain(calls).chain(accepts)
    }
}

fn place<I, O>(tickets: &mut [Ticket<I, O>], outcomes: Vec<O>) {
    for (ticket, outcome) in tickets.iter_mut().zip(outcomes) {
        ticket.outcome = Some(outcome);
    }
}

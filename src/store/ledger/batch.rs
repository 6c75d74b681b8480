//! What callers ask of a writer, gathered so that what arrives while a commit is under way shares the next one. The hot kinds are
//! grouped, because a group is done in a constant number of statements.
//!
//! It does not commit: each engine does that in its own way, and retries what failed there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::accept::{self, Intake};
pub(in crate::store) use super::customers::Dead;
use super::session::{Row, Session, corrupt};
use super::writes::{Counts, tell};
use super::{claim, customers, settle};
use crate::domain::clock::Stopwatch;
use crate::event;
use crate::failpoint::{self, Mutant, Point};
use crate::store::{AcceptOutcome, Claim, ClaimOutcome, Settlement, StoreError, StoreResult};

/// How many operations wait for a writer before callers wait too.
pub(in crate::store) const WAITING_MAX: usize = 4096;
/// How many operations share a commit at most; an accept weighs as much as it has intents.
const COMMIT_MAX: usize = 256;
/// How long a commit waits for more of them at most; it waits only while more keep coming.
const GATHER: Duration = Duration::from_millis(2);
/// How long it waits for more while other writers are at work.
const LINGER: Duration = Duration::from_millis(4);

/// A transaction that is under way.
pub(in crate::store) struct Tx<'a> {
    pub(in crate::store) session: &'a mut dyn Session,
    /// Keys every hash that the store keeps.
    pub(super) secret: [u8; 32],
    /// Something was erased: the log must not keep it.
    pub(in crate::store) scrub: bool,
    /// Events were written.
    pub(in crate::store) told: bool,
    pub(super) events: Vec<Row>,
    pub(super) counts: Counts,
    /// Addresses that were found dead, for [`reconsider`].
    pub(in crate::store) dead: Vec<Dead>,
}

impl<'a> Tx<'a> {
    pub(in crate::store) fn new(session: &'a mut dyn Session, secret: [u8; 32]) -> Self {
        Self {
            session,
            secret,
            scrub: false,
            told: false,
            events: Vec::new(),
            counts: Counts::new(),
            dead: Vec::new(),
        }
    }
}

/// An operation with the place for its answer.
pub(in crate::store) struct Ticket<I, O> {
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

type Run<O> = Box<dyn Fn(&mut Tx<'_>) -> StoreResult<O> + Send>;

/// An operation that is not worth merging with its like. It may run more than once, each time from the start.
pub(in crate::store) trait Call: Send {
    fn gone(&self) -> bool;
    fn run(&mut self, tx: &mut Tx<'_>) -> StoreResult<()>;
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, error: StoreError);
}

impl<O: Send> Call for Ticket<Run<O>, O> {
    fn gone(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> StoreResult<()> {
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

pub(in crate::store) enum Op {
    Accept(Ticket<Intake, Vec<AcceptOutcome>>),
    Claim(Ticket<Claim, ClaimOutcome>),
    Settle(Ticket<Settlement, bool>),
    Call(Box<dyn Call>),
    Close(oneshot::Sender<()>),
}

/// The callers' end of the queue that writers take from.
pub(in crate::store) struct Writer {
    ops: mpsc::Sender<Op>,
}

#[derive(Debug, thiserror::Error)]
#[error("the store has been closed")]
struct Closed;

/// Another writer was quicker: what this transaction found is no longer so, and the same once more finds what is.
#[derive(Debug, thiserror::Error)]
#[error("another process was taking the same in")]
pub(in crate::store) struct Raced;

pub(super) fn raced() -> StoreError {
    StoreError::Unavailable(Box::new(Raced))
}

pub(in crate::store) fn closed() -> StoreError {
    StoreError::Unavailable(Box::new(Closed))
}

impl Writer {
    /// A queue: the callers' end and the writers'.
    pub(in crate::store) fn new() -> (Self, mpsc::Receiver<Op>) {
        let (ops, waiting) = mpsc::channel(WAITING_MAX);
        (Self { ops }, waiting)
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
        F: Fn(&mut Tx<'_>) -> StoreResult<O> + Send + 'static,
    {
        let run: Run<O> = Box::new(run);
        self.submit(run, |ticket| Op::Call(Box::new(ticket))).await
    }

    /// Ends the writer after what waits for it.
    pub(in crate::store) async fn close(&self) {
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

/// Waits for an operation and takes what is there, as long as others who were just answered come back with more. `None` when the
/// store is closed and nothing waits any more.
///
/// Where `others` are at work it waits for more in any case: a transaction costs about the same for one operation as for ten, and what
/// is under way will come back with its next.
pub(in crate::store) fn gather(
    waiting: &mut mpsc::Receiver<Op>,
    closing: &mut Vec<oneshot::Sender<()>>,
    others: impl Fn() -> bool,
) -> Option<Batch> {
    let mut batch = Batch::default();
    batch.add(waiting.blocking_recv()?, closing);
    let began = Stopwatch::start();
    collect(&mut batch, waiting, closing);
    while batch.weight() < COMMIT_MAX && began.elapsed() < LINGER && others() {
        std::thread::sleep(LINGER / 8);
        collect(&mut batch, waiting, closing);
    }
    if !closing.is_empty() {
        waiting.close();
    }
    batch.drop_gone();
    Some(batch)
}

fn collect(
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

fn guarded(work: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        event::task_panicked("store");
        Err(corrupt("an operation of the store panicked"))
    })
}

/// Runs a batch in the transaction that has begun. A bug in one operation costs that operation, not the writer.
pub(in crate::store) fn run(tx: &mut Tx<'_>, batch: &mut Batch) -> StoreResult<()> {
    guarded(|| batch.run(tx))?;
    if failpoint::is_on(Mutant::AnswerBeforeCommit) {
        std::mem::take(&mut batch.accepts)
            .into_iter()
            .for_each(Ticket::answer);
        std::thread::sleep(GATHER * 50);
    }
    if !batch.accepts.is_empty() {
        failpoint::hit(Point::BeforeCommit);
    }
    Ok(())
}

/// Decides again, in the transaction that has begun, what waits for addresses that were found dead by one that has been committed.
/// Nothing is lost without it: a claim looks at the list too. In one transaction with what found them it would lock in the wrong order.
pub(in crate::store) fn reconsider(tx: &mut Tx<'_>, dead: &[Dead]) -> StoreResult<()> {
    guarded(|| {
        dead.iter()
            .try_for_each(|one| customers::reconsider(tx, one))?;
        tell(tx)
    })
}

/// Operations that share a commit, the hot ones grouped by kind, because a group is done in a constant number of statements.
/// They come from callers that run side by side, so no order among them is promised.
#[derive(Default)]
pub(in crate::store) struct Batch {
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

    /// How many operations.
    pub(in crate::store) fn len(&self) -> usize {
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

    /// Whether nobody waits for any of it any more.
    pub(in crate::store) fn is_gone(&self) -> bool {
        self.settles.iter().all(|ticket| ticket.reply.is_closed())
            && self.claims.iter().all(|ticket| ticket.reply.is_closed())
            && self.accepts.iter().all(|ticket| ticket.reply.is_closed())
            && self.calls.iter().all(|call| call.gone())
    }

    fn drop_gone(&mut self) {
        self.settles.retain(|ticket| !ticket.reply.is_closed());
        self.claims.retain(|ticket| !ticket.reply.is_closed());
        self.accepts.retain(|ticket| !ticket.reply.is_closed());
        self.calls.retain(|call| !call.gone());
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> StoreResult<()> {
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
        tell(tx)
    }

    /// Answers all of it; it has been committed.
    pub(in crate::store) fn answer(self) {
        if !self.accepts.is_empty() {
            failpoint::hit(Point::AfterCommit);
        }
        self.settles.into_iter().for_each(Ticket::answer);
        self.claims.into_iter().for_each(Ticket::answer);
        self.accepts.into_iter().for_each(Ticket::answer);
        self.calls.into_iter().for_each(Call::answer);
    }

    /// Answers the one operation that is left with its error.
    pub(in crate::store) fn fail(self, error: StoreError) {
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

    /// Answers all of it with an error each.
    pub(in crate::store) fn fail_all(self, error: impl Fn() -> StoreError) {
        for single in self.split() {
            single.fail(error());
        }
    }

    /// By kind, for engines where each kind locks in its own order.
    pub(in crate::store) fn kinds(self) -> impl Iterator<Item = Self> {
        let settles = Self {
            settles: self.settles,
            ..Self::default()
        };
        let claims = Self {
            claims: self.claims,
            ..Self::default()
        };
        let accepts = Self {
            accepts: self.accepts,
            ..Self::default()
        };
        let calls = self.calls.into_iter().map(|call| Self {
            calls: vec![call],
            ..Self::default()
        });
        [settles, claims]
            .into_iter()
            .chain(calls)
            .chain([accepts])
            .filter(|batch| batch.len() > 0)
    }

    /// Each operation alone.
    pub(in crate::store) fn split(self) -> impl Iterator<Item = Self> {
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

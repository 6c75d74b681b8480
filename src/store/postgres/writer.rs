//! The writers: a few threads, each with a connection of its own, that take from one queue. What a thread has gathered is done by
//! kind, one transaction each, because each kind locks in its own order.
//!
//! Others in the way: the same once more after a pause. A bad operation: the batch is done one by one, so that it fails alone. The
//! database away: all of the batch fails at once, and the connection is made anew at the next use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::connection::slot_statement;
use super::error::{Grade, Shared, grade};
use super::session::PgSession;
use crate::domain::id::chance;
use crate::store::ledger::batch::{Batch, Dead, Op, Tx, closed, gather, reconsider, run};
use crate::store::{StoreError, StoreResult};

/// How often a transaction is tried when others are in the way.
const TRIES: u32 = 6;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(10);

/// What the threads share.
pub(super) struct Desk {
    waiting: Mutex<Intray>,
    /// Keys every hash that the store keeps.
    secret: [u8; 32],
    /// Rung when events were written.
    news: Arc<Notify>,
    /// How many of the threads have a transaction under way.
    busy: AtomicUsize,
}

struct Intray {
    ops: mpsc::Receiver<Op>,
    closing: Vec<oneshot::Sender<()>>,
}

impl Desk {
    pub(super) fn new(ops: mpsc::Receiver<Op>, secret: [u8; 32], news: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(Intray {
                ops,
                closing: Vec::new(),
            }),
            secret,
            news,
            busy: AtomicUsize::new(0),
        })
    }

    /// Starts a thread. It ends when the queue is closed; what `at_end` holds is dropped then.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        self: &Arc<Self>,
        session: PgSession,
        at_end: impl Send + 'static,
    ) -> std::io::Result<()> {
        let desk = Arc::clone(self);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let mut pen = Pen {
                    desk: &desk,
                    session,
                };
                pen.write();
                pen.session.close();
                drop(at_end);
            })
            .map(drop)
    }

    /// Waits for work; while one thread waits here the others wait behind it.
    fn next(&self) -> Option<Batch> {
        let mut tray = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Intray { ops, closing } = &mut *tray;
        gather(ops, closing, || self.busy.load(Ordering::Relaxed) > 0)
    }
}

struct Pen<'a> {
    desk: &'a Desk,
    session: PgSession,
}

impl Pen<'_> {
    fn write(&mut self) {
        while let Some(batch) = self.desk.next() {
            self.desk.busy.fetch_add(1, Ordering::Relaxed);
            for kind in batch.kinds() {
                self.commit(kind);
            }
            self.desk.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn commit(&mut self, mut batch: Batch) {
        let done = self.persist(|tx| {
            run(tx, &mut batch)?;
            // It may have waited long for others; whoever has gone meanwhile was told that it has not happened.
            if batch.is_gone() {
                Err(closed())
            } else {
                Ok(())
            }
        });
        match done {
            Ok(()) => batch.answer(),
            Err(error) if grade(&error) == Grade::Broken => {
                let error = Arc::new(error);
                batch.fail_all(|| match error.as_ref() {
                    StoreError::Full => StoreError::Full,
                    _ => StoreError::Unavailable(Box::new(Shared(Arc::clone(&error)))),
                });
            }
            Err(error) if batch.len() == 1 => batch.fail(error),
            Err(_) => batch.split().for_each(|single| self.commit(single)),
        }
    }

    /// One transaction, tried as often as others are in its way.
    fn persist(&mut self, mut work: impl FnMut(&mut Tx<'_>) -> StoreResult<()>) -> StoreResult<()> {
        let mut tries = 1;
        let mut renewed = false;
        loop {
            let error = match self.transact(&mut work) {
                Ok(dead) => {
                    self.reconsider(dead);
                    return Ok(());
                }
                Err(error) => error,
            };
            self.session.roll_back();
            if grade(&error) == Grade::Again && tries < TRIES {
                let pause = PAUSE.saturating_mul(1 << (tries - 1));
                std::thread::sleep(pause.mul_f64(0.5 + chance()));
                tries += 1;
            } else if self.session.was_stale(&error) && !renewed {
                renewed = true;
            } else {
                return Err(error);
            }
        }
    }

    fn transact(
        &mut self,
        work: &mut impl FnMut(&mut Tx<'_>) -> StoreResult<()>,
    ) -> StoreResult<Vec<Dead>> {
        if self.session.connect()? {
            self.session.command(&slot_statement())?;
        }
        self.session.begin("BEGIN");
        let mut tx = Tx::new(&mut self.session, self.desk.secret);
        work(&mut tx)?;
        let (told, dead) = (tx.told, std::mem::take(&mut tx.dead));
        self.session.commit()?;
        if told {
            self.desk.news.notify_one();
        }
        Ok(dead)
    }

    /// What fails here is found again by the claim of whatever waits for the dead address.
    fn reconsider(&mut self, dead: Vec<Dead>) {
        for one in dead {
            let _ = self.persist(|tx| reconsider(tx, std::slice::from_ref(&one)));
        }
    }
}

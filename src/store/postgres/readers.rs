//! Sessions that read, and that do by themselves what is one statement: a few threads that take from one queue. A read that finds its
//! connection gone is done once more on a new one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::session::PgSession;
use crate::event;
use crate::store::StoreResult;
use crate::store::ledger::batch::{WAITING_MAX, closed};
use crate::store::ledger::session::corrupt;

/// A read with the place for its answer.
type Read = Box<dyn FnOnce(&mut PgSession) + Send>;

enum Job {
    Read(Read),
    Close,
}

/// What begins a read of several statements.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The callers' end.
#[derive(Clone)]
pub(super) struct Readers {
    jobs: mpsc::Sender<Job>,
}

impl Readers {
    /// Starts a thread for each session; what `at_end` holds is dropped when the last of them ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        sessions: Vec<PgSession>,
        at_end: &(impl Clone + Send + 'static),
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let waiting: Arc<Mutex<mpsc::Receiver<Job>>> = Arc::new(Mutex::new(waiting));
        for mut session in sessions {
            let (waiting, at_end) = (Arc::clone(&waiting), at_end.clone());
            std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || {
                    while let Some(read) = next(&waiting) {
                        read(&mut session);
                    }
                    session.close();
                    drop(at_end);
                })?;
        }
        Ok(Self { jobs })
    }

    /// Runs a read of one statement, or, as a `snapshot`, of several that all see the same state.
    pub(super) async fn run<T, F>(&self, snapshot: bool, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut PgSession) -> StoreResult<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |session: &mut PgSession| {
            if reply.is_closed() {
                return;
            }
            let mut found = try_read(session, snapshot, &read);
            if found.as_ref().is_err_and(|error| session.was_stale(error)) {
                found = try_read(session, snapshot, &read);
            }
            // A caller that has gone meanwhile does not need the answer.
            let _ = reply.send(found);
        });
        self.jobs.send(Job::Read(job)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Ends the threads after what waits for them.
    pub(super) async fn close(&self) {
        // Closed already: nothing is left to be done.
        let _ = self.jobs.send(Job::Close).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.jobs.is_closed()
    }
}

/// Waits for a read; `None` when it was closed and nothing waits any more.
fn next(waiting: &Mutex<mpsc::Receiver<Job>>) -> Option<Read> {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match waiting.blocking_recv()? {
            Job::Read(read) => return Some(read),
            Job::Close => waiting.close(),
        }
    }
}

fn try_read<T>(
    session: &mut PgSession,
    snapshot: bool,
    read: &impl Fn(&mut PgSession) -> StoreResult<T>,
) -> StoreResult<T> {
    session.connect()?;
    if snapshot {
        session.begin(SNAPSHOT);
    }
    let found = catch_unwind(AssertUnwindSafe(|| read(session))).unwrap_or_else(|_| {
        event::task_panicked("store");
        Err(corrupt("a read of the store panicked"))
    });
    if snapshot {
        session.roll_back();
    }
    found
}

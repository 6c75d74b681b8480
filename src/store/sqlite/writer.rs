//! The one writer: a thread that owns the one connection that writes. A batch that fails is rolled back and each of its operations
//! runs alone, so that a bad one fails alone.
//!
//! It does not know what the operations do.

use std::fs::File;

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::session::SqliteSession;
use crate::store::StoreResult;
use crate::store::ledger::batch::{Batch, Op, Tx, gather, run};

/// The thread's things.
pub(super) struct Pen {
    pub(super) session: SqliteSession,
    /// Keys every hash that the store keeps.
    pub(super) secret: [u8; 32],
    /// Where the newest event is told.
    pub(super) sequence: watch::Sender<i64>,
    /// Something was erased, and the log still holds it.
    pub(super) scrub: bool,
}

impl Pen {
    /// Starts the thread. It holds `lock` until its connection is closed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self, waiting: mpsc::Receiver<Op>, lock: File) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || self.write(waiting, lock))
            .map(drop)
    }

    fn write(mut self, mut waiting: mpsc::Receiver<Op>, lock: File) {
        let mut closing = Vec::new();
        while let Some(batch) = gather(&mut waiting, &mut closing, || false) {
            self.commit(batch);
        }
        // Closing folds the log into the file; what it says can change nothing any more.
        let _ = self.session.conn.close();
        drop(lock);
        for done in closing {
            let _ = done.send(());
        }
    }

    fn commit(&mut self, mut batch: Batch) {
        if batch.len() == 0 {
            return;
        }
        match self.transact(&mut batch) {
            Ok(()) => batch.answer(),
            Err(error) if batch.len() == 1 => batch.fail(error),
            Err(_) => {
                for mut single in batch.split() {
                    match self.transact(&mut single) {
                        Ok(()) => single.answer(),
                        Err(error) => single.fail(error),
                    }
                }
            }
        }
    }

    fn transact(&mut self, batch: &mut Batch) -> StoreResult<()> {
        let done = self.try_transact(batch);
        if done.is_err() {
            // SQLite may have rolled back already, and says so with an error.
            let _ = self.session.conn.execute_batch("ROLLBACK");
        }
        done
    }

    fn try_transact(&mut self, batch: &mut Batch) -> StoreResult<()> {
        self.session.command("BEGIN IMMEDIATE")?;
        let mut tx = Tx::new(&mut self.session, self.secret);
        run(&mut tx, batch)?;
        let (told, scrub) = (tx.told, tx.scrub);
        self.session.command("COMMIT")?;
        self.scrub |= scrub;
        if self.scrub {
            self.scrub = !cut_log(&self.session.conn);
        }
        if told {
            self.sequence
                .send_replace(self.session.conn.last_insert_rowid());
        }
        Ok(())
    }
}

/// Folds the log into the file and cuts it. A reader may hinder this; then the next commit tries again.
fn cut_log(conn: &Connection) -> bool {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    })
    .is_ok_and(|busy| busy == 0)
}

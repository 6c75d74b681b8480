//! A unit of work: the open notifications that an operation touches, loaded once, changed in memory by the rules of `open`,
//! and written back by `writes` in a constant number of statements, however many they are.
//!
//! That is sound because loading locks them, where there is more than one writer, and all happens in one transaction.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::batch::Tx;
use super::open::Open;
use super::rows::{Head, Letter, head_columns, message_columns};
use super::session::{Row, Statement, bind, find_ids, id_list, message_list, row, select};
use super::statement::by_ids;
use super::writes::Writes;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::{Attempt, AttemptResult};
use crate::store::StoreResult;

pub(super) const LOAD_HEADS: Statement<'_> = by_ids!(
    head_columns!(),
    "notification" "n",
    "n.id",
    "",
    "",
    " ORDER BY n.id FOR UPDATE"
);
pub(super) const LOAD_MESSAGES: Statement<'_> = by_ids!(
    message_columns!(),
    "message" "m",
    "m.notification",
    "",
    " ORDER BY m.id",
    ""
);
pub(super) const BY_MESSAGE: Statement<'_> =
    by_ids!("DISTINCT m.notification", "message" "m", "m.id");

/// The open notifications of an operation.
#[derive(Default)]
pub(super) struct Unit {
    opens: BTreeMap<NotificationId, Open>,
    messages: HashMap<MessageId, NotificationId>,
    attempts: Vec<Row>,
    ended_attempts: Vec<Row>,
}

impl Unit {
    /// Loads those that are open and not here yet.
    pub(super) fn load(&mut self, tx: &mut Tx<'_>, ids: &[NotificationId]) -> StoreResult<()> {
        let mut missing: Vec<_> = ids
            .iter()
            .filter(|id| !self.opens.contains_key(id))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        let list = id_list(missing);
        let heads = select(tx.session, LOAD_HEADS, &bind![&list], Head::read)?;
        let none = heads.is_empty();
        for head in heads {
            self.opens.insert(head.id, Open::loaded(head));
        }
        if none {
            return Ok(());
        }
        for letter in select(tx.session, LOAD_MESSAGES, &bind![list], Letter::read)? {
            if let Some(open) = self.opens.get_mut(&letter.message.notification) {
                self.messages.insert(letter.message.id, open.head.id);
                open.keep(letter);
            }
        }
        Ok(())
    }

    /// Loads the notifications of messages.
    pub(super) fn load_by_messages<'a>(
        &mut self,
        tx: &mut Tx<'_>,
        ids: impl IntoIterator<Item = &'a MessageId>,
    ) -> StoreResult<()> {
        let found = find_ids(tx.session, BY_MESSAGE, &bind![message_list(ids)])?;
        self.load(tx, &found)
    }

    /// Forgets those that are not to be touched.
    pub(super) fn keep(&mut self, which: impl Fn(&Open) -> bool) {
        self.opens.retain(|_, open| which(open));
        self.messages.retain(|_, of| self.opens.contains_key(of));
    }

    /// Adds one that has just come in.
    pub(super) fn add(&mut self, open: Open) {
        self.opens.insert(open.head.id, open);
    }

    pub(super) fn get(&self, id: NotificationId) -> Option<&Open> {
        self.opens.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: NotificationId) -> Option<&mut Open> {
        self.opens.get_mut(&id)
    }

    pub(super) fn by_message(&mut self, id: MessageId) -> Option<&mut Open> {
        let id = self.messages.get(&id)?;
        self.opens.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Open> {
        self.opens.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Open> {
        self.opens.values_mut()
    }

    /// Writes an attempt that begins.
    pub(super) fn begin_attempt(&mut self, attempt: &Attempt) {
        self.attempts.push(row![
            attempt.message.as_bytes(),
            attempt.id.as_bytes(),
            &attempt.provider,
            attempt.start_time,
            attempt.number,
            &attempt.content_hash,
            attempt.result.as_str(),
            &attempt.reply,
        ]);
    }

    /// Writes how the attempt ended that was under way for a message.
    pub(super) fn end_attempt(
        &mut self,
        message: MessageId,
        result: AttemptResult,
        reply: &str,
        now: Timestamp,
    ) {
        self.ended_attempts
            .push(row![now, result.as_str(), reply, message.as_bytes()]);
    }

    /// Writes everything that has changed.
    pub(super) fn flush(self, tx: &mut Tx<'_>) -> StoreResult<()> {
        let mut writes = Writes::new(self.attempts, self.ended_attempts);
        for open in self.opens.into_values() {
            writes.collect(open)?;
        }
        writes.execute(tx)
    }
}

//! A unit of work: the open notifications that an operation touches, loaded once, changed in memory by the rules of `open`,
//! and written back in a constant number of statements, however many they are.
//!
//! That is sound because there is one writer and all happens in its transaction. Every change of a status is counted and
//! leaves one event; what passes several statuses in one transaction leaves one event, of the last.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::error::corrupt;
use super::open::{Change, Charge, Open};
use super::rows::{Head, Letter, head_columns, message_columns, to_json};
use super::sql::{Row, find_ids, id_list, message_list, row, select, write};
use super::writer::Tx;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::intent::{Intent, Variables};
use crate::domain::notification::{Attempt, AttemptResult};
use crate::domain::reason::Status;
use crate::domain::shop::Identity;
use crate::failpoint::{self, Point};
use crate::store::StoreResult;

pub(super) const LOAD_HEADS: &str = concat!(
    "SELECT ",
    head_columns!(),
    " FROM json_each(?1) j CROSS JOIN notification n ON n.id = unhex(j.value)"
);
pub(super) const LOAD_MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM json_each(?1) j CROSS JOIN message m ON m.notification = unhex(j.value) ORDER BY m.id"
);
pub(super) const BY_MESSAGE: &str = "SELECT DISTINCT m.notification FROM json_each(?1) j CROSS JOIN message m ON m.id = unhex(j.value)";

const INSERT_OPEN: &str = "INSERT INTO notification (id, shop, caller, customer, category, topic, template, accepted_bundle, \
    bundle, state, reason, task, due_at, expire_time, event_time, create_time, update_time, collapse_key, cancellation_key, \
    reference, lane) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";
const INSERT_HISTORY: &str = "INSERT INTO history (id, shop, caller, customer, category, topic, template, accepted_bundle, \
    bundle, state, reason, task, due_at, expire_time, event_time, create_time, update_time, collapse_key, cancellation_key, \
    reference, lane, final_time) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";
pub(super) const DELETE_OPEN: &str = "DELETE FROM notification WHERE id = ?1";
pub(super) const UPDATE_OPEN: &str = "UPDATE notification SET bundle = ?2, state = ?3, reason = ?4, task = ?5, due_at = ?6, \
    update_time = ?7 WHERE id = ?1";
const INSERT_DETAIL: &str =
    "INSERT INTO detail (notification, intent, decision) VALUES (?1, ?2, ?3)";
pub(super) const UPDATE_DETAIL: &str = "UPDATE detail SET decision = ?2 WHERE notification = ?1";
const INSERT_CONTENT: &str =
    "INSERT INTO content (notification, variables, attachments) VALUES (?1, ?2, ?3)";
const INSERT_MESSAGE: &str = "INSERT INTO message (id, notification, channel, address, digest, lane, state, fence, tries, \
    maybe_sent, due_at, provider, provider_message_id, variant, sms_segments, fallback, shop) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
pub(super) const UPDATE_MESSAGE: &str = "UPDATE message SET state = ?2, fence = ?3, tries = ?4, maybe_sent = ?5, due_at = ?6, \
    provider = ?7, provider_message_id = ?8, sms_segments = ?9 WHERE id = ?1";
const INSERT_ATTEMPT: &str = "INSERT INTO attempt (message, id, provider, start_time, number, content_hash, result, reply) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(super) const END_ATTEMPT: &str = "UPDATE attempt SET end_time = ?2, result = ?3, reply = ?4 \
    WHERE message = ?1 AND result = 'sending'";
const RESERVE: &str = "INSERT INTO usage (shop, customer, notification, at, category, topic, template, subject) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (shop, customer, notification) DO UPDATE SET at = excluded.at, \
    category = excluded.category, topic = excluded.topic, template = excluded.template, subject = excluded.subject";
pub(super) const MOVE_USAGE: &str =
    "UPDATE usage SET at = ?4 WHERE shop = ?1 AND customer = ?2 AND notification = ?3";
pub(super) const RELEASE: &str =
    "DELETE FROM usage WHERE shop = ?1 AND customer = ?2 AND notification = ?3";
const INSERT_EVENT: &str = "INSERT INTO event (notification, shop, caller, state, reason, time) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const COUNT: &str = "INSERT INTO tally (shop, caller, state, reason, count) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (shop, caller, state, reason) DO UPDATE SET count = count + excluded.count";

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
    pub(super) fn load(&mut self, tx: &mut Tx, ids: &[NotificationId]) -> StoreResult<()> {
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
        let heads = select(&tx.conn, LOAD_HEADS, [list.as_str()], Head::read)?;
        let none = heads.is_empty();
        for head in heads {
            self.opens.insert(head.id, Open::loaded(head));
        }
        if none {
            return Ok(());
        }
        for letter in select(&tx.conn, LOAD_MESSAGES, [list], Letter::read)? {
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
        tx: &mut Tx,
        ids: impl IntoIterator<Item = &'a MessageId>,
    ) -> StoreResult<()> {
        let found = find_ids(&tx.conn, BY_MESSAGE, [message_list(ids)])?;
        self.load(tx, &found)
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
            .push(row![message.as_bytes(), now, result.as_str(), reply]);
    }

    /// Writes everything that has changed.
    pub(super) fn flush(self, tx: &mut Tx) -> StoreResult<()> {
        let mut writes = Writes {
            attempts: self.attempts,
            ended_attempts: self.ended_attempts,
            ..Writes::default()
        };
        for open in self.opens.into_values() {
            writes.collect(open)?;
        }
        writes.execute(tx)
    }
}

/// Rows by the statement that takes them.
#[derive(Default)]
struct Writes {
    new_open: Vec<Row>,
    ended: Vec<Row>,
    ended_ids: Vec<Row>,
    changed_open: Vec<Row>,
    new_detail: Vec<Row>,
    changed_detail: Vec<Row>,
    new_content: Vec<Row>,
    new_messages: Vec<Row>,
    changed_messages: Vec<Row>,
    attempts: Vec<Row>,
    ended_attempts: Vec<Row>,
    reserved: Vec<Row>,
    moved: Vec<Row>,
    released: Vec<Row>,
    events: Vec<Row>,
    counts: BTreeMap<(String, String, &'static str, &'static str), i64>,
}

impl Writes {
    fn collect(&mut self, open: Open) -> StoreResult<()> {
        self.charge(&open);
        let head = &open.head;
        for held in &open.held {
            match held.change {
                Change::None => {}
                Change::Changed => self.changed_messages.push(held.letter.change()),
                Change::New => {
                    self.new_messages
                        .push(held.letter.row(&head.identity.shop)?);
                }
            }
        }
        if open.was != Some(head.status) {
            check(head, open.was)?;
            self.event(head, open.was);
        }
        let settled = head.status.is_settled();
        match open.change {
            Change::None => {}
            Change::New if settled => self.ended.push(ended(head)),
            Change::New => self.new_open.push(head.row()),
            Change::Changed if settled => {
                self.ended.push(ended(head));
                self.ended_ids.push(row![head.id.as_bytes()]);
            }
            Change::Changed => self.changed_open.push(head.change()),
        }
        let decision = open.decision.as_ref().map(to_json).transpose()?;
        match (open.intent, decision) {
            (Some(intent), decision) => self.intent(head.id, intent, decision)?,
            (None, Some(decision)) => self.changed_detail.push(row![head.id.as_bytes(), decision]),
            (None, None) => {}
        }
        Ok(())
    }

    fn intent(
        &mut self,
        id: NotificationId,
        mut intent: Intent,
        decision: Option<String>,
    ) -> StoreResult<()> {
        let variables = std::mem::take(&mut intent.variables);
        let attachments = std::mem::take(&mut intent.attachments);
        if variables != Variables::default() || !attachments.is_empty() {
            let attachments = (!attachments.is_empty())
                .then(|| to_json(&attachments))
                .transpose()?;
            self.new_content
                .push(row![id.as_bytes(), to_json(&variables)?, attachments]);
        }
        self.new_detail
            .push(row![id.as_bytes(), to_json(&intent)?, decision]);
        Ok(())
    }

    fn charge(&mut self, open: &Open) {
        let head = &open.head;
        match &open.charge {
            Charge::Keep => {}
            Charge::Release if open.was.is_none() => {}
            Charge::Release => self.released.push(row![
                &head.identity.shop,
                &head.customer,
                head.id.as_bytes()
            ]),
            Charge::Move(at) => self.moved.push(row![
                &head.identity.shop,
                &head.customer,
                head.id.as_bytes(),
                *at
            ]),
            Charge::Reserve(usage) => self.reserved.push(row![
                &head.identity.shop,
                &head.customer,
                head.id.as_bytes(),
                usage.at,
                usage.category.as_str(),
                &usage.topic,
                &usage.template,
                &usage.subject,
            ]),
        }
    }

    fn event(&mut self, head: &Head, was: Option<Status>) {
        self.events.push(row![
            head.id.as_bytes(),
            &head.identity.shop,
            &head.identity.caller,
            head.status.state.as_str(),
            head.status.reason.as_str(),
            head.update_time,
        ]);
        self.count(&head.identity, head.status, 1);
        if let Some(was) = was {
            self.count(&head.identity, was, -1);
        }
    }

    fn count(&mut self, identity: &Identity, status: Status, by: i64) {
        let key = (
            identity.shop.as_str().to_owned(),
            identity.caller.as_str().to_owned(),
            status.state.as_str(),
            status.reason.as_str(),
        );
        *self.counts.entry(key).or_default() += by;
    }

    fn execute(self, tx: &mut Tx) -> StoreResult<()> {
        let counts: Vec<_> = self
            .counts
            .into_iter()
            .filter(|(_, by)| *by != 0)
            .map(|((shop, caller, state, reason), by)| row![shop, caller, state, reason, by])
            .collect();
        for (statement, rows) in [
            (INSERT_OPEN, self.new_open),
            (INSERT_HISTORY, self.ended),
            (DELETE_OPEN, self.ended_ids),
            (UPDATE_OPEN, self.changed_open),
            (INSERT_DETAIL, self.new_detail),
            (UPDATE_DETAIL, self.changed_detail),
            (INSERT_CONTENT, self.new_content),
            (UPDATE_MESSAGE, self.changed_messages),
            (INSERT_MESSAGE, self.new_messages),
            (END_ATTEMPT, self.ended_attempts),
            (INSERT_ATTEMPT, self.attempts),
            (RELEASE, self.released),
            (RESERVE, self.reserved),
            (MOVE_USAGE, self.moved),
            (COUNT, counts),
        ] {
            if statement == INSERT_ATTEMPT && !rows.is_empty() {
                failpoint::hit(Point::AfterClaim);
            }
            write(&tx.conn, statement, &rows)?;
        }
        if !self.events.is_empty() {
            write(&tx.conn, INSERT_EVENT, &self.events)?;
            tx.sequence = tx.conn.last_insert_rowid();
        }
        Ok(())
    }
}

/// Nothing goes where the one transition table does not lead.
fn check(head: &Head, was: Option<Status>) -> StoreResult<()> {
    let (Some(was), now) = (was, head.status) else {
        return Ok(());
    };
    if was.state == now.state || was.state.may_become(now.state) {
        return Ok(());
    }
    let (from, to) = (was.state, now.state);
    Err(corrupt(format!("{} would go from {from} to {to}", head.id)))
}

/// The row of one that has ended: that of an open one, and when it ended.
fn ended(head: &Head) -> Row {
    let mut row = head.row();
    row.push(head.update_time.into());
    row
}

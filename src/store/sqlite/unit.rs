//! A unit of work: the open notifications that an operation touches, loaded once, changed in memory by the rules of `open`,
//! and written back in a constant number of statements, however many they are.
//!
//! That is sound because there is one writer and all happens in its transaction. Every change of a status is counted and
//! leaves one event; what passes several statuses in one transaction leaves one event, of the last.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::open::{Change, Charge, Open};
use super::rows::{
    Head, Letter, find_ids, head_columns, hex, id_list, message_columns, message_list, to_json,
    write_rows,
};
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
    reference, lane) SELECT unhex(value->>0), value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, \
    value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14, value->>15, value->>16, value->>17, \
    value->>18, value->>19, value->>20 FROM json_each(?1)";
const INSERT_HISTORY: &str = "INSERT INTO history (id, shop, caller, customer, category, topic, template, accepted_bundle, \
    bundle, state, reason, task, due_at, expire_time, event_time, create_time, update_time, collapse_key, cancellation_key, \
    reference, lane, final_time) SELECT unhex(value->>0), value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, \
    value->>7, value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14, value->>15, value->>16, \
    value->>17, value->>18, value->>19, value->>20, value->>21 FROM json_each(?1)";
pub(super) const DELETE_OPEN: &str =
    "DELETE FROM notification WHERE id IN (SELECT unhex(value) FROM json_each(?1))";
pub(super) const UPDATE_OPEN: &str = "UPDATE notification AS n SET customer = j.value->>3, bundle = j.value->>8, \
    state = j.value->>9, reason = j.value->>10, task = j.value->>11, due_at = j.value->>12, update_time = j.value->>16, \
    collapse_key = j.value->>17, cancellation_key = j.value->>18, reference = j.value->>19 \
    FROM json_each(?1) j WHERE n.id = unhex(j.value->>0)";
const INSERT_DETAIL: &str = "INSERT INTO detail (notification, intent, decision) \
    SELECT unhex(value->>0), value->>1, value->>2 FROM json_each(?1)";
pub(super) const UPDATE_DETAIL: &str = "UPDATE detail AS d SET decision = j.value->>1 FROM json_each(?1) j \
    WHERE d.notification = unhex(j.value->>0)";
const INSERT_CONTENT: &str = "INSERT INTO content (notification, variables, attachments) \
    SELECT unhex(value->>0), value->>1, value->>2 FROM json_each(?1)";
const INSERT_MESSAGE: &str = "INSERT INTO message (id, notification, channel, address, digest, lane, state, fence, tries, \
    maybe_sent, due_at, provider, provider_message_id, variant, sms_segments, fallback, shop) SELECT unhex(value->>0), \
    unhex(value->>1), value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10, \
    value->>11, value->>12, value->>13, value->>14, value->>15, value->>16 FROM json_each(?1)";
const INSERT_MEMBER: &str = "INSERT INTO member (message, notification) \
    SELECT unhex(value->>0), unhex(value->>1) FROM json_each(?1)";
pub(super) const UPDATE_MESSAGE: &str = "UPDATE message AS m SET address = j.value->>3, digest = j.value->>4, \
    state = j.value->>6, fence = j.value->>7, tries = j.value->>8, maybe_sent = j.value->>9, due_at = j.value->>10, \
    provider = j.value->>11, provider_message_id = j.value->>12, sms_segments = j.value->>14 \
    FROM json_each(?1) j WHERE m.id = unhex(j.value->>0)";
const INSERT_ATTEMPT: &str = "INSERT INTO attempt (message, id, provider, start_time, number, result, reply, content_hash) \
    SELECT unhex(value->>0), unhex(value->>1), value->>2, value->>3, value->>4, 'sending', '', value->>5 FROM json_each(?1)";
pub(super) const END_ATTEMPT: &str = "UPDATE attempt AS a SET end_time = j.value->>1, result = j.value->>2, \
    reply = j.value->>3 FROM json_each(?1) j WHERE a.message = unhex(j.value->>0) AND a.result = 'sending'";
const RESERVE: &str = "INSERT INTO usage (shop, customer, notification, at, category, topic, template, subject) \
    SELECT value->>0, value->>1, unhex(value->>2), value->>3, value->>4, value->>5, value->>6, value->>7 \
    FROM json_each(?1) WHERE true ON CONFLICT (shop, customer, notification) DO UPDATE SET at = excluded.at, \
    category = excluded.category, topic = excluded.topic, template = excluded.template, subject = excluded.subject";
pub(super) const MOVE_USAGE: &str = "UPDATE usage AS u SET at = j.value->>3 FROM json_each(?1) j \
    WHERE u.shop = j.value->>0 AND u.customer = j.value->>1 AND u.notification = unhex(j.value->>2)";
pub(super) const RELEASE: &str = "DELETE FROM usage WHERE (shop, customer, notification) IN \
    (SELECT value->>0, value->>1, unhex(value->>2) FROM json_each(?1))";
const INSERT_EVENT: &str = "INSERT INTO event (notification, shop, caller, state, reason, time) \
    SELECT unhex(value->>0), value->>1, value->>2, value->>3, value->>4, value->>5 FROM json_each(?1)";
const COUNT: &str = "INSERT INTO tally (shop, caller, state, reason, count) \
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?1) WHERE true \
    ON CONFLICT (shop, caller, state, reason) DO UPDATE SET count = count + excluded.count";

/// The open notifications of an operation.
#[derive(Default)]
pub(super) struct Unit {
    opens: BTreeMap<NotificationId, Open>,
    messages: HashMap<MessageId, NotificationId>,
    attempts: Vec<Value>,
    ended_attempts: Vec<Value>,
}

impl Unit {
    /// Loads those that are open and not here yet.
    pub(super) async fn load(&mut self, tx: &mut Tx, ids: &[NotificationId]) -> StoreResult<()> {
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
        let rows = sqlx::query(LOAD_HEADS)
            .bind(list.as_str())
            .fetch_all(&mut tx.conn)
            .await?;
        for row in &rows {
            let head = Head::read(row)?;
            self.opens.insert(head.id, Open::loaded(head));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(LOAD_MESSAGES)
            .bind(list)
            .fetch_all(&mut tx.conn)
            .await?;
        for row in &rows {
            let letter = Letter::read(row)?;
            if let Some(open) = self.opens.get_mut(&letter.message.notification) {
                self.messages.insert(letter.message.id, open.head.id);
                open.keep(letter);
            }
        }
        Ok(())
    }

    /// Loads the notifications of messages.
    pub(super) async fn load_by_messages(
        &mut self,
        tx: &mut Tx,
        ids: impl IntoIterator<Item = &MessageId>,
    ) -> StoreResult<()> {
        let found = find_ids(&mut tx.conn, BY_MESSAGE, message_list(ids)).await?;
        self.load(tx, &found).await
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
        self.attempts.push(json!([
            hex(attempt.message.as_bytes()),
            hex(attempt.id.as_bytes()),
            attempt.provider,
            attempt.start_time.as_microsecond(),
            attempt.number,
            attempt.content_hash,
        ]));
    }

    /// Writes how the attempt ended that was under way for a message.
    pub(super) fn end_attempt(
        &mut self,
        message: MessageId,
        result: AttemptResult,
        reply: &str,
        now: Timestamp,
    ) {
        self.ended_attempts.push(json!([
            hex(message.as_bytes()),
            now.as_microsecond(),
            result,
            reply,
        ]));
    }

    /// Writes everything that has changed.
    pub(super) async fn flush(self, tx: &mut Tx) -> StoreResult<()> {
        let mut writes = Writes {
            attempts: self.attempts,
            ended_attempts: self.ended_attempts,
            ..Writes::default()
        };
        for open in self.opens.into_values() {
            writes.collect(open)?;
        }
        writes.execute(tx).await
    }
}

/// Rows by the statement that takes them.
#[derive(Default)]
struct Writes {
    new_open: Vec<Value>,
    ended: Vec<Value>,
    ended_ids: Vec<Value>,
    changed_open: Vec<Value>,
    new_detail: Vec<Value>,
    changed_detail: Vec<Value>,
    new_content: Vec<Value>,
    new_messages: Vec<Value>,
    members: Vec<Value>,
    changed_messages: Vec<Value>,
    attempts: Vec<Value>,
    ended_attempts: Vec<Value>,
    reserved: Vec<Value>,
    moved: Vec<Value>,
    released: Vec<Value>,
    events: Vec<Value>,
    counts: BTreeMap<(String, String, &'static str, &'static str), i64>,
}

impl Writes {
    fn collect(&mut self, open: Open) -> StoreResult<()> {
        self.charge(&open);
        let head = &open.head;
        let id = hex(head.id.as_bytes());
        for held in &open.held {
            match held.change {
                Change::None => {}
                Change::Changed => self
                    .changed_messages
                    .push(held.letter.values(&head.identity.shop)?),
                Change::New => {
                    self.new_messages
                        .push(held.letter.values(&head.identity.shop)?);
                    self.members
                        .push(json!([hex(held.letter.message.id.as_bytes()), id]));
                }
            }
        }
        if open.was != Some(head.status) {
            self.event(head, open.was);
        }
        let settled = head.status.is_settled();
        match open.change {
            Change::None => {}
            Change::New if settled => self.ended.push(head.values()),
            Change::New => self.new_open.push(head.values()),
            Change::Changed if settled => {
                self.ended.push(head.values());
                self.ended_ids.push(Value::from(id.as_str()));
            }
            Change::Changed => self.changed_open.push(head.values()),
        }
        let decision = open.decision.as_ref().map(to_json).transpose()?;
        match (open.intent, decision) {
            (Some(intent), decision) => self.intent(&id, intent, decision.as_deref())?,
            (None, Some(decision)) => self.changed_detail.push(json!([id, decision])),
            (None, None) => {}
        }
        Ok(())
    }

    fn intent(&mut self, id: &str, mut intent: Intent, decision: Option<&str>) -> StoreResult<()> {
        let variables = std::mem::take(&mut intent.variables);
        let attachments = std::mem::take(&mut intent.attachments);
        if variables != Variables::default() || !attachments.is_empty() {
            let attachments = (!attachments.is_empty())
                .then(|| to_json(&attachments))
                .transpose()?;
            self.new_content
                .push(json!([id, to_json(&variables)?, attachments]));
        }
        self.new_detail
            .push(json!([id, to_json(&intent)?, decision]));
        Ok(())
    }

    fn charge(&mut self, open: &Open) {
        let head = &open.head;
        let key = |at: i64| {
            json!([
                head.identity.shop,
                head.customer,
                hex(head.id.as_bytes()),
                at
            ])
        };
        match &open.charge {
            Charge::Keep => {}
            Charge::Release if open.was.is_none() => {}
            Charge::Release => self.released.push(key(0)),
            Charge::Move(at) => self.moved.push(key(at.as_microsecond())),
            Charge::Reserve(usage) => self.reserved.push(json!([
                head.identity.shop,
                head.customer,
                hex(head.id.as_bytes()),
                usage.at.as_microsecond(),
                usage.category,
                usage.topic,
                usage.template,
                usage.subject,
            ])),
        }
    }

    fn event(&mut self, head: &Head, was: Option<Status>) {
        self.events.push(json!([
            hex(head.id.as_bytes()),
            head.identity.shop,
            head.identity.caller,
            head.status.state,
            head.status.reason,
            head.update_time.as_microsecond(),
        ]));
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

    async fn execute(self, tx: &mut Tx) -> StoreResult<()> {
        let counts: Vec<_> = self
            .counts
            .iter()
            .filter(|(_, by)| **by != 0)
            .map(|((shop, caller, state, reason), by)| json!([shop, caller, state, reason, by]))
            .collect();
        let conn = &mut tx.conn;
        for (statement, rows) in [
            (INSERT_OPEN, &self.new_open),
            (INSERT_HISTORY, &self.ended),
            (DELETE_OPEN, &self.ended_ids),
            (UPDATE_OPEN, &self.changed_open),
            (INSERT_DETAIL, &self.new_detail),
            (UPDATE_DETAIL, &self.changed_detail),
            (INSERT_CONTENT, &self.new_content),
            (UPDATE_MESSAGE, &self.changed_messages),
            (INSERT_MESSAGE, &self.new_messages),
            (INSERT_MEMBER, &self.members),
            (END_ATTEMPT, &self.ended_attempts),
            (INSERT_ATTEMPT, &self.attempts),
            (RELEASE, &self.released),
            (RESERVE, &self.reserved),
            (MOVE_USAGE, &self.moved),
            (COUNT, &counts),
        ] {
            if statement == INSERT_ATTEMPT && !rows.is_empty() {
                failpoint::hit(Point::AfterClaim);
            }
            write_rows(conn, statement, rows).await?;
        }
        if !self.events.is_empty() {
            tx.sequence = write_rows(conn, INSERT_EVENT, &self.events).await?;
        }
        Ok(())
    }
}

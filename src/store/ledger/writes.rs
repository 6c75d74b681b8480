//! Writing back what a unit of work has changed: rows sorted by the statement that takes them.
//!
//! Every change of a status is counted and leaves one event; what passes several statuses in one transaction leaves one event, of the
//! last. Nothing goes where the one transition table does not lead.

use std::collections::BTreeMap;

use super::batch::Tx;
use super::open::{Change, Charge, Open};
use super::rows::{Head, to_json};
use super::session::{Row, Statement, corrupt, row};
use super::statement::{delete, insert, update};
use crate::domain::id::NotificationId;
use crate::domain::intent::{Intent, Variables};
use crate::domain::reason::Status;
use crate::domain::shop::Identity;
use crate::failpoint::{self, Point};
use crate::store::StoreResult;

const INSERT_OPEN: Statement<'_> = insert!(
    "notification",
    [
        "id" uuid, "shop" text, "caller" text, "customer" text, "category" text, "topic" text, "template" text,
        "accepted_bundle" text, "bundle" text, "state" text, "reason" text, "task" text, "due_at" bigint,
        "expire_time" bigint, "event_time" bigint, "create_time" bigint, "update_time" bigint, "collapse_key" text,
        "cancellation_key" text, "reference" text, "lane" text
    ]
);
const INSERT_HISTORY: Statement<'_> = insert!(
    "history",
    [
        "id" uuid, "shop" text, "caller" text, "customer" text, "category" text, "topic" text, "template" text,
        "accepted_bundle" text, "bundle" text, "state" text, "reason" text, "task" text, "due_at" bigint,
        "expire_time" bigint, "event_time" bigint, "create_time" bigint, "update_time" bigint, "collapse_key" text,
        "cancellation_key" text, "reference" text, "lane" text,
        "final_time" bigint
    ]
);
pub(super) const DELETE_OPEN: Statement<'_> = delete!("notification", ["id" uuid]);
pub(super) const UPDATE_OPEN: Statement<'_> = update!(
    "notification",
    ["bundle" text, "state" text, "reason" text, "task" text, "due_at" bigint, "update_time" bigint],
    ["id" uuid]
);
const INSERT_DETAIL: Statement<'_> = insert!(
    "detail",
    ["notification" uuid, "intent" text, "decision" text]
);
pub(super) const UPDATE_DETAIL: Statement<'_> =
    update!("detail", ["decision" text], ["notification" uuid]);
const INSERT_CONTENT: Statement<'_> = insert!(
    "content",
    ["notification" uuid, "variables" text, "attachments" text]
);
const INSERT_MESSAGE: Statement<'_> = insert!(
    "message",
    [
        "id" uuid, "notification" uuid, "channel" text, "address" text, "digest" text, "lane" text, "state" text,
        "fence" bigint, "tries" bigint, "maybe_sent" bigint, "due_at" bigint, "provider" text,
        "provider_message_id" text, "variant" text, "sms_segments" bigint, "fallback" text, "shop" text
    ]
);
pub(super) const UPDATE_MESSAGE: Statement<'_> = update!(
    "message",
    [
        "state" text, "fence" bigint, "tries" bigint, "maybe_sent" bigint, "due_at" bigint, "provider" text,
        "provider_message_id" text, "sms_segments" bigint
    ],
    ["id" uuid],
    ", published_at = NULL, process = CASE WHEN v.state = 'sending' THEN current_setting('tidings.process')::uuid END",
    ""
);
const INSERT_ATTEMPT: Statement<'_> = insert!(
    "attempt",
    [
        "message" uuid, "id" uuid, "provider" text, "start_time" bigint, "number" bigint, "content_hash" text,
        "result" text, "reply" text
    ]
);
pub(super) const END_ATTEMPT: Statement<'_> = update!(
    "attempt",
    ["end_time" bigint, "result" text, "reply" text],
    ["message" uuid],
    "",
    " AND attempt.result = 'sending'"
);
const RESERVE: Statement<'_> = insert!(
    "usage",
    [
        "shop" text, "customer" text, "notification" uuid, "at" bigint, "category" text, "topic" text, "template" text,
        "subject" text
    ],
    " ON CONFLICT (shop, customer, notification) DO UPDATE SET at = excluded.at, category = excluded.category, \
     topic = excluded.topic, template = excluded.template, subject = excluded.subject"
);
pub(super) const MOVE_USAGE: Statement<'_> = update!(
    "usage",
    ["at" bigint],
    ["shop" text, "customer" text, "notification" uuid]
);
pub(super) const RELEASE: Statement<'_> =
    delete!("usage", ["shop" text, "customer" text, "notification" uuid]);
pub(super) const INSERT_EVENT: Statement<'_> = Statement {
    sqlite: "INSERT INTO event (notification, shop, caller, state, reason, time) VALUES (?, ?, ?, ?, ?, ?)",
    postgres: "INSERT INTO event (notification, shop, caller, state, reason, time, sequence) SELECT v.notification, v.shop, v.caller, \
        v.state, v.reason, v.time, ((pg_current_xact_id()::text::bigint - b.base) << 20) + v.place FROM \
        unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[]) WITH ORDINALITY \
        v (notification, shop, caller, state, reason, time, place), event_base b WHERE b.one",
};
pub(super) const COUNT: Statement<'_> = Statement {
    sqlite: "INSERT INTO tally (shop, caller, state, reason, count) VALUES (?, ?, ?, ?, ?) \
        ON CONFLICT (shop, caller, state, reason) DO UPDATE SET count = tally.count + excluded.count",
    postgres: "INSERT INTO tally (shop, caller, state, reason, count, slot) SELECT v.*, current_setting('tidings.slot')::smallint \
        FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[]) v \
        ON CONFLICT (shop, caller, state, reason, slot) DO UPDATE SET count = tally.count + excluded.count",
};

/// How many more or fewer there are of a status: by shop, caller, state, reason.
pub(super) type Counts = BTreeMap<(String, String, &'static str, &'static str), i64>;

/// Writes what a transaction has to tell at its end: its events, and how many there are of each status.
pub(super) fn tell(tx: &mut Tx<'_>) -> StoreResult<()> {
    let counts: Vec<_> = std::mem::take(&mut tx.counts)
        .into_iter()
        .filter(|(_, by)| *by != 0)
        .map(|((shop, caller, state, reason), by)| row![shop, caller, state, reason, by])
        .collect();
    let events = std::mem::take(&mut tx.events);
    tx.told = !events.is_empty();
    tx.session
        .write(&[(COUNT, counts), (INSERT_EVENT, events)])?;
    Ok(())
}

/// Rows by the statement that takes them.
#[derive(Default)]
pub(super) struct Writes {
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
    counts: Counts,
}

impl Writes {
    /// With the attempts that begin and end.
    pub(super) fn new(attempts: Vec<Row>, ended_attempts: Vec<Row>) -> Self {
        Self {
            attempts,
            ended_attempts,
            ..Self::default()
        }
    }

    pub(super) fn collect(&mut self, open: Open) -> StoreResult<()> {
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
            (None, Some(decision)) => self.changed_detail.push(row![decision, head.id.as_bytes()]),
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
                *at,
                &head.identity.shop,
                &head.customer,
                head.id.as_bytes()
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

    pub(super) fn execute(self, tx: &mut Tx<'_>) -> StoreResult<()> {
        let mut writes = vec![
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
        ];
        if failpoint::ENABLED && !self.attempts.is_empty() {
            tx.session.write(&std::mem::take(&mut writes))?;
            failpoint::hit(Point::AfterClaim);
        }
        writes.extend([
            (INSERT_ATTEMPT, self.attempts),
            (RELEASE, self.released),
            (RESERVE, self.reserved),
            (MOVE_USAGE, self.moved),
        ]);
        writes.retain(|(_, rows)| !rows.is_empty());
        tx.session.write(&writes)?;
        tx.events.extend(self.events);
        for (key, by) in self.counts {
            *tx.counts.entry(key).or_default() += by;
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

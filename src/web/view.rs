//! The shapes of notifications in the console's JSON. Addresses are masked; variables and attachments are left out.

use serde_json::{Map, Value, json};

use crate::domain::decision::{Decision, Step, Verdict};
use crate::domain::id::MessageId;
use crate::domain::notification::{Attempt, Message, Notification, Record};

/// A zone, and who says so.
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) source: &'static str,
}

/// A notification in a list.
pub(super) fn row(record: &Record) -> Value {
    Value::Object(row_fields(record))
}

fn row_fields(record: &Record) -> Map<String, Value> {
    let notification = &record.notification;
    let channels: Vec<_> = record
        .messages
        .iter()
        .map(|message| message.channel)
        .collect();
    let mut fields = subject(notification);
    fields.extend(object(json!({
        "state": notification.status.state,
        "reason": notification.status.reason,
        "sentence": notification.status.reason.sentence(),
        "channels": channels,
        "reference": notification.intent.reference,
        "create_time": notification.create_time,
        "update_time": notification.update_time,
        "due_at": notification.due_at,
    })));
    fields
}

/// What a notification is about: the same for its whole life.
pub(super) fn subject(notification: &Notification) -> Map<String, Value> {
    object(json!({
        "id": notification.id,
        "template": notification.intent.template,
        "category": notification.category,
        "topic": notification.topic,
        "customer": notification.intent.customer,
    }))
}

/// A notification with all that hangs on it; `captured` are those of its messages that the inbox holds.
pub(super) fn detail(record: &Record, zone: Option<&Zone>, captured: &[MessageId]) -> Value {
    let notification = &record.notification;
    let intent = &notification.intent;
    let mut fields = row_fields(record);
    fields.extend(object(json!({
        "settled": notification.status.is_settled(),
        "lane": notification.category.lane(),
        "shop": notification.identity.shop,
        "caller": notification.identity.caller,
        "guest": intent.guest,
        "locale": intent.locale,
        "labels": intent.labels,
        "once_key": intent.once_key,
        "collapse_key": intent.collapse_key,
        "cancellation_key": intent.cancellation_key,
        "send_time": intent.send_time,
        "expire_time": intent.expire_time,
        "event_time": intent.event_time,
        "accepted_bundle": notification.accepted_bundle,
        "bundle": notification.bundle,
        "zone": zone.map(|zone| &zone.name),
        "zone_source": zone.map(|zone| zone.source),
        "decision": notification.decision.as_ref().map(decision),
        "messages": record.messages.iter().map(|it| message(it, &record.attempts, captured.contains(&it.id))).collect::<Vec<_>>(),
    })));
    Value::Object(fields)
}

fn decision(decision: &Decision) -> Value {
    json!({
        "verdict": verdict(&decision.verdict),
        "policy_version": decision.policy_version,
        "time": decision.time,
        "steps": decision.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Send {
            channels,
            then,
            variant,
        } => json!({"kind": "send", "channels": channels, "then": then, "variant": variant}),
        Verdict::Hold { until, reason } => {
            json!({"kind": "hold", "until": until, "reason": reason, "sentence": reason.sentence()})
        }
        Verdict::End { reason } => {
            json!({"kind": "end", "reason": reason, "state": reason.state(), "sentence": reason.sentence()})
        }
    }
}

fn step(step: &Step) -> Value {
    json!({
        "rule": step.rule,
        "outcome": step.outcome,
        "reason": step.reason,
        "summary": step.summary,
        "evidence": step.evidence,
        "channel": step.channel,
    })
}

fn message(message: &Message, attempts: &[Attempt], captured: bool) -> Value {
    json!({
        "id": message.id,
        "channel": message.channel,
        "to": message.address.masked(),
        "lane": message.lane,
        "state": message.state,
        "tries": message.tries,
        "due_at": message.due_at,
        "provider": message.provider,
        "provider_message_id": message.provider_message_id,
        "variant": message.variant,
        "sms_segments": message.sms_segments,
        "fallback": message.fallback,
        "captured": captured,
        "attempts": attempts.iter().filter(|it| it.message == message.id).map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    let took = attempt
        .end_time
        .map(|end| end.duration_since(attempt.start_time).as_millis());
    json!({
        "number": attempt.number,
        "provider": attempt.provider,
        "start_time": attempt.start_time,
        "end_time": attempt.end_time,
        "took_ms": took.and_then(|took| i64::try_from(took).ok()),
        "result": attempt.result,
        "reply": attempt.reply,
        "content_hash": attempt.content_hash,
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

//! Notifications, messages, attempts, decisions and events for the wire. No address leaves here but in the intent, where
//! the caller put it.

use crate::domain::decision::{Decision, Rule, Step, StepOutcome, Verdict};
use crate::domain::notification::{Attempt, AttemptResult, Message, MessageState, Record};
use crate::domain::reason::{Reason, State};
use crate::proto;
use crate::proto::decision_step::Outcome;

use super::intent::wire_intent;
use super::wire_channel;

/// A notification with its messages and attempts.
pub fn wire_notification(record: &Record) -> proto::Notification {
    let notification = &record.notification;
    let planned = notification
        .due_at
        .filter(|_| !notification.status.is_settled());
    proto::Notification {
        name: name(record),
        intent: Some(wire_intent(&notification.intent)),
        state: wire_state(notification.status.state).into(),
        state_reason: notification.status.reason.to_string(),
        create_time: Some(proto::wire_time(notification.create_time)),
        update_time: Some(proto::wire_time(notification.update_time)),
        next_attempt_time: planned.map(proto::wire_time),
        messages: record
            .messages
            .iter()
            .map(|message| wire_message(message, &record.attempts))
            .collect(),
        template_revision: notification.bundle.clone(),
    }
}

/// `notifications/{uuid}`.
pub fn name(record: &Record) -> String {
    format!("notifications/{}", record.notification.id)
}

/// A state for the wire.
pub const fn wire_state(state: State) -> proto::notification::State {
    use proto::notification::State as Wire;
    match state {
        State::Accepted => Wire::Accepted,
        State::Scheduled => Wire::Scheduled,
        State::Processing => Wire::Processing,
        State::Sent => Wire::Sent,
        State::Delivered => Wire::Delivered,
        State::Suppressed => Wire::Suppressed,
        State::Failed => Wire::Failed,
        State::Cancelled => Wire::Cancelled,
        State::Expired => Wire::Expired,
    }
}

const fn wire_message_state(state: MessageState) -> proto::message::State {
    use proto::message::State as Wire;
    match state {
        MessageState::Queued => Wire::Queued,
        MessageState::Sending => Wire::Sending,
        MessageState::Sent => Wire::Sent,
        MessageState::Delivered => Wire::Delivered,
        // BOUNCED on the wire is what was taken first and came back; no provider of this release tells of that.
        MessageState::Bounced | MessageState::Undeliverable => Wire::Undeliverable,
        MessageState::Cancelled => Wire::Cancelled,
        MessageState::Unknown => Wire::Unknown,
    }
}

fn wire_message(message: &Message, attempts: &[Attempt]) -> proto::Message {
    proto::Message {
        name: format!(
            "notifications/{}/messages/{}",
            message.notification, message.id
        ),
        channel: wire_channel(message.channel).into(),
        provider: message.provider.clone(),
        state: wire_message_state(message.state).into(),
        provider_message_id: message.provider_message_id.clone(),
        attempts: attempts
            .iter()
            .filter(|attempt| attempt.message == message.id)
            .map(|attempt| wire_attempt(attempt, message))
            .collect(),
        variant: message.variant.clone(),
        sms_segment_count: clamp(message.sms_segments),
        opened: false,
        clicked: false,
    }
}

fn wire_attempt(attempt: &Attempt, message: &Message) -> proto::DeliveryAttempt {
    proto::DeliveryAttempt {
        start_time: Some(proto::wire_time(attempt.start_time)),
        duration: attempt
            .end_time
            .map(|end| proto::wire_duration(end.duration_since(attempt.start_time))),
        attempt_number: clamp(attempt.number),
        status: attempt_code(attempt.result).map(|code| proto::RpcStatus {
            code: code as i32,
            message: attempt.result.to_string(),
            details: Vec::new(),
        }),
        provider_reply: masked_reply(attempt, message),
    }
}

/// `None` while it runs.
const fn attempt_code(result: AttemptResult) -> Option<tonic::Code> {
    Some(match result {
        AttemptResult::Sending => return None,
        AttemptResult::Ok => tonic::Code::Ok,
        AttemptResult::Transient => tonic::Code::Unavailable,
        AttemptResult::Permanent => tonic::Code::FailedPrecondition,
        AttemptResult::Throttled => tonic::Code::ResourceExhausted,
        AttemptResult::Unknown => tonic::Code::Unknown,
    })
}

/// Providers like to repeat the address in their replies.
fn masked_reply(attempt: &Attempt, message: &Message) -> String {
    let address = &message.address;
    attempt
        .reply
        .replace(address.reveal(), &address.masked())
        .replace(&address.key(), &address.masked())
}

fn clamp(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The steps of a decision.
pub fn wire_steps(decision: &Decision) -> Vec<proto::DecisionStep> {
    decision
        .steps
        .iter()
        .map(|step| wire_step(step, decision))
        .collect()
}

fn wire_step(step: &Step, decision: &Decision) -> proto::DecisionStep {
    proto::DecisionStep {
        rule: step.rule.to_string(),
        outcome: wire_outcome(step.outcome).into(),
        reason: match step.outcome {
            StepOutcome::Pass => String::new(),
            _ => step
                .reason
                .map_or_else(String::new, |reason| reason.to_string()),
        },
        summary: step.summary.clone(),
        evidence: (!step.evidence.is_empty()).then(|| proto::structure(&step.evidence)),
        channel: step
            .channel
            .map_or(proto::Channel::Unspecified, wire_channel)
            .into(),
        time: Some(proto::wire_time(decision.time)),
        elapsed: None,
    }
}

const fn wire_outcome(outcome: StepOutcome) -> Outcome {
    match outcome {
        StepOutcome::Pass => Outcome::Pass,
        StepOutcome::SkipChannel => Outcome::SkipChannel,
        StepOutcome::Delay => Outcome::Delay,
        StepOutcome::Stop => Outcome::Stop,
    }
}

/// What was done about a past notification after it was decided: a step for each try.
pub fn dispatch_steps(record: &Record) -> Vec<proto::DecisionStep> {
    record
        .attempts
        .iter()
        .filter_map(|attempt| {
            let message = record
                .messages
                .iter()
                .find(|message| message.id == attempt.message)?;
            Some(dispatch_step(attempt, message))
        })
        .collect()
}

fn dispatch_step(attempt: &Attempt, message: &Message) -> proto::DecisionStep {
    let (outcome, reason, words) = match attempt.result {
        AttemptResult::Sending => (Outcome::Pass, None, "being handed over"),
        AttemptResult::Ok => (Outcome::Pass, None, "taken"),
        AttemptResult::Transient => (Outcome::Delay, Some(Reason::Retry), "failed for now"),
        AttemptResult::Throttled => (
            Outcome::Delay,
            Some(Reason::ProviderThrottled),
            "asked to slow down",
        ),
        AttemptResult::Permanent => (
            Outcome::Stop,
            Some(Reason::ProviderRejected),
            "refused for good",
        ),
        AttemptResult::Unknown => (
            Outcome::Delay,
            Some(Reason::ProviderUnknown),
            "answer not seen",
        ),
    };
    let reply = masked_reply(attempt, message);
    let colon = if reply.is_empty() { "" } else { ": " };
    proto::DecisionStep {
        rule: Rule::Dispatch.to_string(),
        outcome: outcome.into(),
        reason: reason.map_or_else(String::new, |reason| reason.to_string()),
        summary: format!(
            "{} by {}, try {}: {words}{colon}{reply}",
            message.channel, attempt.provider, attempt.number
        ),
        evidence: None,
        channel: wire_channel(message.channel).into(),
        time: Some(proto::wire_time(attempt.start_time)),
        elapsed: attempt
            .end_time
            .map(|end| proto::wire_duration(end.duration_since(attempt.start_time))),
    }
}

/// Where a past notification stands, in a sentence.
pub fn past_verdict(record: &Record) -> String {
    let notification = &record.notification;
    let status = notification.status;
    let next = match notification.due_at {
        Some(due) if status.state == State::Scheduled => {
            format!(" It is looked at next at {due:.0}.")
        }
        _ => String::new(),
    };
    format!(
        "{} ({}): {}{next}",
        status.state,
        status.reason,
        status.reason.sentence()
    )
}

/// What would become of an intent, in a sentence.
pub fn dry_verdict(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Send { channels, then, .. } => {
            let list = |channels: &[crate::domain::channel::Channel]| {
                channels
                    .iter()
                    .map(|channel| channel.as_str())
                    .collect::<Vec<_>>()
                    .join(" and ")
            };
            let fallback = if then.is_empty() {
                String::new()
            } else {
                format!(", with {} to fall back to", list(then))
            };
            format!("It would be sent by {}{fallback}.", list(channels))
        }
        Verdict::Hold { until, reason } => format!(
            "It would wait until {until:.0} ({reason}): {}",
            reason.sentence()
        ),
        Verdict::End { reason } => format!(
            "It would end {} ({reason}): {}",
            reason.state(),
            reason.sentence()
        ),
    }
}

/// What an event is called, `notification.sent`.
pub fn event_type(state: State) -> String {
    format!("notification.{}", state.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests;

//! L1: the only names of metrics and log lines. No line and no label holds a person: ids, words and numbers only.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::domain::breaker::BreakerState;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::hold::HoldReason;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::AttemptResult;
use crate::domain::policy::Resolution;
use crate::domain::reason::Status;
use crate::domain::rejection::RejectionReason;

/// An intent was taken, or recognised as taken before.
pub fn accepted(category: Category, replayed: bool) {
    let outcome = if replayed { "replayed" } else { "accepted" };
    counter!("tidings_intents_total", "category" => category.as_str(), "outcome" => outcome, "reason" => "").increment(1);
}

/// An intent was not taken.
pub fn rejected(reason: RejectionReason) {
    counter!("tidings_intents_total", "category" => "", "outcome" => "rejected", "reason" => reason.as_str()).increment(1);
}

/// A call was refused before it reached a service: who called is not known, or may not.
pub fn call_refused(reason: RejectionReason) {
    counter!("tidings_calls_refused_total", "reason" => reason.as_str()).increment(1);
}

/// A verdict was reached.
pub fn decided(status: Status, category: Category) {
    counter!("tidings_decisions_total", "reason" => status.reason.as_str(), "category" => category.as_str()).increment(1);
}

/// A hand-over ended.
pub fn attempted(channel: Channel, provider: &str, result: AttemptResult, took: Duration) {
    let provider = provider.to_owned();
    counter!("tidings_delivery_attempts_total", "channel" => channel.as_str(), "provider" => provider.clone(), "result" => result.as_str())
        .increment(1);
    histogram!("tidings_delivery_attempt_duration_seconds", "channel" => channel.as_str(), "provider" => provider)
        .record(took.as_secs_f64());
}

/// What a provider's breaker lets through now.
pub fn circuit_state(channel: Channel, provider: &str, now: BreakerState) {
    for state in BreakerState::ALL {
        let value = if *state == now { 1.0 } else { 0.0 };
        gauge!("tidings_circuit_breaker_state", "channel" => channel.as_str(), "provider" => provider.to_owned(), "state" => state.as_str())
            .set(value);
    }
}

/// A provider fails whatever it is given.
pub fn circuit_opened(channel: Channel, provider: &str, wait: Duration) {
    tracing::error!(%channel, provider, "the provider is failing and is left alone; one message is tried every {} s or so", wait.as_secs());
}

/// A provider that failed takes messages again.
pub fn circuit_closed(channel: Channel, provider: &str) {
    tracing::info!(%channel, provider, "the provider takes messages again");
}

/// A provider asked to slow down.
pub fn throttled(channel: Channel, provider: &str, wait: Duration) {
    tracing::warn!(%channel, provider, "the provider asked to slow down; it gets {} s", wait.as_secs());
}

/// A message had waited for its turn by its provider's limit.
pub fn rate_waited(channel: Channel, provider: &str, waited: Duration) {
    histogram!("tidings_rate_limit_wait_seconds", "channel" => channel.as_str(), "provider" => provider.to_owned()).record(waited.as_secs_f64());
}

/// A template was filled, or could not be.
pub fn rendered(channel: Channel, template: &str, ok: bool, took: Duration) {
    let template = template.to_owned();
    if !ok {
        counter!("tidings_render_errors_total", "channel" => channel.as_str(), "template" => template.clone()).increment(1);
    }
    histogram!("tidings_render_duration_seconds", "channel" => channel.as_str(), "template" => template).record(took.as_secs_f64());
}

/// How much is queued and not acknowledged.
pub fn outstanding(queue: &str, count: usize) {
    gauge!("tidings_queue_messages", "queue" => queue.to_owned()).set(count as f64);
}

/// A connection to the broker, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerLink {
    /// Jobs go to the broker.
    Publishing,
    /// Jobs come from it.
    Consuming,
}

impl BrokerLink {
    /// The word in metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publishing => "publishing",
            Self::Consuming => "consuming",
        }
    }
}

/// The broker is there, or there again.
pub fn broker_connected(link: BrokerLink, again: bool) {
    gauge!("tidings_broker_connected", "link" => link.as_str()).set(1.0);
    if again {
        counter!("tidings_broker_reconnects_total", "link" => link.as_str()).increment(1);
    }
    tracing::info!(link = link.as_str(), again, "connected to the broker");
}

/// The connection to the broker is given up; another one is made.
pub fn broker_lost(link: BrokerLink, why: &str) {
    gauge!("tidings_broker_connected", "link" => link.as_str()).set(0.0);
    tracing::warn!(
        link = link.as_str(),
        why,
        "the connection to the broker is lost; intents are taken and wait in the store"
    );
}

/// The broker could not be reached. Only the first time of an outage is worth a line.
pub fn broker_unreachable(link: BrokerLink, first: bool, error: &dyn std::error::Error) {
    gauge!("tidings_broker_connected", "link" => link.as_str()).set(0.0);
    if first {
        tracing::warn!(
            link = link.as_str(),
            "the broker cannot be reached and is tried again without end: {error}"
        );
    } else {
        tracing::debug!(
            link = link.as_str(),
            "the broker cannot be reached: {error}"
        );
    }
}

/// The broker takes nothing in for want of memory or disk, or does again.
pub fn broker_blocked(now: bool) {
    gauge!("tidings_broker_blocked").set(if now { 1.0 } else { 0.0 });
    if now {
        tracing::error!(
            "the broker takes nothing in, it is short of memory or disk; intents are taken and wait in the store"
        );
    } else {
        tracing::info!("the broker takes jobs in again");
    }
}

/// The broker has lost everything that it had.
pub fn broker_wiped() {
    tracing::error!(
        "the broker has lost its queues; what is ready is published again from the store"
    );
}

/// A job was confirmed by the broker.
pub fn broker_confirmed(took: Duration) {
    histogram!("tidings_broker_confirm_seconds").record(took.as_secs_f64());
}

/// The broker had no queue for a job.
pub fn broker_unroutable(channel: Channel, lane: Lane) {
    counter!("tidings_broker_unroutable_total", "channel" => channel.as_str(), "lane" => lane.as_str()).increment(1);
}

/// A body on the broker is no job; it lies in the dead queue.
pub fn broker_unreadable(channel: Channel, lane: Lane, reason: &'static str) {
    counter!("tidings_broker_unreadable_total", "channel" => channel.as_str(), "lane" => lane.as_str(), "reason" => reason).increment(1);
    tracing::error!(%channel, %lane, reason, "a message on the broker is no job of ours; it was put into the queue tidings.dead");
}

/// What a broker had lost was published again.
pub fn published_again(channel: Channel, lane: Lane, count: usize) {
    counter!("tidings_published_again_total", "channel" => channel.as_str(), "lane" => lane.as_str()).increment(count as u64);
    tracing::warn!(%channel, %lane, count, "messages were given to the broker and are neither there nor in hands; they are published again");
}

/// The template could not be filled.
pub fn render_failed(message: MessageId, notification: NotificationId, sentence: &str) {
    tracing::warn!(%message, %notification, "the template could not be filled: {sentence}");
}

/// A bug: a part of the process panicked. It cost what that part was doing and nothing else.
pub fn task_panicked(task: &'static str) {
    counter!("tidings_task_panics_total", "task" => task).increment(1);
    tracing::error!(task, "a task panicked; the process goes on");
}

/// A worker panicked; it cost its message one attempt.
pub fn worker_panicked(message: MessageId) {
    counter!("tidings_task_panics_total", "task" => "worker").increment(1);
    tracing::error!(%message, task = "worker", "a hand-over panicked; the process goes on");
}

/// A flow could not reach the store and tries again.
pub fn store_failed(flow: &'static str, error: &dyn std::error::Error) {
    counter!("tidings_store_errors_total", "flow" => flow).increment(1);
    let cause = std::iter::successors(error.source(), |source| source.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    tracing::error!(flow, cause = cause.join(": "), "{error}");
}

/// What another process was handing over when it died has been taken over.
pub fn taken_over(count: usize) {
    tracing::warn!(
        count,
        "hand-overs of a process that died are of unknown outcome"
    );
}

/// What had ended long ago was dropped.
pub fn dropped(table: &'static str, count: usize) {
    counter!("tidings_retention_dropped_total", "table" => table).increment(count as u64);
    tracing::debug!(table, count, "what had ended long ago was dropped");
}

/// The store is held, or is not any more.
pub fn store_held(why: Option<HoldReason>) {
    gauge!("tidings_store_paused").set(if why.is_some() { 1.0 } else { 0.0 });
    if let Some(why) = why {
        tracing::error!(reason = %why, "{}", why.sentence());
    }
}

/// An operator let a held store go on.
pub fn store_recovered(held: u64, resent: u64, untouched: u64) {
    store_held(None);
    tracing::warn!(
        held,
        resent,
        untouched,
        "the store was recovered and goes on"
    );
}

/// Who let it.
pub fn recovered_by(caller: &str) {
    tracing::warn!(by = caller, "an operator has let the store go on");
}

/// An operator said what became of what was unknown.
pub fn resolved(notification: NotificationId, resolution: Resolution, by: &str) {
    counter!("tidings_unknown_resolved_total", "resolution" => resolution.as_str()).increment(1);
    tracing::info!(%notification, %resolution, by, "an operator said what became of what was unknown");
}

/// The template folder holds an error; the last good bundle stays.
pub fn templates_refused(error: &dyn std::fmt::Display) {
    counter!("tidings_template_reloads_total", "result" => "refused").increment(1);
    tracing::warn!("the changed templates are not used:\n{error}");
}

/// A changed template folder is live.
pub fn templates_loaded(bundle: &str) {
    counter!("tidings_template_reloads_total", "result" => "loaded").increment(1);
    tracing::info!(bundle, "the changed templates are live");
}

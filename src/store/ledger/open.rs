//! An open notification with its messages, as one thing that changes by rules. Pure: it is read and written by `unit`.
//!
//! Promise: whatever is called, status, task, messages and charge fit each other afterwards.

use jiff::Timestamp;

use super::rows::{Head, Letter, Task, cut};
use crate::domain::budget::Usage;
use crate::domain::channel::Channel;
use crate::domain::decision::Decision;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::intent::Intent;
use crate::domain::notification::{MessageState, Notification};
use crate::domain::reason::{Reason, State, Status};
use crate::store::Plan;

/// What the pseudonym of an erased customer starts with.
pub(super) const ERASED_PREFIX: &str = "erased:";

/// What is to be written of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    New,
    None,
    Changed,
}

impl Change {
    pub(super) fn mark(&mut self) {
        if *self == Self::None {
            *self = Self::Changed;
        }
    }
}

/// What becomes of the customer's usage row for this notification.
#[derive(Clone, Debug)]
pub(super) enum Charge {
    Keep,
    Reserve(Usage),
    /// Count from now on, because it is handed over now.
    Move(Timestamp),
    Release,
}

/// A message with what is to be written of it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) letter: Letter,
    pub(super) change: Change,
}

impl Held {
    pub(super) fn state(&self) -> MessageState {
        self.letter.message.state
    }

    fn set(&mut self, state: MessageState) {
        self.letter.message.state = state;
        self.change.mark();
    }

    fn may_have_sent(&self) -> bool {
        self.letter.maybe_sent
            || matches!(
                self.state(),
                MessageState::Sending
                    | MessageState::Sent
                    | MessageState::Delivered
                    | MessageState::Unknown
            )
    }

    fn has_failed(&self) -> bool {
        matches!(
            self.state(),
            MessageState::Bounced | MessageState::Undeliverable
        )
    }
}

/// An open notification in a transaction.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) head: Head,
    pub(super) held: Vec<Held>,
    pub(super) change: Change,
    /// Its status in the store; `None`: it is new.
    pub(super) was: Option<Status>,
    /// The intent of a new one.
    pub(super) intent: Option<Intent>,
    /// A decision to write.
    pub(super) decision: Option<Decision>,
    pub(super) charge: Charge,
}

impl Open {
    /// One that has just come in.
    pub(super) fn new(notification: &Notification) -> Self {
        let intent = &notification.intent;
        Self {
            head: Head {
                id: notification.id,
                identity: notification.identity.clone(),
                customer: intent.customer.clone(),
                category: notification.category,
                topic: notification.topic.clone(),
                template: intent.template.clone(),
                accepted_bundle: notification.accepted_bundle.clone(),
                bundle: notification.bundle.clone(),
                status: notification.status,
                task: Some(Task::Plan),
                due_at: Some(notification.due_at.unwrap_or(notification.create_time)),
                expire_time: intent.expire_time,
                event_time: intent.event_time,
                create_time: cut(notification.create_time),
                update_time: cut(notification.update_time),
                collapse_key: intent.collapse_key.clone(),
                cancellation_key: intent.cancellation_key.clone(),
                reference: intent.reference.clone(),
            },
            held: Vec::new(),
            change: Change::New,
            was: None,
            intent: Some(intent.clone()),
            decision: None,
            charge: Charge::Keep,
        }
    }

    /// One from the store.
    pub(super) fn loaded(head: Head) -> Self {
        Self {
            was: Some(head.status),
            head,
            held: Vec::new(),
            change: Change::None,
            intent: None,
            decision: None,
            charge: Charge::Keep,
        }
    }

    /// The notification as it will be, for one that is new in this transaction.
    pub(super) fn notification(&self) -> Option<Notification> {
        self.intent
            .as_ref()
            .map(|intent| assemble(self.head.clone(), intent.clone(), self.decision.clone()))
    }

    /// Adds a message that is in the store.
    pub(super) fn keep(&mut self, letter: Letter) {
        self.held.push(Held {
            letter,
            change: Change::None,
        });
    }

    pub(super) fn message_mut(&mut self, id: MessageId) -> Option<&mut Held> {
        self.held
            .iter_mut()
            .find(|held| held.letter.message.id == id)
    }

    /// Channels on which it has failed for good.
    pub(super) fn failed_channels(&self) -> Vec<Channel> {
        let mut failed: Vec<_> = self
            .held
            .iter()
            .filter(|held| held.has_failed())
            .map(|held| held.letter.message.channel)
            .collect();
        failed.sort_unstable();
        failed.dedup();
        failed
    }

    /// Whether a byte of it may have reached somebody.
    pub(super) fn may_have_sent(&self) -> bool {
        self.held.iter().any(Held::may_have_sent)
    }

    pub(super) fn is_erased(&self) -> bool {
        self.head.customer.as_str().starts_with(ERASED_PREFIX)
    }

    /// Writes what the planner made of it.
    pub(super) fn apply(&mut self, plan: Plan, secret: &[u8; 32], now: Timestamp) {
        let ready = plan.status.state == State::Processing;
        if ready && plan.messages.is_empty() {
            // Nothing would ever wake it: a bug above, said openly.
            self.decision = Some(plan.decision);
            return self.conclude(Status::from(Reason::Internal), now);
        }
        self.decision = Some(plan.decision);
        self.release();
        if ready {
            if let Some(usage) = plan.usage {
                self.charge = Charge::Reserve(usage);
            }
            for mut message in plan.messages {
                message.notification = self.head.id;
                message.state = MessageState::Queued;
                message.due_at = cut(message.due_at);
                let digest = message.address.digest(secret);
                self.held.push(Held {
                    letter: Letter {
                        message,
                        digest,
                        maybe_sent: false,
                    },
                    change: Change::New,
                });
            }
            self.wait(plan.status, None, None, now);
        } else if plan.status.is_settled() {
            self.conclude(plan.status, now);
        } else {
            // Never in the past: a wait that is over at once would be decided again and again.
            let next = now
                .checked_add(std::time::Duration::from_millis(1))
                .unwrap_or(now);
            let due_at = plan.due_at.unwrap_or(self.head.expire_time).max(next);
            self.wait(plan.status, Some(Task::Plan), Some(due_at), now);
        }
    }

    /// Calls off what has not been handed over; the notification ends with `status` unless something of it may have been
    /// sent. Returns whether it ended so.
    pub(super) fn call_off(&mut self, status: Status, now: Timestamp) -> bool {
        for held in &mut self.held {
            if held.state() == MessageState::Queued {
                held.set(if held.letter.maybe_sent {
                    MessageState::Unknown
                } else {
                    MessageState::Cancelled
                });
            }
        }
        let clean = !self
            .held
            .iter()
            .any(|held| held.may_have_sent() && !held.has_failed());
        if clean {
            self.conclude(status, now);
        } else {
            self.follow(status.reason, now);
        }
        clean
    }

    /// Sends it back to the planner, unless something of it may have been sent. Returns whether it went.
    pub(super) fn decide_again(&mut self, now: Timestamp) -> bool {
        let touched = self
            .held
            .iter()
            .any(|held| held.may_have_sent() && !held.has_failed());
        if touched || self.is_erased() {
            return false;
        }
        let mut called_off = false;
        for held in &mut self.held {
            if held.state() == MessageState::Queued {
                held.set(MessageState::Cancelled);
                called_off = true;
            }
        }
        if called_off || self.head.status.state == State::Processing {
            self.release();
            self.wait(
                Status::from(Reason::Accepted),
                Some(Task::Plan),
                Some(now),
                now,
            );
        } else {
            self.wait(self.head.status, Some(Task::Plan), Some(now), now);
        }
        true
    }

    /// Sets the status that follows from its messages: `reason` is that of a wait or a failure.
    pub(super) fn follow(&mut self, reason: Reason, now: Timestamp) {
        let any = |state: MessageState| self.held.iter().any(|held| held.state() == state);
        let fresh = |held: &Held| {
            let message = &held.letter.message;
            message.state == MessageState::Queued && message.tries == 0 && message.due_at <= now
        };
        let retry_at = self
            .held
            .iter()
            .filter(|held| held.state() == MessageState::Queued)
            .map(|held| held.letter.message.due_at)
            .min();
        let handed_over = any(MessageState::Sent) || any(MessageState::Delivered);
        let waiting = Status::from(reason);
        if any(MessageState::Sending) || self.held.iter().any(fresh) {
            self.wait(Status::from(Reason::Ready), None, None, now);
        } else if let Some(retry_at) = retry_at {
            let status = if waiting.state == State::Scheduled {
                waiting
            } else {
                Status::from(Reason::Retry)
            };
            self.wait(status, None, Some(retry_at), now);
        } else if any(MessageState::Unknown) {
            let end = self.head.expire_time;
            self.wait(
                Status::from(Reason::ProviderUnknown),
                Some(Task::Unknown),
                Some(end),
                now,
            );
        } else if handed_over {
            self.conclude(Status::from(Reason::HandedOver), now);
        } else {
            self.conclude(waiting, now);
        }
    }

    /// Ends what was held as unknown.
    pub(super) fn end_unknown(&mut self, now: Timestamp) {
        let sent =
            |held: &Held| matches!(held.state(), MessageState::Sent | MessageState::Delivered);
        let status = if self.held.iter().any(sent) {
            Status::from(Reason::HandedOver)
        } else {
            Status::UNKNOWN_ENDED
        };
        self.conclude(status, now);
    }

    /// Its status while something is still to be done.
    pub(super) fn wait(
        &mut self,
        status: Status,
        task: Option<Task>,
        due_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        self.head.task = task;
        self.head.due_at = due_at.map(cut);
        self.set_status(status, now);
    }

    /// Its status when nothing is left to be done. What sent nothing gives its usage back.
    pub(super) fn conclude(&mut self, status: Status, now: Timestamp) {
        self.release();
        self.head.task = None;
        self.head.due_at = None;
        self.set_status(status, now);
    }

    fn release(&mut self) {
        if !self.may_have_sent() {
            self.charge = Charge::Release;
        }
    }

    fn set_status(&mut self, status: Status, now: Timestamp) {
        self.change.mark();
        if self.head.status != status {
            self.head.status = status;
            self.head.update_time = cut(now);
        }
    }
}

/// A notification from its parts.
pub(super) fn assemble(head: Head, intent: Intent, decision: Option<Decision>) -> Notification {
    Notification {
        id: head.id,
        identity: head.identity,
        intent: Intent {
            // The ledger's word counts: an erasure replaces it there.
            customer: head.customer,
            ..intent
        },
        category: head.category,
        topic: head.topic,
        accepted_bundle: head.accepted_bundle,
        bundle: head.bundle,
        status: head.status,
        create_time: head.create_time,
        update_time: head.update_time,
        due_at: head.due_at,
        decision,
    }
}

/// Newer by event time, else by order of acceptance.
pub(super) fn is_newer(
    left: (Timestamp, NotificationId),
    right: (Timestamp, NotificationId),
) -> bool {
    (left.0.as_microsecond(), left.1) > (right.0.as_microsecond(), right.1)
}

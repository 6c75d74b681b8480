//! L3: what follows from the outcome of a hand-over. Pure: a provider's answer goes in, an [`Ending`] comes out.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::channel::Category;
use crate::domain::notification::AttemptResult;
use crate::domain::policy::{Policy, UnknownRule};
use crate::domain::reason::Reason;
use crate::provider::Handover;
use crate::store::Ending;

/// The list entry of an address that its provider called dead.
pub const HARD_BOUNCE: &str = "hard_bounce";

/// What the message was when it was handed over.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Its class.
    pub category: Category,
    /// How often a byte went to a provider, this time included.
    pub tries: u32,
    /// When it stops being of use.
    pub expire_time: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// In `0.0..1.0`, for jitter.
    pub chance: f64,
    /// Whether the provider is failing for everybody.
    pub circuit_open: bool,
}

/// The ending of one try.
pub fn settle(handover: &Handover, tried: Tried, policy: &Policy) -> Ending {
    match handover {
        Handover::Accepted {
            provider_message_id,
            ..
        } => Ending::Sent {
            provider_message_id: provider_message_id.clone(),
        },
        Handover::Retry {
            after, throttled, ..
        } => retry(*after, *throttled, tried, policy),
        Handover::Rejected { address_dead, .. } => Ending::Failed {
            reason: Reason::ProviderRejected,
            suppress: address_dead.then(|| HARD_BOUNCE.to_owned()),
        },
        Handover::Unknown { .. } => match policy.unknown_rule(tried.category) {
            // No provider of this release can be asked, so what should be reconciled is held for an operator.
            UnknownRule::Hold | UnknownRule::Reconcile => Ending::Unknown { resend_at: None },
            UnknownRule::Resend => match retry(None, false, tried, policy) {
                Ending::Retry { due_at, .. } => Ending::Unknown {
                    resend_at: Some(due_at),
                },
                _ => Ending::Unknown { resend_at: None },
            },
        },
    }
}

fn retry(after: Option<Duration>, throttled: bool, tried: Tried, policy: &Policy) -> Ending {
    let wait = policy
        .backoff
        .delay(tried.tries, tried.chance)
        .max(after.unwrap_or_default());
    let due_at = tried.now.checked_add(wait).unwrap_or(Timestamp::MAX);
    if due_at >= tried.expire_time {
        return Ending::Failed {
            reason: Reason::RetriesExhausted,
            suppress: None,
        };
    }
    let (result, reason) = match (throttled, tried.circuit_open) {
        (true, _) => (AttemptResult::Throttled, Reason::ProviderThrottled),
        (false, true) => (AttemptResult::Transient, Reason::ProviderCircuitOpen),
        (false, false) => (AttemptResult::Transient, Reason::Retry),
    };
    Ending::Retry {
        due_at,
        result,
        reason,
    }
}

/// The provider's words in an answer.
pub fn reply(handover: &Handover) -> &str {
    match handover {
        Handover::Accepted { reply, .. }
        | Handover::Retry { reply, .. }
        | Handover::Rejected { reply, .. }
        | Handover::Unknown { reply } => reply,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::policy::Backoff;
    use crate::domain::quiet_hours::DailyWindow;
    use crate::provider::About;

    fn policy() -> Policy {
        Policy {
            version: "test".into(),
            topics: BTreeMap::new(),
            budgets: vec![],
            quiet_hours: DailyWindow::try_new("21:00", "08:00").unwrap(),
            quiet_categories: vec![],
            expiry: BTreeMap::new(),
            backoff: Backoff {
                delays: vec![Duration::from_secs(5), Duration::from_secs(30)],
                jitter: 0.2,
            },
            unknown: BTreeMap::from([(Category::Transactional, UnknownRule::Resend)]),
            channel_order: vec![],
            time_zone: "UTC".into(),
            locale: "en".into(),
            spread: jiff::SignedDuration::ZERO,
        }
    }

    fn tried(category: Category, tries: u32, expires_in: i64) -> Tried {
        let now = Timestamp::from_second(1_000).unwrap();
        Tried {
            category,
            tries,
            expire_time: Timestamp::from_second(1_000 + expires_in).unwrap(),
            now,
            chance: 0.5,
            circuit_open: false,
        }
    }

    fn due(ending: &Ending) -> i64 {
        match ending {
            Ending::Retry { due_at, .. }
            | Ending::Unknown {
                resend_at: Some(due_at),
            } => due_at.as_second() - 1_000,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_grow_and_the_provider_may_ask_for_longer() {
        let passing = |after| Handover::Retry {
            after,
            throttled: after.is_some(),
            about: About::Provider,
            reply: String::new(),
        };
        let of = |tries, after| {
            due(&settle(
                &passing(after),
                tried(Category::Transactional, tries, 10_000),
                &policy(),
            ))
        };
        assert_eq!((of(1, None), of(2, None), of(9, None)), (5, 30, 30));
        assert_eq!(of(1, Some(Duration::from_secs(600))), 600);
    }

    #[test]
    fn expiry_ends_it() {
        let passing = Handover::Retry {
            after: None,
            throttled: false,
            about: About::Provider,
            reply: String::new(),
        };
        let ending = settle(&passing, tried(Category::Transactional, 1, 5), &policy());
        assert_eq!(
            ending,
            Ending::Failed {
                reason: Reason::RetriesExhausted,
                suppress: None
            }
        );
    }

    #[test]
    fn the_unknown_follow_their_category() {
        let unknown = Handover::Unknown {
            reply: String::new(),
        };
        assert_eq!(
            due(&settle(
                &unknown,
                tried(Category::Transactional, 1, 10_000),
                &policy()
            )),
            5
        );
        assert_eq!(
            settle(&unknown, tried(Category::Marketing, 1, 10_000), &policy()),
            Ending::Unknown { resend_at: None }
        );
    }

    #[test]
    fn a_dead_address_is_remembered() {
        let dead = Handover::Rejected {
            about: About::Message,
            address_dead: true,
            reply: String::new(),
        };
        let ending = settle(&dead, tried(Category::Transactional, 1, 10_000), &policy());
        assert_eq!(
            ending,
            Ending::Failed {
                reason: Reason::ProviderRejected,
                suppress: Some(HARD_BOUNCE.into())
            }
        );
    }
}

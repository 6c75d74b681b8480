//! The rules of a shop as values: topics, budgets, quiet hours, expiry, retries. Always current, never pinned.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::channel::{Category, Channel, words};
use super::quiet_hours::{DailyWindow, SendWindow};

/// What a customer can turn on or off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// `review_request`.
    pub key: String,
    /// The class its templates belong to.
    pub category: Category,
    /// For the preference page.
    pub name: String,
    /// Order where neither customer nor template has one.
    pub channels: Vec<Channel>,
}

words! {
    /// What to do with a message of which nobody knows whether it was sent.
    UnknownRule {
        /// Send again with the same Message-ID or nonce.
        Resend = "resend",
        /// Ask the provider first.
        Reconcile = "reconcile",
        /// Leave it to an operator until its expiry.
        Hold = "hold",
    }
}

words! {
    /// What an operator says of a message of which nobody knows whether it was sent.
    Resolution {
        /// It was.
        Sent = "sent",
        /// Send it again with the same Message-ID or nonce.
        Resend = "resend",
        /// Leave it: it is not sent again, and counts as failed.
        Drop = "drop",
    }
}

/// When and how often a failed try is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// The waits, the last one for ever after.
    pub delays: Vec<Duration>,
    /// Each wait is lengthened or shortened by up to this share, 0.2 for a fifth.
    pub jitter: f64,
}

impl Backoff {
    /// The wait after `tries` tries (1 after the first), with `chance` in `0.0..1.0`.
    pub fn delay(&self, tries: u32, chance: f64) -> Duration {
        let index = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
        let base = self
            .delays
            .get(index)
            .or(self.delays.last())
            .copied()
            .unwrap_or(Duration::from_secs(60));
        base.mul_f64(1.0 + self.jitter * (2.0 * chance - 1.0))
    }
}

/// The policy of a shop.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Recorded in every decision.
    pub version: String,
    /// By key.
    pub topics: BTreeMap<String, Topic>,
    /// The caps.
    pub budgets: Vec<Budget>,
    /// When to be quiet.
    pub quiet_hours: DailyWindow,
    /// For which categories.
    pub quiet_categories: Vec<Category>,
    /// How long a notification lives when neither caller nor template says.
    pub expiry: BTreeMap<Category, SignedDuration>,
    /// When to try again.
    pub backoff: Backoff,
    /// What follows an unknown outcome.
    pub unknown: BTreeMap<Category, UnknownRule>,
    /// The shop's order of channels.
    pub channel_order: Vec<Channel>,
    /// IANA zone for customers of whom none is known.
    pub time_zone: String,
    /// BCP 47 locale for customers of whom none is known.
    pub locale: String,
    /// What was held by quiet hours is spread over this long after their end.
    pub spread: SignedDuration,
}

impl Policy {
    /// How long a notification of this category lives by default.
    pub fn expiry(&self, category: Category) -> SignedDuration {
        self.expiry
            .get(&category)
            .copied()
            .unwrap_or(SignedDuration::from_hours(24))
    }

    /// What follows an unknown outcome in this category.
    pub fn unknown_rule(&self, category: Category) -> UnknownRule {
        self.unknown
            .get(&category)
            .copied()
            .unwrap_or(UnknownRule::Hold)
    }
}

words! {
    /// What to do when the customer has no room left.
    OnBudget {
        /// Wait for the next free slot.
        Delay = "delay",
        /// Drop it.
        Skip = "skip",
    }
}

/// What deciding needs to know of a template: the manifest without its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `review.request`.
    pub key: String,
    /// For people.
    pub display_name: String,
    /// Who to ask about it.
    pub owner: String,
    /// Its class.
    pub category: Category,
    /// Its topic.
    pub topic: String,
    /// Its channels in default order.
    pub channels: Vec<Channel>,
    /// How long it stays of use; `None`: the policy's.
    pub ttl: Option<SignedDuration>,
    /// When it may be sent.
    pub send_window: Option<SendWindow>,
    /// Respects quiet hours although its category does not.
    pub quiet_hours: bool,
    /// What to do when there is no room.
    pub on_budget: OnBudget,
    /// What must have happened before.
    pub requires_outcome: Option<String>,
    /// JSON pointer into the variables to the thing a per-subject budget counts, `/product/id`.
    pub subject: Option<String>,
    /// The variants, with weights; empty: one variant without a name.
    pub variants: Vec<Variant>,
    /// Goes into the choice of a variant, so that another one draws the groups anew; may be empty.
    pub salt: String,
}

/// One arm of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// `control`, `b`, `holdout`.
    pub name: String,
    /// Its share among the weights.
    pub weight: u32,
}

/// A standing order of an operator that holds deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// `channel`, `provider`, `category`, `template`, `topic`, `caller` or `shop`.
    pub kind: String,
    /// Which one.
    pub value: String,
    /// Why, for the trace.
    pub reason: String,
    /// Until when; `None`: until it is lifted.
    pub until: Option<Timestamp>,
}

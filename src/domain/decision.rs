//! The verdict on one intent, with the steps that led to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, words};
use super::reason::Reason;

words! {
    /// The rules, in the one order of preference.
    Rule {
        /// The variables fit the template's schema.
        Schema = "schema",
        /// The request id and once key are new.
        Request = "request",
        /// A newer one with the same collapse key.
        Collapse = "collapse",
        /// Called off.
        Cancel = "cancel",
        /// Its time is over.
        Expiry = "expiry",
        /// A later time was asked for.
        SendTime = "send_time",
        /// The group that gets nothing.
        Holdout = "holdout",
        /// Topic turned on or off.
        Topic = "topic",
        /// The address exists.
        Address = "address",
        /// The address is not suppressed.
        Suppression = "suppression",
        /// Consent per channel.
        Consent = "consent",
        /// Channel turned off for the topic.
        Channel = "channel",
        /// The template has content for channel and locale.
        Content = "content",
        /// The caller's routing override.
        Route = "route",
        /// The order of the channels that are left.
        Choice = "choice",
        /// Operator pause.
        Pause = "pause",
        /// Customer pause.
        CustomerPause = "customer_pause",
        /// Required outcome.
        Outcome = "outcome",
        /// Quiet hours.
        QuietHours = "quiet_hours",
        /// Send window of the template.
        Window = "window",
        /// Budgets.
        Budget = "budget",
        /// The template was filled.
        Render = "render",
        /// The message was handed to a provider.
        Dispatch = "dispatch",
        /// An operator said what became of what was unknown.
        Operator = "operator",
    }
}

words! {
    /// What a rule did.
    StepOutcome {
        /// Nothing against it.
        Pass = "pass",
        /// One channel fell.
        SkipChannel = "skip_channel",
        /// It has to wait.
        Delay = "delay",
        /// It ends here.
        Stop = "stop",
    }
}

impl StepOutcome {
    /// What most lines say.
    const fn pass() -> Self {
        Self::Pass
    }

    const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }
}

/// One line of the trace. Traces are most of what is kept of a notification, so as values they leave out what goes without
/// saying.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which rule.
    pub rule: Rule,
    /// What it did.
    #[serde(
        default = "StepOutcome::pass",
        skip_serializing_if = "StepOutcome::is_pass"
    )]
    pub outcome: StepOutcome,
    /// Why, where it did more than pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// A sentence for a person, without an address in it.
    pub summary: String,
    /// The facts it was decided on.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub evidence: serde_json::Map<String, serde_json::Value>,
    /// The channel it is about, if about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// Send on these channels: one for `FIRST`, each for `ALL`. `then` are the channels to fall back to, in order.
    Send {
        /// Now.
        channels: Vec<Channel>,
        /// Later, if those fail for good.
        then: Vec<Channel>,
        /// The chosen variant; empty: none.
        variant: String,
    },
    /// Decide again at `until`.
    Hold {
        /// When.
        until: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// It ends here; the reason's state says how.
    End {
        /// Why.
        reason: Reason,
    },
}

/// The verdict with its trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is to be done.
    pub verdict: Verdict,
    /// How it came to that, in order.
    pub steps: Vec<Step>,
    /// The policy it was decided under.
    pub policy_version: String,
    /// When it was decided.
    pub time: Timestamp,
}

impl Decision {
    /// The reason a notification has after this decision.
    pub fn reason(&self) -> Reason {
        match &self.verdict {
            Verdict::Send { .. } => Reason::Ready,
            Verdict::Hold { reason, .. } | Verdict::End { reason } => *reason,
        }
    }
}

//! L4: decides what is due. [`Planner`] turns a [`Case`] into a [`Plan`] by the one pure [`decide`]; the store calls it inside
//! its transactions. Does not wait and does not look at the clock: when to plan is the scheduler's business.

use std::sync::Arc;

use crate::catalog::{Catalog, choice};
use crate::decide::{Facts, decide};
use crate::domain::channel::Channel;
use crate::domain::decision::{Decision, Rule, Step, StepOutcome, Verdict};
use crate::domain::id::Ids;
use crate::domain::notification::{Message, MessageState};
use crate::domain::reason::{Reason, Status};
use crate::event;
use crate::store::{Case, Plan, Plans};

/// Decides by the live templates and the live policy.
pub struct Planner {
    catalog: Arc<Catalog>,
    ids: Arc<Ids>,
}

impl Planner {
    /// A planner over these templates.
    pub fn new(catalog: Arc<Catalog>, ids: Arc<Ids>) -> Self {
        Self { catalog, ids }
    }

    fn message(&self, case: &Case, channel: Channel, verdict: &Verdict) -> Option<Message> {
        let Verdict::Send { then, variant, .. } = verdict else {
            return None;
        };
        let notification = &case.notification;
        Some(Message {
            id: self.ids.message(case.now),
            notification: notification.id,
            channel,
            address: case.customer.profile.address(channel)?.clone(),
            lane: notification.category.lane(),
            state: MessageState::Queued,
            fence: 0,
            tries: 0,
            due_at: case.now,
            provider: String::new(),
            provider_message_id: String::new(),
            variant: variant.clone(),
            sms_segments: 0,
            fallback: then.clone(),
        })
    }
}

impl Plans for Planner {
    fn plan(&self, case: &Case) -> Plan {
        let notification = &case.notification;
        let policy = self.catalog.policy();
        let Some(bundle) = choice::bundle_for(&self.catalog, notification) else {
            return without_template(case, &policy.version);
        };
        let Some(manifest) = bundle.manifest(&notification.intent.template) else {
            return without_template(case, &policy.version);
        };
        let locale = choice::locale_for(
            &notification.intent.locale,
            &case.customer.profile.locale,
            &policy.locale,
        );
        let content: Vec<Channel> = Channel::ALL
            .iter()
            .copied()
            .filter(|channel| bundle.has_content(&manifest.key, *channel, locale))
            .collect();
        let facts = Facts {
            case,
            manifest,
            bundle: bundle.id(),
            policy: &policy,
            content: &content,
        };
        let decision = decide(&facts);

        let (due_at, messages, usage) = match &decision.verdict {
            Verdict::Send { channels, .. } => {
                let messages = channels
                    .iter()
                    .filter_map(|channel| self.message(case, *channel, &decision.verdict))
                    .collect();
                (None, messages, Some(facts.usage()))
            }
            // Nothing is sent late: at the latest its end is decided when it expires.
            Verdict::Hold { until, .. } => (
                Some((*until).min(notification.intent.expire_time)),
                Vec::new(),
                None,
            ),
            Verdict::End { .. } => (None, Vec::new(), None),
        };
        let status = Status::from(decision.reason());
        event::decided(status, manifest.category);
        Plan {
            decision,
            status,
            due_at,
            messages,
            usage,
        }
    }
}

/// The end of a notification whose template cannot be had any more.
fn without_template(case: &Case, policy_version: &str) -> Plan {
    let step = Step {
        rule: Rule::Schema,
        outcome: StepOutcome::Stop,
        reason: Some(Reason::RenderFailed),
        summary: "the bundle that it was accepted with is gone".into(),
        evidence: serde_json::Map::new(),
        channel: None,
    };
    let reason = Reason::RenderFailed;
    let decision = Decision {
        verdict: Verdict::End { reason },
        steps: vec![step],
        policy_version: policy_version.to_owned(),
        time: case.now,
    };
    Plan {
        decision,
        status: reason.into(),
        due_at: None,
        messages: Vec::new(),
        usage: None,
    }
}

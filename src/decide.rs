//! L3: the one pure decision. Stops, then filters on channels, then the choice, then holds: what is never allowed is refused
//! at once, not after a night of waiting. The planner, explanations and dry runs all call [`decide`]; it reads nothing but its
//! arguments, and each rule it asks leaves a line in the trace.
//!
//! Digests and channel swaps will stand in `holds::budget`, country hours beside `holds::quiet_hours`.

use jiff::Timestamp;

use crate::domain::budget::Usage;
use crate::domain::channel::Channel;
use crate::domain::decision::{Decision, Rule, Step, StepOutcome, Verdict};
use crate::domain::policy::{Manifest, Policy};
use crate::domain::reason::Reason;
use crate::store::Case;

mod channels;
mod experiment;
mod holds;
mod stops;

/// All that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The notification, its customer and their history.
    pub case: &'a Case,
    /// The template's rules.
    pub manifest: &'a Manifest,
    /// The bundle whose manifest that is.
    pub bundle: &'a str,
    /// The shop's rules.
    pub policy: &'a Policy,
    /// The channels for which the template has content in the customer's locale.
    pub content: &'a [Channel],
}

impl Facts<'_> {
    fn now(&self) -> Timestamp {
        self.case.now
    }

    /// What this notification would use of the customer's budgets.
    pub fn usage(&self) -> Usage {
        let intent = &self.case.notification.intent;
        let subject = self.manifest.subject.as_deref().and_then(|pointer| {
            let (first, rest) = pointer
                .strip_prefix('/')?
                .split_once('/')
                .map_or((pointer.get(1..)?, None), |(a, b)| (a, Some(b)));
            let root = intent.variables.0.get(first)?;
            let value = rest.map_or(Some(root), |rest| root.pointer(&format!("/{rest}")))?;
            Some(
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        });
        Usage {
            at: self.now(),
            category: self.manifest.category,
            topic: self.manifest.topic.clone(),
            template: self.manifest.key.clone(),
            subject: subject.unwrap_or_default(),
        }
    }
}

/// A rule's "no": the verdict it leads to. The rule has written its line already.
type Objection = Verdict;

/// Decides one case.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let mut trace = Trace::default();
    let verdict = verdict(facts, &mut trace);
    Decision {
        verdict,
        steps: trace.steps,
        policy_version: facts.policy.version.clone(),
        time: facts.now(),
    }
}

fn verdict(facts: &Facts<'_>, trace: &mut Trace) -> Verdict {
    let mut sending = || -> Result<Verdict, Objection> {
        let variant = stops::check(facts, trace)?;
        let left = channels::filter(facts, trace)?;
        let (channels, then) = channels::choose(facts, trace, left);
        holds::check(facts, trace, &channels)?;
        Ok(Verdict::Send {
            channels,
            then,
            variant,
        })
    };
    sending().unwrap_or_else(|objection| objection)
}

/// The trace being written.
#[derive(Debug, Default)]
struct Trace {
    steps: Vec<Step>,
}

impl Trace {
    fn line(
        &mut self,
        rule: Rule,
        outcome: StepOutcome,
        reason: Option<Reason>,
        summary: impl Into<String>,
    ) -> &mut Step {
        let step = Step {
            rule,
            outcome,
            reason,
            summary: summary.into(),
            evidence: serde_json::Map::new(),
            channel: None,
        };
        self.steps.push(step);
        // The line was pushed just now.
        self.steps
            .last_mut()
            .unwrap_or_else(|| unreachable!("a trace with a line has a last one"))
    }

    fn pass(&mut self, rule: Rule, summary: impl Into<String>) {
        self.line(rule, StepOutcome::Pass, None, summary);
    }

    fn skip(&mut self, rule: Rule, channel: Channel, reason: Reason, summary: impl Into<String>) {
        self.line(rule, StepOutcome::SkipChannel, Some(reason), summary)
            .channel = Some(channel);
    }

    fn end(&mut self, rule: Rule, reason: Reason, summary: impl Into<String>) -> Objection {
        self.line(rule, StepOutcome::Stop, Some(reason), summary);
        Verdict::End { reason }
    }

    fn hold(
        &mut self,
        rule: Rule,
        reason: Reason,
        until: Timestamp,
        summary: impl Into<String>,
    ) -> Objection {
        let step = self.line(rule, StepOutcome::Delay, Some(reason), summary);
        step.evidence
            .insert("until".into(), until.to_string().into());
        Verdict::Hold { until, reason }
    }

    fn evidence(&mut self, key: &str, value: serde_json::Value) {
        if let Some(step) = self.steps.last_mut() {
            step.evidence.insert(key.to_owned(), value);
        }
    }
}

/// Names in a sentence.
fn names(channels: &[Channel]) -> String {
    channels
        .iter()
        .map(|channel| channel.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;

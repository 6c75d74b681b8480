//! `tidings explain`: the decision trace, as a person reads it.

use super::args::ExplainOptions;
use super::failure::Failure;
use super::input;
use super::output::{Output, Style, Tone, Toned, clean};
use super::session::Session;
use super::show;
use crate::client::Target;
use crate::proto::decision_step::Outcome;
use crate::proto::explain_notification_request::Subject;
use crate::proto::notification_intent::Recipient;
use crate::proto::{
    self, DecisionStep, ExplainNotificationRequest, ExplainNotificationResponse, Notification,
};

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    options: ExplainOptions,
) -> Result<(), Failure> {
    match &options.notification {
        Some(given) => past(target, output, &show::name(given)).await,
        None => dry_run(target, output, &options).await,
    }
}

async fn past(target: &Target, output: &mut Output, name: &str) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let notification = session.notification(name).await?;
    let answer = session
        .explain(ExplainNotificationRequest {
            subject: Some(Subject::Name(name.to_owned())),
            evaluate_time: None,
        })
        .await?;
    if output.is_json() {
        return Ok(output.json(&session.write("ExplainNotificationResponse", &answer)?)?);
    }
    if output.style == Style::Terminal {
        let head = header(output, &notification);
        output.line(&head)?;
    }
    trace(output, &answer)
}

async fn dry_run(
    target: &Target,
    output: &mut Output,
    options: &ExplainOptions,
) -> Result<(), Failure> {
    let template = options.template.as_deref().unwrap_or_default();
    let to = options.to.as_deref().unwrap_or_default();
    let intent = input::intent(template, to, &options.content)?;
    let session = Session::open(target).await?;
    let answer = session
        .explain(ExplainNotificationRequest {
            subject: Some(Subject::Intent(intent)),
            evaluate_time: options.at.map(proto::wire_time),
        })
        .await?;
    if output.is_json() {
        return Ok(output.json(&session.write("ExplainNotificationResponse", &answer)?)?);
    }
    if output.style == Style::Terminal {
        let when = options
            .at
            .map(|at| format!(" as of {}", output.instant(at)))
            .unwrap_or_default();
        output.line(&format!(
            "{} → {}   dry run{when}, nothing is stored",
            clean(template),
            clean(to)
        ))?;
    }
    trace(output, &answer)
}

/// `review.request → customer c-42   SCHEDULED (BUDGET_EXCEEDED)   2026-11-22 14:03:11Z`
fn header(output: &Output, notification: &Notification) -> String {
    let status = output.paint(
        &clean(&show::status(notification)),
        show::tone(notification),
    );
    let recipient = match notification
        .intent
        .as_ref()
        .and_then(|i| i.recipient.as_ref())
    {
        Some(Recipient::InlineRecipient(_)) => "an address".to_owned(),
        _ => format!("customer {}", show::recipient(notification.intent.as_ref())),
    };
    format!(
        "{} → {}   {status}   {}",
        clean(&show::template(notification)),
        clean(&recipient),
        output.time(notification.update_time.as_ref()),
    )
}

/// The steps and, on a terminal, the verdict in a sentence.
fn trace(output: &mut Output, answer: &ExplainNotificationResponse) -> Result<(), Failure> {
    if output.style == Style::Terminal {
        for steps in answer
            .steps
            .chunk_by(|one, next| one.rule == next.rule && is_filter(one))
        {
            let line = step_line(output, steps);
            output.line(&line)?;
        }
        return Ok(output.line(&clean(&answer.verdict))?);
    }
    let mut rows: Vec<Vec<Toned>> = answer.steps.iter().map(row).collect();
    rows.push(
        ["verdict", "-", "-", "-", &answer.verdict]
            .into_iter()
            .map(Toned::from)
            .collect(),
    );
    Ok(output.table(&[], &rows)?)
}

fn outcome(step: &DecisionStep) -> Outcome {
    Outcome::try_from(step.outcome).unwrap_or(Outcome::Unspecified)
}

/// A filter takes channels away one by one, each with a step; a person reads them as one line.
fn is_filter(step: &DecisionStep) -> bool {
    outcome(step) == Outcome::SkipChannel
}

/// ` ✗ budget        after_sales 2 of 2 in 7 d → 2026-11-24 09:00 Europe/Berlin`
///
/// The steps are of one rule; the last one says how it ended and comes first: ` ✓ address       email, sms; chat: none`.
fn step_line(output: &Output, steps: &[DecisionStep]) -> String {
    let Some((step, before)) = steps.split_last() else {
        return String::new();
    };
    let summaries: Vec<&str> = std::iter::once(step)
        .chain(before)
        .map(|step| step.summary.as_str())
        .collect();
    let (mark, tone) = match outcome(step) {
        Outcome::Pass => ("✓", Tone::Good),
        Outcome::SkipChannel => ("–", Tone::Quiet),
        Outcome::Delay => ("✗", Tone::Waiting),
        Outcome::Stop => ("✗", Tone::Bad),
        Outcome::Unspecified => ("?", Tone::Quiet),
    };
    format!(
        " {} {:<13} {}",
        output.paint(mark, tone),
        clean(&step.rule),
        clean(&summaries.join("; "))
    )
    .trim_end()
    .to_owned()
}

fn row(step: &DecisionStep) -> Vec<Toned> {
    let word = outcome(step)
        .as_str_name()
        .trim_start_matches("OUTCOME_")
        .to_lowercase();
    [
        step.rule.clone(),
        word,
        show::or_dash(&step.reason),
        show::channel(step.channel),
        show::or_dash(&step.summary),
    ]
    .into_iter()
    .map(Toned::from)
    .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn answer() -> ExplainNotificationResponse {
        let step = |rule: &str, outcome: Outcome, reason: &str, summary: &str| DecisionStep {
            rule: rule.to_owned(),
            outcome: outcome as i32,
            reason: reason.to_owned(),
            summary: summary.to_owned(),
            ..DecisionStep::default()
        };
        ExplainNotificationResponse {
            steps: vec![
                step("topic", Outcome::Pass, "", "review_request is on"),
                step(
                    "address",
                    Outcome::SkipChannel,
                    "NO_CONTACT_POINT",
                    "chat: none",
                ),
                step("address", Outcome::Pass, "", "email, sms"),
                step(
                    "consent",
                    Outcome::SkipChannel,
                    "CONSENT_MISSING",
                    "sms: no\tconsent\u{1b}[2J",
                ),
                step(
                    "budget",
                    Outcome::Delay,
                    "BUDGET_EXCEEDED",
                    "after_sales 2 of 2 in 7 d",
                ),
            ],
            verdict: "It waits until 09:00.".to_owned(),
        }
    }

    fn shown(style: Style) -> String {
        let page = Page::default();
        trace(&mut Output::to(style, Box::new(page.clone())), &answer()).unwrap();
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_person_sees_marks_and_no_control_characters() {
        assert_eq!(
            shown(Style::Terminal),
            " ✓ topic         review_request is on\n ✓ address       email, sms; chat: none\n – consent       sms: no consent [2J\n ✗ budget        after_sales 2 of 2 in 7 d\nIt waits until 09:00.\n"
        );
    }

    #[test]
    fn a_pipe_gets_five_columns() {
        for line in shown(Style::Plain).lines() {
            assert_eq!(line.split('\t').count(), 5, "{line}");
        }
    }
}

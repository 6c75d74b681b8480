//! `ExplainNotification`: looking back, and asking what would be.

use serde_json::json;
use tidings::proto::{
    self, Channel, ExplainNotificationRequest, ExplainNotificationResponse, NotificationIntent,
    decision_step::Outcome, explain_notification_request::Subject,
};
use tonic::Status;

use crate::support::calls::{Refusal, review, send, shipped, wire};
use crate::support::gateway::Embedded;
use crate::{ada, at_noon, upsert};

/// As `docs/callers.md` has them, with what is done about a message at the end.
const ORDER: [&str; 21] = [
    "schema",
    "request",
    "collapse",
    "expiry",
    "send_time",
    "holdout",
    "topic",
    "address",
    "suppression",
    "consent",
    "channel",
    "content",
    "route",
    "choice",
    "pause",
    "customer_pause",
    "outcome",
    "quiet_hours",
    "window",
    "budget",
    "dispatch",
];

async fn explain(
    gateway: &Embedded,
    subject: Subject,
    evaluate_time: Option<proto::WireTime>,
) -> Result<ExplainNotificationResponse, Status> {
    let request = ExplainNotificationRequest {
        subject: Some(subject),
        evaluate_time,
    };
    let answer = gateway
        .client
        .notifications()
        .explain_notification(request)
        .await?;
    Ok(answer.into_inner())
}

fn rules(answer: &ExplainNotificationResponse) -> Vec<&str> {
    answer.steps.iter().map(|step| step.rule.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_back_shows_every_rule_and_the_hand_over() {
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    let asked = NotificationIntent {
        collapse_key: "review".into(),
        ..review("c-1")
    };
    let sent = send(&gateway.client, "r", asked).await;
    gateway.settle().await;
    let answer = explain(&gateway, Subject::Name(sent.name.clone()), None)
        .await
        .unwrap();
    let mut places: Vec<usize> = Vec::new();
    for rule in rules(&answer) {
        places.push(
            ORDER
                .iter()
                .position(|known| *known == rule)
                .unwrap_or_else(|| panic!("{rule}")),
        );
    }
    assert!(places.is_sorted(), "{:?}", rules(&answer));
    for rule in [
        "schema",
        "request",
        "collapse",
        "expiry",
        "topic",
        "address",
        "suppression",
        "consent",
        "content",
        "choice",
        "quiet_hours",
        "window",
        "budget",
        "dispatch",
    ] {
        assert!(
            rules(&answer).contains(&rule),
            "{rule} is missing in {:?}",
            rules(&answer)
        );
    }
    let last = answer.steps.last().unwrap();
    assert_eq!(
        (last.rule.as_str(), last.outcome(), last.channel()),
        ("dispatch", Outcome::Pass, Channel::Email)
    );
    assert!(
        last.summary.starts_with("email by ") && last.summary.contains("try 1"),
        "{}",
        last.summary
    );
    assert!(
        answer.verdict.starts_with("SENT (HANDED_OVER)"),
        "{}",
        answer.verdict
    );
    let shown = format!("{answer:?}");
    assert!(
        !shown.contains("ada@example.com") && !shown.contains("4915112345678"),
        "{shown}"
    );

    let refused = explain(
        &gateway,
        Subject::Name(sent.name),
        wire("2026-11-23T12:00:00Z"),
    )
    .await
    .unwrap_err();
    assert_eq!(Refusal::of(&refused).fields, ["evaluate_time"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_at_night_waits_and_by_day_does_not() {
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    let day = explain(&gateway, Subject::Intent(review("c-1")), None)
        .await
        .unwrap();
    assert_eq!(day.verdict, "It would be sent by email, with sms to fall back to.");
    assert!(
        day.steps
            .iter()
            .all(|step| step.outcome() == Outcome::Pass || step.channel() == Channel::Chat)
    );

    // Half past ten in the evening in Berlin.
    let night = explain(
        &gateway,
        Subject::Intent(review("c-1")),
        wire("2026-11-23T21:30:00Z"),
    )
    .await
    .unwrap();
    let last = night.steps.last().unwrap().clone();
    assert_eq!(
        (last.rule.as_str(), last.outcome(), last.reason.as_str()),
        ("quiet_hours", Outcome::Delay, "QUIET_HOURS")
    );
    assert!(
        last.summary.starts_with("22:30 in Europe/Berlin"),
        "{}",
        last.summary
    );
    let evidence = proto::json(last.evidence.unwrap()).unwrap();
    assert!(
        evidence["quiet_hours"]
            .as_str()
            .unwrap()
            .contains("Europe/Berlin"),
        "{evidence:?}"
    );
    assert!(
        night.verdict.contains("wait until 2026-11-24T0"),
        "{}",
        night.verdict
    );
    assert_eq!(last.time, wire("2026-11-23T21:30:00Z"));

    let delivery = explain(
        &gateway,
        Subject::Intent(shipped("1")),
        wire("2026-11-23T21:30:00Z"),
    )
    .await
    .unwrap();
    assert_eq!(
        delivery.verdict, "It would be sent by email.",
        "a delivery is no disturbance"
    );
    assert!(
        gateway.all().await.is_empty() && gateway.events(0).await.is_empty(),
        "nothing is stored"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_with_a_once_key_ends_and_names_the_first() {
    let gateway = at_noon().await;
    let once = |order: &str| NotificationIntent {
        once_key: "confirmation:4711".into(),
        ..shipped(order)
    };
    let first = send(&gateway.client, "a", once("1")).await;
    let second = send(&gateway.client, "b", once("2")).await;
    gateway.settle().await;
    assert_eq!(second.state_reason, "DUPLICATE_ONCE_KEY");
    let answer = explain(&gateway, Subject::Name(second.name), None)
        .await
        .unwrap();
    let last = answer.steps.last().unwrap().clone();
    assert_eq!(
        (last.rule.as_str(), last.outcome()),
        ("request", Outcome::Stop)
    );
    assert_eq!(
        proto::json(last.evidence.unwrap()).unwrap()["first"],
        json!(first.name)
    );
    gateway.stop().await;
}

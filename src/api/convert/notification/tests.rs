//! What callers see of notifications.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::address::Address;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::id::{Ids, NotificationId};
use crate::domain::intent::{Intent, Variables};
use crate::domain::notification::Notification;
use crate::domain::reason::Status;
use crate::domain::shop::{CustomerId, Identity};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn notification(id: NotificationId, status: Status) -> Notification {
    Notification {
        id,
        identity: Identity::local(),
        intent: Intent {
            customer: CustomerId::new("c-42"),
            guest: false,
            template: "order.shipped".into(),
            template_version: String::new(),
            variables: Variables::default(),
            locale: String::new(),
            routing: None,
            send_time: None,
            expire_time: at(9000),
            event_time: at(1000),
            collapse_key: String::new(),
            cancellation_key: String::new(),
            reference: String::new(),
            labels: [].into(),
            attachments: vec![],
            once_key: String::new(),
            contact: None,
        },
        category: Category::Transactional,
        topic: "orders".into(),
        accepted_bundle: "b1".into(),
        bundle: "b2".into(),
        status,
        create_time: at(1000),
        update_time: at(1010),
        due_at: Some(at(2000)),
        decision: None,
    }
}

fn record(status: Status, results: &[AttemptResult]) -> Record {
    let ids = Ids::new();
    let notification = notification(ids.notification(at(1000)), status);
    let message = Message {
        id: ids.message(at(1000)),
        notification: notification.id,
        channel: Channel::Email,
        address: Address::try_new(Channel::Email, "Ada@example.com").unwrap(),
        lane: Lane::Transactional,
        state: MessageState::Sent,
        fence: 1,
        tries: 1,
        due_at: at(1000),
        provider: "smtp".into(),
        provider_message_id: "q-1".into(),
        variant: "b".into(),
        sms_segments: 0,
        fallback: vec![],
    };
    let attempts = results
        .iter()
        .zip(1..)
        .map(|(result, number)| Attempt {
            id: ids.attempt(at(1000)),
            message: message.id,
            provider: "smtp".into(),
            start_time: at(1000),
            end_time: Some(at(1003)),
            number,
            result: *result,
            reply: "550 5.1.1 <Ada@example.com> (ada@example.com) unknown".into(),
            content_hash: String::new(),
        })
        .collect();
    Record {
        notification,
        messages: vec![message],
        attempts,
    }
}

#[test]
fn a_record_is_shown_whole_and_without_the_address_in_replies() {
    let record = record(
        Reason::HandedOver.into(),
        &[AttemptResult::Transient, AttemptResult::Ok],
    );
    let wire = wire_notification(&record);
    let id = record.notification.id;
    assert_eq!(wire.name, format!("notifications/{id}"));
    assert_eq!(wire.state(), proto::notification::State::Sent);
    assert_eq!(wire.state_reason, "HANDED_OVER");
    assert_eq!(wire.template_revision, "b2");
    assert_eq!(
        wire.next_attempt_time, None,
        "nothing is planned for what was sent"
    );

    let [message] = wire.messages.as_slice() else {
        panic!("{:?}", wire.messages)
    };
    assert_eq!(
        message.name,
        format!("notifications/{id}/messages/{}", record.messages[0].id)
    );
    assert_eq!(message.state(), proto::message::State::Sent);
    assert_eq!(message.attempts.len(), 2);
    let first = &message.attempts[0];
    assert_eq!(first.status.as_ref().unwrap().code, 14);
    assert_eq!(
        first.duration,
        Some(proto::wire_duration(SignedDuration::from_secs(3)))
    );
    assert!(
        !first.provider_reply.to_lowercase().contains("ada@"),
        "{first:?}"
    );
    assert!(first.provider_reply.starts_with("550 5.1.1"));
}

#[test]
fn what_waits_says_until_when() {
    let record = record(Reason::BudgetExceeded.into(), &[]);
    assert_eq!(
        wire_notification(&record).next_attempt_time,
        Some(proto::wire_time(at(2000)))
    );
    assert_eq!(
        past_verdict(&record),
        "SCHEDULED (BUDGET_EXCEEDED): The customer has heard enough for now; it waits for the next free slot. \
         It is looked at next at 1970-01-01T00:33:20Z."
    );
}

#[test]
fn every_result_of_a_try_is_a_step_without_an_address() {
    let record = record(Reason::HandedOver.into(), AttemptResult::ALL);
    let steps = dispatch_steps(&record);
    assert_eq!(steps.len(), AttemptResult::ALL.len());
    for step in &steps {
        assert_eq!(step.rule, "dispatch");
        assert!(
            !step.summary.to_lowercase().contains("ada@"),
            "{}",
            step.summary
        );
        assert_eq!(step.reason.is_empty(), step.outcome() == Outcome::Pass);
    }
    assert!(
        steps[2]
            .summary
            .starts_with("email by smtp, try 3: failed for now: 550")
    );
}

#[test]
fn every_state_has_its_own_word_on_the_wire() {
    let states: std::collections::BTreeSet<i32> = State::ALL
        .iter()
        .map(|state| wire_state(*state) as i32)
        .collect();
    assert_eq!(states.len(), State::ALL.len());
    assert!(!states.contains(&0));
    for state in State::ALL {
        assert_eq!(
            wire_state(*state).as_str_name(),
            format!("STATE_{state}"),
            "the filter and the enum speak one language"
        );
        assert!(event_type(*state).starts_with("notification."));
    }
    assert_eq!(event_type(State::Sent), "notification.sent");
}

#[test]
fn a_dry_run_says_what_would_happen() {
    let decision = |verdict| Decision {
        verdict,
        steps: vec![Step {
            rule: Rule::Budget,
            outcome: StepOutcome::Delay,
            reason: Some(Reason::BudgetExceeded),
            summary: "2 of 2 in 7 d".into(),
            evidence: serde_json::Map::from_iter([("used".to_owned(), 2.into())]),
            channel: None,
        }],
        policy_version: "p".into(),
        time: at(5),
    };
    let send = decision(Verdict::Send {
        channels: vec![Channel::Email],
        then: vec![Channel::Sms],
        variant: String::new(),
    });
    assert_eq!(
        dry_verdict(&send),
        "It would be sent by email, with sms to fall back to."
    );
    let hold = decision(Verdict::Hold {
        until: at(60),
        reason: Reason::QuietHours,
    });
    assert!(
        dry_verdict(&hold).starts_with("It would wait until 1970-01-01T00:01:00Z (QUIET_HOURS):")
    );
    let end = decision(Verdict::End {
        reason: Reason::TopicOptedOut,
    });
    assert!(dry_verdict(&end).starts_with("It would end SUPPRESSED (TOPIC_OPTED_OUT):"));

    let [step] = wire_steps(&end).try_into().unwrap();
    let step: proto::DecisionStep = step;
    assert_eq!(
        (step.rule.as_str(), step.reason.as_str()),
        ("budget", "BUDGET_EXCEEDED")
    );
    assert_eq!(step.evidence.unwrap().fields.len(), 1);
}

//! A handful of notifications and messages, as a shop would have them.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::domain::address::{Address, Personal};
use crate::domain::channel::{Category, Channel};
use crate::domain::content::{Content, Sender};
use crate::domain::customer::{Customer, CustomerId};
use crate::domain::decision::{Decision, Rule, Step, StepOutcome, Verdict};
use crate::domain::id::{Ids, MessageId, NotificationId};
use crate::domain::intent::{Intent, Variables};
use crate::domain::notification::{
    Attempt, AttemptResult, Message, MessageState, Notification, Record,
};
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::Identity;
use crate::web::{AttachmentSummary, Capture, CaptureSummary};

/// A string that would run, if anything took it for HTML.
pub(super) const HOSTILE: &str =
    "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>";

pub(super) fn start() -> Timestamp {
    "2026-11-22T19:30:00Z".parse().unwrap()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub(super) fn customer(id: &str, zone: &str) -> Customer {
    let mut customer = Customer::unknown(CustomerId::new(id), start());
    customer.profile.given_name = Personal::new("Ada");
    customer.profile.time_zone = zone.to_owned();
    customer
}

pub(super) fn address(channel: Channel) -> Address {
    let text = match channel {
        Channel::Email => "ada@example.com",
        Channel::Sms => "+4915123456789",
        Channel::Chat => "223344556677889900",
    };
    Address::try_new(channel, text).unwrap()
}

/// A notification of the local caller, accepted `seconds` after the start.
pub(super) fn record(
    ids: &Ids,
    seconds: i64,
    template: &str,
    customer: &str,
    reason: Reason,
) -> Record {
    let time = at(seconds);
    let category = match template.split('.').next() {
        Some("review" | "care") => Category::Relationship,
        Some("newsletter") => Category::Marketing,
        _ => Category::Transactional,
    };
    Record {
        notification: Notification {
            id: ids.notification(time),
            identity: Identity::local(),
            intent: Intent {
                customer: CustomerId::new(customer),
                guest: false,
                template: template.to_owned(),
                template_version: String::new(),
                variables: Variables::default(),
                locale: "de-DE".into(),
                routing: None,
                send_time: None,
                expire_time: at(seconds + 5 * 86_400),
                event_time: time,
                collapse_key: String::new(),
                cancellation_key: "order-4711".into(),
                reference: "4711".into(),
                labels: [("team".to_owned(), "crm".to_owned())].into(),
                attachments: Vec::new(),
                once_key: String::new(),
                contact: None,
            },
            category,
            topic: template.replace('.', "_"),
            accepted_bundle: "7f3c9a51".into(),
            bundle: "7f3c9a51".into(),
            status: Status::from(reason),
            create_time: time,
            update_time: at(seconds + 2),
            due_at: None,
            decision: Some(decision(reason, time)),
        },
        messages: Vec::new(),
        attempts: Vec::new(),
    }
}

fn step(rule: Rule, outcome: StepOutcome, summary: &str) -> Step {
    Step {
        rule,
        outcome,
        reason: None,
        summary: summary.to_owned(),
        evidence: serde_json::Map::new(),
        channel: None,
    }
}

fn decision(reason: Reason, time: Timestamp) -> Decision {
    use StepOutcome::{Delay, Pass, SkipChannel, Stop};
    let mut steps = vec![
        step(Rule::Schema, Pass, "variables match the template's schema"),
        step(Rule::Request, Pass, "new"),
        step(Rule::Topic, Pass, "the topic is on"),
        Step {
            channel: Some(Channel::Chat),
            reason: Some(Reason::NoContactPoint),
            ..step(
                Rule::Address,
                SkipChannel,
                "chat: none; email and sms are there",
            )
        },
        step(Rule::Consent, Pass, "no objection"),
        step(Rule::Choice, Pass, "email (topic order), then sms"),
        step(Rule::QuietHours, Pass, "20:30 in Europe/Berlin"),
    ];
    let verdict = match reason {
        Reason::BudgetExceeded => {
            let evidence = json!({"budget": "after_sales", "max": 2, "used": 2, "window": "7d",
                "counted": [{"template": "review.reminder", "at": "2026-11-19"}, {"template": "satisfaction.check", "at": "2026-11-17"}]});
            steps.push(Step {
                reason: Some(reason),
                evidence: evidence.as_object().unwrap().clone(),
                ..step(
                    Rule::Budget,
                    Delay,
                    "after_sales 2 of 2 in 7 days; the next slot is free on 24 November at 09:00",
                )
            });
            Verdict::Hold {
                until: at(37 * 3600),
                reason,
            }
        }
        Reason::ConsentMissing => {
            steps.push(Step {
                reason: Some(reason),
                ..step(Rule::Consent, Stop, "marketing by email: nothing recorded")
            });
            Verdict::End { reason }
        }
        _ => Verdict::Send {
            channels: vec![Channel::Email],
            then: vec![Channel::Sms],
            variant: "control".into(),
        },
    };
    Decision {
        verdict,
        steps,
        policy_version: "p-2026-11".into(),
        time,
    }
}

/// Adds a message with one attempt a reply, the last one ending as `state` says.
pub(super) fn with_message(
    ids: &Ids,
    mut record: Record,
    channel: Channel,
    state: MessageState,
    tries: &[(AttemptResult, &str)],
) -> Record {
    let time = record.notification.create_time;
    let id = ids.message(time);
    record.messages.push(Message {
        id,
        notification: record.notification.id,
        channel,
        address: address(channel),
        lane: record.notification.category.lane(),
        state,
        fence: 1,
        tries: u32::try_from(tries.len()).unwrap(),
        due_at: time,
        provider: "outbox".into(),
        provider_message_id: "a-1".into(),
        variant: "control".into(),
        sms_segments: u32::from(channel == Channel::Sms),
        fallback: Vec::new(),
    });
    for (index, (result, reply)) in tries.iter().enumerate() {
        let begun = time + SignedDuration::from_secs(1 + 30 * i64::try_from(index).unwrap());
        record.attempts.push(Attempt {
            id: ids.attempt(begun),
            message: id,
            provider: "outbox".into(),
            start_time: begun,
            end_time: Some(begun + SignedDuration::from_millis(84)),
            number: u32::try_from(index + 1).unwrap(),
            result: *result,
            reply: (*reply).to_owned(),
            content_hash: "5b41362bc82b7f3d56edc5a306db22105707d01ff4819e26faef9724a2d406c9".into(),
        });
    }
    record
}

fn capture(
    message: MessageId,
    seconds: i64,
    channel: Channel,
    template: &str,
    title: &str,
    content: Content,
) -> Capture {
    Capture {
        summary: CaptureSummary {
            message,
            notification: NotificationId::from_slice(message.as_bytes()).unwrap(),
            time: at(seconds),
            channel,
            to: address(channel).reveal().to_owned(),
            title: title.to_owned(),
            template: template.to_owned(),
        },
        content,
        attachments: Vec::new(),
        source: format!("{{\"content\": {title:?}}}"),
    }
}

/// A mail with an invoice.
pub(super) fn mail(
    message: MessageId,
    seconds: i64,
    subject: &str,
    html: &str,
) -> (Capture, Vec<Vec<u8>>) {
    let text = "Hello Ada,\n\nthank you for your order 4711. It will leave our warehouse tomorrow.\n\n2 x Tent pegs   9.90 EUR\n1 x Stove      49.00 EUR\n\nYour shop";
    let content = Content::Email {
        subject: subject.to_owned(),
        preheader: "We are packing it".into(),
        html: html.to_owned(),
        text: text.to_owned(),
        sender: Sender {
            name: "Outdoor Shop".into(),
            address: "orders@shop.example".into(),
        },
        unsubscribe_url: String::new(),
    };
    let mut capture = capture(
        message,
        seconds,
        Channel::Email,
        "order.confirmation",
        subject,
        content,
    );
    capture.source = format!(
        "Message-ID: <{message}@shop.example>\r\nFrom: Outdoor Shop <orders@shop.example>\r\nTo: Ada <ada@example.com>\r\nSubject: =?utf-8?q?Your_order_4711_=E2=80=94_thank_you?=\r\nX-Long: one\r\n two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b--\r\n"
    );
    capture.attachments = vec![AttachmentSummary {
        filename: "invoice \"4711\".pdf".into(),
        media_type: "application/pdf".into(),
        size: 8,
    }];
    (capture, vec![b"%PDF-1.7".to_vec()])
}

pub(super) fn sms(message: MessageId, seconds: i64, text: &str) -> (Capture, Vec<Vec<u8>>) {
    let content = Content::Sms { text: text.into() };
    (
        capture(
            message,
            seconds,
            Channel::Sms,
            "delivery.shipped",
            text,
            content,
        ),
        Vec::new(),
    )
}

pub(super) fn chat(message: MessageId, seconds: i64, text: &str) -> (Capture, Vec<Vec<u8>>) {
    let content = Content::Chat { text: text.into() };
    (
        capture(message, seconds, Channel::Chat, "care.guide", text, content),
        Vec::new(),
    )
}

/// A mail as a template would make it.
pub(super) const MAIL_HTML: &str = "<!doctype html><html><head><meta charset=utf-8><meta name=viewport content='width=device-width'><style>body{margin:0;font-family:sans-serif;background:#f4f1ea;color:#222}.c{max-width:600px;margin:0 auto;background:#fff;padding:32px}h1{font-size:24px}table{width:100%}td{padding:8px 0;border-top:1px solid #ddd}a{color:#0b6b57}</style></head><body><div class=c><h1>Thank you, Ada</h1><p>We have your order <b>4711</b> and are packing it now.</p><table><tr><td>2 × Tent pegs<td align=right>9.90 €<tr><td>1 × Stove<td align=right>49.00 €<tr><td><b>Total</b><td align=right><b>58.90 €</b></table><p><a href='https://shop.example/orders/4711'>See your order</a></p><p style='color:#777;font-size:13px'>Outdoor Shop, Bergweg 1, Berlin</p></div><script>document.title='ran'</script></body></html>";

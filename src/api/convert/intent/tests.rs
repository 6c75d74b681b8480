//! What a caller sends, and what it sees of that again.

use super::*;
use crate::domain::shop::CustomerId;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn intent(guest: bool) -> Intent {
    let serde_json::Value::Object(variables) =
        json!({"order": {"id": "4711", "total": "9.99", "count": 3}})
    else {
        unreachable!()
    };
    Intent {
        customer: CustomerId::new("c-42"),
        guest,
        template: "order.shipped".into(),
        template_version: String::new(),
        variables: Variables(variables),
        locale: "de-AT".into(),
        routing: Some(Routing {
            method: RoutingMethod::First,
            channels: vec![Channel::Chat, Channel::Email],
            fallback_delay: Some(SignedDuration::from_mins(10)),
        }),
        send_time: Some(at(1_800_000_000)),
        expire_time: at(1_800_086_400),
        event_time: at(1_799_999_999),
        collapse_key: "eta:4711".into(),
        cancellation_key: "order:4711".into(),
        reference: "orders/4711".into(),
        labels: [("campaign".to_owned(), "spring".to_owned())].into(),
        attachments: vec![Attachment {
            filename: "invoice.pdf".into(),
            media_type: "application/pdf".into(),
            content: vec![1, 2, 3],
        }],
        once_key: "order.shipped:4711".into(),
        contact: Some(ContactSnapshot {
            given_name: crate::domain::address::Personal::new("Ada"),
            locale: "de".into(),
            time_zone: "Europe/Vienna".into(),
            addresses: vec![
                Address::try_new(Channel::Email, "ada@example.com").unwrap(),
                Address::try_new(Channel::Sms, "+4915112345678").unwrap(),
            ],
            source_version: 7,
        }),
    }
}

#[test]
fn an_intent_is_shown_as_it_was_sent() {
    let intent = intent(false);
    let draft = intent_draft(wire_intent(&intent)).unwrap();
    assert_eq!(draft.recipient, Recipient::Customer("c-42".into()));
    assert_eq!(draft.template, intent.template);
    assert_eq!(draft.variables, intent.variables);
    assert_eq!(draft.send_time, intent.send_time);
    assert_eq!(draft.expire_time, Some(intent.expire_time));
    assert_eq!(draft.event_time, Some(intent.event_time));
    assert_eq!(draft.labels, intent.labels);
    let routing = draft.routing.unwrap();
    assert_eq!(routing.channels, [Channel::Chat, Channel::Email]);
    assert_eq!(routing.fallback_delay, Some(SignedDuration::from_mins(10)));
    let contact = draft.contact.unwrap();
    assert_eq!(contact.email_address, "ada@example.com");
    assert_eq!(contact.phone_number, "+4915112345678");
    assert_eq!(
        (contact.discord_user_id.as_str(), contact.source_version),
        ("", 7)
    );
    assert_eq!(draft.attachments[0].content, None, "bytes are not shown");
}

#[test]
fn a_guest_is_shown_by_its_addresses() {
    let draft = intent_draft(wire_intent(&intent(true))).unwrap();
    let Recipient::Inline(inline) = draft.recipient else {
        panic!("{:?}", draft.recipient)
    };
    assert_eq!(inline.email_address, "ada@example.com");
    assert_eq!(draft.contact, None);
}

#[test]
fn the_hash_is_of_what_was_asked_and_nothing_else() {
    let wire = || wire_intent(&intent(false));
    let hash = |wire| intent_draft(wire).unwrap().payload_hash;
    assert_eq!(hash(wire()), hash(wire()));

    // Decoding what another client has encoded in another order of map entries comes to the same.
    let decoded = proto::NotificationIntent::decode(wire().encode_to_vec().as_slice()).unwrap();
    assert_eq!(hash(decoded), hash(wire()));

    let mut other = wire();
    other.labels.insert("campaign".into(), "autumn".into());
    assert_ne!(hash(other), hash(wire()));
    let request = |id: &str| proto::SendNotificationRequest {
        intent: Some(wire()),
        request_id: id.into(),
        validate_only: false,
    };
    assert_eq!(
        draft(request("a")).unwrap().payload_hash,
        draft(request("b")).unwrap().payload_hash
    );
}

#[test]
fn what_the_domain_cannot_hold_is_refused_with_every_field() {
    let mut wire = wire_intent(&intent(false));
    let bad = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    wire.send_time = bad(0, 1_000_000_000);
    wire.expire_time = bad(i64::MAX, 0);
    wire.event_time = bad(0, -1);
    wire.routing = Some(proto::RoutingOverride {
        method: 9999,
        channels: vec![9999],
        fallback_delay: Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        }),
    });
    let nan = proto::Value {
        kind: Some(prost_types::value::Kind::NumberValue(f64::NAN)),
    };
    wire.variables = Some(proto::Struct {
        fields: [("total".to_owned(), nan)].into(),
    });
    let rejection = intent_draft(wire).unwrap_err();
    assert_eq!(rejection.reason, RejectionReason::SendTimeInvalid);
    let fields: Vec<_> = rejection
        .violations
        .iter()
        .map(|v| v.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "intent.send_time",
            "intent.expire_time",
            "intent.event_time",
            "intent.routing.method",
            "intent.routing.fallback_delay",
            "intent.routing.channels[0]",
            "intent.variables/total",
        ]
    );
}

#[test]
fn a_number_that_is_none_is_a_fault_of_the_variables() {
    let mut wire = wire_intent(&intent(false));
    wire.variables = Some(proto::Struct {
        fields: [("total".to_owned(), proto::Value { kind: None })].into(),
    });
    let rejection = intent_draft(wire).unwrap_err();
    assert_eq!(rejection.reason, RejectionReason::VariablesInvalid);
    assert!(draft(proto::SendNotificationRequest::default()).is_err());
}

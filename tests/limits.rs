//! Every limit of the gRPC door: the value that just passes, the one that is just refused, and what the refusal says.

#[path = "support/calls.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod calls;
#[path = "support/gateway.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod gateway;
#[path = "limits/people.rs"]
mod people;
#[path = "limits/tables.rs"]
mod tables;

use crate::calls::{NOON, Refusal, at, request, shipped, try_send, variables};
use crate::gateway::{Embedded, copy, folder};
use serde_json::{Value, json};
use tables::{person_limits, time_and_size_limits, word_limits};
use tidings::catalog::Source;
use tidings::proto::{
    BatchSendNotificationsRequest, BatchUpsertCustomersRequest, Customer, NotificationIntent,
    PreviewTemplateRequest, UpsertCustomerRequest, WireMessage as _,
};
use tonic::Code;

const MIB: usize = 1024 * 1024;

/// A gateway whose `order.shipped` takes an open variable beside its own.
async fn start() -> Embedded {
    let folder = folder();
    let templates = folder.path().join("templates");
    copy(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"),
        &templates,
    );
    let schema = templates.join("messages/order/shipped/schema.json");
    let mut value: Value =
        serde_json::from_str(&std::fs::read_to_string(&schema).unwrap()).unwrap();
    value["properties"]["extra"] = json!({"description": "Anything."});
    std::fs::write(&schema, value.to_string()).unwrap();
    Embedded::start(folder, Source::Folder(templates), at(NOON)).await
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// Variables of so many bytes as JSON.
fn sized(bytes: usize) -> Value {
    let mut value = json!({"order": {"number": "1"}, "extra": ""});
    value["extra"] = long(bytes - value.to_string().len()).into();
    assert_eq!(value.to_string().len(), bytes);
    value
}

/// Variables of so many levels.
fn nested(levels: usize) -> Value {
    let extra = (2..levels).fold(json!([]), |inner, _| json!([inner]));
    json!({"order": {"number": "1"}, "extra": extra})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_of_an_intent_is_just_kept_and_just_broken() {
    let gateway = start().await;
    let mut kept = 0;
    let limits = [word_limits(), person_limits(), time_and_size_limits()];
    for (row, limit) in limits.iter().flatten().enumerate() {
        let with = |value: &str| {
            let mut intent = shipped("4711");
            (limit.set)(&mut intent, value);
            intent
        };
        let told = |value: &str| {
            format!(
                "{} = {}…",
                limit.field,
                value.chars().take(60).collect::<String>()
            )
        };
        for (at, value) in limit.passes.iter().enumerate() {
            match try_send(&gateway.client, &format!("{row}-{at}"), with(value)).await {
                Ok(_) => kept += 1,
                Err(status) => {
                    let reason = Refusal::of(&status).reason;
                    assert_eq!(
                        (limit.field, reason.as_str()),
                        ("intent.template", "TEMPLATE_NOT_FOUND"),
                        "{}: {status:?}",
                        told(value)
                    );
                }
            }
        }
        for value in &limit.refused {
            let status = try_send(&gateway.client, "refused", with(value))
                .await
                .expect_err(&told(value));
            let refusal = Refusal::of(&status);
            assert_eq!(refusal.code, Code::InvalidArgument, "{}", told(value));
            assert_eq!(
                refusal.reason,
                limit.reason,
                "{}: {}",
                told(value),
                refusal.words
            );
            assert_eq!(refusal.fields[0], limit.field, "{}", told(value));
            assert!(
                refusal.words.contains(limit.says),
                "{}: {}",
                told(value),
                refusal.words
            );
        }
    }
    assert_eq!(
        gateway.all().await.len(),
        kept,
        "what is refused is not stored"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_has_1_to_128_characters() {
    let gateway = start().await;
    for id in ["r", &long(128), &"é".repeat(128)] {
        try_send(&gateway.client, id, shipped("1")).await.unwrap();
    }
    for (id, says) in [
        ("", "1 to 128"),
        (&*long(129), "128"),
        ("a\u{0}", "control"),
        ("a\n", "control"),
    ] {
        let refusal = Refusal::of(
            &try_send(&gateway.client, id, shipped("1"))
                .await
                .unwrap_err(),
        );
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::InvalidArgument, "FIELD_INVALID")
        );
        assert_eq!(refusal.fields, ["request_id"]);
        assert!(refusal.words.contains(says), "{}", refusal.words);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_1_to_500_items() {
    let gateway = start().await;
    for (size, passes) in [(0, false), (1, true), (500, true), (501, false)] {
        let requests = (0..size)
            .map(|n| request(&format!("{size}-{n}"), shipped("1")))
            .collect();
        let batch = BatchSendNotificationsRequest {
            requests,
            return_partial_success: false,
        };
        let sent = gateway
            .client
            .notifications()
            .batch_send_notifications(batch)
            .await;
        let people = (0..size)
            .map(|n| person(|customer| customer.name = format!("customers/{n}")))
            .collect();
        let people = BatchUpsertCustomersRequest { requests: people };
        let upserted = gateway
            .client
            .customers()
            .batch_upsert_customers(people)
            .await;
        if passes {
            assert_eq!(sent.unwrap().into_inner().accepted.len(), size);
            assert!(upserted.unwrap().into_inner().failed_requests.is_empty());
            continue;
        }
        for status in [sent.unwrap_err(), upserted.unwrap_err()] {
            let refusal = Refusal::of(&status);
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::InvalidArgument, "BATCH_SIZE_INVALID")
            );
            assert_eq!(refusal.fields, ["requests"]);
            assert!(refusal.words.contains("1 to 500"), "{}", refusal.words);
        }
    }
    assert_eq!(gateway.all().await.len(), 501);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_4_mib_is_read_and_a_larger_one_is_not() {
    let gateway = start().await;
    let sized = |bytes: usize| {
        let mut message = request("large", shipped("1"));
        let reference = |length| NotificationIntent {
            reference: long(length),
            ..shipped("1")
        };
        message.intent = Some(reference(3 * MIB));
        let rest = message.encoded_len() - 3 * MIB;
        message.intent = Some(reference(bytes - rest));
        assert_eq!(message.encoded_len(), bytes);
        message
    };
    let mut service = gateway.client.notifications();
    let read = service.send_notification(sized(4 * MIB)).await.unwrap_err();
    assert_eq!(
        Refusal::of(&read).fields,
        ["intent.reference"],
        "the service has seen it"
    );
    let unread = service
        .send_notification(sized(4 * MIB + 1))
        .await
        .unwrap_err();
    assert_eq!(
        (unread.code(), unread.details().len()),
        (Code::OutOfRange, 0),
        "the transport's own answer"
    );
    try_send(&gateway.client, "next", shipped("1"))
        .await
        .unwrap();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_nested_too_deep_to_decode_are_refused_by_the_transport() {
    let gateway = start().await;
    for levels in [60, 1000] {
        // Nested by hand: a JSON value of this depth could not even be dropped.
        let mut inner = tidings::proto::Value { kind: None };
        for _ in 0..levels {
            let list = prost_types::ListValue {
                values: vec![inner],
            };
            inner = tidings::proto::Value {
                kind: Some(prost_types::value::Kind::ListValue(list)),
            };
        }
        let mut intent = shipped("1");
        intent
            .variables
            .as_mut()
            .unwrap()
            .fields
            .insert("extra".into(), inner);
        let status = try_send(&gateway.client, "deep", intent).await.unwrap_err();
        assert!(
            matches!(status.code(), Code::Internal | Code::InvalidArgument),
            "{status:?}"
        );
        assert!(status.details().is_empty(), "{status:?}");
    }
    try_send(&gateway.client, "deep", shipped("1"))
        .await
        .unwrap();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_takes_what_a_send_takes() {
    let gateway = start().await;
    for (variables_of, says) in [
        (
            sized as fn(usize) -> Value,
            [(131_072, ""), (131_073, "131072")],
        ),
        (nested, [(24, ""), (25, "24 levels")]),
    ]
    .into_iter()
    .flat_map(|(make, sizes)| sizes.map(|(size, says)| (make(size), says)))
    {
        let preview = PreviewTemplateRequest {
            name: "templates/order.shipped".into(),
            variables: variables(&variables_of),
            ..Default::default()
        };
        match gateway.client.templates().preview_template(preview).await {
            Ok(answer) => assert!(says.is_empty() && answer.into_inner().contents.len() == 3),
            Err(status) => {
                let refusal = Refusal::of(&status);
                assert_eq!(
                    (refusal.reason.as_str(), &*refusal.fields[0]),
                    ("VARIABLES_INVALID", "variables")
                );
                assert!(
                    !says.is_empty() && refusal.words.contains(says),
                    "{}",
                    refusal.words
                );
            }
        }
    }
    gateway.stop().await;
}

fn person(change: impl FnOnce(&mut Customer)) -> UpsertCustomerRequest {
    let mut customer = Customer {
        name: "customers/c-1".into(),
        ..Customer::default()
    };
    change(&mut customer);
    UpsertCustomerRequest {
        customer: Some(customer),
        update_mask: None,
    }
}

//! Every limit of the gRPC door: the value that just passes, the one that is just refused, and what the refusal says.

mod support {
    #[expect(dead_code, reason = "each test file uses its part of it")]
    pub(crate) mod calls;
    #[expect(dead_code, reason = "each test file uses its part of it")]
    pub(crate) mod gateway;
}

use serde_json::{Value, json};
use support::calls::{
    NOON, Refusal, ada, at, customer, inline, request, shipped, try_send, variables, wire,
};
use support::gateway::{Embedded, copy, folder};
use tidings::catalog::Source;
use tidings::proto::{
    Attachment, BatchSendNotificationsRequest, BatchUpsertCustomersRequest, Channel, ContactPoint,
    ContactSnapshot, Customer, NotificationIntent, PreviewTemplateRequest, RoutingOverride,
    UpsertCustomerRequest, WireMessage as _, attachment::Source as Bytes,
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

/// One limit: how a value is set, which values pass and which are refused, with the reason, the field and a word of the rule.
struct Limit {
    reason: &'static str,
    field: &'static str,
    says: &'static str,
    set: fn(&mut NotificationIntent, &str),
    passes: Vec<String>,
    refused: Vec<String>,
}

fn limit<const P: usize, const R: usize>(
    (reason, field, says): (&'static str, &'static str, &'static str),
    set: fn(&mut NotificationIntent, &str),
    passes: [&str; P],
    refused: [&str; R],
) -> Limit {
    Limit {
        reason,
        field,
        says,
        set,
        passes: passes.map(str::to_owned).to_vec(),
        refused: refused.map(str::to_owned).to_vec(),
    }
}

fn guest(intent: &mut NotificationIntent, set: impl FnOnce(&mut tidings::proto::InlineRecipient)) {
    let mut recipient = ada();
    set(&mut recipient);
    intent.recipient = inline(recipient);
}

fn word_limits() -> Vec<Limit> {
    const FIELD: &str = "FIELD_INVALID";
    let (k128, k129) = (long(128), long(129));
    let (k256, k257) = (long(256), long(257));
    let control = "a\u{0}b";
    vec![
        limit(
            (FIELD, "intent.customer_id", "128"),
            |i, id| {
                i.recipient = customer(id);
                i.contact = Some(ContactSnapshot {
                    email_address: "ada@example.com".into(),
                    ..Default::default()
                });
            },
            ["c", &k128],
            ["", &k129],
        ),
        limit(
            (FIELD, "intent.customer_id", "control"),
            |i, id| i.recipient = customer(id),
            [],
            ["a\nb", control],
        ),
        limit(
            (FIELD, "intent.customer_id", "guest:"),
            |i, id| i.recipient = customer(id),
            [],
            ["guest:1"],
        ),
        limit(
            (FIELD, "intent.template", "100"),
            |i, key| i.template = key.into(),
            ["a", "a.b_1.c", &long(100)],
            [
                "",
                "A",
                "1a",
                "a..b",
                ".a",
                "a.",
                "a-b",
                "a.1",
                "ä",
                "a\n",
                &long(101),
            ],
        ),
        limit(
            (FIELD, "intent.once_key", "128"),
            |i, key| i.once_key = key.into(),
            [&k128],
            [&k129],
        ),
        limit(
            (FIELD, "intent.once_key", "control"),
            |i, key| i.once_key = key.into(),
            [],
            [control],
        ),
        limit(
            (FIELD, "intent.collapse_key", "128"),
            |i, key| i.collapse_key = key.into(),
            [&k128],
            [&k129],
        ),
        limit(
            (FIELD, "intent.collapse_key", "control"),
            |i, key| i.collapse_key = key.into(),
            [],
            [control],
        ),
        limit(
            (FIELD, "intent.cancellation_key", "128"),
            |i, key| i.cancellation_key = key.into(),
            [&k128],
            [&k129],
        ),
        limit(
            (FIELD, "intent.cancellation_key", "control"),
            |i, key| i.cancellation_key = key.into(),
            [],
            ["\u{7f}"],
        ),
        limit(
            (FIELD, "intent.reference", "256"),
            |i, text| i.reference = text.into(),
            [&k256],
            [&k257],
        ),
        limit(
            (FIELD, "intent.reference", "control"),
            |i, text| i.reference = text.into(),
            [],
            ["\u{85}", "a\tb"],
        ),
        limit(
            (FIELD, "intent.labels", "16"),
            |i, count| {
                i.labels = (0..count.parse().unwrap())
                    .map(|n: u32| (n.to_string(), String::new()))
                    .collect();
            },
            ["16"],
            ["17"],
        ),
        limit(
            (FIELD, "intent.labels", "64"),
            |i, key| i.labels = [(key.into(), "v".into())].into(),
            [&long(64)],
            ["", &long(65)],
        ),
        limit(
            (FIELD, "intent.labels", "256"),
            |i, value| i.labels = [("k".into(), value.into())].into(),
            [&k256],
            [&k257],
        ),
        limit(
            (FIELD, "intent.labels", "control"),
            |i, key| i.labels = [(key.into(), "v".into())].into(),
            [],
            ["a\r"],
        ),
        limit(
            (FIELD, "intent.labels", "control"),
            |i, value| i.labels = [("k".into(), value.into())].into(),
            [],
            [control],
        ),
        limit(
            (FIELD, "intent.contact.given_name", "256"),
            |i, name| {
                i.recipient = customer("c-1");
                i.contact = Some(ContactSnapshot {
                    given_name: name.into(),
                    ..Default::default()
                });
            },
            [&k256],
            [&k257],
        ),
    ]
}

fn person_limits() -> Vec<Limit> {
    let tag = |length: usize| format!("en-x-abcdefgh-abcdefgh-abcdefgh-{}", long(length - 32));
    let mail = |last| format!("{}@{}.{}.{}.com", long(64), long(63), long(63), long(last));
    let zones = [
        "Mars/Phobos",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/Berlin\n",
    ];
    vec![
        limit(
            ("LOCALE_INVALID", "intent.locale", "BCP 47"),
            |i, locale| i.locale = locale.into(),
            ["de-AT", "xx-ZZ", "de-AT-u-hc-h23", &tag(35)],
            [&tag(36), &long(300), "de_AT", "no tag", "de-"],
        ),
        limit(
            ("LOCALE_INVALID", "intent.inline_recipient.locale", "35"),
            |i, locale| guest(i, |guest| guest.locale = locale.into()),
            [&tag(35)],
            [&tag(36)],
        ),
        limit(
            ("FIELD_INVALID", "intent.inline_recipient.time_zone", "IANA"),
            |i, zone| guest(i, |guest| guest.time_zone = zone.into()),
            ["", "Europe/Berlin", "UTC"],
            zones,
        ),
        limit(
            (
                "FIELD_INVALID",
                "intent.inline_recipient.email_address",
                "mail",
            ),
            |i, mail| guest(i, |guest| guest.email_address = mail.into()),
            [&mail(57), "a%b@c.com", "-oQ/tmp@b.com"],
            [
                &mail(58),
                "plain",
                "a@localhost",
                "a@[127.0.0.1]",
                "postmaster@[IPv6:::1]",
                "a@b.internal",
                "\"a b\"@c.com",
                "a@b.com\r\nRCPT TO:<e@x>",
            ],
        ),
        limit(
            (
                "FIELD_INVALID",
                "intent.inline_recipient.phone_number",
                "number",
            ),
            |i, phone| guest(i, |guest| guest.phone_number = phone.into()),
            ["+4915112345678", "+12025550123"],
            [
                "015112345678",
                "004915112345678",
                "+49 151 12345678",
                "+49 (0) 151",
                "+49151abc",
                "+1234567890123456",
                "+499001234567",
                "+999123456789",
            ],
        ),
        limit(
            (
                "FIELD_INVALID",
                "intent.inline_recipient.discord_user_id",
                "snowflake",
            ),
            |i, id| guest(i, |guest| guest.discord_user_id = id.into()),
            ["123456789012345", "18446744073709551615"],
            [
                "12345678901234",
                "18446744073709551616",
                "012345678901234567",
                "ada",
            ],
        ),
        limit(
            ("FIELD_INVALID", "intent.inline_recipient", "at least one"),
            |i, _| guest(i, |guest| guest.email_address.clear()),
            [],
            [""],
        ),
        limit(
            ("FIELD_INVALID", "intent.recipient", "customer_id"),
            |i, _| i.recipient = None,
            [],
            [""],
        ),
        limit(
            ("FIELD_INVALID", "intent.contact.source_version", "negative"),
            |i, version| {
                i.recipient = customer("c-1");
                i.contact = Some(ContactSnapshot {
                    source_version: version.parse().unwrap(),
                    ..Default::default()
                });
            },
            ["0"],
            ["-1"],
        ),
    ]
}

fn time_and_size_limits() -> Vec<Limit> {
    let full = (3 * MIB).to_string();
    let over = (3 * MIB + 1).to_string();
    vec![
        limit(
            ("SEND_TIME_INVALID", "intent.send_time", "5 minutes"),
            |i, time| i.send_time = wire(time),
            ["2026-11-23T10:55:00Z"],
            [
                "2026-11-23T10:54:59.999999999Z",
                "1970-01-01T00:00:00Z",
                "0001-01-01T00:00:00Z",
            ],
        ),
        limit(
            ("SEND_TIME_INVALID", "intent.send_time", "2 years"),
            |i, time| i.send_time = wire(time),
            ["2028-11-23T11:00:00Z"],
            ["2028-11-23T11:00:00.000001Z", "9999-12-30T00:00:00Z"],
        ),
        limit(
            ("SEND_TIME_INVALID", "intent.send_time", "nanos"),
            |i, nanos| {
                let mut time = wire("2026-11-24T11:00:00Z").unwrap();
                time.nanos = nanos.parse().unwrap();
                i.send_time = Some(time);
            },
            ["999999999"],
            ["1000000000", "-1"],
        ),
        limit(
            ("SEND_TIME_INVALID", "intent.expire_time", "after"),
            |i, time| i.expire_time = wire(time),
            ["2026-11-23T11:00:00.000001Z"],
            [NOON, "2026-11-22T11:00:00Z"],
        ),
        limit(
            ("SEND_TIME_INVALID", "intent.expire_time", "send_time"),
            |i, time| {
                i.send_time = wire("2026-11-24T11:00:00Z");
                i.expire_time = wire(time);
            },
            ["2026-11-24T11:00:01Z"],
            ["2026-11-24T11:00:00Z"],
        ),
        limit(
            ("FIELD_INVALID", "intent.routing.fallback_delay", "7 days"),
            |i, seconds| {
                let seconds = seconds.parse().unwrap();
                let fallback_delay = Some(prost_types::Duration { seconds, nanos: 0 });
                i.routing = Some(RoutingOverride {
                    fallback_delay,
                    ..Default::default()
                });
            },
            ["1", "604800"],
            ["0", "604801"],
        ),
        limit(
            ("FIELD_INVALID", "intent.routing.channels[0]", "channel"),
            |i, wire| {
                i.routing = Some(RoutingOverride {
                    channels: vec![wire.parse().unwrap()],
                    ..Default::default()
                });
            },
            ["1"],
            ["0", "9999"],
        ),
        limit(
            ("FIELD_INVALID", "intent.routing.channels[1]", "twice"),
            |i, wire| {
                i.routing = Some(RoutingOverride {
                    channels: vec![1, wire.parse().unwrap()],
                    ..Default::default()
                });
            },
            ["2"],
            ["1"],
        ),
        limit(
            ("FIELD_INVALID", "intent.attachments", "at most 10 "),
            |i, count| {
                i.attachments = vec![invoice(1); count.parse().unwrap()];
            },
            ["10"],
            ["11"],
        ),
        limit(
            ("ATTACHMENT_TOO_LARGE", "intent.attachments", "3145728"),
            |i, size| {
                let size: usize = size.parse().unwrap();
                i.attachments = vec![invoice(MIB), invoice(size - MIB)];
            },
            [&full],
            [&over],
        ),
        limit(
            (
                "FIELD_INVALID",
                "intent.attachments[0].uri",
                "send the content",
            ),
            |i, uri| {
                i.attachments = vec![Attachment {
                    source: Some(Bytes::Uri(uri.into())),
                    ..invoice(0)
                }];
            },
            [],
            ["https://shop.example/i.pdf"],
        ),
        limit(
            ("VARIABLES_INVALID", "intent.variables", "131072"),
            |i, size| {
                i.variables = variables(&sized(size.parse().unwrap()));
            },
            ["131072"],
            ["131073"],
        ),
        limit(
            ("VARIABLES_INVALID", "intent.variables", "24 levels"),
            |i, levels| {
                i.variables = variables(&nested(levels.parse().unwrap()));
            },
            ["24"],
            ["25", "40"],
        ),
    ]
}

fn invoice(size: usize) -> Attachment {
    Attachment {
        filename: "invoice.pdf".into(),
        media_type: "application/pdf".into(),
        source: Some(Bytes::Content(vec![b'x'; size])),
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_of_a_customer_is_just_kept_and_just_broken() {
    type Set = fn(&mut Customer, &str);
    let gateway = start().await;
    let id: Set = |c, id| c.name = format!("customers/{id}");
    let mail: Set = |c, address| add(c, Channel::Email, address);
    let phone: Set = |c, address| add(c, Channel::Sms, address);
    let second: Set = |c, address| {
        add(c, Channel::Email, "ada@example.com");
        add(c, Channel::Email, address);
    };
    let version: Set = |c, version| c.source_version = version.parse().unwrap();
    let (k128, k129, k256, k257) = (long(128), long(129), long(256), long(257));
    let rows: [(&str, &str, Set, &[&str], &[&str]); 10] = [
        (
            "FIELD_INVALID",
            "customer.name",
            id,
            &["c", &k128],
            &["", &k129, "a\n", "guest:1"],
        ),
        (
            "FIELD_INVALID",
            "customer.given_name",
            |c, name| c.given_name = name.into(),
            &[&k256],
            &[&k257, "a\0"],
        ),
        (
            "FIELD_INVALID",
            "customer.family_name",
            |c, name| c.family_name = name.into(),
            &[&k256],
            &[&k257],
        ),
        (
            "LOCALE_INVALID",
            "customer.locale",
            |c, l| c.locale = l.into(),
            &["de-AT-u-hc-h23"],
            &["de_AT", &k129],
        ),
        (
            "FIELD_INVALID",
            "customer.time_zone",
            |c, z| c.time_zone = z.into(),
            &["UTC"],
            &["Mars/Phobos"],
        ),
        (
            "FIELD_INVALID",
            "customer.contact_points[0].address",
            mail,
            &["a@b.com"],
            &["a@localhost", ""],
        ),
        (
            "FIELD_INVALID",
            "customer.contact_points[0].address",
            phone,
            &["+4915112345678"],
            &["0151"],
        ),
        (
            "FIELD_INVALID",
            "customer.contact_points[1].channel",
            second,
            &[],
            &["b@c.com"],
        ),
        (
            "FIELD_INVALID",
            "customer.source_version",
            version,
            &["0"],
            &["-1"],
        ),
        (
            "FIELD_INVALID",
            "customer.contact_points[0].channel",
            |c, n| {
                c.contact_points.push(ContactPoint {
                    channel: n.parse().unwrap(),
                    ..Default::default()
                });
            },
            &[],
            &["0", "9999"],
        ),
    ];
    for (reason, field, set, passes, refused) in rows {
        for value in passes {
            let kept = gateway
                .client
                .customers()
                .upsert_customer(person(|c| set(c, value)))
                .await;
            kept.unwrap_or_else(|status| panic!("{field} = {value}: {status:?}"));
        }
        for value in refused {
            let status = gateway
                .client
                .customers()
                .upsert_customer(person(|c| set(c, value)))
                .await
                .unwrap_err();
            let refusal = Refusal::of(&status);
            assert_eq!(
                (refusal.reason.as_str(), refusal.fields[0].as_str()),
                (reason, field),
                "{value}"
            );
        }
    }
    gateway.stop().await;
}

fn add(customer: &mut Customer, channel: Channel, address: &str) {
    customer.contact_points.push(ContactPoint {
        channel: channel.into(),
        address: address.into(),
        ..ContactPoint::default()
    });
}

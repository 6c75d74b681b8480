//! The limits of an intent as tables.

use tidings::proto::{
    Attachment, ContactSnapshot, InlineRecipient, NotificationIntent, RoutingOverride,
    attachment::Source as Bytes,
};

use crate::calls::{NOON, ada, customer, inline, variables, wire};
use crate::{MIB, long, nested, sized};

/// One limit: how a value is set, which values pass and which are refused, with the reason, the field and a word of the rule.
pub(crate) struct Limit {
    pub(crate) reason: &'static str,
    pub(crate) field: &'static str,
    pub(crate) says: &'static str,
    pub(crate) set: fn(&mut NotificationIntent, &str),
    pub(crate) passes: Vec<String>,
    pub(crate) refused: Vec<String>,
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

fn guest(intent: &mut NotificationIntent, set: impl FnOnce(&mut InlineRecipient)) {
    let mut recipient = ada();
    set(&mut recipient);
    intent.recipient = inline(recipient);
}

pub(crate) fn word_limits() -> Vec<Limit> {
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

pub(crate) fn person_limits() -> Vec<Limit> {
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

pub(crate) fn time_and_size_limits() -> Vec<Limit> {
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

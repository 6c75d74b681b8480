//! Every kind of wrong intent, customer and preferences, with the field and a word of the rule.

use serde_json::json;
use tidings::proto::{
    self, Attachment, CategoryOrder, Consent, ContactPoint, ContactSnapshot, Customer, FieldMask,
    NotificationIntent, Preferences, RoutingOverride, TopicPreference, UpsertCustomerRequest,
};

use crate::shop::{guest, shipped, to_customer};

/// Field, and what its rule has to say.
pub(crate) type Told = (&'static str, &'static str);

pub(crate) fn intents() -> Vec<(Told, NotificationIntent)> {
    let with = |change: &dyn Fn(&mut NotificationIntent)| {
        let mut intent = shipped("4711", guest("ada@example.com"));
        change(&mut intent);
        intent
    };
    let contact = |change: &dyn Fn(&mut ContactSnapshot)| {
        let mut contact = ContactSnapshot::default();
        change(&mut contact);
        with(&|intent| {
            intent.recipient = Some(to_customer("ada"));
            intent.contact = Some(contact.clone());
        })
    };
    let routing = |routing: RoutingOverride| with(&|intent| intent.routing = Some(routing.clone()));
    let variables = |value: serde_json::Value| {
        with(&|intent| intent.variables = Some(proto::structure(value.as_object().unwrap())))
    };
    let attached =
        |attachment: Attachment| with(&|intent| intent.attachments = vec![attachment.clone()]);
    let long = "x".repeat(300);
    let delay = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    vec![
        (
            ("intent.template", "must be a template key such as"),
            with(&|i| i.template = "Order".into()),
        ),
        (
            ("intent.customer_id", "is required: give 1 to 128"),
            with(&|i| i.recipient = Some(to_customer(""))),
        ),
        (
            ("intent.customer_id", "belong to the gateway"),
            with(&|i| i.recipient = Some(to_customer("guest:1"))),
        ),
        (
            ("intent.recipient", "name a customer_id or give"),
            with(&|i| i.recipient = None),
        ),
        (
            ("intent.inline_recipient", "at least one of"),
            with(&|i| i.recipient = shipped("1", guest("")).recipient),
        ),
        (
            ("intent.contact.email_address", "not a mail address"),
            contact(&|c| c.email_address = "ada".into()),
        ),
        (
            ("intent.contact.phone_number", "E.164 form"),
            contact(&|c| c.phone_number = "0151".into()),
        ),
        (
            ("intent.contact.locale", "BCP 47"),
            contact(&|c| c.locale = "de_AT".into()),
        ),
        (
            ("intent.contact.time_zone", "IANA name"),
            contact(&|c| c.time_zone = "Mars".into()),
        ),
        (
            ("intent.contact.given_name", "has 300 characters"),
            contact(&|c| c.given_name = long.clone()),
        ),
        (
            ("intent.contact.source_version", "must not be negative"),
            contact(&|c| c.source_version = -1),
        ),
        (
            ("intent.once_key", "has 300 characters"),
            with(&|i| i.once_key = long.clone()),
        ),
        (
            ("intent.collapse_key", "has 300 characters"),
            with(&|i| i.collapse_key = long.clone()),
        ),
        (
            ("intent.cancellation_key", "U+0009"),
            with(&|i| i.cancellation_key = "a\tb".into()),
        ),
        (
            ("intent.reference", "has 300 characters, at most 256"),
            with(&|i| i.reference = long.clone()),
        ),
        (
            ("intent.labels", "a key is required"),
            with(&|i| i.labels = [(String::new(), String::new())].into()),
        ),
        (
            ("intent.labels", "a value has 300"),
            with(&|i| i.labels = [("k".into(), long.clone())].into()),
        ),
        (
            ("intent.labels", "there are 17 labels, at most 16"),
            with(&|i| i.labels = (0..17).map(|n| (n.to_string(), String::new())).collect()),
        ),
        (
            ("intent.locale", "BCP 47"),
            with(&|i| i.locale = "de_AT".into()),
        ),
        (
            ("intent.event_time", "nanos must lie"),
            with(&|i| {
                i.event_time = Some(proto::WireTime {
                    seconds: 1,
                    nanos: -1,
                });
            }),
        ),
        (
            (
                "intent.routing.fallback_delay",
                "more than zero and at most 7 days",
            ),
            routing(RoutingOverride {
                fallback_delay: delay(604_801),
                ..Default::default()
            }),
        ),
        (
            ("intent.routing.fallback_delay", "must not be negative"),
            routing(RoutingOverride {
                fallback_delay: delay(-1),
                ..Default::default()
            }),
        ),
        (
            ("intent.routing.fallback_delay", "METHOD_FIRST only"),
            routing(RoutingOverride {
                method: 2,
                fallback_delay: delay(1),
                ..Default::default()
            }),
        ),
        (
            (
                "intent.routing.channels[1]",
                "listed twice; name each channel once",
            ),
            routing(RoutingOverride {
                channels: vec![1, 1],
                ..Default::default()
            }),
        ),
        (("intent.variables/order", "required"), variables(json!({}))),
        (
            ("intent.variables/order/number", "40"),
            variables(json!({"order": {"number": long}})),
        ),
        (
            ("intent.variables/order/number", "string"),
            variables(json!({"order": {"number": 4711}})),
        ),
        (
            ("intent.variables/order/nubmer", "Did you mean \"number\"?"),
            variables(json!({"order": {"nubmer": "1", "number": "1"}})),
        ),
        (
            ("intent.attachments[0].filename", "must be a file name"),
            attached(Attachment {
                media_type: "a/b".into(),
                ..file()
            }),
        ),
        (
            ("intent.attachments[0].media_type", "must be a media type"),
            attached(Attachment {
                filename: "a".into(),
                ..file()
            }),
        ),
    ]
}

fn file() -> Attachment {
    Attachment {
        source: Some(proto::attachment::Source::Content(b"x".to_vec())),
        ..Attachment::default()
    }
}

pub(crate) fn customers() -> Vec<(Told, UpsertCustomerRequest)> {
    let with = |change: &dyn Fn(&mut Customer)| {
        let mut customer = Customer {
            name: "customers/ada".into(),
            ..Customer::default()
        };
        change(&mut customer);
        UpsertCustomerRequest {
            customer: Some(customer),
            update_mask: None,
        }
    };
    let points = |points: &[(i32, &str)]| {
        let point = |(channel, address): &(i32, &str)| ContactPoint {
            channel: *channel,
            address: (*address).into(),
            ..ContactPoint::default()
        };
        let points: Vec<ContactPoint> = points.iter().map(point).collect();
        with(&|customer| customer.contact_points = points.clone())
    };
    let masked = UpsertCustomerRequest {
        update_mask: Some(FieldMask {
            paths: vec!["etag".into()],
        }),
        ..with(&|_| {})
    };
    vec![
        (
            ("customer", "say which customer"),
            UpsertCustomerRequest::default(),
        ),
        (("update_mask", "is not one of given_name"), masked),
        (
            ("customer.name", "is named customers/{id}"),
            with(&|c| c.name = "ada".into()),
        ),
        (
            ("customer.name", "1 to 128 characters"),
            with(&|c| c.name = format!("customers/{}", "x".repeat(129))),
        ),
        (
            ("customer.name", "given by the gateway"),
            with(&|c| c.name = "customers/guest:1".into()),
        ),
        (
            ("customer.given_name", "more than 256"),
            with(&|c| c.given_name = "x".repeat(257)),
        ),
        (
            ("customer.family_name", "control character"),
            with(&|c| c.family_name = "a\n".into()),
        ),
        (
            ("customer.locale", "BCP 47"),
            with(&|c| c.locale = "de_AT".into()),
        ),
        (
            ("customer.time_zone", "IANA name"),
            with(&|c| c.time_zone = "Mars".into()),
        ),
        (
            ("customer.source_version", "must not be negative"),
            with(&|c| c.source_version = -1),
        ),
        (
            (
                "customer.contact_points[0].channel",
                "is not set; name CHANNEL_EMAIL",
            ),
            points(&[(0, "a")]),
        ),
        (
            (
                "customer.contact_points[0].channel",
                "9999 is not a channel",
            ),
            points(&[(9999, "a")]),
        ),
        (
            ("customer.contact_points[0].address", "not a mail address"),
            points(&[(1, "ada")]),
        ),
        (
            (
                "customer.contact_points[1].channel",
                "a second address for email",
            ),
            points(&[(1, "a@b.com"), (1, "c@d.com")]),
        ),
        (
            (
                "customer.contact_points",
                "at most one address for each channel",
            ),
            points(&[(1, "a@b.com"); 9]),
        ),
    ]
}

pub(crate) fn preferences() -> Vec<(Told, Preferences)> {
    let with = |change: &dyn Fn(&mut Preferences)| {
        let mut preferences = Preferences {
            customer_id: "ada".into(),
            ..Preferences::default()
        };
        change(&mut preferences);
        preferences
    };
    let topic = |topic: TopicPreference| with(&|p| p.topics = vec![topic.clone()]);
    let consent = |consent: Consent| with(&|p| p.consents = vec![consent.clone()]);
    let known = || Consent {
        category: 4,
        channel: 1,
        ..Consent::default()
    };
    let quiet = |start: &str, end: &str| {
        let hours = proto::QuietHours {
            start: start.into(),
            end: end.into(),
            ..Default::default()
        };
        with(&|p| p.quiet_hours = Some(hours.clone()))
    };
    vec![
        (
            ("preferences.customer_id", "1 to 128"),
            with(&|p| p.customer_id.clear()),
        ),
        (
            ("preferences.channel_order[1]", "listed twice"),
            with(&|p| p.channel_order = vec![1, 1]),
        ),
        (
            ("preferences.topics[0].topic", "topic"),
            topic(TopicPreference {
                topic: "weather".into(),
                ..Default::default()
            }),
        ),
        (
            ("preferences.topics[0].max_per_30_days", "negative"),
            topic(TopicPreference {
                topic: "review_request".into(),
                max_per_30_days: -1,
                ..Default::default()
            }),
        ),
        (
            ("preferences.consents[0].category", "name CATEGORY_CRITICAL"),
            consent(Consent {
                category: 9999,
                ..known()
            }),
        ),
        (
            ("preferences.consents[0].channel", "name CHANNEL_EMAIL"),
            consent(Consent {
                channel: 0,
                ..known()
            }),
        ),
        (
            ("preferences.consents[0].source", "256 characters"),
            consent(Consent {
                source: "x".repeat(257),
                ..known()
            }),
        ),
        (
            ("preferences.consents[0].time", "future"),
            consent(Consent {
                time: Some(proto::WireTime {
                    seconds: 4_102_444_800,
                    nanos: 0,
                }),
                ..known()
            }),
        ),
        (
            (
                "preferences.category_orders[0].category",
                "is not set; name CATEGORY",
            ),
            with(&|p| p.category_orders = vec![CategoryOrder::default()]),
        ),
        (
            (
                "preferences.quiet_hours.start",
                "is not a time of day such as 08:00",
            ),
            quiet("25:00", "08:00"),
        ),
    ]
}

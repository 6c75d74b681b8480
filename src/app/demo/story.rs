//! The story that `demo` plays: one evening of a shop, as the calls that its services would make.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::proto::{
    self, Attachment, Category, Channel, Consent, ContactPoint, Customer, InlineRecipient,
    NotificationIntent, Preferences, TopicPreference, attachment, notification_intent,
};

/// A sample customer and their choices.
pub(super) struct Person {
    pub(super) customer: Customer,
    pub(super) preferences: Preferences,
    /// For the reader of the demo.
    pub(super) about: &'static str,
}

/// One call of a service, with what the reader should expect.
pub(super) struct Call {
    pub(super) request_id: String,
    pub(super) intent: NotificationIntent,
}

fn person(
    id: &str,
    name: (&str, &str),
    place: (&str, &str),
    points: &[(Channel, &str)],
    about: &'static str,
) -> Person {
    let point = |(channel, address): &(Channel, &str)| ContactPoint {
        channel: (*channel).into(),
        address: (*address).to_owned(),
        ..ContactPoint::default()
    };
    let customer = Customer {
        name: format!("customers/{id}"),
        given_name: name.0.into(),
        family_name: name.1.into(),
        locale: place.0.into(),
        time_zone: place.1.into(),
        contact_points: points.iter().map(point).collect(),
        source_version: 1,
        ..Customer::default()
    };
    let preferences = Preferences {
        customer_id: id.into(),
        ..Preferences::default()
    };
    Person {
        customer,
        preferences,
        about,
    }
}

/// The customers of the story. Phone numbers are of ranges kept free for fiction.
pub(super) fn people() -> Vec<Person> {
    let mut ada = person(
        "ada",
        ("Ada", "Lindqvist"),
        ("en", "Europe/Berlin"),
        &[
            (Channel::Email, "ada@shop-customers.example.com"),
            (Channel::Sms, "+4915730012345"),
        ],
        "reads mail, agreed to marketing",
    );
    ada.preferences.consents = vec![Consent {
        category: Category::Marketing.into(),
        channel: Channel::Email.into(),
        granted: true,
        source: "checkout form".into(),
        text_version: "2026-09".into(),
        actor: "customer".into(),
        ..Consent::default()
    }];
    let mut bruno = person(
        "bruno",
        ("Bruno", "Almeida"),
        ("pt-BR", "America/Sao_Paulo"),
        &[
            (Channel::Email, "bruno@shop-customers.example.com"),
            (Channel::Sms, "+5511961234567"),
        ],
        "prefers text messages, in Portuguese",
    );
    bruno.preferences.channel_order = vec![Channel::Sms.into()];
    let mut chen = person(
        "chen",
        ("Chen", "Wei"),
        ("en", "America/New_York"),
        &[
            (Channel::Email, "chen@shop-customers.example.com"),
            (Channel::Chat, "110373943822540800"),
        ],
        "lives on Discord",
    );
    chen.preferences.channel_order = vec![Channel::Chat.into()];
    let mut dora = person(
        "dora",
        ("Dora", "Weiss"),
        ("en", "Europe/Berlin"),
        &[
            (Channel::Email, "dora@shop-customers.example.com"),
            (Channel::Sms, "+4915730067890"),
        ],
        "deliveries by text, the rest by mail, never agreed to marketing",
    );
    dora.preferences.topics = vec![TopicPreference {
        topic: "delivery".into(),
        enabled_channels: vec![Channel::Sms.into(), Channel::Email.into()],
        ..TopicPreference::default()
    }];
    let kaisa = person(
        "kaisa",
        ("Kaisa", "Virtanen"),
        ("en", "Europe/Helsinki"),
        &[(Channel::Email, "kaisa@shop-customers.example.com")],
        "an hour ahead: it is quiet time there",
    );
    let elif = person(
        "elif",
        ("Elif", "Kaya"),
        ("en", "Europe/Berlin"),
        &[(Channel::Email, "elif@shop-customers.example.com")],
        "got her parcel three days ago",
    );
    vec![ada, bruno, chen, dora, elif, kaisa]
}

fn call(
    title: &'static str,
    request_id: &str,
    customer: &str,
    template: &str,
    variables: &Value,
) -> Call {
    let intent = NotificationIntent {
        recipient: Some(notification_intent::Recipient::CustomerId(customer.into())),
        template: template.into(),
        variables: variables.as_object().map(proto::structure),
        labels: BTreeMap::from([("demo".to_owned(), title.to_owned())]),
        ..NotificationIntent::default()
    };
    Call {
        request_id: request_id.into(),
        intent,
    }
}

fn confirmation(number: &str, placed_at: &str, currency: &str) -> Value {
    json!({
        "order": {
            "number": number, "placed_at": placed_at, "total": "164.80", "currency": currency,
            "url": format!("https://shop.example/orders/{number}"), "estimated_delivery": "2026-11-26",
            "lines": [
                {"name": "Wool blanket, slate", "quantity": 1, "price": "89.00"},
                {"name": "Enamel mug, forest", "quantity": 4, "price": "71.90"},
            ],
            "shipping": "3.90"
        },
        "shipping_address": {"name": "Ada Lindqvist", "street": "Torstrasse 1", "city": "10119 Berlin", "country": "Germany"},
        "invoice_attached": true
    })
}

fn delayed(number: &str, estimate: &str) -> Value {
    json!({"order": {"number": number}, "delivery": {"estimated_delivery": estimate, "previous_estimate": "2026-11-24"}})
}

/// What happens before the evening is over: two scenes, the second when the first has been sent. Times are those of the demo's
/// clock.
pub(super) fn scenes() -> [Vec<Call>; 2] {
    [orders(), afterwards()]
}

fn orders() -> Vec<Call> {
    let mut with_invoice = call(
        "Ada has ordered; the invoice goes along",
        "order-4711-confirmation",
        "ada",
        "order.confirmation",
        &confirmation("4711", "2026-11-23T20:28:00+01:00", "EUR"),
    );
    with_invoice.intent.reference = "orders/4711".into();
    with_invoice.intent.once_key = "order.confirmation:4711".into();
    with_invoice.intent.attachments = vec![Attachment {
        filename: "invoice-4711.pdf".into(),
        media_type: "application/pdf".into(),
        source: Some(attachment::Source::Content(super::invoice::pdf(
            "4711",
            "164.80 EUR",
        ))),
    }];

    let shipped = json!({
        "order": {"number": "4702", "url": "https://shop.example/orders/4702"},
        "shipment": {"carrier": "DHL", "tracking_number": "00340434161094", "tracking_url": "https://shop.example/t/4702"}
    });
    let mut bruno = confirmation("4712", "2026-11-23T16:29:00-03:00", "BRL");
    if let Some(fields) = bruno.as_object_mut() {
        fields.remove("shipping_address");
        fields.remove("invoice_attached");
    }
    let mut guest = call(
        "A guest's parcel is on its way",
        "order-4703-shipped",
        "",
        "order.shipped",
        &json!({
            "order": {"number": "4703", "url": "https://shop.example/orders/4703"},
            "shipment": {
                "carrier": "DHL", "tracking_number": "00340434161117", "estimated_delivery": "2026-11-25",
                "tracking_url": "https://shop.example/t/4703"
            }
        }),
    );
    guest.intent.recipient = Some(notification_intent::Recipient::InlineRecipient(
        InlineRecipient {
            email_address: "guest@shop-customers.example.com".into(),
            locale: "en".into(),
            ..InlineRecipient::default()
        },
    ));
    vec![
        with_invoice,
        call(
            "Bruno has ordered",
            "order-4712-confirmation",
            "bruno",
            "order.confirmation",
            &bruno,
        ),
        call(
            "Chen's parcel is on its way",
            "order-4702-shipped",
            "chen",
            "order.shipped",
            &shipped,
        ),
        guest,
        delay(
            "Chen's parcel is late",
            "order-4702-delayed-2",
            "2026-11-27",
            "2026-11-23T19:20:00Z",
        ),
        call(
            "Dora's parcel has arrived",
            "order-4650-delivered",
            "dora",
            "delivery.delivered",
            &json!({"order": {"number": "4650"}, "delivery": {"delivered_at": "2026-11-23T20:25:00+01:00", "location": "at the door"}}),
        ),
    ]
}

fn delay(title: &'static str, request_id: &str, estimate: &str, event_time: &str) -> Call {
    let mut call = call(
        title,
        request_id,
        "chen",
        "delivery.delayed",
        &delayed("4702", estimate),
    );
    call.intent.collapse_key = "delivery:4702".into();
    call.intent.event_time = event_time.parse().ok().map(proto::wire_time);
    call
}

fn afterwards() -> Vec<Call> {
    let check = json!({
        "order": {"number": "4599"},
        "happy_url": "https://shop.example/s/4599/happy", "unhappy_url": "https://shop.example/s/4599/help"
    });
    let review = |id: &str, name: &str| json!({"product": {"id": id, "name": name}, "review_url": format!("https://shop.example/review/{id}")});
    let greeting = json!({
        "voucher": {"code": "HB-2026", "percent": 15, "valid_until": "2026-12-23"}, "shop_url": "https://shop.example/"
    });
    let mut twice = call(
        "the same confirmation with a new request id",
        "order-4711-confirmation-again",
        "ada",
        "order.confirmation",
        &confirmation("4711", "2026-11-23T20:28:00+01:00", "EUR"),
    );
    twice.intent.once_key = "order.confirmation:4711".into();
    let mut tomorrow = call(
        "a notice for tomorrow is called off",
        "order-4720-reminder",
        "dora",
        "order.shipped",
        &json!({"order": {"number": "4720"}}),
    );
    tomorrow.intent.send_time = "2026-11-24T09:00:00Z".parse().ok().map(proto::wire_time);
    tomorrow.intent.cancellation_key = "orders/4720".into();
    vec![
        delay(
            "an older estimate comes late",
            "order-4702-delayed-1",
            "2026-11-25",
            "2026-11-23T18:00:00Z",
        ),
        call(
            "Elif is asked whether all is well",
            "order-4599-check",
            "elif",
            "satisfaction.check",
            &check,
        ),
        call(
            "a review request for Chen, told twice today",
            "review-chen-tent",
            "chen",
            "review.request",
            &review("tent-2", "Two-person tent"),
        ),
        call(
            "a review request for Kaisa, in her quiet time",
            "review-kaisa-stove",
            "kaisa",
            "review.request",
            &review("stove-1", "Camping stove"),
        ),
        call(
            "a birthday greeting for Dora",
            "birthday-dora-2026",
            "dora",
            "birthday.greeting",
            &greeting,
        ),
        twice,
        tomorrow,
    ]
}

/// The key that the story calls off when the order is cancelled.
pub(super) const CANCELLED: &str = "orders/4720";

/// The notice that follows the cancellation.
pub(super) fn cancelled() -> Call {
    let variables = json!({
        "order": {"number": "4720", "total": "39.00", "currency": "EUR"}, "reason": "customer_request",
        "refund": {"amount": "39.00", "currency": "EUR", "days": 3}
    });
    call(
        "Dora's order is cancelled",
        "order-4720-cancelled",
        "dora",
        "order.cancelled",
        &variables,
    )
}

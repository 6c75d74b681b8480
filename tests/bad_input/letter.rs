//! An order confirmation with a string that tries to break out in every field.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidings::client::Client;
use tidings::proto::{
    Attachment, Channel, ContactPoint, Customer, NotificationIntent, UpsertCustomerRequest,
    attachment,
};
use tonic::Status;

use crate::hostile::Hostile;
use crate::intents::violations;
use crate::shop::{intent, to_customer, try_send};

const LINES: usize = 30;
pub(crate) const ATTACHMENTS: usize = 2;
/// Types that would be a part of the mail's own structure, or of a reader's program.
const TYPES: [&str; 6] = [
    "multipart/mixed",
    "message/rfc822",
    "message/delivery-status",
    "text/html",
    "Multipart/Alternative",
    "x!#$/&-^_.+",
];

/// A field: its string, and what takes its place once it has been refused.
pub(crate) struct Field {
    text: String,
    calm: &'static str,
}

/// The fields of one mail by the paths that a refusal names. `intent.labels` has two strings: key and value.
pub(crate) struct Letter {
    pub(crate) number: usize,
    pub(crate) fields: BTreeMap<String, Field>,
}

impl Letter {
    pub(crate) fn write(number: usize, hostile: &mut Hostile) -> Self {
        let mut fields = BTreeMap::new();
        let mut field = |path: String, max: usize, calm: &'static str| {
            let text = hostile.within(max);
            fields.insert(path, Field { text, calm });
        };
        field("customer.name".into(), 100, "c");
        field("customer.given_name".into(), 256, "");
        field("customer.family_name".into(), 256, "");
        field("customer.contact_points[0].address".into(), 60, "ada");
        for path in [
            "request_id",
            "intent.once_key",
            "intent.collapse_key",
            "intent.cancellation_key",
        ] {
            field(path.into(), 100, "k");
        }
        field("intent.reference".into(), 256, "");
        field("intent.labels".into(), 64, "k");
        field("intent.labels value".into(), 256, "");
        field("intent.variables/order/number".into(), 40, "4711");
        field("intent.variables/order/url".into(), 1_000, "4711");
        for (name, max) in [
            ("name", 120),
            ("street", 200),
            ("city", 120),
            ("country", 80),
        ] {
            field(
                format!("intent.variables/shipping_address/{name}"),
                max,
                "x",
            );
        }
        for line in 0..LINES {
            field(
                format!("intent.variables/order/lines/{line}/name"),
                200,
                "Tent",
            );
            field(format!("intent.variables/order/lines/{line}/sku"), 80, "T1");
        }
        for at in 0..ATTACHMENTS {
            field(
                format!("intent.attachments[{at}].filename"),
                200,
                "invoice.pdf",
            );
            field(
                format!("intent.attachments[{at}].media_type"),
                100,
                "application/pdf",
            );
        }
        // Most strings are neither a mailbox nor a type; some have to be, or these two would prove nothing.
        if let Some(mailbox) = fields.get_mut("customer.contact_points[0].address")
            && hostile.below(2) == 0
        {
            mailbox.text = hostile.within(200);
            mailbox
                .text
                .retain(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_{|}~".contains(c));
            mailbox.text = mailbox.text.chars().take(30).collect();
        }
        for at in 0..ATTACHMENTS {
            let kind = fields.get_mut(&format!("intent.attachments[{at}].media_type"));
            if let Some(kind) = kind.filter(|_| hostile.below(2) == 0) {
                kind.text = TYPES[hostile.below(TYPES.len())].into();
            }
        }
        Self { number, fields }
    }

    fn text(&self, path: &str) -> &str {
        &self.fields[path].text
    }

    /// What only this mail has: two equal strings must not fold two mails into one.
    fn own(&self, path: &str) -> String {
        format!("{}-{}", self.text(path), self.number)
    }

    pub(crate) fn address(&self) -> String {
        format!(
            "{}@m{}.example.com",
            self.text("customer.contact_points[0].address"),
            self.number
        )
    }

    fn customer(&self) -> UpsertCustomerRequest {
        let point = ContactPoint {
            channel: Channel::Email.into(),
            address: self.address(),
            ..ContactPoint::default()
        };
        let customer = Customer {
            name: format!("customers/{}", self.own("customer.name")),
            given_name: self.text("customer.given_name").into(),
            family_name: self.text("customer.family_name").into(),
            contact_points: vec![point],
            ..Customer::default()
        };
        UpsertCustomerRequest {
            customer: Some(customer),
            update_mask: None,
        }
    }

    fn intent(&self) -> NotificationIntent {
        let variable = |path: &str| self.text(&format!("intent.variables/{path}")).to_owned();
        let lines: Vec<Value> = (0..LINES)
            .map(|line| {
                let (name, sku) = (
                    variable(&format!("order/lines/{line}/name")),
                    variable(&format!("order/lines/{line}/sku")),
                );
                json!({"name": name, "sku": sku, "quantity": 1, "price": "1.00"})
            })
            .collect();
        let variables = json!({
            "order": {
                "number": variable("order/number"), "placed_at": "2026-11-22T18:42:10+01:00",
                "total": "134.70", "currency": "EUR", "lines": lines,
                "url": format!("https://shop.example/{}", variable("order/url")),
            },
            "shipping_address": {
                "name": variable("shipping_address/name"), "street": variable("shipping_address/street"),
                "city": variable("shipping_address/city"), "country": variable("shipping_address/country"),
            },
        });
        let mut intent = intent(
            "order.confirmation",
            to_customer(&self.own("customer.name")),
            &variables,
        );
        intent.once_key = self.own("intent.once_key");
        intent.collapse_key = self.own("intent.collapse_key");
        intent.cancellation_key = self.own("intent.cancellation_key");
        intent.reference = self.text("intent.reference").into();
        intent.labels = [(
            self.text("intent.labels").into(),
            self.text("intent.labels value").into(),
        )]
        .into();
        intent.attachments = (0..ATTACHMENTS)
            .map(|at| Attachment {
                filename: self
                    .text(&format!("intent.attachments[{at}].filename"))
                    .into(),
                media_type: self
                    .text(&format!("intent.attachments[{at}].media_type"))
                    .into(),
                source: Some(attachment::Source::Content(b"\r\n.\r\n%PDF-1.7".to_vec())),
            })
            .collect();
        intent
    }

    /// Takes out what was refused.
    fn calm(&mut self, status: &Status, refused: &mut BTreeMap<String, usize>) {
        for (path, _) in violations(status) {
            let mut paths = vec![path.clone()];
            if path == "intent.labels" {
                paths.push("intent.labels value".into());
            }
            for path in paths {
                let field = self.fields.get_mut(&path);
                let field = field.unwrap_or_else(|| panic!("{path} was not given: {status:?}"));
                if field.text != field.calm {
                    field.text = field.calm.into();
                    let kind: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
                    *refused.entry(kind).or_default() += 1;
                }
            }
        }
    }

    /// Sends it, calmer each time it is refused; answers with the notification's name.
    pub(crate) async fn send(&mut self, client: &Client) -> (String, BTreeMap<String, usize>) {
        let mut refused = BTreeMap::new();
        for _ in 0..=self.fields.len() {
            match client.customers().upsert_customer(self.customer()).await {
                Ok(_) => break,
                Err(status) => self.calm(&status, &mut refused),
            }
        }
        for _ in 0..=self.fields.len() {
            match try_send(client, &self.own("request_id"), self.intent()).await {
                Ok(notification) => return (notification.name, refused),
                Err(status) => self.calm(&status, &mut refused),
            }
        }
        panic!("refused without an end");
    }
}

//! What the services promise beside sending: customers, templates, streams, explanations, health and reflection, each
//! through the door of a whole gateway.

#[path = "support/calls.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod calls;
#[path = "service/customers.rs"]
mod customers;
#[path = "service/explain.rs"]
mod explain;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "service/routing.rs"]
mod routing;
#[path = "service/standard.rs"]
mod standard;
#[path = "service/streams.rs"]
mod streams;
#[path = "service/templates.rs"]
mod templates;
#[path = "service/variants.rs"]
mod variants;

use crate::calls::{NOON, at};
use crate::gateway::Embedded;
use tidings::proto::{Channel, ContactPoint, Customer, FieldMask, UpsertCustomerRequest};

async fn at_noon() -> Embedded {
    Embedded::start_at(at(NOON), None).await
}

/// `customers/c-1` in Berlin, by mail and phone.
fn ada() -> Customer {
    Customer {
        name: "customers/c-1".into(),
        given_name: "Ada".into(),
        time_zone: "Europe/Berlin".into(),
        contact_points: vec![
            point(Channel::Email, "ada@example.com"),
            point(Channel::Sms, "+4915112345678"),
        ],
        ..Customer::default()
    }
}

fn point(channel: Channel, address: &str) -> ContactPoint {
    ContactPoint {
        channel: channel.into(),
        address: address.into(),
        ..ContactPoint::default()
    }
}

/// The paths of a mask; none of them: no mask.
fn mask(paths: &[&str]) -> Option<FieldMask> {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    Some(FieldMask { paths })
}

async fn upsert(gateway: &Embedded, customer: Customer, paths: &[&str]) -> Customer {
    let request = UpsertCustomerRequest {
        customer: Some(customer),
        update_mask: mask(paths),
    };
    let answer = gateway.client.customers().upsert_customer(request).await;
    answer.unwrap().into_inner().customer.unwrap()
}

//! The limits of a customer.

use tidings::proto::{Channel, ContactPoint, Customer};

use crate::calls::Refusal;
use crate::{long, person, start};

type Set = fn(&mut Customer, &str);
/// Reason, field, how a value is set, which pass, which are refused.
type Row<'a> = (&'a str, &'a str, Set, &'a [&'a str], &'a [&'a str]);

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_of_a_customer_is_just_kept_and_just_broken() {
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
    let rows: [Row<'_>; 10] = [
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

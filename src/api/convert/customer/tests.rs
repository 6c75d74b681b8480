//! What a service may tell of a customer, and what it changes.

use super::*;

fn wire(version: i64) -> proto::Customer {
    proto::Customer {
        name: "customers/c-42".into(),
        given_name: "Ada".into(),
        family_name: "L".into(),
        locale: "de-at".into(),
        time_zone: "Europe/Vienna".into(),
        contact_points: vec![
            proto::ContactPoint {
                channel: proto::Channel::Email.into(),
                address: "ada@example.com".into(),
                verify_time: Some(prost_types::Timestamp {
                    seconds: 100,
                    nanos: 0,
                }),
                suppression_reason: String::new(),
            },
            proto::ContactPoint {
                channel: proto::Channel::Sms.into(),
                address: "+4915112345678".into(),
                ..Default::default()
            },
        ],
        source_version: version,
        ..Default::default()
    }
}

fn change(customer: proto::Customer, paths: &[&str]) -> Result<ProfileChange, Rejection> {
    profile_change(proto::UpsertCustomerRequest {
        customer: Some(customer),
        update_mask: Some(proto::FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }),
    })
}

fn stored(version: i64) -> Customer {
    change(wire(version), &[])
        .unwrap()
        .apply(None, Timestamp::UNIX_EPOCH)
        .unwrap()
}

#[test]
fn a_customer_goes_over_the_wire_and_back() {
    let customer = stored(3);
    assert_eq!(customer.profile.locale, "de-AT", "canonical");
    let shown = wire_customer(&customer);
    assert_eq!(shown.name, "customers/c-42");
    assert_eq!(shown.etag, "r0");
    let again = change(shown, &[])
        .unwrap()
        .apply(Some(&customer), Timestamp::MAX)
        .unwrap();
    assert_eq!(again, customer);
}

#[test]
fn an_older_source_version_changes_nothing() {
    let customer = stored(3);
    let renamed = |version| proto::Customer {
        given_name: "Grace".into(),
        ..wire(version)
    };
    let apply = |version| {
        change(renamed(version), &[])
            .unwrap()
            .apply(Some(&customer), Timestamp::MAX)
            .unwrap()
    };
    assert_eq!(apply(2), customer);
    assert_eq!(apply(3).profile.given_name.reveal(), "Grace");
    assert_eq!(apply(4).profile.source_version, 4);
    // Without a version nothing is claimed about age, and the stored one stays.
    assert_eq!(apply(0).profile.given_name.reveal(), "Grace");
    assert_eq!(apply(0).profile.source_version, 3);
}

#[test]
fn a_mask_clears_what_it_names_and_leaves_the_rest() {
    let customer = stored(1);
    let empty = proto::Customer {
        name: "customers/c-42".into(),
        ..Default::default()
    };
    let apply = |paths| {
        change(empty.clone(), paths)
            .unwrap()
            .apply(Some(&customer), Timestamp::MAX)
            .unwrap()
            .profile
    };
    assert_eq!(apply(&[]), customer.profile, "nothing set, nothing changed");
    let cleared = apply(&["given_name", "contact_points"]);
    assert!(cleared.given_name.is_empty() && cleared.contact_points.is_empty());
    assert_eq!(cleared.locale, "de-AT");
    assert!(change(empty.clone(), &["shoe_size"]).is_err());
}

#[test]
fn proof_of_an_address_is_not_lost_by_repeating_it() {
    let customer = stored(1);
    let mut repeated = wire(2);
    repeated.contact_points[0].verify_time = None;
    let kept = change(repeated.clone(), &[])
        .unwrap()
        .apply(Some(&customer), Timestamp::MAX)
        .unwrap();
    assert!(kept.profile.contact_points[0].verify_time.is_some());

    repeated.contact_points[0].address = "grace@example.com".into();
    let moved = change(repeated, &[])
        .unwrap()
        .apply(Some(&customer), Timestamp::MAX)
        .unwrap();
    assert_eq!(moved.profile.contact_points[0].verify_time, None);
}

#[test]
fn a_stale_etag_is_refused() {
    let customer = stored(1);
    let with = |etag: &str| {
        let wire = proto::Customer {
            etag: etag.into(),
            ..wire(2)
        };
        change(wire, &[]).unwrap()
    };
    assert!(with("r0").apply(Some(&customer), Timestamp::MAX).is_ok());
    for (etag, current) in [
        ("r1", Some(&customer)),
        ("r0", None),
        ("x", Some(&customer)),
    ] {
        let rejection = with(etag).apply(current, Timestamp::MAX).unwrap_err();
        assert_eq!(rejection.reason, RejectionReason::EtagMismatch, "{etag}");
    }
}

#[test]
fn every_field_that_breaks_its_rule_is_named() {
    type Spoil = fn(&mut proto::Customer);
    let cases: [(&str, Spoil); 16] = [
        ("customer.name", |c| c.name.clear()),
        ("customer.name", |c| c.name = "customers/".into()),
        ("customer.name", |c| c.name = "people/c-42".into()),
        ("customer.name", |c| c.name = "customers/a\0".into()),
        ("customer.name", |c| {
            c.name = format!("customers/{}", "x".repeat(129));
        }),
        ("customer.name", |c| c.name = "customers/guest:1".into()),
        ("customer.given_name", |c| {
            c.given_name = "Ada\r\nBcc: x".into();
        }),
        ("customer.family_name", |c| c.family_name = "x".repeat(257)),
        ("customer.locale", |c| c.locale = "x".repeat(300)),
        ("customer.locale", |c| c.locale = "not a locale".into()),
        ("customer.time_zone", |c| c.time_zone = "Mars/Phobos".into()),
        ("customer.time_zone", |c| {
            c.time_zone = "../../etc/passwd".into();
        }),
        ("customer.contact_points[0].channel", |c| {
            c.contact_points[0].channel = 9999;
        }),
        ("customer.contact_points[1].channel", |c| {
            c.contact_points[1].channel = 1;
        }),
        ("customer.contact_points[0].address", |c| {
            c.contact_points[0].address = "a@b.com\r\nRCPT TO:<e@x>".into();
        }),
        ("customer.source_version", |c| c.source_version = -1),
    ];
    for (field, spoil) in cases {
        let mut customer = wire(1);
        spoil(&mut customer);
        let rejection = change(customer, &[]).unwrap_err();
        assert_eq!(rejection.violations[0].field, field);
        assert_eq!(
            rejection.reason == RejectionReason::LocaleInvalid,
            field == "customer.locale"
        );
    }
    assert!(profile_change(proto::UpsertCustomerRequest::default()).is_err());
}

#[test]
fn a_well_formed_unknown_locale_is_taken() {
    assert_eq!(locale("xx-YY").as_deref(), Ok("xx-YY"));
    assert_eq!(locale("").as_deref(), Ok(""));
    assert_eq!(time_zone("").as_deref(), Ok(""));
    assert_eq!(time_zone("europe/berlin").as_deref(), Ok("Europe/Berlin"));
}

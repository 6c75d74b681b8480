//! What a customer may choose, and what a change of it leaves alone.

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn wire() -> proto::Preferences {
    proto::Preferences {
        customer_id: "c-42".into(),
        channel_order: vec![3, 1],
        topics: vec![proto::TopicPreference {
            topic: "newsletter".into(),
            enabled_channels: vec![1],
            opted_out: false,
            max_per_30_days: 4,
        }],
        consents: vec![proto::Consent {
            category: proto::Category::Marketing.into(),
            channel: proto::Channel::Email.into(),
            granted: true,
            time: Some(proto::wire_time(now())),
            source: "form:1".into(),
            text_version: "v3".into(),
            actor: "shop".into(),
        }],
        quiet_hours: Some(proto::QuietHours {
            start: "22:00".into(),
            end: "07:30".into(),
            time_zone: "Europe/Berlin".into(),
        }),
        pause_until_time: Some(proto::wire_time(now())),
        etag: String::new(),
        pause_all: true,
        category_orders: vec![proto::CategoryOrder {
            category: proto::Category::Relationship.into(),
            channels: vec![2],
        }],
    }
}

fn change(wire: proto::Preferences, paths: &[&str]) -> Result<PreferencesChange, Rejection> {
    let request = proto::UpdatePreferencesRequest {
        preferences: Some(wire),
        update_mask: Some(proto::FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }),
    };
    preferences_change(request, now(), &|topic| topic == "newsletter")
}

fn customer() -> Customer {
    Customer::unknown(CustomerId::new("c-42"), now())
}

fn stored() -> Customer {
    change(wire(), &[])
        .unwrap()
        .apply(Some(&customer()))
        .unwrap()
}

#[test]
fn choices_go_over_the_wire_and_back() {
    let shown = wire_preferences(&stored());
    assert_eq!(
        shown,
        proto::Preferences {
            etag: "r0".into(),
            ..wire()
        }
    );
    let again = change(shown, &[]).unwrap().apply(Some(&stored())).unwrap();
    assert_eq!(
        again,
        stored(),
        "repeating a consent does not record it twice"
    );
}

#[test]
fn a_mask_clears_what_it_names_and_no_mask_clears_nothing() {
    let empty = || proto::Preferences {
        customer_id: "c-42".into(),
        ..Default::default()
    };
    let untouched = change(empty(), &[])
        .unwrap()
        .apply(Some(&stored()))
        .unwrap();
    assert_eq!(untouched, stored());
    let cleared = change(empty(), &["*"])
        .unwrap()
        .apply(Some(&stored()))
        .unwrap();
    let consents = stored().preferences.consents;
    assert_eq!(
        cleared.preferences,
        Preferences {
            consents,
            ..Preferences::default()
        },
        "consents are a record and stay"
    );
    assert!(change(empty(), &["etag"]).is_err());
}

#[test]
fn an_objection_is_appended_and_counts() {
    let mut objection = wire();
    objection.consents[0].granted = false;
    objection.consents[0].time = None;
    let customer = change(objection, &["consents"])
        .unwrap()
        .apply(Some(&stored()))
        .unwrap();
    let preferences = customer.preferences;
    assert_eq!(preferences.consents.len(), 2);
    let latest = preferences.consent(
        crate::domain::channel::Category::Marketing,
        crate::domain::channel::Channel::Email,
    );
    assert!(!latest.unwrap().granted);
}

#[test]
fn unknown_customers_and_stale_etags_are_refused() {
    let refused = |etag: &str, current: Option<&Customer>| {
        let wire = proto::Preferences {
            etag: etag.into(),
            ..wire()
        };
        change(wire, &[])
            .unwrap()
            .apply(current)
            .unwrap_err()
            .reason
    };
    assert_eq!(refused("", None), RejectionReason::CustomerNotFound);
    assert_eq!(
        refused("r7", Some(&stored())),
        RejectionReason::EtagMismatch
    );
}

#[test]
fn every_field_that_breaks_its_rule_is_named() {
    type Spoil = fn(&mut proto::Preferences);
    let cases: [(&str, Spoil); 16] = [
        ("preferences.customer_id", |p| p.customer_id.clear()),
        ("preferences.channel_order[1]", |p| {
            p.channel_order = vec![1, 1];
        }),
        ("preferences.topics[0].topic", |p| {
            p.topics[0].topic = "gossip".into();
        }),
        ("preferences.topics[1].topic", |p| {
            p.topics.push(p.topics[0].clone());
        }),
        ("preferences.topics[0].max_per_30_days", |p| {
            p.topics[0].max_per_30_days = -1;
        }),
        ("preferences.topics[0].enabled_channels[0]", |p| {
            p.topics[0].enabled_channels = vec![9];
        }),
        ("preferences.consents[0].category", |p| {
            p.consents[0].category = 0;
        }),
        ("preferences.consents[0].channel", |p| {
            p.consents[0].channel = 77;
        }),
        ("preferences.consents[0].source", |p| {
            p.consents[0].source = "a\0".into();
        }),
        ("preferences.consents[0].time", |p| {
            p.consents[0].time = Some(prost_types::Timestamp {
                seconds: 1_900_000_000,
                nanos: 0,
            });
        }),
        ("preferences.quiet_hours.start", |p| {
            p.quiet_hours.as_mut().unwrap().start = "25:00".into();
        }),
        ("preferences.quiet_hours.end", |p| {
            p.quiet_hours.as_mut().unwrap().end = "8 o'clock".into();
        }),
        ("preferences.quiet_hours", |p| {
            let hours = p.quiet_hours.as_mut().unwrap();
            hours.end.clone_from(&hours.start);
        }),
        ("preferences.quiet_hours.time_zone", |p| {
            p.quiet_hours.as_mut().unwrap().time_zone = "Mars/Phobos".into();
        }),
        ("preferences.pause_until_time", |p| {
            p.pause_until_time.as_mut().unwrap().nanos = -1;
        }),
        ("preferences.category_orders[0].category", |p| {
            p.category_orders[0].category = 0;
        }),
    ];
    for (field, spoil) in cases {
        let mut preferences = wire();
        spoil(&mut preferences);
        let rejection = change(preferences, &[]).unwrap_err();
        assert_eq!(rejection.violations[0].field, field);
    }
}

#[test]
fn the_record_of_consents_has_an_end() {
    let mut many = wire();
    many.consents = vec![many.consents[0].clone(); MAX_NEW_CONSENTS + 1];
    assert!(change(many, &[]).is_err());

    let mut full = stored();
    let consent = full.preferences.consents[0].clone();
    full.preferences.consents = vec![consent; MAX_CONSENTS];
    let mut another = wire();
    another.consents[0].granted = false;
    assert!(change(another, &[]).unwrap().apply(Some(&full)).is_err());
}

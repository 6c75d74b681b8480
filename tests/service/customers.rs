//! `CustomerService`: what services tell of a customer, what the customer chose, and forgetting all of it.

use tidings::proto::{
    BatchUpsertCustomersRequest, Category, CategoryOrder, Channel, Consent, Customer,
    DeleteCustomerRequest, GetCustomerRequest, GetPreferencesRequest, ListNotificationsRequest,
    NotificationIntent, Preferences, QuietHours, TopicPreference, UpdatePreferencesRequest,
    UpsertCustomerRequest, notification::State,
};
use tonic::{Code, Status};

use crate::calls::{Refusal, customer, get, review, send, shipped, wire};
use crate::gateway::Embedded;
use crate::{ada, at_noon, mask, upsert};

async fn find(gateway: &Embedded) -> Result<Customer, Status> {
    let request = GetCustomerRequest {
        name: "customers/c-1".into(),
    };
    let answer = gateway.client.customers().get_customer(request).await?;
    Ok(answer.into_inner().customer.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_changes_what_its_mask_names_or_what_is_set() {
    let gateway = at_noon().await;
    let first = upsert(&gateway, ada(), &[]).await;
    assert_eq!(first, find(&gateway).await.unwrap());
    assert_eq!(
        (first.contact_points.len(), first.given_name.as_str()),
        (2, "Ada")
    );
    let named = |given_name: &str| Customer {
        name: "customers/c-1".into(),
        given_name: given_name.into(),
        ..Customer::default()
    };
    let set = upsert(&gateway, named("Bea"), &[]).await;
    assert_eq!(
        (set.given_name.as_str(), set.contact_points.len()),
        ("Bea", 2),
        "what is not set stays"
    );
    let cleared = upsert(&gateway, named("Cleo"), &["time_zone"]).await;
    assert_eq!(
        (cleared.given_name.as_str(), cleared.time_zone.as_str()),
        ("Bea", ""),
        "only what is named"
    );
    let all = upsert(&gateway, named("Cleo"), &["*"]).await;
    assert_eq!(
        (all.given_name.as_str(), all.contact_points.len()),
        ("Cleo", 0)
    );
    let wrong = UpsertCustomerRequest {
        customer: Some(ada()),
        update_mask: mask(&["update_time"]),
    };
    let refused = gateway
        .client
        .customers()
        .upsert_customer(wrong)
        .await
        .unwrap_err();
    assert_eq!(Refusal::of(&refused).fields, ["update_mask"]);
    assert_eq!(find(&gateway).await.unwrap(), all);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_source_version_changes_nothing_and_is_no_error() {
    let gateway = at_noon().await;
    let version = |source_version, given_name: &str| Customer {
        source_version,
        given_name: given_name.into(),
        ..ada()
    };
    let newer = upsert(&gateway, version(5, "Ada"), &[]).await;
    assert_eq!(
        upsert(&gateway, version(4, "Old"), &[]).await,
        newer,
        "the answer is what is stored"
    );
    assert_eq!(find(&gateway).await.unwrap(), newer);
    assert_eq!(
        upsert(&gateway, version(5, "Same"), &[]).await.given_name,
        "Same"
    );
    assert_eq!(
        upsert(&gateway, version(6, "New"), &[]).await.given_name,
        "New"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_customer_of_a_batch_is_stored_or_refused_for_itself() {
    let gateway = at_noon().await;
    let item = |name: &str, zone: &str| UpsertCustomerRequest {
        customer: Some(Customer {
            name: name.into(),
            time_zone: zone.into(),
            ..Customer::default()
        }),
        update_mask: None,
    };
    let requests = vec![
        item("customers/c-0", ""),
        item("customers/c-1", "Mars/Phobos"),
        item("c-2", ""),
        item("customers/c-1", "UTC"),
    ];
    let batch = BatchUpsertCustomersRequest { requests };
    let failed = gateway
        .client
        .customers()
        .batch_upsert_customers(batch)
        .await
        .unwrap()
        .into_inner()
        .failed_requests;
    let failed: Vec<_> = failed
        .iter()
        .map(|(index, status)| (*index, Refusal::of_item(status).fields[0].clone()))
        .collect();
    assert_eq!(
        failed,
        [
            (1, "customer.time_zone".to_owned()),
            (2, "customer.name".to_owned())
        ]
    );
    assert_eq!(find(&gateway).await.unwrap().time_zone, "UTC");
    gateway.stop().await;
}

async fn update(
    gateway: &Embedded,
    preferences: Preferences,
    paths: &[&str],
) -> Result<Preferences, Status> {
    let preferences = Some(Preferences {
        customer_id: "c-1".into(),
        ..preferences
    });
    let request = UpdatePreferencesRequest {
        preferences,
        update_mask: mask(paths),
    };
    let answer = gateway
        .client
        .customers()
        .update_preferences(request)
        .await?;
    Ok(answer.into_inner().preferences.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_changed_by_mask_and_etag() {
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    let chosen = Preferences {
        channel_order: vec![Channel::Sms.into(), Channel::Email.into()],
        topics: vec![TopicPreference {
            topic: "review_request".into(),
            opted_out: true,
            ..Default::default()
        }],
        category_orders: vec![CategoryOrder {
            category: Category::Transactional.into(),
            channels: vec![Channel::Email.into()],
        }],
        quiet_hours: Some(QuietHours {
            start: "22:00".into(),
            end: "07:30".into(),
            time_zone: String::new(),
        }),
        pause_until_time: wire("2026-12-01T00:00:00Z"),
        pause_all: true,
        ..Default::default()
    };
    let first = update(&gateway, chosen.clone(), &[]).await.unwrap();
    assert_eq!(
        first,
        Preferences {
            customer_id: "c-1".into(),
            etag: first.etag.clone(),
            ..chosen
        }
    );
    let cleared = Preferences {
        etag: first.etag.clone(),
        ..Default::default()
    };
    let second = update(
        &gateway,
        cleared.clone(),
        &["pause_all", "pause_until_time", "quiet_hours"],
    )
    .await
    .unwrap();
    assert_eq!(
        (
            second.pause_all,
            second.pause_until_time,
            second.quiet_hours.as_ref()
        ),
        (false, None, None)
    );
    assert_eq!(
        (&second.topics, &second.channel_order),
        (&first.topics, &first.channel_order)
    );
    let stale = update(&gateway, cleared, &["topics"]).await.unwrap_err();
    assert_eq!(
        (stale.code(), Refusal::of(&stale).reason.as_str()),
        (Code::Aborted, "ETAG_MISMATCH")
    );

    let quiet = |start: &str, end: &str| Preferences {
        quiet_hours: Some(QuietHours {
            start: start.into(),
            end: end.into(),
            time_zone: String::new(),
        }),
        ..Default::default()
    };
    let topic = |topic: &str, max_per_30_days| Preferences {
        topics: vec![TopicPreference {
            topic: topic.into(),
            max_per_30_days,
            ..Default::default()
        }],
        ..Default::default()
    };
    let twice = vec![Channel::Sms.into(); 2];
    for (wrong, field) in [
        (quiet("22:00", "22:00"), "preferences.quiet_hours"),
        (quiet("24:00", "07:00"), "preferences.quiet_hours.start"),
        (topic("weather", 0), "preferences.topics[0].topic"),
        (
            topic("review_request", -1),
            "preferences.topics[0].max_per_30_days",
        ),
        (
            Preferences {
                channel_order: twice,
                ..Default::default()
            },
            "preferences.channel_order[1]",
        ),
    ] {
        assert_eq!(
            Refusal::of(&update(&gateway, wrong, &[]).await.unwrap_err()).fields,
            [field]
        );
    }
    let request = GetPreferencesRequest {
        customer_id: "c-1".into(),
    };
    let stored = gateway
        .client
        .customers()
        .get_preferences(request)
        .await
        .unwrap()
        .into_inner()
        .preferences
        .unwrap();
    assert_eq!(stored, second);
    let quiet = send(&gateway.client, "r", review("c-1")).await;
    assert_eq!(quiet.state_reason, "TOPIC_OPTED_OUT", "and it counts");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consents_are_added_and_the_latest_counts() {
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    let consent = |granted, time: &str| Consent {
        category: Category::Relationship.into(),
        channel: Channel::Email.into(),
        granted,
        time: wire(time),
        source: "form 7".into(),
        text_version: "2026-01".into(),
        actor: "web shop".into(),
    };
    let record = |consents: &[Consent]| Preferences {
        consents: consents.to_vec(),
        ..Default::default()
    };
    let (yes, no) = (
        consent(true, "2026-11-20T10:00:00Z"),
        consent(false, "2026-11-21T10:00:00Z"),
    );
    update(&gateway, record(std::slice::from_ref(&no)), &[])
        .await
        .unwrap();
    update(&gateway, record(std::slice::from_ref(&yes)), &["consents"])
        .await
        .unwrap();
    update(&gateway, record(std::slice::from_ref(&yes)), &[])
        .await
        .unwrap();
    let emptied = update(&gateway, record(&[]), &["*"]).await.unwrap();
    assert_eq!(
        emptied.consents,
        [no, yes],
        "added once each, with their proof, and never taken away"
    );
    let asked = send(&gateway.client, "r", review("c-1")).await;
    gateway.settle().await;
    let asked = get(&gateway.client, &asked.name).await;
    let channels: Vec<_> = asked
        .messages
        .iter()
        .map(tidings::proto::Message::channel)
        .collect();
    assert_eq!(
        channels,
        [Channel::Sms],
        "the objection is the later one: not by mail"
    );
    let future = consent(true, "2026-11-23T11:05:01Z");
    let refused = update(&gateway, record(&[future]), &[]).await.unwrap_err();
    assert_eq!(
        Refusal::of(&refused).fields,
        ["preferences.consents[0].time"]
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_is_nowhere_and_hears_nothing() {
    let gateway = at_noon().await;
    upsert(&gateway, ada(), &[]).await;
    let order = |send_time| NotificationIntent {
        recipient: customer("c-1"),
        send_time,
        reference: "orders/4711".into(),
        ..shipped("4711")
    };
    let sent = send(&gateway.client, "now", order(None)).await;
    gateway.settle().await;
    let waiting = send(
        &gateway.client,
        "later",
        order(wire("2026-11-24T11:00:00Z")),
    )
    .await;
    let delete = || DeleteCustomerRequest {
        name: "customers/c-1".into(),
    };
    let mut customers = gateway.client.customers();
    let erased = customers
        .delete_customer(delete())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(erased.anonymized_notification_count, 2);
    assert_eq!(
        Refusal::of(&find(&gateway).await.unwrap_err()).reason,
        "CUSTOMER_NOT_FOUND"
    );
    assert_eq!(
        Refusal::of(&customers.delete_customer(delete()).await.unwrap_err()).reason,
        "CUSTOMER_NOT_FOUND"
    );

    gateway
        .run_until("2026-11-25T11:00:00Z".parse().unwrap())
        .await;
    assert_eq!(
        get(&gateway.client, &waiting.name).await.state(),
        State::Cancelled
    );
    assert_eq!(
        get(&gateway.client, &sent.name).await.state(),
        State::Sent,
        "what happened stays"
    );
    let list = gateway
        .client
        .notifications()
        .list_notifications(ListNotificationsRequest::default())
        .await;
    let shown = format!("{:?}", list.unwrap().into_inner());
    for trace in ["c-1\"", "ada@example.com", "Ada\"", "4711"] {
        assert!(!shown.contains(trace), "{trace} in {shown}");
    }
    for filter in ["customer_id = c-1", "reference = \"orders/4711\""] {
        let list = ListNotificationsRequest {
            filter: filter.into(),
            ..Default::default()
        };
        let mut service = gateway.client.notifications();
        let found = service.list_notifications(list).await.unwrap();
        let found = found.into_inner().notifications;
        assert!(found.is_empty(), "{filter}: {found:?}");
    }
    gateway.stop().await;
}

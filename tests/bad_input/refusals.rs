//! Every kind of INVALID_ARGUMENT names the field by its whole path and says its rule in words that a caller can act on.

use std::collections::BTreeSet;

use tidings::proto::{
    BatchUpsertCustomersRequest, CancelNotificationRequest, Customer, ExplainNotificationRequest,
    GetCustomerRequest, GetNotificationRequest, GetTemplateRequest, ListNotificationsRequest,
    ListTemplatesRequest, PreviewTemplateRequest, UpdatePreferencesRequest,
    WatchNotificationsRequest,
};
use tonic::Status;

use crate::gateway::Embedded;
use crate::intents::violations;
use crate::shop::{open, try_send, upsert};
use crate::wrong::{Told, customers, intents, preferences};

/// The refusal tells this field first, and reads like a person wrote it.
#[track_caller]
fn says(status: &Status, (field, words): Told, seen: &mut BTreeSet<String>) {
    let told = violations(status);
    let (path, rule) = &told[0];
    assert_eq!(path, field, "{rule}");
    assert!(rule.contains(words), "{path}: {rule}");
    for (path, rule) in told {
        assert!(
            rule.split_whitespace().count() >= 3,
            "no sentence: {path}: {rule}"
        );
        let debug = ["Some(", "None", "Error", "::", "\\n"];
        assert!(
            !debug.iter().any(|sign| rule.contains(sign)),
            "not for people: {path}: {rule}"
        );
        println!("{path}: {rule}");
        seen.insert(path);
    }
}

/// The points of every kind, at every door that takes arguments.
#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_names_the_field_and_its_rule() {
    let gateway = open(Vec::new()).await;
    let customer = Customer {
        name: "customers/ada".into(),
        ..Customer::default()
    };
    upsert(&gateway.client, customer).await;
    let mut seen = BTreeSet::new();
    for (told, intent) in intents() {
        says(
            &try_send(&gateway.client, "r", intent)
                .await
                .expect_err(told.0),
            told,
            &mut seen,
        );
    }
    for (told, request) in customers() {
        let refused = gateway
            .client
            .customers()
            .upsert_customer(request.clone())
            .await;
        says(&refused.expect_err(told.0), told, &mut seen);
        // A batch tells the same for each of its items.
        let batch = BatchUpsertCustomersRequest {
            requests: vec![request],
        };
        let answer = gateway
            .client
            .customers()
            .batch_upsert_customers(batch)
            .await
            .unwrap();
        assert_eq!(answer.into_inner().failed_requests[&0].code, 3);
    }
    for (told, preferences) in preferences() {
        let request = UpdatePreferencesRequest {
            preferences: Some(preferences),
            update_mask: None,
        };
        let refused = gateway.client.customers().update_preferences(request).await;
        says(&refused.expect_err(told.0), told, &mut seen);
    }
    questions(&gateway, &mut seen).await;
    assert!(seen.len() >= 50, "only {} fields: {seen:?}", seen.len());
    gateway.stop().await;
}

/// What is wrong with a question.
async fn questions(gateway: &Embedded, seen: &mut BTreeSet<String>) {
    let (mut service, mut templates) = (gateway.client.notifications(), gateway.client.templates());
    let (sizes, filter) = (
        ListNotificationsRequest {
            page_size: -1,
            ..Default::default()
        },
        "colour = red",
    );
    let refused = service.list_notifications(sizes).await.unwrap_err();
    says(&refused, ("page_size", "negative"), seen);
    let forged = ListNotificationsRequest {
        page_token: "forged".into(),
        ..Default::default()
    };
    says(
        &service.list_notifications(forged).await.unwrap_err(),
        ("page_token", "page"),
        seen,
    );
    let unknown = ListNotificationsRequest {
        filter: filter.into(),
        ..Default::default()
    };
    says(
        &service.list_notifications(unknown).await.unwrap_err(),
        ("filter", "colour"),
        seen,
    );
    let order = ListNotificationsRequest {
        order_by: "colour".into(),
        ..Default::default()
    };
    says(
        &service.list_notifications(order).await.unwrap_err(),
        ("order_by", "create_time"),
        seen,
    );
    let name = GetNotificationRequest {
        name: "4711".into(),
    };
    says(
        &service.get_notification(name).await.unwrap_err(),
        ("name", "notifications/"),
        seen,
    );
    let target = CancelNotificationRequest { target: None };
    says(
        &service.cancel_notification(target).await.unwrap_err(),
        ("target", "name"),
        seen,
    );
    let subject = ExplainNotificationRequest::default();
    says(
        &service.explain_notification(subject).await.unwrap_err(),
        ("subject", "name"),
        seen,
    );
    let watch = WatchNotificationsRequest {
        resume_token: "forged".into(),
        ..Default::default()
    };
    says(
        &service.watch_notifications(watch).await.unwrap_err(),
        ("resume_token", "token"),
        seen,
    );
    let name = GetCustomerRequest { name: "ada".into() };
    let refused = gateway
        .client
        .customers()
        .get_customer(name)
        .await
        .unwrap_err();
    says(&refused, ("name", "is named customers/{id}"), seen);
    let name = GetTemplateRequest {
        name: "order".into(),
    };
    says(
        &templates.get_template(name).await.unwrap_err(),
        ("name", "templates/"),
        seen,
    );
    let list = ListTemplatesRequest {
        filter: filter.into(),
        ..Default::default()
    };
    says(
        &templates.list_templates(list).await.unwrap_err(),
        ("filter", "colour"),
        seen,
    );
    let preview = PreviewTemplateRequest {
        name: "templates/order.shipped".into(),
        locale: "de_AT".into(),
        ..Default::default()
    };
    says(
        &templates.preview_template(preview).await.unwrap_err(),
        ("locale", "BCP 47"),
        seen,
    );
}

//! Reading: names, pages, orders and filters that are none.

use tidings::proto::{
    CancelNotificationRequest, DeleteCustomerRequest, ExplainNotificationRequest,
    GetCustomerRequest, GetNotificationRequest, GetPreferencesRequest, GetTemplateRequest,
    ListNotificationsRequest, ListTemplatesRequest, Preferences, UpdatePreferencesRequest,
    WatchNotificationsRequest, cancel_notification_request::Target,
    explain_notification_request::Subject,
};
use tonic::Code;

use crate::calls::{send, shipped};
use crate::{at_noon, cancel, invalid, refused};

const NOBODY: &str = "notifications/0192f600-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let gateway = at_noon().await;
    let (mut notifications, mut customers) =
        (gateway.client.notifications(), gateway.client.customers());
    let name = || NOBODY.to_owned();
    let explain = ExplainNotificationRequest {
        subject: Some(Subject::Name(name())),
        evaluate_time: None,
    };
    for status in [
        notifications
            .get_notification(GetNotificationRequest { name: name() })
            .await
            .unwrap_err(),
        notifications
            .cancel_notification(cancel(Target::Name(name())))
            .await
            .unwrap_err(),
        notifications
            .explain_notification(explain)
            .await
            .unwrap_err(),
    ] {
        refused(&status, Code::NotFound, "NOTIFICATION_NOT_FOUND");
    }
    let person = || "customers/nobody".to_owned();
    let update = Preferences {
        customer_id: "nobody".into(),
        ..Default::default()
    };
    let update = UpdatePreferencesRequest {
        preferences: Some(update),
        update_mask: None,
    };
    for status in [
        customers
            .get_customer(GetCustomerRequest { name: person() })
            .await
            .unwrap_err(),
        customers
            .delete_customer(DeleteCustomerRequest { name: person() })
            .await
            .unwrap_err(),
        customers
            .get_preferences(GetPreferencesRequest {
                customer_id: "nobody".into(),
            })
            .await
            .unwrap_err(),
        customers.update_preferences(update).await.unwrap_err(),
    ] {
        refused(&status, Code::NotFound, "CUSTOMER_NOT_FOUND");
    }
    let template = GetTemplateRequest {
        name: "templates/no.such".into(),
    };
    let status = gateway
        .client
        .templates()
        .get_template(template)
        .await
        .unwrap_err();
    refused(&status, Code::NotFound, "TEMPLATE_NOT_FOUND");

    for wrong in ["", "notifications/", "notifications/1", "customers/1"] {
        let status = notifications
            .get_notification(GetNotificationRequest { name: wrong.into() })
            .await
            .unwrap_err();
        invalid(&status, "name");
    }
    let nothing = notifications
        .cancel_notification(cancel(Target::CancellationKey("unused".into())))
        .await
        .unwrap();
    assert_eq!(
        nothing.into_inner().cancelled_count,
        0,
        "a key that nothing carries is no error"
    );
    invalid(
        &notifications
            .cancel_notification(CancelNotificationRequest { target: None })
            .await
            .unwrap_err(),
        "target",
    );
    invalid(
        &notifications
            .cancel_notification(cancel(Target::CancellationKey("x".repeat(129))))
            .await
            .unwrap_err(),
        "cancellation_key",
    );
    gateway.stop().await;
}

fn list(change: impl FnOnce(&mut ListNotificationsRequest)) -> ListNotificationsRequest {
    let mut list = ListNotificationsRequest::default();
    change(&mut list);
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_asked_for_by_tokens_that_were_given() {
    let gateway = at_noon().await;
    let mut service = gateway.client.notifications();
    for order in 0..4 {
        send(&gateway.client, &format!("r-{order}"), shipped("1")).await;
    }
    let first = service
        .list_notifications(list(|l| l.page_size = 3))
        .await
        .unwrap()
        .into_inner();
    let token = first.next_page_token;
    let mut middle = token.clone().into_bytes();
    middle[10] = if middle[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(middle).unwrap();
    for (change, field) in [
        (list(|l| l.page_size = -1), "page_size"),
        (list(|l| l.page_size = i32::MIN), "page_size"),
        (list(|l| l.page_token = forged), "page_token"),
        (list(|l| l.page_token = "x".repeat(100_000)), "page_token"),
        (
            list(|l| {
                l.page_token = token.clone();
                l.filter = "state = SENT".into();
            }),
            "page_token",
        ),
        (
            list(|l| {
                l.page_token = token.clone();
                l.order_by = "create_time".into();
            }),
            "page_token",
        ),
        (list(|l| l.order_by = "state".into()), "order_by"),
    ] {
        invalid(
            &service.list_notifications(change).await.unwrap_err(),
            field,
        );
    }
    let other = ListTemplatesRequest {
        page_token: token.clone(),
        ..Default::default()
    };
    invalid(
        &gateway
            .client
            .templates()
            .list_templates(other)
            .await
            .unwrap_err(),
        "page_token",
    );
    let wrong = ListTemplatesRequest {
        page_size: -1,
        ..Default::default()
    };
    invalid(
        &gateway
            .client
            .templates()
            .list_templates(wrong)
            .await
            .unwrap_err(),
        "page_size",
    );

    // The size may change between pages; one above 1000 is cut, not refused.
    let rest = service
        .list_notifications(list(|l| {
            l.page_token = token;
            l.page_size = i32::MAX;
        }))
        .await
        .unwrap();
    let rest = rest.into_inner();
    assert_eq!(
        (rest.notifications.len(), rest.next_page_token.as_str()),
        (1, "")
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_none_is_refused_with_the_place() {
    let gateway = at_noon().await;
    for (filter, place) in [
        ("colour = red", "at character 1:"),
        ("state = SENT AND", "at character 17:"),
        ("state ~ SENT", "at character 7:"),
        ("(state = SENT", "at character 14:"),
        ("state = GONE", "at character 9:"),
        ("create_time > yesterday", "at character 15:"),
        ("reference > 1", "at character 11:"),
        ("NOT state = SENT", "at character 1:"),
        (&"(".repeat(30), "at character 25:"),
        (&"x".repeat(5000), "4096"),
    ] {
        let asked = gateway
            .client
            .notifications()
            .list_notifications(list(|l| l.filter = filter.into()))
            .await;
        let refusal = invalid(&asked.unwrap_err(), "filter");
        assert!(refusal.words.contains(place), "{filter}: {}", refusal.words);
        let watch = WatchNotificationsRequest {
            filter: filter.into(),
            resume_token: String::new(),
        };
        invalid(
            &gateway
                .client
                .notifications()
                .watch_notifications(watch)
                .await
                .unwrap_err(),
            "filter",
        );
    }
    let foreign = ListTemplatesRequest {
        filter: "state = SENT".into(),
        ..Default::default()
    };
    invalid(
        &gateway
            .client
            .templates()
            .list_templates(foreign)
            .await
            .unwrap_err(),
        "filter",
    );
    let token = WatchNotificationsRequest {
        filter: String::new(),
        resume_token: "AAAA".into(),
    };
    invalid(
        &gateway
            .client
            .notifications()
            .watch_notifications(token)
            .await
            .unwrap_err(),
        "resume_token",
    );
    gateway.stop().await;
}

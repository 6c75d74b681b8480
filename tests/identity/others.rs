//! What belongs to another caller of the shop is as if it were not there: for every way to ask.

use tidings::client::Client;
use tidings::domain::clock::{Clock as _, SystemClock};
use tidings::proto::cancel_notification_request::Target as Subject;
use tidings::proto::explain_notification_request::Subject as Explained;
use tidings::proto::{
    CancelNotificationRequest, CancelNotificationResponse, ExplainNotificationRequest,
    GetNotificationRequest, ListNotificationsRequest, ListTemplatesRequest, NotificationIntent,
    WatchNotificationsRequest, WatchNotificationsResponse, notification::State, wire_time,
};
use tonic::{Status, Streaming};

use crate::calls::{Refusal, ada, get, inline, request, send, shipped, try_send};
use crate::{ALL, caller, configured, connect, serve, with_key};

const NOBODYS: &str = "notifications/0192f600-0000-7000-8000-000000000000";

/// One that waits for an hour, with every key that others could try.
fn waiting(order: &str) -> NotificationIntent {
    let hour = SystemClock.now() + jiff::SignedDuration::from_hours(1);
    NotificationIntent {
        send_time: Some(wire_time(hour)),
        cancellation_key: format!("cancel:{order}"),
        reference: format!("orders/{order}"),
        ..shipped(order)
    }
}

async fn cancel(client: &Client, target: Subject) -> Result<CancelNotificationResponse, Status> {
    let request = CancelNotificationRequest {
        target: Some(target),
    };
    let answer = client.notifications().cancel_notification(request).await?;
    Ok(answer.into_inner())
}

/// How asking for a notification by its name is refused, by each method that takes one.
async fn by_name(client: &Client, name: &str) -> Vec<(String, String)> {
    let mut notifications = client.notifications();
    let read = notifications
        .get_notification(GetNotificationRequest { name: name.into() })
        .await;
    let explained = notifications
        .explain_notification(ExplainNotificationRequest {
            subject: Some(Explained::Name(name.into())),
            evaluate_time: None,
        })
        .await;
    let cancelled = cancel(client, Subject::Name(name.into())).await;
    [
        read.unwrap_err(),
        explained.unwrap_err(),
        cancelled.unwrap_err(),
    ]
    .iter()
    .map(Refusal::of)
    .map(|refusal| {
        let id = name.trim_start_matches("notifications/");
        (refusal.reason, refusal.words.replace(id, "ID"))
    })
    .collect()
}

async fn list(
    client: &Client,
    filter: &str,
    page_token: &str,
) -> Result<(Vec<String>, String), Status> {
    let request = ListNotificationsRequest {
        page_size: 1,
        page_token: page_token.into(),
        filter: filter.into(),
        ..ListNotificationsRequest::default()
    };
    let answer = client.notifications().list_notifications(request).await?;
    let answer = answer.into_inner();
    let names = answer.notifications.into_iter().map(|one| one.name);
    Ok((names.collect(), answer.next_page_token))
}

async fn watch(
    client: &Client,
    resume_token: &str,
) -> Result<Streaming<WatchNotificationsResponse>, Status> {
    let request = WatchNotificationsRequest {
        resume_token: resume_token.into(),
        ..WatchNotificationsRequest::default()
    };
    let answer = client.notifications().watch_notifications(request).await?;
    Ok(answer.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_caller_is_read_listed_watched_or_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = ["orders", "other"].map(|name| caller(folder, name, &ALL));
    let binary = serve(&configured(folder, "127.0.0.1:0", &more.concat()));
    let orders = connect(&with_key(&binary.grpc, folder, "orders")).await;
    let other = connect(&with_key(&binary.grpc, folder, "other")).await;

    // The other one watches from before anything is there, and gets its first token.
    let mut watched = watch(&other, "").await.unwrap();
    let theirs = watched.message().await.unwrap().unwrap().resume_token;
    let mut own = watch(&orders, "").await.unwrap();
    let ours = own.message().await.unwrap().unwrap().resume_token;

    let first = send(&orders, "first", waiting("1")).await.name;
    let second = send(&orders, "second", waiting("2")).await.name;

    // By name: as if it were not there, in every word.
    let unknown = by_name(&other, NOBODYS).await;
    assert!(
        unknown
            .iter()
            .all(|(reason, _)| reason == "NOTIFICATION_NOT_FOUND"),
        "{unknown:?}"
    );
    for name in [&first, &second] {
        assert_eq!(by_name(&other, name).await, unknown);
    }
    // By key.
    let key = Subject::CancellationKey("cancel:1".into());
    let counts = cancel(&other, key.clone()).await.unwrap();
    assert_eq!((counts.cancelled_count, counts.missed_count), (0, 0));

    // By list, whatever the filter; and a page token is its owner's.
    for filter in ["", "reference = \"orders/1\"", "template = order.shipped"] {
        let (names, token) = list(&other, filter, "").await.unwrap();
        assert_eq!((names.len(), token.as_str()), (0, ""), "{filter}");
    }
    let (names, token) = list(&orders, "", "").await.unwrap();
    assert_eq!(names, [second.as_str()]);
    assert_eq!(list(&orders, "", &token).await.unwrap().0, [first.as_str()]);
    let refusal = Refusal::of(&list(&other, "", &token).await.unwrap_err());
    assert_eq!(refusal.fields, ["page_token"]);
    let page = |client: &Client, page_token: String| {
        let mut templates = client.templates();
        async move {
            let request = ListTemplatesRequest {
                page_size: 1,
                page_token,
                ..ListTemplatesRequest::default()
            };
            templates.list_templates(request).await
        }
    };
    let token = page(&orders, String::new()).await.unwrap().into_inner();
    let token = token.next_page_token;
    assert!(page(&orders, token.clone()).await.is_ok());
    let refusal = Refusal::of(&page(&other, token).await.unwrap_err());
    assert_eq!(refusal.fields, ["page_token"]);

    // By request id: the same one is a new notification, whatever is in it.
    let mine = try_send(&other, "first", waiting("1")).await.unwrap();
    let mine = mine.notification.unwrap().name;
    assert_ne!(mine, first);
    let changed = try_send(&other, "second", waiting("3")).await.unwrap();
    assert!(!changed.replayed);

    // By watching: the first that the other one hears of is its own, also when it resumes; a token is its owner's.
    let heard = watched.message().await.unwrap().unwrap();
    assert_eq!(heard.event.unwrap().notification.unwrap().name, mine);
    let mut resumed = watch(&other, &theirs).await.unwrap();
    let heard = resumed.message().await.unwrap().unwrap();
    assert_eq!(heard.event.unwrap().notification.unwrap().name, mine);
    let refused = watch(&other, &ours).await.map(drop).unwrap_err();
    assert_eq!(Refusal::of(&refused).fields, ["resume_token"]);
    let heard = own.message().await.unwrap().unwrap();
    assert_eq!(heard.event.unwrap().notification.unwrap().name, first);

    // Nobody but its owner has called anything off.
    for (client, name) in [(&orders, &first), (&orders, &second), (&other, &mine)] {
        assert_eq!(get(client, name).await.state(), State::Scheduled);
    }
    let counts = cancel(&orders, key).await.unwrap();
    assert_eq!((counts.cancelled_count, counts.missed_count), (1, 0));
    assert_eq!(get(&orders, &first).await.state(), State::Cancelled);
    assert_eq!(get(&other, &mine).await.state(), State::Scheduled);
    assert_eq!(binary.terminate(), Some(0));
}

/// Keys that order or fold a customer's messages: nobody calls off another's by them, and a trace names none of another's.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_reaches_into_what_another_has_sent() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = ["orders", "other"].map(|name| caller(folder, name, &ALL));
    let binary = serve(&configured(folder, "127.0.0.1:0", &more.concat()));
    let orders = connect(&with_key(&binary.grpc, folder, "orders")).await;
    let other = connect(&with_key(&binary.grpc, folder, "other")).await;
    let keyed = |once: &str, collapse: &str| NotificationIntent {
        once_key: once.into(),
        collapse_key: collapse.into(),
        recipient: inline(ada()),
        ..waiting("1")
    };
    let intent = keyed("once", "estimate");
    let first = send(&orders, "r", intent.clone()).await.name;

    // The once key is the shop's: the second ends, and does not hear whose the first was.
    let again = send(&other, "r", keyed("once", "")).await.name;
    let again = get(&other, &again).await;
    assert_eq!(again.state(), State::Suppressed);
    let explained = other
        .notifications()
        .explain_notification(ExplainNotificationRequest {
            subject: Some(Explained::Name(again.name)),
            evaluate_time: None,
        })
        .await
        .unwrap();
    let id = first.trim_start_matches("notifications/");
    assert!(!format!("{explained:?}").contains(id));

    // The collapse key is the caller's: another's newer one calls off nothing, and is not called off.
    let newer = send(&other, "s", keyed("", "estimate")).await.name;
    assert_eq!(get(&orders, &first).await.state(), State::Scheduled);
    let own = send(&orders, "t", keyed("", "estimate")).await.name;
    assert_eq!(get(&orders, &first).await.state(), State::Cancelled);
    assert_eq!(get(&orders, &own).await.state(), State::Scheduled);
    assert_eq!(get(&other, &newer).await.state(), State::Scheduled);

    // In a batch, too, a request id is the caller's.
    let batch = tidings::proto::BatchSendNotificationsRequest {
        requests: vec![request("r", intent)],
        return_partial_success: false,
    };
    let answer = orders.notifications().batch_send_notifications(batch).await;
    assert!(answer.unwrap().into_inner().accepted[&0].replayed);
    assert_eq!(binary.terminate(), Some(0));
}

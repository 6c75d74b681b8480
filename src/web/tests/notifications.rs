//! Notifications through the door.

use super::*;

#[tokio::test]
async fn notifications_are_paged_newest_first() {
    let desk = Desk::open(|store| {
        let ids = Ids::new();
        let records = (0..7)
            .map(|n| samples::record(&ids, n, "order.confirmation", "c-42", Reason::HandedOver));
        *store.records.lock().unwrap() = records.collect();
    })
    .await;
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/api/notifications?limit=3".to_owned();
    loop {
        let page = desk.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/notifications?limit=3&before={next}");
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|newer, older| newer > older));
    assert_eq!(desk.get("/api/notifications?before=x").await.status, 400);
    assert_eq!(desk.get("/api/notifications?limit=-1").await.status, 400);
    let bad = desk.get("/api/notifications?limit=x").await;
    assert_eq!(bad.json()["reason"], "FIELD_INVALID");
}

#[tokio::test]
async fn a_filter_is_the_one_of_the_api() {
    let desk = Desk::open(|store| {
        let ids = Ids::new();
        let held = samples::record(&ids, 0, "review.request", "c-42", Reason::BudgetExceeded);
        let sent = samples::record(&ids, 1, "order.confirmation", "c-42", Reason::HandedOver);
        *store.records.lock().unwrap() = vec![held, sent];
    })
    .await;
    let path = "/api/notifications?filter=state%20%3D%20%22SCHEDULED%22%20OR%20template%20%3D%20%22none%22";
    let items = desk.get(path).await.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1);
    assert_eq!(items[0]["template"], "review.request");
    for wrong in ["state%20LIKE%20x", "%22", "(", "nothing%20%3D%201"] {
        let answer = desk
            .get(&format!("/api/notifications?filter={wrong}"))
            .await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.json()["reason"], "FIELD_INVALID", "{wrong}");
    }
}

#[tokio::test]
async fn one_notification_shows_its_trace_and_no_address() {
    let desk = Desk::open(|_| {}).await;
    let record = samples::record(
        &desk.ids,
        0,
        "review.request",
        "c-42",
        Reason::BudgetExceeded,
    );
    let tries = [
        (AttemptResult::Transient, "451 later"),
        (AttemptResult::Ok, "250 ok"),
    ];
    let record = samples::with_message(
        &desk.ids,
        record,
        Channel::Email,
        MessageState::Sent,
        &tries,
    );
    let id = record.notification.id;
    desk.store.records.lock().unwrap().push(record);

    let answer = desk.get(&format!("/api/notifications/{id}")).await;
    assert!(!answer.text().contains("ada@example.com"));
    let shown = answer.json();
    assert_eq!(shown["state"], "SCHEDULED");
    assert_eq!(shown["sentence"], Reason::BudgetExceeded.sentence());
    assert_eq!(shown["zone"], "Europe/Berlin");
    let steps = shown["decision"]["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(
        (&last["rule"], &last["outcome"]),
        (&"budget".into(), &"delay".into())
    );
    assert_eq!(last["evidence"]["max"], 2);
    assert_eq!(shown["decision"]["verdict"]["kind"], "hold");
    let attempts = &shown["messages"][0]["attempts"];
    assert_eq!(attempts[0]["reply"], "451 later");
    assert_eq!(attempts[1]["took_ms"], 84);
    assert_eq!(shown["messages"][0]["to"], "a***@example.com");

    let counts = desk.get("/api/overview").await.json();
    assert_eq!(counts["total"], 1);
    let scheduled = counts["states"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["state"] == "SCHEDULED");
    assert_eq!(
        scheduled.unwrap()["reasons"][0]["reason"],
        "BUDGET_EXCEEDED"
    );
}

#[tokio::test]
async fn what_belongs_to_another_caller_is_not_there() {
    let desk = Desk::open(|_| {}).await;
    let mut record = samples::record(
        &desk.ids,
        0,
        "order.confirmation",
        "c-42",
        Reason::HandedOver,
    );
    record.notification.identity.caller = CallerId::new("other");
    let record = samples::with_message(&desk.ids, record, Channel::Sms, MessageState::Sent, &[]);
    let id = record.notification.id;
    let message = record.messages[0].id;
    desk.store.records.lock().unwrap().push(record);
    let mut sms = samples::sms(message, 2, "hello");
    sms.0.summary.notification = id;
    desk.inbox.0.lock().unwrap().push(sms);
    assert_eq!(
        desk.get(&format!("/api/notifications/{id}")).await.status,
        404
    );
    let item = desk.get(&format!("/api/inbox/{message}")).await.json();
    assert_eq!(item["notification"], Value::Null);
}

#[tokio::test]
async fn a_store_that_is_away_is_said_without_its_secrets() {
    let desk = Desk::open(|store| store.fails = true).await;
    for path in ["/api/overview", "/api/notifications"] {
        let answer = desk.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.json()["reason"], "STORE_UNAVAILABLE");
        assert!(!answer.text().contains("secret"));
    }
    let mut feed = desk.feed("/api/events", "").await;
    assert!(feed.until("event: trouble").await);
    assert!(
        feed.until("0\r\n\r\n").await,
        "the feed ends, to be opened again"
    );
}

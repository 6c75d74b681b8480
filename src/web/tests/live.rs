//! The live feed through the door.

use super::*;

#[tokio::test]
async fn the_feed_goes_on_where_it_was() {
    let desk = Desk::open(|_| {}).await;
    let record = samples::record(
        &desk.ids,
        0,
        "order.confirmation",
        "c-42",
        Reason::HandedOver,
    );
    let id = record.notification.id;
    desk.store.records.lock().unwrap().push(record);
    let commit = |count: usize| {
        for _ in 0..count {
            desk.store
                .commit(id, Status::from(Reason::HandedOver), samples::at(1));
        }
    };
    commit(250);

    let mut feed = desk.feed("/api/events?recent=3", "").await;
    assert!(feed.until("id: 250").await);
    assert!(feed.seen.contains("text/event-stream"));
    assert!(feed.seen.contains("\"template\":\"order.confirmation\""));
    commit(1);
    assert!(feed.until("id: 251").await, "news come without asking");
    assert_eq!(feed.ids(), ["248", "249", "250", "251"]);

    // More than one batch, without a gap and without a repeat.
    let mut resumed = desk
        .feed("/api/events?recent=3", "Last-Event-ID: 10\r\n")
        .await;
    assert!(resumed.until("id: 251").await);
    let expected: Vec<String> = (11..=251).map(|id| id.to_string()).collect();
    assert_eq!(resumed.ids(), expected);

    let wrong = desk
        .ask("GET /api/events", "Host: localhost\r\nLast-Event-ID: x\r\n")
        .await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn an_open_feed_does_not_hold_up_the_shutdown() {
    let desk = Desk::open(|_| {}).await;
    let mut feed = desk.feed("/api/events", "").await;
    assert!(feed.until("text/event-stream").await);
    desk.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(2), desk.served)
        .await
        .expect("the door closes")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn feeds_are_counted_and_given_back() {
    let desk = Desk::open(|_| {}).await;
    let mut feeds = Vec::new();
    for _ in 0..crate::web::live::MAX_FEEDS {
        let mut feed = desk.feed("/api/events", "").await;
        assert!(feed.until("text/event-stream").await);
        feeds.push(feed);
    }
    let refused = desk.get("/api/events").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["reason"], "OVERLOADED");
    drop(feeds);
    // The door notices a lost reader when it next writes to it.
    let id: NotificationId = desk.ids.notification(samples::start());
    for _ in 0..100 {
        desk.store
            .commit(id, Status::from(Reason::HandedOver), samples::at(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut feed = desk.feed("/api/events", "").await;
        feed.until("\r\n\r\n").await;
        if feed.seen.starts_with("HTTP/1.1 200") {
            return;
        }
    }
    panic!("no feed was given back");
}

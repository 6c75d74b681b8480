//! The door's promises, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::fake::{FakeInbox, FakeStore};
use self::samples::HOSTILE;
use super::{About, Console, router, serve};
use crate::domain::channel::Channel;
use crate::domain::clock::ManualClock;
use crate::domain::id::{Ids, MessageId, NotificationId};
use crate::domain::notification::{AttemptResult, MessageState};
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::{CallerId, Identity};

mod fake;
mod samples;

/// A running door over fakes.
struct Desk {
    port: u16,
    store: Arc<FakeStore>,
    inbox: Arc<FakeInbox>,
    ids: Ids,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Desk {
    async fn open(change: impl FnOnce(&mut FakeStore)) -> Self {
        let ids = Ids::new();
        let mut store = FakeStore::new(
            Vec::new(),
            vec![samples::customer("c-42", "Europe/Berlin")],
        );
        change(&mut store);
        let store = Arc::new(store);
        let inbox = Arc::new(FakeInbox::default());
        let console = Console {
            store: store.clone(),
            clock: Arc::new(ManualClock::new(samples::at(3600))),
            captures: inbox.clone(),
            identity: Identity::local(),
            metrics: Arc::new(|| "tidings_build_info 1\n".to_owned()),
            ready: Arc::new(|| false),
            about: About {
                version: "0.1.0".into(),
                grpc_address: "127.0.0.1:50051".into(),
                clock_note: "Demo clock: 60 times as fast.".into(),
            },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, router(console), async move {
            let _ = stopped.await;
        }));
        Self {
            port,
            store,
            inbox,
            ids,
            stop,
            served,
        }
    }

    /// Sends a request with these header lines and reads until the door hangs up.
    async fn ask(&self, line: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::read(&bytes)
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "Host: localhost\r\n").await
    }

    /// Opens a live feed.
    async fn feed(&self, path: &str, headers: &str) -> Feed {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Feed {
            stream,
            seen: String::new(),
        }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self {
            status: head[9..12].parse().unwrap(),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let mut lines = self.head.lines();
        lines
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or("")
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Feed {
    stream: TcpStream,
    seen: String,
}

impl Feed {
    /// Reads until `text` has come; `false` when the door hung up first.
    async fn until(&mut self, text: &str) -> bool {
        let mut buffer = [0_u8; 4096];
        while !self.seen.contains(text) {
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut buffer));
            match read.await.expect("the feed says something").unwrap() {
                0 => return false,
                count => self
                    .seen
                    .push_str(&String::from_utf8_lossy(&buffer[..count])),
            }
        }
        true
    }

    fn ids(&self) -> Vec<&str> {
        self.seen
            .lines()
            .filter_map(|line| line.strip_prefix("id: "))
            .collect()
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let desk = Desk::open(|_| {}).await;
    for path in ["/", "/api/inbox", "/api/nothing", "/healthz", "/assets/app.js"] {
        let answer = desk.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'self'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn probes_tell_alive_from_ready_and_metrics_are_prometheus_text() {
    let desk = Desk::open(|_| {}).await;
    assert_eq!(desk.get("/healthz").await.status, 200);
    assert_eq!(desk.get("/readyz").await.status, 503);
    // A scraper comes under a service's name.
    let metrics = desk.ask("GET /metrics", "Host: tidings.shop.svc\r\n").await;
    assert_eq!(metrics.text(), "tidings_build_info 1\n");
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
}

#[tokio::test]
async fn names_that_are_not_this_machine_are_refused() {
    let desk = Desk::open(|_| {}).await;
    for host in [
        "Host: evil.example\r\n",
        "Host: 192.0.2.1\r\n",
        "",
        "Host: localhost\r\nHost: evil.example\r\n",
    ] {
        for path in ["/", "/api/inbox", "/api/events", "/assets/app.js", "/nothing"] {
            let answer = desk.ask(&format!("GET {path}"), host).await;
            assert!(matches!(answer.status, 400 | 421), "{path} as {host:?}");
        }
    }
    let refused = desk.ask("GET /api/inbox", "Host: evil.example\r\n").await;
    assert_eq!(refused.json()["reason"], "HOST_REFUSED");
    let port = desk.port;
    for host in [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "LocalHost:1".into()] {
        let answer = desk.ask("GET /api/inbox", &format!("Host: {host}\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn it_only_reads() {
    let desk = Desk::open(|_| {}).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/", "/api/inbox", "/api/notifications", "/metrics", "/api/events"] {
            let line = format!("{method} {path}");
            let answer = desk.ask(&line, "Host: localhost\r\n").await;
            assert_eq!(answer.status, 405, "{line}");
            assert_eq!(answer.json()["reason"], "METHOD_NOT_ALLOWED", "{line}");
        }
    }
}

#[tokio::test]
async fn paths_lead_nowhere_but_to_what_is_listed() {
    let desk = Desk::open(|_| {}).await;
    for path in [
        "/nothing",
        "/assets/../../web.rs",
        "/assets/%2e%2e/%2e%2e/web.rs",
        "/assets//etc/passwd",
        "/assets/%00",
        "/api/inbox/not-an-id",
        "/api/inbox/0192f600-0000-7000-8000-000000000000",
        "/api/notifications/%ff",
        "/api/notifications/0192f600-0000-7000-8000-000000000000",
    ] {
        let answer = desk.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
    let page = desk.get("/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let tag = page.header("etag").to_owned();
    let again = format!("Host: localhost\r\nIf-None-Match: {tag}\r\n");
    assert_eq!(desk.ask("GET /", &again).await.status, 304);
}

#[tokio::test]
async fn a_mail_is_a_document_that_can_do_nothing() {
    let desk = Desk::open(|_| {}).await;
    let id = desk.ids.message(samples::start());
    let mail = samples::mail(id, 0, HOSTILE, samples::MAIL_HTML);
    desk.inbox.0.lock().unwrap().push(mail);

    let html = desk.get(&format!("/api/inbox/{id}/html")).await;
    let policy = html.header("content-security-policy");
    assert!(policy.starts_with("sandbox "), "{policy}");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    for allowed in ["allow-scripts", "allow-same-origin", "allow-forms", "http"] {
        assert!(!policy.contains(allowed), "{policy}");
    }
    assert_eq!(html.header("x-frame-options"), "SAMEORIGIN");
    assert!(html.text().contains("Thank you, Ada"));

    let item = desk.get(&format!("/api/inbox/{id}")).await;
    assert_eq!(item.header("content-type"), "application/json");
    assert_eq!(item.json()["content"]["subject"], HOSTILE);
    assert_eq!(item.json()["notification"], Value::Null);
    let headers = item.json()["headers"].clone();
    let folded = headers.as_array().unwrap().iter().find(|it| it["name"] == "X-Long");
    assert_eq!(folded.unwrap()["value"], "one two");

    let source = desk.get(&format!("/api/inbox/{id}/source")).await;
    assert_eq!(source.header("content-type"), "text/plain; charset=utf-8");
    assert!(source.text().starts_with("Message-ID: <"));
}

#[tokio::test]
async fn an_attachment_is_saved_and_not_shown() {
    let desk = Desk::open(|_| {}).await;
    let id = desk.ids.message(samples::start());
    let mut mail = samples::mail(id, 0, "s", "");
    mail.0.attachments[0].filename = "a\"\r\nX-Evil: 1.html".into();
    mail.0.attachments[0].media_type = "text/html".into();
    desk.inbox.0.lock().unwrap().push(mail);
    let answer = desk.get(&format!("/api/inbox/{id}/attachments/0")).await;
    assert_eq!(answer.body, b"%PDF-1.7");
    assert!(answer.header("content-disposition").starts_with("attachment; "));
    assert!(answer.header("content-security-policy").starts_with("sandbox;"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.head.contains("\nX-Evil"));
    for index in ["1", "-1", "99999999999999999999", "x"] {
        let path = format!("/api/inbox/{id}/attachments/{index}");
        assert_eq!(desk.get(&path).await.status, 404, "{index}");
    }
}

#[tokio::test]
async fn the_inbox_is_listed_by_channel_and_leads_to_its_notification() {
    let desk = Desk::open(|_| {}).await;
    let record = samples::record(&desk.ids, 0, "delivery.shipped", "c-42", Reason::HandedOver);
    let ok = [(AttemptResult::Ok, "taken")];
    let record = samples::with_message(&desk.ids, record, Channel::Sms, MessageState::Sent, &ok);
    let message = record.messages[0].id;
    let notification = record.notification.id;
    desk.store.records.lock().unwrap().push(record);
    let emoji = "🎂".repeat(40);
    desk.inbox.0.lock().unwrap().push(samples::sms(message, 2, &emoji));
    let other = desk.ids.message(samples::start());
    desk.inbox.0.lock().unwrap().push(samples::chat(other, 1, "**hello**"));

    let all = desk.get("/api/inbox").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    let sms = desk.get("/api/inbox?channel=sms").await.json();
    assert_eq!(sms["items"][0]["id"], message.to_string());
    assert_eq!(sms["items"].as_array().unwrap().len(), 1);
    let fax = desk.get("/api/inbox?channel=fax").await;
    assert_eq!(fax.status, 400);
    assert!(fax.json()["message"].as_str().unwrap().contains("email, sms, chat"));

    let item = desk.get(&format!("/api/inbox/{message}")).await.json();
    assert_eq!(item["content"]["segments"], 2);
    assert_eq!(item["content"]["encoding"], "UCS-2");
    assert_eq!(item["notification"], notification.to_string());
    assert_eq!(desk.get(&format!("/api/inbox/{message}/html")).await.status, 404);
}

#[tokio::test]
async fn notifications_are_paged_newest_first() {
    let desk = Desk::open(|store| {
        let ids = Ids::new();
        let records = (0..7).map(|n| samples::record(&ids, n, "order.confirmation", "c-42", Reason::HandedOver));
        *store.records.lock().unwrap() = records.collect();
    })
    .await;
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/api/notifications?limit=3".to_owned();
    loop {
        let page = desk.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
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
        let answer = desk.get(&format!("/api/notifications?filter={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.json()["reason"], "FIELD_INVALID", "{wrong}");
    }
}

#[tokio::test]
async fn one_notification_shows_its_trace_and_no_address() {
    let desk = Desk::open(|_| {}).await;
    let record = samples::record(&desk.ids, 0, "review.request", "c-42", Reason::BudgetExceeded);
    let tries = [(AttemptResult::Transient, "451 later"), (AttemptResult::Ok, "250 ok")];
    let record = samples::with_message(&desk.ids, record, Channel::Email, MessageState::Sent, &tries);
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
    assert_eq!((&last["rule"], &last["outcome"]), (&"budget".into(), &"delay".into()));
    assert_eq!(last["evidence"]["max"], 2);
    assert_eq!(shown["decision"]["verdict"]["kind"], "hold");
    let attempts = &shown["messages"][0]["attempts"];
    assert_eq!(attempts[0]["reply"], "451 later");
    assert_eq!(attempts[1]["took_ms"], 84);
    assert_eq!(shown["messages"][0]["to"], "a***@example.com");

    let counts = desk.get("/api/overview").await.json();
    assert_eq!(counts["total"], 1);
    let scheduled = counts["states"].as_array().unwrap().iter().find(|it| it["state"] == "SCHEDULED");
    assert_eq!(scheduled.unwrap()["reasons"][0]["reason"], "BUDGET_EXCEEDED");
}

#[tokio::test]
async fn what_belongs_to_another_caller_is_not_there() {
    let desk = Desk::open(|_| {}).await;
    let mut record = samples::record(&desk.ids, 0, "order.confirmation", "c-42", Reason::HandedOver);
    record.notification.identity.caller = CallerId::new("other");
    let record = samples::with_message(&desk.ids, record, Channel::Sms, MessageState::Sent, &[]);
    let id = record.notification.id;
    let message = record.messages[0].id;
    desk.store.records.lock().unwrap().push(record);
    desk.inbox.0.lock().unwrap().push(samples::sms(message, 2, "hello"));
    assert_eq!(desk.get(&format!("/api/notifications/{id}")).await.status, 404);
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
    assert!(feed.until("0\r\n\r\n").await, "the feed ends, to be opened again");
}

#[tokio::test]
async fn the_feed_goes_on_where_it_was() {
    let desk = Desk::open(|_| {}).await;
    let record = samples::record(&desk.ids, 0, "order.confirmation", "c-42", Reason::HandedOver);
    let id = record.notification.id;
    desk.store.records.lock().unwrap().push(record);
    let commit = |count: usize| {
        for _ in 0..count {
            desk.store.commit(id, Status::from(Reason::HandedOver), samples::at(1));
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
    let mut resumed = desk.feed("/api/events?recent=3", "Last-Event-ID: 10\r\n").await;
    assert!(resumed.until("id: 251").await);
    let expected: Vec<String> = (11..=251).map(|id| id.to_string()).collect();
    assert_eq!(resumed.ids(), expected);

    let wrong = desk.ask("GET /api/events", "Host: localhost\r\nLast-Event-ID: x\r\n").await;
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
    for _ in 0..super::live::MAX_FEEDS {
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
        desk.store.commit(id, Status::from(Reason::HandedOver), samples::at(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut feed = desk.feed("/api/events", "").await;
        feed.until("\r\n\r\n").await;
        if feed.seen.starts_with("HTTP/1.1 200") {
            return;
        }
    }
    panic!("no feed was given back");
}

/// For a person to look at: `cargo test serve_samples -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "runs until it is stopped"]
async fn serve_samples() {
    let desk = Desk::open(|_| {}).await;
    eprintln!("console  http://127.0.0.1:{}", desk.port);
    let ok = [(AttemptResult::Ok, "250 2.0.0 Ok: queued as 4bYx")];
    let retried = [
        (AttemptResult::Transient, "451 4.7.1 try again later"),
        (AttemptResult::Throttled, "450 slow down"),
        (AttemptResult::Ok, "250 2.0.0 Ok"),
    ];
    let refused = [(AttemptResult::Permanent, HOSTILE)];
    let mut seconds = 0;
    loop {
        for (template, channel, reason, tries) in [
            ("order.confirmation", Channel::Email, Reason::HandedOver, &retried[..]),
            ("delivery.shipped", Channel::Sms, Reason::Receipt, &ok[..]),
            ("care.guide", Channel::Chat, Reason::HandedOver, &ok[..]),
            ("review.request", Channel::Email, Reason::BudgetExceeded, &[][..]),
            ("newsletter.monthly", Channel::Email, Reason::ConsentMissing, &[][..]),
            ("delivery.delayed", Channel::Sms, Reason::ProviderRejected, &refused[..]),
        ] {
            seconds += 17;
            let mut record = samples::record(&desk.ids, seconds, template, "c-42", reason);
            if reason == Reason::BudgetExceeded {
                record.notification.due_at = Some(samples::at(37 * 3600));
            }
            if !tries.is_empty() {
                let state = if reason == Reason::ProviderRejected { MessageState::Bounced } else { MessageState::Sent };
                record = samples::with_message(&desk.ids, record, channel, state, tries);
                let id: MessageId = record.messages[0].id;
                let capture = match (channel, reason) {
                    (_, Reason::ProviderRejected) => samples::sms(id, seconds, HOSTILE),
                    (Channel::Email, _) => samples::mail(id, seconds, "Your order 4711 — thank you", samples::MAIL_HTML),
                    (Channel::Sms, _) => samples::sms(id, seconds, "Outdoor Shop: your parcel 4711 is on its way and arrives tomorrow between 10 and 12. Follow it: shop.example/t/4711 — if nobody is at home we leave it with a neighbour."),
                    (Channel::Chat, _) => samples::chat(id, seconds, "**Your stove is here!** Before the first fire:\n1. Check the seal\n2. Prime it *outside*\n\nThe whole guide: <https://shop.example/guides/stove> or ask with `/help`."),
                };
                desk.inbox.0.lock().unwrap().insert(0, capture);
            }
            let id = record.notification.id;
            let status = record.notification.status;
            desk.store.records.lock().unwrap().push(record);
            desk.store.commit(id, Status::from(Reason::Ready), samples::at(seconds));
            desk.store.commit(id, status, samples::at(seconds + 1));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

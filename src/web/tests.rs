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
mod guard;
mod inbox;
mod live;
mod notifications;
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
        let mut store =
            FakeStore::new(Vec::new(), vec![samples::customer("c-42", "Europe/Berlin")]);
        change(&mut store);
        let store = Arc::new(store);
        let inbox = Arc::new(FakeInbox::default());
        let console = Console {
            store: store.clone(),
            clock: Arc::new(ManualClock::new(samples::at(3600))),
            captures: inbox.clone(),
            identity: Identity::local(),
            metrics: Arc::new(|| "tidings_build_info 1\n".to_owned()),
            pages: true,
            ready: Arc::new(|| Err("it is shutting down")),
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
        self.ask(&format!("GET {path}"), "Host: localhost\r\n")
            .await
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

/// For a person to look at, ten minutes long: `cargo test serve_samples -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "has nothing to say about the code"]
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
    for _ in 0..300 {
        for (template, channel, reason, tries) in [
            (
                "order.confirmation",
                Channel::Email,
                Reason::HandedOver,
                &retried[..],
            ),
            ("delivery.shipped", Channel::Sms, Reason::Receipt, &ok[..]),
            ("care.guide", Channel::Chat, Reason::HandedOver, &ok[..]),
            (
                "review.request",
                Channel::Email,
                Reason::BudgetExceeded,
                &[][..],
            ),
            (
                "newsletter.monthly",
                Channel::Email,
                Reason::ConsentMissing,
                &[][..],
            ),
            (
                "delivery.delayed",
                Channel::Sms,
                Reason::ProviderRejected,
                &refused[..],
            ),
        ] {
            seconds += 17;
            let mut record = samples::record(&desk.ids, seconds, template, "c-42", reason);
            if reason == Reason::BudgetExceeded {
                record.notification.due_at = Some(samples::at(37 * 3600));
            }
            if !tries.is_empty() {
                let state = if reason == Reason::ProviderRejected {
                    MessageState::Bounced
                } else {
                    MessageState::Sent
                };
                record = samples::with_message(&desk.ids, record, channel, state, tries);
                let id: MessageId = record.messages[0].id;
                let capture = match (channel, reason) {
                    (_, Reason::ProviderRejected) => samples::sms(id, seconds, HOSTILE),
                    (Channel::Email, _) => samples::mail(
                        id,
                        seconds,
                        "Your order 4711 — thank you",
                        samples::MAIL_HTML,
                    ),
                    (Channel::Sms, _) => samples::sms(
                        id,
                        seconds,
                        "Outdoor Shop: your parcel 4711 is on its way and arrives tomorrow between 10 and 12. Follow it: shop.example/t/4711 — if nobody is at home we leave it with a neighbour.",
                    ),
                    (Channel::Chat, _) => samples::chat(
                        id,
                        seconds,
                        "**Your stove is here!** Before the first fire:\n1. Check the seal\n2. Prime it *outside*\n\nThe whole guide: <https://shop.example/guides/stove> or ask with `/help`.",
                    ),
                };
                desk.inbox.0.lock().unwrap().insert(0, capture);
            }
            let id = record.notification.id;
            let status = record.notification.status;
            desk.store.records.lock().unwrap().push(record);
            desk.store
                .commit(id, Status::from(Reason::Ready), samples::at(seconds));
            desk.store.commit(id, status, samples::at(seconds + 1));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

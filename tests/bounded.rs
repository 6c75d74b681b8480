//! Nothing is kept in memory for each notification: three times as many due, with a provider that is dead, take no more than a little
//! more memory, and intake answers all the while. A store at its limit is the business of `store_full`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::proto::{
    self, BatchSendNotificationsRequest, GetNotificationRequest, InlineRecipient,
    NotificationIntent, SendNotificationRequest, notification_intent,
};

const FEW: usize = 12_000;
const MANY: usize = 24_000;
const BATCH: usize = 500;
/// Each notification carries this much more than its smallest form, so that keeping one would show.
const URL_BYTES: usize = 2_000;
const LABELS: usize = 16;
const LABEL_BYTES: usize = 250;
/// What one more may add: less than half of what it would take to keep it. With the first of them the caches of the store are full.
const GROWTH_MAX_BYTES: f64 = 2_500.0;
/// What a caller waits for an answer at most.
const DEADLINE: Duration = Duration::from_secs(10);

fn request(number: usize) -> SendNotificationRequest {
    let recipient = InlineRecipient {
        email_address: format!("c{}@shop-customers.example.com", number % 500),
        ..InlineRecipient::default()
    };
    let url = format!("https://tracking.example/{}", "t".repeat(URL_BYTES));
    let variables =
        json!({"order": {"number": number.to_string()}, "shipment": {"tracking_url": url}});
    SendNotificationRequest {
        intent: Some(NotificationIntent {
            recipient: Some(notification_intent::Recipient::InlineRecipient(recipient)),
            template: "order.shipped".into(),
            variables: Some(proto::structure(variables.as_object().unwrap())),
            labels: (0..LABELS)
                .map(|at| (format!("label-{at}"), "l".repeat(LABEL_BYTES)))
                .collect(),
            ..NotificationIntent::default()
        }),
        request_id: format!("r-{number}"),
        validate_only: false,
    }
}

/// A gateway as a process of its own, so that its memory is its own.
struct Gateway {
    child: Child,
    grpc: String,
    console: String,
}

impl Gateway {
    /// Starts one whose mail server is not there.
    fn start(folder: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = listener.local_addr().unwrap().port();
        drop(listener);
        let data = folder.join("data");
        let settings = format!(
            "server.grpc_address = \"127.0.0.1:0\"\nserver.console_address = \"127.0.0.1:0\"\nserver.drain = \"1s\"\n\
             store.path = {data:?}\n[providers.smtp.dead]\nhost = \"127.0.0.1\"\nport = {nobody}\ntls = \"none\"\n"
        );
        let file = folder.join("gateway.toml");
        std::fs::write(&file, settings).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut gateway = Self {
            child,
            grpc: String::new(),
            console: String::new(),
        };
        let output = BufReader::new(gateway.child.stdout.take().unwrap());
        // Four lines: where it listens, its data, its templates.
        for line in output.lines().take(4) {
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("gRPC") {
                address.trim().clone_into(&mut gateway.grpc);
            } else if let Some(address) = line.strip_prefix("console") {
                let address = address.trim().trim_start_matches("http://");
                address.clone_into(&mut gateway.console);
            }
        }
        assert!(!gateway.grpc.is_empty(), "it did not start");
        gateway
    }

    fn resident_bytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kibibytes.parse::<f64>().unwrap() * 1024.0
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Accepts all of them; the most memory that was held meanwhile.
async fn accept(client: &Client, numbers: std::ops::Range<usize>, gateway: &Gateway) -> f64 {
    let mut peak = 0.0_f64;
    for first in numbers.clone().step_by(BATCH) {
        let last = numbers.end.min(first + BATCH);
        let request = BatchSendNotificationsRequest {
            requests: (first..last).map(request).collect(),
            return_partial_success: false,
        };
        let mut service = client.notifications();
        let answer = service.batch_send_notifications(request).await;
        let answer = answer.unwrap().into_inner();
        assert_eq!(answer.accepted.len(), last - first);
        peak = peak.max(gateway.resident_bytes());
    }
    peak
}

async fn failures(console: &str) -> f64 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(console).await.unwrap();
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {console}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text.lines()
        .filter(|line| {
            line.starts_with("tidings_delivery_attempts_total{")
                && line.contains("result=\"transient\"")
        })
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_provider_and_many_due_take_no_memory_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path());
    let client = Client::connect(&gateway.grpc).await.unwrap();

    let few = accept(&client, 0..FEW, &gateway).await;
    let many = accept(&client, FEW..MANY, &gateway).await;
    let growth = (many - few).max(0.0) / (MANY - FEW) as f64;
    println!("{few} bytes with {FEW}, {many} with {MANY}: {growth:.0} for each");
    assert!(
        growth < GROWTH_MAX_BYTES,
        "{growth:.0} bytes for each notification"
    );
    assert!(
        failures(&gateway.console).await > 0.0,
        "nothing was tried, so nothing failed"
    );

    // Intake answers within a caller's deadline, and what it took is there.
    let started = Stopwatch::start();
    let asked = client
        .notifications()
        .send_notification(request(MANY))
        .await;
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
    let name = asked.unwrap().into_inner().notification.unwrap().name;
    let found = client
        .notifications()
        .get_notification(GetNotificationRequest { name: name.clone() })
        .await;
    assert_eq!(found.unwrap().into_inner().notification.unwrap().name, name);
}

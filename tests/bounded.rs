//! Nothing is kept in memory for each notification: four times as many due, with a provider that is dead, take no more than a little
//! more memory, and intake answers all the while. A store at its limit is the business of `store_full`.

mod support {
    pub(crate) mod binary;
}

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use support::binary::Binary;
use tidings::client::Client;
use tidings::proto::{
    self, BatchSendNotificationsRequest, GetNotificationRequest, InlineRecipient,
    NotificationIntent, SendNotificationRequest, notification_intent,
};

const FEW: usize = 5_000;
const MANY: usize = 20_000;
const BATCH: usize = 500;
/// Each notification carries this much more than its smallest form, so that keeping one would show.
const URL_BYTES: usize = 2_000;
/// What one more may add: less than half of what it would be to keep it.
const GROWTH_MAX_BYTES: f64 = 1_000.0;
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
            ..NotificationIntent::default()
        }),
        request_id: format!("r-{number}"),
        validate_only: false,
    }
}

/// A gateway whose mail server is not there.
fn start(folder: &Path) -> Binary {
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
    Binary::logging_to(
        std::process::Stdio::null(),
        &["serve", "--config", file.to_str().unwrap()],
        &[],
    )
}

/// The gateway's process, found by its configuration.
fn process(folder: &Path) -> u32 {
    let file = folder.join("gateway.toml");
    let named = |id: &u32| {
        std::fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(file.to_str().unwrap()))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .find(named)
        .unwrap()
}

fn resident_bytes(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kibibytes.parse::<f64>().unwrap() * 1024.0
}

/// Accepts all of them; the most memory that was held meanwhile.
async fn accept(client: &Client, numbers: std::ops::Range<usize>, process: u32) -> f64 {
    let mut peak = 0.0_f64;
    for first in numbers.clone().step_by(BATCH) {
        let last = numbers.end.min(first + BATCH);
        let request = BatchSendNotificationsRequest {
            requests: (first..last).map(request).collect(),
            return_partial_success: false,
        };
        let answer = client.notifications().batch_send_notifications(request);
        let answer = answer.await.unwrap().into_inner();
        assert_eq!(answer.accepted.len(), last - first);
        peak = peak.max(resident_bytes(process));
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
    let gateway = start(folder.path());
    let process = process(folder.path());
    let client = Client::connect(&gateway.grpc).await.unwrap();

    let few = accept(&client, 0..FEW, process).await;
    let many = accept(&client, FEW..MANY, process).await;
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
    let started = Instant::now();
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
    assert_eq!(gateway.terminate(), Some(0));
}

//! Health and metrics are told to machines that have no credential and speak no TLS, and nothing else is.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use tidings::proto::notification_service_client::NotificationServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::pki::Pki;
use crate::program::program;
use crate::{ALL, caller, configured, tls};

/// Ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The status of a GET over HTTP/1.1.
async fn get(address: &str, path: &str) -> u16 {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: pod-7\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_needs_neither_a_key_nor_tls_and_sees_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let more = format!("{}{}", tls(&pki), caller(folder, "orders", &ALL));
    let config = configured(folder, "0.0.0.0:0", &more);
    let mut child = program()
        .args(["serve", "--config"])
        .arg(&config)
        .env("TIDINGS_SERVER__HEALTH_ADDRESS", "0.0.0.0:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let _ending = Ending(child);
    let mut lines = said.lines().map_while(Result::ok);
    let line = lines
        .find_map(|line| Some(line.strip_prefix("health")?.to_owned()))
        .unwrap();
    let (_, port) = line.rsplit_once(':').unwrap();
    let address = format!("127.0.0.1:{port}");

    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 404),
        ("/api/overview", 404),
        ("/tidings.v1.NotificationService/ListNotifications", 404),
    ] {
        assert_eq!(get(&address, path).await, status, "{path}");
    }
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    for service in ["", "ingest", "worker"] {
        let asked = HealthCheckRequest {
            service: service.into(),
        };
        let answer = HealthClient::new(channel.clone()).check(asked).await;
        let status = answer.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    let mut calls = NotificationServiceClient::new(channel);
    let refused = calls.list_notifications(tidings::proto::ListNotificationsRequest::default());
    assert!(refused.await.is_err(), "a call was answered without a key");
}

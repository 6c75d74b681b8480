//! F18: SIGTERM under load, with clients that hang on the door.

use std::time::Duration;

use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::proto::WatchNotificationsRequest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Done;
use crate::gateway::Gateway;
use crate::store_file;
use crate::trial::{Pace, Trial};

/// Six seconds to drain, of which hanging clients get half, one for tasks that hang; the rest is the machine's.
const DEADLINE: Duration = Duration::from_secs(10);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

pub(crate) async fn under_load(count: u64, pace: Pace) -> Done {
    let mut trial = Trial::begin(pace).await;
    for _ in 0..count {
        let mut gateway = trial.start("").await.expect("nothing is armed");
        let hanging = hang(&gateway).await;
        trial.live(0.5, 2.5).await;
        let asked = Stopwatch::start();
        gateway.signal("-TERM").await;
        match gateway.end(DEADLINE).await {
            Some(status) if status.code() == Some(0) => {}
            Some(status) => trial.run.faults.push(format!("it ended by {status}")),
            None => {
                let took = asked.elapsed();
                trial.run.faults.push(format!("it runs on after {took:?}"));
                gateway.kill().await;
            }
        }
        drop(hanging);
        let open = store_file::handing_over(&trial.data).await;
        if !open.is_empty() {
            let fault = format!(
                "{} attempts have no outcome after an orderly end",
                open.len()
            );
            trial.run.faults.push(fault);
        }
        trial.died().await;
    }
    Done::Run(trial.finish().await)
}

/// Clients that hang, until they are dropped: one that never says a word, one that asks and does not read, one that watches and does
/// not look.
async fn hang(gateway: &Gateway) -> impl Drop + use<> {
    let silent = TcpStream::connect(&gateway.grpc).await.unwrap();
    let mut deaf = TcpStream::connect(&gateway.grpc).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        // Each ping must be answered: soon nothing goes either way.
        let mut said = deaf.write_all(&[PREFACE, SETTINGS].concat()).await;
        while said.is_ok() {
            said = deaf.write_all(PING).await;
        }
        std::future::pending::<()>().await;
    });
    let client = Client::connect(&gateway.grpc).await.unwrap();
    tasks.spawn(async move {
        let mut service = client.notifications();
        let watching = service.watch_notifications(WatchNotificationsRequest::default());
        let _stream = watching.await;
        std::future::pending::<()>().await;
    });
    tasks.spawn(async move {
        let _silent = silent;
        std::future::pending::<()>().await;
    });
    tasks
}

//! Bugs: a clock that panics wherever it is asked, one time in so many. Each panic costs what its task was doing; the process goes
//! on, the tasks come back, and all of it is counted.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tidings::app::{Gateway, Setup};
use tidings::catalog::Source;
use tidings::client::Client;
use tidings::config::Config;
use tidings::domain::clock::{Clock, Stopwatch, SystemClock};
use tidings::proto::notification::State;
use tonic::Code;

use crate::shop::{get, guest, reach, shipped, status, try_send};

/// Panics at every `every`th question; 0: never.
#[derive(Debug, Default)]
struct Trap {
    every: AtomicUsize,
    asked: AtomicUsize,
}

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        let every = self.every.load(Ordering::SeqCst);
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(every == 0 || asked % every != every - 1, "a bug");
        SystemClock.now()
    }

    fn until(&self, instant: Timestamp) -> Duration {
        SystemClock.until(instant)
    }
}

/// How often each task has panicked, by `/metrics`.
fn counted(console: SocketAddr) -> BTreeMap<String, u64> {
    let mut socket = TcpStream::connect(console).unwrap();
    write!(
        socket,
        "GET /metrics HTTP/1.1\r\nHost: {console}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let row = |line: &str| {
        let rest = line.strip_prefix("tidings_task_panics_total{task=\"")?;
        let (task, count) = rest.split_once("\"} ")?;
        Some((task.to_owned(), count.parse().unwrap()))
    };
    answer.lines().filter_map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_is_counted_and_the_others_go_on() {
    // One line each: where RUST_BACKTRACE is set, hundreds of backtraces would take longer than the test may.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::embedded(folder.path());
    config.server.grpc_address.set_port(0);
    config.server.console_address.set_port(0);
    let trap = Arc::new(Trap::default());
    let setup = Setup {
        source: Source::Embedded,
        clock: trap.clone(),
        clock_note: String::new(),
        chaos: Vec::new(),
    };
    let gateway = Gateway::start(config, setup).await.unwrap();
    let client = Client::connect(&gateway.grpc_address().to_string())
        .await
        .unwrap();
    let console = gateway.console_address();

    // A prime, so that the questions of one task do not always fall on the same one; more than any task asks in one go, or the
    // first in line would always be the one that falls.
    trap.every.store(23, Ordering::SeqCst);
    let begun = Stopwatch::start();
    let (mut taken, mut failed, mut number) = (Vec::new(), 0, 0);
    let every = ["api", "relay", "scheduler", "worker"];
    while !every
        .iter()
        .all(|task| counted(console).contains_key(*task))
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            counted(console)
        );
        number += 1;
        match try_send(
            &client,
            &number.to_string(),
            shipped("1", guest("ada@example.com")),
        )
        .await
        {
            Ok(notification) => taken.push(notification.name),
            Err(status) => {
                assert_eq!(status.code(), Code::Internal, "{status:?}");
                assert_eq!(status.message(), "the gateway failed; its log tells why");
                failed += 1;
            }
        }
    }
    trap.every.store(0, Ordering::SeqCst);
    let counted = counted(console);
    println!("{number} sends, {failed} answered INTERNAL, panics by task: {counted:?}");
    assert_eq!(counted["api"], failed);

    let good = try_send(&client, "good", shipped("1", guest("bea@example.com")))
        .await
        .unwrap();
    reach(&client, &good.name, (State::Sent, "HANDED_OVER")).await;
    // What was taken has an end or a next try; nothing hangs between two states.
    for name in &taken {
        let begun = Stopwatch::start();
        loop {
            let found = get(&client, name).await;
            match status(&found) {
                (State::Sent, "HANDED_OVER") | (State::Failed, "INTERNAL") => break,
                (State::Scheduled, "RETRY") if found.next_attempt_time.is_some() => break,
                _ => assert!(begun.elapsed() < Duration::from_secs(30), "{found:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    drop(client);
    assert!(gateway.stop().await, "it did not end by itself");
}

//! A backup that is made under load, a loss, and the backup in its place: the program sees it, sends nothing before an operator has
//! spoken, and then sends nothing again but what its category allows.

#[path = "faults/gateway.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod gateway;
#[path = "support/http_fake.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod http_fake;
#[path = "faults/ledger.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod ledger;
#[path = "faults/load.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod load;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod postgres;
#[path = "faults/receivers.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod receivers;
#[path = "faults/shop.rs"]
mod shop;
#[path = "support/skip.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod skip;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tidings::client::Client;
use tidings::domain::clock::{Clock as _, Stopwatch, SystemClock};
use tidings::proto::notification::State;
use tokio::process::Command;

use gateway::{Gateway, Start, binary};
use ledger::Ledger;
use load::{Load, all};
use postgres::Server;
use receivers::{Manners, Receivers};
use shop::Kind;

/// Orders a second.
const RATE: u64 = 60;
/// From a receiver's taking to its answer: with the rate it makes how much a backup finds under way.
const DELAY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(90);

/// Where everything lies.
enum Engine {
    Embedded,
    Shared(Box<Server>),
}

struct Site {
    folder: tempfile::TempDir,
    data: PathBuf,
    config: PathBuf,
    engine: Engine,
    ledger: Ledger,
    load: Load,
    _receivers: Receivers,
}

impl Site {
    async fn open(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let ledger = Ledger::begin(&folder.path().join("ledger"));
        let manners = Manners {
            delay: DELAY,
            trouble: false,
        };
        let receivers = Receivers::start(ledger.clone(), manners).await;
        Self {
            config: shop::settings(folder.path(), &data, Some(&receivers)),
            folder,
            data,
            engine,
            ledger,
            load: Load::begin(RATE),
            _receivers: receivers,
        }
    }

    async fn start(&self) -> Gateway {
        let mut command = Command::new(binary());
        // Checks, which are held when they are unknown, come in faster than they go out: a backup finds some that wait.
        command.env("TIDINGS_WORKERS__EMAIL__CONCURRENCY_BULK", "2");
        if let Engine::Shared(server) = &self.engine {
            command
                .env("TIDINGS_STORE__KIND", "postgres")
                .env("TIDINGS_STORE__POSTGRES__HOST", server.host())
                .env("TIDINGS_STORE__POSTGRES__DATABASE", "postgres")
                .env("TIDINGS_STORE__POSTGRES__USER", "postgres");
        }
        match Gateway::start_as(command, &self.config, "").await {
            Start::Up(gateway) => gateway,
            Start::Died(status) => panic!("it did not start, {status}: {}", self.log()),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default()
    }

    async fn taken(&self, more: usize) {
        let before = self.load.count();
        let waited = Stopwatch::start();
        while self.load.count() < before + more {
            assert!(waited.elapsed() < PATIENCE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A backup of what runs, and when it was begun.
    fn back_up(&self) -> (PathBuf, Timestamp) {
        let begun = SystemClock.now();
        let backup = match &self.engine {
            Engine::Embedded => {
                let backup = self.folder.path().join("backup.db");
                let live = rusqlite::Connection::open(self.data.join("tidings.db")).unwrap();
                live.execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
                    .unwrap();
                backup
            }
            Engine::Shared(server) => server.back_up(),
        };
        (backup, begun)
    }

    /// What happens to an installation that lost its disk.
    fn put_back(&mut self, backup: &Path) {
        match &mut self.engine {
            Engine::Embedded => {
                for file in ["tidings.db-wal", "tidings.db-shm"] {
                    let _ = std::fs::remove_file(self.data.join(file));
                }
                // Over the file in its place: nothing but what is in it tells the one from the other.
                let bytes = std::fs::read(backup).unwrap();
                std::fs::write(self.data.join("tidings.db"), bytes).unwrap();
            }
            Engine::Shared(server) => {
                server.kill();
                server.put_back(backup);
                server.run();
            }
        }
    }
}

/// The status and the body of what a console answers.
async fn ready(console: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = console.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// `tidings ARGUMENTS` at this gateway: exit code, both outputs.
async fn tidings(grpc: &str, arguments: &[&str]) -> (i32, String, String) {
    let run = Command::new(binary())
        .args(arguments)
        .args(["--address", grpc])
        .output()
        .await
        .unwrap();
    (
        run.status.code().unwrap(),
        String::from_utf8(run.stdout).unwrap(),
        String::from_utf8(run.stderr).unwrap(),
    )
}

fn field(out: &str, name: &str) -> u64 {
    let line = out.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {out}"))
        .trim()
        .parse()
        .unwrap()
}

async fn restored_under_load(engine: Engine) {
    let mut site = Site::open(engine).await;
    let gateway = site.start().await;
    site.load.open(&gateway.grpc).await;
    site.taken(150).await;
    let before: BTreeSet<u64> = site.load.acknowledged().into_keys().collect();
    let (backup, begun) = site.back_up();
    site.taken(150).await;
    site.load.close();
    assert!(gateway.kill().await, "it died by itself");
    site.put_back(&backup);
    // What was on its way to the receivers.
    tokio::time::sleep(DELAY).await;
    let received = site.ledger.read().len();

    let gateway = site.start().await;
    let (status, why) = ready(&gateway.console).await;
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("tidings recover"), "{why}");
    let order = [
        "send",
        "order.shipped",
        "--to",
        "a@example.com",
        "--var",
        "order.number=1",
    ];
    let (code, _, err) = tidings(&gateway.grpc, &order).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("tidings recover"), "{err}");
    // Longer than a relay, a worker and a receiver need for what is ready.
    tokio::time::sleep(DELAY * 3).await;
    assert_eq!(
        site.ledger.read().len(),
        received,
        "sent before an operator has spoken"
    );

    let from = begun.to_string();
    let (code, out, err) = tidings(&gateway.grpc, &["recover", "--from", &from]).await;
    assert_eq!(code, 0, "{err}");
    let (held, resent) = (field(&out, "held as unknown"), field(&out, "sent again"));
    assert!(held > 0 && resent > 0, "{out}");
    let (code, _, err) = tidings(&gateway.grpc, &["recover", "--complete"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("does not wait for an operator"), "{err}");
    site.load.open(&gateway.grpc).await;
    site.taken(60).await;
    assert_eq!(ready(&gateway.console).await.0, 200);
    site.load.finish().await;
    judge(&site, &gateway, &before).await;
}

/// What the backup held is there and ends, and the receivers had nothing twice that may not come twice.
async fn judge(site: &Site, gateway: &Gateway, before: &BTreeSet<u64>) {
    let client = Client::connect(&gateway.grpc).await.unwrap();
    let waited = Stopwatch::start();
    let notifications = loop {
        let all = all(&client).await;
        let open = all.iter().filter(|one| {
            matches!(
                one.state(),
                State::Accepted | State::Scheduled | State::Processing
            )
        });
        if open.count() == 0 {
            break all;
        }
        assert!(waited.elapsed() < PATIENCE, "{}", site.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let there: BTreeSet<u64> = notifications
        .iter()
        .map(|one| shop::order_of_reference(&one.intent.as_ref().unwrap().reference))
        .collect();
    let lost: Vec<_> = before.difference(&there).collect();
    assert!(lost.is_empty(), "the backup held {lost:?}");
    let mut received: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for entry in site.ledger.read() {
        received.entry(entry.order).or_default().push(entry.key);
    }
    let mut again = 0;
    for order in before {
        let keys = received.remove(order).unwrap_or_default();
        let kind = Kind::of(*order);
        if keys.len() > 1 {
            again += 1;
            assert_ne!(kind, Kind::Check, "{order} is of a category that is held");
            let one_key = keys.iter().all(|key| *key == keys[0]);
            assert!(one_key, "{order} came under several ids: {keys:?}");
        }
        if kind != Kind::Check {
            assert!(!keys.is_empty(), "{order} never came");
        }
    }
    println!("{} before the backup, {again} came again", before.len());
    assert!(again > 0, "the backup was too young to show anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_store_restored_under_load_sends_nothing_again_that_may_not_be() {
    restored_under_load(Engine::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_under_load_sends_nothing_again_that_may_not_be() {
    let starting = tokio::task::spawn_blocking(|| Server::start_with(&["fsync=on"]));
    if let Some(server) = starting.await.unwrap() {
        restored_under_load(Engine::Shared(Box::new(server))).await;
    }
}

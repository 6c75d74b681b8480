//! A gateway inside the test's own process, on a clock that the test moves, reached through its gRPC door.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidings::app::{Gateway, Setup};
use tidings::catalog::Source;
use tidings::client::Client;
use tidings::config::Config;
use tidings::domain::clock::{Clock as _, ManualClock};
use tidings::domain::filter::Filter;
use tidings::domain::notification::{Event, Record};
use tidings::domain::shop::Identity;
use tidings::store::{Query, Store};

/// The longest that work which is due may take, real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clock, as tests read it.
pub(crate) struct TestClock(Arc<ManualClock>);

impl TestClock {
    pub(crate) fn now_at(&self) -> Timestamp {
        self.0.now()
    }

    pub(crate) fn advance_to(&self, instant: Timestamp) {
        self.0.advance_to(instant);
    }
}

pub(crate) struct Embedded {
    pub(crate) client: Client,
    pub(crate) clock: TestClock,
    gateway: Gateway,
    folder: tempfile::TempDir,
}

/// A folder in memory where there is one: virtual time is about order, not about disks.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Embedded {
    /// Starts at `now`; `policy` is laid behind the shipped policy's budgets.
    pub(crate) async fn start_at(now: Timestamp, policy: Option<&str>) -> Self {
        let folder = folder();
        let source = policy.map_or(Source::Embedded, |policy| {
            Source::Folder(templates_with(folder.path(), policy))
        });
        Self::start(folder, source, now).await
    }

    pub(crate) async fn start(folder: tempfile::TempDir, source: Source, now: Timestamp) -> Self {
        let config = Config::embedded(folder.path());
        Self::start_with(folder, config, source, now).await
    }

    pub(crate) async fn start_with(
        folder: tempfile::TempDir,
        mut config: Config,
        source: Source,
        now: Timestamp,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(ManualClock::new(now));
        config.server.grpc_address.set_port(0);
        config.server.console_address.set_port(0);
        let setup = Setup {
            source,
            clock: clock.clone(),
            clock_note: String::new(),
            chaos: Vec::new(),
        };
        let gateway = Gateway::start(config, setup).await.unwrap();
        let client = Client::connect(&gateway.grpc_address().to_string())
            .await
            .unwrap();
        Self {
            client,
            clock: TestClock(clock),
            gateway,
            folder,
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.gateway.store()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn grpc_address(&self) -> String {
        self.gateway.grpc_address().to_string()
    }

    /// Lets everything that is due now happen.
    pub(crate) async fn settle(&self) {
        let store = self.store();
        let begun = tokio::time::timeout(PATIENCE, async {
            // What ends in between may bring something due after the store was asked: only what is still twice in a row is still.
            let mut still = 0;
            while still < 2 {
                let idle = self.gateway.outstanding() == 0;
                let due = store.next_due().await.unwrap();
                let nothing_due = due.is_none_or(|due| due > self.clock.now_at());
                let idle = idle && self.gateway.outstanding() == 0;
                if idle && nothing_due {
                    still += 1;
                } else {
                    still = 0;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        if begun.await.is_err() {
            panic!(
                "something is due since {:?} and does not happen, now {}",
                store.next_due().await,
                self.clock.now_at()
            );
        }
    }

    /// Moves the clock to `end`, stopping wherever something comes due.
    pub(crate) async fn run_until(&self, end: Timestamp) {
        let store = self.store();
        loop {
            self.settle().await;
            match store.next_due().await.unwrap().filter(|due| *due < end) {
                Some(due) => self.clock.advance_to(due),
                None => break,
            }
        }
        self.clock.advance_to(end);
        self.settle().await;
    }

    /// Every notification, oldest first.
    pub(crate) async fn all(&self) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        loop {
            let query = Query {
                identity: Identity::local(),
                filter: Filter::Everything,
                descending: false,
                after: records.last().map(|record| record.notification.id),
                limit: 1000,
            };
            let page = self.store().list(query).await.unwrap();
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }

    pub(crate) async fn events(&self, behind: i64) -> Vec<Event> {
        self.store()
            .events(&Identity::local(), behind, 1000)
            .await
            .unwrap()
    }

    pub(crate) async fn stop(self) {
        drop(self.client);
        assert!(
            self.gateway.stop().await,
            "the gateway did not end by itself"
        );
    }
}

/// The shipped templates with a changed policy.
fn templates_with(folder: &Path, policy: &str) -> PathBuf {
    let target = folder.join("templates");
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"),
        &target,
    );
    let file = target.join("policy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n{policy}")).unwrap();
    target
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

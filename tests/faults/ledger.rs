//! What the receivers took, on paper that survives them: every acceptance is appended and synced before it is answered.
//! The judge reads the file and nothing else.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tidings::domain::clock::Stopwatch;
use tokio::sync::{oneshot, watch};

/// One acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// "email", "sms" or "chat".
    pub(crate) channel: String,
    /// The order whose customer it went to.
    pub(crate) order: u64,
    /// Message-ID or nonce; a text message has none.
    pub(crate) key: String,
    /// Which connection it came over.
    pub(crate) connection: u64,
    /// Since the ledger was begun.
    pub(crate) at: Duration,
    /// Whether the sender was told; else the connection was closed instead.
    pub(crate) told: bool,
}

impl Entry {
    fn line(&self) -> String {
        let Self {
            channel,
            order,
            key,
            connection,
            at,
            told,
        } = self;
        let at = u64::try_from(at.as_micros()).unwrap();
        let value = json!({"channel": channel, "order": order, "key": key, "connection": connection, "at_us": at, "told": told});
        format!("{value}\n")
    }

    fn read(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        let number = |name: &str| value[name].as_u64().unwrap();
        Self {
            channel: text("channel"),
            order: number("order"),
            key: text("key"),
            connection: number("connection"),
            at: Duration::from_micros(number("at_us")),
            told: value["told"].as_bool().unwrap(),
        }
    }
}

type Waiting = (Entry, oneshot::Sender<()>);

/// Open for writing. Clones write to the same file.
#[derive(Clone)]
pub(crate) struct Ledger {
    path: Arc<PathBuf>,
    watch: Arc<Stopwatch>,
    entries: mpsc::Sender<Waiting>,
    times: Arc<Mutex<Vec<Duration>>>,
    newest: watch::Receiver<Duration>,
}

impl Ledger {
    pub(crate) fn begin(path: &Path) -> Self {
        let file = File::options()
            .create_new(true)
            .append(true)
            .open(path)
            .unwrap();
        let (entries, waiting) = mpsc::channel::<Waiting>();
        let (news, newest) = watch::channel(Duration::ZERO);
        let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let known = times.clone();
        // A thread of its own: syncing blocks, and what comes meanwhile shares the next sync.
        std::thread::spawn(move || write(file, &waiting, &known, &news));
        Self {
            path: Arc::new(path.to_owned()),
            watch: Arc::new(Stopwatch::start()),
            entries,
            times,
            newest,
        }
    }

    /// Time since it was begun.
    pub(crate) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Returns when the entry is on disk.
    pub(crate) async fn note(&self, entry: Entry) {
        let (done, written) = oneshot::channel();
        self.entries.send((entry, done)).unwrap();
        written.await.unwrap();
    }

    /// When the first entry after `mark` was made; waits for it.
    pub(crate) async fn first_after(&self, mark: Duration) -> Duration {
        let mut newest = self.newest.clone();
        newest.wait_for(|at| *at > mark).await.unwrap();
        let times = self.times.lock().unwrap();
        let found = times.iter().rev().take_while(|at| **at > mark);
        *found.min().unwrap()
    }

    /// When the newest entry was made.
    pub(crate) fn newest(&self) -> Duration {
        *self.newest.borrow()
    }

    /// All of them, from the disk.
    pub(crate) fn read(&self) -> Vec<Entry> {
        let text = std::fs::read_to_string(self.path.as_path()).unwrap();
        // The last line may still be written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Entry::read).collect()
    }
}

fn write(
    mut file: File,
    waiting: &mpsc::Receiver<Waiting>,
    times: &Mutex<Vec<Duration>>,
    news: &watch::Sender<Duration>,
) {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Waiting> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let text: String = batch.iter().map(|(entry, _)| entry.line()).collect();
        file.write_all(text.as_bytes()).unwrap();
        file.sync_data().unwrap();
        let mut newest = Duration::ZERO;
        for (entry, _) in &batch {
            times.lock().unwrap().push(entry.at);
            newest = newest.max(entry.at);
        }
        news.send_if_modified(|known| {
            let newer = newest > *known;
            *known = newest.max(*known);
            newer
        });
        for (_, done) in batch {
            // Whoever waited may have been cut off meanwhile.
            let _ = done.send(());
        }
    }
}

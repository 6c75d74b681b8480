//! One trial: a folder, receivers, callers, and a gateway that dies and is started again; at its end everything is judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::domain::id::chance;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::gateway::{Gateway, Start, binary};
use crate::judge::{Case, Verdict, judge};
use crate::ledger::Ledger;
use crate::load::{Acknowledged, Load, all};
use crate::receivers::{Manners, Receivers};
use crate::report::Run;
use crate::shop;
use crate::store_file;

/// A restart has its first message received after this time at the latest.
pub(crate) const RESTART: Duration = Duration::from_secs(2);
/// The longest that everything open may take to end when nothing new comes.
const QUIET: Duration = Duration::from_secs(90);

/// How much is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Orders a second.
    pub(crate) rate: u64,
    /// How long receivers take to answer: with the rate it makes how much is in flight.
    pub(crate) delay: Duration,
    /// Whether a life begins with its first message, or with its doors.
    pub(crate) patient: bool,
}

impl Pace {
    /// For a release build on two cores.
    pub(crate) const FULL: Self = Self {
        rate: 200,
        delay: Duration::from_millis(250),
        patient: false,
    };
    /// For a debug build beside other tests.
    pub(crate) const SHORT: Self = Self {
        rate: 80,
        delay: Duration::from_millis(500),
        patient: true,
    };
}

pub(crate) struct Trial {
    folder: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) ledger: Ledger,
    pub(crate) load: Load,
    /// Variables that every start of the gateway gets.
    pub(crate) environment: Vec<(&'static str, String)>,
    _receivers: Receivers,
    pub(crate) patient: bool,
    handing_over: BTreeMap<u64, u32>,
    started: Option<(Duration, JoinHandle<Duration>)>,
    pub(crate) run: Run,
}

impl Trial {
    pub(crate) async fn begin(pace: Pace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::begin_on(pace, folder, data).await
    }

    /// The same with the store in `data`.
    pub(crate) async fn begin_on(pace: Pace, folder: tempfile::TempDir, data: PathBuf) -> Self {
        let ledger = Ledger::begin(&folder.path().join("ledger"));
        let manners = Manners {
            delay: pace.delay,
            trouble: true,
        };
        let receivers = Receivers::start(ledger.clone(), manners).await;
        let config = shop::settings(folder.path(), &data, Some(&receivers));
        Self {
            config,
            data,
            ledger,
            load: Load::begin(pace.rate),
            environment: Vec::new(),
            _receivers: receivers,
            patient: pace.patient,
            handing_over: BTreeMap::new(),
            started: None,
            run: Run::default(),
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A gateway lives for a while, and works.
    pub(crate) async fn live(&self, from: f64, to: f64) {
        if self.patient
            && let Some((mark, _)) = &self.started
        {
            self.ledger.first_after(*mark).await;
        }
        tokio::time::sleep(Duration::from_secs_f64(from + chance() * (to - from))).await;
    }

    pub(crate) fn acknowledged(&self) -> Acknowledged {
        self.load.acknowledged()
    }

    /// Starts the gateway and lets the callers in. `None`: it has died already.
    pub(crate) async fn start(&mut self, points: &str) -> Option<Gateway> {
        self.starting();
        let mut command = Command::new(binary());
        command.envs(self.environment.iter().cloned());
        let start = Gateway::start_as(command, &self.config, points).await;
        self.opened(start, !points.is_empty()).await
    }

    /// The same by a command that ends in the program, where it may be killed at any time.
    pub(crate) async fn start_as(&mut self, command: Command) -> Option<Gateway> {
        self.starting();
        let start = Gateway::start_as(command, &self.config, "").await;
        self.opened(start, true).await
    }

    async fn opened(&self, start: Start, may_die: bool) -> Option<Gateway> {
        match start {
            Start::Up(gateway) => {
                self.load.open(&gateway.grpc).await;
                Some(gateway)
            }
            Start::Died(status) => {
                assert!(may_die, "the gateway did not start: {status}");
                None
            }
        }
    }

    /// From now on the time to the first message counts.
    fn starting(&mut self) {
        let mark = self.ledger.now();
        let ledger = self.ledger.clone();
        let first = tokio::spawn(async move { ledger.first_after(mark).await - mark });
        self.started = Some((mark, first));
    }

    /// What a start took to its first message. The first start of all finds nothing to send; one that was cut short counts when it
    /// was too long already.
    async fn started(&mut self) {
        let Some((mark, first)) = self.started.take() else {
            return;
        };
        let took = if first.is_finished() {
            first.await.unwrap()
        } else {
            first.abort();
            self.ledger.now() - mark
        };
        let told = self.ledger.newest() > mark;
        if self.run.deaths > 0 && (told || took > RESTART) {
            let took = u64::try_from(took.as_millis()).unwrap();
            self.run.restart_ms.push(took);
        }
    }

    /// Looks at what a death left behind.
    pub(crate) async fn died(&mut self) {
        self.load.close();
        self.started().await;
        let orders = store_file::handing_over(&self.data);
        self.run.deaths += 1;
        self.run
            .in_flight
            .push(u64::try_from(orders.len()).unwrap());
        for order in orders {
            *self.handing_over.entry(order).or_default() += 1;
        }
    }

    /// No more deaths: waits until all has ended, and judges.
    pub(crate) async fn finish(mut self) -> Run {
        self.end().await;
        self.run
    }

    /// The same, and what the receivers wrote down can still be read.
    pub(crate) async fn end(&mut self) {
        let gateway = self.start("").await.expect("nothing is armed");
        let (acknowledged, refusals) = self.load.finish().await;
        let quiet = Stopwatch::start();
        loop {
            let open = store_file::open_count(&self.data);
            if open == 0 {
                break;
            }
            if quiet.elapsed() > QUIET {
                self.run.faults.push(format!("{open} never came to an end"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.started().await;
        let client = Client::connect(&gateway.grpc).await.unwrap();
        let case = Case {
            acknowledged,
            ledger: self.ledger.read(),
            handing_over: std::mem::take(&mut self.handing_over),
            notifications: all(&client).await,
            tally: store_file::tally(&self.data),
        };
        gateway.signal("-TERM").await;
        let verdict = judge(&case);
        self.run.faults.extend(refusals);
        add(&mut self.run, &verdict);
    }
}

fn add(run: &mut Run, verdict: &Verdict) {
    run.intents += verdict.intents;
    run.lost += verdict.lost;
    run.duplicates += verdict.duplicates;
    run.unexplained += verdict.unexplained;
    run.ambiguous += verdict.ambiguous;
    run.expired += verdict.expired;
    run.faults.extend(verdict.faults.iter().cloned());
}

/// A whole number from 1 to `most`.
pub(crate) fn one_to(most: u32) -> u32 {
    1 + (chance() * f64::from(most)) as u32
}

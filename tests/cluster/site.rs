//! A site: a database, a broker, receivers, callers, and any number of processes of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use jiff::Timestamp;
use tidings::client::Client;
use tidings::domain::clock::{Clock as _, Stopwatch, SystemClock};
use tidings::domain::id::chance;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::brokers::Brokers;
use crate::gateway::{Gateway, Start, binary};
use crate::judge::{Case, Verdict, judge};
use crate::ledger::{Entry, Ledger};
use crate::load::{Load, all};
use crate::postgres::Server;
use crate::rabbitmq::Node;
use crate::receivers::Receivers;
use crate::shop;
use crate::skip::skip;
use crate::wishes::{Disk, Variable, Ways, Wishes};

/// The longest that so many orders may take to be answered.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest that everything open may take to end when nothing new comes: what a dead process was handing over is taken over after
/// 15 s and the longest hand-over, 5 s here; what it had taken for the broker is found after a minute; both then have their tries.
const QUIET: Duration = Duration::from_secs(180);
pub(crate) const DATABASE: &str = "postgres";

/// Servers, receivers, callers, and the processes that were started.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    config: PathBuf,
    pub(crate) database: Server,
    /// Behind the database: it is unmounted when nobody uses it any more.
    disk: Option<Disk>,
    broker: Option<Node>,
    brokers: Option<Brokers>,
    pub(crate) ledger: Ledger,
    pub(crate) load: Load,
    receivers: Receivers,
    ways: Option<Ways>,
    settings: Vec<Variable>,
    replicas: Vec<Gateway>,
    handing_over: BTreeMap<u64, u32>,
}

impl Site {
    /// Servers, receivers and callers; `None` when a server is not installed.
    pub(crate) async fn open() -> Option<Self> {
        Self::open_with(Wishes::default()).await
    }

    pub(crate) async fn open_with(wishes: Wishes) -> Option<Self> {
        let alone = !wishes.cluster;
        let disk = match wishes.disk {
            true => match Disk::make().await {
                Ok(disk) => Some(disk),
                Err(why) => {
                    skip(&format!("no file system can be had in a file: {why}"));
                    return None;
                }
            },
            false => None,
        };
        let data = disk.as_ref().map(|disk| disk.at.at.join("data"));
        let starting = tokio::task::spawn_blocking(move || {
            let database = match data {
                Some(data) => Server::on(data, &["fsync=on"])?,
                None => Server::start_with(&["fsync=on"])?,
            };
            Some((database, if alone { Some(Node::start()?) } else { None }))
        });
        let (database, broker) = starting.await.unwrap()?;
        let brokers = match alone {
            true => None,
            false => Some(Brokers::start().await?),
        };
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::begin(&folder.path().join("ledger"));
        let mut receivers = Receivers::start(ledger.clone(), wishes.manners).await;
        let ways = match wishes.proxied {
            true => Some(Ways::before(&mut receivers).await),
            false => None,
        };
        let config = shop::settings(folder.path(), &folder.path().join("data"), Some(&receivers));
        let password = folder.path().join("password");
        std::fs::write(&password, "guest").unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        Some(Self {
            config,
            folder,
            database,
            disk,
            broker,
            brokers,
            ledger,
            load: Load::begin(wishes.orders),
            receivers,
            ways,
            settings: wishes.settings,
            replicas: Vec::new(),
            handing_over: BTreeMap::new(),
        })
    }

    /// Processes that are started from now on have this setting, such as `SERVER__DRAIN`.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    /// The folder of everything, with the templates in `templates`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the receivers have taken so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.ledger.read()
    }

    /// What the ledger's clock says.
    pub(crate) fn now(&self) -> Duration {
        self.ledger.now()
    }

    /// A number that a statement finds.
    pub(crate) fn count(&self, statement: &str) -> u64 {
        self.database.sql(DATABASE, statement).parse().unwrap()
    }

    /// Waits until a statement finds this number.
    pub(crate) async fn until_count(&self, statement: &str, expected: u64) {
        let waited = Stopwatch::start();
        loop {
            let found = self.count(statement);
            if found == expected {
                return;
            }
            assert!(
                waited.elapsed() < PATIENCE,
                "{statement}: {found}, not {expected}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The one broker.
    pub(crate) fn broker(&self) -> &Node {
        self.broker.as_ref().expect("it has a cluster")
    }

    pub(crate) fn broker_mut(&mut self) -> &mut Node {
        self.broker.as_mut().expect("it has a cluster")
    }

    /// The cluster of a site that wished for one.
    pub(crate) fn brokers(&self) -> &Brokers {
        self.brokers.as_ref().expect("it has one broker")
    }

    fn hosts(&self) -> String {
        match &self.brokers {
            Some(brokers) => brokers.hosts(),
            None => format!("127.0.0.1:{}", self.broker().port),
        }
    }

    fn command(&self, number: usize) -> Command {
        let mut command = Command::new(binary());
        let settings = [
            ("STORE__KIND", "postgres".to_owned()),
            (
                "STORE__PATH",
                format!("{}/data-{number}", self.folder.path().display()),
            ),
            ("STORE__POSTGRES__HOST", self.database.host()),
            ("STORE__POSTGRES__DATABASE", DATABASE.to_owned()),
            ("STORE__POSTGRES__USER", "postgres".to_owned()),
            ("STORE__POSTGRES__WRITERS", "2".to_owned()),
            ("STORE__POSTGRES__READERS", "3".to_owned()),
            ("QUEUE__KIND", "rabbitmq".to_owned()),
            ("QUEUE__RABBITMQ__HOSTS", self.hosts()),
            ("QUEUE__RABBITMQ__USER", "guest".to_owned()),
            (
                "QUEUE__RABBITMQ__PASSWORD_FILE",
                format!("{}/password", self.folder.path().display()),
            ),
            ("PROVIDERS__SMTP__POST__DATA_TIMEOUT", "5s".to_owned()),
            ("PROVIDERS__SMTP__POST__MAX_CONNECTIONS", "64".to_owned()),
            ("PROVIDERS__TWILIO__TEXTS__TIMEOUT", "5s".to_owned()),
            ("PROVIDERS__DISCORD__CHATS__TIMEOUT", "5s".to_owned()),
        ];
        for (name, value) in settings.into_iter().chain(self.settings.clone()) {
            command.env(format!("TIDINGS_{name}"), value);
        }
        command
    }

    /// Starts another process with these options of `serve`.
    pub(crate) async fn start(&mut self, options: &[&str]) {
        self.start_with(options, &[]).await;
    }

    /// The same with more in its environment.
    pub(crate) async fn start_with(&mut self, options: &[&str], more: &[Variable]) {
        let number = self.replicas.len();
        self.start_in_with(number, options, more).await;
    }

    /// Starts a process in the place of one that was killed.
    pub(crate) async fn start_in(&mut self, place: usize, options: &[&str]) {
        self.start_in_with(place, options, &[]).await;
    }

    pub(crate) async fn start_in_with(
        &mut self,
        place: usize,
        options: &[&str],
        more: &[Variable],
    ) {
        let mut command = self.command(place);
        command.envs(more.iter().cloned());
        let replica = match Gateway::start_with(command, &self.config, options, "").await {
            Start::Up(gateway) => gateway,
            Start::Died(status) => {
                let log = std::fs::read_to_string(self.config.with_extension("log"));
                panic!("{options:?} did not start, {status}: {log:?}")
            }
        };
        self.replicas.insert(place, replica);
    }

    /// The file system of a site that wished for one.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("it has none of its own")
    }

    pub(crate) fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// The ways to the receivers of a site that wished for proxies.
    pub(crate) fn ways(&self) -> &Ways {
        self.ways.as_ref().expect("it has no proxies")
    }

    pub(crate) fn replicas(&self) -> &[Gateway] {
        &self.replicas
    }

    pub(crate) fn grpc(&self, place: usize) -> String {
        self.replicas[place].grpc.clone()
    }

    pub(crate) fn console(&self, place: usize) -> String {
        self.replicas[place].console.clone()
    }

    /// Calls go to all that live, in turn.
    pub(crate) async fn open_doors(&self) {
        let doors: Vec<_> = self.replicas.iter().map(|one| one.grpc.as_str()).collect();
        self.load.open_all(&doors).await;
    }

    pub(crate) async fn live(&self, from: f64, to: f64) {
        tokio::time::sleep(Duration::from_secs_f64(from + chance() * (to - from))).await;
    }

    /// `kill -9`; notes what it was handing over. How much that was.
    pub(crate) async fn kill(&mut self, place: usize) -> u64 {
        let killed = self.replicas.remove(place);
        let process = killed.process.clone();
        assert!(killed.kill().await, "it died by itself");
        self.open_doors().await;
        self.note(&process)
    }

    /// `SIGSTOP`, until what it was handing over was taken over, then `SIGCONT`. Calls go to the others meanwhile. How much it was
    /// handing over.
    pub(crate) async fn pause(&mut self, place: usize, patience: Duration) -> u64 {
        let paused = &self.replicas[place];
        let process = paused.process.clone();
        paused.signal("-STOP").await;
        let others = self.replicas.iter().filter(|one| one.process != process);
        let doors: Vec<_> = others.map(|one| one.grpc.as_str()).collect();
        self.load.open_all(&doors).await;
        // Statements that were on their way.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let in_flight = self.note(&process);
        let waited = Stopwatch::start();
        while !self.handed_over_by(&process).is_empty() {
            assert!(
                waited.elapsed() < patience,
                "nobody takes over\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("taken over after {:?}", waited.elapsed());
        self.replicas[place].signal("-CONT").await;
        in_flight
    }

    /// Notes what this process is handing over, for the judge.
    fn note(&mut self, process: &str) -> u64 {
        let orders = self.handed_over_by(process);
        for order in &orders {
            *self.handing_over.entry(*order).or_default() += 1;
        }
        u64::try_from(orders.len()).unwrap()
    }

    /// The orders that this process is handing over, by the database.
    pub(crate) fn handed_over_by(&self, process: &str) -> Vec<u64> {
        let found = self.database.sql(
            DATABASE,
            &format!(
                "SELECT n.reference FROM message m JOIN notification n ON n.id = m.notification \
                 WHERE m.state = 'sending' AND m.process = '{process}'"
            ),
        );
        found.lines().map(shop::order_of_reference).collect()
    }

    /// Which tries are being handed over over these channels, whoever does it.
    pub(crate) fn tries(&self, channels: &[&str]) -> BTreeSet<(u64, u64)> {
        let found = self.database.sql(
            DATABASE,
            &format!(
                "SELECT n.reference, m.tries FROM message m JOIN notification n ON n.id = m.notification \
                 WHERE m.state = 'sending' AND m.channel IN ('{}')",
                channels.join("','")
            ),
        );
        let read = |line: &str| {
            let (order, tries) = line.split_once('|').unwrap();
            (shop::order_of_reference(order), tries.parse().unwrap())
        };
        found.lines().map(read).collect()
    }

    /// How many tries are being handed over, whoever does it.
    pub(crate) fn handing_over_now(&self) -> u64 {
        let found = self.database.sql(
            DATABASE,
            "SELECT count(*) FROM message WHERE state = 'sending'",
        );
        found.parse().unwrap()
    }

    /// Tells the judge of tries whose answers were withheld.
    pub(crate) fn withheld(&mut self, tries: &BTreeSet<(u64, u64)>) {
        for (order, _) in tries {
            *self.handing_over.entry(*order).or_default() += 1;
        }
    }

    /// The longest that a try which began after `since` took, or takes by now.
    pub(crate) fn longest_try(&self, since: Timestamp) -> Duration {
        let found = self.database.sql(
            DATABASE,
            &format!(
                "SELECT coalesce(max(coalesce(end_time, {}) - start_time), 0) FROM attempt WHERE start_time > {}",
                SystemClock.now().as_microsecond(),
                since.as_microsecond()
            ),
        );
        Duration::from_micros(found.parse().unwrap())
    }

    /// How many were taken over these channels since `mark`.
    pub(crate) fn received(&self, mark: Duration, channels: &[&str]) -> usize {
        let entries = self.ledger.read().into_iter();
        entries
            .filter(|entry| entry.at > mark && channels.contains(&entry.channel.as_str()))
            .count()
    }

    /// The newest order that was answered OK.
    pub(crate) fn newest_order(&self) -> u64 {
        let acknowledged = self.load.acknowledged();
        acknowledged.keys().next_back().copied().unwrap_or_default()
    }

    /// Waits until a receiver takes an order that is newer than this one.
    pub(crate) async fn receives_newer(&self, order: u64, patience: Duration) {
        let waited = Stopwatch::start();
        while !self.ledger.read().iter().any(|entry| entry.order > order) {
            assert!(
                waited.elapsed() < patience,
                "nothing newer is sent\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a receiver takes something more over one of these channels.
    pub(crate) async fn arrives(&self, channels: &[&str]) {
        let (mark, waited) = (self.ledger.now(), Stopwatch::start());
        while self.received(mark, channels) == 0 {
            assert!(
                waited.elapsed() < PATIENCE,
                "nothing comes over {channels:?}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A metric, over all processes.
    pub(crate) async fn sum(&self, name: &str) -> f64 {
        let mut sum = 0.0;
        for replica in &self.replicas {
            sum += metric(&replica.console, name).await;
        }
        sum
    }

    /// Waits until the sum of a metric over all processes is `value`; how long it took.
    pub(crate) async fn shows(&self, name: &str, value: f64) -> Duration {
        let waited = Stopwatch::start();
        loop {
            let sum = self.sum(name).await;
            if sum == value {
                return waited.elapsed();
            }
            assert!(
                waited.elapsed() < PATIENCE,
                "{name} is {sum}, not {value}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What each process has in memory, in KiB.
    pub(crate) fn resident(&self) -> Vec<u64> {
        let of = |replica: &Gateway| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", replica.pid()));
            let status = status.unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS"));
            let digits: String = line.unwrap().chars().filter(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        };
        self.replicas.iter().map(of).collect()
    }

    /// Waits until so many orders were answered OK.
    pub(crate) async fn taken(&self, count: usize) {
        let waited = Stopwatch::start();
        while self.load.count() < count {
            assert!(
                waited.elapsed() < PATIENCE,
                "{} of {count} were answered: {:?}\n{}",
                self.load.count(),
                self.load.passing(),
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Lets everything come to its end, and judges.
    pub(crate) async fn judged(&mut self, door: &str) -> Verdict {
        self.load.open(door).await;
        let (acknowledged, refusals) = self.load.finish().await;
        let mut faults = refusals;
        let quiet = Stopwatch::start();
        loop {
            let open = self.database.sql(
                DATABASE,
                "SELECT coalesce(string_agg(n.state || ' ' || n.reason || ' ' || coalesce(m.state, ''), ', '), '') \
                 FROM notification n LEFT JOIN message m ON m.notification = n.id",
            );
            if open.is_empty() {
                break;
            }
            if quiet.elapsed() > QUIET {
                let shown: String = open.chars().take(2_000).collect();
                faults.push(format!("never came to an end: {shown}\n{}", self.log()));
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("quiet after {:?}", quiet.elapsed());
        let tally = self.database.sql(
            DATABASE,
            "SELECT state, sum(count) FROM tally GROUP BY state HAVING sum(count) <> 0",
        );
        let tally = tally
            .lines()
            .map(|line| {
                let (state, count) = line.split_once('|').unwrap();
                (state.to_owned(), count.parse().unwrap())
            })
            .collect();
        let client = Client::connect(door).await.unwrap();
        let case = Case {
            acknowledged,
            ledger: self.ledger.read(),
            handing_over: std::mem::take(&mut self.handing_over),
            notifications: all(&client).await,
            tally,
        };
        let mut verdict = judge(&case);
        verdict.faults.extend(faults);
        verdict
    }

    /// Ends every process in the middle of what it does.
    pub(crate) async fn kill_all(&mut self) {
        for replica in self.replicas.drain(..) {
            replica.kill().await;
        }
    }

    /// Asks a process to end and waits until it has; how it did.
    pub(crate) async fn stop_one(
        &mut self,
        place: usize,
        patience: Duration,
    ) -> Option<ExitStatus> {
        let mut stopped = self.replicas.remove(place);
        stopped.signal("-TERM").await;
        stopped.end(patience).await
    }

    /// Asks every process to end; how each did.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Vec<Option<ExitStatus>> {
        let mut ended = Vec::new();
        for replica in &mut self.replicas {
            replica.signal("-TERM").await;
            ended.push(replica.end(patience).await);
        }
        ended
    }
}

/// The status and the body of what a console answers.
pub(crate) async fn get(console: &str, path: &str) -> (u16, String) {
    let address = console.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The sum of a process's series of this name.
async fn metric(console: &str, name: &str) -> f64 {
    let (_, text) = get(console, "/metrics").await;
    let series = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().unwrap())
    });
    series.sum()
}

/// What a process says of its readiness.
pub(crate) async fn ready(console: &str) -> (u16, String) {
    get(console, "/readyz").await
}

/// What a process says of its readiness once it answers with this status, or after 30 s.
pub(crate) async fn until(console: &str, status: u16) -> (u16, String) {
    let waited = Stopwatch::start();
    loop {
        let answer = ready(console).await;
        if answer.0 == status || waited.elapsed() > Duration::from_secs(30) {
            // Health by gRPC follows within a second.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What gRPC health says of the process.
pub(crate) async fn serving(grpc: &str) -> Option<bool> {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{grpc}")).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.ok()?);
    let request = tonic_health::pb::HealthCheckRequest::default();
    let answer = health.check(request).await.ok()?.into_inner();
    Some(answer.status() == ServingStatus::Serving)
}

//! The program under test as a process: the release build where one is named, else the build of these tests. Never left behind.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tidings::failpoint;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The longest that a start, or an end, may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Gateway {
    child: Box<Child>,
    pub(crate) grpc: String,
    /// Where health and metrics are, as a URL.
    pub(crate) console: String,
    /// What the others call it, where there are others.
    pub(crate) process: String,
}

/// What came of a start.
pub(crate) enum Start {
    Up(Gateway),
    /// It ended before its doors were open.
    Died(ExitStatus),
}

/// The program.
pub(crate) fn binary() -> String {
    std::env::var("TIDINGS_TEST_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_tidings").to_owned())
}

impl Gateway {
    /// Starts `tidings serve` with points armed as `points` says, and waits until its doors are open or it has died.
    pub(crate) async fn start(config: &Path, points: &str) -> Start {
        Self::start_as(Command::new(binary()), config, points).await
    }

    /// The same by a command that ends in the program.
    pub(crate) async fn start_as(command: Command, config: &Path, points: &str) -> Start {
        Self::start_with(command, config, &[], points).await
    }

    /// The same with further options of `serve`.
    pub(crate) async fn start_with(
        mut command: Command,
        config: &Path,
        options: &[&str],
        points: &str,
    ) -> Start {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(config.with_extension("log"))
            .unwrap();
        if !points.is_empty() {
            command.env(failpoint::VARIABLE, points);
        }
        let mut child = command
            .args(["serve", "--config"])
            .arg(config)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut grpc, mut console, mut process) = (None, None, String::new());
        let doors = async {
            while console.is_none() {
                // A process that dies closes its output.
                let Ok(Some(line)) = lines.next_line().await else {
                    return None;
                };
                if let Some(address) = line.strip_prefix("gRPC") {
                    grpc = Some(address.trim().to_owned());
                }
                if let Some(id) = line.strip_prefix("process") {
                    id.trim().clone_into(&mut process);
                }
                console = line
                    .strip_prefix("console")
                    .map(|url| url.trim().to_owned());
            }
            Some((grpc?, console?))
        };
        let doors = tokio::time::timeout(PATIENCE, doors).await;
        match doors.expect("the program does not start") {
            Some((grpc, console)) => {
                // Read to its end, or the process would stop on a full pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Start::Up(Self {
                    child: Box::new(child),
                    grpc,
                    console,
                    process,
                })
            }
            None => Start::Died(child.wait().await.unwrap()),
        }
    }

    /// A start that must succeed.
    pub(crate) async fn up(config: &Path) -> Self {
        match Self::start(config, "").await {
            Start::Up(gateway) => gateway,
            Start::Died(status) => {
                let log = std::fs::read_to_string(config.with_extension("log"));
                panic!("the gateway did not start, {status}: {log:?}")
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// `kill -9`; `false` when it was dead before.
    pub(crate) async fn kill(mut self) -> bool {
        let alive = self.child.try_wait().unwrap().is_none();
        self.child.kill().await.unwrap();
        alive
    }

    /// Sends a signal by name.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended by itself; `None`: it has not.
    pub(crate) async fn end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        ended.ok().map(Result::unwrap)
    }
}

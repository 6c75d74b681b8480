//! Debian's `smtp-sink`, which takes every mail and drops it, and `smtp-source`, which fills it: the reference of delivery, from the
//! package `postfix`. Both are found, not installed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::servers::find;
use crate::domain::clock::Stopwatch;

/// Where Debian puts them, though a user's PATH may not lead there.
const SYSTEM: &str = "/usr/sbin";
const START_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// What it takes to get both.
pub(super) const ADVICE: &str = "smtp-sink and smtp-source are not installed, so delivery is left out: install the package postfix (apt-get install postfix)";

/// A running sink; it ends when it is dropped.
pub(super) struct Sink {
    child: Child,
    source: PathBuf,
    address: SocketAddr,
}

impl Sink {
    /// Starts one on a free port. `Ok(None)`: it is not installed.
    ///
    /// # Errors
    /// A sentence when it is there and does not start.
    pub(super) async fn start() -> Result<Option<Self>, String> {
        let places = [PathBuf::from(SYSTEM)];
        let (Some(sink), Some(source)) = (find("smtp-sink", &places), find("smtp-source", &places))
        else {
            return Ok(None);
        };
        let address = free().await?;
        let mut command = Command::new(sink);
        // Started by root it wants to be told whose rights to take.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        let child = command
            .arg(address.to_string())
            .arg("1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("smtp-sink cannot be started: {error}"))?;
        let clock = Stopwatch::start();
        while TcpStream::connect(address).await.is_err() {
            if clock.elapsed() > START_MAX {
                return Err("smtp-sink was started and does not listen".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Some(Self {
            child,
            source,
            address,
        }))
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Mails a second by `smtp-source`, over `sessions` connections that it keeps.
    ///
    /// # Errors
    /// A sentence when it fails.
    pub(super) async fn fill(&self, sessions: u32, bytes: u32, mails: u64) -> Result<f64, String> {
        let clock = Stopwatch::start();
        let ended = Command::new(&self.source)
            .args(["-d", "-c"])
            .args(["-s", &sessions.to_string()])
            .args(["-l", &bytes.to_string()])
            .args(["-m", &mails.to_string()])
            .args([
                "-f",
                "orders@shop.example",
                "-t",
                "c@shop-customers.example.com",
            ])
            .arg(self.address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| format!("smtp-source cannot be started: {error}"))?;
        if !ended.success() {
            return Err(format!("smtp-source failed: {ended}"));
        }
        Ok(mails as f64 / clock.elapsed().as_secs_f64())
    }
}

/// An address that nobody listens on: bound once and let go.
///
/// # Errors
/// A sentence when the system gives none.
pub(super) async fn free() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listener
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("there is no free port: {error}"))
}

//! F7: the disk is full, the disk fails, there are no file handles. The store lies on a file system of its own, so that it can be full in
//! earnest; what a disk says when it fails is put in its mouth by strace.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tidings::client::Client;
use tidings::domain::clock::Stopwatch;
use tidings::proto::ListNotificationsRequest;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::Code;

use super::Done;
use crate::gateway::Gateway;
use crate::load::NO_ANSWER;
use crate::mount::{Mount, say};
use crate::trial::{Pace, Trial};

const SIZE: &str = "96M";
/// How long a shortage lasts after it was noticed.
const LASTS: Duration = Duration::from_millis(700);
/// It is noticed within this time, or there was none: a log that has begun anew has room of its own.
const NOTICED: Duration = Duration::from_secs(15);
/// Everything goes on this soon after the end of a shortage, on a machine that does nothing else.
const RESUMED: Duration = Duration::from_secs(5);
/// A new connection that has no answer by then has none.
const DOOR: Duration = Duration::from_secs(1);
/// Fewer handles than a gateway has open.
const HANDLES: &str = "16";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// The file system is full.
    Room,
    /// The process may open no more.
    Handles,
    /// The system answers these calls with this error.
    Says(&'static str, &'static str),
}

/// In turn.
const ALL: &[Shortage] = &[
    Shortage::Room,
    Shortage::Says("fsync,fdatasync", "EIO"),
    Shortage::Handles,
    Shortage::Says("pwrite64", "EIO"),
    Shortage::Says("pwrite64", "ENOSPC"),
    Shortage::Says("pwrite64", "EDQUOT"),
    Shortage::Says("pwrite64", "EROFS"),
    Shortage::Says("accept4,socket,openat", "ENFILE"),
];

impl Shortage {
    /// Whether it keeps the store from writing; else it keeps new connections out.
    fn is_of_the_store(self) -> bool {
        !matches!(self, Self::Handles | Self::Says(_, "ENFILE"))
    }
}

pub(crate) async fn rounds(count: u64, pace: Pace) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let disk = match Mount::memory(SIZE, folder.path().join("mount")).await {
        Ok(disk) => disk,
        Err(why) => return Done::Skipped(format!("no file system of a size can be had: {why}")),
    };
    if let Err(why) = say("strace", &["-o", "/dev/null", "true"]).await {
        return Done::Skipped(format!("strace is not there or may not be used: {why}"));
    }
    let mut trial = Trial::begin_on(pace, folder, disk.at.join("data")).await;
    let mut gateway = trial.start("").await.expect("nothing is armed");
    let (mut done, mut resumed) = (0, Vec::new());
    for shortage in ALL.iter().cycle() {
        if done == count || trial.run.faults.len() > ALL.len() {
            break;
        }
        trial.live(0.3, 0.6).await;
        if let Some(took) = suffer(*shortage, &disk.at, &gateway, &mut trial).await {
            done += 1;
            resumed.push(u64::try_from(took.as_millis()).unwrap());
        }
        if let Some(status) = gateway.end(Duration::ZERO).await {
            let fault = format!("{shortage:?} ended the process: {status}");
            trial.run.faults.push(fault);
            break;
        }
    }
    gateway.kill().await;
    trial.died().await;
    let mut run = trial.finish().await;
    (run.deaths, run.restart_ms) = (done, resumed);
    run.in_flight.clear();
    drop(disk);
    Done::Run(run)
}

/// One shortage, from its beginning until all goes on; how long that took. `None`: it was none.
async fn suffer(
    shortage: Shortage,
    disk: &Path,
    gateway: &Gateway,
    trial: &mut Trial,
) -> Option<Duration> {
    let _before = trial.load.passing();
    let hold = Hold::begin(shortage, disk, gateway).await;
    let begun = Stopwatch::start();
    let mut told = trial.load.passing();
    if shortage.is_of_the_store() {
        while told.is_empty() && begun.elapsed() < NOTICED {
            tokio::time::sleep(Duration::from_millis(10)).await;
            told = trial.load.passing();
        }
        tokio::time::sleep(LASTS).await;
    } else if tokio::time::timeout(DOOR, knock(gateway)).await == Ok(true) {
        let fault = format!("{shortage:?} kept nobody out");
        trial.run.faults.push(fault);
    }
    hold.end(gateway).await;
    let (ended, mark, count) = (Stopwatch::start(), trial.ledger.now(), trial.load.count());
    let noticed = !told.is_empty() || !shortage.is_of_the_store();
    told.extend(trial.load.passing());
    for (code, sentence) in &told {
        let allowed = matches!(code, Code::Unavailable | Code::ResourceExhausted);
        // On a machine that is busy with other things some calls come to nothing; not all of them.
        let late = sentence == NO_ANSWER && (told.len() > 1 || !shortage.is_of_the_store());
        if (!allowed || sentence.is_empty()) && !late {
            let fault = format!("{shortage:?} was answered by {code:?}: {sentence:?}");
            trial.run.faults.push(fault);
        }
    }
    let resumed = async {
        while trial.load.count() == count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while !tokio::time::timeout(DOOR, knock(gateway))
            .await
            .unwrap_or(false)
        {}
        trial.ledger.first_after(mark).await;
    };
    if tokio::time::timeout(RESUMED, resumed).await.is_err() {
        let (taken, sent) = (trial.load.count() - count, trial.ledger.newest() > mark);
        let fault =
            format!("{shortage:?} is over, and after {RESUMED:?} {taken} were taken, sent: {sent}");
        trial.run.faults.push(fault);
    }
    noticed.then(|| ended.elapsed())
}

/// Whether somebody new is let in and gets an answer.
async fn knock(gateway: &Gateway) -> bool {
    let Ok(client) = Client::connect(&gateway.grpc).await else {
        return false;
    };
    let request = ListNotificationsRequest {
        page_size: 1,
        ..ListNotificationsRequest::default()
    };
    let mut service = client.notifications();
    service.list_notifications(request).await.is_ok()
}

/// A shortage that lasts until it is ended.
enum Hold {
    Ballast(std::path::PathBuf),
    Limit(String),
    Tracer(Box<Child>),
}

impl Hold {
    async fn begin(shortage: Shortage, disk: &Path, gateway: &Gateway) -> Self {
        match shortage {
            Shortage::Room => {
                let ballast = disk.join("ballast");
                fill(&ballast);
                Self::Ballast(ballast)
            }
            Shortage::Handles => {
                let before =
                    limits(gateway, &["--nofile", "--raw", "--noheadings", "-oSOFT"]).await;
                limits(gateway, &[&format!("--nofile={HANDLES}:")]).await;
                Self::Limit(before.trim().to_owned())
            }
            Shortage::Says(calls, error) => {
                Self::Tracer(Box::new(trace(calls, error, gateway).await))
            }
        }
    }

    async fn end(self, gateway: &Gateway) {
        match self {
            Self::Ballast(file) => std::fs::remove_file(file).unwrap(),
            Self::Limit(before) => {
                limits(gateway, &[&format!("--nofile={before}:")]).await;
            }
            Self::Tracer(mut tracer) => {
                // Told to end it lets go of the process, which goes on.
                let pid = tracer.id().unwrap().to_string();
                say("kill", &["-TERM", &pid]).await.unwrap();
                tracer.wait().await.unwrap();
            }
        }
    }
}

/// Writes until there is no room for another page.
fn fill(file: &Path) {
    let mut file = std::fs::File::create(file).unwrap();
    for size in [1 << 20, 4096] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

async fn limits(gateway: &Gateway, arguments: &[&str]) -> String {
    let pid = gateway.pid().to_string();
    let said = Command::new("prlimit")
        .args(["--pid", &pid])
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

/// Starts to answer calls with an error; returns when it does so in every thread.
async fn trace(calls: &str, error: &str, gateway: &Gateway) -> Child {
    let pid = gateway.pid().to_string();
    let mut tracer = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-p", &pid])
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:error={error}")])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(tracer.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).await.unwrap();
    assert!(line.contains("attached"), "{line}");
    tokio::spawn(async move { said.read_to_end(&mut Vec::new()).await });
    tracer
}

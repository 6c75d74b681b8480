//! The gateway that is measured: a process of its own with its own data folder, so that its memory and its threads are its own.
//! It is ended by SIGTERM and waited for, on every way out.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::domain::clock::Stopwatch;

/// How long a start may take: a large store is opened and read at first.
const START_MAX: Duration = Duration::from_secs(120);
/// How long an end may take before the process is killed.
const END_MAX: Duration = Duration::from_secs(20);
/// What it logs goes here.
const LOG: &str = "gateway.log";
const LOOK: Duration = Duration::from_millis(10);

/// A running gateway.
pub(super) struct Gateway {
    child: Child,
    grpc: String,
    console: String,
    data: PathBuf,
}

impl Gateway {
    /// Starts `tidings serve` over `folder`, with `settings` besides the addresses and the folder, as a configuration file has them.
    ///
    /// # Errors
    /// A sentence, with what the gateway said.
    pub(super) async fn start(folder: &Path, settings: &str) -> Result<Self, String> {
        // Owned from its first moment, so that it is ended also when its start is broken off.
        let mut gateway = spawn(folder, settings)?;
        let mut lines = lines(&mut gateway.child);
        while gateway.grpc.is_empty() || gateway.console.is_empty() {
            let Ok(Some(line)) = tokio::time::timeout(START_MAX, lines.recv()).await else {
                let said = std::fs::read_to_string(folder.join(LOG)).unwrap_or_default();
                return Err(format!("the gateway did not start: {}", said.trim()));
            };
            if let Some(address) = line.strip_prefix("gRPC") {
                address.trim().clone_into(&mut gateway.grpc);
            } else if let Some(address) = line.strip_prefix("console") {
                let address = address.trim().trim_start_matches("http://");
                address.clone_into(&mut gateway.console);
            }
        }
        Ok(gateway)
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn client(&self) -> Result<Client, String> {
        let connected = Client::connect(&self.grpc).await;
        connected.map_err(|error| error.to_string())
    }

    /// The memory that the process holds in RAM, in bytes: `VmRSS` of proc(5).
    ///
    /// # Errors
    /// A sentence where the system tells none.
    pub(super) fn resident_bytes(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|number| number.trim().parse::<u64>().ok());
        kibibytes
            .map(|kibibytes| kibibytes * 1024)
            .ok_or_else(|| format!("{path} tells no VmRSS"))
    }

    /// How many bytes its store's files have.
    pub(super) fn store_bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.data)
            .into_iter()
            .flatten()
            .flatten();
        let sizes = files.filter_map(|file| file.metadata().ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// How many notifications its store holds.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn stored(&self) -> Result<u64, String> {
        let text = self.page("/api/overview").await?;
        let overview: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| format!("the console's overview is no JSON: {error}"))?;
        overview
            .get("total")
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| "the console's overview has no total".to_owned())
    }

    /// Hand-overs that ended well so far.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn sent(&self) -> Result<u64, String> {
        let text = self.page("/metrics").await?;
        let sent = text
            .lines()
            .filter(|line| line.starts_with("tidings_delivery_attempts_total{"))
            .filter(|line| line.contains("result=\"ok\""))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(sent.sum::<f64>() as u64)
    }

    /// A page of its console.
    async fn page(&self, path: &str) -> Result<String, String> {
        let told = async {
            let mut stream = TcpStream::connect(&self.console).await?;
            let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.console);
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = told
            .await
            .map_err(|error| format!("the gateway's console does not answer: {error}"))?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(format!("the gateway's console does not give {path}")),
        }
    }

    /// Ends it in order.
    pub(super) async fn stop(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let clock = Stopwatch::start();
        while clock.elapsed() < END_MAX {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(LOOK),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(folder: &Path, settings: &str) -> Result<Gateway, String> {
    let cannot = |what: &Path, why: &std::io::Error| {
        format!(
            "{} cannot be used: {why}; name another folder by --data",
            what.display()
        )
    };
    let data = folder.join("data");
    let file = folder.join("gateway.toml");
    std::fs::write(&file, configuration(&data, settings)).map_err(|why| cannot(&file, &why))?;
    let log = folder.join(LOG);
    let errors = std::fs::File::create(&log).map_err(|why| cannot(&log, &why))?;
    let program =
        std::env::current_exe().map_err(|why| format!("this program is not found: {why}"))?;
    let mut command = Command::new(program);
    // Nothing of the caller's own gateway: neither its settings nor the templates beside it.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    let child = command
        .arg("serve")
        .arg("--config")
        .arg(&file)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(|why| format!("the gateway cannot be started: {why}"))?;
    Ok(Gateway {
        child,
        grpc: String::new(),
        console: String::new(),
        data,
    })
}

/// What the gateway prints, read to its end: it must not stop on a full pipe.
fn lines(child: &mut Child) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            let read = BufReader::new(output).lines().map_while(Result::ok);
            read.for_each(|line| drop(sender.send(line)));
        });
    }
    lines
}

fn configuration(data: &Path, settings: &str) -> String {
    let data = toml::Value::String(data.display().to_string());
    format!(
        "server.grpc_address = \"127.0.0.1:0\"\nserver.console_address = \"127.0.0.1:0\"\nserver.drain = \"2s\"\n\
         store.path = {data}\n{settings}\n"
    )
}

/// A folder on the disk that is measured; it goes away with its last gateway.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new folder in `parent`, or in the system's one for temporary files.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn new(parent: Option<&Path>) -> Result<Self, String> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let parent = parent
            .canonicalize()
            .map_err(|why| format!("{} cannot be used: {why}", parent.display()))?;
        for tried in 0..1000 {
            let path = parent.join(format!("tidings-bench-{}-{tried}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(format!("{} cannot be made: {why}", path.display())),
            }
        }
        Err(format!(
            "{} is full of folders of runs that were killed",
            parent.display()
        ))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

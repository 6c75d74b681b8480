//! A PostgreSQL of the test's own: the installed binaries on a fresh data folder and a Unix socket, stopped by its pid when it is
//! dropped. The empty folder is made once for all tests of a build and copied.
//!
//! `fsync` is off unless a test kills the server: what a kill of processes loses does not depend on it, but a test that speaks of
//! what is durable should run with what makes it so.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::skip::skip;

/// Where Debian puts them, a folder for each version.
const INSTALLED: &str = "/usr/lib/postgresql";

/// How often we look whether it is ready, with a short pause each time.
const READY_LOOKS: u32 = 1500;

/// The newest binaries of this machine; `None` after saying that the test is skipped.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .max();
    if newest.is_none() {
        skip("PostgreSQL is not installed (scripts/setup.sh test installs it)");
    }
    newest.map(|(_, bin)| bin)
}

/// Whom the server runs as: it refuses to be root.
fn user() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").unwrap().uid();
    if own != 0 {
        return None;
    }
    let id = |what: &str| -> u32 {
        let output = Command::new("id")
            .args([what, "postgres"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    Some((id("-u"), id("-g")))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

fn give_away(folder: &Path) {
    if let Some((uid, gid)) = user() {
        let owner = format!("{uid}:{gid}");
        let status = Command::new("chown")
            .arg("-R")
            .arg(owner)
            .arg(folder)
            .status();
        assert!(status.unwrap().success());
    }
}

/// The folder that the others are copied from.
fn template(bin: &Path) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap().join("tmp");
    fs::create_dir_all(&target).unwrap();
    let version = bin.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let lock = File::create(target.join("postgres.lock")).unwrap();
    lock.lock().unwrap();
    let made = target.join(format!("postgres-{version}"));
    if !made.exists() {
        let folder = tempfile::tempdir().unwrap();
        give_away(folder.path());
        let data = folder.path().join("data");
        let output = command(&bin.join("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--wal-segsize=1"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let half = target.join("postgres-half");
        let _ = fs::remove_dir_all(&half);
        copy(&data, &half);
        fs::rename(&half, &made).unwrap();
    }
    made
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from)
        .arg(to)
        .status();
    assert!(status.unwrap().success());
}

/// A server with its folder.
pub(crate) struct Server {
    bin: PathBuf,
    /// Of its socket and its log.
    folder: TempDir,
    data: PathBuf,
    child: Option<Child>,
    options: Vec<String>,
    /// Where it listens beside its socket, if it does.
    pub(crate) port: Option<u16>,
}

impl Server {
    /// A running server; `None` when PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&["fsync=off", "full_page_writes=off"])
    }

    /// A running server with these settings.
    pub(crate) fn start_with(options: &[&str]) -> Option<Self> {
        let server = Self::prepare(options)?;
        Some(server.running())
    }

    /// A running server that also listens on this machine, with a certificate that is signed by `ca.pem` and names `localhost`.
    /// `None` too when the certificate cannot be made.
    pub(crate) fn start_with_tls(folder: &Path) -> Option<Self> {
        let own = [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 9 -subj /CN=test-ca",
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 9 -extfile names",
        ];
        fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        for line in own {
            let mut openssl = Command::new("openssl");
            openssl
                .args(line.split(' '))
                .current_dir(folder)
                .stderr(Stdio::null());
            let Ok(status) = openssl.status() else {
                skip("openssl is not installed (scripts/setup.sh test installs it)");
                return None;
            };
            assert!(status.success(), "openssl {line}");
        }
        let mut server = Self::prepare(&[
            "fsync=off",
            "ssl=on",
            "ssl_cert_file=server.pem",
            "ssl_key_file=server.key",
        ])?;
        for file in ["server.pem", "server.key"] {
            copy(&folder.join(file), &server.data.join(file));
        }
        give_away(&server.data);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        server.port = Some(free.local_addr().unwrap().port());
        drop(free);
        Some(server.running())
    }

    fn running(mut self) -> Self {
        self.run();
        self
    }

    /// A running server on this data, which is made if it is not there. The way there must be open to the server's user.
    pub(crate) fn on(data: PathBuf, options: &[&str]) -> Option<Self> {
        let server = Self::prepare_on(Some(data), options)?;
        Some(server.running())
    }

    fn prepare(options: &[&str]) -> Option<Self> {
        Self::prepare_on(None, options)
    }

    fn prepare_on(data: Option<PathBuf>, options: &[&str]) -> Option<Self> {
        let bin = binaries()?;
        let folder = tempfile::tempdir().unwrap();
        let data = data.unwrap_or_else(|| folder.path().join("data"));
        if !data.exists() {
            copy(&template(&bin), &data);
            give_away(&data);
        }
        give_away(folder.path());
        Some(Self {
            bin,
            folder,
            data,
            child: None,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            port: None,
        })
    }

    /// Starts it again, on the same data.
    pub(crate) fn run(&mut self) {
        let socket = self.folder.path().to_str().unwrap();
        let mut postgres = command(&self.bin.join("postgres"));
        postgres
            .arg("-D")
            .arg(&self.data)
            .args(["-c", "max_connections=60"])
            .args([
                "-c",
                "shared_buffers=32MB",
                "-c",
                "max_wal_size=64MB",
                "-c",
                "log_min_messages=log",
            ])
            .args(["-c", &format!("unix_socket_directories={socket}")]);
        match self.port {
            Some(port) => {
                postgres.args(["-c", "listen_addresses=localhost", "-p", &port.to_string()])
            }
            None => postgres.args(["-c", "listen_addresses="]),
        };
        for option in &self.options {
            postgres.args(["-c", option]);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = postgres
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let mut looks = 0;
        while !self.is_ready() {
            looks += 1;
            assert!(looks < READY_LOOKS, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        command(&self.bin.join("pg_isready"))
            .args(["-q", "-p", &self.port.unwrap_or(5432).to_string()])
            .arg("-h")
            .arg(self.folder.path())
            .status()
            .unwrap()
            .success()
    }

    /// Starts it again so that it also listens on this machine.
    pub(crate) fn listen(&mut self) {
        self.stop();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        self.port = Some(free.local_addr().unwrap().port());
        drop(free);
        self.run();
    }

    /// The folder of its socket: what a client takes for its host.
    pub(crate) fn host(&self) -> String {
        self.folder.path().to_str().unwrap().to_owned()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs statements as the superuser; returns what they print, bare.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        let output = command(&self.bin.join("psql"))
            .args([
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-d",
                database,
                "-c",
                text,
            ])
            .arg("-h")
            .arg(self.folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        let output = command(&self.bin.join(name))
            .args(["-U", "postgres", "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.unwrap_or(5432).to_string()])
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}\n{said}");
        output.stdout
    }

    /// A base backup of what runs.
    pub(crate) fn back_up(&self) -> PathBuf {
        let backup = self.folder.path().join("backup");
        let options = ["--checkpoint=fast", "--no-sync", "--wal-method=stream"];
        let target = ["-D", backup.to_str().unwrap()];
        self.tool("pg_basebackup", &[&options[..], &target[..]].concat());
        backup
    }

    /// Puts a base backup in the place of the data of a server that does not run.
    pub(crate) fn put_back(&self, backup: &Path) {
        let data = self.folder.path().join("data");
        fs::remove_dir_all(&data).unwrap();
        copy(backup, &data);
    }

    /// The same by recovery from an archive in which nothing more is found: it ends in a new timeline.
    pub(crate) fn recover_from(&self, backup: &Path) {
        self.put_back(backup);
        let data = self.folder.path().join("data");
        fs::write(data.join("recovery.signal"), "").unwrap();
        let mut settings = File::options()
            .append(true)
            .open(data.join("postgresql.auto.conf"))
            .unwrap();
        writeln!(settings, "restore_command = 'false'").unwrap();
        give_away(self.folder.path());
    }

    /// A dump of the database, as statements.
    pub(crate) fn dump(&self) -> PathBuf {
        let dump = self.folder.path().join("dump.sql");
        let statements = self.tool("pg_dump", &["postgres"]);
        fs::write(&dump, statements).unwrap();
        give_away(self.folder.path());
        dump
    }

    /// Runs a dump's statements.
    pub(crate) fn load(&self, dump: &Path) {
        let file = dump.to_str().unwrap();
        self.tool(
            "psql",
            &["-Xq", "-v", "ON_ERROR_STOP=1", "-f", file, "postgres"],
        );
    }

    /// A client that says what it is told line by line, and ends when it is dropped.
    pub(crate) fn talk(&self) -> Talk {
        let mut child = command(&self.bin.join("psql"))
            .args([
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-d",
                "postgres",
                "-h",
            ])
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Talk { child, said }
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The server's processes: the first one and those that serve connections.
    fn pids(&self) -> Vec<u32> {
        let first = self.pid();
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(first).chain(children).collect()
    }

    fn signal(pid: u32, signal: &str) {
        // One that has gone meanwhile needs no signal.
        let _ = Command::new("kill")
            .args([signal, &pid.to_string()])
            .stderr(Stdio::null())
            .status();
    }

    fn stop(&mut self) {
        if self.child.is_some() {
            self.go_on();
            Self::signal(self.pid(), "-QUIT");
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// As if the machine's power went, for its processes: nothing is written any more.
    pub(crate) fn kill(&mut self) {
        let all = self.pids();
        for pid in all {
            Self::signal(pid, "-KILL");
        }
        self.child.take().unwrap().wait().unwrap();
    }

    /// Stops all of it where it stands; [`Server::go_on`] lets it go on.
    pub(crate) fn freeze(&self) {
        // The first one first: from then on there are no new ones. The system's list of children may leave one out while another
        // of them ends, so it is read until it stays the same.
        Self::signal(self.pid(), "-STOP");
        let mut stopped = Vec::new();
        loop {
            let all = self.pids();
            if all == stopped {
                return;
            }
            all.iter().for_each(|pid| Self::signal(*pid, "-STOP"));
            stopped = all;
        }
    }

    pub(crate) fn go_on(&self) {
        for pid in self.pids() {
            Self::signal(pid, "-CONT");
        }
    }
}

/// A client with its connection.
pub(crate) struct Talk {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Talk {
    /// Runs a statement and waits until it is done.
    pub(crate) fn say(&mut self, text: &str) {
        let mut input = self.child.stdin.as_ref().unwrap();
        writeln!(input, "{text};\n\\echo done").unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert!(
                self.said.read_line(&mut line).unwrap() > 0,
                "the client ended"
            );
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

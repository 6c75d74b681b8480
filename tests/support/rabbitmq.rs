//! A RabbitMQ node of the test's own: free ports, a folder and an epmd of its own, ended by their ids when it is dropped.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tidings::domain::clock::Stopwatch;
use tidings::queue::rabbitmq::Settings;

use crate::skip::skip;

const BINARIES: &str = "/usr/lib/rabbitmq/bin";
/// A cold start takes 5 to 10 s, on a busy machine more.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Of every node.
const CONFIG: &str =
    "loopback_users = none\nlog.file.level = warning\ndisk_free_limit.absolute = 50MB\n";

pub(crate) struct Node {
    folder: tempfile::TempDir,
    name: String,
    /// Of a node by itself; those of a cluster have port mappers that others run.
    epmd: Option<Child>,
    epmd_port: u16,
    dist_port: u16,
    pub(crate) port: u16,
    /// With TLS, if there is a certificate.
    pub(crate) tls_port: u16,
    server: Option<Child>,
}

/// What the node shows when it is asked for TLS; PEM files.
pub(crate) struct Certificate<'a> {
    pub(crate) ca: &'a Path,
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

/// What a node of a cluster is told.
pub(crate) struct Member<'a> {
    /// Its own name before the @.
    pub(crate) name: &'a str,
    /// All names.
    pub(crate) names: &'a [String],
    /// Where the others find it.
    pub(crate) dist_port: u16,
    /// Where it finds the others.
    pub(crate) mapper_port: u16,
    /// After so long without a word another node counts as gone.
    pub(crate) tick: Duration,
}

impl Node {
    /// One of a cluster, not started yet. What is on the smaller side of a partition stops by itself.
    pub(crate) fn member(member: &Member<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, tls_port] = free_ports();
        let mut config = CONFIG.to_owned()
            + "cluster_partition_handling = pause_minority\n\
               cluster_formation.peer_discovery_backend = classic_config\n";
        for (place, name) in (1..).zip(member.names) {
            config +=
                &format!("cluster_formation.classic_config.nodes.{place} = {name}@localhost\n");
        }
        config += &format!("net_ticktime = {}\n", member.tick.as_secs());
        std::fs::write(folder.path().join("rabbitmq.conf"), config).unwrap();
        std::fs::write(folder.path().join("plugins"), "[].").unwrap();
        let cookie = folder.path().join(".erlang.cookie");
        std::fs::write(&cookie, "TIDINGS").unwrap();
        std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400)).unwrap();
        Self {
            name: format!("{}@localhost", member.name),
            folder,
            epmd: None,
            epmd_port: member.mapper_port,
            dist_port: member.dist_port,
            port,
            tls_port,
            server: None,
        }
    }

    /// Starts one and waits until it serves; `None` after saying that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(None)
    }

    pub(crate) fn start_with(certificate: Option<&Certificate<'_>>) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let [port, tls_port, dist_port, epmd_port] = free_ports();
        let mut config = CONFIG.to_owned();
        if let Some(Certificate {
            ca,
            certificate,
            key,
        }) = certificate
        {
            config += &format!(
                "listeners.ssl.1 = 127.0.0.1:{tls_port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
                ca.display(),
                certificate.display(),
                key.display()
            );
        }
        std::fs::write(folder.path().join("rabbitmq.conf"), config).unwrap();
        std::fs::write(folder.path().join("plugins"), "[].").unwrap();
        let epmd = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut node = Self {
            name: format!("tidings-{port}@localhost"),
            folder,
            epmd: Some(epmd),
            epmd_port,
            dist_port,
            port,
            tls_port,
            server: None,
        };
        wait_until("epmd listens", || is_open(epmd_port));
        node.start_again();
        Some(node)
    }

    /// How to reach it.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            hosts: vec![("127.0.0.1".into(), self.port)],
            password: "guest".into(),
            process: "test".into(),
            ..Settings::default()
        }
    }

    /// Starts the server with what is in its folder, and waits until it serves.
    pub(crate) fn start_again(&mut self) {
        self.launch();
        self.wait_until_it_serves();
    }

    /// Starts the server and does not wait.
    pub(crate) fn launch(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let _ = std::fs::remove_file(self.pid_file());
        let log = std::fs::File::create(self.folder.path().join("output")).unwrap();
        self.server = Some(
            self.command("rabbitmq-server")
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap(),
        );
    }

    pub(crate) fn wait_until_it_serves(&mut self) {
        let started = Stopwatch::start();
        while !is_open(self.port) {
            if started.elapsed() > START_LIMIT {
                panic!("the broker does not start:\n{}", self.output());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        let mut server = self.server.take().expect("it does not run");
        let _ = server.wait();
    }

    /// Ends it and removes everything that it had stored; it is then started again, or not.
    pub(crate) fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
    }

    /// Lets it stand still: its sockets stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Lets it believe that it is short of memory, or not any more.
    pub(crate) fn memory_alarm(&self, on: bool) {
        let limit: &[&str] = if on { &["absolute", "1MB"] } else { &["0.4"] };
        self.control(&[&["set_vm_memory_high_watermark"], limit].concat());
    }

    /// Lets it believe that the disk is nearly full, or not any more.
    pub(crate) fn disk_alarm(&self, on: bool) {
        let limit = if on { "100TB" } else { "50MB" };
        self.control(&["set_disk_free_limit", limit]);
    }

    /// Whether it takes clients.
    pub(crate) fn serves(&self) -> bool {
        is_open(self.port)
    }

    /// As the brokers call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs rabbitmqctl, which must succeed.
    pub(crate) fn control(&self, arguments: &[&str]) -> String {
        self.run(arguments)
            .unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    /// Runs rabbitmqctl; `None`: the node cannot say now.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Option<String> {
        self.run(arguments).ok()
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let done = self
            .command("rabbitmqctl")
            .args(["--node", &self.name])
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if done.status.success() {
            return Ok(text(&done.stdout));
        }
        Err(text(&done.stdout) + &text(&done.stderr))
    }

    fn command(&self, name: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(Path::new(BINARIES).join(name));
        command
            .stdin(Stdio::null())
            .current_dir(folder)
            .env("HOME", folder)
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_PID_FILE", self.pid_file())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
            );
        command
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().expect("it does not run");
        kill_process(pid, signal).unwrap();
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            if let Some(pid) = self.pid() {
                let _ = kill_process(pid, Signal::KILL);
            }
            // The shell that started it ends with it.
            let _ = server.kill();
            let _ = server.wait();
        }
        if let Some(epmd) = &mut self.epmd {
            let _ = epmd.kill();
            let _ = epmd.wait();
        }
    }
}

/// Whether there is a RabbitMQ here; if not, after saying that the test is skipped.
pub(crate) fn is_installed() -> bool {
    let installed = Path::new(BINARIES).join("rabbitmq-server").exists();
    if !installed {
        skip("rabbitmq-server is missing (scripts/setup.sh test installs it)");
    }
    installed
}

/// Ports that nobody listens on.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Whether somebody serves there: what a listener's queue took without a server behind it answers nothing.
fn is_open(port: u16) -> bool {
    use std::io::Write as _;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    // Any eight bytes: AMQP answers with its version, epmd by closing.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    stream.write_all(b"AMQP\0\0\x09\x01").is_ok() && stream.read(&mut [0; 8]).is_ok()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Stopwatch::start();
    while !done() {
        assert!(started.elapsed() < START_LIMIT, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

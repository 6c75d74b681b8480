//! A RabbitMQ of the run's own: the installed program with a folder, ports and an epmd of its own, ended by their ids.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::gateway::Folder;
use super::servers::{find, quoted};
use super::sink::free;
use crate::domain::clock::Stopwatch;
use crate::queue::rabbitmq::Settings;

const INSTALLED: &str = "/usr/lib/rabbitmq/bin";
const ADVICE: &str = "RabbitMQ is not installed: install the package rabbitmq-server (apt-get install rabbitmq-server)";
const START_MAX: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);
/// Whom every new broker knows.
const USER: &str = "guest";

/// A running broker.
pub(super) struct Broker {
    shell: Child,
    epmd: Child,
    node: String,
    port: u16,
    ports: (u16, u16),
    bin: PathBuf,
    made: AtomicU32,
    /// Goes away after the processes.
    folder: Folder,
}

impl Broker {
    /// Starts one.
    ///
    /// # Errors
    /// A sentence: it is not installed, or does not start.
    pub(super) async fn start(parent: Option<&Path>) -> Result<Self, String> {
        let places = [PathBuf::from(INSTALLED)];
        let server = find("rabbitmq-server", &places).ok_or(ADVICE)?;
        let bin = server.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let folder = Folder::new(parent)?;
        let write = |name: &str, text: &str| {
            File::options()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(folder.path().join(name))
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(|why| format!("{} cannot be written: {why}", folder.path().display()))
        };
        write(
            "rabbitmq.conf",
            "loopback_users = none\nlog.file.level = warning\ndisk_free_limit.absolute = 50MB\n",
        )?;
        write("plugins", "[].")?;
        write("password", USER)?;
        let (port, distribution, names) = (
            free().await?.port(),
            free().await?.port(),
            free().await?.port(),
        );
        let epmd = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &names.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("epmd cannot be started: {error}"))?;
        let node = format!("tidings-bench-{port}@localhost");
        let ports = (distribution, names);
        let shell = command(&server, &folder, &node, port, ports)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("RabbitMQ cannot be started: {error}"))?;
        let broker = Self {
            shell,
            epmd,
            node,
            port,
            ports,
            bin,
            made: AtomicU32::new(0),
            folder,
        };
        let clock = Stopwatch::start();
        while !answers(port).await {
            if clock.elapsed() > START_MAX {
                return Err("RabbitMQ was started and does not answer".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(broker)
    }

    /// The settings of a gateway with a new virtual host.
    ///
    /// # Errors
    /// A sentence when it cannot be made.
    pub(super) async fn fresh(&self) -> Result<String, String> {
        let name = format!("bench-{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.control(&["add_vhost", &name]).await?;
        self.control(&["set_permissions", "--vhost", &name, USER, ".*", ".*", ".*"])
            .await?;
        let password = quoted(&self.folder.path().join("password"));
        Ok(format!(
            "queue.kind = \"rabbitmq\"\nqueue.rabbitmq.hosts = [\"127.0.0.1:{}\"]\nqueue.rabbitmq.virtual_host = \"{name}\"\n\
             queue.rabbitmq.user = \"{USER}\"\nqueue.rabbitmq.password_file = {password}\n",
            self.port
        ))
    }

    /// The broker itself, not the shell that started it.
    pub(super) fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("pid")).ok()?;
        text.trim().parse().ok()
    }

    /// How it is reached.
    pub(super) fn reach(&self) -> Settings {
        Settings {
            hosts: vec![("127.0.0.1".into(), self.port)],
            user: USER.into(),
            password: USER.into(),
            process: "bench".into(),
            ..Settings::default()
        }
    }

    async fn control(&self, arguments: &[&str]) -> Result<(), String> {
        let program = self.bin.join("rabbitmqctl");
        let done = command(&program, &self.folder, &self.node, self.port, self.ports)
            .args(["--node", &self.node])
            .args(arguments)
            .output()
            .await
            .map_err(|error| format!("rabbitmqctl cannot be started: {error}"))?;
        if done.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        Err(format!("rabbitmqctl: {}", said.trim()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.shell.start_kill();
        let _ = self.epmd.start_kill();
    }
}

fn command(
    program: &Path,
    folder: &Folder,
    node: &str,
    port: u16,
    (distribution, names): (u16, u16),
) -> Command {
    let folder = folder.path();
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(folder)
        .env("HOME", folder)
        .env("RABBITMQ_NODENAME", node)
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("ERL_EPMD_PORT", names.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_PID_FILE", folder.join("pid"))
        // It shares its cores: idle schedulers must not spin.
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        );
    command
}

/// Whether somebody serves there: any eight bytes are answered with the broker's version.
async fn answers(port: u16) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\0\0\x09\x01").await?;
        stream.read_exact(&mut [0; 8]).await
    };
    matches!(tokio::time::timeout(LOOK * 20, asked).await, Ok(Ok(_)))
}

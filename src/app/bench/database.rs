//! A PostgreSQL of the run's own: the installed binaries on a new folder, with the settings that the server has by default, so that what
//! is committed is on the disk. It listens on a socket in its folder only.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::cost::Written;
use super::gateway::Folder;
use super::servers::quoted;
use crate::domain::clock::Stopwatch;

/// Where Debian puts them, a folder for each version.
const INSTALLED: &str = "/usr/lib/postgresql";
const ADVICE: &str =
    "PostgreSQL is not installed: install the package postgresql (apt-get install postgresql)";
const START_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// It tells its counters about this late.
const COUNTED_AFTER: Duration = Duration::from_millis(1500);
const SUPERUSER: &str = "postgres";

/// A running server; it ends when it is dropped, before its folder goes.
pub(super) struct Database {
    child: Child,
    bin: PathBuf,
    user: Option<(u32, u32)>,
    made: AtomicU32,
    folder: Folder,
}

impl Database {
    /// Starts one.
    ///
    /// # Errors
    /// A sentence: it is not installed, or does not start.
    pub(super) async fn start(parent: Option<&Path>) -> Result<Self, String> {
        let bin = newest().ok_or(ADVICE)?;
        let folder = Folder::new(parent)?;
        let user = user(folder.path()).await?;
        let data = folder.path().join("data");
        let initdb = command(&bin.join("initdb"), user)
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg(format!("--username={SUPERUSER}"))
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .await;
        well("initdb", initdb)?;
        let socket = folder.path().display().to_string();
        let child = command(&bin.join("postgres"), user)
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "max_connections=60"])
            .args(["-c", &format!("unix_socket_directories={socket}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("PostgreSQL cannot be started: {error}"))?;
        let database = Self {
            child,
            bin,
            user,
            made: AtomicU32::new(0),
            folder,
        };
        let clock = Stopwatch::start();
        while database.ask(SUPERUSER, "SELECT 1").await.is_err() {
            if clock.elapsed() > START_MAX {
                return Err("PostgreSQL was started and does not answer".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(database)
    }

    /// The settings of a gateway with a new database.
    ///
    /// # Errors
    /// A sentence when it cannot be made.
    pub(super) async fn fresh(&self) -> Result<String, String> {
        let name = format!("bench_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.ask(SUPERUSER, &format!("CREATE DATABASE {name}"))
            .await?;
        let host = quoted(self.folder.path());
        Ok(format!(
            "store.kind = \"postgres\"\nstore.postgres.host = {host}\nstore.postgres.user = \"{SUPERUSER}\"\n\
             store.postgres.database = \"{name}\"\n"
        ))
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What all its databases have written.
    ///
    /// # Errors
    /// A sentence when it does not tell.
    pub(super) async fn written(&self) -> Result<Written, String> {
        tokio::time::sleep(COUNTED_AFTER).await;
        let told = self
            .ask(
                SUPERUSER,
                "SELECT (SELECT sum(tup_inserted + tup_updated + tup_deleted) FROM pg_stat_database), \
                 (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint",
            )
            .await?;
        let mut numbers = told.trim().split('|').map(|number| number.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(rows), Some(log_bytes)) => Ok(Written { rows, log_bytes }),
            _ => Err(format!("PostgreSQL tells no counters: {told}")),
        }
    }

    /// What a statement prints, bare.
    async fn ask(&self, database: &str, statement: &str) -> Result<String, String> {
        let output = command(&self.bin.join("psql"), self.user)
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER])
            .args(["-d", database, "-c", statement, "-h"])
            .arg(self.folder.path())
            .output()
            .await
            .map_err(|error| format!("psql cannot be started: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("PostgreSQL: {}", said.trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The folder of the newest version's programs.
fn newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let installed = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        bin.join("initdb").is_file().then_some((version, bin))
    });
    installed.max().map(|(_, bin)| bin)
}

/// Whom it runs as, as it refuses to be root; the folder is given to them.
async fn user(folder: &Path) -> Result<Option<(u32, u32)>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    // Debian's package makes the user, whose folder this is.
    let home = std::fs::metadata("/var/lib/postgresql")
        .map_err(|error| format!("the user postgres is not known: {error}"))?;
    let (uid, gid) = (home.uid(), home.gid());
    chown(folder, Some(uid), Some(gid))
        .map_err(|error| format!("{} cannot be given away: {error}", folder.display()))?;
    Ok(Some((uid, gid)))
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .env_remove("PGOPTIONS");
    command
}

fn well(what: &str, ended: std::io::Result<ExitStatus>) -> Result<(), String> {
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed: {status}")),
        Err(error) => Err(format!("{what} cannot be started: {error}")),
    }
}

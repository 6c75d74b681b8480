//! Making a connection: where, as whom, under which TLS, with which limits, and how soon again after it could not be made.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use super::error::{Away, TooLong};
use super::guard::Guard;
use super::session::STATEMENT;
use super::tls::Rustls;
use crate::domain::clock::Stopwatch;
use crate::domain::id::ProcessId;
use crate::store::{StoreError, StoreResult};

/// How long a connection may take to make, its handshakes included.
const CONNECT: Duration = Duration::from_secs(5);
/// How soon a connection that could not be made is tried again: first, and at last.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(2);
/// How many slots the counts are kept in; a connection that writes holds one.
const SLOTS: i32 = 64;
/// The first half of the key of the locks on slots; any number that nobody else in the database uses.
const SLOT_LOCK: i32 = 0x7469_6469;

/// What every connection is told. Plans are made once for all values and go by indexes: what is stored changes faster than what the
/// planner knows of it, and a plan for a small table must not outlive the table's smallness.
pub(super) const LIMITS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '2s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET default_transaction_isolation = 'read committed'; \
    SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET enable_indexonlyscan = off; \
    SET jit = off; SET client_min_messages = warning";

/// Whether the way to the database is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted, and the server proves its name; a server without TLS is refused.
    #[default]
    Require,
    /// Plain: for a database on the same machine or in a network that is trusted.
    Disable,
}

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct Settings {
    /// A name or address, or the folder of a Unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom.
    pub user: String,
    /// That user's password, if one is asked for.
    pub password: Option<String>,
    /// Which database.
    pub database: String,
    /// Whether the way is encrypted.
    pub tls: Tls,
    /// The certificates that sign the server's, as PEM; without it those that browsers trust.
    pub ca: Option<PathBuf>,
    /// How many connections write.
    pub writers: usize,
    /// How many connections read.
    pub readers: usize,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("ca", &self.ca)
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5432,
            user: "tidings".to_owned(),
            password: None,
            database: "tidings".to_owned(),
            tls: Tls::default(),
            ca: None,
            writers: 4,
            readers: 4,
        }
    }
}

impl Settings {
    /// From `postgresql://user:password@host:port/database?sslmode=require`; what the address does not say is as in the default.
    ///
    /// # Errors
    /// A sentence that does not repeat the address, because it may hold a password.
    pub fn from_url(url: &str) -> Result<Self, String> {
        // One meaning here: encrypted means checked.
        let url = url.replace("sslmode=verify-full", "sslmode=require");
        let config = Config::from_str(&url).map_err(|_| {
            "the database's address cannot be read: write postgresql://user:password@host:5432/database"
                .to_owned()
        })?;
        let usual = Self::default();
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => Tls::Disable,
            // "prefer" would be plain whenever somebody in between wished so.
            _ => Tls::Require,
        };
        let password = config
            .get_password()
            .map(|password| String::from_utf8(password.to_vec()))
            .transpose()
            .map_err(|_| "the database's password is not UTF-8".to_owned())?;
        Ok(Self {
            host: match config.get_hosts().first() {
                Some(Host::Tcp(name)) => name.clone(),
                #[cfg(unix)]
                Some(Host::Unix(folder)) => folder.display().to_string(),
                _ => usual.host,
            },
            port: config.get_ports().first().copied().unwrap_or(usual.port),
            user: config.get_user().map_or(usual.user, str::to_owned),
            password,
            database: config.get_dbname().map_or(usual.database, str::to_owned),
            tls,
            ..Self::default()
        })
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .dbname(&self.database)
            .application_name("tidings")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(STATEMENT)
            .keepalives_idle(Duration::from_secs(30))
            .ssl_mode(match self.tls {
                Tls::Require if !self.host.starts_with('/') => SslMode::Require,
                // A socket in a folder leaves the machine by no network.
                _ => SslMode::Disable,
            });
        if let Some(password) = &self.password {
            config.password(password);
        }
        config
    }
}

/// Makes connections, and knows when not to try.
pub(super) struct Connector {
    config: Config,
    tls: Option<Rustls>,
    process: ProcessId,
    outage: Mutex<Outage>,
    /// Looks at every connection but the first, which makes what it knows.
    guard: OnceLock<Guard>,
}

/// How it went lately.
#[derive(Default)]
struct Outage {
    failures: u32,
    last: Option<Stopwatch>,
    /// One is trying; the others need not.
    trying: bool,
}

impl Connector {
    /// # Errors
    /// A sentence on the certificates.
    pub(super) fn try_new(settings: &Settings, process: ProcessId) -> Result<Self, String> {
        let config = settings.config();
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(Rustls::try_new(settings.ca.as_deref())?),
        };
        Ok(Self {
            config,
            tls,
            process,
            outage: Mutex::default(),
            guard: OnceLock::new(),
        })
    }

    /// From now on each new connection is looked at.
    pub(super) fn watch_by(&self, guard: Guard) {
        // There is one start, so there is one guard.
        let _ = self.guard.set(guard);
    }

    pub(super) fn guard(&self) -> Option<&Guard> {
        self.guard.get()
    }

    /// A connection with its limits set, driven by `runtime`. After a failure it is not tried again at once, and by one at a time.
    pub(super) fn connect(&self, runtime: &Runtime) -> StoreResult<Client> {
        {
            let mut outage = self.outage();
            let pause = PAUSE_FIRST
                .saturating_mul(1 << outage.failures.saturating_sub(1).min(5))
                .min(PAUSE_LAST);
            let resting = outage.last.is_some_and(|last| last.elapsed() < pause);
            if outage.failures > 0 && (outage.trying || resting) {
                return Err(StoreError::Unavailable(Box::new(Away)));
            }
            outage.trying = true;
        }
        let made = self.try_connect(runtime);
        let mut outage = self.outage();
        outage.trying = false;
        if made.is_ok() {
            outage.failures = 0;
        } else {
            outage.failures = outage.failures.saturating_add(1);
            outage.last = Some(Stopwatch::start());
        }
        made
    }

    /// A connection got no answer: what waits behind it need not find that out one by one.
    pub(super) fn fell_silent(&self) {
        let mut outage = self.outage();
        outage.failures = outage.failures.max(1);
        outage.last = Some(Stopwatch::start());
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_connect(&self, runtime: &Runtime) -> StoreResult<Client> {
        let making = async {
            let client = match self.tls.clone() {
                Some(tls) => {
                    let (client, connection) = self.config.connect(tls).await?;
                    runtime.spawn(connection);
                    client
                }
                None => {
                    let (client, connection) = self.config.connect(NoTls).await?;
                    runtime.spawn(connection);
                    client
                }
            };
            client.batch_execute(LIMITS).await?;
            client
                .execute(
                    "SELECT set_config('tidings.process', $1, false), set_config('tidings.slot', '0', false)",
                    &[&self.process.to_string()],
                )
                .await?;
            Ok::<_, tokio_postgres::Error>(client)
        };
        match runtime.block_on(async { tokio::time::timeout(CONNECT, making).await }) {
            Ok(made) => Ok(made?),
            Err(_) => Err(StoreError::Unavailable(Box::new(TooLong(CONNECT)))),
        }
    }
}

/// What takes a slot for a connection that writes: one that nobody else has, else one by chance.
pub(super) fn slot_statement() -> String {
    format!(
        "SELECT set_config('tidings.slot', coalesce((SELECT s FROM generate_series(0, {last}) s \
         WHERE pg_try_advisory_lock({SLOT_LOCK}, s) LIMIT 1), pg_backend_pid() % {SLOTS})::text, false)",
        last = SLOTS - 1,
    )
}

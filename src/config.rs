//! L6: the settings of `tidings serve`, read and checked before a socket opens.
//!
//! Defaults come from one commented file that is compiled in, then the operator's file, then `TIDINGS_SECTION__KEY`
//! variables. Unknown keys, wrong types and values out of range are refused, all at once, a line for each, with what
//! would be right. Secrets come from files and are never printed. What is not done here: opening anything. A
//! configuration that loads may still name a server that does not answer.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::caller::KnownCaller;
use crate::domain::channel::{Channel, Lane};
use crate::domain::shop::Identity;

mod callers;
mod layers;
mod nearest;
mod providers;
mod reader;
mod secret;
mod tls;

pub use providers::{OutboxSettings, Provider, ProviderKind};
pub use tls::Tls;

use layers::{Entries, Origin};
use reader::{MEBIBYTE, Reader};

/// The commented default file: every setting, its unit and meaning.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

/// The exit code for a configuration that is refused (`EX_USAGE` of sysexits.h).
pub const EXIT_CODE: u8 = 64;

/// All settings. Plain values: `dev` and `demo` change some before they build anything.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens and how it ends.
    pub server: Server,
    /// Who may call, by name; empty: nobody is asked who they are, and only this machine can call.
    pub callers: Vec<KnownCaller>,
    /// Where everything is kept.
    pub store: Store,
    /// How ready work travels.
    pub queue: Queue,
    /// Where templates come from.
    pub catalog: Catalog,
    /// How many messages are handed over at once.
    pub workers: Workers,
    /// One for each channel, in the order of [`Channel::ALL`].
    pub providers: Vec<Provider>,
    /// What is logged.
    pub telemetry: Telemetry,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// gRPC; port 0 picks one.
    pub grpc_address: SocketAddr,
    /// Console, health, metrics.
    pub console_address: SocketAddr,
    /// The caller whose notifications the console shows; `None`: the first by name.
    pub console_caller: Option<String>,
    /// What gRPC is encrypted with; `None`: nothing.
    pub tls: Option<Tls>,
    /// Whether the interface can be asked for.
    pub reflection: bool,
    /// How long work in flight may take after SIGTERM.
    pub drain: Duration,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// Which store.
    pub kind: StoreKind,
    /// Its folder.
    pub path: PathBuf,
    /// The most bytes its file may have; `None`: as many as the disk has.
    pub max_size: Option<u64>,
}

/// What a store's file may be limited to: enough to start with, and no more than SQLite can have.
const MAX_SIZE: RangeInclusive<u64> = 16 * MEBIBYTE..=16 * 1024 * 1024 * MEBIBYTE;

/// The stores of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// SQLite files in one folder.
    Sqlite,
}

/// `[queue]`
#[derive(Clone, Debug)]
pub struct Queue {
    /// Which queue.
    pub kind: QueueKind,
    /// Messages of one channel and lane that may be out at once.
    pub window: usize,
}

/// The queues of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// Inside the process.
    Memory,
}

/// `[catalog]`
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The template repository's folder; `None`: ./templates, else the pack compiled in.
    pub templates: Option<PathBuf>,
    /// Whether changes in it take effect at once.
    pub reload: bool,
}

/// `[workers.CHANNEL]` for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// `[workers.email]`
    pub email: Concurrency,
    /// `[workers.sms]`
    pub sms: Concurrency,
    /// `[workers.chat]`
    pub chat: Concurrency,
}

impl Workers {
    /// How many messages of a channel and lane may be handed over at once.
    pub const fn of(&self, channel: Channel, lane: Lane) -> usize {
        let concurrency = match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
            Channel::Chat => &self.chat,
        };
        match lane {
            Lane::Critical => concurrency.critical,
            Lane::Transactional => concurrency.transactional,
            Lane::Bulk => concurrency.bulk,
        }
    }
}

/// Messages handed over at once on one channel, by lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Of the critical lane.
    pub critical: usize,
    /// Of the transactional lane.
    pub transactional: usize,
    /// Of the bulk lane.
    pub bulk: usize,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// error, warn, info, debug or trace.
    pub log: String,
    /// For people or for collectors.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is wrong with a configuration: a line for each fault, each with the key, where it stands and what is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<String>,
}

impl ConfigError {
    /// The faults, one line each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Defaults, then the file, then the environment. Reads the files of secrets; opens nothing else.
    ///
    /// # Errors
    /// Every fault that was found, not only the first. A file that is not TOML is the only fault told then.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut entries = Entries::new();
        let one = |fault: String| ConfigError {
            faults: vec![fault],
        };
        layers::lay_text(&mut entries, DEFAULT_TOML, &|_| Origin::Default).map_err(one)?;
        if let Some(file) = file {
            layers::lay_file(&mut entries, file).map_err(one)?;
        }
        let faults = layers::lay_environment(&mut entries, env);
        let mut reader = Reader::new(entries, faults);
        let config = Self::read(&mut reader);
        let faults = reader.finish();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError { faults }),
        }
    }

    /// The settings without a file or environment.
    ///
    /// # Errors
    /// Never, as long as the compiled-in file is good; a test loads it.
    pub fn defaults() -> Result<Self, ConfigError> {
        Self::load(None, std::iter::empty())
    }

    /// The settings of `dev` and `demo`: everything in `folder`, captured instead of sent, the interface open to questions.
    pub fn embedded(folder: &Path) -> Self {
        let defaults = Self::defaults();
        let mut config =
            defaults.unwrap_or_else(|error| unreachable!("the compiled-in file is good: {error}"));
        config.store.path = folder.to_owned();
        config.server.reflection = true;
        config
    }

    /// The provider of a channel.
    pub fn provider(&self, channel: Channel) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| provider.channel == channel)
    }

    /// Whose notifications the console shows.
    pub fn console_identity(&self) -> Identity {
        let chosen = self.server.console_caller.as_deref();
        self.callers
            .iter()
            .map(|known| &known.caller.identity)
            .find(|identity| chosen.is_none_or(|name| identity.caller.as_str() == name))
            .cloned()
            .unwrap_or_else(Identity::local)
    }

    /// Asks every question before any answer is used, so that all faults are told at once.
    fn read(reader: &mut Reader) -> Option<Self> {
        let callers = callers::read(reader);
        let server = Server::read(reader, &callers);
        let store = Store::read(reader);
        let queue = Queue::read(reader);
        let catalog = Catalog::read(reader);
        let email = Concurrency::read(reader, "workers.email");
        let sms = Concurrency::read(reader, "workers.sms");
        let chat = Concurrency::read(reader, "workers.chat");
        let telemetry = Telemetry::read(reader);
        let providers = providers::read(reader);
        Some(Self {
            server: server?,
            callers,
            store: store?,
            queue: queue?,
            catalog: catalog?,
            workers: Workers {
                email: email?,
                sms: sms?,
                chat: chat?,
            },
            providers,
            telemetry: telemetry?,
        })
    }
}

impl Server {
    fn read(reader: &mut Reader, callers: &[KnownCaller]) -> Option<Self> {
        let grpc_origin = reader.origin("server.grpc_address");
        let console_origin = reader.origin("server.console_address");
        let grpc = reader.address("server.grpc_address");
        let console = reader.address("server.console_address");
        let console_caller = console_caller(reader, callers);
        // A certificate that was given and is refused is a fault of its own.
        let wants_tls = reader.is_said("server.tls.certificate_file");
        let tls = tls::read(reader);
        let reflection = reader.switch("server.reflection");
        let drain = reader.duration(
            "server.drain",
            &(Duration::from_secs(1)..=Duration::from_secs(600)),
        );
        let (grpc, console) = (grpc?, console?);
        refuse_strangers(reader, &grpc_origin, grpc, callers, wants_tls);
        let knows_clients = tls.as_ref().is_some_and(|tls| tls.knows_clients);
        if wants_tls == tls.is_some() && !knows_clients {
            refuse_unverified(reader, callers);
        }
        if !console.ip().is_loopback() {
            reader.refuse_reachable(
                &console_origin,
                "server.console_address",
                console,
                "the console asks nobody who they are: put a proxy that does before it",
            );
        }
        if same_door(grpc, console) {
            reader.fault(
                &console_origin,
                "server.console_address",
                "is the same as server.grpc_address; give each its own port",
            );
        }
        Some(Self {
            grpc_address: grpc,
            console_address: console,
            console_caller,
            tls,
            reflection: reflection?,
            drain: drain?,
        })
    }
}

/// The caller that the console stands for.
fn console_caller(reader: &mut Reader, callers: &[KnownCaller]) -> Option<String> {
    let path = "server.console_caller";
    let origin = reader.origin(path);
    let chosen = reader.optional_text(path)?;
    let known = |caller: &&KnownCaller| caller.caller.identity.caller.as_str() == chosen;
    if !callers.iter().any(|caller| known(&caller)) {
        let what = format!("is {chosen:?}, and there is no section [callers.{chosen}]");
        reader.fault(&origin, path, &what);
    }
    Some(chosen)
}

/// Whoever can be reached by other machines knows its callers, and hears their keys through TLS only.
fn refuse_strangers(
    reader: &mut Reader,
    origin: &Origin,
    grpc: SocketAddr,
    callers: &[KnownCaller],
    tls: bool,
) {
    let why = if grpc.ip().is_loopback() || (tls && !callers.is_empty()) {
        return;
    } else if callers.is_empty() {
        "callers must be known then: add a section [callers.NAME] for each and a certificate in [server.tls]"
    } else {
        "what callers send, their keys too, would cross the network in the clear: set server.tls.certificate_file and server.tls.key_file"
    };
    reader.refuse_reachable(origin, "server.grpc_address", grpc, why);
}

/// A certificate's name means something only when an authority that is trusted here has signed it.
fn refuse_unverified(reader: &mut Reader, callers: &[KnownCaller]) {
    let certified = callers
        .iter()
        .filter(|one| !one.certificate_names.is_empty());
    for known in certified {
        let path = format!("callers.{}.certificate_names", known.caller.identity.caller);
        reader.fault(
            &Origin::Default,
            &path,
            "cannot be verified; name the authority that signs callers' certificates as server.tls.client_ca_file",
        );
    }
}

/// Port 0 is picked anew each time, so it never collides.
fn same_door(left: SocketAddr, right: SocketAddr) -> bool {
    left == right && left.port() != 0
}

impl Store {
    fn read(reader: &mut Reader) -> Option<Self> {
        let kind = reader.word("store.kind", &[("sqlite", StoreKind::Sqlite)]);
        let path = reader.required_text("store.path", "the folder that the store may use");
        let max_size = reader.size("store.max_size", &MAX_SIZE);
        Some(Self {
            kind: kind?,
            path: PathBuf::from(path),
            max_size: Some(max_size?).filter(|bytes| *bytes > 0),
        })
    }
}

impl Queue {
    fn read(reader: &mut Reader) -> Option<Self> {
        let kind = reader.word("queue.kind", &[("memory", QueueKind::Memory)]);
        let window = reader.count("queue.window", &(1..=1_000_000));
        Some(Self {
            kind: kind?,
            window: window? as usize,
        })
    }
}

impl Catalog {
    fn read(reader: &mut Reader) -> Option<Self> {
        let templates = reader.path("catalog.templates");
        Some(Self {
            templates,
            reload: reader.switch("catalog.reload")?,
        })
    }
}

impl Concurrency {
    fn read(reader: &mut Reader, section: &str) -> Option<Self> {
        let mut lane =
            |lane: Lane| reader.count(&format!("{section}.concurrency_{lane}"), &(1..=256));
        let (critical, transactional, bulk) = (
            lane(Lane::Critical),
            lane(Lane::Transactional),
            lane(Lane::Bulk),
        );
        Some(Self {
            critical: critical? as usize,
            transactional: transactional? as usize,
            bulk: bulk? as usize,
        })
    }
}

impl Telemetry {
    fn read(reader: &mut Reader) -> Option<Self> {
        let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
        let log = reader.word("telemetry.log", &levels);
        let format = reader.word(
            "telemetry.format",
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        );
        Some(Self {
            log: log?.to_owned(),
            format: format?,
        })
    }
}

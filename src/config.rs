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

use crate::domain::channel::{Channel, Lane};

mod layers;
mod nearest;
mod providers;
mod reader;
mod secret;

pub use providers::{OutboxSettings, Provider, ProviderKind};

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

    /// Asks every question before any answer is used, so that all faults are told at once.
    fn read(reader: &mut Reader) -> Option<Self> {
        let server = Server::read(reader);
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
    fn read(reader: &mut Reader) -> Option<Self> {
        let console_origin = reader.origin("server.console_address");
        let grpc = reader.loopback("server.grpc_address");
        let console = reader.loopback("server.console_address");
        let reflection = reader.switch("server.reflection");
        let drain = reader.duration(
            "server.drain",
            &(Duration::from_secs(1)..=Duration::from_secs(600)),
        );
        let (grpc, console) = (grpc?, console?);
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
            reflection: reflection?,
            drain: drain?,
        })
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

//! L6: the settings of `tidings serve`, read and checked before a socket opens.
//!
//! Defaults come from one commented file that is compiled in, then the operator's file, then `TIDINGS_SECTION__KEY`
//! variables. Unknown keys, wrong types and values out of range are refused, all at once, a line for each, with what
//! would be right. Secrets come from files and are never printed. What is not done here: opening anything. A
//! configuration that loads may still name a server that does not answer.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::caller::KnownCaller;
use crate::domain::channel::Channel;
use crate::domain::shop::Identity;
use crate::store::Retention;

mod callers;
mod layers;
mod nearest;
mod providers;
mod queue;
mod reader;
mod retention;
mod roles;
mod secret;
mod server;
mod store;
mod tls;
mod workers;

pub use providers::{OutboxSettings, Provider, ProviderKind};
pub use queue::{Queue, QueueKind};
pub use roles::Roles;
pub use server::Server;
pub use store::{Store, StoreKind};
pub use tls::Tls;
pub use workers::{Concurrency, Workers};

use layers::{Entries, Origin};
use reader::Reader;

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
    /// How long what has ended is kept.
    pub retention: Retention,
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

/// `[catalog]`
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The template repository's folder; `None`: ./templates, else the pack compiled in.
    pub templates: Option<PathBuf>,
    /// Whether changes in it take effect at once.
    pub reload: bool,
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
        let (roles, insecure) = (
            reader.origin("server.roles"),
            reader.origin("server.insecure"),
        );
        let server = Server::read(reader, &callers);
        let store = Store::read(reader);
        let retention = retention::read(reader);
        let queue = Queue::read(reader);
        let catalog = Catalog::read(reader);
        let workers = Workers::read(reader);
        let telemetry = Telemetry::read(reader);
        let providers = providers::read(reader);
        if let (Some(server), Some(store), Some(queue)) = (&server, &store, &queue) {
            refuse_alone(reader, &roles, server, store, queue);
        }
        if let (Some(server), Some(store)) = (&server, &store) {
            refuse_open(reader, &insecure, server, store);
        }
        Some(Self {
            server: server?,
            callers,
            store: store?,
            retention: retention?,
            queue: queue?,
            catalog: catalog?,
            workers: workers?,
            providers,
            telemetry: telemetry?,
        })
    }
}

/// Processes that share the work share where it lies.
fn refuse_alone(
    reader: &mut Reader,
    origin: &Origin,
    server: &Server,
    store: &Store,
    queue: &Queue,
) {
    let shared = matches!(
        (&store.kind, &queue.kind),
        (StoreKind::Postgres(_), QueueKind::Rabbitmq(_))
    );
    if server.roles != Roles::ALL && !shared {
        let what = "leave work to other processes, which share a store and a queue with this one: set store.kind = \"postgres\" and queue.kind = \"rabbitmq\"";
        reader.fault(origin, "server.roles", what);
    }
}

/// What many processes share is no place to try things out.
fn refuse_open(reader: &mut Reader, origin: &Origin, server: &Server, store: &Store) {
    if server.insecure && !matches!(store.kind, StoreKind::Sqlite) {
        let what = "is for trying things out with the embedded store; with store.kind = \"postgres\" name the callers and set server.tls";
        reader.fault(origin, "server.insecure", what);
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

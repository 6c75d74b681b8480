//! `tidings bench`: what is measured, how long, and where the figures go.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `tidings bench`
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// What to measure. Without it: accept, delivery, decide and render; memory and stored take minutes.
    #[arg(value_enum)]
    pub parts: Vec<BenchPart>,
    /// How long each rate is measured, in seconds, after a warm-up.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Callers at the same time that each send one intent and wait for the answer.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub callers: u16,
    /// How many notifications the large store holds in `stored`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(20_000..=100_000_000))]
    pub stored: Option<u64>,
    /// What the gateway keeps its notifications in; for postgres a server of its own is started from what is installed.
    #[arg(long, value_enum, default_value_t = BenchStore::Sqlite)]
    pub store: BenchStore,
    /// What feeds its workers; for rabbitmq a broker of its own is started from what is installed.
    #[arg(long, value_enum, default_value_t = BenchQueue::Memory)]
    pub queue: BenchQueue,
    /// SMTP connections of the gateway, and of smtp-source beside it.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,
    /// A setting of the measured gateway, as its configuration file has it: store.postgres.writers=2. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Fewer customers, and smaller numbers in `memory` and `stored`, to try them out; the output says so.
    #[arg(long)]
    pub quick: bool,
    /// Draw the figures into this file.
    #[arg(long, value_name = "FILE.svg")]
    pub chart: Option<PathBuf>,
    /// An existing folder on the disk to measure. Without it: the system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Whether `--json` was given.
    #[arg(skip)]
    pub json: bool,
}

/// Where the measured gateway keeps its notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchStore {
    /// Its own file.
    Sqlite,
    /// A PostgreSQL of the run's own.
    Postgres,
}

/// What feeds the workers of the measured gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchQueue {
    /// Its own memory.
    Memory,
    /// A RabbitMQ of the run's own; it wants a store that is a server, too.
    Rabbitmq,
}

/// A part of `tidings bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum BenchPart {
    /// Durable accepts a second: unary, batch and stream.
    Accept,
    /// Intent to SMTP 250, beside smtp-source into the same sink.
    Delivery,
    /// Decisions a second on one core.
    Decide,
    /// Rendered mails a second on one core.
    Render,
    /// Loading and checking a folder of 200 templates.
    Templates,
    /// Memory at rest, with many waiting, and with a provider that is dead.
    Memory,
    /// Delivery with a small and with a large store.
    Stored,
    /// All of them.
    All,
}

impl BenchStore {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl BenchQueue {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Rabbitmq => "rabbitmq",
        }
    }
}

impl BenchOptions {
    /// The parts to run, each once, in their order.
    pub fn chosen(&self) -> Vec<BenchPart> {
        use BenchPart::{Accept, All, Decide, Delivery, Memory, Render, Stored, Templates};
        let mut chosen = match self.parts.as_slice() {
            [] => vec![Accept, Delivery, Decide, Render],
            parts if parts.contains(&All) => {
                vec![Accept, Delivery, Decide, Render, Templates, Memory, Stored]
            }
            parts => parts.to_vec(),
        };
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

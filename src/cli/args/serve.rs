//! Commands that run a gateway, or look at the set-up of one.

use std::path::PathBuf;

use clap::Args;

use crate::cli::parse;
use crate::domain::channel::Channel;

/// `tidings demo`
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// How fast the demo's clock runs, such as 60x: a minute in a second.
    #[arg(long, default_value = "60x", value_parser = parse::speed)]
    pub speed: f64,
    /// Open no browser and print plain lines.
    #[arg(long)]
    pub headless: bool,
    /// The gRPC port; 0 picks one.
    #[arg(long, default_value_t = 50051)]
    pub port: u16,
    /// The console's port; 0 picks one.
    #[arg(long, default_value_t = 8080)]
    pub ui_port: u16,
}

/// `tidings dev`
#[derive(Clone, Debug, Args)]
pub struct DevOptions {
    /// The gRPC port; 0 picks one.
    #[arg(long, default_value_t = 50051)]
    pub port: u16,
    /// The console's port; 0 picks one.
    #[arg(long, default_value_t = 8080)]
    pub ui_port: u16,
    /// Where data is kept.
    #[arg(long, value_name = "DIR", default_value = ".tidings")]
    pub data: PathBuf,
    /// The template repository. Without it: ./templates if it exists, else the pack that is compiled in.
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,
    /// Let a share of a channel's hand-overs fail, such as email=5%. May be repeated.
    #[arg(long, value_name = "CHANNEL=PERCENT", value_parser = parse::chaos)]
    pub chaos: Vec<Chaos>,
    /// Open no browser and print plain lines.
    #[arg(long)]
    pub headless: bool,
}

/// A share of one channel's hand-overs that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// Which channel.
    pub channel: Channel,
    /// From 0 to 100.
    pub percent: u8,
}

/// `tidings serve`
#[derive(Clone, Debug, Args)]
pub struct ServeOptions {
    /// The configuration file. Without it: the defaults and the environment.
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What this process does, in place of server.roles: ingest, worker, scheduler, console, all; several with commas.
    #[arg(long = "role", value_name = "ROLE,...", value_delimiter = ',')]
    pub roles: Vec<String>,
    /// Which channels its workers serve, in place of workers.channels: email, sms, chat.
    #[arg(long = "channel", value_name = "CHANNEL,...", value_delimiter = ',')]
    pub channels: Vec<String>,
    /// Which lanes its workers serve, in place of workers.lanes: critical, transactional, bulk.
    #[arg(long = "lane", value_name = "LANE,...", value_delimiter = ',')]
    pub lanes: Vec<String>,
    /// Take and hand over nothing until `tidings recover`: for a store that was restored in a way that the gateway cannot see.
    #[arg(long)]
    pub paused: bool,
}

impl ServeOptions {
    /// The options that stand for settings, as the environment would say them.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("TIDINGS_SERVER__ROLES", &self.roles),
            ("TIDINGS_WORKERS__CHANNELS", &self.channels),
            ("TIDINGS_WORKERS__LANES", &self.lanes),
        ]
        .into_iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(name, words)| (name.to_owned(), words.join(",")))
        .collect()
    }
}

/// `tidings migrate`
#[derive(Clone, Debug, Args)]
pub struct MigrateOptions {
    /// The configuration file. Without it: the defaults and the environment.
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tidings doctor`
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// The configuration file. Without it: the defaults and the environment.
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whether `--json` was given.
    #[arg(skip)]
    pub json: bool,
}

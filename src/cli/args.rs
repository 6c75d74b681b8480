//! What can be typed: commands, options and their meaning. Parsing only; nothing here does anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use super::parse;
use crate::client::Target;

mod bench;
mod customers;
mod operate;
mod serve;
mod templates;

pub use bench::{BenchOptions, BenchPart, BenchQueue, BenchStore};
pub use customers::{CustomersCommand, PreferencesOptions, UpsertOptions};
pub use operate::{RecoverOptions, UnknownCommand, Verdict};
pub use serve::{Chaos, DemoOptions, DevOptions, DoctorOptions, MigrateOptions, ServeOptions};
pub use templates::{AssetsOptions, Part, RenderOptions, TemplatesCommand};

/// Where a gateway listens unless told otherwise.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";

/// A notification delivery gateway for shops: says what an order has to say, on the channel the customer prefers, and
/// never too often.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tidings",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 lint errors, 4 not delivered (--wait), 5 unreachable, 64 bad configuration.\nStart with: tidings demo"
)]
pub struct Cli {
    /// The gateway to talk to: host and port, or a URL.
    #[arg(long, global = true, env = "TIDINGS_ADDRESS", value_name = "HOST:PORT", default_value = DEFAULT_ADDRESS)]
    pub address: String,

    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,

    /// What to show to that gateway.
    #[command(flatten)]
    pub access: AccessOptions,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const KNOWN: &str = "Gateways that know their callers";

/// How to be known to a gateway, and how to know it.
#[derive(Clone, Debug, Default, Args)]
pub struct AccessOptions {
    /// The file that holds your API key.
    #[arg(long, global = true, env = "TIDINGS_API_KEY_FILE", value_name = "FILE", help_heading = KNOWN)]
    pub api_key_file: Option<PathBuf>,
    /// The authority that signed the gateway's certificate, in PEM. Without it: the public ones.
    #[arg(long, global = true, env = "TIDINGS_CA_FILE", value_name = "FILE", help_heading = KNOWN)]
    pub ca_file: Option<PathBuf>,
    /// Your own certificate, in PEM.
    #[arg(long, global = true, env = "TIDINGS_CERTIFICATE_FILE", value_name = "FILE", help_heading = KNOWN)]
    pub certificate_file: Option<PathBuf>,
    /// The key of your certificate, in PEM.
    #[arg(long, global = true, env = "TIDINGS_KEY_FILE", value_name = "FILE", help_heading = KNOWN)]
    pub key_file: Option<PathBuf>,
}

impl AccessOptions {
    /// With the address, everything that a connection needs.
    pub(super) fn target(self, address: String) -> Target {
        Target {
            address,
            api_key_file: self.api_key_file,
            ca_file: self.ca_file,
            certificate_file: self.certificate_file,
            key_file: self.key_file,
        }
    }
}

/// `tidings keys`
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Make an API key and its hash. The key is shown this once; the hash goes into the gateway's settings.
    New {
        /// Write the key into this new file, which only you can read, instead of showing it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show it: everything in one process, sample customers, a story from order to review.
    Demo(DemoOptions),
    /// Everything in one process with captured messages, for development. Nothing leaves the machine.
    Dev(DevOptions),
    /// Run the gateway with a configuration.
    Serve(ServeOptions),
    /// Bring the store's tables to this release and do nothing else. A start does it too.
    Migrate(MigrateOptions),
    /// Send one notification, or a file of them.
    Send(SendOptions),
    /// Say why a customer got a notification, or did not, or would.
    Explain(ExplainOptions),
    /// Follow notifications as they change.
    Tail(TailOptions),
    /// List, view and cancel notifications.
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// View, change, import and erase customers.
    #[command(subcommand)]
    Customers(CustomersCommand),
    /// Make keys by which callers are known.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// List and render templates.
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Let a gateway go on whose store was restored from a backup.
    Recover(RecoverOptions),
    /// List what nobody knows the end of, and say what became of it.
    #[command(subcommand)]
    Unknown(UnknownCommand),
    /// Check configuration, store, templates, providers and clock.
    Doctor(DoctorOptions),
    /// Measure this machine: a loopback load on a gateway of its own, with a report.
    Bench(BenchOptions),
    /// Print the completion script of a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `tidings send`
#[derive(Clone, Debug, Args)]
pub struct SendOptions {
    /// The template's key, such as order.shipped.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub template: Option<String>,
    /// A customer's id, a mail address, or a phone number that starts with +.
    #[arg(
        long,
        value_name = "CUSTOMER|ADDRESS",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    pub to: Option<String>,
    /// Variables and language.
    #[command(flatten)]
    pub content: ContentOptions,
    /// Send a file of requests instead, one a line in proto3 JSON; - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Attach a file. May be repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub attach: Vec<PathBuf>,
    /// Your own id of this request: the same id again is the same notification. Without it one is made up.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    pub request_id: Option<String>,
    /// Check everything, store and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until it has ended, at most this long; exit code 4 if it was not sent.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "10m",
          value_parser = parse::duration, conflicts_with_all = ["file", "dry_run"])]
    pub wait: Option<Duration>,
}

/// What a notification is to say.
#[derive(Clone, Debug, Default, Args)]
pub struct ContentOptions {
    /// A variable as text, k=v, or as JSON, k:=v; a.b=v nests. May be repeated.
    #[arg(long = "var", value_name = "K=V", conflicts_with = "data")]
    pub vars: Vec<String>,
    /// The variables as a JSON object in a file; - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The language, such as pt-BR. Without it: the customer's.
    #[arg(long)]
    pub locale: Option<String>,
}

/// `tidings explain`
#[derive(Clone, Debug, Args)]
pub struct ExplainOptions {
    /// A past notification's id or name.
    #[arg(required_unless_present = "template", conflicts_with_all = ["template", "to", "vars", "data", "locale", "at"])]
    pub notification: Option<String>,
    /// Explain what would happen to this template instead.
    #[arg(long, value_name = "KEY", requires = "to")]
    pub template: Option<String>,
    /// For whom: a customer's id, a mail address, or a phone number that starts with +.
    #[arg(long, value_name = "CUSTOMER|ADDRESS", requires = "template")]
    pub to: Option<String>,
    /// Variables and language.
    #[command(flatten)]
    pub content: ContentOptions,
    /// As of this time, such as 2026-11-22T21:30:00Z. Without it: now.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub at: Option<Timestamp>,
}

/// `tidings tail`
#[derive(Clone, Debug, Args)]
pub struct TailOptions {
    /// Which, such as: state = FAILED AND channel = email
    #[arg(long)]
    pub filter: Option<String>,
}

/// `tidings notifications`
#[derive(Clone, Debug, Subcommand)]
pub enum NotificationsCommand {
    /// List notifications, newest first.
    List {
        /// Which, such as: customer_id = "c-42" AND state = FAILED
        #[arg(long)]
        filter: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Show one with its messages and attempts.
    View {
        /// Its id or name.
        notification: String,
    },
    /// Stop what has not been handed over yet.
    Cancel {
        /// Its id or name.
        #[arg(required_unless_present = "key", conflicts_with = "key")]
        notification: Option<String>,
        /// Everything that carries this cancellation key.
        #[arg(long)]
        key: Option<String>,
    },
}

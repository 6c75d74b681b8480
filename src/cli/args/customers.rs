//! `tidings customers`: who they are and what they want to hear.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::cli::parse;
use crate::domain::channel::Channel;

/// `tidings customers`
#[derive(Clone, Debug, Subcommand)]
pub enum CustomersCommand {
    /// Show a customer.
    View {
        /// The customer's id.
        customer: String,
    },
    /// Create a customer or change what is given; the rest stays.
    Upsert(UpsertOptions),
    /// Create or change customers from a file of requests, one a line in proto3 JSON; - reads standard input.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Show what a customer wants to hear and how, or change it.
    Preferences(PreferencesOptions),
    /// Erase a customer's personal data for good.
    Erase {
        /// The customer's id.
        customer: String,
        /// Yes, for good.
        #[arg(long)]
        yes: bool,
    },
}

/// `tidings customers upsert`
#[derive(Clone, Debug, Args)]
pub struct UpsertOptions {
    /// The customer's id.
    pub customer: String,
    /// Mail address.
    #[arg(long)]
    pub email: Option<String>,
    /// Phone number, such as +4915112345678.
    #[arg(long)]
    pub phone: Option<String>,
    /// Discord user id.
    #[arg(long)]
    pub discord: Option<String>,
    /// The name to greet with.
    #[arg(long)]
    pub given_name: Option<String>,
    /// The family name.
    #[arg(long)]
    pub family_name: Option<String>,
    /// The language, such as pt-BR.
    #[arg(long)]
    pub locale: Option<String>,
    /// The time zone, such as Europe/Berlin.
    #[arg(long)]
    pub time_zone: Option<String>,
}

/// `tidings customers preferences`
#[derive(Clone, Debug, Args)]
pub struct PreferencesOptions {
    /// The customer's id.
    pub customer: String,
    /// Channels in order of preference, such as sms,email.
    #[arg(long, value_delimiter = ',', value_parser = parse::channel)]
    pub order: Vec<Channel>,
    /// Turn a topic off. May be repeated.
    #[arg(long, value_name = "TOPIC")]
    pub opt_out: Vec<String>,
    /// Turn a topic on again. May be repeated.
    #[arg(long, value_name = "TOPIC")]
    pub opt_in: Vec<String>,
    /// Hold everything but critical and transactional until then.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub pause_until: Option<Timestamp>,
    /// End a pause.
    #[arg(long, conflicts_with = "pause_until")]
    pub resume: bool,
}

//! What operators say: after a restore, and of what may have been sent.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::cli::parse;

/// `tidings recover`
#[derive(Clone, Debug, Args)]
pub struct RecoverOptions {
    /// When the backup was made: what is open and may have been handed over since then becomes unknown, and its category decides whether
    /// it is sent again or held.
    #[arg(long, value_name = "TIME", value_parser = parse::time, required_unless_present = "complete")]
    pub from: Option<Timestamp>,
    /// Nothing was handed over that the store does not know of, as when it was moved while the gateway was stopped.
    #[arg(long, conflicts_with = "from")]
    pub complete: bool,
}

/// `tidings unknown`
#[derive(Clone, Debug, Subcommand)]
pub enum UnknownCommand {
    /// List what may have been sent, the answer of whose provider was not seen. It ends by itself at its expiry.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Say what became of one, or is to become of it.
    Resolve {
        /// Its id or name.
        notification: String,
        /// One message of it only.
        #[arg(long, value_name = "ID")]
        message: Option<String>,
        /// What it is.
        #[arg(long = "as")]
        verdict: Verdict,
        /// Why, for the trace.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// What is said of something unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verdict {
    /// It was sent.
    Sent,
    /// Send it again, with the same Message-ID or nonce.
    Resend,
    /// Do not send it again; it counts as failed.
    Drop,
}

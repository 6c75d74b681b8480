//! Why a gateway did not start, in sentences for whoever starts it.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::catalog::CatalogError;
use crate::config;
use crate::store::sqlite::OpenError;
use crate::store::{StoreError, postgres};

/// Why a gateway did not start; each a sentence on what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The database.
    #[error("{0}")]
    Database(#[from] postgres::OpenError),
    /// The store opened and then failed.
    #[error("{}", store_sentence(.0))]
    Ledger(#[from] StoreError),
    /// The templates.
    #[error("{0}")]
    Templates(#[from] CatalogError),
    /// The folder of the templates.
    #[error("the template folder {} cannot be read: {}; name one that holds shop.toml", folder.display(), plain(why))]
    TemplateFolder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// The machine does not know the time.
    #[error(
        "the clock says {0}, before 2020, and nothing could be sent at its time; set the clock and start again"
    )]
    Clock(Timestamp),
    /// A provider's settings.
    #[error("{name}: {why}")]
    Provider {
        /// Which: `providers.smtp.main`.
        name: String,
        /// What to change.
        why: String,
    },
    /// An address.
    #[error(
        "{address} cannot be listened on: {}; {}",
        plain(why),
        listen_advice(why)
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        why: std::io::Error,
    },
}

impl StartError {
    /// What the process ends with: 64 for what was configured, 1 for what the machine does not give.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Templates(_) | Self::TemplateFolder { .. } | Self::Provider { .. } => {
                config::EXIT_CODE
            }
            Self::Store(_)
            | Self::Database(_)
            | Self::Ledger(_)
            | Self::Clock(_)
            | Self::Listen { .. } => 1,
        }
    }
}

fn store_sentence(error: &StoreError) -> String {
    match error {
        StoreError::Full => "the store is full, not even the start fits in; raise store.max_size or make room on the disk".into(),
        other => format!("the store failed while starting: {other}"),
    }
}

/// What the system says, without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.chars().take(end).collect()
}

fn listen_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "stop the other process (another tidings?) or choose another port, 0 for any"
        }
        std::io::ErrorKind::PermissionDenied => "choose a port from 1024 on, 0 for any",
        _ => "choose another address or port, 0 for any",
    }
}

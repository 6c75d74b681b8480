//! The store that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::start_error::StartError;
use crate::config::{self, StoreKind};
use crate::domain::channel::Category;
use crate::domain::clock::{Clock, SharedClock};
use crate::domain::id::ProcessId;
use crate::domain::policy::UnknownRule;
use crate::domain::pulse::Pulse;
use crate::store::postgres::{self, PostgresStore};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{Ledger as _, Store, StoreResult};

/// A process that was not heard of for so long may be dead, and another one may take over what it was doing.
pub(super) const HEARTBEAT_LIMIT: Duration = Duration::from_secs(15);

/// How this process knows that it may hand over.
pub(super) fn pulse(settings: &config::Store) -> Pulse {
    match settings.kind {
        StoreKind::Sqlite => Pulse::alone(),
        StoreKind::Postgres(_) => Pulse::watched(HEARTBEAT_LIMIT),
    }
}

/// The clock that processes on several machines share, where they share a store.
pub(super) fn shared_clock(
    settings: &config::Store,
    own: &Arc<dyn Clock>,
) -> Option<Arc<SharedClock>> {
    match settings.kind {
        StoreKind::Sqlite => None,
        StoreKind::Postgres(_) => Some(Arc::new(SharedClock::new(own.clone()))),
    }
}

/// Brings the tables to this release; how many steps that took, 0 for an embedded store that opened, which has done it by then.
///
/// # Errors
/// A sentence on what stands in the way.
pub(super) async fn migrate(settings: &config::Store, now: Timestamp) -> Result<usize, StartError> {
    match &settings.kind {
        StoreKind::Sqlite => {
            Opened::open(settings, now).await?.close().await;
            Ok(0)
        }
        StoreKind::Postgres(postgres) => Ok(PostgresStore::migrate(postgres, now).await?),
    }
}

/// An open store, by its kind.
#[derive(Clone)]
pub(super) enum Opened {
    /// It belongs to this process.
    Own(Arc<SqliteStore>),
    /// It is shared with other processes.
    Shared(Arc<PostgresStore>),
}

impl Opened {
    /// Opens it, and brings its tables to this release.
    ///
    /// # Errors
    /// A sentence on what stands in the way.
    pub(super) async fn open(settings: &config::Store, now: Timestamp) -> Result<Self, StartError> {
        Ok(match &settings.kind {
            StoreKind::Sqlite => {
                let opening = sqlite::Opening {
                    max_bytes: settings.max_size,
                    paused: settings.paused,
                };
                let opening = SqliteStore::open_as(&settings.path, now, opening);
                Self::Own(Arc::new(opening.await?))
            }
            StoreKind::Postgres(postgres) => {
                let opening = postgres::Opening {
                    folder: Some(settings.path.clone()),
                    paused: settings.paused,
                };
                let opening = PostgresStore::open_as(postgres, now, opening);
                Self::Shared(Arc::new(opening.await?))
            }
        })
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Own(store) => store.clone(),
            Self::Shared(store) => store.clone(),
        }
    }

    /// The key of all hashes that stand for people.
    pub(super) fn secret(&self) -> [u8; 32] {
        match self {
            Self::Own(store) => *store.secret(),
            Self::Shared(store) => *store.secret(),
        }
    }

    /// Whether other processes work on it too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Takes over at once what the process before was handing over, where the lock proves that it is dead.
    pub(super) async fn take_over_own(
        &self,
        now: Timestamp,
        rule: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<usize> {
        match self {
            Self::Own(store) => store.take_over(now, Duration::ZERO, rule).await,
            Self::Shared(_) => Ok(0),
        }
    }

    /// What the others call this process.
    pub(super) fn process(&self) -> Option<ProcessId> {
        match self {
            Self::Own(_) => None,
            Self::Shared(store) => Some(store.process()),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Own(store) => store.close().await,
            Self::Shared(store) => store.close().await,
        }
    }
}

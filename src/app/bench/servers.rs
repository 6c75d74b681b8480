//! The servers that the measured gateway uses besides its own files: a PostgreSQL and a RabbitMQ of the run's own, started from what is
//! installed, durable as they are by default, and ended with the run.

use std::path::{Path, PathBuf};

use super::broker::Broker;
use super::cost::Written;
use super::database::Database;
use crate::cli::{BenchOptions, BenchQueue, BenchStore};
use crate::queue::rabbitmq;

/// Neither, either or both.
pub(super) struct Servers {
    database: Option<Database>,
    broker: Option<Broker>,
}

impl Servers {
    /// Starts those that were asked for, their data in `parent`.
    ///
    /// # Errors
    /// A sentence: what is not installed, what did not start.
    pub(super) async fn start(
        options: &BenchOptions,
        parent: Option<&Path>,
    ) -> Result<Self, String> {
        if options.queue == BenchQueue::Rabbitmq && options.store == BenchStore::Sqlite {
            return Err("--queue rabbitmq is for processes that share a store: give --store postgres as well".into());
        }
        let database = match options.store {
            BenchStore::Sqlite => None,
            BenchStore::Postgres => Some(Database::start(parent).await?),
        };
        let broker = match options.queue {
            BenchQueue::Memory => None,
            BenchQueue::Rabbitmq => Some(Broker::start(parent).await?),
        };
        Ok(Self { database, broker })
    }

    /// The settings of a gateway that uses them: a database and a virtual host of its own.
    ///
    /// # Errors
    /// A sentence when a server makes none.
    pub(super) async fn settings(&self) -> Result<String, String> {
        let mut settings = String::new();
        if let Some(database) = &self.database {
            settings += &database.fresh().await?;
        }
        if let Some(broker) = &self.broker {
            settings += &broker.fresh().await?;
        }
        Ok(settings)
    }

    /// Whether the store is the gateway's own file.
    pub(super) fn is_embedded(&self) -> bool {
        self.database.is_none()
    }

    /// Their processes, by name.
    pub(super) fn pids(&self) -> Vec<(&'static str, u32)> {
        let database = self.database.as_ref().and_then(Database::pid);
        let broker = self.broker.as_ref().and_then(Broker::pid);
        [("postgres", database), ("rabbitmq", broker)]
            .into_iter()
            .filter_map(|(name, pid)| Some((name, pid?)))
            .collect()
    }

    /// What the database has written so far, if there is one.
    ///
    /// # Errors
    /// A sentence when it does not tell.
    pub(super) async fn written(&self) -> Result<Option<Written>, String> {
        match &self.database {
            Some(database) => database.written().await.map(Some),
            None => Ok(None),
        }
    }

    /// How a program reaches the broker, if there is one.
    pub(super) fn broker(&self) -> Option<rabbitmq::Settings> {
        self.broker.as_ref().map(Broker::reach)
    }
}

/// The text of a setting that is a path.
pub(super) fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// A program where Debian puts it, or on the PATH.
pub(super) fn find(name: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    places
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

//! L2, the embedded store: one SQLite file in a folder that belongs to one process.
//!
//! Promise: what returns `Ok` has been synced to disk (`synchronous=FULL`). Writes go through one task that folds all that
//! arrive together into one commit (`writer`); reads have their own connections and never wait for it. The folder is locked:
//! whoever opened it knows that every other process that used it is dead.
//!
//! It does not decide: the planner is called inside the transaction. It does not drop old rows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Row as _, Sqlite, Transaction};
use tokio::sync::watch;

use self::facts::Facts;
use self::rows::cut;
use self::writer::{Tx, Writer};
use super::{
    AcceptOutcome, Bundles, CancelTarget, Cancelled, Case, Change, Claim, ClaimOutcome, Customers,
    Ledger, Lookup, NewNotification, Plans, Query, Ready, Settlement, StoreResult, Suppression,
    Work,
};
use crate::domain::address::Address;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::customer::{Customer, CustomerId, GUEST_PREFIX};
use crate::domain::id::{MessageId, NotificationId, secret_bytes};
use crate::domain::notification::{Event, Notification, Record};
use crate::domain::policy::UnknownRule;
use crate::domain::reason::Status;
use crate::domain::rejection::Rejection;
use crate::domain::shop::{Identity, ShopId};

mod accept;
mod cancel;
mod claim;
mod customers;
mod erase;
mod error;
mod facts;
mod lookup;
mod open;
mod pending;
mod plan;
mod rows;
mod settle;
mod unit;
mod writer;

#[cfg(test)]
mod tests;

/// How many reads run at once.
const READERS: u32 = 4;
/// How long a statement waits for a lock; only a checkpoint or a backup tool ever holds one.
const BUSY: Duration = Duration::from_secs(4);

/// Why a store could not be opened; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error(
        "the data folder {folder:?} cannot be used: {source}; choose one that this user can write"
    )]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the data folder {0:?} is in use by another process: a folder belongs to one process, stop that one or choose another"
    )]
    Locked(PathBuf),
    /// The data was written by a newer version.
    #[error(
        "the data folder was written by a newer version (its schema has step {0}, which this version does not know): \
         run that version, or choose another folder"
    )]
    Newer(i64),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be brought up to date: {0}")]
    Migrate(#[source] MigrateError),
    /// SQLite could not open the file.
    #[error("the store could not be opened: {0}")]
    Database(#[from] sqlx::Error),
    /// The system has no randomness for the store's key.
    #[error("the system gave no randomness for the store's key: {0}")]
    Secret(String),
}

/// The embedded store.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    sequence: watch::Receiver<i64>,
    secret: [u8; 32],
    generation: String,
}

impl SqliteStore {
    /// Opens the store in `folder`, making it when it is not there, and locks it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(folder: &Path, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_limited(folder, now, None).await
    }

    /// Like [`SqliteStore::open`], with a limit on the file: beyond `max_bytes` writes are refused as
    /// [`StoreError::Full`](super::StoreError::Full).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_limited(
        folder: &Path,
        now: Timestamp,
        max_bytes: Option<u64>,
    ) -> Result<Self, OpenError> {
        let lock = lock(folder)?;
        let file = folder.join("tidings.db");
        let mut conn = connect_writer(&file, max_bytes).await?;
        let migrated = sqlx::migrate!("migrations/sqlite").run(&mut conn).await;
        migrated.map_err(|error| match error {
            MigrateError::VersionMissing(step) => OpenError::Newer(step),
            other => OpenError::Migrate(other),
        })?;
        let (secret, generation) = identify(&mut conn, now).await?;
        let newest = newest_event(&mut conn).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .connect_with(options(&file).read_only(true))
            .await?;
        let (announce, sequence) = watch::channel(newest);
        let tx = Tx {
            conn,
            secret,
            sequence: 0,
            scrub: false,
        };
        Ok(Self {
            writer: Writer::start(tx, lock, announce),
            readers,
            sequence,
            secret,
            generation,
        })
    }

    /// The key of all hashes that stand for people in this store.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Names this store: a copy that was restored from a backup has the same, a new one another.
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// Ends the store: what was asked before is written, what is asked later is refused, and the folder is free when this
    /// returns. Dropping the store does the same without waiting.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn reader(&self) -> StoreResult<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }

    /// A reader for answers of several statements, which all see the same state.
    async fn snapshot(&self) -> StoreResult<Transaction<'static, Sqlite>> {
        Ok(self.readers.begin().await?)
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    make_folder(folder).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked(folder.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        // It holds addresses: nobody else's business on a shared machine.
        builder.mode(0o700);
    }
    builder.create(folder)
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY)
        // Rows are only ever removed by this module, in the right order.
        .foreign_keys(false)
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

async fn connect_writer(
    file: &Path,
    max_bytes: Option<u64>,
) -> Result<SqliteConnection, sqlx::Error> {
    let mut conn = options(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON")
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .connect()
        .await?;
    if let Some(max_bytes) = max_bytes {
        let size: i64 = sqlx::query("PRAGMA page_size")
            .fetch_one(&mut conn)
            .await?
            .try_get(0)?;
        let pages = (max_bytes / size.unsigned_abs().max(1)).max(1);
        let statement = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .fetch_all(&mut conn)
            .await?;
    }
    Ok(conn)
}

/// The store's key and name, made when the store is.
async fn identify(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<([u8; 32], String), OpenError> {
    let random = || secret_bytes().map_err(|error| OpenError::Secret(error.to_string()));
    let (secret, generation) = (random()?, random()?);
    for (name, value) in [
        ("secret", secret.to_vec()),
        ("generation", generation.iter().take(16).copied().collect()),
        ("create_time", now.to_string().into_bytes()),
    ] {
        sqlx::query("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&mut *conn)
            .await?;
    }
    let secret = meta(conn, "secret").await?;
    let generation = rows::hex(&meta(conn, "generation").await?);
    let secret = secret
        .try_into()
        .map_err(|_| OpenError::Secret("the stored key is not 32 bytes long".to_owned()))?;
    Ok((secret, generation))
}

async fn meta(conn: &mut SqliteConnection, name: &str) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query("SELECT value FROM meta WHERE name = ?1")
        .bind(name)
        .fetch_one(conn)
        .await?
        .try_get(0)
}

async fn newest_event(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    // Not the newest row: that may have been dropped by then.
    let row = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| row.try_get(0))
}

#[async_trait]
impl Ledger for SqliteStore {
    async fn accept(
        &self,
        batch: Vec<NewNotification>,
        atomic: bool,
        now: Timestamp,
        plans: Arc<dyn Plans>,
    ) -> StoreResult<Vec<AcceptOutcome>> {
        self.writer
            .accept(accept::Intake {
                batch,
                atomic,
                now,
                plans,
            })
            .await
    }

    async fn plan_due(
        &self,
        now: Timestamp,
        limit: u32,
        plans: Arc<dyn Plans>,
    ) -> StoreResult<usize> {
        self.writer
            .call(move |tx| {
                let plans = Arc::clone(&plans);
                Box::pin(async move { plan::run(tx, now, limit, plans.as_ref()).await })
            })
            .await
    }

    async fn ready(
        &self,
        channel: Channel,
        lane: Lane,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Ready>> {
        pending::ready(&mut *self.reader().await?, channel, lane, now, limit).await
    }

    async fn work(&self, messages: &[MessageId]) -> StoreResult<Vec<Work>> {
        pending::work(&mut *self.snapshot().await?, messages).await
    }

    async fn claim(&self, claim: Claim) -> StoreResult<ClaimOutcome> {
        self.writer.claim(claim).await
    }

    async fn settle(&self, settlement: Settlement) -> StoreResult<bool> {
        self.writer.settle(settlement).await
    }

    async fn take_over(
        &self,
        now: Timestamp,
        rule: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<usize> {
        let rules: Vec<_> = Category::ALL
            .iter()
            .map(|category| (*category, rule(*category)))
            .collect();
        self.writer
            .call(move |tx| {
                let rules = rules.clone();
                Box::pin(async move { settle::take_over(tx, now, &rules).await })
            })
            .await
    }

    async fn cancel(
        &self,
        identity: &Identity,
        target: CancelTarget,
        now: Timestamp,
    ) -> StoreResult<Option<Cancelled>> {
        let identity = identity.clone();
        self.writer
            .call(move |tx| {
                let (identity, target) = (identity.clone(), target.clone());
                Box::pin(async move { cancel::run(tx, &identity, &target, now).await })
            })
            .await
    }

    async fn next_due(&self) -> StoreResult<Option<Timestamp>> {
        pending::next_due(&mut *self.reader().await?).await
    }

    async fn end_unknown(&self, now: Timestamp) -> StoreResult<usize> {
        self.writer
            .call(move |tx| Box::pin(settle::end_unknown(tx, now)))
            .await
    }
}

#[async_trait]
impl Lookup for SqliteStore {
    async fn find(&self, identity: &Identity, id: NotificationId) -> StoreResult<Option<Record>> {
        lookup::find(&mut *self.snapshot().await?, identity, id).await
    }

    async fn list(&self, query: Query) -> StoreResult<Vec<Record>> {
        lookup::list(&mut *self.snapshot().await?, &query).await
    }

    async fn case(&self, notification: Notification, now: Timestamp) -> StoreResult<Case> {
        let mut reader = self.snapshot().await?;
        let facts = Facts::load(&mut reader, &self.secret, &[&notification], now).await?;
        Ok(facts.case(notification, Vec::new(), now))
    }

    async fn counts(&self, identity: &Identity) -> StoreResult<Vec<(Status, u64)>> {
        lookup::counts(&mut *self.reader().await?, identity).await
    }

    async fn events(
        &self,
        identity: &Identity,
        sequence: i64,
        limit: u32,
    ) -> StoreResult<Vec<Event>> {
        lookup::events(&mut *self.reader().await?, identity, sequence, limit).await
    }

    fn sequence(&self) -> watch::Receiver<i64> {
        self.sequence.clone()
    }
}

#[async_trait]
impl Customers for SqliteStore {
    async fn change(
        &self,
        shop: &ShopId,
        changes: Vec<(CustomerId, Change)>,
        now: Timestamp,
    ) -> StoreResult<Vec<Result<Customer, Rejection>>> {
        let shop = shop.clone();
        let changes = Arc::new(changes);
        self.writer
            .call(move |tx| {
                let (shop, changes) = (shop.clone(), Arc::clone(&changes));
                Box::pin(async move { customers::change(tx, &shop, &changes, now).await })
            })
            .await
    }

    async fn customers(&self, shop: &ShopId, ids: &[CustomerId]) -> StoreResult<Vec<Customer>> {
        let list = customers::customer_list(shop, ids);
        let found = facts::load_customers(&mut *self.reader().await?, list).await?;
        Ok(found.into_iter().map(|(_, customer)| customer).collect())
    }

    async fn erase(
        &self,
        shop: &ShopId,
        id: &CustomerId,
        now: Timestamp,
    ) -> StoreResult<Option<u32>> {
        let (shop, id) = (shop.clone(), id.clone());
        self.writer
            .call(move |tx| {
                let (shop, id) = (shop.clone(), id.clone());
                Box::pin(async move { erase::run(tx, &shop, &id, now).await })
            })
            .await
    }

    async fn suppress(
        &self,
        shop: &ShopId,
        address: &Address,
        reason: &str,
        now: Timestamp,
    ) -> StoreResult<()> {
        let key = (
            shop.clone(),
            address.channel(),
            address.digest(&self.secret),
        );
        let reason = reason.to_owned();
        self.writer
            .call(move |tx| {
                let (key, reason) = (key.clone(), reason.clone());
                Box::pin(async move { customers::suppress(tx, &key, &reason, now).await })
            })
            .await
    }

    async fn suppressions(&self, shop: &ShopId, limit: u32) -> StoreResult<Vec<Suppression>> {
        customers::suppressions(&mut *self.reader().await?, shop, limit).await
    }

    async fn record_outcome(
        &self,
        shop: &ShopId,
        id: &CustomerId,
        outcome: &str,
        now: Timestamp,
    ) -> StoreResult<()> {
        let (shop, id, outcome) = (shop.clone(), id.clone(), outcome.to_owned());
        self.writer
            .call(move |tx| {
                let (shop, id, outcome) = (shop.clone(), id.clone(), outcome.clone());
                Box::pin(
                    async move { customers::record_outcome(tx, &shop, &id, &outcome, now).await },
                )
            })
            .await
    }

    fn guest(&self, _shop: &ShopId, address: &Address) -> CustomerId {
        let digest = address.digest(&self.secret);
        let short: String = digest.chars().take(32).collect();
        CustomerId::new(format!("{GUEST_PREFIX}{short}"))
    }
}

#[async_trait]
impl Bundles for SqliteStore {
    async fn keep_bundle(
        &self,
        shop: &ShopId,
        id: &str,
        archive: Vec<u8>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let (shop, id, archive) = (shop.clone(), id.to_owned(), Arc::new(archive));
        self.writer
            .call(move |tx| {
                let (shop, id, archive) = (shop.clone(), id.clone(), Arc::clone(&archive));
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO bundle (shop, id, archive, create_time) VALUES (?1, ?2, ?3, ?4) \
                         ON CONFLICT (shop, id) DO NOTHING",
                    )
                    .bind(shop.as_str())
                    .bind(id)
                    .bind(archive.as_slice())
                    .bind(cut(now).as_microsecond())
                    .execute(&mut tx.conn)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    async fn bundle(&self, shop: &ShopId, id: &str) -> StoreResult<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT archive FROM bundle WHERE shop = ?1 AND id = ?2")
            .bind(shop.as_str())
            .bind(id)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

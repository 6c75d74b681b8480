//! L2, the embedded store: one SQLite file in a folder that belongs to one process.
//!
//! Promise: what returns `Ok` has been synced to disk (`synchronous=FULL`). Writes go through one task that folds all that
//! arrive together into one commit (`writer`); reads have their own connections and never wait for it. The folder is locked:
//! whoever opened it knows that every other process that used it is dead.
//!
//! It does not decide: the planner is called inside the transaction. It does not drop old rows.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{Row as _, Sqlite, Transaction};
use tokio::sync::watch;

use self::facts::Facts;
pub use self::folder::OpenError;
use self::folder::{connect_writer, identify, lock, migrate, newest_event, options};
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
use crate::domain::id::{MessageId, NotificationId};
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
mod folder;
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
        migrate(&mut conn).await?;
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

    async fn end_expired(&self, now: Timestamp) -> StoreResult<usize> {
        self.writer
            .call(move |tx| Box::pin(settle::end_expired(tx, now)))
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
                Box::pin(async move { customers::suppress(tx, &key, None, &reason, now).await })
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

    async fn bundles_in_use(&self, shop: &ShopId) -> StoreResult<Vec<String>> {
        // A handful of bundles against a store of any size: each is asked for once, and answered by one open row.
        let rows = sqlx::query_scalar(
            "SELECT id FROM bundle WHERE shop = ?1 AND EXISTS (SELECT 1 FROM notification \
             WHERE notification.shop = bundle.shop AND bundle.id IN (accepted_bundle, notification.bundle))",
        )
        .bind(shop.as_str())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        Ok(rows)
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

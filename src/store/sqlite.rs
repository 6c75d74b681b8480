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
use tokio::sync::watch;

use self::facts::Facts;
pub use self::folder::OpenError;
use self::folder::{connect_writer, identify, lock, migrate, newest_event};
use self::readers::Readers;
use self::rows::cut;
use self::sql::{execute, select};
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
mod readers;
mod rows;
mod settle;
mod sql;
mod unit;
mod writer;

#[cfg(test)]
mod tests;

/// The embedded store.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
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
        let folder = folder.to_owned();
        let opening = tokio::task::spawn_blocking(move || open(&folder, now, max_bytes));
        opening
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
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
}

/// Opens the store on a thread that may wait for the disk.
fn open(folder: &Path, now: Timestamp, max_bytes: Option<u64>) -> Result<SqliteStore, OpenError> {
    let lock = lock(folder)?;
    let file = folder.join("tidings.db");
    let mut conn = connect_writer(&file, max_bytes)?;
    migrate(&mut conn)?;
    let (secret, generation) = identify(&conn, now)?;
    let (announce, sequence) = watch::channel(newest_event(&conn)?);
    let tx = Tx {
        conn,
        secret,
        sequence: 0,
        scrub: false,
    };
    let writer = Writer::start(tx, lock, announce).map_err(|source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    Ok(SqliteStore {
        writer,
        readers: Readers::new(file),
        sequence,
        secret,
        generation,
    })
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
            .call(move |tx| plan::run(tx, now, limit, plans.as_ref()))
            .await
    }

    async fn ready(
        &self,
        channel: Channel,
        lane: Lane,
        since: Option<Timestamp>,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Ready>> {
        self.readers
            .read(move |conn| pending::ready(conn, channel, lane, since, now, limit))
            .await
    }

    async fn work(&self, messages: &[MessageId]) -> StoreResult<Vec<Work>> {
        let messages = messages.to_vec();
        self.readers
            .snapshot(move |conn| pending::work(conn, &messages))
            .await
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
            .call(move |tx| settle::take_over(tx, now, &rules))
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
            .call(move |tx| cancel::run(tx, &identity, &target, now))
            .await
    }

    async fn next_due(&self) -> StoreResult<Option<Timestamp>> {
        self.readers.read(pending::next_due).await
    }

    async fn end_expired(&self, now: Timestamp) -> StoreResult<usize> {
        self.writer
            .call(move |tx| settle::end_expired(tx, now))
            .await
    }
}

#[async_trait]
impl Lookup for SqliteStore {
    async fn find(&self, identity: &Identity, id: NotificationId) -> StoreResult<Option<Record>> {
        let identity = identity.clone();
        self.readers
            .snapshot(move |conn| lookup::find(conn, &identity, id))
            .await
    }

    async fn list(&self, query: Query) -> StoreResult<Vec<Record>> {
        self.readers
            .snapshot(move |conn| lookup::list(conn, &query))
            .await
    }

    async fn replays(
        &self,
        identity: &Identity,
        requests: Vec<(String, [u8; 32])>,
    ) -> StoreResult<Vec<Option<Notification>>> {
        let identity = identity.clone();
        self.readers
            .snapshot(move |conn| accept::replays(conn, &identity, &requests))
            .await
    }

    async fn case(&self, notification: Notification, now: Timestamp) -> StoreResult<Case> {
        let secret = self.secret;
        self.readers
            .snapshot(move |conn| {
                let facts = Facts::load(conn, &secret, &[&notification], now)?;
                Ok(facts.case(notification, Vec::new(), now))
            })
            .await
    }

    async fn counts(&self, identity: &Identity) -> StoreResult<Vec<(Status, u64)>> {
        let identity = identity.clone();
        self.readers
            .read(move |conn| lookup::counts(conn, &identity))
            .await
    }

    async fn events(
        &self,
        identity: &Identity,
        sequence: i64,
        limit: u32,
    ) -> StoreResult<Vec<Event>> {
        let identity = identity.clone();
        self.readers
            .read(move |conn| lookup::events(conn, &identity, sequence, limit))
            .await
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
        self.writer
            .call(move |tx| customers::change(tx, &shop, &changes, now))
            .await
    }

    async fn customers(&self, shop: &ShopId, ids: &[CustomerId]) -> StoreResult<Vec<Customer>> {
        let list = customers::customer_list(shop, ids);
        let found = self
            .readers
            .read(move |conn| facts::load_customers(conn, list));
        let found = found.await?.into_iter();
        Ok(found.map(|(_, customer)| customer).collect())
    }

    async fn erase(
        &self,
        shop: &ShopId,
        id: &CustomerId,
        now: Timestamp,
    ) -> StoreResult<Option<u32>> {
        let (shop, id) = (shop.clone(), id.clone());
        self.writer
            .call(move |tx| erase::run(tx, &shop, &id, now))
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
            .call(move |tx| customers::suppress(tx, &key, None, &reason, now))
            .await
    }

    async fn suppressions(&self, shop: &ShopId, limit: u32) -> StoreResult<Vec<Suppression>> {
        let shop = shop.clone();
        self.readers
            .read(move |conn| customers::suppressions(conn, &shop, limit))
            .await
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
            .call(move |tx| customers::record_outcome(tx, &shop, &id, &outcome, now))
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
        let (shop, id) = (shop.clone(), id.to_owned());
        self.writer
            .call(move |tx| {
                let statement = "INSERT INTO bundle (shop, id, archive, create_time) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (shop, id) DO NOTHING";
                let create_time = cut(now).as_microsecond();
                let row = (shop.as_str(), id.as_str(), archive.as_slice(), create_time);
                execute(&tx.conn, statement, row).map(drop)
            })
            .await
    }

    async fn bundles_in_use(&self, shop: &ShopId) -> StoreResult<Vec<String>> {
        // A handful of bundles against a store of any size: each is asked for once, and answered by one open row.
        let statement = "SELECT id FROM bundle WHERE shop = ?1 AND EXISTS (SELECT 1 FROM notification \
             WHERE notification.shop = bundle.shop AND bundle.id IN (accepted_bundle, notification.bundle))";
        let shop = shop.clone();
        self.readers
            .read(move |conn| select(conn, statement, [shop.as_str()], |row| Ok(row.get(0)?)))
            .await
    }

    async fn bundle(&self, shop: &ShopId, id: &str) -> StoreResult<Option<Vec<u8>>> {
        let statement = "SELECT archive FROM bundle WHERE shop = ?1 AND id = ?2";
        let (shop, id) = (shop.clone(), id.to_owned());
        let found = self
            .readers
            .read(move |conn| select(conn, statement, (shop.as_str(), id), |row| Ok(row.get(0)?)));
        Ok(found.await?.pop())
    }
}

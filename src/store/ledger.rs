//! The ledger: what is written when an intent is accepted, planned, claimed, settled, called off; what is found when somebody looks.
//! The rules of the store stand here once, in statements and in memory, and every engine runs them.
//!
//! Promise: an [`Engine`] that runs each batch in one transaction is a whole store. It does not decide: the planner is called inside the
//! transaction. It does not drop old rows, opens nothing and knows no connection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use self::batch::Writer;
use self::customers::Dead;
use self::facts::Facts;
use self::fetching::Fetching;
use self::rows::cut;
use self::session::{Session, Statement, bind, row, select, write};
use self::statement::insert;
use super::witness::Witness;
use super::{
    AcceptOutcome, Bundles, CancelTarget, Cancelled, Case, Change, Claim, ClaimOutcome, Customers,
    Lease, LeaseRequest, Ledger, Lookup, NewNotification, Plans, Processes, Published, Query,
    Ready, Settlement, StoreResult, Suppression, Work,
};
use crate::domain::address::Address;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::customer::{Customer, CustomerId, GUEST_PREFIX};
use crate::domain::hold::HoldReason;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::{Event, Notification, Record};
use crate::domain::policy::UnknownRule;
use crate::domain::reason::Status;
use crate::domain::rejection::Rejection;
use crate::domain::shop::{Identity, ShopId};

mod accept;
pub(super) mod batch;
mod cancel;
mod claim;
mod customers;
mod erase;
mod facts;
pub(super) mod fetching;
mod locks;
mod lookup;
pub(super) mod meta;
mod open;
mod operations;
mod pending;
mod plan;
mod rates;
mod recover;
mod rows;
pub(super) mod session;
mod settle;
mod statement;
mod sweep;
mod unit;
mod unknown;
mod writes;

#[cfg(test)]
pub(super) mod tests;

const KEEP_BUNDLE: Statement<'_> = insert!(
    "bundle",
    ["shop" text, "id" text, "archive" bytea, "create_time" bigint],
    " ON CONFLICT (shop, id) DO NOTHING"
);
/// A handful of bundles against a store of any size: each is asked for once, and answered by one open row.
const BUNDLES_IN_USE: Statement<'_> = Statement::same(
    "SELECT id FROM bundle WHERE shop = ?1 AND EXISTS (SELECT 1 FROM notification \
     WHERE notification.shop = bundle.shop AND bundle.id IN (accepted_bundle, notification.bundle))",
);
const BUNDLE: Statement<'_> =
    Statement::same("SELECT archive FROM bundle WHERE shop = ?1 AND id = ?2");

/// What runs the ledger: a writer that takes from a queue and commits batches, and sessions that read.
pub(super) trait Engine: Send + Sync + 'static {
    /// The queue that its writers take from.
    fn writer(&self) -> &Writer;

    /// Who waits for what messages need.
    fn fetching(&self) -> &Fetching;

    /// Runs a read of one statement; it may run more than once.
    fn read<T, F>(&self, read: F) -> impl Future<Output = StoreResult<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&mut dyn Session) -> StoreResult<T> + Send + 'static;

    /// Runs a read of several statements, which all see the same state; it may run more than once.
    fn snapshot<T, F>(&self, read: F) -> impl Future<Output = StoreResult<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&mut dyn Session) -> StoreResult<T> + Send + 'static;

    /// The key of all hashes that stand for people in this store.
    fn key(&self) -> &[u8; 32];

    /// The newest event.
    fn news(&self) -> watch::Receiver<i64>;

    /// Which store it is.
    fn name(&self) -> &str;

    /// Where the store is; `None`: nobody can say.
    fn home(&self) -> impl Future<Output = StoreResult<Option<String>>> + Send;

    /// Whether it is held.
    fn holding(&self) -> &watch::Sender<Option<HoldReason>>;

    /// What was seen of it.
    fn witness(&self) -> &Witness;

    /// See [`Processes::beat`].
    fn pulse(&self) -> impl Future<Output = StoreResult<Option<Timestamp>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Gives up what history that ended before `cutoff` was kept in, as far as it is empty; how much.
    fn drop_room(&self, _cutoff: Timestamp) -> impl Future<Output = StoreResult<usize>> + Send {
        std::future::ready(Ok(0))
    }

    /// See [`Processes::lease`].
    fn leave(&self, request: LeaseRequest) -> impl Future<Output = StoreResult<Lease>> + Send {
        self.writer()
            .call(move |tx| rates::lease(tx.session, &request))
    }

    /// See [`Processes::make_room`].
    fn room(&self, _now: Timestamp) -> impl Future<Output = StoreResult<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Leases leave in a session of its own, for engines whose statements commit by themselves.
pub(super) fn lease(session: &mut dyn Session, request: &LeaseRequest) -> StoreResult<Lease> {
    rates::lease(session, request)
}

#[async_trait]
impl<E: Engine> Processes for E {
    async fn lease(&self, request: LeaseRequest) -> StoreResult<Lease> {
        self.leave(request).await
    }

    async fn beat(&self) -> StoreResult<Option<Timestamp>> {
        self.pulse().await
    }

    async fn make_room(&self, now: Timestamp) -> StoreResult<()> {
        self.room(now).await
    }
}

#[async_trait]
impl<E: Engine> Ledger for E {
    async fn accept(
        &self,
        batch: Vec<NewNotification>,
        atomic: bool,
        now: Timestamp,
        plans: Arc<dyn Plans>,
    ) -> StoreResult<Vec<AcceptOutcome>> {
        self.writer()
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
        self.writer()
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
        self.read(move |session| pending::ready(session, channel, lane, since, now, limit))
            .await
    }

    async fn published(&self, channel: Channel, lane: Lane) -> StoreResult<Published> {
        self.read(move |session| pending::published(session, channel, lane))
            .await
    }

    async fn publish_again(
        &self,
        channel: Channel,
        lane: Lane,
        older_than: Duration,
    ) -> StoreResult<usize> {
        self.read(move |session| pending::publish_again(session, channel, lane, older_than))
            .await
    }

    async fn not_published(&self, messages: &[MessageId]) -> StoreResult<()> {
        let messages = messages.to_vec();
        self.read(move |session| pending::not_published(session, &messages))
            .await
    }

    async fn work(&self, messages: &[MessageId]) -> StoreResult<Vec<Work>> {
        let read = |messages: Vec<MessageId>| {
            self.snapshot(move |session| pending::work(session, &messages))
        };
        self.fetching().fetch(messages, read).await
    }

    async fn claim(&self, claim: Claim) -> StoreResult<ClaimOutcome> {
        self.writer().claim(claim).await
    }

    async fn settle(&self, settlement: Settlement) -> StoreResult<bool> {
        self.writer().settle(settlement).await
    }

    async fn take_over(
        &self,
        now: Timestamp,
        dead_after: Duration,
        rule: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<usize> {
        let rules: Vec<_> = Category::ALL
            .iter()
            .map(|category| (*category, rule(*category)))
            .collect();
        self.writer()
            .call(move |tx| settle::take_over(tx, now, dead_after, &rules))
            .await
    }

    async fn cancel(
        &self,
        identity: &Identity,
        target: CancelTarget,
        now: Timestamp,
    ) -> StoreResult<Option<Cancelled>> {
        let identity = identity.clone();
        self.writer()
            .call(move |tx| cancel::run(tx, &identity, &target, now))
            .await
    }

    async fn next_due(&self) -> StoreResult<Option<Timestamp>> {
        self.read(pending::next_due).await
    }

    async fn end_expired(&self, now: Timestamp) -> StoreResult<usize> {
        self.writer()
            .call(move |tx| settle::end_expired(tx, now))
            .await
    }
}

#[async_trait]
impl<E: Engine> Lookup for E {
    async fn find(&self, identity: &Identity, id: NotificationId) -> StoreResult<Option<Record>> {
        let identity = identity.clone();
        self.snapshot(move |session| lookup::find(session, &identity, id))
            .await
    }

    async fn list(&self, query: Query) -> StoreResult<Vec<Record>> {
        self.snapshot(move |session| lookup::list(session, &query))
            .await
    }

    async fn replays(
        &self,
        identity: &Identity,
        requests: Vec<(String, [u8; 32])>,
    ) -> StoreResult<Vec<Option<Notification>>> {
        let identity = identity.clone();
        self.snapshot(move |session| accept::replays(session, &identity, &requests))
            .await
    }

    async fn case(&self, notification: Notification, now: Timestamp) -> StoreResult<Case> {
        let secret = *self.key();
        self.snapshot(move |session| {
            let facts = Facts::load(session, &secret, &[&notification], now)?;
            Ok(facts.case(notification.clone(), Vec::new(), now))
        })
        .await
    }

    async fn counts(&self, identity: &Identity) -> StoreResult<Vec<(Status, u64)>> {
        let identity = identity.clone();
        self.read(move |session| lookup::counts(session, &identity))
            .await
    }

    async fn events(
        &self,
        identity: &Identity,
        sequence: i64,
        limit: u32,
    ) -> StoreResult<Vec<Event>> {
        let identity = identity.clone();
        self.read(move |session| lookup::events(session, &identity, sequence, limit))
            .await
    }

    fn sequence(&self) -> watch::Receiver<i64> {
        self.news()
    }
}

#[async_trait]
impl<E: Engine> Customers for E {
    async fn change(
        &self,
        shop: &ShopId,
        changes: Vec<(CustomerId, Change)>,
        now: Timestamp,
    ) -> StoreResult<Vec<Result<Customer, Rejection>>> {
        let shop = shop.clone();
        self.writer()
            .call(move |tx| customers::change(tx, &shop, &changes, now))
            .await
    }

    async fn customers(&self, shop: &ShopId, ids: &[CustomerId]) -> StoreResult<Vec<Customer>> {
        let list = customers::customer_list(shop, ids);
        let found = self.read(move |session| facts::load_customers(session, list.clone()));
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
        self.writer()
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
        let dead = Dead {
            address: (shop.clone(), address.channel(), address.digest(self.key())),
            owner: None,
            reason: reason.to_owned(),
            since: now,
        };
        self.writer()
            .call(move |tx| customers::suppress(tx, &dead))
            .await
    }

    async fn suppressions(&self, shop: &ShopId, limit: u32) -> StoreResult<Vec<Suppression>> {
        let shop = shop.clone();
        self.read(move |session| customers::suppressions(session, &shop, limit))
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
        self.writer()
            .call(move |tx| customers::record_outcome(tx, &shop, &id, &outcome, now))
            .await
    }

    fn guest(&self, _shop: &ShopId, address: &Address) -> CustomerId {
        let digest = address.digest(self.key());
        let short: String = digest.chars().take(32).collect();
        CustomerId::new(format!("{GUEST_PREFIX}{short}"))
    }
}

#[async_trait]
impl<E: Engine> Bundles for E {
    async fn keep_bundle(
        &self,
        shop: &ShopId,
        id: &str,
        archive: Vec<u8>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let (shop, id) = (shop.clone(), id.to_owned());
        self.writer()
            .call(move |tx| {
                let row = row![&shop, &id, archive.as_slice(), cut(now)];
                write(tx.session, KEEP_BUNDLE, vec![row]).map(drop)
            })
            .await
    }

    async fn bundles_in_use(&self, shop: &ShopId) -> StoreResult<Vec<String>> {
        let shop = shop.clone();
        self.read(move |session| select(session, BUNDLES_IN_USE, &bind![&shop], |row| row.get(0)))
            .await
    }

    async fn bundle(&self, shop: &ShopId, id: &str) -> StoreResult<Option<Vec<u8>>> {
        let (shop, id) = (shop.clone(), id.to_owned());
        let found =
            self.read(move |session| select(session, BUNDLE, &bind![&shop, &id], |row| row.get(0)));
        Ok(found.await?.pop())
    }
}

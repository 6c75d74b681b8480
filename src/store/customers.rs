//! The part of the seam that is about customers: who they are, what they chose, and addresses that get nothing.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::customer::{Customer, CustomerId};
use crate::domain::rejection::Rejection;
use crate::domain::shop::ShopId;

/// An entry of the suppression list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// On which channel.
    pub channel: Channel,
    /// Keyed hash of the address; the address itself is not kept.
    pub digest: String,
    /// `hard_bounce`, `complaint`, `unsubscribe`, `stop_keyword`, `manual`.
    pub reason: String,
    /// Since when.
    pub create_time: Timestamp,
}

/// A change of one customer, computed inside the store's transaction from what is there; it may run more than once.
pub type Change = Arc<dyn Fn(Option<&Customer>) -> Result<Customer, Rejection> + Send + Sync>;

/// Customers, their choices, suppressions, outcomes.
#[async_trait]
pub trait Customers: Send + Sync {
    /// Changes customers, each for itself. What was planned for them and not yet handed over is decided again.
    /// The store sets `revision` and `update_time`; a change that leaves the customer equal keeps both.
    async fn change(
        &self,
        shop: &ShopId,
        changes: Vec<(CustomerId, Change)>,
        now: Timestamp,
    ) -> StoreResult<Vec<Result<Customer, Rejection>>>;

    /// The customers that exist among these.
    async fn customers(&self, shop: &ShopId, ids: &[CustomerId]) -> StoreResult<Vec<Customer>>;

    /// Erases a customer: profile, preferences, content; open notifications are cancelled, ended ones keep a pseudonym.
    /// Suppressions remain as hashes. Returns how many notifications were made anonymous, `None` when there is no such customer.
    async fn erase(
        &self,
        shop: &ShopId,
        id: &CustomerId,
        now: Timestamp,
    ) -> StoreResult<Option<u32>>;

    /// Puts an address on the suppression list; what waits for it is decided again.
    async fn suppress(
        &self,
        shop: &ShopId,
        address: &Address,
        reason: &str,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// The suppression list, newest first.
    async fn suppressions(&self, shop: &ShopId, limit: u32) -> StoreResult<Vec<Suppression>>;

    /// Records that something happened to a customer; what waits for it is decided again.
    async fn record_outcome(
        &self,
        shop: &ShopId,
        id: &CustomerId,
        outcome: &str,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// The pseudonym of a guest with this address: the same address always gives the same one.
    fn guest(&self, shop: &ShopId, address: &Address) -> CustomerId;
}

//! What the processes that share a store tell each other through it: that they live, and who may hand over how much.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::StoreResult;
use crate::domain::channel::Lane;
use crate::domain::rate::Rate;

/// A wish for leave to hand over to a provider that has a limit.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// Which, under a name that all processes have for it.
    pub provider: String,
    /// Its limit.
    pub rate: Rate,
    /// For whom, at least.
    pub lane: Lane,
    /// For how many messages; no more than a slice is given.
    pub permits: u32,
}

/// The answer to a [`LeaseRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Leave for so many, one after the other at the rate's interval.
    Given {
        /// How many.
        permits: u32,
        /// When the first, seen from now; it may be a little past.
        first: SignedDuration,
    },
    /// None for this lane yet; to be asked for again after this time.
    NotBefore(Duration),
}

/// The processes that share a store; an embedded one has no other.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Leases leave to hand over to a provider. Over all processes it is never more than the rate allows, see
    /// [`crate::domain::rate`]; by the store's clock, so what a dead process had leased is of no matter once its time is over.
    async fn lease(&self, request: LeaseRequest) -> StoreResult<Lease> {
        let (permits, first) = (request.permits, SignedDuration::ZERO);
        Ok(Lease::Given { permits, first })
    }

    /// Says that this process is alive, by the store's clock, and answers with what that showed; an embedded store has none. Who is
    /// silent for long is taken for dead by [`super::Ledger::take_over`].
    async fn beat(&self) -> StoreResult<Option<Timestamp>> {
        Ok(None)
    }

    /// Makes room ahead for what will end in the next months; to be called daily. What finds no room made for it is stored all the same.
    async fn make_room(&self, _now: Timestamp) -> StoreResult<()> {
        Ok(())
    }
}

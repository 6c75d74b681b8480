//! A store and an inbox that hold what a test puts into them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::address::Address;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::customer::{Customer, CustomerId};
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::notification::{Event, Notification, Record};
use crate::domain::policy::UnknownRule;
use crate::domain::reason::Status;
use crate::domain::rejection::Rejection;
use crate::domain::shop::{Identity, ShopId};
use crate::store::{
    AcceptOutcome, Bundles, CancelTarget, Cancelled, Case, Change, Claim, ClaimOutcome, Customers,
    Ledger, Lookup, NewNotification, Operations, Plans, Processes, Query, Ready, Recovered,
    Resolved, Said, Settlement, StoreError, StoreResult, Suppression, Unknown, UnknownPlace, Work,
};
use crate::web::{Capture, CaptureSummary, Captured};

/// What is in the store. `fails` makes every read answer that the store is away.
pub(super) struct FakeStore {
    pub(super) records: Mutex<Vec<Record>>,
    pub(super) customers: Vec<Customer>,
    pub(super) events: Mutex<Vec<Event>>,
    pub(super) fails: bool,
    newest: watch::Sender<i64>,
}

impl FakeStore {
    pub(super) fn new(records: Vec<Record>, customers: Vec<Customer>) -> Self {
        Self {
            records: Mutex::new(records),
            customers,
            events: Mutex::new(Vec::new()),
            fails: false,
            newest: watch::channel(0).0,
        }
    }

    /// Commits an event; its sequence is one more than the last.
    pub(super) fn commit(&self, notification: NotificationId, status: Status, time: Timestamp) {
        let mut events = self.events.lock().unwrap();
        let sequence = events.last().map_or(1, |event| event.sequence + 1);
        events.push(Event {
            sequence,
            notification,
            status,
            time,
        });
        self.newest.send_replace(sequence);
    }

    fn answer<T>(&self, value: T) -> StoreResult<T> {
        if self.fails {
            return Err(StoreError::Unavailable("a secret path".into()));
        }
        Ok(value)
    }

    fn of(&self, identity: &Identity) -> Vec<Record> {
        let records = self.records.lock().unwrap();
        let mine = |record: &&Record| record.notification.identity == *identity;
        records.iter().filter(mine).cloned().collect()
    }
}

#[async_trait]
impl Lookup for FakeStore {
    async fn find(&self, identity: &Identity, id: NotificationId) -> StoreResult<Option<Record>> {
        let mut records = self.of(identity).into_iter();
        self.answer(records.find(|record| record.notification.id == id))
    }

    async fn list(&self, query: Query) -> StoreResult<Vec<Record>> {
        assert!(query.descending);
        let mut records = self.of(&query.identity);
        records.sort_by_key(|record| std::cmp::Reverse(record.notification.id));
        records.retain(|record| {
            query.filter.matches(record)
                && query
                    .after
                    .is_none_or(|after| record.notification.id < after)
        });
        records.truncate(query.limit as usize);
        self.answer(records)
    }

    async fn replays(
        &self,
        _: &Identity,
        _: Vec<(String, [u8; 32])>,
    ) -> StoreResult<Vec<Option<Notification>>> {
        unreachable!("the console takes nothing")
    }

    async fn case(&self, _: Notification, _: Timestamp) -> StoreResult<Case> {
        unreachable!("the console does not decide")
    }

    async fn counts(&self, identity: &Identity) -> StoreResult<Vec<(Status, u64)>> {
        let mut counts: Vec<(Status, u64)> = Vec::new();
        for record in self.of(identity) {
            let status = record.notification.status;
            match counts.iter_mut().find(|(known, _)| *known == status) {
                Some((_, count)) => *count += 1,
                None => counts.push((status, 1)),
            }
        }
        self.answer(counts)
    }

    async fn events(&self, _: &Identity, sequence: i64, limit: u32) -> StoreResult<Vec<Event>> {
        let events = self.events.lock().unwrap();
        let later = events.iter().filter(|event| event.sequence > sequence);
        self.answer(later.take(limit as usize).cloned().collect())
    }

    fn sequence(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }
}

#[async_trait]
impl Customers for FakeStore {
    async fn change(
        &self,
        _: &ShopId,
        _: Vec<(CustomerId, Change)>,
        _: Timestamp,
    ) -> StoreResult<Vec<Result<Customer, Rejection>>> {
        unreachable!("the console does not write")
    }

    async fn customers(&self, _: &ShopId, ids: &[CustomerId]) -> StoreResult<Vec<Customer>> {
        let asked = self.customers.iter().filter(|it| ids.contains(&it.id));
        self.answer(asked.cloned().collect())
    }

    async fn erase(&self, _: &ShopId, _: &CustomerId, _: Timestamp) -> StoreResult<Option<u32>> {
        unreachable!("the console does not write")
    }

    async fn suppress(&self, _: &ShopId, _: &Address, _: &str, _: Timestamp) -> StoreResult<()> {
        unreachable!("the console does not write")
    }

    async fn suppressions(&self, _: &ShopId, _: u32) -> StoreResult<Vec<Suppression>> {
        unreachable!("the console does not ask")
    }

    async fn record_outcome(
        &self,
        _: &ShopId,
        _: &CustomerId,
        _: &str,
        _: Timestamp,
    ) -> StoreResult<()> {
        unreachable!("the console does not write")
    }

    fn guest(&self, _: &ShopId, _: &Address) -> CustomerId {
        unreachable!("the console does not ask")
    }
}

#[async_trait]
impl Ledger for FakeStore {
    async fn accept(
        &self,
        _: Vec<NewNotification>,
        _: bool,
        _: Timestamp,
        _: Arc<dyn Plans>,
    ) -> StoreResult<Vec<AcceptOutcome>> {
        unreachable!("the console does not write")
    }

    async fn plan_due(&self, _: Timestamp, _: u32, _: Arc<dyn Plans>) -> StoreResult<usize> {
        unreachable!("the console does not write")
    }

    async fn ready(
        &self,
        _: Channel,
        _: Lane,
        _: Option<Timestamp>,
        _: Timestamp,
        _: u32,
    ) -> StoreResult<Vec<Ready>> {
        unreachable!("the console does not ask")
    }

    async fn work(&self, messages: &[MessageId]) -> StoreResult<Vec<Work>> {
        let mut found = Vec::new();
        for record in self.records.lock().unwrap().iter() {
            for message in &record.messages {
                if messages.contains(&message.id) {
                    let id = record.notification.intent.customer.clone();
                    found.push(Work {
                        message: message.clone(),
                        notification: record.notification.clone(),
                        customer: Customer::unknown(id, record.notification.create_time),
                    });
                }
            }
        }
        self.answer(found)
    }

    async fn claim(&self, _: Claim) -> StoreResult<ClaimOutcome> {
        unreachable!("the console does not write")
    }

    async fn settle(&self, _: Settlement) -> StoreResult<bool> {
        unreachable!("the console does not write")
    }

    async fn take_over(
        &self,
        _: Timestamp,
        _: Duration,
        _: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<usize> {
        unreachable!("the console does not write")
    }

    async fn cancel(
        &self,
        _: &Identity,
        _: CancelTarget,
        _: Timestamp,
    ) -> StoreResult<Option<Cancelled>> {
        unreachable!("the console does not write")
    }

    async fn next_due(&self) -> StoreResult<Option<Timestamp>> {
        unreachable!("the console does not ask")
    }

    async fn end_expired(&self, _: Timestamp) -> StoreResult<usize> {
        unreachable!("the console does not write")
    }
}

impl Processes for FakeStore {}

#[async_trait]
impl Operations for FakeStore {
    async fn unknown(
        &self,
        _: &ShopId,
        _: Option<UnknownPlace>,
        _: u32,
    ) -> StoreResult<Vec<Unknown>> {
        unreachable!("the console does not ask")
    }

    async fn resolve(&self, _: &ShopId, _: Said) -> StoreResult<Resolved> {
        unreachable!("the console does not write")
    }

    async fn recover(
        &self,
        _: Option<Timestamp>,
        _: Timestamp,
        _: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<Option<Recovered>> {
        unreachable!("the console does not write")
    }
}

#[async_trait]
impl Bundles for FakeStore {
    async fn keep_bundle(&self, _: &ShopId, _: &str, _: Vec<u8>, _: Timestamp) -> StoreResult<()> {
        unreachable!("the console does not write")
    }

    async fn bundles_in_use(&self, _shop: &ShopId) -> StoreResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn bundle(&self, _: &ShopId, _: &str) -> StoreResult<Option<Vec<u8>>> {
        unreachable!("the console does not ask")
    }
}

/// Captures, newest first, with the bytes of their attachments.
#[derive(Default)]
pub(super) struct FakeInbox(pub(super) Mutex<Vec<(Capture, Vec<Vec<u8>>)>>);

#[async_trait]
impl Captured for FakeInbox {
    async fn list(&self, channel: Option<Channel>, limit: usize) -> Vec<CaptureSummary> {
        let all = self.0.lock().unwrap();
        all.iter()
            .map(|(capture, _)| capture.summary.clone())
            .filter(|summary| channel.is_none_or(|channel| summary.channel == channel))
            .take(limit)
            .collect()
    }

    async fn get(&self, message: MessageId) -> Option<Capture> {
        let all = self.0.lock().unwrap();
        let mut captures = all.iter().map(|(capture, _)| capture);
        captures
            .find(|capture| capture.summary.message == message)
            .cloned()
    }

    async fn attachment(&self, message: MessageId, index: usize) -> Option<Vec<u8>> {
        let all = self.0.lock().unwrap();
        let (_, bytes) = all
            .iter()
            .find(|(capture, _)| capture.summary.message == message)?;
        bytes.get(index).cloned()
    }
}

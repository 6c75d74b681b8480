//! L4: what has come due goes back to the planner: send times, quiet hours, budgets, pauses. What has expired is
//! ended, whoever it waits for. Any number may run; the store decides each row once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::channel::Category;
use crate::domain::clock::{Clock, Stopwatch};
use crate::domain::policy::UnknownRule;
use crate::event;
use crate::store::bell::Bell;
use crate::store::{Plans, Store, StoreResult};

/// Changes that come within this time are looked at together. What is due when it is accepted is decided there and then, so this is
/// only for what a change brings back.
const GATHER: Duration = Duration::from_millis(10);
/// How many notifications are decided in one transaction.
const BATCH: u32 = 256;
/// How often it is looked for processes that have died.
const LOOK: Duration = Duration::from_secs(2);

/// How often room is made in the store for what will end later.
const ROOM: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of an attempt whose outcome nobody knows, by its category.
pub type Rule = Arc<dyn Fn(Category) -> UnknownRule + Send + Sync>;

/// What is taken over from other processes.
#[derive(Clone)]
struct Inheritance {
    /// From those that were not heard of for so long.
    dead_after: Duration,
    rule: Rule,
    looked: Option<Stopwatch>,
    /// Since when the store has answered every time: while it was away nobody could be heard of.
    answers: Stopwatch,
}

/// Brings back what is due.
#[derive(Clone)]
pub struct Scheduler {
    store: Arc<dyn Store>,
    plans: Arc<dyn Plans>,
    clock: Arc<dyn Clock>,
    inheritance: Option<Inheritance>,
    room_made: Option<Stopwatch>,
}

impl Scheduler {
    /// A scheduler over these parts.
    pub fn new(store: Arc<dyn Store>, plans: Arc<dyn Plans>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            plans,
            clock,
            inheritance: None,
            room_made: None,
        }
    }

    /// The same that also takes over what processes were handing over that were not heard of for `dead_after`, longer than they may
    /// go on unheard, while the store answered all that time.
    #[must_use]
    pub fn taking_over(mut self, dead_after: Duration, rule: Rule) -> Self {
        self.inheritance = Some(Inheritance {
            dead_after,
            rule,
            looked: None,
            answers: Stopwatch::start(),
        });
        self
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut bell = Bell::new(self.store.clone(), self.clock.clone(), GATHER);
        loop {
            if let Err(error) = self.pass(&stop).await {
                event::store_failed("scheduler", &error);
                if let Some(inheritance) = &mut self.inheritance {
                    inheritance.answers = Stopwatch::start();
                }
            }
            if !bell.wait(&stop).await {
                return;
            }
        }
    }

    async fn pass(&mut self, stop: &CancellationToken) -> StoreResult<()> {
        // What an operator has yet to judge stays as the copy shows it.
        if self.store.hold().borrow().is_some() {
            return Ok(());
        }
        while !stop.is_cancelled() {
            let planned = self
                .store
                .plan_due(self.clock.now(), BATCH, self.plans.clone())
                .await?;
            if planned == 0 {
                break;
            }
        }
        while !stop.is_cancelled() && self.store.end_expired(self.clock.now()).await? > 0 {}
        if self.room_made.is_none_or(|made| made.elapsed() >= ROOM) {
            self.store.make_room(self.clock.now()).await?;
            self.room_made = Some(Stopwatch::start());
        }
        self.inherit().await
    }

    async fn inherit(&mut self) -> StoreResult<()> {
        let Some(inheritance) = &mut self.inheritance else {
            return Ok(());
        };
        if inheritance
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK)
        {
            return Ok(());
        }
        inheritance.looked = Some(Stopwatch::start());
        if inheritance.answers.elapsed() < inheritance.dead_after {
            return Ok(());
        }
        let (dead_after, rule) = (inheritance.dead_after, inheritance.rule.clone());
        let taken_over = self
            .store
            .take_over(self.clock.now(), dead_after, &*rule)
            .await?;
        if taken_over > 0 {
            event::taken_over(taken_over);
        }
        Ok(())
    }
}

//! L4: from the queue to the provider. For each job: read, fill, pass the provider's gate (its limit, its breaker), claim, hand over,
//! settle, acknowledge, in this order. The claim comes directly before the first byte and checks everything once more; nothing is acknowledged before
//! its outcome is committed. While a gate is shut no job is taken, and one that was taken goes back.
//!
//! A panic costs its own message one attempt and nothing else. Before the claim nothing was sent and the same would happen again:
//! the message ends FAILED / INTERNAL at once. After it nobody knows whether it was sent: it is UNKNOWN, and its category decides,
//! but after [`MOST_TRIES_WITH_PANIC`] tries it is held, not failed: an end as failed would start the next channel, and the
//! customer might hear twice.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::domain::channel::{Category, Channel};
use crate::domain::clock::Clock;
use crate::domain::id::{Ids, chance};
use crate::domain::notification::AttemptResult;
use crate::domain::pulse::Pulse;
use crate::domain::reason::Reason;
use crate::event;
use crate::failpoint::{self, Point};
use crate::gate::{Gates, Leave, Turn};
use crate::provider::{About, Handover, Provider, clean_reply};
use crate::queue::Job;
use crate::settle::{Tried, reply, settle};
use crate::store::{Claim, ClaimOutcome, Ending, Settlement, Store, StoreError, Work};

mod fill;
mod pool;

use fill::Filled;
pub use pool::pools;

/// How long to wait before asking a store again that did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How often concluding a job that panicked is tried.
const MOST_CONCLUSIONS: usize = 3;
/// A message whose hand-over panics at this try or a later one is not sent again by itself.
pub const MOST_TRIES_WITH_PANIC: u32 = 3;

/// What every worker shares.
pub struct Worker {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Templates and policy.
    pub catalog: Arc<Catalog>,
    /// One for each channel.
    pub providers: BTreeMap<Channel, Arc<dyn Provider>>,
    /// Before each of them.
    pub gates: Arc<Gates>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For attempts.
    pub ids: Arc<Ids>,
    /// Whether others still count on this process.
    pub pulse: Arc<Pulse>,
}

/// A hand-over that has begun.
#[derive(Clone)]
struct Begun {
    claim: Claim,
    fence: i64,
    tries: u32,
    category: Category,
    expire_time: Timestamp,
}

/// What became of a job.
#[derive(Debug, PartialEq, Eq)]
enum Worked {
    /// Whatever happened to the message is in the store.
    Done,
    /// Nothing happened; the job is for later.
    NotNow,
    /// The same, because its lane gets no turn at the provider.
    NoTurn,
}

impl Worker {
    /// Does one job to its end, also when it panics.
    async fn work(&self, job: Job, held: Option<Turn<'_>>) -> Worked {
        let mut begun = None;
        let worked = AssertUnwindSafe(self.try_work(job, held, &mut begun))
            .catch_unwind()
            .await;
        if let Ok(worked) = worked {
            return worked;
        }
        event::worker_panicked(job.message);
        // Concluding may meet the same bug; whatever it does, the worker goes on.
        for _ in 0..MOST_CONCLUSIONS {
            let concluded = AssertUnwindSafe(self.conclude(job, begun.as_ref())).catch_unwind();
            if concluded.await.is_ok() {
                break;
            }
            event::worker_panicked(job.message);
        }
        Worked::Done
    }

    /// Writes what follows when a job's own code has panicked.
    async fn conclude(&self, job: Job, begun: Option<&Begun>) {
        let settlement = match begun {
            Some(begun) => self.after_lost_handover(begun),
            None => Settlement {
                message: job.message,
                attempt: None,
                fence: job.fence,
                ending: Ending::Failed {
                    reason: Reason::Internal,
                    suppress: None,
                },
                reply: "the gateway's own code panicked before anything was sent".into(),
                now: self.clock.now(),
            },
        };
        self.record(settlement).await;
    }

    async fn try_work(
        &self,
        job: Job,
        held: Option<Turn<'_>>,
        begun: &mut Option<Begun>,
    ) -> Worked {
        let Some(work) = self.read(job).await else {
            return Worked::Done;
        };
        self.fetch_bundles(&work).await;
        let filled = match self.fill(&work) {
            Ok(filled) => filled,
            Err(sentence) => return self.cannot_fill(&work, &sentence).await,
        };
        let served = self.providers.get(&job.channel);
        let (Some(provider), Some(gate)) = (served, self.gates.of(job.channel)) else {
            return self
                .cannot_fill(&work, "no provider serves this channel")
                .await;
        };
        let (turn, permit) = match gate.leave(job.lane, held).await {
            Leave::Go(turn, permit) => (turn, permit),
            Leave::Shut => return Worked::NotNow,
            Leave::NoTurn => return Worked::NoTurn,
        };
        let claim = self.claim(&work, &filled, provider.name());
        let Some((fence, tries)) = self.begin(&claim).await else {
            return Worked::Done;
        };
        let begun = begun.insert(Begun {
            claim,
            fence,
            tries,
            category: work.notification.category,
            expire_time: work.notification.intent.expire_time,
        });

        turn.used();
        failpoint::hit(Point::AfterAttempt);
        let started = self.clock.now();
        let handover = if self.pulse.may_send() {
            provider.send(&filled.outgoing).await
        } else {
            not_heard_of()
        };
        failpoint::hit(Point::AfterReply);
        let now = self.clock.now();
        permit.tell(handover.sign());
        let took = Duration::try_from(now.duration_since(started)).unwrap_or_default();
        event::attempted(job.channel, provider.name(), result(&handover), took);
        let ending = self.ending(&handover, begun, gate.is_open_circuit());
        let settlement = settlement(begun, ending, clean_reply(reply(&handover)), now);
        self.record(settlement).await;
        failpoint::hit(Point::AfterOutcome);
        Worked::Done
    }

    fn ending(&self, handover: &Handover, begun: &Begun, circuit_open: bool) -> Ending {
        let tried = Tried {
            category: begun.category,
            tries: begun.tries,
            expire_time: begun.expire_time,
            now: self.clock.now(),
            chance: chance(),
            circuit_open,
        };
        settle(handover, tried, &self.catalog.policy())
    }

    /// What follows when the code that hands over has panicked: it may have sent.
    fn after_lost_handover(&self, begun: &Begun) -> Settlement {
        let reply = "the gateway's own code panicked while it was handed over";
        let lost = Handover::Unknown {
            reply: reply.to_owned(),
        };
        let ending = if begun.tries < MOST_TRIES_WITH_PANIC {
            self.ending(&lost, begun, false)
        } else {
            Ending::Unknown { resend_at: None }
        };
        settlement(begun, ending, reply.to_owned(), self.clock.now())
    }

    /// The message, if the job is still about it.
    async fn read(&self, job: Job) -> Option<Work> {
        loop {
            match self.store.work(&[job.message]).await {
                Ok(mut found) => return found.pop().filter(|work| work.message.fence == job.fence),
                Err(error) => self.wait_for_store(&error).await,
            }
        }
    }

    async fn cannot_fill(&self, work: &Work, sentence: &str) -> Worked {
        event::render_failed(work.message.id, work.notification.id, sentence);
        let ending = Ending::Failed {
            reason: Reason::RenderFailed,
            suppress: None,
        };
        let (message, fence) = (work.message.id, work.message.fence);
        self.record(Settlement {
            message,
            attempt: None,
            fence,
            ending,
            reply: clean_reply(sentence),
            now: self.clock.now(),
        })
        .await;
        Worked::Done
    }

    fn claim(&self, work: &Work, filled: &Filled, provider: &str) -> Claim {
        let now = self.clock.now();
        Claim {
            message: work.message.id,
            fence: work.message.fence,
            attempt: self.ids.attempt(now),
            provider: provider.to_owned(),
            bundle: filled.bundle.clone(),
            content_hash: filled.content_hash.clone(),
            sms_segments: filled.sms_segments,
            now,
        }
    }

    async fn begin(&self, claim: &Claim) -> Option<(i64, u32)> {
        loop {
            match self.store.claim(claim.clone()).await {
                Ok(ClaimOutcome::Claimed { fence, tries }) => return Some((fence, tries)),
                Ok(ClaimOutcome::Refused) => return None,
                Err(error) => self.wait_for_store(&error).await,
            }
        }
    }

    /// Writes the outcome, however long the store needs: until it is written the job is not acknowledged.
    async fn record(&self, settlement: Settlement) {
        loop {
            match self.store.settle(settlement.clone()).await {
                Ok(_) => return,
                Err(error) => self.wait_for_store(&error).await,
            }
        }
    }

    async fn wait_for_store(&self, error: &StoreError) {
        event::store_failed("worker", error);
        tokio::time::sleep(STORE_PAUSE).await;
    }
}

/// In the place of a hand-over that does not begin: whoever took over in the meantime may have sent already.
fn not_heard_of() -> Handover {
    Handover::Retry {
        after: None,
        throttled: false,
        about: About::Message,
        reply: "nothing was sent: the store has not heard of this process for too long".into(),
    }
}

fn settlement(begun: &Begun, ending: Ending, reply: String, now: Timestamp) -> Settlement {
    Settlement {
        message: begun.claim.message,
        attempt: Some(begun.claim.attempt),
        fence: begun.fence,
        ending,
        reply,
        now,
    }
}

fn result(handover: &Handover) -> AttemptResult {
    match handover {
        Handover::Accepted { .. } => AttemptResult::Ok,
        Handover::Retry {
            throttled: true, ..
        } => AttemptResult::Throttled,
        Handover::Retry { .. } => AttemptResult::Transient,
        Handover::Rejected { .. } => AttemptResult::Permanent,
        Handover::Unknown { .. } => AttemptResult::Unknown,
    }
}

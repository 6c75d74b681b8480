//! L4: from the queue to the provider. For each job: read, fill, pass the provider's gate (its limit, its breaker), claim, hand over, settle, acknowledge,
//! in this order. The claim comes directly before the first byte and checks everything once more; nothing is acknowledged before
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
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::catalog::choice::{bundle_for, locale_for};
use crate::catalog::{Bundle, Catalog};
use crate::domain::address::Personal;
use crate::domain::channel::{Category, Channel, Lane};
use crate::domain::clock::Clock;
use crate::domain::content::{Content, Outgoing};
use crate::domain::customer::Profile;
use crate::domain::hex::hex;
use crate::domain::id::{Ids, chance};
use crate::domain::notification::AttemptResult;
use crate::domain::pulse::Pulse;
use crate::domain::reason::Reason;
use crate::domain::sms;
use crate::event;
use crate::failpoint::{self, Point};
use crate::gate::{Gates, Leave, Turn};
use crate::provider::{About, Handover, Provider, clean_reply};
use crate::queue::{Consumer, Job, Queue};
use crate::render::{Filling, Links, render};
use crate::settle::{Tried, reply, settle};
use crate::store::{Claim, ClaimOutcome, Ending, Settlement, Store, StoreError, Work};

/// How long to wait before asking a store again that did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How long a worker rests after a panic outside of a job.
const PANIC_PAUSE: Duration = Duration::from_millis(100);
/// Behind a gate that is shut for longer a worker keeps no job that another process could do.
const SHUT_LONG: Duration = Duration::from_secs(1);
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

/// Starts the pools, `size` workers for each channel and lane; they end when queue and gates are closed and each has finished what it
/// holds.
pub async fn pools(
    worker: &Arc<Worker>,
    queue: &dyn Queue,
    size: &(dyn Fn(Channel, Lane) -> usize + Send + Sync),
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for channel in Channel::ALL {
        for lane in Lane::ALL {
            for _ in 0..size(*channel, *lane) {
                let mut consumer = queue.subscribe(*channel, *lane).await;
                let worker = worker.clone();
                let channel = *channel;
                let lane = *lane;
                tasks.spawn(async move {
                    let mut turnless = false;
                    loop {
                        let round = worker.round(channel, lane, consumer.as_mut(), turnless);
                        match AssertUnwindSafe(round).catch_unwind().await {
                            Ok(Some(worked)) => turnless = worked == Worked::NoTurn,
                            Ok(None) => return,
                            // Outside of a job: nothing is lost, the job that was held goes back.
                            Err(_) => {
                                event::task_panicked("worker");
                                tokio::time::sleep(PANIC_PAUSE).await;
                            }
                        }
                    }
                });
            }
        }
    }
    tasks
}

/// A message with everything that its hand-over needs.
struct Filled {
    outgoing: Outgoing,
    bundle: String,
    content_hash: String,
    sms_segments: u32,
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
    /// Waits for a job and does it; `None` when none will come any more. Whoever got no turn for the job before waits for one first,
    /// so that no job lies in hands meanwhile.
    async fn round(
        &self,
        channel: Channel,
        lane: Lane,
        consumer: &mut dyn Consumer,
        turnless: bool,
    ) -> Option<Worked> {
        let mut held = None;
        if let Some(gate) = self.gates.of(channel) {
            let mut room = std::pin::pin!(gate.room());
            if tokio::time::timeout(SHUT_LONG, room.as_mut())
                .await
                .is_err()
            {
                consumer.rest();
                room.await;
            }
            if turnless {
                consumer.rest();
                held = gate.turn(lane).await;
            }
        }
        if self.store.hold().borrow().is_some() {
            consumer.rest();
            self.rest().await;
        }
        let delivery = consumer.next().await?;
        let worked = self.work(delivery.job(), held).await;
        if worked == Worked::Done {
            delivery.ack();
        }
        Some(worked)
    }

    /// Waits while the store is held, or until the gates are closed for good.
    async fn rest(&self) {
        let mut hold = self.store.hold();
        tokio::select! {
            _ = hold.wait_for(Option::is_none) => {}
            () = self.gates.closed() => {}
        }
    }

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

    /// Makes the bundles readable that another process has accepted or claimed this notification with.
    async fn fetch_bundles(&self, work: &Work) {
        let notification = &work.notification;
        for id in [&notification.bundle, &notification.accepted_bundle] {
            if id.is_empty() || self.catalog.bundle(id).is_some() {
                continue;
            }
            let archive = loop {
                match self.store.bundle(&notification.identity.shop, id).await {
                    Ok(archive) => break archive,
                    Err(error) => self.wait_for_store(&error).await,
                }
            };
            // One that is not there, or is damaged, is told by what cannot be filled.
            if let Some(archive) = archive
                && let Err(error) = self.catalog.adopt(&archive)
            {
                event::templates_refused(&error);
            }
        }
    }

    fn fill(&self, work: &Work) -> Result<Filled, String> {
        let bundle = bundle_for(&self.catalog, &work.notification)
            .ok_or("the bundle that it was accepted with is gone")?;
        let started = self.clock.now();
        let filled = self.content(work, &bundle);
        let took = Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default();
        event::rendered(
            work.message.channel,
            &work.notification.intent.template,
            filled.is_ok(),
            took,
        );
        let content = filled?;

        let sms_segments = match &content {
            Content::Sms { text } => sms::segments(text).count,
            Content::Email { .. } | Content::Chat { .. } => 0,
        };
        let attachments = match content {
            Content::Email { .. } => work.notification.intent.attachments.clone(),
            Content::Sms { .. } | Content::Chat { .. } => Vec::new(),
        };
        let outgoing = Outgoing {
            message: work.message.id,
            notification: work.notification.id,
            address: work.message.address.clone(),
            recipient_name: full_name(&work.customer.profile),
            category: work.notification.category,
            template: work.notification.intent.template.clone(),
            content,
            attachments,
        };
        let fingerprint = self
            .providers
            .get(&work.message.channel)
            .map(|provider| provider.fingerprint(&outgoing))
            .unwrap_or_default();
        let content_hash = hex(&Sha256::digest(fingerprint));
        Ok(Filled {
            outgoing,
            bundle: bundle.id().to_owned(),
            content_hash,
            sms_segments,
        })
    }

    fn content(&self, work: &Work, bundle: &Bundle) -> Result<Content, String> {
        let (intent, profile) = (&work.notification.intent, &work.customer.profile);
        let policy = self.catalog.policy();
        let zone = if profile.time_zone.is_empty() {
            &policy.time_zone
        } else {
            &profile.time_zone
        };
        let filling = Filling {
            bundle,
            template: &intent.template,
            channel: work.message.channel,
            locale: locale_for(&intent.locale, &profile.locale, &policy.locale),
            variables: &intent.variables,
            given_name: profile.given_name.reveal(),
            time_zone: zone,
            message_id: &work.message.id.to_string(),
            // Signed links come with the customers' own pages; until then the shop's stand in.
            links: Links::default(),
            variant: &work.message.variant,
        };
        render(&filling).map_err(|error| error.to_string())
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

/// As it stands in the address line of a mail.
fn full_name(profile: &Profile) -> Personal {
    let names = [profile.given_name.reveal(), profile.family_name.reveal()];
    Personal::new(names.join(" ").trim())
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

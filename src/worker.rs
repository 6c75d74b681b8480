//! L4: from the queue to the provider. For each job: read, fill, claim, hand over, settle, acknowledge, in this order.
//! The claim comes directly before the first byte and checks everything once more; nothing is acknowledged before its outcome
//! is committed. A panic costs its own message one attempt and nothing else.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::catalog::choice::{bundle_for, locale_for};
use crate::catalog::{Bundle, Catalog};
use crate::domain::address::Personal;
use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::Clock;
use crate::domain::content::{Content, Outgoing};
use crate::domain::customer::Profile;
use crate::domain::id::{Ids, chance};
use crate::domain::notification::AttemptResult;
use crate::domain::reason::Reason;
use crate::domain::sms;
use crate::event;
use crate::failpoint::{self, Point};
use crate::provider::{Handover, Provider, clean_reply};
use crate::queue::{Job, Queue};
use crate::render::{Filling, Links, render};
use crate::settle::{Tried, reply, settle};
use crate::store::{Claim, ClaimOutcome, Ending, Settlement, Store, StoreError, Work};

#[cfg(test)]
mod tests;

/// How long to wait before asking a store again that did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// What every worker shares.
pub struct Worker {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Templates and policy.
    pub catalog: Arc<Catalog>,
    /// One for each channel.
    pub providers: BTreeMap<Channel, Arc<dyn Provider>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For attempts.
    pub ids: Arc<Ids>,
}

/// Starts the pools, `size` workers for each channel and lane; they end when the queue is closed and each has finished what it holds.
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
                tasks.spawn(async move {
                    while let Some(delivery) = consumer.next().await {
                        worker.work(delivery.job()).await;
                        delivery.ack();
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

impl Worker {
    /// Does one job to its end. Whatever happens to the message is in the store when this returns.
    async fn work(&self, job: Job) {
        let Some(work) = self.read(job).await else {
            return;
        };
        let filled = match self.try_fill(&work) {
            Ok(filled) => filled,
            Err((reason, sentence)) => return self.cannot_fill(&work, reason, &sentence).await,
        };
        let Some(provider) = self.providers.get(&job.channel) else {
            return self
                .cannot_fill(
                    &work,
                    Reason::RenderFailed,
                    "no provider serves this channel",
                )
                .await;
        };
        let claim = self.claim(&work, &filled, provider.name());
        let Some((fence, tries)) = self.begin(&claim).await else {
            return;
        };

        failpoint::hit(Point::AfterAttempt);
        let started = self.clock.now();
        let handover = hand_over(provider.as_ref(), &filled.outgoing).await;
        failpoint::hit(Point::AfterReply);

        let now = self.clock.now();
        let tried = Tried {
            category: work.notification.category,
            tries,
            expire_time: work.notification.intent.expire_time,
            now,
            chance: chance(),
        };
        let ending = settle(&handover, tried, &self.catalog.policy());
        let took = Duration::try_from(now.duration_since(started)).unwrap_or_default();
        event::attempted(job.channel, provider.name(), result(&handover), took);
        let reply = clean_reply(reply(&handover));
        self.record(Settlement {
            message: job.message,
            attempt: Some(claim.attempt),
            fence,
            ending,
            reply,
            now,
        })
        .await;
        failpoint::hit(Point::AfterOutcome);
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

    /// Filling that panics would do so each time: it ends its message and leaves the worker to the others.
    fn try_fill(&self, work: &Work) -> Result<Filled, (Reason, String)> {
        std::panic::catch_unwind(AssertUnwindSafe(|| self.fill(work))).map_or_else(
            |_| {
                event::worker_panicked(work.message.id);
                let sentence = "the code that fills the template panicked";
                Err((Reason::Internal, sentence.to_owned()))
            },
            |filled| filled.map_err(|sentence| (Reason::RenderFailed, sentence)),
        )
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
        let content_hash = Sha256::digest(fingerprint)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
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

    async fn cannot_fill(&self, work: &Work, reason: Reason, sentence: &str) {
        event::render_failed(work.message.id, work.notification.id, sentence);
        let ending = Ending::Failed {
            reason,
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

/// As it stands in the address line of a mail.
fn full_name(profile: &Profile) -> Personal {
    let names = [profile.given_name.reveal(), profile.family_name.reveal()];
    Personal::new(names.join(" ").trim())
}

/// One try. A provider that panics may have sent: its outcome is unknown.
async fn hand_over(provider: &dyn Provider, outgoing: &Outgoing) -> Handover {
    AssertUnwindSafe(provider.send(outgoing))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            event::worker_panicked(outgoing.message);
            Handover::Unknown {
                reply: "the provider's code panicked".into(),
            }
        })
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

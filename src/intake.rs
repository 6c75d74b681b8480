//! L4: where an intent enters, and the file to read first. An intent is checked ([`admit`]), stored durably together with its
//! request id, and answered. What is due at once is planned in the same commit; the rest of its way is the business of
//! planner, relay and worker. The intake itself sends nothing.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::admit::{self, Admitted, Door};
use crate::catalog::{Bundle, Catalog};
use crate::domain::caller::{Caller, Scope};
use crate::domain::clock::Clock;
use crate::domain::decision::Decision;
use crate::domain::draft::Draft;
use crate::domain::id::Ids;
use crate::domain::notification::Notification;
use crate::domain::reason::Reason;
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::{CustomerId, Identity};
use crate::event;
use crate::store::{AcceptOutcome, NewNotification, Plans, Store, StoreError};

/// The request id of a dry run.
const DRY_RUN: &str = "dry-run";

/// An intent that was taken.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// As it is now.
    pub notification: Notification,
    /// The request was seen before; this is what became of it.
    pub replayed: bool,
}

/// The way in.
pub struct Intake {
    store: Arc<dyn Store>,
    catalog: Arc<Catalog>,
    plans: Arc<dyn Plans>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

impl Intake {
    /// An intake over these parts.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<Catalog>,
        plans: Arc<dyn Plans>,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
    ) -> Self {
        Self {
            store,
            catalog,
            plans,
            clock,
            ids,
        }
    }

    /// Takes drafts of templates that the caller may send, each for itself or, `atomic`, all or none. The answers are in the order of `drafts`. With `atomic` and
    /// one bad draft, all are answered with the first bad one's rejection, which tells its place as `index`.
    pub async fn accept(
        &self,
        caller: &Caller,
        drafts: Vec<Draft>,
        atomic: bool,
    ) -> Vec<Result<Acceptance, Rejection>> {
        if let Some(held) = *self.store.hold().borrow() {
            let waits = Rejection::new(RejectionReason::StoreUnavailable, held.sentence());
            return drafts.iter().map(|_| Err(waits.clone())).collect();
        }
        let now = self.clock.now();
        let requests: Vec<_> = drafts
            .iter()
            .map(|draft| (draft.request_id.clone(), draft.payload_hash))
            .collect();
        let checked = self
            .check(&caller.identity, Some(caller), drafts, now)
            .await;
        let checked = self.replay(&caller.identity, requests, checked).await;
        if atomic {
            let bad = checked
                .iter()
                .enumerate()
                .find_map(|(at, one)| Some((at, one.as_ref().err()?)));
            if let Some((at, rejection)) = bad {
                event::rejected(rejection.reason);
                let rejection = rejection.clone().with("index", at.to_string());
                return checked.iter().map(|_| Err(rejection.clone())).collect();
            }
        }
        let (good, mut answers) = split(checked);
        let outcomes = self
            .store
            .accept(good, atomic, now, self.plans.clone())
            .await;
        fill(&mut answers, outcomes);
        answers
            .into_iter()
            .map(|answer| {
                answer.unwrap_or_else(|| Err(internal("an intent was left without an answer")))
            })
            .collect()
    }

    /// All checks, nothing stored.
    ///
    /// # Errors
    /// The rejection that sending it would get.
    pub async fn validate(&self, caller: &Caller, draft: Draft) -> Result<Notification, Rejection> {
        let now = self.clock.now();
        let mut checked = self
            .check(&caller.identity, Some(caller), vec![draft], now)
            .await;
        let new = checked
            .pop()
            .unwrap_or_else(|| Err(internal("a draft was left without an answer")))?;
        Ok(new.notification)
    }

    /// What would be decided about the draft at `at`, or now; nothing stored. Who asks need not be allowed to send it.
    ///
    /// # Errors
    /// The rejection that sending it would get otherwise.
    pub async fn explain(
        &self,
        identity: &Identity,
        mut draft: Draft,
        at: Option<Timestamp>,
    ) -> Result<Decision, Rejection> {
        // Nothing is stored, so nothing is remembered by its request id.
        DRY_RUN.clone_into(&mut draft.request_id);
        let now = at.unwrap_or_else(|| self.clock.now());
        let mut checked = self.check(identity, None, vec![draft], now).await;
        let new = checked
            .pop()
            .unwrap_or_else(|| Err(internal("a draft was left without an answer")))?;
        let case = self
            .store
            .case(new.notification, now)
            .await
            .map_err(unavailable)?;
        Ok(self.plans.plan(&case).decision)
    }

    /// Answers a request that was taken before by what became of it, also when it would not be taken now.
    async fn replay(
        &self,
        identity: &Identity,
        requests: Vec<(String, [u8; 32])>,
        checked: Vec<Result<NewNotification, Rejection>>,
    ) -> Vec<Result<Checked, Rejection>> {
        let late = |one: &Result<_, Rejection>| one.as_ref().is_err_and(was_good_once);
        let asked: Vec<_> = requests
            .into_iter()
            .zip(&checked)
            .filter_map(|(request, one)| late(one).then_some(request))
            .collect();
        let found = if asked.is_empty() {
            Ok(Vec::new())
        } else {
            self.store.replays(identity, asked).await
        };
        let (mut found, fault) = match found {
            Ok(found) => (found.into_iter(), None),
            Err(error) => (Vec::new().into_iter(), Some(unavailable(error))),
        };
        checked
            .into_iter()
            .map(|one| match one {
                Ok(new) => Ok(Checked::New(new)),
                Err(rejection) if was_good_once(&rejection) => match found.next().flatten() {
                    Some(first) => Ok(Checked::Replayed(first)),
                    None => Err(fault.clone().unwrap_or(rejection)),
                },
                Err(rejection) => Err(rejection),
            })
            .collect()
    }

    /// Checks drafts against templates and, where there is one, what the sender may send; then asks the store once whether the
    /// customers that were only named exist.
    async fn check(
        &self,
        identity: &Identity,
        sender: Option<&Caller>,
        drafts: Vec<Draft>,
        now: Timestamp,
    ) -> Vec<Result<NewNotification, Rejection>> {
        let mut checked: Vec<_> = drafts
            .into_iter()
            .map(|draft| self.admit(identity, sender, draft, now))
            .collect();
        let needs_customer = |new: &NewNotification| new.notification.intent.contact.is_none();
        let named: HashSet<CustomerId> = checked
            .iter()
            .flatten()
            .filter(|new| needs_customer(new))
            .map(|new| new.notification.intent.customer.clone())
            .collect();
        if named.is_empty() {
            return checked;
        }
        let named: Vec<_> = named.into_iter().collect();
        let known = match self.store.customers(&identity.shop, &named).await {
            Ok(customers) => customers
                .into_iter()
                .map(|customer| customer.id)
                .collect::<HashSet<_>>(),
            Err(error) => {
                let rejection = unavailable(error);
                return checked
                    .into_iter()
                    .map(|one| one.and_then(|_| Err(rejection.clone())))
                    .collect();
            }
        };
        for one in &mut checked {
            if let Ok(new) = one
                && needs_customer(new)
                && !known.contains(&new.notification.intent.customer)
            {
                *one = Err(Rejection::new(
                    RejectionReason::CustomerNotFound,
                    "there is no such customer; upsert them first or send a contact snapshot along",
                ));
            }
        }
        checked
    }

    fn admit(
        &self,
        identity: &Identity,
        sender: Option<&Caller>,
        draft: Draft,
        now: Timestamp,
    ) -> Result<NewNotification, Rejection> {
        let bundle = self.bundle(&draft.template_version)?;
        if let Some(sender) = sender {
            may_send(sender, &bundle, &draft.template)?;
        }
        let policy = self.catalog.policy();
        let guest = |address: &_| self.store.guest(&identity.shop, address);
        let door = Door {
            bundle: &bundle,
            policy: &policy,
            guest: &guest,
            now,
        };
        let (request_id, payload_hash) = (draft.request_id.clone(), draft.payload_hash);
        let admitted = admit::admit(draft, &door)?;
        Ok(NewNotification {
            notification: self.notification(identity, admitted, now),
            request_id,
            payload_hash,
        })
    }

    fn bundle(&self, version: &str) -> Result<Arc<Bundle>, Rejection> {
        if version.is_empty() {
            return Ok(self.catalog.live());
        }
        self.catalog.bundle(version).ok_or_else(|| {
            Rejection::new(
                RejectionReason::TemplateVersionNotFound,
                "there is no such template version",
            )
            .with("template_version", version)
        })
    }

    fn notification(
        &self,
        identity: &Identity,
        admitted: Admitted,
        now: Timestamp,
    ) -> Notification {
        Notification {
            id: self.ids.notification(now),
            identity: identity.clone(),
            intent: admitted.intent,
            category: admitted.category,
            topic: admitted.topic,
            accepted_bundle: admitted.bundle,
            bundle: String::new(),
            status: Reason::Accepted.into(),
            create_time: now,
            update_time: now,
            due_at: Some(now),
            decision: None,
        }
    }
}

/// Whether the caller has the scope of the template's category. A template that is none is refused by the checks behind this.
fn may_send(sender: &Caller, bundle: &Bundle, template: &str) -> Result<(), Rejection> {
    let Some(manifest) = bundle.manifest(template) else {
        return Ok(());
    };
    let scope = Scope::to_send(manifest.category);
    if sender.may(scope) {
        return Ok(());
    }
    Err(Rejection::new(
        RejectionReason::PermissionDenied,
        format!(
            "{template} is {}: sending it needs the scope {scope}, which {} does not have",
            manifest.category, sender.identity.caller
        ),
    )
    .with("scope", scope.as_str()))
}

/// A draft that is not refused.
enum Checked {
    New(NewNotification),
    /// It would be refused, and it was taken before.
    Replayed(Notification),
}

/// Whether what is refused now may have been taken when it was first sent: time passes, templates change, customers go.
fn was_good_once(rejection: &Rejection) -> bool {
    matches!(
        rejection.reason,
        RejectionReason::SendTimeInvalid
            | RejectionReason::TemplateNotFound
            | RejectionReason::TemplateVersionNotFound
            | RejectionReason::VariablesInvalid
            | RejectionReason::CustomerNotFound
    )
}

type Answer = Option<Result<Acceptance, Rejection>>;

/// Parts the good from the bad: what is to be stored, and the answers with a gap for each of those.
fn split(checked: Vec<Result<Checked, Rejection>>) -> (Vec<NewNotification>, Vec<Answer>) {
    let mut good = Vec::with_capacity(checked.len());
    let answers = checked
        .into_iter()
        .map(|one| match one {
            Ok(Checked::New(new)) => {
                good.push(new);
                None
            }
            Ok(Checked::Replayed(first)) => {
                Some(acceptance(AcceptOutcome::Replayed(Box::new(first)), None))
            }
            Err(rejection) => {
                event::rejected(rejection.reason);
                Some(Err(rejection))
            }
        })
        .collect();
    (good, answers)
}

/// Fills the gaps with what the store answered.
fn fill(answers: &mut [Answer], outcomes: Result<Vec<AcceptOutcome>, StoreError>) {
    let gaps = answers.iter_mut().filter(|answer| answer.is_none());
    match outcomes {
        Ok(outcomes) => {
            let reused = outcomes.iter().find_map(|outcome| match outcome {
                AcceptOutcome::Reused(first) => Some(request_id_reused(first)),
                _ => None,
            });
            for (gap, outcome) in gaps.zip(outcomes) {
                *gap = Some(acceptance(outcome, reused.as_ref()));
            }
        }
        Err(error) => {
            let rejection = unavailable(error);
            for gap in gaps {
                event::rejected(rejection.reason);
                *gap = Some(Err(rejection.clone()));
            }
        }
    }
}

fn acceptance(outcome: AcceptOutcome, reused: Option<&Rejection>) -> Result<Acceptance, Rejection> {
    let (notification, replayed) = match outcome {
        AcceptOutcome::Accepted(notification) => (*notification, false),
        AcceptOutcome::Replayed(notification) => (*notification, true),
        AcceptOutcome::Reused(first) => return Err(request_id_reused(&first)),
        AcceptOutcome::NotStored => {
            return Err(reused
                .cloned()
                .unwrap_or_else(|| internal("a batch was left out")));
        }
    };
    event::accepted(notification.category, replayed);
    Ok(Acceptance {
        notification,
        replayed,
    })
}

fn request_id_reused(first: &crate::domain::id::NotificationId) -> Rejection {
    event::rejected(RejectionReason::RequestIdReused);
    Rejection::new(
        RejectionReason::RequestIdReused,
        "the request_id was used for another intent; choose a new one for a new intent",
    )
    .with("first", format!("notifications/{first}"))
}

fn internal(sentence: &str) -> Rejection {
    Rejection::new(RejectionReason::Internal, sentence)
}

/// What a caller is told of a fault of the store; the cause goes to the log, once, here.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the fault ends here; it is used as a function of map_err"
)]
pub fn unavailable(error: StoreError) -> Rejection {
    event::store_failed("intake", &error);
    match error {
        StoreError::Unavailable(_) => Rejection::new(
            RejectionReason::StoreUnavailable,
            "the store does not answer; nothing was stored, try again",
        ),
        StoreError::Full => Rejection::new(
            RejectionReason::StoreFull,
            "the store is full; nothing was stored",
        ),
        StoreError::Corrupt(_) => internal("the gateway failed; its log says why"),
    }
}

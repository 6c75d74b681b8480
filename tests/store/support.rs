//! What the promises are tried with: a store in a temporary folder, notifications, and a small planner.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tidings::domain::address::{Address, Personal};
use tidings::domain::budget::{Budget, Usage};
use tidings::domain::channel::{Category, Channel};
use tidings::domain::customer::{ContactPoint, Customer, CustomerId, TopicPreference};
use tidings::domain::decision::{Decision, Rule, Step, StepOutcome, Verdict};
use tidings::domain::id::{Ids, NotificationId};
use tidings::domain::intent::{ContactSnapshot, Intent, Variables};
use tidings::domain::notification::{Message, MessageState, Notification, Record};
use tidings::domain::reason::{Reason, Status};
use tidings::domain::shop::{CallerId, Identity, ShopId};
use tidings::store::postgres::{self, PostgresStore, Settings};
use tidings::store::sqlite::{self, SqliteStore};
use tidings::store::{
    AcceptOutcome, Case, Change, Claim, ClaimOutcome, Ending, NewNotification, Plan, Plans, Ready,
    Retention, Settlement, Store, Sweep,
};

use crate::server::Server;

pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);
pub(crate) const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A moment to start at.
pub(crate) fn start() -> Timestamp {
    "2026-11-22T12:00:00.123456789Z".parse().unwrap()
}

pub(crate) fn shop() -> Identity {
    Identity::local()
}

pub(crate) fn other_caller() -> Identity {
    Identity {
        caller: CallerId::new("other"),
        ..Identity::local()
    }
}

pub(crate) fn other_shop() -> Identity {
    Identity {
        shop: ShopId::new("elsewhere"),
        caller: CallerId::new("local"),
    }
}

pub(crate) fn status(reason: Reason) -> Status {
    Status::from(reason)
}

/// A store with everything needed to use it.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) plans: Arc<TestPlans>,
    engine: Engine,
}

enum Engine {
    Sqlite(Arc<SqliteStore>, TempDir),
    Postgres(Arc<PostgresStore>, Arc<Server>),
    /// The test itself has the store and its server.
    Borrowed,
}

/// How the server of a test is reached.
pub(crate) fn settings(server: &Server) -> Settings {
    Settings {
        host: server.host(),
        user: "postgres".to_owned(),
        database: "postgres".to_owned(),
        ..Settings::default()
    }
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::in_folder(folder).await
    }

    /// `None` when PostgreSQL is not installed.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = Arc::new(Server::start()?);
        Some(Self::on(server).await)
    }

    /// One more process on a server that runs.
    pub(crate) async fn on(server: Arc<Server>) -> Self {
        let store = PostgresStore::open(&settings(&server), start()).await;
        let store = Arc::new(store.unwrap());
        Self::with(store.clone(), Engine::Postgres(store, server))
    }

    /// What is needed to use a store that the test has opened.
    pub(crate) fn borrowed(store: Arc<dyn Store>) -> Self {
        Self::with(store, Engine::Borrowed)
    }

    async fn in_folder(folder: TempDir) -> Self {
        let store = Arc::new(SqliteStore::open(folder.path(), start()).await.unwrap());
        Self::with(store.clone(), Engine::Sqlite(store, folder))
    }

    fn with(store: Arc<dyn Store>, engine: Engine) -> Self {
        Self {
            store,
            ids: Arc::new(Ids::new()),
            plans: Arc::new(TestPlans::new(u32::MAX)),
            engine,
        }
    }

    /// Ends the store and opens it again.
    pub(crate) async fn restart(self) -> Self {
        self.close().await;
        match self.engine {
            Engine::Sqlite(_, folder) => Self::in_folder(folder).await,
            Engine::Postgres(_, server) => Self::on(server).await,
            Engine::Borrowed => panic!("it belongs to the test"),
        }
    }

    /// Ends the store and opens it held.
    pub(crate) async fn restart_paused(self) -> Self {
        self.close().await;
        match self.engine {
            Engine::Sqlite(_, folder) => {
                let opening = sqlite::Opening {
                    paused: true,
                    ..sqlite::Opening::default()
                };
                let store = SqliteStore::open_as(folder.path(), start(), opening).await;
                let store = Arc::new(store.unwrap());
                Self::with(store.clone(), Engine::Sqlite(store, folder))
            }
            Engine::Postgres(_, server) => {
                let opening = postgres::Opening {
                    paused: true,
                    ..postgres::Opening::default()
                };
                let store = PostgresStore::open_as(&settings(&server), start(), opening).await;
                let store = Arc::new(store.unwrap());
                Self::with(store.clone(), Engine::Postgres(store, server))
            }
            Engine::Borrowed => panic!("it belongs to the test"),
        }
    }

    pub(crate) async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(store, _) => store.close().await,
            Engine::Postgres(store, _) => store.close().await,
            Engine::Borrowed => {}
        }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        match &self.engine {
            Engine::Sqlite(_, folder) => folder.path(),
            Engine::Postgres(..) | Engine::Borrowed => panic!("it has no folder"),
        }
    }

    /// How many rows a table has, asked of the engine itself.
    pub(crate) fn count(&self, table: &str) -> i64 {
        let text = format!("SELECT count(*) FROM {table}");
        match &self.engine {
            Engine::Sqlite(_, folder) => {
                let file = rusqlite::Connection::open(folder.path().join("tidings.db")).unwrap();
                file.query_row(&text, [], |row| row.get(0)).unwrap()
            }
            Engine::Postgres(_, server) => server.sql("postgres", &text).parse().unwrap(),
            Engine::Borrowed => panic!("it belongs to the test"),
        }
    }

    /// Sweeps once to the end; what was dropped of which table.
    pub(crate) async fn sweep(&self, now: Timestamp) -> BTreeMap<&'static str, usize> {
        let retention = Retention {
            content: DAY * 30,
            history: DAY * 365,
            events: DAY * 7,
        };
        let (mut dropped, mut at) = (BTreeMap::new(), Some(Sweep::default()));
        while let Some(place) = at {
            let swept = self.store.sweep(place, retention, now).await.unwrap();
            if swept.dropped > 0 {
                *dropped.entry(swept.table).or_default() += swept.dropped;
            }
            at = swept.next;
        }
        dropped
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(..))
    }

    /// The newest event, once the store has told of all that have been written.
    pub(crate) async fn newest(&self) -> i64 {
        let mut told = self.store.sequence();
        let events = self.store.events(&shop(), 0, 10_000).await.unwrap();
        let last = events.last().map_or(0, |event| event.sequence);
        let reached = told.wait_for(|newest| *newest >= last);
        let reached = tokio::time::timeout(std::time::Duration::from_secs(5), reached);
        *reached.await.unwrap().unwrap()
    }

    pub(crate) fn capped(mut self, cap: u32) -> Self {
        self.plans = Arc::new(TestPlans::new(cap));
        self
    }

    pub(crate) fn intent(&self, customer: &str) -> New {
        New {
            request_id: None,
            payload_hash: [7; 32],
            notification: notification(&self.ids, customer, start()),
        }
    }

    pub(crate) async fn accept_all(&self, new: Vec<New>, atomic: bool) -> Vec<AcceptOutcome> {
        self.accept_at(new, atomic, start()).await
    }

    pub(crate) async fn accept_at(
        &self,
        new: Vec<New>,
        atomic: bool,
        now: Timestamp,
    ) -> Vec<AcceptOutcome> {
        let batch = new.into_iter().map(New::into).collect();
        self.store
            .accept(batch, atomic, now, self.plans.clone())
            .await
            .unwrap()
    }

    pub(crate) async fn accept(&self, new: New) -> Notification {
        match self.accept_all(vec![new], false).await.pop() {
            Some(AcceptOutcome::Accepted(notification)) => *notification,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(crate) async fn plan(&self, now: Timestamp) -> usize {
        self.store
            .plan_due(now, 100, self.plans.clone())
            .await
            .unwrap()
    }

    pub(crate) async fn record(&self, id: NotificationId) -> Record {
        self.store.find(&shop(), id).await.unwrap().unwrap()
    }

    pub(crate) async fn status(&self, id: NotificationId) -> Status {
        self.record(id).await.notification.status
    }

    pub(crate) async fn ready(
        &self,
        channel: Channel,
        category: Category,
        now: Timestamp,
    ) -> Vec<Ready> {
        let ready = self
            .store
            .ready(channel, category.lane(), None, now, 1000)
            .await
            .unwrap();
        // Only a look: a shared store would give them to nobody else now.
        let ids: Vec<_> = ready.iter().map(|one| one.message).collect();
        self.store.not_published(&ids).await.unwrap();
        ready
    }

    /// The queued message of a notification.
    pub(crate) async fn message(&self, id: NotificationId) -> Message {
        let messages = self.record(id).await.messages;
        messages
            .into_iter()
            .find(|message| message.state == MessageState::Queued)
            .unwrap()
    }

    pub(crate) fn claim_of(&self, message: &Message, now: Timestamp) -> Claim {
        Claim {
            message: message.id,
            fence: message.fence,
            attempt: self.ids.attempt(now),
            provider: "outbox".to_owned(),
            bundle: "bundle-1".to_owned(),
            content_hash: "ab".to_owned(),
            sms_segments: 0,
            now,
        }
    }

    /// Claims the queued message of a notification; returns what settling it needs.
    pub(crate) async fn claim(&self, id: NotificationId, now: Timestamp) -> Claimed {
        let message = self.message(id).await;
        let claim = self.claim_of(&message, now);
        let outcome = self.store.claim(claim.clone()).await.unwrap();
        self.claimed(claim, &outcome)
    }

    pub(crate) fn claimed(&self, claim: Claim, outcome: &ClaimOutcome) -> Claimed {
        match outcome {
            ClaimOutcome::Claimed { fence, tries } => Claimed {
                claim,
                fence: *fence,
                tries: *tries,
            },
            ClaimOutcome::Refused => panic!("refused"),
        }
    }

    pub(crate) async fn settle(&self, claimed: &Claimed, ending: Ending, now: Timestamp) -> bool {
        self.store
            .settle(Settlement {
                message: claimed.claim.message,
                attempt: Some(claimed.claim.attempt),
                fence: claimed.fence,
                ending,
                reply: "250 ok".to_owned(),
                now,
            })
            .await
            .unwrap()
    }

    pub(crate) async fn send(&self, id: NotificationId, now: Timestamp) {
        let claimed = self.claim(id, now).await;
        assert!(self.settle(&claimed, sent(), now).await);
    }

    pub(crate) async fn change(&self, customer: &str, change: Change, now: Timestamp) -> Customer {
        self.store
            .change(&shop().shop, vec![(CustomerId::new(customer), change)], now)
            .await
            .unwrap()
            .remove(0)
            .unwrap()
    }
}

pub(crate) fn sent() -> Ending {
    Ending::Sent {
        provider_message_id: "p-1".to_owned(),
    }
}

pub(crate) fn rejected() -> Ending {
    Ending::Failed {
        reason: Reason::ProviderRejected,
        suppress: None,
    }
}

pub(crate) struct Claimed {
    pub(crate) claim: Claim,
    pub(crate) fence: i64,
    pub(crate) tries: u32,
}

/// An intent in the making.
#[derive(Clone)]
pub(crate) struct New {
    pub(crate) request_id: Option<String>,
    pub(crate) payload_hash: [u8; 32],
    pub(crate) notification: Notification,
}

impl New {
    pub(crate) fn request(mut self, id: &str) -> Self {
        self.request_id = Some(id.to_owned());
        self
    }

    pub(crate) fn category(mut self, category: Category) -> Self {
        self.notification.category = category;
        self
    }

    pub(crate) fn with(mut self, edit: impl FnOnce(&mut Intent)) -> Self {
        edit(&mut self.notification.intent);
        self
    }

    pub(crate) fn by(mut self, identity: Identity) -> Self {
        self.notification.identity = identity;
        self
    }

    pub(crate) fn id(&self) -> NotificationId {
        self.notification.id
    }
}

impl From<New> for NewNotification {
    fn from(new: New) -> Self {
        let id = new.notification.id.to_string();
        Self {
            request_id: new.request_id.unwrap_or(id),
            payload_hash: new.payload_hash,
            notification: new.notification,
        }
    }
}

pub(crate) fn email(text: &str) -> Address {
    Address::try_new(Channel::Email, text).unwrap()
}

pub(crate) fn phone(text: &str) -> Address {
    Address::try_new(Channel::Sms, text).unwrap()
}

fn notification(ids: &Ids, customer: &str, now: Timestamp) -> Notification {
    let mut variables = Variables::default();
    variables.0.insert("order".to_owned(), "4711".into());
    Notification {
        id: ids.notification(now),
        identity: shop(),
        intent: Intent {
            customer: CustomerId::new(customer),
            guest: false,
            template: "order.confirmation".to_owned(),
            template_version: String::new(),
            variables,
            locale: String::new(),
            routing: None,
            send_time: None,
            expire_time: now + DAY,
            event_time: now,
            collapse_key: String::new(),
            cancellation_key: String::new(),
            reference: String::new(),
            labels: BTreeMap::new(),
            attachments: Vec::new(),
            once_key: String::new(),
            contact: Some(ContactSnapshot {
                given_name: Personal::new("Ada"),
                addresses: vec![
                    email(&format!("{customer}@example.com")),
                    phone("+4915112345678"),
                ],
                source_version: 1,
                ..ContactSnapshot::default()
            }),
        },
        category: Category::Transactional,
        topic: "orders".to_owned(),
        accepted_bundle: "bundle-1".to_owned(),
        bundle: String::new(),
        status: status(Reason::Accepted),
        create_time: now,
        update_time: now,
        due_at: Some(now),
        decision: None,
    }
}

/// Email before SMS, a cap on marketing in seven days, and the stops that the store has to feed.
pub(crate) struct TestPlans {
    cap: u32,
    ids: Ids,
}

impl TestPlans {
    pub(crate) fn new(cap: u32) -> Self {
        Self {
            cap,
            ids: Ids::new(),
        }
    }

    fn verdict(&self, case: &Case) -> Verdict {
        let intent = &case.notification.intent;
        let end = |reason| Verdict::End { reason };
        assert_ne!(intent.template, "panic", "a planner with a bug");
        if case.once.is_some() {
            return end(Reason::DuplicateOnceKey);
        }
        match case.newer {
            Some((_, true)) => return end(Reason::Collapsed),
            Some((_, false)) => return end(Reason::Superseded),
            None => {}
        }
        if intent.expire_time <= case.now {
            return end(Reason::Expired);
        }
        if let Some(send_time) = intent.send_time
            && send_time > case.now
        {
            return Verdict::Hold {
                until: send_time,
                reason: Reason::SendTime,
            };
        }
        let topic = case.customer.preferences.topic(&case.notification.topic);
        if topic.is_some_and(|topic| topic.opted_out) {
            return end(Reason::TopicOptedOut);
        }
        let known: Vec<_> = Channel::ALL
            .iter()
            .copied()
            .filter(|channel| case.customer.profile.address(*channel).is_some())
            .collect();
        let left: Vec<_> = known
            .iter()
            .copied()
            .filter(|channel| !case.failed.contains(channel))
            .filter(|channel| !case.suppressed.iter().any(|(dead, _)| dead == channel))
            .collect();
        if left.is_empty() {
            return end(if known.is_empty() {
                Reason::NoContactPoint
            } else {
                Reason::AddressSuppressed
            });
        }
        if intent.template == "needs.payment" && !case.outcomes.iter().any(|name| name == "paid") {
            return Verdict::Hold {
                until: intent.expire_time,
                reason: Reason::OutcomeRequired,
            };
        }
        if let Some(until) = self.budget().free_at(&case.usage, &usage(case), case.now)
            && self.budget().limits(&usage(case))
        {
            return Verdict::Hold {
                until,
                reason: Reason::BudgetExceeded,
            };
        }
        if intent.template == "everywhere" {
            return Verdict::Send {
                channels: left,
                then: Vec::new(),
                variant: String::new(),
            };
        }
        Verdict::Send {
            channels: left[..1].to_vec(),
            then: left[1..].to_vec(),
            variant: "b".to_owned(),
        }
    }

    fn budget(&self) -> Budget {
        Budget {
            name: "test".to_owned(),
            categories: vec![Category::Marketing],
            templates: Vec::new(),
            window: DAY * 7,
            max: self.cap,
            per_subject: false,
        }
    }

    fn message(&self, case: &Case, channel: Channel, then: &[Channel]) -> Message {
        Message {
            id: self.ids.message(case.now),
            notification: case.notification.id,
            channel,
            address: case.customer.profile.address(channel).unwrap().clone(),
            lane: case.notification.category.lane(),
            state: MessageState::Queued,
            fence: 0,
            tries: 0,
            due_at: case.now,
            provider: String::new(),
            provider_message_id: String::new(),
            variant: "b".to_owned(),
            sms_segments: 0,
            fallback: then.to_vec(),
        }
    }
}

fn usage(case: &Case) -> Usage {
    Usage {
        at: case.now,
        category: case.notification.category,
        topic: case.notification.topic.clone(),
        template: case.notification.intent.template.clone(),
        subject: String::new(),
    }
}

impl Plans for TestPlans {
    fn plan(&self, case: &Case) -> Plan {
        let verdict = self.verdict(case);
        let mut evidence = serde_json::Map::new();
        evidence.insert(
            "given_name".to_owned(),
            case.customer.profile.given_name.reveal().into(),
        );
        let decision = Decision {
            verdict: verdict.clone(),
            steps: vec![Step {
                rule: Rule::Choice,
                outcome: StepOutcome::Pass,
                reason: None,
                summary: "chosen".to_owned(),
                evidence,
                channel: None,
            }],
            policy_version: "test".to_owned(),
            time: case.now,
        };
        let (due_at, messages, usage) = match &verdict {
            Verdict::Send { channels, then, .. } => {
                let messages = channels
                    .iter()
                    .map(|channel| self.message(case, *channel, then))
                    .collect();
                (None, messages, Some(usage(case)))
            }
            Verdict::Hold { until, .. } => (Some(*until), Vec::new(), None),
            Verdict::End { .. } => (None, Vec::new(), None),
        };
        Plan {
            status: Status::from(decision.reason()),
            decision,
            due_at,
            messages,
            usage,
        }
    }
}

/// Gives a customer a profile with this address.
pub(crate) fn profile(address: &str, given_name: &str) -> Change {
    let (address, given_name) = (email(address), given_name.to_owned());
    Arc::new(move |before| {
        let mut customer = before
            .cloned()
            .unwrap_or_else(|| Customer::unknown(CustomerId::new(""), start()));
        customer.profile.given_name = Personal::new(given_name.as_str());
        customer.profile.source_version = 9;
        customer.profile.contact_points = vec![ContactPoint {
            address: address.clone(),
            verify_time: None,
        }];
        Ok(customer)
    })
}

/// Turns a topic off.
pub(crate) fn opt_out(topic: &str) -> Change {
    let topic = topic.to_owned();
    Arc::new(move |before| {
        let mut customer = before
            .cloned()
            .unwrap_or_else(|| Customer::unknown(CustomerId::new(""), start()));
        customer.preferences.topics = vec![TopicPreference {
            topic: topic.clone(),
            enabled_channels: Vec::new(),
            opted_out: true,
            max_per_30_days: 0,
        }];
        Ok(customer)
    })
}

/// What tasks came to, in their order.
pub(crate) async fn settled<T: Send + 'static>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

//! The one order of preference as a table: each row changes one fact of a case that would be sent, and names the rule that must
//! object. Rows stand in the order of the rules; the pairs at the end show that the earlier rule wins.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::address::Address;
use crate::domain::budget::Budget;
use crate::domain::channel::Category;
use crate::domain::customer::{CategoryOrder, Consent, ContactPoint, Customer, TopicPreference};
use crate::domain::id::{Ids, NotificationId};
use crate::domain::intent::{Intent, Routing, RoutingMethod, Variables};
use crate::domain::notification::Notification;
use crate::domain::policy::{Backoff, OnBudget, Pause, Variant};
use crate::domain::quiet_hours::{DailyWindow, SendWindow};
use crate::domain::shop::{CallerId, CustomerId, Identity};

/// Noon in Berlin, a Monday.
const NOON: &str = "2026-11-23T11:00:00Z";
/// Ten in the evening there.
const NIGHT: &str = "2026-11-23T21:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[derive(Clone)]
struct World {
    case: Case,
    manifest: Manifest,
    policy: Policy,
    content: Vec<Channel>,
}

impl World {
    /// A review request for a customer with mail and phone, at noon: it would be sent by mail.
    fn new() -> Self {
        let now = at(NOON);
        Self {
            case: Case {
                notification: notification(now),
                customer: customer(now),
                suppressed: vec![],
                usage: vec![],
                outcomes: vec![],
                once: None,
                newer: None,
                failed: vec![],
                pauses: vec![],
                now,
            },
            manifest: manifest(),
            policy: policy(),
            content: Channel::ALL.to_vec(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn decide(&self) -> Decision {
        decide(&Facts {
            case: &self.case,
            manifest: &self.manifest,
            bundle: "b1",
            policy: &self.policy,
            content: &self.content,
        })
    }

    /// The rule that objected, and the reason.
    fn objection(&self) -> (Rule, Reason) {
        let decision = self.decide();
        let last = decision.steps.last().unwrap();
        (last.rule, decision.reason())
    }

    fn channels(&self) -> Vec<Channel> {
        match self.decide().verdict {
            Verdict::Send { channels, .. } => channels,
            other => panic!("{other:?}"),
        }
    }
}

fn customer(now: Timestamp) -> Customer {
    let mut customer = Customer::unknown(CustomerId::new("c-1"), now);
    customer.profile.time_zone = "Europe/Berlin".into();
    for (channel, text) in [
        (Channel::Email, "ada@example.com"),
        (Channel::Sms, "+4915112345678"),
    ] {
        let address = Address::try_new(channel, text).unwrap();
        customer.profile.contact_points.push(ContactPoint {
            address,
            verify_time: None,
        });
    }
    customer
}

fn notification(now: Timestamp) -> Notification {
    let variables = serde_json::json!({"product": {"id": "tent-1"}});
    Notification {
        id: Ids::new().notification(now),
        identity: Identity::local(),
        intent: Intent {
            customer: CustomerId::new("c-1"),
            guest: false,
            template: "review.request".into(),
            template_version: String::new(),
            variables: Variables(variables.as_object().unwrap().clone()),
            locale: String::new(),
            routing: None,
            send_time: None,
            expire_time: now.checked_add(SignedDuration::from_hours(120)).unwrap(),
            event_time: now,
            collapse_key: String::new(),
            cancellation_key: String::new(),
            reference: String::new(),
            labels: BTreeMap::new(),
            attachments: vec![],
            once_key: String::new(),
            contact: None,
        },
        category: Category::Relationship,
        topic: "review_request".into(),
        accepted_bundle: "b1".into(),
        bundle: String::new(),
        status: Reason::Accepted.into(),
        create_time: now,
        update_time: now,
        due_at: Some(now),
        decision: None,
    }
}

fn manifest() -> Manifest {
    Manifest {
        key: "review.request".into(),
        display_name: "Review request".into(),
        owner: "crm@shop.example".into(),
        category: Category::Relationship,
        topic: "review_request".into(),
        channels: vec![Channel::Email, Channel::Sms, Channel::Chat],
        ttl: None,
        send_window: None,
        quiet_hours: false,
        on_budget: OnBudget::Delay,
        requires_outcome: None,
        subject: Some("/product/id".into()),
        variants: vec![],
        salt: String::new(),
    }
}

fn policy() -> Policy {
    Policy {
        version: "1".into(),
        topics: BTreeMap::new(),
        budgets: vec![Budget {
            name: "day".into(),
            categories: vec![Category::Relationship, Category::Marketing],
            templates: vec![],
            window: SignedDuration::from_hours(24),
            max: 1,
            per_subject: false,
        }],
        quiet_hours: DailyWindow::try_new("21:00", "08:00").unwrap(),
        quiet_categories: vec![Category::Relationship, Category::Marketing],
        expiry: BTreeMap::new(),
        backoff: Backoff {
            delays: vec![Duration::from_secs(5)],
            jitter: 0.0,
        },
        unknown: BTreeMap::new(),
        channel_order: vec![Channel::Email],
        time_zone: "Europe/Berlin".into(),
        locale: "en".into(),
        spread: SignedDuration::ZERO,
    }
}

fn used(hours_ago: i64, category: Category) -> Usage {
    Usage {
        at: at(NOON)
            .checked_sub(SignedDuration::from_hours(hours_ago))
            .unwrap(),
        category,
        topic: String::new(),
        template: "some.other".into(),
        subject: String::new(),
    }
}

fn consent(category: Category, granted: bool) -> Vec<Consent> {
    let of = |channel: &Channel| Consent {
        category,
        channel: *channel,
        granted,
        time: at("2026-01-01T00:00:00Z"),
        source: "form".into(),
        text_version: "1".into(),
        actor: "customer".into(),
    };
    Channel::ALL.iter().map(of).collect()
}

fn topic(opted_out: bool, enabled: &[Channel]) -> TopicPreference {
    TopicPreference {
        topic: "review_request".into(),
        enabled_channels: enabled.to_vec(),
        opted_out,
        max_per_30_days: 0,
    }
}

fn pause(kind: &str, value: &str) -> Pause {
    Pause {
        kind: kind.into(),
        value: value.into(),
        reason: "incident".into(),
        until: None,
    }
}

/// A first notification with the same once key, of the same caller.
fn first(second: &Notification) -> (CallerId, NotificationId) {
    let id = Ids::new().notification(second.create_time);
    (second.identity.caller.clone(), id)
}

/// The once key is the shop's; whose notification came first is nobody else's business.
#[test]
fn the_first_with_a_once_key_is_named_to_its_own_caller_only() {
    let named = |caller: Option<&str>| {
        let world = World::new().with(|w| {
            let (own, id) = first(&w.case.notification);
            w.case.once = Some((caller.map_or(own, CallerId::new), id));
        });
        assert_eq!(world.objection(), (Rule::Request, Reason::DuplicateOnceKey));
        let steps = world.decide().steps;
        steps.last().unwrap().evidence.contains_key("first")
    };
    assert!(named(None));
    assert!(!named(Some("another")));
}

type Change = fn(&mut World);

/// One row a rule, in the order of the rules.
fn rows() -> Vec<(Change, Rule, Reason)> {
    vec![
        (
            |w| w.case.once = Some(first(&w.case.notification)),
            Rule::Request,
            Reason::DuplicateOnceKey,
        ),
        (
            |w| {
                w.case.notification.intent.collapse_key = "eta".into();
                w.case.newer = Some((w.case.notification.id, true));
            },
            Rule::Collapse,
            Reason::Collapsed,
        ),
        (
            |w| w.case.notification.intent.expire_time = w.case.now,
            Rule::Expiry,
            Reason::Expired,
        ),
        (
            |w| w.case.notification.intent.send_time = Some(at("2026-11-24T11:00:00Z")),
            Rule::SendTime,
            Reason::SendTime,
        ),
        (
            |w| {
                w.manifest.variants = vec![Variant {
                    name: "holdout".into(),
                    weight: 1,
                }];
            },
            Rule::Holdout,
            Reason::Holdout,
        ),
        (
            |w| w.case.customer.preferences.topics = vec![topic(true, &[])],
            Rule::Topic,
            Reason::TopicOptedOut,
        ),
        (
            |w| w.case.customer.profile.contact_points.clear(),
            Rule::Address,
            Reason::NoContactPoint,
        ),
        (
            |w| {
                w.case.suppressed = vec![
                    (Channel::Email, "hard_bounce".into()),
                    (Channel::Sms, "stop_keyword".into()),
                ];
            },
            Rule::Suppression,
            Reason::AddressSuppressed,
        ),
        (
            |w| w.case.customer.preferences.consents = consent(Category::Relationship, false),
            Rule::Consent,
            Reason::ConsentMissing,
        ),
        (
            |w| w.case.customer.preferences.topics = vec![topic(false, &[Channel::Chat])],
            Rule::Channel,
            Reason::ChannelDisabledByCustomer,
        ),
        (
            |w| w.content = vec![Channel::Chat],
            Rule::Content,
            Reason::NoContentForChannel,
        ),
        (
            |w| w.case.failed = vec![Channel::Email, Channel::Sms],
            Rule::Dispatch,
            Reason::ProviderRejected,
        ),
        (
            |w| w.case.pauses = vec![pause("template", "review.request")],
            Rule::Pause,
            Reason::DeliveryPaused,
        ),
        (
            |w| w.case.customer.preferences.pause_until = Some(Timestamp::MAX),
            Rule::CustomerPause,
            Reason::CustomerPaused,
        ),
        (
            |w| w.manifest.requires_outcome = Some("satisfaction.positive".into()),
            Rule::Outcome,
            Reason::OutcomeRequired,
        ),
        (
            |w| w.case.now = at(NIGHT),
            Rule::QuietHours,
            Reason::QuietHours,
        ),
        (
            |w| {
                w.manifest.send_window = Some(SendWindow {
                    days: vec![],
                    hours: DailyWindow::try_new("06:00", "07:00").unwrap(),
                });
            },
            Rule::Window,
            Reason::OutsideSendWindow,
        ),
        (
            |w| w.case.usage = vec![used(11, Category::Relationship)],
            Rule::Budget,
            Reason::BudgetExceeded,
        ),
    ]
}

#[test]
fn nothing_against_it_sends_on_the_first_channel() {
    let decision = World::new().decide();
    let Verdict::Send {
        channels,
        then,
        variant,
    } = decision.verdict
    else {
        panic!("{decision:?}")
    };
    assert_eq!(
        (channels, then, variant.as_str()),
        (vec![Channel::Email], vec![Channel::Sms], "")
    );
    assert!(
        decision
            .steps
            .iter()
            .all(|step| step.outcome != StepOutcome::Stop),
        "{:?}",
        decision.steps
    );
}

#[test]
fn each_rule_objects_for_its_own_reason() {
    for (change, rule, reason) in rows() {
        assert_eq!(World::new().with(change).objection(), (rule, reason));
    }
}

/// Both facts of every pair of neighbours are wrong: the earlier rule must be the one that speaks.
#[test]
fn the_earlier_rule_speaks() {
    let rows = rows();
    for pair in rows.windows(2) {
        let [(first, rule, reason), (second, next, _)] = pair else {
            continue;
        };
        // A hand-over that failed for good gives its reason to whatever ends the rest.
        if *next == Rule::Dispatch {
            continue;
        }
        let world = World::new().with(second).with(first);
        assert_eq!(world.objection(), (*rule, *reason), "with {next} behind it");
    }
}

/// What is never allowed is refused at once, not after a night of waiting.
#[test]
fn every_stop_speaks_before_every_hold() {
    let (stops, holds): (Vec<_>, Vec<_>) = rows()
        .into_iter()
        .partition(|(.., reason)| reason.state() != crate::domain::reason::State::Scheduled);
    for (stop, rule, reason) in &stops {
        for (hold, hold_rule, _) in holds.iter().filter(|(_, rule, _)| *rule != Rule::SendTime) {
            let world = World::new().with(*hold).with(*stop);
            assert_eq!(world.objection(), (*rule, *reason), "before {hold_rule}");
        }
    }
}

#[test]
fn critical_passes_choices_consents_pauses_hours_and_budgets() {
    let world = World::new().with(|w| {
        w.manifest.category = Category::Critical;
        w.case.customer.preferences.topics = vec![topic(true, &[Channel::Chat])];
        w.case.customer.preferences.consents = consent(Category::Critical, false);
        w.case.customer.preferences.pause_until = Some(Timestamp::MAX);
        w.case.customer.preferences.pause_all = true;
        w.case.now = at(NIGHT);
        w.case.usage = vec![used(1, Category::Critical), used(1, Category::Relationship)];
    });
    assert_eq!(world.channels(), [Channel::Email]);
    // But not to a dead address.
    let dead = world.with(|w| w.case.suppressed = vec![(Channel::Email, "hard_bounce".into())]);
    assert_eq!(dead.channels(), [Channel::Sms]);
}

#[test]
fn marketing_needs_a_consent_on_record_and_guests_get_none() {
    let marketing = World::new().with(|w| w.manifest.category = Category::Marketing);
    assert_eq!(
        marketing.objection(),
        (Rule::Consent, Reason::ConsentMissing)
    );
    let agreed = marketing
        .with(|w| w.case.customer.preferences.consents = consent(Category::Marketing, true));
    assert_eq!(agreed.channels(), [Channel::Email]);
    let guest = World::new().with(|w| w.case.customer.id = CustomerId::new("guest:1"));
    assert_eq!(guest.objection(), (Rule::Consent, Reason::ConsentMissing));
}

#[test]
fn the_most_particular_order_wins() {
    let single =
        World::new().with(|w| w.case.customer.preferences.channel_order = vec![Channel::Sms]);
    assert_eq!(single.channels(), [Channel::Sms]);
    let by_category = single.with(|w| {
        let order = CategoryOrder {
            category: Category::Relationship,
            channels: vec![Channel::Email],
        };
        w.case.customer.preferences.category_orders = vec![order];
    });
    assert_eq!(by_category.channels(), [Channel::Email]);
    let by_topic = by_category.with(|w| {
        w.case.customer.preferences.topics = vec![topic(false, &[Channel::Sms, Channel::Email])];
    });
    assert_eq!(by_topic.channels(), [Channel::Sms]);
    let all = by_topic.with(|w| {
        w.case.notification.intent.routing = Some(Routing {
            method: RoutingMethod::All,
            channels: vec![],
            fallback_delay: None,
        });
    });
    assert_eq!(all.channels(), [Channel::Sms, Channel::Email]);
}

#[test]
fn a_route_that_is_cut_tells_why_its_own_channels_fell() {
    let world = World::new().with(|w| {
        w.case.suppressed = vec![(Channel::Sms, "stop_keyword".into())];
        w.case.notification.intent.routing = Some(Routing {
            method: RoutingMethod::First,
            channels: vec![Channel::Sms],
            fallback_delay: None,
        });
    });
    assert_eq!(world.objection(), (Rule::Route, Reason::AddressSuppressed));
}

#[test]
fn no_room_waits_for_the_slot_or_is_skipped() {
    let full = World::new().with(|w| w.case.usage = vec![used(10, Category::Relationship)]);
    let Verdict::Hold { until, .. } = full.decide().verdict else {
        panic!("it should wait")
    };
    assert_eq!(until, at("2026-11-24T01:00:00Z"));
    let skipped = full.with(|w| w.manifest.on_budget = OnBudget::Skip);
    assert_eq!(skipped.objection(), (Rule::Budget, Reason::BudgetSkipped));
}

#[test]
fn transactional_uses_up_room_but_never_waits_for_it() {
    let delivery = World::new().with(|w| {
        w.manifest.category = Category::Transactional;
        w.case.usage = vec![
            used(1, Category::Marketing),
            used(2, Category::Relationship),
        ];
        w.case.now = at(NIGHT);
    });
    assert_eq!(delivery.channels(), [Channel::Email]);
    let newsletter = World::new().with(|w| w.case.usage = vec![used(1, Category::Transactional)]);
    assert_eq!(
        newsletter.objection(),
        (Rule::Budget, Reason::BudgetExceeded)
    );
}

#[test]
fn a_trace_tells_its_evidence_and_holds_no_address() {
    let world = World::new().with(|w| w.case.usage = vec![used(10, Category::Relationship)]);
    let decision = world.decide();
    let last = decision.steps.last().unwrap();
    assert_eq!(
        last.summary,
        "day allows 1 in a day, 1 counted: some.other (11-23) → 2026-11-24 02:00 Europe/Berlin"
    );
    assert_eq!(last.evidence["budget"], "day");
    let text = serde_json::to_string(&decision).unwrap();
    assert!(!text.contains("ada@") && !text.contains("+49"), "{text}");
}

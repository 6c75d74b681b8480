//! Preferences between the wire and the domain. Consents are a record: entries are appended, never rewritten or removed.

use jiff::{SignedDuration, Timestamp};

use super::customer::{check_etag, customer_id, etag, not_found, time_zone};
use super::{
    Findings, bad_field, category, channel, channels, has_control, mask, time, wire_category,
    wire_channel,
};
use crate::domain::customer::{
    CategoryOrder, Consent, Customer, CustomerId, OwnQuietHours, Preferences, TopicPreference,
};
use crate::domain::quiet_hours::{DailyWindow, time_of_day};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::proto;

const MAX_TOPICS: usize = 200;
const MAX_TOPIC_CHARS: usize = 100;
const MAX_PROOF_CHARS: usize = 256;
/// In one request.
const MAX_NEW_CONSENTS: usize = 100;
/// Of one customer, over all time.
const MAX_CONSENTS: usize = 2000;
/// Clocks differ; a consent from further ahead would outrank every later objection.
const MAX_CONSENT_LEAD: SignedDuration = SignedDuration::from_mins(5);

const FIELDS: &[&str] = &[
    "channel_order",
    "topics",
    "consents",
    "quiet_hours",
    "pause_until_time",
    "pause_all",
    "category_orders",
];

/// A change of choices: fields that are `None` stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct PreferencesChange {
    /// Whose.
    pub id: CustomerId,
    etag: String,
    channel_order: Option<Vec<crate::domain::channel::Channel>>,
    topics: Option<Vec<TopicPreference>>,
    category_orders: Option<Vec<CategoryOrder>>,
    consents: Vec<Consent>,
    quiet_hours: Option<Option<OwnQuietHours>>,
    pause_until: Option<Option<Timestamp>>,
    pause_all: Option<bool>,
}

/// Reads a change of choices. Without a mask only the fields that are set are changed. `known_topic` says which topics
/// the policy has.
///
/// # Errors
/// With the path of every field that breaks its rule, below `preferences`.
pub fn preferences_change(
    request: proto::UpdatePreferencesRequest,
    now: Timestamp,
    known_topic: &dyn Fn(&str) -> bool,
) -> Result<PreferencesChange, Rejection> {
    let masked = mask(request.update_mask.as_ref(), FIELDS)?;
    let wire = request
        .preferences
        .ok_or_else(|| bad_field("preferences", "say what to change"))?;
    let id =
        customer_id(&wire.customer_id).map_err(|why| bad_field("preferences.customer_id", why))?;
    let wanted = |path: &str, given: bool| match &masked {
        None => given,
        Some(paths) => paths.contains(&path),
    };
    let mut findings = Findings::default();
    let channel_order = wanted("channel_order", !wire.channel_order.is_empty()).then(|| {
        channels(
            &wire.channel_order,
            "preferences.channel_order",
            &mut findings,
        )
    });
    let topics = wanted("topics", !wire.topics.is_empty())
        .then(|| topics(wire.topics, known_topic, &mut findings));
    let category_orders = wanted("category_orders", !wire.category_orders.is_empty())
        .then(|| category_orders(&wire.category_orders, &mut findings));
    let consents = if wanted("consents", true) {
        consents(wire.consents, now, &mut findings)
    } else {
        Vec::new()
    };
    let quiet_hours = wanted("quiet_hours", wire.quiet_hours.is_some()).then(|| {
        wire.quiet_hours
            .and_then(|wire| quiet_hours(&wire, &mut findings))
    });
    let pause_until = wanted("pause_until_time", wire.pause_until_time.is_some()).then(|| {
        time(
            wire.pause_until_time.as_ref(),
            RejectionReason::FieldInvalid,
            "preferences.pause_until_time",
            &mut findings,
        )
    });
    let pause_all = wanted("pause_all", wire.pause_all).then_some(wire.pause_all);
    findings.finish(PreferencesChange {
        id,
        etag: wire.etag,
        channel_order,
        topics,
        category_orders,
        consents,
        quiet_hours,
        pause_until,
        pause_all,
    })
}

fn topics(
    wire: Vec<proto::TopicPreference>,
    known_topic: &dyn Fn(&str) -> bool,
    findings: &mut Findings,
) -> Vec<TopicPreference> {
    let mut topics: Vec<TopicPreference> = Vec::new();
    if wire.len() > MAX_TOPICS {
        findings.field("preferences.topics", format!("at most {MAX_TOPICS} topics"));
        return topics;
    }
    for (index, wire) in wire.into_iter().enumerate() {
        let field = |name: &str| format!("preferences.topics[{index}].{name}");
        let too_long = wire.topic.chars().nth(MAX_TOPIC_CHARS).is_some();
        if wire.topic.is_empty()
            || too_long
            || has_control(&wire.topic)
            || !known_topic(&wire.topic)
        {
            findings.field(field("topic"), "the policy has no such topic");
            continue;
        }
        if topics.iter().any(|topic| topic.topic == wire.topic) {
            findings.field(field("topic"), "the topic is listed twice");
            continue;
        }
        let max_per_30_days = u32::try_from(wire.max_per_30_days).unwrap_or_else(|_| {
            findings.field(field("max_per_30_days"), "must not be negative");
            0
        });
        topics.push(TopicPreference {
            enabled_channels: channels(
                &wire.enabled_channels,
                &field("enabled_channels"),
                findings,
            ),
            topic: wire.topic,
            opted_out: wire.opted_out,
            max_per_30_days,
        });
    }
    topics
}

fn category_orders(wire: &[proto::CategoryOrder], findings: &mut Findings) -> Vec<CategoryOrder> {
    let mut orders: Vec<CategoryOrder> = Vec::new();
    for (index, wire) in wire.iter().enumerate().take(16) {
        let field = |name: &str| format!("preferences.category_orders[{index}].{name}");
        match category(wire.category) {
            Ok(category) if orders.iter().any(|order| order.category == category) => {
                findings.field(field("category"), format!("{category} is listed twice"));
            }
            Ok(category) => orders.push(CategoryOrder {
                category,
                channels: channels(&wire.channels, &field("channels"), findings),
            }),
            Err(why) => findings.field(field("category"), why),
        }
    }
    orders
}

fn consents(wire: Vec<proto::Consent>, now: Timestamp, findings: &mut Findings) -> Vec<Consent> {
    if wire.len() > MAX_NEW_CONSENTS {
        findings.field(
            "preferences.consents",
            format!("at most {MAX_NEW_CONSENTS} in one request; send only new ones"),
        );
        return Vec::new();
    }
    wire.into_iter()
        .enumerate()
        .filter_map(|(index, wire)| {
            consent(
                wire,
                now,
                &format!("preferences.consents[{index}]"),
                findings,
            )
        })
        .collect()
}

fn consent(
    wire: proto::Consent,
    now: Timestamp,
    path: &str,
    findings: &mut Findings,
) -> Option<Consent> {
    let time = match &wire.time {
        None => Ok(now),
        Some(wire) => proto::time(wire),
    };
    let latest = now.checked_add(MAX_CONSENT_LEAD).unwrap_or(Timestamp::MAX);
    let time = match time {
        Ok(time) if time > latest => Err("must not lie in the future"),
        time => time,
    };
    for (name, text) in [
        ("source", &wire.source),
        ("text_version", &wire.text_version),
        ("actor", &wire.actor),
    ] {
        if has_control(text) || text.chars().nth(MAX_PROOF_CHARS).is_some() {
            let rule = "has at most 256 characters and no control characters";
            findings.field(format!("{path}.{name}"), rule);
        }
    }
    let mut note = |name: &str, why: String| findings.field(format!("{path}.{name}"), why);
    let category = category(wire.category)
        .map_err(|why| note("category", why))
        .ok();
    let channel = channel(wire.channel)
        .map_err(|why| note("channel", why))
        .ok();
    let time = time.map_err(|why| note("time", why.to_owned())).ok();
    Some(Consent {
        category: category?,
        channel: channel?,
        granted: wire.granted,
        time: time?,
        source: wire.source,
        text_version: wire.text_version,
        actor: wire.actor,
    })
}

fn quiet_hours(wire: &proto::QuietHours, findings: &mut Findings) -> Option<OwnQuietHours> {
    let mut readable = true;
    for (name, text) in [("start", &wire.start), ("end", &wire.end)] {
        if let Err(why) = time_of_day(text) {
            findings.field(format!("preferences.quiet_hours.{name}"), why);
            readable = false;
        }
    }
    let window = match DailyWindow::try_new(&wire.start, &wire.end) {
        Ok(window) => Some(window),
        Err(why) if readable => {
            findings.field("preferences.quiet_hours", why);
            None
        }
        Err(_) => None,
    };
    let time_zone = time_zone(&wire.time_zone)
        .map_err(|why| findings.field("preferences.quiet_hours.time_zone", why))
        .ok();
    Some(OwnQuietHours {
        window: window?,
        time_zone: time_zone?,
    })
}

impl PreferencesChange {
    /// The customer as it is to be stored.
    ///
    /// # Errors
    /// `CUSTOMER_NOT_FOUND`, `ETAG_MISMATCH`, or `FIELD_INVALID` when the record of consents is full.
    pub fn apply(&self, current: Option<&Customer>) -> Result<Customer, Rejection> {
        let Some(current) = current else {
            return Err(not_found(&self.id));
        };
        check_etag(&self.etag, Some(current))?;
        let mut customer = current.clone();
        let preferences = &mut customer.preferences;
        if let Some(order) = &self.channel_order {
            preferences.channel_order.clone_from(order);
        }
        if let Some(topics) = &self.topics {
            preferences.topics.clone_from(topics);
        }
        if let Some(orders) = &self.category_orders {
            preferences.category_orders.clone_from(orders);
        }
        if let Some(quiet_hours) = &self.quiet_hours {
            preferences.quiet_hours.clone_from(quiet_hours);
        }
        if let Some(until) = self.pause_until {
            preferences.pause_until = until;
        }
        if let Some(all) = self.pause_all {
            preferences.pause_all = all;
        }
        self.append_consents(preferences)?;
        Ok(customer)
    }

    /// What was recorded before is not recorded twice, so that a request may be repeated.
    fn append_consents(&self, preferences: &mut Preferences) -> Result<(), Rejection> {
        for consent in &self.consents {
            if !preferences.consents.contains(consent) {
                preferences.consents.push(consent.clone());
            }
        }
        if preferences.consents.len() > MAX_CONSENTS {
            return Err(bad_field(
                "preferences.consents",
                format!("the customer's record would exceed {MAX_CONSENTS} entries"),
            ));
        }
        Ok(())
    }
}

/// Preferences for the wire.
pub fn wire_preferences(customer: &Customer) -> proto::Preferences {
    let preferences = &customer.preferences;
    let wire_channels = |channels: &[crate::domain::channel::Channel]| {
        channels
            .iter()
            .map(|channel| wire_channel(*channel).into())
            .collect()
    };
    proto::Preferences {
        customer_id: customer.id.to_string(),
        channel_order: wire_channels(&preferences.channel_order),
        topics: preferences
            .topics
            .iter()
            .map(|topic| proto::TopicPreference {
                topic: topic.topic.clone(),
                enabled_channels: wire_channels(&topic.enabled_channels),
                opted_out: topic.opted_out,
                max_per_30_days: i32::try_from(topic.max_per_30_days).unwrap_or(i32::MAX),
            })
            .collect(),
        consents: preferences.consents.iter().map(wire_consent).collect(),
        quiet_hours: preferences.quiet_hours.as_ref().map(wire_quiet_hours),
        pause_until_time: preferences.pause_until.map(proto::wire_time),
        etag: etag(customer),
        pause_all: preferences.pause_all,
        category_orders: preferences
            .category_orders
            .iter()
            .map(|order| proto::CategoryOrder {
                category: wire_category(order.category).into(),
                channels: wire_channels(&order.channels),
            })
            .collect(),
    }
}

fn wire_consent(consent: &Consent) -> proto::Consent {
    proto::Consent {
        category: wire_category(consent.category).into(),
        channel: wire_channel(consent.channel).into(),
        granted: consent.granted,
        time: Some(proto::wire_time(consent.time)),
        source: consent.source.clone(),
        text_version: consent.text_version.clone(),
        actor: consent.actor.clone(),
    }
}

fn wire_quiet_hours(own: &OwnQuietHours) -> proto::QuietHours {
    let text = |time: jiff::civil::Time| format!("{:02}:{:02}", time.hour(), time.minute());
    proto::QuietHours {
        start: text(own.window.from),
        end: text(own.window.until),
        time_zone: own.time_zone.clone(),
    }
}

#[cfg(test)]
mod tests;

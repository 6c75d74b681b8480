//! What deciding needs to know, read for many notifications at once: customers, usage, outcomes, suppressions, pauses, marks.

use std::collections::{HashMap, HashSet};

use hmac::{KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;

use super::open::is_newer;
use super::rows::{from_json, notification_id, time, word};
use super::session::{Found, Session, Statement, bind, blob, row, select};
use super::statement::by_keys;
use crate::domain::budget::Usage;
use crate::domain::channel::Channel;
use crate::domain::customer::Customer;
use crate::domain::hex::hex;
use crate::domain::id::NotificationId;
use crate::domain::notification::Notification;
use crate::domain::policy::Pause;
use crate::domain::shop::{CallerId, CustomerId, ShopId};
use crate::store::{Case, StoreResult, USAGE_HORIZON};

/// How many usage rows of one customer are read at most, the newest: a customer who was sent more than this in 400 days is
/// over every sensible budget anyway, and a monitor's test customer must not slow the others.
const USAGE_MAX: i64 = 1000;

pub(super) const CUSTOMERS: Statement<'_> = by_keys!(
    "c.shop, c.id, c.profile, c.preferences, c.revision, c.update_time",
    "customer" "c",
    ["c.shop", "c.id"]
);
pub(super) const USAGE: Statement<'_> = by_keys!(
    "u.shop, u.customer, u.notification, u.at, u.category, u.topic, u.template, u.subject",
    "usage" "u",
    ["u.shop", "u.customer"],
    " AND u.notification >= coalesce((SELECT x.notification FROM usage x WHERE x.shop = j.value->>0 \
     AND x.customer = j.value->>1 ORDER BY x.notification DESC LIMIT 1 OFFSET ?2), ?4) AND u.at >= ?3",
    ""
);
pub(super) const OUTCOMES: Statement<'_> = by_keys!(
    "o.shop, o.customer, o.name",
    "outcome" "o",
    ["o.shop", "o.customer"]
);
pub(super) const PAUSES: Statement<'_> = by_keys!(
    "p.shop, p.kind, p.value, p.reason, p.until",
    "pause" "p",
    ["p.shop"],
    " AND (p.until IS NULL OR p.until > ?2)",
    ""
);
pub(super) const SUPPRESSED: Statement<'_> = by_keys!(
    "s.shop, s.channel, s.digest, s.reason",
    "suppression" "s",
    ["s.shop", "s.channel", "s.digest"]
);
pub(super) const MARKS: Statement<'_> = by_keys!(
    "c.shop, c.customer, c.caller, c.collapse_key, c.event_time, c.notification, \
     EXISTS (SELECT 1 FROM message m WHERE m.notification = c.notification \
     AND (m.state IN ('sending', 'sent', 'delivered', 'unknown') OR m.maybe_sent <> 0))",
    "collapse" "c",
    ["c.shop", "c.customer", "c.caller", "c.collapse_key"]
);
pub(super) const ONCE: Statement<'_> = by_keys!(
    "o.shop, o.digest, o.caller, o.notification",
    "once_key" "o",
    ["o.shop", "o.digest"]
);

/// Shop and customer.
pub(super) type CustomerKey = (ShopId, CustomerId);
/// Shop, channel, digest.
pub(super) type AddressKey = (ShopId, Channel, String);
/// Shop, customer, caller, collapse key: nobody calls off what another has sent.
pub(super) type CollapseKey = (ShopId, CustomerId, CallerId, String);
/// Shop, digest of the once key.
pub(super) type OnceKey = (ShopId, String);

/// The newest notification with a collapse key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) event_time: Timestamp,
    pub(super) notification: NotificationId,
    pub(super) handed_over: bool,
}

/// What is known about the customers of a batch.
#[derive(Default)]
pub(super) struct Facts {
    secret: [u8; 32],
    customers: HashMap<CustomerKey, Customer>,
    usage: HashMap<CustomerKey, Vec<(NotificationId, Usage)>>,
    outcomes: HashMap<CustomerKey, Vec<String>>,
    suppressed: HashMap<AddressKey, String>,
    pauses: HashMap<ShopId, Vec<Pause>>,
    pub(super) marks: HashMap<CollapseKey, Mark>,
    pub(super) once: HashMap<OnceKey, (CallerId, NotificationId)>,
}

pub(super) fn customer_key(notification: &Notification) -> CustomerKey {
    (
        notification.identity.shop.clone(),
        notification.intent.customer.clone(),
    )
}

pub(super) fn collapse_key(notification: &Notification) -> Option<CollapseKey> {
    let intent = &notification.intent;
    (!intent.collapse_key.is_empty()).then(|| {
        (
            notification.identity.shop.clone(),
            intent.customer.clone(),
            notification.identity.caller.clone(),
            intent.collapse_key.clone(),
        )
    })
}

pub(super) fn once_key(notification: &Notification, secret: &[u8; 32]) -> Option<OnceKey> {
    let key = &notification.intent.once_key;
    (!key.is_empty()).then(|| {
        (
            notification.identity.shop.clone(),
            digest(secret, "once", key),
        )
    })
}

/// A keyed hash of a text, hexadecimal; `purpose` keeps hashes of one kind from those of another.
pub(super) fn digest(secret: &[u8; 32], purpose: &str, text: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret)
        .unwrap_or_else(|_| unreachable!("any key length fits"));
    mac.update(purpose.as_bytes());
    mac.update(b":");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

impl Facts {
    pub(super) fn load(
        session: &mut dyn Session,
        secret: &[u8; 32],
        notifications: &[&Notification],
        now: Timestamp,
    ) -> StoreResult<Self> {
        let mut facts = Self {
            secret: *secret,
            ..Self::default()
        };
        let keys: HashSet<_> = notifications.iter().map(|one| customer_key(one)).collect();
        let keys = serde_json::to_value(keys).unwrap_or_default().to_string();
        for customer in load_customers(session, keys.clone())? {
            facts.customers.insert(customer.0, customer.1);
        }
        facts.load_usage(session, &keys, now)?;
        facts.load_outcomes(session, keys)?;
        facts.load_pauses(session, notifications, now)?;
        facts.load_suppressed(session, notifications, now)?;
        facts.load_marks(session, notifications)?;
        facts.load_once(session, notifications)?;
        Ok(facts)
    }

    /// The case of a notification. `failed`: the channels on which it has failed for good.
    pub(super) fn case(
        &self,
        notification: Notification,
        failed: Vec<Channel>,
        now: Timestamp,
    ) -> Case {
        let key = customer_key(&notification);
        let customer = self.customer(&notification, now);
        let suppressed = self
            .addresses(&notification, &customer)
            .into_iter()
            .filter_map(|key| Some((key.1, self.suppressed.get(&key)?.clone())))
            .collect();
        let usage = self
            .usage
            .get(&key)
            .into_iter()
            .flatten()
            .filter(|(id, _)| *id != notification.id)
            .map(|(_, usage)| usage.clone())
            .collect();
        let own = (notification.intent.event_time, notification.id);
        let newer = collapse_key(&notification)
            .and_then(|key| self.marks.get(&key))
            .filter(|mark| is_newer((mark.event_time, mark.notification), own))
            .map(|mark| (mark.notification, mark.handed_over));
        let once = once_key(&notification, &self.secret)
            .and_then(|key| self.once.get(&key).cloned())
            .filter(|(_, first)| *first != notification.id);
        Case {
            customer,
            suppressed,
            usage,
            outcomes: self.outcomes.get(&key).cloned().unwrap_or_default(),
            once,
            newer,
            failed,
            pauses: self.pauses.get(&key.0).cloned().unwrap_or_default(),
            now,
            notification,
        }
    }

    /// Counts what a plan reserved.
    pub(super) fn reserve(&mut self, key: CustomerKey, id: NotificationId, usage: Usage) {
        self.release(&key, id);
        self.usage.entry(key).or_default().push((id, usage));
    }

    /// No longer counts a notification.
    pub(super) fn release(&mut self, key: &CustomerKey, id: NotificationId) {
        if let Some(usage) = self.usage.get_mut(key) {
            usage.retain(|(of, _)| *of != id);
        }
    }

    fn customer(&self, notification: &Notification, now: Timestamp) -> Customer {
        let stored = self
            .customers
            .get(&customer_key(notification))
            .cloned()
            .unwrap_or_else(|| Customer::unknown(notification.intent.customer.clone(), now));
        with_contact(stored, notification)
    }

    fn addresses(&self, notification: &Notification, customer: &Customer) -> Vec<AddressKey> {
        Channel::ALL
            .iter()
            .filter_map(|channel| customer.profile.address(*channel))
            .map(|address| {
                (
                    notification.identity.shop.clone(),
                    address.channel(),
                    address.digest(&self.secret),
                )
            })
            .collect()
    }

    fn load_usage(
        &mut self,
        session: &mut dyn Session,
        keys: &str,
        now: Timestamp,
    ) -> StoreResult<()> {
        let since = now
            .checked_sub(USAGE_HORIZON)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let parameters = row![keys, USAGE_MAX - 1, since, &[0; 16]];
        select(session, USAGE, &parameters, |row| {
            let usage = Usage {
                at: time(row.get(3)?)?,
                category: word(&row.get::<String>(4)?)?,
                topic: row.get(5)?,
                template: row.get(6)?,
                subject: row.get(7)?,
            };
            let id = notification_id(blob(row, 2)?)?;
            self.usage
                .entry(read_key(row)?)
                .or_default()
                .push((id, usage));
            Ok(())
        })?;
        Ok(())
    }

    fn load_outcomes(&mut self, session: &mut dyn Session, keys: String) -> StoreResult<()> {
        select(session, OUTCOMES, &bind![keys], |row| {
            self.outcomes
                .entry(read_key(row)?)
                .or_default()
                .push(row.get(2)?);
            Ok(())
        })?;
        Ok(())
    }

    fn load_pauses(
        &mut self,
        session: &mut dyn Session,
        notifications: &[&Notification],
        now: Timestamp,
    ) -> StoreResult<()> {
        let shops: HashSet<_> = notifications
            .iter()
            .map(|one| one.identity.shop.as_str())
            .collect();
        let shops = Value::from_iter(shops.into_iter().map(|shop| [shop])).to_string();
        select(session, PAUSES, &bind![shops, now], |row| {
            let until = row.get::<Option<i64>>(4)?.map(time).transpose()?;
            self.pauses
                .entry(ShopId::new(row.get::<String>(0)?))
                .or_default()
                .push(Pause {
                    kind: row.get(1)?,
                    value: row.get(2)?,
                    reason: row.get(3)?,
                    until,
                });
            Ok(())
        })?;
        Ok(())
    }

    fn load_suppressed(
        &mut self,
        session: &mut dyn Session,
        notifications: &[&Notification],
        now: Timestamp,
    ) -> StoreResult<()> {
        let keys: HashSet<_> = notifications
            .iter()
            .flat_map(|one| self.addresses(one, &self.customer(one, now)))
            .collect();
        self.suppressed = suppressed(session, &keys)?;
        Ok(())
    }

    fn load_marks(
        &mut self,
        session: &mut dyn Session,
        notifications: &[&Notification],
    ) -> StoreResult<()> {
        let keys: HashSet<_> = notifications
            .iter()
            .filter_map(|one| collapse_key(one))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let list = serde_json::to_value(keys).unwrap_or_default().to_string();
        select(session, MARKS, &bind![list], |row| {
            let (shop, customer) = read_key(row)?;
            let caller = CallerId::new(row.get::<String>(2)?);
            let mark = Mark {
                event_time: time(row.get(4)?)?,
                notification: notification_id(blob(row, 5)?)?,
                handed_over: row.get(6)?,
            };
            self.marks
                .insert((shop, customer, caller, row.get(3)?), mark);
            Ok(())
        })?;
        Ok(())
    }

    fn load_once(
        &mut self,
        session: &mut dyn Session,
        notifications: &[&Notification],
    ) -> StoreResult<()> {
        let keys: HashSet<_> = notifications
            .iter()
            .filter_map(|one| once_key(one, &self.secret))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let list = serde_json::to_value(keys).unwrap_or_default().to_string();
        select(session, ONCE, &bind![list], |row| {
            let shop = ShopId::new(row.get::<String>(0)?);
            let caller = CallerId::new(row.get::<String>(2)?);
            let first = notification_id(blob(row, 3)?)?;
            self.once.insert((shop, row.get(1)?), (caller, first));
            Ok(())
        })?;
        Ok(())
    }
}

/// The customer with the intent's snapshot laid over.
pub(super) fn with_contact(customer: Customer, notification: &Notification) -> Customer {
    match &notification.intent.contact {
        Some(contact) => customer.with_snapshot(contact),
        None => customer,
    }
}

/// Which of these addresses are on the suppression list, and why.
pub(super) fn suppressed(
    session: &mut dyn Session,
    keys: &HashSet<AddressKey>,
) -> StoreResult<HashMap<AddressKey, String>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let list = serde_json::to_value(keys).unwrap_or_default().to_string();
    let found = select(session, SUPPRESSED, &bind![list], |row| {
        let key = (
            ShopId::new(row.get::<String>(0)?),
            word(&row.get::<String>(1)?)?,
            row.get(2)?,
        );
        Ok((key, row.get(3)?))
    })?;
    Ok(found.into_iter().collect())
}

/// The customers that exist among `keys`, an array of `[shop, id]`.
pub(super) fn load_customers(
    session: &mut dyn Session,
    keys: String,
) -> StoreResult<Vec<(CustomerKey, Customer)>> {
    select(session, CUSTOMERS, &bind![keys], |row| {
        let key = read_key(row)?;
        let customer = Customer {
            id: key.1.clone(),
            profile: from_json(&row.get::<String>(2)?)?,
            preferences: from_json(&row.get::<String>(3)?)?,
            revision: row.get(4)?,
            update_time: time(row.get(5)?)?,
        };
        Ok((key, customer))
    })
}

fn read_key(row: &Found<'_>) -> StoreResult<CustomerKey> {
    Ok((
        ShopId::new(row.get::<String>(0)?),
        CustomerId::new(row.get::<String>(1)?),
    ))
}

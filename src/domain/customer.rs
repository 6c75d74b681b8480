//! A customer: who it is, how to reach them, and what they have chosen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::{Address, Personal};
use super::channel::{Category, Channel};
use super::intent::ContactSnapshot;
use super::quiet_hours::DailyWindow;
pub use super::shop::{CustomerId, GUEST_PREFIX};

/// An address that the shop knows, and since when it is proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    /// Where to.
    pub address: Address,
    /// Set by double opt-in.
    pub verify_time: Option<Timestamp>,
}

/// What the shop's services tell of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// For salutations; may be empty.
    pub given_name: Personal,
    /// For the address line of a mail; may be empty.
    pub family_name: Personal,
    /// BCP 47, canonical; empty: the shop's.
    pub locale: String,
    /// IANA; empty: the shop's.
    pub time_zone: String,
    /// At most one a channel counts: the first.
    pub contact_points: Vec<ContactPoint>,
    /// Grows with each change at the source; a lower one never overwrites a higher one.
    pub source_version: i64,
}

impl Profile {
    /// The address on `channel`, if there is one.
    pub fn address(&self, channel: Channel) -> Option<&Address> {
        self.contact_points
            .iter()
            .map(|point| &point.address)
            .find(|address| address.channel() == channel)
    }
}

/// A consent given or withdrawn, with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// For which class of message.
    pub category: Category,
    /// On which channel.
    pub channel: Channel,
    /// Given, or withdrawn.
    pub granted: bool,
    /// When.
    pub time: Timestamp,
    /// How: form id, double opt-in message, unsubscribe link.
    pub source: String,
    /// The version of the text agreed to.
    pub text_version: String,
    /// Who recorded it.
    pub actor: String,
}

/// What a customer chose for one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPreference {
    /// The topic's key, as in the policy.
    pub topic: String,
    /// In order of preference; empty: no own choice.
    pub enabled_channels: Vec<Channel>,
    /// Nothing of this topic at all.
    pub opted_out: bool,
    /// The customer's own ceiling, notifications in 30 days; 0: none.
    pub max_per_30_days: u32,
}

/// What a customer chose for one category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryOrder {
    /// Which class.
    pub category: Category,
    /// In order of preference.
    pub channels: Vec<Channel>,
}

/// Quiet hours that the customer set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnQuietHours {
    /// From when until when.
    pub window: DailyWindow,
    /// IANA; empty: the customer's.
    pub time_zone: String,
}

/// The choices of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// Order for all that no topic or category order covers.
    pub channel_order: Vec<Channel>,
    /// By topic.
    pub topics: Vec<TopicPreference>,
    /// By category.
    pub category_orders: Vec<CategoryOrder>,
    /// The newest entry for a (category, channel) counts.
    pub consents: Vec<Consent>,
    /// Instead of the policy's.
    pub quiet_hours: Option<OwnQuietHours>,
    /// Holds all but critical and, unless `pause_all`, transactional.
    pub pause_until: Option<Timestamp>,
    /// The pause holds transactional too.
    pub pause_all: bool,
}

impl Preferences {
    /// The choice for `topic`, if there is one.
    pub fn topic(&self, topic: &str) -> Option<&TopicPreference> {
        self.topics
            .iter()
            .find(|preference| preference.topic == topic)
    }

    /// The newest consent entry for a category on a channel.
    pub fn consent(&self, category: Category, channel: Channel) -> Option<&Consent> {
        self.consents
            .iter()
            .filter(|consent| consent.category == category && consent.channel == channel)
            .max_by_key(|consent| consent.time)
    }
}

/// A customer as the store holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Unique within the shop.
    pub id: CustomerId,
    /// What services tell.
    pub profile: Profile,
    /// What the customer chose.
    pub preferences: Preferences,
    /// Grows with every change; the etag.
    pub revision: i64,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Customer {
    /// A customer of whom nothing is known but the id.
    pub fn unknown(id: CustomerId, now: Timestamp) -> Self {
        Self {
            id,
            profile: Profile::default(),
            preferences: Preferences::default(),
            revision: 0,
            update_time: now,
        }
    }

    /// The customer with a caller's snapshot laid over, where that is newer or nothing is known. Fields that the snapshot leaves
    /// empty stay as they are.
    #[must_use]
    pub fn with_snapshot(mut self, snapshot: &ContactSnapshot) -> Self {
        let (given, stored) = (snapshot.source_version, self.profile.source_version);
        let unreachable = self.profile.contact_points.is_empty();
        if given < stored || (given == stored && !unreachable) {
            return self;
        }
        let profile = &mut self.profile;
        if !snapshot.given_name.is_empty() {
            profile.given_name = snapshot.given_name.clone();
        }
        if !snapshot.locale.is_empty() {
            profile.locale.clone_from(&snapshot.locale);
        }
        if !snapshot.time_zone.is_empty() {
            profile.time_zone.clone_from(&snapshot.time_zone);
        }
        for address in &snapshot.addresses {
            profile
                .contact_points
                .retain(|point| point.address.channel() != address.channel());
            profile.contact_points.push(ContactPoint {
                address: address.clone(),
                verify_time: None,
            });
        }
        self
    }

    /// Whether the id is a guest's pseudonym.
    pub fn is_guest(&self) -> bool {
        self.id.as_str().starts_with(GUEST_PREFIX)
    }
}

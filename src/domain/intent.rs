//! What a caller asks for, after it has been checked.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::address::{Address, Personal};
use super::channel::{Channel, words};
use super::shop::CustomerId;

words! {
    /// How many of the channels that are left get a message.
    RoutingMethod {
        /// The first that works.
        First = "first",
        /// Every one.
        All = "all",
    }
}

/// The caller's wish about channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// First or all.
    pub method: RoutingMethod,
    /// Only these, in this order; empty: no restriction.
    pub channels: Vec<Channel>,
    /// After this long without a receipt the next channel is tried, where the provider reports delivery.
    pub fallback_delay: Option<SignedDuration>,
}

/// The customer as the caller knows them now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactSnapshot {
    /// For salutations.
    pub given_name: Personal,
    /// BCP 47 or empty.
    pub locale: String,
    /// IANA or empty.
    pub time_zone: String,
    /// At most one a channel.
    pub addresses: Vec<Address>,
    /// Used when the stored customer's is lower.
    pub source_version: i64,
}

/// A document that goes with a mail.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// A bare file name.
    pub filename: String,
    /// As `type/subtype`.
    pub media_type: String,
    /// The bytes.
    #[serde(with = "base64_bytes")]
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Attachment({}, {} bytes)",
            self.media_type,
            self.content.len()
        )
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(D::Error::custom)
    }
}

/// Variables of a template: a JSON object, about a person, so its Debug shows nothing.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub serde_json::Map<String, serde_json::Value>);

impl Variables {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Variables({} fields)", self.0.len())
    }
}

/// A checked intent: every limit of the API holds for it, and its variables fit the template's schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// For whom.
    pub customer: CustomerId,
    /// The recipient was given inline: a guest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// The template key, `order.confirmation`.
    pub template: String,
    /// The bundle that the caller pinned; empty: the live one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub template_version: String,
    /// Filled into the template.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// BCP 47; empty: the customer's, then the shop's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub locale: String,
    /// The caller's wish about channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_time: Option<Timestamp>,
    /// Never after. Filled from template and policy when the caller gave none.
    pub expire_time: Timestamp,
    /// Orders intents of one collapse key; time of acceptance when the caller gave none.
    pub event_time: Timestamp,
    /// Only the newest of a customer's with this key is sent; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub collapse_key: String,
    /// Calls off all that carry it; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cancellation_key: String,
    /// The caller's own reference; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// The caller's own words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Documents that go with a mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Remembered for ever; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub once_key: String,
    /// The customer as the caller knows them now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactSnapshot>,
}

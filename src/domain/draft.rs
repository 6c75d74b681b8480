//! What a caller sent, before it is checked: plain fields as they came through the door.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::channel::Channel;
use super::intent::{RoutingMethod, Variables};

/// For whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    /// Nobody was named.
    Missing,
    /// A customer id.
    Customer(String),
    /// Addresses of a guest.
    Inline(ContactDraft),
}

/// Contact data as it came: inline recipient or contact snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContactDraft {
    /// For salutations.
    pub given_name: String,
    /// BCP 47.
    pub locale: String,
    /// IANA.
    pub time_zone: String,
    /// Mail.
    pub email_address: String,
    /// E.164.
    pub phone_number: String,
    /// Snowflake.
    pub discord_user_id: String,
    /// Version at the source.
    pub source_version: i64,
}

/// The caller's wish about channels.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingDraft {
    /// First or all.
    pub method: RoutingMethod,
    /// Only these.
    pub channels: Vec<Channel>,
    /// Wait for a receipt.
    pub fallback_delay: Option<SignedDuration>,
}

/// A document as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachmentDraft {
    /// File name.
    pub filename: String,
    /// Media type.
    pub media_type: String,
    /// The bytes; `None` when a `uri` was given or nothing.
    pub content: Option<Vec<u8>>,
    /// Where to fetch it; not served by this release.
    pub uri: String,
}

/// One request to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Chosen by the caller.
    pub request_id: String,
    /// For whom.
    pub recipient: Recipient,
    /// Template key.
    pub template: String,
    /// Bundle id or empty.
    pub template_version: String,
    /// A JSON object.
    pub variables: Variables,
    /// BCP 47.
    pub locale: String,
    /// Wish about channels.
    pub routing: Option<RoutingDraft>,
    /// Not before.
    pub send_time: Option<Timestamp>,
    /// Never after.
    pub expire_time: Option<Timestamp>,
    /// When what it tells of happened.
    pub event_time: Option<Timestamp>,
    /// Only the newest with this key.
    pub collapse_key: String,
    /// Calls off all that carry it.
    pub cancellation_key: String,
    /// The caller's own reference.
    pub reference: String,
    /// The caller's own words.
    pub labels: BTreeMap<String, String>,
    /// Documents.
    pub attachments: Vec<AttachmentDraft>,
    /// Remembered for ever.
    pub once_key: String,
    /// The customer as the caller knows them.
    pub contact: Option<ContactDraft>,
    /// SHA-256 of the request as it came (its deterministic encoding): the same request id with another hash is refused.
    pub payload_hash: [u8; 32],
}

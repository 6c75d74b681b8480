//! What a provider is given: a filled message, ready to be put into the channel's own format.

use serde::{Deserialize, Serialize};

use super::address::{Address, Personal};
use super::channel::Category;
use super::id::{MessageId, NotificationId};
use super::intent::Attachment;

/// The name and address a mail comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Display name.
    pub name: String,
    /// Mail address.
    pub address: String,
}

/// A filled template for one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "lowercase")]
pub enum Content {
    /// A mail with both parts.
    Email {
        /// One line, no control characters.
        subject: String,
        /// Shown beside the subject in an inbox.
        preheader: String,
        /// A whole document.
        html: String,
        /// The same to read without HTML.
        text: String,
        /// Who it comes from.
        sender: Sender,
        /// RFC 8058 one-click address; empty: none.
        unsubscribe_url: String,
    },
    /// A text message.
    Sms {
        /// The text.
        text: String,
    },
    /// A chat message.
    Chat {
        /// Discord markdown, at most 2,000 characters.
        text: String,
    },
}

/// All that a provider needs for one hand-over.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Stays the same over retries: Message-ID `<id@domain>`, nonce.
    pub message: MessageId,
    /// The notification that it belongs to.
    pub notification: NotificationId,
    /// Where to.
    pub address: Address,
    /// For the To line; may be empty.
    pub recipient_name: Personal,
    /// Its class.
    pub category: Category,
    /// The template, for headers and tags.
    pub template: String,
    /// What.
    pub content: Content,
    /// Documents, mail only.
    pub attachments: Vec<Attachment>,
}

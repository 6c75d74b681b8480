//! What the console reads of captured messages; the outbox provider has it, `app` brings the two together.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::id::{MessageId, NotificationId};

/// A captured message in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureSummary {
    /// Which.
    pub message: MessageId,
    /// The notification that it belongs to.
    pub notification: NotificationId,
    /// When it was handed over.
    pub time: Timestamp,
    /// How.
    pub channel: Channel,
    /// The address it went to.
    pub to: String,
    /// The subject of a mail, else the beginning of the text.
    pub title: String,
    /// What it was made from.
    pub template: String,
}

/// An attachment without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AttachmentSummary {
    /// A bare file name.
    pub filename: String,
    /// As `type/subtype`.
    pub media_type: String,
    /// In bytes.
    pub size: usize,
}

/// A captured message.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// As in the list.
    pub summary: CaptureSummary,
    /// As it was rendered.
    pub content: Content,
    /// In the order of the mail.
    pub attachments: Vec<AttachmentSummary>,
    /// What went over the wire: the raw mail, or the body of the request.
    pub source: String,
}

/// What the outbox providers hold.
#[async_trait]
pub trait Captured: Send + Sync {
    /// The newest `limit` captures, newest first, of one channel or of all.
    async fn list(&self, channel: Option<Channel>, limit: usize) -> Vec<CaptureSummary>;

    /// One of them; `None` when it never was or is no longer held.
    async fn get(&self, message: MessageId) -> Option<Capture>;

    /// The bytes of an attachment, by its place in [`Capture::attachments`].
    async fn attachment(&self, message: MessageId, index: usize) -> Option<Vec<u8>>;
}

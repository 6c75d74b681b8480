//! The provider of development and demos: captures messages instead of sending them.
//!
//! Promise: one JSON file a message under `folder/<channel>/<message id>.json`, written whole or not at all, only the newest
//! `keep` of them; the same message again replaces its file. Nothing is masked: it is development data.
//! It sends nothing to anybody. On request it fails some first tries, always the same ones, so that retries can be watched.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{About, Handover, Provider};
use crate::domain::channel::{Category, Channel};
use crate::domain::clock::Clock;
use crate::domain::content::{Content, Outgoing};
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::intent::Attachment;

mod captures;

pub use captures::Captures;

/// How many messages' tries are remembered for [`OutboxOptions::fail_percent`].
const MAX_REMEMBERED_TRIES: usize = 10_000;

/// Makes the bytes that a real provider would send, for example a mail's MIME source.
pub type Source = Arc<dyn Fn(&Outgoing) -> Vec<u8> + Send + Sync>;

/// How an outbox behaves.
#[derive(Clone)]
pub struct OutboxOptions {
    /// How many captures are kept, at least one.
    pub keep: usize,
    /// In 0 to 100: so many percent of the messages fail their first one or two tries with [`Handover::Retry`].
    pub fail_percent: u8,
    /// Kept beside the content.
    pub source: Option<Source>,
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self {
            keep: 1_000,
            fail_percent: 0,
            source: None,
        }
    }
}

/// A captured document of a mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapturedAttachment {
    /// How many bytes it has.
    pub size_bytes: usize,
    /// The document.
    #[serde(flatten)]
    pub attachment: Attachment,
}

/// A captured message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Which message.
    pub message: MessageId,
    /// The notification that it belongs to.
    pub notification: NotificationId,
    /// When it was handed over last.
    pub time: Timestamp,
    /// On which channel.
    pub channel: Channel,
    /// Where it would have gone.
    pub address: String,
    /// For the To line.
    pub recipient_name: String,
    /// Its class.
    pub category: Category,
    /// The template it was made from.
    pub template: String,
    /// What it says.
    pub content: Content,
    /// The documents that go with it.
    pub attachments: Vec<CapturedAttachment>,
    /// The bytes a real provider would send, where they are text; else empty.
    #[serde(default)]
    pub source: String,
}

impl Capture {
    /// As it stands in a list.
    pub fn summary(&self) -> CaptureSummary {
        let title = match &self.content {
            Content::Email { subject, .. } => subject.clone(),
            Content::Sms { text } | Content::Chat { text } => text.chars().take(80).collect(),
        };
        CaptureSummary {
            message: self.message,
            notification: self.notification,
            time: self.time,
            channel: self.channel,
            address: self.address.clone(),
            category: self.category,
            template: self.template.clone(),
            title,
            attachments: self.attachments.len(),
        }
    }
}

/// A captured message in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaptureSummary {
    /// Which message.
    pub message: MessageId,
    /// The notification that it belongs to.
    pub notification: NotificationId,
    /// When it was handed over last.
    pub time: Timestamp,
    /// On which channel.
    pub channel: Channel,
    /// Where it would have gone.
    pub address: String,
    /// Its class.
    pub category: Category,
    /// The template it was made from.
    pub template: String,
    /// The subject, or the beginning of the text.
    pub title: String,
    /// How many documents go with it.
    pub attachments: usize,
}

/// Captures the messages of one channel.
pub struct Outbox {
    folder: PathBuf,
    channel: Channel,
    options: OutboxOptions,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<BTreeSet<MessageId>>>,
    tries: Mutex<BTreeMap<MessageId, u8>>,
}

impl Outbox {
    /// Opens `folder/<channel>`, makes it when it is missing, and removes what is over the limit.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(
        mut folder: PathBuf,
        channel: Channel,
        options: OutboxOptions,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        folder.push(channel.as_str());
        std::fs::create_dir_all(&folder)?;
        let mut kept: BTreeSet<MessageId> = ids_in(&folder)?.into_iter().collect();
        trim(&folder, &mut kept, options.keep.max(1));
        Ok(Self {
            folder,
            channel,
            options,
            clock,
            kept: Arc::new(Mutex::new(kept)),
            tries: Mutex::default(),
        })
    }

    fn capture(&self, outgoing: &Outgoing) -> Capture {
        let source = self.options.source.as_ref().map(|source| source(outgoing));
        Capture {
            message: outgoing.message,
            notification: outgoing.notification,
            time: self.clock.now(),
            channel: self.channel,
            address: outgoing.address.reveal().to_owned(),
            recipient_name: outgoing.recipient_name.reveal().to_owned(),
            category: outgoing.category,
            template: outgoing.template.clone(),
            content: outgoing.content.clone(),
            attachments: outgoing
                .attachments
                .iter()
                .map(|attachment| CapturedAttachment {
                    size_bytes: attachment.content.len(),
                    attachment: attachment.clone(),
                })
                .collect(),
            source: source
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .unwrap_or_default(),
        }
    }

    async fn save(&self, capture: &Capture) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(capture).map_err(io::Error::other)?;
        let (folder, message) = (self.folder.clone(), capture.message);
        let (kept, keep) = (Arc::clone(&self.kept), self.options.keep.max(1));
        tokio::task::spawn_blocking(move || {
            let unfinished = folder.join(format!("{message}.tmp"));
            std::fs::write(&unfinished, bytes)?;
            std::fs::rename(&unfinished, file(&folder, message))?;
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(message);
            trim(&folder, &mut kept, keep);
            Ok(())
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Whether this try is one of those that fail on purpose. The same messages fail in every run.
    fn fails(&self, message: MessageId) -> bool {
        let dice = mixed(message.nonce());
        if dice % 100 >= u64::from(self.options.fail_percent) {
            return false;
        }
        let failing_tries = if dice & 0x100 == 0 { 1 } else { 2 };
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = tries.entry(message).or_default();
        *tried = tried.saturating_add(1);
        let fails = *tried <= failing_tries;
        while tries.len() > MAX_REMEMBERED_TRIES {
            tries.pop_first();
        }
        fails
    }
}

#[async_trait]
impl Provider for Outbox {
    fn name(&self) -> &str {
        "outbox"
    }

    fn channel(&self) -> Channel {
        self.channel
    }

    fn reports_delivery(&self) -> bool {
        false
    }

    /// The content and the documents, not the source: its Date would differ from try to try.
    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8> {
        serde_json::to_vec(&(&outgoing.content, &outgoing.attachments)).unwrap_or_default()
    }

    async fn send(&self, outgoing: &Outgoing) -> Handover {
        if self.fails(outgoing.message) {
            return Handover::Retry {
                after: None,
                throttled: false,
                about: About::Message,
                reply: "failed on purpose (chaos)".to_owned(),
            };
        }
        match self.save(&self.capture(outgoing)).await {
            Ok(()) => Handover::Accepted {
                provider_message_id: outgoing.message.to_string(),
                reply: "captured, not sent".to_owned(),
            },
            Err(error) => Handover::Retry {
                after: None,
                throttled: false,
                about: About::Provider,
                reply: super::clean_reply(&format!("the outbox could not be written: {error}")),
            },
        }
    }

    async fn check(&self) -> Result<String, String> {
        let probe = self.folder.join("probe.tmp");
        let written = async {
            tokio::fs::write(&probe, b"").await?;
            tokio::fs::remove_file(&probe).await
        };
        written
            .await
            .map(|()| format!("captures {} messages, sends nothing", self.channel))
            .map_err(|error| format!("the outbox folder cannot be written: {error}"))
    }
}

fn file(folder: &Path, message: MessageId) -> PathBuf {
    folder.join(format!("{message}.json"))
}

/// The messages captured in a channel's folder; other files are not ours.
fn ids_in(folder: &Path) -> io::Result<Vec<MessageId>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            MessageId::parse(name.to_str()?.strip_suffix(".json")?)
        })
        .collect())
}

/// Ids sort by time, so the first are the oldest.
fn trim(folder: &Path, kept: &mut BTreeSet<MessageId>, keep: usize) {
    while kept.len() > keep {
        let Some(oldest) = kept.pop_first() else {
            return;
        };
        // One that cannot be removed is tried again when the folder is opened next.
        let _ = std::fs::remove_file(file(folder, oldest));
    }
}

/// Spreads neighbouring ids (SplitMix64's finaliser).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

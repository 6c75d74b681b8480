//! What the outbox captured, as the console reads it.

use std::sync::Arc;

use async_trait::async_trait;

use super::providers::outbox_folder;
use crate::config::Config;
use crate::domain::channel::Channel;
use crate::domain::id::MessageId;
use crate::provider::outbox::{self, Captures};
use crate::web::{AttachmentSummary, Capture, CaptureSummary, Captured};

/// The captures of a data folder.
pub(super) fn all(config: &Config) -> Arc<dyn Captured> {
    Arc::new(Shown(Captures::new(outbox_folder(&config.store.path))))
}

struct Shown(Captures);

#[async_trait]
impl Captured for Shown {
    async fn list(&self, channel: Option<Channel>, limit: usize) -> Vec<CaptureSummary> {
        self.0
            .list(channel, limit)
            .await
            .into_iter()
            .map(summary)
            .collect()
    }

    async fn get(&self, message: MessageId) -> Option<Capture> {
        let found = self.0.get(message).await?;
        let attachments = found
            .attachments
            .iter()
            .map(|captured| AttachmentSummary {
                filename: captured.attachment.filename.clone(),
                media_type: captured.attachment.media_type.clone(),
                size: captured.size_bytes,
            })
            .collect();
        let summary = summary(found.summary());
        Some(Capture {
            summary,
            content: found.content,
            attachments,
            source: found.source,
        })
    }

    async fn attachment(&self, message: MessageId, index: usize) -> Option<Vec<u8>> {
        let found = self.0.get(message).await?;
        found
            .attachments
            .into_iter()
            .nth(index)
            .map(|captured| captured.attachment.content)
    }
}

fn summary(found: outbox::CaptureSummary) -> CaptureSummary {
    CaptureSummary {
        message: found.message,
        notification: found.notification,
        time: found.time,
        channel: found.channel,
        to: found.address,
        title: found.title,
        template: found.template,
    }
}

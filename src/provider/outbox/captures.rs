//! The reader of what outboxes have captured; for the console.
//!
//! A list is asked for again and again, and a capture holds whole documents: what a file says in a list is remembered until the
//! file changes, so that only new captures are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::{Capture, CaptureSummary, file, ids_in};
use crate::domain::channel::Channel;
use crate::domain::id::MessageId;

/// How many summaries are remembered; the oldest go first.
const MAX_REMEMBERED_SUMMARIES: usize = 1_000;

/// When a file was written, and how long it is: another pair is another content.
type Stamp = (SystemTime, u64);
type Remembered = BTreeMap<MessageId, (Stamp, CaptureSummary)>;

/// Reads captures. Clones share what they remember.
#[derive(Clone, Debug)]
pub struct Captures {
    folder: PathBuf,
    remembered: Arc<Mutex<Remembered>>,
}

impl Captures {
    /// A reader of the folder that [`Outbox::open`](super::Outbox::open) was given.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            remembered: Arc::default(),
        }
    }

    /// The newest captures first; at most `limit`. A file that cannot be read is left out.
    pub async fn list(&self, channel: Option<Channel>, limit: usize) -> Vec<CaptureSummary> {
        let reader = self.clone();
        tokio::task::spawn_blocking(move || reader.newest(channel, limit))
            .await
            .unwrap_or_default()
    }

    /// One capture; `None` when there is none, or it is no longer kept.
    pub async fn get(&self, message: MessageId) -> Option<Capture> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || {
            channels(None).find_map(|channel| read(&file(&folder.join(channel.as_str()), message)))
        })
        .await
        .ok()
        .flatten()
    }

    fn newest(&self, channel: Option<Channel>, limit: usize) -> Vec<CaptureSummary> {
        let mut found: Vec<(MessageId, PathBuf)> = channels(channel)
            .map(|channel| self.folder.join(channel.as_str()))
            .flat_map(|folder| {
                let ids = ids_in(&folder).unwrap_or_default();
                ids.into_iter().map(move |id| (id, file(&folder, id)))
            })
            .collect();
        found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        let listed = found
            .iter()
            .filter_map(|(id, path)| self.summary(*id, path))
            .take(limit);
        listed.collect()
    }

    fn summary(&self, id: MessageId, path: &Path) -> Option<CaptureSummary> {
        // Taken before reading: a file that is replaced meanwhile is read once more next time.
        let stamp = stamp(path)?;
        if let Some((known, summary)) = self.remembered().get(&id)
            && *known == stamp
        {
            return Some(summary.clone());
        }
        let summary = read(path)?.summary();
        let mut remembered = self.remembered();
        remembered.insert(id, (stamp, summary.clone()));
        while remembered.len() > MAX_REMEMBERED_SUMMARIES {
            remembered.pop_first();
        }
        Some(summary)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn channels(only: Option<Channel>) -> impl Iterator<Item = Channel> {
    Channel::ALL
        .iter()
        .copied()
        .filter(move |channel| only.is_none_or(|only| only == *channel))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Option<Capture> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

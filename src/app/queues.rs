//! The queue that the configuration names.

use std::sync::Arc;

use crate::config::{self, QueueKind};
use crate::domain::id::ProcessId;
use crate::queue::Queue;
use crate::queue::memory::MemoryQueue;
use crate::queue::rabbitmq::{RabbitQueue, Settings};

/// Begins to use it as `process`; a broker that is away is tried without end.
pub(super) fn open(settings: &config::Queue, process: ProcessId) -> Arc<dyn Queue> {
    match &settings.kind {
        QueueKind::Memory => Arc::new(MemoryQueue::new(settings.window)),
        QueueKind::Rabbitmq(rabbitmq) => Arc::new(RabbitQueue::open(Settings {
            process: process.to_string(),
            ..rabbitmq.as_ref().clone()
        })),
    }
}

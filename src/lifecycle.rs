//! L6: start, drain, stop. A [`Running`] gateway ends in order: doors closed, what is in hand finished, the rest left in the
//! store; all under one hard deadline.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The tasks of a running gateway, in the order in which they are ended.
#[derive(Default)]
pub struct Running {
    /// Cancelled first: the doors take nothing new.
    pub doors: CancellationToken,
    /// Cancelled when the doors have closed: relay and scheduler.
    pub flows: CancellationToken,
    /// The doors.
    pub door_tasks: JoinSet<()>,
    /// Relay and scheduler.
    pub flow_tasks: JoinSet<()>,
    /// The workers; they end when their queue is closed.
    pub worker_tasks: JoinSet<()>,
}

impl Running {
    /// Ends everything within `deadline`; `close_queue` is called when nothing new can come. Returns whether everything ended by
    /// itself; what did not is cut off, and found again in the store at the next start.
    pub async fn drain(mut self, deadline: Duration, close_queue: impl FnOnce()) -> bool {
        let orderly = async {
            self.doors.cancel();
            // Doors wait for clients that may hang; half the time is theirs.
            let _ = tokio::time::timeout(deadline / 2, ended(&mut self.door_tasks)).await;
            self.flows.cancel();
            ended(&mut self.flow_tasks).await;
            close_queue();
            ended(&mut self.worker_tasks).await;
        };
        let in_time = tokio::time::timeout(deadline, orderly).await.is_ok();
        self.door_tasks.abort_all();
        self.flow_tasks.abort_all();
        self.worker_tasks.abort_all();
        in_time
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task
            && error.is_panic()
        {
            tracing::error!("a task panicked: {error}");
        }
    }
}

/// Listens for SIGTERM and SIGINT from this call on; what it gives waits for the first of them.
///
/// # Errors
/// When the system lets nobody listen for signals.
pub fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

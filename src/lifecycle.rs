//! L6: start, drain, stop. A [`Running`] gateway ends in order: nothing new is begun, calls and hand-overs that are in hand are finished,
//! the rest is left in the store; all under one hard deadline.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::event;

/// How long a flow that panicked is left alone before it begins again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// The tasks of a running gateway.
#[derive(Default)]
pub struct Running {
    /// Cancelled: the doors take nothing new.
    pub doors: CancellationToken,
    /// Cancelled: relay and scheduler end.
    pub flows: CancellationToken,
    /// The doors.
    pub door_tasks: JoinSet<()>,
    /// Relay and scheduler.
    pub flow_tasks: JoinSet<()>,
    /// The workers; they end when their queue is closed.
    pub worker_tasks: JoinSet<()>,
}

impl Running {
    /// Ends everything within `deadline`; `close_queue` lets workers take nothing new. Returns whether everything ended by
    /// itself; what did not is cut off, and found again in the store at the next start.
    pub async fn drain(mut self, deadline: Duration, close_queue: impl FnOnce()) -> bool {
        let orderly = async {
            // Nothing new begins, wherever it would come from; what is in hand has all of the time.
            self.doors.cancel();
            self.flows.cancel();
            close_queue();
            // Doors wait for clients that may hang; half the time is theirs.
            let doors = tokio::time::timeout(deadline / 2, ended(&mut self.door_tasks));
            let (_, (), ()) = tokio::join!(
                doors,
                ended(&mut self.flow_tasks),
                ended(&mut self.worker_tasks)
            );
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
        if task.is_err_and(|error| error.is_panic()) {
            event::task_panicked("unsupervised");
        }
    }
}

/// Runs a flow until it ends by itself or `stop` comes. One that panics is counted under its name and begun again, for
/// everything that it works on is in the store.
pub async fn supervised<F: Future<Output = ()>>(
    name: &'static str,
    stop: CancellationToken,
    flow: impl Fn() -> F,
) {
    while AssertUnwindSafe(async { flow().await })
        .catch_unwind()
        .await
        .is_err()
    {
        event::task_panicked(name);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RESTART_PAUSE) => {}
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// On one thread, so that its own counters see all of it.
    #[tokio::test]
    async fn a_flow_that_panics_is_counted_and_begun_again() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        supervised("tested", CancellationToken::new(), move || {
            let time = counted.fetch_add(1, Ordering::SeqCst);
            // Once before its first await, once behind it.
            assert!(time != 0, "a bug");
            async move {
                tokio::task::yield_now().await;
                assert!(time != 1, "a bug");
            }
        })
        .await;
        assert_eq!(begun.load(Ordering::SeqCst), 3);
        let told = metrics.render();
        let expected = "\ntidings_task_panics_total{task=\"tested\"} 2\n";
        assert!(told.contains(expected), "{told}");
    }

    #[tokio::test]
    async fn a_flow_that_always_panics_does_not_hold_up_the_end() {
        let mut running = Running::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        let broken = supervised("tested", running.flows.clone(), move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { panic!("a bug") }
        });
        running.flow_tasks.spawn(broken);
        while begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(running.drain(Duration::from_secs(10), || {}).await);
    }
}

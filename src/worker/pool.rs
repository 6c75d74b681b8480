//! The pools: tasks that take one job after the other, and none while the gate is shut, the store is held or their lane has no turn.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;

use super::{Worked, Worker};
use crate::domain::channel::{Channel, Lane};
use crate::event;
use crate::queue::{Consumer, Queue};

/// How long a worker rests after a panic outside of a job.
const PANIC_PAUSE: Duration = Duration::from_millis(100);
/// Behind a gate that is shut for longer a worker keeps no job that another process could do.
const SHUT_LONG: Duration = Duration::from_secs(1);

/// Starts the pools, `size` workers for each channel and lane; they end when queue and gates are closed and each has finished what it
/// holds.
pub async fn pools(
    worker: &Arc<Worker>,
    queue: &dyn Queue,
    size: &(dyn Fn(Channel, Lane) -> usize + Send + Sync),
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for channel in Channel::ALL {
        for lane in Lane::ALL {
            for _ in 0..size(*channel, *lane) {
                let mut consumer = queue.subscribe(*channel, *lane).await;
                let worker = worker.clone();
                let channel = *channel;
                let lane = *lane;
                tasks.spawn(async move {
                    let mut turnless = false;
                    loop {
                        let round = worker.round(channel, lane, consumer.as_mut(), turnless);
                        match AssertUnwindSafe(round).catch_unwind().await {
                            Ok(Some(worked)) => turnless = worked == Worked::NoTurn,
                            Ok(None) => return,
                            // Outside of a job: nothing is lost, the job that was held goes back.
                            Err(_) => {
                                event::task_panicked("worker");
                                tokio::time::sleep(PANIC_PAUSE).await;
                            }
                        }
                    }
                });
            }
        }
    }
    tasks
}

impl Worker {
    /// Waits for a job and does it; `None` when none will come any more. Whoever got no turn for the job before waits for one first,
    /// so that no job lies in hands meanwhile.
    async fn round(
        &self,
        channel: Channel,
        lane: Lane,
        consumer: &mut dyn Consumer,
        turnless: bool,
    ) -> Option<Worked> {
        let mut held = None;
        if let Some(gate) = self.gates.of(channel) {
            let mut room = std::pin::pin!(gate.room());
            if tokio::time::timeout(SHUT_LONG, room.as_mut())
                .await
                .is_err()
            {
                consumer.rest();
                room.await;
            }
            if turnless {
                consumer.rest();
                held = gate.turn(lane).await;
            }
        }
        if self.store.hold().borrow().is_some() {
            consumer.rest();
            self.rest().await;
        }
        let delivery = consumer.next().await?;
        let worked = self.work(delivery.job(), held).await;
        if worked == Worked::Done {
            delivery.ack();
        }
        Some(worked)
    }

    /// Waits while the store is held, or until the gates are closed for good.
    async fn rest(&self) {
        let mut hold = self.store.hold();
        tokio::select! {
            _ = hold.wait_for(Option::is_none) => {}
            () = self.gates.closed() => {}
        }
    }
}

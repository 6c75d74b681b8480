//! Jobs on their way to the broker.
//!
//! Promise: `Ok` means that the broker has confirmed the job and routed it to its queue, and nothing else does. Every job is
//! answered for itself, all of them within [`CONFIRM_DEADLINE`] of their turn. What is not answered in time may or may not be
//! queued; it stays in the store and is published again. At most [`MOST_IN_FLIGHT`] jobs are unconfirmed at a time.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};
use tokio::sync::Mutex;

use super::line::Counted;
use super::lines::Lines;
use super::link::{Link, Live};
use super::topology;
use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::Stopwatch;
use crate::event;
use crate::queue::{Depth, Job, NotQueued, wire};

/// A job that is not confirmed after this time is not queued.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(5);
/// Beyond some hundred the broker is not faster.
const MOST_IN_FLIGHT: usize = 500;
/// Survives a restart of the broker.
pub(super) const PERSISTENT: u8 = 2;

/// Publishes over one link.
pub(super) struct Publisher {
    link: Link,
    lines: Arc<Lines>,
    /// One batch at a time, so that the bound is one.
    turn: Mutex<()>,
}

/// Jobs whose confirmations are awaited, each with its place in the batch.
type Awaited =
    FuturesUnordered<BoxFuture<'static, (usize, Job, Counted, lapin::Result<Confirmation>)>>;

type Answers = Vec<Result<(), NotQueued>>;

impl Publisher {
    pub(super) fn new(link: Link, lines: Arc<Lines>) -> Self {
        Self {
            link,
            lines,
            turn: Mutex::default(),
        }
    }

    pub(super) async fn publish(&self, jobs: &[Job]) -> Answers {
        let mut answers = vec![Err(NotQueued); jobs.len()];
        let mut new = Vec::new();
        for (place, (job, answer)) in jobs.iter().zip(&mut answers).enumerate() {
            if self.lines.of(job.channel, job.lane).has(job) {
                *answer = Ok(());
            } else {
                new.push((place, *job));
            }
        }
        if new.is_empty() {
            return answers;
        }
        let _turn = self.turn.lock().await;
        for part in new.chunks(MOST_IN_FLIGHT) {
            // While the broker takes nothing in, what is sent to it piles up on the way.
            let live = self.link.live().filter(|live| !live.is_blocked());
            let Some(live) = live else { break };
            if !self.send(&live, part, &mut answers).await {
                break;
            }
        }
        answers
    }

    /// How a queue stands; what was said last while the broker takes nothing in.
    pub(super) async fn depth(&self, channel: Channel, lane: Lane) -> Option<Depth> {
        let line = self.lines.of(channel, lane);
        let live = self.link.live()?;
        if let Some(depth) = line.fresh() {
            return Some(depth);
        }
        if live.is_blocked() {
            return line.last();
        }
        let depth = live.look(&topology::queue(channel, lane)).await?;
        line.told(depth);
        Some(depth)
    }

    /// Whether the rest may be sent, too.
    async fn send(&self, live: &Arc<Live>, jobs: &[(usize, Job)], answers: &mut Answers) -> bool {
        let started = Stopwatch::start();
        let mut awaited = Awaited::new();
        let mut unroutable = false;
        let all = async {
            for (place, job) in jobs {
                let counted = self.lines.of(job.channel, job.lane).on_its_way();
                let confirm = live
                    .confirms
                    .basic_publish(
                        topology::EXCHANGE.into(),
                        topology::key(job.channel, job.lane).as_str().into(),
                        BasicPublishOptions {
                            mandatory: true,
                            ..BasicPublishOptions::default()
                        },
                        &wire::encode(job),
                        properties(job),
                    )
                    .await?;
                let (place, job) = (*place, *job);
                awaited.push(Box::pin(
                    async move { (place, job, counted, confirm.await) },
                ));
            }
            while let Some((place, job, _counted, confirmation)) = awaited.next().await {
                let Some(answer) = answers.get_mut(place) else {
                    continue;
                };
                match confirmation? {
                    Confirmation::Ack(None) => {
                        self.lines.of(job.channel, job.lane).confirmed(&job);
                        event::broker_confirmed(started.elapsed());
                        *answer = Ok(());
                    }
                    Confirmation::Ack(Some(_)) => {
                        event::broker_unroutable(job.channel, job.lane);
                        unroutable = true;
                    }
                    Confirmation::Nack(_) | Confirmation::NotRequested => {}
                }
            }
            Ok::<(), lapin::Error>(())
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout(CONFIRM_DEADLINE, all) => ended,
            () = live.broken() => return false,
        };
        match ended {
            Ok(Ok(())) if unroutable => live.condemn("a queue is missing"),
            Ok(Ok(())) => return true,
            Ok(Err(error)) => live.condemn_for(&error),
            // A broker that is short of memory keeps the connection, and confirms when it can; until then nothing more is sent.
            Err(_) if live.is_blocked() => {
                let live = live.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = live.broken() => {}
                        () = async { while awaited.next().await.is_some() {} } => {}
                    }
                });
            }
            Err(_) => live.condemn("a confirm did not come in time"),
        }
        false
    }
}

fn properties(job: &Job) -> BasicProperties {
    BasicProperties::default()
        .with_content_type(wire::CONTENT_TYPE.into())
        .with_message_id(job.message.to_string().into())
        .with_delivery_mode(PERSISTENT)
}

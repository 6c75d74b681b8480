//! Jobs on their way to a worker.
//!
//! Promise: a consumer comes back after every loss of the connection and ends only when the queue is closed; only an
//! acknowledged job is forgotten by the broker; what is dropped, rested on or left over goes back; a body that is no job goes
//! to the dead queue, once, and the next one comes. It holds a job for no longer than its worker does, and asks for none
//! before a worker wants one.
//!
//! A delivery that outlives its connection is of no meaning to the broker: it has given the job to somebody else, and the
//! fence decides between the two.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use lapin::message::Delivery as AmqpDelivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel as AmqpChannel, Consumer as AmqpConsumer};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::line::Counted;
use super::lines::Lines;
use super::link::{Link, Live};
use super::topology;
use crate::domain::channel::{Channel, Lane};
use crate::event;
use crate::queue::wire::{self, Received};
use crate::queue::{Consumer, Delivery, Job};

/// For what the broker answers at once when it lives.
const DEADLINE: Duration = Duration::from_secs(5);

/// A worker's end.
pub(super) struct RabbitConsumer {
    wishes: mpsc::UnboundedSender<Wish>,
    closed: CancellationToken,
}

enum Wish {
    Job(oneshot::Sender<Delivery>),
    Rest,
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        if self.closed.is_cancelled() {
            return None;
        }
        let (sender, job) = oneshot::channel();
        self.wishes.send(Wish::Job(sender)).ok()?;
        tokio::select! {
            () = self.closed.cancelled() => None,
            job = job => job.ok(),
        }
    }

    fn rest(&mut self) {
        // Without a task at the other end there is nothing to rest from.
        let _ = self.wishes.send(Wish::Rest);
    }
}

/// The broker's end: a task for each consumer.
pub(super) struct Tap {
    pub(super) channel: Channel,
    pub(super) lane: Lane,
    pub(super) prefetch: u16,
    pub(super) link: Link,
    pub(super) lines: Arc<Lines>,
    pub(super) closed: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// A subscription on one connection.
struct Subscription {
    live: Arc<Live>,
    amqp: AmqpChannel,
    deliveries: AmqpConsumer,
    answer: mpsc::UnboundedSender<Answer>,
    answers: mpsc::UnboundedReceiver<Answer>,
}

enum Answer {
    Ack(u64),
    Back(u64),
}

/// Why a subscription is left.
enum Left {
    /// Its connection is no good.
    Lost,
    /// Its worker rests.
    Resting,
    /// Its worker is gone, or the queue was closed.
    Over,
}

impl Tap {
    /// A consumer, whose task runs until it is dropped or the queue is closed.
    pub(super) fn start(self) -> RabbitConsumer {
        let (wishes, wished) = mpsc::unbounded_channel();
        let (closed, tasks) = (self.closed.clone(), self.tasks.clone());
        tasks.spawn(self.run(wished));
        RabbitConsumer { wishes, closed }
    }

    async fn run(mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        let mut wish = None;
        let closed = self.closed.clone();
        loop {
            while wish.is_none() {
                let next = tokio::select! {
                    next = wishes.recv() => next,
                    () = closed.cancelled() => return,
                };
                wish = match next {
                    Some(Wish::Job(wish)) => Some(wish),
                    Some(Wish::Rest) => None,
                    None => return,
                };
            }
            let live = tokio::select! {
                live = self.link.up() => live,
                () = closed.cancelled() => return,
            };
            let Some(live) = live else { return };
            let Some(mut subscription) = self.subscribe(live).await else {
                continue;
            };
            match self.serve(&mut subscription, &mut wish, &mut wishes).await {
                Left::Lost => {}
                Left::Resting => {
                    self.tasks.spawn(subscription.wind_down());
                }
                Left::Over => return subscription.wind_down().await,
            }
        }
    }

    async fn subscribe(&self, live: Arc<Live>) -> Option<Subscription> {
        let subscribing = async {
            let amqp = live.channel().await?;
            amqp.basic_qos(self.prefetch.max(1), BasicQosOptions::default())
                .await?;
            let deliveries = amqp
                .basic_consume(
                    topology::queue(self.channel, self.lane).as_str().into(),
                    ShortString::default(),
                    BasicConsumeOptions::default(),
                    FieldTable::default(),
                )
                .await?;
            Ok::<_, lapin::Error>((amqp, deliveries))
        };
        let subscribed = tokio::select! {
            subscribed = tokio::time::timeout(DEADLINE, subscribing) => subscribed,
            () = live.broken() => return None,
        };
        match subscribed {
            Ok(Ok((amqp, deliveries))) => {
                let (answer, answers) = mpsc::unbounded_channel();
                return Some(Subscription {
                    live,
                    amqp,
                    deliveries,
                    answer,
                    answers,
                });
            }
            Ok(Err(error)) => live.condemn_for(&error),
            Err(_) => live.condemn("a subscription was not answered"),
        }
        None
    }

    async fn serve(
        &self,
        subscription: &mut Subscription,
        wish: &mut Option<oneshot::Sender<Delivery>>,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
    ) -> Left {
        loop {
            tokio::select! {
                // Answers first, so that the broker may send the next job while the worker asks for it.
                biased;
                () = subscription.live.broken() => return Left::Lost,
                () = self.closed.cancelled() => return Left::Over,
                Some(answer) = subscription.answers.recv() => {
                    if !subscription.pass_on(answer).await {
                        return Left::Lost;
                    }
                }
                () = given_up(wish) => *wish = None,
                next = wishes.recv(), if wish.is_none() => match next {
                    Some(Wish::Job(next)) => *wish = Some(next),
                    Some(Wish::Rest) => return Left::Resting,
                    None => return Left::Over,
                },
                delivery = subscription.deliveries.next(), if wish.is_some() => {
                    let delivery = match delivery {
                        Some(Ok(delivery)) => delivery,
                        Some(Err(error)) => {
                            subscription.live.condemn_for(&error);
                            return Left::Lost;
                        }
                        // Cancelled by the broker, as when the queue was deleted: connecting declares it again.
                        None => {
                            subscription.live.condemn("a subscription was ended by the broker");
                            return Left::Lost;
                        }
                    };
                    if !self.hand_out(subscription, &delivery, wish).await {
                        return Left::Lost;
                    }
                }
            }
        }
    }

    /// Whether the subscription goes on.
    async fn hand_out(
        &self,
        subscription: &Subscription,
        delivery: &AmqpDelivery,
        wish: &mut Option<oneshot::Sender<Delivery>>,
    ) -> bool {
        let job = match wire::decode(received(delivery), self.channel, self.lane) {
            Ok(job) => job,
            Err(why) => {
                event::broker_unreadable(self.channel, self.lane, why.as_str());
                let rejecting = subscription
                    .amqp
                    .basic_reject(delivery.delivery_tag, BasicRejectOptions { requeue: false });
                return subscription.in_time(rejecting).await;
            }
        };
        let held = Held {
            job,
            tag: delivery.delivery_tag,
            answer: subscription.answer.clone(),
            lines: Arc::clone(&self.lines),
            acknowledged: false,
            _counted: self.lines.of(self.channel, self.lane).in_hands(),
        };
        if let Some(wish) = wish.take() {
            // A worker that is gone by now drops it, which gives it back.
            let _ = wish.send(Delivery::new(job, Box::new(move || held.ack())));
        }
        true
    }
}

impl Subscription {
    async fn pass_on(&self, answer: Answer) -> bool {
        match answer {
            Answer::Ack(tag) => {
                let acknowledging = self.amqp.basic_ack(tag, BasicAckOptions::default());
                self.in_time(acknowledging).await
            }
            Answer::Back(tag) => self.give_back(tag).await,
        }
    }

    async fn give_back(&self, tag: u64) -> bool {
        let back = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        self.in_time(self.amqp.basic_nack(tag, back)).await
    }

    async fn in_time<T>(&self, sending: impl Future<Output = lapin::Result<T>>) -> bool {
        let sent = tokio::select! {
            sent = tokio::time::timeout(DEADLINE, sending) => sent,
            () = self.live.broken() => return false,
        };
        match sent {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => self.live.condemn_for(&error),
            Err(_) => self.live.condemn("an answer could not be sent"),
        }
        false
    }

    /// Takes nothing more, gives back what came early, and waits until all that is in hands was answered.
    async fn wind_down(mut self) {
        let cancelling = self
            .amqp
            .basic_cancel(self.deliveries.tag(), BasicCancelOptions::default());
        if !self.in_time(cancelling).await {
            return;
        }
        let broken = Arc::clone(&self.live);
        let winding_down = async move {
            while let Some(Ok(early)) = self.deliveries.next().await {
                if !self.give_back(early.delivery_tag).await {
                    return;
                }
            }
            let (none, _) = mpsc::unbounded_channel();
            // Ours is not waited for, only those in hands.
            self.answer = none;
            while let Some(answer) = self.answers.recv().await {
                if !self.pass_on(answer).await {
                    return;
                }
            }
            self.in_time(self.amqp.close(200, "done".into())).await;
        };
        tokio::select! {
            () = winding_down => {}
            () = broken.broken() => {}
        }
    }
}

/// Returns when nobody waits any more for the job that was wished for.
async fn given_up(wish: &mut Option<oneshot::Sender<Delivery>>) {
    match wish {
        Some(wish) => wish.closed().await,
        None => std::future::pending().await,
    }
}

fn received(delivery: &AmqpDelivery) -> Received<'_> {
    let properties = &delivery.properties;
    Received {
        body: &delivery.data,
        content_type: properties.content_type().as_ref().map(ShortString::as_str),
        message_id: properties.message_id().as_ref().map(ShortString::as_str),
    }
}

/// A job in hands: gives itself back unless it was acknowledged.
struct Held {
    job: Job,
    tag: u64,
    answer: mpsc::UnboundedSender<Answer>,
    lines: Arc<Lines>,
    acknowledged: bool,
    _counted: Counted,
}

impl Held {
    fn ack(mut self) {
        self.acknowledged = true;
        self.lines
            .of(self.job.channel, self.job.lane)
            .done(&self.job);
        // Nobody takes the answer when the connection is lost; then the job comes again.
        let _ = self.answer.send(Answer::Ack(self.tag));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.acknowledged {
            let _ = self.answer.send(Answer::Back(self.tag));
        }
    }
}

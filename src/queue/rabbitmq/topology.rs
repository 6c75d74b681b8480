//! What stands on the broker: an exchange, a queue for each channel and lane, one for what could not be read, and a marker for
//! each process.
//!
//! Everything is durable and declared again at every connection, each time on a channel of its own, because the broker closes a
//! channel on which a declaration failed. No queue has priorities, a time to live for its messages or a way back to another one.

use lapin::options::{
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel as AmqpChannel, Connection, ExchangeKind, Queue};

use crate::domain::channel::{Channel, Lane};

/// All jobs are published to it.
pub(super) const EXCHANGE: &str = "tidings";
/// Where bodies go that no worker can read, and jobs that were given back too often.
pub(super) const DEAD: &str = "tidings.dead";
/// How often a job may be given back. It is still in the store then, and is queued again.
const DELIVERY_LIMIT: i64 = 20;
/// Nobody empties the dead queue but people: it keeps the newest.
const DEAD_MAX_MESSAGES: i64 = 10_000;
const DEAD_MAX_BYTES: i64 = 256 * 1024 * 1024;
/// A marker that nobody has looked at for a day belongs to a process that is gone.
const MARKER_EXPIRES_MS: i64 = 24 * 60 * 60 * 1000;

/// The routing key of a (channel, lane).
pub(super) fn key(channel: Channel, lane: Lane) -> String {
    format!("{channel}.{lane}")
}

/// The queue of a (channel, lane).
pub(super) fn queue(channel: Channel, lane: Lane) -> String {
    format!("tidings.{channel}.{lane}")
}

/// The queue by which a process sees whether the broker is still the one that it knew. It never holds a message.
pub(super) fn marker(process: &str) -> String {
    format!("tidings.epoch.{process}")
}

/// Declares what all processes share.
pub(super) async fn declare(connection: &Connection) -> lapin::Result<()> {
    let throw_away = connection.create_channel().await?;
    declare_on(&throw_away).await?;
    throw_away.close(200, "declared".into()).await
}

async fn declare_on(amqp: &AmqpChannel) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    amqp.exchange_declare(
        EXCHANGE.into(),
        ExchangeKind::Direct,
        durable,
        FieldTable::default(),
    )
    .await?;
    let mut dead = quorum();
    dead.insert(
        "x-max-length".into(),
        AMQPValue::LongLongInt(DEAD_MAX_MESSAGES),
    );
    dead.insert(
        "x-max-length-bytes".into(),
        AMQPValue::LongLongInt(DEAD_MAX_BYTES),
    );
    declare_queue(amqp, DEAD, dead).await?;
    for channel in Channel::ALL {
        for lane in Lane::ALL {
            let name = queue(*channel, *lane);
            declare_queue(amqp, &name, jobs()).await?;
            amqp.queue_bind(
                name.as_str().into(),
                EXCHANGE.into(),
                key(*channel, *lane).as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        }
    }
    Ok(())
}

/// Whether the marker of a process is there.
pub(super) async fn is_marked(connection: &Connection, process: &str) -> lapin::Result<bool> {
    let throw_away = connection.create_channel().await?;
    match look(&throw_away, &marker(process)).await {
        Ok(_) => {
            throw_away.close(200, "seen".into()).await?;
            Ok(true)
        }
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the marker of a process.
pub(super) async fn mark(connection: &Connection, process: &str) -> lapin::Result<()> {
    let throw_away = connection.create_channel().await?;
    let mut marks = quorum();
    marks.insert(
        "x-expires".into(),
        AMQPValue::LongLongInt(MARKER_EXPIRES_MS),
    );
    declare_queue(&throw_away, &marker(process), marks).await?;
    throw_away.close(200, "marked".into()).await
}

/// How a queue stands. When it is missing the broker closes the channel.
pub(super) async fn look(amqp: &AmqpChannel, name: &str) -> lapin::Result<Queue> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    amqp.queue_declare(name.into(), passive, FieldTable::default())
        .await
}

/// Whether the broker says that there is no such queue.
pub(super) fn is_missing(error: &lapin::Error) -> bool {
    const NOT_FOUND: u16 = 404;
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => error.get_id() == NOT_FOUND,
        _ => false,
    }
}

/// A queue for bench's floor, as durable as those of jobs.
pub(super) async fn declare_floor(amqp: &AmqpChannel, name: &str) -> lapin::Result<()> {
    declare_queue(amqp, name, jobs()).await.map(drop)
}

/// Removes a queue with what is in it.
pub(super) async fn remove(amqp: &AmqpChannel, name: &str) -> lapin::Result<()> {
    amqp.queue_delete(name.into(), QueueDeleteOptions::default())
        .await
        .map(drop)
}

async fn declare_queue(amqp: &AmqpChannel, name: &str, with: FieldTable) -> lapin::Result<Queue> {
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    amqp.queue_declare(name.into(), durable, with).await
}

fn quorum() -> FieldTable {
    let mut with = FieldTable::default();
    with.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    with
}

/// Of the queues that hold jobs. What is dead goes through the default exchange straight to its queue, and is not forgotten
/// before that has it, for which the broker asks that a full queue refuse rather than drop; none has a limit.
fn jobs() -> FieldTable {
    let mut with = quorum();
    let words = [
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", DEAD),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ];
    for (name, value) in words {
        with.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    with.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(DELIVERY_LIMIT),
    );
    with
}

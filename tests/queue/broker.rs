//! What RabbitMQ adds: routing, and what is on it that is not ours.

use std::collections::HashSet;

use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Channel as AmqpChannel, Connection, ConnectionProperties};
use tidings::queue::rabbitmq::{RabbitQueue, Settings};
use tidings::queue::{Job, NotQueued, Queue, wire};

use crate::promises::{self, PLACE, eventually, jobs, next, nothing_comes, publish};
use crate::rabbitmq::Node;

/// Everything that one node can serve, for starting one takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rabbitmq_keeps_the_promises() {
    let Some(node) = Node::start() else { return };
    let metrics = tidings::telemetry::metrics();
    promises::hold(|| Box::new(RabbitQueue::open(node.settings()))).await;
    what_was_acknowledged_at_the_end_is_gone(&node).await;
    confirmed_means_routed(&node).await;
    what_is_no_job_is_put_aside(&node).await;
    what_is_given_back_for_ever_is_put_aside(&node).await;
    what_came_early_goes_to_another(&node).await;
    // Where the tests are threads of one process, another of them may have it.
    if let Some(metrics) = metrics {
        is_told_in_metrics(&metrics.render());
    }
}

fn is_told_in_metrics(metrics: &str) {
    let place = "channel=\"email\",lane=\"bulk\"";
    for line in [
        "tidings_broker_connected{link=\"publishing\"} ".to_owned(),
        "tidings_broker_connected{link=\"consuming\"} ".to_owned(),
        "tidings_broker_reconnects_total{link=\"publishing\"} ".to_owned(),
        "tidings_broker_confirm_seconds_count ".to_owned(),
        format!("tidings_broker_unroutable_total{{{place}}} 1\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"empty\"}} 1\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"too_long\"}} 2\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"content_type\"}} 2\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"garbled\"}} 2\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"version\"}} 1\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"message_id\"}} 3\n"),
        format!("tidings_broker_unreadable_total{{{place},reason=\"place\"}} 2\n"),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

/// With more on their way than a worker has asked for: who rests keeps only what is in his hands.
async fn what_came_early_goes_to_another(node: &Node) {
    let queue = RabbitQueue::open(Settings {
        prefetch: 5,
        ..node.settings()
    });
    let jobs = jobs(PLACE, 12);
    publish(&queue, &jobs).await;
    let mut resting = queue.subscribe(PLACE.0, PLACE.1).await;
    let held = next(resting.as_mut()).await;
    eventually("more has come early", async || {
        let depth = queue.depth(PLACE.0, PLACE.1).await;
        depth.is_some_and(|depth| depth.ready <= 7)
    })
    .await;
    resting.rest();
    let mut other = queue.subscribe(PLACE.0, PLACE.1).await;
    let mut arrived = HashSet::new();
    for _ in &jobs[1..] {
        let delivery = next(other.as_mut()).await;
        arrived.insert(delivery.job().message);
        delivery.ack();
    }
    assert_eq!(arrived.len(), jobs.len() - 1);
    assert!(!arrived.contains(&held.job().message));
    held.ack();
    nothing_comes(other.as_mut()).await;
    nothing_comes(resting.as_mut()).await;
    end(&queue).await;
}

/// Somebody else on the same broker.
async fn stranger(node: &Node) -> (Connection, AmqpChannel) {
    let uri = format!("amqp://guest:guest@127.0.0.1:{}/%2f", node.port);
    let connection = Connection::connect(&uri, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn what_was_acknowledged_at_the_end_is_gone(node: &Node) {
    let queue = RabbitQueue::open(node.settings());
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    nothing_comes(consumer.as_mut()).await;
    end(&queue).await;
}

/// Without this the last acknowledgement may still be on its way when the connection goes.
async fn end(queue: &RabbitQueue) {
    queue.close();
    queue.ended().await;
}

async fn confirmed_means_routed(node: &Node) {
    let queue = RabbitQueue::open(node.settings());
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let jobs = jobs(PLACE, 3);
    publish(&queue, &jobs[..1]).await;
    next(consumer.as_mut()).await.ack();
    let (_connection, channel) = stranger(node).await;
    channel
        .queue_delete("tidings.email.bulk".into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    assert_eq!(queue.publish(&jobs[1..2]).await, [Err(NotQueued)]);
    // The queue is made again by itself, and the consumer that had lost it comes back.
    publish(&queue, &jobs[1..]).await;
    for job in &jobs[1..] {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    end(&queue).await;
}

/// Bad input 84: none of it stops a consumer, comes twice or is lost, and the jobs between arrive.
async fn what_is_no_job_is_put_aside(node: &Node) {
    let queue = RabbitQueue::open(node.settings());
    let (_connection, channel) = stranger(node).await;
    let good = jobs(PLACE, 20);
    let whose = good[0];
    let usual = || properties(&whose);
    let other = |change: Job| (wire::encode(&change), usual());
    let mut next_version = wire::encode(&whose);
    next_version[1] = 2;
    let bad: Vec<(Vec<u8>, BasicProperties)> = vec![
        (Vec::new(), usual()),
        (vec![7; wire::BODY_MAX_BYTES + 1], usual()),
        (vec![0; 64 * 1024 * 1024], usual()),
        (b"\xff\xfe\xfd".to_vec(), usual()),
        (b"{\"to\": \"somebody\"}".to_vec(), usual()),
        (next_version, usual()),
        (
            wire::encode(&whose),
            usual().with_content_type("text/plain".into()),
        ),
        (wire::encode(&whose), BasicProperties::default()),
        (
            wire::encode(&whose),
            BasicProperties::default().with_content_type(wire::CONTENT_TYPE.into()),
        ),
        (
            wire::encode(&whose),
            usual().with_message_id("no id".into()),
        ),
        other(Job {
            channel: tidings::domain::channel::Channel::Sms,
            ..whose
        }),
        other(Job {
            lane: tidings::domain::channel::Lane::Critical,
            ..whose
        }),
        other(good[1]),
    ];
    let before = dead(&channel).await;
    assert_eq!(before, [] as [Vec<u8>; 0]);
    let mut expected: Vec<Job> = Vec::new();
    for (number, (body, properties)) in bad.iter().enumerate() {
        put(&channel, body, properties.clone()).await;
        let job = good[number];
        publish(&queue, &[job]).await;
        expected.push(job);
    }
    // Strange, but jobs: what is declared about them besides does not count.
    let mut death = FieldTable::default();
    death.insert("count".into(), AMQPValue::LongLongInt(1_000_000));
    let deaths = FieldArray::from(vec![AMQPValue::FieldTable(death); 100]);
    let mut headers = FieldTable::default();
    headers.insert("x-death".into(), AMQPValue::FieldArray(deaths));
    for strange in [
        properties(&good[17]).with_priority(255),
        properties(&good[17]).with_headers(headers),
        properties(&good[17]).with_delivery_mode(1),
    ] {
        put(&channel, &wire::encode(&good[17]), strange).await;
        expected.push(good[17]);
    }
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let mut arrived = Vec::new();
    for _ in &expected {
        let delivery = next(consumer.as_mut()).await;
        arrived.push(delivery.job());
        delivery.ack();
    }
    let fences = |jobs: &[Job]| -> Vec<i64> { jobs.iter().map(|job| job.fence).collect() };
    assert_eq!(fences(&arrived), fences(&expected));
    nothing_comes(consumer.as_mut()).await;
    let mut aside = Vec::new();
    eventually("all bad ones are aside", async || {
        aside.extend(dead(&channel).await);
        aside.len() >= bad.len()
    })
    .await;
    let mut bodies: Vec<&Vec<u8>> = bad.iter().map(|(body, _)| body).collect();
    let mut aside: Vec<&Vec<u8>> = aside.iter().collect();
    bodies.sort();
    aside.sort();
    assert!(bodies == aside, "others are aside than those that were bad");
    end(&queue).await;
}

async fn what_is_given_back_for_ever_is_put_aside(node: &Node) {
    let queue = RabbitQueue::open(node.settings());
    let (_connection, channel) = stranger(node).await;
    let jobs = jobs(PLACE, 2);
    publish(&queue, &jobs).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let mut times = 0;
    let next_job = loop {
        let delivery = next(consumer.as_mut()).await;
        if delivery.job() != jobs[0] {
            break delivery;
        }
        times += 1;
        assert!(times < 100, "it comes for ever");
    };
    assert_eq!((next_job.job(), times), (jobs[1], 21));
    next_job.ack();
    let mut aside = Vec::new();
    eventually("it is aside", async || {
        aside.extend(dead(&channel).await);
        !aside.is_empty()
    })
    .await;
    assert_eq!(aside, [wire::encode(&jobs[0])]);
}

fn properties(job: &Job) -> BasicProperties {
    BasicProperties::default()
        .with_content_type(wire::CONTENT_TYPE.into())
        .with_message_id(job.message.to_string().into())
}

async fn put(channel: &AmqpChannel, body: &[u8], properties: BasicProperties) {
    channel
        .basic_publish(
            "tidings".into(),
            "email.bulk".into(),
            BasicPublishOptions::default(),
            body,
            properties,
        )
        .await
        .unwrap();
    // An answer on the same channel means that what was sent before has been taken in.
    channel
        .queue_declare(
            "tidings.dead".into(),
            lapin::options::QueueDeclareOptions {
                passive: true,
                ..Default::default()
            },
            FieldTable::default(),
        )
        .await
        .unwrap();
}

/// Takes what lies in the dead queue.
async fn dead(channel: &AmqpChannel) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let taken = BasicGetOptions { no_ack: true };
    while let Some(message) = channel
        .basic_get("tidings.dead".into(), taken)
        .await
        .unwrap()
    {
        bodies.push(message.delivery.data);
    }
    bodies
}

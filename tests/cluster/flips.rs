//! F27 of the broker: jobs of messages that wait, each with one bit of its body flipped, are put into the queues beside the true ones.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tidings::domain::channel::{Channel, Lane};
use tidings::domain::clock::Stopwatch;
use tidings::domain::id::{MessageId, chance};
use tidings::queue::{Job, wire};

use crate::rows::{BETWEEN, Found, judged, run, site_with};
use crate::site::{DATABASE, Site};
use crate::wishes::Wishes;

/// Flips between two looks at what waits.
const AT_ONCE: u64 = 50;
/// Until all that was put aside is counted.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of a hundred flips so many at least leave no job that can be read; the others are in numbers that say how often it was claimed.
const UNREADABLE_PERCENT: u64 = 75;

/// So many flips.
pub(crate) async fn flipped(count: u64) -> Found {
    let site = site_with(2, Wishes::default()).await?;
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    let uri = format!("amqp://guest:guest@127.0.0.1:{}/%2f", site.broker().port);
    let stranger = Connection::connect(&uri, ConnectionProperties::default()).await;
    let stranger = stranger.unwrap();
    let amqp = stranger.create_channel().await.unwrap();
    let mut done = 0;
    while done < count {
        for job in jobs(&site)
            .into_iter()
            .take(usize::try_from(AT_ONCE.min(count - done)).unwrap())
        {
            let whole = wire::encode(&job);
            let mut body = whole.clone();
            let bit = (chance() * (body.len() * 8) as f64) as usize;
            body[bit / 8] ^= 1 << (bit % 8);
            // The true one once more as well: it can be read, and costs nothing.
            for body in [body, whole] {
                let properties = BasicProperties::default()
                    .with_content_type(wire::CONTENT_TYPE.into())
                    .with_message_id(job.message.to_string().into());
                let key = format!("{}.{}", job.channel, job.lane);
                let options = BasicPublishOptions::default();
                let (exchange, key) = ("tidings".into(), key.as_str().into());
                let sent = amqp.basic_publish(exchange, key, options, &body, properties);
                sent.await.unwrap();
            }
            done += 1;
        }
        site.live(0.1, 0.3).await;
    }
    let verdict = {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        let waited = Stopwatch::start();
        let dead = loop {
            let (counted, dead) = (
                site.sum("tidings_broker_unreadable_total").await,
                dead(&site),
            );
            println!("{count} flips, {counted} unreadable, {dead} in the dead queue");
            if counted == dead as f64 && counted > 0.0 {
                break dead;
            }
            assert!(waited.elapsed() < PATIENCE, "not all of it is counted");
            site.live(0.2, 0.3).await;
        };
        assert!(dead <= count, "{dead} of {count}");
        assert!(
            dead * 100 >= count * UNREADABLE_PERCENT,
            "{dead} of {count}"
        );
        assert_eq!(site.sum("tidings_task_panics_total").await, 0.0);
        judged(site).await
    };
    Some(run(count, Vec::new(), Vec::new(), verdict))
}

/// How many lie in the dead queue.
fn dead(site: &Site) -> u64 {
    let asked = ["--quiet", "list_queues", "name", "messages"];
    let listed = tokio::task::block_in_place(|| site.broker().control(&asked));
    let mut lines = listed.lines();
    let line = lines.find_map(|line| line.strip_prefix("tidings.dead\t"));
    line.unwrap().parse().unwrap()
}

/// Jobs of messages that are not done, as the relay would make them.
fn jobs(site: &Site) -> Vec<Job> {
    let found = site.database.sql(
        DATABASE,
        "SELECT id, fence, channel, lane FROM message WHERE state IN ('queued', 'sending') ORDER BY random()",
    );
    let read = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let named = |channel: &Channel| channel.as_str() == fields[2];
        let laned = |lane: &Lane| lane.as_str() == fields[3];
        Job {
            message: MessageId::parse(fields[0]).unwrap(),
            fence: fields[1].parse().unwrap(),
            channel: *Channel::ALL.iter().find(|one| named(one)).unwrap(),
            lane: *Lane::ALL.iter().find(|one| laned(one)).unwrap(),
        }
    };
    found.lines().map(read).collect()
}

//! What every queue promises, whatever stands behind it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidings::domain::channel::{Channel, Lane};
use tidings::domain::id::Ids;
use tidings::queue::{Consumer, Delivery, Job, NotQueued, Queue};

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(300);

pub(crate) const PLACE: (Channel, Lane) = (Channel::Email, Lane::Bulk);

/// Jobs with ids of their own.
pub(crate) fn jobs((channel, lane): (Channel, Lane), count: usize) -> Vec<Job> {
    let ids = Ids::new();
    let job = |number: usize| Job {
        message: ids.message(jiff::Timestamp::UNIX_EPOCH),
        fence: i64::try_from(number).unwrap() + 1,
        channel,
        lane,
    };
    (0..count).map(job).collect()
}

/// Publishes until all are queued.
pub(crate) async fn publish(queue: &dyn Queue, jobs: &[Job]) {
    let all = async {
        let mut left = jobs.to_vec();
        loop {
            let answers = queue.publish(&left).await;
            assert_eq!(answers.len(), left.len());
            let mut answers = answers.into_iter();
            left.retain(|_| answers.next().unwrap().is_err());
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, all)
        .await
        .expect("the queue does not take the jobs");
}

pub(crate) async fn next(consumer: &mut dyn Consumer) -> Delivery {
    tokio::time::timeout(LIMIT, consumer.next())
        .await
        .expect("no job comes")
        .expect("the queue has closed")
}

pub(crate) async fn nothing_comes(consumer: &mut dyn Consumer) {
    if let Ok(delivery) = tokio::time::timeout(QUIET, consumer.next()).await {
        panic!("{:?} came", delivery.map(|delivery| delivery.job()));
    }
}

pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(LIMIT, waiting).await.is_ok(),
        "{what}: not in time"
    );
}

/// All of it; `open` gives a queue onto the same jobs each time.
pub(crate) async fn hold(open: impl Fn() -> Box<dyn Queue>) {
    let queue = open();
    let queue = queue.as_ref();
    comes_in_order_as_it_was(queue).await;
    is_queued_once(queue).await;
    goes_on_with_a_newer_fence(queue).await;
    comes_again_first_when_it_was_dropped(queue).await;
    comes_again_when_its_worker_panics(queue).await;
    is_shared_by_consumers(queue).await;
    flows_beside_a_lane_that_stands(queue).await;
    goes_to_another_when_a_worker_rests(queue).await;
    tells_how_it_stands(queue).await;
    ends_when_closed(queue).await;
    assert_eq!(
        queue.publish(&jobs(PLACE, 1)).await,
        [Err(NotQueued)],
        "closed"
    );
}

async fn comes_in_order_as_it_was(queue: &dyn Queue) {
    let jobs = jobs(PLACE, 200);
    for batch in jobs.chunks(70) {
        publish(queue, batch).await;
    }
    let mut elsewhere = queue.subscribe(Channel::Email, Lane::Critical).await;
    nothing_comes(elsewhere.as_mut()).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    for job in &jobs {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    nothing_comes(consumer.as_mut()).await;
    is_empty(queue).await;
}

async fn is_empty(queue: &dyn Queue) {
    eventually("the queue is empty", async || {
        let depth = queue.depth(PLACE.0, PLACE.1).await;
        depth.is_some_and(|depth| depth.ready == 0) && queue.outstanding(PLACE.0, PLACE.1) == 0
    })
    .await;
}

async fn is_queued_once(queue: &dyn Queue) {
    let jobs = jobs(PLACE, 3);
    publish(queue, &jobs).await;
    publish(queue, &jobs).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let held = next(consumer.as_mut()).await;
    // Also while one is in hands.
    publish(queue, &jobs).await;
    held.ack();
    for job in &jobs[1..] {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    nothing_comes(consumer.as_mut()).await;
    // What was acknowledged is new again.
    publish(queue, &jobs[..1]).await;
    next(consumer.as_mut()).await.ack();
    is_empty(queue).await;
}

async fn goes_on_with_a_newer_fence(queue: &dyn Queue) {
    let old = jobs(PLACE, 1)[0];
    let newer = Job {
        fence: old.fence + 1,
        ..old
    };
    publish(queue, &[old]).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let held = next(consumer.as_mut()).await;
    publish(queue, &[newer]).await;
    held.ack();
    let delivery = next(consumer.as_mut()).await;
    assert_eq!(delivery.job(), newer);
    delivery.ack();
    nothing_comes(consumer.as_mut()).await;
    is_empty(queue).await;
}

async fn comes_again_first_when_it_was_dropped(queue: &dyn Queue) {
    let jobs = jobs(PLACE, 3);
    publish(queue, &jobs).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    for _ in 0..3 {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), jobs[0]);
        drop(delivery);
    }
    for job in &jobs {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    is_empty(queue).await;
}

async fn comes_again_when_its_worker_panics(queue: &dyn Queue) {
    let jobs = jobs(PLACE, 1);
    publish(queue, &jobs).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let worker = tokio::spawn(async move {
        let _held = next(consumer.as_mut()).await;
        panic!("a bug of the worker");
    });
    assert!(worker.await.is_err());
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let delivery = next(consumer.as_mut()).await;
    assert_eq!(delivery.job(), jobs[0]);
    delivery.ack();
    is_empty(queue).await;
}

/// Each comes to one consumer, and also what one of them dropped.
async fn is_shared_by_consumers(queue: &dyn Queue) {
    const CONSUMERS: usize = 4;
    let mut workers = Vec::new();
    // Nobody goes on before each has one: a quick one could take them all.
    let all = Arc::new(tokio::sync::Barrier::new(CONSUMERS));
    for number in 0..CONSUMERS {
        let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
        let all = all.clone();
        workers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            let mut to_drop = number % 2;
            let first = next(consumer.as_mut()).await;
            let together = tokio::time::timeout(LIMIT, all.wait()).await;
            assert!(together.is_ok(), "a consumer got nothing");
            done.push(first.job());
            first.ack();
            while let Ok(Some(delivery)) =
                tokio::time::timeout(Duration::from_secs(2), consumer.next()).await
            {
                if to_drop > 0 {
                    to_drop -= 1;
                    continue;
                }
                done.push(delivery.job());
                delivery.ack();
                tokio::task::yield_now().await;
            }
            done
        }));
    }
    let jobs = jobs(PLACE, 500);
    for batch in jobs.chunks(50) {
        publish(queue, batch).await;
    }
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    assert_eq!(done.len(), jobs.len());
    let distinct: HashSet<_> = done.iter().map(|job| job.message).collect();
    assert_eq!(distinct.len(), jobs.len());
    is_empty(queue).await;
}

async fn flows_beside_a_lane_that_stands(queue: &dyn Queue) {
    let beside = (Channel::Email, Lane::Critical);
    let (standing, flowing) = (jobs(PLACE, 2), jobs(beside, 20));
    publish(queue, &standing).await;
    let mut slow = queue.subscribe(PLACE.0, PLACE.1).await;
    let held = next(slow.as_mut()).await;
    publish(queue, &flowing).await;
    let mut fast = queue.subscribe(beside.0, beside.1).await;
    for job in &flowing {
        let delivery = next(fast.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    held.ack();
    next(slow.as_mut()).await.ack();
    is_empty(queue).await;
}

async fn goes_to_another_when_a_worker_rests(queue: &dyn Queue) {
    let jobs = jobs(PLACE, 3);
    publish(queue, &jobs).await;
    let mut resting = queue.subscribe(PLACE.0, PLACE.1).await;
    // By now the next one may be on its way to the same consumer.
    next(resting.as_mut()).await.ack();
    resting.rest();
    let mut other = queue.subscribe(PLACE.0, PLACE.1).await;
    for _ in 0..2 {
        next(other.as_mut()).await.ack();
    }
    publish(queue, &jobs).await;
    drop(other);
    // And who has rested goes on.
    for _ in 0..3 {
        next(resting.as_mut()).await.ack();
    }
    is_empty(queue).await;
}

async fn tells_how_it_stands(queue: &dyn Queue) {
    let place = (Channel::Chat, Lane::Transactional);
    publish(queue, &jobs(place, 5)).await;
    assert!(queue.outstanding(place.0, place.1) >= 5);
    let mut consumer = queue.subscribe(place.0, place.1).await;
    let held = next(consumer.as_mut()).await;
    eventually("one in hands, four that wait", async || {
        let depth = queue.depth(place.0, place.1).await.unwrap();
        depth.ready == 4 && depth.consumers == 1 && queue.outstanding(place.0, place.1) == 5
    })
    .await;
    held.ack();
    for _ in 0..4 {
        next(consumer.as_mut()).await.ack();
    }
    drop(consumer);
    eventually("nothing, and nobody", async || {
        let depth = queue.depth(place.0, place.1).await.unwrap();
        depth.ready == 0 && depth.consumers == 0 && queue.outstanding(place.0, place.1) == 0
    })
    .await;
    assert!(queue.connection().borrow().is_up());
    assert_eq!(*queue.wiped().borrow(), 0);
}

async fn ends_when_closed(queue: &dyn Queue) {
    publish(queue, &jobs(PLACE, 1)).await;
    let mut holding = queue.subscribe(PLACE.0, PLACE.1).await;
    let held = next(holding.as_mut()).await;
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    let waiting = tokio::spawn(async move {
        nothing_comes(consumer.as_mut()).await;
        consumer.next().await.is_none()
    });
    tokio::time::sleep(QUIET * 2).await;
    queue.close();
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    assert!(waited.expect("a consumer does not end").unwrap());
    assert!(holding.next().await.is_none());
    let mut late = queue.subscribe(PLACE.0, PLACE.1).await;
    assert!(late.next().await.is_none());
    held.ack();
    let ended = tokio::time::timeout(LIMIT, queue.ended()).await;
    assert!(ended.is_ok(), "the queue does not end");
}

//! What the broker and the network do to a queue: killed, emptied, full, frozen, cut off.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidings::domain::clock::Stopwatch;
use tidings::domain::id::MessageId;
use tidings::queue::rabbitmq::{RabbitQueue, Settings};
use tidings::queue::{Job, NotQueued, Queue};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::flows;
use crate::promises::{PLACE, eventually, jobs, next, nothing_comes, publish};
use crate::rabbitmq::{self, Node};

/// After the broker serves again, jobs flow within this time.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Two heartbeats.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// A job that is not confirmed is answered within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);
/// What needs no answer of the broker.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How often the broker is killed under load; `TIDINGS_TEST_KILLS` makes it more.
fn kills() -> usize {
    let asked = std::env::var("TIDINGS_TEST_KILLS").ok();
    asked.map_or(2, |kills| kills.parse().unwrap())
}

/// Publishes and consumes without end, and remembers.
#[derive(Default)]
struct Load {
    confirmed: Mutex<HashSet<MessageId>>,
    arrived: Mutex<HashSet<MessageId>>,
    deliveries: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    fn start(queue: &Arc<RabbitQueue>) -> Arc<Self> {
        let load = Arc::new(Self::default());
        for _ in 0..4 {
            let (load, queue) = (load.clone(), queue.clone());
            tokio::spawn(async move {
                let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
                while let Some(delivery) = consumer.next().await {
                    load.arrived.lock().unwrap().insert(delivery.job().message);
                    load.deliveries.fetch_add(1, Ordering::SeqCst);
                    delivery.ack();
                }
            });
        }
        let (publishing, queue) = (load.clone(), queue.clone());
        tokio::spawn(async move {
            while !publishing.stop.load(Ordering::SeqCst) {
                let batch = jobs(PLACE, 20);
                let answers = queue.publish(&batch).await;
                publishing.confirm(&batch, &answers);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        load
    }

    fn confirm(&self, batch: &[Job], answers: &[Result<(), NotQueued>]) {
        let queued = batch
            .iter()
            .zip(answers)
            .filter(|(_, answer)| answer.is_ok());
        let messages = queued.map(|(job, _)| job.message);
        self.confirmed.lock().unwrap().extend(messages);
    }

    fn confirmed(&self) -> usize {
        self.confirmed.lock().unwrap().len()
    }

    fn arrived(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }

    async fn flows(&self) {
        let (confirmed, arrived) = (self.confirmed(), self.arrived());
        eventually("jobs go and come", async || {
            self.confirmed() > confirmed + 100 && self.arrived() > arrived + 100
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_confirmed_outlives_the_broker() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let queue = Arc::new(RabbitQueue::open(node.settings()));
    let load = Load::start(&queue);
    for kill in 0..kills() {
        load.flows().await;
        node.kill();
        eventually("it is known to be away", async || {
            !queue.connection().borrow().is_up()
        })
        .await;
        node.start_again();
        let back = Stopwatch::start();
        load.flows().await;
        let took = back.elapsed();
        println!("kill {kill}: jobs flow {took:?} after the port opened");
        assert!(took < BACK_WITHIN, "{took:?}");
    }
    load.stop.store(true, Ordering::SeqCst);
    eventually("all that was confirmed arrives", async || {
        let arrived = load.arrived.lock().unwrap();
        load.confirmed.lock().unwrap().is_subset(&arrived)
    })
    .await;
    let more = load.deliveries.load(Ordering::SeqCst) - load.arrived();
    println!(
        "{} confirmed, {} arrived, {more} came twice",
        load.confirmed(),
        load.arrived()
    );
    assert_eq!(*queue.wiped().borrow(), 0, "it has lost nothing");
    a_wiped_broker_is_told(&mut node).await;
    flows::the_relay_brings_back_what_was_lost(&mut node).await;
}

async fn a_wiped_broker_is_told(node: &mut Node) {
    // The first of its hosts is never there.
    let [nobody] = rabbitmq::free_ports();
    let hosts = [nobody, node.port].map(|port| ("127.0.0.1".into(), port));
    let queue = RabbitQueue::open(Settings {
        hosts: hosts.into(),
        process: "another".into(),
        ..node.settings()
    });
    let jobs = jobs((PLACE.0, tidings::domain::channel::Lane::Critical), 20);
    publish(&queue, &jobs).await;
    // They are known to be queued, and not queued twice.
    publish(&queue, &jobs).await;
    let mut wiped = queue.wiped();
    node.wipe();
    node.start_again();
    let told = tokio::time::timeout(Duration::from_secs(20), wiped.changed()).await;
    assert!(told.is_ok(), "nobody says that the broker was wiped");
    assert_eq!(*wiped.borrow(), 1);
    let mut consumer = queue.subscribe(jobs[0].channel, jobs[0].lane).await;
    nothing_comes(consumer.as_mut()).await;
    publish(&queue, &jobs).await;
    for job in &jobs {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    nothing_comes(consumer.as_mut()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_does_not_answer_holds_nobody_up() {
    let Some(node) = Node::start() else { return };
    let before = (sockets(), threads());
    short_of_memory(&node).await;
    frozen(&node).await;
    cut_off(&node).await;
    // Of all those connections nothing is left but a thread and its socket that lapin's runtime has once for the process.
    eventually("no socket and no thread is left over", async || {
        let now = (sockets(), threads());
        now.0 <= before.0 + 1 && now.1 <= before.1 + 1
    })
    .await;
}

/// Every job is refused, and in time; returns in which.
async fn is_refused(queue: &RabbitQueue, jobs: &[Job]) -> Duration {
    let started = Stopwatch::start();
    let answers = queue.publish(jobs).await;
    let took = started.elapsed();
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert!(took < ANSWERED_WITHIN, "{took:?}");
    took
}

async fn short_of_memory(node: &Node) {
    let queue = RabbitQueue::open(node.settings());
    let before = jobs(PLACE, 50);
    publish(&queue, &before).await;
    node.memory_alarm(true);
    is_refused(&queue, &jobs(PLACE, 100)).await;
    let memory = resident_kib();
    for _ in 0..1000 {
        let took = is_refused(&queue, &jobs(PLACE, 500)).await;
        assert!(took < AT_ONCE, "it is known to be full: {took:?}");
    }
    let more = resident_kib().saturating_sub(memory);
    println!("500,000 jobs refused under the alarm: {more} KiB more");
    assert!(more < 8 * 1024, "{more} KiB");
    // What it has is worked off all the while.
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    for job in &before {
        let delivery = next(consumer.as_mut()).await;
        assert_eq!(delivery.job(), *job);
        delivery.ack();
    }
    eventually("the broker has forgotten them", async || {
        let listed = node.control(&["--quiet", "list_queues", "name", "messages_unacknowledged"]);
        let line = listed
            .lines()
            .find(|line| line.starts_with("tidings.email.bulk"));
        line.is_some_and(|line| line.ends_with("\t0"))
    })
    .await;
    assert!(queue.connection().borrow().is_up(), "it is full, not away");
    node.memory_alarm(false);
    let after = jobs(PLACE, 3);
    publish(&queue, &after).await;
    // The first hundred may have been taken in by then.
    let mut last = None;
    while last != Some(after[2]) {
        let delivery = next(consumer.as_mut()).await;
        last = Some(delivery.job());
        delivery.ack();
    }
}

async fn frozen(node: &Node) {
    let queue = RabbitQueue::open(node.settings());
    let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
    publish(&queue, &jobs(PLACE, 1)).await;
    next(consumer.as_mut()).await.ack();
    node.freeze();
    is_noticed(&queue, "frozen").await;
    node.thaw();
    comes_back(&queue, consumer.as_mut(), "thawed").await;
    // Also by a publisher, when that is first.
    node.freeze();
    is_refused(&queue, &jobs(PLACE, 3)).await;
    node.thaw();
    comes_back(&queue, consumer.as_mut(), "thawed again").await;
}

async fn cut_off(node: &Node) {
    let proxy = FaultProxy::start(([127, 0, 0, 1], node.port).into()).await;
    let through = proxy.address();
    for (what, to_server, to_client) in [
        ("both directions are silent", Fault::Drop, Fault::Drop),
        ("nothing comes", Fault::None, Fault::Drop),
        ("nothing arrives", Fault::Drop, Fault::None),
        ("reset", Fault::Reset, Fault::Reset),
        ("half closed", Fault::None, Fault::HalfClose),
    ] {
        // Each has a queue of its own: of two links the second may notice a fault when it is over.
        let queue = RabbitQueue::open(Settings {
            hosts: vec![(through.ip().to_string(), through.port())],
            ..node.settings()
        });
        let mut consumer = queue.subscribe(PLACE.0, PLACE.1).await;
        comes_back(&queue, consumer.as_mut(), "at first").await;
        proxy.to_server(to_server);
        proxy.to_client(to_client);
        is_noticed(&queue, what).await;
        proxy.both(Fault::None);
        comes_back(&queue, consumer.as_mut(), what).await;
        queue.close();
        queue.ended().await;
    }
}

async fn is_noticed(queue: &RabbitQueue, what: &str) {
    let started = Stopwatch::start();
    let mut connection = queue.connection();
    let away = connection.wait_for(|connection| !connection.is_up());
    let away = tokio::time::timeout(NOTICED_WITHIN, away).await;
    assert!(away.is_ok(), "{what}: not noticed");
    println!("{what}: noticed after {:?}", started.elapsed());
}

async fn comes_back(queue: &RabbitQueue, consumer: &mut dyn tidings::queue::Consumer, what: &str) {
    let started = Stopwatch::start();
    let job = jobs(PLACE, 1);
    publish(queue, &job).await;
    // What was not confirmed may have come through.
    while {
        let delivery = next(consumer).await;
        let other = delivery.job() != job[0];
        delivery.ack();
        other
    } {}
    let took = started.elapsed();
    println!("{what}: back after {took:?}");
    assert!(took < BACK_WITHIN, "{what}: {took:?}");
}

/// What this process has in memory.
fn resident_kib() -> usize {
    status("VmRSS")
}

fn threads() -> usize {
    status("Threads")
}

fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket"))
        .count()
}

fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

//! Processes that are asked to end while callers call and hang: one after the other, each started again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tidings::domain::clock::Stopwatch;
use tidings::proto::customer_service_client::CustomerServiceClient;
use tidings::proto::notification_service_client::NotificationServiceClient;
use tidings::proto::{SendNotificationRequest, UpsertCustomerRequest};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::hang::hang;
use crate::load::Acknowledged;
use crate::rabbitmq::free_ports;
use crate::rows::{self, Found};
use crate::shop;
use crate::site::{Site, ready};
use crate::wishes::Wishes;

/// What a caller's library does by itself, where it is told to: the first try and three more.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const CALL: Duration = Duration::from_secs(30);
/// How long a process may take to end what is in hand, and then until it has ended on a busy machine.
const DRAIN: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(60);
const READY: Duration = Duration::from_secs(60);
/// Work under way before something happens.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// Three replicas, each restarted in turn so many times, at `rate` intents a second.
pub(crate) async fn restarted_in_turn(rolls: u64, rate: u64) -> Found {
    let wishes = Wishes {
        orders: 0,
        ..Wishes::default()
    };
    let mut site = Site::open_with(wishes).await?;
    site.set("SERVER__DRAIN", "60s");
    let ports: [u16; 3] = free_ports();
    let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
    for address in &addresses {
        site.set("SERVER__GRPC_ADDRESS", address);
        site.start(&[]).await;
    }
    let callers = Callers::begin(&addresses, rate);
    tokio::time::sleep(UNDER_WAY).await;
    let mut faults = Vec::new();
    for _ in 0..rolls {
        for (place, address) in addresses.iter().enumerate() {
            let ended = site.stop_one(place, END * 2).await;
            if ended.is_none_or(|status| status.code() != Some(0)) {
                faults.push(format!("a process ended as {ended:?}"));
            }
            site.set("SERVER__GRPC_ADDRESS", address);
            site.start_in(place, &[]).await;
            until_ready(&site, place).await;
        }
    }
    tokio::time::sleep(UNDER_WAY).await;
    let (acknowledged, failed) = callers.finish().await;
    faults.extend(failed);
    for (order, name) in acknowledged {
        site.load.add(order, name);
    }
    let verdict = site.judged(&addresses[0]).await;
    let mut run = rows::run(rolls, Vec::new(), Vec::new(), verdict);
    // Nothing died and no answer was lost: nothing may come twice but what a receiver took without a word.
    run.faults.extend(faults);
    Some(run)
}

async fn until_ready(site: &Site, place: usize) {
    let waited = Stopwatch::start();
    while ready(&site.console(place)).await.0 != 200 {
        assert!(waited.elapsed() < READY, "it does not get ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// F18 over three replicas.
pub(crate) async fn stopped_with_hung_clients(count: u64) -> Found {
    let mut site = Site::open().await?;
    site.set("SERVER__DRAIN", &format!("{}s", DRAIN.as_secs()));
    for _ in 0..3 {
        site.start(&[]).await;
    }
    site.open_doors().await;
    let mut faults = Vec::new();
    for number in 0..count {
        let place = usize::try_from(number % 3).unwrap();
        let hanging = hang(&site.grpc(place)).await;
        site.live(1.5, 2.5).await;
        let process = site.replicas()[place].process.clone();
        let asked = Stopwatch::start();
        match site.stop_one(place, END).await {
            Some(status) if status.code() == Some(0) => {
                println!("it ended after {:?}", asked.elapsed());
            }
            ended => faults.push(format!("{ended:?} after {:?}", asked.elapsed())),
        }
        drop(hanging);
        let open = site.handed_over_by(&process);
        if !open.is_empty() {
            let open = open.len();
            faults.push(format!("{open} attempts are open after an orderly end"));
        }
        site.open_doors().await;
        site.start_in(place, &[]).await;
        site.open_doors().await;
    }
    let before = site.load.count();
    site.taken(before + 50).await;
    let door = site.grpc(0);
    let verdict = site.judged(&door).await;
    let mut run = rows::run(count, Vec::new(), Vec::new(), verdict);
    run.faults.extend(faults);
    Some(run)
}

/// Callers with a list of addresses, each call at the next one, and at another one when nobody answers.
struct Callers {
    shared: Arc<Shared>,
    beating: tokio::task::JoinHandle<JoinSet<()>>,
}

struct Shared {
    addresses: Vec<Channel>,
    next: AtomicU64,
    ended: AtomicU64,
    acknowledged: Mutex<Acknowledged>,
    failed: Mutex<Vec<String>>,
    /// How often which answer made a caller try again.
    again: Mutex<BTreeMap<String, u64>>,
    over: tokio_util::sync::CancellationToken,
}

impl Callers {
    fn begin(addresses: &[String], rate: u64) -> Self {
        let line = |address: &String| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            endpoint
                .connect_timeout(Duration::from_secs(1))
                .connect_lazy()
        };
        let shared = Arc::new(Shared {
            addresses: addresses.iter().map(line).collect(),
            next: AtomicU64::new(1),
            ended: AtomicU64::new(0),
            acknowledged: Mutex::default(),
            failed: Mutex::default(),
            again: Mutex::default(),
            over: tokio_util::sync::CancellationToken::new(),
        });
        let beating = tokio::spawn(beat(shared.clone(), rate));
        Self { shared, beating }
    }

    /// What was answered OK, and what was not.
    async fn finish(self) -> (Acknowledged, Vec<String>) {
        self.shared.over.cancel();
        self.beating.await.unwrap().join_all().await;
        let again = self.shared.again.lock().unwrap();
        println!("tried again: {again:?}");
        let acknowledged = self.shared.acknowledged.lock().unwrap().clone();
        let failed = self.shared.failed.lock().unwrap().clone();
        (acknowledged, failed)
    }
}

async fn beat(shared: Arc<Shared>, rate: u64) -> JoinSet<()> {
    let mut calls = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.over.cancelled() => return calls,
        }
        // A machine that is too slow for the rate is not buried under calls.
        let next = shared.next.load(Ordering::Relaxed);
        if next > shared.ended.load(Ordering::Relaxed) + 2 * rate {
            continue;
        }
        let order = shared.next.fetch_add(1, Ordering::Relaxed);
        let shared = shared.clone();
        calls.spawn(async move {
            match place(&shared, order).await {
                Ok(name) => {
                    shared.acknowledged.lock().unwrap().insert(order, name);
                }
                Err(status) => {
                    let failed = format!("order {order} failed: {status:?}");
                    shared.failed.lock().unwrap().push(failed);
                }
            }
            shared.ended.fetch_add(1, Ordering::Relaxed);
        });
        while calls.try_join_next().is_some() {}
    }
}

async fn place(shared: &Shared, order: u64) -> Result<String, Status> {
    if let Some(customer) = shop::customer(order) {
        let request = UpsertCustomerRequest {
            customer: Some(customer),
            update_mask: None,
        };
        let upsert = move |line| -> BoxFuture<'static, _> {
            let (mut service, request) = (CustomerServiceClient::new(line), request.clone());
            Box::pin(async move { service.upsert_customer(request).await })
        };
        shared.call(order, upsert).await?;
    }
    let request = SendNotificationRequest {
        intent: Some(shop::intent(order)),
        request_id: format!("r-{order}"),
        validate_only: false,
    };
    let send = move |line| -> BoxFuture<'static, _> {
        let (mut service, request) = (NotificationServiceClient::new(line), request.clone());
        Box::pin(async move { service.send_notification(request).await })
    };
    let answer = shared.call(order, send).await?;
    Ok(answer.into_inner().notification.unwrap().name)
}

impl Shared {
    async fn call<T>(
        &self,
        order: u64,
        call: impl Fn(Channel) -> BoxFuture<'static, Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        loop {
            let turn = usize::try_from(order).unwrap() + tries as usize;
            let line = self.addresses[turn % self.addresses.len()].clone();
            let answer = tokio::time::timeout(CALL, call(line)).await;
            let status = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            tries += 1;
            if tries == TRIES || !is_unavailable(&status) {
                return Err(status);
            }
            let words = format!("{:?} {}", status.code(), status.message());
            *self.again.lock().unwrap().entry(words).or_default() += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// Whether nobody answered. Other libraries say UNAVAILABLE also where this one has words of its own for a connection that broke; a
/// status that a gateway sent has no cause on this side.
fn is_unavailable(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}

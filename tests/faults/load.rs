//! The callers: a steady stream of orders, each asked for again under the same request id until it is answered OK, whatever the gateway
//! goes through meanwhile. What was answered OK is kept: it is what may not be lost.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tidings::client::Client;
use tidings::proto::{
    self, ListNotificationsRequest, Notification, SendNotificationRequest, UpsertCustomerRequest,
};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::shop;

/// More callers than can be in a call at once.
const CALLERS: usize = 64;
/// How often the stream is let go on.
const BEAT: Duration = Duration::from_millis(10);
/// A call that has no answer by then is made again.
const CALL: Duration = Duration::from_secs(5);
/// In the place of the sentence that there was not.
pub(crate) const NO_ANSWER: &str = "no answer in time";
/// Between two calls of a caller that got no answer.
const PAUSE: Duration = Duration::from_millis(10);

/// Orders that were answered OK, each with the name it got.
pub(crate) type Acknowledged = BTreeMap<u64, String>;

/// Refusals by code and sentence; calls without any answer stand under [`NO_ANSWER`].
pub(crate) type Passing = HashSet<(Code, String)>;

struct Shared {
    next: AtomicU64,
    acknowledged: Mutex<Acknowledged>,
    /// Refusals that no gateway may give, whatever happened to it.
    refusals: Mutex<Vec<String>>,
    /// Answers that made callers ask again.
    passing: Mutex<Passing>,
    permits: Semaphore,
}

impl Shared {
    fn passed(&self, status: Option<Status>) {
        let said = match status {
            Some(status) => (status.code(), status.message().to_owned()),
            None => (Code::DeadlineExceeded, NO_ANSWER.to_owned()),
        };
        self.passing.lock().unwrap().insert(said);
    }
}

/// Runs until it is finished or dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    doors: watch::Sender<Vec<Client>>,
    callers: JoinSet<()>,
}

impl Load {
    /// Begins with `rate` orders a second; nothing goes anywhere before a door is open.
    pub(crate) fn begin(rate: u64) -> Self {
        let (doors, open) = watch::channel(Vec::new());
        let shared = Arc::new(Shared {
            next: AtomicU64::new(1),
            acknowledged: Mutex::default(),
            refusals: Mutex::default(),
            passing: Mutex::default(),
            permits: Semaphore::new(0),
        });
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call(shared.clone(), open.clone()));
        }
        let beating = shared.clone();
        callers.spawn(async move { beat(&beating, open, rate).await });
        Self {
            shared,
            doors,
            callers,
        }
    }

    /// From now on calls go there.
    pub(crate) async fn open(&self, grpc: &str) {
        self.open_all(&[grpc]).await;
    }

    /// From now on calls go to these in turn.
    pub(crate) async fn open_all(&self, grpcs: &[&str]) {
        let mut clients = Vec::new();
        for grpc in grpcs {
            // A gateway that dies in its first moments is not connected to; the next one will be.
            clients.extend(Client::connect(grpc).await.ok());
        }
        if !clients.is_empty() {
            self.doors.send_replace(clients);
        }
    }

    /// From now on calls wait.
    pub(crate) fn close(&self) {
        self.doors.send_replace(Vec::new());
    }

    pub(crate) fn acknowledged(&self) -> Acknowledged {
        self.shared.acknowledged.lock().unwrap().clone()
    }

    /// How many were answered OK.
    pub(crate) fn count(&self) -> usize {
        self.shared.acknowledged.lock().unwrap().len()
    }

    /// What made callers ask again since this was last asked.
    pub(crate) fn passing(&self) -> Passing {
        std::mem::take(&mut self.shared.passing.lock().unwrap())
    }

    /// Another caller's order, for later, which is to be judged with the rest.
    pub(crate) async fn ask_for_later(&self, grpc: &str, order: u64, send_time: Timestamp) {
        let client = Client::connect(grpc).await.unwrap();
        let mut intent = shop::intent(order);
        intent.send_time = Some(proto::wire_time(send_time));
        let request = SendNotificationRequest {
            intent: Some(intent),
            request_id: format!("p-{order}"),
            validate_only: false,
        };
        let mut service = client.notifications();
        let answer = service.send_notification(request).await.unwrap();
        self.add(order, answer.into_inner().notification.unwrap().name);
    }

    /// Another caller's order, which is to be judged with the rest.
    pub(crate) fn add(&self, order: u64, name: String) {
        let mut acknowledged = self.shared.acknowledged.lock().unwrap();
        acknowledged.insert(order, name);
    }

    /// Takes no new orders, and answers with what was acknowledged when all that were begun are. A door must be open.
    pub(crate) async fn finish(&mut self) -> (Acknowledged, Vec<String>) {
        self.shared.permits.close();
        let all = async { while self.callers.join_next().await.is_some() {} };
        let all = tokio::time::timeout(Duration::from_secs(60), all).await;
        all.expect("calls are left without an answer");
        let refusals = self.shared.refusals.lock().unwrap().clone();
        (self.acknowledged(), refusals)
    }
}

/// Lets orders go at their rate while a door is open; what could not go meanwhile is not made up for.
async fn beat(shared: &Shared, doors: watch::Receiver<Vec<Client>>, rate: u64) {
    let per_second = 1_000 / u64::try_from(BEAT.as_millis()).unwrap();
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut due = 0;
    while !shared.permits.is_closed() {
        ticks.tick().await;
        due += rate;
        let whole = due / per_second;
        due %= per_second;
        if !doors.borrow().is_empty() && shared.permits.available_permits() < CALLERS {
            shared.permits.add_permits(usize::try_from(whole).unwrap());
        }
    }
}

async fn call(shared: Arc<Shared>, mut doors: watch::Receiver<Vec<Client>>) {
    while let Ok(permit) = shared.permits.acquire().await {
        permit.forget();
        let order = shared.next.fetch_add(1, Ordering::Relaxed);
        let request = SendNotificationRequest {
            intent: Some(shop::intent(order)),
            request_id: format!("r-{order}"),
            validate_only: false,
        };
        for turn in order.. {
            if doors.wait_for(|open| !open.is_empty()).await.is_err() {
                return;
            }
            // They may have closed again meanwhile.
            let client = {
                let open = doors.borrow();
                let turn = usize::try_from(turn).unwrap();
                open.get(turn % open.len().max(1)).cloned()
            };
            let Some(client) = client else {
                continue;
            };
            let answer = tokio::time::timeout(CALL, place(&client, order, &request)).await;
            match answer {
                Ok(Ok(name)) => {
                    shared.acknowledged.lock().unwrap().insert(order, name);
                    break;
                }
                Ok(Err(status)) if !passes(&status) => {
                    let refusal = format!("order {order}: {status:?}");
                    shared.refusals.lock().unwrap().push(refusal);
                    break;
                }
                passing => {
                    shared.passed(passing.ok().and_then(Result::err));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A connection that breaks shows as one of these.
fn passes(status: &Status) -> bool {
    use tonic::Code::{
        Cancelled, DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unknown,
    };
    matches!(
        status.code(),
        Cancelled | DeadlineExceeded | Internal | ResourceExhausted | Unavailable | Unknown
    )
}

async fn place(
    client: &Client,
    order: u64,
    request: &SendNotificationRequest,
) -> Result<String, Status> {
    if let Some(customer) = shop::customer(order) {
        let request = UpsertCustomerRequest {
            customer: Some(customer),
            update_mask: None,
        };
        client.customers().upsert_customer(request).await?;
    }
    let mut service = client.notifications();
    let answer = service.send_notification(request.clone()).await?;
    let notification = answer.into_inner().notification.unwrap();
    assert_eq!(
        notification.intent.unwrap().reference,
        shop::reference(order)
    );
    Ok(notification.name)
}

/// Everything that the gateway has.
pub(crate) async fn all(client: &Client) -> Vec<Notification> {
    let mut found = Vec::new();
    let mut request = ListNotificationsRequest {
        page_size: 1_000,
        order_by: "create_time".into(),
        ..ListNotificationsRequest::default()
    };
    loop {
        let mut service = client.notifications();
        let page = service.list_notifications(request.clone()).await.unwrap();
        let page = page.into_inner();
        found.extend(page.notifications);
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

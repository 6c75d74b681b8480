//! The load: shipping notices of a shop to customers that the gateway knows, in the three ways that a caller has. Every answer is
//! counted; what is not an acceptance is an error.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::gateway::Gateway;
use crate::client::{Client, ClientError};
use crate::domain::clock::Stopwatch;
use crate::proto::stream_notifications_response::Result as Answer;
use crate::proto::{
    self, BatchSendNotificationsRequest, BatchUpsertCustomersRequest, Channel, ContactPoint,
    Customer, NotificationIntent, SendNotificationRequest, StreamNotificationsRequest, Struct,
    UpsertCustomerRequest, notification_intent,
};

/// Begin the ids of customers with and without an address.
const REACHABLE: &str = "c-";
const UNREACHABLE: &str = "n-";
/// What one call may hold.
const UPSERT_MAX: u64 = 500;
/// Calls share a connection, as the calls of one service do.
const CALLERS_A_CONNECTION: usize = 16;

/// How intents reach the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Callers that each send one and wait for its answer.
    Unary {
        /// At the same time.
        callers: usize,
    },
    /// Callers that each send many in a call and wait for the answer.
    Batch {
        /// At the same time.
        callers: usize,
        /// Intents in a call.
        size: usize,
    },
    /// Streams that keep many on their way.
    Stream {
        /// At the same time.
        streams: usize,
        /// Unanswered intents of each.
        window: usize,
    },
}

/// Where intents come from: each is for the next customer and has a request id of its own.
pub(super) struct Traffic {
    prefix: String,
    /// Begins the ids of the customers.
    people: &'static str,
    customers: u64,
    send_time: Option<Timestamp>,
    variables: Struct,
    limit: u64,
    next: AtomicU64,
}

/// How long a load lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// A warm-up that is not counted, and a span that is.
    Time {
        /// Not counted.
        warm: Duration,
        /// Counted.
        span: Duration,
    },
    /// As long as there are intents.
    Empty,
}

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Intents acknowledged within the span that counts.
    pub(super) counted: u64,
    /// How long that span was.
    pub(super) span: Duration,
    /// Intents acknowledged at all, also while warming up.
    pub(super) accepted: u64,
    /// Intents refused or without an answer.
    pub(super) errors: u64,
    /// The first error's words.
    pub(super) first_error: Option<String>,
    /// From sending to the acknowledgement, of what counts.
    latencies: Vec<Duration>,
}

impl Tally {
    /// Acknowledged a second.
    pub(super) fn rate(&self) -> f64 {
        self.counted as f64 / self.span.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that this share of the intents did not exceed, nearest rank.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(rank.max(1) - 1).copied()
    }

    fn merge(&mut self, other: Self) {
        self.counted += other.counted;
        self.accepted += other.accepted;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latencies.extend(other.latencies);
    }

    fn failed(&mut self, count: u64, error: impl Into<ClientError>) {
        self.errors += count;
        self.first_error
            .get_or_insert_with(|| error.into().to_string());
    }
}

impl Traffic {
    /// Notices for `customers` customers, due at `send_time` or at once. `prefix` keeps request ids of several loads apart.
    pub(super) fn new(prefix: &str, customers: u64, send_time: Option<Timestamp>) -> Self {
        let variables = json!({
            "order": {"number": "", "url": "https://shop.example/orders/NL-48211"},
            "shipment": {
                "carrier": "DHL",
                "tracking_number": "00340434161094042557",
                "tracking_url": "https://tracking.example/t/00340434161094042557",
                "estimated_delivery": "2026-11-26"
            }
        });
        Self {
            prefix: prefix.to_owned(),
            people: REACHABLE,
            customers: customers.max(1),
            send_time,
            variables: variables
                .as_object()
                .map(proto::structure)
                .unwrap_or_default(),
            limit: u64::MAX,
            next: AtomicU64::new(0),
        }
    }

    /// To customers without an address, so that each ends when it is accepted.
    pub(super) fn unreachable(mut self) -> Self {
        self.people = UNREACHABLE;
        self
    }

    /// So many and no more.
    pub(super) fn limited(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// How many were asked for.
    pub(super) fn taken(&self) -> u64 {
        self.next.load(Ordering::Relaxed).min(self.limit)
    }

    /// The next one, while there are any.
    fn request(&self) -> Option<SendNotificationRequest> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.limit {
            return None;
        }
        let request_id = format!("{}-{number}", self.prefix);
        let mut variables = self.variables.clone();
        let order = variables.fields.get_mut("order");
        if let Some(proto::Value {
            kind: Some(prost_types::value::Kind::StructValue(order)),
        }) = order
        {
            let kind = Some(prost_types::value::Kind::StringValue(format!(
                "NL-{number}"
            )));
            order.fields.insert("number".into(), proto::Value { kind });
        }
        let intent = NotificationIntent {
            recipient: Some(notification_intent::Recipient::CustomerId(format!(
                "{}{}",
                self.people,
                number % self.customers,
            ))),
            template: "order.shipped".into(),
            variables: Some(variables),
            send_time: self.send_time.map(proto::wire_time),
            reference: format!("order NL-{number}"),
            ..NotificationIntent::default()
        };
        Some(SendNotificationRequest {
            intent: Some(intent),
            request_id,
            validate_only: false,
        })
    }
}

/// Makes `count` customers known who have a mail address.
///
/// # Errors
/// A sentence.
pub(super) async fn introduce(gateway: &Gateway, count: u64) -> Result<(), String> {
    upsert(gateway, REACHABLE, count, |number| {
        vec![ContactPoint {
            channel: Channel::Email.into(),
            address: format!("c{number}@shop-customers.example.com"),
            ..ContactPoint::default()
        }]
    })
    .await
}

/// Makes `count` customers known who have no address.
///
/// # Errors
/// A sentence.
pub(super) async fn introduce_unreachable(gateway: &Gateway, count: u64) -> Result<(), String> {
    upsert(gateway, UNREACHABLE, count, |_| Vec::new()).await
}

async fn upsert(
    gateway: &Gateway,
    people: &str,
    count: u64,
    points: impl Fn(u64) -> Vec<ContactPoint>,
) -> Result<(), String> {
    let client = gateway.client().await?;
    let person = |number: u64| UpsertCustomerRequest {
        customer: Some(Customer {
            name: format!("customers/{people}{number}"),
            given_name: "Ada".into(),
            locale: "en".into(),
            time_zone: "Europe/Berlin".into(),
            contact_points: points(number),
            source_version: 1,
            ..Customer::default()
        }),
        update_mask: None,
    };
    let mut first = 0;
    while first < count {
        let end = count.min(first + UPSERT_MAX);
        let request = BatchUpsertCustomersRequest {
            requests: (first..end).map(person).collect(),
        };
        let answer = client.customers().batch_upsert_customers(request).await;
        let answer = answer.map_err(|status| ClientError::from(status).to_string())?;
        if !answer.into_inner().failed_requests.is_empty() {
            return Err("the gateway refused a customer of the load".into());
        }
        first = end;
    }
    Ok(())
}

/// Puts the load on the gateway.
///
/// # Errors
/// A sentence when no connection comes about. Errors of calls are counted, not returned.
pub(super) async fn run(
    gateway: &Gateway,
    traffic: &Arc<Traffic>,
    shape: Shape,
    until: Until,
) -> Result<Tally, String> {
    let (count, a_connection) = match shape {
        Shape::Unary { callers } => (callers, CALLERS_A_CONNECTION),
        Shape::Batch { callers, .. } => (callers, 1),
        Shape::Stream { streams, .. } => (streams, 1),
    };
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..count.div_ceil(a_connection) {
        clients.push(gateway.client().await?);
    }
    let clock = Stopwatch::start();
    let mut tasks = JoinSet::new();
    for client in clients.iter().cycle().take(count) {
        let caller = Caller {
            client: client.clone(),
            traffic: traffic.clone(),
            until,
            clock,
            tally: Tally::default(),
        };
        tasks.spawn(async move {
            match shape {
                Shape::Unary { .. } => caller.unary().await,
                Shape::Batch { size, .. } => caller.batch(size).await,
                Shape::Stream { window, .. } => caller.stream(window).await,
            }
        });
    }
    let mut tally = Tally::default();
    while let Some(done) = tasks.join_next().await {
        tally.merge(done.map_err(|error| format!("a caller of the load broke off: {error}"))?);
    }
    tally.span = match until {
        Until::Time { span, .. } => span,
        Until::Empty => clock.elapsed(),
    };
    tally.latencies.sort_unstable();
    Ok(tally)
}

struct Caller {
    client: Client,
    traffic: Arc<Traffic>,
    until: Until,
    clock: Stopwatch,
    tally: Tally,
}

impl Caller {
    /// The next intent, until it is time to end.
    fn next(&self) -> Option<SendNotificationRequest> {
        match self.until {
            Until::Time { warm, span } if self.clock.elapsed() >= warm + span => None,
            Until::Time { .. } | Until::Empty => self.traffic.request(),
        }
    }

    /// Counts an acknowledgement that has just come, for an intent sent at `sent`.
    fn acknowledged(&mut self, sent: Stopwatch) {
        self.tally.accepted += 1;
        let counts = match self.until {
            Until::Time { warm, span } => (warm..warm + span).contains(&self.clock.elapsed()),
            Until::Empty => true,
        };
        if counts {
            self.tally.counted += 1;
            self.tally.latencies.push(sent.elapsed());
        }
    }

    async fn unary(mut self) -> Tally {
        while let Some(request) = self.next() {
            let sent = Stopwatch::start();
            match self.client.notifications().send_notification(request).await {
                Ok(_) => self.acknowledged(sent),
                Err(status) => self.tally.failed(1, status),
            }
        }
        self.tally
    }

    async fn batch(mut self, size: usize) -> Tally {
        loop {
            let requests: Vec<_> = (0..size).map_while(|_| self.next()).collect();
            if requests.is_empty() {
                return self.tally;
            }
            let count = requests.len() as u64;
            let request = BatchSendNotificationsRequest {
                requests,
                return_partial_success: false,
            };
            let sent = Stopwatch::start();
            match self
                .client
                .notifications()
                .batch_send_notifications(request)
                .await
            {
                Ok(answer) => {
                    let accepted = answer.into_inner().accepted.len() as u64;
                    (0..accepted).for_each(|_| self.acknowledged(sent));
                    self.tally.errors += count - accepted;
                }
                Err(status) => self.tally.failed(count, status),
            }
        }
    }

    async fn stream(mut self, window: usize) -> Tally {
        let (requests, outgoing) = mpsc::channel(window);
        let mut requests = Some(requests);
        let mut service = self.client.notifications();
        let opened = service.stream_notifications(ReceiverStream::new(outgoing));
        // The gateway answers the call when the first item has come.
        let mut waiting: HashMap<i64, Stopwatch> = HashMap::with_capacity(window);
        let mut sequence = 0;
        self.fill(&mut requests, &mut waiting, &mut sequence, window);
        let mut answers = match opened.await {
            Ok(answers) => answers.into_inner(),
            Err(status) => {
                self.tally.failed(waiting.len() as u64, status);
                return self.tally;
            }
        };
        while let Some(answer) = answers.next().await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(status) => {
                    self.tally.failed(waiting.len() as u64, status);
                    return self.tally;
                }
            };
            let sent = waiting.remove(&answer.sequence);
            match (answer.result, sent) {
                (Some(Answer::Accepted(_)), Some(sent)) => self.acknowledged(sent),
                (Some(Answer::Error(status)), _) => {
                    let refusal = crate::client::Refusal::of_item(&status);
                    self.tally.failed(1, ClientError::Refused(refusal));
                }
                _ => self.tally.errors += 1,
            }
            self.fill(&mut requests, &mut waiting, &mut sequence, window);
        }
        self.tally.errors += waiting.len() as u64;
        self.tally
    }

    /// Sends until `window` are on their way, and ends the stream when it is time.
    fn fill(
        &self,
        requests: &mut Option<mpsc::Sender<StreamNotificationsRequest>>,
        waiting: &mut HashMap<i64, Stopwatch>,
        sequence: &mut i64,
        window: usize,
    ) {
        while let Some(sender) = requests.as_ref().filter(|_| waiting.len() < window) {
            let Some(request) = self.next() else {
                *requests = None;
                return;
            };
            let item = StreamNotificationsRequest {
                sequence: *sequence,
                request: Some(request),
            };
            if sender.try_send(item).is_err() {
                return;
            }
            waiting.insert(*sequence, Stopwatch::start());
            *sequence += 1;
        }
    }
}

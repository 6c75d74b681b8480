//! Real order events through the gRPC door in virtual time: what became of each is counted, explained and checked against the
//! policy. The project's own small sample runs always; the large data set runs where it is at hand.

mod support {
    #[expect(dead_code, reason = "each test file uses its part of it")]
    pub(crate) mod gateway;
}

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::gateway::Embedded;
use tidings::domain::notification::{AttemptResult, Record};
use tidings::domain::reason::State;
use tidings::proto::{
    self, BatchUpsertCustomersRequest, CancelNotificationRequest, Channel, ContactPoint, Customer,
    NotificationIntent, SendNotificationRequest, StreamNotificationsRequest,
    UpdatePreferencesRequest, UpsertCustomerRequest, cancel_notification_request,
    notification_intent, stream_notifications_response,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/orders")
        .join(name)
}

/// The large data set, beside the project or where the environment says.
fn large() -> Option<PathBuf> {
    let folder = std::env::var_os("TIDINGS_TEST_ORDERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/orders"),
        PathBuf::from,
    );
    folder.join("events.jsonl").exists().then_some(folder)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

/// A number that stays the same for an id: choices and addresses derive from it.
fn number(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn customer(line: &Value) -> (Customer, Option<Channel>) {
    let id = text(line, "customer_id");
    let number = number(id);
    let point = |channel: Channel, address: String| ContactPoint {
        channel: channel.into(),
        address,
        ..ContactPoint::default()
    };
    let contact_points = vec![
        point(Channel::Email, format!("{id}@customers.example.com")),
        // 555-0100 to 555-0199 belong to fiction.
        point(Channel::Sms, format!("+1202555{:04}", 100 + number % 100)),
        point(
            Channel::Chat,
            format!(
                "{}",
                100_000_000_000_000_000 + number % 800_000_000_000_000_000
            ),
        ),
    ];
    let preferred = match number / 1000 % 10 {
        0..=4 => Some(Channel::Email),
        5..=6 => Some(Channel::Sms),
        7 => Some(Channel::Chat),
        _ => None,
    };
    let customer = Customer {
        name: format!("customers/{id}"),
        locale: text(line, "locale").into(),
        time_zone: text(line, "time_zone").into(),
        contact_points,
        source_version: 1,
        ..Customer::default()
    };
    (customer, preferred)
}

/// What a service does at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Timestamp,
    /// Keeps the order of the file among equals.
    serial: usize,
    order: String,
    customer: String,
    event: String,
    line: String,
}

fn intent(due: &Due) -> Option<NotificationIntent> {
    let order = json!({"number": due.order});
    let line: Value = serde_json::from_str(&due.line).unwrap();
    let mut collapse_key = String::new();
    let (template, variables) = match due.event.as_str() {
        "order.placed" => ("order.confirmation", confirmation(&line, due)),
        "order.shipped" => {
            let shipment = json!({"estimated_delivery": text(&line, "estimated_delivery")});
            (
                "order.shipped",
                json!({"order": order, "shipment": shipment}),
            )
        }
        "order.delayed" => {
            collapse_key = format!("delivery:{}", due.order);
            // The events say that it is late, not until when: the shop promises another five days.
            let estimate = due
                .at
                .checked_add(SignedDuration::from_hours(24 * 5))
                .unwrap();
            let day = estimate.to_zoned(TimeZone::UTC).date().to_string();
            let delivery = json!({"estimated_delivery": day});
            (
                "delivery.delayed",
                json!({"order": order, "delivery": delivery}),
            )
        }
        "order.delivered" => (
            "delivery.delivered",
            json!({"order": order, "delivery": {"delivered_at": text(&line, "at")}}),
        ),
        "order.cancelled" => ("order.cancelled", json!({"order": order})),
        "satisfaction" => {
            let base = format!("https://shop.example/s/{}", due.order);
            (
                "satisfaction.check",
                json!({"order": order, "happy_url": format!("{base}/happy"), "unhappy_url": format!("{base}/help")}),
            )
        }
        "review" => {
            let url = format!("https://shop.example/review/{}", due.order);
            (
                "review.request",
                json!({"product": {"id": due.order, "name": "your order"}, "review_url": url}),
            )
        }
        "payment.approved" => return None,
        other => panic!("an event that nobody knows: {other}"),
    };
    Some(NotificationIntent {
        recipient: Some(notification_intent::Recipient::CustomerId(
            due.customer.clone(),
        )),
        template: template.into(),
        variables: Some(proto::structure(variables.as_object().unwrap())),
        event_time: Some(proto::wire_time(due.at)),
        collapse_key,
        cancellation_key: if due.event == "order.cancelled" {
            String::new()
        } else {
            format!("orders/{}", due.order)
        },
        reference: format!("orders/{}", due.order),
        labels: BTreeMap::from([("event".to_owned(), due.event.clone())]),
        ..NotificationIntent::default()
    })
}

fn confirmation(line: &Value, due: &Due) -> Value {
    let lines: Vec<Value> = line["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| json!({"name": text(item, "category").replace('_', " "), "quantity": 1, "price": text(item, "price"), "sku": text(item, "product_id")}))
        .collect();
    json!({"order": {
        "number": due.order, "placed_at": text(line, "at"), "total": text(line, "total"), "currency": text(line, "currency"),
        "estimated_delivery": text(line, "estimated_delivery"), "lines": lines
    }})
}

/// All that happens, the checks and requests that follow a delivery included.
fn timeline(events: &[Value]) -> BinaryHeap<Reverse<Due>> {
    let mut heap = BinaryHeap::new();
    for (serial, line) in events.iter().enumerate() {
        let at: Timestamp = text(line, "at").parse().unwrap();
        let due = Due {
            at,
            serial,
            order: text(line, "order_id").into(),
            customer: text(line, "customer_id").into(),
            event: text(line, "event").into(),
            line: line.to_string(),
        };
        if due.event == "order.delivered" {
            for (event, days) in [("satisfaction", 3), ("review", 7)] {
                let at = at
                    .checked_add(SignedDuration::from_hours(24 * days))
                    .unwrap();
                heap.push(Reverse(Due {
                    at,
                    event: event.into(),
                    ..due.clone()
                }));
            }
        }
        heap.push(Reverse(due));
    }
    heap
}

async fn introduce(gateway: &Embedded, customers: &[Value]) {
    for chunk in customers.chunks(500) {
        let (requests, preferences): (Vec<_>, Vec<_>) = chunk.iter().map(customer).unzip();
        let names: Vec<String> = requests
            .iter()
            .map(|customer| customer.name.clone())
            .collect();
        let requests = requests
            .into_iter()
            .map(|customer| UpsertCustomerRequest {
                customer: Some(customer),
                update_mask: None,
            })
            .collect();
        let answer = gateway
            .client
            .customers()
            .batch_upsert_customers(BatchUpsertCustomersRequest { requests })
            .await
            .unwrap()
            .into_inner();
        assert!(
            answer.failed_requests.is_empty(),
            "{:?}",
            answer.failed_requests
        );
        for (name, preferred) in names.into_iter().zip(preferences) {
            let Some(preferred) = preferred else { continue };
            let preferences = proto::Preferences {
                customer_id: name.trim_start_matches("customers/").into(),
                channel_order: vec![preferred.into()],
                ..proto::Preferences::default()
            };
            let request = UpdatePreferencesRequest {
                preferences: Some(preferences),
                update_mask: None,
            };
            gateway
                .client
                .customers()
                .update_preferences(request)
                .await
                .unwrap();
        }
    }
}

/// Plays the events; answers with how many intents were accepted.
async fn play(gateway: &Embedded, events: &[Value]) -> u64 {
    let mut timeline = timeline(events);
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = gateway
        .client
        .notifications()
        .stream_notifications(stream)
        .await
        .unwrap()
        .into_inner();
    let mut accepted = 0;
    while let Some(Reverse(due)) = timeline.pop() {
        gateway.run_until(due.at).await;
        if due.event == "order.cancelled" {
            let target = cancel_notification_request::Target::CancellationKey(format!(
                "orders/{}",
                due.order
            ));
            gateway
                .client
                .notifications()
                .cancel_notification(CancelNotificationRequest {
                    target: Some(target),
                })
                .await
                .unwrap();
        }
        let Some(intent) = intent(&due) else { continue };
        let request_id = format!("{}:{}:{}", due.order, due.event, due.serial);
        let request = SendNotificationRequest {
            intent: Some(intent),
            request_id,
            validate_only: false,
        };
        let sequence = i64::try_from(accepted).unwrap();
        sender
            .send(StreamNotificationsRequest {
                sequence,
                request: Some(request),
            })
            .await
            .unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.sequence, sequence);
        assert!(
            matches!(
                answer.result,
                Some(stream_notifications_response::Result::Accepted(_))
            ),
            "{answer:?}"
        );
        accepted += 1;
    }
    // Whatever still waits gets its time: the longest expiry is far behind then.
    let end = gateway
        .clock
        .now_at()
        .checked_add(SignedDuration::from_hours(24 * 30))
        .unwrap();
    gateway.run_until(end).await;
    accepted
}

/// Counts by event, channel, state, reason; and every state has its reason and a trace.
fn report(records: &[Record], accepted: u64) -> BTreeMap<String, u64> {
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for record in records {
        let notification = &record.notification;
        assert!(
            notification.status.state.is_final(),
            "{} still {:?}",
            notification.id,
            notification.status
        );
        assert!(
            notification
                .decision
                .as_ref()
                .is_some_and(|decision| !decision.steps.is_empty()),
            "{} has no trace",
            notification.id
        );
        let channel = record
            .messages
            .last()
            .map_or("-", |message| message.channel.as_str());
        let event = notification
            .intent
            .labels
            .get("event")
            .map_or("-", String::as_str);
        let status = notification.status;
        *rows
            .entry(format!(
                "{event:<16} {channel:<6} {:<10} {}",
                status.state, status.reason
            ))
            .or_default() += 1;
    }
    println!("{:<16} {:<6} {:<10} reason", "event", "channel", "state");
    rows.iter()
        .for_each(|(row, count)| println!("{row:<60} {count}"));
    assert_eq!(
        rows.values().sum::<u64>(),
        accepted,
        "accepted = sum over states"
    );
    rows
}

struct Sent {
    at: Timestamp,
    zone: TimeZone,
    record: Record,
}

/// What reached a customer, by customer, in order of time.
fn sent(records: &[Record], zones: &BTreeMap<String, TimeZone>) -> BTreeMap<String, Vec<Sent>> {
    let mut by_customer: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| record.notification.status.state == State::Sent)
    {
        let id = record.notification.intent.customer.as_str().to_owned();
        let attempt = record
            .attempts
            .iter()
            .find(|attempt| attempt.result == AttemptResult::Ok)
            .unwrap();
        let zone = zones[&id].clone();
        by_customer.entry(id).or_default().push(Sent {
            at: attempt.start_time,
            zone,
            record: record.clone(),
        });
    }
    by_customer
        .values_mut()
        .for_each(|list| list.sort_by_key(|sent| sent.at));
    by_customer
}

/// Reads the promise from the outside: nothing in the night, never more than the caps.
fn keep_the_promise(by_customer: &BTreeMap<String, Vec<Sent>>, caps: &[(i64, usize)]) {
    use tidings::domain::channel::Category::{Marketing, Relationship};
    for (customer, list) in by_customer {
        for (at, one) in list.iter().enumerate() {
            if !matches!(one.record.notification.category, Relationship | Marketing) {
                continue;
            }
            let local = one.at.to_zoned(one.zone.clone());
            assert!(
                (8..21).contains(&local.hour()),
                "{customer} heard at {local}"
            );
            for (days, max) in caps {
                let opened = one
                    .at
                    .checked_sub(SignedDuration::from_hours(24 * days))
                    .unwrap();
                let heard = list
                    .iter()
                    .take(at + 1)
                    .filter(|other| other.at > opened)
                    .count();
                assert!(
                    heard <= *max,
                    "{customer} heard {heard} in {days} d before {local}"
                );
            }
        }
    }
}

/// How many were ever held for a reason: the store's events tell.
async fn held(gateway: &Embedded, reason: &str) -> usize {
    let mut ids = std::collections::BTreeSet::new();
    let mut behind = 0;
    loop {
        let events = gateway.events(behind).await;
        let Some(last) = events.last() else {
            return ids.len();
        };
        behind = last.sequence;
        ids.extend(
            events
                .iter()
                .filter(|event| event.status.reason.as_str() == reason)
                .map(|event| event.notification),
        );
    }
}

async fn run(folder: &Path, policy: Option<&str>, caps: &[(i64, usize)]) -> (usize, usize) {
    let (customers, events) = (
        lines(&folder.join("customers.jsonl")),
        lines(&folder.join("events.jsonl")),
    );
    let first: Timestamp = text(&events[0], "at").parse().unwrap();
    let gateway = Embedded::start_at(first, policy).await;
    introduce(&gateway, &customers).await;
    let accepted = play(&gateway, &events).await;
    let records = gateway.all().await;
    report(&records, accepted);
    let zone = |line: &Value| {
        (
            text(line, "customer_id").to_owned(),
            TimeZone::get(text(line, "time_zone")).unwrap(),
        )
    };
    keep_the_promise(&sent(&records, &customers.iter().map(zone).collect()), caps);
    let counts = (
        held(&gateway, "QUIET_HOURS").await,
        held(&gateway, "BUDGET_EXCEEDED").await,
    );
    println!("held by quiet hours {}, by budget {}", counts.0, counts.1);
    gateway.stop().await;
    counts
}

const SHIPPED: [(i64, usize); 2] = [(1, 1), (7, 3)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_sample_is_played_and_explained() {
    let (quiet, _) = run(&data(""), None, &SHIPPED).await;
    assert!(quiet > 0, "nobody was left in peace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_large_data_set_keeps_quiet_hours() {
    let Some(folder) = large() else {
        println!("skipped: ../shared/data/orders is not at hand");
        return;
    };
    let (quiet, _) = run(&folder, None, &SHIPPED).await;
    assert!(quiet >= 100, "{quiet}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_large_data_set_keeps_a_strict_budget() {
    let Some(folder) = large() else {
        println!("skipped: ../shared/data/orders is not at hand");
        return;
    };
    let strict = "[[budgets]]\nname = \"fortnight\"\ncategories = [\"relationship\", \"marketing\"]\nwindow = \"14d\"\nmax = 1\nper_subject = false\n";
    let (_, budget) = run(&folder, Some(strict), &[(14, 1)]).await;
    assert!(budget >= 100, "{budget}");
}

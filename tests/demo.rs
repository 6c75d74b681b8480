//! The first thing that somebody sees: `tidings demo` tells its story truly, and ends without a trace.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod support {
    pub(crate) mod demo;
}

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use jiff::tz::TimeZone;
use support::demo::Demo;
use tidings::client::Client;
use tidings::proto::{
    self, Channel, ListNotificationsRequest, Notification, notification, notification_intent,
};

const COLUMNS: [&str; 7] = [
    "what happened",
    "customer",
    "template",
    "channel",
    "state",
    "reason",
    "why",
];

/// The table that the demo prints as a whole, by the places of its headers.
fn table(lines: &[String]) -> Option<Vec<[String; 7]>> {
    let at = lines
        .iter()
        .position(|line| line.trim_start().starts_with(COLUMNS[0]))?;
    let places = COLUMNS.map(|column| lines[at].find(column).unwrap());
    let body = &lines[at + 1..];
    // The line about the repeated request is the last.
    let end = body.iter().position(String::is_empty)?;
    body.get(end + 1)?;
    let cell = |line: &str, column: usize| {
        let to = places.get(column + 1).copied().unwrap_or(usize::MAX);
        let chars = line.chars().skip(places[column]);
        let cell: String = chars.take(to - places[column]).collect();
        cell.trim().to_owned()
    };
    let row = |line: &String| std::array::from_fn(|column| cell(line, column));
    Some(body[..end].iter().map(row).collect())
}

async fn all(client: &Client, filter: &str) -> Vec<Notification> {
    let request = ListNotificationsRequest {
        page_size: 200,
        order_by: "create_time asc".into(),
        filter: filter.into(),
        ..ListNotificationsRequest::default()
    };
    let answer = client.notifications().list_notifications(request).await;
    answer.unwrap().into_inner().notifications
}

/// A notification as the table should show it; why is the demo's own choice of words.
fn told(notification: &Notification) -> [String; 6] {
    let intent = notification.intent.clone().unwrap();
    let customer = match intent.recipient {
        Some(notification_intent::Recipient::CustomerId(id)) => id,
        _ => "a guest".into(),
    };
    let channels = notification.messages.iter().map(|message| {
        let channel = message.channel();
        assert_ne!(channel, Channel::Unspecified);
        channel
            .as_str_name()
            .trim_start_matches("CHANNEL_")
            .to_lowercase()
    });
    let state = notification.state().as_str_name();
    [
        intent.labels["demo"].clone(),
        customer,
        intent.template,
        channels.collect::<Vec<_>>().join("+"),
        state.trim_start_matches("STATE_").to_owned(),
        notification.state_reason.clone(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_its_story_and_all_of_it_is_true() {
    let demo = Demo::start("600x");
    let rows = demo.until(table);
    let client = Client::connect(&demo.grpc).await.unwrap();

    let shown: Vec<[String; 6]> = rows
        .iter()
        .map(|row| std::array::from_fn(|column| row[column].clone()))
        .collect();
    let held: Vec<[String; 6]> = all(&client, "").await.iter().map(told).collect();
    assert_eq!(shown, held, "the table is what the gateway says");

    let row = |reason: &str| {
        let found = rows.iter().find(|row| row[5] == reason);
        found.unwrap_or_else(|| panic!("no {reason} in {rows:#?}"))
    };
    for channel in ["email", "sms", "chat"] {
        let sent = |row: &&[String; 7]| row[3] == channel && row[4] == "SENT";
        assert!(rows.iter().any(|it| sent(&it)), "nothing sent by {channel}");
    }
    for (reason, state, why) in [
        ("BUDGET_EXCEEDED", "SCHEDULED", "budget: contact_per_day"),
        ("QUIET_HOURS", "SCHEDULED", "quiet_hours: 21:"),
        ("CONSENT_MISSING", "SUPPRESSED", "never given"),
        ("CANCELLED", "CANCELLED", "called it off"),
        ("COLLAPSED", "SUPPRESSED", "collapse: a newer one"),
        ("DUPLICATE_ONCE_KEY", "SUPPRESSED", "request: another"),
    ] {
        let row = row(reason);
        assert_eq!(row[4], state, "{row:?}");
        assert!(row[6].contains(why), "{row:?}");
        assert_eq!(row[3], "", "nothing was made for {row:?}");
    }
    let title = &rows[0][0];
    let recognised = format!("\"{title}\" came twice with one request id: recognised");
    demo.until(|lines| {
        lines
            .iter()
            .find(|line| line.starts_with(&recognised))
            .cloned()
    });
    assert_eq!(rows.iter().filter(|row| row[0] == *title).count(), 1);

    // The night passes in a minute. What was held for it goes out in the morning of its customer, and not before.
    let filter = "customer_id = kaisa";
    let mut sent = None;
    for _ in 0..600 {
        let [review] = all(&client, filter).await.try_into().unwrap();
        if review.state() == notification::State::Sent {
            sent = Some(review);
            break;
        }
        // The template's own window opens an hour after the quiet hours end.
        let held = ["QUIET_HOURS", "OUTSIDE_SEND_WINDOW"].contains(&review.state_reason.as_str());
        assert!(
            held || review.state() != notification::State::Scheduled,
            "{review:?}"
        );
        assert!(!held || review.messages.is_empty(), "{review:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let sent = sent.expect("the review request goes out after the night");
    let [message] = sent.messages.as_slice() else {
        panic!("{sent:?}")
    };
    for attempt in &message.attempts {
        let helsinki = TimeZone::get("Europe/Helsinki").unwrap();
        let at = proto::time(attempt.start_time.as_ref().unwrap()).unwrap();
        let there = at.to_zoned(helsinki);
        assert_eq!(there.date().to_string(), "2026-11-24");
        assert!((8..12).contains(&there.hour()), "{there}");
    }
    assert_eq!(message.attempts.len(), 1);
    demo.until(|lines| {
        let sent = |line: &&String| line.contains("\tkaisa\treview.request\temail\tSENT\t");
        lines.iter().find(sent).cloned()
    });
    let tables = |lines: &[String]| {
        let heads = lines.iter().filter(|line| line.contains(COLUMNS[0]));
        Some(heads.count())
    };
    assert_eq!(demo.until(tables), 1, "the whole table is printed once");
    demo.end();
}

#[test]
fn a_taken_port_is_one_line_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (ports, option) in [
        (["--port", &port, "--ui-port", "0"], "--port"),
        (["--port", "0", "--ui-port", &port], "--ui-port"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["demo", "--headless"])
            .args(ports)
            .env("TMPDIR", folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        let advice = format!("give {option} another port");
        assert!(said.contains(&port) && said.contains(&advice), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

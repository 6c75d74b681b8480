//! The table of the demo: read by ListNotifications, the reasons by ExplainNotification, again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::LOOK;
use crate::cli::{self, Canvas, Size};
use crate::client::{Client, ClientError};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::domain::reason::Reason;
use crate::proto::decision_step::Outcome;
use crate::proto::{
    self, DecisionStep, ExplainNotificationRequest, ListNotificationsRequest, Notification,
    explain_notification_request, notification, notification_intent,
};

/// Of the columns.
const HEAD: [&str; 7] = [
    "what happened",
    "customer",
    "template",
    "channel",
    "state",
    "reason",
    "why",
];

/// From this width on a terminal has room for all columns.
const WIDE: usize = 130;

/// One row, as the gateway tells it.
#[derive(Clone, PartialEq)]
struct Row {
    name: String,
    title: String,
    customer: String,
    template: String,
    channel: String,
    state: String,
    reason: String,
    why: String,
    open: bool,
}

/// Shows the table: in its place on a canvas, else line by line as rows change, and once as a whole when all that can be decided is.
/// `recognised` is set when the story is told.
pub(super) async fn watch(
    client: &Client,
    clock: Arc<dyn Clock>,
    mut canvas: Option<Canvas>,
    recognised: &OnceLock<String>,
) {
    let mut shown: BTreeMap<String, Row> = BTreeMap::new();
    let mut whole = false;
    loop {
        // Looked at before reading: what was read then is the whole story.
        let told = recognised.get();
        match read(client, &shown).await {
            Ok(rows) => {
                if let Some(canvas) = &mut canvas {
                    canvas.draw(&picture(&rows, clock.now(), told, canvas.size()));
                } else {
                    rows.iter()
                        .filter(|row| shown.get(&row.name) != Some(*row))
                        .for_each(|row| cli::line(&line(clock.now(), row)));
                    let moving = rows.iter().any(|row| row.open);
                    if let Some(name) = told.filter(|_| !whole && !moving) {
                        whole = true;
                        cli::line(&format!("\n{}", all(&rows, name)));
                    }
                }
                shown = rows
                    .into_iter()
                    .map(|row| (row.name.clone(), row))
                    .collect();
            }
            Err(error) => cli::complain(&error.to_string()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The rows as they are now. Why is asked again only where something has changed.
async fn read(client: &Client, shown: &BTreeMap<String, Row>) -> Result<Vec<Row>, ClientError> {
    let request = ListNotificationsRequest {
        page_size: 200,
        order_by: "create_time asc".into(),
        ..ListNotificationsRequest::default()
    };
    let listed = client
        .notifications()
        .list_notifications(request)
        .await?
        .into_inner()
        .notifications;
    let mut rows = Vec::with_capacity(listed.len());
    for notification in listed {
        let mut row = row(notification);
        match shown.get(&row.name) {
            Some(before) if (&before.state, &before.reason) == (&row.state, &row.reason) => {
                row.why.clone_from(&before.why);
            }
            _ => row.why = why(client, &row).await?,
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The step that led here: the choice of the channel for what goes out, the one that objected for what does not, else what the
/// reason means.
async fn why(client: &Client, row: &Row) -> Result<String, ClientError> {
    let subject = Some(explain_notification_request::Subject::Name(
        row.name.clone(),
    ));
    let request = ExplainNotificationRequest {
        subject,
        evaluate_time: None,
    };
    let steps = client
        .notifications()
        .explain_notification(request)
        .await?
        .into_inner()
        .steps;
    let objected = |step: &&DecisionStep| {
        matches!(step.outcome(), Outcome::Delay | Outcome::Stop) && step.reason == row.reason
    };
    let deciding = match row.state.as_str() {
        "ACCEPTED" | "PROCESSING" | "SENT" => steps.iter().find(|step| step.rule == "choice"),
        _ => steps.iter().rfind(objected),
    };
    let meaning = || {
        row.reason
            .parse::<Reason>()
            .map_or("", |reason| reason.sentence())
            .to_owned()
    };
    Ok(deciding.map_or_else(meaning, |step| format!("{}: {}", step.rule, step.summary)))
}

fn row(notification: Notification) -> Row {
    let state = notification.state();
    let open = matches!(
        state,
        notification::State::Accepted | notification::State::Processing
    );
    let channels: Vec<&str> = notification
        .messages
        .iter()
        .map(|message| channel(message.channel()))
        .collect();
    let intent = notification.intent.unwrap_or_default();
    let customer = match &intent.recipient {
        Some(notification_intent::Recipient::CustomerId(id)) => id.clone(),
        _ => "a guest".into(),
    };
    Row {
        name: notification.name,
        title: intent.labels.get("demo").cloned().unwrap_or_default(),
        customer,
        template: intent.template,
        channel: channels.join("+"),
        state: state.as_str_name().trim_start_matches("STATE_").to_owned(),
        reason: notification.state_reason,
        why: String::new(),
        open,
    }
}

fn channel(channel: proto::Channel) -> &'static str {
    match channel {
        proto::Channel::Email => Channel::Email.as_str(),
        proto::Channel::Sms => Channel::Sms.as_str(),
        proto::Channel::Chat => Channel::Chat.as_str(),
        proto::Channel::Unspecified => "",
    }
}

fn local(now: Timestamp) -> String {
    let berlin = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
    now.to_zoned(berlin)
        .strftime("%a %H:%M in Berlin")
        .to_string()
}

fn line(now: Timestamp, row: &Row) -> String {
    [
        &local(now),
        &row.customer,
        &row.template,
        &row.channel,
        &row.state,
        &row.reason,
        &row.why,
    ]
    .map(String::as_str)
    .join("\t")
}

fn cells(row: &Row) -> [&str; 7] {
    [
        &row.title,
        &row.customer,
        &row.template,
        &row.channel,
        &row.state,
        &row.reason,
        &row.why,
    ]
}

/// The whole table, a line a row.
fn all(rows: &[Row], recognised: &str) -> String {
    let table = cli::table(&HEAD, rows.iter().map(|row| cells(row).to_vec()));
    let twice = twice(rows, recognised).map_or_else(String::new, |words| format!("\n\n{words}"));
    format!("{table}{twice}")
}

/// The table as it fits: whose and of which template on a wide terminal, why below what was not sent as far as there is room.
fn picture(rows: &[Row], now: Timestamp, recognised: Option<&String>, size: Size) -> Vec<String> {
    let columns: &[usize] = if size.width < WIDE {
        &[0, 3, 4, 5]
    } else {
        &[0, 1, 2, 3, 4, 5]
    };
    let pick = |cells: [&str; 7]| -> Vec<String> {
        let picked = columns.iter().filter_map(|at| cells.get(*at));
        picked.map(|cell| (*cell).to_owned()).collect()
    };
    let table: Vec<Vec<String>> = [pick(HEAD)]
        .into_iter()
        .chain(rows.iter().map(|row| pick(cells(row))))
        .collect();
    let wide = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(wide).collect();
    let mut lines = table.iter().map(|row| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });

    let mut drawn = vec![local(now), String::new()];
    drawn.extend(lines.next());
    let end = recognised.and_then(|name| twice(rows, name));
    let end = end.map_or_else(Vec::new, |words| wrapped(&words, size.width));
    let fixed = drawn.len() + rows.len() + 1 + end.len();
    let mut room = size.height.saturating_sub(fixed);
    for (row, line) in rows.iter().zip(lines) {
        drawn.push(line);
        let why = wrapped(&row.why, size.width.saturating_sub(4));
        if row.state != "SENT" && why.len() <= room {
            room -= why.len();
            drawn.extend(why.iter().map(|line| format!("    {line}")));
        }
    }
    drawn.push(String::new());
    drawn.extend(end);
    drawn
}

fn twice(rows: &[Row], recognised: &str) -> Option<String> {
    let row = rows.iter().find(|row| row.name == recognised)?;
    Some(format!(
        "\"{}\" came twice with one request id: recognised, still one notification.",
        row.title
    ))
}

/// The words in lines of at most `width` characters; a longer word stands alone.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, why: &str) -> Row {
        Row {
            name: "notifications/1".into(),
            title: "Ada has ordered".into(),
            customer: "ada".into(),
            template: "order.confirmation".into(),
            channel: "email".into(),
            state: state.into(),
            reason: "HANDED_OVER".into(),
            why: why.into(),
            open: false,
        }
    }

    #[test]
    fn a_picture_fits_its_terminal_and_tells_why_where_there_is_room() {
        let why =
            "budget: contact_per_day allows 1 in a day, 2 counted, the next place is free tomorrow";
        let rows = [row("SENT", "choice"), row("SCHEDULED", why)];
        let name = "notifications/1".to_owned();
        for (width, height, told) in [
            (80, 24, true),
            (80, 8, false),
            (200, 24, true),
            (50, 24, true),
        ] {
            let size = Size { width, height };
            let drawn = picture(&rows, Timestamp::UNIX_EPOCH, Some(&name), size);
            assert!(drawn.len() <= height.max(8), "{drawn:#?}");
            assert_eq!(
                drawn.iter().any(|line| line.contains("budget:")),
                told,
                "{drawn:#?}"
            );
            assert_eq!(
                drawn.iter().any(|line| line.contains("tomorrow")),
                told,
                "{drawn:#?}"
            );
            let head = drawn.iter().find(|line| line.starts_with("what")).unwrap();
            assert_eq!(head.contains("template"), width >= WIDE);
            let long = drawn
                .iter()
                .find(|line| line.chars().count() > width.max(62));
            assert_eq!(long, None);
        }
    }
}

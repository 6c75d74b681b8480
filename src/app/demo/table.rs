//! The table of the demo: read by ListNotifications, the reasons by ExplainNotification, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::LOOK;
use crate::cli;
use crate::client::{Client, ClientError};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::proto::{
    self, ExplainNotificationRequest, ListNotificationsRequest, Notification,
    explain_notification_request, notification, notification_intent,
};

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

/// Shows the table until `stop`: redrawn on a terminal, line by line as rows change when `plain`.
pub(super) async fn watch(
    client: Client,
    clock: Arc<dyn Clock>,
    plain: bool,
    duplicate: String,
    stop: CancellationToken,
) {
    let mut shown: BTreeMap<String, Row> = BTreeMap::new();
    let mut whole = false;
    let mut drawn = 0;
    loop {
        match read(&client).await {
            Ok(rows) => {
                let changed: Vec<&Row> = rows
                    .iter()
                    .filter(|row| shown.get(&row.name) != Some(*row))
                    .collect();
                if plain {
                    changed
                        .iter()
                        .for_each(|row| cli::line(&line(clock.now(), row)));
                    let moving = rows.iter().any(|row| row.open);
                    if !whole && !moving && !rows.is_empty() {
                        whole = true;
                        cli::line("");
                        cli::line(&draw(&rows, &duplicate));
                    }
                } else if !changed.is_empty() {
                    let table = format!("{}\n\n{}", local(clock.now()), draw(&rows, &duplicate));
                    cli::redraw(drawn, &table);
                    drawn = table.lines().count();
                }
                shown = rows
                    .into_iter()
                    .map(|row| (row.name.clone(), row))
                    .collect();
            }
            Err(error) => cli::complain(&error.to_string()),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn read(client: &Client) -> Result<Vec<Row>, ClientError> {
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
        let why = why(client, &notification.name).await?;
        rows.push(row(notification, why));
    }
    Ok(rows)
}

/// The step that decided: the one that objected, else the choice of the channel.
async fn why(client: &Client, name: &str) -> Result<String, ClientError> {
    let subject = Some(explain_notification_request::Subject::Name(name.to_owned()));
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
    let objected = |step: &&proto::DecisionStep| {
        matches!(
            step.outcome(),
            proto::decision_step::Outcome::Delay | proto::decision_step::Outcome::Stop
        )
    };
    let deciding = steps
        .iter()
        .rfind(objected)
        .or_else(|| steps.iter().find(|step| step.rule == "choice"));
    Ok(deciding
        .map(|step| format!("{}: {}", step.rule, step.summary))
        .unwrap_or_default())
}

fn row(notification: Notification, why: String) -> Row {
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
        why,
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

fn draw(rows: &[Row], duplicate: &str) -> String {
    let head = [
        "what happened",
        "customer",
        "template",
        "channel",
        "state",
        "reason",
        "why",
    ];
    let cells = rows.iter().map(|row| {
        [
            &row.title,
            &row.customer,
            &row.template,
            &row.channel,
            &row.state,
            &row.reason,
            &row.why,
        ]
        .map(String::as_str)
        .to_vec()
    });
    let mut drawn = cli::table(&head, cells);
    if let Some(row) = rows.iter().find(|row| row.name == duplicate) {
        drawn.push_str(&format!("\n\nThe request of \"{}\" came twice and was recognised: {} is still one notification.", row.title, row.name));
    }
    drawn
}

//! `tidings notifications`: list, view, cancel.

use super::args::NotificationsCommand;
use super::failure::Failure;
use super::output::{Output, Style, Tone, Toned, note};
use super::session::Session;
use super::show;
use crate::client::Target;
use crate::proto::cancel_notification_request::Target as Subject;
use crate::proto::{self, CancelNotificationRequest, ListNotificationsRequest, Notification};

/// The largest page that the service gives.
const PAGE_MAX: u32 = 1000;

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    command: NotificationsCommand,
) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    match command {
        NotificationsCommand::List { filter, limit } => {
            list(&session, output, filter.unwrap_or_default(), limit).await
        }
        NotificationsCommand::View { notification } => {
            view(&session, output, &show::name(&notification)).await
        }
        NotificationsCommand::Cancel { notification, key } => {
            let target = match (notification, key) {
                (Some(given), _) => Subject::Name(show::name(&given)),
                (None, key) => Subject::CancellationKey(key.unwrap_or_default()),
            };
            cancel(&session, output, target).await
        }
    }
}

async fn list(
    session: &Session,
    output: &mut Output,
    filter: String,
    limit: u32,
) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut left = limit;
    let mut page_token = String::new();
    while left > 0 {
        let request = ListNotificationsRequest {
            page_size: i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX),
            page_token,
            filter: filter.clone(),
            order_by: String::new(),
        };
        let page = session.list(request).await?;
        for notification in page.notifications.iter().take(left as usize) {
            if output.is_json() {
                output.json_line(&session.write("Notification", notification)?)?;
            } else {
                rows.push(row(output, notification));
            }
        }
        left = left.saturating_sub(u32::try_from(page.notifications.len()).unwrap_or(u32::MAX));
        if output.style == Style::Plain {
            output.table(&[], &rows)?;
            rows.clear();
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if output.style == Style::Terminal && rows.is_empty() {
        note("there are no such notifications");
    } else if output.style == Style::Terminal {
        output.table(
            &[
                "CREATED",
                "NOTIFICATION",
                "TEMPLATE",
                "CUSTOMER",
                "STATE",
                "NEXT",
            ],
            &rows,
        )?;
    }
    Ok(())
}

fn row(output: &Output, notification: &Notification) -> Vec<Toned> {
    vec![
        output.time(notification.create_time.as_ref()).into(),
        show::id(&notification.name).into(),
        show::template(notification).into(),
        show::recipient(notification.intent.as_ref()).into(),
        Toned(show::status(notification), show::tone(notification)),
        output.time(notification.next_attempt_time.as_ref()).into(),
    ]
}

async fn view(session: &Session, output: &mut Output, name: &str) -> Result<(), Failure> {
    let notification = session.notification(name).await?;
    if output.is_json() {
        return Ok(output.json(&session.write("Notification", &notification)?)?);
    }
    let reference = notification
        .intent
        .as_ref()
        .map(|intent| intent.reference.clone());
    output.fields(&[
        ("notification", show::id(&notification.name).into()),
        ("template", show::template(&notification).into()),
        (
            "revision",
            show::or_dash(&notification.template_revision).into(),
        ),
        (
            "customer",
            show::recipient(notification.intent.as_ref()).into(),
        ),
        (
            "reference",
            show::or_dash(&reference.unwrap_or_default()).into(),
        ),
        (
            "state",
            Toned(show::status(&notification), show::tone(&notification)),
        ),
        (
            "created",
            output.time(notification.create_time.as_ref()).into(),
        ),
        (
            "changed",
            output.time(notification.update_time.as_ref()).into(),
        ),
        (
            "next",
            output.time(notification.next_attempt_time.as_ref()).into(),
        ),
    ])?;
    messages(output, &notification.messages)?;
    if output.style == Style::Terminal {
        let hint = format!("why: tidings explain {}", show::id(&notification.name));
        let hint = output.paint(&hint, Tone::Quiet);
        output.line(&hint)?;
    }
    Ok(())
}

/// A row for each attempt, or one for a message that had none.
fn messages(output: &mut Output, messages: &[proto::Message]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for message in messages {
        let start = [
            show::channel(message.channel),
            show::or_dash(&message.provider),
            show::message_state(message),
        ];
        if message.attempts.is_empty() {
            rows.push(
                start
                    .iter()
                    .cloned()
                    .chain(["-", "-", "-"].map(str::to_owned))
                    .map(Toned::from)
                    .collect(),
            );
        }
        for attempt in &message.attempts {
            let end = [
                attempt.attempt_number.to_string(),
                output.time(attempt.start_time.as_ref()),
                show::or_dash(&attempt.provider_reply),
            ];
            rows.push(start.iter().cloned().chain(end).map(Toned::from).collect());
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.line("")?;
    Ok(output.table(
        &["CHANNEL", "PROVIDER", "STATE", "TRY", "AT", "REPLY"],
        &rows,
    )?)
}

async fn cancel(session: &Session, output: &mut Output, target: Subject) -> Result<(), Failure> {
    let answer = session
        .cancel(CancelNotificationRequest {
            target: Some(target),
        })
        .await?;
    if output.is_json() {
        return Ok(output.json(&session.write("CancelNotificationResponse", &answer)?)?);
    }
    output.fields(&[
        ("cancelled", answer.cancelled_count.to_string().into()),
        ("too late", answer.missed_count.to_string().into()),
    ])?;
    Ok(())
}

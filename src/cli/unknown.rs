//! `tidings unknown`: list what nobody knows the end of, and say what became of it.

use super::args::{UnknownCommand, Verdict};
use super::failure::Failure;
use super::output::{Output, Style, Toned, note};
use super::session::Session;
use super::show;
use crate::client::Target;
use crate::proto::resolve_unknown_request::Resolution;
use crate::proto::{ListUnknownRequest, ResolveUnknownRequest, UnknownNotification};

/// The largest page that the service gives.
const PAGE_MAX: u32 = 1000;

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    command: UnknownCommand,
) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    match command {
        UnknownCommand::List { limit } => list(&session, output, limit).await,
        UnknownCommand::Resolve {
            notification,
            message,
            verdict,
            reason,
        } => {
            let name = show::name(&notification);
            let request = ResolveUnknownRequest {
                name: match message {
                    Some(message) => format!("{name}/messages/{}", show::id(&message)),
                    None => name,
                },
                resolution: match verdict {
                    Verdict::Sent => Resolution::Sent,
                    Verdict::Resend => Resolution::Resend,
                    Verdict::Drop => Resolution::Drop,
                }
                .into(),
                reason: reason.unwrap_or_default(),
            };
            resolve(&session, output, request).await
        }
    }
}

async fn list(session: &Session, output: &mut Output, limit: u32) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut left = limit;
    let mut page_token = String::new();
    while left > 0 {
        let page = session
            .unknown(ListUnknownRequest {
                page_size: i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX),
                page_token,
            })
            .await?;
        for one in page.notifications.iter().take(left as usize) {
            if output.is_json() {
                output.json_line(&session.write("UnknownNotification", one)?)?;
            } else {
                rows.extend(table(output, one));
            }
        }
        left = left.saturating_sub(u32::try_from(page.notifications.len()).unwrap_or(u32::MAX));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if output.style == Style::Terminal && rows.is_empty() {
        note("nothing is unknown");
    } else if !output.is_json() {
        let headers = [
            "SINCE",
            "ENDS",
            "NOTIFICATION",
            "MESSAGE",
            "TEMPLATE",
            "CALLER",
            "CHANNEL",
            "PROVIDER",
            "TRIES",
        ];
        output.table(&headers, &rows)?;
    }
    Ok(())
}

/// A row for each message, or one for a notification that had none yet.
fn table(output: &Output, one: &UnknownNotification) -> Vec<Vec<Toned>> {
    let row = |message: &str, end: [String; 3]| -> Vec<Toned> {
        let start = [
            output.time(one.update_time.as_ref()),
            output.time(one.expire_time.as_ref()),
            show::id(&one.name).to_owned(),
            show::id(message).to_owned(),
            one.template.clone(),
            one.caller.clone(),
        ];
        start.into_iter().chain(end).map(Toned::from).collect()
    };
    if one.messages.is_empty() {
        return vec![row("-", ["-", "-", "-"].map(str::to_owned))];
    }
    let of = |message: &crate::proto::UnknownMessage| {
        let end = [
            show::channel(message.channel),
            show::or_dash(&message.provider),
            message.attempt_count.to_string(),
        ];
        row(&message.name, end)
    };
    one.messages.iter().map(of).collect()
}

async fn resolve(
    session: &Session,
    output: &mut Output,
    request: ResolveUnknownRequest,
) -> Result<(), Failure> {
    let name = request.name.clone();
    let answer = session.resolve(request).await?;
    if output.is_json() {
        return Ok(output.json(&session.write("ResolveUnknownResponse", &answer)?)?);
    }
    let notification = crate::proto::Notification {
        state: answer.state,
        state_reason: answer.state_reason,
        ..crate::proto::Notification::default()
    };
    output.fields(&[
        ("resolved", name.trim_start_matches("notifications/").into()),
        (
            "state",
            Toned(show::status(&notification), show::tone(&notification)),
        ),
    ])?;
    Ok(())
}

//! `tidings tail`: changes as they happen, without a gap, also over a restart of the gateway.

use std::time::Duration;

use super::args::TailOptions;
use super::failure::{Exit, Failure};
use super::output::{Output, Style, clean, note};
use super::session::Session;
use super::show;
use crate::client::Target;
use crate::proto::{NotificationEvent, WatchNotificationsRequest};

/// Before the connection is tried again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    options: TailOptions,
) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let filter = options.filter.unwrap_or_default();
    let mut token = String::new();
    let mut connected = false;
    loop {
        let failure = follow(&session, output, &filter, &mut token, &mut connected).await?;
        // A gateway that was there and went comes back; one that never answered, or says no, does not.
        if !connected || failure.exit() != Exit::Unreachable {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows one stream to its end; the answer is why it ended, the error that the output is gone.
async fn follow(
    session: &Session,
    output: &mut Output,
    filter: &str,
    token: &mut String,
    connected: &mut bool,
) -> Result<Failure, Failure> {
    let request = WatchNotificationsRequest {
        filter: filter.to_owned(),
        resume_token: token.clone(),
    };
    let mut stream = match session
        .client
        .notifications()
        .watch_notifications(request)
        .await
    {
        Ok(answer) => answer.into_inner(),
        Err(error) => return Ok(session.fault(error)),
    };
    *connected = true;
    loop {
        match stream.message().await {
            Ok(Some(response)) => {
                // The token moves on only after the event is out, so that nothing is lost in between.
                if let Some(event) = &response.event {
                    print(session, output, event)?;
                }
                *token = response.resume_token;
            }
            Ok(None) => {
                note("the gateway ended the stream; trying again");
                return Ok(Failure::told(Exit::Unreachable, "the stream ended", ""));
            }
            Err(error) => {
                let failure = session.fault(error);
                if failure.exit() == Exit::Unreachable {
                    note("the connection broke; trying again");
                }
                return Ok(failure);
            }
        }
    }
}

fn print(session: &Session, output: &mut Output, event: &NotificationEvent) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(output.json_line(&session.write("NotificationEvent", event)?)?);
    }
    let notification = event.notification.clone().unwrap_or_default();
    let columns = [
        output.time(event.time.as_ref()),
        show::id(&notification.name).to_owned(),
        clean(&show::template(&notification)),
        clean(&show::recipient(notification.intent.as_ref())),
        clean(&show::status(&notification)),
    ];
    let [time, id, template, customer, status] = &columns;
    let line = if output.style == Style::Terminal {
        let status = output.paint(status, show::tone(&notification));
        format!("{time}  {id}  {template:<26}  {customer:<18}  {status}")
    } else {
        columns.join("\t")
    };
    Ok(output.line(&line)?)
}

//! `tidings send`: one notification, and waiting for its end.

use std::time::Duration;

use super::args::SendOptions;
use super::bulk;
use super::failure::{Exit, Failure};
use super::input;
use super::output::{Output, Toned, note};
use super::session::Session;
use super::show;
use crate::client::Target;
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::id::Ids;
use crate::proto::{Notification, SendNotificationRequest};

/// How often the gateway is asked for the state: soon at first, then each second.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    options: SendOptions,
) -> Result<(), Failure> {
    if let Some(file) = &options.file {
        return bulk::send(target, output, file, options.dry_run).await;
    }
    let request = request(&options)?;
    let session = Session::open(target).await?;
    let answer = session.send(request).await?;
    let notification = answer.notification.clone().unwrap_or_default();
    if options.wait.is_none() || !output.is_json() {
        if output.is_json() {
            output.json(&session.write("SendNotificationResponse", &answer)?)?;
        } else {
            tell(output, &notification, answer.replayed, options.dry_run)?;
        }
    }
    match options.wait {
        Some(limit) => wait(&session, output, notification, limit).await,
        None => Ok(()),
    }
}

fn request(options: &SendOptions) -> Result<SendNotificationRequest, Failure> {
    let template = options.template.as_deref().unwrap_or_default();
    let to = options.to.as_deref().unwrap_or_default();
    let mut intent = input::intent(template, to, &options.content)?;
    intent.attachments = options
        .attach
        .iter()
        .map(|path| input::attachment(path))
        .collect::<Result<_, _>>()?;
    let request_id = options
        .request_id
        .clone()
        .unwrap_or_else(|| format!("cli-{}", Ids::new().notification(SystemClock.now())));
    Ok(SendNotificationRequest {
        intent: Some(intent),
        request_id,
        validate_only: options.dry_run,
    })
}

fn tell(
    output: &mut Output,
    notification: &Notification,
    replayed: bool,
    dry_run: bool,
) -> Result<(), Failure> {
    if dry_run {
        return Ok(output.line("valid: it would be accepted; nothing was stored")?);
    }
    let id = show::id(&notification.name).to_owned();
    let status = Toned(show::status(notification), show::tone(notification));
    let seen = if replayed { "seen before" } else { "new" };
    output.fields(&[
        ("notification", id.into()),
        ("state", status),
        ("request", seen.into()),
    ])?;
    Ok(())
}

/// Asks until it has ended. Asking cannot miss an answer and outlives a restart of the gateway between two questions.
async fn wait(
    session: &Session,
    output: &mut Output,
    first: Notification,
    limit: Duration,
) -> Result<(), Failure> {
    let id = show::id(&first.name).to_owned();
    let Ok(end) = tokio::time::timeout(limit, settled(session, first)).await else {
        return Err(Failure::told(
            Exit::NotDelivered,
            format!("{id} has not ended yet"),
            format!("see why with: tidings explain {id}"),
        ));
    };
    let end = end?;
    if output.is_json() {
        output.json(&session.write("Notification", &end)?)?;
    } else {
        let status = Toned(show::status(&end), show::tone(&end));
        output.fields(&[("ended", status)])?;
    }
    if show::is_sent(&end) {
        return Ok(());
    }
    Err(Failure::told(
        Exit::NotDelivered,
        format!("{id} was not sent: {}", show::status(&end)),
        format!("see why with: tidings explain {id}"),
    ))
}

async fn settled(session: &Session, first: Notification) -> Result<Notification, Failure> {
    let mut last = first;
    let mut pause = FIRST_LOOK;
    while !show::is_settled(&last) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
        let now = session.notification(&last.name).await?;
        if show::status(&now) != show::status(&last) {
            note(&show::status(&now));
        }
        last = now;
    }
    Ok(last)
}

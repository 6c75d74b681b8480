//! `tidings demo`: everything embedded, sample customers, an evening of a shop played through the gRPC door, and a table of what
//! became of each call. Every row is read back from the gateway; nothing in it was written beforehand.

use std::io::ErrorKind::AlreadyExists;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::build::{Gateway, Setup};
use super::hosts::{Ended, not_started};
use crate::catalog::Source;
use crate::cli::{self, Canvas, DemoOptions};
use crate::client::{Client, ClientError};
use crate::config::Config;
use crate::domain::clock::{Clock, FastClock};
use crate::lifecycle::asked_to_stop;
use crate::proto::{
    CancelNotificationRequest, ListNotificationsRequest, SendNotificationRequest,
    UpdatePreferencesRequest, UpsertCustomerRequest, cancel_notification_request,
};

mod invoice;
mod story;
mod table;

/// When the demo's clock starts: a Monday, half past eight in the evening in Berlin, so that quiet hours are near.
const START: &str = "2026-11-23T19:30:00Z";

/// How often the table looks again.
const LOOK: Duration = Duration::from_millis(300);

/// How often a scene is looked at before the story goes on all the same.
const SCENE_LOOKS: usize = 20;

/// How long what is in hand may take at the end. Nothing of a demo outlives it.
const DRAIN: Duration = Duration::from_secs(1);

/// Plays the demo until it is asked to stop, at whatever point that is.
///
/// # Errors
/// A sentence on what could not be done.
pub(super) async fn run(options: DemoOptions) -> Result<(), Ended> {
    let asked = asked_to_stop().map_err(|error| format!("no signal can be waited for: {error}"))?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        asked.await;
        stopping.cancel();
    });
    let folder = Folder::new()?;
    play(&options, folder.path(), stop).await
}

async fn play(
    options: &DemoOptions,
    folder: &std::path::Path,
    stop: CancellationToken,
) -> Result<(), Ended> {
    let start: Timestamp = START
        .parse()
        .map_err(|error| format!("the demo's start is no time: {error}"))?;
    let clock: Arc<dyn Clock> = Arc::new(FastClock::new(start, options.speed));
    let mut config = Config::embedded(folder);
    config.server.grpc_address.set_port(options.port);
    config.server.console_address.set_port(options.ui_port);
    config.server.drain = DRAIN;
    let speed = options.speed;
    let note = format!("{speed:.0}x as fast, since Mon 23 Nov 20:30 in Berlin");
    let setup = Setup {
        source: Source::Embedded,
        clock: clock.clone(),
        clock_note: note.clone(),
        chaos: Vec::new(),
    };
    let gateway = Gateway::start(config, setup)
        .await
        .map_err(|error| not_started(&error, options.port))?;

    cli::line(&format!("gRPC     {}", gateway.grpc_address()));
    cli::line(&format!("console  http://{}", gateway.console_address()));
    cli::line(&format!("clock    {note}"));
    cli::line("");
    if !options.headless {
        // A machine without a browser shows the address above; nothing else depends on it.
        drop(open::that_detached(format!(
            "http://{}",
            gateway.console_address()
        )));
    }

    let canvas = Canvas::new().filter(|_| !options.headless);
    let shown = tokio::select! {
        () = stop.cancelled() => Ok(()),
        shown = show(gateway.grpc_address().to_string(), clock, canvas) => shown,
    };
    gateway.stop().await;
    shown.map_err(|error| error.to_string().into())
}

/// Tells the story and shows what becomes of it, without an end.
async fn show(
    address: String,
    clock: Arc<dyn Clock>,
    canvas: Option<Canvas>,
) -> Result<(), ClientError> {
    let client = Client::connect(&address).await?;
    introduce(&client).await?;
    let recognised = OnceLock::new();
    let telling = async {
        let name = tell(&client).await?;
        let _ = recognised.set(name);
        Ok(())
    };
    let watching = async {
        table::watch(&client, clock, canvas, &recognised).await;
        Ok(())
    };
    tokio::try_join!(telling, watching).map(|((), ())| ())
}

/// Makes the customers known.
async fn introduce(client: &Client) -> Result<(), ClientError> {
    for person in story::people() {
        cli::line(&format!("  {:<22} {}", person.customer.name, person.about));
        let request = UpsertCustomerRequest {
            customer: Some(person.customer),
            update_mask: None,
        };
        client.customers().upsert_customer(request).await?;
        let request = UpdatePreferencesRequest {
            preferences: Some(person.preferences),
            update_mask: None,
        };
        client.customers().update_preferences(request).await?;
    }
    cli::line("");
    Ok(())
}

/// Makes the calls. Answers with the name under which a repeated request was recognised.
async fn tell(client: &Client) -> Result<String, ClientError> {
    for scene in story::scenes() {
        for call in scene {
            send(client, call).await?;
        }
        quiet(client).await?;
    }
    let target = cancel_notification_request::Target::CancellationKey(story::CANCELLED.into());
    client
        .notifications()
        .cancel_notification(CancelNotificationRequest {
            target: Some(target),
        })
        .await?;
    send(client, story::cancelled()).await?;

    // A service that timed out asks again with the same request id: recognised, not sent twice.
    let Some(first) = story::scenes().into_iter().flatten().next() else {
        return Ok(String::new());
    };
    let (name, replayed) = send(client, first).await?;
    Ok(if replayed { name } else { String::new() })
}

async fn send(client: &Client, call: story::Call) -> Result<(String, bool), ClientError> {
    let request = SendNotificationRequest {
        intent: Some(call.intent),
        request_id: call.request_id,
        validate_only: false,
    };
    let response = client
        .notifications()
        .send_notification(request)
        .await?
        .into_inner();
    Ok((
        response.notification.unwrap_or_default().name,
        response.replayed,
    ))
}

/// Waits until nothing is on its way any more; what is held stays held.
async fn quiet(client: &Client) -> Result<(), ClientError> {
    for _ in 0..SCENE_LOOKS {
        let filter = "state = ACCEPTED OR state = PROCESSING".to_owned();
        let request = ListNotificationsRequest {
            page_size: 1,
            filter,
            ..ListNotificationsRequest::default()
        };
        if client
            .notifications()
            .list_notifications(request)
            .await?
            .into_inner()
            .notifications
            .is_empty()
        {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A folder that goes away with the demo.
struct Folder(std::path::PathBuf);

impl Folder {
    /// A new one of its own that nobody else can read. Names of demos that were killed are passed over.
    fn new() -> Result<Self, String> {
        let mut tried = 0;
        loop {
            let name = format!("tidings-demo-{}-{tried}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == AlreadyExists && tried < 100 => tried += 1,
                Err(error) => return Err(format!("{} cannot be made: {error}", path.display())),
            }
        }
    }

    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

//! L5: the HTTP door: health, metrics, and the console with its JSON.
//!
//! Promise: it only reads. Every path answers GET alone, nothing here changes a row, and no answer shows what belongs to another
//! identity than the console's. It listens where it is told to and asks for no credentials, so it belongs on a
//! loopback address or behind something that asks for them; names that do not mean this machine are refused, so that a web page
//! elsewhere cannot read it through a rebound name. What customers see (unsubscribing, preferences) is not served here.

use std::future::{Future, IntoFuture as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;
use crate::domain::shop::Identity;
use crate::store::Store;

mod assets;
mod captured;
mod guard;
mod inbox;
mod live;
mod notifications;
mod probes;
mod problem;
#[cfg(test)]
mod tests;
mod view;

pub use captured::{AttachmentSummary, Capture, CaptureSummary, Captured};

/// How long connections that are busy at shutdown may take to finish.
const DRAIN: Duration = Duration::from_secs(5);

/// What the console says about the gateway it belongs to.
#[derive(Clone, Debug)]
pub struct About {
    /// Of the binary.
    pub version: String,
    /// Where callers reach it.
    pub grpc_address: String,
    /// How its clock runs, when not like everybody's; may be empty.
    pub clock_note: String,
}

/// All that the HTTP door reads from.
#[derive(Clone)]
pub struct Console {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What time it is for the gateway.
    pub clock: Arc<dyn Clock>,
    /// What the outbox providers have taken.
    pub captures: Arc<dyn Captured>,
    /// Whose notifications are shown.
    pub identity: Identity,
    /// The metrics in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the pages are served, or health and metrics alone.
    pub pages: bool,
    /// Whether the gateway does its work, or what keeps it from that.
    pub ready: Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
    /// For the head of the page.
    pub about: About,
}

/// A console with what its handlers share.
struct Shared {
    console: Console,
    feeds: Arc<Semaphore>,
}

/// The listener's side of the door, known once it serves.
#[derive(Clone)]
struct Door {
    bound: SocketAddr,
    closing: CancellationToken,
}

/// All paths of the door.
pub fn router(console: Console) -> Router {
    let pages = console.pages;
    let shared = Arc::new(Shared {
        console,
        feeds: Arc::new(Semaphore::new(live::MAX_FEEDS)),
    });
    let guarded = Router::new()
        .route("/", get(assets::index))
        .route("/assets/{*path}", get(assets::file))
        .route("/api/about", get(notifications::about))
        .route("/api/overview", get(notifications::overview))
        .route("/api/inbox", get(inbox::list))
        .route("/api/inbox/{id}", get(inbox::item))
        .route("/api/inbox/{id}/html", get(inbox::html))
        .route("/api/inbox/{id}/source", get(inbox::source))
        .route(
            "/api/inbox/{id}/attachments/{index}",
            get(inbox::attachment),
        )
        .route("/api/notifications", get(notifications::list))
        .route("/api/notifications/{id}", get(notifications::one))
        .route("/api/events", get(live::events))
        .fallback(guard::not_found)
        .method_not_allowed_fallback(guard::get_only)
        .layer(middleware::from_fn(guard::local_names_only));
    let guarded = if pages {
        guarded
    } else {
        Router::new().fallback(guard::not_found)
    };
    // Probes and scrapers come by the machine's address or a service's name, and see nothing about a person.
    Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .method_not_allowed_fallback(guard::get_only)
        .merge(guarded)
        .layer(middleware::from_fn(guard::unpanicked))
        .layer(middleware::map_response(guard::secure))
        .with_state(shared)
}

/// Serves until `shutdown`, then finishes what is being answered within five seconds. Live feeds end at once.
///
/// # Errors
/// When the listener has no address or fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let door = Door {
        bound: listener.local_addr()?,
        closing: CancellationToken::new(),
    };
    let closing = door.closing.clone();
    let signal = {
        let closing = closing.clone();
        async move {
            shutdown.await;
            closing.cancel();
        }
    };
    let served =
        axum::serve(listener, router.layer(Extension(door))).with_graceful_shutdown(signal);
    tokio::select! {
        result = served.into_future() => result,
        () = async { closing.cancelled().await; tokio::time::sleep(DRAIN).await; } => Ok(()),
    }
}

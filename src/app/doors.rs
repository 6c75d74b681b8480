//! The doors of a running gateway: ports, and who serves what on them until they close.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::start_error::StartError;
use crate::api::{self, Doors};
use crate::telemetry;
use crate::web::{self, Console};

/// How often health is brought up to date.
const HEALTH: Duration = Duration::from_secs(1);

/// Whether a process does its work, or what keeps it from that.
pub(super) type Readiness = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|why| StartError::Listen { address, why })
}

pub(super) fn bound(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|why| StartError::Listen {
        address: asked,
        why,
    })
}

pub(super) async fn grpc_door(
    listener: TcpListener,
    doors: Option<Doors>,
    settings: api::Settings,
    health: api::Health,
    closing: CancellationToken,
) {
    if let Err(error) =
        api::serve(listener, doors, settings, health, closing.cancelled_owned()).await
    {
        tracing::error!("the gRPC door failed: {error}");
    }
}

/// Lets gRPC health say what `/readyz` says, until the doors close.
pub(super) async fn tell_health(health: api::Health, ready: Readiness, closing: CancellationToken) {
    let mut was = true;
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            () = tokio::time::sleep(HEALTH) => {}
        }
        let now = ready().is_ok();
        if now && !was {
            health.serving().await;
        } else if was && !now {
            health.not_serving().await;
        }
        was = now;
    }
}

pub(super) async fn console_door(listener: TcpListener, page: Console, closing: CancellationToken) {
    if let Err(error) = web::serve(listener, web::router(page), closing.cancelled_owned()).await {
        tracing::error!("the console failed: {error}");
    }
}

/// What `/metrics` answers. A process that started a second gateway (a test) shows none.
pub(super) fn exposition() -> Arc<dyn Fn() -> String + Send + Sync> {
    match telemetry::metrics() {
        Some(handle) => Arc::new(move || handle.render()),
        None => Arc::new(String::new),
    }
}

/// Health and metrics for machines that may not see the console.
pub(super) async fn probes_door(
    listener: TcpListener,
    page: Console,
    health: api::Health,
    closing: CancellationToken,
) {
    let pages = Routes::from(web::router(page));
    let served = api::serve_probes(listener, pages, &health, closing.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!("the door of health and metrics failed: {error}");
    }
}

//! L5: the gRPC doors. Puts the services behind one port, with limits, health and reflection.
//!
//! Promises: every error of a service says its reason by one `ErrorInfo`; no peer can make the process panic or grow
//! without bound; on shutdown what has begun is finished, streams are told to come again, and nothing hangs.
//! Does not decide anything about notifications: it asks `intake` and the store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Status};

use crate::domain::caller::Caller;
use crate::domain::clock::Clock;
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::intake::Intake;
use crate::proto;
use crate::proto::customer_service_server::CustomerServiceServer;
use crate::proto::notification_service_server::NotificationServiceServer;
use crate::proto::operator_service_server::OperatorServiceServer;
use crate::proto::template_service_server::TemplateServiceServer;
use crate::store::Store;

mod access;
pub mod convert;
mod customers;
pub mod errors;
mod guard;
mod health;
mod listen;
mod notifications;
mod operator;
pub mod page;
mod templates;

pub use access::Callers;
use guard::Guarded;
pub use health::Health;

/// The largest message that is read, after decompression.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
const MAX_STREAMS: u32 = 256;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long calls that have begun may take to end after the shutdown.
const DRAIN: Duration = Duration::from_secs(30);
/// Probes and scrapers are few; more connections than this are closed as soon as they are made.
const PROBES_MAX: usize = 64;
/// How long probes that are being answered at the shutdown may take.
const PROBES_DRAIN: Duration = Duration::from_secs(1);

/// What the doors lead to.
#[derive(Clone)]
pub struct Doors {
    /// Takes intents.
    pub intake: Arc<Intake>,
    /// Is asked and changed.
    pub store: Arc<dyn Store>,
    /// Templates to list and preview, and the policy's topics.
    pub catalog: Arc<crate::catalog::Catalog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who may call.
    pub callers: Callers,
    /// The certificate to show and the authority of callers' certificates; `None`: no TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Seals page tokens; processes behind one address share it.
    pub token_key: [u8; 32],
}

/// How the port behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the services describe themselves (reflection v1 and v1alpha).
    pub reflection: bool,
    /// More connections than this are closed as soon as they are made.
    pub max_connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reflection: false,
            max_connections: 4000,
        }
    }
}

/// Why the doors could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The descriptors that were compiled in are not readable: a bug of the build.
    #[error("the reflection service cannot be built")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The transport ended.
    #[error("the gRPC server failed")]
    Transport(#[source] tonic::transport::Error),
}

/// What all services share.
struct Shared {
    intake: Arc<Intake>,
    store: Arc<dyn Store>,
    catalog: Arc<crate::catalog::Catalog>,
    clock: Arc<dyn Clock>,
    tokens: page::Tokens,
    /// Ends the streams, which otherwise never end.
    stopping: CancellationToken,
}

impl Shared {
    /// Who is calling, as the gate ([`access`]) has found. A request that did not come through it is refused.
    fn caller_of<T>(&self, request: &Request<T>) -> Result<Arc<Caller>, Status> {
        let caller = request.extensions().get::<Arc<Caller>>();
        caller
            .cloned()
            .ok_or_else(|| errors::refuse(access::unknown()))
    }
}

/// What a stream is told when the process is going down: nothing is lost, come again.
fn leaving() -> Rejection {
    Rejection::new(
        RejectionReason::Overloaded,
        "this server is shutting down; connect again and go on where you were",
    )
}

/// All services. `stopping` ends the streams among their calls.
///
/// # Errors
/// When reflection is wanted and the descriptors are broken.
pub fn routes(
    doors: Doors,
    settings: Settings,
    health: &Health,
    stopping: CancellationToken,
) -> Result<Routes, DoorError> {
    let shared = Arc::new(Shared {
        intake: doors.intake,
        store: doors.store,
        catalog: doors.catalog,
        clock: doors.clock,
        tokens: page::Tokens::new(doors.token_key),
        stopping,
    });
    let notifications = notifications::Notifications::new(Arc::clone(&shared));
    let customers = customers::CustomerDoor::new(Arc::clone(&shared));
    let operators = operator::Operators::new(Arc::clone(&shared));
    let templates = templates::Templates::new(shared);
    // A caller may compress what it sends; the limit holds for what comes out.
    let mut routes = Routes::new(Guarded(
        NotificationServiceServer::new(notifications)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(CompressionEncoding::Gzip),
    ))
    .add_service(Guarded(
        CustomerServiceServer::new(customers)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(CompressionEncoding::Gzip),
    ))
    .add_service(Guarded(
        TemplateServiceServer::new(templates)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(CompressionEncoding::Gzip),
    ))
    .add_service(Guarded(
        OperatorServiceServer::new(operators)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(CompressionEncoding::Gzip),
    ))
    .add_service(health.service());
    if settings.reflection {
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes
            .add_service(described().build_v1().map_err(DoorError::Reflection)?)
            .add_service(described().build_v1alpha().map_err(DoorError::Reflection)?);
    }
    // Before all of them, also those that a later release adds.
    let gates = access::Gates::new(doors.callers);
    let gated = routes.into_axum_router().layer(gates);
    Ok(Routes::from(gated).prepare())
}

/// Serves these doors, or health alone in a process that takes no calls, until `shutdown`, then says NOT_SERVING, ends the streams, and lets calls that have begun finish for at most
/// 30 seconds.
///
/// # Errors
/// When the doors cannot be opened. Bad connections, and a process out of file handles, do not end it.
pub async fn serve(
    listener: TcpListener,
    doors: Option<Doors>,
    settings: Settings,
    health: Health,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), DoorError> {
    let stopping = CancellationToken::new();
    let tls = doors.as_ref().and_then(|doors| doors.tls.clone());
    let routes = match doors {
        Some(doors) => routes(doors, settings, &health, stopping.clone())?,
        // Probes do not speak TLS, and hear nothing that needs it.
        None => Routes::new(health.service()).prepare(),
    };
    let incoming = listen::incoming(listener, settings.max_connections);
    let incoming = match tls {
        Some(tls) => listen::secured(incoming, tls, settings.max_connections).left_stream(),
        None => incoming.right_stream(),
    };
    let server = bounded()
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopping.clone().cancelled_owned());
    tokio::pin!(server);
    health.serving().await;
    tokio::select! {
        ended = &mut server => return ended.map_err(DoorError::Transport),
        () = shutdown => {}
    }
    health.not_serving().await;
    stopping.cancel();
    match tokio::time::timeout(DRAIN, server).await {
        Ok(ended) => ended.map_err(DoorError::Transport),
        Err(_) => {
            tracing::warn!("some calls did not end within the drain time and are cut off");
            Ok(())
        }
    }
}

/// Serves health in the clear, by gRPC and by the HTTP paths that `pages` has, until `shutdown`; no call is answered here.
///
/// # Errors
/// When the transport fails for good.
pub async fn serve_probes(
    listener: TcpListener,
    pages: Routes,
    health: &Health,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), DoorError> {
    let stopping = CancellationToken::new();
    let server = bounded()
        .accept_http1(true)
        .add_routes(pages.add_service(health.service()).prepare())
        .serve_with_incoming_shutdown(
            listen::incoming(listener, PROBES_MAX),
            stopping.clone().cancelled_owned(),
        );
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.map_err(DoorError::Transport),
        () = shutdown => {}
    }
    stopping.cancel();
    // Whoever holds a connection open learns nothing more from it.
    match tokio::time::timeout(PROBES_DRAIN, server).await {
        Ok(ended) => ended.map_err(DoorError::Transport),
        Err(_) => Ok(()),
    }
}

/// A transport that no peer can make grow without bound.
fn bounded() -> Server {
    let streams = usize::try_from(MAX_STREAMS).unwrap_or(usize::MAX);
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .concurrency_limit_per_connection(streams)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
}

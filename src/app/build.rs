//! The running gateway: adapters chosen by the configuration, flows over them, doors in front.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{captures, providers, templates};
use crate::api::{self, Doors};
use crate::catalog::{CatalogError, Source};
use crate::cli::Chaos;
use crate::config::{self, Config};
use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::Clock;
use crate::domain::id::Ids;
use crate::domain::shop::Identity;
use crate::event;
use crate::gate::Gates;
use crate::intake::Intake;
use crate::lifecycle::{Running, supervised};
use crate::planner::Planner;
use crate::provider::Provider;
use crate::queue::Queue;
use crate::queue::memory::MemoryQueue;
use crate::relay::Relay;
use crate::scheduler::Scheduler;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Plans, Store, StoreError};
use crate::telemetry;
use crate::web::{self, About, Console};
use crate::worker::{self, Worker};

/// How long a process is not heard of before its work is taken over, where several share a store.
const DEAD_AFTER: Duration = Duration::from_secs(15);

/// Why a gateway did not start; each a sentence on what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The store opened and then failed.
    #[error("{}", store_sentence(.0))]
    Ledger(#[from] StoreError),
    /// The templates.
    #[error("{0}")]
    Templates(#[from] CatalogError),
    /// The folder of the templates.
    #[error("the template folder {} cannot be read: {}; name one that holds shop.toml", folder.display(), plain(why))]
    TemplateFolder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// The machine does not know the time.
    #[error(
        "the clock says {0}, before 2020, and nothing could be sent at its time; set the clock and start again"
    )]
    Clock(Timestamp),
    /// A provider's settings.
    #[error("{name}: {why}")]
    Provider {
        /// Which: `providers.smtp.main`.
        name: String,
        /// What to change.
        why: String,
    },
    /// An address.
    #[error(
        "{address} cannot be listened on: {}; {}",
        plain(why),
        listen_advice(why)
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        why: std::io::Error,
    },
}

impl StartError {
    /// What the process ends with: 64 for what was configured, 1 for what the machine does not give.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Templates(_) | Self::TemplateFolder { .. } | Self::Provider { .. } => {
                config::EXIT_CODE
            }
            Self::Store(_) | Self::Ledger(_) | Self::Clock(_) | Self::Listen { .. } => 1,
        }
    }
}

fn store_sentence(error: &StoreError) -> String {
    match error {
        StoreError::Full => "the store is full, not even the start fits in; raise store.max_size or make room on the disk".into(),
        other => format!("the store failed while starting: {other}"),
    }
}

/// What the system says, without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.chars().take(end).collect()
}

fn listen_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "stop the other process (another tidings?) or choose another port, 0 for any"
        }
        std::io::ErrorKind::PermissionDenied => "choose a port from 1024 on, 0 for any",
        _ => "choose another address or port, 0 for any",
    }
}

/// What a start needs beyond the configuration.
pub struct Setup {
    /// Where the templates come from.
    pub source: Source,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the console says about the clock; empty for everybody's.
    pub clock_note: String,
    /// For trying things out: these shares of hand-overs fail at first.
    pub chaos: Vec<Chaos>,
}

/// A running gateway.
pub struct Gateway {
    store: Arc<SqliteStore>,
    queue: Arc<MemoryQueue>,
    gates: Arc<Gates>,
    running: Running,
    serving: Arc<AtomicBool>,
    health: api::Health,
    grpc: SocketAddr,
    console: SocketAddr,
    drain: Duration,
}

impl Gateway {
    /// Starts everything; when it returns, the doors are open.
    ///
    /// # Errors
    /// A sentence on what stands in the way. Nothing is left running then.
    pub async fn start(config: Config, setup: Setup) -> Result<Self, StartError> {
        let Setup {
            source,
            clock,
            clock_note,
            chaos,
        } = setup;
        let catalog = Arc::new(templates::open(source)?);
        // What was configured is found wrong before the disk is touched or a socket opens.
        let mut providers = providers::senders(&config, &clock)?;
        let store = Arc::new(
            SqliteStore::open_limited(&config.store.path, clock.now(), config.store.max_size)
                .await?,
        );
        providers.extend(providers::outboxes(&config, &clock, &chaos)?);
        let grpc = listen(config.server.grpc_address).await?;
        let console = listen(config.server.console_address).await?;
        let (grpc_address, console_address) = (
            bound(&grpc, config.server.grpc_address)?,
            bound(&console, config.server.console_address)?,
        );
        let identity = Identity::local();
        templates::keep(store.as_ref(), &catalog, &identity.shop, clock.now()).await?;

        let policy = catalog.policy();
        let taken_over =
            crate::store::Ledger::take_over(store.as_ref(), clock.now(), DEAD_AFTER, &|category| {
                policy.unknown_rule(category)
            })
            .await?;
        if taken_over > 0 {
            event::taken_over(taken_over);
        }

        let ids = Arc::new(Ids::new());
        let shared: Arc<dyn Store> = store.clone();
        let planner: Arc<dyn Plans> = Arc::new(Planner::new(catalog.clone(), ids.clone()));
        let queue = Arc::new(MemoryQueue::new(config.queue.window));
        let named = providers
            .iter()
            .map(|(channel, one)| (*channel, one.name()));
        let gates = Arc::new(Gates::new(named, &clock));
        let mut running = Running::default();

        let window = u32::try_from(config.queue.window).unwrap_or(u32::MAX);
        let relay = Relay::new(
            shared.clone(),
            queue.clone(),
            gates.clone(),
            clock.clone(),
            window,
        );
        let scheduler = Scheduler::new(shared.clone(), planner.clone(), clock.clone());
        start_flows(&mut running, relay, scheduler);
        let pools = Arc::new(Worker {
            store: shared.clone(),
            catalog: catalog.clone(),
            providers,
            gates: gates.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        running.worker_tasks = worker::pools(&pools, queue.as_ref(), &|channel, lane| {
            config.workers.of(channel, lane)
        })
        .await;
        if config.catalog.reload {
            let (stop, bundles, live) = (running.flows.clone(), store.clone(), catalog.clone());
            let (shop, now) = (identity.shop.clone(), clock.clone());
            let watching = supervised("templates", stop.clone(), move || {
                templates::watch(
                    bundles.clone(),
                    live.clone(),
                    shop.clone(),
                    now.clone(),
                    stop.clone(),
                )
            });
            running.flow_tasks.spawn(watching);
        }

        let intake = Arc::new(Intake::new(
            shared.clone(),
            catalog.clone(),
            planner,
            clock.clone(),
            ids,
        ));
        let serving = Arc::new(AtomicBool::new(true));
        let health = api::Health::new(Vec::new()).await;
        let doors = Doors {
            intake,
            store: shared.clone(),
            catalog: catalog.clone(),
            clock: clock.clone(),
            identity: identity.clone(),
            token_key: *store.secret(),
        };
        let settings = api::Settings {
            reflection: config.server.reflection,
            ..api::Settings::default()
        };
        running.door_tasks.spawn(grpc_door(
            grpc,
            doors,
            settings,
            health.clone(),
            running.doors.clone(),
        ));
        let page = Console {
            store: shared,
            clock,
            captures: captures::all(&config),
            identity,
            metrics: exposition(),
            ready: {
                let serving = serving.clone();
                Arc::new(move || serving.load(Ordering::Relaxed))
            },
            about: About {
                version: env!("CARGO_PKG_VERSION").into(),
                grpc_address: grpc_address.to_string(),
                clock_note,
            },
        };
        running
            .door_tasks
            .spawn(console_door(console, page, running.doors.clone()));
        Ok(Self {
            store,
            queue,
            gates,
            running,
            serving,
            health,
            grpc: grpc_address,
            console: console_address,
            drain: config.server.drain,
        })
    }

    /// Where gRPC is served.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Where the console is served.
    pub fn console_address(&self) -> SocketAddr {
        self.console
    }

    /// The store, for those who look at a gateway from inside its process.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// How many jobs are queued or in a worker's hands.
    pub fn outstanding(&self) -> usize {
        let lanes = |channel: &Channel| -> usize {
            Lane::ALL
                .iter()
                .map(|lane| self.queue.outstanding(*channel, *lane))
                .sum()
        };
        Channel::ALL.iter().map(lanes).sum()
    }

    /// Ends in order, within the configured time: not ready, doors closed, what is in hand finished. Returns whether all ended by
    /// itself.
    pub async fn stop(self) -> bool {
        self.serving.store(false, Ordering::Relaxed);
        self.health.not_serving().await;
        let (queue, gates) = (self.queue, self.gates);
        let close = || {
            queue.close();
            gates.close();
        };
        let orderly = self.running.drain(self.drain, close).await;
        self.store.close().await;
        orderly
    }
}

fn start_flows(running: &mut Running, relay: Relay, scheduler: Scheduler) {
    let stop = running.flows.clone();
    let feeding = supervised("relay", stop.clone(), move || {
        relay.clone().run(stop.clone())
    });
    running.flow_tasks.spawn(feeding);
    let stop = running.flows.clone();
    let scheduling = supervised("scheduler", stop.clone(), move || {
        scheduler.clone().run(stop.clone())
    });
    running.flow_tasks.spawn(scheduling);
}

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|why| StartError::Listen { address, why })
}

fn bound(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|why| StartError::Listen {
        address: asked,
        why,
    })
}

async fn grpc_door(
    listener: TcpListener,
    doors: Doors,
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

async fn console_door(listener: TcpListener, page: Console, closing: CancellationToken) {
    if let Err(error) = web::serve(listener, web::router(page), closing.cancelled_owned()).await {
        tracing::error!("the console failed: {error}");
    }
}

/// What `/metrics` answers. A process that started a second gateway (a test) shows none.
fn exposition() -> Arc<dyn Fn() -> String + Send + Sync> {
    match telemetry::metrics() {
        Some(handle) => Arc::new(move || handle.render()),
        None => Arc::new(String::new),
    }
}

/// Providers by channel.
pub(super) type Providers = BTreeMap<Channel, Arc<dyn Provider>>;

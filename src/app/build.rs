//! The running gateway: adapters chosen by the configuration, flows over them, doors in front.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::doors::{
    Readiness, bound, console_door, exposition, grpc_door, listen, probes_door, tell_health,
};
use super::start_error::StartError;
use super::stores::{HEARTBEAT_LIMIT, Opened};
use super::{captures, providers, queues, stores, templates};
use crate::api::{self, Doors};
use crate::catalog::{Catalog, Source};
use crate::cli::Chaos;
use crate::config::Config;
use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::Clock;
use crate::domain::id::{Ids, ProcessId};
use crate::domain::pulse::Pulse;
use crate::domain::shop::Identity;
use crate::event;
use crate::gate::Gates;
use crate::heartbeat::Heartbeat;
use crate::intake::Intake;
use crate::lifecycle::{Running, supervised};
use crate::pacer::Pacer;
use crate::planner::Planner;
use crate::provider::Provider;
use crate::queue::Queue;
use crate::relay::Relay;
use crate::scheduler::Scheduler;
use crate::store::{Plans, Store};
use crate::sweeper::Sweeper;
use crate::web::{About, Console};
use crate::worker::{self, Worker};

/// How long the queue may take to hear the last acknowledgements.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    opened: Opened,
    queue: Arc<dyn Queue>,
    gates: Arc<Gates>,
    running: Running,
    /// Goes on until nothing is handed over any more.
    heart: CancellationToken,
    serving: Arc<AtomicBool>,
    health: api::Health,
    grpc: SocketAddr,
    console: SocketAddr,
    probes: Option<SocketAddr>,
    drain: Duration,
}

/// What the parts of a gateway have in common.
struct Parts {
    config: Config,
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    catalog: Arc<Catalog>,
    planner: Arc<dyn Plans>,
    gates: Arc<Gates>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    pulse: Arc<Pulse>,
    identity: Identity,
    secret: [u8; 32],
    serving: Arc<AtomicBool>,
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
        let shared_clock = stores::shared_clock(&config.store, &clock);
        let clock: Arc<dyn Clock> = match &shared_clock {
            Some(shared) => shared.clone(),
            None => clock,
        };
        let catalog = Arc::new(templates::open(source)?);
        let pulse = Arc::new(stores::pulse(&config.store));
        // What was configured is found wrong before the disk is touched or a socket opens.
        let mut providers = providers::senders(&config, &clock, &pulse)?;
        let opened = Opened::open(&config.store, clock.now()).await?;
        providers.extend(providers::outboxes(&config, &clock, &chaos)?);
        let grpc = listen(config.server.grpc_address).await?;
        let console = listen(config.server.console_address).await?;
        let probes = match config.server.health_address {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let (grpc_address, console_address) = (
            bound(&grpc, config.server.grpc_address)?,
            bound(&console, config.server.console_address)?,
        );
        let identity = config.console_identity();
        let store = opened.store();
        templates::keep(store.as_ref(), &catalog, &identity.shop, clock.now()).await?;

        let policy = catalog.policy();
        let rule = move |category| policy.unknown_rule(category);
        let taken_over = opened.take_over_own(clock.now(), &rule).await?;
        if taken_over > 0 {
            event::taken_over(taken_over);
        }
        let heart = CancellationToken::new();
        let heartbeat = Heartbeat::new(store.clone(), pulse.clone(), shared_clock);
        // Whoever does not beat hands nothing over, and does not know the time: the first one is waited for.
        heartbeat.beat().await?;
        let stop = heart.clone();
        tokio::spawn(supervised("heartbeat", heart.clone(), move || {
            heartbeat.clone().run(stop.clone())
        }));

        let ids = Arc::new(Ids::new());
        let process = opened.process().unwrap_or_else(|| ids.process(clock.now()));
        let named = providers
            .iter()
            .map(|(channel, one)| (*channel, one.name()));
        let gates = config
            .providers
            .iter()
            .fold(Gates::new(named, &clock), |gates, provider| {
                gates.limited(provider.channel, provider.rate)
            });
        let gates = Arc::new(gates);
        let parts = Parts {
            queue: queues::open(&config.queue, process),
            planner: Arc::new(Planner::new(catalog.clone(), ids.clone())),
            secret: opened.secret(),
            serving: Arc::new(AtomicBool::new(true)),
            config,
            store,
            catalog,
            gates,
            clock,
            ids,
            pulse,
            identity,
        };
        let mut running = Running::default();
        parts.start_flows(&mut running, opened.is_shared());
        if parts.config.server.roles.worker {
            parts.start_pacer(&mut running);
            running.worker_tasks = parts.start_workers(providers).await;
        }
        let roles = parts.config.server.roles.words();
        let health = api::Health::new(roles.into_iter().map(str::to_owned).collect()).await;
        running.door_tasks.spawn(grpc_door(
            grpc,
            parts.doors(),
            parts.settings(),
            health.clone(),
            running.doors.clone(),
        ));
        running.door_tasks.spawn(tell_health(
            health.clone(),
            parts.readiness(),
            running.doors.clone(),
        ));
        let about = About {
            version: env!("CARGO_PKG_VERSION").into(),
            grpc_address: grpc_address.to_string(),
            clock_note,
        };
        let page = parts.page(about);
        let probes_address = match probes {
            Some(listener) => {
                let bound = listener.local_addr().ok();
                let page = Console {
                    pages: false,
                    ..page.clone()
                };
                running.door_tasks.spawn(probes_door(
                    listener,
                    page,
                    health.clone(),
                    running.doors.clone(),
                ));
                bound
            }
            None => None,
        };
        running
            .door_tasks
            .spawn(console_door(console, page, running.doors.clone()));
        Ok(Self {
            opened,
            queue: parts.queue,
            gates: parts.gates,
            running,
            heart,
            serving: parts.serving,
            health,
            grpc: grpc_address,
            console: console_address,
            probes: probes_address,
            drain: parts.config.server.drain,
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

    /// Where health and metrics alone are served, if anywhere.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.probes
    }

    /// The store, for those who look at a gateway from inside its process.
    pub fn store(&self) -> Arc<dyn Store> {
        self.opened.store()
    }

    /// What other processes on the same store call this one.
    pub fn process(&self) -> Option<ProcessId> {
        self.opened.process()
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
        // Acknowledgements on their way may be lost, never waited for: what they are for is in the store.
        let _ = tokio::time::timeout(LAST_WORDS, queue.ended()).await;
        self.heart.cancel();
        self.opened.close().await;
        orderly
    }
}

impl Parts {
    /// Relay, scheduler, and the watch over the templates.
    fn start_flows(&self, running: &mut Running, shared: bool) {
        let roles = self.config.server.roles;
        if roles.ingest || roles.scheduler {
            let window = u32::try_from(self.config.queue.window).unwrap_or(u32::MAX);
            let relay = Relay::new(
                self.store.clone(),
                self.queue.clone(),
                self.gates.clone(),
                self.clock.clone(),
                window,
            );
            let relays = if shared {
                let (upper, bulk) = (&[Lane::Critical, Lane::Transactional], &[Lane::Bulk]);
                vec![relay.clone().for_lanes(upper), relay.for_lanes(bulk)]
            } else {
                vec![relay]
            };
            for relay in relays {
                let stop = running.flows.clone();
                let feeding = supervised("relay", stop.clone(), move || {
                    relay.clone().run(stop.clone())
                });
                running.flow_tasks.spawn(feeding);
            }
        }
        if roles.scheduler {
            let mut scheduler =
                Scheduler::new(self.store.clone(), self.planner.clone(), self.clock.clone());
            if shared {
                let catalog = self.catalog.clone();
                let rule = move |category| catalog.policy().unknown_rule(category);
                let limit = HEARTBEAT_LIMIT + providers::longest_handover(&self.config);
                scheduler = scheduler.taking_over(limit, Arc::new(rule));
            }
            let stop = running.flows.clone();
            running
                .flow_tasks
                .spawn(supervised("scheduler", stop.clone(), move || {
                    scheduler.clone().run(stop.clone())
                }));
        }
        if roles.scheduler {
            let sweeper = Sweeper::new(
                self.store.clone(),
                self.clock.clone(),
                self.config.retention,
            );
            let stop = running.flows.clone();
            running
                .flow_tasks
                .spawn(supervised("sweeper", stop.clone(), move || {
                    sweeper.clone().run(stop.clone())
                }));
        }
        if self.config.catalog.reload {
            let (stop, bundles, live) = (
                running.flows.clone(),
                self.store.clone(),
                self.catalog.clone(),
            );
            let (shop, now) = (self.identity.shop.clone(), self.clock.clone());
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
    }

    fn start_pacer(&self, running: &mut Running) {
        let pacer = Pacer::new(self.store.clone(), self.gates.clone());
        let stop = running.flows.clone();
        let pacing = supervised("pacer", stop.clone(), move || {
            pacer.clone().run(stop.clone())
        });
        running.flow_tasks.spawn(pacing);
    }

    async fn start_workers(&self, providers: Providers) -> JoinSet<()> {
        let worker = Arc::new(Worker {
            store: self.store.clone(),
            catalog: self.catalog.clone(),
            providers,
            gates: self.gates.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            pulse: self.pulse.clone(),
        });
        worker::pools(&worker, self.queue.as_ref(), &|channel, lane| {
            self.config.workers.of(channel, lane)
        })
        .await
    }

    /// What callers reach; `None`: this process answers nothing but how it is.
    fn doors(&self) -> Option<Doors> {
        self.config.server.roles.ingest.then(|| Doors {
            intake: Arc::new(Intake::new(
                self.store.clone(),
                self.catalog.clone(),
                self.planner.clone(),
                self.clock.clone(),
                self.ids.clone(),
            )),
            store: self.store.clone(),
            catalog: self.catalog.clone(),
            clock: self.clock.clone(),
            callers: api::Callers::new(&self.config.callers),
            tls: self
                .config
                .server
                .tls
                .as_ref()
                .map(|tls| tls.config.clone()),
            token_key: self.secret,
        })
    }

    fn settings(&self) -> api::Settings {
        api::Settings {
            reflection: self.config.server.reflection,
            ..api::Settings::default()
        }
    }

    fn page(&self, about: About) -> Console {
        Console {
            store: self.store.clone(),
            clock: self.clock.clone(),
            captures: captures::all(&self.config),
            identity: self.identity.clone(),
            pages: self.config.server.roles.console,
            metrics: exposition(),
            ready: self.readiness(),
            about,
        }
    }

    /// What this process needs to do its work: the store, and its workers the queue. Intake goes on without a broker.
    fn readiness(&self) -> Readiness {
        let (serving, pulse) = (self.serving.clone(), self.pulse.clone());
        let works = self.config.server.roles.worker && !self.config.server.roles.ingest;
        let connection = self.queue.connection();
        let hold = self.store.hold();
        Arc::new(move || {
            if let Some(held) = *hold.borrow() {
                return Err(held.sentence());
            }
            if !serving.load(Ordering::Relaxed) {
                return Err("it is shutting down");
            }
            if !pulse.may_send() {
                return Err("the store does not answer");
            }
            if works && !connection.borrow().is_up() {
                return Err("the queue cannot be reached");
            }
            Ok(())
        })
    }
}

/// Providers by channel.
pub(super) type Providers = BTreeMap<Channel, Arc<dyn Provider>>;

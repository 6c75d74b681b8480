//! One connection to the broker, made again whenever it is lost.
//!
//! Promise: what is lost is noticed within two heartbeats and replaced without end, with pauses that grow to [`PAUSE_MOST`] and
//! over all hosts in turn; nobody waits on a connection that is known to be broken. lapin's own recovery is not used: while it
//! tries, publishers and consumers hang without a word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel as AmqpChannel, Connection, Event};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::connect::{self, CannotConnect, Host};
use super::lines::Lines;
use super::reach::Reach;
use super::settings::Settings;
use super::topology;
use crate::domain::clock::Stopwatch;
use crate::domain::id::chance;
use crate::event::{self, BrokerLink};
use crate::queue::Depth;

/// The pauses between two tries.
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(3);
/// A connection that lasted this long was a good one: the pauses begin anew.
const STEADY: Duration = Duration::from_secs(5);
/// How often a quiet connection is asked whether it is alive, and how long it may think.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// For the orderly end of a connection.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// A connection in use.
pub(super) struct Live {
    connection: Connection,
    /// In confirm mode.
    pub(super) confirms: AmqpChannel,
    /// For asking how queues stand.
    asks: Mutex<AmqpChannel>,
    broken: CancellationToken,
    why: OnceLock<String>,
    blocked: AtomicBool,
}

impl Live {
    /// Gives the connection up; the first reason counts.
    pub(super) fn condemn(&self, why: &str) {
        let _ = self.why.set(why.to_owned());
        self.broken.cancel();
    }

    /// The same, for what lapin says.
    pub(super) fn condemn_for(&self, error: &lapin::Error) {
        self.condemn(&error.to_string());
    }

    /// Returns once the connection is given up.
    pub(super) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Whether the broker takes nothing in for want of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// A new channel, or none when the connection turns out broken.
    pub(super) async fn channel(&self) -> lapin::Result<AmqpChannel> {
        self.connection.create_channel().await
    }

    /// How a queue stands; `None` and a condemned connection when the broker does not say.
    pub(super) async fn look(&self, name: &str) -> Option<Depth> {
        let asks = self.asks.lock().await;
        let looked = tokio::select! {
            looked = tokio::time::timeout(PROBE_DEADLINE, topology::look(&asks, name)) => looked,
            () = self.broken() => return None,
        };
        match looked {
            Ok(Ok(queue)) => {
                return Some(Depth {
                    ready: queue.message_count() as usize,
                    consumers: queue.consumer_count() as usize,
                    ..Depth::default()
                });
            }
            Ok(Err(error)) => self.condemn_for(&error),
            // A blocked broker reads nothing; that it lives is seen by its heartbeats.
            Err(_) if self.is_blocked() => {}
            Err(_) => self.condemn("it does not answer"),
        }
        None
    }

    async fn until_broken(&self, mut events: BoxStream<'static, Event>, probed: &str) {
        let listening = async {
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(_) => self.blocked(true),
                    Event::ConnectionUnblocked => self.blocked(false),
                    // One of a channel is told to whom the channel belongs.
                    Event::Error(error) if !self.connection.status().connected() => {
                        self.condemn_for(&error);
                    }
                    _ => {}
                }
            }
            self.condemn("it ended");
        };
        let probing = async {
            loop {
                tokio::time::sleep(PROBE_EVERY).await;
                if !self.is_blocked() {
                    self.look(probed).await;
                }
            }
        };
        tokio::select! {
            () = listening => {}
            () = probing => {}
            () = self.broken() => {}
        }
        self.broken().await;
        self.blocked(false);
    }

    fn blocked(&self, now: bool) {
        if self.blocked.swap(now, Ordering::Relaxed) != now {
            event::broker_blocked(now);
        }
    }

    async fn close(&self) {
        let closing = self.connection.close(200, "done".into());
        let _ = tokio::time::timeout(CLOSE_DEADLINE, closing).await;
    }
}

/// Where the present connection is found.
#[derive(Clone)]
pub(super) struct Link(watch::Receiver<Option<Arc<Live>>>);

impl Link {
    /// The connection, if there is one.
    pub(super) fn live(&self) -> Option<Arc<Live>> {
        let live = self.0.borrow().clone();
        live.filter(|live| !live.broken.is_cancelled())
    }

    /// Waits for a connection; `None` when there will be none any more.
    pub(super) async fn up(&mut self) -> Option<Arc<Live>> {
        let whole = |live: &Option<Arc<Live>>| {
            live.as_ref()
                .is_some_and(|live| !live.broken.is_cancelled())
        };
        let up = self.0.wait_for(whole).await.ok()?;
        up.clone()
    }
}

/// Makes a link's connections.
pub(super) struct Supervisor {
    pub(super) link: BrokerLink,
    pub(super) settings: Arc<Settings>,
    pub(super) lines: Arc<Lines>,
    pub(super) reach: Arc<Reach>,
    pub(super) over: CancellationToken,
    pub(super) wiped: watch::Sender<u64>,
}

impl Supervisor {
    /// The link, and the task that keeps it until `over`.
    pub(super) fn start(self) -> (Link, impl Future<Output = ()>) {
        let (sender, receiver) = watch::channel(None);
        (Link(receiver), self.run(sender))
    }

    async fn run(self, live: watch::Sender<Option<Arc<Live>>>) {
        let mut tries = 0_usize;
        let mut pauses = 0_u32;
        let mut connected_before = false;
        loop {
            let connected = tokio::select! {
                connected = self.connect(tries, connected_before) => connected,
                () = self.over.cancelled() => return,
            };
            match connected {
                Ok((now, events)) => {
                    let lasted = Stopwatch::start();
                    live.send_replace(Some(now.clone()));
                    self.reach.tell(self.link, true);
                    event::broker_connected(self.link, connected_before);
                    connected_before = true;
                    let ended = self.use_up(&now, events).await;
                    live.send_replace(None);
                    self.reach.tell(self.link, false);
                    if ended {
                        now.condemn("it is not needed any more");
                        now.close().await;
                        return;
                    }
                    event::broker_lost(self.link, now.why.get().map_or("", String::as_str));
                    // Its end is waited for by nobody: the peer may be gone.
                    tokio::spawn(async move { now.close().await });
                    if lasted.elapsed() > STEADY {
                        pauses = 0;
                    }
                }
                Err(error) => event::broker_unreachable(self.link, pauses == 0, &error),
            }
            tries += 1;
            let pause = PAUSE_LEAST
                .saturating_mul(1 << pauses.min(8))
                .min(PAUSE_MOST);
            pauses = pauses.saturating_add(1);
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(0.5 + chance() / 2.0)) => {}
                () = self.over.cancelled() => return,
            }
        }
    }

    /// Whether it was used to the end of the link.
    async fn use_up(&self, live: &Live, events: BoxStream<'static, Event>) -> bool {
        let probed = match self.link {
            BrokerLink::Publishing => topology::marker(&self.settings.process),
            BrokerLink::Consuming => topology::DEAD.to_owned(),
        };
        tokio::select! {
            () = live.until_broken(events, &probed) => false,
            () = self.over.cancelled() => true,
        }
    }

    async fn connect(
        &self,
        place: usize,
        connected_before: bool,
    ) -> Result<(Arc<Live>, BoxStream<'static, Event>), CannotConnect> {
        let name = format!("{} {}", self.settings.process, self.link.as_str());
        let host = Host::of(&self.settings, place)?;
        let connection = connect::open(&self.settings, &host, &name).await?;
        let preparing = async {
            if self.link == BrokerLink::Publishing {
                self.look_for_marker(&connection, connected_before).await?;
            } else {
                topology::declare(&connection).await?;
            }
            let confirms = connection.create_channel().await?;
            confirms
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            let asks = connection.create_channel().await?;
            Ok::<_, lapin::Error>((confirms, asks))
        };
        let (confirms, asks) = tokio::time::timeout(connect::DEADLINE, preparing)
            .await
            .map_err(|_| host.silent())?
            .map_err(|why| host.refused(why))?;
        // Behind the preparing: a channel that was closed for want of the marker is no event.
        let events = connection.events_listener().boxed();
        let live = Live {
            connection,
            confirms,
            asks: Mutex::new(asks),
            broken: CancellationToken::new(),
            why: OnceLock::new(),
            blocked: AtomicBool::new(false),
        };
        Ok((Arc::new(live), events))
    }

    /// The marker is set last: where it is, everything else is.
    async fn look_for_marker(
        &self,
        connection: &Connection,
        connected_before: bool,
    ) -> lapin::Result<()> {
        let process = &self.settings.process;
        let marked = topology::is_marked(connection, process).await?;
        topology::declare(connection).await?;
        if !marked {
            topology::mark(connection, process).await?;
            if connected_before {
                event::broker_wiped();
                self.lines.wiped();
                self.wiped.send_modify(|times| *times += 1);
            }
        }
        Ok(())
    }
}

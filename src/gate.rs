//! L3: before each provider, a gate that lets hand-overs through, one at a time or not at all, as its breaker says.
//!
//! Promise: one gate for each provider and nothing shared between them; a permit that is dropped without a word says nothing
//! about its provider and frees its place; whoever waits wakes when there is room, when the time has come, or when the gates are
//! closed for good. It looks at no message and changes nothing in the store: what waits stays as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::breaker::{Answer, Breaker, BreakerState, Pass, Sign};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::domain::id::chance;
use crate::event;

/// The gates of all providers.
pub struct Gates {
    by_channel: BTreeMap<Channel, Gate>,
    closed: CancellationToken,
}

impl Gates {
    /// A gate for each provider, by its channel and name.
    pub fn new<'a>(
        providers: impl IntoIterator<Item = (Channel, &'a str)>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let closed = CancellationToken::new();
        let gate = |(channel, provider): (Channel, &str)| {
            let gate = Gate {
                channel,
                provider: provider.to_owned(),
                inner: Mutex::default(),
                changed: Notify::new(),
                closed: closed.clone(),
                clock: clock.clone(),
            };
            // Shown from the start, not from its first change on.
            gate.change(|_| ());
            (channel, gate)
        };
        Self {
            by_channel: providers.into_iter().map(gate).collect(),
            closed,
        }
    }

    /// The gate of a channel's provider; `None`: no provider serves it.
    pub fn of(&self, channel: Channel) -> Option<&Gate> {
        self.by_channel.get(&channel)
    }

    /// Whether nothing may be handed over on a channel now.
    pub fn is_shut(&self, channel: Channel) -> bool {
        self.of(channel).is_some_and(Gate::is_shut)
    }

    /// Lets go of all who wait, and lets nobody through any more.
    pub fn close(&self) {
        self.closed.cancel();
    }
}

#[derive(Default)]
struct Inner {
    breaker: Breaker,
    /// What the metrics say.
    shown: Option<BreakerState>,
}

/// What stands before one provider.
pub struct Gate {
    channel: Channel,
    provider: String,
    inner: Mutex<Inner>,
    changed: Notify,
    closed: CancellationToken,
    clock: Arc<dyn Clock>,
}

impl Gate {
    /// Waits until there seems to be room, so that no work is begun that could not go on.
    pub async fn room(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Interest is registered before looking, so a change that comes between the two is not missed.
            changed.as_mut().enable();
            let now = self.clock.now();
            let (free, until) = {
                let breaker = &self.lock().breaker;
                (breaker.is_free(now), breaker.shut_until(now))
            };
            if free {
                return;
            }
            let patience = async {
                match until {
                    Some(until) => tokio::time::sleep(self.clock.until(until)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = patience => {}
                () = changed => {}
                () = self.closed.cancelled() => return,
            }
        }
    }

    /// Leave to begin a hand-over, waiting while another one must end first; `None` when it is shut or closed.
    pub async fn enter(&self) -> Option<Permit<'_>> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.closed.is_cancelled() {
                return None;
            }
            let answer = self.change(|breaker| breaker.ask(self.clock.now()));
            match answer {
                Answer::Go(pass) => {
                    return Some(Permit {
                        gate: self,
                        pass: Some(pass),
                    });
                }
                Answer::Shut(_) => return None,
                Answer::Busy => tokio::select! {
                    () = changed => {}
                    () = self.closed.cancelled() => {}
                },
            }
        }
    }

    /// Whether nothing may begin now.
    pub fn is_shut(&self) -> bool {
        self.lock().breaker.shut_until(self.clock.now()).is_some()
    }

    /// Whether it is shut because the provider is failing.
    pub fn is_open_circuit(&self) -> bool {
        self.lock().breaker.state(self.clock.now()) == BreakerState::Open
    }

    /// Changes the breaker, and tells of it where that matters.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let now = self.clock.now();
        let mut inner = self.lock();
        let was_failing = inner.breaker.is_failing();
        let answer = change(&mut inner.breaker);
        let is_failing = inner.breaker.is_failing();
        let state = inner.breaker.state(now);
        let news = inner.shown.replace(state) != Some(state);
        let wait = inner
            .breaker
            .shut_until(now)
            .and_then(|until| Duration::try_from(until.duration_since(now)).ok())
            .unwrap_or_default();
        drop(inner);
        if news {
            event::circuit_state(self.channel, &self.provider, state);
        }
        if is_failing && !was_failing {
            event::circuit_opened(self.channel, &self.provider, wait);
        } else if was_failing && !is_failing {
            event::circuit_closed(self.channel, &self.provider);
        } else if news && state == BreakerState::Throttled {
            event::throttled(self.channel, &self.provider, wait);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to begin one hand-over.
pub struct Permit<'a> {
    gate: &'a Gate,
    pass: Option<Pass>,
}

impl Permit<'_> {
    /// What came of the hand-over.
    pub fn tell(mut self, sign: Sign) {
        self.end(sign);
    }

    fn end(&mut self, sign: Sign) {
        if let Some(pass) = self.pass.take() {
            let now = self.gate.clock.now();
            self.gate
                .change(|breaker| breaker.tell(pass, sign, now, chance()));
            self.gate.changed.notify_waiters();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.end(Sign::Silent);
    }
}

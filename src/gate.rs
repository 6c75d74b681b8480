//! L3: before each provider, a gate that lets hand-overs through, one at a time or not at all, as its breaker says, and no more than
//! its limit allows (`turns`).
//!
//! Promise: one gate for each provider and nothing shared between them; a permit that is dropped without a word says nothing
//! about its provider and frees its place; whoever waits wakes when there is room, when the time has come, or when the gates are
//! closed for good. It looks at no message and changes nothing in the store: what waits stays as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::breaker::{Answer, Breaker, BreakerState, Pass, Sign};
use crate::domain::channel::{Channel, Lane};
use crate::domain::clock::{Clock, Stopwatch};
use crate::domain::id::chance;
use crate::domain::rate::Rate;
use crate::event;

mod turns;

pub use turns::{Turn, Turns, Wish};

/// How much of what a limit allows is queued for a lane.
const QUEUED: Duration = Duration::from_secs(60);
/// How long somebody with a job in hands waits for a turn; then the job goes back, and the next one is taken when there is a turn.
const HOLD: Duration = Duration::from_secs(10);

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
                turns: None,
                inner: Mutex::default(),
                changed: Notify::new(),
                closed: closed.clone(),
                clock: clock.clone(),
            };
            // Shown from the start, not from its first change on.
            gate.change(clock.now(), |_| ());
            (channel, gate)
        };
        Self {
            by_channel: providers.into_iter().map(gate).collect(),
            closed,
        }
    }

    /// The same with a limit for the provider of a channel, over all processes together; somebody must lease for its [`Turns`].
    #[must_use]
    pub fn limited(mut self, channel: Channel, rate: Option<Rate>) -> Self {
        if let Some(gate) = self.by_channel.get_mut(&channel) {
            gate.turns = rate.map(Turns::new);
        }
        self
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Gate> {
        self.by_channel.values()
    }

    /// How much of a channel and lane may be queued where otherwise `most` may be: no more than can be sent soon.
    pub fn window(&self, channel: Channel, most: u32) -> u32 {
        let turns = self.of(channel).and_then(Gate::turns);
        turns.map_or(most, |turns| turns.rate().within(QUEUED).min(most))
    }

    /// The gate of a channel's provider; `None`: no provider serves it.
    pub fn of(&self, channel: Channel) -> Option<&Gate> {
        self.by_channel.get(&channel)
    }

    /// Whether nothing may be handed over on a channel now.
    pub fn is_shut(&self, channel: Channel) -> bool {
        self.of(channel).is_some_and(Gate::is_shut)
    }

    /// Waits until they are closed for good.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
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
    turns: Option<Turns>,
    inner: Mutex<Inner>,
    changed: Notify,
    closed: CancellationToken,
    clock: Arc<dyn Clock>,
}

/// The answer to whoever has a job for a provider.
pub enum Leave<'a> {
    /// Hand it over now.
    Go(Turn<'a>, Permit<'a>),
    /// Not now: it is shut, or closed.
    Shut,
    /// Its lane gets no turn for now: wait for one before taking a job.
    NoTurn,
}

impl Gate {
    /// What all processes call its provider.
    pub fn name(&self) -> String {
        format!("{}/{}", self.channel, self.provider)
    }

    /// Its turns, if it has a limit.
    pub fn turns(&self) -> Option<&Turns> {
        self.turns.as_ref()
    }

    /// Waits for a turn by the provider's limit; `None` when it is closed.
    pub async fn turn(&self, lane: Lane) -> Option<Turn<'_>> {
        let Some(turns) = &self.turns else {
            return Some(Turn::free());
        };
        let waited = Stopwatch::start();
        tokio::select! {
            turn = turns.wait(lane) => {
                event::rate_waited(self.channel, &self.provider, waited.elapsed());
                Some(turn)
            }
            () = self.closed.cancelled() => None,
        }
    }

    /// Leave to hand over a job that is in hands, by a turn that is held or the next one.
    pub async fn leave<'a>(&'a self, lane: Lane, mut held: Option<Turn<'a>>) -> Leave<'a> {
        loop {
            if self.is_shut() {
                return Leave::Shut;
            }
            let turn = match held.take().filter(Turn::is_good) {
                Some(turn) => turn,
                None => match tokio::time::timeout(HOLD, self.turn(lane)).await {
                    Ok(Some(turn)) => turn,
                    Ok(None) => return Leave::Shut,
                    Err(_) => return Leave::NoTurn,
                },
            };
            let Some(permit) = self.enter().await else {
                return Leave::Shut;
            };
            // It may have waited for another one's answer.
            if turn.is_good() {
                return Leave::Go(turn, permit);
            }
        }
    }

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
            let now = self.clock.now();
            let answer = self.change(now, |breaker| breaker.ask(now));
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
    fn change<T>(&self, now: Timestamp, change: impl FnOnce(&mut Breaker) -> T) -> T {
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
        let now = self.gate.clock.now();
        // Taken last: whatever fails before gives the pass back.
        self.gate.change(now, |breaker| {
            if let Some(pass) = self.pass.take() {
                breaker.tell(pass, sign, now, chance());
            }
        });
        self.gate.changed.notify_waiters();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.gate.lock().breaker.give_back(&pass);
            self.gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, Ordering};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::domain::breaker::MOST_FAILURES;
    use crate::domain::clock::ManualClock;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn gates() -> (Gates, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(at(0)));
        let time: Arc<dyn Clock> = clock.clone();
        let named = [(Channel::Email, "post"), (Channel::Sms, "texts")];
        (Gates::new(named, &time), clock)
    }

    /// Whether it is still waiting after others have had their turns.
    async fn waits<T>(mut entering: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        for _ in 0..10 {
            if futures::poll!(entering.as_mut()).is_ready() {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }

    async fn fail_until_open(gate: &Gate) {
        for _ in 0..MOST_FAILURES {
            gate.enter().await.unwrap().tell(Sign::Failed);
        }
        assert!(gate.is_shut());
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first_answer_and_a_dropped_permit_is_none() {
        let (gates, _clock) = gates();
        let gate = gates.of(Channel::Email).unwrap();
        let first = gate.enter().await.unwrap();
        let mut second = std::pin::pin!(gate.enter());
        let mut room = std::pin::pin!(gate.room());
        assert!(waits(second.as_mut()).await);
        assert!(waits(room.as_mut()).await);
        drop(first);
        let second = second.await.unwrap();
        let mut third = std::pin::pin!(gate.enter());
        assert!(waits(third.as_mut()).await, "nothing was answered yet");
        second.tell(Sign::Taken);
        let _third = third.await.unwrap();
        let _fourth = gate.enter().await.unwrap();
        room.await;
    }

    /// A clock that fails when it is told to.
    #[derive(Debug)]
    struct Trap(AtomicBool);

    impl Clock for Trap {
        fn now(&self) -> Timestamp {
            assert!(!self.0.load(Ordering::SeqCst), "a bug");
            at(0)
        }

        fn until(&self, _: Timestamp) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn a_panic_while_telling_frees_the_place() {
        let trap = Arc::new(Trap(AtomicBool::new(false)));
        let clock: Arc<dyn Clock> = trap.clone();
        let gates = Gates::new([(Channel::Email, "post")], &clock);
        let gate = gates.of(Channel::Email).unwrap();
        let permit = gate.enter().await.unwrap();
        trap.0.store(true, Ordering::SeqCst);
        let told = catch_unwind(AssertUnwindSafe(|| permit.tell(Sign::Taken)));
        assert!(told.is_err());
        trap.0.store(false, Ordering::SeqCst);
        let next = tokio::time::timeout(Duration::from_secs(1), gate.enter()).await;
        assert!(next.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_shut_gate_sends_back_and_opens_by_time() {
        let (gates, clock) = gates();
        let gate = gates.of(Channel::Email).unwrap();
        fail_until_open(gate).await;
        assert!(gate.enter().await.is_none());
        assert!(gates.is_shut(Channel::Email) && !gates.is_shut(Channel::Sms));
        let mut room = std::pin::pin!(gate.room());
        assert!(waits(room.as_mut()).await);
        clock.advance_to(at(40));
        room.await;
        gate.enter().await.unwrap().tell(Sign::Taken);
        assert!(!gate.is_open_circuit());
    }

    #[tokio::test]
    async fn closing_lets_go_of_all_who_wait() {
        let (gates, _clock) = gates();
        let (mail, sms) = (gates.of(Channel::Email), gates.of(Channel::Sms));
        fail_until_open(mail.unwrap()).await;
        let _first = sms.unwrap().enter().await.unwrap();
        let mut room = std::pin::pin!(mail.unwrap().room());
        let mut second = std::pin::pin!(sms.unwrap().enter());
        assert!(waits(room.as_mut()).await && waits(second.as_mut()).await);
        gates.close();
        room.await;
        assert!(second.await.is_none());
    }

    #[tokio::test]
    async fn the_metrics_show_one_state_of_each() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _showing = metrics::set_default_local_recorder(&recorder);
        let (gates, clock) = gates();
        let state = |name: &str, provider: &str| {
            let label = format!("provider=\"{provider}\",state=\"{name}\"}} 1\n");
            metrics.render().contains(&label)
        };
        assert!(state("half_open", "post") && state("half_open", "texts"));
        let gate = gates.of(Channel::Email).unwrap();
        fail_until_open(gate).await;
        assert!(state("open", "post") && !state("half_open", "post"));
        clock.advance_to(at(40));
        let probe = gate.enter().await.unwrap();
        assert!(state("half_open", "post") && !state("open", "post"));
        probe.tell(Sign::Taken);
        assert!(state("closed", "post"));
        let wait = Some(Duration::from_secs(7));
        gate.enter().await.unwrap().tell(Sign::Throttled(wait));
        assert!(state("throttled", "post") && state("half_open", "texts"));
    }
}

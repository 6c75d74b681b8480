//! A mail whose connection ends or breaks behind any byte, in either direction: the try is UNKNOWN only when the final dot may have
//! arrived, else it is made again, and the customer has the mail once and once more for each UNKNOWN.

use std::collections::BTreeSet;

use tidings::proto::notification;

use crate::fault_proxy::{Fault, FaultProxy, Passed};
use crate::gateway::Embedded;
use crate::post_office::PostOffice;
use crate::report::Run;
use crate::shop::{after, get, guest, message_id, open, post, reach, send, shipped, tries, until};

const SENT: (notification::State, &str) = (notification::State::Sent, "HANDED_OVER");
/// After a try that failed the next one is due by then.
const NEXT_TRY_MILLIS: i64 = 60_000;
/// Numbers of orders are as long as this one, so that all mails are of one length.
const FIRST_ORDER: u64 = 10_000_000;

const GO_ON: &[u8] = b"354 go\r\n";
const KEPT: &[u8] = b"250 kept\r\n";
const DOT: &[u8] = b"\r\n.\r\n";

/// Which bytes are counted, and what happens behind the last one that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The server sees the client's end, and hangs up.
    ServerSeesEnd,
    ClientSeesEnd,
    BreaksTowardsServer,
    BreaksTowardsClient,
}

const KINDS: [Kind; 4] = [
    Kind::ServerSeesEnd,
    Kind::ClientSeesEnd,
    Kind::BreaksTowardsServer,
    Kind::BreaksTowardsClient,
];

impl Kind {
    fn spoil(self, proxy: &FaultProxy, at: u64) {
        match self {
            Self::ServerSeesEnd => proxy.to_server(Fault::TruncateAt(at)),
            Self::ClientSeesEnd => proxy.to_client(Fault::TruncateAt(at)),
            Self::BreaksTowardsServer => proxy.to_server(Fault::ResetAt(at)),
            Self::BreaksTowardsClient => proxy.to_client(Fault::ResetAt(at)),
        }
    }

    /// Whether each side has read all that was passed on before it sees the end.
    fn is_orderly(self) -> bool {
        matches!(self, Self::ServerSeesEnd | Self::ClientSeesEnd)
    }

    fn counts_client(self) -> bool {
        matches!(self, Self::ServerSeesEnd | Self::BreaksTowardsServer)
    }
}

/// A gateway, and a mail server behind a proxy.
pub(crate) struct Way {
    server: PostOffice,
    proxy: FaultProxy,
    gateway: Embedded,
    orders: u64,
    /// The bytes of a whole dialogue.
    whole: Passed,
    pub(crate) run: Run,
}

impl Way {
    pub(crate) async fn open() -> Self {
        let server = PostOffice::start(std::time::Duration::ZERO, false).await;
        let proxy = FaultProxy::start(([127, 0, 0, 1], server.port).into()).await;
        let gateway = open(vec![post(proxy.address().port())]).await;
        let mut way = Self {
            server,
            proxy,
            gateway,
            orders: FIRST_ORDER,
            whole: Passed::default(),
            run: Run::default(),
        };
        let name = way.order().await;
        reach(&way.gateway.client, &name, SENT).await;
        way.whole = way.proxy.newest();
        way
    }

    async fn order(&mut self) -> String {
        self.orders += 1;
        let id = self.orders.to_string();
        let intent = shipped(&id, guest("ada@example.com"));
        send(&self.gateway.client, &id, intent).await
    }

    /// Every place where the dialogue can be cut, the last one behind its last byte.
    pub(crate) fn every(&self) -> Vec<(usize, u64)> {
        let places = KINDS.iter().enumerate().flat_map(|(kind, how)| {
            let last = self.length(*how);
            (0..=last).map(move |at| (kind, at))
        });
        places.collect()
    }

    /// Some of them: around the ends of the steps that matter, and spread over the rest.
    fn some(&self) -> Vec<(usize, u64)> {
        let mut places = BTreeSet::new();
        for (kind, how) in KINDS.iter().enumerate() {
            let last = self.length(*how);
            places.extend((0..4).map(|part| (kind, last * part / 4)));
            places.extend((last - 2..=last).map(|at| (kind, at)));
            // Around the end of 354, or of the DATA that asks for it.
            let (said, word) = if how.counts_client() {
                (&self.whole.said_by_client, &b"DATA\r\n"[..])
            } else {
                (&self.whole.told_to_client, GO_ON)
            };
            let end = place_of(said, word).unwrap() + word.len();
            let end = u64::try_from(end).unwrap();
            places.extend((end - 1..=end + 1).map(|at| (kind, at)));
        }
        places.into_iter().collect()
    }

    fn length(&self, how: Kind) -> u64 {
        let counted = if how.counts_client() {
            &self.whole.said_by_client
        } else {
            &self.whole.told_to_client
        };
        u64::try_from(counted.len()).unwrap()
    }

    /// One mail whose first try is cut there.
    pub(crate) async fn cut(&mut self, (kind, at): (usize, u64)) {
        let kind = KINDS[kind];
        // A connection that was kept has no greeting: each begins anew.
        self.proxy.both(Fault::Reset);
        until("no connection", || self.proxy.open() == 0).await;
        self.proxy.both(Fault::None);
        let before = self.server.mails().len();
        kind.spoil(&self.proxy, at);
        let name = self.order().await;
        let first = self.first_try(&name).await;
        until("the end of the connection", || {
            first == "ok" || self.proxy.open() == 0
        })
        .await;
        let taken = self.server.mails().len() - before;
        let passed = self.proxy.newest();
        self.run
            .faults
            .extend(wrong(kind, &first, taken, &passed).map(|what| {
                let (said, told) = (&passed.said_by_client, &passed.told_to_client);
                format!(
                    "{kind:?} at {at}: {what}; the try was {first}, {taken} taken, {} bytes said, told {:?}",
                    said.len(),
                    String::from_utf8_lossy(told)
                )
            }));
        self.proxy.both(Fault::None);
        self.comes_once(&name, before, &format!("{kind:?} at {at}"))
            .await;
        self.run.deaths += 1;
        self.run.intents += 1;
    }

    async fn first_try(&self, name: &str) -> String {
        loop {
            match tries(&get(&self.gateway.client, name).await).first() {
                Some((1, result)) if !result.is_empty() => return result.clone(),
                _ => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
            }
        }
    }

    /// In the end it is sent, and was taken once and once more for each UNKNOWN at most.
    async fn comes_once(&mut self, name: &str, before: usize, place: &str) {
        let later = after(self.gateway.clock.now_at(), NEXT_TRY_MILLIS);
        self.gateway.run_until(later).await;
        let sent = reach(&self.gateway.client, name, SENT).await;
        let tried = tries(&sent);
        let of = |word: &str| tried.iter().filter(|(_, result)| result == word).count();
        let ids = self.server.message_ids().split_off(before);
        let own = message_id(&sent, 0);
        let repeats = ids.len().saturating_sub(1);
        self.run.duplicates += u64::try_from(repeats).unwrap();
        self.run.ambiguous += u64::try_from(of("unknown")).unwrap();
        if ids.is_empty() {
            self.run.lost += 1;
        }
        if ids.is_empty() || repeats > of("unknown") || ids.iter().any(|id| *id != own) {
            self.run.unexplained += u64::try_from(repeats).unwrap();
            let fault = format!("{place}: taken as {ids:?}, it is {own}, tries {tried:?}");
            self.run.faults.push(fault);
        }
    }
}

/// What is wrong with the word for a try, by what went over the line and what the server took.
fn wrong(kind: Kind, first: &str, taken: usize, passed: &Passed) -> Option<&'static str> {
    let told = &passed.told_to_client;
    let asked = place_of(told, GO_ON).is_some();
    let kept = place_of(told, KEPT).is_some();
    let dot = place_of(&passed.said_by_client, DOT).is_some();
    match first {
        "ok" => (!kept).then_some("nobody said that it was kept"),
        _ if kept && kind.is_orderly() => Some("it was said to be kept"),
        "transient" if taken > 0 => Some("the server has it"),
        "transient" => dot.then_some("the final dot had left"),
        "unknown" if !asked => Some("the mail had not begun"),
        // Of a connection that broke, what the client said last may not have been read.
        "unknown" => (!dot && kind.is_orderly()).then_some("the final dot had not left"),
        _ => Some("no such word"),
    }
}

fn place_of(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|part| part == word)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_anywhere_costs_a_try_and_doubles_nothing_unnamed() {
    let mut way = Way::open().await;
    let places = way.some();
    let count = places.len();
    for place in places {
        way.cut(place).await;
    }
    println!(
        "{count} of {} places: {}",
        way.every().len(),
        way.run.line()
    );
    assert_eq!(way.run.faults, [""; 0]);
    // Both words were there to be wrong.
    assert!(way.run.ambiguous > 10, "{}", way.run.ambiguous);
    assert!(way.run.intents - way.run.ambiguous > 10);
}

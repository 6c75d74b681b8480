//! F9: a peer stands still, with its sockets open and nothing answered: the broker, the database, the mail server, the services for
//! texts and chats. The servers get a SIGSTOP; receivers, which live in this process, stand behind proxies that take nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use tidings::domain::clock::{Clock as _, Stopwatch, SystemClock};

use crate::fault_proxy::Fault;
use crate::rows::{BETWEEN, Found, judged, run, site_with};
use crate::site::{Site, ready};
use crate::wishes::Wishes;

/// How long a peer stands still in a long trial: longer than every deadline.
pub(crate) const LONG: Duration = Duration::from_secs(25);
/// Of every step of a hand-over. One that finds its kept connection silent tries a new one, and meets it twice.
const DEADLINE: Duration = Duration::from_secs(4);
/// What a machine that is busy with other things may add.
const BUSY: Duration = Duration::from_secs(5);
/// Between two looks at what is being handed over: shorter than any try that is not answered.
const LOOK: Duration = Duration::from_millis(200);
/// Two heartbeats of the broker.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// Callers who ask on the way to the broker or the database have an answer of their own by then.
const ON_THEIR_WAY: Duration = Duration::from_secs(2);
/// What both processes show together, two connections each.
const CONNECTIONS: f64 = 4.0;

#[derive(Clone, Copy)]
enum Peer {
    Broker,
    Database,
    Mail,
    Services,
}

const PEERS: [Peer; 4] = [Peer::Broker, Peer::Database, Peer::Mail, Peer::Services];

/// So many stand-stills, of each peer in turn. What is measured is the time from a database's return to fifty answers.
pub(crate) async fn stand_still(count: u64, lasting: Duration) -> Found {
    let deadline = format!("{}s", DEADLINE.as_secs());
    let settings = [
        "PROVIDERS__SMTP__POST__CONNECT_TIMEOUT",
        "PROVIDERS__SMTP__POST__COMMAND_TIMEOUT",
        "PROVIDERS__SMTP__POST__DATA_TIMEOUT",
        "PROVIDERS__TWILIO__TEXTS__TIMEOUT",
        "PROVIDERS__DISCORD__CHATS__TIMEOUT",
    ];
    let wishes = Wishes {
        settings: settings.map(|name| (name, deadline.clone())).into(),
        proxied: true,
        ..Wishes::default()
    };
    let mut site = site_with(2, wishes).await?;
    let mut restarts = Vec::new();
    for (_, peer) in (0..count).zip(PEERS.iter().cycle()) {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        match peer {
            Peer::Broker => broker(&site, lasting).await,
            Peer::Database => restarts.push(database(&site, lasting).await),
            Peer::Mail => receiver(&mut site, &["email"], &["sms", "chat"], lasting).await,
            Peer::Services => receiver(&mut site, &["sms", "chat"], &["email"], lasting).await,
        }
    }
    let before = site.load.count();
    site.taken(before + BETWEEN).await;
    Some(run(count, Vec::new(), restarts, judged(site).await))
}

/// Intake goes on meanwhile.
async fn broker(site: &Site, lasting: Duration) {
    let still = Stopwatch::start();
    site.broker().freeze();
    let before = site.load.count();
    let noticed = site.shows("tidings_broker_connected", 0.0).await;
    println!("a broker that stands still is noticed after {noticed:?}");
    assert!(noticed < NOTICED_WITHIN + BUSY, "{noticed:?}");
    site.taken(before + BETWEEN).await;
    assert_eq!(ready(&site.console(0)).await.0, 200);
    rest(lasting, &still).await;
    site.broker().thaw();
    let back = site.shows("tidings_broker_connected", CONNECTIONS).await;
    println!("it is used again after {back:?}");
    site.arrives(&["email"]).await;
}

/// Nothing is OK meanwhile, and every caller is told so in time; how long it took afterwards, in milliseconds.
async fn database(site: &Site, lasting: Duration) -> u64 {
    let still = Stopwatch::start();
    site.database.freeze();
    tokio::time::sleep(ON_THEIR_WAY).await;
    let before = site.load.count();
    site.load.passing();
    rest(lasting, &still).await;
    let told = site.load.passing();
    assert_eq!(site.load.count(), before, "answered OK without a database");
    site.database.go_on();
    let back = Stopwatch::start();
    let refused = |code| told.iter().any(|(known, _)| *known == code);
    assert!(refused(tonic::Code::Unavailable), "{told:?}");
    site.taken(before + BETWEEN / 2).await;
    println!(
        "fifty answers {:?} after the database's return",
        back.elapsed()
    );
    u64::try_from(back.elapsed().as_millis()).unwrap()
}

/// The other channels go on meanwhile, and no try takes longer than its deadlines. That what waited is sent afterwards, when the
/// breaker lets it, the judge sees.
async fn receiver(site: &mut Site, still: &[&str], others: &[&str], lasting: Duration) {
    let (begun, mark, watch) = (SystemClock.now(), site.ledger.now(), Stopwatch::start());
    set(site, still, Fault::Hold);
    // What the kernel has taken for a peer that stands still arrives when it goes on, however long ago its sender gave up.
    let mut withheld = BTreeSet::new();
    // Long enough for one that is stuck to be seen.
    let longest_allowed = 2 * DEADLINE + BUSY;
    while watch.elapsed() < lasting.max(longest_allowed + LOOK) {
        withheld.extend(site.tries(still));
        tokio::time::sleep(LOOK).await;
    }
    let gone_on = site.received(mark, others);
    let longest = site.longest_try(begun);
    set(site, still, Fault::None);
    site.withheld(&withheld);
    println!(
        "{} tries met {still:?} that stood still; the longest took {longest:?}; {gone_on} went by {others:?}",
        withheld.len()
    );
    assert!(!withheld.is_empty());
    // A fifth of what a machine with nothing else to do makes of it.
    assert!(gone_on > BETWEEN / 2, "{gone_on}");
    assert!(longest < longest_allowed, "{longest:?}");
}

fn set(site: &Site, channels: &[&str], fault: Fault) {
    let ways = site.ways();
    for channel in channels {
        let way = match *channel {
            "email" => &ways.mail,
            "sms" => &ways.sms,
            _ => &ways.chat,
        };
        way.both(fault);
    }
}

async fn rest(lasting: Duration, since: &Stopwatch) {
    tokio::time::sleep(lasting.saturating_sub(since.elapsed())).await;
}

//! F10: a cluster of three brokers is parted, each time in another way, while callers call and workers work; then it is put together
//! again. Where two nodes still see each other the work goes on over them, wherever the processes were connected; where none does,
//! intake goes on and the work after.

use std::time::Duration;

use tidings::domain::clock::Stopwatch;

use crate::brokers::{Brokers, NODES};
use crate::rows::{BETWEEN, Found, judged, run, site_with};
use crate::site::ready;
use crate::wishes::Wishes;

/// How long each lasts in a long trial.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// From the cut until messages flow over those that are left: they must notice it, and so must the processes.
const GOES_ON_WITHIN: Duration = Duration::from_secs(60);

/// Who does not hear whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The node that leads the queues, and the others.
    Leader,
    /// The node that the processes are connected to, and the others.
    Clients,
    /// A node that is neither, if there is one, and the others.
    Bystander,
    /// Everybody everybody.
    All,
    /// The others the leader, while it hears them.
    LeaderIsNotHeard,
    /// The leader the others, while they hear it.
    LeaderIsDeaf,
    /// The leader and one other each other, while both hear the third.
    Pair,
}

const KINDS: [Kind; 7] = [
    Kind::Leader,
    Kind::All,
    Kind::Clients,
    Kind::LeaderIsNotHeard,
    Kind::Bystander,
    Kind::LeaderIsDeaf,
    Kind::Pair,
];

/// So many partitions, of each kind in turn. What is measured is the time from the cut, or where nobody is left from its end, until a
/// message is received that was asked for after it.
pub(crate) async fn parted(count: u64, lasting: Duration) -> Found {
    let wishes = Wishes {
        cluster: true,
        ..Wishes::default()
    };
    let site = site_with(2, wishes).await?;
    let mut restarts = Vec::new();
    for (number, kind) in (1..=count).zip(KINDS.iter().cycle()) {
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        let cut = Stopwatch::start();
        part(site.brokers(), *kind);
        let newest = site.newest_order();
        let mut flowing = Stopwatch::start();
        if *kind != Kind::All {
            site.receives_newer(newest, GOES_ON_WITHIN).await;
            restarts.push(millis(&flowing));
        }
        let before = site.load.count();
        site.taken(before + BETWEEN).await;
        assert_eq!(ready(&site.console(0)).await.0, 200);
        tokio::time::sleep(lasting.saturating_sub(cut.elapsed())).await;
        let newest = site.newest_order();
        flowing = Stopwatch::start();
        site.brokers().heal();
        site.receives_newer(newest, GOES_ON_WITHIN).await;
        if *kind == Kind::All {
            restarts.push(millis(&flowing));
        }
        println!("{kind:?}: a new message after {:?} ms", restarts.last());
        if number < count {
            let whole = site.brokers().is_whole().await;
            println!("whole {whole:?} after its end");
        }
    }
    Some(run(count, Vec::new(), restarts, judged(site).await))
}

fn part(brokers: &Brokers, kind: Kind) {
    let (leader, clients) = (brokers.leader(), brokers.clients());
    let others = |of: usize| (0..NODES).filter(move |other| *other != of);
    let alone = |node: usize| {
        for other in others(node) {
            brokers.cut(node, other);
            brokers.cut(other, node);
        }
    };
    println!("{kind:?}: node {leader} leads, clients are at {clients}");
    match kind {
        Kind::Leader => alone(leader),
        Kind::Clients => alone(clients),
        Kind::Bystander => {
            let free = (0..NODES).find(|node| *node != leader && *node != clients);
            alone(free.unwrap());
        }
        Kind::All => (0..NODES).for_each(alone),
        Kind::LeaderIsNotHeard => others(leader).for_each(|other| brokers.cut(leader, other)),
        Kind::LeaderIsDeaf => others(leader).for_each(|other| brokers.cut(other, leader)),
        Kind::Pair => {
            let other = others(leader).next().unwrap();
            brokers.cut(leader, other);
            brokers.cut(other, leader);
        }
    }
}

fn millis(since: &Stopwatch) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap()
}

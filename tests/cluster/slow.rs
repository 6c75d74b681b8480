//! F12 over three replicas: a mail server that takes 30 s for each reply makes no text slower.

use std::time::Duration;

use tidings::client::Client;
use tidings::domain::clock::Stopwatch;

use crate::bulk::{self, NOTICES};
use crate::fault_proxy::Fault;
use crate::lanes::measure;
use crate::report::Run;
use crate::rows::{Found, site_with};
use crate::wishes::Wishes;

const REPLICAS: usize = 3;
/// What a receiver takes to store what it was given.
const STORING: Duration = Duration::from_millis(100);
/// Between any two bytes of the mail server, in effect.
const SLOW: Duration = Duration::from_secs(30);
/// Mails before these went well, by each of the processes.
const KNOWN: u64 = 60;
/// Mails that meet it: more than all processes have connections for.
const MAILS: u64 = 400;
/// So many hang at least while texts are measured.
const HANGING: usize = 10 * REPLICAS;
/// The longest until they do.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a busy machine may take for a text at any time.
const BUSY: Duration = Duration::from_secs(3);

/// So many texts beside mails that hang. One may take half as long again as else, or `spare`.
async fn beside_a_slow_server(texts: u64, spare: Duration) -> Found {
    let wishes = Wishes {
        settings: vec![
            ("PROVIDERS__SMTP__POST__CONNECT_TIMEOUT", "60s".to_owned()),
            ("PROVIDERS__SMTP__POST__COMMAND_TIMEOUT", "60s".to_owned()),
            ("PROVIDERS__SMTP__POST__DATA_TIMEOUT", "60s".to_owned()),
        ],
        proxied: true,
        ..Wishes::quiet(STORING)
    };
    let mut site = site_with(REPLICAS, wishes).await?;
    let client = Client::connect(&site.grpc(0)).await.unwrap();
    let measured = async |first: u64, count| {
        measure(&site, &client, first..first + count, bulk::text, STORING).await
    };
    measured(NOTICES, 20).await;
    let idle = measured(NOTICES + 100_000, texts).await;
    // A mail server of which nothing is known yet is handed one mail at a time.
    measure(&site, &client, 1..KNOWN, bulk::notice, STORING).await;
    site.ways().mail.to_client(Fault::Delay(SLOW));
    for order in KNOWN..KNOWN + MAILS {
        bulk::send(&client, bulk::notice(order)).await;
    }
    let waited = Stopwatch::start();
    while site.tries(&["email"]).len() < HANGING {
        assert!(waited.elapsed() < PATIENCE, "mails do not hang");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let beside = measured(NOTICES + 200_000, texts).await;
    let hanging = site.tries(&["email"]).len();
    println!("idle {idle:?}, beside {hanging} mails that hang {beside:?}");
    let mut faults = Vec::new();
    if hanging < HANGING {
        faults.push(format!("only {hanging} mails hung to the end"));
    }
    if beside.p99 > spare.max(idle.p99 * 3 / 2) {
        faults.push(format!(
            "{beside:?} beside mails that hang, {idle:?} without"
        ));
    }
    site.kill_all().await;
    Some(Run {
        deaths: 1,
        intents: MAILS + 2 * texts,
        faults,
        ..Run::default()
    })
}

/// A short trial, on a machine that may be busy with other things.
pub(crate) async fn short() -> Found {
    beside_a_slow_server(60, BUSY).await
}

/// So many trials on a machine that does nothing else.
pub(crate) async fn trials(count: u64) -> Found {
    let mut run = Run::default();
    for _ in 0..count {
        let one = beside_a_slow_server(300, Duration::ZERO).await?;
        run.deaths += one.deaths;
        run.intents += one.intents;
        run.faults.extend(one.faults);
    }
    Some(run)
}

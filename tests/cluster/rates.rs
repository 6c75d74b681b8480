//! A provider's limit over three processes that send, by what the receiver took and when: while there is more to send than it lets
//! through, and when a provider that was away comes back and everything waits for it (F25).

use std::time::Duration;

use tidings::client::Client;
use tidings::domain::clock::Stopwatch;

use crate::bulk::{self, NOTICES};
use crate::ledger::Entry;
use crate::report::Run;
use crate::rows::Found;
use crate::site::Site;
use crate::wishes::Wishes;

/// Mails a second.
const LIMIT: u64 = 50;
/// What may come on top in any stretch of time: a slice of 200 ms, and one for the fence post.
const SLICE: u64 = 10 + 1;
/// What the way from leave to the receiver may move from one second into the next, on a busy machine.
const MOVED: u64 = 5;
/// What a mail server takes to store a mail.
const STORING: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);
/// Until each process has had its twenty failures and leaves the provider alone.
const LEFT_ALONE: Duration = Duration::from_secs(15);
/// The longest until a provider that is back is used again, and beyond what the limit asks for until all has been sent.
const PATIENCE: Duration = Duration::from_secs(180);

/// Three workers and a provider with a limit.
async fn limited() -> Option<(Site, Client)> {
    let mut site = Site::open_with(Wishes::quiet(STORING)).await?;
    bulk::write_template(&site);
    site.set("PROVIDERS__SMTP__POST__RATE", &format!("{LIMIT}/s"));
    site.start(&["--role", "ingest,scheduler"]).await;
    for _ in 0..3 {
        site.start(&["--role", "worker", "--channel", "email"])
            .await;
    }
    let client = Client::connect(&site.grpc(0)).await.unwrap();
    Some((site, client))
}

/// More to send than the limit lets through, for so many seconds, of which so much must be used.
pub(crate) async fn three_share(seconds: u64, used: f64) -> Found {
    let (mut site, client) = limited().await?;
    let letters = (seconds + 6) * LIMIT;
    bulk::accept_letters(&client, letters).await;
    let from = site.now();
    let mut faults = Vec::new();
    tokio::time::sleep(SECOND * u32::try_from(seconds / 2).unwrap()).await;
    // What comes later in an upper lane goes first.
    bulk::send(&client, bulk::notice(NOTICES)).await;
    tokio::time::sleep(SECOND * u32::try_from(seconds - seconds / 2).unwrap()).await;
    let until = site.now();
    let received = site.entries();
    if !received.iter().any(|entry| entry.order == NOTICES) {
        faults.push("a notice waited behind letters".to_owned());
    }
    faults.extend(judge(&received, from + SECOND, until, used));
    site.kill_all().await;
    Some(Run {
        deaths: 1,
        intents: u64::try_from(received.len()).unwrap(),
        faults,
        ..Run::default()
    })
}

/// So many letters wait for a mail server that refuses everybody; then it is back. It is not run over, and not left idle.
pub(crate) async fn back_with_a_backlog(letters: u64) -> Found {
    let (mut site, client) = limited().await?;
    site.receivers().refuse(Some("email"));
    bulk::accept_letters(&client, letters).await;
    tokio::time::sleep(LEFT_ALONE).await;
    let refused = site.receivers().refused();
    site.receivers().refuse(None);
    let back = Stopwatch::start();
    let enough = PATIENCE + SECOND * u32::try_from(letters / LIMIT).unwrap();
    while u64::try_from(site.entries().len()).unwrap() < letters {
        assert!(back.elapsed() < enough, "{}", site.entries().len());
        tokio::time::sleep(SECOND / 10).await;
    }
    let received = site.entries();
    println!(
        "refused {refused} times, all {letters} sent {:?} after its return",
        back.elapsed()
    );
    let mut faults = too_many(&received);
    faults.extend(too_slow(&received));
    if refused == 0 {
        faults.push("nobody had tried".to_owned());
    }
    site.kill_all().await;
    Some(Run {
        deaths: 1,
        intents: letters,
        faults,
        ..Run::default()
    })
}

/// Whether four fifths of the limit were used until nine tenths had come; the rest may wait for a later try.
fn too_slow(received: &[Entry]) -> Option<String> {
    let mut times: Vec<Duration> = received.iter().map(|entry| entry.at).collect();
    times.sort_unstable();
    times.truncate(times.len() * 9 / 10);
    let took = (*times.last()? - *times.first()?).as_secs_f64();
    let room = took * LIMIT as f64;
    println!("{} where the limit allows {room:.0}", times.len());
    ((times.len() as f64) < room * 0.8).then(|| {
        format!(
            "{} were received where {room:.0} could have been",
            times.len()
        )
    })
}

/// Whether more came in a second, or in all, than the limit allows.
fn too_many(received: &[Entry]) -> Vec<String> {
    let mut times: Vec<Duration> = received.iter().map(|entry| entry.at).collect();
    times.sort_unstable();
    let mut faults = Vec::new();
    let mut most = 0;
    for (place, begins) in times.iter().enumerate() {
        let later = times[place..].iter();
        let within = later.take_while(|at| **at < *begins + SECOND).count();
        most = most.max(u64::try_from(within).unwrap());
    }
    println!("at most {most} in a second");
    if most > LIMIT + SLICE + MOVED {
        faults.push(format!("{most} in one second"));
    }
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return vec!["nothing was received".to_owned()];
    };
    let whole = (*last - *first).as_secs_f64() * LIMIT as f64;
    let all = times.len() as f64;
    println!("{all} where the limit allows {whole:.0}");
    if all > whole + (SLICE + MOVED) as f64 {
        faults.push(format!("{all} were received where {whole:.0} were allowed"));
    }
    faults
}

/// What is wrong with these times, of which those between `from` and `until` had work enough to use so much of the limit.
fn judge(received: &[Entry], from: Duration, until: Duration, used: f64) -> Vec<String> {
    let mut faults = too_many(received);
    let busy = received
        .iter()
        .filter(|entry| (from..until).contains(&entry.at))
        .count() as f64;
    let room = (until - from).as_secs_f64() * LIMIT as f64;
    println!("{:.1} % of the limit used", 100.0 * busy / room);
    if busy < room * used {
        faults.push(format!(
            "{busy} were received where {room:.0} could have been"
        ));
    }
    faults
}

/// So many trials of [`back_with_a_backlog`], each with what takes seven minutes to send.
pub(crate) async fn backlogs(count: u64) -> Found {
    let mut run = Run::default();
    for _ in 0..count {
        let one = back_with_a_backlog(20_000).await?;
        run.deaths += one.deaths;
        run.intents += one.intents;
        run.faults.extend(one.faults);
    }
    Some(run)
}

/// So many minutes of [`three_share`].
pub(crate) async fn minutes(count: u64) -> Found {
    let mut run = Run::default();
    for _ in 0..count {
        let one = three_share(60, 0.95).await?;
        run.deaths += one.deaths;
        run.intents += one.intents;
        run.faults.extend(one.faults);
    }
    Some(run)
}

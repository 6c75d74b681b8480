//! A provider's limit over three processes that send, by what the receiver took and when.

use std::time::Duration;

use tidings::client::Client;

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

/// Three workers with more to send than the limit lets them, for so many seconds.
pub(crate) async fn three_share(seconds: u64) -> Found {
    let mut site = Site::open_with(Wishes::quiet(STORING)).await?;
    bulk::write_template(&site);
    site.set("PROVIDERS__SMTP__POST__RATE", &format!("{LIMIT}/s"));
    site.start(&["--role", "ingest,scheduler"]).await;
    for _ in 0..3 {
        site.start(&["--role", "worker", "--channel", "email"])
            .await;
    }
    let client = Client::connect(&site.grpc(0)).await.unwrap();
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
    faults.extend(judge(&received, from + SECOND, until));
    site.kill_all().await;
    Some(Run {
        deaths: 1,
        intents: u64::try_from(received.len()).unwrap(),
        faults,
        ..Run::default()
    })
}

/// What is wrong with these times, of which those between `from` and `until` had work enough.
fn judge(received: &[Entry], from: Duration, until: Duration) -> Vec<String> {
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
    let busy = times
        .iter()
        .filter(|at| (from..until).contains(*at))
        .count() as f64;
    let room = (until - from).as_secs_f64() * LIMIT as f64;
    println!("{:.1} % of the limit used", 100.0 * busy / room);
    if busy < room * 0.95 {
        faults.push(format!(
            "{busy} were received where {room:.0} could have been"
        ));
    }
    faults
}

/// So many minutes of [`three_share`].
pub(crate) async fn minutes(count: u64) -> Found {
    let mut run = Run::default();
    for _ in 0..count {
        let one = three_share(60).await?;
        run.deaths += one.deaths;
        run.intents += one.intents;
        run.faults.extend(one.faults);
    }
    Some(run)
}

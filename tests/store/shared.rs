//! What processes on one database leave to each other: leave to hand over, and the work of those who died.

use std::sync::Arc;
use std::time::Duration;

use tidings::domain::channel::Lane;
use tidings::domain::clock::{Clock, ManualClock, Stopwatch};
use tidings::domain::policy::UnknownRule;
use tidings::scheduler::Scheduler;
use tidings::store::Lease;
use tokio_util::sync::CancellationToken;

use crate::leasing::ask;
use crate::server::Server;
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_one_for_three_processes() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Arc::new(Fixture::on(server.clone()).await));
    }
    let watch = Stopwatch::start();
    let tasks = processes.iter().cloned().map(|f| {
        tokio::spawn(async move {
            let mut given = 0;
            while watch.elapsed() < Duration::from_secs(3) {
                match ask(f.store.as_ref(), "100/s", Lane::Bulk, 7).await {
                    Lease::Given { permits, .. } => given += permits,
                    Lease::NotBefore(pause) => tokio::time::sleep(pause).await,
                }
            }
            given
        })
    });
    let given = settled(tasks.collect()).await;
    let allowed = 100.0 * watch.elapsed().as_secs_f64();
    let all = f64::from(given.iter().sum::<u32>());
    println!("{given:?}, {allowed:.0} allowed");
    // A slice ahead, what was leased last, half a slice to catch up.
    assert!(
        all <= allowed + 20.0 + 7.0 + 10.0 + 1.0,
        "{all} of {allowed}"
    );
    assert!(all >= allowed * 0.75, "{all} of {allowed}");
    assert!(given.iter().all(|some| *some > 0), "{given:?}");
    // A clock that was set back by an hour does not stop everybody for an hour.
    server.sql(
        "postgres",
        "UPDATE rate_lease SET until = until + 3600000000",
    );
    let again = ask(processes[0].store.as_ref(), "100/s", Lane::Bulk, 1).await;
    assert!(matches!(again, Lease::Given { .. }), "{again:?}");
}

/// While the database was away nobody could be heard of, so nobody is dead for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_taken_for_dead_because_the_database_was_away() {
    const DEAD_AFTER: Duration = Duration::from_secs(10);
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let living = Fixture::on(server.clone()).await;
    let other = Fixture::on(server.clone()).await;
    let one = living.accept(living.intent("ada")).await;
    let claimed = living.claim(one.id, start()).await;
    living.store.beat().await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(start()));
    let scheduler = Scheduler::new(other.store.clone(), other.plans.clone(), clock)
        .taking_over(DEAD_AFTER, Arc::new(|_| UnknownRule::Resend));
    let stop = CancellationToken::new();
    let scheduling = tokio::spawn(scheduler.run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.freeze();
    tokio::time::sleep(DEAD_AFTER + Duration::from_secs(2)).await;
    server.go_on();
    // As late as a heartbeat may come. Meanwhile the other one has looked.
    tokio::time::sleep(Duration::from_secs(3)).await;
    while living.store.beat().await.is_err() {}
    assert!(
        living.settle(&claimed, sent(), start()).await,
        "it was taken over while it lived"
    );
    stop.cancel();
    scheduling.await.unwrap();
}

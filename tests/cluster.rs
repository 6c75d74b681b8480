//! Several processes over one PostgreSQL and one RabbitMQ: roles apart, replicas that are killed, a broker and a database that are killed
//! and wiped under load. The judge is the one of `tests/faults`: what callers were told is held against what receivers wrote down.
//!
//! Needs the feature `failpoints`.

#[path = "cluster/alarm.rs"]
mod alarm;
#[path = "cluster/brokers.rs"]
mod brokers;
#[path = "cluster/bulk.rs"]
mod bulk;
#[path = "support/fake_time.rs"]
mod fake_time;
#[path = "support/fault_proxy.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod fault_proxy;
#[path = "cluster/flips.rs"]
mod flips;
#[path = "faults/gateway.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod gateway;
#[path = "cluster/half_open.rs"]
mod half_open;
#[path = "faults/hang.rs"]
mod hang;
#[path = "support/http_fake.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod http_fake;
#[path = "faults/judge.rs"]
mod judge;
#[path = "cluster/lanes.rs"]
mod lanes;
#[path = "faults/ledger.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod ledger;
#[path = "faults/load.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod load;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "faults/mount.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod mount;
#[path = "cluster/outage.rs"]
mod outage;
#[path = "cluster/partition.rs"]
mod partition;
#[path = "support/port_mapper.rs"]
mod port_mapper;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod postgres;
#[path = "cluster/power.rs"]
mod power;
#[path = "support/rabbitmq.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod rabbitmq;
#[path = "cluster/rates.rs"]
mod rates;
#[path = "faults/receivers.rs"]
mod receivers;
#[path = "cluster/replicas.rs"]
mod replicas;
#[path = "faults/report.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod report;
#[path = "cluster/rolls.rs"]
mod rolls;
#[path = "cluster/rows.rs"]
mod rows;
#[path = "faults/shop.rs"]
mod shop;
#[path = "cluster/site.rs"]
mod site;
#[path = "cluster/skew.rs"]
mod skew;
#[path = "support/skip.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod skip;
#[path = "cluster/slow.rs"]
mod slow;
#[path = "support/vendor_fakes.rs"]
mod vendor_fakes;
#[path = "cluster/wishes.rs"]
mod wishes;

use std::time::Duration;

use report::Run;
use rows::Found;
use site::{Site, ready};

/// How long a process may take to end when it is asked to.
const END: Duration = Duration::from_secs(20);

/// One process for each role, as in a cluster: what goes in at one of them comes out at another.
#[tokio::test(flavor = "multi_thread")]
async fn roles_in_processes_of_their_own_do_the_work_of_one() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    for options in [
        &["--role", "ingest"][..],
        &["--role", "worker", "--channel", "email"],
        &["--role", "worker", "--channel", "sms,chat"],
        &["--role", "scheduler"],
        &["--role", "console"],
    ] {
        site.start(options).await;
    }
    for replica in site.replicas() {
        // A worker connects to the broker after its doors are open.
        let answer = site::until(&replica.console, 200).await;
        assert_eq!(answer, (200, "ready\n".to_owned()));
    }
    let ingest = site.grpc(0);
    site.load.open(&ingest).await;
    site.taken(400).await;
    let verdict = site.judged(&ingest).await;
    assert_eq!(verdict.faults, [""; 0]);
    assert_eq!((verdict.lost, verdict.unexplained), (0, 0));
    // What serves no callers says how it is, and nothing else.
    let (status, _) = site::get(&site.console(1), "/").await;
    assert_eq!(status, 404, "a worker shows no pages");
    let (status, _) = site::get(&site.console(4), "/").await;
    assert_eq!(status, 200);
    // Workers need the broker; intake does not.
    site.broker_mut().kill();
    let (code, why) = site::until(&site.console(1), 503).await;
    assert_eq!(
        (code, why.as_str()),
        (503, "not ready: the queue cannot be reached\n")
    );
    assert_eq!(site::serving(&site.grpc(1)).await, Some(false));
    assert_eq!(ready(&site.console(0)).await.0, 200);
    assert_eq!(site::serving(&ingest).await, Some(true));
    for status in site.stop(END).await {
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

/// A short round of a row, which must find nothing. `None`: this machine cannot.
fn good(found: Found) -> Option<Run> {
    let run = found?;
    println!("{}", run.line());
    assert_eq!(run.faults, [""; 0]);
    assert_eq!((run.lost, run.unexplained), (0, 0));
    assert!(run.intents > 100, "only {} intents", run.intents);
    Some(run)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_killed_lose_nothing() {
    let run = good(rows::replicas_killed(4).await);
    assert!(run.is_none_or(|run| run.in_flight.iter().any(|some| *some > 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_sends_nothing_that_was_taken_over() {
    let run = good(rows::processes_paused(1).await);
    assert!(run.is_none_or(|run| run.in_flight.iter().any(|some| *some > 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_loses_nothing() {
    good(rows::broker_killed(1, false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_wiped_loses_nothing() {
    good(rows::broker_killed(1, true).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_loses_nothing_and_nothing_is_ok_meanwhile() {
    good(rows::database_killed(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_stand_still_hold_nobody_up() {
    // Broker, database and mail server.
    good(half_open::stand_still(3, Duration::from_secs(7)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_nothing_in_costs_time_and_nothing_else() {
    good(alarm::raised(1, Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_share_a_providers_limit() {
    // A machine that is busy with other things may not keep up; the row RATE wants 95 %.
    quiet(rates::three_share(12, 0.8).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_mail_server_slows_no_text() {
    quiet(slow::short().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_back_is_not_run_over() {
    quiet(rates::back_with_a_backlog(600).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_bulk_lane_does_not_slow_notices() {
    quiet(lanes::short().await);
}

/// One whose faults are all that it tells.
fn quiet(found: Found) {
    if let Some(run) = found {
        assert_eq!(run.faults, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_restarted_in_turn_fail_no_call() {
    good(rolls::restarted_in_turn(1, 40).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_end_in_time_whoever_hangs_on_the_door() {
    good(rolls::stopped_with_hung_clients(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_brokers_that_is_parted_loses_nothing() {
    // The leader is cut off, to which the processes are connected.
    good(partition::parted(1, Duration::from_secs(15)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_power_is_cut_has_all_that_was_answered() {
    good(power::cuts(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_with_a_flipped_bit_go_to_the_dead_queue_and_hold_nobody_up() {
    good(flips::flipped(100).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong_send_nothing_early_and_nothing_twice() {
    good(skew::skewed(20).await);
}

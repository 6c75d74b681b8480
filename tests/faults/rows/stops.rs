//! F18: SIGTERM under load, with clients that hang on the door.

use std::time::Duration;

use tidings::domain::clock::Stopwatch;

use super::Done;
use crate::hang::hang;
use crate::store_file;
use crate::trial::{Pace, Trial};

/// Six seconds to drain, of which hanging clients get half, one for tasks that hang; the rest is the machine's.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn under_load(count: u64, pace: Pace) -> Done {
    let mut trial = Trial::begin(pace).await;
    for _ in 0..count {
        let mut gateway = trial.start("").await.expect("nothing is armed");
        let hanging = hang(&gateway.grpc).await;
        trial.live(0.5, 2.5).await;
        let asked = Stopwatch::start();
        gateway.signal("-TERM").await;
        match gateway.end(DEADLINE).await {
            Some(status) if status.code() == Some(0) => {}
            Some(status) => trial.run.faults.push(format!("it ended by {status}")),
            None => {
                let took = asked.elapsed();
                trial.run.faults.push(format!("it runs on after {took:?}"));
                gateway.kill().await;
            }
        }
        drop(hanging);
        let open = store_file::handing_over(&trial.data);
        if !open.is_empty() {
            let fault = format!(
                "{} attempts have no outcome after an orderly end",
                open.len()
            );
            trial.run.faults.push(fault);
        }
        trial.died().await;
    }
    Done::Run(trial.finish().await)
}

//! F6, power cuts: the store lies on a file system of its own in a file; the process is stopped, the file is copied as it is, and a gateway
//! is started on the copy. What has not reached the file is gone, as it would be after a cut. What a disk loses of its own cache is not shown.

use std::path::Path;

use tidings::client::Client;

use super::Done;
use crate::gateway::Gateway;
use crate::load::{Acknowledged, all};
use crate::mount::{Mount, say, text};
use crate::report::Run;
use crate::shop;
use crate::store_file;
use crate::trial::{Pace, Trial};

const SIZE: &str = "192M";

pub(crate) async fn cuts(count: u64, pace: Pace) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    let disk = match make(&image).await {
        Ok(()) => Mount::file(&image, folder.path().join("mount")).await,
        Err(why) => Err(why),
    };
    let disk = match disk {
        Ok(disk) => disk,
        Err(why) => return Done::Skipped(format!("no file system can be had in a file: {why}")),
    };
    let mut trial = Trial::begin_on(pace, folder, disk.at.join("data")).await;
    let gateway = trial.start("").await.expect("nothing is armed");
    let mut run = Run::default();
    for cut in 0..count {
        trial.live(0.3, 2.0).await;
        let copy = trial.folder().join(format!("copy-{cut}"));
        let in_flight = store_file::handing_over(&trial.data).len();
        run.in_flight.push(u64::try_from(in_flight).unwrap());
        let acknowledged = trial.acknowledged();
        gateway.signal("-STOP").await;
        let copied = say("cp", &["--sparse=always", text(&image), text(&copy)]).await;
        gateway.signal("-CONT").await;
        copied.unwrap();
        look(trial.folder(), &copy, &acknowledged, &mut run).await;
        std::fs::remove_file(copy).unwrap();
        run.deaths += 1;
    }
    gateway.kill().await;
    trial.died().await;
    let whole = trial.finish().await;
    // The intents are counted once, by the last look of the judge.
    run.intents = whole.intents;
    run.duplicates = whole.duplicates;
    run.unexplained = whole.unexplained;
    run.lost += whole.lost;
    run.ambiguous = whole.ambiguous;
    run.faults.extend(whole.faults);
    drop(disk);
    Done::Run(run)
}

/// Starts a gateway on a copy, one that captures instead of sending, and asks it for everything acknowledged before the cut.
async fn look(folder: &Path, copy: &Path, acknowledged: &Acknowledged, run: &mut Run) {
    let mount = Mount::file(copy, folder.join("after")).await.unwrap();
    let data = mount.at.join("data");
    let place = folder.join("looking");
    std::fs::create_dir_all(&place).unwrap();
    let config = shop::settings(&place, &data, None);
    let gateway = Gateway::up(&config).await;
    let client = Client::connect(&gateway.grpc).await.unwrap();
    let found = all(&client).await;
    let names: std::collections::BTreeSet<&str> =
        found.iter().map(|one| one.name.as_str()).collect();
    for (order, name) in acknowledged {
        if !names.contains(name.as_str()) {
            run.lost += 1;
            let fault = format!("order {order} was answered OK before the cut and is gone");
            run.faults.push(fault);
        }
    }
    gateway.kill().await;
    let said = store_file::integrity(&data);
    if said != "ok" {
        run.faults.push(format!("the store is broken: {said}"));
    }
}

async fn make(image: &Path) -> Result<(), String> {
    say("truncate", &["--size", SIZE, text(image)]).await?;
    say("mkfs.ext4", &["-q", "-F", text(image)]).await
}

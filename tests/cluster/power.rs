//! F6 of PostgreSQL: its data lies on a file system of its own in a file; all its processes are stopped, the file is copied as it is, and
//! another server is started on the copy. What has not reached the file is gone, as it would be after a cut. What a disk loses of its own
//! cache is not shown.

use std::collections::BTreeSet;
use std::path::Path;

use crate::load::Acknowledged;
use crate::mount::{Mount, say, text};
use crate::postgres::Server;
use crate::report::Run;
use crate::rows::{BETWEEN, Found, judged, site_with};
use crate::site::DATABASE;
use crate::wishes::Wishes;

/// What holds for the database after a cut: every index entry leads to a row, and every row is in its indexes.
const WHOLE: &str = "CREATE EXTENSION IF NOT EXISTS amcheck; SELECT count(bt_index_check(c.oid, true)) FROM pg_class c \
    JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree' JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname NOT LIKE 'pg\\_%' AND c.relkind = 'i'";

pub(crate) async fn cuts(count: u64) -> Found {
    let wishes = Wishes {
        disk: true,
        ..Wishes::default()
    };
    let site = site_with(2, wishes).await?;
    // The empty database was copied there; what it is made of is no news to the disk.
    say(
        "sync",
        &["-f", text(&site.disk().folder.path().join("mount"))],
    )
    .await
    .unwrap();
    let mut found = Run::default();
    for cut in 0..count {
        let before = site.load.count();
        site.taken(before + BETWEEN / 4).await;
        site.live(0.0, 1.0).await;
        let image = site.disk().image.clone();
        let copy = site.disk().folder.path().join(format!("copy-{cut}"));
        found.in_flight.push(site.handing_over_now());
        let acknowledged = site.load.acknowledged();
        site.database.freeze();
        let copied = say("cp", &["--sparse=always", text(&image), text(&copy)]).await;
        site.database.go_on();
        copied.unwrap();
        look(&copy, &acknowledged, &mut found).await;
        std::fs::remove_file(copy).unwrap();
        found.deaths += 1;
    }
    let verdict = judged(site).await;
    found.intents = verdict.intents;
    found.duplicates = verdict.duplicates;
    found.unexplained = verdict.unexplained;
    found.lost += verdict.lost;
    found.ambiguous = verdict.ambiguous;
    found.expired = verdict.expired;
    found.faults.extend(verdict.faults);
    Some(found)
}

/// Starts a server on a copy, and asks it for everything acknowledged before the cut.
async fn look(copy: &Path, acknowledged: &Acknowledged, found: &mut Run) {
    let place = tempfile::tempdir().unwrap();
    crate::wishes::let_in(place.path());
    let mount = Mount::file(copy, place.path().join("after")).await.unwrap();
    let data = mount.at.join("data");
    // No process has that number after a cut; here the server that was stopped has it.
    std::fs::remove_file(data.join("postmaster.pid")).unwrap();
    let kept = tokio::task::block_in_place(|| {
        let server = Server::on(data, &["fsync=off"]).unwrap();
        server.sql(DATABASE, WHOLE);
        server.sql(
            DATABASE,
            "SELECT id FROM notification UNION SELECT id FROM history",
        )
    });
    let kept: BTreeSet<&str> = kept.lines().collect();
    for (order, name) in acknowledged {
        if !kept.contains(name.rsplit('/').next().unwrap()) {
            found.lost += 1;
            let fault = format!("order {order} was answered OK before the cut and is gone");
            found.faults.push(fault);
        }
    }
}

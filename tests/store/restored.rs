//! A store that was restored from a backup: it is seen, nothing is handed over, and what may have been sent is unknown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidings::domain::channel::Category;
use tidings::domain::decision::Verdict;
use tidings::domain::hold::HoldReason;
use tidings::domain::id::NotificationId;
use tidings::domain::notification::{AttemptResult, MessageState};
use tidings::domain::policy::UnknownRule;
use tidings::domain::reason::{Reason, Status};
use tidings::store::postgres::{self, PostgresStore};
use tidings::store::sqlite::{self, SqliteStore};
use tidings::store::{
    ClaimOutcome, Ledger as _, Lookup as _, Operations as _, Recovered, Resolved, Store,
};

use crate::server::Server;
use crate::support::*;

fn rule(category: Category) -> UnknownRule {
    match category {
        Category::Critical | Category::Transactional => UnknownRule::Resend,
        Category::Relationship | Category::Marketing => UnknownRule::Hold,
    }
}

fn held(store: &dyn Store) -> Option<HoldReason> {
    *store.hold().borrow()
}

async fn open(folder: &Path) -> (Fixture, Arc<SqliteStore>) {
    let store = SqliteStore::open(folder, start()).await.unwrap();
    let store = Arc::new(store);
    (Fixture::borrowed(store.clone()), store)
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(status.unwrap().success());
}

/// What `.backup` of sqlite3 does.
fn back_up(from: &Path, to: &Path) {
    let live = rusqlite::Connection::open(from.join("tidings.db")).unwrap();
    live.execute("VACUUM INTO ?1", [to.to_str().unwrap()])
        .unwrap();
}

/// All the ways in which an older file comes to be where the gateway looks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_backup_is_seen_however_it_is_put_back() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    let backup = outer.path().join("backup.db");
    let (f, store) = open(&data).await;
    assert_eq!(held(&*store), None, "a new one is its own");
    f.accept(f.intent("ada")).await;
    back_up(&data, &backup);
    let cold = outer.path().join("cold");
    f.accept(f.intent("bob")).await;
    store.close().await;
    copy(&data, &cold);

    let (f, store) = open(&data).await;
    assert_eq!(held(&*store), None, "a restart is no restore");
    f.accept(f.intent("eve")).await;
    store.close().await;

    // The folder as it was copied, another folder with the backup alone, and the backup written over the file in its place.
    let fresh = outer.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    copy(&backup, &fresh.join("tidings.db"));
    let bytes = std::fs::read(&backup).unwrap();
    std::fs::write(data.join("tidings.db"), bytes).unwrap();
    for (folder, expected) in [
        (&cold, HoldReason::Copied),
        (&fresh, HoldReason::Copied),
        (&data, HoldReason::Behind),
    ] {
        for _ in 0..2 {
            let (_, store) = open(folder).await;
            assert_eq!(held(&*store), Some(expected), "{}", folder.display());
            store.close().await;
        }
        let (_, store) = open(folder).await;
        let done = store.recover(None, start() + DAY, &rule).await.unwrap();
        assert_eq!(done, Some(Recovered::default()));
        assert_eq!(held(&*store), None);
        let again = store.recover(None, start() + DAY, &rule).await.unwrap();
        assert_eq!(again, None, "nothing waits for an operator any more");
        store.close().await;
        let (f, store) = open(folder).await;
        assert_eq!(held(&*store), None, "it was recovered");
        f.accept(f.intent("dan")).await;
        store.close().await;
    }
    let opening = sqlite::Opening {
        paused: true,
        ..sqlite::Opening::default()
    };
    let asked = SqliteStore::open_as(&data, start(), opening).await.unwrap();
    assert_eq!(held(&asked), Some(HoldReason::Asked));
    asked.close().await;
}

/// Events after a recovery stand behind all that anybody was told of before the loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_on_behind_those_that_were_lost() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    let backup = outer.path().join("backup.db");
    let (f, store) = open(&data).await;
    f.accept(f.intent("ada")).await;
    back_up(&data, &backup);
    for _ in 0..5 {
        f.accept(f.intent("bob")).await;
    }
    let told = f.newest().await;
    store.close().await;
    let bytes = std::fs::read(&backup).unwrap();
    std::fs::write(data.join("tidings.db"), bytes).unwrap();
    let (f, store) = open(&data).await;
    store.recover(None, start(), &rule).await.unwrap().unwrap();
    f.accept(f.intent("eve")).await;
    let events = f.store.events(&shop(), 0, 9).await.unwrap();
    assert!(events[1].sequence > told, "{events:?} after {told}");
    store.close().await;
}

/// Notifications in every stage, as a backup finds them.
struct Stages {
    transactional: NotificationId,
    sending: NotificationId,
    marketing: NotificationId,
    retrying: NotificationId,
    later: NotificationId,
    waiting: NotificationId,
    over: NotificationId,
    expired: NotificationId,
}

async fn stages(f: &Fixture) -> Stages {
    let marketing = |customer: &str| f.intent(customer).category(Category::Marketing);
    let transactional = f.accept(f.intent("a")).await.id;
    let sending = f.accept(f.intent("b")).await.id;
    f.claim(sending, start()).await;
    let first = f.accept(marketing("c")).await.id;
    // A customer who has had enough: it waits, and may have gone out early since.
    let waiting = f.accept(marketing("c")).await.id;
    assert_eq!(f.status(waiting).await, status(Reason::BudgetExceeded));
    let retrying = f.accept(marketing("d")).await.id;
    let claimed = f.claim(retrying, start()).await;
    let retry = tidings::store::Ending::Retry {
        due_at: start() + SECOND * 60,
        result: AttemptResult::Transient,
        reason: Reason::Retry,
    };
    assert!(f.settle(&claimed, retry, start()).await);
    let later = marketing("e").with(|intent| intent.send_time = Some(start() + SECOND * 7_200));
    let later = f.accept(later).await.id;
    let over = f.accept(f.intent("f")).await.id;
    f.send(over, start()).await;
    let brief = marketing("g").with(|intent| intent.expire_time = start() + SECOND);
    let expired = f.accept(brief).await.id;
    Stages {
        transactional,
        sending,
        marketing: first,
        retrying,
        later,
        waiting,
        over,
        expired,
    }
}

pub(crate) async fn what_may_have_been_sent_is_unknown_after_a_recovery(f: Fixture) {
    let f = f.capped(1);
    let stages = stages(&f).await;
    let none = f.store.recover(None, start(), &rule).await.unwrap();
    assert_eq!(none, None, "it is not held");
    let f = f.restart_paused().await.capped(1);
    assert_eq!(held(&*f.store), Some(HoldReason::Asked));
    let job = f.message(stages.transactional).await;
    let claim = f.claim_of(&job, start());
    assert_eq!(
        f.store.claim(claim.clone()).await.unwrap(),
        ClaimOutcome::Refused,
        "nothing is claimed while it is held"
    );
    assert_eq!(f.status(stages.transactional).await, status(Reason::Ready));

    // The backup shows the moment two seconds in; the operator speaks an hour later.
    let (from, now) = (start() + SECOND * 2, start() + SECOND * 3_600);
    let done = f.store.recover(Some(from), now, &rule).await.unwrap();
    let expected = Recovered {
        held: 3,
        resent: 2,
        untouched: 1,
    };
    assert_eq!(done, Some(expected));
    let unknown = status(Reason::ProviderUnknown);
    for (id, stands) in [
        (stages.transactional, status(Reason::Ready)),
        (stages.sending, status(Reason::Retry)),
        (stages.marketing, unknown),
        (stages.retrying, unknown),
        (stages.waiting, unknown),
        (stages.later, status(Reason::SendTime)),
        (stages.over, status(Reason::HandedOver)),
        (stages.expired, status(Reason::Ready)),
    ] {
        assert_eq!(f.status(id).await, stands, "{id}");
    }
    assert_eq!(
        f.store.claim(claim).await.unwrap(),
        ClaimOutcome::Refused,
        "a job from before has an old fence"
    );
    let attempts = f.record(stages.sending).await.attempts;
    assert_eq!(attempts[0].result, AttemptResult::Unknown);
    assert!(attempts[0].reply.contains("restored"), "{attempts:?}");
    let again = f.claim(stages.transactional, now).await;
    assert_eq!(again.claim.message, job.id, "under the same id");
    assert_eq!(f.store.end_expired(now).await.unwrap(), 1);
    let expired = f.record(stages.expired).await;
    assert_eq!(expired.notification.status, status(Reason::Expired));

    // One that had no message yet is listed, and decided anew if an operator says so.
    let listed = f.store.unknown(&shop().shop, None, 9).await.unwrap();
    let whole = listed.iter().find(|one| one.notification == stages.waiting);
    assert!(whole.unwrap().messages.is_empty());
    let resend = tidings::store::Said {
        notification: stages.waiting,
        message: None,
        resolution: tidings::domain::policy::Resolution::Resend,
        by: shop().caller,
        reason: String::new(),
        now,
    };
    assert_eq!(
        f.store.resolve(&shop().shop, resend).await.unwrap(),
        Resolved::Done(status(Reason::Accepted))
    );
    f.plan(now).await;
    let record = f.record(stages.waiting).await;
    let decision = record.notification.decision.unwrap();
    assert!(
        !matches!(decision.verdict, Verdict::End { .. }),
        "{decision:?}"
    );
    assert!(decision.steps[0].summary.contains("said at"));

    let drop = tidings::store::Said {
        notification: stages.marketing,
        message: None,
        resolution: tidings::domain::policy::Resolution::Drop,
        by: shop().caller,
        reason: String::new(),
        now,
    };
    assert_eq!(
        f.store.resolve(&shop().shop, drop).await.unwrap(),
        Resolved::Done(Status::UNKNOWN_ENDED)
    );
    let states = f.record(stages.retrying).await.messages;
    assert_eq!(states[0].state, MessageState::Unknown);
}

/// Restored while the process lives: its next connection sees it, before anything is claimed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_is_seen_by_who_lived_and_by_who_kept_a_mark() {
    let Some(mut server) = Server::start_with(&["fsync=on"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let opening = |folder: Option<&Path>| postgres::Opening {
        folder: folder.map(Path::to_owned),
        paused: false,
    };
    let connect = async |server: &Server, folder: Option<&Path>| {
        let store = PostgresStore::open_as(&settings(server), start(), opening(folder)).await;
        Arc::new(store.unwrap())
    };
    let store = connect(&server, Some(folder.path())).await;
    let f = Fixture::borrowed(store.clone());
    let one = f.accept(f.intent("ada")).await;
    let message = f.message(one.id).await;
    let claim = f.claim_of(&message, start());
    let backup = server.back_up();
    f.send(one.id, start()).await;
    f.newest().await;

    server.kill();
    server.put_back(&backup);
    server.run();
    let claimed = loop {
        match store.claim(claim.clone()).await {
            Ok(outcome) => break outcome,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(claimed, ClaimOutcome::Refused, "it would be sent twice");
    assert_eq!(held(&*store), Some(HoldReason::Behind));
    let other = connect(&server, None).await;
    assert_eq!(held(&*other), Some(HoldReason::Behind), "others hear of it");
    let done = other.recover(None, start(), &rule).await.unwrap();
    assert_eq!(done, Some(Recovered::default()));
    let mut first = store.hold();
    let freed = first.wait_for(Option::is_none);
    let freed = tokio::time::timeout(Duration::from_secs(60), freed).await;
    assert!(freed.unwrap().is_ok(), "the first goes on too");
    f.accept(f.intent("bob")).await;
    f.newest().await;
    store.close().await;
    other.close().await;

    // The same once more, with nobody alive: the mark in the folder tells, and without one nobody knows.
    server.kill();
    server.put_back(&backup);
    server.run();
    let blind = connect(&server, None).await;
    assert_eq!(held(&*blind), None, "a limit, written down for operators");
    blind.close().await;
    let store = connect(&server, Some(folder.path())).await;
    assert_eq!(held(&*store), Some(HoldReason::Behind));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_was_put_back_is_seen_without_a_mark() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Fixture::on(server.clone()).await;
    f.accept(f.intent("ada")).await;
    f.close().await;
    let f = Fixture::on(server.clone()).await;
    assert_eq!(held(&*f.store), None);
    f.close().await;
    let dump = server.dump();
    server.sql("template1", "DROP DATABASE postgres");
    server.sql("template1", "CREATE DATABASE postgres");
    server.load(&dump);
    let f = Fixture::on(server.clone()).await;
    assert_eq!(held(&*f.store), Some(HoldReason::Copied));
    let waits = f.message(f.store.events(&shop(), 0, 9).await.unwrap()[0].notification);
    let claim = f.claim_of(&waits.await, start());
    assert_eq!(f.store.claim(claim).await.unwrap(), ClaimOutcome::Refused);
    f.close().await;
}

/// A timeline that began while nobody was there is a restore; one that began under a process that saw nothing lost is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_timeline_is_a_restore_unless_somebody_was_there_and_nothing_is_lost() {
    let Some(mut server) = Server::start_with(&["fsync=on"]) else {
        return;
    };
    let connect = async |server: &Server| {
        let store = PostgresStore::open(&settings(server), start()).await;
        Arc::new(store.unwrap())
    };
    let store = connect(&server).await;
    let f = Fixture::borrowed(store.clone());
    f.accept(f.intent("ada")).await;
    f.newest().await;
    let backup = server.back_up();
    server.kill();
    server.recover_from(&backup);
    server.run();
    let beats = async || {
        while store.events(&shop(), 0, 9).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    beats().await;
    assert_eq!(held(&*store), None, "a standby has taken over");
    let late = connect(&server).await;
    assert_eq!(held(&*late), None, "who lived has said so");
    late.close().await;
    store.close().await;

    server.kill();
    server.recover_from(&backup);
    server.run();
    while server.sql("postgres", "SELECT pg_is_in_recovery()") == "t" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let store = connect(&server).await;
    assert_eq!(held(&*store), Some(HoldReason::Copied));
    store.close().await;
}

//! What only the embedded store promises: its folder, its file, its room.

use std::path::Path;
use std::sync::Arc;

use tidings::domain::customer::CustomerId;
use tidings::domain::id::NotificationId;
use tidings::store::sqlite::{OpenError, Opening, SqliteStore};
use tidings::store::{AcceptOutcome, Customers as _, Ledger as _, Lookup as _, StoreError};

use crate::support::*;

#[tokio::test]
async fn a_second_opener_is_refused() {
    let f = Fixture::sqlite().await;
    let second = SqliteStore::open(f.folder(), start()).await;
    let Err(error) = second else {
        panic!("opened twice")
    };
    assert!(matches!(error, OpenError::Locked(_)));
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    f.accept(f.intent("ada")).await;
    f.close().await;
    let again = SqliteStore::open(f.folder(), start()).await.unwrap();
    again.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("deep").join("data");
    let store = SqliteStore::open(&folder, start()).await.unwrap();
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    store.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let f = Fixture::sqlite().await;
    f.close().await;
    let file = rusqlite::Connection::open(f.folder().join("tidings.db")).unwrap();
    file.pragma_update(None, "user_version", 9999).unwrap();
    file.close().unwrap();
    let Err(error) = SqliteStore::open(f.folder(), start()).await else {
        panic!("opened a newer schema")
    };
    assert!(matches!(error, OpenError::Newer(9999)));
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test]
async fn the_key_and_name_stay_and_a_closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(folder.path(), start()).await.unwrap();
    let (secret, generation) = (*first.secret(), first.generation().to_owned());
    first.close().await;
    let ada = CustomerId::new("ada");
    let late = first.erase(&shop().shop, &ada, start()).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))));
    let second = SqliteStore::open(folder.path(), start()).await.unwrap();
    assert_eq!(
        (*second.secret(), second.generation()),
        (secret, generation.as_str())
    );
    second.close().await;
    let other = tempfile::tempdir().unwrap();
    let other = SqliteStore::open(other.path(), start()).await.unwrap();
    assert_ne!(*other.secret(), secret);
    other.close().await;
}

fn holds(folder: &Path, needle: &str) -> Vec<String> {
    let needle = needle.as_bytes();
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
        .map(|path| path.display().to_string())
        .collect()
}

#[tokio::test]
async fn erasing_leaves_no_byte_of_the_person() {
    let f = Fixture::sqlite().await;
    let (name, address) = ("Zebulonia", "zebulonia.quist@example.org");
    f.change("zq-customer", profile(address, name), start())
        .await;
    for index in 0..30 {
        let new = f.intent("zq-customer").with(|intent| {
            let contact = intent.contact.as_mut().unwrap();
            contact.given_name = tidings::domain::address::Personal::new(name);
            contact.addresses = vec![email(address)];
            contact.source_version = 99;
            intent.reference = format!("for {name}");
            intent.cancellation_key = format!("{name}-{index}");
            intent.labels.insert("who".to_owned(), name.to_owned());
            intent
                .variables
                .0
                .insert("name".to_owned(), name.repeat(300).into());
        });
        let one = f.accept(new).await;
        if index % 2 == 0 {
            let claimed = f.claim(one.id, start()).await;
            let settlement = tidings::store::Settlement {
                message: claimed.claim.message,
                attempt: Some(claimed.claim.attempt),
                fence: claimed.fence,
                ending: sent(),
                reply: format!("250 queued for {address}"),
                now: start(),
            };
            assert!(f.store.settle(settlement).await.unwrap());
        }
    }
    f.accept(f.intent("bob")).await;
    assert!(
        !holds(f.folder(), name).is_empty(),
        "the scan finds what is there"
    );
    let id = CustomerId::new("zq-customer");
    let erased = f.store.erase(&shop().shop, &id, start()).await.unwrap();
    assert_eq!(erased, Some(30));
    for needle in [name, address, "zq-customer"] {
        assert_eq!(holds(f.folder(), needle), Vec::<String>::new(), "{needle}");
    }
    f.close().await;
    assert_eq!(holds(f.folder(), address), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_store_refuses_and_burns_no_id() {
    let folder = tempfile::tempdir().unwrap();
    let opening = Opening {
        max_bytes: Some(1 << 20),
        ..Opening::default()
    };
    let store = SqliteStore::open_as(folder.path(), start(), opening)
        .await
        .unwrap();
    let f = Fixture::sqlite().await;
    let new = |index: usize| {
        f.intent("ada")
            .request(&format!("r-{index}"))
            .with(|intent| {
                intent
                    .variables
                    .0
                    .insert("text".to_owned(), "x".repeat(20_000).into());
            })
    };
    let mut refused = None;
    for index in 0..200 {
        let batch = vec![new(index).into()];
        match store.accept(batch, true, start(), f.plans.clone()).await {
            Ok(_) => {}
            Err(StoreError::Full) => {
                refused = Some(index);
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    let refused = refused.expect("the limit is reached");
    // A small one still fits or is refused in the same words; the writer lives.
    match store
        .accept(vec![f.intent("ada").into()], true, start(), f.plans.clone())
        .await
    {
        Ok(_) | Err(StoreError::Full) => {}
        Err(other) => panic!("{other}"),
    }
    store.close().await;
    let store = SqliteStore::open(folder.path(), start()).await.unwrap();
    let batch = vec![new(0).into(), new(refused).into()];
    let outcomes = store
        .accept(batch, false, start(), f.plans.clone())
        .await
        .unwrap();
    assert!(
        matches!(outcomes[0], AcceptOutcome::Replayed(_)),
        "what was answered OK is there"
    );
    assert!(
        matches!(outcomes[1], AcceptOutcome::Accepted(_)),
        "what was refused is not"
    );
    store.close().await;
}

const VICTIM_FOLDER: &str = "TIDINGS_TEST_VICTIM_FOLDER";

/// Not a test of its own: the process that the next test kills. It prints each id that was answered OK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Ok(folder) = std::env::var(VICTIM_FOLDER) else {
        return;
    };
    let store = SqliteStore::open(Path::new(&folder), start())
        .await
        .unwrap();
    let store = Arc::new(store);
    let f = Arc::new(Fixture::sqlite().await);
    for caller in 0..8 {
        let (store, f) = (Arc::clone(&store), Arc::clone(&f));
        tokio::spawn(async move {
            loop {
                let new = f.intent(&format!("c-{caller}"));
                let id = new.id();
                let batch = vec![new.into()];
                store
                    .accept(batch, true, start(), f.plans.clone())
                    .await
                    .unwrap();
                println!("stored {id}");
            }
        });
    }
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    for round in 1..4_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::victim", "--nocapture"])
            .env(VICTIM_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stored = Vec::new();
        while stored.len() < round * 20 {
            let line = lines.next().expect("it runs until it is killed").unwrap();
            stored.extend(line.strip_prefix("stored ").map(str::to_owned));
        }
        child.kill().unwrap();
        // What was still on its way to us was answered too; the last line may be cut short.
        stored.extend(lines.map_while(Result::ok).filter_map(|line| {
            let id = line.strip_prefix("stored ")?.to_owned();
            (id.len() == 36).then_some(id)
        }));
        child.wait().unwrap();
        let store = SqliteStore::open(folder.path(), start()).await.unwrap();
        for id in &stored {
            let id = NotificationId::parse(id).unwrap();
            assert!(
                store.find(&shop(), id).await.unwrap().is_some(),
                "{id} is lost"
            );
        }
        store.close().await;
    }
}

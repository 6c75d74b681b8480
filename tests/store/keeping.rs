//! What has ended is kept for its time and then dropped; what is open is never dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tidings::domain::channel::Category;
use tidings::domain::filter::Filter;
use tidings::domain::id::NotificationId;
use tidings::domain::reason::Reason;
use tidings::store::{AcceptOutcome, Ending, Query};

use crate::server::Server;
use crate::support::*;

const HOUR: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

async fn is_known(f: &Fixture, request: &str, now: Timestamp) -> bool {
    let hash = [7; 32];
    let asked = vec![(request.to_owned(), hash)];
    let _ = now;
    f.store.replays(&shop(), asked).await.unwrap()[0].is_some()
}

pub(crate) async fn request_ids_are_kept_for_72_hours_after_the_end(f: Fixture) {
    let early = f.accept(f.intent("a").request("early")).await.id;
    f.send(early, start()).await;
    let late = f.accept(f.intent("b").request("late")).await.id;
    f.send(late, start() + HOUR * 20).await;
    let open = f.intent("c").request("open");
    f.accept(open.with(|intent| intent.send_time = Some(start() + DAY * 300)))
        .await;
    let known = async |f: &Fixture, now| {
        let mut known = Vec::new();
        for request in ["early", "late", "open"] {
            known.push(is_known(f, request, now).await);
        }
        known
    };
    for (hours, expected) in [
        (71, [true, true, true]),
        (73, [false, true, true]),
        (91, [false, true, true]),
        (93, [false, false, true]),
        (24 * 200, [false, false, true]),
    ] {
        let now = start() + HOUR * hours;
        f.sweep(now).await;
        assert_eq!(known(&f, now).await, expected, "after {hours} h");
    }
    // The id may be used again, for something else.
    let again = f.intent("d").request("early");
    let outcome = f.accept_all(vec![again], false).await.remove(0);
    assert!(matches!(outcome, AcceptOutcome::Accepted(_)), "{outcome:?}");
}

/// One of every kind that is open: ready, held, in doubt, with a provider.
async fn open_ones(f: &Fixture) -> Vec<NotificationId> {
    let lasting = |customer: &str| {
        f.intent(customer)
            .category(Category::Marketing)
            .with(|intent| intent.expire_time = start() + DAY * 900)
    };
    let ready = f.accept(lasting("ready")).await.id;
    let later = lasting("later").with(|intent| intent.send_time = Some(start() + DAY * 700));
    let later = f.accept(later).await.id;
    let unknown = f.accept(lasting("unknown")).await.id;
    let claimed = f.claim(unknown, start()).await;
    let held = Ending::Unknown { resend_at: None };
    assert!(f.settle(&claimed, held, start()).await);
    let sending = f.accept(lasting("sending")).await.id;
    f.claim(sending, start()).await;
    vec![ready, later, unknown, sending]
}

pub(crate) async fn what_ended_is_dropped_in_its_time_and_what_is_open_is_not(f: Fixture) {
    let open = open_ones(&f).await;
    let ended = f
        .accept(
            f.intent("ada")
                .with(|intent| intent.collapse_key = "k".to_owned()),
        )
        .await
        .id;
    f.send(ended, start()).await;
    assert_eq!(f.sweep(start() + DAY * 2).await, BTreeMap::new());
    let tables = [
        "message", "attempt", "detail", "content", "history", "collapse",
    ];
    let count = || tables.map(|table| f.count(table));
    let full = count();
    assert_eq!(full, [4, 3, 5, 5, 1, 1]);

    f.sweep(start() + DAY * 29).await;
    assert_eq!(count(), full);
    f.sweep(start() + DAY * 31).await;
    let record = f.record(ended).await;
    assert!(record.notification.intent.variables.0.is_empty());
    assert_eq!(count(), [4, 3, 5, 4, 1, 1]);

    f.sweep(start() + DAY * 364).await;
    assert_eq!(count(), [4, 3, 5, 4, 1, 1]);
    let dropped = f.sweep(start() + DAY * 366).await;
    assert_eq!(dropped.get("history"), Some(&1), "{dropped:?}");
    assert_eq!(count(), [3, 2, 4, 4, 0, 0]);
    assert!(f.store.find(&shop(), ended).await.unwrap().is_none());
    f.sweep(start() + DAY * 800).await;
    assert_eq!(count(), [3, 2, 4, 4, 0, 0]);
    let mut stands = Vec::new();
    for id in open {
        let record = f.record(id).await;
        assert!(!record.notification.intent.variables.0.is_empty());
        stands.push(record.notification.status.reason);
    }
    let expected = [
        Reason::Ready,
        Reason::SendTime,
        Reason::ProviderUnknown,
        Reason::Ready,
    ];
    assert_eq!(stands, expected);
}

pub(crate) async fn usage_outlives_the_budgets(f: Fixture) {
    let f = f.capped(1);
    let one = f
        .accept(f.intent("ada").category(Category::Marketing))
        .await;
    f.send(one.id, start()).await;
    for (days, left) in [(366, 1), (399, 1), (401, 0)] {
        f.sweep(start() + DAY * days).await;
        assert_eq!(f.count("usage"), left, "after {days} days");
    }
}

pub(crate) async fn pages_and_watches_go_on_over_what_was_dropped(f: Fixture) {
    let mut ids = Vec::new();
    for index in 0..4 {
        let one = f.accept(f.intent(&format!("c{index}"))).await.id;
        // Two of them end a year after the others.
        let at = start() + DAY * if index < 2 { 0 } else { 300 };
        let claimed = f.claim(one, start()).await;
        assert!(f.settle(&claimed, sent(), at).await);
        ids.push(one);
    }
    let told = f.newest().await;
    let page = async |after| {
        let query = Query {
            identity: shop(),
            filter: Filter::Everything,
            descending: false,
            after,
            limit: 2,
        };
        let found = f.store.list(query).await.unwrap();
        let found: Vec<_> = found.iter().map(|one| one.notification.id).collect();
        found
    };
    assert_eq!(page(None).await, ids[..2]);
    f.sweep(start() + DAY * 310).await;
    let left = (f.count("content"), f.count("history"));
    assert_eq!(left, (2, 4), "kept from the end on, not from acceptance");
    let dropped = f.sweep(start() + DAY * 400).await;
    assert_eq!(dropped.get("history"), Some(&2), "{dropped:?}");
    assert_eq!(
        page(Some(ids[1])).await,
        ids[2..],
        "behind one that is gone"
    );
    assert_eq!(page(None).await, ids[2..]);

    // All events are old; the newest stays, and what comes is behind it.
    let left = f.store.events(&shop(), 0, 99).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].sequence, told);
    let f = f.restart().await;
    let next = f.accept(f.intent("eve")).await.id;
    f.newest().await;
    let events = f.store.events(&shop(), told, 99).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].notification, next);
    let from_before = f.store.events(&shop(), 1, 99).await.unwrap();
    assert_eq!(
        from_before.len(),
        2,
        "an old cursor goes on with what is left"
    );
}

/// More rows than a step takes, of several customers, open and ended mixed.
pub(crate) async fn sweeps_take_many_steps_and_miss_nothing(f: Fixture) {
    let f = Arc::new(f);
    for round in 0..13 {
        let new: Vec<_> = (0..100)
            .map(|index| {
                let intent = f.intent(&format!("c{round}-{index}"));
                // Every tenth ends at once, the others wait.
                if index % 10 == 0 {
                    intent.with(|intent| intent.contact = None)
                } else {
                    let life = |intent: &mut tidings::domain::intent::Intent| {
                        intent.expire_time = start() + DAY * 900;
                        intent.collapse_key = format!("k{round}-{index}");
                    };
                    intent.with(life)
                }
            })
            .collect();
        f.accept_all(new, false).await;
    }
    assert_eq!((f.count("notification"), f.count("history")), (1170, 130));
    let dropped = f.sweep(start() + DAY * 500).await;
    let counts = [
        "event", "content", "history", "request", "usage", "collapse",
    ]
    .map(|table| dropped.get(table).copied().unwrap_or_default());
    assert_eq!(counts, [1299, 130, 130, 130, 0, 0]);
    let left = [
        "notification",
        "message",
        "detail",
        "content",
        "request",
        "usage",
        "collapse",
    ];
    assert_eq!(left.map(|table| f.count(table)), [1170; 7]);
}

/// Room is made ahead, and given up when it is empty and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_made_ahead_and_dropped() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let f = Fixture::on(server.clone()).await;
    let ended = f.accept(f.intent("ada")).await.id;
    f.send(ended, start()).await;
    let partitions = || {
        server.sql(
            "postgres",
            "SELECT string_agg(substr(inhrelid::regclass::text, 9), ' ' ORDER BY inhrelid::regclass::text) \
             FROM pg_inherits WHERE inhparent = 'history'::regclass",
        )
    };
    let made = "2026_11 2026_12 2027_01 2027_02";
    assert_eq!(partitions(), format!("{made} rest"));
    f.sweep(start() + DAY * 364).await;
    assert_eq!(partitions(), format!("{made} rest"), "nothing is over");
    let now = start() + DAY * 380;
    f.store.make_room(now).await.unwrap();
    let dropped = f.sweep(now).await;
    assert_eq!(dropped.get("partition"), Some(&1), "{dropped:?}");
    assert_eq!(
        partitions(),
        "2026_12 2027_01 2027_02 2027_12 2028_01 2028_02 2028_03 rest"
    );
    let late = f.accept_at(vec![f.intent("bob")], false, now).await;
    assert!(matches!(late[0], AcceptOutcome::Accepted(_)));
    assert_eq!(
        server.sql("postgres", "SELECT count(*) FROM history_rest"),
        "0"
    );
}

/// What was dropped from the file makes room in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_rows_make_room_in_the_file() {
    let f = Fixture::sqlite().await;
    let pages = |what: &str| {
        let file = rusqlite::Connection::open(f.folder().join("tidings.db")).unwrap();
        let pages: i64 = file
            .pragma_query_value(None, what, |row| row.get(0))
            .unwrap();
        pages
    };
    let fill = async || {
        for _ in 0..5 {
            let new = (0..100).map(|_| f.intent("ada").with(|intent| intent.contact = None));
            f.accept_all(new.collect(), false).await;
        }
    };
    fill().await;
    let filled = pages("page_count");
    assert_eq!(
        f.sweep(start() + DAY * 400).await.get("history"),
        Some(&500)
    );
    let free = pages("freelist_count");
    assert!(free * 2 > filled, "{free} of {filled} are free");
    fill().await;
    let grown = pages("page_count");
    assert!(grown <= filled + filled / 10, "{filled} became {grown}");
}

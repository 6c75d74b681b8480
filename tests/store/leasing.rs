//! Leave to hand over to a provider that has a limit: never more than that, whoever asks, and upper lanes first.

use std::time::Duration;

use tidings::domain::channel::Lane;
use tidings::domain::clock::Stopwatch;
use tidings::domain::rate::Rate;
use tidings::store::{Lease, LeaseRequest, Store};

use crate::support::*;

pub(crate) fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

pub(crate) async fn ask(store: &dyn Store, limit: &str, lane: Lane, permits: u32) -> Lease {
    let request = LeaseRequest {
        provider: "email/post".into(),
        rate: rate(limit),
        lane,
        permits,
    };
    store.lease(request).await.unwrap()
}

/// Takes all there is for a lane now; how much that was.
async fn take_all(store: &dyn Store, limit: &str, lane: Lane) -> u32 {
    let mut taken = 0;
    while let Lease::Given { permits, .. } = ask(store, limit, lane, u32::MAX).await {
        taken += permits;
    }
    taken
}

/// Leave never begins before the one before has ended, and a request gets no more than a slice.
pub(crate) async fn leave_is_given_up_to_the_limit(f: Fixture) {
    let watch = Stopwatch::start();
    let mut given = 0;
    while watch.elapsed() < Duration::from_secs(2) {
        match ask(f.store.as_ref(), "100/s", Lane::Bulk, u32::MAX).await {
            Lease::Given { permits, .. } => {
                assert_eq!(permits, 20, "a slice of 200 ms");
                given += permits;
            }
            Lease::NotBefore(pause) => {
                assert!(pause <= Duration::from_millis(200), "{pause:?}");
                tokio::time::sleep(pause).await;
            }
        }
    }
    let allowed = 100.0 * watch.elapsed().as_secs_f64();
    // A slice ahead, the last one, half of one to catch up.
    assert!(
        f64::from(given) <= allowed + 20.0 + 20.0 + 10.0 + 1.0,
        "{given} of {allowed}"
    );
    assert!(f64::from(given) >= allowed * 0.75, "{given} of {allowed}");
    f.close().await;
}

pub(crate) async fn upper_lanes_have_leave_where_lower_ones_wait(f: Fixture) {
    // At a message an hour time stands still.
    let store = f.store.as_ref();
    assert_eq!(take_all(store, "1/h", Lane::Bulk).await, 2);
    assert_eq!(take_all(store, "1/h", Lane::Transactional).await, 1);
    assert_eq!(take_all(store, "1/h", Lane::Critical).await, 2);
    let Lease::NotBefore(bulk) = ask(store, "1/h", Lane::Bulk, 1).await else {
        panic!("bulk gets what is not there");
    };
    let Lease::NotBefore(critical) = ask(store, "1/h", Lane::Critical, 1).await else {
        panic!("more than there is");
    };
    assert!(bulk > critical + Duration::from_secs(2 * 3_600));
    // Another provider has a limit of its own.
    let request = LeaseRequest {
        provider: "sms/texts".into(),
        rate: rate("1/h"),
        lane: Lane::Bulk,
        permits: 1,
    };
    let other = store.lease(request).await.unwrap();
    assert!(matches!(other, Lease::Given { permits: 1, .. }));
    // A limit that was raised counts at once: what is farther ahead than it ever gives leave is no leave.
    assert!(take_all(store, "10/s", Lane::Bulk).await > 0);
    f.close().await;
}

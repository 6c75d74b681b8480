//! Changes of state as they happen.
//!
//! A watcher is a cursor over the store's events. It moves only over events that were read, so nothing is skipped or told
//! twice, and its token says where it stands, so that another connection, also to another process, goes on from there.
//! A watch without a token is told at once where it stands; while nothing happens, a keep-alive renews the token.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Interval;
use tonic::Status;

use super::wire_notification;
use crate::api::convert::bad_field;
use crate::api::convert::notification::event_type;
use crate::api::errors::{refuse, store_status};
use crate::api::page::{Scope, Tokens};
use crate::api::{Shared, leaving};
use crate::domain::clock::Stopwatch;
use crate::domain::filter::Filter;
use crate::domain::notification::Event;
use crate::domain::rejection::Rejection;
use crate::domain::shop::Identity;
use crate::proto;

const PAGE: u32 = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Events are kept at least this long.
const MAX_TOKEN_AGE: SignedDuration = SignedDuration::from_hours(72);

type Change = proto::WatchNotificationsResponse;

struct Watcher {
    shared: Arc<Shared>,
    identity: Identity,
    filter: Filter,
    filter_text: String,
    /// The last event that was told or passed over.
    cursor: i64,
    page: VecDeque<Event>,
    news: watch::Receiver<i64>,
    keep_alive: Interval,
    /// Since the events in hand were read.
    read: Stopwatch,
    ended: bool,
}

/// Changes from the token on, or from now on.
///
/// # Errors
/// `FIELD_INVALID` on `filter` or `resume_token`.
pub(super) fn changes(
    shared: Arc<Shared>,
    identity: Identity,
    request: proto::WatchNotificationsRequest,
) -> Result<impl Stream<Item = Result<Change, Status>> + Send, Rejection> {
    let filter = Filter::parse(&request.filter)?;
    let news = shared.store.sequence();
    let newest = *news.borrow();
    // Its first tick is at once: who has no token yet gets one.
    let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
    let cursor = if request.resume_token.is_empty() {
        newest
    } else {
        keep_alive.reset();
        let scope = scope(&identity, &request.filter);
        let now = shared.clock.now();
        read_token(&scope, &request.resume_token, now)
            .filter(|sequence| *sequence <= newest)
            .ok_or_else(stale_token)?
    };
    let watcher = Watcher {
        shared,
        identity,
        filter,
        filter_text: request.filter,
        cursor,
        page: VecDeque::new(),
        news,
        keep_alive,
        read: Stopwatch::start(),
        ended: false,
    };
    Ok(stream::unfold(watcher, |mut watcher| async move {
        let next = watcher.next().await?;
        Some((next, watcher))
    }))
}

fn scope<'a>(identity: &'a Identity, filter: &'a str) -> Scope<'a> {
    Scope {
        list: "WatchNotifications",
        identity,
        filter,
        order: "",
    }
}

/// Resume tokens are sealed against mistakes, not against their owner, who may read all of these events anyway. So they
/// need no secret, and outlive any.
fn tokens() -> Tokens {
    Tokens::new([0; 32])
}

fn write_token(scope: &Scope<'_>, sequence: i64, now: Timestamp) -> String {
    let mut position = sequence.to_be_bytes().to_vec();
    position.extend(now.as_second().to_be_bytes());
    tokens().seal(scope, &position)
}

fn read_token(scope: &Scope<'_>, token: &str, now: Timestamp) -> Option<i64> {
    let position = tokens().open(scope, token)?;
    let (sequence, written) = position.split_first_chunk::<8>()?;
    let written = i64::from_be_bytes(written.try_into().ok()?);
    let age = now.as_second().checked_sub(written)?;
    (age <= MAX_TOKEN_AGE.as_secs()).then(|| i64::from_be_bytes(*sequence))
}

fn stale_token() -> Rejection {
    bad_field(
        "resume_token",
        "is not the token of a watch with the same filter within the last 72 hours; leave it empty to watch from now on",
    )
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<Change, Status>> {
        if self.ended {
            return None;
        }
        let next = self.step().await;
        self.ended = next.is_err();
        Some(next)
    }

    async fn step(&mut self) -> Result<Change, Status> {
        loop {
            while let Some(event) = self.page.pop_front() {
                self.cursor = event.sequence;
                if let Some(change) = self.tell(&event).await? {
                    self.keep_alive.reset();
                    return Ok(change);
                }
            }
            // What is committed from here on wakes the wait below, also while the page is being read.
            self.news.borrow_and_update();
            // Whoever took so long to read may have missed what is not kept any more.
            if self.read.elapsed() > MAX_TOKEN_AGE.unsigned_abs() {
                return Err(refuse(stale_token()));
            }
            self.read = Stopwatch::start();
            let page = self
                .shared
                .store
                .events(&self.identity, self.cursor, PAGE)
                .await
                .map_err(store_status)?;
            if page.is_empty() {
                if let Some(keep_alive) = self.wait().await? {
                    return Ok(keep_alive);
                }
            } else {
                self.page = page.into();
            }
        }
    }

    /// Waits for news; a keep-alive when there is none for long.
    async fn wait(&mut self) -> Result<Option<Change>, Status> {
        // In this order: events that the filter drops must not keep the token from being renewed.
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => Err(refuse(leaving())),
            _ = self.keep_alive.tick() => Ok(Some(self.change(None))),
            changed = self.news.changed() => match changed {
                Ok(()) => Ok(None),
                // The store has been closed under us.
                Err(_) => Err(refuse(leaving())),
            },
        }
    }

    /// The event with its notification as it stood then; `None` when the filter or retention has removed it.
    async fn tell(&self, event: &Event) -> Result<Option<Change>, Status> {
        if self.shared.stopping.is_cancelled() {
            return Err(refuse(leaving()));
        }
        let found = self
            .shared
            .store
            .find(&self.identity, event.notification)
            .await
            .map_err(store_status)?;
        let Some(mut record) = found else {
            return Ok(None);
        };
        record.notification.status = event.status;
        record.notification.update_time = event.time;
        if !self.filter.matches(&record) {
            return Ok(None);
        }
        Ok(Some(self.change(Some(proto::NotificationEvent {
            id: event.sequence.to_string(),
            time: Some(proto::wire_time(event.time)),
            notification: Some(wire_notification(&record)),
            r#type: event_type(event.status.state),
        }))))
    }

    fn change(&self, event: Option<proto::NotificationEvent>) -> Change {
        let scope = scope(&self.identity, &self.filter_text);
        Change {
            event,
            resume_token: write_token(&scope, self.cursor, self.shared.clock.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_on_for_72_hours_with_its_own_filter() {
        let identity = Identity::local();
        let own = scope(&identity, "state = FAILED");
        let at = |hours: i64| Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap();
        let token = write_token(&own, 4711, at(0));
        assert_eq!(read_token(&own, &token, at(0)), Some(4711));
        assert_eq!(read_token(&own, &token, at(72)), Some(4711));
        assert_eq!(read_token(&own, &token, at(73)), None);
        assert_eq!(read_token(&scope(&identity, ""), &token, at(0)), None);
        for forged in ["", "x", "AAAA", &token[1..]] {
            assert_eq!(read_token(&own, forged, at(0)), None, "{forged}");
        }
    }
}

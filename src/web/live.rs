//! The live feed: every change of a status as a server-sent event, in order, without a gap.
//!
//! The event's id is its sequence, so a browser that lost the connection goes on where it was. A feed holds at most one
//! read of events; a slow reader slows down only itself.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::{Door, Shared, view};
use crate::domain::id::NotificationId;
use crate::domain::notification;

/// How many live feeds may be open at once.
pub(super) const MAX_FEEDS: usize = 64;
/// How many events are read at once.
const BATCH: u32 = 100;
/// How far back a feed may start.
const MAX_RECENT: i64 = 500;
/// How many notifications a feed remembers what they are about.
const MAX_SUBJECTS: usize = 2_000;
/// A comment this often keeps proxies from closing a quiet feed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to start.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Behind this event. The header `Last-Event-ID` goes before it.
    after: Option<i64>,
    /// With so many of the latest events; for a first visit.
    recent: Option<i64>,
}

struct Feed {
    shared: Arc<Shared>,
    after: i64,
    newest: watch::Receiver<i64>,
    closing: CancellationToken,
    unsent: VecDeque<notification::Event>,
    subjects: HashMap<NotificationId, Map<String, Value>>,
    failed: bool,
    _permit: OwnedSemaphorePermit,
}

/// The feed.
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    door: Option<Extension<Door>>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let permit = Arc::clone(&shared.feeds).try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "OVERLOADED",
            format!("{MAX_FEEDS} live feeds are open; close a window of the console."),
        )
    })?;
    let newest = shared.console.store.sequence();
    let after = start(&headers, &wanted, *newest.borrow())?;
    let feed = Feed {
        shared,
        after,
        newest,
        closing: door.map_or_else(CancellationToken::new, |Extension(door)| door.closing),
        unsent: VecDeque::new(),
        subjects: HashMap::new(),
        failed: false,
        _permit: permit,
    };
    let stream = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The sequence to start behind. One that lies ahead is of a store that is no more: then the feed starts afresh.
fn start(headers: &HeaderMap, wanted: &Wanted, newest: i64) -> Result<i64, Problem> {
    let last = match headers.get("last-event-id") {
        Some(value) => Some(
            value
                .to_str()
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| {
                    Problem::invalid("Last-Event-ID: not the id of an event, which is a number")
                })?,
        ),
        None => wanted.after,
    };
    let recent = newest.saturating_sub(wanted.recent.unwrap_or(0).clamp(0, MAX_RECENT));
    Ok(match last {
        Some(last) if last <= newest => last.max(0),
        Some(_) | None => recent.max(0),
    })
}

impl Feed {
    /// The next event; `None` when the door closes, or after the store has failed: the browser comes back.
    async fn next(&mut self) -> Option<Event> {
        while !self.failed && !self.closing.is_cancelled() {
            if let Some(event) = self.unsent.pop_front() {
                self.after = event.sequence;
                return Some(self.show(&event).await);
            }
            // Marked as seen before reading, so that news during the read is not slept through.
            self.newest.borrow_and_update();
            let console = &self.shared.console;
            match console
                .store
                .events(&console.identity, self.after, BATCH)
                .await
            {
                Ok(events) if events.is_empty() => self.wait().await?,
                Ok(events) => self.unsent = events.into(),
                Err(error) => {
                    self.failed = true;
                    let problem = Problem::from(error);
                    return Some(Event::default().event("trouble").data(problem.message()));
                }
            }
        }
        None
    }

    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            changed = self.newest.changed() => changed.ok(),
            () = self.closing.cancelled() => None,
        }
    }

    async fn show(&mut self, event: &notification::Event) -> Event {
        let mut fields = self.subject(event.notification).await;
        let status = json!({
            "id": event.notification,
            "sequence": event.sequence,
            "state": event.status.state,
            "reason": event.status.reason,
            "sentence": event.status.reason.sentence(),
            "time": event.time,
        });
        if let Value::Object(status) = status {
            fields.extend(status);
        }
        Event::default()
            .id(event.sequence.to_string())
            .data(Value::Object(fields).to_string())
    }

    /// What the notification is about; empty when it cannot be told now, which costs a row its words and nothing more.
    async fn subject(&mut self, id: NotificationId) -> Map<String, Value> {
        if let Some(subject) = self.subjects.get(&id) {
            return subject.clone();
        }
        let console = &self.shared.console;
        let Ok(Some(record)) = console.store.find(&console.identity, id).await else {
            return Map::new();
        };
        if self.subjects.len() == MAX_SUBJECTS {
            self.subjects.clear();
        }
        let subject = view::subject(&record.notification);
        self.subjects.insert(id, subject.clone());
        subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_starts_where_it_was_or_afresh() {
        let from = |last: Option<&'static str>, after, recent| {
            let mut headers = HeaderMap::new();
            if let Some(last) = last {
                headers.insert("last-event-id", last.parse().unwrap());
            }
            start(&headers, &Wanted { after, recent }, 1_000).ok()
        };
        assert_eq!(from(None, None, None), Some(1_000));
        assert_eq!(from(None, None, Some(50)), Some(950));
        assert_eq!(from(None, None, Some(100_000)), Some(500));
        assert_eq!(from(Some("7"), Some(3), Some(50)), Some(7));
        assert_eq!(from(None, Some(3), Some(50)), Some(3));
        assert_eq!(from(Some("5000"), None, Some(50)), Some(950));
        assert_eq!(from(Some("-5"), None, None), Some(0));
        assert_eq!(from(Some("x"), None, None), None);
    }
}

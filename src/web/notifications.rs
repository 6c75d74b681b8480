//! Notifications: counts, pages of them, and one with all that hangs on it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::Problem;
use super::view::{self, Zone};
use super::{Console, Shared};
use crate::domain::filter::Filter;
use crate::domain::id::NotificationId;
use crate::domain::notification::Notification;
use crate::domain::reason::State as NotificationState;
use crate::store;

/// How many notifications a page has unless asked otherwise, and at most.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 200;

/// Which page.
#[derive(Deserialize)]
pub(super) struct Wanted {
    filter: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
}

/// What this gateway is, and its time.
pub(super) async fn about(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let console = &shared.console;
    Json(json!({
        "version": console.about.version,
        "grpc_address": console.about.grpc_address,
        "clock_note": console.about.clock_note,
        "shop": console.identity.shop,
        "caller": console.identity.caller,
        "now": console.clock.now(),
    }))
}

/// How many notifications are in each state, and why.
pub(super) async fn overview(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let console = &shared.console;
    let mut counts = console.store.counts(&console.identity).await?;
    counts.sort_by_key(|(status, count)| (std::cmp::Reverse(*count), status.reason));
    let states: Vec<Value> = NotificationState::ALL
        .iter()
        .map(|state| {
            let reasons: Vec<_> = counts
                .iter()
                .filter(|(status, _)| status.state == *state)
                .collect();
            let total: u64 = reasons.iter().map(|(_, count)| count).sum();
            json!({
                "state": state,
                "count": total,
                "reasons": reasons.iter().map(|(status, count)| json!({
                    "reason": status.reason,
                    "sentence": status.reason.sentence(),
                    "count": count,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    Ok(Json(
        json!({"now": console.clock.now(), "total": total, "states": states}),
    ))
}

/// A page, newest first. `before` is the last id of the page before it.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let filter = match wanted.filter.as_deref().map(str::trim) {
        None | Some("") => Filter::Everything,
        Some(text) => Filter::parse(text)?,
    };
    let after = match wanted.before.as_deref() {
        None | Some("") => None,
        Some(text) => Some(NotificationId::parse(text).ok_or_else(|| {
            Problem::invalid("before: not the id of a notification; take it from `next`")
        })?),
    };
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let query = store::Query {
        identity: shared.console.identity.clone(),
        filter,
        descending: true,
        after,
        // One more tells whether there is a next page.
        limit: limit + 1,
    };
    let mut records = shared.console.store.list(query).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = records.len() > wanted;
    records.truncate(wanted);
    let next = records
        .last()
        .filter(|_| more)
        .map(|record| record.notification.id.to_string());
    let items: Vec<_> = records.iter().map(view::row).collect();
    Ok(Json(json!({"items": items, "next": next})))
}

/// One notification with its decision trace, messages and attempts.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let console = &shared.console;
    let gone = || Problem::not_found("There is no such notification; it may have been erased.");
    let id = NotificationId::parse(&id).ok_or_else(gone)?;
    let record = console
        .store
        .find(&console.identity, id)
        .await?
        .ok_or_else(gone)?;
    let zone = zone(console, &record.notification).await?;
    let mut captured = Vec::new();
    for message in &record.messages {
        if console.captures.get(message.id).await.is_some() {
            captured.push(message.id);
        }
    }
    Ok(Json(view::detail(&record, zone.as_ref(), &captured)))
}

/// The customer's zone, as far as it is known.
async fn zone(console: &Console, notification: &Notification) -> Result<Option<Zone>, Problem> {
    let id = notification.intent.customer.clone();
    let shop = &notification.identity.shop;
    let known = console
        .store
        .customers(shop, std::slice::from_ref(&id))
        .await?;
    let stored = known
        .into_iter()
        .find(|customer| customer.id == id)
        .map(|customer| customer.profile.time_zone)
        .filter(|name| !name.is_empty());
    if let Some(name) = stored {
        return Ok(Some(Zone {
            name,
            source: "customer",
        }));
    }
    Ok(notification
        .intent
        .contact
        .as_ref()
        .map(|contact| contact.time_zone.clone())
        .filter(|name| !name.is_empty())
        .map(|name| Zone {
            name,
            source: "caller",
        }))
}

//! `OperatorService`: what those who run the gateway see and say. Everything is of the caller's shop, whoever sent it.

use std::sync::Arc;

use jiff::Timestamp;
use tonic::{Request, Response, Status};

use crate::api::Shared;
use crate::api::convert::notification::wire_state;
use crate::api::convert::{Findings, bad_field, has_control, time, wire_category, wire_channel};
use crate::api::errors::{refuse, store_status};
use crate::api::page::{self, Scope};
use crate::domain::caller::Caller;
use crate::domain::id::{MessageId, NotificationId};
use crate::domain::policy::Resolution;
use crate::domain::reason::Status as Standing;
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::Identity;
use crate::event;
use crate::proto;
use crate::proto::operator_service_server::OperatorService;
use crate::proto::recover_store_request::Since;
use crate::proto::resolve_unknown_request::Resolution as Wire;
use crate::store::{Resolved, Said, Unknown, UnknownPlace};

const MAX_REASON_CHARS: usize = 256;

/// The service.
#[derive(Clone)]
pub(super) struct Operators {
    shared: Arc<Shared>,
}

#[tonic::async_trait]
impl OperatorService for Operators {
    async fn list_unknown(
        &self,
        request: Request<proto::ListUnknownRequest>,
    ) -> Result<Response<proto::ListUnknownResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        self.list(&caller.identity, &request.into_inner())
            .await
            .map(Response::new)
    }

    async fn resolve_unknown(
        &self,
        request: Request<proto::ResolveUnknownRequest>,
    ) -> Result<Response<proto::ResolveUnknownResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        self.resolve(&caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn recover_store(
        &self,
        request: Request<proto::RecoverStoreRequest>,
    ) -> Result<Response<proto::RecoverStoreResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let from = since(request.into_inner().since).map_err(refuse)?;
        let policy = self.shared.catalog.policy();
        let rule = move |category| policy.unknown_rule(category);
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        let recovered = store.recover(from, now, &rule).await;
        let recovered = recovered.map_err(store_status)?;
        let recovered = recovered.ok_or_else(|| refuse(not_paused()))?;
        event::recovered_by(caller.identity.caller.as_str());
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Response::new(proto::RecoverStoreResponse {
            held_count: count(recovered.held),
            resent_count: count(recovered.resent),
            untouched_count: count(recovered.untouched),
        }))
    }
}

impl Operators {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn list(
        &self,
        identity: &Identity,
        request: &proto::ListUnknownRequest,
    ) -> Result<proto::ListUnknownResponse, Status> {
        let size = page::size(request.page_size).map_err(refuse)?;
        let scope = Scope {
            list: "ListUnknown",
            identity,
            filter: "",
            order: "",
        };
        let tokens = &self.shared.tokens;
        let after = tokens
            .position(&scope, &request.page_token, read_place)
            .map_err(refuse)?;
        let mut found = self
            .shared
            .store
            .unknown(&identity.shop, after, size + 1)
            .await
            .map_err(store_status)?;
        let more = found.len() > size as usize;
        found.truncate(size as usize);
        let last = found.last().filter(|_| more);
        Ok(proto::ListUnknownResponse {
            next_page_token: last
                .map(|last| tokens.seal(&scope, &write_place(last.place())))
                .unwrap_or_default(),
            notifications: found.iter().map(wire_unknown).collect(),
        })
    }

    async fn resolve(
        &self,
        caller: &Caller,
        request: proto::ResolveUnknownRequest,
    ) -> Result<proto::ResolveUnknownResponse, Status> {
        let mut findings = Findings::default();
        let named = named(&request.name);
        if named.is_none() {
            let rule = "is notifications/{uuid} or notifications/{uuid}/messages/{uuid}";
            findings.field("name", rule);
        }
        let resolution = resolution(request.resolution);
        if resolution.is_none() {
            let rule = "name RESOLUTION_SENT, RESOLUTION_RESEND or RESOLUTION_DROP";
            findings.field("resolution", rule);
        }
        let reason = request.reason;
        if reason.chars().nth(MAX_REASON_CHARS).is_some() || has_control(&reason) {
            let rule = "has up to 256 characters and no control characters";
            findings.field("reason", rule);
        }
        let read = findings.finish(named.zip(resolution)).map_err(refuse)?;
        let Some(((notification, message), resolution)) = read else {
            return Err(refuse(bad_field("name", "names nothing")));
        };
        let identity = &caller.identity;
        let said = Said {
            notification,
            message,
            resolution,
            by: identity.caller.clone(),
            reason,
            now: self.shared.clock.now(),
        };
        let store = &self.shared.store;
        let resolved = store.resolve(&identity.shop, said).await;
        match resolved.map_err(store_status)? {
            Resolved::Done(standing) => {
                event::resolved(notification, resolution, identity.caller.as_str());
                Ok(answer(standing))
            }
            Resolved::NotFound => Err(refuse(super::notifications::not_found(notification))),
            Resolved::NotUnknown(standing) => Err(refuse(not_unknown(notification, standing))),
            Resolved::Erased => Err(refuse(erased(notification))),
        }
    }
}

/// From when on something may have been handed over unknown to the store; `None`: nothing was.
fn since(wire: Option<Since>) -> Result<Option<Timestamp>, Rejection> {
    let mut findings = Findings::default();
    let from = match &wire {
        Some(Since::Complete(true)) => None,
        Some(Since::FromTime(from)) => {
            let reason = RejectionReason::FieldInvalid;
            time(Some(from), reason, "from_time", &mut findings)
        }
        Some(Since::Complete(false)) | None => {
            let rule = "give from_time, when the backup was made, or complete = true";
            findings.field("from_time", rule);
            None
        }
    };
    findings.finish(from)
}

fn not_paused() -> Rejection {
    let message = "the gateway does not wait for an operator; one that was restored unseen is started with `tidings serve --paused`";
    Rejection::new(RejectionReason::NotPaused, message)
}

/// The notification, and the message if one is named.
fn named(name: &str) -> Option<(NotificationId, Option<MessageId>)> {
    let rest = name.strip_prefix("notifications/")?;
    match rest.split_once("/messages/") {
        None => Some((NotificationId::parse(rest)?, None)),
        Some((notification, message)) => Some((
            NotificationId::parse(notification)?,
            Some(MessageId::parse(message)?),
        )),
    }
}

fn write_place(place: UnknownPlace) -> Vec<u8> {
    let mut position = place.notification.as_bytes().to_vec();
    position.extend(place.expire_time.as_microsecond().to_be_bytes());
    position.extend(place.lane.as_str().bytes());
    position
}

fn read_place(position: &[u8]) -> Option<UnknownPlace> {
    let (id, rest) = position.split_first_chunk::<16>()?;
    let (micros, lane) = rest.split_first_chunk::<8>()?;
    Some(UnknownPlace {
        lane: std::str::from_utf8(lane).ok()?.parse().ok()?,
        expire_time: Timestamp::from_microsecond(i64::from_be_bytes(*micros)).ok()?,
        notification: NotificationId::from_slice(id)?,
    })
}

fn resolution(wire: i32) -> Option<Resolution> {
    match Wire::try_from(wire).ok()? {
        Wire::Unspecified => None,
        Wire::Sent => Some(Resolution::Sent),
        Wire::Resend => Some(Resolution::Resend),
        Wire::Drop => Some(Resolution::Drop),
    }
}

fn answer(standing: Standing) -> proto::ResolveUnknownResponse {
    proto::ResolveUnknownResponse {
        state: wire_state(standing.state).into(),
        state_reason: standing.reason.to_string(),
    }
}

fn wire_unknown(unknown: &Unknown) -> proto::UnknownNotification {
    let name = format!("notifications/{}", unknown.notification);
    let messages = unknown
        .messages
        .iter()
        .map(|message| proto::UnknownMessage {
            name: format!("{name}/messages/{}", message.id),
            channel: wire_channel(message.channel).into(),
            provider: message.provider.clone(),
            attempt_count: i32::try_from(message.tries).unwrap_or(i32::MAX),
        });
    proto::UnknownNotification {
        messages: messages.collect(),
        caller: unknown.caller.as_str().to_owned(),
        template: unknown.template.clone(),
        category: wire_category(unknown.category).into(),
        update_time: Some(proto::wire_time(unknown.since)),
        expire_time: Some(proto::wire_time(unknown.expire_time)),
        name,
    }
}

fn not_unknown(id: NotificationId, standing: Standing) -> Rejection {
    let message = format!(
        "notification {id} is not unknown: it is {} ({}); nothing was changed",
        standing.state, standing.reason
    );
    Rejection::new(RejectionReason::NotUnknown, message)
        .with("state", standing.state.as_str())
        .with("state_reason", standing.reason.as_str())
}

fn erased(id: NotificationId) -> Rejection {
    let message = format!(
        "the customer of notification {id} was erased and nobody is left to send it to; say sent or drop"
    );
    Rejection::new(RejectionReason::NotUnknown, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_refused() {
        let id = "0192f600-0000-7000-8000-000000000000";
        assert!(named(&format!("notifications/{id}")).is_some_and(|(_, one)| one.is_none()));
        let both = named(&format!("notifications/{id}/messages/{id}"));
        assert!(both.is_some_and(|(_, one)| one.is_some()));
        for wrong in [
            String::new(),
            id.to_owned(),
            format!("notifications/{id}/"),
            format!("notifications/{id}/messages/"),
            format!("notifications/{id}/messages/{id}/messages/{id}"),
            format!("messages/{id}"),
        ] {
            assert!(named(&wrong).is_none(), "{wrong}");
        }
    }
}

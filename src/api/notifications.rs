//! `NotificationService`: reads requests, asks intake and store, writes answers. Decides nothing itself.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use crate::api::Shared;
use crate::api::convert::notification::{
    dispatch_steps, dry_verdict, past_verdict, wire_notification, wire_steps,
};
use crate::api::convert::{Findings, bad_field, id_in, intent, time};
use crate::api::errors::{refuse, store_status};
use crate::api::guard::guarded;
use crate::api::page::{self, Scope};
use crate::domain::filter::Filter;
use crate::domain::id::NotificationId;
use crate::domain::notification::Record;
use crate::domain::reason::Status as Standing;
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::shop::Identity;
use crate::proto;
use crate::proto::notification_service_server::NotificationService;
use crate::store::{CancelTarget, Query};

mod batch;
mod flow;
mod watch;

pub(super) use batch::check_batch;

/// A page ends before it grows beyond this, as many clients take no message over 4 MiB.
const MAX_PAGE_BYTES: usize = 3 * 1024 * 1024;
const MAX_KEY_CHARS: usize = 128;

/// The service.
#[derive(Clone)]
pub(super) struct Notifications {
    shared: Arc<Shared>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn send_notification(
        &self,
        request: Request<proto::SendNotificationRequest>,
    ) -> Result<Response<proto::SendNotificationResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let answer = batch::send(&self.shared, &caller, request.into_inner())
            .await
            .map_err(refuse)?;
        Ok(Response::new(answer))
    }

    async fn batch_send_notifications(
        &self,
        request: Request<proto::BatchSendNotificationsRequest>,
    ) -> Result<Response<proto::BatchSendNotificationsResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let answer = batch::send_batch(&self.shared, &caller, request.into_inner())
            .await
            .map_err(refuse)?;
        Ok(Response::new(answer))
    }

    type StreamNotificationsStream = Answers<proto::StreamNotificationsResponse>;

    async fn stream_notifications(
        &self,
        request: Request<Streaming<proto::StreamNotificationsRequest>>,
    ) -> Result<Response<Self::StreamNotificationsStream>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let answers = flow::answers(Arc::clone(&self.shared), caller, request.into_inner());
        Ok(Response::new(Box::pin(guarded(answers))))
    }

    async fn get_notification(
        &self,
        request: Request<proto::GetNotificationRequest>,
    ) -> Result<Response<proto::GetNotificationResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let record = self
            .find(&caller.identity, &request.into_inner().name)
            .await?;
        Ok(Response::new(proto::GetNotificationResponse {
            notification: Some(wire_notification(&record)),
        }))
    }

    async fn list_notifications(
        &self,
        request: Request<proto::ListNotificationsRequest>,
    ) -> Result<Response<proto::ListNotificationsResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        self.list(&caller.identity, &request.into_inner())
            .await
            .map(Response::new)
    }

    async fn cancel_notification(
        &self,
        request: Request<proto::CancelNotificationRequest>,
    ) -> Result<Response<proto::CancelNotificationResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        self.cancel(&caller.identity, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn explain_notification(
        &self,
        request: Request<proto::ExplainNotificationRequest>,
    ) -> Result<Response<proto::ExplainNotificationResponse>, Status> {
        let caller = self.shared.caller_of(&request)?;
        self.explain(&caller.identity, request.into_inner())
            .await
            .map(Response::new)
    }

    type WatchNotificationsStream = Answers<proto::WatchNotificationsResponse>;

    async fn watch_notifications(
        &self,
        request: Request<proto::WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        let caller = self.shared.caller_of(&request)?;
        let identity = caller.identity.clone();
        let changes = watch::changes(Arc::clone(&self.shared), identity, request.into_inner())
            .map_err(refuse)?;
        Ok(Response::new(Box::pin(guarded(changes))))
    }
}

impl Notifications {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn find(&self, identity: &Identity, name: &str) -> Result<Record, Status> {
        let id = notification_id(name, "name").map_err(refuse)?;
        self.shared
            .store
            .find(identity, id)
            .await
            .map_err(store_status)?
            .ok_or_else(|| refuse(not_found(id)))
    }

    async fn list(
        &self,
        identity: &Identity,
        request: &proto::ListNotificationsRequest,
    ) -> Result<proto::ListNotificationsResponse, Status> {
        let size = page::size(request.page_size).map_err(refuse)?;
        let filter = Filter::parse(&request.filter).map_err(refuse)?;
        let descending = descending(&request.order_by).map_err(refuse)?;
        let order = if descending { "desc" } else { "asc" };
        let scope = Scope {
            list: "ListNotifications",
            identity,
            filter: &request.filter,
            order,
        };
        let tokens = &self.shared.tokens;
        let after = tokens
            .position(&scope, &request.page_token, NotificationId::from_slice)
            .map_err(refuse)?;
        let query = Query {
            identity: identity.clone(),
            filter,
            descending,
            after,
            // One more tells whether there is a next page.
            limit: size + 1,
        };
        let found = self.shared.store.list(query).await.map_err(store_status)?;
        let (notifications, last) = fill_page(&found, usize::try_from(size).unwrap_or(usize::MAX));
        let next_page_token =
            last.map_or_else(String::new, |last| tokens.seal(&scope, last.as_bytes()));
        Ok(proto::ListNotificationsResponse {
            notifications,
            next_page_token,
        })
    }

    async fn cancel(
        &self,
        identity: &Identity,
        request: proto::CancelNotificationRequest,
    ) -> Result<proto::CancelNotificationResponse, Status> {
        use proto::cancel_notification_request::Target;
        let (target, named) = match request.target {
            Some(Target::Name(name)) => {
                let id = notification_id(&name, "name").map_err(refuse)?;
                (CancelTarget::Notification(id), Some(id))
            }
            Some(Target::CancellationKey(key)) => (
                CancelTarget::Key(cancellation_key(key).map_err(refuse)?),
                None,
            ),
            None => {
                let why = "say what to stop: a name or a cancellation key";
                return Err(refuse(bad_field("target", why)));
            }
        };
        let store = &self.shared.store;
        let cancelled = store
            .cancel(identity, target, self.shared.clock.now())
            .await
            .map_err(store_status)?;
        if let Some(id) = named {
            let Some(counts) = &cancelled else {
                return Err(refuse(not_found(id)));
            };
            if counts.cancelled == 0 {
                // Missed: either a provider has it now, which is an answer, or it has ended, which is an error.
                let found = store.find(identity, id).await.map_err(store_status)?;
                let standing = found.map(|record| record.notification.status);
                if let Some(standing) = standing.filter(|standing| standing.state.is_final()) {
                    return Err(refuse(already_final(id, standing)));
                }
            }
        }
        let counts = cancelled.unwrap_or_default();
        let clamp = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Ok(proto::CancelNotificationResponse {
            cancelled_count: clamp(counts.cancelled),
            missed_count: clamp(counts.missed),
        })
    }

    async fn explain(
        &self,
        identity: &Identity,
        request: proto::ExplainNotificationRequest,
    ) -> Result<proto::ExplainNotificationResponse, Status> {
        use proto::explain_notification_request::Subject;
        match request.subject {
            None => {
                let why = "say what to explain: a name or an intent";
                Err(refuse(bad_field("subject", why)))
            }
            Some(Subject::Name(_)) if request.evaluate_time.is_some() => {
                let why = "goes with an intent only; a past notification is explained as it was";
                Err(refuse(bad_field("evaluate_time", why)))
            }
            Some(Subject::Name(name)) => {
                let record = self.find(identity, &name).await?;
                let decision = record.notification.decision.as_ref();
                let mut steps = decision.map(wire_steps).unwrap_or_default();
                steps.extend(dispatch_steps(&record));
                Ok(proto::ExplainNotificationResponse {
                    steps,
                    verdict: past_verdict(&record),
                })
            }
            Some(Subject::Intent(wire)) => {
                let mut findings = Findings::default();
                let at = time(
                    request.evaluate_time.as_ref(),
                    RejectionReason::FieldInvalid,
                    "evaluate_time",
                    &mut findings,
                );
                let at = findings.finish(at).map_err(refuse)?;
                let draft = intent::intent_draft(wire).map_err(refuse)?;
                let decision = self
                    .shared
                    .intake
                    .explain(identity, draft, at)
                    .await
                    .map_err(refuse)?;
                Ok(proto::ExplainNotificationResponse {
                    steps: wire_steps(&decision),
                    verdict: dry_verdict(&decision),
                })
            }
        }
    }
}

/// The notifications of a page, and the last one's id when there are more behind it.
fn fill_page(found: &[Record], size: usize) -> (Vec<proto::Notification>, Option<NotificationId>) {
    let mut page = Vec::new();
    let mut last = None;
    let mut bytes = 0;
    for record in found.iter().take(size) {
        let notification = wire_notification(record);
        bytes += notification.encoded_len();
        // A page has at least one, however large, else nobody would get past it.
        if bytes > MAX_PAGE_BYTES && !page.is_empty() {
            break;
        }
        page.push(notification);
        last = Some(record.notification.id);
    }
    let more = page.len() < found.len();
    (page, last.filter(|_| more))
}

fn descending(order_by: &str) -> Result<bool, Rejection> {
    let words: Vec<&str> = order_by.split_whitespace().collect();
    match words.as_slice() {
        [] | ["create_time", "desc"] => Ok(true),
        ["create_time"] | ["create_time", "asc"] => Ok(false),
        _ => Err(bad_field(
            "order_by",
            "is \"create_time\", \"create_time asc\" or \"create_time desc\"",
        )),
    }
}

fn notification_id(name: &str, field: &str) -> Result<NotificationId, Rejection> {
    id_in(name, "notifications")
        .and_then(NotificationId::parse)
        .ok_or_else(|| bad_field(field, "a notification is named notifications/{uuid}"))
}

fn cancellation_key(key: String) -> Result<String, Rejection> {
    let rule = "has 1 to 128 characters and no control characters";
    let wrong = key.is_empty()
        || key.chars().nth(MAX_KEY_CHARS).is_some()
        || super::convert::has_control(&key);
    if wrong {
        return Err(bad_field("cancellation_key", rule));
    }
    Ok(key)
}

pub(super) fn not_found(id: NotificationId) -> Rejection {
    Rejection::new(
        RejectionReason::NotificationNotFound,
        format!("there is no notification {id}"),
    )
}

fn already_final(id: NotificationId, standing: Standing) -> Rejection {
    Rejection::new(
        RejectionReason::AlreadyFinal,
        format!(
            "notification {id} has ended: {} ({})",
            standing.state, standing.reason
        ),
    )
    .with("state", standing.state.as_str())
    .with("state_reason", standing.reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_are_none_are_refused() {
        assert_eq!(descending(""), Ok(true));
        assert_eq!(descending("create_time"), Ok(false));
        assert_eq!(descending(" create_time  desc "), Ok(true));
        for wrong in [
            "desc",
            "create_time down",
            "update_time",
            "create_time, state",
        ] {
            assert!(descending(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_keys_that_are_none_are_refused() {
        let name = "notifications/0192f600-0000-7000-8000-000000000000";
        assert!(notification_id(name, "name").is_ok());
        for wrong in [
            "",
            "notifications/",
            "notifications/1",
            "customers/1",
            &name[14..],
        ] {
            assert!(notification_id(wrong, "name").is_err(), "{wrong}");
        }
        assert!(cancellation_key("order:4711".into()).is_ok());
        for wrong in [String::new(), "a\n".into(), "x".repeat(129)] {
            assert!(cancellation_key(wrong).is_err());
        }
    }
}

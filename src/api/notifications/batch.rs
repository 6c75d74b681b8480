//! Sending one, and sending several in one call.

use std::collections::BTreeMap;

use super::wire_notification;
use crate::api::Shared;
use crate::api::convert::intent;
use crate::api::errors::rpc_status;
use crate::domain::caller::Caller;
use crate::domain::draft::Draft;
use crate::domain::notification::{Notification, Record};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::proto;

/// The most requests in one call.
pub(crate) const MAX_BATCH: usize = 500;
/// Where a rejection says which item of a batch it is about.
const INDEX: &str = "index";

type Sent = Result<proto::SendNotificationResponse, Rejection>;

/// One.
pub(super) async fn send(
    shared: &Shared,
    caller: &Caller,
    request: proto::SendNotificationRequest,
) -> Sent {
    send_all(shared, caller, vec![request], false)
        .await
        .pop()
        .unwrap_or_else(|| Err(unanswered()))
}

/// Several; the requests' answers are in their order. With `atomic`, one that cannot be read keeps all from being sent,
/// and the others are answered with its rejection.
pub(super) async fn send_all(
    shared: &Shared,
    caller: &Caller,
    requests: Vec<proto::SendNotificationRequest>,
    atomic: bool,
) -> Vec<Sent> {
    let count = requests.len();
    let mut answers: Vec<Option<Sent>> = vec![None; count];
    let mut to_accept: Vec<(usize, Draft)> = Vec::new();
    for (index, request) in requests.into_iter().enumerate() {
        let validate_only = request.validate_only;
        let answer = match intent::draft(request) {
            Ok(draft) if validate_only => {
                shared.intake.validate(caller, draft).await.map(validated)
            }
            Ok(draft) => {
                to_accept.push((index, draft));
                continue;
            }
            Err(rejection) => Err(rejection),
        };
        if let (true, Err(rejection)) = (atomic, &answer) {
            return vec![Err(at_index(rejection.clone(), index)); count];
        }
        set(&mut answers, index, answer);
    }
    let (places, drafts): (Vec<usize>, Vec<Draft>) = to_accept.into_iter().unzip();
    if !drafts.is_empty() {
        let accepted = shared.intake.accept(caller, drafts, atomic).await;
        for (place, result) in places.iter().zip(accepted) {
            let answer = result
                .map(|acceptance| sent(acceptance.notification, acceptance.replayed))
                .map_err(|rejection| in_batch(rejection, &places));
            set(&mut answers, *place, answer);
        }
    }
    answers
        .into_iter()
        .map(|answer| answer.unwrap_or_else(|| Err(unanswered())))
        .collect()
}

fn set(answers: &mut [Option<Sent>], index: usize, answer: Sent) {
    if let Some(slot) = answers.get_mut(index) {
        *slot = Some(answer);
    }
}

/// Several in one call: all or none, or each for itself.
pub(super) async fn send_batch(
    shared: &Shared,
    caller: &Caller,
    request: proto::BatchSendNotificationsRequest,
) -> Result<proto::BatchSendNotificationsResponse, Rejection> {
    check_batch(request.requests.len())?;
    let atomic = !request.return_partial_success;
    let answers = send_all(shared, caller, request.requests, atomic).await;
    let mut accepted = BTreeMap::new();
    let mut failed_requests = BTreeMap::new();
    for (index, answer) in (0..).zip(answers) {
        match answer {
            Ok(answer) => {
                accepted.insert(index, answer);
            }
            Err(rejection) if atomic => return Err(prefixed(rejection)),
            Err(rejection) => {
                failed_requests.insert(index, rpc_status(&rejection));
            }
        }
    }
    Ok(proto::BatchSendNotificationsResponse {
        accepted,
        failed_requests,
    })
}

/// Refuses batches of none and of too many.
///
/// # Errors
/// `BATCH_SIZE_INVALID` on `requests`.
pub(crate) fn check_batch(count: usize) -> Result<(), Rejection> {
    if (1..=MAX_BATCH).contains(&count) {
        return Ok(());
    }
    Err(Rejection::field(
        RejectionReason::BatchSizeInvalid,
        "requests",
        format!("a batch has 1 to {MAX_BATCH} requests, this one has {count}"),
    ))
}

fn sent(notification: Notification, replayed: bool) -> proto::SendNotificationResponse {
    let record = Record {
        notification,
        messages: Vec::new(),
        attempts: Vec::new(),
    };
    proto::SendNotificationResponse {
        notification: Some(wire_notification(&record)),
        replayed,
    }
}

/// Nothing was stored, so there is no name to find it by.
fn validated(notification: Notification) -> proto::SendNotificationResponse {
    let mut answer = sent(notification, false);
    if let Some(notification) = &mut answer.notification {
        notification.name.clear();
    }
    answer
}

fn at_index(rejection: Rejection, index: usize) -> Rejection {
    rejection.with(INDEX, index.to_string())
}

/// Intake counts the drafts it was given; the caller counts requests.
fn in_batch(rejection: Rejection, places: &[usize]) -> Rejection {
    let place = rejection
        .metadata
        .get(INDEX)
        .and_then(|index| index.parse::<usize>().ok())
        .and_then(|index| places.get(index));
    match place {
        Some(place) => at_index(rejection, *place),
        None => rejection,
    }
}

/// The rejection of an item as that of the whole call: its fields are those of the item.
fn prefixed(mut rejection: Rejection) -> Rejection {
    let Some(index) = rejection.metadata.get(INDEX) else {
        return rejection;
    };
    for violation in &mut rejection.violations {
        violation.field = format!("requests[{index}].{}", violation.field);
    }
    rejection.message = format!("requests[{index}]: {}", rejection.message);
    rejection
}

fn unanswered() -> Rejection {
    Rejection::new(
        RejectionReason::Internal,
        "the gateway did not answer this item; send it again with the same request id",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_an_end_and_a_beginning() {
        assert!(check_batch(1).is_ok() && check_batch(500).is_ok());
        for count in [0, 501] {
            let rejection = check_batch(count).unwrap_err();
            assert_eq!(rejection.reason, RejectionReason::BatchSizeInvalid);
            assert!(rejection.message.contains("500"));
        }
    }

    #[test]
    fn a_refused_item_names_its_place() {
        let item = Rejection::field(
            RejectionReason::FieldInvalid,
            "intent.template",
            "is no key",
        );
        // The second draft of those at places 1 and 3.
        let placed = in_batch(at_index(item.clone(), 1), &[1, 3]);
        let whole = prefixed(placed);
        assert_eq!(whole.violations[0].field, "requests[3].intent.template");
        assert!(whole.message.starts_with("requests[3]: "));
        assert_eq!(
            prefixed(item.clone()),
            item,
            "of an unknown item nothing is said"
        );
    }
}

//! The three times of an intent.

use jiff::{SignedDuration, Timestamp};

use crate::domain::draft::Draft;
use crate::domain::rejection::{Rejection, RejectionReason};

/// How far in the past a send time may lie and still mean now.
const SEND_TIME_PAST_MAX: SignedDuration = SignedDuration::from_mins(5);
/// How far ahead a send time may lie.
const SEND_TIME_AHEAD_MAX: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

pub(super) struct Times {
    /// Only when it lies ahead.
    pub(super) send: Option<Timestamp>,
    pub(super) expire: Timestamp,
    pub(super) event: Timestamp,
}

pub(super) fn check(
    draft: &Draft,
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<Times, Rejection> {
    let reject = |reason, field: &str, rule: &str| Err(Rejection::field(reason, field, rule));
    if let Some(send_time) = draft.send_time {
        let ahead = send_time.duration_since(now);
        if ahead < -SEND_TIME_PAST_MAX {
            return reject(
                RejectionReason::SendTimeInvalid,
                "intent.send_time",
                "at most 5 minutes ago; leave it out for now",
            );
        }
        if ahead > SEND_TIME_AHEAD_MAX {
            return reject(
                RejectionReason::SendTimeInvalid,
                "intent.send_time",
                "at most 2 years ahead",
            );
        }
    }
    let send = draft.send_time.filter(|send_time| *send_time > now);
    let start = send.unwrap_or(now);
    let expire = match draft.expire_time {
        Some(expire) if expire <= start => {
            return reject(
                RejectionReason::FieldInvalid,
                "intent.expire_time",
                "after send_time and in the future",
            );
        }
        Some(expire) => expire,
        None => start.checked_add(lifetime).unwrap_or(Timestamp::MAX),
    };
    Ok(Times {
        send,
        expire,
        event: draft.event_time.unwrap_or(now),
    })
}

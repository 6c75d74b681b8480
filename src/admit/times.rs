//! The three times of an intent.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::domain::draft::Draft;
use crate::domain::rejection::{Rejection, RejectionReason};

/// How far in the past a send time may lie and still mean now.
const SEND_TIME_PAST_MAX: SignedDuration = SignedDuration::from_mins(5);
/// How far ahead a send time may lie.
const SEND_TIME_AHEAD_MAX_YEARS: i64 = 2;

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
        if send_time.duration_since(now) < -SEND_TIME_PAST_MAX {
            return reject(
                RejectionReason::SendTimeInvalid,
                "intent.send_time",
                "lies more than 5 minutes in the past; leave it out to send now",
            );
        }
        if send_time > latest(now) {
            return reject(
                RejectionReason::SendTimeInvalid,
                "intent.send_time",
                "lies more than 2 years ahead; choose an earlier time",
            );
        }
    }
    let send = draft.send_time.filter(|send_time| *send_time > now);
    let start = send.unwrap_or(now);
    let expire = match draft.expire_time {
        Some(expire) if expire <= start => {
            return reject(
                RejectionReason::SendTimeInvalid,
                "intent.expire_time",
                "must lie after send_time and in the future",
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

/// The same time of the same day, two years on.
fn latest(now: Timestamp) -> Timestamp {
    now.to_zoned(TimeZone::UTC)
        .checked_add(Span::new().years(SEND_TIME_AHEAD_MAX_YEARS))
        .map_or(Timestamp::MAX, |latest| latest.timestamp())
}

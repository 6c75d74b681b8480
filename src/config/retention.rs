//! `[retention]`: how long what has ended is kept.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;

use super::reader::Reader;
use crate::store::Retention;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

const CONTENT: RangeInclusive<Duration> = days(1)..=days(3650);
const HISTORY: RangeInclusive<Duration> = days(7)..=days(3650);
/// A watch may be resumed for 72 hours, and may have been held up for as long before.
const EVENTS: RangeInclusive<Duration> = days(7)..=days(365);

/// `[retention]`
pub(super) fn read(reader: &mut Reader) -> Option<Retention> {
    let content = reader.duration("retention.content", &CONTENT);
    let history = reader.duration("retention.history", &HISTORY);
    let events = reader.duration("retention.events", &EVENTS);
    Some(Retention {
        content: SignedDuration::try_from(content?).ok()?,
        history: SignedDuration::try_from(history?).ok()?,
        events: SignedDuration::try_from(events?).ok()?,
    })
}

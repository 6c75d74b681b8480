//! Leave to hand over to a provider: up to when all processes together have been given it, in one row for each provider.
//!
//! One statement gives leave, by the engine's own clock, so that processes never wait for each other longer than it takes.
//! Leave is a stretch of time from that row's end on: nobody gives it back, what is not used in its time is gone.

use std::time::Duration;

use jiff::SignedDuration;

use super::session::{Session, Statement, bind, corrupt, select};
use crate::store::{Lease, LeaseRequest, StoreResult};

/// Moves the end by what is leased, unless it is too far ahead; the end before that, seen from the present. What is farther ahead
/// than can be was written before a clock was set back. The row belongs to no process.
macro_rules! give {
    ($now:literal, $later:literal, $nobody:literal) => {
        concat!(
            "INSERT INTO rate_lease AS l (provider, process, permits, until) VALUES (?1, ",
            $nobody,
            ", ?2, ",
            $now,
            " + ?3) \
             ON CONFLICT (provider, process) DO UPDATE SET permits = excluded.permits, \
             until = ?3 + CASE WHEN l.until > ",
            $now,
            " + ?6 THEN ",
            $now,
            " ELSE ",
            $later,
            "(l.until, ",
            $now,
            " - ?4) END \
             WHERE l.until <= ",
            $now,
            " + ?5 OR l.until > ",
            $now,
            " + ?6 RETURNING until - ?3 - ",
            $now
        )
    };
}
const GIVE: Statement<'_> = Statement {
    sqlite: give!(
        "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        "max",
        "zeroblob(16)"
    ),
    postgres: give!(
        "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
        "greatest",
        "'00000000-0000-0000-0000-000000000000'::uuid"
    ),
};
/// How far ahead of the present leave has been given.
const AHEAD: Statement<'_> = Statement {
    sqlite: "SELECT until - CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM rate_lease WHERE provider = ?1 AND process = zeroblob(16)",
    postgres: "SELECT until - (extract(epoch from clock_timestamp()) * 1000000)::bigint FROM rate_lease WHERE provider = ?1 \
        AND process = '00000000-0000-0000-0000-000000000000'::uuid",
};

pub(super) fn lease(session: &mut dyn Session, request: &LeaseRequest) -> StoreResult<Lease> {
    let rate = request.rate;
    let permits = request.permits.clamp(1, rate.slice());
    let ahead = rate.ahead(request.lane);
    let parameters = bind![
        &request.provider,
        permits,
        micros(rate.interval().saturating_mul(permits))?,
        micros(rate.slice_time() / 2)?,
        micros(ahead)?,
        micros(rate.beyond())?,
    ];
    let given = select(session, GIVE, &parameters, |row| row.get(0))?;
    if let Some(first) = given.into_iter().next() {
        let first = SignedDuration::from_micros(first);
        return Ok(Lease::Given { permits, first });
    }
    let far = select(session, AHEAD, &bind![&request.provider], |row| {
        row.get::<i64>(0)
    })?;
    let far = far.into_iter().next().unwrap_or_default();
    let far = Duration::from_micros(u64::try_from(far).unwrap_or_default());
    Ok(Lease::NotBefore(far.saturating_sub(ahead)))
}

fn micros(time: Duration) -> StoreResult<i64> {
    i64::try_from(time.as_micros()).map_err(corrupt)
}

//! The schema: its steps, the partitions of the history, the store's key and name. One process at a time changes it; the others wait.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::OpenError;
use super::session::PgSession;
use crate::domain::hex::hex;
use crate::domain::id::{ProcessId, secret_bytes};
use crate::store::StoreResult;
use crate::store::ledger::session::{Session as _, Statement, bind, row};

/// What brought the schema to where it is, in order. What has been released is never changed; a later step only adds, because the
/// version before runs beside it for a while.
const STEPS: [&str; 1] = [include_str!("../../../migrations/postgres/0001_first.sql")];
/// The key of the lock under which the schema changes; any number that nobody else in the database uses.
const SCHEMA_LOCK: i64 = 0x7469_6469_6e67_7300;
/// How long bringing the schema up to date may take, the waiting for another process that does it included.
const PATIENCE: Duration = Duration::from_secs(600);
/// How many months of history have their partition made ahead.
const MONTHS_AHEAD: i32 = 3;

/// Brings the schema up to date; returns how many steps that took.
pub(super) fn migrate(session: &mut PgSession, now: Timestamp) -> Result<usize, OpenError> {
    let fail = |source| OpenError::Migrate(source);
    // Others may hold the lock for as long as their steps take.
    session.be_patient(PATIENCE);
    session
        .command("SET statement_timeout = 0; SET lock_timeout = 0")
        .map_err(fail)?;
    session
        .command(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"
        ))
        .map_err(fail)?;
    session
        .command("CREATE TABLE IF NOT EXISTS schema_step (step bigint PRIMARY KEY, apply_time timestamptz NOT NULL DEFAULT now())")
        .map_err(fail)?;
    let seen = number(session, "SELECT coalesce(max(step), 0) FROM schema_step").map_err(fail)?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if seen > known {
        session.roll_back();
        return Err(OpenError::Newer(seen));
    }
    let mut taken = 0;
    for (step, text) in (1..).zip(STEPS).filter(|(step, _)| *step > seen) {
        session.command(text).map_err(fail)?;
        session
            .command(&format!("INSERT INTO schema_step (step) VALUES ({step})"))
            .map_err(fail)?;
        taken += 1;
    }
    keep_counting(session).map_err(fail)?;
    session.command("COMMIT").map_err(fail)?;
    make_room(session, now).map_err(fail)?;
    Ok(taken)
}

/// Where a copy was restored beside a smaller count of transactions, moves the base so that new events stand behind the old ones.
fn keep_counting(session: &mut PgSession) -> StoreResult<()> {
    session.command(
        "UPDATE event_base SET base = pg_current_xact_id()::text::bigint - 1 - (newest.sequence >> 20) \
         FROM (SELECT sequence FROM event ORDER BY sequence DESC LIMIT 1) newest \
         WHERE newest.sequence >= (pg_current_xact_id()::text::bigint - base) << 20",
    )
}

/// Makes the partitions of this month and the next ones. One that cannot be made is made another day: until then what belongs there
/// lies in the partition that takes the rest.
pub(super) fn make_room(session: &mut PgSession, now: Timestamp) -> StoreResult<()> {
    let today = now.to_zoned(TimeZone::UTC).date();
    for ahead in 0..=MONTHS_AHEAD {
        let month = |more: i32| -> Option<Date> {
            today
                .first_of_month()
                .checked_add((ahead + more).months())
                .ok()
        };
        let (Some(first), Some(next)) = (month(0), month(1)) else {
            continue;
        };
        let (Some(from), Some(to)) = (micros(first), micros(next)) else {
            continue;
        };
        let name = format!("history_{:04}_{:02}", first.year(), first.month());
        let is_there = number(
            session,
            &format!("SELECT count(*) FROM pg_class WHERE relname = '{name}'"),
        )? > 0;
        if is_there {
            continue;
        }
        let made = session.command(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK}); CREATE TABLE IF NOT EXISTS {name} PARTITION OF history \
             FOR VALUES FROM ({from}) TO ({to}); COMMIT"
        ));
        if let Err(error) = made {
            session.roll_back();
            if super::error::grade(&error) == super::error::Grade::Broken {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Drops the partitions of months that ended before `cutoff` and of which nothing is left; returns how many. One that is in use is dropped
/// another day.
pub(super) fn drop_room(session: &mut PgSession, cutoff: Timestamp) -> StoreResult<usize> {
    let mut names = Vec::new();
    let partitions = Statement::same(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'history'::regclass ORDER BY c.relname",
    );
    session.select(&partitions, &[], &mut |found| {
        names.extend(found.0.text(0)?.map(str::to_owned));
        Ok(())
    })?;
    let is_over = |name: &String| ended(name).is_some_and(|end| end <= cutoff.as_microsecond());
    let mut dropped = 0;
    for name in names.iter().filter(|name| is_over(name)) {
        let done = session.command(&format!(
            "BEGIN; SET LOCAL lock_timeout = '500ms'; DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM {name}) THEN DROP TABLE {name}; \
             END IF; END $$; COMMIT"
        ));
        if let Err(error) = done {
            session.roll_back();
            if super::error::grade(&error) == super::error::Grade::Broken {
                return Err(error);
            }
        }
        let left = format!("SELECT count(*) FROM pg_class WHERE relname = '{name}'");
        dropped += usize::from(number(session, &left)? == 0);
    }
    Ok(dropped)
}

/// When the month of a partition ended; `None` for one that is none of ours.
fn ended(name: &str) -> Option<i64> {
    let (year, month) = name.strip_prefix("history_")?.split_once('_')?;
    let first = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
    micros(first.checked_add(1.month()).ok()?)
}

fn micros(day: Date) -> Option<i64> {
    let start = day.to_zoned(TimeZone::UTC).ok()?;
    Some(start.timestamp().as_microsecond())
}

fn number(session: &mut PgSession, text: &str) -> StoreResult<i64> {
    let mut number = 0;
    session.select(&Statement::same(text), &[], &mut |found| {
        number = found.0.int(0)?.unwrap_or_default();
        Ok(())
    })?;
    Ok(number)
}

/// The store's key and name, made by the first process that comes.
pub(super) fn identify(
    session: &mut PgSession,
    now: Timestamp,
) -> Result<([u8; 32], String), OpenError> {
    let random = || secret_bytes().map_err(|error| OpenError::Secret(error.to_string()));
    let (secret, generation) = (random()?, random()?);
    let generation: Vec<u8> = generation.iter().take(16).copied().collect();
    for (name, value) in [
        ("secret", secret.to_vec()),
        ("generation", generation),
        ("create_time", now.to_string().into_bytes()),
    ] {
        let statement = Statement::same(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        );
        session
            .execute(&statement, &bind![name, value.as_slice()])
            .map_err(OpenError::Database)?;
    }
    let secret = meta(session, "secret").map_err(OpenError::Database)?;
    let generation = hex(&meta(session, "generation").map_err(OpenError::Database)?);
    let secret = secret
        .try_into()
        .map_err(|_| OpenError::Secret("the stored key is not 32 bytes long".to_owned()))?;
    Ok((secret, generation))
}

fn meta(session: &mut PgSession, name: &str) -> StoreResult<Vec<u8>> {
    let mut value = Vec::new();
    let statement = Statement::same("SELECT value FROM meta WHERE name = ?");
    session.select(&statement, &bind![name], &mut |found| {
        value = found.0.bytes(0)?.unwrap_or_default().to_vec();
        Ok(())
    })?;
    Ok(value)
}

const BEAT: Statement<'_> = Statement::same(
    "INSERT INTO process (id, start_time, heartbeat_time) SELECT ?::uuid, t.now, t.now \
     FROM (SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint AS now) t \
     ON CONFLICT (id) DO UPDATE SET heartbeat_time = excluded.heartbeat_time RETURNING heartbeat_time",
);

/// Says that a process is alive; answers with the time that was written down.
pub(super) fn beat(session: &mut PgSession, id: &ProcessId) -> StoreResult<Option<Timestamp>> {
    let mut time = None;
    session.select(&BEAT, &process(id), &mut |found| {
        let micros = found.0.int(0)?.unwrap_or_default();
        time = Timestamp::from_microsecond(micros).ok();
        Ok(())
    })?;
    Ok(time)
}

/// Takes a process off that hands nothing over any more.
pub(super) const LEAVE: Statement<'_> = Statement::same(
    "DELETE FROM process WHERE id = ?::uuid AND NOT EXISTS (SELECT 1 FROM message m WHERE m.state = 'sending' AND m.process = process.id)",
);

/// A process as a parameter.
pub(super) fn process(id: &ProcessId) -> Vec<crate::store::ledger::session::Cell> {
    row![id.as_bytes()]
}

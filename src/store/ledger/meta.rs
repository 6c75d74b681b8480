//! What the store knows of itself, in few words: who it is, where it was seen last, whether it is held.

use super::session::{Session, Statement, bind, corrupt, row, select, write};
use super::statement::insert;
use crate::domain::hold::HoldReason;
use crate::store::StoreResult;
use crate::store::witness::{Seen, Witness};

const GET: Statement<'_> = Statement::same("SELECT value FROM meta WHERE name = ?1");
const SET: Statement<'_> = insert!(
    "meta",
    ["name" text, "value" bytea],
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
);
const DROP: Statement<'_> = Statement::same("DELETE FROM meta WHERE name = ?1");
/// Later events stand behind all that anybody was told of, so that no watch goes on in the middle of others.
const RAISE: Statement<'_> = Statement {
    sqlite: "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'event'",
    postgres: "UPDATE event_base SET base = least(base, pg_current_xact_id()::text::bigint - 2 - (?1::bigint >> 20))",
};

/// Why nothing is handed over: a word of [`HoldReason`].
const HOLD: &str = "hold";
/// How often the store was recovered.
const RECOVERIES: &str = "recoveries";
/// Where the store was when it was used last, in its engine's words.
const HOME: &str = "home";

fn get(session: &mut dyn Session, name: &str) -> StoreResult<Option<String>> {
    let found = select(session, GET, &bind![name], |row| row.get::<Vec<u8>>(0))?;
    let text = found.into_iter().next().map(String::from_utf8);
    text.transpose().map_err(corrupt)
}

fn set(session: &mut dyn Session, name: &str, value: &str) -> StoreResult<()> {
    write(session, SET, vec![row![name, value.as_bytes()]]).map(drop)
}

/// Why the store is held, if it is.
pub(in crate::store) fn hold(session: &mut dyn Session) -> StoreResult<Option<HoldReason>> {
    let word = get(session, HOLD)?;
    word.map(|word| word.parse().map_err(corrupt)).transpose()
}

/// How often the store was recovered.
pub(in crate::store) fn recoveries(session: &mut dyn Session) -> StoreResult<i64> {
    let text = get(session, RECOVERIES)?;
    text.map_or(Ok(0), |text| text.parse().map_err(corrupt))
}

/// What a store that was just reached looks like.
pub(in crate::store) struct Standing {
    /// Which it is.
    pub(in crate::store) generation: String,
    /// What was remembered of it before it was looked at.
    pub(in crate::store) seen: Option<Seen>,
    /// Its newest event.
    pub(in crate::store) newest: i64,
    /// Where it is; `None`: nobody can say.
    pub(in crate::store) home: Option<String>,
    /// It is to be held whatever it looks like.
    pub(in crate::store) asked: bool,
}

/// Looks whether this is the store that it was, and holds it if not. `same` says whether two places are the same one.
pub(in crate::store) fn examine(
    session: &mut dyn Session,
    witness: &Witness,
    now: Standing,
    same: impl FnOnce(&str, &str) -> bool,
) -> StoreResult<Option<HoldReason>> {
    if let Some(held) = hold(session)? {
        return Ok(Some(held));
    }
    let known = get(session, HOME)?;
    let here = Seen {
        generation: now.generation,
        recoveries: recoveries(session)?,
        sequence: now.newest,
    };
    let ahead = witness.compare(now.seen.as_ref(), here);
    let moved = known.as_ref().zip(now.home.as_ref());
    let why = match (moved, ahead) {
        (Some((before, here)), _) if !same(before, here) => Some(HoldReason::Copied),
        (_, Some(_)) => Some(HoldReason::Behind),
        _ => now.asked.then_some(HoldReason::Asked),
    };
    if let Some(why) = why {
        set(session, HOLD, why.as_str())?;
        if let Some(sequence) = ahead {
            session.execute(&RAISE, &bind![sequence])?;
        }
    } else if now.home.is_some() && now.home != known {
        set(session, HOME, &now.home.unwrap_or_default())?;
    }
    Ok(why)
}

/// Lets the store go on, as the one that it is and where it is. Returns how often it was recovered now.
pub(super) fn release(session: &mut dyn Session, home: Option<&str>) -> StoreResult<i64> {
    let recoveries = recoveries(session)? + 1;
    set(session, RECOVERIES, &recoveries.to_string())?;
    if let Some(home) = home {
        set(session, HOME, home)?;
    }
    session.execute(&DROP, &bind![HOLD])?;
    Ok(recoveries)
}

//! Looks at each new connection whether the database behind it is the one that it was: a restore or a loss must be seen before anything
//! is claimed over that connection. What is seen holds the store for all processes.
//!
//! Seen are: another server, another database, tables made anew (a dump put back), a timeline that began while nobody of us was there
//! (recovery from an archive), and less than this process, or one before it with the same folder, has seen in it. A timeline that
//! began while this process was there and saw nothing lost is a standby that has taken over, and no reason to stop. A server that still
//! recovers is not connected to.

use std::sync::Arc;

use tokio::sync::watch;

use super::error::is_recovering;
use super::session::PgSession;
use crate::domain::hold::HoldReason;
use crate::event;
use crate::store::StoreResult;
use crate::store::ledger::meta::{self, Standing, examine};
use crate::store::ledger::session::{Session, Statement};
use crate::store::witness::Witness;

/// Server, database, table; then the timeline.
const HOME: Statement<'_> = Statement::same(
    "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' \
     || (SELECT oid FROM pg_database WHERE datname = current_database())::text || '/' || 'meta'::regclass::oid::text || '/' \
     || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
);
/// The newest event that no later one can come before, and whether the store is held.
pub(super) const NEWEST: Statement<'_> = Statement::same(
    "SELECT coalesce((SELECT sequence FROM event WHERE sequence < ((pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
     - (SELECT base FROM event_base WHERE one)) << 20) ORDER BY sequence DESC LIMIT 1), 0), \
     EXISTS (SELECT 1 FROM meta WHERE name = 'hold')",
);

/// What all connections of a process know together.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) generation: String,
    pub(super) witness: Arc<Witness>,
    pub(super) holding: watch::Sender<Option<HoldReason>>,
}

impl Guard {
    /// At the start, when nobody of this process was there before.
    pub(super) fn open(&self, session: &mut PgSession, asked: bool) -> StoreResult<()> {
        self.look(session, asked, |before, here| before == here)
    }

    /// At a connection that was made anew.
    pub(super) fn again(&self, session: &mut PgSession) -> StoreResult<()> {
        self.look(session, false, |before, here| {
            timeless(before) == timeless(here)
        })
    }

    fn look(
        &self,
        session: &mut PgSession,
        asked: bool,
        same: impl FnOnce(&str, &str) -> bool,
    ) -> StoreResult<()> {
        // Other connections go on meanwhile: what they see after this is no loss.
        let seen = self.witness.seen();
        let (newest, _) = newest(session)?;
        let standing = Standing {
            generation: self.generation.clone(),
            seen,
            newest,
            home: home(session)?,
            asked,
        };
        let held = examine(session, &self.witness, standing, same)?;
        self.tell(held);
        Ok(())
    }

    /// The newest event, and what follows from it and from what others have found.
    pub(super) fn watch(&self, session: &mut PgSession) -> StoreResult<i64> {
        let (newest, is_held) = newest(session)?;
        self.witness.saw(newest);
        let held = if is_held { meta::hold(session)? } else { None };
        self.tell(held);
        Ok(newest)
    }

    fn tell(&self, held: Option<HoldReason>) {
        let is_news = self.holding.send_if_modified(|known| {
            let is_news = *known != held;
            *known = held;
            is_news
        });
        if is_news {
            event::store_held(held);
        }
    }
}

fn newest(session: &mut PgSession) -> StoreResult<(i64, bool)> {
    let mut found = (0, false);
    session.select(&NEWEST, &[], &mut |row| {
        found = (
            row.0.int(0)?.unwrap_or_default(),
            row.0.int(1)?.unwrap_or_default() != 0,
        );
        Ok(())
    })?;
    Ok(found)
}

/// Where the database is; `None` where the server, one that only speaks like PostgreSQL, does not say.
pub(super) fn home(session: &mut PgSession) -> StoreResult<Option<String>> {
    let mut home = None;
    let asked = session.select(&HOME, &[], &mut |row| {
        home = row.0.text(0)?.map(str::to_owned);
        Ok(())
    });
    match asked {
        // One that still recovers is looked at when it is done: a connection to it is not kept.
        Err(error) if !session.is_connected() || is_recovering(&error) => Err(error),
        _ => Ok(home),
    }
}

/// A place without its timeline.
fn timeless(home: &str) -> &str {
    home.rsplit_once('/').map_or(home, |(place, _)| place)
}

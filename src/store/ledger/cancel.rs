//! Calling off what has not been handed over.

use jiff::Timestamp;

use super::batch::Tx;
use super::locks::hold_owners;
use super::session::{Statement, bind, find_ids, id_list, row, select};
use super::statement::by_ids;
use super::unit::Unit;
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::Identity;
use crate::store::{CancelTarget, Cancelled, StoreResult};

pub(super) const ENDED: Statement<'_> = by_ids!("h.shop, h.caller", "history" "h", "h.id");
pub(super) const OPEN_BY_KEY: Statement<'_> = Statement::same(
    "SELECT n.id FROM notification n WHERE n.shop = ?1 AND n.caller = ?2 \
     AND n.cancellation_key = ?3 AND n.cancellation_key <> ''",
);
pub(super) const ENDED_BY_KEY: Statement<'_> = Statement::same(
    "SELECT count(*) FROM history h WHERE h.shop = ?1 AND h.caller = ?2 \
     AND h.cancellation_key = ?3 AND h.cancellation_key <> ''",
);

pub(super) fn run(
    tx: &mut Tx<'_>,
    identity: &Identity,
    target: &CancelTarget,
    now: Timestamp,
) -> StoreResult<Option<Cancelled>> {
    let mut unit = Unit::default();
    let mut cancelled = Cancelled::default();
    match target {
        CancelTarget::Notification(id) => {
            hold_owners(tx, &[*id])?;
            unit.load(tx, &[*id])?;
            let open = unit.get(*id).map(|open| open.head.identity == *identity);
            match open {
                Some(true) => {}
                None if has_ended(tx, identity, id_list([id]))? => cancelled.missed = 1,
                Some(false) | None => return Ok(None),
            }
        }
        CancelTarget::Key(key) => {
            let theirs = row![&identity.shop, &identity.caller, key];
            let open = find_ids(tx.session, OPEN_BY_KEY, &theirs)?;
            hold_owners(tx, &open)?;
            unit.load(tx, &open)?;
            let ended = select(tx.session, ENDED_BY_KEY, &theirs, |row| row.get::<u32>(0))?;
            cancelled.missed = ended.into_iter().sum();
        }
    }
    for open in unit.iter_mut() {
        if open.call_off(Status::from(Reason::Cancelled), now) {
            cancelled.cancelled += 1;
        } else {
            cancelled.missed = cancelled.missed.saturating_add(1);
        }
    }
    unit.flush(tx)?;
    Ok(Some(cancelled))
}

fn has_ended(tx: &mut Tx<'_>, identity: &Identity, id: String) -> StoreResult<bool> {
    let owners = select(tx.session, ENDED, &bind![id], |row| {
        Ok(row.get::<String>(0)? == identity.shop.as_str()
            && row.get::<String>(1)? == identity.caller.as_str())
    })?;
    Ok(owners.contains(&true))
}

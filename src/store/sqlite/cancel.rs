//! Calling off what has not been handed over.

use jiff::Timestamp;

use super::sql::{find_ids, id_list, select};
use super::unit::Unit;
use super::writer::Tx;
use crate::domain::reason::{Reason, Status};
use crate::domain::shop::Identity;
use crate::store::{CancelTarget, Cancelled, StoreResult};

pub(super) const ENDED: &str =
    "SELECT h.shop, h.caller FROM json_each(?1) j CROSS JOIN history h ON h.id = unhex(j.value)";
pub(super) const OPEN_BY_KEY: &str = "SELECT n.id FROM notification n WHERE n.shop = ?1 AND n.caller = ?2 \
    AND n.cancellation_key = ?3 AND n.cancellation_key <> ''";
pub(super) const ENDED_BY_KEY: &str = "SELECT count(*) FROM history h WHERE h.shop = ?1 AND h.caller = ?2 \
    AND h.cancellation_key = ?3 AND h.cancellation_key <> ''";

pub(super) fn run(
    tx: &mut Tx,
    identity: &Identity,
    target: &CancelTarget,
    now: Timestamp,
) -> StoreResult<Option<Cancelled>> {
    let mut unit = Unit::default();
    let mut cancelled = Cancelled::default();
    match target {
        CancelTarget::Notification(id) => {
            unit.load(tx, &[*id])?;
            let open = unit.get(*id).map(|open| open.head.identity == *identity);
            match open {
                Some(true) => {}
                None if has_ended(tx, identity, id_list([id]))? => cancelled.missed = 1,
                Some(false) | None => return Ok(None),
            }
        }
        CancelTarget::Key(key) => {
            let open = find_ids(
                &tx.conn,
                OPEN_BY_KEY,
                (identity.shop.as_str(), identity.caller.as_str(), key),
            )?;
            unit.load(tx, &open)?;
            let ended = select(
                &tx.conn,
                ENDED_BY_KEY,
                (identity.shop.as_str(), identity.caller.as_str(), key),
                |row| Ok(row.get::<_, u32>(0)?),
            )?;
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

fn has_ended(tx: &mut Tx, identity: &Identity, id: String) -> StoreResult<bool> {
    let owners = select(&tx.conn, ENDED, [id], |row| {
        Ok(row.get::<_, String>(0)? == identity.shop.as_str()
            && row.get::<_, String>(1)? == identity.caller.as_str())
    })?;
    Ok(owners.contains(&true))
}

//! Calling off what has not been handed over.

use jiff::Timestamp;
use sqlx::Row as _;

use super::rows::{id_list, read_ids};
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

pub(super) async fn run(
    tx: &mut Tx,
    identity: &Identity,
    target: &CancelTarget,
    now: Timestamp,
) -> StoreResult<Option<Cancelled>> {
    let mut unit = Unit::default();
    let mut cancelled = Cancelled::default();
    match target {
        CancelTarget::Notification(id) => {
            unit.load(tx, &[*id]).await?;
            let open = unit.get(*id).map(|open| open.head.identity == *identity);
            match open {
                Some(true) => {}
                None if has_ended(tx, identity, id_list([id])).await? => cancelled.missed = 1,
                Some(false) | None => return Ok(None),
            }
        }
        CancelTarget::Key(key) => {
            let rows = sqlx::query(OPEN_BY_KEY)
                .bind(identity.shop.as_str())
                .bind(identity.caller.as_str())
                .bind(key)
                .fetch_all(&mut tx.conn)
                .await?;
            unit.load(tx, &read_ids(&rows)?).await?;
            let ended: i64 = sqlx::query(ENDED_BY_KEY)
                .bind(identity.shop.as_str())
                .bind(identity.caller.as_str())
                .bind(key)
                .fetch_one(&mut tx.conn)
                .await?
                .try_get(0)?;
            cancelled.missed = u32::try_from(ended).unwrap_or(u32::MAX);
        }
    }
    for open in unit.iter_mut() {
        if open.call_off(Status::from(Reason::Cancelled), now) {
            cancelled.cancelled += 1;
        } else {
            cancelled.missed = cancelled.missed.saturating_add(1);
        }
    }
    unit.flush(tx).await?;
    Ok(Some(cancelled))
}

async fn has_ended(tx: &mut Tx, identity: &Identity, id: String) -> StoreResult<bool> {
    let row = sqlx::query(ENDED)
        .bind(id)
        .fetch_optional(&mut tx.conn)
        .await?;
    let Some(row) = row else { return Ok(false) };
    Ok(row.try_get::<String, _>(0)? == identity.shop.as_str()
        && row.try_get::<String, _>(1)? == identity.caller.as_str())
}

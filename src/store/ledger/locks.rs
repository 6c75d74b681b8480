//! Who may decide: where several write, whatever decides about customers holds them first, in one order, and reads what it decides on
//! only then. The order of all locks is request ids, once keys, customers, notifications, each ascending.
//!
//! The embedded store has one writer and needs none of it.

use std::collections::BTreeSet;

use super::batch::Tx;
use super::facts::CustomerKey;
use super::session::{Dialect, Session, Statement, bind, corrupt, id_list, select};
use super::statement::by_ids;
use crate::domain::id::NotificationId;
use crate::domain::shop::{CustomerId, ShopId};
use crate::store::StoreResult;

pub(super) const OWNERS: Statement<'_> = by_ids!(
    "DISTINCT n.shop, n.customer",
    "notification" "n",
    "n.id"
);
pub(super) const MAKE: Statement<'_> = Statement {
    sqlite: "",
    postgres: "INSERT INTO customer_lock (shop, customer) SELECT j.value->>0, j.value->>1 \
        FROM jsonb_array_elements(?1::text::jsonb) j (value) ON CONFLICT (shop, customer) DO NOTHING",
};
/// In the order of the list.
pub(super) const HOLD: Statement<'_> = Statement {
    sqlite: "",
    postgres: "SELECT c.shop FROM jsonb_array_elements(?1::text::jsonb) j (value) CROSS JOIN LATERAL (SELECT l.shop \
        FROM customer_lock l WHERE l.shop = j.value->>0 AND l.customer = j.value->>1 FOR UPDATE) c",
};

/// The customers of these notifications, of those that are open.
pub(super) fn owners(
    session: &mut dyn Session,
    ids: &[NotificationId],
) -> StoreResult<BTreeSet<CustomerKey>> {
    let owners = select(session, OWNERS, &bind![id_list(ids)], |row| {
        let shop = ShopId::new(row.get::<String>(0)?);
        Ok((shop, CustomerId::new(row.get::<String>(1)?)))
    })?;
    Ok(owners.into_iter().collect())
}

/// Holds customers until the transaction ends.
pub(super) fn hold(tx: &mut Tx<'_>, customers: &BTreeSet<CustomerKey>) -> StoreResult<()> {
    if tx.session.dialect() == Dialect::Sqlite || customers.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(customers).map_err(corrupt)?;
    tx.session.execute(&MAKE, &bind![&list])?;
    select(tx.session, HOLD, &bind![list], |_| Ok(())).map(drop)
}

/// Holds the customers of these notifications.
pub(super) fn hold_owners(tx: &mut Tx<'_>, ids: &[NotificationId]) -> StoreResult<()> {
    if tx.session.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let owners = owners(tx.session, ids)?;
    hold(tx, &owners)
}

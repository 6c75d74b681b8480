//! What operators ask, by any engine.

use async_trait::async_trait;

use super::{Engine, unknown};
use crate::domain::id::NotificationId;
use crate::domain::shop::ShopId;
use crate::store::{Operations, Resolved, Said, StoreResult, Unknown};

#[async_trait]
impl<E: Engine> Operations for E {
    async fn unknown(
        &self,
        shop: &ShopId,
        after: Option<NotificationId>,
        limit: u32,
    ) -> StoreResult<Vec<Unknown>> {
        let shop = shop.clone();
        self.snapshot(move |session| unknown::list(session, &shop, after, limit))
            .await
    }

    async fn resolve(&self, shop: &ShopId, said: Said) -> StoreResult<Resolved> {
        let shop = shop.clone();
        self.writer()
            .call(move |tx| unknown::resolve(tx, &shop, &said))
            .await
    }
}

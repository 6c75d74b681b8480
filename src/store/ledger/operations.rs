//! What operators ask, by any engine.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::recover::Recovery;
use super::{Engine, recover, sweep, unknown};
use crate::domain::channel::Category;
use crate::domain::hold::HoldReason;
use crate::domain::policy::UnknownRule;
use crate::domain::shop::ShopId;
use crate::event;
use crate::store::sweep::Place;
use crate::store::witness::Seen;
use crate::store::{
    Operations, Recovered, Resolved, Retention, Said, StoreResult, Sweep, Swept, Unknown,
    UnknownPlace,
};

#[async_trait]
impl<E: Engine> Operations for E {
    async fn unknown(
        &self,
        shop: &ShopId,
        after: Option<UnknownPlace>,
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

    fn hold(&self) -> watch::Receiver<Option<HoldReason>> {
        self.holding().subscribe()
    }

    async fn sweep(&self, at: Sweep, retention: Retention, now: Timestamp) -> StoreResult<Swept> {
        if at.0 == Place::Room {
            let cutoff = now.checked_sub(retention.history);
            let cutoff = cutoff.unwrap_or(Timestamp::UNIX_EPOCH);
            return Ok(Swept {
                table: "partition",
                dropped: self.drop_room(cutoff).await?,
                next: None,
            });
        }
        self.writer()
            .call(move |tx| sweep::step(tx, &at, retention, now))
            .await
    }

    async fn recover(
        &self,
        from: Option<Timestamp>,
        now: Timestamp,
        rule: &(dyn Fn(Category) -> UnknownRule + Send + Sync),
    ) -> StoreResult<Option<Recovered>> {
        let rules = Category::ALL
            .iter()
            .map(|category| (*category, rule(*category)))
            .collect();
        let recovery = Recovery { from, now, rules };
        let (mut all, mut after) = (Recovered::default(), None);
        loop {
            let recovery = recovery.clone();
            let step = self
                .writer()
                .call(move |tx| recover::step(tx, &recovery, after));
            let Some(step) = step.await? else {
                return Ok(None);
            };
            all = all + step.done;
            after = step.last;
            if after.is_none() {
                break;
            }
        }
        let home = self.home().await?;
        let finish = self
            .writer()
            .call(move |tx| recover::finish(tx, home.as_deref()));
        let Some(recoveries) = finish.await? else {
            return Ok(None);
        };
        let sequence = *self.news().borrow();
        let recovered = Seen {
            generation: self.name().to_owned(),
            recoveries,
            sequence,
        };
        self.witness().compare(None, recovered);
        self.holding().send_replace(None);
        event::store_recovered(all.held, all.resent, all.untouched);
        Ok(Some(all))
    }
}

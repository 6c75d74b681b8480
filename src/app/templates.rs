//! The live templates: every bundle that was live is kept in the store, so that what it accepted can still be filled after a
//! restart, and a changed folder becomes live when it is whole.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::start_error::StartError;
use crate::catalog::{Catalog, Source};
use crate::domain::clock::Clock;
use crate::domain::shop::ShopId;
use crate::event;
use crate::store::{Bundles, StoreResult};

/// How often a template folder is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// The templates of a source. That a folder is not there is told in a line of its own: most often it is a wrong path.
pub(super) fn open(source: Source) -> Result<Catalog, StartError> {
    if let Source::Folder(folder) = &source
        && let Err(why) = std::fs::read_dir(folder)
    {
        return Err(StartError::TemplateFolder {
            folder: folder.clone(),
            why,
        });
    }
    Ok(Catalog::open(source)?)
}

/// Keeps the live bundle, and makes those that open notifications still refer to readable again.
pub(super) async fn keep(
    store: &dyn Bundles,
    catalog: &Catalog,
    shop: &ShopId,
    now: Timestamp,
) -> StoreResult<()> {
    let live = catalog.live();
    store
        .keep_bundle(shop, live.id(), live.archive(), now)
        .await?;
    for id in store.bundles_in_use(shop).await? {
        if catalog.bundle(&id).is_some() {
            continue;
        }
        if let Some(archive) = store.bundle(shop, &id).await?
            && let Err(error) = catalog.adopt(&archive)
        {
            event::templates_refused(&error);
        }
    }
    Ok(())
}

/// Watches the folder until `stop`. A broken change is told once and leaves the good bundle in place.
pub(super) async fn watch(
    store: Arc<dyn Bundles>,
    catalog: Arc<Catalog>,
    shop: ShopId,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut told = String::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let reading = catalog.clone();
        // Reading and compiling a repository takes a while; the workers need their threads.
        let Ok(read) = tokio::task::spawn_blocking(move || reading.reload()).await else {
            continue;
        };
        match read {
            Ok(false) => {}
            Ok(true) => {
                told.clear();
                let live = catalog.live();
                if let Err(error) = store
                    .keep_bundle(&shop, live.id(), live.archive(), clock.now())
                    .await
                {
                    event::store_failed("templates", &error);
                }
                event::templates_loaded(live.id());
            }
            Err(error) => {
                let sentence = error.to_string();
                if sentence != told {
                    event::templates_refused(&sentence);
                    told = sentence;
                }
            }
        }
    }
}

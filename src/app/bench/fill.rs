//! A store filled with many notifications through the product's own door, with a bar.

use std::sync::Arc;
use std::time::Duration;

use super::gateway::Gateway;
use super::load::{self, Shape, Tally, Traffic, Until};
use crate::cli::Bar;

/// The fastest way in.
const SHAPE: Shape = Shape::Batch {
    callers: 4,
    size: 500,
};
const LOOK: Duration = Duration::from_millis(250);

/// Sends all that `traffic` has. `look` is called with the gateway again and again while it goes on.
///
/// # Errors
/// A sentence when the gateway does not answer, or refuses any of them.
pub(super) async fn fill(
    gateway: &Gateway,
    traffic: Traffic,
    bar: &Bar,
    mut look: impl FnMut(&Gateway) -> Result<(), String>,
) -> Result<Tally, String> {
    let traffic = Arc::new(traffic);
    let before = bar.done();
    let sending = load::run(gateway, &traffic, SHAPE, Until::Empty);
    tokio::pin!(sending);
    let tally = loop {
        tokio::select! {
            tally = &mut sending => break tally?,
            () = tokio::time::sleep(LOOK) => {
                bar.at(before + traffic.taken());
                look(gateway)?;
            }
        }
    };
    match &tally.first_error {
        Some(error) => Err(format!("the store could not be filled: {error}")),
        None => Ok(tally),
    }
}

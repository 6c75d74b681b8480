//! `tidings recover`: lets a store go on that was restored from a backup.

use jiff::Timestamp;

use super::args::RecoverOptions;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::client::Target;
use crate::proto::recover_store_request::Since;
use crate::proto::{self, RecoverStoreRequest};

pub(super) async fn run(
    target: &Target,
    output: &mut Output,
    options: RecoverOptions,
) -> Result<(), Failure> {
    let session = Session::open(target).await?;
    let since = options
        .from
        .map_or(Since::Complete(true), |from: Timestamp| {
            Since::FromTime(proto::wire_time(from))
        });
    let request = RecoverStoreRequest { since: Some(since) };
    let answer = session.recover(request).await?;
    if output.is_json() {
        return Ok(output.json(&session.write("RecoverStoreResponse", &answer)?)?);
    }
    output.fields(&[
        ("held as unknown", answer.held_count.to_string().into()),
        ("sent again", answer.resent_count.to_string().into()),
        ("untouched", answer.untouched_count.to_string().into()),
    ])?;
    Ok(())
}

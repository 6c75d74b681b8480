//! `tidings templates assets`: the pictures of a folder of templates, under the names by which mails call them.
//!
//! It writes files and puts nothing anywhere: what serves the shop's pictures is the shop's choice.

use std::path::Path;

use super::args::AssetsOptions;
use super::failure::Failure;
use super::output::Output;
use crate::catalog::{Catalog, Source};

pub(super) fn run(output: &mut Output, options: &AssetsOptions) -> Result<(), Failure> {
    let catalog = Catalog::open(Source::Folder(options.templates.clone()))
        .map_err(|error| Failure::failed(error.to_string(), "mend the templates first"))?;
    let mut count = 0;
    for (name, bytes) in catalog.live().assets() {
        let at = options.out.join(&name);
        write(&at, &bytes).map_err(|why| {
            Failure::failed(
                format!("{} cannot be written: {why}", at.display()),
                "name a folder that you may write with --out",
            )
        })?;
        if output.is_json() {
            output.json_line(&serde_json::json!({"file": name, "bytes": bytes.len()}))?;
        } else {
            output.line(&format!("{name}  {} bytes", bytes.len()))?;
        }
        count += 1;
    }
    if count == 0 && !output.is_json() {
        output.line("no pictures in assets/")?;
    }
    Ok(())
}

/// A name says what is in it, so what is there already is right.
fn write(at: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(at).is_ok_and(|there| there.len() == bytes.len() as u64) {
        return Ok(());
    }
    at.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(at, bytes)
}

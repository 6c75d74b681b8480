//! The shipped pack written to a folder, with as many messages as wanted: what a large repository costs is measured with it.

use std::io;
use std::path::Path;

use super::CatalogError;
use super::source::Files;

/// Writes the pack into the folder, its messages copied under other names until there are `messages`.
///
/// # Errors
/// The folder cannot be written.
pub fn write_copies(folder: &Path, messages: usize) -> io::Result<()> {
    let files =
        Files::embedded().map_err(|error: CatalogError| io::Error::other(error.to_string()))?;
    let own: Vec<&str> = files
        .texts
        .keys()
        .filter_map(|path| path.strip_suffix("/message.toml"))
        .collect();
    for (path, text) in &files.texts {
        write(&folder.join(path), text)?;
    }
    let copies = messages.saturating_sub(own.len());
    for (number, message) in own.iter().cycle().take(copies).enumerate() {
        let prefix = format!("{message}/");
        for (path, text) in &files.texts {
            if let Some(rest) = path.strip_prefix(&prefix) {
                write(
                    &folder.join(format!("messages/copies/m{number}/{rest}")),
                    text,
                )?;
            }
        }
    }
    Ok(())
}

fn write(at: &Path, text: &str) -> io::Result<()> {
    at.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(at, text)
}

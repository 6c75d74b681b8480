//! The files that secrets come from.
//!
//! A secret is read once, before any socket opens, and is in no error. What is not done here: rotation. A changed file
//! takes effect with the next start.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::provider::secret::Secret;

/// The longest secret file; tokens and passwords are far shorter.
const SECRET_MAX_BYTES: u64 = 16 * 1024;

/// Reads a secret file. The error is a sentence that names no content.
pub(super) fn read_secret(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let bytes = read_private(path, SECRET_MAX_BYTES)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{shown} is not text; a secret is one line of UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(format!("{shown} is empty; write the secret into it"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "{shown} holds more than one line or a control character; a secret is one line"
        ));
    }
    Ok(Secret::new(text))
}

/// Reads a regular file of at most `limit` bytes that is not open to everybody.
pub(super) fn read_private(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let bytes = read_limited(path, limit)?;
    refuse_if_public(path)?;
    Ok(bytes)
}

/// Reads a regular file of at most `limit` bytes. A device or pipe is refused, since it may never end.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > limit {
        return Err(format!("{shown} is larger than {limit} bytes"));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn refuse_if_public(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let mode = fs::metadata(path)
        .map_err(|error| format!("{shown} cannot be read: {error}"))?
        .permissions()
        .mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "{shown} is open to everybody on this machine (mode {:03o}); run: chmod 600 {shown}",
            mode & 0o777
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_if_public(_path: &Path) -> Result<(), String> {
    Ok(())
}

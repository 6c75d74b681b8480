//! `tidings keys`: API keys and their hashes. Talks to no gateway: a key is made where it is used, and its hash is what the
//! gateway's settings hold.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::args::KeysCommand;
use super::failure::Failure;
use super::output::{Output, Toned, note};
use crate::domain::caller::{KeyHash, api_key};
use crate::domain::id::secret_bytes;

pub(super) fn run(output: &mut Output, command: &KeysCommand) -> Result<(), Failure> {
    let KeysCommand::New { out } = command;
    let random = secret_bytes().map_err(|error| {
        Failure::failed(
            format!("the system gives no random numbers: {error}"),
            "run it again in a moment",
        )
    })?;
    let key = api_key(&random);
    let hash = KeyHash::of(&key).to_string();
    let advice =
        "put the hash into api_key_hashes of the caller's section in the gateway's settings";
    match out {
        Some(file) => {
            write(file, &key)?;
            if output.is_json() {
                output.json(&serde_json::json!({"key_file": file, "hash": hash}))?;
            } else {
                output.fields(&[
                    ("key", Toned::from(file.display().to_string())),
                    ("hash", Toned::from(hash)),
                ])?;
                note(advice);
            }
        }
        None if output.is_json() => {
            output.json(&serde_json::json!({"key": key, "hash": hash}))?;
        }
        None => {
            output.fields(&[("key", Toned::from(key)), ("hash", Toned::from(hash))])?;
            note(&format!("the key is shown this once; {advice}"));
        }
    }
    Ok(())
}

/// A new file that only its owner can read; one that is there already is not touched, as its key may be in use.
fn write(file: &Path, key: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options
        .open(file)
        .and_then(|mut file| writeln!(file, "{key}"));
    written.map_err(|error| {
        Failure::failed(
            format!("{} cannot be written: {error}", file.display()),
            "name a new file",
        )
    })
}

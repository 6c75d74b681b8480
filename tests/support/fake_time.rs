//! libfaketime, which shows a process another time than it is.

use std::path::{Path, PathBuf};

use crate::skip::skip;

/// A variable of the environment.
type Variable = (&'static str, String);

/// The library, or `None` after saying that the test is skipped.
pub(crate) fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    let found = folders
        .filter_map(|folder| {
            let path = folder.ok()?.path().join("faketime/libfaketimeMT.so.1");
            path.is_file().then_some(path)
        })
        .next();
    if found.is_none() {
        skip("libfaketime is not there (Debian package faketime)");
    }
    found
}

/// What lets a process see another time, and measure as before; `how` says which time.
pub(crate) fn environment(library: &Path, how: Vec<Variable>) -> Vec<Variable> {
    let mut variables = vec![
        ("LD_PRELOAD", library.to_str().unwrap().to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    variables.extend(how);
    variables
}

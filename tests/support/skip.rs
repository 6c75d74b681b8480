//! What a test does when a peer it needs is not installed.

use std::path::PathBuf;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Says that the test is skipped, and why. Under `TIDINGS_TEST_REQUIRE=1` a missing peer is a failure instead.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var("TIDINGS_TEST_REQUIRE").as_deref() != Ok("1"),
        "required, but {why}"
    );
    println!("skipped: {why}");
}

/// A tool that `scripts/setup.sh test` installs, or `None` after saying that the test is skipped.
pub(crate) fn tool(candidates: &[&str]) -> Option<PathBuf> {
    let found = candidates
        .iter()
        .map(|path| root().join(".tools").join(path))
        .find(|path| path.exists());
    if found.is_none() {
        skip(&format!(
            ".tools/{} is missing (scripts/setup.sh test installs it)",
            candidates[0]
        ));
    }
    found
}

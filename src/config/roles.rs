//! What a process does. One does everything, or several share it over one database and one broker.

use super::reader::Reader;

/// What this process does; at least one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Takes intents and answers callers.
    pub ingest: bool,
    /// Fills messages and hands them over.
    pub worker: bool,
    /// Brings back what has come due, and takes over what dead processes left.
    pub scheduler: bool,
    /// Shows what happens.
    pub console: bool,
}

/// The words of `server.roles` and of `--role`.
const WORDS: [&str; 5] = ["ingest", "worker", "scheduler", "console", "all"];

impl Roles {
    /// Everything.
    pub const ALL: Self = Self {
        ingest: true,
        worker: true,
        scheduler: true,
        console: true,
    };
    const NONE: Self = Self {
        ingest: false,
        worker: false,
        scheduler: false,
        console: false,
    };

    /// The words for what it does.
    pub fn words(self) -> Vec<&'static str> {
        [
            ("ingest", self.ingest),
            ("worker", self.worker),
            ("scheduler", self.scheduler),
            ("console", self.console),
        ]
        .into_iter()
        .filter_map(|(word, does)| does.then_some(word))
        .collect()
    }

    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let path = "server.roles";
        let origin = reader.origin(path);
        let mut roles = Self::NONE;
        for word in reader.list(path)? {
            match word.as_str() {
                "ingest" => roles.ingest = true,
                "worker" => roles.worker = true,
                "scheduler" => roles.scheduler = true,
                "console" => roles.console = true,
                "all" => roles = Self::ALL,
                _ => {
                    let what = format!("has {word:?}; give some of {}", WORDS.join(", "));
                    reader.fault(&origin, path, &what);
                }
            }
        }
        if roles == Self::NONE {
            reader.fault(
                &origin,
                path,
                &format!("is empty; give some of {}", WORDS.join(", ")),
            );
        }
        Some(roles)
    }
}

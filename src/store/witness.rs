//! What is kept of a store outside of it: how far it had come, in memory and in a small file of the process's own folder, so that a
//! store that has gone back in time, because a backup was put in its place, is seen to have.
//!
//! Promise: the file never says more than what was committed. It is not synced: after a power cut it may say less, and a backup of the
//! last moments is then not seen. A file that cannot be read or written counts as none; nothing else depends on it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The file's name.
const NAME: &str = "mark";
/// No mark is longer.
const MAX_BYTES: u64 = 256;

/// How far a store had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Which store.
    pub(super) generation: String,
    /// How often it was recovered: what was seen before a recovery says nothing about what is there after it.
    pub(super) recoveries: i64,
    /// Its newest event.
    pub(super) sequence: i64,
}

impl Seen {
    /// Always as long, so that one is written over another.
    fn line(&self) -> String {
        let Self {
            generation,
            recoveries,
            sequence,
        } = self;
        format!("{generation} {recoveries:>20} {sequence:>20}\n")
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let seen = Self {
            generation: words.next()?.to_owned(),
            recoveries: words.next()?.parse().ok()?,
            sequence: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(seen)
    }

    /// Whether `now` is the same store at an earlier time.
    fn is_ahead_of(&self, now: &Self) -> bool {
        self.generation == now.generation
            && (self.recoveries, self.sequence) > (now.recoveries, now.sequence)
    }
}

/// Who remembers.
pub(super) struct Witness {
    inner: Mutex<Inner>,
}

struct Inner {
    seen: Option<Seen>,
    file: Option<File>,
}

impl Witness {
    /// One that remembers what its file in this folder says, or without a folder what it sees itself.
    pub(super) fn open(folder: Option<&Path>) -> Self {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = folder.and_then(|folder| {
            // The store itself makes the folder that it lies in.
            let _ = std::fs::create_dir_all(folder);
            options.open(folder.join(NAME)).ok()
        });
        let seen = file.as_mut().and_then(|file| {
            let mut text = String::new();
            file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
            Seen::read(&text)
        });
        Self {
            inner: Mutex::new(Inner { seen, file }),
        }
    }

    /// What is remembered: to be asked before the store is looked at, because others look and remember meanwhile.
    pub(super) fn seen(&self) -> Option<Seen> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seen.clone()
    }

    /// Whether the store had been further, by what was remembered before it was looked at. If it had, answers with how far, else
    /// remembers.
    pub(super) fn compare(&self, before: Option<&Seen>, now: Seen) -> Option<i64> {
        if let Some(before) = before.filter(|before| before.is_ahead_of(&now)) {
            return Some(before.sequence);
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &inner.seen {
            Some(seen) if *seen == now || seen.is_ahead_of(&now) => {}
            _ => inner.keep(now),
        }
        None
    }

    /// Remembers an event of the store that was compared last.
    pub(super) fn saw(&self, sequence: i64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inner.seen.clone();
        if let Some(seen) = known.filter(|seen| seen.sequence < sequence) {
            inner.keep(Seen { sequence, ..seen });
        }
    }
}

impl Inner {
    fn keep(&mut self, now: Seen) {
        if let Some(file) = &mut self.file {
            // Without room or right to write, what the file says stays older.
            let _ = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.write_all(now.line().as_bytes()));
        }
        self.seen = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(recoveries: i64, sequence: i64) -> Seen {
        Seen {
            generation: "ab12".to_owned(),
            recoveries,
            sequence,
        }
    }

    fn look(witness: &Witness, now: Seen) -> Option<i64> {
        let before = witness.seen();
        witness.compare(before.as_ref(), now)
    }

    /// Two look at the same time: who looked first and says so last has not found a loss.
    #[test]
    fn what_others_saw_meanwhile_is_no_loss() {
        let witness = Witness::open(None);
        assert_eq!(look(&witness, seen(0, 10)), None);
        let before = witness.seen();
        witness.saw(12);
        assert_eq!(witness.compare(before.as_ref(), seen(0, 11)), None);
        assert_eq!(
            witness.seen(),
            Some(seen(0, 12)),
            "and nothing is forgotten"
        );
    }

    #[test]
    fn what_goes_back_is_seen_also_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let witness = Witness::open(Some(folder.path()));
        for (now, expected) in [
            (seen(0, 100_000), None),
            (seen(0, 100_000), None),
            (seen(0, 99_999), Some(100_000)),
            (seen(0, 100_001), None),
        ] {
            assert_eq!(look(&witness, now), expected);
        }
        witness.saw(100_002);
        witness.saw(7);
        let next = Witness::open(Some(folder.path()));
        assert_eq!(look(&next, seen(0, 5)), Some(100_002));
        // After a recovery it begins anew; a backup from before that is older again.
        assert_eq!(look(&next, seen(1, 5)), None);
        assert_eq!(look(&next, seen(0, 200_000)), Some(5));
        let next = Witness::open(Some(folder.path()));
        assert_eq!(look(&next, seen(1, 4)), Some(5));
        let other = Seen {
            generation: "cd34".to_owned(),
            ..seen(0, 1)
        };
        assert_eq!(look(&next, other), None, "another store");
    }

    #[test]
    fn a_file_that_is_none_says_nothing() {
        for text in ["", "ab12", "ab12 1 x", "ab12 1 2 3", "\u{0}\u{0}\u{0}"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(NAME), text).unwrap();
            let witness = Witness::open(Some(folder.path()));
            assert_eq!(look(&witness, seen(0, 1)), None, "{text:?}");
            assert_eq!(look(&witness, seen(0, 0)), Some(1));
        }
        let witness = Witness::open(Some(Path::new("/proc/nowhere")));
        assert_eq!(look(&witness, seen(0, 9)), None);
        assert_eq!(look(&witness, seen(0, 8)), Some(9), "it still remembers");
    }
}

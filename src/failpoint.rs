//! L1: named points at which a test lets the process die, panic or wait, and mutants: faults that the tests must find.
//!
//! Without the cargo feature `failpoints` all of this is empty and costs nothing. With it the variable [`VARIABLE`] arms points:
//! `after-dot=kill@3;after-reply=panic%10;before-commit=delay:20`. A point does not know what it stands beside.

/// What arms points and mutants, where they are built in.
pub const VARIABLE: &str = "TIDINGS_FAILPOINT";

/// Whether points are built in.
pub const ENABLED: bool = cfg!(feature = "failpoints");

/// A moment in the life of an intent, or of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The schema is being brought up to date.
    InMigration,
    /// An intent is written, and its commit has not begun.
    BeforeCommit,
    /// An intent is committed, and its caller has not heard so.
    AfterCommit,
    /// An intent was answered OK, and is in no queue.
    AfterOk,
    /// A message is claimed, and its attempt has no row; both are in one transaction.
    AfterClaim,
    /// An attempt is committed, and no byte of it has left.
    AfterAttempt,
    /// The final dot of a mail has left, and nothing came back.
    AfterDot,
    /// A provider has answered, and the outcome is not stored.
    AfterReply,
    /// The outcome is stored, and the job is not acknowledged.
    AfterOutcome,
}

impl Point {
    /// All of them, in the order in which an intent meets them.
    pub const ALL: &[Self] = &[
        Self::InMigration,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterOk,
        Self::AfterClaim,
        Self::AfterAttempt,
        Self::AfterDot,
        Self::AfterReply,
        Self::AfterOutcome,
    ];

    /// As it is armed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InMigration => "in-migration",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::AfterOk => "after-ok",
            Self::AfterClaim => "after-claim",
            Self::AfterAttempt => "after-attempt",
            Self::AfterDot => "after-dot",
            Self::AfterReply => "after-reply",
            Self::AfterOutcome => "after-outcome",
        }
    }
}

/// A fault that can be switched on (`answer-before-commit=on`) to see that the tests find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Callers hear OK while the commit is still to come.
    AnswerBeforeCommit,
}

impl Mutant {
    /// As it is switched on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnswerBeforeCommit => "answer-before-commit",
        }
    }
}

/// Says that a point was reached.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_: Point) {}

/// Whether a mutant is switched on.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn is_on(_: Mutant) -> bool {
    false
}

#[cfg(feature = "failpoints")]
pub use armed::{hit, is_on};

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::{Mutant, Point, VARIABLE};

    /// Read once: a point is met in places that no argument reaches.
    static ARMED: OnceLock<Armed> = OnceLock::new();

    #[derive(Debug, Default)]
    struct Armed {
        points: Vec<(Point, Action, AtomicU64)>,
        mutants: Vec<Mutant>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        /// At this hit.
        Kill(u64),
        /// At this hit.
        Panic(u64),
        /// At each that this divides.
        PanicEvery(u64),
        /// At each.
        Delay(Duration),
    }

    /// Says that a point was reached; what is armed there happens.
    pub fn hit(point: Point) {
        for (armed, action, hits) in &armed().points {
            if *armed == point {
                let hit = hits.fetch_add(1, Ordering::Relaxed) + 1;
                act(*action, hit, point);
            }
        }
    }

    /// Whether a mutant is switched on.
    pub fn is_on(mutant: Mutant) -> bool {
        armed().mutants.contains(&mutant)
    }

    fn armed() -> &'static Armed {
        ARMED.get_or_init(|| {
            let text = std::env::var(VARIABLE).unwrap_or_default();
            // A run that tests nothing must not look like one that passes.
            read(&text).unwrap_or_else(|| std::process::abort())
        })
    }

    fn act(action: Action, hit: u64, point: Point) {
        match action {
            Action::Kill(at) if at == hit => die(),
            Action::Panic(at) if at == hit => panic!("asked for at {point:?}"),
            Action::PanicEvery(every) if hit.is_multiple_of(every) => {
                panic!("asked for at {point:?}")
            }
            Action::Delay(time) => std::thread::sleep(time),
            _ => {}
        }
    }

    /// What `kill -9` does: nothing is unwound, nothing is flushed.
    fn die() -> ! {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    fn read(text: &str) -> Option<Armed> {
        let mut armed = Armed::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, action) = part.split_once('=')?;
            if action == "on" {
                let mutant = Mutant::AnswerBeforeCommit;
                armed.mutants.push(mutant);
                if mutant.as_str() != name {
                    return None;
                }
                continue;
            }
            let mut points = Point::ALL.iter();
            let point = points.find(|point| point.as_str() == name)?;
            let action = read_action(action)?;
            armed.points.push((*point, action, AtomicU64::new(0)));
        }
        Some(armed)
    }

    fn read_action(text: &str) -> Option<Action> {
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        if let Some(at) = text.strip_prefix("kill@") {
            return number(at).map(Action::Kill);
        }
        if let Some(at) = text.strip_prefix("panic@") {
            return number(at).map(Action::Panic);
        }
        if let Some(every) = text.strip_prefix("panic%") {
            return number(every).map(Action::PanicEvery);
        }
        let millis = text.strip_prefix("delay:").and_then(number)?;
        Some(Action::Delay(Duration::from_millis(millis)))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_cannot_be_read_is_not_taken_for_nothing() {
            let good = "after-dot=kill@3;after-reply=panic%10;after-ok=panic@1;before-commit=delay:20;answer-before-commit=on";
            let armed = read(good).unwrap();
            let actions: Vec<_> = armed
                .points
                .iter()
                .map(|(point, action, _)| (*point, *action))
                .collect();
            let expected = [
                (Point::AfterDot, Action::Kill(3)),
                (Point::AfterReply, Action::PanicEvery(10)),
                (Point::AfterOk, Action::Panic(1)),
                (
                    Point::BeforeCommit,
                    Action::Delay(Duration::from_millis(20)),
                ),
            ];
            assert_eq!(actions, expected);
            assert_eq!(armed.mutants, [Mutant::AnswerBeforeCommit]);
            assert!(read("").unwrap().points.is_empty());
            for bad in [
                "after-dot",
                "no-such=kill@1",
                "after-dot=kill",
                "after-dot=kill@0",
                "after-dot=panic%0",
                "after-dot=on",
                "answer-before-commit=off",
            ] {
                assert!(read(bad).is_none(), "{bad}");
            }
        }
    }
}

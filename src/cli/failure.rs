//! How a command ends when it does not end well: an exit code, what happened, and what to do.

use std::io;

/// Why the program ends, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, or the reader of a pipe had enough.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It was called wrongly.
    Usage = 2,
    /// `--wait`: it was not sent.
    NotDelivered = 4,
    /// No gateway answered.
    Unreachable = 5,
}

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// To be told: one line what, one line what to do (or nothing, when the first says it all).
    Told {
        /// The exit code.
        exit: Exit,
        /// What happened.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// Told already, or told by the output itself.
    Silent(Exit),
}

impl Failure {
    /// A failure with exit code 1.
    pub(super) fn failed(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::told(Exit::Failed, what, advice)
    }

    /// A wrong call that the parser could not see.
    pub(super) fn usage(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::told(Exit::Usage, what, advice)
    }

    /// Any failure with words.
    pub(super) fn told(exit: Exit, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Told {
            exit,
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Told { exit, .. } | Self::Silent(exit) => *exit,
        }
    }
}

/// Output that cannot be written. A closed pipe (`| head`) is not a failure: the reader has what it wanted.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Silent(Exit::Done);
        }
        Self::failed(format!("the output cannot be written: {error}"), "")
    }
}

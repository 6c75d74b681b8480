//! Why a store hands nothing over until an operator has spoken.

use super::channel::words;

words! {
    /// What it was that made it stop.
    HoldReason {
        /// It is not where it was: a backup that was put back, or a copy.
        Copied = "copied",
        /// It lacks what was seen in it before: a backup that was put back, or a loss.
        Behind = "behind",
        /// It was started so.
        Asked = "asked",
    }
}

impl HoldReason {
    /// One sentence for an operator.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Copied => {
                "the store is a copy or was restored from a backup, and may not know of everything that was sent: nothing is taken or handed over until an operator says `tidings recover`"
            }
            Self::Behind => {
                "the store lacks what was seen in it before, as after a restore from a backup: nothing is taken or handed over until an operator says `tidings recover`"
            }
            Self::Asked => {
                "the gateway was started with --paused: nothing is taken or handed over until an operator says `tidings recover`"
            }
        }
    }
}

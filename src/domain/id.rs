//! Identifiers, and the only home of chance.
//!
//! Ids are UUIDs of version 7: they sort by time, so the ledger's primary key is also its order of acceptance.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a value that was an id before (a row, a name).
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The 16 bytes, as the store keeps them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads 16 bytes; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }

            /// Reads the hyphenated text form; `None` if it is not one.
            pub fn parse(text: &str) -> Option<Self> {
                // One spelling only: what we print is what we read.
                (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// Names a notification.
    NotificationId
);
uuid_id!(
    /// Names a message. It also is the stem of the Message-ID and the nonce towards providers.
    MessageId
);
uuid_id!(
    /// Names one try to hand a message to one provider.
    AttemptId
);
uuid_id!(
    /// Names a running process of the gateway.
    ProcessId
);

impl MessageId {
    /// A 64-bit nonce for providers that take a number: the id's random tail.
    pub fn nonce(&self) -> u64 {
        self.0.as_u64_pair().1
    }
}

/// Where ids and chance come from: one for a process, an argument everywhere else.
#[derive(Debug, Default)]
pub struct Ids {
    context: std::sync::Mutex<uuid::timestamp::context::ContextV7>,
}

impl Ids {
    /// A source with a fresh counter.
    pub fn new() -> Self {
        Self {
            context: std::sync::Mutex::new(uuid::timestamp::context::ContextV7::new()),
        }
    }

    fn next(&self, now: jiff::Timestamp) -> Uuid {
        let context = self
            .context
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
    }

    /// A new notification id; ids of one source grow.
    pub fn notification(&self, now: jiff::Timestamp) -> NotificationId {
        NotificationId(self.next(now))
    }

    /// A new message id.
    pub fn message(&self, now: jiff::Timestamp) -> MessageId {
        MessageId(self.next(now))
    }

    /// A new attempt id.
    pub fn attempt(&self, now: jiff::Timestamp) -> AttemptId {
        AttemptId(self.next(now))
    }

    /// A new process id.
    pub fn process(&self, now: jiff::Timestamp) -> ProcessId {
        ProcessId(self.next(now))
    }
}

/// A number in `0.0..1.0`, for jitter.
#[expect(clippy::disallowed_methods, reason = "the home of chance")]
pub fn chance() -> f64 {
    let mut bytes = [0_u8; 8];
    // Without the system's randomness jitter falls back to the middle; nothing else hangs on it.
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    let mantissa = u64::from_le_bytes(bytes) >> 11;
    mantissa as f64 / (1_u64 << 53) as f64
}

/// 32 bytes of key material.
///
/// # Errors
/// When the system has no randomness to give.
#[expect(clippy::disallowed_methods, reason = "the home of chance")]
pub fn secret_bytes() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_source_grow_within_a_millisecond() {
        let ids = Ids::new();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let all: Vec<_> = (0..1000).map(|_| ids.notification(now)).collect();
        assert!(all.is_sorted());
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn text_form_is_read_back_and_nothing_else_is() {
        let id = Ids::new().message(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        assert_eq!(
            MessageId::parse("{0192f600-0000-7000-8000-000000000000}"),
            None
        );
        assert_eq!(MessageId::parse(""), None);
    }
}

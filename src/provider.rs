//! L2, the provider seam: handing one message to somebody who delivers it.
//!
//! A provider makes one try and says truthfully what came of it. It never retries, never waits longer than its own
//! deadline, and never guesses: what it does not know is [`Handover::Unknown`]. Who retries, and when, is decided by the
//! worker's settle stage. A provider is safe to call from many tasks at once; dropping a call leaves no connection in use.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::breaker::Sign;
use crate::domain::channel::Channel;
use crate::domain::content::Outgoing;

pub mod discord;
mod http;
pub mod outbox;
pub mod secret;
pub mod smtp;
pub mod twilio;

/// Whom it concerns that a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// This message or its address: the next one may fare better.
    Message,
    /// The provider, or our account there: any message would have met the same.
    Provider,
}

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The provider has taken it.
    Accepted {
        /// What the provider calls it; empty when it does not say.
        provider_message_id: String,
        /// Its words.
        reply: String,
    },
    /// Not taken, for a passing reason (connect refused, 4xx, 5xx of HTTP).
    Retry {
        /// How long to wait at least, when the provider says; already clamped to 1 s to 1 h.
        after: Option<Duration>,
        /// The provider asked to slow down.
        throttled: bool,
        /// Whom it concerns.
        about: About,
        /// Its words.
        reply: String,
    },
    /// Not taken, for good.
    Rejected {
        /// Whom it concerns.
        about: About,
        /// The address itself is dead: no such mailbox, direct messages closed.
        address_dead: bool,
        /// Its words.
        reply: String,
    },
    /// It may have been taken: the answer was lost, late or unreadable.
    Unknown {
        /// What was seen.
        reply: String,
    },
}

impl Handover {
    /// What it says about the provider.
    pub fn sign(&self) -> Sign {
        match self {
            Self::Accepted { .. } => Sign::Taken,
            Self::Retry {
                about: About::Message,
                ..
            }
            | Self::Rejected {
                about: About::Message,
                ..
            } => Sign::Silent,
            Self::Retry {
                throttled: true,
                after,
                ..
            } => Sign::Throttled(*after),
            // An answer that was lost, late or unreadable says as much about the provider as none.
            Self::Retry { .. } | Self::Rejected { .. } | Self::Unknown { .. } => Sign::Failed,
        }
    }
}

/// A service that delivers on one channel.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name, as in attempts, logs and metrics: the configured one, or that of its kind.
    fn name(&self) -> &str;

    /// The channel it serves.
    fn channel(&self) -> Channel;

    /// Whether receipts will tell of delivery.
    fn reports_delivery(&self) -> bool;

    /// What decides the bytes that are sent, and nothing that differs from try to try: the attempt's content hash is made
    /// of it. Two messages whose bytes differ have two fingerprints. It is cheap: nothing is put together or encoded for
    /// it that `send` does again.
    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8>;

    /// One try.
    async fn send(&self, outgoing: &Outgoing) -> Handover;

    /// Whether it could be reached now; for `doctor`. The error is a sentence.
    async fn check(&self) -> Result<String, String>;
}

/// A provider's words made fit to be stored and shown: one line, no control characters, at most 500 characters.
pub fn clean_reply(reply: &str) -> String {
    let line: String = reply
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(500)
        .collect()
}

/// The same, with the recipient's address masked: servers like to repeat it.
fn reply_for(outgoing: &Outgoing, reply: &str) -> String {
    let (address, masked) = (outgoing.address.reveal(), outgoing.address.masked());
    let local = reply.replace(address, &masked);
    // A server may have changed the case of a mail address.
    let key = outgoing.address.key();
    clean_reply(&local.replace(&key, &masked))
}

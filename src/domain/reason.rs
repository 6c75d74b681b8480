//! States and reasons: the closed lists that API, log, metrics and documentation share, and the one transition table.

use super::channel::words;

use serde::{Deserialize, Serialize};

words! {
    /// The state of a notification.
    State {
        /// Durably stored, not yet decided.
        Accepted = "ACCEPTED",
        /// Waits until a time that the reason explains.
        Scheduled = "SCHEDULED",
        /// A message is ready or being handed over.
        Processing = "PROCESSING",
        /// Handed over; ended for the gateway, a receipt may still change it.
        Sent = "SENT",
        /// A receipt says that it arrived.
        Delivered = "DELIVERED",
        /// A policy said no.
        Suppressed = "SUPPRESSED",
        /// It could not be sent.
        Failed = "FAILED",
        /// Called off before it was handed over.
        Cancelled = "CANCELLED",
        /// Its time was over before it could be sent.
        Expired = "EXPIRED",
    }
}

impl State {
    /// Whether nothing but a receipt can follow.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Accepted | Self::Scheduled | Self::Processing)
    }

    /// The one transition table: whether a notification in this state may go to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            // Whatever has not been handed over may be decided again, when a customer changes their mind.
            Self::Accepted | Self::Scheduled | Self::Processing => true,
            Self::Sent => matches!(
                next,
                Self::Delivered
                    | Self::Failed
                    | Self::Sent
                    | Self::Processing
                    // What was unknown is sent again when an operator says so.
                    | Self::Scheduled
                    | Self::Accepted
            ),
            Self::Delivered | Self::Suppressed | Self::Failed | Self::Cancelled | Self::Expired => {
                false
            }
        }
    }
}

macro_rules! reasons {
    ($($variant:ident = $word:literal, $state:ident, $sentence:literal;)+) => {
        words! {
            /// Why a notification is in its state. Closed and stable: codes are added, never renamed.
            Reason { $(#[doc = $sentence] $variant = $word),+ }
        }

        impl Reason {
            /// The state that this reason leads to. The one exception is PROVIDER_UNKNOWN, which ends FAILED when
            /// a held message reaches its expiry; see [`Status::UNKNOWN_ENDED`].
            pub const fn state(self) -> State {
                match self { $(Self::$variant => State::$state),+ }
            }

            /// One sentence for a person.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence),+ }
            }
        }
    };
}

reasons! {
    Accepted = "ACCEPTED", Accepted, "Stored and waiting to be decided.";
    SendTime = "SEND_TIME", Scheduled, "The caller asked for a later time.";
    QuietHours = "QUIET_HOURS", Scheduled, "It is quiet time where the customer lives.";
    OutsideSendWindow = "OUTSIDE_SEND_WINDOW", Scheduled, "The template is sent at other hours only.";
    BudgetExceeded = "BUDGET_EXCEEDED", Scheduled, "The customer has heard enough for now; it waits for the next free slot.";
    Digested = "DIGESTED", Scheduled, "It waits to be merged with others.";
    CustomerPaused = "CUSTOMER_PAUSED", Scheduled, "The customer asked for a pause.";
    OutcomeRequired = "OUTCOME_REQUIRED", Scheduled, "It waits for something to happen first.";
    DeliveryPaused = "DELIVERY_PAUSED", Scheduled, "An operator has paused this kind of delivery.";
    ProviderThrottled = "PROVIDER_THROTTLED", Scheduled, "The provider asked to slow down.";
    ProviderCircuitOpen = "PROVIDER_CIRCUIT_OPEN", Scheduled, "The provider is failing and is left alone for a while.";
    Retry = "RETRY", Scheduled, "The last try failed for a passing reason; it is tried again.";
    Ready = "READY", Processing, "A message is ready for its worker.";
    DuplicateOnceKey = "DUPLICATE_ONCE_KEY", Suppressed, "A notification with this once key was accepted before.";
    DuplicateContent = "DUPLICATE_CONTENT", Suppressed, "The customer has just had the same text.";
    Collapsed = "COLLAPSED", Suppressed, "A newer one with the same collapse key has already gone out.";
    NoContactPoint = "NO_CONTACT_POINT", Suppressed, "The customer has no address on any channel that was left.";
    ChannelDisabledByCustomer = "CHANNEL_DISABLED_BY_CUSTOMER", Suppressed, "The customer has turned off the last channel that was left for this topic.";
    TopicOptedOut = "TOPIC_OPTED_OUT", Suppressed, "The customer has turned off this topic.";
    ConsentMissing = "CONSENT_MISSING", Suppressed, "There is no consent for this category on the channel.";
    AddressSuppressed = "ADDRESS_SUPPRESSED", Suppressed, "The address is on the suppression list.";
    Holdout = "HOLDOUT", Suppressed, "The customer is in the group that gets nothing, to measure what the others do.";
    BudgetSkipped = "BUDGET_SKIPPED", Suppressed, "The customer has heard enough and the template says to skip then.";
    NoContentForChannel = "NO_CONTENT_FOR_CHANNEL", Suppressed, "The template has no content for the last channel that was left.";
    Sandboxed = "SANDBOXED", Suppressed, "This installation may not send to that address.";
    Cancelled = "CANCELLED", Cancelled, "The caller called it off.";
    Superseded = "SUPERSEDED", Cancelled, "A newer one with the same collapse key came.";
    Expired = "EXPIRED", Expired, "Its expiry passed before it could be sent.";
    RenderFailed = "RENDER_FAILED", Failed, "The template could not be rendered with these variables.";
    ProviderRejected = "PROVIDER_REJECTED", Failed, "The provider refused it for good.";
    RetriesExhausted = "RETRIES_EXHAUSTED", Failed, "Every try failed until its expiry.";
    Internal = "INTERNAL", Failed, "The gateway itself failed; see the log.";
    HandedOver = "HANDED_OVER", Sent, "The provider has taken it.";
    ProviderUnknown = "PROVIDER_UNKNOWN", Sent, "It may have been sent; the provider's answer was not seen.";
    Unconfirmed = "UNCONFIRMED", Sent, "The provider has taken it; no receipt came in 72 hours.";
    Receipt = "RECEIPT", Delivered, "A receipt says that it arrived.";
}

/// A state with the reason that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Status {
    /// Where the notification is.
    pub state: State,
    /// Why.
    pub reason: Reason,
}

impl Status {
    /// The end of a message that was held because nobody knows whether it was sent.
    pub const UNKNOWN_ENDED: Self = Self {
        state: State::Failed,
        reason: Reason::ProviderUnknown,
    };
}

impl Status {
    /// Whether the gateway has nothing left to do: in an end state, and not held as unknown.
    pub const fn is_settled(self) -> bool {
        self.state.is_final()
            && !matches!(
                (self.state, self.reason),
                (State::Sent, Reason::ProviderUnknown)
            )
    }
}

impl From<Reason> for Status {
    fn from(reason: Reason) -> Self {
        Self {
            state: reason.state(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_a_sentence_and_is_read_back() {
        for reason in Reason::ALL {
            assert!(reason.sentence().ends_with('.'), "{reason}");
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
    }

    #[test]
    fn nothing_leaves_an_end_but_a_receipt() {
        for from in State::ALL.iter().filter(|state| state.is_final()) {
            for to in State::ALL {
                let receipt = *from == State::Sent;
                assert!(receipt || !from.may_become(*to), "{from} to {to}");
            }
        }
    }
}

//! What the wire's words look like to a person: names without their prefixes, states with their colour.

use super::output::Tone;
use crate::domain::channel::Channel;
use crate::proto::notification::State;
use crate::proto::notification_intent::Recipient;
use crate::proto::{self, Notification, NotificationIntent, message};

/// `SENT`; an unknown number stays a number, so that an old client can show a new state.
pub(super) fn state(notification: &Notification) -> String {
    State::try_from(notification.state).map_or_else(
        |_| notification.state.to_string(),
        |state| state.as_str_name().trim_start_matches("STATE_").to_owned(),
    )
}

/// `SCHEDULED (QUIET_HOURS)`
pub(super) fn status(notification: &Notification) -> String {
    if notification.state_reason.is_empty() {
        return state(notification);
    }
    format!("{} ({})", state(notification), notification.state_reason)
}

/// The colour of a state.
pub(super) fn tone(notification: &Notification) -> Tone {
    match State::try_from(notification.state) {
        Ok(State::Sent | State::Delivered) => Tone::Good,
        Ok(State::Scheduled | State::Accepted | State::Processing) => Tone::Waiting,
        Ok(State::Failed) => Tone::Bad,
        _ => Tone::Quiet,
    }
}

/// Whether the gateway has nothing left to do about it.
pub(super) fn is_settled(notification: &Notification) -> bool {
    match State::try_from(notification.state) {
        Ok(State::Accepted | State::Scheduled | State::Processing | State::Unspecified)
        | Err(_) => false,
        Ok(State::Sent) => notification.state_reason != "PROVIDER_UNKNOWN",
        Ok(_) => true,
    }
}

/// Whether it went out.
pub(super) fn is_sent(notification: &Notification) -> bool {
    matches!(
        State::try_from(notification.state),
        Ok(State::Sent | State::Delivered)
    ) && is_settled(notification)
}

/// `QUEUED`
pub(super) fn message_state(message: &proto::Message) -> String {
    message::State::try_from(message.state).map_or_else(
        |_| message.state.to_string(),
        |state| state.as_str_name().trim_start_matches("STATE_").to_owned(),
    )
}

/// `email`
pub(super) fn channel(wire: i32) -> String {
    proto::Channel::try_from(wire).map_or_else(
        |_| wire.to_string(),
        |channel| match channel {
            proto::Channel::Unspecified => "-".to_owned(),
            other => other
                .as_str_name()
                .trim_start_matches("CHANNEL_")
                .to_lowercase(),
        },
    )
}

/// The channel on the wire.
pub(super) const fn wire_channel(channel: Channel) -> proto::Channel {
    match channel {
        Channel::Email => proto::Channel::Email,
        Channel::Sms => proto::Channel::Sms,
        Channel::Chat => proto::Channel::Chat,
    }
}

/// `email, sms`; `-` for none.
pub(super) fn channels(wire: &[i32]) -> String {
    let names: Vec<_> = wire.iter().map(|one| channel(*one)).collect();
    or_dash(&names.join(", "))
}

/// `transactional`
pub(super) fn category(wire: i32) -> String {
    proto::Category::try_from(wire).map_or_else(
        |_| wire.to_string(),
        |category| {
            category
                .as_str_name()
                .trim_start_matches("CATEGORY_")
                .to_lowercase()
        },
    )
}

/// The last part of `notifications/{uuid}`.
pub(super) fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// `notifications/{uuid}` of an id or a name.
pub(super) fn name(given: &str) -> String {
    if given.contains('/') {
        given.to_owned()
    } else {
        format!("notifications/{given}")
    }
}

/// Who it is for: a customer's id, or that an address was given. The address itself is not shown in lists.
pub(super) fn recipient(intent: Option<&NotificationIntent>) -> String {
    match intent.and_then(|intent| intent.recipient.as_ref()) {
        Some(Recipient::CustomerId(id)) => id.clone(),
        Some(Recipient::InlineRecipient(_)) => "(address)".to_owned(),
        None => "-".to_owned(),
    }
}

/// The template's key.
pub(super) fn template(notification: &Notification) -> String {
    notification
        .intent
        .as_ref()
        .map_or_else(|| "-".to_owned(), |intent| intent.template.clone())
}

/// `-` for nothing, so that no column of a row is ever empty.
pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}

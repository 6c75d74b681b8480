//! What a caller sends, as a draft; and the intent that was accepted, as it is shown again.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{Findings, channels, time, wire_channel};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::draft::{AttachmentDraft, ContactDraft, Draft, Recipient, RoutingDraft};
use crate::domain::intent::{
    Attachment, ContactSnapshot, Intent, Routing, RoutingMethod, Variables,
};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::proto;
use crate::proto::attachment::Source;
use crate::proto::notification_intent::Recipient as WireRecipient;
use crate::proto::routing_override::Method;

/// A request to send, as a draft.
///
/// # Errors
/// With the path of every field that the domain cannot hold.
pub fn draft(request: proto::SendNotificationRequest) -> Result<Draft, Rejection> {
    let Some(intent) = request.intent else {
        return Err(super::bad_field("intent", "say what to send"));
    };
    let mut draft = intent_draft(intent)?;
    draft.request_id = request.request_id;
    Ok(draft)
}

/// An intent without a request, as a draft without a request id: for dry runs.
///
/// # Errors
/// With the path of every field that the domain cannot hold.
pub fn intent_draft(intent: proto::NotificationIntent) -> Result<Draft, Rejection> {
    use RejectionReason::{FieldInvalid, SendTimeInvalid, VariablesInvalid};

    let payload_hash = payload_hash(&intent);
    let mut findings = Findings::default();
    let mut at = |wire: Option<&_>, reason, field| time(wire, reason, field, &mut findings);
    let send_time = at(
        intent.send_time.as_ref(),
        SendTimeInvalid,
        "intent.send_time",
    );
    let expire_time = at(
        intent.expire_time.as_ref(),
        SendTimeInvalid,
        "intent.expire_time",
    );
    let event_time = at(
        intent.event_time.as_ref(),
        FieldInvalid,
        "intent.event_time",
    );
    let routing = intent.routing.map(|wire| routing(&wire, &mut findings));
    let variables = match proto::json(intent.variables.unwrap_or_default()) {
        Ok(object) => Variables(object),
        Err(error) => {
            let field = format!("intent.variables{}", error.pointer);
            findings.add(VariablesInvalid, field, error.description);
            Variables::default()
        }
    };
    findings.finish(Draft {
        request_id: String::new(),
        recipient: recipient(intent.recipient),
        template: intent.template,
        template_version: intent.template_version,
        variables,
        locale: intent.locale,
        routing,
        send_time,
        expire_time,
        event_time,
        collapse_key: intent.collapse_key,
        cancellation_key: intent.cancellation_key,
        reference: intent.reference,
        labels: intent.labels,
        attachments: intent.attachments.into_iter().map(attachment).collect(),
        once_key: intent.once_key,
        contact: intent.contact.map(contact),
        payload_hash,
    })
}

/// SHA-256 of the intent's encoding, which is deterministic: fields go by number and every map is sorted.
fn payload_hash(intent: &proto::NotificationIntent) -> [u8; 32] {
    Sha256::digest(intent.encode_to_vec()).into()
}

fn recipient(wire: Option<WireRecipient>) -> Recipient {
    match wire {
        None => Recipient::Missing,
        Some(WireRecipient::CustomerId(id)) => Recipient::Customer(id),
        Some(WireRecipient::InlineRecipient(inline)) => Recipient::Inline(ContactDraft {
            given_name: String::new(),
            locale: inline.locale,
            time_zone: inline.time_zone,
            email_address: inline.email_address,
            phone_number: inline.phone_number,
            discord_user_id: inline.discord_user_id,
            source_version: 0,
        }),
    }
}

fn contact(wire: proto::ContactSnapshot) -> ContactDraft {
    ContactDraft {
        given_name: wire.given_name,
        locale: wire.locale,
        time_zone: wire.time_zone,
        email_address: wire.email_address,
        phone_number: wire.phone_number,
        discord_user_id: wire.discord_user_id,
        source_version: wire.source_version,
    }
}

fn routing(wire: &proto::RoutingOverride, findings: &mut Findings) -> RoutingDraft {
    let method = match Method::try_from(wire.method) {
        Ok(Method::Unspecified | Method::First) => RoutingMethod::First,
        Ok(Method::All) => RoutingMethod::All,
        Err(_) => {
            let why = format!(
                "{} is not a method that this server knows; name METHOD_FIRST or METHOD_ALL",
                wire.method
            );
            findings.field("intent.routing.method", why);
            RoutingMethod::First
        }
    };
    let fallback_delay = wire.fallback_delay.as_ref().and_then(|wire| {
        proto::duration(wire)
            .map_err(|why| findings.field("intent.routing.fallback_delay", why))
            .ok()
    });
    if method == RoutingMethod::All && fallback_delay.is_some() {
        findings.field(
            "intent.routing.fallback_delay",
            "goes with METHOD_FIRST only; METHOD_ALL uses every channel at once",
        );
    }
    RoutingDraft {
        method,
        channels: channels(&wire.channels, "intent.routing.channels", findings),
        fallback_delay,
    }
}

fn attachment(wire: proto::Attachment) -> AttachmentDraft {
    let (content, uri) = match wire.source {
        None => (None, String::new()),
        Some(Source::Content(bytes)) => (Some(bytes), String::new()),
        Some(Source::Uri(uri)) => (None, uri),
    };
    AttachmentDraft {
        filename: wire.filename,
        media_type: wire.media_type,
        content,
        uri,
    }
}

/// An accepted intent for the wire, without the bytes of its attachments.
pub fn wire_intent(intent: &Intent) -> proto::NotificationIntent {
    let (recipient, contact) = wire_recipient(intent);
    proto::NotificationIntent {
        recipient: Some(recipient),
        template: intent.template.clone(),
        template_version: intent.template_version.clone(),
        variables: Some(proto::structure(&intent.variables.0)),
        locale: intent.locale.clone(),
        routing: intent.routing.as_ref().map(wire_routing),
        send_time: intent.send_time.map(proto::wire_time),
        expire_time: Some(proto::wire_time(intent.expire_time)),
        event_time: Some(proto::wire_time(intent.event_time)),
        collapse_key: intent.collapse_key.clone(),
        cancellation_key: intent.cancellation_key.clone(),
        reference: intent.reference.clone(),
        labels: intent.labels.clone(),
        attachments: intent.attachments.iter().map(wire_attachment).collect(),
        once_key: intent.once_key.clone(),
        contact,
    }
}

/// A guest is shown by the addresses it was given with, a customer by its id.
fn wire_recipient(intent: &Intent) -> (WireRecipient, Option<proto::ContactSnapshot>) {
    let contact = intent.contact.as_ref();
    if !intent.guest {
        let id = intent.customer.as_str().to_owned();
        return (WireRecipient::CustomerId(id), contact.map(wire_contact));
    }
    let snapshot = contact.map(wire_contact).unwrap_or_default();
    let inline = proto::InlineRecipient {
        email_address: snapshot.email_address,
        phone_number: snapshot.phone_number,
        discord_user_id: snapshot.discord_user_id,
        locale: snapshot.locale,
        time_zone: snapshot.time_zone,
    };
    (WireRecipient::InlineRecipient(inline), None)
}

fn wire_contact(contact: &ContactSnapshot) -> proto::ContactSnapshot {
    let address = |channel: Channel| {
        contact
            .addresses
            .iter()
            .find(|address| address.channel() == channel)
            .map_or_else(String::new, |address| Address::reveal(address).to_owned())
    };
    proto::ContactSnapshot {
        given_name: contact.given_name.reveal().to_owned(),
        locale: contact.locale.clone(),
        time_zone: contact.time_zone.clone(),
        email_address: address(Channel::Email),
        phone_number: address(Channel::Sms),
        discord_user_id: address(Channel::Chat),
        source_version: contact.source_version,
    }
}

fn wire_routing(routing: &Routing) -> proto::RoutingOverride {
    let method = match routing.method {
        RoutingMethod::First => Method::First,
        RoutingMethod::All => Method::All,
    };
    proto::RoutingOverride {
        method: method.into(),
        channels: routing
            .channels
            .iter()
            .map(|channel| wire_channel(*channel).into())
            .collect(),
        fallback_delay: routing.fallback_delay.map(proto::wire_duration),
    }
}

fn wire_attachment(attachment: &Attachment) -> proto::Attachment {
    proto::Attachment {
        filename: attachment.filename.clone(),
        media_type: attachment.media_type.clone(),
        source: None,
    }
}

#[cfg(test)]
mod tests;

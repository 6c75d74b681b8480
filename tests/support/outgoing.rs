//! Messages to send.

use tidings::domain::address::{Address, Personal};
use tidings::domain::channel::{Category, Channel};
use tidings::domain::clock::{Clock as _, SystemClock};
use tidings::domain::content::{Content, Outgoing, Sender};
use tidings::domain::id::Ids;
use tidings::domain::intent::Attachment;
use tidings::provider::Handover;

fn outgoing(channel: Channel, address: &str, content: Content) -> Outgoing {
    let ids = Ids::new();
    Outgoing {
        message: ids.message(SystemClock.now()),
        notification: ids.notification(SystemClock.now()),
        address: Address::try_new(channel, address).unwrap(),
        recipient_name: Personal::default(),
        category: Category::Transactional,
        template: "order.confirmation".to_owned(),
        content,
        attachments: Vec::new(),
    }
}

pub(crate) fn mail(address: &str) -> Outgoing {
    let content = Content::Email {
        subject: "Your order 4711 is on its way".to_owned(),
        preheader: String::new(),
        html: "<html><body><p>Olá Ada,</p><p>it ships.</p></body></html>".to_owned(),
        text: "Olá Ada,\n.\nit ships.\n".to_owned(),
        sender: Sender {
            name: "Casa Verde".to_owned(),
            address: "orders@shop.example".to_owned(),
        },
        unsubscribe_url: "https://shop.example/u/abc".to_owned(),
    };
    let mut outgoing = outgoing(Channel::Email, address, content);
    outgoing.recipient_name = Personal::new("Ada Lovelace");
    outgoing
}

pub(crate) fn mail_of_bytes(address: &str, size: usize) -> Outgoing {
    let mut outgoing = mail(address);
    outgoing.attachments.push(Attachment {
        filename: "invoice.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        content: vec![b'x'; size],
    });
    outgoing
}

pub(crate) fn sms() -> Outgoing {
    let text = "Your parcel comes today & tomorrow = ok? ünï 🎂".to_owned();
    outgoing(Channel::Sms, "+4915112345678", Content::Sms { text })
}

pub(crate) fn chat(user: u64, text: &str) -> Outgoing {
    let text = text.to_owned();
    outgoing(Channel::Chat, &user.to_string(), Content::Chat { text })
}

/// The outcome in one word, for tables.
pub(crate) fn word(handover: &Handover) -> &'static str {
    match handover {
        Handover::Accepted { .. } => "accepted",
        Handover::Retry {
            throttled: false, ..
        } => "retry",
        Handover::Retry {
            throttled: true, ..
        } => "throttled",
        Handover::Rejected {
            address_dead: false,
            ..
        } => "rejected",
        Handover::Rejected {
            address_dead: true, ..
        } => "dead",
        Handover::Unknown { .. } => "unknown",
    }
}

pub(crate) fn reply(handover: &Handover) -> &str {
    match handover {
        Handover::Accepted { reply, .. }
        | Handover::Retry { reply, .. }
        | Handover::Rejected { reply, .. }
        | Handover::Unknown { reply } => reply,
    }
}

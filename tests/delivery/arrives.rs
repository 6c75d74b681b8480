//! What arrives: at a real mail server, and at doors that keep Twilio's and Discord's contracts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json as value;
use sha2::{Digest as _, Sha256};
use tidings::proto::{
    self, Attachment, ContactPoint, Customer, RoutingOverride, attachment, message, notification,
    routing_override,
};

use crate::http_fake::HttpFake;
use crate::mail_server::{MailServer, python};
use crate::shop::{
    chats, discord, get, intent, message_id, open, post, send, status, texts, to_customer, tries,
    twilio, upsert,
};
use crate::skip::root;
use crate::vendor_fakes::form;

/// A customer with a name outside ASCII who reads Portuguese.
async fn joao(client: &tidings::client::Client) {
    let point = |channel: proto::Channel, address: &str| ContactPoint {
        channel: channel.into(),
        address: address.into(),
        ..ContactPoint::default()
    };
    let customer = Customer {
        name: "customers/joao".into(),
        given_name: "João".into(),
        family_name: "Ünal".into(),
        locale: "pt-BR".into(),
        time_zone: "America/Sao_Paulo".into(),
        contact_points: vec![
            point(proto::Channel::Email, "joao@customer.example.com"),
            point(proto::Channel::Sms, "+5511961234567"),
            point(proto::Channel::Chat, "123456789012345678"),
        ],
        source_version: 1,
        ..Customer::default()
    };
    upsert(client, customer).await;
}

fn confirmation() -> proto::NotificationIntent {
    let variables = value!({
        "order": {
            "number": "NL-48211", "placed_at": "2026-11-22T18:42:10+01:00", "total": "134.70", "currency": "BRL",
            "url": format!("https://shop.example/pedidos/NL-48211?{}", "x".repeat(80)),
            "lines": [{"name": "Xícara “Aurora” é ótima", "quantity": 2, "price": "39.90"}],
        },
        "invoice_attached": true,
    });
    intent("order.confirmation", to_customer("joao"), &variables)
}

/// What Python's own parser makes of a mail.
fn parsed(eml: &[u8]) -> serde_json::Value {
    let mut child = Command::new(python().unwrap())
        .arg(root().join("tests/servers/parse_mail.py"))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(eml).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_with_its_invoice_arrives_by_mail() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    joao(&gateway.client).await;
    // Every byte there is, and lines that a mail would have to escape.
    let invoice: Vec<u8> = (0..=255)
        .cycle()
        .take(70_000)
        .chain(*b"\r\n.\r\n")
        .collect();
    let mut order = confirmation();
    order.attachments.push(Attachment {
        filename: "nota-fiscal-ção.pdf".into(),
        media_type: "application/pdf".into(),
        source: Some(attachment::Source::Content(invoice.clone())),
    });
    let name = send(&gateway.client, "r-1", order).await;
    gateway.settle().await;

    let sent = get(&gateway.client, &name).await;
    assert_eq!(
        status(&sent),
        (notification::State::Sent, "HANDED_OVER"),
        "{sent:?}"
    );
    assert_eq!(tries(&sent), [(1, "ok".to_owned())]);
    let told = &sent.messages[0];
    assert_eq!(
        (told.provider.as_str(), told.state(), told.sms_segment_count),
        ("post", message::State::Sent, 0)
    );
    assert_eq!(told.attempts[0].provider_reply, "250 2.0.0 kept as 000001");
    assert!(sent.next_attempt_time.is_none());

    let kept = server.kept();
    assert_eq!(kept.len(), 1);
    let details = &kept[0].details;
    assert_eq!(details["rcpt_to"], value!(["joao@customer.example.com"]));
    assert_eq!(details["faults"], value!([]));
    let mail = parsed(&kept[0].eml);
    assert_eq!(mail["faults"], value!([]));
    assert_eq!(mail["message_id"], message_id(&sent, 0).as_str());
    assert_eq!(
        mail["to"],
        value!([{"name": "João Ünal", "address": "joao@customer.example.com"}])
    );
    assert_eq!(mail["subject"], "Recebemos o seu pedido NL-48211");
    let text = |kind: &str| {
        let parts = mail["parts"].as_array().unwrap();
        let part = parts.iter().find(|part| part["type"] == kind);
        part.unwrap()["text"].as_str().unwrap().to_owned()
    };
    for part in [text("text/plain"), text("text/html")] {
        assert!(part.contains("João"), "{part}");
        assert!(part.contains("Xícara “Aurora” é ótima"), "{part}");
    }
    assert_eq!(
        mail["attachments"][0]["filename"], "nota-fiscal-ção.pdf",
        "{}",
        mail["attachments"]
    );
    assert_eq!(mail["attachments"][0]["sha256"], hex(&invoice).as_str());
    assert_eq!(mail["attachments"].as_array().unwrap().len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_notification_arrives_on_every_channel_that_was_asked_for() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let sms = HttpFake::start(twilio).await;
    let chat = HttpFake::start(discord).await;
    let providers = vec![post(server.port), texts(&sms.url), chats(&chat.url)];
    let gateway = open(providers).await;
    joao(&gateway.client).await;
    let mut order = confirmation();
    order.routing = Some(RoutingOverride {
        method: routing_override::Method::All.into(),
        channels: vec![
            proto::Channel::Email.into(),
            proto::Channel::Sms.into(),
            proto::Channel::Chat.into(),
        ],
        ..RoutingOverride::default()
    });
    let name = send(&gateway.client, "r-1", order).await;
    gateway.settle().await;

    let sent = get(&gateway.client, &name).await;
    assert_eq!(
        status(&sent),
        (notification::State::Sent, "HANDED_OVER"),
        "{sent:?}"
    );
    let told: Vec<_> = sent
        .messages
        .iter()
        .map(|message| {
            assert_eq!(message.state(), message::State::Sent);
            assert_eq!(message.attempts.len(), 1);
            (
                message.channel(),
                message.provider.as_str(),
                message.provider_message_id.as_str(),
                message.sms_segment_count,
            )
        })
        .collect();
    let expected = [
        (proto::Channel::Email, "post", "", 0),
        // All of it is in GSM 03.38, and it is longer than the 160 letters of one.
        (proto::Channel::Sms, "texts", "SM1", 2),
        (proto::Channel::Chat, "chats", "333333333333333333", 0),
    ];
    assert_eq!(told, expected);

    let text = &sms.seen()[0];
    assert_eq!(sms.seen().len(), 1);
    let fields = form(&text.body);
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.unwrap().1.clone()
    };
    assert_eq!(field("To"), "+5511961234567");
    assert!(field("Body").contains("recebemos o seu pedido NL-48211"));
    let letters = field("Body").chars().count();
    assert!((161..=306).contains(&letters), "{letters}");

    let posted = chat.seen();
    let said = posted.last().unwrap().json();
    let content = said["content"].as_str().unwrap();
    assert!(content.contains("João"), "{content}");
    assert_eq!(said["allowed_mentions"]["parse"], value!([]), "{said}");
    assert_eq!(server.kept().len(), 1);
    gateway.stop().await;
}

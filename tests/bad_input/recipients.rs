//! Names and addresses that try to be more: what is refused says why, what is taken arrives as one mail for one person.

use serde_json::{Value, json};
use tidings::proto::{self, ContactPoint, Customer, UpsertCustomerRequest};

use crate::intents::violations;
use crate::mail_parser::{MailParser, header_names};
use crate::mail_server::MailServer;
use crate::shop::{guest, open, post, send, shipped, to_customer, try_send, upsert};

fn ada(given_name: &str, family_name: &str) -> Customer {
    let point = ContactPoint {
        channel: proto::Channel::Email.into(),
        address: "ada@example.com".into(),
        ..ContactPoint::default()
    };
    Customer {
        name: "customers/ada".into(),
        given_name: given_name.into(),
        family_name: family_name.into(),
        contact_points: vec![point],
        ..Customer::default()
    }
}

/// Rows 27 to 29.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_more_than_one_public_mailbox_is_refused() {
    let gateway = open(Vec::new()).await;
    for (address, rule) in [
        (
            "a@b.com\r\nRCPT TO:<e@x.example>",
            "no spaces, line breaks or control characters",
        ),
        ("a@b.com,e@x.example", "not a mail address"),
        (
            "a@b.com>\u{0}<e@x.example",
            "no spaces, line breaks or control characters",
        ),
        (
            "Ada <a@b.com>",
            "no spaces, line breaks or control characters",
        ),
        (
            "\"a b\"@c.com",
            "no spaces, line breaks or control characters",
        ),
        ("\"a\"@c.com", "a quoted local part is not accepted"),
        (
            "=?utf-8?b?DQpCY2M6IGVAeC5leGFtcGxl?=@c.com",
            "looks like an encoded word",
        ),
        ("a@[127.0.0.1]", "not a mail address"),
        ("a@localhost", "not a mail address"),
        ("a@db.internal", "the mail domain is not a public one"),
        ("a@10.0.0.1", "the mail domain is not a public one"),
        ("postmaster@[IPv6:::1]", "not a mail address"),
        ("@b.com", "not a mail address"),
        ("a@", "not a mail address"),
    ] {
        let refused = try_send(&gateway.client, "r", shipped("1", guest(address))).await;
        let told = violations(&refused.expect_err(address));
        assert_eq!(told.len(), 1, "{address}: {told:?}");
        assert_eq!(
            told[0].0, "intent.inline_recipient.email_address",
            "{address}"
        );
        assert!(told[0].1.contains(rule), "{address}: {}", told[0].1);
        assert!(
            !told[0].1.contains(address),
            "an address is repeated: {}",
            told[0].1
        );
    }
    assert!(gateway.all().await.is_empty());
    gateway.stop().await;
}

/// Row 30, by the envelope at a real mail server.
#[tokio::test(flavor = "multi_thread")]
async fn an_odd_mailbox_is_taken_by_its_letter() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    let odd = [
        "-oQ/tmp@b.com",
        "a%b@c.com",
        "o'brien+tag@c.com",
        "!#$&*=^?_`{|}~@c.com",
    ];
    for address in odd {
        send(&gateway.client, address, shipped("1", guest(address))).await;
    }
    gateway.settle().await;
    let mut reached: Vec<Value> = server.kept().into_iter().map(|kept| kept.details).collect();
    reached.sort_by_key(|details| details["rcpt_to"].to_string());
    let mut expected: Vec<Value> = odd.iter().map(|address| json!([address])).collect();
    expected.sort_by_key(Value::to_string);
    let envelopes: Vec<&Value> = reached.iter().map(|details| &details["rcpt_to"]).collect();
    assert_eq!(envelopes, expected.iter().collect::<Vec<_>>());
    assert!(
        reached.iter().all(|details| details["faults"] == json!([])),
        "{reached:?}"
    );
    gateway.stop().await;
}

/// Row 31.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_line_break_is_refused() {
    let gateway = open(Vec::new()).await;
    let broken = "Ada\r\nBcc: e@x.example";
    for (customer, field) in [
        (ada(broken, ""), "customer.given_name"),
        (ada("", broken), "customer.family_name"),
        (ada("A\u{0}", ""), "customer.given_name"),
    ] {
        let request = UpsertCustomerRequest {
            customer: Some(customer),
            update_mask: None,
        };
        let refused = gateway.client.customers().upsert_customer(request).await;
        let told = violations(&refused.unwrap_err());
        let rule = "has a control character; take it out".to_owned();
        assert_eq!(told, [(field.to_owned(), rule)]);
    }
    let mut intent = shipped("1", guest("ada@example.com"));
    intent.recipient = Some(to_customer("ada"));
    intent.contact = Some(proto::ContactSnapshot {
        given_name: broken.into(),
        email_address: "ada@example.com".into(),
        ..Default::default()
    });
    let told = violations(&try_send(&gateway.client, "r", intent).await.unwrap_err());
    let rule = "has a control character (U+000D, character 4); take it out".to_owned();
    assert_eq!(told, [("intent.contact.given_name".to_owned(), rule)]);
    gateway.stop().await;
}

/// Rows 32 and 38, as another program reads what arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_stays_a_name() {
    let (Some(server), Some(mut parser)) = (MailServer::start("plain"), MailParser::start()) else {
        return;
    };
    let gateway = open(vec![post(server.port)]).await;
    let names = [
        ("Jo\" <e@x.example>, \"", "Jo\" <e@x.example>, \""),
        (
            "=?utf-8?q?=0D=0ABcc:_e@x.example?=",
            "=?utf-8?q?=0D=0ABcc:_e@x.example?=",
        ),
        ("Ada\u{202e}moc.live@", "Adamoc.live@"),
        ("A\u{200b}d\u{feff}a", "Ada"),
        ("Аda (Cyrillic A)", "Аda (Cyrillic A)"),
        (")(,;:\\\"[]@<>", ")(,;:\\\"[]@<>"),
        ("J. Ü. 🎂", "J. Ü. 🎂"),
    ];
    let mut control = Vec::new();
    for (number, (given, shown)) in names.into_iter().enumerate() {
        upsert(&gateway.client, ada(given, "")).await;
        let mut intent = shipped("4711", guest(""));
        intent.recipient = Some(to_customer("ada"));
        send(&gateway.client, &number.to_string(), intent).await;
        gateway.settle().await;
        let kept = server.kept().pop().unwrap();
        assert_eq!(
            kept.details["rcpt_to"],
            json!(["ada@example.com"]),
            "{given}"
        );
        assert_eq!(kept.details["faults"], json!([]), "{given}");
        let parsed = parser.parse(&kept.eml);
        assert_eq!(parsed["faults"], json!([]), "{given}: {parsed}");
        assert_eq!(
            parsed["to"],
            json!([{"name": shown, "address": "ada@example.com"}]),
            "{given}"
        );
        match control.is_empty() {
            true => control = header_names(&parsed),
            false => assert_eq!(header_names(&parsed), control, "{given}"),
        }
    }
    assert_eq!(server.kept().len(), names.len());
    gateway.stop().await;
}

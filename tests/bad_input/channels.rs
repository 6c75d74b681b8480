//! Numbers, texts and chat messages: what is refused says why, what is sent is counted, cut and mentions nobody, at doors that keep
//! Twilio's and Discord's contracts.

use serde_json::{Value, json};
use tidings::proto::{InlineRecipient, notification, notification_intent::Recipient};

use crate::content::confirmation;
use crate::http_fake::HttpFake;
use crate::intents::violations;
use crate::shop::{chats, discord, get, open, send, shipped, status, texts, try_send, twilio};
use crate::vendor_fakes::form;

fn phone(number: &str) -> InlineRecipient {
    InlineRecipient {
        phone_number: number.into(),
        ..InlineRecipient::default()
    }
}

/// Row 42.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_number_is_international_and_exists() {
    let sms = HttpFake::start(twilio).await;
    let gateway = open(vec![texts(&sms.url)]).await;
    for (number, rule) in [
        ("+49 (0) 151 12345678", "E.164 form"),
        ("004915112345678", "E.164 form"),
        ("015112345678", "E.164 form"),
        ("+49151CALLME", "E.164 form"),
        ("+4915112345678\r\n+1", "E.164 form"),
        (&format!("+{}", "1".repeat(40)), "at most 15 digits"),
        ("+499001234567", "a premium-rate number gets no messages"),
        ("+999123456789", "phone number"),
    ] {
        let refused = try_send(&gateway.client, "r", shipped("1", phone(number))).await;
        let told = violations(&refused.expect_err(number));
        assert_eq!(
            told[0].0, "intent.inline_recipient.phone_number",
            "{number}"
        );
        assert!(told[0].1.contains(rule), "{number}: {told:?}");
    }
    send(
        &gateway.client,
        "good",
        shipped("1", phone("+4915112345678")),
    )
    .await;
    gateway.settle().await;
    assert_eq!(sms.seen().len(), 1, "only the good one was sent");
    gateway.stop().await;
}

/// Row 43: one emoji turns a text to UCS-2; what takes more segments than its template allows is not sent.
#[tokio::test(flavor = "multi_thread")]
async fn segments_of_a_text_are_counted_and_have_an_end() {
    let sms = HttpFake::start(twilio).await;
    let gateway = open(vec![texts(&sms.url)]).await;
    let order = |number: &str, url: &str| {
        let mut order = confirmation(&json!({"number": number, "url": url}));
        order.recipient = Some(Recipient::InlineRecipient(phone("+4915112345678")));
        order
    };
    let url = "https://shop.example/o/4711";
    let long = format!("{url}?{}", "x".repeat(60));
    // The same letters with and without an emoji among them: 160 fit into one, then 70, and 67 in each of several.
    for (number, url, segments) in [("4711", url, 1), ("🎂711", url, 2), ("4711", &*long, 2)] {
        let name = send(
            &gateway.client,
            &format!("{number}{}", url.len()),
            order(number, url),
        )
        .await;
        gateway.settle().await;
        let sent = get(&gateway.client, &name).await;
        assert_eq!(status(&sent).1, "HANDED_OVER", "{sent:?}");
        assert_eq!(
            sent.messages[0].sms_segment_count, segments,
            "{number} {url}"
        );
    }
    let before = sms.seen().len();
    let name = send(&gateway.client, "too-long", order("🎂711", &long)).await;
    gateway.settle().await;
    let failed = get(&gateway.client, &name).await;
    assert_eq!(
        status(&failed),
        (notification::State::Failed, "RENDER_FAILED"),
        "{failed:?}"
    );
    assert_eq!(sms.seen().len(), before, "it was not sent");
    let body = form(&sms.seen()[1].body);
    let body = &body.iter().find(|(name, _)| name == "Body").unwrap().1;
    assert!(body.contains("🎂711"), "{body}");
    gateway.stop().await;
}

/// Row 44.
#[tokio::test(flavor = "multi_thread")]
async fn a_chat_message_is_cut_and_mentions_nobody() {
    let chat = HttpFake::start(discord).await;
    let gateway = open(vec![chats(&chat.url)]).await;
    let user = InlineRecipient {
        discord_user_id: "123456789012345678".into(),
        ..InlineRecipient::default()
    };
    let line = |name: &str| json!({"name": name, "quantity": 1, "price": "1.00"});
    let many: Vec<Value> = (0..200)
        .map(|n| line(&format!("@everyone {n} {}", "x".repeat(150))))
        .collect();
    for (id, lines) in [
        (
            "mentions",
            vec![line(
                "@everyone @here <@1> <@&2> <#3> **bold** [x](http://e.example)",
            )],
        ),
        ("long", many),
    ] {
        let mut order = confirmation(&json!({"lines": lines}));
        order.recipient = Some(Recipient::InlineRecipient(user.clone()));
        let name = send(&gateway.client, id, order).await;
        gateway.settle().await;
        let sent = get(&gateway.client, &name).await;
        assert_eq!(status(&sent).1, "HANDED_OVER", "{sent:?}");
        let posted = chat.seen().pop().unwrap().json();
        let content = posted["content"].as_str().unwrap();
        assert!(
            content.chars().count() <= 2000,
            "{}",
            content.chars().count()
        );
        assert_eq!(posted["allowed_mentions"]["parse"], json!([]), "{posted}");
        assert!(posted.get("embeds").is_none(), "{posted}");
        if id == "mentions" {
            // Marks are escaped, and a space of no width breaks the mentions of all.
            for shown in [
                "@\u{200b}everyone",
                "\\<@1\\>",
                "\\*\\*bold\\*\\*",
                "\\[x\\](http",
            ] {
                assert!(content.contains(shown), "{shown}: {content}");
            }
        }
    }
    for id in [
        "0",
        "12345678901234",
        "18446744073709551616",
        "<@1>",
        "1e17",
    ] {
        let user = InlineRecipient {
            discord_user_id: id.into(),
            ..InlineRecipient::default()
        };
        let told = violations(
            &try_send(&gateway.client, "r", shipped("1", user))
                .await
                .expect_err(id),
        );
        assert_eq!(told[0].0, "intent.inline_recipient.discord_user_id", "{id}");
    }
    gateway.stop().await;
}

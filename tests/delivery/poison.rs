//! Intents that nobody can fill, among many good ones: each ends with its reason, and costs the others nothing.

use std::path::Path;

use serde_json::json as value;
use tidings::catalog::Source;
use tidings::config::Config;
use tidings::proto::{InlineRecipient, NotificationIntent, notification, notification_intent};
use tokio::task::JoinSet;

use crate::gateway::{Embedded, copy, folder};
use crate::http_fake::HttpFake;
use crate::post_office::PostOffice;
use crate::shop::{
    NOON, at, get, guest, intent, place, post, send, shipped, status, texts, twilio,
};
use crate::skip::root;

/// Good ones for each that cannot be filled.
const GOOD: usize = 10;
/// Calls that are under way at once.
const CALLS: usize = 500;
/// Every variable below is within what a caller may send.
const ITEMS: usize = 100;

/// The shop's templates with a text that a long list makes loop without an end, and a mail that it makes endless.
fn write_templates(templates: &Path) {
    copy(&root().join("templates"), templates);
    let message = templates.join("messages/order/shipped");
    let schema = message.join("schema.json");
    let mut rules: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&schema).unwrap()).unwrap();
    rules["properties"]["list"] =
        value!({"type": "array", "items": {"type": "string", "maxLength": 300}});
    std::fs::write(&schema, rules.to_string()).unwrap();
    let lengthen = |file: &str, more: &str| {
        let path = message.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{}{more}\n", text.trim_end())).unwrap();
    };
    let loops = "{{#each list}}{{#each ../list}}{{#each ../../list}}{{#if ../../../list}}{{/if}}{{/each}}{{/each}}{{/each}}";
    lengthen("sms.txt.hbs", loops);
    let grows = "{{#each list}}{{#each ../list}}{{this}}{{/each}}{{/each}}";
    let path = message.join("email.txt.hbs");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("{{/layout}}"), "{text}");
    let text = text.replace("{{/layout}}", &format!("{grows}\n{{{{/layout}}}}"));
    std::fs::write(&path, text).unwrap();
}

fn phone() -> InlineRecipient {
    InlineRecipient {
        phone_number: "+4915112345678".into(),
        ..InlineRecipient::default()
    }
}

fn poison(number: usize) -> NotificationIntent {
    let list = vec!["x".repeat(300); ITEMS];
    let url = format!("https://shop.example/{}", "x".repeat(2_000));
    let order = value!({"number": "1"});
    let (recipient, variables) = match number % 3 {
        // A loop without an end.
        0 => (phone(), value!({"order": order, "list": list})),
        // A mail of 3 MB.
        1 => (
            guest("ada@example.com"),
            value!({"order": order, "list": list}),
        ),
        // A text of 14 segments.
        _ => (
            phone(),
            value!({"order": order, "shipment": {"tracking_url": url}}),
        ),
    };
    let recipient = notification_intent::Recipient::InlineRecipient(recipient);
    intent("order.shipped", recipient, &variables)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_that_cannot_be_filled_cost_five_hundred_others_nothing() {
    cost_the_others_nothing(50).await;
}

/// So many that cannot be filled among ten times as many; how many there were in all.
pub(crate) async fn cost_the_others_nothing(poisoned: usize) -> usize {
    let folder = folder();
    let templates = folder.path().join("templates");
    write_templates(&templates);
    let (server, sms) = (
        PostOffice::start(std::time::Duration::ZERO, false).await,
        HttpFake::start(twilio).await,
    );
    let mut config = Config::embedded(folder.path());
    place(&mut config, vec![post(server.port), texts(&sms.url)]);
    let gateway = Embedded::start_with(folder, config, Source::Folder(templates), at(NOON)).await;
    let whole = poisoned * (1 + GOOD);
    let (mut calls, mut told) = (JoinSet::new(), Vec::new());
    for number in 0..whole {
        let client = gateway.client.clone();
        if calls.len() == CALLS {
            told.extend(calls.join_next().await.map(Result::unwrap));
        }
        calls.spawn(async move {
            let bad = number % (1 + GOOD) == 0;
            let intent = match number % 2 {
                _ if bad => poison(number / (1 + GOOD)),
                0 => shipped(&number.to_string(), guest("ada@example.com")),
                _ => shipped(&number.to_string(), phone()),
            };
            (bad, send(&client, &number.to_string(), intent).await)
        });
    }
    told.extend(calls.join_all().await);
    gateway.settle().await;
    assert_eq!(told.iter().filter(|(bad, _)| *bad).count(), poisoned);
    for (bad, name) in &told {
        let ended = get(&gateway.client, name).await;
        let expected = if *bad {
            (notification::State::Failed, "RENDER_FAILED")
        } else {
            (notification::State::Sent, "HANDED_OVER")
        };
        assert_eq!(status(&ended), expected, "{ended:?}");
        let tries: usize = ended.messages.iter().map(|one| one.attempts.len()).sum();
        assert_eq!(tries, usize::from(!bad), "{ended:?}");
    }
    assert_eq!(server.mails().len() + sms.seen().len(), poisoned * GOOD);
    gateway.stop().await;
    whole
}

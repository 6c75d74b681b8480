//! Our fakes are as strict as the published contracts: what Prism refuses they refuse with the same status, and what our
//! providers send, byte for byte, Prism takes.

use tidings::provider::Provider as _;

use crate::http_fake::{HttpFake, Reaction, Seen};
use crate::outgoing::{chat, sms, word};
use crate::prism::Prism;
use crate::twilio::ACCOUNT;
use crate::vendor_fakes::{discord_refuses, twilio_refuses};
use crate::{discord, twilio};

const FORM: &str = "application/x-www-form-urlencoded";
const BASIC: &str = "Basic QUM6dG9rZW4=";

fn request(method: &str, path: &str, kind: &str, login: &str, body: &str) -> Seen {
    let headers = [("content-type", kind), ("authorization", login)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Seen {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
    }
}

async fn status_of(base: &str, seen: &Seen) -> u16 {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls())
        .build()
        .unwrap();
    let method = reqwest::Method::from_bytes(seen.method.as_bytes()).unwrap();
    let mut request = client.request(method, format!("{base}{}", seen.path));
    for name in ["content-type", "authorization"] {
        if let Some(value) = seen.header(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.body(seen.body.clone()).send().await.unwrap();
    answer.status().as_u16()
}

fn tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

async fn compare(prism: &Prism, refuses: fn(&Seen) -> Option<u16>, bad: Vec<Seen>) {
    assert_eq!(bad.len(), 10);
    let fake = HttpFake::start(move |seen| match refuses(seen) {
        Some(status) => Reaction::Answer(status, vec![], Vec::new()),
        None => Reaction::Answer(200, vec![], Vec::new()),
    })
    .await;
    for seen in bad {
        let (theirs, ours) = (
            status_of(&prism.url, &seen).await,
            status_of(&fake.url, &seen).await,
        );
        assert!(theirs >= 400, "Prism took {seen:?}");
        assert_eq!(ours, theirs, "{seen:?}");
    }
}

#[tokio::test]
async fn the_twilio_fake_refuses_what_the_contract_refuses() {
    let Some(prism) = Prism::start("twilio").await else {
        return;
    };
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    let post = |body: &str| request("POST", &path, FORM, BASIC, body);
    let good = "To=%2B4915112345678&From=%2B4930123&Body=hi";
    let bad = vec![
        request("POST", &path, FORM, "", good),
        request("POST", &path, FORM, "Bearer x", good),
        request("PUT", &path, FORM, BASIC, good),
        request(
            "POST",
            &path.replace("Messages", "Message"),
            FORM,
            BASIC,
            good,
        ),
        request("POST", &path.replace(ACCOUNT, "AC1"), FORM, BASIC, good),
        request("POST", &path, "application/json", BASIC, "{\"To\":\"+49\"}"),
        post("From=%2B4930123&Body=hi"),
        post("To=%2B49&MessagingServiceSid=MGx&Body=hi"),
        post("To=%2B49&StatusCallback=nowhere&Body=hi"),
        post("To=%2B49&ValidityPeriod=soon&Body=hi"),
    ];
    compare(&prism, twilio_refuses, bad).await;
    let fake = HttpFake::start(crate::discord::well_behaved).await;
    twilio::twilio(&fake.url, 2_000).send(&sms()).await;
    let sent = &fake.seen()[0];
    assert_eq!(status_of(&prism.url, sent).await, 201, "{sent:?}");
    let handover = twilio::twilio(&prism.url, 5_000).send(&sms()).await;
    assert_eq!(word(&handover), "accepted", "{handover:?}");
}

#[tokio::test]
async fn the_discord_fake_refuses_what_the_contract_refuses() {
    let Some(prism) = Prism::start("discord").await else {
        return;
    };
    // Paths in the description lack the `/api/v10` that clients send; our base_url is where it stands.
    let messages = "/channels/123456789012345678/messages";
    let hook = "/webhooks/123456789012345678/token";
    let post =
        |path: &str, body: &str| request("POST", path, "application/json", "Bot token", body);
    let long = format!("{{\"content\":\"{}\"}}", "x".repeat(4_001));
    let bad = vec![
        request(
            "POST",
            messages,
            "application/json",
            "",
            "{\"content\":\"hi\"}",
        ),
        request("PUT", messages, "application/json", "Bot token", "{}"),
        post("/channel/123456789012345678/messages", "{}"),
        post("/channels/abc/messages", "{\"content\":\"hi\"}"),
        post(messages, "{\"content\":5}"),
        post(messages, "{\"content\":\"hi\""),
        post(messages, &long),
        post(
            messages,
            "{\"content\":\"hi\",\"nonce\":\"12345678901234567890123456\"}",
        ),
        post("/users/@me/channels", "{\"recipient_id\":123}"),
        post(&format!("{hook}?wait=maybe"), "{\"content\":\"hi\"}"),
    ];
    compare(&prism, discord_refuses, bad).await;
    let fake = HttpFake::start(discord::well_behaved).await;
    for mode in [discord::direct(), discord::webhook()] {
        let provider = discord::discord(&fake.url, mode, discord::clock());
        let handover = provider
            .send(&chat(123_456_789_012_345_678, &"ü".repeat(3_000)))
            .await;
        assert_eq!(word(&handover), "accepted", "{handover:?}");
    }
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    for sent in seen {
        assert_eq!(status_of(&prism.url, &sent).await, 200, "{sent:?}");
    }
}

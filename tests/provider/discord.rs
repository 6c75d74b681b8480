//! The chat provider against a door that keeps Discord's contract, and against one that keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::json as value;
use tidings::domain::clock::{Clock as _, ManualClock};
use tidings::provider::discord::{Discord, DiscordMode, DiscordSettings};
use tidings::provider::secret::Secret;
use tidings::provider::{Handover, Provider as _};

use crate::http_fake::{HttpFake, Reaction, Seen, json};
use crate::outgoing::{chat, reply, word};
use crate::vendor_fakes::discord_refuses;

const ADA: u64 = 123_456_789_012_345_678;

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap()))
}

pub(crate) fn direct() -> DiscordMode {
    DiscordMode::Dm {
        token: Secret::new("bot.token"),
    }
}

pub(crate) fn webhook() -> DiscordMode {
    DiscordMode::Webhook {
        id: 222_222_222_222_222_222,
        token: Secret::new("hook-token"),
    }
}

pub(crate) fn discord(base_url: &str, mode: DiscordMode, clock: Arc<ManualClock>) -> Discord {
    let settings = DiscordSettings {
        mode,
        base_url: base_url.to_owned(),
        timeout_ms: 700,
    };
    Discord::new(settings, clock).unwrap()
}

/// Answers as Discord does; a channel's id is its user's with a 9 in front.
pub(crate) fn well_behaved(seen: &Seen) -> Reaction {
    if let Some(status) = discord_refuses(seen) {
        return json(
            status,
            &value!({"code": 50035, "message": "Invalid Form Body"}),
        );
    }
    match seen.path.trim_start_matches("/api/v10") {
        "/users/@me/channels" => {
            let user = seen.json()["recipient_id"].as_str().unwrap().to_owned();
            json(200, &value!({"id": format!("9{user}"), "type": 1}))
        }
        _ => json(
            200,
            &value!({"id": "333333333333333333", "content": seen.json()["content"]}),
        ),
    }
}

/// Opens channels as Discord does, and answers messages by `reaction`.
fn messages_get(reaction: Reaction) -> impl Fn(&Seen) -> Reaction + Send + Sync + 'static {
    move |seen| {
        if seen.path.ends_with("/messages") || seen.path.contains("/webhooks/") {
            reaction.clone()
        } else {
            well_behaved(seen)
        }
    }
}

#[tokio::test]
async fn a_direct_message_is_opened_once_and_mentions_nobody() {
    let fake = HttpFake::start(well_behaved).await;
    let discord = discord(&format!("{}/api/v10", fake.url), direct(), clock());
    let outgoing = chat(ADA, "@everyone <@1> your parcel is here");
    for _ in 0..2 {
        let handover = discord.send(&outgoing).await;
        let Handover::Accepted {
            provider_message_id,
            ..
        } = &handover
        else {
            panic!("{handover:?}");
        };
        assert_eq!(provider_message_id, "333333333333333333");
    }
    let seen = fake.seen();
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    let messages = format!("/api/v10/channels/9{ADA}/messages");
    assert_eq!(paths, ["/api/v10/users/@me/channels", &messages, &messages]);
    assert!(
        seen.iter()
            .all(|seen| seen.header("authorization") == Some("Bot bot.token"))
    );
    assert!(seen.iter().all(|seen| {
        seen.header("user-agent")
            .unwrap()
            .starts_with("DiscordBot (")
    }));
    let body = seen[1].json();
    assert_eq!(body["allowed_mentions"], value!({"parse": []}));
    assert_eq!(body["nonce"], outgoing.message.nonce().to_string());
    assert_eq!(body["enforce_nonce"], true);
    assert_eq!(seen[1].body, seen[2].body, "a second try is the same bytes");
}

#[tokio::test]
async fn a_webhook_post_waits_for_its_message_and_carries_no_token() {
    let fake = HttpFake::start(well_behaved).await;
    let discord = discord(&fake.url, webhook(), clock());
    let long = "é".repeat(2_500);
    let handover = discord.send(&chat(ADA, &long)).await;
    assert_eq!(word(&handover), "accepted", "{handover:?}");
    let seen = &fake.seen()[0];
    assert_eq!(
        seen.path,
        "/webhooks/222222222222222222/hook-token?wait=true&with_components=false"
    );
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.json()["allowed_mentions"]["parse"], value!([]));
    let content = seen.json()["content"].as_str().unwrap().to_owned();
    assert_eq!(content.chars().count(), 2_000);
    assert!(content.ends_with("é…"));
}

#[tokio::test]
async fn every_answer_has_its_class() {
    let error = |status: u16, code: u64| json(status, &value!({"code": code, "message": "no"}));
    let whole =
        |status: u16, body: &str| Reaction::Answer(status, vec![], body.as_bytes().to_vec());
    for (reaction, expected) in [
        (error(403, 50007), "dead"),
        (error(400, 10013), "dead"),
        (error(404, 10013), "dead"),
        (error(403, 50001), "rejected"),
        (error(400, 50035), "rejected"),
        (error(404, 10003), "rejected"),
        (whole(400, "<html>"), "rejected"),
        (error(401, 0), "retry"),
        (whole(403, "<html>error 1015</html>"), "retry"),
        (error(404, 10015), "retry"),
        (whole(500, ""), "retry"),
        (whole(502, "<html>502</html>"), "retry"),
        (whole(301, ""), "retry"),
        (whole(429, ""), "throttled"),
        (error(400, 40003), "throttled"),
        (
            json(429, &value!({"retry_after": 1e9, "global": false})),
            "throttled",
        ),
        (whole(204, ""), "unknown"),
        (whole(200, "{}"), "unknown"),
        (whole(200, "{\"id\": 1}"), "unknown"),
        (whole(200, "{\"id\": \"x\"}"), "unknown"),
        (whole(200, "{\"id\": \"33"), "unknown"),
        (
            whole(200, "{\"code\": 50007, \"message\": \"no\"}"),
            "unknown",
        ),
        (
            whole(
                200,
                &format!("{{\"id\": \"1\", \"x\": \"{}\"}}", "x".repeat(10 << 20)),
            ),
            "unknown",
        ),
        (Reaction::Raw(b"".to_vec()), "unknown"),
        (
            Reaction::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"id\"".to_vec()),
            "unknown",
        ),
        (Reaction::Hang, "unknown"),
    ] {
        for mode in [direct(), webhook()] {
            let words = format!("{mode:?} {reaction:?}");
            let fake = HttpFake::start(messages_get(reaction.clone())).await;
            let discord = discord(&fake.url, mode, clock());
            let handover = discord.send(&chat(ADA, "hello")).await;
            assert_eq!(word(&handover), expected, "{words:.200}: {handover:?}");
            assert!(!reply(&handover).contains("token"), "{handover:?}");
        }
    }
}

#[tokio::test]
async fn failing_to_open_a_channel_is_never_unknown() {
    for reaction in [
        Reaction::Hang,
        Reaction::Raw(Vec::new()),
        json(200, &value!({"id": "string"})),
        json(500, &value!({})),
    ] {
        let fake = HttpFake::start(move |_| reaction.clone()).await;
        let discord = discord(&fake.url, direct(), clock());
        let handover = discord.send(&chat(ADA, "hello")).await;
        assert_eq!(word(&handover), "retry", "{handover:?}");
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_429_is_not_repeated_and_its_wait_is_kept() {
    let fake = HttpFake::start(messages_get(Reaction::Answer(
        429,
        vec![("retry-after", "12".to_owned())],
        b"{\"message\": \"slow down\", \"retry_after\": 12.5, \"global\": false}".to_vec(),
    )))
    .await;
    let clock = clock();
    let discord = discord(&fake.url, direct(), clock.clone());
    let Handover::Retry {
        after, throttled, ..
    } = discord.send(&chat(ADA, "hello")).await
    else {
        panic!("not a retry");
    };
    assert!(throttled);
    assert_eq!(after, Some(Duration::from_millis(12_500)));
    let requests = fake.seen().len();
    assert_eq!(requests, 2, "the channel, the message, and no more");
    // Too early: refused here, without a request.
    clock.advance_to(clock.now() + jiff::SignedDuration::from_secs(12));
    assert_eq!(word(&discord.send(&chat(ADA, "hello")).await), "throttled");
    assert_eq!(fake.seen().len(), requests);
    clock.advance_to(clock.now() + jiff::SignedDuration::from_secs(1));
    discord.send(&chat(ADA, "hello")).await;
    assert_eq!(fake.seen().len(), requests + 1);
}

#[tokio::test]
async fn after_a_401_nothing_is_sent_for_a_minute() {
    let status = Arc::new(AtomicU16::new(401));
    let shared = Arc::clone(&status);
    let fake = HttpFake::start(move |seen| match shared.load(Ordering::SeqCst) {
        200 => well_behaved(seen),
        status => json(status, &value!({"code": 0, "message": "401: Unauthorized"})),
    })
    .await;
    let clock = clock();
    let discord = discord(&fake.url, direct(), clock.clone());
    for user in 0..20 {
        let handover = discord.send(&chat(ADA + user, "hello")).await;
        assert_eq!(word(&handover), "retry", "{handover:?}");
    }
    assert_eq!(fake.seen().len(), 1);
    status.store(200, Ordering::SeqCst);
    clock.advance_to(clock.now() + jiff::SignedDuration::from_secs(60));
    assert_eq!(word(&discord.send(&chat(ADA, "hello")).await), "accepted");
}

#[tokio::test]
async fn limits_are_answered_not_waited_for() {
    let fake = HttpFake::start(well_behaved).await;
    let clock = clock();
    let discord = discord(&fake.url, direct(), clock.clone());
    let outcomes = async {
        let mut words = Vec::new();
        for _ in 0..8 {
            words.push(word(&discord.send(&chat(ADA, "hello")).await));
        }
        words
    };
    let words = tokio::time::timeout(Duration::from_secs(5), outcomes)
        .await
        .unwrap();
    assert_eq!(words[..5], ["accepted"; 5]);
    assert_eq!(words[5..], ["throttled"; 3]);
    assert_eq!(fake.seen().len(), 6);
    clock.advance_to(clock.now() + jiff::SignedDuration::from_secs(5));
    assert_eq!(word(&discord.send(&chat(ADA, "hello")).await), "accepted");
}

#[tokio::test]
async fn a_channel_that_is_gone_is_opened_anew() {
    let status = Arc::new(AtomicU16::new(200));
    let shared = Arc::clone(&status);
    let fake = HttpFake::start(move |seen| {
        if shared.load(Ordering::SeqCst) == 404 && seen.path.ends_with("/messages") {
            return json(404, &value!({"code": 10003, "message": "Unknown Channel"}));
        }
        well_behaved(seen)
    })
    .await;
    let discord = discord(&fake.url, direct(), clock());
    assert_eq!(word(&discord.send(&chat(ADA, "hello")).await), "accepted");
    status.store(404, Ordering::SeqCst);
    assert_eq!(word(&discord.send(&chat(ADA, "hello")).await), "retry");
    status.store(200, Ordering::SeqCst);
    assert_eq!(word(&discord.send(&chat(ADA, "hello")).await), "accepted");
    let opened = fake
        .seen()
        .iter()
        .filter(|seen| seen.path.ends_with("/@me/channels"))
        .count();
    assert_eq!(opened, 2);
}

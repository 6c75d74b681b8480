//! The text message provider against a door that keeps Twilio's contract, and against one that keeps nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json as value;
use tidings::domain::clock::ManualClock;
use tidings::provider::secret::Secret;
use tidings::provider::twilio::{Twilio, TwilioSettings};
use tidings::provider::{Handover, Provider as _};

use crate::http_fake::{HttpFake, Reaction, json};
use crate::outgoing::{reply, sms, word};
use crate::vendor_fakes::{form, twilio_refuses};

pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

pub(crate) fn twilio(base_url: &str, timeout_ms: u64) -> Twilio {
    let settings = TwilioSettings {
        base_url: base_url.to_owned(),
        account_sid: ACCOUNT.to_owned(),
        auth_token: Secret::new("token\n"),
        from: "+4930123456".to_owned(),
        status_callback: "https://shop.example/receipts".to_owned(),
        timeout_ms,
        ..TwilioSettings::default()
    };
    let clock = ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap());
    Twilio::new(settings, Arc::new(clock)).unwrap()
}

#[tokio::test]
async fn a_text_message_is_taken_with_its_sid() {
    let fake = HttpFake::start(|seen| match twilio_refuses(seen) {
        Some(status) => json(status, &value!({"code": 1, "message": "broken contract"})),
        None => json(201, &value!({"sid": "SM1", "status": "queued"})),
    })
    .await;
    let twilio = twilio(&fake.url, 2_000);
    let outgoing = sms();
    let handover = twilio.send(&outgoing).await;
    let Handover::Accepted {
        provider_message_id,
        ..
    } = &handover
    else {
        panic!("{handover:?}");
    };
    assert_eq!(provider_message_id, "SM1");
    assert!(twilio.reports_delivery());
    let seen = &fake.seen()[0];
    assert_eq!(
        seen.header("authorization"),
        Some("Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjp0b2tlbg==")
    );
    assert_eq!(
        form(&seen.body),
        [
            ("To", "+4915112345678"),
            ("Body", "Your parcel comes today & tomorrow = ok? ünï 🎂"),
            ("From", "+4930123456"),
            ("StatusCallback", "https://shop.example/receipts"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[tokio::test]
async fn every_answer_has_its_class() {
    let error = |status: u16, code: u64| {
        json(
            status,
            &value!({"code": code, "message": "the number +4915112345678 is odd"}),
        )
    };
    let whole =
        |status: u16, body: &str| Reaction::Answer(status, vec![], body.as_bytes().to_vec());
    for (reaction, expected) in [
        (error(400, 21211), "dead"),
        (error(400, 21614), "dead"),
        (error(400, 21610), "dead"),
        (error(400, 21408), "rejected"),
        (error(400, 0), "rejected"),
        (whole(400, "<html>"), "rejected"),
        (whole(422, ""), "rejected"),
        (error(401, 20003), "retry"),
        (error(403, 20003), "retry"),
        (error(404, 20404), "retry"),
        (whole(302, ""), "retry"),
        (error(429, 20429), "throttled"),
        (error(500, 20500), "retry"),
        (whole(502, "<html>bad gateway</html>"), "retry"),
        (whole(503, ""), "retry"),
        (whole(200, ""), "unknown"),
        (whole(201, "{\"sid\": \"SM"), "unknown"),
        (whole(201, "{\"sid\": \"\"}"), "unknown"),
        (whole(201, "{\"sid\": 7}"), "unknown"),
        (whole(201, "[]"), "unknown"),
        (whole(204, ""), "unknown"),
        (whole(201, &format!("{{\"sid\": \"SM1\", \"x\": \"{}\"}}", "x".repeat(10 << 20))), "unknown"),
        (Reaction::Raw(b"".to_vec()), "unknown"),
        (Reaction::Raw(b"SSH-2.0\r\n".to_vec()), "unknown"),
        (Reaction::Raw(b"HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{\"sid\"".to_vec()), "unknown"),
        (Reaction::Raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 13\r\n\r\n{\"sid\":\"SM1\"}".to_vec()), "accepted"),
        (Reaction::Hang, "unknown"),
    ] {
        let words = format!("{reaction:?}");
        let fake = HttpFake::start(move |_| reaction.clone()).await;
        let handover = twilio(&fake.url, 700).send(&sms()).await;
        assert_eq!(word(&handover), expected, "{words:.200}: {handover:?}");
        assert_eq!(fake.seen().len(), 1, "{words:.200}: one request a try");
        assert!(!reply(&handover).contains("15112345678"), "{handover:?}");
        assert!(reply(&handover).chars().count() <= 500);
    }
}

#[tokio::test]
async fn a_door_that_is_shut_may_be_tried_again() {
    let handover = twilio("http://127.0.0.1:1", 2_000).send(&sms()).await;
    assert_eq!(word(&handover), "retry", "{handover:?}");
    let nowhere = twilio("http://no-such-host.invalid", 5_000)
        .send(&sms())
        .await;
    assert_eq!(word(&nowhere), "retry", "{nowhere:?}");
}

#[tokio::test]
async fn retry_after_is_kept_within_an_hour() {
    for (text, expected) in [
        ("7", Some(7)),
        ("3600000", Some(3_600)),
        ("-1", Some(1)),
        ("abc", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3_600)),
        ("Sun, 22 Nov 2026 12:00:30 GMT", Some(30)),
    ] {
        let fake = HttpFake::start(move |_| {
            Reaction::Answer(429, vec![("retry-after", text.to_owned())], Vec::new())
        })
        .await;
        match twilio(&fake.url, 2_000).send(&sms()).await {
            Handover::Retry {
                after,
                throttled: true,
                ..
            } => {
                assert_eq!(after, expected.map(Duration::from_secs), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
    let good = TwilioSettings {
        account_sid: ACCOUNT.to_owned(),
        auth_token: Secret::new("token"),
        from: "Shop".to_owned(),
        ..TwilioSettings::default()
    };
    assert!(Twilio::new(good.clone(), clock.clone()).is_ok());
    for (settings, expected) in [
        (
            TwilioSettings {
                account_sid: "../x".to_owned(),
                ..good.clone()
            },
            "account_sid",
        ),
        (
            TwilioSettings {
                auth_token: Secret::default(),
                ..good.clone()
            },
            "auth_token",
        ),
        (
            TwilioSettings {
                from: String::new(),
                ..good.clone()
            },
            "messaging_service_sid",
        ),
        (
            TwilioSettings {
                base_url: "api.twilio.com".to_owned(),
                ..good.clone()
            },
            "base_url",
        ),
    ] {
        let error = Twilio::new(settings, clock.clone()).err().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    assert!(!format!("{good:?}").contains("token\""));
}

//! Against aiosmtpd, a mail server that others wrote.

use std::sync::Arc;

use tidings::domain::clock::SystemClock;
use tidings::provider::Provider as _;
use tidings::provider::secret::Secret;
use tidings::provider::smtp::{Smtp, SmtpSettings, TlsMode};

use crate::mail_server::MailServer;
use crate::outgoing::{mail, mail_of_bytes, reply, word};

fn settings(server: &MailServer, tls: TlsMode) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".to_owned(),
        port: server.port,
        tls,
        extra_ca: server.ca.clone(),
        helo_name: "gateway.shop.example".to_owned(),
        message_id_domain: "shop.example".to_owned(),
        command_ms: 3_000,
        final_dot_ms: 1_500,
        ..SmtpSettings::default()
    }
}

fn smtp(settings: SmtpSettings) -> Smtp {
    Smtp::new(settings, Arc::new(SystemClock)).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_whole() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let smtp = smtp(settings(&server, TlsMode::None));
    let outgoing = mail_of_bytes("ada@customer.example", 300_000);
    let handover = smtp.send(&outgoing).await;
    assert_eq!(word(&handover), "accepted", "{handover:?}");
    let kept = server.kept();
    assert_eq!(kept.len(), 1);
    let details = &kept[0].details;
    assert_eq!(details["mail_from"], "orders@shop.example");
    assert_eq!(
        details["rcpt_to"],
        serde_json::json!(["ada@customer.example"])
    );
    assert_eq!(details["helo"], "gateway.shop.example");
    assert_eq!(details["faults"], serde_json::json!([]));
    let eml = String::from_utf8(kept[0].eml.clone()).unwrap();
    let message_id = format!("Message-ID: <{}@shop.example>\r\n", outgoing.message);
    assert!(eml.contains(&message_id), "{eml:.600}");
    assert!(eml.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    assert!(smtp.check().await.unwrap().contains("answers (250)"));
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    let Some(server) = MailServer::start("plain") else {
        return;
    };
    let smtp = smtp(settings(&server, TlsMode::None));
    for (local, expected) in [
        ("tempfail", "retry"),
        ("busy", "retry"),
        ("reject", "dead"),
        ("full", "rejected"),
        ("tempdata", "retry"),
        ("spam", "rejected"),
        ("toobig", "rejected"),
        ("odd", "unknown"),
        ("closing", "retry"),
        ("lastcall", "retry"),
        ("drop", "retry"),
        ("lost", "unknown"),
        ("hang", "unknown"),
        ("twice", "unknown"),
        ("endless", "unknown"),
        ("slow", "accepted"),
        // Whatever came before, the next mail gets its own answer.
        ("ada", "accepted"),
        ("flaky", "retry"),
        ("flaky", "accepted"),
    ] {
        let address = format!("{local}@customer.example");
        let handover = smtp.send(&mail(&address)).await;
        assert_eq!(word(&handover), expected, "{local}: {handover:?}");
        assert!(!reply(&handover).contains(&address), "{handover:?}");
    }
    let refused = smtp.send(&mail("reject@customer.example")).await;
    assert_eq!(reply(&refused), "550 5.1.1 no such user");
}

#[tokio::test]
async fn mail_goes_encrypted_and_signed_in() {
    for (mode, tls) in [
        ("starttls", TlsMode::Starttls),
        ("tls", TlsMode::Tls),
        ("auth", TlsMode::Starttls),
    ] {
        let Some(server) = MailServer::start(mode) else {
            return;
        };
        let mut settings = settings(&server, tls);
        if mode == "auth" {
            settings.username = "tidings".to_owned();
            settings.password = Secret::new("correct horse");
        }
        let smtp = smtp(settings);
        for _ in 0..2 {
            let handover = smtp
                .send(&mail_of_bytes("ada@customer.example", 100_000))
                .await;
            assert_eq!(word(&handover), "accepted", "{mode}: {handover:?}");
        }
        let kept = server.kept();
        assert_eq!(kept.len(), 2, "{mode}");
        for one in kept {
            assert_eq!(one.details["tls"], true, "{mode}");
            assert_eq!(one.details["faults"], serde_json::json!([]));
            let user = (mode == "auth").then_some("tidings");
            assert_eq!(one.details["user"].as_str(), user);
        }
    }
}

#[tokio::test]
async fn without_trust_or_password_nothing_is_sent() {
    let (Some(secure), Some(plain), Some(auth)) = (
        MailServer::start("tls"),
        MailServer::start("plain"),
        MailServer::start("auth"),
    ) else {
        return;
    };
    let unknown_authority = SmtpSettings {
        extra_ca: None,
        ..settings(&secure, TlsMode::Tls)
    };
    let no_starttls_there = settings(&plain, TlsMode::Starttls);
    let wrong_password = SmtpSettings {
        username: "tidings".to_owned(),
        password: Secret::new("wrong"),
        ..settings(&auth, TlsMode::Starttls)
    };
    let no_password = settings(&auth, TlsMode::Starttls);
    for (settings, expected) in [
        (unknown_authority, "no trust in the server's TLS"),
        (no_starttls_there, "does not offer STARTTLS"),
        (wrong_password, "check username and password"),
        (no_password, "530"),
    ] {
        let smtp = smtp(settings);
        let handover = smtp.send(&mail("ada@customer.example")).await;
        assert_eq!(word(&handover), "retry", "{handover:?}");
        assert!(reply(&handover).contains(expected), "{handover:?}");
    }
    for server in [&secure, &plain, &auth] {
        assert!(server.kept().is_empty());
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let clock = Arc::new(SystemClock);
    let base = SmtpSettings::default();
    for (settings, expected) in [
        (
            SmtpSettings {
                host: "a b".to_owned(),
                ..base.clone()
            },
            "host",
        ),
        (
            SmtpSettings {
                message_id_domain: "x>\r\nBcc: y".to_owned(),
                ..base.clone()
            },
            "message_id_domain",
        ),
        (
            SmtpSettings {
                username: "ada".to_owned(),
                ..base.clone()
            },
            "no password",
        ),
        (
            SmtpSettings {
                extra_ca: Some("/nowhere/ca.pem".into()),
                ..base.clone()
            },
            "ca_file /nowhere/ca.pem",
        ),
    ] {
        let error = Smtp::new(settings, clock.clone()).err().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let refused = Smtp::new(
        SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port: 1,
            ..base
        },
        clock,
    )
    .unwrap();
    let handover = refused.send(&mail("ada@customer.example")).await;
    assert_eq!(word(&handover), "retry", "{handover:?}");
}

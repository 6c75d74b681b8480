//! Against a server that breaks the rules at every step of the dialogue.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tidings::domain::clock::SystemClock;
use tidings::domain::pulse::Pulse;
use tidings::provider::smtp::{Smtp, SmtpSettings, TlsMode};
use tidings::provider::{Handover, Provider as _};

use crate::outgoing::{mail, mail_of_bytes, reply, word};
use crate::smtp_script::Act::{Close, Flood, Hang, Last, Later, Say, Twice};
use crate::smtp_script::{Script, ScriptServer};

const TO: &str = "ada@customer.example";

fn smtp(server: &ScriptServer, max_connections: usize) -> Smtp {
    let settings = SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        tls: TlsMode::None,
        max_connections,
        connect_ms: 2_000,
        command_ms: 400,
        final_dot_ms: 400,
        ..SmtpSettings::default()
    };
    Smtp::new(settings, Arc::new(SystemClock)).unwrap()
}

async fn one(script: Script) -> Handover {
    let server = ScriptServer::start(script).await;
    let smtp = smtp(&server, 1);
    tokio::time::timeout(Duration::from_secs(5), smtp.send(&mail(TO)))
        .await
        .expect("longer than all its deadlines")
}

#[tokio::test]
async fn what_goes_wrong_before_the_final_dot_may_be_tried_again() {
    let ok = Script::default;
    let long_reply: &'static [u8] = Box::leak(
        std::iter::repeat_n(b"250-x\r\n" as &[u8], 20_000)
            .flatten()
            .copied()
            .collect(),
    );
    for script in [
        Script {
            greeting: Close,
            ..ok()
        },
        Script {
            greeting: Hang,
            ..ok()
        },
        Script {
            greeting: Flood,
            ..ok()
        },
        Script {
            greeting: Say(b"421 full\r\n"),
            ..ok()
        },
        Script {
            greeting: Say(b"554 go away\r\n"),
            ..ok()
        },
        Script {
            greeting: Say(b"SSH-2.0-x\r\n"),
            ..ok()
        },
        Script {
            greeting: Say(b"220 a\r\n250 b\r\n"),
            ..ok()
        },
        Script {
            greeting: Say(&[0xff, 0xfe, b'\r', b'\n']),
            ..ok()
        },
        Script {
            ehlo: Close,
            ..ok()
        },
        Script { ehlo: Hang, ..ok() },
        Script {
            ehlo: Say(b"500 no\r\n"),
            ..ok()
        },
        Script {
            ehlo: Say(b"250 a\r\n250 b\r\n"),
            ..ok()
        },
        Script {
            ehlo: Say(long_reply),
            ..ok()
        },
        Script {
            mail: Close,
            ..ok()
        },
        Script { mail: Hang, ..ok() },
        Script {
            mail: Flood,
            ..ok()
        },
        Script {
            mail: Say(b"421 closing\r\n"),
            ..ok()
        },
        Script {
            mail: Say(b"451 busy\r\n"),
            ..ok()
        },
        Script {
            mail: Say(b"530 5.7.0 sign in first\r\n"),
            ..ok()
        },
        Script {
            mail: Say(b"250 ok\r\n250 ok\r\n"),
            ..ok()
        },
        Script {
            mail: Say(b"600 ok\r\n"),
            ..ok()
        },
        Script {
            mail: Say(b"25\r\n"),
            ..ok()
        },
        Script {
            mail: Say(b"250-a\r\n550 b\r\n"),
            ..ok()
        },
        Script {
            rcpt: Close,
            ..ok()
        },
        Script { rcpt: Hang, ..ok() },
        Script {
            rcpt: Say(b"450 later\r\n"),
            ..ok()
        },
        Script {
            rcpt: Say(b"099 what\r\n"),
            ..ok()
        },
        Script {
            rcpt: Say(b"354 go\r\n"),
            ..ok()
        },
        Script {
            rcpt: Say(b"250 ok\r\n354 go\r\n"),
            ..ok()
        },
        Script {
            data: Close,
            ..ok()
        },
        Script { data: Hang, ..ok() },
        Script {
            data: Say(b"250 ok\r\n"),
            ..ok()
        },
        Script {
            data: Say(b"451 no room\r\n"),
            ..ok()
        },
        Script {
            data: Say(b"503 out of order\r\n"),
            ..ok()
        },
        // The false success of RELIABILITY 81: an answer to the mail before there was one.
        Script {
            data: Say(b"354 go\r\n250 kept\r\n"),
            ..ok()
        },
    ] {
        let words = format!("{script:?}");
        let handover = one(script).await;
        assert_eq!(word(&handover), "retry", "{words:.300}: {handover:?}");
    }
}

#[tokio::test]
async fn refusals_before_the_final_dot_are_final() {
    let ok = Script::default;
    for (script, expected) in [
        (
            Script {
                mail: Say(b"552 5.3.4 too big\r\n"),
                ..ok()
            },
            "rejected",
        ),
        (
            Script {
                rcpt: Say(b"550 5.1.1 nobody\r\n"),
                ..ok()
            },
            "dead",
        ),
        (
            Script {
                rcpt: Say(b"550-5.1.1 no\r\n550 5.1.1 body\r\n"),
                ..ok()
            },
            "dead",
        ),
        (
            Script {
                rcpt: Say(b"551 5.1.6 moved\r\n"),
                ..ok()
            },
            "dead",
        ),
        (
            Script {
                rcpt: Say(b"553 5.1.3 odd\r\n"),
                ..ok()
            },
            "dead",
        ),
        (
            Script {
                rcpt: Say(b"550 5.7.1 blocked\r\n"),
                ..ok()
            },
            "rejected",
        ),
        (
            Script {
                rcpt: Say(b"550 no\r\n"),
                ..ok()
            },
            "rejected",
        ),
        (
            Script {
                rcpt: Say(b"550\r\n"),
                ..ok()
            },
            "rejected",
        ),
        (
            Script {
                data: Say(b"554 no\r\n"),
                ..ok()
            },
            "rejected",
        ),
        (
            Script {
                rcpt: Say(b"251 forwarded\r\n"),
                ..ok()
            },
            "accepted",
        ),
        // A code alone is a reply.
        (
            Script {
                mail: Say(b"250\r\n"),
                ..ok()
            },
            "accepted",
        ),
    ] {
        let words = format!("{script:?}");
        let handover = one(script).await;
        assert_eq!(word(&handover), expected, "{words}: {handover:?}");
    }
}

#[tokio::test]
async fn after_the_final_dot_only_a_clear_answer_counts() {
    for (dot, expected) in [
        (Say(b"250 kept\r\n"), "accepted"),
        (Say(b"250\r\n"), "accepted"),
        (Say(b"250-kept\r\n250 really\r\n"), "accepted"),
        (Say(b"250 gr\xfc\xdfe\r\n"), "accepted"),
        (Later(200, b"250 kept\r\n"), "accepted"),
        (Say(b"250 kept\r\n421 bye\r\n"), "accepted"),
        (Say(b"250 kept\r\n550 refused\r\n"), "unknown"),
        (Say(b"250 kept\r\n250 kept\r\n"), "unknown"),
        (Say(b"550 refused\r\n250 kept\r\n"), "unknown"),
        (Say(b"251 kept\r\n"), "unknown"),
        (Say(b"299 kept\r\n"), "unknown"),
        (Say(b"354 go on\r\n"), "unknown"),
        (Say(b"600 kept\r\n"), "unknown"),
        (Say(b"099 kept\r\n"), "unknown"),
        (Say(b"25\r\n"), "unknown"),
        (Say(b"\r\n"), "unknown"),
        (Say(b"kept\r\n"), "unknown"),
        (Say(b"\xff\xfe\xfd \r\n"), "unknown"),
        (Say(b"250-kept\r\n550 or not\r\n"), "unknown"),
        (Twice(b"250-kept\r\n", 5_000, b"250 ok\r\n"), "unknown"),
        (Twice(b"25", 5_000, b"0 ok\r\n"), "unknown"),
        (Later(5_000, b"250 kept\r\n"), "unknown"),
        (Flood, "unknown"),
        (Hang, "unknown"),
        (Close, "unknown"),
        (Say(b"421 closing\r\n"), "retry"),
        (Say(b"451 later\r\n"), "retry"),
        (Say(b"552 too big\r\n"), "rejected"),
        (Say(b"550 5.1.1 nobody\r\n"), "rejected"),
    ] {
        let words = format!("{dot:?}");
        let handover = one(Script {
            dot: vec![dot],
            ..Script::default()
        })
        .await;
        assert_eq!(word(&handover), expected, "{words}: {handover:?}");
    }
}

#[tokio::test]
async fn a_reply_without_an_end_costs_little() {
    let server = ScriptServer::start(Script {
        dot: vec![Flood],
        ..Script::default()
    })
    .await;
    let handover = smtp(&server, 1).send(&mail(TO)).await;
    assert_eq!(word(&handover), "unknown", "{handover:?}");
    assert!(reply(&handover).contains("does not end"), "{handover:?}");
    // What the kernel buffers on both sides may have gone out, and no more.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let bytes = server.counts.flooded_bytes.load(SeqCst);
    assert!(bytes < 16 << 20, "{bytes} bytes");
}

#[tokio::test]
async fn a_large_mail_cut_in_the_middle_may_be_tried_again() {
    let server = ScriptServer::start(Script {
        hang_up_after_bytes: Some(1 << 20),
        ..Script::default()
    })
    .await;
    // Larger than what the kernel takes in advance.
    let handover = smtp(&server, 1).send(&mail_of_bytes(TO, 12 << 20)).await;
    assert_eq!(word(&handover), "retry", "{handover:?}");
    assert!(
        reply(&handover).contains("in the middle of the mail"),
        "{handover:?}"
    );
    assert_eq!(server.counts.mails.load(SeqCst), 0);
}

#[tokio::test]
async fn a_connection_is_kept_after_a_clear_answer_only() {
    let kept = [
        (Say(b"250 kept\r\n" as &[u8]), 1),
        (Say(b"250-a\r\n250 b\r\n"), 1),
        (Say(b"250 kept\r\n421 bye\r\n"), 2),
        (Say(b"550 no\r\n"), 2),
        // The server hangs up while the connection is idle.
        (Last(b"250 kept\r\n"), 2),
        (Say(b"250 kept\r\n250 kept\r\n"), 2),
        // The surplus comes late, while the connection is idle.
        (Twice(b"250 kept\r\n", 50, b"550 refused\r\n"), 2),
    ];
    for (first, connections) in kept {
        let words = format!("{first:?}");
        let server = ScriptServer::start(Script {
            dot: vec![first, Say(b"250 second\r\n")],
            ..Script::default()
        })
        .await;
        let smtp = smtp(&server, 4);
        smtp.send(&mail(TO)).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let second = smtp.send(&mail(TO)).await;
        assert_eq!(word(&second), "accepted", "{words}: {second:?}");
        assert_eq!(reply(&second), "250 second", "{words}");
        assert_eq!(
            server.counts.connections.load(SeqCst),
            connections,
            "{words}"
        );
    }
}

#[tokio::test]
async fn a_dropped_call_leaves_no_answer_to_the_next_mail() {
    let server = ScriptServer::start(Script {
        dot: vec![
            Later(300, b"550 the first is refused\r\n"),
            Say(b"250 second\r\n"),
        ],
        ..Script::default()
    })
    .await;
    let smtp = smtp(&server, 1);
    let first = mail(TO);
    let dropped = tokio::time::timeout(Duration::from_millis(150), smtp.send(&first)).await;
    assert!(dropped.is_err());
    let second = smtp.send(&mail(TO)).await;
    assert_eq!(reply(&second), "250 second", "{second:?}");
    assert_eq!(server.counts.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn no_more_connections_than_allowed_and_all_are_used_again() {
    let server = ScriptServer::start(Script {
        dot: vec![Later(20, b"250 kept\r\n")],
        ..Script::default()
    })
    .await;
    let smtp = Arc::new(smtp(&server, 3));
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let smtp = Arc::clone(&smtp);
        sends.spawn(async move { smtp.send(&mail(TO)).await });
    }
    while let Some(handover) = sends.join_next().await {
        let handover = handover.unwrap();
        assert_eq!(word(&handover), "accepted", "{handover:?}");
    }
    assert_eq!(server.counts.mails.load(SeqCst), 30);
    assert_eq!(server.counts.most_open.load(SeqCst), 3);
    assert_eq!(server.counts.connections.load(SeqCst), 3);
}

#[tokio::test]
async fn a_stripped_starttls_ends_before_any_mail() {
    let server = ScriptServer::start(Script::default()).await;
    let settings = SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        tls: TlsMode::Starttls,
        ..SmtpSettings::default()
    };
    let smtp = Smtp::new(settings, Arc::new(SystemClock)).unwrap();
    let handover = smtp.send(&mail(TO)).await;
    assert_eq!(word(&handover), "retry", "{handover:?}");
    assert!(reply(&handover).contains("nothing is sent unencrypted"));
    assert_eq!(server.counts.mails.load(SeqCst), 0);
}

#[tokio::test]
async fn addresses_outside_ascii_go_only_where_they_are_understood() {
    let with = ScriptServer::start(Script {
        ehlo: Say(b"250-script\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"),
        ..Script::default()
    })
    .await;
    let without = ScriptServer::start(Script::default()).await;
    let (local, domain) = ("zoë@customer.example", "ada@münchen.example");
    for (server, address, expected) in [
        (&without, local, "rejected"),
        (&with, local, "accepted"),
        (&without, domain, "accepted"),
    ] {
        let handover = smtp(server, 1).send(&mail(address)).await;
        assert_eq!(word(&handover), expected, "{address}: {handover:?}");
    }
    assert_eq!(without.counts.mails.load(SeqCst), 1);
}

/// Another process may have taken over: the mail breaks off before its final dot, and the server has nothing.
#[tokio::test]
async fn no_final_dot_leaves_a_process_that_is_not_heard_of() {
    let server = ScriptServer::start(Script::default()).await;
    let watched = Arc::new(Pulse::watched(Duration::ZERO));
    let smtp = smtp(&server, 1).with_pulse(watched);
    let handover = smtp.send(&mail(TO)).await;
    assert_eq!(word(&handover), "retry", "{handover:?}");
    assert!(reply(&handover).contains("has not heard of this process"));
    assert_eq!(server.counts.connections.load(SeqCst), 1);
    assert_eq!(server.counts.mails.load(SeqCst), 0);
}

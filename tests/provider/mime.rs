//! No byte of customer or template data changes the set of headers, the envelope or the parts: 2,000 hostile mails, read
//! back by Python's own parser.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sha2::Digest as _;
use tidings::domain::address::{Address, Personal};
use tidings::domain::channel::Channel;
use tidings::domain::clock::ManualClock;
use tidings::domain::content::{Content, Outgoing, Sender};
use tidings::domain::intent::Attachment;
use tidings::provider::Provider as _;
use tidings::provider::smtp::{Smtp, SmtpSettings, source};

use crate::mail_server::python;
use crate::outgoing::mail;
use crate::skip::root;

const CASES: u32 = 2_000;
const ADDRESSES: [&str; 4] = [
    "ada@customer.example",
    "-oQ/tmp@customer.example",
    "a%b=c@customer.example",
    "o'brien+tag@customer.example",
];

/// Text that tries to break out: line ends of all kinds, header and SMTP syntax, encodings, directions, long words.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\nBcc: evil@x.example\r\n".to_owned()),
        Just("\nSubject: other\n".to_owned()),
        Just("\r.\r".to_owned()),
        Just("\n.\n".to_owned()),
        Just("\r\n.\r\nMAIL FROM:<evil@x.example>\r\n".to_owned()),
        Just("\r\n\r\n--=_alternative_".to_owned()),
        Just("=?utf-8?q?=0D=0ABcc:_x?=".to_owned()),
        Just("\" <evil@x.example>, \"".to_owned()),
        Just(")(,;:\\\"[]@<>".to_owned()),
        Just("\0\u{1}\u{1b}[31m\u{7f}\u{85}".to_owned()),
        Just("\u{202e}txt.exe\u{2066}\u{200b}\u{feff}\u{2028}\u{2029}".to_owned()),
        Just("From \r\n.hidden".to_owned()),
        Just("x".repeat(1_100)),
        Just("ü".repeat(300)),
        Just("👩‍🚀🎂".to_owned()),
        Just("=20=\r\n=".to_owned()),
        Just(" \t \r\n \t".to_owned()),
        "\\PC{0,40}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn attachment() -> impl Strategy<Value = Attachment> {
    let kind = prop_oneof![
        Just("application/pdf".to_owned()),
        Just("text/html; charset=utf-8".to_owned()),
        Just("message/rfc822".to_owned()),
        Just("multipart/mixed; boundary=x".to_owned()),
        hostile(),
    ];
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        hostile().prop_map(String::into_bytes),
    ];
    (hostile(), kind, content).prop_map(|(filename, media_type, content)| Attachment {
        filename,
        media_type,
        content,
    })
}

fn any_mail() -> impl Strategy<Value = Outgoing> {
    let texts = (hostile(), hostile(), hostile(), hostile(), hostile());
    let rest = (
        hostile(),
        hostile(),
        prop_oneof![
            Just("https://shop.example/u?".to_owned()),
            Just(String::new())
        ],
        0..ADDRESSES.len(),
        prop::collection::vec(attachment(), 0..3),
    );
    (texts, rest).prop_map(|(texts, rest)| {
        let (subject, html, text, sender_name, recipient) = texts;
        let (template, url_tail, url, address, attachments) = rest;
        let mut outgoing = mail(ADDRESSES[address]);
        outgoing.recipient_name = Personal::new(recipient);
        outgoing.template = template;
        outgoing.attachments = attachments;
        outgoing.content = Content::Email {
            subject,
            preheader: String::new(),
            html,
            text,
            sender: Sender {
                name: sender_name,
                address: "orders@shop.example".to_owned(),
            },
            unsubscribe_url: if url.is_empty() { url } else { url + &url_tail },
        };
        outgoing
    })
}

/// What every mail must be on the wire, whatever is in it.
fn check_bytes(bytes: &[u8], outgoing: &Outgoing) {
    assert!(!bytes.is_empty(), "{outgoing:?}");
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + 1).copied();
        match byte {
            b'\r' => assert_eq!(after, Some(b'\n'), "a bare CR at {at}"),
            b'\n' => assert_eq!(before, Some(b'\r'), "a bare LF at {at}"),
            byte => assert!(
                (0x20..0x7f).contains(byte) || *byte == b'\t',
                "byte {byte} at {at}"
            ),
        }
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999, "a line of {} bytes", line.len());
    }
}

fn write_cases(folder: &Path) -> Vec<Outgoing> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = any_mail();
    let date = "2026-11-22T12:00:00Z".parse().unwrap();
    (0..CASES)
        .map(|number| {
            let outgoing = strategy.new_tree(&mut runner).unwrap().current();
            let bytes = source(&outgoing, "shop.example", date);
            check_bytes(&bytes, &outgoing);
            std::fs::write(folder.join(format!("{number:05}.eml")), bytes).unwrap();
            outgoing
        })
        .collect()
}

/// One run of Python for all of them: a JSON line for each.
fn parse_all(python: &Path, folder: &Path) -> Vec<serde_json::Value> {
    let program = "import json, pathlib, sys\nsys.path.insert(0, sys.argv[1])\nimport parse_mail\n\
        for file in sorted(pathlib.Path(sys.argv[2]).glob('*.eml')):\n    \
        try: print(json.dumps(parse_mail.parse(file.read_bytes())))\n    \
        except Exception as fault: sys.exit(f'{fault!r} in {file.read_bytes()[:2000]}')\n";
    let output = std::process::Command::new(python)
        .args(["-c", program])
        .arg(root().join("tests/servers"))
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check_parsed(parsed: &serde_json::Value, outgoing: &Outgoing) {
    let Content::Email {
        unsubscribe_url, ..
    } = &outgoing.content
    else {
        unreachable!()
    };
    let names: Vec<&str> = parsed["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| header[0].as_str().unwrap())
        .collect();
    let mut expected = vec![
        "Message-ID",
        "Date",
        "From",
        "To",
        "Subject",
        "Auto-Submitted",
        "X-Notification-Template",
    ];
    if names.contains(&"List-Unsubscribe") {
        assert!(!unsubscribe_url.is_empty());
        expected.extend(["List-Unsubscribe", "List-Unsubscribe-Post"]);
    }
    expected.extend(["MIME-Version", "Content-Type"]);
    assert_eq!(names, expected);
    assert_eq!(parsed["from"].as_array().unwrap().len(), 1);
    assert_eq!(parsed["from"][0]["address"], "orders@shop.example");
    assert_eq!(parsed["to"].as_array().unwrap().len(), 1);
    assert_eq!(parsed["to"][0]["address"], outgoing.address.reveal());
    assert_eq!(
        parsed["message_id"],
        format!("<{}@shop.example>", outgoing.message)
    );
    assert_eq!(parsed["date"], "2026-11-22T12:00:00+00:00");
    let attachments = parsed["attachments"].as_array().unwrap();
    assert_eq!(attachments.len(), outgoing.attachments.len());
    for (seen, sent) in attachments.iter().zip(&outgoing.attachments) {
        let mut hash = String::new();
        for byte in sha2::Sha256::digest(&sent.content) {
            write!(hash, "{byte:02x}").unwrap();
        }
        assert_eq!(seen["sha256"], hash);
        let name = seen["filename"].as_str().unwrap();
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\r', '\n', '\0', '\u{202e}']));
        let kind = seen["type"].as_str().unwrap();
        assert!(
            !kind.starts_with("multipart/") && !kind.starts_with("message/"),
            "{kind}"
        );
    }
    let kinds: Vec<&str> = parsed["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["type"].as_str().unwrap())
        .take(4)
        .collect();
    match outgoing.attachments.is_empty() {
        true => assert_eq!(kinds, ["multipart/alternative", "text/plain", "text/html"]),
        false => assert_eq!(
            kinds,
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "text/html"
            ]
        ),
    }
    // A document may be text in another encoding than it says; that is its own affair.
    let faults = parsed["faults"].as_array().unwrap().iter();
    let ours: Vec<_> = faults
        .filter(|fault| !fault.as_str().unwrap().contains("codec can't decode"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn no_data_changes_headers_envelope_or_parts() {
    let folder = tempfile::tempdir().unwrap();
    let cases = write_cases(folder.path());
    let Some(python) = python() else {
        return;
    };
    let parsed = parse_all(&python, folder.path());
    assert_eq!(parsed.len(), cases.len());
    for (number, (parsed, outgoing)) in parsed.iter().zip(&cases).enumerate() {
        let outcome = std::panic::catch_unwind(|| check_parsed(parsed, outgoing));
        assert!(
            outcome.is_ok(),
            "case {number}:\n{}\n{:#}",
            std::fs::read_to_string(folder.path().join(format!("{number:05}.eml"))).unwrap(),
            parsed["faults"]
        );
    }
}

#[test]
fn what_was_written_is_what_is_read() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut outgoing = mail("ada@customer.example");
    outgoing.attachments.push(Attachment {
        filename: "Rechnung März.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        content: b"%PDF-1.7".to_vec(),
    });
    let date = "2026-11-22T12:00:00Z".parse().unwrap();
    let bytes = source(&outgoing, "shop.example", date);
    assert_eq!(bytes, source(&outgoing, "shop.example", date));
    std::fs::write(folder.path().join("1.eml"), &bytes).unwrap();
    let parsed = &parse_all(&python, folder.path())[0];
    assert_eq!(parsed["subject"], "Your order 4711 is on its way");
    assert_eq!(parsed["from"][0]["name"], "Casa Verde");
    assert_eq!(parsed["to"][0]["name"], "Ada Lovelace");
    assert_eq!(parsed["parts"][2]["text"], "Olá Ada,\n.\nit ships.\n");
    assert_eq!(parsed["attachments"][0]["filename"], "Rechnung März.pdf");
    let header = |name: &str| {
        let headers = parsed["headers"].as_array().unwrap();
        let found = headers.iter().find(|header| header[0] == name).unwrap();
        found[1].as_str().unwrap().to_owned()
    };
    assert_eq!(header("List-Unsubscribe"), "<https://shop.example/u/abc>");
    assert_eq!(
        header("List-Unsubscribe-Post"),
        "List-Unsubscribe=One-Click"
    );
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(header("X-Notification-Template"), "order.confirmation");
}

/// One change to each thing that stands in a mail, and three that move a byte to the next thing.
fn changed(before: &Outgoing) -> Vec<Outgoing> {
    let with = |change: &dyn Fn(&mut Outgoing)| {
        let mut outgoing = before.clone();
        change(&mut outgoing);
        outgoing
    };
    type Texts<'a> = [&'a mut String; 6];
    let texts = |change: &dyn Fn(Texts<'_>)| {
        with(&|outgoing| match &mut outgoing.content {
            Content::Email {
                subject,
                html,
                text,
                sender,
                unsubscribe_url,
                ..
            } => change([
                subject,
                html,
                text,
                &mut sender.name,
                &mut sender.address,
                unsubscribe_url,
            ]),
            _ => unreachable!(),
        })
    };
    let mut all: Vec<Outgoing> = (0..6).map(|n| texts(&|texts| texts[n].push('x'))).collect();
    all.push(texts(&|[_, html, text, ..]| html.push(text.pop().unwrap())));
    all.extend([
        with(&|it| it.message = mail("ada@customer.example").message),
        with(&|it| it.template.push('x')),
        with(&|it| {
            it.address = Address::try_new(Channel::Email, "bob@customer.example").unwrap();
        }),
        with(&|it| it.recipient_name = Personal::new("Ada L.")),
        with(&|it| it.attachments[0].filename.insert(0, 'x')),
        with(&|it| it.attachments[0].media_type = "text/plain".to_owned()),
        with(&|it| it.attachments[0].content.push(b'x')),
        with(&|it| {
            let byte = it.attachments[0].filename.remove(0);
            it.recipient_name = Personal::new(format!("Ada Lovelace{byte}"));
        }),
        with(&|it| {
            let byte = it.attachments[0].content.pop().unwrap();
            it.attachments[0].media_type.push(char::from(byte));
        }),
        with(&|it| it.attachments.push(it.attachments[0].clone())),
        with(&|it| it.attachments.clear()),
    ]);
    all
}

#[test]
fn a_fingerprint_tells_mails_apart_and_not_their_dates() {
    let clock = Arc::new(ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap()));
    let smtp = |domain: &str| {
        let settings = SmtpSettings {
            host: "localhost".to_owned(),
            message_id_domain: domain.to_owned(),
            ..SmtpSettings::default()
        };
        Smtp::new(settings, clock.clone()).unwrap()
    };
    let (ours, other) = (smtp("shop.example"), smtp("other.example"));
    let date = "2026-11-22T12:00:00Z".parse().unwrap();
    let mut before = mail("ada@customer.example");
    before.attachments.push(Attachment {
        filename: "invoice.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        content: b"%PDF-1.7".to_vec(),
    });
    let fingerprint = ours.fingerprint(&before);
    let mut seen = vec![(source(&before, "shop.example", date), fingerprint.clone())];
    assert_ne!(fingerprint, other.fingerprint(&before));
    clock.advance_to("2026-11-22T13:00:00Z".parse().unwrap());
    assert_eq!(fingerprint, ours.fingerprint(&before));
    for after in changed(&before) {
        let pair = (
            source(&after, "shop.example", date),
            ours.fingerprint(&after),
        );
        for (bytes, fingerprint) in &seen {
            assert_ne!(
                *bytes, pair.0,
                "the change has to be seen in the mail: {after:?}"
            );
            assert_ne!(*fingerprint, pair.1, "{after:?}");
        }
        seen.push(pair);
    }
}

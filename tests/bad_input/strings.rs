//! Strings that try to break out, through every field that reaches a mail: by gRPC into the gateway, by its own SMTP session onto a
//! socket, and from there into Python's mail parser. However a string reads, the mail has the headers, the envelope, the parts and
//! the lines of any other.
//!
//! 20,000 strings here; `make faults ROWS=MIME COUNT=1000000` takes others each time and adds to the fault matrix.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tidings::catalog::{Catalog, Source};
use tidings::config::Config;
use tidings::domain::clock::{Clock as _, SystemClock};

use crate::gateway::{Embedded, copy, folder};
use crate::hostile::Hostile;
use crate::letter::{ATTACHMENTS, Letter};
use crate::mail_parser::{MailParser, header_names, part_types};
use crate::matrix;
use crate::recorder::{Recorded, Recorder};
use crate::report::{self, Run};
use crate::shop::{NOON, at, get, place, post};
use crate::skip::root;

/// The row of the fault matrix, and how many strings a round of it has.
const ROW: &str = "MIME";
const ROUND: usize = 50_000;
/// Mails that are under way at once.
const AT_ONCE: usize = 32;
/// The headers of every mail about an order, in order.
const HEADERS: [&str; 9] = [
    "Message-ID",
    "Date",
    "From",
    "To",
    "Subject",
    "Auto-Submitted",
    "X-Notification-Template",
    "MIME-Version",
    "Content-Type",
];

/// The shipped templates with another name for the shop and its sender.
fn templates(folder: &Path, name: &str) -> Source {
    let target = folder.join("templates");
    copy(&root().join("templates"), &target);
    let file = target.join("shop.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let quoted = toml::Value::String(name.to_owned()).to_string();
    let renamed = text.replace("name = \"Nordlicht\"", &format!("name = {quoted}"));
    std::fs::write(&file, renamed).unwrap();
    Source::Folder(target)
}

async fn open(port: u16, name: &str) -> Embedded {
    let folder = folder();
    let source = templates(folder.path(), name);
    let mut config = Config::embedded(folder.path());
    place(&mut config, vec![post(port)]);
    Embedded::start_with(folder, config, source, at(NOON)).await
}

/// What is wrong with a mail on the wire.
fn faults(recorded: &Recorded, expected: &str, parsed: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |good: bool, what: String| {
        if !good {
            faults.push(what);
        }
    };
    let mail = recorded.mail();
    let bare = |at: usize| match mail[at] {
        b'\r' => mail.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || mail[at - 1] != b'\r',
        byte => byte == 0,
    };
    check(
        !(0..mail.len()).any(bare),
        "a bare CR or LF, or a NUL".into(),
    );
    let longest = mail
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::len)
        .max()
        .unwrap();
    check(longest <= 999, format!("a line of {longest} bytes"));

    let (from, options) = recorded.from.split_once('>').unwrap_or_default();
    let known = |option: &str| {
        option == "BODY=8BITMIME" || option == "SMTPUTF8" || option.starts_with("SIZE=")
    };
    let ours =
        from == "MAIL FROM:<orders@shop.example" && options.split_ascii_whitespace().all(known);
    check(ours, recorded.from.clone());
    check(
        recorded.to == [format!("RCPT TO:<{expected}>")],
        format!("{:?}", recorded.to),
    );

    let headers = header_names(parsed);
    check(headers == HEADERS, format!("headers {headers:?}"));
    check(
        parsed["from"]
            .as_array()
            .is_some_and(|from| from.len() == 1),
        format!("from {}", parsed["from"]),
    );
    check(
        parsed["from"][0]["address"] == "orders@shop.example",
        format!("from {}", parsed["from"]),
    );
    check(
        parsed["to"].as_array().is_some_and(|to| to.len() == 1),
        format!("to {}", parsed["to"]),
    );
    check(
        parsed["to"][0]["address"] == expected,
        format!("to {}", parsed["to"]),
    );
    let types = part_types(parsed);
    let own = [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
    ];
    check(
        types.len() == own.len() + ATTACHMENTS && types[..own.len()] == own,
        format!("parts {types:?}"),
    );
    let attached = parsed["attachments"].as_array().map_or(0, Vec::len);
    check(attached == ATTACHMENTS, format!("{attached} attachments"));
    // A document may be text in another encoding than it says; and this parser knows no letters beyond ASCII before the @.
    let theirs = |fault: &str| {
        let beyond = ["NonASCIILocalPartDefect", "UndecodableBytesDefect"];
        let address = !expected.is_ascii() && fault.starts_with("part 0: To: ");
        fault.contains("codec") || (address && beyond.iter().any(|kind| fault.contains(kind)))
    };
    for fault in parsed["faults"].as_array().unwrap() {
        let fault = fault.as_str().unwrap();
        check(theirs(fault), fault.to_owned());
    }
    faults
}

/// What has been seen so far.
#[derive(Default)]
struct Count {
    strings: usize,
    /// By field.
    refused: BTreeMap<String, usize>,
    mails: usize,
}

/// A gateway of a shop with a hostile name, if such a name is taken.
async fn open_shop(port: u16, hostile: &mut Hostile, count: &mut Count) -> Embedded {
    let name = hostile.within(60);
    count.strings += 1;
    let tried = tempfile::tempdir().unwrap();
    match Catalog::open(templates(tried.path(), &name)) {
        Ok(_) => open(port, &name).await,
        Err(_) => {
            *count.refused.entry("shop.toml name".into()).or_default() += 1;
            open(port, "Nordlicht").await
        }
    }
}

/// Some mails at once, each looked at when it has arrived.
async fn round(
    gateway: &Embedded,
    recorder: &Recorder,
    parser: &mut MailParser,
    hostile: &mut Hostile,
    count: &mut Count,
) {
    let mut letters: Vec<Letter> = (0..AT_ONCE)
        .map(|at| Letter::write(count.mails + at, hostile))
        .collect();
    let sent = letters
        .iter_mut()
        .map(|letter| letter.send(&gateway.client));
    let sent = futures::future::join_all(sent).await;
    gateway.settle().await;
    let (mails, broken) = recorder.take();
    assert!(broken.is_empty(), "{broken:?}");
    let mut arrived: BTreeMap<String, Recorded> = BTreeMap::new();
    for mail in mails {
        let host = mail
            .to
            .first()
            .and_then(|to| Some(to.rsplit_once('@')?.1.to_owned()));
        let twice = arrived.insert(host.unwrap_or_default(), mail);
        assert!(twice.is_none(), "two mails for one: {twice:?}");
    }
    for (letter, (name, refused)) in letters.iter().zip(sent) {
        count.strings += letter.fields.len();
        count.mails += 1;
        for (path, times) in refused {
            *count.refused.entry(path).or_default() += times;
        }
        let Some(mail) = arrived.remove(&format!("m{}.example.com>", letter.number)) else {
            panic!(
                "did not arrive: {:?} to {:?}",
                get(&gateway.client, &name).await,
                letter.address()
            );
        };
        let parsed = parser.parse(&mail.mail());
        let faults = faults(&mail, &letter.address(), &parsed);
        assert!(
            faults.is_empty(),
            "{faults:#?}\n{}\n{parsed:#}",
            String::from_utf8_lossy(&mail.data)
        );
    }
    assert!(arrived.is_empty(), "mails that nobody sent: {arrived:?}");
}

/// Sends so many strings, or some more, in mails of several shops, for each shop has a name of its own. `None`: nothing here reads mails.
async fn send(wanted: usize, seed: u64) -> Option<Count> {
    let mut parser = MailParser::start()?;
    let mut hostile = Hostile::new(seed);
    let recorder = Recorder::start().await;
    let mut count = Count::default();
    let per_shop = (wanted / 81 / 5).clamp(AT_ONCE, 1_000);
    while count.strings < wanted {
        let gateway = open_shop(recorder.port, &mut hostile, &mut count).await;
        let enough = count.mails + per_shop;
        while count.mails < enough && count.strings < wanted {
            round(&gateway, &recorder, &mut parser, &mut hostile, &mut count).await;
        }
        gateway.stop().await;
        println!("{} strings in {} mails", count.strings, count.mails);
    }
    let refused: usize = count.refused.values().sum();
    println!(
        "{} strings (seed {seed}) in {} mails; {refused} were refused: {:#?}",
        count.strings, count.mails, count.refused
    );
    assert!(
        refused * 2 < count.strings,
        "too few strings are left to prove anything"
    );
    Some(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_string_of_a_caller_changes_a_mail() {
    send(20_000, 7).await;
}

/// In rounds, each added to the record when it has found nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; make faults runs it"]
async fn the_rows_asked_for() {
    let asked = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    if !asked("TIDINGS_TEST_ROWS").split(',').any(|row| row == ROW) {
        return;
    }
    let mut left: usize = asked("TIDINGS_TEST_COUNT").parse().unwrap();
    while left > 0 {
        let seed = SystemClock.now().as_microsecond().unsigned_abs();
        let Some(count) = send(left.min(ROUND), seed).await else {
            return;
        };
        left = left.saturating_sub(count.strings);
        let run = Run {
            deaths: u64::try_from(count.strings).unwrap(),
            intents: u64::try_from(count.mails).unwrap(),
            ..Run::default()
        };
        report::record(matrix::named(ROW), run);
    }
}

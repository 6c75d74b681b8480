//! The program against the gateway itself, both as processes of their own, in a pipe: the commands that people type
//! first, and their exit codes.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod support {
    pub(crate) mod binary;
    pub(crate) mod program;
}

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use support::binary::Binary;
use support::program::{Ended, field, program, run};
use tempfile::TempDir;

/// A gateway with a folder for files beside its data.
struct Live {
    binary: Binary,
    folder: TempDir,
}

impl Live {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = Binary::dev(&folder.path().join("data"));
        Self { binary, folder }
    }

    fn try_it(&self, arguments: &[&str]) -> Ended {
        run(program()
            .args(arguments)
            .env("TIDINGS_ADDRESS", &self.binary.grpc))
    }

    /// Must end with `code`.
    fn ends(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let (ended, out, err) = self.try_it(arguments);
        assert_eq!(ended, code, "{arguments:?}\n{out}\n{err}");
        (out, err)
    }

    /// Must succeed and print one JSON value.
    fn json(&self, arguments: &[&str]) -> Value {
        let (out, _) = self.ends(0, arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn count(&self) -> usize {
        let (out, _) = self.ends(0, &["notifications", "list", "--limit", "1000"]);
        out.lines().count()
    }
}

const SHIPPED: [&str; 4] = ["send", "order.shipped", "--to", "ada@example.com"];

fn shipped<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SHIPPED.iter().chain(more).copied().collect()
}

#[test]
fn a_send_as_the_readme_has_it_goes_out_and_can_be_looked_at() {
    let live = Live::start();
    let (out, _) = live.ends(0, &shipped(&["--var", "order.number=4711", "--wait"]));
    assert_eq!(field(&out, "ended"), "SENT (HANDED_OVER)");
    let id = field(&out, "notification").to_owned();
    assert!(
        out.lines().all(|line| line.split('\t').count() == 2),
        "{out}"
    );

    let found = live.json(&["notifications", "view", &id, "--json"]);
    assert_eq!(found["intent"]["variables"]["order"]["number"], "4711");
    assert_eq!(found["messages"][0]["channel"], "CHANNEL_EMAIL");
    let (out, _) = live.ends(0, &["notifications", "view", &id]);
    assert_eq!(field(&out, "state"), "SENT (HANDED_OVER)");
    let (out, _) = live.ends(0, &["notifications", "list", "--filter", "state = SENT"]);
    assert_eq!(out.split('\t').nth(1), Some(id.as_str()), "{out}");

    let (out, _) = live.ends(0, &["explain", &id]);
    assert!(out.contains("\nrequest\tpass\t-\t-\tnew\n"), "{out}");
    assert!(
        out.contains("\nsuppression\tpass\t-\t-\tno entry for email\n"),
        "{out}"
    );
    assert!(
        out.lines().all(|line| line.split('\t').count() == 5),
        "{out}"
    );
    let steps = live.json(&["explain", &id, "--json"]);
    assert_eq!(steps["steps"][0]["rule"], "schema");

    // Text stays text, JSON is JSON, and what the template does not take is refused.
    let (_, err) = live.ends(1, &shipped(&["--var", "order.number:=4711"]));
    assert!(err.contains("VARIABLES_INVALID"), "{err}");
    live.ends(0, &shipped(&["--var", "order:={\"number\":\"4712\"}"]));
    let data = live.file("data.json", "{\"order\":{\"number\":\"4713\"}}");
    let attachment = live.file("invoice.pdf", "%PDF-1.4");
    let arguments = shipped(&["--data", &data, "--attach", &attachment, "--wait", "--json"]);
    assert_eq!(live.json(&arguments)["stateReason"], "HANDED_OVER");
    // Three were accepted, the refused one is nowhere, and a dry run leaves nothing.
    assert_eq!(live.count(), 3);
    let (out, _) = live.ends(0, &shipped(&["--var", "order.number=1", "--dry-run"]));
    assert!(out.contains("nothing was stored"), "{out}");
    assert_eq!(live.count(), 3);

    let (_, err) = live.ends(1, &["notifications", "cancel", &id]);
    assert!(err.contains("ALREADY_FINAL"), "{err}");
    let (_, err) = live.ends(1, &["explain", "nonsense"]);
    assert!(
        err.contains("try: see what there is with: tidings notifications list"),
        "{err}"
    );
    let (_, err) = live.ends(1, &["send", "order.shiped", "--to", "c"]);
    assert!(
        err.contains("TEMPLATE_NOT_FOUND") && err.contains("tidings templates list"),
        "{err}"
    );
    live.ends(2, &["send", "order.shipped"]);
}

#[test]
fn a_request_id_is_remembered_and_a_file_says_which_line_was_wrong() {
    let live = Live::start();
    let once = shipped(&["--var", "order.number=1", "--request-id", "once"]);
    let (first, _) = live.ends(0, &once);
    let (again, _) = live.ends(0, &once);
    assert_eq!(
        (field(&first, "request"), field(&again, "request")),
        ("new", "seen before")
    );
    assert_eq!(field(&first, "notification"), field(&again, "notification"));
    let (_, err) = live.ends(
        1,
        &shipped(&["--var", "order.number=2", "--request-id", "once"]),
    );
    assert!(err.contains("REQUEST_ID_REUSED"), "{err}");

    let good = |id: &str| {
        format!(
            "{{\"requestId\":\"{id}\",\"intent\":{{\"inlineRecipient\":{{\"emailAddress\":\"ada@example.com\"}},\
             \"template\":\"order.shipped\",\"variables\":{{\"order\":{{\"number\":\"1\"}}}},\
             \"sendTime\":\"2027-01-01T12:00:00Z\",\"cancellationKey\":\"orders/1\"}}}}\n"
        )
    };
    let text = format!("{}{{\"requestId\": 7 bad\n{}", good("f-1"), good("f-3"));
    let file = live.file("intents.jsonl", &text);
    let (out, _) = live.ends(1, &["send", "--file", &file, "--dry-run"]);
    assert_eq!(field(&out, "valid"), "2");
    assert_eq!(live.count(), 1);
    let (out, err) = live.ends(1, &["send", "--file", &file]);
    assert_eq!(
        (field(&out, "accepted"), field(&out, "refused")),
        ("2", "1")
    );
    assert!(
        err.starts_with("line 2: ") && err.contains(" at column "),
        "{err}"
    );
    assert!(!err.contains("at line 1"), "{err}");
    let (out, _) = live.ends(1, &["send", "--file", &file]);
    assert_eq!(
        (field(&out, "accepted"), field(&out, "seen before")),
        ("0", "2")
    );
    assert_eq!(live.count(), 3);

    // They wait for their time and can be called off, once.
    let (out, _) = live.ends(0, &["notifications", "cancel", "--key", "orders/1"]);
    assert_eq!(field(&out, "cancelled"), "2");
    let (out, _) = live.ends(0, &["notifications", "cancel", "--key", "orders/1"]);
    assert_eq!(field(&out, "cancelled"), "0");
}

#[test]
fn a_customers_choices_count_and_are_explained() {
    let live = Live::start();
    let upsert = [
        "customers",
        "upsert",
        "c-42",
        "--email",
        "bob@example.com",
        "--time-zone",
        "Europe/Berlin",
    ];
    let (out, _) = live.ends(0, &upsert);
    assert_eq!(field(&out, "email"), "bob@example.com");
    let (out, _) = live.ends(
        0,
        &["customers", "preferences", "c-42", "--opt-out", "delivery"],
    );
    assert_eq!(field(&out, "topic delivery"), "off");
    let (_, err) = live.ends(
        1,
        &["customers", "preferences", "c-42", "--opt-out", "nonsense"],
    );
    assert!(
        err.contains("no such topic") && err.contains("tidings templates list"),
        "{err}"
    );

    let send = [
        "send",
        "order.shipped",
        "--to",
        "c-42",
        "--var",
        "order.number=1",
        "--wait",
    ];
    let (out, err) = live.ends(4, &send);
    assert_eq!(field(&out, "ended"), "SUPPRESSED (TOPIC_OPTED_OUT)");
    let id = field(&out, "notification");
    assert!(
        err.contains(&format!("try: see why with: tidings explain {id}")),
        "{err}"
    );
    let (out, _) = live.ends(0, &["explain", id]);
    assert!(out.contains("topic\tstop\tTOPIC_OPTED_OUT"), "{out}");

    // What would be, in the middle of a night in Berlin; nothing of it is stored.
    let data = r#"{"order":{"number":"1"},"product":{"id":"p-1","name":"Lamp"},"review_url":"https://shop.example/r/1"}"#;
    let data = live.file("review.json", data);
    let before = live.count();
    let night = [
        "explain",
        "--template",
        "review.request",
        "--to",
        "c-42",
        "--data",
        &data,
        "--at",
        "2026-11-24T22:30:00Z",
    ];
    let (out, _) = live.ends(0, &night);
    assert!(out.contains("quiet_hours\tdelay\tQUIET_HOURS"), "{out}");
    assert_eq!(live.count(), before);

    let lines = "{\"customer\":{\"name\":\"customers/c-50\"}}\n{\"customer\":{\"name\":\"customers/c-51\",\"timeZone\":\"Nowhere\"}}\n";
    let (out, err) = live.ends(
        1,
        &["customers", "import", &live.file("customers.jsonl", lines)],
    );
    assert_eq!(
        (field(&out, "accepted"), field(&out, "refused")),
        ("1", "1")
    );
    assert!(err.starts_with("line 2: customer.time_zone"), "{err}");
    live.ends(0, &["customers", "view", "c-50"]);
    live.ends(2, &["customers", "erase", "c-50"]);
    live.ends(0, &["customers", "erase", "c-50", "--yes"]);
    live.ends(1, &["customers", "view", "c-50"]);
}

#[test]
fn templates_are_listed_and_rendered() {
    let live = Live::start();
    let (out, _) = live.ends(0, &["templates", "list"]);
    assert!(
        out.lines()
            .any(|line| line.starts_with("order.shipped\tOrder shipped\ttransactional\t")),
        "{out}"
    );
    let (out, _) = live.ends(
        0,
        &["templates", "render", "order.shipped", "--channel", "sms"],
    );
    assert!(out.contains("1 segment, GSM-7"), "{out}");
    let (html, _) = live.ends(
        0,
        &["templates", "render", "order.shipped", "--part", "html"],
    );
    assert!(html.starts_with("<!DOCTYPE html>"), "{html}");
    live.ends(1, &["templates", "render", "nonsense"]);
    live.binary.kill();
}

#[test]
fn a_tail_shows_what_happens_and_a_gateway_that_has_gone_is_5() {
    let live = Live::start();
    let mut tail = program()
        .args(["tail", "--filter", "state = SENT"])
        .env("TIDINGS_ADDRESS", &live.binary.grpc)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(tail.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    // It shows what comes after it has connected, so there is something new until it has.
    let line = (0..60).find_map(|_| {
        live.ends(0, &shipped(&["--var", "order.number=1"]));
        lines.recv_timeout(Duration::from_millis(500)).ok()
    });
    let line = line.unwrap();
    assert!(
        line.ends_with("\torder.shipped\t(address)\tSENT (HANDED_OVER)"),
        "{line}"
    );
    tail.kill().unwrap();
    tail.wait().unwrap();
    reading.join().unwrap();

    let Live { binary, .. } = live;
    let (grpc, console) = (binary.grpc.clone(), binary.console.clone());
    assert_eq!(binary.terminate(), Some(0));
    for address in [grpc, console] {
        let (code, _, err) = run(program().args(["notifications", "list", "--address", &address]));
        assert_eq!(code, 5, "{err}");
        assert!(err.contains("start one with: tidings dev"), "{err}");
    }
}

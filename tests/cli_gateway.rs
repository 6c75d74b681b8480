//! The program against a gateway: a real gRPC server on port 0 that answers as told. What the gateway itself would
//! answer is tested elsewhere; here it is what the command line asks, prints and ends with.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says what it expects by failing, and what it skips by a line"
)]

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tidings::proto::customer_service_server::CustomerServiceServer;
use tidings::proto::explain_notification_request::Subject;
use tidings::proto::notification::State;
use tidings::proto::notification_service_server::NotificationServiceServer;
use tidings::proto::template_service_server::TemplateServiceServer;
use tidings::proto::{json, notification_intent, wire_time};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_stream::wrappers::TcpListenerStream;

#[path = "cli_gateway/fake.rs"]
mod fake;

use fake::Fake;

/// A running fake; its task ends with the test's runtime.
struct Gateway {
    fake: Fake,
    address: SocketAddr,
    folder: TempDir,
}

impl Gateway {
    async fn start(fake: Fake) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(NotificationServiceServer::new(fake.clone()))
            .add_service(CustomerServiceServer::new(fake.clone()))
            .add_service(TemplateServiceServer::new(fake.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Self {
            fake,
            address,
            folder: TempDir::new().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command
            .args(arguments)
            .env("TIDINGS_ADDRESS", self.address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs to the end: exit code, standard output, standard error.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let run = self.command(arguments).output();
        let output: Output = tokio::time::timeout(Duration::from_secs(30), run)
            .await
            .unwrap()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn file(&self, text: &str) -> String {
        let path = self.folder.path().join("file");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_notification_is_sent_as_it_was_typed() {
    let gateway = Gateway::start(Fake::default()).await;
    let invoice = gateway.folder.path().join("invoice.pdf");
    std::fs::write(&invoice, b"%PDF-1.7").unwrap();
    let invoice = invoice.to_str().unwrap();
    let (code, out, err) = gateway
        .run(&[
            "send",
            "order.shipped",
            "--to",
            "ada@shop.example",
            "--var",
            "order.number=4711",
            "--attach",
            invoice,
        ])
        .await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "notification\tn-1\nstate\tACCEPTED (ACCEPTED)\nrequest\tnew\n"
    );
    let sent = gateway.fake.sends.lock().unwrap().remove(0);
    assert!(sent.request_id.starts_with("cli-") && sent.request_id.len() <= 128);
    let intent = sent.intent.unwrap();
    assert!(
        matches!(&intent.recipient, Some(notification_intent::Recipient::InlineRecipient(to)) if to.email_address == "ada@shop.example")
    );
    assert_eq!(
        serde_json::Value::Object(json(intent.variables.unwrap()).unwrap()),
        serde_json::json!({"order": {"number": "4711"}})
    );
    assert_eq!(intent.attachments[0].filename, "invoice.pdf");
    assert_eq!(intent.attachments[0].media_type, "application/pdf");

    let (code, out, _) = gateway
        .run(&[
            "send",
            "order.shipped",
            "--to",
            "c-1",
            "--request-id",
            "r",
            "--json",
        ])
        .await;
    assert_eq!(code, 0);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["notification"]["state"], "STATE_ACCEPTED");
    assert_eq!(
        answer["notification"]["createTime"],
        "2026-11-22T14:03:11.500Z"
    );

    let (code, out, err) = gateway.run(&["send", "no.such", "--to", "c-1"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "error: there is no template no.such (TEMPLATE_NOT_FOUND)\n  try: see what there is with: tidings templates list\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_with_0_when_sent_and_with_4_when_not() {
    use State::{Processing, Sent, Suppressed};
    for (states, want) in [
        (vec![(Processing, "READY"), (Sent, "HANDED_OVER")], 0),
        (
            vec![
                (Processing, "READY"),
                (Sent, "PROVIDER_UNKNOWN"),
                (State::Failed, "PROVIDER_UNKNOWN"),
            ],
            4,
        ),
        (vec![(Suppressed, "TOPIC_OPTED_OUT")], 4),
    ] {
        let last = states.last().unwrap().1;
        let gateway = Gateway::start(Fake {
            states: Arc::new(Mutex::new(states)),
            ..Fake::default()
        })
        .await;
        let (code, out, err) = gateway
            .run(&["send", "order.shipped", "--to", "c-1", "--wait"])
            .await;
        assert_eq!(code, want, "{out}{err}");
        assert!(out.contains("ended\t") && out.contains(last), "{out}");
    }
    let states = Arc::new(Mutex::new(vec![(State::Scheduled, "QUIET_HOURS")]));
    let gateway = Gateway::start(Fake {
        states,
        ..Fake::default()
    })
    .await;
    let (code, _, err) = gateway
        .run(&["send", "order.shipped", "--to", "c-1", "--wait=1s"])
        .await;
    assert_eq!(code, 4);
    assert!(
        err.contains("has not ended yet") && err.contains("tidings explain n-1"),
        "{err}"
    );
}

const GOOD: &str =
    r#"{"intent":{"customerId":"c-1","template":"order.shipped","variables":{}},"requestId":"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_line_by_line_and_each_refusal_has_its_number() {
    let gateway = Gateway::start(Fake::default()).await;
    let bad_template = GOOD.replace("order.shipped", "no.such");
    let file = gateway.file(&format!(
        "{GOOD}\"r-1\"}}\n\nnot json\n{bad_template}\"r-2\"}}\n{{\"intent\":{{\"templat\":\"x\"}}}}\n{GOOD}\"r-1\"}}\n{GOOD}\"r-3\"}}"
    ));
    let (code, out, err) = gateway.run(&["send", "--file", &file]).await;
    assert_eq!(code, 1, "{err}");
    assert_eq!(out, "accepted\t2\nseen before\t1\nrefused\t3\n");
    let mut lines: Vec<_> = err
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["line 3", "line 4", "line 5"], "{err}");
    assert!(
        err.contains("there is no template no.such (TEMPLATE_NOT_FOUND)"),
        "{err}"
    );

    let (code, out, _) = gateway.run(&["send", "--file", &file, "--json"]).await;
    assert_eq!(code, 1);
    let items: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(items.len(), 6);
    assert_eq!(
        items.iter().filter(|item| item["replayed"] == true).count(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_is_sent_whole() {
    let gateway = Gateway::start(Fake::default()).await;
    let text: String = (0..3000).map(|n| format!("{GOOD}\"r-{n}\"}}\n")).collect();
    let (code, out, err) = gateway
        .run(&["send", "--file", &gateway.file(&text), "--dry-run"])
        .await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "valid\t3000\nseen before\t0\nrefused\t0\n");
    assert!(
        gateway
            .fake
            .sends
            .lock()
            .unwrap()
            .iter()
            .all(|request| request.validate_only)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_says_what_is_known_and_ends_with_5() {
    let gateway = Gateway::start(Fake {
        cut_after: Some(10),
        ..Fake::default()
    })
    .await;
    let text: String = (0..1000).map(|n| format!("{GOOD}\"r-{n}\"}}\n")).collect();
    let (code, out, err) = gateway.run(&["send", "--file", &gateway.file(&text)]).await;
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(
        err.contains("10 taken") && err.contains("run the same file again"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_after_the_connection_broke_without_gap_or_repeat() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let gateway = Gateway::start(Fake::default()).await;
    let mut child = gateway.command(&["tail"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = async {
        for n in 0..5 {
            let line = lines.next_line().await.unwrap().unwrap();
            assert_eq!(
                line,
                format!("2026-11-22T14:03:11Z\tn-{n}\torder.shipped\tc-1\tSENT (HANDED_OVER)")
            );
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read)
        .await
        .unwrap();
    assert_eq!(
        gateway.fake.watches.lock().unwrap()[..3],
        ["", "2", "4"].map(str::to_owned)
    );
    // Who reads no more ends it: a closed pipe is no error.
    drop(lines);
    let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_stop_at_their_limit_and_are_tabs_in_a_pipe() {
    let gateway = Gateway::start(Fake::default()).await;
    let (code, out, _) = gateway
        .run(&["notifications", "list", "--limit", "5"])
        .await;
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), 5);
    assert_eq!(
        out.lines().next().unwrap(),
        "2026-11-22T14:03:11.5Z\tn-0\torder.shipped\tc-1\tFAILED (PROVIDER_REJECTED)\t-"
    );
    assert_eq!(*gateway.fake.pages.lock().unwrap(), [5, 2]);
    let (code, _, err) = gateway
        .run(&["notifications", "list", "--filter", "bad"])
        .await;
    assert_eq!(code, 1);
    assert!(
        err.contains("filter: expected an operator (FIELD_INVALID)"),
        "{err}"
    );
    let (code, out, _) = gateway
        .run(&["notifications", "cancel", "--key", "order-4711"])
        .await;
    assert_eq!((code, out.as_str()), (0, "cancelled\t2\ntoo late\t1\n"));
    let (_, out, _) = gateway.run(&["templates", "list"]).await;
    assert_eq!(out, "order.shipped\t-\ttransactional\t-\temail, sms\t-\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_asks_for_the_past_or_for_what_would_be() {
    let states = Arc::new(Mutex::new(vec![(State::Sent, "HANDED_OVER")]));
    let gateway = Gateway::start(Fake {
        states,
        ..Fake::default()
    })
    .await;
    let (code, out, _) = gateway.run(&["explain", "n-7"]).await;
    assert_eq!(
        (code, out.as_str()),
        (
            0,
            "topic\tpass\t-\t-\torders are on\nverdict\t-\t-\t-\tIt goes out.\n"
        )
    );
    let data = gateway.file("{\"stars\": 5}");
    let at = "2026-11-22T21:30:00Z";
    let (code, _, err) = gateway
        .run(&[
            "explain",
            "--template",
            "review.request",
            "--to",
            "c-1",
            "--data",
            &data,
            "--at",
            at,
        ])
        .await;
    assert_eq!((code, err.as_str()), (0, ""));
    let asked = gateway.fake.explained.lock().unwrap();
    assert_eq!(
        asked[0].subject,
        Some(Subject::Name("notifications/n-7".to_owned()))
    );
    assert!(
        matches!(&asked[1].subject, Some(Subject::Intent(intent)) if intent.template == "review.request")
    );
    assert_eq!(asked[1].evaluate_time, Some(wire_time(at.parse().unwrap())));
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_changed_imported_and_erased() {
    let gateway = Gateway::start(Fake::default()).await;
    let (code, out, _) = gateway
        .run(&[
            "customers",
            "upsert",
            "c-1",
            "--email",
            "a@shop.example",
            "--locale",
            "de",
        ])
        .await;
    assert_eq!(code, 0);
    assert!(out.contains("email\ta@shop.example\n"), "{out}");
    let (code, ..) = gateway
        .run(&["customers", "upsert", "c-1", "--phone", "+4915112345678"])
        .await;
    assert_eq!(code, 0);
    let (_, out, _) = gateway.run(&["customers", "view", "c-1"]).await;
    assert!(
        out.contains("locale\tde")
            && out.contains("email\ta@shop.example")
            && out.contains("sms\t+4915112345678")
    );
    let (code, _, err) = gateway.run(&["customers", "view", "c-2"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("CUSTOMER_NOT_FOUND"), "{err}");

    let mut text: String = (0..250)
        .map(|n| {
            format!(
                "{{\"customer\":{{\"name\":\"customers/i-{n}\",\"timeZone\":\"Europe/Berlin\"}}}}\n"
            )
        })
        .collect();
    text.push_str(
        "{\"customer\":{\"name\":\"customers/x\",\"locale\":\"bad\"}}\n{\"customer\":3}\n",
    );
    let (code, out, err) = gateway
        .run(&["customers", "import", &gateway.file(&text)])
        .await;
    assert_eq!(code, 1);
    assert_eq!(out, "accepted\t250\nseen before\t0\nrefused\t2\n");
    assert!(
        err.contains("line 251: locale is not well-formed (LOCALE_INVALID)")
            && err.contains("line 252: "),
        "{err}"
    );
    assert_eq!(gateway.fake.customers.lock().unwrap().len(), 251);

    let (code, out, _) = gateway
        .run(&[
            "customers",
            "preferences",
            "c-1",
            "--order",
            "sms,email",
            "--opt-out",
            "newsletter",
        ])
        .await;
    assert_eq!(code, 0);
    assert!(
        out.contains("order\tsms, email\n") && out.contains("topic newsletter\toff\n"),
        "{out}"
    );
    let update = gateway.fake.preferences.lock().unwrap().remove(0);
    assert_eq!(
        update.update_mask.unwrap().paths,
        ["channel_order", "topics"]
    );
    assert_eq!(
        update.preferences.unwrap().etag,
        "e1",
        "a change in between is not overwritten"
    );

    let (code, out, _) = gateway.run(&["customers", "erase", "c-1", "--yes"]).await;
    assert_eq!((code, out.contains("erased\tc-1")), (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rendering_can_be_taken_apart() {
    let gateway = Gateway::start(Fake::default()).await;
    let render = ["templates", "render", "order.shipped"];
    for (more, want) in [
        (&["--part", "html"][..], "<p>On its way</p>\n"),
        (&["--part", "subject", "--locale", "de"], "On its way\n"),
        (&["--part", "text", "--channel", "sms"], "Sent.\n"),
    ] {
        let arguments: Vec<_> = render.iter().chain(more).copied().collect();
        let (code, out, err) = gateway.run(&arguments).await;
        assert_eq!((code, out.as_str()), (0, want), "{err}");
    }
    let (code, out, _) = gateway.run(&render).await;
    assert!(
        code == 0 && out.contains("subject\tOn its way") && out.contains("Sent."),
        "{out}"
    );
    let (code, _, err) = gateway
        .run(&["templates", "render", "order.shipped", "--channel", "chat"])
        .await;
    assert!(
        code == 1 && err.contains("has no content for chat"),
        "{err}"
    );
    let (code, _, err) = gateway
        .run(&[
            "templates",
            "render",
            "order.shipped",
            "--channel",
            "sms",
            "--part",
            "html",
        ])
        .await;
    assert!(code == 1 && err.contains("has no html part"), "{err}");
    let previews = gateway.fake.previews.lock().unwrap();
    assert_eq!(previews[0].name, "templates/order.shipped");
    assert_eq!(previews[1].locale, "de");
}

/// Runs the program on a terminal of its own, by util-linux's `script`; `None` where that is missing.
async fn on_a_terminal(gateway: &Gateway, arguments: &str) -> Option<String> {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_tidings"));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("TIDINGS_ADDRESS", gateway.address.to_string())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .await;
    match output {
        Ok(output) => Some(
            String::from_utf8(output.stdout)
                .unwrap()
                .replace("\r\n", "\n"),
        ),
        Err(error) if std::env::var_os("TIDINGS_TEST_REQUIRE").is_some() => {
            panic!("script: {error}")
        }
        Err(error) => {
            println!("skipped: script (util-linux) cannot be run: {error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_tables_marks_and_a_progress_bar() {
    let states = Arc::new(Mutex::new(vec![(State::Sent, "HANDED_OVER")]));
    let gateway = Gateway::start(Fake {
        states,
        ..Fake::default()
    })
    .await;
    let Some(out) = on_a_terminal(&gateway, "notifications list --limit 2").await else {
        return;
    };
    let lines: Vec<_> = out.lines().map(str::trim).collect();
    assert_eq!(
        lines.len(),
        3,
        "a row is one line, however narrow the terminal: {out}"
    );
    assert_eq!(
        lines[0],
        "CREATED               NOTIFICATION  TEMPLATE       CUSTOMER  STATE                       NEXT"
    );
    assert!(!out.contains('\u{1b}'), "NO_COLOR is obeyed: {out}");

    let out = on_a_terminal(&gateway, "explain n-1").await.unwrap();
    assert!(
        out.contains("order.shipped → customer c-1   SENT (HANDED_OVER)")
            && out.contains(" ✓ topic         orders are on"),
        "{out}"
    );

    let text: String = (0..3000).map(|n| format!("{GOOD}\"r-{n}\"}}\n")).collect();
    let out = on_a_terminal(&gateway, &format!("send --file {}", gateway.file(&text)))
        .await
        .unwrap();
    assert!(
        out.contains("/s, ") && out.contains(" left") && out.contains("accepted     3000"),
        "{out}"
    );
}

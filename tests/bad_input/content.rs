//! Variables and attachments that try to break out of a mail: what is refused names its field, what is taken arrives clean at a
//! real mail server.

use serde_json::{Value, json};
use tidings::client::Client;
use tidings::proto::{
    Attachment, NotificationIntent, attachment::Source, notification,
    notification_intent::Recipient,
};
use tokio::net::TcpListener;

use crate::gateway::Embedded;
use crate::intents::violations;
use crate::mail_parser::{MailParser, header_names, part_types};
use crate::mail_server::{Kept, MailServer};
use crate::shop::{get, guest, intent, open, post, send, status, try_send};

/// An order confirmation by mail; the fields given stand in for the usual ones.
pub(crate) fn confirmation(order: &Value) -> NotificationIntent {
    let mut whole = json!({
        "number": "4711", "placed_at": "2026-11-22T18:42:10+01:00", "total": "134.70", "currency": "EUR",
        "lines": [{"name": "Tent", "quantity": 1, "price": "134.70"}],
    });
    for (name, value) in order.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let recipient = Recipient::InlineRecipient(guest("ada@example.com"));
    intent("order.confirmation", recipient, &json!({"order": whole}))
}

fn document(filename: &str, media_type: &str, content: &[u8]) -> Attachment {
    Attachment {
        filename: filename.into(),
        media_type: media_type.into(),
        source: Some(Source::Content(content.to_vec())),
    }
}

/// A gateway with a real mail server behind it, and another program that reads what arrives.
struct Post {
    server: MailServer,
    parser: MailParser,
    gateway: Embedded,
    sent: usize,
}

impl Post {
    async fn open() -> Option<Self> {
        let server = MailServer::start("plain")?;
        Some(Self {
            parser: MailParser::start()?,
            gateway: open(vec![post(server.port)]).await,
            server,
            sent: 0,
        })
    }

    fn client(&self) -> &Client {
        &self.gateway.client
    }

    /// Sends; what arrived is one mail for one person without a fault.
    async fn arrives(&mut self, intent: NotificationIntent) -> (Kept, Value) {
        self.sent += 1;
        let name = send(self.client(), &self.sent.to_string(), intent).await;
        self.gateway.settle().await;
        let found = get(self.client(), &name).await;
        assert_eq!(
            status(&found),
            (notification::State::Sent, "HANDED_OVER"),
            "{found:?}"
        );
        let mut kept = self.server.kept();
        assert_eq!(kept.len(), self.sent);
        let kept = kept.pop().unwrap();
        assert_eq!(kept.details["rcpt_to"], json!(["ada@example.com"]));
        assert_eq!(kept.details["mail_from"], "orders@shop.example");
        assert_eq!(kept.details["faults"], json!([]));
        let parsed = self.parser.parse(&kept.eml);
        assert_eq!(parsed["faults"], json!([]), "{parsed}");
        (kept, parsed)
    }

    async fn refuses(&self, intent: NotificationIntent) -> Vec<(String, String)> {
        violations(
            &try_send(self.client(), "refused", intent)
                .await
                .unwrap_err(),
        )
    }
}

/// The text of the part of this type.
fn part<'a>(parsed: &'a Value, kind: &str) -> &'a str {
    let mut parts = parsed["parts"].as_array().unwrap().iter();
    let found = parts.find(|part| part["type"] == kind).unwrap();
    found["text"].as_str().unwrap()
}

/// Rows 33, 35 and 38.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_subject_becomes_a_header() {
    let Some(mut post) = Post::open().await else {
        return;
    };
    let (_, control) = post.arrives(confirmation(&json!({}))).await;
    assert_eq!(control["subject"], "Thank you! We have your order 4711");
    for (number, shown) in [
        ("47\r\nBcc: e@x.example\r\n11", "47 Bcc: e@x.example 11"),
        ("47\nSubject: other", "47 Subject: other"),
        ("47\r\n\r\n<b>body</b>", "47 <b>body</b>"),
        (
            "=?utf-8?q?=0D=0ABcc:_e@x.example?=",
            "=?utf-8?q?=0D=0ABcc:_e@x.example?=",
        ),
        ("47\u{0}11", "4711"),
        ("47\u{2028}11\u{85}12", "471112"),
        ("4\u{202e}711\u{200b}\u{feff}", "4711"),
        ("Ünï 🎂", "Ünï 🎂"),
    ] {
        let (kept, parsed) = post.arrives(confirmation(&json!({"number": number}))).await;
        assert_eq!(
            parsed["subject"],
            format!("Thank you! We have your order {shown}"),
            "{number:?}"
        );
        assert_eq!(header_names(&parsed), header_names(&control), "{number:?}");
        assert_eq!(part_types(&parsed), part_types(&control), "{number:?}");
        assert!(!kept.eml.contains(&0), "{number:?}");
    }
    post.gateway.stop().await;
}

/// Row 34: as far as a variable may be long, and one that may be longer is cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_subject_without_an_end_is_refused() {
    let Some(post) = Post::open().await else {
        return;
    };
    let told = post
        .refuses(confirmation(&json!({"number": "x".repeat(5000)})))
        .await;
    assert_eq!(told[0].0, "intent.variables/order/number");
    assert!(told[0].1.contains("40"), "the limit is told: {told:?}");
    post.gateway.stop().await;
}

/// Rows 35 to 37: the lines that end a mail, and the characters that are no text.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_body_ends_the_mail() {
    let Some(mut post) = Post::open().await else {
        return;
    };
    let (_, control) = post.arrives(confirmation(&json!({}))).await;
    for (name, shown) in [
        ("Tent\r.\rQUIT", "Tent.QUIT"),
        ("Tent\n.\nQUIT", "Tent\n.\nQUIT"),
        (
            "Tent\r\n.\r\nMAIL FROM:<e@x.example>\r\n",
            "Tent\n.\nMAIL FROM:<e@x.example>\n",
        ),
        ("Tent\r\n..\r\n...", "Tent\n..\n..."),
        ("Tent\u{0}\u{8}\u{1b}[31m", "Tent[31m"),
        (
            "\r\n--=_alternative_\r\nContent-Type: text/html",
            "\n--=_alternative_\nContent-Type: text/html",
        ),
        ("From here\r\nFrom there", "From here\nFrom there"),
    ] {
        let lines = json!({"lines": [{"name": name, "quantity": 1, "price": "134.70"}]});
        let (_, parsed) = post.arrives(confirmation(&lines)).await;
        assert!(
            part(&parsed, "text/plain").contains(shown),
            "{name:?}: {:?}",
            part(&parsed, "text/plain")
        );
        assert_eq!(header_names(&parsed), header_names(&control), "{name:?}");
        assert_eq!(part_types(&parsed), part_types(&control), "{name:?}");
    }
    post.gateway.stop().await;
}

const EICAR: &[u8] = br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

/// Rows 39 and 40.
#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_is_a_name_a_type_and_its_bytes() {
    let Some(mut post) = Post::open().await else {
        return;
    };
    for (filename, kind, content, shown, seen_as) in [
        (
            "../../etc/passwd",
            "text/plain",
            &b"x"[..],
            "passwd",
            "text/plain",
        ),
        (
            "C:\\docs\\invoice.pdf",
            "application/pdf",
            b"%PDF-1.7",
            "invoice.pdf",
            "application/pdf",
        ),
        (
            "a\r\nBcc: e@x.example.pdf",
            "application/pdf",
            b"%PDF",
            "aBcc_ e@x.example.pdf",
            "application/pdf",
        ),
        (
            "invoice\u{202e}fdp.exe",
            "application/pdf",
            b"MZ",
            "invoicefdp.exe",
            "application/pdf",
        ),
        (
            "\"; filename=\"x.exe",
            "application/pdf",
            b"%PDF",
            "__ filename=_x.exe",
            "application/pdf",
        ),
        (
            "Rechnung März.pdf",
            "application/pdf",
            b"%PDF",
            "Rechnung März.pdf",
            "application/pdf",
        ),
        // What it says it is and what it is are told as they came; the mail server's scanner judges.
        (
            "invoice.pdf",
            "application/pdf",
            b"<html><script>",
            "invoice.pdf",
            "application/pdf",
        ),
        (
            "eicar.com",
            "application/octet-stream",
            EICAR,
            "eicar.com",
            "application/octet-stream",
        ),
        // A type that would make the document a part of the mail's own structure.
        (
            "mail.eml",
            "message/rfc822",
            b"Bcc: e@x.example\r\n\r\n",
            "mail.eml",
            "application/octet-stream",
        ),
        (
            "parts",
            "multipart/mixed",
            b"--x\r\n",
            "parts",
            "application/octet-stream",
        ),
    ] {
        let mut intent = confirmation(&json!({}));
        intent.attachments.push(document(filename, kind, content));
        let (_, parsed) = post.arrives(intent).await;
        let attachments = parsed["attachments"].as_array().unwrap();
        assert_eq!(attachments.len(), 1, "{filename:?}");
        let seen = &attachments[0];
        assert_eq!(
            (&seen["filename"], &seen["type"]),
            (&shown.into(), &seen_as.into()),
            "{filename:?}"
        );
        assert_eq!(seen["size"], content.len(), "{filename:?}");
    }
    for (one, field, rule) in [
        (
            document("a.pdf", "application/pdf", b""),
            "content",
            "is empty; send the bytes",
        ),
        (
            document("..", "application/pdf", b"x"),
            "filename",
            "must be a file name of 1 to 200",
        ),
        (
            document(&"x".repeat(201), "application/pdf", b"x"),
            "filename",
            "must be a file name of 1 to 200",
        ),
        (
            document("a", "pdf", b"x"),
            "media_type",
            "must be a media type such as",
        ),
        (
            document("a", "text/html\r\nX: y", b"x"),
            "media_type",
            "must be a media type such as",
        ),
    ] {
        let mut intent = confirmation(&json!({}));
        intent.attachments = vec![document("good.pdf", "application/pdf", b"x"), one];
        let told = post.refuses(intent).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, format!("intent.attachments[1].{field}"));
        assert!(told[0].1.contains(rule), "{told:?}");
    }
    let mut intent = confirmation(&json!({}));
    intent.attachments = vec![document(
        "a.pdf",
        "application/pdf",
        &vec![b'x'; 3 * 1024 * 1024 + 1],
    )];
    let status = try_send(post.client(), "refused", intent)
        .await
        .unwrap_err();
    let told = violations(&status);
    assert_eq!(told[0].0, "intent.attachments");
    assert!(
        told[0]
            .1
            .contains("have 3145729 bytes together, at most 3145728"),
        "{told:?}"
    );
    post.gateway.stop().await;
}

/// Row 41.
#[tokio::test(flavor = "multi_thread")]
async fn no_address_in_an_intent_is_ever_asked_for() {
    let Some(mut post) = Post::open().await else {
        return;
    };
    // Whoever connects is noted.
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = trap.local_addr().unwrap().port();
    let urls = [
        format!("http://127.0.0.1:{port}/i.pdf"),
        format!("http://localhost:{port}/i.pdf"),
        format!("http://[::ffff:127.0.0.1]:{port}/i.pdf"),
        format!("http://0x7f.1:{port}/i.pdf"),
        format!("http://2130706433:{port}/i.pdf"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        "data:text/html;base64,PHNjcmlwdD4=".to_owned(),
    ];
    for url in &urls {
        let mut intent = confirmation(&json!({}));
        intent.attachments.push(Attachment {
            source: Some(Source::Uri(url.clone())),
            ..document("i.pdf", "application/pdf", b"")
        });
        let told = post.refuses(intent).await;
        assert_eq!(told[0].0, "intent.attachments[0].uri", "{url}");
        assert!(
            told[0]
                .1
                .contains("not served by this release; send the content"),
            "{told:?}"
        );
    }
    for url in &urls {
        let line = json!({"name": format!("<img src=\"{url}\">"), "quantity": 1, "price": "1.00", "url": url});
        let intent = confirmation(&json!({"url": url, "lines": [line]}));
        if url.starts_with("http") {
            let (_, parsed) = post.arrives(intent).await;
            let html = part(&parsed, "text/html");
            assert!(!html.contains(&format!("src=\"{url}")), "{html}");
            assert!(html.contains("&lt;img src"), "{html}");
        } else {
            let fields: Vec<String> = post
                .refuses(intent)
                .await
                .into_iter()
                .map(|told| told.0)
                .collect();
            assert!(
                fields.contains(&"intent.variables/order/url".to_owned()),
                "{url}: {fields:?}"
            );
        }
    }
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(200), trap.accept()).await;
    assert!(knocked.is_err(), "something was fetched");
    post.gateway.stop().await;
}

//! Captured messages: what customers would have seen.
//!
//! A mail's HTML is a hostile document. It is served alone, under a policy that lets it run nothing and load nothing, and the
//! console shows it in a frame of its own.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::captured::{AttachmentSummary, Capture, CaptureSummary};
use super::problem::Problem;
use super::{Console, Shared};
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::id::MessageId;
use crate::domain::sms;

/// How many captures a list holds at most.
const MAX_LISTED: usize = 200;
/// How many header lines of a mail are told apart; the source shows the rest.
const MAX_HEADERS: usize = 200;

/// The mail may style itself and show images it carries; a link that a person follows opens outside of the frame.
const MAIL_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// Which captures to list.
#[derive(Deserialize)]
pub(super) struct Wanted {
    channel: Option<String>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    time: String,
    channel: Channel,
    to: String,
    title: String,
    template: String,
}

impl From<&CaptureSummary> for Row {
    fn from(summary: &CaptureSummary) -> Self {
        Self {
            id: summary.message.to_string(),
            time: summary.time.to_string(),
            channel: summary.channel,
            to: summary.to.clone(),
            title: summary.title.clone(),
            template: summary.template.clone(),
        }
    }
}

#[derive(Serialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Item {
    #[serde(flatten)]
    row: Row,
    content: Value,
    headers: Vec<Header>,
    attachments: Vec<AttachmentSummary>,
    source_bytes: usize,
    notification: Option<String>,
}

/// The newest captures, newest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let channel = match wanted.channel.as_deref() {
        None | Some("") => None,
        Some(word) => Some(
            word.parse::<Channel>()
                .map_err(|error| Problem::invalid(format!("channel: {error}")))?,
        ),
    };
    let captures = shared.console.captures.list(channel, MAX_LISTED).await;
    let items: Vec<Row> = captures.iter().map(Row::from).collect();
    Ok(Json(json!({"items": items, "limit": MAX_LISTED})))
}

/// One capture with its content, without its source and the bytes of attachments.
pub(super) async fn item(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let capture = capture(&shared.console, &id).await?;
    let notification = capture.summary.notification;
    // A link is given only to what can be opened: ours, and not erased.
    let console = &shared.console;
    let ours = console.store.find(&console.identity, notification).await?;
    Ok(Json(Item {
        notification: ours.map(|_| notification.to_string()),
        row: Row::from(&capture.summary),
        content: content(&capture.content),
        headers: match capture.content {
            Content::Email { .. } => headers(&capture.source),
            Content::Sms { .. } | Content::Chat { .. } => Vec::new(),
        },
        source_bytes: capture.source.len(),
        attachments: capture.attachments,
    }))
}

/// A mail's HTML part as a document of its own.
pub(super) async fn html(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let Content::Email { html, .. } = capture(&shared.console, &id).await?.content else {
        return Err(Problem::not_found("Only a mail has an HTML part."));
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
    ];
    Ok((headers, with_links_outside(&html)))
}

/// What went over the wire, as plain text.
pub(super) async fn source(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let capture = capture(&shared.console, &id).await?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        capture.source,
    ))
}

/// An attachment, to be saved and never to be shown in place.
pub(super) async fn attachment(
    State(shared): State<Arc<Shared>>,
    Path((id, index)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let capture = capture(&shared.console, &id).await?;
    let gone = || Problem::not_found("The message has no such attachment.");
    let index: usize = index.parse().map_err(|_| gone())?;
    let summary = capture.attachments.get(index).ok_or_else(gone)?;
    let bytes = shared
        .console
        .captures
        .attachment(capture.summary.message, index)
        .await
        .ok_or_else(gone)?;
    let headers = [
        (header::CONTENT_TYPE, media_type(&summary.media_type)),
        (header::CONTENT_DISPOSITION, disposition(&summary.filename)),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'".to_owned(),
        ),
    ];
    Ok((headers, bytes))
}

async fn capture(console: &Console, id: &str) -> Result<Capture, Problem> {
    let held = match MessageId::parse(id) {
        Some(id) => console.captures.get(id).await,
        None => None,
    };
    held.ok_or_else(|| {
        Problem::not_found("The inbox holds no such message; it keeps the newest ones only.")
    })
}

fn content(content: &Content) -> Value {
    match content {
        Content::Email {
            subject,
            preheader,
            text,
            sender,
            unsubscribe_url,
            ..
        } => json!({
            "subject": subject,
            "preheader": preheader,
            "text": text,
            "from_name": sender.name,
            "from_address": sender.address,
            "unsubscribe_url": unsubscribe_url,
        }),
        Content::Sms { text } => {
            let size = sms::segments(text);
            json!({
                "text": text,
                "segments": size.count,
                "encoding": size.encoding.to_string(),
                "units": size.units,
            })
        }
        Content::Chat { text } => json!({"text": text, "characters": text.chars().count()}),
    }
}

/// The header lines of a mail, folded ones put together (RFC 5322, 2.2.3).
fn headers(source: &str) -> Vec<Header> {
    let mut found: Vec<Header> = Vec::new();
    for line in source.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some(last) = found.last_mut() {
                last.value.push(' ');
                last.value.push_str(line.trim());
            }
        } else if found.len() == MAX_HEADERS {
            break;
        } else if let Some((name, value)) = line.split_once(':') {
            found.push(Header {
                name: name.to_owned(),
                value: value.trim().to_owned(),
            });
        }
    }
    found
}

/// The document with its links opening in a window of their own; the source shows it as it was sent.
fn with_links_outside(html: &str) -> String {
    const BASE: &str = "<base target=\"_blank\">";
    let lower = html.to_ascii_lowercase();
    let after_head = lower
        .find("<head")
        .and_then(|start| lower.get(start..)?.find('>').map(|end| start + end + 1));
    match after_head.and_then(|at| html.split_at_checked(at)) {
        Some((before, after)) => format!("{before}{BASE}{after}"),
        None => html.to_owned(),
    }
}

/// The type as it was given if it is one, else bytes.
fn media_type(given: &str) -> String {
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match given.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => given.to_owned(),
        _ => "application/octet-stream".to_owned(),
    }
}

/// A Content-Disposition (RFC 6266) that no file name can break out of.
fn disposition(filename: &str) -> String {
    let plain: String = filename
        .chars()
        .map(|c| match c {
            '"' | '\\' | '/' | ';' | '%' => '_',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '_',
        })
        .collect();
    let mut encoded = String::new();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_headers_are_one_line_and_the_body_is_none() {
        let all = headers("Subject: a\r\n b\r\nX-Odd:\r\n\tc\r\nno colon\r\n\r\nBody: no");
        let all: Vec<_> = all
            .iter()
            .map(|header| (header.name.as_str(), header.value.as_str()))
            .collect();
        assert_eq!(all, [("Subject", "a b"), ("X-Odd", " c")]);
        assert_eq!(headers(&"A: b\n".repeat(1000)).len(), MAX_HEADERS);
    }

    #[test]
    fn a_file_name_stays_in_its_quotes() {
        let text = disposition("a\"; filename=\"b\r\nX: y/ü.pdf");
        assert_eq!(
            text,
            "attachment; filename=\"a__ filename=_b__X: y__.pdf\"; filename*=UTF-8''a%22%3B%20filename%3D%22b%0D%0AX%3A%20y%2F%C3%BC.pdf"
        );
        assert_eq!(
            media_type("text/html; charset=x\r\n"),
            "application/octet-stream"
        );
        assert_eq!(media_type("application/pdf"), "application/pdf");
    }

    #[test]
    fn links_open_outside_without_changing_the_mode_of_the_page() {
        assert_eq!(
            with_links_outside("<!doctype html><HEAD lang=x><title>t"),
            "<!doctype html><HEAD lang=x><base target=\"_blank\"><title>t"
        );
        assert_eq!(with_links_outside("<p>İ<head"), "<p>İ<head");
    }
}

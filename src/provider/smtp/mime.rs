//! A filled mail as MIME (RFC 5322, 2045, 8058).
//!
//! Promise: no byte of customer or template data changes the set of headers, the envelope or the parts. Headers are one
//! clean line each, bodies are quoted-printable, attachments base64, so what leaves is ASCII in lines under 998 bytes with
//! no bare CR or LF. The same mail at the same date is the same bytes. It sends nothing.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType};
use lettre::message::{Body, Message, MultiPart, SinglePart};

use crate::domain::content::{Content, Outgoing};
use crate::domain::intent::Attachment;

mod headers;

use headers::{
    AutoSubmitted, From, ListUnsubscribe, ListUnsubscribePost, Mailbox, Subject, TemplateName, To,
};

const MAX_SUBJECT_CHARS: usize = 250;
const MAX_NAME_CHARS: usize = 100;
const MAX_FILENAME_CHARS: usize = 100;
const MAX_URL_BYTES: usize = 900;
/// 31 December 9999: later dates have no form in a mail.
const LAST_DATE_SECONDS: u64 = 253_402_300_799;

/// A mail ready for the wire.
pub(super) struct Mail {
    /// For MAIL FROM.
    pub(super) from: lettre::Address,
    /// For RCPT TO.
    pub(super) to: lettre::Address,
    /// Headers and body; no line break at the end.
    pub(super) bytes: Vec<u8>,
}

impl Mail {
    /// Whether an address is outside ASCII, so that the server must know SMTPUTF8 (RFC 6531).
    pub(super) fn needs_utf8_addresses(&self) -> bool {
        !AsRef::<str>::as_ref(&self.from).is_ascii() || !AsRef::<str>::as_ref(&self.to).is_ascii()
    }
}

/// The MIME source of a mail; empty for other channels and for what cannot be a mail. For the outbox.
pub fn source(outgoing: &Outgoing, message_id_domain: &str, date: Timestamp) -> Vec<u8> {
    build(outgoing, message_id_domain, date)
        .map(|mail| mail.bytes)
        .unwrap_or_default()
}

/// All that decides the bytes of a mail but its date, each part behind its length so that no two mails have the same.
/// Nothing is encoded: the mail itself is put together once, when it is sent.
pub(super) fn fingerprint(outgoing: &Outgoing, message_id_domain: &str) -> Vec<u8> {
    let Content::Email {
        subject,
        // Stands in the HTML.
        preheader: _,
        html,
        text,
        sender,
        unsubscribe_url,
    } = &outgoing.content
    else {
        return Vec::new();
    };
    let message = outgoing.message.to_string();
    let parts = [
        message.as_str(),
        message_id_domain,
        &outgoing.template,
        outgoing.address.reveal(),
        outgoing.recipient_name.reveal(),
        &sender.name,
        &sender.address,
        subject,
        unsubscribe_url,
        text,
        html,
    ];
    let attached = outgoing.attachments.iter().flat_map(|one| {
        [
            one.filename.as_bytes(),
            one.media_type.as_bytes(),
            &one.content,
        ]
    });
    let mut bytes = Vec::with_capacity(text.len() + html.len() + 1_024);
    for part in parts.into_iter().map(str::as_bytes).chain(attached) {
        bytes.extend_from_slice(&part.len().to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Puts a mail together.
///
/// # Errors
/// A sentence about what of it cannot be a mail; trying again does not help.
pub(super) fn build(
    outgoing: &Outgoing,
    message_id_domain: &str,
    date: Timestamp,
) -> Result<Mail, String> {
    let Content::Email {
        subject,
        html,
        text,
        sender,
        unsubscribe_url,
        ..
    } = &outgoing.content
    else {
        return Err("only mail content can be sent by SMTP".to_owned());
    };
    let from = address(&sender.address).map_err(|error| {
        format!("the sender's address is not a mail address, correct it in the template repository: {error}")
    })?;
    let to = address(outgoing.address.reveal())
        .map_err(|error| format!("not a mail address: {error}"))?;
    let mut headers = Message::builder()
        .message_id(Some(format!("<{}@{message_id_domain}>", outgoing.message)))
        .date(system_time(date))
        .header(From(Mailbox::new(&sender.name, &from)))
        .header(To(Mailbox::new(outgoing.recipient_name.reveal(), &to)))
        .header(Subject(clean_line(subject, MAX_SUBJECT_CHARS)))
        .header(AutoSubmitted)
        .header(TemplateName(token(&outgoing.template)));
    if let Some(url) = header_url(unsubscribe_url) {
        headers = headers
            .header(ListUnsubscribe(url))
            .header(ListUnsubscribePost);
    }
    let message = headers
        .multipart(parts(outgoing, text, html))
        .map_err(|error| format!("the mail cannot be put together: {error}"))?;
    let mut bytes = message.formatted();
    // lettre begins the final dot with a line break of its own.
    while bytes.ends_with(b"\r\n") {
        bytes.truncate(bytes.len() - 2);
    }
    Ok(Mail { from, to, bytes })
}

/// Boundaries contain `=_`, which neither quoted-printable nor base64 can: no body can end its part.
fn parts(outgoing: &Outgoing, text: &str, html: &str) -> MultiPart {
    let alternative = MultiPart::alternative()
        .boundary(format!("=_alternative_{}", outgoing.message))
        .singlepart(readable(ContentType::TEXT_PLAIN, text))
        .singlepart(readable(ContentType::TEXT_HTML, html));
    if outgoing.attachments.is_empty() {
        return alternative;
    }
    let mixed = MultiPart::mixed()
        .boundary(format!("=_mixed_{}", outgoing.message))
        .multipart(alternative);
    outgoing
        .attachments
        .iter()
        .fold(mixed, |mixed, one| mixed.singlepart(attachment(one)))
}

fn readable(kind: ContentType, text: &str) -> SinglePart {
    let encoded = quoted_printable(clean_text(text).into_owned());
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(encoded)
}

/// Given as bytes, because lettre looks for line ends in a text once more. Quoted-printable takes any bytes, so the other
/// arm is never taken; it would be right all the same.
fn quoted_printable(text: String) -> Body {
    Body::new_with_encoding(text.into_bytes(), ContentTransferEncoding::QuotedPrintable)
        .unwrap_or_else(|bytes| {
            Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::QuotedPrintable)
        })
}

fn attachment(attachment: &Attachment) -> SinglePart {
    let encoded =
        Body::new_with_encoding(attachment.content.clone(), ContentTransferEncoding::Base64)
            .unwrap_or_else(|bytes| {
                Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::Base64)
            });
    SinglePart::builder()
        .header(media_type(&attachment.media_type))
        .header(ContentDisposition::attachment(&bare_filename(
            &attachment.filename,
        )))
        .header(ContentTransferEncoding::Base64)
        .body(encoded)
}

/// `type/subtype` and the parameters that readers of text and calendars need. A type that would make the document a part of
/// the mail's structure, or that is none, becomes plain bytes.
fn media_type(text: &str) -> ContentType {
    let mut pieces = text.split(';').map(str::trim);
    let bare = pieces.next().unwrap_or_default();
    let leaf = bare.split_once('/').is_some_and(|(kind, subtype)| {
        is_word(kind)
            && is_word(subtype)
            && !kind.eq_ignore_ascii_case("multipart")
            && !kind.eq_ignore_ascii_case("message")
    });
    let mut full = if leaf {
        bare
    } else {
        "application/octet-stream"
    }
    .to_owned();
    for name in ["charset", "method"] {
        let value = pieces
            .clone()
            .filter_map(|piece| piece.split_once('='))
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && is_word(value));
        if let Some((_, value)) = value.filter(|_| leaf) {
            full.push_str(&format!("; {name}={value}"));
        }
    }
    ContentType::parse(&full).unwrap_or(ContentType::TEXT_PLAIN)
}

fn is_word(text: &str) -> bool {
    (1..=60).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

/// What is left of a path, without anything that a file system or a reader could take for more than a name.
fn bare_filename(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean = clean_line(last, MAX_FILENAME_CHARS);
    let bare: String = clean
        .chars()
        .map(|c| if "\"<>:|?*;".contains(c) { '_' } else { c })
        .collect();
    let bare = bare.trim_start_matches(['.', ' ']);
    if bare.is_empty() {
        "attachment".to_owned()
    } else {
        bare.to_owned()
    }
}

fn address(text: &str) -> Result<lettre::Address, lettre::address::AddressError> {
    let ascii = match text.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() => {
            format!("{local}@{}", ascii_domain(domain))
        }
        _ => text.to_owned(),
    };
    ascii.parse()
}

/// The form of an international domain that every server takes (`xn--…`); as it is when it has none.
fn ascii_domain(domain: &str) -> String {
    reqwest::Url::parse(&format!("http://{domain}/"))
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .filter(|ascii| ascii.is_ascii())
        .unwrap_or_else(|| domain.to_owned())
}

fn system_time(date: Timestamp) -> SystemTime {
    let seconds = u64::try_from(date.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_DATE_SECONDS))
}

/// One line: no control characters, nothing that turns the direction of writing or hides, at most `max_chars`.
fn clean_line(text: &str, max_chars: usize) -> String {
    let visible: String = text
        .chars()
        .filter(|c| !is_hidden(*c))
        .map(|c| if is_break(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(max_chars).collect();
    line.trim_end().to_owned()
}

fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Marks and overrides of direction, and characters of no width; not the joiners that emoji and Persian need.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2060}' | '\u{feff}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}')
}

/// Every kind of line end becomes CRLF; control characters other than tab go. What stands between them is copied whole, and
/// a text without them not at all.
fn clean_text(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c.is_control() && c != '\t';
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + text.len() / 16);
    let mut after_cr = false;
    for piece in text.split_inclusive(is_odd) {
        let plain = piece.strip_suffix(is_odd).unwrap_or(piece);
        clean.push_str(plain);
        let end = piece.get(plain.len()..).unwrap_or_default();
        let breaks = match end {
            "\n" => !(after_cr && plain.is_empty()),
            end => end == "\r",
        };
        if breaks {
            clean.push_str("\r\n");
        }
        after_cr = end == "\r";
    }
    Cow::Owned(clean)
}

/// A template key as a header can hold it.
fn token(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-_/@".contains(*c))
        .take(MAX_NAME_CHARS)
        .collect()
}

/// An address for a header, in brackets: http or https, what is not plain ASCII percent-encoded. `None` if it is none.
fn header_url(text: &str) -> Option<String> {
    if !(text.starts_with("https://") || text.starts_with("http://")) {
        return None;
    }
    let mut url = String::with_capacity(text.len() + 2);
    url.push('<');
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"<>\"\\^`{|},".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push('>');
    (url.len() <= MAX_URL_BYTES).then_some(url)
}

#[cfg(test)]
mod tests;

//! What commands are given: recipients, variables, attachments, and files of requests read line by line.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::args::ContentOptions;
use super::failure::Failure;
use crate::proto::attachment::Source;
use crate::proto::notification_intent::Recipient;
use crate::proto::{self, Attachment, InlineRecipient, NotificationIntent, Struct};

/// The longest line of a file of requests. A request with all attachments it may have is under 6 MiB as JSON.
pub(super) const LINE_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The largest file of variables; the server takes 128 KiB of them.
const DATA_MAX_BYTES: u64 = 1024 * 1024;

/// The largest attachment; the server takes 3 MiB together.
const ATTACHMENT_MAX_BYTES: u64 = 3 * 1024 * 1024;

/// A customer's id, or an address when it looks like one.
pub(super) fn recipient(to: &str, locale: Option<&str>) -> Recipient {
    let mut inline = InlineRecipient {
        locale: locale.unwrap_or_default().to_owned(),
        ..InlineRecipient::default()
    };
    if to.starts_with('+') {
        to.clone_into(&mut inline.phone_number);
    } else if to.contains('@') {
        to.clone_into(&mut inline.email_address);
    } else {
        return Recipient::CustomerId(to.to_owned());
    }
    Recipient::InlineRecipient(inline)
}

/// The intent of a command line.
pub(super) fn intent(
    template: &str,
    to: &str,
    content: &ContentOptions,
) -> Result<NotificationIntent, Failure> {
    Ok(NotificationIntent {
        recipient: Some(recipient(to, content.locale.as_deref())),
        template: template.to_owned(),
        locale: content.locale.clone().unwrap_or_default(),
        variables: variables(&content.vars, content.data.as_deref())?,
        ..NotificationIntent::default()
    })
}

/// The variables of a command line: a file, or single ones, or none.
pub(super) fn variables(vars: &[String], data: Option<&Path>) -> Result<Option<Struct>, Failure> {
    let object = match data {
        Some(path) => object_of(path)?,
        None => object_from(vars)
            .map_err(|what| Failure::usage(what, "write --var name=text or --var name:=json"))?,
    };
    Ok(Some(proto::structure(&object)))
}

fn object_of(path: &Path) -> Result<Map<String, Value>, Failure> {
    let shown = path.display();
    let advice =
        "give a file that holds one JSON object, such as {\"order\": {\"number\": \"4711\"}}";
    let bytes = read(path, DATA_MAX_BYTES)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::failed(
            format!("{shown} is JSON, but no object"),
            advice,
        )),
        Err(error) => Err(Failure::failed(
            format!("{shown} is not JSON: {error}"),
            advice,
        )),
    }
}

fn object_from(vars: &[String]) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for var in vars {
        let (name, value) = var
            .split_once('=')
            .ok_or_else(|| format!("--var {var:?} has no ="))?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                let json = serde_json::from_str(value)
                    .map_err(|error| format!("--var {name}: {value:?} is not JSON: {error}"))?;
                (name, json)
            }
            None => (name, Value::String(value.to_owned())),
        };
        let keys: Vec<&str> = name.split('.').collect();
        if keys.iter().any(|key| key.is_empty()) || keys.len() > 24 {
            return Err(format!(
                "--var {name:?} is not a name, or names with dots between"
            ));
        }
        put(&mut object, &keys, value)
            .ok_or_else(|| format!("--var {name}: was given before as something else"))?;
    }
    Ok(object)
}

fn put(object: &mut Map<String, Value>, keys: &[&str], value: Value) -> Option<()> {
    let (first, rest) = keys.split_first()?;
    if rest.is_empty() {
        return object
            .insert((*first).to_owned(), value)
            .is_none()
            .then_some(());
    }
    let inner = object
        .entry((*first).to_owned())
        .or_insert_with(|| Value::Object(Map::new()));
    put(inner.as_object_mut()?, rest, value)
}

/// The whole of a small file, or of standard input for `-`.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(limit + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    result.map_err(|error| {
        Failure::failed(
            format!("{shown} cannot be read: {error}"),
            "check the path and its permissions",
        )
    })?;
    if bytes.len() as u64 > limit {
        return Err(Failure::failed(
            format!("{shown} is larger than {limit} bytes"),
            "give a smaller file",
        ));
    }
    Ok(bytes)
}

/// A file as an attachment, named as it is and typed by its ending.
pub(super) fn attachment(path: &Path) -> Result<Attachment, Failure> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| {
            Failure::failed(
                format!("{} has no file name to show", path.display()),
                "rename the file",
            )
        })?;
    Ok(Attachment {
        filename: name.to_owned(),
        media_type: media_type(path).to_owned(),
        source: Some(Source::Content(read(path, ATTACHMENT_MAX_BYTES)?)),
    })
}

fn media_type(path: &Path) -> &'static str {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "ics" => "text/calendar",
        "json" => "application/json",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// A line of a file, or why it cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// Its bytes in the file, with its line break.
    pub(super) bytes: u64,
    /// The text without its line break; the error is a sentence.
    pub(super) text: Result<String, String>,
}

/// Lines of a file, one at a time: never more than one in memory, however long a line or the file is.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
    limit: u64,
}

impl<R: AsyncBufRead + Unpin + Send> Lines<R> {
    /// Reads from `reader`, lines of at most [`LINE_MAX_BYTES`].
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            number: 0,
            limit: LINE_MAX_BYTES,
        }
    }

    /// The next line that is not blank.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        let mut blank = 0;
        loop {
            let mut bytes = Vec::new();
            let read = (&mut self.reader)
                .take(self.limit + 1)
                .read_until(b'\n', &mut bytes)
                .await?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let mut length = bytes.len() as u64;
            let text = if length > self.limit && !bytes.ends_with(b"\n") {
                length += self.skip_rest().await?;
                Err(format!("longer than {} bytes", self.limit))
            } else {
                text_of(bytes)
            };
            if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                blank += length;
                continue;
            }
            return Ok(Some(Line {
                number: self.number,
                bytes: length + blank,
                text,
            }));
        }
    }

    async fn skip_rest(&mut self) -> std::io::Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.reader.fill_buf().await?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(count);
            skipped += count as u64;
            if end.is_some() || count == 0 {
                return Ok(skipped);
            }
        }
    }
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    // Some editors put a byte order mark before the first line.
    let text = text
        .trim_start_matches('\u{feff}')
        .trim_end_matches(['\r', '\n']);
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(vars: &[&str]) -> Result<String, String> {
        let vars: Vec<_> = vars.iter().map(|var| (*var).to_owned()).collect();
        object_from(&vars).map(|object| Value::Object(object).to_string())
    }

    #[test]
    fn variables_are_text_unless_they_say_json() {
        assert_eq!(
            vars(&[
                "number=4711",
                "total:=12.5",
                "customer.name=Ada",
                "customer.age:=36",
                "note=a=b"
            ])
            .unwrap(),
            r#"{"number":"4711","total":12.5,"customer":{"name":"Ada","age":36},"note":"a=b"}"#
        );
        for bad in [
            &["plain"][..],
            &["=x"],
            &["a..b=x"],
            &["n:=[1"],
            &["a=1", "a=2"],
            &["a=1", "a.b=2"],
        ] {
            assert!(vars(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_recipient_is_a_customer_unless_it_looks_like_an_address() {
        assert_eq!(
            recipient("c-1", None),
            Recipient::CustomerId("c-1".to_owned())
        );
        let inline = |to| match recipient(to, Some("de")) {
            Recipient::InlineRecipient(inline) => inline,
            other => panic!("{other:?}"),
        };
        assert_eq!(inline("ada@shop.example").email_address, "ada@shop.example");
        assert_eq!(inline("+4915112345678").phone_number, "+4915112345678");
        assert_eq!(inline("+4915112345678").locale, "de");
    }

    async fn lines(text: &[u8], limit: u64) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Lines::new(text);
        lines.limit = limit;
        let mut all = Vec::new();
        let mut bytes = 0;
        while let Some(line) = lines.next().await.unwrap() {
            bytes += line.bytes;
            all.push((line.number, line.text));
        }
        assert!(bytes <= text.len() as u64);
        all
    }

    #[tokio::test]
    async fn lines_keep_their_numbers_over_blank_long_and_broken_ones() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(
            lines(b"\xef\xbb\xbfa\r\n\n  \nb\n0123456789\nc\xff\nd", 8).await,
            vec![
                (1, ok("a")),
                (4, ok("b")),
                (5, Err("longer than 8 bytes".to_owned())),
                (6, Err("not UTF-8 text".to_owned())),
                (7, ok("d")),
            ]
        );
        assert_eq!(lines(b"01234567\n", 8).await, vec![(1, ok("01234567"))]);
        assert_eq!(lines(b"0123456789", 8).await.len(), 1);
        assert!(lines(b"\n\n", 8).await.is_empty());
    }
}

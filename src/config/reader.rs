//! Reads settings out of the layers, one typed question at a time, and collects what is wrong instead of stopping at
//! the first fault.
//!
//! Each question takes its entry away; what is left at the end was asked for by nobody and is unknown. After a fault a
//! question answers with an arbitrary value: the caller must look at [`Reader::finish`] before using any of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo};

use super::layers::{Entries, Entry, Origin, variable_of};
use super::nearest::nearest;
use super::secret::read_secret;
use crate::domain::rate::{NotARate, Rate};
use crate::provider::secret::Secret;

pub(super) struct Reader {
    entries: Entries,
    known: BTreeSet<String>,
    faults: Vec<String>,
}

impl Reader {
    pub(super) fn new(entries: Entries, faults: Vec<String>) -> Self {
        Self {
            entries,
            known: BTreeSet::new(),
            faults,
        }
    }

    /// Notes a fault at a path that was or was not given.
    pub(super) fn fault(&mut self, origin: &Origin, path: &str, what: &str) {
        self.faults.push(format!("{}: {what}", origin.about(path)));
    }

    fn take(&mut self, path: &str) -> Option<Entry> {
        self.known.insert(path.to_owned());
        self.entries.remove(path)
    }

    /// A value of any type that `parse` makes of a scalar's text; its error is what would have been right.
    fn scalar<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&Given<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let entry = self.take(path)?;
        let given = Given {
            value: &entry.value,
            from_environment: matches!(entry.origin, Origin::Variable(_)),
        };
        match parse(&given) {
            Ok(value) => Some(value),
            Err(right) => {
                let shown = given.shown();
                self.fault(&entry.origin, path, &format!("is {shown}; give {right}"));
                None
            }
        }
    }

    /// Text, possibly empty, without control characters.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.scalar(path, |given| {
            let right = || "text on one line, in quotes".to_owned();
            let text = given.text().ok_or_else(right)?;
            if text.chars().any(char::is_control) {
                return Err(right());
            }
            Ok(text.to_owned())
        })
    }

    /// Text that counts as not given when it is empty.
    pub(super) fn optional_text(&mut self, path: &str) -> Option<String> {
        self.text(path).filter(|text| !text.is_empty())
    }

    /// Text that has to be there; `what` says what it is.
    pub(super) fn required_text(&mut self, path: &str, what: &str) -> String {
        let origin = self.origin(path);
        if !self.entries.contains_key(path) {
            self.known.insert(path.to_owned());
            self.fault(&Origin::Default, path, &format!("is missing; give {what}"));
            return String::new();
        }
        let faults = self.faults.len();
        let text = self.text(path).unwrap_or_default();
        if text.is_empty() && self.faults.len() == faults {
            self.fault(&origin, path, &format!("is empty; give {what}"));
        }
        text
    }

    /// One of a closed list of words.
    pub(super) fn word<T: Copy>(&mut self, path: &str, words: &[(&str, T)]) -> Option<T> {
        self.scalar(path, |given| {
            let found = given
                .text()
                .and_then(|text| words.iter().find(|(word, _)| *word == text));
            found.map(|(_, value)| *value).ok_or_else(|| {
                let list: Vec<_> = words
                    .iter()
                    .map(|(word, _)| format!("\"{word}\""))
                    .collect();
                list.join(" or ")
            })
        })
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, path: &str) -> Option<bool> {
        self.scalar(path, |given| {
            given
                .boolean()
                .ok_or_else(|| "true or false, without quotes".to_owned())
        })
    }

    /// A whole number in a range.
    pub(super) fn count(&mut self, path: &str, range: &RangeInclusive<u32>) -> Option<u32> {
        self.scalar(path, |given| {
            given
                .integer()
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A duration in a range.
    pub(super) fn duration(
        &mut self,
        path: &str,
        range: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.scalar(path, |given| {
            given
                .text()
                .and_then(parse_duration)
                .filter(|duration| range.contains(duration))
                .ok_or_else(|| {
                    format!(
                        "a duration with a unit from {} to {}, such as \"{}\"",
                        show_duration(*range.start()),
                        show_duration(*range.end()),
                        show_duration(*range.end() / 2),
                    )
                })
        })
    }

    /// A duration in a range as milliseconds, or the usual one.
    pub(super) fn milliseconds(
        &mut self,
        path: &str,
        range: &RangeInclusive<Duration>,
        usual: u64,
    ) -> u64 {
        self.duration(path, range)
            .and_then(|duration| u64::try_from(duration.as_millis()).ok())
            .unwrap_or(usual)
    }

    /// A size in bytes in a range, or 0.
    pub(super) fn size(&mut self, path: &str, range: &RangeInclusive<u64>) -> Option<u64> {
        self.scalar(path, |given| {
            given
                .text()
                .and_then(parse_size)
                .filter(|size| *size == 0 || range.contains(size))
                .ok_or_else(|| {
                    format!(
                        "a size with a unit from {} to {}, such as \"20GiB\", or \"0\"",
                        show_size(*range.start()),
                        show_size(*range.end())
                    )
                })
        })
    }

    /// A limit of messages in a time; `None` when empty.
    pub(super) fn rate(&mut self, path: &str) -> Option<Rate> {
        self.scalar(path, |given| match given.text() {
            Some("") => Ok(None),
            text => text
                .and_then(|text| text.parse().ok())
                .map(Some)
                .ok_or_else(|| NotARate.to_string()),
        })?
    }

    /// Where an HTTP interface is, without a slash at its end: https, or http on this machine.
    pub(super) fn base_url(&mut self, path: &str) -> Option<String> {
        let url = self.scalar(path, |given| {
            given.text().filter(|url| is_safe_url(url)).map(str::to_owned).ok_or_else(|| {
                "a URL that starts with https://, or with http:// and an address of this machine".to_owned()
            })
        })?;
        Some(url.trim_end_matches('/').to_owned())
    }

    /// A list of texts, in the environment with commas between them. What is in it is not shown where it is refused.
    pub(super) fn list(&mut self, path: &str) -> Option<Vec<String>> {
        let entry = self.take(path)?;
        let texts = match (&entry.value, &entry.origin) {
            (toml::Value::String(text), Origin::Variable(_)) => {
                Some(text.split(',').map(|one| one.trim().to_owned()).collect())
            }
            (toml::Value::Array(values), _) => values
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        if texts.is_none() {
            let what = "is not a list of texts; give such as [\"one\", \"two\"]";
            self.fault(&entry.origin, path, what);
        }
        texts
    }

    /// An address to listen on.
    pub(super) fn address(&mut self, path: &str) -> Option<SocketAddr> {
        self.scalar(path, |given| {
            given
                .text()
                .and_then(|text| text.parse::<SocketAddr>().ok())
                .ok_or_else(|| "an IP address and a port, such as \"127.0.0.1:50051\"".to_owned())
        })
    }

    /// An address to listen on; `None` when empty.
    pub(super) fn optional_address(&mut self, path: &str) -> Option<SocketAddr> {
        if self.is_said(path) {
            return self.address(path);
        }
        self.take(path);
        None
    }

    /// Refuses an address that other machines can reach, for this reason.
    pub(super) fn refuse_reachable(
        &mut self,
        origin: &Origin,
        path: &str,
        address: SocketAddr,
        why: &str,
    ) {
        let port = address.port();
        self.fault(
            origin,
            path,
            &format!("is {address}, which other machines can reach; {why}, or give an address of this machine, such as \"127.0.0.1:{port}\""),
        );
    }

    /// A path; `None` when empty.
    pub(super) fn path(&mut self, path: &str) -> Option<PathBuf> {
        self.optional_text(path).map(PathBuf::from)
    }

    /// A path to a file that can be read now; `None` when empty.
    pub(super) fn readable_file(&mut self, path: &str) -> Option<PathBuf> {
        let origin = self.origin(path);
        let file = self.path(path)?;
        if let Err(error) = std::fs::File::open(&file) {
            self.fault(
                &origin,
                path,
                &format!("{} cannot be read: {error}", file.display()),
            );
        }
        Some(file)
    }

    /// The secret in the file that `path` names; `None` when empty.
    pub(super) fn secret(&mut self, path: &str) -> Option<Secret> {
        let origin = self.origin(path);
        let file = self.optional_text(path)?;
        match read_secret(Path::new(&file)) {
            Ok(secret) => Some(secret),
            Err(what) => {
                self.fault(&origin, path, &what);
                // Something is there, so that no second fault says it is missing.
                Some(Secret::new("unread"))
            }
        }
    }

    /// Where the value of a path stands; the default when it is not given.
    pub(super) fn origin(&self, path: &str) -> Origin {
        self.entries
            .get(path)
            .map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Whether something but an empty text was said at this path.
    pub(super) fn is_said(&self, path: &str) -> bool {
        let entry = self.entries.get(path);
        entry.is_some_and(|entry| entry.value.as_str() != Some(""))
    }

    /// Whether anything was said at this path.
    pub(super) fn is_given(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// The names directly under a section, with where each first stands.
    pub(super) fn names_under(&self, section: &str) -> Vec<(String, Origin)> {
        let start = format!("{section}.");
        let mut names: Vec<(String, Origin)> = Vec::new();
        for (path, entry) in &self.entries {
            let Some(name) = path
                .strip_prefix(&start)
                .and_then(|rest| rest.split('.').next())
            else {
                continue;
            };
            if names.last().is_none_or(|(last, _)| last != name) {
                names.push((name.to_owned(), entry.origin.clone()));
            }
        }
        names
    }

    /// Forgets a section about which a fault was told already.
    pub(super) fn forget(&mut self, section: &str) {
        let start = format!("{section}.");
        self.entries
            .retain(|path, _| path != section && !path.starts_with(&start));
    }

    /// Forgets an empty section's marker: an empty `[server]` is no fault.
    pub(super) fn allow_empty(&mut self, section: &str) {
        if let Some(entry) = self.entries.get(section)
            && entry.value.as_table().is_some_and(toml::Table::is_empty)
        {
            self.entries.remove(section);
        }
    }

    /// All faults, one line each: those found on the way, then what nobody asked for.
    pub(super) fn finish(mut self) -> Vec<String> {
        let known = &self.known;
        for (path, entry) in &self.entries {
            let is_section = known
                .iter()
                .any(|name| name.starts_with(&format!("{path}.")));
            let empty = entry.value.as_table().is_some_and(toml::Table::is_empty);
            if is_section && empty {
                continue;
            }
            let what = if is_section {
                "is a section, not a setting; put its keys under it".to_owned()
            } else {
                unknown(path, &entry.origin, known)
            };
            self.faults
                .push(format!("{}: {what}", entry.origin.about(path)));
        }
        self.faults
    }
}

fn unknown(path: &str, origin: &Origin, known: &BTreeSet<String>) -> String {
    // A provider's name is free, so it must not count in the likeness; the paths of the same provider win by
    // themselves.
    let close = nearest(path, known.iter().map(String::as_str));
    match (close, origin) {
        (Some(close), Origin::Variable(_)) => {
            format!("no such setting; did you mean {}?", variable_of(close))
        }
        (Some(close), _) => format!("no such setting; did you mean {close}?"),
        (None, _) => "no such setting; the commented default file lists all there are".to_owned(),
    }
}

/// A scalar as it was given. Text from the environment may stand for any type.
struct Given<'a> {
    value: &'a toml::Value,
    from_environment: bool,
}

impl Given<'_> {
    fn text(&self) -> Option<&str> {
        self.value.as_str()
    }

    fn boolean(&self) -> Option<bool> {
        match self.value {
            toml::Value::String(text) if self.from_environment => text.parse().ok(),
            other => other.as_bool(),
        }
    }

    fn integer(&self) -> Option<i64> {
        match self.value {
            toml::Value::String(text) if self.from_environment => text.parse().ok(),
            other => other.as_integer(),
        }
    }

    /// The value as a fault shows it: short, on one line.
    fn shown(&self) -> String {
        let text = match self.value {
            toml::Value::String(text) => format!("{text:?}"),
            toml::Value::Table(_) => "a section".to_owned(),
            toml::Value::Array(_) => "a list".to_owned(),
            other => other.to_string(),
        };
        if text.chars().count() > 60 {
            let start: String = text.chars().take(57).collect();
            return format!("{start}…");
        }
        text
    }
}

/// https anywhere; http only to this machine. No user, no query: a token in a URL would be logged.
fn is_safe_url(url: &str) -> bool {
    let (rest, secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return false,
    };
    if rest.contains(['@', '?', '#']) || rest.contains(char::is_whitespace) {
        return false;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    let ip = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    !host.is_empty() && (secure || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()))
}

/// A positive duration such as `30s` or `1h 30m`; days have 24 hours, months and years are none.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let span = SpanParser::new().parse_span(text).ok()?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

fn show_duration(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |signed| format!("{signed:#}"))
}

/// 1 MiB.
pub(super) const MEBIBYTE: u64 = 1024 * 1024;

/// The units of sizes, in MiB.
const UNITS: [(&str, u64); 3] = [("TiB", 1024 * 1024), ("GiB", 1024), ("MiB", 1)];

/// A size such as `512MiB` or `20 GiB`, in bytes; `0` needs no unit.
fn parse_size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (number, mebibytes) = UNITS
        .iter()
        .find_map(|(unit, mebibytes)| Some((text.strip_suffix(unit)?, mebibytes)))?;
    let number: u64 = number.trim_end().parse().ok()?;
    number.checked_mul(*mebibytes)?.checked_mul(MEBIBYTE)
}

fn show_size(bytes: u64) -> String {
    let mebibytes = bytes / MEBIBYTE;
    UNITS
        .iter()
        .find(|(_, size)| mebibytes >= *size && mebibytes.is_multiple_of(*size))
        .map_or_else(
            || format!("{bytes} bytes"),
            |(unit, size)| format!("{}{unit}", mebibytes / size),
        )
}

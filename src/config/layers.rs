//! The layers of the configuration, laid over each other: defaults, then the file, then the environment.
//!
//! The result is flat, dotted path to value, and each value knows where it stands, so that a fault can be told by line
//! or by variable. Whether a path is a setting at all is the reader's question.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::secret::read_limited;
use crate::failpoint;

/// The longest configuration file.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// What every variable of ours starts with.
const PREFIX: &str = "TIDINGS_";

/// Variables with our prefix that are not settings.
const OTHER_VARIABLES: [&str; 7] = [
    "TIDINGS_ADDRESS",
    "TIDINGS_API_KEY_FILE",
    "TIDINGS_CA_FILE",
    "TIDINGS_CERTIFICATE_FILE",
    "TIDINGS_CONFIG",
    "TIDINGS_KEY_FILE",
    "TIDINGS_LOG",
];

/// Where a value stands.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// In the compiled-in file.
    Default,
    /// In the operator's file: its name and the line.
    File(String, usize),
    /// In the environment: the variable.
    Variable(String),
}

impl Origin {
    /// The beginning of a fault's line about `path`.
    pub(super) fn about(&self, path: &str) -> String {
        match self {
            Self::Default => path.to_owned(),
            Self::File(file, line) => format!("{file}:{line}: {path}"),
            Self::Variable(name) => name.clone(),
        }
    }
}

/// A value and where it stands. An empty section is a value too: an empty table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: toml::Value,
    pub(super) origin: Origin,
}

/// Everything that was given, by dotted path.
pub(super) type Entries = BTreeMap<String, Entry>;

/// Adds the settings of a TOML text. `origin` makes a value's origin from its line.
pub(super) fn lay_text(
    entries: &mut Entries,
    text: &str,
    origin: &dyn Fn(usize) -> Origin,
) -> Result<(), String> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let what = error.message().replace('\n', ", ");
        format!("{}{what}", prefix(&origin(line)))
    })?;
    flatten(entries, "", table.into_inner(), &|offset| {
        origin(line_of(text, offset))
    });
    Ok(())
}

fn prefix(origin: &Origin) -> String {
    match origin {
        Origin::File(file, line) => format!("{file}:{line}: not readable as TOML: "),
        Origin::Default | Origin::Variable(_) => String::new(),
    }
}

/// Adds the settings of a file.
pub(super) fn lay_file(entries: &mut Entries, path: &Path) -> Result<(), String> {
    let bytes = read_limited(path, FILE_MAX_BYTES)?;
    let text =
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
    let name = path.display().to_string();
    lay_text(entries, &text, &|line| Origin::File(name.clone(), line))
}

/// Adds the settings of the environment; a sentence for each variable that has our prefix and is none.
pub(super) fn lay_environment(
    entries: &mut Entries,
    env: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, value) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if OTHER_VARIABLES.contains(&name.as_str())
            || rest.starts_with("TEST_")
            || (failpoint::ENABLED && name == failpoint::VARIABLE)
            || is_service_link(rest, &value)
        {
            continue;
        }
        if rest.contains("__") {
            let path = rest.to_ascii_lowercase().replace("__", ".");
            entries.insert(
                path,
                Entry {
                    value: toml::Value::String(value),
                    origin: Origin::Variable(name),
                },
            );
        } else {
            faults.push(stray_variable(&name, entries));
        }
    }
    faults.sort();
    faults
}

fn stray_variable(name: &str, entries: &Entries) -> String {
    let mut known: Vec<String> = OTHER_VARIABLES.map(str::to_owned).to_vec();
    known.extend(entries.keys().map(|path| variable_of(path)));
    // Compared without the prefix that all of them share, so that only the rest counts.
    let rest = name.trim_start_matches(PREFIX);
    match nearest(
        rest,
        known.iter().map(|name| name.trim_start_matches(PREFIX)),
    ) {
        Some(close) => format!("{name}: no such setting; did you mean {PREFIX}{close}?"),
        None => format!(
            "{name}: no such setting; a variable is TIDINGS_SECTION__KEY, such as TIDINGS_SERVER__DRAIN"
        ),
    }
}

/// The variable that sets a path.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

/// What Kubernetes puts into every container beside a Service called `tidings`, unasked. None of it is ours to refuse.
fn is_service_link(rest: &str, value: &str) -> bool {
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || ((rest == "PORT" || rest.starts_with("PORT_"))
            && (value.starts_with("tcp://")
                || value.starts_with("udp://")
                || ["_PROTO", "_PORT", "_ADDR"]
                    .iter()
                    .any(|end| rest.ends_with(end))))
}

fn flatten(
    entries: &mut Entries,
    above: &str,
    table: DeTable<'_>,
    origin: &dyn Fn(usize) -> Origin,
) {
    for (key, value) in table {
        let path = if above.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{above}.{}", key.get_ref())
        };
        let start = key.span().start;
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(entries, &path, inner, origin),
            other => {
                let spanned = Spanned::new(span, other);
                let Ok(value) = toml::Value::deserialize(spanned.into_deserializer()) else {
                    // A number beyond 64 bits: kept as text, so that the reader refuses it by name.
                    entries.insert(
                        path,
                        Entry {
                            value: toml::Value::String(String::new()),
                            origin: origin(start),
                        },
                    );
                    continue;
                };
                entries.insert(
                    path,
                    Entry {
                        value,
                        origin: origin(start),
                    },
                );
            }
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

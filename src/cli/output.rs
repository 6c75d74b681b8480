//! Where output goes and how it looks: tables and colour on a terminal, tabs and exact times in a pipe, JSON when
//! asked for.
//!
//! What comes from a gateway is shown, never obeyed: control characters are taken out, so that no text can steer a
//! terminal or break a row.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;

use crate::proto::{self, WireTime};

/// How standard output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// For a person.
    Terminal,
    /// For a pipe.
    Plain,
    /// For a program.
    Json,
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Waiting,
    Bad,
    Quiet,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Waiting => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Quiet => "\x1b[2m",
        }
    }

    const fn colour(self) -> Option<comfy_table::Color> {
        match self {
            Self::Plain => None,
            Self::Good => Some(comfy_table::Color::Green),
            Self::Waiting => Some(comfy_table::Color::Yellow),
            Self::Bad => Some(comfy_table::Color::Red),
            Self::Quiet => Some(comfy_table::Color::DarkGrey),
        }
    }
}

/// A text with its colour.
#[derive(Clone, Debug)]
pub(super) struct Toned(pub(super) String, pub(super) Tone);

impl<T: Into<String>> From<T> for Toned {
    fn from(text: T) -> Self {
        Self(text.into(), Tone::Plain)
    }
}

/// Standard output with its style.
pub(super) struct Output {
    pub(super) style: Style,
    colour: bool,
    out: Box<dyn Write + Send>,
}

impl Output {
    /// This process's standard output.
    pub(super) fn standard(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let style = match (json, terminal) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        // https://no-color.org: any value that is not empty.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            style,
            colour: terminal && !no_colour,
            out: Box::new(io::stdout()),
        }
    }

    /// Output into anything, without colour.
    #[cfg(test)]
    pub(super) fn to(style: Style, out: Box<dyn Write + Send>) -> Self {
        Self {
            style,
            colour: false,
            out,
        }
    }

    /// Whether JSON was asked for.
    pub(super) fn is_json(&self) -> bool {
        self.style == Style::Json
    }

    /// One line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Bytes as they are, with a line break at the end if there was none.
    pub(super) fn raw(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }

    /// One JSON value: indented for a person, on one line in a pipe.
    pub(super) fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        if io::stdout().is_terminal() {
            self.line(&format!("{value:#}"))
        } else {
            self.line(&value.to_string())
        }
    }

    /// One JSON value on one line, as one of many.
    pub(super) fn json_line(&mut self, value: &serde_json::Value) -> io::Result<()> {
        self.line(&value.to_string())
    }

    /// A text in a colour, if there is colour.
    pub(super) fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colour && tone != Tone::Plain {
            return format!("{}{text}\x1b[0m", tone.code());
        }
        text.to_owned()
    }

    /// A time: readable on a terminal, exact in a pipe, `-` when there is none.
    pub(super) fn time(&self, wire: Option<&WireTime>) -> String {
        wire.and_then(|wire| proto::time(wire).ok())
            .map_or_else(|| "-".to_owned(), |time| self.instant(time))
    }

    /// The same for a time of our own.
    pub(super) fn instant(&self, time: Timestamp) -> String {
        match self.style {
            Style::Terminal => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            Style::Plain | Style::Json => time.to_string(),
        }
    }

    /// Rows under headers on a terminal; rows with tabs in a pipe.
    pub(super) fn table(&mut self, headers: &[&str], rows: &[Vec<Toned>]) -> io::Result<()> {
        if self.style != Style::Terminal {
            for row in rows {
                let cells: Vec<_> = row.iter().map(|cell| clean(&cell.0)).collect();
                writeln!(self.out, "{}", cells.join("\t"))?;
            }
            return self.out.flush();
        }
        let text = drawn(headers, rows, self.colour);
        self.line(&text)
    }

    /// Names and values, one a line.
    pub(super) fn fields<N: AsRef<str>>(&mut self, fields: &[(N, Toned)]) -> io::Result<()> {
        let width = fields
            .iter()
            .map(|(name, _)| name.as_ref().len())
            .max()
            .unwrap_or(0);
        for (name, value) in fields {
            let name = clean(name.as_ref());
            let text = clean(&value.0);
            if self.style == Style::Terminal {
                let name = self.paint(&format!("{name:<width$}"), Tone::Quiet);
                let text = self.paint(&text, value.1);
                self.line(&format!("{name}  {text}"))?;
            } else {
                self.line(&format!("{name}\t{text}"))?;
            }
        }
        Ok(())
    }
}

fn drawn(headers: &[&str], rows: &[Vec<Toned>], colour: bool) -> String {
    // Cells are never broken into lines: an id must stay in one piece to be copied, and some terminals say they are 0
    // wide.
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.iter().map(|header| {
        let cell = Cell::new(header).set_alignment(CellAlignment::Left);
        if colour {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    }));
    for row in rows {
        table.add_row(row.iter().map(|toned| {
            let cell = Cell::new(clean(&toned.0));
            match toned.1.colour() {
                Some(tone) if colour => cell.fg(tone),
                _ => cell,
            }
        }));
    }
    table.trim_fmt()
}

/// Text without control characters, on one line.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Text of several lines without control characters but line breaks and tabs.
pub(super) fn clean_block(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// A line for the person, on standard error, so that it never mixes with data. A closed standard error is nobody's
/// loss.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

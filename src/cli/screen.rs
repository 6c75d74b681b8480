//! What a host shows while it runs: lines, and a picture that is drawn again in its place.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use terminal_size::{Height, Width};

use super::output::{self, Output};

/// One line on standard output. A reader that has gone is nobody's loss: the host goes on.
pub fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A line for the person, on standard error.
pub fn complain(text: &str) {
    output::note(text);
}

/// Rows under headers: one line a row, however long.
pub fn table<'a>(head: &[&str], rows: impl IntoIterator<Item = Vec<&'a str>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.into_iter().map(output::clean));
    }
    table.trim_fmt()
}

/// The same with its own colour and width on a terminal; rows with tabs in a pipe.
pub fn listing(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let toned = |row: Vec<String>| row.into_iter().map(Into::into).collect();
    let rows: Vec<Vec<output::Toned>> = rows.into_iter().map(toned).collect();
    let _ = Output::standard(false).table(head, &rows);
}

/// One JSON value: indented for a person, on one line in a pipe.
pub fn document(value: &serde_json::Value) {
    let _ = Output::standard(true).json(value);
}

/// A place on the terminal that is drawn over again and again. Nothing is wiped first, so nothing flickers; a line that is too long
/// is cut, so that a line of the picture is a line of the terminal.
#[derive(Debug, Default)]
pub struct Canvas {
    drawn: usize,
}

/// What fits: columns and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Lines, without the one of the cursor.
    pub height: usize,
}

impl Canvas {
    /// A canvas, if standard output is a terminal.
    pub fn new() -> Option<Self> {
        io::stdout().is_terminal().then(Self::default)
    }

    /// How large a picture may be now.
    pub fn size(&self) -> Size {
        // Some terminals say that they are 0 wide.
        let told = terminal_size::terminal_size().filter(|(Width(width), _)| *width > 0);
        let (Width(width), Height(height)) = told.unwrap_or((Width(80), Height(24)));
        Size {
            width: width.into(),
            height: usize::from(height).saturating_sub(1).max(1),
        }
    }

    /// Draws over what was drawn before; lines beyond the height are left out.
    pub fn draw(&mut self, lines: &[String]) {
        let Size { width, height } = self.size();
        // Together and without wrapping, where the terminal can: DEC private modes 2026 and 7.
        let mut frame = "\x1b[?2026h\x1b[?7l".to_owned();
        let up = self.drawn.min(height);
        if up > 0 {
            frame.push_str(&format!("\x1b[{up}A"));
        }
        frame.push('\r');
        let shown = lines.len().min(height);
        for line in lines.iter().take(shown) {
            frame.push_str(&cut(&output::clean(line), width));
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[0J\x1b[?7h\x1b[?2026l");
        self.drawn = shown;
        let mut out = io::stdout().lock();
        let _ = out.write_all(frame.as_bytes());
        let _ = out.flush();
    }
}

/// The text in at most `width` characters, with a mark where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_with_a_mark() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größer", 5), "größ…");
        assert_eq!(cut("größer", 1), "…");
    }
}

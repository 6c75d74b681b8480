//! What a host shows while it runs: lines, and a table that is drawn again in its place.

use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::output;

/// One line on standard output. A reader that has gone is nobody's loss: the host goes on.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A line for the person, on standard error.
pub fn complain(text: &str) {
    output::note(text);
}

/// Rows under headers, as wide as the terminal.
pub fn table<'a>(head: &[&str], rows: impl IntoIterator<Item = Vec<&'a str>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.into_iter().map(output::clean));
    }
    table.trim_fmt()
}

/// The width of a table where no terminal tells one.
const WIDTH: u16 = 180;

/// Draws over the last `lines` lines.
pub fn redraw(lines: usize, text: &str) {
    let mut out = std::io::stdout().lock();
    if lines > 0 {
        let _ = write!(out, "\x1b[{lines}A\x1b[0J");
    }
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

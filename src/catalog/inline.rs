//! CSS written into the elements it is for, once when the bundle is built: some mail programs drop style sheets.
//!
//! A library finds out which declarations each element gets. It would also write the whole document anew, so it is
//! shown a numbered copy, and only the finished `style` attributes and what is left of the style sheets are taken from
//! there: all other bytes stay the author's, handlebars and conditional comments too. What has no element of its own
//! (`@media`, dark mode, `:hover`) stays in the style sheet. An element whose tag depends on a condition is left alone,
//! and then the style sheets stay whole, so that its classes still find their rules.
//!
//! It loads nothing: a style sheet from elsewhere was refused before.

use std::collections::BTreeMap;
use std::ops::Range;

use css_inline::CSSInliner;

use super::markup::{Piece, Tag, pieces};
use super::skeleton::{Part, Skeleton};

/// Which style sheets are written into elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sheets<'a> {
    /// All that do not say `data-css-inline="ignore"`, or `media`.
    All,
    /// Those that begin with these words, which are taken away.
    Marked(&'a str),
}

/// Marks the elements of the copy.
const NUMBER: &str = "data-tdx-n";

/// The text with its CSS inlined; the error is a sentence.
pub(crate) fn inline(
    skeleton: &Skeleton,
    text: &str,
    sheets: Sheets<'_>,
) -> Result<String, String> {
    let found = Found::read(skeleton, text, sheets);
    if found.styles.is_empty() {
        return Ok(text.to_owned());
    }
    let copy = found.copy(text);
    let written = CSSInliner::options()
        .keep_style_tags(true)
        .remove_inlined_selectors(!found.conditional)
        .keep_at_rules(true)
        .load_remote_stylesheets(false)
        .build()
        .inline(&copy)
        .map_err(|error| format!("the style sheet cannot be read: {error}"))?;
    Ok(found.splice(text, &written))
}

struct Found {
    tags: Vec<Tag>,
    /// What stands in the style sheets to inline, without their mark.
    styles: Vec<Range<usize>>,
    /// With the mark.
    marks: Vec<Range<usize>>,
    /// Style sheets that are not inlined.
    others: Vec<Range<usize>>,
    /// Every tag, and every word outside of them.
    spans: Vec<Range<usize>>,
    words: Vec<Range<usize>>,
    /// Whether a tag depends on a condition.
    conditional: bool,
}

impl Found {
    fn read(skeleton: &Skeleton, text: &str, sheets: Sheets<'_>) -> Self {
        let mut found = Self {
            tags: Vec::new(),
            styles: Vec::new(),
            marks: Vec::new(),
            others: Vec::new(),
            spans: Vec::new(),
            words: Vec::new(),
            conditional: false,
        };
        let mut sheet_ignored = false;
        for piece in pieces(text) {
            match piece {
                Piece::Open(tag) if tag.name == "style" => {
                    sheet_ignored = tag.value(text, "data-css-inline").is_some()
                        || tag.attribute("media").is_some();
                }
                Piece::Open(tag) => {
                    found.spans.push(tag.whole.clone());
                    let inside = text.get(tag.whole.clone()).unwrap_or_default();
                    if skeleton.words(inside).any(|word| word.part != Part::Value) {
                        found.conditional = true;
                    } else {
                        found.tags.push(tag);
                    }
                }
                Piece::Raw(range) => found.sheet(text, range, sheet_ignored, sheets),
                Piece::Comment(range) => found.spans.push(range),
                Piece::Close { .. } => {}
            }
        }
        // Text inside a table would be moved out of it, and text in the head would end that.
        found.words = skeleton
            .words(text)
            .map(|word| word.start..word.end)
            .filter(|word| {
                let behind = found.spans.partition_point(|span| span.start <= word.start);
                let before = behind.checked_sub(1).and_then(|n| found.spans.get(n));
                before.is_none_or(|span| span.end <= word.start)
            })
            .collect();
        found
    }

    fn sheet(&mut self, text: &str, range: Range<usize>, ignored: bool, sheets: Sheets<'_>) {
        let css = text.get(range.clone()).unwrap_or_default();
        let mark = match sheets {
            Sheets::All if ignored => None,
            Sheets::All => Some(0),
            Sheets::Marked(mark) => css.starts_with(mark).then_some(mark.len()),
        };
        match mark {
            // A title is no style sheet; only these hold rules.
            Some(mark) if css.contains('{') || mark > 0 => {
                self.styles.push(range.start + mark..range.end);
                self.marks.push(range);
            }
            _ => self.others.push(range),
        }
    }

    /// The text with numbered elements, and without the style sheets that are not inlined.
    fn copy(&self, text: &str) -> String {
        let mut edits = BTreeMap::new();
        for word in &self.words {
            edits.insert(word.start, (word.end, String::new()));
        }
        for (number, tag) in self.tags.iter().enumerate() {
            edits.insert(
                tag.name_end,
                (tag.name_end, format!(" {NUMBER}=\"{number}\"")),
            );
        }
        for other in &self.others {
            edits.insert(other.start, (other.end, String::new()));
        }
        for (mark, style) in self.marks.iter().zip(&self.styles) {
            edits.insert(mark.start, (style.start, String::new()));
        }
        edited(text, &edits)
    }

    fn splice(&self, text: &str, written: &str) -> String {
        let mut edits = BTreeMap::new();
        let mut sheets = Vec::new();
        for piece in pieces(written) {
            match piece {
                Piece::Open(tag) => self.take_style(text, written, &tag, &mut edits),
                Piece::Raw(range) => sheets.push(range),
                Piece::Close { .. } | Piece::Comment(_) => {}
            }
        }
        // The copy held the same elements with raw content, in the same order.
        let mut all: Vec<(&Range<usize>, bool)> = self
            .marks
            .iter()
            .map(|range| (range, true))
            .chain(self.others.iter().map(|range| (range, false)))
            .collect();
        all.sort_by_key(|(range, _)| range.start);
        for ((range, inlined), left) in all.into_iter().zip(sheets) {
            if inlined {
                let left = written.get(left).unwrap_or_default().to_owned();
                edits.insert(range.start, (range.end, left));
            }
        }
        edited(text, &edits)
    }

    fn take_style(
        &self,
        text: &str,
        written: &str,
        tag: &Tag,
        edits: &mut BTreeMap<usize, (usize, String)>,
    ) {
        let number = tag
            .value(written, NUMBER)
            .and_then(|n| n.parse::<usize>().ok());
        let (Some(own), Some(style)) = (
            number.and_then(|number| self.tags.get(number)),
            tag.value(written, "style"),
        ) else {
            return;
        };
        if own.value(text, "style") == Some(style) {
            return;
        }
        let style = format!("style=\"{}\"", style.trim().trim_end_matches(';'));
        match own.attribute("style") {
            Some(before) => edits.insert(before.whole.start, (before.whole.end, style)),
            None => edits.insert(own.name_end, (own.name_end, format!(" {style}"))),
        };
    }
}

/// The text with each range that begins at a key replaced.
fn edited(text: &str, edits: &BTreeMap<usize, (usize, String)>) -> String {
    let mut result = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for (start, (end, new)) in edits {
        result.push_str(text.get(at..*start).unwrap_or_default());
        result.push_str(new);
        at = *end;
    }
    result.push_str(text.get(at..).unwrap_or_default());
    result
}

//! Making MJML ready for its compiler, which is more lenient than any author would like.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Fault, SHEET};
use crate::catalog::finding::nearest;
use crate::catalog::markup::{Piece, Tag, is_void, pieces};
use crate::catalog::skeleton::{Part, Skeleton, Word};

/// What the compiler knows, but for what it would fetch or what needs active content.
const KNOWN: [&str; 26] = [
    "mjml",
    "mj-head",
    "mj-body",
    "mj-attributes",
    "mj-all",
    "mj-class",
    "mj-breakpoint",
    "mj-preview",
    "mj-style",
    "mj-title",
    "mj-raw",
    "mj-button",
    "mj-column",
    "mj-divider",
    "mj-group",
    "mj-hero",
    "mj-image",
    "mj-navbar",
    "mj-navbar-link",
    "mj-section",
    "mj-social",
    "mj-social-element",
    "mj-spacer",
    "mj-table",
    "mj-text",
    "mj-wrapper",
];
/// Elements whose children are elements: a word between them is written as a comment.
const STRUCTURE: [&str; 11] = [
    "mjml",
    "mj-head",
    "mj-body",
    "mj-attributes",
    "mj-column",
    "mj-group",
    "mj-hero",
    "mj-navbar",
    "mj-section",
    "mj-social",
    "mj-wrapper",
];
/// Elements inside elements: the compiler calls itself for each.
const NESTING_MAX: usize = 100;

/// The text for the compiler, and the way back.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) text: String,
    /// Where in the text which offset of the skeleton's text stands.
    runs: Vec<(usize, usize)>,
    /// What short words stand for that the compiler would spell in its own way.
    spelled: Vec<(String, String)>,
    comments: Vec<String>,
    /// Words before and behind the root.
    around: (String, String),
}

impl Prepared {
    /// An offset of the skeleton's text.
    pub(super) fn back(&self, position: usize) -> usize {
        let behind = self.runs.partition_point(|(start, _)| *start <= position);
        let run = behind.checked_sub(1).and_then(|index| self.runs.get(index));
        run.map_or(0, |(start, source)| source + (position - start))
    }

    /// The offset of a row and a column, both from 1.
    pub(super) fn offset(&self, row: usize, column: usize) -> usize {
        let before: usize = self
            .text
            .split_inclusive('\n')
            .take(row.saturating_sub(1))
            .map(str::len)
            .sum();
        before + column.saturating_sub(1)
    }

    /// The HTML with words instead of what was written for the compiler.
    pub(super) fn restore(&self, html: &str) -> String {
        let mut html = html.to_owned();
        for word in &self.comments {
            html = html.replace(&format!("<!--{word}-->"), word);
        }
        // The last first: "…1l" is no part of "…11l", but the order keeps it obvious.
        for (short, long) in self.spelled.iter().rev() {
            html = html.replace(short, long);
        }
        format!("{}{html}{}", self.around.0, self.around.1)
    }
}

struct Work<'a> {
    skeleton: &'a Skeleton,
    text: &'a str,
    words: Vec<Word>,
    edits: BTreeMap<usize, (usize, String)>,
    open: Vec<(String, Range<usize>)>,
    spelled: Vec<(String, String)>,
    comments: Vec<String>,
    faults: Vec<Fault>,
    /// Behind the last piece.
    at: usize,
    /// Whether the root was closed.
    ended: bool,
    around: (String, String),
}

/// Checks what the compiler does not, and writes what it would misread in a way that it does not.
pub(super) fn prepare(skeleton: &Skeleton) -> Result<Prepared, Vec<Fault>> {
    let text = skeleton.text.as_str();
    let mut work = Work {
        skeleton,
        text,
        words: skeleton.words(text).collect(),
        edits: BTreeMap::new(),
        open: Vec::new(),
        spelled: Vec::new(),
        comments: Vec::new(),
        faults: Vec::new(),
        at: 0,
        ended: false,
        around: <(String, String)>::default(),
    };
    for piece in pieces(text) {
        work.piece(piece);
    }
    work.between(text.len());
    if let Some((name, range)) = work.open.pop() {
        work.faults.push(Fault::syntax(
            range.start,
            format!("<{name}> is not closed; write </{name}> where it ends."),
        ));
    }
    if work.faults.is_empty() {
        Ok(work.written())
    } else {
        Err(work.faults)
    }
}

impl Work<'_> {
    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Open(tag) => {
                self.between(tag.whole.start);
                self.at = tag.whole.end;
                self.open(&tag);
            }
            Piece::Close { name, whole } => {
                self.between(whole.start);
                self.at = whole.end;
                self.close(&name, whole);
            }
            Piece::Comment(range) => {
                self.between(range.start);
                self.at = range.end;
                self.comment(range);
            }
            Piece::Raw(range) => {
                self.at = range.end;
                let is_sheet = self.open.last().is_some_and(|(name, _)| name == "mj-style");
                if is_sheet {
                    self.edits
                        .insert(range.start, (range.start, SHEET.to_owned()));
                }
            }
        }
    }

    /// Words in the text between two pieces.
    fn between(&mut self, end: usize) {
        let start = self.at;
        let structure = self
            .open
            .last()
            .is_none_or(|(name, _)| STRUCTURE.contains(&name.as_str()));
        let between = self.text.get(start..end).unwrap_or_default();
        if !structure {
            return;
        }
        let mut last = 0;
        let mut stray = None;
        for word in self.skeleton.words(between) {
            stray = stray.or_else(|| stray_text(between, last..word.start));
            last = word.end;
            let spelling = between.get(word.start..word.end).unwrap_or_default();
            let written = if !self.open.is_empty() {
                self.comments.push(spelling.to_owned());
                format!("<!--{spelling}-->")
            } else {
                // The compiler drops what stands outside of its root.
                let side = match self.ended {
                    false => &mut self.around.0,
                    true => &mut self.around.1,
                };
                side.push_str(spelling);
                String::new()
            };
            self.edits
                .insert(start + word.start, (start + word.end, written));
            if word.part == Part::Value && stray.is_none() {
                stray = Some(word.start);
            }
        }
        stray = stray.or_else(|| stray_text(between, last..between.len()));
        if let Some(offset) = stray {
            let around = self.open.last().map_or("mjml", |(name, _)| name.as_str());
            self.faults.push(Fault::syntax(
                start + offset,
                format!("text does not stand in <{around}> itself; put it into <mj-text>, or HTML into <mj-raw>."),
            ));
        }
    }

    fn open(&mut self, tag: &Tag) {
        let at = tag.whole.start;
        let name = tag.name.as_str();
        let refused = match name {
            "mj-include" => Some("<mj-include> is not read; put the part into partials/NAME.mjml.hbs and write {{> NAME}}.".to_owned()),
            "mj-font" => Some("<mj-font> would load a font from elsewhere; name fonts that readers have, such as Arial.".to_owned()),
            "mj-carousel" | "mj-carousel-image" | "mj-accordion" | "mj-accordion-element" | "mj-accordion-title" | "mj-accordion-text" => Some(format!("<{name}> needs active content, which mail programs drop; use sections instead.")),
            _ if name.starts_with("mj") && !KNOWN.contains(&name) => Some(format!("there is no element <{name}>.{}", nearest(name, KNOWN))),
            "mj-social-element" if tag.attribute("src").is_none() => Some("<mj-social-element> needs a src, or its picture would come from a stranger's server; add your own.".to_owned()),
            _ if self.open.is_empty() && name != "mjml" => Some("everything stands inside <mjml>; begin the layout with it.".to_owned()),
            _ => None,
        };
        if let Some(message) = refused {
            self.faults.push(Fault::syntax(at, message));
        }
        self.attributes(tag);
        if tag.closed || is_void(name) {
            return;
        }
        self.open.push((tag.name.clone(), tag.whole.clone()));
        if self.open.len() == NESTING_MAX {
            self.faults.push(Fault {
                rule: "limit/depth",
                offset: at,
                message: format!("elements nest deeper than {NESTING_MAX}; make it flatter."),
            });
        }
    }

    fn attributes(&mut self, tag: &Tag) {
        let first = self
            .words
            .partition_point(|word| word.start < tag.whole.start);
        let words: Vec<Word> = self
            .words
            .iter()
            .skip(first)
            .take_while(|word| word.end <= tag.whole.end)
            .copied()
            .collect();
        let is_mjml = tag.name.starts_with("mj");
        for word in words {
            let in_value = tag.attributes.iter().any(|attribute| {
                attribute
                    .value
                    .as_ref()
                    .is_some_and(|value| value.contains(&word.start))
            });
            if is_mjml && !in_value {
                self.faults.push(Fault::syntax(
                    word.start,
                    "in MJML a condition stands around an element or inside a quoted value, not among attributes.",
                ));
            }
        }
        for attribute in &tag.attributes {
            let Some(range) = attribute.value.clone() else {
                continue;
            };
            let value = self.text.get(range.clone()).unwrap_or_default();
            if is_mjml && !attribute.quoted {
                self.faults.push(Fault::syntax(
                    attribute.whole.start,
                    "write the value in quotes: name=\"value\".",
                ));
            }
            // The compiler prints attributes as Rust prints text: with \" and \u{a0}.
            let plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            if !value.chars().all(plain) {
                let short = format!("{}{}l", self.skeleton.prefix, self.spelled.len());
                self.edits.insert(range.start, (range.end, short.clone()));
                self.spelled.push((short, value.replace('"', "&quot;")));
            }
        }
    }

    fn close(&mut self, name: &str, whole: Range<usize>) {
        if is_void(name) {
            self.edits.insert(whole.start, (whole.end, String::new()));
            return;
        }
        match self.open.last() {
            Some((open, _)) if open == name => {
                self.open.pop();
                self.ended |= self.open.is_empty();
            }
            Some((open, range)) => {
                let known = self.open.iter().rposition(|(open, _)| open == name);
                let fault = match known {
                    Some(_) => Fault::syntax(
                        range.start,
                        format!(
                            "<{open}> is not closed before </{name}>; write a whole element, in each branch of a condition."
                        ),
                    ),
                    None => Fault::syntax(
                        whole.start,
                        format!("</{name}> closes nothing; <{open}> is what is open here."),
                    ),
                };
                self.faults.push(fault);
                // One slip is told once: what was meant is taken as closed.
                self.open.truncate(known.unwrap_or(self.open.len()));
            }
            None => self.faults.push(Fault::syntax(
                whole.start,
                format!("</{name}> closes nothing; remove it."),
            )),
        }
    }

    /// An author's notes are not for customers; Outlook's conditions are.
    fn comment(&mut self, range: Range<usize>) {
        let comment = self.text.get(range.clone()).unwrap_or_default();
        if !comment.starts_with("<!--[if") && !comment.starts_with("<!--<![endif]") {
            self.edits.insert(range.start, (range.end, String::new()));
        }
    }

    fn written(self) -> Prepared {
        let mut text = String::with_capacity(self.text.len() * 2);
        let mut runs = Vec::new();
        let mut at = 0;
        for (start, (end, new)) in self.edits {
            runs.push((text.len(), at));
            text.push_str(self.text.get(at..start).unwrap_or_default());
            runs.push((text.len(), start));
            text.push_str(&new);
            at = end;
        }
        runs.push((text.len(), at));
        text.push_str(self.text.get(at..).unwrap_or_default());
        Prepared {
            text,
            runs,
            spelled: self.spelled,
            comments: self.comments,
            around: self.around,
        }
    }
}

/// The place of the first character that is no space.
fn stray_text(text: &str, range: Range<usize>) -> Option<usize> {
    let part = text.get(range.clone())?;
    let spaces = part.len() - part.trim_start().len();
    (spaces < part.len()).then_some(range.start + spaces)
}

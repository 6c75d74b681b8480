//! The tags of a text that holds no handlebars any more: where they stand, with their attributes and their quotes.
//!
//! It reads HTML and MJML alike, and repairs nothing: what is no tag is text.

use std::ops::Range;

/// Elements whose content is not markup.
const RAW: [&str; 4] = ["style", "script", "mj-style", "title"];

/// Elements without content.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

pub(crate) fn is_void(name: &str) -> bool {
    VOID.contains(&name)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// Lower case.
    pub(crate) name: String,
    /// Between the quotes.
    pub(crate) value: Option<Range<usize>>,
    /// With name and quotes.
    pub(crate) whole: Range<usize>,
    pub(crate) quoted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Lower case.
    pub(crate) name: String,
    /// From `<` to behind `>`.
    pub(crate) whole: Range<usize>,
    pub(crate) name_end: usize,
    pub(crate) attributes: Vec<Attribute>,
    /// `<br />`.
    pub(crate) closed: bool,
}

impl Tag {
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    pub(crate) fn value<'t>(&self, text: &'t str, name: &str) -> Option<&'t str> {
        text.get(self.attribute(name)?.value.clone()?)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Open(Tag),
    Close {
        name: String,
        whole: Range<usize>,
    },
    /// With its marks; conditional comments too.
    Comment(Range<usize>),
    /// What stands in a style sheet or another element whose content is not markup.
    Raw(Range<usize>),
}

/// The pieces that are not plain text, in order.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text
        .get(at..)
        .and_then(|rest| rest.find('<'))
        .map(|n| at + n)
    {
        let rest = text.get(start..).unwrap_or_default();
        at = start + 1;
        if rest.starts_with("<!--") {
            let end = rest.get(4..).and_then(|inner| inner.find("-->"));
            at = end.map_or(text.len(), |end| start + 4 + end + 3);
            found.push(Piece::Comment(start..at));
        } else if let Some(closing) = rest.strip_prefix("</") {
            let name = name_of(closing);
            if !name.is_empty() {
                at = start + rest.find('>').map_or(rest.len(), |end| end + 1);
                found.push(Piece::Close {
                    name,
                    whole: start..at,
                });
            }
        } else {
            let name = name_of(rest.get(1..).unwrap_or_default());
            if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                let tag = read_tag(text, start, name);
                at = tag.whole.end;
                let raw = !tag.closed && RAW.contains(&tag.name.as_str());
                let name = tag.name.clone();
                found.push(Piece::Open(tag));
                if raw {
                    let end = end_of_raw(text, at, &name);
                    found.push(Piece::Raw(at..end));
                    at = end;
                }
            }
        }
    }
    found
}

fn name_of(rest: &str) -> String {
    rest.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '_'))
        .collect::<String>()
        .to_ascii_lowercase()
}

fn end_of_raw(text: &str, from: usize, name: &str) -> usize {
    let mut at = from;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("</")) {
        let start = at + found;
        if name_of(text.get(start + 2..).unwrap_or_default()) == name {
            return start;
        }
        at = start + 2;
    }
    text.len()
}

fn read_tag(text: &str, start: usize, name: String) -> Tag {
    let name_end = start + 1 + name.len();
    let mut tag = Tag {
        name,
        whole: start..text.len(),
        name_end,
        attributes: Vec::new(),
        closed: false,
    };
    let mut at = name_end;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let skipped = rest.len() - rest.trim_start().len();
        at += skipped;
        let rest = rest.trim_start();
        match rest.chars().next() {
            None => return tag,
            Some('>') => {
                tag.whole.end = at + 1;
                return tag;
            }
            Some('/') => {
                tag.closed = rest.starts_with("/>");
                at += 1;
            }
            Some(_) => {
                let attribute = read_attribute(text, at);
                at = attribute.whole.end;
                tag.attributes.push(attribute);
            }
        }
    }
}

fn read_attribute(text: &str, start: usize) -> Attribute {
    let rest = text.get(start..).unwrap_or_default();
    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/');
    // A tag may begin with an odd character; each is read once.
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let length = rest
        .get(first..)
        .and_then(|rest| rest.find(ends))
        .map_or(rest.len(), |end| first + end);
    let mut attribute = Attribute {
        name: rest.get(..length).unwrap_or_default().to_ascii_lowercase(),
        value: None,
        whole: start..start + length,
        quoted: false,
    };
    let after = rest.get(length..).unwrap_or_default();
    let Some(value) = after.trim_start().strip_prefix('=') else {
        return attribute;
    };
    let value = value.trim_start();
    let from = start + rest.len() - value.len();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let end = value
                .get(1..)
                .and_then(|inner| inner.find(quote))
                .map_or(value.len(), |end| end + 1);
            attribute.value = Some(from + 1..from + end);
            attribute.whole.end = (from + end + 1).min(text.len());
            attribute.quoted = true;
        }
        _ => {
            let end = value
                .find(|c: char| c.is_whitespace() || c == '>')
                .unwrap_or(value.len());
            attribute.value = Some(from..from + end);
            attribute.whole.end = from + end;
        }
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Vec<Tag> {
        pieces(text)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Open(tag) => Some(tag),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn tags_attributes_and_quotes_are_found() {
        let text = "a < b <A href='x>y' CLASS = \"c d\" hidden data=1>t</a><br/><!-- <p> --><img src=a/b />";
        let tags = open(text);
        let names: Vec<_> = tags.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(names, ["a", "br", "img"]);
        assert_eq!(tags[0].value(text, "href"), Some("x>y"));
        assert_eq!(tags[0].value(text, "class"), Some("c d"));
        assert_eq!(tags[0].value(text, "data"), Some("1"));
        assert!(tags[0].attribute("hidden").unwrap().value.is_none());
        assert!(tags[1].closed && !tags[0].closed);
        assert_eq!(
            &text[tags[0].whole.clone()],
            "<A href='x>y' CLASS = \"c d\" hidden data=1>"
        );
        assert_eq!(pieces(text).len(), 5);
    }

    #[test]
    fn style_sheets_are_not_markup_and_nothing_ends_the_reader() {
        let text = "<style>a > b { x: \"</p>\" }</style><p>";
        let pieces_of = pieces(text);
        assert_eq!(pieces_of.len(), 4);
        assert!(matches!(&pieces_of[1], Piece::Raw(range) if text[range.clone()].ends_with('}')));
        for broken in [
            "<",
            "<a",
            "<a b",
            "<a b=",
            "<a b='",
            "<!--",
            "</",
            "<style>",
            "<a =>",
            "<a ==/ />",
            "<é>",
            "<a é=\"é",
        ] {
            pieces(broken);
        }
    }
}

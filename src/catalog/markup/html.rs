//! Reading HTML with handlebars in it, as far as is needed to know where each `{{…}}` stands.
//!
//! It is not an HTML parser: it knows text, comments, style sheets, tags, attributes and their quotes.

use crate::catalog::finding::{Findings, Spot};

const FORBIDDEN_TAGS: [&str; 12] = [
    "script", "form", "input", "iframe", "object", "embed", "base", "applet", "frame", "textarea",
    "svg", "link",
];
const LINK_ATTRIBUTES: [&str; 6] = [
    "href",
    "src",
    "action",
    "background",
    "poster",
    "formaction",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    /// Between `<!--` and `-->`, but not in Outlook's conditional ones, whose content is HTML.
    Comment,
    Style,
    /// In a tag, outside of values.
    Tag,
    /// In an attribute's value; 0 for an unquoted one.
    Value(u8),
}

struct Scan<'a> {
    path: &'a str,
    text: &'a str,
    at: usize,
    place: Place,
    tag: String,
    attribute: String,
    /// What the value holds so far.
    value: String,
    findings: &'a mut Findings,
}

/// Checks the text of an HTML template or partial.
pub(crate) fn check_html(path: &str, text: &str, findings: &mut Findings) {
    let mut scan = Scan {
        path,
        text,
        at: 0,
        place: Place::Text,
        tag: String::new(),
        attribute: String::new(),
        value: String::new(),
        findings,
    };
    while scan.at < text.len() {
        scan.step();
    }
    check_style(path, text, scan.findings);
}

/// Style sheets may not load anything.
fn check_style(path: &str, text: &str, findings: &mut Findings) {
    let lower = text.to_ascii_lowercase();
    for needle in ["@import", "expression(", "-moz-binding", "behavior:"] {
        if let Some(offset) = lower.find(needle) {
            findings.add(
                "email/active-content",
                path,
                Spot::of(text, offset),
                format!("{needle} is not allowed in mail; write the styles here."),
            );
        }
    }
    let mut from = 0;
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find("url(")) {
        let offset = from + found;
        from = offset + 4;
        let target = lower
            .get(from..)
            .unwrap_or_default()
            .trim_start_matches(['\'', '"', ' ']);
        // `{{t 'x' link=(url y)}}` has a space after the word and is not CSS.
        if target.starts_with("http")
            || target.starts_with("//")
            || target.starts_with("{{")
            || target.starts_with("data:")
        {
            findings.add(
                "email/active-content",
                path,
                Spot::of(text, offset),
                "a style sheet may not load anything; use an <img> or leave it out.",
            );
        }
    }
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn tell(&mut self, rule: &'static str, message: impl Into<String>) {
        let spot = Spot::of(self.text, self.at);
        self.findings.add(rule, self.path, spot, message);
    }

    fn step(&mut self) {
        if self.rest().starts_with("{{") {
            self.mustache();
            return;
        }
        let Some(c) = self.rest().chars().next() else {
            return;
        };
        let mut ahead = c.len_utf8();
        match self.place {
            Place::Text => {
                if c == '<' {
                    ahead = self.open();
                }
            }
            Place::Comment => {
                if self.rest().starts_with("-->") {
                    self.place = Place::Text;
                    ahead = 3;
                }
            }
            Place::Style => {
                let ends = ["</style", "</mj-style"].into_iter().any(|end| {
                    let rest = self.rest().get(..end.len());
                    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(end))
                });
                if ends {
                    self.place = Place::Text;
                }
            }
            Place::Tag => self.in_tag(c),
            Place::Value(quote) => self.in_value(c, quote),
        }
        self.at += ahead;
    }

    fn open(&mut self) -> usize {
        let rest = self.rest();
        if rest.starts_with("<!--") {
            // Both forms of Outlook's conditional comments hold HTML that is scanned like the rest.
            if rest.starts_with("<!--[if") || rest.starts_with("<!--<![endif") {
                return rest.find('>').map_or(4, |end| end + 1);
            }
            self.place = Place::Comment;
            return 4;
        }
        let name: String = rest
            .chars()
            .skip(1)
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect::<String>()
            .to_ascii_lowercase();
        let closing = rest.starts_with("</");
        if name.is_empty() && !closing {
            return 1;
        }
        if FORBIDDEN_TAGS.contains(&name.as_str()) {
            self.tell("email/active-content", format!("<{name}> is not allowed in mail; mail programs drop it or warn. Use a link instead."));
        }
        let length = name.len() + 1;
        self.tag = if closing { String::new() } else { name };
        self.attribute.clear();
        self.place = Place::Tag;
        length.max(1)
    }

    fn in_tag(&mut self, c: char) {
        match c {
            '>' => {
                self.place = if matches!(self.tag.as_str(), "style" | "mj-style") {
                    Place::Style
                } else {
                    Place::Text
                };
                self.attribute.clear();
            }
            '=' => {
                let rest = self.rest().get(1..).unwrap_or_default();
                let value = rest.trim_start();
                self.at += rest.len() - value.len();
                self.check_attribute();
                self.value.clear();
                match value.bytes().next() {
                    Some(quote @ (b'"' | b'\'')) => {
                        self.at += 1;
                        self.place = Place::Value(quote);
                    }
                    _ => self.place = Place::Value(0),
                }
            }
            c if c.is_whitespace() || c == '/' => {
                self.check_attribute();
                self.attribute.clear();
            }
            c => self.attribute.extend(c.to_lowercase()),
        }
    }

    fn in_value(&mut self, c: char, quote: u8) {
        let ends = if quote == 0 {
            c.is_whitespace() || c == '>'
        } else {
            u32::from(c) == u32::from(quote)
        };
        if !ends {
            self.value.push(c);
            return;
        }
        self.check_value();
        self.attribute.clear();
        self.place = if quote == 0 && c == '>' {
            Place::Text
        } else {
            Place::Tag
        };
    }

    fn check_attribute(&mut self) {
        let name = self.attribute.trim();
        let handler = name.len() > 2
            && name.starts_with("on")
            && name.chars().all(|c| c.is_ascii_alphabetic());
        if handler || name == "srcdoc" {
            self.tell(
                "email/active-content",
                format!("{:?} runs a script; mail may not.", self.attribute),
            );
        }
    }

    fn check_value(&mut self) {
        let value = self.value.trim().to_ascii_lowercase();
        if self.tag == "meta" && self.attribute == "http-equiv" && value == "refresh" {
            self.tell(
                "email/active-content",
                "a mail may not send its reader elsewhere; remove the refresh.",
            );
        }
        let fixed = !value.contains('\u{0}')
            && !value.is_empty()
            && !value.starts_with('#')
            && !value.starts_with("cid:");
        if LINK_ATTRIBUTES.contains(&self.attribute.as_str())
            && fixed
            && crate::catalog::links::checked(&value).is_err()
        {
            self.tell(
                "email/link-scheme",
                "a link starts with https://, http:// or mailto: and has no spaces.",
            );
        }
    }

    fn mustache(&mut self) {
        let rest = self.rest();
        let comment = rest.starts_with("{{!--");
        let close = if comment { "--}}" } else { "}}" };
        let end = rest.find(close).map_or(rest.len(), |end| end + close.len());
        let end = end
            + rest
                .get(end..)
                .map_or(0, |after| usize::from(after.starts_with('}')));
        let inner = rest
            .get(2..end)
            .unwrap_or_default()
            .trim_start_matches('~')
            .trim_start()
            .to_owned();
        let structural = inner.starts_with(['#', '/', '!', '^']) || inner.starts_with("else");
        if !structural {
            self.check_interpolation(&inner);
        }
        self.at += end;
    }

    fn check_interpolation(&mut self, inner: &str) {
        match self.place {
            Place::Text => {}
            Place::Comment => self.tell("email/unquoted-attribute", "an HTML comment is no place for a variable; use {{!-- … --}} or remove it."),
            Place::Style => self.tell("email/unquoted-attribute", "a style sheet is no place for a variable; choose a class instead."),
            Place::Tag => self.tell("email/unquoted-attribute", "a variable inside a tag stands in a quoted value: name=\"{{…}}\"."),
            Place::Value(0) => self.tell("email/unquoted-attribute", "the value is not quoted, so a space in the variable would start another attribute; write name=\"{{…}}\"."),
            Place::Value(_) => self.check_value_interpolation(inner),
        }
    }

    fn check_value_interpolation(&mut self, inner: &str) {
        let first = self.value.trim().is_empty();
        // The value is not fixed text any more.
        self.value.push('\u{0}');
        if self.attribute == "style" {
            self.tell(
                "email/unquoted-attribute",
                "a style is no place for a variable; choose a class with {{#if}} instead.",
            );
        }
        if LINK_ATTRIBUTES.contains(&self.attribute.as_str())
            && first
            && !["url ", "asset "]
                .iter()
                .any(|helper| inner.starts_with(helper))
        {
            self.tell("email/link-scheme", "a link from a variable goes through the helper: {{url …}}, which lets only http, https and mailto pass; a picture of assets/ is {{asset 'name.png'}}.");
        }
    }
}

//! Making text from outside harmless in each kind of message.
//!
//! HTML escaping is handlebars' own. Here are Discord's markdown, characters that are not seen, and single lines.

use std::borrow::Cow;

use super::links::is_invisible;

/// Text without control characters and without those that turn its direction around; line breaks and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| is_plain(*c)).collect())
}

fn is_plain(c: char) -> bool {
    (!c.is_control() || matches!(c, '\n' | '\t')) && !is_deceptive(c)
}

/// Joiners stay: names in Persian and emoji need them.
fn is_deceptive(c: char) -> bool {
    is_invisible(c) && !matches!(c, '\u{200b}'..='\u{200f}')
}

/// Text that Discord shows as it is written: no emphasis, no links of its own, no mentions.
pub(crate) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    let mut line_start = true;
    for c in visible(text).chars() {
        let marks = matches!(
            c,
            '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' | '>'
        );
        if marks || (line_start && matches!(c, '#' | '-' | '+')) {
            safe.push('\\');
        }
        safe.push(c);
        line_start = if c == '\n' {
            true
        } else {
            line_start && c == ' '
        };
    }
    without_mentions(&safe)
}

/// A mention of all is broken by a space of no width; mentions of one are already by the escaped bracket.
fn without_mentions(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = rest.split_at(at + 1);
        safe.push_str(before);
        let names = ["everyone", "here"];
        if names.iter().any(|name| {
            after
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        }) {
            safe.push('\u{200b}');
        }
        rest = after;
    }
    safe.push_str(rest);
    safe
}

/// A checked link as the target of `[words](link)`.
pub(crate) fn link_in_markdown(link: &str, encode: &str) -> String {
    let mut safe = String::with_capacity(link.len());
    for c in link.chars() {
        if encode.contains(c) {
            safe.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// One line without control characters or turned directions, spaces in a row made one.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    visible(&spaced)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A text body: no spaces at line ends, at most one empty line in a row, none around it.
pub(crate) fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty <= 1 {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy.trim().to_owned()
}

/// The text, or its start up to a word with an ellipsis, within `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max.saturating_sub(1)).collect();
    let end = head
        .rfind(char::is_whitespace)
        .filter(|end| *end > head.len() / 2)
        .unwrap_or(head.len());
    format!("{}…", head.get(..end).unwrap_or(&head).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_from_outside_is_shown_as_written() {
        assert_eq!(
            markdown("**a** _b_ [x](y)"),
            "\\*\\*a\\*\\* \\_b\\_ \\[x\\](y)"
        );
        assert_eq!(
            markdown("# head\n- item #1 a-b"),
            "\\# head\n\\- item #1 a-b"
        );
        assert_eq!(
            markdown("@everyone @HERE a@b.example"),
            "@\u{200b}everyone @\u{200b}HERE a@b.example"
        );
        assert_eq!(markdown("<@123> <#1>"), "\\<@123\\> \\<#1\\>");
        assert_eq!(markdown("a\u{202e}b\u{7}"), "ab");
    }

    #[test]
    fn lines_and_lengths() {
        assert_eq!(one_line(" a\r\nBcc: x\t\u{202e}b "), "a Bcc: x b");
        assert_eq!(tidy("\n\na  \n\n\n\nb\n"), "a\n\nb");
        assert_eq!(cut("one two three", 9), "one two…");
        assert_eq!(cut("abcdefghij", 5), "abcd…");
        assert_eq!(cut("abc", 5), "abc");
    }
}

//! What can be told from the text of a template alone, before handlebars reads it.
//!
//! handlebars aborts the whole process on deep nesting, already while it parses, so depth is counted here first. In
//! HTML, interpolation stands only where escaping is enough: in text and in quoted attributes. Scripts, forms, event
//! handlers and anything that loads from elsewhere than an image are refused.

mod html;
mod tags;

pub(crate) use html::check_html;
pub(crate) use tags::{Piece, Tag, is_void, pieces};

use super::finding::{Findings, Spot};

/// Blocks inside blocks in one file.
pub(crate) const BLOCKS_MAX: usize = 64;
/// Brackets inside brackets in one expression.
const BRACKETS_MAX: usize = 12;

/// Counts nesting; handlebars may read the template only when this adds nothing.
pub(crate) fn check_depth(path: &str, text: &str, findings: &mut Findings) {
    let mut open: Vec<usize> = Vec::new();
    for (offset, inner) in mustaches(text) {
        let inner = inner.trim_start_matches(['~', '{']).trim_start();
        let word = inner.trim_start_matches('^').trim_start();
        let opens = inner.starts_with('#')
            || (inner.starts_with('^') && !word.is_empty() && !word.starts_with('~'));
        if inner.starts_with('/') {
            open.pop();
        } else if opens {
            open.push(1);
        } else if inner.starts_with("else")
            && let Some(last) = open.last_mut()
        {
            // Each `else if` is another block inside the one before.
            *last += 1;
        }
        if open.iter().sum::<usize>() > BLOCKS_MAX {
            findings.add(
                "limit/depth",
                path,
                Spot::of(text, offset),
                format!(
                    "blocks nest deeper than {BLOCKS_MAX}; move the inner ones into a partial."
                ),
            );
            return;
        }
        if brackets(inner) > BRACKETS_MAX {
            findings.add(
                "limit/depth",
                path,
                Spot::of(text, offset),
                format!("brackets nest deeper than {BRACKETS_MAX}; compute it before sending."),
            );
            return;
        }
    }
    if let Some(offset) = text.find("{{{{") {
        findings.add(
            "syntax/handlebars",
            path,
            Spot::of(text, offset),
            "raw blocks are not supported; write the text as it is.",
        );
    }
}

/// Every `{{…}}` with its offset and what stands between, comments and escaped ones left out.
fn mustaches(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text.get(at..)?.find("{{")?;
            let rest = text.get(start + 2..)?;
            let comment = rest.trim_start_matches('~').starts_with('!');
            let dashes = rest.trim_start_matches('~').starts_with("!--");
            let close = if dashes { "--}}" } else { "}}" };
            let end = rest.find(close).unwrap_or(rest.len());
            at = start + 2 + end + if end < rest.len() { close.len() } else { 0 };
            if !comment {
                return Some((start, rest.get(..end)?));
            }
        }
    })
}

fn brackets(expression: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let mut findings = Findings::default();
        check_html("x.html.hbs", text, &mut findings);
        check_depth("x.html.hbs", text, &mut findings);
        findings
            .check()
            .err()
            .map(|e| e.findings.iter().map(|f| f.rule).collect())
            .unwrap_or_default()
    }

    #[test]
    fn active_content_is_found() {
        for text in [
            "<script>x</script>",
            "<SCRIPT src=x>",
            "<a onclick=\"x\">",
            "<img src=\"https://a.b/c\" onerror='x'>",
            "<form>",
            "<svg/onload=x>",
            "<style>@import 'x'</style>",
            "<td style=\"background:url(https://x)\">",
            "<meta http-equiv=\"refresh\" content=\"0\">",
            "<link rel=\"stylesheet\" href=\"https://x.y\">",
            "<body\nonload = 'x'>",
        ] {
            assert!(
                rules(text).contains(&"email/active-content"),
                "{text}: {:?}",
                rules(text)
            );
        }
    }

    #[test]
    fn a_variable_stands_in_text_or_quotes() {
        for text in [
            "<a href={{url x}}>",
            "<a {{x}}>",
            "<td class={{x}}>",
            "<style>.a{color:{{x}}}</style>",
            "<!-- {{x}} -->",
            "<p style=\"color:{{x}}\">",
            "<td class=a{{x}}>",
        ] {
            assert!(rules(text).contains(&"email/unquoted-attribute"), "{text}");
        }
        for text in [
            "<a href=\"{{x}}\">",
            "<img src='{{x.y}}'>",
            "<a href=\"javascript:x\">",
            "<a href=\"/path\">",
            "<a href=\"{{~x}}\">",
        ] {
            assert!(rules(text).contains(&"email/link-scheme"), "{text}");
        }
        for text in [
            "<a href=\"{{url x}}\">{{x}}</a>",
            "<td {{#if a}}class=\"b\"{{/if}}>",
            "<p title=\"{{x}}\">1 < 2 &nbsp;</p>",
            "{{!-- <script> {{x}} --}}",
            "<!--[if mso]><table width=\"1\"><![endif]-->",
            "<td width=5 align=left>{{t 'a' l=(url x)}}</td>",
            "<a href=\"#top\">",
            "<br/>",
            "<once>on = 5</once>",
        ] {
            assert_eq!(rules(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn nesting_is_counted_before_handlebars_reads_it() {
        let nested =
            |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
        assert_eq!(
            rules(&nested("{{#if a}}", "{{/if}}", 64)),
            Vec::<&str>::new()
        );
        for text in [
            nested("{{#if a}}", "{{/if}}", 65),
            nested("{{~# if a}}", "{{~/if}}", 1_200),
            nested("{{^if a}}", "{{/if}}", 65),
            nested("{{#> p}}", "{{/p}}", 65),
            format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if a}}".repeat(1_000)),
            format!("{{{{t {}x{}}}}}", "(t ".repeat(1_000), ")".repeat(1_000)),
            format!("{{{{t {}}}}}", "[".repeat(1_000)),
        ] {
            assert_eq!(rules(&text), ["limit/depth"], "{}", text.len());
        }
    }
}

//! Which links a message may hold: http, https and mailto, without spaces or control characters.

/// The link as it may stand in a message.
///
/// # Errors
/// A sentence that does not repeat the link.
pub(crate) fn checked(link: &str) -> Result<&str, String> {
    let fail = |why: &str| Err(format!("the link {why}"));
    let link = link.trim();
    if link.is_empty() {
        return fail("is empty");
    }
    if link.len() > 2_048 {
        return fail("is longer than 2,048 bytes");
    }
    if link
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || is_invisible(c))
    {
        return fail("has spaces, line breaks or invisible characters; encode them");
    }
    let Some((scheme, rest)) = link.split_once(':') else {
        return fail("has no scheme; it starts with https://, http:// or mailto:");
    };
    let complete = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => rest
            .strip_prefix("//")
            .is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#', '\\'])),
        "mailto" => rest.contains('@'),
        _ => false,
    };
    if complete {
        Ok(link)
    } else {
        fail("does not start with https://, http:// or mailto: and an address")
    }
}

/// Characters that change the direction of text or show nothing: they make one link look like another.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_a_mail_may_hold_pass() {
        for good in [
            "https://a.example/x?y=1&z=2#k",
            "HTTP://a.example",
            "mailto:a@b.example",
            " https://a.example ",
        ] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "//a.example",
            "/path",
            "https:///x",
            "https://a b",
            "vbscript:x",
            "https://a\u{202e}b",
            "\u{1}javascript:x",
            "file:///etc",
            "mailto:",
        ] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }
}

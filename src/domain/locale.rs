//! Language tags, BCP 47 in its Unicode form (UTS 35): `pt-BR`, also with extensions (`de-AT-u-hc-h23`) and private words.
//!
//! Whether anybody speaks it is another question. Extensions are taken and not used: what is chosen by a tag is a language.

use unic_langid::LanguageIdentifier;

/// Longest tag, characters.
pub const LOCALE_MAX: usize = 35;

/// What a tag must be.
pub const LOCALE_RULE: &str = "must be a BCP 47 language tag such as pt-BR, at most 35 characters";

/// Whether a text is a well-formed tag.
pub fn is_locale(text: &str) -> bool {
    language(text).is_some()
}

/// The language, script and region of a well-formed tag; of a private one (`x-…`) none of them.
pub fn language(tag: &str) -> Option<LanguageIdentifier> {
    // The parser would take an underscore for a hyphen, which the standard does not.
    if tag.len() > LOCALE_MAX || tag.contains('_') {
        return None;
    }
    let subtags: Vec<&str> = tag.split('-').collect();
    let plain = subtags.iter().take_while(|subtag| subtag.len() != 1);
    let (language, extensions) = subtags.split_at(plain.count());
    if !are_extensions(extensions) {
        return None;
    }
    if language.is_empty() {
        let private = extensions.first().is_some_and(|first| is_private(first));
        return private.then(LanguageIdentifier::default);
    }
    language.join("-").parse().ok()
}

fn is_private(singleton: &str) -> bool {
    singleton.eq_ignore_ascii_case("x")
}

/// A single character and at least one word behind it, any number of times; behind `x` all are words.
fn are_extensions(subtags: &[&str]) -> bool {
    let mut private = false;
    let mut unfinished = false;
    for subtag in subtags {
        if subtag.is_empty()
            || subtag.len() > 8
            || !subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return false;
        }
        let singleton = subtag.len() == 1 && !private;
        if singleton && unfinished {
            return false;
        }
        private |= singleton && is_private(subtag);
        unfinished = singleton;
    }
    !unfinished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_what_is_none() {
        for (tag, plain) in [
            ("de", "de"),
            ("pt-BR", "pt-BR"),
            ("zh-hans-cn", "zh-Hans-CN"),
            ("de-AT-u-hc-h23", "de-AT"),
            ("en-x-a-b", "en"),
            ("x-whatever", "und"),
            ("xx-ZZ", "xx-ZZ"),
        ] {
            let found = language(tag).map(|language| language.to_string());
            assert_eq!(found.as_deref(), Some(plain), "{tag}");
        }
        for text in [
            "",
            "-",
            "de-",
            "-de",
            "de_AT",
            "d",
            "u-hc-h23",
            "de-u",
            "de-u-t-de",
            "de-x",
            "de-u-ü",
            "german language",
            "de-AT-u-abcdefghi",
        ] {
            assert_eq!(language(text), None, "{text}");
        }
    }

    #[test]
    fn a_tag_has_an_end() {
        let longest = format!("en-x-{}", ["abcdefgh"; 3].join("-"));
        let longest = format!("{longest}-abc");
        assert_eq!(longest.len(), LOCALE_MAX);
        assert!(is_locale(&longest));
        assert!(!is_locale(&format!("{longest}d")));
    }
}

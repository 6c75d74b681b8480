use super::*;

#[test]
fn names_become_bare() {
    assert_eq!(bare_filename("../../etc/passwd"), "passwd");
    assert_eq!(bare_filename("C:\\x\\invoice.pdf"), "invoice.pdf");
    assert_eq!(
        bare_filename("in\r\nvoice\u{202e}fdp.exe"),
        "in voicefdp.exe"
    );
    assert_eq!(bare_filename(".."), "attachment");
    assert_eq!(bare_filename("a\"; filename=\"b"), "a__ filename=_b");
}

#[test]
fn lines_become_one() {
    assert_eq!(clean_line("a\r\nBcc: b\0\u{2028}c", 99), "a Bcc: b c");
    assert_eq!(clean_line("\u{202e}evil\u{feff}", 99), "evil");
    assert_eq!(clean_line("👩‍🚀 ok", 99), "👩‍🚀 ok");
    assert_eq!(clean_line(&"x".repeat(5_000), 250).len(), 250);
}

#[test]
fn line_ends_become_crlf() {
    assert_eq!(
        clean_text("a\nb\r\nc\rd\r\r\n\n\0e\tf"),
        "a\r\nb\r\nc\r\nd\r\n\r\n\r\ne\tf"
    );
}

#[test]
fn media_types_stay_leaves() {
    let text = |kind: &str| {
        let part = SinglePart::builder()
            .header(media_type(kind))
            .body(String::new());
        part.headers().get_raw("Content-Type").unwrap().to_owned()
    };
    assert_eq!(text("application/pdf"), "application/pdf");
    assert_eq!(
        text("text/calendar; x=y; method=REQUEST; charset=\"a\\r\\nb\""),
        "text/calendar; method=REQUEST"
    );
    assert_eq!(text("text/csv;Charset=utf-8"), "text/csv; charset=utf-8");
    for odd in ["message/rfc822", "Multipart/mixed", "x", "a/b\r\nX: y", ""] {
        assert_eq!(text(odd), "application/octet-stream");
    }
}

#[test]
fn urls_stay_in_their_header() {
    assert_eq!(
        header_url("https://shop.example/u?t=a b\r\nBcc: x>é").as_deref(),
        Some("<https://shop.example/u?t=a%20b%0D%0ABcc:%20x%3E%C3%A9>")
    );
    assert_eq!(header_url("javascript:alert(1)"), None);
    assert_eq!(header_url(""), None);
    assert_eq!(header_url(&format!("https://{}", "x".repeat(2_000))), None);
}

#[test]
fn international_domains_are_spelled_in_ascii() {
    let address = address("post@münchen.example").unwrap();
    assert_eq!(address.to_string(), "post@xn--mnchen-3ya.example");
}

#[test]
fn a_text_without_odd_characters_is_not_copied() {
    assert!(matches!(clean_text("Olá\t👩‍🚀"), Cow::Borrowed(_)));
    assert!(matches!(clean_text(""), Cow::Borrowed(_)));
    for (text, clean) in [
        ("\n", "\r\n"),
        ("\r", "\r\n"),
        ("\r\n\r\n", "\r\n\r\n"),
        ("\n\r", "\r\n\r\n"),
        ("\r\0\n", "\r\n\r\n"),
        ("é\u{85}é\u{7f}\r", "éé\r\n"),
    ] {
        assert_eq!(clean_text(text), clean, "{text:?}");
    }
}

/// What [`clean_text`] promises, character by character.
fn cleaned(text: &str) -> String {
    let mut clean = String::new();
    let mut after_cr = false;
    for c in text.chars() {
        match c {
            '\n' if after_cr => {}
            '\r' | '\n' => clean.push_str("\r\n"),
            c if c.is_control() && c != '\t' => {}
            c => clean.push(c),
        }
        after_cr = c == '\r';
    }
    clean
}

#[test]
fn every_short_text_is_cleaned_and_encoded_as_text() {
    const LETTERS: [char; 8] = ['\r', '\n', '\0', '\t', ' ', '=', '\u{85}', 'é'];
    for number in 0..LETTERS.len().pow(5) {
        let text: String = (0..5)
            .map(|place| LETTERS[number / LETTERS.len().pow(place) % LETTERS.len()])
            .collect();
        let clean = clean_text(&text);
        assert_eq!(clean, cleaned(&text), "{text:?}");
        let as_text =
            Body::new_with_encoding(cleaned(&text), ContentTransferEncoding::QuotedPrintable);
        assert_eq!(
            quoted_printable(clean.into_owned()).into_vec(),
            as_text.unwrap().into_vec(),
            "{text:?}"
        );
    }
}

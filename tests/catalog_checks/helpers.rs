//! SendGrid's helpers with their own argument forms, and ours beside them.

use serde_json::{Value, json};
use tidings::domain::channel::Channel;

use super::{MESSAGE, Pack, fill, text};

/// Variables that every case may use; all but `name` are optional.
fn pack(body: &str) -> Pack {
    let pack = Pack::new();
    pack.replace(
        &format!("{MESSAGE}/schema.json"),
        "\"note\":{\"type\":\"string\"}",
        "\"note\":{\"type\":\"string\"},\"when\":{\"type\":[\"string\",\"integer\"]},\"phone\":{\"type\":\"string\"},\"yes\":{\"type\":\"boolean\"},\"no\":{\"type\":\"boolean\"}",
    );
    for sample in ["minimal", "typical"] {
        pack.message(&format!("samples/{sample}.json"), &full().to_string());
    }
    pack.message("chat.md.hbs", body);
    pack
}

fn full() -> Value {
    json!({"name": "Ada", "count": 5, "when": "2026-11-23T01:30:00Z", "phone": "+4940123456", "yes": true, "no": false, "amount": "1299.00",
        "list": [{"title": "a"}, {"title": "b"}], "link": "https://x.example/a"})
}

#[track_caller]
fn chat(body: &str, locale: &str) -> String {
    let bundle = pack(body)
        .open()
        .unwrap_or_else(|error| panic!("{body}\n{error}"))
        .live();
    text(fill(&bundle, Channel::Chat, locale, &full()).unwrap())
        .replace(['\u{a0}', '\u{202f}'], " ")
}

#[test]
fn what_marketers_know_from_sendgrid_works() {
    for (body, expected) in [
        ("{{#equals name 'Ada'}}x{{else}}y{{/equals}}", "x"),
        ("{{#equals count 5}}x{{else}}y{{/equals}}", "x"),
        ("{{#equals count 6}}x{{else}}y{{/equals}}", "y"),
        ("{{#notEquals name 'Bob'}}x{{else}}y{{/notEquals}}", "x"),
        ("{{#notEquals name 'Ada'}}x{{else}}y{{/notEquals}}", "y"),
        ("{{#greaterThan count 4}}x{{else}}y{{/greaterThan}}", "x"),
        ("{{#greaterThan count 5}}x{{else}}y{{/greaterThan}}", "y"),
        ("{{#lessThan count 6}}x{{else}}y{{/lessThan}}", "x"),
        ("{{#lessThan count 5}}x{{else}}y{{/lessThan}}", "y"),
        ("{{#and yes name}}x{{else}}y{{/and}}", "x"),
        ("{{#and yes no}}x{{else}}y{{/and}}", "y"),
        ("{{#or no yes}}x{{else}}y{{/or}}", "x"),
        ("{{#or no no}}x{{else}}y{{/or}}", "y"),
        (
            "{{#greaterThan (length list) 1}}x{{else}}y{{/greaterThan}}",
            "x",
        ),
        ("{{length list}}", "2"),
        (
            "{{formatDate when 'dddd, DD MMMM YYYY'}}",
            "Sunday, 22 November 2026",
        ),
        ("{{formatDate when 'HH:mm' '-0800'}}", "17:30"),
        ("{{formatDate when \"HH:mm\" \"Asia/Tokyo\"}}", "10:30"),
        ("{{insert name}}", "Ada"),
        ("{{insert note \"default=Customer\"}}", "Customer"),
        ("{{insert name \"default=Customer\"}}", "Ada"),
        ("{{#if yes}}{{#unless no}}x{{/unless}}{{/if}}", "x"),
        (
            "{{#each list}}{{this.title}}{{#unless @last}}, {{/unless}}{{/each}}",
            "a, b",
        ),
    ] {
        assert_eq!(chat(body, "en"), expected, "{body}");
    }
}

#[test]
fn ours_write_what_the_reader_expects() {
    for (body, locale, expected) in [
        ("{{money amount 'EUR'}}", "de", "1.299,00 €"),
        ("{{plural count 'item' 'items'}}", "en", "items"),
        ("{{plural 1 'item' 'items'}}", "en", "item"),
        (
            "{{plural count one='Stück' other='Stücke'}}",
            "de",
            "Stücke",
        ),
        ("{{plural (len list) one='a' two='b' other='c'}}", "en", "c"),
        ("{{phone phone}}", "en", "\\+49 40 123456"),
        ("[x]({{url link}})", "en", "[x](https://x.example/a)"),
        ("{{date when 'short'}}", "de", "22.11.26"),
        ("{{number 1234567}}", "de", "1.234.567"),
    ] {
        assert_eq!(chat(body, locale), expected, "{body}");
    }
}

#[test]
fn a_helper_given_nonsense_is_an_error_without_values() {
    for (body, field) in [
        ("{{phone name}}", "name"),
        ("{{plural name 'a' 'b'}}", "name"),
        ("{{plural count one='a'}}", "count"),
        ("{{formatDate name 'YYYY'}}", "name"),
        ("{{formatDate when 'HH' name}}", "when"),
        ("{{money name 'EUR'}}", "name"),
        ("{{money amount name}}", "amount"),
        ("{{url name}}", "name"),
        ("{{length count}}", "count"),
        ("{{insert note}}", "note"),
    ] {
        let found = pack(body).finds("render/sample", &format!("{MESSAGE}/chat.md.hbs"));
        assert!(
            found.line == 1 && found.message.contains(field) && !found.message.contains("Ada"),
            "{body}: {found}"
        );
    }
}

//! The shipped templates: they pass every check, speak both languages, and stay harmless whatever is put into them.

use serde_json::{Value, json};
use tidings::catalog::{Bundle, Catalog, Source};
use tidings::domain::channel::Channel;
use tidings::domain::content::Content;
use tidings::domain::intent::Variables;
use tidings::domain::sms;
use tidings::render::{Filling, Links, RenderError, render};

fn catalog() -> Catalog {
    Catalog::open(Source::Embedded).unwrap_or_else(|error| panic!("{error}"))
}

fn variables(value: &Value) -> Variables {
    Variables(value.as_object().unwrap().clone())
}

fn fill(
    bundle: &Bundle,
    template: &str,
    channel: Channel,
    locale: &str,
    variables: &Variables,
    given_name: &str,
) -> Result<Content, RenderError> {
    render(&Filling {
        bundle,
        template,
        channel,
        locale,
        variables,
        given_name,
        time_zone: "Europe/Berlin",
        message_id: "0192f6a0-0000-7000-8000-000000000001",
        links: Links {
            preferences: "https://p.example/a?b=1&c=2".into(),
            unsubscribe: "https://u.example/x".into(),
        },
        variant: "",
    })
}

/// Every tag with its attributes' names, in order: what an interpolation must never change.
fn structure(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let mut tag = String::new();
        let mut quote = None;
        let mut end = rest.len();
        for (at, c) in rest[start..].char_indices() {
            match quote {
                Some(open) if c == open => quote = None,
                Some(_) => continue,
                None if c == '"' || c == '\'' => quote = Some(c),
                None if c == '>' => {
                    end = start + at + 1;
                    break;
                }
                None => tag.push(c),
            }
        }
        found.push(tag);
        rest = &rest[end..];
    }
    found
}

#[test]
fn the_pack_passes_and_every_message_speaks_on_every_channel() {
    let catalog = catalog();
    let bundle = catalog.live();
    let keys: Vec<_> = bundle
        .manifests()
        .map(|manifest| manifest.key.clone())
        .collect();
    assert!(keys.contains(&"order.confirmation".to_owned()), "{keys:?}");
    for key in &keys {
        for locale in ["en", "pt-BR"] {
            for sample in bundle.sample_names(key) {
                for channel in &bundle.manifest(key).unwrap().channels {
                    assert!(bundle.has_content(key, *channel, locale));
                    let sample = bundle.sample(key, sample).unwrap();
                    let content = fill(&bundle, key, *channel, locale, sample, "Maria").unwrap();
                    check_content(key, &content, bundle.max_sms_segments(key).unwrap());
                }
            }
        }
    }
    let hint = bundle.require("order.confirmaton").unwrap_err();
    assert!(
        hint.contains("Did you mean \"order.confirmation\"?"),
        "{hint}"
    );
    assert_eq!(bundle.id().len(), 16);
    assert_eq!(catalog.policy().time_zone, "Europe/Berlin");
    assert_eq!(catalog.policy().spread.as_mins(), 10);
}

fn check_content(key: &str, content: &Content, max_segments: u32) {
    match content {
        Content::Email {
            subject,
            html,
            text,
            ..
        } => {
            assert!(
                !subject.is_empty() && !subject.contains(char::is_control),
                "{key}: {subject:?}"
            );
            assert!(html.contains("<html") && html.contains("</html>"), "{key}");
            assert!(
                !text.contains("<p") && !text.contains("\n\n\n"),
                "{key}: {text}"
            );
            assert!(
                !text.contains("&amp;") && !text.contains("&#"),
                "{key}: {text}"
            );
        }
        Content::Sms { text } => {
            assert!(sms::segments(text).count <= max_segments, "{key}: {text}");
        }
        Content::Chat { text } => assert!(text.chars().count() <= 2_000, "{key}"),
    }
}

#[test]
fn an_order_confirmation_reads_as_it_should() {
    let bundle = catalog().live();
    let sample = bundle.sample("order.confirmation", "typical").unwrap();
    let order = json!(sample.0["order"]);
    let Content::Email {
        subject,
        preheader,
        html,
        text,
        sender,
        unsubscribe_url,
    } = fill(
        &bundle,
        "order.confirmation",
        Channel::Email,
        "pt-PT",
        sample,
        "Ana",
    )
    .unwrap()
    else {
        panic!("not a mail")
    };
    let number = order["number"].as_str().unwrap();
    assert!(
        subject.contains(number) && subject.contains("pedido"),
        "{subject}"
    );
    assert!(preheader.contains("Total"), "{preheader}");
    assert!(
        html.contains("lang=\"pt-BR\"") && html.contains("Olá, Ana!"),
        "{html}"
    );
    assert!(text.contains("Olá, Ana!"), "{text}");
    assert_eq!(sender.address, "orders@shop.example");
    assert_eq!(
        unsubscribe_url, "",
        "an order confirmation is not unsubscribed from"
    );
    let again = fill(
        &bundle,
        "order.confirmation",
        Channel::Email,
        "pt-PT",
        sample,
        "Ana",
    )
    .unwrap();
    assert!(
        matches!(again, Content::Email { html: second, .. } if second == html),
        "the same bytes again"
    );
}

#[test]
fn a_marketing_mail_can_be_ended_with_one_click() {
    let bundle = catalog().live();
    let sample = bundle.sample("birthday.greeting", "typical").unwrap();
    let Content::Email {
        html,
        text,
        unsubscribe_url,
        ..
    } = fill(
        &bundle,
        "birthday.greeting",
        Channel::Email,
        "en",
        sample,
        "Ana",
    )
    .unwrap()
    else {
        panic!("not a mail")
    };
    assert_eq!(unsubscribe_url, "https://u.example/x");
    assert!(html.contains("https://u.example/x") && text.contains("https://u.example/x"));
    assert!(
        text.contains("https://p.example/a?b=1&c=2"),
        "text is not HTML-escaped: {text}"
    );
}

#[test]
fn a_nameless_customer_is_greeted_with_the_fallback_of_the_language() {
    let bundle = catalog().live();
    let sample = bundle.sample("order.confirmation", "typical").unwrap();
    for (locale, greeting) in [
        ("en-GB", "Hi there,"),
        ("pt-BR", "Olá!"),
        ("xx", "Hi there,"),
        ("", "Hi there,"),
    ] {
        let content = fill(
            &bundle,
            "order.confirmation",
            Channel::Chat,
            locale,
            sample,
            "",
        )
        .unwrap();
        assert!(
            matches!(&content, Content::Chat { text } if text.contains(greeting)),
            "{locale}: {content:?}"
        );
    }
}

#[test]
fn locales_fall_back_to_the_nearest() {
    let bundle = catalog().live();
    for (requested, resolved) in [
        ("en", "en"),
        ("en-US", "en"),
        ("pt-BR", "pt-BR"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("PT_br", "pt-BR"),
        ("ja", "en"),
        ("", "en"),
        ("!!", "en"),
    ] {
        assert_eq!(bundle.resolve_locale(requested), resolved, "{requested}");
    }
}

const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "x onload=alert(1) y=",
    "</td></table><form action=https://evil.example>",
    "--><svg/onload=alert(1)>",
    "{{shop.name}}{{{secret}}}",
    "{ $name } { t }",
    "&lt;script&gt;",
    "a\r\nBcc: victim@example.com",
    "\u{202e}txt.exe\u{7}\u{0}",
    "[x](https://evil.example) @everyone <@1234567890> **b**",
    "`${7*7}` \\",
    "<!-- -->]]>%00",
];

/// Puts `text` in the place of every text that is allowed to be free.
fn poison(value: &mut Value, text: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let fixed = [
                    "url", "currency", "total", "price", "amount", "value", "_at", "date", "until",
                    "delivery", "estimate", "subtotal", "shipping",
                ];
                let free = field.is_string() && !fixed.iter().any(|part| name.contains(part));
                if free {
                    *field = Value::String(text.to_owned());
                } else {
                    poison(field, text);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, text)),
        _ => {}
    }
}

#[test]
fn hostile_words_change_no_structure_and_are_not_evaluated() {
    let bundle = catalog().live();
    for key in bundle.manifests().map(|manifest| manifest.key.clone()) {
        let sample = bundle.sample(&key, "long").unwrap();
        let mut harmless = json!(sample.0);
        poison(&mut harmless, "harmless");
        let Content::Email { html, .. } = fill(
            &bundle,
            &key,
            Channel::Email,
            "en",
            &variables(&harmless),
            "Maria",
        )
        .unwrap() else {
            panic!("not a mail")
        };
        let expected = structure(&html);
        for text in HOSTILE {
            let mut filled = json!(sample.0);
            poison(&mut filled, text);
            let filled = variables(&filled);
            let Content::Email { subject, html, .. } =
                fill(&bundle, &key, Channel::Email, "en", &filled, text).unwrap()
            else {
                panic!("not a mail")
            };
            assert_eq!(structure(&html), expected, "{key} with {text:?}");
            assert!(
                !subject.contains(['\r', '\n', '\u{202e}', '\u{7}', '\u{0}']),
                "{key}: {subject:?}"
            );
            let Content::Chat { text: chat } =
                fill(&bundle, &key, Channel::Chat, "en", &filled, text).unwrap()
            else {
                panic!("not a chat message")
            };
            let bare = chat.replace("\\]", "").replace("\\<", "");
            assert!(
                !bare.contains("@everyone")
                    && !bare.contains("<@")
                    && !bare.contains("](https://evil"),
                "{key}: {chat}"
            );
            if text.starts_with("{{shop") {
                assert!(
                    html.contains(text) && !html.contains("Nordlicht{{{"),
                    "{key}: data is never read as a template"
                );
            }
        }
    }
}

#[test]
fn a_link_with_another_scheme_fails_and_is_not_repeated() {
    let bundle = catalog().live();
    for link in [
        "javascript:alert(document.cookie)",
        "data:text/html,x",
        "//evil.example",
        "https://a b",
    ] {
        let mut filled = json!(bundle.sample("order.confirmation", "typical").unwrap().0);
        filled["order"]["url"] = json!(link);
        let error = fill(
            &bundle,
            "order.confirmation",
            Channel::Email,
            "en",
            &variables(&filled),
            "A",
        )
        .unwrap_err();
        assert!(
            error.line > 0 && error.file.ends_with(".html.hbs"),
            "{error}"
        );
        assert!(!error.to_string().contains(link), "{error}");
    }
}

#[test]
fn variables_are_checked_by_pointer() {
    let bundle = catalog().live();
    let mut wrong = json!(bundle.sample("order.confirmation", "typical").unwrap().0);
    wrong["order"]["total"] = json!("a lot");
    wrong["order"]["colour"] = json!("red");
    let violations = bundle.violations("order.confirmation", &variables(&wrong));
    let fields: Vec<_> = violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert!(
        fields.contains(&"/order/total") && fields.contains(&"/order/colour"),
        "{violations:?}"
    );
    assert!(
        violations
            .iter()
            .all(|violation| !violation.description.contains("a lot"))
    );
}

#[test]
fn an_archive_is_the_bundle_again() {
    let first = catalog();
    let archive = first.live().archive();
    assert_eq!(
        archive,
        catalog().live().archive(),
        "the same bytes each time"
    );
    let adopted = first.adopt(&archive).unwrap();
    assert_eq!(adopted.id(), first.live().id());
    // Another version: what it says differs, and it stays readable beside the live one.
    let other = String::from_utf8(archive)
        .unwrap()
        .replace("Nordlicht", "Südlicht");
    let adopted = first.adopt(other.as_bytes()).unwrap();
    assert_ne!(adopted.id(), first.live().id());
    assert_eq!(first.bundle(adopted.id()).unwrap().shop().name, "Südlicht");
    assert!(first.bundle("0000000000000000").is_none());
    for broken in [
        &b"{}"[..],
        b"not json",
        br#"{"../x":"y"}"#,
        br#"{"shop.toml":"format = 2"}"#,
    ] {
        assert!(first.adopt(broken).is_err());
    }
}

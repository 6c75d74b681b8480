//! Mails as a whole: text parts made of HTML, languages and their files, who sends, and which variant speaks.

use serde_json::json;
use tidings::catalog::Bundle;
use tidings::domain::channel::Channel;
use tidings::domain::content::Content;
use tidings::domain::intent::Variables;
use tidings::render::{Filling, Links, render};

use super::{MESSAGE, Pack, fill, mjml, text};

fn plain(pack: &Pack) -> String {
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let variables = json!({"name": "Ada & Co", "link": "https://x.example/?a=1&b=2", "list": [{"title": "one"}, {"title": "two"}]});
    match fill(&bundle, Channel::Email, "en", &variables).unwrap() {
        Content::Email { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_part_keeps_links_and_rows_and_nothing_hidden() {
    let pack = Pack::new();
    let long = format!("https://shop.example/{}", "a".repeat(300));
    pack.message(
        "email.html.hbs",
        &format!("<html><head><title>T</title><style>p {{ margin: 0 }}</style></head><body><span style=\"display:none;max-height:0\">preheader</span><h1>Hello {{{{name}}}}</h1><p>Your <strong>order</strong> &times; 2</p>{{{{#if link}}}}<p><a href=\"{{{{url link}}}}\">View it</a> or <a href=\"{long}\">this</a></p>{{{{/if}}}}<table>{{{{#each list}}}}<tr><td>{{{{title}}}}</td><td>€1</td></tr>{{{{/each}}}}</table><a href=\"mailto:s@shop.example\">Write</a><img src=\"https://shop.example/l.png\" alt=\"Logo\"></body></html>"),
    );
    let text = plain(&pack);
    for words in [
        "Hello Ada & Co",
        "Your order × 2",
        "View it <https://x.example/?a=1&b=2>",
        &format!("this <{long}>"),
        "Write <s@shop.example>",
        "Logo",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    for row in ["one", "two"] {
        let line = text.lines().find(|line| line.contains(row)).unwrap();
        assert!(line.contains("€1"), "{line}");
    }
    for hidden in ["preheader", "margin", "──", "│", "[1]", "\u{2500}"] {
        assert!(!text.contains(hidden), "{hidden:?} in\n{text}");
    }
    assert!(!text.contains('\u{f0000}'), "{text:?}");
    // One of its own wins.
    pack.message("email.txt.hbs", "mine {{name}}");
    assert_eq!(plain(&pack), "mine Ada & Co");
}

#[test]
fn a_text_part_is_made_of_mjml_too() {
    let text = plain(&mjml::pack());
    for words in [
        "Hello Ada & Co",
        "<https://x.example/?a=1&b=2>",
        "0: one Ada & Co",
        "Shop",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    assert!(
        !text.contains("Hello you"),
        "the preview text is hidden in mail programs:\n{text}"
    );
}

/// What the message `note.hello` says to somebody with the name N.
pub(crate) fn say(bundle: &Bundle, channel: Channel, locale: &str, variant: &str) -> String {
    let variables = Variables(json!({"name": "N"}).as_object().unwrap().clone());
    text(
        render(&Filling {
            bundle,
            template: "note.hello",
            channel,
            locale,
            variables: &variables,
            given_name: "",
            time_zone: "",
            message_id: "",
            links: Links::default(),
            variant,
        })
        .unwrap(),
    )
}

#[test]
fn a_region_falls_back_to_its_language_and_that_to_the_general_file() {
    let pack = Pack::new();
    pack.replace(
        "shop.toml",
        "[\"en\", \"de\"]",
        "[\"en\", \"de\", \"pt-BR\", \"pt-PT\"]",
    );
    pack.write("i18n/pt.ftl", "greeting = Olá { $name }\n");
    pack.write("i18n/pt-BR.ftl", "greeting = Oi { $name }\n");
    pack.message("sms.txt.hbs", "general {{t 'greeting' name=name}}");
    pack.message("sms.pt.txt.hbs", "pt {{t 'greeting' name=name}}");
    pack.message("sms.pt-BR.txt.hbs", "pt-BR {{t 'greeting' name=name}}");
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "[fallbacks]",
        "[[variants]]\nname = \"a\"\nweight = 1\n[[variants]]\nname = \"b\"\nweight = 1\n[fallbacks]",
    );
    pack.message("variants/b/sms.pt.txt.hbs", "b pt {{name}}");
    pack.message("variants/b/email.de.mjml", "<mjml><mj-body><mj-section><mj-column><mj-text>b de {{name}}</mj-text></mj-column></mj-section></mj-body></mjml>");
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    for (locale, variant, expected) in [
        ("en", "a", "general Hello N"),
        ("de", "a", "general Hallo N"),
        ("pt-BR", "a", "pt-BR Oi N"),
        ("pt-PT", "a", "pt Olá N"),
        ("pt", "a", "pt-BR Oi N"),
        ("pt-AO", "a", "pt-BR Oi N"),
        ("ja", "a", "general Hello N"),
        ("pt-PT", "b", "b pt N"),
        ("en", "b", "general Hello N"),
    ] {
        assert_eq!(
            say(&bundle, Channel::Sms, locale, variant),
            expected,
            "{locale} {variant}"
        );
    }
    assert!(say(&bundle, Channel::Email, "de", "b").contains("b de N"));
    assert!(say(&bundle, Channel::Email, "de", "a").contains("<p>Hallo N</p>"));
    // A language that nobody speaks is a slip.
    let pack = Pack::new();
    pack.message("sms.pt.txt.hbs", "x");
    pack.finds("file/unknown", &format!("{MESSAGE}/sms.pt.txt.hbs"));
}

#[test]
fn a_category_has_its_sender_and_a_message_may_have_another() {
    let pack = Pack::new();
    pack.replace(
        "shop.toml",
        "[default_senders]",
        "[senders.care]\nname = \"Care\"\naddress = \"care@shop.example\"\n[default_senders]",
    );
    let sender = |pack: &Pack| {
        let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
        match fill(&bundle, Channel::Email, "en", &json!({"name": "N"})).unwrap() {
            Content::Email { sender, .. } => sender.address,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(sender(&pack), "a@shop.example");
    pack.replace(
        "shop.toml",
        "transactional = \"main\"",
        "transactional = \"care\"",
    );
    assert_eq!(sender(&pack), "care@shop.example");
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "[sms]",
        "sender = \"main\"\n[sms]",
    );
    assert_eq!(sender(&pack), "a@shop.example");
    pack.replace(
        "shop.toml",
        "transactional = \"care\"",
        "transactional = \"crae\"",
    );
    let found = pack.finds("shop/value", "shop.toml");
    assert!(found.message.contains("Did you mean \"care\""), "{found}");
}

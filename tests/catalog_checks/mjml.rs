//! MJML: what authors write in it survives the compiler, and what the compiler would swallow is told with its place.

use scraper::{Html, Selector};
use serde_json::{Value, json};
use tidings::domain::channel::Channel;
use tidings::domain::content::Content;

use super::{MESSAGE, Pack, fill};

const LAYOUT: &str = r##"<mjml lang="{{message.locale}}">
  <mj-head>
    <mj-title>{{message.subject}}</mj-title>
    <mj-preview>{{t 'greeting' name="you"}}</mj-preview>
    <mj-attributes>
      <mj-all font-family="Arial, 'Helvetica Neue', sans-serif" />
    </mj-attributes>
    <mj-style>
      .note { color: #123456; }
      .note a:hover { color: red; }
      @media (prefers-color-scheme: dark) { .note { color: #ffffff !important; } }
    </mj-style>
  </mj-head>
  <mj-body background-color="#f2f5f4">
    <!-- a note of the author -->
    {{> @partial-block}}
    <mj-section><mj-column><mj-text>{{shop.name}}</mj-text></mj-column></mj-section>
  </mj-body>
</mjml>
"##;
const BODY: &str = r#"{{#> layout}}
<mj-section>
  <mj-column>
    {{> title text=(t 'greeting' name=name)}}
    {{#if note}}
    <mj-text css-class="note">Größe {{note}} <a href="{{url shop.url}}">x</a></mj-text>
    {{else}}
    <mj-text>nothing</mj-text>
    {{/if}}
    {{#if link}}<mj-button href="{{url link}}">{{> label}}</mj-button>{{/if}}
    <mj-image src="https://shop.example/a.png" alt='Größe "XL" \ {{name}}' width="100px" />
    <mj-table>
      {{#each list}}
      <tr><td class="{{#if @first}}first{{/if}}">{{@index}}: {{title}} {{../name}}</td></tr>
      {{/each}}
    </mj-table>
  </mj-column>
</mj-section>
{{/layout}}
"#;

pub(crate) fn pack() -> Pack {
    let pack = Pack::new();
    std::fs::remove_file(pack.at(&format!("{MESSAGE}/email.html.hbs"))).unwrap();
    pack.write("layouts/email.mjml", LAYOUT);
    pack.write(
        "partials/title.mjml.hbs",
        "<mj-text font-size=\"28px\"><h1>{{text}}</h1></mj-text>\n",
    );
    pack.write("partials/label.html.hbs", "<b>{{name}}</b>");
    pack.message("email.mjml", BODY);
    pack
}

#[track_caller]
pub(crate) fn html(pack: &Pack, variables: &Value) -> String {
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    match fill(&bundle, Channel::Email, "en", variables).unwrap() {
        Content::Email { html, .. } => html,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn select(html: &str, selector: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector)
        .map(|element| element.text().collect::<String>().trim().to_owned())
        .collect()
}

fn full() -> Value {
    json!({"name": "<Ada>", "note": "n & m", "link": "https://x.example/?a=1&b=2", "list": [{"title": "one"}, {"title": "two"}]})
}

#[test]
fn handlebars_survives_the_compiler() {
    let pack = pack();
    let html = html(&pack, &full());
    assert!(
        html.starts_with("<!doctype html><html lang=\"en\""),
        "{html}"
    );
    assert_eq!(select(&html, "title"), ["Hello <Ada>"]);
    assert_eq!(select(&html, "h1"), ["Hello <Ada>"]);
    assert_eq!(select(&html, ".note"), ["Größe n & m x"]);
    assert_eq!(select(&html, "td.first"), ["0: one <Ada>"]);
    assert_eq!(select(&html, "td[class='']"), ["1: two <Ada>"]);
    assert_eq!(
        select(&html, "a[href='https://x.example/?a=1&b=2'] b"),
        ["<Ada>"]
    );
    assert_eq!(
        select(&html, "img[alt='Größe \"XL\" \\5c  <Ada>']").len(),
        1,
        "{html}"
    );
    assert_eq!(select(&html, "div[aria-label='Hello <Ada>']").len(), 1);
    assert!(html.contains("Hello you"), "{html}");
    // What the compiler would fetch, and what only authors read.
    assert!(!html.contains("googleapis") && !html.contains("a note of the author"));
    for leftover in ["{{", "tdx", "mj-text", "mj-section"] {
        assert!(!html.contains(leftover), "{leftover} in {html}");
    }

    let less = self::html(&pack, &json!({"name": "N"}));
    assert!(
        less.contains("nothing") && !less.contains("Größe n"),
        "{less}"
    );
    assert_eq!(select(&less, "a").len(), 0);
    assert_eq!(select(&less, "tr td.first").len(), 0);
}

/// The rule, the file and the place of what is wrong.
#[track_caller]
fn finds(pack: &Pack, rule: &str, path: &str, line: usize, column: usize) -> String {
    let found = pack.finds(rule, path);
    assert_eq!((found.line, found.column), (line, column), "{found}");
    found.message
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_column() {
    let path = format!("{MESSAGE}/email.mjml");
    let body = |inner: &str| {
        let pack = pack();
        pack.message(
            "email.mjml",
            &format!("{{{{#> layout}}}}\n{inner}\n{{{{/layout}}}}\n"),
        );
        pack
    };
    let cases = [
        (
            "<mj-section>\n  <mj-colum></mj-colum>\n</mj-section>",
            3,
            3,
            "Did you mean \"mj-column\"?",
        ),
        (
            "<mj-section>\n<mj-column><mj-text>a</mj-column>\n</mj-section>",
            3,
            12,
            "before </mj-column>",
        ),
        (
            "<mj-section>\n<mj-column><mj-text>a</mj-text></mj-column>",
            2,
            1,
            "<mj-section> is not closed before </mj-body>",
        ),
        (
            "<mj-section>\n<mj-column>a</mj-column></mj-section>",
            3,
            12,
            "put it into <mj-text>",
        ),
        (
            "<mj-section><mj-column>{{name}}</mj-column></mj-section>",
            2,
            24,
            "put it into <mj-text>",
        ),
        ("<mj-include path=\"/etc/passwd\" />", 2, 1, "is not read"),
        (
            "<mj-section {{#if note}}css-class=\"a\"{{/if}}></mj-section>",
            2,
            13,
            "around an element",
        ),
        ("<mj-section padding=0></mj-section>", 2, 13, "in quotes"),
        (
            "<mj-section><mj-column><mj-text><p>a</mj-text></mj-column></mj-section>",
            2,
            33,
            "<p> is not closed before </mj-text>",
        ),
        (
            "{{#if note}}<mj-section>{{else}}<mj-section css-class=\"b\">{{/if}}</mj-section>",
            2,
            13,
            "is not closed",
        ),
        (
            "<mj-section><mj-column><mj-image src=\"https://a.example/b.png\" alt=\"x\" width=\"{{count}}px\" /></mj-column></mj-section>",
            2,
            79,
            "MJML drops",
        ),
        (
            "<mj-section><mj-column><mj-social><mj-social-element name=\"facebook\" href=\"https://a.example\">F</mj-social-element></mj-social></mj-column></mj-section>",
            2,
            35,
            "needs a src",
        ),
        (
            "<mj-section><mj-column><mj-accordion></mj-accordion></mj-column></mj-section>",
            2,
            24,
            "active content",
        ),
        (
            "<mj-section css-clas=\"a\"><mj-column></mj-column></mj-section></mj-wrapper>",
            2,
            62,
            "closes nothing",
        ),
    ];
    for (inner, line, column, sentence) in cases {
        let message = finds(&body(inner), "syntax/mjml", &path, line, column);
        assert!(message.contains(sentence), "{inner}: {message}");
    }

    let pack = pack();
    pack.replace(
        "layouts/email.mjml",
        "<mj-title>",
        "<mj-font name=\"A\" href=\"https://a.example/a.css\" /><mj-title>",
    );
    let message = finds(&pack, "syntax/mjml", "layouts/email.mjml", 3, 5);
    assert!(message.contains("Arial"), "{message}");

    let pack = self::pack();
    pack.write(
        "partials/title.mjml.hbs",
        "\n<mj-text>\n<h1>{{text}}</h2></mj-text>\n",
    );
    finds(&pack, "syntax/mjml", "partials/title.mjml.hbs", 3, 1);

    let pack = self::pack();
    pack.replace(
        "layouts/email.mjml",
        "{{> @partial-block}}",
        "<mj-raw>{{> title name}}</mj-raw>{{> @partial-block}}",
    );
    finds(&pack, "partial/context", "layouts/email.mjml", 16, 13);
}

#[test]
fn mjml_keeps_the_rules_of_html() {
    let path = format!("{MESSAGE}/email.mjml");
    for (inner, rule, line) in [
        (
            "<mj-button href=\"{{link}}\">x</mj-button>",
            "email/link-scheme",
            3,
        ),
        (
            "<mj-button href=\"javascript:x\">x</mj-button>",
            "email/link-scheme",
            3,
        ),
        (
            "<mj-text color=\"{{name}}\">x</mj-text>",
            "email/unquoted-attribute",
            3,
        ),
        (
            "<mj-raw><script>x</script></mj-raw>",
            "email/active-content",
            3,
        ),
        (
            "<mj-text><p onclick=\"x\">x</p></mj-text>",
            "email/active-content",
            3,
        ),
        ("<mj-text>{{{name}}}</mj-text>", "vars/unescaped", 3),
        ("<mj-text>{{nmae}}</mj-text>", "vars/undeclared", 3),
        ("<mj-text>{{> nothing}}</mj-text>", "partial/missing", 3),
        ("<mj-text>{{#if name}}</mj-text>", "syntax/handlebars", 4),
    ] {
        let pack = pack();
        pack.message(
            "email.mjml",
            &format!("{{{{#> layout}}}}<mj-section><mj-column>\n\n{inner}\n</mj-column></mj-section>{{{{/layout}}}}"),
        );
        let found = pack.finds(rule, &path);
        assert!(
            found.line == line || rule == "syntax/handlebars",
            "{inner}: {found}"
        );
    }
    // A style sheet of the head is one here, too.
    let pack = pack();
    pack.replace(
        "layouts/email.mjml",
        ".note { color: #123456; }",
        ".note { color: {{name}}; }",
    );
    pack.finds("email/unquoted-attribute", "layouts/email.mjml");
    // A rendering that fails says where in the author's files.
    let pack = self::pack();
    pack.write("partials/label.html.hbs", "\n<b>{{url note}}</b>");
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let error = fill(&bundle, Channel::Email, "en", &full()).unwrap_err();
    let place = (error.file.as_str(), error.line, error.column);
    assert_eq!(place, ("partials/label.html.hbs", 2, 4), "{error}");
}

#[test]
fn both_kinds_of_body_side_by_side_are_refused() {
    let pack = pack();
    pack.message("email.html.hbs", "<p>x</p>");
    pack.finds("file/double", &format!("{MESSAGE}/email.html.hbs"));
    let pack = self::pack();
    std::fs::remove_file(pack.at("layouts/email.mjml")).unwrap();
    pack.finds("file/missing", "layouts/email.mjml");
}

#[test]
fn what_would_end_the_compilers_stack_is_refused() {
    for (open, close) in [("<mj-wrapper>", "</mj-wrapper>"), ("<div>", "</div>")] {
        let pack = pack();
        let inner = format!(
            "<mj-raw>{}x{}</mj-raw>",
            open.repeat(9_000),
            close.repeat(9_000)
        );
        pack.message(
            "email.mjml",
            &format!("{{{{#> layout}}}}{inner}{{{{/layout}}}}"),
        );
        pack.finds("limit/depth", &format!("{MESSAGE}/email.mjml"));
    }
    let pack = Pack::new();
    pack.message("email.html.hbs", &"<div>".repeat(40_000));
    pack.finds("limit/depth", &format!("{MESSAGE}/email.html.hbs"));
}

#[test]
fn a_stored_bundle_with_mjml_is_the_same_again() {
    let pack = pack();
    let catalog = pack.open().unwrap();
    let archive = catalog.live().archive();
    let other = Pack::new().open().unwrap();
    let adopted = other.adopt(&archive).unwrap();
    let text = |bundle: &tidings::catalog::Bundle| {
        super::text(fill(bundle, Channel::Email, "en", &full()).unwrap())
    };
    assert_eq!(text(&adopted), text(&catalog.live()));
}

//! CSS is written into the elements it is for, what has no element stays in the style sheet, and nothing else changes.

use serde_json::json;
use tidings::domain::channel::Channel;

use super::{Pack, fill, mjml, text};

const STYLE: &str = ".a { color: #102030; } td.b, p { margin: 0 } .a:hover { color: red }\n@media (max-width: 600px) { .a { width: 100% !important; } }\n@media (prefers-color-scheme: dark) { .a { color: #fff !important; } }";

fn filled(body: &str, style: &str) -> String {
    let pack = Pack::new();
    pack.write(
        "layouts/email.html.hbs",
        format!("<html><head><style>{style}</style></head><body>{{{{> @partial-block}}}}</body></html>\n"),
    );
    pack.message("email.html.hbs", body);
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let variables = json!({"name": "Ada", "list": [{"title": "t"}]});
    text(fill(&bundle, Channel::Email, "en", &variables).unwrap())
}

#[test]
fn rules_go_into_elements_and_the_rest_stays() {
    let html = filled(
        "{{#> layout}}{{> line text=name}}<table>{{#each list}}<tr><td class=\"b\">{{title}}</td></tr>{{/each}}</table><a class=\"a\" href=\"{{url shop.url}}\" style=\"font-weight:bold\">&nbsp;&copy; x</a><!--[if mso]><p>o</p><![endif]-->{{/layout}}",
        STYLE,
    );
    assert!(
        html.contains("<p style=\"margin: 0\">Ada</p>"),
        "a partial's element: {html}"
    );
    assert!(
        html.contains("<tr><td style=\"margin: 0\" class=\"b\">t</td></tr>"),
        "{html}"
    );
    assert!(
        html.contains("<a class=\"a\" href=\"https://shop.example\" style=\"color: #102030;font-weight: bold\">&nbsp;&copy; x</a>"),
        "{html}"
    );
    assert!(html.contains("<!--[if mso]><p>o</p><![endif]-->"), "{html}");
    let (head, _) = html.split_once("</style>").unwrap();
    for kept in [
        ":hover",
        "max-width: 600px",
        "prefers-color-scheme: dark",
        "color: #fff !important",
    ] {
        assert!(head.contains(kept), "{kept} in {head}");
    }
    assert!(
        !head.contains("#102030") && !head.contains("td.b"),
        "{head}"
    );
    assert!(!html.contains("data-tdx"), "{html}");
}

#[test]
fn without_rules_not_a_byte_changes() {
    let body = "<P Class=x  title='a\"b'>1 < 2 &amp; {{name}}<br/><img src=\"https://a.example/b.png\" alt=''>";
    let html = filled(&format!("{{{{#> layout}}}}{body}{{{{/layout}}}}"), "");
    assert!(html.contains(&body.replace("{{name}}", "Ada")), "{html}");
    // Rules that match nothing leave the body alone, too.
    let html = filled(
        &format!("{{{{#> layout}}}}{body}{{{{/layout}}}}"),
        ".other { color: red }",
    );
    assert!(html.contains(&body.replace("{{name}}", "Ada")), "{html}");
    assert!(html.contains(".other { color: red"), "{html}");
}

#[test]
fn a_tag_that_depends_on_a_condition_keeps_its_sheet() {
    let body =
        "{{#> layout}}<p class=\"{{#if note}}a{{/if}}\">x</p><b class=\"a\">y</b>{{/layout}}";
    let html = filled(body, STYLE);
    assert!(html.contains("<p class=\"\">x</p>"), "{html}");
    assert!(
        html.contains("<b style=\"color: #102030\" class=\"a\">y</b>"),
        "{html}"
    );
    let (head, _) = html.split_once("</style>").unwrap();
    assert!(head.contains(".a { color: #102030; }"), "{head}");
}

#[test]
fn a_sheet_can_ask_to_be_left_alone() {
    let pack = Pack::new();
    pack.write(
        "layouts/email.html.hbs",
        "<html><style data-css-inline=\"ignore\">p { color: red }</style><style media=\"print\">p { margin: 1px }</style><style>p { color: blue }</style>{{> @partial-block}}</html>\n",
    );
    let bundle = pack.open().unwrap().live();
    let html = text(fill(&bundle, Channel::Email, "en", &json!({"name": "A"})).unwrap());
    assert!(
        html.contains("<p style=\"color: blue\">Hello A</p>"),
        "{html}"
    );
    assert!(
        html.contains("ignore\">p { color: red }") && html.contains("print\">p { margin: 1px }"),
        "{html}"
    );
}

#[test]
fn in_mjml_the_authors_sheets_are_inlined_and_the_compilers_stay() {
    let pack = mjml::pack();
    let html = mjml::html(&pack, &json!({"name": "N", "note": "n"}));
    let element = html
        .find("class=\"note\"")
        .map(|at| &html[at.saturating_sub(200)..at + 300])
        .unwrap();
    assert!(element.contains("color: #123456"), "{element}");
    assert!(
        html.contains("prefers-color-scheme: dark") && html.contains("a:hover"),
        "{html}"
    );
    assert!(
        html.contains("#outlook a") && html.contains("mj-column-per-100 { width:100% !important"),
        "{html}"
    );
    assert!(!html.contains("/*tdx*/"), "{html}");
    assert!(
        !html.contains("<td style=\"border-collapse"),
        "the compiler's own rules are not copied: {html}"
    );
    // `inline="inline"` is what MJML calls it.
    pack.replace(
        "layouts/email.mjml",
        "<mj-style>",
        "<mj-style inline=\"inline\">",
    );
    assert_eq!(mjml::html(&pack, &json!({"name": "N", "note": "n"})), html);
}

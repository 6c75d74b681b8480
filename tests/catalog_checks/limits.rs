//! Every limit of templates: what just keeps it is taken, what just breaks it is told.

use serde_json::json;
use tidings::domain::channel::Channel;

use super::{MESSAGE, Pack, fill, text};

const BODY: &str = "messages/note/hello/email.html.hbs";

#[track_caller]
fn taken(pack: &Pack) {
    if let Err(error) = pack.open() {
        panic!("{error}");
    }
}

#[test]
fn a_file_has_256_kib() {
    let pack = Pack::new();
    let words = |length: usize| format!("<p>{}</p>", "word ".repeat(length / 5));
    let mut exact = words(250 * 1024);
    exact.push_str(&" ".repeat(256 * 1024 - exact.len()));
    pack.message("email.html.hbs", &exact);
    taken(&pack);
    exact.push(' ');
    pack.message("email.html.hbs", &exact);
    pack.finds("limit/size", BODY);
}

#[test]
fn includes_go_32_deep() {
    let chain = |depth: usize| {
        let pack = Pack::new();
        for n in 1..depth {
            pack.write(
                &format!("partials/p{n}.html.hbs"),
                format!("{n}{{{{> p{}}}}}", n + 1),
            );
        }
        pack.write(&format!("partials/p{depth}.html.hbs"), "the end");
        pack.message("email.html.hbs", "{{> p1}}");
        pack
    };
    let pack = chain(32);
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let html = text(fill(&bundle, Channel::Email, "en", &json!({"name": "Ada"})).unwrap());
    assert!(
        html.starts_with("123") && html.ends_with("31the end"),
        "{html}"
    );
    let error = chain(33).open().unwrap_err();
    assert!(
        error
            .findings
            .iter()
            .all(|finding| finding.rule == "limit/depth"),
        "{error}"
    );
}

#[test]
fn blocks_nest_64_deep_in_a_file() {
    let nest = |depth: usize| {
        let pack = Pack::new();
        pack.message(
            "email.html.hbs",
            &format!(
                "{}x{}",
                "{{#if name}}".repeat(depth),
                "{{/if}}".repeat(depth)
            ),
        );
        pack
    };
    taken(&nest(64));
    nest(65).finds("limit/depth", BODY);
}

#[test]
fn elements_nest_200_deep() {
    let nest = |depth: usize| {
        let pack = Pack::new();
        pack.message(
            "email.html.hbs",
            &format!("{}x{}", "<div>".repeat(depth), "</div>".repeat(depth)),
        );
        pack
    };
    taken(&nest(200));
    nest(201).finds("limit/depth", BODY);
}

#[test]
fn a_rendering_writes_2_mib() {
    let pack = Pack::new();
    pack.message("chat.md.hbs", "x");
    pack.message("email.html.hbs", "{{name}}");
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let fill = |bytes: usize| {
        // The subject is cut short by its own limit, so it says something else here.
        fill(
            &bundle,
            Channel::Email,
            "en",
            &json!({"name": "x".repeat(bytes)}),
        )
    };
    let error = fill(2 * 1024 * 1024 + 1).unwrap_err();
    assert!(
        error.sentence.contains("2 MiB") || error.sentence.contains("255"),
        "{error}"
    );
    let pack = Pack::new();
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "{{t 'greeting' name=name}}",
        "Hi",
    );
    pack.message("email.html.hbs", "{{name}}");
    pack.message("email.txt.hbs", "x");
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let fill = |bytes: usize| {
        super::fill(
            &bundle,
            Channel::Email,
            "en",
            &json!({"name": "x".repeat(bytes)}),
        )
    };
    assert!(fill(2 * 1024 * 1024).is_ok());
    assert!(
        fill(2 * 1024 * 1024 + 1)
            .unwrap_err()
            .sentence
            .contains("2 MiB")
    );
}

#[test]
fn a_thousand_times_three_loops_end_by_the_budget() {
    let pack = Pack::new();
    pack.message(
        "email.html.hbs",
        "{{#each list}}{{#each ../list}}{{#each ../../list}}{{title}}{{/each}}{{/each}}{{/each}}",
    );
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let list: Vec<_> = (0..1_000)
        .map(|n| json!({"title": n.to_string()}))
        .collect();
    let error = fill(
        &bundle,
        Channel::Email,
        "en",
        &json!({"name": "A", "list": list}),
    )
    .unwrap_err();
    assert!(
        error.sentence.contains("200 ms") || error.sentence.contains("2 MiB"),
        "{error}"
    );
}

#[test]
fn folders_nest_12_deep_and_names_have_200_bytes() {
    let pack = Pack::new();
    let deep = format!("messages/{}", "a/".repeat(12));
    pack.write(&format!("{deep}x.txt"), "x");
    let error = pack.open().unwrap_err();
    assert!(
        error
            .findings
            .iter()
            .any(|finding| finding.rule == "limit/depth"),
        "{error}"
    );
    let pack = Pack::new();
    let name = format!("partials/{}.html.hbs", "n".repeat(190));
    pack.write(&name, "x");
    let error = pack.open().unwrap_err();
    assert!(
        error
            .findings
            .iter()
            .any(|finding| finding.rule == "file/name"),
        "{error}"
    );
}

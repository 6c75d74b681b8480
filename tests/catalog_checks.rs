//! Every check of the template repository, each with a folder that breaks it, and live reload.

#[path = "catalog_checks/assets.rs"]
mod assets;
#[path = "catalog_checks/helpers.rs"]
mod helpers;
#[path = "catalog_checks/inline.rs"]
mod inline;
#[path = "catalog_checks/limits.rs"]
mod limits;
#[path = "catalog_checks/mail.rs"]
mod mail;
#[path = "catalog_checks/mjml.rs"]
mod mjml;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidings::catalog::{Bundle, Catalog, CatalogError, Source};
use tidings::domain::channel::Channel;
use tidings::domain::clock::Stopwatch;
use tidings::domain::content::Content;
use tidings::domain::intent::Variables;
use tidings::render::{Filling, Links, RenderError, render};

const MESSAGE: &str = "messages/note/hello";
const BASE: [(&str, &str); 14] = [
    (
        "shop.toml",
        "format = 1\nname = \"Shop\"\nurl = \"https://shop.example\"\nsupport_email = \"s@shop.example\"\nsupport_url = \"https://shop.example/help\"\npostal_address = \"Street 1\"\ndefault_locale = \"en\"\nlocales = [\"en\", \"de\"]\ntime_zone = \"Europe/Berlin\"\n[links]\npreferences = \"https://shop.example/p\"\nunsubscribe = \"https://shop.example/u\"\n[senders.main]\nname = \"Shop\"\naddress = \"a@shop.example\"\n[default_senders]\ncritical = \"main\"\ntransactional = \"main\"\nrelationship = \"main\"\nmarketing = \"main\"\n",
    ),
    (
        "policy.toml",
        "version = \"1\"\n[quiet_hours]\nfrom = \"21:00\"\nuntil = \"08:00\"\ncategories = [\"marketing\"]\n[[topics]]\nkey = \"note\"\ncategory = \"transactional\"\nname = \"Notes\"\nchannels = [\"email\"]\nopt_in = false\n[[budgets]]\nname = \"week\"\ncategories = [\"marketing\"]\nwindow = \"7d\"\nmax = 2\n[expiry]\ncritical = \"24h\"\n[retries]\ndelays = [\"5s\"]\njitter_percent = 20\n[unknown]\ncritical = \"resend\"\n[default_channels]\norder = [\"email\", \"sms\", \"chat\"]\n",
    ),
    (
        "layouts/email.html.hbs",
        "<html><body>{{> @partial-block}}<p>{{shop.name}}</p></body></html>\n",
    ),
    (
        "layouts/email.txt.hbs",
        "{{> @partial-block}}\n{{shop.name}}\n",
    ),
    ("partials/line.html.hbs", "<p>{{text}}</p>\n"),
    ("i18n/en.ftl", "greeting = Hello { $name }\n"),
    ("i18n/de.ftl", "greeting = Hallo { $name }\n"),
    (
        "messages/note/hello/message.toml",
        "name = \"Hello\"\nowner = \"crm@shop.example\"\ncategory = \"transactional\"\ntopic = \"note\"\nchannels = [\"email\", \"sms\", \"chat\"]\n[timing]\nttl = \"5d\"\n[email]\nsubject = \"{{t 'greeting' name=name}}\"\n[sms]\nmax_segments = 1\n[fallbacks]\n\"customer.given_name\" = \"there\"\n",
    ),
    (
        "messages/note/hello/schema.json",
        r#"{"type":"object","required":["name"],"additionalProperties":false,"properties":{"name":{"type":"string"},"note":{"type":"string"},"link":{"type":"string"},"amount":{"type":"string"},"on":{"type":"string"},"count":{"type":"integer"},"list":{"type":"array","items":{"type":"object","properties":{"title":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}}}}}}"#,
    ),
    (
        "messages/note/hello/email.html.hbs",
        "{{#> layout}}\n{{> line text=(t 'greeting' name=name)}}\n{{#if note}}<p title=\"{{note}}\">{{note}}</p>{{/if}}\n{{/layout}}\n",
    ),
    (
        "messages/note/hello/sms.txt.hbs",
        "{{name}}{{#if note}} {{note}}{{/if}}\n",
    ),
    (
        "messages/note/hello/chat.md.hbs",
        "**{{name}}**\n{{#if note}}{{note}}{{/if}}\n",
    ),
    (
        "messages/note/hello/samples/minimal.json",
        r#"{"name":"Ada"}"#,
    ),
    (
        "messages/note/hello/samples/typical.json",
        r#"{"name":"Ada","note":"n","list":[{"title":"a","tags":["x"]}]}"#,
    ),
];

struct Pack {
    folder: tempfile::TempDir,
}

impl Pack {
    fn new() -> Self {
        let pack = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (path, text) in BASE {
            pack.write(path, text);
        }
        pack
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    /// A file of the message.
    fn message(&self, file: &str, text: &str) {
        self.write(&format!("{MESSAGE}/{file}"), text);
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.at(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, text.replace(from, to));
    }

    fn open(&self) -> Result<Catalog, CatalogError> {
        Catalog::open(Source::Folder(self.folder.path().to_owned()))
    }

    /// Opens it and finds that rule in that file.
    #[track_caller]
    fn finds(&self, rule: &str, path: &str) -> tidings::catalog::Finding {
        let error = self.open().expect_err("the broken folder is accepted");
        let found = error
            .findings
            .iter()
            .find(|finding| finding.rule == rule && finding.path == path);
        let found = found
            .unwrap_or_else(|| panic!("no {rule} in {path}:\n{error}"))
            .clone();
        assert!(
            found.message.len() > 15 && found.message.ends_with(['.', '?']),
            "{found}"
        );
        found
    }

    #[track_caller]
    fn body_finds(&self, body: &str, rule: &str) -> tidings::catalog::Finding {
        self.message("email.html.hbs", body);
        self.finds(rule, &format!("{MESSAGE}/email.html.hbs"))
    }
}

fn fill(
    bundle: &Bundle,
    channel: Channel,
    locale: &str,
    variables: &Value,
) -> Result<Content, RenderError> {
    render(&Filling {
        bundle,
        template: "note.hello",
        channel,
        locale,
        variables: &Variables(variables.as_object().unwrap().clone()),
        given_name: "Ada",
        time_zone: "America/Sao_Paulo",
        message_id: "m",
        links: Links::default(),
        variant: "",
    })
}

fn text(content: Content) -> String {
    match content {
        Content::Email { html, .. } => html,
        Content::Sms { text } | Content::Chat { text } => text,
    }
}

#[test]
fn the_tiny_pack_is_right() {
    let catalog = Pack::new().open().unwrap_or_else(|error| panic!("{error}"));
    let bundle = catalog.live();
    let Content::Email {
        subject,
        html,
        text,
        ..
    } = fill(
        &bundle,
        Channel::Email,
        "de-AT",
        &json!({"name": "Ä & <b>"}),
    )
    .unwrap()
    else {
        panic!("not a mail")
    };
    assert_eq!(subject, "Hallo Ä & <b>");
    assert!(html.contains("<p>Hallo Ä &amp; &lt;b&gt;</p>"), "{html}");
    // No text part is written, so it is made from the HTML.
    assert!(
        text.contains("Hallo Ä & <b>") && text.contains("Shop"),
        "{text}"
    );
}

#[test]
fn files_are_tame() {
    let pack = Pack::new();
    pack.message("sms.txt.hbs", "x");
    pack.write(&format!("{MESSAGE}/sms.txt.hbs"), [0xff, 0xfe, b'a', 0]);
    assert!(
        pack.finds("file/encoding", &format!("{MESSAGE}/sms.txt.hbs"))
            .message
            .contains("UTF-16")
    );
    for bytes in [
        &[0xef, 0xbb, 0xbf, b'a'][..],
        &[b'a', 0x80, b'b'],
        &[b'a', 0],
    ] {
        pack.write(&format!("{MESSAGE}/sms.txt.hbs"), bytes);
        pack.finds("file/encoding", &format!("{MESSAGE}/sms.txt.hbs"));
    }

    let pack = Pack::new();
    pack.message("SMS.txt.hbs", "x");
    pack.finds("file/case", &format!("{MESSAGE}/sms.txt.hbs"));

    let pack = Pack::new();
    pack.message("emial.html.hbs", "x");
    assert!(
        pack.finds("file/unknown", &format!("{MESSAGE}/emial.html.hbs"))
            .message
            .contains("Did you mean \"email.html.hbs\"")
    );

    let pack = Pack::new();
    pack.message("email.fr.html.hbs", "x");
    pack.finds("file/unknown", &format!("{MESSAGE}/email.fr.html.hbs"));

    let pack = Pack::new();
    pack.write("partials/a b.html.hbs", "x");
    pack.finds("file/name", "partials/a b.html.hbs");

    let pack = Pack::new();
    pack.write("partials/big.html.hbs", "x".repeat(256 * 1024 + 1));
    pack.finds("limit/size", "partials/big.html.hbs");

    let pack = Pack::new();
    fs::remove_file(pack.at("shop.toml")).unwrap();
    pack.finds("file/missing", "shop.toml");
    assert!(
        Catalog::open(Source::Folder(
            Path::new("/nonexistent/templates").to_owned()
        ))
        .is_err()
    );
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_refused() {
    let pack = Pack::new();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), pack.at("partials/x.html.hbs")).unwrap();
    pack.finds("file/symlink", "partials/x.html.hbs");
}

#[test]
fn line_ends_of_another_system_give_the_same_bundle() {
    let (one, other) = (Pack::new(), Pack::new());
    for (path, text) in BASE {
        other.write(path, text.replace('\n', "\r\n"));
    }
    assert_eq!(
        one.open().unwrap().live().id(),
        other.open().unwrap().live().id()
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    let path = format!("{MESSAGE}/message.toml");
    let pack = Pack::new();
    pack.replace(&path, "category", "catgory");
    let found = pack.finds("toml/unknown-key", &path);
    assert_eq!((found.line, found.column), (3, 1));
    assert!(
        found.message.contains("Did you mean \"category\"?"),
        "{found}"
    );

    let pack = Pack::new();
    pack.replace("shop.toml", "support_url", "suport_url");
    assert!(
        pack.finds("toml/unknown-key", "shop.toml")
            .message
            .contains("support_url")
    );

    let pack = Pack::new();
    pack.replace("policy.toml", "window = \"7d\"", "window = \"7 days\"");
    assert_eq!(pack.finds("policy/value", "policy.toml").line, 15);

    let pack = Pack::new();
    pack.replace(&path, "topic = \"note\"", "topic = \"note");
    assert_eq!(pack.finds("syntax/toml", &path).line, 4);
}

#[test]
fn manifest_and_policy_agree() {
    let path = format!("{MESSAGE}/message.toml");
    let broken = [
        (
            "topic = \"note\"",
            "topic = \"nope\"",
            "policy/topic-mismatch",
        ),
        (
            "category = \"transactional\"",
            "category = \"marketing\"",
            "policy/topic-mismatch",
        ),
        (
            "channels = [\"email\", \"sms\", \"chat\"]",
            "channels = []",
            "channel/none",
        ),
        ("ttl = \"5d\"", "ttl = \"soon\"", "manifest/value"),
        ("max_segments = 1", "max_segments = 0", "manifest/value"),
        ("[sms]", "sender = \"nobody\"\n[sms]", "email/sender"),
        (
            "subject = \"{{t 'greeting' name=name}}\"",
            "subject = \"  \"",
            "email/subject-length",
        ),
        (
            "subject = \"{{t 'greeting' name=name}}\"",
            "",
            "email/subject-length",
        ),
        (
            "subject = \"{{t 'greeting' name=name}}\"",
            "subject = \"{{t 'greeting' name=nmae}}\"",
            "vars/undeclared",
        ),
        (
            "subject = \"{{t 'greeting' name=name}}\"",
            "subject = \"{{#if name}}\"",
            "syntax/handlebars",
        ),
        (
            "[fallbacks]",
            "[[variants]]\nname = \"a\"\nweight = 0\n[fallbacks]",
            "ab/weights",
        ),
        (
            "ttl = \"5d\"",
            "ttl = \"5d\"\nsubject = \"/product/id\"",
            "vars/undeclared",
        ),
    ];
    for (from, to, rule) in broken {
        let pack = Pack::new();
        pack.replace(&path, from, to);
        let found = pack.finds(rule, &path);
        assert!(found.line > 0 || rule == "vars/undeclared", "{found}");
    }
    for (variants, sentence) in [
        (
            "[[variants]]\nname = \"a\"\nweight = 5\n[[variants]]\nname = \"holdout\"\nweight = 5\n",
            "relationship and marketing",
        ),
        (
            "[[variants]]\nname = \"holdout\"\nweight = 5\n",
            "everybody",
        ),
        (
            "[[variants]]\nname = \"a\"\nweight = 5\n[[variants]]\nname = \"a\"\nweight = 5\n",
            "different names",
        ),
        (
            "[[variants]]\nname = \"a b\"\nweight = 5\n",
            "different names",
        ),
        ("[[variants]]\nname = \"a\"\nweight = 1000001\n", "at most"),
        ("[experiment]\nsalt = \"x\"\n", "no [[variants]]"),
    ] {
        let pack = Pack::new();
        pack.replace(&path, "[fallbacks]", &format!("{variants}[fallbacks]"));
        let error = pack.open().unwrap_err().to_string();
        assert!(
            error.contains("ab/weights") && error.contains(sentence),
            "{error}"
        );
    }
    let pack = Pack::new();
    pack.message("variants/z/sms.txt.hbs", "x");
    pack.finds("file/unknown", &format!("{MESSAGE}/variants/z/sms.txt.hbs"));
    let pack = Pack::new();
    pack.replace(&path, "customer.given_name", "customer.given_nam");
    assert!(
        pack.finds("vars/undeclared", &path)
            .message
            .contains("Did you mean")
    );
    let pack = Pack::new();
    fs::remove_file(pack.at(&format!("{MESSAGE}/chat.md.hbs"))).unwrap();
    pack.finds("channel/no-content", &path);
}

#[test]
fn syntax_errors_say_where() {
    for body in [
        "<p>\n{{#if name}}x</p>",
        "<p>\n{{name",
        "<p>\n{{/if}}",
        "\n{{~else if}}{{/if}}",
    ] {
        let pack = Pack::new();
        let found = pack.body_finds(body, "syntax/handlebars");
        assert!(found.line >= 1, "{found}");
    }
    Pack::new().body_finds("{{{{raw}}}}x{{{{/raw}}}}", "syntax/handlebars");
    Pack::new().body_finds("{{#*inline \"x\"}}x{{/inline}}", "syntax/handlebars");
}

#[test]
fn helpers_and_partials_exist() {
    let pack = Pack::new();
    assert!(
        pack.body_finds("{{uppercase name}}", "helper/unknown")
            .message
            .contains("uppercase")
    );
    assert!(
        pack.body_finds("\n\n  {{mony amount 'EUR'}}", "helper/unknown")
            .message
            .contains("Did you mean \"money\"?")
    );
    assert!(
        pack.body_finds("{{#eech list}}x{{/eech}}", "helper/unknown")
            .message
            .contains("each")
    );
    assert!(
        pack.body_finds("{{log name}}", "helper/unknown")
            .message
            .contains("log")
    );
    pack.body_finds("{{#if (nope name)}}x{{/if}}", "helper/unknown");
    pack.body_finds("{{url}}", "helper/arguments");
    assert!(
        pack.body_finds("{{> lien}}", "partial/missing")
            .message
            .contains("Did you mean \"line\"?")
    );
    pack.body_finds("{{> (t 'greeting' name=name)}}", "partial/missing");
    // A partial of another kind of file is not found.
    let pack = Pack::new();
    pack.message("chat.md.hbs", "{{> line text=name}}");
    pack.finds("partial/missing", &format!("{MESSAGE}/chat.md.hbs"));
}

#[test]
fn what_would_abort_the_process_is_refused_before_it_is_rendered() {
    // Files that include each other.
    let pack = Pack::new();
    pack.write("partials/a.html.hbs", "{{> b}}");
    pack.write("partials/b.html.hbs", "x\n  {{> a}}");
    let found = pack.finds("partial/cycle", "partials/b.html.hbs");
    assert!(
        found.line == 2 && found.message.contains("a → b → a"),
        "{found}"
    );
    // Through the content given to a layout, and a file that includes itself.
    let pack = Pack::new();
    pack.write("partials/a.html.hbs", "{{#> line}}{{> a}}{{/line}}");
    pack.finds("partial/cycle", "partials/a.html.hbs");
    // 1,200 nested blocks, 1,000 chained includes, 1,000 else-ifs.
    let pack = Pack::new();
    pack.body_finds(
        &format!(
            "{}x{}",
            "{{#if name}}".repeat(1_200),
            "{{/if}}".repeat(1_200)
        ),
        "limit/depth",
    );
    pack.body_finds(
        &format!(
            "{{{{#if name}}}}{}{{{{/if}}}}",
            "{{else if name}}x".repeat(1_000)
        ),
        "limit/depth",
    );
    let pack = Pack::new();
    for n in 0..1_000 {
        pack.write(
            &format!("partials/p{n}.html.hbs"),
            format!("{{{{> p{}}}}}", n + 1),
        );
    }
    pack.write("partials/p1000.html.hbs", "end");
    let error = pack.open().unwrap_err();
    assert!(
        error
            .findings
            .iter()
            .all(|finding| finding.rule == "limit/depth"),
        "{error}"
    );
    // Each includes the next twice: thirty files, a thousand million elements.
    let pack = Pack::new();
    for n in 0..30 {
        pack.write(
            &format!("partials/p{n}.html.hbs"),
            format!("{{{{> p{0}}}}}{{{{> p{0}}}}}", n + 1),
        );
    }
    pack.write("partials/p30.html.hbs", "end");
    pack.finds("limit/size", "partials/p0.html.hbs");
    // A layout may not repeat what it is given.
    let pack = Pack::new();
    pack.write(
        "layouts/email.html.hbs",
        "{{> @partial-block}}{{> @partial-block}}",
    );
    pack.finds("partial/block", "layouts/email.html.hbs");
}

#[test]
fn the_deepest_template_that_is_allowed_renders_on_a_small_stack() {
    let pack = Pack::new();
    for n in 0..30 {
        let blocks = if n == 29 { 64 } else { 1 };
        pack.write(
            &format!("partials/p{n}.html.hbs"),
            format!(
                "{}{{{{> p{}}}}}{}",
                "{{#if name}}".repeat(blocks),
                n + 1,
                "{{/if}}".repeat(blocks)
            ),
        );
    }
    pack.write("partials/p30.html.hbs", "the end");
    pack.message("email.html.hbs", "{{> p0}}");
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    // A runtime's worker threads have 2 MiB.
    let done = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || text(fill(&bundle, Channel::Email, "en", &json!({"name": "Ada"})).unwrap()))
        .unwrap()
        .join()
        .unwrap();
    assert!(done.contains("the end"));
}

#[test]
fn loops_are_stopped_by_steps_bytes_or_time() {
    let list: Vec<Value> = (0..100).map(|n| json!({"title": n.to_string()})).collect();
    let variables = json!({"name": "Ada", "list": list});
    let nest = |inner: &str| {
        format!(
            "{{{{#each list}}}}{{{{#each ../list}}}}{{{{#each ../../list}}}}{inner}{{{{/each}}}}{{{{/each}}}}{{{{/each}}}}"
        )
    };
    for inner in ["{{title}}", "", &"x".repeat(60_000), "{{#if title}}{{/if}}"] {
        let pack = Pack::new();
        pack.message("email.html.hbs", &nest(inner));
        let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
        let started = Stopwatch::start();
        let error = fill(&bundle, Channel::Email, "en", &variables)
            .expect_err("a million turns are too many");
        assert!(
            error.sentence.contains("200 ms") || error.sentence.contains("2 MiB"),
            "{error}"
        );
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
        assert!(error.file.ends_with("email.html.hbs"), "{error}");
    }
    // Inside the content of a layout the limit holds as well.
    let pack = Pack::new();
    pack.message(
        "email.html.hbs",
        &format!(
            "{{{{#> layout}}}}{}{{{{/layout}}}}",
            nest(&"x".repeat(1_000))
        ),
    );
    let bundle = pack.open().unwrap().live();
    assert!(fill(&bundle, Channel::Email, "en", &variables).is_err());
}

#[test]
fn every_variable_is_declared() {
    let undeclared = [
        "{{nmae}}",
        "{{#if nmae}}x{{/if}}",
        "{{#unless nmae}}x{{/unless}}",
        "{{#each nolist}}x{{/each}}",
        "{{#each list}}{{titel}}{{/each}}",
        "{{#each list}}{{this.titel}}{{/each}}",
        "{{#each list}}{{../nmae}}{{/each}}",
        "{{#each list as |item i|}}{{item.titel}}{{/each}}",
        "{{#each list}}{{#each tags}}{{../titel}}{{/each}}{{/each}}",
        "{{#with name}}{{x}}{{/with}}",
        "{{t 'greeting' name=nmae}}",
        "{{> line text=nmae}}",
        "{{> line text=(t 'greeting' name=nmae)}}",
        "{{customer.email}}",
        "{{shop.nmae}}",
        "{{@root.nmae}}",
        "{{name.length}}",
        "{{#if (gt nmae 5)}}x{{/if}}",
    ];
    for body in undeclared {
        Pack::new().body_finds(body, "vars/undeclared");
    }
    let pack = Pack::new();
    pack.message("email.html.hbs", "{{> line}}");
    assert!(
        pack.finds("vars/undeclared", "partials/line.html.hbs")
            .message
            .contains("\"text\"")
    );

    let declared = [
        "{{name}}{{shop.name}}{{customer.given_name}}{{message.subject}}{{links.preferences}}{{@root.name}}{{this.name}}",
        "{{#each list}}{{title}}{{this.title}}{{../name}}{{@index}}{{@first}}{{#each tags}}{{this}}{{../title}}{{../../name}}{{/each}}{{/each}}",
        "{{#each list as |item i|}}{{item.title}}{{i}}{{#each item.tags as |tag|}}{{tag}}{{/each}}{{/each}}",
        "{{#each list}}{{> line text=title}}{{> line this text=../name}}{{/each}}",
        "{{#if note}}{{#with note}}{{this}}{{/with}}{{/if}}{{#if list}}{{#if (and note (gt (len list) 0))}}{{note}}{{/if}}{{/if}}",
        "{{#equals name 'Ada'}}x{{else}}y{{/equals}}{{insert note \"default=none\"}}{{#if list}}{{length list}}{{/if}}",
    ];
    for body in declared {
        let pack = Pack::new();
        pack.message("email.html.hbs", body);
        pack.open()
            .unwrap_or_else(|error| panic!("{body}\n{error}"));
    }
}

#[test]
fn a_loop_gives_what_it_says() {
    let pack = Pack::new();
    pack.message(
        "chat.md.hbs",
        "{{#each list as |item i|}}{{i}}:{{item.title}}{{#unless @last}},{{/unless}}{{/each}};{{#each list}}{{@index}}{{title}}{{../name}}{{#each tags}}({{this}}{{../title}}){{/each}}{{/each}}",
    );
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let chat = fill(
        &bundle,
        Channel::Chat,
        "en",
        &json!({"name": "N", "list": [{"title": "a", "tags": ["x", "y"]}, {"title": "b"}]}),
    )
    .unwrap();
    assert_eq!(text(chat), "0:a,1:b;0aN(xa)(ya)1bN");
}

#[test]
fn schemas_and_samples_are_right() {
    let schema = format!("{MESSAGE}/schema.json");
    for (from, to, rule) in [
        ("\"required\":[\"name\"],", "", "vars/no-required"),
        (
            "\"name\":{\"type\":\"string\"}",
            "\"name\":{\"type\":\"string\"},\"customer\":{\"type\":\"object\"}",
            "vars/reserved",
        ),
        (
            "\"type\":\"object\",",
            "\"type\":\"objekt\",",
            "vars/schema",
        ),
        ("{\"type\"", "{{\"type\"", "syntax/json"),
    ] {
        let pack = Pack::new();
        pack.replace(&schema, from, to);
        pack.finds(rule, &schema);
    }
    let pack = Pack::new();
    pack.message("samples/typical.json", r#"{"name":5}"#);
    assert!(
        pack.finds(
            "vars/sample-invalid",
            &format!("{MESSAGE}/samples/typical.json")
        )
        .message
        .starts_with("/name")
    );
    let pack = Pack::new();
    pack.message("samples/typical.json", "[1]");
    pack.finds("syntax/json", &format!("{MESSAGE}/samples/typical.json"));
    let pack = Pack::new();
    fs::remove_file(pack.at(&format!("{MESSAGE}/samples/minimal.json"))).unwrap();
    pack.finds(
        "vars/no-minimal-sample",
        &format!("{MESSAGE}/samples/minimal.json"),
    );
    let pack = Pack::new();
    fs::remove_file(pack.at(&schema)).unwrap();
    pack.finds("file/missing", &schema);
    // An optional variable without {{#if}} shows with the minimal sample.
    let pack = Pack::new();
    let found = pack.body_finds("\n<p>{{note}}</p>", "render/sample");
    assert!(
        found.line == 2 && found.message.contains("minimal.json"),
        "{found}"
    );
}

#[test]
fn html_is_harmless() {
    for (body, rule) in [
        ("<a href={{url link}}>x</a>", "email/unquoted-attribute"),
        ("<p {{name}}>x</p>", "email/unquoted-attribute"),
        (
            "<style>p{color:{{name}}}</style>",
            "email/unquoted-attribute",
        ),
        ("<a href=\"{{link}}\">x</a>", "email/link-scheme"),
        ("<a href=\"javascript:x\">x</a>", "email/link-scheme"),
        ("<script>x</script>", "email/active-content"),
        ("<p onclick=\"x\">x</p>", "email/active-content"),
        (
            "<form action=\"https://x.example\"></form>",
            "email/active-content",
        ),
        (
            "<link rel=\"stylesheet\" href=\"https://x.example/a.css\">",
            "email/active-content",
        ),
        (
            "<style>@import url(https://x.example)</style>",
            "email/active-content",
        ),
        ("{{{name}}}", "vars/unescaped"),
        ("{{&name}}", "vars/unescaped"),
    ] {
        Pack::new().body_finds(body, rule);
    }
    let pack = Pack::new();
    pack.message("email.html.hbs", "{{{name}}}");
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "[sms]",
        "allow_unescaped = [\"name\"]\n[sms]",
    );
    assert!(pack.open().is_ok());
}

#[test]
fn every_language_has_every_text() {
    let pack = Pack::new();
    pack.message("i18n/en.ftl", "hello = Hi\n");
    pack.message("email.html.hbs", "{{t 'hello'}}");
    assert!(
        pack.finds("i18n/missing-key", &format!("{MESSAGE}/i18n/de.ftl"))
            .message
            .contains("hello")
    );
    pack.message("i18n/de.ftl", "hello = Hallo { $name }\n");
    pack.finds(
        "i18n/placeholder-mismatch",
        &format!("{MESSAGE}/i18n/de.ftl"),
    );
    pack.message("i18n/de.ftl", "hello = Hallo\n");
    pack.open().unwrap_or_else(|error| panic!("{error}"));
    pack.body_finds("{{t 'greeting'}}", "i18n/placeholder-mismatch");
    pack.body_finds("{{t name}}", "i18n/missing-key");
    pack.message("i18n/de.ftl", "hello = Hallo\nbroken = { $\n");
    assert_eq!(
        pack.finds("syntax/fluent", &format!("{MESSAGE}/i18n/de.ftl"))
            .line,
        2
    );
}

#[test]
fn marketing_without_a_way_out_is_refused() {
    let pack = Pack::new();
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "transactional",
        "marketing",
    );
    pack.replace(
        "policy.toml",
        "category = \"transactional\"",
        "category = \"marketing\"",
    );
    pack.replace("policy.toml", "opt_in = false", "opt_in = true");
    pack.finds(
        "email/missing-unsubscribe",
        &format!("{MESSAGE}/email.html.hbs"),
    );
}

#[test]
fn the_limits_of_each_channel_hold() {
    let bundle = Pack::new().open().unwrap().live();
    let with = |note: &str| json!({"name": "Ada", "note": note});
    assert!(fill(&bundle, Channel::Sms, "en", &with(&"a".repeat(156))).is_ok());
    let error = fill(&bundle, Channel::Sms, "en", &with(&"a".repeat(157))).unwrap_err();
    assert!(
        error.sentence.contains("2 segments") && !error.sentence.contains("aaa"),
        "{error}"
    );
    assert!(fill(&bundle, Channel::Sms, "en", &with(&"ç".repeat(80))).is_err());
    let chat = text(fill(&bundle, Channel::Chat, "en", &with(&"word ".repeat(1_000))).unwrap());
    assert!(
        chat.chars().count() <= 2_000 && chat.ends_with("word…"),
        "{}",
        chat.len()
    );
    let name = |name: &str| json!({"name": name});
    assert!(fill(&bundle, Channel::Email, "en", &name(&"x".repeat(249))).is_ok());
    assert!(
        fill(&bundle, Channel::Email, "en", &name(&"x".repeat(250)))
            .unwrap_err()
            .sentence
            .contains("255")
    );
    let Content::Email { subject, .. } = fill(
        &bundle,
        Channel::Email,
        "en",
        &name("a\r\nBcc: b\u{202e}c\u{0}"),
    )
    .unwrap() else {
        panic!("not a mail")
    };
    assert_eq!(subject, "Hello a Bcc: bc");
    let pack = Pack::new();
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "{{t 'greeting' name=name}}",
        "{{name}}",
    );
    let bundle = pack.open().unwrap().live();
    let error = fill(&bundle, Channel::Email, "en", &name("\u{202e}\n")).unwrap_err();
    assert_eq!(
        (error.file.as_str(), error.line),
        ("messages/note/hello/message.toml", 9)
    );
    assert!(error.sentence.contains("empty"), "{error}");
    let big = json!({"name": "x", "note": "y".repeat(3 * 1024 * 1024)});
    assert!(
        fill(&bundle, Channel::Email, "en", &big)
            .unwrap_err()
            .sentence
            .contains("2 MiB")
    );
}

#[test]
fn helpers_write_for_the_reader() {
    let pack = Pack::new();
    pack.message(
        "chat.md.hbs",
        "{{#if amount}}{{money amount 'BRL'}} {{/if}}{{#if on}}{{date on 'long'}} {{time on}} {{formatDate on 'YYYY-MM-DD'}} {{/if}}{{#if count}}{{number count}} {{#greaterThan count 5}}many{{else}}few{{/greaterThan}} {{/if}}{{#if link}}[x]({{url link}}){{/if}}{{name}}",
    );
    pack.message(
        "sms.txt.hbs",
        "{{#if amount}}{{money amount 'EUR'}}{{/if}}{{name}}",
    );
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let full = json!({"name": "_N_", "amount": "1299.00", "on": "2026-11-23T01:30:00Z", "count": 12_345, "link": "https://x.example/a_(b)?c=d"});
    let chat = text(fill(&bundle, Channel::Chat, "de", &full).unwrap()).replace('\u{a0}', " ");
    // 01:30 in London is the evening before in São Paulo.
    assert_eq!(
        chat,
        "1.299,00 R$ 22. November 2026 22:30 2026-11-22 12.345 many [x](https://x.example/a_%28b%29?c=d)\\_N\\_"
    );
    let sms = text(fill(&bundle, Channel::Sms, "de", &full).unwrap());
    assert_eq!(
        sms, "1.299,00 €_N_",
        "an unbreakable space would make it UCS-2"
    );
    for (field, value) in [
        ("amount", "12 EUR"),
        ("on", "tomorrow"),
        ("link", "javascript:x"),
    ] {
        let mut wrong = full.clone();
        wrong[field] = json!(value);
        let error = fill(&bundle, Channel::Chat, "en", &wrong).unwrap_err();
        assert!(
            error.line == 1 && error.sentence.contains(field) && !error.sentence.contains(value),
            "{error}"
        );
    }
}

#[test]
fn a_locale_and_a_variant_may_have_their_own_file() {
    let pack = Pack::new();
    pack.message("sms.de.txt.hbs", "eigens {{name}}");
    pack.message("variants/b/sms.txt.hbs", "b {{name}}");
    pack.replace(
        &format!("{MESSAGE}/message.toml"),
        "[fallbacks]",
        "[[variants]]\nname = \"b\"\nweight = 1\n[fallbacks]",
    );
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    let sms = |locale: &str, variant: &str| mail::say(&bundle, Channel::Sms, locale, variant);
    assert_eq!(
        (sms("en", ""), sms("de", ""), sms("en", "b")),
        ("N".into(), "eigens N".into(), "b N".into())
    );
}

#[test]
fn a_broken_change_never_replaces_a_good_one() {
    let pack = Pack::new();
    let catalog = pack.open().unwrap();
    let first = catalog.live();
    assert!(!catalog.reload().unwrap(), "nothing has changed");

    pack.message("chat.md.hbs", "ok\n  {{nmae}}\n");
    let error = catalog.reload().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("messages/note/hello/chat.md.hbs:2:"),
        "{error}"
    );
    assert_eq!(catalog.live().id(), first.id());
    assert!(!catalog.reload().unwrap(), "the same fault is told once");

    pack.message("chat.md.hbs", "better {{name}}\n");
    assert!(catalog.reload().unwrap());
    let second = catalog.live();
    assert_ne!(second.id(), first.id());
    assert_eq!(
        text(fill(&second, Channel::Chat, "en", &json!({"name": "N"})).unwrap()),
        "better N"
    );
    // What was pinned to the first still reads as it did.
    let pinned = catalog.bundle(first.id()).unwrap();
    assert_eq!(
        text(fill(&pinned, Channel::Chat, "en", &json!({"name": "N"})).unwrap()),
        "**N**"
    );

    // A new policy needs no new bundle.
    pack.replace("policy.toml", "max = 2", "max = 5");
    assert!(catalog.reload().unwrap());
    assert_eq!(
        (catalog.live().id(), catalog.policy().budgets[0].max),
        (second.id(), 5)
    );

    pack.write("policy.toml", "version =");
    assert!(catalog.reload().is_err());
    assert_eq!(catalog.policy().budgets[0].max, 5);
}

//! Pictures: what may be one, and that a mail names the one it was made with.

use serde_json::json;
use tidings::domain::channel::Channel;

use super::{MESSAGE, Pack, fill, text};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n one";

fn pack() -> Pack {
    let pack = Pack::new();
    pack.replace(
        "shop.toml",
        "[links]",
        "[assets]\nbase_url = \"https://pictures.example/mail/\"\n[links]",
    );
    pack.write("assets/icons/tick.png", PNG);
    pack.message(
        "email.html.hbs",
        "{{#> layout}}<img src=\"{{asset 'icons/tick.png'}}\" alt=\"{{name}}\">{{/layout}}",
    );
    pack
}

fn html(pack: &Pack) -> String {
    let bundle = pack.open().unwrap_or_else(|error| panic!("{error}")).live();
    text(fill(&bundle, Channel::Email, "en", &json!({"name": "Ada"})).unwrap())
}

#[test]
fn a_picture_has_its_hash_in_its_name() {
    let pack = pack();
    let first = html(&pack);
    let start = "<img src=\"https://pictures.example/mail/icons/tick.";
    let at = first.find(start).unwrap_or_else(|| panic!("{first}")) + start.len();
    let (digits, rest) = first[at..].split_at(12);
    assert!(
        digits.bytes().all(|b| b.is_ascii_hexdigit()) && rest.starts_with(".png\" alt=\"Ada\""),
        "{first}"
    );

    let catalog = pack.open().unwrap();
    let bundle = catalog.live();
    let published: Vec<_> = bundle.assets().collect();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].0, format!("icons/tick.{digits}.png"));
    assert_eq!(published[0].1.as_ref(), PNG);

    // Another picture is another name and another bundle; the stored bundle still says the old one.
    let archive = bundle.archive();
    pack.write("assets/icons/tick.png", b"\x89PNG\r\n\x1a\n two");
    assert!(catalog.reload().unwrap());
    assert_ne!(catalog.live().id(), bundle.id());
    assert!(!html(&pack).contains(digits));
    let adopted = super::Pack::new().open().unwrap().adopt(&archive).unwrap();
    assert_eq!(adopted.id(), bundle.id());
    assert_eq!(
        text(fill(&adopted, Channel::Email, "en", &json!({"name": "Ada"})).unwrap()),
        first
    );
    assert_eq!(adopted.assets().count(), 0);
    assert!(archive.len() < 40_000, "pictures are not in the archive");
}

#[test]
fn what_is_no_picture_for_mail_is_refused() {
    for (path, bytes, rule) in [
        ("assets/a.svg", &b"<svg onload=\"x\"/>"[..], "asset/type"),
        ("assets/a.webp", b"RIFF", "asset/type"),
        ("assets/a.PNG", PNG, "asset/type"),
        ("assets/a.html", b"<p>", "asset/type"),
        ("assets/a", b"x", "asset/type"),
        ("assets/a.png", b"<script>", "asset/type"),
        ("assets/a.jpg", PNG, "asset/type"),
        ("assets/a b.png", PNG, "file/name"),
    ] {
        let pack = pack();
        pack.write(path, bytes);
        pack.finds(rule, path);
    }
    let pack = self::pack();
    pack.write("assets/icons/TICK.png", PNG);
    pack.finds("file/case", "assets/icons/tick.png");
    let pack = self::pack();
    let mut large = PNG.to_vec();
    large.resize(1024 * 1024, 0);
    pack.write("assets/large.png", &large);
    pack.open().unwrap_or_else(|error| panic!("{error}"));
    large.push(0);
    pack.write("assets/large.png", &large);
    pack.finds("limit/size", "assets/large.png");
    large.pop();
    for n in 0..32 {
        pack.write(&format!("assets/large{n}.png"), &large);
    }
    std::fs::remove_file(pack.at("assets/large.png")).unwrap();
    let error = pack.open().unwrap_err().to_string();
    assert!(error.contains("together are larger than 32 MiB"), "{error}");
}

#[test]
fn a_picture_is_named_where_it_can_be_found() {
    let body = format!("{MESSAGE}/email.html.hbs");
    for (tag, sentence) in [
        (
            "<img src=\"{{asset 'icons/tik.png'}}\" alt=\"\">",
            "Did you mean \"icons/tick.png\"",
        ),
        ("<img src=\"{{asset name}}\" alt=\"\">", "in quotes"),
    ] {
        let pack = pack();
        pack.message("email.html.hbs", tag);
        let found = pack.finds("asset/missing", &body);
        assert!(
            found.message.contains(sentence) && found.line == 1,
            "{found}"
        );
    }
    for (from, to) in [
        (
            "[assets]\nbase_url = \"https://pictures.example/mail/\"\n",
            "",
        ),
        ("https://pictures", "http://pictures"),
        ("https://pictures", "//pictures"),
    ] {
        let pack = pack();
        pack.replace("shop.toml", from, to);
        pack.finds("shop/value", "shop.toml");
    }
    #[cfg(unix)]
    {
        let pack = pack();
        std::os::unix::fs::symlink("/etc/passwd", pack.at("assets/p.png")).unwrap();
        pack.finds("file/symlink", "assets/p.png");
    }
}

#[test]
fn the_command_writes_pictures_under_their_public_names() {
    let pack = pack();
    let out = tempfile::tempdir().unwrap();
    let run = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["templates", "assets"])
            .arg(pack.folder.path())
            .arg("--out")
            .arg(out.path().join("public"))
            .output()
            .unwrap()
    };
    let first = run();
    assert!(first.status.success(), "{first:?}");
    let html = html(&pack);
    let name = html
        .split("/mail/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(
        std::fs::read(out.path().join("public").join(name)).unwrap(),
        PNG
    );
    assert!(
        String::from_utf8_lossy(&first.stdout).contains(name),
        "{first:?}"
    );
    assert!(run().status.success(), "again");
    pack.write("assets/bad.png", "no picture");
    let refused = run();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("assets/bad.png"),
        "{refused:?}"
    );
}

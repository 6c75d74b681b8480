//! The section of `docs/operators.md` on who may call, followed word for word: only the folder and the ports are others.

use std::fs;
use std::process::Command;

use crate::binary::Binary;
use crate::pki::Pki;
use crate::program::program;
use crate::skip::root;

/// The section's fenced blocks, in order: language and text.
fn blocks() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs/operators.md")).unwrap();
    let (_, section) = text.split_once("\n## Who may call\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap())
        .map(|(language, text)| (language.to_owned(), text.to_owned()))
        .collect()
}

#[test]
fn the_guide_on_callers_works_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    // Says that it is skipped without openssl.
    let apart = tempfile::tempdir().unwrap();
    if Pki::new(apart.path()).is_none() {
        return;
    }
    let shell = |script: &str| {
        let tidings = program();
        let path = std::path::Path::new(tidings.get_program())
            .parent()
            .unwrap();
        let searched = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-ec", &script.replace("/etc/tidings", here)])
            .env("PATH", searched)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{script}\n{told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut binary: Option<Binary> = None;
    let mut hash = String::new();
    let mut said = String::new();
    for (language, text) in blocks() {
        match language.as_str() {
            "toml" => {
                let noughts = format!("sha256:{}", "0".repeat(64));
                assert!(text.contains(&noughts));
                let settings = text
                    .replace(&noughts, &hash)
                    .replace("/etc/tidings", here)
                    .replace("0.0.0.0:50051", "0.0.0.0:0");
                let file = format!("{here}/tidings.toml");
                fs::write(&file, settings).unwrap();
                let data = format!("{here}/data");
                let ours = [
                    ("TIDINGS_STORE__PATH", data.as_str()),
                    ("TIDINGS_SERVER__CONSOLE_ADDRESS", "127.0.0.1:0"),
                ];
                binary = Some(Binary::start(&["serve", "--config", &file], &ours));
            }
            _ => {
                let port = binary
                    .as_ref()
                    .map_or("50051", |binary| binary.grpc.rsplit(':').next().unwrap());
                said = shell(&text.replace(":50051", &format!(":{port}")));
                if let Some((_, printed)) = said.split_once("hash\t") {
                    printed.trim_end().clone_into(&mut hash);
                }
            }
        }
    }
    assert!(hash.starts_with("sha256:"), "{hash}");
    // What was sent, and behind it no line of the other caller's list.
    let names: Vec<_> = said
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(names, ["notification", "state", "request"], "{said}");
    assert_eq!(binary.unwrap().terminate(), Some(0));
}

//! What the documents say is what the code does, where that can be checked.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;
use tidings::cli::Cli;
use tidings::config::{Config, DEFAULT_TOML};
use tidings::domain::decision::Rule;
use tidings::domain::reason::Reason;

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn callers_find_every_reason_and_rule() {
    let text = document("docs/callers.md");
    for reason in Reason::ALL {
        let row = format!("| {reason} | {} | {} |", reason.state(), reason.sentence());
        assert!(text.contains(&row), "docs/callers.md lacks {row}");
    }
    let told = |rule: &Rule| {
        matches!(
            rule,
            Rule::Schema | Rule::Cancel | Rule::Render | Rule::Choice
        )
    };
    for rule in Rule::ALL.iter().filter(|rule| !told(rule)) {
        assert!(
            text.contains(&format!("`{rule}`")),
            "docs/callers.md lacks the rule {rule}"
        );
    }
}

/// An invariant that names a test which is not there promises nothing.
#[test]
fn the_architecture_names_tests_that_exist() {
    let text = document("ARCHITECTURE.md");
    assert!(text.lines().count() < 150);
    let mut named = 0;
    for word in text
        .split('`')
        .filter(|word| word.starts_with("tests/") || word.starts_with("src/decide/tests"))
    {
        let (file, function) = word.split_once("::").unwrap_or((word, ""));
        let code = document(file);
        assert!(
            code.contains(&format!("fn {function}")),
            "{file} has no test {function}"
        );
        named += 1;
    }
    assert!(named >= 9, "only {named} tests are named");
}

/// A figure without its meaning is a number.
#[test]
fn every_part_of_the_bench_is_explained() {
    use clap::ValueEnum as _;
    let text = document("docs/benchmarks.md");
    for part in tidings::cli::BenchPart::value_variants() {
        let name = part.to_possible_value().unwrap();
        let row = format!("| `{}` |", name.get_name());
        assert!(text.contains(&row), "docs/benchmarks.md lacks {row}");
    }
}

/// What a newcomer reads and types from.
const GUIDES: [&str; 4] = [
    "README.md",
    "docs/benchmarks.md",
    "docs/callers.md",
    "docs/operators.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fenced blocks, each with its language.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language, String::new())),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some((language, block))) => open = Some((language, block + line + "\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// Text in backquotes outside of blocks.
fn spans(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Words as a shell would make them: quotes hold together, a word that starts with # begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed: {line}");
    words.extend(word);
    words
}

/// The arguments of a command line of ours, with the program's name before them.
fn ours(line: &str) -> Option<Vec<String>> {
    let rest = match line.strip_prefix("cargo run ") {
        Some(cargo) => cargo.split_once("-- ")?.1,
        None => line.strip_prefix("tidings ")?,
    };
    Some(
        std::iter::once("tidings".to_owned())
            .chain(words(rest))
            .collect(),
    )
}

/// A whole command line must parse; the bare name of a command must be one.
fn refusal(mut line: Vec<String>, bare: bool) -> Option<String> {
    let error = Cli::try_parse_from(&line).err()?;
    if bare
        && line
            .iter()
            .all(|word| word.chars().all(char::is_alphabetic))
    {
        line.push("--help".to_owned());
        let help = Cli::try_parse_from(&line).err();
        return help
            .filter(|error| error.kind() != ErrorKind::DisplayHelp)
            .map(|error| error.to_string());
    }
    Some(error.to_string())
}

#[test]
fn every_command_line_in_the_guides_can_be_typed() {
    let mut seen = 0;
    for guide in GUIDES {
        let text = document(guide);
        let typed = blocks(&text)
            .into_iter()
            .filter(|(language, _)| language.is_empty())
            .flat_map(|(_, block)| block.lines().map(str::to_owned).collect::<Vec<_>>());
        let told = spans(&text).into_iter().map(|span| (span, true));
        for (line, bare) in typed.map(|line| (line, false)).chain(told) {
            if let Some(command) = ours(&line) {
                seen += 1;
                if let Some(refusal) = refusal(command, bare) {
                    panic!("{guide}: {line}\n{refusal}");
                }
            }
        }
    }
    assert!(seen >= 9, "only {seen} command lines were found");
    // It would see what is wrong.
    for wrong in [
        "tidings fly",
        "tidings send order.shipped",
        "cargo run --release -- dev --no-such",
    ] {
        assert!(refusal(ours(wrong).unwrap(), false).is_some(), "{wrong}");
    }
    assert!(refusal(ours("tidings fly").unwrap(), true).is_some());
}

/// Sections and settings of the default file, those in its commented examples too, providers without their name.
fn settings() -> BTreeSet<String> {
    let mut section = String::new();
    let mut known = BTreeSet::new();
    for line in DEFAULT_TOML.lines() {
        let line = line.strip_prefix("#   ").unwrap_or(line);
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ")
            && !line.starts_with('#')
        {
            known.insert(format!("{section}.{key}"));
        }
    }
    known
}

/// A setting that a document names is one, with the value it says where it says one.
#[test]
fn settings_in_the_guides_are_settings() {
    let known = settings();
    assert!(
        known.contains("store.max_size") && known.contains("providers.smtp.main.host"),
        "{known:?}"
    );
    let sections: BTreeSet<&str> = known
        .iter()
        .filter_map(|path| path.split('.').next())
        .collect();
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    let mut seen = BTreeSet::new();
    for guide in GUIDES {
        let text = document(guide);
        for span in spans(&text) {
            let path = if let Some(name) = span
                .strip_prefix("TIDINGS_")
                .filter(|name| name.contains("__"))
            {
                name.split('=')
                    .next()
                    .unwrap()
                    .replace("__", ".")
                    .to_lowercase()
            } else if span.chars().all(is_word) && !span.ends_with(".toml") {
                span.clone()
            } else {
                continue;
            };
            let section = path.split('.').next().unwrap();
            if path == "section.key" || !path.contains('.') || !sections.contains(section) {
                continue;
            }
            assert!(
                known.contains(&path),
                "{guide} names {span}, which is no setting"
            );
            seen.insert(path);
        }
    }
    assert!(
        seen.contains("store.path") && seen.contains("server.grpc_address"),
        "{seen:?}"
    );
    // A value that is said beside a setting is its default.
    let operators = document("docs/operators.md");
    let path = Config::defaults().unwrap().store.path;
    assert!(operators.contains(&format!("`store.path` (`{}`;", path.display())));
}

/// Each block of settings loads as a configuration of its own, once its secrets are there.
#[test]
fn settings_in_blocks_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let file = folder.path().join("tidings.toml");
    let mut kinds = BTreeSet::new();
    for guide in GUIDES {
        for (_, block) in blocks(&document(guide))
            .into_iter()
            .filter(|(language, _)| *language == "toml")
        {
            kinds.extend(
                block
                    .lines()
                    .filter(|line| line.starts_with('['))
                    .map(str::to_owned),
            );
            // Certificates have to be real ones; `tests/identity/guide.rs` follows that section word for word.
            if block.contains("[server.tls]") {
                continue;
            }
            let named = block
                .split('"')
                .filter(|value| value.starts_with("/etc/tidings/"));
            let here = named.fold(block.clone(), |text, name| {
                text.replace(name, secret.to_str().unwrap())
            });
            std::fs::write(&file, here).unwrap();
            if let Err(error) = Config::load(Some(&file), std::iter::empty()) {
                panic!("{guide}:\n{block}\n{error}");
            }
        }
    }
    let wanted = [
        "[callers.invoices]",
        "[callers.orders]",
        "[providers.discord.main]",
        "[providers.smtp.main]",
        "[providers.twilio.main]",
        "[queue.rabbitmq]",
        "[queue]",
        "[server.tls]",
        "[server]",
        "[store.postgres]",
        "[store]",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
}

#[test]
fn every_path_and_link_in_the_guides_leads_somewhere() {
    let top: BTreeSet<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut seen = 0;
    for guide in GUIDES {
        let text = document(guide);
        let beside = root().join(guide).parent().unwrap().to_owned();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(beside.join(target).exists(), "{guide} links to {target}");
                seen += 1;
            }
        }
        let typed = blocks(&text)
            .into_iter()
            .flat_map(|(_, block)| words_of(&block));
        for word in spans(&text)
            .iter()
            .flat_map(|span| words_of(span))
            .chain(typed)
        {
            // What a build or a setup makes is not there yet.
            let first = word.split('/').next().unwrap();
            if word.contains('/')
                && top.contains(first)
                && !["target", ".venv", ".tools"].contains(&first)
            {
                assert!(root().join(&word).exists(), "{guide} names {word}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 12, "only {seen} paths were found");
}

/// Words that may be paths.
fn words_of(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || "'\"(),;".contains(c))
        .map(|word| word.trim_end_matches('.').to_owned())
        .collect()
}

//! What the documents say is what the code does, where that can be checked.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::path::Path;

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

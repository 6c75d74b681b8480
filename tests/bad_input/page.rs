//! `docs/bad-input.md` names tests that exist, and has every row it promises.

use std::collections::BTreeSet;

use crate::skip::root;

#[test]
fn every_row_is_there_and_names_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("docs/bad-input.md")).unwrap();
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let Some(number) = line[2..]
            .split(" |")
            .next()
            .and_then(|cell| cell.parse::<u32>().ok())
        else {
            continue;
        };
        // What is done about one of them may take several rows.
        rows.insert(number);
        let tests: Vec<&str> = line
            .split('`')
            .filter(|word| word.starts_with("tests/"))
            .collect();
        assert!(!tests.is_empty(), "row {number} names no test");
        for test in tests {
            let (file, function) = test.split_once("::").unwrap();
            let code = std::fs::read_to_string(root().join(file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            let found = code.split(&format!("fn {function}(")).collect::<Vec<_>>();
            assert_eq!(found.len(), 2, "{file} has no one test {function}");
            assert!(
                found[0]
                    .trim_end_matches("async ")
                    .trim_end()
                    .ends_with(']'),
                "{function} is no test"
            );
        }
    }
    let expected: BTreeSet<u32> = (1..=15).chain(27..=69).chain([84]).collect();
    assert_eq!(rows, expected);
}

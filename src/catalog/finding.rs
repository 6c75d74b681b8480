//! What is wrong with a template repository: where, by which rule, and what to do about it.
//!
//! Findings are for the people who write templates, so each names a file, a line, a column and the change that helps.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file inside the repository, with `/`.
    pub path: String,
    /// From 1; 0 when it is about the whole file.
    pub line: usize,
    /// From 1; 0 when it is about the whole file.
    pub column: usize,
    /// The stable id of the rule, `vars/undeclared`.
    pub rule: &'static str,
    /// A sentence: what is wrong and what to change.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

/// Why templates cannot be used: every finding, in order of file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogError {
    /// At least one.
    pub findings: Vec<Finding>,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.findings.len();
        write!(f, "the templates cannot be used, {count} ")?;
        f.write_str(if count == 1 { "finding:" } else { "findings:" })?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CatalogError {}

impl CatalogError {
    /// An error of a single finding about a whole file or folder.
    pub(crate) fn whole(
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut findings = Findings::default();
        findings.add(rule, path, Spot::WHOLE, message);
        Self {
            findings: findings.0,
        }
    }
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Spot {
    /// About the whole file.
    pub(crate) const WHOLE: Self = Self { line: 0, column: 0 };

    /// Where a byte offset lies in a text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let column = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: column.chars().count() + 1,
        }
    }

    /// The byte offset of the place in that text.
    pub(crate) fn offset(self, text: &str) -> usize {
        let line_start: usize = text
            .split_inclusive('\n')
            .take(self.line.saturating_sub(1))
            .map(str::len)
            .sum();
        let line = text.get(line_start..).unwrap_or_default();
        let column: usize = line
            .chars()
            .take(self.column.saturating_sub(1))
            .map(char::len_utf8)
            .sum();
        line_start + column
    }
}

/// Collects findings; the same thing is told once.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// No more are kept than a person would read.
    const MAX: usize = 200;

    pub(crate) fn add(
        &mut self,
        rule: &'static str,
        path: impl Into<String>,
        spot: Spot,
        message: impl Into<String>,
    ) {
        let finding = Finding {
            path: path.into(),
            line: spot.line,
            column: spot.column,
            rule,
            message: message.into(),
        };
        if self.0.len() < Self::MAX && !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// What was found, in the order of finding.
    pub(crate) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.0)
    }

    /// Nothing was found, or the error.
    pub(crate) fn check(&mut self) -> Result<(), CatalogError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut findings = std::mem::take(&mut self.0);
        findings.sort();
        Err(CatalogError { findings })
    }
}

/// ` Did you mean "x"?`, when one of the known words is near; else nothing.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!(" Did you mean {candidate:?}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_counts_lines_and_characters_from_one() {
        let text = "a\nbä c\n";
        assert_eq!(Spot::of(text, 0), Spot { line: 1, column: 1 });
        assert_eq!(Spot::of(text, 5), Spot { line: 2, column: 3 });
        assert_eq!(Spot::of(text, 999), Spot { line: 3, column: 1 });
    }

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let error = CatalogError::whole("file/name", "messages/x", "rename it");
        assert_eq!(
            error.to_string(),
            "the templates cannot be used, 1 finding:\n  messages/x: rename it [file/name]"
        );
        assert_eq!(
            nearest("catgory", ["category", "topic"]),
            " Did you mean \"category\"?"
        );
        assert_eq!(nearest("zzz", ["category"]), "");
    }
}

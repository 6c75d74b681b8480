//! The words of a message in one language: Project Fluent files, a message's own before the shared ones, a region's
//! (`pt-BR`) before its language's (`pt`).
//!
//! Fluent is the one translators' tools know, it selects plurals by the rules of CLDR, and its arguments are values:
//! nothing in a variable is ever read as Fluent. Isolation marks are off, because an SMS would become UCS-2 by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Message, Pattern, PatternElement};
use serde_json::Value;

use super::finding::{Findings, Spot};
use super::source::Files;

/// All the words of one message in one locale.
pub(crate) struct Words {
    bundle: FluentBundle<Arc<FluentResource>>,
    resources: Vec<Arc<FluentResource>>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Words({:?})", self.bundle.locales)
    }
}

/// The parsed files of the repository, so that a shared one is parsed once.
#[derive(Default)]
pub(crate) struct Dictionary(BTreeMap<String, Arc<FluentResource>>);

impl Dictionary {
    /// Parses every `.ftl`; what is wrong is added to the findings.
    pub(crate) fn read(files: &Files, findings: &mut Findings) -> Self {
        let mut parsed = BTreeMap::new();
        for (path, text) in files
            .texts
            .iter()
            .filter(|(path, _)| path.ends_with(".ftl"))
        {
            match FluentResource::try_new(text.clone()) {
                Ok(resource) => {
                    repeated(&resource, path, text, findings);
                    parsed.insert(path.clone(), Arc::new(resource));
                }
                Err((_, errors)) => {
                    for error in errors {
                        findings.add(
                            "syntax/fluent",
                            path,
                            Spot::of(text, error.pos.start),
                            format!("{error}."),
                        );
                    }
                }
            }
        }
        Self(parsed)
    }

    /// The words of the message in `folder`.
    pub(crate) fn words(&self, folder: &str, locale: &str) -> Words {
        let language = locale.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        bundle.set_use_isolating(false);
        let mut resources = Vec::new();
        let general = locale.split('-').next().unwrap_or(locale);
        let mut paths = vec![
            format!("i18n/{general}.ftl"),
            format!("i18n/{locale}.ftl"),
            format!("{folder}/i18n/{general}.ftl"),
            format!("{folder}/i18n/{locale}.ftl"),
        ];
        paths.dedup();
        for path in paths {
            if let Some(resource) = self.0.get(&path) {
                bundle.add_resource_overriding(Arc::clone(resource));
                resources.insert(0, Arc::clone(resource));
            }
        }
        Words { bundle, resources }
    }
}

fn repeated(resource: &FluentResource, path: &str, text: &str, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for entry in resource.entries() {
        if let Entry::Message(message) = entry
            && !seen.insert(message.id.name)
        {
            let start = text
                .rfind(&format!("\n{} ", message.id.name))
                .map_or(0, |at| at + 1);
            findings.add(
                "syntax/fluent",
                path,
                Spot::of(text, start),
                format!("{:?} stands twice; remove one.", message.id.name),
            );
        }
    }
}

impl Words {
    /// The text for a key.
    ///
    /// # Errors
    /// A sentence without values: the key is missing, or an argument.
    pub(crate) fn say<'a>(
        &self,
        key: &str,
        args: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<String, String> {
        let pattern = self
            .bundle
            .get_message(key)
            .and_then(|message| message.value())
            .ok_or_else(|| format!("there is no text {key:?} in this language"))?;
        let mut given = FluentArgs::new();
        for (name, value) in args {
            given.set(name.to_owned(), argument(value).ok_or_else(|| format!("the argument {name:?} of text {key:?} has no value, or is not text or a number"))?);
        }
        let mut errors = Vec::new();
        let text = self
            .bundle
            .format_pattern(pattern, Some(&given), &mut errors);
        if errors.is_empty() {
            Ok(text.into_owned())
        } else {
            Err(format!(
                "the text {key:?} lacks an argument, or refers to a text that is missing"
            ))
        }
    }

    /// The placeholders of a key; `None` when there is no such text.
    pub(crate) fn placeholders(&self, key: &str) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let pattern = self.message(key)?.value.as_ref()?;
        self.collect(pattern, &mut names, 0);
        Some(names)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<&str>> {
        self.resources
            .iter()
            .flat_map(|resource| resource.entries())
    }

    fn message(&self, key: &str) -> Option<&Message<&str>> {
        self.entries().find_map(|entry| match entry {
            Entry::Message(message) if message.id.name == key => Some(message),
            _ => None,
        })
    }

    fn collect(&self, pattern: &Pattern<&str>, names: &mut BTreeSet<String>, depth: usize) {
        if depth > 8 {
            return;
        }
        for element in &pattern.elements {
            if let PatternElement::Placeable { expression } = element {
                self.expression(expression, names, depth);
            }
        }
    }

    fn expression(
        &self,
        expression: &Expression<&str>,
        names: &mut BTreeSet<String>,
        depth: usize,
    ) {
        match expression {
            Expression::Inline(inline) => self.inline(inline, names, depth),
            Expression::Select { selector, variants } => {
                self.inline(selector, names, depth);
                for variant in variants {
                    self.collect(&variant.value, names, depth + 1);
                }
            }
        }
    }

    fn inline(&self, inline: &InlineExpression<&str>, names: &mut BTreeSet<String>, depth: usize) {
        match inline {
            InlineExpression::VariableReference { id } => {
                names.insert(id.name.to_owned());
            }
            InlineExpression::MessageReference {
                id,
                attribute: None,
            } => {
                if let Some(pattern) = self
                    .message(id.name)
                    .and_then(|message| message.value.as_ref())
                {
                    self.collect(pattern, names, depth + 1);
                }
            }
            InlineExpression::FunctionReference { arguments, .. } => {
                for argument in &arguments.positional {
                    self.inline(argument, names, depth);
                }
            }
            InlineExpression::Placeable { expression } if depth <= 8 => {
                self.expression(expression, names, depth + 1);
            }
            _ => {}
        }
    }
}

fn argument(value: &Value) -> Option<FluentValue<'static>> {
    match value {
        Value::String(text) => Some(FluentValue::from(text.clone())),
        Value::Bool(yes) => Some(FluentValue::from(yes.to_string())),
        Value::Number(number) => number
            .as_i64()
            .map(FluentValue::from)
            .or_else(|| number.as_f64().map(FluentValue::from)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(locale: &str, shared: &str, own: &str) -> Words {
        let mut files = Files::default();
        files
            .texts
            .insert(format!("i18n/{locale}.ftl"), shared.into());
        files
            .texts
            .insert(format!("messages/a/i18n/{locale}.ftl"), own.into());
        let mut findings = Findings::default();
        let words = Dictionary::read(&files, &mut findings).words("messages/a", locale);
        findings.check().unwrap();
        words
    }

    fn say(words: &Words, key: &str, args: &Value) -> Result<String, String> {
        words.say(
            key,
            args.as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (k.as_str(), v)),
        )
    }

    #[test]
    fn own_words_come_before_shared_ones_and_numbers_choose_plurals() {
        let text = "days = { $days ->\n    [one] one day\n   *[other] { $days } days\n}\nhi = shared { $name }\n";
        let en = words("en", text, "hi = own { $name }\n");
        assert_eq!(say(&en, "days", &json!({"days": 1})).unwrap(), "one day");
        assert_eq!(say(&en, "days", &json!({"days": 2})).unwrap(), "2 days");
        assert_eq!(
            say(&en, "hi", &json!({"name": "{ $days }"})).unwrap(),
            "own { $days }"
        );
        // French counts 0 as one, Polish has three forms.
        let fr = words("fr", text, "");
        assert_eq!(say(&fr, "days", &json!({"days": 0})).unwrap(), "one day");
        let pl = words(
            "pl",
            "d = { $n ->\n    [one] dzień\n    [few] dni-few\n   *[many] dni\n}\n",
            "",
        );
        assert_eq!(say(&pl, "d", &json!({"n": 3})).unwrap(), "dni-few");
        assert_eq!(say(&pl, "d", &json!({"n": 5})).unwrap(), "dni");
    }

    #[test]
    fn a_missing_argument_is_an_error_without_values() {
        let en = words("en", "hi = Hi { $name }\n", "");
        assert!(say(&en, "hi", &json!({})).is_err());
        assert!(say(&en, "hi", &json!({"name": null})).is_err());
        assert!(say(&en, "no", &json!({})).unwrap_err().contains("\"no\""));
        assert_eq!(
            en.placeholders("hi").unwrap(),
            BTreeSet::from(["name".to_owned()])
        );
        assert!(en.placeholders("no").is_none());
    }
}

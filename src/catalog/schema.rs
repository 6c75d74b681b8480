//! The variables of a message: JSON Schema 2020-12, checked at accept, and asked which paths it declares.
//!
//! Descriptions of violations name the rule and what to change and never repeat a value: they end in callers' logs.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::finding::{Findings, Spot, nearest};
use crate::domain::intent::Variables;
use crate::domain::rejection::FieldViolation;

/// Filled by the gateway, so they cannot be declared.
pub(crate) const RESERVED: [(&str, &[&str]); 4] = [
    ("customer", &["given_name", "locale", "time_zone"]),
    (
        "shop",
        &[
            "name",
            "url",
            "support_email",
            "support_url",
            "postal_address",
        ],
    ),
    ("links", &["preferences", "unsubscribe"]),
    (
        "message",
        &[
            "id",
            "subject",
            "preheader",
            "locale",
            "category",
            "channel",
            "unsubscribe",
        ],
    ),
];
/// A caller is told this many at once.
const VIOLATIONS_MAX: usize = 20;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) value: Value,
    validator: Validator,
}

/// What a schema says of a name below one of its nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Declared<'a> {
    /// Declared, as this.
    As(&'a Value),
    /// The schema leaves it open.
    Open,
    /// Not declared.
    No,
}

impl Schema {
    /// Reads and compiles it; what is wrong is added to the findings.
    pub(crate) fn read(path: &str, text: &str, findings: &mut Findings) -> Option<Self> {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let spot = Spot {
                    line: error.line(),
                    column: error.column(),
                };
                findings.add("syntax/json", path, spot, format!("is not JSON: {error}."));
                return None;
            }
        };
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex())
            .build(&value);
        let validator = match validator {
            Ok(validator) => validator,
            Err(error) => {
                findings.add(
                    "vars/schema",
                    path,
                    Spot::WHOLE,
                    format!(
                        "is not a JSON Schema 2020-12 at {}: {error}.",
                        error.instance_path().as_str()
                    ),
                );
                return None;
            }
        };
        let declared = value.get("properties").and_then(Value::as_object);
        for (name, _) in RESERVED {
            if declared.is_some_and(|properties| properties.contains_key(name)) {
                let spot = text
                    .find(&format!("{name:?}"))
                    .map_or(Spot::WHOLE, |at| Spot::of(text, at));
                findings.add(
                    "vars/reserved",
                    path,
                    spot,
                    format!("{name:?} is filled by the gateway; give the variable another name."),
                );
            }
        }
        let required = value.get("required").and_then(Value::as_array);
        if required.is_none_or(Vec::is_empty) {
            findings.add("vars/no-required", path, Spot::WHOLE, "no variable is required; name at least one under \"required\", so that an empty call is noticed.");
        }
        Some(Self { value, validator })
    }

    /// What does not fit, with JSON pointers.
    pub(crate) fn violations(&self, variables: &Variables) -> Vec<FieldViolation> {
        let instance = Value::Object(variables.0.clone());
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(&instance).take(VIOLATIONS_MAX) {
            self.explain(&error, &mut violations);
        }
        violations.truncate(VIOLATIONS_MAX);
        violations
    }

    fn explain(&self, error: &jsonschema::ValidationError<'_>, into: &mut Vec<FieldViolation>) {
        let at = error.instance_path().as_str().to_owned();
        let mut tell =
            |field: String, description: String| into.push(FieldViolation { field, description });
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                tell(
                    format!("{at}/{}", pointer(name)),
                    "is required; add it".to_owned(),
                );
            }
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.names_at(&at);
                for name in unexpected.iter().take(VIOLATIONS_MAX) {
                    let hint = nearest(name, known.iter().copied());
                    let field: String = pointer(name).chars().take(100).collect();
                    tell(
                        format!("{at}/{field}"),
                        format!(
                            "is not a variable of this template; remove it or correct its name.{hint}"
                        ),
                    );
                }
            }
            ValidationErrorKind::Pattern { pattern } => {
                tell(at, format!("has to match the pattern {pattern}"));
            }
            ValidationErrorKind::Enum { options } => {
                tell(at, format!("has to be one of {options}"));
            }
            ValidationErrorKind::Format { format } => {
                tell(at, format!("has to be a {format} (RFC 3339 or RFC 3986)"));
            }
            _ => tell(at, error.masked_with("the value").to_string()),
        }
    }

    fn names_at(&self, pointer: &str) -> Vec<&str> {
        let mut node = &self.value;
        for part in pointer.split('/').skip(1) {
            node = match self.property(node, part) {
                Declared::As(next) => next,
                Declared::Open | Declared::No => return Vec::new(),
            };
        }
        node.get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// What the schema says of `name` below `node`.
    pub(crate) fn property<'a>(&'a self, node: &'a Value, name: &str) -> Declared<'a> {
        self.search(node, 0, &|node| {
            if let Some(found) = node
                .get("properties")
                .and_then(|properties| properties.get(name))
            {
                return Some(found);
            }
            let index = name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
            if index { node.get("items") } else { None }
        })
    }

    /// What the schema says of the members of `node`: the items of a list, or the values of a map.
    pub(crate) fn member<'a>(&'a self, node: &'a Value) -> Declared<'a> {
        self.search(node, 0, &|node| {
            node.get("items").or_else(|| {
                node.get("additionalProperties")
                    .filter(|more| more.is_object())
            })
        })
    }

    fn search<'a>(
        &'a self,
        node: &'a Value,
        depth: usize,
        find: &dyn Fn(&'a Value) -> Option<&'a Value>,
    ) -> Declared<'a> {
        if depth > 8 || !node.is_object() {
            return if node.as_bool() == Some(false) {
                Declared::No
            } else {
                Declared::Open
            };
        }
        if let Some(found) = find(node) {
            return Declared::As(found);
        }
        let mut branches: Vec<&Value> = Vec::new();
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            match reference
                .strip_prefix('#')
                .and_then(|pointer| self.value.pointer(pointer))
            {
                Some(target) => branches.push(target),
                None => return Declared::Open,
            }
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            branches.extend(
                node.get(key)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten(),
            );
        }
        branches.extend(["then", "else"].iter().filter_map(|key| node.get(key)));
        let mut open = false;
        for branch in &branches {
            match self.search(branch, depth + 1, find) {
                Declared::As(found) => return Declared::As(found),
                Declared::Open => open = true,
                Declared::No => {}
            }
        }
        // A node that says nothing of its shape is open; one that lists its properties is closed.
        let shaped = ["properties", "type", "enum", "const", "items"]
            .iter()
            .any(|key| node.get(key).is_some());
        let wide = node.get("patternProperties").is_some()
            || node
                .get("additionalProperties")
                .is_some_and(Value::is_object)
            || (node.get("type").and_then(Value::as_str) == Some("object")
                && node.get("properties").is_none()
                && branches.is_empty());
        if wide || (open && !shaped) || (!shaped && branches.is_empty()) {
            Declared::Open
        } else {
            Declared::No
        }
    }
}

fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(value: &Value) -> Schema {
        let mut findings = Findings::default();
        let schema = Schema::read("schema.json", &value.to_string(), &mut findings);
        findings.check().unwrap();
        schema.unwrap()
    }

    #[test]
    fn violations_name_the_field_and_never_the_value() {
        let schema = schema(&json!({
            "type": "object", "required": ["order"], "additionalProperties": false,
            "properties": {"order": {"type": "object", "required": ["total", "number"], "additionalProperties": false,
                "properties": {"total": {"type": "string", "pattern": "^[0-9]+$"}, "number": {"type": "string", "maxLength": 3}}}},
        }));
        let variables =
            json!({"order": {"total": "s3cret!", "numbr": "s3cret!"}, "x/y": "s3cret!"});
        let violations = schema.violations(&Variables(variables.as_object().unwrap().clone()));
        let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
        for field in ["/order/total", "/order/number", "/order/numbr", "/x~1y"] {
            assert!(fields.contains(&field), "{field} in {fields:?}");
        }
        assert!(
            violations.iter().all(|v| !v.description.contains("s3cret")),
            "{violations:?}"
        );
        assert!(
            violations
                .iter()
                .any(|v| v.description.contains("Did you mean \"number\"?"))
        );
        for wrong in [
            json!({"order": {"total": "12", "number": "s3cret!"}}),
            json!({"order": "s3cret!"}),
            json!({}),
        ] {
            let violations = schema.violations(&Variables(wrong.as_object().unwrap().clone()));
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert!(!violations[0].description.contains("s3cret"));
        }
    }

    #[test]
    fn declared_paths_are_found_through_references_and_choices() {
        let schema = schema(&json!({
            "type": "object", "required": ["a"],
            "$defs": {"money": {"type": "object", "properties": {"amount": {"type": "string"}}}},
            "properties": {
                "a": {"$ref": "#/$defs/money"},
                "b": {"oneOf": [{"type": "object", "properties": {"x": {}}}, {"type": "string"}]},
                "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
                "free": {"type": "object"},
            },
        }));
        let at = |path: &[&str]| {
            let mut node = &schema.value;
            for name in path {
                match schema.property(node, name) {
                    Declared::As(next) => node = next,
                    Declared::Open => return "open",
                    Declared::No => return "no",
                }
            }
            "yes"
        };
        assert_eq!(at(&["a", "amount"]), "yes");
        assert_eq!(at(&["a", "amont"]), "no");
        assert_eq!(at(&["b", "x"]), "yes");
        assert_eq!(at(&["b", "y"]), "no");
        assert_eq!(at(&["free", "anything"]), "open");
        assert_eq!(at(&["nothing"]), "no");
        assert_eq!(at(&["a", "amount", "deeper"]), "no");
        let Declared::As(list) = schema.property(&schema.value, "list") else {
            panic!()
        };
        assert!(matches!(schema.member(list), Declared::As(_)));
    }
}

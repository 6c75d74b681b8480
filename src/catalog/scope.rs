//! What a name in a template refers to, as far as it can be told without rendering.
//!
//! Where it cannot be told (a schema that leaves things open, a computed value) nothing is reported.

use std::collections::BTreeMap;

use handlebars::{Path, PathSeg};
use serde_json::Value;

use super::schema::{Declared, RESERVED, Schema};

/// What a path stands for.
#[derive(Debug, Clone)]
pub(crate) enum Node<'a> {
    /// The whole context.
    Root,
    /// A part of the schema.
    Declared(&'a Value),
    /// `customer`, `shop`, `links` or `message`.
    Reserved(&'static [&'static str]),
    /// Known, and not looked into.
    Known,
}

#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) this: Node<'a>,
    pub(crate) names: BTreeMap<String, Node<'a>>,
}

/// The blocks around a place, innermost last.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    schema: &'a Schema,
    pub(crate) frames: Vec<Frame<'a>>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        let root = Frame {
            this: Node::Root,
            names: BTreeMap::new(),
        };
        Self {
            schema,
            frames: vec![root],
        }
    }

    /// What `this` is here.
    pub(crate) fn this(&self) -> Node<'a> {
        self.frames
            .last()
            .map_or(Node::Known, |frame| frame.this.clone())
    }

    /// What the path refers to, or the name that nobody declares.
    pub(crate) fn resolve(&self, path: &Path) -> Result<Node<'a>, String> {
        let Path::Relative((segments, raw)) = path else {
            return Ok(Node::Known);
        };
        let names: Vec<&str> = segments
            .iter()
            .filter_map(|segment| match segment {
                PathSeg::Named(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let ups = raw.matches("../").count();
        let mut names = names.into_iter();
        let mut node = if raw.starts_with("@root") {
            Node::Root
        } else if ups > 0 {
            let index = self.frames.len().saturating_sub(ups + 1);
            self.frames
                .get(index)
                .map_or(Node::Known, |frame| frame.this.clone())
        } else {
            self.this()
        };
        let mut walked = String::new();
        let mut first = true;
        for name in names.by_ref() {
            walked.push_str(if walked.is_empty() { "" } else { "." });
            walked.push_str(name);
            let given = first.then(|| self.given(name)).flatten();
            first = false;
            node = match given {
                Some(node) => node,
                None => self.step(&node, name).ok_or_else(|| walked.clone())?,
            };
        }
        Ok(node)
    }

    /// A block parameter or an argument of a partial.
    fn given(&self, name: &str) -> Option<Node<'a>> {
        self.frames
            .iter()
            .rev()
            .find_map(|frame| frame.names.get(name).cloned())
    }

    fn step(&self, node: &Node<'a>, name: &str) -> Option<Node<'a>> {
        match node {
            Node::Known => Some(Node::Known),
            Node::Reserved(fields) => fields.contains(&name).then_some(Node::Known),
            Node::Root => match RESERVED.iter().find(|(reserved, _)| *reserved == name) {
                Some((_, fields)) => Some(Node::Reserved(fields)),
                None => declared(self.schema.property(&self.schema.value, name)),
            },
            Node::Declared(value) => declared(self.schema.property(value, name)),
        }
    }

    /// What `each` gives its block.
    pub(crate) fn member(&self, node: &Node<'a>) -> Node<'a> {
        match node {
            Node::Declared(value) => declared(self.schema.member(value)).unwrap_or(Node::Known),
            Node::Root | Node::Reserved(_) | Node::Known => Node::Known,
        }
    }

    /// The names that could have been meant at the outermost level.
    pub(crate) fn known_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.schema.value, "", 0, &mut names);
        for (reserved, fields) in RESERVED {
            names.extend(fields.iter().map(|field| format!("{reserved}.{field}")));
        }
        names
    }
}

fn declared(declared: Declared<'_>) -> Option<Node<'_>> {
    match declared {
        Declared::As(value) => Some(Node::Declared(value)),
        Declared::Open => Some(Node::Known),
        Declared::No => None,
    }
}

fn collect(node: &Value, prefix: &str, depth: usize, names: &mut Vec<String>) {
    if depth > 4 || names.len() > 200 {
        return;
    }
    for (name, inner) in node
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        collect(inner, &path, depth + 1, names);
        names.push(path);
    }
}

//! Reading the templates of one message, with every partial in its place, against schema, helpers and words.
//!
//! It runs after `shape`, so it meets no cycle and no endless chain. It renders nothing.

use std::collections::{BTreeMap, BTreeSet};

use handlebars::Handlebars;
use handlebars::Template;
use handlebars::template::{
    BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement,
};
use serde_json::Value;

use super::assets::Assets;
use super::finding::{Findings, Spot, nearest};
use super::helpers;
use super::schema::Schema;
use super::scope::{Frame, Node, Scope};
use super::shape::PARTIAL_BLOCK;

/// A use of `{{t 'key' …}}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) key: String,
    pub(crate) args: BTreeSet<String>,
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

pub(crate) struct Walk<'a> {
    registry: &'a Handlebars<'a>,
    path_of: &'a dyn Fn(&str) -> (String, Spot),
    allow_unescaped: &'a [String],
    assets: &'a Assets,
    scope: Scope<'a>,
    /// The file that is being read, and where in another file it starts (a subject inside a manifest).
    file: (String, Spot),
    spot: Spot,
    pub(crate) uses: BTreeSet<Use>,
    findings: &'a mut Findings,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        registry: &'a Handlebars<'a>,
        path_of: &'a dyn Fn(&str) -> (String, Spot),
        schema: &'a Schema,
        allow_unescaped: &'a [String],
        assets: &'a Assets,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            registry,
            path_of,
            allow_unescaped,
            assets,
            scope: Scope::new(schema),
            file: (String::new(), Spot::WHOLE),
            spot: Spot::WHOLE,
            uses: BTreeSet::new(),
            findings,
        }
    }

    /// Reads the template of that name and all it includes.
    pub(crate) fn read(&mut self, name: &str) {
        if let Some(template) = self.registry.get_template(name) {
            let before = std::mem::replace(&mut self.file, (self.path_of)(name));
            self.template(template);
            self.file = before;
        }
    }

    fn tell(&mut self, rule: &'static str, message: impl Into<String>) {
        self.findings
            .add(rule, self.file.0.clone(), self.spot, message);
    }

    fn template(&mut self, template: &'a Template) {
        for (index, element) in template.elements.iter().enumerate() {
            if let Some(mapping) = template.mapping.get(index) {
                let start = self.file.1;
                self.spot = if start.line > 0 {
                    start
                } else {
                    Spot {
                        line: mapping.0,
                        column: mapping.1,
                    }
                };
            }
            let spot = self.spot;
            self.element(element);
            self.spot = spot;
        }
    }

    fn element(&mut self, element: &'a TemplateElement) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::Expression(expression) => self.expression(expression),
            TemplateElement::HtmlExpression(expression) => {
                let path = expression.name.as_name().unwrap_or_default();
                if !self.allow_unescaped.iter().any(|allowed| allowed == path) {
                    self.tell("vars/unescaped", format!("{{{{{{{path}}}}}}} is not escaped, so a variable could bring its own HTML; write {{{{{path}}}}}, or list it in allow_unescaped of [email] when its source is trusted."));
                }
                self.expression(expression);
            }
            TemplateElement::HelperBlock(block) => self.block(block),
            TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                self.tell("syntax/handlebars", "inline partials and decorators are not supported; put the part into a file in partials/.");
            }
            TemplateElement::PartialExpression(include)
            | TemplateElement::PartialBlock(include) => self.include(include),
            _ => self.tell(
                "syntax/handlebars",
                "this kind of expression is not supported.",
            ),
        }
    }

    fn expression(&mut self, expression: &'a HelperTemplate) {
        let bare = !expression.block && expression.params.is_empty() && expression.hash.is_empty();
        match (&expression.name, bare) {
            (Parameter::Path(path), true) => {
                if helpers::is_known(path_name(path)) {
                    self.tell(
                        "helper/arguments",
                        format!(
                            "{:?} is a helper and needs a value after it.",
                            path_name(path)
                        ),
                    );
                } else {
                    self.resolve(path);
                }
            }
            (Parameter::Name(name), true) => self.tell(
                "helper/arguments",
                format!("{name:?} needs a value after it."),
            ),
            (Parameter::Literal(_), true) => {}
            _ => {
                self.call(expression);
            }
        }
    }

    /// A helper with its arguments; gives what the first argument stands for.
    fn call(&mut self, call: &'a HelperTemplate) -> Node<'a> {
        let Some(name) = call.name.as_name() else {
            self.tell(
                "helper/unknown",
                "the name of a helper is written out, not computed.",
            );
            return Node::Known;
        };
        if !helpers::is_known(name) {
            let hint = nearest(name, helpers::NAMES);
            self.tell(
                "helper/unknown",
                format!("there is no helper {name:?}.{hint}"),
            );
        } else if call.params.is_empty() {
            self.tell(
                "helper/arguments",
                format!("{name:?} needs a value after it."),
            );
        }
        let mut nodes = Vec::new();
        for parameter in &call.params {
            nodes.push(self.parameter(parameter));
        }
        for parameter in call.hash.values() {
            self.parameter(parameter);
        }
        match name {
            "t" => self.words(call),
            "asset" => self.asset(call),
            _ => {}
        }
        nodes.into_iter().next().unwrap_or(Node::Known)
    }

    fn words(&mut self, call: &HelperTemplate) {
        match call.params.first() {
            Some(Parameter::Literal(Value::String(key))) => {
                self.uses.insert(Use {
                    key: key.clone(),
                    args: call.hash.keys().cloned().collect(),
                    path: self.file.0.clone(),
                    line: self.spot.line,
                    column: self.spot.column,
                });
            }
            _ => self.tell("i18n/missing-key", "the key of a text is written out in quotes, {{t 'key'}}, so that every language can be checked for it."),
        }
    }

    fn asset(&mut self, call: &HelperTemplate) {
        let Some(Parameter::Literal(Value::String(name))) = call.params.first() else {
            return self.tell("asset/missing", "the name of a picture is written out in quotes, {{asset 'logo.png'}}, so that it can be looked for.");
        };
        if self.assets.public_name(name).is_none() {
            let hint = nearest(name, self.assets.names());
            self.tell(
                "asset/missing",
                format!("there is no picture assets/{name}.{hint}"),
            );
        }
    }

    fn parameter(&mut self, parameter: &'a Parameter) -> Node<'a> {
        match parameter {
            Parameter::Path(path) => self.resolve(path),
            Parameter::Subexpression(inner) => {
                if let TemplateElement::Expression(call) = inner.as_element() {
                    self.call(call);
                }
                Node::Known
            }
            _ => Node::Known,
        }
    }

    fn resolve(&mut self, path: &handlebars::Path) -> Node<'a> {
        match self.scope.resolve(path) {
            Ok(node) => node,
            Err(name) => {
                let known = self.scope.known_names();
                let hint = nearest(&name, known.iter().map(String::as_str));
                self.tell("vars/undeclared", format!("the variable {name:?} is not in schema.json; add it there or correct its name.{hint}"));
                Node::Known
            }
        }
    }

    fn block(&mut self, block: &'a HelperTemplate) {
        let node = self.call(block);
        let frame = match block.name.as_name() {
            Some("each") => {
                let member = self.scope.member(&node);
                Some(Frame {
                    names: params(block, &member),
                    this: member,
                })
            }
            Some("with") => Some(Frame {
                names: params(block, &node),
                this: node,
            }),
            _ => None,
        };
        let pushed = frame.is_some();
        self.scope.frames.extend(frame);
        if let Some(inner) = &block.template {
            self.template(inner);
        }
        if pushed {
            self.scope.frames.pop();
        }
        if let Some(inverse) = &block.inverse {
            self.template(inverse);
        }
    }

    fn include(&mut self, include: &'a DecoratorTemplate) {
        let Some(name) = include.name.as_name() else {
            return;
        };
        let given = include
            .params
            .first()
            .map(|parameter| self.parameter(parameter));
        let names: BTreeMap<_, _> = include
            .hash
            .iter()
            .map(|(key, parameter)| (key.clone(), self.parameter(parameter)))
            .collect();
        if name == PARTIAL_BLOCK {
            return;
        }
        let this = given.unwrap_or_else(|| self.scope.this());
        self.scope.frames.push(Frame { this, names });
        if let Some(content) = &include.template {
            self.template(content);
        }
        let spot = self.spot;
        self.read(name);
        self.spot = spot;
        self.scope.frames.pop();
    }
}

fn path_name(path: &handlebars::Path) -> &str {
    match path {
        handlebars::Path::Relative((_, raw)) | handlebars::Path::Local((_, _, raw)) => raw,
    }
}

fn params<'a>(block: &HelperTemplate, node: &Node<'a>) -> BTreeMap<String, Node<'a>> {
    let name = |parameter: &Parameter| parameter.as_name().map(str::to_owned);
    let mut names = BTreeMap::new();
    match &block.block_param {
        Some(BlockParam::Single(value)) => {
            names.extend(name(value).map(|name| (name, node.clone())));
        }
        Some(BlockParam::Pair((value, key))) => {
            names.extend(name(value).map(|name| (name, node.clone())));
            names.extend(name(key).map(|name| (name, Node::Known)));
        }
        _ => {}
    }
    names
}

//! The helpers that templates may call: words, money, days, links, comparisons, and a loop that keeps to the budget.
//!
//! SendGrid's names work where they exist (`equals`, `greaterThan`, `formatDate`, `insert`, `length`). A helper given
//! nothing is an error, never an empty place in a message. Errors name the variable, not its value.

use std::collections::BTreeMap;

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output,
    RenderContext, RenderError, RenderErrorReason, Renderable as _, ScopedJson, Template,
};
use serde_json::Value;

use super::budget::{Budget, Counted};
use super::escape;
use super::format::{Formats, Length};
use super::links;
use super::strings::Words;

/// Every helper that a template may call.
pub(crate) const NAMES: [&str; 28] = [
    "t", "money", "date", "time", "number", "url", "len", "length", "formatDate", "insert", "equals", "notEquals",
    "greaterThan", "lessThan", "if", "unless", "each", "with", "lookup", "eq", "ne", "gt", "gte", "lt", "lte", "and",
    "or", "not",
];

pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What kind of text is written; it decides how values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Markup {
    Html,
    Text,
    Markdown,
}

/// All that helpers need to know of one rendering.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) words: &'a Words,
    pub(crate) formats: &'a Formats,
    pub(crate) budget: &'a Budget,
    pub(crate) markup: Markup,
}

type Run = fn(&Scene<'_>, &Helper<'_>) -> Result<Value, String>;

/// Makes the helpers known to one rendering.
pub(crate) fn register<'reg: 'rc, 'rc>(rc: &mut RenderContext<'reg, 'rc>, scene: &'rc Scene<'rc>) {
    let values: [(&str, Run); 9] = [
        ("t", words),
        ("money", money),
        ("date", date),
        ("time", time),
        ("number", number),
        ("formatDate", format_date),
        ("len", length),
        ("length", length),
        ("insert", insert),
    ];
    for (name, run) in values {
        rc.register_local_helper(name, Box::new(Plain { scene, run }));
    }
    let tests: [(&str, Test); 4] = [
        ("equals", |a, b| a == b),
        ("notEquals", |a, b| a != b),
        ("greaterThan", |a, b| number_of(a).zip(number_of(b)).is_some_and(|(a, b)| a > b)),
        ("lessThan", |a, b| number_of(a).zip(number_of(b)).is_some_and(|(a, b)| a < b)),
    ];
    for (name, test) in tests {
        rc.register_local_helper(name, Box::new(Compare { scene, test }));
    }
    rc.register_local_helper("url", Box::new(Link { scene }));
    rc.register_local_helper("each", Box::new(Each { scene }));
}

fn fault(sentence: String) -> RenderError {
    RenderErrorReason::Other(sentence).into()
}

/// The name of a helper's argument as the template writes it.
fn blame(helper: &Helper<'_>, why: &str) -> RenderError {
    let of = helper
        .params()
        .first()
        .and_then(|param| param.relative_path())
        .map(|path| format!(" {path}"))
        .unwrap_or_default();
    fault(format!("{{{{{}{of}}}}}: {why}", helper.name()))
}

/// A helper that makes a value of its arguments.
struct Plain<'s> {
    scene: &'s Scene<'s>,
    run: Run,
}

impl HelperDef for Plain<'_> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.scene.budget.step().map_err(fault)?;
        (self.run)(self.scene, helper)
            .map(ScopedJson::Derived)
            .map_err(|why| blame(helper, &why))
    }
}

fn given<'h>(helper: &'h Helper<'_>, index: usize) -> Result<&'h Value, String> {
    helper
        .param(index)
        .map(|param| param.value())
        .filter(|value| !value.is_null())
        .ok_or_else(|| "a value is missing; put it into {{#if}} if it is optional".to_owned())
}

fn words(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let key = given(helper, 0)?.as_str().ok_or("the key is text")?;
    let args = helper.hash().iter().map(|(name, value)| (*name, value.value()));
    scene.words.say(key, args).map(Value::String)
}

fn money(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    scene.formats.money(given(helper, 0)?, given(helper, 1)?).map(Value::String)
}

fn date(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let length = match helper.param(1) {
        Some(length) => Length::parse(length.value().as_str().unwrap_or_default())?,
        None => Length::Medium,
    };
    scene.formats.date(given(helper, 0)?, length).map(Value::String)
}

fn time(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    scene.formats.time(given(helper, 0)?).map(Value::String)
}

fn number(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    scene.formats.number(given(helper, 0)?).map(Value::String)
}

fn format_date(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let pattern = given(helper, 1)?.as_str().filter(|pattern| pattern.len() <= 64);
    let pattern = pattern.ok_or("the pattern is text such as 'DD MMMM YYYY'")?;
    scene.formats.pattern(given(helper, 0)?, pattern).map(Value::String)
}

fn length(_: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    match given(helper, 0)? {
        Value::Array(items) => Ok(items.len().into()),
        Value::Object(fields) => Ok(fields.len().into()),
        Value::String(text) => Ok(text.chars().count().into()),
        _ => Err("only lists and text have a length".to_owned()),
    }
}

fn insert(_: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let fallback = helper.param(1).and_then(|param| param.value().as_str());
    let fallback = fallback.map(|text| text.strip_prefix("default=").unwrap_or(text));
    match (given(helper, 0), fallback) {
        (Ok(Value::String(text)), Some(fallback)) if text.is_empty() => Ok(fallback.into()),
        (Err(_), Some(fallback)) => Ok(fallback.into()),
        (value, _) => value.cloned(),
    }
}

/// `url`: only http, https and mailto pass.
struct Link<'s> {
    scene: &'s Scene<'s>,
}

impl Link<'_> {
    fn checked<'h>(&self, helper: &'h Helper<'_>) -> Result<&'h str, RenderError> {
        self.scene.budget.step().map_err(fault)?;
        given(helper, 0)
            .and_then(|value| links::checked(value.as_str().unwrap_or_default()))
            .map_err(|why| blame(helper, &why))
    }
}

impl HelperDef for Link<'_> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let link = self.checked(helper)?;
        let link = match self.scene.markup {
            // Inside a text that is escaped once more: nothing may be left to escape.
            Markup::Markdown => escape::link_in_markdown(link, "()<>[]\\*_~`|"),
            Markup::Html | Markup::Text => link.to_owned(),
        };
        Ok(ScopedJson::Derived(Value::String(link)))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        _: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let link = self.checked(helper)?;
        let text = match self.scene.markup {
            // `[words](link)`: escaping would change the link, so what could end it is percent-encoded.
            Markup::Markdown => escape::link_in_markdown(link, "()<>[]\\"),
            Markup::Html | Markup::Text if rc.is_disable_escape() => link.to_owned(),
            Markup::Html | Markup::Text => registry.get_escape_fn()(link),
        };
        rc.set_content_produced(true);
        rc.set_trailing_newline(false);
        rc.set_indent_before_write(false);
        Ok(out.write(&text)?)
    }
}

type Test = fn(&Value, &Value) -> bool;

/// A comparison, as a block or as a value.
struct Compare<'s> {
    scene: &'s Scene<'s>,
    test: Test,
}

impl Compare<'_> {
    fn holds(&self, helper: &Helper<'_>) -> Result<bool, RenderError> {
        self.scene.budget.step().map_err(fault)?;
        let (a, b) = (helper.param(0), helper.param(1));
        let (a, b) = a.zip(b).ok_or_else(|| blame(helper, "compares two values"))?;
        Ok((self.test)(a.value(), b.value()))
    }
}

impl HelperDef for Compare<'_> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        Ok(ScopedJson::Derived(Value::Bool(self.holds(helper)?)))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let holds = self.holds(helper)?;
        if !helper.is_block() {
            return Ok(out.write(if holds { "true" } else { "false" })?);
        }
        match if holds { helper.template() } else { helper.inverse() } {
            Some(inner) => inner.render(registry, context, rc, out),
            None => Ok(()),
        }
    }
}

fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// `each`, like handlebars' own, but every turn is counted.
struct Each<'s> {
    scene: &'s Scene<'s>,
}

impl HelperDef for Each<'_> {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let Some(value) = helper.param(0) else {
            return Err(blame(helper, "loops over a list"));
        };
        let turns: Vec<(String, Value, &Value)> = match value.value() {
            Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), i.into(), item)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, field)| (key.clone(), key.clone().into(), field)).collect(),
            Value::Null => Vec::new(),
            _ => return Err(blame(helper, "is not a list")),
        };
        let (Some(inner), false) = (helper.template(), turns.is_empty()) else {
            return match helper.inverse() {
                Some(inverse) => inverse.render(registry, context, rc, out),
                None => Ok(()),
            };
        };
        let mut counted = Counted { out, budget: self.scene.budget };
        let base = value.context_path().cloned();
        let is_map = value.value().is_object();
        self.turns(helper, inner, &turns, base.as_ref(), is_map, (registry, context, rc), &mut counted)
    }
}

impl Each<'_> {
    #[expect(clippy::too_many_arguments, reason = "the interface of helpers hands on five of them")]
    fn turns<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        inner: &'rc Template,
        turns: &[(String, Value, &Value)],
        base: Option<&Vec<String>>,
        is_map: bool,
        (registry, context, rc): (&'reg Handlebars<'reg>, &'rc Context, &mut RenderContext<'reg, 'rc>),
        out: &mut dyn Output,
    ) -> HelperResult {
        let last = turns.len().saturating_sub(1);
        for (index, (step, key, item)) in turns.iter().enumerate() {
            self.scene.budget.step().map_err(fault)?;
            let mut block = BlockContext::new();
            block.set_local_var("first", Value::Bool(index == 0));
            block.set_local_var("last", Value::Bool(index == last));
            block.set_local_var("index", index.into());
            if is_map {
                block.set_local_var("key", key.clone());
            }
            match base {
                Some(base) => {
                    block.base_path_mut().clone_from(base);
                    block.base_path_mut().push(step.clone());
                }
                None => block.set_base_value((*item).clone()),
            }
            set_params(helper, &mut block, base.is_some(), key, item)?;
            rc.push_block(block);
            let result = inner.render(registry, context, rc, out);
            rc.pop_block();
            result?;
        }
        Ok(())
    }
}

fn set_params<'rc>(
    helper: &Helper<'rc>,
    block: &mut BlockContext<'rc>,
    by_path: bool,
    key: &Value,
    item: &Value,
) -> Result<(), RenderError> {
    let (value_name, key_name) = match (helper.block_param_pair(), helper.block_param()) {
        (Some((value, key)), _) => (value, Some(key)),
        (None, Some(value)) => (value, None),
        (None, None) => return Ok(()),
    };
    let mut params = BlockParams::new();
    if by_path {
        params.add_path(value_name, Vec::new())?;
    } else {
        params.add_value(value_name, item.clone())?;
    }
    if let Some(key_name) = key_name {
        params.add_value(key_name, key.clone())?;
    }
    block.set_block_params(params);
    Ok(())
}

/// The escaping of each kind of text.
pub(crate) fn registries() -> BTreeMap<Markup, Handlebars<'static>> {
    [Markup::Html, Markup::Text, Markup::Markdown]
        .into_iter()
        .map(|markup| {
            let mut registry = Handlebars::new();
            registry.set_strict_mode(true);
            registry.set_prevent_indent(true);
            for helper in ["log", "raw"] {
                registry.unregister_helper(helper);
            }
            match markup {
                Markup::Html => registry.register_escape_fn(|text| handlebars::html_escape(&escape::visible(text))),
                Markup::Text => registry.register_escape_fn(escape::visible),
                Markup::Markdown => registry.register_escape_fn(escape::markdown),
            }
            (markup, registry)
        })
        .collect()
}

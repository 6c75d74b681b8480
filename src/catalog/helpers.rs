//! The helpers that templates may call: words, money, days, links, comparisons, and a loop that keeps to the budget.
//!
//! SendGrid's names work where they exist (`equals`, `greaterThan`, `formatDate`, `insert`, `length`, and `and` and `or`
//! as blocks). A helper given
//! nothing is an error, never an empty place in a message. Errors name the variable, not its value.

mod bind;
mod each;

use std::collections::BTreeMap;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError,
    RenderErrorReason, Renderable as _, ScopedJson,
};
use serde_json::Value;

use super::assets::Assets;
use super::budget::Budget;
use super::escape;
use super::format::{Formats, Length};
use super::links;
use super::strings::Words;

pub(crate) use bind::{Bind, NAME as BIND};

/// Every helper that a template may call.
pub(crate) const NAMES: [&str; 31] = [
    "t",
    "money",
    "date",
    "time",
    "number",
    "url",
    "len",
    "length",
    "formatDate",
    "insert",
    "plural",
    "phone",
    "asset",
    "equals",
    "notEquals",
    "greaterThan",
    "lessThan",
    "if",
    "unless",
    "each",
    "with",
    "lookup",
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "and",
    "or",
    "not",
];

pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What kind of text is written; it decides how values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Markup {
    Html,
    /// Becomes HTML when the bundle is built; nothing is filled from it.
    Mjml,
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
    /// Where pictures stand, and their names there.
    pub(crate) assets_url: &'a str,
    pub(crate) assets: &'a Assets,
}

type Run = fn(&Scene<'_>, &Helper<'_>) -> Result<Value, String>;

/// Makes the helpers known to one rendering.
pub(crate) fn register<'reg: 'rc, 'rc>(rc: &mut RenderContext<'reg, 'rc>, scene: &'rc Scene<'rc>) {
    let values: [(&str, Run); 12] = [
        ("t", words),
        ("money", money),
        ("date", date),
        ("time", time),
        ("number", number),
        ("formatDate", format_date),
        ("len", length),
        ("length", length),
        ("insert", insert),
        ("plural", plural),
        ("phone", phone),
        ("asset", asset),
    ];
    for (name, run) in values {
        rc.register_local_helper(name, Box::new(Plain { scene, run }));
    }
    let tests: [(&str, Test); 4] = [
        ("equals", |a, b| a == b),
        ("notEquals", |a, b| a != b),
        ("greaterThan", |a, b| {
            number_of(a).zip(number_of(b)).is_some_and(|(a, b)| a > b)
        }),
        ("lessThan", |a, b| {
            number_of(a).zip(number_of(b)).is_some_and(|(a, b)| a < b)
        }),
    ];
    for (name, test) in tests {
        rc.register_local_helper(name, Box::new(Compare { scene, test }));
    }
    rc.register_local_helper("url", Box::new(Link { scene }));
    rc.register_local_helper("each", Box::new(each::Each { scene }));
    rc.register_local_helper(BIND, Box::new(Bind));
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
        .map(handlebars::PathAndJson::value)
        .filter(|value| !value.is_null())
        .ok_or_else(|| "a value is missing; put it into {{#if}} if it is optional".to_owned())
}

fn words(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let key = given(helper, 0)?.as_str().ok_or("the key is text")?;
    let args = helper
        .hash()
        .iter()
        .map(|(name, value)| (*name, value.value()));
    scene.words.say(key, args).map(Value::String)
}

fn money(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    scene
        .formats
        .money(given(helper, 0)?, given(helper, 1)?)
        .map(Value::String)
}

fn date(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let length = match helper.param(1) {
        Some(length) => Length::parse(length.value().as_str().unwrap_or_default())?,
        None => Length::Medium,
    };
    scene
        .formats
        .date(given(helper, 0)?, length)
        .map(Value::String)
}

fn time(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    scene.formats.time(given(helper, 0)?).map(Value::String)
}

fn number(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    scene.formats.number(given(helper, 0)?).map(Value::String)
}

fn format_date(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let pattern = given(helper, 1)?
        .as_str()
        .filter(|pattern| pattern.len() <= 64);
    let pattern = pattern.ok_or("the pattern is text such as 'DD MMMM YYYY'")?;
    let zone = match helper.param(2).map(handlebars::PathAndJson::value) {
        Some(zone) => Some(
            zone.as_str()
                .ok_or("the time zone is text such as '-0800'")?,
        ),
        None => None,
    };
    scene
        .formats
        .pattern(given(helper, 0)?, pattern, zone)
        .map(Value::String)
}

/// `{{plural count 'item' 'items'}}`, or by the names of CLDR: `{{plural count one='…' few='…' other='…'}}`.
fn plural(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let form = scene.formats.plural(given(helper, 0)?)?;
    let named = |name: &str| helper.hash_get(name).map(handlebars::PathAndJson::value);
    let position = if form == "one" { 1 } else { 2 };
    named(form)
        .or_else(|| named("other"))
        .or_else(|| helper.param(position).map(handlebars::PathAndJson::value))
        .filter(|word| word.is_string())
        .cloned()
        .ok_or_else(|| format!("the form {form:?} is missing; write one='…' other='…'"))
}

/// The public address of a picture.
fn asset(scene: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let name = given(helper, 0)?.as_str().unwrap_or_default();
    let public = scene.assets.public_name(name);
    let public = public.ok_or("there is no such picture in assets/")?;
    Ok(Value::String(format!("{}/{public}", scene.assets_url)))
}

/// A number in E.164 (`+4940123456`) the way people write it: `+49 40 123456`.
fn phone(_: &Scene<'_>, helper: &Helper<'_>) -> Result<Value, String> {
    let fail = || "is not a phone number that begins with + and its country".to_owned();
    let text = given(helper, 0)?
        .as_str()
        .filter(|text| text.len() <= 32 && text.starts_with('+'))
        .ok_or_else(fail)?;
    let number = phonenumber::parse(None, text).map_err(|_| fail())?;
    let written = number
        .format()
        .mode(phonenumber::Mode::International)
        .to_string();
    Ok(Value::String(written))
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
            Markup::Html | Markup::Mjml | Markup::Text => link.to_owned(),
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
            Markup::Html | Markup::Mjml | Markup::Text if rc.is_disable_escape() => link.to_owned(),
            Markup::Html | Markup::Mjml | Markup::Text => registry.get_escape_fn()(link),
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
        let (a, b) = a
            .zip(b)
            .ok_or_else(|| blame(helper, "compares two values"))?;
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
        match if holds {
            helper.template()
        } else {
            helper.inverse()
        } {
            Some(inner) => inner.render(registry, context, rc, out),
            None => Ok(()),
        }
    }
}

fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// The escaping of each kind of text.
pub(crate) fn registries() -> BTreeMap<Markup, Handlebars<'static>> {
    [Markup::Html, Markup::Mjml, Markup::Text, Markup::Markdown]
        .into_iter()
        .map(|markup| {
            let mut registry = Handlebars::new();
            registry.set_strict_mode(true);
            registry.set_prevent_indent(true);
            for helper in ["log", "raw"] {
                registry.unregister_helper(helper);
            }
            match markup {
                Markup::Html | Markup::Mjml => registry
                    .register_escape_fn(|text| handlebars::html_escape(&escape::visible(text))),
                Markup::Text => {
                    registry.register_escape_fn(|text| escape::visible(text).into_owned());
                }
                Markup::Markdown => registry.register_escape_fn(escape::markdown),
            }
            (markup, registry)
        })
        .collect()
}

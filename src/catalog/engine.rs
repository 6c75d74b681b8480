//! The compiled templates of a bundle, and filling one of them.
//!
//! One handlebars registry for each kind of text, because each escapes differently. A rendering is strict, counted and
//! bounded; whatever happens in it comes back as a [`RenderError`] that holds no variable's value.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use handlebars::{Context, Handlebars, RenderContext, RenderErrorReason, Renderable as _};

use super::budget::{Counted, Page};
use super::finding::{Findings, Spot};
use super::flat::Flat;
use super::helpers::{self, Markup, Scene};
use super::source::Files;

/// Why a template could not be filled: where, and a sentence without any variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// The file inside the repository.
    pub file: String,
    /// From 1; 0 when it is about the whole message.
    pub line: usize,
    /// From 1; 0 when it is about the whole message.
    pub column: usize,
    /// What is wrong.
    pub sentence: String,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.sentence)
    }
}

impl std::error::Error for RenderError {}

impl RenderError {
    pub(crate) fn whole(file: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            sentence: sentence.into(),
        }
    }
}

/// Every template of a bundle, compiled.
#[derive(Debug)]
pub(crate) struct Engine {
    registries: BTreeMap<Markup, Handlebars<'static>>,
    /// The file of each template.
    paths: BTreeMap<(Markup, String), String>,
    /// Where templates stand that have no file of their own.
    spots: BTreeMap<String, Spot>,
    /// What is filled: templates with their includes in place, MJML as HTML, CSS in its elements.
    flat: BTreeMap<(Markup, String), Flat>,
}

impl Engine {
    /// Compiles all `.hbs` and `.mjml` files; what is wrong is added to the findings.
    pub(crate) fn compile(files: &Files, findings: &mut Findings) -> Self {
        let mut engine = Self {
            registries: helpers::registries(),
            paths: BTreeMap::new(),
            spots: BTreeMap::new(),
            flat: BTreeMap::new(),
        };
        for (path, text) in &files.texts {
            if let Some((markup, name)) = name_of(path) {
                engine.add(markup, &name, text, path, Spot::WHOLE, findings);
            }
        }
        engine.lend_partials();
        engine
    }

    /// MJML may include partials that are HTML, where it has none of the same name.
    fn lend_partials(&mut self) {
        let lent: Vec<_> = self
            .registry(Markup::Html)
            .into_iter()
            .flat_map(Handlebars::get_templates)
            .filter(|(name, _)| !name.contains('/') && *name != LAYOUT)
            .filter(|(name, _)| !self.has(Markup::Mjml, name))
            .map(|(name, template)| (name.clone(), template.clone()))
            .collect();
        for (name, template) in lent {
            if let Some(path) = self.paths.get(&(Markup::Html, name.clone())).cloned() {
                self.paths.insert((Markup::Mjml, name.clone()), path);
            }
            if let Some(registry) = self.registries.get_mut(&Markup::Mjml) {
                registry.register_template(&name, template);
            }
        }
    }

    /// Compiles one more that stands at `spot` of `path`.
    pub(crate) fn add(
        &mut self,
        markup: Markup,
        name: &str,
        text: &str,
        path: &str,
        spot: Spot,
        findings: &mut Findings,
    ) {
        if spot.line > 0 {
            self.spots.insert(name.to_owned(), spot);
        }
        self.paths
            .insert((markup, name.to_owned()), path.to_owned());
        let Some(registry) = self.registries.get_mut(&markup) else {
            return;
        };
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            registry.register_template_string(name, text)
        }));
        match compiled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let at = error
                    .pos()
                    .map_or(Spot::WHOLE, |(line, column)| Spot { line, column });
                let reason = error.reason().to_string();
                findings.add(
                    "syntax/handlebars",
                    path,
                    if spot.line > 0 { spot } else { at },
                    format!("{}.", readable(&reason)),
                );
            }
            Err(_) => findings.add(
                "syntax/handlebars",
                path,
                spot,
                "the template engine cannot read this file; simplify it.",
            ),
        }
    }

    pub(crate) fn registry(&self, markup: Markup) -> Option<&Handlebars<'static>> {
        self.registries.get(&markup)
    }

    pub(crate) fn registries(&self) -> impl Iterator<Item = (Markup, &Handlebars<'static>)> {
        self.registries
            .iter()
            .map(|(markup, registry)| (*markup, registry))
    }

    pub(crate) fn has(&self, markup: Markup, name: &str) -> bool {
        self.registry(markup)
            .is_some_and(|registry| registry.has_template(name))
            || self.flat.contains_key(&(markup, name.to_owned()))
    }

    /// From now on this is what is filled under that name.
    pub(crate) fn put(&mut self, markup: Markup, name: &str, flat: Flat) {
        self.flat.insert((markup, name.to_owned()), flat);
    }

    /// What is filled under that name, when its includes are in place.
    pub(crate) fn flat(&self, markup: Markup, name: &str) -> Option<&Flat> {
        self.flat.get(&(markup, name.to_owned()))
    }

    #[cfg(test)]
    pub(crate) fn forget_flat(&mut self) {
        self.flat.clear();
    }

    /// The file of a template's name, and where it starts when it is a part of that file.
    pub(crate) fn place(&self, markup: Markup, name: &str) -> (String, Spot) {
        let spot = self.spots.get(name).copied().unwrap_or(Spot::WHOLE);
        let known = self.paths.get(&(markup, name.to_owned()));
        let path = known.map_or(name, String::as_str);
        (path.split('#').next().unwrap_or(path).to_owned(), spot)
    }

    /// Fills one template.
    pub(crate) fn fill(
        &self,
        name: &str,
        context: &Context,
        scene: &Scene<'_>,
    ) -> Result<String, RenderError> {
        let flat = self.flat(scene.markup, name);
        let found = self.registry(scene.markup).and_then(|registry| {
            let template = match flat {
                Some(flat) => &flat.template,
                None => registry.get_template(name)?,
            };
            Some((registry, template))
        });
        let Some((registry, template)) = found else {
            return Err(RenderError::whole(
                self.place(scene.markup, name).0,
                "there is no such template in the bundle",
            ));
        };
        let mut page = Page::default();
        // A panic in the engine is this message's failure, not the process's.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut rc = RenderContext::new(template.name.as_ref());
            helpers::register(&mut rc, scene);
            let mut out = Counted {
                out: &mut page,
                budget: scene.budget,
            };
            template.render(registry, context, &mut rc, &mut out)
        }));
        match result {
            Ok(Ok(())) => Ok(page.0),
            Ok(Err(error)) => Err(self.explain(scene.markup, &error, name)),
            Err(_) => Err(RenderError::whole(
                self.place(scene.markup, name).0,
                "the template engine failed on this message; simplify the template",
            )),
        }
    }

    fn explain(&self, markup: Markup, error: &handlebars::RenderError, name: &str) -> RenderError {
        let sentence = match error.reason() {
            RenderErrorReason::MissingVariable(Some(name)) => {
                format!(
                    "the variable {name:?} has no value; put it into {{{{#if}}}} if it is optional"
                )
            }
            RenderErrorReason::MissingVariable(None) => "a variable has no value".to_owned(),
            RenderErrorReason::IOError(error) => error.to_string(),
            RenderErrorReason::Other(sentence) => sentence.clone(),
            RenderErrorReason::ParamNotFoundForIndex(helper, _) => format!(
                "the helper {helper:?} was given nothing; put it into {{{{#if}}}} if the variable is optional"
            ),
            RenderErrorReason::InvalidJsonIndex(_) => {
                "a list has no named fields; use {{#each}}".to_owned()
            }
            RenderErrorReason::HelperNotFound(name) => format!("there is no helper {name:?}"),
            RenderErrorReason::PartialNotFound(name) => format!("there is no partial {name:?}"),
            RenderErrorReason::PartialBlockNotFound => {
                "a layout is used as a block: {{#> layout}}…{{/layout}}".to_owned()
            }
            _ => "the template does not fit these variables".to_owned(),
        };
        let (file, spot) = self.blame(markup, error, name);
        RenderError {
            file,
            line: spot.line,
            column: spot.column,
            sentence,
        }
    }

    /// The file and the place of an error in the template of that name, or in what it includes.
    fn blame(&self, markup: Markup, error: &handlebars::RenderError, name: &str) -> (String, Spot) {
        let name = error.template_name.as_deref().unwrap_or(name);
        let line = error.line_no.unwrap_or_default();
        if let Some(flat) = self.flat(markup, name)
            && let Some(origin) = flat.origin(line)
        {
            return (origin.path.to_string(), origin.spot);
        }
        let (file, start) = self.place(markup, name);
        let column = error.column_no.unwrap_or_default();
        let spot = if start.line > 0 {
            start
        } else {
            Spot { line, column }
        };
        (file, spot)
    }
}

/// The name of every layout.
const LAYOUT: &str = "layout";

/// The kind and the name of a template file: partials and layouts are called by bare names, others by their path.
pub(crate) fn name_of(path: &str) -> Option<(Markup, String)> {
    let (stem, markup) = [
        (".html.hbs", Markup::Html),
        (".mjml.hbs", Markup::Mjml),
        (".mjml", Markup::Mjml),
        (".txt.hbs", Markup::Text),
        (".md.hbs", Markup::Markdown),
    ]
    .into_iter()
    .find_map(|(end, markup)| Some((path.strip_suffix(end)?, markup)))?;
    let name = match (path.split_once('/'), stem.split_once('/')) {
        (Some(("layouts", _)), _) => LAYOUT.to_owned(),
        (Some(("partials", _)), Some((_, name))) => name.to_owned(),
        _ => path.to_owned(),
    };
    Some((markup, name))
}

/// The parser's own words, without its drawing of the place.
fn readable(reason: &str) -> String {
    let words: Vec<&str> = reason.split_whitespace().collect();
    words
        .join(" ")
        .trim_end_matches('.')
        .chars()
        .take(300)
        .collect()
}

//! Includes that need nothing from around them get nothing from around them.
//!
//! handlebars copies the whole context, every variable of the message, for each `{{> partial}}`, and most partials (a
//! heading, a button) read only what the include gives them by name. Such an include gets an empty object as its
//! context, so that only the names are copied. What is written stays the same: a partial counts as contained only when
//! each of its paths starts with a name that the include gives, and handlebars looks for a first name among what was
//! given before it looks at the context. In doubt nothing is changed. Authors' files and the places in errors are not
//! touched.
//!
//! It runs after `shape`, so it meets no cycle and no endless chain.

use std::collections::HashMap;

use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Handlebars, Path, PathSeg, Template};
use serde_json::json;

use super::helpers;
use super::shape::PARTIAL_BLOCK;

/// The names that an include gives.
type Given = HashMap<String, Parameter>;

/// Gives every contained include of the registry an empty context.
pub(crate) fn narrow(registry: &mut Handlebars<'static>) {
    let narrowed: Vec<(String, Template)> = registry
        .get_templates()
        .iter()
        .map(|(name, template)| {
            let mut template = template.clone();
            narrow_template(&mut template, registry);
            (name.clone(), template)
        })
        .collect();
    for (name, template) in narrowed {
        registry.register_template(&name, template);
    }
}

fn narrow_template(template: &mut Template, registry: &Handlebars<'_>) {
    for element in &mut template.elements {
        match element {
            TemplateElement::HelperBlock(block) => {
                for inner in [&mut block.template, &mut block.inverse]
                    .into_iter()
                    .flatten()
                {
                    narrow_template(inner, registry);
                }
            }
            TemplateElement::PartialBlock(include) => {
                if let Some(content) = &mut include.template {
                    narrow_template(content, registry);
                }
            }
            TemplateElement::PartialExpression(include) if is_contained(include, registry) => {
                include.params = vec![Parameter::Literal(json!({}))];
            }
            _ => {}
        }
    }
}

/// Whether what is included reads nothing but what it is given.
fn is_contained(include: &DecoratorTemplate, registry: &Handlebars<'_>) -> bool {
    let Some(name) = include.name.as_name().filter(|name| *name != PARTIAL_BLOCK) else {
        return false;
    };
    include.params.is_empty()
        && include.template.is_none()
        && registry
            .get_template(name)
            .is_some_and(|template| reads_only(template, &include.hash, registry))
}

fn reads_only(template: &Template, given: &Given, registry: &Handlebars<'_>) -> bool {
    template.elements.iter().all(|element| match element {
        TemplateElement::RawString(_) | TemplateElement::Comment(_) => true,
        TemplateElement::Expression(call)
        | TemplateElement::HtmlExpression(call)
        | TemplateElement::HelperBlock(call) => call_reads_only(call, given, registry),
        TemplateElement::PartialExpression(include) => {
            values_read_only(include.hash.values(), given, registry)
                && is_contained(include, registry)
        }
        // Blocks for a layout, inline partials, and whatever handlebars may learn later.
        _ => false,
    })
}

fn call_reads_only(call: &HelperTemplate, given: &Given, registry: &Handlebars<'_>) -> bool {
    let bare = !call.block && call.params.is_empty() && call.hash.is_empty();
    let name = if bare {
        value_reads_only(&call.name, given, registry)
    } else {
        call.name.as_name().is_some_and(helpers::is_known)
    };
    let inner = [&call.template, &call.inverse];
    name && values_read_only(
        call.params.iter().chain(call.hash.values()),
        given,
        registry,
    ) && inner
        .into_iter()
        .flatten()
        .all(|inner| reads_only(inner, given, registry))
}

fn values_read_only<'a>(
    mut values: impl Iterator<Item = &'a Parameter>,
    given: &Given,
    registry: &Handlebars<'_>,
) -> bool {
    values.all(|value| value_reads_only(value, given, registry))
}

fn value_reads_only(value: &Parameter, given: &Given, registry: &Handlebars<'_>) -> bool {
    match value {
        Parameter::Literal(_) => true,
        Parameter::Path(path) => starts_with_given(path, given),
        Parameter::Subexpression(inner) => match inner.as_element() {
            TemplateElement::Expression(call) => call_reads_only(call, given, registry),
            _ => false,
        },
        _ => false,
    }
}

/// `text` and `text.first`; not `this`, `../text`, `@root.text` or `@index`.
fn starts_with_given(path: &Path, given: &Given) -> bool {
    let Path::Relative((segments, _)) = path else {
        return false;
    };
    let mut names = segments.iter().map(|segment| match segment {
        PathSeg::Named(name) => Some(name),
        _ => None,
    });
    let first = names.next().flatten();
    first.is_some_and(|name| given.contains_key(name)) && names.all(|name| name.is_some())
}

#[cfg(test)]
mod tests;

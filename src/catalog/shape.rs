//! How templates include each other: cycles, missing partials, depth and size after everything is put together.
//!
//! handlebars follows a cycle or a long chain until the stack ends and the process with it, and two includes in each
//! of thirty files make a thousand million; so this is settled before anything is rendered or walked.

use std::collections::BTreeMap;

use handlebars::Handlebars;
use handlebars::Template;
use handlebars::template::{DecoratorTemplate, TemplateElement};

use super::finding::{Findings, Spot, nearest};

/// Files that include files.
pub(crate) const INCLUDES_MAX: usize = 32;
/// Blocks and includes inside each other over all files.
const NESTING_MAX: usize = 128;
/// Elements of a template when every include is put in its place.
const ELEMENTS_MAX: usize = 20_000;
/// Text of a template when every include is put in its place.
const TEXT_MAX_BYTES: usize = 1024 * 1024;

/// The name under which handlebars knows what a layout was given.
pub(crate) const PARTIAL_BLOCK: &str = "@partial-block";

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    includes: usize,
    nesting: usize,
    elements: usize,
    text: usize,
}

/// Checks every template of a registry; `path_of` gives the file of a template's name.
pub(crate) fn check(
    registry: &Handlebars<'_>,
    path_of: &dyn Fn(&str) -> String,
    findings: &mut Findings,
) {
    let mut shape = Shape {
        registry,
        path_of,
        findings,
        sizes: BTreeMap::new(),
        open: Vec::new(),
    };
    let mut names: Vec<_> = registry.get_templates().keys().collect();
    names.sort();
    for name in names {
        shape.measure(name);
    }
}

struct Shape<'a, 'reg> {
    registry: &'a Handlebars<'reg>,
    path_of: &'a dyn Fn(&str) -> String,
    findings: &'a mut Findings,
    sizes: BTreeMap<String, Size>,
    /// The files that are being measured, outermost first.
    open: Vec<String>,
}

impl Shape<'_, '_> {
    fn measure(&mut self, name: &str) -> Size {
        if let Some(size) = self.sizes.get(name) {
            return *size;
        }
        let Some(template) = self.registry.get_template(name) else {
            return Size::default();
        };
        self.open.push(name.to_owned());
        let mut blocks = 0;
        let size = self.template(template, name, &mut blocks, false);
        self.open.pop();
        let path = (self.path_of)(name);
        if blocks > 1 {
            self.findings.add(
                "partial/block",
                &path,
                Spot::WHOLE,
                "{{> @partial-block}} stands once in a layout.",
            );
        }
        if size.includes > INCLUDES_MAX || size.nesting > NESTING_MAX {
            self.findings.add("limit/depth", &path, Spot::WHOLE, format!("partials include partials deeper than {INCLUDES_MAX}, or blocks and partials together nest deeper than {NESTING_MAX}; make it flatter."));
        }
        if size.elements > ELEMENTS_MAX || size.text > TEXT_MAX_BYTES {
            self.findings.add(
                "limit/size",
                &path,
                Spot::WHOLE,
                "with all its partials put in, it is too large; use fewer or smaller partials.",
            );
        }
        self.sizes.insert(name.to_owned(), size);
        size
    }

    fn template(
        &mut self,
        template: &Template,
        name: &str,
        blocks: &mut usize,
        looped: bool,
    ) -> Size {
        let mut size = Size::default();
        for (index, element) in template.elements.iter().enumerate() {
            let spot = template
                .mapping
                .get(index)
                .map_or(Spot::WHOLE, |mapping| Spot {
                    line: mapping.0,
                    column: mapping.1,
                });
            let part = self.element(element, name, spot, blocks, looped);
            size.includes = size.includes.max(part.includes);
            size.nesting = size.nesting.max(part.nesting);
            size.elements = size
                .elements
                .saturating_add(part.elements)
                .saturating_add(1);
            size.text = size.text.saturating_add(part.text);
        }
        size
    }

    fn element(
        &mut self,
        element: &TemplateElement,
        name: &str,
        spot: Spot,
        blocks: &mut usize,
        looped: bool,
    ) -> Size {
        match element {
            TemplateElement::RawString(text) => Size {
                text: text.len(),
                ..Size::default()
            },
            TemplateElement::HelperBlock(block) => {
                let looped = looped || matches!(block.name.as_name(), Some("each" | "with"));
                let mut size = Size::default();
                for inner in [&block.template, &block.inverse].into_iter().flatten() {
                    let part = self.template(inner, name, blocks, looped);
                    size.includes = size.includes.max(part.includes);
                    size.nesting = size.nesting.max(part.nesting);
                    size.elements = size.elements.saturating_add(part.elements);
                    size.text = size.text.saturating_add(part.text);
                }
                size.nesting += 1;
                size
            }
            TemplateElement::PartialExpression(include)
            | TemplateElement::PartialBlock(include) => {
                self.include(include, name, spot, blocks, looped)
            }
            _ => Size::default(),
        }
    }

    fn include(
        &mut self,
        include: &DecoratorTemplate,
        name: &str,
        spot: Spot,
        blocks: &mut usize,
        looped: bool,
    ) -> Size {
        let path = (self.path_of)(name);
        let mut size = include
            .template
            .as_ref()
            .map(|content| self.template(content, name, blocks, looped))
            .unwrap_or_default();
        let Some(target) = include.name.as_name() else {
            self.findings.add(
                "partial/missing",
                path,
                spot,
                "the name of a partial is written out, not computed.",
            );
            return size;
        };
        if target == PARTIAL_BLOCK {
            *blocks += 1;
            if looped {
                self.findings.add(
                    "partial/block",
                    path,
                    spot,
                    "{{> @partial-block}} does not stand inside {{#each}} or {{#with}}.",
                );
            }
            return size;
        }
        if self.registry.get_template(target).is_none() || target.contains('/') {
            let names = self
                .registry
                .get_templates()
                .keys()
                .map(String::as_str)
                .filter(|name| !name.contains('/'));
            self.findings.add(
                "partial/missing",
                path,
                spot,
                format!(
                    "there is no partial {target:?} for this kind of file.{}",
                    nearest(target, names)
                ),
            );
            return size;
        }
        if let Some(at) = self.open.iter().position(|open| open == target) {
            let ring: Vec<_> = self
                .open
                .iter()
                .skip(at)
                .map(String::as_str)
                .chain([target])
                .collect();
            self.findings.add(
                "partial/cycle",
                path,
                spot,
                format!("includes itself: {}; break the circle.", ring.join(" → ")),
            );
            return size;
        }
        if self.open.len() > INCLUDES_MAX + 1 {
            self.findings.add(
                "limit/depth",
                path,
                spot,
                format!("partials include partials deeper than {INCLUDES_MAX}; make it flatter."),
            );
            return size;
        }
        let inner = self.measure(target);
        size.includes = size.includes.max(inner.includes + 1);
        size.nesting = size.nesting.max(inner.nesting) + 1;
        size.elements = size.elements.saturating_add(inner.elements);
        size.text = size.text.saturating_add(inner.text);
        size
    }
}

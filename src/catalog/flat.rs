//! A template with every include put in its place, before anything is rendered.
//!
//! Three things need the whole at once: MJML, whose columns depend on what stands around them; CSS, whose rules in the
//! layout are written into the elements of messages and partials; and speed, since handlebars copies the context for
//! each include. What is written stays the same. Every element keeps the file, line and column it came from, so that
//! findings and errors name what the author wrote. An include that hands over another context stays as it is.
//!
//! It runs after `shape`, so it meets no cycle and no endless chain.

use std::sync::Arc;

use handlebars::template::{
    DecoratorTemplate, HelperTemplate, Parameter, TemplateElement, TemplateMapping,
};
use handlebars::{Handlebars, Path, Template};

use super::finding::Spot;
use super::helpers;
use super::shape::PARTIAL_BLOCK;

/// Where an element comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) path: Arc<str>,
    pub(crate) spot: Spot,
    /// For text: its first byte in the file.
    pub(crate) offset: usize,
}

/// A template without includes. The line of an element's mapping is the number of its origin, counted from 1.
#[derive(Debug)]
pub(crate) struct Flat {
    pub(crate) template: Template,
    pub(crate) origins: Vec<Origin>,
    /// The includes that stayed.
    pub(crate) kept: Vec<usize>,
}

impl Flat {
    /// Where the element of that mapping line comes from.
    pub(crate) fn origin(&self, line: usize) -> Option<&Origin> {
        self.origins.get(line.checked_sub(1)?)
    }
}

/// Where templates come from, for whoever flattens them.
pub(crate) struct Library<'a> {
    pub(crate) registry: &'a Handlebars<'static>,
    /// The file of a name, and where in it the template starts.
    pub(crate) place: &'a dyn Fn(&str) -> (String, Spot),
    pub(crate) text: &'a dyn Fn(&str) -> Option<&'a str>,
}

/// Puts all includes of the template into their places.
pub(crate) fn flatten(library: &Library<'_>, name: &str) -> Option<Flat> {
    let template = library.registry.get_template(name)?;
    let seed = Template::compile("{{#x}}{{/x}}").ok()?;
    let (Some(TemplateElement::HelperBlock(block)), Some(mapping)) =
        (seed.elements.first(), seed.mapping.first())
    else {
        return None;
    };
    let mut work = Work {
        library,
        block: block.as_ref().clone(),
        mapping: mapping.clone(),
        origins: Vec::new(),
        kept: Vec::new(),
        file: Open::new(library, name),
    };
    let around = work.origin(None, 0);
    let mut flat = work.template(template, None, around);
    flat.name = Some(name.to_owned());
    Some(Flat {
        template: flat,
        origins: work.origins,
        kept: work.kept,
    })
}

/// A file that is being read.
struct Open<'a> {
    path: Arc<str>,
    /// Where the template starts, when it is a part of the file.
    start: Spot,
    text: &'a str,
    /// Behind the text that was read last.
    cursor: usize,
}

impl<'a> Open<'a> {
    fn new(library: &Library<'a>, name: &str) -> Self {
        let (path, start) = (library.place)(name);
        Self {
            text: (library.text)(&path).unwrap_or_default(),
            path: path.into(),
            start,
            cursor: 0,
        }
    }
}

struct Work<'a, 'l> {
    library: &'l Library<'a>,
    /// A block and a mapping to make others of: handlebars lets nobody build them.
    block: HelperTemplate,
    mapping: TemplateMapping,
    origins: Vec<Origin>,
    kept: Vec<usize>,
    file: Open<'a>,
}

impl Work<'_, '_> {
    fn origin(&mut self, mapping: Option<&TemplateMapping>, around: usize) -> usize {
        let spot = match mapping {
            _ if self.file.start.line > 0 => self.file.start,
            Some(mapping) => Spot {
                line: mapping.0,
                column: mapping.1,
            },
            None => self
                .origins
                .get(around)
                .map_or(Spot::WHOLE, |origin| origin.spot),
        };
        self.origins.push(Origin {
            path: Arc::clone(&self.file.path),
            spot,
            offset: self.file.cursor,
        });
        self.origins.len() - 1
    }

    fn push(&self, into: &mut Template, element: TemplateElement, origin: usize) {
        let mut mapping = self.mapping.clone();
        (mapping.0, mapping.1) = (origin + 1, 0);
        into.elements.push(element);
        into.mapping.push(mapping);
    }

    /// `given` is what `{{> @partial-block}}` stands for, flattened already.
    fn template(
        &mut self,
        template: &Template,
        given: Option<&Template>,
        around: usize,
    ) -> Template {
        let mut flat = Template::new();
        for (index, element) in template.elements.iter().enumerate() {
            let origin = self.origin(template.mapping.get(index), around);
            self.element(element, origin, given, &mut flat);
        }
        flat
    }

    fn element(
        &mut self,
        element: &TemplateElement,
        origin: usize,
        given: Option<&Template>,
        into: &mut Template,
    ) {
        match element {
            TemplateElement::Comment(_) => {}
            TemplateElement::RawString(text) => {
                self.locate(text, origin);
                self.push(into, element.clone(), origin);
            }
            TemplateElement::HelperBlock(block) => {
                let mut block = block.clone();
                for inner in [&mut block.template, &mut block.inverse]
                    .into_iter()
                    .flatten()
                {
                    *inner = self.template(inner, given, origin);
                }
                self.push(into, TemplateElement::HelperBlock(block), origin);
            }
            TemplateElement::PartialExpression(include)
            | TemplateElement::PartialBlock(include) => {
                if !self.include(include, origin, given, into) {
                    self.kept.push(origin);
                    self.push(into, element.clone(), origin);
                }
            }
            _ => self.push(into, element.clone(), origin),
        }
    }

    /// Finds the text in its file: handlebars drops spaces and line ends around blocks.
    fn locate(&mut self, text: &str, origin: usize) {
        let rest = self.file.text.get(self.file.cursor..).unwrap_or_default();
        if let Some(found) = rest.find(text) {
            let start = self.file.cursor + found;
            self.file.cursor = start + text.len();
            if let Some(origin) = self.origins.get_mut(origin) {
                origin.offset = start;
            }
        }
    }

    /// Whether the include could be put in its place.
    fn include(
        &mut self,
        include: &DecoratorTemplate,
        origin: usize,
        given: Option<&Template>,
        into: &mut Template,
    ) -> bool {
        let Some(name) = include.name.as_name() else {
            return false;
        };
        if name == PARTIAL_BLOCK {
            let Some(given) = given else { return false };
            into.elements.extend(given.elements.iter().cloned());
            into.mapping.extend(given.mapping.iter().cloned());
            return true;
        }
        let same_context = include
            .params
            .iter()
            .all(|param| param.as_name() == Some("this"));
        let Some(partial) = self.library.registry.get_template(name) else {
            return false;
        };
        // What an include gives by name is a part of its `this` for handlebars, and not here.
        if !same_context || (!include.hash.is_empty() && reads_whole(partial)) {
            return false;
        }
        let content = include
            .template
            .as_ref()
            .map(|content| self.template(content, given, origin));
        let outer = std::mem::replace(&mut self.file, Open::new(self.library, name));
        let inner = self.template(partial, content.as_ref(), origin);
        // An include is a level for `../`, and so has to be one here where anybody goes up that far.
        let goes_up = goes_up(&inner, 0);
        self.file = outer;
        if include.hash.is_empty() && !goes_up {
            into.elements.extend(inner.elements);
            into.mapping.extend(inner.mapping);
            return true;
        }
        let mut block = self.block.clone();
        block.name = Parameter::Name(helpers::BIND.to_owned());
        block.hash.clone_from(&include.hash);
        block.template = Some(inner);
        block.inverse = None;
        self.push(into, TemplateElement::HelperBlock(Box::new(block)), origin);
        true
    }
}

/// Whether the template reads its context as a whole, `{{#each this}}`, and not only names in it.
fn reads_whole(template: &Template) -> bool {
    any_path(template, 0, &|path, levels| {
        levels == 0 && matches!(path, Path::Relative((segments, _)) if segments.is_empty())
    })
}

/// Whether the flat template reads anything above it.
fn goes_up(template: &Template, levels: usize) -> bool {
    any_path(template, levels, &|path, levels| {
        let (Path::Relative((_, raw)) | Path::Local((_, _, raw))) = path;
        raw.matches("..").count() > levels
    })
}

/// Whether any path is one of those; asked with the levels between the template and the path.
fn any_path(template: &Template, levels: usize, wanted: &dyn Fn(&Path, usize) -> bool) -> bool {
    template.elements.iter().any(|element| match element {
        TemplateElement::Expression(call) | TemplateElement::HtmlExpression(call) => {
            call_has(call, levels, wanted)
        }
        TemplateElement::HelperBlock(block) => {
            let level = matches!(block.name.as_name(), Some("each" | "with" | helpers::BIND));
            let inside = levels + usize::from(level);
            let main = block.template.as_ref();
            call_has(block, levels, wanted)
                || main.is_some_and(|main| any_path(main, inside, wanted))
                || block
                    .inverse
                    .as_ref()
                    .is_some_and(|inverse| any_path(inverse, levels, wanted))
        }
        TemplateElement::PartialExpression(include) | TemplateElement::PartialBlock(include) => {
            include
                .params
                .iter()
                .chain(include.hash.values())
                .any(|value| value_has(value, levels, wanted))
                || include
                    .template
                    .as_ref()
                    .is_some_and(|content| any_path(content, levels + 1, wanted))
        }
        _ => false,
    })
}

fn call_has(call: &HelperTemplate, levels: usize, wanted: &dyn Fn(&Path, usize) -> bool) -> bool {
    std::iter::once(&call.name)
        .chain(&call.params)
        .chain(call.hash.values())
        .any(|value| value_has(value, levels, wanted))
}

fn value_has(value: &Parameter, levels: usize, wanted: &dyn Fn(&Path, usize) -> bool) -> bool {
    match value {
        Parameter::Path(path) => wanted(path, levels),
        Parameter::Subexpression(inner) => match inner.as_element() {
            TemplateElement::Expression(call) => call_has(call, levels, wanted),
            _ => false,
        },
        _ => false,
    }
}

/// Makes neighbouring texts one.
pub(crate) fn merge(template: &mut Template) {
    let elements = std::mem::take(&mut template.elements);
    let mapping = std::mem::take(&mut template.mapping);
    for (mut element, mapping) in elements.into_iter().zip(mapping) {
        if let TemplateElement::HelperBlock(block) = &mut element {
            for inner in [&mut block.template, &mut block.inverse]
                .into_iter()
                .flatten()
            {
                merge(inner);
            }
        }
        match (&element, template.elements.last_mut()) {
            (TemplateElement::RawString(text), Some(TemplateElement::RawString(before))) => {
                before.push_str(text);
            }
            _ => {
                template.elements.push(element);
                template.mapping.push(mapping);
            }
        }
    }
}

#[cfg(test)]
mod tests;

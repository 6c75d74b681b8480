//! MJML into the HTML that mail programs understand, when a bundle is built and never per message.
//!
//! The compiler (`mrml`) reads tags and no names behind `</`, prints attributes the way Rust prints strings, and passes
//! over what it does not know; so [`source`] checks and prepares the text first, and afterwards every expression has to
//! be there again. It fetches nothing: no font, no include, no icon.

mod source;

use std::collections::{BTreeMap, HashMap};

use mrml::prelude::parser::{Error, ParserOptions, WarningKind};
use mrml::prelude::render::RenderOptions;

use super::skeleton::Skeleton;
use source::Prepared;

/// What the author's style sheets begin with in the HTML, to tell them from the compiler's.
pub(crate) const SHEET: &str = "/*tdx*/";

/// What is wrong, and where in the skeleton's text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) rule: &'static str,
    pub(crate) offset: usize,
    pub(crate) message: String,
}

impl Fault {
    fn syntax(offset: usize, message: impl Into<String>) -> Self {
        Self {
            rule: "syntax/mjml",
            offset,
            message: message.into(),
        }
    }
}

/// The HTML of a skeleton that holds MJML; words stand where they belong.
pub(crate) fn compile(skeleton: &Skeleton) -> Result<String, Vec<Fault>> {
    let prepared = source::prepare(skeleton)?;
    let options = ParserOptions::default();
    let parsed = mrml::parse_with_options(&prepared.text, &options)
        .map_err(|error| vec![explain(&prepared, &error)])?;
    let unknown: Vec<Fault> = parsed
        .warnings
        .iter()
        .filter(|warning| warning.kind != WarningKind::InlineStyleUnsupported)
        .map(|warning| {
            Fault::syntax(
                prepared.back(warning.span.start),
                "MJML does not know this attribute here; remove it or correct its name.",
            )
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let options = RenderOptions {
        disable_comments: false,
        social_icon_origin: None,
        fonts: HashMap::new(),
    };
    let html = parsed
        .element
        .render(&options)
        .map_err(|error| vec![Fault::syntax(0, format!("cannot be compiled: {error}."))])?;
    let html = prepared.restore(&html);
    lost(skeleton, &html)?;
    Ok(html)
}

/// Every expression has to be in the HTML: the compiler drops attributes that it does not use.
fn lost(skeleton: &Skeleton, html: &str) -> Result<(), Vec<Fault>> {
    let mut missing = skeleton.all();
    for word in skeleton.words(html) {
        missing.remove(&word.mark);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let places: BTreeMap<usize, usize> = skeleton
        .words(&skeleton.text)
        .map(|word| (word.mark, word.start))
        .collect();
    Err(missing
        .into_iter()
        .map(|mark| {
            Fault::syntax(
                places.get(&mark).copied().unwrap_or_default(),
                "MJML drops what stands here: a size, a colour or a name that it has to know is no place for a variable.",
            )
        })
        .collect())
}

fn explain(prepared: &Prepared, error: &Error) -> Fault {
    let at = |position: usize| prepared.back(position);
    match error {
        Error::UnexpectedElement { position, .. } => Fault::syntax(
            at(position.start),
            "this element may not stand here; see which elements MJML allows inside the one around it.",
        ),
        Error::UnexpectedToken { position, .. } => Fault::syntax(
            at(position.start),
            "this is not expected here; look for a tag or a quote that is not closed before it.",
        ),
        Error::MissingAttribute { name, position, .. } => Fault::syntax(
            at(position.start),
            format!("the attribute {name:?} is missing; add it."),
        ),
        Error::InvalidAttribute { position, .. } => Fault::syntax(
            at(position.start),
            "this attribute is not valid; correct its value.",
        ),
        Error::InvalidFormat { position, .. } => {
            Fault::syntax(at(position.start), "this value is not valid; correct it.")
        }
        Error::ParserError { source, .. } => {
            let place = source.pos();
            let position = prepared.offset(place.row as usize, place.col as usize);
            Fault::syntax(
                at(position),
                "a tag is not written right here; look for a quote or a > that is missing.",
            )
        }
        Error::IncludeLoaderError { position, .. } => Fault::syntax(
            at(position.start),
            "<mj-include> is not read; put the part into partials/NAME.mjml.hbs and write {{> NAME}}.",
        ),
        Error::EndOfStream { .. } => Fault::syntax(
            at(prepared.text.len()),
            "the file ends too early; an element is not closed.",
        ),
        Error::NoRootNode => Fault::syntax(
            0,
            "the layout or the message has no <mjml> around everything.",
        ),
        Error::SizeLimit { .. } => Fault::syntax(0, "the text is too large to compile."),
    }
}

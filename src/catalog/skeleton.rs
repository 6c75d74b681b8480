//! A flattened template as one text, with a word in the place of each expression, and back.
//!
//! Other tools read and rewrite the text: the MJML compiler, the one that writes CSS into elements. They see plain
//! words instead of handlebars, so that nothing in `{{…}}` is parsed, escaped or dropped by them. Afterwards the same
//! compiled expressions are put back, wherever and how often their words stand then.

use std::collections::BTreeSet;

use handlebars::Template;
use handlebars::template::{HelperTemplate, TemplateElement, TemplateMapping};

use super::flat::Flat;

/// What a word says about its expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Value,
    Open,
    Else,
    Close,
}

impl Part {
    const ALL: [Self; 4] = [Self::Value, Self::Open, Self::Else, Self::Close];

    const fn letter(self) -> char {
        match self {
            Self::Value => 'v',
            Self::Open => 'o',
            Self::Else => 'e',
            Self::Close => 'c',
        }
    }
}

/// A word in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Which expression.
    pub(crate) mark: usize,
    pub(crate) part: Part,
}

#[derive(Debug)]
enum Mark {
    Value(TemplateElement),
    Block(Box<HelperTemplate>),
}

/// The text, and what its words stand for.
#[derive(Debug)]
pub(crate) struct Skeleton {
    pub(crate) text: String,
    /// What every word begins with, and nothing else in the text does.
    pub(crate) prefix: String,
    marks: Vec<(Mark, TemplateMapping)>,
    /// Where texts begin, with the mapping line of their origin.
    texts: Vec<(usize, usize)>,
    name: Option<String>,
}

/// Why a text cannot be made a template again: a block's words do not match any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Torn {
    pub(crate) mark: usize,
}

impl Skeleton {
    pub(crate) fn of(flat: &Flat) -> Self {
        let mut prefix = "tdx".to_owned();
        while mentions(&flat.template, &prefix) {
            prefix.push('q');
        }
        let mut skeleton = Self {
            text: String::new(),
            prefix,
            marks: Vec::new(),
            texts: Vec::new(),
            name: flat.template.name.clone(),
        };
        skeleton.write(&flat.template);
        skeleton
    }

    fn write(&mut self, template: &Template) {
        for (element, mapping) in template.elements.iter().zip(&template.mapping) {
            match element {
                TemplateElement::RawString(text) => {
                    self.texts.push((self.text.len(), mapping.0));
                    self.text.push_str(text);
                }
                TemplateElement::HelperBlock(block) => {
                    let mark = self.mark(Mark::Block(block.clone()), mapping);
                    self.word(mark, Part::Open);
                    if let Some(inner) = &block.template {
                        self.write(inner);
                    }
                    if let Some(inverse) = &block.inverse {
                        self.word(mark, Part::Else);
                        self.write(inverse);
                    }
                    self.word(mark, Part::Close);
                }
                _ => {
                    let mark = self.mark(Mark::Value(element.clone()), mapping);
                    self.word(mark, Part::Value);
                }
            }
        }
    }

    fn mark(&mut self, mark: Mark, mapping: &TemplateMapping) -> usize {
        self.marks.push((mark, mapping.clone()));
        self.marks.len() - 1
    }

    fn word(&mut self, mark: usize, part: Part) {
        let word = self.spell(mark, part);
        self.text.push_str(&word);
    }

    pub(crate) fn spell(&self, mark: usize, part: Part) -> String {
        format!("{}{mark}{}", self.prefix, part.letter())
    }

    /// The mapping line of the expression.
    pub(crate) fn line(&self, mark: usize) -> usize {
        self.marks.get(mark).map_or(0, |(_, mapping)| mapping.0)
    }

    /// The mapping line of the text at an offset of [`Self::text`], and how far behind its begin that is.
    pub(crate) fn text_at(&self, offset: usize) -> Option<(usize, usize)> {
        let behind = self.texts.partition_point(|(start, _)| *start <= offset);
        let (start, line) = self.texts.get(behind.checked_sub(1)?)?;
        Some((*line, offset - start))
    }

    /// What the expression calls: `url` for `{{url order.url}}`.
    pub(crate) fn helper(&self, mark: usize) -> &str {
        match self.marks.get(mark) {
            Some((Mark::Value(TemplateElement::Expression(call)), _))
                if !call.params.is_empty() =>
            {
                call.name.as_name().unwrap_or_default()
            }
            _ => "",
        }
    }

    /// Every expression's words that the text has to hold at least once.
    pub(crate) fn all(&self) -> BTreeSet<usize> {
        (0..self.marks.len()).collect()
    }

    /// The words of a text, in order.
    pub(crate) fn words<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Word> + 't {
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let start = at + text.get(at..)?.find(&self.prefix)?;
                let rest = text.get(start + self.prefix.len()..)?;
                at = start + self.prefix.len();
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let letter = rest.get(digits..)?.chars().next();
                let part = Part::ALL
                    .into_iter()
                    .find(|part| Some(part.letter()) == letter);
                let mark = rest.get(..digits)?.parse().ok();
                if let (Some(part), Some(mark)) = (part, mark) {
                    at += digits + 1;
                    return Some(Word {
                        start,
                        end: at,
                        mark,
                        part,
                    });
                }
            }
        })
    }

    /// The template of a text that was rewritten.
    pub(crate) fn rebuild(&self, text: &str) -> Result<Template, Torn> {
        let mut open: Vec<(usize, Template, Option<Template>)> = Vec::new();
        let mut now = Template::new();
        let mut at = 0;
        for word in self.words(text) {
            let around = open.last().map(|(mark, ..)| *mark);
            self.push_text(
                &mut now,
                around,
                text.get(at..word.start).unwrap_or_default(),
            );
            at = word.end;
            let torn = Torn { mark: word.mark };
            let Some((mark, mapping)) = self.marks.get(word.mark) else {
                return Err(torn);
            };
            match (word.part, mark) {
                (Part::Value, Mark::Value(element)) => {
                    now.elements.push(element.clone());
                    now.mapping.push(mapping.clone());
                }
                (Part::Open, Mark::Block(_)) => {
                    open.push((word.mark, std::mem::take(&mut now), None));
                }
                (Part::Else, Mark::Block(_)) => {
                    let (mark, _, main) = open.last_mut().ok_or(torn)?;
                    if *mark != word.mark || main.is_some() {
                        return Err(torn);
                    }
                    *main = Some(std::mem::take(&mut now));
                }
                (Part::Close, Mark::Block(block)) => {
                    let (mark, around, main) = open.pop().ok_or(torn)?;
                    if mark != word.mark {
                        return Err(torn);
                    }
                    let last = std::mem::replace(&mut now, around);
                    let mut block = block.clone();
                    let has_main = block.template.is_some();
                    (block.template, block.inverse) = match main {
                        Some(main) => (has_main.then_some(main), Some(last)),
                        None => (Some(last), None),
                    };
                    now.elements.push(TemplateElement::HelperBlock(block));
                    now.mapping.push(mapping.clone());
                }
                _ => return Err(torn),
            }
        }
        if let Some((mark, ..)) = open.last() {
            return Err(Torn { mark: *mark });
        }
        self.push_text(&mut now, None, text.get(at..).unwrap_or_default());
        now.name.clone_from(&self.name);
        Ok(now)
    }

    /// An error in a text (the page is full) is told at the expression before it, or around it.
    fn push_text(&self, into: &mut Template, around: Option<usize>, text: &str) {
        if text.is_empty() {
            return;
        }
        let near = self.marks.get(around.unwrap_or_default());
        let before = into.mapping.last().cloned();
        let mapping = before.or_else(|| near.map(|(_, mapping)| mapping.clone()));
        into.elements
            .push(TemplateElement::RawString(text.to_owned()));
        into.mapping.extend(mapping);
    }
}

fn mentions(template: &Template, word: &str) -> bool {
    template.elements.iter().any(|element| match element {
        TemplateElement::RawString(text) => text.contains(word),
        TemplateElement::HelperBlock(block) => [&block.template, &block.inverse]
            .into_iter()
            .flatten()
            .any(|inner| mentions(inner, word)),
        _ => false,
    })
}

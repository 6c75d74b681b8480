//! The last stage of building: every template with its includes in place, MJML made HTML, CSS written into elements.
//!
//! What comes out is what is filled. It is checked once more where it was compiled from something else, because what
//! is harmless in MJML could stand in a style sheet of the HTML. Findings name the files that authors wrote.

use handlebars::Template;
use handlebars::template::TemplateElement;

use super::engine::Engine;
use super::finding::{Findings, Spot};
use super::flat::{self, Flat, Library};
use super::helpers::Markup;
use super::inline::{Sheets, inline};
use super::markup;
use super::mjml::{self, Fault};
use super::skeleton::{Part, Skeleton};
use super::source::Files;

/// Elements inside elements, over all files of a mail.
const ELEMENTS_MAX: usize = 200;
/// Text of all templates together, with their includes in place.
const TOTAL_MAX_BYTES: usize = 128 * 1024 * 1024;

/// Puts every template of the engine together. `new`: with the checks for what an author wants to use.
pub(crate) fn assemble(engine: &mut Engine, files: &Files, new: bool, findings: &mut Findings) {
    let mut done = Vec::new();
    let mut total = 0_usize;
    for (markup, registry) in engine.registries() {
        let place = |name: &str| engine.place(markup, name);
        let text = |path: &str| files.get(path);
        let library = Library {
            registry,
            place: &place,
            text: &text,
        };
        let mut names: Vec<_> = registry
            .get_templates()
            .keys()
            .filter(|name| name.contains('/'))
            .collect();
        names.sort();
        for name in names {
            let Some(flat) = flat::flatten(&library, name) else {
                continue;
            };
            total = total.saturating_add(size(&flat.template));
            if total > TOTAL_MAX_BYTES {
                findings.add("limit/size", name, Spot::WHOLE, "with all partials put in, the messages together are larger than 128 MiB; use smaller partials.");
                return;
            }
            let mut desk = Desk {
                files,
                flat,
                name,
                new,
                findings: &mut *findings,
            };
            match markup {
                Markup::Text | Markup::Markdown => {
                    flat::merge(&mut desk.flat.template);
                    done.push((markup, name.clone(), desk.flat));
                }
                Markup::Html => {
                    desk.html();
                    done.push((Markup::Html, name.clone(), desk.flat));
                }
                Markup::Mjml => {
                    desk.mjml();
                    done.push((Markup::Html, name.clone(), desk.flat));
                }
            }
        }
    }
    for (markup, name, flat) in done {
        engine.put(markup, &name, flat);
    }
}

/// One template that is being worked on.
struct Desk<'a> {
    files: &'a Files,
    flat: Flat,
    name: &'a str,
    new: bool,
    findings: &'a mut Findings,
}

impl Desk<'_> {
    fn html(&mut self) {
        let skeleton = Skeleton::of(&self.flat);
        self.finish(&skeleton, &skeleton.text, Sheets::All);
    }

    fn mjml(&mut self) {
        for kept in std::mem::take(&mut self.flat.kept) {
            if let Some(origin) = self.flat.origins.get(kept) {
                self.findings.add("partial/context", origin.path.to_string(), origin.spot, "in MJML a partial is given names, {{> NAME text=…}}, and no other context; name what it needs.");
            }
        }
        let skeleton = Skeleton::of(&self.flat);
        match mjml::compile(&skeleton) {
            Ok(html) => {
                if self.new {
                    self.check_compiled(&skeleton, &html);
                }
                self.finish(&skeleton, &html, Sheets::Marked(mjml::SHEET));
            }
            Err(faults) => {
                for fault in faults {
                    self.tell(&skeleton, &fault);
                }
            }
        }
    }

    fn finish(&mut self, skeleton: &Skeleton, html: &str, sheets: Sheets<'_>) {
        if let Some(message) = too_deep(html) {
            self.findings
                .add("limit/depth", self.name, Spot::WHOLE, message);
            return;
        }
        let inlined = inline(skeleton, html, sheets).unwrap_or_else(|message| {
            self.findings.add(
                "email/css-support",
                self.name,
                Spot::WHOLE,
                format!("{message}."),
            );
            html.to_owned()
        });
        match skeleton.rebuild(&inlined) {
            Ok(template) => self.flat.template = template,
            Err(torn) => {
                let line = skeleton.line(torn.mark);
                self.tell_at(line, "syntax/mjml", "this block is torn apart: its begin and its end do not stand in the same element.");
            }
        }
    }

    /// What MJML turned into something that a mail may not hold.
    fn check_compiled(&mut self, skeleton: &Skeleton, html: &str) {
        let shown = shown(skeleton, html);
        let mut found = Findings::default();
        markup::check_html(self.name, &shown.text, &mut found);
        for finding in found.take() {
            let at = Spot {
                line: finding.line,
                column: finding.column,
            };
            let offset = at.offset(&shown.text);
            let behind = shown.words.partition_point(|(start, _)| *start <= offset);
            let mark = shown
                .words
                .get(behind.saturating_sub(1))
                .map(|(_, mark)| *mark);
            let line = mark.map_or(0, |mark| skeleton.line(mark));
            let message = format!("As MJML writes it: {}", finding.message);
            self.tell_at(line, finding.rule, &message);
        }
    }

    fn tell_at(&mut self, line: usize, rule: &'static str, message: &str) {
        let origin = self.flat.origin(line);
        let path = origin.map_or(self.name, |origin| &origin.path);
        let spot = origin.map_or(Spot::WHOLE, |origin| origin.spot);
        self.findings.add(rule, path, spot, message);
    }

    fn tell(&mut self, skeleton: &Skeleton, fault: &Fault) {
        let word = skeleton
            .words(&skeleton.text)
            .find(|word| word.start <= fault.offset && fault.offset < word.end);
        if let Some(word) = word {
            self.tell_at(skeleton.line(word.mark), fault.rule, &fault.message);
            return;
        }
        let Some((line, behind)) = skeleton.text_at(fault.offset) else {
            self.tell_at(0, fault.rule, &fault.message);
            return;
        };
        let Some(origin) = self.flat.origin(line) else {
            return;
        };
        let text = self.files.get(&origin.path).unwrap_or_default();
        let spot = Spot::of(text, origin.offset + behind);
        self.findings.add(
            fault.rule,
            origin.path.to_string(),
            spot,
            fault.message.clone(),
        );
    }
}

/// Bytes of text in a template.
fn size(template: &Template) -> usize {
    let of = |element: &TemplateElement| match element {
        TemplateElement::RawString(text) => text.len(),
        TemplateElement::HelperBlock(block) => [&block.template, &block.inverse]
            .into_iter()
            .flatten()
            .map(size)
            .sum(),
        _ => 0,
    };
    template.elements.iter().map(of).sum()
}

struct Shown {
    text: String,
    /// Where expressions stand.
    words: Vec<(usize, usize)>,
}

/// The text with expressions as the checks of HTML read them.
fn shown(skeleton: &Skeleton, html: &str) -> Shown {
    let mut shown = Shown {
        text: String::with_capacity(html.len()),
        words: Vec::new(),
    };
    let mut at = 0;
    for word in skeleton.words(html) {
        shown
            .text
            .push_str(html.get(at..word.start).unwrap_or_default());
        at = word.end;
        shown.words.push((shown.text.len(), word.mark));
        let helper = skeleton.helper(word.mark);
        match word.part {
            Part::Value if helper.is_empty() => shown.text.push_str("{{x}}"),
            Part::Value => shown.text.push_str(&format!("{{{{{helper} x}}}}")),
            Part::Open => shown.text.push_str("{{#if x}}"),
            Part::Else => shown.text.push_str("{{else}}"),
            Part::Close => shown.text.push_str("{{/if}}"),
        }
    }
    shown.text.push_str(html.get(at..).unwrap_or_default());
    shown
}

/// Other tools, and mail programs, call themselves for each element inside an element.
fn too_deep(html: &str) -> Option<String> {
    let mut depth = 0_usize;
    for piece in markup::pieces(html) {
        match piece {
            markup::Piece::Open(tag) if !tag.closed && !markup::is_void(&tag.name) => {
                depth += 1;
                if depth > ELEMENTS_MAX {
                    return Some(format!(
                        "elements nest deeper than {ELEMENTS_MAX}, or are not closed; close them, or make it flatter."
                    ));
                }
            }
            markup::Piece::Close { .. } => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

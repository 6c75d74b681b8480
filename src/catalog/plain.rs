//! The text part of a mail that has none of its own, from its finished HTML.
//!
//! It is made of each rendering, not of the template: a condition around a row of a table has no place in running
//! text, and a link's number would depend on it. Links stand behind their words, whole and on one line, so that every
//! mail program finds them. What is hidden in the HTML is not in the text.

use html2text::config;
use html2text::render::TextDecorator;

/// Lines are not broken here: a link has to stay whole, and every reader breaks lines to its own width.
const WIDTH_COLUMNS: usize = 10_000;

/// The text of the HTML; `None` when it cannot be read.
pub(crate) fn of_html(html: &str) -> Option<String> {
    config::with_decorator(Links::default())
        .use_doc_css()
        .no_table_borders()
        .allow_width_overflow()
        .string_from_read(html.as_bytes(), WIDTH_COLUMNS)
        .ok()
}

/// Writes links behind their words, and no other marks.
#[derive(Debug, Clone, Default)]
struct Links {
    open: Vec<String>,
}

impl TextDecorator for Links {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        self.open.push(url.to_owned());
        (String::new(), ())
    }

    fn decorate_link_end(&mut self) -> String {
        let url = self.open.pop().unwrap_or_default();
        let shown = url.strip_prefix("mailto:").unwrap_or(&url);
        format!(" <{shown}>")
    }

    fn decorate_em_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _: &str, title: &str) -> (String, ()) {
        (title.to_owned(), ())
    }

    fn header_prefix(&self, _: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }

    fn unordered_item_prefix(&self) -> String {
        "- ".to_owned()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        self.clone()
    }
}

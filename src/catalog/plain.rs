//! The text part of a mail that has none of its own, from its finished HTML.
//!
//! It is made of each rendering, not of the template: a condition around a row of a table has no place in running
//! text, and a link's number would depend on it. Links stand behind their words, whole and on one line, so that every
//! mail program finds them. What is hidden in the HTML is not in the text.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use html2text::config;
use html2text::render::TextDecorator;

/// Lines are not broken here: a link has to stay whole, and every reader breaks lines to its own width.
const WIDTH_COLUMNS: usize = 10_000;

/// What a link is while lines are laid out, so that none is broken: a character of private use for each.
const MARKS: std::ops::Range<u32> = 0xf_0000..0xf_fffe;

/// The text of the HTML; `None` when it cannot be read.
pub(crate) fn of_html(html: &str) -> Option<String> {
    let is_mark = |c: char| MARKS.contains(&u32::from(c));
    let html: Cow<'_, str> = if html.contains(is_mark) {
        Cow::Owned(html.replace(is_mark, ""))
    } else {
        Cow::Borrowed(html)
    };
    let links = Links::default();
    let text = config::with_decorator(links.clone())
        .use_doc_css()
        .no_table_borders()
        .allow_width_overflow()
        .string_from_read(html.as_bytes(), WIDTH_COLUMNS)
        .ok()?;
    let found = links.found.borrow();
    let mut whole = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        let number = u32::from(c).checked_sub(MARKS.start);
        let number = number.filter(|_| is_mark(c)).map(|n| n as usize);
        match number {
            Some(number) => {
                let url = found.get(number).map_or("", String::as_str);
                whole.push_str(&format!("<{url}>"));
            }
            None => whole.push(c),
        }
    }
    Some(whole)
}

/// Writes links behind their words, and no other marks.
#[derive(Debug, Clone, Default)]
struct Links {
    found: Rc<RefCell<Vec<String>>>,
    open: Vec<u32>,
}

impl TextDecorator for Links {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        let mut found = self.found.borrow_mut();
        let number = u32::try_from(found.len()).unwrap_or(u32::MAX);
        self.open.push(number);
        found.push(url.strip_prefix("mailto:").unwrap_or(url).to_owned());
        (String::new(), ())
    }

    fn decorate_link_end(&mut self) -> String {
        let number = self.open.pop().unwrap_or(u32::MAX);
        let mark = MARKS.start.checked_add(number).and_then(char::from_u32);
        mark.map_or_else(String::new, |mark| format!(" {mark}"))
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

//! How far a host's long work has come: a bar on standard error, where that is a terminal; nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that goes away when it is dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar over `total` steps of something.
    pub fn new(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let style = "{prefix}  {bar:32} {percent:>3} %  {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// How many steps have been made.
    pub fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// How many have been made so far.
    pub fn done(&self) -> u64 {
        self.0.position()
    }

    /// What is happening.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

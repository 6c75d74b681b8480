//! What one rendering may cost: steps, time and bytes. Helpers, loops and the writer ask before they go on.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use handlebars::Output;

use crate::domain::clock::Stopwatch;

/// The largest finished text.
pub(crate) const OUTPUT_MAX_BYTES: usize = 2 * 1024 * 1024;
/// What may be written on the way: loops count again what the loops inside them wrote.
const WORK_MAX_BYTES: usize = 16 * 1024 * 1024;
/// A rendering below this many steps is not measured: a busy machine is no reason to drop a mail.
const STEPS_FREE: usize = 20_000;
const STEPS_MAX: usize = 1_000_000;
/// What a rendering with more steps may take.
const TIME_MAX: Duration = Duration::from_millis(200);

/// The budget of one rendering.
#[derive(Debug)]
pub(crate) struct Budget {
    watch: Stopwatch,
    steps: AtomicUsize,
    bytes: AtomicUsize,
}

impl Budget {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self {
            watch: Stopwatch::start(),
            steps: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// One helper call, or one turn of a loop.
    pub(crate) fn step(&self) -> Result<(), String> {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed);
        if steps < STEPS_FREE {
            return Ok(());
        }
        if steps > STEPS_MAX || self.watch.elapsed() > TIME_MAX {
            return Err(
                "the rendering took longer than 200 ms; it loops too often for this much data"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > WORK_MAX_BYTES {
            return Err(too_large());
        }
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::Error::other("the text is larger than 2 MiB")
}

/// Passes text on and counts it.
pub(crate) struct Counted<'a> {
    pub(crate) out: &'a mut dyn Output,
    pub(crate) budget: &'a Budget,
}

impl Output for Counted<'_> {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.budget.spend(text.len())?;
        self.out.write(text)
    }
}

/// Keeps the finished text, up to its limit.
#[derive(Debug, Default)]
pub(crate) struct Page(pub(crate) String);

impl Output for Page {
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.0.len().saturating_add(text.len()) > OUTPUT_MAX_BYTES {
            return Err(too_large());
        }
        self.0.push_str(text);
        Ok(())
    }
}

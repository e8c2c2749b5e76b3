//! What is seen while it runs: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Lines for those without a terminal: so many over the whole run.
const LINES: u64 = 20;

/// Counts runs.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
}

impl Progress {
    /// `all` runs, `done` of which are there already.
    #[must_use]
    pub fn new(all: usize, done: usize) -> Self {
        let is_terminal = stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(all as u64) } else { ProgressBar::hidden() };
        bar.set_length(all as u64);
        let template = "{wide_bar} {pos}/{len}  {elapsed_precise} gone, about {eta_precise} to go\n{msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_position(done as u64);
        bar.reset_eta();
        if is_terminal {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self { bar, is_terminal }
    }

    /// A run begins.
    pub fn begin(&self, key: &str) {
        self.bar.set_message(key.to_owned());
    }

    /// It ended.
    pub fn end(&self) {
        self.bar.inc(1);
        let (at, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if !self.is_terminal && (at == all || at.is_multiple_of((all / LINES).max(1))) {
            eprintln!("sweep: {at} of {all} runs");
        }
    }

    /// Something that has to be read.
    pub fn say(&self, text: &str) {
        if self.is_terminal {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

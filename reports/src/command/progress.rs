//! How far a sweep is: a bar on a terminal, else a line every ten seconds; always on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::sweep::Progress;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

const BAR: &str = "{msg:14} {wide_bar:.green} {pos}/{len} {per_sec:>12} {eta:>4} left";

/// Shows how far a sweep is.
pub struct Meter {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Meter {
    /// A meter at the beginning.
    pub fn new() -> Self {
        let style = ProgressStyle::with_template(BAR).expect("the template is well formed");
        let bar = io::stderr().is_terminal().then(|| ProgressBar::new(0).with_style(style));
        Meter { bar, last_line: Instant::now() }
    }

    /// Something came.
    pub fn show(&mut self, progress: Progress) {
        let Progress { pass, done, total, failed } = progress;
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total as u64) {
                bar.reset();
                bar.set_length(total as u64);
            }
            bar.set_message(format!("{pass}{failures}"));
            bar.set_position(done as u64);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            line(&format!("{pass}: {done} of {total} seeds{failures}"));
        }
    }

    /// A step of something that is not counted.
    pub fn tell(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
            bar.tick();
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) {
    // Without a reader there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

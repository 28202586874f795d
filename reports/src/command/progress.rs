//! How far a sweep or an import is: a bar on a terminal, else a line every ten seconds; always on standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::sweep::Progress;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is shown while nothing is counted.
const SPINNER: &str = "{spinner} {msg}";

/// What is shown while something is counted of which nobody knows how many there will be.
const COUNTER: &str = "{spinner} {msg} {pos} {rate}";

/// What is shown while something is counted.
const BAR: &str = "{msg:14} {wide_bar:.green} {pos}/{len} {rate:>7} {eta:>4} left";

/// Shows how far something is.
pub struct Meter {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Meter {
    /// A meter at the beginning.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| ProgressBar::no_length().with_style(style(SPINNER)));
        Meter { bar, last_line: Instant::now() }
    }

    /// Something came.
    pub fn show(&mut self, progress: Progress) {
        let Progress { pass, done, total, failed } = progress;
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        self.count(pass, "seeds", (done, total), &failures);
    }

    /// So many are done, of all if it is known how many there are.
    pub fn count(&mut self, what: &str, unit: &str, (done, total): (usize, Option<usize>), remark: &str) {
        if let Some(bar) = &self.bar {
            let total = total.map(|total| total as u64);
            if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                bar.set_style(style(BAR));
                bar.reset();
                bar.set_length(total);
            }
            if total.is_none() {
                bar.set_style(style(COUNTER));
            }
            bar.set_message(format!("{what}{remark}"));
            bar.set_position(done as u64);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            line(&format!("{what}: {done}{of} {unit}{remark}"));
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

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // Writing to the bar's own buffer does not fail.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    ProgressStyle::with_template(template).expect("the template is well formed").with_key("rate", rate)
}

fn line(text: &str) {
    // Without a reader there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

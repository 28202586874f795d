//! Standard output and the terminal: one handle through which everything is written.
//!
//! Colours are kept on a terminal and taken out elsewhere. A closed pipe becomes [`Stop::Closed`].

use std::io::{self, ErrorKind, IsTerminal, Stdout, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Stop;

/// Columns of a page that nobody looks at on a terminal.
const COLUMNS_ELSEWHERE: usize = 120;

/// Columns a page needs at least to be one.
const COLUMNS_MIN: usize = 60;

const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Where commands write to.
pub struct Console {
    out: AutoStream<Stdout>,
}

impl Console {
    /// This process's standard output.
    pub fn new() -> Self {
        Console { out: anstream::stdout() }
    }

    /// Columns of a page.
    pub fn columns(&self) -> usize {
        let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        terminal.map_or(COLUMNS_ELSEWHERE, |(width, _)| usize::from(width.0).max(COLUMNS_MIN))
    }

    /// Writes text at once.
    pub fn print(&mut self, text: &str) -> Result<(), Stop> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(stop)
    }

    /// Writes a JSON document.
    pub fn json<T: Serialize>(&mut self, document: &T) -> Result<(), Stop> {
        let text = serde_json::to_string_pretty(document).expect("documents have text as keys");
        self.print(&(text + "\n"))
    }

    /// Writes a message to standard error.
    pub fn complain(&self, message: &str) {
        let label = format!("{ERROR}error:{ERROR:#}");
        // If standard error is closed too there is nobody left to tell.
        let _ = writeln!(anstream::stderr(), "{label} {message}");
    }

    /// Writes a line that is no result: to standard output for people, to standard error beside JSON.
    pub fn note(&mut self, line: &str, is_json: bool) -> Result<(), Stop> {
        if is_json {
            // It is no part of the result.
            let _ = writeln!(anstream::stderr(), "{line}");
            return Ok(());
        }
        self.print(&format!("{line}\n"))
    }
}

fn stop(error: io::Error) -> Stop {
    match error.kind() {
        ErrorKind::BrokenPipe => Stop::Closed,
        _ => Stop::usage(format!("standard output cannot be written: {error}")),
    }
}

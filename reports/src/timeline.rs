//! A run as a space–time diagram in text.

use kuzusync_sim::outcome::Outcome;

/// The diagram of a run.
#[must_use]
pub fn text(outcome: &Outcome, width: usize) -> String {
    let _ = (outcome, width);
    String::new()
}

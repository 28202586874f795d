//! One page for one failing run.

use kuzusync_sim::outcome::Outcome;
use kuzusync_sim::step::Plan;

use crate::provenance::Provenance;

/// The page of a failed run, on one screen.
#[must_use]
pub fn page(outcome: &Outcome, plan: Option<&Plan>, provenance: &Provenance, replay: &str, width: usize) -> String {
    let _ = (outcome, plan, provenance, replay, width);
    String::new()
}

//! The page of a scripted scenario.

use kuzusync_scenarios::scenario::Scenario;
use kuzusync_sim::outcome::Outcome;

/// The page of one run of a scenario.
#[must_use]
pub fn page(scenario: &Scenario, outcome: &Outcome, width: usize) -> String {
    let _ = (scenario, outcome, width);
    String::new()
}

//! Every scripted scenario, and the counterexamples with their bugs planted.

use kuzusync_scenarios::scenario::Scenario;
use kuzusync_sim::outcome::Outcome;
use kuzusync_sim::seed::Seed;
use kuzusync_sim::store::StoreChoice;

fn found(outcome: &Outcome) -> Option<&str> {
    outcome.failure.as_ref().map(|failure| failure.message())
}

#[test]
fn every_scenario_passes_on_its_own_seed_and_on_others() {
    let mut failures = Vec::new();
    for scenario in Scenario::all() {
        for seed in [scenario.seed, Seed(1), Seed(2), Seed(3)] {
            let outcome = scenario.run(seed, StoreChoice::Memory);
            failures.extend(found(&outcome).map(|message| format!("{}, seed {}: {message}", scenario.name, seed.0)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
#[cfg(feature = "planted-bugs")]
fn each_counterexample_finds_the_rule_that_it_is_about() {
    for (bug, scenario) in kuzusync_scenarios::counterexample::all() {
        let outcome = scenario.run_with(scenario.seed, StoreChoice::Memory, Some(bug));
        assert!(found(&outcome).is_some(), "{} passes with {} planted", scenario.name, bug.name());
    }
}

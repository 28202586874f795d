//! Every scripted scenario, and the counterexamples with their bugs planted.

use kuzusync_scenarios::scenario::Scenario;
#[cfg(feature = "planted-bugs")]
use kuzusync_scenarios::swarm::{self, Profile};
use kuzusync_sim::outcome::Outcome;
use kuzusync_sim::seed::Seed;
use kuzusync_sim::store::StoreChoice;
#[cfg(feature = "planted-bugs")]
use kuzusync_sim::{
    outcome::Failure,
    simulation::{Run, Script, simulate},
};

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

#[test]
#[cfg(feature = "planted-bugs")]
fn each_bug_of_files_is_found_by_a_scenario() {
    let bugs = kuzusync_scenarios::operation::FINDS;
    assert_eq!(bugs.map(|(bug, _)| bug), kuzusync_core::planted::Bug::OF_FILES);
    for (bug, name) in bugs {
        let scenario = Scenario::named(name).unwrap();
        let outcome = scenario.run_with(scenario.seed, StoreChoice::Memory, Some(bug));
        assert!(found(&outcome).is_some(), "{name} passes with {} planted", bug.name());
    }
}

#[test]
#[cfg(feature = "planted-bugs")]
fn a_run_that_ends_while_its_hosts_are_at_work_fails_of_what_was_found() {
    let plan = swarm::plan(Profile::Default, Seed(150));
    let script = Script::Plan(&plan.steps);
    let bug = Some(kuzusync_core::planted::Bug::Canary);
    let run = Run { seed: Seed(150), options: &plan.options, store: StoreChoice::Memory, script, bug };
    let outcome = simulate(&run);
    assert!(matches!(outcome.failure, Some(Failure::Safety(_))), "{:?}", outcome.failure);
}

//! Scenarios: scripted runs of documented cases, and of what else has to be shown.

use kuzusync_core::planted::Bug;
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::{Check, Failure, Outcome, Property, Violation};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Body, Run, Script, simulate};
use kuzusync_sim::store::StoreChoice;

use crate::case::Case;
use crate::sampled;

/// A scripted run of documented cases, or of claims of its own.
#[derive(Clone)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it tells, in one sentence.
    pub story: &'static str,
    /// What it shows.
    pub cases: &'static [Case],
    /// What it shows beyond them, checked by name like the clauses of a case.
    pub claims: &'static [&'static str],
    /// The seed it runs with unless another is asked for.
    pub seed: Seed,
    /// Every knob.
    pub options: Options,
    /// What happens.
    pub body: Body,
}

impl Scenario {
    /// Every scenario, in the order of the case list.
    #[must_use]
    pub fn all() -> Vec<Scenario> {
        let sections = [
            crate::session::scenarios(),
            crate::conflict::scenarios(),
            crate::two_phase_commit::scenarios(),
            crate::offline::scenarios(),
            crate::transfer::scenarios(),
            crate::compaction::scenarios(),
            crate::reconciliation::scenarios(),
            crate::change_log::scenarios(),
            crate::operation::scenarios(),
            crate::migration::scenarios(),
            crate::resend::scenarios(),
            crate::input::scenarios(),
            crate::schema::scenarios(),
            crate::schema_pairs::scenarios(),
            crate::schema_changes::scenarios(),
            crate::schema_history::scenarios(),
            crate::schema_store::scenarios(),
            crate::harness::scenarios(),
            crate::counterexample::scenarios(),
        ];
        sections.concat()
    }

    /// The scenario of that name.
    ///
    /// # Errors
    /// A sentence that says there is none.
    pub fn named(name: &str) -> Result<Scenario, String> {
        let found = Scenario::all().into_iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| format!("there is no scenario `{name}`; `kuzusync list` shows them all"))
    }

    /// Every clause it has to check: those of its cases, and its own claims.
    pub fn clauses(&self) -> impl Iterator<Item = &'static str> {
        self.cases.iter().flat_map(|case| case.clauses()).chain(self.claims).copied()
    }

    /// Runs it. A clause that it does not check is a failure, and so is a check that is no clause.
    #[must_use]
    pub fn run(&self, seed: Seed, store: StoreChoice) -> Outcome {
        self.run_with(seed, store, None)
    }

    /// Like [`Scenario::run`], with a bug planted in the engine; it does nothing without the feature `planted-bugs`.
    #[must_use]
    pub fn run_with(&self, seed: Seed, store: StoreChoice, bug: Option<Bug>) -> Outcome {
        let simulate = |seed| {
            let script = Script::Body(self.body);
            simulate(&Run { seed, options: &self.options, store, script, bug })
        };
        let mut outcome = simulate(seed);
        for case in self.cases {
            sampled::check(*case, &mut outcome, store, bug, simulate);
        }
        if outcome.failure.is_none()
            && let Some(message) = mismatch(&self.clauses().collect::<Vec<_>>(), &outcome.checks)
        {
            let at_us = outcome.simulated_us;
            let (hosts, details) = (Vec::new(), Vec::new());
            let violation = Violation { property: Property::Scenario, at_us, message, hosts, details };
            outcome.failure = Some(Failure::Safety(violation));
        }
        outcome
    }
}

/// The first of these clauses that was never checked, or else the first check of a clause that is none of them.
#[must_use]
pub fn mismatch(clauses: &[&str], checks: &[Check]) -> Option<String> {
    let is_checked = |clause: &&&str| checks.iter().any(|check| check.clause == **clause);
    let unchecked = clauses.iter().find(|clause| !is_checked(clause));
    let unknown = checks.iter().find(|check| !clauses.contains(&check.clause.as_str()));
    let unchecked = unchecked.map(|clause| format!("`{clause}` was never checked"));
    unchecked.or_else(|| unknown.map(|check| format!("`{}` is none of its clauses", check.clause)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_sim::cluster::Cluster;

    #[test]
    fn names_are_unique_and_every_case_with_clauses_has_a_scenario() {
        let scenarios = Scenario::all();
        for scenario in &scenarios {
            assert_eq!(scenarios.iter().filter(|other| other.name == scenario.name).count(), 1, "{}", scenario.name);
            assert!(scenario.cases.iter().all(|case| !case.clauses().is_empty()), "{}", scenario.name);
            assert!(scenario.clauses().next().is_some(), "{} shows nothing", scenario.name);
        }
        for case in Case::ALL.iter().filter(|case| !case.clauses().is_empty() && !case.is_read()) {
            assert!(scenarios.iter().any(|scenario| scenario.cases.contains(case)), "{case}");
        }
    }

    fn with_body(body: Body) -> Scenario {
        Scenario { body, ..Scenario::named("handshake").unwrap() }
    }

    fn message(scenario: &Scenario) -> String {
        let outcome = scenario.run(scenario.seed, StoreChoice::Memory);
        outcome.failure.map_or(String::new(), |failure| failure.message().to_owned())
    }

    #[test]
    fn a_clause_that_is_not_checked_is_a_failure() {
        assert_eq!(message(&with_body(|_| Box::pin(async {}))), "`session established` was never checked");
    }

    #[test]
    fn a_check_that_does_not_hold_and_a_check_that_is_no_clause_are_failures() {
        fn all(cluster: &mut Cluster, holds: bool) {
            for clause in Case::D1_1.clauses() {
                cluster.check(clause, holds, "seen");
            }
        }
        assert_eq!(message(&with_body(|cluster| Box::pin(async { all(cluster, true) }))), "");
        let failed = message(&with_body(|cluster| Box::pin(async { all(cluster, false) })));
        assert_eq!(failed, "`session established` does not hold: seen");
        let other = message(&with_body(|cluster| {
            Box::pin(async {
                all(cluster, true);
                cluster.check("something else", true, "");
            })
        }));
        assert_eq!(other, "`something else` is none of its clauses");
    }
}

//! Stored cases: a run as a file, with everything that is needed to make it again elsewhere and what came of it.
//!
//! A case always states how the run ends. It carries the digest of its history where the very same run is wanted: what a
//! sweep found, to be looked at by the build that found it. A case that is kept for good has none, because every change of
//! the engine's messages or records changes every digest; it names the situations it is kept for instead, so that it
//! does not pass because nothing happens in it any more.

use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_sim::outcome::{Failure, Outcome};
use kuzusync_sim::reading::{self, BadFile};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Run, Script, simulate};
use kuzusync_sim::sometimes;
use kuzusync_sim::step::{PLAN_VERSION, Plan};
use kuzusync_sim::store::StoreChoice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the format of stored cases.
pub const STORED_VERSION: u32 = 1;

/// A run as a file, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredCase {
    /// The version of the format: by what rules to read it.
    #[schemars(range(min = 1, max = STORED_VERSION))]
    pub case_version: u32,
    /// What happens in it and why it is kept, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// From which everything is drawn.
    pub seed: Seed,
    /// What the replicas feed.
    pub store: StoreChoice,
    /// The planted bug, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// What happens.
    pub plan: Plan,
    /// How it failed; `null` if it passed.
    pub failure: Option<Failure>,
    /// The situations it is kept for, by the names that a sweep prints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<String>,
    /// The digest of its history; without one any history will do that ends as stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A run beside what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whether its history is the stored one, byte for byte; `None` if the case carries no digest.
    pub is_same_history: Option<bool>,
    /// Whether it ends as stated: it passes, or fails of the same thing.
    pub ends_as_stated: bool,
    /// The situations the case is kept for and the run did not reach.
    pub unreached: Vec<String>,
}

impl Comparison {
    /// Whether the case is what it says.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_same_history != Some(false) && self.ends_as_stated && self.unreached.is_empty()
    }
}

impl StoredCase {
    /// Runs a plan and stores the run with its outcome.
    #[must_use]
    pub fn run(seed: Seed, store: StoreChoice, bug: Option<Bug>, plan: Plan) -> (StoredCase, Outcome) {
        let outcome = run_plan(seed, store, bug, &plan);
        (StoredCase::of(plan, store, bug.map(|bug| bug.name().to_owned()), &outcome), outcome)
    }

    /// A run of a plan as a case.
    #[must_use]
    pub fn of(plan: Plan, store: StoreChoice, bug: Option<String>, outcome: &Outcome) -> StoredCase {
        StoredCase {
            case_version: STORED_VERSION,
            story: None,
            seed: outcome.seed,
            store,
            bug,
            plan,
            failure: outcome.failure.clone(),
            reaches: Vec::new(),
            digest: Some(outcome.digest),
        }
    }

    /// The run beside what is stored of it. Without a digest failures are the same if their signatures are: messages name
    /// replicas and times.
    #[must_use]
    pub fn compare(&self, outcome: &Outcome) -> Comparison {
        let signature = |failure: &Option<Failure>| failure.as_ref().map(Failure::signature);
        let ends_as_stated = match self.digest {
            Some(_) => self.failure == outcome.failure,
            None => signature(&self.failure) == signature(&outcome.failure),
        };
        let reached = sometimes::reached(outcome);
        let unreached = self.reaches.iter().filter(|name| !reached.contains(name.as_str())).cloned().collect();
        Comparison { is_same_history: self.digest.map(|digest| digest == outcome.digest), ends_as_stated, unreached }
    }

    /// Makes the run again.
    ///
    /// # Errors
    /// If its planted bug is none that this build knows.
    pub fn replay(&self) -> Result<Outcome, String> {
        let bug = match &self.bug {
            None => None,
            Some(name) => {
                if !cfg!(feature = "planted-bugs") {
                    return Err(format!(
                        "it plants the bug `{name}`, which this build does not carry; replay it with `cargo run --release \
                         --features planted-bugs --bin kuzusync-planted -- replay FILE`"
                    ));
                }
                Some(Bug::named(name).ok_or_else(|| format!("it plants the unknown bug `{name}`"))?)
            }
        };
        Ok(run_plan(self.seed, self.store, bug, &self.plan))
    }

    /// Reads a stored case.
    ///
    /// # Errors
    /// What is wrong and where; a newer format is called newer.
    pub fn from_json(text: &str) -> Result<StoredCase, BadFile> {
        let versions = [("case_version", STORED_VERSION), ("plan.version", PLAN_VERSION)];
        let stored: StoredCase = reading::read(text, &versions)?;
        stored.plan.check().map_err(|error| error.in_file(text, "plan."))?;
        Ok(stored)
    }

    /// Whether a file is meant as a stored case: it says by which version of their format.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json.get("case_version").is_some())
    }
}

fn run_plan(seed: Seed, store: StoreChoice, bug: Option<Bug>, plan: &Plan) -> Outcome {
    simulate(&Run { seed, options: &plan.options, store, script: Script::Plan(&plan.steps), bug })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{self, Profile};
    use kuzusync_sim::reading::Problem;

    #[test]
    fn a_stored_case_replays_to_the_same_digest() {
        let plan = swarm::plan(Profile::Default, Seed(4));
        let (stored, outcome) = StoredCase::run(Seed(4), StoreChoice::Memory, None, plan);
        let json = serde_json::to_string(&stored).unwrap();
        let read = StoredCase::from_json(&json).unwrap();
        assert_eq!(read, stored);
        assert_eq!(read.replay().unwrap().digest, outcome.digest);
    }

    #[test]
    fn a_case_holds_only_while_it_is_what_it_says() {
        let (stored, outcome) =
            StoredCase::run(Seed(4), StoreChoice::Memory, None, swarm::plan(Profile::Default, Seed(4)));
        assert!(stored.compare(&outcome).holds());
        let (_, other) = StoredCase::run(Seed(5), StoreChoice::Memory, None, stored.plan.clone());
        assert_eq!(stored.compare(&other).is_same_history, Some(false));
        let kept = StoredCase { digest: None, ..stored };
        assert!(kept.compare(&other).holds(), "any history that ends as stated");
        let mut failed = other.clone();
        failed.failure = Some(Failure::Crash { message: "at line 7".into() });
        assert!(!kept.compare(&failed).ends_as_stated);
        let failing = StoredCase { failure: Some(Failure::Crash { message: "at line 8".into() }), ..kept.clone() };
        assert!(failing.compare(&failed).holds(), "numbers in a message do not matter without a digest");
        assert!(!StoredCase { digest: Some(failed.digest), ..failing }.compare(&failed).holds());
        let vacuous = StoredCase { reaches: vec!["nothing_of_this_kind".into()], ..kept };
        assert_eq!(vacuous.compare(&other).unreached, ["nothing_of_this_kind"]);
        assert!(!vacuous.compare(&other).holds());
    }

    #[test]
    fn malformed_and_newer_files_are_refused_as_what_they_are() {
        let refused = |text: &str| StoredCase::from_json(text).unwrap_err();
        assert!(matches!(refused("[]").problem, Problem::Malformed(_)));
        assert!(matches!(refused(r#"{"case_version": 9}"#).problem, Problem::Newer { found: 9, .. }));
        let newer_plan = refused(r#"{"case_version": 1, "plan": {"version": 2}}"#);
        assert!(matches!(newer_plan.problem, Problem::Newer { found: 2, .. }));
        assert_eq!(newer_plan.place.field, "plan.version");
        let no_replicas = "{\"case_version\": 1, \"seed\": 0, \"store\": \"memory\", \"failure\": null, \"plan\":\n{\"version\": 1, \
                           \"options\": {\"replicas\": 0}, \"steps\": []}}";
        let place = refused(no_replicas).place;
        assert_eq!((place.line, place.column, place.field.as_str()), (2, 40, "plan.options.replicas"));
    }
}

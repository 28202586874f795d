//! Stored cases: a run as a file, with everything that is needed to make it again elsewhere.

use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_sim::outcome::{Failure, Outcome};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Run, Script, simulate};
use kuzusync_sim::step::{Plan, PlanError};
use kuzusync_sim::store::StoreChoice;
use serde::{Deserialize, Serialize};

/// The version of the format of stored cases.
pub const STORED_VERSION: u32 = 1;

/// A run as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCase {
    /// [`STORED_VERSION`] when it was written.
    pub case_version: u32,
    /// From which everything is drawn.
    pub seed: Seed,
    /// What the replicas feed.
    pub store: StoreChoice,
    /// The planted bug, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// What happens.
    pub plan: Plan,
    /// How it failed.
    pub failure: Option<Failure>,
    /// The digest of its history.
    pub digest: Digest,
}

impl StoredCase {
    /// Runs a plan and stores the run with its outcome.
    #[must_use]
    pub fn run(seed: Seed, store: StoreChoice, bug: Option<Bug>, plan: Plan) -> (StoredCase, Outcome) {
        let outcome = run_plan(seed, store, bug, &plan);
        let (failure, digest) = (outcome.failure.clone(), outcome.digest);
        let bug = bug.map(|bug| bug.name().to_owned());
        (StoredCase { case_version: STORED_VERSION, seed, store, bug, plan, failure, digest }, outcome)
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
    /// What is wrong with it; a newer format is called newer.
    pub fn from_json(text: &str) -> Result<StoredCase, PlanError> {
        let malformed = |error: serde_json::Error| PlanError::Malformed(error.to_string());
        let value: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
        let version = |value: &serde_json::Value, field: &str| value.get(field).and_then(serde_json::Value::as_u64);
        let newest = [
            (version(&value, "case_version"), STORED_VERSION),
            (value.get("plan").and_then(|plan| version(plan, "version")), kuzusync_sim::step::PLAN_VERSION),
        ];
        for (found, known) in newest {
            match found {
                Some(found) if found > u64::from(known) => return Err(PlanError::Newer { found }),
                Some(1..) => {}
                _ => {
                    return Err(PlanError::Malformed("it has no `case_version` and no `plan` with a `version`".into()));
                }
            }
        }
        let stored: StoredCase = serde_json::from_str(text).map_err(malformed)?;
        stored.plan.check()?;
        Ok(stored)
    }
}

fn run_plan(seed: Seed, store: StoreChoice, bug: Option<Bug>, plan: &Plan) -> Outcome {
    simulate(&Run { seed, options: &plan.options, store, script: Script::Plan(&plan.steps), bug })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{self, Profile};

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
    fn malformed_and_newer_files_are_refused_as_what_they_are() {
        assert!(matches!(StoredCase::from_json("[]"), Err(PlanError::Malformed(_))));
        assert!(matches!(StoredCase::from_json(r#"{"case_version": 9}"#), Err(PlanError::Newer { found: 9 })));
        let newer_plan = r#"{"case_version": 1, "plan": {"version": 2}}"#;
        assert!(matches!(StoredCase::from_json(newer_plan), Err(PlanError::Newer { found: 2 })));
    }
}

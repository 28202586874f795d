//! `kuzusync replay`: a stored case, and whether it is still the same run.

use std::path::PathBuf;

use clap::Args;
use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::outcome::{Failure, Outcome};
use serde_json::json;

use super::console::Console;
use super::run::{page, read, run_plan};
use super::{End, Stop, built};
use crate::provenance::{program, quoted};

const EXAMPLES: &str = "Examples:
  kuzusync replay out/cases/seed-17.json
  kuzusync replay out/cases/seed-17.json --json

The exit code is that of the failure, 0 if there is none any more, and 5 if the history is another than the stored one: then the
file was made by another version, or the run does not depend on its seed alone.";

/// What `replay` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A stored case
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let stored = stored_case(arguments)?;
    let StoredCase { seed, store, .. } = stored;
    let (plan, outcome) = run_plan(stored.plan.clone(), seed, store, stored.bug.clone())?;
    let comparison = Comparison::of(&stored, &outcome);
    if arguments.json {
        let mut document = super::state::json(&outcome);
        document["stored"] = json!({
            "digest": stored.digest,
            "is_same_digest": comparison.is_same_digest,
            "is_same_failure": comparison.is_same_failure,
        });
        console.json(&document)?;
    } else {
        let again = format!("{} replay {}", program(), quoted(&arguments.file));
        console.print(&page(&outcome, Some(&plan), &again, console.columns()))?;
        console.print(&comparison.text(&stored, outcome.digest))?;
    }
    let digest = (!comparison.is_same_digest).then_some(5);
    Ok(digest.or(outcome.failure.as_ref().map(Failure::exit_code)).unwrap_or(0))
}

fn stored_case(arguments: &Arguments) -> Result<StoredCase, Stop> {
    let path = arguments.file.display();
    let bad = |error| Stop::usage(format!("`{path}` cannot be replayed: {error}"));
    let stored = StoredCase::from_json(&read(&arguments.file)?).map_err(bad)?;
    built(stored.store)?;
    if let Some(bug) = &stored.bug {
        super::carries_bugs()?;
        Bug::named(bug)
            .ok_or_else(|| Stop::usage(format!("`{path}` plants the bug `{bug}`, which this build has not")))?;
    }
    Ok(stored)
}

/// A run beside what is stored of it.
struct Comparison {
    is_same_digest: bool,
    is_same_failure: bool,
}

impl Comparison {
    fn of(stored: &StoredCase, outcome: &Outcome) -> Self {
        let is_same_digest = stored.digest == outcome.digest;
        Comparison { is_same_digest, is_same_failure: stored.failure == outcome.failure }
    }

    fn text(&self, stored: &StoredCase, found: Digest) -> String {
        let history = match self.is_same_digest {
            true => format!("The history is the stored one, byte for byte (digest {found})."),
            false => format!("The history is NOT the stored one: digest {found}, stored {}.", stored.digest),
        };
        let failure = match (self.is_same_failure, &stored.failure) {
            (true, Some(_)) => "It fails as stored.".to_owned(),
            (true, None) => "It passes as stored.".to_owned(),
            (false, Some(failure)) => format!("It does not fail as stored: {}.", failure.message()),
            (false, None) => "It was stored as passing.".to_owned(),
        };
        format!("{history} {failure}\n")
    }
}

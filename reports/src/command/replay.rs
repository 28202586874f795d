//! `kuzusync replay`: a stored case, and whether it is still what it says.

use std::path::PathBuf;

use clap::Args;
use kuzusync_core::id::Digest;
use kuzusync_scenarios::stored::{Comparison, StoredCase};
use kuzusync_sim::outcome::{Failure, gravest};
use serde_json::json;

use super::console::Console;
use super::limits::Limits;
use super::run::{case_file, page, read};
use super::{End, Stop, built};
use crate::provenance::{program, quoted};
use crate::worker::Request;

const EXAMPLES: &str = "Examples:
  kuzusync replay out/cases/seed-17.json
  kuzusync replay out/cases/seed-17.json --json

The exit code is that of the failure, 0 if there is none any more; 5 if the case carries a digest and the history is another: then \
the file was made by another version, or the run does not depend on its seed alone; 6 if a situation is not reached any more that \
the case is kept for.";

/// What `replay` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A stored case
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let stored = case_file(&arguments.file, &read(&arguments.file)?)?;
    built(stored.store)?;
    let run = arguments.limits.launcher()?.outcome(&Request::stored(&stored));
    let (plan, outcome) = run.map_err(Stop::Usage)?;
    let comparison = stored.compare(&outcome);
    if arguments.json {
        let mut document = super::state::json(&outcome);
        document["stored"] = json!({
            "digest": stored.digest,
            "is_same_digest": comparison.is_same_history,
            "is_same_failure": comparison.ends_as_stated,
            "unreached": comparison.unreached,
        });
        console.json(&document)?;
    } else {
        let again = format!("{} replay {}", program(), quoted(&arguments.file));
        console.print(&page(&outcome, plan.as_ref(), &again, console.columns()))?;
        console.print(&text(&comparison, &stored, outcome.digest))?;
    }
    let history = (comparison.is_same_history == Some(false)).then_some(5);
    let situations = (!comparison.unreached.is_empty()).then_some(6);
    let failure = outcome.failure.as_ref().map(Failure::exit_code);
    Ok(gravest([history, situations, failure].into_iter().flatten()))
}

fn text(comparison: &Comparison, stored: &StoredCase, found: Digest) -> String {
    let history = match (comparison.is_same_history, stored.digest) {
        (Some(true), _) => format!("The history is the stored one, byte for byte (digest {found}). "),
        (_, Some(digest)) => format!("The history is NOT the stored one: digest {found}, stored {digest}. "),
        (_, None) => String::new(),
    };
    let failure = match (comparison.ends_as_stated, &stored.failure) {
        (true, Some(_)) => "It fails as stored.".to_owned(),
        (true, None) => "It passes as stored.".to_owned(),
        (false, Some(failure)) => format!("It does not fail as stored: {}.", failure.message()),
        (false, None) => "It was stored as passing.".to_owned(),
    };
    let situations = match comparison.unreached.as_slice() {
        [] => String::new(),
        names => format!(" It does not reach what it is kept for: {}.", names.join(", ")),
    };
    format!("{history}{failure}{situations}\n")
}

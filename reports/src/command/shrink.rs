//! `kuzusync shrink`: the smallest plan that still fails like a stored case.

use std::path::{Path, PathBuf};

use clap::Args;
use kuzusync_scenarios::shrink::{self, REPLAYS_MAX, Unshrinkable};
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::outcome::{Failure, Outcome};
use kuzusync_sim::step::Plan;
use serde::Serialize;

use super::console::Console;
use super::limits::Limits;
use super::progress::Meter;
use super::run::{case_file, page, read};
use super::{End, Stop, built, directory};
use crate::provenance::{program, quoted};
use crate::shrinking;
use crate::text::plural;
use crate::worker::Request;

const EXAMPLES: &str = "Examples:
  kuzusync shrink out/cases/seed-17.json -o small.json
  kuzusync shrink out/cases/seed-17.json -o scenarios/cases/lost-update.json --json

What is kept fails with the same class, property and message. At most 300 runs are made and 60 seconds taken. Exit code 0 if \
there is a smaller plan or none is possible, 2 if the case does not fail as stored, 5 if two runs of one plan differ.";

/// What `shrink` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A stored case that fails
    file: PathBuf,
    /// Where to write the smaller case
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

/// What shrinking came to. Its fields are part of the interface.
#[derive(Serialize)]
struct Report {
    signature: String,
    steps_before: usize,
    steps: usize,
    faults_before: usize,
    faults: usize,
    replays: u32,
    is_smallest: bool,
    file: String,
    replay: String,
    test: String,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let stored = case_file(&arguments.file, &read(&arguments.file)?)?;
    built(stored.store)?;
    let Some(failure) = &stored.failure else {
        let file = arguments.file.display();
        return Err(Stop::usage(format!("`{file}` is a case that passes; only a failure can be shrunk")));
    };
    directory::probe(&arguments.output)?;
    let (launcher, meter) = (arguments.limits.launcher()?, Meter::new());
    let tell = |runs: u32, steps: usize| {
        meter.tell(&format!("shrinking: run {runs} of {REPLAYS_MAX}, {}", plural(steps, "step")))
    };
    let shrunk = shrinking::shrink(&stored, &launcher, tell);
    meter.finish();
    let shrunk = match shrunk {
        Ok(shrunk) => shrunk,
        Err(error @ Unshrinkable::Nondeterminism { .. }) => {
            console.complain(&format!("`{}` cannot be shrunk: {error}", arguments.file.display()));
            return Ok(5);
        }
        Err(error @ Unshrinkable::OtherFailure { .. }) => {
            let file = quoted(&arguments.file);
            let look = format!("look at it with `{} replay {file}`", program());
            return Err(Stop::usage(format!(
                "`{}` does not fail as stored: {error}; {look}",
                arguments.file.display()
            )));
        }
    };
    let (plan, outcome) = outcome_of(&stored, &shrunk.plan, &launcher)?;
    let small = StoredCase {
        story: stored.story.clone(),
        ..StoredCase::of(shrunk.plan, stored.store, stored.bug.clone(), &outcome)
    };
    directory::write_json(&arguments.output, &small)?;
    let report = Report {
        signature: failure.signature(),
        steps_before: stored.plan.steps.len(),
        steps: small.plan.steps.len(),
        faults_before: faults(&stored, &launcher)?,
        faults: shrink::faults(&small.plan),
        replays: shrunk.replays,
        is_smallest: shrunk.is_smallest,
        file: arguments.output.to_string_lossy().into_owned(),
        replay: format!("{} replay {}", program(), quoted(&arguments.output)),
        test: test(&small, &arguments.output),
    };
    if arguments.json {
        console.json(&report)?;
    } else {
        console.print(&page(&outcome, plan.as_ref(), &report.replay, console.columns()))?;
        console.print(&text(&report))?;
    }
    Ok(0)
}

fn outcome_of(
    stored: &StoredCase,
    plan: &Plan,
    launcher: &crate::worker::Launcher,
) -> Result<(Option<Plan>, Outcome), Stop> {
    let request = Request { bug: stored.bug.clone(), ..Request::plan(plan.clone(), stored.seed, stored.store) };
    launcher.outcome(&request).map_err(Stop::Usage)
}

/// What goes wrong in a case, the messages concerned included.
fn faults(stored: &StoredCase, launcher: &crate::worker::Launcher) -> Result<usize, Stop> {
    let (_, outcome) = outcome_of(stored, &stored.plan, launcher)?;
    let mut plan = stored.plan.clone();
    plan.options.links.faulty_messages = Some(shrink::faulty_messages(&outcome.events));
    Ok(shrink::faults(&plan))
}

fn text(report: &Report) -> String {
    let Report { steps_before, steps, faults_before, faults, replays, file, test, .. } = report;
    let end =
        if report.is_smallest { "nothing more can go" } else { "runs or time ran out before everything was tried" };
    format!(
        "\n{} became {steps}, {} became {faults}, in {}: {end}.\nWritten to {file}. As a test:\n\n{test}",
        plural(*steps_before, "step"),
        plural(*faults_before, "fault"),
        plural(*replays as usize, "run"),
    )
}

/// A test that fails until the bug is gone.
fn test(small: &StoredCase, file: &Path) -> String {
    let property = small.failure.as_ref().and_then(Failure::property).map_or("failure", |property| property.name());
    let message = small.failure.as_ref().map_or("", Failure::message);
    format!(
        "/// {message}.\n#[test]\nfn seed_{}_{property}() {{\n    let case = StoredCase::from_json(include_str!({:?})).unwrap();\n    \
         assert_eq!(case.replay().unwrap().failure, None);\n}}\n",
        small.seed.0, file
    )
}

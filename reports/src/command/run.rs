//! `kuzusync run`: one scenario, or a plan from a file, and its page.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::Profile;
use kuzusync_sim::outcome::{Failure, Outcome};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::Plan;
use kuzusync_sim::store::StoreChoice;

use super::console::Console;
use super::nearest::did_you_mean;
use super::{End, Stop, built, directory, state};
use crate::provenance::{Provenance, program, quoted};
use crate::worker::Request;
use crate::{failure, scenario_page, timeline};

const EXAMPLES: &str = "Examples:
  kuzusync run concurrent-update
  kuzusync run concurrent-update --store both --json
  kuzusync run my-plan.json --seed 7 --trace events.ndjson

A plan is a JSON file: {\"version\": 1, \"options\": {\"replicas\": 3}, \"steps\": [{\"wait\": {\"ms\": 50}}, …]}; a stored case
holds one under \"plan\".";

/// What `run` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The name of a scenario, a file with a plan, or a stored case
    #[arg(value_name = "SCENARIO|PLAN.json")]
    what: String,
    /// From which everything is drawn [default: the scenario's own, 0 for a plan]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// What all replicas feed: memory, kuzu or both [default: memory]
    #[arg(long, value_name = "S", value_parser = str::parse::<StoreChoice>)]
    store: Option<StoreChoice>,
    /// Where to write every event, a line of JSON each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is to be run.
enum Target {
    Scenario(Box<Scenario>),
    Plan { plan: Plan, seed: Option<Seed>, store: Option<StoreChoice>, bug: Option<String> },
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let target = target(&arguments.what)?;
    let own_store = match &target {
        Target::Plan { store, .. } => *store,
        Target::Scenario(_) => None,
    };
    let store = built(arguments.store.or(own_store).unwrap_or(StoreChoice::Memory))?;
    if let Some(trace) = &arguments.trace {
        directory::probe(trace)?;
    }
    let (plan, outcome) = match &target {
        Target::Scenario(scenario) => (None, scenario.run(arguments.seed.map_or(scenario.seed, Seed), store)),
        Target::Plan { plan, seed, bug, .. } => {
            let seed = arguments.seed.map(Seed).or(*seed).unwrap_or(Seed(0));
            let (plan, outcome) = run_plan(plan.clone(), seed, store, bug.clone())?;
            (Some(plan), outcome)
        }
    };
    if let Some(trace) = &arguments.trace {
        directory::write(trace, &state::trace(&outcome))?;
    }
    if arguments.json {
        console.json(&state::json(&outcome))?;
    } else {
        let columns = console.columns();
        console.print(&match &target {
            Target::Scenario(scenario) if outcome.failure.is_none() => {
                format!("{}\n{}", scenario_page::page(scenario, &outcome, columns), pass(&outcome))
            }
            _ => page(&outcome, plan.as_ref(), &again(&arguments.what, outcome.seed, store), columns),
        })?;
    }
    Ok(outcome.failure.as_ref().map_or(0, Failure::exit_code))
}

fn target(what: &str) -> Result<Target, Stop> {
    let scenarios = Scenario::all();
    if let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == what) {
        return Ok(Target::Scenario(Box::new(scenario.clone())));
    }
    let path = Path::new(what);
    if path.exists() || path.extension().is_some() || what.contains(std::path::MAIN_SEPARATOR) {
        return plan_file(path);
    }
    let meant = did_you_mean(what, scenarios.iter().map(|scenario| scenario.name));
    Err(Stop::usage(format!(
        "there is no scenario `{what}` and no such file; {meant}`kuzusync list` shows every scenario"
    )))
}

fn plan_file(path: &Path) -> Result<Target, Stop> {
    let text = read(path)?;
    let is_case = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json.get("case_version").is_some());
    let bad = |error| Stop::usage(format!("`{}` cannot be used: {error}", path.display()));
    if !is_case {
        let plan = Plan::from_json(&text).map_err(bad)?;
        return Ok(Target::Plan { plan, seed: None, store: None, bug: None });
    }
    let StoredCase { plan, seed, store, bug, .. } = StoredCase::from_json(&text).map_err(bad)?;
    if bug.is_some() {
        super::carries_bugs()?;
    }
    Ok(Target::Plan { plan, seed: Some(seed), store: Some(store), bug })
}

/// A file as text.
pub fn read(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path).map_err(|error| Stop::usage(format!("`{}` cannot be read: {error}", path.display())))
}

/// Runs a plan from a file.
pub fn run_plan(plan: Plan, seed: Seed, store: StoreChoice, bug: Option<String>) -> Result<(Plan, Outcome), Stop> {
    let profile = Profile::Default.to_string();
    let request = Request { seed, store, profile, bug, plan: Some(plan), wants_events: false };
    super::workers(Some(1))?.launcher.outcome(&request).map_err(Stop::Usage)
}

/// The command that makes the run again.
fn again(what: &str, Seed(seed): Seed, store: StoreChoice) -> String {
    format!("{} run {} --seed {seed} --store {store}", program(), quoted(Path::new(what)))
}

/// The page of a run: of its failure, or how it went and what came of it.
pub fn page(outcome: &Outcome, plan: Option<&Plan>, again: &str, columns: usize) -> String {
    if outcome.failure.is_some() {
        return failure::page(outcome, plan, &Provenance::of_this_build(again), again, columns);
    }
    format!("{}\n{}\n{}", timeline::text(outcome, columns), state::text(outcome, columns), pass(outcome))
}

fn pass(outcome: &Outcome) -> String {
    format!("PASS  seed {}, digest {}\n", outcome.seed.0, outcome.digest)
}

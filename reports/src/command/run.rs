//! `kuzusync run`: one scenario, a plan from a file, or the plan of a seed, and its page.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::Profile;
use kuzusync_sim::outcome::{Failure, Outcome};
use kuzusync_sim::reading::{BadFile, Problem};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::Plan;
use kuzusync_sim::store::StoreChoice;

use super::console::Console;
use super::limits::Limits;
use super::nearest::did_you_mean;
use super::{End, Stop, built, directory, state};
use crate::html::{Page, ShownRun};
use crate::provenance::{Provenance, program, quoted};
use crate::worker::Request;
use crate::{failure, scenario_page, timeline};

const EXAMPLES: &str = "Examples:
  kuzusync run concurrent-update
  kuzusync run concurrent-update --store both --json
  kuzusync run my-plan.json --seed 7 --trace events.ndjson
  kuzusync run schema-state --html page.html            the diagram, every replica at every moment, the schema's versions
  kuzusync run --profile default --seed 17              the plan that a sweep makes of seed 17
  kuzusync run my-plan.json --case scenarios/cases/lost-name.json

A plan is a JSON file: {\"version\": 1, \"options\": {\"replicas\": 3}, \"steps\": [{\"wait\": {\"ms\": 50}}, …]}. \
`kuzusync schema plan` tells what it may hold. A stored case holds a plan under \"plan\"; run with --case on itself it is \
brought up to date.

--json prints what each replica ended with: {\"verdict\", \"class\", \"digest\", \"replicas\": [{\"id\", \"role\", \
\"schema\", \"nodes\", \"edges\", \"queue\", \"audit\"}]}.

The exit code is that of the failure: 1 safety, 3 liveness, 4 crash, 5 nondeterminism, 7 time limit, 8 the harness itself.";

/// What `run` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The name of a scenario, a file with a plan, or a stored case
    #[arg(value_name = "SCENARIO|PLAN.json", required_unless_present = "profile", conflicts_with = "profile")]
    what: Option<String>,
    /// Run the plan that this profile makes of the seed: default, quiet, flaky, hostile, schema, offline, server or transactions
    #[arg(long, value_name = "P", value_parser = str::parse::<Profile>)]
    profile: Option<Profile>,
    /// From which everything is drawn [default: the scenario's or the case's own, 0 for a plan]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// What all replicas feed: memory, kuzu, kuzu-disk or both [default: the case's own, else memory]
    #[arg(long, value_name = "S", value_parser = str::parse::<StoreChoice>)]
    store: Option<StoreChoice>,
    /// Where to write every event, a line of JSON each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Where to write the run as one HTML page
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Queries in Cypher, of which the page lists the filters without an index
    #[arg(long, value_name = "FILE", requires = "html")]
    queries: Option<PathBuf>,
    /// Where to write the run as a stored case
    #[arg(long, value_name = "FILE")]
    case: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

/// What is to be run.
enum Target {
    Scenario(Box<Scenario>),
    Plan(Box<Plan>),
    Case(Box<StoredCase>),
    Generated(Profile),
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let target = match (&arguments.what, arguments.profile) {
        (Some(what), _) => target(what)?,
        (None, profile) => Target::Generated(profile.expect("the command line has a target or a profile")),
    };
    if arguments.case.is_some() && matches!(target, Target::Scenario(_)) {
        return Err(Stop::usage("a scenario is code and has no plan that a case could hold; give `--case` a plan"));
    }
    let request = request(&target, arguments)?;
    for file in arguments.trace.iter().chain(&arguments.case).chain(&arguments.html) {
        directory::probe(file)?;
    }
    let queries = super::report::queries(arguments.queries.as_deref())?;
    let (plan, outcome) = arguments.limits.launcher()?.outcome(&request).map_err(Stop::Usage)?;
    if let Some(file) = &arguments.trace {
        directory::write(file, &state::trace(&outcome))?;
    }
    if let (Some(file), Some(plan)) = (&arguments.case, &plan) {
        directory::write_json(file, &case(&target, plan, &request, &outcome))?;
    }
    if let Some(file) = &arguments.html {
        let replay = again(arguments, &request);
        let mut page = Page::new(format!("kuzusync: {}", title(&target)), &Provenance::of_this_build(replay.as_str()));
        page.run(&ShownRun {
            label: format!("{}, seed {}", title(&target), outcome.seed.0),
            outcome: &outcome,
            plan: plan.as_ref(),
            replay,
            story: story(&target),
            signature: None,
            queries: &queries,
        });
        directory::write(file, &page.to_html())?;
    }
    if arguments.json {
        console.json(&state::json(&outcome))?;
    } else {
        let columns = console.columns();
        console.print(&match &target {
            Target::Scenario(scenario) if outcome.failure.is_none() => {
                format!("{}\n{}", scenario_page::page(scenario, &outcome, columns), pass(&outcome))
            }
            _ => page(&outcome, plan.as_ref(), &again(arguments, &request), columns),
        })?;
    }
    Ok(outcome.failure.as_ref().map_or(0, Failure::exit_code))
}

fn title(target: &Target) -> String {
    match target {
        Target::Scenario(scenario) => scenario.name.to_owned(),
        Target::Plan(_) => "a plan".to_owned(),
        Target::Case(_) => "a stored case".to_owned(),
        Target::Generated(profile) => format!("a plan of profile {profile}"),
    }
}

fn story(target: &Target) -> Option<&str> {
    match target {
        Target::Scenario(scenario) => Some(scenario.story),
        Target::Case(stored) => stored.story.as_deref(),
        Target::Plan(_) | Target::Generated(_) => None,
    }
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
    if StoredCase::is_meant(&text) {
        return case_file(path, &text).map(|stored| Target::Case(Box::new(stored)));
    }
    Plan::from_json(&text).map(|plan| Target::Plan(Box::new(plan))).map_err(|error| unusable(path, &error, "plan"))
}

/// A stored case that this build can run.
pub fn case_file(path: &Path, text: &str) -> Result<StoredCase, Stop> {
    let stored = StoredCase::from_json(text).map_err(|error| unusable(path, &error, "case"))?;
    if let Some(bug) = &stored.bug {
        super::planted(bug)?;
    }
    Ok(stored)
}

/// A file as text.
pub fn read(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path).map_err(|error| Stop::usage(format!("`{}` cannot be read: {error}", path.display())))
}

fn unusable(path: &Path, error: &BadFile, format: &str) -> Stop {
    let remedy = match error.problem {
        Problem::Malformed(_) => format!("; `kuzusync schema {format}` tells what it may hold"),
        Problem::Newer { .. } | Problem::OutOfRange { .. } => String::new(),
    };
    Stop::usage(format!("`{}` cannot be used: {error}{remedy}", path.display()))
}

/// The run of a target, with what the command line says instead of its own.
fn request(target: &Target, arguments: &Arguments) -> Result<Request, Stop> {
    let own = match target {
        Target::Scenario(scenario) => Request::scenario(scenario.name, scenario.seed, StoreChoice::Memory),
        Target::Plan(plan) => Request::plan(plan.as_ref().clone(), Seed(0), StoreChoice::Memory),
        Target::Case(stored) => Request::stored(stored),
        Target::Generated(profile) => Request::generated(Seed(0), StoreChoice::Memory, *profile, None),
    };
    let store = built(arguments.store.unwrap_or(own.store))?;
    Ok(Request { seed: arguments.seed.map_or(own.seed, Seed), store, ..own })
}

/// The run as a case. What people wrote into the case that was run stays, and it gets a digest only if it had one.
fn case(target: &Target, plan: &Plan, request: &Request, outcome: &Outcome) -> StoredCase {
    let case = StoredCase::of(plan.clone(), request.store, request.bug.clone(), outcome);
    match target {
        Target::Case(stored) => StoredCase {
            story: stored.story.clone(),
            reaches: stored.reaches.clone(),
            digest: case.digest.filter(|_| stored.digest.is_some()),
            ..case
        },
        _ => case,
    }
}

/// The command that makes the run again.
fn again(arguments: &Arguments, request: &Request) -> String {
    let (Seed(seed), store) = (request.seed, request.store);
    let what = match (&arguments.what, arguments.profile) {
        (Some(what), _) => quoted(Path::new(what)),
        (None, profile) => profile.map_or(String::new(), |profile| format!("--profile {profile}")),
    };
    format!("{} run {what} --seed {seed} --store {store}", program())
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

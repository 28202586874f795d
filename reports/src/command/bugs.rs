//! `kuzusync bugs`: whether the sweep finds bugs that are known to be there.
//!
//! Each planted bug is hunted by itself, seed after seed, until a run fails that passes without it. The canary is a bug that
//! nothing can hide: a harness that misses it is broken. What is found is shrunk, so that the table says how small a history
//! each bug needs.

use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::operation::FINDS;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_scenarios::shrink::{self, FAULTS_FEW, REPLAYS_MAX, STEPS_FEW};
use kuzusync_scenarios::stored::{STORED_VERSION, StoredCase};
use kuzusync_scenarios::swarm::{self, Profile};
use kuzusync_sim::outcome::{Failure, Outcome, Property};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::store::StoreChoice;
use serde::Serialize;

use super::console::Console;
use super::directory::{self, Directory};
use super::limits::Limits;
use super::progress::Meter;
use super::seeds::SeedArguments;
use super::{End, Stop};
use crate::failure;
use crate::provenance::{Provenance, program, quoted};
use crate::shrinking;
use crate::text::plural;
use crate::worker::{Answer, Crew, Request};

/// Seeds within which a bug has to be found.
const SEEDS: u64 = 200;

/// Failures of one bug that are shrunk at most.
const SHRUNK_MAX: u32 = 5;

/// Seeds without faults that are tried.
const QUIET_SEEDS: u64 = 50;

/// Where a bug is looked for: what replicas vote on, among plans that vote.
fn profile(bug: Bug) -> Profile {
    match bug {
        Bug::VoteBeforeDurable | Bug::CommitsOnTimeout | Bug::PreparedForgotten => Profile::Transactions,
        _ => Profile::Default,
    }
}

const EXAMPLES: &str = "Examples (with `kuzusync-planted`, the build that carries them):
  kuzusync-planted bugs
  kuzusync-planted bugs --count 500 --out out
  kuzusync-planted bugs --seeds 5000..5200 --json

Each bug is looked for in the given seeds and what is found is shrunk. Exit code 1 if a bug is missed, or if more than 10 \
steps and 3 faults are left of each of its first 5 failures.";

/// What `bugs` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    seeds: SeedArguments,
    /// Worker processes [default: as many as there are processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Where to put a stored case for each bug
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

/// A bug and a run that shows it.
struct Hunt {
    bug: Bug,
    /// Seeds until one showed it, or all that were tried.
    seeds: u64,
    found: Option<Found>,
}

struct Found {
    answer: Answer,
    failure: Failure,
    /// Whether every second run in another process is the same run, also while its plan is made smaller.
    replays: bool,
    /// Runs that were made to shrink it.
    runs: u32,
    /// What shrinking took.
    shrinking: Duration,
    /// The case with the smallest plan.
    small: StoredCase,
    /// The run of that plan.
    outcome: Outcome,
}

impl Found {
    /// How much is left of it.
    fn left(&self) -> usize {
        self.small.plan.steps.len() + shrink::faults(&self.small.plan)
    }

    fn is_small(&self) -> bool {
        self.small.plan.steps.len() <= STEPS_FEW && shrink::faults(&self.small.plan) <= FAULTS_FEW
    }
}

/// A bug that no generated history reaches, and what its scenario says of it.
struct ScriptedHunt {
    bug: Bug,
    scenario: &'static str,
    found: Option<Failure>,
}

#[derive(Serialize)]
struct BugsReport {
    bugs: Vec<BugReport>,
    by_scenario: Vec<ScriptedReport>,
    canary: &'static str,
}

#[derive(Serialize)]
struct BugReport {
    id: &'static str,
    origin: &'static str,
    profile: String,
    found: bool,
    seeds: u64,
    property: Option<&'static str>,
    /// Of the smallest plan.
    steps: Option<usize>,
    faults: Option<usize>,
    /// Runs that were made to shrink it.
    runs: Option<u32>,
    /// What that took.
    shrinking_ms: Option<u64>,
    replays: bool,
}

#[derive(Serialize)]
struct ScriptedReport {
    id: &'static str,
    origin: &'static str,
    scenario: &'static str,
    found: bool,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    super::carries_bugs()?;
    let seeds = arguments.seeds.range(SEEDS)?;
    let crew = arguments.limits.crew(arguments.jobs)?;
    let directory = arguments.out.as_deref().map(Directory::open).transpose()?;
    let (start, end, jobs) = (seeds.start, seeds.end, crew.jobs);
    let first_line = format!("kuzusync bugs --seeds {start}..{end} --jobs {jobs} [store memory]");
    console.note(&first_line, arguments.json)?;
    let meter = Meter::new();
    let hunts: Vec<Hunt> = Bug::ALL.into_iter().map(|bug| hunt(bug, &seeds, &crew, &meter)).collect();
    let scripted: Vec<ScriptedHunt> = FINDS.map(|(bug, scenario)| ask_scenario(bug, scenario, &crew)).into();
    meter.finish();
    let files = store_cases(&hunts, directory.as_ref())?;
    if arguments.json {
        console.json(&report(&hunts, &scripted))?;
    } else {
        console.print(&scripted_text(&scripted))?;
        console.print(&text(&hunts, &files, &crew, console.columns())?)?;
    }
    let is_missed = hunts.iter().any(|hunt| hunt.found.is_none()) || scripted.iter().any(|hunt| hunt.found.is_none());
    let is_long = hunts.iter().filter_map(|hunt| hunt.found.as_ref()).any(|found| !found.is_small());
    Ok(u8::from(is_missed || is_long))
}

/// Tries seeds in order until one shows the bug. Where what is left of it is still long, the next ones that show it are
/// shrunk too, and the smallest is kept.
fn hunt(bug: Bug, seeds: &Range<u64>, crew: &Crew, meter: &Meter) -> Hunt {
    let batch = crew.jobs as u64 * 8;
    let mut hunt = Hunt { bug, seeds: seeds.end - seeds.start, found: None };
    let (mut next, mut shrunk) = (seeds.start, 0);
    while next < seeds.end {
        let size = batch.min(seeds.end - next);
        let request = |place: usize| with_bug(Seed(next + place as u64), Some(bug), profile(bug));
        for answer in crew.answers(size as usize, request).into_iter().flatten() {
            let seed = answer.seed;
            let Some(found) = shows(answer, bug, crew, meter) else { continue };
            if hunt.found.is_none() {
                hunt.seeds = seed.0 - seeds.start + 1;
            }
            if hunt.found.as_ref().is_none_or(|kept| found.left() < kept.left()) {
                hunt.found = Some(found);
            }
            shrunk += 1;
            if shrunk == SHRUNK_MAX || hunt.found.as_ref().is_some_and(Found::is_small) {
                return hunt;
            }
        }
        next += size;
    }
    hunt
}

/// Runs a scenario with a bug; without it the scenario passes.
fn ask_scenario(bug: Bug, scenario: &'static str, crew: &Crew) -> ScriptedHunt {
    let failure = |bug: Option<Bug>| {
        let seed = Scenario::named(scenario).ok()?.seed;
        let bug = bug.map(|bug| bug.name().to_owned());
        let request = Request { bug, ..Request::scenario(scenario, seed, StoreChoice::Memory) };
        crew.launcher.ask(&request).ok().map(|answer| answer.failure)
    };
    let passes_without = matches!(failure(None), Some(None));
    let found = failure(Some(bug)).flatten().filter(|_| passes_without);
    ScriptedHunt { bug, scenario, found }
}

fn with_bug(seed: Seed, bug: Option<Bug>, profile: Profile) -> Request {
    Request::generated(seed, StoreChoice::Memory, profile, bug)
}

/// A run shows a bug when it fails with it and passes without it.
fn shows(answer: Answer, bug: Bug, crew: &Crew, meter: &Meter) -> Option<Found> {
    let failure = answer.failure.clone()?;
    let clean = crew.launcher.ask(&with_bug(answer.seed, None, profile(bug))).ok()?;
    if clean.failure.is_some() {
        return None;
    }
    let again = crew.launcher.ask(&with_bug(answer.seed, Some(bug), profile(bug)));
    let replays = again.is_ok_and(|again| again.digest == answer.digest && again.failure == answer.failure);
    let stored = StoredCase {
        case_version: STORED_VERSION,
        story: None,
        seed: answer.seed,
        store: StoreChoice::Memory,
        bug: Some(bug.name().to_owned()),
        plan: swarm::plan(profile(bug), answer.seed),
        failure: Some(failure.clone()),
        reaches: Vec::new(),
        digest: Some(answer.digest),
    };
    let tell = |runs, steps: usize| {
        meter.tell(&format!("shrinking {}: run {runs} of {REPLAYS_MAX}, {}", bug.name(), plural(steps, "step")));
    };
    let start = Instant::now();
    let shrunk = shrinking::shrink(&stored, &crew.launcher, tell);
    let took = start.elapsed();
    let replays = replays && shrunk.is_ok();
    let (plan, runs) = shrunk.map_or((stored.plan.clone(), 0), |shrunk| (shrunk.plan, shrunk.replays));
    let request = Request { bug: stored.bug.clone(), ..Request::plan(plan.clone(), answer.seed, stored.store) };
    let (_, outcome) = crew.launcher.outcome(&request).ok()?;
    let small = StoredCase::of(plan, stored.store, stored.bug, &outcome);
    Some(Found { answer, failure, replays, runs, shrinking: took, small, outcome })
}

/// The stored case of each bug, if there is a directory.
fn store_cases(hunts: &[Hunt], directory: Option<&Directory>) -> Result<Vec<Option<PathBuf>>, Stop> {
    let store = |hunt: &Hunt| {
        let (Some(directory), Some(found)) = (directory, &hunt.found) else {
            return Ok(None);
        };
        let file = directory.case_file(&format!("{}-seed-{}", hunt.bug.name(), found.answer.seed.0));
        directory::write_json(&file, &found.small)?;
        Ok(Some(file))
    };
    hunts.iter().map(store).collect()
}

fn report(hunts: &[Hunt], scripted: &[ScriptedHunt]) -> BugsReport {
    let is_found = |bug| hunts.iter().any(|hunt| hunt.bug == bug && hunt.found.is_some());
    let bugs = hunts.iter().filter(|hunt| hunt.bug != Bug::Canary).map(bug_report).collect();
    let by_scenario = scripted.iter().map(|ScriptedHunt { bug, scenario, found }| ScriptedReport {
        id: bug.name(),
        origin: bug.origin(),
        scenario,
        found: found.is_some(),
    });
    let by_scenario = by_scenario.collect();
    BugsReport { bugs, by_scenario, canary: if is_found(Bug::Canary) { "found" } else { "missed" } }
}

fn bug_report(hunt: &Hunt) -> BugReport {
    let found = hunt.found.as_ref();
    BugReport {
        id: hunt.bug.name(),
        origin: hunt.bug.origin(),
        profile: profile(hunt.bug).to_string(),
        found: found.is_some(),
        seeds: hunt.seeds,
        property: found.and_then(|found| found.failure.property()).map(Property::name),
        steps: found.map(|found| found.small.plan.steps.len()),
        faults: found.map(|found| shrink::faults(&found.small.plan)),
        runs: found.map(|found| found.runs),
        shrinking_ms: found.map(|found| found.shrinking.as_millis() as u64),
        replays: found.is_some_and(|found| found.replays),
    }
}

fn scripted_text(hunts: &[ScriptedHunt]) -> String {
    let line = |ScriptedHunt { bug, scenario, found }: &ScriptedHunt| match found {
        None => format!("MISSED  {} ({}): scenario {scenario} passes\n", bug.name(), bug.origin()),
        Some(failure) => {
            let (name, origin) = (bug.name(), bug.origin());
            format!("found   {name} ({origin}) by scenario {scenario}: {}\n", failure.signature())
        }
    };
    hunts.iter().map(line).collect()
}

fn text(hunts: &[Hunt], files: &[Option<PathBuf>], crew: &Crew, columns: usize) -> Result<String, Stop> {
    let mut page = String::new();
    for (hunt, file) in hunts.iter().zip(files) {
        let Hunt { bug, seeds, found } = hunt;
        let tried = plural(*seeds as usize, "seed");
        page += &match found {
            None => format!("MISSED  {} ({}): {tried} show nothing\n", bug.name(), bug.origin()),
            Some(found) => {
                let (signature, seed) = (found.failure.signature(), found.answer.seed);
                let replays = if found.replays { "replays to the same digest" } else { "does NOT replay" };
                let again = replay(*bug, seed, file.as_ref());
                let plan = &found.small.plan;
                let left =
                    format!("{} and {}", plural(plan.steps.len(), "step"), plural(shrink::faults(plan), "fault"));
                let (verdict, runs) =
                    (if found.is_small() { "found" } else { "LONG" }, plural(found.runs as usize, "run"));
                let left = format!("{left} left after {runs} in {:.1} s", found.shrinking.as_secs_f64());
                format!(
                    "{verdict:<8}{} ({}) after {tried}, {replays}, {left}: {signature}\n        {again}\n",
                    bug.name(),
                    bug.origin()
                )
            }
        };
    }
    page += &quiet(crew);
    let first = hunts.iter().zip(files).find_map(|(hunt, file)| Some((hunt.bug, hunt.found.as_ref()?, file)));
    let Some((bug, found, file)) = first else {
        return Ok(page);
    };
    let seed = found.answer.seed;
    let again = replay(bug, seed, file.as_ref());
    let provenance = Provenance::of_this_build(format!("{} bugs", program()));
    Ok(format!("{page}\n{}", failure::page(&found.outcome, Some(&found.small.plan), &provenance, &again, columns)))
}

fn replay(bug: Bug, Seed(seed): Seed, file: Option<&PathBuf>) -> String {
    if let Some(file) = file {
        return format!("{} replay {}", program(), quoted(file));
    }
    let (name, profile, end) = (bug.name(), profile(bug), seed + 1);
    format!("{} sweep --seeds {seed}..{end} --profile {profile} --store memory --no-cases --bug {name}", program())
}

/// Whether arrival order matters where nothing goes wrong.
fn quiet(crew: &Crew) -> String {
    let bug = Bug::ArrivalOrder;
    let answers = crew.answers(QUIET_SEEDS as usize, |seed| with_bug(Seed(seed as u64), Some(bug), Profile::Quiet));
    let failed = answers.iter().filter(|answer| !matches!(answer, Ok(Answer { failure: None, .. }))).count();
    format!("without faults {} shows in {failed} of {QUIET_SEEDS} seeds\n", bug.name())
}

//! `kuzusync sweep`: the documented cases, then generated seeds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::shrink::REPLAYS_MAX;
use kuzusync_scenarios::stored::{STORED_VERSION, StoredCase};
use kuzusync_scenarios::swarm::{self, Profile};
use kuzusync_sim::outcome::{Failure, gravest};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::store::StoreChoice;

use super::console::Console;
use super::directory::{self, Directory};
use super::limits::Limits;
use super::progress::Meter;
use super::seeds::SeedArguments;
use super::{End, Stop, built, planted};
use crate::conformance::{self, Conformance, Verdict};
use crate::failure;
use crate::provenance::{Provenance, program, quoted};
use crate::shrinking;
use crate::sweep::{self, BOTH_STORES_EVERY, CaseCounts, Report, Results, Sweep};
use crate::text::plural;
use crate::worker::{Crew, Request};

/// Seeds of a sweep that is not told how many: with Kùzu well under two minutes on two cores.
const SEEDS: u64 = 10_000;

const EXAMPLES: &str = "Examples:
  kuzusync sweep                                      everything, in under two minutes
  kuzusync sweep --count 2000 --store memory          seeds 0 to 1999, memory store only
  kuzusync sweep --seeds 5000..6000 --check 100       all of them a second time
  kuzusync sweep --count 100 --store both --out out   files for each failure, JSON and JUnit in out/

A run that takes longer than --seconds-max is stopped and fails of the time limit; the sweep goes on.
Without --store every fiftieth seed feeds both stores and the others the memory store.";

/// What `sweep` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    seeds: SeedArguments,
    /// What kind of trouble the plans make: default, quiet, flaky, hostile, schema, offline, server or transactions
    #[arg(long, value_name = "P", default_value = "default", value_parser = str::parse::<Profile>)]
    profile: Profile,
    /// What all replicas feed: memory, kuzu, kuzu-disk or both
    #[arg(long, value_name = "S", value_parser = str::parse::<StoreChoice>)]
    store: Option<StoreChoice>,
    /// Worker processes [default: as many as there are processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How many of a hundred seeds are run a second time
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    check: u64,
    /// Fail if a situation that should be reached is not
    #[arg(long)]
    require_sometimes: bool,
    /// Where to put sweep.json, junit.xml and a file for each failure
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Leave the documented cases out
    #[arg(long)]
    no_cases: bool,
    /// Plant a bug (only in kuzusync-planted)
    #[arg(long, value_name = "BUG", hide = !cfg!(feature = "planted-bugs"))]
    bug: Option<String>,
    #[command(flatten)]
    limits: Limits,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let start = Instant::now();
    let (sweep, crew) = (sweep_of(arguments)?, arguments.limits.crew(arguments.jobs)?);
    let directory = arguments.out.as_deref().map(Directory::open).transpose()?;
    let options = options(arguments, &sweep, &crew);
    let provenance = Provenance::of_this_build(format!("{} {options}", program()));
    let Provenance { commit, lock, .. } = &provenance;
    console.note(&format!("kuzusync {options}  (commit {commit}, lock file {lock})"), arguments.json)?;
    if sweep.store.is_none() {
        console.note(&mixture(), arguments.json)?;
    }

    let mut meter = Meter::new();
    let conformance = (!arguments.no_cases).then(|| documented_cases(sweep.store, &crew, &meter));
    let results = sweep.run(&crew, |progress| meter.show(progress));
    meter.finish();

    let mut report = results.report();
    report.cases = conformance.as_ref().map(case_counts).unwrap_or_default();
    store_cases(arguments, &sweep, &results, directory.as_ref(), &mut report)?;
    report.wall_seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    if let Some(directory) = &directory {
        directory.write_report(&report, conformance.as_ref())?;
    }
    if arguments.json {
        console.json(&report)?;
    } else {
        print(&sweep, &crew, &results, &report, conformance.as_ref(), &provenance, console)?;
        console.print(&sweep::verdict(&problems(arguments, &results, &report)))?;
    }
    Ok(exit_code(arguments, &results, conformance.as_ref()))
}

fn sweep_of(arguments: &Arguments) -> Result<Sweep, Stop> {
    let store = arguments.store.map(built).transpose()?;
    let bug = arguments.bug.as_deref().map(planted).transpose()?;
    let seeds = arguments.seeds.range(SEEDS)?;
    Ok(Sweep { seeds, profile: arguments.profile, store, check_percent: arguments.check, bug })
}

/// What runs on which store when no store was asked for.
fn mixture() -> String {
    if StoreChoice::Both.is_built() {
        return format!("Every {BOTH_STORES_EVERY}th seed runs on both stores, the others on the memory store.");
    }
    "This build has no Kùzu: every seed runs on the memory store alone.".to_owned()
}

/// The command line with every option, also those that were not given.
fn options(arguments: &Arguments, sweep: &Sweep, crew: &Crew) -> String {
    let Sweep { seeds, profile, check_percent, .. } = sweep;
    let mut line = format!("sweep --seeds {}..{} --profile {profile}", seeds.start, seeds.end);
    if let Some(store) = sweep.store {
        line += &format!(" --store {store}");
    }
    line += &format!(" --jobs {} --check {check_percent} --seconds-max {}", crew.jobs, arguments.limits.seconds_max);
    let flags = [
        (arguments.require_sometimes, "--require-sometimes"),
        (arguments.no_cases, "--no-cases"),
        (arguments.json, "--json"),
    ];
    for (_, flag) in flags.into_iter().filter(|(is_set, _)| *is_set) {
        line += &format!(" {flag}");
    }
    if let Some(bug) = sweep.bug {
        line += &format!(" --bug {}", bug.name());
    }
    arguments.out.as_deref().map_or(line.clone(), |out| format!("{line} --out {}", quoted(out)))
}

fn documented_cases(store: Option<StoreChoice>, crew: &Crew, meter: &Meter) -> Conformance {
    let covered: Vec<Case> = Case::ALL.iter().copied().filter(|case| !case.clauses().is_empty()).collect();
    let stores = store.map_or(vec![StoreChoice::Memory, StoreChoice::Kuzu], |store| vec![store]);
    conformance::judge(&covered, &stores, |trials| conformance::in_workers(crew, trials, |what| meter.tell(what)))
}

fn case_counts(conformance: &Conformance) -> CaseCounts {
    let failed = conformance.count(Verdict::Fail);
    let run = conformance.cases.iter().filter(|case| !case.stores.is_empty()).count();
    CaseCounts { passed: run - failed, failed }
}

/// Completes the failures: each with the command that makes it again, and with a file if there is a directory.
fn store_cases(
    arguments: &Arguments,
    sweep: &Sweep,
    results: &Results,
    directory: Option<&Directory>,
    report: &mut Report,
) -> Result<(), Stop> {
    for entry in &mut report.failures {
        let seed = Seed(entry.seed);
        let failure = &results.failures[&seed];
        let file = directory.map(|directory| directory.case_file(&format!("seed-{}", seed.0)));
        if let Some(file) = &file {
            directory::write_json(file, &stored_case(sweep, seed, failure, results))?;
        }
        entry.replay = replay(arguments, sweep, seed, failure, file.as_deref());
        entry.case_file = file.map(|file| file.to_string_lossy().into_owned());
    }
    Ok(())
}

fn stored_case(sweep: &Sweep, seed: Seed, failure: &Failure, results: &Results) -> StoredCase {
    StoredCase {
        case_version: STORED_VERSION,
        story: None,
        seed,
        store: sweep.store_of(seed),
        bug: sweep.bug.map(|bug| bug.name().to_owned()),
        plan: swarm::plan(sweep.profile, seed),
        failure: Some(failure.clone()),
        reaches: Vec::new(),
        digest: results.digest(seed),
    }
}

fn replay(arguments: &Arguments, sweep: &Sweep, seed: Seed, failure: &Failure, file: Option<&Path>) -> String {
    let limit = match failure {
        Failure::TimeLimit { .. } => format!(" --seconds-max {}", arguments.limits.seconds_max),
        _ => String::new(),
    };
    if let Some(file) = file {
        return format!("{} replay {}{limit}", program(), quoted(file));
    }
    let (start, end, store) = (seed.0, seed.0.saturating_add(1), sweep.store_of(seed));
    let check = if matches!(failure, Failure::Nondeterminism { .. }) { 100 } else { 0 };
    let bug = sweep.bug.map(|bug| format!(" --bug {}", bug.name())).unwrap_or_default();
    format!(
        "{} sweep --seeds {start}..{end} --profile {} --store {store} --check {check} --no-cases{limit}{bug}",
        program(),
        sweep.profile
    )
}

fn print(
    sweep: &Sweep,
    crew: &Crew,
    results: &Results,
    report: &Report,
    conformance: Option<&Conformance>,
    provenance: &Provenance,
    console: &mut Console,
) -> Result<(), Stop> {
    let columns = console.columns();
    if let Some(entry) = report.failures.first() {
        let seed = Seed(entry.seed);
        let page = first_failure(sweep, crew, seed, results, provenance, &entry.replay, columns)?;
        console.print(&format!("{page}\n"))?;
    }
    if let Some(conformance) = conformance.filter(|conformance| conformance.has_failures()) {
        let mut failed = conformance.clone();
        failed.cases.retain(|case| case.verdict == Verdict::Fail);
        console.print(&format!("{}\n", conformance::text(&failed, columns)))?;
    }
    console.print(&sweep::text(report, columns))
}

/// The page of a failure, with the smallest plan that still fails so.
fn first_failure(
    sweep: &Sweep,
    crew: &Crew,
    seed: Seed,
    results: &Results,
    provenance: &Provenance,
    replay: &str,
    columns: usize,
) -> Result<String, Stop> {
    let failure = &results.failures[&seed];
    let stored = stored_case(sweep, seed, failure, results);
    let meter = Meter::new();
    let tell = |runs, steps: usize| {
        meter.tell(&format!("shrinking seed {}: run {runs} of {REPLAYS_MAX}, {}", seed.0, plural(steps, "step")));
    };
    let shrunk = match failure {
        Failure::Nondeterminism { .. } | Failure::TimeLimit { .. } => None,
        _ => shrinking::shrink(&stored, &crew.launcher, tell).ok(),
    };
    meter.finish();
    if let Some(shrunk) = shrunk {
        let request = Request { bug: stored.bug, ..Request::plan(shrunk.plan, seed, stored.store) };
        let (plan, outcome) = crew.launcher.outcome(&request).map_err(Stop::Usage)?;
        return Ok(failure::page(&outcome, plan.as_ref(), provenance, replay, columns));
    }
    let request = sweep.request(seed);
    let run = match results.digest(seed) {
        None => request.outcome_without_history(failure.clone()),
        Some(_) => crew.launcher.outcome(&request),
    };
    let (plan, mut outcome) = run.map_err(Stop::Usage)?;
    // A failure that comes and goes may be absent from this run.
    outcome.failure = Some(failure.clone());
    Ok(failure::page(&outcome, plan.as_ref(), provenance, replay, columns))
}

fn problems(arguments: &Arguments, results: &Results, report: &Report) -> Vec<String> {
    let mut problems = Vec::new();
    if !report.failures.is_empty() {
        let classes: BTreeSet<&str> = report.failures.iter().map(|failure| failure.class).collect();
        let classes: Vec<&str> = classes.into_iter().collect();
        problems.push(format!("{} failed ({})", plural(report.failures.len(), "seed"), classes.join(", ")));
    }
    if report.cases.failed > 0 {
        problems.push(format!("{} failed", plural(report.cases.failed, "documented case")));
    }
    let never = results.never_reached();
    if arguments.require_sometimes && !never.is_empty() {
        problems.push(format!("never reached: {}", never.join(", ")));
    }
    problems
}

fn exit_code(arguments: &Arguments, results: &Results, conformance: Option<&Conformance>) -> u8 {
    let seeds = results.failures.values().map(Failure::exit_code);
    let cases = conformance.map(Conformance::exit_code);
    let sometimes = (arguments.require_sometimes && !results.never_reached().is_empty()).then_some(6);
    gravest(seeds.chain(cases).chain(sometimes))
}

//! What `sweep` and `merge` do once every run is there: keep what failed, leave a directory behind, tell, judge.
//!
//! Both begin with the same thing, the rows of seeds, so the page of shards put together is that of one sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kuzusync_scenarios::shrink::REPLAYS_MAX;
use kuzusync_scenarios::stored::{STORED_VERSION, StoredCase};
use kuzusync_scenarios::swarm;
use kuzusync_sim::outcome::{Failure, Outcome, gravest};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::Plan;

use super::console::Console;
use super::directory::{self, Directory};
use super::progress::Meter;
use super::{BAD_INPUT, End, Stop, github};
use crate::baseline::Baseline;
use crate::conformance::{self, Conformance, Verdict};
use crate::provenance::{Provenance, program, quoted};
use crate::runs::{Runs, Shard};
use crate::sweep::{self, CaseCounts, Report, Results, Sweep};
use crate::text::plural;
use crate::worker::{Crew, Launcher, Request};
use crate::{failure, markdown, shrinking};

/// Signatures of which the first failure is shrunk, if files are wanted; without files only the first failure is.
const SHRUNK_MAX: usize = 3;

/// A sweep, as far as it was made.
pub struct Made {
    /// What was swept.
    pub sweep: Sweep,
    /// Every seed.
    pub runs: Runs,
    /// How the documented cases stand, if they were run.
    pub conformance: Option<Conformance>,
    /// The failures.
    pub failed: BTreeMap<Seed, Failed>,
    /// Of the page.
    pub provenance: Provenance,
}

/// A failed seed as a file.
pub struct Failed {
    /// The run.
    pub stored: StoredCase,
    /// The smallest plan that fails so, where one was looked for.
    pub smallest: Option<StoredCase>,
}

/// How it is to be told.
pub struct Asked<'a> {
    /// Where files go.
    pub directory: Option<&'a Directory>,
    /// Whether standard output is JSON.
    pub is_json: bool,
    /// Whether every situation has to be reached.
    pub requires_sometimes: bool,
    /// What bounded each run.
    pub seconds_max: u64,
    /// An earlier sweep, with the directory that it left behind.
    pub baseline: Option<(String, Runs)>,
}

/// The failures of a sweep that was just made.
pub fn cases_of(sweep: &Sweep, results: &Results) -> BTreeMap<Seed, Failed> {
    let failed = |(seed, failure): (&Seed, &Failure)| {
        let stored = stored_case(sweep, *seed, failure, results);
        (*seed, Failed { stored, smallest: None })
    };
    results.failures.iter().map(failed).collect()
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

/// Completes and tells a sweep, and says how the command ends.
pub fn finish(mut made: Made, asked: &Asked<'_>, crew: &Crew, console: &mut Console) -> End {
    let report = report(&made, asked.directory.map(Directory::path), asked.seconds_max);
    shrink(&mut made, asked.directory.is_some(), !asked.is_json, &report, crew);
    if let Some(directory) = asked.directory {
        write_cases(&made, directory)?;
        directory.write_report(&made.runs, &report, made.conformance.as_ref())?;
    }
    let baseline = asked.baseline.as_ref().map(|(name, runs)| Baseline::compare(name, runs, &made.runs));
    let problems = problems(asked, &made.runs.results, &report);
    if asked.is_json {
        console.json(&report)?;
        if let Some(baseline) = &baseline {
            console.note(&baseline.text(console.columns()), true)?;
        }
    } else {
        let columns = console.columns();
        if let Some(entry) = report.failures.first() {
            let page = first_failure(&made, crew, Seed(entry.seed), &entry.replay, columns)?;
            console.print(&format!("{page}\n"))?;
        }
        if let Some(failed) = made.conformance.as_ref().and_then(only_failed) {
            console.print(&format!("{}\n", conformance::text(&failed, columns)))?;
        }
        console.print(&sweep::text(&report, columns))?;
        if let Some(baseline) = &baseline {
            console.print(&baseline.text(columns))?;
        }
        console.print(&sweep::verdict(&problems))?;
    }
    let mut summary = markdown::sweep(&made.runs.header, &report, made.conformance.as_ref());
    summary += &baseline.map_or(String::new(), |baseline| baseline.markdown());
    github::sweep(&report, made.conformance.as_ref(), &summary)?;
    Ok(exit_code(asked, &made, &report))
}

/// The report, each failure with its file, if there is one, and the command that makes it again.
pub fn report(made: &Made, directory: Option<&Path>, seconds_max: u64) -> Report {
    let mut report = made.runs.results.report();
    report.cases = made.conformance.as_ref().map(case_counts).unwrap_or_default();
    if made.sweep.shard == Shard::WHOLE {
        report.missing_shards = made.runs.missing().iter().map(Shard::to_string).collect();
    }
    report.wall_seconds = (made.runs.header.wall_seconds * 10.0).round() / 10.0;
    for entry in &mut report.failures {
        let seed = Seed(entry.seed);
        let file = directory.map(|directory| directory::case_file(directory, &directory::case_name(seed)));
        entry.replay = replay(&made.sweep, seed, &made.runs.results.failures[&seed], seconds_max, file.as_deref());
        entry.case_file = file.map(|file| file.to_string_lossy().into_owned());
    }
    report
}

fn case_counts(conformance: &Conformance) -> CaseCounts {
    let failed = conformance.count(Verdict::Fail);
    CaseCounts { passed: conformance.ran().count() - failed, failed }
}

fn replay(sweep: &Sweep, seed: Seed, failure: &Failure, seconds_max: u64, file: Option<&Path>) -> String {
    let limit = match failure {
        Failure::TimeLimit { .. } => format!(" --seconds-max {seconds_max}"),
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

/// Writes every failure, and the smallest plans.
pub fn write_cases(made: &Made, directory: &Directory) -> Result<(), Stop> {
    for (seed, Failed { stored, smallest }) in &made.failed {
        directory::write_json(&directory.case_file(&directory::case_name(*seed)), stored)?;
        if let Some(smallest) = smallest {
            directory::write_json(&directory.case_file(&directory::smallest_name(*seed)), smallest)?;
        }
    }
    Ok(())
}

/// Looks for the smallest plan of what is going to be told: the first failure, and the first of some other signatures.
pub fn shrink(made: &mut Made, are_kept: bool, is_shown: bool, report: &Report, crew: &Crew) {
    let firsts = report.signatures().into_iter().map(|(_, failures)| failures[0].seed);
    let firsts = firsts.take(if are_kept { SHRUNK_MAX } else { 0 });
    let shown = report.failures.first().map(|entry| entry.seed).filter(|_| is_shown);
    for seed in firsts.chain(shown).collect::<BTreeSet<u64>>() {
        if let Some(failed) = made.failed.get_mut(&Seed(seed)).filter(|failed| failed.smallest.is_none()) {
            failed.smallest = smallest(&failed.stored, &crew.launcher);
        }
    }
}

fn smallest(stored: &StoredCase, launcher: &Launcher) -> Option<StoredCase> {
    if !stored.store.is_built() {
        return None;
    }
    match &stored.failure {
        Some(Failure::Harness { .. } | Failure::Nondeterminism { .. } | Failure::TimeLimit { .. }) | None => {
            return None;
        }
        Some(_) => {}
    }
    let meter = Meter::new();
    let tell = |runs, steps: usize| {
        let seed = stored.seed.0;
        meter.tell(&format!("shrinking seed {seed}: run {runs} of {REPLAYS_MAX}, {}", plural(steps, "step")));
    };
    let shrunk = shrinking::shrink(stored, launcher, tell).ok();
    meter.finish();
    let (plan, outcome) = run(&StoredCase { plan: shrunk?.plan, ..stored.clone() }, launcher).ok()?;
    let smallest = StoredCase::of(plan?, stored.store, stored.bug.clone(), &outcome);
    // A run whose process dies has no history, and no digest of one.
    Some(StoredCase { digest: smallest.digest.filter(|_| stored.digest.is_some()), ..smallest })
}

/// Runs a stored case, if there is anything to be seen of it in this build.
pub fn run(stored: &StoredCase, launcher: &Launcher) -> Result<(Option<Plan>, Outcome), String> {
    let request = Request::stored(stored);
    match &stored.failure {
        // A run whose process dies, or a store that this build does not have, leaves nothing to look at.
        Some(failure) if stored.digest.is_none() || !stored.store.is_built() => {
            request.outcome_without_history(failure.clone())
        }
        _ => launcher.outcome(&request),
    }
}

/// The page of a failure, of the smallest plan that still fails so where there is one.
pub fn first_failure(made: &Made, crew: &Crew, seed: Seed, replay: &str, columns: usize) -> Result<String, Stop> {
    let Failed { stored, smallest } = &made.failed[&seed];
    let shown = smallest.as_ref().unwrap_or(stored);
    let (plan, mut outcome) = run(shown, &crew.launcher).map_err(Stop::Usage)?;
    if smallest.is_none() {
        // A failure that comes and goes may be absent from this run.
        outcome.failure.clone_from(&stored.failure);
    }
    Ok(failure::page(&outcome, plan.as_ref(), &made.provenance, replay, columns))
}

fn only_failed(conformance: &Conformance) -> Option<Conformance> {
    let mut failed = conformance.clone();
    failed.cases.retain(|case| case.verdict == Verdict::Fail);
    (!failed.cases.is_empty()).then_some(failed)
}

fn problems(asked: &Asked<'_>, results: &Results, report: &Report) -> Vec<String> {
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
    if asked.requires_sometimes && !never.is_empty() {
        problems.push(format!("never reached: {}", never.join(", ")));
    }
    if !report.missing_shards.is_empty() {
        let missing = report.missing_shards.join(", ");
        problems.push(format!("{} missing: {missing}", plural(report.missing_shards.len(), "shard")));
    }
    problems
}

/// A shard that is missing is bad input, unless what is there fails already.
fn exit_code(asked: &Asked<'_>, made: &Made, report: &Report) -> u8 {
    let results = &made.runs.results;
    let seeds = results.failures.values().map(Failure::exit_code);
    let cases = made.conformance.as_ref().map(Conformance::exit_code);
    let sometimes = (asked.requires_sometimes && !results.never_reached().is_empty()).then_some(6);
    match gravest(seeds.chain(cases).chain(sometimes)) {
        0 if !report.missing_shards.is_empty() => BAD_INPUT,
        code => code,
    }
}

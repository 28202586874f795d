//! `kuzusync gate`: everything that has to hold before a change is taken, as one command for continuous integration.
//!
//! It asks whether the documented cases hold, whether the kept cases still end as stored, whether seeds that nobody has seen
//! before pass, whether each of them gives the same history twice, whether every situation was reached, and whether the harness
//! finds the one bug that nothing can hide. It says of each what was tried, and what the gate did not try.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::Profile;
use kuzusync_sim::outcome::{Failure, HARNESS_FAILED, gravest};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::sometimes;
use kuzusync_sim::store::StoreChoice;
use serde::Serialize;

use super::console::Console;
use super::directory::{self, Directory};
use super::finish::{self, Made};
use super::limits::Limits;
use super::progress::Meter;
use super::run::case_file;
use super::{End, Stop, documented, github, planted};
use crate::conformance::{Conformance, Verdict};
use crate::provenance::{Provenance, program};
use crate::runs::{Runs, Shard};
use crate::sweep::{self, Sweep};
use crate::text::{labelled, plural};
use crate::worker::{Crew, Request};
use crate::{junit, markdown};

const EXAMPLES: &str = "Examples:
  kuzusync gate                                  five minutes, seeds from the commit
  kuzusync gate --minutes 30 --out gate          with junit.xml and a case for each failure
  kuzusync-planted gate --bug arrival-order      a gate that has to fail

The gate needs `kuzusync-planted` beside it, the build that carries planted bugs, to see that the harness finds one:
  cargo build --release --features planted-bugs --bin kuzusync-planted

The exit code is that of the gravest failure; 8 if the harness itself failed, or misses the planted bug: then it is broken, and nothing \
else that it says can be relied on.";

/// What `gate` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// About how long it may take
    #[arg(long, value_name = "M", default_value_t = 5.0, value_parser = super::sweep::minutes)]
    minutes: f64,
    /// The first seed [default: the first seven digits of the commit]
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Worker processes [default: as many as there are processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// The folder of kept cases [default: that of the clone]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Do not look whether the planted bug is found
    #[arg(long)]
    no_canary: bool,
    /// Do not run the documented cases
    #[arg(long)]
    no_cases: bool,
    /// Where to put junit.xml and what a sweep leaves behind
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Plant a bug (only in kuzusync-planted)
    #[arg(long, value_name = "BUG", hide = !cfg!(feature = "planted-bugs"))]
    bug: Option<String>,
    #[command(flatten)]
    limits: Limits,
}

/// Seeds from which on a situation that is never reached is a failure; of fewer it may be chance.
const SEEDS_FOR_SITUATIONS: usize = 2_000;

/// Seeds in which the canary has to be found.
const CANARY_SEEDS: u64 = 20;

/// Of the time, the share that seeds get at least.
const SEEDS_SHARE_MIN: f64 = 0.25;

/// Columns of the verdicts and names at the left.
const INDENT: usize = 28;

/// The folder of kept cases of the clone this program was built in.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/cases");

/// One thing the gate asks for.
#[derive(Clone, Debug, Serialize)]
struct Part {
    name: &'static str,
    passed: bool,
    /// What was tried, or why it does not pass.
    words: String,
    #[serde(skip)]
    exit_code: u8,
}

#[derive(Serialize)]
struct Gate {
    verdict: &'static str,
    parts: Vec<Part>,
    not_covered: Vec<String>,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let start = Instant::now();
    let bug = arguments.bug.as_deref().map(planted).transpose()?;
    let crew = arguments.limits.crew(arguments.jobs)?;
    let hunter = (!arguments.no_canary).then(|| hunter(&crew)).transpose()?;
    let folder = arguments.cases.clone().unwrap_or_else(|| PathBuf::from(CASES));
    let files = json_files(&folder)?;
    let directory = arguments.out.as_deref().map(Directory::open).transpose()?;
    let build = Provenance::of_this_build("");
    let first = arguments.from.unwrap_or_else(|| first_seed(&build.commit));
    let command = format!("{} gate --minutes {} --from {first}", program(), arguments.minutes);
    let provenance = Provenance { command, ..build };
    let Provenance { commit, lock, .. } = &provenance;
    let line = format!("kuzusync gate --minutes {} --from {first} --jobs {}", arguments.minutes, crew.jobs);
    console.note(&format!("{line}  (commit {commit}, lock file {lock})"), arguments.json)?;

    let (mut parts, mut not_covered) = (Vec::new(), Vec::new());
    let meter = Meter::new();
    let conformance = (!arguments.no_cases).then(|| documented::judge(Case::ALL, &crew, &meter));
    match &conformance {
        Some(conformance) => parts.push(cases_part(conformance, &mut not_covered)),
        None => not_covered.push("the documented cases (--no-cases)".to_owned()),
    }
    parts.push(kept_part(&folder, files, &crew, &meter)?);
    meter.finish();
    match &hunter {
        Some(hunter) => parts.push(canary_part(first, hunter)),
        None => not_covered.push("whether the harness finds a planted bug (--no-canary)".to_owned()),
    }

    let time = Duration::from_secs_f64(arguments.minutes * 60.0);
    let left = time.saturating_sub(start.elapsed()).max(time.mul_f64(SEEDS_SHARE_MIN));
    let mut made = fresh_seeds(first, left, bug, &crew, conformance, provenance, start);
    let mut report = finish::report(&made, directory.as_ref().map(Directory::path), arguments.limits.seconds_max);
    report.cases = Default::default();
    seed_parts(&made, &report, &mut parts, &mut not_covered);
    not_covered.extend(never_tried());
    finish::shrink(&mut made, directory.is_some(), true, &report, &crew);

    let codes = parts.iter().map(|part| part.exit_code);
    let code = gravest(codes);
    let verdict = if parts.iter().all(|part| part.passed) { "pass" } else { "fail" };
    let gate = Gate { verdict, parts, not_covered };
    if let Some(directory) = &directory {
        finish::write_cases(&made, directory)?;
        directory.write_report(&made.runs, &report, made.conformance.as_ref())?;
        directory::write(&directory.path().join("gate.xml"), &junit::gate(&told(&gate.parts)))?;
    }
    let columns = console.columns();
    if arguments.json {
        console.json(&gate)?;
    } else {
        if let Some(entry) = report.failures.first() {
            let page = finish::first_failure(&made, &crew, Seed(entry.seed), &entry.replay, columns)?;
            console.print(&format!("{page}\n"))?;
        }
        console.print(&text(&gate, columns))?;
    }
    let failed = gate.parts.iter().filter(|part| !part.passed);
    let errors = failed.map(|part| (format!("gate: {}", part.name), part.words.clone()));
    github::tell(errors, &summary(&gate))?;
    Ok(code)
}

/// Seeds nobody has run before, the same for everybody who looks at this commit.
fn first_seed(commit: &str) -> u64 {
    u64::from_str_radix(commit.get(..7).unwrap_or_default(), 16).unwrap_or(0)
}

/// Workers that carry planted bugs: this program, or the one beside it.
fn hunter(crew: &Crew) -> Result<Crew, Stop> {
    if cfg!(feature = "planted-bugs") {
        return Ok(crew.clone());
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(planted_name())));
    match beside.filter(|program| program.exists()) {
        Some(program) => Ok(Crew { launcher: crew.launcher.of(program), ..crew.clone() }),
        None => Err(Stop::usage(format!(
            "`{}` is not beside this program, so the gate cannot see whether the harness finds a planted bug; build it: cargo \
             build --release --features planted-bugs --bin kuzusync-planted, or leave that out with --no-canary",
            planted_name()
        ))),
    }
}

fn planted_name() -> String {
    format!("kuzusync-planted{}", std::env::consts::EXE_SUFFIX)
}

fn cases_part(conformance: &Conformance, not_covered: &mut Vec<String>) -> Part {
    let ids = |verdict| {
        let of = conformance.cases.iter().filter(|case| case.verdict == verdict);
        of.map(|case| case.id).collect::<Vec<_>>().join(", ")
    };
    let (ran, failed) = (conformance.ran().count(), conformance.count(Verdict::Fail));
    let without = conformance.cases.iter().filter(|case| case.verdict == Verdict::Missing && case.stores.is_empty());
    let without: Vec<&str> = without.map(|case| case.id).collect();
    if !without.is_empty() {
        not_covered.push(format!("documented cases without a scenario: {}", without.join(", ")));
    }
    let words = match failed {
        0 => format!("{} without a failure, {} on every store", plural(ran, "case"), conformance.count(Verdict::Pass)),
        _ => format!("{} fail: {}", plural(failed, "case"), ids(Verdict::Fail)),
    };
    Part { name: "documented cases", passed: failed == 0, words, exit_code: conformance.exit_code() }
}

/// Every kept case ends as stored and reaches what it is kept for.
fn kept_part(folder: &Path, files: Vec<PathBuf>, crew: &Crew, meter: &Meter) -> Result<Part, Stop> {
    let (mut tried, mut skipped, mut problems) = (0, 0, Vec::new());
    for file in files {
        let stored = case_file(&file, &super::run::read(&file)?)?;
        if !stored.store.is_built() {
            skipped += 1;
            continue;
        }
        meter.tell(&file.display().to_string());
        tried += 1;
        problems.extend(problem(&stored, crew)?.map(|problem| format!("{}: {problem}", name(&file))));
    }
    let skipped =
        if skipped > 0 { format!("; {skipped} need a store that this build does not have") } else { String::new() };
    let words = match problems.as_slice() {
        [] if tried == 0 => format!("there is none in `{}`", folder.display()),
        [] => format!("{} end as stored and reach what they are kept for{skipped}", plural(tried, "case")),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    };
    let passed = problems.is_empty() && tried > 0;
    Ok(Part { name: "kept cases", passed, words, exit_code: u8::from(!passed) })
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, Stop> {
    let unreadable = |error: std::io::Error| {
        Stop::usage(format!(
            "`{}` cannot be read: {error}; name the folder of kept cases with --cases",
            folder.display()
        ))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_stem().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

fn problem(stored: &StoredCase, crew: &Crew) -> Result<Option<String>, Stop> {
    let (_, outcome) = crew.launcher.outcome(&Request::stored(stored)).map_err(Stop::Usage)?;
    let comparison = stored.compare(&outcome);
    Ok(match (comparison.ends_as_stated, comparison.unreached.as_slice()) {
        (false, _) => {
            let ended = outcome.failure.as_ref().map_or("it passes".to_owned(), Failure::signature);
            Some(format!("does not end as stored: {ended}"))
        }
        (true, []) => None,
        (true, names) => Some(format!("no longer reaches {}", names.join(", "))),
    })
}

fn canary_part(first: u64, hunter: &Crew) -> Part {
    let seeds = first..first + CANARY_SEEDS;
    let count = (seeds.end - seeds.start) as usize;
    let request = |place: usize| {
        Request::generated(Seed(seeds.start + place as u64), StoreChoice::Memory, Profile::Default, Some(Bug::Canary))
    };
    let replies = hunter.answers(count, request);
    let found = replies.iter().filter(|reply| reply.as_ref().is_ok_and(|answer| answer.failure.is_some())).count();
    let words = match found {
        0 => format!(
            "the planted bug is missed in {CANARY_SEEDS} seeds: the harness itself is broken, and no other line can be trusted"
        ),
        _ => format!("the planted bug is found in {found} of {CANARY_SEEDS} seeds"),
    };
    Part { name: "canary", passed: found > 0, words, exit_code: if found == 0 { HARNESS_FAILED } else { 0 } }
}

fn fresh_seeds(
    first: u64,
    time: Duration,
    bug: Option<Bug>,
    crew: &Crew,
    conformance: Option<Conformance>,
    provenance: Provenance,
    start: Instant,
) -> Made {
    let seeds: Range<u64> = first..u64::MAX;
    let (profile, shard) = (Profile::Default, Shard::WHOLE);
    let mut sweep = Sweep { seeds, profile, store: None, check_percent: 100, bug, shard, time: Some(time) };
    let mut meter = Meter::new();
    let results = sweep.run(crew, |progress| meter.show(progress));
    meter.finish();
    let build = (provenance.commit.as_str(), provenance.lock.as_str());
    let runs = Runs::new(&sweep, build, results, conformance.as_ref(), start.elapsed().as_secs_f64());
    let failed = finish::cases_of(&sweep, &runs.results);
    Made { sweep, runs, conformance, failed, provenance }
}

fn seed_parts(made: &Made, report: &sweep::Report, parts: &mut Vec<Part>, not_covered: &mut Vec<String>) {
    let failures = &made.runs.results.failures;
    let Range { start, end } = made.sweep.seeds;
    let (seeds, passed) = (report.seeds, report.passed);
    let words = match report.signatures().first() {
        None => format!("{passed} of {seeds} pass, {start} to {}", end.saturating_sub(1)),
        Some((signature, _)) => format!("{} of {seeds} fail, most of {signature}", seeds - passed),
    };
    let exit_code = gravest(failures.values().map(Failure::exit_code));
    parts.push(Part { name: "fresh seeds", passed: failures.is_empty(), words, exit_code });

    let sweep::Determinism { checked, mismatches } = report.determinism;
    let words =
        format!("{} run again in new processes and in reverse order, {mismatches} differ", plural(checked, "seed"));
    let exit_code = if mismatches > 0 { 5 } else { 0 };
    parts.push(Part { name: "determinism", passed: mismatches == 0, words, exit_code });

    let never = made.runs.results.never_reached();
    let all = sometimes::all().len();
    let reached = format!("{} of {all} reached", all - never.len());
    let is_chance = seeds < SEEDS_FOR_SITUATIONS;
    let words = match never.as_slice() {
        [] => reached,
        names if is_chance => {
            let names = names.join(", ");
            not_covered.push(format!(
                "situations never reached in {seeds} seeds (required of {SEEDS_FOR_SITUATIONS}): {names}"
            ));
            format!("{reached}, in too few seeds to ask for all")
        }
        names => format!("{reached}; never: {}", names.join(", ")),
    };
    let passed = never.is_empty() || is_chance;
    parts.push(Part { name: "situations", passed, words, exit_code: if passed { 0 } else { 6 } });
}

/// What no gate tries, however long it takes.
fn never_tried() -> Vec<String> {
    let mut never = Vec::new();
    if !StoreChoice::Kuzu.is_built() {
        never.push("everything on Kùzu: this build has none".to_owned());
    }
    let others = Profile::ALL.into_iter().filter(|profile| *profile != Profile::Default);
    let others: Vec<String> = others.map(|profile| profile.to_string()).collect();
    never.push(format!("other profiles than default: {}", others.join(", ")));
    never.push("planted bugs other than the canary: `kuzusync-planted bugs` hunts them".to_owned());
    never
}

fn told(parts: &[Part]) -> Vec<(String, Option<String>)> {
    parts.iter().map(|part| (part.name.to_owned(), (!part.passed).then(|| part.words.clone()))).collect()
}

fn text(gate: &Gate, columns: usize) -> String {
    let mut page = String::new();
    for Part { name, passed, words, .. } in &gate.parts {
        let verdict = if *passed { "ok" } else { "FAILED" };
        page.push_str(&labelled(&format!("{verdict:<8}{name}"), words, INDENT, columns));
    }
    for (number, line) in gate.not_covered.iter().enumerate() {
        page.push_str(&labelled(if number == 0 { "not covered" } else { "" }, line, INDENT, columns));
    }
    let failed: Vec<&str> = gate.parts.iter().filter(|part| !part.passed).map(|part| part.name).collect();
    let failed = if failed.is_empty() { Vec::new() } else { vec![failed.join(", ")] };
    page + &sweep::verdict(&failed)
}

fn summary(gate: &Gate) -> String {
    let mark = if gate.verdict == "pass" { "✅" } else { "❌" };
    let mut page = format!("### {mark} kuzusync gate\n\n| | | |\n|---|---|---|\n");
    for Part { name, passed, words, .. } in &gate.parts {
        let mark = if *passed { "✅" } else { "❌" };
        page += &format!("| {mark} | {name} | {} |\n", markdown::cell(words));
    }
    gate.not_covered.iter().for_each(|line| page += &format!("\n* not covered: {line}"));
    page + "\n"
}

//! `kuzusync merge`: the shards of one sweep, put together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::seed::Seed;

use super::console::Console;
use super::directory::{self, Directory, RUNS};
use super::finish::{self, Asked, Failed, Made};
use super::limits::Limits;
use super::run::case_file;
use super::{End, Stop};
use crate::provenance::{Provenance, program, quoted};
use crate::runs::Runs;

const EXAMPLES: &str = "Examples:
  kuzusync sweep --count 100000 --shard 0/2 --out s0        on one machine
  kuzusync sweep --count 100000 --shard 1/2 --out s1        on another, of the same commit
  kuzusync merge s0 s1 --out all                            the page, the files and the exit code of one sweep

A shard that is missing is told, on the page and as exit code 2. Speed and time are told as if the shards ran side by side.";

/// What `merge` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What `sweep --shard I/N --out DIR` left behind, or an earlier merge
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Where to put what one sweep would have left behind
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Fail if a situation that should be reached is not
    #[arg(long)]
    require_sometimes: bool,
    /// Compare with the directory that an earlier sweep left behind
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let mut parts = Vec::new();
    for path in &arguments.directories {
        if path.join(RUNS).exists() {
            parts.push((path.as_path(), read(path)?));
        } else {
            let path = path.display();
            console.note(&format!("`{path}` has no {RUNS}: its sweep has not ended, or wrote elsewhere"), true)?;
        }
    }
    let mut parts = parts.into_iter();
    let Some((first, mut runs)) = parts.next() else {
        return Err(Stop::usage(format!(
            "none of these directories has a {RUNS}; make them with `kuzusync sweep --shard I/N --out DIR`"
        )));
    };
    let mut failed = read_cases(first, &runs)?;
    for (path, part) in parts {
        failed.extend(read_cases(path, &part)?);
        runs.merge(part).map_err(|error| unusable(path, &error.to_string()))?;
    }
    let sweep = runs.sweep().map_err(|error| unusable(first, &error))?;
    let conformance = runs.conformance().map_err(|error| unusable(first, &error))?;

    let baseline = baseline(arguments.baseline.as_deref())?;
    let directory = Directory::open(&arguments.out)?;
    let options = options(arguments);
    let here = Provenance::of_this_build(format!("{} {options}", program()));
    let provenance = Provenance { commit: runs.header.commit.clone(), lock: runs.header.lock.clone(), ..here.clone() };
    let Provenance { commit, lock, .. } = &provenance;
    console.note(&format!("kuzusync {options}  (commit {commit}, lock file {lock})"), arguments.json)?;
    if (&here.commit, &here.lock) != (commit, lock) {
        let other = format!(
            "This build is of commit {}, lock file {}: replayed here, a run may differ.",
            here.commit, here.lock
        );
        console.note(&other, arguments.json)?;
    }
    let crew = arguments.limits.crew(None)?;
    let asked = Asked {
        directory: Some(&directory),
        is_json: arguments.json,
        requires_sometimes: arguments.require_sometimes,
        seconds_max: arguments.limits.seconds_max,
        baseline,
    };
    finish::finish(Made { sweep, runs, conformance, failed, provenance }, &asked, &crew, console)
}

fn options(arguments: &Arguments) -> String {
    let directories: Vec<String> = arguments.directories.iter().map(|path| quoted(path)).collect();
    let mut line = format!("merge {} --out {}", directories.join(" "), quoted(&arguments.out));
    if let Some(baseline) = &arguments.baseline {
        line += &format!(" --baseline {}", quoted(baseline));
    }
    let flags = [(arguments.require_sometimes, "--require-sometimes"), (arguments.json, "--json")];
    for (_, flag) in flags.into_iter().filter(|(is_set, _)| *is_set) {
        line += &format!(" {flag}");
    }
    line
}

/// The rows that a sweep left behind in a directory.
pub fn read(path: &Path) -> Result<Runs, Stop> {
    let file = path.join(RUNS);
    Runs::from_ndjson(&super::run::read(&file)?).map_err(|error| unusable(&file, &error.to_string()))
}

/// The rows of an earlier sweep, with the directory they are from.
pub fn baseline(path: Option<&Path>) -> Result<Option<(String, Runs)>, Stop> {
    path.map(|path| Ok((path.display().to_string(), read(path)?))).transpose()
}

/// Every failure that a sweep left behind in a directory.
pub fn read_cases(path: &Path, runs: &Runs) -> Result<BTreeMap<Seed, Failed>, Stop> {
    let read = |name: &str| -> Result<StoredCase, Stop> {
        let file = directory::case_file(path, name);
        case_file(&file, &super::run::read(&file)?)
    };
    let failed = |seed: &Seed| {
        let stored = read(&directory::case_name(*seed))?;
        let smallest = directory::smallest_name(*seed);
        let is_there = directory::case_file(path, &smallest).exists();
        let smallest = is_there.then(|| read(&smallest)).transpose()?;
        Ok((*seed, Failed { stored, smallest }))
    };
    runs.results.failures.keys().map(failed).collect()
}

fn unusable(path: &Path, problem: &str) -> Stop {
    Stop::usage(format!("`{}` cannot be used: {problem}", path.display()))
}

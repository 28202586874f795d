//! `kuzusync sweep`: the documented cases, then generated seeds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::swarm::Profile;
use kuzusync_sim::store::StoreChoice;

use super::console::Console;
use super::directory::Directory;
use super::finish::{self, Asked, Made};
use super::limits::Limits;
use super::progress::Meter;
use super::seeds::SeedArguments;
use super::{End, Stop, built, merge, planted};
use crate::conformance::{self, Conformance};
use crate::provenance::{Provenance, program, quoted};
use crate::runs::{Runs, Shard};
use crate::sweep::{BOTH_STORES_EVERY, Sweep};
use crate::worker::Crew;

/// Seeds of a sweep that is not told how many: with Kùzu well under two minutes on two cores.
const SEEDS: u64 = 10_000;

const EXAMPLES: &str = "Examples:
  kuzusync sweep                                      everything, in under two minutes
  kuzusync sweep --count 2000 --store memory          seeds 0 to 1999, memory store only
  kuzusync sweep --seeds 5000..6000 --check 100       all of them a second time
  kuzusync sweep --count 100 --store both --out out   files for each failure, JSON and JUnit in out/
  kuzusync sweep --minutes 10 --check 100             as many seeds as ten minutes allow
  kuzusync sweep --count 100000 --shard 2/8 --out s2  the third of eight parts, for `kuzusync merge`

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
    /// Begin no more seeds after so many minutes [without --seeds and --count: from seed 0 on]
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<f64>,
    /// Run only the I-th of N parts of the seeds, from 0/N on; `merge` puts them together. Part 0 has the documented cases
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE, hide_default_value = true,
          conflicts_with_all = ["minutes", "require_sometimes", "baseline"])]
    shard: Shard,
    /// Worker processes [default: as many as there are processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How many of a hundred seeds are run a second time
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    check: u64,
    /// Fail if a situation that should be reached is not
    #[arg(long)]
    require_sometimes: bool,
    /// Compare with the directory that an earlier sweep left behind
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// Where to put sweep.json, runs.ndjson, junit.xml, summary.md and a file for each failure
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
    let (mut sweep, crew) = (sweep_of(arguments)?, arguments.limits.crew(arguments.jobs)?);
    let baseline = merge::baseline(arguments.baseline.as_deref())?;
    let directory = arguments.out.as_deref().map(Directory::open).transpose()?;
    let options = options(arguments, &sweep, &crew);
    let provenance = Provenance::of_this_build(format!("{} {options}", program()));
    let Provenance { commit, lock, .. } = &provenance;
    console.note(&format!("kuzusync {options}  (commit {commit}, lock file {lock})"), arguments.json)?;
    if sweep.store.is_none() {
        console.note(&mixture(), arguments.json)?;
    }

    let mut meter = Meter::new();
    let has_cases = !arguments.no_cases && sweep.shard.index == 0;
    let conformance = has_cases.then(|| documented_cases(sweep.store, &crew, &meter));
    let results = sweep.run(&crew, |progress| meter.show(progress));
    meter.finish();

    let runs = Runs::new(&sweep, (commit, lock), results, conformance.as_ref(), start.elapsed().as_secs_f64());
    let failed = finish::cases_of(&sweep, &runs.results);
    let asked = Asked {
        directory: directory.as_ref(),
        is_json: arguments.json,
        requires_sometimes: arguments.require_sometimes,
        seconds_max: arguments.limits.seconds_max,
        baseline,
    };
    finish::finish(Made { sweep, runs, conformance, failed, provenance }, &asked, &crew, console)
}

/// Minutes as people write them.
pub fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.0..=100_000.0).contains(minutes));
    minutes.ok_or_else(|| "write minutes as a number from 0 to 100000, for example 2.5".to_owned())
}

fn sweep_of(arguments: &Arguments) -> Result<Sweep, Stop> {
    let store = arguments.store.map(built).transpose()?;
    let bug = arguments.bug.as_deref().map(planted).transpose()?;
    let time = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let seeds = arguments.seeds.range(if time.is_some() { u64::MAX } else { SEEDS })?;
    let Arguments { profile, check: check_percent, shard, .. } = *arguments;
    Ok(Sweep { seeds, profile, store, check_percent, bug, shard, time })
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
    let mut line = match arguments.minutes {
        Some(minutes) if seeds.end == u64::MAX => format!("sweep --minutes {minutes} --profile {profile}"),
        minutes => {
            let minutes = minutes.map(|minutes| format!(" --minutes {minutes}")).unwrap_or_default();
            format!("sweep --seeds {}..{}{minutes} --profile {profile}", seeds.start, seeds.end)
        }
    };
    if let Some(store) = sweep.store {
        line += &format!(" --store {store}");
    }
    line += &format!(" --jobs {} --check {check_percent} --seconds-max {}", crew.jobs, arguments.limits.seconds_max);
    if sweep.shard != Shard::WHOLE {
        line += &format!(" --shard {}", sweep.shard);
    }
    if let Some(baseline) = &arguments.baseline {
        line += &format!(" --baseline {}", quoted(baseline));
    }
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

pub fn documented_cases(store: Option<StoreChoice>, crew: &Crew, meter: &Meter) -> Conformance {
    let covered: Vec<Case> =
        Case::ALL.iter().copied().filter(|case| !case.clauses().is_empty() && !case.is_read()).collect();
    let stores = store.map_or(vec![StoreChoice::Memory, StoreChoice::Kuzu], |store| vec![store]);
    conformance::judge(&covered, &stores, |trials| conformance::in_workers(crew, trials, |what| meter.tell(what)))
}

//! `kuzusync report`: what a sweep left behind, as one HTML file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::outcome::Failure;
use kuzusync_sim::seed::Seed;

use super::console::Console;
use super::finish::{self, Failed, Made};
use super::limits::Limits;
use super::merge::{read, read_cases};
use super::{End, Stop, directory};
use crate::benchmarks;
use crate::html::{self, Page, ShownRun};
use crate::markdown;
use crate::provenance::{Provenance, program, quoted};
use crate::sweep::Report;
use crate::worker::Launcher;

const EXAMPLES: &str = "Examples:
  kuzusync sweep --count 2000 --out out
  kuzusync report out                                   writes out/report.html
  kuzusync report out -o page.html --queries app.cypher which filters of these queries no index serves
  kuzusync report out --benchmarks target/criterion     with what `cargo bench` measured
  kuzusync report out --format markdown                 for a pull request, on standard output

The page needs no network and no other file. For each signature it shows the run of its first failure, made again from the stored \
case, and of the smallest plan; of a sweep without failures its first seed.";

/// What `report` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What `sweep --out DIR` or `merge --out DIR` left behind
    directory: PathBuf,
    /// Where to write the page [default: report.html in the directory]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
    /// What to make: a page, or Markdown on standard output
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Queries in Cypher, of which the filters without an index are listed
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// What Criterion left behind
    #[arg(long, value_name = "DIR")]
    benchmarks: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Markdown,
}

/// Signatures of which a run is shown.
const SIGNATURES_MAX: usize = 8;

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let path = &arguments.directory;
    let runs = read(path)?;
    let failed = read_cases(path, &runs)?;
    let unusable = |error: String| Stop::usage(format!("`{}` cannot be used: {error}", path.display()));
    let (sweep, conformance) = (runs.sweep().map_err(unusable)?, runs.conformance().map_err(unusable)?);
    let command = format!("{} report {}", program(), quoted(path));
    let provenance = Provenance { commit: runs.header.commit.clone(), lock: runs.header.lock.clone(), command };
    let made = Made { sweep, runs, conformance, failed, provenance };
    let report = finish::report(&made, Some(path), arguments.limits.seconds_max);
    if arguments.format == Format::Markdown {
        console.print(&markdown::sweep(&made.runs.header, &report, made.conformance.as_ref()))?;
        return Ok(0);
    }
    let queries = queries(arguments.queries.as_deref())?;
    let measured = arguments.benchmarks.as_deref().map(benchmarks::read).transpose().map_err(Stop::Usage)?;
    let file = arguments.output.clone().unwrap_or_else(|| path.join("report.html"));
    directory::probe(&file)?;

    let mut page = Page::new(title(&made, &report), &made.provenance);
    page.sweep(&made.runs, &report);
    if let Some(conformance) = &made.conformance {
        page.cases(conformance);
    }
    if let Some(measured) = &measured {
        page.benchmarks(measured);
    }
    add_runs(&mut page, &made, &report, &arguments.limits.launcher()?, &queries)?;
    let html = page.to_html();
    directory::write(&file, &html)?;
    console.print(&format!("{} ({} KiB)\n", file.display(), html.len() / 1_024))?;
    Ok(0)
}

fn title(made: &Made, report: &Report) -> String {
    let verdict = if report.failures.is_empty() { "passed" } else { "failed" };
    let (start, end) = made.runs.header.seeds;
    format!("kuzusync: seeds {start}..{end} {verdict}")
}

/// The queries of a file; none if there is none.
pub fn queries(file: Option<&Path>) -> Result<String, Stop> {
    file.map_or_else(|| Ok(String::new()), super::run::read)
}

fn add_runs(page: &mut Page, made: &Made, report: &Report, launcher: &Launcher, queries: &str) -> Result<(), Stop> {
    for (signature, failures) in report.signatures().into_iter().take(SIGNATURES_MAX) {
        let first = failures[0];
        let Some(Failed { stored, smallest }) = made.failed.get(&Seed(first.seed)) else { continue };
        let smallest = smallest.as_ref().map(|smallest| (smallest, true));
        for (stored, is_smallest) in smallest.into_iter().chain([(stored, false)]) {
            let shown = Shown { stored, is_smallest, signature, replay: &first.replay, queries };
            add_run(page, &shown, launcher)?;
        }
    }
    let first = made.runs.results.rows.keys().next().filter(|_| report.failures.is_empty());
    if let Some(seed) = first.filter(|seed| made.sweep.store_of(**seed).is_built()) {
        let request = made.sweep.request(*seed);
        let (plan, outcome) = launcher.outcome(&request).map_err(Stop::Usage)?;
        let (start, end, profile, store) = (seed.0, seed.0.saturating_add(1), made.sweep.profile, request.store);
        let replay =
            format!("{} sweep --seeds {start}..{end} --profile {profile} --store {store} --no-cases", program());
        page.run(&ShownRun {
            label: format!("seed {}, a typical run", seed.0),
            outcome: &outcome,
            plan: plan.as_ref(),
            replay,
            story: None,
            signature: None,
            queries,
        });
    }
    Ok(())
}

struct Shown<'a> {
    stored: &'a StoredCase,
    is_smallest: bool,
    signature: &'a str,
    replay: &'a str,
    queries: &'a str,
}

fn add_run(page: &mut Page, shown: &Shown<'_>, launcher: &Launcher) -> Result<(), Stop> {
    let Shown { stored, is_smallest, signature, replay, queries } = *shown;
    let (plan, mut outcome) = finish::run(stored, launcher).map_err(Stop::Usage)?;
    let mut label = html::label(stored, is_smallest);
    if stored.digest.is_some_and(|digest| digest != outcome.digest) {
        label += " (this build makes another run of it)";
    }
    if outcome.failure.as_ref().map(Failure::signature) != stored.failure.as_ref().map(Failure::signature) {
        // What was found stays what was found, even if it does not happen again.
        outcome.failure.clone_from(&stored.failure);
    }
    page.run(&ShownRun {
        label,
        outcome: &outcome,
        plan: plan.as_ref(),
        replay: replay.to_owned(),
        story: stored.story.as_deref(),
        signature: Some(signature.to_owned()),
        queries,
    });
    Ok(())
}

//! `kuzusync conformance`: whether the documented cases hold.

use clap::{Args, ValueEnum};
use kuzusync_scenarios::case::Case;
use kuzusync_sim::outcome::gravest;

use super::console::Console;
use super::limits::Limits;
use super::nearest::did_you_mean;
use super::progress::Meter;
use super::{End, Stop, documented, github};
use crate::conformance::{self, Verdict};
use crate::{junit, markdown};

const EXAMPLES: &str = "Examples:
  kuzusync conformance                 every documented case
  kuzusync conformance D1.1 C3         these two; both have to pass
  kuzusync conformance H2                whether every case is covered: runs all of them
  kuzusync conformance --format json
  kuzusync conformance --format junit > conformance.xml

Each scenario runs in a worker process, once per store. Exit code 1 if a case fails or one that was named does not pass, 4 if a \
scenario crashes, 7 if one takes longer than --seconds-max.";

/// What `conformance` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Ids of cases; all of them if there is none
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Worker processes [default: as many as there are processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    Text,
    /// A table for a pull request
    Markdown,
    /// For programs
    Json,
    /// A suite per document, for pipelines
    Junit,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let asked = arguments.ids.iter().map(|id| case(id)).collect::<Result<Vec<Case>, Stop>>()?;
    let cases = if asked.is_empty() { Case::ALL } else { &asked };
    let crew = arguments.limits.crew(arguments.jobs)?;
    let meter = Meter::new();
    let conformance = documented::judge(cases, &crew, &meter);
    meter.finish();
    match arguments.format {
        Format::Json => console.json(&conformance)?,
        _ if arguments.json => console.json(&conformance)?,
        Format::Text => console.print(&conformance::text(&conformance, console.columns()))?,
        Format::Markdown => console.print(&markdown::cases(&conformance))?,
        Format::Junit => console.print(&junit::cases(&conformance, !asked.is_empty()))?,
    }
    github::cases(&conformance, &markdown::cases(&conformance))?;
    let missing = (!asked.is_empty() && conformance.count(Verdict::Missing) > 0).then_some(1);
    Ok(gravest([conformance.exit_code()].into_iter().chain(missing)))
}

fn case(id: &str) -> Result<Case, Stop> {
    let ids = Case::ALL.iter().map(|case| case.id());
    let meant = did_you_mean(id, ids);
    id.parse().map_err(|_| {
        Stop::usage(format!("there is no documented case `{id}`; {meant}`kuzusync conformance` lists them all"))
    })
}

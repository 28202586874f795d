//! `kuzusync conformance`: whether the documented cases hold.

use clap::{Args, ValueEnum};
use kuzusync_scenarios::case::Case;
use kuzusync_sim::store::StoreChoice;

use super::console::Console;
use super::nearest::did_you_mean;
use super::progress::Meter;
use super::{End, Stop};
use crate::conformance;

const EXAMPLES: &str = "Examples:
  kuzusync conformance                 every documented case
  kuzusync conformance D1.1 C3         these two; both have to pass
  kuzusync conformance --format json

Exit code 1 if a case fails, or if one that was named does not pass.";

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let asked = arguments.ids.iter().map(|id| case(id)).collect::<Result<Vec<Case>, Stop>>()?;
    let cases = if asked.is_empty() { Case::ALL } else { &asked };
    let meter = Meter::new();
    let conformance = conformance::judge(cases, &[StoreChoice::Memory, StoreChoice::Kuzu], |what| meter.tell(what));
    meter.finish();
    if arguments.json || arguments.format == Format::Json {
        console.json(&conformance)?;
    } else {
        console.print(&conformance::text(&conformance, console.columns()))?;
    }
    let failed = conformance.has_failures() || (!asked.is_empty() && !conformance.all_pass());
    Ok(u8::from(failed))
}

fn case(id: &str) -> Result<Case, Stop> {
    let ids = Case::ALL.iter().map(|case| case.id());
    let meant = did_you_mean(id, ids);
    id.parse().map_err(|_| {
        Stop::usage(format!("there is no documented case `{id}`; {meant}`kuzusync conformance` lists them all"))
    })
}

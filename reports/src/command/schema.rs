//! `kuzusync schema`: the JSON Schema of the files that people write.

use clap::{Args, ValueEnum};
use kuzusync_scenarios::format;

use super::End;
use super::console::Console;

const EXAMPLES: &str = "Examples:
  kuzusync schema > kuzusync.schema.json     of plans and cases; a case has a \"case_version\"
  kuzusync schema plan > plan.schema.json
  kuzusync schema case

It is a JSON Schema of draft 2020-12, made from the types that read the files.";

/// What `schema` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Of which files [default: of both]
    #[arg(value_enum)]
    of: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Plans: a cluster and what happens to it
    Plan,
    /// Stored cases: a plan, its seed, and what came of it
    Case,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    console.json(&match arguments.of {
        None => format::schema(),
        Some(Format::Plan) => format::plan_schema(),
        Some(Format::Case) => format::case_schema(),
    })?;
    Ok(0)
}

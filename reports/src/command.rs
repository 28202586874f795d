//! The command line: what can be asked for, and how it ends.
//!
//! A command gets a console and returns its exit code. Bad input stops it with one message that names the offender and
//! the remedy, before anything is written. A reader that closes the pipe ends it quietly.
//!
//! | exit code | |
//! |---|---|
//! | 0 | all is well |
//! | 1 | a safety violation, a documented case that fails, or an import that left something out |
//! | 2 | usage, or bad input |
//! | 3 | a liveness violation |
//! | 4 | a crash |
//! | 5 | two runs of one seed differ |
//! | 6 | a situation that was required is not reached |
//! | 7 | a run takes too long |
//! | 8 | the harness itself failed, or does not find what was planted: nothing else that it says can be relied on |
//!
//! Of several the first in the order 8, 5, 4, 1, 3, 7, 6 counts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use kuzusync_core::planted::Bug;
use kuzusync_sim::outcome::HARNESS_FAILED;
use kuzusync_sim::simulation::panic_message;
use kuzusync_sim::store::StoreChoice;

use crate::worker;

mod bugs;
mod conformance;
mod console;
mod directory;
mod documented;
mod finish;
mod gate;
mod github;
mod limits;
mod list;
mod merge;
mod nearest;
mod progress;
mod replay;
mod replica;
mod report;
mod run;
mod schema;
mod seeds;
mod shrink;
mod state;
mod sweep;

use console::Console;

/// Finds the seeds under which replicas of a graph database stop agreeing.
///
/// Real replicas with real stores run on a simulated network, disk and clock. Everything that goes wrong is drawn from a
/// seed, so whatever is found can be run again.
#[derive(Debug, Parser)]
#[command(name = "kuzusync", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  kuzusync sweep                          documented cases and generated seeds, in under two minutes
  kuzusync sweep --count 2000 --store memory
  kuzusync run concurrent-update          one documented scenario (names: kuzusync list)
  kuzusync run my-plan.json --json        a plan of your own (format: kuzusync schema plan)
  kuzusync replay out/cases/seed-17.json  a failure that a sweep stored
  kuzusync shrink out/cases/seed-17.json -o small.json
  kuzusync conformance D1.1 C3            whether documented cases hold
  kuzusync init --dir shop                a replica of your own; then apply, export-changelog, import-changelog

Exit codes: 0 pass, 1 safety, 2 bad input, 3 liveness, 4 crash, 5 nondeterminism, 6 a required situation not reached, 7 time limit, \
8 the harness itself failed";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the documented cases, then many generated seeds
    Sweep(sweep::Arguments),
    /// Put the shards of one sweep together
    Merge(merge::Arguments),
    /// Make one HTML page of what a sweep left behind
    Report(report::Arguments),
    /// Ask for everything that has to hold before a change is taken
    Gate(gate::Arguments),
    /// Run one scenario, a plan of your own, or the plan of a seed
    Run(run::Arguments),
    /// Run a stored case again
    Replay(replay::Arguments),
    /// Make the plan of a stored failure as small as possible
    Shrink(shrink::Arguments),
    /// Print the JSON Schema of plan and case files
    Schema(schema::Arguments),
    /// List the scenarios
    List(list::Arguments),
    /// Judge documented cases by their scenarios
    Conformance(conformance::Arguments),
    /// Show that the planted bugs are found
    Bugs(bugs::Arguments),
    /// Make a replica in a directory
    Init(replica::Init),
    /// Take an existing Kùzu database into a replica directory
    Adopt(replica::Adopt),
    /// Carry changes out on a replica
    Apply(replica::Apply),
    /// Tell how a replica stands
    Status(replica::Status),
    /// Write a replica's change log into a file
    ExportChangelog(replica::Export),
    /// Bring a change-log file into a replica, or retry what was left out
    ImportChangelog(replica::Import),
    /// Write all that a replica holds into one file, also while it is used
    Backup(replica::Backup),
    /// Make a new replica of a backup
    Restore(replica::Restore),
    /// Print a completion script
    #[command(
        after_help = "Example:\n  kuzusync completions bash > ~/.local/share/bash-completion/completions/kuzusync"
    )]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Make runs for a sweep: a request per line in, an answer per line out
    #[command(hide = true)]
    Worker(worker::Sabotage),
}

/// Why a command stops before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Bad input: what is wrong with it and what to do.
    #[error("{0}")]
    Usage(String),
    /// The harness itself failed.
    #[error("the harness itself failed, which says nothing about what it was asked: {0}")]
    Harness(String),
    /// Nobody reads any more.
    #[error("the reader of standard output closed it before everything was written; what was found is not all told")]
    Closed,
}

impl Stop {
    fn usage(message: impl Into<String>) -> Self {
        Stop::Usage(message.into())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Stop::Harness(_) => HARNESS_FAILED,
            Stop::Usage(_) | Stop::Closed => BAD_INPUT,
        }
    }
}

/// How a command ends.
type End = Result<u8, Stop>;

/// Bad usage or input.
const BAD_INPUT: u8 = 2;

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    worker::silence_simulations();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to complain about it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_INPUT } else { 0 });
        }
    };
    let mut console = Console::new();
    let end = catch_unwind(AssertUnwindSafe(|| dispatch(cli.command, &mut console)));
    let end = end.unwrap_or_else(|panic| Err(Stop::Harness(panic_message(panic.as_ref()).replace('\n', " "))));
    ExitCode::from(end.unwrap_or_else(|stop| {
        console.complain(&stop.to_string());
        stop.exit_code()
    }))
}

fn dispatch(command: Command, console: &mut Console) -> End {
    match command {
        Command::Sweep(arguments) => sweep::main(&arguments, console),
        Command::Merge(arguments) => merge::main(&arguments, console),
        Command::Report(arguments) => report::main(&arguments, console),
        Command::Gate(arguments) => gate::main(&arguments, console),
        Command::Run(arguments) => run::main(&arguments, console),
        Command::Replay(arguments) => replay::main(&arguments, console),
        Command::Shrink(arguments) => shrink::main(&arguments, console),
        Command::Schema(arguments) => schema::main(&arguments, console),
        Command::List(arguments) => list::main(&arguments, console),
        Command::Conformance(arguments) => conformance::main(&arguments, console),
        Command::Bugs(arguments) => bugs::main(&arguments, console),
        Command::Init(arguments) => replica::init(&arguments, console),
        Command::Adopt(arguments) => replica::adopt(&arguments, console),
        Command::Apply(arguments) => replica::apply(&arguments, console),
        Command::Status(arguments) => replica::status(&arguments, console),
        Command::ExportChangelog(arguments) => replica::export(&arguments, console),
        Command::ImportChangelog(arguments) => replica::import(&arguments, console),
        Command::Backup(arguments) => replica::backup(&arguments, console),
        Command::Restore(arguments) => replica::restore(&arguments, console),
        Command::Completions { shell } => completions(shell, console),
        Command::Worker(sabotage) => {
            let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
            worker::serve(input, output, &sabotage).map_err(|error| Stop::Harness(error.to_string()))?;
            Ok(0)
        }
    }
}

fn completions(shell: clap_complete::Shell, console: &mut Console) -> End {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kuzusync", &mut script);
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Stops unless this build carries planted bugs.
fn carries_bugs() -> Result<(), Stop> {
    if cfg!(feature = "planted-bugs") {
        return Ok(());
    }
    Err(Stop::usage(
        "this build carries no planted bugs; build the one that does: cargo build --release --features planted-bugs --bin \
         kuzusync-planted",
    ))
}

/// A bug that this build carries.
fn planted(name: &str) -> Result<Bug, Stop> {
    carries_bugs()?;
    let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
    let unknown = || Stop::usage(format!("there is no planted bug `{name}`; choose {}", names.join(" or ")));
    Bug::named(name).ok_or_else(unknown)
}

/// A store that this build can open, or what to do about it.
fn built(store: StoreChoice) -> Result<StoreChoice, Stop> {
    if store.is_built() {
        return Ok(store);
    }
    Err(Stop::usage(format!(
        "this build has no Kùzu, so it cannot run on `{store}`; build without `--no-default-features`, or choose \
         `--store memory`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}

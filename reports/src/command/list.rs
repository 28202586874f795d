//! `kuzusync list`: the scenarios.

use clap::Args;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_sim::store::StoreChoice;
use serde::Serialize;

use super::End;
use super::console::Console;
use crate::text::labelled;

const EXAMPLES: &str = "Examples:
  kuzusync list
  kuzusync list --json";

/// What `list` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    scenarios: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    cases: Vec<&'static str>,
    stores: Vec<&'static str>,
}

/// Runs the command.
pub fn main(arguments: &Arguments, console: &mut Console) -> End {
    let scenarios = Scenario::all();
    if arguments.json {
        console.json(&Listing { scenarios: scenarios.iter().map(entry).collect() })?;
    } else {
        console.print(&text(&scenarios, console.columns()))?;
    }
    Ok(0)
}

/// The stores that scenarios run on in this build.
fn stores() -> Vec<&'static str> {
    let stores = [StoreChoice::Memory, StoreChoice::Kuzu].into_iter().filter(|store| store.is_built());
    stores.map(|store| store.store_names()[0]).collect()
}

fn entry(scenario: &Scenario) -> Entry {
    let cases = scenario.cases.iter().map(|case| case.id()).collect();
    Entry { name: scenario.name, cases, stores: stores() }
}

fn text(scenarios: &[Scenario], columns: usize) -> String {
    let indent = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0) + 2;
    let line = |scenario: &Scenario| {
        let cases: Vec<&str> = scenario.cases.iter().map(|case| case.id()).collect();
        labelled(scenario.name, &format!("{} ({})", scenario.story, cases.join(", ")), indent, columns)
    };
    scenarios.iter().map(line).collect::<String>() + &format!("\nstores: {}\n", stores().join(", "))
}

//! What is too large to be measured often: run once, verified, and told with the process's memory beside it.
//!
//! The heap is that of one replica, by the allocator; what is resident is the whole process, with two replicas, what was
//! freed and not given back, and what the workload itself takes. (Distributed Sync Engine, cases D.P2 and D5.1; Minimal Sync
//! Guide, case C5.)

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use kuzusync_bench::heap::{Counting, resident_bytes};
use kuzusync_bench::node::Stores;
use kuzusync_bench::rows::{Taken, bootstrap, memory};

#[global_allocator]
static ALLOCATOR: Counting<std::alloc::System> = Counting(std::alloc::System);

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn told(what: &str, taken: Result<Taken, String>) {
    let taken = taken.unwrap_or_else(|problem| panic!("{what}: {problem}"));
    let counts: Vec<String> = taken.counts.iter().map(|(name, number)| format!("{number} {name}")).collect();
    let resident = resident_bytes().map_or(String::new(), |(now, most)| {
        format!("; resident {:.0} MB now and {:.0} MB at most", mb(now), mb(most))
    });
    println!("{what}: {:.1} ms, {}{resident}", taken.time.as_secs_f64() * 1e3, counts.join(", "));
}

#[cfg(feature = "kuzu")]
fn kuzu() -> Result<Stores, String> {
    let store = kuzusync_kuzu::KuzuStore::in_memory().map_err(|error| error.to_string())?;
    Ok(vec![Box::new(store)])
}

fn main() {
    let none = || -> Result<Stores, String> { Ok(Vec::new()) };
    told("10,000 nodes against 9,990", memory(10_000));
    told("100,000 nodes against 99,990", memory(100_000));
    told("bootstrap of 10,000 nodes and 50,000 edges", bootstrap(10_000, 50_000, &none));
    told("bootstrap of 100,000 nodes and 500,000 edges", bootstrap(100_000, 500_000, &none));
    #[cfg(feature = "kuzu")]
    told("bootstrap of 10,000 nodes and 50,000 edges into Kùzu", bootstrap(10_000, 50_000, &kuzu));
}

//! The rows of the performance table: the engine alone, and with Kùzu where a store is a part of the row.
//!
//! What is made before and verified afterwards is not timed. What the code counts, bytes, messages and the peak of the heap,
//! is told once. (Distributed Sync Engine, cases D.P1 to D.P5.)

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kuzusync_bench::heap::Counting;
use kuzusync_bench::node::Stores;
use kuzusync_bench::rows::{OpenStores, ROWS, Taken, bootstrap, compaction, merge_of_two};

#[global_allocator]
static ALLOCATOR: Counting<std::alloc::System> = Counting(std::alloc::System);

fn told(taken: &Taken) -> String {
    let counts = taken.counts.iter().map(|(name, number)| format!("{number} {name}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// The times of the rounds themselves.
#[expect(clippy::print_stdout, reason = "what is counted is told once, beside the times")]
fn measure(
    criterion: &mut Criterion,
    group: &str,
    id: BenchmarkId,
    elements: u64,
    run: impl Fn() -> Result<Taken, String>,
) {
    let once = || run().unwrap_or_else(|problem| panic!("{group}: {problem}"));
    println!("{group}: {}", told(&once()));
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).throughput(Throughput::Elements(elements));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| once().time).sum::<Duration>());
    });
    group.finish();
}

fn no_stores() -> Result<Stores, String> {
    Ok(Vec::new())
}

#[cfg(feature = "kuzu")]
fn kuzu() -> Result<Stores, String> {
    let store = kuzusync_kuzu::KuzuStore::in_memory().map_err(|error| error.to_string())?;
    Ok(vec![Box::new(store)])
}

/// Each with what it is called.
fn stores(has_stores: bool) -> Vec<(&'static str, OpenStores<'static>)> {
    let alone: (&str, OpenStores<'_>) = ("core alone", &no_stores);
    #[cfg(feature = "kuzu")]
    if has_stores {
        return vec![alone, ("with Kùzu", &kuzu)];
    }
    let _ = has_stores;
    vec![alone]
}

fn rows(criterion: &mut Criterion) {
    for row in ROWS {
        for (name, stores) in stores(row.has_stores) {
            let group = format!("{} {}", row.case, row.name);
            let id = BenchmarkId::new(name, row.elements.0);
            measure(criterion, &group, id, row.elements.0, || (row.run)(stores));
        }
    }
    let group = "bootstrap of 10,000 nodes and 50,000 edges";
    measure(criterion, group, BenchmarkId::new("core alone", 60_000), 60_000, || bootstrap(10_000, 50_000, &no_stores));
    let group = "a log of 3,000 rows with ten names each is compacted";
    measure(criterion, group, BenchmarkId::new("core alone", 33_000), 33_000, || compaction(3_000));
    let group = "two peers merge 10,000 operations each on 3,000 rows";
    let id = BenchmarkId::new("core alone", 20_000);
    measure(criterion, group, id, 20_000, || merge_of_two(10_000, 3_000, &no_stores));
}

// In a module of its own, because what the macro makes has no documentation.
mod groups {
    use super::{criterion_group, rows};
    criterion_group!(benches, rows);
}

use groups::benches;

criterion_main!(benches);

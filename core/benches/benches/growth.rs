//! How cost grows: the same meeting at 1×, 10× and 100× of what two replicas have in common.
//!
//! What a meeting costs ought to depend on what differs. Here that stays the same, and the log, the table or the number of
//! known replicas grows. `kuzusync report --benchmarks` draws these groups.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kuzusync_bench::rows::{Taken, after_a_log_of, among_replicas, in_a_table_of};

/// What grows, what is done, and the work at each of three sizes.
type Growth = (&'static str, &'static str, [u64; 3], fn(u64) -> Result<Taken, String>);

const GROWTHS: [Growth; 3] = [
    ("growth with the changes in the log", "100 more changes to a peer", [300, 3_000, 30_000], after_a_log_of),
    ("growth with the rows of the table", "100 conflicts on both sides", [300, 3_000, 30_000], in_a_table_of),
    ("growth with the known replicas", "10 nodes that a peer lacks", [100, 1_000, 10_000], |replicas| {
        among_replicas(u32::try_from(replicas).unwrap_or(u32::MAX))
    }),
];

fn growth(criterion: &mut Criterion) {
    for (group, name, sizes, run) in GROWTHS {
        let mut group = criterion.benchmark_group(group);
        group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
        for size in sizes {
            let once = || run(size).unwrap_or_else(|problem| panic!("{name} at {size}: {problem}")).time;
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| once()).sum::<Duration>());
            });
        }
        group.finish();
    }
}

// In a module of its own, because what the macro makes has no documentation.
mod groups {
    use super::{criterion_group, growth};
    criterion_group!(benches, growth);
}

use groups::benches;

criterion_main!(benches);

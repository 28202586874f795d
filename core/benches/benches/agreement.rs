//! Two-phase commit: transactions per second, and messages per transaction, at three, five and nine participants.
//!
//! Links take no time and disks none, so this is what the engine itself costs. The messages of one transaction are counted
//! before anything is timed and are a part of each name: votes and, in the same count, the decision on its way to
//! everybody.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kuzusync_bench::agreement::Agreeing;
use kuzusync_core::message::Role;

fn agreement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two-phase commit");
    group.sample_size(20);
    for (name, role) in [("main coordinates", Role::Main), ("edge coordinates", Role::Edge), ("peers", Role::Peer)] {
        for participants in [3, 5, 9] {
            let mut cluster = Agreeing::open(participants, role);
            cluster.transact();
            let messages = cluster.transact();
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(format!("{name}, {messages} messages"), participants), |bencher| {
                bencher.iter(|| cluster.transact());
            });
        }
    }
    group.finish();
}

// In a module of its own, because what the macro makes has no documentation.
mod groups {
    use super::{agreement, criterion_group};
    criterion_group!(benches, agreement);
}

use groups::benches;

criterion_main!(benches);

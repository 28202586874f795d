//! Merging concurrent histories: the engine's incremental join beside a naive fold over all changes.
//!
//! Both make the same view, which is verified before anything is timed. *Once* is the view after everything; *in batches* is
//! a view after every hundred changes, as a replica needs it that shows what it has heard of. The fold starts from
//! nothing each time; the engine goes on from what it has, and also keeps the audit, which the fold does not.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kuzusync_bench::concurrent_history;
use kuzusync_core::conflict::Audit;
use kuzusync_core::message::Entry;
use kuzusync_core::state::{Delta, State};
use kuzusync_core::view::{View, ViewDelta};
use kuzusync_sim::model;

const BATCH: usize = 100;

/// The engine: joins batch by batch, and says what each changes in the view.
fn engine(entries: &[Entry]) -> (State, Audit, Vec<ViewDelta>) {
    let (mut state, mut audit, mut deltas) = (State::default(), Audit::default(), Vec::new());
    for batch in entries.chunks(BATCH) {
        let mut delta = Delta::default();
        for entry in batch {
            delta.join(&mut state, &entry.change, 0);
            audit.record(&entry.change, 0, state.schema());
        }
        deltas.push(delta.finish(&state));
    }
    (state, audit, deltas)
}

/// The fold: the view after each batch, from nothing.
fn fold_in_batches(entries: &[Entry]) -> Option<View> {
    let ends = (BATCH..entries.len()).step_by(BATCH).chain([entries.len()]);
    ends.fold(None, |_, end| Some(model::view(&entries[..end])))
}

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge");
    group.sample_size(10);
    for changes in [1_000, 5_000] {
        let entries = concurrent_history(changes, 1);
        let (state, audit, _) = engine(&entries);
        assert_eq!(state.view(), model::view(&entries), "the engine and the fold disagree");
        assert_eq!(audit.losses(&state), model::audit(&entries), "their audits disagree");
        group.throughput(Throughput::Elements(entries.len() as u64));
        group.bench_with_input(BenchmarkId::new("engine in batches", changes), &entries, |bencher, entries| {
            bencher.iter(|| engine(entries));
        });
        group.bench_with_input(BenchmarkId::new("naive fold once", changes), &entries, |bencher, entries| {
            bencher.iter(|| model::view(entries));
        });
        group.bench_with_input(BenchmarkId::new("naive fold in batches", changes), &entries, |bencher, entries| {
            bencher.iter(|| fold_in_batches(entries));
        });
    }
    group.finish();
}

// In a module of its own, because what the macro makes has no documentation.
mod groups {
    use super::{criterion_group, merge};
    criterion_group!(benches, merge);
}

use groups::benches;

criterion_main!(benches);

//! A hundred schema operations on a Kùzu database of 10,000 rows: one by one, and as the one plan of a replica that hears
//! of all of them at once.
//!
//! Both end with what the replica shows, which is verified before anything is timed. One by one is what their author's
//! store does, a plan for each. All at once is the difference of two schemas: a column that is added and then renamed is
//! added under its last name, and ten thousand values are cast once. (DDL Integration Plan, case A7.)

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kuzusync_core::change::Change;
use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::Role;
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::state::{Delta, State};
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::value::Type;
use kuzusync_core::view::{View, ViewDelta};
use kuzusync_kuzu::KuzuStore;

const ROWS: i64 = 10_000;
const OPERATIONS: usize = 100;

/// A replica whose log grows; what its store is told is kept.
struct Author {
    replica: Replica,
    deltas: Vec<ViewDelta>,
    txs: u32,
}

impl Author {
    fn new() -> Author {
        let config = Config::new(Role::Main, DatabaseId([7; 16]));
        let replica = Replica::open(config, [1; 32], &[]).expect("no records are sound");
        let mut author = Author { replica, deltas: Vec::new(), txs: 0 };
        author.carry_out();
        author
    }

    fn submit(&mut self, statements: Vec<Statement>) {
        self.txs += 1;
        let mut tx = TxId::default();
        tx.0[..4].copy_from_slice(&self.txs.to_le_bytes());
        let transaction = Transaction { tx, statements, ..Transaction::default() };
        let now = Now { monotonic: Instant(0), wall_ms: 1_000 };
        self.replica.handle_input(now, Input::Local(transaction)).expect("the statements are sound");
        self.carry_out();
    }

    fn carry_out(&mut self) {
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => return,
                Output::View(delta) => self.deltas.push(delta),
                _ => {}
            }
        }
    }
}

fn add(name: String) -> Statement {
    Statement::AddColumn { table: "User".into(), column: Column::new(name, Type::Int64) }
}

fn rename(from: String, to: String) -> Statement {
    Statement::RenameColumn { table: "User".into(), column: from, to }
}

/// A column of ten thousand values changes its type, sixty columns come and twenty of them change their names, eight are
/// dropped, and eleven tables appear.
fn operations() -> Vec<Statement> {
    let table = |n: usize| {
        let columns = vec![Column::new("id", Type::Int64), Column::new("name", Type::String)];
        Statement::CreateNodeTable { table: format!("T{n}"), columns, primary_key: "id".into() }
    };
    let drop = |n: usize| Statement::DropColumn { table: "User".into(), column: format!("c{n}"), cascade: false };
    let retype = Statement::AlterColumnType { table: "User".into(), column: "age".into(), column_type: Type::String };
    // First, while the table is narrow: an update sets every column that is not new by its own delta.
    let mut all = vec![retype];
    all.extend((0..60).map(|n| add(format!("c{n}"))));
    all.extend((0..20).map(|n| rename(format!("c{n}"), format!("renamed{n}"))));
    all.extend((50..58).map(drop));
    all.extend((0..11).map(table));
    assert_eq!(all.len(), OPERATIONS);
    all
}

/// The view before, the deltas one by one, the delta of all, the view after.
fn workload() -> (View, Vec<ViewDelta>, ViewDelta, View) {
    let mut author = Author::new();
    let columns = vec![Column::new("id", Type::Int64), Column::new("age", Type::Int64)];
    author.submit(vec![Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }]);
    let user = |id: i64| {
        let properties = Properties::from([("id".into(), id.into()), ("age".into(), (id % 90).into())]);
        Statement::CreateNode { table: "User".into(), properties }
    };
    author.submit((0..ROWS).map(user).collect());
    let (before, known) = (author.replica.view(), author.replica.log().len());
    author.deltas.clear();
    operations().into_iter().for_each(|operation| author.submit(vec![operation]));
    let changes: Vec<Arc<Change>> = author.replica.log().changes().cloned().collect();
    let (mut state, mut delta) = (State::default(), Delta::default());
    changes[..known].iter().for_each(|change| delta.join(&mut state, change, 0));
    let mut delta = Delta::default();
    changes[known..].iter().for_each(|change| delta.join(&mut state, change, 0));
    (before, author.deltas, delta.finish(&state), author.replica.view())
}

fn store_of(view: &View) -> KuzuStore {
    let mut store = KuzuStore::in_memory().expect("Kùzu opens");
    store.rebuild(view).expect("the view is sound");
    store
}

fn apply(mut store: KuzuStore, deltas: &[ViewDelta]) -> KuzuStore {
    deltas.iter().for_each(|delta| store.apply(delta).expect("the delta is sound"));
    store
}

fn ddl(criterion: &mut Criterion) {
    let (before, one_by_one, at_once, after) = workload();
    let at_once = [at_once];
    for deltas in [one_by_one.as_slice(), &at_once] {
        let mut store = apply(store_of(&before), deltas);
        assert_eq!(store.read().expect("it can be read"), after, "the store disagrees with the log");
        assert_eq!(store.counts().plans, deltas.len() as u64);
    }
    let mut group = criterion.benchmark_group("100 schema operations on 10,000 rows");
    group.sample_size(10);
    for (name, deltas) in [("one by one", one_by_one.as_slice()), ("as one plan", &at_once)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| store_of(&before), |store| apply(store, deltas), BatchSize::PerIteration);
        });
    }
    group.finish();
}

// In a module of its own, because what the macro makes has no documentation.
mod groups {
    use super::{criterion_group, ddl};
    criterion_group!(benches, ddl);
}

use groups::benches;

criterion_main!(benches);

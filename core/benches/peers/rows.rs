//! The rows of the performance table: the engine beside documents of automerge, loro and yrs that do the same work.
//!
//! A document is a map of rows, each a map with a name. What one has and the other lacks goes across in one message, through
//! the library's own encoding of updates; both sides are compared before a time counts. The engine is measured by
//! [`kuzusync_bench::rows`], which its own benchmarks and its conformance report use too.
//!
//! | row | what is timed |
//! |---|---|
//! | D.P1 | 1,000 nodes, each in a transaction of its own, to a side that lacks them |
//! | D.P2 | ten nodes to a side that has the other 9,990; its heap from the first node on |
//! | D.P3 | 10,000 nodes written in as many transactions, then to the other side |
//! | D.P4 | 10,000 new names of 3,000 rows, a hundred in a transaction, encoded and compressed with zstd 3 |
//! | D.P5 | both rename the same 1,000 rows and exchange that; for each conflict |

use std::cell::RefCell;
use std::time::{Duration, Instant};

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjType, ROOT, ReadDoc};
use criterion::{BenchmarkId, Criterion};
use kuzusync_bench::heap::{Counting, Tally};
use kuzusync_bench::rows::{ROWS, TRANSACTION, Taken, writes};
use loro::{ExportMode, LoroDoc, LoroMap, ToJson as _};
use yrs::types::ToJson as _;
use yrs::updates::decoder::Decode;
use yrs::{Doc, Map, MapPrelim, MapRef, ReadTxn, StateVector, Transact, Update};

#[global_allocator]
static ALLOCATOR: Counting<std::alloc::System> = Counting(std::alloc::System);

/// A replica of one of the libraries.
trait Document: Sized {
    const NAME: &'static str;

    /// One with an empty table.
    fn open() -> Self;

    /// Another replica with the same contents.
    fn fork(&mut self, name: u64) -> Self;

    /// Makes these rows, or gives them new names, in one transaction.
    fn write(&mut self, rows: &[(u64, String)]);

    /// What the other lacks.
    fn lacking(&mut self, other: &mut Self) -> Vec<u8>;

    fn take_in(&mut self, bytes: &[u8]);

    /// All rows as JSON.
    fn shown(&mut self) -> serde_json::Value;
}

struct Automerge(AutoCommit, automerge::ObjId);

impl Document for Automerge {
    const NAME: &'static str = "automerge";

    fn open() -> Self {
        let mut doc = AutoCommit::new();
        let users = doc.put_object(ROOT, "User", ObjType::Map).unwrap();
        doc.commit();
        Automerge(doc, users)
    }

    fn fork(&mut self, _: u64) -> Self {
        Automerge(self.0.fork(), self.1.clone())
    }

    fn write(&mut self, rows: &[(u64, String)]) {
        for (row, name) in rows {
            let row = row.to_string();
            let known = self.0.get(&self.1, row.as_str()).unwrap().map(|(_, id)| id);
            let row = known.unwrap_or_else(|| self.0.put_object(&self.1, row, ObjType::Map).unwrap());
            self.0.put(&row, "name", name.as_str()).unwrap();
        }
        self.0.commit();
    }

    fn lacking(&mut self, other: &mut Self) -> Vec<u8> {
        self.0.save_after(&other.0.get_heads())
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.0.load_incremental(bytes).unwrap();
    }

    fn shown(&mut self) -> serde_json::Value {
        serde_json::to_value(automerge::AutoSerde::from(&self.0)).unwrap()
    }
}

struct Loro(LoroDoc);

impl Document for Loro {
    const NAME: &'static str = "loro";

    fn open() -> Self {
        let doc = LoroDoc::new();
        doc.set_peer_id(1).unwrap();
        Loro(doc)
    }

    fn fork(&mut self, name: u64) -> Self {
        let doc = self.0.fork();
        doc.set_peer_id(name).unwrap();
        Loro(doc)
    }

    fn write(&mut self, rows: &[(u64, String)]) {
        let users = self.0.get_map("User");
        for (row, name) in rows {
            let row = row.to_string();
            let known = users.get(&row).map(|row| row.into_container().unwrap().into_map().unwrap());
            let row = known.unwrap_or_else(|| users.insert_container(&row, LoroMap::new()).unwrap());
            row.insert("name", name.as_str()).unwrap();
        }
        self.0.commit();
    }

    fn lacking(&mut self, other: &mut Self) -> Vec<u8> {
        self.0.export(ExportMode::updates(&other.0.oplog_vv())).unwrap()
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.0.import(bytes).unwrap();
    }

    fn shown(&mut self) -> serde_json::Value {
        self.0.get_deep_value().to_json_value()
    }
}

struct Yrs(Doc, MapRef);

impl Yrs {
    fn with(name: u64) -> Self {
        let doc = Doc::with_client_id(name);
        let users = doc.get_or_insert_map("User");
        Yrs(doc, users)
    }
}

impl Document for Yrs {
    const NAME: &'static str = "yrs";

    fn open() -> Self {
        Yrs::with(1)
    }

    fn fork(&mut self, name: u64) -> Self {
        let mut fork = Yrs::with(name);
        fork.take_in(&self.0.transact().encode_diff_v1(&StateVector::default()));
        fork
    }

    fn write(&mut self, rows: &[(u64, String)]) {
        let mut transaction = self.0.transact_mut();
        for (row, name) in rows {
            let row = row.to_string();
            let known = self.1.get(&transaction, &row).map(|row| row.cast::<MapRef>().unwrap());
            let row = known.unwrap_or_else(|| self.1.insert(&mut transaction, row, MapPrelim::default()));
            row.insert(&mut transaction, "name", name.as_str());
        }
    }

    fn lacking(&mut self, other: &mut Self) -> Vec<u8> {
        let known = other.0.transact().state_vector();
        self.0.transact().encode_diff_v1(&known)
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.0.transact_mut().apply_update(Update::decode_v1(bytes).unwrap()).unwrap();
    }

    fn shown(&mut self) -> serde_json::Value {
        let mut json = String::new();
        self.1.to_json(&self.0.transact()).to_json(&mut json);
        serde_json::from_str(&json).unwrap()
    }
}

// ---- the work ----

fn named(ids: std::ops::Range<u64>, words: &str) -> Vec<(u64, String)> {
    ids.map(|id| (id, format!("{words} {id}"))).collect()
}

/// Two replicas with these rows in common.
fn pair<D: Document>(rows: &[(u64, String)]) -> [D; 2] {
    let mut base = D::open();
    if !rows.is_empty() {
        base.write(rows);
    }
    [base.fork(2), base.fork(3)]
}

/// What the first has goes to the second; both are compared afterwards.
fn across<D: Document>([one, other]: &mut [D; 2]) -> (Duration, u64) {
    let start = Instant::now();
    let bytes = one.lacking(other);
    other.take_in(&bytes);
    let time = start.elapsed();
    assert!(one.shown() == other.shown(), "{}: the two sides disagree", D::NAME);
    (time, bytes.len() as u64)
}

fn taken(time: Duration, counts: &[(&'static str, u64)]) -> Taken {
    Taken { time, counts: counts.to_vec() }
}

/// The row's work, done by a document.
fn work<D: Document>(case: &str) -> Taken {
    match case {
        "D.P1" => {
            let mut pair = pair::<D>(&[]);
            named(0..1_000, "user").iter().for_each(|row| pair[0].write(std::slice::from_ref(row)));
            let (time, bytes) = across(&mut pair);
            taken(time, &[("bytes", bytes)])
        }
        "D.P2" => {
            let mut first = D::open();
            let mut heap = Tally::default();
            let mut less = heap.during(|| first.fork(3));
            let rows = named(0..10_000, "device");
            let (ten, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(id, _)| id % 1_000 == 517);
            others.iter().for_each(|row| first.write(std::slice::from_ref(row)));
            let most = first.lacking(&mut less);
            heap.during(|| less.take_in(&most));
            ten.iter().for_each(|row| first.write(std::slice::from_ref(row)));
            let start = Instant::now();
            let bytes = first.lacking(&mut less);
            heap.during(|| less.take_in(&bytes));
            let time = start.elapsed();
            assert!(first.shown() == less.shown(), "{}: the two sides disagree", D::NAME);
            taken(time, &[("bytes of heap at most", heap.peak.unsigned_abs()), ("bytes", bytes.len() as u64)])
        }
        "D.P3" => {
            let mut pair = pair::<D>(&[]);
            let rows = named(0..10_000, "user");
            let start = Instant::now();
            rows.iter().for_each(|row| pair[0].write(std::slice::from_ref(row)));
            let filled = start.elapsed();
            let (time, bytes) = across(&mut pair);
            taken(filled + time, &[("bytes", bytes)])
        }
        "D.P4" => {
            let [mut one, mut other] = pair::<D>(&named(0..3_000, "user"));
            writes(1, 10_000, 3_000).chunks(TRANSACTION).for_each(|batch| one.write(batch));
            let start = Instant::now();
            let bytes = one.lacking(&mut other);
            let small = zstd::bulk::compress(&bytes, 3).unwrap();
            let time = start.elapsed();
            other.take_in(&bytes);
            assert!(one.shown() == other.shown(), "{}: the two sides disagree", D::NAME);
            taken(time, &[("bytes", small.len() as u64), ("bytes before zstd", bytes.len() as u64)])
        }
        "D.P5" => {
            let [mut one, mut other] = pair::<D>(&named(0..1_000, "user"));
            one.write(&named(0..1_000, "by replica 1"));
            other.write(&named(0..1_000, "by replica 2"));
            let start = Instant::now();
            let [from_one, from_other] = [one.lacking(&mut other), other.lacking(&mut one)];
            one.take_in(&from_other);
            other.take_in(&from_one);
            let time = start.elapsed();
            assert!(one.shown() == other.shown(), "{}: the two sides disagree", D::NAME);
            taken(time, &[("bytes", (from_one.len() + from_other.len()) as u64)])
        }
        _ => panic!("{case} is no row"),
    }
}

fn engine(case: &str) -> Taken {
    let row = ROWS.iter().find(|row| row.case == case).expect("it is a row");
    (row.run)(&|| Ok(Vec::new())).unwrap_or_else(|problem| panic!("{case}: {problem}"))
}

// ---- the table ----

/// The median in milliseconds.
fn measure(criterion: &mut Criterion, group: &str, name: &str, run: impl Fn() -> Taken) -> (f64, Taken) {
    let times = RefCell::new(Vec::new());
    let once = || {
        let taken = run();
        times.borrow_mut().push(taken.time);
        taken.time
    };
    let counted = run();
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| once()).sum::<Duration>());
    });
    group.finish();
    let mut times = times.into_inner();
    times.push(counted.time);
    times.sort_unstable();
    (times[times.len() / 2].as_secs_f64() * 1e3, counted)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut lines = Vec::new();
    for row in ROWS {
        let group = format!("{} {}", row.case, row.name);
        let measured = [
            measure(&mut criterion, &group, "kuzusync", || engine(row.case)),
            measure(&mut criterion, &group, Automerge::NAME, || work::<Automerge>(row.case)),
            measure(&mut criterion, &group, Loro::NAME, || work::<Loro>(row.case)),
            measure(&mut criterion, &group, Yrs::NAME, || work::<Yrs>(row.case)),
        ];
        let cells = |each: &dyn Fn(&(f64, Taken)) -> String| measured.iter().map(each).collect::<Vec<_>>().join(" | ");
        lines.push(format!("| {}, ms | {} |", row.case, cells(&|(ms, _)| format!("{ms:.2}"))));
        let ratio = |ms: f64| format!("{:.2}", ms / measured[0].0);
        lines.push(format!("| {}, against the engine | {} |", row.case, cells(&|(ms, _)| ratio(*ms))));
        for count in ["bytes", "bytes of heap at most"] {
            let told = |taken: &Taken| taken.count(count).map_or("-".to_owned(), |number| number.to_string());
            if measured[0].1.count(count).is_some() {
                lines.push(format!("| {}, {count} | {} |", row.case, cells(&|(_, taken)| told(taken))));
            }
        }
    }
    println!("\n| row | kuzusync | automerge | loro | yrs |\n|---|---|---|---|---|\n{}", lines.join("\n"));
    criterion.final_summary();
}

//! Cases with a limit of time, measured outside the simulation, where time is real: the median of nine runs against the
//! document's limit, on every store that the case names.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kuzusync_core::clock::{self, Now};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::Role;
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::value::Type;
use kuzusync_directory::{BATCH_SIZE, Directory, ImportOptions, Init};
use kuzusync_scenarios::case::Case;
use kuzusync_sim::store::{Store, StoreChoice, Stores};

use crate::conformance::{Conformance, Verdict, not_run};

/// Runs of which the median counts.
const RUNS: usize = 9;

/// Runs of an import, each of which takes seconds.
const IMPORT_RUNS: usize = 3;

/// Rows of an import.
const IMPORT_ROWS: i64 = 10_000;

/// Rows that differ, or that are written to on both sides.
const ROWS: i64 = 1_000;

/// How long it took on one store, once; or what went wrong.
type Measurement = fn(StoreChoice) -> Result<Duration, String>;

/// Measures the cases among these that have a limit of time, and judges them by it.
pub fn judge(conformance: &mut Conformance, stores: &[StoreChoice]) {
    for case in &mut conformance.cases {
        let in_memory = [StoreChoice::Memory, StoreChoice::Kuzu];
        // A directory's graph is on disk where there is Kùzu.
        let on_disk = [if StoreChoice::KuzuDisk.is_built() { StoreChoice::KuzuDisk } else { StoreChoice::Memory }];
        let (limit, runs, measure, of): (Duration, usize, Measurement, &[StoreChoice]) = match case.case {
            Case::DP1 => (Duration::from_millis(100), RUNS, difference_sync, &in_memory),
            Case::DP5 => (Duration::from_millis(10), RUNS, conflict, &in_memory),
            // The document asks for a time that is acceptable with the default batch size, and names none.
            Case::E13 => (Duration::from_secs(30), IMPORT_RUNS, import, &on_disk),
            _ => continue,
        };
        case.limit = Some(shown(limit));
        let mut found = Vec::new();
        let mut problem = None;
        for store in of.iter().copied().filter(|store| store.is_built()) {
            match median(runs, || measure(store)) {
                Ok(time) => {
                    let words = format!("{} on {}", shown(time), store.store_names()[0]);
                    if time >= limit {
                        problem = Some(format!("{words}, limit {}", shown(limit)));
                    }
                    found.push(words);
                }
                Err(error) => problem = Some(error),
            }
            case.stores.push(store.store_names()[0]);
        }
        case.measured = Some(found.join(", "));
        (case.verdict, case.reason, case.exit_code) = match (problem, not_run(stores)) {
            (Some(problem), _) => (Verdict::Fail, Some(problem), 1),
            (None, Some(reason)) => (Verdict::Missing, Some(reason), 0),
            (None, None) => (Verdict::Pass, None, 0),
        };
    }
}

fn median(runs: usize, run: impl Fn() -> Result<Duration, String>) -> Result<Duration, String> {
    let mut times = (0..runs).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times[runs / 2])
}

fn shown(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms >= 1e4 {
        return format!("{:.1} s", ms / 1e3);
    }
    if ms < 0.1 { format!("{:.1} µs", ms * 1e3) } else { format!("{ms:.1} ms") }
}

/// A replica and its stores.
struct Node {
    replica: Replica,
    stores: Vec<Store>,
}

impl Node {
    fn open(name: u8, store: StoreChoice) -> Result<Node, String> {
        let replica = Replica::open(Config::new(Role::Peer, DatabaseId([1; 16])), [name; 32], &[]);
        let stores = Stores::new(store, None).open(u32::from(name), &[]).map_err(|error| error.to_string())?;
        let replica = replica.map_err(|error| error.to_string())?;
        let mut node = Node { replica, stores };
        node.carry_out()?;
        Ok(node)
    }

    /// Does what the replica wants done, and returns what it sends.
    fn carry_out(&mut self) -> Result<Vec<Vec<u8>>, String> {
        let mut frames = Vec::new();
        loop {
            let result = match self.replica.poll_output() {
                Output::Timeout(_) => return Ok(frames),
                Output::Transmit { bytes, .. } => {
                    frames.push(bytes);
                    Ok(())
                }
                Output::View(delta) => self.stores.iter_mut().try_for_each(|store| store.apply(&delta)),
                Output::Rebuild(view) => self.stores.iter_mut().try_for_each(|store| store.rebuild(&view)),
                Output::Persist(_) | Output::Notify(_) => Ok(()),
            };
            result.map_err(|error| error.to_string())?;
        }
    }

    fn input(&mut self, input: Input) -> Result<Vec<Vec<u8>>, String> {
        let now = Now { monotonic: clock::Instant(0), wall_ms: 1_700_000_000_000 };
        self.replica.handle_input(now, input).map_err(|error| error.to_string())?;
        self.carry_out()
    }

    fn submit(&mut self, name: u8, number: i64, statements: Vec<Statement>) -> Result<(), String> {
        let mut tx = TxId([name; 16]);
        tx.0[..8].copy_from_slice(&number.to_le_bytes());
        self.input(Input::Local(Transaction { tx, statements, ..Transaction::default() })).map(drop)
    }
}

/// Both greet each other, and everything is said that is to be said.
fn meet(nodes: &mut [Node; 2]) -> Result<(), String> {
    let mut on_their_way = VecDeque::new();
    for from in [0, 1] {
        let frames = nodes[from].input(Input::Connected(Peer(0)))?;
        on_their_way.extend(frames.into_iter().map(|bytes| (1 - from, bytes)));
    }
    while let Some((to, bytes)) = on_their_way.pop_front() {
        let answers = nodes[to].input(Input::Receive { from: Peer(0), bytes })?;
        on_their_way.extend(answers.into_iter().map(|bytes| (1 - to, bytes)));
    }
    nodes.iter_mut().try_for_each(|node| node.input(Input::Disconnected(Peer(0))).map(drop))
}

fn table() -> Statement {
    let column = |name: &str, column_type| Column::new(name, column_type);
    let columns = vec![column("id", Type::Int64), column("name", Type::String)];
    Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }
}

fn create(id: i64) -> Statement {
    let properties = [("id".into(), id.into()), ("name".into(), format!("user {id}").as_str().into())];
    Statement::CreateNode { table: "User".into(), properties: Properties::from(properties) }
}

fn rename(id: i64, name: &str) -> Statement {
    let properties = Properties::from([("name".into(), name.into())]);
    Statement::UpdateNode { table: "User".into(), key: id.into(), properties }
}

/// Two replicas, the second of which lacks 1,000 nodes that the first wrote in as many changes: from their meeting to equal
/// stores.
fn difference_sync(store: StoreChoice) -> Result<Duration, String> {
    let mut nodes = [Node::open(1, store)?, Node::open(2, store)?];
    nodes[0].submit(1, 0, vec![table()])?;
    meet(&mut nodes)?;
    (1..=ROWS).try_for_each(|id| nodes[0].submit(1, id, vec![create(id)]))?;
    let start = Instant::now();
    meet(&mut nodes)?;
    let time = start.elapsed();
    let views = nodes.each_ref().map(|node| node.replica.view());
    for (node, view) in nodes.iter_mut().zip(&views) {
        for store in &mut node.stores {
            let held = store.read().map_err(|error| error.to_string())?;
            if held != *view || held != views[0] || held.nodes.get("User").map(|rows| rows.len()) != Some(1_000) {
                return Err(format!("the stores do not hold the same 1,000 nodes on {}", store.name()));
            }
        }
    }
    Ok(time)
}

/// Two replicas that renamed the same 1,000 rows: detection, resolution, audit and view of what the second gets from the
/// first, for each conflict.
fn conflict(store: StoreChoice) -> Result<Duration, String> {
    let mut nodes = [Node::open(1, store)?, Node::open(2, store)?];
    nodes[0].submit(1, 0, vec![table()])?;
    nodes[0].submit(1, 1, (0..ROWS).map(create).collect())?;
    meet(&mut nodes)?;
    for (name, node) in (1..).zip(&mut nodes) {
        let words = format!("by replica {name}");
        node.submit(name, 2, (0..ROWS).map(|id| rename(id, &words)).collect())?;
    }
    let start = Instant::now();
    meet(&mut nodes)?;
    let time = start.elapsed();
    let losses = nodes.each_ref().map(|node| node.replica.audit().len());
    if losses != [1_000; 2] {
        return Err(format!("{losses:?} losses of 1,000 are recorded"));
    }
    // Both sides resolve all of them.
    Ok(time / (2 * ROWS as u32))
}

/// A plain file of 10,000 transactions of a row, imported into a replica directory in batches of the default size: from the
/// file's bytes to the last checkpoint and the graph on disk.
fn import(_: StoreChoice) -> Result<Duration, String> {
    let said = |error: kuzusync_directory::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let init = Init { role: Role::Main, database: None, name: None };
    let directory = Directory::init(&folder.path().join("main"), &init).map_err(said)?;
    let table = Transaction { tx: TxId([1; 16]), statements: vec![table()], ..Transaction::default() };
    let (mut directory, _) = directory.apply(vec![(1, table)]).map_err(said)?;
    let mut text = "{\"__meta__\":{\"client_id\":\"till\",\"source_node\":\"till\"}}\n".to_owned();
    for lsn in 1..=IMPORT_ROWS {
        text.push_str(&format!(
            "{{\"lsn\":{lsn},\"tx_id\":\"t{lsn}\",\"table_name\":\"User\",\"pk_json\":{{\"id\":{lsn}}},\"op\":\"I\",\"payload\":\
             {{\"name\":\"user {lsn}\"}},\"tombstone\":0,\"created_at\":\"2024-05-01T00:00:00Z\"}}\n"
        ));
    }
    let options = ImportOptions { batch_size: BATCH_SIZE, allow_schema_alter: false };
    let start = Instant::now();
    let report = directory.import(text.as_bytes(), options, &mut |_| {}).map_err(said)?;
    let time = start.elapsed();
    let held = directory.read_graph().map_err(said)?;
    if report.applied != 10_000 || held.nodes.get("User").map(|rows| rows.len()) != Some(10_000) {
        return Err(format!("{} of 10,000 transactions are applied", report.applied));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_case_says_what_was_measured_and_its_limit() {
        let mut conformance = crate::conformance::judge(&[Case::DP1, Case::DP5], &[StoreChoice::Both], |_| Vec::new());
        judge(&mut conformance, &[StoreChoice::Both]);
        for case in &conformance.cases {
            let measured = case.measured.as_deref().unwrap_or_default();
            assert!(measured.contains(" on memory"), "{measured}");
            assert_eq!(measured.contains(" on kuzu"), StoreChoice::Kuzu.is_built());
            assert_eq!(case.limit.as_deref(), Some(if case.case == Case::DP1 { "100.0 ms" } else { "10.0 ms" }));
            assert!(case.verdict == Verdict::Pass || !StoreChoice::Kuzu.is_built(), "{case:?}");
        }
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        assert_eq!(shown(Duration::from_micros(37)), "37.0 µs");
        assert_eq!(shown(Duration::from_micros(3_700)), "3.7 ms");
    }
}

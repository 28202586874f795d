//! Cases with a limit of time or of memory, measured outside the simulation, where time is real: the median of nine runs
//! against the document's limit, on every store that the case names. What is done is in [`kuzusync_bench::rows`], where
//! Criterion has it too.
//!
//! Memory is the most that the engine holds on the heap at once, by an allocator that counts. It is the same on every run.
//! What the process has in memory besides, with a store that holds the nodes, is told beside it: 10,000 rows in Kùzu are
//! not the engine's.

use std::time::{Duration, Instant};

use kuzusync_bench::heap::resident_bytes;
use kuzusync_bench::rows::{self, table};
use kuzusync_core::id::{Role, TxId};
use kuzusync_core::statement::Transaction;
use kuzusync_core::store::GraphStore;
use kuzusync_directory::{BATCH_SIZE, Directory, ImportOptions, Init};
use kuzusync_scenarios::case::Case;
use kuzusync_sim::store::{StoreChoice, Stores};

use crate::conformance::{CaseReport, Conformance, Verdict, not_run};

/// Runs of which the median counts.
const RUNS: usize = 9;

/// Runs of an import, each of which takes seconds.
const IMPORT_RUNS: usize = 3;

/// Rows of an import.
const IMPORT_ROWS: i64 = 10_000;

/// Rows that differ, or that are written to on both sides.
const ROWS: u64 = 1_000;

/// Nodes of which one side lacks ten.
const NODES: u32 = 10_000;

/// What most cases are measured on.
const IN_MEMORY: [StoreChoice; 2] = [StoreChoice::Memory, StoreChoice::Kuzu];

/// The document says 32 MB; the smaller reading of that is a million bytes each.
const HEAP_BYTES_MAX: u64 = 32_000_000;

/// How long it took on one store, once; or what went wrong.
type Measurement = fn(StoreChoice) -> Result<Duration, String>;

/// What was measured on one store.
struct Measured {
    /// For people.
    words: String,
    is_below_limit: bool,
}

/// Measures the cases among these that have a limit of time or memory, and judges them by it.
pub fn judge(conformance: &mut Conformance, stores: &[StoreChoice]) {
    // A directory's graph is on disk where there is Kùzu.
    let on_disk = [if StoreChoice::KuzuDisk.is_built() { StoreChoice::KuzuDisk } else { StoreChoice::Memory }];
    for case in &mut conformance.cases {
        let (limit, runs, measure, of): (Duration, usize, Measurement, &[StoreChoice]) = match case.case {
            Case::DP1 => (Duration::from_millis(100), RUNS, difference_sync, &IN_MEMORY),
            Case::DP2 => {
                judge_heap(case, stores, memory);
                continue;
            }
            Case::DP5 => (Duration::from_millis(10), RUNS, conflict, &IN_MEMORY),
            // The document asks for a time that is acceptable with the default batch size, and names none.
            Case::E13 => (Duration::from_secs(30), IMPORT_RUNS, import, &on_disk),
            _ => continue,
        };
        judge_on(of, case, stores, &shown(limit), |store| {
            let time = median(runs, || measure(store))?;
            let words = format!("{} on {}", shown(time), store.store_names()[0]);
            Ok(Measured { words, is_below_limit: time < limit })
        });
    }
}

/// Judges a case by what is measured on each of these stores.
fn judge_on(
    of: &[StoreChoice],
    case: &mut CaseReport,
    stores: &[StoreChoice],
    limit: &str,
    measure: impl Fn(StoreChoice) -> Result<Measured, String>,
) {
    let mut found = Vec::new();
    let mut problem = None;
    for store in of.iter().copied().filter(|store| store.is_built()) {
        match measure(store) {
            Ok(Measured { words, is_below_limit }) => {
                if !is_below_limit {
                    problem = Some(format!("{words}, limit {limit}"));
                }
                found.push(words);
            }
            Err(error) => problem = Some(error),
        }
        case.stores.push(store.store_names()[0]);
    }
    case.limit = Some(limit.to_owned());
    case.measured = Some(found.join(", "));
    (case.verdict, case.reason, case.exit_code) = match (problem, not_run(stores)) {
        (Some(problem), _) => (Verdict::Fail, Some(problem), 1),
        (None, Some(reason)) => (Verdict::Missing, Some(reason), 0),
        (None, None) => (Verdict::Pass, None, 0),
    };
}

/// Judges the case with a limit of memory by the bytes that each store's run took.
fn judge_heap(
    case: &mut CaseReport,
    stores: &[StoreChoice],
    measure: impl Fn(StoreChoice) -> Result<(u64, String), String>,
) {
    judge_on(&IN_MEMORY, case, stores, &megabytes(HEAP_BYTES_MAX), |store| {
        let (peak, beside) = measure(store)?;
        let words = format!("{} of heap on {} ({beside})", megabytes(peak), store.store_names()[0]);
        Ok(Measured { words, is_below_limit: peak < HEAP_BYTES_MAX })
    });
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

/// The stores of one replica.
pub(crate) fn stores(choice: StoreChoice) -> Result<kuzusync_bench::node::Stores, String> {
    let stores = Stores::new(choice, None).open(0, &[]).map_err(|error| error.to_string())?;
    Ok(stores.into_iter().map(|store| Box::new(store) as Box<dyn GraphStore>).collect())
}

fn difference_sync(store: StoreChoice) -> Result<Duration, String> {
    rows::difference_sync(ROWS, &|| stores(store)).map(|taken| taken.time)
}

/// For each conflict. Both sides resolve all of them.
fn conflict(store: StoreChoice) -> Result<Duration, String> {
    rows::conflicts(ROWS, &|| stores(store)).map(|taken| taken.time / (2 * ROWS as u32))
}

/// How much memory it took on one store, in bytes, and what a person may want to know beside it.
fn memory(store: StoreChoice) -> Result<(u64, String), String> {
    let taken = rows::memory(NODES)?;
    let peak = taken.count("bytes of heap at most").ok_or("the heap is not counted")?;
    let before = resident_bytes().map(|(now, _)| now);
    let view = kuzusync_bench::authors::view(NODES)?;
    let mut stores = stores(store)?;
    stores.iter_mut().try_for_each(|store| store.rebuild(&view)).map_err(|error| error.to_string())?;
    let beside = match (before, resident_bytes()) {
        (Some(before), Some((now, _))) => {
            let more = now.saturating_sub(before);
            format!("the process {} resident, {} more with the nodes in the store", megabytes(before), megabytes(more))
        }
        _ => "what is resident is not told here".to_owned(),
    };
    Ok((peak, beside))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
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

    fn judged(measure: impl Fn(StoreChoice) -> Result<(u64, String), String>) -> CaseReport {
        let mut conformance = crate::conformance::judge(&[Case::DP2], &[StoreChoice::Both], |_| Vec::new());
        judge_heap(&mut conformance.cases[0], &[StoreChoice::Both], measure);
        conformance.cases.remove(0)
    }

    #[test]
    fn the_heap_at_ten_thousand_nodes_is_below_the_limit() {
        let case = judged(memory);
        assert!(case.verdict == Verdict::Pass || !StoreChoice::Kuzu.is_built(), "{case:?}");
        assert_ne!(case.verdict, Verdict::Fail, "{case:?}");
        let measured = case.measured.unwrap_or_default();
        assert!(measured.contains("MB of heap on memory (the process"), "{measured}");
    }

    #[test]
    fn a_heap_at_the_limit_fails_and_so_does_one_that_is_not_counted() {
        let case = judged(|_| Ok((HEAP_BYTES_MAX, String::new())));
        assert_eq!((case.verdict, case.exit_code), (Verdict::Fail, 1));
        assert!(case.reason.is_some_and(|reason| reason.contains("32.0 MB of heap on")));
        assert_ne!(judged(|_| Ok((HEAP_BYTES_MAX - 1, String::new()))).verdict, Verdict::Fail);
        let case = judged(|_| Err("this program's allocator does not count".to_owned()));
        assert_eq!(
            (case.verdict, case.reason.as_deref()),
            (Verdict::Fail, Some("this program's allocator does not count"))
        );
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        assert_eq!(shown(Duration::from_micros(37)), "37.0 µs");
        assert_eq!(shown(Duration::from_micros(3_700)), "3.7 ms");
    }
}

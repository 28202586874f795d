//! What is left when the process dies, and when the files are not what they were.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kuzusync_core::id::ReplicaId;
use kuzusync_core::message::Record;
use kuzusync_sqlite::{Batch, LogError, Outcome, SqliteLog, StoredRow};

/// Tells a process of this test where to write.
const FILE: &str = "KUZUSYNC_TEST_LOG";

fn row(number: u64) -> StoredRow {
    StoredRow {
        tx_id: format!("tx-{number}"),
        table_name: Some("User".into()),
        pk_json: Some(format!("{{\"id\":{number}}}")),
        op: "I".into(),
        payload: Some("{}".into()),
        tombstone: 0,
        created_at: "2024-01-01T00:00:00Z".into(),
        source_node: "a".into(),
        change: None,
        op_index: 0,
        number: None,
        outcome: Outcome::Applied,
    }
}

/// Three records and two rows that belong together.
fn batch(number: u64) -> Batch {
    let record = |part: u8| Record::Main(ReplicaId([number as u8 ^ part; 16]));
    let rows = vec![row(2 * number), row(2 * number + 1)];
    Batch { records: [1, 2, 3].map(record).to_vec(), rows, ..Batch::default() }
}

/// Whole batches, and how many.
fn whole(log: &SqliteLog) -> u64 {
    let (records, rows) = (log.records().unwrap().len() as u64, log.rows_after(0).unwrap());
    assert_eq!(records % 3, 0, "{records} records");
    assert_eq!(rows.len() as u64, records / 3 * 2);
    for (place, (lsn, stored)) in (1..).zip(rows) {
        assert_eq!((lsn, stored), (place, row(place - 1)), "gapless and in order");
    }
    records / 3
}

#[test]
fn a_process_that_is_killed_leaves_every_batch_it_was_told_of_and_only_whole_ones() {
    if let Some(file) = std::env::var_os(FILE) {
        // The child: writes until it dies.
        let mut log = SqliteLog::open(Path::new(&file)).unwrap();
        for number in whole(&log).. {
            log.append(&batch(number)).unwrap();
            #[expect(clippy::print_stdout, reason = "it is how the parent hears of it")]
            {
                println!("written {}", number + 1);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.sqlite");
    drop(SqliteLog::create(&file).unwrap());
    let mut kept = 0;
    for batches in [1, 2, 3, 5, 8, 13, 21, 34] {
        let this = std::env::current_exe().unwrap();
        let name = "a_process_that_is_killed_leaves_every_batch_it_was_told_of_and_only_whole_ones";
        let mut child = Command::new(this)
            .args(["--exact", name, "--nocapture"])
            .env(FILE, &file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = kept;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        for line in lines.filter(|line| line.contains("written ")).take(batches) {
            told = line.rsplit(' ').next().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told > kept, "it wrote");
        kept = whole(&SqliteLog::open(&file).unwrap());
        assert!(kept >= told, "{told} batches were acknowledged, {kept} are there");
    }
}

#[test]
fn a_journal_that_is_cut_anywhere_leaves_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.sqlite");
    let mut log = SqliteLog::create(&file).unwrap();
    log.checkpoint().unwrap();
    (0..4).for_each(|number| log.append(&batch(number)).unwrap());
    let journal = fs::read(folder.path().join("log.sqlite-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for length in (0..=journal.len()).step_by(97).chain([journal.len()]) {
        let left = tempfile::tempdir().unwrap();
        let copy = left.path().join("log.sqlite");
        fs::copy(&file, &copy).unwrap();
        fs::write(left.path().join("log.sqlite-wal"), &journal[..length]).unwrap();
        seen.insert(whole(&SqliteLog::open(&copy).unwrap()));
    }
    assert!(seen.into_iter().eq(0..=4), "every number of batches was left by some length");
}

#[test]
fn a_record_that_is_damaged_or_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (number, statement) in
        ["UPDATE record SET bytes = zeroblob(40) WHERE position = 2", "DELETE FROM record WHERE position = 2"]
            .into_iter()
            .enumerate()
    {
        let file = folder.path().join(format!("{number}.sqlite"));
        SqliteLog::create(&file).unwrap().append(&batch(0)).unwrap();
        rusqlite::Connection::open(&file).unwrap().execute(statement, []).unwrap();
        let error = SqliteLog::open(&file).unwrap().records().unwrap_err();
        assert!(matches!(error, LogError::Damaged { position: 2, .. }), "{error}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
    }
}

#[test]
fn files_that_are_none_of_ours_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(matches!(SqliteLog::open(&at("missing")), Err(LogError::Open { .. })));
    fs::write(
        at("text"),
        "this is no database, and long enough to be seen as none; it goes on and on and on for a page".repeat(9),
    )
    .unwrap();
    assert!(SqliteLog::open(&at("text")).is_err());
    rusqlite::Connection::open(at("other")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(SqliteLog::open(&at("other")), Err(LogError::Foreign(_))));
    drop(SqliteLog::create(&at("newer")).unwrap());
    rusqlite::Connection::open(at("newer")).unwrap().pragma_update(None, "user_version", 7).unwrap();
    assert!(matches!(SqliteLog::open(&at("newer")), Err(LogError::Newer { found: 7, .. })));
    assert!(matches!(SqliteLog::create(&at("other")), Err(LogError::Exists(_))));
}

#[test]
fn a_backup_holds_what_was_written_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("log.sqlite"), folder.path().join("copy.sqlite"));
    let mut log = SqliteLog::create(&file).unwrap();
    log.append(&batch(0)).unwrap();
    SqliteLog::open(&file).unwrap().backup(&copy).unwrap();
    log.append(&batch(1)).unwrap();
    assert_eq!((whole(&log), whole(&SqliteLog::open(&copy).unwrap())), (2, 1));
    assert!(matches!(log.backup(&copy), Err(LogError::Exists(_))));
}

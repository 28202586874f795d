//! What every disk of a replica must keep, tried on the simulated one and on the change log in SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::{Record, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::value::Type;
use kuzusync_sim::disk::Disk;
use kuzusync_sqlite::{Batch, SqliteLog};
use tempfile::TempDir;

/// A disk as its replica's host uses it.
trait Port {
    fn empty() -> Self;
    /// Takes a record; it need not be durable yet.
    fn write(&mut self, record: &Record);
    /// Makes everything taken durable.
    fn sync(&mut self);
    /// The system dies and starts again.
    fn crash(self) -> Self;
    fn records(&self) -> Vec<Record>;
}

impl Port for Disk {
    fn empty() -> Self {
        Disk::default()
    }

    fn write(&mut self, record: &Record) {
        Disk::write(self, record).unwrap();
    }

    fn sync(&mut self) {
        Disk::sync(self);
    }

    fn crash(mut self) -> Self {
        Disk::crash(&mut self, 0);
        self
    }

    fn records(&self) -> Vec<Record> {
        Disk::records(self).unwrap().0
    }
}

struct Sqlite {
    folder: TempDir,
    log: SqliteLog,
    unsynced: Batch,
}

impl Port for Sqlite {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::create(&folder.path().join("log.sqlite")).unwrap();
        Sqlite { folder, log, unsynced: Batch::default() }
    }

    fn write(&mut self, record: &Record) {
        self.unsynced.records.push(record.clone());
    }

    fn sync(&mut self) {
        self.log.append(&std::mem::take(&mut self.unsynced)).unwrap();
    }

    /// What is left is what lies in the files now: they are copied while the log is open.
    fn crash(self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let log = SqliteLog::open(&folder.path().join("log.sqlite")).unwrap();
        Sqlite { folder, log, unsynced: Batch::default() }
    }

    fn records(&self) -> Vec<Record> {
        self.log.records().unwrap()
    }
}

fn config() -> Config {
    Config::new(Role::Main, DatabaseId([9; 16]))
}

/// What a replica has written after each of these inputs: its identity, a table, rows, a schema change.
fn written() -> (Replica, Vec<Record>) {
    let mut replica = Replica::open(config(), [7; 32], &[]).unwrap();
    let mut records = Vec::new();
    let id = kuzusync_core::ddl::Column::new("id", Type::Int64);
    let (columns, primary_key) = (vec![id.clone()], "id".to_owned());
    let table = Statement::CreateNodeTable { table: "User".into(), columns, primary_key };
    let row = |key: i64| Statement::CreateNode { table: "User".into(), properties: [("id".into(), key.into())].into() };
    let column = kuzusync_core::ddl::Column::new("name", Type::String);
    let column = Statement::AddColumn { table: "User".into(), column };
    for (number, statements) in (1..).zip([vec![table], vec![row(1), row(i64::MAX)], vec![column], vec![row(i64::MIN)]])
    {
        let transaction = Transaction { tx: TxId([number; 16]), statements, ..Transaction::default() };
        let now = Now { monotonic: Instant::default(), wall_ms: 1_700_000_000_000 };
        replica.handle_input(now, Input::Local(transaction)).unwrap();
        loop {
            match replica.poll_output() {
                Output::Persist(record) => records.push(record),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    (replica, records)
}

/// The contract.
fn keeps_what_was_synced_and_nothing_by_halves<P: Port>() {
    let (replica, written) = written();
    assert!(written.len() == 5, "an identity and four batches");
    for synced in 0..=written.len() {
        let mut disk = P::empty();
        for record in &written[..synced] {
            disk.write(record);
            disk.sync();
        }
        written[synced..].iter().for_each(|record| disk.write(record));
        disk = disk.crash();
        assert_eq!(disk.records(), written[..synced], "of {} records {synced} were synced", written.len());
        // It goes on where it was.
        written[synced..].iter().for_each(|record| disk.write(record));
        disk.sync();
        disk = disk.crash().crash();
        assert_eq!(disk.records(), written);
        let reopened = Replica::open(config(), [8; 32], &disk.records()).unwrap();
        assert_eq!(reopened.view(), replica.view());
        assert_eq!((reopened.id(), reopened.log().next_lsn()), (replica.id(), replica.log().next_lsn()));
        assert_eq!(reopened.schema_state(), replica.schema_state());
    }
}

#[test]
fn the_simulated_disk_keeps_the_contract() {
    keeps_what_was_synced_and_nothing_by_halves::<Disk>();
}

#[test]
fn the_log_in_sqlite_keeps_the_contract() {
    keeps_what_was_synced_and_nothing_by_halves::<Sqlite>();
}

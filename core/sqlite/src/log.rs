//! The file: opened, read and written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kuzusync_core::change::ChangeId;
use kuzusync_core::id::ReplicaId;
use kuzusync_core::message::Record;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row, Transaction, params};

use crate::tables::{AuditRow, Batch, DeadLetter, Outcome, StoredRow, SyncState};

/// The layout that this build writes.
const LAYOUT: i64 = 1;

/// How long another process may hold the file, such as a backup at its end.
const BUSY: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE setting (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE record (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE change_log (
    lsn INTEGER PRIMARY KEY AUTOINCREMENT,
    tx_id TEXT NOT NULL,
    table_name TEXT,
    pk_json TEXT,
    op TEXT NOT NULL CHECK (op IN ('I', 'U', 'D', 'S', 'R')),
    payload TEXT,
    tombstone INTEGER NOT NULL CHECK (tombstone IN (0, 1)),
    created_at TEXT NOT NULL,
    source_node TEXT NOT NULL,
    author TEXT,
    seq INTEGER,
    op_index INTEGER NOT NULL,
    number INTEGER,
    outcome TEXT NOT NULL
);
CREATE INDEX change_log_change ON change_log (author, seq);
CREATE INDEX change_log_failed ON change_log (author, seq) WHERE outcome = 'failed';
CREATE TABLE sync_state (
    client_id TEXT PRIMARY KEY,
    source_node TEXT NOT NULL,
    last_lsn INTEGER NOT NULL,
    read_lsn INTEGER NOT NULL
);
CREATE TABLE dead_letter (
    client_id TEXT NOT NULL,
    first_lsn INTEGER NOT NULL,
    tx_id TEXT NOT NULL,
    problem TEXT NOT NULL,
    letter TEXT NOT NULL,
    PRIMARY KEY (client_id, first_lsn, tx_id)
);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    table_name TEXT NOT NULL,
    subject TEXT NOT NULL,
    fields TEXT NOT NULL,
    resolution TEXT NOT NULL,
    loser TEXT NOT NULL,
    loser_source TEXT NOT NULL,
    winner TEXT NOT NULL,
    winner_source TEXT NOT NULL
);
CREATE TABLE \"schema\" (
    version INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    column_name TEXT,
    column_type TEXT,
    is_primary_key INTEGER NOT NULL,
    policy TEXT NOT NULL
);
CREATE TABLE source (replica TEXT PRIMARY KEY, name TEXT NOT NULL);
";

/// The setting that tells how many records the graph shows.
const GRAPH_AT: &str = "graph_at_record";

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is a file already.
    #[error("`{}` is there already; choose another place", .0.display())]
    Exists(PathBuf),
    /// There is no such file, or it cannot be opened.
    #[error("`{}` cannot be opened: {error}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What SQLite said.
        error: rusqlite::Error,
    },
    /// SQLite cannot read or write it.
    #[error("the change log cannot be read or written: {0}; if the disk is full, make room and run the command again")]
    Sqlite(#[from] rusqlite::Error),
    /// A database that this build did not make.
    #[error("`{}` is no change log of this program; restore a backup", .0.display())]
    Foreign(PathBuf),
    /// Written by a newer build.
    #[error("`{}` has layout {found}, and this build reads up to {LAYOUT}; update it", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// A record that is not what was written.
    #[error("record {position} of the change log is damaged ({problem}); restore a backup")]
    Damaged {
        /// From 1.
        position: i64,
        /// How.
        problem: String,
    },
}

/// A change log in a SQLite file.
#[derive(Debug)]
pub struct SqliteLog {
    connection: Connection,
}

impl SqliteLog {
    /// Makes an empty log.
    ///
    /// # Errors
    /// [`LogError::Exists`], and SQLite's own.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        if path.exists() {
            return Err(LogError::Exists(path.to_owned()));
        }
        let log = SqliteLog::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let log = log.durable()?;
        log.connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;"))?;
        Ok(log)
    }

    /// Opens a log.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        SqliteLog::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?.checked(path)?.durable()
    }

    /// Opens a log that is not to be changed, such as a backup.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open_read_only(path: &Path) -> Result<Self, LogError> {
        SqliteLog::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?.checked(path)
    }

    fn checked(self, path: &Path) -> Result<Self, LogError> {
        let at_path = |error| LogError::Open { path: path.to_owned(), error };
        let found = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(at_path)?;
        match found {
            LAYOUT => Ok(self),
            0 => Err(LogError::Foreign(path.to_owned())),
            found => Err(LogError::Newer { path: path.to_owned(), found }),
        }
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, LogError> {
        let at_path = |error| LogError::Open { path: path.to_owned(), error };
        let connection = Connection::open_with_flags(path, flags).map_err(at_path)?;
        connection.busy_timeout(BUSY).map_err(at_path)?;
        Ok(SqliteLog { connection })
    }

    /// From now on what was committed is on the disk.
    fn durable(self) -> Result<Self, LogError> {
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(self)
    }

    /// Every record, in order.
    ///
    /// # Errors
    /// [`LogError::Damaged`] for one that is missing or not what was written.
    pub fn records(&self) -> Result<Vec<Record>, LogError> {
        let mut statement = self.connection.prepare("SELECT position, bytes FROM record ORDER BY position")?;
        let mut found = statement.query([])?;
        let mut records = Vec::new();
        while let Some(row) = found.next()? {
            let expected = records.len() as i64 + 1;
            let damaged = |problem: String| LogError::Damaged { position: expected, problem };
            if row.get::<_, i64>(0)? != expected {
                return Err(damaged("it is missing".to_owned()));
            }
            records.push(
                Record::decode(row.get_ref(1)?.as_blob().map_err(|error| damaged(error.to_string()))?)
                    .map_err(|error| damaged(error.to_string()))?,
            );
        }
        Ok(records)
    }

    /// Writes a batch. When this returns, the batch is on the disk.
    ///
    /// # Errors
    /// SQLite's. Then nothing of the batch is written.
    pub fn append(&mut self, batch: &Batch) -> Result<(), LogError> {
        let transaction = self.connection.transaction()?;
        write(&transaction, batch)?;
        transaction.commit()?;
        Ok(())
    }

    /// Moves what was written from the journal into the file itself.
    ///
    /// # Errors
    /// SQLite's.
    pub fn checkpoint(&self) -> Result<(), LogError> {
        // It answers with a row that says how much was moved.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Writes all that is in it now into a new file, while others go on writing.
    ///
    /// # Errors
    /// [`LogError::Exists`], and SQLite's.
    pub fn backup(&self, to: &Path) -> Result<(), LogError> {
        if to.exists() {
            return Err(LogError::Exists(to.to_owned()));
        }
        self.connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
        Ok(())
    }

    // ---- what was written ----

    /// Rows of the change log after one, in order, with their numbers.
    ///
    /// # Errors
    /// SQLite's.
    pub fn rows_after(&self, lsn: u64) -> Result<Vec<(u64, StoredRow)>, LogError> {
        let read = |row: &Row<'_>| {
            let author: Option<String> = row.get("author")?;
            let seq: Option<i64> = row.get("seq")?;
            let outcome: String = row.get("outcome")?;
            let outcome = [Outcome::Applied, Outcome::Failed, Outcome::Rejected]
                .into_iter()
                .find(|known| known.name() == outcome)
                .unwrap_or(Outcome::Applied);
            let change = author.zip(seq).map(|(author, seq)| ChangeId { replica: replica(&author), seq: seq as u64 });
            let stored = StoredRow {
                tx_id: row.get("tx_id")?,
                table_name: row.get("table_name")?,
                pk_json: row.get("pk_json")?,
                op: row.get("op")?,
                payload: row.get("payload")?,
                tombstone: row.get("tombstone")?,
                created_at: row.get("created_at")?,
                source_node: row.get("source_node")?,
                change,
                op_index: row.get("op_index")?,
                number: row.get::<_, Option<i64>>("number")?.map(|number| number as u64),
                outcome,
            };
            Ok((row.get::<_, i64>("lsn")? as u64, stored))
        };
        self.all("SELECT * FROM change_log WHERE lsn > ?1 ORDER BY lsn", [lsn as i64], read)
    }

    /// The number of the last row, 0 if there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn last_lsn(&self) -> Result<u64, LogError> {
        Ok(self.number("SELECT coalesce(max(lsn), 0) FROM change_log", [])?)
    }

    /// How many records there are.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record_count(&self) -> Result<u64, LogError> {
        Ok(self.number("SELECT count(*) FROM record", [])?)
    }

    /// How far each client's files were imported.
    ///
    /// # Errors
    /// SQLite's.
    pub fn sync_states(&self) -> Result<Vec<SyncState>, LogError> {
        let read = |row: &Row<'_>| {
            Ok(SyncState {
                client_id: row.get("client_id")?,
                source_node: row.get("source_node")?,
                last_lsn: row.get::<_, i64>("last_lsn")? as u64,
                read_lsn: row.get::<_, i64>("read_lsn")? as u64,
            })
        };
        self.all("SELECT * FROM sync_state ORDER BY client_id", [], read)
    }

    /// What was left out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, LogError> {
        let read = |row: &Row<'_>| {
            Ok(DeadLetter {
                client_id: row.get("client_id")?,
                first_lsn: row.get::<_, i64>("first_lsn")? as u64,
                tx_id: row.get("tx_id")?,
                problem: row.get("problem")?,
                letter: row.get("letter")?,
            })
        };
        self.all("SELECT * FROM dead_letter ORDER BY client_id, first_lsn", [], read)
    }

    /// The changes whose rows say that they failed.
    ///
    /// # Errors
    /// SQLite's.
    pub fn failed_changes(&self) -> Result<Vec<ChangeId>, LogError> {
        let read = |row: &Row<'_>| {
            Ok(ChangeId { replica: replica(&row.get::<_, String>(0)?), seq: row.get::<_, i64>(1)? as u64 })
        };
        self.all("SELECT DISTINCT author, seq FROM change_log WHERE outcome = 'failed' AND author NOT NULL", [], read)
    }

    /// What authors are called.
    ///
    /// # Errors
    /// SQLite's.
    pub fn sources(&self) -> Result<BTreeMap<ReplicaId, String>, LogError> {
        let read = |row: &Row<'_>| Ok((replica(&row.get::<_, String>("replica")?), row.get("name")?));
        Ok(self.all("SELECT * FROM source", [], read)?.into_iter().collect())
    }

    /// Rows of the audit.
    ///
    /// # Errors
    /// SQLite's.
    pub fn audit_count(&self) -> Result<u64, LogError> {
        Ok(self.number("SELECT count(*) FROM audit", [])?)
    }

    /// How many records the graph shows, as far as was noted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn graph_at(&self) -> Result<u64, LogError> {
        let query = "SELECT value FROM setting WHERE name = ?1";
        let found = self.connection.query_row(query, [GRAPH_AT], |row| row.get::<_, i64>(0)).optional()?;
        Ok(found.unwrap_or(0) as u64)
    }

    /// Notes how many records the graph shows.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set_graph_at(&self, records: u64) -> Result<(), LogError> {
        let statement = "INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)";
        self.connection.execute(statement, params![GRAPH_AT, records as i64])?;
        Ok(())
    }

    /// Another record takes the place of the first, and nothing that only the replica it was of knew stays: a copy becomes a
    /// replica of its own.
    ///
    /// # Errors
    /// SQLite's.
    pub fn become_another(&mut self, records: &[Record], name: (ReplicaId, String)) -> Result<(), LogError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM record", [])?;
        transaction.execute("DELETE FROM setting WHERE name = ?1", [GRAPH_AT])?;
        let batch = Batch { records: records.to_vec(), sources: vec![name], ..Batch::default() };
        write(&transaction, &batch)?;
        transaction.commit()?;
        Ok(())
    }

    fn number(&self, query: &str, parameters: impl Params) -> Result<u64, rusqlite::Error> {
        Ok(self.connection.query_row(query, parameters, |row| row.get::<_, i64>(0))? as u64)
    }

    fn all<T>(
        &self,
        query: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Vec<T>, LogError> {
        Ok(self.connection.prepare(query)?.query_map(parameters, read)?.collect::<Result<_, _>>()?)
    }
}

fn replica(text: &str) -> ReplicaId {
    ReplicaId(u128::from_str_radix(text, 16).unwrap_or_default().to_be_bytes())
}

fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), rusqlite::Error> {
    let last = |table: &str, column: &str| -> Result<i64, rusqlite::Error> {
        let query = format!("SELECT coalesce(max({column}), 0) FROM {table}");
        transaction.query_row(&query, [], |row| row.get(0))
    };
    let mut insert = transaction.prepare("INSERT INTO record (position, bytes) VALUES (?1, ?2)")?;
    for (position, record) in (last("record", "position")? + 1..).zip(&batch.records) {
        insert.execute(params![position, record.encode()])?;
    }
    // The number is given here, so that a batch that is rolled back leaves no gap.
    let mut insert = transaction.prepare(
        "INSERT INTO change_log (lsn, tx_id, table_name, pk_json, op, payload, tombstone, created_at, source_node, author, seq,
             op_index, number, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for (lsn, row) in (last("change_log", "lsn")? + 1..).zip(&batch.rows) {
        let StoredRow { tx_id, table_name, pk_json, op, payload, tombstone, created_at, source_node, .. } = row;
        let (author, seq) = (row.change.map(|id| id.replica.to_string()), row.change.map(|id| id.seq as i64));
        let (op_index, number, outcome) = (row.op_index, row.number.map(|number| number as i64), row.outcome.name());
        insert.execute(params![
            lsn,
            tx_id,
            table_name,
            pk_json,
            op,
            payload,
            tombstone,
            created_at,
            source_node,
            author,
            seq,
            op_index,
            number,
            outcome
        ])?;
    }
    let mut update = transaction.prepare("UPDATE change_log SET number = ?3 WHERE author = ?1 AND seq = ?2")?;
    for (id, number) in &batch.numbers {
        update.execute(params![id.replica.to_string(), id.seq as i64, *number as i64])?;
    }
    let mut update = transaction.prepare("UPDATE change_log SET outcome = ?3 WHERE author = ?1 AND seq = ?2")?;
    for (id, outcome) in &batch.outcomes {
        update.execute(params![id.replica.to_string(), id.seq as i64, outcome.name()])?;
    }
    if let Some(losses) = &batch.losses {
        transaction.execute("DELETE FROM audit WHERE kind != 'schema_alter'", [])?;
        losses.iter().try_for_each(|row| audit(transaction, row))?;
    }
    batch.schema_alters.iter().try_for_each(|row| audit(transaction, row))?;
    if let Some((version, rows)) = &batch.schema {
        transaction.execute("DELETE FROM \"schema\"", [])?;
        let mut insert = transaction.prepare("INSERT INTO \"schema\" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for row in rows {
            insert.execute(params![
                *version as i64,
                row.table_name,
                row.kind,
                row.column_name,
                row.column_type,
                row.is_primary_key,
                row.policy
            ])?;
        }
    }
    for (replica, name) in &batch.sources {
        transaction.execute("INSERT OR REPLACE INTO source VALUES (?1, ?2)", params![replica.to_string(), name])?;
    }
    for letter in &batch.dead_letters {
        let DeadLetter { client_id, first_lsn, tx_id, problem, letter } = letter;
        let statement = "INSERT OR REPLACE INTO dead_letter VALUES (?1, ?2, ?3, ?4, ?5)";
        transaction.execute(statement, params![client_id, *first_lsn as i64, tx_id, problem, letter])?;
    }
    for DeadLetter { client_id, first_lsn, tx_id, .. } in &batch.revived {
        let statement = "DELETE FROM dead_letter WHERE client_id = ?1 AND first_lsn = ?2 AND tx_id = ?3";
        transaction.execute(statement, params![client_id, *first_lsn as i64, tx_id])?;
    }
    for SyncState { client_id, source_node, last_lsn, read_lsn } in &batch.sync_states {
        let statement = "INSERT OR REPLACE INTO sync_state VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(statement, params![client_id, source_node, *last_lsn as i64, *read_lsn as i64])?;
    }
    Ok(())
}

fn audit(transaction: &Transaction<'_>, row: &AuditRow) -> Result<(), rusqlite::Error> {
    let AuditRow { kind, table_name, subject, fields, resolution, loser, loser_source, winner, winner_source } = row;
    let mut insert = transaction.prepare(
        "INSERT INTO audit (kind, table_name, subject, fields, resolution, loser, loser_source, winner, winner_source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute(params![
        kind,
        table_name,
        subject,
        fields,
        resolution,
        loser,
        loser_source,
        winner,
        winner_source
    ])?;
    Ok(())
}

//! The directory: made, opened, and the one way in which anything is written to it.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::{self, Now};
use kuzusync_core::id::{DatabaseId, Digest, ReplicaId, Role, TxId};
use kuzusync_core::message::Record;
use kuzusync_core::replica::{Config, Input, Notice, Output, Replica};
use kuzusync_core::rules::RulesFile;
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::view::View;
use kuzusync_sqlite::{Batch, SqliteLog};
use serde::Deserialize;

use crate::error::Error;
use crate::graph::{Graph, GraphState};
use crate::rows::{self, Note, Notes};
use crate::settings::Settings;

const LOG: &str = "log.sqlite";
const SETTINGS: &str = "settings.toml";
const LOCK: &str = "lock";

/// What a new replica is.
#[derive(Clone, Debug)]
pub struct Init {
    /// Its part.
    pub role: Role,
    /// Its graph; a new one unless given.
    pub database: Option<DatabaseId>,
    /// What it is called; the directory's name unless given.
    pub name: Option<String>,
}

/// A replica in its directory, opened by this process alone.
pub struct Directory {
    path: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) log: SqliteLog,
    pub(crate) replica: Replica,
    pub(crate) graph: Graph,
    pub(crate) names: BTreeMap<ReplicaId, String>,
    schema_version: u64,
    records: u64,
    gathered: Vec<Output>,
    started: Instant,
    _lock: Lock,
}

/// What came of transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Changes that were made.
    pub changes: Vec<ChangeId>,
    /// Transactions that had been handed in before.
    pub repeated: usize,
}

/// What is written together with the records of a batch.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) notes: Notes,
    /// Tables other than those that follow from the records.
    pub(crate) batch: Batch,
}

impl Directory {
    /// Makes a replica in a directory that is empty or not there yet.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn init(path: &Path, init: &Init) -> Result<Self, Error> {
        require_empty(path)?;
        fs::create_dir_all(path).map_err(Error::io(path))?;
        let lock = lock(path)?;
        let directory_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = init.name.clone().or(directory_name).unwrap_or_else(|| "replica".to_owned());
        let settings = Settings::named(&name);
        settings.write(&path.join(SETTINGS))?;
        let entropy = entropy()?;
        let database = init.database.unwrap_or_else(|| DatabaseId(Digest::of(&[b"database", &entropy]).0));
        let mut log = SqliteLog::create(&path.join(LOG))?;
        let mut replica = Replica::open(Config::new(init.role, database), entropy, &[])?;
        let mut batch = Batch { sources: vec![(replica.id(), name)], ..Batch::default() };
        while let Output::Persist(record) = replica.poll_output() {
            batch.records.push(record);
        }
        log.append(&batch)?;
        drop(log);
        Directory::open_locked(path, lock)
    }

    /// Opens the replica in a directory.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !path.join(LOG).exists() {
            return Err(Error::NoReplica(path.to_owned()));
        }
        let lock = lock(path)?;
        Directory::open_locked(path, lock)
    }

    fn open_locked(path: &Path, lock: Lock) -> Result<Self, Error> {
        let settings = Settings::read(&path.join(SETTINGS))?;
        let log = SqliteLog::open(&path.join(LOG))?;
        let records = log.records()?;
        let replica = Replica::open(config(&records)?, entropy()?, &records)?;
        let (shown, records) = (log.graph_at()?, records.len() as u64);
        let mut graph = Graph::open(path, &replica.view(), shown, records)?;
        graph.index_texts(&replica.schema().text_indexes(), || replica.view());
        let (names, schema_version) = (log.sources()?, replica.schema_state().version);
        let mut directory = Directory {
            path: path.to_owned(),
            settings,
            log,
            replica,
            graph,
            names,
            schema_version,
            records,
            gathered: Vec::new(),
            started: Instant::now(),
            _lock: lock,
        };
        // Its first output fills the store, which is done.
        while !matches!(directory.replica.poll_output(), Output::Timeout(_)) {}
        let own = (directory.replica.id(), directory.settings.name.clone());
        if directory.names.get(&own.0) != Some(&own.1) {
            directory.names.insert(own.0, own.1.clone());
            directory.log.append(&Batch { sources: vec![own], ..Batch::default() })?;
        }
        directory.note_graph()?;
        Ok(directory)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The replica, to ask it what it knows.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the graph was found to be.
    #[must_use]
    pub fn graph(&self) -> &GraphState {
        &self.graph.state
    }

    /// What the graph's database holds, read from itself.
    ///
    /// # Errors
    /// The database's.
    pub fn read_graph(&mut self) -> Result<View, Error> {
        let path = crate::graph::folder(&self.path);
        self.graph.read().map_err(|error| Error::Io { path, error: std::io::Error::other(error.to_string()) })
    }

    /// Hands transactions in, each with its line in the input: all or none.
    ///
    /// # Errors
    /// [`Error::Line`] for the first that cannot be carried out.
    pub fn apply(mut self, transactions: Vec<(usize, Transaction)>) -> Result<(Self, Applied), Error> {
        // Whoever fails drops this replica, with all that it has only in memory.
        let mut beside = Beside::default();
        for (line, transaction) in transactions {
            if let Some(created_at) = transaction.created_at {
                // The clock may have to stamp it later, to keep its order.
                let (tx_id, source_node) = (transaction.tx.to_string(), self.settings.name.clone());
                let note = Note { tx_id, source_node, created_at: vec![created_at.to_string()] };
                beside.notes.by_tx.insert(transaction.tx, note);
            }
            let fed = self.feed(Input::Local(transaction));
            fed.map_err(|error| Error::Line { line, problem: error.to_string() })?;
        }
        let mut applied = Applied::default();
        let own = self.replica.id();
        for notice in self.commit(beside)? {
            match notice {
                Notice::Applied { entry } if entry.change.id.replica == own => applied.changes.push(entry.change.id),
                Notice::AlreadySubmitted { .. } => applied.repeated += 1,
                _ => {}
            }
        }
        self.note_graph()?;
        Ok((self, applied))
    }

    /// Makes a rules file part of the schema; one that says what the schema says changes nothing.
    ///
    /// # Errors
    /// [`Error::Line`] for the first rule that cannot be.
    pub fn apply_rules(self, text: &str) -> Result<(Self, Applied), Error> {
        match self.rules_transaction(text)? {
            Some(transaction) => self.apply(vec![(1, transaction)]),
            None => Ok((self, Applied::default())),
        }
    }

    /// What makes a rules file part of the schema, if it says anything that the schema does not.
    pub(crate) fn rules_transaction(&self, text: &str) -> Result<Option<Transaction>, Error> {
        let bad = |error: kuzusync_core::rules::RulesError| Error::Line {
            line: error.line,
            problem: error.problem.to_string(),
        };
        let rules = RulesFile::parse(text).map_err(bad)?;
        if rules.check(self.replica.schema()).is_ok() {
            return Ok(None);
        }
        let statements: Vec<Statement> = rules.statements().collect();
        Ok(Some(Transaction { tx: random_tx()?, statements, ..Transaction::default() }))
    }

    // ---- the one way in ----

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let monotonic = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { monotonic: clock::Instant(monotonic), wall_ms: i64::try_from(wall).unwrap_or(i64::MAX) }
    }

    /// Gives the engine an input. What it wants done waits for [`Directory::commit`].
    pub(crate) fn feed(&mut self, input: Input) -> Result<(), kuzusync_core::Error> {
        let result = self.replica.handle_input(self.now(), input);
        loop {
            match self.replica.poll_output() {
                // Its peers are files, and files have no sessions and no timers.
                Output::Timeout(_) => return result,
                output => self.gathered.push(output),
            }
        }
    }

    /// Drops what the engine has told since the last commit, where there is nothing to write.
    pub(crate) fn forget(&mut self) {
        self.gathered.retain(|output| !matches!(output, Output::Notify(_)));
    }

    /// What the engine has told since the last commit.
    pub(crate) fn told(&self) -> impl Iterator<Item = &Notice> {
        self.gathered.iter().filter_map(|output| match output {
            Output::Notify(notice) => Some(notice),
            _ => None,
        })
    }

    /// Takes what the engine has told and wants done since the last commit, which then is not done.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.gathered)
    }

    /// Makes durable what the engine wants made durable, then shows it; then it may be told.
    pub(crate) fn commit(&mut self, beside: Beside) -> Result<Vec<Notice>, Error> {
        let Beside { notes, mut batch } = beside;
        let (mut notices, mut shown) = (Vec::new(), Vec::new());
        for output in std::mem::take(&mut self.gathered) {
            match output {
                Output::Persist(record) => batch.records.push(record),
                Output::Notify(notice) => notices.push(notice),
                Output::View(_) | Output::Rebuild(_) => shown.push(output),
                Output::Transmit { .. } | Output::Timeout(_) => {}
            }
        }
        let failed = self.log.failed_changes()?;
        self.names.extend(batch.sources.iter().cloned());
        rows::add(&mut batch, &self.replica, &self.names, &failed, &notes);
        let version = self.replica.schema_state().version;
        let is_other_schema = version != self.schema_version;
        if is_other_schema {
            batch.schema = Some(rows::schema(&self.replica));
        }
        let is_loss = |notice: &Notice| matches!(notice, Notice::Lost(_) | Notice::SchemaLost(_));
        if is_other_schema || notices.iter().any(is_loss) {
            batch.losses = Some(rows::losses(&self.replica, &self.names));
        }
        if let Err(error) = self.log.append(&batch) {
            // It has in memory what is not on the disk, and does nothing more.
            drop(self.feed(Input::PersistFailed));
            return Err(error.into());
        }
        self.schema_version = version;
        self.records += batch.records.len() as u64;
        let mut is_other_graph = is_other_schema;
        for output in shown {
            match output {
                Output::View(delta) if self.graph.apply(&delta).is_err() => {
                    self.graph.rebuild(&self.replica.view());
                    is_other_graph = true;
                    break;
                }
                Output::Rebuild(view) => {
                    self.graph.rebuild(&view);
                    is_other_graph = true;
                }
                _ => {}
            }
        }
        if is_other_graph {
            self.graph.index_texts(&self.replica.schema().text_indexes(), || self.replica.view());
        }
        Ok(notices)
    }

    /// Notes that the graph shows all there is.
    pub(crate) fn note_graph(&mut self) -> Result<(), Error> {
        if matches!(self.graph.state, GraphState::Kept | GraphState::Rebuilt(_)) && self.log.graph_at()? != self.records
        {
            self.log.set_graph_at(self.records)?;
        }
        Ok(())
    }
}

/// Refuses a directory that holds anything; it need not be there.
pub(crate) fn require_empty(path: &Path) -> Result<(), Error> {
    let is_empty = !path.exists() || fs::read_dir(path).map_err(Error::io(path))?.next().is_none();
    if is_empty { Ok(()) } else { Err(Error::NotEmpty(path.to_owned())) }
}

/// A directory taken for this process, which is given back when the process ends, however it does.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a process that another thread is starting has a copy of it until it runs a program of its
    /// own, and keeps it locked for as long.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Takes the directory for this process.
pub(crate) fn lock(path: &Path) -> Result<Lock, Error> {
    let file = path.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&file).map_err(Error::io(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::Io { path: file, error }),
    }
}

/// Where the log of a directory is.
pub(crate) fn log_file(path: &Path) -> PathBuf {
    path.join(LOG)
}

/// Where the settings of a directory are.
pub(crate) fn settings_file(path: &Path) -> PathBuf {
    path.join(SETTINGS)
}

/// The configuration that records were made with.
pub(crate) fn config(records: &[Record]) -> Result<Config, Error> {
    match records.first() {
        Some(Record::Created { database, role, .. }) => Ok(Config::new(*role, *database)),
        _ => Err(kuzusync_core::Error::Records("the first one does not say whose they are".into()).into()),
    }
}

pub(crate) fn entropy() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Entropy)?;
    Ok(bytes)
}

/// A transaction that nobody has handed in before.
pub(crate) fn random_tx() -> Result<TxId, Error> {
    Ok(TxId(Digest::of(&[b"tx", &entropy()?]).0))
}

/// A line of changes: one statement, a list of statements, or a transaction.
#[derive(Deserialize)]
struct Line {
    tx: Option<TxId>,
    statements: Vec<Statement>,
    #[serde(default)]
    depends_on: Vec<ChangeId>,
    created_at: Option<clock::WallTime>,
    #[serde(default)]
    is_strict: bool,
}

/// Reads changes, a transaction a line: a statement as in plan files, a list of them, or
/// `{"statements": […], "tx": …, "created_at": …}`. Empty lines are passed over.
///
/// # Errors
/// [`Error::Line`] for the first that is none.
pub fn parse_transactions(text: &str) -> Result<Vec<(usize, Transaction)>, Error> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| Ok((number, parse_transaction(number, line)?))).collect()
}

fn parse_transaction(number: usize, line: &str) -> Result<Transaction, Error> {
    let bad = |error: serde_json::Error| Error::Line { line: number, problem: error.to_string() };
    let json: serde_json::Value = serde_json::from_str(line).map_err(bad)?;
    let read = if json.is_array() {
        let statements = serde_json::from_value(json).map_err(bad)?;
        Line { tx: None, statements, depends_on: Vec::new(), created_at: None, is_strict: false }
    } else if json.get("statements").is_some() {
        serde_json::from_value(json).map_err(bad)?
    } else {
        let statements = vec![serde_json::from_value(json).map_err(bad)?];
        Line { tx: None, statements, depends_on: Vec::new(), created_at: None, is_strict: false }
    };
    let Line { tx, statements, depends_on, created_at, is_strict } = read;
    let tx = tx.map_or_else(random_tx, Ok)?;
    Ok(Transaction { tx, statements, depends_on, created_at, is_strict, participants: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_given_back_though_a_process_that_is_starting_has_a_copy_of_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock(directory.path()).unwrap();
        let _copy = held.0.try_clone().unwrap();
        assert!(matches!(lock(directory.path()), Err(Error::Locked(_))));
        drop(held);
        assert!(lock(directory.path()).is_ok());
    }
}

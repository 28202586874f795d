//! Import: files of other replicas, and plain files of other systems.
//!
//! A file is read as a whole first, and nothing of a bad one is applied. Then its transactions are taken in, some hundred at a
//! time: each batch is one transaction of the log, with how far the file was read, and a checkpoint follows. So an import
//! that is killed goes on where it was, and one that is repeated changes nothing.
//!
//! A transaction that cannot be taken in is left out alone, with all its rows, and kept as a *dead letter* until it is retried
//! with success or dismissed; so is what has to wait for it. `last_lsn` of its client does not pass it.
//! (Sync Policy, cases E2, E5, E6, E7 and E8.)

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::VectorClock;
use kuzusync_core::ddl::Column;
use kuzusync_core::export::{self, File, Meta, PlainTransaction, Row};
use kuzusync_core::foreign::{ForeignTransaction, rows_of};
use kuzusync_core::id::{Digest, TxId};
use kuzusync_core::message::Delivery;
use kuzusync_core::planted::{Bug, is_planted};
use kuzusync_core::replica::{Input, Notice, Pending, Source};
use kuzusync_core::ruling::Ruling;
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::value::{Type, Value};
use kuzusync_sqlite::{AuditRow, DeadLetter, SyncState};
use serde::{Deserialize, Serialize};

use crate::directory::{Beside, Directory};
use crate::error::Error;
use crate::rows::Note;

/// How to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Transactions of a batch, 1 at least.
    pub batch_size: usize,
    /// Whether columns that are missing are added.
    pub allow_schema_alter: bool,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Transactions that were looked at and are durable.
    pub done: usize,
    /// All of them.
    pub total: usize,
}

/// A transaction that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub tx_id: String,
    /// The line of its first row in the file; 0 when it was retried.
    pub line: usize,
    /// Why.
    pub problem: String,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Whose file.
    pub client_id: String,
    /// Its rows.
    pub rows: usize,
    /// Its transactions, rulings included.
    pub transactions: usize,
    /// Of these, the ones that were applied now.
    pub applied: usize,
    /// Those that had been before.
    pub repeated: usize,
    /// Those that were left out.
    pub left_out: Vec<LeftOut>,
    /// Those that the main does not apply, here or where they were rejected.
    pub rejected: Vec<LeftOut>,
    /// Columns that were added, as `table.column TYPE`.
    pub added_columns: Vec<String>,
    /// How often was committed: not for what was all known before.
    pub batches: usize,
    /// All rows of the client up to here are applied.
    pub last_lsn: u64,
}

/// What came of a retry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// The transactions that are applied now.
    pub applied: Vec<String>,
    /// Those that are still left out.
    pub left_out: Vec<LeftOut>,
}

/// What is needed to retry a transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Letter {
    /// A change of a replica of ours.
    Change { source: Source, rows: Vec<Row> },
    /// A transaction of another system.
    Foreign { transaction: ForeignTransaction, created_at: Vec<String> },
}

/// A transaction of a file, and what is needed to retry it.
struct Item {
    tx_id: String,
    line: usize,
    first_lsn: u64,
    last_lsn: u64,
    letter: Letter,
}

impl Letter {
    /// The change or ruling it is, unless it is of another system.
    fn delivery(&self) -> Option<&Delivery> {
        match self {
            Letter::Change { rows, .. } => rows.first().and_then(|row| row.delivery.as_ref()),
            Letter::Foreign { .. } => None,
        }
    }

    /// The change it is.
    fn id(&self) -> Option<ChangeId> {
        self.delivery().and_then(Delivery::change).map(|entry| entry.change.id)
    }

    /// The transaction it makes here, if it is of another system.
    fn tx(&self) -> Option<TxId> {
        match self {
            Letter::Change { .. } => None,
            Letter::Foreign { transaction, .. } => Some(transaction.tx()),
        }
    }
}

impl Directory {
    /// Imports a file. What is done is told to `progress` after each batch.
    ///
    /// # Errors
    /// What is wrong with the file as a whole; then nothing of it was applied. If the log cannot be written, what was told
    /// to `progress` is kept.
    pub fn import(
        &mut self,
        bytes: &[u8],
        options: ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImportReport, Error> {
        let mut report = ImportReport::default();
        let (client, clock, items) = match export::read(bytes)? {
            File::Own { meta, rows } => {
                report.rows = rows.len();
                let client = self.check(&meta, &rows)?;
                let source = source_of(&meta);
                (client, meta.clock.clone(), own_items(source, rows))
            }
            File::Plain { client_id, transactions } => {
                report.rows = transactions.iter().map(|transaction| transaction.created_at.len()).sum();
                if options.allow_schema_alter {
                    report.added_columns = self.add_columns(&transactions)?;
                }
                let client = self.sync_state(&client_id, &client_id)?;
                (client, VectorClock::default(), foreign_items(transactions))
            }
        };
        report.client_id.clone_from(&client.client_id);
        report.transactions = items.len();
        let mut client = client;
        let mut done = 0;
        for portion in items.chunks(options.batch_size.max(1)) {
            self.import_portion(portion, &mut client, &clock, &mut report)?;
            done += portion.len();
            progress(Progress { done, total: items.len() });
        }
        report.last_lsn = client.last_lsn;
        // What waited for a later part of the file is applied.
        let kept = self.log.dead_letters()?;
        report.left_out.retain(|left| kept.iter().any(|letter| letter.tx_id == left.tx_id));
        self.note_graph()?;
        Ok(report)
    }

    /// Whether a file of another replica can be imported, and how far that replica's were.
    fn check(&self, meta: &Meta, rows: &[Row]) -> Result<SyncState, Error> {
        if meta.client_id == self.replica.id() {
            return Err(Error::OwnFile);
        }
        let deliveries: Vec<Delivery> = rows.iter().filter_map(|row| row.delivery.clone()).collect();
        self.replica.check_source(&source_of(meta), &deliveries)?;
        let client = self.sync_state(&meta.client_id.to_string(), &meta.source_node)?;
        if meta.from_lsn > client.read_lsn {
            let (source_node, from, read) = (meta.source_node.clone(), meta.from_lsn, client.read_lsn);
            return Err(Error::Gap { source_node, from, read });
        }
        Ok(client)
    }

    fn sync_state(&self, client_id: &str, source_node: &str) -> Result<SyncState, Error> {
        let known = self.log.sync_states()?.into_iter().find(|state| state.client_id == client_id);
        let (client_id, source_node) = (client_id.to_owned(), source_node.to_owned());
        let read = known.map_or((0, 0), |known| (known.last_lsn, known.read_lsn));
        Ok(SyncState { client_id, source_node, last_lsn: read.0, read_lsn: read.1 })
    }

    fn import_portion(
        &mut self,
        portion: &[Item],
        client: &mut SyncState,
        clock: &VectorClock,
        report: &mut ImportReport,
    ) -> Result<(), Error> {
        let mut beside = Beside::default();
        let problems = self.take_in(portion, clock, &mut beside)?;
        let read_before = client.read_lsn;
        let kept = self.log.dead_letters()?;
        for item in portion {
            let left_out = |problem: String| LeftOut { tx_id: item.tx_id.clone(), line: item.line, problem };
            match self.fate(item, &problems) {
                Fate::Applied => report.applied += 1,
                Fate::Repeated => report.repeated += 1,
                Fate::Rejected(problem) => report.rejected.push(left_out(problem)),
                Fate::LeftOut(problem) => {
                    let letter = dead_letter(client, item, problem.clone());
                    beside.batch.dead_letters.push(letter);
                    report.left_out.push(left_out(problem));
                }
            }
        }
        self.revive(&kept, &mut beside);
        let read = portion.iter().map(|item| item.last_lsn).max().unwrap_or(0);
        client.read_lsn = client.read_lsn.max(read);
        let revived = &beside.batch.revived;
        let still = kept.iter().filter(|letter| !revived.contains(letter));
        let dead = still.chain(&beside.batch.dead_letters).filter(|letter| letter.client_id == client.client_id);
        let first_dead = dead.map(|letter| letter.first_lsn).min().filter(|_| !is_planted(Bug::LastLsnPassesFailure));
        client.last_lsn = first_dead.map_or(client.read_lsn, |first| (first - 1).min(client.read_lsn));
        let is_old = portion.iter().all(|item| problems.is_known(item)) && beside.batch.dead_letters.is_empty();
        if is_old && beside.batch.revived.is_empty() && client.read_lsn == read_before {
            // There is nothing to write.
            self.forget();
            return Ok(());
        }
        beside.batch.sync_states.push(client.clone());
        self.commit(beside)?;
        self.log.checkpoint()?;
        report.batches += 1;
        Ok(())
    }

    /// Gives a portion to the engine. Returns what it says is wrong, by change or transaction; what was known before is in
    /// none of both.
    fn take_in(&mut self, portion: &[Item], clock: &VectorClock, beside: &mut Beside) -> Result<Told, Error> {
        let mut told = Told::default();
        let known = |directory: &Directory, item: &Item| match (item.letter.id(), item.letter.tx()) {
            (Some(id), _) => {
                directory.replica.log().seen().passes(id) && directory.replica.log().failed_entry(id).is_err()
            }
            (None, Some(tx)) => directory.replica.log().transaction(tx).is_some(),
            (None, None) => item
                .letter
                .delivery()
                .and_then(Delivery::lsn)
                .is_none_or(|lsn| lsn <= directory.replica.log().lsn_known()),
        };
        told.known = portion.iter().filter(|item| known(self, item)).map(|item| item.first_lsn).collect();
        let (mut deliveries, mut foreign, mut source) = (Vec::new(), Vec::new(), None);
        for item in portion {
            match &item.letter {
                Letter::Change { source: of, rows } => {
                    source = Some(*of);
                    deliveries.extend(item.letter.delivery().cloned());
                    if let (Some(id), Some(first)) = (item.letter.id(), rows.first()) {
                        let note = Note {
                            tx_id: first.tx_id.clone(),
                            source_node: first.source_node.clone(),
                            created_at: rows.iter().map(|row| row.created_at.clone()).collect(),
                        };
                        beside.batch.sources.push((id.replica, first.source_node.clone()));
                        beside.notes.by_change.insert(id, note);
                    }
                }
                Letter::Foreign { transaction, .. } => {
                    let author = transaction.author(self.replica.id());
                    beside.batch.sources.push((author, transaction.source_node.clone()));
                    foreign.push(transaction.clone());
                }
            }
        }
        beside.batch.sources.sort();
        beside.batch.sources.dedup();
        beside.batch.sources.retain(|(id, name)| self.names.get(id) != Some(name) && *name != id.to_string());
        if let Some(source) = source {
            self.feed(Input::Import { source, clock: clock.clone(), deliveries })?;
        }
        if !foreign.is_empty() {
            self.feed(Input::Foreign(foreign))?;
        }
        for notice in self.told() {
            match notice {
                Notice::Discarded { id, reason } => drop(told.by_change.insert(*id, reason.clone())),
                Notice::Failed { id, problem } => drop(told.by_change.insert(*id, problem.clone())),
                Notice::LeftOut { tx, problem } => drop(told.by_tx.insert(*tx, problem.clone())),
                Notice::Ruled { ruling: Ruling::Rejection(rejection), .. } => {
                    told.rejected.insert(rejection.change, rejection.reason.to_string());
                    told.rejected_tx.insert(rejection.tx, rejection.reason.to_string());
                }
                _ => {}
            }
        }
        for pending in self.replica.pending() {
            match pending {
                Pending::Cause { id, .. } | Pending::Number { id, .. } => {
                    told.by_change.entry(id).or_insert(pending.to_string());
                }
                _ => {}
            }
        }
        self.note_instants(portion, beside);
        Ok(told)
    }

    /// Of the changes that foreign transactions made, the instants as their rows tell them.
    fn note_instants(&self, portion: &[Item], beside: &mut Beside) {
        for item in portion {
            let Letter::Foreign { transaction, created_at } = &item.letter else { continue };
            let tx = transaction.tx();
            let change = self.replica.log().transaction(tx).and_then(|id| self.replica.log().get(id));
            let places = change.map(|change| rows_of(&transaction.rows, &change.ops)).unwrap_or_default();
            let note = Note {
                tx_id: transaction.tx_id.clone(),
                source_node: transaction.source_node.clone(),
                created_at: places.into_iter().filter_map(|place| created_at.get(place).cloned()).collect(),
            };
            beside.notes.by_tx.insert(tx, note);
        }
    }

    /// What became of a transaction that was given to the engine.
    fn fate(&self, item: &Item, told: &Told) -> Fate {
        let log = self.replica.log();
        match (item.letter.id(), item.letter.tx()) {
            (Some(id), _) => {
                if let Some(problem) = told.by_change.get(&id) {
                    Fate::LeftOut(problem.clone())
                } else if let Some(problem) = told.rejected.get(&id) {
                    Fate::Rejected(problem.clone())
                } else if told.is_known(item) {
                    Fate::Repeated
                } else {
                    Fate::Applied
                }
            }
            (None, Some(tx)) => match told.by_tx.get(&tx).or_else(|| told.rejected_tx.get(&tx)) {
                Some(problem) => Fate::LeftOut(problem.clone()),
                None if told.is_known(item) => Fate::Repeated,
                None if log.transaction(tx).is_some() => Fate::Applied,
                None => Fate::LeftOut("it was not applied".to_owned()),
            },
            (None, None) if told.is_known(item) => Fate::Repeated,
            (None, None) => Fate::Applied,
        }
    }

    /// Notes which dead letters are applied now, whatever brought that about.
    fn revive(&self, kept: &[DeadLetter], beside: &mut Beside) {
        for letter in kept {
            let Ok(kept) = serde_json::from_str::<Letter>(&letter.letter) else { continue };
            let log = self.replica.log();
            let is_applied = kept.id().is_some_and(|id| log.seen().contains(id))
                || kept.tx().is_some_and(|tx| log.transaction(tx).is_some());
            if is_applied {
                beside.batch.revived.push(letter.clone());
            }
        }
    }

    /// Tries again what was left out, until nothing more can be applied.
    ///
    /// # Errors
    /// The log's.
    pub fn retry(&mut self) -> Result<RetryReport, Error> {
        let mut report = RetryReport::default();
        loop {
            let kept = self.log.dead_letters()?;
            let mut has_news = false;
            report.left_out.clear();
            for dead in kept {
                let Ok(letter) = serde_json::from_str::<Letter>(&dead.letter) else { continue };
                let (tx_id, first_lsn) = (dead.tx_id.clone(), dead.first_lsn);
                let item = Item { tx_id: tx_id.clone(), line: 0, first_lsn, last_lsn: first_lsn, letter };
                match self.retry_one(&dead, &item)? {
                    None => {
                        has_news = true;
                        report.applied.push(tx_id);
                    }
                    Some(problem) => report.left_out.push(LeftOut { tx_id, line: 0, problem }),
                }
            }
            if !has_news {
                self.note_graph()?;
                return Ok(report);
            }
        }
    }

    /// Tries one again. Returns why it is still left out.
    fn retry_one(&mut self, dead: &DeadLetter, item: &Item) -> Result<Option<String>, Error> {
        let mut beside = Beside::default();
        let is_failed = item.letter.id().filter(|id| self.replica.log().failed_entry(*id).is_ok());
        let problem = match is_failed {
            Some(id) => self.feed(Input::Retry(id)).err().map(|error| error.to_string()),
            None => {
                let told = self.take_in(std::slice::from_ref(item), &VectorClock::default(), &mut beside)?;
                match self.fate(item, &told) {
                    Fate::Applied | Fate::Repeated => None,
                    Fate::Rejected(problem) | Fate::LeftOut(problem) => Some(problem),
                }
            }
        };
        if problem.is_none() {
            beside.batch.revived.push(dead.clone());
            beside.batch.sync_states.extend(self.sync_state_without(dead)?);
        }
        self.commit(beside)?;
        Ok(problem)
    }

    /// How far a client's files were imported, once a dead letter of it is gone.
    fn sync_state_without(&self, dead: &DeadLetter) -> Result<Option<SyncState>, Error> {
        let known = self.log.sync_states()?.into_iter().find(|state| state.client_id == dead.client_id);
        let kept = self.log.dead_letters()?;
        let others = kept.iter().filter(|other| other.client_id == dead.client_id && *other != dead);
        let first = others.map(|other| other.first_lsn).min();
        Ok(known.map(|client| SyncState { last_lsn: first.map_or(client.read_lsn, |first| first - 1), ..client }))
    }

    /// Gives up a transaction that was left out: it is listed no longer.
    ///
    /// # Errors
    /// [`Error::NoDeadLetter`].
    pub fn dismiss(&mut self, tx_id: &str) -> Result<(), Error> {
        let kept = self.log.dead_letters()?;
        let dead = kept.iter().find(|letter| letter.tx_id == tx_id);
        let dead = dead.ok_or_else(|| Error::NoDeadLetter(tx_id.to_owned()))?;
        let mut beside = Beside::default();
        let id = serde_json::from_str::<Letter>(&dead.letter).ok().and_then(|letter| letter.id());
        if let Some(id) = id.filter(|id| self.replica.log().failed_entry(*id).is_ok()) {
            self.feed(Input::Dismiss(id))?;
        }
        beside.batch.revived.push(dead.clone());
        beside.batch.sync_states.extend(self.sync_state_without(dead)?);
        self.commit(beside)?;
        Ok(())
    }

    /// The columns that a plain file needs and tables do not have, added with the narrowest type that holds every value the
    /// file has for them. Returns what was added.
    fn add_columns(&mut self, transactions: &[PlainTransaction]) -> Result<Vec<String>, Error> {
        let mut needed: BTreeMap<(String, String), BTreeSet<&Value>> = BTreeMap::new();
        for row in transactions.iter().flat_map(|transaction| &transaction.transaction.rows) {
            let Some((table, state)) = self.replica.schema().table_named(&row.table) else { continue };
            let name = self.replica.schema().shown_name(table).to_owned();
            for (column, value) in &row.payload {
                if state.resolve_column(column).is_none() {
                    needed.entry((name.clone(), column.clone())).or_default().insert(value);
                }
            }
        }
        let mut added = Vec::new();
        let mut beside = Beside::default();
        for ((table, column), values) in needed {
            let column_type = narrowest(&values);
            let version = self.replica.schema_state().version.to_le_bytes();
            let tx = TxId(Digest::of(&[b"schema_alter", table.as_bytes(), column.as_bytes(), &version]).0);
            let statement =
                Statement::AddColumn { table: table.clone(), column: Column::new(&column, column_type.clone()) };
            self.feed(Input::Local(Transaction { tx, statements: vec![statement], ..Transaction::default() }))?;
            added.push(format!("{table}.{column} {column_type}"));
            beside.batch.schema_alters.push(AuditRow {
                kind: "schema_alter",
                table_name: table,
                subject: column.clone(),
                fields: column,
                resolution: "allow_schema_alter".to_owned(),
                loser: String::new(),
                loser_source: String::new(),
                winner: format!("ADD {column_type}"),
                winner_source: self.settings.name.clone(),
            });
        }
        if !added.is_empty() {
            self.commit(beside)?;
        }
        Ok(added)
    }
}

/// What the engine told of a portion.
#[derive(Debug, Default)]
struct Told {
    by_change: BTreeMap<ChangeId, String>,
    by_tx: BTreeMap<TxId, String>,
    rejected: BTreeMap<ChangeId, String>,
    rejected_tx: BTreeMap<TxId, String>,
    /// Of each transaction of the portion whether it was known before.
    known: BTreeSet<u64>,
}

impl Told {
    fn is_known(&self, item: &Item) -> bool {
        self.known.contains(&item.first_lsn)
    }
}

/// What became of a transaction.
enum Fate {
    Applied,
    Repeated,
    Rejected(String),
    LeftOut(String),
}

fn source_of(meta: &Meta) -> Source {
    Source { replica: meta.client_id, database: meta.database, role: meta.role }
}

fn dead_letter(client: &SyncState, item: &Item, problem: String) -> DeadLetter {
    let letter = serde_json::to_string(&item.letter).expect("a letter has text as keys");
    let (client_id, first_lsn, tx_id) = (client.client_id.clone(), item.first_lsn, item.tx_id.clone());
    DeadLetter { client_id, first_lsn, tx_id, problem, letter }
}

/// The transactions of a file of ours: a row with a delivery begins one, those after it belong to it.
fn own_items(source: Source, rows: Vec<Row>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (line, row) in (2..).zip(rows) {
        match items.last_mut() {
            Some(Item { letter: Letter::Change { rows, .. }, last_lsn, .. }) if row.delivery.is_none() => {
                *last_lsn = row.lsn;
                rows.push(row);
            }
            _ => {
                let (tx_id, lsn) = (row.tx_id.clone(), row.lsn);
                let letter = Letter::Change { source, rows: vec![row] };
                items.push(Item { tx_id, line, first_lsn: lsn, last_lsn: lsn, letter });
            }
        }
    }
    items
}

fn foreign_items(transactions: Vec<PlainTransaction>) -> Vec<Item> {
    let item = |plain: PlainTransaction| {
        let PlainTransaction { transaction, line, first_lsn, last_lsn, created_at } = plain;
        let tx_id = transaction.tx_id.clone();
        Item { tx_id, line, first_lsn, last_lsn, letter: Letter::Foreign { transaction, created_at } }
    };
    transactions.into_iter().map(item).collect()
}

/// The narrowest of BOOL, INT64, DOUBLE and STRING that holds all these values.
fn narrowest(values: &BTreeSet<&Value>) -> Type {
    let looked_at = if is_planted(Bug::TypeOfOneValue) { 1 } else { values.len() };
    let is_nothing = values.iter().all(|value| **value == Value::Null);
    let fits =
        |column_type: &Type| !is_nothing && values.iter().take(looked_at).all(|value| is_like(value, column_type));
    [Type::Bool, Type::Int64, Type::Double].into_iter().find(|column_type| fits(column_type)).unwrap_or(Type::String)
}

/// Text is text, also where it reads like a number.
fn is_like(value: &Value, column_type: &Type) -> bool {
    match (value, column_type) {
        (Value::Null, _) => true,
        (Value::String(_), _) => false,
        (Value::Bool(_), column_type) => *column_type == Type::Bool,
        (value, column_type) => value.cast(column_type).is_some() && *column_type != Type::Bool,
    }
}

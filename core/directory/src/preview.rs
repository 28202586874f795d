//! What transactions would do, told before any of it is done (DDL Synchronisation, case B11).
//!
//! The engine carries them out in memory and nothing of it is written: a preview owns its directory and has no way to
//! commit, so when it is dropped all that it found out is gone, and the directory is as it was.

use std::collections::BTreeMap;

use kuzusync_core::replica::{Input, Notice, Output};
use kuzusync_core::statement::Transaction;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::store::plan::{Plan, PlanStep};
use kuzusync_core::store::{GraphStore, StoreError};
use kuzusync_core::view::{RowChange, SchemaStep, ViewDelta};
use serde::Serialize;

use crate::directory::Directory;
use crate::error::Error;

/// A directory that is asked what transactions would do, each after those before it.
pub struct Preview {
    directory: Directory,
    /// What the graph would show by now.
    shown: MemoryStore,
    /// Every schema step so far: the graph has made none of them.
    steps: Vec<SchemaStep>,
}

/// What a transaction would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// Its line in the input.
    pub line: usize,
    /// Whether it was handed in before, and so would do nothing.
    pub is_repeated: bool,
    /// What would become of the schema, how, and what each step touches.
    pub schema: Plan,
    /// What would become of the rows of each table, beyond what schema steps do.
    pub rows: BTreeMap<String, RowCounts>,
}

/// Rows of a table by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Rows that appear.
    pub created: usize,
    /// Rows that show other values.
    pub updated: usize,
    /// Rows that disappear.
    pub deleted: usize,
}

impl RowCounts {
    fn count(&mut self, change: &RowChange) {
        match change {
            RowChange::Create(_) => self.created += 1,
            RowChange::Update(_) => self.updated += 1,
            RowChange::Delete => self.deleted += 1,
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: RowCounts) {
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
    }
}

impl Preview {
    /// Asks a directory, which is given up for it.
    ///
    /// # Errors
    /// If its graph cannot be shown in memory.
    pub fn of(directory: Directory) -> Result<Preview, Error> {
        let mut shown = MemoryStore::default();
        shown.rebuild(&directory.replica.view()).map_err(|error| unshown(&directory, &error))?;
        Ok(Preview { directory, shown, steps: Vec::new() })
    }

    /// What transactions would do if they were handed in now, each with its line in the input.
    ///
    /// # Errors
    /// [`Error::Line`] for the first that could not be carried out.
    pub fn transactions(&mut self, transactions: Vec<(usize, Transaction)>) -> Result<Vec<Impact>, Error> {
        transactions.into_iter().map(|(line, transaction)| self.transaction(line, transaction)).collect()
    }

    /// What a rules file would do; nothing if it says what the schema says.
    ///
    /// # Errors
    /// [`Error::Line`] for the first rule that cannot be.
    pub fn rules(&mut self, text: &str) -> Result<Vec<Impact>, Error> {
        let transaction = self.directory.rules_transaction(text)?;
        transaction.map(|transaction| self.transaction(1, transaction)).into_iter().collect()
    }

    fn transaction(&mut self, line: usize, transaction: Transaction) -> Result<Impact, Error> {
        let fed = self.directory.feed(Input::Local(transaction));
        fed.map_err(|error| Error::Line { line, problem: error.to_string() })?;
        let mut impact = Impact { line, ..Impact::default() };
        for output in self.directory.take_outputs() {
            let shown = match output {
                Output::View(delta) => self.take_up(&delta, &mut impact),
                Output::Rebuild(view) => self.shown.rebuild(&view),
                Output::Notify(Notice::AlreadySubmitted { .. }) => {
                    impact.is_repeated = true;
                    Ok(())
                }
                _ => Ok(()),
            };
            shown.map_err(|error| unshown(&self.directory, &error))?;
        }
        Ok(impact)
    }

    fn take_up(&mut self, delta: &ViewDelta, impact: &mut Impact) -> Result<(), StoreError> {
        let mut plan = self.shown.plan(delta)?;
        self.steps.extend(delta.schema.iter().cloned());
        let all = ViewDelta { schema: self.steps.clone(), ..ViewDelta::default() };
        // A graph that is broken or lacks a part of the schema cannot say how; what is touched is known all the same.
        let how =
            if delta.schema.is_empty() { Plan::default() } else { self.directory.graph.plan(&all).unwrap_or_default() };
        let last = how.steps.len().saturating_sub(delta.schema.len());
        for step in &mut plan.steps {
            if let Some(PlanStep { way, .. }) = how.steps[last..].iter().find(|other| other.step == step.step) {
                step.way = way.clone();
            }
        }
        impact.schema.steps.append(&mut plan.steps);
        for (table, rows) in &delta.nodes {
            let counts = impact.rows.entry(table.clone()).or_default();
            rows.values().for_each(|change| counts.count(change));
        }
        for (table, rows) in &delta.edges {
            let counts = impact.rows.entry(table.clone()).or_default();
            rows.values().for_each(|change| counts.count(change));
        }
        self.shown.apply(delta)
    }
}

fn unshown(directory: &Directory, error: &StoreError) -> Error {
    let path = crate::graph::folder(directory.path());
    Error::Io { path, error: std::io::Error::other(error.to_string()) }
}

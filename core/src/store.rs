//! The graph store: the port on which a host carries out view deltas.
//!
//! The store stands outside the machine and holds nothing of its own: it is always the view of the log. Validation
//! never reads it, and any doubt is answered by [`GraphStore::rebuild`].

pub mod memory;
pub mod plan;
pub mod refusing;
pub mod text_index;
pub mod tolerant;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::Type;
use crate::view::{View, ViewDelta};
use plan::Plan;
use text_index::{BUILDS_NONE, TextIndexes, Unbuilt};

/// A statement that a store could not carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{store} refused `{statement}`: {message}")]
pub struct StoreError {
    /// Which store.
    pub store: &'static str,
    /// What it was asked.
    pub statement: String,
    /// What it answered.
    pub message: String,
}

/// A part of the schema that a store does not hold because its database refused it. The log holds it all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmaterialised {
    /// The table.
    pub table: String,
    /// The column, `None` if it is the whole table.
    pub column: Option<String>,
    /// The type the column keeps instead; `None` if there is no such column.
    pub held_as: Option<Type>,
    /// What the database said.
    pub reason: String,
}

impl fmt::Display for Unmaterialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unmaterialised { table, column, held_as, reason } = self;
        match (column, held_as) {
            (None, _) => write!(f, "table {table}: {reason}"),
            (Some(column), None) => write!(f, "{table}.{column}: {reason}"),
            (Some(column), Some(held_as)) => write!(f, "{table}.{column}, held as {held_as}: {reason}"),
        }
    }
}

/// What a store was asked since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Plans carried out that had a step: several schema operations that arrive together are one.
    pub plans: u64,
    /// The steps in them.
    pub schema_steps: u64,
    /// Statements sent.
    pub statements: u64,
    /// Statements prepared: one for each text that is sent again, as long as one database lasts.
    pub prepared: u64,
    /// How often a new database took the place of the old one, rebuilds included.
    pub new_databases: u64,
}

/// A database that holds one replica's view.
pub trait GraphStore {
    /// The store's name, for people.
    fn name(&self) -> &'static str;

    /// How the store would carry out the schema steps of a delta. It changes nothing.
    ///
    /// # Errors
    /// The first step that the store would refuse.
    fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError>;

    /// Carries a delta out, in the order [`ViewDelta`] states, its schema steps as [`GraphStore::plan`] says.
    ///
    /// # Errors
    /// The statement that failed. The store is then in doubt and must be rebuilt.
    fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError>;

    /// Forgets everything and holds `view`.
    ///
    /// # Errors
    /// The statement that failed.
    fn rebuild(&mut self, view: &View) -> Result<(), StoreError>;

    /// What the database holds, read back from the database itself.
    ///
    /// # Errors
    /// The statement that failed.
    fn read(&mut self) -> Result<View, StoreError>;

    /// Makes these full-text indexes stand and no others, as far as the database can be trusted with them, and keeps them so
    /// while deltas are applied. A change of the schema may take some away, and a rebuild leaves none: both are
    /// followed by another call. Returns those that do not stand.
    ///
    /// # Errors
    /// The statement that failed. The store is then in doubt and must be rebuilt; the index that it was about is not tried
    /// again while it is asked for as it was.
    fn index_texts(&mut self, wanted: &TextIndexes) -> Result<Unbuilt, StoreError> {
        Ok(wanted.keys().map(|index| (index.clone(), BUILDS_NONE.to_owned())).collect())
    }

    /// The full-text indexes that stand, read back from the database itself.
    ///
    /// # Errors
    /// The statement that failed.
    fn text_indexes(&mut self) -> Result<TextIndexes, StoreError> {
        Ok(TextIndexes::new())
    }

    /// What it does not hold of the schema: see [`tolerant`]. Nothing, for a store that holds all or fails.
    fn unmaterialised(&self) -> Vec<Unmaterialised> {
        Vec::new()
    }

    /// What it was asked so far.
    fn counts(&self) -> StoreCounts {
        StoreCounts::default()
    }

    /// The texts of the statements that the database was sent since it was made, each once, without their parameters;
    /// none for a store that is not asked in texts. For checks: no value may stand in one (Minimal Sync Guide, case C8).
    fn statement_texts(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<S: GraphStore + ?Sized> GraphStore for Box<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
        (**self).plan(delta)
    }

    fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        (**self).apply(delta)
    }

    fn rebuild(&mut self, view: &View) -> Result<(), StoreError> {
        (**self).rebuild(view)
    }

    fn read(&mut self) -> Result<View, StoreError> {
        (**self).read()
    }

    fn index_texts(&mut self, wanted: &TextIndexes) -> Result<Unbuilt, StoreError> {
        (**self).index_texts(wanted)
    }

    fn text_indexes(&mut self) -> Result<TextIndexes, StoreError> {
        (**self).text_indexes()
    }

    fn unmaterialised(&self) -> Vec<Unmaterialised> {
        (**self).unmaterialised()
    }

    fn counts(&self) -> StoreCounts {
        (**self).counts()
    }

    fn statement_texts(&self) -> Vec<String> {
        (**self).statement_texts()
    }
}

//! The graph store: the port on which a host carries out view deltas.
//!
//! The store stands outside the machine and holds nothing of its own: it is always the view of the log. Validation
//! never reads it, and any doubt is answered by [`GraphStore::rebuild`].

pub mod memory;

use crate::view::{View, ViewDelta};

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

/// A database that holds one replica's view.
pub trait GraphStore {
    /// The store's name, for people.
    fn name(&self) -> &'static str;

    /// Carries a delta out, in the order [`ViewDelta`] states.
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

    /// The texts of the statements that the database was sent since it was made, each once, without their parameters;
    /// none for a store that is not asked in texts. For checks: no value may stand in one (Minimal Sync Guide, case C8).
    fn statement_texts(&self) -> Vec<String> {
        Vec::new()
    }
}

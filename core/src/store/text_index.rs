//! Full-text indexes: what a store is asked to build beside its view.
//!
//! Replicas agree on them as on tables and columns, but they are no part of a view: they hold nothing that the rows do
//! not, and which of them a database can be trusted with is its own affair. So a host tells its store which should stand
//! ([`GraphStore::index_texts`]), whenever they change and after each rebuild, and is told which do not and why. Those are
//! recorded, not materialised (DDL Synchronisation, cases B1.10 and B1.11); no row waits for one.
//!
//! [`GraphStore::index_texts`]: super::GraphStore::index_texts

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a store that builds no index lacks one.
pub const BUILDS_NONE: &str = "the store builds no indexes";

/// A full-text index by the names that are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TextIndex {
    /// Its table, which holds nodes.
    pub table: String,
    /// Its own name.
    pub name: String,
}

/// Full-text indexes and the `STRING` columns that each covers, in its order.
pub type TextIndexes = BTreeMap<TextIndex, Vec<String>>;

/// Full-text indexes that a store does not build, each with the reason.
pub type Unbuilt = BTreeMap<TextIndex, String>;

impl TextIndex {
    /// The index of that name of a table.
    pub fn new(table: impl Into<String>, name: impl Into<String>) -> Self {
        TextIndex { table: table.into(), name: name.into() }
    }
}

impl fmt::Display for TextIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ON {}", self.name, self.table)
    }
}

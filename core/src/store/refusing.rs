//! A store that refuses a part of the schema on purpose: the fault behind DDL Integration Plan, case A9.
//!
//! It does so as a database would: what came before the refused step is done, what comes after it is not, and the store
//! is then in doubt.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::plan::Plan;
use crate::store::text_index::{TextIndexes, Unbuilt};
use crate::store::{GraphStore, StoreCounts, StoreError, Unmaterialised};
use crate::value::Type;
use crate::view::{SchemaStep, View, ViewDelta};

/// What a refusal says, wherever it is told.
pub const REFUSED_ON_PURPOSE: &str = "refused on purpose";

/// What is refused, in new tables and in old ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A table of this name.
    Table(String),
    /// A column of this name.
    Column(String),
    /// A column of this type.
    Type(Type),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Table(name) => write!(f, "a table called {name}"),
            Refusal::Column(name) => write!(f, "a column called {name}"),
            Refusal::Type(of) => write!(f, "a column of type {of}"),
        }
    }
}

impl Refusal {
    fn is_of(&self, step: &SchemaStep) -> bool {
        let is_column = |name: &String, of: &Type| match self {
            Refusal::Table(_) => false,
            Refusal::Column(refused) => refused == name,
            Refusal::Type(refused) => refused == of,
        };
        match step {
            SchemaStep::CreateTable { name, table } => {
                *self == Refusal::Table(name.clone()) || table.columns.iter().any(|(name, of)| is_column(name, of))
            }
            SchemaStep::RenameTable { to, .. } => *self == Refusal::Table(to.clone()),
            SchemaStep::RenameColumn { to, .. } => *self == Refusal::Column(to.clone()),
            SchemaStep::AddColumn { column, column_type, .. }
            | SchemaStep::RetypeColumn { column, column_type, .. } => is_column(column, column_type),
            SchemaStep::DropTable { .. } | SchemaStep::DropColumn { .. } | SchemaStep::AddPair { .. } => false,
        }
    }
}

/// A store with a fault.
#[derive(Debug)]
pub struct Refusing<S> {
    inner: S,
    refusals: Vec<Refusal>,
}

impl<S: GraphStore> Refusing<S> {
    /// Around a store, which refuses nothing yet.
    pub fn new(inner: S) -> Self {
        Refusing { inner, refusals: Vec::new() }
    }

    /// From now on it refuses this too.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }

    /// From now on it refuses nothing.
    pub fn relent(&mut self) {
        self.refusals.clear();
    }

    fn refused<'d>(&self, delta: &'d ViewDelta) -> Option<(usize, &'d SchemaStep)> {
        let is_refused = |step: &SchemaStep| self.refusals.iter().any(|refusal| refusal.is_of(step));
        delta.schema.iter().enumerate().find(|(_, step)| is_refused(step))
    }

    fn refusal(&self, step: &SchemaStep) -> StoreError {
        StoreError { store: self.inner.name(), statement: step.to_string(), message: REFUSED_ON_PURPOSE.to_owned() }
    }
}

impl<S: GraphStore> GraphStore for Refusing<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
        self.inner.plan(delta)
    }

    fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        let Some((place, step)) = self.refused(delta) else { return self.inner.apply(delta) };
        let schema = delta.schema[..place].to_vec();
        self.inner.apply(&ViewDelta { schema, ..ViewDelta::default() })?;
        Err(self.refusal(step))
    }

    fn rebuild(&mut self, view: &View) -> Result<(), StoreError> {
        let delta = view.to_delta();
        let Some((_, step)) = self.refused(&delta) else { return self.inner.rebuild(view) };
        self.inner.rebuild(&View::default())?;
        Err(self.refusal(step))
    }

    fn read(&mut self) -> Result<View, StoreError> {
        self.inner.read()
    }

    fn index_texts(&mut self, wanted: &TextIndexes) -> Result<Unbuilt, StoreError> {
        self.inner.index_texts(wanted)
    }

    fn text_indexes(&mut self) -> Result<TextIndexes, StoreError> {
        self.inner.text_indexes()
    }

    fn counts(&self) -> StoreCounts {
        self.inner.counts()
    }

    fn statement_texts(&self) -> Vec<String> {
        self.inner.statement_texts()
    }

    fn unmaterialised(&self) -> Vec<Unmaterialised> {
        self.inner.unmaterialised()
    }
}

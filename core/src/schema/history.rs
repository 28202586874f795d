//! What became of every schema operation that a replica has heard of: its versions and who made them, what waits, what was
//! refused, and what others did to the same thing at the same time (DDL Integration Plan, case A6).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Schema;
use super::shape::{BUILT_OR_RECORDED, RECORDED};
use crate::change::{Change, ChangeId, Op};
use crate::clock::Timestamp;
use crate::conflict::schema::SchemaLoss;
use crate::ddl::{Ddl, IndexKind, Rule};
use crate::error::Error;
use crate::id::{ColumnId, TableId};

/// One schema operation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaEvent {
    /// The change it is in.
    pub change: ChangeId,
    /// Its place there.
    pub index: u32,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Its name in the field's words.
    pub operation: String,
    /// What it does, with the names of its moment.
    pub words: String,
    /// What became of it.
    pub outcome: SchemaOutcome,
    /// Changes that this operation lost to, or won over, as long as the audit of schema changes says so.
    pub conflicts: Vec<ChangeId>,
}

/// What became of a schema operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaOutcome {
    /// It made this version here.
    Applied {
        /// How many operations were known then.
        version: u64,
    },
    /// It waits for what it depends on.
    Waiting,
    /// It was refused.
    Refused {
        /// Why.
        reason: String,
    },
}

/// How many schema operations had which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaCounts {
    /// Part of the schema: its version.
    pub applied: u64,
    /// Waiting for what they depend on.
    pub waiting: u64,
    /// Refused: here before they were logged, since the replica was opened, or later by a main or by this replica.
    pub refused: u64,
    /// Of the applied ones, those that lost to a concurrent one or won over it, as the audit of schema changes says.
    pub conflicting: u64,
}

/// The operations of applied changes, in the order in which they were applied here, with what the audit tells of them.
pub(crate) fn applied<'c>(changes: impl Iterator<Item = &'c Arc<Change>>, losses: &[SchemaLoss]) -> Vec<SchemaEvent> {
    let mut schema = Schema::default();
    let mut events: Vec<SchemaEvent> = Vec::new();
    let mut places: BTreeMap<(ChangeId, u32), usize> = BTreeMap::new();
    for change in changes {
        for (rank, ddl) in change.ddls() {
            let words = schema.describe(ddl);
            schema.join(rank, &change.seen, ddl);
            let version = schema.version_number();
            places.insert((change.id, rank.index), events.len());
            events.push(event(change, rank.index, ddl, words, SchemaOutcome::Applied { version }));
        }
    }
    for loss in losses {
        let sides = [&loss.loser, &loss.winner].map(|claim| (claim.rank.change, claim.rank.index));
        for [one, other] in [sides, [sides[1], sides[0]]] {
            let Some(event) = places.get(&one).and_then(|place| events.get_mut(*place)) else { continue };
            if !event.conflicts.contains(&other.0) {
                event.conflicts.push(other.0);
            }
        }
    }
    events
}

/// The operations of a change that was not applied.
pub(crate) fn unapplied(schema: &Schema, change: &Change, outcome: &SchemaOutcome) -> Vec<SchemaEvent> {
    let event = |(rank, op): (crate::clock::Rank, &Op)| match op {
        Op::Schema(ddl) => Some(event(change, rank.index, ddl, schema.describe(ddl), outcome.clone())),
        _ => None,
    };
    change.ranked_ops().filter_map(event).collect()
}

/// The schema after the first so many operations of `changes`.
pub(crate) fn at_version<'c>(changes: impl Iterator<Item = &'c Arc<Change>>, version: u64) -> Result<Schema, Error> {
    let mut schema = Schema::default();
    for change in changes {
        for (rank, ddl) in change.ddls() {
            if schema.version_number() == version {
                return Ok(schema);
            }
            schema.join(rank, &change.seen, ddl);
        }
    }
    let known = schema.version_number();
    if known == version { Ok(schema) } else { Err(Error::UnknownSchemaVersion { asked: version, known }) }
}

fn event(change: &Change, index: u32, ddl: &Ddl, words: String, outcome: SchemaOutcome) -> SchemaEvent {
    let (id, timestamp, operation) = (change.id, change.timestamp, ddl.name().to_owned());
    SchemaEvent { change: id, index, timestamp, operation, words, outcome, conflicts: Vec::new() }
}

impl Schema {
    /// An operation in words, with the names that things have here. Of what no store builds it says so.
    #[must_use]
    pub fn describe(&self, ddl: &Ddl) -> String {
        let id = ddl.table_id();
        let known = |id: TableId| {
            if self.table(id).is_some() { self.shown_name(id).to_owned() } else { id.short() }
        };
        let table = known(id);
        let column = |column: &ColumnId| {
            let named = self.table(id).and_then(|table| table.column(*column));
            named.map_or_else(|| column.short(), |column| column.name().to_owned())
        };
        let operation = ddl.name();
        match ddl {
            Ddl::CreateNodeTable { name, .. } => format!("{operation} {name}"),
            Ddl::CreateEdgeTable { name, from, to, .. } => {
                format!("{operation} {name} FROM {} TO {}", known(*from), known(*to))
            }
            Ddl::DropTable { .. } | Ddl::UndropTable { .. } => format!("{operation} {table}"),
            Ddl::RenameTable { name, .. } => format!("{operation} {table} TO {name}"),
            Ddl::AddColumn { column, .. } => format!("{operation} {table}.{} {}", column.name, column.column_type),
            Ddl::DropColumn { column: of, .. } | Ddl::UndropColumn { column: of, .. } => {
                format!("{operation} {table}.{}", column(of))
            }
            Ddl::RenameColumn { column: of, name, .. } => format!("{operation} {table}.{} TO {name}", column(of)),
            Ddl::AlterColumnType { column: of, column_type, .. } => {
                format!("{operation} {table}.{} TO {column_type}", column(of))
            }
            Ddl::AddPair { from, to, .. } | Ddl::DropPair { from, to, .. } => {
                format!("{operation} {table} FROM {} TO {}", known(*from), known(*to))
            }
            Ddl::CreateIndex { name, kind, columns, .. } => {
                let columns: Vec<String> = columns.iter().map(column).collect();
                let state = if *kind == IndexKind::FullText { BUILT_OR_RECORDED } else { RECORDED };
                format!("{operation} {name} ON {table}({}) ({state})", columns.join(", "))
            }
            Ddl::DropIndex { index, .. } => {
                let named = self.table(id).and_then(|table| table.indexes().find(|(known, _)| known == index));
                let name = named.map_or_else(|| index.short(), |(_, index)| index.name().to_owned());
                format!("{operation} {name} ON {table}")
            }
            Ddl::CommentOnTable { comment, .. } => format!("{operation} {table} IS {comment:?} ({RECORDED})"),
            Ddl::CommentOnColumn { column: of, comment, .. } => {
                format!("{operation} {table}.{} IS {comment:?} ({RECORDED})", column(of))
            }
            Ddl::SetRule { rule, .. } => match rule {
                Rule::Policy { column: None, policy } => format!("{operation} {table} policy {}", policy.name()),
                Rule::Policy { column: Some(of), policy } => {
                    format!("{operation} {table}.{} policy {}", column(of), policy.name())
                }
                Rule::UpdateRevives(is_on) => format!("{operation} {table} update_revives {is_on}"),
                Rule::Revive(is_on) => format!("{operation} {table} revive {is_on}"),
                Rule::Multiplicity(limit) => format!("{operation} {table} multiplicity {}", limit.name()),
                Rule::Unique { column: of, is_on } => format!("{operation} {table}.{} unique {is_on}", column(of)),
                Rule::AtLeast { column: of, bound } => {
                    let bound = bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string());
                    format!("{operation} {table}.{} at_least {bound}", column(of))
                }
            },
        }
    }
}

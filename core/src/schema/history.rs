//! What became of every schema operation that a replica has heard of: its versions and who made them, what waits, what was
//! refused, and what others did to the same thing at the same time (DDL Integration Plan, case A6).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Schema;
use crate::change::{Change, ChangeId, Op};
use crate::clock::Timestamp;
use crate::ddl::{Ddl, Rule, column_born, fold, index_id};
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
    /// Changes whose authors did something else to the same thing and had not seen this one, nor it them.
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
    /// Of the applied ones, those that somebody contradicted at the same time.
    pub conflicting: u64,
}

/// The operations of applied changes, in the order in which they were applied here.
pub(crate) fn applied<'c>(changes: impl Iterator<Item = &'c Arc<Change>>) -> Vec<SchemaEvent> {
    let mut schema = Schema::default();
    let mut events: Vec<SchemaEvent> = Vec::new();
    let mut on_subject: BTreeMap<Subject, Vec<Claim<'c>>> = BTreeMap::new();
    for change in changes {
        for (rank, op) in change.ranked_ops() {
            let Op::Schema(ddl) = op else { continue };
            let words = schema.describe(ddl);
            schema.join(rank, &change.seen, ddl);
            let version = schema.version_number();
            let mut event = event(change, rank.index, ddl, words, SchemaOutcome::Applied { version });
            for subject in subjects(ddl) {
                let others = on_subject.entry(subject).or_default();
                for (place, other, other_ddl) in others.iter() {
                    if change.is_concurrent_with(other) && ddl != *other_ddl {
                        note(&mut event.conflicts, other.id);
                        note(&mut events[*place].conflicts, change.id);
                    }
                }
                others.push((events.len(), change, ddl));
            }
            events.push(event);
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
        for (rank, op) in change.ranked_ops() {
            if schema.version_number() == version {
                return Ok(schema);
            }
            if let Op::Schema(ddl) = op {
                schema.join(rank, &change.seen, ddl);
            }
        }
    }
    let known = schema.version_number();
    if known == version { Ok(schema) } else { Err(Error::UnknownSchemaVersion { asked: version, known }) }
}

fn event(change: &Change, index: u32, ddl: &Ddl, words: String, outcome: SchemaOutcome) -> SchemaEvent {
    let (id, timestamp, operation) = (change.id, change.timestamp, ddl.name().to_owned());
    SchemaEvent { change: id, index, timestamp, operation, words, outcome, conflicts: Vec::new() }
}

fn note(conflicts: &mut Vec<ChangeId>, id: ChangeId) {
    if !conflicts.contains(&id) {
        conflicts.push(id);
    }
}

/// The place of an operation's event, its change, and the operation.
type Claim<'c> = (usize, &'c Arc<Change>, &'c Ddl);

/// What an operation makes a claim about: two claims about one subject by authors who did not know of each other conflict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Table(TableId),
    TableName(String),
    NameOf(TableId),
    Column(ColumnId),
    ColumnName(TableId, String),
    NameOfColumn(ColumnId),
    TypeOf(ColumnId),
    Pair(TableId, TableId, TableId),
    Index(crate::id::IndexId),
    Comment(TableId, Option<ColumnId>),
    Rule(TableId, Option<ColumnId>, &'static str),
}

fn subjects(ddl: &Ddl) -> Vec<Subject> {
    let table = ddl.table_id();
    match ddl {
        Ddl::CreateNodeTable { name, .. } | Ddl::CreateEdgeTable { name, .. } => {
            vec![Subject::Table(table), Subject::TableName(fold(name))]
        }
        Ddl::DropTable { .. } | Ddl::UndropTable { .. } => vec![Subject::Table(table)],
        Ddl::RenameTable { name, .. } => vec![Subject::NameOf(table), Subject::TableName(fold(name))],
        Ddl::AddColumn { column, birth, .. } => {
            let id = column_born(table, &column.name, *birth);
            vec![Subject::Column(id), Subject::TypeOf(id), Subject::ColumnName(table, fold(&column.name))]
        }
        Ddl::DropColumn { column, .. } | Ddl::UndropColumn { column, .. } => vec![Subject::Column(*column)],
        Ddl::RenameColumn { column, name, .. } => {
            vec![Subject::NameOfColumn(*column), Subject::ColumnName(table, fold(name))]
        }
        Ddl::AlterColumnType { column, .. } => vec![Subject::TypeOf(*column)],
        Ddl::AddPair { from, to, .. } | Ddl::DropPair { from, to, .. } => vec![Subject::Pair(table, *from, *to)],
        Ddl::CreateIndex { kind, columns, .. } => vec![Subject::Index(index_id(table, *kind, columns))],
        Ddl::DropIndex { index, .. } => vec![Subject::Index(*index)],
        Ddl::CommentOnTable { .. } => vec![Subject::Comment(table, None)],
        Ddl::CommentOnColumn { column, .. } => vec![Subject::Comment(table, Some(*column))],
        Ddl::SetRule { rule, .. } => match rule {
            Rule::Policy { column, .. } => vec![Subject::Rule(table, *column, "policy")],
            Rule::UpdateRevives(_) => vec![Subject::Rule(table, None, "update_revives")],
            Rule::Revive(_) => vec![Subject::Rule(table, None, "revive")],
            Rule::Multiplicity(_) => vec![Subject::Rule(table, None, "multiplicity")],
            Rule::Unique { column, .. } => vec![Subject::Rule(table, Some(*column), "unique")],
            Rule::AtLeast { column, .. } => vec![Subject::Rule(table, Some(*column), "at_least")],
        },
    }
}

impl Schema {
    /// An operation in words, with the names that things have here.
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
            Ddl::CreateIndex { name, columns, .. } => {
                let columns: Vec<String> = columns.iter().map(column).collect();
                format!("{operation} {name} ON {table}({})", columns.join(", "))
            }
            Ddl::DropIndex { index, .. } => {
                let named = self.table(id).and_then(|table| table.indexes().find(|(known, _)| known == index));
                let name = named.map_or_else(|| index.short(), |(_, index)| index.name().to_owned());
                format!("{operation} {name} ON {table}")
            }
            Ddl::CommentOnTable { comment, .. } => format!("{operation} {table} IS {comment:?}"),
            Ddl::CommentOnColumn { column: of, comment, .. } => {
                format!("{operation} {table}.{} IS {comment:?}", column(of))
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

//! What a client asks for, by name: the form in which scenarios, plan files and programs write changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::ChangeId;
use crate::clock::WallTime;
use crate::ddl::{Column, Ddl, IndexKind, Rule};
use crate::id::{ReplicaId, TxId};
use crate::value::Type;
use crate::value::Value;

/// Property values by column name.
pub type Properties = BTreeMap<String, Value>;

/// Which edge is meant: its table, its ends' keys, and what tells it from others between the same ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EdgeName {
    /// The edge table.
    pub table: String,
    /// The table and key of the node it starts at.
    pub from: (String, Value),
    /// The table and key of the node it ends at.
    pub to: (String, Value),
    /// `""` unless there are several between the same ends.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub discriminator: String,
}

/// One thing a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Statement {
    /// A new node table.
    CreateNodeTable {
        /// Its name.
        table: String,
        /// Its columns, the primary key among them.
        columns: Vec<Column>,
        /// The name of the key column.
        primary_key: String,
    },
    /// A new edge table between two node tables.
    CreateEdgeTable {
        /// Its name.
        table: String,
        /// The node table its edges start in.
        from: String,
        /// The node table its edges end in.
        to: String,
        /// Its property columns.
        columns: Vec<Column>,
    },
    /// A new node; the primary key is among the properties.
    CreateNode {
        /// The node table.
        table: String,
        /// Its properties.
        properties: Properties,
    },
    /// New property values of a node.
    UpdateNode {
        /// The node table.
        table: String,
        /// Its primary key.
        key: Value,
        /// The properties to write; others keep their values.
        properties: Properties,
    },
    /// A number of a node, raised or lowered. What several replicas add adds up.
    IncrementNode {
        /// The node table.
        table: String,
        /// Its primary key.
        key: Value,
        /// The number's column.
        column: String,
        /// How much is added, negative to subtract.
        by: Value,
    },
    /// The end of a node and of every edge known to touch it.
    DeleteNode {
        /// The node table.
        table: String,
        /// Its primary key.
        key: Value,
    },
    /// A new edge between two nodes.
    CreateEdge {
        /// Which edge.
        edge: EdgeName,
        /// Its properties.
        properties: Properties,
    },
    /// New property values of an edge.
    UpdateEdge {
        /// Which edge.
        edge: EdgeName,
        /// The properties to write; others keep their values.
        properties: Properties,
    },
    /// A number of an edge, raised or lowered. What several replicas add adds up.
    IncrementEdge {
        /// Which edge.
        edge: EdgeName,
        /// The number's column.
        column: String,
        /// How much is added, negative to subtract.
        by: Value,
    },
    /// The end of an edge.
    DeleteEdge {
        /// Which edge.
        edge: EdgeName,
    },
    /// A merge rule of a table.
    SetRule {
        /// The table.
        table: String,
        /// The rule.
        rule: Rule<String>,
    },
    /// A schema operation by identities, as [`crate::schema::difference`] tells it: a step of a return to an earlier version
    /// or of a merge.
    #[cfg_attr(feature = "json-schema", schemars(skip))]
    ByIdentity(Ddl),
    /// CREATE TABLE or ADD COLUMN for which one of that name will do.
    IfNotExists(Box<Statement>),
    /// DROP TABLE or DROP COLUMN of what may be gone already.
    IfExists(Box<Statement>),
    /// The end of a node table. It is hidden with its rows and can be brought back.
    DropNodeTable {
        /// The table.
        table: String,
        /// Whether what connects it goes too: first the edge tables, or their pairs with it where they have others.
        #[serde(default, skip_serializing_if = "is_false")]
        cascade: bool,
    },
    /// The end of an edge table. It is hidden with its edges and can be brought back.
    DropEdgeTable {
        /// The table.
        table: String,
    },
    /// The return of a dropped table with its rows, and with what was done to them meanwhile.
    UndropTable {
        /// The name it had.
        table: String,
    },
    /// Another name for a table.
    RenameTable {
        /// The table.
        table: String,
        /// Its new name.
        to: String,
    },
    /// A new column. Rows that were never given a value show its default.
    AddColumn {
        /// The table.
        table: String,
        /// What it is.
        column: Column,
    },
    /// The end of a column. It is hidden with its values and can be brought back.
    DropColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Whether the indexes that cover it go too, before it.
        #[serde(default, skip_serializing_if = "is_false")]
        cascade: bool,
    },
    /// The return of a dropped column with its values.
    UndropColumn {
        /// The table.
        table: String,
        /// The name it had.
        column: String,
    },
    /// Another name for a column.
    RenameColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its new name.
        to: String,
    },
    /// Another type for a column. Values are cast; where that fails nothing is shown and the value is kept.
    AlterColumnType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its new type.
        #[serde(rename = "type")]
        column_type: Type,
    },
    /// Two more node tables that edges of a table may connect.
    AddPair {
        /// The edge table.
        table: String,
        /// Where they start.
        from: String,
        /// Where they end.
        to: String,
    },
    /// The end of the edges of a table between two node tables. They are hidden and come back with the pair.
    DropPair {
        /// The edge table.
        table: String,
        /// Where they start.
        from: String,
        /// Where they end.
        to: String,
    },
    /// An index over columns of a table.
    CreateIndex {
        /// The table.
        table: String,
        /// Its name, of which a table has one.
        index: String,
        /// What it is for.
        #[serde(default)]
        kind: IndexKind,
        /// What it covers, in order.
        columns: Vec<String>,
    },
    /// The end of an index.
    DropIndex {
        /// The table.
        table: String,
        /// Its name.
        index: String,
    },
    /// What a table is for.
    CommentOnTable {
        /// The table.
        table: String,
        /// In words; none if empty.
        comment: String,
    },
    /// What a column is for.
    CommentOnColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// In words; none if empty.
        comment: String,
    },
}

impl Statement {
    /// Whether it is about the schema and not about rows.
    #[must_use]
    pub fn changes_schema(&self) -> bool {
        !matches!(
            self,
            Statement::CreateNode { .. }
                | Statement::UpdateNode { .. }
                | Statement::IncrementNode { .. }
                | Statement::DeleteNode { .. }
                | Statement::CreateEdge { .. }
                | Statement::UpdateEdge { .. }
                | Statement::IncrementEdge { .. }
                | Statement::DeleteEdge { .. }
        )
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(is_so: &bool) -> bool {
    !is_so
}

/// Statements that become one change, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// What is deduplicated: submitting one transaction again gives the change it gave the first time.
    pub tx: TxId,
    /// What it does, in order; a later statement sees what an earlier one made.
    pub statements: Vec<Statement>,
    /// Changes that must be applied before it everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ChangeId>,
    /// When it was made, where that is not now: stands in for the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<WallTime>,
    /// Whether it is to be refused if somebody else wrote to one of its rows meanwhile (Minimal Sync Guide, case C7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_strict: bool,
    /// The replicas that do it together with this one, or not at all: see [`crate::two_phase`]. None for an ordinary
    /// change; this replica alone where a column asks for a vote and nobody else is to have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<ReplicaId>,
}

//! The graph as people see it: tables, rows and edges by name, and what changed between two views.
//!
//! Two replicas agree exactly when their views are equal. A view holds names and shown values only, no identities, so
//! the engine, the reference store, Kùzu and the naive model can all be compared by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::value::{Type, Value};

/// Shown property values by column name. A column without a value is absent, and so is the primary key of a node.
pub type Row = BTreeMap<String, Value>;

/// A node by name: its table and its primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeRef {
    /// The shown name of the node table.
    pub table: String,
    /// The primary key.
    pub key: Value,
}

/// An edge by name, within its table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EdgeRef {
    /// Where it starts.
    pub from: NodeRef,
    /// Where it ends.
    pub to: NodeRef,
    /// What tells it from others between the same ends.
    pub discriminator: String,
}

/// What a table's rows are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Nodes.
    Node {
        /// The key column.
        primary_key: String,
    },
    /// Edges.
    Edge {
        /// The node tables its edges may start and end in.
        pairs: BTreeSet<(String, String)>,
    },
}

/// A table as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Nodes or edges.
    pub kind: TableKind,
    /// The columns, the primary key among them.
    pub columns: BTreeMap<String, Type>,
}

/// The whole graph by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
    /// Rows by node table and key.
    pub nodes: BTreeMap<String, BTreeMap<Value, Row>>,
    /// Rows by edge table and edge.
    pub edges: BTreeMap<String, BTreeMap<EdgeRef, Row>>,
}

impl View {
    /// Equal for equal views, whatever their history.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value(self)
    }

    /// The row of a node, if it is there.
    #[must_use]
    pub fn node(&self, table: &str, key: &Value) -> Option<&Row> {
        self.nodes.get(table)?.get(key)
    }

    /// The delta that makes this view out of an empty one.
    #[must_use]
    pub fn to_delta(&self) -> ViewDelta {
        fn creates<K: Ord + Clone>(rows: &BTreeMap<K, Row>) -> BTreeMap<K, RowChange> {
            rows.iter().map(|(key, row)| (key.clone(), RowChange::Create(row.clone()))).collect()
        }
        let (nodes, edges): (Vec<_>, Vec<_>) =
            self.tables.iter().partition(|(_, table)| matches!(table.kind, TableKind::Node { .. }));
        let create =
            |(name, table): (&String, &Table)| SchemaStep::CreateTable { name: name.clone(), table: table.clone() };
        ViewDelta {
            schema: nodes.into_iter().chain(edges).map(create).collect(),
            nodes: self.nodes.iter().map(|(table, rows)| (table.clone(), creates(rows))).collect(),
            edges: self.edges.iter().map(|(table, rows)| (table.clone(), creates(rows))).collect(),
        }
    }

    /// The places where two views differ, one line each, `most` at most.
    #[must_use]
    pub fn differences(&self, other: &View, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        compare("table", "", &self.tables, &other.tables, &mut lines);
        for table in self.nodes.keys().chain(other.nodes.keys()).collect::<BTreeSet<_>>() {
            let empty = BTreeMap::new();
            let (here, there) = (self.nodes.get(table).unwrap_or(&empty), other.nodes.get(table).unwrap_or(&empty));
            compare("node", table, here, there, &mut lines);
        }
        for table in self.edges.keys().chain(other.edges.keys()).collect::<BTreeSet<_>>() {
            let empty = BTreeMap::new();
            let (here, there) = (self.edges.get(table).unwrap_or(&empty), other.edges.get(table).unwrap_or(&empty));
            compare("edge", table, here, there, &mut lines);
        }
        lines.truncate(most);
        lines
    }
}

fn compare<K: Ord + Describe, V: PartialEq + Describe>(
    what: &str,
    table: &str,
    here: &BTreeMap<K, V>,
    there: &BTreeMap<K, V>,
    lines: &mut Vec<String>,
) {
    for key in here.keys().chain(there.keys()).collect::<BTreeSet<_>>() {
        let (one, other) = (here.get(key), there.get(key));
        if one != other {
            let show = |value: Option<&V>| value.map_or("absent".to_owned(), Describe::describe);
            lines
                .push(format!("{what} {table} {}: {} / {}", key.describe(), show(one), show(other)).replace("  ", " "));
        }
    }
}

/// One line for people.
pub trait Describe {
    /// The line.
    fn describe(&self) -> String;
}

impl Describe for String {
    fn describe(&self) -> String {
        self.clone()
    }
}

impl Describe for Value {
    fn describe(&self) -> String {
        self.to_string()
    }
}

impl Describe for Row {
    fn describe(&self) -> String {
        let cells: Vec<_> = self.iter().map(|(column, value)| format!("{column}: {value}")).collect();
        format!("{{{}}}", cells.join(", "))
    }
}

impl Describe for NodeRef {
    fn describe(&self) -> String {
        format!("{}({})", self.table, self.key)
    }
}

impl Describe for EdgeRef {
    fn describe(&self) -> String {
        let name = if self.discriminator.is_empty() { String::new() } else { format!(" {:?}", self.discriminator) };
        format!("{}→{}{name}", self.from.describe(), self.to.describe())
    }
}

impl Describe for Table {
    fn describe(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|(name, column_type)| format!("{name} {column_type}")).collect();
        match &self.kind {
            TableKind::Node { primary_key } => format!("({}, PRIMARY KEY({primary_key}))", columns.join(", ")),
            TableKind::Edge { pairs } => {
                let pairs: Vec<_> = pairs.iter().map(|(from, to)| format!("FROM {from} TO {to}")).collect();
                format!("({})", pairs.into_iter().chain(columns).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// One step of a store from one schema to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaStep {
    /// A table goes with all its rows. Edge tables go before the node tables they touch.
    DropTable {
        /// Its name.
        name: String,
    },
    /// A table gets another name.
    RenameTable {
        /// Its name before.
        from: String,
        /// Its name after.
        to: String,
    },
    /// A new, empty table.
    CreateTable {
        /// Its name.
        name: String,
        /// Its columns and kind.
        table: Table,
    },
    /// A column goes with its values.
    DropColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column gets another name, or another spelling of it; it keeps its values.
    RenameColumn {
        /// The table.
        table: String,
        /// Its name before.
        from: String,
        /// Its name after.
        to: String,
    },
    /// A new column without values.
    AddColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        column_type: Type,
    },
    /// A column gets another type and loses its values; the delta's rows bring them back.
    RetypeColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its new type.
        column_type: Type,
    },
    /// An edge table accepts edges between two more tables.
    AddPair {
        /// The edge table.
        table: String,
        /// Where such edges start.
        from: String,
        /// Where they end.
        to: String,
    },
}

impl SchemaStep {
    /// The table it is about, under the name it has before the step.
    #[must_use]
    pub fn table(&self) -> &str {
        match self {
            SchemaStep::DropTable { name }
            | SchemaStep::CreateTable { name, .. }
            | SchemaStep::RenameTable { from: name, .. } => name,
            SchemaStep::DropColumn { table, .. }
            | SchemaStep::RenameColumn { table, .. }
            | SchemaStep::AddColumn { table, .. }
            | SchemaStep::RetypeColumn { table, .. }
            | SchemaStep::AddPair { table, .. } => table,
        }
    }
}

impl fmt::Display for SchemaStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaStep::DropTable { name } => write!(f, "DROP TABLE {name}"),
            SchemaStep::RenameTable { from, to } => write!(f, "RENAME TABLE {from} TO {to}"),
            SchemaStep::CreateTable { name, table } => write!(f, "CREATE TABLE {name} {}", table.describe()),
            SchemaStep::DropColumn { table, column } => write!(f, "ALTER TABLE {table} DROP {column}"),
            SchemaStep::RenameColumn { table, from, to } => write!(f, "ALTER TABLE {table} RENAME {from} TO {to}"),
            SchemaStep::AddColumn { table, column, column_type } => {
                write!(f, "ALTER TABLE {table} ADD {column} {column_type}")
            }
            SchemaStep::RetypeColumn { table, column, column_type } => {
                write!(f, "ALTER TABLE {table} ALTER {column} TYPE {column_type}")
            }
            SchemaStep::AddPair { table, from, to } => write!(f, "ALTER TABLE {table} ADD FROM {from} TO {to}"),
        }
    }
}

/// What becomes of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowChange {
    /// It appears with these values.
    Create(Row),
    /// It stays and has exactly these values; every other column is NULL.
    Update(Row),
    /// It disappears.
    Delete,
}

/// The difference of two views, in the order in which a store carries it out: schema steps; deletions of edges, then of
/// nodes; creations and updates of nodes, then of edges. Names are those after the schema steps. A node is deleted
/// only when no edge touches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDelta {
    /// Schema steps, in order.
    pub schema: Vec<SchemaStep>,
    /// Node rows by table and key.
    pub nodes: BTreeMap<String, BTreeMap<Value, RowChange>>,
    /// Edge rows by table and edge.
    pub edges: BTreeMap<String, BTreeMap<EdgeRef, RowChange>>,
}

impl ViewDelta {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.schema.is_empty() && self.nodes.is_empty() && self.edges.is_empty()
    }
}

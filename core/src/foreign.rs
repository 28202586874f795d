//! What another system's change log says was done: rows by name, as document E's minimum schema lists them.
//!
//! Such a log knows nothing of what its author had seen. So each of its sources becomes an author of its own here, one that
//! never connected and has seen nothing but itself: what it wrote is concurrent to everything else, and is stamped with the
//! instant the log gives, raised only above that of the source's transaction before. A table whose policy is
//! `last_write_wins` then decides by `created_at` alone. What a change needs of the schema it names as dependencies.
//!
//! The identity of a transaction is the digest of its source, its `tx_id` and a number, so whoever imports the log again, and
//! wherever, finds it done. (Sync Policy, cases E3, E5 and E8.)

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::change::{Cells, Edge, Element, Node, Op};
use crate::clock::WallTime;
use crate::constraint;
use crate::error::Error;
use crate::id::{Digest, ReplicaId, TableId, TxId};
use crate::schema::{ColumnState, Kind, Schema, TableState};
use crate::state::State;
use crate::value::Value;

/// Which row is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignKey {
    /// A node by its primary key.
    Node(Value),
    /// An edge by its ends, each a table and a key, and what tells it from others between them.
    Edge {
        /// Where it starts.
        from: (String, Value),
        /// Where it ends.
        to: (String, Value),
        /// `""` unless there are several.
        discriminator: String,
    },
}

/// What was done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignOp {
    /// It was inserted.
    Insert,
    /// Some of its columns were written.
    Update,
    /// It was deleted.
    Delete,
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignRow {
    /// The table's name.
    pub table: String,
    /// The row.
    pub key: ForeignKey,
    /// What was done.
    pub op: ForeignOp,
    /// The written columns; values are cast to the columns' types.
    pub payload: BTreeMap<String, Value>,
    /// When.
    pub created_at: WallTime,
}

/// Rows that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignTransaction {
    /// Who did it.
    pub source_node: String,
    /// Its name there.
    pub tx_id: String,
    /// Its rows, in order.
    pub rows: Vec<ForeignRow>,
}

impl ForeignTransaction {
    /// Its identity here, the same wherever it is imported.
    #[must_use]
    pub fn tx(&self) -> TxId {
        let index = 0_u64.to_le_bytes();
        TxId(Digest::of(&[b"foreign", self.source_node.as_bytes(), self.tx_id.as_bytes(), &index]).0)
    }

    /// The author that stands for its source where `importer` imports it. Two importers never write under one name.
    #[must_use]
    pub fn author(&self, importer: ReplicaId) -> ReplicaId {
        ReplicaId(Digest::of(&[b"foreign", self.source_node.as_bytes(), &importer.0]).0)
    }

    /// When it was done: the instant of its last row.
    #[must_use]
    pub fn created_at(&self) -> WallTime {
        self.rows.iter().map(|row| row.created_at).max().unwrap_or_default()
    }
}

/// Of each operation of the change that carries rows out the row that asked for it: a node's delete comes with those of its
/// edges before it, everything else alone.
#[must_use]
pub fn rows_of(rows: &[ForeignRow], ops: &[Op]) -> Vec<usize> {
    let mut place = 0;
    let mut places = Vec::with_capacity(ops.len());
    for op in ops {
        places.push(place.min(rows.len().saturating_sub(1)));
        let deletes_node =
            rows.get(place).is_some_and(|row| row.op == ForeignOp::Delete && matches!(row.key, ForeignKey::Node(_)));
        let is_of_edge = matches!(op, Op::Delete { element: Element::Edge(_) });
        place += usize::from(!(deletes_node && is_of_edge));
    }
    places
}

/// The operations of a transaction.
///
/// # Errors
/// What is wrong with the first bad row.
pub(crate) fn resolve(state: &State, rows: &[ForeignRow]) -> Result<Vec<Op>, Error> {
    let schema = state.schema();
    let mut made = BTreeSet::new();
    let mut ops = Vec::new();
    for row in rows {
        let element = element(schema, row)?;
        let is_known = made.contains(&element) || state.is_known(&element);
        if row.op != ForeignOp::Insert && !is_known {
            return Err(Error::NotFound { element: state.describe(&element) });
        }
        match row.op {
            ForeignOp::Insert => {
                made.insert(element.clone());
                ops.push(Op::Insert { cells: cells(schema, &element, row)?, element });
            }
            ForeignOp::Update => ops.push(Op::Update { cells: cells(schema, &element, row)?, element }),
            ForeignOp::Delete => {
                if let Element::Node(node) = &element {
                    let known = state.live_edges(node).cloned().map(Element::from);
                    let touches = |element: &&Element| matches!(element, Element::Edge(edge) if edge.from == *node || edge.to == *node);
                    let edges: BTreeSet<Element> = known.chain(made.iter().filter(touches).cloned()).collect();
                    ops.extend(edges.into_iter().map(|element| Op::Delete { element }));
                }
                made.remove(&element);
                ops.push(Op::Delete { element });
            }
        }
    }
    ops.iter().try_for_each(|op| schema.check_op(op))?;
    constraint::check_unprotected(schema, &ops)?;
    if ops.is_empty() { Err(Error::EmptyTransaction) } else { Ok(ops) }
}

fn element(schema: &Schema, row: &ForeignRow) -> Result<Element, Error> {
    let kind = match row.key {
        ForeignKey::Node(_) => "node",
        ForeignKey::Edge { .. } => "edge",
    };
    let (id, table) = table(schema, kind, &row.table)?;
    match (&row.key, table.kind()) {
        (ForeignKey::Node(key), Kind::Node { .. }) => Ok(Element::Node(node(schema, &row.table, key)?)),
        (ForeignKey::Edge { from, to, discriminator }, Kind::Edge { .. }) => {
            let (from, to) = (node(schema, &from.0, &from.1)?, node(schema, &to.0, &to.1)?);
            Ok(Element::from(Edge { table: id, from, to, discriminator: discriminator.clone() }))
        }
        _ => Err(Error::UnknownTable { kind, name: row.table.clone() }),
    }
}

fn table<'s>(schema: &'s Schema, kind: &'static str, name: &str) -> Result<(TableId, &'s TableState), Error> {
    schema.resolve_table(name).ok_or_else(|| Error::UnknownTable { kind, name: name.to_owned() })
}

fn node(schema: &Schema, name: &str, key: &Value) -> Result<Node, Error> {
    let (id, state) = table(schema, "node", name)?;
    let Kind::Node { key: column } = state.kind() else {
        return Err(Error::UnknownTable { kind: "node", name: name.to_owned() });
    };
    let column = state.column(*column).expect("a key is one of its table's columns");
    if *key == Value::Null {
        return Err(Error::MissingKey { table: name.to_owned(), key: column.name().to_owned() });
    }
    Ok(Node { table: id, key: cast(name, column, key)? })
}

fn cells(schema: &Schema, element: &Element, row: &ForeignRow) -> Result<Cells, Error> {
    let (_, state) = table(schema, "node or edge", &row.table)?;
    let mut cells = Cells::new();
    for (name, value) in &row.payload {
        let unknown = || Error::UnknownColumn { table: row.table.clone(), column: name.clone() };
        let (id, column) = state.resolve_column(name).ok_or_else(unknown)?;
        let value = cast(&row.table, column, value)?;
        if matches!(state.kind(), Kind::Node { key } if *key == id) {
            // Logs repeat the key among the columns.
            if !matches!(element, Element::Node(node) if node.key == value) {
                return Err(Error::ImmutableKey { table: row.table.clone(), key: name.clone() });
            }
            continue;
        }
        cells.insert(id, value);
    }
    Ok(cells)
}

fn cast(table: &str, column: &ColumnState, value: &Value) -> Result<Value, Error> {
    let expected = column.column_type();
    value.cast(expected).ok_or_else(|| Error::TypeMismatch {
        table: table.to_owned(),
        column: column.name().to_owned(),
        expected: expected.clone(),
        found: value.to_string(),
    })
}

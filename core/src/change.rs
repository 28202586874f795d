//! A change: one atomic group of operations by one replica, as it travels and as the log keeps it.
//!
//! Operations name tables and columns by id, never by name, so a rename elsewhere does not disturb them. Each change
//! carries what its author had applied ([`Seen`]), so that every receiver applies causes before effects, and the digest
//! of the author's previous change, so that two replicas that share one identity are noticed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{Lsn, Rank, Seen, Timestamp};
use crate::ddl::Ddl;
use crate::error::Error;
use crate::flat_map::FlatMap;
pub use crate::id::ChangeId;
use crate::id::{ColumnId, Digest, ReplicaId, TableId, TxId};
use crate::two_phase::are_participants;
use crate::value::Value;

/// A node of the graph: its table and its primary key, which never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    /// The node table.
    pub table: TableId,
    /// The primary key.
    pub key: Value,
}

/// An edge of the graph. Two edges of one table between the same ends differ in their discriminator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// The edge table.
    pub table: TableId,
    /// Where it starts.
    pub from: Node,
    /// Where it ends.
    pub to: Node,
    /// `""` unless given.
    pub discriminator: String,
}

/// A node or an edge: what is inserted, updated and deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// A node.
    Node(Node),
    /// An edge. Elements are many, and most are nodes: a third as large.
    Edge(Box<Edge>),
}

impl From<Edge> for Element {
    fn from(edge: Edge) -> Self {
        Element::Edge(Box::new(edge))
    }
}

impl Element {
    /// The table it is a row of.
    #[must_use]
    pub fn table(&self) -> TableId {
        match self {
            Element::Node(node) => node.table,
            Element::Edge(edge) => edge.table,
        }
    }
}

/// Property values by column; a column that is absent is not written.
pub type Cells = FlatMap<ColumnId, Value>;

/// One operation of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Makes an element and writes the given cells.
    Insert {
        /// What is made.
        element: Element,
        /// Its properties, without the primary key.
        cells: Cells,
    },
    /// Writes cells of an element its author saw.
    Update {
        /// What is updated.
        element: Element,
        /// The written properties.
        cells: Cells,
    },
    /// Adds to a number. Increments of several authors add up, whatever their order (Distributed Sync Engine, case D2.2).
    Increment {
        /// What is updated.
        element: Element,
        /// The number's column.
        column: ColumnId,
        /// How much is added, negative to subtract.
        by: Value,
    },
    /// Deletes an element. The edges of a deleted node that the author knew are deleted by operations of their own.
    Delete {
        /// What is deleted.
        element: Element,
    },
    /// Changes the schema.
    Schema(Ddl),
}

impl Op {
    /// The element it writes to; a schema operation has none.
    #[must_use]
    pub fn element(&self) -> Option<&Element> {
        match self {
            Op::Insert { element, .. }
            | Op::Update { element, .. }
            | Op::Increment { element, .. }
            | Op::Delete { element } => Some(element),
            Op::Schema(_) => None,
        }
    }
}

/// The version of a row that its writer saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowVersion {
    /// The row.
    pub element: Element,
    /// The main's number of the last change to it that the writer saw, 0 for none.
    pub lsn: Lsn,
}

/// What a change is about (DDL Integration Plan, case A1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Rows.
    Dml,
    /// The schema, and perhaps rows as well.
    Ddl,
}

impl ChangeKind {
    /// The kind's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ChangeKind::Dml => "DML",
            ChangeKind::Ddl => "DDL",
        }
    }
}

/// One atomic group of operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Who wrote it and its number there.
    pub id: ChangeId,
    /// The transaction it carries out.
    pub tx: TxId,
    /// The digest of the author's change before it, zeroes for the first.
    pub previous: Digest,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The last epoch of the main's that its author knew: see [`crate::clock::Rank`].
    pub link_epoch: u64,
    /// The authority epochs of the tables it writes to, where there are any.
    pub authority_epochs: BTreeMap<TableId, u64>,
    /// What its author had applied.
    pub seen: Seen,
    /// Further changes that must be applied before it, as its client asked.
    pub depends_on: Vec<ChangeId>,
    /// The rejected change of the same author that this one carries out anew.
    pub replaces: Option<ChangeId>,
    /// In strict mode the rows it writes to as its author saw them; else nothing (Minimal Sync Guide, case C7).
    pub expects: Vec<RowVersion>,
    /// The replicas that voted for it, its author among them, in ascending order; empty for an ordinary change. See
    /// [`crate::two_phase`].
    pub participants: Vec<ReplicaId>,
    /// What it does, in order.
    pub ops: Vec<Op>,
}

impl Change {
    /// The greatest number of operations in one change.
    pub const OPS_MAX: usize = 100_000;

    /// The digest of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value(self)
    }

    /// Whether it changes the schema.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        if self.ddls().next().is_some() { ChangeKind::Ddl } else { ChangeKind::Dml }
    }

    /// The schema operations, each with its place in the conflict order.
    pub fn ddls(&self) -> impl Iterator<Item = (Rank, &Ddl)> {
        self.ranked_ops().filter_map(|(rank, op)| match op {
            Op::Schema(ddl) => Some((rank, ddl)),
            _ => None,
        })
    }

    /// The operations, each with its place in the conflict order.
    pub fn ranked_ops(&self) -> impl Iterator<Item = (Rank, &Op)> {
        (0_u32..).zip(&self.ops).map(|(index, op)| (self.rank(index, op), op))
    }

    /// The place of operation `op`, its number `index`, in the conflict order.
    #[must_use]
    pub fn rank(&self, index: u32, op: &Op) -> Rank {
        let table = op.element().map(Element::table);
        let authority_epoch = table.and_then(|table| self.authority_epochs.get(&table)).copied().unwrap_or(0);
        let (link_epoch, timestamp) = (self.link_epoch, self.timestamp);
        Rank { authority_epoch, link_epoch, timestamp, change: self.id, index }
    }

    /// Whether replicas voted for it.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        !self.participants.is_empty()
    }

    /// Whether neither author had seen the other's change.
    #[must_use]
    pub fn is_concurrent_with(&self, other: &Change) -> bool {
        self.id != other.id && !self.seen.contains(other.id) && !other.seen.contains(self.id)
    }

    /// What a receiver can judge of a change by itself, before looking at any state.
    ///
    /// # Errors
    /// [`Error::MalformedChange`], naming the change and what is wrong with it.
    pub fn check(&self) -> Result<(), Error> {
        let malformed = |problem: &str| Err(Error::MalformedChange { change: self.id, problem: problem.to_owned() });
        if self.id.seq == 0 {
            return malformed("sequence numbers start at 1");
        }
        if self.seen.head(self.id.replica) != self.id.seq - 1 || self.seen.gaps().any(|id| !self.seen.passes(id)) {
            return malformed("an author has seen exactly its own earlier changes");
        }
        if self.ops.is_empty() || self.ops.len() > Self::OPS_MAX {
            return malformed("a change has between 1 and 100,000 operations");
        }
        if !(0..Timestamp::MAX_MS).contains(&self.timestamp.ms) {
            return malformed("its timestamp is outside the years 1970 to 9999");
        }
        if self.depends_on.contains(&self.id) {
            return malformed("it depends on itself");
        }
        if self.is_agreed() && !are_participants(&self.participants, self.id.replica) {
            return malformed("its participants are not a set with its author in it");
        }
        let is_own_earlier = |id: ChangeId| id.replica == self.id.replica && (1..self.id.seq).contains(&id.seq);
        if self.replaces.is_some_and(|id| !is_own_earlier(id)) {
            return malformed("it replaces a change that is none of its author's earlier ones");
        }
        Ok(())
    }
}

//! The state: a join of every applied change, and the view it shows.
//!
//! State is a map of registers. Joining a change is associative, commutative and idempotent over changes whose causes
//! are joined: whatever the order, each register ends at the greatest write under each [`crate::policy`]. What is shown
//! is a pure function of the registers:
//!
//! * a node is visible when its table is and its greatest insert outranks its greatest delete;
//! * a cell is visible when its row and its column are and the cell outranks the row's delete; else the column's default is;
//! * a counter shows what it was set to and every increment that its setter had not seen;
//! * an edge is visible when its own insert outranks its delete **and** both its ends are visible, so an edge that its
//!   node's deleter had not seen hides with the node and returns with it, as it does with its table and its pair of tables;
//! * of the edges that compete for a node which may have only one, the greatest is visible;
//! * a value is cast to its column's type; where the cast fails NULL is shown and the original stays.
//!
//! Two rules of a table change that. With `update_revives` any write brings a deleted row back, with all it had; a later
//! insert begins anew. With `revive` an edge keeps its ends alive against deletes that had not seen it.
//!
//! # What is numbered and what is not
//!
//! With a main, registers hold numbered changes only. What has no number yet is kept beside them, whole, and joined on
//! top each time a row is read: so a change that the main rejects is taken out again without a trace, and what it had
//! displaced is back. (Minimal Sync Guide, case C4.) Without a main nothing is ever rejected, and everything is in the
//! registers.
//!
//! A store is kept up to date by [`Delta`]: what the rows touched by some changes showed before, against what they show
//! after.

mod register;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::change::{Change, ChangeKind, Edge, Element, Node, Op};
use crate::clock::{Lsn, Rank, Seen};
use crate::ddl::{Ddl, Multiplicity, Rule, fold, same_name};
use crate::id::{ChangeId, ColumnId, TableId};
use crate::planted::{Bug, is_planted};
use crate::policy::{Place, Policy};
use crate::schema::{ColumnState, Schema, ShownTable, TableState};
use crate::snapshot::Purged;
use crate::value::{Type, Value};
use crate::view::{EdgeRef, NodeRef, Row, RowChange, SchemaStep, Table, TableKind, View, ViewDelta};
use register::{Life, Registers};

/// What was written to one row.
#[derive(Clone, Debug, Default)]
struct Record {
    registers: Registers,
    /// The number of the last change to it, 0 for none.
    version: Lsn,
    /// The operations on it that have no number yet, by change and position there.
    unnumbered: BTreeMap<(ChangeId, u32), Arc<Change>>,
}

/// The join of every applied change.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// By numbered changes.
    schema: Schema,
    /// By all changes, where that is not the same.
    shown_schema: Option<Schema>,
    /// The changes without a number that change the schema, causes before effects.
    unnumbered_ddl: Vec<Arc<Change>>,
    nodes: BTreeMap<Node, Record>,
    edges: BTreeMap<Edge, Record>,
    /// The edges that touch a node, shown or hidden.
    incident: BTreeMap<Node, BTreeSet<Edge>>,
}

/// What has to be kept so that a state stays as it is, whatever is joined to it that has seen all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remains {
    /// The changes that wrote what is there.
    pub holders: BTreeSet<ChangeId>,
    /// The numbers of the last changes to what is there.
    pub versions: BTreeSet<Lsn>,
    /// The deletes of what is gone for good, without which an older write to it would bring it back.
    pub deletes: BTreeMap<Element, Vec<ChangeId>>,
}

/// An edge that is hidden because a node may have only one, and the one it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ousted {
    /// The hidden edge, and what made it.
    pub edge: (Edge, Made),
    /// The shown one.
    pub by: (Edge, Made),
}

/// The write that made an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Where it stands.
    pub place: Place,
    /// Whether it is an insert, and not an update that brought the element back.
    pub is_insert: bool,
}

/// A value that is not shown because its column's type cannot hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miscast {
    /// The row or edge.
    pub element: Element,
    /// The column.
    pub column: ColumnId,
    /// The value that is kept.
    pub value: Value,
    /// What wrote it.
    pub rank: Rank,
    /// The type.
    pub column_type: Type,
    /// What gave the column its type.
    pub typed_by: Rank,
}

impl State {
    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.shown_schema.as_ref().unwrap_or(&self.schema)
    }

    /// The schema by numbered changes alone.
    #[must_use]
    pub fn numbered_schema(&self) -> &Schema {
        &self.schema
    }

    fn shown(&self) -> Reading<'_> {
        Reading { state: self, schema: self.schema(), is_numbered_only: false }
    }

    fn numbered(&self) -> Reading<'_> {
        Reading { state: self, schema: &self.schema, is_numbered_only: true }
    }

    /// Whether an element is shown.
    #[must_use]
    pub fn is_visible(&self, element: &Element) -> bool {
        self.shown().is_visible(element)
    }

    /// The edges touching a node that were added and not deleted, shown or hidden: what a delete of the node deletes.
    pub fn live_edges<'a>(&'a self, node: &Node) -> impl Iterator<Item = &'a Edge> {
        let shown = self.shown();
        self.incident_edges(node).filter(move |edge| shown.edge_life(edge) != Life::Gone)
    }

    /// The edges that would be shown but for an end that is not, or another edge.
    pub fn hidden_edges(&self) -> impl Iterator<Item = &Edge> {
        let shown = self.shown();
        self.edges.keys().filter(move |edge| shown.edge_life(edge) != Life::Gone && !shown.is_edge_visible(edge))
    }

    /// By numbered changes alone: the edges that others hide because a node may have only one.
    #[must_use]
    pub fn ousted(&self) -> Vec<Ousted> {
        let numbered = self.numbered();
        let limited = |edge: &&Edge| numbered.multiplicity(edge.table) != Multiplicity::ManyMany;
        let tables: BTreeSet<TableId> = self.edges.keys().filter(limited).map(|edge| edge.table).collect();
        tables.iter().flat_map(|table| numbered.contest(*table, self.edges_of(*table)).ousted).collect()
    }

    /// By numbered changes alone: the values in visible rows that their columns' types cannot hold.
    #[must_use]
    pub fn miscasts(&self) -> Vec<Miscast> {
        let numbered = self.numbered();
        let (nodes, edges) =
            (self.nodes.keys().cloned().map(Element::Node), self.edges.keys().cloned().map(Element::from));
        let shown = nodes.chain(edges).filter(|element| numbered.is_visible(element));
        shown.flat_map(|element| numbered.miscasts_of(&element)).collect()
    }

    /// The visible edge that leaves no room for `edge`, if there is one; `gone` are not counted.
    #[must_use]
    pub fn in_the_way_of<'a>(
        &'a self,
        edge: &'a Edge,
        multiplicity: Multiplicity,
        gone: &BTreeSet<Element>,
    ) -> Option<&'a Edge> {
        let shown = self.shown();
        self.competitors(edge, multiplicity)
            .filter(|other| *other != edge && !gone.contains(&Element::from((*other).clone())))
            .find(|other| shown.is_edge_visible(other))
    }

    /// Whether anything was ever written to a row.
    #[must_use]
    pub fn is_known(&self, element: &Element) -> bool {
        match element {
            Element::Node(node) => self.nodes.contains_key(node),
            Element::Edge(edge) => self.edges.contains_key(edge),
        }
    }

    /// The main's number of the last numbered change to a row, 0 for none.
    #[must_use]
    pub fn version(&self, element: &Element) -> Lsn {
        let record = match element {
            Element::Node(node) => self.nodes.get(node),
            Element::Edge(edge) => self.edges.get(edge),
        };
        record.map_or(0, |record| record.version)
    }

    /// What a cell shows, or would if its row were visible: what was written before a row's delete is gone with it, and
    /// what outranks the delete comes back with the row.
    #[must_use]
    pub fn held_value(&self, element: &Element, column: ColumnId) -> Option<Value> {
        let shown = self.shown();
        if let Some(mut row) = shown.row(element) {
            return row.remove(shown.schema.table(element.table())?.column(column)?.name());
        }
        let (table, registers) = shown.registers_of(element)?;
        registers.held(table, column)
    }

    /// A delete of a row of which `seen` does not know.
    #[must_use]
    pub fn unseen_delete(&self, element: &Element, seen: &Seen) -> Option<ChangeId> {
        self.shown().registers_of(element)?.1.unseen_delete(seen)
    }

    /// A write to a cell of which `seen` does not know.
    #[must_use]
    pub fn unseen_write(&self, element: &Element, column: ColumnId, seen: &Seen) -> Option<ChangeId> {
        self.shown().registers_of(element)?.1.unseen_write(column, seen)
    }

    /// Every row of a table that anything was written to, visible or not.
    pub fn elements(&self, table: TableId) -> impl Iterator<Item = Element> {
        let nodes = self.nodes.keys().filter(move |node| node.table == table).cloned().map(Element::Node);
        nodes.chain(self.edges_of(table).cloned().map(Element::from))
    }

    fn revives(&self, table: TableId) -> bool {
        self.schema().table(table).is_some_and(TableState::revive)
    }

    fn incident_edges(&self, node: &Node) -> impl Iterator<Item = &Edge> {
        self.incident.get(node).into_iter().flatten()
    }

    fn edges_of(&self, table: TableId) -> impl Iterator<Item = &Edge> {
        self.edges.keys().filter(move |edge| edge.table == table)
    }

    /// The edges with which `edge` competes for a node that may have only one.
    fn competitors<'a>(&'a self, edge: &'a Edge, multiplicity: Multiplicity) -> impl Iterator<Item = &'a Edge> {
        let starts = multiplicity.limits_starts().then(|| self.incident_edges(&edge.from)).into_iter().flatten();
        let ends = multiplicity.limits_ends().then(|| self.incident_edges(&edge.to)).into_iter().flatten();
        let starts = starts.filter(|other| other.from == edge.from);
        let ends = ends.filter(|other| other.to == edge.to);
        starts.chain(ends).filter(|other| other.table == edge.table)
    }

    // ---- joining ----

    /// Joins a change for good. Its causes must have been joined before.
    pub fn join(&mut self, change: &Arc<Change>, lsn: Lsn) {
        self.schema.join_change(change);
        for (rank, op) in change.ranked_ops() {
            if let Some(element) = op.element() {
                if is_planted(Bug::DuplicateCheckPerRow) && rank.index > 0 {
                    break;
                }
                if is_planted(Bug::EdgesRemovedOnArrival) && matches!(op, Op::Delete { .. }) {
                    self.delete_incident_edges(element, Place { rank, lsn }, change, op);
                }
                let policy = self.schema.table(element.table()).map_or(Policy::Auto, TableState::policy);
                let record = self.record(element);
                record.registers.join(Place { rank, lsn }, change, op, policy);
                record.version = record.version.max(lsn);
            }
        }
        self.settle_schema();
    }

    /// What only a planted bug does.
    fn delete_incident_edges(&mut self, element: &Element, place: Place, change: &Arc<Change>, op: &Op) {
        let Element::Node(node) = element else { return };
        let edges: Vec<Edge> = self.incident_edges(node).cloned().collect();
        for edge in edges {
            self.record(&Element::from(edge)).registers.join(place, change, op, Policy::Auto);
        }
    }

    /// What only a planted bug does.
    pub(crate) fn count_schema_twice(&mut self) {
        self.schema.count_twice();
        self.settle_schema();
    }

    /// Joins a change that has no number yet, on top of all that have.
    pub(crate) fn join_unnumbered(&mut self, change: &Arc<Change>) {
        for (index, op) in (0..).zip(&change.ops) {
            if let Some(element) = op.element() {
                self.record(element).unnumbered.insert((change.id, index), Arc::clone(change));
            }
        }
        if change.kind() == ChangeKind::Ddl {
            self.unnumbered_ddl.push(Arc::clone(change));
            self.settle_schema();
        }
    }

    /// Takes a change out that has no number.
    fn retract(&mut self, change: &Change) {
        self.unnumbered_ddl.retain(|unnumbered| unnumbered.id != change.id);
        for (index, op) in (0..).zip(&change.ops) {
            let Some(element) = op.element() else { continue };
            self.record(element).unnumbered.remove(&(change.id, index));
            if is_planted(Bug::RollbackDeletesNode) && matches!(op, Op::Update { .. }) {
                self.record(element).registers = Registers::default();
            }
        }
        self.settle_schema();
    }

    fn settle_schema(&mut self) {
        if self.unnumbered_ddl.is_empty() {
            self.shown_schema = None;
            return;
        }
        let mut shown = self.schema.clone();
        for change in &self.unnumbered_ddl {
            shown.join_change(change);
        }
        self.shown_schema = Some(shown);
    }

    fn record(&mut self, element: &Element) -> &mut Record {
        match element {
            Element::Node(node) => self.nodes.entry(node.clone()).or_default(),
            Element::Edge(edge) => {
                for end in [&edge.from, &edge.to] {
                    self.incident.entry(end.clone()).or_default().insert(Edge::clone(edge));
                }
                self.edges.entry(Edge::clone(edge)).or_default()
            }
        }
    }

    /// The tables in which a deleted row can come back with all it had.
    pub(crate) fn reviving(&self) -> BTreeSet<TableId> {
        self.schema.reviving()
    }

    /// What compaction has to keep, where these tables and columns are gone for good, and deleted rows of those tables can
    /// come back: see [`crate::compaction`].
    pub(crate) fn remains(&self, purged: &BTreeSet<Purged>, reviving: &BTreeSet<TableId>) -> Remains {
        let is_purged = |table, column| purged.contains(&Purged { table, column });
        let is_dead = |table: TableId, record: &Record| !reviving.contains(&table) && record.registers.is_dead();
        let live_edges: BTreeSet<&Edge> =
            self.edges.iter().filter(|(edge, record)| !is_dead(edge.table, record)).map(|(edge, _)| edge).collect();
        let edges =
            self.edges.iter().map(|(edge, record)| (Element::from(edge.clone()), record, !live_edges.contains(edge)));
        let nodes = self.nodes.iter().map(|(node, record)| {
            let has_edges = self.incident_edges(node).any(|edge| live_edges.contains(edge));
            (Element::Node(node.clone()), record, is_dead(node.table, record) && !has_edges)
        });
        let mut remains = Remains::default();
        for (element, record, is_dead) in nodes.chain(edges).filter(|(element, ..)| !is_purged(element.table(), None)) {
            if is_dead {
                remains.deletes.insert(element, record.registers.deletes().collect());
            } else {
                let table = element.table();
                remains.holders.extend(record.registers.holders(|column| is_purged(table, Some(column))));
                remains.versions.insert(record.version);
            }
        }
        remains
    }

    /// What was written so far to these tables and columns counts no longer.
    pub(crate) fn forget(&mut self, purged: &BTreeSet<Purged>) {
        let is_left = |table: TableId| !purged.contains(&Purged { table, column: None });
        self.nodes.retain(|node, _| is_left(node.table));
        self.edges.retain(|edge, _| is_left(edge.table));
        self.incident.values_mut().for_each(|edges| edges.retain(|edge| is_left(edge.table)));
        let nodes = self.nodes.iter_mut().map(|(node, record)| (node.table, record));
        let edges = self.edges.iter_mut().map(|(edge, record)| (edge.table, record));
        for (table, record) in nodes.chain(edges) {
            let of_table = purged.range(Purged { table, column: None }..).take_while(|purged| purged.table == table);
            of_table.filter_map(|purged| purged.column).for_each(|column| record.registers.forget(column));
        }
    }

    /// Nothing brings these tables and columns back any more.
    pub(crate) fn purge(&mut self, purged: &BTreeSet<Purged>) {
        self.schema.purge(purged);
        self.settle_schema();
    }

    // ---- the view ----

    /// The whole graph as it is shown.
    #[must_use]
    pub fn view(&self) -> View {
        let shown = self.shown();
        let mut view = View::default();
        for ShownTable { name, table, .. } in shown.schema.shown_tables().into_values() {
            match table.kind {
                TableKind::Node { .. } => drop(view.nodes.insert(name.clone(), BTreeMap::new())),
                TableKind::Edge { .. } => drop(view.edges.insert(name.clone(), BTreeMap::new())),
            }
            view.tables.insert(name, table);
        }
        for node in self.nodes.keys() {
            let Some(row) = shown.node_row(node) else { continue };
            let rows = view.nodes.entry(shown.schema.shown_name(node.table).to_owned()).or_default();
            rows.insert(node.key.clone(), row);
        }
        let mut contests = BTreeMap::new();
        for edge in self.edges.keys() {
            let is_shown = match shown.multiplicity(edge.table) {
                Multiplicity::ManyMany => shown.has_ends(edge),
                _ => {
                    let contest = || shown.contest(edge.table, self.edges_of(edge.table)).shown;
                    contests.entry(edge.table).or_insert_with(contest).contains(edge)
                }
            };
            if let Some(row) = shown.edge_row(edge).filter(|_| is_shown) {
                let rows = view.edges.entry(shown.schema.shown_name(edge.table).to_owned()).or_default();
                rows.insert(shown.edge_ref(edge), row);
            }
        }
        view
    }

    /// An element as people read it.
    #[must_use]
    pub fn describe(&self, element: &Element) -> String {
        use crate::view::Describe;
        let shown = self.shown();
        match element {
            Element::Node(node) => shown.node_ref(node).describe(),
            Element::Edge(edge) => {
                format!("{}: {}", shown.schema.shown_name(edge.table), shown.edge_ref(edge).describe())
            }
        }
    }
}

/// A way to read the state: with or without what has no number.
#[derive(Clone, Copy)]
struct Reading<'a> {
    state: &'a State,
    schema: &'a Schema,
    is_numbered_only: bool,
}

/// Who shows among edges of which a node may have only one.
#[derive(Default)]
struct Contest {
    shown: BTreeSet<Edge>,
    ousted: Vec<Ousted>,
}

impl<'a> Reading<'a> {
    fn registers(self, record: &'a Record) -> Cow<'a, Registers> {
        if self.is_numbered_only || record.unnumbered.is_empty() {
            return Cow::Borrowed(&record.registers);
        }
        let mut registers = record.registers.clone();
        for ((_, index), change) in &record.unnumbered {
            let op = &change.ops[*index as usize];
            let place = Place { rank: change.rank(*index, op), lsn: Place::UNNUMBERED };
            let policy = op.element().and_then(|element| self.schema.table(element.table()));
            registers.join(place, change, op, policy.map_or(Policy::Auto, TableState::policy));
        }
        Cow::Owned(registers)
    }

    fn node_registers(self, node: &Node) -> Option<(&'a TableState, Cow<'a, Registers>)> {
        Some((self.schema.table(node.table)?, self.registers(self.state.nodes.get(node)?)))
    }

    fn edge_registers(self, edge: &Edge) -> Option<(&'a TableState, Cow<'a, Registers>)> {
        Some((self.schema.table(edge.table)?, self.registers(self.state.edges.get(edge)?)))
    }

    fn registers_of(self, element: &Element) -> Option<(&'a TableState, Cow<'a, Registers>)> {
        match element {
            Element::Node(node) => self.node_registers(node),
            Element::Edge(edge) => self.edge_registers(edge),
        }
    }

    fn edge_life(self, edge: &Edge) -> Life {
        self.edge_registers(edge).map_or(Life::Gone, |(table, registers)| registers.life(table))
    }

    fn multiplicity(self, table: TableId) -> Multiplicity {
        self.schema.table(table).map_or(Multiplicity::ManyMany, TableState::multiplicity)
    }

    fn node_life(self, node: &Node) -> Life {
        let Some((table, registers)) = self.node_registers(node).filter(|(table, _)| table.is_live()) else {
            return Life::Gone;
        };
        match registers.life(table) {
            Life::Gone if self.is_kept_alive(node, table, &registers) => Life::Revived,
            life => life,
        }
    }

    /// Whether an edge that the node's deleter had not seen keeps it alive.
    fn is_kept_alive(self, node: &Node, table: &TableState, registers: &Registers) -> bool {
        let Some(delete) = registers.deleted(table.policy()) else { return false };
        self.state.incident_edges(node).any(|edge| {
            let revives = |table: &TableState| table.revive() && self.has_pair(edge);
            let Some((table, registers)) = self.edge_registers(edge).filter(|(table, _)| revives(table)) else {
                return false;
            };
            let is_unseen = |(_, change): (Place, &Arc<Change>)| {
                change.id != delete.change.id && !delete.change.seen.contains(change.id)
            };
            registers.made(table).is_some_and(is_unseen)
        })
    }

    fn is_visible(self, element: &Element) -> bool {
        match element {
            Element::Node(node) => self.node_life(node) != Life::Gone,
            Element::Edge(edge) => self.is_edge_visible(edge),
        }
    }

    fn has_pair(self, edge: &Edge) -> bool {
        self.schema.shows_pair(edge.table, edge.from.table, edge.to.table)
    }

    fn has_ends(self, edge: &Edge) -> bool {
        self.has_pair(edge) && self.node_life(&edge.from) != Life::Gone && self.node_life(&edge.to) != Life::Gone
    }

    fn is_edge_visible(self, edge: &Edge) -> bool {
        if self.edge_life(edge) == Life::Gone || !self.has_ends(edge) {
            return false;
        }
        match self.multiplicity(edge.table) {
            Multiplicity::ManyMany => true,
            multiplicity => {
                let rivals = self.state.rivals(edge, multiplicity);
                self.contest(edge.table, rivals.iter()).shown.contains(edge)
            }
        }
    }

    /// Lets edges of one table compete: in descending order each shows whose nodes are not taken.
    fn contest<'e>(self, table: TableId, edges: impl Iterator<Item = &'e Edge>) -> Contest {
        let (multiplicity, policy) = (self.multiplicity(table), self.policy(table));
        let made = |edge: &'e Edge| {
            let (table, registers) = self.edge_registers(edge)?;
            let (place, _) = registers.made(table)?;
            let is_insert = registers.life(table) == Life::Inserted;
            self.has_ends(edge).then_some((Made { place, is_insert }, edge))
        };
        let mut competing: Vec<(Made, &Edge)> = edges.filter_map(made).collect();
        let compare = |one: &Made, other: &Made| policy.compare(&one.place, &other.place);
        competing.sort_by(|one, other| compare(&other.0, &one.0));
        let mut starts: BTreeMap<&Node, (Made, &Edge)> = BTreeMap::new();
        let mut ends: BTreeMap<&Node, (Made, &Edge)> = BTreeMap::new();
        let mut contest = Contest::default();
        for (made, edge) in competing {
            let by_start = starts.get(&edge.from).copied().filter(|_| multiplicity.limits_starts());
            let by_end = ends.get(&edge.to).copied().filter(|_| multiplicity.limits_ends());
            let by = by_start.into_iter().chain(by_end).max_by(|one, other| compare(&one.0, &other.0));
            match by {
                Some((by_made, by)) => {
                    let (edge, by) = ((edge.clone(), made), (by.clone(), by_made));
                    contest.ousted.push(Ousted { edge, by });
                }
                None => {
                    starts.insert(&edge.from, (made, edge));
                    ends.insert(&edge.to, (made, edge));
                    contest.shown.insert(edge.clone());
                }
            }
        }
        contest
    }

    fn policy(self, table: TableId) -> Policy {
        self.schema.table(table).map_or(Policy::Auto, TableState::policy)
    }

    /// What an element shows, `None` if it is not visible.
    fn row(self, element: &Element) -> Option<Row> {
        match element {
            Element::Node(node) => self.node_row(node),
            Element::Edge(edge) => self.edge_row(edge).filter(|_| self.is_edge_visible(edge)),
        }
    }

    fn node_row(self, node: &Node) -> Option<Row> {
        let (table, registers) = self.node_registers(node)?;
        match self.node_life(node) {
            Life::Gone => None,
            life => Some(named_row(table, &registers, life)),
        }
    }

    /// What an edge would show if it was visible.
    fn edge_row(self, edge: &Edge) -> Option<Row> {
        let (table, registers) = self.edge_registers(edge)?;
        match registers.life(table) {
            Life::Gone => None,
            life => Some(named_row(table, &registers, life)),
        }
    }

    fn miscasts_of(self, element: &Element) -> Vec<Miscast> {
        let Some((table, registers)) = self.registers_of(element) else { return Vec::new() };
        let life = match element {
            Element::Node(node) => self.node_life(node),
            Element::Edge(edge) => self.edge_life(edge),
        };
        let miscast = |(column, state): (ColumnId, &ColumnState)| {
            let column_type = state.column_type().clone();
            let (rank, value) = registers.kept_value(table, column, life == Life::Revived)?;
            let typed_by = state.typed_by().filter(|_| value.cast(&column_type).is_none())?;
            Some(Miscast { element: element.clone(), column, value: value.clone(), rank, column_type, typed_by })
        };
        table.columns().filter_map(miscast).collect()
    }

    fn node_ref(self, node: &Node) -> NodeRef {
        NodeRef { table: self.schema.shown_name(node.table).to_owned(), key: node.key.clone() }
    }

    fn edge_ref(self, edge: &Edge) -> EdgeRef {
        let (from, to) = (self.node_ref(&edge.from), self.node_ref(&edge.to));
        EdgeRef { from, to, discriminator: edge.discriminator.clone() }
    }
}

fn named_row(table: &TableState, registers: &Registers, life: Life) -> Row {
    let named = |(column, value): (&ColumnState, Option<Value>)| Some((column.name().to_owned(), value?));
    registers.shown(table, life == Life::Revived).filter_map(named).collect()
}

impl State {
    /// All edges that decide together which of them show: the competitors, theirs, and so on.
    fn rivals(&self, edge: &Edge, multiplicity: Multiplicity) -> BTreeSet<Edge> {
        let mut rivals = BTreeSet::from([edge.clone()]);
        let mut next = vec![edge.clone()];
        while let Some(edge) = next.pop() {
            for other in self.competitors(&edge, multiplicity) {
                if rivals.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        rivals
    }
}

/// Watches what some changes do to the view.
///
/// Every change is joined through it; [`Delta::finish`] then tells the difference of the two views. It costs in proportion
/// to what the changes touch, not to the graph.
#[derive(Debug, Default)]
pub struct Delta {
    tables_before: Option<BTreeMap<TableId, ShownTable>>,
    rows_before: BTreeMap<Element, Option<Row>>,
}

impl Delta {
    /// Joins a change for good, and remembers what the rows it may alter showed before.
    pub fn join(&mut self, state: &mut State, change: &Arc<Change>, lsn: Lsn) {
        self.remember_change(state, change);
        state.join(change, lsn);
    }

    /// Joins a change that has no number yet.
    pub fn join_unnumbered(&mut self, state: &mut State, change: &Arc<Change>) {
        self.remember_change(state, change);
        state.join_unnumbered(change);
    }

    /// A change that was joined without a number has one. Only the main's order looks at it.
    pub fn number(&mut self, state: &mut State, change: &Arc<Change>, lsn: Lsn) {
        let by_number = |element: &&Element| {
            let table = state.schema().table(element.table());
            table.is_some_and(TableState::has_server_order)
        };
        let altered: Vec<&Element> = change.ops.iter().filter_map(Op::element).filter(by_number).collect();
        altered.into_iter().for_each(|element| self.remember(state, element));
        if !is_planted(Bug::OwnPatchTwice) {
            state.retract(change);
        }
        state.join(change, lsn);
    }

    /// Takes a change out that was joined without a number.
    pub fn retract(&mut self, state: &mut State, change: &Change) {
        self.remember_change(state, change);
        state.retract(change);
    }

    fn remember_change(&mut self, state: &State, change: &Change) {
        let mut altered_tables = BTreeSet::new();
        for op in &change.ops {
            match op {
                Op::Schema(ddl) => {
                    self.tables_before.get_or_insert_with(|| state.schema().shown_tables());
                    altered_tables.insert(ddl.table_id());
                    if matches!(ddl, Ddl::SetRule { rule: Rule::Revive(_), .. }) {
                        state.edges_of(ddl.table_id()).for_each(|edge| self.remember_ends(state, edge));
                    }
                }
                Op::Insert { element, .. }
                | Op::Update { element, .. }
                | Op::Increment { element, .. }
                | Op::Delete { element } => self.remember(state, element),
            }
        }
        if !altered_tables.is_empty() {
            let is_altered = |table: TableId| altered_tables.contains(&table);
            state.nodes.keys().filter(|node| is_altered(node.table)).for_each(|node| self.remember_node(state, node));
            let touches = |edge: &&Edge| [edge.table, edge.from.table, edge.to.table].into_iter().any(is_altered);
            state.edges.keys().filter(touches).for_each(|edge| self.remember(state, &Element::from(edge.clone())));
        }
    }

    fn remember(&mut self, state: &State, element: &Element) {
        match element {
            Element::Node(node) => self.remember_node(state, node),
            Element::Edge(edge) => {
                self.remember_edge(state, edge);
                if state.revives(edge.table) {
                    self.remember_ends(state, edge);
                }
            }
        }
    }

    /// An edge may decide whether its ends are there.
    fn remember_ends(&mut self, state: &State, edge: &Edge) {
        self.remember_node(state, &edge.from);
        self.remember_node(state, &edge.to);
    }

    /// A node's visibility decides that of its edges.
    fn remember_node(&mut self, state: &State, node: &Node) {
        for edge in state.incident_edges(node) {
            self.remember_edge(state, edge);
        }
        self.remember_row(state, Element::Node(node.clone()));
    }

    /// An edge's visibility may decide that of others.
    fn remember_edge(&mut self, state: &State, edge: &Edge) {
        match state.shown().multiplicity(edge.table) {
            Multiplicity::ManyMany => self.remember_row(state, Element::from(edge.clone())),
            multiplicity => {
                for edge in state.rivals(edge, multiplicity) {
                    self.remember_row(state, Element::from(edge));
                }
            }
        }
    }

    fn remember_row(&mut self, state: &State, element: Element) {
        if let Entry::Vacant(place) = self.rows_before.entry(element) {
            let row = state.shown().row(place.key());
            place.insert(row);
        }
    }

    /// What changed in the view.
    #[must_use]
    pub fn finish(self, state: &State) -> ViewDelta {
        let shown = state.shown();
        let mut delta = ViewDelta::default();
        let mut rows_before = self.rows_before;
        if let Some(before) = self.tables_before {
            let after = shown.schema.shown_tables();
            let remade = remade(&before, &after);
            delta.schema = schema_steps(&before, &after, &remade);
            // Their rows went with them; those that stay come back.
            rows_before.retain(|element, _| !remade.contains(&element.table()));
            for (element, row) in &mut rows_before {
                let id = element.table();
                if let (Some(row), Some(before), Some(after)) = (row, before.get(&id), after.get(&id)) {
                    *row = altered_row(std::mem::take(row), before, after);
                }
            }
            let nodes = state.nodes.keys().cloned().map(Element::Node);
            let edges = state.edges.keys().cloned().map(Element::from);
            let lost = nodes.chain(edges).filter(|element| remade.contains(&element.table()));
            rows_before.extend(lost.map(|element| (element, None)));
        }
        for (element, before) in rows_before {
            let change = match (before, shown.row(&element)) {
                (None, Some(row)) => RowChange::Create(row),
                (Some(_), None) => RowChange::Delete,
                (Some(before), Some(after)) if before != after => RowChange::Update(after),
                _ => continue,
            };
            let table = shown.schema.shown_name(element.table()).to_owned();
            match element {
                Element::Node(node) => drop(delta.nodes.entry(table).or_default().insert(node.key, change)),
                Element::Edge(edge) => {
                    drop(delta.edges.entry(table).or_default().insert(shown.edge_ref(&edge), change));
                }
            }
        }
        delta
    }
}

/// What is left of a row when its table's columns have been dropped, renamed and retyped.
fn altered_row(mut row: Row, before: &ShownTable, after: &ShownTable) -> Row {
    let kept = |(id, (old, old_type)): (&ColumnId, &(String, Type))| {
        let (new, _) = after.columns.get(id).filter(|(_, new_type)| new_type == old_type)?;
        Some((new.clone(), row.remove(old)?))
    };
    before.columns.iter().filter_map(kept).collect()
}

/// The tables that a store must drop: those that are gone, and those that lost a pair, with the edge tables that touch
/// them.
fn remade(before: &BTreeMap<TableId, ShownTable>, after: &BTreeMap<TableId, ShownTable>) -> BTreeSet<TableId> {
    let lost =
        |(id, table): &(&TableId, &ShownTable)| after.get(*id).is_none_or(|now| !table.pairs.is_subset(&now.pairs));
    let mut remade: BTreeSet<TableId> = before.iter().filter(lost).map(|(id, _)| *id).collect();
    let touches_lost =
        |table: &ShownTable| table.pairs.iter().any(|(from, to)| remade.contains(from) || remade.contains(to));
    let touching: Vec<TableId> = before.iter().filter(|(_, table)| touches_lost(table)).map(|(id, _)| *id).collect();
    remade.extend(touching);
    remade
}

/// The steps from one schema to the next, with the tables in `remade` dropped first: edge tables before the node tables
/// they touch. The others lose and win names, then new ones appear, node tables first; last each loses columns, renames
/// them, and gains columns, types and pairs.
fn schema_steps(
    before: &BTreeMap<TableId, ShownTable>,
    after: &BTreeMap<TableId, ShownTable>,
    remade: &BTreeSet<TableId>,
) -> Vec<SchemaStep> {
    let is_node_table = |table: &Table| matches!(table.kind, TableKind::Node { .. });
    let mut dropped: Vec<&ShownTable> = remade.iter().map(|id| &before[id]).collect();
    dropped.sort_by_key(|shown| is_node_table(&shown.table));
    let mut steps: Vec<SchemaStep> =
        dropped.into_iter().map(|shown| SchemaStep::DropTable { name: shown.name.clone() }).collect();
    let kept: Vec<(&TableId, &ShownTable, &ShownTable)> = after
        .iter()
        .filter_map(|(id, now)| Some((id, before.get(id).filter(|_| !remade.contains(id))?, now)))
        .collect();
    let names = kept.iter().map(|(id, old, now)| Renamed::new(&old.name, &now.name, id.short())).collect();
    steps.extend(renames(names).into_iter().map(|(from, to)| SchemaStep::RenameTable { from, to }));
    let is_new = |(id, _): &(&TableId, &ShownTable)| !before.contains_key(*id) || remade.contains(*id);
    let mut created: Vec<&ShownTable> = after.iter().filter(is_new).map(|(_, shown)| shown).collect();
    created.sort_by_key(|shown| !is_node_table(&shown.table));
    let create = |shown: &ShownTable| SchemaStep::CreateTable { name: shown.name.clone(), table: shown.table.clone() };
    steps.extend(created.into_iter().map(create));
    for (_, old, now) in kept {
        column_steps(old, now, &mut steps);
        let name = |id: &TableId| after[id].name.clone();
        let add = |(from, to): &(TableId, TableId)| {
            let (table, from, to) = (now.name.clone(), name(from), name(to));
            SchemaStep::AddPair { table, from, to }
        };
        steps.extend(now.pairs.difference(&old.pairs).map(add));
    }
    steps
}

/// The steps between the columns of a table.
fn column_steps(old: &ShownTable, now: &ShownTable, steps: &mut Vec<SchemaStep>) {
    let table = || now.name.clone();
    let gone = old.columns.iter().filter(|(id, _)| !now.columns.contains_key(id));
    steps.extend(gone.map(|(_, (column, _))| SchemaStep::DropColumn { table: table(), column: column.clone() }));
    let kept = || now.columns.iter().filter_map(|(id, now)| Some((id, old.columns.get(id)?, now)));
    let names = kept().map(|(id, (old, _), (now, _))| Renamed::new(old, now, id.short())).collect();
    steps.extend(renames(names).into_iter().map(|(from, to)| SchemaStep::RenameColumn { table: table(), from, to }));
    for (_, _, (column, column_type)) in kept().filter(|(_, old, now)| old.1 != now.1) {
        let (table, column, column_type) = (table(), column.clone(), column_type.clone());
        steps.push(SchemaStep::RetypeColumn { table, column, column_type });
    }
    for (_, (column, column_type)) in now.columns.iter().filter(|(id, _)| !old.columns.contains_key(id)) {
        let (table, column, column_type) = (table(), column.clone(), column_type.clone());
        steps.push(SchemaStep::AddColumn { table, column, column_type });
    }
}

/// What is called differently than before.
struct Renamed {
    from: String,
    to: String,
    /// What nobody else is called.
    between: String,
}

impl Renamed {
    fn new(from: &str, to: &str, short: String) -> Self {
        Renamed { from: from.to_owned(), to: to.to_owned(), between: format!("~{short}") }
    }
}

/// The order in which names can change so that no two things have one at a time. Where names go round in a circle, one
/// of them makes room under a name of its own.
fn renames(all: Vec<Renamed>) -> Vec<(String, String)> {
    let mut taken: BTreeSet<String> = all.iter().map(|renamed| fold(&renamed.from)).collect();
    let mut waiting: Vec<Renamed> = all.into_iter().filter(|renamed| renamed.from != renamed.to).collect();
    let mut steps = Vec::new();
    while !waiting.is_empty() {
        let is_free = |renamed: &Renamed| same_name(&renamed.from, &renamed.to) || !taken.contains(&fold(&renamed.to));
        match waiting.iter().position(is_free) {
            Some(place) => {
                let Renamed { from, to, .. } = waiting.remove(place);
                taken.remove(&fold(&from));
                taken.insert(fold(&to));
                steps.push((from, to));
            }
            None => {
                let first = &mut waiting[0];
                let from = std::mem::replace(&mut first.from, first.between.clone());
                taken.remove(&fold(&from));
                steps.push((from, first.between.clone()));
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_in_an_order_in_which_no_two_have_one() {
        let renamed = |from: &str, to: &str| Renamed::new(from, to, from.to_owned());
        let swapped = renames(vec![renamed("a", "b"), renamed("b", "A"), renamed("c", "c"), renamed("D", "d")]);
        let as_text: Vec<String> = swapped.iter().map(|(from, to)| format!("{from}>{to}")).collect();
        assert_eq!(as_text, ["D>d", "a>~a", "b>A", "~a>b"]);
        let chain = renames(vec![renamed("a", "b"), renamed("b", "c")]);
        assert_eq!(chain, [("b".to_owned(), "c".to_owned()), ("a".to_owned(), "b".to_owned())]);
    }
}

//! The state: a join of every applied change, and the view it shows.
//!
//! State is a map of registers. Applying a change is associative, commutative and idempotent over changes whose causes
//! are applied: whatever the order, each register ends at the greatest write by [`Rank`]. What is shown is a pure
//! function of the registers:
//!
//! * a node is visible when its greatest insert outranks its greatest delete;
//! * a cell is visible when its row is and the cell outranks the row's delete;
//! * an edge is visible when its own insert outranks its delete **and** both its ends are visible, so an edge that its
//!   node's deleter had not seen hides with the node and returns with it;
//! * a value is cast to its column's type; where the cast fails NULL is shown and the original stays.
//!
//! A store is kept up to date by [`Delta`]: what the rows touched by some changes showed before, against what they show
//! after.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Cells, Change, Edge, Element, Node, Op};
use crate::clock::Rank;
use crate::ddl::same_name;
use crate::id::{ColumnId, TableId};
use crate::planted::{Bug, is_planted};
use crate::schema::Schema;
use crate::value::Value;
use crate::view::{EdgeRef, NodeRef, Row, RowChange, SchemaStep, Table, TableKind, View, ViewDelta};

/// What was written to one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Registers {
    insert: Option<Rank>,
    delete: Option<Rank>,
    cells: BTreeMap<ColumnId, (Rank, Value)>,
}

impl Registers {
    fn is_alive(&self) -> bool {
        self.insert.is_some() && self.insert > self.delete
    }

    fn write(&mut self, rank: Rank, cells: &Cells) {
        for (column, value) in cells {
            let current = self.cells.get(column);
            if current.is_none_or(|current| rank > current.0 || is_planted(Bug::ArrivalOrder)) {
                self.cells.insert(*column, (rank, value.clone()));
            }
        }
    }
}

/// The join of every applied change.
#[derive(Clone, Debug, Default)]
pub struct State {
    schema: Schema,
    nodes: BTreeMap<Node, Registers>,
    edges: BTreeMap<Edge, Registers>,
    /// The edges that touch a node, shown or hidden.
    incident: BTreeMap<Node, BTreeSet<Edge>>,
}

impl State {
    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether an element is shown.
    #[must_use]
    pub fn is_visible(&self, element: &Element) -> bool {
        match element {
            Element::Node(node) => self.is_node_visible(node),
            Element::Edge(edge) => self.is_edge_visible(edge),
        }
    }

    fn is_node_visible(&self, node: &Node) -> bool {
        self.nodes.get(node).is_some_and(Registers::is_alive)
    }

    fn is_edge_visible(&self, edge: &Edge) -> bool {
        self.edges.get(edge).is_some_and(Registers::is_alive)
            && self.is_node_visible(&edge.from)
            && self.is_node_visible(&edge.to)
    }

    /// The edges touching a node that were added and not deleted, shown or hidden: what a delete of the node deletes.
    pub fn live_edges<'a>(&'a self, node: &Node) -> impl Iterator<Item = &'a Edge> {
        let incident = self.incident.get(node).into_iter().flatten();
        incident.filter(|edge| self.edges.get(*edge).is_some_and(Registers::is_alive))
    }

    /// The edges that would be shown but for an end that is not.
    pub fn hidden_edges(&self) -> impl Iterator<Item = &Edge> {
        let alive = self.edges.iter().filter(|(_, registers)| registers.is_alive());
        alive.map(|(edge, _)| edge).filter(|edge| !self.is_edge_visible(edge))
    }

    /// Joins a change. Its causes must have been joined before.
    pub fn join(&mut self, change: &Change) {
        for (rank, op) in change.ranked_ops() {
            self.join_op(rank, op);
        }
    }

    fn join_op(&mut self, rank: Rank, op: &Op) {
        match op {
            Op::Schema(ddl) => self.schema.join(rank, ddl),
            Op::Insert { element, cells } => {
                let registers = self.registers(element);
                registers.insert = registers.insert.max(Some(rank));
                registers.write(rank, cells);
            }
            Op::Update { element, cells } => self.registers(element).write(rank, cells),
            Op::Delete { element } => {
                let registers = self.registers(element);
                registers.delete = registers.delete.max(Some(rank));
            }
        }
    }

    fn registers(&mut self, element: &Element) -> &mut Registers {
        match element {
            Element::Node(node) => self.nodes.entry(node.clone()).or_default(),
            Element::Edge(edge) => {
                for end in [&edge.from, &edge.to] {
                    self.incident.entry(end.clone()).or_default().insert(edge.clone());
                }
                self.edges.entry(edge.clone()).or_default()
            }
        }
    }

    /// The whole graph as it is shown.
    #[must_use]
    pub fn view(&self) -> View {
        let mut view = View::default();
        for (name, table) in self.schema.shown_tables().into_values() {
            match table.kind {
                TableKind::Node { .. } => drop(view.nodes.insert(name.clone(), BTreeMap::new())),
                TableKind::Edge { .. } => drop(view.edges.insert(name.clone(), BTreeMap::new())),
            }
            view.tables.insert(name, table);
        }
        for (node, registers) in self.nodes.iter().filter(|(node, _)| self.is_node_visible(node)) {
            let rows = view.nodes.entry(self.schema.shown_name(node.table).to_owned()).or_default();
            rows.insert(node.key.clone(), self.row(node.table, registers));
        }
        for (edge, registers) in self.edges.iter().filter(|(edge, _)| self.is_edge_visible(edge)) {
            let rows = view.edges.entry(self.schema.shown_name(edge.table).to_owned()).or_default();
            rows.insert(self.edge_ref(edge), self.row(edge.table, registers));
        }
        view
    }

    /// What an element shows, `None` if it is not visible.
    fn shown_row(&self, element: &Element) -> Option<Row> {
        if !self.is_visible(element) {
            return None;
        }
        let registers = match element {
            Element::Node(node) => self.nodes.get(node),
            Element::Edge(edge) => self.edges.get(edge),
        };
        registers.map(|registers| self.row(element.table(), registers))
    }

    fn row(&self, table: TableId, registers: &Registers) -> Row {
        let Some(table) = self.schema.table(table) else { return Row::new() };
        let shown = |(id, (rank, value)): (&ColumnId, &(Rank, Value))| {
            let column = table.column(*id).filter(|_| Some(*rank) > registers.delete)?;
            let value = value.cast(column.column_type()).filter(|value| *value != Value::Null)?;
            Some((column.name().to_owned(), value))
        };
        registers.cells.iter().filter_map(shown).collect()
    }

    fn node_ref(&self, node: &Node) -> NodeRef {
        NodeRef { table: self.schema.shown_name(node.table).to_owned(), key: node.key.clone() }
    }

    fn edge_ref(&self, edge: &Edge) -> EdgeRef {
        let (from, to) = (self.node_ref(&edge.from), self.node_ref(&edge.to));
        EdgeRef { from, to, discriminator: edge.discriminator.clone() }
    }

    /// An element as people read it.
    #[must_use]
    pub fn describe(&self, element: &Element) -> String {
        use crate::view::Describe;
        match element {
            Element::Node(node) => self.node_ref(node).describe(),
            Element::Edge(edge) => {
                format!("{}: {}", self.schema.shown_name(edge.table), self.edge_ref(edge).describe())
            }
        }
    }

    /// Every row of the given tables.
    fn elements_of<'a>(&'a self, tables: &'a BTreeSet<TableId>) -> impl Iterator<Item = Element> + 'a {
        let nodes = self.nodes.keys().filter(|node| tables.contains(&node.table)).cloned().map(Element::Node);
        let edges = self.edges.keys().filter(|edge| tables.contains(&edge.table)).cloned().map(Element::Edge);
        nodes.chain(edges)
    }
}

/// Watches what some changes do to the view.
///
/// Every change is joined through [`Delta::join`]; [`Delta::finish`] then tells the difference of the two views. It costs
/// in proportion to what the changes touch, not to the graph.
#[derive(Debug, Default)]
pub struct Delta {
    tables_before: Option<BTreeMap<TableId, (String, Table)>>,
    rows_before: BTreeMap<Element, Option<Row>>,
}

impl Delta {
    /// Joins a change to `state` and remembers what the rows it may alter showed before.
    pub fn join(&mut self, state: &mut State, change: &Change) {
        let mut altered_tables = BTreeSet::new();
        for op in &change.ops {
            match op {
                Op::Schema(ddl) => {
                    self.tables_before.get_or_insert_with(|| state.schema.shown_tables());
                    altered_tables.insert(ddl.table_id());
                }
                Op::Insert { element, .. } | Op::Update { element, .. } | Op::Delete { element } => {
                    self.remember(state, element);
                }
            }
        }
        for element in state.elements_of(&altered_tables).collect::<Vec<_>>() {
            self.remember(state, &element);
        }
        state.join(change);
    }

    /// A node's visibility decides that of its edges.
    fn remember(&mut self, state: &State, element: &Element) {
        if let Element::Node(node) = element {
            for edge in state.incident.get(node).into_iter().flatten() {
                self.remember(state, &Element::Edge(edge.clone()));
            }
        }
        if !self.rows_before.contains_key(element) {
            self.rows_before.insert(element.clone(), state.shown_row(element));
        }
    }

    /// What changed in the view.
    #[must_use]
    pub fn finish(self, state: &State) -> ViewDelta {
        let mut delta = ViewDelta::default();
        if let Some(before) = self.tables_before {
            delta.schema = schema_steps(&before, &state.schema.shown_tables());
        }
        for (element, before) in self.rows_before {
            let change = match (before, state.shown_row(&element)) {
                (None, Some(row)) => RowChange::Create(row),
                (Some(_), None) => RowChange::Delete,
                (Some(before), Some(after)) if before != after => RowChange::Update(after),
                _ => continue,
            };
            let table = state.schema.shown_name(element.table()).to_owned();
            match element {
                Element::Node(node) => drop(delta.nodes.entry(table).or_default().insert(node.key, change)),
                Element::Edge(edge) => {
                    drop(delta.edges.entry(table).or_default().insert(state.edge_ref(&edge), change));
                }
            }
        }
        delta
    }
}

/// The steps from one schema to the next. Tables only appear, gain columns and pairs, and lose or win back a name; a
/// loser gives its name up before the winner takes it. Columns only appear and change type and spelling.
fn schema_steps(
    before: &BTreeMap<TableId, (String, Table)>,
    after: &BTreeMap<TableId, (String, Table)>,
) -> Vec<SchemaStep> {
    let mut renames = Vec::new();
    let mut creates = Vec::new();
    let mut alters = Vec::new();
    for (id, (name, table)) in after {
        let Some((old_name, old_table)) = before.get(id) else {
            creates.push(SchemaStep::CreateTable { name: name.clone(), table: table.clone() });
            continue;
        };
        if old_name != name {
            renames.push(SchemaStep::RenameTable { from: old_name.clone(), to: name.clone() });
        }
        for (column, column_type) in &table.columns {
            let old = old_table.columns.iter().find(|(old, _)| same_name(old, column));
            if let Some((from, _)) = old.filter(|(old, _)| *old != column) {
                let (table, from, to) = (name.clone(), from.clone(), column.clone());
                alters.push(SchemaStep::RenameColumn { table, from, to });
            }
            let (table, column, column_type) = (name.clone(), column.clone(), column_type.clone());
            match old.map(|(_, old)| old) {
                None => alters.push(SchemaStep::AddColumn { table, column, column_type }),
                Some(old) if *old != column_type => {
                    alters.push(SchemaStep::RetypeColumn { table, column, column_type })
                }
                Some(_) => {}
            }
        }
        if let (TableKind::Edge { pairs }, TableKind::Edge { pairs: old_pairs }) = (&table.kind, &old_table.kind) {
            let renamed = |shown: &String| {
                let id = before.iter().find(|(_, (old, _))| old == shown).map(|(id, _)| id);
                id.map_or(shown.clone(), |id| after[id].0.clone())
            };
            let kept: BTreeSet<_> = old_pairs.iter().map(|(from, to)| (renamed(from), renamed(to))).collect();
            for (from, to) in pairs.difference(&kept) {
                alters.push(SchemaStep::AddPair { table: name.clone(), from: from.clone(), to: to.clone() });
            }
        }
    }
    let wins_name = |step: &SchemaStep| matches!(step, SchemaStep::RenameTable { to, .. } if !to.contains('~'));
    renames.sort_by_key(wins_name);
    let is_edge_table = |step: &SchemaStep| {
        matches!(step, SchemaStep::CreateTable { table: Table { kind: TableKind::Edge { .. }, .. }, .. })
    };
    creates.sort_by_key(is_edge_table);
    renames.into_iter().chain(creates).chain(alters).collect()
}

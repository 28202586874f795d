//! The expected graph, computed naively from all changes at once.
//!
//! It uses the engine's vocabulary and none of its rules: where the engine joins registers one change at a time, the model
//! looks at every write and asks of each whether another beats it. It is slow and meant to be read beside the
//! documents.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, Element, Node, Op};
use kuzusync_core::clock::Rank;
use kuzusync_core::ddl::{Ddl, column_id, fold};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};

/// The graph that a set of changes makes, in whatever order they are given.
#[must_use]
pub fn view<'a>(changes: impl Iterator<Item = &'a Change>) -> View {
    let ops: Vec<(Rank, &Op)> = changes.flat_map(Change::ranked_ops).collect();
    let tables = Tables::of(&ops);
    let rows = rows(&ops);
    let mut view = View::default();
    for (id, definition) in &tables.definitions {
        let name = tables.names[id].clone();
        let table = Table { kind: tables.kind(definition), columns: definition.columns() };
        match table.kind {
            TableKind::Node { .. } => drop(view.nodes.insert(name.clone(), BTreeMap::new())),
            TableKind::Edge { .. } => drop(view.edges.insert(name.clone(), BTreeMap::new())),
        }
        view.tables.insert(name, table);
    }
    let is_alive = |element: &Element| rows.get(element).is_some_and(Writes::is_alive);
    for (element, writes) in &rows {
        let definition = &tables.definitions[&element.table()];
        let name = &tables.names[&element.table()];
        let row = || writes.shown(definition);
        let node_ref = |node: &Node| NodeRef { table: tables.names[&node.table].clone(), key: node.key.clone() };
        match element {
            _ if !writes.is_alive() => {}
            Element::Node(node) => drop(view.nodes.entry(name.clone()).or_default().insert(node.key.clone(), row())),
            Element::Edge(edge) => {
                let ends = [&edge.from, &edge.to].map(|end| Element::Node(end.clone()));
                if ends.iter().all(is_alive) {
                    let (from, to) = (node_ref(&edge.from), node_ref(&edge.to));
                    let shown = EdgeRef { from, to, discriminator: edge.discriminator.clone() };
                    view.edges.entry(name.clone()).or_default().insert(shown, row());
                }
            }
        }
    }
    view
}

/// Every definition of one table, by rank.
#[derive(Default)]
struct Definition<'a> {
    creates: BTreeMap<Rank, &'a Ddl>,
}

impl Definition<'_> {
    fn latest(&self) -> (&Rank, &Ddl) {
        let (rank, ddl) = self.creates.last_key_value().expect("a table has a definition");
        (rank, ddl)
    }

    /// The name and type of each column by the last definition that has it.
    fn columns_by_id(&self) -> BTreeMap<ColumnId, (String, Type)> {
        let table = self.latest().1.table_id();
        let all = self.creates.values().flat_map(|ddl| ddl.columns());
        all.map(|column| (column_id(table, &column.name), (column.name.clone(), column.column_type.clone()))).collect()
    }

    fn columns(&self) -> BTreeMap<String, Type> {
        self.columns_by_id().into_values().collect()
    }
}

struct Tables<'a> {
    definitions: BTreeMap<TableId, Definition<'a>>,
    names: BTreeMap<TableId, String>,
}

impl<'a> Tables<'a> {
    fn of(ops: &[(Rank, &'a Op)]) -> Self {
        let mut definitions: BTreeMap<TableId, Definition<'a>> = BTreeMap::new();
        for (rank, op) in ops {
            if let Op::Schema(ddl) = op {
                definitions.entry(ddl.table_id()).or_default().creates.insert(*rank, ddl);
            }
        }
        let claim = |id: &TableId| {
            let (rank, ddl) = definitions[id].latest();
            (*rank, ddl.table_name().to_owned())
        };
        let names = definitions.keys().map(|id| {
            let (rank, name) = claim(id);
            let is_beaten =
                definitions.keys().map(claim).any(|(other, name2)| other > rank && fold(&name2) == fold(&name));
            (*id, if is_beaten { format!("{name}~{}", id.short()) } else { name })
        });
        let names = names.collect();
        Tables { definitions, names }
    }

    fn kind(&self, definition: &Definition<'_>) -> TableKind {
        match definition.latest().1 {
            Ddl::CreateNodeTable { primary_key, .. } => {
                let id = column_id(definition.latest().1.table_id(), primary_key);
                TableKind::Node { primary_key: definition.columns_by_id()[&id].0.clone() }
            }
            Ddl::CreateEdgeTable { .. } => {
                let mut pairs = BTreeSet::new();
                for ddl in definition.creates.values() {
                    if let Ddl::CreateEdgeTable { from, to, .. } = ddl {
                        pairs.insert((self.names[from].clone(), self.names[to].clone()));
                    }
                }
                TableKind::Edge { pairs }
            }
        }
    }
}

/// Every write to one element.
#[derive(Default)]
struct Writes<'a> {
    inserts: BTreeSet<Rank>,
    deletes: BTreeSet<Rank>,
    cells: BTreeMap<ColumnId, BTreeMap<Rank, &'a Value>>,
}

fn rows<'a>(ops: &[(Rank, &'a Op)]) -> BTreeMap<&'a Element, Writes<'a>> {
    let mut rows: BTreeMap<&Element, Writes<'a>> = BTreeMap::new();
    for (rank, op) in ops {
        let (element, cells) = match op {
            Op::Schema(_) => continue,
            Op::Delete { element } => {
                rows.entry(element).or_default().deletes.insert(*rank);
                continue;
            }
            Op::Insert { element, cells } => {
                rows.entry(element).or_default().inserts.insert(*rank);
                (element, cells)
            }
            Op::Update { element, cells } => (element, cells),
        };
        for (column, value) in cells {
            rows.entry(element).or_default().cells.entry(*column).or_default().insert(*rank, value);
        }
    }
    rows
}

impl Writes<'_> {
    fn is_alive(&self) -> bool {
        self.inserts.iter().any(|insert| self.deletes.iter().all(|delete| insert > delete))
    }

    fn shown(&self, definition: &Definition<'_>) -> Row {
        let mut row = Row::new();
        for (id, (name, column_type)) in definition.columns_by_id() {
            let Some((rank, value)) = self.cells.get(&id).and_then(BTreeMap::last_key_value) else { continue };
            let is_deleted = self.deletes.iter().any(|delete| delete > rank);
            let shown = value.cast(&column_type).filter(|value| !is_deleted && *value != Value::Null);
            shown.map(|value| row.insert(name, value));
        }
        row
    }
}

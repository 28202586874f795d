//! The reference store: a [`View`] that deltas are applied to, and that refuses what a database would refuse.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::store::plan::{Outline, Plan, PlanStep, Way};
use crate::store::{GraphStore, StoreCounts, StoreError};
use crate::view::{Describe, EdgeRef, Row, RowChange, SchemaStep, TableKind, View, ViewDelta};

/// A graph in ordered maps.
#[derive(Debug, Default)]
pub struct MemoryStore {
    view: View,
    counts: StoreCounts,
}

impl GraphStore for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
        let rows = |table: &str| {
            let nodes = self.view.nodes.get(table).map_or(0, BTreeMap::len);
            self.view.edges.get(table).map_or(nodes, BTreeMap::len)
        };
        let mut outline = Outline::default();
        self.view.tables.iter().for_each(|(name, table)| outline.add(name, table, rows(name)));
        let view = View { tables: self.view.tables.clone(), ..View::default() };
        let mut planned = MemoryStore { view, counts: StoreCounts::default() };
        let plan = |step: &SchemaStep| {
            planned.apply_step(step)?;
            let (step, touched) = (step.clone(), outline.take_up(step));
            Ok(PlanStep { step, way: Way::Statements(Vec::new()), touched })
        };
        Ok(Plan { steps: delta.schema.iter().map(plan).collect::<Result<_, _>>()? })
    }

    fn counts(&self) -> StoreCounts {
        self.counts
    }

    fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        self.counts.plans += u64::from(!delta.schema.is_empty());
        self.counts.schema_steps += delta.schema.len() as u64;
        self.carry_out(delta)
    }

    fn rebuild(&mut self, view: &View) -> Result<(), StoreError> {
        let new_databases = self.counts.new_databases + 1;
        *self = MemoryStore { view: View::default(), counts: StoreCounts { new_databases, ..self.counts } };
        self.carry_out(&view.to_delta())
    }

    fn read(&mut self) -> Result<View, StoreError> {
        Ok(self.view.clone())
    }
}

impl MemoryStore {
    /// What it holds.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    fn carry_out(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        for step in &delta.schema {
            self.apply_step(step)?;
        }
        // Edges go before the nodes they touch and come after them.
        for deletions in [true, false] {
            if !deletions {
                self.apply_nodes(delta, deletions)?;
            }
            for (table, changes) in &delta.edges {
                let rows =
                    self.view.edges.get_mut(table).ok_or_else(|| refused("MATCH", table, "no such edge table"))?;
                for (edge, change) in select(changes, deletions) {
                    if let RowChange::Create(_) = change {
                        for end in [&edge.from, &edge.to] {
                            if self.view.nodes.get(&end.table).is_none_or(|nodes| !nodes.contains_key(&end.key)) {
                                return Err(refused("CREATE", table, &format!("no node {}", end.describe())));
                            }
                        }
                    }
                    apply_row(rows, table, edge, change)?;
                }
            }
            if deletions {
                self.apply_nodes(delta, deletions)?;
            }
        }
        Ok(())
    }

    fn apply_nodes(&mut self, delta: &ViewDelta, deletions: bool) -> Result<(), StoreError> {
        for (table, changes) in &delta.nodes {
            let rows = self.view.nodes.get_mut(table).ok_or_else(|| refused("MATCH", table, "no such node table"))?;
            for (key, change) in select(changes, deletions) {
                let touches =
                    |edge: &EdgeRef| [&edge.from, &edge.to].iter().any(|end| end.table == *table && end.key == *key);
                if deletions && self.view.edges.values().flat_map(BTreeMap::keys).any(touches) {
                    return Err(refused("DELETE", table, &format!("an edge touches {}", key.describe())));
                }
                apply_row(rows, table, key, change)?;
            }
        }
        Ok(())
    }

    fn apply_step(&mut self, step: &SchemaStep) -> Result<(), StoreError> {
        match step {
            SchemaStep::DropTable { name } => self.drop_table(name)?,
            SchemaStep::CreateTable { name, table } => {
                let Entry::Vacant(place) = self.view.tables.entry(name.clone()) else {
                    return Err(refused("CREATE TABLE", name, "it exists already"));
                };
                place.insert(table.clone());
                match table.kind {
                    TableKind::Node { .. } => drop(self.view.nodes.insert(name.clone(), BTreeMap::new())),
                    TableKind::Edge { .. } => drop(self.view.edges.insert(name.clone(), BTreeMap::new())),
                }
            }
            SchemaStep::RenameTable { from, to } => self.rename_table(from, to)?,
            SchemaStep::DropColumn { table, column } => {
                let definition = self.table(table)?;
                if matches!(&definition.kind, TableKind::Node { primary_key } if primary_key == column) {
                    return Err(refused("ALTER TABLE DROP", table, &format!("{column} is its key")));
                }
                if definition.columns.remove(column).is_none() {
                    return Err(refused("ALTER TABLE DROP", table, &format!("no column {column}")));
                }
                self.rows_of(table).for_each(|row| drop(row.remove(column)));
            }
            SchemaStep::RenameColumn { table, from, to } => self.rename_column(table, from, to)?,
            SchemaStep::AddColumn { table, column, column_type } => {
                let columns = &mut self.table(table)?.columns;
                if columns.insert(column.clone(), column_type.clone()).is_some() {
                    return Err(refused("ALTER TABLE ADD", table, &format!("column {column} exists already")));
                }
            }
            SchemaStep::RetypeColumn { table, column, column_type } => {
                let columns = &mut self.table(table)?.columns;
                if columns.insert(column.clone(), column_type.clone()).is_none() {
                    return Err(refused("ALTER TABLE DROP", table, &format!("no column {column}")));
                }
                self.rows_of(table).for_each(|row| drop(row.remove(column)));
            }
            SchemaStep::AddPair { table, from, to } => match &mut self.table(table)?.kind {
                TableKind::Edge { pairs } => drop(pairs.insert((from.clone(), to.clone()))),
                TableKind::Node { .. } => return Err(refused("ALTER TABLE ADD FROM", table, "it is a node table")),
            },
        }
        Ok(())
    }

    fn drop_table(&mut self, name: &str) -> Result<(), StoreError> {
        let connects = |table: &crate::view::Table| match &table.kind {
            TableKind::Node { .. } => false,
            TableKind::Edge { pairs } => pairs.iter().any(|(from, to)| from == name || to == name),
        };
        if self.view.tables.values().any(connects) {
            return Err(refused("DROP TABLE", name, "an edge table connects it"));
        }
        self.view.tables.remove(name).ok_or_else(|| refused("DROP TABLE", name, "no such table"))?;
        self.view.nodes.remove(name);
        self.view.edges.remove(name);
        Ok(())
    }

    fn table(&mut self, name: &str) -> Result<&mut crate::view::Table, StoreError> {
        self.view.tables.get_mut(name).ok_or_else(|| refused("ALTER TABLE", name, "no such table"))
    }

    fn rows_of(&mut self, table: &str) -> impl Iterator<Item = &mut Row> {
        let nodes = self.view.nodes.get_mut(table).into_iter().flat_map(BTreeMap::values_mut);
        let edges = self.view.edges.get_mut(table).into_iter().flat_map(BTreeMap::values_mut);
        nodes.chain(edges)
    }

    fn rename_column(&mut self, table: &str, from: &str, to: &str) -> Result<(), StoreError> {
        let definition = self.table(table)?;
        let Some(column_type) = definition.columns.remove(from) else {
            return Err(refused("ALTER TABLE RENAME", table, &format!("no column {from}")));
        };
        if definition.columns.insert(to.to_owned(), column_type).is_some() {
            return Err(refused("ALTER TABLE RENAME", table, &format!("column {to} exists already")));
        }
        if let TableKind::Node { primary_key } = &mut definition.kind
            && primary_key == from
        {
            to.clone_into(primary_key);
        }
        for row in self.rows_of(table) {
            if let Some(value) = row.remove(from) {
                row.insert(to.to_owned(), value);
            }
        }
        Ok(())
    }

    /// A table's name also stands in the pairs and ends of edges.
    fn rename_table(&mut self, from: &str, to: &str) -> Result<(), StoreError> {
        if self.view.tables.contains_key(to) {
            return Err(refused("ALTER TABLE RENAME", to, "it exists already"));
        }
        let Some(table) = self.view.tables.remove(from) else {
            return Err(refused("ALTER TABLE RENAME", from, "no such table"));
        };
        self.view.tables.insert(to.to_owned(), table);
        let renamed = |name: &str| if name == from { to.to_owned() } else { name.to_owned() };
        for table in self.view.tables.values_mut() {
            if let TableKind::Edge { pairs } = &mut table.kind {
                *pairs = pairs.iter().map(|(start, end)| (renamed(start), renamed(end))).collect();
            }
        }
        if let Some(rows) = self.view.nodes.remove(from) {
            self.view.nodes.insert(to.to_owned(), rows);
        }
        if let Some(rows) = self.view.edges.remove(from) {
            self.view.edges.insert(to.to_owned(), rows);
        }
        for rows in self.view.edges.values_mut() {
            let all = std::mem::take(rows).into_iter();
            rows.extend(all.map(|(mut edge, row)| {
                edge.from.table = renamed(&edge.from.table);
                edge.to.table = renamed(&edge.to.table);
                (edge, row)
            }));
        }
        Ok(())
    }
}

/// The deletions among row changes, or everything else.
fn select<K: Ord>(changes: &BTreeMap<K, RowChange>, deletions: bool) -> impl Iterator<Item = (&K, &RowChange)> {
    changes.iter().filter(move |(_, change)| (**change == RowChange::Delete) == deletions)
}

fn apply_row<K: Ord + Clone + Describe>(
    rows: &mut BTreeMap<K, Row>,
    table: &str,
    key: &K,
    change: &RowChange,
) -> Result<(), StoreError> {
    match (change, rows.entry(key.clone())) {
        (RowChange::Create(row), Entry::Vacant(place)) => drop(place.insert(row.clone())),
        (RowChange::Update(row), Entry::Occupied(mut place)) => drop(place.insert(row.clone())),
        (RowChange::Delete, Entry::Occupied(place)) => drop(place.remove()),
        (RowChange::Create(_), Entry::Occupied(_)) => {
            return Err(refused("CREATE", table, &format!("{} exists already", key.describe())));
        }
        (RowChange::Update(_) | RowChange::Delete, Entry::Vacant(_)) => {
            return Err(refused("MATCH", table, &format!("no {}", key.describe())));
        }
    }
    Ok(())
}

fn refused(statement: &str, table: &str, message: &str) -> StoreError {
    StoreError { store: "memory", statement: format!("{statement} {table}"), message: message.to_owned() }
}

//! The schema as a join: tables and columns have identities for life, and names and types are what is claimed of them.
//!
//! Applying schema operations commutes. Two replicas that run one migration offline make one table; its columns and
//! pairs are united, and where the claims differ the greatest rank decides. When two tables claim one name the greatest
//! claim owns it and the other shows as `name~shortid`. (DDL Synchronisation, case B7.)

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Cells, Element, Node, Op};
use crate::clock::Rank;
use crate::ddl::{Column, Ddl, column_id, fold};
use crate::error::Error;
use crate::id::{ColumnId, Digest, TableId};
use crate::value::{Type, Value};
use crate::view;

/// How many schema operations are known and what they make: equal on two replicas exactly when their schemas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Every operation counts one, also one that changed nothing.
    pub operations: u64,
    /// Over the logical schema.
    pub digest: Digest,
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnState {
    name: (Rank, String),
    claims: BTreeMap<Rank, Type>,
}

impl ColumnState {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name.1
    }

    /// The greatest claim's type.
    #[must_use]
    pub fn column_type(&self) -> &Type {
        self.claims.values().next_back().expect("a column is made with a claim")
    }
}

/// What a table's rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nodes, by their key column.
    Node {
        /// The primary key.
        key: ColumnId,
    },
    /// Edges between the tables of these pairs.
    Edge {
        /// From, to.
        pairs: BTreeSet<(TableId, TableId)>,
    },
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableState {
    name: (Rank, String),
    kind: Kind,
    columns: BTreeMap<ColumnId, ColumnState>,
}

impl TableState {
    /// Nodes or edges.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its columns.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, &ColumnState)> {
        self.columns.iter().map(|(id, column)| (*id, column))
    }

    /// One of its columns.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&ColumnState> {
        self.columns.get(&id)
    }

    /// The column of that name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<(ColumnId, &ColumnState)> {
        self.columns().find(|(_, column)| fold(column.name()) == fold(name))
    }
}

/// All tables and what they are called.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    tables: BTreeMap<TableId, TableState>,
    shown_names: BTreeMap<TableId, String>,
    by_name: BTreeMap<String, TableId>,
    operations: u64,
}

impl Schema {
    /// A table.
    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&TableState> {
        self.tables.get(&id)
    }

    /// The table shown under that name.
    #[must_use]
    pub fn table_named(&self, name: &str) -> Option<(TableId, &TableState)> {
        let id = *self.by_name.get(&fold(name))?;
        Some((id, &self.tables[&id]))
    }

    /// The name a table is shown under.
    #[must_use]
    pub fn shown_name(&self, id: TableId) -> &str {
        self.shown_names.get(&id).map_or("?", String::as_str)
    }

    /// The version: what `schema_state` reports (DDL Synchronisation, cases B2 and B4).
    #[must_use]
    pub fn version(&self) -> SchemaVersion {
        let shown: Vec<(TableId, String, view::Table)> =
            self.tables.keys().map(|&id| (id, self.shown_name(id).to_owned(), self.shown_table(id))).collect();
        SchemaVersion { operations: self.operations, digest: Digest::of_value(&shown) }
    }

    /// Every table as it is shown, by identity.
    #[must_use]
    pub fn shown_tables(&self) -> BTreeMap<TableId, (String, view::Table)> {
        self.tables.keys().map(|&id| (id, (self.shown_name(id).to_owned(), self.shown_table(id)))).collect()
    }

    fn shown_table(&self, id: TableId) -> view::Table {
        let table = &self.tables[&id];
        let kind = match &table.kind {
            Kind::Node { key } => view::TableKind::Node { primary_key: table.columns[key].name().to_owned() },
            Kind::Edge { pairs } => {
                let shown = |&(from, to): &(TableId, TableId)| {
                    (self.shown_name(from).to_owned(), self.shown_name(to).to_owned())
                };
                view::TableKind::Edge { pairs: pairs.iter().map(shown).collect() }
            }
        };
        let columns =
            table.columns().map(|(_, column)| (column.name().to_owned(), column.column_type().clone())).collect();
        view::Table { kind, columns }
    }

    /// `ddl` with the smallest birth under which its table is unknown here.
    #[must_use]
    pub fn with_birth(&self, mut ddl: Ddl) -> Ddl {
        loop {
            if !self.tables.contains_key(&ddl.table_id()) {
                return ddl;
            }
            match &mut ddl {
                Ddl::CreateNodeTable { birth, .. } | Ddl::CreateEdgeTable { birth, .. } => *birth += 1,
            }
        }
    }

    /// Refuses a schema operation that no replica in this state could have written.
    ///
    /// # Errors
    /// Those of [`Ddl::check`], and [`Error::UnknownTable`] for an end that is no node table.
    pub fn check(&self, ddl: &Ddl) -> Result<(), Error> {
        ddl.check()?;
        if let Ddl::CreateEdgeTable { from, to, .. } = ddl {
            for end in [from, to] {
                let is_node = self.table(*end).is_some_and(|table| matches!(table.kind, Kind::Node { .. }));
                if !is_node {
                    return Err(Error::UnknownTable { kind: "node", name: end.short() });
                }
            }
        }
        Ok(())
    }

    /// Joins a schema operation that [`Schema::check`] accepts.
    pub fn join(&mut self, rank: Rank, ddl: &Ddl) {
        self.operations += 1;
        let id = ddl.table_id();
        let kind = match ddl {
            Ddl::CreateNodeTable { primary_key, .. } => Kind::Node { key: column_id(id, primary_key) },
            Ddl::CreateEdgeTable { .. } => Kind::Edge { pairs: BTreeSet::new() },
        };
        let new = || TableState { name: (rank, ddl.table_name().to_owned()), kind, columns: BTreeMap::new() };
        let table = self.tables.entry(id).or_insert_with(new);
        raise(&mut table.name, rank, ddl.table_name());
        for column in ddl.columns() {
            join_column(table, column_id(id, &column.name), rank, column);
        }
        if let (Kind::Edge { pairs }, Ddl::CreateEdgeTable { from, to, .. }) = (&mut table.kind, ddl) {
            pairs.insert((*from, *to));
        }
        self.name_tables();
    }

    /// The greatest claim owns a name, every other claimant shows as `name~shortid`.
    fn name_tables(&mut self) {
        let mut owners: BTreeMap<String, (Rank, TableId)> = BTreeMap::new();
        for (&id, table) in &self.tables {
            let claim = (table.name.0, id);
            owners.entry(fold(&table.name.1)).and_modify(|owner| *owner = claim.max(*owner)).or_insert(claim);
        }
        for (&id, table) in &self.tables {
            let name = &table.name.1;
            let owns = owners[&fold(name)].1 == id;
            self.shown_names.insert(id, if owns { name.clone() } else { format!("{name}~{}", id.short()) });
        }
        self.by_name = self.shown_names.iter().map(|(&id, name)| (fold(name), id)).collect();
    }

    /// Refuses a data operation on tables or columns that do not exist here, or with a key of another type.
    ///
    /// # Errors
    /// The variants of [`Error`] about tables, columns and keys.
    pub fn check_op(&self, op: &Op) -> Result<(), Error> {
        match op {
            Op::Schema(ddl) => self.check(ddl),
            Op::Delete { element } => self.check_element(element),
            Op::Insert { element, cells } | Op::Update { element, cells } => {
                self.check_element(element)?;
                self.check_cells(element.table(), cells)
            }
        }
    }

    fn check_element(&self, element: &Element) -> Result<(), Error> {
        let edge = match element {
            Element::Node(node) => return self.check_node(node),
            Element::Edge(edge) => edge,
        };
        self.check_node(&edge.from)?;
        self.check_node(&edge.to)?;
        match self.table(edge.table).map(TableState::kind) {
            Some(Kind::Edge { pairs }) if pairs.contains(&(edge.from.table, edge.to.table)) => Ok(()),
            _ => Err(Error::UnknownTable { kind: "edge", name: edge.table.short() }),
        }
    }

    fn check_node(&self, node: &Node) -> Result<(), Error> {
        let unknown = || Error::UnknownTable { kind: "node", name: node.table.short() };
        let table = self.table(node.table).ok_or_else(unknown)?;
        let Kind::Node { key } = table.kind else { return Err(unknown()) };
        let column = &table.columns[&key];
        self.check_value(node.table, column, &node.key)?;
        if node.key == Value::Null {
            return Err(Error::MissingKey {
                table: self.shown_name(node.table).to_owned(),
                key: column.name().to_owned(),
            });
        }
        Ok(())
    }

    fn check_cells(&self, id: TableId, cells: &Cells) -> Result<(), Error> {
        let table = self.table(id).ok_or_else(|| Error::UnknownTable { kind: "node", name: id.short() })?;
        for column in cells.keys() {
            let name = || self.shown_name(id).to_owned();
            if table.column(*column).is_none() {
                return Err(Error::UnknownColumn { table: name(), column: column.short() });
            }
            if matches!(table.kind, Kind::Node { key } if key == *column) {
                return Err(Error::ImmutableKey { table: name(), key: table.columns[column].name().to_owned() });
            }
        }
        Ok(())
    }

    /// Refuses a value that is not of its column's type.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`].
    pub fn check_value(&self, table: TableId, column: &ColumnState, value: &Value) -> Result<(), Error> {
        let expected = column.column_type();
        if value.is_of(expected) {
            return Ok(());
        }
        let (table, column) = (self.shown_name(table).to_owned(), column.name().to_owned());
        Err(Error::TypeMismatch { table, column, expected: expected.clone(), found: value.to_string() })
    }
}

fn join_column(table: &mut TableState, id: ColumnId, rank: Rank, column: &Column) {
    let new = || ColumnState { name: (rank, column.name.clone()), claims: BTreeMap::new() };
    let state = table.columns.entry(id).or_insert_with(new);
    raise(&mut state.name, rank, &column.name);
    state.claims.insert(rank, column.column_type.clone());
}

fn raise(register: &mut (Rank, String), rank: Rank, name: &str) {
    if rank > register.0 {
        *register = (rank, name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::ChangeId;
    use crate::clock::Timestamp;
    use crate::id::ReplicaId;

    fn rank(ms: i64) -> Rank {
        let change = ChangeId { replica: ReplicaId([1; 16]), seq: 1 };
        Rank { timestamp: Timestamp { ms, counter: 0 }, change, index: 0 }
    }

    fn node_table(name: &str, columns: &[(&str, Type)]) -> Ddl {
        let columns: Vec<_> =
            columns.iter().map(|(name, of)| Column { name: (*name).into(), column_type: of.clone() }).collect();
        Ddl::CreateNodeTable { name: name.into(), birth: 0, primary_key: columns[0].name.clone(), columns }
    }

    fn joined(ops: &[(i64, Ddl)]) -> Schema {
        let mut schema = Schema::default();
        ops.iter().for_each(|(ms, ddl)| schema.join(rank(*ms), ddl));
        schema
    }

    /// Both orders give one schema, which is returned.
    fn in_every_order(one: (i64, Ddl), other: (i64, Ddl)) -> Schema {
        let here = joined(&[one.clone(), other.clone()]);
        let there = joined(&[other, one]);
        assert_eq!(here.shown_tables(), there.shown_tables());
        assert_eq!(here.version(), there.version());
        here
    }

    #[test]
    fn one_migration_run_twice_is_one_table_with_its_columns_united() {
        let here = node_table("User", &[("id", Type::Int64), ("name", Type::String)]);
        let there = node_table("user", &[("id", Type::Int64), ("age", Type::Int64)]);
        let schema = in_every_order((1, here), (2, there));
        let (_, table) = schema.table_named("USER").unwrap();
        assert_eq!(table.columns().count(), 3);
        assert_eq!(schema.shown_tables().values().next().unwrap().0, "user", "the later claim names it");
        assert_eq!(schema.version().operations, 2);
    }

    #[test]
    fn two_tables_that_claim_one_name_both_live_and_the_later_owns_it() {
        let schema =
            in_every_order((1, node_table("T", &[("id", Type::Int64)])), (2, node_table("T", &[("k", Type::String)])));
        let (owner, table) = schema.table_named("t").unwrap();
        assert_eq!(table.column_named("K").map(|(_, column)| column.column_type()), Some(&Type::String));
        let loser = *schema.tables.keys().find(|id| **id != owner).unwrap();
        assert_eq!(schema.shown_name(loser), format!("T~{}", loser.short()));
        assert_eq!(schema.table_named(schema.shown_name(loser)).unwrap().0, loser);
    }

    #[test]
    fn a_contested_type_is_the_greatest_claim() {
        let here = node_table("T", &[("id", Type::Int64), ("c", Type::String)]);
        let there = node_table("T", &[("id", Type::Int64), ("c", Type::Int64)]);
        let schema = in_every_order((2, here), (1, there));
        let (_, column) = schema.table_named("T").unwrap().1.column_named("c").unwrap();
        assert_eq!(column.column_type(), &Type::String);
    }

    #[test]
    fn pairs_of_one_edge_table_are_united() {
        let (a, b) = (node_table("A", &[("id", Type::Int64)]), node_table("B", &[("id", Type::Int64)]));
        let edge = |to: &Ddl| Ddl::CreateEdgeTable {
            name: "E".into(),
            birth: 0,
            from: a.table_id(),
            to: to.table_id(),
            columns: Vec::new(),
        };
        let schema = joined(&[(1, a.clone()), (2, b.clone()), (3, edge(&a)), (4, edge(&b))]);
        let (_, table) = schema.table_named("E").unwrap();
        assert!(matches!(table.kind(), Kind::Edge { pairs } if pairs.len() == 2));
    }

    #[test]
    fn an_edge_table_between_unknown_tables_is_refused() {
        let columns = Vec::new();
        let edge =
            Ddl::CreateEdgeTable { name: "E".into(), birth: 0, from: TableId([1; 16]), to: TableId([2; 16]), columns };
        assert!(matches!(Schema::default().check(&edge), Err(Error::UnknownTable { kind: "node", .. })));
    }
}

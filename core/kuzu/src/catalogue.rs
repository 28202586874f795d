//! What exists, by our own account, and every refusal that does not need Kùzu.
//!
//! A failing statement costs the whole database (see the essay of the crate), so nothing is sent that the catalogue can
//! tell will fail. It holds the schema, the keys of all rows and how many edge ends touch each node, and takes up each
//! change before its statement is sent: if the statement fails all the same, the store is in doubt and the catalogue
//! is thrown away with the database.
//!
//! Kùzu compares the names of tables and columns without the case of ASCII letters; a name is found here by its exact
//! spelling, and a second spelling of a name is refused.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::ddl::{RESERVED, fold, same_name};
use kuzusync_core::store::StoreError;
use kuzusync_core::store::plan::{Outline, Way};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{Describe, EdgeRef, NodeRef, Row, RowChange, SchemaStep, Table, TableKind, View};

use crate::statement::{self, BETWEEN_NAMES, refused};

/// Why a pair cannot be added to some edge tables.
const PAIR_AFTER_DROP: &str = "to add a pair to a table that ever dropped a column crashes Kùzu 0.11.3, which makes storage \
                               for the pair from a list of columns that has a hole";

/// Tables and the keys of their rows.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    tables: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    columns: BTreeMap<String, Type>,
    /// Whether a column was ever dropped, also to come back at once with another type.
    dropped_a_column: bool,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Nodes {
        primary_key: String,
        /// How many ends of edges touch each node.
        touching: BTreeMap<Value, usize>,
    },
    /// The edges from one table to another.
    Edges(BTreeMap<Pair, BTreeSet<EdgeKey>>),
}

/// The tables in which edges start and end.
type Pair = (String, String);

/// The keys of both ends and the discriminator.
type EdgeKey = (Value, Value, String);

/// A node table as an edge meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeEnd {
    pub(crate) table: String,
    pub(crate) primary_key: String,
}

/// What statements on the rows of a node table need.
#[derive(Clone, Debug)]
pub(crate) struct NodeShape {
    pub(crate) end: NodeEnd,
    pub(crate) key_type: Type,
    /// All columns but the key.
    pub(crate) columns: Vec<(String, Type)>,
}

/// What statements on the edges of one pair of an edge table need.
#[derive(Clone, Debug)]
pub(crate) struct EdgeShape {
    pub(crate) table: String,
    pub(crate) from: NodeEnd,
    pub(crate) to: NodeEnd,
    /// The types of both keys.
    pub(crate) key_types: [Type; 2],
    pub(crate) columns: Vec<(String, Type)>,
}

impl Catalogue {
    /// What a database holds that was found on disk. It does not say which tables ever dropped a column, so each may have.
    pub(crate) fn of(view: &View) -> Result<Catalogue, StoreError> {
        let mut catalogue = Catalogue::default();
        let is_node = |table: &Table| matches!(table.kind, TableKind::Node { .. });
        let (nodes, edges): (Vec<_>, Vec<_>) = view.tables.iter().partition(|(_, table)| is_node(table));
        for (name, table) in nodes.into_iter().chain(edges) {
            catalogue.create_table(name, table)?;
        }
        for (table, rows) in &view.nodes {
            for (key, row) in rows {
                catalogue.change_node(table, key, &RowChange::Create(row.clone()))?;
            }
        }
        for (table, rows) in &view.edges {
            for (edge, row) in rows {
                catalogue.change_edge(table, edge, &RowChange::Create(row.clone()))?;
            }
        }
        catalogue.tables.values_mut().for_each(|known| known.dropped_a_column = true);
        Ok(catalogue)
    }

    /// The same tables without their rows.
    pub(crate) fn without_rows(&self) -> Catalogue {
        let empty = |known: &Known| Known {
            columns: known.columns.clone(),
            dropped_a_column: known.dropped_a_column,
            rows: match &known.rows {
                Rows::Nodes { primary_key, .. } => {
                    Rows::Nodes { primary_key: primary_key.clone(), touching: BTreeMap::new() }
                }
                Rows::Edges(pairs) => Rows::Edges(pairs.keys().map(|pair| (pair.clone(), BTreeSet::new())).collect()),
            },
        };
        Catalogue { tables: self.tables.iter().map(|(name, known)| (name.clone(), empty(known))).collect() }
    }

    /// The tables as far as the impact of a step on them goes.
    pub(crate) fn outline(&self) -> Outline {
        let mut outline = Outline::default();
        for (name, Known { columns, rows, .. }) in &self.tables {
            let (kind, rows) = match rows {
                Rows::Nodes { primary_key, touching } => {
                    (TableKind::Node { primary_key: primary_key.clone() }, touching.len())
                }
                Rows::Edges(pairs) => {
                    let rows = pairs.values().map(BTreeSet::len).sum();
                    (TableKind::Edge { pairs: pairs.keys().cloned().collect() }, rows)
                }
            };
            outline.add(name, &Table { kind, columns: columns.clone() }, rows);
        }
        outline
    }

    /// Takes up a step of the schema, and says how Kùzu carries it out. What it would destroy goes last: if Kùzu refuses
    /// a statement, nothing is lost yet.
    pub(crate) fn take_up(&mut self, step: &SchemaStep) -> Result<Way, StoreError> {
        let statements = match step {
            SchemaStep::CreateTable { name, table } => {
                self.create_table(name, table)?;
                vec![statement::create_table(name, table)?]
            }
            SchemaStep::DropTable { name } => {
                self.drop_table(name)?;
                vec![statement::drop_table(name)?]
            }
            SchemaStep::RenameTable { from, to } => {
                self.rename_table(from, to)?;
                if same_name(from, to) {
                    vec![statement::rename_table(from, BETWEEN_NAMES)?, statement::rename_table(BETWEEN_NAMES, to)?]
                } else {
                    vec![statement::rename_table(from, to)?]
                }
            }
            SchemaStep::DropColumn { table, column } => {
                self.drop_column(table, column)?;
                vec![statement::drop_column(table, column)?]
            }
            SchemaStep::RenameColumn { table, from, to } => {
                self.rename_column(table, from, to)?;
                // Kùzu takes another spelling of a name for the same name, so a third stands between them.
                let between = statement::rename_column(table, from, BETWEEN_NAMES)?;
                vec![between, statement::rename_column(table, BETWEEN_NAMES, to)?]
            }
            SchemaStep::AddColumn { table, column, column_type } => {
                self.add_column(table, column, column_type)?;
                vec![statement::add_column(table, column, column_type)?]
            }
            SchemaStep::RetypeColumn { table, column, column_type } => {
                self.retype_column(table, column, column_type)?;
                // Kùzu has no statement for it, and casts otherwise than the log: a column of the new type stands in the
                // shadow of the old one until that is gone, and the delta's rows fill it. A value whose cast fails
                // shows as NULL; the log keeps it.
                let shadow = statement::add_column(table, BETWEEN_NAMES, column_type)?;
                let swap = statement::rename_column(table, BETWEEN_NAMES, column)?;
                vec![shadow, statement::drop_column(table, column)?, swap]
            }
            SchemaStep::AddPair { table, from, to } => return self.add_pair(table, from, to),
        };
        Ok(Way::Statements(statements))
    }

    fn create_table(&mut self, name: &str, table: &Table) -> Result<(), StoreError> {
        let statement = format!("CREATE TABLE {name}");
        statement::quoted(name)?;
        if let Some(known) = self.tables.keys().find(|known| same_name(known, name)) {
            return Err(refused(statement, format!("{known} exists already")));
        }
        let mut names = BTreeSet::new();
        for column in table.columns.keys() {
            check_column_name(&statement, column)?;
            if !names.insert(fold(column)) {
                return Err(refused(statement, format!("column {column} comes twice")));
            }
        }
        let rows = match &table.kind {
            TableKind::Node { primary_key } => match table.columns.get(primary_key) {
                Some(key_type) if key_type.can_be_key() => {
                    Rows::Nodes { primary_key: primary_key.clone(), touching: BTreeMap::new() }
                }
                Some(key_type) => {
                    return Err(refused(statement, format!("{primary_key} {key_type} cannot be the key")));
                }
                None => return Err(refused(statement, format!("no column {primary_key}, which is to be the key"))),
            },
            TableKind::Edge { pairs } if pairs.is_empty() => return Err(refused(statement, "no pair of tables")),
            TableKind::Edge { pairs } => {
                for end in pairs.iter().flat_map(|(from, to)| [from, to]) {
                    self.end(&statement, end)?;
                }
                Rows::Edges(pairs.iter().map(|pair| (pair.clone(), BTreeSet::new())).collect())
            }
        };
        self.tables.insert(name.to_owned(), Known { columns: table.columns.clone(), dropped_a_column: false, rows });
        Ok(())
    }

    /// The edges of a dropped table no longer touch their ends.
    fn drop_table(&mut self, name: &str) -> Result<(), StoreError> {
        let statement = format!("DROP TABLE {name}");
        let pair_with_it = |known: &Known| match &known.rows {
            Rows::Nodes { .. } => false,
            Rows::Edges(pairs) => pairs.keys().any(|(from, to)| from == name || to == name),
        };
        if let Some((edges, _)) = self.tables.iter().find(|(_, known)| pair_with_it(known)) {
            return Err(refused(statement, format!("edge table {edges} connects it")));
        }
        let Some(known) = self.tables.remove(name) else {
            return Err(refused(statement, "no such table"));
        };
        let Rows::Edges(pairs) = known.rows else { return Ok(()) };
        for ((from, to), edges) in pairs {
            for (start, end, _) in edges {
                for node in [NodeRef { table: from.clone(), key: start }, NodeRef { table: to.clone(), key: end }] {
                    *self.touching(&node).expect("a node stays while edges touch it") -= 1;
                }
            }
        }
        Ok(())
    }

    /// A table's name also stands in the pairs of edge tables.
    fn rename_table(&mut self, from: &str, to: &str) -> Result<(), StoreError> {
        let statement = format!("RENAME TABLE {from} TO {to}");
        statement::quoted(to)?;
        if let Some(known) = self.tables.keys().find(|known| same_name(known, to) && (*known != from || from == to)) {
            return Err(refused(statement, format!("{known} exists already")));
        }
        let Some(table) = self.tables.remove(from) else {
            return Err(refused(statement, "no such table"));
        };
        self.tables.insert(to.to_owned(), table);
        let renamed = |name: String| if name == from { to.to_owned() } else { name };
        for known in self.tables.values_mut() {
            if let Rows::Edges(pairs) = &mut known.rows {
                let old = std::mem::take(pairs).into_iter();
                pairs.extend(old.map(|((start, end), edges)| ((renamed(start), renamed(end)), edges)));
            }
        }
        Ok(())
    }

    fn add_column(&mut self, table: &str, column: &str, column_type: &Type) -> Result<(), StoreError> {
        let statement = format!("ALTER TABLE {table} ADD {column} {column_type}");
        check_column_name(&statement, column)?;
        let columns = &mut self.table(&statement, table)?.columns;
        if let Some(known) = columns.keys().find(|known| same_name(known, column)) {
            return Err(refused(statement, format!("column {known} exists already")));
        }
        columns.insert(column.to_owned(), column_type.clone());
        Ok(())
    }

    fn rename_column(&mut self, table: &str, from: &str, to: &str) -> Result<(), StoreError> {
        let statement = format!("ALTER TABLE {table} RENAME {from} TO {to}");
        check_column_name(&statement, to)?;
        let known = self.table(&statement, table)?;
        if let Some(other) = known.columns.keys().find(|other| same_name(other, to) && *other != from) {
            return Err(refused(statement, format!("column {other} exists already")));
        }
        let Some(column_type) = known.columns.remove(from) else {
            return Err(refused(statement, "no such column"));
        };
        known.columns.insert(to.to_owned(), column_type);
        if let Rows::Nodes { primary_key, .. } = &mut known.rows
            && primary_key == from
        {
            to.clone_into(primary_key);
        }
        Ok(())
    }

    fn retype_column(&mut self, table: &str, column: &str, column_type: &Type) -> Result<(), StoreError> {
        let statement = format!("ALTER TABLE {table} DROP {column}, ADD {column} {column_type}");
        let known = self.table(&statement, table)?;
        if matches!(&known.rows, Rows::Nodes { primary_key, .. } if primary_key == column) {
            return Err(refused(statement, "it is the key"));
        }
        match known.columns.get_mut(column) {
            Some(known) => column_type.clone_into(known),
            None => return Err(refused(statement, "no such column")),
        }
        known.dropped_a_column = true;
        Ok(())
    }

    fn drop_column(&mut self, table: &str, column: &str) -> Result<(), StoreError> {
        let statement = format!("ALTER TABLE {table} DROP {column}");
        let known = self.table(&statement, table)?;
        if matches!(&known.rows, Rows::Nodes { primary_key, .. } if primary_key == column) {
            return Err(refused(statement, "it is the key"));
        }
        if known.columns.remove(column).is_none() {
            return Err(refused(statement, "no such column"));
        }
        known.dropped_a_column = true;
        Ok(())
    }

    /// A known pair is no error.
    fn add_pair(&mut self, table: &str, from: &str, to: &str) -> Result<Way, StoreError> {
        let statement = format!("ALTER TABLE {table} ADD FROM {from} TO {to}");
        self.end(&statement, from)?;
        self.end(&statement, to)?;
        let known = self.table(&statement, table)?;
        let Rows::Edges(pairs) = &mut known.rows else {
            return Err(refused(statement, "it is a node table"));
        };
        match pairs.entry((from.to_owned(), to.to_owned())) {
            Entry::Occupied(_) => Ok(Way::Statements(Vec::new())),
            Entry::Vacant(place) => {
                place.insert(BTreeSet::new());
                if known.dropped_a_column {
                    return Ok(Way::StartAgain { reason: PAIR_AFTER_DROP.to_owned() });
                }
                Ok(Way::Statements(vec![statement::add_pair(table, from, to)?]))
            }
        }
    }

    /// What statements on the rows of node table `name` need.
    pub(crate) fn node_shape(&self, name: &str) -> Result<NodeShape, StoreError> {
        let statement = format!("MATCH (:{name})");
        let end = self.end(&statement, name)?;
        let columns = &self.tables[name].columns;
        let others = columns.iter().filter(|(column, _)| **column != end.primary_key);
        let others = others.map(|(column, column_type)| (column.clone(), column_type.clone())).collect();
        Ok(NodeShape { key_type: columns[&end.primary_key].clone(), columns: others, end })
    }

    /// What statements on the edges of table `name` between two node tables need.
    pub(crate) fn edge_shape(&self, name: &str, from: &str, to: &str) -> Result<EdgeShape, StoreError> {
        let statement = format!("MATCH (:{from})-[:{name}]->(:{to})");
        let (from, to) = (self.end(&statement, from)?, self.end(&statement, to)?);
        let key_types = [&from, &to].map(|end| self.tables[&end.table].columns[&end.primary_key].clone());
        let Some(Known { columns, rows: Rows::Edges(_), .. }) = self.tables.get(name) else {
            return Err(refused(statement, "no such edge table"));
        };
        let columns = columns.iter().map(|(column, column_type)| (column.clone(), column_type.clone())).collect();
        Ok(EdgeShape { table: name.to_owned(), from, to, key_types, columns })
    }

    /// The type of a column of a node table.
    pub(crate) fn node_column(&self, table: &str, column: &str) -> Option<&Type> {
        let known = self.tables.get(table).filter(|known| matches!(known.rows, Rows::Nodes { .. }))?;
        known.columns.get(column)
    }

    /// How many nodes a table holds.
    pub(crate) fn node_count(&self, name: &str) -> usize {
        match self.tables.get(name) {
            Some(Known { rows: Rows::Nodes { touching, .. }, .. }) => touching.len(),
            _ => 0,
        }
    }

    /// Refuses what is not the name of an edge table.
    pub(crate) fn check_edge_table(&self, name: &str) -> Result<(), StoreError> {
        match self.tables.get(name) {
            Some(Known { rows: Rows::Edges(_), .. }) => Ok(()),
            _ => Err(refused(format!("MATCH ()-[:{name}]->()"), "no such edge table")),
        }
    }

    /// Takes up the change of a node row.
    pub(crate) fn change_node(&mut self, table: &str, key: &Value, change: &RowChange) -> Result<(), StoreError> {
        let statement = || format!("{} {table}({key})", verb(change));
        let Some(Known { columns, rows: Rows::Nodes { primary_key, touching }, .. }) = self.tables.get_mut(table)
        else {
            return Err(refused(statement(), "no such node table"));
        };
        if *key == Value::Null || columns.get(primary_key).is_none_or(|key_type| !key.is_of(key_type)) {
            return Err(refused(statement(), format!("{primary_key} cannot be {key}")));
        }
        if let RowChange::Create(row) | RowChange::Update(row) = change {
            if row.contains_key(primary_key) {
                return Err(refused(statement(), format!("{primary_key} is the key and no part of a row")));
            }
            check_row(columns, row).map_err(|problem| refused(statement(), problem))?;
        }
        match (change, touching.entry(key.clone())) {
            (RowChange::Create(_), Entry::Vacant(place)) => drop(place.insert(0)),
            (RowChange::Update(_), Entry::Occupied(_)) => {}
            (RowChange::Delete, Entry::Occupied(place)) if *place.get() == 0 => drop(place.remove()),
            (RowChange::Delete, Entry::Occupied(place)) => {
                return Err(refused(statement(), format!("{} ends of edges touch it", place.get())));
            }
            (RowChange::Create(_), Entry::Occupied(_)) => return Err(refused(statement(), "it exists already")),
            (RowChange::Update(_) | RowChange::Delete, Entry::Vacant(_)) => {
                return Err(refused(statement(), "no such node"));
            }
        }
        Ok(())
    }

    /// Takes up the change of an edge row.
    pub(crate) fn change_edge(&mut self, table: &str, edge: &EdgeRef, change: &RowChange) -> Result<(), StoreError> {
        let statement = || format!("{} {table} {}", verb(change), edge.describe());
        let Some(Known { columns, rows: Rows::Edges(pairs), .. }) = self.tables.get_mut(table) else {
            return Err(refused(statement(), "no such edge table"));
        };
        if let RowChange::Create(row) | RowChange::Update(row) = change {
            check_row(columns, row).map_err(|problem| refused(statement(), problem))?;
        }
        let Some(edges) = pairs.get_mut(&(edge.from.table.clone(), edge.to.table.clone())) else {
            return Err(refused(statement(), "its table has no such pair"));
        };
        let key = (edge.from.key.clone(), edge.to.key.clone(), edge.discriminator.clone());
        match change {
            RowChange::Create(_) => {
                if !edges.insert(key) {
                    return Err(refused(statement(), "it exists already"));
                }
                for end in [&edge.from, &edge.to] {
                    let missing = || refused(statement(), format!("no node {}", end.describe()));
                    *self.touching(end).ok_or_else(missing)? += 1;
                }
            }
            RowChange::Update(_) if edges.contains(&key) => {}
            RowChange::Delete if edges.remove(&key) => {
                for end in [&edge.from, &edge.to] {
                    *self.touching(end).expect("a node stays while edges touch it") -= 1;
                }
            }
            RowChange::Update(_) | RowChange::Delete => return Err(refused(statement(), "no such edge")),
        }
        Ok(())
    }

    /// The database was made anew: no table has a hole where a column was.
    pub(crate) fn forget_dropped_columns(&mut self) {
        self.tables.values_mut().for_each(|known| known.dropped_a_column = false);
    }

    fn table(&mut self, statement: &str, name: &str) -> Result<&mut Known, StoreError> {
        self.tables.get_mut(name).ok_or_else(|| refused(statement, format!("no table {name}")))
    }

    fn end(&self, statement: &str, name: &str) -> Result<NodeEnd, StoreError> {
        match self.tables.get(name) {
            Some(Known { rows: Rows::Nodes { primary_key, .. }, .. }) => {
                Ok(NodeEnd { table: name.to_owned(), primary_key: primary_key.clone() })
            }
            _ => Err(refused(statement, format!("no node table {name}"))),
        }
    }

    fn touching(&mut self, node: &NodeRef) -> Option<&mut usize> {
        match &mut self.tables.get_mut(&node.table)?.rows {
            Rows::Nodes { touching, .. } => touching.get_mut(&node.key),
            Rows::Edges(_) => None,
        }
    }
}

fn verb(change: &RowChange) -> &'static str {
    match change {
        RowChange::Create(_) => "CREATE",
        RowChange::Update(_) => "UPDATE",
        RowChange::Delete => "DELETE",
    }
}

fn check_column_name(statement: &str, name: &str) -> Result<(), StoreError> {
    statement::quoted(name)?;
    let problem = if RESERVED.contains(&fold(name).as_str()) {
        "the name is Kùzu's own"
    } else if name == statement::DISCRIMINATOR {
        "the name is this store's own"
    } else if name == "*" {
        "Kùzu reads it as all columns, also between backticks"
    } else {
        return Ok(());
    };
    Err(refused(statement, format!("column {name}: {problem}")))
}

fn check_row(columns: &BTreeMap<String, Type>, row: &Row) -> Result<(), String> {
    for (column, value) in row {
        let column_type = columns.get(column).ok_or_else(|| format!("no column {column}"))?;
        if !value.is_of(column_type) {
            return Err(format!("column {column} is {column_type}; {value} is no such value"));
        }
    }
    Ok(())
}

//! The view, read back from Kùzu alone.
//!
//! Nothing here asks our own catalogue: names, types, keys and pairs come from Kùzu's, rows from scans, so that a
//! comparison with the reference store is one of what the database really holds. Whatever Kùzu says that no view can
//! hold (an unknown type, a row twice) is an error, not a guess.
//!
//! Kùzu 0.11.3 has no word for a table whose name contains a dot: `table_info` splits its argument there and looks for
//! an attached database. Such a table is described by the header of a scan, where its key comes first because the
//! statement that made it put it first.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::store::StoreError;
use kuzusync_core::store::text_index::TextIndex;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};

use crate::catalogue::NodeEnd;
use crate::engine::Engine;
use crate::statement::{self, DISCRIMINATOR, SHOW_INDEXES, SHOW_TABLES, refused};
use crate::text_index::obstacle_in_texts;
use crate::value::from_kuzu;

/// Everything the database holds.
pub(crate) fn read(engine: &mut Engine) -> Result<View, StoreError> {
    let mut view = View::default();
    let (nodes, edges): (Vec<_>, Vec<_>) = tables(engine)?.into_iter().partition(|(_, is_node)| *is_node);
    for (name, _) in nodes {
        let table = node_table(engine, &name)?;
        view.nodes.insert(name.clone(), node_rows(engine, &name, &table)?);
        view.tables.insert(name, table);
    }
    for (name, _) in edges {
        let (table, pairs) = edge_table(engine, &name)?;
        view.edges.insert(name.clone(), edge_rows(engine, &name, &table, &pairs, &view.tables)?);
        view.tables.insert(name, table);
    }
    Ok(view)
}

/// Every table, and whether it holds nodes.
fn tables(engine: &mut Engine) -> Result<Vec<(String, bool)>, StoreError> {
    let mut tables = Vec::new();
    for row in engine.execute(SHOW_TABLES, Vec::new())? {
        match texts(SHOW_TABLES, row)?.as_slice() {
            [name, kind] if kind == "NODE" => tables.push((name.clone(), true)),
            [name, kind] if kind == "REL" => tables.push((name.clone(), false)),
            other => return Err(refused(SHOW_TABLES, format!("neither nodes nor edges: {other:?}"))),
        }
    }
    Ok(tables)
}

/// An index as Kùzu tells of it.
pub(crate) struct KuzuIndex {
    pub(crate) index: TextIndex,
    pub(crate) columns: Vec<String>,
    /// Kùzu's name for its kind, if it is not a full-text index.
    pub(crate) other_kind: Option<String>,
}

/// Every index.
pub(crate) fn indexes(engine: &mut Engine) -> Result<Vec<KuzuIndex>, StoreError> {
    let read = |row: Vec<kuzu::Value>| {
        use kuzu::Value::{List, String};
        let [String(table), String(name), String(kind), List(_, columns)] = row.as_slice() else {
            return Err(refused(SHOW_INDEXES, format!("not an index: {row:?}")));
        };
        let columns = texts(SHOW_INDEXES, columns.clone())?;
        let other_kind = (kind != "FTS").then(|| kind.clone());
        Ok(KuzuIndex { index: TextIndex::new(table, name), columns, other_kind })
    };
    engine.execute(SHOW_INDEXES, Vec::new())?.into_iter().map(read).collect()
}

/// What keeps the texts of these columns out of an index, if anything does.
pub(crate) fn obstacle_in_columns(
    engine: &mut Engine,
    table: &str,
    columns: &[String],
) -> Result<Option<String>, StoreError> {
    let rows = engine.query(&statement::scan_columns(table, columns)?)?;
    Ok(obstacle_in_texts(rows.iter().flatten().filter_map(|value| match value {
        kuzu::Value::String(text) => Some(text.as_str()),
        _ => None,
    })))
}

fn node_table(engine: &mut Engine, name: &str) -> Result<Table, StoreError> {
    let (columns, key) = columns(engine, name, &statement::node_pattern(name)?)?;
    let primary_key = key.ok_or_else(|| refused(statement::show_columns(name), "no key"))?;
    Ok(Table { kind: TableKind::Node { primary_key }, columns })
}

type Columns = BTreeMap<String, Type>;

/// The columns of a table and, for nodes, the one that is the key.
fn columns(engine: &mut Engine, name: &str, pattern: &str) -> Result<(Columns, Option<String>), StoreError> {
    if name.contains('.') {
        return columns_by_scan(engine, pattern);
    }
    let (mut columns, mut key) = (Columns::new(), None);
    let statement = statement::show_columns(name);
    for row in engine.execute(&statement, Vec::new())? {
        // Property id, name, type, default expression, and for nodes whether it is the key.
        let [_, kuzu::Value::String(column), kuzu::Value::String(type_name), _, is_key] = row.as_slice() else {
            return Err(refused(statement, format!("not a column: {row:?}")));
        };
        if *is_key == kuzu::Value::Bool(true) {
            key = Some(column.clone());
        }
        columns.insert(column.clone(), column_type(&statement, column, type_name)?);
    }
    Ok((columns, key))
}

fn columns_by_scan(engine: &mut Engine, pattern: &str) -> Result<(Columns, Option<String>), StoreError> {
    let header = engine.header(&statement::scan_header(pattern))?;
    let names: Vec<_> = header.iter().map(|name| name.strip_prefix("n.").unwrap_or(name).to_owned()).collect();
    let statement = statement::scan_types(pattern, &names)?;
    let types = engine.query(&statement)?.into_iter().next().unwrap_or_default();
    let first = names.first().cloned();
    let read = |(name, type_name): (String, &String)| Ok((name.clone(), column_type(&statement, &name, type_name)?));
    let columns = names.into_iter().zip(&texts(&statement, types)?).map(read).collect::<Result<_, StoreError>>()?;
    Ok((columns, first))
}

fn column_type(statement: &str, column: &str, type_name: &str) -> Result<Type, StoreError> {
    type_name.parse().map_err(|error| refused(statement, format!("column {column}: {error}")))
}

/// An edge table and the key columns of its pairs, in the order of the pairs.
fn edge_table(engine: &mut Engine, name: &str) -> Result<(Table, Vec<(NodeEnd, NodeEnd)>), StoreError> {
    let ends = pairs(engine, name)?;
    let statement = statement::show_pairs(name);
    let (from, to) = ends.first().ok_or_else(|| refused(statement.as_str(), "no pair"))?;
    let (mut columns, _) = columns(engine, name, &statement::edge_pattern(name, from, to)?)?;
    if columns.remove(DISCRIMINATOR) != Some(Type::String) {
        return Err(refused(statement, format!("no column {DISCRIMINATOR}")));
    }
    let pairs: BTreeSet<_> = ends.iter().map(|(from, to)| (from.table.clone(), to.table.clone())).collect();
    Ok((Table { kind: TableKind::Edge { pairs }, columns }, ends))
}

/// The pairs of an edge table, with the key columns of their tables.
pub(crate) fn pairs(engine: &mut Engine, name: &str) -> Result<Vec<(NodeEnd, NodeEnd)>, StoreError> {
    let mut ends = Vec::new();
    let statement = statement::show_pairs(name);
    for row in engine.execute(&statement, Vec::new())? {
        let [from, to, from_key, to_key] = <[String; 4]>::try_from(texts(&statement, row)?)
            .map_err(|row| refused(statement.clone(), format!("not a pair: {row:?}")))?;
        ends.push((NodeEnd { table: from, primary_key: from_key }, NodeEnd { table: to, primary_key: to_key }));
    }
    Ok(ends)
}

/// Every node of a table.
pub(crate) fn node_rows(engine: &mut Engine, name: &str, table: &Table) -> Result<BTreeMap<Value, Row>, StoreError> {
    let TableKind::Node { primary_key } = &table.kind else { unreachable!("the caller reads node tables") };
    let key = table.columns.iter().filter(|(column, _)| *column == primary_key);
    let others = table.columns.iter().filter(|(column, _)| *column != primary_key);
    let selection = Selection::of(key.chain(others))?;
    let statement = statement::scan_nodes(name, &selection.expressions)?;
    let mut rows = BTreeMap::new();
    for row in engine.execute(&statement, Vec::new())? {
        let mut cells = selection.read(&statement, row.into_iter())?.into_iter();
        let (_, key) = cells.next().expect("the key is selected");
        if rows.insert(key.clone(), with_value(cells)).is_some() {
            return Err(refused(statement, format!("{key} comes twice")));
        }
    }
    Ok(rows)
}

fn edge_rows(
    engine: &mut Engine,
    name: &str,
    table: &Table,
    pairs: &[(NodeEnd, NodeEnd)],
    nodes: &BTreeMap<String, Table>,
) -> Result<BTreeMap<EdgeRef, Row>, StoreError> {
    let mut rows = BTreeMap::new();
    for (edge, row) in edges(engine, name, table, pairs, nodes, true)? {
        if let Some(twice) = rows.insert(edge, row) {
            return Err(refused(statement::show_pairs(name), format!("an edge comes twice: {twice:?}")));
        }
    }
    Ok(rows)
}

/// Every edge of a table; where they are not named apart, by its ends alone.
pub(crate) fn edges(
    engine: &mut Engine,
    name: &str,
    table: &Table,
    pairs: &[(NodeEnd, NodeEnd)],
    nodes: &BTreeMap<String, Table>,
    is_named: bool,
) -> Result<Vec<(EdgeRef, Row)>, StoreError> {
    let discriminator = is_named.then(|| (DISCRIMINATOR.to_owned(), Type::String));
    let named = discriminator.iter().map(|(name, of)| (name, of));
    let selection = Selection::of(named.chain(&table.columns))?;
    let mut rows = Vec::new();
    for (from, to) in pairs {
        let (from_type, to_type) = (key_type(name, from, nodes)?, key_type(name, to, nodes)?);
        let statement = statement::scan_edges(name, (from, from_type), (to, to_type), &selection.expressions)?;
        for row in engine.execute(&statement, Vec::new())? {
            let mut returned = row.into_iter();
            let mut node = |end: &NodeEnd, key_type| {
                let key = returned.next().ok_or_else(|| "an edge without its ends".to_owned());
                let key =
                    key.and_then(|key| from_kuzu(key, key_type)).map_err(|problem| refused(&statement, problem))?;
                Ok(NodeRef { table: end.table.clone(), key })
            };
            let (from, to) = (node(from, from_type)?, node(to, to_type)?);
            let mut cells = selection.read(&statement, returned)?.into_iter();
            let discriminator = match is_named.then(|| cells.next()) {
                None => String::new(),
                Some(Some((_, Value::String(discriminator)))) => discriminator,
                Some(_) => return Err(refused(statement, "an edge without a discriminator")),
            };
            rows.push((EdgeRef { from, to, discriminator }, with_value(cells)));
        }
    }
    Ok(rows)
}

fn key_type<'t>(table: &str, end: &NodeEnd, nodes: &'t BTreeMap<String, Table>) -> Result<&'t Type, StoreError> {
    let found = nodes.get(&end.table).and_then(|node| node.columns.get(&end.primary_key));
    found.ok_or_else(|| refused(statement::show_pairs(table), format!("{} has no key {}", end.table, end.primary_key)))
}

/// The cells that have a value.
fn with_value(cells: impl Iterator<Item = (String, Value)>) -> Row {
    cells.filter(|(_, value)| *value != Value::Null).collect()
}

/// What is read of each row: columns, and the expressions that return them.
pub(crate) struct Selection {
    columns: Vec<(String, Type)>,
    expressions: Vec<String>,
}

impl Selection {
    pub(crate) fn of<'c>(columns: impl Iterator<Item = (&'c String, &'c Type)>) -> Result<Self, StoreError> {
        let columns: Vec<_> = columns.map(|(name, of)| (name.clone(), of.clone())).collect();
        let expressions =
            columns.iter().map(|(name, of)| statement::selected(name, of)).collect::<Result<Vec<_>, _>>()?;
        Ok(Selection { columns, expressions: expressions.concat() })
    }

    /// What returns the columns' values.
    pub(crate) fn expressions(&self) -> &[String] {
        &self.expressions
    }

    /// Every column's value in a row of what the expressions returned.
    pub(crate) fn read(
        &self,
        statement: &str,
        mut returned: impl Iterator<Item = kuzu::Value>,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        let mut next = || returned.next().ok_or_else(|| "a row is too short".to_owned());
        let mut read = |of: &Type| match of {
            Type::Union(members) => {
                let (tag, value) = (next()?, next()?);
                let (kuzu::Value::String(tag), kuzu::Value::Union { value, .. }) = (tag, value) else {
                    return Ok(Value::Null);
                };
                let member = members.iter().find(|member| member.name == tag);
                let member = member.ok_or_else(|| format!("{tag} is no member of {of}"))?;
                Ok(Value::Union(tag, Box::new(from_kuzu(*value, &member.field_type)?)))
            }
            other => from_kuzu(next()?, other),
        };
        let cell = |(name, of): &(String, Type)| Ok((name.clone(), read(of)?));
        self.columns.iter().map(cell).collect::<Result<_, String>>().map_err(|problem| refused(statement, problem))
    }
}

pub(crate) fn texts(statement: &str, row: Vec<kuzu::Value>) -> Result<Vec<String>, StoreError> {
    let text = |value| match value {
        kuzu::Value::String(text) => Ok(text),
        other => Err(refused(statement, format!("not a text: {other}"))),
    };
    row.into_iter().map(text).collect()
}

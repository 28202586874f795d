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
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};

use crate::catalogue::NodeEnd;
use crate::engine::Engine;
use crate::statement::{self, DISCRIMINATOR, SHOW_TABLES, refused};
use crate::value::{from_kuzu, from_logical_type};

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
        view.edges.insert(name.clone(), edge_rows(engine, &name, &table, &pairs)?);
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

fn node_table(engine: &mut Engine, name: &str) -> Result<Table, StoreError> {
    let (columns, key) = columns(engine, name, true)?;
    let primary_key = key.ok_or_else(|| refused(statement::show_columns(name), "no key"))?;
    Ok(Table { kind: TableKind::Node { primary_key }, columns })
}

type Columns = BTreeMap<String, Type>;

/// The columns of a table and, for nodes, the one that is the key.
fn columns(engine: &mut Engine, name: &str, is_node: bool) -> Result<(Columns, Option<String>), StoreError> {
    if name.contains('.') {
        return columns_by_scan(engine, name, is_node);
    }
    let (mut columns, mut key) = (Columns::new(), None);
    let statement = statement::show_columns(name);
    for row in engine.execute(&statement, Vec::new())? {
        // Property id, name, type, default expression, and for nodes whether it is the key.
        let [_, kuzu::Value::String(column), kuzu::Value::String(type_name), _, is_key] = row.as_slice() else {
            return Err(refused(statement, format!("not a column: {row:?}")));
        };
        let column_type = Type::ALL.into_iter().find(|own| own.to_string() == *type_name);
        let column_type = column_type
            .ok_or_else(|| refused(statement.as_str(), format!("{column} has another type: {type_name}")))?;
        if *is_key == kuzu::Value::Bool(true) {
            key = Some(column.clone());
        }
        columns.insert(column.clone(), column_type);
    }
    Ok((columns, key))
}

fn columns_by_scan(engine: &mut Engine, name: &str, is_node: bool) -> Result<(Columns, Option<String>), StoreError> {
    let (mut columns, mut first) = (Columns::new(), None);
    let statement = statement::scan_header(name, is_node)?;
    for (column, logical_type) in engine.header(&statement)? {
        let column_type = from_logical_type(&logical_type)
            .ok_or_else(|| refused(statement.as_str(), format!("{column} has another type: {logical_type:?}")))?;
        let column = column.strip_prefix("n.").unwrap_or(&column).to_owned();
        first.get_or_insert_with(|| column.clone());
        columns.insert(column, column_type);
    }
    Ok((columns, first))
}

/// An edge table and the key columns of its pairs, in the order of the pairs.
fn edge_table(engine: &mut Engine, name: &str) -> Result<(Table, Vec<(NodeEnd, NodeEnd)>), StoreError> {
    let mut ends = Vec::new();
    let statement = statement::show_pairs(name);
    for row in engine.execute(&statement, Vec::new())? {
        let [from, to, from_key, to_key] = <[String; 4]>::try_from(texts(&statement, row)?)
            .map_err(|row| refused(statement.clone(), format!("not a pair: {row:?}")))?;
        ends.push((NodeEnd { table: from, primary_key: from_key }, NodeEnd { table: to, primary_key: to_key }));
    }
    let (mut columns, _) = columns(engine, name, false)?;
    if columns.remove(DISCRIMINATOR) != Some(Type::String) {
        return Err(refused(statement, format!("no column {DISCRIMINATOR}")));
    }
    let pairs: BTreeSet<_> = ends.iter().map(|(from, to)| (from.table.clone(), to.table.clone())).collect();
    Ok((Table { kind: TableKind::Edge { pairs }, columns }, ends))
}

fn node_rows(engine: &mut Engine, name: &str, table: &Table) -> Result<BTreeMap<Value, Row>, StoreError> {
    let TableKind::Node { primary_key } = &table.kind else { unreachable!("the caller reads node tables") };
    let others: Vec<_> = table.columns.keys().map(String::as_str).filter(|column| column != primary_key).collect();
    let selected: Vec<_> = std::iter::once(primary_key.as_str()).chain(others.iter().copied()).collect();
    let statement = statement::scan_nodes(name, &selected)?;
    let mut rows = BTreeMap::new();
    for row in engine.execute(&statement, Vec::new())? {
        let mut values = values(&statement, row)?.into_iter();
        let key = values.next().unwrap_or(Value::Null);
        if rows.insert(key.clone(), self::row(&others, values)).is_some() {
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
) -> Result<BTreeMap<EdgeRef, Row>, StoreError> {
    let others: Vec<_> = table.columns.keys().map(String::as_str).collect();
    let selected: Vec<_> = std::iter::once(DISCRIMINATOR).chain(others.iter().copied()).collect();
    let mut rows = BTreeMap::new();
    for (from, to) in pairs {
        let statement = statement::scan_edges(name, from, to, &selected)?;
        for row in engine.execute(&statement, Vec::new())? {
            let mut values = values(&statement, row)?.into_iter();
            let mut next = || values.next().unwrap_or(Value::Null);
            let (from, to) = (node(from, next()), node(to, next()));
            let Value::String(discriminator) = next() else {
                return Err(refused(statement, "an edge without a discriminator"));
            };
            let edge = EdgeRef { from, to, discriminator };
            if rows.insert(edge.clone(), self::row(&others, values)).is_some() {
                return Err(refused(statement, format!("{edge:?} comes twice")));
            }
        }
    }
    Ok(rows)
}

fn node(end: &NodeEnd, key: Value) -> NodeRef {
    NodeRef { table: end.table.clone(), key }
}

/// The columns that have a value.
fn row(columns: &[&str], values: impl Iterator<Item = Value>) -> Row {
    let cells = columns.iter().map(|column| (*column).to_owned()).zip(values);
    cells.filter(|(_, value)| *value != Value::Null).collect()
}

fn values(statement: &str, row: Vec<kuzu::Value>) -> Result<Vec<Value>, StoreError> {
    row.into_iter().map(|value| from_kuzu(value).map_err(|problem| refused(statement, problem))).collect()
}

fn texts(statement: &str, row: Vec<kuzu::Value>) -> Result<Vec<String>, StoreError> {
    let text = |value| match value {
        kuzu::Value::String(text) => Ok(text),
        other => Err(refused(statement, format!("not a text: {other}"))),
    };
    row.into_iter().map(text).collect()
}

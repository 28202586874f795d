//! Adoption: what an existing database holds, as the transactions that make it part of the history.
//!
//! A database that was in use before it is synchronised has a schema and rows and no history. Adopting it writes one: first
//! all its tables in one transaction, then its rows, some thousand at a time. Nothing is applied to the database that was
//! read; the replica shows the same graph in its own store.
//!
//! Two replicas that adopt copies of one database make the same history. Tables and columns made anew have the same
//! identities wherever they are made, rows have their keys, and parallel edges are numbered in the order of their values.
//! The transactions themselves are named by what they hold, so a replica that was interrupted goes on where it stopped, and
//! a main takes equal copies once. (DDL Synchronisation, case B5; DDL Integration Plan, case A8.)

use std::collections::BTreeMap;

use crate::ddl::{Column, IndexKind, Multiplicity, Rule};
use crate::id::{Digest, TxId, canonical_bytes};
use crate::statement::{EdgeName, Properties, Statement, Transaction};
use crate::value::{Type, Value};
use crate::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};

/// Rows of one transaction at most.
const ROWS_MAX: usize = 1_000;

/// Bytes of one transaction's statements at most; a change that carries them out is no longer.
const BYTES_MAX: usize = 1 << 20;

/// What an existing database holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Tables and rows. Of a row every column is there that has a value.
    pub view: View,
    /// The constants that new rows take, by table and column.
    pub defaults: BTreeMap<(String, String), Value>,
    /// What tables are for, by name.
    pub comments: BTreeMap<String, String>,
    /// The edge tables of which a node may not have any number of edges.
    pub multiplicities: BTreeMap<String, Multiplicity>,
    /// Indexes that replicas can agree on.
    pub indexes: Vec<FoundIndex>,
    /// What is not adopted, in words: for people to know.
    pub left_behind: Vec<String>,
}

/// An index of an existing database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundIndex {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// What it is for.
    pub kind: IndexKind,
    /// What it covers, in order.
    pub columns: Vec<String>,
}

/// Numbers parallel edges in the order of their values: the first of those between two nodes has no name, the others are
/// called 2, 3 and so on. Equal databases give equal names, whatever the order in which their edges are read.
#[must_use]
pub fn number_edges(edges: impl IntoIterator<Item = (EdgeRef, Row)>) -> BTreeMap<EdgeRef, Row> {
    let mut parallel: BTreeMap<EdgeRef, Vec<Row>> = BTreeMap::new();
    for (edge, row) in edges {
        parallel.entry(edge).or_default().push(row);
    }
    let mut numbered = BTreeMap::new();
    for (edge, mut rows) in parallel {
        rows.sort();
        for (number, row) in (1..).zip(rows) {
            let discriminator = if number == 1 { String::new() } else { format!("{number}") };
            numbered.insert(EdgeRef { discriminator, ..edge.clone() }, row);
        }
    }
    numbered
}

/// The transactions that make what was found, in order: tables, then nodes, then edges. Each is whole or not at all, and
/// submitting one again changes nothing.
#[must_use]
pub fn transactions(found: &Found) -> Vec<Transaction> {
    let mut all = Vec::new();
    let mut portion = Vec::new();
    let tables = tables(found);
    if !tables.is_empty() {
        all.push(transaction(tables));
    }
    let mut bytes = 0;
    for statement in rows(found) {
        let length = canonical_bytes(&statement, Vec::new()).len();
        if portion.len() == ROWS_MAX || (bytes + length > BYTES_MAX && !portion.is_empty()) {
            all.push(transaction(std::mem::take(&mut portion)));
            bytes = 0;
        }
        bytes += length;
        portion.push(statement);
    }
    if !portion.is_empty() {
        all.push(transaction(portion));
    }
    all
}

fn transaction(statements: Vec<Statement>) -> Transaction {
    let digest = Digest::of(&[b"adopt", &canonical_bytes(&statements, Vec::new())]);
    Transaction { tx: TxId(digest.0), statements, ..Transaction::default() }
}

/// Node tables before the edge tables between them.
fn tables(found: &Found) -> Vec<Statement> {
    let is_node = |table: &Table| matches!(table.kind, TableKind::Node { .. });
    let (nodes, edges): (Vec<_>, Vec<_>) = found.view.tables.iter().partition(|(_, table)| is_node(table));
    let tables = nodes.into_iter().chain(edges).flat_map(|(name, table)| create(found, name, table));
    let index = |FoundIndex { table, index, kind, columns }: &FoundIndex| {
        let (table, index, columns) = (table.clone(), index.clone(), columns.clone());
        Statement::CreateIndex { table, index, kind: *kind, columns }
    };
    tables.chain(found.indexes.iter().map(index)).collect()
}

fn create(found: &Found, name: &str, table: &Table) -> Vec<Statement> {
    let column = |(column, of): (&String, &Type)| Column {
        name: column.clone(),
        column_type: of.clone(),
        default: found.defaults.get(&(name.to_owned(), column.clone())).cloned(),
    };
    let columns: Vec<Column> = table.columns.iter().map(column).collect();
    let table_name = name.to_owned();
    let mut statements = Vec::new();
    match &table.kind {
        TableKind::Node { primary_key } => {
            let primary_key = primary_key.clone();
            statements.push(Statement::CreateNodeTable { table: table_name.clone(), columns, primary_key });
        }
        TableKind::Edge { pairs } => {
            let mut columns = Some(columns);
            for (from, to) in pairs {
                let (table, from, to) = (table_name.clone(), from.clone(), to.clone());
                statements.push(match columns.take() {
                    Some(columns) => Statement::CreateEdgeTable { table, from, to, columns },
                    None => Statement::AddPair { table, from, to },
                });
            }
        }
    }
    if let Some(multiplicity) = found.multiplicities.get(name) {
        let rule = Rule::Multiplicity(*multiplicity);
        statements.push(Statement::SetRule { table: table_name.clone(), rule });
    }
    if let Some(comment) = found.comments.get(name).filter(|comment| !comment.is_empty()) {
        statements.push(Statement::CommentOnTable { table: table_name, comment: comment.clone() });
    }
    statements
}

fn rows(found: &Found) -> impl Iterator<Item = Statement> {
    let key_of = |table: &String| match &found.view.tables[table].kind {
        TableKind::Node { primary_key } => primary_key.clone(),
        TableKind::Edge { .. } => String::new(),
    };
    let nodes = found.view.nodes.iter().flat_map(move |(table, rows)| {
        let primary_key = key_of(table);
        rows.iter().map(move |(key, row)| {
            let mut properties = properties(found, table, row);
            properties.insert(primary_key.clone(), key.clone());
            Statement::CreateNode { table: table.clone(), properties }
        })
    });
    let edges = found.view.edges.iter().flat_map(move |(table, rows)| {
        rows.iter().map(move |(edge, row)| {
            let end = |node: &NodeRef| (node.table.clone(), node.key.clone());
            let (from, to, discriminator) = (end(&edge.from), end(&edge.to), edge.discriminator.clone());
            let properties = properties(found, table, row);
            Statement::CreateEdge { edge: EdgeName { table: table.clone(), from, to, discriminator }, properties }
        })
    });
    nodes.chain(edges)
}

/// The values of a row. Where it has none and a new row would take a default, NULL is a value of its own.
fn properties(found: &Found, table: &str, row: &Row) -> Properties {
    let mut properties: Properties = row.clone();
    let defaults = found.defaults.keys().filter(|(of, _)| of == table);
    for (_, column) in defaults {
        properties.entry(column.clone()).or_insert(Value::Null);
    }
    properties
}

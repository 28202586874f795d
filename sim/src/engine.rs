//! Graph stores that fail: an engine that gives up at a statement, or whose handle is lost there.
//!
//! A delta is carried out up to a chosen statement. Then the engine reports an error, or it is gone: the store is opened
//! again, empty if it was in memory, and with half a delta if it was on disk. Either way it is in doubt, and its replica
//! is asked what it should hold.

use std::collections::BTreeMap;

use kuzusync_core::view::{RowChange, ViewDelta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way in which a graph store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreFault {
    /// It refuses a statement.
    Error,
    /// Its handle is lost, and another one is opened.
    Abandonment,
}

/// A failure that is to come.
#[derive(Clone, Copy, Debug)]
pub struct Armed {
    /// Which.
    pub fault: StoreFault,
    /// Statements that it still carries out.
    pub after_statements: u32,
}

/// How many statements a delta is.
#[must_use]
pub fn statements(delta: &ViewDelta) -> u32 {
    let rows = delta.nodes.values().map(BTreeMap::len).chain(delta.edges.values().map(BTreeMap::len));
    u32::try_from(delta.schema.len() + rows.sum::<usize>()).unwrap_or(u32::MAX)
}

/// The first statements of a delta, in the order in which a store carries it out.
#[must_use]
pub fn first(delta: &ViewDelta, mut statements: u32) -> ViewDelta {
    let mut takes = || {
        let is_left = statements > 0;
        statements = statements.saturating_sub(1);
        is_left
    };
    let schema = delta.schema.iter().take_while(|_| takes()).cloned().collect();
    let mut part = ViewDelta { schema, ..ViewDelta::default() };
    let is_delete = |change: &RowChange| matches!(change, RowChange::Delete);
    for (nodes, deletes) in [(false, true), (true, true), (true, false), (false, false)] {
        if nodes {
            take_rows(&delta.nodes, &mut part.nodes, |change| is_delete(change) == deletes && takes());
        } else {
            take_rows(&delta.edges, &mut part.edges, |change| is_delete(change) == deletes && takes());
        }
    }
    part
}

type Rows<K> = BTreeMap<String, BTreeMap<K, RowChange>>;

fn take_rows<K: Ord + Clone>(from: &Rows<K>, into: &mut Rows<K>, mut takes: impl FnMut(&RowChange) -> bool) {
    for (table, rows) in from {
        for (row, change) in rows {
            if takes(change) {
                into.entry(table.clone()).or_default().insert(row.clone(), change.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_core::store::GraphStore;
    use kuzusync_core::store::memory::MemoryStore;
    use kuzusync_core::value::{Type, Value};
    use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};

    fn table(kind: TableKind) -> Table {
        Table { kind, columns: [("id".to_owned(), Type::Int64)].into() }
    }

    fn view(keys: &[i64], edges: &[(i64, i64)]) -> View {
        let row = |key: i64| Row::from([("id".to_owned(), Value::from(key))]);
        let node = |key: i64| NodeRef { table: "N".into(), key: Value::from(key) };
        let edge = |(from, to): &(i64, i64)| {
            (EdgeRef { from: node(*from), to: node(*to), discriminator: String::new() }, row(0))
        };
        let (node_kind, edge_kind) = (
            TableKind::Node { primary_key: "id".into() },
            TableKind::Edge { pairs: [("N".to_owned(), "N".to_owned())].into() },
        );
        View {
            tables: [("N".to_owned(), table(node_kind)), ("E".to_owned(), table(edge_kind))].into(),
            nodes: [("N".to_owned(), keys.iter().map(|key| (Value::from(*key), row(*key))).collect())].into(),
            edges: [("E".to_owned(), edges.iter().map(edge).collect())].into(),
        }
    }

    /// Whatever its length, the beginning of a delta is one that a store can carry out.
    #[test]
    fn every_beginning_of_a_delta_can_be_carried_out_and_the_whole_is_the_delta() {
        let delta = view(&[1, 2, 3], &[(1, 2), (2, 3)]).to_delta();
        assert_eq!(statements(&delta), 7);
        for length in 0..=7 {
            let part = first(&delta, length);
            assert_eq!(statements(&part), length);
            assert_eq!(MemoryStore::default().apply(&part), Ok(()), "{length} statements");
        }
        assert_eq!(first(&delta, 7), delta);
    }

    #[test]
    fn edges_go_before_the_nodes_they_touch() {
        let mut delta = ViewDelta::default();
        let held = view(&[1, 2], &[(1, 2)]);
        delta.nodes.insert("N".into(), [(Value::from(1_i64), RowChange::Delete)].into());
        let edge = held.edges["E"].keys().next().cloned().unwrap();
        delta.edges.insert("E".into(), [(edge, RowChange::Delete)].into());
        let part = first(&delta, 1);
        assert!(part.nodes.is_empty() && part.edges.len() == 1, "{part:?}");
        let mut store = MemoryStore::default();
        store.rebuild(&held).unwrap();
        assert_eq!(store.apply(&part), Ok(()));
    }
}

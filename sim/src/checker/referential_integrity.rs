//! No view ever shows an edge without both its ends.
//!
//! Every delta is carried out on a store of the checker's own, which refuses an edge without its ends and the deletion of
//! a node that an edge touches.

use std::collections::BTreeMap;

use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::store::{GraphStore, StoreError};

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct ReferentialIntegrity {
    /// What each host shows.
    stores: BTreeMap<u32, MemoryStore>,
}

impl Checker for ReferentialIntegrity {
    fn property(&self) -> Property {
        Property::ReferentialIntegrity
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Rebuilt { view, .. } => {
                let mut store = MemoryStore::default();
                let result = store.rebuild(view);
                self.stores.insert(host, store);
                result.map_err(|error| impossible(host, &error))?;
            }
            EventKind::Viewed(delta) => {
                if let Some(store) = self.stores.get_mut(&host) {
                    store.apply(delta).map_err(|error| impossible(host, &error))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            for (table, edges) in &replica.view.edges {
                for edge in edges.keys() {
                    let missing = [&edge.from, &edge.to]
                        .into_iter()
                        .find(|end| replica.view.node(&end.table, &end.key).is_none());
                    if let Some(end) = missing {
                        let host = replica.host;
                        let message = format!(
                            "replica {host} shows an edge of {table} without its end {}({})",
                            end.table, end.key
                        );
                        return Err(Finding::new(message, &[host]));
                    }
                }
            }
        }
        Ok(())
    }
}

fn impossible(host: u32, error: &StoreError) -> Finding {
    Finding::new(format!("replica {host} showed a view that no graph can have: {error}"), &[host])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{event, state};
    use kuzusync_core::value::{Type, Value};
    use kuzusync_core::view::{EdgeRef, NodeRef, Row, RowChange, Table, TableKind, View, ViewDelta};

    /// One node table, one edge table, nodes 1 and 2 and the edge between them.
    fn sample() -> View {
        let mut view = View::default();
        let columns = BTreeMap::from([("id".to_owned(), Type::Int64)]);
        view.tables.insert("N".into(), Table { kind: TableKind::Node { primary_key: "id".into() }, columns });
        let pairs = [("N".to_owned(), "N".to_owned())].into();
        view.tables.insert("E".into(), Table { kind: TableKind::Edge { pairs }, columns: BTreeMap::new() });
        view.nodes.insert("N".into(), [1, 2].map(|key| (Value::from(key), Row::new())).into());
        view.edges.insert("E".into(), [(edge(), Row::new())].into());
        view
    }

    fn edge() -> EdgeRef {
        let end = |key: i64| NodeRef { table: "N".into(), key: key.into() };
        EdgeRef { from: end(1), to: end(2), discriminator: String::new() }
    }

    fn shows(view: &View) -> ReplicaState {
        ReplicaState { view: view.clone(), ..state(0, &[]) }
    }

    #[test]
    fn a_delta_that_leaves_an_edge_without_its_end_is_found() {
        let mut checker = ReferentialIntegrity::default();
        checker.observe(&event(0, EventKind::Rebuilt { is_opening: true, view: sample() })).unwrap();
        let nodes = BTreeMap::from([("N".to_owned(), BTreeMap::from([(Value::from(1), RowChange::Delete)]))]);
        let alone = ViewDelta { nodes: nodes.clone(), ..ViewDelta::default() };
        let edges = BTreeMap::from([("E".to_owned(), BTreeMap::from([(edge(), RowChange::Delete)]))]);
        let found = checker.observe(&event(0, EventKind::Viewed(alone))).unwrap_err();
        assert!(found.message.contains("an edge touches"), "{found:?}");
        let both = ViewDelta { nodes, edges, ..ViewDelta::default() };
        assert_eq!(checker.observe(&event(0, EventKind::Viewed(both))), Ok(()));
    }

    #[test]
    fn an_edge_without_its_end_in_a_view_at_rest_is_found() {
        let mut view = sample();
        let mut checker = ReferentialIntegrity::default();
        assert_eq!(checker.judge(&[shows(&view)]), Ok(()));
        view.nodes.get_mut("N").unwrap().remove(&Value::from(2));
        assert!(checker.judge(&[shows(&view)]).unwrap_err().message.contains("without its end N(2)"));
    }
}

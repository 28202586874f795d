//! Whoever deletes a node deletes, in the same change, every edge of it that it knew: otherwise the old edges would come
//! back with a node that is created again.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, Edge, Element, Node, Op};
use kuzusync_core::id::ChangeId;
use kuzusync_core::snapshot::Purged;

use crate::checker::{Checker, Finding};
use crate::outcome::{Property, ReplicaState};

/// See the module.
pub struct Deletion;

impl Checker for Deletion {
    fn property(&self) -> Property {
        Property::Deletion
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let Some(replica) = replicas.first() else { return Ok(()) };
        let rejected: BTreeSet<ChangeId> = replica.rejections.iter().map(|rejection| rejection.change).collect();
        let changes: Vec<&Change> = replica.log.iter().map(|entry| entry.change.as_ref()).collect();
        let writes = edge_writes(&changes);
        for change in &changes {
            // What its author saw is not in the log whole, or it was written for an earlier state.
            if change.replaces.is_some() || rejected.iter().any(|id| change.seen.contains(*id)) {
                continue;
            }
            for op in &change.ops {
                let Op::Delete { element: Element::Node(node) } = op else { continue };
                if let Some(edge) = left_behind(change, node, &writes, &replica.purged) {
                    let (from, to) = (&edge.from.key, &edge.to.key);
                    let message =
                        format!("change {} deletes a node and leaves the edge {from}→{to} that it knew", change.id);
                    return Err(Finding::new(message, &[]));
                }
            }
        }
        Ok(())
    }
}

/// Inserts and deletes of edges, with the change and the place of each in it.
type EdgeWrites<'a> = BTreeMap<&'a Edge, Vec<(&'a Change, usize, bool)>>;

fn edge_writes<'a>(changes: &[&'a Change]) -> EdgeWrites<'a> {
    let mut writes = EdgeWrites::new();
    for change in changes {
        for (index, op) in change.ops.iter().enumerate() {
            match op {
                Op::Insert { element: Element::Edge(edge), .. } => {
                    writes.entry(edge).or_default().push((change, index, true));
                }
                Op::Delete { element: Element::Edge(edge) } => {
                    writes.entry(edge).or_default().push((change, index, false));
                }
                _ => {}
            }
        }
    }
    writes
}

/// An edge at `node` that the author of `change` knew to be there, whatever the policy, and does not delete.
fn left_behind<'a>(
    change: &Change,
    node: &Node,
    writes: &EdgeWrites<'a>,
    purged: &BTreeSet<Purged>,
) -> Option<&'a Edge> {
    let is_deleted_with_it = |edge: &Edge| {
        change.ops.iter().any(|op| matches!(op, Op::Delete { element: Element::Edge(other) } if **other == *edge))
    };
    // Of a dropped table nothing may be left that could be deleted.
    let is_left = |edge: &&Edge| !purged.contains(&Purged { table: edge.table, column: None });
    let touches = |edge: &&Edge| edge.from == *node || edge.to == *node;
    let is_known = |edge: &&Edge| {
        let seen: Vec<_> = writes[*edge].iter().filter(|(write, ..)| change.seen.contains(write.id)).collect();
        let is_last = |(insert, index, is_insert): &(&Change, usize, bool)| {
            let before = |(delete, other, is_insert): &&(&Change, usize, bool)| {
                *is_insert || insert.seen.contains(delete.id) || (insert.id == delete.id && other < index)
            };
            *is_insert && seen.iter().all(before)
        };
        seen.iter().any(|write| is_last(write))
    };
    writes.keys().copied().filter(is_left).filter(touches).filter(is_known).find(|edge| !is_deleted_with_it(edge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, connect, delete, edge, id, insert, numbered, state, user};

    #[test]
    fn an_edge_that_the_deleter_knew_and_left_is_found_and_one_it_had_not_seen_is_not() {
        let made = change(id(1, 1), 1, &[], vec![insert(1, "a"), insert(2, "b"), connect(1, 2)]);
        let verdict = |changes: &[std::sync::Arc<Change>]| {
            let mut replica = state(0, changes);
            replica.log = numbered(changes);
            Deletion.judge(&[replica])
        };
        let leaves = change(id(2, 1), 2, &[made.id], vec![delete(user(1))]);
        assert!(verdict(&[made.clone(), leaves]).unwrap_err().message.contains("leaves the edge 1→2"));
        let takes = change(id(2, 1), 2, &[made.id], vec![delete(edge(1, 2)), delete(user(1))]);
        assert_eq!(verdict(&[made.clone(), takes]), Ok(()));
        let had_not_seen = change(id(2, 1), 2, &[], vec![delete(user(1))]);
        assert_eq!(verdict(&[made.clone(), had_not_seen]), Ok(()));
        let mut replica = state(0, &[made.clone(), change(id(2, 1), 2, &[made.id], vec![delete(user(1))])]);
        replica.purged.insert(Purged { table: edge(1, 2).table(), column: None });
        assert_eq!(Deletion.judge(&[replica]), Ok(()), "nothing of its table is left");
        let gone = change(id(1, 2), 2, &[], vec![delete(edge(1, 2))]);
        let after = change(id(2, 1), 3, &[gone.id], vec![delete(user(1))]);
        assert_eq!(verdict(&[made, gone, after]), Ok(()), "it was deleted before");
    }
}

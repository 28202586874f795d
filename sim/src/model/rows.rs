//! What exists, what is shown, and what a cell holds.

use std::collections::BTreeMap;

use kuzusync_core::change::{Edge, Element, Node, Op};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::policy::Policy;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, TableKind, View};

use super::{Model, Placed, greatest};

/// An edge that would be shown if another had not taken its place at a node that may have one only.
pub struct Hidden<'a> {
    pub edge: &'a Edge,
    /// What made it.
    pub add: Placed<'a>,
    /// The edge that took its place; the greater of two.
    pub taken_by: &'a Edge,
    /// What made that one.
    pub taken_with: Placed<'a>,
}

impl<'a> Model<'a> {
    /// The graph as it is shown.
    #[must_use]
    pub fn view(&self) -> View {
        let mut view = View { tables: self.tables.shown(), ..View::default() };
        for (name, table) in &view.tables {
            match table.kind {
                TableKind::Node { .. } => drop(view.nodes.insert(name.clone(), BTreeMap::new())),
                TableKind::Edge { .. } => drop(view.edges.insert(name.clone(), BTreeMap::new())),
            }
        }
        for element in self.rows.keys() {
            if let Element::Node(node) = element
                && self.is_node_shown(node)
            {
                let rows = view.nodes.entry(self.tables.name(node.table)).or_default();
                rows.insert(node.key.clone(), self.row(element));
            }
        }
        let node_ref = |node: &Node| NodeRef { table: self.tables.name(node.table), key: node.key.clone() };
        for (edge, _) in self.tables.edge_tables().flat_map(|table| self.decide(table).0) {
            let rows = view.edges.entry(self.tables.name(edge.table)).or_default();
            let (from, to) = (node_ref(&edge.from), node_ref(&edge.to));
            let shown = EdgeRef { from, to, discriminator: edge.discriminator.clone() };
            rows.insert(shown, self.row(&Element::Edge(edge.clone())));
        }
        view
    }

    // ---- what exists ----

    /// The greatest delete of an element under a policy.
    fn deleted_by(&self, element: &Element, policy: Policy) -> Option<Placed<'a>> {
        let writes = self.writes(element).iter().copied();
        greatest(writes.filter(|write| matches!(write.op, Op::Delete { .. })), policy)
    }

    /// The write that makes an element exist: its greatest insert if that outranks its greatest delete; in a table whose
    /// rows any write revives, else its greatest other write, if that does.
    fn added_by(&self, element: &Element) -> Option<Placed<'a>> {
        let rules = self.tables.rules(element.table());
        let delete = self.deleted_by(element, rules.policy);
        let outranks_delete =
            |write: &Placed<'_>| delete.is_none_or(|delete| write.outranks(&delete, rules.policy));
        let writes = || self.writes(element).iter().copied();
        let inserts = writes().filter(|write| matches!(write.op, Op::Insert { .. }));
        let updates = writes().filter(|write| matches!(write.op, Op::Update { .. } | Op::Increment { .. }));
        let insert = greatest(inserts, rules.policy).filter(outranks_delete);
        let update = greatest(updates, rules.policy).filter(|write| rules.update_revives && outranks_delete(write));
        insert.or(update)
    }

    /// Whether it exists by an insert, so that what it held before its last delete is gone.
    fn is_inserted(&self, element: &Element) -> bool {
        self.added_by(element).is_some_and(|add| matches!(add.op, Op::Insert { .. }))
    }

    fn is_node_shown(&self, node: &Node) -> bool {
        let is_known = self.tables.definition(node.table).is_some();
        is_known && (self.added_by(&Element::Node(node.clone())).is_some() || self.is_revived(node))
    }

    /// Whether a deleted node is kept by an edge that its deleter had not seen.
    fn is_revived(&self, node: &Node) -> bool {
        let policy = self.tables.rules(node.table).policy;
        let Some(delete) = self.deleted_by(&Element::Node(node.clone()), policy) else { return false };
        self.rows.keys().any(|element| {
            let Element::Edge(edge) = element else { return false };
            let is_unseen =
                |add: Placed<'_>| add.change.id != delete.change.id && !delete.change.seen.contains(add.change.id);
            (edge.from == *node || edge.to == *node)
                && self.tables.rules(edge.table).revive
                && self.added_by(element).is_some_and(is_unseen)
        })
    }

    /// The edges of a table that are shown, and those that multiplicity hides, each with what made it. In descending order
    /// an edge shows if the places it needs at its ends are free.
    pub(super) fn decide(&self, table: TableId) -> (Vec<(&'a Edge, Placed<'a>)>, Vec<Hidden<'a>>) {
        let rules = self.tables.rules(table);
        let mut edges: Vec<(&Edge, Placed<'_>)> = Vec::new();
        for element in self.rows.keys() {
            if let Element::Edge(edge) = element
                && edge.table == table
                && [&edge.from, &edge.to].into_iter().all(|end| self.is_node_shown(end))
                && let Some(add) = self.added_by(element)
            {
                edges.push((edge, add));
            }
        }
        edges.sort_by_key(|(_, add)| std::cmp::Reverse(add.standing(rules.policy)));
        let (mut shown, mut hidden): (Vec<(&Edge, Placed<'_>)>, Vec<_>) = (Vec::new(), Vec::new());
        for (edge, add) in edges {
            let takes_place = |(other, _): &&(&Edge, Placed<'_>)| {
                (rules.multiplicity.limits_starts() && other.from == edge.from)
                    || (rules.multiplicity.limits_ends() && other.to == edge.to)
            };
            // The first is the greatest.
            match shown.iter().find(takes_place) {
                None => shown.push((edge, add)),
                Some(&(taken_by, taken_with)) => hidden.push(Hidden { edge, add, taken_by, taken_with }),
            }
        }
        (shown, hidden)
    }

    // ---- what a row holds ----

    fn row(&self, element: &Element) -> Row {
        let definition = self.tables.definition(element.table()).expect("only rows of known tables are shown");
        let cell = |(id, (name, column_type)): (&ColumnId, &(String, Type))| {
            Some((name.clone(), self.cell(element, *id, column_type)?))
        };
        definition.columns.iter().filter_map(cell).collect()
    }

    /// What a cell of an existing row shows: its greatest value, and what was added that the value's author had not seen.
    fn cell(&self, element: &Element, column: ColumnId, column_type: &Type) -> Option<Value> {
        let policy = self.tables.rules(element.table()).column_policy(column);
        let delete = self.deleted_by(element, policy).filter(|_| self.is_inserted(element));
        let counts = |write: &Placed<'_>| delete.is_none_or(|delete| write.outranks(&delete, policy));
        let writes = || self.writes(element).iter().copied().filter(counts);
        let base = greatest(writes().filter(|write| value(write.op, column).is_some()), policy);
        let is_unseen = |write: &Placed<'_>| base.is_none_or(|base| !base.comes_after(write));
        let increments: Vec<(Placed<'_>, &Value)> =
            writes().filter(is_unseen).filter_map(|write| Some((write, increment(write.op, column)?))).collect();
        let base = base.and_then(|base| value(base.op, column)).unwrap_or(&Value::Null);
        let shown = match increments.iter().max_by_key(|(write, _)| write.standing(Policy::PreferMain)) {
            None => base.cast(column_type)?,
            Some((_, last)) => {
                let sum_type = if column_type.is_summable() { column_type.clone() } else { last.type_of()? };
                let addends = increments.iter().map(|(_, by)| *by).chain([base]).filter(|addend| **addend != Value::Null);
                sum(addends, &sum_type)?.cast(column_type)?
            }
        };
        Some(shown).filter(|value| *value != Value::Null)
    }

    // ---- what a run reached ----

    /// Nodes that are shown only because an edge keeps them.
    pub fn revived_nodes(&self) -> impl Iterator<Item = &'a Node> {
        self.rows.keys().filter_map(|element| match element {
            Element::Node(node) if self.added_by(element).is_none() && self.is_node_shown(node) => Some(node),
            _ => None,
        })
    }

    /// Rows that exist only because they were written to after they were deleted.
    pub fn rows_revived_by_updates(&self) -> impl Iterator<Item = &'a Element> {
        let is_revived = |element: &&&Element| self.added_by(element).is_some() && !self.is_inserted(element);
        self.rows.keys().filter(is_revived).copied()
    }
}

/// What an operation writes into a column.
pub(super) fn value(op: &Op, column: ColumnId) -> Option<&Value> {
    match op {
        Op::Insert { cells, .. } | Op::Update { cells, .. } => cells.get(&column),
        Op::Increment { .. } | Op::Delete { .. } | Op::Schema(_) => None,
    }
}

/// What an operation adds to a column.
pub(super) fn increment(op: &Op, of: ColumnId) -> Option<&Value> {
    match op {
        Op::Increment { column, by, .. } if *column == of => Some(by),
        _ => None,
    }
}

/// The sum, if every addend and the sum itself are in the range of its type.
fn sum<'v>(addends: impl Iterator<Item = &'v Value>, sum_type: &Type) -> Option<Value> {
    let addends: Option<Vec<i128>> = addends.map(|addend| addend.cast(sum_type)?.addend()).collect();
    let (mut above, mut below): (Vec<i128>, Vec<i128>) = addends?.into_iter().partition(|addend| *addend > 0);
    let mut sum = 0_i128;
    // What leads back towards 0 is added first, so only a sum out of range gets there on its way.
    while let Some(addend) = if sum > 0 { below.pop().or_else(|| above.pop()) } else { above.pop().or_else(|| below.pop()) } {
        sum = sum.checked_add(addend)?;
    }
    Value::from_sum(sum, sum_type)
}

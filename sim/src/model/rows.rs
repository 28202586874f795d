//! What exists, what is shown, and what a cell holds.

use std::collections::BTreeMap;

use kuzusync_core::change::{Edge, Element, Node, Op};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::policy::Policy;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, TableKind, View};

use super::tables::Shown;
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

/// A write to a cell and the value it gives or adds.
type Valued<'a> = (Placed<'a>, &'a Value);

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
            rows.insert(shown, self.row(&Element::from(edge.clone())));
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
        let outranks_delete = |write: &Placed<'_>| delete.is_none_or(|delete| write.outranks(&delete, rules.policy));
        let writes = || self.writes(element).iter().copied();
        let inserts = writes().filter(|write| matches!(write.op, Op::Insert { .. }));
        let updates = writes().filter(|write| match write.op {
            Op::Update { cells, .. } => !cells.is_empty(),
            op => matches!(op, Op::Increment { .. }),
        });
        let insert = greatest(inserts, rules.policy).filter(outranks_delete);
        let update = greatest(updates, rules.policy).filter(|write| rules.update_revives && outranks_delete(write));
        insert.or(update)
    }

    /// Whether it exists by an insert, so that what it held before its last delete is gone.
    fn is_inserted(&self, element: &Element) -> bool {
        self.added_by(element).is_some_and(|add| matches!(add.op, Op::Insert { .. }))
    }

    /// Every row and edge that is shown.
    pub(super) fn shown(&self) -> Vec<Element> {
        let nodes =
            self.rows.keys().filter(|element| matches!(element, Element::Node(node) if self.is_node_shown(node)));
        let edges = self.tables.edge_tables().flat_map(|table| self.decide(table).0);
        nodes.map(|node| (*node).clone()).chain(edges.map(|(edge, _)| Element::from(edge.clone()))).collect()
    }

    fn is_node_shown(&self, node: &Node) -> bool {
        self.tables.has_node_table(node.table)
            && (self.added_by(&Element::Node(node.clone())).is_some() || self.is_revived(node))
    }

    fn is_pair_shown(&self, edge: &Edge) -> bool {
        self.tables.pairs(edge.table).contains(&(edge.from.table, edge.to.table))
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
                && self.is_pair_shown(edge)
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
                && self.is_pair_shown(edge)
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
        let cell = |column: Shown<'_>| Some((column.name.clone(), self.cell(element, &column)?));
        definition.columns().filter_map(cell).collect()
    }

    /// What a cell of an existing row shows: its greatest value, and what was added that the value's author had not seen.
    ///
    /// Without a value it starts from the column's default.
    pub(super) fn cell(&self, element: &Element, of: &Shown<'_>) -> Option<Value> {
        let Shown { id: column, column_type, default, .. } = *of;
        let (base, increments) = self.counted(element, column);
        let base = base.map(|(_, value)| value).or(default).unwrap_or(&Value::Null);
        let shown = match increments.iter().max_by_key(|(write, _)| write.standing(Policy::PreferMain)) {
            None => base.cast(column_type)?,
            Some((_, last)) => {
                let sum_type = if column_type.is_summable() { column_type.clone() } else { last.sum_type()? };
                let addends =
                    increments.iter().map(|(_, by)| *by).chain([base]).filter(|addend| **addend != Value::Null);
                sum(addends, &sum_type)?.cast(column_type)?
            }
        };
        Some(shown).filter(|value| *value != Value::Null)
    }

    /// The value a cell was given to which nothing was added.
    pub(super) fn kept(&self, element: &Element, column: ColumnId) -> Option<Valued<'a>> {
        let (base, increments) = self.counted(element, column);
        base.filter(|_| increments.is_empty())
    }

    /// The greatest value of a cell, and what was added that its author had not seen; nothing from before a delete.
    fn counted(&self, element: &Element, column: ColumnId) -> (Option<Valued<'a>>, Vec<Valued<'a>>) {
        let policy = self.tables.rules(element.table()).column_policy(column);
        let delete = self.deleted_by(element, policy).filter(|_| self.is_inserted(element));
        let counts = |write: &Placed<'_>| delete.is_none_or(|delete| write.outranks(&delete, policy));
        let is_known = |write: &Placed<'_>| counts(write) && !self.is_forgotten(write, element, column);
        let writes = || self.writes(element).iter().copied().filter(is_known);
        let base = greatest(writes().filter(|write| value(write.op, column).is_some()), policy);
        let is_unseen = |write: &Placed<'_>| base.is_none_or(|base| !base.comes_after(write));
        let increments =
            writes().filter(is_unseen).filter_map(|write| Some((write, increment(write.op, column)?))).collect();
        (base.and_then(|base| Some((base, value(base.op, column)?))), increments)
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
    while let Some(addend) =
        if sum > 0 { below.pop().or_else(|| above.pop()) } else { above.pop().or_else(|| below.pop()) }
    {
        sum = sum.checked_add(addend)?;
    }
    Value::from_sum(sum, sum_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{
        altered, change, column, connect, delete, edge, follows, id, increment, insert, numbered, rule, unnumbered,
        update, user, users,
    };
    use kuzusync_core::change::{Cells, Change, ChangeId};
    use kuzusync_core::ddl::{Ddl, Multiplicity, Rule};
    use kuzusync_core::message::Entry;
    use std::sync::Arc;

    /// What all others have seen.
    const START: ChangeId = ChangeId { replica: kuzusync_core::id::ReplicaId([1; 16]), seq: 1 };

    /// Both tables, two users `Ann` and `Ben`, and these rules.
    fn start(rules: &[Op]) -> Arc<Change> {
        let ops = vec![Op::Schema(users()), Op::Schema(follows()), insert(1, "Ann"), insert(2, "Ben")];
        change(START, 1, &[], [ops, rules.to_vec()].concat())
    }

    fn of_users(set: Rule<ColumnId>) -> Op {
        rule(users().table_id(), set)
    }

    fn of_edges(set: Rule<ColumnId>) -> Op {
        rule(follows().table_id(), set)
    }

    /// A change of a replica that has seen the start and no other.
    fn at(ms: i64, ops: Vec<Op>) -> Arc<Change> {
        change(id(ms as u8, 1), ms, &[START], ops)
    }

    fn view_of(entries: &[Entry]) -> View {
        let forwards = Model::of(entries).view();
        assert_eq!(forwards, Model::of(entries.iter().rev()).view(), "the order in which they are given means nothing");
        forwards
    }

    fn view(changes: &[Arc<Change>]) -> View {
        view_of(&unnumbered(changes))
    }

    /// A property of user 1, `None` if there is no such user, NULL if it has none.
    fn shown(view: &View, property: &str) -> Option<Value> {
        let row = view.node("User", &Value::from(1))?;
        Some(row.get(property).cloned().unwrap_or(Value::Null))
    }

    fn edges(view: &View) -> Vec<String> {
        use kuzusync_core::view::Describe;
        view.edges["FOLLOWS"].keys().map(Describe::describe).collect()
    }

    #[test]
    fn a_row_exists_while_its_greatest_insert_outranks_its_greatest_delete() {
        let gone = at(5, vec![delete(user(1))]);
        let earlier = at(4, vec![insert(1, "earlier")]);
        let later = at(6, vec![insert(1, "later")]);
        assert_eq!(shown(&view(&[start(&[]), gone.clone()]), "name"), None);
        assert_eq!(shown(&view(&[start(&[]), gone.clone(), earlier]), "name"), None);
        assert_eq!(shown(&view(&[start(&[]), gone, later]), "name"), Some("later".into()));
    }

    #[test]
    fn an_insert_after_a_delete_shows_nothing_of_what_was_before() {
        let before = at(4, vec![update(user(1), "visits", 7), increment(1, 1)]);
        let gone = at(5, vec![delete(user(1))]);
        let again = at(6, vec![insert(1, "again")]);
        let view = view(&[start(&[]), before, gone, again]);
        assert_eq!(shown(&view, "name"), Some("again".into()));
        assert_eq!(shown(&view, "visits"), Some(Value::Null));
    }

    #[test]
    fn what_is_made_anew_after_a_compaction_shows_nothing_of_what_was_before() {
        let table = users().table_id();
        let visits = column(&user(1), "visits");
        let ddl = |ms, ddl| at(ms, vec![Op::Schema(ddl)]);
        let counted = at(3, vec![update(user(1), "visits", 7)]);
        let column_gone = ddl(4, Ddl::DropColumn { table, column: visits });
        let table_gone = ddl(4, Ddl::DropTable { table });
        let made_anew = ddl(6, users());
        let later = at(7, vec![update(user(1), "name", "later"), insert(2, "Bea")]);
        // Each compaction with its number, before which things were still dropped or were made anew, and its cut.
        let seen_by = |gone: &Arc<Change>, rules: &[Op], compactions: &[(u64, u64)]| {
            let log = numbered(&[start(rules), counted.clone(), gone.clone(), made_anew.clone(), later.clone()]);
            let view = Model::after_compactions(&log, compactions.iter().copied()).view();
            (shown(&view, "name"), shown(&view, "visits"))
        };
        let (name, none) = (Some("later".into()), Some(Value::Null));
        assert_eq!(seen_by(&column_gone, &[], &[]), (name.clone(), Some(7.into())), "nothing was forgotten");
        assert_eq!(seen_by(&column_gone, &[], &[(4, 3)]), (name.clone(), none));
        assert_eq!(seen_by(&column_gone, &[], &[(5, 3)]), (name.clone(), Some(7.into())), "it was there again");
        let revives = of_users(Rule::UpdateRevives(true));
        assert_eq!(seen_by(&column_gone, &[revives], &[(4, 3)]), (name.clone(), Some(7.into())), "rows may come back");
        assert_eq!(seen_by(&table_gone, &[], &[]), (name, Some(7.into())));
        assert_eq!(seen_by(&table_gone, &[], &[(4, 3)]), (None, None), "an update does not make a row");
    }

    #[test]
    fn a_value_that_is_no_value_of_its_columns_type_is_not_shown() {
        let changes = [start(&[]), at(5, vec![update(user(1), "visits", "7")])];
        assert_eq!(shown(&view(&changes), "visits"), Some(7.into()));
        let changes = [start(&[]), at(5, vec![update(user(1), "visits", "seven")])];
        assert_eq!(shown(&view(&changes), "visits"), Some(Value::Null));
    }

    #[test]
    fn each_policy_has_its_own_winner() {
        let table = users().table_id();
        let renamed = |ms, name: &str| at(ms, vec![update(user(1), "name", name)]);
        let last = renamed(9, "last");
        let online = altered(&renamed(8, "online"), |change| change.link_epoch = 1);
        let main = altered(&renamed(7, "main"), |change| change.authority_epochs = [(table, 1)].into());
        let numbered_last = renamed(6, "numbered last");
        for (policy, winner) in [
            (Policy::Auto, "online"),
            (Policy::LastWriteWins, "last"),
            (Policy::PreferMain, "main"),
            (Policy::ServerOrder, "numbered last"),
        ] {
            let start = start(&[of_users(Rule::Policy { column: None, policy })]);
            let changes = [start, last.clone(), online.clone(), main.clone(), numbered_last.clone()];
            assert_eq!(shown(&view_of(&numbered(&changes)), "name"), Some(winner.into()), "{}", policy.name());
        }
    }

    #[test]
    fn in_the_mains_order_what_has_no_number_yet_lies_on_top() {
        let start = start(&[of_users(Rule::Policy { column: None, policy: Policy::ServerOrder })]);
        let own = at(5, vec![update(user(1), "name", "own")]);
        let numbered_change = at(9, vec![update(user(1), "name", "numbered")]);
        let mut entries = numbered(&[start, numbered_change, own]);
        entries[2].lsn = None;
        assert_eq!(shown(&view_of(&entries), "name"), Some("own".into()));
    }

    #[test]
    fn a_columns_own_policy_goes_before_its_tables() {
        let name = column(&user(1), "name");
        let start = start(&[
            of_users(Rule::Policy { column: None, policy: Policy::LastWriteWins }),
            of_users(Rule::Policy { column: Some(name), policy: Policy::Auto }),
        ]);
        let online = at(5, vec![update(user(1), "name", "online"), update(user(1), "visits", 5)]);
        let online = altered(&online, |change| change.link_epoch = 1);
        let last = at(6, vec![update(user(1), "name", "last"), update(user(1), "visits", 6)]);
        let view = view(&[start, online, last]);
        assert_eq!(shown(&view, "name"), Some("online".into()));
        assert_eq!(shown(&view, "visits"), Some(6.into()));
    }

    #[test]
    fn an_update_revives_a_row_with_all_it_held() {
        let gone = at(5, vec![delete(user(1))]);
        let updated = at(6, vec![increment(1, 3)]);
        let revives = |is_on| start(&[of_users(Rule::UpdateRevives(is_on))]);
        assert_eq!(shown(&view(&[revives(false), gone.clone(), updated.clone()]), "name"), None);
        let changes = [revives(true), gone.clone(), updated];
        assert_eq!(shown(&view(&changes), "name"), Some("Ann".into()));
        assert_eq!(shown(&view(&changes), "visits"), Some(3.into()));
        assert_eq!(Model::of(&unnumbered(&changes)).rows_revived_by_updates().collect::<Vec<_>>(), [&user(1)]);
        let earlier = at(4, vec![increment(1, 3)]);
        assert_eq!(shown(&view(&[revives(true), gone, earlier]), "name"), None);
    }

    #[test]
    fn an_edge_shows_while_both_its_ends_do() {
        let connected = at(5, vec![connect(1, 2)]);
        assert_eq!(edges(&view(&[start(&[]), connected.clone()])), ["User(1)→User(2)"]);
        let gone = at(6, vec![delete(user(1))]);
        assert!(edges(&view(&[start(&[]), connected.clone(), gone.clone()])).is_empty());
        let again = at(7, vec![insert(1, "again")]);
        assert_eq!(edges(&view(&[start(&[]), connected, gone, again])), ["User(1)→User(2)"]);
    }

    #[test]
    fn an_edge_keeps_the_end_whose_deleter_had_not_seen_it() {
        let connected = at(5, vec![connect(2, 1)]);
        let unaware = at(6, vec![delete(user(1))]);
        let aware = change(id(6, 1), 6, &[START, connected.id], vec![delete(user(1))]);
        let revives = |is_on| start(&[of_edges(Rule::Revive(is_on))]);
        assert_eq!(shown(&view(&[revives(false), connected.clone(), unaware.clone()]), "name"), None);
        let changes = [revives(true), connected.clone(), unaware.clone()];
        assert_eq!(shown(&view(&changes), "name"), Some("Ann".into()), "with what it held");
        assert_eq!(edges(&view(&changes)).len(), 1);
        assert_eq!(Model::of(&unnumbered(&changes)).revived_nodes().count(), 1);
        assert_eq!(shown(&view(&[revives(true), connected.clone(), aware]), "name"), None);
        let disconnected = at(7, vec![delete(edge(2, 1))]);
        assert_eq!(shown(&view(&[revives(true), connected, unaware, disconnected]), "name"), None);
    }

    #[test]
    fn of_a_nodes_edges_the_greatest_show_as_many_as_it_may_have() {
        let third = at(3, vec![insert(3, "Cid")]);
        let older = at(5, vec![connect(1, 2)]);
        let newer = at(6, vec![connect(1, 3)]);
        let other = at(4, vec![connect(3, 2)]);
        let with = |multiplicity| {
            let start = start(&[of_edges(Rule::Multiplicity(multiplicity))]);
            edges(&view(&[start, third.clone(), older.clone(), newer.clone(), other.clone()]))
        };
        assert_eq!(with(Multiplicity::ManyMany).len(), 3);
        assert_eq!(with(Multiplicity::ManyOne), ["User(1)→User(3)", "User(3)→User(2)"], "1 starts the newer one");
        assert_eq!(with(Multiplicity::OneMany), ["User(1)→User(2)", "User(1)→User(3)"], "the older one ends in 2");
        assert_eq!(with(Multiplicity::OneOne), ["User(1)→User(3)", "User(3)→User(2)"], "the hidden one takes no place");
        let start = start(&[of_edges(Rule::Multiplicity(Multiplicity::ManyOne))]);
        let gone = at(7, vec![delete(user(3))]);
        let view = view(&[start, third, older, newer, gone]);
        assert_eq!(edges(&view), ["User(1)→User(2)"], "an edge that hides with its end takes no place");
    }

    #[test]
    fn increments_add_up_with_a_value_whose_author_had_not_seen_them() {
        let five = at(5, vec![increment(1, 5)]);
        let seven = at(7, vec![increment(1, 7), increment(1, -1)]);
        let visits = |changes: &[Arc<Change>]| shown(&view(changes), "visits").unwrap();
        assert_eq!(visits(&[start(&[]), five.clone(), seven.clone()]), 11.into());
        let set = at(6, vec![update(user(1), "visits", 100)]);
        assert_eq!(visits(&[start(&[]), five.clone(), seven.clone(), set]), 111.into());
        let aware = change(id(6, 1), 6, &[START, five.id], vec![update(user(1), "visits", 100)]);
        assert_eq!(visits(&[start(&[]), five.clone(), seven.clone(), aware]), 106.into());
        let null = at(6, vec![update(user(1), "visits", Value::Null)]);
        assert_eq!(visits(&[start(&[]), five, seven, null]), 11.into());
        let around = at(6, vec![increment(1, 1), update(user(1), "visits", 10), increment(1, 2)]);
        assert_eq!(visits(&[start(&[]), around]), 12.into());
    }

    #[test]
    fn a_sum_out_of_range_is_not_shown_and_one_that_comes_back_is() {
        let most = at(5, vec![increment(1, i64::MAX)]);
        let more = at(6, vec![increment(1, 1)]);
        let less = at(7, vec![increment(1, -2)]);
        let visits = |changes: &[Arc<Change>]| shown(&view(changes), "visits").unwrap();
        assert_eq!(visits(&[start(&[]), most.clone(), more.clone()]), Value::Null);
        assert_eq!(visits(&[start(&[]), most, more, less]), (i64::MAX - 1).into());
    }

    #[test]
    fn a_number_in_a_column_of_text_is_added_up_as_what_was_added() {
        let add = |ms, by: i64| {
            let column = column(&user(1), "name");
            at(ms, vec![Op::Increment { element: user(1), column, by: by.into() }])
        };
        let name = |base: &str| {
            let base = at(
                4,
                vec![Op::Update { element: user(1), cells: Cells::from([(column(&user(1), "name"), base.into())]) }],
            );
            shown(&view(&[start(&[]), base, add(5, 2), add(6, 3)]), "name").unwrap()
        };
        assert_eq!(name("10"), "15".into());
        assert_eq!(name("ten"), Value::Null, "what cannot be added to shows nothing");
    }
}

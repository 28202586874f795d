//! Which writes lost to a concurrent one: every write to a register against every other.

use std::collections::BTreeSet;

use kuzusync_core::change::{Element, Op};
use kuzusync_core::conflict::{ConflictType, Loss, Register, Resolution, Write, Written};
use kuzusync_core::id::ColumnId;
use kuzusync_core::policy::Policy;

use super::rows::{Hidden, increment, value};
use super::tables::Definition;
use super::{Model, Placed};

/// A write that competes for a register, and what it leaves there.
type Competitor<'a> = (Placed<'a>, Written);

impl Model<'_> {
    /// Every loss, by register and rank.
    #[must_use]
    pub fn audit(&self) -> Vec<Loss> {
        let mut losses: Vec<Loss> = Vec::new();
        for element in self.rows.keys() {
            let rules = self.tables.rules(element.table());
            losses.extend(lost(element, None, &self.competitors_for_existence(element), rules.policy));
            for column in self.columns_written(element) {
                let competitors = self.competitors_for_cell(element, column);
                losses.extend(lost(element, Some(column), &competitors, rules.column_policy(column)));
            }
        }
        for table in self.tables.edge_tables() {
            let policy = self.tables.rules(table).policy;
            losses.extend(self.decide(table).1.iter().map(|hidden| ousted(hidden, policy)));
        }
        // What lost to another write is told of that, also if its table is gone as well.
        for loss in self.dropped().into_iter().chain(self.miscast()) {
            let is_same = |other: &Loss| other.register == loss.register && other.loser.rank == loss.loser.rank;
            if !losses.iter().any(is_same) {
                losses.push(loss);
            }
        }
        losses.sort_by(|one, other| (&one.register, one.loser.rank).cmp(&(&other.register, other.loser.rank)));
        losses
    }

    /// What was written to a table or column while somebody dropped it, for as long as it is gone.
    fn dropped(&self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for element in self.rows.keys() {
            let table_drop = self.dropped_by(element.table(), None);
            for write in self.writes(element) {
                let existence = matches!(write.op, Op::Insert { .. }).then_some((None, Written::Inserted));
                let cell = |column| {
                    let added = increment(write.op, column).cloned().map(Written::Incremented);
                    Some((Some(column), added.or_else(|| value(write.op, column).cloned().map(Written::Value))?))
                };
                let columns = columns_of(write.op);
                for (column, written) in existence.into_iter().chain(columns.iter().copied().filter_map(cell)) {
                    let drop = table_drop.or_else(|| self.dropped_by(element.table(), Some(column?)));
                    let Some(drop) = drop.filter(|drop| drop.is_concurrent_with(write)) else { continue };
                    losses.push(Loss {
                        register: Register { element: (*element).clone(), column },
                        conflict: ConflictType::ConcurrentDrop,
                        resolution: Resolution::SchemaWins,
                        loser: Write { rank: write.rank(), written },
                        winner: Write { rank: drop.rank(), written: Written::Dropped },
                        fields: column.map_or_else(|| columns.iter().copied().collect(), |column| vec![column]),
                        taken_by: None,
                    });
                }
            }
        }
        losses
    }

    /// Values in rows that are shown which their columns' types cannot hold.
    fn miscast(&self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for element in self.shown() {
            let columns = self.tables.definition(element.table()).into_iter().flat_map(Definition::columns);
            for column in columns {
                let Some((write, kept)) = self.kept(&element, column.id) else { continue };
                let Some(typed_by) = column.typed_by.filter(|_| kept.cast(column.column_type).is_none()) else {
                    continue;
                };
                losses.push(Loss {
                    register: Register { element: element.clone(), column: Some(column.id) },
                    conflict: ConflictType::FailedCast,
                    resolution: Resolution::SchemaWins,
                    loser: Write { rank: write.rank(), written: Written::Value(kept.clone()) },
                    winner: Write { rank: typed_by, written: Written::Typed(column.column_type.clone()) },
                    fields: vec![column.id],
                    taken_by: None,
                });
            }
        }
        losses
    }

    fn competitors_for_existence(&self, element: &Element) -> Vec<Competitor<'_>> {
        let update_revives = self.tables.rules(element.table()).update_revives;
        let written = |op: &Op| match op {
            Op::Insert { .. } => Some(Written::Inserted),
            Op::Delete { .. } => Some(Written::Deleted),
            Op::Update { cells, .. } if cells.is_empty() => None,
            Op::Update { .. } | Op::Increment { .. } => update_revives.then_some(Written::Updated),
            Op::Schema(_) => None,
        };
        self.writes(element).iter().filter_map(|write| Some((*write, written(write.op)?))).collect()
    }

    fn competitors_for_cell(&self, element: &Element, column: ColumnId) -> Vec<Competitor<'_>> {
        let written = |op: &Op| match op {
            Op::Delete { .. } => Some(Written::Deleted),
            Op::Increment { .. } => increment(op, column).cloned().map(Written::Incremented),
            _ => value(op, column).cloned().map(Written::Value),
        };
        self.writes(element).iter().filter_map(|write| Some((*write, written(write.op)?))).collect()
    }

    fn columns_written(&self, element: &Element) -> BTreeSet<ColumnId> {
        self.writes(element).iter().flat_map(|write| columns_of(write.op)).collect()
    }
}

/// The losses at one register: each competitor with the greatest that it lost to.
fn lost(element: &Element, column: Option<ColumnId>, competitors: &[Competitor<'_>], policy: Policy) -> Vec<Loss> {
    let mut losses = Vec::new();
    for (loser, lost) in competitors {
        let beats = |(winner, won): &&Competitor<'_>| {
            winner.is_concurrent_with(loser) && winner.outranks(loser, policy) && can_lose(lost, won)
        };
        let Some((winner, won)) = competitors.iter().filter(beats).max_by_key(|(winner, _)| winner.standing(policy))
        else {
            continue;
        };
        let with_delete = *lost == Written::Deleted || *won == Written::Deleted;
        losses.push(Loss {
            register: Register { element: element.clone(), column },
            conflict: if with_delete { ConflictType::ConcurrentDelete } else { ConflictType::ConcurrentUpdate },
            resolution: resolution(loser, winner, policy),
            loser: Write { rank: loser.rank(), written: lost.clone() },
            winner: Write { rank: winner.rank(), written: won.clone() },
            fields: differing(loser.op, winner.op),
            taken_by: None,
        });
    }
    losses
}

/// Whether the one is gone where the other wins: equal values agree, and what is added is lost to a delete alone.
fn can_lose(loser: &Written, winner: &Written) -> bool {
    match (loser, winner) {
        (Written::Value(lost), Written::Value(won)) => lost != won,
        (Written::Value(_) | Written::Incremented(_) | Written::Inserted | Written::Updated, Written::Deleted) => true,
        (Written::Deleted, Written::Inserted | Written::Updated) => true,
        _ => false,
    }
}

/// The loss of an edge whose place at a node another took.
fn ousted(hidden: &Hidden<'_>, policy: Policy) -> Loss {
    let write = |add: &Placed<'_>| {
        let is_insert = matches!(add.op, Op::Insert { .. });
        Write { rank: add.rank(), written: if is_insert { Written::Inserted } else { Written::Updated } }
    };
    Loss {
        register: Register { element: Element::from(hidden.edge.clone()), column: None },
        conflict: ConflictType::Multiplicity,
        resolution: resolution(&hidden.add, &hidden.taken_with, policy),
        loser: write(&hidden.add),
        winner: write(&hidden.taken_with),
        fields: Vec::new(),
        taken_by: Some(Element::from(hidden.taken_by.clone())),
    }
}

/// By what the policy told the two apart.
fn resolution(loser: &Placed<'_>, winner: &Placed<'_>, policy: Policy) -> Resolution {
    let (one, other) = (loser.rank(), winner.rank());
    let by_authority = one.authority_epoch != other.authority_epoch;
    let by_link = one.link_epoch != other.link_epoch;
    match policy {
        Policy::ServerOrder => Resolution::ServerOrder,
        Policy::PreferMain if by_authority => Resolution::PreferMain,
        Policy::PreferMain | Policy::Auto if by_link => Resolution::OnlineWins,
        Policy::PreferMain | Policy::Auto | Policy::LastWriteWins => Resolution::LastWriteWins,
    }
}

/// The columns an operation writes to.
fn columns_of(op: &Op) -> BTreeSet<ColumnId> {
    match op {
        Op::Insert { cells, .. } | Op::Update { cells, .. } => cells.keys().copied().collect(),
        Op::Increment { column, .. } => BTreeSet::from([*column]),
        Op::Delete { .. } | Op::Schema(_) => BTreeSet::new(),
    }
}

/// The columns in which two operations differ; a delete differs in all that the other writes.
fn differing(one: &Op, other: &Op) -> Vec<ColumnId> {
    let (here, there) = (columns_of(one), columns_of(other));
    let is_delete = |op: &Op| matches!(op, Op::Delete { .. });
    if is_delete(one) || is_delete(other) {
        return here.union(&there).copied().collect();
    }
    let both = here.intersection(&there).copied();
    both.filter(|column| value(one, *column) != value(other, *column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{
        altered, change, column, connect, delete, edge, follows, id, increment, insert, rule, unnumbered, update, user,
        users,
    };
    use kuzusync_core::change::{Change, ChangeId};
    use kuzusync_core::ddl::{Multiplicity, Rule};
    use kuzusync_core::value::Value;
    use std::sync::Arc;

    const START: ChangeId = ChangeId { replica: kuzusync_core::id::ReplicaId([1; 16]), seq: 1 };

    fn audit(rules: &[Op], changes: &[Arc<Change>]) -> Vec<Loss> {
        let ops =
            vec![Op::Schema(users()), Op::Schema(follows()), insert(1, "Ann"), insert(2, "Ben"), insert(3, "Cid")];
        let start = change(START, 1, &[], [ops, rules.to_vec()].concat());
        let entries = unnumbered(&[&[start], changes].concat());
        let forwards = Model::of(&entries).audit();
        assert_eq!(forwards, Model::of(entries.iter().rev()).audit());
        forwards
    }

    /// A change of a replica that has seen the start and no other.
    fn at(ms: i64, ops: Vec<Op>) -> Arc<Change> {
        change(id(ms as u8, 1), ms, &[START], ops)
    }

    fn rename(ms: i64, name: &str) -> Arc<Change> {
        at(ms, vec![update(user(1), "name", name)])
    }

    /// Loser and winner of each loss.
    fn written(losses: &[Loss]) -> Vec<(Written, Written)> {
        losses.iter().map(|loss| (loss.loser.written.clone(), loss.winner.written.clone())).collect()
    }

    fn value(value: &str) -> Written {
        Written::Value(value.into())
    }

    #[test]
    fn a_write_loses_to_the_greatest_concurrent_one_of_another_value() {
        let losses = audit(&[], &[rename(5, "a"), rename(6, "b"), rename(7, "c")]);
        assert_eq!(written(&losses), [(value("a"), value("c")), (value("b"), value("c"))]);
        assert_eq!(losses[0].conflict, ConflictType::ConcurrentUpdate);
        assert_eq!(losses[0].resolution, Resolution::LastWriteWins);
        assert_eq!(losses[0].fields, [column(&user(1), "name")]);
        assert_eq!(audit(&[], &[rename(5, "a"), rename(6, "a")]), [], "equal values agree");
        let aware = change(id(6, 1), 6, &[START, id(5, 1)], vec![update(user(1), "name", "b")]);
        assert_eq!(audit(&[], &[rename(5, "a"), aware]), [], "it had seen what it wrote over");
    }

    #[test]
    fn what_a_delete_takes_is_lost_and_a_delete_is_lost_where_the_row_stays() {
        let gone = |ms| at(ms, vec![delete(user(1))]);
        let losses = audit(&[], &[rename(5, "a"), gone(6)]);
        assert_eq!(written(&losses), [(value("a"), Written::Deleted)]);
        assert_eq!(losses[0].conflict, ConflictType::ConcurrentDelete);
        assert_eq!(losses[0].fields, [column(&user(1), "name")]);
        assert_eq!(audit(&[], &[gone(5), rename(6, "a")]), [], "an update above a delete takes nothing from it");
        let losses = audit(&[], &[gone(5), at(6, vec![insert(1, "again")])]);
        assert_eq!(written(&losses), [(Written::Deleted, Written::Inserted)]);
        let revives = [rule(users().table_id(), Rule::UpdateRevives(true))];
        assert_eq!(written(&audit(&revives, &[gone(5), rename(6, "a")])), [(Written::Deleted, Written::Updated)]);
        let both = [(Written::Updated, Written::Deleted), (value("a"), Written::Deleted)];
        assert_eq!(written(&audit(&revives, &[rename(5, "a"), gone(6)])), both);
    }

    #[test]
    fn what_is_added_is_lost_to_a_delete_alone() {
        let added = at(5, vec![increment(1, 2)]);
        let set = at(6, vec![update(user(1), "visits", 9)]);
        assert_eq!(audit(&[], &[added.clone(), set]), []);
        let losses = audit(&[], &[added, at(6, vec![delete(user(1))])]);
        assert_eq!(written(&losses), [(Written::Incremented(Value::from(2)), Written::Deleted)]);
    }

    #[test]
    fn the_resolution_is_what_the_policy_told_the_two_apart_by() {
        let table = users().table_id();
        let resolved = |policy, alter: fn(&mut Change)| {
            let rules = [rule(table, Rule::Policy { column: None, policy })];
            let losses = audit(&rules, &[rename(5, "early"), altered(&rename(6, "late"), alter)]);
            losses[0].resolution
        };
        let online: fn(&mut Change) = |change| change.link_epoch = 1;
        let main: fn(&mut Change) = |change| change.authority_epochs = [(users().table_id(), 1)].into();
        assert_eq!(resolved(Policy::Auto, |_| {}), Resolution::LastWriteWins);
        assert_eq!(resolved(Policy::Auto, online), Resolution::OnlineWins);
        assert_eq!(resolved(Policy::Auto, main), Resolution::LastWriteWins);
        assert_eq!(resolved(Policy::LastWriteWins, online), Resolution::LastWriteWins);
        assert_eq!(resolved(Policy::PreferMain, |_| {}), Resolution::LastWriteWins);
        assert_eq!(resolved(Policy::PreferMain, online), Resolution::OnlineWins);
        assert_eq!(resolved(Policy::PreferMain, main), Resolution::PreferMain);
        assert_eq!(resolved(Policy::ServerOrder, online), Resolution::ServerOrder);
    }

    #[test]
    fn the_fields_are_those_that_both_wrote_differently() {
        let two = |ms, name: &str, visits: i64| {
            at(
                ms,
                vec![Op::Update {
                    element: user(1),
                    cells: [(column(&user(1), "name"), name.into()), (column(&user(1), "visits"), visits.into())]
                        .into(),
                }],
            )
        };
        let losses = audit(&[], &[two(5, "a", 1), two(6, "b", 1)]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].fields, [column(&user(1), "name")]);
        let losses = audit(&[], &[two(5, "a", 1), two(6, "b", 2)]);
        assert!(losses.len() == 2 && losses.iter().all(|loss| loss.fields.len() == 2), "both are told of both");
    }

    #[test]
    fn an_edge_loses_its_place_to_the_greatest_that_takes_it() {
        let rules = [rule(follows().table_id(), Rule::Multiplicity(Multiplicity::OneOne))];
        let (starts, ends) = (at(6, vec![connect(1, 3)]), at(7, vec![connect(2, 2)]));
        let losses = audit(&rules, &[at(5, vec![connect(1, 2)]), starts, ends]);
        assert_eq!(written(&losses), [(Written::Inserted, Written::Inserted)]);
        assert_eq!(losses[0].conflict, ConflictType::Multiplicity);
        assert_eq!(losses[0].register, Register { element: edge(1, 2), column: None });
        assert_eq!(losses[0].taken_by, Some(edge(2, 2)), "both its places are taken, the later by the greater");
        assert_eq!(losses[0].winner.rank.change, id(7, 1));
        assert_eq!(losses[0].fields, []);
    }
}

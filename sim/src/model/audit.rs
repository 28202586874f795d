//! Which writes lost to a concurrent one: every write to a register against every other.

use std::collections::BTreeSet;

use kuzusync_core::change::{Element, Op};
use kuzusync_core::conflict::{ConflictType, Loss, Register, Resolution, Write, Written};
use kuzusync_core::id::ColumnId;
use kuzusync_core::policy::Policy;

use super::rows::{Hidden, increment, value};
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
        losses.sort_by(|one, other| (&one.register, one.loser.rank).cmp(&(&other.register, other.loser.rank)));
        losses
    }

    fn competitors_for_existence(&self, element: &Element) -> Vec<Competitor<'_>> {
        let update_revives = self.tables.rules(element.table()).update_revives;
        let written = |op: &Op| match op {
            Op::Insert { .. } => Some(Written::Inserted),
            Op::Delete { .. } => Some(Written::Deleted),
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
        register: Register { element: Element::Edge(hidden.edge.clone()), column: None },
        conflict: ConflictType::Multiplicity,
        resolution: resolution(&hidden.add, &hidden.taken_with, policy),
        loser: write(&hidden.add),
        winner: write(&hidden.taken_with),
        fields: Vec::new(),
        taken_by: Some(Element::Edge(hidden.taken_by.clone())),
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

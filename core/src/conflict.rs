//! Which writes lost to a concurrent one, and to which: the audit.
//!
//! A write is a recorded loss exactly when some concurrent write of a different value to the same register outranks it,
//! deletes included; the record names the greatest such write. The audit is a function of the set of applied changes, so
//! two replicas that hold the same changes hold the same audit. Overwriting what one had seen is no conflict. (Sync
//! Policy, case E10; Distributed Sync Engine, case D2.1.)

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::change::{Change, Element, Op};
use crate::clock::Rank;
use crate::id::ColumnId;
use crate::value::Value;

/// What one write competes for: an element's existence, or one of its cells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Register {
    /// The row or edge.
    pub element: Element,
    /// `None` for its existence.
    pub column: Option<ColumnId>,
}

/// What a write leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Written {
    /// The element exists.
    Inserted,
    /// The element is gone, with all its cells.
    Deleted,
    /// The cell holds this.
    Value(Value),
}

/// One of the two writes of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// When, by whom, which operation.
    pub rank: Rank,
    /// What it wrote.
    pub written: Written,
}

/// How two writes collided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictType {
    /// Two values for one cell.
    ConcurrentUpdate,
    /// One deletes what the other writes.
    ConcurrentDelete,
}

impl ConflictType {
    /// The type's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ConflictType::ConcurrentUpdate => "concurrent_update",
            ConflictType::ConcurrentDelete => "concurrent_delete",
        }
    }
}

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The greater timestamp, then author and position.
    LastWriteWins,
}

impl Resolution {
    /// The rule's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resolution::LastWriteWins => "last_write_wins",
        }
    }
}

/// A write that lost, and to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What both wrote to.
    pub register: Register,
    /// How they collided.
    pub conflict: ConflictType,
    /// The rule that decided.
    pub resolution: Resolution,
    /// The write that lost.
    pub loser: Write,
    /// The greatest concurrent write that outranks it.
    pub winner: Write,
}

/// A write the audit has entered, with the change that tells what its author had seen.
#[derive(Clone, Debug)]
struct Entered {
    change: Arc<Change>,
    write: Write,
}

/// Every concurrent loss among the applied changes.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    writes: BTreeMap<Register, Vec<Entered>>,
    losses: BTreeMap<(Register, Rank), Loss>,
}

impl Audit {
    /// Enters a change and returns the losses it adds or alters.
    pub fn record(&mut self, change: &Arc<Change>) -> Vec<Loss> {
        let mut found = Vec::new();
        for (rank, op) in change.ranked_ops() {
            match op {
                Op::Insert { element, cells } => {
                    self.record_write(change, element, None, Write { rank, written: Written::Inserted }, &mut found);
                    for (column, value) in cells {
                        let write = Write { rank, written: Written::Value(value.clone()) };
                        self.record_write(change, element, Some(*column), write, &mut found);
                    }
                }
                Op::Update { element, cells } => {
                    for (column, value) in cells {
                        let write = Write { rank, written: Written::Value(value.clone()) };
                        self.record_write(change, element, Some(*column), write, &mut found);
                    }
                }
                Op::Delete { element } => {
                    self.record_write(change, element, None, Write { rank, written: Written::Deleted }, &mut found);
                }
                Op::Schema(_) => {}
            }
        }
        found
    }

    /// Every loss, in the order of registers.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.losses.values()
    }

    /// How many losses there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.losses.len()
    }

    /// Whether nothing was ever lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    fn record_write(
        &mut self,
        change: &Arc<Change>,
        element: &Element,
        column: Option<ColumnId>,
        write: Write,
        found: &mut Vec<Loss>,
    ) {
        let register = Register { element: element.clone(), column };
        let new = Entered { change: Arc::clone(change), write };
        let mut collisions = Vec::new();
        let mut collide = |register: &Register, old: &Entered| {
            let is_conflict = old.change.is_concurrent_with(change) && old.write.written != new.write.written;
            let (loser, winner) = if old.write.rank < new.write.rank { (old, &new) } else { (&new, old) };
            // A delete competes for every cell, but what it loses it loses once, at the element's existence.
            let counts_here = loser.write.written != Written::Deleted || register.column.is_none();
            if is_conflict && counts_here {
                collisions.push((register.clone(), loser.write.clone(), winner.write.clone()));
            }
        };
        for old in self.writes.get(&register).into_iter().flatten() {
            collide(&register, old);
        }
        let existence = Register { element: element.clone(), column: None };
        if column.is_some() {
            let deletes = self.writes.get(&existence).into_iter().flatten();
            deletes.filter(|old| old.write.written == Written::Deleted).for_each(|old| collide(&register, old));
        } else if new.write.written == Written::Deleted {
            let cells = self.writes.range((std::ops::Bound::Excluded(&existence), std::ops::Bound::Unbounded));
            for (cell, writes) in cells.take_while(|(cell, _)| cell.element == *element) {
                writes.iter().for_each(|old| collide(cell, old));
            }
        }
        for (register, loser, winner) in collisions {
            self.record_loss(register, loser, winner, found);
        }
        self.writes.entry(register).or_default().push(new);
    }

    fn record_loss(&mut self, register: Register, loser: Write, winner: Write, found: &mut Vec<Loss>) {
        let place = (register.clone(), loser.rank);
        if self.losses.get(&place).is_some_and(|known| known.winner.rank >= winner.rank) {
            return;
        }
        let involves_delete = [&loser, &winner].iter().any(|write| write.written == Written::Deleted);
        let conflict = if involves_delete { ConflictType::ConcurrentDelete } else { ConflictType::ConcurrentUpdate };
        let loss = Loss { register, conflict, resolution: Resolution::LastWriteWins, loser, winner };
        found.push(loss.clone());
        self.losses.insert(place, loss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Cells, ChangeId, Node};
    use crate::clock::Timestamp;
    use crate::id::{Digest, ReplicaId, TableId, TxId};

    const COLUMN: ColumnId = ColumnId([9; 16]);

    fn element() -> Element {
        Element::Node(Node { table: TableId([1; 16]), key: Value::from(1) })
    }

    fn id(replica: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([replica; 16]), seq }
    }

    fn change(change: ChangeId, ms: i64, seen: &[ChangeId], op: Op) -> Arc<Change> {
        let timestamp = Timestamp { ms, counter: 0 };
        let (tx, previous, depends_on) = (TxId::default(), Digest::default(), Vec::new());
        let seen = seen.iter().copied().collect();
        Arc::new(Change { id: change, tx, previous, timestamp, seen, depends_on, ops: vec![op] })
    }

    fn update(value: &str) -> Op {
        Op::Update { element: element(), cells: Cells::from([(COLUMN, Value::from(value))]) }
    }

    /// The audit of the changes in this order, which is the same in the reverse order.
    fn audit(changes: &[Arc<Change>]) -> Vec<Loss> {
        let in_order = |changes: &mut dyn Iterator<Item = &Arc<Change>>| {
            let mut audit = Audit::default();
            changes.for_each(|change| drop(audit.record(change)));
            audit.losses().cloned().collect::<Vec<_>>()
        };
        let forwards = in_order(&mut changes.iter());
        assert_eq!(forwards, in_order(&mut changes.iter().rev()));
        forwards
    }

    #[test]
    fn a_concurrent_write_with_the_earlier_timestamp_is_a_recorded_loss() {
        let losses = audit(&[change(id(1, 1), 10, &[], update("a")), change(id(2, 1), 20, &[], update("b"))]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].conflict.name(), "concurrent_update");
        assert_eq!(losses[0].resolution.name(), "last_write_wins");
        assert_eq!(losses[0].loser.written, Written::Value("a".into()));
        assert_eq!(losses[0].winner.written, Written::Value("b".into()));
    }

    #[test]
    fn overwriting_what_one_had_seen_and_writing_the_same_value_are_no_conflicts() {
        assert_eq!(
            audit(&[change(id(1, 1), 10, &[], update("a")), change(id(2, 1), 20, &[id(1, 1)], update("b"))]),
            []
        );
        assert_eq!(audit(&[change(id(1, 1), 10, &[], update("a")), change(id(2, 1), 20, &[], update("a"))]), []);
    }

    #[test]
    fn the_record_names_the_greatest_of_several_winners() {
        let changes = [10, 20, 30].map(|ms| change(id(ms as u8, 1), ms, &[], update(&ms.to_string())));
        let losses = audit(&changes);
        assert_eq!(losses.len(), 2);
        assert!(losses.iter().all(|loss| loss.winner.written == Written::Value("30".into())));
    }

    #[test]
    fn a_delete_wins_over_a_concurrent_update_and_loses_once_to_a_concurrent_insert() {
        let delete = |ms| change(id(1, 1), ms, &[], Op::Delete { element: element() });
        let losses = audit(&[delete(20), change(id(2, 1), 10, &[], update("b"))]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].conflict, ConflictType::ConcurrentDelete);
        assert_eq!(losses[0].winner.written, Written::Deleted);

        let insert = Op::Insert { element: element(), cells: Cells::from([(COLUMN, Value::from("b"))]) };
        let losses = audit(&[delete(10), change(id(2, 1), 20, &[], insert)]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].loser.written, Written::Deleted);
        assert_eq!(losses[0].register.column, None);
    }
}

//! Registers: what was written to one row, kept so that every policy finds its winner.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::change::{Change, Op};
use crate::clock::{Rank, Seen};
use crate::flat_map::FlatMap;
use crate::id::{ChangeId, ColumnId};
use crate::planted::{Bug, is_planted};
use crate::policy::{Place, Policy};
use crate::schema::{ColumnState, TableState};
use crate::value::{Type, Value};

/// One write to a register.
#[derive(Clone, Debug)]
pub struct Write<T> {
    /// Where it stands.
    pub place: Place,
    /// The change it belongs to, which tells what its author had seen.
    pub change: Arc<Change>,
    /// What was written.
    pub value: T,
}

impl<T> Write<T> {
    /// Whether the author of this write had seen the other, or had written it just before.
    pub fn saw<U>(&self, other: &Write<U>) -> bool {
        let (own, others) = (self.place.rank, other.place.rank);
        self.change.seen.contains(others.change) || (own.change == others.change && own.index > others.index)
    }
}

/// The greatest write under each policy, and nothing else. Which of them counts is decided when it is read, so a change
/// of policy commutes with the writes.
#[derive(Clone, Debug)]
pub struct Register<T> {
    /// In the order of places; most often one write is the greatest under every policy.
    writes: SmallVec<[Write<T>; 1]>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Register { writes: SmallVec::new() }
    }
}

impl<T: Clone> Register<T> {
    fn raise(&mut self, new: Write<T>, policy: Policy) {
        if is_planted(Bug::ArrivalOrder) {
            self.writes.clear();
        }
        let is_greater = |policy: Policy, than: &Write<T>| policy.compare(&new.place, &than.place).is_gt();
        if is_planted(Bug::OneMask) && !self.writes.is_empty() {
            if self.writes.iter().all(|write| is_greater(policy, write)) {
                self.writes = SmallVec::from_iter([new]);
            }
            return;
        }
        let is_beaten_by = |policy: Policy, writes: &[Write<T>]| writes.iter().any(|write| !is_greater(policy, write));
        if Policy::ALL.into_iter().all(|policy| is_beaten_by(policy, &self.writes)) {
            return;
        }
        if Policy::ALL.into_iter().all(|policy| !is_beaten_by(policy, &self.writes)) {
            self.writes.clear();
            self.writes.push(new);
            return;
        }
        self.writes.push(new);
        self.writes.sort_by_key(|write| write.place);
        let greatest: SmallVec<[Place; 4]> =
            Policy::ALL.into_iter().filter_map(|policy| self.greatest(policy)).map(|write| write.place).collect();
        self.writes.retain(|write| greatest.contains(&write.place));
    }

    /// The write that counts under a policy.
    pub fn greatest(&self, policy: Policy) -> Option<&Write<T>> {
        match self.writes.as_slice() {
            [only] => Some(only),
            writes => writes.iter().max_by(|one, other| policy.compare(&one.place, &other.place)),
        }
    }
}

/// What was written to one property.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    base: Register<Value>,
    /// What was added, each increment once.
    increments: BTreeMap<(ChangeId, u32), Write<Value>>,
}

/// Whether a row is there, by its own registers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is not.
    Gone,
    /// Its greatest insert outranks its greatest delete. What was written before the delete is gone with it.
    Inserted,
    /// It is there though no insert outranks its delete, and has kept what was written before.
    Revived,
}

/// What was written to one row.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    insert: Register<()>,
    delete: Register<()>,
    cells: FlatMap<ColumnId, Cell>,
}

impl Registers {
    /// Joins an operation on this row. The policy is that of the table, and decides nothing.
    pub fn join(&mut self, place: Place, change: &Arc<Change>, op: &Op, policy: Policy) {
        match op {
            Op::Insert { cells, .. } | Op::Update { cells, .. } => {
                if matches!(op, Op::Insert { .. }) {
                    self.insert.raise(Write { place, change: Arc::clone(change), value: () }, policy);
                }
                for (column, value) in cells {
                    let write = Write { place, change: Arc::clone(change), value: value.clone() };
                    self.cells.or_default(*column).base.raise(write, policy);
                }
            }
            Op::Increment { column, by, .. } => {
                let cell = self.cells.or_default(*column);
                let write = Write { place, change: Arc::clone(change), value: by.clone() };
                if is_planted(Bug::CounterAsValue) {
                    let current = cell.base.greatest(policy).and_then(|base| base.value.addend()).unwrap_or(0);
                    let sum = by.addend().map(|by| current + by);
                    let value =
                        sum.and_then(|sum| Value::from_sum(sum, by.sum_type().as_ref()?)).unwrap_or(Value::Null);
                    cell.base.raise(Write { value, ..write }, policy);
                } else {
                    let is_twice = is_planted(Bug::OwnPatchTwice) && place.lsn == Place::UNNUMBERED;
                    let index = if is_twice { u32::MAX - place.rank.index } else { place.rank.index };
                    cell.increments.insert((change.id, index), write);
                }
            }
            Op::Delete { .. } if is_planted(Bug::TombstonePurged) => *self = Registers::default(),
            Op::Delete { .. } => {
                self.delete.raise(Write { place, change: Arc::clone(change), value: () }, policy);
            }
            Op::Schema(_) => {}
        }
    }

    /// Whether a delete outranks everything else under every policy, so that no rule set later brings anything back.
    pub fn is_dead(&self) -> bool {
        let cells = self.cells.values();
        let written = cells.flat_map(|cell| cell.base.writes.iter().chain(cell.increments.values()));
        let places: Vec<Place> =
            written.map(|write| write.place).chain(self.insert.writes.iter().map(|write| write.place)).collect();
        Policy::ALL.into_iter().all(|policy| {
            let delete = self.delete.greatest(policy).map(|delete| delete.place);
            delete.is_some_and(|delete| places.iter().all(|place| policy.compare(&delete, place).is_gt()))
        })
    }

    /// The changes that delete the row.
    pub fn deletes(&self) -> impl Iterator<Item = ChangeId> {
        self.delete.writes.iter().map(|delete| delete.change.id)
    }

    /// The changes on which it depends what the row shows, whatever the rules, but for what was written to columns that are
    /// gone for good. An increment is none of them once whoever set the number since had seen it.
    pub fn holders(&self, is_purged: impl Fn(ColumnId) -> bool) -> impl Iterator<Item = ChangeId> {
        let cells = self.cells.iter().filter(move |(column, _)| !is_purged(**column));
        let written = cells.flat_map(|(_, cell)| {
            let base = &cell.base.writes;
            let is_counted = move |add: &&Write<Value>| base.is_empty() || !base.iter().all(|set| set.saw(*add));
            base.iter().chain(cell.increments.values().filter(is_counted))
        });
        let written = written.map(|write| write.change.id);
        written.chain(self.insert.writes.iter().map(|insert| insert.change.id)).chain(self.deletes())
    }

    /// What was written to a column counts no longer.
    pub fn forget(&mut self, column: ColumnId) {
        self.cells.remove(&column);
    }

    /// The delete that counts.
    pub fn deleted(&self, policy: Policy) -> Option<&Write<()>> {
        self.delete.greatest(policy)
    }

    /// Whether the row is there.
    pub fn life(&self, table: &TableState) -> Life {
        let policy = table.policy();
        let outranks_delete = |place: Option<Place>| match (place, self.delete.greatest(policy)) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(place), Some(delete)) => policy.compare(&place, &delete.place).is_gt(),
        };
        if outranks_delete(self.insert.greatest(policy).map(|insert| insert.place)) {
            Life::Inserted
        } else if table.update_revives() && outranks_delete(self.last_write(policy).map(|(place, _)| place)) {
            Life::Revived
        } else {
            Life::Gone
        }
    }

    /// What made the row: the insert that counts, or where only updates do, the greatest of them.
    pub fn made(&self, table: &TableState) -> Option<(Place, &Arc<Change>)> {
        let policy = table.policy();
        match self.life(table) {
            Life::Gone => None,
            Life::Inserted => self.insert.greatest(policy).map(|insert| (insert.place, &insert.change)),
            Life::Revived => self.last_write(policy),
        }
    }

    /// The greatest write to a cell.
    fn last_write(&self, policy: Policy) -> Option<(Place, &Arc<Change>)> {
        let bases = self.cells.values().filter_map(|cell| cell.base.greatest(policy));
        let increments = self.cells.values().flat_map(|cell| cell.increments.values());
        let all = bases.chain(increments).map(|write| (write.place, &write.change));
        all.max_by(|one, other| policy.compare(&one.0, &other.0))
    }

    /// What each column of the table shows; `None` for nothing.
    pub fn shown<'a>(
        &'a self,
        table: &'a TableState,
        is_revived: bool,
    ) -> impl Iterator<Item = (&'a ColumnState, Option<Value>)> + 'a {
        let shown = move |(id, column)| (column, self.shown_cell(table, id, column, is_revived));
        table.columns().map(shown)
    }

    /// What a cell would show if its row did; `None` if nothing was written to it that its row's delete did not outrank.
    pub fn held(&self, table: &TableState, id: ColumnId) -> Option<Value> {
        let (cell, policy) = (self.cells.get(&id)?, table.column_policy(id));
        let delete = self.delete.greatest(policy);
        let counts =
            |write: &&Write<Value>| delete.is_none_or(|delete| policy.compare(&write.place, &delete.place).is_gt());
        let is_written =
            cell.base.greatest(policy).iter().any(counts) || cell.increments.values().any(|add| counts(&add));
        self.shown_cell(table, id, table.column(id)?, false).filter(|_| is_written)
    }

    /// A delete of which `seen` does not know.
    pub fn unseen_delete(&self, seen: &Seen) -> Option<ChangeId> {
        self.delete.writes.iter().map(|write| write.change.id).find(|change| !seen.contains(*change))
    }

    /// A write to a cell of which `seen` does not know.
    pub fn unseen_write(&self, id: ColumnId, seen: &Seen) -> Option<ChangeId> {
        let cell = self.cells.get(&id)?;
        let mut writes = cell.base.writes.iter().chain(cell.increments.values()).map(|write| write.change.id);
        writes.find(|change| !seen.contains(*change))
    }

    fn shown_cell(&self, table: &TableState, id: ColumnId, column: &ColumnState, is_revived: bool) -> Option<Value> {
        let default = column.default();
        let Some(cell) = self.cells.get(&id) else { return default?.cast(column.column_type()) };
        let (base, added) = self.counted(table, id, cell, is_revived);
        let start = base.map(|base| &base.value).or(default);
        let shown = match added.iter().max_by_key(|write| write.place.rank) {
            None => start?.cast(column.column_type()),
            Some(last) => sum(start, &added, last, column.column_type()),
        };
        shown.filter(|value| *value != Value::Null)
    }

    /// The value that a cell was last given, and that nothing was added to, with what wrote it.
    pub fn kept_value(&self, table: &TableState, id: ColumnId, is_revived: bool) -> Option<(Rank, &Value)> {
        let (base, added) = self.counted(table, id, self.cells.get(&id)?, is_revived);
        base.filter(|_| added.is_empty()).map(|base| (base.place.rank, &base.value))
    }

    /// What counts in a cell: its value, and what was added that the value's author had not seen.
    fn counted<'a>(
        &self,
        table: &TableState,
        id: ColumnId,
        cell: &'a Cell,
        is_revived: bool,
    ) -> (Option<&'a Write<Value>>, Vec<&'a Write<Value>>) {
        let policy = table.column_policy(id);
        let delete = self.delete.greatest(policy).filter(|_| !is_revived);
        let counts =
            |write: &&Write<Value>| delete.is_none_or(|delete| policy.compare(&write.place, &delete.place).is_gt());
        let base = cell.base.greatest(policy).filter(counts);
        let is_added = |write: &&Write<Value>| counts(write) && base.is_none_or(|base| !base.saw(*write));
        (base, cell.increments.values().filter(is_added).collect())
    }
}

/// A counter's value: what it was set to and everything added since, as a number of the column's type, or if that is no
/// number, of what was added last.
fn sum(base: Option<&Value>, added: &[&Write<Value>], last: &Write<Value>, column_type: &Type) -> Option<Value> {
    let last_type = last.value.sum_type()?;
    let sum_type = if column_type.is_summable() { column_type } else { &last_type };
    let addend = |value: &Value| value.cast(sum_type)?.addend();
    let start = match base {
        None | Some(Value::Null) => 0,
        Some(base) => addend(base)?,
    };
    let addends: Option<Vec<i128>> = added.iter().map(|write| addend(&write.value)).collect();
    Value::from_sum(exact_sum(start, &addends?)?, sum_type)?.cast(column_type)
}

/// The sum, whatever is beyond 128 bits on the way to it.
fn exact_sum(start: i128, addends: &[i128]) -> Option<i128> {
    let add = |(sum, carried): (i128, i64), addend: &i128| {
        let (sum, overflows) = sum.overflowing_add(*addend);
        (sum, carried + if overflows { addend.signum() as i64 } else { 0 })
    };
    let (sum, carried) = addends.iter().fold((start, 0), add);
    (carried == 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::exact_sum;

    #[test]
    fn a_sum_is_exact_whatever_it_passes_on_the_way() {
        assert_eq!(exact_sum(i128::MAX, &[5, -10]), Some(i128::MAX - 5));
        assert_eq!(exact_sum(i128::MIN, &[-1, i128::MIN, 1, i128::MAX, 1]), Some(i128::MIN));
        assert_eq!(exact_sum(i128::MAX, &[1]), None);
    }
}

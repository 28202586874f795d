//! The expected graph and the expected audit, computed naively from all entries of a log at once.
//!
//! It uses the engine's vocabulary and none of its rules: where the engine joins registers one change at a time, the model
//! looks at every write and asks of each which others beat it. It is slow and meant to be read beside the documents:
//!
//! * here, what outranks what, and what had been seen;
//! * `tables`, what the schema operations make;
//! * `rows`, what exists, what is shown, and what a cell holds;
//! * [`audit`], which writes lost to a concurrent one;
//! * [`promises`], which cells break a constraint.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, ChangeId, Element, Op};
use kuzusync_core::clock::{Lsn, Rank, Timestamp};
use kuzusync_core::conflict::Loss;
use kuzusync_core::conflict::schema::SchemaLoss;
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::message::Entry;
use kuzusync_core::policy::Policy;
use kuzusync_core::view::View;

use tables::Tables;

mod audit;
pub mod promises;
mod rows;
mod schema_audit;
mod tables;

/// The graph that a set of entries makes, in whatever order they are given.
#[must_use]
pub fn view<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> View {
    Model::of(entries).view()
}

/// Every concurrent loss among a set of entries, in whatever order they are given.
#[must_use]
pub fn audit<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Loss> {
    Model::of(entries).audit()
}

/// Every loss of a schema claim among a set of entries, in whatever order they are given.
#[must_use]
pub fn schema_audit<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<SchemaLoss> {
    Model::of(entries).schema_audit()
}

/// All that was written, by what it was written to.
pub struct Model<'a> {
    tables: Tables,
    /// Every schema operation, in the order of connection and time.
    schema: Vec<Placed<'a>>,
    rows: BTreeMap<&'a Element, Vec<Placed<'a>>>,
    /// By number, the columns of which what was written up to there is forgotten.
    forgotten: Vec<(Lsn, BTreeSet<(TableId, ColumnId)>)>,
}

impl<'a> Model<'a> {
    /// The model of entries where compactions, each with its own number and that of its cut, have forgotten what was in the
    /// tables and columns that were dropped at the cut and still were at the compaction. Somebody may make them anew. A column
    /// is not forgotten in whose table a row can be there because it was written to.
    #[must_use]
    pub fn after_compactions(
        entries: impl IntoIterator<Item = &'a Entry>,
        compactions: impl IntoIterator<Item = (Lsn, Lsn)>,
    ) -> Self {
        let mut model = Model::of(entries);
        for (number, cut) in compactions {
            let before = |end: Lsn| {
                let is_before = |op: &&Placed<'_>| op.lsn.is_some_and(|lsn| lsn < end);
                Tables::of(&model.schema.iter().filter(is_before).copied().collect::<Vec<_>>())
            };
            let [then, at_last] = [before(cut + 1), before(number)];
            let is_dropped = |table, column| then.is_dropped(table, column) && at_last.is_dropped(table, column);
            model.rows.iter_mut().filter(|(element, _)| is_dropped(element.table(), None)).for_each(|(_, writes)| {
                writes.retain(|write| write.lsn.is_none_or(|lsn| lsn > cut));
            });
            let revives = |table| then.rules(table).update_revives || at_last.rules(table).update_revives;
            let is_forgotten =
                |(table, column): &(TableId, ColumnId)| is_dropped(*table, Some(*column)) && !revives(*table);
            let columns = then.all_columns().filter(is_forgotten).collect();
            model.forgotten.push((cut, columns));
        }
        model
    }

    /// Whether what was written to a column is forgotten.
    fn is_forgotten(&self, write: &Placed<'_>, element: &Element, column: ColumnId) -> bool {
        let is_in = |(cut, columns): &(Lsn, BTreeSet<_>)| {
            write.lsn.is_some_and(|lsn| lsn <= *cut) && columns.contains(&(element.table(), column))
        };
        self.forgotten.iter().any(is_in)
    }

    /// The model of a set of entries, in whatever order they are given.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut rows: BTreeMap<&Element, Vec<Placed<'_>>> = BTreeMap::new();
        let mut schema = Vec::new();
        for entry in entries {
            for (index, op) in (0..).zip(&entry.change.ops) {
                let placed = Placed { change: entry.change.as_ref(), lsn: entry.lsn, index, op };
                match op.element() {
                    Some(element) => rows.entry(element).or_default().push(placed),
                    None => schema.push(placed),
                }
            }
        }
        schema.sort_by_key(|op| op.standing(Policy::Auto));
        Model { tables: Tables::of(&schema), schema, rows, forgotten: Vec::new() }
    }

    /// How often the schema was changed.
    #[must_use]
    pub fn schema_operations(&self) -> u64 {
        self.tables.operations
    }

    /// Everything written to an element.
    fn writes(&self, element: &Element) -> &[Placed<'a>] {
        self.rows.get(element).map_or(&[], Vec::as_slice)
    }
}

/// One operation and where it stands among all.
#[derive(Clone, Copy)]
struct Placed<'a> {
    change: &'a Change,
    lsn: Option<Lsn>,
    index: u32,
    op: &'a Op,
}

/// What a policy compares: the greater wins. What it does not compare is 0.
type Standing = (u64, u64, Timestamp, ChangeId, u32);

impl<'a> Placed<'a> {
    /// Where it stands under a policy.
    fn standing(&self, policy: Policy) -> Standing {
        let Change { id, timestamp, link_epoch, authority_epochs, .. } = self.change;
        let authority_epoch =
            self.op.element().and_then(|element| authority_epochs.get(&element.table())).copied().unwrap_or(0);
        let (first, second) = match policy {
            Policy::Auto => (0, *link_epoch),
            Policy::LastWriteWins => (0, 0),
            Policy::PreferMain => (authority_epoch, *link_epoch),
            // What the main has not numbered yet lies on top.
            Policy::ServerOrder => (self.lsn.unwrap_or(Lsn::MAX), 0),
        };
        (first, second, *timestamp, *id, self.index)
    }

    /// Where it stands by all that its author stamped.
    fn rank(&self) -> Rank {
        let (authority_epoch, link_epoch, timestamp, change, index) = self.standing(Policy::PreferMain);
        Rank { authority_epoch, link_epoch, timestamp, change, index }
    }

    fn outranks(&self, other: &Placed<'_>, policy: Policy) -> bool {
        self.standing(policy) > other.standing(policy)
    }

    /// Whether its author had seen `other` before, which may be an earlier operation of the same change.
    fn comes_after(&self, other: &Placed<'_>) -> bool {
        let is_earlier_here = self.change.id == other.change.id && other.index < self.index;
        is_earlier_here || self.change.seen.contains(other.change.id)
    }

    /// Whether neither author had seen the other's change.
    fn is_concurrent_with(&self, other: &Placed<'_>) -> bool {
        let (one, two) = (self.change, other.change);
        one.id != two.id && !one.seen.contains(two.id) && !two.seen.contains(one.id)
    }
}

/// The one that outranks all others.
fn greatest<'a>(writes: impl IntoIterator<Item = Placed<'a>>, policy: Policy) -> Option<Placed<'a>> {
    writes.into_iter().max_by_key(|write| write.standing(policy))
}

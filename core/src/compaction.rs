//! Compaction: what of a log may be forgotten, and what has to be kept.
//!
//! A log only grows, and a tombstone that is kept for ever costs as much as a row. With a main, the numbers up to a *cut*
//! can be replaced by a [`Base`](crate::snapshot::Base) and by those changes that the graph still shows something of.
//! (Distributed Sync Engine, case D5.2.)
//!
//! # The cut
//!
//! It is not enough that everybody holds the numbers up to the cut. An insert that its author wrote before it heard of a
//! delete may come after the delete was purged, and would bring the row back. The rule is about what was *seen*:
//!
//! * **Nothing gets a number after the cut whose author had not seen everything up to the cut.** The main chooses a cut for
//!   which that is true of its log, and from then on rejects what is not so; the author writes the same again, having seen it
//!   ([`Reason::Compacted`](crate::ruling::Reason::Compacted)).
//! * So that nobody who is there is rejected, the cut is not after what any replica has *settled* that the main heard of
//!   within [`RETENTION`]: a number that the replica holds, at a time when the main knew all changes that the replica held.
//!   What it writes later has seen that number.
//! * Nor is it after what the main had numbered a retention ago, so a client can hand in a transaction again for as long and have it
//!   done once. A main that was started lately does not compact, so nobody is forgotten because the main has forgotten it.
//!
//! The cut is a ruling in the main's log, so all replicas forget the same at the same number, and still give the same
//! snapshot.
//!
//! # What is kept
//!
//! What comes after the cut has seen all before it and outranks it under every policy. So the order among what is
//! forgotten no longer matters, and a change is kept when
//!
//! * a register still holds a write of it under some policy, or it was the last to write to a row that is there;
//! * it changes the schema, or replicas voted for it;
//! * it deletes a row for good to which a kept change writes: taken in again, that write would bring the row back.
//!
//! A row is gone for good when its delete outranks all else that was written to it, under every policy, no edge needs it,
//! and its table has no rule by which an update or an edge brings rows back. A table or a column is gone for good when it
//! was dropped before the cut and is still dropped; an UNDROP with a later number is refused.
//!
//! Changes are kept whole, with their digests, so a kept one may hold writes that no longer count. A replica that was away
//! may make a table or a column anew that is gone for good. It is empty then: what was written before the cut counts no
//! longer, and what is written after it is kept by the next compaction like anything else.
//!
//! A rule by which updates or edges bring rows back, set when rows are forgotten already, does not bring back what they held:
//! such a row shows what was written to it after the cut, and perhaps what a kept change had written to it among other things.
//!
//! A replica that takes a base in place of its own log may have changes that the main has yet to refuse. Until it does, they are
//! shown over what is left of the log, as if what is forgotten had never been.
//!
//! The audit forgets conflicts before the cut. The view, which is all that clients see, is the same before and after.
//!
//! # Who was away for longer
//!
//! A replica that lacks forgotten numbers gets the base in place of all the numbers it holds, with what is kept, and goes on
//! from there. Of its own changes those are done for which the base stands; the others it sends as ever, the main rejects
//! them, and it writes them anew. Nothing pending is lost, and nothing is done twice. The same goes for a replica whose numbers
//! are of another history, because it is damaged or because the main was set back: what it wrote and the main's history has
//! not, it sends again.
//!
//! What is written by other systems and was imported by a replica that was away for longer is rejected with nobody to write
//! it anew; it can be imported again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::change::{Change, ChangeKind, Op};
use crate::clock::Lsn;
use crate::id::{ChangeId, TableId};
use crate::log::ChangeLog;
use crate::snapshot::Purged;
use crate::state::{Remains, State};

/// How long the main waits for a replica of which it hears nothing before it forgets what that lacks, unless configured
/// otherwise: a week.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The join of what has a number up to `cut`, but for what counts no longer of it.
#[must_use]
pub fn state_at(log: &ChangeLog, cut: Lsn) -> State {
    let mut state = State::default();
    let mut forgotten = log.base().forgotten.iter().peekable();
    for (change, lsn) in log.numbered().take_while(|(_, lsn)| *lsn <= cut) {
        while let Some((_, purged)) = forgotten.next_if(|(last, _)| **last < lsn) {
            state.forget(purged);
        }
        state.join(change, lsn);
    }
    forgotten.for_each(|(_, purged)| state.forget(purged));
    state
}

/// The changes that have to be kept when the numbers up to `cut` are forgotten, where these tables and columns are gone for
/// good and deleted rows of those tables can come back.
#[must_use]
pub fn kept(log: &ChangeLog, cut: Lsn, purged: &BTreeSet<Purged>, reviving: &BTreeSet<TableId>) -> BTreeSet<ChangeId> {
    let state = state_at(log, cut);
    let mut changes: BTreeMap<ChangeId, &Arc<Change>> = BTreeMap::new();
    let mut by_lsn: BTreeMap<Lsn, ChangeId> = BTreeMap::new();
    for (change, lsn) in log.numbered().take_while(|(_, lsn)| *lsn <= cut) {
        changes.insert(change.id, change);
        by_lsn.insert(lsn, change.id);
    }
    let reviving = state.reviving().union(reviving).copied().collect();
    let Remains { holders, versions, deletes } = state.remains(purged, &reviving);
    let is_whole = |change: &&&Arc<Change>| change.is_agreed() || change.kind() == ChangeKind::Ddl;
    let mut waiting: Vec<ChangeId> = changes.values().filter(is_whole).map(|change| change.id).collect();
    waiting.extend(holders.into_iter().chain(versions.iter().filter_map(|lsn| by_lsn.get(lsn).copied())));
    let mut kept = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !kept.insert(id) {
            continue;
        }
        let elements = changes.get(&id).into_iter().flat_map(|change| &change.ops).filter_map(Op::element);
        waiting.extend(elements.filter_map(|element| deletes.get(element)).flatten());
    }
    kept
}

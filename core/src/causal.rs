//! The causal buffer: holds what arrived before its causes and releases it after them.
//!
//! A change waits until everything its author had seen, and everything it names as a dependency, is applied here; a
//! numbered change also waits for the number before it. So causes always precede effects, and numbers have no gaps. The
//! buffer is bounded: what arrives when it is full is dropped and comes again, because it is not acknowledged. What can
//! be applied at once never enters it, so a full buffer does not hinder what would empty it.

use std::collections::BTreeMap;

use crate::change::ChangeId;
use crate::log::{ChangeLog, Lsn};
use crate::message::Entry;

/// Changes that wait at most.
pub const WAITING_MAX: usize = 10_000;

/// What a waiting change waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// This change first.
    Change(ChangeId),
    /// This number first.
    Number(Lsn),
}

/// What `entry` still waits for at a replica with this log; `None` if it can be applied.
#[must_use]
pub fn missing(entry: &Entry, log: &ChangeLog) -> Option<Missing> {
    let (seen, next_lsn) = (log.seen(), log.next_lsn());
    if entry.lsn.is_some_and(|lsn| lsn > next_lsn) {
        return Some(Missing::Number(next_lsn));
    }
    if seen.contains(entry.change.id) {
        return None;
    }
    let unseen = seen.first_missing(&entry.change.seen);
    let unmet = entry.change.depends_on.iter().copied().find(|id| !seen.contains(*id));
    unseen.or(unmet).map(Missing::Change)
}

/// Changes that arrived before their causes.
#[derive(Clone, Debug, Default)]
pub struct CausalBuffer {
    waiting: BTreeMap<ChangeId, Entry>,
}

impl CausalBuffer {
    /// Keeps an entry that cannot be applied yet. Says whether it did: a full buffer drops it.
    pub fn hold(&mut self, entry: Entry) -> bool {
        let id = entry.change.id;
        if let Some(held) = self.waiting.get_mut(&id) {
            held.lsn = held.lsn.or(entry.lsn);
            return true;
        }
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.waiting.insert(id, entry);
        true
    }

    /// Takes an entry out that can be applied now.
    pub fn release(&mut self, log: &ChangeLog) -> Option<Entry> {
        let ready = self.waiting.values().find(|entry| missing(entry, log).is_none())?.change.id;
        self.waiting.remove(&ready)
    }

    /// What waits, with what for.
    pub fn waiting<'a>(&'a self, log: &'a ChangeLog) -> impl Iterator<Item = (ChangeId, Missing)> + 'a {
        self.waiting.iter().filter_map(move |(id, entry)| Some((*id, missing(entry, log)?)))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::clock::Timestamp;
    use crate::id::{Digest, ReplicaId, TxId};
    use std::sync::Arc;

    fn id(replica: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([replica; 16]), seq }
    }

    fn entry(change: ChangeId, seen: &[ChangeId], depends_on: &[ChangeId], lsn: Option<Lsn>) -> Entry {
        let change = Change {
            id: change,
            tx: TxId::default(),
            previous: Digest::default(),
            timestamp: Timestamp::default(),
            seen: seen.iter().copied().collect(),
            depends_on: depends_on.to_vec(),
            ops: Vec::new(),
        };
        Entry { change: Arc::new(change), lsn }
    }

    /// A log that holds these changes, the first `numbered` of them numbered.
    fn log(changes: &[ChangeId], numbered: Lsn) -> ChangeLog {
        let mut log = ChangeLog::default();
        for (place, change) in (1..).zip(changes) {
            log.append(entry(*change, &[], &[], None).change, (place <= numbered).then_some(place));
        }
        log
    }

    #[test]
    fn a_change_waits_for_what_its_author_saw_for_its_dependencies_and_for_its_number() {
        let nothing = log(&[], 0);
        assert_eq!(missing(&entry(id(1, 1), &[], &[], None), &nothing), None);
        assert_eq!(missing(&entry(id(1, 2), &[id(1, 1)], &[], None), &nothing), Some(Missing::Change(id(1, 1))));
        assert_eq!(missing(&entry(id(1, 1), &[], &[id(2, 3)], None), &nothing), Some(Missing::Change(id(2, 3))));
        assert_eq!(missing(&entry(id(1, 1), &[], &[], Some(2)), &nothing), Some(Missing::Number(1)));
        assert_eq!(missing(&entry(id(1, 1), &[], &[], Some(2)), &log(&[id(2, 1)], 1)), None);
    }

    #[test]
    fn a_diamond_is_released_in_causal_order_whatever_the_arrival() {
        let bottom = entry(id(3, 1), &[id(1, 1), id(2, 1)], &[], None);
        let right = entry(id(2, 1), &[id(4, 1)], &[], None);
        let left = entry(id(1, 1), &[id(4, 1)], &[], None);
        let mut buffer = CausalBuffer::default();
        for held in [bottom, right, left] {
            assert!(buffer.hold(held));
        }
        let mut here = log(&[], 0);
        assert!(buffer.release(&here).is_none());
        here.append(entry(id(4, 1), &[], &[], None).change, None);
        let mut released = Vec::new();
        while let Some(entry) = buffer.release(&here) {
            released.push(entry.change.id);
            here.append(entry.change, None);
        }
        assert_eq!(released, [id(1, 1), id(2, 1), id(3, 1)]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_full_buffer_drops_the_newest() {
        let mut buffer = CausalBuffer::default();
        for seq in 0..WAITING_MAX as u64 {
            assert!(buffer.hold(entry(id(1, seq + 2), &[], &[id(9, 9)], None)));
        }
        assert!(!buffer.hold(entry(id(2, 2), &[], &[id(9, 9)], None)));
        assert!(buffer.hold(entry(id(1, 2), &[], &[], Some(1))), "what is held may still learn its number");
    }
}

//! The causal buffer: holds what arrived before its causes and releases it after them.
//!
//! A change waits until everything its author had seen, and everything it names as a dependency, is applied or has failed
//! here; what has a number also waits for the number before it. So causes always precede effects, and numbers have no gaps.
//! The buffer is bounded: what arrives when it is full is dropped and comes again, because it is not acknowledged. What
//! can be applied at once never enters it, so a full buffer does not hinder what would empty it.
//!
//! Changes that depend on each other in a circle would wait for ever. They are released as failed, with the circle by name.
//! (DDL Synchronisation, case B3.)

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{ChangeId, ChangeKind};
use crate::error::Error;
use crate::log::{ChangeLog, Lsn};
use crate::message::{Delivery, Entry};
use crate::planted::{Bug, is_planted};
use crate::ruling::Ruling;

/// Changes that wait at most, and rulings that wait at most.
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
    if seen.passes(entry.change.id) {
        return None;
    }
    let ignores_causes = is_planted(Bug::DdlIgnoresDependsOn) && entry.change.kind() == ChangeKind::Ddl;
    if is_planted(Bug::NoGapCheck) || ignores_causes {
        let next = ChangeId { replica: entry.change.id.replica, seq: seen.head(entry.change.id.replica) + 1 };
        return (next != entry.change.id).then_some(Missing::Change(next));
    }
    let unseen = seen.first_missing(&entry.change.seen);
    let unmet = entry.change.depends_on.iter().copied().find(|id| !seen.passes(*id));
    unseen.or(unmet).map(Missing::Change)
}

/// What the buffer releases.
#[derive(Debug)]
pub enum Released {
    /// Its causes are applied.
    Ready(Delivery),
    /// It can never be applied.
    Doomed(Entry, Error),
}

/// What arrived before its causes.
#[derive(Clone, Debug, Default)]
pub struct CausalBuffer {
    waiting: BTreeMap<ChangeId, Entry>,
    rulings: BTreeMap<Lsn, Ruling>,
    /// What is part of a circle, with the circle.
    doomed: BTreeMap<ChangeId, Vec<ChangeId>>,
}

impl CausalBuffer {
    /// Keeps an entry that cannot be applied yet. Says whether it did: a full buffer drops it.
    pub fn hold(&mut self, entry: Entry, log: &ChangeLog) -> bool {
        let id = entry.change.id;
        if let Some(held) = self.waiting.get_mut(&id) {
            held.lsn = held.lsn.or(entry.lsn);
            return true;
        }
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.waiting.insert(id, entry);
        self.doom_circle(id, log);
        true
    }

    /// Keeps a ruling whose number is not the next. Says whether it did.
    pub fn hold_ruling(&mut self, ruling: Ruling, lsn: Lsn) -> bool {
        if self.rulings.len() >= WAITING_MAX {
            return self.rulings.contains_key(&lsn);
        }
        self.rulings.entry(lsn).or_insert(ruling);
        true
    }

    /// Marks the circle that `id` closes, if it does. Only explicit dependencies can make one.
    fn doom_circle(&mut self, id: ChangeId, log: &ChangeLog) {
        if self.waiting.values().all(|entry| entry.change.depends_on.is_empty()) {
            return;
        }
        let mut came_from: BTreeMap<ChangeId, ChangeId> = BTreeMap::new();
        let mut next = vec![id];
        while let Some(effect) = next.pop() {
            for cause in self.waiting_causes(effect, log) {
                if cause == id {
                    let path = std::iter::successors(Some(effect), |id| came_from.get(id).copied());
                    let circle: BTreeSet<ChangeId> = path.chain([id]).collect();
                    let circle: Vec<ChangeId> = circle.into_iter().collect();
                    self.doomed.extend(circle.iter().map(|member| (*member, circle.clone())));
                    return;
                }
                came_from.entry(cause).or_insert_with(|| {
                    next.push(cause);
                    effect
                });
            }
        }
    }

    /// The waiting changes that a waiting change waits for.
    fn waiting_causes(&self, effect: ChangeId, log: &ChangeLog) -> Vec<ChangeId> {
        let change = &self.waiting[&effect].change;
        let unseen = change.seen.heads().flat_map(|head| {
            let first = ChangeId { replica: head.replica, seq: log.seen().head(head.replica).saturating_add(1) };
            let range = (first <= head).then(|| self.waiting.range(first..=head).map(|(id, _)| *id));
            range.into_iter().flatten()
        });
        let explicit = change.depends_on.iter().copied().filter(|id| self.waiting.contains_key(id));
        unseen.chain(explicit).collect()
    }

    /// Takes something out that can be applied now, or never.
    pub fn release(&mut self, log: &ChangeLog) -> Option<Released> {
        self.rulings.retain(|lsn, _| *lsn >= log.next_lsn());
        if let Some(ruling) = self.rulings.remove(&log.next_lsn()) {
            return Some(Released::Ready(Delivery::Ruling { ruling, lsn: log.next_lsn() }));
        }
        if let Some(id) = self.doomed.keys().copied().find(|id| log.is_next(*id)) {
            let circle = self.doomed.remove(&id).unwrap_or_default();
            let entry = self.waiting.remove(&id)?;
            return Some(Released::Doomed(entry, Error::DependencyCycle(circle)));
        }
        let is_ready = |entry: &&Entry| !self.doomed.contains_key(&entry.change.id) && missing(entry, log).is_none();
        let ready = self.waiting.values().find(is_ready)?.change.id;
        self.waiting.remove(&ready).map(|entry| Released::Ready(Delivery::Change(entry)))
    }

    /// Forgets a change for which a ruling stands in.
    pub fn forget(&mut self, id: ChangeId) {
        self.waiting.remove(&id);
        self.doomed.remove(&id);
    }

    /// What waits, with what for.
    pub fn waiting<'a>(&'a self, log: &'a ChangeLog) -> impl Iterator<Item = (ChangeId, Missing)> + 'a {
        self.waiting.iter().filter_map(move |(id, entry)| Some((*id, missing(entry, log)?)))
    }

    /// The changes that wait.
    pub fn held(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.values()
    }

    /// How many changes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no change and no ruling waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.rulings.is_empty()
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
            link_epoch: 0,
            authority_epochs: BTreeMap::new(),
            seen: seen.iter().copied().collect(),
            depends_on: depends_on.to_vec(),
            replaces: None,
            expects: Vec::new(),
            participants: Vec::new(),
            ops: Vec::new(),
        };
        Entry { change: Arc::new(change), lsn }
    }

    /// A log that holds these changes, the first `numbered` of them numbered.
    fn log(changes: &[ChangeId], numbered: Lsn) -> ChangeLog {
        let mut log = ChangeLog::default();
        for (place, change) in (1..).zip(changes) {
            log.append(entry(*change, &[], &[], None).change);
            if place <= numbered {
                log.number(*change, place);
            }
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
        let mut here = log(&[], 0);
        for held in [bottom, right, left] {
            assert!(buffer.hold(held, &here));
        }
        assert!(buffer.release(&here).is_none());
        here.append(entry(id(4, 1), &[], &[], None).change);
        let mut released = Vec::new();
        while let Some(Released::Ready(Delivery::Change(entry))) = buffer.release(&here) {
            released.push(entry.change.id);
            here.append(entry.change);
        }
        assert_eq!(released, [id(1, 1), id(2, 1), id(3, 1)]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_full_buffer_drops_the_newest() {
        let (mut buffer, here) = (CausalBuffer::default(), log(&[], 0));
        for seq in 0..WAITING_MAX as u64 {
            assert!(buffer.hold(entry(id(1, seq + 2), &[id(9, 9)], &[], None), &here));
        }
        assert!(!buffer.hold(entry(id(2, 2), &[id(9, 9)], &[], None), &here));
        assert!(buffer.hold(entry(id(1, 2), &[], &[], Some(1)), &here), "what is held may still learn its number");
    }

    #[test]
    fn a_circle_is_released_as_doomed_by_name_and_a_chain_that_hangs_on_it_is_not() {
        let (mut buffer, here) = (CausalBuffer::default(), log(&[], 0));
        assert!(buffer.hold(entry(id(1, 1), &[], &[id(2, 1)], None), &here));
        assert!(buffer.hold(entry(id(4, 1), &[], &[id(1, 1)], None), &here));
        assert!(buffer.hold(entry(id(2, 1), &[], &[id(3, 1)], None), &here));
        assert!(buffer.release(&here).is_none(), "it is a chain so far");
        assert!(buffer.hold(entry(id(3, 1), &[], &[id(1, 1)], None), &here));
        let circle = Error::DependencyCycle(vec![id(1, 1), id(2, 1), id(3, 1)]);
        for member in [id(1, 1), id(2, 1), id(3, 1)] {
            let Some(Released::Doomed(entry, error)) = buffer.release(&here) else { panic!("a circle is doomed") };
            assert_eq!((entry.change.id, &error), (member, &circle));
        }
        assert!(buffer.release(&here).is_none());
        assert_eq!(buffer.len(), 1, "what hangs on the circle waits for it to be passed");
    }

    #[test]
    fn rulings_are_released_in_the_order_of_their_numbers() {
        let (mut buffer, mut here) = (CausalBuffer::default(), log(&[], 0));
        assert!(buffer.hold_ruling(Ruling::Epoch(2), 2));
        assert!(buffer.release(&here).is_none());
        here.rule(Ruling::Epoch(1), 1);
        let Some(Released::Ready(Delivery::Ruling { ruling, lsn })) = buffer.release(&here) else {
            panic!("its number is the next")
        };
        assert_eq!((ruling, lsn), (Ruling::Epoch(2), 2));
    }
}

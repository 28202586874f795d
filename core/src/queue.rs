//! The offline queue: this replica's own changes that nobody has acknowledged yet.
//!
//! With a main a change is acknowledged when it has the main's number; without one, when another replica holds it durably.
//! Nothing else takes a change out, least of all a link that drops. (Distributed Sync Engine, cases D4.1 and D.P3.)

use std::collections::BTreeMap;

use crate::error::Error;

/// Unacknowledged operations at most, unless configured otherwise.
pub const OPERATIONS_MAX: usize = 10_000;

/// A queued change's size.
#[derive(Clone, Copy, Debug)]
struct Queued {
    operations: usize,
    bytes: usize,
}

/// This replica's unacknowledged changes, by sequence number.
#[derive(Clone, Debug)]
pub struct OfflineQueue {
    queued: BTreeMap<u64, Queued>,
    operations: usize,
    operations_max: usize,
}

impl OfflineQueue {
    /// An empty queue with room for so many operations.
    #[must_use]
    pub fn new(operations_max: usize) -> Self {
        OfflineQueue { queued: BTreeMap::new(), operations: 0, operations_max }
    }

    /// Whether a change of so many operations fits.
    ///
    /// # Errors
    /// [`Error::QueueFull`], or [`Error::TransactionTooLong`] if it would not fit an empty queue either.
    pub fn check_room(&self, operations: usize) -> Result<(), Error> {
        if operations > self.operations_max {
            return Err(Error::TransactionTooLong { found: operations, max: self.operations_max });
        }
        if self.operations + operations > self.operations_max {
            return Err(Error::QueueFull { queued: self.operations, max: self.operations_max });
        }
        Ok(())
    }

    /// Queues own change `seq`.
    pub fn push(&mut self, seq: u64, operations: usize, bytes: usize) {
        self.operations += operations;
        self.queued.insert(seq, Queued { operations, bytes });
    }

    /// Takes one acknowledged change out. Says whether it was queued.
    pub fn acknowledge(&mut self, seq: u64) -> bool {
        let removed = self.queued.remove(&seq);
        self.operations -= removed.map_or(0, |queued| queued.operations);
        removed.is_some()
    }

    /// Takes every change up to `seq` out and returns their numbers.
    pub fn acknowledge_through(&mut self, seq: u64) -> Vec<u64> {
        let acknowledged: Vec<u64> = self.queued.range(..=seq).map(|(seq, _)| *seq).collect();
        for seq in &acknowledged {
            self.acknowledge(*seq);
        }
        acknowledged
    }

    /// The numbers of the queued changes.
    pub fn seqs(&self) -> impl Iterator<Item = u64> {
        self.queued.keys().copied()
    }

    /// Operations queued.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// Encoded bytes of the queued changes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.queued.values().map(|queued| queued.bytes).sum()
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_keeps_what_it_holds() {
        let mut queue = OfflineQueue::new(3);
        queue.push(1, 2, 100);
        assert_eq!(queue.check_room(2), Err(Error::QueueFull { queued: 2, max: 3 }));
        assert_eq!(queue.check_room(4), Err(Error::TransactionTooLong { found: 4, max: 3 }));
        assert_eq!(queue.check_room(1), Ok(()));
        assert_eq!((queue.operations(), queue.bytes()), (2, 100));
    }

    #[test]
    fn only_an_acknowledgement_empties_it() {
        let mut queue = OfflineQueue::new(10);
        (1..=3).for_each(|seq| queue.push(seq, 1, 10));
        assert!(queue.acknowledge(2) && !queue.acknowledge(2));
        assert_eq!(queue.acknowledge_through(3), [1, 3]);
        assert!(queue.is_empty() && queue.operations() == 0);
    }
}

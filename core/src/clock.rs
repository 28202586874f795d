//! Time as data: what was seen, when it was written, and who outranks whom.
//!
//! [`Seen`] is the only test for "had seen" and "concurrent". [`Rank`] is the only order that decides a conflict: not
//! arrival, not the text of a date. It is total, and because a timestamp is merged with every one received before it is
//! stamped, it extends happened-before. [`VectorClock`] exists for people and for case D1.2 alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ChangeId, ReplicaId};

/// A place in the main's log, from 1; 0 stands for none.
pub type Lsn = u64;

/// Monotonic time in microseconds since an origin of the host's choice; only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instant(pub u64);

impl Instant {
    /// This instant, `later` later.
    #[must_use]
    pub fn after(self, later: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(later.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks of a host at one input.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Now {
    /// For timers.
    pub monotonic: Instant,
    /// Milliseconds since 1970-01-01T00:00:00Z as the host believes; may be wrong and may jump.
    pub wall_ms: i64,
}

/// A hybrid logical clock reading: wall milliseconds that never go back, and a counter within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: i64,
    /// Distinguishes what one replica wrote within the millisecond.
    pub counter: u32,
}

impl Timestamp {
    /// The last millisecond of the year 9999. It and what is later is no time of day but damage, and is refused, since
    /// merging it would drag every clock along. What can be merged leaves room for stamps after it.
    pub const MAX_MS: i64 = 253_402_300_799_999;

    /// The next reading after `self` on a host whose wall clock shows `wall_ms`.
    #[must_use]
    pub fn next(self, wall_ms: i64) -> Timestamp {
        let wall_ms = wall_ms.min(Self::MAX_MS - 1);
        if wall_ms > self.ms {
            return Timestamp { ms: wall_ms, counter: 0 };
        }
        match self.counter.checked_add(1) {
            Some(counter) => Timestamp { ms: self.ms, counter },
            None => Timestamp { ms: self.ms + 1, counter: 0 },
        }
    }
}

/// Where a write stands in the one conflict order; the greater wins.
///
/// Policy `auto` among replicas of one link epoch compares exactly these fields in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank {
    /// When the change was written.
    pub timestamp: Timestamp,
    /// Who wrote it and its number there.
    pub change: ChangeId,
    /// The operation's place in its change.
    pub index: u32,
}

/// What a replica has applied: per author the last of a gapless sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    heads: BTreeMap<ReplicaId, u64>,
}

impl Seen {
    /// Whether `id` was applied.
    #[must_use]
    pub fn contains(&self, id: ChangeId) -> bool {
        id.seq <= self.head(id.replica)
    }

    /// The last applied sequence number of `replica`, 0 if none.
    #[must_use]
    pub fn head(&self, replica: ReplicaId) -> u64 {
        self.heads.get(&replica).copied().unwrap_or(0)
    }

    /// The authors and their last sequence numbers.
    pub fn heads(&self) -> impl Iterator<Item = ChangeId> {
        self.heads.iter().map(|(&replica, &seq)| ChangeId { replica, seq })
    }

    /// Notes that `id` was applied, as its author's next.
    ///
    /// # Panics
    /// If the author's previous change was not applied before: the causal buffer prevents that.
    pub fn insert(&mut self, id: ChangeId) {
        let head = self.heads.entry(id.replica).or_insert(0);
        assert_eq!(*head + 1, id.seq, "applied {id} out of its author's order");
        *head = id.seq;
    }

    /// Raises the heads to those of `other`.
    pub fn merge(&mut self, other: &Seen) {
        for (&replica, &seq) in &other.heads {
            let head = self.heads.entry(replica).or_insert(0);
            *head = seq.max(*head);
        }
    }

    /// Whether everything `other` has applied is applied here.
    #[must_use]
    pub fn includes(&self, other: &Seen) -> bool {
        other.heads().all(|head| self.contains(head))
    }

    /// The first change that `other` has applied and this has not, by author.
    #[must_use]
    pub fn first_missing(&self, other: &Seen) -> Option<ChangeId> {
        let missing = other.heads().find(|head| !self.contains(*head))?;
        Some(ChangeId { replica: missing.replica, seq: self.head(missing.replica) + 1 })
    }
}

impl FromIterator<ChangeId> for Seen {
    fn from_iter<I: IntoIterator<Item = ChangeId>>(heads: I) -> Self {
        Seen { heads: heads.into_iter().map(|id| (id.replica, id.seq)).collect() }
    }
}

/// Counts per replica, shown to people (Distributed Sync Engine, case D1.2): a replica ticks its own entry on every
/// local change and once for every received batch that brought something new. No rule reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorClock(BTreeMap<ReplicaId, u64>);

impl VectorClock {
    /// The count of `replica`, 0 if it was never heard of.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.0.get(&replica).copied().unwrap_or(0)
    }

    /// Counts one event of `replica`.
    pub fn tick(&mut self, replica: ReplicaId) {
        let count = self.0.entry(replica).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// The counts of those whose changes were seen: a clock from outside may name anybody.
    #[must_use]
    pub fn of(&self, seen: &Seen) -> VectorClock {
        VectorClock(
            self.0.iter().filter(|(replica, _)| seen.head(**replica) > 0).map(|(id, count)| (*id, *count)).collect(),
        )
    }

    /// Raises every count to that of `other`.
    pub fn merge(&mut self, other: &VectorClock) {
        for (&replica, &count) in &other.0 {
            let own = self.0.entry(replica).or_insert(0);
            *own = count.max(*own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(replica: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([replica; 16]), seq }
    }

    #[test]
    fn a_timestamp_never_goes_back_whatever_the_wall_clock_does() {
        let first = Timestamp::default().next(1_000);
        let behind = first.next(500);
        let same = behind.next(1_000);
        let ahead = same.next(2_000);
        assert!(first < behind && behind < same && same < ahead);
        assert_eq!(ahead, Timestamp { ms: 2_000, counter: 0 });
    }

    #[test]
    fn a_full_counter_borrows_the_next_millisecond() {
        let full = Timestamp { ms: 5, counter: u32::MAX };
        assert_eq!(full.next(5), Timestamp { ms: 6, counter: 0 });
    }

    #[test]
    fn seen_names_the_first_change_that_is_missing() {
        let mut seen = Seen::default();
        seen.insert(id(1, 1));
        let wants: Seen = [id(1, 3), id(2, 1)].into_iter().collect();
        assert_eq!(seen.first_missing(&wants), Some(id(1, 2)));
        assert!(!seen.includes(&wants));
        seen.merge(&wants);
        assert!(seen.includes(&wants) && seen.contains(id(2, 1)) && !seen.contains(id(2, 2)));
    }

    #[test]
    #[should_panic(expected = "out of its author's order")]
    fn applying_over_a_gap_is_a_bug() {
        Seen::default().insert(id(1, 2));
    }

    #[test]
    fn rank_compares_time_before_author() {
        let rank = |ms, replica| Rank { timestamp: Timestamp { ms, counter: 0 }, change: id(replica, 1), index: 0 };
        assert!(rank(2, 1) > rank(1, 9));
        assert!(rank(2, 9) > rank(2, 1));
    }
}

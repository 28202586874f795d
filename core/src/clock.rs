//! Time as data: what was seen, when it was written, and who outranks whom.
//!
//! [`Seen`] is the only test for "had seen" and "concurrent". [`Rank`] is the only order that decides a conflict: not
//! arrival, not the text of a date. It is total, and because every component is merged with those of all applied changes
//! before it is stamped, it extends happened-before. What part of it a table compares is its [`crate::policy`].
//! [`VectorClock`] exists for people and for case D1.2 alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::flat_map::FlatMap;
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

/// An instant on somebody's wall clock, to the nanosecond.
///
/// As text it is RFC 3339 with any offset and precision, and instants compare as instants: `12:00:00+02:00` is before
/// `10:00:00.001Z`, whatever the text says. (Sync Policy, case E3.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: i64,
    /// The nanoseconds within that millisecond, below 1,000,000.
    pub submilli_ns: u32,
}

impl From<i64> for WallTime {
    fn from(ms: i64) -> Self {
        WallTime { ms, submilli_ns: 0 }
    }
}

/// Text that is no instant this side of the year 10000.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no instant between the years 1970 and 9999; write it with an offset, like \"2025-01-31T09:30:00.25+01:00\""
)]
pub struct WallTimeError {
    text: String,
}

impl FromStr for WallTime {
    type Err = WallTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NS_PER_MS: i128 = 1_000_000;
        let nanoseconds = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_nanosecond).ok();
        let time = nanoseconds.and_then(|ns| {
            let ms = i64::try_from(ns.div_euclid(NS_PER_MS)).ok()?;
            Some(WallTime { ms, submilli_ns: u32::try_from(ns.rem_euclid(NS_PER_MS)).ok()? })
        });
        let in_range = |time: &WallTime| (0..Timestamp::MAX_MS).contains(&time.ms);
        time.filter(in_range).ok_or_else(|| WallTimeError { text: text.to_owned() })
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = i128::from(self.ms) * 1_000_000 + i128::from(self.submilli_ns);
        match jiff::Timestamp::from_nanosecond(nanoseconds) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} ms", self.ms),
        }
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        (self.ms, self.submilli_ns).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        let (ms, submilli_ns) = Deserialize::deserialize(deserializer)?;
        Ok(WallTime { ms, submilli_ns })
    }
}

/// A hybrid logical clock reading: wall time that never goes back, and a counter within one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: i64,
    /// The nanoseconds within that millisecond, where a client gave them.
    pub submilli_ns: u32,
    /// Distinguishes what one replica wrote within the instant.
    pub counter: u32,
}

impl Timestamp {
    /// The last millisecond of the year 9999. It and what is later is no time of day but damage, and is refused, since
    /// merging it would drag every clock along. What can be merged leaves room for stamps after it.
    pub const MAX_MS: i64 = 253_402_300_799_999;

    /// The first reading in a millisecond.
    #[must_use]
    pub fn at_ms(ms: i64) -> Timestamp {
        Timestamp { ms, ..Timestamp::default() }
    }

    /// The instant, without the counter.
    #[must_use]
    pub fn wall(self) -> WallTime {
        WallTime { ms: self.ms, submilli_ns: self.submilli_ns }
    }

    /// The next reading after `self` when the wall clock shows `wall`.
    #[must_use]
    pub fn next(self, wall: WallTime) -> Timestamp {
        let wall = wall.min(WallTime::from(Self::MAX_MS - 1));
        if wall > self.wall() {
            return Timestamp { ms: wall.ms, submilli_ns: wall.submilli_ns, counter: 0 };
        }
        match self.counter.checked_add(1) {
            Some(counter) => Timestamp { counter, ..self },
            None => Timestamp::at_ms(self.ms + 1),
        }
    }
}

/// Where a write stands among all writes. Every component is stamped after merging those of all applied changes, so each
/// order that compares some of them, in this sequence, extends happened-before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank {
    /// How often the main had written to the table, if the table prefers it.
    pub authority_epoch: u64,
    /// How often replicas had disconnected from the main.
    pub link_epoch: u64,
    /// When the change was written.
    pub timestamp: Timestamp,
    /// Who wrote it and its number there.
    pub change: ChangeId,
    /// The operation's place in its change.
    pub index: u32,
}

/// What a replica has applied: per author the last of a gapless sequence, but for those changes that failed there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    heads: Heads,
    gaps: BTreeSet<ChangeId>,
}

impl Seen {
    /// Whether `id` was applied.
    #[must_use]
    pub fn contains(&self, id: ChangeId) -> bool {
        self.passes(id) && !self.gaps.contains(&id)
    }

    /// Whether `id` was applied, or failed and was passed.
    #[must_use]
    pub fn passes(&self, id: ChangeId) -> bool {
        id.seq <= self.head(id.replica)
    }

    /// The last passed sequence number of `replica`, 0 if none.
    #[must_use]
    pub fn head(&self, replica: ReplicaId) -> u64 {
        self.heads.get(replica).unwrap_or(0)
    }

    /// The authors and their last sequence numbers.
    pub fn heads(&self) -> impl Iterator<Item = ChangeId> {
        self.heads.iter().map(|(replica, seq)| ChangeId { replica, seq })
    }

    /// The changes that were passed and not applied.
    pub fn gaps(&self) -> impl Iterator<Item = ChangeId> {
        self.gaps.iter().copied()
    }

    /// Sets how far a replica's changes were passed; 0 for not at all.
    pub(crate) fn set_head(&mut self, replica: ReplicaId, seq: u64) {
        if seq == 0 {
            self.heads.remove(replica);
        } else {
            self.heads.insert(replica, seq);
        }
    }

    /// Notes that `id` was applied, as its author's next.
    ///
    /// # Panics
    /// If the author's previous change was not passed before: the causal buffer prevents that.
    pub fn insert(&mut self, id: ChangeId) {
        assert_eq!(self.head(id.replica) + 1, id.seq, "applied {id} out of its author's order");
        self.heads.insert(id.replica, id.seq);
    }

    /// Notes that `id`, its author's next, failed and is passed.
    ///
    /// # Panics
    /// Like [`Seen::insert`].
    pub fn pass(&mut self, id: ChangeId) {
        self.insert(id);
        self.gaps.insert(id);
    }

    /// Notes that `id`, which had been passed, was applied after all.
    pub fn fill(&mut self, id: ChangeId) {
        self.gaps.remove(&id);
    }

    /// Takes a change out, and all that its author wrote after it.
    pub fn forget_from(&mut self, id: ChangeId) {
        let is_later = |other: ChangeId| other.replica == id.replica && other.seq >= id.seq;
        self.gaps.retain(|gap| !is_later(*gap));
        self.set_head(id.replica, id.seq.saturating_sub(1).min(self.head(id.replica)));
    }

    /// Adds what `other` has applied.
    pub fn merge(&mut self, other: &Seen) {
        let is_gap = |id: &ChangeId| !self.contains(*id) && !other.contains(*id);
        self.gaps = self.gaps.union(&other.gaps).copied().filter(is_gap).collect();
        if self.heads.iter().next().is_none() {
            self.heads.clone_from(&other.heads);
            return;
        }
        for (replica, seq) in other.heads.iter() {
            if seq > self.head(replica) {
                self.heads.insert(replica, seq);
            }
        }
    }

    /// What was seen of the authors that `others` names.
    #[must_use]
    pub fn of_authors(&self, others: &Seen) -> Seen {
        let mut heads = Heads::default();
        for (author, _) in others.heads.iter() {
            self.heads.get(author).into_iter().for_each(|seq| heads.insert(author, seq));
        }
        let gaps = self.gaps.iter().filter(|gap| others.heads.get(gap.replica).is_some()).copied().collect();
        Seen { heads, gaps }
    }

    /// Whether everything `other` has passed is passed here.
    #[must_use]
    pub fn includes(&self, other: &Seen) -> bool {
        other.heads().all(|head| self.passes(head))
    }

    /// The first change that `other` has passed and this has not, by author.
    #[must_use]
    pub fn first_missing(&self, other: &Seen) -> Option<ChangeId> {
        let missing = other.heads().find(|head| !self.passes(*head))?;
        Some(ChangeId { replica: missing.replica, seq: self.head(missing.replica) + 1 })
    }
}

impl FromIterator<ChangeId> for Seen {
    fn from_iter<I: IntoIterator<Item = ChangeId>>(heads: I) -> Self {
        let mut seen = Seen::default();
        for id in heads {
            seen.heads.insert(id.replica, id.seq.max(seen.head(id.replica)));
        }
        seen
    }
}

/// A number per author. Every change has such a map, and most name few authors; a replica has one that may name all.
#[derive(Clone, Debug)]
enum Heads {
    /// Up to [`Heads::FEW_MAX`].
    Few(FlatMap<ReplicaId, u64>),
    /// What had more at some time.
    Many(BTreeMap<ReplicaId, u64>),
}

impl Heads {
    const FEW_MAX: usize = 16;

    fn get(&self, author: ReplicaId) -> Option<u64> {
        match self {
            Heads::Few(heads) => heads.get(&author).copied(),
            Heads::Many(heads) => heads.get(&author).copied(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> {
        let (few, many) = match self {
            Heads::Few(heads) => (Some(heads), None),
            Heads::Many(heads) => (None, Some(heads)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten()).map(|(author, seq)| (*author, *seq))
    }

    fn insert(&mut self, author: ReplicaId, seq: u64) {
        match self {
            Heads::Few(heads) => {
                heads.insert(author, seq);
                if heads.len() > Heads::FEW_MAX {
                    *self = Heads::Many(std::mem::take(heads).into_iter().collect());
                }
            }
            Heads::Many(heads) => drop(heads.insert(author, seq)),
        }
    }

    fn remove(&mut self, author: ReplicaId) {
        match self {
            Heads::Few(heads) => heads.remove(&author),
            Heads::Many(heads) => heads.remove(&author),
        };
    }
}

impl Default for Heads {
    fn default() -> Self {
        Heads::Few(FlatMap::new())
    }
}

/// However they are held.
impl PartialEq for Heads {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Heads {}

impl Serialize for Heads {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Heads::Few(heads) => heads.serialize(serializer),
            Heads::Many(heads) => heads.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Heads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let heads = FlatMap::deserialize(deserializer)?;
        let is_few = heads.len() <= Heads::FEW_MAX;
        Ok(if is_few { Heads::Few(heads) } else { Heads::Many(heads.into_iter().collect()) })
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
    fn forgetting_a_change_forgets_what_came_after_it_and_nothing_else() {
        let id = |replica: u8, seq| ChangeId { replica: ReplicaId([replica; 16]), seq };
        let mut seen: Seen = [id(1, 4), id(2, 2)].into_iter().collect();
        seen.pass(id(1, 5));
        seen.forget_from(id(1, 6));
        assert_eq!((seen.head(id(1, 1).replica), seen.gaps().count()), (5, 1), "it was not there");
        seen.forget_from(id(1, 3));
        assert_eq!((seen.head(id(1, 1).replica), seen.gaps().count()), (2, 0));
        seen.forget_from(id(1, 1));
        assert_eq!(seen.heads().collect::<Vec<_>>(), [id(2, 2)]);
    }

    #[test]
    fn few_heads_and_many_are_the_same_map() {
        let many: Seen = (1..=100).map(|author| id(author, u64::from(author))).collect();
        let mut few = many.clone();
        (5..=100).for_each(|author| few.set_head(ReplicaId([author; 16]), 0));
        let written: Seen = (1..5).rev().map(|author| id(author, u64::from(author))).collect();
        assert!(matches!((&few.heads, &written.heads), (Heads::Many(_), Heads::Few(_))));
        assert!(few == written && few != many && few.includes(&written) && many.includes(&few));
        assert_eq!(postcard::to_stdvec(&few), postcard::to_stdvec(&written));
        for seen in [few, many] {
            let bytes = postcard::to_stdvec(&seen).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok(seen.clone()));
            let tree: BTreeMap<ReplicaId, u64> = seen.heads().map(|head| (head.replica, head.seq)).collect();
            assert_eq!(postcard::to_stdvec(&(tree, Vec::<ChangeId>::new())), Ok(bytes));
        }
    }

    #[test]
    fn a_timestamp_never_goes_back_whatever_the_wall_clock_does() {
        let first = Timestamp::default().next(1_000.into());
        let behind = first.next(500.into());
        let same = behind.next(1_000.into());
        let ahead = same.next(2_000.into());
        assert!(first < behind && behind < same && same < ahead);
        assert_eq!(ahead, Timestamp::at_ms(2_000));
        let finer = ahead.next(WallTime { ms: 2_000, submilli_ns: 7 });
        assert!(finer > ahead && finer < ahead.next(2_001.into()));
    }

    #[test]
    fn instants_of_any_offset_and_precision_compare_as_instants() {
        let instant = |text: &str| text.parse::<WallTime>().unwrap();
        assert!(instant("2025-06-01T12:00:00+02:00") < instant("2025-06-01T10:00:00.001Z"));
        assert_eq!(instant("2025-06-01T12:00:00+02:00"), instant("2025-06-01t10:00:00.000000000Z"));
        assert!(instant("2025-06-01T10:00:00.0000001Z") > instant("2025-06-01T10:00:00Z"));
        let exact = instant("2025-06-01T10:00:00.123456789Z");
        assert_eq!(exact.to_string().parse(), Ok(exact));
        assert_eq!(serde_json::from_str::<WallTime>(&serde_json::to_string(&exact).unwrap()).unwrap(), exact);
        assert_eq!(postcard::from_bytes::<WallTime>(&postcard::to_stdvec(&exact).unwrap()), Ok(exact));
        for bad in ["", "2025-06-01", "2025-06-01T12:00:00", "1969-12-31T23:59:59Z", "noon"] {
            assert!(bad.parse::<WallTime>().unwrap_err().to_string().contains("with an offset"), "{bad}");
        }
    }

    #[test]
    fn a_full_counter_borrows_the_next_millisecond() {
        let full = Timestamp { counter: u32::MAX, ..Timestamp::at_ms(5) };
        assert_eq!(full.next(5.into()), Timestamp::at_ms(6));
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
    fn a_failed_change_is_passed_and_not_seen_until_it_is_applied() {
        let mut seen = Seen::default();
        seen.insert(id(1, 1));
        seen.pass(id(1, 2));
        seen.insert(id(1, 3));
        assert!(seen.passes(id(1, 2)) && !seen.contains(id(1, 2)) && seen.contains(id(1, 3)));
        assert_eq!(seen.gaps().collect::<Vec<_>>(), [id(1, 2)]);
        let mut merged = seen.clone();
        merged.merge(&[id(1, 2)].into_iter().collect());
        assert!(merged.contains(id(1, 2)), "the other has applied it");
        merged = seen.clone();
        merged.merge(&[id(1, 1)].into_iter().collect());
        assert!(!merged.contains(id(1, 2)), "neither has");
        seen.fill(id(1, 2));
        assert!(seen.contains(id(1, 2)));
    }

    #[test]
    #[should_panic(expected = "out of its author's order")]
    fn applying_over_a_gap_is_a_bug() {
        Seen::default().insert(id(1, 2));
    }
}

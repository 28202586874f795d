//! Which changes a peer holds, told in bytes that depend on what differs and not on how much there is.
//!
//! A cursor names every author there ever was, and every incarnation of a replica is one. Two peers that have met before
//! differ in a few of thousands. So whoever has many heads sends a [`Summary`] of them instead: a fingerprint of the set
//! and the beginning of its [sketch]. The other compares the fingerprints, which ends it if they are equal,
//! and else subtracts its own sketch and answers with the [`Difference`]. One round trip, in the size of the difference.
//!
//! Three tiers, chosen by what they cost:
//!
//! 1. few heads are sent whole, and nothing is compared;
//! 2. many heads are summarised; if the sketch was too short, which its reader says, the next one is longer;
//! 3. once a sketch would cost more than half of the heads, they are sent whole after all.
//!
//! A symbol is six keyed bytes of the author and four of the head's number. That two authors share them is as unlikely as
//! it is harmless: the answer carries the fingerprint of the answering side's heads, and if what is made of the answer has
//! another, everything is asked again under a new key, and the third time whole. (Distributed Sync Engine, case D5.1.)

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Seen;
use crate::id::{ChangeId, ReplicaId};
use crate::sketch::{self, Fingerprint, Key, PAYLOAD_BYTES, SYMBOL_BYTES, Symbol, keyed_hash};

/// So many heads are sent whole, unless configured otherwise: a summary would not be shorter.
pub const WHOLE_HEADS_MAX: usize = 64;

/// Cells of a first summary: ten differences in 10,000 take fewer in 9 of 10 sessions.
pub const CELLS_MIN: usize = 27;

/// How often a summary may turn out wrong before the heads are sent whole.
const WRONG_MAX: u32 = 2;

/// Bytes of a head in a cursor, about.
const HEAD_BYTES: usize = 19;

/// What is told of heads instead of the heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What it is keyed with.
    pub key: Key,
    /// How many heads there are.
    pub heads: u64,
    /// Of all of them, by whole names.
    pub fingerprint: [u8; 16],
    /// The beginning of their sketch.
    pub cells: Vec<Symbol>,
}

/// How the heads of an answering replica differ from those it was told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The key of the summary that it answers.
    pub key: Key,
    /// Of all heads of the one who answers, by whole names.
    pub fingerprint: [u8; 16],
    /// Short names of authors whose heads the asking side has, and the answering side has not.
    pub gone: Vec<ShortName>,
    /// Heads that the answering side has, and the asking side has not.
    pub heads: Vec<ChangeId>,
}

/// How a hello tells which changes its sender holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Its cursor names all of them.
    #[default]
    Whole,
    /// As a summary; its cursor has numbers alone.
    Summary(Summary),
    /// By what is other than at the receiver; its cursor has numbers alone.
    Difference(Difference),
}

/// Six keyed bytes of an author's name.
pub type ShortName = [u8; 6];

/// What a summary says to one who holds something itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// What the other holds of what is known here, and what to answer.
    Clear {
        /// Not verified: a summary that collides says too much.
        theirs: Seen,
        /// The answer.
        answer: Difference,
    },
    /// It is too short: there are at least so many differences.
    Unclear {
        /// At least.
        differences_min: u64,
    },
}

fn short_name(key: &Key, replica: ReplicaId) -> ShortName {
    let mut name = ShortName::default();
    name.copy_from_slice(&keyed_hash(key, &replica.0).to_le_bytes()[..6]);
    name
}

/// A sum over heads, by whole names.
fn fingerprint(heads: impl Iterator<Item = ChangeId>, key: &Key) -> [u8; 16] {
    let mut fingerprint = Fingerprint::default();
    for head in heads {
        let mut element = [0; 24];
        element[..16].copy_from_slice(&head.replica.0);
        element[16..].copy_from_slice(&head.seq.to_be_bytes());
        fingerprint.add(key, &element);
    }
    fingerprint.bytes()
}

/// Some heads under a key.
struct Keyed {
    heads: Vec<(Symbol, ChangeId)>,
    fingerprint: [u8; 16],
}

impl Keyed {
    /// `None` for what cannot be summarised: gaps, heads of more than four bytes, authors whose short names collide.
    fn new(seen: &Seen, key: &Key) -> Option<Keyed> {
        if seen.gaps().next().is_some() {
            return None;
        }
        let keyed = |head: ChangeId| {
            let mut payload = [0; PAYLOAD_BYTES];
            payload[..6].copy_from_slice(&short_name(key, head.replica));
            payload[6..].copy_from_slice(&u32::try_from(head.seq).ok()?.to_be_bytes());
            Some((sketch::symbol(key, payload), head))
        };
        let heads: Vec<_> = seen.heads().map(keyed).collect::<Option<_>>()?;
        let mut names: Vec<ShortName> = heads.iter().map(|(symbol, _)| symbol_of(symbol).0).collect();
        names.sort_unstable();
        let is_clear = names.is_sorted_by(|one, other| one < other);
        is_clear.then(|| Keyed { heads, fingerprint: fingerprint(seen.heads(), key) })
    }

    fn sketch(&self, key: &Key, cells: usize) -> Vec<Symbol> {
        sketch::sketch(self.heads.iter().map(|(symbol, _)| symbol), key, cells)
    }
}

fn symbol_of(symbol: &Symbol) -> (ShortName, u64) {
    let (mut name, mut seq) = (ShortName::default(), [0; 4]);
    name.copy_from_slice(&symbol[..6]);
    seq.copy_from_slice(&symbol[6..PAYLOAD_BYTES]);
    (name, u64::from(u32::from_be_bytes(seq)))
}

impl Summary {
    /// The summary of what was seen; `None` where it has to be told whole.
    #[must_use]
    pub fn new(seen: &Seen, key: Key, cells: usize) -> Option<Summary> {
        let keyed = Keyed::new(seen, &key)?;
        let cells = keyed.sketch(&key, cells);
        Some(Summary { key, heads: keyed.heads.len() as u64, fingerprint: keyed.fingerprint, cells })
    }

    /// What the summary says to one who has seen `ours`; `None` if there is no way to compare them under this key.
    #[must_use]
    pub fn compare(&self, ours: &Seen) -> Option<Compared> {
        let keyed = Keyed::new(ours, &self.key)?;
        let answer = Difference { key: self.key, fingerprint: keyed.fingerprint, gone: Vec::new(), heads: Vec::new() };
        if keyed.fingerprint == self.fingerprint {
            return Some(Compared::Clear { theirs: ours.clone(), answer });
        }
        let differences_min = self.heads.abs_diff(keyed.heads.len() as u64).max(1);
        let cells = keyed.sketch(&self.key, self.cells.len());
        let differences = sketch::difference(&self.cells, &cells, &self.key);
        let Some(mut theirs_alone) = differences else { return Some(Compared::Unclear { differences_min }) };
        let (mut theirs, mut answer) = (ours.clone(), answer);
        for (symbol, head) in &keyed.heads {
            if theirs_alone.remove(symbol) {
                answer.heads.push(*head);
                theirs.set_head(head.replica, 0);
            }
        }
        let told: BTreeMap<ShortName, u64> = theirs_alone.iter().map(symbol_of).collect();
        for (symbol, head) in &keyed.heads {
            if let Some(seq) = told.get(&symbol_of(symbol).0) {
                theirs.set_head(head.replica, *seq);
            }
        }
        answer.gone = told.into_keys().collect();
        Some(Compared::Clear { theirs, answer })
    }
}

impl Difference {
    /// What the answering side holds, to one who had `asked` about these heads; `None` if that cannot be: something has
    /// collided.
    #[must_use]
    pub fn resolve(&self, asked: &Seen) -> Option<Seen> {
        let mut theirs = asked.clone();
        let mut gone: BTreeSet<ShortName> = self.gone.iter().copied().collect();
        for head in asked.heads() {
            if gone.is_empty() {
                break;
            }
            if gone.remove(&short_name(&self.key, head.replica)) {
                theirs.set_head(head.replica, 0);
            }
        }
        self.heads.iter().for_each(|head| theirs.set_head(head.replica, head.seq));
        let is_right = gone.is_empty() && fingerprint(theirs.heads(), &self.key) == self.fingerprint;
        is_right.then_some(theirs)
    }
}

/// One side's way through the tiers, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    cells: usize,
    wrong: u32,
    /// What the last summary was made of, and its key.
    asked: Option<(Key, Seen)>,
    cost: Cost,
}

/// What it took to find out what a peer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Equality tests of two digests of sets, on both sides.
    pub comparisons: u64,
    /// Questions and answers.
    pub round_trips: u64,
    /// Bytes of summaries and their answers.
    pub bytes: u64,
}

impl Asking {
    /// How to tell what was seen: whole if it is few heads, or as a summary under `key`.
    pub fn tell(&mut self, seen: &Seen, key: Key, whole_heads_max: usize) -> Told {
        if let Some((key, asked)) = &self.asked {
            // The answer to the first may still come.
            return Summary::new(asked, *key, self.cells.max(CELLS_MIN)).map_or(Told::Whole, Told::Summary);
        }
        let heads = seen.heads().count();
        let cells = self.cells.max(CELLS_MIN);
        let is_long = cells > CELLS_MIN && 2 * cells * SYMBOL_BYTES > heads * HEAD_BYTES;
        if heads <= whole_heads_max || self.wrong > WRONG_MAX || is_long {
            return Told::Whole;
        }
        let Some(summary) = Summary::new(seen, key, cells) else { return Told::Whole };
        self.asked = Some((key, seen.clone()));
        Told::Summary(summary)
    }

    /// The sketch was too short. Says whether that was the last one: else it is an old answer.
    pub fn continue_after(&mut self, key: &Key, differences_min: u64) -> bool {
        if self.asked.as_ref().is_none_or(|(asked, _)| asked != key) {
            return false;
        }
        self.asked = None;
        let needed = usize::try_from(differences_min.saturating_mul(2)).unwrap_or(usize::MAX);
        self.cells = self.cells.max(CELLS_MIN).saturating_mul(4).max(needed).min(usize::MAX / (4 * SYMBOL_BYTES));
        self.cost.comparisons += 1;
        self.cost.round_trips += 1;
        true
    }

    /// What the peer holds by its answer, and what it took to find out. `Err(true)` if something has collided, so that all
    /// has to be asked anew; `Err(false)` for the answer to an earlier question.
    ///
    /// # Errors
    /// As said.
    pub fn conclude(&mut self, answer: &Difference) -> Result<(Seen, Cost), bool> {
        let Some((key, seen)) = &self.asked else { return Err(false) };
        if *key != answer.key {
            return Err(false);
        }
        // Both sides compare fingerprints once.
        self.cost.comparisons += 2;
        self.cost.round_trips += 1;
        let theirs = answer.resolve(seen);
        self.asked = None;
        match theirs {
            Some(theirs) => Ok((theirs, self.cost)),
            None => {
                self.wrong += 1;
                Err(true)
            }
        }
    }

    /// So many bytes of summaries or answers were sent or received.
    pub fn note_bytes(&mut self, bytes: usize) {
        self.cost.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [3; 16];

    fn author(number: u32) -> ReplicaId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        ReplicaId(id)
    }

    /// `heads` authors of one change each, but for those that are missing.
    fn seen(heads: u32, is_missing: impl Fn(u32) -> bool) -> Seen {
        let numbers = (0..heads).filter(|number| !is_missing(*number));
        numbers.map(|number| ChangeId { replica: author(number), seq: 1 }).collect()
    }

    fn clear(compared: Option<Compared>) -> (Seen, Difference) {
        match compared {
            Some(Compared::Clear { theirs, answer }) => (theirs, answer),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ten_of_ten_thousand_are_found_in_one_round_trip_and_half_a_kibibyte_wherever_they_are() {
        let whole = seen(10_000, |_| false);
        let places: [fn(u32) -> bool; 2] = [|number| number >= 9_990, |number| number % 1_000 == 17];
        for is_missing in places {
            let less = seen(10_000, is_missing);
            for (asks, answers) in [(&whole, &less), (&less, &whole)] {
                let summary = Summary::new(asks, KEY, CELLS_MIN).unwrap();
                let (theirs, answer) = clear(summary.compare(answers));
                let known: Seen = asks.heads().filter(|head| answers.contains(*head)).collect();
                assert_eq!(theirs, known, "of what the answering side knows");
                assert_eq!(answer.resolve(asks).as_ref(), Some(answers));
                let bytes = postcard::to_stdvec(&summary).unwrap().len() + postcard::to_stdvec(&answer).unwrap().len();
                let told_as_names = answer.heads.len() * 17;
                assert!(bytes <= 512 + told_as_names, "{bytes} bytes");
            }
        }
    }

    #[test]
    fn a_head_that_rose_is_found_on_both_sides() {
        let mut ours = seen(100, |_| false);
        let theirs = ours.clone();
        ours.set_head(author(5), 7);
        ours.set_head(author(500), 2);
        let (known, answer) = clear(Summary::new(&theirs, KEY, CELLS_MIN).unwrap().compare(&ours));
        assert_eq!(known, theirs);
        assert_eq!(answer.resolve(&theirs), Some(ours.clone()));
        let (known, answer) = clear(Summary::new(&ours, KEY, CELLS_MIN).unwrap().compare(&theirs));
        assert_eq!((known.head(author(5)), known.head(author(500))), (7, 0), "who is unknown cannot be named");
        assert_eq!(answer.resolve(&ours), Some(theirs));
    }

    #[test]
    fn equal_heads_cost_one_comparison_and_no_symbol() {
        let seen = seen(1_000, |_| false);
        let (theirs, answer) = clear(Summary::new(&seen, KEY, 0).unwrap().compare(&seen));
        assert_eq!(theirs, seen);
        assert!(answer.gone.is_empty() && answer.heads.is_empty());
        assert_eq!(answer.resolve(&seen), Some(seen));
    }

    #[test]
    fn a_short_sketch_is_followed_by_longer_ones_and_in_the_end_by_all_heads() {
        let (ours, theirs) = (seen(4_000, |_| false), seen(4_000, |number| number % 50 == 0));
        let mut asking = Asking::default();
        let mut lengths = Vec::new();
        let (found, cost) = loop {
            let Told::Summary(summary) = asking.tell(&ours, KEY, WHOLE_HEADS_MAX) else { panic!("a sketch is enough") };
            lengths.push(summary.cells.len());
            match summary.compare(&theirs).unwrap() {
                Compared::Clear { answer, .. } => break asking.conclude(&answer).unwrap(),
                Compared::Unclear { differences_min } => {
                    assert_eq!(differences_min, 80);
                    assert!(!asking.continue_after(&[0; 16], 9), "the answer to another question");
                    assert!(asking.continue_after(&KEY, differences_min));
                }
            }
        };
        assert_eq!((found, lengths), (theirs, vec![27, 160]));
        assert_eq!((cost.comparisons, cost.round_trips), (3, 2));
        let mut asking = Asking::default();
        while let Told::Summary(summary) = asking.tell(&ours, KEY, WHOLE_HEADS_MAX) {
            let Some(Compared::Unclear { differences_min }) = summary.compare(&Seen::default()) else {
                panic!("nothing in common");
            };
            asking.continue_after(&KEY, differences_min);
        }
    }

    #[test]
    fn what_cannot_be_told_in_symbols_is_told_whole() {
        let mut asking = Asking::default();
        assert_eq!(asking.tell(&seen(WHOLE_HEADS_MAX as u32, |_| false), KEY, WHOLE_HEADS_MAX), Told::Whole);
        let many = || seen(100, |_| false);
        let mut gap = many();
        gap.pass(ChangeId { replica: author(1), seq: 2 });
        let mut high = many();
        high.set_head(author(1), 1 << 32);
        for odd in [gap, high] {
            assert_eq!(asking.tell(&odd, KEY, WHOLE_HEADS_MAX), Told::Whole);
        }
        assert!(matches!(asking.tell(&many(), KEY, WHOLE_HEADS_MAX), Told::Summary(_)));
    }

    #[test]
    fn an_answer_that_cannot_be_is_asked_again_under_a_new_key_and_the_third_time_whole() {
        let (ours, theirs) = (seen(100, |_| false), seen(99, |_| false));
        let mut asking = Asking::default();
        for attempt in 0..=WRONG_MAX {
            let key = [attempt as u8; 16];
            let Told::Summary(summary) = asking.tell(&ours, key, WHOLE_HEADS_MAX) else { panic!("attempt {attempt}") };
            let (_, mut answer) = clear(summary.compare(&theirs));
            assert_eq!(asking.conclude(&Difference { key: [99; 16], ..answer.clone() }), Err(false), "an old answer");
            // As if another author had the short name of the one that is gone.
            answer.gone = vec![short_name(&key, author(7))];
            assert_eq!(asking.conclude(&answer), Err(true));
        }
        assert_eq!(asking.tell(&ours, KEY, WHOLE_HEADS_MAX), Told::Whole);
    }
}

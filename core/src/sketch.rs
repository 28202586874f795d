//! Rateless sketches: what two sets differ in, in bytes that depend on the difference alone.
//!
//! A *sketch* of a set is a list of *cells*, each the sum (exclusive or) of some of its symbols. The first cell sums all of
//! them and later ones fewer and fewer, as *Practical Rateless Set Reconciliation* (Yang, Gilad, Alizadeh; SIGCOMM 2024)
//! distributes them. Two sketches subtracted are the sketch of the difference, whatever the sets have in common. A cell of
//! it that sums a single symbol shows it: a symbol ends with a check of itself. It is then taken out of the other cells,
//! which shows more. A sketch that is too short for its difference can be continued, so nothing has to be estimated.
//!
//! Symbols and their places are keyed, so nobody can prepare symbols that collide. Whoever reads a sketch must still
//! compare the [`Fingerprint`] of what it makes of it: a check of four bytes is right by chance once in four billion times.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::BTreeSet;
use std::hash::Hasher;

/// Bytes of a symbol.
pub const SYMBOL_BYTES: usize = 14;

/// Bytes of what a symbol says; the others check them.
pub const PAYLOAD_BYTES: usize = 10;

/// What keeps symbols from being foreseen: drawn for each session.
pub type Key = [u8; 16];

/// One element of a set, or a sum of elements.
pub type Symbol = [u8; SYMBOL_BYTES];

/// 128 keyed bits of some bytes.
#[must_use]
pub fn keyed_hash(key: &Key, bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// The symbol that says `payload`.
#[must_use]
pub fn symbol(key: &Key, payload: [u8; PAYLOAD_BYTES]) -> Symbol {
    let mut symbol = [0; SYMBOL_BYTES];
    symbol[..PAYLOAD_BYTES].copy_from_slice(&payload);
    let check = keyed_hash(key, &payload).to_le_bytes();
    symbol[PAYLOAD_BYTES..].copy_from_slice(&check[..SYMBOL_BYTES - PAYLOAD_BYTES]);
    symbol
}

/// What a symbol says; `None` if it is none: the sum of several, or of none.
#[must_use]
pub fn payload(key: &Key, cell: &Symbol) -> Option<[u8; PAYLOAD_BYTES]> {
    let mut payload = [0; PAYLOAD_BYTES];
    payload.copy_from_slice(&cell[..PAYLOAD_BYTES]);
    (symbol(key, payload) == *cell).then_some(payload)
}

/// A sum over a set: equal sets have equal ones, different sets different ones but once in 2¹²⁸ times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Adds an element that was not in it.
    pub fn add(&mut self, key: &Key, element: &[u8]) {
        self.0 = self.0.wrapping_add(keyed_hash(key, element));
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// The cells that a symbol is part of, in ascending order: the first always, and then with growing gaps, so that cell `i` is
/// one of them with probability 1 / (1 + i / 2).
struct Places {
    state: u64,
    place: u64,
}

impl Places {
    fn of(key: &Key, symbol: &Symbol) -> Places {
        Places { state: keyed_hash(key, symbol) as u64, place: 0 }
    }
}

impl Iterator for Places {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let place = self.place;
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        // Square root and division of IEEE 754 give the same bits everywhere.
        let uniform = ((bits >> 32) as f64 + 1.0) / 4_294_967_296.0;
        let gap = ((place as f64 + 1.5) * (1.0 / uniform.sqrt() - 1.0)).ceil();
        self.place = place.saturating_add((gap as u64).max(1));
        Some(place)
    }
}

fn add(cell: &mut Symbol, symbol: &Symbol) {
    cell.iter_mut().zip(symbol).for_each(|(sum, byte)| *sum ^= byte);
}

/// Adds a symbol to the cells it is part of, or takes it out again.
fn toggle(cells: &mut [Symbol], key: &Key, symbol: &Symbol) {
    let length = cells.len() as u64;
    for place in Places::of(key, symbol).take_while(|place| *place < length) {
        add(&mut cells[place as usize], symbol);
    }
}

/// The first `length` cells of the sketch of a set. A longer sketch begins with the shorter one.
#[must_use]
pub fn sketch<'a>(symbols: impl IntoIterator<Item = &'a Symbol>, key: &Key, length: usize) -> Vec<Symbol> {
    let mut cells = vec![Symbol::default(); length];
    symbols.into_iter().for_each(|symbol| toggle(&mut cells, key, symbol));
    cells
}

/// The symbols that only one of two sets has, from as many cells of each; `None` if that takes more cells.
///
/// # Panics
/// If the sketches differ in length.
#[must_use]
pub fn difference(one: &[Symbol], other: &[Symbol], key: &Key) -> Option<BTreeSet<Symbol>> {
    assert_eq!(one.len(), other.len(), "sketches of different lengths are not compared");
    let mut cells = one.to_vec();
    cells.iter_mut().zip(other).for_each(|(cell, other)| add(cell, other));
    let mut symbols = BTreeSet::new();
    let mut suspects: Vec<usize> = (0..cells.len()).rev().collect();
    while let Some(place) = suspects.pop() {
        let cell = cells[place];
        if cell == Symbol::default() || payload(key, &cell).is_none() {
            continue;
        }
        // A symbol that shows again was none: it would go in and out for ever.
        if !symbols.insert(cell) {
            return None;
        }
        let length = cells.len() as u64;
        for place in Places::of(key, &cell).take_while(|place| *place < length) {
            add(&mut cells[place as usize], &cell);
            suspects.push(place as usize);
        }
    }
    let is_explained = cells.iter().all(|cell| *cell == Symbol::default());
    (is_explained && !cells.is_empty()).then_some(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [7; 16];

    fn symbols(numbers: impl IntoIterator<Item = u64>, key: &Key) -> Vec<Symbol> {
        let payload = |number: u64| {
            let mut payload = [0; PAYLOAD_BYTES];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            payload
        };
        numbers.into_iter().map(|number| symbol(key, payload(number))).collect()
    }

    /// Cells needed for a difference of so many symbols, in sets that have many in common.
    fn cells_needed(differences: u64, key: Key) -> usize {
        let all = symbols(0..2_000 + differences, &key);
        let common = &all[..2_000];
        let needed = |length: &usize| {
            let [one, other] = [&all[..], common].map(|set| sketch(set, &key, *length));
            difference(&one, &other, &key).is_some_and(|found| found == all[2_000..].iter().copied().collect())
        };
        (1..).find(needed).unwrap()
    }

    #[test]
    fn the_difference_shows_whatever_the_sets_have_in_common_and_on_either_side() {
        let all = symbols(0..10_000, &KEY);
        for gap in [1_000, 999] {
            let is_missing = |place: usize| place % gap == 7;
            let one: Vec<_> = (0..9_998).filter(|place| !is_missing(*place)).map(|place| all[place]).collect();
            let other: Vec<_> = (2..10_000).filter(|place| !is_missing(place + 3)).map(|place| all[place]).collect();
            let [left, right] = [&one, &other].map(|set| sketch(set, &KEY, 96));
            let expected: BTreeSet<_> = one
                .iter()
                .collect::<BTreeSet<_>>()
                .symmetric_difference(&other.iter().collect())
                .map(|s| **s)
                .collect();
            assert_eq!(difference(&left, &right, &KEY), Some(expected));
        }
    }

    #[test]
    fn equal_sets_have_equal_sketches_and_a_short_sketch_says_that_it_is_too_short() {
        let all = symbols(0..100, &KEY);
        let whole = sketch(&all, &KEY, 8);
        assert_eq!(difference(&whole, &whole, &KEY), Some(BTreeSet::new()));
        assert_eq!(difference(&whole, &sketch(&[], &KEY, 8), &KEY), None);
        assert_eq!(difference(&[], &[], &KEY), None, "nothing shows nothing");
        assert_eq!(sketch(&all, &KEY, 3), whole[..3]);
    }

    #[test]
    fn ten_differences_take_few_cells_and_more_take_fewer_for_each() {
        let mut needed: Vec<usize> = (0..200).map(|seed| cells_needed(10, [seed; 16])).collect();
        needed.sort_unstable();
        assert!(needed[100] <= 19 && needed[180] <= 28, "median {}, 9 of 10 below {}", needed[100], needed[180]);
        let hundreds = cells_needed(300, KEY);
        assert!(hundreds < 300 * 16 / 10, "{hundreds} cells for 300");
    }

    #[test]
    fn a_forged_sketch_ends_and_shows_nothing_it_does_not_hold() {
        let all = symbols(0..50, &KEY);
        let cells = sketch(&all, &KEY, 40);
        for seed in 0..500_u64 {
            let mut forged = cells.clone();
            let noise = keyed_hash(&KEY, &seed.to_le_bytes());
            let place = (noise % 40) as usize;
            // Any symbol in any cell, and any bit.
            if seed % 2 == 0 {
                add(&mut forged[place], &symbols([seed], &KEY)[0]);
            } else {
                forged[place][(noise >> 64) as usize % SYMBOL_BYTES] ^= 1 << ((noise >> 120) % 8);
            }
            assert_eq!(difference(&forged, &cells, &KEY), None, "seed {seed}");
        }
    }

    #[test]
    fn a_fingerprint_is_that_of_a_set() {
        let of = |numbers: &[u64]| {
            let mut fingerprint = Fingerprint::default();
            numbers.iter().for_each(|number| fingerprint.add(&KEY, &number.to_le_bytes()));
            fingerprint
        };
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2, 4]));
    }
}

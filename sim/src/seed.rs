//! One number from which a run draws everything: named streams that do not disturb each other.
//!
//! Each use draws from its own ChaCha stream, so a change in how one is used leaves the others as they were. What belongs
//! to one thing (the fate of one message) is drawn from a stream of its own, so that removing one step of a plan does
//! not shift every later draw.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Seed(pub u64);

impl Seed {
    /// 32 bytes that belong to the thing called `name` and numbered `place`.
    #[must_use]
    pub fn bytes(self, name: &str, place: &[u64]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.0.to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update([0]);
        place.iter().for_each(|number| hasher.update(number.to_le_bytes()));
        hasher.finalize().into()
    }

    /// The stream of the thing called `name` and numbered `place`.
    #[must_use]
    pub fn stream(self, name: &str, place: &[u64]) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.bytes(name, place)))
    }
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `bound`, both included.
    pub fn up_to(&mut self, bound: u64) -> u64 {
        if bound == u64::MAX { self.draw() } else { self.draw() % (bound + 1) }
    }

    /// True so many times in a thousand.
    pub fn chance_permille(&mut self, permille: u32) -> bool {
        self.up_to(999) < u64::from(permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_name_and_place() {
        let draws = [
            Seed(1).stream("network", &[0, 1]).draw(),
            Seed(2).stream("network", &[0, 1]).draw(),
            Seed(1).stream("clocks", &[0, 1]).draw(),
            Seed(1).stream("network", &[1, 0]).draw(),
        ];
        let distinct: std::collections::BTreeSet<_> = draws.iter().collect();
        assert_eq!(distinct.len(), draws.len());
        assert_eq!(draws[0], Seed(1).stream("network", &[0, 1]).draw());
    }

    #[test]
    fn chances_of_none_and_all_are_exact() {
        let mut stream = Seed(3).stream("test", &[]);
        assert!((0..1_000).all(|_| !stream.chance_permille(0) && stream.chance_permille(1_000)));
    }
}

//! The engine and its peers on the same work. Each is used through its best interface for batches, and what they end with is
//! compared before anything is timed. See `README.md` beside this for what was measured.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Rows that are written to.
pub const ROWS: usize = 3_000;

/// Operations of each of two writers.
pub const OPERATIONS: usize = 10_000;

/// Operations in one transaction.
pub const TRANSACTION: usize = 100;

/// What one writer does: which row gets which name.
#[must_use]
pub fn writes(seed: u64) -> Vec<(usize, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..OPERATIONS).map(|_| (rng.next_u32() as usize % ROWS, format!("name {}", rng.next_u32()))).collect()
}

/// Bytes after zstd at the level that the engine uses by default.
#[must_use]
pub fn compressed(bytes: &[u8]) -> usize {
    zstd::bulk::compress(bytes, 3).map_or(0, |compressed| compressed.len())
}

//! Snapshots: what a replica that joins late gets instead of change after change.
//!
//! The main's log is sealed into *chunks* as it grows: every so many numbers, or sooner where their changes are long. Where
//! a chunk ends follows from the log alone, and so do its bytes, a block with what zstd makes of it. So a chunk is named by
//! its digest, two replicas that hold the same numbers make the same snapshot, and a snapshot shares all but its last
//! chunks with every earlier one. What is not sealed yet is the tail, and follows as changes. (Minimal Sync Guide, case C5.)
//!
//! A [`Manifest`] names the chunks and the [`SyncPoint`] at which they end. Its checksum is a chain over all numbers up to
//! there: who arrives at another holds another history.
//!
//! # The transfer
//!
//! 1. The main *offers* a manifest to an edge that lacks [`CHUNKS_MIN`] chunks or more, and sends it nothing else until it
//!    holds them.
//! 2. The edge *wants* the next few chunks. It takes one in when its bytes have the digest by which it was offered and all
//!    before it are in; a damaged one is asked for again.
//! 3. Every chunk is durable and acknowledged by itself. A transfer that was interrupted goes on where it was, after a
//!    crash too, because the chunks of the next offer end where those of the last one did.

use serde::{Deserialize, Serialize};

use crate::block::{self, Compression};
use crate::clock::{Lsn, Timestamp};
use crate::error::Error;
use crate::id::{Digest, canonical_bytes};
use crate::log::ChangeLog;
use crate::message::Delivery;

/// Numbers in a chunk, unless configured otherwise.
pub const CHUNK_NUMBERS: u64 = 500;

/// A chunk ends with the change that makes it so long. One more change fits into a message with it.
pub const CHUNK_CHANGE_BYTES: usize = 1 << 20;

/// An edge that lacks fewer chunks gets the changes one by one.
pub const CHUNKS_MIN: usize = 4;

/// Chunks that are asked for at once.
pub const CHUNKS_WANTED_MAX: usize = 4;

/// A place in the main's log, and what leads up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPoint {
    /// The last number.
    pub lsn: Lsn,
    /// Changes up to there: the other numbers are rulings.
    pub count: u64,
    /// A chain over everything that has a number up to there.
    pub checksum: Digest,
    /// The greatest of these changes.
    pub timestamp: Timestamp,
}

/// One chunk of a snapshot, by what is known of it before it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its last number. It begins after the one before it.
    pub last: Lsn,
    /// Of its bytes.
    pub digest: Digest,
}

/// A snapshot, by what is known of it before it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Where it ends.
    pub sync_point: SyncPoint,
    /// Its chunks, by number, from number 1 on.
    pub chunks: Vec<Chunk>,
}

impl Manifest {
    /// The one name of the whole snapshot.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"snapshot", &canonical_bytes(self, Vec::new())])
    }

    /// The chunks that somebody lacks who knows the numbers up to `known`.
    pub fn lacking(&self, known: Lsn) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().filter(move |chunk| chunk.last > known)
    }

    /// The number at which the chunk with that last number begins.
    #[must_use]
    pub fn first_of(&self, last: Lsn) -> Lsn {
        self.chunks.iter().map(|chunk| chunk.last).take_while(|end| *end < last).last().unwrap_or(0) + 1
    }

    /// Refuses what no main offers.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let is_ascending = self.chunks.windows(2).all(|pair| pair[0].last < pair[1].last);
        let starts = self.chunks.first().is_some_and(|chunk| chunk.last > 0);
        let ends = self.chunks.last().is_some_and(|chunk| chunk.last == self.sync_point.lsn);
        if is_ascending && starts && ends { Ok(()) } else { Err("the chunks of a snapshot do not follow each other") }
    }
}

/// Where the chunks of a log end, kept up to date with it.
#[derive(Clone, Debug)]
pub(crate) struct Seals {
    chunk_numbers: u64,
    /// After the last number.
    tip: SyncPoint,
    /// Of the changes that are in no chunk yet.
    open_bytes: usize,
    /// The ends of all chunks.
    ends: Vec<SyncPoint>,
}

impl Default for Seals {
    fn default() -> Self {
        Seals::new(CHUNK_NUMBERS)
    }
}

impl Seals {
    /// Those of an empty log whose chunks hold so many numbers.
    pub(crate) fn new(chunk_numbers: u64) -> Self {
        Seals { chunk_numbers: chunk_numbers.max(1), tip: SyncPoint::default(), open_bytes: 0, ends: Vec::new() }
    }

    /// A change has the next number.
    pub(crate) fn push_change(&mut self, digest: Digest, timestamp: Timestamp, bytes: usize) {
        self.tip.count += 1;
        self.tip.timestamp = self.tip.timestamp.max(timestamp);
        self.push(digest, bytes);
    }

    /// Something has the next number.
    pub(crate) fn push(&mut self, digest: Digest, bytes: usize) {
        self.tip.lsn += 1;
        self.tip.checksum = Digest::of(&[&self.tip.checksum.0, &digest.0]);
        self.open_bytes += bytes;
        let sealed = self.ends.last().map_or(0, |end| end.lsn);
        if self.tip.lsn - sealed >= self.chunk_numbers || self.open_bytes >= CHUNK_CHANGE_BYTES {
            self.open_bytes = 0;
            self.ends.push(self.tip);
        }
    }

    /// After the last number.
    pub(crate) fn tip(&self) -> SyncPoint {
        self.tip
    }

    /// The ends of all chunks.
    pub(crate) fn ends(&self) -> &[SyncPoint] {
        &self.ends
    }

    /// The end of a chunk there, if one ends there.
    pub(crate) fn end_at(&self, lsn: Lsn) -> Option<SyncPoint> {
        self.ends.binary_search_by_key(&lsn, |end| end.lsn).ok().map(|index| self.ends[index])
    }

    /// The number at which the chunk begins that ends there.
    fn first_of(&self, last: Lsn) -> Lsn {
        let index = self.ends.partition_point(|end| end.lsn < last);
        index.checked_sub(1).map_or(0, |before| self.ends[before].lsn) + 1
    }
}

/// The bytes of the chunk that ends at `last`, if one does.
#[must_use]
pub fn chunk_bytes(log: &ChangeLog, last: Lsn) -> Option<Vec<u8>> {
    log.seals().end_at(last)?;
    let deliveries: Vec<Delivery> = (log.seals().first_of(last)..=last).filter_map(|lsn| log.delivery(lsn)).collect();
    Some(block::encode(&deliveries, Compression::Normal))
}

/// The digests of a log's chunks, each computed once.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    chunks: Vec<Chunk>,
}

impl Snapshots {
    /// The snapshot of all chunks that a log has; none if it has no chunk yet.
    pub fn manifest(&mut self, log: &ChangeLog) -> Option<Manifest> {
        for end in &log.seals().ends()[self.chunks.len()..] {
            let bytes = chunk_bytes(log, end.lsn)?;
            self.chunks.push(Chunk { last: end.lsn, digest: Digest::of(&[&bytes]) });
        }
        let sync_point = *log.seals().ends().last()?;
        Some(Manifest { sync_point, chunks: self.chunks.clone() })
    }
}

/// Reads a chunk.
///
/// # Errors
/// [`Error::Malformed`] if it does not hold exactly the numbers from `first` to `last`, and what a message with the same
/// changes would be refused for.
pub(crate) fn read_chunk(bytes: &[u8], first: Lsn, last: Lsn) -> Result<Vec<Delivery>, Error> {
    let deliveries = crate::message::read_block("chunk", bytes)?;
    if !deliveries.iter().map(Delivery::lsn).eq((first..=last).map(Some)) {
        let problem = format!("it does not hold the numbers from {first} to {last}");
        return Err(Error::Malformed { what: "chunk", length: bytes.len(), problem });
    }
    Ok(deliveries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        Digest::of(&[&number.to_le_bytes()])
    }

    fn seals(chunk_numbers: u64, bytes: &[usize]) -> Seals {
        let mut seals = Seals::new(chunk_numbers);
        for (number, bytes) in (1..).zip(bytes) {
            seals.push_change(digest(number), Timestamp::at_ms(100 - number.cast_signed()), *bytes);
        }
        seals
    }

    #[test]
    fn a_chunk_ends_after_so_many_numbers_or_bytes() {
        let ends = |seals: &Seals| seals.ends().iter().map(|end| end.lsn).collect::<Vec<_>>();
        assert_eq!(ends(&seals(3, &[1; 8])), [3, 6]);
        let long = seals(3, &[1, CHUNK_CHANGE_BYTES, 1, 1, 1, 1]);
        assert_eq!(ends(&long), [2, 5]);
        assert_eq!([long.first_of(2), long.first_of(5)], [1, 3]);
        assert_eq!((long.end_at(5).map(|end| end.count), long.end_at(4)), (Some(5), None));
    }

    #[test]
    fn a_sync_point_counts_changes_and_tells_histories_apart() {
        let (mut one, mut other) = (seals(10, &[1, 1]), seals(10, &[1, 1]));
        assert_eq!(one.tip(), other.tip());
        one.push(digest(7), 0);
        other.push(digest(8), 0);
        assert_eq!((one.tip().lsn, one.tip().count), (3, 2), "a ruling has a number and is no change");
        assert_eq!(one.tip().timestamp, Timestamp::at_ms(99), "the greatest, not the last");
        assert_ne!(one.tip().checksum, other.tip().checksum);
        one.push(digest(9), 0);
        other.push(digest(9), 0);
        assert_ne!(one.tip().checksum, other.tip().checksum, "what differs once differs for good");
    }

    #[test]
    fn a_manifest_whose_chunks_do_not_follow_each_other_is_refused() {
        let manifest = |lasts: &[Lsn], lsn| {
            let chunks = lasts.iter().map(|last| Chunk { last: *last, digest: digest(*last) }).collect();
            Manifest { sync_point: SyncPoint { lsn, ..SyncPoint::default() }, chunks }
        };
        assert_eq!(manifest(&[3, 6], 6).check(), Ok(()));
        assert_eq!((manifest(&[3, 6], 6).first_of(6), manifest(&[3, 6], 6).first_of(3)), (4, 1));
        for (lasts, lsn) in [(&[][..], 0), (&[0, 3], 3), (&[3, 3], 3), (&[6, 3], 3), (&[3, 6], 7)] {
            assert!(manifest(lasts, lsn).check().is_err(), "{lasts:?} up to {lsn}");
        }
    }
}

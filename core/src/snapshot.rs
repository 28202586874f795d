//! Snapshots: what a replica that joins late gets instead of change after change.
//!
//! The main's log is sealed into *chunks* as it grows: every so many numbers, or sooner where their changes are long. Where
//! a chunk ends follows from the log alone, and so do its bytes, a block with what zstd makes of it. So a chunk is named by
//! its digest, two replicas that hold the same numbers make the same snapshot, and a snapshot shares all but its last
//! chunks with every earlier one. What is not sealed yet is the tail, and follows as changes. (Minimal Sync Guide, case C5.)
//!
//! A [`Manifest`] names the chunks and the [`SyncPoint`] at which they end. Its checksum is a chain over all numbers up to
//! there: who arrives at another holds another history. A log that was compacted begins with a [`Base`] instead of number 1;
//! its first chunks hold what is kept of the numbers before that, and only who holds none of these numbers takes them.
//!
//! # The transfer
//!
//! 1. The main *offers* a manifest to an edge that lacks [`CHUNKS_MIN`] chunks or more, and sends it nothing else until it
//!    holds them.
//! 2. The edge *wants* the next few chunks. It takes one in when its bytes have the digest by which it was offered and all
//!    before it are in; a damaged one is asked for again.
//! 3. Every chunk is durable and acknowledged by itself. A transfer that was interrupted goes on where it was, after a
//!    crash too, because the chunks of the next offer end where those of the last one did.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::block::{self, Compression};
use crate::clock::{Lsn, Seen, Timestamp};
use crate::ddl::Ddl;
use crate::error::Error;
use crate::id::{ChangeId, ColumnId, Digest, ReplicaId, TableId, canonical_bytes};
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

impl SyncPoint {
    /// Enough of it to tell two histories of that length apart.
    #[must_use]
    pub fn tip(&self) -> Tip {
        let [first @ .., _, _, _, _, _, _, _, _] = self.checksum.0;
        Tip { lsn: self.lsn, checksum: first }
    }
}

/// The end of the numbers that a replica knows, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The last number.
    pub lsn: Lsn,
    /// The beginning of the checksum there.
    pub checksum: [u8; 8],
}

/// Why a replica has to take a snapshot in the place of all numbers it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResyncReason {
    /// It lacks numbers that are forgotten.
    Compacted,
    /// Its numbers are those of another history.
    OtherHistory,
    /// A change failed there that is forgotten here.
    Failed,
}

impl ResyncReason {
    /// The reason's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ResyncReason::Compacted => "compacted",
            ResyncReason::OtherHistory => "other_history",
            ResyncReason::Failed => "failed",
        }
    }
}

/// The last change of an author, of which nothing else need be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// Whose.
    pub author: ReplicaId,
    /// Its number there.
    pub seq: u64,
    /// Its digest, which the author's next change carries.
    pub digest: Digest,
    /// When it was written; the first instant there is if it was rejected.
    pub timestamp: Timestamp,
}

/// A dropped table, or a dropped column, of which nothing is left to bring back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Purged {
    /// The table.
    pub table: TableId,
    /// The column, if it is one of the table's.
    pub column: Option<ColumnId>,
}

impl Purged {
    /// What an UNDROP asks for.
    #[must_use]
    pub fn asked_for_by(ddl: &Ddl) -> Option<Purged> {
        match ddl {
            Ddl::UndropTable { table } => Some(Purged { table: *table, column: None }),
            Ddl::UndropColumn { table, column } => Some(Purged { table: *table, column: Some(*column) }),
            _ => None,
        }
    }
}

/// What stands in for the numbers up to a sync point, beside what is kept of them: see [`crate::compaction`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Up to where.
    pub sync_point: SyncPoint,
    /// The last change of each author, by author.
    pub heads: Vec<Head>,
    /// The greatest epoch.
    pub link_epoch: u64,
    /// The greatest authority epoch of each table that has one.
    pub authority_epochs: BTreeMap<TableId, u64>,
    /// What can no longer be brought back.
    pub purged: BTreeSet<Purged>,
    /// By number, that of which what was written up to there counts no longer, also if it was made anew since.
    pub forgotten: BTreeMap<Lsn, BTreeSet<Purged>>,
}

impl Base {
    /// The changes for which it stands.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.heads.iter().map(|head| ChangeId { replica: head.author, seq: head.seq }).collect()
    }

    /// The last change of an author for which it stands.
    #[must_use]
    pub fn head(&self, author: ReplicaId) -> Option<&Head> {
        let index = self.heads.binary_search_by_key(&author, |head| head.author).ok()?;
        Some(&self.heads[index])
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_ascending = self.heads.windows(2).all(|pair| pair[0].author < pair[1].author);
        let is_empty = self.sync_point.lsn > 0 || *self == Base::default();
        let starts = self.heads.iter().all(|head| head.seq > 0);
        if is_ascending && starts && is_empty { Ok(()) } else { Err("what a snapshot is based on contradicts itself") }
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What stands in for the numbers that were forgotten.
    pub base: Base,
    /// Where it ends.
    pub sync_point: SyncPoint,
    /// Its chunks, by number: first those of what is kept of the numbers up to the base, the last of which ends there.
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
        self.base.check()?;
        let base = self.base.sync_point.lsn;
        let is_ascending = self.chunks.windows(2).all(|pair| pair[0].last < pair[1].last);
        let starts = self.chunks.first().is_none_or(|chunk| chunk.last > 0);
        let has_base = base == 0 || self.chunks.iter().any(|chunk| chunk.last == base);
        let ends = self.chunks.last().map_or(0, |chunk| chunk.last) == self.sync_point.lsn;
        let follows = is_ascending && starts && has_base && ends;
        if follows { Ok(()) } else { Err("the chunks of a snapshot do not follow each other") }
    }
}

/// Where the chunks of a log end, kept up to date with it.
#[derive(Clone, Debug)]
pub(crate) struct Seals {
    chunk_numbers: u64,
    /// What they begin after.
    start: SyncPoint,
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
        Seals::after(SyncPoint::default(), chunk_numbers)
    }

    /// Those of a log that begins after a sync point.
    pub(crate) fn after(start: SyncPoint, chunk_numbers: u64) -> Self {
        Seals { chunk_numbers: chunk_numbers.max(1), start, tip: start, open_bytes: 0, ends: Vec::new() }
    }

    /// Those of a log that begins after a later sync point and has as many numbers in a chunk.
    pub(crate) fn anew_after(&self, start: SyncPoint) -> Self {
        Seals::after(start, self.chunk_numbers)
    }

    /// The last end of a chunk that is not after `lsn`.
    pub(crate) fn last_before(&self, lsn: Lsn) -> SyncPoint {
        let index = self.ends.partition_point(|end| end.lsn <= lsn);
        index.checked_sub(1).map_or(self.start, |before| self.ends[before])
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
        let sealed = self.ends.last().map_or(self.start.lsn, |end| end.lsn);
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
        index.checked_sub(1).map_or(self.start.lsn, |before| self.ends[before].lsn) + 1
    }

    /// Numbers in a chunk, and what a chunk of things that do not follow each other has at most of them.
    pub(crate) fn chunk_numbers(&self) -> u64 {
        self.chunk_numbers
    }
}

/// The bytes of the chunk that ends at `last`, if one does.
#[must_use]
pub fn chunk_bytes(log: &ChangeLog, last: Lsn) -> Option<Vec<u8>> {
    let deliveries: Vec<Delivery> = match log.kept_in(last) {
        Some(kept) => kept.collect(),
        None => {
            log.seals().end_at(last)?;
            (log.seals().first_of(last)..=last).filter_map(|lsn| log.delivery(lsn)).collect()
        }
    };
    Some(block::encode(&deliveries, Compression::Normal))
}

/// The digests of a log's chunks, each computed once.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    chunks: Vec<Chunk>,
}

impl Snapshots {
    /// The snapshot of all chunks that a log has.
    pub fn manifest(&mut self, log: &ChangeLog) -> Manifest {
        let base = log.base();
        let ends = log.kept_ends().iter().copied().chain(log.seals().ends().iter().map(|end| end.lsn));
        for last in ends.skip(self.chunks.len()) {
            let bytes = chunk_bytes(log, last).unwrap_or_default();
            self.chunks.push(Chunk { last, digest: Digest::of(&[&bytes]) });
        }
        let sync_point = log.seals().ends().last().copied().unwrap_or(base.sync_point);
        Manifest { base: base.clone(), sync_point, chunks: self.chunks.clone() }
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

/// Reads a chunk of what is kept of the numbers up to a base.
///
/// # Errors
/// [`Error::Malformed`] if it holds other numbers, and what a message with the same changes would be refused for.
pub(crate) fn read_kept(bytes: &[u8], first: Lsn, last: Lsn) -> Result<Vec<Delivery>, Error> {
    let deliveries = crate::message::read_block("chunk", bytes)?;
    let lsns: Vec<Lsn> = deliveries.iter().filter_map(Delivery::lsn).collect();
    let is_ascending = lsns.windows(2).all(|pair| pair[0] < pair[1]);
    let is_within = lsns.iter().all(|lsn| (first..=last).contains(lsn));
    if lsns.len() == deliveries.len() && is_ascending && is_within {
        return Ok(deliveries);
    }
    let problem = format!("it does not hold numbers from {first} to {last} in their order");
    Err(Error::Malformed { what: "chunk", length: bytes.len(), problem })
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
            Manifest { sync_point: SyncPoint { lsn, ..SyncPoint::default() }, chunks, ..Manifest::default() }
        };
        assert_eq!(manifest(&[], 0).check(), Ok(()), "an empty log");
        assert_eq!(manifest(&[3, 6], 6).check(), Ok(()));
        assert_eq!((manifest(&[3, 6], 6).first_of(6), manifest(&[3, 6], 6).first_of(3)), (4, 1));
        for (lasts, lsn) in [(&[][..], 1), (&[0, 3], 3), (&[3, 3], 3), (&[6, 3], 3), (&[3, 6], 7)] {
            assert!(manifest(lasts, lsn).check().is_err(), "{lasts:?} up to {lsn}");
        }
        let head = |author: u8, seq| Head {
            author: ReplicaId([author; 16]),
            seq,
            digest: digest(0),
            timestamp: Timestamp::default(),
        };
        let based = |lsn, heads: &[Head]| {
            let base = Base { sync_point: SyncPoint { lsn, ..SyncPoint::default() }, ..Base::default() };
            Manifest { base: Base { heads: heads.to_vec(), ..base }, ..manifest(&[3, 6], 6) }
        };
        assert_eq!(based(3, &[head(1, 1), head(2, 1)]).check(), Ok(()));
        for (lsn, heads) in [(4, &[][..]), (0, &[head(1, 1)]), (3, &[head(1, 0)]), (3, &[head(2, 1), head(1, 1)])] {
            assert!(based(lsn, heads).check().is_err(), "{heads:?} up to {lsn}");
        }
    }
}

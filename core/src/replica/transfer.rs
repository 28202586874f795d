//! The transfer of snapshots: see [`crate::snapshot`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::{Notice, Output, Replica, Timer, seen_in};
use crate::clock::{Lsn, Now, VectorClock};
use crate::error::Error;
use crate::id::{Digest, Role};
use crate::message::{Message, Protocol};
use crate::planted::{Bug, is_planted};
use crate::session::{Peer, Phase, Session, resend_after};
use crate::snapshot::{self, CHUNKS_MIN, CHUNKS_WANTED_MAX, Chunk, Manifest, SyncPoint, Tip};
use crate::strategy::Strategy;

/// A snapshot on its way to this replica.
#[derive(Debug)]
pub(super) struct Fetching {
    manifest: Manifest,
    /// What is known here is of another history.
    is_other: bool,
    /// Chunks that came before one they follow, by their last numbers. They are what they were offered as.
    arrived: BTreeMap<Lsn, (VectorClock, Vec<u8>)>,
    /// The last chunk that was asked for and not given up yet, by its last number.
    asked: Lsn,
    /// How often the chunks that are missing were asked for in vain.
    attempt: u32,
}

/// How long to wait for a chunk at most before asking again: a slow link takes its time for one.
const FETCH_AFTER_MAX: Duration = Duration::from_secs(16);

fn fetch_after(attempt: u32) -> Duration {
    resend_after(0).saturating_mul(1 << attempt.min(16)).min(FETCH_AFTER_MAX)
}

impl Fetching {
    /// The chunks that are missing where the numbers up to `known` are.
    fn lacking(&self, known: Lsn) -> impl Iterator<Item = &Chunk> {
        self.manifest.lacking(if self.base_end(known).is_some() { 0 } else { known })
    }

    /// The last number of the base, if that takes the place of the numbers up to `known`.
    fn base_end(&self, known: Lsn) -> Option<Lsn> {
        let end = self.manifest.base.sync_point.lsn;
        (self.is_other || known < end).then_some(end)
    }
}

impl Replica {
    /// The snapshot that this replica could give, if it has a chunk of one: two that hold the same numbers, and have forgotten
    /// the same of them, give the same.
    #[must_use]
    pub fn snapshot(&self) -> Option<Manifest> {
        Some(self.snapshots.clone().manifest(&self.log)).filter(|manifest| manifest.sync_point.lsn > 0)
    }

    /// The last of the main's numbers that it knows, and what leads up to it.
    #[must_use]
    pub fn sync_point(&self) -> SyncPoint {
        self.log.seals().tip()
    }

    /// Offers a peer a snapshot if it lacks much of the log and speaks a version that has snapshots. Says whether it is to be
    /// sent nothing else for now.
    pub(super) fn offers_snapshot(&mut self, now: Now, peer: Peer) -> bool {
        let is_main = self.config.role == Role::Main;
        let knows_snapshots = |session: &&mut Session| is_main && session.protocol >= Protocol::V1_0;
        let Some(session) = self.sessions.get_mut(&peer).filter(knows_snapshots) else { return false };
        if let Some(tip) = session.refused_tip() {
            if let Entry::Vacant(timer) = self.timers.entry(Timer::Resend(peer)) {
                timer.insert(now.monotonic.after(resend_after(session.attempt)));
                let manifest = self.snapshots.manifest(&self.log);
                self.transmit(peer, &Message::Offer { manifest, in_place_of: Some(tip) });
            }
            return true;
        }
        let is_taking = session.is_taking_snapshot();
        if is_taking && session.is_in_flight() {
            return true;
        }
        let waits_for_critical =
            session.gauge.strategy() == Strategy::PriorityBased && !self.config.critical_tables.is_empty();
        let Some(after) = session.sendable_after().map(|after| after.lsn) else { return false };
        let lacks_base = after < self.log.cut();
        if waits_for_critical && !lacks_base {
            return false;
        }
        let ends = self.log.seals().ends();
        if !is_taking && !lacks_base && ends.len() - ends.partition_point(|end| end.lsn <= after) < CHUNKS_MIN {
            return false;
        }
        let manifest = self.snapshots.manifest(&self.log);
        let Some(session) = self.sessions.get_mut(&peer) else { return false };
        session.note_offered(manifest.sync_point.lsn);
        let resend_at = now.monotonic.after(resend_after(session.attempt));
        self.timers.entry(Timer::Resend(peer)).or_insert(resend_at);
        self.transmit(peer, &Message::Offer { manifest, in_place_of: None });
        true
    }

    /// Whether a peer is this database's main, with whom a session is established.
    fn is_main(&self, peer: Peer) -> bool {
        let session = self.sessions.get(&peer);
        self.main
            .is_some_and(|main| session.is_some_and(|session| session.phase == Phase::Established { replica: main }))
    }

    pub(super) fn receive_offer(
        &mut self,
        now: Now,
        from: Peer,
        manifest: Manifest,
        in_place_of: Option<Tip>,
    ) -> Result<(), Error> {
        let lsn = manifest.sync_point.lsn;
        if self.config.role != Role::Edge {
            return self.refuse(from, self.tag_of(from), Error::ForeignNumber { what: "a snapshot".to_owned(), lsn });
        }
        if !self.is_main(from) {
            self.greet_stranger(now, from);
            return Ok(());
        }
        let is_other =
            in_place_of.is_some_and(|tip| self.log.sync_point(tip.lsn).map(|point| point.tip()) == Some(tip));
        if in_place_of.is_some() && !is_other {
            // These numbers are not known here any more, of which the main has yet to hear.
            self.greet(now, from);
            return Ok(());
        }
        if lsn <= self.log.lsn_known() && !is_other {
            // The main has not heard of what came before, or not understood it.
            self.transmit_tagged(from, self.tag_of(from), Message::Ack(self.log.cursor()));
            return Ok(());
        }
        let is_under_way = self.timers.contains_key(&Timer::Fetch(from));
        if is_under_way && self.fetching.as_ref().is_some_and(|fetching| fetching.manifest == manifest) {
            return Ok(());
        }
        // What came before the transfer was interrupted, or offered anew, need not come again.
        let before = self.fetching.take();
        let (asked, attempt) =
            before.as_ref().filter(|_| is_under_way).map_or((0, 0), |fetching| (fetching.asked, fetching.attempt));
        let mut arrived = before.map(|fetching| fetching.arrived).unwrap_or_default();
        arrived
            .retain(|last, (_, bytes)| manifest.chunks.contains(&Chunk { last: *last, digest: Digest::of(&[bytes]) }));
        self.fetching = Some(Fetching { manifest, is_other, arrived, asked, attempt });
        self.take_in_chunks(now, from)
    }

    /// Asks for the next chunks of the snapshot on its way: for those that were not asked for yet, or for the first that is
    /// missing once more.
    pub(super) fn ask_for_chunks(&mut self, now: Now, peer: Peer, is_again: bool) {
        let known = self.log.lsn_known();
        let Some(fetching) = &mut self.fetching else { return };
        if fetching.lacking(known).next().is_none() {
            // The rest came as changes.
            drop(self.finish_snapshot(peer));
            return;
        }
        // Those of a base are taken in together, so the window is of those that have not arrived.
        let missing = fetching.lacking(known).map(|chunk| chunk.last);
        let window = missing.enumerate().filter(|(_, last)| !fetching.arrived.contains_key(last));
        let base_end = fetching.base_end(known);
        let window =
            window.take_while(|(index, last)| *index < CHUNKS_WANTED_MAX || base_end.is_some_and(|end| *last <= end));
        let mut chunks: Vec<Lsn> = window.take(CHUNKS_WANTED_MAX).map(|(_, last)| last).collect();
        if is_again {
            // Once this one comes the link works again, and all that was asked for after it is taken for lost.
            fetching.attempt = fetching.attempt.saturating_add(1);
            chunks.truncate(1);
        } else {
            chunks.retain(|last| *last > fetching.asked);
        }
        fetching.asked = chunks.last().copied().unwrap_or(fetching.asked);
        self.timers.insert(Timer::Fetch(peer), now.monotonic.after(fetch_after(fetching.attempt)));
        if !chunks.is_empty() {
            self.transmit(peer, &Message::Want { chunks });
        }
    }

    /// Gives a peer the chunks it asks for.
    pub(super) fn receive_want(&mut self, now: Now, from: Peer, chunks: &[Lsn]) {
        if self.config.role != Role::Main || !self.sessions.contains_key(&from) {
            return self.greet_stranger(now, from);
        }
        for last in chunks.iter().take(CHUNKS_WANTED_MAX) {
            let Some(bytes) = snapshot::chunk_bytes(&self.log, *last) else { continue };
            self.transmit(from, &Message::Chunk { last: *last, clock: self.clock.clone(), bytes });
        }
    }

    pub(super) fn receive_chunk(
        &mut self,
        now: Now,
        from: Peer,
        last: Lsn,
        clock: VectorClock,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        if !self.is_main(from) {
            self.greet_stranger(now, from);
            return Ok(());
        }
        let known = self.log.lsn_known();
        let Some(fetching) = &mut self.fetching else { return Ok(()) };
        // One that was asked for twice, or for a snapshot that was offered before.
        let Some(chunk) = fetching.lacking(known).find(|chunk| chunk.last == last) else { return Ok(()) };
        if Digest::of(&[&bytes]) != chunk.digest && !is_planted(Bug::SnapshotUnchecked) {
            self.outputs.push_back(Output::Notify(Notice::ChunkDamaged { peer: from, last }));
            return Ok(());
        }
        fetching.arrived.insert(last, (clock, bytes));
        self.take_in_chunks(now, from)
    }

    /// Changes have come from a peer, and may have led up to a chunk that came before them.
    pub(super) fn take_in_chunks_that_follow(&mut self, now: Now, from: Peer) -> Result<(), Error> {
        let known = self.log.lsn_known();
        let follows = |fetching: &Fetching| {
            fetching.lacking(known).next().is_none_or(|chunk| fetching.arrived.contains_key(&chunk.last))
        };
        let is_due = self.is_main(from) && self.fetching.as_ref().is_some_and(follows);
        if is_due { self.take_in_chunks(now, from) } else { Ok(()) }
    }

    /// Takes in every chunk that has come and follows what is known, each as one batch, and asks for more.
    fn take_in_chunks(&mut self, now: Now, from: Peer) -> Result<(), Error> {
        loop {
            let known = self.log.lsn_known();
            let Some(fetching) = &mut self.fetching else { return Ok(()) };
            if let Some(end) = fetching.base_end(known) {
                let mut chunks = fetching.manifest.chunks.iter().filter(|chunk| chunk.last <= end);
                if chunks.any(|chunk| !fetching.arrived.contains_key(&chunk.last)) {
                    break;
                }
                if let Err(error) = self.take_base(now, from) {
                    self.fetching = None;
                    return self.refuse(from, self.tag_of(from), error);
                }
                continue;
            }
            let Some(last) = fetching.lacking(known).next().map(|chunk| chunk.last) else {
                return self.finish_snapshot(from);
            };
            let Some((clock, bytes)) = fetching.arrived.remove(&last) else { break };
            let first = fetching.manifest.first_of(last);
            fetching.attempt = fetching.attempt.saturating_sub(1);
            if let Err(error) = self.take_in_chunk(now, from, &clock, &bytes, (first, last)) {
                self.fetching = None;
                return self.refuse(from, self.tag_of(from), error);
            }
        }
        self.ask_for_chunks(now, from, false);
        Ok(())
    }

    /// All chunks of the base have come: it takes the place of what is known here.
    fn take_base(&mut self, now: Now, from: Peer) -> Result<(), Error> {
        let Some(fetching) = &mut self.fetching else { return Ok(()) };
        let (base, mut kept, mut clock) = (fetching.manifest.base.clone(), Vec::new(), VectorClock::default());
        let ends: Vec<Lsn> = fetching.manifest.chunks.iter().map(|chunk| chunk.last).collect();
        for last in ends.into_iter().filter(|last| *last <= base.sync_point.lsn) {
            let Some((chunk_clock, bytes)) = fetching.arrived.remove(&last) else { continue };
            kept.extend(snapshot::read_kept(&bytes, fetching.manifest.first_of(last), last)?);
            clock.merge(&chunk_clock);
        }
        fetching.is_other = false;
        fetching.attempt = 0;
        let was_longer = self.log.lsn_known() >= base.sync_point.lsn;
        self.resync(now, from, base, kept, &clock)?;
        // What was on its way bore other numbers.
        self.sessions.get_mut(&from).into_iter().for_each(Session::forget_sent);
        if was_longer {
            // The main takes this for a replica with another history until it hears otherwise.
            self.greet(now, from);
        } else {
            self.transmit_tagged(from, self.tag_of(from), Message::Ack(self.log.cursor()));
        }
        Ok(())
    }

    fn take_in_chunk(
        &mut self,
        now: Now,
        from: Peer,
        clock: &VectorClock,
        bytes: &[u8],
        (first, last): (Lsn, Lsn),
    ) -> Result<(), Error> {
        let deliveries = snapshot::read_chunk(bytes, first, last)?;
        let sent = seen_in(&deliveries);
        self.take_in_all(now, clock, deliveries)?;
        if self.log.lsn_known() < last {
            let problem = format!("the numbers from {first} to {last} cannot be taken in");
            return Err(Error::Malformed { what: "chunk", length: bytes.len(), problem });
        }
        self.acknowledge_sent(now, from, sent);
        Ok(())
    }

    /// All chunks are in: together they have to be the history that was offered.
    fn finish_snapshot(&mut self, from: Peer) -> Result<(), Error> {
        self.timers.remove(&Timer::Fetch(from));
        let Some(Fetching { manifest, .. }) = self.fetching.take() else { return Ok(()) };
        let SyncPoint { lsn, checksum: expected, .. } = manifest.sync_point;
        // What was received meanwhile may have led beyond it, and may even have compacted what leads there.
        let found = self.log.sync_point(lsn).unwrap_or(manifest.sync_point);
        if found != manifest.sync_point && !is_planted(Bug::SnapshotUnchecked) {
            return self.refuse(from, self.tag_of(from), Error::OtherHistory { lsn, found: found.checksum, expected });
        }
        let chunks = manifest.chunks.len() as u64;
        self.outputs.push_back(Output::Notify(Notice::SnapshotTaken { peer: from, lsn, chunks }));
        Ok(())
    }
}

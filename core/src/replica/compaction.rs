//! How a replica forgets, and how it takes the base of another's log in place of its own: see [`crate::compaction`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Batch, Notice, Output, Replica};
use crate::causal;
use crate::change::{Change, ChangeKind};
use crate::clock::{Instant, Lsn, Now, VectorClock};
use crate::compaction::{kept, state_at};
use crate::conflict::Audit;
use crate::ddl::Ddl;
use crate::error::Error;
use crate::id::{ChangeId, ReplicaId, TableId};
use crate::log::ChangeLog;
use crate::message::{Cursor, Delivery, Entry, LogRecord, Protocol, Record, Role};
use crate::queue::OfflineQueue;
use crate::ruling::Ruling;
use crate::schema::{Schema, TableState};
use crate::session::{Peer, Session};
use crate::snapshot::{Base, Purged, Snapshots};
use crate::two_phase::Decision;

/// Marks in one retention at most, so that who asks for a compaction every second does not fill the memory.
const MARKS_MAX: u32 = 64;

/// What the main knows of how far it may forget. It begins anew with the process.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// When each replica was heard last, and the last number it had settled.
    heard: BTreeMap<ReplicaId, (Instant, Lsn)>,
    /// The last number that was given at some times, ascending.
    marks: VecDeque<(Instant, Lsn)>,
}

/// What is to be forgotten.
#[derive(Debug)]
pub(super) struct Due {
    cut: Lsn,
    /// What is gone for good, and where rows can come back, as of the ruling.
    purged: BTreeSet<Purged>,
    reviving: BTreeSet<TableId>,
}

impl Replica {
    /// The last of the main's numbers that it may have forgotten, 0 for none.
    #[must_use]
    pub fn cut(&self) -> Lsn {
        self.log.cut()
    }

    /// The main has heard from a replica, and what that holds if it can be relied on.
    pub(super) fn note_heard(&mut self, now: Now, replica: ReplicaId, cursor: Option<&Cursor>) {
        let (at, settled) = self.retention.heard.entry(replica).or_default();
        *at = now.monotonic;
        let holds_nothing_else =
            |cursor: &&Cursor| self.log.seen().includes(&cursor.seen) && cursor.seen.gaps().next().is_none();
        if let Some(cursor) = cursor.filter(holds_nothing_else) {
            *settled = (*settled).max(cursor.lsn.min(self.log.lsn_known()));
        }
    }

    /// Forgets what nobody needs any more, if there is something.
    pub(super) fn ask_to_compact(&mut self, now: Now) -> Result<(), Error> {
        if self.config.role != Role::Main {
            return Err(Error::NotMain { what: "compaction" });
        }
        let speaks_older = |session: &Session| session.is_established() && session.protocol < Protocol::V1_0;
        if self.config.protocol < Protocol::V1_0 || self.sessions.values().any(speaks_older) {
            // Who speaks an older version would not understand.
            return Ok(());
        }
        let known = self.log.lsn_known();
        let Retention { heard, marks } = &mut self.retention;
        let step = self.config.retention / MARKS_MAX;
        if marks.back().is_none_or(|(at, lsn)| *lsn < known && at.after(step) <= now.monotonic) {
            marks.push_back((now.monotonic, known));
        }
        let is_old = |at: &Instant| at.after(self.config.retention) <= now.monotonic;
        let Some(last_old) = marks.iter().rposition(|(at, _)| is_old(at)) else { return Ok(()) };
        marks.drain(..last_old);
        heard.retain(|_, (at, _)| !is_old(at));
        let settled = heard.values().map(|(_, lsn)| *lsn);
        let candidate = settled.chain(marks.front().map(|(_, lsn)| *lsn)).min().unwrap_or(0);
        let cut = self.cut_before(candidate);
        if cut > self.log.cut() && self.log.can_forget(cut) {
            let mut batch = Batch::new(now);
            self.rule(Ruling::Compaction(cut), self.log.next_lsn(), &mut batch);
            self.commit(batch);
        }
        Ok(())
    }

    /// The greatest number up to `candidate` that every author had seen of what has a later one.
    fn cut_before(&self, candidate: Lsn) -> Lsn {
        let mut cut = candidate;
        let numbered: Vec<_> = self.log.numbered().filter(|(_, lsn)| *lsn > self.log.cut()).collect();
        for (change, lsn) in numbered.into_iter().rev() {
            if lsn <= cut {
                break;
            }
            cut = cut.min(self.log.seen_through(&change.seen));
        }
        cut
    }

    /// The main has ruled that the numbers up to `cut` are forgotten.
    pub(super) fn take_compaction(&mut self, cut: Lsn) {
        if cut <= self.log.cut() {
            return;
        }
        self.due.push_back(Due { cut, purged: self.purgeable(cut), reviving: self.state.reviving() });
        self.compact();
    }

    /// Forgets what the main has ruled is forgotten. Not while it shows a change that the main has yet to refuse: without what it
    /// competes with, that would show otherwise. A replica at which one of the changes failed forgets nothing.
    pub(super) fn compact(&mut self) {
        while let Some(Due { cut, purged, .. }) = self.due.front() {
            let cut = *cut;
            let brings_back =
                |ddl: &Ddl| Purged::asked_for_by(ddl).is_some_and(|asked_for| purged.contains(&asked_for));
            let can_forget = cut > self.log.cut() && self.log.can_forget(cut);
            let will_be_refused = |change: &Arc<Change>| {
                self.log.seen_through(&change.seen) < cut || change.ddls().any(|(_, ddl)| brings_back(ddl))
            };
            if can_forget && self.log.unnumbered().any(will_be_refused) {
                return;
            }
            let Some(Due { purged, reviving, .. }) = self.due.pop_front().filter(|_| can_forget) else { continue };
            let kept = kept(&self.log, cut, &purged, &reviving);
            self.log.forget(cut, &kept, purged);
            self.snapshots = Snapshots::default();
            self.rebuild();
        }
    }

    /// The tables and columns that were dropped up to `cut` and still are, but for columns of tables in which a row may be there
    /// because somebody wrote to them.
    fn purgeable(&self, cut: Lsn) -> BTreeSet<Purged> {
        let mut at_cut = Schema::default();
        let numbered = self.log.numbered().take_while(|(_, lsn)| *lsn <= cut);
        numbered.for_each(|(change, _)| at_cut.join_change(change));
        let schemas = [&at_cut, self.state.numbered_schema()];
        let [dropped, still_dropped] = schemas.map(Schema::dropped_ids);
        let revives = |table| schemas.iter().any(|schema| schema.table(table).is_some_and(TableState::update_revives));
        let gone = dropped.intersection(&still_dropped).copied();
        gone.filter(|purged| purged.column.is_none() || !revives(purged.table)).collect()
    }

    /// Computes anew what follows from the log.
    fn rebuild(&mut self) {
        let cut = self.log.cut();
        let (mut state, mut audit) = (state_at(&self.log, cut), Audit::default());
        let kept = self.log.numbered().take_while(|(_, lsn)| *lsn <= cut);
        kept.for_each(|(change, _)| audit.record_kept(change));
        state.purge(&self.log.base().purged);
        for (change, lsn) in self.log.numbered().filter(|(_, lsn)| *lsn > cut) {
            state.join(change, lsn);
            audit.record(change, lsn, state.numbered_schema());
        }
        self.log.unnumbered().for_each(|change| state.join_unnumbered(change));
        (self.state, self.audit) = (state, audit);
    }

    /// Takes the base of the main's log, and what is kept beside it, in place of all numbers known here. Own changes that are
    /// here and not there have no number any more and are kept, and so is what never had one.
    pub(super) fn adopt_base(
        &mut self,
        base: Base,
        kept: Vec<Delivery>,
        clock: &VectorClock,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let log = ChangeLog::founded(self.config.chunk_numbers, base, kept)?;
        let old = std::mem::replace(&mut self.log, log);
        self.snapshots = Snapshots::default();
        let queue = OfflineQueue::new(self.config.queue_operations_max);
        let queued: Vec<u64> = std::mem::replace(&mut self.queue, queue).seqs().collect();
        self.due.clear();
        let to_write_anew = std::mem::take(&mut self.to_write_anew);
        self.schema_heads.clear();
        let base = self.log.base();
        self.timestamp_numbered = base.sync_point.timestamp;
        self.timestamp = self.timestamp_numbered;
        self.link_epoch = self.link_epoch.max(base.link_epoch);
        for (table, epoch) in &base.authority_epochs {
            let known = self.authority_epochs.entry(*table).or_default();
            *known = (*known).max(*epoch);
        }
        self.rebuild();
        let changes: Vec<_> = self.log.changes().cloned().collect();
        for change in changes.iter().filter(|change| change.kind() == ChangeKind::Ddl) {
            self.note_schema_head(change.id);
        }
        self.take_fates(&queued, &old, batch);
        for id in to_write_anew {
            if let Some(change) = old.get(id).filter(|_| self.log.is_in_base(id)) {
                self.log.keep_rejected(Arc::clone(change));
                self.to_write_anew.insert(id);
            }
        }
        for (change, is_proposed) in old.unknown_to(&self.log, self.id) {
            let (id, entry) = (change.id, Entry { change, lsn: None });
            // What an own one has seen, and the main has lost, whoever wrote it sends again.
            let has_causes = id.replica == self.id || causal::missing(&entry, &self.log).is_none();
            let follows = self.log.is_next(id) && self.log.check_history(&entry.change).is_ok();
            if !has_causes || !follows {
                let reason = "what it follows is not in the main's log".to_owned();
                batch.notices.push(Notice::Discarded { id, reason });
                continue;
            }
            self.merge_epochs(&entry.change);
            self.timestamp = self.timestamp.max(entry.change.timestamp);
            let schema = self.state.numbered_schema();
            if is_proposed || entry.change.ddls().any(|(_, ddl)| schema.check_purged(ddl).is_err()) {
                // The main will refuse what asks for something of which nothing is left, so it is shown nowhere.
                self.log.propose(entry.change.clone());
            } else {
                self.state.join_unnumbered(&entry.change);
                self.log.append(entry.change.clone());
            }
            if entry.change.kind() == ChangeKind::Ddl {
                self.note_schema_head(id);
            }
            if id.replica == self.id {
                self.queue.push(id.seq, entry.change.ops.len(), self.log.change_bytes(id));
            }
        }
        self.clock.merge(&clock.of(self.log.seen()));
        Ok(())
    }

    /// What became of own changes, and of transactions that replicas vote on, for which the base stands.
    fn take_fates(&mut self, queued: &[u64], old: &ChangeLog, batch: &mut Batch) {
        let mut rejected = BTreeSet::new();
        let kept: Vec<Delivery> = self.log.kept().collect();
        for delivery in &kept {
            match delivery {
                Delivery::Change(Entry { change, .. }) if self.agreements.is_undecided(change.tx) => {
                    self.conclude(change.tx, Decision::Committed(change.id), batch);
                }
                Delivery::Ruling { ruling: Ruling::RolledBack(rolled_back), .. }
                    if self.decision(rolled_back.tx).is_none() =>
                {
                    self.conclude(rolled_back.tx, Decision::RolledBack(rolled_back.abort.clone()), batch);
                }
                Delivery::Ruling { ruling: Ruling::Rejection(rejection), .. } => {
                    self.note_rejection(rejection, batch);
                    let id = rejection.change;
                    if id.replica == self.id && queued.contains(&id.seq) {
                        rejected.insert(id.seq);
                        old.get(id).into_iter().for_each(|change| self.log.keep_rejected(Arc::clone(change)));
                        self.take_rejection(rejection, batch);
                    }
                }
                _ => {}
            }
        }
        let seqs = queued.iter().filter(|seq| !rejected.contains(*seq));
        let ids = seqs.map(|seq| ChangeId { replica: self.id, seq: *seq });
        let done: Vec<_> = ids.filter(|id| self.log.is_in_base(*id)).collect();
        batch.notices.extend(done.into_iter().map(|id| Notice::Acknowledged { id }));
    }

    /// Takes the base of the main's log, durably and at once.
    pub(super) fn resync(
        &mut self,
        now: Now,
        peer: Peer,
        base: Base,
        kept: Vec<Delivery>,
        clock: &VectorClock,
    ) -> Result<(), Error> {
        let mut batch = Batch::new(now);
        self.adopt_base(base, kept, clock, &mut batch)?;
        let record = self.base_record(clock.clone());
        self.outputs.push_back(Output::Persist(record));
        self.outputs.push_back(Output::Rebuild(self.state.view()));
        self.outputs.push_back(Output::Notify(Notice::Resynced { peer, cursor: self.log.cursor() }));
        self.write_anew(&mut batch);
        self.commit(batch);
        Ok(())
    }

    fn base_record(&self, clock: VectorClock) -> Record {
        Record::Base { base: Box::new(self.log.base().clone()), kept: self.log.kept().collect(), clock }
    }

    /// The records of a replica like this one, without what it has forgotten: a host may put them in the place of those it
    /// has, all at once, when every output was carried out.
    ///
    /// # Errors
    /// [`Error::Records`] if there is something in it that its records alone tell of, like a rejected change that is yet to be
    /// written anew. The host keeps the records it has and asks again later.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        let not_now = |what: &str| Err(Error::Records(format!("they cannot be written anew now: {what}")));
        if !self.to_write_anew.is_empty() {
            return not_now("a rejected change is to be written anew");
        }
        let (replica, database, role) = (self.id, self.config.database, self.config.role);
        let created = Record::Created { replica, database, role };
        let main = self.main.filter(|main| *main != self.id).map(Record::Main);
        let base = (self.log.cut() > 0).then(|| self.base_record(self.clock.clone()));
        let prepared = self.prepared().cloned().map(Box::new).map(LogRecord::Prepared);
        let log: Vec<LogRecord> = self.log.tail().into_iter().chain(prepared).collect();
        let batch = Record::Batch { log, clock: self.clock.clone() };
        let records: Vec<Record> = [created].into_iter().chain(main).chain(base).chain([batch]).collect();
        let again = Replica::open(self.config.clone(), [0; 32], &records)?;
        if again.log.cursor() != self.log.cursor() || again.sync_point() != self.sync_point() {
            return not_now("they would make another log");
        }
        let stamps = |replica: &Replica| {
            (replica.timestamp, replica.link_epoch, replica.authority_epochs.clone(), replica.schema_heads.clone())
        };
        if again.state.view() != self.state.view() || stamps(&again) != stamps(self) {
            return not_now("they would make another state");
        }
        if !again.queue.seqs().eq(self.queue.seqs()) {
            return not_now("they would make another queue");
        }
        Ok(records)
    }
}

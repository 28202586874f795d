//! The change log: every change this replica knows, in the order it came to know them, and what became of each.
//!
//! The log is the truth; state, view and store are computed from it. It is append-only, knows each change once, and keeps
//! two orders: its own, and the main's gapless numbers ([`Lsn`]) for those changes that have one and for the main's
//! rulings.
//!
//! Numbers up to a [`Base`] may be forgotten, with most of what they were given to: see [`crate::compaction`].
//!
//! A change is applied, or it **failed** here, or the main **rejected** it. A failed change is passed: it does not hold up
//! what comes after it, it is not seen, and it is listed until it is retried with success or a person dismisses it. (Sync
//! Policy, cases E2 and E5.)

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use crate::change::{Change, ChangeId};
pub use crate::clock::Lsn;
use crate::clock::{Seen, Timestamp};
use crate::error::Error;
use crate::id::{Digest, ReplicaId, TxId, canonical_bytes};
use crate::message::{Cursor, Delivery, Entry, LogRecord};
use crate::ruling::{Rejection, Ruling};
use crate::snapshot::{Base, CHUNK_CHANGE_BYTES, Head, Purged, ResyncReason, Seals, SyncPoint, Tip};
use crate::strategy::BatchLimits;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Applied,
    /// It could not be applied here, for this reason; a person may have dismissed it.
    Failed {
        problem: String,
        is_dismissed: bool,
    },
    /// The main does not apply it.
    Rejected,
    /// Replicas voted for it, and the main has yet to decide. It is passed and shown nowhere.
    Proposed,
}

/// A change in the log.
#[derive(Clone, Debug)]
struct Logged {
    /// A rejected change is kept by its author alone.
    change: Option<Arc<Change>>,
    digest: Digest,
    bytes: usize,
    position: usize,
    lsn: Option<Lsn>,
    outcome: Outcome,
}

/// What has a number.
#[derive(Clone, Debug)]
enum Numbered {
    Change(ChangeId),
    Ruling(Ruling),
}

/// Every change this replica knows.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog {
    changes: BTreeMap<ChangeId, Logged>,
    order: Vec<ChangeId>,
    /// What stands in for the first numbers.
    base: Base,
    /// The changes for which it stands.
    base_seen: Seen,
    /// What is kept of them.
    kept: BTreeMap<Lsn, Numbered>,
    /// The numbers at which the chunks of that end.
    kept_ends: Vec<Lsn>,
    /// What has a number after the base.
    numbered: Vec<Numbered>,
    transactions: BTreeMap<TxId, ChangeId>,
    /// The last rejected change of each transaction, by author.
    rejected: BTreeMap<(TxId, ReplicaId), ChangeId>,
    seen: Seen,
    seals: Seals,
}

impl ChangeLog {
    /// An empty log that is sealed into chunks of so many numbers.
    #[must_use]
    pub fn new(chunk_numbers: u64) -> Self {
        ChangeLog { seals: Seals::new(chunk_numbers), ..ChangeLog::default() }
    }

    /// Where its chunks end.
    pub(crate) fn seals(&self) -> &Seals {
        &self.seals
    }

    /// Adds an applied change. If it had failed before, it is applied now.
    ///
    /// # Panics
    /// If it is applied already, or out of its author's order: the causal buffer prevents both.
    pub fn append(&mut self, change: Arc<Change>) {
        let id = change.id;
        self.transactions.insert(change.tx, id);
        if let Some(logged) = self.changes.get_mut(&id) {
            assert!(matches!(logged.outcome, Outcome::Failed { .. }), "{id} is applied twice");
            logged.outcome = Outcome::Applied;
            self.seen.fill(id);
        } else {
            self.seen.insert(id);
            self.insert(change, Outcome::Applied);
        }
    }

    /// Adds an own change that replicas voted for and the main has yet to decide on.
    ///
    /// # Panics
    /// If it is known already, or out of its author's order.
    pub fn propose(&mut self, change: Arc<Change>) {
        self.transactions.insert(change.tx, change.id);
        self.seen.pass(change.id);
        self.insert(change, Outcome::Proposed);
    }

    /// The main has decided for a proposed change: it is applied now. Returns it.
    ///
    /// # Panics
    /// If it is not proposed.
    pub fn adopt(&mut self, id: ChangeId) -> Arc<Change> {
        let logged = self.changes.get_mut(&id).filter(|logged| logged.outcome == Outcome::Proposed);
        let logged = logged.expect("only what is proposed is adopted");
        logged.outcome = Outcome::Applied;
        self.seen.fill(id);
        Arc::clone(logged.change.as_ref().expect("an author keeps its changes"))
    }

    /// Whether a change is proposed and not decided.
    #[must_use]
    pub fn is_proposed(&self, id: ChangeId) -> bool {
        self.changes.get(&id).is_some_and(|logged| logged.outcome == Outcome::Proposed)
    }

    /// Adds a change that cannot be applied here.
    ///
    /// # Panics
    /// If it is known already, or out of its author's order.
    pub fn fail(&mut self, change: Arc<Change>, problem: String) {
        self.seen.pass(change.id);
        self.insert(change, Outcome::Failed { problem, is_dismissed: false });
    }

    fn insert(&mut self, change: Arc<Change>, outcome: Outcome) {
        let bytes = canonical_bytes(change.as_ref(), Vec::new());
        let (id, position) = (change.id, self.order.len());
        self.order.push(id);
        let digest = Digest::of(&[&bytes]);
        let logged = Logged { change: Some(change), digest, bytes: bytes.len(), position, lsn: None, outcome };
        self.changes.insert(id, logged);
    }

    /// Adds a ruling of the main's under its number. A rejection stands in for its change, and gives back the change if
    /// it had been applied here without a number.
    ///
    /// # Panics
    /// If the number is not the next.
    pub fn rule(&mut self, ruling: Ruling, lsn: Lsn) -> Option<Arc<Change>> {
        assert_eq!(lsn, self.next_lsn(), "a ruling is numbered out of order");
        let mut retracted = None;
        if let Ruling::Rejection(rejection) = &ruling {
            retracted = self.reject(rejection, lsn);
        }
        seal_ruling(&mut self.seals, &ruling);
        self.numbered.push(Numbered::Ruling(ruling));
        retracted
    }

    fn reject(&mut self, rejection: &Rejection, lsn: Lsn) -> Option<Arc<Change>> {
        let id = rejection.change;
        self.rejected.insert((rejection.tx, id.replica), id);
        if self.transactions.get(&rejection.tx) == Some(&id) {
            self.transactions.remove(&rejection.tx);
        }
        match self.changes.get_mut(&id) {
            Some(logged) => {
                let was_applied = logged.outcome == Outcome::Applied;
                logged.outcome = Outcome::Rejected;
                logged.lsn = Some(lsn);
                self.seen.fill(id);
                logged.change.clone().filter(|_| was_applied)
            }
            None => {
                self.seen.insert(id);
                self.insert_rejected(rejection, lsn);
                None
            }
        }
    }

    fn insert_rejected(&mut self, rejection: &Rejection, lsn: Lsn) {
        let (id, position) = (rejection.change, self.order.len());
        self.rejected.insert((rejection.tx, id.replica), id);
        self.order.push(id);
        let (digest, outcome) = (rejection.digest, Outcome::Rejected);
        let logged = Logged { change: None, digest, bytes: 0, position, lsn: Some(lsn), outcome };
        self.changes.insert(id, logged);
    }

    /// Notes the main's number of a change.
    ///
    /// # Panics
    /// If the change is not here or the number is not the next: the causal buffer prevents both.
    pub fn number(&mut self, id: ChangeId, lsn: Lsn) {
        assert_eq!(lsn, self.next_lsn(), "{id} is numbered out of order");
        let logged = self.changes.get_mut(&id).expect("a numbered change is in the log");
        assert_eq!(logged.lsn.replace(lsn), None, "{id} is numbered twice");
        seal_change(&mut self.seals, logged);
        self.numbered.push(Numbered::Change(id));
    }

    /// A change of the log, unless another replica's was rejected.
    #[must_use]
    pub fn get(&self, id: ChangeId) -> Option<&Arc<Change>> {
        self.changes.get(&id)?.change.as_ref()
    }

    /// Whether a change is the one that its author wrote after the last that is known here.
    #[must_use]
    pub fn is_next(&self, id: ChangeId) -> bool {
        self.seen.head(id.replica).checked_add(1) == Some(id.seq)
    }

    /// Whether a change was applied and not rejected.
    #[must_use]
    pub fn is_applied(&self, id: ChangeId) -> bool {
        self.changes.get(&id).is_some_and(|logged| logged.outcome == Outcome::Applied)
    }

    /// The main's number of a change, or of its rejection.
    #[must_use]
    pub fn lsn(&self, id: ChangeId) -> Option<Lsn> {
        self.changes.get(&id)?.lsn
    }

    /// What has a number, unless it was forgotten.
    #[must_use]
    pub fn delivery(&self, lsn: Lsn) -> Option<Delivery> {
        let numbered = match lsn.checked_sub(self.cut() + 1) {
            Some(index) => self.numbered.get(usize::try_from(index).ok()?),
            None => self.kept.get(&lsn),
        };
        numbered.map(|numbered| self.deliver(numbered, lsn))
    }

    fn deliver(&self, numbered: &Numbered, lsn: Lsn) -> Delivery {
        match numbered {
            Numbered::Ruling(ruling) => Delivery::Ruling { ruling: ruling.clone(), lsn },
            Numbered::Change(id) => {
                let change = self.changes[id].change.as_ref().expect("a numbered change is kept");
                Delivery::Change(Entry { change: Arc::clone(change), lsn: Some(lsn) })
            }
        }
    }

    /// The change that carries out a transaction.
    #[must_use]
    pub fn transaction(&self, tx: TxId) -> Option<ChangeId> {
        self.transactions.get(&tx).copied()
    }

    /// The change that `author` made of a transaction and the main rejected. To its client that is an answer too: whoever
    /// carried it out again would make two changes of it, and a strict one would find no conflict any more.
    #[must_use]
    pub fn rejected_transaction(&self, tx: TxId, author: ReplicaId) -> Option<ChangeId> {
        self.rejected.get(&(tx, author)).copied()
    }

    /// What is in the log, per author.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The number after the last one known.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.lsn_known() + 1
    }

    /// The last number known, 0 if there is none.
    #[must_use]
    pub fn lsn_known(&self) -> Lsn {
        self.cut() + self.numbered.len() as Lsn
    }

    /// The end of the numbers known here.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.seals.tip().tip()
    }

    /// What is in the log, as peers are told.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { seen: self.seen.clone(), lsn: self.lsn_known() }
    }

    /// The applied changes in the order in which this replica came to know them.
    pub fn changes(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.order.iter().filter(|id| self.is_applied(**id)).filter_map(|id| self.get(*id))
    }

    /// The applied changes with their numbers.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.changes().map(|change| Entry { change: Arc::clone(change), lsn: self.lsn(change.id) })
    }

    /// The main's rejections, in its order.
    pub fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        self.kept.values().chain(&self.numbered).filter_map(|numbered| match numbered {
            Numbered::Ruling(Ruling::Rejection(rejection)) => Some(rejection.as_ref()),
            _ => None,
        })
    }

    /// The changes that failed here and why, but for those that a person has dismissed.
    pub fn failed(&self) -> impl Iterator<Item = (ChangeId, &str)> {
        self.changes.iter().filter_map(|(id, logged)| match &logged.outcome {
            Outcome::Failed { problem, is_dismissed: false } => Some((*id, problem.as_str())),
            _ => None,
        })
    }

    /// A change that failed here, with its number if it has one.
    ///
    /// # Errors
    /// [`Error::NotFailed`].
    pub fn failed_entry(&self, id: ChangeId) -> Result<Entry, Error> {
        self.failed().find(|(failed, _)| *failed == id).ok_or(Error::NotFailed(id))?;
        let change = self.get(id).ok_or(Error::NotFailed(id))?;
        Ok(Entry { change: Arc::clone(change), lsn: self.lsn(id) })
    }

    /// No longer lists a failed change.
    pub fn dismiss(&mut self, id: ChangeId) {
        if let Some(Outcome::Failed { is_dismissed, .. }) = self.changes.get_mut(&id).map(|logged| &mut logged.outcome)
        {
            *is_dismissed = true;
        }
    }

    /// How many changes are applied.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// The digest that `author`'s next change carries as its previous.
    #[must_use]
    pub fn last_digest(&self, author: ReplicaId) -> Digest {
        let last = ChangeId { replica: author, seq: self.seen.head(author) };
        let logged = self.changes.get(&last).map(|logged| logged.digest);
        logged.or_else(|| self.base_head(author).map(|head| head.digest)).unwrap_or_default()
    }

    /// When `author`'s last change was written.
    #[must_use]
    pub fn last_timestamp(&self, author: ReplicaId) -> Option<Timestamp> {
        let last = self.get(ChangeId { replica: author, seq: self.seen.head(author) });
        last.map(|change| change.timestamp).or_else(|| self.base_head(author).map(|head| head.timestamp))
    }

    /// The last of an author's changes for which the base stands, if none came after it.
    fn base_head(&self, author: ReplicaId) -> Option<&Head> {
        self.base.head(author).filter(|head| head.seq == self.seen.head(author))
    }

    /// The encoded bytes of a change of the log.
    #[must_use]
    pub fn change_bytes(&self, id: ChangeId) -> usize {
        self.changes.get(&id).map_or(0, |logged| logged.bytes)
    }

    /// Whether `change` continues its author's history as this log knows it, or repeats a part of it.
    ///
    /// # Errors
    /// [`Error::ClonedReplica`] if its author wrote something else at that place.
    pub fn check_history(&self, change: &Change) -> Result<(), Error> {
        let cloned = Err(Error::ClonedReplica { replica: change.id.replica });
        if let Some(known) = self.changes.get(&change.id) {
            return if known.digest == change.digest() { Ok(()) } else { cloned };
        }
        if self.base_seen.passes(change.id) {
            // It was forgotten, and nobody can tell.
            return Ok(());
        }
        if self.is_next(change.id) && self.last_digest(change.id.replica) != change.previous { cloned } else { Ok(()) }
    }

    /// The next batch for a replica that holds `cursor`, causes before effects; empty if it lacks nothing.
    ///
    /// A main sends by number (`by_number`), and so also sends authors their own changes back: that is the
    /// acknowledgement (Minimal Sync Guide, case C2).
    #[must_use]
    pub fn lacking(&self, cursor: &Cursor, by_number: bool, limits: BatchLimits) -> Vec<Delivery> {
        let mut bytes = 0;
        let mut fits = |more: usize| {
            let is_first = bytes == 0;
            bytes += more.max(1);
            is_first || bytes <= limits.bytes
        };
        if by_number {
            // Who lacks numbers that were forgotten gets a snapshot.
            let Some(known) = cursor.lsn.checked_sub(self.cut()) else { return Vec::new() };
            let known = usize::try_from(known).unwrap_or(usize::MAX).min(self.numbered.len());
            let size = |numbered: &Numbered| match numbered {
                Numbered::Change(id) => self.change_bytes(*id),
                Numbered::Ruling(_) => 0,
            };
            let next = (self.cut() + known as Lsn + 1..).zip(&self.numbered[known..]).take(limits.changes);
            let next = next.take_while(|(_, numbered)| fits(size(numbered)));
            return next.map(|(lsn, numbered)| self.deliver(numbered, lsn)).collect();
        }
        let lacking = self.seen.heads().filter_map(|head| {
            let after = ChangeId { replica: head.replica, seq: cursor.seen.head(head.replica).saturating_add(1) };
            (after.seq <= head.seq).then(|| self.changes.range(after..=head).map(|(_, logged)| logged.position))
        });
        // Of every author the first that is lacking; of these the one that came first is next.
        let mut of_authors: Vec<_> = lacking.collect();
        let firsts = of_authors.iter_mut().enumerate();
        let mut firsts: BinaryHeap<_> =
            firsts.filter_map(|(author, positions)| Some(Reverse((positions.next()?, author)))).collect();
        let next = std::iter::from_fn(|| {
            let Reverse((position, author)) = firsts.pop()?;
            firsts.extend(of_authors[author].next().map(|following| Reverse((following, author))));
            Some(&self.changes[&self.order[position]])
        });
        let next = next.filter_map(|logged| Some((logged, logged.change.as_ref()?))).take(limits.changes);
        let next = next.take_while(|(logged, _)| fits(logged.bytes));
        let entry = |(logged, change): (&Logged, &Arc<Change>)| Entry { change: Arc::clone(change), lsn: logged.lsn };
        next.map(entry).map(Delivery::Change).collect()
    }

    // ---- what is forgotten ----

    /// What stands in for the numbers that were forgotten.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The last number that may be forgotten, 0 for none.
    #[must_use]
    pub fn cut(&self) -> Lsn {
        self.base.sync_point.lsn
    }

    /// Whether a change is one for which the base stands.
    #[must_use]
    pub fn is_in_base(&self, id: ChangeId) -> bool {
        self.base_seen.passes(id)
    }

    /// Whether `seen` has applied everything for which the base stands.
    #[must_use]
    pub fn has_seen_base(&self, seen: &Seen) -> bool {
        seen.includes(&self.base_seen) && !seen.gaps().any(|gap| self.base_seen.passes(gap))
    }

    /// The last number up to which `seen` has applied everything.
    #[must_use]
    pub fn seen_through(&self, seen: &Seen) -> Lsn {
        let unseen = |head: ChangeId| ChangeId { replica: head.replica, seq: seen.head(head.replica) + 1 };
        let first = self.seen.heads().map(unseen).chain(seen.gaps());
        let before = first.filter_map(|id| self.changes.get(&id)?.lsn).map(|lsn| lsn.saturating_sub(1));
        before.min().unwrap_or(self.lsn_known()).min(self.lsn_known())
    }

    /// The changes for which a base at `cut` would stand. `None` if one of them failed here.
    fn seen_at(&self, cut: Lsn) -> Option<Seen> {
        let mut seen = self.base_seen.clone();
        for id in self.numbered_through(cut).filter_map(|numbered| self.stands_for(numbered)) {
            seen.set_head(id.replica, id.seq.max(seen.head(id.replica)));
        }
        let has_failed = self.seen.gaps().any(|gap| seen.passes(gap));
        (!has_failed).then_some(seen)
    }

    /// Whether everything up to a number is here and was applied, so that it can be forgotten.
    #[must_use]
    pub fn can_forget(&self, cut: Lsn) -> bool {
        cut <= self.lsn_known() && self.seen_at(cut).is_some()
    }

    fn numbered_through(&self, cut: Lsn) -> impl Iterator<Item = &Numbered> {
        self.numbered.iter().take(usize::try_from(cut.saturating_sub(self.cut())).unwrap_or(usize::MAX))
    }

    fn stands_for(&self, numbered: &Numbered) -> Option<ChangeId> {
        match numbered {
            Numbered::Change(id) => Some(*id),
            Numbered::Ruling(Ruling::Rejection(rejection)) => Some(rejection.change),
            Numbered::Ruling(_) => None,
        }
    }

    /// The applied changes that have a number, in the main's order.
    pub fn numbered(&self) -> impl Iterator<Item = (&Arc<Change>, Lsn)> {
        let kept = self.kept.iter().map(|(lsn, numbered)| (*lsn, numbered));
        kept.chain((self.cut() + 1..).zip(&self.numbered)).filter_map(|(lsn, numbered)| match numbered {
            Numbered::Change(id) if self.is_applied(*id) => Some((self.get(*id)?, lsn)),
            _ => None,
        })
    }

    /// The applied changes without a number, in the order in which they came to be known.
    pub fn unnumbered(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.changes().filter(|change| self.lsn(change.id).is_none())
    }

    /// The sync point at a number, unless that was forgotten or is not known.
    #[must_use]
    pub fn sync_point(&self, lsn: Lsn) -> Option<SyncPoint> {
        if lsn < self.cut() || lsn > self.lsn_known() {
            return None;
        }
        let mut seals = self.seals.anew_after(self.seals.last_before(lsn));
        let done = seals.tip().lsn - self.cut();
        for numbered in self.numbered_through(lsn).skip(usize::try_from(done).unwrap_or(usize::MAX)) {
            self.seal(&mut seals, numbered);
        }
        Some(seals.tip())
    }

    /// How many changes there are after a sync point.
    ///
    /// # Errors
    /// Why nobody at that sync point can be sent them alone.
    pub fn changes_since(&self, point: &SyncPoint) -> Result<u64, ResyncReason> {
        self.check_tip(point.tip())?;
        Ok(self.seals.tip().count.saturating_sub(point.count))
    }

    /// Whether whoever knows numbers that end there can be sent those that follow.
    ///
    /// # Errors
    /// Why not.
    pub fn check_tip(&self, tip: Tip) -> Result<(), ResyncReason> {
        match self.sync_point(tip.lsn) {
            Some(point) if point.tip() == tip => Ok(()),
            None if tip.lsn < self.cut() => Err(ResyncReason::Compacted),
            _ => Err(ResyncReason::OtherHistory),
        }
    }

    fn seal(&self, seals: &mut Seals, numbered: &Numbered) {
        match numbered {
            Numbered::Ruling(ruling) => seal_ruling(seals, ruling),
            Numbered::Change(id) => seal_change(seals, &self.changes[id]),
        }
    }

    /// The numbers at which the chunks end of what is kept of the first numbers.
    pub(crate) fn kept_ends(&self) -> &[Lsn] {
        &self.kept_ends
    }

    /// The chunk that ends there of what is kept of the first numbers, if one does.
    pub(crate) fn kept_in(&self, last: Lsn) -> Option<impl Iterator<Item = Delivery>> {
        let index = self.kept_ends.binary_search(&last).ok()?;
        let first = index.checked_sub(1).map_or(0, |before| self.kept_ends[before]) + 1;
        Some(self.kept.range(first..=last).map(|(lsn, numbered)| self.deliver(numbered, *lsn)))
    }

    /// What is kept of the first numbers.
    pub fn kept(&self) -> impl Iterator<Item = Delivery> {
        self.kept.iter().map(|(lsn, numbered)| self.deliver(numbered, *lsn))
    }

    /// Forgets the numbers up to `cut`, but for the changes that are to be kept and for what the main rejected or rolled
    /// back.
    ///
    /// # Panics
    /// If it cannot: see [`ChangeLog::can_forget`].
    pub fn forget(&mut self, cut: Lsn, kept: &BTreeSet<ChangeId>, purged: BTreeSet<Purged>) {
        let seen = self.seen_at(cut).expect("only what was applied is forgotten");
        let sync_point = self.sync_point(cut).expect("only what is known is forgotten");
        let heads = seen.heads().filter_map(|head| self.head_at(head)).collect();
        let mut base = Base { sync_point, heads, ..self.base.clone() };
        base.forgotten.values_mut().for_each(|earlier| earlier.retain(|forgotten| !purged.contains(forgotten)));
        base.forgotten.insert(cut, purged.clone());
        base.forgotten.retain(|_, forgotten| !forgotten.is_empty());
        base.purged = purged;
        let forgotten = usize::try_from(cut - self.cut()).unwrap_or(usize::MAX);
        for (lsn, numbered) in (self.cut() + 1..).zip(self.numbered.drain(..forgotten)) {
            match &numbered {
                Numbered::Ruling(Ruling::Epoch(epoch)) => base.link_epoch = base.link_epoch.max(*epoch),
                Numbered::Ruling(_) => {}
                Numbered::Change(id) => {
                    let Some(change) = self.changes.get(id).and_then(|logged| logged.change.as_ref()) else { continue };
                    base.link_epoch = base.link_epoch.max(change.link_epoch);
                    for (table, epoch) in &change.authority_epochs {
                        let greatest = base.authority_epochs.entry(*table).or_default();
                        *greatest = (*greatest).max(*epoch);
                    }
                }
            }
            self.kept.insert(lsn, numbered);
        }
        self.kept.retain(|_, numbered| match numbered {
            Numbered::Change(id) => kept.contains(id),
            Numbered::Ruling(Ruling::Rejection(_) | Ruling::RolledBack(_)) => true,
            Numbered::Ruling(Ruling::Epoch(_) | Ruling::Compaction(_)) => false,
        });
        self.changes.retain(|id, logged| {
            let is_later = logged.lsn.is_none_or(|lsn| lsn > cut);
            is_later || logged.outcome == Outcome::Rejected || kept.contains(id)
        });
        self.transactions.retain(|_, id| self.changes.contains_key(id));
        self.order.retain(|id| self.changes.contains_key(id));
        for (position, id) in self.order.iter().enumerate() {
            self.changes.entry(*id).and_modify(|logged| logged.position = position);
        }
        let mut seals = self.seals.anew_after(sync_point);
        self.numbered.iter().for_each(|numbered| self.seal(&mut seals, numbered));
        self.seals = seals;
        (self.base, self.base_seen) = (base, seen);
        self.kept_ends = self.ends_of_kept();
    }

    /// What is kept of an author whose last change that was.
    fn head_at(&self, last: ChangeId) -> Option<Head> {
        let (author, seq) = (last.replica, last.seq);
        let logged = self.changes.get(&last).map(|logged| {
            let timestamp = logged.change.as_ref().filter(|_| logged.outcome != Outcome::Rejected);
            let timestamp = timestamp.map_or_else(Timestamp::default, |change| change.timestamp);
            Head { author, seq, digest: logged.digest, timestamp }
        });
        logged.or_else(|| self.base.head(author).filter(|head| head.seq == seq).copied())
    }

    fn ends_of_kept(&self) -> Vec<Lsn> {
        let (mut ends, mut numbers, mut bytes) = (Vec::new(), 0, 0);
        for (lsn, numbered) in &self.kept {
            numbers += 1;
            bytes += self.stands_for(numbered).map_or(0, |id| self.change_bytes(id));
            if numbers >= self.seals.chunk_numbers() || bytes >= CHUNK_CHANGE_BYTES {
                ends.push(*lsn);
                (numbers, bytes) = (0, 0);
            }
        }
        if numbers == 0 {
            ends.pop();
        }
        ends.extend((self.cut() > 0).then_some(self.cut()));
        ends
    }

    /// The log that a base and what is kept beside it make, sealed into chunks of so many numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] if something is kept for which the base does not stand.
    pub fn founded(chunk_numbers: u64, base: Base, kept: Vec<Delivery>) -> Result<Self, Error> {
        let seen = base.seen();
        let mut log = ChangeLog { seals: Seals::after(base.sync_point, chunk_numbers), ..ChangeLog::default() };
        let length = kept.len();
        for delivery in kept {
            let lsn = delivery.lsn().filter(|lsn| *lsn <= base.sync_point.lsn && !log.kept.contains_key(lsn));
            let is_new = |id: ChangeId| seen.passes(id) && !log.changes.contains_key(&id);
            let numbered = match delivery {
                Delivery::Change(Entry { change, .. }) if is_new(change.id) => {
                    let id = change.id;
                    log.transactions.insert(change.tx, id);
                    log.insert(change, Outcome::Applied);
                    log.changes.entry(id).and_modify(|logged| logged.lsn = lsn);
                    Some(Numbered::Change(id))
                }
                Delivery::Ruling { ruling: Ruling::Rejection(rejection), lsn } if is_new(rejection.change) => {
                    log.insert_rejected(&rejection, lsn);
                    Some(Numbered::Ruling(Ruling::Rejection(rejection)))
                }
                Delivery::Ruling { ruling: ruling @ Ruling::RolledBack(_), .. } => Some(Numbered::Ruling(ruling)),
                _ => None,
            };
            let (Some(lsn), Some(numbered)) = (lsn, numbered) else {
                let problem = "it keeps something for which its base does not stand".to_owned();
                return Err(Error::Malformed { what: "snapshot", length, problem });
            };
            log.kept.insert(lsn, numbered);
        }
        (log.base, log.seen, log.base_seen) = (base, seen.clone(), seen);
        log.kept_ends = log.ends_of_kept();
        Ok(log)
    }

    /// Keeps what an own change would have done that the main rejected.
    pub fn keep_rejected(&mut self, change: Arc<Change>) {
        let logged = self.changes.get_mut(&change.id).filter(|logged| logged.outcome == Outcome::Rejected);
        logged.into_iter().for_each(|logged| logged.change = Some(Arc::clone(&change)));
    }

    /// What a log, one founded on a base, lacks of `own` changes and of what has no number, in the order in which it came to be
    /// known, each with whether it is proposed. What was rejected or has failed is as if it had never been tried.
    #[must_use]
    pub fn unknown_to(&self, other: &ChangeLog, own: ReplicaId) -> Vec<(Arc<Change>, bool)> {
        let is_unknown = |id: &ChangeId| !other.seen.passes(*id);
        let unknown = self.order.iter().filter(|id| is_unknown(id)).filter_map(|id| {
            let logged = self.changes.get(id).filter(|logged| id.replica == own || logged.lsn.is_none())?;
            Some((Arc::clone(logged.change.as_ref()?), logged.outcome == Outcome::Proposed))
        });
        unknown.collect()
    }

    /// The records that add to what is kept of the first numbers what else is in the log.
    #[must_use]
    pub fn tail(&self) -> Vec<LogRecord> {
        let of_change = |id: ChangeId| {
            let logged = &self.changes[&id];
            let entry = Entry { change: Arc::clone(logged.change.as_ref()?), lsn: logged.lsn };
            Some(match &logged.outcome {
                Outcome::Failed { problem, .. } => LogRecord::Fail { entry, problem: problem.clone() },
                Outcome::Applied | Outcome::Proposed => LogRecord::Append(entry),
                Outcome::Rejected => return None,
            })
        };
        let numbered = (self.cut() + 1..).zip(&self.numbered).filter_map(|(lsn, numbered)| match numbered {
            Numbered::Change(id) => of_change(*id),
            Numbered::Ruling(ruling) => Some(LogRecord::Ruling { ruling: ruling.clone(), lsn }),
        });
        let unnumbered = self.order.iter().filter(|id| self.lsn(**id).is_none()).filter_map(|id| of_change(*id));
        let is_dismissed = |logged: &Logged| matches!(logged.outcome, Outcome::Failed { is_dismissed: true, .. });
        let dismissed = self.changes.iter().filter(|(_, logged)| is_dismissed(logged));
        numbered.chain(unnumbered).chain(dismissed.map(|(id, _)| LogRecord::Dismiss(*id))).collect()
    }
}

fn seal_ruling(seals: &mut Seals, ruling: &Ruling) {
    seals.push(Digest::of(&[&canonical_bytes(ruling, Vec::new())]), 0);
}

fn seal_change(seals: &mut Seals, logged: &Logged) {
    let timestamp = logged.change.as_ref().map_or_else(Timestamp::default, |change| change.timestamp);
    seals.push_change(logged.digest, timestamp, logged.bytes);
}

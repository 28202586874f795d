//! The change log: every change this replica knows, in the order it came to know them, and what became of each.
//!
//! The log is the truth; state, view and store are computed from it. It is append-only, knows each change once, and keeps
//! two orders: its own, and the main's gapless numbers ([`Lsn`]) for those changes that have one and for the main's
//! rulings.
//!
//! A change is applied, or it **failed** here, or the main **rejected** it. A failed change is passed: it does not hold up
//! what comes after it, it is not seen, and it is listed until it is retried with success or a person dismisses it. (Sync
//! Policy, cases E2 and E5.)

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, ChangeId};
pub use crate::clock::Lsn;
use crate::clock::{Seen, Timestamp};
use crate::error::Error;
use crate::id::{Digest, ReplicaId, TxId, canonical_bytes};
use crate::message::{Cursor, Delivery, Entry};
use crate::ruling::{Rejection, Ruling};
use crate::snapshot::Seals;
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
        self.seals.push(Digest::of(&[&canonical_bytes(&ruling, Vec::new())]), 0);
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
                let position = self.order.len();
                self.order.push(id);
                let (digest, outcome) = (rejection.digest, Outcome::Rejected);
                let logged = Logged { change: None, digest, bytes: 0, position, lsn: Some(lsn), outcome };
                self.changes.insert(id, logged);
                None
            }
        }
    }

    /// Notes the main's number of a change.
    ///
    /// # Panics
    /// If the change is not here or the number is not the next: the causal buffer prevents both.
    pub fn number(&mut self, id: ChangeId, lsn: Lsn) {
        assert_eq!(lsn, self.next_lsn(), "{id} is numbered out of order");
        let logged = self.changes.get_mut(&id).expect("a numbered change is in the log");
        assert_eq!(logged.lsn.replace(lsn), None, "{id} is numbered twice");
        let timestamp = logged.change.as_ref().map_or_else(Timestamp::default, |change| change.timestamp);
        self.seals.push_change(logged.digest, timestamp, logged.bytes);
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

    /// What has a number.
    #[must_use]
    pub fn delivery(&self, lsn: Lsn) -> Option<Delivery> {
        let index = usize::try_from(lsn.checked_sub(1)?).ok()?;
        self.numbered.get(index).map(|numbered| self.deliver(numbered, lsn))
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
        self.numbered.len() as Lsn
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
        self.numbered.iter().filter_map(|numbered| match numbered {
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
        self.changes.get(&last).map_or(Digest::default(), |logged| logged.digest)
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
            let known = usize::try_from(cursor.lsn).unwrap_or(usize::MAX).min(self.numbered.len());
            let size = |numbered: &Numbered| match numbered {
                Numbered::Change(id) => self.change_bytes(*id),
                Numbered::Ruling(_) => 0,
            };
            let next = (known as Lsn + 1..).zip(&self.numbered[known..]).take(limits.changes);
            let next = next.take_while(|(_, numbered)| fits(size(numbered)));
            return next.map(|(lsn, numbered)| self.deliver(numbered, lsn)).collect();
        }
        let mut positions: Vec<usize> = Vec::new();
        for head in self.seen.heads() {
            let after = ChangeId { replica: head.replica, seq: cursor.seen.head(head.replica).saturating_add(1) };
            if after.seq <= head.seq {
                positions.extend(self.changes.range(after..=head).map(|(_, logged)| logged.position));
            }
        }
        positions.sort_unstable();
        let next = positions.into_iter().map(|position| &self.changes[&self.order[position]]);
        let next = next.filter_map(|logged| Some((logged, logged.change.as_ref()?))).take(limits.changes);
        let next = next.take_while(|(logged, _)| fits(logged.bytes));
        let entry = |(logged, change): (&Logged, &Arc<Change>)| Entry { change: Arc::clone(change), lsn: logged.lsn };
        next.map(entry).map(Delivery::Change).collect()
    }
}

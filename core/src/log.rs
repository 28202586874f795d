//! The change log: every change this replica has applied, in the order it applied them.
//!
//! The log is the truth; state, view and store are computed from it. It is append-only, knows each change once, and keeps
//! two orders: its own, and the main's gapless numbers ([`Lsn`]) for those changes that have one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, ChangeId};
pub use crate::clock::Lsn;
use crate::clock::Seen;
use crate::error::Error;
use crate::id::{Digest, ReplicaId, TxId, canonical_bytes};
use crate::message::{Cursor, Entry};

/// How much one batch for a peer holds; a batch holds at least one change.
const BATCH_CHANGES_MAX: usize = 100;
const BATCH_BYTES_MAX: usize = 256 << 10;

/// A change in the log.
#[derive(Clone, Debug)]
struct Logged {
    change: Arc<Change>,
    digest: Digest,
    bytes: usize,
    position: usize,
    lsn: Option<Lsn>,
}

/// Every change this replica has applied.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog {
    changes: BTreeMap<ChangeId, Logged>,
    order: Vec<ChangeId>,
    numbered: Vec<ChangeId>,
    transactions: BTreeMap<TxId, ChangeId>,
    seen: Seen,
}

impl ChangeLog {
    /// Adds a change, with its number if it has one.
    ///
    /// # Panics
    /// If it is there already, out of its author's order, or out of the main's: the causal buffer prevents all three.
    pub fn append(&mut self, change: Arc<Change>, lsn: Option<Lsn>) {
        let bytes = canonical_bytes(change.as_ref(), Vec::new());
        let id = change.id;
        self.seen.insert(id);
        self.transactions.insert(change.tx, id);
        let position = self.order.len();
        self.order.push(id);
        self.changes
            .insert(id, Logged { change, digest: Digest::of(&[&bytes]), bytes: bytes.len(), position, lsn: None });
        if let Some(lsn) = lsn {
            self.number(id, lsn);
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
        self.numbered.push(id);
    }

    /// A change of the log.
    #[must_use]
    pub fn get(&self, id: ChangeId) -> Option<&Arc<Change>> {
        self.changes.get(&id).map(|logged| &logged.change)
    }

    /// The main's number of a change.
    #[must_use]
    pub fn lsn(&self, id: ChangeId) -> Option<Lsn> {
        self.changes.get(&id)?.lsn
    }

    /// The change that has a number.
    #[must_use]
    pub fn numbered(&self, lsn: Lsn) -> Option<ChangeId> {
        self.numbered.get(usize::try_from(lsn.checked_sub(1)?).ok()?).copied()
    }

    /// The change that carries out a transaction.
    #[must_use]
    pub fn transaction(&self, tx: TxId) -> Option<ChangeId> {
        self.transactions.get(&tx).copied()
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

    /// The changes in the order this replica applied them.
    pub fn changes(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.order.iter().map(|id| &self.changes[id].change)
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
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
        let is_next = self.seen.head(change.id.replica) + 1 == change.id.seq;
        if is_next && self.last_digest(change.id.replica) != change.previous { cloned } else { Ok(()) }
    }

    /// The next batch for a replica that holds `cursor`, causes before effects; empty if it lacks nothing.
    ///
    /// A main sends by number (`by_number`), and so also sends authors their own changes back: that is the
    /// acknowledgement (Minimal Sync Guide, case C2).
    #[must_use]
    pub fn lacking(&self, cursor: &Cursor, by_number: bool) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |logged: &&Logged| {
            let is_first = bytes == 0;
            bytes += logged.bytes;
            is_first || bytes <= BATCH_BYTES_MAX
        };
        let entry = |logged: &Logged| Entry { change: Arc::clone(&logged.change), lsn: logged.lsn };
        if by_number {
            let known = usize::try_from(cursor.lsn).unwrap_or(usize::MAX).min(self.numbered.len());
            let next = self.numbered[known..].iter().take(BATCH_CHANGES_MAX);
            return next.map(|id| &self.changes[id]).take_while(fits).map(entry).collect();
        }
        let mut positions: Vec<usize> = Vec::new();
        for head in self.seen.heads() {
            let after = ChangeId { replica: head.replica, seq: cursor.seen.head(head.replica).saturating_add(1) };
            if after.seq <= head.seq {
                positions.extend(self.changes.range(after..=head).map(|(_, logged)| logged.position));
            }
        }
        positions.sort_unstable();
        let next = positions.into_iter().take(BATCH_CHANGES_MAX);
        next.map(|position| &self.changes[&self.order[position]]).take_while(fits).map(entry).collect()
    }
}

//! What comes in files: changes of other replicas without a session, and what other systems' logs say was done.
//!
//! A file is a peer that cannot answer. What it holds is taken in as from the wire and by the same rules; but where a bad
//! change ends a session, in a file it is left out alone and told, and the rest goes on. (Sync Policy, cases E5 and E8.)

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Batch, Notice, Output, Replica, change_of};
use crate::change::{Change, ChangeId};
use crate::clock::{Now, VectorClock};
use crate::error::Error;
use crate::foreign::{self, ForeignTransaction};
use crate::id::{DatabaseId, ReplicaId, canonical_bytes};
use crate::message::{CHANGE_BYTES_MAX, Delivery, Entry, Record, Role};

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The replica that wrote it.
    pub replica: ReplicaId,
    /// The graph it is of.
    pub database: DatabaseId,
    /// That replica's part.
    pub role: Role,
}

impl Replica {
    /// Takes in what a file of another replica holds, as one batch. What cannot be taken in is told by
    /// [`Notice::Discarded`], what has to wait by [`Notice::Held`].
    pub(super) fn import(
        &mut self,
        now: Now,
        source: &Source,
        clock: &VectorClock,
        deliveries: Vec<Delivery>,
    ) -> Result<(), Error> {
        self.check_source(source, &deliveries)?;
        if source.role == Role::Main && self.main.is_none() {
            self.main = Some(source.replica);
            self.outputs.push_back(Output::Persist(Record::Main(source.replica)));
        }
        let (mut batch, mut result) = (Batch::new(now), Ok(()));
        for delivery in deliveries {
            let id = change_of(&delivery);
            match (self.take_in(delivery, &mut batch), id) {
                (Ok(()), _) => {}
                (Err(error), Some(id)) => batch.notices.push(Notice::Discarded { id, reason: error.to_string() }),
                (Err(error), None) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.commit_received(clock, batch);
        result
    }

    /// Whether a file may be imported here.
    ///
    /// # Errors
    /// The same as those of a handshake with the replica that wrote it.
    pub fn check_source(&self, source: &Source, deliveries: &[Delivery]) -> Result<(), Error> {
        self.check_peer(source.database, source.replica, source.role)?;
        let own_head = ChangeId { replica: self.id, seq: self.log.seen().head(self.id) };
        let is_unwritten = |id: ChangeId| id.replica == own_head.replica && id.seq > own_head.seq;
        if deliveries.iter().filter_map(change_of).any(is_unwritten) {
            return Err(Error::ClonedReplica { replica: self.id });
        }
        Ok(())
    }

    /// Takes in what another system's log says was done, as one batch. A transaction that cannot be carried out is told by
    /// [`Notice::LeftOut`].
    pub(super) fn import_foreign(&mut self, now: Now, transactions: &[ForeignTransaction]) {
        let mut batch = Batch::new(now);
        for transaction in transactions {
            let tx = transaction.tx();
            if let Some(id) = self.log.transaction(tx) {
                batch.notices.push(Notice::AlreadySubmitted { tx, id });
                continue;
            }
            let written = self.write_foreign(transaction);
            let admitted =
                written.and_then(|change| self.admit(Entry { change: Arc::new(change), lsn: None }, &mut batch));
            if let Err(error) = admitted {
                batch.notices.push(Notice::LeftOut { tx, problem: error.to_string() });
            }
        }
        if !batch.records.is_empty() {
            self.clock.tick(self.id);
        }
        self.commit(batch);
    }

    fn write_foreign(&self, transaction: &ForeignTransaction) -> Result<Change, Error> {
        let author = transaction.author(self.id);
        let head = self.log.seen().head(author);
        let last = self.log.last_timestamp(author);
        // Another system has seen none of this one's changes, but for those that nobody can be concurrent to any more.
        let mut seen = self.log.base().seen();
        seen.set_head(author, head);
        let ops = foreign::resolve(&self.state, &transaction.rows)?;
        if ops.len() > Change::OPS_MAX {
            return Err(Error::TransactionTooLong { found: ops.len(), max: Change::OPS_MAX });
        }
        let change = Change {
            id: ChangeId { replica: author, seq: head + 1 },
            previous: self.log.last_digest(author),
            timestamp: last.unwrap_or_default().next(transaction.created_at()),
            link_epoch: 0,
            seen,
            depends_on: self.schema_heads.iter().map(|(&replica, &seq)| ChangeId { replica, seq }).collect(),
            ops,
            ..self.blank_change(transaction.tx(), transaction.created_at())
        };
        let bytes = canonical_bytes(&change, Vec::new()).len();
        if bytes > CHANGE_BYTES_MAX {
            return Err(Error::TransactionTooLarge { bytes, max: CHANGE_BYTES_MAX });
        }
        Ok(change)
    }
}

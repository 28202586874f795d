//! The participant: what it is prepared to do, and has promised to remember until it hears of a decision.

use std::collections::{BTreeMap, BTreeSet};

use super::Proposal;
use crate::clock::Instant;
use crate::id::TxId;
use crate::session::Peer;

/// The transactions a replica has voted to commit and has not heard the decision of.
#[derive(Clone, Debug, Default)]
pub struct Participant {
    prepared: BTreeMap<TxId, Prepared>,
}

/// A transaction in the hands of others.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What was voted on.
    pub proposal: Proposal,
    /// When this participant takes over; `None` until the process that holds it has been given the time.
    pub lease_until: Option<Instant>,
    /// How often it asked for the decision.
    pub attempt: u32,
    /// Who is not the coordinator and knows of no decision either.
    pub unknown_to: BTreeSet<Peer>,
}

impl Participant {
    /// Holds what was just made durable.
    pub fn hold(&mut self, proposal: Proposal, lease_until: Option<Instant>) {
        let prepared = Prepared { proposal, lease_until, attempt: 0, unknown_to: BTreeSet::new() };
        self.prepared.insert(prepared.proposal.tx, prepared);
    }

    /// Lets go of what is decided. Says whether it was held.
    pub fn release(&mut self, tx: TxId) -> bool {
        self.prepared.remove(&tx).is_some()
    }

    /// What is prepared.
    pub fn prepared(&self) -> impl Iterator<Item = &Prepared> {
        self.prepared.values()
    }

    /// What is prepared, of one transaction.
    #[must_use]
    pub fn get(&self, tx: TxId) -> Option<&Prepared> {
        self.prepared.get(&tx)
    }

    /// What is prepared, of one transaction.
    pub fn get_mut(&mut self, tx: TxId) -> Option<&mut Prepared> {
        self.prepared.get_mut(&tx)
    }

    /// A peer came back, perhaps with news.
    pub fn note_news_of(&mut self, peer: Peer) {
        for held in self.prepared.values_mut() {
            held.unknown_to.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_phase::tests::{proposal, tx, update};

    #[test]
    fn what_is_prepared_is_held_until_it_is_decided() {
        let mut participant = Participant::default();
        participant.hold(proposal(1, vec![update(1)]), None);
        assert!(participant.get(tx(1)).is_some() && participant.get(tx(2)).is_none());
        assert!(participant.release(tx(1)) && !participant.release(tx(1)));
        assert_eq!(participant.prepared().count(), 0);
    }
}

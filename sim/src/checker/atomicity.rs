//! What replicas vote on is done once by all or by none.
//!
//! It is done only if every participant voted for it. Whoever voted for it remembers that until it hears of the decision,
//! also when it dies. In the end everybody has what was committed, nobody has anything of what was rolled back, and nobody
//! is prepared whose coordinator is there to be asked.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::Change;
use kuzusync_core::id::{ReplicaId, TxId};
use kuzusync_core::message::{Message, Role};
use kuzusync_core::replica::Notice;
use kuzusync_core::two_phase::{Decision, Says, Vote};

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Atomicity {
    /// Who each host is.
    replicas: BTreeMap<u32, ReplicaId>,
    /// Who voted for a transaction.
    votes: BTreeMap<TxId, BTreeSet<ReplicaId>>,
    /// What a replica voted for and was not decided where it is.
    promised: BTreeMap<ReplicaId, BTreeSet<TxId>>,
    /// Who was cloned: what such a replica did since, nobody was shown.
    doubled: BTreeSet<ReplicaId>,
}

impl Checker for Atomicity {
    fn property(&self) -> Property {
        Property::Atomicity
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { replica, prepared, decided, .. } => self.open(host, *replica, prepared, decided),
            EventKind::Doubled => {
                self.doubled.extend(self.replicas.get(&host));
                Ok(())
            }
            EventKind::Notified(Notice::Voted { tx, vote: Vote::Commit }) => {
                self.promise(host, *tx);
                Ok(())
            }
            EventKind::Sent { frame, .. } if Message::is_letter(frame) => {
                if let Ok(Message::TwoPhase(letter)) = Message::decode(frame)
                    && letter.says == Says::Vote(Vote::Commit)
                    && self.replicas.get(&host) == Some(&letter.from)
                {
                    self.promise(host, letter.tx);
                }
                Ok(())
            }
            EventKind::Notified(Notice::Voted { tx, vote: Vote::Abort(_) } | Notice::Decided { tx, .. }) => {
                self.settle(host, *tx);
                Ok(())
            }
            EventKind::Notified(Notice::Applied { entry } | Notice::Proposed { entry }) => {
                self.check_votes(host, &entry.change)
            }
            _ => Ok(()),
        }
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let decided = replicas.iter().flat_map(|replica| &replica.decisions);
        let decisions: BTreeMap<TxId, &Decision> = decided.map(|(tx, decision)| (*tx, decision)).collect();
        for replica in replicas {
            let agreed = replica.log.iter().filter(|entry| entry.change.is_agreed());
            let applied: BTreeSet<TxId> = agreed.map(|entry| entry.change.tx).collect();
            let wrong = |(tx, decision): (&TxId, &&Decision)| {
                (applied.contains(tx) != matches!(decision, Decision::Committed(_))).then_some((*tx, decision.name()))
            };
            if let Some((tx, decision)) = decisions.iter().find_map(wrong) {
                let has = if applied.contains(&tx) { "has done it" } else { "has not done it" };
                let message = format!("transaction {tx} is {decision}, and replica {} {has}", replica.host);
                return Err(Finding::new(message, &[replica.host]));
            }
            let is_there = |id: ReplicaId| replica.role != Role::Peer || replicas.iter().any(|other| other.id == id);
            if let Some(held) = replica.prepared.iter().find(|held| is_there(held.coordinator)) {
                let message = format!("replica {} is still prepared for transaction {}", replica.host, held.tx);
                return Err(Finding::new(message, &[replica.host]));
            }
        }
        Ok(())
    }
}

impl Atomicity {
    fn open(&mut self, host: u32, replica: ReplicaId, prepared: &[TxId], decided: &[TxId]) -> Result<(), Finding> {
        self.replicas.insert(host, replica);
        let promised = self.promised.entry(replica).or_default();
        promised.retain(|tx| !decided.contains(tx));
        match promised.iter().find(|tx| !prepared.contains(tx)) {
            Some(tx) => {
                let message =
                    format!("replica {host} voted to commit transaction {tx}, and restarted without a trace of it");
                Err(Finding::new(message, &[host]))
            }
            None => Ok(()),
        }
    }

    fn promise(&mut self, host: u32, tx: TxId) {
        let Some(replica) = self.replicas.get(&host) else { return };
        self.votes.entry(tx).or_default().insert(*replica);
        self.promised.entry(*replica).or_default().insert(tx);
    }

    fn settle(&mut self, host: u32, tx: TxId) {
        let promised = self.replicas.get(&host).and_then(|replica| self.promised.get_mut(replica));
        promised.map(|promised| promised.remove(&tx));
    }

    fn check_votes(&self, host: u32, change: &Change) -> Result<(), Finding> {
        let voted = |participant: &&ReplicaId| {
            change.participants.len() == 1
                || self.doubled.contains(*participant)
                || self.votes.get(&change.tx).is_some_and(|votes| votes.contains(participant))
        };
        match change.participants.iter().find(|participant| !voted(participant)) {
            Some(participant) => {
                let message = format!(
                    "replica {host} has change {} of transaction {}, for which participant {} never voted",
                    change.id,
                    change.tx,
                    participant.short()
                );
                Err(Finding::new(message, &[host]))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checker::samples::{altered, applied, change, event, id, insert, noticed, state};
    use crate::network::Fate;
    use kuzusync_core::two_phase::{Abort, AbortReason, Letter};

    const TX: TxId = TxId([7; 16]);

    fn replica(number: u8) -> ReplicaId {
        ReplicaId([number; 16])
    }

    fn opened(host: u32, prepared: &[TxId], decided: &[TxId]) -> Event {
        let (prepared, decided) = (prepared.to_vec(), decided.to_vec());
        let (replica, cursor, rejected) = (replica(host as u8), Default::default(), Vec::new());
        let epochs = Default::default();
        event(host, EventKind::Opened { replica, cursor, rejected, prepared, decided, epochs, has_new_base: false })
    }

    fn voted(host: u32) -> Event {
        noticed(host, Notice::Voted { tx: TX, vote: Vote::Commit })
    }

    fn sent_vote(host: u32) -> Event {
        let letter = Letter { from: replica(host as u8), to: replica(1), tx: TX, says: Says::Vote(Vote::Commit) };
        let frame: Arc<[u8]> = Message::TwoPhase(Box::new(letter)).encode().into();
        let kind =
            EventKind::Sent { to: 1, number: 1, bytes: 9, checksum: 1, frame, is_cut: false, fate: Fate::default() };
        event(host, kind)
    }

    fn agreed() -> Arc<Change> {
        altered(&change(id(1, 1), 1, &[], vec![insert(1, "a")]), |change| {
            change.tx = TX;
            change.participants = vec![replica(1), replica(2)];
        })
    }

    fn verdict(events: &[Event]) -> Result<(), Finding> {
        let mut checker = Atomicity::default();
        events.iter().try_for_each(|event| checker.observe(event))
    }

    #[test]
    fn a_commit_for_which_somebody_never_voted_is_found() {
        let both = [opened(1, &[], &[]), opened(2, &[], &[]), voted(1), voted(2), applied(1, &agreed())];
        assert_eq!(verdict(&both), Ok(()));
        let one = [opened(1, &[], &[]), opened(2, &[], &[]), voted(1), applied(1, &agreed())];
        assert!(verdict(&one).unwrap_err().message.contains("never voted"));
        let by_letter = [opened(1, &[], &[]), opened(2, &[], &[]), voted(1), sent_vote(2), applied(1, &agreed())];
        assert_eq!(verdict(&by_letter), Ok(()), "a letter is a vote");
        let doubled = Event { kind: EventKind::Doubled, ..voted(2) };
        let unseen = [opened(1, &[], &[]), opened(2, &[], &[]), voted(1), doubled, applied(1, &agreed())];
        assert_eq!(verdict(&unseen), Ok(()), "nobody was shown whether a clone's twin voted");
    }

    #[test]
    fn a_vote_that_is_forgotten_is_found() {
        let forgets = |vote: Event, prepared: &[TxId], decided: &[TxId]| {
            verdict(&[opened(2, &[], &[]), vote, opened(2, prepared, decided)]).is_err()
        };
        for vote in [voted(2), sent_vote(2)] {
            assert!(forgets(vote.clone(), &[], &[]));
            assert!(!forgets(vote.clone(), &[TX], &[]) && !forgets(vote, &[], &[TX]));
        }
        let abort = Abort { by: replica(1), reason: AbortReason::NoVote };
        let decided = noticed(2, Notice::Decided { tx: TX, decision: Decision::RolledBack(abort) });
        assert_eq!(verdict(&[opened(2, &[], &[]), voted(2), decided, opened(2, &[], &[])]), Ok(()));
    }

    #[test]
    fn what_is_done_by_some_alone_is_found_and_so_is_who_stays_prepared() {
        let committed = |host, log: &[Arc<Change>]| {
            let mut replica = state(host, log);
            replica.decisions.insert(TX, Decision::Committed(id(1, 1)));
            replica
        };
        let judge = |replicas: &[ReplicaState]| Atomicity::default().judge(replicas);
        assert_eq!(judge(&[committed(1, &[agreed()]), committed(2, &[agreed()])]), Ok(()));
        assert!(judge(&[committed(1, &[agreed()]), state(2, &[])]).is_err());
        let mut rolled_back = state(1, &[agreed()]);
        let abort = Abort { by: replica(1), reason: AbortReason::NoVote };
        rolled_back.decisions.insert(TX, Decision::RolledBack(abort));
        assert!(judge(&[rolled_back]).is_err(), "it is done though it is rolled back");
        let mut prepared = state(1, &[]);
        prepared.prepared.push(kuzusync_core::two_phase::Proposal {
            tx: TX,
            coordinator: replica(2),
            participants: vec![replica(1), replica(2)],
            depends_on: Vec::new(),
            seen: Default::default(),
            ops: Vec::new(),
        });
        assert!(judge(&[prepared.clone(), state(2, &[])]).is_err());
        assert_eq!(judge(&[prepared, state(3, &[])]), Ok(()), "without a main it waits for a coordinator that is gone");
    }
}

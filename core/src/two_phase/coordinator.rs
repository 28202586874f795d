//! The coordinator: whose votes are missing, and what to do next. It remembers nothing beyond its process: what it decides
//! is in the log, and what it had not decided when it died is rolled back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Abort, AbortReason, Vote};
use crate::clock::Instant;
use crate::id::{ReplicaId, TxId};

/// The transactions a replica coordinates and that are not decided.
#[derive(Clone, Debug, Default)]
pub struct Coordinator {
    open: BTreeMap<TxId, Open>,
}

#[derive(Clone, Debug)]
struct Open {
    stage: Stage,
    /// How often it was said already.
    attempt: u32,
}

/// Where an undecided transaction stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Votes are missing.
    Voting {
        /// Whose.
        missing: BTreeSet<ReplicaId>,
        /// When no more are waited for.
        until: Instant,
    },
    /// It will not commit; the main has to decide so.
    RollingBack(Abort),
}

/// What a coordinator does about a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, for now.
    Wait,
    /// Asks again for these votes.
    AskAgain(BTreeSet<ReplicaId>),
    /// Makes the change.
    Commit,
    /// Gives the transaction up.
    RollBack(Abort),
}

impl Coordinator {
    /// Begins to wait for the votes of others.
    pub fn begin(&mut self, tx: TxId, missing: BTreeSet<ReplicaId>, until: Instant) {
        self.open.insert(tx, Open { stage: Stage::Voting { missing, until }, attempt: 0 });
    }

    /// The transaction will not commit.
    pub fn roll_back(&mut self, tx: TxId, abort: Abort) {
        self.open.insert(tx, Open { stage: Stage::RollingBack(abort), attempt: 0 });
    }

    /// It is decided.
    pub fn close(&mut self, tx: TxId) {
        self.open.remove(&tx);
    }

    /// Where a transaction stands that is coordinated here and not decided.
    #[must_use]
    pub fn stage(&self, tx: TxId) -> Option<&Stage> {
        self.open.get(&tx).map(|open| &open.stage)
    }

    /// The next attempt to be heard, from 0.
    pub fn next_attempt(&mut self, tx: TxId) -> u32 {
        self.open.get_mut(&tx).map_or(0, |open| {
            open.attempt += 1;
            open.attempt - 1
        })
    }

    /// Takes a vote. One that comes twice, from a stranger or after the decision counts for nothing.
    pub fn vote(&mut self, tx: TxId, by: ReplicaId, vote: Vote) -> Next {
        let Some(Open { stage: Stage::Voting { missing, .. }, .. }) = self.open.get_mut(&tx) else {
            return Next::Wait;
        };
        match vote {
            _ if !missing.remove(&by) => Next::Wait,
            Vote::Abort(reason) => Next::RollBack(Abort { by, reason }),
            Vote::Commit if missing.is_empty() => Next::Commit,
            Vote::Commit => Next::Wait,
        }
    }

    /// Time has passed. A vote that is missing too long is a vote to abort.
    #[must_use]
    pub fn tend(&self, tx: TxId, now: Instant) -> Next {
        match self.stage(tx) {
            Some(Stage::Voting { missing, until }) => match missing.first() {
                Some(by) if *until <= now => Next::RollBack(Abort { by: *by, reason: AbortReason::NoVote }),
                _ => Next::AskAgain(missing.clone()),
            },
            Some(Stage::RollingBack(abort)) => Next::RollBack(abort.clone()),
            None => Next::Wait,
        }
    }

    /// The first transaction that is not decided.
    #[must_use]
    pub fn first(&self) -> Option<TxId> {
        self.open.keys().next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_phase::tests::{replica, tx};

    fn begun() -> Coordinator {
        let mut coordinator = Coordinator::default();
        coordinator.begin(tx(1), [replica(2), replica(3)].into(), Instant(100));
        coordinator
    }

    #[test]
    fn it_commits_with_the_last_vote_and_not_before() {
        let mut coordinator = begun();
        assert_eq!(coordinator.vote(tx(1), replica(2), Vote::Commit), Next::Wait);
        assert_eq!(coordinator.vote(tx(1), replica(2), Vote::Commit), Next::Wait, "a vote counts once");
        assert_eq!(coordinator.vote(tx(1), replica(9), Vote::Commit), Next::Wait, "a stranger has no vote");
        assert_eq!(coordinator.vote(tx(2), replica(3), Vote::Commit), Next::Wait, "that is another transaction");
        assert_eq!(coordinator.vote(tx(1), replica(3), Vote::Commit), Next::Commit);
    }

    #[test]
    fn one_vote_to_abort_is_enough_and_nothing_after_it_counts() {
        let mut coordinator = begun();
        let abort = Abort { by: replica(3), reason: AbortReason::DiskFull };
        let voted = coordinator.vote(tx(1), replica(3), Vote::Abort(AbortReason::DiskFull));
        assert_eq!(voted, Next::RollBack(abort.clone()));
        coordinator.roll_back(tx(1), abort.clone());
        assert_eq!(coordinator.vote(tx(1), replica(2), Vote::Commit), Next::Wait);
        assert_eq!(coordinator.tend(tx(1), Instant(500)), Next::RollBack(abort));
        coordinator.close(tx(1));
        assert_eq!((coordinator.tend(tx(1), Instant(500)), coordinator.first()), (Next::Wait, None));
    }

    #[test]
    fn a_vote_that_does_not_come_in_time_is_a_vote_to_abort() {
        let mut coordinator = begun();
        coordinator.vote(tx(1), replica(2), Vote::Commit);
        assert_eq!(coordinator.tend(tx(1), Instant(99)), Next::AskAgain([replica(3)].into()));
        let abort = Abort { by: replica(3), reason: AbortReason::NoVote };
        assert_eq!(coordinator.tend(tx(1), Instant(100)), Next::RollBack(abort));
    }
}

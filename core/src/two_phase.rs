//! Two-phase commit: what named replicas do together or not at all.
//!
//! A change is applied wherever it arrives, and concurrent changes merge. That keeps everything but three promises: that
//! several replicas take part or none does, that a value is unique beyond the key, and that a stock never falls below its
//! bound. For those a client names *participants*, and the replica it asks becomes the *coordinator*:
//!
//! 1. it makes a [`Proposal`] of the operations and asks every participant to *prepare*;
//! 2. each participant votes. Who votes *commit* has made the proposal durable before, so that it remembers its vote
//!    whatever happens to it;
//! 3. when all have voted commit, the operations become **one change of the coordinator, ranked at that moment**. One vote to
//!    abort, or one that does not come in time, rolls the transaction back.
//!
//! # Who decides
//!
//! **With a main a decision exists when the main has appended it, and the first record for a transaction wins.** The
//! coordinator's change commits by being numbered; until then it is in no view, not even the coordinator's. A
//! [`crate::ruling::Ruling::RolledBack`] with a number rolls back. Both are records of the replicated log, so they reach
//! who was away. A participant that hears of no decision within its *lease* takes over: it asks the main to roll back, and
//! learns from the log whether that came first. A change that the main rejects is rolled back too.
//!
//! **Without a main the coordinator's own log decides**, and nobody can take over: a participant in doubt asks until it is
//! told. What the coordinator does not know of it has rolled back (*presumed abort*), for it knows of every commit. But
//! **only the coordinator may presume that**: another replica, or a new one in its place, answers `unknown`.
//!
//! A coordinator that cannot make its own vote durable has begun nothing and decides nothing: what is decided outlives the
//! process that decided it. Its client hears of the vote to abort and may submit the same transaction again.
//!
//! # What a vote looks at
//!
//! A schema that lacks what the proposal names, a [constraint](crate::constraint) that it would break, another prepared
//! transaction over the same rows or for the same unique value, a disk that refuses the record: each is a reason to vote abort ([`AbortReason`]). Of two
//! transactions over the same rows the one with the smaller identity is not voted against but waits for the other to end:
//! so one of two that meet goes on, and nobody waits in a circle.
//! Readers and ordinary changes go on meanwhile; what they write concurrently merges by the rules. (Distributed Sync
//! Engine, cases D3.1 and D3.2.)

pub mod coordinator;
pub mod participant;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::{Change, Element, Op};
use crate::clock::Seen;
use crate::error::Error;
use crate::id::{ChangeId, ReplicaId, TxId};

/// How long a participant stays prepared before it takes over, unless configured otherwise.
pub const LEASE: Duration = Duration::from_secs(10);

/// How long a coordinator waits for votes: less than a lease, so that it mostly decides itself.
pub const VOTES_WITHIN: Duration = Duration::from_secs(5);

/// What participants vote on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The transaction.
    pub tx: TxId,
    /// Whose change it will be.
    pub coordinator: ReplicaId,
    /// Who votes, the coordinator among them, in ascending order.
    pub participants: Vec<ReplicaId>,
    /// Further changes that must be applied before it, as its client asked.
    pub depends_on: Vec<ChangeId>,
    /// What the coordinator had applied when it wrote the operations. A participant votes once it has too.
    pub seen: Seen,
    /// What it does, in order.
    pub ops: Vec<Op>,
}

impl Proposal {
    /// What a receiver can judge of a proposal by itself.
    ///
    /// # Errors
    /// [`Error::MalformedProposal`], naming the transaction and what is wrong with it.
    pub fn check(&self) -> Result<(), Error> {
        let malformed = |problem: &str| Err(Error::MalformedProposal { tx: self.tx, problem: problem.to_owned() });
        if !are_participants(&self.participants, self.coordinator) {
            return malformed("its participants are not a set with its coordinator in it");
        }
        if self.ops.is_empty() || self.ops.len() > Change::OPS_MAX {
            return malformed("a proposal has between 1 and 100,000 operations");
        }
        if self.ops.iter().any(|op| matches!(op, Op::Schema(_))) {
            return malformed("schema changes are not voted on");
        }
        Ok(())
    }

    /// Whether two transactions touch the same rows, so that only one of them may be prepared at a time. What an edge
    /// connects is touched by the edge, but two edges of one node do not touch each other.
    #[must_use]
    pub fn overlaps(&self, other: &Proposal) -> bool {
        let (one, two) = (Footprint::of(&self.ops), Footprint::of(&other.ops));
        let meets = |written: &Footprint, touched: &Footprint| {
            written.written.iter().any(|row| touched.written.contains(row) || touched.connected.contains(row))
        };
        meets(&one, &two) || meets(&two, &one)
    }
}

/// Whether they are a proposal's participants: in ascending order, each once, `coordinator` among them.
#[must_use]
pub fn are_participants(participants: &[ReplicaId], coordinator: ReplicaId) -> bool {
    participants.is_sorted_by(|one, next| one < next) && participants.contains(&coordinator)
}

/// The rows that operations touch.
struct Footprint {
    written: BTreeSet<Element>,
    connected: BTreeSet<Element>,
}

impl Footprint {
    fn of(ops: &[Op]) -> Footprint {
        let written: BTreeSet<Element> = ops.iter().filter_map(Op::element).cloned().collect();
        let ends = |element: &Element| match element {
            Element::Edge(edge) => vec![Element::Node(edge.from.clone()), Element::Node(edge.to.clone())],
            Element::Node(_) => Vec::new(),
        };
        let connected = written.iter().flat_map(ends).collect();
        Footprint { written, connected }
    }
}

/// What a participant says to a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// It is prepared, durably, and will do what is decided.
    Commit,
    /// It is not prepared.
    Abort(AbortReason),
}

/// Why a transaction is rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortReason {
    /// The disk refused the record without which nobody may vote commit.
    DiskFull,
    /// The operations would break a constraint.
    ConstraintViolated {
        /// Which, and how.
        problem: String,
    },
    /// Another transaction is prepared over the same rows, or for the same unique value.
    Overlap {
        /// That transaction.
        with: TxId,
    },
    /// The operations name what the participant's schema does not have.
    SchemaMissing {
        /// What.
        problem: String,
    },
    /// The participant is not connected.
    ParticipantOffline,
    /// The participant did not vote in time.
    NoVote,
    /// The coordinator died before it decided.
    CoordinatorRestarted,
    /// A participant heard of no decision for the length of its lease.
    LeaseExpired,
    /// The main does not append the coordinator's change.
    Rejected {
        /// Why.
        problem: String,
    },
}

impl AbortReason {
    /// The reason's name in documents and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            AbortReason::DiskFull => "disk_full",
            AbortReason::ConstraintViolated { .. } => "constraint_violated",
            AbortReason::Overlap { .. } => "overlap",
            AbortReason::SchemaMissing { .. } => "schema_missing",
            AbortReason::ParticipantOffline => "participant_offline",
            AbortReason::NoVote => "no_vote",
            AbortReason::CoordinatorRestarted => "coordinator_restarted",
            AbortReason::LeaseExpired => "lease_expired",
            AbortReason::Rejected { .. } => "rejected",
        }
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AbortReason::ConstraintViolated { problem }
            | AbortReason::SchemaMissing { problem }
            | AbortReason::Rejected { problem } => write!(f, "{}: {problem}", self.name()),
            AbortReason::Overlap { with } => write!(f, "overlap with transaction {}", with.short()),
            _ => f.write_str(self.name()),
        }
    }
}

/// Why a transaction is rolled back, and who is the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Who voted abort, or did not vote, or took over.
    pub by: ReplicaId,
    /// Why.
    pub reason: AbortReason,
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (replica {})", self.reason, self.by.short())
    }
}

/// What becomes of a transaction, everywhere and for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// All of it is done, by this change.
    Committed(ChangeId),
    /// None of it is.
    RolledBack(Abort),
}

impl Decision {
    /// The decision's name in documents and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Decision::Committed(_) => "committed",
            Decision::RolledBack(_) => "rolled_back",
        }
    }
}

/// What one replica says to another about a transaction. With a main, letters between edges go through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Who says it.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// About which transaction.
    pub tx: TxId,
    /// What.
    pub says: Says,
}

/// See [`Letter`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The coordinator asks for a vote.
    Prepare(Box<Proposal>),
    /// A participant votes.
    Vote(Vote),
    /// The main is asked to roll back, unless it has decided already.
    RollBack(Abort),
    /// Without a main: the transaction is rolled back.
    RolledBack(Abort),
    /// Without a main: a participant asks what was decided.
    Inquiry {
        /// Who knows.
        coordinator: ReplicaId,
    },
    /// The sender is not the coordinator and knows of no decision.
    Unknown,
}

impl Letter {
    /// What a receiver can judge of a letter by itself.
    ///
    /// # Errors
    /// [`Error::MalformedProposal`].
    pub fn check(&self) -> Result<(), Error> {
        let Says::Prepare(proposal) = &self.says else { return Ok(()) };
        proposal.check()?;
        if proposal.tx != self.tx || proposal.coordinator != self.from || !proposal.participants.contains(&self.to) {
            let problem = "its letter is about another transaction, or from or to somebody else".to_owned();
            return Err(Error::MalformedProposal { tx: self.tx, problem });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::change::{Cells, Edge, Node};
    use crate::id::TableId;
    use crate::value::Value;

    pub fn replica(number: u8) -> ReplicaId {
        ReplicaId([number; 16])
    }

    pub fn tx(number: u8) -> TxId {
        TxId([number; 16])
    }

    fn node(key: i64) -> Node {
        Node { table: TableId([1; 16]), key: Value::from(key) }
    }

    pub fn update(key: i64) -> Op {
        Op::Update { element: Element::Node(node(key)), cells: Cells::new() }
    }

    fn connect(from: i64, to: i64) -> Op {
        let (from, to) = (node(from), node(to));
        let edge = Edge { table: TableId([2; 16]), from, to, discriminator: String::new() };
        Op::Insert { element: Element::from(edge), cells: Cells::new() }
    }

    /// A proposal of replica 1 to replicas 1, 2 and 3.
    pub fn proposal(number: u8, ops: Vec<Op>) -> Proposal {
        Proposal {
            tx: tx(number),
            coordinator: replica(1),
            participants: vec![replica(1), replica(2), replica(3)],
            depends_on: Vec::new(),
            seen: Seen::default(),
            ops,
        }
    }

    #[test]
    fn transactions_overlap_when_one_writes_what_the_other_touches() {
        let overlaps = |one: Op, other: Op| proposal(1, vec![one]).overlaps(&proposal(2, vec![other]));
        assert!(overlaps(update(1), update(1)));
        assert!(!overlaps(update(1), update(2)));
        assert!(overlaps(update(1), connect(1, 2)) && overlaps(connect(2, 1), update(1)), "an edge needs its ends");
        assert!(!overlaps(connect(1, 2), connect(1, 3)), "two edges share an end and nothing else");
        assert!(overlaps(connect(1, 2), connect(1, 2)));
    }

    #[test]
    fn a_proposal_no_coordinator_makes_is_refused() {
        let good = proposal(1, vec![update(1)]);
        assert_eq!(good.check(), Ok(()));
        let bad = [
            Proposal { coordinator: replica(9), ..good.clone() },
            Proposal { participants: vec![replica(2), replica(1)], ..good.clone() },
            Proposal { participants: vec![replica(1), replica(1)], ..good.clone() },
            Proposal { ops: Vec::new(), ..good.clone() },
        ];
        for proposal in bad {
            assert!(matches!(proposal.check(), Err(Error::MalformedProposal { .. })), "{proposal:?}");
        }
        let letter = |from, to, about| Letter { from, to, tx: about, says: Says::Prepare(Box::new(good.clone())) };
        assert_eq!(letter(replica(1), replica(2), tx(1)).check(), Ok(()));
        assert!(letter(replica(2), replica(1), tx(1)).check().is_err(), "only its coordinator proposes");
        assert!(letter(replica(1), replica(9), tx(1)).check().is_err(), "only participants are asked");
        assert!(letter(replica(1), replica(2), tx(2)).check().is_err());
    }
}

//! Rulings: what the main decides beyond giving changes their numbers. Each has a number of its own in the main's log.
//!
//! * An **epoch** begins when replicas have disconnected: what was written while connected beats what was written while
//!   disconnected, whatever the wall clocks say. (Distributed Sync Engine, case D4.2.)
//! * A **rejection** stands in for a change that the main does not apply: in cursors and dependencies it counts as the
//!   change, and every view is computed without it. Nothing is ever undone by an inverse statement. (Minimal Sync Guide,
//!   cases C4 and C7.)
//! * A transaction between replicas is **rolled back**. (Distributed Sync Engine, case D3.2.)
//! * A **compaction** lets everybody forget the log up to a number: see [`crate::compaction`]. (Distributed Sync Engine, case
//!   D5.2.)

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::Element;
use crate::clock::Lsn;
use crate::id::{ChangeId, Digest, TxId};
use crate::two_phase::Abort;

/// A decision of the main's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// A new link epoch.
    Epoch(u64),
    /// A change is not applied.
    Rejection(Box<Rejection>),
    /// A transaction that replicas were to vote on is not done.
    RolledBack(Box<RolledBack>),
    /// The numbers up to this one are forgotten.
    Compaction(Lsn),
}

/// A transaction that is rolled back, whatever record of it comes later: see [`crate::two_phase`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// Which.
    pub tx: TxId,
    /// Why, and who is the reason.
    pub abort: Abort,
}

/// A change that the main does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which.
    pub change: ChangeId,
    /// The transaction it carried out.
    pub tx: TxId,
    /// Its digest, which its author's next change carries.
    pub digest: Digest,
    /// Why.
    pub reason: Reason,
}

/// Why a change was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its author's clock is too far ahead. The author writes the same again with a clock set to the main's.
    Drift {
        /// The main's time.
        main_ms: i64,
    },
    /// It names what a change would have made that its author has to write again. So it is written again after it.
    Follows {
        /// The rejected change.
        rejected: ChangeId,
        /// The main's time.
        main_ms: i64,
    },
    /// In strict mode: somebody else had written to a row since its author saw it.
    VersionMismatch {
        /// The row.
        element: Element,
        /// The version the author saw.
        expected: Lsn,
        /// The version there is.
        found: Lsn,
    },
    /// Another replica had sent the same transaction.
    Duplicate {
        /// The change that carries it out.
        of: ChangeId,
    },
    /// It names what cannot be, or what a rejected change would have made.
    Invalid {
        /// What is wrong with it.
        problem: String,
    },
    /// Its transaction had been rolled back.
    RolledBack,
    /// It would break a constraint, or it writes without a vote to a column that has one.
    Constraint {
        /// Which, and how.
        problem: String,
    },
    /// Its author had not seen what was compacted since. It writes the same again, having seen it.
    Compacted {
        /// The last number that was.
        cut: Lsn,
    },
    /// It would bring back a table or a column of which nothing is left.
    Purged {
        /// Which.
        problem: String,
    },
}

impl Reason {
    /// The reason's name in documents and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Reason::Drift { .. } => "drift",
            Reason::Follows { .. } => "follows",
            Reason::VersionMismatch { .. } => "VersionMismatch",
            Reason::Duplicate { .. } => "duplicate",
            Reason::Invalid { .. } => "invalid",
            Reason::Compacted { .. } => "compacted",
            Reason::Purged { .. } => "purged",
            Reason::RolledBack => "rolled_back",
            Reason::Constraint { .. } => "constraint",
        }
    }

    /// Whether the author writes the same again by itself.
    #[must_use]
    pub fn is_written_anew(&self) -> bool {
        matches!(self, Reason::Drift { .. } | Reason::Follows { .. } | Reason::Compacted { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Drift { main_ms } => write!(f, "its author's clock is too far ahead of the main's ({main_ms} ms)"),
            Reason::Follows { rejected, .. } => write!(f, "it names what rejected change {rejected} would have made"),
            Reason::VersionMismatch { expected, found, .. } => {
                write!(f, "VersionMismatch: its author saw version {expected} of a row, there is version {found}")
            }
            Reason::Duplicate { of } => write!(f, "its transaction was carried out by change {of}"),
            Reason::Compacted { cut } => {
                write!(f, "its author had not seen the numbers up to {cut}, which are forgotten")
            }
            Reason::Invalid { problem } | Reason::Constraint { problem } | Reason::Purged { problem } => {
                f.write_str(problem)
            }
            Reason::RolledBack => f.write_str("its transaction was rolled back before it came"),
        }
    }
}

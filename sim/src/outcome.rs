//! How a run ended.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::{Lsn, VectorClock};
use kuzusync_core::conflict::Loss;
use kuzusync_core::conflict::schema::SchemaLoss;
use kuzusync_core::id::{Digest, ReplicaId, TxId};
use kuzusync_core::message::{Cursor, Entry, Role};
use kuzusync_core::ruling::Rejection;
use kuzusync_core::schema::shape::Shape;
use kuzusync_core::snapshot::Purged;
use kuzusync_core::store::Unmaterialised;
use kuzusync_core::store::text_index::TextIndexes;
use kuzusync_core::two_phase::{Decision, Proposal};
use kuzusync_core::view::View;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::Event;
use crate::options::Options;
use crate::seed::Seed;

/// What must hold in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// All replicas end equal.
    Convergence,
    /// They end as the naive model says.
    Oracle,
    /// Every concurrent loss is told, and nothing else.
    Audit,
    /// Causes before effects.
    Causality,
    /// Nothing twice.
    Idempotence,
    /// Epochs come from what was applied.
    Epochs,
    /// Known edges go with their node.
    Deletion,
    /// The main's numbers are one sequence.
    Numbering,
    /// Nothing accepted is lost.
    Durability,
    /// No edge without its ends.
    ReferentialIntegrity,
    /// Each store holds its replica's view.
    StoreAgreement,
    /// A healed cluster comes to rest.
    Liveness,
    /// All that replicas vote on is done by all or by none.
    Atomicity,
    /// One decision for a transaction.
    OneDecision,
    /// Nobody stays prepared for ever.
    Lease,
    /// What a column promises holds for what was voted on.
    Constraints,
    /// What a scripted scenario checks.
    Scenario,
}

impl Property {
    /// Every property a generated run is checked for.
    pub const ALL: [Property; 16] = [
        Property::Convergence,
        Property::Oracle,
        Property::Audit,
        Property::Causality,
        Property::Idempotence,
        Property::Epochs,
        Property::Deletion,
        Property::Numbering,
        Property::Durability,
        Property::ReferentialIntegrity,
        Property::StoreAgreement,
        Property::Liveness,
        Property::Atomicity,
        Property::OneDecision,
        Property::Lease,
        Property::Constraints,
    ];

    /// The property's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Property::Convergence => "convergence",
            Property::Oracle => "oracle",
            Property::Audit => "audit",
            Property::Causality => "causality",
            Property::Idempotence => "idempotence",
            Property::Epochs => "epochs",
            Property::Deletion => "deletion",
            Property::Numbering => "numbering",
            Property::Durability => "durability",
            Property::ReferentialIntegrity => "referential_integrity",
            Property::StoreAgreement => "store_agreement",
            Property::Liveness => "liveness",
            Property::Atomicity => "atomicity",
            Property::OneDecision => "one_decision",
            Property::Lease => "lease",
            Property::Constraints => "constraints",
            Property::Scenario => "scenario",
        }
    }

    /// The property as a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Property::Convergence => {
                "After healing, all replicas hold the same graph, schema, cursor, rejections and audit."
            }
            Property::Oracle => "Every graph is what the naive model makes of the changes it comes from.",
            Property::Audit => "Every audit names exactly the concurrent losses, each with its greatest winner.",
            Property::Causality => "No change is applied before its causes, and none is stamped before them.",
            Property::Idempotence => "No replica applies a change twice, and no transaction becomes two changes.",
            Property::Epochs => {
                "A change carries no epoch that its author had not applied, and every disconnection begins one."
            }
            Property::Deletion => "Whoever deletes a node deletes every edge of it that it knew.",
            Property::Numbering => "The main's numbers have no gaps, survive restarts and mean the same everywhere.",
            Property::Durability => {
                "What a client was told is done survives crashes and reaches every replica, or its author hears why not."
            }
            Property::ReferentialIntegrity => "No view ever shows an edge without both its ends.",
            Property::StoreAgreement => {
                "Each store holds exactly the view of its replica, but for what its database refuses, and never has to be rebuilt."
            }
            Property::Liveness => "Within the stated time after healing, nothing is under way any more.",
            Property::Atomicity => {
                "What replicas vote on is done once by all or by none, only if all voted for it, and every vote is remembered."
            }
            Property::OneDecision => "A transaction is decided once, and nobody ever hears of another decision.",
            Property::Lease => "With a main nobody stays prepared longer than a lease, once it can reach the main.",
            Property::Constraints => {
                "Transactions keep the constraints that whoever voted for them knew of, and nothing else writes to those columns."
            }
            Property::Scenario => "Every clause of the documented case holds.",
        }
    }
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// When it was noticed, in simulated microseconds.
    pub at_us: u64,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The replicas concerned.
    pub hosts: Vec<u32>,
    /// Particulars, a line each.
    pub details: Vec<String>,
}

/// Why a run failed. The order is that in which the exit code is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum Failure {
    /// The harness itself failed, and nothing is known of the run.
    Harness {
        /// How.
        message: String,
    },
    /// Two runs of one seed differ.
    Nondeterminism {
        /// How.
        message: String,
    },
    /// A panic, or the death of the process.
    Crash {
        /// Its message.
        message: String,
    },
    /// An `always` property, or one judged at the end.
    Safety(Violation),
    /// The cluster did not come to rest.
    Liveness(Violation),
    /// The run took too many turns or too much real time, and was stopped.
    TimeLimit {
        /// Which of the two, and how much.
        message: String,
    },
}

impl Failure {
    /// The class's name.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Failure::Harness { .. } => "harness",
            Failure::Nondeterminism { .. } => "nondeterminism",
            Failure::Crash { .. } => "crash",
            Failure::Safety(_) => "safety",
            Failure::Liveness(_) => "liveness",
            Failure::TimeLimit { .. } => "time_limit",
        }
    }

    /// The exit code of a command that ends with it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Safety(_) => 1,
            Failure::Liveness(_) => 3,
            Failure::Crash { .. } => 4,
            Failure::Nondeterminism { .. } => 5,
            Failure::TimeLimit { .. } => 7,
            Failure::Harness { .. } => HARNESS_FAILED,
        }
    }

    /// The property it violates, if it is a violation.
    #[must_use]
    pub fn property(&self) -> Option<Property> {
        self.violation().map(|violation| violation.property)
    }

    /// The violation, if it is one.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Failure::Safety(violation) | Failure::Liveness(violation) => Some(violation),
            Failure::Harness { .. }
            | Failure::Nondeterminism { .. }
            | Failure::Crash { .. }
            | Failure::TimeLimit { .. } => None,
        }
    }

    /// What is wrong, in one sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Failure::Harness { message }
            | Failure::Nondeterminism { message }
            | Failure::Crash { message }
            | Failure::TimeLimit { message } => message,
            Failure::Safety(violation) | Failure::Liveness(violation) => &violation.message,
        }
    }

    /// Equal for failures that are likely one bug: class, property and message without its numbers.
    #[must_use]
    pub fn signature(&self) -> String {
        let site: String = self
            .message()
            .split_whitespace()
            .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
            .collect::<Vec<_>>()
            .join(" ");
        let property = self.property().map_or("", Property::name);
        format!("{}/{property}/{}", self.class(), site.chars().take(80).collect::<String>())
    }
}

/// The exit code of a failure in the harness itself, beside which nothing else that it says can be relied on.
pub const HARNESS_FAILED: u8 = 8;

/// The exit code that counts among several: the first in the order 8, 5, 4, 1, 3, 7, 6; 0 if there is none of them.
#[must_use]
pub fn gravest(codes: impl IntoIterator<Item = u8>) -> u8 {
    const ORDER: [u8; 7] = [HARNESS_FAILED, 5, 4, 1, 3, 7, 6];
    let place = |code: &u8| ORDER.iter().position(|other| other == code);
    codes.into_iter().filter(|code| ORDER.contains(code)).min_by_key(place).unwrap_or(0)
}

/// A clause of a documented case, as a scenario found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The clause.
    pub clause: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// What a replica ended with.
#[derive(Clone, Debug)]
pub struct ReplicaState {
    /// Its host.
    pub host: u32,
    /// Who it is.
    pub id: ReplicaId,
    /// Its part.
    pub role: Role,
    /// The graph as it shows it.
    pub view: View,
    /// What each of its stores holds.
    pub stores: BTreeMap<String, View>,
    /// What each of them does not hold of the schema because its database refused it; a store that holds all is not here.
    pub held_back: BTreeMap<String, Vec<Unmaterialised>>,
    /// The full-text indexes that each of them has built.
    pub text_indexes: BTreeMap<String, TextIndexes>,
    /// What it holds.
    pub cursor: Cursor,
    /// Every concurrent loss.
    pub audit: Vec<Loss>,
    /// Every loss of a schema claim.
    pub schema_audit: Vec<SchemaLoss>,
    /// Unacknowledged operations.
    pub queue_operations: usize,
    /// The last number that it may have forgotten; its log is told with what it has.
    pub cut: Lsn,
    /// The dropped tables and columns of which nothing is left.
    pub purged: BTreeSet<Purged>,
    /// Edges that were added and not deleted, and are hidden because an end is.
    pub hidden_edges: usize,
    /// The schema as people read it, with what is built in no store.
    pub shape: Shape,
    /// Schema operations known.
    pub schema_operations: u64,
    /// The digest of the logical schema.
    pub schema_digest: Digest,
    /// Every applied change with its number, in the order it applied them.
    pub log: Vec<Entry>,
    /// What the main rejected, in the main's order.
    pub rejections: Vec<Rejection>,
    /// The changes that cannot be applied.
    pub failed: Vec<ChangeId>,
    /// What it has voted to commit and knows no decision of.
    pub prepared: Vec<Proposal>,
    /// What it knows to be decided of what replicas voted on.
    pub decisions: BTreeMap<TxId, Decision>,
    /// Its vector clock.
    pub clock: VectorClock,
}

impl ReplicaState {
    /// How many concurrent losses it has recorded, of rows and of the schema.
    #[must_use]
    pub fn losses(&self) -> usize {
        self.audit.len() + self.schema_audit.len()
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: Seed,
    /// Its options.
    pub options: Options,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The digest of its history.
    pub digest: Digest,
    /// Its history.
    pub events: Vec<Event>,
    /// What the replicas ended with; empty if the run did not get there.
    pub replicas: Vec<ReplicaState>,
    /// The clauses a scenario checked.
    pub checks: Vec<Check>,
    /// Simulated time.
    pub simulated_us: u64,
}

impl Outcome {
    /// Equal for runs that ended with the same graph everywhere.
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        let digests: Vec<_> = self.replicas.iter().map(|replica| (replica.host, replica.view.digest())).collect();
        Digest::of_value(&digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_class_decides_the_exit_code() {
        assert_eq!(gravest([]), 0);
        assert_eq!(gravest([0, 6]), 6);
        assert_eq!(gravest([6, 7]), 7);
        assert_eq!(gravest([7, 6, 3, 1]), 1);
        assert_eq!(gravest([1, 4]), 4);
        assert_eq!(gravest([4, 5, 0]), 5);
    }
}

//! Bugs that somebody really made, planted to show that the harness finds them.
//!
//! Each is one line at its place and one variant here. Without the feature `planted-bugs` the lines compile to nothing.
//! One bug at a time is chosen for the current thread, since a simulation runs on one thread.
//!
//! Two bugs cannot be planted. The order of a hash map is the same in every run of a seed, because madsim draws the keys of
//! every map from the seed. And no digest that leaves values out would hide anything: what is judged are whole graphs.

use std::cell::Cell;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A register keeps the write that arrived last instead of the greatest. Silent while everybody receives everything in
    /// the order of writing.
    ArrivalOrder,
    /// Timestamps are compared as the text of an instant, where `10:00:00.5Z` is before `10:00:00Z`.
    DatesAsText,
    /// Only the main stamps the authority of a table, so its write also beats what was written after seeing it.
    MainAlwaysWins,
    /// A register keeps only the winner under the policy of the moment, so that a change of policy comes too late for
    /// some replicas.
    OneMask,
    /// Epochs are merged when a change is received instead of when it is applied, so that a change that waits lends its
    /// authority to what is written meanwhile.
    EpochOnReceipt,
    /// An epoch begins at the start of its window, and who disconnects later within it begins none.
    EpochDropped,
    /// What has no number yet is written into the registers, so that a rejection cannot bring back what it displaced.
    UnnumberedInRegisters,
    /// An own change that comes back with its number is applied on top of itself.
    OwnPatchTwice,
    /// When an own update is undone to be applied again in its place, its node is deleted.
    RollbackDeletesNode,
    /// The delete of a node leaves its edges to be hidden, so that they come back when the node is created again.
    NodeDeleteKeepsEdges,
    /// Whoever receives the delete of a node deletes the edges it has there, also those its author had not seen.
    EdgesRemovedOnArrival,
    /// A counter is set to the sum instead of keeping the increments.
    CounterAsValue,
    /// A change is applied as soon as it is its author's next, whatever its author had seen.
    NoGapCheck,
    /// A clock takes no notice of the stamps it receives.
    ClockNotMerged,
    /// A change of another replica is also logged as an own one.
    RemoteLoggedAgain,
    /// A transaction is known from its first row on, so the others are taken for duplicates.
    DuplicateCheckPerRow,
    /// A transaction that is submitted again is carried out again.
    NoDuplicateCheck,
    /// What was sent is taken for received.
    QueueEmptiedEarly,
    /// What was on its way when a peer comes back is taken for received.
    QueueLostMidFlush,
    /// Messages leave before what they rely on is durable.
    TransmitBeforePersist,
    /// The main's numbers are not durable.
    LsnInMemory,
    /// A schema operation is applied as soon as it is its author's next, whatever it depends on.
    DdlIgnoresDependsOn,
    /// Whoever creates a table again takes its name over, whichever was later.
    CreateOverwrites,
    /// A column keeps the type with which it arrived first.
    TypeByArrival,
    /// A schema operation that had to wait for its causes counts twice.
    VersionTwice,
    /// A graph store that failed is believed to hold what it was told.
    StoreDoubtIgnored,
    /// A replica goes on when the disk refuses a record.
    PersistFailureIgnored,
    /// A session is with an address, so that a replica that comes back empty is believed to hold what the one before held.
    SessionOutlivesReplica,
    /// What the main rules is not durable, so that its number goes to something else after a restart.
    RulingInMemory,
    /// A change that was rejected for its stamp is not written anew.
    RejectedForgotten,
    /// The main does not notice that two replicas carried out one transaction.
    NoDuplicateCheckAtMain,
    /// What was sent is never sent again.
    NoResend,
    /// What the replica sent that was at an address before is taken for the words of the one that is there now.
    LateMessageBelieved,
    /// Nobody is sent anything new before everybody has acknowledged what came before, so one host that is away holds up all.
    WaitsForAll,
    /// A participant votes to commit, and nothing durable tells of it before the decision.
    VoteBeforeDurable,
    /// A participant that hears of no decision commits.
    CommitsOnTimeout,
    /// What is prepared is not read back when a replica starts.
    PreparedForgotten,
    /// The chunks of a snapshot are taken in without a look at their digests.
    SnapshotUnchecked,
    /// With a row its tombstone goes too, so that an older write that comes later brings it back.
    TombstonePurged,
    /// The main takes what was written before the cut by who had not seen all up to there, so a late insert brings back what
    /// was purged.
    CompactedAccepted,
    /// The hash of a change-log file is not compared, so a damaged file is taken in.
    FileUnchecked,
    /// A row that was imported is said to be the importer's own.
    SourceRewritten,
    /// How far a client's files are applied passes a transaction that failed.
    LastLsnPassesFailure,
    /// A column that a file needs gets the type of one of its values.
    TypeOfOneValue,
    /// A received node is not shown. No history hides it, so a gate that does not report it is broken.
    Canary,
}

impl Bug {
    /// Every bug that generated histories have to find, the canary last.
    pub const ALL: [Bug; 41] = [
        Bug::ArrivalOrder,
        Bug::DatesAsText,
        Bug::MainAlwaysWins,
        Bug::OneMask,
        Bug::EpochOnReceipt,
        Bug::EpochDropped,
        Bug::UnnumberedInRegisters,
        Bug::OwnPatchTwice,
        Bug::RollbackDeletesNode,
        Bug::NodeDeleteKeepsEdges,
        Bug::EdgesRemovedOnArrival,
        Bug::CounterAsValue,
        Bug::NoGapCheck,
        Bug::ClockNotMerged,
        Bug::RemoteLoggedAgain,
        Bug::DuplicateCheckPerRow,
        Bug::NoDuplicateCheck,
        Bug::QueueEmptiedEarly,
        Bug::QueueLostMidFlush,
        Bug::TransmitBeforePersist,
        Bug::LsnInMemory,
        Bug::DdlIgnoresDependsOn,
        Bug::CreateOverwrites,
        Bug::TypeByArrival,
        Bug::VersionTwice,
        Bug::StoreDoubtIgnored,
        Bug::PersistFailureIgnored,
        Bug::SessionOutlivesReplica,
        Bug::RulingInMemory,
        Bug::RejectedForgotten,
        Bug::NoDuplicateCheckAtMain,
        Bug::NoResend,
        Bug::LateMessageBelieved,
        Bug::WaitsForAll,
        Bug::VoteBeforeDurable,
        Bug::CommitsOnTimeout,
        Bug::PreparedForgotten,
        Bug::SnapshotUnchecked,
        Bug::TombstonePurged,
        Bug::CompactedAccepted,
        Bug::Canary,
    ];

    /// The bugs in what is done with files. No generated history has files; a scenario finds each.
    pub const OF_FILES: [Bug; 4] =
        [Bug::FileUnchecked, Bug::SourceRewritten, Bug::LastLsnPassesFailure, Bug::TypeOfOneValue];

    /// The bug's name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bug::ArrivalOrder => "arrival-order",
            Bug::DatesAsText => "dates-as-text",
            Bug::MainAlwaysWins => "main-always-wins",
            Bug::OneMask => "one-mask",
            Bug::EpochOnReceipt => "epoch-on-receipt",
            Bug::EpochDropped => "epoch-dropped",
            Bug::UnnumberedInRegisters => "unnumbered-in-registers",
            Bug::OwnPatchTwice => "own-patch-twice",
            Bug::RollbackDeletesNode => "rollback-deletes-node",
            Bug::NodeDeleteKeepsEdges => "node-delete-keeps-edges",
            Bug::EdgesRemovedOnArrival => "edges-removed-on-arrival",
            Bug::CounterAsValue => "counter-as-value",
            Bug::NoGapCheck => "no-gap-check",
            Bug::ClockNotMerged => "clock-not-merged",
            Bug::RemoteLoggedAgain => "remote-logged-again",
            Bug::DuplicateCheckPerRow => "duplicate-check-per-row",
            Bug::NoDuplicateCheck => "no-duplicate-check",
            Bug::QueueEmptiedEarly => "queue-emptied-early",
            Bug::QueueLostMidFlush => "queue-lost-mid-flush",
            Bug::TransmitBeforePersist => "transmit-before-persist",
            Bug::LsnInMemory => "lsn-in-memory",
            Bug::DdlIgnoresDependsOn => "ddl-ignores-depends-on",
            Bug::CreateOverwrites => "create-overwrites",
            Bug::TypeByArrival => "type-by-arrival",
            Bug::VersionTwice => "version-twice",
            Bug::StoreDoubtIgnored => "store-doubt-ignored",
            Bug::PersistFailureIgnored => "persist-failure-ignored",
            Bug::SessionOutlivesReplica => "session-outlives-replica",
            Bug::RulingInMemory => "ruling-in-memory",
            Bug::RejectedForgotten => "rejected-forgotten",
            Bug::NoDuplicateCheckAtMain => "no-duplicate-check-at-main",
            Bug::NoResend => "no-resend",
            Bug::LateMessageBelieved => "late-message-believed",
            Bug::WaitsForAll => "waits-for-all",
            Bug::VoteBeforeDurable => "vote-before-durable",
            Bug::CommitsOnTimeout => "commits-on-timeout",
            Bug::PreparedForgotten => "prepared-forgotten",
            Bug::SnapshotUnchecked => "snapshot-unchecked",
            Bug::TombstonePurged => "tombstone-purged",
            Bug::CompactedAccepted => "compacted-accepted",
            Bug::FileUnchecked => "file-unchecked",
            Bug::SourceRewritten => "source-rewritten",
            Bug::LastLsnPassesFailure => "last-lsn-passes-failure",
            Bug::TypeOfOneValue => "type-of-one-value",
            Bug::Canary => "canary",
        }
    }

    /// Where it was seen: a document and the place in it, or the design in which it was found.
    #[must_use]
    pub fn origin(self) -> &'static str {
        match self {
            Bug::ArrivalOrder => "Minimal Sync Guide, applyPatchLocally",
            Bug::DatesAsText => "Sync Policy, last write wins by created_at",
            Bug::MainAlwaysWins => "Sync Policy, prefer-main",
            Bug::OneMask => "design of the policies",
            Bug::EpochOnReceipt => "design of the epochs",
            Bug::EpochDropped => "design of the epochs",
            Bug::UnnumberedInRegisters => "Minimal Sync Guide, optimistic updates",
            Bug::OwnPatchTwice => "Minimal Sync Guide, reconciliation",
            Bug::RollbackDeletesNode => "Minimal Sync Guide, rollback",
            Bug::NodeDeleteKeepsEdges => "design of the state",
            Bug::EdgesRemovedOnArrival => "Minimal Sync Guide, DETACH DELETE",
            Bug::CounterAsValue => "Distributed Sync Engine, semantic merge",
            Bug::NoGapCheck => "Minimal Sync Guide, applyPatch",
            Bug::ClockNotMerged => "Sync Policy, created_at of the local clock",
            Bug::RemoteLoggedAgain => "Sync Policy, triggers on imported rows",
            Bug::DuplicateCheckPerRow => "Sync Policy, import",
            Bug::NoDuplicateCheck => "Minimal Sync Guide, retries",
            Bug::QueueEmptiedEarly => "Distributed Sync Engine, flushQueue",
            Bug::QueueLostMidFlush => "Distributed Sync Engine, flushQueue",
            Bug::TransmitBeforePersist => "Minimal Sync Guide, broadcast",
            Bug::LsnInMemory => "Minimal Sync Guide, serverVersion",
            Bug::DdlIgnoresDependsOn => "DDL Synchronisation, dependsOn",
            Bug::CreateOverwrites => "DDL Synchronisation, updateSchemaMetadata",
            Bug::TypeByArrival => "DDL Synchronisation, ADD COLUMN",
            Bug::VersionTwice => "DDL Integration Plan, checkPendingOperations",
            Bug::StoreDoubtIgnored => "Minimal Sync Guide, applyPatchLocally",
            Bug::PersistFailureIgnored => "Minimal Sync Guide, broadcast",
            Bug::SessionOutlivesReplica => "Distributed Sync Engine, lastSyncedVersion",
            Bug::RulingInMemory => "design of the epochs",
            Bug::RejectedForgotten => "Minimal Sync Guide, rollback",
            Bug::NoDuplicateCheckAtMain => "Minimal Sync Guide, retries",
            Bug::NoResend => "Minimal Sync Guide, broadcast",
            Bug::LateMessageBelieved => "Distributed Sync Engine, lastSyncedVersion",
            Bug::WaitsForAll => "Minimal Sync Guide, broadcast",
            Bug::VoteBeforeDurable => "Distributed Sync Engine, prepare",
            Bug::CommitsOnTimeout => "Distributed Sync Engine, two-phase commit",
            Bug::PreparedForgotten => "Distributed Sync Engine, two-phase commit",
            Bug::SnapshotUnchecked => "Distributed Sync Engine, snapshots",
            Bug::TombstonePurged => "Distributed Sync Engine, tombstones",
            Bug::CompactedAccepted => "Distributed Sync Engine, compaction by the lowest acknowledgement",
            Bug::FileUnchecked => "Sync Policy, import of JSONL",
            Bug::SourceRewritten => "Sync Policy, triggers on imported rows",
            Bug::LastLsnPassesFailure => "Sync Policy, last_lsn",
            Bug::TypeOfOneValue => "Sync Policy, implicit ALTER",
            Bug::Canary => "made for the gate",
        }
    }

    /// The bug of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().chain(Bug::OF_FILES).find(|bug| bug.name() == name)
    }
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug, or none, in everything this thread runs from now on. Without the feature `planted-bugs` nothing asks.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether `bug` is planted in this thread.
#[must_use]
pub fn is_planted(bug: Bug) -> bool {
    cfg!(feature = "planted-bugs") && PLANTED.get() == Some(bug)
}

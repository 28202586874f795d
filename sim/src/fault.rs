//! The faults: what can go wrong around a replica, and where the history shows that it did.

use kuzusync_core::replica::Notice;

use crate::disk::DiskFault;
use crate::engine::StoreFault;
use crate::history::EventKind;
use crate::network::Partition;

/// Something that goes wrong around a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message never arrives.
    Loss,
    /// A message arrives twice.
    Repeat,
    /// A message is overtaken by later ones.
    Reorder,
    /// A bit of a message arrives wrong.
    Corruption,
    /// A replica gets bytes that no peer sent.
    Injection,
    /// A message meets a cut link: a partition or an offline host.
    Cut,
    /// The network splits in two.
    Partition,
    /// Messages pass one way and not the other.
    OneWayPartition,
    /// One host is cut off from all others.
    Isolation,
    /// Only neighbours in a ring reach each other.
    RingPartition,
    /// The link between two hosts is cut.
    LinkCut,
    /// A host goes offline.
    Offline,
    /// A host dies.
    Crash,
    /// A crash takes records that were written and not synced.
    UnsyncedLost,
    /// A wall clock is set.
    ClockJump,
    /// A message waits for a narrow link.
    Bandwidth,
    /// A message is held back by a clogged link.
    Clog,
    /// A host stands still for a while.
    Pause,
    /// A host loses its disk and comes back with an empty one.
    Wipe,
    /// Two hosts have one identity.
    Clone,
    /// A crash tears the record that was being written.
    TornWrite,
    /// A disk cannot be read.
    ReadError,
    /// A disk refuses a record.
    WriteError,
    /// A disk is full.
    FullDisk,
    /// A disk takes long to sync.
    SlowDisk,
    /// A graph store refuses a statement.
    StoreError,
    /// The handle of a graph store is lost within a delta.
    StoreAbandonment,
    /// A database refuses a part of the schema for good.
    SchemaRefusal,
    /// A client submits a transaction again that it has an answer to.
    DuplicateSubmission,
    /// A client gives up waiting, and will ask again.
    ClientTimeout,
    /// A message outlives the replica that sent it, or that it was sent to.
    LateMessage,
    /// A host is upgraded while others are not.
    Upgrade,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 32] = [
        Fault::Loss,
        Fault::Repeat,
        Fault::Reorder,
        Fault::Corruption,
        Fault::Injection,
        Fault::Cut,
        Fault::Partition,
        Fault::OneWayPartition,
        Fault::Isolation,
        Fault::RingPartition,
        Fault::LinkCut,
        Fault::Offline,
        Fault::Crash,
        Fault::UnsyncedLost,
        Fault::ClockJump,
        Fault::Bandwidth,
        Fault::Clog,
        Fault::Pause,
        Fault::Wipe,
        Fault::Clone,
        Fault::TornWrite,
        Fault::ReadError,
        Fault::WriteError,
        Fault::FullDisk,
        Fault::SlowDisk,
        Fault::StoreError,
        Fault::StoreAbandonment,
        Fault::SchemaRefusal,
        Fault::DuplicateSubmission,
        Fault::ClientTimeout,
        Fault::LateMessage,
        Fault::Upgrade,
    ];

    /// The fault's name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Loss => "loss",
            Fault::Repeat => "repeat",
            Fault::Reorder => "reorder",
            Fault::Corruption => "corruption",
            Fault::Injection => "injection",
            Fault::Cut => "cut",
            Fault::Partition => "partition",
            Fault::OneWayPartition => "one_way_partition",
            Fault::Isolation => "isolation",
            Fault::RingPartition => "ring_partition",
            Fault::LinkCut => "link_cut",
            Fault::Offline => "offline",
            Fault::Crash => "crash",
            Fault::UnsyncedLost => "unsynced_lost",
            Fault::ClockJump => "clock_jump",
            Fault::Bandwidth => "bandwidth",
            Fault::Clog => "clog",
            Fault::Pause => "pause",
            Fault::Wipe => "wipe",
            Fault::Clone => "clone",
            Fault::TornWrite => "torn_write",
            Fault::ReadError => "read_error",
            Fault::WriteError => "write_error",
            Fault::FullDisk => "full_disk",
            Fault::SlowDisk => "slow_disk",
            Fault::StoreError => "store_error",
            Fault::StoreAbandonment => "store_abandonment",
            Fault::SchemaRefusal => "schema_refusal",
            Fault::DuplicateSubmission => "duplicate_submission",
            Fault::ClientTimeout => "client_timeout",
            Fault::LateMessage => "late_message",
            Fault::Upgrade => "upgrade",
        }
    }

    /// The faults that an event shows.
    #[must_use]
    pub fn in_event(kind: &EventKind) -> Vec<Fault> {
        match kind {
            EventKind::Sent { is_cut: true, .. } | EventKind::Missed { .. } => vec![Fault::Cut],
            EventKind::Sent { fate, .. } => {
                let found = [
                    (fate.delays_us.is_empty(), Fault::Loss),
                    (fate.delays_us.len() > 1, Fault::Repeat),
                    (fate.is_reordered, Fault::Reorder),
                    (fate.flipped_bit.is_some(), Fault::Corruption),
                    (fate.queued_us > 0, Fault::Bandwidth),
                    (fate.clogged_us > 0, Fault::Clog),
                ];
                found.into_iter().filter(|(fired, _)| *fired).map(|(_, fault)| fault).collect()
            }
            EventKind::Injected { .. } => vec![Fault::Injection],
            EventKind::Partitioned(Partition::Split { .. }) => vec![Fault::Partition],
            EventKind::Partitioned(Partition::OneWay { .. }) => vec![Fault::OneWayPartition],
            EventKind::Partitioned(Partition::Isolation { .. }) => vec![Fault::Isolation],
            EventKind::Partitioned(Partition::Ring { .. }) => vec![Fault::RingPartition],
            EventKind::LinkCut { .. } => vec![Fault::LinkCut],
            EventKind::WentOffline => vec![Fault::Offline],
            EventKind::Crashed { lost_records: 0 } => vec![Fault::Crash],
            EventKind::Crashed { .. } => vec![Fault::Crash, Fault::UnsyncedLost],
            EventKind::ClockJumped { .. } => vec![Fault::ClockJump],
            EventKind::Paused => vec![Fault::Pause],
            EventKind::Wiped => vec![Fault::Wipe],
            EventKind::Cloned { .. } => vec![Fault::Clone],
            EventKind::TailCut => vec![Fault::TornWrite],
            EventKind::DiskFailed(DiskFault::Read) => vec![Fault::ReadError],
            EventKind::DiskFailed(DiskFault::Write) => vec![Fault::WriteError],
            EventKind::DiskFailed(DiskFault::Full) => vec![Fault::FullDisk],
            EventKind::SyncWaited { .. } => vec![Fault::SlowDisk],
            EventKind::StoreBroken { fault: StoreFault::Error, .. } => vec![Fault::StoreError],
            EventKind::StoreBroken { fault: StoreFault::Abandonment, .. } => vec![Fault::StoreAbandonment],
            EventKind::HeldBack { .. } => vec![Fault::SchemaRefusal],
            EventKind::SubmittedAgain { .. } => vec![Fault::DuplicateSubmission],
            EventKind::TimedOut { .. } => vec![Fault::ClientTimeout],
            EventKind::Notified(Notice::Late { .. }) => vec![Fault::LateMessage],
            EventKind::Upgraded => vec![Fault::Upgrade],
            _ => Vec::new(),
        }
    }
}

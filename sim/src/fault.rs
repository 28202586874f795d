//! The faults: what can go wrong around a replica, and where the history shows that it did.

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
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 15] = [
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
            _ => Vec::new(),
        }
    }
}

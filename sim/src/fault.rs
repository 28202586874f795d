//! The faults: what can go wrong around a replica, and where the history shows that it did.

use crate::history::EventKind;

/// Something that goes wrong around a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message never arrives.
    Loss,
    /// A message arrives twice.
    Repeat,
    /// A message is overtaken by later ones.
    Reorder,
    /// A message meets a cut link: a partition or an offline host.
    Cut,
    /// The network splits.
    Partition,
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
    pub const ALL: [Fault; 9] = [
        Fault::Loss,
        Fault::Repeat,
        Fault::Reorder,
        Fault::Cut,
        Fault::Partition,
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
            Fault::Cut => "cut",
            Fault::Partition => "partition",
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
                ];
                found.into_iter().filter(|(fired, _)| *fired).map(|(_, fault)| fault).collect()
            }
            EventKind::Partitioned { .. } => vec![Fault::Partition],
            EventKind::WentOffline => vec![Fault::Offline],
            EventKind::Crashed { lost_records: 0 } => vec![Fault::Crash],
            EventKind::Crashed { .. } => vec![Fault::Crash, Fault::UnsyncedLost],
            EventKind::ClockJumped { .. } => vec![Fault::ClockJump],
            _ => Vec::new(),
        }
    }
}

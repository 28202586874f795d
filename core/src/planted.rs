//! Bugs that somebody really made, planted to show that the harness finds them.
//!
//! Each is one line at its place and one variant here. Without the feature `planted-bugs` the lines compile to nothing.
//! One bug at a time is chosen for the current thread, since a simulation runs on one thread.

use std::cell::Cell;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A cell keeps the write that arrived last instead of the greatest. Silent while everybody receives everything in
    /// the order of writing. (Minimal Sync Guide: `applyPatchLocally` overwrites whatever is there.)
    ArrivalOrder,
    /// A register keeps only the winner under the policy of the moment, so that a change of policy comes too late for
    /// some replicas. (Found while the rules were designed.)
    OneMask,
    /// A counter is set to the sum instead of keeping the increments. (Distributed Sync Engine, SemanticMerger without the
    /// registration of counters.)
    CounterAsValue,
    /// Epochs are merged when a change is received instead of when it is applied, so that a change that waits lends its
    /// authority to what is written meanwhile. (Found while the rules were designed.)
    EpochOnReceipt,
    /// A change is applied as soon as it is its author's next, whatever its author had seen. (Minimal Sync Guide: patches
    /// are applied as they come.)
    NoGapCheck,
    /// A change that failed counts as seen. (Sync Policy: the importer raises last_lsn past a failed transaction.)
    CursorPassesFailed,
    /// A received node is not shown. No history hides it, so a gate that does not report it is broken.
    Canary,
}

impl Bug {
    /// Every bug that the harness has to find, the canary last.
    pub const ALL: [Bug; 7] = [
        Bug::ArrivalOrder,
        Bug::OneMask,
        Bug::CounterAsValue,
        Bug::EpochOnReceipt,
        Bug::NoGapCheck,
        Bug::CursorPassesFailed,
        Bug::Canary,
    ];

    /// The bug's name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bug::ArrivalOrder => "arrival-order",
            Bug::OneMask => "one-mask",
            Bug::CounterAsValue => "counter-as-value",
            Bug::EpochOnReceipt => "epoch-on-receipt",
            Bug::NoGapCheck => "no-gap-check",
            Bug::CursorPassesFailed => "cursor-passes-failed",
            Bug::Canary => "canary",
        }
    }

    /// Where it was seen.
    #[must_use]
    pub fn origin(self) -> &'static str {
        match self {
            Bug::ArrivalOrder => "Minimal Sync Guide, applyPatchLocally",
            Bug::OneMask => "design of the policies",
            Bug::CounterAsValue => "Distributed Sync Engine, semantic merge",
            Bug::EpochOnReceipt => "design of the epochs",
            Bug::NoGapCheck => "Minimal Sync Guide, applyPatch",
            Bug::CursorPassesFailed => "Sync Policy, import",
            Bug::Canary => "made for the gate",
        }
    }

    /// The bug of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
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

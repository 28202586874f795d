//! Everything that was seen of a run, in order, and its digest.
//!
//! Two runs are the same run exactly when their histories are byte-equal; the digest covers every byte of every event.

use std::collections::BTreeMap;
use std::sync::Arc;

use kuzusync_core::change::{Change, ChangeId};
use kuzusync_core::id::{Digest, ReplicaId, TableId, TxId, canonical_bytes};
use kuzusync_core::message::{Cursor, Delivery, LogRecord, Record};
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;
use kuzusync_core::statement::Statement;
use kuzusync_core::store::Unmaterialised;
use kuzusync_core::store::refusing::Refusal;
use kuzusync_core::view::{View, ViewDelta};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::disk::DiskFault;
use crate::engine::StoreFault;
use crate::network::{Fate, Partition};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in simulated microseconds since the start.
    pub at_us: u64,
    /// Where; `None` for what concerns them all.
    pub host: Option<u32>,
    /// What.
    pub kind: EventKind,
}

/// The greatest epochs of the changes and rulings that somebody has applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochsKnown {
    /// Of links.
    pub link: u64,
    /// Of the main's authority over each table.
    pub authority: BTreeMap<TableId, u64>,
}

impl EpochsKnown {
    /// Those that a change carries.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        EpochsKnown { link: change.link_epoch, authority: change.authority_epochs.clone() }
    }

    /// Those in what a replica has written down.
    #[must_use]
    pub fn of_records(records: &[Record]) -> Self {
        let mut known = EpochsKnown::default();
        let batches = records.iter().filter_map(|record| match record {
            Record::Batch { log, .. } => Some(log),
            Record::Base { base, kept, .. } => {
                let (link, authority) = (base.link_epoch, base.authority_epochs.clone());
                known.merge(&EpochsKnown { link, authority });
                let changes = kept.iter().filter_map(Delivery::change);
                changes.for_each(|entry| known.merge(&EpochsKnown::of(&entry.change)));
                None
            }
            Record::Created { .. } | Record::Main(_) => None,
        });
        for record in batches.collect::<Vec<_>>().into_iter().flatten() {
            match record {
                LogRecord::Append(entry) => known.merge(&EpochsKnown::of(&entry.change)),
                LogRecord::Ruling { ruling: Ruling::Epoch(epoch), .. } => known.link = known.link.max(*epoch),
                _ => {}
            }
        }
        known
    }

    /// Takes the greater of both.
    pub fn merge(&mut self, other: &EpochsKnown) {
        self.link = self.link.max(other.link);
        for (table, epoch) in &other.authority {
            let known = self.authority.entry(*table).or_insert(0);
            *known = (*known).max(*epoch);
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A replica was opened from what its disk holds, or took its main's base in the place of that.
    Opened {
        /// Who it is.
        replica: ReplicaId,
        /// What its log holds.
        cursor: Cursor,
        /// What it knows to be rejected.
        rejected: Vec<ChangeId>,
        /// What it has voted to commit and knows no decision of.
        prepared: Vec<TxId>,
        /// What it knows to be decided of what replicas voted on.
        decided: Vec<TxId>,
        /// The greatest epochs in its records.
        epochs: EpochsKnown,
        /// Whether it was running, and has its main's base in the place of what its disk held.
        has_new_base: bool,
    },
    /// A client submitted a transaction.
    Invoked {
        /// Its number.
        invocation: u64,
        /// What it asked for.
        statements: Vec<Statement>,
    },
    /// A client got its answer.
    Returned {
        /// Its number.
        invocation: u64,
        /// The change it became, or why it was refused.
        result: Result<ChangeId, String>,
    },
    /// Replicas are to vote on what a client submitted; whoever wants to know what is decided looks for it.
    Begun {
        /// Its number.
        invocation: u64,
        /// The transaction.
        tx: TxId,
    },
    /// A client had waited long enough for its answer.
    TimedOut {
        /// Its number.
        invocation: u64,
    },
    /// A client submits a transaction that it has an answer to.
    SubmittedAgain {
        /// The number it had.
        invocation: u64,
    },
    /// A client's host died before it answered.
    Abandoned {
        /// Its number.
        invocation: u64,
    },
    /// A step of the plan could do nothing.
    Skipped {
        /// Why.
        reason: String,
    },
    /// A record was written to the disk.
    Persisted {
        /// Its length.
        bytes: u64,
        /// The checksum in its frame.
        checksum: u64,
    },
    /// All that was written became durable.
    Synced,
    /// A message was sent.
    Sent {
        /// To which host.
        to: u32,
        /// Its number on the link.
        number: u64,
        /// Its length.
        bytes: u64,
        /// The checksum in its frame.
        checksum: u64,
        /// The message itself, for pages. The checksum stands for it in the digest.
        #[serde(skip)]
        frame: Arc<[u8]>,
        /// Whether the link was cut.
        is_cut: bool,
        /// What becomes of it.
        fate: Fate,
    },
    /// A message arrived.
    Received {
        /// From which host.
        from: u32,
        /// Its number on the link.
        number: u64,
    },
    /// A message came to a host that was down or cut off.
    Missed {
        /// From which host.
        from: u32,
        /// Its number on the link.
        number: u64,
    },
    /// Somebody made the replica believe that a peer had sent something.
    Injected {
        /// As if from which host.
        from: u32,
        /// How many bytes.
        bytes: u64,
        /// Their digest.
        digest: Digest,
    },
    /// The replica refused an input.
    Refused {
        /// Why.
        error: String,
    },
    /// The replica had something to tell.
    Notified(Notice),
    /// The view changed.
    Viewed(ViewDelta),
    /// The stores were made to hold a view: filled anew, but for those that were found to hold it.
    Rebuilt {
        /// Whether because the replica was opened; else because a store failed.
        is_opening: bool,
        /// What with.
        view: View,
    },
    /// A store that was opened again was found to hold the view already.
    Kept {
        /// Which store.
        store: String,
    },
    /// A store refused a delta.
    StoreFailed {
        /// What it said.
        error: String,
    },
    /// The host died.
    Crashed {
        /// Records written and not synced.
        lost_records: u64,
    },
    /// The disk refused a record, or could not be read.
    DiskFailed(DiskFault),
    /// The last record on the disk was torn, and is cut off.
    TailCut,
    /// A sync took so long.
    SyncWaited {
        /// In simulated microseconds.
        us: u64,
    },
    /// A store was made to fail within a delta.
    StoreBroken {
        /// How.
        fault: StoreFault,
        /// Statements it had carried out.
        statements: u32,
    },
    /// The host stands still: nothing that reaches it is dealt with.
    Paused,
    /// The host goes on.
    Resumed,
    /// The host, which is down, lost its disk and gets an empty one.
    Wiped,
    /// The host, which is down, got a copy of another's disk: two hosts have one identity until both are wiped.
    Cloned {
        /// Whose.
        from: u32,
    },
    /// Another host has this one's identity from now on.
    Doubled,
    /// The host, which is down, got another disk: an empty one, a copy of another's, or one it had before.
    DiskReplaced,
    /// The host lost its network and knows it.
    WentOffline,
    /// The host has its network back and knows it.
    WentOnline,
    /// The network split, unannounced.
    Partitioned(Partition),
    /// The link between two hosts was cut, unannounced.
    LinkCut {
        /// One of them.
        one: u32,
        /// The other.
        other: u32,
    },
    /// The link between two hosts holds back what is sent, for so long.
    Clogged {
        /// One of them.
        one: u32,
        /// The other.
        other: u32,
        /// In milliseconds.
        ms: u64,
    },
    /// The host has the newest version of the protocol, and is about to start again.
    Upgraded,
    /// Every partition and cut ended.
    Healed,
    /// The host's wall clock was set.
    ClockJumped {
        /// By how much.
        ms: i64,
    },
    /// All faults ended; the cluster is given time.
    Settling {
        /// The hosts that stay broken and are cut off from the others.
        out: Vec<u32>,
    },
    /// Nothing is under way any more.
    Settled {
        /// The hosts that are still broken and cut off from the others.
        out: Vec<u32>,
    },
    /// A store was read back.
    Compared {
        /// Which store.
        store: String,
        /// The digest of what it holds.
        digest: Digest,
    },
    /// From now on the databases of the host refuse a part of the schema.
    Refusing {
        /// Which.
        refusal: Refusal,
    },
    /// They refuse nothing any more.
    Accepting {
        /// How many parts of the schema they were without until now.
        parts: u64,
    },
    /// A database refused a schema change half-way.
    SchemaRefused {
        /// What it said.
        error: String,
    },
    /// A store was filled with all but what its database refuses.
    HeldBack {
        /// Which store.
        store: String,
        /// What it lacks.
        parts: Vec<Unmaterialised>,
    },
}

/// The events of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    hasher: Sha256,
    /// The bytes of one event, kept to be filled again.
    buffer: Vec<u8>,
}

impl History {
    /// Adds an event.
    pub fn push(&mut self, event: Event) {
        self.buffer.clear();
        self.buffer = canonical_bytes(&event, std::mem::take(&mut self.buffer));
        self.hasher.update((self.buffer.len() as u64).to_le_bytes());
        self.hasher.update(&self.buffer);
        self.events.push(event);
    }

    /// The events so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The digest over every byte of every event.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let full: [u8; 32] = self.hasher.clone().finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Digest(half)
    }

    /// The events, without the means to add more.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

/// The checksum that stands in a frame's header.
#[must_use]
pub fn frame_checksum(frame: &[u8]) -> u64 {
    frame.get(2..10).map_or(0, |bytes| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(events: &[Event]) -> Digest {
        let mut history = History::default();
        events.iter().cloned().for_each(|event| history.push(event));
        history.digest()
    }

    /// One event of every kind that carries something, each with another in which one field differs.
    fn pairs() -> Vec<(EventKind, EventKind)> {
        let id = |seq| ChangeId { replica: ReplicaId([1; 16]), seq };
        let fate = |delay| Fate { delays_us: vec![delay], ..Fate::default() };
        let damaged = |bit| Fate { flipped_bit: Some(bit), ..fate(1) };
        let injected = |byte| EventKind::Injected { from: 1, bytes: 9, digest: Digest([byte; 16]) };
        let rebuilt = |is_opening| EventKind::Rebuilt { is_opening, view: View::default() };
        let broken = |fault, statements| EventKind::StoreBroken { fault, statements };
        let refusing = |name: &str| EventKind::Refusing { refusal: Refusal::Table(name.into()) };
        let part = Unmaterialised { table: "T".into(), column: None, held_as: None, reason: "a".into() };
        let other_part = Unmaterialised { reason: "b".into(), ..part.clone() };
        let held_back = |store: &str, parts| EventKind::HeldBack { store: store.into(), parts };
        let frame = Arc::from([]);
        let sent = |checksum, fate| {
            let frame = Arc::clone(&frame);
            EventKind::Sent { to: 1, number: 1, bytes: 9, checksum, frame, is_cut: false, fate }
        };
        let opened = |lsn: u64, rejected| EventKind::Opened {
            replica: ReplicaId([1; 16]),
            epochs: EpochsKnown { link: lsn, ..EpochsKnown::default() },
            cursor: Cursor { lsn, ..Cursor::default() },
            rejected,
            prepared: vec![TxId([lsn as u8; 16])],
            decided: vec![TxId([lsn as u8; 16])],
            has_new_base: false,
        };
        let begun = |byte| EventKind::Begun { invocation: 1, tx: TxId([byte; 16]) };
        vec![
            (begun(1), begun(2)),
            (opened(0, Vec::new()), opened(1, Vec::new())),
            (opened(0, Vec::new()), opened(0, vec![id(1)])),
            (
                EventKind::Returned { invocation: 1, result: Ok(id(1)) },
                EventKind::Returned { invocation: 1, result: Ok(id(2)) },
            ),
            (
                EventKind::Invoked { invocation: 1, statements: vec![] },
                EventKind::Invoked { invocation: 2, statements: vec![] },
            ),
            (EventKind::Abandoned { invocation: 1 }, EventKind::Abandoned { invocation: 2 }),
            (EventKind::Skipped { reason: "a".into() }, EventKind::Skipped { reason: "b".into() }),
            (EventKind::Persisted { bytes: 1, checksum: 1 }, EventKind::Persisted { bytes: 1, checksum: 2 }),
            (sent(1, fate(1)), sent(2, fate(1))),
            (sent(1, fate(1)), sent(1, fate(2))),
            (sent(1, damaged(1)), sent(1, damaged(2))),
            (injected(1), injected(2)),
            (EventKind::Received { from: 1, number: 1 }, EventKind::Received { from: 1, number: 2 }),
            (EventKind::Missed { from: 1, number: 1 }, EventKind::Missed { from: 2, number: 1 }),
            (EventKind::Refused { error: "a".into() }, EventKind::Refused { error: "b".into() }),
            (EventKind::Notified(Notice::Held { id: id(1) }), EventKind::Notified(Notice::Held { id: id(2) })),
            (rebuilt(true), rebuilt(false)),
            (EventKind::Kept { store: "a".into() }, EventKind::Kept { store: "b".into() }),
            (EventKind::StoreFailed { error: "a".into() }, EventKind::StoreFailed { error: "b".into() }),
            (EventKind::Crashed { lost_records: 1 }, EventKind::Crashed { lost_records: 2 }),
            (
                EventKind::Partitioned(Partition::Split { group: 1 }),
                EventKind::Partitioned(Partition::OneWay { group: 1 }),
            ),
            (
                EventKind::Partitioned(Partition::Isolation { host: 1 }),
                EventKind::Partitioned(Partition::Isolation { host: 2 }),
            ),
            (EventKind::LinkCut { one: 0, other: 1 }, EventKind::LinkCut { one: 0, other: 2 }),
            (EventKind::ClockJumped { ms: 1 }, EventKind::ClockJumped { ms: -1 }),
            (EventKind::TimedOut { invocation: 1 }, EventKind::TimedOut { invocation: 2 }),
            (EventKind::SubmittedAgain { invocation: 1 }, EventKind::SubmittedAgain { invocation: 2 }),
            (EventKind::DiskFailed(DiskFault::Read), EventKind::DiskFailed(DiskFault::Full)),
            (EventKind::SyncWaited { us: 1 }, EventKind::SyncWaited { us: 2 }),
            (broken(StoreFault::Error, 1), broken(StoreFault::Error, 2)),
            (broken(StoreFault::Error, 1), broken(StoreFault::Abandonment, 1)),
            (EventKind::Cloned { from: 1 }, EventKind::Cloned { from: 2 }),
            (EventKind::Clogged { one: 0, other: 1, ms: 1 }, EventKind::Clogged { one: 0, other: 1, ms: 2 }),
            (EventKind::Paused, EventKind::Resumed),
            (EventKind::Wiped, EventKind::Doubled),
            (EventKind::TailCut, EventKind::Synced),
            (sent(1, fate(1)), sent(1, Fate { queued_us: 1, ..fate(1) })),
            (sent(1, fate(1)), sent(1, Fate { clogged_us: 1, ..fate(1) })),
            (EventKind::WentOffline, EventKind::WentOnline),
            (refusing("a"), refusing("b")),
            (EventKind::Accepting { parts: 1 }, EventKind::Accepting { parts: 2 }),
            (EventKind::SchemaRefused { error: "a".into() }, EventKind::SchemaRefused { error: "b".into() }),
            (held_back("a", Vec::new()), held_back("b", Vec::new())),
            (held_back("a", Vec::new()), held_back("a", vec![part.clone()])),
            (held_back("a", vec![part]), held_back("a", vec![other_part])),
            (EventKind::Settling { out: vec![1] }, EventKind::DiskReplaced),
            (EventKind::Settling { out: vec![1] }, EventKind::Settling { out: vec![2] }),
            (EventKind::Settled { out: vec![1] }, EventKind::Settled { out: Vec::new() }),
            (EventKind::Settling { out: Vec::new() }, EventKind::Settled { out: Vec::new() }),
            (EventKind::Synced, EventKind::Healed),
            (EventKind::Upgraded, EventKind::Healed),
            (
                EventKind::Compared { store: "memory".into(), digest: Digest([1; 16]) },
                EventKind::Compared { store: "memory".into(), digest: Digest([2; 16]) },
            ),
        ]
    }

    #[test]
    fn one_field_of_one_event_changes_the_digest() {
        for (one, other) in pairs() {
            let event = |kind: &EventKind| Event { at_us: 1, host: Some(0), kind: kind.clone() };
            assert_ne!(digest(&[event(&one)]), digest(&[event(&other)]), "{one:?}");
            assert_ne!(digest(&[event(&one)]), digest(&[Event { at_us: 2, ..event(&one) }]), "{one:?}");
            assert_ne!(digest(&[event(&one)]), digest(&[Event { host: None, ..event(&one) }]), "{one:?}");
        }
    }
}

//! The replica: the state machine that puts the parts in order. The only file that knows them all.
//!
//! # The contract
//!
//! **After every input, whether it was accepted or refused, poll until [`Output::Timeout`] and carry the outputs out in
//! the order they come. A [`Output::Transmit`] or [`Output::Notify`] may rely on every [`Output::Persist`] before it being
//! durable.** That is write-ahead logging, and all there is of it.
//!
//! The graph store stands outside. [`Output::View`] tells it what changed; if it fails, [`Input::StoreFailed`] is answered
//! by [`Output::Rebuild`]. Validation reads the state, never the store.
//!
//! A conflict is a [`Notice`], never an error: errors are bad input.

mod agreement;
mod compaction;
mod file;
mod transfer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::causal::{self, CausalBuffer, Missing, Released};
use crate::change::{Change, ChangeId, ChangeKind, Element, Op, RowVersion};
use crate::clock::{Instant, Now, Seen, Timestamp, VectorClock, WallTime};
use crate::compaction::RETENTION;
use crate::conflict::schema::SchemaLoss;
use crate::conflict::{Audit, Found, Loss, Register};
use crate::constraint;
use crate::ddl::Ddl;
use crate::error::Error;
use crate::foreign::ForeignTransaction;
use crate::id::{DatabaseId, Digest, ReplicaId, TableId, TxId, canonical_bytes};
use crate::log::{ChangeLog, Lsn};
use crate::message::{
    CHANGE_BYTES_MAX, Cursor, Delivery, Entry, Hello, LogRecord, Message, Protocol, Record, Role, SyncMode, Tag,
};
use crate::planted::{Bug, is_planted};
use crate::policy::Place;
use crate::queue::{OPERATIONS_MAX, OfflineQueue};
use crate::resolve::resolve;
use crate::ruling::{Reason, Rejection, Ruling};
use crate::schema::difference::difference;
use crate::schema::history::{self, SchemaCounts, SchemaEvent, SchemaOutcome};
use crate::schema::shape::SchemaState;
use crate::schema::{Schema, TableState};
use crate::session::{Peer, Phase, Session, resend_after};
use crate::snapshot::{CHUNK_NUMBERS, ResyncReason, Snapshots};
use crate::state::{Delta, State};
use crate::statement::Transaction;
use crate::strategy::{BatchLimits, NetworkQuality, PROBE_AFTER, Strategy};
use crate::summary::{Asking, Compared, Cost, Told, WHOLE_HEADS_MAX};
use crate::two_phase::{Decision, LEASE, Vote};
use crate::view::{View, ViewDelta};
use agreement::Agreements;
use compaction::{Due, Retention};
pub use file::Source;
use transfer::Fetching;

/// What a new replica is told, and an old one must agree with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its part.
    pub role: Role,
    /// Its graph.
    pub database: DatabaseId,
    /// Unacknowledged operations at most.
    pub queue_operations_max: usize,
    /// How far ahead of the main's time a change may be stamped, in milliseconds.
    pub drift_ms_max: i64,
    /// Heads that a hello names one by one; more are summarised.
    pub whole_heads_max: usize,
    /// The newest version of the protocol it speaks. It speaks the older ones too.
    pub protocol: Protocol,
    /// How long a transaction stays prepared here before this replica asks the main to roll it back.
    pub lease: Duration,
    /// Tables that are sent over a slow link before all else. Without any nothing waits.
    pub critical_tables: BTreeSet<String>,
    /// Numbers in a chunk of a snapshot. All replicas of a database need the same.
    pub chunk_numbers: u64,
    /// How long the main waits for a replica of which it hears nothing before it forgets what that lacks.
    pub retention: Duration,
}

/// [`Config::drift_ms_max`] unless configured otherwise: five minutes.
pub const DRIFT_MS_MAX: i64 = 300_000;

/// Replicas that disconnect within this time of each other begin one epoch together, at its end.
pub const EPOCH_WINDOW: Duration = Duration::from_millis(100);

impl Config {
    /// The defaults: a queue of 10,000 operations, clocks at most five minutes ahead.
    #[must_use]
    pub fn new(role: Role, database: DatabaseId) -> Self {
        let (queue_operations_max, drift_ms_max) = (OPERATIONS_MAX, DRIFT_MS_MAX);
        let whole_heads_max = WHOLE_HEADS_MAX;
        Config {
            role,
            database,
            queue_operations_max,
            drift_ms_max,
            whole_heads_max,
            protocol: Protocol::NEWEST,
            lease: LEASE,
            critical_tables: BTreeSet::new(),
            chunk_numbers: CHUNK_NUMBERS,
            retention: RETENTION,
        }
    }
}

/// What a replica is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A client's transaction.
    Local(Transaction),
    /// Bytes from a peer.
    Receive {
        /// Whose.
        from: Peer,
        /// A frame.
        bytes: Vec<u8>,
    },
    /// A link to a peer came up, or may have come up: say hello.
    Connected(Peer),
    /// A link went down.
    Disconnected(Peer),
    /// A person has mended what made this change fail: apply it now, and what waited for it.
    Retry(ChangeId),
    /// A person gives up a failed change: list it no longer.
    Dismiss(ChangeId),
    /// The time asked for by [`Output::Timeout`] has come.
    Timeout,
    /// The disk refused the record last polled and kept nothing of it. If that was the record of a vote, the vote is to
    /// abort. Any other stops the replica; open another from the records that were kept.
    PersistFailed,
    /// The store refused a delta or lost its contents.
    StoreFailed,
    /// What a file of another replica holds.
    Import {
        /// Whose file it is.
        source: Source,
        /// That replica's clock.
        clock: VectorClock,
        /// Some of its changes and rulings, causes before effects.
        deliveries: Vec<Delivery>,
    },
    /// What another system's log says was done.
    Foreign(Vec<ForeignTransaction>),
    /// The main is to forget what nobody needs any more. A host asks for it now and then.
    Compact,
}

/// What a replica wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Make this durable.
    Persist(Record),
    /// Send this, at most once, whenever.
    Transmit {
        /// To whom.
        to: Peer,
        /// A frame.
        bytes: Vec<u8>,
    },
    /// Carry this out on the store.
    View(ViewDelta),
    /// Make the store hold exactly this.
    Rebuild(View),
    /// Something that people and tests want to know.
    Notify(Notice),
    /// Nothing more to do until an input comes, or until this time.
    Timeout(Option<Instant>),
}

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Both sides of a session know each other.
    Established {
        /// The peer.
        peer: Peer,
        /// Who it is.
        replica: ReplicaId,
        /// The version both speak.
        protocol_version: String,
        /// How they synchronise.
        mode: SyncMode,
    },
    /// The peer refused this replica.
    Refused {
        /// The peer.
        peer: Peer,
        /// Its words.
        reason: String,
    },
    /// A change is in the log, the state and the view.
    Applied {
        /// The change and its number.
        entry: Entry,
    },
    /// A change that was applied before has its number now.
    Numbered {
        /// Which.
        id: ChangeId,
        /// Its number.
        lsn: Lsn,
    },
    /// An own change left the queue.
    Acknowledged {
        /// Which.
        id: ChangeId,
    },
    /// A transaction had been submitted before; this is the change it gave.
    AlreadySubmitted {
        /// The transaction.
        tx: TxId,
        /// Its change.
        id: ChangeId,
    },
    /// A change arrived before its causes and waits.
    Held {
        /// Which.
        id: ChangeId,
    },
    /// The main's log has a ruling.
    Ruled {
        /// What.
        ruling: Ruling,
        /// Its number.
        lsn: Lsn,
    },
    /// The main does not apply an own change.
    Rejected {
        /// Which.
        id: ChangeId,
        /// Why.
        reason: Reason,
    },
    /// An own change that was rejected for its stamp was written again.
    WrittenAnew {
        /// The rejected one.
        rejected: ChangeId,
        /// The new one.
        id: ChangeId,
    },
    /// A change cannot be applied here. It is listed until it is retried or dismissed.
    Failed {
        /// Which.
        id: ChangeId,
        /// What is wrong with it.
        problem: String,
    },
    /// Without a main nobody judges clocks: a change is stamped far ahead of this replica's.
    Drifted {
        /// Which.
        id: ChangeId,
        /// How far, in milliseconds.
        ahead_ms: i64,
    },
    /// Concurrent increments of one number added up: the resolution `cumulative`.
    Merged {
        /// The number.
        register: Register,
    },
    /// A change that had waited for its causes turned out to be bad and was dropped.
    Discarded {
        /// Which.
        id: ChangeId,
        /// What is wrong with it.
        reason: String,
    },
    /// A change arrived again and was passed over.
    Repeated {
        /// Which.
        id: ChangeId,
    },
    /// A message was passed over: a replica sent it, or was sent it, that is no longer at its address.
    Late {
        /// From which address it came.
        peer: Peer,
    },
    /// A batch was not acknowledged in time and was sent again.
    Resent {
        /// To whom.
        peer: Peer,
    },
    /// A link turned out to be such that changes are sent over it in another way from now on.
    LinkMeasured {
        /// To whom.
        peer: Peer,
        /// What is known of it.
        quality: NetworkQuality,
        /// How changes are sent now.
        strategy: Strategy,
    },
    /// Changes that are not critical wait for a faster link.
    HeldBack {
        /// For whom.
        peer: Peer,
        /// How many.
        changes: u64,
    },
    /// A chunk of a snapshot is not what it was offered as. It is asked for again.
    ChunkDamaged {
        /// Whose.
        peer: Peer,
        /// Its last number.
        last: Lsn,
    },
    /// A replica has to take a snapshot in the place of all numbers it knows.
    ResyncRequired {
        /// Which.
        peer: Peer,
        /// Why.
        reason: ResyncReason,
    },
    /// The main's log begins later than this replica's ended, or is another: its base has taken the place of all numbers that were
    /// known here.
    Resynced {
        /// Whose base.
        peer: Peer,
        /// What is held with it.
        cursor: Cursor,
    },
    /// A snapshot is taken in whole.
    SnapshotTaken {
        /// Whose.
        peer: Peer,
        /// Where it ends.
        lsn: Lsn,
        /// How many chunks it has.
        chunks: u64,
    },
    /// What a peer holds was found out from a summary.
    Compared {
        /// The peer.
        peer: Peer,
        /// Heads that only one of both has.
        differences: u64,
        /// What it took.
        cost: Cost,
    },
    /// A write lost to a concurrent one.
    Lost(Box<Loss>),
    /// A schema claim lost to a concurrent one, or to a greater one than before.
    SchemaLost(Box<SchemaLoss>),
    /// This replica voted on a transaction. A vote to commit is durable.
    Voted {
        /// Which.
        tx: TxId,
        /// How.
        vote: Vote,
    },
    /// All participants voted to commit, so the coordinator's change is in its log. With a main it is in no view before
    /// the main has decided.
    Proposed {
        /// The change.
        entry: Entry,
    },
    /// A transaction that replicas voted on is decided, and carried out here.
    Decided {
        /// Which.
        tx: TxId,
        /// How.
        decision: Decision,
    },
    /// A transaction of another system cannot be carried out.
    LeftOut {
        /// Which.
        tx: TxId,
        /// What is wrong with it.
        problem: String,
    },
}

/// Something a replica waits for before it is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pending {
    /// A change waits for one of its causes.
    #[error("change {id} waits for change {cause}")]
    Cause {
        /// The change.
        id: ChangeId,
        /// What it waits for.
        cause: ChangeId,
    },
    /// A change waits for a number before its own.
    #[error("change {id} waits for number {lsn}")]
    Number {
        /// The change.
        id: ChangeId,
        /// What it waits for.
        lsn: Lsn,
    },
    /// A peer has not said hello.
    #[error("no handshake with replica {} yet", .0.0)]
    Handshake(Peer),
    /// One side has refused the other.
    #[error("the session with replica {} was refused", .0.0)]
    Refused(Peer),
    /// A peer has not acknowledged what it was sent.
    #[error("replica {} has not acknowledged a batch", .0.0)]
    InFlight(Peer),
    /// Changes that are not critical wait for a faster link.
    #[error("changes for replica {} wait for a faster link", .0.0)]
    SlowLink(Peer),
    /// Chunks of a snapshot are missing.
    #[error("a snapshot from replica {} is not complete", .0.0)]
    Snapshot(Peer),
    /// The main is about to begin an epoch.
    #[error("an epoch is to begin")]
    Epoch,
    /// An own change that was rejected for its stamp is not written again yet.
    #[error("change {0} is to be written again")]
    Anew(ChangeId),
    /// A transaction was voted for and is not decided.
    #[error("transaction {0} is prepared and not decided")]
    Prepared(TxId),
    /// Votes on an own transaction are missing, or the main has to decide it.
    #[error("transaction {0} is not decided")]
    Undecided(TxId),
    /// Own operations that nobody has acknowledged.
    #[error("{0} queued operations are not acknowledged")]
    Queued(usize),
}

/// Every timer there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Say hello again.
    Greet(Peer),
    /// Send the batch in flight again.
    Resend(Peer),
    /// Try a slow link with what waits for a faster one.
    Probe(Peer),
    /// Ask for the chunks of a snapshot again.
    Fetch(Peer),
    /// Begin the epoch that disconnected replicas have brought about.
    Epoch,
    /// See to a transaction that is not decided.
    Agreement(TxId),
}

/// What one input adds to the log, gathered so that it becomes one record and one delta.
struct Batch {
    now: Now,
    records: Vec<LogRecord>,
    delta: Delta,
    notices: Vec<Notice>,
}

impl Batch {
    fn new(now: Now) -> Self {
        Batch { now, records: Vec::new(), delta: Delta::default(), notices: Vec::new() }
    }

    fn found(&mut self, found: Found) {
        self.notices.extend(found.losses.into_iter().map(|loss| Notice::Lost(Box::new(loss))));
        self.notices.extend(found.schema_losses.into_iter().map(|loss| Notice::SchemaLost(Box::new(loss))));
        self.notices.extend(found.merged.into_iter().map(|register| Notice::Merged { register }));
    }
}

/// One replica of a graph.
#[derive(Debug)]
pub struct Replica {
    config: Config,
    id: ReplicaId,
    main: Option<ReplicaId>,
    log: ChangeLog,
    snapshots: Snapshots,
    fetching: Option<Fetching>,
    state: State,
    audit: Audit,
    causal: CausalBuffer,
    queue: OfflineQueue,
    /// The greatest of all applied changes.
    timestamp: Timestamp,
    /// The greatest of all numbered changes.
    timestamp_numbered: Timestamp,
    link_epoch: u64,
    authority_epochs: BTreeMap<TableId, u64>,
    /// The last change of each author that changes the schema.
    schema_heads: BTreeMap<ReplicaId, u64>,
    /// What the own wall clock is behind the main's time, known since a change was rejected for its stamp.
    clock_behind_ms: i64,
    /// Own changes rejected for their stamps and not written again yet.
    to_write_anew: BTreeSet<ChangeId>,
    /// A main that starts has lost every session.
    owes_epoch: bool,
    clock: VectorClock,
    /// Of which the keys of sessions are made.
    secret: Digest,
    keys_drawn: u64,
    sessions: BTreeMap<Peer, Session>,
    agreements: Agreements,
    retention: Retention,
    /// What the main has ruled is forgotten, and is not yet.
    due: VecDeque<Due>,
    timers: BTreeMap<Timer, Instant>,
    outputs: VecDeque<Output>,
    is_stopped: bool,
    /// Schema statements refused before they were logged, since it was opened.
    schema_statements_refused: u64,
}

impl Replica {
    /// Opens the replica that `records` make, or makes a new one if there are none. All its randomness comes from
    /// `entropy`. The first outputs make a new replica's identity durable and fill the store.
    ///
    /// # Errors
    /// [`Error::Records`] if the records contradict themselves or the configuration.
    pub fn open(config: Config, entropy: [u8; 32], records: &[Record]) -> Result<Self, Error> {
        let mut replica = Replica {
            id: ReplicaId(Digest::of(&[b"replica", &entropy]).0),
            main: None,
            log: ChangeLog::new(config.chunk_numbers),
            snapshots: Snapshots::default(),
            fetching: None,
            state: State::default(),
            audit: Audit::default(),
            causal: CausalBuffer::default(),
            queue: OfflineQueue::new(config.queue_operations_max),
            timestamp: Timestamp::default(),
            timestamp_numbered: Timestamp::default(),
            link_epoch: 0,
            authority_epochs: BTreeMap::new(),
            schema_heads: BTreeMap::new(),
            clock_behind_ms: 0,
            to_write_anew: BTreeSet::new(),
            owes_epoch: false,
            clock: VectorClock::default(),
            secret: Digest::of(&[b"secret", &entropy]),
            keys_drawn: 0,
            sessions: BTreeMap::new(),
            agreements: Agreements::default(),
            retention: Retention::default(),
            due: VecDeque::new(),
            timers: BTreeMap::new(),
            outputs: VecDeque::new(),
            is_stopped: false,
            schema_statements_refused: 0,
            config,
        };
        match records.split_first() {
            None => replica.persist_creation(),
            Some((first, rest)) => replica.restore(first, rest)?,
        }
        // What a record says of the main's time was true when it was written.
        replica.clock_behind_ms = 0;
        let view = replica.state.view();
        replica.outputs.push_back(Output::Rebuild(view));
        Ok(replica)
    }

    fn persist_creation(&mut self) {
        let (replica, database, role) = (self.id, self.config.database, self.config.role);
        self.outputs.push_back(Output::Persist(Record::Created { replica, database, role }));
        if role == Role::Main {
            self.main = Some(replica);
        }
    }

    fn restore(&mut self, first: &Record, rest: &[Record]) -> Result<(), Error> {
        let Record::Created { replica, database, role } = first else {
            return Err(Error::Records("the first one does not say whose they are".into()));
        };
        if *database != self.config.database {
            return Err(Error::ForeignDatabase { found: *database, expected: self.config.database });
        }
        if *role != self.config.role {
            return Err(Error::Records(format!("they are those of a replica in the role {role:?}")));
        }
        self.id = *replica;
        if *role == Role::Main {
            self.main = Some(*replica);
            self.owes_epoch = true;
        }
        for record in rest {
            match record {
                Record::Created { .. } => return Err(Error::Records("a second one says whose they are".into())),
                Record::Main(main) => self.main = Some(*main),
                Record::Base { base, kept, clock } => {
                    let origin = Now { monotonic: Instant::default(), wall_ms: 0 };
                    self.adopt_base(base.as_ref().clone(), kept.clone(), clock, &mut Batch::new(origin))?;
                }
                Record::Batch { log, clock } => {
                    log.iter().try_for_each(|record| self.restore_log(record))?;
                    self.clock = clock.clone();
                }
            }
        }
        Ok(())
    }

    fn restore_log(&mut self, record: &LogRecord) -> Result<(), Error> {
        let out_of_order = |what: String| Err(Error::Records(format!("{what} is out of order")));
        let origin = Now { monotonic: Instant::default(), wall_ms: 0 };
        let mut batch = Batch::new(origin);
        match record {
            LogRecord::Append(entry) => {
                let id = entry.change.id;
                let is_retry = self.log.failed_entry(id).is_ok();
                let is_known = self.log.seen().passes(id) && !is_retry;
                let is_next = is_retry || entry.lsn.is_none_or(|lsn| lsn == self.log.next_lsn());
                if is_known || !is_next || causal::missing(entry, &self.log).is_some() {
                    return out_of_order(format!("change {id}"));
                }
                self.log.check_history(&entry.change)?;
                self.check_ops(&entry.change)?;
                if self.is_for_main_to_decide(entry) {
                    self.propose(Arc::clone(&entry.change), &mut batch);
                } else {
                    self.apply(entry.clone(), &mut batch);
                }
            }
            LogRecord::Number { id, lsn } => {
                if self.log.get(*id).is_none() || self.log.lsn(*id).is_some() || *lsn != self.log.next_lsn() {
                    return out_of_order(format!("number {lsn}"));
                }
                self.number(*id, *lsn, &mut batch);
            }
            LogRecord::Ruling { ruling, lsn } => {
                if *lsn != self.log.next_lsn() {
                    return out_of_order(format!("ruling {lsn}"));
                }
                self.check_ruling(ruling, *lsn)?;
                self.rule(ruling.clone(), *lsn, &mut batch);
            }
            LogRecord::Fail { entry, problem } => {
                if !self.log.is_next(entry.change.id) || entry.lsn.is_some_and(|lsn| lsn != self.log.next_lsn()) {
                    return out_of_order(format!("change {}", entry.change.id));
                }
                self.log.check_history(&entry.change)?;
                self.fail(entry.clone(), problem.clone(), &mut batch);
            }
            LogRecord::Dismiss(id) => self.log.dismiss(*id),
            LogRecord::Acknowledged { through } => drop(self.queue.acknowledge_through(*through)),
            LogRecord::Prepared(proposal) => self.restore_prepared(proposal)?,
            LogRecord::RolledBack { tx, abort } => {
                self.conclude(*tx, Decision::RolledBack(abort.clone()), &mut batch);
            }
        }
        Ok(())
    }

    /// Takes an input. Outputs wait to be polled, also when the input is refused.
    ///
    /// # Errors
    /// What is wrong with the input. A refused transaction changes nothing; of a batch of changes, those before the bad
    /// one are kept.
    pub fn handle_input(&mut self, now: Now, input: Input) -> Result<(), Error> {
        if self.is_stopped {
            return Err(Error::Stopped);
        }
        if std::mem::take(&mut self.owes_epoch) {
            self.timers.insert(Timer::Epoch, now.monotonic.after(EPOCH_WINDOW));
        }
        self.resume_agreements(now);
        let result = match input {
            Input::Local(transaction) => self.submit(now, &transaction),
            Input::Receive { from, bytes } => self.receive(now, from, &bytes),
            Input::Import { source, clock, deliveries } => self.import(now, &source, &clock, deliveries),
            Input::Foreign(transactions) => {
                self.import_foreign(now, &transactions);
                Ok(())
            }
            Input::Connected(peer) => {
                if self.sessions.get(&peer).is_some_and(Session::is_established) {
                    self.note_disconnected(now, peer);
                }
                self.connect(now, peer);
                Ok(())
            }
            Input::Disconnected(peer) => {
                self.note_disconnected(now, peer);
                self.disconnect(peer);
                Ok(())
            }
            Input::Compact => self.ask_to_compact(now),
            Input::Retry(id) => self.retry(now, id),
            Input::Dismiss(id) => self.dismiss(id),
            Input::Timeout => {
                self.fire_timers(now);
                Ok(())
            }
            Input::PersistFailed if is_planted(Bug::PersistFailureIgnored) => Ok(()),
            Input::PersistFailed if self.abstain() => return Ok(()),
            Input::PersistFailed => {
                self.is_stopped = true;
                self.outputs.clear();
                self.timers.clear();
                return Ok(());
            }
            Input::StoreFailed if is_planted(Bug::StoreDoubtIgnored) => Ok(()),
            Input::StoreFailed => {
                self.outputs.push_back(Output::Rebuild(self.state.view()));
                Ok(())
            }
        };
        self.send_changes(now);
        result
    }

    /// The next thing to do; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        let is_transmit = |output: &Output| matches!(output, Output::Transmit { .. });
        if is_planted(Bug::TransmitBeforePersist)
            && let Some(place) = self.outputs.iter().position(is_transmit)
        {
            return self.outputs.remove(place).expect("it was just found");
        }
        let next_timer = || self.timers.values().min().copied();
        let output = self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(next_timer()));
        self.agreements.note_polled(&output);
        output
    }

    // ---- local changes ----

    fn submit(&mut self, now: Now, transaction: &Transaction) -> Result<(), Error> {
        let tx = transaction.tx;
        if self.agreements.is_undecided(tx) {
            return Err(Error::Undecided { tx });
        }
        if !transaction.participants.is_empty() {
            return self.begin_agreement(now, transaction);
        }
        let known = self.log.transaction(tx).or_else(|| self.log.rejected_transaction(tx, self.id));
        if let Some(id) = known.filter(|_| !is_planted(Bug::NoDuplicateCheck)) {
            self.outputs.push_back(Output::Notify(Notice::AlreadySubmitted { tx, id }));
            return Ok(());
        }
        let written = self.write(now, transaction).inspect_err(|_| {
            let statements = transaction.statements.iter().filter(|statement| statement.changes_schema());
            self.schema_statements_refused += statements.count() as u64;
        });
        let change = Arc::new(written?);
        let mut batch = Batch::new(now);
        let lsn = (self.config.role == Role::Main).then(|| self.log.next_lsn());
        self.apply(Entry { change, lsn }, &mut batch);
        self.clock.tick(self.id);
        self.commit(batch);
        Ok(())
    }

    fn write(&self, now: Now, transaction: &Transaction) -> Result<Change, Error> {
        let unknown = transaction.depends_on.iter().find(|id| !self.log.seen().contains(**id));
        if let Some(unknown) = unknown {
            return Err(Error::UnknownDependency(*unknown));
        }
        let has_main = self.config.role != Role::Peer;
        if transaction.is_strict && !has_main {
            return Err(Error::NeedsMain { what: "strict mode" });
        }
        let wall = transaction.created_at.unwrap_or_else(|| self.wall_time(now));
        let mut change = self.blank_change(transaction.tx, wall);
        change.depends_on.clone_from(&transaction.depends_on);
        change.ops = resolve(&self.state, &change, has_main, &transaction.statements)?;
        if self.config.role != Role::Main {
            self.queue.check_room(change.ops.len())?;
        }
        if transaction.participants.is_empty() {
            constraint::check_unprotected(self.state.schema(), &change.ops)?;
        }
        change.authority_epochs = self.authority_epochs_of(&change.ops);
        if transaction.is_strict {
            let elements: BTreeSet<&Element> = change.ops.iter().filter_map(Op::element).collect();
            let version = |element: &Element| RowVersion { element: element.clone(), lsn: self.state.version(element) };
            change.expects = elements.into_iter().map(version).collect();
        }
        let bytes = canonical_bytes(&change, Vec::new()).len();
        if bytes > CHANGE_BYTES_MAX {
            return Err(Error::TransactionTooLarge { bytes, max: CHANGE_BYTES_MAX });
        }
        Ok(change)
    }

    /// What a transaction would change in the view if it was submitted now. It changes nothing; a store makes a
    /// [`crate::store::plan::Plan`] of the answer, which tells the impact of a schema change before it runs (DDL
    /// Synchronisation, case B11).
    ///
    /// # Errors
    /// Those of the transaction.
    pub fn preview(&self, now: Now, transaction: &Transaction) -> Result<ViewDelta, Error> {
        let change = Arc::new(self.write(now, transaction)?);
        let (mut state, mut delta) = (self.state.clone(), Delta::default());
        delta.join_unnumbered(&mut state, &change);
        Ok(delta.finish(&state))
    }

    /// The wall clock, set to the main's time where it is known to be wrong.
    fn wall_time(&self, now: Now) -> WallTime {
        WallTime::from(now.wall_ms.saturating_add(self.clock_behind_ms))
    }

    /// The next own change, without operations.
    fn blank_change(&self, tx: TxId, wall: WallTime) -> Change {
        Change {
            id: ChangeId { replica: self.id, seq: self.log.seen().head(self.id) + 1 },
            tx,
            previous: self.log.last_digest(self.id),
            timestamp: self.timestamp.next(wall),
            link_epoch: self.link_epoch,
            authority_epochs: BTreeMap::new(),
            seen: self.log.seen().clone(),
            depends_on: Vec::new(),
            replaces: None,
            expects: Vec::new(),
            participants: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// The main raises the epoch of a table that prefers it with every write; the others stamp the largest they saw.
    fn authority_epochs_of(&self, ops: &[Op]) -> BTreeMap<TableId, u64> {
        let tables: BTreeSet<TableId> = ops.iter().filter_map(Op::element).map(Element::table).collect();
        let epoch = |table: TableId| {
            let known = self.authority_epochs.get(&table).copied().unwrap_or(0);
            let prefers_main = self.schema().table(table).is_some_and(TableState::prefers_main);
            let raises = self.config.role == Role::Main && prefers_main;
            if is_planted(Bug::MainAlwaysWins) && !raises {
                return (table, 0);
            }
            (table, if raises { known.saturating_add(1) } else { known })
        };
        tables.into_iter().map(epoch).filter(|(_, epoch)| *epoch > 0).collect()
    }

    /// Writes the own changes again that were rejected for their stamps, once no other own change is on its way, so that
    /// they keep their order.
    fn write_anew(&mut self, batch: &mut Batch) {
        if !self.queue.is_empty() {
            return;
        }
        for rejected in std::mem::take(&mut self.to_write_anew) {
            let Some(old) = self.log.get(rejected).cloned() else { continue };
            let mut change = self.blank_change(old.tx, self.wall_time(batch.now));
            change.depends_on.clone_from(&old.depends_on);
            change.replaces = Some(rejected);
            change.expects.clone_from(&old.expects);
            change.ops.clone_from(&old.ops);
            change.authority_epochs = self.authority_epochs_of(&change.ops);
            if let Err(error) = self.check_ops(&change) {
                let problem = error.to_string();
                batch.notices.push(match error {
                    // As the main would rule.
                    Error::Purged { .. } => Notice::Rejected { id: rejected, reason: Reason::Purged { problem } },
                    _ => Notice::Discarded { id: rejected, reason: problem },
                });
                continue;
            }
            let id = change.id;
            self.apply(Entry { change: Arc::new(change), lsn: None }, batch);
            batch.notices.push(Notice::WrittenAnew { rejected, id });
        }
    }

    // ---- what arrives ----

    fn receive(&mut self, now: Now, from: Peer, bytes: &[u8]) -> Result<(), Error> {
        let message = Message::decode(bytes)?;
        if let Message::Tagged { by, to, .. } = &message {
            if self.config.protocol < Protocol::V1_0 {
                let (length, problem) = (bytes.len(), "it bears a tag, of which this version knows nothing".to_owned());
                return Err(Error::Malformed { what: "message", length, problem });
            }
            if self.is_late(from, *by, *to) {
                self.outputs.push_back(Output::Notify(Notice::Late { peer: from }));
                return Ok(());
            }
        }
        self.take_message(now, from, message, bytes.len())
    }

    /// Whether a message is of another replica than the one in session, or for another than this.
    fn is_late(&self, from: Peer, by: Tag, to: Tag) -> bool {
        if is_planted(Bug::LateMessageBelieved) {
            return false;
        }
        let session = self.sessions.get(&from).map(|session| session.phase);
        let is_of_another = matches!(session, Some(Phase::Established { replica }) if Tag::of(replica) != by);
        is_of_another || to != Tag::of(self.id)
    }

    fn take_message(&mut self, now: Now, from: Peer, message: Message, bytes: usize) -> Result<(), Error> {
        match message {
            Message::Tagged { by, message, .. } => match *message {
                Message::Changes { clock, deliveries } => self.receive_changes(now, from, Some(by), &clock, deliveries),
                message => self.take_message(now, from, message, bytes),
            },
            Message::Hello(hello) => self.receive_hello(now, from, hello, bytes),
            Message::Unclear { key, differences_min } => {
                self.ask_again(now, from, bytes, |asking| asking.continue_after(&key, differences_min));
                Ok(())
            }
            Message::Changes { clock, deliveries } => self.receive_changes(now, from, None, &clock, deliveries),
            Message::Ack(cursor) => {
                self.greet_stranger(now, from);
                self.advance(now, from, &cursor);
                Ok(())
            }
            Message::TwoPhase(letter) => {
                self.receive_letter(now, from, *letter);
                Ok(())
            }
            Message::Offer { manifest, in_place_of } => self.receive_offer(now, from, manifest, in_place_of),
            Message::Want { chunks } => {
                self.receive_want(now, from, &chunks);
                Ok(())
            }
            Message::Chunk { last, clock, bytes } => self.receive_chunk(now, from, last, clock, bytes),
            Message::Refused(reason) => {
                if let Some(older) = self.version_asked_for(&reason) {
                    self.speak(now, from, older);
                    return Ok(());
                }
                self.end_session(from);
                self.outputs.push_back(Output::Notify(Notice::Refused { peer: from, reason }));
                Ok(())
            }
        }
    }

    fn receive_hello(&mut self, now: Now, from: Peer, mut hello: Hello, bytes: usize) -> Result<(), Error> {
        match self.check_hello(&hello) {
            Ok(()) => {}
            // It may be late, and of a peer that by now talks in a version that both speak: that goes on.
            Err(error @ Error::ProtocolVersion { .. }) => {
                self.transmit(from, &Message::Refused(error.to_string()));
                return Err(error);
            }
            Err(error) => return self.refuse(from, hello_tag(&hello), error),
        }
        let mut answer = Told::Whole;
        let mut summary_key = None;
        match std::mem::take(&mut hello.heads) {
            Told::Whole => {}
            Told::Summary(summary) => match summary.compare(self.log.seen()) {
                Some(Compared::Clear { theirs, answer: difference }) => {
                    hello.cursor.seen = theirs;
                    summary_key = Some(difference.key);
                    answer = Told::Difference(difference);
                }
                compared => {
                    let differences_min = match compared {
                        Some(Compared::Unclear { differences_min }) => differences_min,
                        _ => u64::MAX,
                    };
                    self.transmit(from, &Message::Unclear { key: summary.key, differences_min });
                    return Ok(());
                }
            },
            Told::Difference(difference) => {
                let Some(session) = self.sessions.get_mut(&from) else { return Ok(()) };
                session.asking.note_bytes(bytes);
                match session.asking.conclude(&difference) {
                    Ok((theirs, cost)) => {
                        hello.cursor.seen = theirs;
                        let differences = (difference.gone.len() + difference.heads.len()) as u64;
                        let notice = Notice::Compared { peer: from, differences, cost };
                        self.outputs.push_back(Output::Notify(notice));
                    }
                    Err(is_wrong) => {
                        self.ask_again(now, from, 0, |_| is_wrong);
                        return Ok(());
                    }
                }
            }
        }
        if let Err(error) = self.check_hello(&hello) {
            return self.refuse(from, hello_tag(&hello), error);
        }
        if hello.role == Role::Main && self.main.is_none() {
            self.main = Some(hello.replica);
            self.outputs.push_back(Output::Persist(Record::Main(hello.replica)));
        }
        if let Some(seq) = self.queue.seqs().next().filter(|_| summary_key.is_some() && self.config.role == Role::Peer)
        {
            // A summary may be mistaken and is no acknowledgement. What waits for one is sent again, to be given one.
            hello.cursor.seen.forget_from(ChangeId { replica: self.id, seq });
        }
        let resync_reason = self.resync_reason(&hello);
        // Who merely lacks what is forgotten can tell by the snapshot itself.
        let refused = resync_reason.filter(|reason| *reason != ResyncReason::Compacted).and(hello.tip);
        let session = self.sessions.entry(from).or_default();
        session.note_refused_tip(refused, &hello.cursor);
        let greeted = session.greeted.take().filter(|_| hello.is_reply);
        let is_news = session.establish(hello.replica, &hello.cursor, hello.is_reply);
        let strategy = session.gauge.strategy();
        if let Some(greeted) = greeted {
            session.gauge.note_answer(greeted, now.monotonic, 0);
        }
        let protocol = spoken(&hello).unwrap_or(Protocol::V0_9);
        let speaks_otherwise = std::mem::replace(&mut session.protocol, protocol) != protocol;
        if let Some(key) = summary_key {
            session.learn_summary(key, &hello.cursor);
        }
        self.note_strategy(from, strategy);
        self.timers.remove(&Timer::Greet(from));
        if is_news || !hello.is_reply {
            self.timers.remove(&Timer::Resend(from));
        }
        if is_news || speaks_otherwise {
            let (protocol_version, mode) = (protocol.name().to_owned(), hello.mode);
            let notice = Notice::Established { peer: from, replica: hello.replica, protocol_version, mode };
            self.outputs.push_back(Output::Notify(notice));
        }
        if let Some(reason) = resync_reason {
            self.outputs.push_back(Output::Notify(Notice::ResyncRequired { peer: from, reason }));
        }
        if is_news {
            self.ask_for_decisions(now, from);
        }
        if summary_key.is_none() {
            self.acknowledge_held(&hello.cursor);
        }
        self.note_held_by(now, from, &hello.cursor);
        if !hello.is_reply {
            let reply = self.hello(protocol, answer, true);
            self.transmit(from, &reply);
        }
        Ok(())
    }

    /// The older version that a peer speaks which refused this replica's, in the words of [`Error::ProtocolVersion`].
    fn version_asked_for(&self, reason: &str) -> Option<Protocol> {
        let found = self.config.protocol.name().to_owned();
        let older = Protocol::ALL.into_iter().filter(|older| *older < self.config.protocol);
        older.rev().find(|older| {
            let (found, expected) = (found.clone(), older.name().to_owned());
            Error::ProtocolVersion { found, expected }.to_string() == reason
        })
    }

    /// Says hello again, in an older version.
    fn speak(&mut self, now: Now, peer: Peer, protocol: Protocol) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            *session = Session::speaking(protocol);
            self.timers.remove(&Timer::Resend(peer));
            self.greet(now, peer);
        }
    }

    /// Why a replica that says hello has to take a snapshot in the place of all numbers it knows, if it has to.
    fn resync_reason(&self, hello: &Hello) -> Option<ResyncReason> {
        if self.config.role != Role::Main || spoken(hello) < Some(Protocol::V1_0) {
            return None;
        }
        let has_failed = hello.cursor.seen.gaps().any(|gap| self.log.is_in_base(gap));
        let failed = || has_failed.then_some(ResyncReason::Failed);
        hello.tip.and_then(|tip| self.log.check_tip(tip).err()).or_else(failed)
    }

    fn check_hello(&self, hello: &Hello) -> Result<(), Error> {
        if spoken(hello).is_none_or(|protocol| protocol > self.config.protocol) {
            let (found, expected) = (hello.protocol_version.clone(), self.config.protocol.name().to_owned());
            return Err(Error::ProtocolVersion { found, expected });
        }
        // Before snapshots there was nothing in which to tell an edge what a compacted log begins with.
        if self.config.role == Role::Main && self.log.cut() > 0 && spoken(hello) < Some(Protocol::V1_0) {
            let (found, expected) = (hello.protocol_version.clone(), Protocol::V1_0.name().to_owned());
            return Err(Error::ProtocolVersion { found, expected });
        }
        // Nobody can hold more of this replica's changes than it has written, unless a copy of it wrote them.
        let is_clone = hello.cursor.seen.head(self.id) > self.log.seen().head(self.id);
        if hello.database == self.config.database && is_clone {
            return Err(Error::ClonedReplica { replica: self.id });
        }
        self.check_peer(hello.database, hello.replica, hello.role)
    }

    /// Whether a replica is one to exchange changes with.
    fn check_peer(&self, database: DatabaseId, replica: ReplicaId, role: Role) -> Result<(), Error> {
        if database != self.config.database {
            return Err(Error::ForeignDatabase { found: database, expected: self.config.database });
        }
        if replica == self.id {
            return Err(Error::ClonedReplica { replica });
        }
        match (role, self.main) {
            (Role::Main, Some(main)) if main != replica => Err(Error::ForeignMain { found: replica, expected: main }),
            (Role::Peer, _) if self.config.role == Role::Peer => Ok(()),
            (Role::Main, _) if self.config.role == Role::Edge => Ok(()),
            (Role::Edge, _) if self.config.role == Role::Main => Ok(()),
            (found, _) => Err(Error::MixedRoles { found, expected: self.config.role }),
        }
    }

    fn receive_changes(
        &mut self,
        now: Now,
        from: Peer,
        by: Option<Tag>,
        clock: &VectorClock,
        deliveries: Vec<Delivery>,
    ) -> Result<(), Error> {
        if self.sessions.get(&from).is_some_and(|session| session.phase == Phase::Refused) {
            // What it was told before was lost. Whoever is at its address by now is not to believe it.
            let reason = "the session was ended before; connect again".to_owned();
            self.transmit_tagged(from, by, Message::Refused(reason));
            return Ok(());
        }
        if !self.sessions.get(&from).is_some_and(Session::is_established) {
            self.greet_stranger(now, from);
            return Ok(());
        }
        if self.sessions.get(&from).is_some_and(|session| session.refused_tip().is_some()) {
            // What it sends bears numbers of another history. Once it has the main's it sends what is left of it again.
            return Ok(());
        }
        let sent = seen_in(&deliveries);
        if let Err(error) = self.take_in_all(now, clock, deliveries) {
            let to = self.tag_of(from);
            return self.refuse(from, to, error);
        }
        self.acknowledge_sent(now, from, sent);
        self.take_in_chunks_that_follow(now, from)
    }

    /// Takes in what a peer sent, as one batch; what came before something bad is kept.
    fn take_in_all(&mut self, now: Now, clock: &VectorClock, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let mut batch = Batch::new(now);
        let result = deliveries.into_iter().try_for_each(|delivery| self.take_in(delivery, &mut batch));
        self.commit_received(clock, batch);
        result
    }

    /// Tells a peer what is held here of what it sent. What it sends it holds, with all its author wrote before.
    fn acknowledge_sent(&mut self, now: Now, from: Peer, seen: Seen) {
        let sent = Cursor { seen, lsn: 0 };
        self.advance(now, from, &sent);
        self.transmit_tagged(from, self.tag_of(from), Message::Ack(self.held_of(&sent)));
    }

    /// Commits what came from another replica, with its clock.
    fn commit_received(&mut self, clock: &VectorClock, mut batch: Batch) {
        self.write_anew(&mut batch);
        if is_planted(Bug::RemoteLoggedAgain) {
            self.log_again(&mut batch);
        }
        if !batch.records.is_empty() {
            self.clock.merge(&clock.of(self.log.seen()));
            self.clock.tick(self.id);
        }
        self.commit(batch);
    }

    /// What is held, as an acknowledgement of what was sent: of many authors, only those of `sent`.
    fn held_of(&self, sent: &Cursor) -> Cursor {
        let held = self.log.cursor();
        if held.seen.heads().count() > self.config.whole_heads_max { held.of_authors(&sent.seen) } else { held }
    }

    /// What only a planted bug does.
    fn log_again(&mut self, batch: &mut Batch) {
        let foreign = |record: &LogRecord| match record {
            LogRecord::Append(Entry { change, .. }) if change.depends_on.is_empty() => Some(Arc::clone(change)),
            _ => None,
        };
        let own = self.id;
        let foreign = batch.records.iter().filter_map(foreign).filter(|change| change.id.replica != own);
        for original in foreign.collect::<Vec<_>>() {
            let mut change = self.blank_change(original.tx, self.wall_time(batch.now));
            change.depends_on = vec![original.id];
            change.ops.clone_from(&original.ops);
            let lsn = (self.config.role == Role::Main).then(|| self.log.next_lsn());
            self.apply(Entry { change: Arc::new(change), lsn }, batch);
        }
    }

    /// Takes a change or a ruling in, and then what waited for it.
    fn take_in(&mut self, delivery: Delivery, batch: &mut Batch) -> Result<(), Error> {
        match delivery {
            Delivery::Change(entry) => self.take_in_change(entry, batch)?,
            Delivery::Ruling { ruling, lsn } => self.take_in_ruling(ruling, lsn, batch)?,
        }
        while let Some(released) = self.causal.release(&self.log) {
            match released {
                Released::Doomed(entry, error) => self.refuse_change(entry, error.to_string(), batch),
                Released::Ready(Delivery::Ruling { ruling, lsn }) => {
                    // Whoever sent what it waited for is not to blame.
                    if self.check_ruling(&ruling, lsn).is_ok() {
                        self.rule(ruling, lsn, batch);
                    }
                }
                Released::Ready(Delivery::Change(entry)) => {
                    let id = entry.change.id;
                    if is_planted(Bug::VersionTwice) && entry.change.kind() == ChangeKind::Ddl {
                        self.state.count_schema_twice();
                    }
                    // While it waited, its number may have gone to another.
                    let result = self.check_number(&entry).and_then(|()| self.admit(entry, batch));
                    if let Err(error) = result {
                        batch.notices.push(Notice::Discarded { id, reason: error.to_string() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies a change, or keeps it until its causes are applied.
    fn take_in_change(&mut self, entry: Entry, batch: &mut Batch) -> Result<(), Error> {
        let id = entry.change.id;
        self.log.check_history(&entry.change)?;
        self.check_number(&entry)?;
        if is_planted(Bug::EpochOnReceipt) {
            self.merge_epochs(&entry.change);
        }
        let is_known = self.log.seen().passes(id) && entry.lsn.is_none_or(|lsn| lsn <= self.log.lsn_known());
        if is_known {
            batch.notices.push(Notice::Repeated { id });
            return Ok(());
        }
        if causal::missing(&entry, &self.log).is_some() {
            if self.causal.hold(entry, &self.log) {
                batch.notices.push(Notice::Held { id });
            }
            return Ok(());
        }
        self.admit(entry, batch)
    }

    fn take_in_ruling(&mut self, ruling: Ruling, lsn: Lsn, batch: &mut Batch) -> Result<(), Error> {
        let foreign = || Error::ForeignNumber { what: "a ruling".to_owned(), lsn };
        if self.config.role != Role::Edge {
            return Err(foreign());
        }
        if lsn <= self.log.lsn_known() {
            let known = self.log.delivery(lsn);
            if known.is_none() && (1..=self.log.cut()).contains(&lsn) {
                // It was forgotten.
                return Ok(());
            }
            return if known == Some(Delivery::Ruling { ruling, lsn }) { Ok(()) } else { Err(foreign()) };
        }
        if lsn > self.log.next_lsn() {
            self.causal.hold_ruling(ruling, lsn);
            return Ok(());
        }
        self.check_ruling(&ruling, lsn)?;
        self.rule(ruling, lsn, batch);
        Ok(())
    }

    /// Refuses a rejection of what has a number already, or of what is not its author's next.
    fn check_ruling(&self, ruling: &Ruling, lsn: Lsn) -> Result<(), Error> {
        let Ruling::Rejection(rejection) = ruling else { return Ok(()) };
        let id = rejection.change;
        let is_unnumbered = self.log.get(id).is_some() && self.log.lsn(id).is_none();
        if is_unnumbered || self.log.is_next(id) {
            return Ok(());
        }
        Err(Error::ForeignNumber { what: format!("a rejection of change {id}"), lsn })
    }

    /// Numbers come from the database's main and never change.
    fn check_number(&self, entry: &Entry) -> Result<(), Error> {
        let Some(lsn) = entry.lsn else { return Ok(()) };
        if lsn <= self.log.cut() && self.log.delivery(lsn).is_none() && self.log.is_in_base(entry.change.id) {
            // It was forgotten.
            return Ok(());
        }
        let is_ours = match self.config.role {
            Role::Main => self.log.lsn(entry.change.id) == Some(lsn),
            Role::Edge => match self.log.lsn(entry.change.id) {
                Some(known) => known == lsn,
                None => lsn > self.log.lsn_known(),
            },
            Role::Peer => false,
        };
        if is_ours {
            return Ok(());
        }
        Err(Error::ForeignNumber { what: format!("change {}", entry.change.id), lsn })
    }

    /// Deals with a change whose causes are applied: applies it, gives a known one its number, or refuses it.
    fn admit(&mut self, entry: Entry, batch: &mut Batch) -> Result<(), Error> {
        let id = entry.change.id;
        if self.log.seen().passes(id) {
            if let Some(lsn) = entry.lsn.filter(|lsn| *lsn == self.log.next_lsn() && self.log.lsn(id).is_none()) {
                self.number(id, lsn, batch);
            }
            return Ok(());
        }
        self.log.check_history(&entry.change)?;
        if self.config.role != Role::Main {
            match self.check_ops(&entry.change) {
                Ok(()) => self.apply(entry, batch),
                Err(error) => self.fail(entry, error.to_string(), batch),
            }
        } else if let Some(reason) = self.objection(&entry.change, batch.now) {
            self.reject(&entry.change, reason, batch);
        } else {
            let lsn = Some(self.log.next_lsn());
            self.apply(Entry { lsn, ..entry }, batch);
        }
        Ok(())
    }

    /// What the main has against a change of another replica whose causes are applied.
    fn objection(&self, change: &Change, now: Now) -> Option<Reason> {
        if change.is_agreed() && self.agreements.is_rolled_back(change.tx) {
            return Some(Reason::RolledBack);
        }
        if let Some(of) = self.log.transaction(change.tx).filter(|_| !is_planted(Bug::NoDuplicateCheckAtMain)) {
            return Some(Reason::Duplicate { of });
        }
        let main_ms = now.wall_ms.max(self.timestamp.ms);
        if change.timestamp.ms.saturating_sub(main_ms) > self.config.drift_ms_max {
            return Some(Reason::Drift { main_ms });
        }
        if let Err(error) = change.ddls().try_for_each(|(_, ddl)| self.schema().check_purged(ddl)) {
            return Some(Reason::Purged { problem: error.to_string() });
        }
        if !self.log.has_seen_base(&change.seen) && !is_planted(Bug::CompactedAccepted) {
            let outdated = change.expects.iter().find(|row| self.state.version(&row.element) != row.lsn);
            return Some(match outdated {
                Some(RowVersion { element, lsn }) => {
                    let found = self.state.version(element);
                    Reason::VersionMismatch { element: element.clone(), expected: *lsn, found }
                }
                None => Reason::Compacted { cut: self.log.cut() },
            });
        }
        if let Err(error) = self.check_ops(change) {
            let is_cause = |cause: &&Rejection| {
                cause.reason.is_written_anew() && cause.change.replica == change.id.replica && change.replaces.is_none()
            };
            return Some(match self.log.rejections().filter(is_cause).last() {
                Some(cause) => Reason::Follows { rejected: cause.change, main_ms },
                None => Reason::Invalid { problem: error.to_string() },
            });
        }
        let checked = match change.is_agreed() {
            true => constraint::check(&self.state, &change.seen, &change.ops),
            false => constraint::check_unprotected(self.state.schema(), &change.ops),
        };
        if let Err(error) = checked {
            return Some(Reason::Constraint { problem: error.to_string() });
        }
        change.expects.iter().find_map(|RowVersion { element, lsn }| {
            let found = self.unseen_version(element, *lsn, change)?;
            Some(Reason::VersionMismatch { element: element.clone(), expected: *lsn, found })
        })
    }

    /// The last change to a row after version `expected` that the author of `change` had not seen.
    fn unseen_version(&self, element: &Element, expected: Lsn, change: &Change) -> Option<Lsn> {
        let last = self.state.version(element);
        (expected.saturating_add(1)..=last).rev().find(|lsn| {
            let Some(Delivery::Change(Entry { change: other, .. })) = self.log.delivery(*lsn) else { return false };
            !change.seen.contains(other.id) && other.ops.iter().any(|op| op.element() == Some(element))
        })
    }

    /// A change that cannot be applied: the main rejects it, and so it is for everybody; elsewhere it is passed and listed.
    fn refuse_change(&mut self, entry: Entry, problem: String, batch: &mut Batch) {
        if self.config.role == Role::Main {
            self.reject(&entry.change, Reason::Invalid { problem }, batch);
        } else {
            self.fail(entry, problem, batch);
        }
    }

    fn reject(&mut self, change: &Change, reason: Reason, batch: &mut Batch) {
        let rejection = Rejection { change: change.id, tx: change.tx, digest: change.digest(), reason };
        self.rule(Ruling::Rejection(Box::new(rejection)), self.log.next_lsn(), batch);
    }

    fn fail(&mut self, entry: Entry, problem: String, batch: &mut Batch) {
        let id = entry.change.id;
        self.log.fail(Arc::clone(&entry.change), problem.clone());
        if let Some(lsn) = entry.lsn {
            self.log.number(id, lsn);
        }
        batch.records.push(LogRecord::Fail { entry, problem: problem.clone() });
        batch.notices.push(Notice::Failed { id, problem });
    }

    /// Puts a change whose causes are applied into log, state and audit.
    fn apply(&mut self, entry: Entry, batch: &mut Batch) {
        let Entry { change, lsn } = &entry;
        let (id, lsn) = (change.id, *lsn);
        if id.replica == self.id || !is_planted(Bug::ClockNotMerged) {
            self.timestamp = self.timestamp.max(change.timestamp);
        }
        self.merge_epochs(change);
        if let Some(rejected) = change.replaces {
            self.to_write_anew.remove(&rejected);
        }
        let ahead_ms = change.timestamp.ms.saturating_sub(batch.now.wall_ms);
        if self.config.role == Role::Peer && id.replica != self.id && ahead_ms > self.config.drift_ms_max {
            batch.notices.push(Notice::Drifted { id, ahead_ms });
        }
        let is_hidden = is_planted(Bug::Canary) && id.replica != self.id && inserts(change);
        match (lsn, self.config.role) {
            _ if is_hidden => {}
            (None, Role::Edge) if is_planted(Bug::UnnumberedInRegisters) => {
                batch.delta.join(&mut self.state, change, Place::UNNUMBERED);
            }
            (None, Role::Edge | Role::Main) => batch.delta.join_unnumbered(&mut self.state, change),
            (lsn, _) => self.join(change, lsn.unwrap_or(0), batch),
        }
        self.log.append(Arc::clone(change));
        if change.kind() == ChangeKind::Ddl {
            self.note_schema_head(id);
        }
        if id.replica == self.id && self.config.role != Role::Main {
            self.queue.push(id.seq, change.ops.len(), self.log.change_bytes(id));
        }
        self.note_author_holds(id);
        let is_forgotten = is_planted(Bug::LsnInMemory) && self.config.role == Role::Main;
        let durable_lsn = entry.lsn.filter(|_| !is_forgotten);
        batch.records.push(LogRecord::Append(Entry { lsn: durable_lsn, ..entry.clone() }));
        let change = Arc::clone(&entry.change);
        batch.notices.push(Notice::Applied { entry });
        if let Some(lsn) = lsn.filter(|_| self.log.lsn(id).is_none()) {
            self.log.number(id, lsn);
            self.acknowledge(id, batch);
        }
        if change.is_agreed() && !self.is_for_main_to_decide(&Entry { change: Arc::clone(&change), lsn }) {
            self.conclude(change.tx, Decision::Committed(id), batch);
        }
    }

    fn note_schema_head(&mut self, id: ChangeId) {
        let head = self.schema_heads.entry(id.replica).or_default();
        *head = id.seq.max(*head);
    }

    /// Joins a change for good.
    fn join(&mut self, change: &Arc<Change>, lsn: Lsn, batch: &mut Batch) {
        self.timestamp_numbered = self.timestamp_numbered.max(change.timestamp);
        batch.delta.join(&mut self.state, change, lsn);
        let found = self.audit.record(change, lsn, self.state.numbered_schema());
        batch.found(found);
    }

    /// Epochs count from the moment in which what they come with is applied: what was only received was not seen.
    fn merge_epochs(&mut self, change: &Change) {
        self.link_epoch = self.link_epoch.max(change.link_epoch);
        for (table, epoch) in &change.authority_epochs {
            let known = self.authority_epochs.entry(*table).or_insert(0);
            *known = (*known).max(*epoch);
        }
    }

    /// Whoever wrote a change need not be sent it, nor anything its author wrote before.
    fn note_author_holds(&mut self, id: ChangeId) {
        let held = Cursor { seen: [id].into_iter().collect(), lsn: 0 };
        let author = Phase::Established { replica: id.replica };
        let sessions = self.sessions.values_mut().filter(|session| session.phase == author);
        sessions.for_each(|session| session.note_held(&held));
    }

    fn number(&mut self, id: ChangeId, lsn: Lsn, batch: &mut Batch) {
        if self.log.is_proposed(id) {
            return self.adopt(id, lsn, batch);
        }
        self.log.number(id, lsn);
        if let Some(change) = self.log.get(id).filter(|_| self.log.is_applied(id)).cloned() {
            self.timestamp_numbered = self.timestamp_numbered.max(change.timestamp);
            batch.delta.number(&mut self.state, &change, lsn);
            let found = self.audit.record(&change, lsn, self.state.numbered_schema());
            batch.found(found);
        }
        batch.records.push(LogRecord::Number { id, lsn });
        batch.notices.push(Notice::Numbered { id, lsn });
        self.acknowledge(id, batch);
    }

    /// Puts a ruling into the log and does what it says.
    fn rule(&mut self, ruling: Ruling, lsn: Lsn, batch: &mut Batch) {
        if let Some(change) = self.log.rule(ruling.clone(), lsn) {
            batch.delta.retract(&mut self.state, &change);
        }
        match &ruling {
            Ruling::Epoch(epoch) => self.link_epoch = self.link_epoch.max(*epoch),
            Ruling::Compaction(cut) => self.take_compaction(*cut),
            Ruling::RolledBack(rolled_back) => {
                self.conclude(rolled_back.tx, Decision::RolledBack(rolled_back.abort.clone()), batch);
            }
            Ruling::Rejection(rejection) => {
                self.causal.forget(rejection.change);
                self.note_rejection(rejection, batch);
                if rejection.change.replica == self.id {
                    self.take_rejection(rejection, batch);
                }
            }
        }
        if matches!(ruling, Ruling::Rejection(_)) {
            self.compact();
        }
        if !is_planted(Bug::RulingInMemory) {
            batch.records.push(LogRecord::Ruling { ruling: ruling.clone(), lsn });
        }
        batch.notices.push(Notice::Ruled { ruling, lsn });
    }

    /// An own change is void: it leaves the queue, and its stamp no longer counts.
    fn take_rejection(&mut self, rejection: &Rejection, batch: &mut Batch) {
        let id = rejection.change;
        self.queue.acknowledge(id.seq);
        let unnumbered = self.queue.seqs().filter_map(|seq| self.log.get(ChangeId { seq, ..id }));
        self.timestamp = unnumbered.map(|change| change.timestamp).fold(self.timestamp_numbered, Timestamp::max);
        if let Reason::Drift { main_ms } | Reason::Follows { main_ms, .. } = rejection.reason {
            self.clock_behind_ms = main_ms.saturating_sub(batch.now.wall_ms);
        }
        let is_agreed = self.log.get(id).is_some_and(|change| change.is_agreed());
        if rejection.reason.is_written_anew() && !is_agreed && !is_planted(Bug::RejectedForgotten) {
            self.to_write_anew.insert(id);
        }
        batch.notices.push(Notice::Rejected { id, reason: rejection.reason.clone() });
    }

    fn retry(&mut self, now: Now, id: ChangeId) -> Result<(), Error> {
        let entry = self.log.failed_entry(id)?;
        self.check_ops(&entry.change)?;
        let mut batch = Batch::new(now);
        self.apply(entry, &mut batch);
        // What had failed because it names something that this one makes.
        let can_be_applied = |replica: &Replica, id: &ChangeId| {
            replica.log.failed_entry(*id).ok().filter(|entry| replica.check_ops(&entry.change).is_ok())
        };
        loop {
            let failed: Vec<ChangeId> = self.log.failed().map(|(id, _)| id).collect();
            let Some(entry) = failed.iter().find_map(|id| can_be_applied(self, id)) else { break };
            self.apply(entry, &mut batch);
        }
        self.commit(batch);
        Ok(())
    }

    fn dismiss(&mut self, id: ChangeId) -> Result<(), Error> {
        self.log.failed_entry(id)?;
        self.log.dismiss(id);
        let log = vec![LogRecord::Dismiss(id)];
        self.outputs.push_back(Output::Persist(Record::Batch { log, clock: self.clock.clone() }));
        Ok(())
    }

    fn acknowledge(&mut self, id: ChangeId, batch: &mut Batch) {
        if id.replica == self.id && (self.queue.acknowledge(id.seq) || self.config.role == Role::Main) {
            batch.notices.push(Notice::Acknowledged { id });
        }
    }

    /// Refuses a change that names what does not exist here although all its causes are applied.
    fn check_ops(&self, change: &Change) -> Result<(), Error> {
        let mut schema = std::borrow::Cow::Borrowed(self.state.schema());
        for (rank, op) in change.ranked_ops() {
            schema.check_op(op)?;
            if let Op::Schema(ddl) = op {
                schema.to_mut().join(rank, &change.seen, ddl);
            }
        }
        Ok(())
    }

    /// One record, one delta, then the notices: everything an input brought, all or nothing.
    fn commit(&mut self, batch: Batch) {
        let Batch { records, delta, notices, .. } = batch;
        if !records.is_empty() {
            self.outputs.push_back(Output::Persist(Record::Batch { log: records, clock: self.clock.clone() }));
        }
        let delta = delta.finish(&self.state);
        if !delta.is_empty() {
            self.outputs.push_back(Output::View(delta));
        }
        self.outputs.extend(notices.into_iter().map(Output::Notify));
    }

    // ---- sessions ----

    fn connect(&mut self, now: Now, peer: Peer) {
        self.sessions.insert(peer, Session::speaking(self.config.protocol));
        self.timers.remove(&Timer::Resend(peer));
        self.timers.remove(&Timer::Probe(peer));
        self.timers.remove(&Timer::Fetch(peer));
        self.greet(now, peer);
    }

    /// When replicas disconnect, the main begins a new epoch: one for all that do so within a window, at its end.
    fn note_disconnected(&mut self, now: Now, peer: Peer) {
        // A session still in its handshake may be a connection that had broken unnoticed.
        let was_connected = self.sessions.get(&peer).is_some_and(|session| session.phase != Phase::Refused);
        if self.config.role == Role::Main && was_connected {
            if is_planted(Bug::EpochDropped) && !self.timers.contains_key(&Timer::Epoch) {
                let mut batch = Batch::new(now);
                self.rule(Ruling::Epoch(self.link_epoch + 1), self.log.next_lsn(), &mut batch);
                self.commit(batch);
            }
            self.timers.entry(Timer::Epoch).or_insert(now.monotonic.after(EPOCH_WINDOW));
        }
    }

    fn disconnect(&mut self, peer: Peer) {
        self.sessions.remove(&peer);
        for timer in [Timer::Greet(peer), Timer::Resend(peer), Timer::Probe(peer), Timer::Fetch(peer)] {
            self.timers.remove(&timer);
        }
    }

    /// Whoever talks without a session takes one for established that this side has ended. What it sends comes again after
    /// the handshake.
    fn greet_stranger(&mut self, now: Now, peer: Peer) {
        if !self.sessions.contains_key(&peer) {
            self.connect(now, peer);
        }
    }

    fn greet(&mut self, now: Now, peer: Peer) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        self.timers.insert(Timer::Greet(peer), now.monotonic.after(resend_after(session.attempt)));
        session.greeted = (session.attempt == 0).then_some(now.monotonic);
        session.attempt += 1;
        self.keys_drawn += 1;
        let key = Digest::of(&[b"session", &self.secret.0, &self.keys_drawn.to_le_bytes()]).0;
        let told = session.asking.tell(self.log.seen(), key, self.config.whole_heads_max);
        let protocol = session.protocol;
        let hello = self.hello(protocol, told, false).encode();
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.asking.note_bytes(hello.len());
        }
        self.outputs.push_back(Output::Transmit { to: peer, bytes: hello });
    }

    /// Tells a peer anew what is held here, if what it said last shows that it did not understand.
    fn ask_again(&mut self, now: Now, peer: Peer, bytes: usize, is_due: impl FnOnce(&mut Asking) -> bool) {
        let Some(session) = self.sessions.get_mut(&peer).filter(|session| session.phase == Phase::Greeting) else {
            return;
        };
        session.asking.note_bytes(bytes);
        if is_due(&mut session.asking) {
            self.greet(now, peer);
        }
    }

    fn hello(&self, protocol: Protocol, heads: Told, is_reply: bool) -> Message {
        let mut cursor = self.log.cursor();
        if heads != Told::Whole {
            cursor.seen = Seen::default();
        }
        Message::Hello(Hello {
            protocol_version: protocol.name().to_owned(),
            mode: SyncMode::Incremental,
            database: self.config.database,
            replica: self.id,
            role: self.config.role,
            cursor,
            tip: (self.config.role == Role::Edge).then(|| self.log.tip()),
            schema_version: self.state.schema().version().operations,
            heads,
            is_reply,
        })
    }

    /// The peer holds `cursor`.
    fn advance(&mut self, now: Now, from: Peer, cursor: &Cursor) {
        let Some(session) = self.sessions.get_mut(&from).filter(|session| session.is_established()) else { return };
        let is_news = session.advance(cursor);
        let strategy = session.gauge.strategy();
        session.note_answer(now.monotonic);
        if !session.is_in_flight() {
            self.timers.remove(&Timer::Resend(from));
        } else if is_news {
            self.timers.insert(Timer::Resend(from), now.monotonic.after(session.resend_after()));
        }
        self.note_strategy(from, strategy);
        self.acknowledge_held(cursor);
        self.note_held_by(now, from, cursor);
    }

    /// With a main, what a replica holds tells what can be forgotten.
    fn note_held_by(&mut self, now: Now, peer: Peer, cursor: &Cursor) {
        let Some(session) = self.sessions.get(&peer).filter(|_| self.config.role == Role::Main) else { return };
        if let Phase::Established { replica } = session.phase {
            let is_older = session.protocol < Protocol::V1_0;
            self.note_heard(now, replica, (!is_older).then_some(cursor));
        }
    }

    /// Without a main, what another replica holds durably is acknowledged.
    fn acknowledge_held(&mut self, cursor: &Cursor) {
        if self.config.role != Role::Peer {
            return;
        }
        let acknowledged = self.queue.acknowledge_through(cursor.seen.head(self.id));
        let Some(&through) = acknowledged.last() else { return };
        let log = vec![LogRecord::Acknowledged { through }];
        self.outputs.push_back(Output::Persist(Record::Batch { log, clock: self.clock.clone() }));
        for seq in acknowledged {
            let id = ChangeId { replica: self.id, seq };
            self.outputs.push_back(Output::Notify(Notice::Acknowledged { id }));
        }
    }

    fn refuse(&mut self, peer: Peer, to: Option<Tag>, error: Error) -> Result<(), Error> {
        self.transmit_tagged(peer, to, Message::Refused(error.to_string()));
        self.end_session(peer);
        Err(error)
    }

    fn end_session(&mut self, peer: Peer) {
        self.disconnect(peer);
        self.sessions.insert(peer, Session::refused());
    }

    /// Sends every established peer what it lacks and is not on its way to it yet.
    fn send_changes(&mut self, now: Now) {
        if is_planted(Bug::WaitsForAll) && self.sessions.values().any(Session::is_in_flight) {
            return;
        }
        let peers: Vec<Peer> = self.sessions.keys().copied().collect();
        for peer in peers {
            while self.send_batch(now, peer) {}
        }
    }

    /// Sends one peer its next batch. Says whether there was one.
    fn send_batch(&mut self, now: Now, peer: Peer) -> bool {
        if self.offers_snapshot(now, peer) {
            return false;
        }
        let by_number = self.config.role == Role::Main;
        let Some(session) = self.sessions.get_mut(&peer) else { return false };
        let Some(after) = session.sendable_after() else { return false };
        let strategy = session.gauge.strategy();
        let mut deliveries = self.log.lacking(after, by_number, strategy.batch_limits());
        if strategy == Strategy::PriorityBased && !self.config.critical_tables.is_empty() {
            let lacking = self.log.lacking(after, by_number, BatchLimits::NONE);
            self.hold_back(now, peer, &lacking, &mut deliveries);
        } else if let Some(session) = self.sessions.get_mut(&peer) {
            session.is_held_back = false;
        }
        let Some(last) = deliveries.last() else { return false };
        let lsn = last.lsn().filter(|_| by_number).unwrap_or(0);
        let mut clock = self.clock.clone();
        if self.log.seen().heads().count() > self.config.whole_heads_max {
            let writers = deliveries.iter().filter_map(change_of).chain([ChangeId { replica: self.id, seq: 1 }]);
            clock = clock.of(&writers.collect());
        }
        let sent = Cursor { seen: seen_in(&deliveries), lsn };
        let message = self.tagged(self.tag_of(peer), Message::Changes { clock, deliveries });
        let bytes = message.encode_with(strategy.compression());
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.measure(now.monotonic, bytes.len(), &sent);
            session.note_sent(&sent);
            let resend_at = now.monotonic.after(session.resend_after());
            self.timers.entry(Timer::Resend(peer)).or_insert(resend_at);
        }
        self.outputs.push_back(Output::Transmit { to: peer, bytes });
        true
    }

    /// Over a slow link goes what critical tables need: the changes to them and all before these. The rest waits, but for a
    /// batch now and then that tries whether the link has become faster.
    fn hold_back(&mut self, now: Now, peer: Peer, lacking: &[Delivery], deliveries: &mut Vec<Delivery>) {
        let critical = self.config.critical_tables.iter().filter_map(|name| self.schema().table_named(name));
        let critical: BTreeSet<TableId> = critical.map(|(table, _)| table).collect();
        let is_critical = |delivery: &Delivery| {
            let ops = delivery.change().map(|entry| entry.change.ops.as_slice()).unwrap_or_default();
            ops.iter().filter_map(Op::element).any(|element| critical.contains(&element.table()))
        };
        let needed = lacking.iter().rposition(is_critical).map_or(0, |last| last + 1);
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        if !deliveries.is_empty() && !std::mem::take(&mut session.is_probe_due) {
            deliveries.truncate(needed);
        }
        let changes = (lacking.len() - deliveries.len()) as u64;
        let was_held_back = std::mem::replace(&mut session.is_held_back, changes > 0 && needed == 0);
        if session.is_held_back {
            self.timers.entry(Timer::Probe(peer)).or_insert(now.monotonic.after(PROBE_AFTER));
            if !was_held_back {
                self.outputs.push_back(Output::Notify(Notice::HeldBack { peer, changes }));
            }
        }
    }

    /// Tells of a link that is now sent over in another way than before.
    fn note_strategy(&mut self, peer: Peer, before: Strategy) {
        let Some((quality, strategy)) = self.link(peer).filter(|(_, strategy)| *strategy != before) else { return };
        self.outputs.push_back(Output::Notify(Notice::LinkMeasured { peer, quality, strategy }));
    }

    fn fire_timers(&mut self, now: Now) {
        let due: Vec<Timer> =
            self.timers.iter().filter(|(_, at)| **at <= now.monotonic).map(|(timer, _)| *timer).collect();
        for timer in due {
            self.timers.remove(&timer);
            match timer {
                Timer::Greet(peer) => self.greet(now, peer),
                Timer::Resend(_) if is_planted(Bug::NoResend) => {}
                Timer::Resend(peer) => {
                    if let Some(session) = self.sessions.get_mut(&peer) {
                        session.note_unanswered();
                        self.outputs.push_back(Output::Notify(Notice::Resent { peer }));
                    }
                }
                Timer::Fetch(peer) => self.ask_for_chunks(now, peer, true),
                Timer::Probe(peer) => {
                    if let Some(session) = self.sessions.get_mut(&peer) {
                        session.is_probe_due = true;
                    }
                }
                Timer::Epoch if is_planted(Bug::EpochDropped) => {}
                Timer::Epoch => {
                    let mut batch = Batch::new(now);
                    self.rule(Ruling::Epoch(self.link_epoch + 1), self.log.next_lsn(), &mut batch);
                    self.commit(batch);
                }
                Timer::Agreement(tx) => self.tend_agreement(now, tx),
            }
        }
    }

    fn transmit(&mut self, to: Peer, message: &Message) {
        self.outputs.push_back(Output::Transmit { to, bytes: message.encode() });
    }

    /// Sends a message with tags, if who it is for is known and speaks a version that has them.
    fn transmit_tagged(&mut self, peer: Peer, to: Option<Tag>, message: Message) {
        let message = self.tagged(to, message);
        self.transmit(peer, &message);
    }

    /// A message with tags, if there is one for who it is for.
    fn tagged(&self, to: Option<Tag>, message: Message) -> Message {
        match to {
            Some(to) => Message::Tagged { by: Tag::of(self.id), to, message: Box::new(message) },
            None => message,
        }
    }

    /// The tag of the replica in a session that speaks of tags.
    fn tag_of(&self, peer: Peer) -> Option<Tag> {
        let session = self.sessions.get(&peer).filter(|session| session.protocol >= Protocol::V1_0)?;
        let Phase::Established { replica } = session.phase else { return None };
        Some(Tag::of(replica))
    }

    // ---- what people and tests ask ----

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// Whether its disk refused a record, so that another has to be opened in its place.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Its part.
    #[must_use]
    pub fn role(&self) -> Role {
        self.config.role
    }

    /// The database's main, once it is known.
    #[must_use]
    pub fn main(&self) -> Option<ReplicaId> {
        self.main
    }

    /// Its graph's database.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.config.database
    }

    /// The graph as it shows it.
    #[must_use]
    pub fn view(&self) -> View {
        self.state.view()
    }

    /// The state the view is computed from.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Its schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.state.schema()
    }

    /// What it reports of its schema: version and tables (DDL Synchronisation, case B2).
    #[must_use]
    pub fn schema_state(&self) -> SchemaState {
        self.schema().state()
    }

    /// Its schema as it was when it knew so many operations, in the order in which it came to know them.
    ///
    /// # Errors
    /// [`Error::UnknownSchemaVersion`].
    pub fn schema_at(&self, version: u64) -> Result<Schema, Error> {
        history::at_version(self.log.changes(), version)
    }

    /// The way back to an earlier version: the operations after which everybody sees what this replica saw then. They are
    /// shown by [`Schema::describe`] and submitted as [`crate::statement::Statement::ByIdentity`], as a new change that can
    /// be undone in turn; none are left to do if nothing differs (DDL Synchronisation, case B8).
    ///
    /// # Errors
    /// [`Error::UnknownSchemaVersion`].
    pub fn way_back(&self, version: u64) -> Result<Vec<Ddl>, Error> {
        Ok(difference(self.schema(), &self.schema_at(version)?))
    }

    /// What became of every schema operation it has heard of: the applied ones in their order, those that wait, and those
    /// that were refused after they were logged (DDL Integration Plan, case A6).
    #[must_use]
    pub fn schema_log(&self) -> Vec<SchemaEvent> {
        let mut events = history::applied(self.log.changes(), &self.schema_audit());
        for entry in self.causal.held() {
            events.extend(history::unapplied(self.schema(), &entry.change, &SchemaOutcome::Waiting));
        }
        let failed = self.log.failed().map(|(id, problem)| (id, problem.to_owned()));
        let rejected = self.log.rejections().map(|rejection| (rejection.change, rejection.reason.to_string()));
        for (id, reason) in failed.chain(rejected) {
            let Some(change) = self.log.get(id) else { continue };
            events.extend(history::unapplied(self.schema(), change, &SchemaOutcome::Refused { reason }));
        }
        events
    }

    /// How many schema operations were applied, wait, were refused and were contradicted (DDL Integration Plan, case A6).
    #[must_use]
    pub fn schema_counts(&self) -> SchemaCounts {
        let mut counts = SchemaCounts { refused: self.schema_statements_refused, ..SchemaCounts::default() };
        for event in self.schema_log() {
            match event.outcome {
                SchemaOutcome::Applied { .. } => counts.applied += 1,
                SchemaOutcome::Waiting => counts.waiting += 1,
                SchemaOutcome::Refused { .. } => counts.refused += 1,
            }
            counts.conflicting += u64::from(!event.conflicts.is_empty());
        }
        counts
    }

    /// Every change it has applied.
    #[must_use]
    pub fn log(&self) -> &ChangeLog {
        &self.log
    }

    /// Its own changes that nobody acknowledged.
    #[must_use]
    pub fn queue(&self) -> &OfflineQueue {
        &self.queue
    }

    /// Every concurrent loss among the numbered changes, in the order of registers.
    #[must_use]
    pub fn audit(&self) -> Vec<Loss> {
        self.audit.losses(&self.state)
    }

    /// Every loss of a schema claim among the numbered changes, in the order of registers.
    #[must_use]
    pub fn schema_audit(&self) -> Vec<SchemaLoss> {
        self.audit.schema_losses(&self.state)
    }

    /// What it knows of the link to a peer, and how it sends over it.
    #[must_use]
    pub fn link(&self, peer: Peer) -> Option<(NetworkQuality, Strategy)> {
        self.sessions.get(&peer).map(|session| (session.gauge.quality(), session.gauge.strategy()))
    }

    /// Its vector clock.
    #[must_use]
    pub fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// Why it is not at rest; empty if it waits for nothing.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let held = self.causal.waiting(&self.log).map(|(id, missing)| match missing {
            Missing::Change(cause) => Pending::Cause { id, cause },
            Missing::Number(lsn) => Pending::Number { id, lsn },
        });
        let sessions = self.sessions.iter().filter_map(|(peer, session)| match session.phase {
            Phase::Greeting => Some(Pending::Handshake(*peer)),
            Phase::Refused => Some(Pending::Refused(*peer)),
            Phase::Established { .. } if session.refused_tip().is_some() => Some(Pending::InFlight(*peer)),
            Phase::Established { .. } if session.is_in_flight() => Some(Pending::InFlight(*peer)),
            Phase::Established { .. } => session.is_held_back.then_some(Pending::SlowLink(*peer)),
        });
        let fetched = self.timers.keys().filter_map(|timer| match timer {
            Timer::Fetch(peer) => Some(Pending::Snapshot(*peer)),
            _ => None,
        });
        let epoch = self.timers.contains_key(&Timer::Epoch).then_some(Pending::Epoch);
        let anew = self.to_write_anew.first().copied().map(Pending::Anew);
        let queued = Some(self.queue.operations()).filter(|queued| *queued > 0).map(Pending::Queued);
        held.chain(sessions).chain(fetched).chain(epoch).chain(anew).chain(self.undecided()).chain(queued).collect()
    }
}

/// The version of which a hello speaks, if this build knows it.
fn spoken(hello: &Hello) -> Option<Protocol> {
    Protocol::named(&hello.protocol_version)
}

/// The tag of who said hello, if it speaks of tags.
fn hello_tag(hello: &Hello) -> Option<Tag> {
    spoken(hello).filter(|protocol| *protocol >= Protocol::V1_0).map(|_| Tag::of(hello.replica))
}

/// The change that a delivery is, or stands in for.
fn change_of(delivery: &Delivery) -> Option<ChangeId> {
    match delivery {
        Delivery::Change(entry) => Some(entry.change.id),
        Delivery::Ruling { ruling: Ruling::Rejection(rejection), .. } => Some(rejection.change),
        Delivery::Ruling { ruling: Ruling::Epoch(_) | Ruling::RolledBack(_) | Ruling::Compaction(_), .. } => None,
    }
}

/// The changes that deliveries are, or stand in for.
fn seen_in(deliveries: &[Delivery]) -> Seen {
    deliveries.iter().filter_map(change_of).collect()
}

fn inserts(change: &Change) -> bool {
    change.ops.iter().any(|op| matches!(op, Op::Insert { .. }))
}

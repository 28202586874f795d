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

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::causal::{self, CausalBuffer, Missing};
use crate::change::{Change, ChangeId, Op};
use crate::clock::{Instant, Now, Rank, Timestamp, VectorClock};
use crate::conflict::{Audit, Loss};
use crate::error::Error;
use crate::id::{DatabaseId, Digest, ReplicaId, TxId, canonical_bytes};
use crate::log::{ChangeLog, Lsn};
use crate::message::{
    CHANGE_BYTES_MAX, Cursor, Entry, Hello, LogRecord, Message, PROTOCOL_VERSION, Record, Role, SyncMode,
};
use crate::planted::{Bug, is_planted};
use crate::queue::{OPERATIONS_MAX, OfflineQueue};
use crate::resolve::resolve;
use crate::schema::Schema;
use crate::session::{Peer, Phase, Session, resend_after};
use crate::state::{Delta, State};
use crate::statement::Transaction;
use crate::view::{View, ViewDelta};

/// What a new replica is told, and an old one must agree with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its part.
    pub role: Role,
    /// Its graph.
    pub database: DatabaseId,
    /// Unacknowledged operations at most.
    pub queue_operations_max: usize,
}

impl Config {
    /// The defaults: a queue of 10,000 operations.
    #[must_use]
    pub fn new(role: Role, database: DatabaseId) -> Self {
        Config { role, database, queue_operations_max: OPERATIONS_MAX }
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
    /// The time asked for by [`Output::Timeout`] has come.
    Timeout,
    /// The disk refused a record. The replica stops; open another from the records that were kept.
    PersistFailed,
    /// The store refused a delta or lost its contents.
    StoreFailed,
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
    /// A batch was not acknowledged in time and was sent again.
    Resent {
        /// To whom.
        peer: Peer,
    },
    /// A write lost to a concurrent one.
    Lost(Box<Loss>),
}

/// Every timer there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Say hello again.
    Greet(Peer),
    /// Send the batch in flight again.
    Resend(Peer),
}

/// What one input adds to the log, gathered so that it becomes one record and one delta.
#[derive(Default)]
struct Batch {
    records: Vec<LogRecord>,
    delta: Delta,
    notices: Vec<Notice>,
}

/// One replica of a graph.
#[derive(Debug)]
pub struct Replica {
    config: Config,
    id: ReplicaId,
    main: Option<ReplicaId>,
    log: ChangeLog,
    state: State,
    audit: Audit,
    causal: CausalBuffer,
    queue: OfflineQueue,
    timestamp: Timestamp,
    clock: VectorClock,
    sessions: BTreeMap<Peer, Session>,
    timers: BTreeMap<Timer, Instant>,
    outputs: VecDeque<Output>,
    is_stopped: bool,
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
            log: ChangeLog::default(),
            state: State::default(),
            audit: Audit::default(),
            causal: CausalBuffer::default(),
            queue: OfflineQueue::new(config.queue_operations_max),
            timestamp: Timestamp::default(),
            clock: VectorClock::default(),
            sessions: BTreeMap::new(),
            timers: BTreeMap::new(),
            outputs: VecDeque::new(),
            is_stopped: false,
            config,
        };
        match records.split_first() {
            None => replica.persist_creation(),
            Some((first, rest)) => replica.restore(first, rest)?,
        }
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
        }
        for record in rest {
            match record {
                Record::Created { .. } => return Err(Error::Records("a second one says whose they are".into())),
                Record::Main(main) => self.main = Some(*main),
                Record::Batch { log, clock } => {
                    log.iter().try_for_each(|record| self.restore_log(record))?;
                    self.clock = clock.clone();
                }
            }
        }
        Ok(())
    }

    fn restore_log(&mut self, record: &LogRecord) -> Result<(), Error> {
        match record {
            LogRecord::Append(entry) => {
                if causal::missing(entry, &self.log).is_some() || self.log.get(entry.change.id).is_some() {
                    return Err(Error::Records(format!("change {} is out of order", entry.change.id)));
                }
                self.admit(entry.clone(), &mut Batch::default())
            }
            LogRecord::Number { id, lsn } => {
                if self.log.get(*id).is_none() || self.log.lsn(*id).is_some() || *lsn != self.log.next_lsn() {
                    return Err(Error::Records(format!("number {lsn} is out of order")));
                }
                self.number(*id, *lsn, &mut Batch::default());
                Ok(())
            }
            LogRecord::Acknowledged { through } => {
                self.queue.acknowledge_through(*through);
                Ok(())
            }
        }
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
        let result = match input {
            Input::Local(transaction) => self.submit(now, &transaction),
            Input::Receive { from, bytes } => self.receive(now, from, &bytes),
            Input::Connected(peer) => {
                self.connect(now, peer);
                Ok(())
            }
            Input::Disconnected(peer) => {
                self.disconnect(peer);
                Ok(())
            }
            Input::Timeout => {
                self.fire_timers(now);
                Ok(())
            }
            Input::PersistFailed => {
                self.is_stopped = true;
                self.outputs.clear();
                self.timers.clear();
                return Ok(());
            }
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
        let next_timer = || self.timers.values().min().copied();
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(next_timer()))
    }

    // ---- local changes ----

    fn submit(&mut self, now: Now, transaction: &Transaction) -> Result<(), Error> {
        if let Some(id) = self.log.transaction(transaction.tx) {
            self.outputs.push_back(Output::Notify(Notice::AlreadySubmitted { tx: transaction.tx, id }));
            return Ok(());
        }
        let change = self.write(now, transaction)?;
        let mut batch = Batch::default();
        let lsn = (self.config.role == Role::Main).then(|| self.log.next_lsn());
        self.admit(Entry { change: Arc::new(change), lsn }, &mut batch)?;
        self.clock.tick(self.id);
        self.commit(batch);
        Ok(())
    }

    fn write(&self, now: Now, transaction: &Transaction) -> Result<Change, Error> {
        let unknown = transaction.depends_on.iter().find(|id| !self.log.seen().contains(**id));
        if let Some(unknown) = unknown {
            return Err(Error::UnknownDependency(*unknown));
        }
        let id = ChangeId { replica: self.id, seq: self.log.seen().head(self.id) + 1 };
        let timestamp = self.timestamp.next(now.wall_ms);
        let ops = resolve(&self.state, Rank { timestamp, change: id, index: 0 }, &transaction.statements)?;
        if self.config.role != Role::Main {
            self.queue.check_room(ops.len())?;
        }
        let previous = self.log.last_digest(self.id);
        let seen = self.log.seen().clone();
        let (tx, depends_on) = (transaction.tx, transaction.depends_on.clone());
        let change = Change { id, tx, previous, timestamp, seen, depends_on, ops };
        let bytes = canonical_bytes(&change, Vec::new()).len();
        if bytes > CHANGE_BYTES_MAX {
            return Err(Error::TransactionTooLarge { bytes, max: CHANGE_BYTES_MAX });
        }
        Ok(change)
    }

    // ---- what arrives ----

    fn receive(&mut self, now: Now, from: Peer, bytes: &[u8]) -> Result<(), Error> {
        match Message::decode(bytes)? {
            Message::Hello(hello) => self.receive_hello(from, &hello),
            Message::Changes { clock, entries } => self.receive_changes(now, from, &clock, entries),
            Message::Ack(cursor) => {
                self.advance(now, from, &cursor);
                Ok(())
            }
            Message::Refused(reason) => {
                self.end_session(from);
                self.outputs.push_back(Output::Notify(Notice::Refused { peer: from, reason }));
                Ok(())
            }
        }
    }

    fn receive_hello(&mut self, from: Peer, hello: &Hello) -> Result<(), Error> {
        if let Err(error) = self.check_hello(hello) {
            return self.refuse(from, error);
        }
        if hello.role == Role::Main && self.main.is_none() {
            self.main = Some(hello.replica);
            self.outputs.push_back(Output::Persist(Record::Main(hello.replica)));
        }
        let session = self.sessions.entry(from).or_default();
        let is_news = session.establish(hello.replica, &hello.cursor);
        self.timers.remove(&Timer::Greet(from));
        self.timers.remove(&Timer::Resend(from));
        if is_news {
            let (protocol_version, mode) = (hello.protocol_version.clone(), hello.mode);
            let notice = Notice::Established { peer: from, replica: hello.replica, protocol_version, mode };
            self.outputs.push_back(Output::Notify(notice));
        }
        self.acknowledge_held(&hello.cursor);
        if !hello.is_reply {
            self.transmit(from, &self.hello(true));
        }
        Ok(())
    }

    fn check_hello(&self, hello: &Hello) -> Result<(), Error> {
        if hello.protocol_version != PROTOCOL_VERSION {
            let (found, expected) = (hello.protocol_version.clone(), PROTOCOL_VERSION.to_owned());
            return Err(Error::ProtocolVersion { found, expected });
        }
        if hello.database != self.config.database {
            return Err(Error::ForeignDatabase { found: hello.database, expected: self.config.database });
        }
        // Nobody can hold more of this replica's changes than it has written, unless a copy of it wrote them.
        if hello.replica == self.id || hello.cursor.seen.head(self.id) > self.log.seen().head(self.id) {
            return Err(Error::ClonedReplica { replica: self.id });
        }
        match (hello.role, self.main) {
            (Role::Main, Some(main)) if main != hello.replica => {
                Err(Error::ForeignMain { found: hello.replica, expected: main })
            }
            (Role::Peer, _) if self.config.role == Role::Peer => Ok(()),
            (Role::Main, _) if self.config.role == Role::Edge => Ok(()),
            (Role::Edge, _) if self.config.role == Role::Main => Ok(()),
            (found, _) => Err(Error::MixedRoles { found, expected: self.config.role }),
        }
    }

    fn receive_changes(&mut self, now: Now, from: Peer, clock: &VectorClock, entries: Vec<Entry>) -> Result<(), Error> {
        if self.sessions.get(&from).is_some_and(|session| session.phase == Phase::Refused) {
            // What it was told before was lost.
            self.transmit(from, &Message::Refused("the session was ended before; connect again".to_owned()));
            return Ok(());
        }
        if !self.sessions.get(&from).is_some_and(Session::is_established) {
            // The hello that introduces the sender is late or lost; what it sends now comes again.
            return Ok(());
        }
        let sent: Cursor = Cursor { seen: entries.iter().map(|entry| entry.change.id).collect(), lsn: 0 };
        let mut batch = Batch::default();
        let result = entries.into_iter().try_for_each(|entry| self.take_in(entry, &mut batch));
        if !batch.records.is_empty() {
            self.clock.merge(&clock.of(self.log.seen()));
            self.clock.tick(self.id);
        }
        self.commit(batch);
        if let Err(error) = result {
            return self.refuse(from, error);
        }
        // What a peer sends it holds, with all its author wrote before.
        self.advance(now, from, &sent);
        self.transmit(from, &Message::Ack(self.log.cursor()));
        Ok(())
    }

    /// Applies an entry, or keeps it until its causes are applied, and then applies what waited for it.
    fn take_in(&mut self, entry: Entry, batch: &mut Batch) -> Result<(), Error> {
        let id = entry.change.id;
        self.log.check_history(&entry.change)?;
        self.check_number(&entry)?;
        let is_known = self.log.seen().contains(id) && entry.lsn.is_none_or(|lsn| lsn <= self.log.lsn_known());
        if is_known {
            batch.notices.push(Notice::Repeated { id });
            return Ok(());
        }
        if causal::missing(&entry, &self.log).is_some() {
            if self.causal.hold(entry) {
                batch.notices.push(Notice::Held { id });
            }
            return Ok(());
        }
        self.admit(entry, batch)?;
        while let Some(released) = self.causal.release(&self.log) {
            let id = released.change.id;
            // While it waited, its number may have gone to another.
            let result = self.check_number(&released).and_then(|()| self.admit(released, batch));
            if let Err(error) = result {
                // Whoever sent its cause is not to blame.
                batch.notices.push(Notice::Discarded { id, reason: error.to_string() });
            }
        }
        Ok(())
    }

    /// Numbers come from the database's main and never change.
    fn check_number(&self, entry: &Entry) -> Result<(), Error> {
        let Some(lsn) = entry.lsn else { return Ok(()) };
        let is_ours = match self.config.role {
            Role::Main => self.log.numbered(lsn) == Some(entry.change.id),
            Role::Edge => self.log.lsn(entry.change.id).map_or(lsn > self.log.lsn_known(), |known| known == lsn),
            Role::Peer => false,
        };
        if is_ours { Ok(()) } else { Err(Error::ForeignNumber { change: entry.change.id, lsn }) }
    }

    /// Puts a change whose causes are applied into log, state and audit, or gives a known one its number.
    fn admit(&mut self, entry: Entry, batch: &mut Batch) -> Result<(), Error> {
        let Entry { change, lsn } = entry;
        let id = change.id;
        if self.log.seen().contains(id) {
            if let Some(lsn) = lsn.filter(|lsn| *lsn == self.log.next_lsn()) {
                self.number(id, lsn, batch);
            }
            return Ok(());
        }
        self.log.check_history(&change)?;
        self.check_ops(&change)?;
        let lsn = if self.config.role == Role::Main { Some(self.log.next_lsn()) } else { lsn };
        self.timestamp = self.timestamp.max(change.timestamp);
        if !(is_planted(Bug::Canary) && id.replica != self.id && inserts(&change)) {
            batch.delta.join(&mut self.state, &change);
        }
        let losses = self.audit.record(&change).into_iter();
        batch.notices.extend(losses.map(|loss| Notice::Lost(Box::new(loss))));
        self.log.append(Arc::clone(&change), None);
        if id.replica == self.id && self.config.role != Role::Main {
            self.queue.push(id.seq, change.ops.len(), self.log.change_bytes(id));
        }
        self.note_author_holds(id);
        let entry = Entry { change, lsn };
        batch.records.push(LogRecord::Append(entry.clone()));
        batch.notices.push(Notice::Applied { entry });
        if let Some(lsn) = lsn {
            self.log.number(id, lsn);
            self.acknowledge(id, batch);
        }
        Ok(())
    }

    /// Whoever wrote a change need not be sent it, nor anything its author wrote before.
    fn note_author_holds(&mut self, id: ChangeId) {
        let held = Cursor { seen: [id].into_iter().collect(), lsn: 0 };
        let author = Phase::Established { replica: id.replica };
        let sessions = self.sessions.values_mut().filter(|session| session.phase == author);
        sessions.for_each(|session| session.note_held(&held));
    }

    fn number(&mut self, id: ChangeId, lsn: Lsn, batch: &mut Batch) {
        self.log.number(id, lsn);
        batch.records.push(LogRecord::Number { id, lsn });
        batch.notices.push(Notice::Numbered { id, lsn });
        self.acknowledge(id, batch);
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
            schema
                .check_op(op)
                .map_err(|error| Error::MalformedChange { change: change.id, problem: error.to_string() })?;
            if let Op::Schema(ddl) = op {
                schema.to_mut().join(rank, ddl);
            }
        }
        Ok(())
    }

    /// One record, one delta, then the notices: everything an input brought, all or nothing.
    fn commit(&mut self, batch: Batch) {
        let Batch { records, delta, notices } = batch;
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
        self.sessions.insert(peer, Session::new());
        self.timers.remove(&Timer::Resend(peer));
        self.greet(now, peer);
    }

    fn disconnect(&mut self, peer: Peer) {
        self.sessions.remove(&peer);
        self.timers.remove(&Timer::Greet(peer));
        self.timers.remove(&Timer::Resend(peer));
    }

    fn greet(&mut self, now: Now, peer: Peer) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        self.timers.insert(Timer::Greet(peer), now.monotonic.after(resend_after(session.attempt)));
        session.attempt += 1;
        self.transmit(peer, &self.hello(false));
    }

    fn hello(&self, is_reply: bool) -> Message {
        Message::Hello(Hello {
            protocol_version: PROTOCOL_VERSION.to_owned(),
            mode: SyncMode::Incremental,
            database: self.config.database,
            replica: self.id,
            role: self.config.role,
            cursor: self.log.cursor(),
            schema_version: self.state.schema().version().operations,
            is_reply,
        })
    }

    /// The peer holds `cursor`.
    fn advance(&mut self, now: Now, from: Peer, cursor: &Cursor) {
        let Some(session) = self.sessions.get_mut(&from).filter(|session| session.is_established()) else { return };
        let is_news = session.advance(cursor);
        if !session.is_in_flight() {
            self.timers.remove(&Timer::Resend(from));
        } else if is_news {
            self.timers.insert(Timer::Resend(from), now.monotonic.after(resend_after(0)));
        }
        self.acknowledge_held(cursor);
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

    fn refuse(&mut self, peer: Peer, error: Error) -> Result<(), Error> {
        self.transmit(peer, &Message::Refused(error.to_string()));
        self.end_session(peer);
        Err(error)
    }

    fn end_session(&mut self, peer: Peer) {
        self.disconnect(peer);
        self.sessions.insert(peer, Session::refused());
    }

    /// Sends every established peer what it lacks and is not on its way to it yet.
    fn send_changes(&mut self, now: Now) {
        let peers: Vec<Peer> = self.sessions.keys().copied().collect();
        for peer in peers {
            while self.send_batch(now, peer) {}
        }
    }

    /// Sends one peer its next batch. Says whether there was one.
    fn send_batch(&mut self, now: Now, peer: Peer) -> bool {
        let by_number = self.config.role == Role::Main;
        let Some(session) = self.sessions.get_mut(&peer) else { return false };
        let Some(after) = session.sendable_after() else { return false };
        let entries = self.log.lacking(after, by_number);
        let Some(last) = entries.last() else { return false };
        let lsn = last.lsn.filter(|_| by_number).unwrap_or(0);
        session.note_sent(&Cursor { seen: entries.iter().map(|entry| entry.change.id).collect(), lsn });
        let resend_at = now.monotonic.after(resend_after(session.attempt));
        self.timers.entry(Timer::Resend(peer)).or_insert(resend_at);
        self.transmit(peer, &Message::Changes { clock: self.clock.clone(), entries });
        true
    }

    fn fire_timers(&mut self, now: Now) {
        let due: Vec<Timer> =
            self.timers.iter().filter(|(_, at)| **at <= now.monotonic).map(|(timer, _)| *timer).collect();
        for timer in due {
            self.timers.remove(&timer);
            match timer {
                Timer::Greet(peer) => self.greet(now, peer),
                Timer::Resend(peer) => {
                    if let Some(session) = self.sessions.get_mut(&peer) {
                        session.forget_sent();
                        session.attempt += 1;
                        self.outputs.push_back(Output::Notify(Notice::Resent { peer }));
                    }
                }
            }
        }
    }

    fn transmit(&mut self, to: Peer, message: &Message) {
        self.outputs.push_back(Output::Transmit { to, bytes: message.encode() });
    }

    // ---- what people and tests ask ----

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// Its part.
    #[must_use]
    pub fn role(&self) -> Role {
        self.config.role
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

    /// Every concurrent loss.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Its vector clock.
    #[must_use]
    pub fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// Why it is not at rest, in words, or `None` if it waits for nothing.
    #[must_use]
    pub fn pending(&self) -> Option<String> {
        if let Some((id, missing)) = self.causal.waiting(&self.log).next() {
            return Some(match missing {
                Missing::Change(cause) => format!("change {id} waits for change {cause}"),
                Missing::Number(lsn) => format!("change {id} waits for number {lsn}"),
            });
        }
        for (Peer(peer), session) in &self.sessions {
            match session.phase {
                Phase::Greeting => return Some(format!("no handshake with replica {peer} yet")),
                Phase::Refused => return Some(format!("the session with replica {peer} was refused")),
                Phase::Established { .. } if session.is_in_flight() => {
                    return Some(format!("replica {peer} has not acknowledged a batch"));
                }
                Phase::Established { .. } => {}
            }
        }
        let queued = self.queue.operations();
        (queued > 0).then(|| format!("{queued} queued operations are not acknowledged"))
    }
}

fn inserts(change: &Change) -> bool {
    change.ops.iter().any(|op| matches!(op, Op::Insert { .. }))
}

//! What the hosts of one run share: network, disks, clocks, the replicas themselves, and the history of it all.
//!
//! A run is one thread, so one cell holds everything. Whoever borrows it gives it back before awaiting.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kuzusync_core::Error;
use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::id::{DatabaseId, Digest, ReplicaId};
use kuzusync_core::message::{Record, Role};
use kuzusync_core::replica::{Config, Input, Notice, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::store::{GraphStore, StoreError};
use kuzusync_core::view::View;
use madsim::time::TimeHandle;
use tokio::sync::Notify;

use crate::checker::Checkers;
use crate::checker::liveness::Pending;
use crate::client::Surroundings;
use crate::clock::HostClock;
use crate::disk::Disk;
use crate::history::{Event, EventKind, History, frame_checksum};
use crate::network::Network;
use crate::options::Options;
use crate::outcome::{Check, ReplicaState};
use crate::seed::Seed;
use crate::store::Stores;
use crate::turns::Turns;

/// Shared by everything that runs in one simulation.
pub type Shared = Rc<RefCell<World>>;

/// A replica that runs, and the stores it feeds.
struct Running {
    replica: Replica,
    stores: Vec<Box<dyn GraphStore>>,
    deadline: Option<Instant>,
}

/// One host.
#[derive(Default)]
struct HostState {
    running: Option<Running>,
    disk: Disk,
    clock: HostClock,
    /// Outputs it still carries out before it dies.
    crash_after: Option<u32>,
    /// How often it was opened.
    openings: u64,
    /// Its disk has no room for another record.
    is_disk_full: bool,
    /// Who it is, or was when it was up.
    identity: Option<ReplicaId>,
}

/// See the module.
pub struct World {
    seed: Seed,
    options: Options,
    stores: Stores,
    /// The simulation's clock when this world was made.
    started: Duration,
    hosts: Vec<HostState>,
    /// The links.
    pub network: Network,
    /// Tells the wire that a message was sent.
    pub wire: Rc<Notify>,
    /// The turns of everything that runs in it.
    pub turns: Rc<Turns>,
    history: History,
    checkers: Checkers,
    checks: Vec<Check>,
}

impl World {
    /// Hosts with empty disks, none running yet. Must be made inside a simulation.
    #[must_use]
    pub fn new(seed: Seed, options: Options, stores: Stores) -> Self {
        let skew = |host| options.skew_ms.get(host).copied().unwrap_or(0);
        let host = |host| HostState { clock: HostClock::skewed(skew(host)), ..HostState::default() };
        World {
            hosts: (0..options.replicas as usize).map(host).collect(),
            network: Network::new(seed, options.links.clone()),
            turns: Rc::new(Turns::new(options.turns_max)),
            seed,
            options,
            stores,
            started: TimeHandle::current().elapsed(),
            wire: Rc::new(Notify::new()),
            history: History::default(),
            checkers: Checkers::default(),
            checks: Vec::new(),
        }
    }

    // ---- time and history ----

    /// Simulated time since the start.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        let elapsed = TimeHandle::current().elapsed().saturating_sub(self.started);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    fn now(&self, host: u32) -> Now {
        self.hosts[host as usize].clock.now(self.elapsed_us())
    }

    /// How long until a host's replica wants to be woken; `None` if it waits for nothing.
    #[must_use]
    pub fn wake_after(&self, host: u32) -> Option<Duration> {
        let deadline = self.hosts[host as usize].running.as_ref()?.deadline?;
        Some(Duration::from_micros(deadline.0.saturating_sub(self.elapsed_us())))
    }

    /// Notes an event and shows it to the checkers.
    pub fn record(&mut self, host: Option<u32>, kind: EventKind) {
        let event = Event { at_us: self.elapsed_us(), host, kind };
        self.checkers.observe(&event);
        self.history.push(event);
    }

    /// The events so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.history.events()
    }

    /// The checkers and what they found.
    #[must_use]
    pub fn checkers(&self) -> &Checkers {
        &self.checkers
    }

    /// Notes whether a clause of a documented case holds.
    pub fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Takes the history and the checks out and drops everything else. madsim keeps tasks of an ended simulation, and
    /// with them this world, for ever.
    #[must_use]
    pub fn finish(&mut self) -> (History, Vec<Check>) {
        self.hosts = Vec::new();
        self.checkers = Checkers::default();
        (std::mem::take(&mut self.history), std::mem::take(&mut self.checks))
    }

    // ---- the cluster ----

    /// Every knob of the run.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    fn role(&self, host: u32) -> Role {
        match (self.options.has_main, host) {
            (false, _) => Role::Peer,
            (true, 0) => Role::Main,
            (true, _) => Role::Edge,
        }
    }

    /// The hosts a host is linked to: with a main all to it alone, without one each to each.
    #[must_use]
    pub fn neighbours(&self, host: u32) -> Vec<u32> {
        let others = (0..self.options.replicas).filter(|other| *other != host);
        others.filter(|other| !self.options.has_main || host == 0 || *other == 0).collect()
    }

    /// A host's replica, unless the host is down.
    #[must_use]
    pub fn replica(&self, host: u32) -> Option<&Replica> {
        self.hosts.get(host as usize)?.running.as_ref().map(|running| &running.replica)
    }

    /// Who a host is, or was before it went down.
    #[must_use]
    pub fn identity(&self, host: u32) -> Option<ReplicaId> {
        self.hosts.get(host as usize)?.identity
    }

    /// The records that a host's disk holds for good.
    #[must_use]
    pub fn records(&self, host: u32) -> Vec<Record> {
        self.hosts[host as usize].disk.read().expect("the simulated disk damages nothing")
    }

    /// What a host's store holds, unless the host is down: the view by which a client chooses.
    #[must_use]
    pub fn view(&self, host: u32) -> Option<View> {
        self.replica(host).map(Replica::view)
    }

    /// What a client beside a host knows, unless the host is down.
    #[must_use]
    pub fn surroundings(&self, host: u32) -> Option<Surroundings> {
        let (wall_ms, has_main) = (self.now(host).wall_ms, self.options.has_main);
        let dropped = self.replica(host)?.schema().dropped();
        self.view(host).map(|view| Surroundings { view, wall_ms, has_main, dropped })
    }

    /// The texts of the statements that a host's stores were sent.
    #[must_use]
    pub fn statement_texts(&self, host: u32) -> Vec<String> {
        let running = self.hosts[host as usize].running.as_ref();
        running.into_iter().flat_map(|running| &running.stores).flat_map(|store| store.statement_texts()).collect()
    }

    // ---- what a host does ----

    /// Opens the replica on a host's disk and greets its neighbours. Says whether the host survived that.
    pub fn open(&mut self, host: u32) -> bool {
        let records = self.records(host);
        let state = &mut self.hosts[host as usize];
        state.openings += 1;
        let entropy = self.seed.bytes("replica", &[u64::from(host), state.openings]);
        let database = DatabaseId(Digest::of(&[b"database", &self.seed.0.to_le_bytes()]).0);
        let whole_heads_max = self.options.whole_heads_max as usize;
        let config = Config { whole_heads_max, ..Config::new(self.role(host), database) };
        let replica = Replica::open(config, entropy, &records).expect("a disk holds what its replica wrote");
        let rejected = replica.log().rejections().map(|rejection| rejection.change).collect();
        let prepared = replica.prepared().map(|proposal| proposal.tx).collect();
        self.hosts[host as usize].identity = Some(replica.id());
        let decided = replica.decisions().map(|(tx, _)| tx).collect();
        let (replica_id, cursor) = (replica.id(), replica.log().cursor());
        let opened = EventKind::Opened { replica: replica_id, cursor, rejected, prepared, decided };
        self.record(Some(host), opened);
        let stores = self.stores.open(host).expect("an empty store opens, and what is left on disk or its successor");
        self.hosts[host as usize].running = Some(Running { replica, stores, deadline: None });
        if !self.carry_out(host, true).0 {
            return false;
        }
        if self.network.is_offline(host) {
            return true;
        }
        self.neighbours(host).into_iter().all(|peer| self.input(host, Input::Connected(Peer(peer))).is_alive)
    }

    /// Feeds a replica an input and carries out what it wants done.
    pub fn input(&mut self, host: u32, input: Input) -> Answer {
        let now = self.now(host);
        let Some(running) = &mut self.hosts[host as usize].running else {
            return Answer { is_alive: false, result: None };
        };
        let result = running.replica.handle_input(now, input);
        if let Err(error) = &result {
            self.record(Some(host), EventKind::Refused { error: error.to_string() });
        }
        let (is_alive, change) = self.carry_out(host, false);
        let result = match result {
            Err(error) => Some(Err(error)),
            Ok(()) => change.map(Ok),
        };
        Answer { is_alive, result: result.filter(|_| is_alive) }
    }

    /// Carries outputs out until there are none. Returns whether the host survived, and the own change that came of it.
    fn carry_out(&mut self, host: u32, is_opening: bool) -> (bool, Option<ChangeId>) {
        let mut own_change = None;
        loop {
            let Some(running) = &mut self.hosts[host as usize].running else { return (false, None) };
            let own = running.replica.id();
            let output = running.replica.poll_output();
            if let Output::Timeout(deadline) = output {
                running.deadline = deadline;
                return (true, own_change);
            }
            if !self.survives_output(host) {
                return (false, None);
            }
            match output {
                Output::Timeout(_) => unreachable!("it was handled above"),
                Output::Persist(_) if self.hosts[host as usize].is_disk_full => {
                    let now = self.now(host);
                    let running =
                        self.hosts[host as usize].running.as_mut().expect("outputs come from a running replica");
                    running.replica.handle_input(now, Input::PersistFailed).expect("a running replica takes note");
                    if running.replica.is_stopped() {
                        self.crash(host);
                        return (false, None);
                    }
                }
                Output::Persist(record) => {
                    let frame = self.hosts[host as usize].disk.write(&record);
                    let (bytes, checksum) = (frame.len() as u64, frame_checksum(frame));
                    self.record(Some(host), EventKind::Persisted { bytes, checksum });
                }
                Output::Transmit { to, bytes } => {
                    self.sync(host);
                    self.transmit(host, to.0, bytes);
                }
                Output::Notify(notice) => {
                    self.sync(host);
                    match &notice {
                        Notice::Applied { entry } if entry.change.id.replica == own => {
                            own_change = Some(entry.change.id);
                        }
                        Notice::AlreadySubmitted { id, .. } => own_change = Some(*id),
                        _ => {}
                    }
                    self.record(Some(host), EventKind::Notified(notice));
                }
                Output::View(delta) => {
                    let result = self.on_stores(host, |store| store.apply(&delta));
                    self.record(Some(host), EventKind::Viewed(delta));
                    if self.note_failure(host, result) {
                        self.ask_for_rebuild(host);
                    }
                }
                Output::Rebuild(view) => {
                    let mut kept = Vec::new();
                    let result = self.on_stores(host, |store| {
                        // A database on disk is believed when it holds what the records make, and only then.
                        if is_opening && store.read().is_ok_and(|held| held == view) {
                            kept.push(store.name().to_owned());
                            return Ok(());
                        }
                        store.rebuild(&view)
                    });
                    let is_empty = view == View::default();
                    self.record(Some(host), EventKind::Rebuilt { is_opening, view });
                    for store in kept.into_iter().filter(|_| !is_empty) {
                        self.record(Some(host), EventKind::Kept { store });
                    }
                    // To ask for another would bring the same answer.
                    self.note_failure(host, result);
                }
            }
        }
    }

    /// Counts down to an injected crash and carries it out when it is due.
    fn survives_output(&mut self, host: u32) -> bool {
        match &mut self.hosts[host as usize].crash_after {
            None => true,
            Some(0) => {
                self.crash(host);
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn sync(&mut self, host: u32) {
        if self.hosts[host as usize].disk.sync() {
            self.record(Some(host), EventKind::Synced);
        }
    }

    fn transmit(&mut self, from: u32, to: u32, frame: Vec<u8>) {
        let is_cut = self.network.is_cut(from, to);
        let (number, fate) = self.network.send(self.elapsed_us(), from, to, &frame);
        let (bytes, checksum) = (frame.len() as u64, frame_checksum(&frame));
        let frame = frame.into();
        self.record(Some(from), EventKind::Sent { to, number, bytes, checksum, frame, is_cut, fate });
        self.wire.notify_one();
    }

    fn on_stores(
        &mut self,
        host: u32,
        mut action: impl FnMut(&mut dyn GraphStore) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let running = self.hosts[host as usize].running.as_mut().expect("outputs come from a running replica");
        running.stores.iter_mut().try_for_each(|store| action(store.as_mut()))
    }

    /// Says whether a store failed.
    fn note_failure(&mut self, host: u32, result: Result<(), StoreError>) -> bool {
        let Err(error) = result else { return false };
        self.record(Some(host), EventKind::StoreFailed { error: error.to_string() });
        true
    }

    fn ask_for_rebuild(&mut self, host: u32) {
        let now = self.now(host);
        let running = self.hosts[host as usize].running.as_mut().expect("outputs come from a running replica");
        running.replica.handle_input(now, Input::StoreFailed).expect("a running replica rebuilds its store");
    }

    // ---- faults ----

    /// The host dies now: what it had not synced is lost, and so is everything in memory.
    pub fn crash(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        state.crash_after = None;
        if state.running.take().is_some() {
            let lost_records = state.disk.crash() as u64;
            self.record(Some(host), EventKind::Crashed { lost_records });
        }
    }

    /// The host will die after so many more outputs.
    pub fn crash_after(&mut self, host: u32, outputs: u32) {
        self.hosts[host as usize].crash_after = Some(outputs);
    }

    /// Fills a host's disk, or makes room on it.
    pub fn set_disk_full(&mut self, host: u32, is_full: bool) {
        self.hosts[host as usize].is_disk_full = is_full;
        self.record(Some(host), if is_full { EventKind::DiskFilled } else { EventKind::DiskMended });
    }

    /// Gives a host that is down another disk. Returns the one it had.
    pub fn replace_disk(&mut self, host: u32, disk: Disk) -> Disk {
        self.record(Some(host), EventKind::DiskReplaced);
        std::mem::replace(&mut self.hosts[host as usize].disk, disk)
    }

    /// A copy of what a host's disk holds durably.
    #[must_use]
    pub fn copy_disk(&self, host: u32) -> Disk {
        self.hosts[host as usize].disk.copy()
    }

    /// Sets a host's wall clock.
    pub fn jump_clock(&mut self, host: u32, ms: i64) {
        self.hosts[host as usize].clock.jump(ms);
        self.record(Some(host), EventKind::ClockJumped { ms });
    }

    /// Ends every fault: links deliver, nobody is about to die. Clocks stay as wrong as they are.
    pub fn heal_all(&mut self) {
        self.network.heal_all();
        self.hosts.iter_mut().for_each(|state| (state.crash_after, state.is_disk_full) = (None, false));
    }

    // ---- judging ----

    /// Everything that is still under way; empty if the cluster is at rest.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending = Vec::new();
        for host in 0..self.options.replicas {
            match self.replica(host) {
                None => pending.push(Pending { host: Some(host), reason: "its host is down".into() }),
                Some(replica) => {
                    pending.extend(replica.pending().map(|reason| Pending { host: Some(host), reason }));
                }
            }
        }
        let on_their_way = self.network.on_their_way();
        if on_their_way > 0 {
            pending.push(Pending { host: None, reason: format!("{on_their_way} messages are on their way") });
        }
        pending
    }

    /// What every running replica holds, its stores read back.
    pub fn states(&mut self) -> Vec<ReplicaState> {
        (0..self.options.replicas).filter_map(|host| self.state(host)).collect()
    }

    fn state(&mut self, host: u32) -> Option<ReplicaState> {
        let mut state = self.state_of_replica(host)?;
        let running = self.hosts[host as usize].running.as_mut()?;
        let mut failures = Vec::new();
        for store in &mut running.stores {
            match store.read() {
                Ok(view) => drop(state.stores.insert(store.name().to_owned(), view)),
                Err(error) => failures.push(error.to_string()),
            }
        }
        for error in failures {
            self.record(Some(host), EventKind::StoreFailed { error });
        }
        for (store, view) in &state.stores {
            self.record(Some(host), EventKind::Compared { store: store.clone(), digest: view.digest() });
        }
        Some(state)
    }

    /// What a running replica holds, its stores aside.
    fn state_of_replica(&self, host: u32) -> Option<ReplicaState> {
        let replica = self.replica(host)?;
        let version = replica.schema().version();
        Some(ReplicaState {
            host,
            id: replica.id(),
            role: replica.role(),
            view: replica.view(),
            stores: BTreeMap::new(),
            cursor: replica.log().cursor(),
            audit: replica.audit(),
            queue_operations: replica.queue().operations(),
            hidden_edges: replica.state().hidden_edges().count(),
            schema_operations: version.operations,
            schema_digest: version.digest,
            log: replica.log().entries().collect(),
            rejections: replica.log().rejections().cloned().collect(),
            failed: replica.log().failed().map(|(id, _)| id).collect(),
            prepared: replica.prepared().cloned().collect(),
            decisions: replica.decisions().collect(),
            clock: replica.clock().clone(),
        })
    }

    /// Lets the checkers look at each running replica as it is, in the midst of trouble.
    pub fn inspect(&mut self) {
        for host in 0..self.options.replicas {
            if let Some(state) = self.state_of_replica(host) {
                self.checkers.inspect(self.elapsed_us(), &state);
            }
        }
    }

    /// Lets the checkers judge a cluster at rest.
    pub fn judge(&mut self) -> Vec<ReplicaState> {
        let states = self.states();
        self.checkers.judge(self.elapsed_us(), &states);
        states
    }
}

/// What came of an input.
pub struct Answer {
    /// Whether the host survived carrying it out.
    pub is_alive: bool,
    /// The own change it became, or why it was refused; `None` if it was neither.
    pub result: Option<Result<ChangeId, Error>>,
}

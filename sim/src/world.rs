//! What the hosts of one run share: network, disks, clocks, the replicas themselves, and the history of it all.
//!
//! A run is one thread, so one cell holds everything. Whoever borrows it gives it back before awaiting.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use kuzusync_core::Error;
use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::{Instant, Lsn, Now};
use kuzusync_core::id::{DatabaseId, Digest, ReplicaId};
use kuzusync_core::message::{Cursor, Entry, Protocol, Record, Role};
use kuzusync_core::replica::{self, Config, Input, Notice, Output, Replica};
use kuzusync_core::ruling::Ruling;
use kuzusync_core::session::Peer;
use kuzusync_core::store::refusing::{REFUSED_ON_PURPOSE, Refusal};
use kuzusync_core::store::text_index::TextIndexes;
use kuzusync_core::store::tolerant::REFUSED_BEFORE;
use kuzusync_core::store::{GraphStore, StoreCounts, StoreError, Unmaterialised};
use kuzusync_core::view::{View, ViewDelta};
use madsim::time::TimeHandle;
use tokio::sync::Notify;

use crate::checker::Checkers;
use crate::checker::liveness::Pending;
use crate::client::Surroundings;
use crate::clock::HostClock;
use crate::disk::{Disk, DiskFault};
use crate::engine::{self, StoreFault};
use crate::history::{EpochsKnown, Event, EventKind, History, frame_checksum};
use crate::network::Network;
use crate::options::Options;
use crate::outcome::{Check, ReplicaState};
use crate::seed::Seed;
use crate::store::{Store, Stores};
use crate::turns::Turns;

/// Shared by everything that runs in one simulation.
pub type Shared = Rc<RefCell<World>>;

/// A replica that runs, and the stores it feeds.
struct Running {
    replica: Replica,
    stores: Vec<Store>,
    /// The full-text indexes that the stores were told to build, unless they have to be told again.
    text_indexes: Option<TextIndexes>,
    deadline: Option<Instant>,
}

/// One host.
#[derive(Default)]
struct HostState {
    running: Option<Running>,
    disk: Disk,
    clock: HostClock,
    /// Outputs it still carries out before it dies, and what its disk then keeps.
    crash_after: Option<(u32, u64)>,
    /// How its stores are about to fail.
    store_fault: Option<engine::Armed>,
    /// What its databases refuse.
    refusals: Vec<Refusal>,
    is_paused: bool,
    /// Until when it waits for its disk.
    busy_until_us: u64,
    /// Tells it to go on.
    resumed: Rc<Notify>,
    /// How often it was opened.
    openings: u64,
    /// Who it is, or was when it was up.
    identity: Option<ReplicaId>,
    /// Its disk holds what its replica has forgotten.
    is_disk_outdated: bool,
}

/// See the module.
pub struct World {
    seed: Seed,
    options: Options,
    stores: Stores,
    /// The simulation's clock when this world was made.
    started: Duration,
    hosts: Vec<HostState>,
    /// The hosts whose identity another host has too. What they tell is outside every claim: nobody knows who they are.
    doubled: BTreeSet<u32>,
    /// The hosts that speak an older version of the protocol.
    older: BTreeSet<u32>,
    /// The links.
    pub network: Network,
    /// Tells the wire that a message was sent.
    pub wire: Rc<Notify>,
    /// The turns of everything that runs in it.
    pub turns: Rc<Turns>,
    history: History,
    checkers: Checkers,
    checks: Vec<Check>,
    /// Everything that the main has applied, by number: replicas may forget it, and what they show is judged by it all the same.
    archive: BTreeMap<Lsn, Entry>,
}

impl World {
    /// Hosts with empty disks, none running yet. Must be made inside a simulation.
    #[must_use]
    pub fn new(seed: Seed, options: Options, stores: Stores) -> Self {
        let skew = |host| options.skew_ms.get(host).copied().unwrap_or(0);
        let drift = |host| options.drift_ppm.get(host).copied().unwrap_or(0);
        let host = |host| HostState { clock: HostClock::new(skew(host), drift(host)), ..HostState::default() };
        World {
            hosts: (0..options.replicas as usize).map(host).collect(),
            network: Network::new(seed, options.links.clone()),
            turns: Rc::new(Turns::new(options.turns_max)),
            doubled: BTreeSet::new(),
            older: options.older_hosts.clone(),
            seed,
            options,
            stores,
            started: TimeHandle::current().elapsed(),
            wire: Rc::new(Notify::new()),
            history: History::default(),
            checkers: Checkers::default(),
            checks: Vec::new(),
            archive: BTreeMap::new(),
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
        if let (Some(0), EventKind::Notified(Notice::Applied { entry })) = (host, &event.kind) {
            self.file(entry);
        }
        if host.is_none_or(|host| !self.doubled.contains(&host)) {
            self.checkers.observe(&event);
        }
        self.history.push(event);
    }

    fn file(&mut self, entry: &Entry) {
        if let Some(lsn) = entry.lsn {
            self.archive.insert(lsn, entry.clone());
        }
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
        self.hosts[host as usize].disk.records().expect("only the last record of a simulated disk is ever damaged").0
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
        let schema = self.replica(host)?.schema();
        let (dropped, earlier_names) = (schema.dropped(), schema.earlier_names());
        self.view(host).map(|view| Surroundings { view, wall_ms, has_main, dropped, earlier_names })
    }

    /// The texts of the statements that a host's stores were sent.
    #[must_use]
    pub fn statement_texts(&self, host: u32) -> Vec<String> {
        let running = self.hosts[host as usize].running.as_ref();
        running.into_iter().flat_map(|running| &running.stores).flat_map(|store| store.statement_texts()).collect()
    }

    /// The full-text indexes that each store of a host has built, read back from its database.
    ///
    /// # Panics
    /// If a database cannot be read.
    #[must_use]
    pub fn text_indexes(&mut self, host: u32) -> BTreeMap<String, TextIndexes> {
        let running = self.hosts[host as usize].running.as_mut();
        let stores = running.into_iter().flat_map(|running| &mut running.stores);
        let built = |store: &mut Store| store.text_indexes().expect("a database that was filled can be read");
        stores.map(|store| (store.name().to_owned(), built(store))).collect()
    }

    /// What each store of a host holds, read back from its database.
    ///
    /// # Panics
    /// If a database cannot be read.
    #[must_use]
    pub fn stored(&mut self, host: u32) -> Vec<View> {
        let running = self.hosts[host as usize].running.as_mut();
        let stores = running.into_iter().flat_map(|running| &mut running.stores);
        stores.map(|store| store.read().expect("a database that was filled can be read")).collect()
    }

    /// What a host's stores were asked since they were opened.
    #[must_use]
    pub fn store_counts(&self, host: u32) -> Vec<StoreCounts> {
        let running = self.hosts[host as usize].running.as_ref();
        running.into_iter().flat_map(|running| &running.stores).map(Store::counts).collect()
    }

    /// What a host's stores lack of the schema because their databases refuse it; a store that lacks nothing is not here.
    #[must_use]
    pub fn held_back(&self, host: u32) -> BTreeMap<String, Vec<Unmaterialised>> {
        let running = self.hosts[host as usize].running.as_ref();
        let stores = running.into_iter().flat_map(|running| &running.stores);
        let lacks = stores.map(|store| (store.name().to_owned(), store.unmaterialised()));
        lacks.filter(|(_, parts)| !parts.is_empty()).collect()
    }

    // ---- what a host does ----

    /// Opens the replica on a host's disk and greets its neighbours. Says whether the host survived that.
    pub fn open(&mut self, host: u32) -> bool {
        if self.hosts[host as usize].disk.fails_to_read() {
            self.record(Some(host), EventKind::DiskFailed(DiskFault::Read));
            return false;
        }
        let disk = &mut self.hosts[host as usize].disk;
        let (records, is_torn) = disk.records().expect("only the last record of a simulated disk is ever damaged");
        if is_torn {
            disk.cut_tail();
            self.record(Some(host), EventKind::TailCut);
        }
        let state = &mut self.hosts[host as usize];
        state.openings += 1;
        let entropy = self.seed.bytes("replica", &[u64::from(host), state.openings]);
        let database = DatabaseId(Digest::of(&[b"database", &self.seed.0.to_le_bytes()]).0);
        let whole_heads_max = self.options.whole_heads_max as usize;
        let critical_tables = self.options.critical_tables.iter().cloned().collect();
        let chunk_numbers = u64::from(self.options.chunk_numbers);
        let retention = Duration::from_millis(self.options.retention_ms);
        let protocol = if self.older.contains(&host) { Protocol::V0_9 } else { Protocol::NEWEST };
        let defaults = Config::new(self.role(host), database);
        let config = Config { whole_heads_max, critical_tables, chunk_numbers, protocol, retention, ..defaults };
        let replica = Replica::open(config, entropy, &records).expect("a disk holds what its replica wrote");
        self.hosts[host as usize].identity = Some(replica.id());
        let opened = opened(&replica, replica.log().cursor(), &records, false);
        self.record(Some(host), opened);
        if host == 0 {
            // What it wrote down before it died it may have told nobody.
            replica.log().entries().for_each(|entry| self.file(&entry));
        }
        let refusals = &self.hosts[host as usize].refusals;
        let opened = self.stores.open(host, refusals);
        let stores = opened.expect("an empty store opens, and what is left on disk or its successor");
        self.hosts[host as usize].running = Some(Running { replica, stores, text_indexes: None, deadline: None });
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
        let mut has_stopped = false;
        // A store that failed is asked for nothing before it is filled anew.
        let mut is_in_doubt = false;
        loop {
            let Some(running) = &mut self.hosts[host as usize].running else { return (false, None) };
            let own = running.replica.id();
            let output = running.replica.poll_output();
            if let Output::Timeout(deadline) = output {
                if has_stopped {
                    // Its replica will do nothing more, so the host ends it; the disk keeps what was synced.
                    self.crash(host, 0);
                    return (false, None);
                }
                running.deadline = deadline;
                self.shorten_disk(host);
                if !is_in_doubt && self.index_texts(host) {
                    is_in_doubt = true;
                    self.tell(host, Input::StoreFailed);
                    continue;
                }
                return (true, own_change);
            }
            if !self.survives_output(host) {
                return (false, None);
            }
            match output {
                Output::Timeout(_) => unreachable!("it was handled above"),
                Output::Persist(record) => {
                    let written = self.hosts[host as usize].disk.write(&record);
                    match written.map(|frame| (frame.len() as u64, frame_checksum(frame))) {
                        Ok((bytes, checksum)) => self.record(Some(host), EventKind::Persisted { bytes, checksum }),
                        Err(fault) => {
                            self.record(Some(host), EventKind::DiskFailed(fault));
                            self.tell(host, Input::PersistFailed);
                            // A vote that cannot be written is a vote to abort; nothing else is said any more.
                            has_stopped = self.replica(host).is_none_or(Replica::is_stopped);
                        }
                    }
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
                    let resynced =
                        if let Notice::Resynced { cursor, .. } = &notice { Some(cursor.clone()) } else { None };
                    self.hosts[host as usize].is_disk_outdated |= forgets(&notice);
                    self.record(Some(host), EventKind::Notified(notice));
                    if let Some(cursor) = resynced {
                        let records = self.records(host);
                        let opened = self.replica(host).map(|replica| opened(replica, cursor, &records, true));
                        opened.into_iter().for_each(|opened| self.record(Some(host), opened));
                    }
                }
                Output::View(delta) if is_in_doubt => self.record(Some(host), EventKind::Viewed(delta)),
                Output::View(delta) => {
                    if !delta.schema.is_empty() {
                        self.forget_text_indexes(host);
                    }
                    let is_broken = self.breaks_stores(host, &delta);
                    let mut result = Ok(());
                    if !is_broken {
                        result = self.on_stores(host, |store| store.apply(&delta));
                    }
                    self.record(Some(host), EventKind::Viewed(delta));
                    if self.note_failure(host, result) || is_broken {
                        is_in_doubt = true;
                        self.tell(host, Input::StoreFailed);
                    }
                }
                Output::Rebuild(view) => {
                    self.forget_text_indexes(host);
                    let mut kept = Vec::new();
                    let is_broken = !is_opening && self.hosts[host as usize].store_fault.is_some() && {
                        // Filling a store anew begins with an empty one.
                        drop(self.on_stores(host, |store| store.rebuild(&View::default())));
                        self.breaks_stores(host, &view.to_delta())
                    };
                    let result = self.on_stores(host, |store| {
                        if is_broken {
                            return Ok(());
                        }
                        // A database on disk is believed when it holds what the records make, and only then.
                        if is_opening && store.read().is_ok_and(|held| held == view) {
                            kept.push(store.name().to_owned());
                            return Ok(());
                        }
                        store.rebuild(&view)
                    });
                    let is_empty = view == View::default();
                    self.record(Some(host), EventKind::Rebuilt { is_opening, view });
                    for (store, parts) in self.held_back(host) {
                        self.record(Some(host), EventKind::HeldBack { store, parts });
                    }
                    for store in kept.into_iter().filter(|_| !is_empty) {
                        self.record(Some(host), EventKind::Kept { store });
                    }
                    // To ask for another would bring the same answer, unless the store was made to fail.
                    self.note_failure(host, result);
                    is_in_doubt = is_broken;
                    if is_broken {
                        self.tell(host, Input::StoreFailed);
                    }
                }
            }
        }
    }

    /// Writes the records of a replica that has forgotten something anew, without that.
    fn shorten_disk(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        let Some(running) = state.running.as_ref().filter(|_| state.is_disk_outdated) else { return };
        if let Ok(records) = running.replica.records() {
            state.is_disk_outdated = false;
            self.sync(host);
            self.hosts[host as usize].disk.replace(&records);
        }
    }

    /// The stores are to be told again which full-text indexes should stand.
    fn forget_text_indexes(&mut self, host: u32) {
        if let Some(running) = &mut self.hosts[host as usize].running {
            running.text_indexes = None;
        }
    }

    /// Tells a host's stores which full-text indexes should stand, if that is not what they were told last. Says whether one of
    /// them failed.
    fn index_texts(&mut self, host: u32) -> bool {
        let running = self.hosts[host as usize].running.as_mut().expect("its outputs were carried out");
        let wanted = running.replica.schema().text_indexes();
        if running.text_indexes.as_ref() == Some(&wanted) {
            return false;
        }
        let result = self.on_stores(host, |store| store.index_texts(&wanted).map(drop));
        let running = self.hosts[host as usize].running.as_mut().expect("its outputs were carried out");
        running.text_indexes = Some(wanted);
        self.note_failure(host, result)
    }

    /// Counts down to an injected crash and carries it out when it is due.
    fn survives_output(&mut self, host: u32) -> bool {
        match &mut self.hosts[host as usize].crash_after {
            None => true,
            Some((0, kept_bytes)) => {
                let kept_bytes = *kept_bytes;
                self.crash(host, kept_bytes);
                false
            }
            Some((left, _)) => {
                *left -= 1;
                true
            }
        }
    }

    fn sync(&mut self, host: u32) {
        let now_us = self.elapsed_us();
        let state = &mut self.hosts[host as usize];
        let Some(us) = state.disk.sync() else { return };
        state.busy_until_us = now_us.max(state.busy_until_us).saturating_add(us);
        self.record(Some(host), EventKind::Synced);
        if us > 0 {
            self.record(Some(host), EventKind::SyncWaited { us });
        }
    }

    fn transmit(&mut self, from: u32, to: u32, frame: Vec<u8>) {
        let is_cut = self.network.is_cut(from, to);
        let leaves_us = self.elapsed_us().max(self.hosts[from as usize].busy_until_us);
        let (number, fate) = self.network.send(leaves_us, from, to, &frame);
        let (bytes, checksum) = (frame.len() as u64, frame_checksum(&frame));
        let frame = frame.into();
        self.record(Some(from), EventKind::Sent { to, number, bytes, checksum, frame, is_cut, fate });
        self.wire.notify_one();
    }

    fn on_stores(
        &mut self,
        host: u32,
        action: impl FnMut(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let running = self.hosts[host as usize].running.as_mut().expect("outputs come from a running replica");
        running.stores.iter_mut().try_for_each(action)
    }

    /// Says whether a store failed.
    fn note_failure(&mut self, host: u32, result: Result<(), StoreError>) -> bool {
        let Err(error) = result else { return false };
        let is_refusal = [REFUSED_ON_PURPOSE, REFUSED_BEFORE].contains(&error.message.as_str());
        let error = error.to_string();
        let failed = if is_refusal { EventKind::SchemaRefused { error } } else { EventKind::StoreFailed { error } };
        self.record(Some(host), failed);
        true
    }

    /// Breaks the stores of a host within this delta if that is due, and says so.
    fn breaks_stores(&mut self, host: u32, delta: &ViewDelta) -> bool {
        let count = engine::statements(delta);
        let state = &mut self.hosts[host as usize];
        let Some(armed) = &mut state.store_fault else { return false };
        if armed.after_statements >= count {
            armed.after_statements -= count;
            return false;
        }
        let engine::Armed { fault, after_statements: statements } = *armed;
        state.store_fault = None;
        let part = engine::first(delta, statements);
        let result = self.on_stores(host, |store| store.apply(&part));
        self.note_failure(host, result);
        self.record(Some(host), EventKind::StoreBroken { fault, statements });
        if fault == StoreFault::Abandonment {
            // A database on disk is let go of before it is opened again.
            self.set_stores(host, Vec::new());
            let opened = self.stores.open(host, &self.hosts[host as usize].refusals);
            self.set_stores(host, opened.expect("an empty store opens, and what is left on disk or its successor"));
        }
        true
    }

    fn set_stores(&mut self, host: u32, stores: Vec<Store>) {
        self.hosts[host as usize].running.as_mut().expect("outputs come from a running replica").stores = stores;
    }

    /// Tells a replica of a failure in what surrounds it.
    fn tell(&mut self, host: u32, failure: Input) {
        let now = self.now(host);
        let running = self.hosts[host as usize].running.as_mut().expect("outputs come from a running replica");
        running.replica.handle_input(now, failure).expect("a running replica takes note of a failure");
    }

    // ---- faults ----

    /// The host dies now: what it had not synced is lost but for so many bytes, and so is everything in memory.
    pub fn crash(&mut self, host: u32, kept_bytes: u64) {
        let state = &mut self.hosts[host as usize];
        (state.crash_after, state.store_fault, state.is_paused, state.busy_until_us) = (None, None, false, 0);
        if state.running.take().is_some() {
            let lost_records = state.disk.crash(kept_bytes) as u64;
            self.record(Some(host), EventKind::Crashed { lost_records });
        }
    }

    /// The host will die after so many more outputs.
    pub fn crash_after(&mut self, host: u32, outputs: u32, kept_bytes: u64) {
        self.hosts[host as usize].crash_after = Some((outputs, kept_bytes));
    }

    /// Lets a host stand still, or go on.
    pub fn pause(&mut self, host: u32, is_paused: bool) {
        let state = &mut self.hosts[host as usize];
        state.is_paused = is_paused;
        state.resumed.notify_one();
        self.record(Some(host), if is_paused { EventKind::Paused } else { EventKind::Resumed });
    }

    /// Whether a host stands still.
    #[must_use]
    pub fn is_paused(&self, host: u32) -> bool {
        self.hosts[host as usize].is_paused
    }

    /// What tells a host to go on.
    #[must_use]
    pub fn resumed(&self, host: u32) -> Rc<Notify> {
        Rc::clone(&self.hosts[host as usize].resumed)
    }

    /// How long a host still waits for its disk, if it does.
    #[must_use]
    pub fn busy_for(&self, host: u32) -> Option<Duration> {
        let us = self.hosts[host as usize].busy_until_us.saturating_sub(self.elapsed_us());
        (us > 0).then_some(Duration::from_micros(us))
    }

    /// A host's disk.
    pub fn disk(&mut self, host: u32) -> &mut Disk {
        &mut self.hosts[host as usize].disk
    }

    /// Lets the stores of a host fail after so many more statements.
    pub fn fail_stores(&mut self, host: u32, fault: StoreFault, after_statements: u32) {
        self.hosts[host as usize].store_fault = Some(engine::Armed { fault, after_statements });
    }

    /// From now on the databases of a host refuse this too, whatever it dies of.
    pub fn refuse_schema(&mut self, host: u32, refusal: Refusal) {
        let state = &mut self.hosts[host as usize];
        for store in state.running.iter_mut().flat_map(|running| &mut running.stores) {
            store.inner_mut().refuse(refusal.clone());
        }
        state.refusals.push(refusal.clone());
        self.record(Some(host), EventKind::Refusing { refusal });
    }

    /// The databases of a host refuse nothing any more. They take what they lack when they are filled anew.
    pub fn accept_schema(&mut self, host: u32) {
        let parts = self.held_back(host).values().map(|parts| parts.len() as u64).sum();
        let state = &mut self.hosts[host as usize];
        state.running.iter_mut().flat_map(|running| &mut running.stores).for_each(|store| store.inner_mut().relent());
        state.refusals.clear();
        self.record(Some(host), EventKind::Accepting { parts });
    }

    /// The hosts whose identity another host has too.
    #[must_use]
    pub fn doubled(&self) -> Vec<u32> {
        self.doubled.iter().copied().collect()
    }

    /// A host that is down loses its disk and gets an empty one.
    pub fn wipe(&mut self, host: u32) {
        self.network.break_connections(host);
        self.hosts[host as usize].disk = Disk::default();
        self.doubled.remove(&host);
        self.record(Some(host), EventKind::Wiped);
    }

    /// A host that is down gets a copy of another's disk.
    pub fn clone_disk(&mut self, host: u32, from: u32) {
        self.network.break_connections(host);
        self.hosts[host as usize].disk = self.copy_disk(from);
        self.record(Some(host), EventKind::Cloned { from });
        self.record(Some(from), EventKind::Doubled);
        self.doubled.extend([host, from]);
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

    /// From its next start on a host speaks the newest version of the protocol. Says whether it did not before.
    pub fn upgrade(&mut self, host: u32) -> bool {
        let is_older = self.older.remove(&host);
        if is_older {
            self.record(Some(host), EventKind::Upgraded);
        }
        is_older
    }

    /// Sets a host's wall clock.
    pub fn jump_clock(&mut self, host: u32, ms: i64) {
        self.hosts[host as usize].clock.jump(ms);
        self.record(Some(host), EventKind::ClockJumped { ms });
    }

    /// Ends every fault: links deliver, nobody is about to die. Clocks stay as wrong as they are, and hosts that stay out
    /// as broken, cut off from all others.
    pub fn heal_all_but(&mut self, out: &BTreeSet<u32>) {
        self.network.heal_all_but(out);
        for (_, state) in (0..).zip(&mut self.hosts).filter(|(host, _)| !out.contains(host)) {
            (state.crash_after, state.store_fault) = (None, None);
            state.disk.mend();
        }
    }

    // ---- judging ----

    /// Everything that is still under way among the hosts that do not stay out; empty if they are at rest.
    #[must_use]
    pub fn pending(&self, out: &BTreeSet<u32>) -> Vec<Pending> {
        let mut pending = Vec::new();
        for host in self.hosts_but(out) {
            match self.replica(host) {
                None => pending.push(Pending { host: Some(host), reason: "its host is down".into() }),
                Some(replica) => {
                    let reasons =
                        replica.pending().into_iter().filter(|reason| !self.is_unavailable(host, *reason, out));
                    pending.extend(reasons.map(|reason| Pending { host: Some(host), reason: reason.to_string() }));
                }
            }
        }
        let on_their_way = self.network.on_their_way(out);
        if on_their_way > 0 {
            pending.push(Pending { host: None, reason: format!("{on_their_way} messages are on their way") });
        }
        pending
    }

    fn hosts_but(&self, out: &BTreeSet<u32>) -> impl Iterator<Item = u32> + use<> {
        let out = out.clone();
        (0..self.options.replicas).filter(move |host| !out.contains(host))
    }

    /// Whether a replica waits for what nobody can give it now, and no engine could do without:
    /// * an answer of a host that stays out;
    /// * a change that none of the others holds: it lies with those that stay out, or lay on disks that are gone;
    /// * without a main, the decision of a coordinator that stays out, whose own log alone decides.
    fn is_unavailable(&self, host: u32, pending: replica::Pending, out: &BTreeSet<u32>) -> bool {
        use replica::Pending::{Cause, Handshake, InFlight, Prepared, Refused};
        match pending {
            Handshake(peer) | InFlight(peer) | Refused(peer) => out.contains(&peer.0),
            Cause { cause, .. } => {
                let is_held = |host| self.replica(host).is_none_or(|replica| replica.log().seen().contains(cause));
                !self.hosts_but(out).any(is_held)
            }
            Prepared(tx) if !self.options.has_main && !out.is_empty() => {
                let prepared = self.replica(host).into_iter().flat_map(Replica::prepared);
                let coordinators = prepared.filter(|proposal| proposal.tx == tx).map(|proposal| proposal.coordinator);
                let is_there = |id: ReplicaId| self.hosts_but(out).any(|host| self.identity(host) == Some(id));
                !coordinators.into_iter().any(is_there)
            }
            _ => false,
        }
    }

    /// What every running replica holds, its stores read back.
    pub fn states(&mut self) -> Vec<ReplicaState> {
        self.states_but(&BTreeSet::new())
    }

    fn states_but(&mut self, out: &BTreeSet<u32>) -> Vec<ReplicaState> {
        self.hosts_but(out).filter_map(|host| self.state(host)).collect()
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
            match store.text_indexes() {
                Ok(indexes) => drop(state.text_indexes.insert(store.name().to_owned(), indexes)),
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
            held_back: self.held_back(host),
            text_indexes: BTreeMap::new(),
            cursor: replica.log().cursor(),
            audit: replica.audit(),
            schema_audit: replica.schema_audit(),
            queue_operations: replica.queue().operations(),
            hidden_edges: replica.state().hidden_edges().count(),
            shape: replica.schema().shape(),
            schema_operations: version.operations,
            schema_digest: version.digest,
            log: self.whole_log(replica),
            cut: replica.cut(),
            purged: replica.log().base().purged.clone(),
            rejections: replica.log().rejections().cloned().collect(),
            failed: replica.log().failed().map(|(id, _)| id).collect(),
            prepared: replica.prepared().cloned().collect(),
            decisions: replica.decisions().collect(),
            clock: replica.clock().clone(),
        })
    }

    /// What a replica has applied, with what it has forgotten since.
    fn whole_log(&self, replica: &Replica) -> Vec<Entry> {
        let cut = replica.cut();
        let forgotten = self.archive.range(..=cut).map(|(_, entry)| entry.clone());
        let known = replica.log().entries().filter(|entry| entry.lsn.is_none_or(|lsn| lsn > cut));
        forgotten.chain(known).collect()
    }

    /// Lets the checkers look at each running replica as it is, in the midst of trouble.
    pub fn inspect(&mut self) {
        for host in (0..self.options.replicas).filter(|host| !self.doubled.contains(host)).collect::<Vec<_>>() {
            if let Some(state) = self.state_of_replica(host) {
                self.checkers.inspect(self.elapsed_us(), &state);
            }
        }
    }

    /// Lets the checkers judge a cluster at rest, or the majority that is while the others stay out.
    pub fn judge(&mut self, out: &BTreeSet<u32>) -> Vec<ReplicaState> {
        let states = self.states_but(out);
        self.checkers.judge(self.elapsed_us(), &states, out);
        states
    }
}

/// What a replica knows that begins with these records.
fn opened(replica: &Replica, cursor: Cursor, records: &[Record], has_new_base: bool) -> EventKind {
    EventKind::Opened {
        replica: replica.id(),
        cursor,
        rejected: replica.log().rejections().map(|rejection| rejection.change).collect(),
        prepared: replica.prepared().map(|proposal| proposal.tx).collect(),
        decided: replica.decisions().map(|(tx, _)| tx).collect(),
        epochs: EpochsKnown::of_records(records),
        has_new_base,
    }
}

/// Whether a replica that says so has forgotten something.
fn forgets(notice: &Notice) -> bool {
    matches!(notice, Notice::Resynced { .. } | Notice::Ruled { ruling: Ruling::Compaction(_), .. })
}

/// What came of an input.
pub struct Answer {
    /// Whether the host survived carrying it out.
    pub is_alive: bool,
    /// The own change it became, or why it was refused; `None` if it was neither.
    pub result: Option<Result<ChangeId, Error>>,
}

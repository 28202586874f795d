//! The verbs that plans and scenarios speak: start, submit, crash, restart, pause, wipe, clone, go offline, partition,
//! clog, inject, heal, settle.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use kuzusync_core::Error;
use kuzusync_core::change::ChangeId;
use kuzusync_core::id::{Digest, TxId};
use kuzusync_core::message::Record;
use kuzusync_core::replica::{Input, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::store::refusing::Refusal;
use kuzusync_core::store::text_index::TextIndexes;
use kuzusync_core::store::{StoreCounts, Unmaterialised};
use kuzusync_core::view::View;
use madsim::runtime::{Handle, NodeHandle};
use madsim::time::sleep;
use send_wrapper::SendWrapper;
use tokio::sync::{mpsc, oneshot};

use crate::checker::liveness;
use crate::client;
use crate::disk::{Disk, DiskFault};
use crate::history::EventKind;
use crate::host::{self, Arrival};
use crate::network::Partition;
use crate::options::{LinkOptions, Options};
use crate::outcome::{Check, Property, ReplicaState, Violation};
use crate::seed::Seed;
use crate::step::Step;
use crate::store::Stores;
use crate::world::{Answer, Shared, World};

/// How long a client waits for an answer before it gives up, to ask again later.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How often a settling cluster is looked at.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// How long the kernel of a dead host takes to give its address back.
const RESTART_DELAY: Duration = Duration::from_millis(3);

/// The inbox of each host's current incarnation.
type Inboxes = Rc<RefCell<Vec<Option<mpsc::UnboundedSender<Arrival>>>>>;

/// A cluster inside a simulation.
pub struct Cluster {
    world: Shared,
    hosts: Vec<NodeHandle>,
    inboxes: Inboxes,
    invocations: u64,
    /// Transactions of clients that got no answer.
    abandoned: Vec<(u32, Transaction)>,
    /// The last generated transaction that wrote rows, where it was submitted, and as which invocation.
    last: Option<(u32, Transaction, u64)>,
    violation: Option<Violation>,
}

impl Cluster {
    /// Hosts that are not started yet. Must be made inside a simulation.
    #[must_use]
    pub fn new(seed: Seed, options: Options, stores: Stores) -> Self {
        let replicas = options.replicas;
        let world: Shared = Rc::new(RefCell::new(World::new(seed, options, stores)));
        let inboxes: Inboxes = Rc::new(RefCell::new(vec![None; replicas as usize]));
        Cluster {
            world,
            hosts: Vec::new(),
            inboxes,
            invocations: 0,
            abandoned: Vec::new(),
            last: None,
            violation: None,
        }
    }

    /// Starts the wire and every host, and waits until all are up.
    pub async fn start(&mut self) {
        let (world, inboxes) = (Rc::clone(&self.world), Rc::clone(&self.inboxes));
        let replicas = world.borrow().options().replicas;
        let runtime = Handle::current();
        let turns = Rc::clone(&world.borrow().turns);
        let shared = SendWrapper::new((Rc::clone(&world), Rc::clone(&turns)));
        let wire = runtime.create_node().name("wire").ip(host::wire_address().ip());
        let init = move || {
            let (world, turns) = (Rc::clone(&shared.0), Rc::clone(&shared.1));
            async move { turns.count(host::carry(world)).await }
        };
        wire.init(init).build();
        let start = |host| {
            let shared = SendWrapper::new((Rc::clone(&world), Rc::clone(&inboxes), Rc::clone(&turns)));
            let node = runtime.create_node().name(format!("replica {host}")).ip(host::address(host).ip());
            let init = move || {
                let (world, inboxes, turns) = &*shared;
                let (sender, inbox) = mpsc::unbounded_channel();
                inboxes.borrow_mut()[host as usize] = Some(sender.clone());
                let (run, turns) = (host::run(Rc::clone(world), host, sender, inbox), Rc::clone(turns));
                async move { turns.count(run).await }
            };
            node.init(init).build()
        };
        self.hosts = (0..replicas).map(start).collect();
        while (0..replicas).any(|host| self.world.borrow().replica(host).is_none()) {
            self.wait(1).await;
        }
    }

    // ---- steps ----

    /// Carries one step of a plan out.
    pub async fn step(&mut self, step: &Step) {
        match step {
            Step::Wait { ms } => self.wait(*ms).await,
            Step::Submit { replica, statements, participants } if participants.is_empty() => {
                drop(self.submit(self.host(*replica), statements.clone()).await);
            }
            Step::Submit { replica, statements, participants } => {
                let participants: Vec<u32> = participants.iter().map(|other| self.host(*other)).collect();
                drop(self.transact(self.host(*replica), &participants, statements.clone()).await);
            }
            Step::CreateTable { replica, .. }
            | Step::CreateNode { replica, .. }
            | Step::UpdateNode { replica, .. }
            | Step::UpdateNodeStrictly { replica, .. }
            | Step::UpdateNodeEarlier { replica, .. }
            | Step::IncrementNode { replica, .. }
            | Step::DeleteNode { replica, .. }
            | Step::CreateEdge { replica, .. }
            | Step::UpdateEdge { replica, .. }
            | Step::IncrementEdge { replica, .. }
            | Step::DeleteEdge { replica, .. }
            | Step::SetRule { replica, .. }
            | Step::Constrain { replica, .. }
            | Step::ChangeSchema { replica, .. } => self.submit_generated(self.host(*replica), step).await,
            Step::Transact { replica, participants, .. } => {
                self.transact_generated(self.host(*replica), *participants, step).await;
            }
            Step::SubmitAgainElsewhere { replica } => self.submit_again_elsewhere(self.host(*replica)).await,
            Step::SubmitAgain => self.submit_again().await,
            Step::Crash { replica, after_outputs, kept_bytes } => {
                self.tear(self.host(*replica), *after_outputs, *kept_bytes);
            }
            Step::Pause { replica } => self.pause(self.host(*replica)),
            Step::Resume { replica } => self.resume(self.host(*replica)).await,
            Step::Wipe { replica } => self.wipe(self.host(*replica)).await,
            Step::Clone { replica, other } => self.clone_host(self.host(*replica), *other).await,
            Step::FailDisk { replica, fault, after } => {
                self.world.borrow_mut().disk(self.host(*replica)).arm(*fault, *after);
            }
            Step::SlowDisk { replica, sync_ms } => {
                self.world.borrow_mut().disk(self.host(*replica)).slow_down(sync_ms * 1_000);
            }
            Step::MendDisk { replica } => self.world.borrow_mut().disk(self.host(*replica)).mend(),
            Step::FailStore { replica, fault, after_statements } => {
                self.world.borrow_mut().fail_stores(self.host(*replica), *fault, *after_statements);
            }
            Step::RefuseSchema { replica, refusal } => self.refuse_schema(self.host(*replica), refusal.clone()),
            Step::AcceptSchema { replica } => self.accept_schema(self.host(*replica)).await,
            Step::Clog { replica, other, ms } => {
                let one = self.host(*replica);
                match self.other_host(one, *other) {
                    Some(other) => self.clog(one, other, *ms),
                    None => self.skip(one, "there is no other host"),
                }
            }
            Step::Upgrade { replica } => self.upgrade(self.host(*replica)).await,
            Step::Compact => self.compact().await,
            Step::Restart { replica } => self.restart(self.host(*replica)).await,
            Step::GoOffline { replica } => self.go_offline(self.host(*replica)).await,
            Step::GoOnline { replica } => self.go_online(self.host(*replica)).await,
            Step::Partition { group } => self.partition(*group),
            Step::PartitionOneWay { group } => self.partition_one_way(*group),
            Step::Isolate { replica } => self.isolate(self.host(*replica)),
            Step::PartitionRing => self.partition_ring(),
            Step::CutLink { replica, other, after_messages } => {
                let one = self.host(*replica);
                match self.other_host(one, *other) {
                    Some(other) => self.cut_link(one, other, *after_messages),
                    None => self.skip(one, "there is no other host"),
                }
            }
            Step::Heal => self.heal(),
            Step::JumpClock { replica, ms } => self.world.borrow_mut().jump_clock(self.host(*replica), *ms),
            Step::Inject { replica, from, bytes } => {
                let host = self.host(*replica);
                match self.other_host(host, *from) {
                    Some(from) => drop(self.inject(host, from, bytes.clone()).await),
                    None => self.skip(host, "there is no other host"),
                }
            }
            Step::Settle => drop(self.settle().await),
            Step::SettleMajority { out } => drop(self.settle_majority(*out).await),
        }
    }

    /// The host of that number, or the next one if that is `host` itself; `None` if there is no other.
    fn other_host(&self, host: u32, other: u32) -> Option<u32> {
        let other = self.host(other);
        let next = self.host(host + 1);
        (next != host).then_some(if other == host { next } else { other })
    }

    /// A step can do nothing.
    fn skip(&self, host: u32, reason: &str) {
        self.world.borrow_mut().record(Some(host), EventKind::Skipped { reason: reason.to_owned() });
    }

    fn host(&self, replica: u32) -> u32 {
        replica % self.hosts.len() as u32
    }

    /// Lets time pass.
    pub async fn wait(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }

    async fn submit_generated(&mut self, host: u32, step: &Step) {
        let here = self.world.borrow().surroundings(host);
        let transaction = here.ok_or("the host is down").and_then(|here| client::transaction(step, &here));
        match transaction {
            Ok(transaction) => {
                let transaction = Transaction { tx: self.next_tx(), ..transaction };
                // A migration would make other tables at a replica with another schema.
                if transaction.statements.iter().all(client::is_data) {
                    self.last = Some((host, transaction.clone(), self.invocations + 1));
                }
                drop(self.submit_transaction(host, transaction).await);
            }
            Err(reason) => self.skip(host, reason),
        }
    }

    /// A generated transaction that several replicas vote on.
    async fn transact_generated(&mut self, host: u32, participants: u64, step: &Step) {
        let here = self.world.borrow().surroundings(host);
        match here.ok_or("the host is down").and_then(|here| client::transaction(step, &here)) {
            Ok(Transaction { statements, .. }) => {
                let named = |other: &u32| participants >> (other % u64::BITS) & 1 == 1;
                let participants: Vec<u32> = self.hosts().filter(named).collect();
                drop(self.transact(host, &participants, statements).await);
            }
            Err(reason) => self.skip(host, reason),
        }
    }

    /// The client of the last transaction submits it once more, though it has an answer.
    async fn submit_again(&mut self) {
        match self.last.clone() {
            Some((host, transaction, invocation)) if self.world.borrow().replica(host).is_some() => {
                self.world.borrow_mut().record(Some(host), EventKind::SubmittedAgain { invocation });
                drop(self.submit_transaction(host, transaction).await);
            }
            Some((host, ..)) => self.skip(host, "the host is down"),
            None => self.skip(0, "there is nothing to submit again"),
        }
    }

    /// The client of the last transaction hands it to another replica as well.
    async fn submit_again_elsewhere(&mut self, host: u32) {
        let replicas = self.hosts.len() as u32;
        match self.last.clone() {
            _ if !self.world.borrow().options().has_main => {
                self.skip(host, "only a main notices that two replicas carry out one transaction");
            }
            Some((at, transaction, _)) if replicas > 1 => {
                let elsewhere = if at == host { (host + 1) % replicas } else { host };
                drop(self.submit_transaction(elsewhere, transaction).await);
            }
            _ => self.skip(host, "there is nothing to submit again, or nowhere else"),
        }
    }

    /// Submits a transaction and waits for the answer: its change, or why there is none.
    ///
    /// # Errors
    /// The refusal, or that the host died first. Then the transaction may or may not have been done.
    pub async fn submit(&mut self, host: u32, statements: Vec<Statement>) -> Result<ChangeId, String> {
        let tx = self.next_tx();
        self.submit_transaction(host, Transaction { tx, statements, ..Transaction::default() }).await
    }

    /// An identity for the transaction of the next client.
    #[must_use]
    pub fn next_tx(&self) -> TxId {
        TxId(Digest::of(&[b"transaction", &(self.invocations + 1).to_le_bytes()]).0)
    }

    /// Like [`Cluster::submit`], for a transaction with an identity of the caller's.
    ///
    /// # Errors
    /// The refusal, or that the host died first.
    pub async fn submit_transaction(&mut self, host: u32, transaction: Transaction) -> Result<ChangeId, String> {
        self.invocations += 1;
        let invocation = self.invocations;
        let statements = transaction.statements.clone();
        let again = (host, transaction.clone());
        self.world.borrow_mut().record(Some(host), EventKind::Invoked { invocation, statements });
        let answer = self.ask_patiently(host, transaction).await;
        let mut world = self.world.borrow_mut();
        let Some(answer) = answer else {
            world.record(Some(host), EventKind::TimedOut { invocation });
            self.abandoned.push(again);
            return Err("the host did not answer in time".to_owned());
        };
        match answer.and_then(|answer| answer.result) {
            Some(result) => {
                let result = result.map_err(|error| error.to_string());
                world.record(Some(host), EventKind::Returned { invocation, result: result.clone() });
                result
            }
            None => {
                world.record(Some(host), EventKind::Abandoned { invocation });
                self.abandoned.push(again);
                Err("the host died before it answered".to_owned())
            }
        }
    }

    /// Has a host coordinate a transaction on which these hosts vote besides it, and waits until that has begun. What is
    /// decided is found out by [`Replica::decision`]. A host that is down is asked as who it was.
    ///
    /// # Errors
    /// The refusal, or that the host died first. Then the transaction may or may not have begun.
    pub async fn transact(&mut self, host: u32, with: &[u32], statements: Vec<Statement>) -> Result<TxId, String> {
        let tx = self.next_tx();
        let identity = |other: &u32| self.world.borrow().identity(*other);
        let participants = with.iter().chain([&host]).filter_map(identity).collect();
        let transaction = Transaction { tx, statements, participants, ..Transaction::default() };
        self.begin(host, transaction).await
    }

    async fn begin(&mut self, host: u32, transaction: Transaction) -> Result<TxId, String> {
        self.invocations += 1;
        let (invocation, tx) = (self.invocations, transaction.tx);
        let statements = transaction.statements.clone();
        let again = (host, transaction.clone());
        self.world.borrow_mut().record(Some(host), EventKind::Invoked { invocation, statements });
        let answer = self.ask_patiently(host, transaction).await;
        let mut world = self.world.borrow_mut();
        let Some(answer) = answer else {
            world.record(Some(host), EventKind::TimedOut { invocation });
            self.abandoned.push(again);
            return Err("the host did not answer in time".to_owned());
        };
        match answer.map(|answer| answer.result) {
            Some(Some(Err(error))) => {
                let error = error.to_string();
                world.record(Some(host), EventKind::Returned { invocation, result: Err(error.clone()) });
                Err(error)
            }
            Some(_) => {
                world.record(Some(host), EventKind::Begun { invocation, tx });
                Ok(tx)
            }
            None => {
                world.record(Some(host), EventKind::Abandoned { invocation });
                self.abandoned.push(again);
                Err("the host died before it answered".to_owned())
            }
        }
    }

    /// Hands a host a client's transaction; `None` if the client lost patience.
    async fn ask_patiently(&self, host: u32, transaction: Transaction) -> Option<Option<Answer>> {
        tokio::select! {
            biased;
            answer = self.ask_host(host, |answer_to| Arrival::Local(Input::Local(transaction), answer_to)) => Some(answer),
            () = sleep(PATIENCE) => None,
        }
    }

    /// Hands a running host something and waits until it is dealt with; `None` if the host died or was down.
    async fn ask_host(&self, host: u32, arrival: impl FnOnce(oneshot::Sender<Answer>) -> Arrival) -> Option<Answer> {
        let (answer_to, answer) = oneshot::channel();
        let inbox = self.inboxes.borrow()[host as usize].clone()?;
        let is_up = self.world.borrow().replica(host).is_some();
        if !is_up || inbox.send(arrival(answer_to)).is_err() {
            return None;
        }
        drop(inbox);
        answer.await.ok()
    }

    /// Like [`Cluster::ask_host`], but nobody waits for a host that stands still.
    async fn ask_moving_host(
        &self,
        host: u32,
        arrival: impl FnOnce(oneshot::Sender<Answer>) -> Arrival,
    ) -> Option<Answer> {
        tokio::select! {
            biased;
            answer = self.ask_host(host, arrival) => answer,
            () = std::future::ready(()), if self.world.borrow().is_paused(host) => None,
        }
    }

    async fn input(&self, host: u32, input: Input) {
        self.ask_moving_host(host, |answer_to| Arrival::Local(input, answer_to)).await;
    }

    /// From now on links behave like this, for scenarios in which they change.
    pub fn set_links(&mut self, links: LinkOptions) {
        self.world.borrow_mut().network.set_options(links);
    }

    /// Makes a host's replica believe that another sent it these bytes; nothing of this passes the network. Returns
    /// what the replica said to them, `None` if the host died or was down.
    pub async fn inject(&mut self, host: u32, from: u32, bytes: Vec<u8>) -> Option<Result<(), Error>> {
        if self.world.borrow().replica(host).is_none() {
            self.skip(host, "the host is down");
        }
        let answer = self.ask_moving_host(host, |answer_to| Arrival::Forgery { from, bytes, answer_to }).await?;
        Some(answer.result.map_or(Ok(()), |result| result.map(drop)))
    }

    /// Kills a host: now, or once it has carried out so many more outputs.
    pub fn crash(&mut self, host: u32, after_outputs: u32) {
        self.tear(host, after_outputs, 0);
    }

    /// Like [`Cluster::crash`]; of what the host had written and not synced so many bytes stay on its disk.
    pub fn tear(&mut self, host: u32, after_outputs: u32, kept_bytes: u64) {
        if after_outputs > 0 {
            self.world.borrow_mut().crash_after(host, after_outputs, kept_bytes);
        } else if self.world.borrow().replica(host).is_none() {
            self.skip(host, "the host is down already");
        } else {
            self.world.borrow_mut().crash(host, kept_bytes);
            Handle::current().kill(self.hosts[host as usize].id());
        }
    }

    /// Lets a host stand still: what reaches it waits.
    pub fn pause(&mut self, host: u32) {
        if self.world.borrow().replica(host).is_none() {
            self.skip(host, "the host is down");
        } else if self.world.borrow().is_paused(host) {
            self.skip(host, "the host stands still already");
        } else {
            self.world.borrow_mut().pause(host, true);
        }
    }

    /// Lets a host go on. Its clients that lost patience ask again.
    pub async fn resume(&mut self, host: u32) {
        if self.world.borrow().is_paused(host) {
            self.world.borrow_mut().pause(host, false);
            self.submit_abandoned(host).await;
        } else {
            self.skip(host, "the host does not stand still");
        }
    }

    /// A host loses its disk and comes back as a new replica. Without a main nobody would notice that its clients'
    /// transactions were carried out before, so they are not submitted again.
    pub async fn wipe(&mut self, host: u32) {
        if host == 0 && self.world.borrow().options().has_main {
            self.skip(host, "a wiped main is another main");
            return;
        }
        if self.world.borrow().replica(host).is_some() {
            self.crash(host, 0);
        }
        self.world.borrow_mut().wipe(host);
        if !self.world.borrow().options().has_main {
            self.abandoned.retain(|(at, _)| *at != host);
            self.last.take_if(|(at, ..)| *at == host);
        }
        self.restart(host).await;
    }

    /// A host starts from a copy of another's disk.
    pub async fn clone_host(&mut self, host: u32, other: u32) {
        let edges = self.hosts.len() as u32 - 1;
        if !self.world.borrow().options().has_main {
            self.skip(host, "without a main nobody notices that two hosts have one identity");
        } else if host == 0 || edges < 2 {
            self.skip(host, "there are no two edges to be taken for each other");
        } else {
            let other = 1 + other % edges;
            let from = if other == host { 1 + host % edges } else { other };
            if self.world.borrow().replica(host).is_some() {
                self.crash(host, 0);
            }
            self.world.borrow_mut().clone_disk(host, from);
            self.restart(host).await;
        }
    }

    /// Lets the link between two hosts hold back what is sent.
    pub fn clog(&mut self, one: u32, other: u32, ms: u64) {
        let mut world = self.world.borrow_mut();
        let until_us = world.elapsed_us().saturating_add(ms.saturating_mul(1_000));
        world.network.clog(one, other, until_us);
        world.record(None, EventKind::Clogged { one, other, ms });
    }

    /// Stops a host that speaks an older version of the protocol and starts it again with the newest.
    pub async fn upgrade(&mut self, host: u32) {
        if !self.world.borrow_mut().upgrade(host) {
            self.skip(host, "the host has the newest version");
            return;
        }
        if self.world.borrow().replica(host).is_some() {
            self.crash(host, 0);
        }
        self.restart(host).await;
    }

    /// Somebody has the main forget what nobody needs any more.
    pub async fn compact(&mut self) {
        if self.world.borrow().options().has_main {
            self.input(0, Input::Compact).await;
        } else {
            self.skip(0, "without a main nobody decides what is forgotten");
        }
    }

    /// Starts a crashed host again from its disk.
    pub async fn restart(&mut self, host: u32) {
        if self.world.borrow().replica(host).is_some() {
            self.skip(host, "the host is up");
            return;
        }
        let (runtime, node) = (Handle::current(), self.hosts[host as usize].id());
        runtime.kill(node);
        sleep(RESTART_DELAY).await;
        runtime.restart(node);
        sleep(RESTART_DELAY).await;
        self.submit_abandoned(host).await;
    }

    /// The clients of a host that is up again ask once more for what they got no answer to.
    async fn submit_abandoned(&mut self, host: u32) {
        let (own, others): (Vec<_>, _) =
            std::mem::take(&mut self.abandoned).into_iter().partition(|(at, _)| *at == host);
        self.abandoned = others;
        for (host, transaction) in own {
            if transaction.participants.is_empty() {
                drop(self.submit_transaction(host, transaction).await);
            } else {
                drop(self.begin(host, transaction).await);
            }
        }
    }

    /// A host dies, gets another disk in the place of its own, and starts from that. Returns the disk it had. An
    /// empty one makes it a new replica; a copy of another host's makes it that host's clone.
    pub async fn replace_disk(&mut self, host: u32, disk: Disk) -> Disk {
        if self.world.borrow().replica(host).is_some() {
            self.crash(host, 0);
        }
        let old = self.world.borrow_mut().replace_disk(host, disk);
        self.restart(host).await;
        old
    }

    /// A copy of what a host's disk holds durably.
    #[must_use]
    pub fn copy_disk(&self, host: u32) -> Disk {
        self.world.borrow().copy_disk(host)
    }

    /// From now on a host's disk has no room for another record.
    pub fn fill_disk(&mut self, host: u32) {
        self.world.borrow_mut().disk(host).arm(DiskFault::Full, 0);
    }

    /// A host's disk has room again.
    pub fn mend_disk(&mut self, host: u32) {
        self.world.borrow_mut().disk(host).mend();
    }

    /// From now on the databases of a host refuse this part of a schema.
    pub fn refuse_schema(&mut self, host: u32, refusal: Refusal) {
        self.world.borrow_mut().refuse_schema(host, refusal);
    }

    /// The databases of a host refuse nothing any more, and somebody has them filled anew.
    pub async fn accept_schema(&mut self, host: u32) {
        self.world.borrow_mut().accept_schema(host);
        self.input(host, Input::StoreFailed).await;
    }

    /// What each store of a host holds, read back from its database; nothing if the host is down.
    #[must_use]
    pub fn stored(&self, host: u32) -> Vec<View> {
        self.world.borrow_mut().stored(host)
    }

    /// The full-text indexes that each store of a host has built, read back from its database.
    #[must_use]
    pub fn text_indexes(&self, host: u32) -> BTreeMap<String, TextIndexes> {
        self.world.borrow_mut().text_indexes(host)
    }

    /// What the stores of a host were asked since they were opened.
    #[must_use]
    pub fn store_counts(&self, host: u32) -> Vec<StoreCounts> {
        self.world.borrow().store_counts(host)
    }

    /// What a host's stores lack of the schema because their databases refuse it.
    #[must_use]
    pub fn held_back(&self, host: u32) -> BTreeMap<String, Vec<Unmaterialised>> {
        self.world.borrow().held_back(host)
    }

    /// A person says that what made a change fail at this host is mended: see [`Input::Retry`]. Returns what the
    /// replica said to that, `None` if the host died or was down.
    pub async fn retry(&mut self, host: u32, id: ChangeId) -> Option<Result<(), Error>> {
        let answer = self.ask_moving_host(host, |answer_to| Arrival::Local(Input::Retry(id), answer_to)).await?;
        Some(answer.result.map_or(Ok(()), |result| result.map(drop)))
    }

    /// Takes a host off the network; it knows, and so do those it was linked to. What nobody notices is a
    /// [`Cluster::partition`].
    pub async fn go_offline(&mut self, host: u32) {
        self.world.borrow_mut().network.set_offline(host, true);
        self.world.borrow_mut().record(Some(host), EventKind::WentOffline);
        for peer in self.neighbours(host) {
            self.input(host, Input::Disconnected(Peer(peer))).await;
            self.input(peer, Input::Disconnected(Peer(host))).await;
        }
    }

    /// Gives a host its network back; it knows.
    pub async fn go_online(&mut self, host: u32) {
        self.world.borrow_mut().network.set_offline(host, false);
        self.world.borrow_mut().record(Some(host), EventKind::WentOnline);
        for peer in self.neighbours(host) {
            self.input(host, Input::Connected(Peer(peer))).await;
        }
    }

    fn neighbours(&self, host: u32) -> Vec<u32> {
        self.world.borrow().neighbours(host)
    }

    /// Cuts the hosts whose bit is set off from the others; nobody is told. Of this and the next three only the last
    /// one counts.
    pub fn partition(&mut self, group: u64) {
        self.split(Partition::Split { group });
    }

    /// Lets nothing pass from the hosts whose bit is set to the others; what the others send arrives.
    pub fn partition_one_way(&mut self, group: u64) {
        self.split(Partition::OneWay { group });
    }

    /// Cuts one host off from all others.
    pub fn isolate(&mut self, host: u32) {
        self.split(Partition::Isolation { host });
    }

    /// Lets only neighbours in the ring of all hosts reach each other. With a main that leaves it the first and the
    /// last edge. In a ring of three all are neighbours, so it takes four hosts.
    pub fn partition_ring(&mut self) {
        let hosts = self.hosts.len() as u32;
        if hosts < 4 {
            self.skip(0, "in a ring of fewer than four hosts all are neighbours");
        } else {
            self.split(Partition::Ring { hosts });
        }
    }

    fn split(&mut self, partition: Partition) {
        let mut world = self.world.borrow_mut();
        world.network.partition(partition);
        world.record(None, EventKind::Partitioned(partition));
    }

    /// Cuts the link between two hosts once so many more messages have arrived over it, either way; nobody is told.
    pub fn cut_link(&mut self, one: u32, other: u32, after_messages: u64) {
        let mut world = self.world.borrow_mut();
        world.network.cut_link(one, other, after_messages);
        if after_messages == 0 {
            world.record(None, EventKind::LinkCut { one, other });
        }
    }

    /// Ends every partition and cut.
    pub fn heal(&mut self) {
        let mut world = self.world.borrow_mut();
        world.network.end_partition();
        world.record(None, EventKind::Healed);
    }

    /// Ends every fault, starts what is down, waits until nothing is under way and lets the checkers judge. After that
    /// links misbehave again.
    pub async fn settle(&mut self) -> Vec<ReplicaState> {
        self.settle_all_but(&BTreeSet::new()).await
    }

    /// Like [`Cluster::settle`], for all but some hosts, which stay as broken as they are and are cut off from the rest. Of
    /// those whose bit is set the first that leave a majority stay out, and never the main.
    pub async fn settle_majority(&mut self, out: u64) -> Vec<ReplicaState> {
        let hosts = self.hosts.len() as u32;
        let first = u32::from(self.world.borrow().options().has_main);
        let named = (first..hosts).filter(|host| out.checked_shr(*host).is_some_and(|bits| bits & 1 == 1));
        let out: BTreeSet<u32> = named.take((hosts as usize - 1) / 2).collect();
        if out.is_empty() {
            self.skip(0, "nobody is to stay out, or none can without a majority");
            return Vec::new();
        }
        self.settle_all_but(&out).await
    }

    async fn settle_all_but(&mut self, out: &BTreeSet<u32>) -> Vec<ReplicaState> {
        let hosts = (0..self.hosts.len() as u32).filter(|host| !out.contains(host));
        let offline: Vec<u32> = hosts.clone().filter(|host| self.world.borrow().network.is_offline(*host)).collect();
        let out_hosts: Vec<u32> = out.iter().copied().collect();
        self.world.borrow_mut().inspect();
        self.world.borrow_mut().record(None, EventKind::Settling { out: out_hosts.clone() });
        self.world.borrow_mut().heal_all_but(out);
        let doubled = self.world.borrow().doubled();
        for host in doubled.into_iter().filter(|host| !out.contains(host)) {
            self.wipe(host).await;
        }
        for host in hosts.clone().filter(|host| self.world.borrow().is_paused(*host)).collect::<Vec<_>>() {
            self.resume(host).await;
        }
        for host in hosts.filter(|host| self.world.borrow().replica(*host).is_none()).collect::<Vec<_>>() {
            self.restart(host).await;
        }
        for host in offline {
            self.go_online(host).await;
        }
        let settle_ms_max = self.world.borrow().options().settle_ms_max;
        let deadline_us = self.world.borrow().elapsed_us() + settle_ms_max * 1_000;
        // A message between the wire and its host is seen by nobody, so rest must last.
        let mut polls_at_rest = 0;
        while polls_at_rest < 2 {
            if self.violation().is_some() {
                return Vec::new();
            }
            let pending = self.world.borrow().pending(out);
            polls_at_rest = if pending.is_empty() { polls_at_rest + 1 } else { 0 };
            let now_us = self.world.borrow().elapsed_us();
            if now_us >= deadline_us && !pending.is_empty() {
                self.violation = liveness::judge(now_us, settle_ms_max, &pending, out);
                return Vec::new();
            }
            sleep(SETTLE_POLL).await;
        }
        let mut world = self.world.borrow_mut();
        world.record(None, EventKind::Settled { out: out_hosts });
        world.network.end_healing();
        world.judge(out)
    }

    // ---- what scenarios look at ----

    /// Every host, by number.
    #[must_use]
    pub fn hosts(&self) -> Range<u32> {
        0..self.hosts.len() as u32
    }

    /// Asks a host's replica something; `None` if the host is down.
    pub fn ask<T>(&self, host: u32, question: impl FnOnce(&Replica) -> T) -> Option<T> {
        self.world.borrow().replica(host).map(question)
    }

    /// What a host's replica shows; empty if the host is down.
    #[must_use]
    pub fn view(&self, host: u32) -> View {
        self.world.borrow().view(host).unwrap_or_default()
    }

    /// The records that a host's disk holds for good.
    #[must_use]
    pub fn records(&self, host: u32) -> Vec<Record> {
        self.world.borrow().records(host)
    }

    /// The texts of the statements that a host's stores were sent, as far as they are made of texts.
    #[must_use]
    pub fn statement_texts(&self, host: u32) -> Vec<String> {
        self.world.borrow().statement_texts(host)
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        self.world.borrow().elapsed_us()
    }

    /// What `select` picks from the events so far.
    pub fn events<T>(&self, select: impl Fn(&EventKind) -> Option<T>) -> Vec<T> {
        self.world.borrow().events().iter().filter_map(|event| select(&event.kind)).collect()
    }

    /// What `select` picks from a host's events so far.
    pub fn events_at<T>(&self, host: u32, select: impl Fn(&EventKind) -> Option<T>) -> Vec<T> {
        let world = self.world.borrow();
        let own = world.events().iter().filter(|event| event.host == Some(host));
        own.filter_map(|event| select(&event.kind)).collect()
    }

    /// Notes whether a clause of a documented case holds, and what was found.
    pub fn check(&mut self, clause: &str, holds: bool, found: impl Into<String>) {
        let check = Check { clause: clause.to_owned(), holds, found: found.into() };
        self.world.borrow_mut().check(check);
    }

    /// What is wrong, as soon as something is.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation.clone().or_else(|| self.world.borrow().checkers().violation().cloned())
    }

    /// Whether what is wrong is that the cluster did not come to rest.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.violation().is_some_and(|violation| violation.property == Property::Liveness)
    }

    /// The world, for the end of a run.
    #[must_use]
    pub fn world(&self) -> &Shared {
        &self.world
    }
}

//! How a replica takes part in transactions that several replicas vote on: see [`crate::two_phase`].
//!
//! | it is | and hears | so it |
//! |---|---|---|
//! | coordinator | a client | makes its own vote durable, then asks the others |
//! | coordinator | the last vote, or an abort, or nothing for too long | makes the change, or rolls back |
//! | participant | a proposal | votes; a vote to commit is durable first |
//! | participant | nothing until its lease ends | asks the main to roll back, or without a main the coordinator what it decided |
//! | main | a change that was voted for, or a wish to roll back | appends the first of them |
//! | anybody | the change with its number, or the ruling | knows the decision, and lets go of what it had prepared |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Batch, Notice, Output, Pending, Replica, Timer};
use crate::change::{Change, Op};
use crate::clock::{Lsn, Now};
use crate::constraint;
use crate::error::Error;
use crate::id::{ChangeId, ReplicaId, TxId};
use crate::message::{Entry, LogRecord, Message, Record, Role};
use crate::planted::{Bug, is_planted};
use crate::ruling::{Rejection, RolledBack, Ruling};
use crate::session::{Peer, Phase, resend_after};
use crate::statement::Transaction;
use crate::two_phase::coordinator::{Coordinator, Next, Stage};
use crate::two_phase::participant::{Participant, Prepared};
use crate::two_phase::{Abort, AbortReason, Decision, Letter, Proposal, Says, VOTES_WITHIN, Vote};

/// The transactions a replica has to do with.
#[derive(Debug, Default)]
pub(super) struct Agreements {
    coordinator: Coordinator,
    participant: Participant,
    /// What is known to be rolled back.
    rolled_back: BTreeMap<TxId, Abort>,
    /// What this process voted to abort and has not heard the decision of.
    abstained: BTreeSet<TxId>,
    /// The transaction whose vote the record holds that was polled last.
    polled: Option<TxId>,
    /// What was prepared before this process began has been taken up.
    is_resumed: bool,
}

impl Agreements {
    pub(super) fn is_undecided(&self, tx: TxId) -> bool {
        self.participant.get(tx).is_some() || self.coordinator.stage(tx).is_some()
    }

    pub(super) fn is_rolled_back(&self, tx: TxId) -> bool {
        self.rolled_back.contains_key(&tx)
    }

    /// The host is about to carry this out.
    pub(super) fn note_polled(&mut self, output: &Output) {
        match output {
            Output::Persist(Record::Batch { log, .. }) => {
                self.polled = match log.as_slice() {
                    [LogRecord::Prepared(proposal)] => Some(proposal.tx),
                    _ => None,
                };
            }
            Output::Persist(_) | Output::Timeout(_) => self.polled = None,
            _ => {}
        }
    }
}

impl Replica {
    // ---- the coordinator ----

    /// A client wants several replicas to do something together.
    pub(super) fn begin_agreement(&mut self, now: Now, transaction: &Transaction) -> Result<(), Error> {
        let tx = transaction.tx;
        if let Some(decision) = self.decision(tx) {
            self.outputs.push_back(Output::Notify(Notice::Decided { tx, decision }));
            return Ok(());
        }
        if let Some(id) = self.log.transaction(tx) {
            self.outputs.push_back(Output::Notify(Notice::AlreadySubmitted { tx, id }));
            return Ok(());
        }
        let has_no_vote = |what, problem| Err(Error::NoVote { what, problem });
        if transaction.is_strict {
            return has_no_vote("a strict transaction", "nobody else can prepare its rows; leave strict mode out");
        }
        if transaction.created_at.is_some() {
            return has_no_vote("a transaction with a time of its own", "it is stamped when it is decided");
        }
        let participants: BTreeSet<ReplicaId> = transaction.participants.iter().copied().chain([self.id]).collect();
        let Change { ops, seen, depends_on, .. } = self.write(now, transaction)?;
        if ops.iter().any(|op| matches!(op, Op::Schema(_))) {
            return has_no_vote("a schema change", "it merges by itself; submit it without participants");
        }
        constraint::check(&self.state, &seen, &ops)?;
        let others: BTreeSet<ReplicaId> = participants.iter().copied().filter(|other| *other != self.id).collect();
        if let Some(participant) = others.iter().copied().find(|other| self.way_to(*other).is_none()) {
            return Err(Error::ParticipantOffline { participant });
        }
        let participants = participants.into_iter().collect();
        let proposal = Proposal { tx, coordinator: self.id, participants, depends_on, seen, ops };
        if let Some(with) = self.rival(&proposal) {
            return Err(Error::Overlap { with });
        }
        if others.is_empty() {
            self.commit_agreement(now, &proposal);
            return Ok(());
        }
        self.prepare(now, proposal);
        self.agreements.coordinator.begin(tx, others, now.monotonic.after(VOTES_WITHIN));
        self.tend_agreement(now, tx);
        Ok(())
    }

    fn take_vote(&mut self, now: Now, tx: TxId, by: ReplicaId, vote: Vote) {
        match self.agreements.coordinator.vote(tx, by, vote) {
            Next::Commit => {
                let prepared = self.agreements.participant.get(tx).map(|prepared| prepared.proposal.clone());
                self.commit_agreement(now, &prepared.expect("a coordinator is prepared itself"));
            }
            Next::RollBack(abort) => self.roll_back(now, tx, abort),
            Next::AskAgain(_) | Next::Wait => {}
        }
    }

    /// All have voted to commit: the operations become a change. With a main that is for it to decide.
    fn commit_agreement(&mut self, now: Now, proposal: &Proposal) {
        let tx = proposal.tx;
        let mut change = self.blank_change(tx, self.wall_time(now));
        change.depends_on.clone_from(&proposal.depends_on);
        change.participants.clone_from(&proposal.participants);
        change.ops.clone_from(&proposal.ops);
        // It is ranked now and was written then: what came between is concurrent to it, this replica's own changes too.
        change.seen.clone_from(&proposal.seen);
        for seq in proposal.seen.head(self.id) + 1..change.id.seq {
            change.seen.pass(ChangeId { replica: self.id, seq });
        }
        change.authority_epochs = self.authority_epochs_of(&change.ops);
        let problem = match self.config.role {
            Role::Main => self.objection(&change, now).map(|reason| reason.to_string()),
            Role::Edge | Role::Peer => self.check_ops(&change).err().map(|error| error.to_string()),
        };
        if let Some(problem) = problem {
            let abort = Abort { by: self.id, reason: AbortReason::Rejected { problem } };
            return self.roll_back(now, tx, abort);
        }
        self.agreements.coordinator.close(tx);
        let change = Arc::new(change);
        let mut batch = Batch::new(now);
        match self.config.role {
            Role::Edge => self.propose(change, &mut batch),
            Role::Main => {
                let lsn = Some(self.log.next_lsn());
                self.apply(Entry { change, lsn }, &mut batch);
            }
            Role::Peer => self.apply(Entry { change, lsn: None }, &mut batch),
        }
        self.clock.tick(self.id);
        self.commit(batch);
    }

    /// Whether a change is in no view before the main has decided.
    pub(super) fn is_for_main_to_decide(&self, entry: &Entry) -> bool {
        self.config.role == Role::Edge && entry.change.is_agreed() && entry.lsn.is_none()
    }

    /// Puts an own change into the log that the main has yet to decide on.
    pub(super) fn propose(&mut self, change: Arc<Change>, batch: &mut Batch) {
        self.timestamp = self.timestamp.max(change.timestamp);
        self.log.propose(Arc::clone(&change));
        self.queue.push(change.id.seq, change.ops.len(), self.log.change_bytes(change.id));
        let entry = Entry { change, lsn: None };
        batch.records.push(LogRecord::Append(entry.clone()));
        batch.notices.push(Notice::Proposed { entry });
    }

    /// The main has decided for a proposed change.
    pub(super) fn adopt(&mut self, id: ChangeId, lsn: Lsn, batch: &mut Batch) {
        let change = self.log.adopt(id);
        self.join(&change, lsn, batch);
        self.log.number(id, lsn);
        batch.records.push(LogRecord::Number { id, lsn });
        let tx = change.tx;
        batch.notices.push(Notice::Applied { entry: Entry { change, lsn: Some(lsn) } });
        self.acknowledge(id, batch);
        self.conclude(tx, Decision::Committed(id), batch);
    }

    /// The transaction is not done. With a main that is for it to decide.
    fn roll_back(&mut self, now: Now, tx: TxId, abort: Abort) {
        if self.decision(tx).is_some() {
            return;
        }
        let mut batch = Batch::new(now);
        match self.config.role {
            Role::Main => {
                let ruling = Ruling::RolledBack(Box::new(RolledBack { tx, abort }));
                self.rule(ruling, self.log.next_lsn(), &mut batch);
                self.commit(batch);
            }
            Role::Edge => {
                if self.agreements.coordinator.stage(tx) != Some(&Stage::RollingBack(abort.clone())) {
                    self.agreements.coordinator.roll_back(tx, abort.clone());
                }
                let attempt = self.agreements.coordinator.next_attempt(tx);
                self.ask_main_to_roll_back(now, tx, abort, attempt);
            }
            Role::Peer => {
                let participants = self.agreements.participant.get(tx).map(|held| held.proposal.participants.clone());
                batch.records.push(LogRecord::RolledBack { tx, abort: abort.clone() });
                self.conclude(tx, Decision::RolledBack(abort.clone()), &mut batch);
                self.commit(batch);
                for to in participants.into_iter().flatten() {
                    self.write_to(to, tx, Says::RolledBack(abort.clone()));
                }
            }
        }
    }

    fn ask_main_to_roll_back(&mut self, now: Now, tx: TxId, abort: Abort, attempt: u32) {
        if let Some(main) = self.main {
            self.write_to(main, tx, Says::RollBack(abort));
        }
        self.timers.insert(Timer::Agreement(tx), now.monotonic.after(resend_after(attempt)));
    }

    // ---- the participant ----

    /// Promises to do what will be decided.
    fn prepare(&mut self, now: Now, proposal: Proposal) {
        let tx = proposal.tx;
        let mut batch = Batch::new(now);
        if !is_planted(Bug::VoteBeforeDurable) || proposal.coordinator == self.id {
            batch.records.push(LogRecord::Prepared(Box::new(proposal.clone())));
        }
        batch.notices.push(Notice::Voted { tx, vote: Vote::Commit });
        let lease_until = now.monotonic.after(self.config.lease);
        self.agreements.participant.hold(proposal, Some(lease_until));
        self.commit(batch);
    }

    fn take_proposal(&mut self, now: Now, proposal: Proposal) {
        let (tx, coordinator) = (proposal.tx, proposal.coordinator);
        if self.decision(tx).is_some() {
            return;
        }
        let vote = if self.agreements.participant.get(tx).is_some() {
            Vote::Commit
        } else {
            match self.judge(&proposal) {
                None => return,
                Some(Vote::Commit) => {
                    self.prepare(now, proposal);
                    self.set_timer_of(now, tx);
                    Vote::Commit
                }
                Some(vote) => {
                    self.agreements.abstained.insert(tx);
                    self.outputs.push_back(Output::Notify(Notice::Voted { tx, vote: vote.clone() }));
                    vote
                }
            }
        };
        self.write_to(coordinator, tx, Says::Vote(vote));
    }

    /// The vote on a proposal; `None` while there is something to wait for: what its coordinator had applied, or the end
    /// of a transaction over the same rows that has to give way to this one.
    fn judge(&self, proposal: &Proposal) -> Option<Vote> {
        let (schema, tx) = (self.state.schema(), proposal.tx);
        let reason = if let Err(error) = proposal.ops.iter().try_for_each(|op| schema.check_op(op)) {
            AbortReason::SchemaMissing { problem: error.to_string() }
        } else if !self.log.seen().includes(&proposal.seen) {
            return None;
        } else if let Err(error) = constraint::check(&self.state, &proposal.seen, &proposal.ops) {
            AbortReason::ConstraintViolated { problem: error.to_string() }
        } else if let Some(with) = self.rival(proposal) {
            if tx < with {
                return None;
            }
            AbortReason::Overlap { with }
        } else {
            return Some(Vote::Commit);
        };
        Some(Vote::Abort(reason))
    }

    /// A prepared transaction over the same rows, or that gives another row a value that only one may have.
    fn rival(&self, proposal: &Proposal) -> Option<TxId> {
        let claims = |proposal: &Proposal| constraint::claims(&self.state, &proposal.ops);
        let claimed = claims(proposal);
        let overlaps = |held: &&Proposal| {
            held.tx != proposal.tx && (held.overlaps(proposal) || !claims(held).is_disjoint(&claimed))
        };
        self.prepared().find(overlaps).map(|held| held.tx)
    }

    /// The disk refused a record. If that was the record of a vote, this replica votes abort instead, and unsays what
    /// it was about to say. A coordinator has then begun nothing. Says whether it was.
    pub(super) fn abstain(&mut self) -> bool {
        let Some(tx) = self.agreements.polled.take() else { return false };
        let Some(prepared) = self.agreements.participant.get(tx) else { return false };
        let coordinator = prepared.proposal.coordinator;
        let is_about_it = |output: &Output| match output {
            Output::Transmit { bytes, .. } => {
                matches!(Message::decode(bytes), Ok(Message::TwoPhase(letter)) if letter.tx == tx)
            }
            Output::Notify(Notice::Voted { tx: about, .. }) => *about == tx,
            _ => false,
        };
        self.outputs.retain(|output| !is_about_it(output));
        self.let_go(tx);
        let reason = AbortReason::DiskFull;
        self.outputs.push_back(Output::Notify(Notice::Voted { tx, vote: Vote::Abort(reason.clone()) }));
        // Nobody has heard of an own one, so nothing is decided: it may be submitted again.
        if coordinator != self.id {
            self.agreements.abstained.insert(tx);
            self.write_to(coordinator, tx, Says::Vote(Vote::Abort(reason)));
        }
        true
    }

    /// Takes up what was prepared before this process began: what this replica coordinated and had not decided is rolled
    /// back, and the leases of the others begin anew.
    pub(super) fn resume_agreements(&mut self, now: Now) {
        if std::mem::replace(&mut self.agreements.is_resumed, true) {
            return;
        }
        let prepared: Vec<(TxId, ReplicaId)> = self
            .agreements
            .participant
            .prepared()
            .map(|Prepared { proposal, .. }| (proposal.tx, proposal.coordinator))
            .collect();
        for (tx, coordinator) in prepared {
            if let Some(held) = self.agreements.participant.get_mut(tx) {
                held.lease_until = Some(now.monotonic.after(self.config.lease));
            }
            if coordinator != self.id {
                self.set_timer_of(now, tx);
            } else if self.log.transaction(tx).is_none() {
                self.roll_back(now, tx, Abort { by: self.id, reason: AbortReason::CoordinatorRestarted });
            }
        }
    }

    pub(super) fn restore_prepared(&mut self, proposal: &Proposal) -> Result<(), Error> {
        proposal.check()?;
        if self.agreements.is_undecided(proposal.tx) || self.decision(proposal.tx).is_some() {
            return Err(Error::Records(format!("the vote on transaction {} is out of order", proposal.tx)));
        }
        if !is_planted(Bug::PreparedForgotten) {
            self.agreements.participant.hold(proposal.clone(), None);
        }
        Ok(())
    }

    /// When a participant next does something about a transaction: where a main can be asked, at the end of the lease.
    fn set_timer_of(&mut self, now: Now, tx: TxId) {
        let Some(held) = self.agreements.participant.get(tx) else { return };
        let at = match self.config.role {
            Role::Peer => Some(now.monotonic.after(resend_after(held.attempt.saturating_add(2)))),
            Role::Main | Role::Edge => held.lease_until,
        };
        if let Some(at) = at {
            self.timers.insert(Timer::Agreement(tx), at);
        }
    }

    // ---- time ----

    pub(super) fn tend_agreement(&mut self, now: Now, tx: TxId) {
        match self.agreements.coordinator.tend(tx, now.monotonic) {
            Next::AskAgain(missing) => {
                let Some(held) = self.agreements.participant.get(tx) else { return };
                let proposal = held.proposal.clone();
                for to in missing {
                    self.write_to(to, tx, Says::Prepare(Box::new(proposal.clone())));
                }
                let attempt = self.agreements.coordinator.next_attempt(tx);
                self.timers.insert(Timer::Agreement(tx), now.monotonic.after(resend_after(attempt)));
            }
            Next::RollBack(abort) => self.roll_back(now, tx, abort),
            Next::Commit | Next::Wait => self.tend_prepared(now, tx),
        }
    }

    /// A participant has waited long for a decision.
    fn tend_prepared(&mut self, now: Now, tx: TxId) {
        let Some(held) = self.agreements.participant.get_mut(tx) else { return };
        let attempt = held.attempt;
        held.attempt += 1;
        if is_planted(Bug::CommitsOnTimeout) {
            let proposal = held.proposal.clone();
            return self.commit_agreement(now, &proposal);
        }
        let abort = Abort { by: self.id, reason: AbortReason::LeaseExpired };
        match self.config.role {
            Role::Main => self.roll_back(now, tx, abort),
            Role::Edge => self.ask_main_to_roll_back(now, tx, abort, attempt),
            Role::Peer => {
                let peers: Vec<Peer> = self.sessions.keys().copied().collect();
                peers.into_iter().for_each(|peer| self.ask_for_decision(peer, tx));
                if self.is_waited_for(tx) {
                    self.set_timer_of(now, tx);
                }
            }
        }
    }

    /// A session began; perhaps with one who knows.
    pub(super) fn ask_for_decisions(&mut self, now: Now, peer: Peer) {
        self.agreements.participant.note_news_of(peer);
        let prepared = self.agreements.participant.prepared();
        let foreign = prepared.filter(|held| held.proposal.coordinator != self.id);
        let transactions: Vec<TxId> = foreign.map(|held| held.proposal.tx).collect();
        if self.config.role == Role::Peer {
            for tx in transactions {
                self.ask_for_decision(peer, tx);
                self.set_timer_of(now, tx);
            }
        }
    }

    fn ask_for_decision(&mut self, peer: Peer, tx: TxId) {
        let Some(held) = self.agreements.participant.get(tx).filter(|held| !held.unknown_to.contains(&peer)) else {
            return;
        };
        let coordinator = held.proposal.coordinator;
        let Some(Phase::Established { replica }) = self.sessions.get(&peer).map(|session| session.phase) else {
            return;
        };
        self.write_to(replica, tx, Says::Inquiry { coordinator });
    }

    // ---- letters ----

    pub(super) fn receive_letter(&mut self, now: Now, peer: Peer, letter: Letter) {
        if !self.sessions.get(&peer).is_some_and(super::Session::is_established) {
            self.greet_stranger(now, peer);
            return;
        }
        if letter.to != self.id {
            self.forward(letter);
            return;
        }
        let Letter { from, tx, says, .. } = letter;
        match says {
            Says::Prepare(proposal) => self.take_proposal(now, *proposal),
            Says::Vote(vote) => self.take_vote(now, tx, from, vote),
            Says::RollBack(abort) => {
                if self.config.role == Role::Main {
                    self.roll_back(now, tx, abort);
                }
            }
            Says::RolledBack(abort) => self.take_roll_back(now, tx, abort),
            Says::Inquiry { coordinator } => self.answer_inquiry(from, tx, coordinator),
            Says::Unknown => {
                if let Some(held) = self.agreements.participant.get_mut(tx) {
                    held.unknown_to.insert(peer);
                }
            }
        }
    }

    /// The main passes letters on. Who is away is answered for at once.
    fn forward(&mut self, letter: Letter) {
        if self.config.role != Role::Main {
            return;
        }
        let Letter { from, to, tx, says } = letter;
        match self.way_to(to) {
            Some(peer) => self.transmit(peer, &Message::TwoPhase(Box::new(Letter { from, to, tx, says }))),
            None if matches!(says, Says::Prepare(_)) => {
                let Some(peer) = self.way_to(from) else { return };
                let says = Says::Vote(Vote::Abort(AbortReason::ParticipantOffline));
                self.transmit(peer, &Message::TwoPhase(Box::new(Letter { from: to, to: from, tx, says })));
            }
            None => {}
        }
    }

    /// Without a main: whoever is told that a transaction is rolled back has asked, or voted.
    fn take_roll_back(&mut self, now: Now, tx: TxId, abort: Abort) {
        let is_prepared = self.agreements.participant.get(tx).is_some();
        if self.config.role != Role::Peer || self.decision(tx).is_some() {
            return;
        }
        let mut batch = Batch::new(now);
        if is_prepared {
            batch.records.push(LogRecord::RolledBack { tx, abort: abort.clone() });
        } else if !self.agreements.abstained.contains(&tx) {
            return;
        }
        self.conclude(tx, Decision::RolledBack(abort), &mut batch);
        self.commit(batch);
    }

    fn answer_inquiry(&mut self, to: ReplicaId, tx: TxId, coordinator: ReplicaId) {
        if self.agreements.is_undecided(tx) && coordinator == self.id {
            return;
        }
        let says = match self.decision(tx) {
            // The change itself is on its way.
            Some(Decision::Committed(_)) => return,
            Some(Decision::RolledBack(abort)) => Says::RolledBack(abort),
            // What a coordinator does not know of it never committed.
            None if coordinator == self.id => {
                Says::RolledBack(Abort { by: self.id, reason: AbortReason::CoordinatorRestarted })
            }
            None => Says::Unknown,
        };
        self.write_to(to, tx, says);
    }

    /// The session through which a replica can be reached, if there is one.
    fn way_to(&self, replica: ReplicaId) -> Option<Peer> {
        let leads_there = |phase: &Phase| match (phase, self.config.role) {
            (Phase::Established { .. }, Role::Edge) => true,
            (phase, _) => *phase == Phase::Established { replica },
        };
        self.sessions.iter().find(|(_, session)| leads_there(&session.phase)).map(|(peer, _)| *peer)
    }

    fn write_to(&mut self, to: ReplicaId, tx: TxId, says: Says) {
        let Some(peer) = self.way_to(to).filter(|_| to != self.id) else { return };
        let letter = Letter { from: self.id, to, tx, says };
        self.transmit(peer, &Message::TwoPhase(Box::new(letter)));
    }

    // ---- decisions ----

    /// A transaction is decided. Whatever was prepared of it is let go.
    pub(super) fn conclude(&mut self, tx: TxId, decision: Decision, batch: &mut Batch) {
        self.let_go(tx);
        if let Decision::RolledBack(abort) = &decision {
            self.agreements.rolled_back.insert(tx, abort.clone());
        }
        batch.notices.push(Notice::Decided { tx, decision });
    }

    fn let_go(&mut self, tx: TxId) {
        self.agreements.participant.release(tx);
        self.agreements.coordinator.close(tx);
        self.agreements.abstained.remove(&tx);
        self.timers.remove(&Timer::Agreement(tx));
    }

    /// A change that the main rejects is rolled back, if replicas voted for it.
    pub(super) fn note_rejection(&mut self, rejection: &Rejection, batch: &mut Batch) {
        let Rejection { change, tx, reason, .. } = rejection;
        let is_prepared =
            self.agreements.participant.get(*tx).is_some_and(|held| held.proposal.coordinator == change.replica);
        let is_own = self.log.get(*change).is_some_and(|change| change.is_agreed());
        if (is_prepared || is_own) && !self.agreements.is_rolled_back(*tx) {
            let by = self.main.unwrap_or(self.id);
            let abort = Abort { by, reason: AbortReason::Rejected { problem: reason.to_string() } };
            self.conclude(*tx, Decision::RolledBack(abort), batch);
        }
    }

    /// What was decided of a transaction that replicas voted on, as far as it is known here.
    #[must_use]
    pub fn decision(&self, tx: TxId) -> Option<Decision> {
        if let Some(abort) = self.agreements.rolled_back.get(&tx) {
            return Some(Decision::RolledBack(abort.clone()));
        }
        let id = self.log.transaction(tx)?;
        let is_decided = self.log.is_applied(id) && self.log.get(id).is_some_and(|change| change.is_agreed());
        is_decided.then_some(Decision::Committed(id))
    }

    /// Every decision that is known here.
    pub fn decisions(&self) -> impl Iterator<Item = (TxId, Decision)> {
        let agreed = self.log.changes().filter(|change| change.is_agreed());
        let committed = agreed.map(|change| (change.tx, Decision::Committed(change.id)));
        let rolled_back = self.agreements.rolled_back.iter();
        committed.chain(rolled_back.map(|(tx, abort)| (*tx, Decision::RolledBack(abort.clone()))))
    }

    /// The transactions that are prepared here and not decided.
    pub fn prepared(&self) -> impl Iterator<Item = &Proposal> {
        self.agreements.participant.prepared().map(|held| &held.proposal)
    }

    /// What it waits for, of all undecided transactions. One may be waited for in vain where another is not.
    pub(super) fn undecided(&self) -> impl Iterator<Item = Pending> {
        let Agreements { coordinator, participant, .. } = &self.agreements;
        let prepared = participant.prepared().map(|held| held.proposal.tx);
        let rolling_back = coordinator.first().filter(|tx| participant.get(*tx).is_none());
        let waiting = prepared.filter(|tx| self.is_waited_for(*tx)).map(Pending::Prepared);
        waiting.chain(rolling_back.map(Pending::Undecided))
    }

    /// Whether a prepared transaction is still waited for. Without a main it is not while nobody that can be asked knows of a
    /// decision: then it stays in doubt until its coordinator is back.
    fn is_waited_for(&self, tx: TxId) -> bool {
        let Some(held) = self.agreements.participant.get(tx) else { return false };
        let may_know =
            |(peer, session): (&Peer, &super::Session)| session.is_established() && !held.unknown_to.contains(peer);
        let is_own = held.proposal.coordinator == self.id;
        is_own || self.config.role != Role::Peer || self.sessions.iter().any(may_know)
    }
}

//! Transactions on which several replicas vote: who votes what, who decides, and what is left after a crash.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;

use kuzusync_core::Error;
use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::ddl::{Column, Rule};
use kuzusync_core::id::{DatabaseId, ReplicaId, TxId};
use kuzusync_core::message::{LogRecord, Message, Record, Role};
use kuzusync_core::replica::{Config, Input, Notice, Output, Replica};
use kuzusync_core::ruling::{Reason, Ruling};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::two_phase::{AbortReason, Decision, LEASE, Says, VOTES_WITHIN, Vote};
use kuzusync_core::value::{Type, Value};

struct Node {
    replica: Option<Replica>,
    role: Role,
    entropy: u8,
    records: Vec<Record>,
    notices: Vec<Notice>,
    has_full_disk: bool,
    now_us: u64,
}

/// From, to, what.
type Loss = dyn Fn(usize, usize, &Message) -> bool;

/// Some replicas, all with a session with the main or all with each other.
struct Cluster {
    nodes: Vec<Node>,
    has_main: bool,
    /// Frames that are not delivered.
    is_lost: Box<Loss>,
    sent: Vec<Message>,
}

const CLUSTERS: [bool; 2] = [true, false];

impl Cluster {
    fn open(has_main: bool, count: usize) -> Cluster {
        let role = |name| match (has_main, name) {
            (false, _) => Role::Peer,
            (true, 0) => Role::Main,
            (true, _) => Role::Edge,
        };
        let nodes = (0..count).map(|name| Node::open(role(name), name as u8 + 1, Vec::new())).collect();
        let mut cluster = Cluster { nodes, has_main, is_lost: Box::new(|_, _, _| false), sent: Vec::new() };
        (0..count).for_each(|name| cluster.connect(name));
        cluster.submit(0, 1, &[], vec![users(), follows()]).unwrap();
        cluster.submit(0, 2, &[], (1..=2).map(create).collect()).unwrap();
        cluster
    }

    fn neighbours(&self, at: usize) -> Vec<usize> {
        let others = (0..self.nodes.len()).filter(|other| *other != at);
        others.filter(|other| !self.has_main || at == 0 || *other == 0).collect()
    }

    fn connect(&mut self, at: usize) {
        for other in self.neighbours(at) {
            self.input(at, Input::Connected(Peer(other as u32))).unwrap();
        }
    }

    fn input(&mut self, at: usize, input: Input) -> Result<(), Error> {
        let mut on_their_way = VecDeque::new();
        let result = self.step(at, input, &mut on_their_way);
        while let Some((from, to, bytes)) = on_their_way.pop_front() {
            let message = Message::decode(&bytes).unwrap().untagged();
            if self.nodes[to].replica.is_some() && !(self.is_lost)(from, to, &message) {
                self.sent.push(message);
                drop(self.step(to, Input::Receive { from: Peer(from as u32), bytes }, &mut on_their_way));
            }
        }
        result
    }

    fn step(&mut self, at: usize, input: Input, on: &mut VecDeque<(usize, usize, Vec<u8>)>) -> Result<(), Error> {
        let node = &mut self.nodes[at];
        let now = Now { monotonic: Instant(node.now_us), wall_ms: 1_000_000 };
        let Some(replica) = &mut node.replica else { return Ok(()) };
        let result = replica.handle_input(now, input);
        on.extend(node.carry_out().into_iter().map(|(to, bytes)| (at, to, bytes)));
        result
    }

    fn id(&self, at: usize) -> ReplicaId {
        self.nodes[at].replica().id()
    }

    fn submit(&mut self, at: usize, tx: u8, participants: &[usize], statements: Vec<Statement>) -> Result<(), Error> {
        let participants = participants.iter().map(|other| self.id(*other)).collect();
        let tx = TxId([tx; 16]);
        self.input(at, Input::Local(Transaction { tx, statements, participants, ..Transaction::default() }))
    }

    fn crash(&mut self, at: usize) {
        self.nodes[at].replica = None;
    }

    fn restart(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        *node = Node { now_us: node.now_us, ..Node::open(node.role, node.entropy, std::mem::take(&mut node.records)) };
        self.connect(at);
        for other in self.neighbours(at) {
            self.input(other, Input::Connected(Peer(at as u32))).unwrap();
        }
    }

    /// Lets so much time pass everywhere, with a look at the timers every quarter of a second.
    fn pass(&mut self, time: std::time::Duration) {
        for _ in 0..time.as_millis() / 250 {
            for at in 0..self.nodes.len() {
                self.nodes[at].now_us += 250_000;
                if self.nodes[at].replica.is_some() {
                    self.input(at, Input::Timeout).unwrap();
                }
            }
        }
    }

    fn decisions(&self, tx: u8) -> Vec<Option<&'static str>> {
        let decision = |node: &Node| node.replica.as_ref()?.decision(TxId([tx; 16])).map(|decision| decision.name());
        self.nodes.iter().map(decision).collect()
    }

    fn reason(&self, at: usize, tx: u8) -> AbortReason {
        match self.nodes[at].replica().decision(TxId([tx; 16])) {
            Some(Decision::RolledBack(abort)) => abort.reason,
            other => panic!("transaction {tx} is {other:?}"),
        }
    }

    /// Everybody shows the same and nobody waits; each replica opened again from its records is the same.
    fn assert_at_rest(&self) {
        for node in &self.nodes {
            assert_eq!(node.replica().view(), self.nodes[0].replica().view());
            assert_eq!(node.replica().pending(), []);
            let again = Node::open(node.role, node.entropy, node.records.clone());
            assert_eq!(again.replica().view(), node.replica().view());
            assert_eq!(again.replica().log().cursor(), node.replica().log().cursor());
            assert_eq!(again.replica().prepared().count(), node.replica().prepared().count());
        }
    }

    fn edges(&self, at: usize) -> usize {
        self.nodes[at].replica().view().edges["FOLLOWS"].len()
    }

    fn voted(&self, at: usize) -> Vec<Vote> {
        let vote = |notice: &Notice| match notice {
            Notice::Voted { vote, .. } => Some(vote.clone()),
            _ => None,
        };
        self.nodes[at].notices.iter().filter_map(vote).collect()
    }
}

impl Node {
    fn open(role: Role, entropy: u8, records: Vec<Record>) -> Node {
        let config = Config::new(role, DatabaseId([7; 16]));
        let replica = Some(Replica::open(config, [entropy; 32], &records).unwrap());
        let mut node = Node { replica, role, entropy, records, notices: Vec::new(), has_full_disk: false, now_us: 0 };
        node.carry_out();
        node
    }

    fn replica(&self) -> &Replica {
        self.replica.as_ref().unwrap()
    }

    fn carry_out(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            let replica = self.replica.as_mut().unwrap();
            match replica.poll_output() {
                Output::Timeout(_) => return frames,
                Output::Persist(_) if self.has_full_disk => {
                    let now = Now { monotonic: Instant(self.now_us), wall_ms: 1_000_000 };
                    replica.handle_input(now, Input::PersistFailed).unwrap();
                }
                Output::Persist(record) => self.records.push(record),
                Output::Transmit { to: Peer(to), bytes } => frames.push((to as usize, bytes)),
                Output::Notify(notice) => self.notices.push(notice),
                Output::View(_) | Output::Rebuild(_) => {}
            }
        }
    }
}

fn users() -> Statement {
    let column = |name: &str, column_type| Column::new(name, column_type);
    let columns = vec![column("id", Type::Int64), column("email", Type::String), column("stock", Type::Int64)];
    Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }
}

fn follows() -> Statement {
    let (table, user) = ("FOLLOWS".to_owned(), || "User".to_owned());
    Statement::CreateEdgeTable { table, from: user(), to: user(), columns: Vec::new() }
}

fn create(id: i64) -> Statement {
    Statement::CreateNode { table: "User".into(), properties: Properties::from([("id".into(), id.into())]) }
}

fn connect(from: i64, to: i64) -> Statement {
    let end = |id: i64| ("User".to_owned(), Value::from(id));
    let edge = EdgeName { table: "FOLLOWS".into(), from: end(from), to: end(to), discriminator: String::new() };
    Statement::CreateEdge { edge, properties: Properties::new() }
}

fn set(id: i64, column: &str, value: impl Into<Value>) -> Statement {
    let properties = Properties::from([(column.to_owned(), value.into())]);
    Statement::UpdateNode { table: "User".into(), key: id.into(), properties }
}

fn take(id: i64, by: i64) -> Statement {
    let by = Value::from(-by);
    Statement::IncrementNode { table: "User".into(), key: id.into(), column: "stock".into(), by }
}

fn constrain(rule: Rule<String>) -> Statement {
    Statement::SetRule { table: "User".into(), rule }
}

fn is_letter(message: &Message, is: fn(&Says) -> bool) -> bool {
    matches!(message, Message::TwoPhase(letter) if is(&letter.says))
}

#[test]
fn what_all_vote_for_is_done_once_by_all() {
    for has_main in CLUSTERS {
        for coordinator in 0..3 {
            let mut cluster = Cluster::open(has_main, 3);
            cluster.submit(coordinator, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
            assert_eq!(cluster.decisions(3), [Some("committed"); 3]);
            for at in 0..3 {
                assert_eq!((cluster.voted(at), cluster.edges(at)), (vec![Vote::Commit], 1));
            }
            cluster.assert_at_rest();
        }
    }
}

#[test]
fn what_one_votes_against_is_done_by_nobody() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.nodes[2].has_full_disk = true;
        cluster.is_lost =
            Box::new(|_, to, message| to == 2 && !is_letter(message, |says| matches!(says, Says::Prepare(_))));
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        assert_eq!(cluster.voted(2), [Vote::Abort(AbortReason::DiskFull)]);
        cluster.nodes[2].has_full_disk = false;
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.restart(2);
        assert_eq!(cluster.decisions(3)[..2], [Some("rolled_back"); 2]);
        assert_eq!(cluster.reason(0, 3), AbortReason::DiskFull);
        (0..3).for_each(|at| assert_eq!(cluster.edges(at), 0));
        cluster.pass(LEASE);
        cluster.assert_at_rest();
    }
}

#[test]
fn nobody_is_asked_whom_the_coordinator_cannot_reach() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        for (at, other) in [(1, 0), (0, 1), (1, 2), (2, 1)] {
            if has_main && (at == 2 || other == 2) {
                continue;
            }
            cluster.input(at, Input::Disconnected(Peer(other))).unwrap();
        }
        let participant = cluster.id(1);
        let refused = cluster.submit(0, 3, &[0, 1, 2], vec![connect(1, 2)]);
        assert_eq!(refused, Err(Error::ParticipantOffline { participant }));
        if has_main {
            cluster.submit(2, 4, &[1, 2], vec![connect(1, 2)]).unwrap();
            assert_eq!(cluster.reason(2, 4), AbortReason::ParticipantOffline, "the main answers for who is away");
        }
    }
}

#[test]
fn a_participant_without_the_schema_or_with_another_transaction_on_the_rows_votes_abort() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        // The new table does not arrive.
        cluster.is_lost = Box::new(|_, to, message| to == 2 && matches!(message, Message::Changes { .. }));
        let other = Statement::CreateNodeTable {
            table: "Other".into(),
            columns: vec![Column::new("id", Type::Int64)],
            primary_key: "id".into(),
        };
        cluster.submit(1, 3, &[], vec![other]).unwrap();
        let row = Statement::CreateNode { table: "Other".into(), properties: [("id".into(), 1.into())].into() };
        cluster.submit(1, 4, &[1, 2], vec![row]).unwrap();
        let schema_missing = matches!(cluster.reason(1, 4), AbortReason::SchemaMissing { .. });
        assert!(schema_missing, "{:?}", cluster.reason(1, 4));
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.pass(LEASE);

        // The votes on the first one do not arrive.
        cluster.is_lost = Box::new(|from, to, message| {
            is_letter(message, |says| matches!(says, Says::Vote(_))) && (from == 1 || to == 1)
        });
        cluster.submit(1, 5, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        assert_eq!(cluster.decisions(5), [None; 3]);
        cluster.submit(2, 6, &[0, 2], vec![set(1, "email", "a")]).unwrap_err();
        cluster.submit(0, 7, &[], vec![set(1, "email", "b")]).unwrap();
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.pass(std::time::Duration::from_secs(2));
        assert_eq!(cluster.decisions(5), [Some("committed"); 3]);
        cluster.submit(2, 6, &[0, 2], vec![set(1, "email", "a")]).unwrap();
        assert_eq!(cluster.decisions(6), [Some("committed"); 3]);
        cluster.pass(LEASE);
        cluster.assert_at_rest();
    }
}

#[test]
fn a_vote_that_does_not_come_rolls_back_and_late_votes_change_nothing() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.is_lost =
            Box::new(|from, _, message| from == 2 && is_letter(message, |says| matches!(says, Says::Vote(_))));
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        assert_eq!(cluster.nodes[2].replica().prepared().count(), 1);
        cluster.pass(VOTES_WITHIN);
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.pass(LEASE);
        assert_eq!(cluster.decisions(3), [Some("rolled_back"); 3]);
        assert_eq!(cluster.reason(2, 3), AbortReason::NoVote);
        cluster.assert_at_rest();
    }
}

#[test]
fn with_a_main_a_participant_takes_over_when_its_coordinator_is_gone() {
    let mut cluster = Cluster::open(true, 3);
    cluster.is_lost = Box::new(|_, to, message| to == 1 && is_letter(message, |says| matches!(says, Says::Vote(_))));
    cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
    cluster.crash(1);
    assert_eq!(cluster.nodes[2].replica().prepared().count(), 1);
    cluster.pass(LEASE);
    assert_eq!(cluster.nodes[2].replica().prepared().count(), 0);
    assert_eq!(cluster.reason(2, 3), AbortReason::LeaseExpired);
    cluster.restart(1);
    assert_eq!(cluster.decisions(3), [Some("rolled_back"); 3]);
    cluster.pass(LEASE);
    cluster.assert_at_rest();
}

#[test]
fn with_a_main_the_first_record_of_a_transaction_wins() {
    let mut cluster = Cluster::open(true, 3);
    // The coordinator's change does not reach the main before the participants have lost patience.
    cluster.is_lost = Box::new(|from, to, message| (from, to) == (1, 0) && matches!(message, Message::Changes { .. }));
    cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
    let proposed = |notice: &Notice| matches!(notice, Notice::Proposed { .. });
    assert!(cluster.nodes[1].notices.iter().any(proposed));
    assert_eq!(cluster.edges(1), 0, "what is not decided is shown nowhere");
    cluster.submit(1, 4, &[], vec![set(1, "email", "after it")]).unwrap();
    cluster.crash(1);
    cluster.is_lost = Box::new(|_, _, _| false);
    cluster.pass(LEASE);
    assert_eq!(cluster.reason(0, 3), AbortReason::LeaseExpired);
    cluster.restart(1);
    cluster.pass(LEASE);
    assert_eq!(cluster.decisions(3), [Some("rolled_back"); 3]);
    let rejected = |notice: &Notice| match notice {
        Notice::Ruled { ruling: Ruling::Rejection(rejection), .. } => Some(rejection.reason.clone()),
        _ => None,
    };
    assert_eq!(cluster.nodes[0].notices.iter().filter_map(rejected).collect::<Vec<_>>(), [Reason::RolledBack]);
    cluster.assert_at_rest();
    assert_eq!(cluster.nodes[0].replica().view().node("User", &1.into()).unwrap()["email"], "after it".into());
}

#[test]
fn without_a_main_a_participant_in_doubt_waits_for_its_coordinator() {
    let mut cluster = Cluster::open(false, 3);
    cluster.is_lost = Box::new(|from, _, message| from == 0 && matches!(message, Message::Changes { .. }));
    cluster.submit(0, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
    assert_eq!(cluster.decisions(3), [Some("committed"), None, None]);
    cluster.crash(0);
    for at in [1, 2] {
        cluster.input(at, Input::Disconnected(Peer(0))).unwrap();
    }
    cluster.is_lost = Box::new(|_, _, _| false);
    cluster.pass(3 * LEASE);
    assert_eq!(cluster.decisions(3), [None; 3]);
    assert_eq!(cluster.nodes[1].replica().prepared().count(), 1);
    assert_eq!(cluster.nodes[1].replica().pending(), [], "nobody is left to be asked");
    cluster.restart(0);
    assert_eq!(cluster.decisions(3), [Some("committed"); 3]);
    cluster.assert_at_rest();
}

#[test]
fn a_coordinator_that_dies_before_it_decides_rolls_back_when_it_is_back() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.is_lost = Box::new(|_, _, message| is_letter(message, |says| matches!(says, Says::Vote(_))));
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        cluster.crash(1);
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.restart(1);
        cluster.pass(std::time::Duration::from_secs(3));
        assert_eq!(cluster.decisions(3), [Some("rolled_back"); 3]);
        assert_eq!(cluster.reason(2, 3), AbortReason::CoordinatorRestarted);
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        assert_eq!(cluster.decisions(3), [Some("rolled_back"); 3], "a decision is final");
        cluster.assert_at_rest();
    }
}

#[test]
fn a_new_incarnation_of_the_coordinator_answers_unknown() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.is_lost =
            Box::new(|_, to, message| to == 1 && is_letter(message, |says| matches!(says, Says::Vote(_))));
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        cluster.crash(1);
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.nodes[1].entropy = 9;
        cluster.nodes[1].records.clear();
        cluster.restart(1);
        cluster.pass(std::time::Duration::from_secs(5));
        assert_eq!(cluster.decisions(3), [None; 3], "nobody presumes anything in its place");
        let unknown = |message: &&Message| is_letter(message, |says| matches!(says, Says::Unknown));
        assert_eq!(cluster.sent.iter().filter(unknown).count() > 0, !has_main);
        cluster.pass(LEASE);
        let (decisions, prepared) = (cluster.decisions(3), cluster.nodes[2].replica().prepared().count());
        if has_main {
            assert_eq!((decisions, prepared), (vec![Some("rolled_back"); 3], 0));
        } else {
            assert_eq!((decisions, prepared), (vec![None; 3], 1), "it stays in doubt");
        }
        cluster.assert_at_rest();
    }
}

#[test]
fn a_participant_that_dies_remembers_its_vote() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.is_lost =
            Box::new(|_, to, message| to == 1 && is_letter(message, |says| matches!(says, Says::Vote(_))));
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        cluster.crash(2);
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.restart(2);
        assert_eq!(cluster.nodes[2].replica().prepared().count(), 1);
        let alone = cluster.id(2);
        let refused = cluster.submit(2, 4, &[2], vec![connect(1, 2)]);
        assert_eq!(refused, Err(Error::Overlap { with: TxId([3; 16]) }), "{alone}");
        cluster.pass(std::time::Duration::from_secs(2));
        assert_eq!(cluster.decisions(3), [Some("committed"); 3]);
        cluster.assert_at_rest();
    }
}

#[test]
fn a_coordinator_whose_own_disk_is_full_asks_nobody() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.nodes[1].has_full_disk = true;
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        assert!(!cluster.sent.iter().any(|message| matches!(message, Message::TwoPhase(_))));
        let full = Vote::Abort(AbortReason::DiskFull);
        let votes_abort = |notice: &Notice| matches!(notice, Notice::Voted { vote, .. } if *vote == full);
        assert!(cluster.nodes[1].notices.iter().any(votes_abort));
        assert_eq!(cluster.decisions(3), [None; 3], "nothing was begun");
        cluster.nodes[1].has_full_disk = false;
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        assert_eq!(cluster.decisions(3), [Some("committed"); 3], "the same transaction, submitted again");
        cluster.assert_at_rest();
    }
}

#[test]
fn constraints_hold_among_transactions_and_ordinary_changes_are_refused() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        let unique = Rule::Unique { column: "email".into(), is_on: true };
        let bound = Rule::AtLeast { column: "stock".into(), bound: Some(0) };
        cluster.submit(0, 3, &[], vec![constrain(unique), constrain(bound)]).unwrap();
        let refused = cluster.submit(1, 4, &[], vec![set(1, "email", "a@b.com")]).unwrap_err();
        assert!(matches!(&refused, Error::Protected { column, .. } if column == "email"), "{refused}");
        assert!(refused.to_string().contains("with participants"), "{refused}");
        let refused = cluster.submit(1, 4, &[], vec![take(1, 1)]).unwrap_err();
        assert!(matches!(&refused, Error::Protected { column, .. } if column == "stock"), "{refused}");

        let all = [0, 1, 2];
        cluster.submit(1, 5, &all, vec![set(1, "email", "a@b.com"), set(1, "stock", 5)]).unwrap();
        let refused = cluster.submit(2, 6, &all, vec![set(2, "email", "a@b.com")]).unwrap_err();
        assert!(matches!(refused, Error::NotUnique { .. }), "{refused}");
        cluster.submit(2, 7, &all, vec![take(1, 3)]).unwrap();
        let refused = cluster.submit(1, 8, &all, vec![take(1, 3)]).unwrap_err();
        assert!(matches!(refused, Error::BelowBound { bound: 0, .. }), "{refused}");
        cluster.submit(1, 9, &all, vec![take(1, 2)]).unwrap();
        let swap = vec![set(1, "email", "new@b.com"), set(2, "email", "a@b.com")];
        cluster.submit(2, 10, &all, swap).unwrap();
        let twice = vec![set(1, "email", "same@b.com"), set(2, "email", "same@b.com")];
        assert!(matches!(cluster.submit(2, 11, &all, twice).unwrap_err(), Error::NotUnique { .. }));
        let row = cluster.nodes[2].replica().view().node("User", &1.into()).unwrap().clone();
        assert_eq!((&row["email"], &row["stock"]), (&"new@b.com".into(), &0.into()));
        cluster.assert_at_rest();
    }
}

#[test]
fn two_rows_are_not_both_promised_one_unique_value() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        let unique = Rule::Unique { column: "email".into(), is_on: true };
        cluster.submit(0, 3, &[], vec![constrain(unique)]).unwrap();
        // Replica 0 is prepared for the first when it hears of the second; neither coordinator knows of the other.
        cluster.is_lost =
            Box::new(|_, to, message| to == 1 && is_letter(message, |says| matches!(says, Says::Vote(_))));
        cluster.submit(1, 4, &[0, 1], vec![set(1, "email", "a@b.com")]).unwrap();
        cluster.submit(2, 5, &[0, 2], vec![set(2, "email", "b@b.com")]).unwrap();
        assert_eq!(cluster.decisions(5), [Some("committed"); 3], "another value is free");
        cluster.submit(2, 6, &[0, 2], vec![set(2, "email", "a@b.com")]).unwrap();
        assert_eq!(cluster.reason(2, 6), AbortReason::Overlap { with: TxId([4; 16]) });
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.pass(std::time::Duration::from_secs(3));
        assert_eq!(cluster.decisions(4), [Some("committed"); 3]);
        cluster.assert_at_rest();
    }
}

#[test]
fn a_value_is_compared_as_what_its_column_shows() {
    let mut cluster = Cluster::open(false, 2);
    let narrow = Statement::AddColumn { table: "User".into(), column: Column::new("code", Type::Int8) };
    let unique = constrain(Rule::Unique { column: "code".into(), is_on: true });
    let wide = Statement::AlterColumnType { table: "User".into(), column: "code".into(), column_type: Type::Int64 };
    cluster.submit(0, 3, &[], vec![narrow, unique]).unwrap();
    cluster.submit(0, 4, &[0, 1], vec![set(1, "code", Value::Int8(5))]).unwrap();
    cluster.submit(0, 6, &[], vec![wide]).unwrap();
    let refused = cluster.submit(1, 5, &[0, 1], vec![set(2, "code", 5)]).unwrap_err();
    assert!(matches!(refused, Error::NotUnique { .. }), "{refused}");
}

#[test]
fn a_participant_that_knows_better_votes_against_a_broken_constraint() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        let bound = Rule::AtLeast { column: "stock".into(), bound: Some(0) };
        cluster.submit(0, 3, &[], vec![constrain(bound)]).unwrap();
        cluster.submit(0, 4, &[0, 1, 2], vec![set(1, "stock", 5)]).unwrap();
        // Replica 2 does not hear that the stock is taken.
        cluster.is_lost = Box::new(|_, to, message| to == 2 && matches!(message, Message::Changes { .. }));
        cluster.submit(0, 5, &[0, 1], vec![take(1, 4)]).unwrap();
        cluster.submit(2, 6, &[1, 2], vec![take(1, 4)]).unwrap();
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.pass(LEASE);
        let reason = cluster.reason(2, 6);
        assert!(
            matches!(&reason, AbortReason::ConstraintViolated { problem } if problem.contains("meanwhile")),
            "{reason:?}"
        );
        cluster.assert_at_rest();
    }
}

#[test]
fn no_vote_revives_a_row_whose_delete_its_coordinator_had_not_seen() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        let in_debt = vec![set(1, "stock", -5), constrain(Rule::UpdateRevives(true))];
        cluster.submit(0, 3, &[], in_debt).unwrap();
        cluster.submit(0, 4, &[], vec![constrain(Rule::AtLeast { column: "stock".into(), bound: Some(0) })]).unwrap();
        // Replica 2 does not hear that the row is gone, and would bring it back with a stock below the bound.
        cluster.is_lost = Box::new(|_, to, message| to == 2 && matches!(message, Message::Changes { .. }));
        let delete = Statement::DeleteNode { table: "User".into(), key: 1.into() };
        cluster.submit(0, 5, &[], vec![delete]).unwrap();
        cluster.submit(2, 6, &[1, 2], vec![take(1, -6)]).unwrap();
        cluster.is_lost = Box::new(|_, _, _| false);
        cluster.pass(LEASE);
        let reason = cluster.reason(2, 6);
        assert!(
            matches!(&reason, AbortReason::ConstraintViolated { problem } if problem.contains("deleted")),
            "{reason:?}"
        );
        cluster.assert_at_rest();
    }
}

#[test]
fn the_main_looks_once_more_where_it_was_not_asked() {
    let mut cluster = Cluster::open(true, 3);
    let unique = Rule::Unique { column: "email".into(), is_on: true };
    cluster.submit(0, 3, &[], vec![constrain(unique)]).unwrap();
    cluster.is_lost = Box::new(|from, to, message| (from, to) == (0, 2) && matches!(message, Message::Changes { .. }));
    cluster.submit(1, 4, &[1], vec![set(1, "email", "a@b.com")]).unwrap();
    cluster.submit(2, 5, &[2], vec![set(2, "email", "a@b.com")]).unwrap();
    cluster.is_lost = Box::new(|_, _, _| false);
    cluster.pass(LEASE);
    assert_eq!(cluster.decisions(4), [Some("committed"); 3]);
    assert_eq!(cluster.decisions(5)[2], Some("rolled_back"));
    let reason = cluster.reason(2, 5);
    assert!(matches!(&reason, AbortReason::Rejected { problem } if problem.contains("unique")), "{reason:?}");
    cluster.assert_at_rest();
}

#[test]
fn what_needs_no_vote_or_cannot_have_one_is_refused() {
    let mut cluster = Cluster::open(true, 2);
    let refused = cluster.submit(1, 3, &[0, 1], vec![users_renamed()]).unwrap_err();
    assert!(matches!(&refused, Error::NoVote { what: "a schema change", .. }), "{refused}");
    let participants = vec![cluster.id(0)];
    let strict =
        Transaction { statements: vec![connect(1, 2)], is_strict: true, participants, ..Transaction::default() };
    let refused = cluster.input(1, Input::Local(strict)).unwrap_err();
    assert!(matches!(&refused, Error::NoVote { what: "a strict transaction", .. }), "{refused}");
    let stranger = ReplicaId([0xEE; 16]);
    let statements = vec![connect(1, 2)];
    let unknown = Transaction { tx: TxId([9; 16]), statements, participants: vec![stranger], ..Transaction::default() };
    assert_eq!(cluster.input(0, Input::Local(unknown)), Err(Error::ParticipantOffline { participant: stranger }));
}

fn users_renamed() -> Statement {
    Statement::RenameTable { table: "User".into(), to: "Person".into() }
}

#[test]
fn a_vote_is_in_the_records_before_it_leaves() {
    for has_main in CLUSTERS {
        let mut cluster = Cluster::open(has_main, 3);
        cluster.submit(1, 3, &[0, 1, 2], vec![connect(1, 2)]).unwrap();
        for node in &cluster.nodes {
            let is_vote = |record: &&Record| matches!(record, Record::Batch { log, .. } if matches!(log.as_slice(), [LogRecord::Prepared(_)]));
            assert_eq!(node.records.iter().filter(is_vote).count(), 1);
        }
    }
}

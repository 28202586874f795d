//! The contract of a replica, with a wire that is a queue of frames: no simulation, nothing lost unless a test says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;

use kuzusync_core::Error;
use kuzusync_core::change::{ChangeId, Op};
use kuzusync_core::clock::{Instant, Now, VectorClock};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, Digest, TxId};
use kuzusync_core::message::{
    CHANGE_BYTES_MAX, Cursor, Delivery, Entry, Hello, Message, PROTOCOL_VERSION, Protocol, Record, Role, SyncMode,
};
use kuzusync_core::replica::{Config, Input, Notice, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::snapshot::Manifest;
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::summary::Told;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::View;
use proptest::prelude::*;

const DATABASE: DatabaseId = DatabaseId([7; 16]);

/// A replica with what its host would keep: the records, and everything it said.
struct Node {
    replica: Replica,
    records: Vec<Record>,
    notices: Vec<Notice>,
    outputs: Vec<&'static str>,
    now_us: u64,
}

impl Node {
    fn open(role: Role, name: u8, records: Vec<Record>) -> Node {
        Node::open_with(Config::new(role, DATABASE), name, records)
    }

    fn open_with(config: Config, name: u8, records: Vec<Record>) -> Node {
        let replica = Replica::open(config, [name; 32], &records).unwrap();
        let mut node = Node { replica, records, notices: Vec::new(), outputs: Vec::new(), now_us: 0 };
        node.carry_out();
        node
    }

    fn input(&mut self, input: Input) -> Result<Vec<(Peer, Vec<u8>)>, Error> {
        let now = Now { monotonic: Instant(self.now_us), wall_ms: 1_000 };
        let result = self.replica.handle_input(now, input);
        let frames = self.carry_out();
        result.map(|()| frames)
    }

    fn carry_out(&mut self) -> Vec<(Peer, Vec<u8>)> {
        let mut frames = Vec::new();
        self.outputs.clear();
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => return frames,
                Output::Persist(record) => {
                    self.outputs.push("persist");
                    self.records.push(record);
                }
                Output::Transmit { to, bytes } => {
                    self.outputs.push("transmit");
                    frames.push((to, bytes));
                }
                Output::Notify(notice) => self.notices.push(notice),
                Output::View(_) => self.outputs.push("view"),
                Output::Rebuild(_) => self.outputs.push("rebuild"),
            }
        }
    }

    fn submit(&mut self, tx: u8, statements: Vec<Statement>) -> Result<Vec<(Peer, Vec<u8>)>, Error> {
        self.input(Input::Local(Transaction { tx: TxId([tx; 16]), statements, ..Transaction::default() }))
    }

    fn view(&self) -> View {
        self.replica.view()
    }
}

/// Delivers everything until nothing is on its way. Node n knows node m as peer m.
fn exchange(nodes: &mut [Node], first: Vec<(usize, Peer, Vec<u8>)>) {
    let mut on_their_way: VecDeque<_> = first.into();
    while let Some((from, Peer(to), bytes)) = on_their_way.pop_front() {
        let to = to as usize;
        let answers = nodes[to].input(Input::Receive { from: Peer(from as u32), bytes }).unwrap();
        on_their_way.extend(answers.into_iter().map(|(peer, bytes)| (to, peer, bytes)));
    }
}

fn connect(nodes: &mut [Node], one: usize, other: usize) {
    let frames = nodes[one].input(Input::Connected(Peer(other as u32))).unwrap();
    exchange(nodes, frames.into_iter().map(|(to, bytes)| (one, to, bytes)).collect());
}

fn submit(nodes: &mut [Node], at: usize, tx: u8, statements: Vec<Statement>) {
    let frames = nodes[at].submit(tx, statements).unwrap();
    exchange(nodes, frames.into_iter().map(|(to, bytes)| (at, to, bytes)).collect());
}

/// A message with these changes.
fn frame(entries: Vec<Entry>) -> Vec<u8> {
    let deliveries = entries.into_iter().map(Delivery::Change).collect();
    Message::Changes { clock: Default::default(), deliveries }.encode()
}

fn columns(columns: &[(&str, Type)]) -> Vec<Column> {
    columns.iter().map(|(name, of)| Column::new(*name, of.clone())).collect()
}

fn user_table() -> Statement {
    let columns = columns(&[("id", Type::Int64), ("name", Type::String)]);
    Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }
}

fn city_table() -> Statement {
    let columns = columns(&[("id", Type::Int64)]);
    Statement::CreateNodeTable { table: "City".into(), columns, primary_key: "id".into() }
}

fn follows_table() -> Statement {
    let (from, to) = ("User".to_owned(), "User".to_owned());
    Statement::CreateEdgeTable { table: "FOLLOWS".into(), from, to, columns: columns(&[("since", Type::Int64)]) }
}

fn user(id: i64, name: &str) -> Statement {
    let properties = Properties::from([("id".into(), id.into()), ("name".into(), name.into())]);
    Statement::CreateNode { table: "User".into(), properties }
}

fn rename(id: i64, name: &str) -> Statement {
    let properties = Properties::from([("name".into(), name.into())]);
    Statement::UpdateNode { table: "User".into(), key: id.into(), properties }
}

fn follows(from: i64, to: i64) -> EdgeName {
    let end = |id: i64| ("User".to_owned(), Value::from(id));
    EdgeName { table: "FOLLOWS".into(), from: end(from), to: end(to), discriminator: String::new() }
}

fn follow(from: i64, to: i64) -> Statement {
    Statement::CreateEdge { edge: follows(from, to), properties: Properties::new() }
}

#[test]
fn a_change_reaches_every_edge_through_the_main_and_comes_back_numbered() {
    let mut nodes =
        vec![Node::open(Role::Main, 1, vec![]), Node::open(Role::Edge, 2, vec![]), Node::open(Role::Edge, 3, vec![])];
    connect(&mut nodes, 1, 0);
    connect(&mut nodes, 2, 0);
    submit(&mut nodes, 1, 1, vec![user_table(), user(1, "Alice")]);
    assert_eq!(nodes[0].view(), nodes[1].view());
    assert_eq!(nodes[2].view().node("User", &1.into()).unwrap()["name"], "Alice".into());
    assert!(nodes[1].replica.queue().is_empty(), "the number is the acknowledgement");
    assert_eq!(nodes[1].replica.log().cursor().lsn, 1);
    assert!(nodes.iter().all(|node| node.replica.pending().is_empty()));
}

#[test]
fn peers_converge_by_gossip_over_a_chain() {
    let mut nodes: Vec<_> = (1..=4).map(|name| Node::open(Role::Peer, name, vec![])).collect();
    for other in 1..4 {
        connect(&mut nodes, other, other - 1);
    }
    submit(&mut nodes, 0, 1, vec![user_table(), user(1, "Alice")]);
    submit(&mut nodes, 3, 2, vec![user(2, "Bob"), follows_table(), follow(1, 2)]);
    assert!(nodes.iter().all(|node| node.view() == nodes[0].view()));
    assert_eq!(nodes[0].view().edges["FOLLOWS"].len(), 1);
    assert!(nodes[3].replica.queue().is_empty(), "another replica holds it");
}

#[test]
fn a_change_heard_from_a_third_is_not_sent_back_to_its_author() {
    let mut nodes: Vec<_> = (1..=3).map(|name| Node::open(Role::Peer, name, vec![])).collect();
    for (one, other) in [(1, 0), (2, 0), (2, 1)] {
        connect(&mut nodes, one, other);
    }
    let frames = nodes[0].submit(1, vec![user_table()]).unwrap();
    let to_second: Vec<_> = frames.into_iter().filter(|(to, _)| *to == Peer(1)).collect();
    let mut on_their_way: VecDeque<_> = to_second.into_iter().map(|(to, bytes)| (0, to, bytes)).collect();
    let mut changes_sent_to_the_author = 0;
    while let Some((from, Peer(to), bytes)) = on_their_way.pop_front() {
        let is_changes = matches!(Message::decode(&bytes).map(Message::untagged), Ok(Message::Changes { .. }));
        changes_sent_to_the_author += usize::from(is_changes && to == 0);
        let answers = nodes[to as usize].input(Input::Receive { from: Peer(from), bytes }).unwrap();
        on_their_way.extend(answers.into_iter().map(|(peer, bytes)| (to, peer, bytes)));
    }
    assert_eq!(nodes[2].view(), nodes[0].view());
    assert_eq!(changes_sent_to_the_author, 0);
}

#[test]
fn nothing_is_sent_before_it_is_durable() {
    let mut nodes = vec![Node::open(Role::Main, 1, vec![]), Node::open(Role::Edge, 2, vec![])];
    connect(&mut nodes, 1, 0);
    nodes[1].submit(1, vec![user_table()]).unwrap();
    assert_eq!(nodes[1].outputs, ["persist", "view", "transmit"]);
}

#[test]
fn a_replica_is_its_records() {
    let mut nodes = vec![Node::open(Role::Main, 1, vec![]), Node::open(Role::Edge, 2, vec![])];
    connect(&mut nodes, 1, 0);
    submit(&mut nodes, 0, 1, vec![user_table(), user(1, "Alice")]);
    submit(&mut nodes, 1, 2, vec![rename(1, "Bob")]);
    nodes[1].submit(3, vec![rename(1, "Carol")]).unwrap();
    for (node, role) in nodes.iter().zip([Role::Main, Role::Edge]) {
        let again = Node::open(role, 9, node.records.clone());
        assert_eq!(again.outputs, ["rebuild"]);
        assert_eq!(again.replica.id(), node.replica.id(), "entropy makes only new replicas");
        assert_eq!(again.view(), node.view());
        assert_eq!(again.replica.log().cursor(), node.replica.log().cursor());
        assert_eq!(again.replica.clock(), node.replica.clock());
        assert_eq!(again.replica.queue().operations(), node.replica.queue().operations());
        assert_eq!(again.replica.audit(), node.replica.audit());
    }
}

#[test]
fn without_a_main_an_acknowledgement_survives_a_restart() {
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    submit(&mut nodes, 1, 1, vec![user_table()]);
    nodes[1].input(Input::Disconnected(Peer(0))).unwrap();
    nodes[1].submit(2, vec![user(1, "Alice")]).unwrap();
    let again = Node::open(Role::Peer, 9, nodes[1].records.clone());
    assert_eq!(again.replica.queue().operations(), 1, "the table is acknowledged, the user is not");
}

#[test]
fn records_of_another_database_role_or_order_are_refused() {
    let mut node = Node::open(Role::Main, 1, vec![]);
    node.submit(1, vec![user_table()]).unwrap();
    node.submit(2, vec![user(1, "Alice")]).unwrap();
    let open =
        |role, database, records: &[Record]| Replica::open(Config::new(role, database), [0; 32], records).map(drop);
    assert_eq!(open(Role::Main, DATABASE, &node.records), Ok(()));
    let foreign = open(Role::Main, DatabaseId([8; 16]), &node.records);
    assert!(matches!(foreign, Err(Error::ForeignDatabase { .. })), "{foreign:?}");
    assert!(matches!(open(Role::Edge, DATABASE, &node.records), Err(Error::Records(_))));
    assert!(matches!(open(Role::Main, DATABASE, &node.records[1..]), Err(Error::Records(_))));
    let without_first = [&node.records[..1], &node.records[2..]].concat();
    assert!(matches!(open(Role::Main, DATABASE, &without_first), Err(Error::Records(_))));
    let twice = [&node.records[..], &node.records[2..]].concat();
    assert!(matches!(open(Role::Main, DATABASE, &twice), Err(Error::Records(_))));
}

#[test]
fn a_transaction_submitted_twice_is_one_change() {
    let mut node = Node::open(Role::Peer, 1, vec![]);
    node.submit(1, vec![user_table(), user(1, "Alice")]).unwrap();
    node.submit(1, vec![user_table(), user(1, "Alice")]).unwrap();
    assert_eq!(node.replica.log().len(), 1);
    assert!(matches!(node.notices.last(), Some(Notice::AlreadySubmitted { .. })));
}

#[test]
fn a_refused_transaction_changes_nothing_and_names_the_offender() {
    let mut node = Node::open(Role::Peer, 1, vec![]);
    node.submit(1, vec![user_table(), follows_table(), user(1, "Alice"), user(2, "Bob")]).unwrap();
    let before = node.view();
    let update = |column: &str, value: Value| Statement::UpdateNode {
        table: "User".into(),
        key: 1.into(),
        properties: Properties::from([(column.into(), value)]),
    };
    let no_key = Statement::CreateNode { table: "User".into(), properties: Properties::new() };
    let twice = |one: &str, other: &str| Properties::from([(one.into(), 5.into()), (other.into(), 5.into())]);
    let key_twice = Statement::CreateNode { table: "User".into(), properties: twice("id", "ID") };
    let refusals = [
        (vec![key_twice], "has column `id` twice"),
        (vec![], "at least one statement"),
        (vec![user(3, "Carol"), user(1, "Alice again")], "User(1) exists already"),
        (vec![rename(9, "Nobody")], "there is no User(9)"),
        (vec![user_table()], "table `User` exists already"),
        (vec![Statement::DeleteNode { table: "City".into(), key: 1.into() }], "no node table `City`"),
        (vec![Statement::DeleteNode { table: "User".into(), key: "1".into() }], "column `id` of table `User` is INT64"),
        (vec![update("age", 7.into())], "no column `age`"),
        (vec![update("name", 7.into())], "column `name` of table `User` is STRING; 7 is no such value"),
        (vec![update("ID", 7.into())], "cannot be updated"),
        (vec![no_key], "needs a value for its primary key `id`"),
        (vec![follow(1, 9)], "there is no User(9)"),
        (vec![follow(1, 2), follow(1, 2)], "FOLLOWS: User(1)→User(2) exists already"),
        (vec![Statement::DeleteEdge { edge: follows(2, 1) }], "there is no FOLLOWS: User(2)→User(1)"),
    ];
    for (statements, expected) in refusals {
        let error = node.submit(9, statements).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        assert_eq!(node.outputs, Vec::<&str>::new());
    }
    assert_eq!(node.view(), before);
    assert_eq!(node.replica.log().len(), 1);
}

#[test]
fn later_statements_of_a_transaction_see_the_earlier_ones() {
    let mut node = Node::open(Role::Peer, 1, vec![]);
    let delete = |id: i64| Statement::DeleteNode { table: "User".into(), key: id.into() };
    node.submit(1, vec![user_table(), follows_table(), user(1, "A"), user(2, "B"), follow(1, 2), delete(1)]).unwrap();
    assert_eq!(node.view().edges["FOLLOWS"].len(), 0, "the edge went with its end");
    node.submit(2, vec![user(1, "A again")]).unwrap();
    assert_eq!(node.view().edges["FOLLOWS"].len(), 0, "and does not come back with it");
}

#[test]
fn the_queue_refuses_what_does_not_fit_and_keeps_the_rest() {
    let config = Config { queue_operations_max: 3, ..Config::new(Role::Edge, DATABASE) };
    let replica = Replica::open(config, [1; 32], &[]).unwrap();
    let mut node = Node { replica, records: vec![], notices: vec![], outputs: vec![], now_us: 0 };
    node.submit(1, vec![user_table(), user(1, "Alice")]).unwrap();
    assert_eq!(node.submit(2, vec![user(2, "B"), user(3, "C")]), Err(Error::QueueFull { queued: 2, max: 3 }));
    node.submit(3, vec![user(2, "B")]).unwrap();
    assert_eq!(node.replica.queue().operations(), 3);
}

#[test]
fn a_lost_batch_is_sent_again_until_it_is_acknowledged() {
    let mut nodes = vec![Node::open(Role::Main, 1, vec![]), Node::open(Role::Edge, 2, vec![])];
    connect(&mut nodes, 1, 0);
    let lost = nodes[1].submit(1, vec![user_table()]).unwrap();
    assert_eq!(lost.len(), 1);
    nodes[1].now_us = 100_000;
    assert_eq!(nodes[1].input(Input::Timeout), Ok(vec![]), "too early");
    nodes[1].now_us = 250_000;
    let again = nodes[1].input(Input::Timeout).unwrap();
    assert_eq!(again.len(), 1);
    let twice = [again.clone(), again].concat();
    exchange(&mut nodes, twice.into_iter().map(|(to, bytes)| (1, to, bytes)).collect());
    assert_eq!(nodes[0].replica.log().len(), 1, "a repeated batch is applied once");
    assert!(nodes[1].replica.pending().is_empty());
}

#[test]
fn batches_that_overtake_each_other_are_applied_in_causal_order() {
    let mut nodes = vec![Node::open(Role::Main, 1, vec![]), Node::open(Role::Edge, 2, vec![])];
    connect(&mut nodes, 1, 0);
    let first = nodes[1].submit(1, vec![user_table()]).unwrap();
    let second = nodes[1].submit(2, vec![user(1, "Alice")]).unwrap();
    let reversed: Vec<_> = second.into_iter().chain(first).map(|(to, bytes)| (1, to, bytes)).collect();
    exchange(&mut nodes, reversed);
    assert_eq!(nodes[0].view(), nodes[1].view());
    assert!(nodes[0].notices.iter().any(|notice| matches!(notice, Notice::Held { .. })));
}

fn hello(node: &Node, role: Role) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION.into(),
        mode: SyncMode::Incremental,
        database: DATABASE,
        replica: node.replica.id(),
        role,
        cursor: node.replica.log().cursor(),
        tip: Default::default(),
        schema_version: 0,
        heads: Told::Whole,
        is_reply: false,
    }
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let other = Node::open(Role::Edge, 9, vec![]);
    let good = hello(&other, Role::Edge);
    let mut node = Node::open(Role::Main, 1, vec![]);
    node.submit(1, vec![user_table()]).unwrap();
    let own = node.replica.id();
    let beyond: Cursor = Cursor { seen: [ChangeId { replica: own, seq: 5 }].into_iter().collect(), lsn: 0 };
    type Matches = fn(&Error) -> bool;
    let strangers: [(Hello, Matches); 6] = [
        (Hello { protocol_version: "2.0".into(), ..good.clone() }, |e| matches!(e, Error::ProtocolVersion { .. })),
        (Hello { database: DatabaseId([9; 16]), ..good.clone() }, |e| matches!(e, Error::ForeignDatabase { .. })),
        (Hello { replica: own, ..good.clone() }, |e| matches!(e, Error::ClonedReplica { .. })),
        (Hello { cursor: beyond, ..good.clone() }, |e| matches!(e, Error::ClonedReplica { .. })),
        (Hello { role: Role::Main, ..good.clone() }, |e| matches!(e, Error::ForeignMain { .. })),
        (Hello { role: Role::Peer, ..good.clone() }, |e| matches!(e, Error::MixedRoles { .. })),
    ];
    let mut edge = Node::open(Role::Edge, 8, vec![]);
    let bytes = Message::Hello(good.clone()).encode();
    let refused = edge.input(Input::Receive { from: Peer(1), bytes });
    assert!(matches!(refused, Err(Error::MixedRoles { .. })), "edges meet their main, not each other");
    for (stranger, expected) in strangers {
        let bytes = Message::Hello(stranger.clone()).encode();
        let error = node.input(Input::Receive { from: Peer(1), bytes }).unwrap_err();
        assert!(expected(&error), "{stranger:?}: {error:?}");
        assert_eq!(node.outputs, ["transmit"], "the stranger is told");
    }
    assert!(node.input(Input::Receive { from: Peer(1), bytes: Message::Hello(good).encode() }).is_ok());
}

/// Delivers everything until nothing is on its way, also after refusals. Returns what was refused.
fn converse(nodes: &mut [Node], at: usize, input: Input) -> Vec<Error> {
    let mut refused = Vec::new();
    let mut inputs = VecDeque::from([(at, input)]);
    while let Some((at, input)) = inputs.pop_front() {
        let now = Now { monotonic: Instant(nodes[at].now_us), wall_ms: 1_000 };
        refused.extend(nodes[at].replica.handle_input(now, input).err());
        for (Peer(to), bytes) in nodes[at].carry_out() {
            inputs.push_back((to as usize, Input::Receive { from: Peer(at as u32), bytes }));
        }
    }
    refused
}

/// The versions of the sessions that a replica told of.
fn versions(node: &Node) -> Vec<&str> {
    let version = |notice: &Notice| matches!(notice, Notice::Established { .. });
    let told = node.notices.iter().filter(|notice| version(notice));
    told.map(|notice| match notice {
        Notice::Established { protocol_version, .. } => protocol_version.as_str(),
        _ => "",
    })
    .collect()
}

#[test]
fn replicas_of_two_versions_talk_in_the_older_until_both_are_upgraded() {
    for older_greets in [false, true] {
        let older = Config { protocol: Protocol::V0_9, ..Config::new(Role::Main, DATABASE) };
        let mut nodes = vec![Node::open_with(older, 1, vec![]), Node::open(Role::Edge, 2, vec![])];
        let refused = if older_greets {
            converse(&mut nodes, 0, Input::Connected(Peer(1)))
        } else {
            converse(&mut nodes, 1, Input::Connected(Peer(0)))
        };
        let words: Vec<String> = refused.iter().map(Error::to_string).collect();
        let expected = "the peer speaks protocol 1.0, this replica 0.9; upgrade the older";
        assert!(words.iter().all(|words| words == expected) && words.is_empty() == older_greets, "{words:?}");
        assert_eq!((versions(&nodes[0]), versions(&nodes[1])), (vec!["0.9"], vec!["0.9"]));
        let frames = nodes[1].submit(1, vec![user_table()]).unwrap();
        assert!(frames.iter().all(|(_, bytes)| !Message::is_tagged(bytes)), "the older knows no tags");
        exchange(&mut nodes, frames.into_iter().map(|(to, bytes)| (1, to, bytes)).collect());
        assert_eq!(nodes[0].view(), nodes[1].view());

        nodes[0] = Node::open(Role::Main, 1, std::mem::take(&mut nodes[0].records));
        connect(&mut nodes, 0, 1);
        assert_eq!(versions(&nodes[0]), ["1.0"]);
        let frames = nodes[1].submit(2, vec![user(1, "Alice")]).unwrap();
        assert!(frames.iter().all(|(_, bytes)| Message::is_tagged(bytes)) && !frames.is_empty());
        exchange(&mut nodes, frames.into_iter().map(|(to, bytes)| (1, to, bytes)).collect());
        assert_eq!(nodes[0].view(), nodes[1].view());
        assert!(nodes[0].view().node("User", &1.into()).is_some());
    }
}

#[test]
fn what_was_sent_by_or_to_the_replica_that_was_at_an_address_before_is_passed_over() {
    let mut nodes = vec![Node::open(Role::Main, 1, vec![]), Node::open(Role::Edge, 2, vec![])];
    connect(&mut nodes, 1, 0);
    submit(&mut nodes, 0, 1, vec![user_table()]);
    let of_the_one_before = nodes[1].submit(2, vec![user(1, "Alice")]).unwrap();
    let for_the_one_before = nodes[0].submit(3, vec![user(2, "Bob")]).unwrap();
    nodes[1] = Node::open(Role::Edge, 9, vec![]);
    connect(&mut nodes, 1, 0);
    assert_eq!(nodes[0].view(), nodes[1].view());
    let log = nodes[0].replica.log().seen().clone();
    for (at, frames) in [(0, of_the_one_before), (1, for_the_one_before)] {
        assert!(!frames.is_empty());
        for (_, bytes) in frames {
            let answers = nodes[at].input(Input::Receive { from: Peer(1 - at as u32), bytes }).unwrap();
            assert!(answers.is_empty());
            assert!(matches!(nodes[at].notices.last(), Some(Notice::Late { .. })));
        }
    }
    assert_eq!(nodes[0].replica.log().seen(), &log, "nothing of it was taken in");
    submit(&mut nodes, 1, 4, vec![user(3, "Carol")]);
    assert_eq!(nodes[0].view(), nodes[1].view());
    let mut older =
        Node::open_with(Config { protocol: Protocol::V0_9, ..Config::new(Role::Edge, DATABASE) }, 5, vec![]);
    let (_, tagged) = nodes[0].submit(5, vec![user(4, "Dan")]).unwrap().remove(0);
    let refused = older.input(Input::Receive { from: Peer(0), bytes: tagged }).unwrap_err();
    assert!(refused.to_string().contains("of which this version knows nothing"), "{refused}");
}

#[test]
fn two_replicas_that_write_under_one_identity_are_noticed() {
    let mut original = Node::open(Role::Edge, 2, vec![]);
    original.submit(1, vec![user_table()]).unwrap();
    let mut copy = Node::open(Role::Edge, 3, original.records.clone());
    original.submit(2, vec![user(1, "Alice")]).unwrap();
    copy.submit(3, vec![user(1, "Not Alice")]).unwrap();
    let mut nodes = vec![Node::open(Role::Main, 1, vec![]), original];
    connect(&mut nodes, 1, 0);
    let before = nodes[0].view();
    nodes[1] = copy;
    let entries: Vec<Entry> =
        nodes[1].replica.log().changes().map(|change| Entry { change: change.clone(), lsn: None }).collect();
    let error = nodes[0].input(Input::Receive { from: Peer(1), bytes: frame(entries) }).unwrap_err();
    assert!(matches!(error, Error::ClonedReplica { .. }), "{error:?}");
    assert_eq!(nodes[0].view(), before);
}

#[test]
fn numbers_that_the_main_did_not_give_are_refused() {
    let mut author = Node::open(Role::Peer, 4, vec![]);
    author.submit(1, vec![user_table()]).unwrap();
    let change = author.replica.log().changes().next().unwrap().clone();
    let numbered = frame(vec![Entry { change, lsn: Some(1) }]);
    for role in [Role::Main, Role::Peer] {
        let mut nodes = vec![
            Node::open(role, 1, vec![]),
            Node::open(if role == Role::Main { Role::Edge } else { role }, 2, vec![]),
        ];
        connect(&mut nodes, 1, 0);
        let error = nodes[0].input(Input::Receive { from: Peer(1), bytes: numbered.clone() }).unwrap_err();
        assert!(matches!(error, Error::ForeignNumber { lsn: 1, .. }), "{error:?}");
    }
}

/// Changes by two authors nobody here has met, as a hostile main would number them.
fn hostile(numbers: [u64; 2]) -> Vec<Entry> {
    let author = |name: u8| {
        let mut author = Node::open(Role::Edge, name, vec![]);
        author.submit(name, vec![user_table()]).unwrap();
        author.replica.log().changes().next().unwrap().clone()
    };
    let [first, second] = numbers;
    let entry = |change, lsn| Entry { change, lsn: Some(lsn) };
    vec![entry(author(11), first), entry(author(12), second)]
}

#[test]
fn no_numbering_makes_an_edge_panic() {
    // Number 0; one number twice; one number twice ahead of its turn, released by what comes later.
    for numbers in [[0, 1], [1, 1], [2, 2]] {
        let mut nodes = vec![Node::open(Role::Edge, 1, vec![]), Node::open(Role::Main, 2, vec![])];
        connect(&mut nodes, 1, 0);
        let sent = nodes[0].input(Input::Receive { from: Peer(1), bytes: frame(hostile(numbers)) });
        let frames = nodes[1].submit(3, vec![user_table()]).unwrap();
        let later = frames.into_iter().map(|(_, bytes)| nodes[0].input(Input::Receive { from: Peer(1), bytes }));
        let results: Vec<_> = later.chain([sent]).collect();
        let discarded = nodes[0].notices.iter().any(|notice| matches!(notice, Notice::Discarded { .. }));
        let refused = discarded || results.iter().any(|result| matches!(result, Err(Error::ForeignNumber { .. })));
        assert!(refused, "{numbers:?}: {results:?}");
    }
}

#[test]
fn a_bad_change_that_waited_is_listed_and_whoever_sent_its_cause_is_not_blamed() {
    let mut author = Node::open(Role::Peer, 4, vec![]);
    author.submit(1, vec![user_table()]).unwrap();
    author.submit(2, vec![user(1, "Alice")]).unwrap();
    let changes: Vec<_> = author.replica.log().changes().cloned().collect();
    let mut bad = changes[1].as_ref().clone();
    bad.ops = vec![Op::Delete {
        element: kuzusync_core::change::Element::Node(kuzusync_core::change::Node {
            table: kuzusync_core::id::TableId([9; 16]),
            key: 1.into(),
        }),
    }];
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    let message = |change| frame(vec![Entry { change, lsn: None }]);
    assert!(nodes[0].input(Input::Receive { from: Peer(1), bytes: message(bad.into()) }).is_ok(), "it waits");
    assert!(nodes[0].input(Input::Receive { from: Peer(1), bytes: message(changes[0].clone()) }).is_ok());
    assert!(nodes[0].notices.iter().any(|notice| matches!(notice, Notice::Failed { .. })));
    submit(&mut nodes, 1, 3, vec![city_table()]);
    assert!(nodes[0].view().tables.contains_key("City"), "the session goes on");
}

#[test]
fn a_received_change_may_be_no_longer_than_one_written_here() {
    let mut author = Node::open(Role::Peer, 4, vec![]);
    author.submit(1, vec![user_table()]).unwrap();
    let long = user(1, &"n".repeat(CHANGE_BYTES_MAX));
    let refused = author.submit(2, vec![long]);
    assert!(matches!(refused, Err(Error::TransactionTooLarge { max: CHANGE_BYTES_MAX, .. })), "{refused:?}");
    author.submit(3, vec![user(1, "Alice")]).unwrap();
    let mut change = author.replica.log().changes().last().unwrap().as_ref().clone();
    let Some(Op::Insert { cells, .. }) = change.ops.first_mut() else { panic!("a user is inserted") };
    cells.values_mut().for_each(|value| *value = Value::from("n".repeat(CHANGE_BYTES_MAX).as_str()));
    let entries = vec![Entry { change: change.into(), lsn: None }];
    let received = Message::decode(&frame(entries));
    assert!(matches!(received, Err(Error::MalformedChange { .. })));
}

#[test]
fn a_session_that_one_side_has_ended_is_begun_again_when_the_other_goes_on() {
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    nodes[0].input(Input::Disconnected(Peer(1))).unwrap();
    submit(&mut nodes, 1, 1, vec![user_table()]);
    assert_eq!(nodes[0].view(), nodes[1].view());
    assert!(nodes.iter().all(|node| node.replica.pending().is_empty()));
}

#[test]
fn a_lost_refusal_is_repeated() {
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    nodes[0].input(Input::Receive { from: Peer(1), bytes: Message::Refused("no".into()).encode() }).unwrap();
    let frames = nodes[1].submit(1, vec![user_table()]).unwrap();
    let answers = nodes[0].input(Input::Receive { from: Peer(1), bytes: frames[0].1.clone() }).unwrap();
    assert!(matches!(Message::decode(&answers[0].1).map(Message::untagged), Ok(Message::Refused(_))));
}

#[test]
fn a_stamp_at_the_end_of_time_is_refused_and_one_just_before_leaves_room() {
    let mut author = Node::open(Role::Peer, 4, vec![]);
    author.submit(1, vec![user_table()]).unwrap();
    let mut change = author.replica.log().changes().next().unwrap().as_ref().clone();
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    change.timestamp.ms = kuzusync_core::clock::Timestamp::MAX_MS;
    assert!(change.check().is_err());
    change.timestamp.ms -= 1;
    change.timestamp.counter = u32::MAX - 1;
    let entries = vec![Entry { change: change.into(), lsn: None }];
    nodes[0].input(Input::Receive { from: Peer(1), bytes: frame(entries) }).unwrap();
    nodes[0].submit(2, vec![user(1, "Alice")]).unwrap();
    let own = nodes[0].replica.log().changes().last().unwrap();
    assert_eq!(own.check(), Ok(()), "others will take what is written after it");
}

#[test]
fn a_vector_clock_from_outside_names_nobody_unknown() {
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    let frames = nodes[1].submit(1, vec![user_table()]).unwrap();
    let Ok(Message::Changes { mut clock, deliveries }) = Message::decode(&frames[0].1).map(Message::untagged) else {
        panic!("changes were sent")
    };
    let stranger = kuzusync_core::id::ReplicaId([99; 16]);
    clock.tick(stranger);
    let bytes = Message::Changes { clock, deliveries }.encode();
    nodes[0].input(Input::Receive { from: Peer(1), bytes }).unwrap();
    let clock = nodes[0].replica.clock();
    assert_eq!((clock.get(stranger), clock.get(nodes[1].replica.id())), (0, 1));
}

#[test]
fn a_cursor_beyond_everything_is_survived() {
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    submit(&mut nodes, 1, 1, vec![user_table()]);
    connect(&mut nodes, 1, 0);
    let known = nodes[1].replica.id();
    let stranger = Node::open(Role::Peer, 9, vec![]);
    let cursor = Cursor { seen: [ChangeId { replica: known, seq: u64::MAX }].into_iter().collect(), lsn: u64::MAX };
    let bytes = Message::Hello(Hello { cursor, ..hello(&stranger, Role::Peer) }).encode();
    assert!(nodes[0].input(Input::Receive { from: Peer(5), bytes }).is_ok());
    let frames = nodes[0].submit(2, vec![user(1, "Alice")]).unwrap();
    let to_second = frames.into_iter().filter(|(to, _)| *to == Peer(1)).map(|(to, bytes)| (0, to, bytes));
    exchange(&mut nodes, to_second.collect());
    assert_eq!(nodes[0].view(), nodes[1].view());
}

/// Every frame that goes from an author to a reader in a small history, and the reader before it heard any.
fn frames_of_a_history(author: Role, reader: Role) -> (Node, Vec<Vec<u8>>) {
    let mut nodes = [Node::open(reader, 1, vec![]), Node::open(author, 2, vec![])];
    let mut frames = Vec::new();
    let mut on_their_way: VecDeque<_> = VecDeque::new();
    let writes = [
        vec![user_table(), follows_table()],
        vec![user(1, "Alice"), user(2, "Bob")],
        vec![follow(1, 2)],
        vec![rename(1, "Carol")],
        vec![Statement::DeleteNode { table: "User".into(), key: 2.into() }],
    ];
    let greeting = nodes[1].input(Input::Connected(Peer(0))).unwrap();
    on_their_way.extend(greeting.into_iter().map(|(_, bytes)| (1, bytes)));
    for (tx, statements) in (1..).zip(writes) {
        let sent = nodes[1].submit(tx, statements).unwrap();
        on_their_way.extend(sent.into_iter().map(|(_, bytes)| (1, bytes)));
        while let Some((from, bytes)) = on_their_way.pop_front() {
            let to = 1 - from;
            if to == 0 {
                frames.push(bytes.clone());
            }
            let answers = nodes[to].input(Input::Receive { from: Peer(from as u32), bytes }).unwrap();
            on_their_way.extend(answers.into_iter().map(|(_, bytes)| (to, bytes)));
        }
    }
    (Node::open(reader, 1, vec![]), frames)
}

/// The frame with some bytes of its body replaced and the checksum made to fit, so that what lies behind it is reached.
fn damaged(frame: &[u8], edits: &[(usize, u8)]) -> Vec<u8> {
    const HEADER_BYTES: usize = 10;
    let mut bytes = frame.to_vec();
    for (place, byte) in edits {
        let place = HEADER_BYTES + place % (bytes.len() - HEADER_BYTES);
        bytes[place] = *byte;
    }
    let checksum = Digest::of(&[&bytes[HEADER_BYTES..]]);
    bytes[2..HEADER_BYTES].copy_from_slice(&checksum.0[..8]);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_message_makes_a_replica_panic(
        is_main in any::<bool>(),
        edits in proptest::collection::vec((0..20_usize, proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4)), 1..12),
    ) {
        let (author, reader) = if is_main { (Role::Main, Role::Edge) } else { (Role::Edge, Role::Main) };
        let (mut node, frames) = frames_of_a_history(author, reader);
        let greeting = frames[0].clone();
        let _ = node.input(Input::Receive { from: Peer(1), bytes: greeting.clone() });
        for (frame, edits) in &edits {
            let bytes = damaged(&frames[frame % frames.len()], edits);
            if node.input(Input::Receive { from: Peer(1), bytes }).is_err() {
                // A refused session is taken up again, as a host would.
                let _ = node.input(Input::Receive { from: Peer(1), bytes: greeting.clone() });
            }
        }
        prop_assert!(node.submit(200, vec![city_table()]).is_ok());
        let again = Node::open(reader, 1, node.records.clone());
        prop_assert_eq!(again.view(), node.view());
    }
}

#[test]
fn a_change_that_names_what_does_not_exist_is_passed_and_the_rest_survives() {
    let mut stranger = Node::open(Role::Peer, 4, vec![]);
    stranger.submit(1, vec![user_table()]).unwrap();
    stranger.submit(2, vec![user(1, "Alice")]).unwrap();
    let mut bad = stranger.replica.log().changes().nth(1).unwrap().as_ref().clone();
    (bad.id.seq, bad.seen, bad.previous) = (1, Default::default(), Digest::default());
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    submit(&mut nodes, 0, 3, vec![city_table()]);
    let before = nodes[0].view();
    let entries = vec![Entry { change: bad.into(), lsn: None }];
    nodes[0].input(Input::Receive { from: Peer(1), bytes: frame(entries) }).unwrap();
    assert_eq!(nodes[0].replica.log().failed().count(), 1);
    assert_eq!(nodes[0].view(), before);
    assert!(nodes[0].submit(4, vec![user_table()]).is_ok());
}

#[test]
fn bytes_that_are_no_message_are_refused_and_the_session_survives() {
    let mut nodes = vec![Node::open(Role::Peer, 1, vec![]), Node::open(Role::Peer, 2, vec![])];
    connect(&mut nodes, 1, 0);
    let refused = nodes[0].input(Input::Receive { from: Peer(1), bytes: b"GET / HTTP/1.1".to_vec() });
    assert!(matches!(refused, Err(Error::Malformed { .. })), "{refused:?}");
    submit(&mut nodes, 1, 1, vec![user_table()]);
    assert_eq!(nodes[0].view(), nodes[1].view());
}

#[test]
fn a_failed_store_is_rebuilt_and_a_failed_disk_stops_the_replica() {
    let mut node = Node::open(Role::Peer, 1, vec![]);
    node.submit(1, vec![user_table()]).unwrap();
    node.input(Input::StoreFailed).unwrap();
    assert_eq!(node.outputs, ["rebuild"]);
    node.input(Input::PersistFailed).unwrap();
    assert_eq!(node.submit(2, vec![user(1, "Alice")]), Err(Error::Stopped));
}

#[test]
fn an_explicit_dependency_must_be_known_where_it_is_written() {
    let mut node = Node::open(Role::Peer, 1, vec![]);
    let unknown = ChangeId { replica: node.replica.id(), seq: 5 };
    let (tx, statements, depends_on) = (TxId([1; 16]), vec![user_table()], vec![unknown]);
    let transaction = Transaction { tx, statements, depends_on, ..Transaction::default() };
    assert_eq!(node.input(Input::Local(transaction)), Err(Error::UnknownDependency(unknown)));
}

// ---- snapshots ----

/// A main, peer 0, whose log has 20 numbers in chunks of two, an edge, peer 1, that has none and a session with it, and what
/// the main offers.
fn offered() -> ([Node; 2], Manifest) {
    let open = |role: Role, name: u8| {
        let config = Config { chunk_numbers: 2, ..Config::new(role, DATABASE) };
        let replica = Replica::open(config, [name; 32], &[]).unwrap();
        let mut node = Node { replica, records: Vec::new(), notices: Vec::new(), outputs: Vec::new(), now_us: 0 };
        node.carry_out();
        node
    };
    let mut nodes = [open(Role::Main, 1), open(Role::Edge, 2)];
    nodes[0].submit(1, vec![user_table()]).unwrap();
    (2..=20).for_each(|tx| drop(nodes[0].submit(tx, vec![user(tx.into(), "nobody")]).unwrap()));
    let hello = nodes[1].input(Input::Connected(Peer(0))).unwrap().remove(0).1;
    let mut answers = nodes[0].input(Input::Receive { from: Peer(1), bytes: hello }).unwrap();
    let offer = answers.pop().unwrap().1;
    for (_, bytes) in answers {
        assert_eq!(nodes[1].input(Input::Receive { from: Peer(0), bytes }).unwrap(), []);
    }
    let Ok(Message::Offer { manifest, .. }) = Message::decode(&offer) else { panic!("an offer comes last") };
    assert_eq!((manifest.sync_point.lsn, manifest.chunks.len()), (20, 10));
    (nodes, manifest)
}

/// Tells the edge of the offer and carries its wishes and the main's answers to and fro, as `changed` makes them, until the
/// edge refuses or asks no more.
fn fetch(nodes: &mut [Node; 2], offer: &Manifest, changed: impl Fn(Message) -> Message) -> Result<(), Error> {
    let mut to_edge = VecDeque::from([Message::Offer { manifest: offer.clone(), in_place_of: None }.encode()]);
    while let Some(bytes) = to_edge.pop_front() {
        for (_, bytes) in nodes[1].input(Input::Receive { from: Peer(0), bytes })? {
            let answers = nodes[0].input(Input::Receive { from: Peer(1), bytes }).unwrap();
            let chunks = answers.into_iter().map(|(_, bytes)| Message::decode(&bytes).unwrap());
            to_edge.extend(chunks.map(|message| changed(message).encode()));
        }
    }
    Ok(())
}

#[test]
fn who_lacks_much_takes_a_snapshot_in_chunk_by_chunk() {
    let (mut nodes, manifest) = offered();
    fetch(&mut nodes, &manifest, |message| message).unwrap();
    let [main, edge] = &nodes;
    let taken = Notice::SnapshotTaken { peer: Peer(0), lsn: 20, chunks: 10 };
    assert!(edge.notices.contains(&taken) && edge.replica.pending().is_empty());
    assert_eq!(edge.view(), main.view());
    assert_eq!(edge.replica.sync_point(), main.replica.sync_point());
    assert_eq!(edge.replica.snapshot(), Some(manifest));
    let again = Node::open(Role::Edge, 3, edge.records.clone());
    assert_eq!(again.view(), main.view(), "its records hold it");
}

#[test]
fn a_damaged_chunk_is_not_taken_in_and_asked_for_again() {
    let (mut nodes, manifest) = offered();
    let damaged = |message| match message {
        Message::Chunk { last: 2, clock, mut bytes } => {
            bytes[0] ^= 1;
            Message::Chunk { last: 2, clock, bytes }
        }
        other => other,
    };
    fetch(&mut nodes, &manifest, damaged).unwrap();
    assert!(nodes[1].notices.contains(&Notice::ChunkDamaged { peer: Peer(0), last: 2 }));
    assert_eq!(nodes[1].replica.log().lsn_known(), 0, "what comes after it waits");
    nodes[1].now_us += 20_000_000;
    let frames = nodes[1].input(Input::Timeout).unwrap();
    let wanted: Vec<Message> = frames.iter().map(|(_, bytes)| Message::decode(bytes).unwrap()).collect();
    assert!(wanted.contains(&Message::Want { chunks: vec![2] }), "{wanted:?}");
    exchange(&mut nodes, frames.into_iter().map(|(to, bytes)| (1, to, bytes)).collect());
    assert_eq!(nodes[1].view(), nodes[0].view());
}

#[test]
fn a_chunk_that_came_before_the_changes_it_follows_is_taken_in_after_them() {
    let (mut nodes, manifest) = offered();
    let receive = |from: u32, message: &Message| Input::Receive { from: Peer(from), bytes: message.encode() };
    let wanted = nodes[1].input(receive(0, &Message::Offer { manifest, in_place_of: None })).unwrap().remove(0).1;
    let chunks = nodes[0].input(Input::Receive { from: Peer(1), bytes: wanted }).unwrap();
    for (_, bytes) in chunks.into_iter().skip(1) {
        assert_eq!(nodes[1].input(Input::Receive { from: Peer(0), bytes }).unwrap(), [], "the first one is missing");
    }
    let deliveries = (1..=2).filter_map(|lsn| nodes[0].replica.log().delivery(lsn)).collect();
    let changes = Message::Changes { clock: VectorClock::default(), deliveries };
    let frames = nodes[1].input(receive(0, &changes)).unwrap();
    assert_eq!(nodes[1].replica.log().lsn_known(), 8);
    exchange(&mut nodes, frames.into_iter().map(|(to, bytes)| (1, to, bytes)).collect());
    assert_eq!((nodes[1].replica.pending(), nodes[1].view()), (Vec::new(), nodes[0].view()));
}

#[test]
fn chunks_that_are_not_the_offered_history_are_refused() {
    let (mut nodes, mut manifest) = offered();
    let found = manifest.sync_point.checksum;
    manifest.sync_point.checksum = Digest::default();
    let refused = fetch(&mut nodes, &manifest, |message| message);
    assert_eq!(refused, Err(Error::OtherHistory { lsn: 20, found, expected: Digest::default() }));
}

#[test]
fn a_chunk_that_holds_other_numbers_is_refused() {
    let (mut nodes, mut manifest) = offered();
    let first = Message::Want { chunks: vec![2] }.encode();
    let answers = nodes[0].input(Input::Receive { from: Peer(1), bytes: first }).unwrap();
    let Ok(Message::Chunk { bytes, .. }) = Message::decode(&answers[0].1) else { panic!("a chunk is the answer") };
    // The main offers the first chunk as one of three numbers.
    manifest.chunks[0].last = 3;
    assert_eq!(Digest::of(&[&bytes]), manifest.chunks[0].digest);
    let renamed = |message| match message {
        Message::Chunk { last: 4, clock, .. } => Message::Chunk { last: 3, clock, bytes: bytes.clone() },
        other => other,
    };
    let refused = fetch(&mut nodes, &manifest, renamed).unwrap_err().to_string();
    assert!(refused.contains("does not hold the numbers from 1 to 3"), "{refused}");
}

#[test]
fn only_an_edge_is_offered_snapshots() {
    let (mut nodes, manifest) = offered();
    let refused = nodes[0]
        .input(Input::Receive { from: Peer(1), bytes: Message::Offer { manifest, in_place_of: None }.encode() });
    assert_eq!(refused, Err(Error::ForeignNumber { what: "a snapshot".to_owned(), lsn: 20 }));
}

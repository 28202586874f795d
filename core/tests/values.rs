//! Every sampled value, from a statement through change, wire, log and records to the view and the reference store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use kuzusync_core::Error;
use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::{Record, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::value::sample::{Sample, samples};
use kuzusync_core::value::{Type, TypeError, Value};
use kuzusync_core::view::Row;

const NOW: Now = Now { monotonic: Instant(0), wall_ms: 1_000 };

/// A replica and what its host keeps: records as bytes, and a store.
struct Node {
    replica: Replica,
    records: Vec<Vec<u8>>,
    store: MemoryStore,
}

impl Node {
    fn open(name: u8, records: Vec<Vec<u8>>) -> Node {
        let decoded: Vec<Record> = records.iter().map(|bytes| Record::decode(bytes).unwrap()).collect();
        let config = Config::new(Role::Peer, DatabaseId([7; 16]));
        let replica = Replica::open(config, [name; 32], &decoded).unwrap();
        let mut node = Node { replica, records, store: MemoryStore::default() };
        node.carry_out();
        node
    }

    /// The frames it sends.
    fn input(&mut self, input: Input) -> Result<Vec<Vec<u8>>, Error> {
        let result = self.replica.handle_input(NOW, input);
        let frames = self.carry_out();
        result.map(|()| frames)
    }

    fn carry_out(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => return frames,
                Output::Persist(record) => self.records.push(record.encode()),
                Output::Transmit { bytes, .. } => frames.push(bytes),
                Output::View(delta) => self.store.apply(&delta).unwrap(),
                Output::Rebuild(view) => self.store.rebuild(&view).unwrap(),
                Output::Notify(_) => {}
            }
        }
    }

    fn submit(&mut self, tx: u8, statements: Vec<Statement>) -> Result<Vec<Vec<u8>>, Error> {
        self.input(Input::Local(Transaction { tx: TxId([tx; 16]), statements, ..Transaction::default() }))
    }
}

/// Two peers bring each other up to date.
fn synchronise(one: &mut Node, other: &mut Node) {
    let mut frames = one.input(Input::Connected(Peer(0))).unwrap();
    while !frames.is_empty() {
        let receive = |node: &mut Node, frames: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            frames.into_iter().flat_map(|bytes| node.input(Input::Receive { from: Peer(0), bytes }).unwrap()).collect()
        };
        let answers = receive(other, frames);
        frames = receive(one, answers);
    }
}

fn column(name: String, column_type: &Type) -> Column {
    Column::new(name, column_type.clone())
}

/// A table with a column of every sampled type.
fn create_table() -> Statement {
    let columns = samples().iter().enumerate().map(|(place, sample)| column(format!("c{place}"), &sample.column_type));
    let columns = columns.chain([column("id".to_owned(), &Type::Int64)]).collect();
    Statement::CreateNodeTable { table: "Sample".into(), columns, primary_key: "id".into() }
}

/// Rows that hold every sample, and one that holds nothing.
fn rows() -> BTreeMap<Value, Row> {
    let cell = |place: usize, sample: &Sample, at: usize| Some((format!("c{place}"), sample.values.get(at)?.clone()));
    let row = |at: usize| {
        let cells = samples().iter().enumerate().filter_map(|(place, sample)| cell(place, sample, at));
        (Value::from(at as i64), cells.collect::<Row>())
    };
    let most = samples().iter().map(|sample| sample.values.len()).max().unwrap();
    (0..=most).map(row).collect()
}

fn create((key, row): (&Value, &Row)) -> Statement {
    let key = ("id".to_owned(), key.clone());
    let properties: Properties = row.clone().into_iter().chain([key]).collect();
    Statement::CreateNode { table: "Sample".into(), properties }
}

#[test]
fn every_sample_travels_and_every_layer_holds_the_same() {
    let mut author = Node::open(1, Vec::new());
    author.submit(1, vec![create_table()]).unwrap();
    author.submit(2, rows().iter().map(create).collect()).unwrap();
    assert_eq!(author.replica.view().nodes["Sample"], rows());

    let mut other = Node::open(2, Vec::new());
    synchronise(&mut author, &mut other);
    let digests = |node: &Node| node.replica.log().changes().map(|change| change.digest()).collect::<Vec<_>>();
    assert_eq!(digests(&other), digests(&author));

    let reopened = Node::open(2, other.records.clone());
    for node in [&author, &other, &reopened] {
        let view = node.replica.view();
        assert_eq!(view.nodes["Sample"], rows());
        assert_eq!(view.digest(), author.replica.view().digest());
        assert_eq!(node.replica.schema().version(), author.replica.schema().version());
        assert_eq!(*node.store.view(), view);
    }
}

#[test]
fn every_sample_of_a_key_type_is_a_key_and_no_other_type_makes_a_key() {
    let mut author = Node::open(1, Vec::new());
    for (tx, sample) in (1..).zip(samples()) {
        let table = || format!("Of {}", sample.column_type);
        let columns = vec![column("id".to_owned(), &sample.column_type)];
        let create = Statement::CreateNodeTable { table: table(), columns, primary_key: "id".into() };
        if !sample.column_type.can_be_key() {
            let refused = author.submit(tx, vec![create]);
            assert!(matches!(refused, Err(Error::KeyType { .. })), "{}: {refused:?}", sample.column_type);
            continue;
        }
        let node = |key: &Value| {
            let properties = Properties::from([("id".to_owned(), key.clone())]);
            Statement::CreateNode { table: table(), properties }
        };
        author.submit(tx, [create].into_iter().chain(sample.values.iter().map(node)).collect()).unwrap();
        let keys: Vec<Value> = author.replica.view().nodes[&table()].keys().cloned().collect();
        assert_eq!(keys, sample.values, "each is its own key");
    }
    let mut other = Node::open(2, Vec::new());
    synchronise(&mut author, &mut other);
    assert_eq!(other.replica.view(), author.replica.view());
}

#[test]
fn a_value_of_another_type_and_a_type_that_cannot_be_are_refused() {
    let mut author = Node::open(1, Vec::new());
    author.submit(1, vec![create_table()]).unwrap();
    for (place, sample) in samples().iter().enumerate() {
        let others = samples().iter().flat_map(|other| &other.values);
        for value in others.filter(|value| !value.is_of(&sample.column_type)) {
            let row = Row::from([(format!("c{place}"), value.clone())]);
            let refused = author.submit(2, vec![create((&Value::from(1), &row))]);
            assert!(matches!(refused, Err(Error::TypeMismatch { .. })), "{value}: {refused:?}");
        }
    }
    let columns = vec![column("id".to_owned(), &Type::Int64), column("of".to_owned(), &Type::Struct(Vec::new()))];
    let empty = Statement::CreateNodeTable { table: "T".into(), columns, primary_key: "id".into() };
    let refused = author.submit(3, vec![empty]).unwrap_err();
    let problem = TypeError::NoFields("STRUCT");
    assert_eq!(refused, Error::InvalidType { table: "T".into(), column: "of".into(), problem });
}

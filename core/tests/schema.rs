//! Schema changes from outside: what a replica tells before, of and after them, with a wire that loses nothing and a
//! store behind it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;

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
use kuzusync_core::value::{Type, Value};

/// A replica, its store, and the records its host would keep.
struct Host {
    replica: Replica,
    store: MemoryStore,
    records: Vec<Record>,
    txs: u32,
}

impl Host {
    fn open(role: Role, name: u8, records: Vec<Record>) -> Host {
        let replica = Replica::open(Config::new(role, DatabaseId([7; 16])), [name; 32], &records).unwrap();
        let mut host = Host { replica, store: MemoryStore::default(), records, txs: 0 };
        host.carry_out();
        host
    }

    fn now() -> Now {
        Now { monotonic: Instant(0), wall_ms: 1_000 }
    }

    fn input(&mut self, input: Input) -> Result<Vec<(Peer, Vec<u8>)>, Error> {
        let result = self.replica.handle_input(Host::now(), input);
        let frames = self.carry_out();
        result.map(|()| frames)
    }

    /// The store holds what the replica shows, always.
    fn carry_out(&mut self) -> Vec<(Peer, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => break,
                Output::Persist(record) => self.records.push(record),
                Output::Transmit { to, bytes } => frames.push((to, bytes)),
                Output::Notify(_) => {}
                Output::View(delta) => self.store.apply(&delta).unwrap(),
                Output::Rebuild(view) => self.store.rebuild(&view).unwrap(),
            }
        }
        assert_eq!(*self.store.view(), self.replica.view());
        frames
    }

    fn transaction(&mut self, statements: Vec<Statement>) -> Transaction {
        self.txs += 1;
        let mut tx = self.replica.id().0;
        tx[..4].copy_from_slice(&self.txs.to_le_bytes());
        Transaction { tx: TxId(tx), statements, ..Transaction::default() }
    }

    fn submit(&mut self, statements: Vec<Statement>) -> Result<(), Error> {
        let transaction = self.transaction(statements);
        self.input(Input::Local(transaction)).map(drop)
    }
}

/// Connects both and delivers everything until nothing is on its way.
fn sync(one: &mut Host, other: &mut Host) {
    let mut on_their_way: VecDeque<_> = VecDeque::new();
    let hello = one.input(Input::Connected(Peer(0))).unwrap();
    on_their_way.extend(hello.into_iter().map(|(_, bytes)| (true, bytes)));
    while let Some((to_other, bytes)) = on_their_way.pop_front() {
        let to = if to_other { &mut *other } else { &mut *one };
        let answers = to.input(Input::Receive { from: Peer(0), bytes }).unwrap();
        on_their_way.extend(answers.into_iter().map(|(_, bytes)| (!to_other, bytes)));
    }
    for host in [one, other] {
        host.input(Input::Disconnected(Peer(0))).unwrap();
    }
}

fn peers() -> (Host, Host) {
    (Host::open(Role::Peer, 1, Vec::new()), Host::open(Role::Peer, 2, Vec::new()))
}

fn user_table() -> Statement {
    let columns = vec![Column::new("id", Type::Int64), Column::new("age", Type::Int64)];
    Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }
}

fn user(id: i64, age: i64) -> Statement {
    let properties = Properties::from([("id".into(), id.into()), ("age".into(), age.into())]);
    Statement::CreateNode { table: "User".into(), properties }
}

fn retype_age() -> Statement {
    Statement::AlterColumnType { table: "User".into(), column: "age".into(), column_type: Type::String }
}

#[test]
fn the_impact_of_a_schema_change_is_told_before_it_runs() {
    let (mut host, _) = peers();
    host.submit(vec![user_table()]).unwrap();
    host.submit((0..20).map(|id| user(id, id)).collect()).unwrap();
    let (version, view) = (host.replica.schema().version(), host.replica.view());
    let rename = Statement::RenameTable { table: "User".into(), to: "Person".into() };
    let transaction = host.transaction(vec![retype_age(), rename]);
    let delta = host.replica.preview(Host::now(), &transaction).unwrap();
    let plan = host.store.plan(&delta).unwrap();
    assert_eq!((host.replica.schema().version(), host.replica.view()), (version, view), "nothing happened yet");
    assert_eq!(
        plan.to_string(),
        "1. RENAME TABLE User TO Person [tables: User; rows: 20]\n\
         2. ALTER TABLE Person ALTER age TYPE STRING [tables: Person; rows: 20; columns: age]\n"
    );
    assert_eq!(delta.nodes["Person"].len(), 20, "every value is cast");
    host.input(Input::Local(transaction)).unwrap();
    assert_eq!(host.replica.view().node("Person", &3.into()).unwrap()["age"], Value::from("3"));
    let bad = host.transaction(vec![Statement::DropEdgeTable { table: "Nobody".into() }]);
    assert!(matches!(host.replica.preview(Host::now(), &bad), Err(Error::UnknownTable { .. })));
}

#[test]
fn a_run_of_schema_changes_that_arrives_together_is_one_plan() {
    let (mut one, mut other) = peers();
    one.submit(vec![user_table()]).unwrap();
    for n in 0..30 {
        let column = Column::new(format!("c{n}"), Type::Int64);
        one.submit(vec![Statement::AddColumn { table: "User".into(), column }]).unwrap();
    }
    assert_eq!(one.store.counts().plans, 31);
    sync(&mut one, &mut other);
    assert_eq!(other.store.counts().plans, 1);
    assert_eq!(other.replica.schema().version(), one.replica.schema().version());
}

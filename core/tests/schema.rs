//! Schema changes from outside: what a replica tells before, of and after them, with a wire that loses nothing and a
//! store behind it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;

use kuzusync_core::Error;
use kuzusync_core::adopt::{self, Found};
use kuzusync_core::clock::{Instant, Now, VectorClock};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::{Delivery, Message, Record, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::schema::history::{SchemaCounts, SchemaEvent, SchemaOutcome};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::store::refusing::{Refusal, Refusing};
use kuzusync_core::store::tolerant::Tolerant;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};

/// A replica, its store, and the records its host would keep.
struct Host {
    replica: Replica,
    store: Tolerant<Refusing<MemoryStore>>,
    failures: u32,
    records: Vec<Record>,
    txs: u32,
}

impl Host {
    fn open(role: Role, name: u8, records: Vec<Record>) -> Host {
        let replica = Replica::open(Config::new(role, DatabaseId([7; 16])), [name; 32], &records).unwrap();
        let store = Tolerant::new(Refusing::new(MemoryStore::default()));
        let mut host = Host { replica, store, failures: 0, records, txs: 0 };
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

    /// The store holds what the replica shows, but for what its database refuses.
    fn carry_out(&mut self) -> Vec<(Peer, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => break,
                Output::Persist(record) => self.records.push(record),
                Output::Transmit { to, bytes } => frames.push((to, bytes)),
                Output::Notify(_) => {}
                Output::View(delta) => {
                    if self.store.apply(&delta).is_err() {
                        self.failures += 1;
                        self.replica.handle_input(Host::now(), Input::StoreFailed).unwrap();
                    }
                }
                Output::Rebuild(view) => self.store.rebuild(&view).unwrap(),
            }
        }
        assert_eq!(self.store.read().unwrap(), *self.store.materialised(&self.replica.view()));
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

#[test]
fn a_schema_change_that_the_database_refuses_stays_logical_and_loses_nothing() {
    let (mut one, mut other) = peers();
    one.submit(vec![user_table()]).unwrap();
    one.submit(vec![user(1, 36)]).unwrap();
    sync(&mut one, &mut other);
    let before = other.store.read().unwrap();
    other.store.inner_mut().refuse(Refusal::Type(Type::String));

    let add = Statement::AddColumn { table: "User".into(), column: Column::new("name", Type::String) };
    let drop = Statement::DropColumn { table: "User".into(), column: "age".into(), cascade: false };
    one.submit(vec![retype_age(), add]).unwrap();
    sync(&mut one, &mut other);
    assert_eq!(other.failures, 1);
    assert_eq!(other.replica.schema().version(), one.replica.schema().version(), "the logical schema is everybody's");
    assert_eq!(other.replica.view(), one.replica.view());
    assert_eq!(other.store.read().unwrap(), before, "schema and data are as before");
    let refused: Vec<_> = other.store.unmaterialised().iter().map(ToString::to_string).collect();
    assert_eq!(refused, ["User.age, held as INT64: refused on purpose", "User.name: refused on purpose"]);

    // Data goes on, also what is written to the parts held back.
    let properties = [("id".into(), 2.into()), ("age".into(), "7".into()), ("name".into(), "Bo".into())].into();
    one.submit(vec![Statement::CreateNode { table: "User".into(), properties }]).unwrap();
    sync(&mut one, &mut other);
    assert_eq!(other.failures, 1);
    assert_eq!(other.store.read().unwrap().node("User", &2.into()).unwrap(), &[("age".to_owned(), 7.into())].into());

    // The next change of the table tries all of it anew.
    other.store.inner_mut().relent();
    one.submit(vec![drop]).unwrap();
    sync(&mut one, &mut other);
    assert_eq!((other.failures, other.store.unmaterialised()), (2, Vec::new()));
    assert_eq!(other.store.read().unwrap(), one.replica.view());
    assert_eq!(other.replica.view().node("User", &2.into()).unwrap()["name"], Value::from("Bo"));
}

/// A database of two people, 2,500 things and parallel edges, as it was before it was synchronised.
fn found() -> Found {
    let table = |kind, columns: &[(&str, Type)]| {
        let columns = columns.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
        Table { kind, columns }
    };
    let node = |key: &str| TableKind::Node { primary_key: key.into() };
    let pairs = [("Person", "Person"), ("Person", "Thing")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    let tables = [
        ("Person", table(node("name"), &[("name", Type::String), ("age", Type::Int64), ("vip", Type::Bool)])),
        ("Thing", table(node("id"), &[("id", Type::Int64)])),
        ("Knows", table(TableKind::Edge { pairs: pairs.into() }, &[("since", Type::Int64)])),
    ];
    let person = |name: &str| NodeRef { table: "Person".into(), key: name.into() };
    let knows = EdgeRef { from: person("Ada"), to: person("Bo"), discriminator: String::new() };
    let since = |year: Option<i64>| Row::from_iter(year.map(|year| ("since".to_owned(), year.into())));
    let edges = adopt::number_edges([2001, 1999, 2001].map(|year| (knows.clone(), since(Some(year)))));
    let people = [("Ada".into(), Row::from([("vip".to_owned(), true.into())])), ("Bo".into(), Row::new())];
    let things = (0..2_500).map(|id| (Value::from(id), Row::new()));
    let view = View {
        tables: tables.map(|(name, table)| (name.to_owned(), table)).into(),
        nodes: [("Person".to_owned(), people.into()), ("Thing".to_owned(), things.collect())].into(),
        edges: [("Knows".to_owned(), edges)].into(),
    };
    let default = |column: &str, value: Value| (("Person".to_owned(), column.to_owned()), value);
    let defaults = [default("vip", false.into()), default("age", 0.into())].into();
    let comments = [("Person".to_owned(), "Who we know".to_owned())].into();
    Found { view, defaults, comments, ..Found::default() }
}

fn adopt(host: &mut Host, found: &Found) {
    for transaction in adopt::transactions(found) {
        host.input(Input::Local(transaction)).unwrap();
    }
}

#[test]
fn an_adopted_database_shows_what_it_held_and_its_tables_keep_working() {
    let (mut one, mut other) = peers();
    adopt(&mut one, &found());
    assert_eq!(one.replica.view(), found().view);
    let changes = one.replica.log().seen().clone();
    adopt(&mut one, &found());
    assert_eq!(*one.replica.log().seen(), changes, "to adopt again what was adopted changes nothing");

    // The new table arrives by DDL at a replica that never saw the database, and an old one takes rows.
    let rating = Column::new("rating", Type::Int64);
    one.submit(vec![Statement::AddColumn { table: "Person".into(), column: rating }]).unwrap();
    sync(&mut one, &mut other);
    let properties = [("name".into(), "Cy".into()), ("rating".into(), 5.into())].into();
    other.submit(vec![user_table(), Statement::CreateNode { table: "Person".into(), properties }]).unwrap();
    sync(&mut one, &mut other);
    assert_eq!(one.replica.view(), other.replica.view());
    let view = one.replica.view();
    assert_eq!(view.node("Person", &"Cy".into()).unwrap()["vip"], false.into(), "a new row takes the default");
    assert_eq!(view.node("Person", &"Bo".into()), Some(&Row::new()), "an old one keeps its NULL");
    assert!(view.tables.contains_key("User"));
}

#[test]
fn two_replicas_that_adopt_copies_of_one_database_unify() {
    let (mut one, mut other) = peers();
    adopt(&mut one, &found());
    // One copy had gone on living.
    let mut copy = found();
    copy.view.nodes.get_mut("Person").unwrap().insert("Di".into(), [("age".to_owned(), 8.into())].into());
    adopt(&mut other, &copy);
    sync(&mut one, &mut other);
    assert_eq!(one.replica.view(), copy.view);
    assert_eq!(other.replica.view(), copy.view);
    assert_eq!(one.replica.schema().version().digest, other.replica.schema().version().digest);
    assert_eq!(one.replica.audit(), []);
}

#[test]
fn a_main_takes_two_equal_copies_once() {
    let (mut main, mut edge) = (Host::open(Role::Main, 1, Vec::new()), Host::open(Role::Edge, 2, Vec::new()));
    adopt(&mut main, &found());
    adopt(&mut edge, &found());
    let numbered = main.replica.log().seen().clone();
    sync(&mut main, &mut edge);
    assert_eq!((main.replica.view(), edge.replica.view()), (found().view, found().view));
    assert_eq!(main.replica.schema().version(), edge.replica.schema().version());
    assert!(edge.replica.queue().is_empty());
    assert_eq!(numbered.heads().count(), 1, "the main numbered its own changes");
    edge.submit(vec![user_table()]).unwrap();
    sync(&mut main, &mut edge);
    assert!(main.replica.view().tables.contains_key("User"), "what the edge writes next is taken");
}

#[test]
fn what_cannot_be_adopted_is_refused_by_name_before_anything_is_logged() {
    let (mut host, _) = peers();
    let mut bad = found();
    let thing = bad.view.tables.get_mut("Thing").unwrap();
    thing.columns.insert("_label".into(), Type::String);
    let refused = adopt::transactions(&bad).into_iter().map(|transaction| host.input(Input::Local(transaction)));
    let Some(Err(Error::InvalidName { name, .. })) = refused.take(1).last() else { panic!("it was not refused") };
    assert_eq!(name, "_label");
    assert_eq!(host.replica.schema().version().operations, 0);
}

fn drop_user() -> Statement {
    Statement::DropNodeTable { table: "User".into(), cascade: false }
}

fn add_column(name: &str, of: Type) -> Statement {
    Statement::AddColumn { table: "User".into(), column: Column::new(name, of) }
}

fn rename_user(to: &str) -> Statement {
    Statement::RenameTable { table: "User".into(), to: to.into() }
}

#[test]
fn the_schema_survives_a_restart_with_version_operations_and_tables() {
    let (mut host, _) = peers();
    host.submit(vec![user_table(), add_column("note", Type::String)]).unwrap();
    host.submit(vec![retype_age()]).unwrap();
    let comment = Statement::CommentOnColumn { table: "User".into(), column: "age".into(), comment: "in years".into() };
    host.submit(vec![comment, rename_user("Person")]).unwrap();
    let (state, log) = (host.replica.schema_state(), host.replica.schema_log());
    assert_eq!((state.version, log.len()), (5, 5));
    assert_eq!(state.tables["Person"].columns["age"].comment.as_deref(), Some("in years"));
    assert_eq!(state.tables["Person"].columns["age"].column_type, Type::String);
    let again = Host::open(Role::Peer, 9, host.records);
    assert_eq!(again.replica.schema_state(), state);
    assert_eq!(again.replica.schema_log(), log);
    assert_eq!(again.replica.view(), host.replica.view());
}

#[test]
fn a_schema_returns_to_an_earlier_version_as_a_new_change_and_its_values_are_back() {
    let (mut one, mut other) = peers();
    one.submit(vec![user_table()]).unwrap();
    one.submit(vec![user(1, 36)]).unwrap();
    let (then, view) = (one.replica.schema_state(), one.replica.view());
    let drop_age = Statement::DropColumn { table: "User".into(), column: "age".into(), cascade: false };
    one.submit(vec![drop_age, add_column("age", Type::String), rename_user("Person")]).unwrap();
    let gone = Statement::DropNodeTable { table: "Person".into(), cascade: true };
    one.submit(vec![gone, user_table()]).unwrap();
    sync(&mut one, &mut other);
    assert_eq!(other.replica.schema_state().version, then.version + 5);

    // The other replica has come to know the operations in the same order, and finds the same way back.
    let way = other.replica.way_back(then.version).unwrap();
    let words: Vec<String> = way.iter().map(|ddl| other.replica.schema().describe(ddl)).collect();
    let user = other.replica.schema().table_named("User").unwrap().0;
    let shown = [
        "DROP TABLE User".to_owned(),
        "UNDROP TABLE Person".to_owned(),
        "DROP COLUMN Person.age".to_owned(),
        "UNDROP COLUMN Person.age".to_owned(),
        "RENAME TABLE Person TO User".to_owned(),
    ];
    assert_eq!(words, shown);
    assert_ne!(way[1].table_id(), user, "the first of that name comes back, not the second");
    let delta = other.replica.preview(Host::now(), &other_way(&way)).unwrap();
    assert!(other.store.plan(&delta).unwrap().to_string().contains("DROP TABLE User"));
    other.submit(other_way(&way).statements).unwrap();
    sync(&mut one, &mut other);
    for host in [&one, &other] {
        assert_eq!(host.replica.schema_state().tables, then.tables);
        assert_eq!(host.replica.view(), view, "with its data");
        assert_eq!(host.replica.schema_state().version, then.version + 10, "nothing was taken out of history");
    }
    assert_eq!(other.replica.way_back(then.version).unwrap(), []);
    let unknown = other.replica.way_back(99).unwrap_err();
    assert_eq!(unknown, Error::UnknownSchemaVersion { asked: 99, known: 11 });
}

fn other_way(way: &[kuzusync_core::ddl::Ddl]) -> Transaction {
    let statements = way.iter().cloned().map(Statement::ByIdentity).collect();
    Transaction { tx: TxId([9; 16]), statements, ..Transaction::default() }
}

#[test]
fn what_became_of_schema_changes_is_counted_and_told() {
    let (mut one, mut other) = peers();
    one.submit(vec![user_table()]).unwrap();
    sync(&mut one, &mut other);
    one.submit(vec![rename_user("Person")]).unwrap();
    one.submit(vec![Statement::CommentOnTable { table: "Person".into(), comment: "we".into() }]).unwrap();
    other.submit(vec![add_column("note", Type::String), rename_user("Member")]).unwrap();
    other.submit(vec![drop_user()]).unwrap_err();
    let before = SchemaCounts { applied: 3, waiting: 0, refused: 1, conflicting: 0 };
    assert_eq!(other.replica.schema_counts(), before);
    sync(&mut one, &mut other);
    assert_eq!(one.replica.schema_counts(), SchemaCounts { applied: 5, waiting: 0, refused: 0, conflicting: 2 });
    assert_eq!(other.replica.schema_counts(), SchemaCounts { applied: 5, waiting: 0, refused: 1, conflicting: 2 });
    let log = one.replica.schema_log();
    let told: Vec<(&str, &SchemaOutcome)> = log.iter().map(|event| (event.words.as_str(), &event.outcome)).collect();
    let applied = |version| SchemaOutcome::Applied { version };
    assert_eq!(told[0], ("CREATE NODE TABLE User", &applied(1)));
    assert_eq!(told[1], ("RENAME TABLE User TO Person", &applied(2)));
    assert_eq!(told[4].1, &applied(5));
    let is_meant = |event: &&SchemaEvent| event.change == log[1].conflicts[0] && event.operation == "RENAME TABLE";
    let contradicted = log.iter().find(is_meant).unwrap();
    assert_eq!(contradicted.conflicts, [log[1].change]);
}

#[test]
fn a_schema_change_that_waits_is_told_as_waiting() {
    let (mut one, mut other) = peers();
    one.submit(vec![user_table()]).unwrap();
    one.submit(vec![add_column("note", Type::String)]).unwrap();
    // The second change arrives alone.
    let entry = one.replica.log().entries().last().unwrap();
    let hello = one.input(Input::Connected(Peer(0))).unwrap().remove(0).1;
    let answers = other.input(Input::Receive { from: Peer(0), bytes: hello }).unwrap();
    one.input(Input::Receive { from: Peer(0), bytes: answers[0].1.clone() }).unwrap();
    let deliveries = vec![Delivery::Change(entry)];
    let bytes = Message::Changes { clock: VectorClock::default(), deliveries }.encode();
    other.input(Input::Receive { from: Peer(0), bytes }).unwrap();
    let counts = SchemaCounts { waiting: 1, ..SchemaCounts::default() };
    assert_eq!(other.replica.schema_counts(), counts);
    assert_eq!(other.replica.schema_log()[0].outcome, SchemaOutcome::Waiting);
    assert_eq!(other.replica.schema_state().version, 0);
    sync(&mut one, &mut other);
    assert_eq!(other.replica.schema_counts(), SchemaCounts { applied: 2, ..SchemaCounts::default() });
}

#[test]
fn what_replicas_know_of_a_schema_merges_as_their_histories_do() {
    let (mut one, mut other) = peers();
    one.submit(vec![user_table()]).unwrap();
    sync(&mut one, &mut other);
    one.submit(vec![rename_user("Person"), add_column("note", Type::String)]).unwrap_err();
    one.submit(vec![rename_user("Person")]).unwrap();
    other.submit(vec![add_column("note", Type::String), retype_age()]).unwrap();
    let mut merged = one.replica.schema().clone();
    merged.merge(other.replica.schema());
    sync(&mut one, &mut other);
    assert_eq!(merged.version(), one.replica.schema().version());
    assert_eq!(merged.shape(), other.replica.schema_state().tables);
}

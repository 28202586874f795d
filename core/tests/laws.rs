//! The laws of the join, over histories that random replicas write, with a main and without: whatever the order of
//! delivery that respects causes, and however often, everybody ends with one view and one audit; the deltas add up to that
//! view; and what has no number yet lies on top without a trace.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use kuzusync_core::change::{Change, Element, Op};
use kuzusync_core::clock::{Instant, Lsn, Now, Seen};
use kuzusync_core::conflict::schema::SchemaLoss;
use kuzusync_core::conflict::{Audit, Loss};
use kuzusync_core::ddl::{Column, IndexKind, Multiplicity, Rule};
use kuzusync_core::id::{DatabaseId, TableId, TxId};
use kuzusync_core::message::{Entry, Message, Role};
use kuzusync_core::policy::{Place, Policy};
use kuzusync_core::replica::{Config, EPOCH_WINDOW, Input, Output, Replica};
use kuzusync_core::schema::SchemaVersion;
use kuzusync_core::session::Peer;
use kuzusync_core::state::{Delta, State};
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::strategy::BatchLimits;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::View;
use proptest::prelude::*;

const REPLICAS: u8 = 3;

/// A client's wish at a replica, an exchange with another, or a lost connection.
#[derive(Clone, Debug)]
enum Action {
    Submit { replica: u8, wall_ms: i64, statement: Box<Statement> },
    Pull { replica: u8, from: u8 },
    Disconnect { replica: u8 },
}

fn table(name: &str, columns: &[(&str, Type)]) -> Statement {
    let columns: Vec<_> = columns.iter().map(|(name, of)| Column::new(*name, of.clone())).collect();
    Statement::CreateNodeTable { table: name.into(), primary_key: columns[0].name.clone(), columns }
}

fn statement() -> impl Strategy<Value = Statement> {
    let key = || 0..3_i64;
    let edge = |from: i64, to: i64| EdgeName {
        table: "E".into(),
        from: ("T".into(), from.into()),
        to: ("T".into(), to.into()),
        discriminator: String::new(),
    };
    let properties = |value: i64| Properties::from([("v".to_owned(), Value::from(value))]);
    prop_oneof![
        1 => Just(table("T", &[("id", Type::Int64), ("v", Type::Int64)])),
        1 => Just(table("t", &[("ID", Type::Int64), ("V", Type::String)])),
        1 => Just(table("T", &[("k", Type::String)])),
        1 => Just(Statement::CreateEdgeTable { table: "E".into(), from: "T".into(), to: "T".into(), columns: vec![] }),
        5 => (key(), 0..100_i64).prop_map(move |(id, value)| {
            let mut properties = properties(value);
            properties.insert("id".into(), id.into());
            Statement::CreateNode { table: "T".into(), properties }
        }),
        5 => (key(), 0..100_i64).prop_map(move |(id, value)| {
            Statement::UpdateNode { table: "T".into(), key: id.into(), properties: properties(value) }
        }),
        5 => (key(), -9..9_i64).prop_map(|(id, by)| Statement::IncrementNode {
            table: "T".into(),
            key: id.into(),
            column: "v".into(),
            by: by.into()
        }),
        2 => rule().prop_map(|(table, rule)| Statement::SetRule { table: table.into(), rule }),
        3 => key().prop_map(|id| Statement::DeleteNode { table: "T".into(), key: id.into() }),
        4 => (key(), key()).prop_map(move |(from, to)| Statement::CreateEdge {
            edge: edge(from, to),
            properties: Properties::new()
        }),
        1 => (key(), key()).prop_map(move |(from, to)| Statement::DeleteEdge { edge: edge(from, to) }),
        9 => ddl(),
    ]
}

/// Few names, so that replicas claim the same ones.
fn ddl() -> impl Strategy<Value = Statement> {
    let table = || proptest::sample::select(vec!["T".to_owned(), "U".to_owned()]);
    let column = || proptest::sample::select(vec!["v".to_owned(), "w".to_owned(), "K".to_owned()]);
    let column_type = || proptest::sample::select(vec![Type::Int32, Type::Int64, Type::String, Type::Int8]);
    let add = (table(), column(), column_type(), any::<bool>());
    prop_oneof![
        4 => add.prop_map(|(table, name, column_type, has_default)| {
            let default = Value::from("0").cast(&column_type).filter(|_| has_default);
            Statement::AddColumn { table, column: Column { name, column_type, default } }
        }),
        2 => (table(), column()).prop_map(|(table, column)| Statement::DropColumn { table, column, cascade: true }),
        2 => (table(), column()).prop_map(|(table, column)| Statement::UndropColumn { table, column }),
        2 => (table(), column(), column()).prop_map(|(table, column, to)| Statement::RenameColumn { table, column, to }),
        2 => (table(), column(), column_type()).prop_map(|(table, column, column_type)| {
            Statement::AlterColumnType { table, column, column_type }
        }),
        1 => (table(), table()).prop_map(|(table, to)| Statement::RenameTable { table, to }),
        1 => table().prop_map(|table| Statement::DropNodeTable { table, cascade: true }),
        2 => table().prop_map(|table| Statement::UndropTable { table }),
        1 => Just(Statement::DropEdgeTable { table: "E".into() }),
        1 => Just(Statement::UndropTable { table: "E".into() }),
        2 => (table(), table()).prop_map(|(from, to)| Statement::AddPair { table: "E".into(), from, to }),
        1 => (table(), table()).prop_map(|(from, to)| Statement::DropPair { table: "E".into(), from, to }),
        1 => (table(), column()).prop_map(|(table, column)| {
            let (index, kind) = ("i".to_owned(), IndexKind::Value);
            Statement::CreateIndex { table, index, kind, columns: vec![column] }
        }),
        1 => table().prop_map(|table| Statement::DropIndex { table, index: "i".into() }),
        1 => (table(), "[a-c]").prop_map(|(table, comment)| Statement::CommentOnTable { table, comment }),
        1 => (table(), column(), "[a-c]").prop_map(|(table, column, comment)| {
            Statement::CommentOnColumn { table, column, comment }
        }),
    ]
}

fn rule() -> impl Strategy<Value = (&'static str, Rule<String>)> {
    let policy = || proptest::sample::select(Policy::ALL.as_slice());
    let multiplicity = [Multiplicity::ManyMany, Multiplicity::ManyOne, Multiplicity::OneMany, Multiplicity::OneOne];
    prop_oneof![
        policy().prop_map(|policy| ("T", Rule::Policy { column: None, policy })),
        policy().prop_map(|policy| ("T", Rule::Policy { column: Some("v".into()), policy })),
        policy().prop_map(|policy| ("E", Rule::Policy { column: None, policy })),
        any::<bool>().prop_map(|is_on| ("T", Rule::UpdateRevives(is_on))),
        any::<bool>().prop_map(|is_on| ("E", Rule::Revive(is_on))),
        proptest::sample::select(multiplicity.to_vec()).prop_map(|most| ("E", Rule::Multiplicity(most))),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let submit = (0..REPLICAS, 0..1_000_i64, statement());
    prop_oneof![
        12 => submit.prop_map(|(replica, wall_ms, statement)| Action::Submit { replica, wall_ms, statement: Box::new(statement) }),
        4 => (0..REPLICAS, 0..REPLICAS).prop_map(|(replica, from)| Action::Pull { replica, from }),
        1 => (1..REPLICAS).prop_map(|replica| Action::Disconnect { replica }),
    ]
}

/// Random actions, mostly after all replicas have heard of two tables and three nodes, so that they can disagree about
/// edges and not only about tables.
fn actions() -> impl Strategy<Value = Vec<Action>> {
    let submit = |statement| Action::Submit { replica: 0, wall_ms: 0, statement: Box::new(statement) };
    let node =
        |id: i64| Statement::CreateNode { table: "T".into(), properties: Properties::from([("id".into(), id.into())]) };
    let edges = Statement::CreateEdgeTable { table: "E".into(), from: "T".into(), to: "T".into(), columns: vec![] };
    let tables = [table("T", &[("id", Type::Int64), ("v", Type::Int64)]), edges];
    let base = tables.into_iter().chain((0..3).map(node)).map(submit);
    let base: Vec<Action> = base.chain((1..REPLICAS).map(|replica| Action::Pull { replica, from: 0 })).collect();
    let opening = prop_oneof![3 => Just(base), 1 => Just(Vec::new())];
    (opening, proptest::collection::vec(action(), 1..60)).prop_map(|(opening, actions)| [opening, actions].concat())
}

/// Random replicas, and what happened to them.
struct Cluster {
    replicas: Vec<Replica>,
    now_us: u64,
}

impl Cluster {
    /// With a main, replica 0 is it.
    fn open(has_main: bool) -> Cluster {
        let role = |name| match (has_main, name) {
            (false, _) => Role::Peer,
            (true, 0) => Role::Main,
            (true, _) => Role::Edge,
        };
        let config = |name| Config::new(role(name), DatabaseId([1; 16]));
        let open = |name: u8| Replica::open(config(name), [name; 32], &[]).unwrap();
        let mut cluster = Cluster { replicas: (0..REPLICAS).map(open).collect(), now_us: 0 };
        for one in 0..REPLICAS {
            for other in 0..REPLICAS {
                if cluster.is_linked(one, other) {
                    cluster.greet(other, one);
                }
            }
        }
        cluster
    }

    fn is_linked(&self, one: u8, other: u8) -> bool {
        let main = self.replicas[0].role() == Role::Main;
        one != other && (!main || one == 0 || other == 0)
    }

    fn input(&mut self, replica: u8, wall_ms: i64, input: Input) -> bool {
        let now = Now { monotonic: Instant(self.now_us), wall_ms };
        self.replicas[replica as usize].handle_input(now, input).is_ok()
    }

    fn greet(&mut self, from: u8, to: u8) {
        self.input(from, 0, Input::Connected(Peer(to.into())));
        for bytes in transmitted(&mut self.replicas[from as usize]) {
            assert!(self.input(to, 0, Input::Receive { from: Peer(from.into()), bytes }));
        }
        transmitted(&mut self.replicas[to as usize]);
    }

    fn pull(&mut self, replica: u8, from: u8) {
        if !self.is_linked(replica, from) {
            return;
        }
        let sender = &self.replicas[from as usize];
        let cursor = self.replicas[replica as usize].log().cursor();
        let deliveries = sender.log().lacking(&cursor, sender.role() == Role::Main, BatchLimits::NONE);
        let bytes = Message::Changes { clock: Default::default(), deliveries }.encode();
        assert!(self.input(replica, 0, Input::Receive { from: Peer(from.into()), bytes }));
        transmitted(&mut self.replicas[replica as usize]);
    }

    fn act(&mut self, number: u64, action: &Action) {
        match action {
            Action::Submit { replica, wall_ms, statement } => {
                let mut tx = TxId::default();
                tx.0[..8].copy_from_slice(&number.to_le_bytes());
                let transaction =
                    Transaction { tx, statements: vec![statement.as_ref().clone()], ..Transaction::default() };
                // A statement that is not legal there is refused and nothing happens.
                self.input(*replica, *wall_ms, Input::Local(transaction));
                transmitted(&mut self.replicas[*replica as usize]);
            }
            Action::Pull { replica, from } => self.pull(*replica, *from),
            Action::Disconnect { replica } => {
                self.input(0, 0, Input::Disconnected(Peer((*replica).into())));
                self.now_us += u64::try_from(EPOCH_WINDOW.as_micros()).unwrap();
                self.input(0, 0, Input::Timeout);
                transmitted(&mut self.replicas[0]);
                if self.is_linked(0, *replica) {
                    self.greet(*replica, 0);
                }
            }
        }
    }
}

/// Everything that random replicas wrote. With a main everything has its number in the end; without one all have none.
fn history(actions: &[Action], has_main: bool) -> Vec<Entry> {
    let mut cluster = Cluster::open(has_main);
    for (number, action) in (1_u64..).zip(actions) {
        cluster.act(number, action);
    }
    if has_main {
        (1..REPLICAS).for_each(|edge| cluster.pull(0, edge));
        return cluster.replicas[0].log().entries().collect();
    }
    let mut entries: Vec<Entry> = cluster.replicas.iter().flat_map(|replica| replica.log().entries()).collect();
    entries.sort_by_key(|entry| entry.change.id);
    entries.dedup_by_key(|entry| entry.change.id);
    entries
}

fn transmitted(replica: &mut Replica) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        match replica.poll_output() {
            Output::Timeout(_) => return frames,
            Output::Transmit { bytes, .. } => frames.push(bytes),
            _ => {}
        }
    }
}

/// The changes in some order in which causes come before effects; `choices` decides among what is ready.
fn causal_order(entries: &[Entry], choices: &[usize]) -> Vec<Entry> {
    let mut left: Vec<_> = entries.to_vec();
    let (mut seen, mut ordered) = (Seen::default(), Vec::new());
    while !left.is_empty() {
        let ready: Vec<usize> = (0..left.len()).filter(|place| seen.includes(&left[*place].change.seen)).collect();
        let choice = choices.get(ordered.len() % choices.len().max(1)).copied().unwrap_or(0);
        let entry = left.remove(ready[choice % ready.len()]);
        seen.insert(entry.change.id);
        ordered.push(entry);
    }
    ordered
}

fn number(entry: &Entry) -> Lsn {
    entry.lsn.unwrap_or(0)
}

fn joined(order: &[Entry]) -> State {
    let mut state = State::default();
    order.iter().for_each(|entry| state.join(&entry.change, number(entry)));
    state
}

/// Everything that replicas compare.
fn outcome(order: &[Entry]) -> (View, SchemaVersion, Vec<Loss>, Vec<SchemaLoss>) {
    let (mut state, mut audit) = (State::default(), Audit::default());
    for entry in order {
        state.join(&entry.change, number(entry));
        audit.record(&entry.change, number(entry), state.schema());
    }
    (state.view(), state.schema().version(), audit.losses(&state), audit.schema_losses(&state))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_causal_order_gives_one_view_one_schema_and_one_audit(
        actions in actions(),
        has_main in any::<bool>(),
        choices in proptest::collection::vec(0..64_usize, 1..64),
    ) {
        let entries = history(&actions, has_main);
        prop_assert_eq!(outcome(&causal_order(&entries, &[0])), outcome(&causal_order(&entries, &choices)));
    }

    #[test]
    fn joining_a_change_again_shows_nothing_new(actions in actions(), has_main in any::<bool>()) {
        let order = causal_order(&history(&actions, has_main), &[0]);
        let mut state = joined(&order);
        let view = state.view();
        order.iter().for_each(|entry| state.join(&entry.change, number(entry)));
        prop_assert_eq!(state.view(), view);
    }

    #[test]
    fn deltas_in_batches_of_any_size_add_up_to_the_view(
        actions in actions(),
        has_main in any::<bool>(),
        choices in proptest::collection::vec(0..64_usize, 1..64),
        batch in 1..8_usize,
    ) {
        let order = causal_order(&history(&actions, has_main), &choices);
        let (mut state, mut store) = (State::default(), MemoryStore::default());
        for entries in order.chunks(batch) {
            let mut delta = Delta::default();
            entries.iter().for_each(|entry| delta.join(&mut state, &entry.change, number(entry)));
            store.apply(&delta.finish(&state)).unwrap();
            prop_assert_eq!(store.view(), &state.view());
        }
    }

    /// What a replica does with what the main has not numbered yet, and with what the main rejects.
    #[test]
    fn what_has_no_number_lies_on_top_and_goes_without_a_trace(
        actions in actions(),
        numbered in 0..40_usize,
        choices in proptest::collection::vec(0..64_usize, 1..64),
    ) {
        let entries = history(&actions, true);
        let (below, above) = entries.split_at(numbered.min(entries.len()));
        let mut store = MemoryStore::default();
        let mut state = joined(below);
        store.rebuild(&state.view()).unwrap();
        let before = state.clone();
        let on_top = causal_order(&entries, &choices).into_iter().filter(|entry| above.contains(entry));
        let on_top: Vec<Entry> = on_top.collect();
        for entry in &on_top {
            let mut delta = Delta::default();
            delta.join_unnumbered(&mut state, &entry.change);
            store.apply(&delta.finish(&state)).unwrap();
            prop_assert_eq!(store.view(), &state.view());
        }
        let mut rejecting = (state.clone(), MemoryStore::default());
        rejecting.1.rebuild(store.view()).unwrap();
        for entry in on_top.iter().rev() {
            let mut delta = Delta::default();
            delta.retract(&mut rejecting.0, &entry.change);
            rejecting.1.apply(&delta.finish(&rejecting.0)).unwrap();
            prop_assert_eq!(rejecting.1.view(), &rejecting.0.view());
        }
        prop_assert_eq!(rejecting.0.view(), before.view());
        prop_assert_eq!(rejecting.0.schema().version(), before.schema().version());
        for entry in above {
            let mut delta = Delta::default();
            delta.number(&mut state, &entry.change, number(entry));
            store.apply(&delta.finish(&state)).unwrap();
            prop_assert_eq!(store.view(), &state.view());
        }
        prop_assert_eq!(state.view(), joined(&entries).view());
        prop_assert_eq!(state.numbered_schema().version(), joined(&entries).schema().version());
    }

    #[test]
    fn every_policy_orders_all_writes_and_none_before_its_cause(actions in actions(), has_main in any::<bool>()) {
        let entries = history(&actions, has_main);
        let places: Vec<(Place, Option<TableId>, &Change)> = entries
            .iter()
            .flat_map(|entry| {
                let (lsn, change) = (number(entry), entry.change.as_ref());
                let table = |op: &Op| op.element().map(Element::table);
                change.ranked_ops().map(move |(rank, op)| (Place { rank, lsn }, table(op), change))
            })
            .collect();
        for policy in Policy::ALL.into_iter().filter(|policy| has_main || !policy.needs_main()) {
            for (one, table, cause) in &places {
                for (other, other_table, effect) in &places {
                    let is_same = (one.rank.change, one.rank.index) == (other.rank.change, other.rank.index);
                    prop_assert_eq!(policy.compare(one, other).is_eq(), is_same);
                    if effect.seen.contains(cause.id) && table == other_table {
                        prop_assert!(policy.compare(one, other).is_lt(), "{:?}", policy);
                    }
                }
            }
        }
    }
}

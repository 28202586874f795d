//! The laws of the join, over histories that random replicas write: whatever the order of delivery that respects causes,
//! and however often, everybody ends with one view and one audit, and the deltas add up to that view.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use kuzusync_core::change::Change;
use kuzusync_core::clock::{Instant, Now, Seen};
use kuzusync_core::conflict::Audit;
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::{Message, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::state::{Delta, State};
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::value::{Type, Value};
use proptest::prelude::*;

const REPLICAS: u8 = 3;

/// A client's wish at a replica, or an exchange with another.
#[derive(Clone, Debug)]
enum Action {
    Submit { replica: u8, wall_ms: i64, statement: Box<Statement> },
    Pull { replica: u8, from: u8 },
}

fn table(name: &str, columns: &[(&str, Type)]) -> Statement {
    let columns: Vec<_> =
        columns.iter().map(|(name, of)| Column { name: (*name).into(), column_type: of.clone() }).collect();
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
        3 => key().prop_map(|id| Statement::DeleteNode { table: "T".into(), key: id.into() }),
        4 => (key(), key()).prop_map(move |(from, to)| Statement::CreateEdge {
            edge: edge(from, to),
            properties: Properties::new()
        }),
        1 => (key(), key()).prop_map(move |(from, to)| Statement::DeleteEdge { edge: edge(from, to) }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let submit = (0..REPLICAS, 0..1_000_i64, statement());
    prop_oneof![
        3 => submit.prop_map(|(replica, wall_ms, statement)| {
            Action::Submit { replica, wall_ms, statement: Box::new(statement) }
        }),
        1 => (0..REPLICAS, 0..REPLICAS).prop_map(|(replica, from)| Action::Pull { replica, from }),
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

/// Everything that random replicas wrote.
fn history(actions: &[Action]) -> Vec<Arc<Change>> {
    let config = Config::new(Role::Peer, DatabaseId([1; 16]));
    let open = |name| Replica::open(config.clone(), [name; 32], &[]).unwrap();
    let mut replicas: Vec<Replica> = (0..REPLICAS).map(open).collect();
    let now = |wall_ms| Now { monotonic: Instant(0), wall_ms };
    for one in 0..REPLICAS {
        for other in (0..REPLICAS).filter(|other| *other != one) {
            let greeting = {
                replicas[other as usize].handle_input(now(0), Input::Connected(Peer(one.into()))).unwrap();
                transmitted(&mut replicas[other as usize])
            };
            for bytes in greeting {
                replicas[one as usize]
                    .handle_input(now(0), Input::Receive { from: Peer(other.into()), bytes })
                    .unwrap();
            }
            transmitted(&mut replicas[one as usize]);
        }
    }
    for (number, action) in (1_u64..).zip(actions) {
        match action {
            Action::Submit { replica, wall_ms, statement } => {
                let mut tx = TxId::default();
                tx.0[..8].copy_from_slice(&number.to_le_bytes());
                let transaction = Transaction { tx, statements: vec![statement.as_ref().clone()], depends_on: vec![] };
                // A statement that is not legal there is refused and nothing happens.
                let _ = replicas[*replica as usize].handle_input(now(*wall_ms), Input::Local(transaction));
                transmitted(&mut replicas[*replica as usize]);
            }
            Action::Pull { replica, from } if replica != from => {
                let entries = replicas[*from as usize].log().lacking(&Default::default(), false);
                let bytes = Message::Changes { clock: Default::default(), entries }.encode();
                let input = Input::Receive { from: Peer((*from).into()), bytes };
                replicas[*replica as usize].handle_input(now(0), input).unwrap();
                transmitted(&mut replicas[*replica as usize]);
            }
            Action::Pull { .. } => {}
        }
    }
    let mut changes: Vec<Arc<Change>> = replicas.iter().flat_map(|replica| replica.log().changes().cloned()).collect();
    changes.sort_by_key(|change| change.id);
    changes.dedup_by_key(|change| change.id);
    changes
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
fn causal_order(changes: &[Arc<Change>], choices: &[usize]) -> Vec<Arc<Change>> {
    let mut left: Vec<_> = changes.to_vec();
    let (mut seen, mut ordered) = (Seen::default(), Vec::new());
    while !left.is_empty() {
        let ready: Vec<usize> = (0..left.len()).filter(|place| seen.includes(&left[*place].seen)).collect();
        let choice = choices.get(ordered.len() % choices.len().max(1)).copied().unwrap_or(0);
        let change = left.remove(ready[choice % ready.len()]);
        seen.insert(change.id);
        ordered.push(change);
    }
    ordered
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_causal_order_gives_one_view_one_schema_and_one_audit(
        actions in actions(),
        choices in proptest::collection::vec(0..64_usize, 1..64),
    ) {
        let changes = history(&actions);
        let outcome = |order: &[Arc<Change>]| {
            let (mut state, mut audit) = (State::default(), Audit::default());
            for change in order {
                state.join(change);
                audit.record(change);
            }
            (state.view(), state.schema().version(), audit.losses().cloned().collect::<Vec<_>>())
        };
        prop_assert_eq!(outcome(&causal_order(&changes, &[0])), outcome(&causal_order(&changes, &choices)));
    }

    #[test]
    fn joining_a_change_again_shows_nothing_new(actions in actions()) {
        let order = causal_order(&history(&actions), &[0]);
        let mut state = State::default();
        order.iter().for_each(|change| state.join(change));
        let view = state.view();
        order.iter().for_each(|change| state.join(change));
        prop_assert_eq!(state.view(), view);
    }

    #[test]
    fn deltas_in_batches_of_any_size_add_up_to_the_view(
        actions in actions(),
        choices in proptest::collection::vec(0..64_usize, 1..64),
        batch in 1..8_usize,
    ) {
        let order = causal_order(&history(&actions), &choices);
        let (mut state, mut store) = (State::default(), MemoryStore::default());
        for changes in order.chunks(batch) {
            let mut delta = Delta::default();
            changes.iter().for_each(|change| delta.join(&mut state, change));
            store.apply(&delta.finish(&state)).unwrap();
            prop_assert_eq!(store.view(), &state.view());
        }
    }
}

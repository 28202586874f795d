//! The rows of the performance table, as work that can be run once: each makes its replicas, takes the time of what the row
//! is about, verifies what came of it, and says what it counted. (Distributed Sync Engine, cases D.P1 to D.P5.)
//!
//! The same functions are timed by Criterion (`benches/rows.rs`), judged by `kuzusync conformance`, and run beside the peers
//! (`peers/rows.rs`). So a row without a benchmark, or one whose work does not end as it must, is seen by all three.

use std::time::{Duration, Instant};

use kuzusync_core::block::Compression;
use kuzusync_core::ddl::Column;
use kuzusync_core::error::Error;
use kuzusync_core::id::{Role, canonical_bytes};
use kuzusync_core::message::{Cursor, Delivery, Message};
use kuzusync_core::replica::Input;
use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::value::Type;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::authors;
use crate::node::{Node, Stores, config, meet, transaction};

/// Makes the stores of one replica.
pub type OpenStores<'a> = &'a dyn Fn() -> Result<Stores, String>;

/// What it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The time of what the row is about, without what came before.
    pub time: Duration,
    /// What the code counted, each with what it is.
    pub counts: Vec<(&'static str, u64)>,
}

impl Taken {
    /// One of the counts; nothing if it was not counted.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        self.counts.iter().find(|(counted, _)| *counted == name).map(|(_, number)| *number)
    }
}

/// A row with its benchmark.
#[derive(Clone, Copy)]
pub struct Row {
    /// The case's id.
    pub case: &'static str,
    /// What the benchmark is called.
    pub name: &'static str,
    /// Of how many elements the time is, and what they are: nodes, operations, conflicts.
    pub elements: (u64, &'static str),
    /// Whether a store is a part of what is timed.
    pub has_stores: bool,
    /// Peers that do the same work.
    pub peers: &'static [&'static str],
    /// Does the work once.
    pub run: fn(OpenStores<'_>) -> Result<Taken, String>,
}

/// Who does the same work, as far as it has the notion.
const PEERS: &[&str] = &["automerge", "loro", "yrs"];

/// Every row of the table.
pub const ROWS: [Row; 5] = [
    Row {
        case: "D.P1",
        name: "1,000 nodes to a peer that lacks them",
        elements: (1_000, "nodes"),
        has_stores: true,
        peers: PEERS,
        run: |stores| difference_sync(1_000, stores),
    },
    Row {
        case: "D.P2",
        name: "9,990 nodes get the ten they lack of 10,000",
        elements: (10, "nodes"),
        has_stores: false,
        peers: PEERS,
        run: |_| memory(10_000),
    },
    Row {
        case: "D.P3",
        name: "a queue of 10,000 filled and flushed",
        elements: (10_000, "operations"),
        has_stores: false,
        peers: PEERS,
        run: |_| queue(10_000),
    },
    Row {
        case: "D.P4",
        name: "10,000 operations encoded",
        elements: (10_000, "operations"),
        has_stores: false,
        peers: PEERS,
        run: |_| encode(10_000),
    },
    Row {
        case: "D.P5",
        name: "1,000 conflicts on both sides",
        elements: (2_000, "conflicts"),
        has_stores: true,
        peers: PEERS,
        run: |stores| conflicts(1_000, stores),
    },
];

/// Operations in a transaction, where the row does not say.
pub const TRANSACTION: usize = 100;

/// The table that all of this is about.
#[must_use]
pub fn table() -> Statement {
    let column = |name: &str, column_type| Column::new(name, column_type);
    let columns = vec![column("id", Type::Int64), column("name", Type::String)];
    Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }
}

/// A node of it.
#[must_use]
pub fn create(id: u64) -> Statement {
    let properties = [("id".into(), (id as i64).into()), ("name".into(), format!("user {id}").as_str().into())];
    Statement::CreateNode { table: "User".into(), properties: Properties::from(properties) }
}

/// Another name for a node of it.
#[must_use]
pub fn rename(id: u64, name: &str) -> Statement {
    let properties = Properties::from([("name".into(), name.into())]);
    Statement::UpdateNode { table: "User".into(), key: (id as i64).into(), properties }
}

/// What one of two writers does: which of so many rows gets which name.
#[must_use]
pub fn writes(seed: u64, operations: usize, rows: u64) -> Vec<(u64, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..operations).map(|_| (u64::from(rng.next_u32()) % rows, format!("name {}", rng.next_u32()))).collect()
}

fn no_stores() -> Result<Stores, String> {
    Ok(Vec::new())
}

/// Two peers, with a table of so many rows in common.
///
/// # Errors
/// What a replica or a store says.
pub fn pair(rows: u64, stores: OpenStores<'_>) -> Result<[Node; 2], String> {
    let open = |name: u8| {
        let config = kuzusync_core::replica::Config { queue_operations_max: usize::MAX, ..config(Role::Peer) };
        Node::open(name, config, stores()?)
    };
    let mut nodes = [open(1)?, open(2)?];
    nodes[0].submit(1, 0, vec![table()])?;
    let ids: Vec<u64> = (0..rows).collect();
    for (number, ids) in (1..).zip(ids.chunks(1_000)) {
        nodes[0].submit(1, number, ids.iter().map(|id| create(*id)).collect())?;
    }
    meet(&mut nodes)?;
    Ok(nodes)
}

/// Both show the same, so many rows of the table, and their stores hold it.
fn verify(nodes: &mut [Node; 2], rows: u64) -> Result<(), String> {
    for node in &mut *nodes {
        let found = node.rows("User")?;
        if found as u64 != rows {
            return Err(format!("there are {found} rows instead of {rows}"));
        }
    }
    if nodes[0].replica.view() != nodes[1].replica.view() {
        return Err("the two replicas show different graphs".to_owned());
    }
    Ok(())
}

/// Two peers, the second of which lacks so many nodes that the first wrote in as many changes: from their meeting to equal
/// stores.
///
/// # Errors
/// What a replica or a store says, or what is not equal then.
pub fn difference_sync(nodes_lacking: u64, stores: OpenStores<'_>) -> Result<Taken, String> {
    let mut nodes = pair(0, stores)?;
    (0..nodes_lacking).try_for_each(|id| nodes[0].submit(1, 1 + id, vec![create(id)]))?;
    let start = Instant::now();
    let traffic = meet(&mut nodes)?;
    let time = start.elapsed();
    verify(&mut nodes, nodes_lacking)?;
    Ok(Taken { time, counts: vec![("messages", traffic.messages), ("bytes", traffic.bytes)] })
}

/// Of so many nodes, each by an author of its own, one peer lacks ten all over: the meeting of the two, and the most that
/// either of them held on the heap from its start to the end.
///
/// # Errors
/// What a replica says, or what is not equal then; a program without the allocator that counts.
pub fn memory(nodes: u32) -> Result<Taken, String> {
    let tail = authors::Pair::meet(nodes, |number| number > nodes - 10)?;
    let scattered = authors::Pair::meet(nodes, |number| number % (nodes / 10) == 517 % (nodes / 10))?;
    let peak = [tail.peaks, scattered.peaks].concat().into_iter().max().unwrap_or_default();
    let held = scattered.held.into_iter().max().unwrap_or_default();
    if peak == 0 {
        return Err("this program's allocator does not count".to_owned());
    }
    let counts = vec![
        ("bytes of heap at most", peak),
        ("bytes of heap in the end", held),
        ("bytes", scattered.traffic.bytes),
        ("messages", scattered.traffic.messages),
    ];
    Ok(Taken { time: scattered.time, counts })
}

/// An edge that is away fills its queue, one operation in a transaction, is refused one more, comes back and has its queue
/// emptied: from the first operation to the main's last word.
///
/// # Errors
/// What a replica says, or what is lost.
pub fn queue(operations: u64) -> Result<Taken, String> {
    let edge = kuzusync_core::replica::Config { queue_operations_max: operations as usize, ..config(Role::Edge) };
    let mut nodes = [Node::open(1, config(Role::Main), Vec::new())?, Node::open(2, edge, Vec::new())?];
    nodes[0].submit(1, 0, vec![table()])?;
    meet(&mut nodes)?;
    let start = Instant::now();
    (0..operations).try_for_each(|id| nodes[1].submit(2, 1 + id, vec![create(id)]))?;
    let filled = start.elapsed();
    let queued = nodes[1].replica.queue().operations() as u64;
    let one_more = transaction(2, 1 + operations, vec![create(operations)]);
    let refusal = nodes[1].replica.handle_input(crate::node::now(), Input::Local(one_more));
    let resumed = Instant::now();
    let traffic = meet(&mut nodes)?;
    let time = filled + resumed.elapsed();
    if !matches!(refusal, Err(Error::QueueFull { .. })) || queued != operations {
        return Err(format!("{queued} of {operations} are queued, and one more gives {refusal:?}"));
    }
    let left = nodes[1].replica.queue().operations();
    if left > 0 {
        return Err(format!("{left} operations are still queued"));
    }
    verify(&mut nodes, operations)?;
    let filled_us = u64::try_from(filled.as_micros()).unwrap_or(u64::MAX);
    let counts = vec![("messages", traffic.messages), ("bytes", traffic.bytes), ("microseconds to fill it", filled_us)];
    Ok(Taken { time, counts })
}

/// What one peer has written to 3,000 rows, a hundred names in a transaction, as a message for the other; and that message
/// is read back.
///
/// # Errors
/// What a replica says, or that the message reads back as something else.
pub fn encode(operations: usize) -> Result<Taken, String> {
    let mut nodes = pair(3_000, &no_stores)?;
    let cursor = nodes[1].replica.log().cursor();
    write(&mut nodes[0], 1, operations, 3_000)?;
    let message = Message::Changes { clock: Default::default(), deliveries: lacking(&nodes[0], &cursor) };
    let start = Instant::now();
    let bytes = message.encode_with(Compression::Normal);
    let time = start.elapsed();
    if Message::decode(&bytes).map_err(|error| error.to_string())? != message {
        return Err("the message reads back as another".to_owned());
    }
    let Message::Changes { deliveries, .. } = &message else { return Err("no changes".to_owned()) };
    // As canonical JSON (RFC 8785): of names in ASCII and numbers that are integers the shortest JSON with sorted names.
    let json = |delivery: &Delivery| {
        let entry = delivery.change().and_then(|entry| serde_json::to_value(entry).ok());
        entry.map_or(0, |json| json.to_string().len() as u64)
    };
    let json: u64 = deliveries.iter().map(json).sum();
    let bytes = bytes.len() as u64;
    let saved = 1_000 - 1_000 * bytes / json.max(1);
    if saved <= 500 {
        return Err(format!("{bytes} bytes instead of {json}: half is not saved"));
    }
    Ok(Taken { time, counts: vec![("bytes", bytes), ("bytes as JSON", json), ("permille saved", saved)] })
}

/// Everything that whoever holds `cursor` lacks.
#[must_use]
pub fn lacking(node: &Node, cursor: &Cursor) -> Vec<Delivery> {
    let entries = node.replica.log().entries().filter(|entry| !cursor.seen.contains(entry.change.id));
    entries.map(Delivery::Change).collect()
}

/// Two peers that renamed the same rows: detection, resolution, audit and view of what each gets from the other.
///
/// # Errors
/// What a replica or a store says, or losses that are not recorded.
pub fn conflicts(rows: u64, stores: OpenStores<'_>) -> Result<Taken, String> {
    let mut nodes = pair(rows, stores)?;
    for (name, node) in (1..).zip(&mut nodes) {
        let words = format!("by replica {name}");
        node.submit(name, 1_000_000, (0..rows).map(|id| rename(id, &words)).collect())?;
    }
    let start = Instant::now();
    let traffic = meet(&mut nodes)?;
    let time = start.elapsed();
    let losses = nodes.each_ref().map(|node| node.replica.audit().len() as u64);
    if losses != [rows; 2] {
        return Err(format!("{losses:?} losses of {rows} are recorded"));
    }
    verify(&mut nodes, rows)?;
    Ok(Taken { time, counts: vec![("messages", traffic.messages), ("bytes", traffic.bytes)] })
}

/// A hundred names in a transaction.
fn write(node: &mut Node, name: u8, operations: usize, rows: u64) -> Result<(), String> {
    let writes = writes(u64::from(name), operations, rows);
    for (number, batch) in (1_000_000..).zip(writes.chunks(TRANSACTION)) {
        node.submit(name, number, batch.iter().map(|(row, name)| rename(*row, name)).collect())?;
    }
    Ok(())
}

/// Two peers are apart while each writes so many names to the same rows, a hundred in a transaction: their meeting, until
/// both show the same.
///
/// # Errors
/// What a replica or a store says, or what is not equal then.
pub fn merge_of_two(operations: usize, rows: u64, stores: OpenStores<'_>) -> Result<Taken, String> {
    let mut nodes = pair(rows, stores)?;
    write(&mut nodes[0], 1, operations, rows)?;
    write(&mut nodes[1], 2, operations, rows)?;
    let start = Instant::now();
    let traffic = meet(&mut nodes)?;
    let time = start.elapsed();
    verify(&mut nodes, rows)?;
    let losses = nodes.each_ref().map(|node| node.replica.audit());
    if losses[0] != losses[1] || losses[0].is_empty() {
        return Err(format!("{} and {} losses are recorded", losses[0].len(), losses[1].len()));
    }
    let counts =
        vec![("messages", traffic.messages), ("bytes", traffic.bytes), ("losses recorded", losses[0].len() as u64)];
    Ok(Taken { time, counts })
}

/// A main has so many nodes, and edges between them; an edge replica that is new gets all of it as a snapshot and a tail:
/// from their greetings until both show the same.
///
/// # Errors
/// What a replica or a store says, or what is not equal then.
pub fn bootstrap(nodes: u64, edges: u64, stores: OpenStores<'_>) -> Result<Taken, String> {
    let mut pair = [Node::open(1, config(Role::Main), Vec::new())?, Node::open(2, config(Role::Edge), stores()?)?];
    let (from, to) = ("User".to_owned(), "User".to_owned());
    let follows = Statement::CreateEdgeTable { table: "FOLLOWS".into(), from, to, columns: Vec::new() };
    pair[0].submit(1, 0, vec![table(), follows])?;
    // Each node has its edges to those that come after it in a circle.
    let follow = |number: u64| {
        let (from, step) = (number % nodes, number / nodes + 1);
        let end = |id: u64| ("User".to_owned(), ((id % nodes) as i64).into());
        let edge =
            EdgeName { table: "FOLLOWS".into(), from: end(from), to: end(from + step), discriminator: String::new() };
        Statement::CreateEdge { edge, properties: Properties::new() }
    };
    let all: Vec<u64> = (0..nodes + edges).collect();
    for (number, batch) in (1..).zip(all.chunks(1_000)) {
        let statement = |number: &u64| if *number < nodes { create(*number) } else { follow(*number - nodes) };
        pair[0].submit(1, number, batch.iter().map(statement).collect())?;
    }
    let start = Instant::now();
    let traffic = meet(&mut pair)?;
    let time = start.elapsed();
    verify(&mut pair, nodes)?;
    let found = pair[1].replica.view().edges.get("FOLLOWS").map_or(0, std::collections::BTreeMap::len);
    if found as u64 != edges {
        return Err(format!("there are {found} edges instead of {edges}"));
    }
    Ok(Taken { time, counts: vec![("messages", traffic.messages), ("bytes", traffic.bytes)] })
}

/// A main in whose log each of so many rows was given ten names, a hundred in a transaction, forgets all but the last:
/// from being asked until it has forgotten, its rows checked before and after.
///
/// # Errors
/// What the replica says, or what it shows or keeps that is not as it has to be.
pub fn compaction(rows: u64) -> Result<Taken, String> {
    let config = kuzusync_core::replica::Config { retention: Duration::ZERO, ..config(Role::Main) };
    let mut node = Node::open(1, config, Vec::new())?;
    node.submit(1, 0, vec![table()])?;
    let ids: Vec<u64> = (0..rows).collect();
    let mut number = 0;
    for round in 0..=10 {
        for ids in ids.chunks(TRANSACTION) {
            let name = |id: &u64| rename(*id, &format!("name {round} of {id}"));
            number += 1;
            node.submit(1, number, ids.iter().map(|id| if round == 0 { create(*id) } else { name(id) }).collect())?;
        }
    }
    let bytes = |node: &Node| -> Result<u64, String> {
        let records = node.replica.records().map_err(|error| error.to_string())?;
        Ok(records.iter().map(|record| canonical_bytes(record, Vec::new()).len() as u64).sum())
    };
    let (shown, changes, bytes_before) = (node.replica.view(), node.replica.log().len() as u64, bytes(&node)?);
    let start = Instant::now();
    node.input(Input::Compact)?;
    let time = start.elapsed();
    let (kept, bytes_after) = (node.replica.log().len() as u64, bytes(&node)?);
    // The table, and of each row what made it and its last name.
    let expected = 1 + 2 * ids.chunks(TRANSACTION).len() as u64;
    if node.replica.view() != shown || kept != expected {
        return Err(format!("{kept} of {changes} changes are kept instead of {expected}, or another graph is shown"));
    }
    let counts = vec![
        ("changes before", changes),
        ("changes kept", kept),
        ("bytes of records before", bytes_before),
        ("bytes of records after", bytes_after),
    ];
    Ok(Taken { time, counts })
}

// ---- how cost grows ----

/// Two peers that have so many changes in common, to a hundred rows; one makes a hundred more, and they meet.
///
/// # Errors
/// What a replica says, or what is not equal then.
pub fn after_a_log_of(changes: u64) -> Result<Taken, String> {
    let mut nodes = pair(100, &no_stores)?;
    let write = |nodes: &mut [Node; 2], from: u64, changes: u64| {
        (from..from + changes).try_for_each(|number| {
            nodes[0].submit(1, 1_000_000 + number, vec![rename(number % 100, &format!("name {number}"))])
        })
    };
    write(&mut nodes, 0, changes)?;
    meet(&mut nodes)?;
    write(&mut nodes, changes, 100)?;
    let start = Instant::now();
    let traffic = meet(&mut nodes)?;
    let time = start.elapsed();
    verify(&mut nodes, 100)?;
    Ok(Taken { time, counts: vec![("messages", traffic.messages), ("bytes", traffic.bytes)] })
}

/// Two peers that have a table of so many rows in common; both rename the same hundred of them, all over, and they meet.
///
/// # Errors
/// What a replica says, or what is not equal then.
pub fn in_a_table_of(rows: u64) -> Result<Taken, String> {
    let mut nodes = pair(rows, &no_stores)?;
    for (name, node) in (1..).zip(&mut nodes) {
        let words = format!("by replica {name}");
        node.submit(name, 1_000_000, (0..100).map(|number| rename(number * (rows / 100), &words)).collect())?;
    }
    let start = Instant::now();
    let traffic = meet(&mut nodes)?;
    let time = start.elapsed();
    verify(&mut nodes, rows)?;
    Ok(Taken { time, counts: vec![("messages", traffic.messages), ("bytes", traffic.bytes)] })
}

/// Two peers that know so many replicas, each of which has written a node; one lacks ten of them, all over, and they meet.
///
/// # Errors
/// What a replica says, or what is not equal then.
pub fn among_replicas(replicas: u32) -> Result<Taken, String> {
    let pair = authors::Pair::meet(replicas, |number| number % (replicas / 10) == 7)?;
    Ok(Taken { time: pair.time, counts: vec![("messages", pair.traffic.messages), ("bytes", pair.traffic.bytes)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_forgets_old_names() {
        let taken = compaction(500).unwrap();
        let count = |name| taken.count(name).unwrap();
        assert_eq!((count("changes before"), count("changes kept")), (56, 11));
        assert!(5 * count("bytes of records after") < 2 * count("bytes of records before"), "{taken:?}");
    }

    #[test]
    fn a_new_edge_gets_all_there_is_and_cost_grows_with_what_is_lacking() {
        let taken = bootstrap(3_000, 5_000, &no_stores).unwrap();
        assert!(taken.count("messages").is_some_and(|messages| messages > 2), "{taken:?}");
        let bytes = |taken: Result<Taken, String>| taken.unwrap().count("bytes").unwrap();
        assert!(bytes(after_a_log_of(2_000)) < 2 * bytes(after_a_log_of(200)));
        assert!(bytes(in_a_table_of(2_000)) < 2 * bytes(in_a_table_of(200)));
        assert!(bytes(among_replicas(2_000)) < 2 * bytes(among_replicas(200)));
    }

    #[test]
    fn each_row_can_be_measured_and_ends_as_it_must() {
        for row in ROWS {
            let taken = (row.run)(&no_stores).unwrap();
            assert!(!taken.counts.is_empty() && !taken.time.is_zero(), "{}: {taken:?}", row.case);
        }
    }

    #[test]
    fn two_that_were_apart_end_equal() {
        assert!(merge_of_two(500, 100, &no_stores).unwrap().count("losses recorded").is_some_and(|losses| losses > 50));
    }

    #[test]
    fn a_store_that_holds_something_else_is_no_measurement() {
        use kuzusync_core::store::GraphStore;
        let stores = || -> Result<Stores, String> {
            Ok(vec![Box::new(kuzusync_core::store::memory::MemoryStore::default()) as Box<dyn GraphStore>])
        };
        let mut nodes = pair(3, &stores).unwrap();
        assert_eq!(verify(&mut nodes, 3), Ok(()));
        assert!(verify(&mut nodes, 4).unwrap_err().contains("3 rows"));
        nodes[1].stores[0].rebuild(&Default::default()).unwrap();
        assert!(verify(&mut nodes, 3).unwrap_err().contains("does not hold"));
        let mut nodes = pair(3, &no_stores).unwrap();
        nodes[0].submit(1, 9, vec![rename(0, "another")]).unwrap();
        assert!(verify(&mut nodes, 3).unwrap_err().contains("different graphs"));
    }
}

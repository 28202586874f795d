//! Distributed Sync Engine §6 and its targets: what goes over the wire, and what of it is saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kuzusync_core::block::Compression;
use kuzusync_core::change::{Change, ChangeId, Element, Node, Op};
use kuzusync_core::clock::{Timestamp, VectorClock};
use kuzusync_core::ddl::{Column, Ddl, column_id};
use kuzusync_core::id::{Digest, ReplicaId, TxId};
use kuzusync_core::message::{Cursor, Delivery, Entry, Hello, Message, PROTOCOL_VERSION, Record, Role, SyncMode};
use kuzusync_core::replica::Notice;
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::strategy::Strategy;
use kuzusync_core::summary::{CELLS_MIN, Cost, Told};
use kuzusync_core::value::{Type, Value};
use kuzusync_sim::clock::START_MS;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::{LinkOptions, Options};
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create, create_user, create_user_table, each, node_table, rows, timed_links, write};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "difference-of-ten",
            story: "Each of 10,000 nodes was written by an author of its own. Peers 0 and 2 have them all; peer 1 lacks the \
                    last ten, peer 3 ten of them all over. 0 meets 1, and then 2 meets 3.",
            cases: &[Case::D5_1],
            claims: &["one round trip tells which", "equal peers find out in two comparisons"],
            seed: Seed(51),
            options: Options { replicas: 4, has_main: false, turns_max: 10_000_000, ..Options::default() },
            body: |cluster| Box::pin(difference_of_ten(cluster)),
        },
        Scenario {
            name: "difference-too-large-for-a-sketch",
            story: "Of 400 authors two peers know half each, and a hundred of them both.",
            cases: &[],
            claims: &[
                "the first sketch is too short",
                "a longer one or all heads tell the rest",
                "both hold 400 nodes",
            ],
            seed: Seed(52),
            options: Options { replicas: 2, has_main: false, ..Options::default() },
            body: |cluster| Box::pin(large_difference(cluster)),
        },
        Scenario {
            name: "compression",
            story: "While an edge is away the main writes 1,000 nodes and 5,000 edges, a hundred in a transaction. The \
                    edge comes back.",
            cases: &[Case::D6_1],
            claims: &[],
            seed: Seed(61),
            options: Options { replicas: 2, ..Options::default() },
            body: |cluster| Box::pin(compression(cluster)),
        },
        Scenario {
            name: "strategy-follows-the-link",
            story: "The link to an edge is good, then far, then slow, then both. Alarms are critical, users are not.",
            cases: &[Case::D6_2],
            claims: &[],
            seed: Seed(62),
            options: Options { replicas: 2, critical_tables: vec!["Alarm".into()], ..Options::default() },
            body: |cluster| Box::pin(strategy_follows_the_link(cluster)),
        },
        Scenario {
            name: "late-join",
            story: "An edge joins when the main's log has 300 numbers. While it takes the snapshot in, somebody writes on.",
            cases: &[Case::C5],
            claims: &[],
            seed: Seed(65),
            options: Options { chunk_numbers: 20, ..Options::default() },
            body: |cluster| Box::pin(late_join(cluster)),
        },
        Scenario {
            name: "interrupted-snapshot",
            story: "An edge that joins late loses the link halfway through a snapshot, and dies before it is back.",
            cases: &[],
            claims: &[
                "it has a part of the snapshot",
                "the rest follows and nothing twice",
                "it shows what the others show",
            ],
            seed: Seed(66),
            options: Options { chunk_numbers: 20, ..timed_links(40) },
            body: |cluster| Box::pin(interrupted_snapshot(cluster)),
        },
        Scenario {
            name: "damaged-chunk",
            story: "Half of the chunks that an edge is sent are damaged where the main keeps them.",
            cases: &[],
            claims: &["damaged chunks are noticed", "they are fetched again", "it shows what the others show"],
            seed: Seed(67),
            options: Options {
                chunk_numbers: 20,
                links: LinkOptions { corrupt_permille: 500, ..LinkOptions::default() },
                ..Options::default()
            },
            body: |cluster| Box::pin(damaged_chunk(cluster)),
        },
        Scenario {
            name: "compression-of-single-changes",
            story: "The main writes 200 nodes and 200 edges, each in a transaction and a message of its own.",
            cases: &[Case::DP4],
            claims: &[],
            seed: Seed(64),
            options: Options { replicas: 2, ..Options::default() },
            body: |cluster| Box::pin(compression_of_single_changes(cluster)),
        },
    ]
}

// ---- what is sent ----

/// The messages from one host to another, in the order they were sent.
pub(crate) fn sent(cluster: &Cluster, from: u32, to: u32) -> Vec<Vec<u8>> {
    cluster.events_at(from, |kind| match kind {
        EventKind::Sent { to: receiver, frame, .. } if *receiver == to => Some(frame.to_vec()),
        _ => None,
    })
}

/// Bytes of messages that carry changes: on the wire, in columns alone, and as canonical JSON (RFC 8785: of names in ASCII
/// and numbers that are integers, the shortest JSON with sorted names is that).
fn sizes(frames: &[Vec<u8>]) -> [usize; 3] {
    let mut sizes = [0; 3];
    for frame in frames {
        let Ok(message) = Message::decode(frame) else { continue };
        let uncompressed = message.encode_with(Compression::None).len();
        let Message::Changes { deliveries, .. } = message.untagged() else { continue };
        sizes[0] += frame.len();
        sizes[1] += uncompressed;
        let changes = deliveries.iter().filter_map(Delivery::change);
        let json = changes.map(|entry| serde_json::to_value(entry).unwrap_or_default().to_string().len());
        sizes[2] += json.sum::<usize>();
    }
    sizes
}

fn saved([wire, _, json]: [usize; 3]) -> f64 {
    100.0 * (1.0 - wire as f64 / json.max(1) as f64)
}

// ---- many authors ----

/// The change in which the author of that number makes the table, number 0, or a node of it.
fn authored(number: u32) -> Delivery {
    let author = |number: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&(number + 1).to_be_bytes());
        ReplicaId(id)
    };
    let columns = vec![Column::new("id", Type::Int64), Column::new("name", Type::String)];
    let create = Ddl::CreateNodeTable { name: "Device".into(), birth: 0, columns, primary_key: "id".into() };
    let table = create.table_id();
    let insert = |number: u32| {
        let cells = [(column_id(table, "name"), format!("device {number}").as_str().into())];
        let element = Element::Node(Node { table, key: i64::from(number).into() });
        Op::Insert { element, cells: cells.into() }
    };
    let id = ChangeId { replica: author(number), seq: 1 };
    let change = Change {
        id,
        tx: TxId(id.replica.0),
        previous: Digest::default(),
        timestamp: Timestamp::at_ms(START_MS + i64::from(number)),
        link_epoch: 0,
        authority_epochs: BTreeMap::new(),
        seen: (number > 0).then(|| ChangeId { replica: author(0), seq: 1 }).into_iter().collect(),
        depends_on: Vec::new(),
        replaces: None,
        expects: Vec::new(),
        participants: Vec::new(),
        ops: vec![if number == 0 { Op::Schema(create) } else { insert(number) }],
    };
    Delivery::Change(Entry { change: Arc::new(change), lsn: None })
}

/// Gives a host that is offline these authors' changes, as if `from` had come by.
async fn tell(cluster: &mut Cluster, host: u32, from: u32, numbers: impl Iterator<Item = u32>) {
    let cursor = Cursor::default();
    let database = cluster.records(host).into_iter().find_map(|record| match record {
        Record::Created { database, .. } => Some(database),
        _ => None,
    });
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION.to_owned(),
        mode: SyncMode::Incremental,
        database: database.unwrap_or_default(),
        replica: ReplicaId([0xEE; 16]),
        role: Role::Peer,
        cursor,
        tip: Default::default(),
        schema_version: 0,
        heads: Told::Whole,
        is_reply: true,
    };
    drop(cluster.inject(host, from, Message::Hello(hello).encode()).await);
    let deliveries: Vec<Delivery> = numbers.map(authored).collect();
    for batch in deliveries.chunks(500) {
        let batch = Message::Changes { clock: VectorClock::default(), deliveries: batch.to_vec() };
        drop(cluster.inject(host, from, batch.encode()).await);
    }
    cluster.go_offline(host).await;
}

/// What two hosts said to each other: bytes, which changes, and what each found out about the other.
type Said = (usize, Vec<ChangeId>, Vec<(u64, Cost)>);

fn said(cluster: &Cluster, one: u32, other: u32) -> Said {
    let frames = [sent(cluster, one, other), sent(cluster, other, one)].concat();
    let changes = |frame: &Vec<u8>| match Message::decode(frame).map(Message::untagged) {
        Ok(Message::Changes { deliveries, .. }) => {
            deliveries.iter().filter_map(Delivery::change).map(|entry| entry.change.id).collect()
        }
        _ => Vec::new(),
    };
    let compared = |host: u32, with: u32| {
        cluster.events_at(host, |kind| match kind {
            EventKind::Notified(Notice::Compared { peer, differences, cost }) if *peer == Peer(with) => {
                Some((*differences, *cost))
            }
            _ => None,
        })
    };
    let found = [compared(one, other), compared(other, one)].concat();
    (frames.iter().map(Vec::len).sum(), frames.iter().flat_map(changes).collect(), found)
}

// ---- the graph ----

const USERS: i64 = 1_000;
const FRIENDSHIPS: i64 = 5_000;

fn tables() -> Vec<Statement> {
    let columns = [("id", Type::Int64), ("name", Type::String), ("email", Type::String), ("age", Type::Int32)];
    let since = Column::new("since", Type::Int64);
    let (from, to) = ("User".to_owned(), "User".to_owned());
    vec![
        node_table("User", &columns),
        Statement::CreateEdgeTable { table: "KNOWS".into(), from, to, columns: vec![since] },
    ]
}

fn user(id: i64) -> Statement {
    let (name, email) = (format!("User {id}"), format!("user.{id}@example.org"));
    let age = i32::try_from(id * 37 % 90).unwrap_or_default();
    let properties = [("id", id.into()), ("name", name.as_str().into()), ("email", email.as_str().into())];
    let [id, name, email] = properties;
    create("User", [id, name, email, ("age", Value::Int32(age))])
}

/// Friendship `number`: one for each user in turn, with users all over the table.
fn friendship(number: i64, users: i64) -> Statement {
    let end = |id: i64| ("User".to_owned(), Value::from(id));
    let (from, step) = (number % users, 1 + number / users);
    let to = (from * 7 + step * 131) % users;
    let edge = EdgeName { table: "KNOWS".into(), from: end(from), to: end(to), discriminator: step.to_string() };
    let since = Value::from(1_600_000_000 + number * 7_919 % 100_000_000);
    Statement::CreateEdge { edge, properties: Properties::from([("since".into(), since)]) }
}

// ---- the scenarios ----

async fn difference_of_ten(cluster: &mut Cluster) {
    const NODES: u32 = 10_000;
    cluster.settle().await;
    for host in 0..4 {
        cluster.go_offline(host).await;
    }
    tell(cluster, 0, 2, 0..=NODES).await;
    tell(cluster, 1, 2, 0..=NODES - 10).await;
    tell(cluster, 2, 0, 0..=NODES).await;
    tell(cluster, 3, 0, (0..=NODES).filter(|number| number % 1_000 != 517)).await;
    let mut exchanges = Vec::new();
    for (one, other) in [(0, 1), (2, 3)] {
        let before = said(cluster, one, other);
        cluster.go_online(one).await;
        cluster.go_online(other).await;
        cluster.wait(5_000).await;
        let (bytes, changes, found) = said(cluster, one, other);
        exchanges.push((bytes - before.0, changes[before.1.len()..].to_vec(), found));
        cluster.go_offline(one).await;
        cluster.go_offline(other).await;
    }
    let comparisons = |cost: &Cost| cost.comparisons;
    let each =
        |look: &dyn Fn(&Said) -> String| format!("tail: {}; scattered: {}", look(&exchanges[0]), look(&exchanges[1]));
    let found: Vec<(u64, Cost)> = exchanges.iter().flat_map(|(_, _, found)| found.clone()).collect();
    let ten = found.len() >= 2 && found.iter().all(|(differences, cost)| *differences == 10 && comparisons(cost) < 100);
    let text = each(&|(_, _, found)| {
        let of = |(differences, cost): &(u64, Cost)| format!("{differences} in {}", comparisons(cost));
        found.iter().map(of).collect::<Vec<_>>().join(" and ")
    });
    cluster.check("ten missing nodes are found in under 100 comparisons", ten, text);
    // What overtakes the handshake comes again.
    let distinct = |changes: &[ChangeId]| changes.iter().collect::<BTreeSet<_>>().len();
    let only = exchanges.iter().all(|(_, changes, _)| distinct(changes) == 10);
    let text = each(&|(_, changes, _)| format!("{} changes, {} sent", distinct(changes), changes.len()));
    cluster.check("only those ten are sent", only, text);
    let small = exchanges.iter().all(|(bytes, _, _)| *bytes < 10 << 10);
    let summaries = |found: &[(u64, Cost)]| found.iter().map(|(_, cost)| cost.bytes).min().unwrap_or_default();
    let text = each(&|(bytes, _, found)| {
        format!(
            "{bytes} bytes both ways, both handshakes and the ten nodes among them; one handshake {}",
            summaries(found)
        )
    });
    cluster.check("it takes less than 10 KiB", small, text);
    let round_trips: Vec<u64> = found.iter().map(|(_, cost)| cost.round_trips).collect();
    let one = !round_trips.is_empty() && round_trips.iter().all(|trips| *trips == 1);
    cluster.check("one round trip tells which", one, format!("round trips: {round_trips:?}"));
    let counts = [0, 1, 2, 3].map(|host| rows(cluster, host, "Device"));
    let all = counts == [NODES as usize; 4];
    cluster.check("both hold 10,000 nodes", all, format!("{counts:?}"));
    let before = said(cluster, 0, 2);
    cluster.go_online(0).await;
    cluster.go_online(2).await;
    cluster.wait(1_000).await;
    let (_, changes, found) = said(cluster, 0, 2);
    let found = &found[before.2.len()..];
    let equal = changes.len() == before.1.len() && !found.is_empty();
    let equal = equal && found.iter().all(|(differences, cost)| *differences == 0 && comparisons(cost) == 2);
    cluster.check("equal peers find out in two comparisons", equal, format!("{} found no difference", found.len()));
}

async fn large_difference(cluster: &mut Cluster) {
    cluster.settle().await;
    for host in 0..2 {
        cluster.go_offline(host).await;
    }
    tell(cluster, 0, 1, 0..=250).await;
    tell(cluster, 1, 0, (0..=400).filter(|number| !(1..=150).contains(number))).await;
    cluster.go_online(0).await;
    cluster.go_online(1).await;
    cluster.settle().await;
    let frames = [sent(cluster, 0, 1), sent(cluster, 1, 0)].concat();
    let messages: Vec<Message> =
        frames.iter().filter_map(|frame| Message::decode(frame).map(Message::untagged).ok()).collect();
    let unclear = messages.iter().filter(|message| matches!(message, Message::Unclear { .. })).count();
    cluster.check("the first sketch is too short", unclear > 0, format!("{unclear} times"));
    let cells = messages.iter().filter_map(|message| match message {
        Message::Hello(Hello { heads: Told::Summary(summary), .. }) => Some(summary.cells.len()),
        Message::Hello(Hello { cursor, .. }) if cursor.seen.heads().count() > 100 => Some(usize::MAX),
        _ => None,
    });
    let cells: Vec<usize> = cells.collect();
    let grew = cells.iter().any(|cells| *cells > CELLS_MIN);
    let shown =
        cells.iter().map(|cells| if *cells == usize::MAX { "all heads".into() } else { format!("{cells} cells") });
    let shown = shown.collect::<Vec<_>>().join(", ");
    cluster.check("a longer one or all heads tell the rest", grew, shown);
    let counts = [0, 1].map(|host| rows(cluster, host, "Device"));
    cluster.check("both hold 400 nodes", counts == [400, 400], format!("{counts:?}"));
}

async fn compression(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    drop(cluster.submit(main, tables()).await);
    cluster.settle().await;
    cluster.go_offline(edge).await;
    let graph: Vec<Statement> =
        (0..USERS).map(user).chain((0..FRIENDSHIPS).map(|number| friendship(number, USERS))).collect();
    for statements in graph.chunks(100) {
        drop(cluster.submit(main, statements.to_vec()).await);
    }
    let before = sent(cluster, main, edge).len();
    cluster.go_online(edge).await;
    cluster.settle().await;
    let sizes = sizes(&sent(cluster, main, edge)[before..]);
    let [wire, columns, json] = sizes;
    let found = format!("{wire} bytes on the wire, {json} as canonical JSON: {:.1} % saved", saved(sizes));
    cluster.check("more than half is saved against canonical JSON", saved(sizes) > 50.0, found);
    cluster.check("zstd makes the columns smaller", wire < columns, format!("{columns} bytes without zstd"));
    let [sent, received] = [main, edge].map(|host| cluster.view(host));
    let nodes = received.nodes.get("User").map_or(0, std::collections::BTreeMap::len);
    let edges = received.edges.get("KNOWS").map_or(0, std::collections::BTreeMap::len);
    let is_equal = sent == received && (nodes, edges) == (1_000, 5_000);
    cluster.check("the round trip is equal", is_equal, format!("{nodes} nodes and {edges} edges arrived"));
}

/// The edge comes back over such a link, and the main sends it a few small and large changes. What the main makes of it.
async fn over(cluster: &mut Cluster, latency_ms: u64, kbit_per_s: u64, name: &str) -> (Strategy, String) {
    let (main, edge) = (0, 1);
    cluster.go_offline(edge).await;
    let links = LinkOptions {
        latency_ms_min: latency_ms,
        latency_ms_max: latency_ms,
        bytes_per_second_max: kbit_per_s * 125,
        ..LinkOptions::default()
    };
    cluster.set_links(links);
    cluster.go_online(edge).await;
    cluster.wait(5_000).await;
    for number in 0..3 {
        write(cluster, main, create_user(&format!("{name} {number}"), "small")).await;
        cluster.wait(3_000).await;
        // What zstd cannot make small.
        let noise = |part: u64| Digest::of(&[name.as_bytes(), &[number], &part.to_le_bytes()]).to_string();
        let text: String = (0..700).map(noise).collect();
        write(cluster, main, create_user(&format!("{name} {number} large"), &text)).await;
        cluster.wait(8_000).await;
    }
    let link = cluster.ask(main, |replica| replica.link(Peer(edge))).flatten();
    let (quality, strategy) = link.unwrap_or_default();
    (strategy, format!("measured {quality}: {}", strategy.name()))
}

async fn strategy_follows_the_link(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, node_table("Alarm", &[("id", Type::String)])).await;
    cluster.settle().await;
    let (strategy, found) = over(cluster, 10, 20_000, "good").await;
    cluster.check("over a good link every change streams", strategy == Strategy::Streaming, found);

    let (strategy, found) = over(cluster, 400, 20_000, "far").await;
    let before = sent(cluster, main, edge).len();
    for number in 0..400 {
        write(cluster, main, create_user(&format!("of many {number}"), "")).await;
    }
    cluster.wait(20_000).await;
    let frames = sent(cluster, main, edge);
    let in_one = frames[before..].iter().map(|frame| match Message::decode(frame).map(Message::untagged) {
        Ok(Message::Changes { deliveries, .. }) => deliveries.len(),
        _ => 0,
    });
    let most = in_one.max().unwrap_or_default();
    let is_far = strategy == Strategy::BatchOptimized && most > 100;
    cluster.check("above 500 ms batches grow over 100", is_far, format!("{found}, {most} changes in a batch"));

    let (strategy, found) = over(cluster, 10, 500, "slow").await;
    let mut is_slow = strategy == Strategy::PriorityBased;
    write(cluster, main, create("Alarm", [("id", "fire".into())])).await;
    write(cluster, main, create_user("can wait", "")).await;
    cluster.wait(2_000).await;
    let shows = |cluster: &Cluster, table: &str, key: &str| cluster.view(edge).node(table, &key.into()).is_some();
    is_slow &= shows(cluster, "Alarm", "fire") && !shows(cluster, "User", "can wait");
    let pending = cluster.ask(main, |replica| replica.pending()).unwrap_or_default();
    let pending = pending.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let clause = "below 1 Mbit/s only what critical tables need is sent";
    cluster.check(clause, is_slow, format!("{found}; the alarm is there, and {pending}"));

    let (strategy, found) = over(cluster, 400, 500, "far and slow").await;
    let is_priority = strategy == Strategy::PriorityBased;
    cluster.check("where both limits are crossed bandwidth decides", is_priority, found);
    cluster.settle().await;
    let users = [main, edge].map(|host| rows(cluster, host, "User"));
    let is_there = users[0] == users[1] && shows(cluster, "User", "can wait");
    cluster.check("what had to wait arrives over a better link", is_there, format!("users: {users:?}"));
}

/// Edge 2 stays away while the main and edge 1 make a table and 300 users.
async fn write_without_edge_2(cluster: &mut Cluster) {
    cluster.settle().await;
    cluster.go_offline(2).await;
    write(cluster, 0, create_user_table()).await;
    cluster.wait(10_000).await;
    for number in 0..300 {
        write(cluster, number % 2, create_user(&format!("user {number}"), "from the beginning")).await;
    }
    cluster.wait(20_000).await;
}

/// The last numbers of the chunks that an edge was sent, in the order of sending.
fn chunks_sent(cluster: &Cluster, to: u32) -> Vec<u64> {
    let chunk = |frame: Vec<u8>| match Message::decode(&frame) {
        Ok(Message::Chunk { last, .. }) => Some(last),
        _ => None,
    };
    sent(cluster, 0, to).into_iter().filter_map(chunk).collect()
}

/// Where the snapshots end that a host has taken in, and of how many chunks they are.
fn snapshots_taken(cluster: &Cluster, host: u32) -> Vec<(u64, u64)> {
    cluster.events_at(host, |kind| match kind {
        EventKind::Notified(Notice::SnapshotTaken { lsn, chunks, .. }) => Some((*lsn, *chunks)),
        _ => None,
    })
}

fn check_same_view(cluster: &mut Cluster) {
    let views: Vec<_> = cluster.hosts().map(|host| cluster.view(host)).collect();
    let users = each(cluster, |host| rows(cluster, host, "User"));
    let is_same = users[0] >= 300 && views.iter().all(|view| *view == views[0]);
    cluster.check("it shows what the others show", is_same, format!("users: {users:?}"));
}

async fn late_join(cluster: &mut Cluster) {
    write_without_edge_2(cluster).await;
    let before = sent(cluster, 0, 2).len();
    cluster.go_online(2).await;
    for number in 0..30 {
        write(cluster, number % 2, create_user(&format!("late {number}"), "meanwhile")).await;
        cluster.wait(3).await;
    }
    cluster.settle().await;
    let taken = snapshots_taken(cluster, 2);
    let snapshot = matches!(taken[..], [(lsn, chunks)] if lsn >= 300 && chunks == lsn / 20);
    cluster.check("it gets a snapshot", snapshot, format!("{taken:?}: the last number, and chunks"));
    let end = taken.first().map_or(0, |(lsn, _)| *lsn);
    let frames = sent(cluster, 0, 2);
    let changes = frames[before..].iter().filter_map(|frame| match Message::decode(frame).map(Message::untagged) {
        Ok(Message::Changes { deliveries, .. }) => {
            Some(deliveries.iter().filter_map(Delivery::lsn).collect::<Vec<_>>())
        }
        _ => None,
    });
    let numbers: BTreeSet<u64> = changes.flatten().collect();
    let last = cluster.ask(0, |replica| replica.sync_point()).unwrap_or_default().lsn;
    let is_tail = last > end && numbers.iter().copied().eq(end + 1..=last);
    let found = format!("the snapshot ends at {end}, {} numbers up to {last} were sent as changes", numbers.len());
    cluster.check("what came after the snapshot follows as changes", is_tail, found);
    check_same_view(cluster);
    let snapshots = each(cluster, |host| cluster.ask(host, |replica| replica.snapshot()).flatten());
    let points = each(cluster, |host| cluster.ask(host, |replica| replica.sync_point()));
    let is_same = snapshots[0].is_some() && snapshots.iter().all(|snapshot| *snapshot == snapshots[0]);
    let is_same = is_same && points.iter().all(|point| *point == points[0]);
    let digests = snapshots.iter().flatten().map(|snapshot| snapshot.digest().to_string()).collect::<Vec<_>>();
    cluster.check("all replicas make the same snapshot", is_same, digests.join(", "));
}

async fn interrupted_snapshot(cluster: &mut Cluster) {
    write_without_edge_2(cluster).await;
    let known = |cluster: &Cluster| cluster.ask(2, |replica| replica.sync_point()).unwrap_or_default().lsn;
    cluster.go_online(2).await;
    for _ in 0..1_000 {
        if known(cluster) > 0 {
            break;
        }
        cluster.wait(5).await;
    }
    cluster.go_offline(2).await;
    // The main still answers what was asked before.
    cluster.wait(500).await;
    let (before, sent_before) = (known(cluster), chunks_sent(cluster, 2));
    cluster.crash(2, 0);
    cluster.restart(2).await;
    let kept = known(cluster);
    let has_part = before > 0 && before < 300 && kept == before;
    cluster.check("it has a part of the snapshot", has_part, format!("{before} numbers, and {kept} after it died"));
    cluster.go_online(2).await;
    cluster.settle().await;
    let sent_after = chunks_sent(cluster, 2)[sent_before.len()..].to_vec();
    let taken = snapshots_taken(cluster, 2);
    let distinct: BTreeSet<u64> = sent_after.iter().copied().collect();
    let is_rest = !taken.is_empty() && distinct.len() == sent_after.len() && distinct.first() == Some(&(kept + 20));
    let found = format!("chunks up to {sent_before:?}, then up to {sent_after:?}");
    cluster.check("the rest follows and nothing twice", is_rest, found);
    check_same_view(cluster);
}

async fn damaged_chunk(cluster: &mut Cluster) {
    write_without_edge_2(cluster).await;
    cluster.go_online(2).await;
    cluster.wait(30_000).await;
    cluster.settle().await;
    let damaged = cluster.events_at(2, |kind| match kind {
        EventKind::Notified(Notice::ChunkDamaged { last, .. }) => Some(*last),
        _ => None,
    });
    cluster.check("damaged chunks are noticed", !damaged.is_empty(), format!("up to {damaged:?}"));
    let (sent, taken) = (chunks_sent(cluster, 2), snapshots_taken(cluster, 2));
    let times = |last: &u64| sent.iter().filter(|sent| *sent == last).count();
    let again = !taken.is_empty() && damaged.iter().all(|last| times(last) > 1);
    cluster.check("they are fetched again", again, format!("{} chunks sent, {taken:?}", sent.len()));
    check_same_view(cluster);
}

async fn compression_of_single_changes(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    drop(cluster.submit(main, tables()).await);
    cluster.settle().await;
    let before = sent(cluster, main, edge).len();
    for statement in (0..200).map(user).chain((0..200).map(|number| friendship(number, 200))) {
        drop(cluster.submit(main, vec![statement]).await);
        cluster.wait(50).await;
    }
    cluster.settle().await;
    let sizes = sizes(&sent(cluster, main, edge)[before..]);
    let [wire, _, json] = sizes;
    let found = format!("{wire} bytes on the wire, {json} as canonical JSON: {:.1} % saved", saved(sizes));
    cluster.check("more than half is saved when every change travels alone", saved(sizes) > 50.0, found);
}

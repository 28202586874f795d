//! Distributed Sync Engine §6 and its targets: what goes over the wire, and what of it is saved.

use kuzusync_core::block::Compression;
use kuzusync_core::ddl::Column;
use kuzusync_core::message::{Delivery, Message};
use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::value::{Type, Value};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create, node_table};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
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
fn sent(cluster: &Cluster, from: u32, to: u32) -> Vec<Vec<u8>> {
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
        let Ok(message @ Message::Changes { .. }) = Message::decode(frame) else { continue };
        sizes[0] += frame.len();
        sizes[1] += message.encode_with(Compression::None).len();
        let Message::Changes { deliveries, .. } = message else { continue };
        let changes = deliveries.iter().filter_map(Delivery::change);
        let json = changes.map(|entry| serde_json::to_value(entry).unwrap_or_default().to_string().len());
        sizes[2] += json.sum::<usize>();
    }
    sizes
}

fn saved([wire, _, json]: [usize; 3]) -> f64 {
    100.0 * (1.0 - wire as f64 / json.max(1) as f64)
}

// ---- the graph ----

const USERS: i64 = 1_000;
const FRIENDSHIPS: i64 = 5_000;

fn tables() -> Vec<Statement> {
    let columns = [("id", Type::Int64), ("name", Type::String), ("email", Type::String), ("age", Type::Int32)];
    let since = Column { name: "since".into(), column_type: Type::Int64 };
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

//! Distributed Sync Engine §4: working offline.

use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::value::Value;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create_user, create_user_table, set_email};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "offline-queue",
        story: "An edge goes offline, adds a node and an edge and sets a property, and comes back.",
        cases: &[Case::D4_1],
        seed: Seed(41),
        options: Options::default(),
        body: |cluster| Box::pin(offline_queue(cluster)),
    }]
}

async fn offline_queue(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let follows = Statement::CreateEdgeTable {
        table: "FOLLOWS".into(),
        from: "User".into(),
        to: "User".into(),
        columns: Vec::new(),
    };
    let users = [create_user("user_1", "Alice"), create_user("user_2", "Carol")];
    let base = [vec![create_user_table(), follows], users.to_vec()].concat();
    let mut written = vec![cluster.submit(main, base).await];
    cluster.settle().await;

    cluster.go_offline(edge).await;
    let end = |id: &str| ("User".to_owned(), Value::from(id));
    let (from, to) = (end("user_1"), end("user_2"));
    let follow = EdgeName { table: "FOLLOWS".into(), from, to, discriminator: String::new() };
    let add_edge = Statement::CreateEdge { edge: follow, properties: Properties::new() };
    for statement in [create_user("bob", "Bob"), add_edge, set_email("user_1", "alice@a.com")] {
        written.push(cluster.submit(edge, vec![statement]).await);
    }
    let queue = |cluster: &Cluster| {
        cluster.ask(edge, |replica| (replica.queue().operations(), replica.queue().bytes())).unwrap_or_default()
    };
    let (operations, bytes) = queue(cluster);
    cluster.check("three changes are queued", operations == 3, format!("{operations} operations"));
    let is_small = bytes > 0 && bytes < 1 << 20;
    cluster.check("their estimated size is under 1 MiB", is_small, format!("{bytes} bytes"));

    cluster.go_online(edge).await;
    let replicas = cluster.settle().await;
    let offline: Vec<_> = written.into_iter().skip(1).filter_map(Result::ok).collect();
    let synced = |replica: &kuzusync_sim::outcome::ReplicaState| {
        offline.iter().filter(|id| replica.cursor.seen.contains(**id)).count()
    };
    let counts: Vec<_> = replicas.iter().map(synced).collect();
    let is_synced = counts == [3, 3, 3];
    cluster.check("back online all three are synced", is_synced, format!("at each replica: {counts:?}"));
    let losses: usize = replicas.iter().map(|replica| replica.audit.len()).sum();
    cluster.check("no conflict is resolved", losses == 0 && !replicas.is_empty(), format!("{losses} conflicts"));
    let (operations, _) = queue(cluster);
    cluster.check("the queue is empty", operations == 0, format!("{operations} operations"));
}

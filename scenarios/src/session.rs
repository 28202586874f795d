//! Distributed Sync Engine §1: handshake, exchange under vector clocks, gossip.

use kuzusync_core::replica::Notice;
use kuzusync_core::value::Value;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create_user, create_user_table};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let peers = Options { replicas: 2, has_main: false, ..Options::default() };
    vec![
        Scenario {
            name: "handshake",
            story: "Two replicas meet and agree on how to synchronise.",
            cases: &[Case::D1_1],
            seed: Seed(11),
            options: peers.clone(),
            body: |cluster| Box::pin(handshake(cluster)),
        },
        Scenario {
            name: "vector-clock-exchange",
            story: "Replica a writes one change; replica b receives it, and its clock counts the receipt.",
            cases: &[Case::D1_2],
            seed: Seed(12),
            options: peers,
            body: |cluster| Box::pin(vector_clock_exchange(cluster)),
        },
        Scenario {
            name: "gossip",
            story: "Five peers; what peer 0 tells peer 1 alone reaches the others while peer 0 is cut off from them.",
            cases: &[Case::DA1],
            seed: Seed(13),
            options: Options { replicas: 5, has_main: false, ..Options::default() },
            body: |cluster| Box::pin(gossip(cluster)),
        },
    ]
}

async fn handshake(cluster: &mut Cluster) {
    cluster.settle().await;
    let established = cluster.events(|kind| match kind {
        EventKind::Notified(Notice::Established { protocol_version, mode, .. }) => {
            Some((protocol_version.clone(), mode.name()))
        }
        _ => None,
    });
    cluster.check("session established", established.len() == 2, format!("{} sides established", established.len()));
    let versions: Vec<_> = established.iter().map(|(version, _)| version.as_str()).collect();
    cluster.check("protocol version is 1.0", versions == ["1.0", "1.0"], versions.join(", "));
    let modes: Vec<_> = established.iter().map(|(_, mode)| *mode).collect();
    cluster.check("mode is incremental", modes == ["incremental", "incremental"], modes.join(", "));
}

async fn vector_clock_exchange(cluster: &mut Cluster) {
    let (a, b) = (0, 1);
    cluster.settle().await;
    let written = cluster.submit(a, vec![create_user_table(), create_user("alice", "Alice")]).await;
    cluster.settle().await;
    let applied = cluster.events_at(b, |kind| match kind {
        EventKind::Notified(Notice::Applied { entry }) => Some(entry.change.id),
        _ => None,
    });
    let is_that_one = applied.len() == 1 && written.as_ref().ok() == applied.first();
    cluster.check("applied once at b", is_that_one, format!("changes applied: {}", applied.len()));
    let id_of = |host| cluster.ask(host, |replica| replica.id()).unwrap_or_default();
    let (id_a, id_b) = (id_of(a), id_of(b));
    let clock = cluster.ask(b, |replica| replica.clock().clone()).unwrap_or_default();
    cluster.check("clock of b reads a = 1", clock.get(id_a) == 1, format!("a = {}", clock.get(id_a)));
    cluster.check("clock of b reads b = 1", clock.get(id_b) == 1, format!("b = {}", clock.get(id_b)));
}

async fn gossip(cluster: &mut Cluster) {
    let mut written = vec![cluster.submit(0, vec![create_user_table()]).await];
    cluster.settle().await;
    // First peers 0 and 1 are alone together, then peer 0 is alone.
    cluster.partition(0b00011);
    written.push(cluster.submit(0, vec![create_user("ann", "Ann")]).await);
    written.push(cluster.submit(4, vec![create_user("eve", "Eve")]).await);
    cluster.wait(1_000).await;
    cluster.partition(0b00001);
    cluster.wait(10_000).await;
    let knows = |cluster: &Cluster, host, id: &str| cluster.view(host).node("User", &Value::from(id)).is_some();
    let heard: Vec<_> = (1..5).map(|host| knows(cluster, host, "ann")).collect();
    let is_away = !knows(cluster, 0, "eve");
    let found = format!("peers 1 to 4 know Ann: {heard:?}; peer 0 is away: {is_away}");
    let clause = "a change travels over third replicas while its author is away";
    cluster.check(clause, is_away && heard.iter().all(|knows| *knows), found);
    cluster.heal();
    let replicas = cluster.settle().await;
    let numbers: Vec<_> = replicas.iter().map(|replica| replica.cursor.lsn).collect();
    cluster.check("no replica numbers changes", numbers == [0; 5], format!("last numbers: {numbers:?}"));
    let done = written.iter().all(Result::is_ok);
    let first = replicas.first().map(|replica| replica.view.clone()).unwrap_or_default();
    let equal = replicas.iter().filter(|replica| replica.view == first).count();
    let users = first.nodes.get("User").map_or(0, |users| users.len());
    cluster.check("all end with one graph", done && equal == 5 && users == 2, format!("{equal} equal, {users} users"));
}

//! Minimal Sync Guide: the main orders, everybody hears of everything, local changes show at once.

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
    vec![
        Scenario {
            name: "broadcast",
            story: "The main and both edges write; the main numbers everything and sends it to all.",
            cases: &[Case::C2],
            seed: Seed(32),
            options: Options::default(),
            body: |cluster| Box::pin(broadcast(cluster)),
        },
        Scenario {
            name: "optimistic-update",
            story: "An edge cut off from the main shows its own change at once and keeps it pending until it is heard.",
            cases: &[Case::C3],
            seed: Seed(33),
            options: Options::default(),
            body: |cluster| Box::pin(optimistic_update(cluster)),
        },
    ]
}

async fn broadcast(cluster: &mut Cluster) {
    let (main, edges) = (0, [1, 2]);
    let mut written = vec![cluster.submit(main, vec![create_user_table()]).await];
    cluster.settle().await;
    for (host, name) in [(main, "Mia"), (edges[0], "Eve"), (edges[1], "Ed")] {
        written.push(cluster.submit(host, vec![create_user(name, name)]).await);
    }
    let replicas = cluster.settle().await;
    let changes: Vec<_> = written.into_iter().filter_map(Result::ok).collect();
    let holds_all = |replica: &kuzusync_sim::outcome::ReplicaState| {
        changes.iter().all(|id| replica.cursor.seen.contains(*id)) && replica.view.nodes["User"].len() == 3
    };
    let holders = replicas.iter().filter(|replica| holds_all(replica)).count();
    let found = format!("{holders} of {} replicas hold all {} changes", replicas.len(), changes.len());
    let clause = "every connected replica gets every change";
    cluster.check(clause, changes.len() == 4 && holders == 3, found);
    let numbered = edges.map(|edge| {
        let own = cluster.ask(edge, |replica| replica.id()).unwrap_or_default();
        let heard = cluster.events_at(edge, |kind| match kind {
            EventKind::Notified(Notice::Numbered { id, lsn }) if id.replica == own => Some(*lsn),
            _ => None,
        });
        (edge, heard)
    });
    let found: Vec<_> =
        numbered.iter().map(|(edge, lsns)| format!("edge {edge} heard its change as {lsns:?}")).collect();
    let each_once = numbered.iter().all(|(_, lsns)| lsns.len() == 1);
    cluster.check("the author gets its own change back with its number", each_once, found.join(", "));
}

async fn optimistic_update(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let table = cluster.submit(main, vec![create_user_table()]).await;
    cluster.settle().await;
    cluster.partition(1 << edge);
    let written = cluster.submit(edge, vec![create_user("bob", "Bob")]).await;
    let is_shown = |cluster: &Cluster, host| cluster.view(host).node("User", &Value::from("bob")).is_some();
    let shown = (is_shown(cluster, edge), is_shown(cluster, main));
    let found = format!("shown at the edge: {}, at the main: {}", shown.0, shown.1);
    cluster.check("visible at once", table.is_ok() && written.is_ok() && shown == (true, false), found);
    cluster.wait(5_000).await;
    let queued = |cluster: &Cluster| cluster.ask(edge, |replica| replica.queue().operations()).unwrap_or(usize::MAX);
    let pending = queued(cluster);
    cluster.check("pending until acknowledged", pending == 1, format!("{pending} operations queued while cut off"));
    cluster.settle().await;
    let left = queued(cluster);
    let heard = is_shown(cluster, main);
    let found = format!("{left} operations queued after healing, shown at the main: {heard}");
    cluster.check("no longer pending once acknowledged", left == 0 && heard, found);
}

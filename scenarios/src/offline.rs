//! Distributed Sync Engine §4: working offline; and what may go wrong while a queue is flushed.

use kuzusync_core::Error;
use kuzusync_core::replica::{EPOCH_WINDOW, Notice};
use kuzusync_core::value::Type;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, connect, create, create_user, create_user_table, each, edge_table, epochs, node_table,
    queued, rename, rows, set_email, shown, shown_at, timed_links, update, write,
};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "offline-queue",
            story: "An edge goes offline, adds a node and an edge and sets a property, and comes back.",
            cases: &[Case::D4_1],
            claims: &[],
            seed: Seed(41),
            options: Options::default(),
            body: |cluster| Box::pin(offline_queue(cluster)),
        },
        Scenario {
            name: "offline-conflict",
            story: "Edge 1 is offline when edge 2 bans a user, and a second later calls the same user inactive.",
            cases: &[Case::D4_2],
            claims: &[],
            seed: Seed(42),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(offline_conflict(cluster)),
        },
        Scenario {
            name: "full-queue",
            story: "An edge is offline until its queue is full, dies, starts again and comes back.",
            cases: &[Case::DP3],
            claims: &[],
            seed: Seed(43),
            options: Options::default(),
            body: |cluster| Box::pin(full_queue(cluster)),
        },
        Scenario {
            name: "flush-interrupted-at-every-message",
            story: "An edge comes back with a queue, again and again, and each time the link breaks one message later.",
            cases: &[],
            claims: &["what is not acknowledged stays queued", "every change is applied exactly once"],
            seed: Seed(44),
            options: Options::default(),
            body: |cluster| Box::pin(flush_interrupted(cluster)),
        },
        Scenario {
            name: "main-restart-mid-flush",
            story: "Messages take 10 ms. An edge comes back with a queue of ten batches, and the main dies in the \
                    midst of taking them in, again and again.",
            cases: &[],
            claims: &["the main dies with a part of the queue", "the queue is empty in the end", "nothing is lost"],
            seed: Seed(45),
            options: timed_links(10),
            body: |cluster| Box::pin(main_restart_mid_flush(cluster)),
        },
    ]
}

async fn offline_queue(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let follows = edge_table("FOLLOWS", "User", "User");
    let users = [create_user("user_1", "Alice"), create_user("user_2", "Carol")];
    let base = [vec![create_user_table(), follows], users.to_vec()].concat();
    let mut written = vec![cluster.submit(main, base).await];
    cluster.settle().await;

    cluster.go_offline(edge).await;
    let add_edge = connect("FOLLOWS", ("User", "user_1"), ("User", "user_2"));
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

async fn offline_conflict(cluster: &mut Cluster) {
    let (main, offline, online) = (0, 1, 2);
    write(cluster, main, node_table("User", &[("id", Type::String), ("status", Type::String)])).await;
    write(cluster, main, create("User", [("id", "user_1".into()), ("status", "active".into())])).await;
    cluster.settle().await;
    let set_status = |status: &str| update("User", "user_1", [("status", status.into())]);

    cluster.go_offline(offline).await;
    // The epoch begins at the end of its window; bad links may need some time to carry it.
    cluster.wait(EPOCH_WINDOW.as_millis() as u64 + 10_000).await;
    let clause = "the connected replicas know of a new epoch and the other does not";
    check_list(cluster, clause, epochs(cluster), ["1 epochs", "0 epochs", "1 epochs"]);
    write(cluster, online, set_status("banned")).await;
    cluster.wait(1_000).await;
    write(cluster, offline, set_status("inactive")).await;
    let replicas = cluster.settle().await;

    let resolutions = replicas.iter().flat_map(|replica| replica.audit.iter().map(|loss| loss.resolution.name()));
    check_list(cluster, "resolved online_wins", resolutions, ["online_wins"; 3]);
    let statuses = shown(cluster, "User", "user_1", "status");
    check_list(cluster, "the value is banned everywhere", statuses, ["banned"; 3]);
}

async fn full_queue(cluster: &mut Cluster) {
    let (batches, in_one) = (100, 100);
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    cluster.settle().await;
    cluster.go_offline(edge).await;
    for batch in 0..batches {
        let users = (0..in_one).map(|number| create_user(&format!("{batch}-{number}"), "Offline")).collect();
        drop(cluster.submit(edge, users).await);
    }
    let operations = queued(cluster, edge);
    cluster.check("10,000 operations are queued", operations == 10_000, format!("{operations} operations"));
    let one_more = cluster.submit(edge, vec![create_user("one more", "Offline")]).await;
    let full = Error::QueueFull { queued: 10_000, max: 10_000 }.to_string();
    let found = one_more.as_ref().err().cloned().unwrap_or_default();
    cluster.check("the next one is refused as QueueFull", one_more == Err(full), found);

    cluster.crash(edge, 0);
    cluster.restart(edge).await;
    let operations = format!("{} operations queued after a restart", queued(cluster, edge));
    cluster.settle().await;
    let users = each(cluster, |host| format!("{} users", rows(cluster, host, "User")));
    let expected = ["10000 operations queued after a restart", "10000 users", "10000 users", "10000 users"];
    check_list(cluster, "nothing queued is lost", [vec![operations], users].concat(), expected);
    let accepted = cluster.submit(edge, vec![create_user("one more", "Online")]).await;
    let found = accepted.as_ref().map_or_else(Clone::clone, |_| "accepted".to_owned());
    cluster.check("once synchronised it takes more", accepted.is_ok(), found);
}

/// A link that breaks after any message of a flush costs nothing but time: what the main has not acknowledged is queued
/// still, what it has taken in without saying so is not taken in again.
async fn flush_interrupted(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    let mut astray = Vec::new();
    for messages in 0..16 {
        cluster.go_offline(edge).await;
        write(cluster, edge, rename("alice", &format!("Alice {messages}"))).await;
        write(cluster, edge, create_user(&format!("user {messages}"), "")).await;
        cluster.go_online(edge).await;
        cluster.cut_link(main, edge, messages);
        cluster.wait(1_000).await;
        let numbered = numbered(cluster, edge);
        let written = cluster.ask(edge, |replica| replica.log().seen().head(replica.id())).unwrap_or_default();
        if queued(cluster, edge) + numbered != written as usize {
            astray.push(format!("a change astray after {messages} messages"));
        }
        cluster.settle().await;
    }
    check_list(cluster, "what is not acknowledged stays queued", astray, [""; 0]);
    let found = each(cluster, |host| {
        format!("{} users and {}", rows(cluster, host, "User"), shown_at(cluster, host, "User", "alice", "name"))
    });
    check_list(cluster, "every change is applied exactly once", found, ["17 users and Alice 15"; 3]);
}

/// How many of its own changes a host has heard back with their numbers.
fn numbered(cluster: &Cluster, host: u32) -> usize {
    let own = cluster.ask(host, |replica| replica.id()).unwrap_or_default();
    let is_own = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Numbered { id, .. }) => (id.replica == own).then_some(()),
        _ => None,
    };
    cluster.events_at(host, is_own).len()
}

/// A main that dies has numbered a part of what an edge sent it, and told a part of that. When it is back, the edge
/// sends the rest, whatever that is.
async fn main_restart_mid_flush(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    cluster.settle().await;
    cluster.go_offline(edge).await;
    for number in 0..1_000 {
        write(cluster, edge, create_user(&format!("user {number}"), "")).await;
    }
    cluster.go_online(edge).await;
    let mut taken_in = Vec::new();
    // Long enough for a hello each way and the first batches.
    for _ in 0..8 {
        cluster.wait(30).await;
        cluster.crash(main, 0);
        cluster.wait(1_000).await;
        cluster.restart(main).await;
        taken_in.push(rows(cluster, main, "User"));
    }
    let is_part = taken_in.iter().any(|users| (1..1_000).contains(users));
    let found = format!("it starts again with {taken_in:?} of 1000");
    cluster.check("the main dies with a part of the queue", is_part, found);
    cluster.settle().await;
    let operations = queued(cluster, edge);
    cluster.check("the queue is empty in the end", operations == 0, format!("{operations} operations"));
    let users = each(cluster, |host| format!("{} users", rows(cluster, host, "User")));
    check_list(cluster, "nothing is lost", users, ["1000 users"; 3]);
}

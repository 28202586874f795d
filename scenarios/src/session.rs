//! Distributed Sync Engine §1: handshake, exchange under vector clocks, gossip; and who is refused a session.

use std::collections::BTreeSet;

use kuzusync_core::Error;
use kuzusync_core::change::ChangeId;
use kuzusync_core::id::ReplicaId;
use kuzusync_core::message::Message;
use kuzusync_core::replica::Notice;
use kuzusync_core::value::Value;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::disk::Disk;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, create_user, create_user_table, each, queued, rename, rows, shown, shown_at, write,
};
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
            claims: &[],
            seed: Seed(11),
            options: peers.clone(),
            body: |cluster| Box::pin(handshake(cluster)),
        },
        Scenario {
            name: "vector-clock-exchange",
            story: "Replica a writes one change; replica b receives it, and its clock counts the receipt.",
            cases: &[Case::D1_2],
            claims: &[],
            seed: Seed(12),
            options: peers,
            body: |cluster| Box::pin(vector_clock_exchange(cluster)),
        },
        Scenario {
            name: "gossip",
            story: "Five peers; what peer 0 tells peer 1 alone reaches the others while peer 0 is cut off from them.",
            cases: &[Case::DA1],
            claims: &[],
            seed: Seed(13),
            options: Options { replicas: 5, has_main: false, ..Options::default() },
            body: |cluster| Box::pin(gossip(cluster)),
        },
        Scenario {
            name: "wiped-edge",
            story: "An edge loses its disk, with a change that nobody else has, and comes back with an empty one.",
            cases: &[],
            claims: &[
                "it comes back as a new replica",
                "it gets everything again",
                "what it writes is its first change",
            ],
            seed: Seed(14),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(wiped_edge(cluster)),
        },
        Scenario {
            name: "cloned-edge",
            story: "Somebody starts edge 2 from a copy of edge 1's disk, and both write. Then the copy is wiped.",
            cases: &[],
            claims: &[
                "the copy's session ends with the name it shares",
                "its change is nobody's",
                "wiped it joins as another replica",
            ],
            seed: Seed(15),
            options: Options::default(),
            body: |cluster| Box::pin(cloned_edge(cluster)),
        },
        Scenario {
            name: "rolling-upgrade",
            story: "The main and edge 1 speak protocol 0.9, edge 2 speaks 1.0. All write while the main is upgraded, and \
                    then edge 1.",
            cases: &[],
            claims: &[
                "the older refuses the newer's version by name",
                "sessions of two versions talk in the older",
                "nothing is said to the older that it does not understand",
                "upgraded they talk in the newest",
                "nothing is lost",
            ],
            seed: Seed(17),
            options: Options { older_hosts: [0, 1].into(), ..Options::default() },
            body: |cluster| Box::pin(rolling_upgrade(cluster)),
        },
        Scenario {
            name: "foreign-main",
            story: "While edge 1 has a change to tell, somebody starts the main from an empty disk. Then its own is \
                    put back.",
            cases: &[],
            claims: &[
                "edges refuse another main by name",
                "they lose nothing to it",
                "with the main's own disk back they go on",
            ],
            seed: Seed(16),
            options: Options::default(),
            body: |cluster| Box::pin(foreign_main(cluster)),
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

async fn rolling_upgrade(cluster: &mut Cluster) {
    let people = ["Ann", "Bob", "Cy", "Dan", "Eve"];
    write(cluster, 2, create_user_table()).await;
    cluster.wait(1_000).await;
    write(cluster, 1, create_user("1", people[0])).await;
    write(cluster, 2, create_user("2", people[1])).await;
    cluster.wait(1_000).await;
    let refused = cluster.events_at(0, |kind| match kind {
        EventKind::Refused { error } => Some(error.clone()),
        _ => None,
    });
    let expected = "the peer speaks protocol 1.0, this replica 0.9; upgrade the older";
    let is_named = !refused.is_empty() && refused.iter().all(|words| words == expected);
    cluster.check("the older refuses the newer's version by name", is_named, refused.join("; "));
    let mixed: BTreeSet<String> = each(cluster, |host| versions(cluster, host)).concat().into_iter().collect();

    for (host, person) in [(0, people[2]), (1, people[3])] {
        // On its way while the host stops.
        write(cluster, 2, create_user(person, person)).await;
        cluster.upgrade(host).await;
        cluster.wait(2_000).await;
    }
    write(cluster, 1, create_user("5", people[4])).await;
    cluster.settle().await;
    let upgraded: Vec<String> = each(cluster, |host| versions(cluster, host).pop().unwrap_or_default());
    check_list(cluster, "sessions of two versions talk in the older", mixed, ["0.9"]);
    let misunderstood = cluster.events(|kind| match kind {
        EventKind::Refused { error } if !error.contains("speaks protocol") => Some(error.clone()),
        _ => None,
    });
    let (tagged, before) = sent_to_the_older(cluster);
    let found = format!("{tagged} of {before} messages to hosts before their upgrade bear tags; {misunderstood:?}");
    let clause = "nothing is said to the older that it does not understand";
    cluster.check(clause, tagged == 0 && before > 4 && misunderstood.is_empty(), found);
    check_list(cluster, "upgraded they talk in the newest", upgraded, ["1.0"; 3]);
    let found = each(cluster, |host| rows(cluster, host, "User"));
    check_list(cluster, "nothing is lost", found, [people.len(); 3]);
}

/// The versions of the sessions that a host told of, in order.
fn versions(cluster: &Cluster, host: u32) -> Vec<String> {
    cluster.events_at(host, |kind| match kind {
        EventKind::Notified(Notice::Established { protocol_version, .. }) => Some(protocol_version.clone()),
        _ => None,
    })
}

/// How many messages with tags, and how many messages, were sent to hosts that had yet to be upgraded.
fn sent_to_the_older(cluster: &Cluster) -> (usize, usize) {
    let world = cluster.world().borrow();
    let mut older = world.options().older_hosts.clone();
    let (mut tagged, mut all) = (0, 0);
    for event in world.events() {
        match &event.kind {
            EventKind::Upgraded => drop(event.host.map(|host| older.remove(&host))),
            EventKind::Sent { to, frame, .. } if older.contains(to) => {
                all += 1;
                tagged += usize::from(Message::is_tagged(frame));
            }
            _ => {}
        }
    }
    (tagged, all)
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

fn id_of(cluster: &Cluster, host: u32) -> ReplicaId {
    cluster.ask(host, |replica| replica.id()).unwrap_or_default()
}

/// What a host has refused so far.
fn refusals(cluster: &Cluster, host: u32) -> Vec<String> {
    cluster.events_at(host, |kind| match kind {
        EventKind::Refused { error } => Some(error.clone()),
        _ => None,
    })
}

/// A replica that comes back without its memory must not be taken for the one it was: whoever counts its changes from
/// where the old one had stopped would wait for ever, or pass over its first ones as known.
async fn wiped_edge(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    cluster.settle().await;
    write(cluster, edge, create_user("alice", "Alice")).await;
    write(cluster, edge, create_user("bob", "Bob")).await;
    cluster.settle().await;
    cluster.isolate(edge);
    write(cluster, edge, create_user("nobody knows", "")).await;
    let old = id_of(cluster, edge);
    cluster.replace_disk(edge, Disk::default()).await;
    let new = id_of(cluster, edge);
    cluster.check("it comes back as a new replica", old != new, format!("{} after {}", new.short(), old.short()));
    cluster.settle().await;
    let users = each(cluster, |host| format!("{} users", rows(cluster, host, "User")));
    check_list(cluster, "it gets everything again", users, ["2 users"; 3]);
    let first = write(cluster, edge, create_user("carol", "Carol")).await;
    cluster.settle().await;
    let first = first.map_or("refused".to_owned(), |id| id.to_string());
    let found = [first, shown_at(cluster, main, "User", "carol", "name")];
    let expected = [ChangeId { replica: new, seq: 1 }.to_string(), "Carol".to_owned()];
    check_list(cluster, "what it writes is its first change", found, expected);
}

/// Two replicas that write under one identity give two changes one name. Whoever took both for one change would end
/// with another graph than the others, for ever. So each change carries the digest of its author's one before.
async fn cloned_edge(cluster: &mut Cluster) {
    let (main, original, copy) = (0, 1, 2);
    write(cluster, main, create_user_table()).await;
    cluster.settle().await;
    write(cluster, original, create_user("alice", "Alice")).await;
    cluster.settle().await;
    let disk = cluster.copy_disk(original);
    cluster.replace_disk(copy, disk).await;
    cluster.go_offline(copy).await;
    write(cluster, copy, rename("alice", "by the copy")).await;
    write(cluster, original, rename("alice", "by the original")).await;
    cluster.wait(1_000).await;
    cluster.go_online(copy).await;
    cluster.wait(5_000).await;
    let cloned = Error::ClonedReplica { replica: id_of(cluster, original) }.to_string();
    let refused = [refusals(cluster, main), refusals(cluster, copy)].concat();
    let by_name = !refused.is_empty() && refused.iter().all(|error| *error == cloned);
    cluster.check("the copy's session ends with the name it shares", by_name, refused.join(", "));
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "its change is nobody's", names, ["by the original", "by the original", "by the copy"]);
    cluster.replace_disk(copy, Disk::default()).await;
    cluster.settle().await;
    write(cluster, copy, rename("alice", "by edge 2 as itself")).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "wiped it joins as another replica", names, ["by edge 2 as itself"; 3]);
}

/// A main without its memory would number from one again, and everybody's numbers would mean two things.
async fn foreign_main(cluster: &mut Cluster) {
    let (main, edges) = (0, [1, 2]);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    let expected = id_of(cluster, main);
    cluster.isolate(main);
    write(cluster, edges[0], rename("alice", "by the edge")).await;
    let disk = cluster.replace_disk(main, Disk::default()).await;
    cluster.heal();
    cluster.wait(5_000).await;
    let foreign = Error::ForeignMain { found: id_of(cluster, main), expected }.to_string();
    let refused = edges.map(|edge| refusals(cluster, edge));
    let by_name = refused.iter().all(|errors| !errors.is_empty() && errors.iter().all(|error| *error == foreign));
    cluster.check("edges refuse another main by name", by_name, refused.concat().join(", "));
    let names = shown(cluster, "User", "alice", "name");
    let pending = format!("{} pending", queued(cluster, edges[0]));
    let expected = ["no row", "by the edge", "Alice", "1 pending"];
    check_list(cluster, "they lose nothing to it", [names, vec![pending]].concat(), expected);
    cluster.replace_disk(main, disk).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "with the main's own disk back they go on", names, ["by the edge"; 3]);
}

//! Why the rules are not simpler: for each simpler rule that was tried, the history in which it goes wrong.
//!
//! Each has a planted bug that is the simpler rule. The scenario passes as the engine is, and finds the bug when it is
//! planted.

use kuzusync_core::planted::Bug;
use kuzusync_core::policy::Policy;
use kuzusync_core::replica::{EPOCH_WINDOW, Notice};
use kuzusync_core::value::Type;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::sample::{
    check_list, connect, create, create_user, create_user_table, delete, each, edge_table, epochs, increment,
    node_table, rename, set_policy, shown, shown_at, update, write, write_strictly,
};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    all().into_iter().map(|(_, scenario)| scenario).collect()
}

/// Each simpler rule as a planted bug, with the scenario in which it goes wrong.
#[must_use]
pub fn all() -> Vec<(Bug, Scenario)> {
    let four = Options { replicas: 4, ..Options::default() };
    let peers = Options { has_main: false, ..Options::default() };
    vec![
        (Bug::CompactedAccepted, crate::compaction::late_insert_after_a_purge()),
        (
            Bug::EpochOnReceipt,
            Scenario {
                name: "epoch-on-receipt",
                story: "An edge gets a change of the main's before the one that comes first, and writes before it can \
                        apply either.",
                cases: &[],
                claims: &["the change arrives early and waits", "the main's change beats what had not seen it"],
                seed: Seed(91),
                options: Options::default(),
                body: |cluster| Box::pin(epoch_on_receipt(cluster)),
            },
        ),
        (
            Bug::EpochDropped,
            Scenario {
                name: "epoch-dropped",
                story: "Two edges go offline shortly after each other. The second writes offline what a third has \
                        written online.",
                cases: &[],
                claims: &["both disconnections begin one epoch", "what was written while connected wins"],
                seed: Seed(92),
                options: four,
                body: |cluster| Box::pin(epoch_dropped(cluster)),
            },
        ),
        (
            Bug::OneMask,
            Scenario {
                name: "one-mask",
                story: "An online write beats a later offline one. Then the table's policy is set to last_write_wins.",
                cases: &[],
                claims: &["under the policy of then the online write wins", "under the new one the later write wins"],
                seed: Seed(93),
                options: Options::default(),
                body: |cluster| Box::pin(one_mask(cluster)),
            },
        ),
        (
            Bug::UnnumberedInRegisters,
            Scenario {
                name: "unnumbered-in-registers",
                story: "Cut off, an edge strictly renames a user whom the main renames meanwhile.",
                cases: &[],
                claims: &["the edge's name shows while it is pending", "rejected it leaves no trace"],
                seed: Seed(94),
                options: Options::default(),
                body: |cluster| Box::pin(unnumbered_in_registers(cluster)),
            },
        ),
        (
            Bug::NodeDeleteKeepsEdges,
            Scenario {
                name: "node-delete-keeps-edges",
                story: "A user follows two others. The main deletes the user, and creates one of the same key, while \
                        an edge lets the user follow a third.",
                cases: &[],
                claims: &[
                    "the deleted node's edges are gone for good",
                    "the edge nobody knew of comes with the new node",
                ],
                seed: Seed(95),
                options: Options::default(),
                body: |cluster| Box::pin(node_delete_keeps_edges(cluster)),
            },
        ),
        (
            Bug::NoGapCheck,
            Scenario {
                name: "no-gap-check",
                story: "Peer 0 sells five; peer 1 hears of it and counts the stock; peer 2 hears of the count and \
                        not of the sale, and takes the stock down to what it sees less one.",
                cases: &[],
                claims: &["the count waits for the sale it had seen", "the sale is subtracted once"],
                seed: Seed(96),
                options: peers,
                body: |cluster| Box::pin(no_gap_check(cluster)),
            },
        ),
    ]
}

/// In a prefer-main table a write of the main beats what had not seen it: the main raises the table's authority epoch
/// with every write, the others stamp the greatest they know. It is simpler to take note of an epoch when the change
/// that carries it is received, as clocks usually are merged. But a change may be received long before it can be
/// applied. Here the second of two changes of the main's reaches an edge while the first is lost. The edge, whose
/// client sees neither, would write with the authority of the second, and beat it by its later timestamp.
async fn epoch_on_receipt(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, set_policy("User", Policy::PreferMain)).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    cluster.isolate(edge);
    write(cluster, main, create_user("bob", "Bob")).await;
    cluster.heal();
    write(cluster, main, rename("alice", "by the main")).await;
    cluster.wait(20).await;
    let held = cluster.events_at(edge, |kind| matches!(kind, EventKind::Notified(Notice::Held { .. })).then_some(()));
    let found = [shown_at(cluster, edge, "User", "alice", "name"), format!("{} held", held.len())];
    check_list(cluster, "the change arrives early and waits", found, ["Alice", "1 held"]);
    write(cluster, edge, rename("alice", "by the edge")).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "the main's change beats what had not seen it", names, ["by the main"; 3]);
}

/// When a replica disconnects, the main begins a new link epoch, and what is written in it beats what is written
/// offline. A network that breaks takes many replicas at once, so an epoch begins once for all of a short window. It
/// is simpler to begin it with the first of them and to ignore the others until the window is over. But who
/// disconnects within the window may just have heard of the new epoch, and would write offline with the rank of those
/// who are connected. So it begins at the window's end.
async fn epoch_dropped(cluster: &mut Cluster) {
    let (main, first, second, online) = (0, 1, 2, 3);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    cluster.go_offline(first).await;
    cluster.wait(EPOCH_WINDOW.as_millis() as u64 / 2).await;
    cluster.go_offline(second).await;
    cluster.wait(1_000).await;
    let expected = ["1 epochs", "0 epochs", "0 epochs", "1 epochs"];
    check_list(cluster, "both disconnections begin one epoch", epochs(cluster), expected);
    write(cluster, online, rename("alice", "online")).await;
    cluster.wait(1_000).await;
    write(cluster, second, rename("alice", "offline, later")).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "what was written while connected wins", names, ["online"; 4]);
}

/// A policy says which of the writes to a register counts. It is simpler to keep only the one that counts. But a
/// policy is set by a change like any other, which comes before some writes at one replica and after them at another;
/// and under the new policy a write may count that under the old one was thrown away. So a register keeps the
/// greatest write under each policy, and the policy picks when it is read.
async fn one_mask(cluster: &mut Cluster) {
    let (main, offline, online) = (0, 1, 2);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    cluster.go_offline(offline).await;
    cluster.wait(1_000).await;
    write(cluster, online, rename("alice", "online")).await;
    cluster.wait(1_000).await;
    write(cluster, offline, rename("alice", "offline, later")).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "under the policy of then the online write wins", names, ["online"; 3]);
    write(cluster, main, set_policy("User", Policy::LastWriteWins)).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "under the new one the later write wins", names, ["offline, later"; 3]);
}

/// A local change shows at once. It is simpler to write it where everything else is written. But the main may reject
/// it, and a register that holds it has lost what it displaced, and whatever came since and ranks lower. So what has
/// no number yet is kept whole beside the registers, and joined on top when they are read.
async fn unnumbered_in_registers(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    cluster.isolate(edge);
    write(cluster, main, rename("alice", "by the main")).await;
    cluster.wait(1_000).await;
    write_strictly(cluster, edge, rename("alice", "strictly")).await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "the edge's name shows while it is pending", names, ["by the main", "strictly", "by the main"]);
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "rejected it leaves no trace", names, ["by the main"; 3]);
}

/// An edge is shown only with both its ends, so it is simpler to let the delete of a node hide its edges and to
/// delete nothing else. But then a new node of the same key gets the edges of the old one. So whoever deletes a node
/// deletes, in the same change, every edge it knows; only an edge it had not seen hides with the node and comes back
/// with it, since nobody deleted it.
async fn node_delete_keeps_edges(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, edge_table("FOLLOWS", "User", "User")).await;
    for user in ["alice", "bob", "carol", "dave"] {
        write(cluster, main, create_user(user, user)).await;
    }
    let follow = |user| connect("FOLLOWS", ("User", "alice"), ("User", user));
    write(cluster, main, follow("bob")).await;
    write(cluster, main, follow("carol")).await;
    cluster.settle().await;
    cluster.isolate(edge);
    write(cluster, edge, follow("dave")).await;
    write(cluster, main, delete("User", "alice")).await;
    cluster.wait(1_000).await;
    write(cluster, main, create_user("alice", "another Alice")).await;
    let followed = |cluster: &Cluster, host| {
        let view = cluster.view(host);
        let ends = view.edges.get("FOLLOWS").into_iter().flatten().map(|(follow, _)| follow.to.key.to_string());
        ends.collect::<Vec<_>>()
    };
    let found = followed(cluster, main);
    check_list(cluster, "the deleted node's edges are gone for good", found, [""; 0]);
    cluster.settle().await;
    let found = each(cluster, |host| followed(cluster, host)).concat();
    check_list(cluster, "the edge nobody knew of comes with the new node", found, ["\"dave\""; 3]);
}

/// A number that is set stands for every increment its setter had seen; those it had not seen are added. It is
/// simpler to apply a change as soon as it is its author's next, as protocols with a version per author do. Then peer
/// 2 shows a count that includes the sale, and does not know of the sale. What it sets itself has seen the one and
/// not the other, and when the sale arrives, it is subtracted a second time, at every replica.
async fn no_gap_check(cluster: &mut Cluster) {
    let (seller, counter, last) = (0, 1, 2);
    let set_stock = |stock: i64| update("Item", "tea", [("stock", stock.into())]);
    write(cluster, seller, node_table("Item", &[("id", Type::String), ("stock", Type::Int64)])).await;
    write(cluster, seller, create("Item", [("id", "tea".into()), ("stock", 20.into())])).await;
    cluster.settle().await;
    cluster.isolate(last);
    write(cluster, seller, increment("Item", "tea", "stock", -5)).await;
    cluster.wait(100).await;
    cluster.heal();
    write(cluster, counter, set_stock(15)).await;
    cluster.wait(20).await;
    let seen = shown_at(cluster, last, "Item", "tea", "stock");
    check_list(cluster, "the count waits for the sale it had seen", [&seen], ["20"]);
    cluster.wait(5_000).await;
    let seen: i64 = shown_at(cluster, last, "Item", "tea", "stock").parse().unwrap_or_default();
    write(cluster, last, set_stock(seen - 1)).await;
    cluster.settle().await;
    let stock = shown(cluster, "Item", "tea", "stock");
    check_list(cluster, "the sale is subtracted once", stock, [14; 3]);
}

//! Minimal Sync Guide: the main numbers everything, everybody hears of everything, local changes show at once.

use std::collections::BTreeSet;

use kuzusync_core::log::Lsn;
use kuzusync_core::policy::Policy;
use kuzusync_core::replica::Notice;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::RowChange;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, create, create_user, create_user_table, increment, node_table, queued, rename, set_policy,
    shown, shown_at, timed_links, update, write, write_strictly,
};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "server-version",
            story: "The main dies again and again, each time a little later in what it does with the edges' changes, \
                    and starts again.",
            cases: &[Case::C1],
            claims: &[],
            seed: Seed(31),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(server_version(cluster)),
        },
        Scenario {
            name: "broadcast",
            story: "The main and both edges write; the main numbers everything and sends it to all.",
            cases: &[Case::C2],
            claims: &[],
            seed: Seed(32),
            options: Options::default(),
            body: |cluster| Box::pin(broadcast(cluster)),
        },
        Scenario {
            name: "optimistic-update",
            story: "An edge cut off from the main shows its own change at once and keeps it pending until it is heard.",
            cases: &[Case::C3],
            claims: &[],
            seed: Seed(33),
            options: Options::default(),
            body: |cluster| Box::pin(optimistic_update(cluster)),
        },
        Scenario {
            name: "reconciliation",
            story: "Messages take 50 ms. While a change of the main is on its way to an edge, the edge writes two of \
                    its own. Then the same with a strict change, which the main rejects.",
            cases: &[Case::C4],
            claims: &[],
            seed: Seed(34),
            options: timed_links(50),
            body: |cluster| Box::pin(reconciliation(cluster)),
        },
        Scenario {
            name: "stale-base",
            story: "While the main is cut off, three edges strictly rename one user; one that loses looks and tries \
                    again.",
            cases: &[Case::C7],
            claims: &[],
            seed: Seed(37),
            options: Options { replicas: 4, links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(stale_base(cluster)),
        },
        Scenario {
            name: "strict-mode",
            story: "An edge that is cut off writes strictly: after an own change to the row, and to a row beside one \
                    that the main writes to meanwhile.",
            cases: &[],
            claims: &[
                "an own earlier change makes a strict one no staler",
                "a change to another row makes a strict one no staler",
                "a strict change waits in the queue like any other",
            ],
            seed: Seed(38),
            options: Options::default(),
            body: |cluster| Box::pin(strict_mode(cluster)),
        },
        Scenario {
            name: "late-acknowledgement",
            story: "Messages take 50 ms. The main gets an edge's change, and the link breaks before it can say so. \
                    The edge dies and starts again before it hears.",
            cases: &[],
            claims: &[
                "the main has it while it is pending at its author",
                "it is pending still after its author's restart",
                "the late acknowledgement empties the queue",
                "it is applied once",
            ],
            seed: Seed(39),
            options: timed_links(50),
            body: |cluster| Box::pin(late_acknowledgement(cluster)),
        },
    ]
}

/// The number that an event tells of.
fn number_told(kind: &EventKind) -> Option<Lsn> {
    match kind {
        EventKind::Notified(Notice::Applied { entry }) => entry.lsn,
        EventKind::Notified(Notice::Numbered { lsn, .. } | Notice::Ruled { lsn, .. }) => Some(*lsn),
        _ => None,
    }
}

async fn server_version(cluster: &mut Cluster) {
    let (main, edges) = (0, [1, 2]);
    write(cluster, main, create_user_table()).await;
    cluster.settle().await;
    for outputs in 1..=12 {
        cluster.crash(main, outputs);
        for edge in edges {
            write(cluster, edge, create_user(&format!("{outputs} at edge {edge}"), "")).await;
        }
        cluster.wait(2_000).await;
        cluster.restart(main).await;
    }
    cluster.settle().await;

    let last = cluster.ask(main, |replica| replica.log().lsn_known()).unwrap_or_default();
    let told = edges.map(|edge| cluster.events_at(edge, number_told));
    let is_gapless = last > 24 && told.iter().all(|told| told.iter().copied().eq(1..=last));
    let found = told.map(|told| format!("{} numbers up to {}", told.len(), told.last().unwrap_or(&0)));
    cluster.check("each edge hears every number once, without a gap", is_gapless, found.join(", "));
    let meant = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Applied { entry }) => Some((entry.change.id, entry.lsn?)),
        EventKind::Notified(Notice::Numbered { id, lsn }) => Some((*id, *lsn)),
        _ => None,
    };
    let kept = cluster
        .events(meant)
        .into_iter()
        .map(|(id, lsn)| cluster.ask(main, |replica| replica.log().lsn(id)).flatten() == Some(lsn));
    let (kept, lost): (Vec<_>, Vec<_>) = kept.partition(|is_kept| *is_kept);
    let restarts = cluster.events_at(main, |kind| matches!(kind, EventKind::Opened { .. }).then_some(())).len() - 1;
    let found = format!("{restarts} restarts, {} numbers told mean the same, {} do not", kept.len(), lost.len());
    cluster.check("numbers survive the main's restarts", restarts > 5 && !kept.is_empty() && lost.is_empty(), found);
    let id = cluster.ask(main, |replica| replica.id()).unwrap_or_default();
    let told_or_kept = |kind: &EventKind| match kind {
        EventKind::Opened { replica, cursor, .. } if *replica == id => Some((true, cursor.lsn)),
        _ => number_told(kind).map(|lsn| (false, lsn)),
    };
    let (mut told, mut forgotten) = (0, Vec::new());
    for (is_restart, lsn) in cluster.events(told_or_kept) {
        if is_restart && lsn < told {
            forgotten.push(format!("number {told} was told and {lsn} kept"));
        }
        told = told.max(lsn);
    }
    check_list(cluster, "a number is durable before anybody hears of it", forgotten, [""; 0]);
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
    let pending = queued(cluster, edge);
    cluster.check("pending until acknowledged", pending == 1, format!("{pending} operations queued while cut off"));
    cluster.settle().await;
    let left = queued(cluster, edge);
    let heard = is_shown(cluster, main);
    let found = format!("{left} operations queued after healing, shown at the main: {heard}");
    cluster.check("no longer pending once acknowledged", left == 0 && heard, found);
}

async fn reconciliation(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let columns = [("id", Type::String), ("name", Type::String), ("visits", Type::Int64)];
    write(cluster, main, node_table("User", &columns)).await;
    write(cluster, main, set_policy("User", Policy::ServerOrder)).await;
    write(cluster, main, create("User", [("id", "alice".into()), ("name", "Alice".into()), ("visits", 0.into())]))
        .await;
    cluster.settle().await;
    let visits_and_name = |name: &str, by| vec![increment("User", "alice", "visits", by), rename("alice", name)];
    let looks = |cluster: &Cluster| {
        let property = |column| shown_at(cluster, edge, "User", "alice", column);
        format!("{} with {} visits and {} pending", property("name"), property("visits"), queued(cluster, edge))
    };

    // At 0 ms the main writes, at 10 and 40 ms the edge does. The edge hears of the first at 50, of its own at 110 and
    // 140.
    let mut own = Vec::new();
    drop(cluster.submit(main, visits_and_name("by the main", 100)).await);
    cluster.wait(10).await;
    own.push(cluster.submit(edge, visits_and_name("first", 1)).await.ok());
    cluster.wait(30).await;
    own.push(cluster.submit(edge, visits_and_name("second", 10)).await.ok());
    let before = looks(cluster);
    cluster.wait(35).await;
    let with_remote = looks(cluster);
    cluster.wait(50).await;
    let half_acknowledged = looks(cluster);
    cluster.settle().await;
    let found = [before, with_remote, half_acknowledged, looks(cluster)];
    let expected = [
        "second with 11 visits and 4 pending",
        "second with 111 visits and 4 pending",
        "second with 111 visits and 2 pending",
        "second with 111 visits and 0 pending",
    ];
    check_list(
        cluster,
        "what is pending lies on top of what the main numbered, and nothing else does",
        found,
        expected,
    );
    let applied = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Applied { entry }) => own.contains(&Some(entry.change.id)).then_some(()),
        _ => None,
    };
    let times = cluster.events_at(edge, applied).len();
    let visits = shown(cluster, "User", "alice", "visits");
    let holds = times == 2 && visits == ["111"; 3];
    cluster.check(
        "no change is applied twice",
        holds,
        format!("two changes, applied {times} times in all; visits: {}", visits.join(", ")),
    );

    drop(cluster.submit(main, visits_and_name("by the main again", 1_000)).await);
    cluster.wait(10).await;
    write_strictly(cluster, edge, update("User", "alice", [("name", "strictly".into())])).await;
    let at_once = looks(cluster);
    cluster.wait(55).await;
    let with_remote = looks(cluster);
    cluster.settle().await;
    let found = [at_once, with_remote, looks(cluster)];
    let expected = [
        "strictly with 111 visits and 1 pending",
        "strictly with 1111 visits and 1 pending",
        "by the main again with 1111 visits and 0 pending",
    ];
    check_list(cluster, "what a rejected change had displaced is back", found, expected);
    let deleted = cluster.events(|kind| match kind {
        EventKind::Viewed(delta) => {
            delta.nodes.values().flatten().find(|(_, row)| **row == RowChange::Delete).map(|_| ())
        }
        _ => None,
    });
    let found = format!("{} rows deleted", deleted.len());
    cluster.check("no row is ever deleted", deleted.is_empty(), found);
}

async fn stale_base(cluster: &mut Cluster) {
    let (main, edges) = (0, [1, 2, 3]);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    cluster.partition(1 << main);
    for edge in edges {
        write_strictly(cluster, edge, rename("alice", &format!("by edge {edge}"))).await;
    }
    cluster.settle().await;
    let reasons = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Rejected { reason, .. }) => Some(reason.name()),
        _ => None,
    };
    let reasons = edges.map(|edge| cluster.events_at(edge, reasons));
    let (winners, losers): (Vec<_>, Vec<_>) =
        edges.into_iter().zip(&reasons).partition(|(_, reasons)| reasons.is_empty());
    let names: BTreeSet<_> = shown(cluster, "User", "alice", "name").into_iter().collect();
    let found = names.iter().cloned().collect::<Vec<_>>().join(", ");
    let is_one = winners.len() == 1 && winners.iter().all(|(edge, _)| found == format!("by edge {edge}"));
    cluster.check("of three concurrent strict changes exactly one wins", is_one, found);
    let found = losers.iter().flat_map(|(_, reasons)| reasons.iter());
    check_list(cluster, "the others are refused with VersionMismatch", found, ["VersionMismatch"; 2]);
    let again = losers.first().map_or(main, |(edge, _)| *edge);
    write_strictly(cluster, again, rename("alice", "having seen the winner")).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "one that has seen the winner is not stale", names, ["having seen the winner"; 4]);
}

async fn strict_mode(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    for user in ["alice", "bob", "carol"] {
        write(cluster, main, create_user(user, user)).await;
    }
    cluster.settle().await;
    cluster.isolate(edge);
    write(cluster, edge, rename("alice", "first")).await;
    write_strictly(cluster, edge, rename("alice", "second")).await;
    write_strictly(cluster, edge, rename("bob", "by the edge")).await;
    write(cluster, main, rename("carol", "by the main")).await;
    cluster.crash(edge, 0);
    cluster.restart(edge).await;
    let operations = queued(cluster, edge);
    let found = format!("{operations} operations queued after a restart");
    cluster.check("a strict change waits in the queue like any other", operations == 3, found);
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "an own earlier change makes a strict one no staler", names, ["second"; 3]);
    let names = [shown(cluster, "User", "bob", "name"), shown(cluster, "User", "carol", "name")].concat();
    let expected = [["by the edge"; 3], ["by the main"; 3]].concat();
    check_list(cluster, "a change to another row makes a strict one no staler", names, expected);
}

/// What the main has numbered and its author has not heard of lies in both their logs. It must neither be sent as new
/// again, nor leave the queue before its number comes.
async fn late_acknowledgement(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    cluster.settle().await;
    write(cluster, edge, create_user("bob", "Bob")).await;
    cluster.wait(60).await;
    cluster.isolate(edge);
    cluster.wait(5_000).await;
    let shows = shown_at(cluster, main, "User", "bob", "name");
    let found = [shows, format!("{} pending", queued(cluster, edge))];
    check_list(cluster, "the main has it while it is pending at its author", found, ["Bob", "1 pending"]);
    cluster.crash(edge, 0);
    cluster.restart(edge).await;
    let found = [shown_at(cluster, edge, "User", "bob", "name"), format!("{} pending", queued(cluster, edge))];
    check_list(cluster, "it is pending still after its author's restart", found, ["Bob", "1 pending"]);
    let replicas = cluster.settle().await;
    let operations = queued(cluster, edge);
    cluster.check("the late acknowledgement empties the queue", operations == 0, format!("{operations} operations"));
    let changes = replicas.iter().map(|replica| format!("{} changes", replica.log.len()));
    check_list(cluster, "it is applied once", changes, ["2 changes"; 3]);
}

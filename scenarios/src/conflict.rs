//! Distributed Sync Engine §2: conflicts, found and resolved.

use kuzusync_core::conflict::Resolution;
use kuzusync_core::replica::Notice;
use kuzusync_core::value::Type;
use kuzusync_sim::clock::START_MS;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, create, create_user, create_user_table, each, increment, node_table, rename, set_email,
    shown, shown_at, write,
};
use crate::scenario::Scenario;

const HOUR_MS: i64 = 3_600_000;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "concurrent-update",
            story: "While the link between them is cut, a and b give one user different emails, b one second later.",
            cases: &[Case::D2_1],
            claims: &[],
            seed: Seed(21),
            options: Options { replicas: 3, has_main: false, ..Options::default() },
            body: |cluster| Box::pin(concurrent_update(cluster)),
        },
        Scenario {
            name: "semantic-merge",
            story: "Two edges, both cut off, sell three and five of the same twenty. Who sold first dies and is \
                    heard last, and links lose, repeat and reorder what both send.",
            cases: &[Case::D2_2],
            claims: &[],
            seed: Seed(22),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(semantic_merge(cluster)),
        },
        Scenario {
            name: "slow-clock",
            story: "An edge whose clock is an hour slow renames a user whom the main has just renamed.",
            cases: &[],
            claims: &["what was written after seeing the other wins, whatever the clocks say", "it is no conflict"],
            seed: Seed(23),
            options: Options { skew_ms: vec![0, -HOUR_MS], ..Options::default() },
            body: |cluster| Box::pin(slow_clock(cluster)),
        },
        Scenario {
            name: "fast-clock",
            story: "An edge whose clock is an hour fast renames a user; two seconds later another edge, cut off, \
                    does so too.",
            cases: &[],
            claims: &[
                "a change from so far ahead is rejected for drift",
                "its author writes it again under the main's time",
                "a later one wins",
            ],
            seed: Seed(24),
            options: Options { skew_ms: vec![0, HOUR_MS], ..Options::default() },
            body: |cluster| Box::pin(fast_clock(cluster)),
        },
    ]
}

async fn concurrent_update(cluster: &mut Cluster) {
    let (a, b) = (0, 1);
    let base = cluster.submit(a, vec![create_user_table(), create_user("user_123", "Alice")]).await;
    cluster.settle().await;
    cluster.partition(1 << a);
    let first = cluster.submit(a, vec![set_email("user_123", "alice@a.com")]).await;
    cluster.wait(1_000).await;
    let second = cluster.submit(b, vec![set_email("user_123", "alice@b.com")]).await;
    let replicas = cluster.settle().await;

    let done = base.is_ok() && first.is_ok() && second.is_ok() && !replicas.is_empty();
    let losses: Vec<_> = replicas.iter().map(|replica| replica.audit.as_slice()).collect();
    let conflicts: Vec<_> = losses.iter().flat_map(|audit| audit.iter().map(|loss| loss.conflict.name())).collect();
    let each_once = done && losses.iter().all(|audit| audit.len() == 1);
    let is_update = each_once && conflicts.iter().all(|conflict| *conflict == "concurrent_update");
    cluster.check("reported as concurrent_update", is_update, conflicts.join(", "));
    let rules: Vec<_> = losses.iter().flat_map(|audit| audit.iter().map(|loss| loss.resolution.name())).collect();
    let is_last = each_once && rules.iter().all(|rule| *rule == "last_write_wins");
    cluster.check("resolved last_write_wins", is_last, rules.join(", "));
    let emails = shown(cluster, "User", "user_123", "email");
    check_list(cluster, "the value is alice@b.com everywhere", emails, ["alice@b.com"; 3]);
}

async fn semantic_merge(cluster: &mut Cluster) {
    let (main, a, b) = (0, 1, 2);
    write(cluster, main, node_table("Item", &[("id", Type::String), ("stock", Type::Int64)])).await;
    write(cluster, main, create("Item", [("id", "tea".into()), ("stock", 20.into())])).await;
    cluster.settle().await;
    cluster.partition(1 << main);
    let first = write(cluster, b, increment("Item", "tea", "stock", -3)).await;
    cluster.crash(b, 0);
    cluster.wait(1_000).await;
    let second = write(cluster, a, increment("Item", "tea", "stock", -5)).await;
    cluster.heal();
    cluster.wait(10_000).await;
    let replicas = cluster.settle().await;
    let sales = [first, second];

    let stock = shown(cluster, "Item", "tea", "stock").into_iter().map(|stock| format!("{stock} of 20"));
    check_list(cluster, "−5 and −3 give −8 on every replica", stock, ["12 of 20"; 3]);
    let sale = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Applied { entry }) => sales.contains(&Some(entry.change.id)).then_some(()),
        _ => None,
    };
    let applied = each(cluster, |host| format!("{} sales", cluster.events_at(host, sale).len()));
    check_list(cluster, "each is counted exactly once", applied, ["2 sales"; 3]);
    let merge = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Merged { .. }) => Some(Resolution::CUMULATIVE),
        _ => None,
    };
    let merged = each(cluster, |host| cluster.events_at(host, merge)).concat();
    check_list(cluster, "every replica reports them as cumulative", merged, ["cumulative"; 3]);
    let losses = replicas.iter().map(|replica| format!("{} losses", replica.audit.len()));
    check_list(cluster, "neither is recorded as lost", losses, ["0 losses"; 3]);
}

/// Clocks that show wall time alone let a slow one lose to what its owner had seen and overwritten.
async fn slow_clock(cluster: &mut Cluster) {
    let (main, slow) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    write(cluster, main, rename("alice", "by the main")).await;
    cluster.settle().await;
    write(cluster, slow, rename("alice", "by the slow one")).await;
    let replicas = cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    let clause = "what was written after seeing the other wins, whatever the clocks say";
    check_list(cluster, clause, names, ["by the slow one"; 3]);
    let losses = replicas.iter().map(|replica| format!("{} losses", replica.audit.len()));
    check_list(cluster, "it is no conflict", losses, ["0 losses"; 3]);
}

/// A clock that is merged from whatever arrives lets one fast clock drag all along, and its owner win against
/// everybody until they catch up.
async fn fast_clock(cluster: &mut Cluster) {
    let (main, fast, late) = (0, 1, 2);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    cluster.settle().await;
    cluster.isolate(late);
    write(cluster, fast, rename("alice", "by the fast one")).await;
    cluster.wait(1_000).await;
    let reasons = cluster.events_at(fast, |kind| match kind {
        EventKind::Notified(Notice::Rejected { reason, .. }) => Some(reason.name()),
        _ => None,
    });
    check_list(cluster, "a change from so far ahead is rejected for drift", reasons, ["drift"]);
    let stamp = cluster.ask(main, |replica| replica.log().changes().last().map(|change| change.timestamp.ms)).flatten();
    let found = [
        shown_at(cluster, main, "User", "alice", "name"),
        format!("{} s after", (stamp.unwrap_or(0) - START_MS) / 1_000),
    ];
    check_list(cluster, "its author writes it again under the main's time", found, ["by the fast one", "0 s after"]);
    cluster.wait(1_000).await;
    write(cluster, late, rename("alice", "later")).await;
    cluster.settle().await;
    let names = shown(cluster, "User", "alice", "name");
    check_list(cluster, "a later one wins", names, ["later"; 3]);
}

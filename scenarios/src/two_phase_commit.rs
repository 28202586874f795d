//! Distributed Sync Engine §3: what several replicas do together or not at all.

use std::collections::BTreeSet;

use kuzusync_core::Error;
use kuzusync_core::ddl::Rule;
use kuzusync_core::id::TxId;
use kuzusync_core::replica::Notice;
use kuzusync_core::statement::Statement;
use kuzusync_core::two_phase::{Decision, LEASE, Vote};
use kuzusync_core::value::Type;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::disk::Disk;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, connect, create, create_user, create_user_table, each, edge_table, increment, node_table,
    rename, set_email, shown, timed_links, update, write,
};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let peers = |replicas| Options { replicas, has_main: false, ..Options::default() };
    let scenario = |name, story, seed, options, claims, body| Scenario {
        name,
        story,
        cases: &[],
        claims,
        seed: Seed(seed),
        options,
        body,
    };
    vec![
        Scenario {
            name: "two-phase-commit",
            story: "A main and two edges vote on an edge from user_1 to user_2, over bad links.",
            cases: &[Case::D3_1],
            claims: &[],
            seed: Seed(31),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(commit(cluster)),
        },
        Scenario {
            name: "two-phase-commit-without-a-main",
            story: "Three peers vote on an edge from user_1 to user_2, over bad links.",
            cases: &[Case::D3_1],
            claims: &[],
            seed: Seed(31),
            options: Options { links: bad_links(), ..peers(3) },
            body: |cluster| Box::pin(commit(cluster)),
        },
        Scenario {
            name: "two-phase-rollback",
            story: "The disk of edge 2 is full when it is asked to prepare, and has room again a moment later.",
            cases: &[Case::D3_2],
            claims: &[],
            seed: Seed(32),
            options: Options::default(),
            body: |cluster| Box::pin(roll_back(cluster)),
        },
        Scenario {
            name: "two-phase-rollback-without-a-main",
            story: "The disk of peer 2 is full when it is asked to prepare, and has room again a moment later.",
            cases: &[Case::D3_2],
            claims: &[],
            seed: Seed(32),
            options: peers(3),
            body: |cluster| Box::pin(roll_back(cluster)),
        },
        scenario(
            "reasons-to-vote-abort",
            "Edge 1 proposes what edge 2 has no table for, what would break a constraint, what another transaction holds, and \
             what a replica that is away should vote on.",
            33,
            timed_links(20),
            &[
                "whose schema lacks the table votes abort",
                "whoever would break a constraint votes abort",
                "two transactions over one row are not both prepared",
                "who is away is ParticipantOffline at once",
                "a column with a constraint takes no ordinary write",
                "what is rolled back shows nowhere",
            ],
            |cluster| Box::pin(reasons(cluster)),
        ),
        scenario(
            "partition-between-prepare-and-decision",
            "Messages take 20 ms. The coordinator is cut off when the others have prepared, for longer than a lease.",
            34,
            timed_links(20),
            &[
                "the participants are prepared when the network splits",
                "a participant takes over through the main at the end of its lease",
                "the coordinator decides nothing else when it is back",
            ],
            |cluster| Box::pin(partition(cluster)),
        ),
        scenario(
            "two-coordinators-over-the-same-rows",
            "Two edges propose to take three of a stock of five at the same moment, six times over.",
            35,
            timed_links(20),
            &["one of two that meet commits", "the stock is what is left of the commits", "the stock is never below 0"],
            |cluster| Box::pin(two_coordinators(cluster)),
        ),
        scenario(
            "votes-beside-offline-edits",
            "Edge 3 edits the same user offline while the others vote on a new email for it.",
            36,
            Options { replicas: 4, ..Options::default() },
            &["ordinary changes go on while replicas vote", "what was written concurrently merges by the rules"],
            |cluster| Box::pin(beside_offline_edits(cluster)),
        ),
        scenario(
            "votes-beside-schema-changes",
            "Edge 3 renames and drops what the others vote to write, before it hears of it.",
            37,
            Options { replicas: 4, ..Options::default() },
            &["the transaction commits", "what it wrote hides with the dropped column and returns with it"],
            |cluster| Box::pin(beside_schema_changes(cluster)),
        ),
        scenario(
            "ten-transactions-in-a-ring",
            "Each of ten peers proposes to its two neighbours, all at once, to give something of its stock to the next.",
            38,
            peers(10),
            &["every transaction is decided", "some commit", "nothing is made or lost of what is given"],
            |cluster| Box::pin(ring(cluster)),
        ),
        scenario(
            "wiped-coordinator",
            "Edge 1 dies between the votes and the decision, and comes back with an empty disk.",
            39,
            timed_links(20),
            &["the new replica knows of nothing", "the participants end their doubt through the main"],
            |cluster| Box::pin(wiped(cluster)),
        ),
        scenario(
            "wiped-coordinator-without-a-main",
            "Peer 1 dies between the votes and the decision, and comes back with an empty disk; later it has its old one again.",
            40,
            Options { has_main: false, ..timed_links(20) },
            &[
                "the new replica answers unknown",
                "the participants stay in doubt",
                "the old one ends it when it is back",
            ],
            |cluster| Box::pin(wiped(cluster)),
        ),
    ]
}

// ---- words ----

fn users() -> Vec<Statement> {
    let follows = edge_table("FOLLOWS", "User", "User");
    vec![create_user_table(), follows, create_user("user_1", "Alice"), create_user("user_2", "Carol")]
}

fn follow() -> Statement {
    connect("FOLLOWS", ("User", "user_1"), ("User", "user_2"))
}

fn votes_of(cluster: &Cluster, tx: &Result<TxId, String>) -> Vec<String> {
    let vote = |kind: &EventKind| match (kind, tx) {
        (EventKind::Notified(Notice::Voted { tx: about, vote }), Ok(tx)) if about == tx => Some(match vote {
            Vote::Commit => "vote: commit".to_owned(),
            Vote::Abort(reason) => format!("vote: abort, reason: {}", reason.name()),
        }),
        _ => None,
    };
    each(cluster, |host| cluster.events_at(host, vote).pop().unwrap_or_else(|| "no vote".to_owned()))
}

/// What each host knows to be decided.
fn decisions(cluster: &Cluster, tx: &Result<TxId, String>) -> Vec<String> {
    let decision = |host| cluster.ask(host, |replica| tx.as_ref().ok().and_then(|tx| replica.decision(*tx))).flatten();
    each(cluster, |host| decision(host).map_or("undecided", |decision| decision.name()).to_owned())
}

fn reason(cluster: &Cluster, host: u32, tx: &Result<TxId, String>) -> String {
    let decision = cluster.ask(host, |replica| tx.as_ref().ok().and_then(|tx| replica.decision(*tx))).flatten();
    match decision {
        Some(Decision::RolledBack(abort)) => abort.reason.to_string(),
        Some(Decision::Committed(_)) => "committed".to_owned(),
        None => "undecided".to_owned(),
    }
}

/// How many of these transactions a host was prepared for at one time, at most.
fn prepared_together(cluster: &Cluster, host: u32, transactions: &[Result<TxId, String>]) -> usize {
    let mut held = BTreeSet::new();
    let counts = cluster.events_at(host, |kind| match kind {
        EventKind::Notified(Notice::Voted { tx, vote: Vote::Commit }) => Some((*tx, true)),
        EventKind::Notified(Notice::Decided { tx, .. }) => Some((*tx, false)),
        _ => None,
    });
    let counts = counts.into_iter().filter(|(tx, _)| transactions.contains(&Ok(*tx))).map(|(tx, begins)| {
        let _ = if begins { held.insert(tx) } else { held.remove(&tx) };
        held.len()
    });
    counts.max().unwrap_or(0)
}

fn prepared(cluster: &Cluster) -> Vec<usize> {
    each(cluster, |host| cluster.ask(host, |replica| replica.prepared().count()).unwrap_or(0))
}

fn edges(cluster: &Cluster) -> Vec<usize> {
    each(cluster, |host| cluster.view(host).edges.get("FOLLOWS").map_or(0, |edges| edges.len()))
}

// ---- the cases ----

async fn commit(cluster: &mut Cluster) {
    cluster.submit(0, users()).await.ok();
    cluster.settle().await;
    let tx = cluster.transact(1, &[0, 1, 2], vec![follow()]).await;
    cluster.settle().await;
    check_list(cluster, "three participants prepare and vote commit", votes_of(cluster, &tx), ["vote: commit"; 3]);
    check_list(cluster, "all are committed", decisions(cluster, &tx), ["committed"; 3]);
    check_list(cluster, "the edge exists once on each", edges(cluster), [1; 3]);
    let changes = each(cluster, |host| {
        let is_agreed = |replica: &kuzusync_core::replica::Replica| {
            replica.log().changes().filter(|change| change.is_agreed()).count()
        };
        cluster.ask(host, is_agreed).unwrap_or(0)
    });
    check_list(cluster, "its operations are one change", changes, [1; 3]);
}

async fn roll_back(cluster: &mut Cluster) {
    cluster.submit(0, users()).await.ok();
    cluster.settle().await;
    let before = each(cluster, |host| cluster.view(host).digest());
    cluster.fill_disk(2);
    let tx = cluster.transact(1, &[0, 1, 2], vec![follow(), set_email("user_1", "a@b.com")]).await;
    let full = votes_of_when(cluster, &tx, 2, "vote: abort, reason: disk_full").await;
    cluster.mend_disk(2);
    let found = full.clone();
    cluster.check("one participant votes abort with reason disk_full", full == "vote: abort, reason: disk_full", found);
    cluster.settle().await;
    let reasons = each(cluster, |host| reason(cluster, host, &tx));
    check_list(cluster, "the decision is abort", reasons, ["disk_full"; 3]);
    check_list(cluster, "every participant ends rolled_back", decisions(cluster, &tx), ["rolled_back"; 3]);
    let after = each(cluster, |host| cluster.view(host).digest());
    let found = format!("the graph is {} at each replica, as before", after[0]);
    cluster.check("nothing of the transaction is visible anywhere", before == after && edges(cluster) == [0; 3], found);
}

/// Waits until a host has voted, and says how.
async fn votes_of_when(cluster: &mut Cluster, tx: &Result<TxId, String>, host: usize, expected: &str) -> String {
    for _ in 0..500 {
        let voted = votes_of(cluster, tx).swap_remove(host);
        if voted == expected {
            return voted;
        }
        cluster.wait(1).await;
    }
    votes_of(cluster, tx).swap_remove(host)
}

async fn reasons(cluster: &mut Cluster) {
    let stock = node_table("Item", &[("id", Type::String), ("stock", Type::Int64)]);
    let bound = Rule::AtLeast { column: "stock".into(), bound: Some(0) };
    let bounded = Statement::SetRule { table: "Item".into(), rule: bound };
    cluster.submit(0, [users(), vec![stock, create("Item", [("id", "pen".into())]), bounded]].concat()).await.ok();
    cluster.settle().await;
    let first = cluster.transact(1, &[0, 2], vec![update("Item", "pen", [("stock", 5.into())])]).await;
    cluster.settle().await;

    let protected = cluster.submit(1, vec![increment("Item", "pen", "stock", -1)]).await;
    let remedy = Error::Protected { table: "Item".into(), column: "stock".into() }.to_string();
    let found = protected.clone().err().unwrap_or_default();
    cluster.check("a column with a constraint takes no ordinary write", protected == Err(remedy), found);

    // Edge 2 hears neither of the new table nor of what is left of the stock.
    cluster.partition_one_way(0b001);
    write(cluster, 0, node_table("Bill", &[("id", Type::String)])).await;
    cluster.heal();
    let bill = cluster.transact(0, &[2], vec![create("Bill", [("id", "one".into())])]).await;
    cluster.wait(400).await;
    let found = reason(cluster, 0, &bill);
    cluster.check("whose schema lacks the table votes abort", found.starts_with("schema_missing"), found);
    cluster.settle().await;

    let take = |by: i64| vec![increment("Item", "pen", "stock", by)];
    let one = cluster.transact(1, &[0], take(-4)).await;
    let other = cluster.transact(2, &[0], take(-4)).await;
    cluster.settle().await;
    // The one that meets the other at the main is turned away, or waits until that is decided and has read too little.
    let is_refused = |reason: &String| reason.starts_with("overlap") || reason.contains("meanwhile");
    let reasons = [reason(cluster, 0, &one), reason(cluster, 0, &other)];
    let is_one_done = reasons.iter().any(is_refused) && reasons.contains(&"committed".to_owned());
    let together = prepared_together(cluster, 0, &[one, other]);
    let found = format!("{}; {together} of them prepared at once", reasons.join(" and "));
    cluster.check("two transactions over one row are not both prepared", is_one_done && together == 1, found);

    let before = shown(cluster, "Item", "pen", "stock");
    let broken = cluster.transact(1, &[0, 2], take(-6)).await;
    let found = broken.clone().err().unwrap_or_else(|| reason(cluster, 0, &broken));
    cluster.check(
        "whoever would break a constraint votes abort",
        found.contains("stock") && found.contains("0 at least"),
        found,
    );

    cluster.go_offline(2).await;
    let at_us = cluster.elapsed_us();
    let away = cluster.transact(0, &[2], take(-1)).await;
    let found = away.clone().err().unwrap_or_default();
    let is_named = found.contains("is not connected") && cluster.elapsed_us() - at_us < 1_000;
    cluster.check("who is away is ParticipantOffline at once", is_named, found);
    cluster.settle().await;
    let after = shown(cluster, "Item", "pen", "stock");
    let found = format!("the stock is {} before and {} after", before.join(", "), after.join(", "));
    let is_untouched = before == after && first.is_ok() && cluster.view(1).nodes["Bill"].is_empty();
    cluster.check("what is rolled back shows nowhere", is_untouched, found);
}

async fn partition(cluster: &mut Cluster) {
    cluster.submit(0, users()).await.ok();
    cluster.settle().await;
    let tx = cluster.transact(1, &[0, 1, 2], vec![follow()]).await;
    // The proposal takes 20 ms to the main and 40 ms to edge 2; the votes would be back after 80.
    cluster.wait(50).await;
    check_list(cluster, "the participants are prepared when the network splits", prepared(cluster), [1; 3]);
    cluster.isolate(1);
    cluster.wait(LEASE.as_millis() as u64 + 1_000).await;
    let reasons = [reason(cluster, 0, &tx), reason(cluster, 1, &tx), reason(cluster, 2, &tx)];
    let clause = "a participant takes over through the main at the end of its lease";
    check_list(cluster, clause, reasons, ["lease_expired", "undecided", "lease_expired"]);
    cluster.settle().await;
    let clause = "the coordinator decides nothing else when it is back";
    check_list(cluster, clause, decisions(cluster, &tx), ["rolled_back"; 3]);
}

async fn two_coordinators(cluster: &mut Cluster) {
    let stock = node_table("Item", &[("id", Type::String), ("stock", Type::Int64)]);
    let rule = Rule::AtLeast { column: "stock".into(), bound: Some(0) };
    let bounded = Statement::SetRule { table: "Item".into(), rule };
    let pens = (0..6).map(|pen| create("Item", [("id", format!("pen {pen}").as_str().into())]));
    cluster.submit(0, [vec![stock], pens.collect(), vec![bounded]].concat()).await.ok();
    cluster.settle().await;
    let mut committed = Vec::new();
    for pen in (0..6).map(|pen| format!("pen {pen}")) {
        cluster.transact(0, &[0, 1, 2], vec![update("Item", &pen, [("stock", 5.into())])]).await.ok();
        cluster.settle().await;
        let take = || vec![increment("Item", &pen, "stock", -3)];
        let one = cluster.transact(1, &[0, 1, 2], take()).await;
        let other = cluster.transact(2, &[0, 1, 2], take()).await;
        cluster.settle().await;
        let of = |tx| decisions(cluster, tx).swap_remove(0) == "committed";
        committed.push(usize::from(of(&one)) + usize::from(of(&other)));
    }
    let found = format!("of each two {committed:?} commit");
    cluster.check("one of two that meet commits", committed == [1; 6], found);
    let left: Vec<Vec<String>> = (0..6).map(|pen| shown(cluster, "Item", &format!("pen {pen}"), "stock")).collect();
    let expected: Vec<Vec<String>> = committed.iter().map(|count| vec![(5 - 3 * count).to_string(); 3]).collect();
    let found = format!("the stocks are {left:?}");
    cluster.check("the stock is what is left of the commits", left == expected, found.clone());
    let is_negative = left.iter().flatten().any(|stock| stock.starts_with('-'));
    cluster.check("the stock is never below 0", !is_negative, found);
}

async fn beside_offline_edits(cluster: &mut Cluster) {
    cluster.submit(0, users()).await.ok();
    cluster.settle().await;
    cluster.go_offline(3).await;
    cluster.wait(1_000).await;
    write(cluster, 3, set_email("user_1", "offline@b.com")).await;
    write(cluster, 3, rename("user_1", "Alicia")).await;
    let tx = cluster.transact(1, &[0, 1, 2], vec![set_email("user_1", "agreed@b.com"), follow()]).await;
    let meanwhile = write(cluster, 2, rename("user_2", "Caroline")).await;
    cluster.settle().await;
    let found = decisions(cluster, &tx).join(", ");
    let goes_on = meanwhile.is_some() && shown(cluster, "User", "user_2", "name") == ["Caroline"; 4];
    cluster.check("ordinary changes go on while replicas vote", goes_on, found);
    let clause = "what was written concurrently merges by the rules";
    let merged = [shown(cluster, "User", "user_1", "email"), shown(cluster, "User", "user_1", "name")].concat();
    check_list(cluster, clause, merged, [["agreed@b.com"; 4], ["Alicia"; 4]].concat());
}

async fn beside_schema_changes(cluster: &mut Cluster) {
    cluster.submit(0, users()).await.ok();
    cluster.settle().await;
    cluster.isolate(3);
    let drop = Statement::DropColumn { table: "Person".into(), column: "email".into(), cascade: false };
    write(cluster, 3, Statement::RenameTable { table: "User".into(), to: "Person".into() }).await;
    write(cluster, 3, drop).await;
    let tx = cluster.transact(1, &[0, 1, 2], vec![set_email("user_1", "agreed@b.com")]).await;
    cluster.wait(500).await;
    cluster.settle().await;
    check_list(cluster, "the transaction commits", decisions(cluster, &tx), ["committed"; 4]);
    let hidden = shown(cluster, "Person", "user_1", "email");
    write(cluster, 0, Statement::UndropColumn { table: "Person".into(), column: "email".into() }).await;
    cluster.settle().await;
    let back = shown(cluster, "Person", "user_1", "email");
    let found = format!("{} and then {}", hidden.join(", "), back.join(", "));
    let clause = "what it wrote hides with the dropped column and returns with it";
    cluster.check(clause, hidden == ["no value"; 4] && back == ["agreed@b.com"; 4], found);
}

async fn ring(cluster: &mut Cluster) {
    let purse = |host: u32| format!("purse {host}");
    let table = node_table("Purse", &[("id", Type::String), ("coins", Type::Int64)]);
    let rule = Rule::AtLeast { column: "coins".into(), bound: Some(0) };
    let bounded = Statement::SetRule { table: "Purse".into(), rule };
    let purses =
        cluster.hosts().map(|host| create("Purse", [("id", purse(host).as_str().into()), ("coins", 10.into())]));
    let base = [vec![table], purses.collect(), vec![bounded]].concat();
    cluster.submit(0, base).await.ok();
    cluster.settle().await;
    let mut all = Vec::new();
    for host in cluster.hosts() {
        let (before, next) = ((host + 9) % 10, (host + 1) % 10);
        let give = [increment("Purse", &purse(host), "coins", -3), increment("Purse", &purse(next), "coins", 3)];
        all.push(cluster.transact(host, &[before, next], give.to_vec()).await);
    }
    cluster.settle().await;
    let outcomes: Vec<String> = (0..).zip(&all).map(|(host, tx)| reason(cluster, host, tx)).collect();
    let begun = all.iter().filter(|tx| tx.is_ok()).count();
    let found = format!("{begun} began: {}", outcomes.join(", "));
    let are_decided = !outcomes.iter().any(|outcome| outcome == "undecided") && prepared(cluster) == [0; 10];
    cluster.check("every transaction is decided", begun == 10 && are_decided, found);
    let committed = outcomes.iter().filter(|outcome| *outcome == "committed").count();
    cluster.check("some commit", committed > 0, format!("{committed} of {begun}"));
    let coins = |host: u32| -> i64 {
        let row = |purse: u32| shown(cluster, "Purse", &format!("purse {purse}"), "coins").swap_remove(host as usize);
        (0..10).filter_map(|purse| row(purse).parse::<i64>().ok()).sum()
    };
    let sums = each(cluster, coins);
    cluster.check("nothing is made or lost of what is given", sums == [100; 10], format!("{sums:?} coins"));
}

async fn wiped(cluster: &mut Cluster) {
    cluster.submit(0, users()).await.ok();
    cluster.settle().await;
    let has_main = cluster.world().borrow().options().has_main;
    let tx = cluster.transact(1, &[0, 1, 2], vec![follow()]).await;
    cluster.wait(if has_main { 50 } else { 25 }).await;
    let old = cluster.replace_disk(1, Disk::default()).await;
    cluster.wait(5_000).await;
    let found = format!("{:?} are prepared", prepared(cluster));
    let is_in_doubt = prepared(cluster) == [1, 0, 1];
    if has_main {
        cluster.check("the new replica knows of nothing", is_in_doubt, found);
        cluster.settle().await;
        let clause = "the participants end their doubt through the main";
        check_list(cluster, clause, each(cluster, |host| reason(cluster, host, &tx)), ["lease_expired"; 3]);
        return;
    }
    let unknown = cluster.events_at(1, |kind| match kind {
        EventKind::Sent { frame, .. } => is_unknown(frame).then_some(()),
        _ => None,
    });
    cluster.check("the new replica answers unknown", !unknown.is_empty(), format!("{} times", unknown.len()));
    cluster.settle().await;
    let found = format!("{:?} are prepared", prepared(cluster));
    cluster.check("the participants stay in doubt", prepared(cluster) == [1, 0, 1] && is_in_doubt, found);
    cluster.replace_disk(1, old).await;
    cluster.settle().await;
    let clause = "the old one ends it when it is back";
    check_list(cluster, clause, each(cluster, |host| reason(cluster, host, &tx)), ["coordinator_restarted"; 3]);
}

fn is_unknown(frame: &[u8]) -> bool {
    use kuzusync_core::message::Message;
    use kuzusync_core::two_phase::Says;
    matches!(Message::decode(frame), Ok(Message::TwoPhase(letter)) if letter.says == Says::Unknown)
}

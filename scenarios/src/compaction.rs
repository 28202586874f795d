//! Distributed Sync Engine §5: what is forgotten, and how those come back who still need it.

use std::collections::BTreeSet;

use kuzusync_core::change::{ChangeId, Op};
use kuzusync_core::message::{LogRecord, Message, Record};
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::{Reason, Rejection, Ruling};
use kuzusync_core::snapshot::{ResyncReason, SyncPoint, chunk_bytes};
use kuzusync_core::statement::Statement;
use kuzusync_core::value::Value;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::disk::Disk;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create_user, create_user_table, delete, each, queued, rename, rows, shown, write};
use crate::scenario::Scenario;
use crate::transfer::sent;

const MAIN: u32 = 0;
const EDGE: u32 = 1;
const OTHER: u32 = 2;

/// What the main waits for a replica that it hears nothing of.
const RETENTION_MS: u64 = 10_000;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let options = Options { retention_ms: RETENTION_MS, ..Options::default() };
    vec![
        Scenario {
            name: "sync-points",
            story: "An edge goes away at a sync point of 1,000 changes and comes back three times: after 100 newer ones; with a \
                    damaged history; and after what it lacks was forgotten. Each time it has written something meanwhile.",
            cases: &[Case::D5_2],
            claims: &[],
            seed: Seed(52),
            options: options.clone(),
            body: |cluster| Box::pin(sync_points(cluster)),
        },
        Scenario {
            name: "all-deleted",
            story: "200 users are made, renamed and deleted, and the log is compacted. In the end a new edge joins.",
            cases: &[],
            claims: &[
                "the snapshot is as small as one of an empty graph",
                "the disks are as small",
                "a new edge begins with the base",
            ],
            seed: Seed(54),
            options: options.clone(),
            body: |cluster| Box::pin(all_deleted(cluster)),
        },
        Scenario {
            name: "undrop-of-what-is-forgotten",
            story: "A table and a column are dropped. Before the log is compacted another edge, which is away, asks for the table \
                    back; after it somebody asks for the column.",
            cases: &[],
            claims: &["nobody brings the column back", "the late UNDROP is rejected", "everybody shows the same"],
            seed: Seed(55),
            options,
            body: |cluster| Box::pin(late_undrop(cluster)),
        },
    ]
}

/// Why the cut is not simply what everybody holds.
pub(crate) fn late_insert_after_a_purge() -> Scenario {
    Scenario {
        name: "late-insert-after-a-purge",
        story: "An edge creates a user and goes away; so does another. The main deletes that user, and both have \
                heard of all numbers it gave until then. Once the delete is forgotten the insert of the other arrives.",
        cases: &[],
        claims: &[
            "the tombstone is gone",
            "the late insert is rejected for what its author had not seen",
            "it is written anew, and stands after the delete",
            "everybody shows the same",
        ],
        seed: Seed(53),
        options: Options { retention_ms: RETENTION_MS, ..Options::default() },
        body: |cluster| Box::pin(late_insert(cluster)),
    }
}

/// Everybody has been heard and the main compacts its log. What was numbered before is old then.
async fn compact(cluster: &mut Cluster) -> u64 {
    cluster.compact().await;
    cluster.wait(RETENTION_MS + 1_000).await;
    cluster.compact().await;
    cluster.wait(2_000).await;
    cluster.ask(MAIN, |replica| replica.cut()).unwrap_or_default()
}

/// The changes that the main sent an edge, from a place in the history on, without those it sent twice.
fn changes_sent(cluster: &Cluster, to: u32, from_place: usize) -> usize {
    let frames = sent(cluster, MAIN, to);
    let deliveries = frames[from_place..].iter().filter_map(|frame| match Message::decode(frame).ok()?.untagged() {
        Message::Changes { deliveries, .. } => Some(deliveries),
        _ => None,
    });
    let ids = deliveries.flatten().filter_map(|delivery| delivery.change().map(|entry| entry.change.id));
    ids.collect::<BTreeSet<ChangeId>>().len()
}

fn resyncs(cluster: &Cluster, host: u32) -> usize {
    cluster.events_at(host, |kind| matches!(kind, EventKind::Notified(Notice::Resynced { .. })).then_some(())).len()
}

fn resync_reasons(cluster: &Cluster) -> Vec<ResyncReason> {
    cluster.events_at(MAIN, |kind| match kind {
        EventKind::Notified(Notice::ResyncRequired { reason, .. }) => Some(*reason),
        _ => None,
    })
}

fn rejections(cluster: &Cluster) -> Vec<Rejection> {
    cluster.events_at(MAIN, |kind| match kind {
        EventKind::Notified(Notice::Ruled { ruling: Ruling::Rejection(rejection), .. }) => {
            Some(rejection.as_ref().clone())
        }
        _ => None,
    })
}

/// A disk with the records of a host in which the last change of another author says something else.
fn damaged(cluster: &Cluster, host: u32) -> Disk {
    let own = cluster.ask(host, |replica| replica.id());
    let mut records = cluster.records(host);
    let entries = records.iter_mut().rev().filter_map(|record| match record {
        Record::Batch { log, .. } => Some(log),
        _ => None,
    });
    let mut entries = entries.flat_map(|log| log.iter_mut().rev()).filter_map(|record| match record {
        LogRecord::Append(entry) if Some(entry.change.id.replica) != own => Some(entry),
        _ => None,
    });
    if let Some(entry) = entries.next() {
        let mut change = entry.change.as_ref().clone();
        for op in &mut change.ops {
            if let Op::Insert { cells, .. } | Op::Update { cells, .. } = op {
                cells.values_mut().for_each(|value| *value = Value::from("damaged"));
            }
        }
        entry.change = std::sync::Arc::new(change);
    }
    let mut disk = Disk::default();
    for record in &records {
        disk.write(record).expect("an empty disk has room");
    }
    disk.sync();
    disk
}

/// What the main says of a sync point.
fn told(answer: Result<u64, ResyncReason>) -> String {
    match answer {
        Ok(changes) => format!("{changes} are newer"),
        Err(reason) => format!("the main requires a full resync: {}", reason.name()),
    }
}

async fn sync_points(cluster: &mut Cluster) {
    write(cluster, MAIN, create_user_table()).await;
    for number in 1..1_000 {
        write(cluster, MAIN, create_user(&format!("user {number}"), "early")).await;
    }
    cluster.settle().await;
    let point = cluster.ask(EDGE, |replica| replica.sync_point()).unwrap_or_default();

    cluster.go_offline(EDGE).await;
    for number in 0..100 {
        write(cluster, MAIN, create_user(&format!("newer {number}"), "late")).await;
    }
    write(cluster, EDGE, create_user("first", "pending")).await;
    let since = |cluster: &Cluster, point: &SyncPoint| {
        cluster.ask(MAIN, |replica| replica.log().changes_since(point)).unwrap_or(Ok(0))
    };
    let newer = since(cluster, &point);
    let before = sent(cluster, MAIN, EDGE).len();
    cluster.go_online(EDGE).await;
    cluster.settle().await;
    // Its own comes back with its number, for an acknowledgement.
    let sent = changes_sent(cluster, EDGE, before);
    let found = format!("the sync point has {} changes, {}, {sent} were sent", point.count, told(newer));
    let is_hundred = point.count == 1_000 && newer == Ok(100) && sent == 101;
    cluster.check("100 newer changes sync as 100", is_hundred, found);
    let reasons = resync_reasons(cluster);
    let none = reasons.is_empty() && resyncs(cluster, EDGE) == 0;
    cluster.check("they require no full resync", none, format!("{} resyncs", resyncs(cluster, EDGE)));

    write(cluster, OTHER, create_user("of another", "as it was")).await;
    cluster.settle().await;
    cluster.go_offline(EDGE).await;
    write(cluster, EDGE, create_user("second", "pending")).await;
    let disk = damaged(cluster, EDGE);
    drop(cluster.replace_disk(EDGE, disk).await);
    let wrong = cluster.ask(EDGE, |replica| replica.sync_point()).unwrap_or_default();
    let damaged_name = crate::sample::shown_at(cluster, EDGE, "User", "of another", "name");
    let refused = since(cluster, &wrong);
    cluster.go_online(EDGE).await;
    cluster.settle().await;
    let reasons = resync_reasons(cluster);
    let is_found = refused == Err(ResyncReason::OtherHistory) && reasons.contains(&ResyncReason::OtherHistory);
    let names = shown(cluster, "User", "of another", "name");
    let is_mended = damaged_name.contains("damaged") && names.iter().all(|name| *name == names[0]);
    let is_resynced = resyncs(cluster, EDGE) == 1;
    let found = format!("the edge showed {damaged_name}, {}, and now all show {}", told(refused), names[0]);
    cluster.check("a wrong checksum requires a full resync", is_found && is_mended && is_resynced, found);

    let point = cluster.ask(EDGE, |replica| replica.sync_point()).unwrap_or_default();
    cluster.go_offline(EDGE).await;
    write(cluster, EDGE, rename("first", "third")).await;
    for number in 0..20 {
        write(cluster, MAIN, delete("User", &format!("newer {number}"))).await;
    }
    cluster.wait(RETENTION_MS + 1_000).await;
    let cut = compact(cluster).await;
    let refused = since(cluster, &point);
    let was_queued = queued(cluster, EDGE);
    cluster.go_online(EDGE).await;
    cluster.settle().await;
    let is_found =
        refused == Err(ResyncReason::Compacted) && resync_reasons(cluster).last() == Some(&ResyncReason::Compacted);
    let is_resynced = cut > point.lsn && resyncs(cluster, EDGE) == 2;
    let found = format!("the edge knew {} numbers, {cut} are forgotten, {}", point.lsn, told(refused));
    cluster.check("a compacted sync point requires a full resync", is_found && is_resynced, found);
    let kept = ["first", "second"].map(|id| shown(cluster, "User", id, "name"));
    let is_there =
        kept[0].iter().all(|name| name.contains("third")) && kept[1].iter().all(|name| name.contains("pending"));
    let found = format!("{was_queued} queued, then first: {}, second: {}", kept[0].join(", "), kept[1].join(", "));
    cluster.check("nothing pending is lost", is_there && was_queued > 0, found);
    let counts = each(cluster, |host| rows(cluster, host, "User"));
    let once = rejections(cluster).iter().all(|rejection| matches!(rejection.reason, Reason::Compacted { .. }));
    let is_once = once && counts.iter().all(|count| *count == 999 + 100 - 20 + 3);
    cluster.check("nothing is done twice", is_once, format!("users: {counts:?}"));
}

async fn late_insert(cluster: &mut Cluster) {
    write(cluster, MAIN, create_user_table()).await;
    cluster.settle().await;
    cluster.go_offline(OTHER).await;
    write(cluster, OTHER, create_user("bob", "of the other edge")).await;
    write(cluster, EDGE, create_user("bob", "of the edge")).await;
    cluster.wait(1_000).await;
    write(cluster, MAIN, delete("User", "bob")).await;
    cluster.wait(1_000).await;
    let known = cluster.ask(MAIN, |replica| replica.log().lsn_known()).unwrap_or_default();
    cluster.wait(RETENTION_MS + 1_000).await;
    let cut = compact(cluster).await;
    let kept = cluster.ask(MAIN, |replica| replica.log().kept().count()).unwrap_or_default();
    let found = format!("{cut} of {known} numbers are forgotten but for {kept}");
    cluster.check("the tombstone is gone", cut >= known && kept == 1, found);
    cluster.go_online(OTHER).await;
    cluster.settle().await;
    let rejections = rejections(cluster);
    let is_rejected = matches!(&rejections[..], [rejection] if matches!(rejection.reason, Reason::Compacted { .. }));
    let found = rejections.first().map_or("nothing is rejected".to_owned(), |rejection| rejection.reason.to_string());
    cluster.check("the late insert is rejected for what its author had not seen", is_rejected, found);
    let names = shown(cluster, "User", "bob", "name");
    let is_anew = names.iter().all(|name| name.contains("of the other edge"));
    cluster.check("it is written anew, and stands after the delete", is_anew, names.join(", "));
    let views: Vec<_> = cluster.hosts().map(|host| cluster.view(host)).collect();
    let is_same = views.iter().all(|view| *view == views[0]);
    cluster.check(
        "everybody shows the same",
        is_same,
        format!("users: {:?}", each(cluster, |host| rows(cluster, host, "User"))),
    );
}

/// Bytes of a host's snapshot, its manifest and its chunks.
fn snapshot_bytes(cluster: &Cluster, host: u32) -> usize {
    let bytes = cluster.ask(host, |replica| {
        let manifest = replica.snapshot().unwrap_or_default();
        let chunks: usize = manifest
            .chunks
            .iter()
            .filter_map(|chunk| chunk_bytes(replica.log(), chunk.last))
            .map(|bytes| bytes.len())
            .sum();
        chunks + Message::Offer { manifest, in_place_of: None }.encode().len()
    });
    bytes.unwrap_or_default()
}

fn disk_bytes(cluster: &Cluster, host: u32) -> usize {
    cluster.records(host).iter().map(|record| record.encode().len()).sum()
}

async fn all_deleted(cluster: &mut Cluster) {
    let (keys, hosts) = ((0..200).map(|number| format!("user {number}")).collect::<Vec<_>>(), [MAIN, EDGE]);
    write(cluster, MAIN, create_user_table()).await;
    // Each has written something that is deleted, so that the base knows of all of them.
    for host in [MAIN, EDGE, OTHER] {
        write(cluster, host, create_user(&format!("of {host}"), "to be deleted")).await;
        cluster.settle().await;
        write(cluster, host, delete("User", &format!("of {host}"))).await;
        cluster.settle().await;
    }
    compact(cluster).await;
    cluster.settle().await;
    let empty = (snapshot_bytes(cluster, MAIN), hosts.map(|host| disk_bytes(cluster, host)));
    for key in &keys {
        write(cluster, EDGE, create_user(key, "to be deleted")).await;
    }
    cluster.settle().await;
    for key in &keys {
        write(cluster, MAIN, rename(key, "soon to be deleted")).await;
    }
    cluster.settle().await;
    let full = (snapshot_bytes(cluster, MAIN), hosts.map(|host| disk_bytes(cluster, host)));
    for key in &keys {
        write(cluster, OTHER, delete("User", key)).await;
    }
    cluster.settle().await;
    compact(cluster).await;
    cluster.settle().await;
    let after = (snapshot_bytes(cluster, MAIN), hosts.map(|host| disk_bytes(cluster, host)));
    // Within one percent, but for the bytes by which numbers are longer that begin later.
    let is_small = |after: usize, empty: usize| after * 100 <= (empty + 32) * 101;
    let found = format!("{} bytes when empty, {} when full, {} after all is deleted", empty.0, full.0, after.0);
    cluster.check("the snapshot is as small as one of an empty graph", is_small(after.0, empty.0), found);
    let is_all = after.1.iter().zip(&empty.1).all(|(after, empty)| is_small(*after, *empty));
    let found = format!("{:?} bytes when empty, {:?} when full, {:?} after all is deleted", empty.1, full.1, after.1);
    cluster.check("the disks are as small", is_all, found);
    let before = resyncs(cluster, OTHER);
    cluster.replace_disk(OTHER, Disk::default()).await;
    cluster.settle().await;
    let begins = resyncs(cluster, OTHER) > before && rows(cluster, OTHER, "User") == 0;
    let known = cluster.ask(OTHER, |replica| (replica.log().lsn_known(), replica.cut())).unwrap_or_default();
    let found = format!("of the {} numbers that it knows it was sent nothing but the base of {}", known.0, known.1);
    cluster.check("a new edge begins with the base", begins, found);
}

async fn late_undrop(cluster: &mut Cluster) {
    write(cluster, MAIN, create_user_table()).await;
    write(cluster, MAIN, crate::sample::node_table("City", &[("id", kuzusync_core::value::Type::String)])).await;
    write(cluster, MAIN, create_user("alice", "Alice")).await;
    write(cluster, MAIN, crate::sample::create("City", [("id", "Rome".into())])).await;
    cluster.settle().await;
    let city = || Statement::DropNodeTable { table: "City".into(), cascade: false };
    write(cluster, MAIN, city()).await;
    let email = || ("User".to_owned(), "email".to_owned());
    let (table, column) = email();
    write(cluster, MAIN, Statement::DropColumn { table, column, cascade: false }).await;
    cluster.settle().await;
    cluster.go_offline(OTHER).await;
    write(cluster, OTHER, Statement::UndropTable { table: "City".into() }).await;
    cluster.wait(RETENTION_MS + 1_000).await;
    compact(cluster).await;
    let (table, column) = email();
    let refused = cluster.submit(MAIN, vec![Statement::UndropColumn { table, column }]).await;
    let is_refused = refused.as_ref().is_err_and(|error| error.contains("nothing of column `email` is left"));
    cluster.check("nobody brings the column back", is_refused, refused.map_or_else(|error| error, |id| id.to_string()));
    cluster.go_online(OTHER).await;
    cluster.settle().await;
    let rejections = rejections(cluster);
    let is_rejected = matches!(&rejections[..], [rejection] if matches!(rejection.reason, Reason::Purged { .. }));
    let found = rejections.first().map_or("nothing is rejected".to_owned(), |rejection| rejection.reason.to_string());
    cluster.check("the late UNDROP is rejected", is_rejected, found);
    let views: Vec<_> = cluster.hosts().map(|host| cluster.view(host)).collect();
    let is_same = views.iter().all(|view| *view == views[0]) && !views[0].tables.contains_key("City");
    cluster.check("everybody shows the same", is_same, format!("{:?}", views[0].tables.keys().collect::<Vec<_>>()));
}

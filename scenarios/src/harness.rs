//! Harness Design: one code path, and one seed, one history.

use kuzusync_core::replica::{Config, Replica};
use kuzusync_sim::clock::START_MS;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::disk::DiskFault;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::{LinkOptions, Options};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::Step;

use crate::case::Case;
use crate::sample::{connect, create_user, create_user_table, edge_table, set_email};
use crate::scenario::Scenario;
use crate::swarm::{self, Profile};

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let links = LinkOptions { loss_permille: 100, repeat_permille: 100, jitter_ms_max: 30, ..LinkOptions::default() };
    vec![
        Scenario {
            name: "one-code-path",
            story: "A main and an edge whose clock is 1.5 s ahead write, are cut off from each other for a minute, and \
                    are opened once more outside the simulation.",
            cases: &[Case::H1],
            claims: &[],
            seed: Seed(81),
            options: Options { replicas: 2, skew_ms: vec![0, EDGE_SKEW_MS], ..Options::default() },
            body: |cluster| Box::pin(one_code_path(cluster)),
        },
        Scenario {
            name: "generated-plans",
            story: "A plan that proptest made of a seed; then others, and one that is made as small as it can be.",
            cases: &[Case::H3],
            claims: &[],
            seed: Seed(83),
            options: swarm::plan(Profile::Quiet, GENERATED).options,
            body: |cluster| Box::pin(generated(cluster)),
        },
        Scenario {
            name: "injected-faults",
            story: "Everything that can go wrong around three replicas does, one thing after the other; then whatever \
                    seeds draw.",
            cases: &[Case::H4],
            claims: &[],
            seed: Seed(84),
            options: Options { skew_ms: vec![0, 2_000, -2_000], drift_ppm: vec![0, 0, 50_000], ..Options::default() },
            body: |cluster| Box::pin(faults(cluster)),
        },
        Scenario {
            name: "every-run-is-judged",
            story: "Two edges that are cut off from each other write to one row and come to rest; then what they ended \
                    with is altered, and whatever seeds draw is judged.",
            cases: &[Case::H5],
            claims: &[],
            seed: Seed(85),
            options: Options::default(),
            body: |cluster| Box::pin(disagreement(cluster)),
        },
        Scenario {
            name: "one-seed-one-history",
            story: "Three replicas write over links that lose, while one dies and one is cut off; then all of it again.",
            cases: &[Case::H6],
            claims: &[],
            seed: Seed(86),
            options: Options { links, ..Options::default() },
            body: |cluster| Box::pin(trouble(cluster)),
        },
    ]
}

const EDGE_SKEW_MS: i64 = 1_500;

const MAIN: u32 = 0;
const EDGE: u32 = 1;

async fn one_code_path(cluster: &mut Cluster) {
    let table = cluster.submit(MAIN, vec![create_user_table(), create_user("ann", "Ann")]).await;
    cluster.settle().await;
    let mut stamps = Vec::new();
    for email in ["ann@a.com", "ann@b.com"] {
        cluster.wait(10_000).await;
        let true_ms = START_MS + i64::try_from(cluster.elapsed_us() / 1_000).unwrap_or(i64::MAX);
        let written = cluster.submit(EDGE, vec![set_email("ann", email)]).await.ok();
        let change = written.and_then(|id| cluster.ask(EDGE, |replica| replica.log().get(id).cloned()).flatten());
        stamps.push(change.map_or(0, |change| change.timestamp.ms) - true_ms);
    }
    let found = format!("edge 1 stamps {stamps:?} ms ahead of the simulated time");
    let clause = "a change is stamped by the simulated clock with its skew";
    cluster.check(clause, table.is_ok() && stamps == [EDGE_SKEW_MS; 2], found);
    cluster.settle().await;

    cluster.isolate(EDGE);
    let arrivals =
        |cluster: &Cluster| cluster.events(|kind| matches!(kind, EventKind::Received { .. }).then_some(())).len();
    let (heard, since_us) = (arrivals(cluster), cluster.elapsed_us());
    let first = cluster.events_at(EDGE, sending).len();
    let written = cluster.submit(EDGE, vec![create_user("bob", "Bob")]).await;
    cluster.wait(60_000).await;
    let sent = cluster.events_at(EDGE, sending).split_off(first);
    let heard = arrivals(cluster) - heard;
    let found = format!("in a minute edge 1 sends {} messages; {heard} arrive anywhere", sent.len());
    let are_cut = sent.iter().all(|is_cut| *is_cut);
    cluster.check("nothing passes a cut link", written.is_ok() && heard == 0 && sent.len() > 1 && are_cut, found);
    // At once, after 250, 500, 1000 and 2000 ms, and then every 4 seconds: 4 + 1 + (60 − 3.75) / 4.
    let found = format!("{} messages in {} simulated ms", sent.len(), (cluster.elapsed_us() - since_us) / 1_000);
    cluster.check("timers fire at simulated times", sent.len() == 19, found);

    let replicas = cluster.settle().await;
    let (all, from_network) = arrived_as_sent(cluster);
    let found = format!("{from_network} of {all} arrivals were sent before, on a link that was whole");
    let clause = "whatever arrives was sent over the simulated network";
    cluster.check(clause, all > 10 && from_network == all, found);
    let again = replicas.iter().filter(|state| {
        let records = cluster.records(state.host);
        let opened = records.first().and_then(|first| reopened(first, &records));
        opened.is_some_and(|replica| {
            (replica.id(), replica.view(), replica.log().cursor())
                == (state.id, state.view.clone(), state.cursor.clone())
        })
    });
    let again = again.count();
    let found = format!("{again} of {} replicas have the same identity, graph and cursor", replicas.len());
    let clause = "the engine makes the same replica of its records outside the simulation";
    cluster.check(clause, again == 2, found);
}

/// Whether a message that a host sends meets a cut link.
fn sending(kind: &EventKind) -> Option<bool> {
    match kind {
        EventKind::Sent { is_cut, .. } => Some(*is_cut),
        _ => None,
    }
}

/// How many messages arrived, and how many of them somebody had sent under that number over a whole link.
fn arrived_as_sent(cluster: &Cluster) -> (usize, usize) {
    let arrived: Vec<(u32, u32, u64)> = [MAIN, EDGE]
        .into_iter()
        .flat_map(|to| {
            cluster.events_at(to, |kind| match kind {
                EventKind::Received { from, number } => Some((*from, to, *number)),
                _ => None,
            })
        })
        .collect();
    let sent: Vec<(u32, u32, u64)> = [MAIN, EDGE]
        .into_iter()
        .flat_map(|from| {
            cluster.events_at(from, |kind| match kind {
                EventKind::Sent { to, number, is_cut: false, fate, .. } if !fate.delays_us.is_empty() => {
                    Some((from, *to, *number))
                }
                _ => None,
            })
        })
        .collect();
    (arrived.len(), arrived.iter().filter(|message| sent.contains(message)).count())
}

/// The engine's own replica of these records, with no simulation around it.
fn reopened(first: &kuzusync_core::message::Record, records: &[kuzusync_core::message::Record]) -> Option<Replica> {
    let kuzusync_core::message::Record::Created { database, role, .. } = first else { return None };
    Replica::open(Config::new(*role, *database), [0; 32], records).ok()
}

/// The seed of the plan that is shown.
const GENERATED: Seed = Seed(83);

async fn generated(cluster: &mut Cluster) {
    for step in swarm::plan(Profile::Quiet, GENERATED).steps {
        cluster.step(&step).await;
    }
}

async fn faults(cluster: &mut Cluster) {
    let node = |replica, key| Step::CreateNode { replica, table: 0, key, value: key };
    let update = |replica, value| Step::UpdateNode { replica, row: 0, column: 1, value };
    let wait = |ms| Step::Wait { ms };
    let column = |replica, change| Step::ChangeSchema { replica, table: 0, column: 0, change };
    let steps = [
        Step::CreateTable { replica: 0, table: 0 },
        node(0, 1),
        Step::Settle,
        Step::PartitionOneWay { group: 0b010 },
        update(1, 2),
        column(1, 1),
        column(2, 2),
        wait(300),
        Step::Heal,
        Step::GoOffline { replica: 2 },
        update(2, 3),
        wait(300),
        Step::GoOnline { replica: 2 },
        wait(300),
        Step::Isolate { replica: 2 },
        Step::Transact { replica: 1, participants: 0b101, what: 0, row: 0, column: 1, value: 4 },
        wait(6_000),
        Step::Heal,
        Step::Crash { replica: 1, after_outputs: 2, kept_bytes: 20 },
        update(1, 5),
        Step::Restart { replica: 1 },
        Step::FailDisk { replica: 2, fault: DiskFault::Full, after: 0 },
        update(2, 6),
        Step::MendDisk { replica: 2 },
        Step::Restart { replica: 2 },
        Step::JumpClock { replica: 0, ms: -5_000 },
        update(0, 7),
    ];
    for step in steps {
        cluster.step(&step).await;
    }
}

async fn disagreement(cluster: &mut Cluster) {
    let people = vec![create_user_table(), create_user("ann", "Ann"), create_user("bob", "Bob")];
    drop(cluster.submit(MAIN, people).await);
    let knows = connect("KNOWS", ("User", "ann"), ("User", "bob"));
    drop(cluster.submit(MAIN, vec![edge_table("KNOWS", "User", "User"), knows]).await);
    cluster.settle().await;
    cluster.isolate(EDGE);
    drop(cluster.submit(EDGE, vec![set_email("ann", "ann@a.com")]).await);
    drop(cluster.submit(EDGE + 1, vec![set_email("ann", "ann@b.com")]).await);
}

async fn trouble(cluster: &mut Cluster) {
    let node = |replica, key| Step::CreateNode { replica, table: 0, key, value: key };
    let update = |replica, value| Step::UpdateNode { replica, row: 0, column: 1, value };
    let steps = [
        Step::CreateTable { replica: 0, table: 0 },
        node(0, 1),
        Step::Wait { ms: 500 },
        node(1, 2),
        update(2, 3),
        Step::Isolate { replica: 1 },
        update(1, 4),
        Step::Crash { replica: 2, after_outputs: 2, kept_bytes: 0 },
        update(2, 5),
        Step::Wait { ms: 400 },
        Step::Heal,
        Step::Restart { replica: 2 },
        Step::JumpClock { replica: 0, ms: -700 },
        update(0, 6),
    ];
    for step in steps {
        cluster.step(&step).await;
    }
}

//! Minimal Sync Guide: gaps, resends, and connections that break at any point.

use kuzusync_core::change::ChangeId;
use kuzusync_core::replica::Notice;
use kuzusync_core::session::Peer;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::ReplicaState;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create_user, create_user_table};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "gap-and-resend",
        story: "An edge misses a change and gets the next one; loses its answers; reconnects; and then its link is cut, or \
                one of both dies, at every point of an exchange.",
        cases: &[Case::C6],
        claims: &[],
        seed: Seed(36),
        options: Options { replicas: 2, ..Options::default() },
        body: |cluster| Box::pin(gap_and_resend(cluster)),
    }]
}

const MAIN: u32 = 0;
const EDGE: u32 = 1;

/// Long enough for an exchange, resends included.
const EXCHANGE_MS: u64 = 3_000;

async fn gap_and_resend(cluster: &mut Cluster) {
    let mut written = Written::default();
    written.note(cluster.submit(MAIN, vec![create_user_table()]).await);
    cluster.settle().await;
    cluster.partition_one_way(1 << MAIN);
    let missed = written.user(cluster, MAIN).await;
    cluster.wait(50).await;
    cluster.heal();
    let next = written.user(cluster, MAIN).await;
    cluster.wait(100).await;
    let held = notices(cluster, EDGE, |notice| matches!(notice, Notice::Held { id } if Some(*id) == next));
    let known = cluster.ask(EDGE, |replica| replica.log().lsn_known()).unwrap_or_default();
    let found = format!("edge 1 keeps number 3 and says it holds number {known}");
    cluster.check("a gap in the numbers is noticed", held == 1 && known == 1, found);

    cluster.wait(EXCHANGE_MS).await;
    let resent = notices(cluster, MAIN, |notice| matches!(notice, Notice::Resent { peer: Peer(EDGE) }));
    let applied = [missed, next].map(|change| times_applied(cluster, EDGE, change));
    let known = cluster.ask(EDGE, |replica| replica.log().lsn_known()).unwrap_or_default();
    let found = format!("the main sends again {resent} times, edge 1 applies them {applied:?} times and holds {known}");
    cluster.check("what is missing is asked for", resent > 0 && applied == [1, 1] && known == 3, found);

    cluster.go_offline(EDGE).await;
    let while_away = [written.user(cluster, MAIN).await, written.user(cluster, MAIN).await];
    let before = cluster.events_at(EDGE, arrival).len();
    cluster.go_online(EDGE).await;
    cluster.wait(EXCHANGE_MS).await;
    let arrived = cluster.events_at(EDGE, arrival).split_off(before);
    let applied = while_away.map(|change| times_applied(cluster, EDGE, change));
    let found = format!("edge 1 applies them {applied:?} times; changes it is sent in all: {}", arrived.len());
    let clause = "after a reconnect exactly what is missing is sent";
    cluster.check(clause, applied == [1, 1] && arrived.len() == 2, found);

    // The edge hears and is not heard: its acknowledgement is lost, so the main sends again.
    cluster.partition_one_way(1 << EDGE);
    let again = written.user(cluster, MAIN).await;
    cluster.wait(EXCHANGE_MS).await;
    cluster.heal();
    cluster.wait(EXCHANGE_MS).await;
    let repeated = notices(cluster, EDGE, |notice| matches!(notice, Notice::Repeated { id } if Some(*id) == again));
    let applied = times_applied(cluster, EDGE, again);
    let found = format!("edge 1 gets it {} times and applies it {applied} time", repeated + applied);
    cluster.check("a resend is applied once", repeated > 0 && applied == 1, found);

    let (points, equal) = cut_everywhere(cluster, &mut written).await;
    let found = format!("{equal} of {points} exchanges end equal, with every change in every log once");
    cluster.check("cut after any message of an exchange all end equal", points > 4 && equal == points, found);
    let (points, equal) = kill_everywhere(cluster, &mut written).await;
    let found = format!("{equal} of {points} exchanges end equal, with every change in every log once");
    cluster.check("killed at any point of an exchange all end equal", points > 10 && equal == points, found);
}

/// An exchange for every number of messages after which its link can be cut. Returns how many there were, and how many
/// ended equal.
async fn cut_everywhere(cluster: &mut Cluster, written: &mut Written) -> (u64, u64) {
    let (mut points, mut equal) = (0, 0);
    loop {
        let before = cuts(cluster);
        write_apart(cluster, written).await;
        cluster.cut_link(MAIN, EDGE, points);
        cluster.go_online(EDGE).await;
        cluster.wait(EXCHANGE_MS).await;
        equal += u64::from(written.is_everywhere(&cluster.settle().await));
        points += 1;
        if cuts(cluster) == before {
            return (points, equal);
        }
    }
}

fn cuts(cluster: &Cluster) -> usize {
    cluster.events(|kind| matches!(kind, EventKind::LinkCut { .. }).then_some(())).len()
}

/// An exchange for every output after which one of both can die.
async fn kill_everywhere(cluster: &mut Cluster, written: &mut Written) -> (u64, u64) {
    let (mut points, mut equal) = (0, 0);
    for host in [MAIN, EDGE] {
        for outputs in 1.. {
            let before = deaths(cluster, host);
            write_apart(cluster, written).await;
            cluster.crash(host, outputs);
            cluster.go_online(EDGE).await;
            cluster.wait(EXCHANGE_MS).await;
            equal += u64::from(written.is_everywhere(&cluster.settle().await));
            points += 1;
            if deaths(cluster, host) == before {
                break;
            }
        }
    }
    (points, equal)
}

fn deaths(cluster: &Cluster, host: u32) -> usize {
    cluster.events_at(host, |kind| matches!(kind, EventKind::Crashed { .. }).then_some(())).len()
}

/// Both write something while the edge is offline.
async fn write_apart(cluster: &mut Cluster, written: &mut Written) {
    cluster.go_offline(EDGE).await;
    written.user(cluster, MAIN).await;
    written.user(cluster, EDGE).await;
}

/// The changes that were written.
#[derive(Default)]
struct Written(Vec<ChangeId>);

impl Written {
    fn note(&mut self, result: Result<ChangeId, String>) -> Option<ChangeId> {
        let change = result.ok()?;
        self.0.push(change);
        Some(change)
    }

    /// Another user.
    async fn user(&mut self, cluster: &mut Cluster, host: u32) -> Option<ChangeId> {
        let name = format!("user_{}", self.0.len());
        let result = cluster.submit(host, vec![create_user(&name, &name)]).await;
        self.note(result)
    }

    /// Whether both replicas hold each of them once and nothing else, and show one graph.
    fn is_everywhere(&self, replicas: &[ReplicaState]) -> bool {
        let holds_all = |replica: &ReplicaState| {
            let once = |id: &ChangeId| replica.log.iter().filter(|entry| entry.change.id == *id).count() == 1;
            replica.log.len() == self.0.len() && self.0.iter().all(once)
        };
        replicas.len() == 2 && replicas.iter().all(holds_all) && replicas[0].view == replicas[1].view
    }
}

/// How many notices of that kind a host has had.
fn notices(cluster: &Cluster, host: u32, is_asked: impl Fn(&Notice) -> bool) -> usize {
    let found = |kind: &EventKind| matches!(kind, EventKind::Notified(notice) if is_asked(notice)).then_some(());
    cluster.events_at(host, found).len()
}

/// The change that arrived and was applied, or was known.
fn arrival(kind: &EventKind) -> Option<ChangeId> {
    match kind {
        EventKind::Notified(Notice::Applied { entry }) => Some(entry.change.id),
        EventKind::Notified(Notice::Repeated { id }) => Some(*id),
        _ => None,
    }
}

fn times_applied(cluster: &Cluster, host: u32, change: Option<ChangeId>) -> usize {
    notices(cluster, host, |notice| matches!(notice, Notice::Applied { entry } if Some(entry.change.id) == change))
}

//! Every point at which a transaction between three replicas can be interrupted.
//!
//! A host does what its replica wants one output at a time, and may die between any two. So the points are counted: a
//! replica that has carried out so many outputs since the transaction began dies before the next. Each point of each
//! replica is tried alone, together with each point of each other, and with each point at which it can die once more while
//! it takes up what it had begun; each with a restart before the leases end and with one after; and each in three clusters:
//! with a main and an edge that coordinates, with a main that coordinates, and without a main. All checkers watch every
//! run; what is told here is how each ended.

use kuzusync_core::replica::Notice;
use kuzusync_core::statement::Statement;
use kuzusync_core::two_phase::{Decision, LEASE};
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::Outcome;
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Run, Script, simulate};
use kuzusync_sim::step::Step;
use kuzusync_sim::store::StoreChoice;

use crate::sample::{create_user, create_user_table, edge_table};

/// More outputs than a replica carries out in one of these runs.
const OUTPUTS_MAX: u32 = 200;

/// Who takes part: always hosts 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Whether there is a main: host 0.
    pub has_main: bool,
    /// Which host coordinates.
    pub coordinator: u32,
}

impl Cluster {
    /// All three.
    pub const ALL: [Cluster; 3] = [
        Cluster { has_main: true, coordinator: 1 },
        Cluster { has_main: true, coordinator: 0 },
        Cluster { has_main: false, coordinator: 1 },
    ];

    /// What a host is, in words.
    #[must_use]
    pub fn name(self, host: u32) -> String {
        match (host == 0 && self.has_main, host == self.coordinator) {
            (true, _) => "main".to_owned(),
            (_, true) => "coordinator".to_owned(),
            _ => format!("participant {host}"),
        }
    }
}

/// When the dead start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// While the others are still prepared.
    BeforeLease,
    /// When the leases of the others have ended.
    AfterLease,
}

impl Restart {
    /// Both.
    pub const ALL: [Restart; 2] = [Restart::BeforeLease, Restart::AfterLease];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Restart::BeforeLease => "before",
            Restart::AfterLease => "after",
        }
    }

    fn wait_ms(self) -> u64 {
        let lease_ms = LEASE.as_millis() as u64;
        match self {
            Restart::BeforeLease => lease_ms / 4,
            Restart::AfterLease => 2 * lease_ms,
        }
    }
}

/// How the runs of one kind ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who takes part.
    pub cluster: Cluster,
    /// Who dies: one, two, or the same one twice.
    pub dying: Vec<u32>,
    /// When they start again, the last time.
    pub restart: Restart,
    /// Runs: each with its own point for each death.
    pub runs: u32,
    /// The transaction was committed everywhere.
    pub committed: u32,
    /// It was rolled back everywhere.
    pub rolled_back: u32,
    /// Nobody had ever heard of it, or its client was refused.
    pub never_began: u32,
    /// What a checker found, of the first run in which one did.
    pub failure: Option<String>,
}

/// All of them: every point of single replicas, of pairs, and of replicas that die again.
#[must_use]
pub fn all() -> Vec<Row> {
    let dying: [&[u32]; 9] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 0], &[1, 1], &[2, 2]];
    let mut rows = Vec::new();
    for cluster in Cluster::ALL {
        for dying in dying {
            rows.extend(Restart::ALL.map(|restart| row(cluster, dying, restart)));
        }
    }
    rows
}

/// Every point of these replicas.
#[must_use]
pub fn row(cluster: Cluster, dying: &[u32], restart: Restart) -> Row {
    let dying = dying.to_vec();
    let mut row = Row { cluster, dying, restart, runs: 0, committed: 0, rolled_back: 0, never_began: 0, failure: None };
    match *row.dying.as_slice() {
        [one] => {
            let mut points = (0..OUTPUTS_MAX).map(|point| row.run(&[(one, point)]));
            drop(points.find(|died| died == &[false]));
        }
        [one, again] if one == again => {
            let firsts = self::row(cluster, &[one], Restart::BeforeLease).runs;
            for first in 0..firsts {
                // Who dies before its first output has not started.
                let mut points = (1..OUTPUTS_MAX).map(|second| row.run(&[(one, first), (one, second)]));
                drop(points.find(|died| died.contains(&false)));
            }
        }
        [one, other] => {
            // A later point of one may be reached only if the other lives long enough, so a pair that is not reached says
            // nothing of the first; but who outlives its point outlives every later one.
            for first in 0..OUTPUTS_MAX {
                let mut is_reached = false;
                for second in 0..OUTPUTS_MAX {
                    let died = row.run(&[(one, first), (other, second)]);
                    is_reached |= died[0];
                    if !died[1] {
                        break;
                    }
                }
                if !is_reached {
                    break;
                }
            }
        }
        _ => {}
    }
    row
}

impl Row {
    /// Lets these replicas die, each after so many outputs, and counts the run if all did. Says who did.
    fn run(&mut self, points: &[(u32, u32)]) -> Vec<bool> {
        let outcome = interrupted(self.cluster, points, self.restart);
        let is_crash = |host: u32| {
            outcome
                .events
                .iter()
                .filter(move |event| event.host == Some(host) && matches!(event.kind, EventKind::Crashed { .. }))
        };
        let mut died = Vec::new();
        for (index, (host, _)) in points.iter().enumerate() {
            let before = points[..index].iter().filter(|(other, _)| other == host).count();
            died.push(is_crash(*host).count() > before);
        }
        if died.contains(&false) {
            return died;
        }
        self.runs += 1;
        match decision(&outcome) {
            Some(Decision::Committed(_)) => self.committed += 1,
            Some(Decision::RolledBack(_)) => self.rolled_back += 1,
            None => self.never_began += 1,
        }
        if let Some(failure) = outcome.failure.filter(|_| self.failure.is_none()) {
            self.failure = Some(format!("{points:?}: {}", failure.message()));
        }
        died
    }
}

/// A run in which these replicas die, each after so many outputs since the transaction was submitted. One that stands
/// there twice dies again so many outputs after its first restart, which is before the leases end.
#[must_use]
pub fn interrupted(cluster: Cluster, points: &[(u32, u32)], restart: Restart) -> Outcome {
    let tables = vec![create_user_table(), edge_table("FOLLOWS", "User", "User")];
    let users: Vec<Statement> = ["user_1", "user_2"].map(|user| create_user(user, user)).to_vec();
    let crash = |&(replica, after_outputs): &(u32, u32)| Step::Crash { replica, after_outputs, kept_bytes: 0 };
    let statements = [tables, users].concat();
    let mut steps = vec![Step::Submit { replica: 0, statements, participants: Vec::new() }, Step::Settle];
    let transact =
        Step::Transact { replica: cluster.coordinator, participants: 0b111, what: 1, row: 0, column: 1, value: 1 };
    match points {
        [one, again] if one.0 == again.0 => {
            // While it is down, so that it counts from its first output on.
            let first = [crash(one), transact, Step::Wait { ms: Restart::BeforeLease.wait_ms() }];
            steps.extend(first.into_iter().chain([crash(again), Step::Restart { replica: one.0 }]));
        }
        _ => steps.extend(points.iter().map(crash).chain([transact])),
    }
    steps.push(Step::Wait { ms: restart.wait_ms() });
    steps.extend(points.iter().map(|(replica, _)| Step::Restart { replica: *replica }));
    let options = Options { has_main: cluster.has_main, ..Options::default() };
    simulate(&Run {
        seed: Seed(3),
        options: &options,
        store: StoreChoice::Memory,
        script: Script::Plan(&steps),
        bug: None,
    })
}

/// What was decided, as all tell it in the end.
fn decision(outcome: &Outcome) -> Option<Decision> {
    let told = outcome.events.iter().filter_map(|event| match &event.kind {
        EventKind::Notified(Notice::Decided { decision, .. }) => Some(decision.clone()),
        _ => None,
    });
    let held = outcome.replicas.iter().flat_map(|replica| replica.decisions.values().cloned());
    held.chain(told).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_crash_it_commits_and_a_dead_coordinator_begins_nothing() {
        for cluster in Cluster::ALL {
            let outcome = interrupted(cluster, &[], Restart::BeforeLease);
            assert_eq!(outcome.failure, None);
            assert!(matches!(decision(&outcome), Some(Decision::Committed(_))));
            let outcome = interrupted(cluster, &[(cluster.coordinator, 0)], Restart::BeforeLease);
            assert_eq!((outcome.failure.clone(), decision(&outcome)), (None, None));
        }
    }

    #[test]
    fn every_single_crash_ends_in_one_decision_and_both_are_reached() {
        for cluster in Cluster::ALL {
            for restart in Restart::ALL {
                let rows = [0, 1, 2].map(|dying| row(cluster, &[dying], restart));
                for row in &rows {
                    assert_eq!(row.failure, None, "{row:?}");
                    assert!(row.runs > 5 && row.committed > 0, "{row:?}");
                }
                assert!(rows.iter().any(|row| row.rolled_back > 0));
            }
        }
    }

    #[test]
    fn one_that_dies_again_dies_while_it_takes_up_what_it_had() {
        let cluster = Cluster { has_main: false, coordinator: 1 };
        let outcome = interrupted(cluster, &[(1, 6), (1, 1)], Restart::BeforeLease);
        let crashes = outcome.events.iter().filter(|event| matches!(event.kind, EventKind::Crashed { .. }));
        assert_eq!((crashes.count(), outcome.failure), (2, None));
    }
}

//! Every point at which a transaction between three replicas can be interrupted.
//!
//! A host does what its replica wants one output at a time, and may die between any two. So the points are counted: a
//! replica that has carried out so many outputs since the transaction began dies before the next. Each point of each
//! replica is tried alone and together with each point of each other, each with a restart before the leases end and with
//! one after, and each with a main and without. All checkers watch every run; what is told here is how each ended.

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

/// The coordinator: an edge, where there is a main.
const COORDINATOR: u32 = 1;

/// More outputs than a replica carries out for one transaction.
const OUTPUTS_MAX: u32 = 60;

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
    /// Whether there is a main: host 0.
    pub has_main: bool,
    /// Who dies.
    pub dying: Vec<u32>,
    /// When they start again.
    pub restart: Restart,
    /// Runs: each with its own point for each that dies.
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

/// All of them, with every point of single replicas, and of pairs.
#[must_use]
pub fn all() -> Vec<Row> {
    let dying: [&[u32]; 6] = [&[COORDINATOR], &[0], &[2], &[COORDINATOR, 0], &[COORDINATOR, 2], &[0, 2]];
    let mut rows = Vec::new();
    for has_main in [true, false] {
        for dying in dying {
            rows.extend(Restart::ALL.map(|restart| row(has_main, dying, restart)));
        }
    }
    rows
}

/// Every point of these replicas.
#[must_use]
pub fn row(has_main: bool, dying: &[u32], restart: Restart) -> Row {
    let dying = dying.to_vec();
    let mut row =
        Row { has_main, dying, restart, runs: 0, committed: 0, rolled_back: 0, never_began: 0, failure: None };
    match *row.dying.as_slice() {
        [one] => {
            for point in 0..OUTPUTS_MAX {
                if !row.run(&[(one, point)]) {
                    break;
                }
            }
        }
        [one, other] => {
            for first in 0..OUTPUTS_MAX {
                let mut dies = false;
                for second in 0..OUTPUTS_MAX {
                    if !row.run(&[(one, first), (other, second)]) {
                        break;
                    }
                    dies = true;
                }
                if !dies {
                    break;
                }
            }
        }
        _ => {}
    }
    row
}

impl Row {
    /// Lets these replicas die, each after so many outputs. Says whether all did.
    fn run(&mut self, points: &[(u32, u32)]) -> bool {
        let outcome = interrupted(self.has_main, points, self.restart);
        let crashes = outcome.events.iter().filter(|event| matches!(event.kind, EventKind::Crashed { .. }));
        if crashes.count() < points.len() {
            return false;
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
        true
    }
}

/// A run in which these replicas die, each after so many outputs since the transaction was submitted.
#[must_use]
pub fn interrupted(has_main: bool, points: &[(u32, u32)], restart: Restart) -> Outcome {
    let tables = vec![create_user_table(), edge_table("FOLLOWS", "User", "User")];
    let users: Vec<Statement> = ["user_1", "user_2"].map(|user| create_user(user, user)).to_vec();
    let mut steps = vec![Step::Submit { replica: 0, statements: [tables, users].concat() }, Step::Settle];
    steps.extend(points.iter().map(|(replica, after_outputs)| Step::Crash {
        replica: *replica,
        after_outputs: *after_outputs,
        kept_bytes: 0,
    }));
    steps.push(Step::Transact { replica: COORDINATOR, participants: 0b111, what: 1, row: 0, column: 1, value: 1 });
    steps.push(Step::Wait { ms: restart.wait_ms() });
    steps.extend(points.iter().map(|(replica, _)| Step::Restart { replica: *replica }));
    let options = Options { has_main, ..Options::default() };
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
        for has_main in [true, false] {
            let outcome = interrupted(has_main, &[], Restart::BeforeLease);
            assert_eq!(outcome.failure, None);
            assert!(matches!(decision(&outcome), Some(Decision::Committed(_))));
            let outcome = interrupted(has_main, &[(COORDINATOR, 0)], Restart::BeforeLease);
            assert_eq!((outcome.failure.clone(), decision(&outcome)), (None, None));
        }
    }

    #[test]
    fn every_single_crash_ends_in_one_decision_and_both_are_reached() {
        for has_main in [true, false] {
            for restart in Restart::ALL {
                let rows = [COORDINATOR, 0, 2].map(|dying| row(has_main, &[dying], restart));
                for row in &rows {
                    assert_eq!(row.failure, None, "{row:?}");
                    assert!(row.runs > 5 && row.committed > 0, "{row:?}");
                }
                assert!(rows.iter().any(|row| row.rolled_back > 0));
            }
        }
    }
}
